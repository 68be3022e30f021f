/* cycle.c - one collection, step by step.
 *
 * In one stop     stop; mark from the roots; make every span unswept; start.
 * While threads run, if the barrier is on (docs/design/barrier.md)
 *                 arm; stop; new objects are black, scan the roots; start; mark; take and scan
 *                 again what was written, a few rounds; stop; scan again what was written since,
 *                 and the roots; mark what that leads to; make every span unswept; start.
 *
 * Floor   gc.
 * Locks   gc.lock for the whole collection, gc.sweep_lock likewise (keeps the background sweeper
 *         out), gc.phase_lock except while it marks beside the program; then the registry lock
 *         through a stop.
 * Order   unswept spans must be gone before marking begins, or a second mark would clear the bits
 *         a sweep still has to read; the loader's list must be checked after the stop, since
 *         until then an object may be loaded and filled with pointers. Arming comes before new
 *         objects are black, the last report after the last stop.
 */
#include "gc/cycle.h"

#include <stdio.h>
#include <string.h>

#include "gc/barrier.h"
#include "gc/check.h"
#include "gc/mark.h"
#include "gc/pacer.h"
#include "gc/page_copies.h"
#include "gc/roots.h"
#include "gc/types.h"
#include "sched/census.h"
#include "sched/g.h"

enum {
    WORKER_BYTES = 2 << 20, /* live heap per mark worker: a smaller share is not worth waking one */
    GOROUTINE_WORK = 256,   /* bytes whose marking takes as long as a look at a stack */
    LOADER_TRIES = 100,
#if MO_MUTANT_barrier_forgets_final
    MAX_ROUNDS = 0, /* so that the last stop has all to do */
#else
    MAX_ROUNDS = 8,
#endif
    RUSHED_FACTOR = 4,
    STOP_NS = 150000, /* what a stop takes that has nothing to scan */

    BRAKE_ROUND = 4,    /* earlier ones make copies of pages, which pay in later ones */
    COPIES_SHARE = 32,  /* one part in so many of the heap for copies of pages */
    RATE_NS = 100000,   /* a shorter time says nothing about the rate of allocation */
    HELPER_PAGES = 100, /* helpers are woken in the last stop for so many, */
    HELPER_REPORTS = 8, /* or so many reports, */
    HELPER_ROOTS = 64,  /* or so many pieces of roots */
};

typedef struct cycle {
    mo_gc_reason reason;
    uint64_t begin_ns;
    uint64_t stop_ns, stopped_ns, marked_ns, end_ns; /* of the last stop */
    uint64_t first_stop_ns, first_end_ns;            /* of the first of two; 0: there is one */
    uint64_t goal;
    uint64_t live_before, live_after; /* the heap when it began, when marking ended */
    uint64_t claimed_before;          /* bytes handed out ever, in the first stop */
    uint64_t round_pages[MAX_ROUNDS + 1];
    uint32_t num_rounds;
    uint64_t predicted_ns; /* of the last stop */
    bool has_braked;
    bool is_over_limit;
    uint64_t throttled_before; /* all waiting for marking until it began */
    uint32_t workers;
    mo_mark_result mark;
} cycle;

static void begin_sweep(mo_central *c, void *arg) {
    (void)arg;
    mo_central_begin_sweep(c);
}

/* Workers that suit the heap, by what the last collection found: a small one is marked before a
 * second worker wakes. */
static uint32_t choose_workers(void) {
    mo_gc *gc = &mo_the_gc;
    uint64_t work = gc->marked_bytes + mo_g_count() * GOROUTINE_WORK;
    return (uint32_t)mo_min(1 + work / WORKER_BYTES, gc->max_workers);
}

/* Stops the world with an up-to-date list of loaded objects. */
static void stop_with_roots(mo_thread *t) {
    for (int i = 0;; i++) {
        uint32_t phase = mo_pace_suspend(); /* it takes the loader's lock */
        bool is_listed = mo_roots_list_objects();
        mo_pace_resume(phase);
        if (!is_listed) mo_fatal("memory exhausted while listing loaded objects; raise the limit");
        mo_world_stop(t);
#if MO_MUTANT_stop_ignores_loader
        return;
#endif
        if (mo_roots_still_current() || i >= LOADER_TRIES) return;
        mo_world_start(); /* the loader is at work in a thread that must run on */
        static uint32_t never;
        if (i > 2) mo_futex_wait(&never, 0, 100000);
    }
}

static uint64_t claimed_bytes(void) {
    uint64_t bytes = mo_the_world.gone_bytes;
    for (const mo_thread *t = mo_the_world.threads; t; t = t->next)
        bytes += mo_load_rlx(&t->cache.claimed_bytes); /* all are stopped */
    return bytes;
}

static uint64_t unused_bytes(void) {
    uint64_t objects = 0, bytes = 0;
    for (const mo_thread *t = mo_the_world.threads; t; t = t->next)
        mo_cache_unused(&t->cache, &objects, &bytes);
    return bytes;
}

/* What follows a mark. black_bytes: allocated while it ran. World stopped. */
static void end_mark(mo_thread *t, cycle *c, uint64_t black_bytes) {
    mo_gc *gc = &mo_the_gc;
    mo_heap *h = &mo_the_heap;
    c->mark = mo_mark_totals();
    gc->root_bytes = c->mark.root_bytes - mo_min(gc->stack_bytes, c->mark.root_bytes);
    gc->stack_bytes += c->mark.stack_bytes;
    c->marked_ns = mo_clock_ns();
    if (gc->debug.checkmark) mo_check_mark(t->sp);
#if MO_VARIETY >= 2
    mo_check_typed_fields();
#endif
#if MO_MUTANT_start_before_sweep
    mo_store_rel(&mo_the_world.stopping, 0); /* [R] of stop.c, too early: with stop.c [P] */
    mo_futex_wake(&mo_the_world.stopping, INT32_MAX);
    mo_futex_wait(&(uint32_t){0}, 0, 200000);
#endif
    uint64_t peak = mo_load_rlx(&h->inuse_pages) << MO_PAGE_SHIFT; /* all are stopped */
    mo_store_rlx(&gc->peak_bytes, peak); /* the background thread glances at it */
    int64_t held = mo_load_rlx(&h->live_bytes);
    c->live_after = mo_max(held > 0 ? (uint64_t)held : 0, c->mark.bytes);
    gc->gap_bytes = peak - mo_min(peak, c->live_after);
    mo_store_rlx(&h->is_marking, false); /* as in first_stop */
    h->sweepgen++;
    mo_gc_each_central(false, begin_sweep, NULL);
    for (mo_thread *each = mo_the_world.threads; each; each = each->next) {
        mo_cache_sweep(&each->cache);
        each->cache.live_delta = 0;
    }
    gc->unused_bytes = unused_bytes();
    gc->traced_bytes = c->mark.bytes;
    gc->marked_bytes = c->mark.bytes + black_bytes - mo_min(black_bytes, gc->unused_bytes);
    gc->begin_bytes = c->live_before;
    if (c->mark.cpu_ns > 0 && c->mark.bytes > 0)
        gc->mark_rate = (double)c->mark.bytes / (double)c->mark.cpu_ns;
    mo_store_rlx(&h->live_bytes, (int64_t)(gc->marked_bytes + gc->unused_bytes)); /* all stopped */
}

static void begin_mark(mo_thread *t) {
    mo_gc *gc = &mo_the_gc;
    for (mo_thread *each = mo_the_world.threads; each; each = each->next)
        mo_cache_begin_mark(&each->cache);
    if (gc->debug.verify) mo_check_heap();
    /* TSan has a thread of its own. */
    if (gc->debug.gctrace || (MO_VARIETY >= 2 && !MO_TSAN)) mo_census_name_unknown();
    mo_mark_begin();
    gc->stack_bytes = mo_roots_add_all(t);
}

/* For the last run. A second mark that checks the first looks at ranges only. Returns the pieces.
 */
static uint32_t add_goroutines(void) {
    mo_gc *gc = &mo_the_gc;
    if (!gc->debug.checkmark) return mo_roots_add_goroutines();
    gc->stack_bytes += mo_roots_add_goroutine_ranges();
    return 0;
}

static void run_stopped(mo_thread *t, cycle *c) {
    begin_mark(t);
    mo_mark_scan_manual();
    add_goroutines();
    mo_mark_run(c->workers - 1, true);
    end_mark(t, c, 0);
}

static void count_cycle(cycle *c) {
    mo_gc *gc = &mo_the_gc;
    uint64_t pause = c->end_ns - c->stop_ns, first = c->first_end_ns - c->first_stop_ns;
    gc->num_gc++;
    if (c->reason == MO_GC_FORCED) gc->num_forced++;
    if (c->first_stop_ns) {
        gc->num_concurrent++;
        gc->dirty_pages = 0;
        for (uint32_t i = 0; i < c->num_rounds; i++) gc->dirty_pages += c->round_pages[i];
        gc->dirty_pages_last = c->round_pages[c->num_rounds - 1];
        gc->predicted_ns = c->predicted_ns;
    }
    gc->pause_total_ns += pause + first;
    gc->pause_last_ns = pause;
    gc->pause_max_ns = mo_max(gc->pause_max_ns, mo_max(pause, first));
    gc->gc_cpu_ns += c->mark.cpu_ns;
    gc->last_cpu_ns = c->mark.cpu_ns;
    gc->last_was_asked = c->reason != MO_GC_HEAP;
    gc->faded_ns = mo_max(gc->faded_ns, gc->cycle_ns) / 4 * 3;
    /* One that all processors were used for takes longer beside a program: that wants them too, and
     * its stores split huge pages. 1.4 s became of 0.33 s of processor time on one processor. */
    gc->cycle_ns = c->end_ns - c->begin_ns;
    if (gc->last_was_asked) gc->cycle_ns = mo_max(gc->cycle_ns, RUSHED_FACTOR * c->mark.cpu_ns);
    gc->lead_ns = (c->first_stop_ns ? c->first_stop_ns : c->stop_ns) - c->begin_ns;
    uint64_t objects, bytes, freed_objects, freed_bytes;
    mo_gc_alloc_totals(&objects, &bytes, &freed_objects, &freed_bytes);
    mo_store_rlx(&gc->alloc_at_last, bytes); /* the background thread glances at it */
    gc->last_end_ns = c->end_ns;
    uint64_t over_limit = gc->num_over_limit;
    mo_pacer_set();
    c->is_over_limit = gc->num_over_limit != over_limit;
}

/* Go's line, so that its readers work. Where the mark was made in one stop, the concurrent phase is
 * empty, and the mark stands in the second stop. A line of our own follows where there were two. */
static void trace_cycle(const cycle *c) {
    mo_gc *gc = &mo_the_gc;
    double ms = 1e-6, since = (double)(c->end_ns - gc->start_ns);
    bool is_split = c->first_stop_ns != 0;
    double first =
        (double)(is_split ? c->first_end_ns - c->first_stop_ns : c->stopped_ns - c->stop_ns) * ms;
    double between = is_split ? (double)(c->stop_ns - c->first_end_ns) * ms : 0;
    double last = (double)(c->end_ns - (is_split ? c->stop_ns : c->stopped_ns)) * ms;
    double cpu = (double)c->mark.cpu_ns * ms;
    mo_print("gc %llu @%.3fs %.0f%%: %.3f+%.3g+%.3f ms clock, %.3f+0/%.3g/0+%.3f ms cpu, "
             "%llu->%llu->%llu MB, %llu MB goal, "
             "%llu MB stacks, %llu MB globals, %u P%s\n",
             (unsigned long long)gc->num_gc, since * 1e-9,
             since > 0 ? 100.0 * (double)gc->gc_cpu_ns / since : 0, first, between, last, first,
             is_split ? cpu : 0, is_split ? last : cpu, (unsigned long long)c->live_before >> 20,
             (unsigned long long)c->live_after >> 20, (unsigned long long)gc->marked_bytes >> 20,
             (unsigned long long)c->goal >> 20, (unsigned long long)gc->stack_bytes >> 20,
             (unsigned long long)gc->root_bytes >> 20, c->workers,
             c->reason == MO_GC_FORCED ? " (forced)" : "");
    if (c->is_over_limit)
        mo_print(
            "mound: gc %llu: the memory limit of %llu MB leaves the program less than half of the "
            "time: exceeded\n",
            (unsigned long long)gc->num_gc, (unsigned long long)gc->memory_limit >> 20);
    if (!is_split) return;
    char rounds[128];
    size_t len = 0;
    for (uint32_t i = 0; i < c->num_rounds && len < sizeof rounds - 24; i++)
        len += (size_t)snprintf(rounds + len, sizeof rounds - len, i ? ",%llu" : "%llu",
                                (unsigned long long)c->round_pages[i]);
    mo_print(
        "mound: gc %llu: barrier %s, pages scanned again %s%s, last stop predicted %.3f ms, was "
        "%.3f ms of which %.3f to stop, threads waited %.3g ms, %.2f GB/s of marker CPU\n",
        (unsigned long long)gc->num_gc, mo_barrier_text(), rounds,
        c->has_braked ? " (allocation slowed)" : "", (double)c->predicted_ns * ms, last,
        (double)(c->stopped_ns - c->stop_ns) * ms,
        (double)(mo_load_rlx(&gc->throttled_ns) - c->throttled_before) * ms, /* statistics */
        c->mark.cpu_ns ? (double)c->mark.bytes / (double)c->mark.cpu_ns : 0);
}

/* ---------------------------------------------------------------- in one stop */

static void mark_in_one_stop(mo_thread *t, cycle *c) {
    c->stop_ns = mo_clock_ns();
    stop_with_roots(t);
    c->stopped_ns = mo_clock_ns();
    run_stopped(t, c);
    c->end_ns = mo_clock_ns();
    count_cycle(c);
    mo_world_start();
}

/* ---------------------------------------------------------------- while threads run */

static void first_stop(mo_thread *t, cycle *c) {
    c->first_stop_ns = mo_clock_ns();
    stop_with_roots(t);
    begin_mark(t);
    mo_mark_scan_roots();
    c->claimed_before = claimed_bytes() - unused_bytes();
    mo_store_rlx(&mo_the_heap.is_marking, true); /* sysmon does not stand: mo_roots_settle_stacks */
    c->first_end_ns = mo_clock_ns();
    mo_world_start();
}

/* How long the last stop would be if so many pages were written. */
static uint64_t predict_stop(const cycle *c, double pages) {
    return STOP_NS + (uint64_t)(pages * mo_the_gc.page_ns / c->workers);
}

/* Until the last stop is short enough, or a round does not help any more: then writers are faster
 * than we. Threads that allocate are slowed down before we give up; others cannot be. */
static void pre_clean(cycle *c, uint32_t num_helpers) {
    mo_gc *gc = &mo_the_gc;
    uint64_t last = UINT64_MAX, taken_ns = c->first_end_ns;
    while (c->num_rounds < MAX_ROUNDS) {
        uint64_t begin = mo_clock_ns();
        mo_barrier_take();
        mo_mark_run(num_helpers, false);
        uint64_t end = mo_clock_ns(), pages = mo_barrier_num_rescanned();
        c->round_pages[c->num_rounds++] = pages;
        if (pages >= HELPER_PAGES)
            gc->page_ns = (double)(end - begin) / (double)pages * (num_helpers + 1);
        double per_ns = (double)pages / (double)(begin - taken_ns + 1);
        c->predicted_ns = predict_stop(c, per_ns * (double)(end - begin));
        if (c->predicted_ns <= gc->pause_target_ns) return;
        if (pages > last / 5 * 4) {
            if (c->has_braked) return;
            c->has_braked = c->num_rounds >= BRAKE_ROUND;
            if (c->has_braked) mo_pace_brake();
        }
        last = pages;
        taken_ns = begin;
    }
}

static void last_stop(mo_thread *t, cycle *c) {
    c->stop_ns = mo_clock_ns();
    stop_with_roots(t);
    c->stopped_ns = mo_clock_ns();
    uint32_t reports = mo_barrier_final();
    mo_the_gc.stack_bytes = mo_roots_add_all(t);
    reports += add_goroutines();
    uint64_t expected = c->num_rounds > 0 ? c->round_pages[c->num_rounds - 1] : HELPER_PAGES;
    bool is_small =
        reports < HELPER_REPORTS && expected < HELPER_PAGES && mo_mark_num_roots() < HELPER_ROOTS;
    if (mo_the_gc.debug.checkmark) is_small = true; /* see find_work */
    mo_mark_run(is_small ? 0 : c->workers - 1, true);
    c->round_pages[c->num_rounds++] = mo_barrier_num_rescanned();
    end_mark(t, c, claimed_bytes() - c->claimed_before);
    c->end_ns = mo_clock_ns();
    count_cycle(c);
    mo_pace_end();
    mo_world_start();
}

static void release_empty(mo_central *c, void *arg) {
    (void)arg;
    if (c->kind == MO_KIND_MANUAL) mo_central_release_empty(c);
}

static bool mark_while_threads_run(mo_thread *t, cycle *c) {
#if !MO_MUTANT_barrier_arms_late
    if (!mo_barrier_arm(c->workers)) return false;
#endif
    first_stop(t, c);
    mo_pace_begin_mark();
    mo_lock_release_unranked(&mo_the_gc.phase_lock);
    uint64_t before_ns = mo_the_gc.last_end_ns;
    uint32_t num_helpers = c->workers - 1;
    mo_mark_scan_manual_pages();
    mo_roots_settle_stacks();
    mo_roots_add_goroutines();
    mo_mark_run(num_helpers, false);
#if MO_MUTANT_barrier_arms_late
    mo_barrier_arm(c->workers);
#endif
    mo_pace_mark_done();
    mo_page_copies_begin(c->live_before / COPIES_SHARE);
    pre_clean(c, num_helpers);
    /* Out of rank: whoever has it while objects are marked takes none of ours. */
    mo_lock_acquire_unranked(&mo_the_gc.phase_lock);
    last_stop(t, c);
    mo_barrier_disarm(before_ns);
    mo_gc_each_central(false, release_empty, NULL);
    return true;
}

/* What threads allocate while no collection runs; a moment without work does not count fully.
 * Returns what is believed then. */
static double note_alloc_rate(mo_thread *t, uint64_t now_ns) {
    mo_gc *gc = &mo_the_gc;
    uint64_t objects, bytes, freed_objects, freed_bytes;
    mo_lock_acquire_blocking(t, &mo_the_world.registry);
    mo_gc_alloc_totals(&objects, &bytes, &freed_objects, &freed_bytes);
    uint64_t since = now_ns - (gc->last_end_ns ? gc->last_end_ns : gc->start_ns);
    double rate = (double)(bytes - mo_min(bytes, gc->alloc_at_last)) / (double)(since + 1);
    /* Of a short time it is a guess, and the larger one is safe. */
    bool is_sure = since > gc->cycle_ns;
    if (since >= RATE_NS && (is_sure || rate > gc->alloc_rate)) gc->alloc_rate = rate;
    rate = gc->alloc_rate;
    mo_lock_release(&mo_the_world.registry);
    return rate;
}

static void unmark(mo_span *s) {
    if (s->kind == MO_KIND_MANUAL) return;
    uint64_t *mark = mo_span_mark_bits(s);
    const uint64_t *alloc = mo_span_alloc_bits(s);
    for (uint32_t w = 0; w < mo_span_words(s); w++) mark[w] = ~alloc[w];
}

void mo_cycle_drop_in_child(void) {
#if !MO_MUTANT_fork_child_stays_marked
    mo_heap_each_span(unmark);
#endif
    mo_the_heap.is_marking = false;
    mo_pace_end();
    mo_mark_forget_roots();
}

void mo_cycle_run(mo_thread *t, mo_gc_reason reason, bool while_threads_run) {
    cycle c = {.reason = reason};
    mo_store_rlx(&mo_the_gc.num_begun, mo_the_gc.num_begun + 1); /* see mo_gc_collect */
    c.begin_ns = mo_clock_ns();
    int64_t live = mo_load_rlx(&mo_the_heap.live_bytes); /* an estimate */
    c.live_before = live > 0 ? (uint64_t)live : 0;
    c.goal = mo_load_rlx(&mo_the_gc.goal_bytes); /* an estimate */
    double rate = note_alloc_rate(t, c.begin_ns);
    c.throttled_before = mo_load_rlx(&mo_the_gc.throttled_ns); /* statistics */
    if (while_threads_run) mo_pace_begin(reason != MO_GC_HEAP, rate);
    mo_lock_acquire_blocking(t, &mo_the_gc.phase_lock);
    mo_lock_acquire(&mo_the_gc.sweep_lock);
    mo_gc_sweep_all();
    c.workers = 1 + mo_mark_prepare(choose_workers() - 1);
    if (!while_threads_run || !mark_while_threads_run(t, &c)) mark_in_one_stop(t, &c);
    mo_pace_end();
    mo_mark_forget_roots();
    mo_lock_release(&mo_the_gc.sweep_lock);
    mo_lock_release(&mo_the_gc.phase_lock);
    if (mo_the_gc.debug.gctrace) trace_cycle(&c);
}
