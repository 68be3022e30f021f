/* stop.pml - the handshake that stops all threads (src/sched/stop.c, src/sched/thread.h).
 *
 * A collector stops two mutators several times. A mutator runs user code, enters and leaves the
 * runtime, and waits BLOCKED in a system call or for the registry lock, which is held through a
 * stop. Its signal handler is a process of its own that may begin between any two steps of the
 * thread once a signal is pending, and holds the thread up until it returns; signals of several
 * stops merge into one, and may come late. Futex waits are waits for the word to change: each
 * change is followed by a wake. Steps that only the thread itself can see are joined to their
 * neighbours. Steps interleave as on a sequentially consistent machine; where a store could wait
 * in the processor's buffer, a mutant has that buffer.
 *
 * Checked: while the collector believes that all are stopped, nobody runs user code, touches the
 * heap or publishes, and everybody's stack pointer is published; pending never goes below 0; a
 * thread is counted once per stop; every stop ends (a mutator that has done its rounds stays in
 * user code, so a stop that misses it waits for ever).
 *
 * also: -DROUNDS=1 -DSTOPS=3
 * also: -DMUTATORS=1 -DROUNDS=4 -DSTOPS=4
 * mutants: END_UNSEEN BEGIN_SILENT ACK_PLAIN STORE_AFTER_LOOK STATE_BUFFERED STOPPING_BUFFERED
 * mutants: LEAVE_UNSEEN LEAVE_LOOKS_FIRST PARK_LOOKS_ONCE HANDLER_INTRUDES FLAG_ONLY PENDING_LATE
 * mutants: STOPPING_LATE
 *
 *   END_UNSEEN         block_end does not look at stopping
 *   BEGIN_SILENT       block_begin does not acknowledge a stop that began before it
 *   ACK_PLAIN          acknowledging compares, then stores, instead of an exchange
 *   STORE_AFTER_LOOK   block_end stores the state after the look at stopping
 *   STATE_BUFFERED     [B] not sequentially consistent: the store of state may be late
 *   STOPPING_BUFFERED  [D] not sequentially consistent: the store of stopping may be late
 *   LEAVE_UNSEEN       leaving the runtime does not look at stopping
 *   LEAVE_LOOKS_FIRST  leaving looks before it counts in_runtime down
 *   PARK_LOOKS_ONCE    parking does not look again after it counted in_runtime down
 *   HANDLER_INTRUDES   the handler stops a thread that is in the runtime
 *   FLAG_ONLY          stopping is 1, not the stop's number; who acknowledges reads the number
 *   PENDING_LATE       pending is set after stopping
 *   STOPPING_LATE      stopping is set after the threads were asked
 */
#ifndef MUTATORS
#define MUTATORS 2
#endif
#ifndef STOPS
#define STOPS 2
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif
#define me _pid /* mutators come first */

byte stopping, seq, stop_seq[MUTATORS];
short pending;
bool is_blocked[MUTATORS], is_signalled[MUTATORS], handling[MUTATORS];
byte in_runtime[MUTATORS];
bool registry;

/* What is checked. */
bool believed;            /* the collector's view: all are stopped */
bool published[MUTATORS]; /* sp and registers are those of where the thread stands */

#define MUST_RUN assert(!believed)

/* ---------------------------------------------------------------- store buffers */

#ifdef STATE_BUFFERED
bool has_late[MUTATORS], late_state[MUTATORS];
#define SET_BLOCKED(value) !has_late[me] -> late_state[me] = value; has_late[me] = true
#define OWN_BLOCKED(t) (has_late[t] -> late_state[t] : is_blocked[t])
#define EXCHANGES(t) !has_late[t]
#else
#define SET_BLOCKED(value) is_blocked[me] = value
#define OWN_BLOCKED(t) is_blocked[t]
#define EXCHANGES(t) true
#endif

#ifdef STOPPING_BUFFERED
byte late_stopping; /* 0: none */
#define SET_STOPPING(value) late_stopping = value
#define COLLECTOR_EXCHANGES (late_stopping == 0)
#else
#define SET_STOPPING(value) stopping = value
#define COLLECTOR_EXCHANGES true
#endif

/* ---------------------------------------------------------------- the protocol */

#define COUNT_DOWN pending--; assert(pending >= 0)

#ifdef FLAG_ONLY
byte starts;
#define NUMBER num
#define READ_NUMBER num = seq;
#define SLEEP starts != slept_at /* the flag may be set again by the time we look: a wake is a wake */
#define LOOK stop = stopping; slept_at = starts
#define LOCALS byte num, slept_at;
#else
#define SLEEP stopping != stop
#define LOOK stop = stopping
#define LOCALS
#define NUMBER stop
#define READ_NUMBER
#endif

/* The exchange of stop_seq decides who counts. drained: an exchange empties the store buffer. last
 * is joined to the last step, since nobody else sees when it happens. */
#ifdef ACK_PLAIN
#define COUNTED_FIRST(t, drained) NUMBER > stop_seq[t] -> stop_seq[t] = NUMBER
#else
#define COUNTED_FIRST(t, drained) atomic { NUMBER > stop_seq[t] && drained -> stop_seq[t] = NUMBER }
#endif
#define ACKNOWLEDGE(t, drained, last) \
    READ_NUMBER \
    if \
    :: COUNTED_FIRST(t, drained); atomic { COUNT_DOWN; last } \
    :: atomic { NUMBER <= stop_seq[t] -> last } \
    fi

#define PUBLISH(t) MUST_RUN; published[t] = true

#define WAIT_FOR_START(t, last) \
    do \
    :: atomic { stopping == 0 -> published[t] = false; stop = 0; last; break } \
    :: atomic { stopping != 0 -> LOOK }; \
       ACKNOWLEDGE(t, EXCHANGES(t), skip); \
       SLEEP \
    od

inline leave() {
#if defined(LEAVE_UNSEEN)
    in_runtime[me]--;
#else
#if defined(LEAVE_LOOKS_FIRST)
    stop = stopping;
    in_runtime[me]--;
#else
    in_runtime[me]--;
    stop = stopping;
#endif
    do
    :: atomic { stop == 0 -> break }
    :: atomic { stop != 0 -> stop = 0; in_runtime[me]++ };
        do
        :: stopping == 0 -> break
        :: atomic { stopping != 0 -> PUBLISH(me) }; WAIT_FOR_START(me, skip)
        od;
        in_runtime[me]--;
#ifdef PARK_LOOKS_ONCE
        break
#else
        stop = stopping
#endif
    od
#endif
}

inline block_begin() {
    atomic { PUBLISH(me); SET_BLOCKED(true) };
#ifndef BEGIN_SILENT
    stop = stopping;
    if
    :: stop != 0 -> ACKNOWLEDGE(me, EXCHANGES(me), stop = 0)
    :: else
    fi
#endif
}

inline block_end() {
#if defined(END_UNSEEN)
    atomic { SET_BLOCKED(false) };
    published[me] = false;
#else
#if defined(STORE_AFTER_LOOK)
    stop = stopping;
    atomic { SET_BLOCKED(false) };
#else
    atomic { SET_BLOCKED(false) };
    stop = stopping;
#endif
    if
    :: atomic { stop != 0 -> stop = 0 }; WAIT_FOR_START(me, skip)
    :: atomic { stop == 0 -> published[me] = false }
    fi
#endif
}

active [MUTATORS] proctype mutator() provided (!handling[_pid]) {
    byte round, stop;
    LOCALS
    do
    :: round == ROUNDS -> break
    :: atomic { round < ROUNDS -> round++; MUST_RUN; in_runtime[me]++ }; /* from user code */
        if
        :: MUST_RUN /* the heap */
        :: block_begin();
            if
            :: block_end() /* a system call */
            :: true -> atomic { !registry -> registry = true }; /* waits for this if it must */
               block_end();
               atomic { MUST_RUN; registry = false }
            fi;
        fi;
        leave()
    od
    /* user code for ever; the handler lives on */
}

active [MUTATORS] proctype handler() {
    byte stop;
    LOCALS
#define t (_pid - MUTATORS)
end:
    do
    :: atomic { is_signalled[t] -> is_signalled[t] = false; handling[t] = true };
       if
       :: atomic { stopping == 0 -> handling[t] = false }
       :: atomic { stopping != 0 && OWN_BLOCKED(t) -> stop = stopping };
          ACKNOWLEDGE(t, EXCHANGES(t), stop = 0; handling[t] = false)
#ifdef HANDLER_INTRUDES
       :: atomic { stopping != 0 && !OWN_BLOCKED(t) -> PUBLISH(t) };
#else
       :: atomic { stopping != 0 && !OWN_BLOCKED(t) && in_runtime[t] != 0 -> handling[t] = false }
       :: atomic { stopping != 0 && !OWN_BLOCKED(t) && in_runtime[t] == 0 -> PUBLISH(t) };
#endif
          WAIT_FOR_START(t, handling[t] = false)
       fi
    od
#undef t
}

inline ask_all() {
    t = 0;
    do
    :: atomic { t == MUTATORS -> t = 0; stop = 0; break }
    :: atomic { t < MUTATORS && is_blocked[t] -> stop = seq };
       ACKNOWLEDGE(t, COLLECTOR_EXCHANGES, t++)
    :: t < MUTATORS && !is_blocked[t];
       atomic { COLLECTOR_EXCHANGES -> is_signalled[t] = true; t++ }
    od
}

active proctype collector() {
    byte times, t, stop;
    LOCALS
    do
    :: times == STOPS -> break
    :: atomic { times < STOPS && !registry -> registry = true; times++; seq++ };
#ifndef PENDING_LATE
        pending = MUTATORS + 1;
#endif
#if defined(STOPPING_LATE)
        ask_all();
        stopping = seq;
#elif defined(FLAG_ONLY)
        stopping = 1;
        ask_all();
#else
        SET_STOPPING(seq);
#ifdef PENDING_LATE
        pending = MUTATORS + 1;
#endif
        ask_all();
#endif
        atomic { COLLECTOR_EXCHANGES -> COUNT_DOWN };
        atomic {
            pending == 0 -> believed = true;
            do
            :: t == MUTATORS -> t = 0; break
            :: else -> assert(published[t] && stop_seq[t] == seq); t++
            od
        };
#ifdef FLAG_ONLY
        atomic { stopping = 0; believed = false; starts++ };
#else
        atomic { stopping = 0; believed = false };
#endif
        registry = false
    od
}

#ifdef STATE_BUFFERED
active [MUTATORS] proctype buffer() {
#define t (_pid - 2 * MUTATORS - 1)
end:
    do
    :: atomic { has_late[t] -> is_blocked[t] = late_state[t]; has_late[t] = false; late_state[t] = false }
    od
#undef t
}
#endif
#ifdef STOPPING_BUFFERED
active proctype buffer() {
end:
    do
    :: atomic { late_stopping != 0 -> stopping = late_stopping; late_stopping = 0 }
    od
}
#endif
