/* run.h - for tests of goroutines: a check that works in any goroutine, and a run for each test. */
#ifndef RUN_H
#define RUN_H

#include "support.h"

#include "mound.h"

#define NOINLINE __attribute__((noinline, unused))
#define LOAD(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define STORE(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define ADD(p, n) __atomic_add_fetch((p), (n), __ATOMIC_ACQ_REL)

/* cmocka's assertions jump back to the test's own stack, which a goroutine must not. */
#define must(cond)                                                                                 \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #cond);               \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* Runs app(arg) as the first goroutine; it returns 0 if all is well. */
TEST_UNUSED static void run(int (*app)(void *arg), void *arg) {
    assert_int_equal(mound_run(app, arg), 0);
}

/* `static int NAME_app(void *)` as a cmocka test NAME. */
#define IN_RUN(name)                                                                               \
    static void name(void **state) {                                                               \
        (void)state;                                                                               \
        run(name##_app, NULL);                                                                     \
    }

/* A mistake that ends the process: by which first goroutine, with which texts in its message. */
typedef struct misuse_case {
    int (*app)(void *arg);
    const char *text, *who; /* who: NULL: not looked at */
} misuse_case;

TEST_UNUSED static void run_to_death(void *c) { mound_run(((const misuse_case *)c)->app, NULL); }

TEST_UNUSED static void expect_misuse(const misuse_case *c, size_t num) {
    for (; num > 0; num--, c++) {
        test_death d = test_die(run_to_death, (void *)c);
        assert_int_equal(test_exit_status(&d), 2);
        test_expect_text(&d, c->text, __FILE__, __LINE__);
        if (c->who) test_expect_text(&d, c->who, __FILE__, __LINE__);
    }
}

#endif
