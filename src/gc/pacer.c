/* pacer.c - when a collection is due, and how fast threads may allocate while one runs.
 *
 *   base    = traced + new * w        w: guess of how much of what is new will live
 *   goal    = base + max((base + stacks + globals) * GOGC / 100, least runway)
 *             or less where a collection is cheap
 *   trigger = goal - min(what threads allocate in twice its time, a part of the room)
 *
 * As in Go, with these differences. Go's least heap is 4 MiB, which made one of our benchmarks
 * collect 26,897 times. Here the least runway follows from cost: what the program allocates in
 * COST_FACTOR times the duration of the last collection, so that collecting takes about
 * 1 / (COST_FACTOR + 1) of the time; at least RUNWAY_MIN (which keeps a churning thread within its
 * second-level cache) and at most RUNWAY_MAX (which bounds the memory spent on it). Go counts all
 * that was allocated during a mark as live; a program that allocates as fast as it can then has
 * half as much garbage again, kept by the collector itself. Here new objects count by w: 0 where
 * the heap stands still (as much died as GOGC expects), 1 where nothing died.
 *
 * The room is shared out among what a collection does: sweeping and arming, marking, scanning again
 * what was written, by what each took the last time. In each, allocation may run ahead of the work
 * by an eighth of the room, or, for a program that marking keeps up with, a part of the goal: a
 * collection that takes longer than the last one need not be waited for. Threads beyond that sleep,
 * a fifth of a millisecond for each 16 KiB they allocate: short, so that no single allocation takes
 * long, and often, so that the heap stays near its goal. Go lets them mark instead (assists), and
 * for longer at a time.
 * Mark workers offer their processor to others every 128 KiB, which costs them nothing where nobody
 * wants it; not so where allocation has used up its start, and no more than half of it (mark.c,
 * tell_pacer).
 *
 * Floor   gc.
 * Locks   mo_pacer_set, mo_pacer_note_rate: registry lock. The rest: none; estimates.
 */
#include "gc/pacer.h"

#include "gc/barrier.h"
#include "sys/os_mem.h"

MO_GLOBAL mo_pace mo_the_pace = {.work = 1};

#define NO_GOAL ((uint64_t)INT64_MAX / 4) /* as good as never */
#define MOST_AHEAD 1e15                   /* more than there is memory */
#define LATE 0.125                        /* of the room */
#define FIRST_CLEAN_SHARE 0.25            /* of the time, where none is known */

enum {
    COST_FACTOR = 30,
    RUNWAY_MIN_BYTES = 1 << 20,
    RUNWAY_FIRST_BYTES = 4 << 20,
    RUNWAY_MAX_BYTES = 14 << 20,
    CHEAP_NS = 20000000,
    CHEAP_SHARE = 32, /* of GOGC's growth, or more */
    CHEAP_MIN_BYTES = 16 << 20,
    HEAD_SHARE = 16,      /* of the goal; see the head of this file */
    LONG_NS = 250000000,  /* a wait for a collection of this length is one */
    NAP_NS = 200000,      /* what is waited at a time */
    NAP_BYTES = 64 << 10, /* a larger object waits that much longer for each of these */
    LONGEST_NAP_NS = 20000000,
    FRESH_SHARE = 8,
    LARGE_MORE_SHARE = 16,
    LARGE_MORE_BYTES = 8 << 20,
    SLACK_SHARE = 4,
    LIMITED_SLACK_SHARE = 32,
};

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
static double clamp(double v, double lo, double hi) { return v < lo ? lo : v > hi ? hi : v; }

static uint64_t least_runway(const mo_pace_facts *f) {
    if (f->begin_bytes == 0) return RUNWAY_FIRST_BYTES;
    double want = f->alloc_rate * (double)f->cycle_ns * COST_FACTOR;
    return (uint64_t)clamp(want, RUNWAY_MIN_BYTES, RUNWAY_MAX_BYTES);
}

static uint64_t part(uint64_t bytes, uint64_t percent) {
    return bytes / 100 * percent + bytes % 100 * percent / 100;
}

/* A large heap in which there is little to look at (few pointers, or few objects) need not become
 * twice as large: it is collected earlier, if that takes a small part of the time too. Not for who
 * asks for fewer collections than usual. */
static uint64_t cheap_growth(const mo_pace_facts *f, uint64_t growth) {
    bool is_known = f->begin_bytes > 0 && f->alloc_rate > 0 && f->cost_ns > 0;
    if (!is_known || f->cost_ns > CHEAP_NS || f->percent > 100) return growth;
    double cheap = f->alloc_rate * (double)f->cost_ns * COST_FACTOR;
    uint64_t least = mo_max(growth / CHEAP_SHARE, CHEAP_MIN_BYTES);
    return mo_min(growth, mo_max((uint64_t)clamp(cheap, 0, MOST_AHEAD), least));
}

/* Heap to grow by, before a limit is looked at. */
static uint64_t growth_of(const mo_pace_facts *f, uint64_t base) {
    if (f->percent < 0) return NO_GOAL - base;
    uint64_t percent = (uint64_t)f->percent;
    uint64_t growth = cheap_growth(f, part(base + f->stack_bytes + f->root_bytes, percent));
    /* A small GOGC asks for a small heap: the runway shrinks with it, as Go's minimum does. */
    uint64_t least = least_runway(f);
    if (percent < 100) least = least * percent / 100;
    return mo_min(mo_max(growth, least), NO_GOAL - base);
}

/* Of what was allocated during the mark, how much will live: as much as lived of all, where GOGC
 * expects that a part dies. */
static double survival(const mo_pace_facts *f) {
    if (f->percent <= 0 || f->begin_bytes == 0) return 1;
    double survived = (double)f->traced_bytes / (double)f->begin_bytes;
    double expected = 100.0 / (100.0 + f->percent);
    return clamp((survived - expected) / (1 - expected), 0, 1);
}

/* How early a collection begins at most, as a part of the room, where the program allocates `need`
 * of the room meanwhile. One that allocates faster than can be marked waits in any case: it begins
 * late, since what is allocated meanwhile is kept, and makes collections more frequent. Who may be
 * kept up with is given half of the room; where a wait would be long, up to a quarter more than it
 * needs, and the benefit of the doubt. */
static double most_early(double need, bool is_long) {
    double sure = is_long ? 0.7 : 1. / 3, none = is_long ? 1 : 2. / 3;
    double most = is_long && need > 0.4 ? 1.25 * (need < sure ? need : sure) : 0.5;
    return most - (most - LATE) * clamp((need - sure) / (none - sure), 0, 1);
}

mo_pace_plan mo_pace_next(const mo_pace_facts *f) {
    mo_pace_plan p = {0};
    p.base_bytes = f->traced_bytes + (uint64_t)((double)f->new_bytes * survival(f));
    uint64_t growth = growth_of(f, p.base_bytes);
    p.goal_bytes = p.base_bytes + growth;
    uint64_t now = f->traced_bytes + f->new_bytes; /* counted as live when it ended */
    double ahead = clamp(f->alloc_rate * (double)f->cycle_ns, 0, MOST_AHEAD);
    if (p.goal_bytes > f->limit_bytes) {
        /* Below this the program would have less than half of the time: rather than spend all on
         * collecting, the limit is exceeded, and that is told. */
        uint64_t floor = now + mo_max((uint64_t)ahead, (uint64_t)RUNWAY_MIN_BYTES);
        p.is_over_limit = f->limit_bytes < floor;
        p.goal_bytes = mo_min(p.goal_bytes, mo_max(f->limit_bytes, floor));
    }
    p.goal_bytes = mo_max(p.goal_bytes, now + mo_min(growth / 8, (uint64_t)RUNWAY_MAX_BYTES));
    p.trigger_bytes = p.goal_bytes;
    if (f->is_concurrent && p.goal_bytes < NO_GOAL) {
        double room = (double)(p.goal_bytes - now);
        uint64_t takes_ns = mo_max(f->cycle_ns, f->faded_ns);
        double need = f->alloc_rate * (double)takes_ns / (room + 1);
        double most = most_early(need, takes_ns > LONG_NS);
        p.trigger_bytes -= (uint64_t)(room * clamp(need * 2, 1. / 16, most));
    }
    return p;
}

/* ---------------------------------------------------------------- the limit */

uint64_t mo_pacer_metadata_bytes(void) {
    return mo_load_rlx(&mo_the_heap.committed_table_bytes) /* an estimate */ + mo_os_mapped_bytes();
}

uint64_t mo_pacer_used_bytes(void) {
    mo_heap *h = &mo_the_heap;
    uint64_t pages =
        mo_load_rlx(&h->pages.num_pages) - mo_load_rlx(&h->pages.num_released); /* an estimate */
    return (pages << MO_PAGE_SHIFT) + mo_pacer_metadata_bytes();
}

/* What the limit leaves for objects: less tables and buffers, less the gaps between objects as they
 * were at the end of the last mark, less a part for what nobody has thought of. */
static uint64_t limit_for_objects(void) {
    mo_gc *gc = &mo_the_gc;
    if (gc->memory_limit == INT64_MAX) return UINT64_MAX;
    uint64_t limit = (uint64_t)gc->memory_limit - (uint64_t)gc->memory_limit / 32;
    uint64_t other = mo_pacer_metadata_bytes() + gc->gap_bytes;
    return limit - mo_min(limit, other);
}

static void set_page_limit(void) {
    mo_gc *gc = &mo_the_gc;
    uint64_t pages = UINT64_MAX;
    if (gc->memory_limit != INT64_MAX) {
        uint64_t limit = (uint64_t)gc->memory_limit;
        limit -= mo_min(limit, mo_pacer_metadata_bytes());
        pages = limit >> MO_PAGE_SHIFT;
    }
    mo_store_rlx(&mo_the_heap.limit_pages, pages); /* read without the lock, an estimate */
}

/* In pages the heap is larger than its goal, at least by what it was. */
static void set_large_limit(uint64_t goal) {
    const mo_gc *gc = &mo_the_gc;
    uint64_t most = mo_max(goal, mo_load_rlx(&gc->peak_bytes)); /* written by who collects */
    uint64_t pages = (most + most / LARGE_MORE_SHARE + LARGE_MORE_BYTES) >> MO_PAGE_SHIFT;
    if (gc->percent < 0) pages = UINT64_MAX;
    mo_store_rlx(&mo_the_heap.large_limit_pages, pages); /* read as an estimate */
}

static mo_pace_plan plan_now(void) {
    const mo_gc *gc = &mo_the_gc;
    mo_pace_facts f = {
        .percent = gc->percent,
        .is_concurrent = mo_barrier_is_on(),
        .traced_bytes = gc->traced_bytes,
        .new_bytes = gc->marked_bytes - mo_min(gc->traced_bytes, gc->marked_bytes),
        .begin_bytes = gc->begin_bytes,
        .stack_bytes = gc->stack_bytes,
        .root_bytes = gc->root_bytes,
        .cycle_ns = gc->cycle_ns,
        .faded_ns = gc->faded_ns,
        .cost_ns = gc->last_cpu_ns,
        .alloc_rate = gc->alloc_rate,
        .limit_bytes = limit_for_objects(),
    };
    return mo_pace_next(&f);
}

static void follow(mo_pace_plan p) {
    mo_gc *gc = &mo_the_gc;
    /* Slots that caches had claimed count as live already, used or not. */
    uint64_t trigger = p.trigger_bytes + gc->unused_bytes;
#if MO_MUTANT_pacer_forgets_unused
    trigger = p.trigger_bytes;
#endif
    mo_store_rlx(&gc->goal_bytes, p.goal_bytes); /* read without the lock, each for itself */
    set_large_limit(p.goal_bytes);
    mo_store_rlx(&gc->trigger_bytes, trigger); /* likewise */
}

void mo_pacer_set(void) {
    mo_pace_plan p = plan_now();
    if (p.is_over_limit) mo_the_gc.num_over_limit++;
    set_page_limit();
    follow(p);
}

/* A server that has built its data allocates more slowly from then on: by the old rate it would
 * seem to allocate faster than can be marked, and its collection would begin late. Falls slowly:
 * who pauses may go on as before. */
void mo_pacer_note_rate(double rate) {
    mo_gc *gc = &mo_the_gc;
    double kept = gc->alloc_rate / 2;
    gc->alloc_rate = rate > kept ? rate : kept;
    follow(plan_now());
}

/* ---------------------------------------------------------------- while it runs */

static int64_t live_now(void) { return mo_load_rlx(&mo_the_heap.live_bytes); /* an estimate */ }

/* How far beyond its goal a heap may come before threads all but stand still: where the memory
 * limit sets the goal, not far. */
static int64_t slack_of(int64_t goal) {
    bool is_limited = mo_load_rlx(&mo_the_heap.limit_pages) != UINT64_MAX; /* an estimate */
    return goal / (is_limited ? LIMITED_SLACK_SHARE : SLACK_SHARE);
}

/* Fresh pages cost new objects no fault. But where what dies leaves holes only and no empty span,
 * each cycle would add some: not beyond what a heap at its goal takes, and a FRESH_SHAREth, nor
 * beyond the memory limit. */
static int64_t fresh_pages(int64_t goal, int64_t room) {
#if MO_MUTANT_pacer_always_fresh
    return room >> MO_PAGE_SHIFT;
#endif
    uint64_t limit = mo_load_rlx(&mo_the_heap.limit_pages); /* an estimate */
    int64_t most = (int64_t)mo_min((uint64_t)(goal + goal / FRESH_SHARE) >> MO_PAGE_SHIFT, limit);
    int64_t left = most - (int64_t)mo_load_rlx(&mo_the_heap.inuse_pages); /* an estimate */
    int64_t want = room >> MO_PAGE_SHIFT;
    return left < want ? left : want;
}

void mo_pace_begin(bool is_rushed, double alloc_rate) {
    mo_gc *gc = &mo_the_gc;
    mo_pace *p = &mo_the_pace;
    int64_t begin = live_now(); /* an estimate, as all of it */
    int64_t goal = (int64_t)(mo_load_rlx(&gc->goal_bytes) + gc->unused_bytes); /* likewise */
    int64_t room = larger(goal - begin, larger(goal / 16, RUNWAY_MIN_BYTES / 2));
    double survived = gc->begin_bytes ? (double)gc->traced_bytes / (double)gc->begin_bytes : 1;
    double work = (double)larger(begin, 0) * clamp(survived, 0, 1);
    /* One that somebody asked for, often when something had just been built, tells nothing of what
     * dies in between. Too little work expected lets the heap come to its goal early; too much
     * makes threads wait for marking that is not to come. */
    if (gc->last_was_asked) work = (double)mo_min(gc->traced_bytes, (uint64_t)larger(begin, 0));
    bool keeps_up = alloc_rate * (double)gc->cycle_ns <= (double)room;
    int64_t head = keeps_up ? larger(room / 8, goal / HEAD_SHARE) : room / 8;
    double lead = gc->cycle_ns ? (double)gc->lead_ns / (double)gc->cycle_ns : 0;
    double clean = gc->clean_bytes ? clamp(gc->clean_share, 0, 0.5) : FIRST_CLEAN_SHARE;
    int64_t lead_room = (int64_t)((double)room * clamp(lead, 0.125, 0.5));
    int64_t clean_room = (int64_t)((double)(room - room / 8 - lead_room) * clean);
    mo_store_rlx(&p->begin, begin);             /* all of it: estimates, no order among them */
    mo_store_rlx(&p->room, room);               /* likewise */
    mo_store_rlx(&p->head, head);               /* likewise */
    mo_store_rlx(&p->work, 1 + (uint64_t)work); /* likewise */
    mo_store_rlx(&p->lead, lead_room);          /* likewise */
    mo_store_rlx(&p->clean, clean_room);        /* likewise */
    mo_store_rlx(&p->slack, slack_of(larger(goal, begin)));         /* likewise */
    mo_store_rlx(&p->is_rushed, is_rushed);                         /* likewise */
    mo_store_rlx(&mo_the_heap.fresh_left, fresh_pages(goal, room)); /* likewise */
    mo_store_rlx(&p->done, 0);                                      /* likewise */
    mo_store_rlx(&p->is_braked, 0);                                 /* likewise */
    mo_store_rlx(&p->is_on, MO_PACE_LEAD);                          /* likewise */
}

bool mo_pace_is_before_mark(void) {
    return mo_load_rlx(&mo_the_pace.is_on) == MO_PACE_LEAD; /* an estimate */
}

void mo_pace_begin_mark(void) {
    mo_the_pace.begin_ns = mo_clock_ns();
    mo_store_rlx(&mo_the_pace.is_on, MO_PACE_MARK); /* estimates */
}

void mo_pace_mark_done(void) {
    mo_pace *p = &mo_the_pace;
    uint64_t now = mo_clock_ns();
    p->mark_ns = now - p->begin_ns;
    p->begin_ns = now;
    mo_store_rlx(&p->is_on, MO_PACE_CLEAN); /* estimates: for a moment all of the room is allowed */
    mo_store_rlx(&p->done, 0);              /* likewise */
    mo_store_rlx(&p->work, mo_max(mo_the_gc.clean_bytes, 1)); /* likewise */
}

/* One that was asked for finds a program that waits for it, and little that was written. */
static void note_clean(mo_pace *p) {
    uint64_t took = mo_clock_ns() - p->begin_ns;
    mo_the_gc.clean_share = (double)took / (double)(took + p->mark_ns + 1);
    mo_the_gc.clean_bytes = mo_load_rlx(&p->done) + 1; /* an estimate */
}

void mo_pace_brake(void) { mo_store_rlx(&mo_the_pace.is_braked, 1); /* likewise */ }

void mo_pace_end(void) {
    bool was_asked = mo_load_rlx(&mo_the_pace.is_rushed); /* likewise */
    if (mo_load_rlx(&mo_the_pace.is_on) == MO_PACE_CLEAN && !was_asked)
        note_clean(&mo_the_pace);                  /* likewise */
    mo_store_rlx(&mo_the_pace.is_on, MO_PACE_OFF); /* likewise */
    mo_store_rlx(&mo_the_pace.is_braked, 0);       /* likewise */
}

uint32_t mo_pace_suspend(void) {
    uint32_t phase = mo_load_rlx(&mo_the_pace.is_on);    /* likewise */
    mo_store_rlx(&mo_the_pace.is_on, MO_PACE_SUSPENDED); /* likewise */
    return phase;
}

void mo_pace_resume(uint32_t phase) { mo_store_rlx(&mo_the_pace.is_on, phase); /* likewise */ }

/* What may have been allocated since it began, by how far the phase is: in step with it, and head
 * more. */
static int64_t allowed(int64_t head) {
    const mo_pace *p = &mo_the_pace;
    bool is_clean = mo_load_rlx(&p->is_on) == MO_PACE_CLEAN;                      /* estimates */
    double share = (double)mo_load_rlx(&p->done) / (double)mo_load_rlx(&p->work); /* likewise */
    int64_t room = mo_load_rlx(&p->room), lead = mo_load_rlx(&p->lead);           /* likewise */
#if MO_MUTANT_pacer_forgets_written
    return head + lead + (int64_t)((double)(room - room / 8 - lead) * (is_clean ? 1 : share));
#endif
    int64_t clean = mo_load_rlx(&p->clean), mark = room - room / 8 - lead - clean; /* likewise */
    int64_t before = is_clean ? mark : 0, part = is_clean ? clean : mark;
    return head + lead + before + (int64_t)((double)part * clamp(share, 0, 1));
}

bool mo_pace_did(uint64_t bytes) {
    mo_pace *p = &mo_the_pace;
    mo_add_rlx(&p->done, bytes); /* a count */
    /* All of it: estimates. */
    if (mo_load_rlx(&p->is_on) != MO_PACE_MARK || mo_load_rlx(&p->is_rushed)) return false;
    return live_now() - mo_load_rlx(&p->begin) <= allowed(0);
}

/* Beyond the goal it is longer, at slack beyond it all but a standstill. */
static double nap_beyond(int64_t over, int64_t slack) {
    double share = (double)over / (double)(slack + 1);
    return over > 0 ? clamp(share * share, 0, 1) * LONGEST_NAP_NS : 0;
}

int64_t mo_pace_delay(size_t size, int64_t waited_ns, bool is_asked) {
    mo_pace *p = &mo_the_pace;
    double nap = 0;
#if MO_MUTANT_pacer_never_waits
    return 0;
#endif
    uint32_t phase = mo_load_rlx(&p->is_on); /* all of it: estimates */
    if (phase == MO_PACE_OFF && is_asked) {
        /* It has not begun yet, or is not quite over. */
        int64_t goal = (int64_t)mo_load_rlx(&mo_the_gc.goal_bytes);
        nap = nap_beyond(live_now() - goal, slack_of(goal));
    } else if (phase != MO_PACE_OFF && phase != MO_PACE_SUSPENDED) {
        int64_t past = live_now() - mo_load_rlx(&p->begin), head = mo_load_rlx(&p->head),
                room = mo_load_rlx(&p->room); /* likewise */
        if (past > allowed(head)) nap = NAP_NS + (double)(size / NAP_BYTES) * NAP_NS;
        if (mo_load_rlx(&p->is_braked) && nap < NAP_NS) nap = NAP_NS; /* an estimate */
        nap += nap_beyond(past - (room - room / 8 + head), mo_load_rlx(&p->slack)); /* likewise */
    }
    /* In pieces: it may become superfluous. */
    nap -= (double)waited_ns;
    return nap < NAP_NS ? (int64_t)clamp(nap, 0, NAP_NS) : NAP_NS;
}
