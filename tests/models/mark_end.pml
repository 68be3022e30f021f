/* mark_end.pml - how the mark workers share work and find out that all is done (src/gc/mark.c).
 *
 * A worker holds candidates; a candidate leads to none, one or two more, of LEFT in all. Full
 * buffers, and halves shared when somebody is idle, go to a list (workbuf.pml shows that it is
 * atomic). Candidates are counted, not told apart. Waiting for work is waiting for the list or for
 * the last worker: who spins does nothing else.
 *
 * Checked: no worker is idle while it holds a candidate (M2); none leaves while there is anything
 * to do, so none has to do it alone; all leave; then every candidate was processed. M2 is what
 * keeps the others: a worker that broke it would still do the rest of the work, but alone.
 *
 * also: -DWORKERS=2 -DLEFT=8
 * also: -DLEFT=6
 * mutants: IDLE_HOLDING IDLE_UNSEEN LEAVES_EARLY NO_LOOK STAYS_BUSY IDLE_TWICE
 *
 *   IDLE_HOLDING  counts itself busy only after it took a buffer
 *   IDLE_UNSEEN   counts itself idle before its first look at the list
 *   LEAVES_EARLY  leaves when the list is empty, whoever may still work
 *   NO_LOOK       does not look at the list again before it leaves: neither when its own work is
 *                 done nor when it waits
 *   STAYS_BUSY    does not count itself idle again when another was faster
 *   IDLE_TWICE    does not count itself busy when it sees a buffer
 */
#ifndef WORKERS
#define WORKERS 3
#endif
#ifndef LEFT
#define LEFT 4
#endif
#define ROOTS 2
#define FULL 2 /* candidates in a buffer */

byte idle, next_root;
byte num_one, num_two; /* buffers on the list, by what they hold */
byte left = LEFT;      /* candidates not found yet, at the most */
byte todo = ROOTS;     /* ranges not taken, candidates not processed, wherever they are */
#define LIST_ANY (num_one + num_two > 0)

inline take_root() {
    got = false;
    atomic {
        if
        :: next_root < ROOTS -> next_root++; got = true; hold++
        :: else
        fi
    }
}

inline pop() {
    atomic {
        if
        :: num_one > 0 -> num_one--; hold = 1; got = true
        :: num_two > 0 -> num_two--; hold = 2; got = true
        :: !LIST_ANY
        fi
    }
}

inline push(n) {
    if
    :: n == 1 -> num_one++
    :: n == 2 -> num_two++
    fi;
    hold = hold - n
}

inline go_idle() { atomic { assert(hold == 0); idle++; assert(idle <= WORKERS) } }
inline go_busy() { atomic { assert(idle > 0); idle-- } }

/* got: false when all work everywhere is done. */
inline find_work() {
    take_root();
    if
    :: got
    :: else ->
#if !defined(NO_LOOK) && !defined(IDLE_UNSEEN)
        pop();
#endif
        if
        :: got
        :: else ->
            go_idle();
            do
#ifdef NO_LOOK
            :: idle == WORKERS -> break
#else
            :: LIST_ANY ->
#if defined(IDLE_HOLDING)
                pop();
                if
                :: got -> atomic { idle--; break }
                :: else
                fi
#elif defined(IDLE_TWICE)
                pop();
                if
                :: got -> break
                :: else
                fi
#else
                go_busy();
                pop();
                if
                :: got -> break
                :: else
                fi;
#ifndef STAYS_BUSY
                go_idle()
#endif
#endif
#ifdef LEAVES_EARLY
            :: !LIST_ANY -> break
#else
            :: !LIST_ANY -> /* the look at the list, then that at the count */
                if
                :: idle == WORKERS -> break
                :: idle != WORKERS -> (LIST_ANY || idle == WORKERS)
                fi
#endif
#endif
            od
        fi
    fi
}

active [WORKERS] proctype worker() {
    byte hold;
    bool got;
    do
    :: hold == 0 ->
        find_work();
        if
        :: got -> got = false
        :: else -> break
        fi
    :: atomic { hold > 0 -> hold--; assert(todo > 0); todo-- }; /* a leaf, or marked before */
    :: atomic { hold > 0 && left > 0 -> left-- } /* leads to one, but has one more to be looked at */
        if
        :: atomic { hold < FULL -> hold++; todo++ }
        :: atomic { hold == FULL -> push(FULL); hold++; todo++ }
        fi
    :: atomic { hold >= 2 && idle > 0 && !LIST_ANY -> push(1) } /* shares half; a hint only */
    od;
    assert(todo == 0)
}
