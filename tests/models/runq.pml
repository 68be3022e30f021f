/* runq.pml - the ring of a processor's runnable goroutines (src/sched/runq.h): one owner puts and
 * takes, thieves take half.
 *
 * Checked: each entry is taken once; who takes it sees what its owner wrote; nothing is lost.
 * Steps interleave as on a sequentially consistent machine; what a weaker one may do besides is
 * written out in the mutants.
 *
 * mutants: PUT_RELAXED TAKE_RELAXED TAKE_UNCHECKED NO_BOUND
 *
 *   PUT_RELAXED     [T] missing: tail is seen before the entry is
 *   TAKE_RELAXED    [H] missing: head is seen moved before the entries were read
 *   TAKE_UNCHECKED  a thief stores head where it should exchange it
 *   NO_BOUND        a thief believes a head that is older than its tail: more than fit its buffer
 */
#define LEN 2
#define ENTRIES 4
#define THIEVES 2
#define NONE 255

byte head, tail;    /* count up; the ring has LEN places */
byte entry[LEN];    /* numbers from 1; 0: never written */
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

inline put(e) {
    h = head;
    if
    :: tail - h >= LEN -> use(e) /* full: to the queue that all share */
    :: else ->
#ifdef PUT_RELAXED
        tail = tail + 1;
        entry[(tail - 1) % LEN] = e
#else
        entry[tail % LEN] = e;
        tail = tail + 1
#endif
    fi
}

inline get() {
    h = head;
    do
    ::
        if
        :: h == tail -> break
        :: else
        fi;
        e = entry[h % LEN];
        atomic {
            if
            :: head == h -> head = h + 1; ok = true
            :: else -> h = head; ok = false
            fi
        };
        if
        :: ok -> use(e); break
        :: else
        fi
    od;
    e = 0
}

proctype owner() {
    byte h, e, i = 1;
    bool ok;
    do
    :: i <= ENTRIES ->
        put(i);
        i++;
        if
        :: true -> get()
        :: true
        fi
    :: else -> break
    od;
    do
    :: head == tail -> break
    :: else -> get()
    od;
    ended++
}

proctype thief() {
    byte h, t, num, i, round, got[LEN / 2];
    bool ok;
    do
    :: round < 2 ->
        round++;
        h = head;
        do
        ::
            t = tail;
            num = t - h;
            num = num - num / 2;
            if
            :: num == 0 -> break
            :: else
            fi;
#ifndef NO_BOUND
            if
            :: num > LEN / 2 -> h = head; goto again
            :: else
            fi;
#endif
            assert(num <= LEN / 2);
#ifdef TAKE_RELAXED
            atomic {
                if
                :: head == h -> head = h + num; ok = true
                :: else -> h = head; ok = false
                fi
            };
            i = 0;
            do
            :: i < num -> got[i] = entry[(h + i) % LEN]; i++
            :: else -> break
            od;
#else
            i = 0;
            do
            :: i < num -> got[i] = entry[(h + i) % LEN]; i++
            :: else -> break
            od;
            atomic {
                if
#ifdef TAKE_UNCHECKED
                :: true -> head = h + num; ok = true
#else
                :: head == h -> head = h + num; ok = true
                :: else -> h = head; ok = false
#endif
                fi
            };
#endif
            if
            :: ok ->
                i = 0;
                do
                :: i < num -> use(got[i]); i++
                :: else -> break
                od;
                break
            :: else
            fi;
again:      skip
        od
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
