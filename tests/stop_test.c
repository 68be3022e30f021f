/* stop_test.c - a collection ends, and what a thread holds lives, whatever the thread does or waits
 * for meanwhile. modes: gc */
#include "hold.h"

#include <link.h>
#include <malloc.h>
#include <poll.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>

/* A test in a process of its own. */
#define TEST(name)                                                                                 \
    static void name##_body(void);                                                                 \
    static void name(void **state) {                                                               \
        (void)state;                                                                               \
        isolated(name##_body);                                                                     \
    }                                                                                              \
    static void name##_body(void)

static void announce(holder *h) { STORE(&h->phase, 1); }
static bool is_over(holder *h) { return LOAD(&h->phase) == 2; }

/* ---------------------------------------------------------------- running */

static void spin(holder *h) {
    announce(h);
    while (!is_over(h)) continue;
}

static void malloc_storm(holder *h) {
    announce(h);
    void *slot[64] = {NULL};
    for (unsigned i = 0; !is_over(h); i++) {
        free(slot[i % 64]);
        slot[i % 64] = malloc(i * 37 % 3000);
    }
    for (int i = 0; i < 64; i++) free(slot[i]);
}

static FILE *shared_stream;

static void stdio_storm(holder *h) {
    announce(h);
    while (!is_over(h)) fprintf(shared_stream, "%d %s %f\n", 1, "two", 3.0);
}

static void environment_storm(holder *h) {
    announce(h);
    char name[32];
    for (int i = 0; !is_over(h); i++) {
        snprintf(name, sizeof name, "STOP_TEST_%d", i % 10);
        setenv(name, "x", 1);
    }
}

static void mound_storm(holder *h) {
    announce(h);
    while (!is_over(h)) make_list(1, 30);
}

TEST(a_spinning_thread) { check_held(spin, NULL); }

/* Threads stopped while they hold a lock that a careless collector would need. */
static void check_storm(void (*storm)(holder *h)) {
    enum { THREADS = 3 };
    holder h[THREADS];
    mound_weak w[THREADS];
    memset(h, 0, sizeof h);
    for (int i = 0; i < THREADS; i++) {
        h[i].wait = storm;
        w[i] = hold_prepare(&h[i]);
        clear_stack();
        check(pthread_create(&h[i].thread, NULL, hold_main, &h[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++) await(&h[i].phase, 1);
    for (int i = 0; i < 60; i++) {
        collect(1);
        sleep_us(200);
    }
    bool alive = true, ok = true;
    for (int i = 0; i < THREADS; i++) alive = is_alive(w[i]) && alive;
    for (int i = 0; i < THREADS; i++) {
        STORE(&h[i].phase, 2);
        pthread_join(h[i].thread, NULL);
        ok = h[i].ok && ok;
    }
    check(alive);
    check(ok);
}

TEST(threads_in_malloc) { check_storm(malloc_storm); }
TEST(threads_in_stdio) {
    shared_stream = fopen("/dev/null", "w");
    check_storm(stdio_storm);
    fclose(shared_stream);
}
TEST(threads_in_setenv) { check_storm(environment_storm); }
TEST(threads_in_mound) { check_storm(mound_storm); }

/* ---------------------------------------------------------------- waiting */

static int pipe_fd[2];

static void in_read(holder *h) {
    char c;
    announce(h);
    while (!is_over(h))
        if (read(pipe_fd[0], &c, 1) != 1) h->extra = errno;
}
static void by_write(holder *h) {
    (void)h;
    check(write(pipe_fd[1], "x", 1) == 1);
}

TEST(a_thread_in_read) {
    check(pipe(pipe_fd) == 0);
    holder h = {.wait = in_read, .wake = by_write};
    check_held_with(&h, NULL);
    check(h.extra == 0); /* no EINTR */
    close(pipe_fd[0]);
    close(pipe_fd[1]);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;

static void in_mutex(holder *h) {
    announce(h);
    pthread_mutex_lock(&mutex);
    pthread_mutex_unlock(&mutex);
}
static void by_unlock(holder *h) {
    (void)h;
    pthread_mutex_unlock(&mutex);
}
TEST(a_thread_in_a_mutex) {
    pthread_mutex_lock(&mutex);
    check_held(in_mutex, by_unlock);
}

static void in_cond(holder *h) {
    pthread_mutex_lock(&mutex);
    announce(h);
    while (!is_over(h)) pthread_cond_wait(&cond, &mutex);
    pthread_mutex_unlock(&mutex);
}
static void by_broadcast(holder *h) {
    (void)h;
    pthread_mutex_lock(&mutex);
    pthread_cond_broadcast(&cond);
    pthread_mutex_unlock(&mutex);
}
TEST(a_thread_in_a_condition_variable) { check_held(in_cond, by_broadcast); }

static void in_sleep(holder *h) {
    announce(h);
    while (!is_over(h)) {
        struct timespec time = {0, 2000000};
        nanosleep(&time, NULL);
    }
}
TEST(a_sleeping_thread) { check_held(in_sleep, NULL); }

/* ---------------------------------------------------------------- blocked signals */

static void with_mask(holder *h, int (*set_mask)(int, const sigset_t *, sigset_t *)) {
    sigset_t all, old, now;
    sigfillset(&all);
    set_mask(SIG_BLOCK, &all, &old);
    set_mask(SIG_SETMASK, &all, NULL);
    set_mask(SIG_SETMASK, NULL, &now);
    h->extra = sigismember(&now, SIGUSR1) + 10 * sigismember(&now, SIGURG);
    spin(h);
    set_mask(SIG_SETMASK, &old, NULL);
}

static void with_pthread_sigmask(holder *h) { with_mask(h, pthread_sigmask); }
static void with_sigprocmask(holder *h) { with_mask(h, sigprocmask); }

TEST(a_thread_that_blocked_all_signals) {
    holder h = {.wait = with_pthread_sigmask};
    check_held_with(&h, NULL);
    check(h.extra == 1); /* the others are blocked, ours is not */
    h = (holder){.wait = with_sigprocmask};
    check_held_with(&h, NULL);
    check(h.extra == 1);
}

TEST(a_thread_born_with_all_signals_blocked) {
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    holder h = {.wait = spin};
    check_held_with(&h, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* The usual thread that takes all of a program's signals. */
static void in_sigwait(holder *h) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    announce(h);
    while (!is_over(h)) {
        int sig;
        if (sigwait(&all, &sig) == 0 && sig == SIGURG) h->extra++;
    }
}
static void in_sigtimedwait(holder *h) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    announce(h);
    while (!is_over(h)) {
        struct timespec time = {0, 1000000};
        if (sigtimedwait(&all, NULL, &time) == SIGURG) h->extra++;
    }
}
static void by_usr2(holder *h) { pthread_kill(h->thread, SIGUSR2); }

TEST(a_thread_in_sigwait_for_all_signals) {
    holder h = {.wait = in_sigwait, .wake = by_usr2};
    check_held_with(&h, NULL);
    check(h.extra == 0); /* the program never sees our signal */
    h = (holder){.wait = in_sigtimedwait, .wake = by_usr2};
    check_held_with(&h, NULL);
    check(h.extra == 0);
}

static void on_usr2(int sig) { (void)sig; }

/* Waits that set a mask of their own, which lets through nothing but SIGUSR2. */
static void in_sigsuspend(holder *h) {
    sigset_t mask, old;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &mask, &old);
    sigfillset(&mask);
    sigdelset(&mask, SIGUSR2);
    announce(h);
    while (!is_over(h)) sigsuspend(&mask);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}
static void in_ppoll(holder *h) {
    sigset_t mask;
    sigfillset(&mask);
    sigdelset(&mask, SIGUSR2);
    announce(h);
    while (!is_over(h)) ppoll(NULL, 0, NULL, &mask);
}
static void in_pselect(holder *h) {
    sigset_t mask;
    sigfillset(&mask);
    sigdelset(&mask, SIGUSR2);
    announce(h);
    while (!is_over(h)) pselect(0, NULL, NULL, NULL, NULL, &mask);
}
static void in_epoll_pwait(holder *h) {
    sigset_t mask;
    sigfillset(&mask);
    sigdelset(&mask, SIGUSR2);
    int fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event;
    announce(h);
    while (!is_over(h)) epoll_pwait(fd, &event, 1, -1, &mask);
    close(fd);
}
/* The last wait may begin after the first signal. */
static void by_many_usr2(holder *h) {
    while (LOAD(&h->phase) != 3) {
        pthread_kill(h->thread, SIGUSR2);
        sleep_us(1000);
    }
}

static void check_masked_wait(void (*wait)(holder *h)) {
    struct sigaction action = {.sa_handler = on_usr2};
    sigaction(SIGUSR2, &action, NULL);
    check_held(wait, by_many_usr2);
}
TEST(a_thread_in_sigsuspend_with_all_signals_masked) { check_masked_wait(in_sigsuspend); }
TEST(a_thread_in_ppoll_with_all_signals_masked) { check_masked_wait(in_ppoll); }
TEST(a_thread_in_pselect_with_all_signals_masked) { check_masked_wait(in_pselect); }
TEST(a_thread_in_epoll_pwait_with_all_signals_masked) { check_masked_wait(in_epoll_pwait); }

/* A handler during which every other signal is blocked, as sigfillset(&sa_mask) asks. */
static holder *handler_holder;
static void on_usr2_masked(int sig) {
    (void)sig;
    spin(handler_holder);
}
static void in_masked_handler(holder *h) {
    handler_holder = h;
    raise(SIGUSR2);
}
TEST(a_thread_in_a_handler_that_masks_all_signals) {
    struct sigaction action = {.sa_handler = on_usr2_masked};
    sigfillset(&action.sa_mask);
    sigaction(SIGUSR2, &action, NULL);
    check_held(in_masked_handler, NULL);
}

/* ---------------------------------------------------------------- the loader's lock */

static int on_object(struct dl_phdr_info *info, size_t size, void *arg) {
    (void)info, (void)size;
    holder *h = arg;
    announce(h);
    while (!is_over(h)) make_list(1, 300);
    return 1;
}

/* As profilers and unwinders do: the callback runs under the loader's lock. */
static void in_dl_iterate_phdr(holder *h) { dl_iterate_phdr(on_object, h); }

TEST(a_thread_that_allocates_under_the_loader_s_lock) { check_held(in_dl_iterate_phdr, NULL); }

/* ---------------------------------------------------------------- threads that do not stop */

enum { HELD_MS = 300 };

static uint64_t now_ms(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* For the time of a test, what is written to standard error goes to a file. Names threads at once:
 * before mound's first use. */
static FILE *messages;
static int real_stderr;

static void catch_messages(void) {
    char debug[200];
    const char *old = getenv("MOUND_DEBUG");
    snprintf(debug, sizeof debug, "%s%sgctrace=1", old ? old : "", old ? "," : "");
    setenv("MOUND_DEBUG", debug, 1);
    messages = tmpfile();
    real_stderr = dup(STDERR_FILENO);
    dup2(fileno(messages), STDERR_FILENO);
}

static bool was_said(const char *text) {
    char line[512];
    dup2(real_stderr, STDERR_FILENO);
    rewind(messages);
    while (fgets(line, sizeof line, messages))
        if (strstr(line, text)) return true;
    return false;
}

static void with_signals_blocked_unseen(holder *h) {
    uint64_t all = ~(uint64_t)0, old;
    h->extra = (int)syscall(SYS_gettid);
    check(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &all, &old, sizeof all) == 0);
    announce(h);
    for (uint64_t end = now_ms() + HELD_MS; now_ms() < end;) continue;
    check(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, sizeof all) == 0);
    while (!is_over(h)) sleep_us(1000);
}

static void check_named(const holder *h) {
    char text[100];
    snprintf(text, sizeof text, "thread %d has not stopped for", h->extra);
    check(was_said(text));
}

TEST(a_thread_that_does_not_answer_is_waited_for_and_named) {
    holder h = {.wait = with_signals_blocked_unseen};
    catch_messages();
    check_held_with(&h, NULL);
    check_named(&h);
}

/* Another process: it is told a thread, holds it, says 0 or errno, and lets it go after a while. */
static _Noreturn void debugger_main(const int *fd) {
    int tid = 0, result = 0;
    check(read(fd[0], &tid, sizeof tid) == sizeof tid);
    if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) != 0 ||
        ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) != 0 || waitpid(tid, NULL, __WALL) != tid)
        result = errno;
    check(write(fd[1], &result, sizeof result) == sizeof result);
    sleep_us(HELD_MS * 1000);
    ptrace(PTRACE_DETACH, tid, NULL, NULL);
    _exit(0);
}

static void spin_with_a_name(holder *h) {
    h->extra = (int)syscall(SYS_gettid);
    spin(h);
}

TEST(a_thread_held_by_a_debugger_is_waited_for_and_named) {
    int there[2], back[2], result = 0;
    check(pipe(there) == 0 && pipe(back) == 0);
    pid_t debugger = fork();
    if (debugger == 0) debugger_main((int[]){there[0], back[1]});
    check(debugger > 0);
    prctl(PR_SET_PTRACER, debugger, 0, 0, 0); /* where only parents may; elsewhere refused */
    catch_messages();
    holder h = {.wait = spin_with_a_name};
    mound_weak w = hold_prepare(&h);
    clear_stack();
    check(pthread_create(&h.thread, NULL, hold_main, &h) == 0);
    await(&h.phase, 1);
    check(write(there[1], &h.extra, sizeof h.extra) == sizeof h.extra);
    check(read(back[0], &result, sizeof result) == sizeof result);
    uint64_t begin = now_ms();
    collect(5);
    uint64_t took = now_ms() - begin;
    bool alive = is_alive(w);
    STORE(&h.phase, 2);
    pthread_join(h.thread, NULL);
    check(alive && h.ok);
    check(waitpid(debugger, NULL, 0) == debugger);
    if (result != 0) {
        was_said("");
        printf("skipped: ptrace is refused here (errno %d)\n", result);
        return;
    }
    check_named(&h);
    check(took >= HELD_MS / 2);
}

int main(int argc, char **argv) {
    watchdog();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_spinning_thread),
        cmocka_unit_test(threads_in_malloc),
        cmocka_unit_test(threads_in_stdio),
        cmocka_unit_test(threads_in_setenv),
        cmocka_unit_test(threads_in_mound),
        cmocka_unit_test(a_thread_in_read),
        cmocka_unit_test(a_thread_in_a_mutex),
        cmocka_unit_test(a_thread_in_a_condition_variable),
        cmocka_unit_test(a_sleeping_thread),
        cmocka_unit_test(a_thread_that_blocked_all_signals),
        cmocka_unit_test(a_thread_born_with_all_signals_blocked),
        cmocka_unit_test(a_thread_in_sigwait_for_all_signals),
        cmocka_unit_test(a_thread_in_sigsuspend_with_all_signals_masked),
        cmocka_unit_test(a_thread_in_ppoll_with_all_signals_masked),
        cmocka_unit_test(a_thread_in_pselect_with_all_signals_masked),
        cmocka_unit_test(a_thread_in_epoll_pwait_with_all_signals_masked),
        cmocka_unit_test(a_thread_in_a_handler_that_masks_all_signals),
        cmocka_unit_test(a_thread_that_allocates_under_the_loader_s_lock),
        cmocka_unit_test(a_thread_that_does_not_answer_is_waited_for_and_named),
        cmocka_unit_test(a_thread_held_by_a_debugger_is_waited_for_and_named),
    };
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
