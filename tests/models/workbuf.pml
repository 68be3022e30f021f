/* workbuf.pml - the stack of mark buffers (src/gc/workbuf.c), pushed and popped by all workers.
 *
 * Checked: a buffer has one owner at a time; who takes a buffer sees the items that its pusher
 * wrote; nothing is lost. Steps interleave as on a sequentially consistent machine; what a weaker
 * one may do besides is written out in the mutants.
 *
 * mutants: NO_COUNT PUSH_RELAXED POP_RELAXED
 *
 *   NO_COUNT      the head is an index only: ABA
 *   PUSH_RELAXED  [P] missing: the exchange is seen before the items and next
 *   POP_RELAXED   [T] missing: next of the head may have been read before the head
 */
#define BUFS 2
#define WORKERS 3
#define COUNTS 64 /* more than there are changes */

byte head_idx, head_count; /* one word: read and exchanged together */
byte next[3];
byte item[3];              /* what a buffer holds */
byte expected[3];          /* what its last pusher put there */
bool is_owned[3];          /* by a worker */
byte ended;

#ifdef NO_COUNT
#define COUNT_UP
#else
#define COUNT_UP head_count = (head_count + 1) % COUNTS
#endif

#define FORGET old_idx = 0; old_count = 0; old_next = 0 /* fewer states to tell apart */

/* got: a buffer, or 0. */
inline pop(got) {
    do
    ::
#ifdef POP_RELAXED
        old_idx = head_idx;
        old_next = next[old_idx];
        atomic {
            old_count = head_count;
            if
            :: head_idx != old_idx -> old_idx = 255 /* the exchange will fail */
            :: else
            fi
        };
#else
        atomic { old_idx = head_idx; old_count = head_count };
        if
        :: old_idx != 0 -> old_next = next[old_idx]
        :: else
        fi;
#endif
        if
        :: atomic { old_idx == 0 -> got = 0; FORGET; break }
        :: else
        fi;
        atomic {
            if
            :: head_idx == old_idx && head_count == old_count ->
                head_idx = old_next;
                COUNT_UP;
                got = old_idx;
                assert(!is_owned[got]);
                is_owned[got] = true;
                FORGET;
                break
            :: else
            fi
        }
    od
}

inline push(b) {
    tag++;
    expected[b] = tag;
    do
    ::
        atomic { old_idx = head_idx; old_count = head_count };
#ifndef PUSH_RELAXED
        item[b] = tag;
        next[b] = old_idx;
#endif
        atomic {
            if
            :: head_idx == old_idx && head_count == old_count ->
                is_owned[b] = false;
                head_idx = b;
                COUNT_UP;
                break
            :: else
            fi
        }
    od;
#ifdef PUSH_RELAXED
    next[b] = old_idx;
    item[b] = tag;
#endif
    atomic { FORGET }
}

inline use_up(b) {
    if
    :: b != 0 -> assert(item[b] == expected[b]); push(b); b = 0
    :: else
    fi
}

proctype worker(byte tag; byte rounds) {
    byte old_idx, old_count, old_next, a, b, round;
    do
    :: round < rounds ->
        round++;
        pop(a);
        pop(b);
        if
        :: true -> use_up(a); use_up(b)
        :: true -> use_up(b); use_up(a)
        fi
    :: else -> break
    od;
    ended++
}

init {
    byte num, at;
    atomic {
        head_idx = 1;
        next[1] = 2;
        run worker(10, 2);
        run worker(20, 1);
        run worker(30, 1)
    };
    ended == WORKERS;
    at = head_idx;
    do
    :: at != 0 && num <= BUFS -> num++; at = next[at]
    :: else -> break
    od;
    assert(num == BUFS) /* all are back, each once */
}
