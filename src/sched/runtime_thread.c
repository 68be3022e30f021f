/* runtime_thread.c - see runtime_thread.h. Floor sched. */
#define _GNU_SOURCE
#include "sched/runtime_thread.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sched/interpose.h"
#include "sched/thread.h"

enum { LONG_SLICE_NS = 20000000, LEAST_NICE = 19 };

/* Of two threads of the same priority the one with the shorter slice is preferred when it wakes. */
void mo_runtime_thread_prefer_others(int nicer) {
    mo_slice_attr a = {0};
    if (syscall(SYS_sched_getattr, 0, &a, sizeof a, 0) != 0) return;
    if (a.policy != SCHED_OTHER && a.policy != SCHED_BATCH) return; /* elsewhere it means more */
    a.bytes = sizeof a;
    a.slice_ns = LONG_SLICE_NS;
    a.nice = a.nice + nicer < LEAST_NICE ? a.nice + nicer : LEAST_NICE;
    syscall(SYS_sched_setattr, 0, &a, 0);
}

static bool start(size_t stack_bytes, void *(*fn)(void *), void *arg) {
    pthread_attr_t attr;
    if (pthread_attr_init(&attr) != 0) return false;
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    if (stack_bytes) pthread_attr_setstacksize(&attr, stack_bytes);
    sigset_t all, old;
    sigfillset(&all);
    mo_real_pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_t thread;
    bool ok = mo_real_pthread_create(&thread, &attr, fn, arg) == 0;
    mo_real_pthread_sigmask(SIG_SETMASK, &old, NULL);
#if MO_MUTANT_runtime_thread_named_late
    if (ok) pthread_setname_np(thread, "mound"); /* the error */
#endif
    pthread_attr_destroy(&attr);
    return ok;
}

void mo_runtime_thread_name(const char *name) { pthread_setname_np(pthread_self(), name); }

bool mo_runtime_thread_start(size_t stack_bytes, void *(*fn)(void *), void *arg) {
    if (mo_in_loader_callback()) return false;
    mo_thread *t = mo_self;
    if (!mo_is_registered(t)) return start(stack_bytes, fn, arg);
    mo_cpu_regs regs = t->regs; /* the collector's, published for its own scan */
    uintptr_t sp = t->sp;
    sigset_t before;
    mo_signals_hold(&before);
    mo_thread_block_begin(t);
    bool ok = start(stack_bytes, fn, arg);
    mo_thread_block_end(t);
    mo_signals_release(&before);
    t->regs = regs;
    t->sp = sp;
    return ok;
}
