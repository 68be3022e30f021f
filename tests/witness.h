/* witness.h - finding out which objects a collection frees. For tests.
 *
 * A conservative collector sees whatever is left on the stack. A test about death therefore makes
 * its subjects in a function that runs on stack far below the test's own (watch), overwrites that
 * stack afterwards (wipe_stack), keeps only weak pointers, makes many subjects and allows for a few
 * that something still points to.
 */
#ifndef WITNESS_H
#define WITNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mound.h"

#define NOINLINE __attribute__((noinline))
#define HIDE(p) (~(uintptr_t)(p))
#define SHOW(h) ((void *)~(uintptr_t)(h))

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_SANITIZER 1
#endif
#endif
#ifndef HAS_SANITIZER
#define HAS_SANITIZER 0
#endif

/* "MOUND_DEBUG=...key=..." was given. */
__attribute__((unused)) static bool has_debug(const char *key) {
    const char *text = getenv("MOUND_DEBUG");
    return text && strstr(text, key);
}

__attribute__((unused)) static bool under_valgrind(void) {
    const char *text = getenv("LD_PRELOAD");
    return text && strstr(text, "vgpreload");
}

/* No collector switch, no sanitizer, no valgrind, nothing but the plain run. */
__attribute__((unused)) static bool is_plain_run(void) {
    const char *text = getenv("MOUND_DEBUG");
    return !HAS_SANITIZER && !under_valgrind() && MO_VARIETY < 2 && (!text || !*text);
}

/* n, or less of it where everything takes longer. */
__attribute__((unused)) static size_t scaled(size_t n) {
    if (under_valgrind() || has_debug("gcstress")) return n / 50 + 1;
    if (HAS_SANITIZER || MO_VARIETY >= 2) return n / 8 + 1;
    if (has_debug("=")) return n / 4 + 1;
    return n;
}

/* Only the tests that MOUND_TEST_ONLY=pattern names: for mutants. */
__attribute__((unused)) static void select_tests(void) {
    const char *pattern = getenv("MOUND_TEST_ONLY");
    if (pattern) cmocka_set_test_filter(pattern);
}

/* Overwrites the stack below the caller. */
NOINLINE __attribute__((unused)) static void wipe_stack(void) {
    char dead[160 << 10];
    memset(dead, 0, sizeof dead);
    __asm__ volatile("" : : "r"(dead) : "memory");
}

/* Calls fn(arg) on stack 32 KiB below the caller's, then overwrites what it left there. */
NOINLINE __attribute__((unused)) static void run_deep(void (*fn)(void *), void *arg) {
    char gap[32 << 10];
    __asm__ volatile("" : : "r"(gap) : "memory");
    fn(arg);
    __asm__ volatile("" : : "r"(gap) : "memory");
}

__attribute__((unused)) static void apart(void (*fn)(void *), void *arg) {
    run_deep(fn, arg);
    wipe_stack();
}

/* ---------------------------------------------------------------- many subjects */

enum { WATCH_MAX = 1000, WATCH_NEIGHBOURS = 40 };
/* In the heap, where a pointer keeps exactly what it points into: see weak_test.c. */
static mound_weak *watched __attribute__((unused));

typedef struct watch_order {
    void *(*make)(size_t i);
    size_t num;
} watch_order;

__attribute__((unused)) static void watch_all(void *arg) {
    const watch_order *order = arg;
    for (size_t i = 0; i < order->num; i++) watched[i] = mound_weak_make(order->make(i));
    for (size_t i = 0; i < WATCH_NEIGHBOURS; i++) order->make(order->num + i);
}

/* Makes num subjects and a few more that die with them, far down the stack. */
__attribute__((unused)) static void watch(size_t num, void *(*make)(size_t i)) {
    watch_order order = {make, num};
    if (!watched) {
        watched = mound_alloc_array(WATCH_MAX, sizeof *watched);
        /* What stands below it is kept by the root's word too: no subject. */
        mound_keep_alive(mound_alloc_array(WATCH_MAX, sizeof *watched));
    }
    memset(watched, 0, WATCH_MAX * sizeof *watched);
    apart(watch_all, &order);
}

__attribute__((unused)) static void count_dead(void *arg) {
    size_t *num = arg, max = *num;
    *num = 0;
    for (size_t i = 0; i < max; i++) *num += mound_weak_get(watched[i]) == NULL;
}

/* Collects; how many of the first num subjects are gone. */
__attribute__((unused)) static size_t dead_after_gc(size_t num) {
    wipe_stack();
    mound_gc();
    apart(count_dead, &num);
    return num;
}

#define assert_nearly_all_die(num)                                                                 \
    do {                                                                                           \
        size_t num_ = (num), dead_ = dead_after_gc(num_);                                          \
        if (dead_ * 100 < num_ * 95) fail_msg("only %zu of %zu subjects died", dead_, num_);       \
    } while (0)

#define assert_all_live(num)                                                                       \
    do {                                                                                           \
        size_t num_ = (num), dead_ = dead_after_gc(num_);                                          \
        if (dead_ != 0) fail_msg("%zu of %zu subjects were lost", dead_, num_);                    \
    } while (0)

#endif
