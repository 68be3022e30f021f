/* control.c - the exported functions for collector, roots, threads, statistics. Floor api. */
#include <string.h>

#include "gc/barrier.h"
#include "gc/gc.h"
#include "gc/mark.h"
#include "gc/pacer.h"
#include "gc/roots.h"
#include "gc/specials.h"
#include "gc/start.h"
#include "mound.h"

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

int mound_init(void) {
    int result = mo_start();
    if (result == 0)
        mo_start_current();
    else
        mo_print("mound: %s\n", mo_start_error());
    return result;
}

const char *mound_version(void) {
    return TEXT(MOUND_VERSION_MAJOR) "." TEXT(MOUND_VERSION_MINOR) "." TEXT(MOUND_VERSION_PATCH);
}

void mound_set_fatal_handler(void (*handler)(const char *message)) {
    mo_fatal_set_handler(handler);
}

/* ---------------------------------------------------------------- roots and threads */

int mound_root_add(const void *lo, size_t size) {
    mo_thread *t = mo_start_current();
    mo_runtime_enter(t);
    int result = mo_roots_user_add((uintptr_t)lo, size);
    mo_runtime_leave(t);
    return result;
}

int mound_root_remove(const void *lo, size_t size) {
    mo_thread *t = mo_start_current();
    mo_runtime_enter(t);
    int result = mo_roots_user_remove((uintptr_t)lo, size);
    mo_runtime_leave(t);
    return result;
}

void mound_thread_attach(void) {
    mo_thread *t = mo_start_current();
    if (t->is_attached)
        mo_fatal("mound_thread_attach: thread %d is attached already; remove the second call",
                 t->tid);
    t->is_attached = true;
}

void mound_thread_detach(void) {
    mo_thread *t = mo_self;
    if (!mo_is_registered(t))
        mo_fatal(
            "mound_thread_detach: thread %d is not attached; attach it first, or remove the call",
            mo_sys_gettid());
    mo_thread_unregister(t);
}

/* ---------------------------------------------------------------- collector */

void mound_gc(void) {
    mo_thread *t = mo_start_current();
    mo_thread_publish_here(t);
    mo_runtime_enter(t);
    mo_gc_collect(t, MO_GC_FORCED);
    mo_runtime_leave(t);
}

int mound_set_gc_percent(int percent) {
    mo_thread *t = mo_start_current();
    mo_gc *gc = &mo_the_gc;
    mo_runtime_enter(t);
    mo_lock_acquire_blocking(t, &mo_the_world.registry); /* a collection sets its goal under it */
    int old = gc->percent;
    mo_store_rlx(&gc->percent, percent < 0 ? -1 : percent); /* the lock orders it; others glance */
    mo_pacer_set();
    mo_lock_release(&mo_the_world.registry);
    mo_runtime_leave(t);
    return old;
}

int64_t mound_set_memory_limit(int64_t bytes) {
    mo_thread *t = mo_start_current();
    mo_gc *gc = &mo_the_gc;
    mo_runtime_enter(t);
    mo_lock_acquire_blocking(t, &mo_the_world.registry); /* as above */
    int64_t old = gc->memory_limit;
    if (bytes >= 0) {
        gc->memory_limit = bytes;
        mo_pacer_set();
    }
    mo_lock_release(&mo_the_world.registry);
    mo_runtime_leave(t);
    return old;
}

void mound_free_os_memory(void) {
    mo_thread *t = mo_start_current();
    mo_thread_publish_here(t);
    mo_runtime_enter(t);
    mo_gc_collect(t, MO_GC_FORCED);
    mo_heap_scavenge(SIZE_MAX, 0, false);
    mo_runtime_leave(t);
}

/* The allocated object that addr lies in, or the end of the process. */
static mo_slot object_of(const char *who, const void *addr) {
    mo_slot sl;
    if (!mo_find((uintptr_t)addr, &sl) || !mo_cache_is_allocated(&mo_self->cache, &sl))
        mo_fatal("%s(%p): not inside an object of mound; pass what an allocation returned", who,
                 addr);
    return sl;
}

mound_cleanup mound_add_cleanup(void *obj, void (*fn)(void *arg), void *arg) {
    mo_thread *t = mo_start_current();
    mo_slot sl = object_of("mound_add_cleanup", obj);
    if (!fn) mo_fatal("mound_add_cleanup(%p, NULL): pass a function", obj);
    mo_slot arg_slot;
    if (mo_find((uintptr_t)arg, &arg_slot) && arg_slot.base == sl.base)
        mo_fatal("mound_add_cleanup(%p): arg points into the object itself, which would then live "
                 "for ever; pass what "
                 "the cleanup needs instead",
                 obj);
    mo_thread_publish_here(t);
    mo_runtime_enter(t);
    mound_cleanup c = mo_cleanup_add(t, &sl, fn, arg);
    if (!c.rec) {
        mo_gc_collect(t, MO_GC_MEMORY);
        c = mo_cleanup_add(t, &sl, fn, arg);
    }
    mo_runtime_leave(t);
    if (!c.rec) mo_fatal("out of memory adding a cleanup; raise the limit");
    mound_keep_alive(obj);
    return c;
}

void mound_cleanup_stop(mound_cleanup cleanup) {
    mo_thread *t = mo_start_current();
    mo_runtime_enter(t);
    mo_cleanup_stop(cleanup);
    mo_runtime_leave(t);
}

mound_weak mound_weak_make(void *obj) {
    mo_thread *t = mo_start_current();
    if (!obj) return (mound_weak){NULL};
    mo_slot sl = object_of("mound_weak_make", obj);
    mo_thread_publish_here(t);
    mo_runtime_enter(t);
    mound_weak w = mo_weak_make(t, &sl, (uintptr_t)obj);
    if (!w.handle) {
        mo_gc_collect(t, MO_GC_MEMORY);
        w = mo_weak_make(t, &sl, (uintptr_t)obj);
    }
    mo_runtime_leave(t);
    if (!w.handle) mo_fatal("out of memory making a weak pointer; raise the limit");
    mound_keep_alive(obj);
    return w;
}

void *mound_weak_get(mound_weak weak) {
    mo_thread *t = mo_start_current();
    mo_runtime_enter(t);
    void *obj = mo_weak_get(weak);
    mo_runtime_leave(t); /* may wait for a collection here: obj is on our stack then */
    mound_keep_alive(obj);
    return obj;
}

/* ---------------------------------------------------------------- statistics */

_Static_assert(MOUND_STOP_BUCKETS == MO_STOP_BUCKETS, "what mound.h promises");

static void fill_stats(mound_mem_stats *s) {
    mo_heap *h = &mo_the_heap;
    mo_gc *gc = &mo_the_gc;
    uint64_t freed_bytes;
    mo_gc_alloc_totals(&s->num_mallocs, &s->total_alloc_bytes, &s->num_frees, &freed_bytes);
    s->heap_objects = s->num_mallocs - mo_min(s->num_mallocs, s->num_frees);
    s->heap_alloc_bytes = s->total_alloc_bytes - mo_min(s->total_alloc_bytes, freed_bytes);
    mo_lock_acquire(&h->lock);
    s->heap_sys_bytes = (uint64_t)h->pages.num_pages << MO_PAGE_SHIFT;
    s->heap_inuse_bytes = h->inuse_pages << MO_PAGE_SHIFT;
    s->heap_idle_bytes = h->pages.num_free << MO_PAGE_SHIFT;
    s->heap_released_bytes = h->pages.num_released << MO_PAGE_SHIFT;
    s->metadata_bytes = mo_pacer_metadata_bytes();
    mo_lock_release(&h->lock);
    s->heap_marked_bytes = gc->marked_bytes;
    s->heap_goal_bytes = mo_load_rlx(&gc->goal_bytes); /* statistics */
    s->stack_scan_bytes = gc->stack_bytes;
    s->root_scan_bytes = gc->root_bytes;
    s->num_gc = gc->num_gc;
    s->num_forced_gc = gc->num_forced;
    s->pause_total_ns = gc->pause_total_ns;
    s->pause_max_ns = gc->pause_max_ns;
    s->pause_last_ns = gc->pause_last_ns;
    s->gc_cpu_ns = gc->gc_cpu_ns;
    s->num_cleanups_queued = mo_load_rlx(&mo_cleanups_queued); /* statistics */
    s->num_cleanups_run = mo_load_rlx(&mo_cleanups_run);       /* statistics */
    s->num_threads = mo_the_world.num_threads;
    s->barrier = mo_barrier_text();
    s->release = "madvise(MADV_DONTNEED)";
    for (size_t i = 0; i < MOUND_STOP_BUCKETS; i++)
        s->stop_counts[i] = mo_load_rlx(&mo_the_world.stop_hist[i]); /* statistics */
    s->num_concurrent_gc = gc->num_concurrent;
    s->throttled_ns = mo_load_rlx(&gc->throttled_ns); /* statistics */
    s->dirty_pages = gc->dirty_pages;
    s->dirty_pages_last = gc->dirty_pages_last;
    s->predicted_stop_ns = gc->predicted_ns;
    s->memory_limit_bytes = gc->memory_limit;
    s->used_bytes = mo_pacer_used_bytes();
    s->num_over_limit = gc->num_over_limit;
}

void mound_read_mem_stats(mound_mem_stats *out) {
    mo_thread *t = mo_start_current();
    if (!out || out->struct_bytes < sizeof(size_t) + sizeof(uint64_t) || out->struct_bytes > 65536)
        mo_fatal(
            "mound_read_mem_stats: set struct_bytes to sizeof(mound_mem_stats) before the call");
    mound_mem_stats stats;
    memset(&stats, 0, sizeof stats);
    mo_runtime_enter(t);
    /* A collection's numbers belong together: it writes them in its last stop. */
    mo_lock_acquire_blocking(t, &mo_the_world.registry);
    fill_stats(&stats);
    mo_lock_release(&mo_the_world.registry);
    mo_runtime_leave(t);
    size_t bytes = out->struct_bytes, known = mo_min(bytes, sizeof stats);
    stats.struct_bytes = bytes;
    memcpy(out, &stats, known);
    memset((char *)out + known, 0, bytes - known);
}
