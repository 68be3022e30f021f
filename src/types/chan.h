/* chan.h - channels: what select needs of them. Floor types. */
#ifndef MO_CHAN_H
#define MO_CHAN_H

#include "mound.h"
#include "sched/sched.h"
#include "types/waitq.h"

/* As long as a cache line, which it shares with no other where its block's size is a multiple of
 * that: unbuffered channels, and large ones. The buffer follows. */
struct mound_chan {
    uint32_t lock;       /* spin: of all but what is const */
    uint16_t elem_bytes; /* const */
    bool is_closed;
    mo_waitq recv, send;
    size_t cap;  /* const: elements */
    size_t len;  /* atomic reads */
    size_t head; /* where the first of them stands */
};
_Static_assert(sizeof(mound_chan) == 64, "chan: it is more than a cache line");

typedef enum mo_chan_result {
    MO_CHAN_WOULD_WAIT,
    MO_CHAN_DONE,
    MO_CHAN_CLOSED, /* recv: nothing will come; send: a mistake */
} mo_chan_result;

/* Lock held. If somebody is to be made ready, *ready; else unchanged. */
mo_chan_result mo_chan_try_send_locked(mound_chan *c, const void *elem, mo_g **ready);
mo_chan_result mo_chan_try_recv_locked(mound_chan *c, void *elem, mo_g **ready);
MO_NORETURN void mo_chan_sent_on_closed(mound_chan *c);

#endif
