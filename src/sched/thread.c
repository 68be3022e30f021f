/* thread.c - the registry of threads.
 *
 * A thread registers in the trampoline of the interposed pthread_create, or on its first call
 * into mound. It leaves at the end of its last round of thread-specific destructors: earlier
 * rounds may still allocate, so our destructor asks to be called again until the last one.
 * Where it cannot leave even then, it stays known until it is gone.
 *
 * Records are mapped, never unmapped, and reused: a late signal or a stale owner pointer finds a
 * record, never foreign memory.
 *
 * Floor   sched.
 * Locks   the registry lock for the list; taken blocking, since a stop holds it.
 * Fails   registration ends the process if memory is exhausted: a thread unknown to the
 *         collector could lose objects.
 */
#include "sched/thread.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "sched/g.h"
#include "sched/registry.h"
#include "sched/signal_stack.h"
#include "sys/os_mem.h"

MO_GLOBAL mo_thread mo_nobody;
MO_GLOBAL mo_world mo_the_world = {.registry = {0, MO_RANK_REGISTRY}};
__thread mo_thread *mo_self __attribute__((tls_model("initial-exec"))) = &mo_nobody;

static MO_GLOBAL mo_thread *free_records;
static MO_GLOBAL pthread_key_t end_key;
static MO_GLOBAL bool has_end_key;
static MO_GLOBAL uint32_t next_shard; /* registry lock */

/* TSan's runtime ends its side of a thread in the last round, before us; from then on no code that
 * is built for it may run. */
enum { LAST_ROUND = PTHREAD_DESTRUCTOR_ITERATIONS - MO_TSAN };

/* libc runs the destructors of younger keys after ours, in the last round too. A value that waits
 * there for its destructor is nobody's once the thread is forgotten. */
static bool has_younger_values(void) {
#if MO_MUTANT_end_forgets_younger_keys
    return false;
#endif
    for (pthread_key_t key = end_key + 1; key < PTHREAD_KEYS_MAX; key++)
        if (mo_in_heap((uintptr_t)pthread_getspecific(key))) return true;
    return false;
}

/* value: which round of destructors this is, counted from 1. A thread that cannot leave in the last
 * one stays known until a stop finds that it is gone. */
MO_NO_TSAN static void on_thread_end(void *value) {
    uintptr_t round = (uintptr_t)value;
    mo_thread *t = mo_self;
    if (!mo_is_registered(t)) return;
    if (round < LAST_ROUND)
        pthread_setspecific(end_key, (void *)(round + 1));
    else if (MO_TSAN || !has_younger_values())
        mo_thread_unregister(t);
}

static void find_stack(mo_thread *t) {
    pthread_attr_t attr;
    void *lo;
    size_t size;
    if (pthread_getattr_np(pthread_self(), &attr) != 0)
        mo_fatal("cannot find this thread's stack (pthread_getattr_np)");
    pthread_attr_getstack(&attr, &lo, &size);
    pthread_attr_destroy(&attr);
    t->stack_lo = (uintptr_t)lo;
    t->stack_hi = (uintptr_t)lo + size;
}

static mo_thread *take_record_locked(void) {
    mo_thread *t = free_records;
    if (t) {
        void *signal_stack = t->signal_stack;
        free_records = t->next;
        memset(t, 0, sizeof *t);
        t->signal_stack = signal_stack;
    } else {
        t = mo_os_map(sizeof *t, "mound thread");
    }
    return t;
}

/* The system gives a number again when its thread is gone: one that ended without leaving. */
static void reap_namesake_locked(int tid) {
    for (mo_thread *t = mo_the_world.threads, *next; t; t = next) {
        next = t->next;
        if (t->tid == tid) mo_thread_reap_locked(t);
    }
}

mo_thread *mo_thread_register(void) {
    mo_world *w = &mo_the_world;
    mo_thread found = {.tid = mo_sys_gettid(), .thread_pointer = mo_cpu_thread_pointer()};
    find_stack(&found);               /* may allocate from libc: before the lock */
    if (!mo_load_rlx(&has_end_key)) { /* written under the lock below, before any second thread */
        mo_lock_acquire(&w->registry);
        if (!has_end_key && pthread_key_create(&end_key, on_thread_end) != 0) {
            mo_lock_release(&w->registry);
            mo_fatal("no thread-specific key left (PTHREAD_KEYS_MAX); create fewer keys");
        }
        mo_store_rlx(&has_end_key, true); /* see above */
        mo_lock_release(&w->registry);
    }
#if !MO_MUTANT_register_unlocked
    mo_lock_acquire(&w->registry); /* a running stop ends first; we are not part of it */
#endif
    reap_namesake_locked(found.tid);
    mo_thread *t = take_record_locked();
    if (!t) {
        mo_lock_release(&w->registry);
        mo_fatal(
            "memory exhausted while registering thread %d; raise the limit or use fewer threads",
            found.tid);
    }
    t->tid = found.tid;
    t->thread_pointer = found.thread_pointer;
    t->stack_lo = found.stack_lo;
    t->stack_hi = found.stack_hi;
#if MO_MUTANT_stack_cut
    t->stack_hi -= 16 << 10;
#endif
    t->stop_seq = w->seq;
    t->cache.shard = (uint8_t)(next_shard++ % MO_SHARDS);
    t->next = w->threads;
    if (t->next) t->next->prev = t;
    w->threads = t;
    mo_store_rlx(&w->num_threads, w->num_threads + 1); /* readers want a hint only */
    t->in_runtime = 1; /* a signal that arrives now is left to mo_runtime_leave below */
    mo_signal_fence();
    mo_self = t;
#if !MO_MUTANT_register_unlocked
    mo_lock_release(&w->registry);
#endif
    mo_signal_stack_install(t);
    pthread_setspecific(end_key, (void *)1);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, w->signal);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    mo_runtime_leave(t);
    return t;
}

/* Registry lock held. */
static void forget_locked(mo_thread *t) {
    mo_world *w = &mo_the_world;
    w->gone_objects += t->cache.claimed_objects;
    w->gone_bytes += t->cache.claimed_bytes;
    w->gone_freed_objects += t->cache.freed_objects;
    w->gone_freed_bytes += t->cache.freed_bytes;
    if (t->prev)
        t->prev->next = t->next;
    else
        w->threads = t->next;
    if (t->next) t->next->prev = t->prev;
    mo_store_rlx(&w->num_threads, w->num_threads - 1); /* a hint for others */
    if (t->cache.typed) mo_os_unmap(t->cache.typed, mo_typed_slots_bytes());
    t->next = free_records;
    free_records = t;
}

void mo_thread_unregister(mo_thread *t) {
    mo_world *w = &mo_the_world;
    mo_runtime_enter(t);
    if (t->own_g) mo_g_free(t->own_g);
    mo_signal_stack_remove(t);
    mo_lock_acquire_blocking(t, &w->registry);
    mo_cache_flush(&t->cache);
    mo_self = &mo_nobody; /* from here our signal handler ignores the signal */
    mo_signal_fence();
#if !MO_MUTANT_registry_keeps_dead
    forget_locked(t);
#endif
    mo_lock_release(&w->registry);
}

void mo_thread_reap_locked(mo_thread *t) {
    mo_cache_flush(&t->cache);
    forget_locked(t);
}

/* A refill was interrupted for good: the slot is half written. Its span is found by its state. */
static void drop_transit(mo_cache *c) {
    if (!c->transit) return;
    for (unsigned k = 0; k < 3; k++)
        for (unsigned sc = 1; sc < MO_NUM_SIZE_CLASSES; sc++)
            if (c->slot[k][sc].span == c->transit)
                memset(&c->slot[k][sc], 0, sizeof c->slot[k][sc]);
    for (uint32_t i = 0; i < c->num_typed; i++)
        if (c->typed[i].span == c->transit) memset(&c->typed[i], 0, sizeof c->typed[i]);
    c->transit = NULL;
}

void mo_threads_keep_only(mo_thread *self) {
    mo_world *w = &mo_the_world;
    for (mo_thread *t = w->threads, *next; t; t = next) {
        next = t->next;
        if (t == self) continue;
        drop_transit(&t->cache);
        mo_thread_reap_locked(t);
    }
}
