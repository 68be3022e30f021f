/* start.c - bringing the runtime up, once.
 *
 * Order: environment, signal handler, address space, mark buffers, fork handlers; each step is
 * undone if a later one fails, so that mound_init can be tried again (after raising a limit).
 *
 * Floor   gc.
 * Locks   start lock. [V]/[X]: started is stored with release after everything is in place.
 */
#include "gc/start.h"

#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>

#include "gc/barrier.h"
#include "gc/closing.h"
#include "gc/environment.h"
#include "gc/fork.h"
#include "gc/gc.h"
#include "gc/malloc.h"
#include "gc/mark.h"
#include "gc/roots.h"
#include "gc/specials.h"
#include "gc/types.h"
#include "sched/interpose.h"
#include "sched/sched.h"
#include "sys/dirty_pages.h"
#include "sys/os_mem.h"

static MO_GLOBAL mo_lock start_lock = {0, MO_RANK_INIT};
static MO_GLOBAL bool is_started;
static MO_GLOBAL bool has_fork_handlers;
static MO_GLOBAL char error[256];

extern void __asan_poison_memory_region(const volatile void *lo, size_t bytes)
    __attribute__((weak));
extern void __asan_unpoison_memory_region(const volatile void *lo, size_t bytes)
    __attribute__((weak));

static MO_GLOBAL uint64_t loaded_ns;
__attribute__((constructor(102))) static void note_loaded(void) { loaded_ns = mo_clock_ns(); }
uint64_t mo_start_loaded_ns(void) { return loaded_ns; }

const char *mo_start_error(void) { return error; }

bool mo_start_for_thread(void) { return mo_start() == 0; }

static void *start_record_alloc(size_t size) { return mo_malloc(size, MO_KIND_MANUAL); }

static void start_record_free(void *record) {
    mo_thread *t = mo_start_current();
    mo_slot sl;
    mo_runtime_enter(t);
    if (!mo_find((uintptr_t)record, &sl))
        mo_throw("start: a thread's start record is not in the heap");
    mo_cache_free(&t->cache, &sl, false);
    mo_runtime_leave(t);
}

static void *before_dlclose(void) {
    mo_closing_begin();
    mo_code_list *list = mo_roots_list_code(); /* first: it may wait for the loader */
    mo_cleanups_pause(mo_start_current());
    return list;
}

static void after_dlclose(void *token) {
    mo_code_list *before = token, *now = mo_roots_list_code();
    mo_thread *t = mo_start_current();
    if (!before) mo_cleanups_pause(t); /* the runtime started within the dlclose */
    mo_runtime_enter(t);
    mo_roots_forget_objects();
    mo_cleanups_drop_unloaded(before, now);
    mo_runtime_leave(t);
    if (before) mo_roots_free_code(before);
    mo_roots_free_code(now);
    if (before) mo_closing_end();
}

static int no_memory(void) {
    struct rlimit limit;
    unsigned long long mib = 0;
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        mib = limit.rlim_cur >> 20;
    if (mib) {
        snprintf(error, sizeof error,
                 "cannot reserve 4 GiB of address space under RLIMIT_AS = %llu MiB; raise it "
                 "(ulimit -v unlimited)",
                 mib);
    } else {
        snprintf(error, sizeof error,
                 "cannot reserve 4 GiB of address space; the system refuses it (see "
                 "vm.overcommit_memory and the cgroup's limits)");
    }
    return -ENOMEM;
}

static int start_locked(void) {
    mo_environment env;
    if (!mo_environment_read(&env, error, sizeof error)) return -EINVAL;
    if (env.debug.poison && !__asan_poison_memory_region) {
        snprintf(error, sizeof error,
                 "MOUND_DEBUG: poison=1 needs a program built with "
                 "-fsanitize=address; use scribble=1 elsewhere");
        return -EINVAL;
    }
    mo_gc *gc = &mo_the_gc;
    gc->debug = env.debug;
    gc->percent = env.gc_percent;
    gc->memory_limit = env.memory_limit;
    gc->max_workers = env.max_workers;
    gc->start_ns = mo_clock_ns();
    gc->pause_target_ns = env.pause_target_ns;
    gc->page_ns = 500;
    mo_lock_init(&gc->lock, MO_RANK_GC);
    mo_lock_init(&gc->phase_lock, MO_RANK_PHASE);
    mo_lock_init(&gc->sweep_lock, MO_RANK_SWEEP);
    mo_centrals_init();
    mo_types_init();
    mo_specials_init();
    mo_hooks.scribble = env.debug.scribble;
    mo_hooks.poison = env.debug.poison ? __asan_poison_memory_region : NULL;
    mo_hooks.unpoison = env.debug.poison ? __asan_unpoison_memory_region : NULL;
    if (gc->debug.seed) mo_panic_note("MOUND_DEBUG seed", gc->debug.seed);
    mo_hooks.one_by_one = env.debug.stress != 0;
    if (env.debug.sysfault) mo_os_fault_at(env.debug.sysfault);
    if (mo_heap_init() != 0) return no_memory();
    if (mo_mark_init() != 0) {
        mo_heap_fini();
        return no_memory();
    }
    if (mo_threads_init(env.signal) != 0) {
        snprintf(error, sizeof error, "MOUND_SIGNAL=%d cannot be handled; choose another signal",
                 env.signal);
        mo_mark_fini();
        mo_heap_fini();
        return -EINVAL;
    }
    mo_the_world.trace_slow = env.debug.gctrace;
    if (!has_fork_handlers && mo_fork_init() != 0) {
        mo_mark_fini();
        mo_heap_fini();
        return no_memory();
    }
    has_fork_handlers = true;
    bool has_barrier = env.barrier != MO_BARRIER_NONE && mo_barrier_open() == 0;
    if (!has_barrier && env.barrier == MO_BARRIER_OS) {
        snprintf(error, sizeof error, "MOUND_BARRIER=os: %s; use none", mo_dirty_reason());
        mo_mark_fini();
        mo_heap_fini();
        return -ENOSYS;
    }
    if (!has_barrier && gc->debug.gctrace)
        mo_print("mound: barrier none: %s; each collection is one stop\n",
                 env.barrier == MO_BARRIER_NONE ? "MOUND_BARRIER=none" : mo_dirty_reason());
    mo_roots_init();
    mo_mark_set_heap_ends(env.heap_ends);
    mo_mark_limit_vectors(env.vector_level);
    mo_pacer_set();
    mo_sched_set(&env.sched);
    mo_interpose.start_record_alloc = start_record_alloc;
    mo_interpose.start_record_free = start_record_free;
    mo_interpose.before_dlclose = before_dlclose;
    mo_interpose.after_dlclose = after_dlclose;
    if (env.debug.inittrace)
        mo_print("mound: reserved %zu GiB, signal %d, %u mark workers, GOGC=%d, barrier %s, "
                 "release madvise(MADV_DONTNEED)\n",
                 mo_the_heap.reserved_bytes >> 30, env.signal, gc->max_workers, gc->percent,
                 mo_barrier_text());
    return 0;
}

int mo_start(void) {
    if (MO_LIKELY(mo_load_acq(&is_started))) return 0; /* [X] pairs with [V] */
    mo_lock_acquire(&start_lock);
    int result = is_started ? 0 : start_locked();
    if (result == 0) mo_store_rel(&is_started, true); /* [V] pairs with [X] */
    mo_lock_release(&start_lock);
    return result;
}

mo_thread *mo_start_current_slow(void) {
    if (mo_start() != 0) mo_fatal("cannot start: %s", error);
    return mo_thread_current();
}
