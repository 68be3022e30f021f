/* workbuf_test.c - the pool of mark buffers: nothing lost, nothing handed out twice, whatever
 * other workers do and the system refuses. */
#include "support.h"

#include "base/bits.h"
#include "gc/workbuf.h"
#include "sched/interpose.h"
#include "sys/os_mem.h"

enum { MANY = 700 };

static mo_workbuf_pool pool;

static test_errors errors;

static int begin(void **state) {
    (void)state;
    memset(&pool, 0, sizeof pool);
    return mo_workbuf_pool_init(&pool);
}
static int end(void **state) {
    (void)state;
    mo_os_fault_at(0);
    mo_workbuf_pool_fini(&pool);
    return 0;
}

/* ---------------------------------------------------------------- one thread */

static void a_buffer_comes_empty_and_is_reused(void **state) {
    (void)state;
    mo_workbuf *a = mo_workbuf_get(&pool);
    assert_non_null(a);
    assert_int_equal(a->num, 0);
    a->num = MO_WORKBUF_ITEMS;
    mo_workbuf_put(&pool, a);
    mo_workbuf *b = mo_workbuf_get(&pool);
    assert_ptr_equal(a, b);
    assert_int_equal(b->num, 0);
}

static void full_buffers_keep_their_items(void **state) {
    (void)state;
    assert_false(mo_workbuf_has_full(&pool));
    assert_null(mo_workbuf_pop_full(&pool));
    for (uintptr_t k = 1; k <= 5; k++) {
        mo_workbuf *b = mo_workbuf_get(&pool);
        for (uint32_t i = 0; i < MO_WORKBUF_ITEMS; i++) b->item[i] = k * 1000 + i;
        b->num = MO_WORKBUF_ITEMS;
        mo_workbuf_push_full(&pool, b);
    }
    assert_true(mo_workbuf_has_full(&pool));
    for (uintptr_t k = 5; k >= 1; k--) {
        mo_workbuf *b = mo_workbuf_pop_full(&pool);
        assert_int_equal(b->num, MO_WORKBUF_ITEMS);
        for (uint32_t i = 0; i < MO_WORKBUF_ITEMS; i++) assert_int_equal(b->item[i], k * 1000 + i);
    }
    assert_null(mo_workbuf_pop_full(&pool));
    assert_false(mo_workbuf_has_full(&pool));
}

/* Takes num buffers, all different, and writes to each. */
static void take_distinct(mo_workbuf **out, int num) {
    static bool seen[1 << 16];
    memset(seen, 0, sizeof seen);
    for (int i = 0; i < num; i++) {
        out[i] = mo_workbuf_get(&pool);
        assert_non_null(out[i]);
        ptrdiff_t idx = out[i] - pool.base;
        assert_true(idx > 0 && idx < (1 << 16));
        if (seen[idx]) fail_msg("buffer %td was handed out twice", idx);
        seen[idx] = true;
        out[i]->item[0] = out[i]->item[MO_WORKBUF_ITEMS - 1] = 0x7777;
    }
}

static void the_pool_grows_and_gives_memory_back(void **state) {
    (void)state;
    mo_workbuf *b[MANY];
    for (int round = 0; round < 3; round++) {
        take_distinct(b, MANY);
        for (int i = 0; i < MANY; i++) mo_workbuf_put(&pool, b[i]);
        mo_workbuf *last = &pool.base[MANY - 1];
        mo_workbuf_trim(&pool);
        assert_int_equal(last->item[0], 0); /* its page reads as zero again */
    }
}

static void a_refused_trim_changes_nothing(void **state) {
    (void)state;
    mo_workbuf *b[MANY];
    take_distinct(b, MANY);
    for (int i = 0; i < MANY; i++) mo_workbuf_put(&pool, b[i]);
    mo_os_fault_at(1);
    mo_workbuf_trim(&pool);
    mo_os_fault_at(0);
    take_distinct(b, MANY);
}

static void a_refused_growth_gives_null_and_may_be_repeated(void **state) {
    (void)state;
    mo_workbuf *b[MANY];
    mo_os_fault_at(1);
    assert_null(mo_workbuf_get(&pool));
    mo_os_fault_at(0);
    take_distinct(b, 300);
    uint32_t used = pool.used;
    for (int i = 0; i < 1000; i++) {
        /* Only growth asks the system, so what is left in the list comes first. */
        mo_os_fault_at(1);
        mo_workbuf *more = mo_workbuf_get(&pool);
        if (!more) break;
    }
    for (int i = 0; i < 1000; i++) {
        mo_os_fault_at(1);
        assert_null(mo_workbuf_get(&pool));
    }
    assert_int_equal(pool.used, used); /* refusals do not use up the range */
}

/* ---------------------------------------------------------------- several threads */

enum { WORKERS = 4, CIRCULATING = 3 };

typedef struct worker {
    test_line *line;
    uint64_t seed, steps;
    mo_workbuf *got;
} worker;

static test_errors errors;

static void own(mo_workbuf *b) {
    if (__atomic_exchange_n(&b->item[0], 1, __ATOMIC_RELAXED) != 0)
        test_error(&errors, "a buffer was taken by two workers");
}
static void disown(mo_workbuf *b) { __atomic_store_n(&b->item[0], 0, __ATOMIC_RELAXED); }

/* Takes two, gives them back in either order: the shortest way to an unchanged head in front of
 * a changed list. */
static void *circulate(void *arg) {
    worker *w = arg;
    mo_rand r;
    mo_rand_seed(&r, w->seed);
    for (uint64_t i = 0; i < w->steps && !test_has_error(&errors); i++) {
        mo_workbuf *a = mo_workbuf_pop_full(&pool), *b = mo_workbuf_pop_full(&pool);
        if (a) own(a);
        if (b) own(b);
        if (a && b && a == b) test_error(&errors, "one worker took a buffer twice");
        bool swap = mo_rand_next(&r) >> 63;
        mo_workbuf *first = swap ? b : a, *second = swap ? a : b;
        if (first) {
            disown(first);
            mo_workbuf_push_full(&pool, first);
        }
        if (second) {
            disown(second);
            mo_workbuf_push_full(&pool, second);
        }
    }
    return NULL;
}

static void run_workers(void *(*fn)(void *), worker *w, unsigned num) {
    pthread_t thread[WORKERS];
    for (unsigned i = 0; i < num; i++)
        assert_int_equal(mo_real_pthread_create(&thread[i], NULL, fn, &w[i]), 0);
    for (unsigned i = 0; i < num; i++) assert_int_equal(pthread_join(thread[i], NULL), 0);
}

static void every_buffer_is_taken_by_one_worker_at_a_time(void **state) {
    (void)state;
    memset(&errors, 0, sizeof errors);
    worker w[WORKERS];
    uint64_t seed = test_seed("circulate", 0);
    for (int i = 0; i < CIRCULATING; i++) {
        mo_workbuf *b = mo_workbuf_get(&pool);
        disown(b);
        mo_workbuf_push_full(&pool, b);
    }
    for (uint64_t i = 0; i < WORKERS; i++)
        w[i] = (worker){NULL, seed + i, test_steps(16000000), NULL};
    run_workers(circulate, w, WORKERS);
    assert_no_errors(&errors);
    int left = 0;
    while (left <= CIRCULATING && mo_workbuf_pop_full(&pool)) left++;
    assert_int_equal(left, CIRCULATING);
}

/* What a buffer holds is seen whole by who takes it. */
static void *relay(void *arg) {
    worker *w = arg;
    mo_rand r;
    mo_rand_seed(&r, w->seed);
    for (uint64_t i = 0; i < w->steps && !test_has_error(&errors); i++) {
        mo_workbuf *b = mo_rand_next(&r) >> 62 ? mo_workbuf_pop_full(&pool) : NULL;
        if (!b) b = mo_workbuf_get(&pool);
        if (b->num > MO_WORKBUF_ITEMS) test_error(&errors, "%u items in a buffer", b->num);
        for (uint32_t k = 0; k < b->num; k++)
            if (b->item[k] != b->item[0] + k)
                test_error(&errors, "items of two workers in a buffer");
        if (mo_rand_next(&r) >> 63) {
            mo_workbuf_put(&pool, b);
            continue;
        }
        b->num = 1 + (uint32_t)mo_rand_below(&r, 20);
        uintptr_t first = (uintptr_t)mo_rand_next(&r);
        for (uint32_t k = 0; k < b->num; k++) b->item[k] = first + k;
        mo_workbuf_push_full(&pool, b);
    }
    return NULL;
}

static void items_arrive_whole(void **state) {
    (void)state;
    memset(&errors, 0, sizeof errors);
    worker w[WORKERS];
    uint64_t seed = test_seed("relay", 0);
    for (uint64_t i = 0; i < WORKERS; i++)
        w[i] = (worker){NULL, seed + i, test_steps(200000), NULL};
    run_workers(relay, w, WORKERS);
    assert_no_errors(&errors);
}

static void *get_one(void *arg) {
    worker *w = arg;
    for (uint64_t i = 0; i < w->steps; i++) {
        test_line_up(w->line, 3);
        w->got = mo_workbuf_get(&pool);
        test_line_up(w->line, 3);
    }
    return NULL;
}

/* Growth is refused to one worker while it succeeds for another. */
static void refusals_do_not_hand_a_buffer_out_twice(void **state) {
    memset(&errors, 0, sizeof errors);
    uint64_t rounds = test_steps(6000);
    test_line line = {0, 0};
    worker w[2] = {{&line, 0, rounds, NULL}, {&line, 0, rounds, NULL}};
    pthread_t thread[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(mo_real_pthread_create(&thread[i], NULL, get_one, &w[i]), 0);
    for (uint64_t round = 0; round < rounds; round++) {
        static mo_workbuf *more[MANY];
        mo_os_fault_at(1 + round % 2);
        test_line_up(&line, 3);
        test_line_up(&line, 3);
        mo_os_fault_at(0);
        bool trims = round % 32 == 31;
        int num = trims ? 300 : 130;
        take_distinct(more, num);
        for (int i = 0; i < 2; i++)
            for (int k = 0; k < num; k++)
                if (w[i].got == more[k]) test_error(&errors, "a buffer was handed out twice");
        if (w[0].got && w[0].got == w[1].got) test_error(&errors, "two workers got one buffer");
        /* All go back; what is kept must be usable memory. */
        for (int k = 0; k < num; k++) mo_workbuf_put(&pool, more[k]);
        for (int i = 0; i < 2; i++)
            if (w[i].got) mo_workbuf_put(&pool, w[i].got);
        if (trims && !test_has_error(&errors)) {
            mo_workbuf_trim(&pool);
            take_distinct(more, 200);
        }
        end(state);
        begin(state);
    }
    for (int i = 0; i < 2; i++) assert_int_equal(pthread_join(thread[i], NULL), 0);
    assert_no_errors(&errors);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(a_buffer_comes_empty_and_is_reused),
        TEST(full_buffers_keep_their_items),
        TEST(the_pool_grows_and_gives_memory_back),
        TEST(a_refused_trim_changes_nothing),
        TEST(a_refused_growth_gives_null_and_may_be_repeated),
        TEST(every_buffer_is_taken_by_one_worker_at_a_time),
        TEST(items_arrive_whole),
        TEST(refusals_do_not_hand_a_buffer_out_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
