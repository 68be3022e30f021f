/* interpose.c - libc functions that mound must see, under their own names.
 *
 *   pthread_create, thrd_create    the new thread registers before it runs user code
 *   pthread_exit, _join, _detach   a thread's result lives until it is joined
 *   pthread_sigmask, sigprocmask   never block the stop signal
 *   sigsuspend, sigwait, sigwaitinfo, sigtimedwait, pselect, ppoll, epoll_pwait, sigaction
 *                                  nor do their sets
 *   posix_spawn, posix_spawnp      the caller waits like a vfork parent, without taking signals:
 *                                  it counts as stopped meanwhile
 *   dlclose                        cleanups that live in the closed object are dropped
 *   dl_iterate_phdr                no thread is started in a callback, which holds a loader's lock
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
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <threads.h>
#include <unistd.h>

#include "sched/thread.h"
#include "sched/tsan.h"

/* Set before any code runs, other libraries' constructors included: a thread they make may be
 * handed objects before it ever calls mound, so it must be registered from its start. */
MO_GLOBAL mo_interpose_hooks mo_interpose = {.start = mo_start_for_thread};

#define PUBLIC __attribute__((visibility("default")))
#define STATIC_NAME __attribute__((weak, visibility("hidden")))

extern int __pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *),
                            void *) STATIC_NAME;
extern void __pthread_exit(void *) STATIC_NAME __attribute__((noreturn));
extern int __pthread_join(pthread_t, void **) STATIC_NAME;
extern int __pthread_detach(pthread_t) STATIC_NAME;
extern int __sigaction(int, const struct sigaction *, struct sigaction *) STATIC_NAME;
extern int __sigsuspend(const sigset_t *) STATIC_NAME;
extern int __sigwait(const sigset_t *, int *) STATIC_NAME;
extern int __sigwaitinfo(const sigset_t *, siginfo_t *) STATIC_NAME;
extern int __sigtimedwait(const sigset_t *, siginfo_t *, const struct timespec *) STATIC_NAME;
extern int __pselect(int, fd_set *, fd_set *, fd_set *, const struct timespec *,
                     const sigset_t *) STATIC_NAME;
extern int __thrd_create(thrd_t *, thrd_start_t, void *) STATIC_NAME;
extern int __pthread_sigmask(int, const sigset_t *, sigset_t *) STATIC_NAME;
extern int __sigprocmask(int, const sigset_t *, sigset_t *) STATIC_NAME;
extern int __dlclose(void *) STATIC_NAME;
extern int __dl_iterate_phdr(int (*)(struct dl_phdr_info *, size_t, void *), void *) STATIC_NAME;
extern int __posix_spawn(pid_t *, const char *, const posix_spawn_file_actions_t *,
                         const posix_spawnattr_t *, char *const[], char *const[]) STATIC_NAME;
extern int __posix_spawnp(pid_t *, const char *, const posix_spawn_file_actions_t *,
                          const posix_spawnattr_t *, char *const[], char *const[]) STATIC_NAME;

/* In a program that is linked with clang's sanitizers our name hides theirs. */
extern __typeof__(pthread_create) __interceptor_pthread_create __attribute__((weak));
extern __typeof__(dl_iterate_phdr) __interceptor_dl_iterate_phdr __attribute__((weak));

static void *next_of(const char *name) {
    void *fn = dlsym(RTLD_NEXT, name);
    if (!fn)
        mo_fatal(
            "libc's %s is not to be found; a program linked with -static needs the link flags of "
            "`pkg-config --static --libs mound`",
            name);
    return fn;
}

/* The function pointer is the same whoever stores it, so a race stores it twice. */
#define REAL(name, static_name)                                                                    \
    static __typeof__(&name) real_fn;                                                              \
    __typeof__(&name) real = mo_load_rlx(&real_fn); /* idempotent */                               \
    if (!real) {                                                                                   \
        real = (static_name);                                                                      \
        if (!real) real = (__typeof__(&name))next_of(#name);                                       \
        mo_store_rlx(&real_fn, real); /* idempotent */                                             \
    }

/* ---------------------------------------------------------------- threads */

/* One per thread, in memory that is a root: it keeps the argument until the thread runs, and the
 * result until it is joined. Lock: records_lock for all but fn and arg. */
typedef struct start_record {
    void *(*fn)(void *);
    int (*c11_fn)(void *);
    void *arg;
    void *result;
    struct start_record *next, *prev;
    pthread_t thread;
    bool is_running, is_done, is_detached;
} start_record;

static MO_GLOBAL mo_lock records_lock = {0, MO_RANK_RECORDS};
static MO_GLOBAL start_record *records;
static __thread start_record *own_record __attribute__((tls_model("initial-exec")));

static void unlink_locked(start_record *r) {
    if (r->prev)
        r->prev->next = r->next;
    else
        mo_store_rlx(&records, r->next); /* the lock orders it; see may_have_record */
    if (r->next) r->next->prev = r->prev;
}

mo_lock *mo_records_lock(void) { return &records_lock; }

/* The record leaves the list, and the memory is free again; r may be NULL. */
static void drop_record(start_record *r) {
    if (!r) return;
    memset(r, 0, sizeof *r);
    mo_interpose.start_record_free(r);
}

static start_record *make_record(void *(*fn)(void *), int (*c11_fn)(void *), void *arg,
                                 bool is_detached) {
    start_record *r = mo_interpose.start_record_alloc(sizeof *r);
    if (!r) return NULL;
    *r = (start_record){.fn = fn, .c11_fn = c11_fn, .arg = arg, .is_detached = is_detached};
    mo_thread *t = mo_thread_current();
    mo_runtime_enter(t);
    mo_lock_acquire(&records_lock);
    r->next = records;
    if (r->next) r->next->prev = r;
    mo_store_rlx(&records, r); /* the lock orders it; see may_have_record */
    mo_lock_release(&records_lock);
    mo_runtime_leave(t);
    return r;
}

/* Removes the oldest record for which the thread and the state fit; NULL: none does. */
static start_record *take_record(pthread_t thread, bool (*fits)(start_record *r)) {
    start_record *found = NULL;
    mo_thread *t = mo_thread_current();
    mo_runtime_enter(t);
    mo_lock_acquire(&records_lock);
    for (start_record *r = records; r; r = r->next)
        if (r->is_running && pthread_equal(r->thread, thread) && fits(r)) found = r;
    if (found) unlink_locked(found);
    mo_lock_release(&records_lock);
    mo_runtime_leave(t);
    return found;
}

/* A thread's record was in the list before its pthread_t was known to anybody. */
static bool may_have_record(void) {
    return mo_load_rlx(&records) != NULL; /* a glance; the lock decides */
}

static bool is_done(start_record *r) { return r->is_done; }
/* Done: taken and dropped. Still running: marked, so that its end drops it. */
static bool is_done_else_detach(start_record *r) {
    r->is_detached = true;
    return r->is_done;
}
static bool finish_and_is_detached(start_record *r) {
    r->is_done = true;
    return r->is_detached;
}

static void begin_record(start_record *r) {
    mo_thread *t = mo_thread_current();
    mo_runtime_enter(t);
    mo_lock_acquire(&records_lock);
    r->thread = pthread_self();
    r->arg = NULL; /* in the caller's hands now */
    r->is_running = true;
    mo_lock_release(&records_lock);
    mo_runtime_leave(t);
    own_record = r;
}

static void finish_record(void *result) {
    start_record *r = own_record;
    if (!r) return;
    own_record = NULL;
    r->result = result;
    drop_record(take_record(pthread_self(), finish_and_is_detached));
}

static void *run_thread(void *record) {
    start_record *r = record;
#if MO_MUTANT_start_record_forgotten
    void *early = r->arg;
    r->arg = NULL;
    mo_futex_wait(&(uint32_t){0}, 0, 2000000);
    mo_thread_current();
    r->arg = early;
#endif
    mo_thread_current();
    void *(*fn)(void *) = r->fn;
    int (*c11_fn)(void *) = r->c11_fn;
    void *arg = r->arg;
#if MO_MUTANT_create_frees_early
    drop_record(r);
#else
    begin_record(r);
#endif
    void *result = fn ? fn(arg) : (void *)(intptr_t)c11_fn(arg);
    finish_record(fn ? result : NULL);
    return result;
}

int mo_real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
                           void *arg) {
    REAL(pthread_create,
         __interceptor_pthread_create ? __interceptor_pthread_create : __pthread_create)
    return real(thread, attr, fn, arg);
}

/* A thread could not be made. */
static void forget_record(start_record *r) {
    mo_thread *t = mo_thread_current();
    mo_runtime_enter(t);
    mo_lock_acquire(&records_lock);
    unlink_locked(r);
    mo_lock_release(&records_lock);
    mo_runtime_leave(t);
    drop_record(r);
}

PUBLIC int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg) {
    if (!mo_interpose.start || !mo_interpose.start())
        return mo_real_pthread_create(thread, attr, fn, arg);
    int detach_state = PTHREAD_CREATE_JOINABLE;
    if (attr) pthread_attr_getdetachstate(attr, &detach_state);
    start_record *r = make_record(fn, NULL, arg, detach_state == PTHREAD_CREATE_DETACHED);
    if (!r) return EAGAIN;
    int result = mo_real_pthread_create(thread, attr, run_thread, r);
    if (result != 0) forget_record(r);
    return result;
}

static int run_c11_thread(void *record) { return (int)(intptr_t)run_thread(record); }

PUBLIC int thrd_create(thrd_t *thread, thrd_start_t fn, void *arg) {
    REAL(thrd_create, __thrd_create)
    if (!mo_interpose.start || !mo_interpose.start()) return real(thread, fn, arg);
    start_record *r = make_record(NULL, fn, arg, true); /* its result is a number */
    if (!r) return thrd_nomem;
    int result = real(thread, run_c11_thread, r);
    if (result != thrd_success) forget_record(r);
    return result;
}

PUBLIC void pthread_exit(void *result) {
    REAL(pthread_exit, __pthread_exit)
    finish_record(result);
    real(result);
    __builtin_unreachable();
}

PUBLIC int pthread_join(pthread_t thread, void **result) {
    REAL(pthread_join, __pthread_join)
    int error = real(thread, result);
    if (error == 0 && may_have_record()) drop_record(take_record(thread, is_done));
    return error;
}

PUBLIC int pthread_detach(pthread_t thread) {
    REAL(pthread_detach, __pthread_detach)
    int error = real(thread);
    if (error == 0 && may_have_record()) drop_record(take_record(thread, is_done_else_detach));
    return error;
}

/* ---------------------------------------------------------------- signal masks */

/* Before the start it is not known yet; the default is likely. */
static int stop_signal(void) {
    /* A number, nothing else; the start may be under way in another thread. */
    int sig = mo_load_rlx(&mo_the_world.signal);
    return sig ? sig : SIGURG;
}

static const sigset_t *without_stop_signal(int how, const sigset_t *set, sigset_t *copy) {
    int sig = stop_signal();
    if (!set || how == SIG_UNBLOCK || sigismember(set, sig) != 1) return set;
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

/* Waiting for the stop signal, or with it masked, would leave a stop unanswered. These return or
 * go on waiting with EINTR as for any other handled signal. */
PUBLIC int sigsuspend(const sigset_t *mask) {
    REAL(sigsuspend, __sigsuspend)
    sigset_t copy;
    return real(without_stop_signal(SIG_SETMASK, mask, &copy));
}

PUBLIC int sigwait(const sigset_t *set, int *sig) {
    REAL(sigwait, __sigwait)
    sigset_t copy;
    return real(without_stop_signal(SIG_SETMASK, set, &copy), sig);
}

PUBLIC int sigwaitinfo(const sigset_t *set, siginfo_t *info) {
    REAL(sigwaitinfo, __sigwaitinfo)
    sigset_t copy;
    return real(without_stop_signal(SIG_SETMASK, set, &copy), info);
}

PUBLIC int sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout) {
    REAL(sigtimedwait, __sigtimedwait)
    sigset_t copy;
    return real(without_stop_signal(SIG_SETMASK, set, &copy), info, timeout);
}

PUBLIC int pselect(int n, fd_set *in, fd_set *out, fd_set *err, const struct timespec *timeout,
                   const sigset_t *mask) {
    REAL(pselect, __pselect)
    sigset_t copy;
    return real(n, in, out, err, timeout, without_stop_signal(SIG_SETMASK, mask, &copy));
}

/* A handler that masks all signals while it runs. */
PUBLIC int sigaction(int sig, const struct sigaction *action, struct sigaction *old) {
    REAL(sigaction, __sigaction)
    struct sigaction copy;
    if (action && sigismember(&action->sa_mask, stop_signal()) == 1) {
        copy = *action;
        sigdelset(&copy.sa_mask, stop_signal());
        action = &copy;
    }
    int result = real(sig, action, old);
#if MO_TSAN
    if (action && result == 0) mo_tsan_unmask(sig, stop_signal());
#endif
    return result;
}

/* These two have no second name in a static libc. */
#define REAL_OR_SYSCALL(name)                                                                      \
    static __typeof__(&name) real_fn;                                                              \
    __typeof__(&name) real = mo_load_rlx(&real_fn); /* idempotent */                               \
    if (!real) {                                                                                   \
        real = (__typeof__(&name))dlsym(RTLD_NEXT, #name);                                         \
        if (real == name) real = NULL;                                                             \
        mo_store_rlx(&real_fn, real); /* idempotent */                                             \
    }

PUBLIC int ppoll(struct pollfd *fds, nfds_t num, const struct timespec *timeout,
                 const sigset_t *mask) {
    REAL_OR_SYSCALL(ppoll)
    sigset_t copy;
    mask = without_stop_signal(SIG_SETMASK, mask, &copy);
    if (real) return real(fds, num, timeout, mask);
    struct timespec left; /* the kernel changes it */
    if (timeout) left = *timeout;
    return (int)syscall(SYS_ppoll, fds, num, timeout ? &left : NULL, mask, (size_t)8);
}

PUBLIC int epoll_pwait(int fd, struct epoll_event *events, int max, int timeout_ms,
                       const sigset_t *mask) {
    REAL_OR_SYSCALL(epoll_pwait)
    sigset_t copy;
    mask = without_stop_signal(SIG_SETMASK, mask, &copy);
    if (real) return real(fd, events, max, timeout_ms, mask);
    return (int)syscall(SYS_epoll_pwait, fd, events, max, timeout_ms, mask, (size_t)8);
}

/* ---------------------------------------------------------------- loader */

PUBLIC int dlclose(void *handle) {
    REAL(dlclose, __dlclose)
    void *token = mo_interpose.before_dlclose ? mo_interpose.before_dlclose() : NULL;
    int result = real(handle);
    if (mo_interpose.after_dlclose) mo_interpose.after_dlclose(token);
    return result;
}

/* libc's pthread_create takes another lock of the loader's than the one that a callback holds; a
 * dlopen takes both in the other order. So an allocation in a callback leaves the library's threads
 * to a later one. A callback that is left by longjmp or an exception leaves its thread counted. */
static __thread unsigned num_callbacks __attribute__((tls_model("initial-exec")));

bool mo_in_loader_callback(void) {
#if MO_MUTANT_starts_in_callback
    return false;
#endif
    return num_callbacks > 0;
}

/* TSan asks for the list before it can look at anything. */
PUBLIC MO_NO_TSAN int dl_iterate_phdr(int (*fn)(struct dl_phdr_info *, size_t, void *), void *arg) {
    REAL(dl_iterate_phdr,
         __interceptor_dl_iterate_phdr ? __interceptor_dl_iterate_phdr : __dl_iterate_phdr)
    num_callbacks++;
    int result = real(fn, arg);
    num_callbacks--;
    return result;
}

/* ---------------------------------------------------------------- posix_spawn */

typedef int spawn_fn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                     const posix_spawnattr_t *attr, char *const argv[], char *const envp[]);

/* The caller counts as stopped: its file actions may wait for another thread, and until the new
 * program runs it takes no signal. Signals are held meanwhile; the child gets the mask from before.
 */
static int spawn_blocked(spawn_fn *real, pid_t *pid, const char *path,
                         const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attr,
                         char *const argv[], char *const envp[]) {
    mo_thread *t = mo_self;
    if (!mo_is_registered(t)) return real(pid, path, actions, attr, argv, envp);
    posix_spawnattr_t own;
    short flags = 0;
    if (attr) {
        own = *attr;
        posix_spawnattr_getflags(attr, &flags);
    } else {
        posix_spawnattr_init(&own);
    }
    sigset_t before;
    mo_runtime_enter(t);
    mo_signals_hold(&before);
    if (!(flags & POSIX_SPAWN_SETSIGMASK)) {
        posix_spawnattr_setflags(&own, (short)(flags | POSIX_SPAWN_SETSIGMASK));
        posix_spawnattr_setsigmask(&own, &before);
    }
    mo_thread_block_begin(t);
    int result = real(pid, path, actions, &own, argv, envp);
    mo_thread_block_end(t);
    mo_signals_release(&before);
    mo_runtime_leave(t);
    return result;
}

PUBLIC int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                       const posix_spawnattr_t *attr, char *const argv[], char *const envp[]) {
    REAL(posix_spawn, __posix_spawn)
    return spawn_blocked(real, pid, path, actions, attr, argv, envp);
}

PUBLIC int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                        const posix_spawnattr_t *attr, char *const argv[], char *const envp[]) {
    REAL(posix_spawnp, __posix_spawnp)
    return spawn_blocked(real, pid, file, actions, attr, argv, envp);
}
