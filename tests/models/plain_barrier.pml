/* plain_barrier.pml - the concurrent mark of memory that any C code writes, where the system tells
 * which pages were written (src/sys/dirty_pages.c, docs/design/barrier.md).
 *
 * Cells 2 and 3 lie on page 0, cell 4 on page 1; each holds one pointer. The globals hold cell 2 for
 * ever, so both threads know it always; besides, each thread has one register. Threads load, store
 * and allocate. A store enters the thread's buffer and becomes visible later, first in, first out.
 * A page's entry (armed, or written) and a thread's translation of it are two things: a store is
 * checked when it enters the buffer, by a writable translation if the thread has one, else by the
 * entry, where it faults if that is armed, and makes the page a written one. A flush, which the
 * system does on the thread's processor, empties its buffer and forgets its translations.
 *
 * The collector, numbered as in docs/design/barrier.md: 1 arms all pages and flushes; 2 what is
 * allocated is black from now on; 3 scans registers (which empties no buffer: weaker than a signal)
 * and globals, and marks; 4 ROUNDS times takes (report and re-arm in one step for each page),
 * flushes, scans the marked cells of reported pages again and marks; 5 stops the threads one by one;
 * 6 takes the last written pages; 7 scans their marked cells, all registers and the globals again;
 * 8 marks.
 *
 * Checked: in the end all that a thread can reach is marked.
 *
 * Bounds: K0 and K1 operations of the threads, where an allocation with the store of the old register
 * into the new cell is one, and a store may forget the register at once (later would only be seen by
 * more scans); BUFFER stores in a buffer; one pointer in a cell; at most one allocation, of the cell
 * FREE; registers hold anything at the start, cells anything but a cycle.
 *
 * also: -DROUNDS=0 -DK1=2
 * also: -DROUNDS=2
 * also: -DFREE=0
 * also: -DFREE=3
 * also: -DBUFFER=2
 * also: -DNEW_COLOUR=WHITE
 * also: -DARM_AFTER_ROOTS
 * also: -DRAN_ONLY
 * also: -DBY_PAGE
 * also: -DBLACK_EARLY -DFRESH_KEPT
 * mutants: ARM_LATE ARM_UNFLUSHED BLACK_EARLY RESCAN_EARLY TAKE_UNFLUSHED FLUSH_LATE TAKE_EARLY
 * mutants: ROOTS_ONCE FRESH_EXCLUDED
 *
 *   FREE             the cell that is allocated; 4: alone on its page, which is then free and may be
 *                    left unarmed; 3: beside an old one; 0: no allocation, more heap
 *   NEW_COLOUR       new cells may be white as well
 *   ARM_AFTER_ROOTS  arming may follow the registers and globals, before the heap
 *   RAN_ONLY         7 leaves out the registers of a thread that did not run since its scan
 *   BY_PAGE          4 may take, flush and scan one page after the other (workers do)
 *   FRESH_KEPT       7 scans fresh pages whatever is reported
 *
 *   ARM_LATE         arms after the first scan of the heap
 *   ARM_UNFLUSHED    does not flush after arming
 *   BLACK_EARLY      2 before 1: what was stored into a black cell before the arming is forgotten
 *                    with it, unless fresh pages are scanned anyway
 *   RESCAN_EARLY     reports, scans, and only then re-arms
 *   TAKE_UNFLUSHED   takes without a flush
 *   FLUSH_LATE       scans the reported pages, and only then flushes
 *   TAKE_EARLY       6 before 5
 *   ROOTS_ONCE       7 without registers and globals
 *   FRESH_EXCLUDED   pages on which a cell was allocated are not scanned again
 */
#ifndef K0
#define K0 3
#endif
#ifndef K1
#define K1 1
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef BUFFER
#define BUFFER 1
#endif
#ifndef FREE
#define FREE 4
#endif
#ifndef NEW_COLOUR
#define NEW_COLOUR BLACK
#endif
#define GLOBAL 2 /* what the globals hold */
#define me _pid  /* the threads come first */
#define page_of(c) ((c) / 4)

#define WHITE 0
#define GREY 1
#define BLACK 2

byte field[5], colour[5];
bool armed[2];                  /* the page's entry: a store through it faults */
bool writable[4];               /* translations: thread * 2 + page */
byte reg[2], fresh[2];          /* fresh: the cell that is being allocated, a register as well */
byte buf_cell[4], buf_value[4]; /* thread * 2: the older one; cell 0: none */
byte left[2];                   /* operations left */
bool begun, marking, was_allocated, stopped[2], reported[2];

/* ---------------------------------------------------------------- memory as a thread sees it */

#define HAS_STORE(t) (buf_cell[(t) * 2] != 0)
#if BUFFER == 1
#define HAS_ROOM(t) (buf_cell[(t) * 2] == 0)
#define SEEN(t, c) (buf_cell[(t) * 2] == (c) -> buf_value[(t) * 2] : field[c])
#else
#define HAS_ROOM(t) (buf_cell[(t) * 2 + 1] == 0)
#define SEEN(t, c) (buf_cell[(t) * 2 + 1] == (c) -> buf_value[(t) * 2 + 1] : \
                    (buf_cell[(t) * 2] == (c) -> buf_value[(t) * 2] : field[c]))
#endif

inline store_out(t) {
    field[buf_cell[(t) * 2]] = buf_value[(t) * 2];
    buf_cell[(t) * 2] = buf_cell[(t) * 2 + 1];
    buf_value[(t) * 2] = buf_value[(t) * 2 + 1];
    buf_cell[(t) * 2 + 1] = 0;
    buf_value[(t) * 2 + 1] = 0
}

inline store_in(t, c, value) {
    if
    :: writable[(t) * 2 + page_of(c)]
    :: else -> armed[page_of(c)] = false; writable[(t) * 2 + page_of(c)] = true
    fi;
    if
    :: !HAS_STORE(t) -> buf_cell[(t) * 2] = c; buf_value[(t) * 2] = value
    :: else -> buf_cell[(t) * 2 + 1] = c; buf_value[(t) * 2 + 1] = value
    fi
}

/* ---------------------------------------------------------------- threads */

#define MAY (left[me] > 0 && !stopped[me] && fresh[me] == 0)
#ifdef RAN_ONLY
bool ran[2]; /* since its registers were scanned */
#define RUNS ran[me] = true
#define RAN(t) ran[t]
#else
#define RUNS skip
#define RAN(t) true
#endif
#define STEP RUNS; left[me]--
#define KNOWS_MORE (reg[me] != 0 && reg[me] != GLOBAL)

inline may_forget() {
    if
    :: reg[me] = 0
    :: reg[me] != 0
    fi
}

active [2] proctype thread() {
    begun;
    do
    :: atomic { MAY -> STEP; reg[me] = SEEN(me, GLOBAL) }
    :: atomic { MAY && KNOWS_MORE -> STEP; reg[me] = SEEN(me, reg[me]) }
    :: atomic { MAY && HAS_ROOM(me) -> STEP; store_in(me, GLOBAL, 0); may_forget() }
    :: atomic { MAY && HAS_ROOM(me) && KNOWS_MORE ->
           STEP;
           if
           :: true -> store_in(me, GLOBAL, reg[me])
           :: true -> store_in(me, reg[me], 0)
           :: true -> store_in(me, reg[me], GLOBAL)
           fi;
           may_forget() }
#if FREE
    :: atomic { MAY && !was_allocated ->
           was_allocated = true;
           RUNS;
           fresh[me] = FREE;
           if
           :: marking -> colour[FREE] = NEW_COLOUR
           :: else
           fi }
    :: atomic { fresh[me] != 0 && HAS_ROOM(me) && !stopped[me] ->
           STEP;
           store_in(me, FREE, reg[me]);
           reg[me] = FREE;
           fresh[me] = 0 }
#endif
    :: atomic { HAS_STORE(me) && !stopped[me] -> store_out(me) }
    :: atomic { stopped[me] -> break }
    od
}

/* ---------------------------------------------------------------- the collector */

#define IS_GREY (colour[2] == GREY || colour[3] == GREY || colour[4] == GREY)

inline shade(c) {
    if
    :: c != 0 && colour[c] == WHITE -> colour[c] = GREY
    :: else
    fi
}

inline mark() {
    do
    :: atomic { colour[2] == GREY -> colour[2] = BLACK; shade(field[2]) }
    :: atomic { colour[3] == GREY -> colour[3] = BLACK; shade(field[3]) }
    :: atomic { colour[4] == GREY -> colour[4] = BLACK; shade(field[4]) }
    :: atomic { !IS_GREY -> break }
    od
}

inline scan_registers(t) {
    atomic {
        shade(reg[t]);
        shade(fresh[t]);
#ifdef RAN_ONLY
        ran[t] = false
#endif
    }
}
inline scan_if_ran(t) {
    if
    :: RAN(t) -> scan_registers(t)
    :: else
    fi
}
inline scan_globals() { shade(GLOBAL) }

inline again(c) {
    if
    :: reported[page_of(c)] && colour[c] == BLACK -> colour[c] = GREY
    :: else
    fi
}

inline scan_reported() {
    atomic {
#ifdef FRESH_EXCLUDED
        if
        :: was_allocated -> reported[page_of(FREE)] = false
        :: else
        fi;
#endif
#ifdef FRESH_KEPT
        if
        :: was_allocated && stopped[1] -> reported[page_of(FREE)] = true
        :: else
        fi;
#endif
        again(2);
        again(3);
        again(4);
        reported[0] = false;
        reported[1] = false
    };
    mark()
}

inline flush(t) {
    atomic {
        do
        :: HAS_STORE(t) -> store_out(t)
        :: else -> break
        od;
        writable[(t) * 2] = false;
        writable[(t) * 2 + 1] = false
    }
}

inline arm() {
    armed[0] = true;
    if
    :: armed[1] = true
#if FREE == 4
    :: !was_allocated /* a page without objects may be left out */
#endif
    fi;
#ifndef ARM_UNFLUSHED
    flush(0);
    flush(1)
#endif
}

inline report(p) {
    if
    :: !armed[p] -> reported[p] = true
    :: else
    fi
}

inline take() {
    atomic { report(0); armed[0] = true };
    atomic { report(1); armed[1] = true };
#if !defined(TAKE_UNFLUSHED) && !defined(FLUSH_LATE)
    flush(0);
    flush(1)
#endif
}

inline stop(t) { atomic { flush(t); stopped[t] = true } }

inline check(c) {
    at = c;
    num = 0;
    do
    :: at == 0 || num == 4 -> break
    :: else -> assert(colour[at] == BLACK); at = field[at]; num++
    od
}

inline fill(where, c) {
    if
    :: c != FREE -> where = c
    :: true
    fi
}

active proctype collector() {
    byte round, at, num;
    atomic {
        left[0] = K0;
        left[1] = K1;
        fill(field[2], 3);
        fill(field[2], 4);
#if FREE != 3
        fill(field[3], 4);
#endif
        fill(reg[0], 3);
        fill(reg[0], 4);
        fill(reg[1], 3);
        fill(reg[1], 4);
        begun = true
    };
#ifdef BLACK_EARLY
    marking = true;
#endif
#if !defined(ARM_LATE) && !defined(ARM_AFTER_ROOTS)
    arm();
#endif
#ifndef ARM_AFTER_ROOTS
    marking = true; /* allocation reads it and takes the cell in the runtime, in one step */
#endif
    scan_registers(0);
    scan_registers(1);
    scan_globals();
#ifdef ARM_AFTER_ROOTS
    arm();
    marking = true;
#endif
    mark();
#ifdef ARM_LATE
    arm();
#endif
    do
    :: round == ROUNDS -> break
    :: else ->
        round++;
#ifdef RESCAN_EARLY
        atomic { report(0) };
        atomic { report(1) };
        scan_reported();
        armed[0] = true;
        armed[1] = true;
        flush(0);
        flush(1)
#elif defined(BY_PAGE)
        atomic { report(0); armed[0] = true };
        flush(0);
        flush(1);
        scan_reported();
        atomic { report(1); armed[1] = true };
        flush(0);
        flush(1);
        scan_reported()
#else
        take();
        scan_reported();
#ifdef FLUSH_LATE
        flush(0);
        flush(1)
#endif
#endif
    od;
#ifdef TAKE_EARLY
    take();
#endif
    stop(0);
    stop(1);
#ifndef TAKE_EARLY
    take();
#endif
#ifndef ROOTS_ONCE
    scan_if_ran(0);
    scan_if_ran(1);
    scan_globals();
#endif
    scan_reported();
    atomic { check(reg[0]); check(reg[1]); check(fresh[0]); check(fresh[1]); check(GLOBAL) }
}
