/* timers.pml - a timer is started while who sleeps until the first one goes to sleep
 * (src/sched/sched.c, machine.c: [T]).
 *
 * The sleeper stores until when it sleeps, then looks at the first timer; who starts a timer stores
 * it, then looks until when is slept.
 *
 * Checked: when all has come to rest no timer is due that nobody sleeps for. Steps interleave as on
 * a sequentially consistent machine; the mutants are steps in another order.
 *
 * mutants: TIMER_UNSEEN WAKES_WITHOUT_WORD
 *
 *   TIMER_UNSEEN           the sleeper looks at the first timer before its word is 0
 *   WAKES_WITHOUT_WORD     who starts a timer wakes the sleeper and does not change its word
 */
bool timer_set;    /* a timer stands in the heap */
bool sleeps_until; /* somebody sleeps until the first timer */
bool note, sleeper_asleep, adder_done;

active proctype adder() {
    timer_set = true;
    if
    :: !sleeps_until -> /* whoever sleeps without a time is to look again */
#ifndef WAKES_WITHOUT_WORD
        note = true;
#endif
        sleeper_asleep = false /* who is not asleep yet does not notice */
    :: else -> skip
    fi;
    adder_done = true
}

active proctype sleeper() {
    bool saw;
again:
    note = false;
#ifdef TIMER_UNSEEN
    saw = timer_set;
    note = false;
    sleeps_until = saw;
#else
    sleeps_until = timer_set;
    saw = timer_set;
    if
    :: saw != sleeps_until -> goto again
    :: else -> skip
    fi;
#endif
    atomic { /* the system compares the word and lets it sleep */
        if
        :: note -> goto again
        :: else -> sleeper_asleep = true
        fi
    };
    end: !sleeper_asleep -> goto again
}

/* Nothing can move any more. */
active proctype rest() {
    atomic {
        timeout -> ;
        assert(!(adder_done && sleeper_asleep && timer_set && !sleeps_until))
    }
}
