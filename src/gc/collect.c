/* collect.c - when a collection is due, who runs it, and the sweep after it.
 *
 * In one stop, the thread that finds the trigger reached collects; others that find it too wait for
 * it (they count as stopped) and go on. While threads run, driver.c's thread collects, and whoever
 * finds the trigger reached leaves it a note. cycle.c has the steps.
 *
 * Floor   gc.
 * Locks   gc.lock for the whole collection.
 */
#include <string.h>

#include "gc/background.h"
#include "gc/barrier.h"
#include "gc/cycle.h"
#include "gc/driver.h"
#include "gc/gc.h"
#include "gc/pacer.h"
#include "gc/specials.h"
#include "gc/types.h"

MO_GLOBAL mo_gc mo_the_gc;

enum {
    HEAP_WAIT_NS = 1000000,
    SWEEP_SPANS = 32, /* by a thread that would have to wait */
    SWEEP_LARGE = 8,
    SWEEP_LARGE_MAX = 1000, /* before one large object */
    STOP_NS = 150000,       /* of a stop, besides marking */
    SWEEP_POLL_NS = 50000,
#if MO_MUTANT_pacer_waits_at_refills
    WAIT_EVERY_BYTES = 1,
#else
    WAIT_EVERY_BYTES = 16 << 10,
#endif
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

uint64_t mo_gc_backed_pages(void) {
    const mo_page_alloc *p = &mo_the_heap.pages; /* an estimate */
    return mo_load_rlx(&p->num_free) - mo_load_rlx(&p->num_released);
}

/* Before a large object takes pages that have no memory yet, dead ones of its kind are swept;
 * before the heap grows for it, garbage of all sizes. */
void mo_gc_sweep_for(size_t bytes) {
    size_t pages = bytes >> MO_PAGE_SHIFT;
    uint32_t step = 64;
    for (uint32_t num = 0, n = 1; n > 0 && num < SWEEP_LARGE_MAX && mo_gc_backed_pages() < pages;
         num += n)
        n = mo_central_sweep(mo_central_of(MO_KIND_NOSCAN, 0), SWEEP_LARGE) +
            mo_central_sweep(mo_central_of(MO_KIND_SCAN, 0), SWEEP_LARGE);
    while (mo_load_rlx(&mo_the_heap.pages.num_free) < pages && mo_gc_sweep_some(step))
        step *= 2; /* an estimate */
}

/* ---------------------------------------------------------------- when, and by whom */

bool mo_gc_is_due(void) {
    mo_gc *gc = &mo_the_gc;
    if (gc->debug.stress) return true;
    return mo_load_rlx(&mo_the_heap.live_bytes) >=
           (int64_t)mo_load_rlx(&gc->trigger_bytes); /* estimates */
}

/* By the calling thread, in one stop. begun: what it saw of num_begun. */
static void collect_here(mo_thread *t, mo_gc_reason reason, uint64_t begun) {
    mo_gc *gc = &mo_the_gc;
    /* A thread that only found the heap full need not insist: somebody is collecting. It may hold
     * what that collection waits for, as the loader's lock in a callback of dl_iterate_phdr. */
    if (reason != MO_GC_HEAP)
        mo_lock_acquire_blocking(t, &gc->lock);
    else if (!mo_lock_acquire_blocking_timed(t, &gc->lock, HEAP_WAIT_NS))
        return;
    /* Another thread may have collected while we waited. */
    bool is_done = reason != MO_GC_HEAP && gc->num_begun != begun;
    if (!is_done && (reason != MO_GC_HEAP || mo_gc_is_due())) {
        mo_cache_publish_live(&t->cache);
        mo_cycle_run(t, reason, false);
    }
    mo_lock_release(&gc->lock);
}

/* A mark that is over before the program would notice needs no other thread. */
static bool is_short(void) {
    mo_gc *gc = &mo_the_gc;
    if (gc->debug.stress != 0) return false;
    double ns = (double)gc->traced_bytes / (gc->mark_rate > 0 ? gc->mark_rate : 1);
    return ns + STOP_NS <= (double)gc->pause_target_ns;
}

/* A refill is what happens to be free in one place: a page, or a few slots of it. To wait at each
 * would slow a thread by what its spans look like, not by what it allocates. */
static bool took_its_share(mo_thread *t) {
    uint64_t bytes = mo_load_rlx(&t->cache.claimed_bytes); /* its own */
    if (bytes - t->waited_at_bytes < WAIT_EVERY_BYTES) return false;
    t->waited_at_bytes = bytes;
    return true;
}

/* Sleeps while allocation is too far ahead of marking. */
static void wait_for_marking(mo_thread *t, size_t size) {
    if (size == 0 && !took_its_share(t)) return;
    uint64_t begin = mo_clock_ns();
    int64_t waited = 0, nap;
    while ((nap = mo_pace_delay(size, waited, mo_driver_is_busy())) > 0) {
        /* What it waits for first is that all is swept: that can be helped. */
        if (!mo_pace_is_before_mark() || !mo_gc_sweep_some(SWEEP_SPANS)) mo_driver_nap(t, nap);
        waited = (int64_t)(mo_clock_ns() - begin);
    }
    if (waited > 0) mo_add_rlx(&mo_the_gc.throttled_ns, waited); /* statistics */
}

MO_NOINLINE void mo_gc_collect(mo_thread *t, mo_gc_reason reason) {
    mo_gc *gc = &mo_the_gc;
    /* A collection that begins after this look stops us too, and sees all that we dropped. */
    uint64_t begun = mo_load_rlx(&gc->num_begun);
    bool must_wait = reason != MO_GC_HEAP || gc->debug.stress != 0;
    if (!mo_barrier_is_on()) {
        collect_here(t, reason, begun);
    } else if (!must_wait && mo_driver_is_busy()) {
        return;
    } else if ((reason == MO_GC_HEAP && is_short()) || !mo_driver_ask(reason)) {
        collect_here(t, reason, begun);
    } else if (must_wait) {
        mo_driver_await(t, begun + 1);
    }
    if (reason == MO_GC_FORCED || reason == MO_GC_MEMORY) mo_gc_sweep_all();
    mo_cleanups_kick();
    mo_thread_clear_stack();
}

void mo_gc_poll(mo_thread *t, size_t size) {
    mo_background_start_once();
    int64_t live =
        mo_load_rlx(&mo_the_heap.live_bytes); /* an estimate; mo_gc_collect looks again */
    int64_t trigger = (int64_t)mo_load_rlx(&mo_the_gc.trigger_bytes); /* likewise */
    bool is_due = live >= trigger;
    if (MO_UNLIKELY(is_due)) mo_gc_collect(t, MO_GC_HEAP);
    if (MO_UNLIKELY(is_due || mo_load_rlx(&mo_the_pace.is_on)))
        wait_for_marking(t, size); /* same */
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
