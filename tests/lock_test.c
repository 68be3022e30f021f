/* lock_test.c - the library's mutex: one holder, no sleeper forgotten, ranks upwards only. */
#include "support.h"

#include "sched/interpose.h"
#include "sys/lock.h"

enum { THREADS = 4, PATIENCE_S = 5 };

static mo_lock lock;
static test_errors errors;

static int begin(void **state) {
    (void)state;
    mo_lock_init(&lock, MO_RANK_CENTRAL);
    memset(&errors, 0, sizeof errors);
    return 0;
}

static pthread_t start(void *(*fn)(void *), void *arg) {
    pthread_t t;
    assert_int_equal(mo_real_pthread_create(&t, NULL, fn, arg), 0);
    return t;
}

/* A thread that nobody wakes would hang all that follows. */
static void join_soon(pthread_t t) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    if (pthread_timedjoin_np(t, NULL, &until) == 0) return;
    print_error("ERROR: a thread still waits for the lock\n");
    exit(1);
}

static void try_fails_only_while_held(void **state) {
    (void)state;
    assert_true(mo_lock_try(&lock));
    assert_false(mo_lock_try(&lock));
    mo_lock_release(&lock);
    assert_true(mo_lock_try(&lock));
    mo_lock_release(&lock);
    mo_lock_acquire(&lock);
    assert_false(mo_lock_try(&lock));
    mo_lock_release(&lock);
    assert_int_equal(lock.word, 0);
}

/* ---------------------------------------------------------------- exclusion */

static uint64_t count_a, count_b;
static uint32_t num_inside;

typedef struct entrant {
    uint64_t steps;
    bool yields, tries;
} entrant;

static void *enter_and_leave(void *arg) {
    const entrant *e = arg;
    for (uint64_t i = 0; i < e->steps && !test_has_error(&errors); i++) {
        if (!(e->tries && i % 2 && mo_lock_try(&lock))) mo_lock_acquire(&lock);
        if (__atomic_add_fetch(&num_inside, 1, __ATOMIC_RELAXED) != 1)
            test_error(&errors, "two threads hold the lock");
        count_a++;
        if (e->yields && i % 64 == 0) sched_yield();
        count_b++;
        if (count_a != count_b) test_error(&errors, "a holder sees another's half-done work");
        __atomic_sub_fetch(&num_inside, 1, __ATOMIC_RELAXED);
        mo_lock_release(&lock);
    }
    return NULL;
}

static void run_entrants(uint64_t steps, bool yields, bool tries) {
    entrant e = {steps, yields, tries};
    pthread_t t[THREADS];
    count_a = count_b = num_inside = 0;
    for (int i = 0; i < THREADS; i++) t[i] = start(enter_and_leave, &e);
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_join(t[i], NULL), 0);
    assert_no_errors(&errors);
    assert_int_equal(count_a, steps * THREADS);
    assert_int_equal(count_b, steps * THREADS);
    assert_int_equal(lock.word, 0);
}

static void one_thread_at_a_time(void **state) {
    (void)state;
    run_entrants(test_steps(1000000), false, false);
}

static void one_thread_at_a_time_with_sleepers_and_tries(void **state) {
    (void)state;
    run_entrants(test_steps(100000), true, true);
}

/* ---------------------------------------------------------------- sleepers */

static void *take_once(void *arg) {
    (void)arg;
    mo_lock_acquire(&lock);
    __atomic_add_fetch(&num_inside, 1, __ATOMIC_RELAXED);
    mo_lock_release(&lock);
    return NULL;
}

static bool soon(bool (*cond)(void)) {
    uint64_t end = mo_clock_ns() + (uint64_t)PATIENCE_S * 1000000000u;
    while (!cond()) {
        if (mo_clock_ns() > end) return false;
        sched_yield();
    }
    return true;
}
static bool somebody_sleeps(void) { return __atomic_load_n(&lock.word, __ATOMIC_ACQUIRE) == 2; }

/* Several sleepers, one release: each wakes the next. */
static void a_release_wakes_all_sleepers_in_turn(void **state) {
    (void)state;
    for (int round = 0; round < 20; round++) {
        pthread_t t[THREADS];
        mo_lock_acquire(&lock);
        num_inside = 0;
        for (int i = 0; i < THREADS; i++) t[i] = start(take_once, NULL);
        assert_true(soon(somebody_sleeps));
        /* Let the others fall asleep too; whether all do changes nothing in what must happen. */
        for (int i = 0; i < 1000; i++) sched_yield();
        assert_int_equal(__atomic_load_n(&num_inside, __ATOMIC_RELAXED), 0);
        mo_lock_release(&lock);
        for (int i = 0; i < THREADS; i++) join_soon(t[i]);
        assert_int_equal(num_inside, THREADS);
    }
}

/* ---------------------------------------------------------------- ranks */

static void ranks_upwards_are_allowed(void **state) {
    (void)state;
    mo_lock gc, heap;
    mo_lock_init(&gc, MO_RANK_GC);
    mo_lock_init(&heap, MO_RANK_HEAP);
    for (int i = 0; i < 2; i++) {
        mo_lock_acquire(&gc);
        mo_lock_acquire(&lock);
        assert_true(mo_lock_try(&heap));
        mo_lock_release(&lock); /* not the last one taken */
        mo_lock_release(&heap);
        mo_lock_release(&gc);
    }
}

#if MO_VARIETY >= 2
static void take_downwards(void *arg) {
    mo_lock heap;
    mo_lock_init(&heap, MO_RANK_HEAP);
    mo_lock_acquire(&heap);
    mo_lock_acquire(arg);
}
static void take_twice(void *arg) {
    mo_lock_acquire(arg);
    mo_lock_acquire(arg);
}
static void take_equal(void *arg) {
    mo_lock other;
    mo_lock_init(&other, MO_RANK_CENTRAL);
    mo_lock_acquire(arg);
    mo_lock_acquire(&other);
}
static void take_downwards_unranked(void *arg) {
    mo_lock heap;
    mo_lock_init(&heap, MO_RANK_HEAP);
    mo_lock_acquire_unranked(&heap);
    mo_lock_acquire_unranked(arg);
    mo_lock_release_unranked(arg);
    mo_lock_release_unranked(&heap);
}

static void ranks_downwards_throw(void **state) {
    (void)state;
    assert_throws(take_downwards, &lock, "against its rank");
    assert_throws(take_twice, &lock, "against its rank");
    assert_throws(take_equal, &lock, "against its rank");
    test_death d = test_die(take_downwards_unranked, &lock);
    assert_int_equal(test_exit_status(&d), 0);
}
#endif

int main(void) {
#define TEST(name) cmocka_unit_test_setup(name, begin)
    const struct CMUnitTest tests[] = {
        TEST(try_fails_only_while_held),
        TEST(a_release_wakes_all_sleepers_in_turn),
        TEST(one_thread_at_a_time),
        TEST(one_thread_at_a_time_with_sleepers_and_tries),
        TEST(ranks_upwards_are_allowed),
#if MO_VARIETY >= 2
        TEST(ranks_downwards_throw),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
