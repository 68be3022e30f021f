/* support.h - what the tests share: seeds, deaths of child processes, threads that start together.
 *
 * Seeds: test_seed() gives the seed of a run and prints it; MOUND_TEST_SEED=n repeats that run.
 * Deaths: test_die() runs a function in a child and keeps its exit status and what it wrote to
 * stderr; assert_fatal and assert_throws are the two ways in which the library ends a process.
 */
#ifndef TEST_SUPPORT_H
#define TEST_SUPPORT_H

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rand.h"
#include "tsan.h"

#define TEST_UNUSED __attribute__((unused))

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TEST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define TEST_SANITIZED 1
#endif
#endif
#ifndef TEST_SANITIZED
#define TEST_SANITIZED 0
#endif

/* A number of steps, less where each takes long: under sanitizers and under the collector's
 * switches (MOUND_DEBUG). MOUND_TEST_FACTOR=n asks for n times as many where they are time, not
 * memory: test_long_steps. */
TEST_UNUSED static uint64_t test_steps(uint64_t n) {
    const char *debug = getenv("MOUND_DEBUG");
    if (debug && strstr(debug, "gcstress"))
        n /= 20;
    else if (debug && *debug)
        n /= 4;
    if (TEST_SANITIZED) n /= 8;
    return n > 0 ? n : 1;
}

TEST_UNUSED static uint64_t test_long_steps(uint64_t n) {
    const char *factor = getenv("MOUND_TEST_FACTOR");
    return test_steps(n) * (factor && *factor ? strtoull(factor, NULL, 0) : 1);
}

/* ---------------------------------------------------------------- seeds */

/* The seed of run number `run` of a test: fixed for run > 0 (their failures repeat by
 * themselves), from the clock for run 0. */
TEST_UNUSED static uint64_t test_seed(const char *test, unsigned run) {
    const char *text = getenv("MOUND_TEST_SEED");
    uint64_t seed = run;
    if (text && *text) {
        seed = strtoull(text, NULL, 0);
    } else if (run == 0) {
        struct timespec ts;
        clock_gettime(CLOCK_REALTIME, &ts);
        seed = (uint64_t)ts.tv_sec * 1000000007u + (uint64_t)ts.tv_nsec;
    }
    print_message("%s: MOUND_TEST_SEED=%llu\n", test, (unsigned long long)seed);
    return seed;
}

/* How many runs with different seeds: one if the seed is given. */
TEST_UNUSED static unsigned test_runs(unsigned n) { return getenv("MOUND_TEST_SEED") ? 1 : n; }

/* ---------------------------------------------------------------- deaths */

typedef struct test_death {
    int status;      /* as waitpid gives it */
    char text[8192]; /* stderr */
} test_death;

/* Runs fn(arg) in a child; if fn returns, the child ends with status 0. */
TEST_UNUSED static test_death test_die(void (*fn)(void *arg), void *arg) {
    static test_death d;
    int fds[2];
    memset(&d, 0, sizeof d);
    assert_int_equal(pipe(fds), 0);
    fflush(stdout);
    fflush(stderr);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        static const int caught[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGSYS, SIGABRT};
        for (size_t i = 0; i < sizeof caught / sizeof caught[0]; i++) signal(caught[i], SIG_DFL);
        struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        alarm(60);
        dup2(fds[1], 2);
        close(fds[0]);
        close(fds[1]);
        fn(arg);
        _exit(0);
    }
    close(fds[1]);
    size_t len = 0;
    char rest[512];
    for (;;) {
        bool has_room = len < sizeof d.text - 1;
        ssize_t n = read(fds[0], has_room ? d.text + len : rest,
                         has_room ? sizeof d.text - 1 - len : sizeof rest);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        if (has_room) len += (size_t)n;
    }
    close(fds[0]);
    while (waitpid(pid, &d.status, 0) < 0 && errno == EINTR) {}
    return d;
}

TEST_UNUSED static int test_exit_status(const test_death *d) {
    return WIFEXITED(d->status) ? WEXITSTATUS(d->status) : -1;
}
TEST_UNUSED static int test_signal(const test_death *d) {
    return WIFSIGNALED(d->status) ? WTERMSIG(d->status) : 0;
}

TEST_UNUSED static void test_expect_text(const test_death *d, const char *part, const char *file,
                                         int line) {
    if (strstr(d->text, part)) return;
    print_error("stderr was \"%s\", which does not contain \"%s\"\n", d->text, part);
    _fail(file, line);
}

/* A caller's mistake: exit status 2, one line that starts with "mound: " and contains part. */
TEST_UNUSED static void test_expect_fatal(const test_death *d, const char *part, const char *file,
                                          int line) {
    size_t len = strlen(d->text);
    const char *end = strchr(d->text, '\n');
    bool is_line = len > 0 && end == d->text + len - 1 && strncmp(d->text, "mound: ", 7) == 0;
    if (test_exit_status(d) != 2 || !is_line) {
        print_error("not one fatal line: wait status 0x%x, stderr \"%s\"\n", (unsigned)d->status,
                    d->text);
        _fail(file, line);
    }
    test_expect_text(d, part, file, line);
}

/* A broken invariant: SIGABRT, "mound: internal error: " and part. */
TEST_UNUSED static void test_expect_throw(const test_death *d, const char *part, const char *file,
                                          int line) {
    if (test_signal(d) != SIGABRT) {
        print_error("not aborted: wait status 0x%x, stderr \"%s\"\n", (unsigned)d->status, d->text);
        _fail(file, line);
    }
    test_expect_text(d, "mound: internal error: ", file, line);
    test_expect_text(d, part, file, line);
}

#define assert_fatal(fn, arg, part)                                                                \
    do {                                                                                           \
        test_death death_ = test_die((fn), (arg));                                                 \
        test_expect_fatal(&death_, (part), __FILE__, __LINE__);                                    \
    } while (0)
#define assert_throws(fn, arg, part)                                                               \
    do {                                                                                           \
        test_death death_ = test_die((fn), (arg));                                                 \
        test_expect_throw(&death_, (part), __FILE__, __LINE__);                                    \
    } while (0)

/* ---------------------------------------------------------------- threads */

enum { TEST_MAX_THREADS = 64 };

/* One error found in a thread, where cmocka's assertions may not be used: the first one counts. */
typedef struct test_errors {
    uint32_t num;
    char text[256];
} test_errors;

TEST_UNUSED static __attribute__((format(printf, 2, 3))) void test_error(test_errors *e,
                                                                         const char *format, ...) {
    if (__atomic_fetch_add(&e->num, 1, __ATOMIC_ACQ_REL) != 0) return;
    va_list args;
    va_start(args, format);
    vsnprintf(e->text, sizeof e->text, format, args);
    va_end(args);
}
TEST_UNUSED static bool test_has_error(test_errors *e) {
    return __atomic_load_n(&e->num, __ATOMIC_ACQUIRE) != 0;
}
#define assert_no_errors(e)                                                                        \
    do {                                                                                           \
        if (test_has_error(e)) fail_msg("%s (%u errors)", (e)->text, (e)->num);                    \
    } while (0)

/* All callers leave at about the same time, by spinning: for short races. */
typedef struct test_line {
    uint32_t arrived, round;
} test_line;

TEST_UNUSED static void test_line_up(test_line *l, uint32_t num) {
    uint32_t round = __atomic_load_n(&l->round, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&l->arrived, 1, __ATOMIC_ACQ_REL) == num) {
        __atomic_store_n(&l->arrived, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&l->round, round + 1, __ATOMIC_RELEASE);
        return;
    }
    for (unsigned spins = 0; __atomic_load_n(&l->round, __ATOMIC_ACQUIRE) == round; spins++) {
        if (spins % 1000 == 999) sched_yield();
    }
}

/* Runs fn in num threads with args[i] = args + i * arg_bytes and waits for all. */
TEST_UNUSED static void test_threads(unsigned num, void *(*fn)(void *), void *args,
                                     size_t arg_bytes) {
    pthread_t thread[TEST_MAX_THREADS];
    assert_true(num <= TEST_MAX_THREADS);
    for (unsigned i = 0; i < num; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, fn, (char *)args + i * arg_bytes), 0);
    for (unsigned i = 0; i < num; i++) assert_int_equal(pthread_join(thread[i], NULL), 0);
}

#endif
