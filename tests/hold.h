/* hold.h - for tests of threads: a thread that holds a list in one place only while others
 * collect, a gate, and a watchdog instead of hanging for ever. Include it first. */
#ifndef HOLD_H
#define HOLD_H

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
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "mound.h"
#include "tsan.h"

#define NOINLINE __attribute__((noinline, unused))
#define LOAD(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define STORE(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)

/* Ends a test that hangs: by SIGALRM, after MOUND_TEST_SECONDS. */
static inline void watchdog(void) {
    const char *text = getenv("MOUND_TEST_SECONDS");
    alarm(text ? (unsigned)atoi(text) : 280);
}

/* Until a point in time: what nanosleep says is left grows a little with every interruption, so it
 * might never end under a storm of stops. */
static inline void sleep_us(long us) {
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_nsec += us * 1000;
    end.tv_sec += end.tv_nsec / 1000000000;
    end.tv_nsec %= 1000000000;
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) == EINTR) continue;
}

static inline void await(const int *word, int value) {
    while (LOAD(word) != value) sleep_us(50);
}

/* ---------------------------------------------------------------- a process per test */

static bool is_isolated;

/* As assert_true, but may also be used below isolated(). */
#define check(cond)                                                                                \
    do {                                                                                           \
        if (!is_isolated) {                                                                        \
            assert_true(cond);                                                                     \
        } else if (!(cond)) {                                                                      \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #cond);                     \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

/* Runs body in a child, so that one that hangs does not hide those after it. The caller must not
 * have used mound yet. */
static inline void isolated(void (*body)(void)) {
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        is_isolated = true;
        alarm(TEST_TSAN ? 90 : getenv("MOUND_DEBUG") ? 40 : 20);
        body();
        _exit(0);
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        fail_msg("it hung: a thread was never stopped, or never started again");
    if (WIFSIGNALED(status)) fail_msg("it died of signal %d", WTERMSIG(status));
    if (WEXITSTATUS(status) != 0) fail_msg("it ended with status %d", WEXITSTATUS(status));
}

/* ---------------------------------------------------------------- data with checks */

typedef struct node {
    struct node *next;
    uint64_t value, check;
    void *fill;
} node;

static inline uint64_t mix(uint64_t x) {
    x = (x ^ x >> 31) * 0x9E3779B97F4A7C15u;
    return (x ^ x >> 29) * 0xD1B54A32D192ED03u;
}

static NOINLINE node *make_list(uint64_t seed, int len) {
    node *first = NULL;
    for (int i = len; i-- > 0;) {
        node *n = mound_new(node);
        *n = (node){first, seed + (uint64_t)i, mix(seed + (uint64_t)i), NULL};
        first = n;
    }
    return first;
}

static NOINLINE bool list_ok(const node *n, uint64_t seed, int len) {
    for (int i = 0; i < len; i++, n = n->next)
        if (!n || n->value != seed + (uint64_t)i || n->check != mix(n->value)) return false;
    return n == NULL;
}

/* An address as the collector does not know it. The compiler must not put it off. */
static inline uintptr_t hide(const void *p) {
    uintptr_t x = (uintptr_t)p;
    __asm__ volatile("notq %0" : "+r"(x));
    return x;
}
static inline void *unhide(uintptr_t x) {
    __asm__ volatile("notq %0" : "+r"(x));
    return (void *)x;
}

/* Overwrites what earlier calls left on this stack. */
static NOINLINE void clear_stack(void) {
    char dead[32768];
    memset(dead, 0, sizeof dead);
    __asm__ volatile("" : : "r"(dead) : "memory");
}

static NOINLINE bool is_alive(mound_weak w) {
    bool alive = mound_weak_get(w) != NULL;
    clear_stack();
    return alive;
}

/* Collects, and uses memory that was wrongly freed for something else. */
static NOINLINE void collect(int times) {
    for (int i = 0; i < times; i++) {
        mound_gc();
        for (int k = 0; k < 300; k++) {
            node *n = mound_new(node);
            *n = (node){NULL, 0xbad, 0xbad, NULL};
        }
    }
}

/* ---------------------------------------------------------------- the holder */

enum { HOLD_LEN = 20, HOLD_SEED = 4711 };

typedef struct holder {
    void (*wait)(struct holder *h); /* sets phase to 1, returns after phase was set to 2 */
    void (*wake)(struct holder *h); /* after phase was set to 2; NULL: none needed */
    node *list;                     /* until the thread has taken it */
    int phase;
    bool ok;
    pthread_t thread;
    int fd[2];
    int extra;
} holder;

static NOINLINE mound_weak hold_prepare(holder *h) {
    h->list = make_list(HOLD_SEED, HOLD_LEN);
    return mound_weak_make(h->list);
}

static NOINLINE node *hold_take(holder *h) {
    node *list = h->list;
    STORE(&h->list, NULL);
    return list;
}

/* The list is needed after the wait, so its address is on this stack or in a register. */
static NOINLINE void *hold_main(void *arg) {
    holder *h = arg;
    node *list = hold_take(h);
    h->wait(h);
    h->ok = list_ok(list, HOLD_SEED, HOLD_LEN);
    STORE(&h->phase, 3);
    return NULL;
}

/* Runs a holder while this thread collects; fails unless the list lives. */
static inline void check_held_with(holder *h, const pthread_attr_t *attr) {
    mound_weak w = hold_prepare(h);
    clear_stack();
    check(pthread_create(&h->thread, attr, hold_main, h) == 0);
    await(&h->phase, 1);
    sleep_us(1000); /* from the announcement into the wait itself */
    collect(5);
    bool alive = is_alive(w);
    STORE(&h->phase, 2);
    if (h->wake) h->wake(h);
    pthread_join(h->thread, NULL);
    check(alive);
    check(h->ok);
}

static inline void check_held(void (*wait)(holder *h), void (*wake)(holder *h)) {
    holder h = {.wait = wait, .wake = wake};
    check_held_with(&h, NULL);
}

/* ---------------------------------------------------------------- a storm of collections */

static int storm_on;

static void *storm_main(void *arg) {
    (void)arg;
    while (LOAD(&storm_on)) {
        collect(1);
        sleep_us(100);
    }
    return NULL;
}

static inline pthread_t storm_begin(void) {
    pthread_t thread;
    STORE(&storm_on, 1);
    check(pthread_create(&thread, NULL, storm_main, NULL) == 0);
    return thread;
}

static inline void storm_end(pthread_t thread) {
    STORE(&storm_on, 0);
    pthread_join(thread, NULL);
}

#endif
