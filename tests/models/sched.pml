/* sched.pml - work is put into queues while machines go to sleep (src/sched/sched.c, machine.c).
 *
 * A producer makes goroutines ready: it puts them into its own queue, then looks whether a
 * processor is free and nobody looks for work already; if so it wakes a machine. A machine that
 * finds nothing gives its processor up (room), says that it does not look any more (num_spinning),
 * then looks at the queues once more, and sleeps. A holder holds one processor back for a while:
 * room may be less than 0 then, and a machine that sees it, and still finds it so under the lock,
 * gives its processor up and sleeps without a look.
 *
 * Checked: when all has come to rest no work lies in a queue beside a free processor whose machine
 * sleeps, and the count of machines that look is right. Steps interleave as on a sequentially
 * consistent machine; the mutants are steps in another order.
 *
 * mutants: NO_LAST_LOOK LOOKS_FIRST SPIN_BEFORE_PUT KEEPS_SPINNING
 * mutants: GIVES_UP_UNLOCKED GIVES_UP_SPINNING
 *
 *   NO_LAST_LOOK           the machine sleeps without looking once more
 *   LOOKS_FIRST            it looks first and gives its processor up then
 *   SPIN_BEFORE_PUT        the producer looks for a free processor before the work is in the queue
 *   KEEPS_SPINNING         a machine sleeps and counts as looking
 *   GIVES_UP_UNLOCKED      a machine does not look at room again under the lock
 *   GIVES_UP_SPINNING      one that gives its processor up still counts as looking
 */
#define WORK 2
#define MACHINES 3

byte queue;              /* goroutines in the producer's queue */
short room = 2;          /* processors nobody has, less those held back */
byte num_spinning;
bool awake[MACHINES];    /* has a processor */
bool idle[MACHINES] = true; /* in the list of those that sleep */
bool spins[MACHINES];
byte num_done, producers = 1;

inline wake() {
    atomic { /* the exchange of num_spinning from 0 to 1 */
        if
        :: room > 0 && num_spinning == 0 -> num_spinning = 1; claimed = true
        :: else -> claimed = false
        fi
    }
    if
    :: claimed ->
        atomic { /* the lock: a processor, and a machine that sleeps; a new one would do as well */
            if
            :: room > 0 ->
                room--;
                (idle[0] || idle[1] || idle[2]);
                if
                :: idle[0] -> idle[0] = false; spins[0] = true; awake[0] = true
                :: !idle[0] && idle[1] -> idle[1] = false; spins[1] = true; awake[1] = true
                :: else -> idle[2] = false; spins[2] = true; awake[2] = true
                fi
            :: else -> num_spinning--
            fi
        }
    :: else -> skip
    fi
}

active proctype producer() {
    bool claimed;
    byte i = 0;
    do
    :: i == WORK -> break
    :: else ->
#ifdef SPIN_BEFORE_PUT
        atomic {
            if
            :: room > 0 && num_spinning == 0 -> claimed = true
            :: else -> claimed = false
            fi
        }
        queue++;
        if
        :: claimed -> wake()
        :: else -> skip
        fi;
#else
        queue++;
        wake();
#endif
        i++
    od;
    producers--
}

active [MACHINES] proctype machine() {
    byte me = _pid - 1;
    bool claimed, found;
    end: do
    :: awake[me] ->
        if
        :: room < 0 -> /* a glance */
            atomic { /* the lock */
                if
#ifdef GIVES_UP_UNLOCKED
                :: true ->
#else
                :: room < 0 ->
#endif
                    if
#ifndef GIVES_UP_SPINNING
                    :: spins[me] -> spins[me] = false; num_spinning--
#endif
                    :: else -> skip
                    fi;
                    room++;
                    awake[me] = false;
                    idle[me] = true;
                    goto end
                :: else -> skip
                fi
            }
        :: else -> skip
        fi;
        /* look */
        atomic {
            if
            :: queue > 0 -> queue--; found = true
            :: else -> found = false
            fi
        }
        if
        :: found ->
            if
            :: spins[me] ->
                spins[me] = false;
                atomic { num_spinning--; found = (num_spinning == 0) }
                if
                :: found -> wake()
                :: else -> skip
                fi
            :: else -> skip
            fi;
            num_done++
        :: else ->
#ifdef LOOKS_FIRST
            found = (queue > 0);
#endif
            atomic { room++; awake[me] = false; }
#ifndef KEEPS_SPINNING
            if
            :: spins[me] -> spins[me] = false; num_spinning--
            :: else -> skip
            fi;
#endif
#ifdef NO_LAST_LOOK
            skip;
#else
#ifndef LOOKS_FIRST
            found = (queue > 0);
#endif
            if
            :: found ->
                atomic {
                    if
                    :: room > 0 ->
                        room--; awake[me] = true; spins[me] = true; num_spinning++
                    :: else -> skip
                    fi
                }
            :: else -> skip
            fi;
#endif
            if
            :: !awake[me] -> idle[me] = true
            :: else -> skip
            fi
        fi
    od
}

active proctype holder() {
    bool claimed;
    room--;
    room++;
    wake()
}

/* Nothing can move any more: machines sleep, the producer has ended. */
active proctype rest() {
    atomic {
        timeout -> ;
        assert(!(queue > 0 && room > 0));
        assert(num_spinning == 0);
        assert(num_done == WORK)
    }
}
