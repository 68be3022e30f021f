/* thread.h - threads the collector knows, and how they stop. Floor sched.
 *
 * Each registered thread has a record with its cache; one 8-byte thread-local word points to it
 * (to mo_nobody, whose cache is empty for ever, before registration).
 *
 * A thread is in one of these conditions, of which the collector treats each differently:
 *   running user code         stopped by signal, at any instruction
 *   in_runtime > 0            inside mound; not stopped; parks itself when it leaves. Never
 *                             waits there for anything that needs a stop to end
 *   state == MO_BLOCKED       waits in a declared system call or for a lock held through a
 *                             stop; counts as stopped; parks itself if it returns meanwhile
 */
#ifndef MO_THREAD_H
#define MO_THREAD_H

#include "heap/cache.h"
#include "sys/cpu.h"

typedef enum mo_thread_state { MO_RUNNING, MO_BLOCKED } mo_thread_state;

typedef struct mo_thread {
    mo_cache cache;      /* first: the thread-local word is its address */
    uint32_t in_runtime; /* owner; its signal handler reads it */
    uint32_t state;      /* mo_thread_state; [B]/[D] with the stop */
    uint32_t stop_seq;   /* the last stop it was counted for; owner or collector, by exchange */
    int tid;             /* const */
    uintptr_t stack_lo, stack_hi;  /* const; the whole mapping the OS calls the stack */
    uintptr_t thread_pointer;      /* const: for thread-local storage */
    uintptr_t sp;                  /* stopped: lowest live address of the stack */
    mo_cpu_regs regs;              /* stopped by itself: callee-saved registers */
    const ucontext_t *context;     /* stopped by signal: interrupted registers; else NULL */
    struct mo_thread *next, *prev; /* registry lock */
    bool is_attached;              /* by mound_thread_attach */
    bool is_library;               /* atomic: runs no code of the program's, or only goroutines */
    struct mo_m *m;                /* const: it is a machine; else NULL */
    struct mo_g *g;                /* the goroutine that runs on it; owner; NULL: none */
    struct mo_g *own_g;            /* by which a thread that is no machine waits; owner */
    void *tsan_fiber, *asan_fake;  /* owner: fiber.h */
    void *signal_stack;            /* stays with the record; NULL: none yet */
    uint64_t waited_at_bytes;      /* cache.claimed_bytes when it last looked at the pacer; owner */
} mo_thread;

extern __thread mo_thread *mo_self __attribute__((tls_model("initial-exec")));
extern mo_thread mo_nobody;

MO_INLINE bool mo_is_registered(const mo_thread *t) { return t != &mo_nobody; }

enum { MO_STOP_BUCKETS = 64 };

/* One stop of the world. */
typedef struct mo_world {
    mo_lock registry;
    mo_thread *threads;   /* registry lock */
    uint32_t num_threads; /* registry lock; relaxed reads elsewhere */
    uint32_t
        stopping;     /* the stop's number from before the first signal until all may run; else 0 */
    uint32_t seq;     /* number of the last stop; registry lock */
    uint32_t pending; /* threads not yet counted as stopped, the collector among them */
    int signal;       /* const after start */
    sigset_t held;    /* what the stopping thread's signal mask was; registry lock */
    bool trace_slow;  /* name threads that do not answer in 10 ms */
    uint64_t gone_objects, gone_bytes; /* allocated by threads that ended; registry lock */
    uint64_t gone_freed_objects, gone_freed_bytes;
    uint64_t stop_hist[MO_STOP_BUCKETS]; /* atomic: how long each thread stood still, each time */
} mo_world;

extern mo_world mo_the_world;

/* Installs the handler. 0, or -EINVAL if the signal number cannot be used. */
int mo_threads_init(int signal);

/* Makes the calling thread known; ends the process if memory is exhausted. */
mo_thread *mo_thread_register(void);
/* Forgets it. */
void mo_thread_unregister(mo_thread *t);
/* The calling thread's record, registered now if need be. The runtime must be started. */
MO_INLINE mo_thread *mo_thread_current(void) {
    mo_thread *t = mo_self;
    return MO_LIKELY(mo_is_registered(t)) ? t : mo_thread_register();
}

/* Acknowledges a stop and waits for its end. From inside the runtime only. */
void mo_thread_park(mo_thread *t);

MO_INLINE void mo_runtime_enter(mo_thread *t) {
    t->in_runtime++;
    mo_signal_fence();
}
MO_INLINE void mo_runtime_leave(mo_thread *t) {
    mo_signal_fence();
    /* A stop that began while in_runtime was set reached this thread's handler, which saw it set
     * and left it to us; one that begins later stops us by signal. */
    uint32_t left = --t->in_runtime;
    mo_signal_fence(); /* the look must follow: a stop between the two would be seen by nobody */
    if (left == 0 &&
        MO_UNLIKELY(mo_load_rlx(&mo_the_world.stopping))) /* same thread as the handler */
        mo_thread_park(t);
}

/* Around anything that may wait long: between the two the thread counts as stopped and must
 * not touch the heap. The caller's frame stays; sp and registers are published. Signals are
 * held meanwhile (mo_signals_hold). */
void mo_thread_block_published(mo_thread *t);
/* Inline: a frame of its own would hold registers of the caller's and be gone when it returns. */
MO_INLINE void mo_thread_block_begin(mo_thread *t) {
    mo_cpu_save_regs(&t->regs);
    t->sp = mo_cpu_sp();
    mo_thread_block_published(t);
}
void mo_thread_block_end(mo_thread *t);
/* Holds back all signals but the stop signal: a handler of the program that ran while its thread
 * counts as stopped would run beside the collector. */
void mo_signals_hold(sigset_t *before);
void mo_signals_release(const sigset_t *before);
/* Takes a lock that is held through stops; what was published before stays so. */
void mo_lock_acquire_blocking(mo_thread *t, mo_lock *l);
/* Sleeps while *word == expected, at most timeout_ns (< 0: for ever), and counts as stopped where
 * it published last (mo_thread_publish_here). May return early. */
void mo_thread_wait(mo_thread *t, uint32_t *word, uint32_t expected, int64_t timeout_ns);
/* false: not to be had in that time (< 0: for ever). */
bool mo_lock_acquire_blocking_timed(mo_thread *t, mo_lock *l, int64_t timeout_ns);

/* Stops all registered threads but self. self holds the GC lock; returns with the registry lock
 * held. */
void mo_world_stop(mo_thread *self);
void mo_world_start(void);

/* Publishes the calling function's frame as the end of the stack to scan: for functions through
 * which the program enters the runtime, before they call anything. The frames below then hold
 * only what the runtime put there, and stale words of earlier calls: neither is scanned. */
MO_INLINE void mo_thread_publish_here(mo_thread *t) {
    mo_cpu_save_regs(&t->regs);
    t->sp = mo_cpu_sp();
}
/* Runs fn with the caller's callee-saved registers and stack pointer published in t, so that
 * the stack can be scanned from there and nothing below it. */
void mo_thread_publish(mo_thread *t, void (*fn)(mo_thread *t, void *arg), void *arg);
/* Overwrites the dead stack below the caller, where the runtime may have left pointers. */
void mo_thread_clear_stack(void);

#endif
