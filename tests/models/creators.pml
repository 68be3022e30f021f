/* creators.pml - the stack of creators of a processor (src/sched/runq.h [C]): one owner pushes and
 * pops at the top, thieves take at the bottom.
 *
 * Checked: each entry is taken once; who takes it sees what its owner wrote; nothing is lost.
 * Steps interleave as on a sequentially consistent machine; what a weaker one may do besides is
 * written out in the mutants.
 *
 * mutants: PUSH_RELAXED LOOKS_FIRST THIEF_LOOKS_LATE POP_UNCHECKED TAKE_UNCHECKED TAKE_RELAXED NO_BOUND
 *
 *   PUSH_RELAXED      top is seen before the entry is
 *   LOOKS_FIRST       the owner's fence is missing: it loads bottom before its lower top is seen
 *   THIEF_LOOKS_LATE  the thief's fence is missing: it loads top before bottom
 *   POP_UNCHECKED     the owner takes the last one without the exchange
 *   TAKE_UNCHECKED    a thief stores bottom where it should exchange it
 *   TAKE_RELAXED      a thief's exchange is seen before it read the entry
 *   NO_BOUND          the owner does not look how many places are taken
 */
#define LEN 2
#define ENTRIES 4
#define THIEVES 2
#define BASE 1 /* of both ends, so that top may go below */

byte bottom = BASE, top = BASE; /* count up; the stack has LEN places */
byte entry[LEN];                /* numbers from 1; 0: never written */
byte taken[ENTRIES + 1];
byte num_taken, ended;

inline use(e) {
    atomic {
        assert(e != 0 && e <= ENTRIES); /* an entry, and written */
        assert(taken[e] == 0);
        taken[e] = 1;
        num_taken++
    }
}

inline exchange(old) { /* bottom from old to old + 1 */
    atomic {
        if
        :: bottom == old -> bottom = old + 1; ok = true
        :: else -> ok = false
        fi
    }
}

inline push(e) {
    b = bottom;
#ifdef NO_BOUND
    b = top;
#endif
    if
    :: top - b >= LEN -> use(e) /* full: elsewhere */
    :: else ->
#ifdef PUSH_RELAXED
        top = top + 1;
        entry[(top - 1) % LEN] = e
#else
        entry[top % LEN] = e;
        top = top + 1
#endif
    fi
}

inline pop() {
    b = bottom;
    if
    :: b == top -> skip /* none */
    :: else ->
        t = top - 1;
#ifdef LOOKS_FIRST
        b = bottom;
        top = t;
#else
        top = t;
        b = bottom;
#endif
        e = entry[t % LEN];
        if
        :: t > b -> use(e)
        :: else ->
            ok = false;
            if
#ifdef POP_UNCHECKED
            :: t == b -> bottom = b + 1; ok = true
#else
            :: t == b -> exchange(b)
#endif
            :: else
            fi;
            top = t + 1;
            if
            :: ok -> use(e)
            :: else
            fi
        fi
    fi;
    e = 0
}

proctype owner() {
    byte b, t, e, i = 1;
    bool ok;
    do
    :: i <= ENTRIES ->
        push(i);
        i++;
        if
        :: true -> pop()
        :: true
        fi
    :: else -> break
    od;
    do
    :: bottom == top -> break
    :: else -> pop()
    od;
    ended++
}

proctype thief() {
    byte b, t, e, round;
    bool ok;
    do
    :: round < 2 ->
        round++;
#ifdef THIEF_LOOKS_LATE
        t = top;
        b = bottom;
#else
        b = bottom;
        t = top;
#endif
        if
        :: t > b ->
#ifdef TAKE_RELAXED
            exchange(b);
            e = entry[b % LEN];
#else
            e = entry[b % LEN];
#ifdef TAKE_UNCHECKED
            bottom = b + 1;
            ok = true;
#else
            exchange(b);
#endif
#endif
            if
            :: ok -> use(e)
            :: else
            fi;
            e = 0
        :: else
        fi
    :: else -> break
    od;
    ended++
}

init {
    atomic {
        run owner();
        run thief();
        run thief()
    };
    ended == THIEVES + 1;
    assert(num_taken == ENTRIES)
}
