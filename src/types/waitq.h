/* waitq.h - who waits for something, first come first served. Floor types.
 *
 * A queue is guarded by the lock of what it belongs to. The records lie on the stacks of those who
 * wait. One that waits for several things at once (select) is in several queues: whoever takes it
 * out must win g->selected, and loses it to whoever was first.
 *
 * Order [Q] winning is an exchange with both: what the winner wrote before it makes g ready is seen
 *       by g, and g's records are complete before anybody can win.
 */
#ifndef MO_WAITQ_H
#define MO_WAITQ_H

#include "sched/g.h"

typedef struct mo_waitq {
    mo_waiter *first, *last;
} mo_waitq;

/* Under the lock; others only look whether there is one. */
MO_INLINE void mo_waitq_set_first(mo_waitq *q, mo_waiter *w) {
    mo_store_rlx(&q->first, w); /* a glance elsewhere */
}

MO_INLINE void mo_waitq_put(mo_waitq *q, mo_waiter *w) {
    w->next = NULL;
    w->prev = q->last;
    w->is_queued = true;
    if (q->last)
        q->last->next = w;
    else
        mo_waitq_set_first(q, w);
    q->last = w;
}

MO_INLINE void mo_waitq_put_first(mo_waitq *q, mo_waiter *w) {
    w->next = q->first;
    w->prev = NULL;
    w->is_queued = true;
    if (q->first)
        q->first->prev = w;
    else
        q->last = w;
    mo_waitq_set_first(q, w);
}

MO_INLINE void mo_waitq_remove(mo_waitq *q, mo_waiter *w) {
    if (!w->is_queued) return;
    w->is_queued = false;
    if (w->prev)
        w->prev->next = w->next;
    else
        mo_waitq_set_first(q, w->next);
    if (w->next)
        w->next->prev = w->prev;
    else
        q->last = w->prev;
}

/* The first that may be served by the caller; NULL: none. */
MO_INLINE mo_waiter *mo_waitq_take(mo_waitq *q) {
    for (;;) {
        mo_waiter *w = q->first;
        if (!w) return NULL;
        mo_waitq_remove(q, w);
#if MO_MUTANT_select_served_twice
        return w;
#endif
        if (!w->is_select) return w;
        uint32_t no = 0;
        if (mo_cas_acqrel(&w->g->selected, &no, 1)) return w; /* [Q] with the others that try [Q] */
    }
}

#endif
