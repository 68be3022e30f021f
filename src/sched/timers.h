/* timers.h - what is to happen at a time. Floor sched. Uses lock.
 *
 * A set of timers is a heap with a lock, one for each processor. A timer belongs to one set for
 * ever, and is in its heap while it is on.
 *
 * Threads any function from any thread, in the runtime.
 * Holds   T1  idx is 0 or where the timer stands in its set's heap
 *         T2  when is the first timer's time, or 0
 */
#ifndef MO_TIMERS_H
#define MO_TIMERS_H

#include "sched/thread.h"
#include "sys/lock.h"

typedef struct mo_timer {
    uint64_t when_ns;   /* set's lock */
    uint64_t period_ns; /* 0: once; set's lock */
    /* Called without a lock, in the runtime, by whichever thread finds that it is time. The timer
     * is off by then, unless it is periodic: it may be gone. */
    void (*fire)(mo_thread *t, void *arg);
    void *arg;
    struct mo_timers *set; /* const once it was on */
    uint32_t idx;          /* in the heap, from 1; 0: off; set's lock */
} mo_timer;

typedef struct mo_timers {
    mo_lock lock;
    uint64_t when_ns; /* atomic: of the first; 0: none; written under the lock */
    mo_timer **heap;  /* from 1; 4 children each; lock */
    uint32_t num, cap;
} mo_timers;

void mo_timers_init(mo_timers *s);
/* It goes off at when_ns (monotonic clock); was it on? false in *ok: memory is exhausted, it is
 * off. set NULL: the one it had. */
bool mo_timer_start(mo_timer *timer, mo_timers *set, uint64_t when_ns, uint64_t period_ns,
                    bool *ok);
/* Was it on? */
bool mo_timer_stop(mo_timer *timer);
/* Fires what is due; how many. */
uint32_t mo_timers_run(mo_thread *t, mo_timers *s, uint64_t now_ns);
/* All are off. */
void mo_timers_clear(mo_timers *s);
/* The heap as a root; world stopped. */
void mo_timers_range(const mo_timers *s, uintptr_t *lo, uintptr_t *hi);

#endif
