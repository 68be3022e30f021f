/* limit_test.c - mound_set_memory_limit and MOUND_MEMLIMIT: what the runtime holds stays below the
 * limit while that leaves the program time to run, also with the percentage off.
 */
#include "tsan.h"
#include "witness.h"

#include <stdlib.h>

static mound_mem_stats now(void) {
    mound_mem_stats s = {.struct_bytes = sizeof s};
    mound_read_mem_stats(&s);
    return s;
}

static void **table;

static void fill_table(size_t num) {
    table = mound_new_array(void *, num);
    for (size_t i = 0; i < num; i++) table[i] = memset(mound_alloc(1024), 1, 1024);
}

/* Allocates and drops; the most that was in use meanwhile. */
static uint64_t churn(size_t mib) {
    uint64_t most = 0;
    for (size_t i = 0; i < mib * 1024; i++) {
        mound_keep_alive(mound_alloc(500 + i % 1000));
        if (i % 2048 == 0 && now().used_bytes > most) most = now().used_bytes;
    }
    return most;
}

static void the_old_limit_is_returned_and_a_negative_one_only_asks(void **state) {
    (void)state;
    assert_int_equal(mound_set_memory_limit(-1), INT64_MAX);
    assert_int_equal(mound_set_memory_limit(1 << 30), INT64_MAX);
    assert_int_equal(mound_set_memory_limit(-7), 1 << 30);
    assert_int_equal(now().memory_limit_bytes, 1 << 30);
    assert_int_equal(mound_set_memory_limit(INT64_MAX), 1 << 30);
    assert_int_equal(now().memory_limit_bytes, INT64_MAX);
}

static void a_limit_keeps_the_heap_smaller_than_the_percentage_would(void **state) {
    (void)state;
    fill_table(40000); /* 41 MB: the next collection would be at 82 */
    mound_gc();
    uint64_t before = now().used_bytes, num_gc = now().num_gc;
    int64_t limit = (int64_t)before + (60 << 20);
    mound_set_memory_limit(limit);
    uint64_t most = churn(400);
    mound_mem_stats s = now();
    print_message("%llu MB in use, limit %llu: at most %llu, %llu collections, %llu over it\n",
                  (unsigned long long)before >> 20, (unsigned long long)limit >> 20,
                  (unsigned long long)most >> 20, (unsigned long long)(s.num_gc - num_gc),
                  (unsigned long long)s.num_over_limit);
    assert_true(s.num_gc > num_gc);
    if (s.num_over_limit == 0) assert_true(most <= (uint64_t)limit + (4 << 20));
    mound_set_memory_limit(INT64_MAX);
    table = NULL;
}

static void a_limit_collects_where_the_percentage_is_off(void **state) {
    (void)state;
    mound_set_gc_percent(-1);
    mound_gc();
    uint64_t num_gc = now().num_gc;
    churn(20);
    assert_int_equal(now().num_gc, num_gc);
    mound_set_memory_limit((int64_t)now().used_bytes + (30 << 20));
    churn(200);
    assert_true(now().num_gc > num_gc);
    mound_set_memory_limit(INT64_MAX);
    mound_set_gc_percent(100);
}

/* No spiral: the program gets on, and is told. */
static void a_limit_below_what_lives_gives_way_and_is_counted(void **state) {
    (void)state;
    fill_table(20000);
    mound_set_memory_limit(1 << 20);
    uint64_t before = now().num_over_limit, num_gc = now().num_gc;
    mound_gc();
    churn(100);
    mound_mem_stats s = now();
    print_message("limit of 1 MB beside 20 MB: %llu collections\n",
                  (unsigned long long)(s.num_gc - num_gc));
    assert_true(s.num_over_limit > before);
    assert_true(s.num_gc - num_gc < 400);
    mound_set_memory_limit(INT64_MAX);
    for (int i = 0; i < 20000; i++) assert_int_equal(*(char *)table[i], 1);
    table = NULL;
}

/* Free memory that has pages is given back rather than more taken. */
static void free_memory_goes_back_before_the_limit_is_exceeded(void **state) {
    (void)state;
    skip_under_tsan("a collection takes longer there than threads are held back for it");
    fill_table(60000); /* 61 MB of small objects, then the same in large ones */
    table = NULL;
    mound_gc();
    mound_set_memory_limit((int64_t)now().used_bytes + (4 << 20));
    uint64_t released = now().heap_released_bytes, limit = (uint64_t)mound_set_memory_limit(-1);
    uint64_t most = 0;
    for (int i = 0; i < 25; i++) {
        memset(mound_alloc_noscan(20 << 20), 1, 20 << 20);
        if (now().used_bytes > most) most = now().used_bytes;
    }
    print_message("limit %llu MB: at most %llu; %llu MB released before, %llu after\n",
                  (unsigned long long)limit >> 20, (unsigned long long)most >> 20,
                  (unsigned long long)released >> 20,
                  (unsigned long long)now().heap_released_bytes >> 20);
    assert_true(most <= limit + (24 << 20));
    mound_set_memory_limit(INT64_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_old_limit_is_returned_and_a_negative_one_only_asks),
        cmocka_unit_test(a_limit_keeps_the_heap_smaller_than_the_percentage_would),
        cmocka_unit_test(a_limit_collects_where_the_percentage_is_off),
        cmocka_unit_test(a_limit_below_what_lives_gives_way_and_is_counted),
        cmocka_unit_test(free_memory_goes_back_before_the_limit_is_exceeded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
