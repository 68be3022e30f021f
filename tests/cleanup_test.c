/* cleanup_test.c - mound_add_cleanup and mound_cleanup_stop.
 * modes: gc
 */
#include "witness.h"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

#define GET(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define ADD(p, n) __atomic_add_fetch((p), (n), __ATOMIC_ACQ_REL)

/* Of the test that runs: a late cleanup of the test before counts elsewhere. */
static size_t counts[32];
static size_t *num_run = counts;

static void next_count(void) { num_run++; }

static uint64_t now_ms(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Waits, collecting now and then, until the count is reached or no more hope is left. */
static NOINLINE bool reaches(size_t *count, size_t want) {
    uint64_t until = now_ms() + (scaled(100) == 100 ? 4000 : 20000);
    while (GET(count) < want && now_ms() < until) {
        wipe_stack();
        mound_gc();
        struct timespec ms = {0, 1000000};
        nanosleep(&ms, NULL);
    }
    return GET(count) >= want;
}

/* Gives cleanups that should not run the time to run. */
static NOINLINE void settle(void) {
    for (int i = 0; i < 3; i++) {
        wipe_stack();
        mound_gc();
        struct timespec ms = {0, 10000000};
        nanosleep(&ms, NULL);
    }
}

static void count(void *arg) { ADD((size_t *)arg, 1); }

enum { NUM = 400, ENOUGH = NUM * 95 / 100 };

/* ---------------------------------------------------------------- once, when dead */

static size_t runs_of[NUM];
static size_t num_indexed;
static pthread_t runner;

static void count_index(void *arg) {
    runner = pthread_self();
    ADD(&runs_of[(uintptr_t)arg], 1);
    ADD(&num_indexed, 1);
}

static void add_indexed(void *arg) {
    (void)arg;
    for (size_t i = 0; i < NUM + 20; i++) {
        char *p = mound_alloc(16 + i % 500);
        if (i < NUM) mound_add_cleanup(p + i % 16, count_index, (void *)i);
    }
}

static void a_cleanup_runs_once_on_another_thread(void **state) {
    (void)state;
    apart(add_indexed, NULL);
    assert_true(reaches(&num_indexed, ENOUGH));
    settle();
    for (int i = 0; i < NUM; i++) assert_true(GET(&runs_of[i]) <= 1);
    assert_false(pthread_equal(runner, pthread_self()));
}

static void *kept;

static void add_to_kept(void *arg) {
    kept = mound_alloc(100);
    for (size_t i = 0; i < *(size_t *)arg; i++) mound_add_cleanup(kept, count, num_run);
}

static void a_cleanup_does_not_run_while_the_object_lives(void **state) {
    (void)state;
    next_count();
    size_t num = 5;
    apart(add_to_kept, &num);
    settle();
    assert_int_equal(GET(num_run), 0);
    kept = NULL;
    assert_true(reaches(num_run, 5));
}

static void an_object_may_have_several_cleanups(void **state) {
    (void)state;
    next_count();
    size_t num = 1000;
    apart(add_to_kept, &num);
    settle();
    assert_int_equal(GET(num_run), 0);
    kept = NULL;
    assert_true(reaches(num_run, num));
    settle();
    assert_int_equal(GET(num_run), num);
}

/* ---------------------------------------------------------------- arg */

typedef struct message {
    size_t magic;
    struct message *next;
} message;

static size_t num_messages, num_wrong;

static void check_message(void *arg) {
    const message *m = arg;
    if (m->magic != 0x900d || !m->next || m->next->magic != 0x900d2) ADD(&num_wrong, 1);
    ADD(&num_messages, 1);
}

static void add_with_message(void *arg) {
    (void)arg;
    for (int i = 0; i < NUM; i++) {
        message *m = mound_new(message);
        m->magic = 0x900d;
        m->next = mound_new(message);
        m->next->magic = 0x900d2;
        mound_add_cleanup(mound_alloc(64), check_message, m);
    }
}

static void churn(void) {
    for (int i = 0; i < 2000; i++) mound_new(message)->magic = 0xbad;
}

static void what_arg_reaches_is_kept_until_the_cleanup_has_run(void **state) {
    (void)state;
    apart(add_with_message, NULL);
    churn();
    for (int i = 0; i < 3; i++) {
        mound_gc();
        churn();
    }
    assert_true(reaches(&num_messages, ENOUGH));
    assert_int_equal(GET(&num_wrong), 0);
}

static void add_self_reaching(void *arg) {
    (void)arg;
    for (int i = 0; i < NUM; i++) {
        message *obj = mound_new(message), *via = mound_new(message);
        via->next = obj;
        mound_add_cleanup(obj, count, via);
    }
}

static void an_object_reachable_from_its_arg_is_never_cleaned_up(void **state) {
    (void)state;
    next_count();
    apart(add_self_reaching, NULL);
    settle();
    assert_int_equal(GET(num_run), 0);
}

/* A chain a -> b -> c, all dead: the order is free, all run. */
static void add_chain(void *arg) {
    (void)arg;
    message *last = NULL;
    for (int i = 0; i < NUM; i++) {
        message *m = mound_new(message);
        m->next = last;
        last = m;
        mound_add_cleanup(m, count, num_run);
    }
    last = NULL;
    for (int i = 0; i < 20; i++) { /* cycles too: no order would suit them */
        message *m = mound_new(message), *n = mound_new(message);
        m->next = n;
        n->next = m;
        mound_add_cleanup(m, count, num_run);
        mound_add_cleanup(n, count, num_run);
    }
}

static void objects_that_point_to_each_other_are_all_cleaned_up(void **state) {
    (void)state;
    next_count();
    apart(add_chain, NULL);
    assert_true(reaches(num_run, (NUM + 40) * 95 / 100));
}

/* ---------------------------------------------------------------- stop */

static mound_cleanup handles[NUM];

static void add_and_keep_handles(void *arg) {
    (void)arg;
    kept = mound_alloc(NUM * sizeof(void *));
    for (int i = 0; i < NUM; i++) handles[i] = mound_add_cleanup(kept, count, num_run);
}

static void a_stopped_cleanup_does_not_run(void **state) {
    (void)state;
    next_count();
    apart(add_and_keep_handles, NULL);
    for (int i = 0; i < NUM; i += 2) mound_cleanup_stop(handles[i]);
    for (int i = 0; i < NUM; i += 4) mound_cleanup_stop(handles[i]); /* twice does no harm */
    kept = NULL;
    assert_true(reaches(num_run, NUM / 2));
    settle();
    assert_int_equal(GET(num_run), NUM / 2);
}

static void add_stoppable(void *arg) {
    mound_cleanup *c = arg;
    void **objects = kept = mound_new_array(void *, NUM);
    for (int i = 0; i < NUM; i++) {
        objects[i] = mound_alloc(48);
        c[i] = mound_add_cleanup(objects[i], count, num_run);
    }
}

static void add_to_new_kept(void *arg) {
    mound_cleanup *c = arg;
    kept = mound_alloc(64);
    for (int i = 0; i < NUM; i++)
        c[i] = mound_add_cleanup(kept, count, num_run); /* records again */
}

static void a_stale_handle_harms_no_other_cleanup(void **state) {
    (void)state;
    next_count();
    static mound_cleanup old[NUM], young[NUM];
    apart(add_stoppable, old);
    for (int i = 0; i < NUM; i++) mound_cleanup_stop(old[i]);
    apart(add_to_new_kept, young);
    for (int i = 0; i < NUM; i++) mound_cleanup_stop(old[i]);
    kept = NULL;
    assert_true(reaches(num_run, NUM));
    for (int i = 0; i < NUM; i++) mound_cleanup_stop(young[i]); /* after they ran */
    settle();
    assert_int_equal(GET(num_run), NUM);
    mound_cleanup none = {NULL, 0};
    mound_cleanup_stop(none);
}

/* ---------------------------------------------------------------- from a cleanup */

static size_t num_again;

static void add_again(void *arg) {
    size_t left = (size_t)(uintptr_t)arg;
    ADD(&num_again, 1);
    for (int i = 0; i < 10; i++) mound_new(message)->next = mound_new(message);
    if (left > 0) mound_add_cleanup(mound_alloc(64), add_again, (void *)(left - 1));
    if (left % 10 == 0) mound_gc();
}

static void start_again(void *arg) {
    for (size_t i = 0; i < 4; i++) mound_add_cleanup(mound_alloc(64), add_again, arg);
}

static void a_cleanup_may_allocate_add_cleanups_and_collect(void **state) {
    (void)state;
    size_t each = has_debug("gcstress") ? 5 : 20;
    apart(start_again, (void *)each);
    assert_true(reaches(&num_again, 3 * (each + 1)));
}

/* ---------------------------------------------------------------- many */

static void add_many(void *arg) {
    for (size_t i = 0; i < *(size_t *)arg; i++) mound_add_cleanup(mound_alloc(32), count, num_run);
}

static void a_hundred_thousand_cleanups_all_run(void **state) {
    (void)state;
    next_count();
    size_t num = scaled(100000);
    mound_mem_stats s = {.struct_bytes = sizeof s};
    mound_read_mem_stats(&s);
    uint64_t queued = s.num_cleanups_queued, run = s.num_cleanups_run;
    apart(add_many, &num);
    assert_true(reaches(num_run, num * 99 / 100));
    settle();
    mound_read_mem_stats(&s);
    assert_true(s.num_cleanups_queued - queued >= num * 99 / 100);
    assert_true(s.num_cleanups_run - run >= GET(num_run) - 1);
}

/* ---------------------------------------------------------------- when mound_gc returns */

static int churning;

static void *churn_same_size(void *arg) {
    while (GET(&churning)) mound_new(message)->next = arg;
    return NULL;
}

/* Many cleanups an object, so that the sweep of a span takes its time. */
static void add_dense(void *arg) {
    for (size_t i = 0; i < *(size_t *)arg; i++) {
        message *m = mound_new(message);
        for (int k = 0; k < 10; k++) mound_add_cleanup(m, count, num_run);
    }
}

static void all_deaths_are_queued_when_mound_gc_returns(void **state) {
    (void)state;
    next_count();
    pthread_t thread[2];
    __atomic_store_n(&churning, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < 2; i++) pthread_create(&thread[i], NULL, churn_same_size, NULL);
    size_t num = scaled(2000), rounds = scaled(60), incomplete = 0;
    mound_mem_stats s = {.struct_bytes = sizeof s};
    for (size_t i = 0; i < rounds; i++) {
        mound_read_mem_stats(&s);
        uint64_t before = s.num_cleanups_queued;
        apart(add_dense, &num);
        mound_gc();
        mound_read_mem_stats(&s);
        incomplete += (s.num_cleanups_queued - before) * 100 < num * 10 * 95;
    }
    __atomic_store_n(&churning, 0, __ATOMIC_RELEASE);
    for (int i = 0; i < 2; i++) pthread_join(thread[i], NULL);
    assert_int_equal(incomplete, 0);
}

/* ---------------------------------------------------------------- mound_free */

static void mound_free_queues_the_cleanups(void **state) {
    (void)state;
    next_count();
    for (int i = 0; i < 100; i++) {
        void *p = i % 3 == 0   ? mound_alloc(64)
                  : i % 3 == 1 ? mound_alloc(50000)
                               : mound_alloc_uncollectable(64);
        mound_add_cleanup(p, count, num_run);
        mound_add_cleanup(p, count, num_run);
        mound_free(p);
    }
    assert_true(reaches(num_run, 200));
    settle();
    assert_int_equal(GET(num_run), 200);
}

static void mound_free_alone_makes_them_run(void **state) {
    (void)state;
    next_count();
    void *p = mound_alloc(64);
    mound_add_cleanup(p, count, num_run);
    mound_free(p);
    uint64_t until = now_ms() + 5000; /* nobody collects: the program may be idle now */
    while (GET(num_run) == 0 && now_ms() < until) {
        struct timespec ms = {0, 1000000};
        nanosleep(&ms, NULL);
    }
    assert_int_equal(GET(num_run), 1);
}

static void add_to_uncollectable(void *arg) {
    void **p = arg;
    *p = mound_alloc_uncollectable(100);
    mound_add_cleanup(*p, count, num_run);
    *p = (void *)HIDE(*p);
}

static void uncollectable_memory_is_cleaned_up_only_when_freed(void **state) {
    (void)state;
    next_count();
    void *p;
    apart(add_to_uncollectable, &p);
    settle();
    assert_int_equal(GET(num_run), 0);
    mound_free(SHOW(p));
    assert_true(reaches(num_run, 1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mound_free_alone_makes_them_run),
        cmocka_unit_test(a_cleanup_runs_once_on_another_thread),
        cmocka_unit_test(a_cleanup_does_not_run_while_the_object_lives),
        cmocka_unit_test(an_object_may_have_several_cleanups),
        cmocka_unit_test(what_arg_reaches_is_kept_until_the_cleanup_has_run),
        cmocka_unit_test(an_object_reachable_from_its_arg_is_never_cleaned_up),
        cmocka_unit_test(objects_that_point_to_each_other_are_all_cleaned_up),
        cmocka_unit_test(a_stopped_cleanup_does_not_run),
        cmocka_unit_test(a_stale_handle_harms_no_other_cleanup),
        cmocka_unit_test(a_cleanup_may_allocate_add_cleanups_and_collect),
        cmocka_unit_test(all_deaths_are_queued_when_mound_gc_returns),
        cmocka_unit_test(a_hundred_thousand_cleanups_all_run),
        cmocka_unit_test(mound_free_queues_the_cleanups),
        cmocka_unit_test(uncollectable_memory_is_cleaned_up_only_when_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
