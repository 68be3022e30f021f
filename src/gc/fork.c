/* fork.c - a child in which only the forking thread lives.
 *
 * prepare takes every lock, in rank order, so that no list is half changed in the child (but for
 * the GC lock, and the sweep lock while a collection marks beside the program: that changes mark
 * bits only); then it waits for sweeps in progress: a thread sweeps without a lock, and a
 * half-swept span could not be told from an unswept one. The sweeps end, and their threads then
 * wait for a central's lock.
 *
 * In the child the other threads' caches are given back, spans that were on their way between a
 * list and a cache are found by their state and put into lists, and the library's own threads
 * start again when they are needed. Pages that the background thread was giving back to the
 * system at that moment, or that an append was about to add to its block, stay taken in the child.
 *
 * Floor   gc.
 */
#include "gc/fork.h"

#include <pthread.h>

#include "gc/background.h"
#include "gc/barrier.h"
#include "gc/closing.h"
#include "gc/cycle.h"
#include "gc/driver.h"
#include "gc/gc.h"
#include "gc/mark.h"
#include "gc/roots.h"
#include "gc/specials.h"
#include "gc/types.h"
#include "heap/holes.h"
#include "sched/census.h"
#include "sched/interpose.h"
#include "sched/registry.h"
#include "sched/sched.h"

static void lock_central(mo_central *c, void *arg) {
    (void)arg;
    for (int i = 0; i < MO_SHARDS; i++) mo_lock_acquire_unranked(&c->shard[i].lock);
}

static void unlock_central(mo_central *c, void *arg) {
    (void)arg;
    for (int i = 0; i < MO_SHARDS; i++) mo_lock_release_unranked(&c->shard[i].lock);
}

static void forget_sweepers(mo_central *c, void *arg) {
    (void)arg;
    mo_central_after_fork(c);
}

static void await_sweep(mo_span *s) {
    mo_span_state state = (mo_span_state)mo_load_rlx(&s->state); /* sweeping ones are waited for */
    if (state != MO_SPAN_SWEEPING && state != MO_SPAN_CACHED) return;
    if (s->kind == MO_KIND_MANUAL) return;
    uint32_t gen;
    /* [A] pairs with [S] in central.c */
    while ((gen = mo_load_acq(&s->sweepgen)) != mo_the_heap.sweepgen)
        mo_futex_wait(&s->sweepgen, gen, 50000);
}

static bool is_in_cycle; /* phase lock: a collection marks beside the program */

static void before(void) {
    mo_closing_fork_begin();
    mo_thread *t = mo_self;
    if (mo_is_registered(t)) {
        mo_runtime_enter(t); /* nobody may stop us between here and the end of the fork */
        mo_lock_acquire_blocking(t, &mo_the_gc.phase_lock);
        is_in_cycle = mo_the_heap.is_marking;
        if (!is_in_cycle) mo_lock_acquire_blocking(t, &mo_the_gc.sweep_lock);
        mo_lock_acquire_blocking(t, &mo_the_world.registry);
    } else {
        mo_lock_acquire(&mo_the_gc.phase_lock);
        is_in_cycle = mo_the_heap.is_marking;
        if (!is_in_cycle) mo_lock_acquire(&mo_the_gc.sweep_lock);
        mo_lock_acquire(&mo_the_world.registry);
    }
    mo_lock_acquire(mo_roots_lock());
    mo_lock_acquire(mo_records_lock());
    mo_lock_acquire(mo_specials_lock());
    mo_lock_acquire(mo_cleanup_queue_lock());
    mo_lock_acquire(mo_types_lock());
    mo_sched_fork_begin();
    mo_gc_each_central(true, lock_central, NULL);
#if !MO_MUTANT_fork_amid_holes
    mo_lock_acquire(mo_holes_lock());
#endif
    /* Sweeping threads need the heap lock to give pages back only after sweepgen is stored. */
    mo_lock_acquire(&mo_the_heap.lock);
    /* A sweep with specials waits for the special lock: let those finish first. */
    mo_lock_release(mo_cleanup_queue_lock());
    mo_lock_release(mo_specials_lock());
    mo_heap_each_span(await_sweep);
    mo_lock_acquire_unranked(mo_specials_lock());
    mo_lock_acquire_unranked(mo_cleanup_queue_lock());
}

static void unlock_inner(void) {
    mo_lock_release(&mo_the_heap.lock);
#if !MO_MUTANT_fork_amid_holes
    mo_lock_release(mo_holes_lock());
#endif
    mo_gc_each_central(true, unlock_central, NULL);
    mo_sched_fork_end();
    mo_lock_release(mo_types_lock());
    mo_lock_release_unranked(mo_cleanup_queue_lock());
    mo_lock_release_unranked(mo_specials_lock());
    mo_lock_release(mo_records_lock());
    mo_lock_release(mo_roots_lock());
}

static void unlock_outer(void) {
    mo_lock_release(&mo_the_world.registry);
    if (!is_in_cycle) mo_lock_release(&mo_the_gc.sweep_lock);
    mo_lock_release(&mo_the_gc.phase_lock);
    if (mo_is_registered(mo_self)) mo_runtime_leave(mo_self);
}

static void after_in_parent(void) {
    unlock_inner();
    unlock_outer();
    mo_closing_fork_end();
}

static void adopt_orphan(mo_span *s) {
    bool orphan =
        s->state == MO_SPAN_SWEEPING || (s->state == MO_SPAN_CACHED && s->owner != &mo_self->cache);
    if (orphan) mo_central_release(s);
}

static void after_in_child(void) {
    unlock_inner();
    if (mo_is_registered(mo_self)) mo_self->tid = mo_sys_gettid();
    /* Held by a thread that is gone: the one that collects, or that is about to. */
    mo_lock_init(&mo_the_gc.lock, MO_RANK_GC);
    if (is_in_cycle) {
        mo_lock_init(&mo_the_gc.sweep_lock, MO_RANK_SWEEP);
        mo_cycle_drop_in_child();
    }
    mo_threads_keep_only(mo_self);
    mo_roots_after_fork();
    mo_gc_each_central(true, forget_sweepers, NULL);
    mo_heap_each_span(adopt_orphan);
    mo_mark_after_fork();
    mo_census_after_fork();
    mo_barrier_after_fork();
    mo_driver_after_fork();
    mo_background_after_fork();
    mo_cleanups_after_fork();
    mo_sched_after_fork(mo_self);
    unlock_outer();
    mo_closing_fork_end_in_child();
}

int mo_fork_init(void) { return pthread_atfork(before, after_in_parent, after_in_child); }
