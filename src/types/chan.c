/* chan.c - channels.
 *
 * A value goes from stack to stack where somebody waits for it, else through the buffer. The
 * channel and its buffer are one object of the collected heap; that the records of those who wait
 * hang on it keeps nobody alive: they are on stacks.
 *
 * Floor   types.
 * Locks   the channel's spin lock; nothing is made ready while it is held.
 * Holds   C1  somebody waits to receive only if the buffer is empty and nobody waits to send
 *         C2  somebody waits to send only if the buffer is full
 *         C3  on a closed channel nobody waits
 * Go      chan.go.
 */
#include "types/chan.h"

#include <string.h>

#include "gc/malloc.h"
#include "gc/start.h"
#include "sys/spin.h"
#include "types/misuse.h"

static MO_NOINLINE void copy_any(void *to, const void *from, size_t bytes) {
    memcpy(to, from, bytes);
}
static MO_NOINLINE void clear_any(void *to, size_t bytes) { memset(to, 0, bytes); }

/* Elements are mostly a word. */
MO_INLINE void copy(void *to, const void *from, size_t bytes) {
    if (MO_LIKELY(bytes == 8))
        memcpy(to, from, 8);
    else if (bytes == 4)
        memcpy(to, from, 4);
    else if (bytes > 0)
        copy_any(to, from, bytes);
}
MO_INLINE void clear(void *to, size_t bytes) {
    if (MO_LIKELY(bytes == 8))
        memset(to, 0, 8);
    else if (bytes > 0)
        clear_any(to, bytes);
}

mound_chan *mound_chan_new(size_t elem_bytes, size_t cap, unsigned flags) {
    size_t bytes;
    if (elem_bytes > UINT16_MAX)
        mo_fatal("mound_chan_new: elements of %zu bytes, more than %d; send pointers", elem_bytes,
                 UINT16_MAX);
    if (__builtin_mul_overflow(elem_bytes, cap, &bytes) ||
        __builtin_add_overflow(bytes, sizeof(mound_chan), &bytes))
        mo_fatal("mound_chan_new(%zu, %zu): too large; use fewer or smaller elements", elem_bytes,
                 cap);
    if (flags & ~(unsigned)MOUND_ELEM_NOSCAN)
        mo_fatal("mound_chan_new: flags %#x: use MOUND_ELEM_NOSCAN or 0", flags);
    bool has_pointers = !(flags & MOUND_ELEM_NOSCAN) && cap > 0 && elem_bytes >= sizeof(void *);
    mound_chan *c = has_pointers ? mound_alloc(bytes) : mound_alloc_noscan(bytes);
    c->elem_bytes = (uint16_t)elem_bytes;
    c->cap = cap;
    return c;
}

size_t mound_chan_len(const mound_chan *c) {
    return c ? mo_load_rlx(&c->len) : 0; /* a moment's value */
}
size_t mound_chan_cap(const mound_chan *c) { return c ? c->cap : 0; }

void mo_chan_sent_on_closed(mound_chan *c) {
    mo_misuse("send on closed channel %p: only the sender may close, and after its last send",
              (void *)c);
}

MO_INLINE void *place(mound_chan *c, size_t i) {
    return (unsigned char *)(c + 1) + (i >= c->cap ? i - c->cap : i) * c->elem_bytes;
}

MO_INLINE void set_len(mound_chan *c, size_t len) {
    mo_store_rlx(&c->len, len); /* the lock orders it; others glance */
}

MO_INLINE mo_chan_result try_send_locked(mound_chan *c, const void *elem, mo_g **ready) {
    if (MO_UNLIKELY(c->is_closed)) return MO_CHAN_CLOSED;
    mo_waiter *w = mo_waitq_take(&c->recv);
    if (w) {
        if (w->elem) copy(w->elem, elem, c->elem_bytes);
        w->ok = true;
        w->g->served = w;
        *ready = w->g;
        return MO_CHAN_DONE;
    }
    if (c->len >= c->cap) return MO_CHAN_WOULD_WAIT;
    copy(place(c, c->head + c->len), elem, c->elem_bytes);
    set_len(c, c->len + 1);
    return MO_CHAN_DONE;
}

/* The first of the buffer; what somebody waits to send takes its place at the end. */
MO_INLINE mo_chan_result try_recv_locked(mound_chan *c, void *elem, mo_g **ready) {
    if (c->len > 0) {
        void *first = place(c, c->head);
        if (elem) copy(elem, first, c->elem_bytes);
        c->head = c->head + 1 == c->cap ? 0 : c->head + 1;
        mo_waiter *w = mo_waitq_take(&c->send);
        if (!w) {
#if !MO_MUTANT_chan_keeps_received
            clear(first, c->elem_bytes); /* the collector would keep what it refers to */
#endif
            set_len(c, c->len - 1);
            return MO_CHAN_DONE;
        }
        copy(first, w->elem, c->elem_bytes);
        w->ok = true;
        w->g->served = w;
        *ready = w->g;
        return MO_CHAN_DONE;
    }
    mo_waiter *w = mo_waitq_take(&c->send);
    if (w) {
        if (elem) copy(elem, w->elem, c->elem_bytes);
        w->ok = true;
        w->g->served = w;
        *ready = w->g;
        return MO_CHAN_DONE;
    }
    if (!c->is_closed) return MO_CHAN_WOULD_WAIT;
    if (elem) clear(elem, c->elem_bytes);
    return MO_CHAN_CLOSED;
}

mo_chan_result mo_chan_try_send_locked(mound_chan *c, const void *elem, mo_g **ready) {
    return try_send_locked(c, elem, ready);
}
mo_chan_result mo_chan_try_recv_locked(mound_chan *c, void *elem, mo_g **ready) {
    return try_recv_locked(c, elem, ready);
}

static void unlock(void *lock) { mo_spin_unlock(lock); }
static void unlock_nothing(void *arg) { (void)arg; }

static MO_NOINLINE void wait_for_ever(mo_thread *t) {
    for (;;) mo_park(t, MO_WAIT_NIL_CHAN, NULL, unlock_nothing, NULL);
}

/* Lock held, nothing can be done now. Returns whether it was served; false: the channel was closed.
 * In the runtime, of the thread that it returns in. */
static MO_NOINLINE bool wait_in(mo_thread *t, mound_chan *c, mo_waitq *q, void *elem,
                                mo_wait_reason reason) {
    mo_waiter w;
    w.g = mo_g_self(t);
    w.elem = elem;
    w.is_select = false;
    w.ok = false;
    mo_waitq_put(q, &w);
    mo_park(t, reason, c, unlock, &c->lock);
    return w.ok;
}

MO_INLINE void leave_served(mo_thread *t) {
    mo_sched_note_message(t);
    mo_runtime_leave(t);
}

void mound_chan_send(mound_chan *c, const void *elem) {
    mo_thread *t = mo_start_current();
    mo_runtime_enter(t);
    if (MO_UNLIKELY(!c)) wait_for_ever(t);
    t = mo_yield_hostile(t);
    mo_g *ready = NULL;
    mo_spin_lock(&c->lock);
    mo_chan_result result = try_send_locked(c, elem, &ready);
    if (result == MO_CHAN_WOULD_WAIT) {
        bool ok = wait_in(t, c, &c->send, (void *)elem, MO_WAIT_CHAN_SEND);
        leave_served(mo_thread_now());
        if (MO_UNLIKELY(!ok)) mo_chan_sent_on_closed(c);
        mound_keep_alive(c);
        return;
    }
    mo_spin_unlock(&c->lock);
    if (ready) mo_ready(t, ready);
    leave_served(t);
    if (MO_UNLIKELY(result == MO_CHAN_CLOSED)) mo_chan_sent_on_closed(c);
}

int mound_chan_recv(mound_chan *c, void *elem) {
    mo_thread *t = mo_start_current();
    mo_runtime_enter(t);
    if (MO_UNLIKELY(!c)) wait_for_ever(t);
    t = mo_yield_hostile(t);
    mo_g *ready = NULL;
    mo_spin_lock(&c->lock);
    mo_chan_result result = try_recv_locked(c, elem, &ready);
    if (result == MO_CHAN_WOULD_WAIT) {
        bool ok = wait_in(t, c, &c->recv, elem, MO_WAIT_CHAN_RECV);
        leave_served(mo_thread_now());
        mound_keep_alive(c);
        return ok;
    }
    mo_spin_unlock(&c->lock);
    if (ready) mo_ready(t, ready);
    leave_served(t);
    return result == MO_CHAN_DONE;
}

int mound_chan_try_send(mound_chan *c, const void *elem) {
    if (!c) return 0;
    mo_thread *t = mo_start_current();
    mo_g *ready = NULL;
    mo_runtime_enter(t);
    mo_spin_lock(&c->lock);
    mo_chan_result result = try_send_locked(c, elem, &ready);
    mo_spin_unlock(&c->lock);
    if (ready) mo_ready(t, ready);
    if (result != MO_CHAN_WOULD_WAIT) mo_sched_note_message(t);
    mo_runtime_leave(t);
    if (MO_UNLIKELY(result == MO_CHAN_CLOSED)) mo_chan_sent_on_closed(c);
    return result == MO_CHAN_DONE;
}

int mound_chan_try_recv(mound_chan *c, void *elem, int *ok) {
    if (ok) *ok = 0;
    if (!c) return 0;
    mo_thread *t = mo_start_current();
    mo_g *ready = NULL;
    mo_runtime_enter(t);
    mo_spin_lock(&c->lock);
    mo_chan_result result = try_recv_locked(c, elem, &ready);
    mo_spin_unlock(&c->lock);
    if (ready) mo_ready(t, ready);
    if (result != MO_CHAN_WOULD_WAIT) mo_sched_note_message(t);
    mo_runtime_leave(t);
    if (ok) *ok = result == MO_CHAN_DONE;
    return result != MO_CHAN_WOULD_WAIT;
}

/* All that wait, as a list by their records: those are theirs until they are made ready. */
static mo_waiter *take_all(mo_waitq *q, mo_waiter *list, size_t clear_bytes) {
    mo_waiter *w;
    while ((w = mo_waitq_take(q)) != NULL) {
        if (clear_bytes && w->elem) clear(w->elem, clear_bytes);
        w->ok = false;
        w->g->served = w;
        w->next = list;
        list = w;
    }
    return list;
}

void mound_chan_close(mound_chan *c) {
    mo_thread *t = mo_start_current();
    if (!c) mo_misuse("close of a NULL channel: make it first");
    mo_runtime_enter(t);
    mo_spin_lock(&c->lock);
    bool was_closed = c->is_closed;
    mo_store_rlx(&c->is_closed, true); /* the lock orders it; others glance */
    mo_waiter *list = was_closed ? NULL : take_all(&c->recv, NULL, c->elem_bytes);
    if (!was_closed) list = take_all(&c->send, list, 0);
    mo_spin_unlock(&c->lock);
    while (list) {
        mo_waiter *next = list->next;
        mo_ready(t, list->g);
        list = next;
    }
    mo_runtime_leave(t);
    if (was_closed) mo_misuse("close of closed channel %p: close it once", (void *)c);
}
