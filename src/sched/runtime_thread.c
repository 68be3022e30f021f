/* runtime_thread.c - see runtime_thread.h. Floor sched. */
#include "sched/runtime_thread.h"

#include <pthread.h>
#include <signal.h>

#include "sched/interpose.h"

bool mo_runtime_thread_start(const char *name, void *(*fn)(void *), void *arg) {
    enum { STACK_BYTES = 256 << 10 };
    pthread_attr_t attr;
    if (pthread_attr_init(&attr) != 0) return false;
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    sigset_t all, old;
    sigfillset(&all);
    mo_real_pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_t thread;
    bool ok = mo_real_pthread_create(&thread, &attr, fn, arg) == 0;
    mo_real_pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (ok) pthread_setname_np(thread, name);
    pthread_attr_destroy(&attr);
    return ok;
}
