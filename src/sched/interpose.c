/* interpose.c - libc functions that mound must see, under their own names.
 *
 *   pthread_create, thrd_create    the new thread registers before it runs user code
 *   pthread_sigmask, sigprocmask   never block the stop signal
 *   posix_spawn*, system, popen    the caller waits like a vfork parent, without taking signals:
 *                                  it counts as stopped meanwhile
 *   dlclose                        cleanups that live in the closed object are dropped
 *
 * Each forwards to libc's own function: the next definition in the dynamic search order or, in a
 * program linked with -static, libc.a's strong name behind its weak public one (the link flags
 * of the package pull it in).
 *
 * Floor   sched. Upward calls through mo_interpose_hooks.
 */
#include "sched/interpose.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>

#include "sched/thread.h"

MO_GLOBAL mo_interpose_hooks mo_interpose;

#define PUBLIC __attribute__((visibility("default")))
#define STATIC_NAME __attribute__((weak, visibility("hidden")))

extern int __pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) STATIC_NAME;
extern int __thrd_create(thrd_t *, thrd_start_t, void *) STATIC_NAME;
extern int __pthread_sigmask(int, const sigset_t *, sigset_t *) STATIC_NAME;
extern int __sigprocmask(int, const sigset_t *, sigset_t *) STATIC_NAME;
extern int __dlclose(void *) STATIC_NAME;
extern int __posix_spawn(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
                         char *const[], char *const[]) STATIC_NAME;
extern int __posix_spawnp(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
                          char *const[], char *const[]) STATIC_NAME;
extern int __libc_system(const char *) STATIC_NAME;
extern FILE *_IO_new_popen(const char *, const char *) STATIC_NAME;

static void *next_of(const char *name) {
    void *fn = dlsym(RTLD_NEXT, name);
    if (!fn)
        mo_fatal("libc's %s is not to be found; a program linked with -static needs the link flags of "
                 "`pkg-config --static --libs mound`", name);
    return fn;
}

/* The function pointer is the same whoever stores it, so a race stores it twice. */
#define REAL(name, static_name)                                                                    \
    static __typeof__(&name) real_fn;                                                              \
    __typeof__(&name) real = mo_load_rlx(&real_fn); /* idempotent */                               \
    if (!real) {                                                                                   \
        real = static_name ? static_name : (__typeof__(&name))next_of(#name);                      \
        mo_store_rlx(&real_fn, real); /* idempotent */                                             \
    }

/* ---------------------------------------------------------------- threads */

typedef struct start_record {
    void *(*fn)(void *);
    int (*c11_fn)(void *);
    void *arg; /* the record is a root until the thread has registered */
} start_record;

static void *run_thread(void *record) {
    start_record start = *(start_record *)record;
    mo_thread_current();
    *(start_record *)record = (start_record){0};
    mo_interpose.start_record_free(record);
    if (start.fn) return start.fn(start.arg);
    return (void *)(intptr_t)start.c11_fn(start.arg);
}

static start_record *record_of(void *(*fn)(void *), int (*c11_fn)(void *), void *arg) {
    start_record *r = mo_interpose.start_record_alloc(sizeof *r);
    if (r) *r = (start_record){fn, c11_fn, arg};
    return r;
}

int mo_real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg) {
    REAL(pthread_create, __pthread_create)
    return real(thread, attr, fn, arg);
}

PUBLIC int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg) {
    if (!mo_interpose.start || !mo_interpose.start()) return mo_real_pthread_create(thread, attr, fn, arg);
    start_record *r = record_of(fn, NULL, arg);
    if (!r) return EAGAIN;
    int result = mo_real_pthread_create(thread, attr, run_thread, r);
    if (result != 0) mo_interpose.start_record_free(r);
    return result;
}

static int run_c11_thread(void *record) { return (int)(intptr_t)run_thread(record); }

PUBLIC int thrd_create(thrd_t *thread, thrd_start_t fn, void *arg) {
    REAL(thrd_create, __thrd_create)
    if (!mo_interpose.start || !mo_interpose.start()) return real(thread, fn, arg);
    start_record *r = record_of(NULL, fn, arg);
    if (!r) return thrd_nomem;
    int result = real(thread, run_c11_thread, r);
    if (result != thrd_success) mo_interpose.start_record_free(r);
    return result;
}

/* ---------------------------------------------------------------- signal masks */

static const sigset_t *without_stop_signal(int how, const sigset_t *set, sigset_t *copy) {
    int sig = mo_the_world.signal;
    if (!set || how == SIG_UNBLOCK || sig == 0 || sigismember(set, sig) != 1) return set;
    *copy = *set;
    sigdelset(copy, sig);
    return copy;
}

int mo_real_pthread_sigmask(int how, const sigset_t *set, sigset_t *old) {
    REAL(pthread_sigmask, __pthread_sigmask)
    return real(how, set, old);
}

PUBLIC int pthread_sigmask(int how, const sigset_t *set, sigset_t *old) {
    sigset_t copy;
    return mo_real_pthread_sigmask(how, without_stop_signal(how, set, &copy), old);
}

PUBLIC int sigprocmask(int how, const sigset_t *set, sigset_t *old) {
    REAL(sigprocmask, __sigprocmask)
    sigset_t copy;
    return real(how, without_stop_signal(how, set, &copy), old);
}

/* ---------------------------------------------------------------- loader */

PUBLIC int dlclose(void *handle) {
    REAL(dlclose, __dlclose)
    void *token = mo_interpose.before_dlclose ? mo_interpose.before_dlclose() : NULL;
    int result = real(handle);
    if (mo_interpose.after_dlclose) mo_interpose.after_dlclose(token);
    return result;
}

/* ---------------------------------------------------------------- system calls that wait */

#define BLOCKING(type, call)                                                                       \
    mo_thread *t = mo_self;                                                                        \
    if (!mo_is_registered(t)) return call;                                                         \
    mo_runtime_enter(t);                                                                           \
    mo_thread_block_begin(t);                                                                      \
    type result = call;                                                                            \
    mo_thread_block_end(t);                                                                        \
    mo_runtime_leave(t);                                                                           \
    return result

PUBLIC int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                       const posix_spawnattr_t *attr, char *const argv[], char *const envp[]) {
    REAL(posix_spawn, __posix_spawn)
    BLOCKING(int, real(pid, path, actions, attr, argv, envp));
}

PUBLIC int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                        const posix_spawnattr_t *attr, char *const argv[], char *const envp[]) {
    REAL(posix_spawnp, __posix_spawnp)
    BLOCKING(int, real(pid, file, actions, attr, argv, envp));
}

PUBLIC int system(const char *command) {
    REAL(system, __libc_system)
    BLOCKING(int, real(command));
}

PUBLIC FILE *popen(const char *command, const char *mode) {
    REAL(popen, _IO_new_popen)
    BLOCKING(FILE *, real(command, mode));
}
