/* syscall.pml - a processor changes hands in a declared system call (src/sched/sched.c, sysmon.c).
 *
 * A machine whose goroutine enters a declared call leaves its number in the processor's state and
 * keeps the processor. Sysmon may take it from there by exchange and give it to another machine,
 * whose goroutine may enter a call too. A machine that comes back exchanges the state it left; if
 * that fails the processor is gone and it takes another, or waits. A goroutine that runs for long
 * keeps its processor and its cache: sysmon makes room for one more instead. Caches belong to
 * machines: none is ever used by two.
 *
 * Checked: no processor is used by two machines; room is right when all is over.
 *
 * mutants: RETAKES_UNASKED KEEPS_ROOM
 *
 *   RETAKES_UNASKED  sysmon looks and then stores
 *   KEEPS_ROOM       what a long one has made room for is not taken back
 */
#define MACHINES 3
#define CALLS 2
#define RUNNING 100
#define IDLE 101

byte state[2] = IDLE;   /* of the processors: IDLE, RUNNING, or whose call it is */
byte user[2];           /* machines that use it just now */
short room = 1;         /* gomaxprocs is 1 */
bool is_long[2];
byte num_over;
bool wants[MACHINES];   /* a processor */
bool sysmon_over;
#define waiting (wants[0] || wants[1] || wants[2])

#define OWN me

inline take(p) {
    atomic { /* the lock */
        p = 255;
        if
        :: room > 0 && state[0] == IDLE -> p = 0
        :: room > 0 && state[0] != IDLE && state[1] == IDLE -> p = 1
        :: else -> skip
        fi;
        if
        :: p != 255 -> room--; state[p] = RUNNING
        :: else -> skip
        fi
    }
}

inline release(p) {
    atomic {
#ifndef KEEPS_ROOM
        if
        :: is_long[p] -> is_long[p] = false; room--
        :: else -> skip
        fi;
#else
        is_long[p] = false;
#endif
        state[p] = IDLE;
        room++
    }
}

inline use(p) {
    atomic { user[p]++; assert(user[p] == 1) }
    user[p]--
}

byte given[MACHINES] = 255; /* what sysmon gives to a machine that waits */

proctype machine(byte me) {
    byte p = 255, calls = 0;
    bool ok;
    do
    :: calls == CALLS -> break
    :: else ->
        do
        :: p != 255 -> break
        :: else ->
            take(p);
            if
            :: p == 255 ->
                wants[me] = true;
                if
                :: atomic { given[me] != 255 -> p = given[me]; given[me] = 255; wants[me] = false }
                :: atomic { room > 0 && given[me] == 255 -> wants[me] = false }
                fi
            :: else -> skip
            fi
        od;
        use(p);
        state[p] = OWN; /* enter */
        skip;           /* in the system */
        atomic {        /* exit */
            if
            :: state[p] == OWN -> state[p] = RUNNING; ok = true
            :: else -> ok = false
            fi
        }
        if
        :: ok -> use(p)
        :: else -> p = 255
        fi;
        calls++
    od;
    if
    :: p != 255 -> use(p); release(p)
    :: else -> skip
    fi;
    /* What sysmon gave meanwhile is passed back. */
    if
    :: given[me] != 255 -> p = given[me]; given[me] = 255; release(p)
    :: else -> skip
    fi;
    num_over++
}

inline give(p) {
    atomic {
        if
        :: given[0] == 255 && wants[0] -> given[0] = p
        :: given[1] == 255 && wants[1] -> given[1] = p
        :: given[2] == 255 && wants[2] -> given[2] = p
        :: else -> /* nobody needs it */
            state[p] = IDLE;
            if
            :: is_long[p] -> is_long[p] = false
            :: else -> room++
            fi
        fi
    }
}

proctype sysmon() {
    byte p, saw;
    bool ok;
    end: do
    :: num_over == MACHINES -> break
    :: waiting && num_over < MACHINES ->
        if
        :: p = 0
        :: p = 1
        fi;
        saw = state[p];
        if
        :: saw != RUNNING && saw != IDLE ->
#ifdef RETAKES_UNASKED
            ok = (state[p] == saw);
            if
            :: ok -> state[p] = RUNNING
            :: else -> skip
            fi;
#else
            atomic {
                if
                :: state[p] == saw -> state[p] = RUNNING; ok = true
                :: else -> ok = false
                fi
            }
#endif
            if
            :: ok -> give(p)
            :: else -> skip
            fi
        :: saw == RUNNING ->
            atomic {
                if
                :: state[p] == RUNNING && !is_long[p] && user[p] == 1 -> is_long[p] = true; room++
                :: else -> skip
                fi
            }
        :: else -> skip
        fi
    od;
    sysmon_over = true
}

init {
    atomic { run machine(0); run machine(1); run machine(2); run sysmon() }
    sysmon_over && num_over == MACHINES;
    assert(room == 1)
}
