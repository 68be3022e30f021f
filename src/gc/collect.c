/* collect.c - one collection, from finding out that it is due to the lazy sweep.
 *
 * The thread that finds the trigger reached collects; others that find it too wait for it (they
 * count as stopped) and go on. See gc.h for the steps. What the stop contains: asking the threads
 * to stop, marking, joining the span lists, sweeping the spans that caches own.
 *
 * Floor   gc.
 * Locks   gc.lock for the whole collection, gc.sweep_lock likewise (keeps the background sweeper
 *         out), then the registry lock through the stop.
 * Order   unswept spans must be gone before the stop, or a second mark would clear the bits a
 *         sweep still has to read; the loader's list must be checked after the stop, since until
 *         then an object may be loaded and filled with pointers.
 */
#include <string.h>

#include "gc/background.h"
#include "gc/check.h"
#include "gc/gc.h"
#include "gc/mark.h"
#include "gc/roots.h"
#include "gc/specials.h"
#include "gc/types.h"
#include "sched/census.h"

MO_GLOBAL mo_gc mo_the_gc;

enum {
    WORKER_BYTES = 2 << 20, /* live heap per mark worker: a smaller share is not worth waking one */
    LOADER_TRIES = 100,
    HEAP_WAIT_NS = 1000000,
    SWEEP_POLL_NS = 50000,
};

/* ---------------------------------------------------------------- centrals */

void mo_gc_each_central(bool all, void (*fn)(mo_central *c, void *arg), void *arg) {
    for (size_t i = 0; i < MO_NUM_CENTRALS; i++)
        if (all || mo_central_is_used(&mo_centrals[i])) fn(&mo_centrals[i], arg);
    for (uint32_t id = 1, n = mo_type_count(); id <= n; id++) fn(&mo_type_at(id)->central, arg);
}

typedef struct sweep_state {
    uint32_t left;
    uint64_t swept;
} sweep_state;

static void sweep_central(mo_central *c, void *arg) {
    sweep_state *s = arg;
    if (s->left == 0) return;
    uint32_t n = mo_central_sweep(c, s->left);
    s->left -= n;
    s->swept += n;
}

bool mo_gc_sweep_some(uint32_t max) {
    sweep_state s = {max, 0};
    mo_gc_each_central(false, sweep_central, &s);
    return s.swept > 0;
}

static void await_sweeps(mo_central *c, void *arg) {
    (void)arg;
    mo_central_await_sweeps(c);
}

/* await_sweeps has taken every lock under which a cache may have taken a span. */
static void await_caches(void) {
    mo_lock_acquire_blocking(mo_self, &mo_the_world.registry);
    for (mo_thread *t = mo_the_world.threads; t; t = t->next)
        while (mo_load_acq(&t->cache.is_sweeping)) /* [W] pairs with central.c [X] */
            mo_futex_wait(&t->cache.is_sweeping, 1, SWEEP_POLL_NS);
    mo_lock_release(&mo_the_world.registry);
}

void mo_gc_sweep_all(void) {
    mo_gc_sweep_some(UINT32_MAX);
#if !MO_MUTANT_gc_leaves_sweeps
    mo_gc_each_central(false, await_sweeps, NULL);
    await_caches();
#endif
}

/* Before the heap grows for a large object: garbage of other sizes may be unswept. */
void mo_gc_sweep_for(size_t bytes) {
    size_t pages = bytes >> MO_PAGE_SHIFT;
    uint32_t step = 64;
    while (mo_load_rlx(&mo_the_heap.pages.num_free) < pages && mo_gc_sweep_some(step))
        step *= 2; /* an estimate */
}

/* ---------------------------------------------------------------- one cycle */

typedef struct cycle {
    mo_gc_reason reason;
    uint64_t begin_ns, stop_ns, stopped_ns, marked_ns, end_ns;
    uint64_t live_before;
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
    return (uint32_t)mo_min(1 + gc->marked_bytes / WORKER_BYTES, gc->max_workers);
}

/* Stops the world with an up-to-date list of loaded objects. */
static void stop_with_roots(mo_thread *t) {
    for (int i = 0;; i++) {
        if (!mo_roots_list_objects())
            mo_fatal("memory exhausted while listing loaded objects; raise the limit");
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

static void run_stopped(mo_thread *t, cycle *c) {
    mo_gc *gc = &mo_the_gc;
    mo_heap *h = &mo_the_heap;
    for (mo_thread *each = mo_the_world.threads; each; each = each->next)
        mo_cache_begin_mark(&each->cache);
    if (gc->debug.verify) mo_check_heap();
    /* TSan has a thread of its own. */
    if (gc->debug.gctrace || (MO_VARIETY >= 2 && !MO_TSAN)) mo_census_name_unknown();
    gc->stack_bytes = mo_roots_add_all(t);
    c->mark = mo_mark_run(c->workers - 1);
    gc->root_bytes = c->mark.root_bytes - gc->stack_bytes;
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
    h->sweepgen++;
    mo_gc_each_central(false, begin_sweep, NULL);
    uint64_t unused_objects = 0, unused_bytes = 0;
    for (mo_thread *each = mo_the_world.threads; each; each = each->next) {
        mo_cache_sweep(&each->cache);
        each->cache.live_delta = 0;
        mo_cache_unused(&each->cache, &unused_objects, &unused_bytes);
    }
    gc->marked_bytes = c->mark.bytes;
    gc->unused_bytes = unused_bytes;
    mo_store_rlx(&h->live_bytes, (int64_t)(c->mark.bytes + unused_bytes)); /* all are stopped */
}

static void count_cycle(const cycle *c) {
    mo_gc *gc = &mo_the_gc;
    uint64_t pause = c->end_ns - c->stop_ns;
    gc->num_gc++;
    if (c->reason == MO_GC_FORCED) gc->num_forced++;
    gc->pause_total_ns += pause;
    gc->pause_last_ns = pause;
    gc->pause_max_ns = mo_max(gc->pause_max_ns, pause);
    gc->gc_cpu_ns += c->mark.cpu_ns;
    gc->cycle_ns = c->end_ns - c->begin_ns;
    uint64_t objects, bytes, freed_objects, freed_bytes;
    mo_gc_alloc_totals(&objects, &bytes, &freed_objects, &freed_bytes);
    mo_store_rlx(&gc->alloc_at_last, bytes); /* the background thread glances at it */
    mo_pacer_set(c->end_ns);
    gc->last_end_ns = c->end_ns;
}

/* Go's line, so that its readers work: the concurrent phase is empty, the mark stands in the
 * second stop. */
static void trace_cycle(const cycle *c) {
    mo_gc *gc = &mo_the_gc;
    double ms = 1e-6, since = (double)(c->end_ns - gc->start_ns);
    double stopping = (double)(c->stopped_ns - c->stop_ns) * ms;
    double marking = (double)(c->end_ns - c->stopped_ns) * ms;
    double cpu = (double)c->mark.cpu_ns * ms;
    mo_print("gc %llu @%.3fs %.0f%%: %.3f+0+%.3f ms clock, %.3f+0/0/0+%.3f ms cpu, "
             "%llu->%llu->%llu MB, %llu MB goal, "
             "%llu MB stacks, %llu MB globals, %u P%s\n",
             (unsigned long long)gc->num_gc, since * 1e-9,
             since > 0 ? 100.0 * (double)gc->gc_cpu_ns / since : 0, stopping, marking, stopping,
             cpu, (unsigned long long)c->live_before >> 20,
             (unsigned long long)c->live_before >> 20, (unsigned long long)gc->marked_bytes >> 20,
             (unsigned long long)gc->goal_bytes >> 20, (unsigned long long)gc->stack_bytes >> 20,
             (unsigned long long)gc->root_bytes >> 20, c->workers,
             c->reason == MO_GC_FORCED ? " (forced)" : "");
}

static void run_cycle(mo_thread *t, cycle *c) {
    mo_store_rlx(&mo_the_gc.num_begun, mo_the_gc.num_begun + 1); /* see mo_gc_collect */
    c->begin_ns = mo_clock_ns();
    mo_lock_acquire(&mo_the_gc.sweep_lock);
    mo_gc_sweep_all();
    c->workers = 1 + mo_mark_prepare(choose_workers() - 1);
    int64_t live = mo_load_rlx(&mo_the_heap.live_bytes); /* for the trace */
    c->live_before = live > 0 ? (uint64_t)live : 0;
    c->stop_ns = mo_clock_ns();
    stop_with_roots(t);
    c->stopped_ns = mo_clock_ns();
    run_stopped(t, c);
    c->end_ns = mo_clock_ns();
    count_cycle(c);
    mo_world_start();
    mo_mark_forget_roots();
    mo_lock_release(&mo_the_gc.sweep_lock);
    if (mo_the_gc.debug.gctrace) trace_cycle(c);
}

static bool is_due(mo_gc_reason reason) {
    mo_gc *gc = &mo_the_gc;
    if (reason != MO_GC_HEAP || gc->debug.stress) return true;
    return gc->percent >= 0 &&
           mo_load_rlx(&mo_the_heap.live_bytes) >= (int64_t)gc->trigger_bytes; /* an estimate */
}

MO_NOINLINE void mo_gc_collect(mo_thread *t, mo_gc_reason reason) {
    mo_gc *gc = &mo_the_gc;
    /* A collection that begins after this look stops us too, and sees all that we dropped. */
    uint64_t begun = mo_load_rlx(&gc->num_begun);
    /* A thread that only found the heap full need not insist: somebody is collecting. It may hold
     * what that collection waits for, as the loader's lock in a callback of dl_iterate_phdr. */
    if (reason != MO_GC_HEAP)
        mo_lock_acquire_blocking(t, &gc->lock);
    else if (!mo_lock_acquire_blocking_timed(t, &gc->lock, HEAP_WAIT_NS))
        return;
    /* Another thread may have collected while we waited. */
    bool is_done = reason != MO_GC_HEAP && gc->num_begun != begun;
    if (!is_done && is_due(reason)) {
        cycle c = {.reason = reason};
        mo_cache_publish_live(&t->cache);
        run_cycle(t, &c);
    }
    mo_lock_release(&gc->lock);
    if (reason == MO_GC_FORCED || reason == MO_GC_MEMORY) mo_gc_sweep_all();
    mo_cleanups_kick();
    mo_thread_clear_stack();
}

void mo_gc_poll(mo_thread *t) {
    mo_background_start_once();
    int64_t live =
        mo_load_rlx(&mo_the_heap.live_bytes); /* an estimate; mo_gc_collect looks again */
    int64_t trigger = (int64_t)mo_load_rlx(&mo_the_gc.trigger_bytes);         /* likewise */
    if (MO_UNLIKELY(live >= trigger) && mo_load_rlx(&mo_the_gc.percent) >= 0) /* likewise */
        mo_gc_collect(t, MO_GC_HEAP);
}

void mo_gc_alloc_totals(uint64_t *objects, uint64_t *bytes, uint64_t *freed_objects,
                        uint64_t *freed_bytes) {
    mo_world *w = &mo_the_world;
    uint64_t unused_objects = 0, unused_bytes = 0;
    *objects = w->gone_objects;
    *bytes = w->gone_bytes;
    *freed_objects =
        w->gone_freed_objects + mo_load_rlx(&mo_the_heap.swept_objects);        /* statistics */
    *freed_bytes = w->gone_freed_bytes + mo_load_rlx(&mo_the_heap.swept_bytes); /* statistics */
    for (const mo_thread *t = w->threads; t; t = t->next) {
        *objects += mo_load_rlx(&t->cache.claimed_objects);     /* statistics: a moment's value */
        *bytes += mo_load_rlx(&t->cache.claimed_bytes);         /* likewise */
        *freed_objects += mo_load_rlx(&t->cache.freed_objects); /* likewise */
        *freed_bytes += mo_load_rlx(&t->cache.freed_bytes);     /* likewise */
        mo_cache_unused(&t->cache, &unused_objects, &unused_bytes);
    }
    *objects -= mo_min(*objects, unused_objects);
    *bytes -= mo_min(*bytes, unused_bytes);
}
