/* select.pml - channels hand values from one that waits to another (src/types/chan.c, select.c,
 * src/sched/sched.c).
 *
 * Two channels without a buffer. One goroutine waits for both (select, receiving); two senders send
 * one value each, one on each channel, and wait until it is taken. A waiter queues under the
 * channel's lock and leaves its machine; the lock is let go by who comes next, when nothing runs on
 * its stack any more. Who serves a record of a select must win the goroutine first.
 *
 * Checked: a value is received as often as it was sent; nobody runs on two machines; nobody is made
 * ready twice for one wait, nor sleeps for ever while his partner waits too.
 *
 * mutants: UNLOCKS_EARLY SERVED_TWICE STAYS_QUEUED LOCKS_ONE
 *
 *   UNLOCKS_EARLY  the lock is let go while the one that waits still runs on its stack
 *   SERVED_TWICE   whoever takes a record out serves it without winning
 *   STAYS_QUEUED   the select leaves its other record in its queue
 *   LOCKS_ONE      the select queues at the second channel after the first one's lock is free
 */
#define CHANS 2
#define ROUNDS 2

bool locked[CHANS];
bool recv_queued[CHANS]; /* the select's record */
bool send_queued[CHANS]; /* the sender's record */
byte selected;           /* of the select: 1: served */
byte served_by = 255;
bool on_stack;           /* the select's goroutine has not left its machine yet */
bool parked;             /* it waits */
bool sender_ready[CHANS];
byte num_sent, num_received;

inline lock(c) { atomic { !locked[c] -> locked[c] = true } }
inline unlock(c) { locked[c] = false }

/* Makes the select's goroutine run elsewhere. */
inline ready_select(c) {
    atomic {
        assert(parked);
        assert(!on_stack);
        parked = false;
        served_by = c
    }
}

proctype sender(byte c) {
    bool won;
    lock(c);
    if
    :: recv_queued[c] ->
        recv_queued[c] = false;
#ifdef SERVED_TWICE
        won = true;
#else
        atomic {
            if
            :: selected == 0 -> selected = 1; won = true
            :: else -> won = false
            fi
        }
#endif
    :: else -> won = false
    fi;
    if
    :: won ->
        num_received++;
        num_sent++;
        unlock(c);
        ready_select(c)
    :: else ->
        send_queued[c] = true;
        unlock(c);
        end: sender_ready[c]; /* whoever takes it has received it */
        num_sent++
    fi
}

inline try_recv(c) {
    if
    :: send_queued[c] ->
        send_queued[c] = false;
        num_received++;
        got = true;
        taken = c
    :: else -> skip
    fi
}

active proctype selector() {
    byte i, taken;
    bool got;
    do
    :: i == ROUNDS -> break
    :: else ->
        got = false;
        lock(0);
#ifndef LOCKS_ONE
        lock(1);
#endif
        try_recv(0);
#ifdef LOCKS_ONE
        if
        :: got -> skip
        :: else ->
            selected = 0;
            on_stack = true;
            parked = true;
            recv_queued[0] = true
        fi;
        unlock(0);
        lock(1);
#endif
        if
        :: got -> skip
        :: else -> try_recv(1)
        fi;
        if
        :: got ->
#ifndef LOCKS_ONE
            unlock(0);
#endif
            unlock(1);
            sender_ready[taken] = true
        :: else ->
            on_stack = true;
            selected = 0;
            parked = true;
            recv_queued[0] = true;
            recv_queued[1] = true;
#ifdef UNLOCKS_EARLY
            unlock(0);
            unlock(1);
            on_stack = false;
#else
            on_stack = false; /* who comes next unlocks */
            unlock(0);
            unlock(1);
#endif
            end: !parked;
#ifndef STAYS_QUEUED
            /* The one that was served is out already. */
            lock(1 - served_by);
            recv_queued[1 - served_by] = false;
            unlock(1 - served_by);
#endif
            served_by = 255
        fi;
        i++
    od;
    recv_over: skip
}

init {
    atomic { run sender(0); run sender(1) }
    timeout ->
    assert(num_received == 2 && num_sent == 2);
    assert(!recv_queued[0] && !recv_queued[1]) /* its record would be on a stack that is gone */
}
