/* pacer_test.c - when collections happen, how large the heap becomes, what is given back.
 */
#include "tsan.h"
#include "witness.h"

#include <time.h>
#include <unistd.h>

#include "base/rand.h"

static mound_mem_stats now(void) {
    mound_mem_stats s = {.struct_bytes = sizeof s};
    mound_read_mem_stats(&s);
    return s;
}

/* Stacks and globals count towards the goal; a sanitizer has many. */
static uint64_t root_bytes(void) {
    mound_mem_stats s = now();
    return s.stack_scan_bytes + s.root_scan_bytes;
}

static size_t rss_bytes(void) {
    size_t size = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%zu %zu", &size, &resident), 2);
    fclose(f);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static void **table;

static void fill_table(size_t num, size_t size) {
    table = mound_new_array(void *, num);
    for (size_t i = 0; i < num; i++) {
        table[i] = mound_alloc(size);
        memset(table[i], 0x01, size);
    }
}

static void set_gc_percent_returns_the_old_value(void **state) {
    (void)state;
    assert_int_equal(mound_set_gc_percent(50), 100);
    assert_int_equal(mound_set_gc_percent(-1), 50);
    assert_int_equal(mound_set_gc_percent(-77), -1);
    assert_int_equal(mound_set_gc_percent(0), -1);
    assert_int_equal(mound_set_gc_percent(INT32_MAX), 0);
    assert_int_equal(mound_set_gc_percent(100), INT32_MAX);
}

static void off_is_off(void **state) {
    (void)state;
    mound_set_gc_percent(-1);
    uint64_t before = now().num_gc;
    for (int i = 0; i < 20000; i++) mound_keep_alive(mound_alloc(2000 + i % 1000)); /* 50 MB */
    for (int i = 0; i < 20; i++) mound_keep_alive(mound_alloc_noscan(2 << 20));
    assert_int_equal(now().num_gc, before);
    mound_gc();
    assert_int_equal(now().num_gc, before + 1);
    mound_set_gc_percent(100);
}

static void collections_happen_and_the_heap_stays_bounded(void **state) {
    (void)state;
    skip_under_tsan("its globals alone allow for more than is allocated");
    enum { LIVE = 8 << 20 };
    fill_table(LIVE / 1024, 1024);
    mound_gc();
    uint64_t before = now().num_gc, largest = 0;
    for (int i = 0; i < 300000; i++) { /* 300 MB through an 8 MB heap */
        mound_keep_alive(mound_alloc(64 + (size_t)i * 31 % 1900));
        if (i % 1000 == 0 && now().heap_inuse_bytes > largest) largest = now().heap_inuse_bytes;
    }
    uint64_t cycles = now().num_gc - before;
    print_message("300 MB through 8 MB live: %llu collections, heap at most %llu KiB\n",
                  (unsigned long long)cycles, (unsigned long long)largest >> 10);
    assert_true(cycles >= 8 && cycles <= 300);
    assert_true(largest < 3 * (uint64_t)LIVE + (20 << 20) + 2 * root_bytes());
    table = NULL;
}

static void bursts_of_large_objects_stay_bounded_too(void **state) {
    (void)state;
    mound_gc();
    uint64_t before = now().num_gc, largest = 0;
    for (int i = 0; i < 500; i++) {
        memset(mound_alloc_noscan((1 << 20) + (size_t)i * 1000), 1, 100);
        if (now().heap_inuse_bytes > largest) largest = now().heap_inuse_bytes;
    }
    print_message("625 MB in large objects: %llu collections, heap at most %llu KiB\n",
                  (unsigned long long)(now().num_gc - before), (unsigned long long)largest >> 10);
    assert_true(now().num_gc - before >= 10);
    assert_true(largest < (64 << 20) + 2 * root_bytes());
}

static uint64_t cycles_at(int percent) {
    mound_set_gc_percent(percent);
    mound_gc();
    uint64_t before = now().num_gc;
    for (int i = 0; i < 200000; i++) mound_keep_alive(mound_alloc(1000));
    uint64_t cycles = now().num_gc - before;
    mound_set_gc_percent(100);
    return cycles;
}

static void a_smaller_percentage_collects_more_often(void **state) {
    (void)state;
    skip_under_tsan("its globals alone allow for more than is allocated");
    fill_table(20000, 1024); /* 20 MB: beyond the least heap at each of these settings */
    uint64_t at_25 = cycles_at(25), at_100 = cycles_at(100), at_400 = cycles_at(400);
    print_message("collections for 200 MB through 20 MB: %llu at 25, %llu at 100, %llu at 400\n",
                  (unsigned long long)at_25, (unsigned long long)at_100,
                  (unsigned long long)at_400);
    assert_true(at_25 > 2 * at_100 && at_100 > 2 * at_400 && at_400 >= 1);
    assert_int_equal(cycles_at(INT32_MAX), 0);
    table = NULL;
}

static void zero_collects_all_the_time_and_works(void **state) {
    (void)state;
    skip_under_tsan("its globals alone allow for more than is allocated");
    mound_gc();
    mound_set_gc_percent(0);
    uint64_t before = now().num_gc;
    for (int i = 0; i < 2000; i++) mound_keep_alive(mound_alloc(1000));
    assert_true(now().num_gc - before >= 20);
    mound_set_gc_percent(100);
}

/* Each type and each thread owns spans of which one slot may be used. They count as live, but must
 * not make every refill collect. */
static void unused_slots_in_caches_do_not_cause_a_storm(void **state) {
    (void)state;
    enum { TYPES = 4000 }; /* 32 MB in spans, nearly all of it free slots */
    static mound_type types[TYPES];
    static char names[TYPES][16]; /* the same would be one type */
    static const size_t offs[] = {0};
    for (int i = 0; i < TYPES; i++) {
        snprintf(names[i], sizeof names[i], "type %d", i);
        types[i] = (mound_type){names[i], 32, offs, 1, 0, NULL, NULL};
        mound_keep_alive(mound_alloc_typed(&types[i], 1));
    }
    mound_gc();
    uint64_t before = now().num_gc;
    uint64_t cycles = 0;
    for (int i = 0; i < 20000 && cycles <= 40; i++) { /* 20 MB */
        mound_keep_alive(mound_alloc(1000));
        cycles = now().num_gc - before;
    }
    print_message("20 MB beside 32 MB of unused slots: %llu collections\n",
                  (unsigned long long)cycles);
    assert_true(cycles <= 40);
}

static void the_goal_follows_what_is_live(void **state) {
    (void)state;
    fill_table(30000, 1024);
    mound_gc();
    mound_mem_stats s = now();
    assert_true(s.heap_goal_bytes >= 2 * s.heap_marked_bytes);
    assert_true(s.heap_goal_bytes <= 2 * s.heap_marked_bytes + (16 << 20) + root_bytes());
    mound_set_gc_percent(300);
    mound_gc();
    s = now();
    assert_true(s.heap_goal_bytes >= 4 * s.heap_marked_bytes);
    assert_true(s.heap_goal_bytes <= 4 * s.heap_marked_bytes + (16 << 20) + 3 * root_bytes());
    mound_set_gc_percent(100);
    table = NULL;
}

static void dropped_memory_is_given_back_at_once_when_asked(void **state) {
    (void)state;
    if (HAS_SANITIZER || under_valgrind()) {
        print_message("skipped: a sanitizer's own memory is in the figure\n");
        skip();
    }
    size_t own =
        rss_bytes(); /* tests before this one: pages that are free again may still be there */
    fill_table(330000, 1024); /* 340 MB */
    assert_true(rss_bytes() > own / 2 + ((size_t)250 << 20));
    memset(table + 40000, 0, 290000 * sizeof *table); /* 40 MB stay */
    mound_gc();
    mound_free_os_memory();
    size_t rss = rss_bytes();
    mound_mem_stats s = now();
    print_message("340 MB, then %llu MB live: RSS %zu MB at once\n",
                  (unsigned long long)s.heap_marked_bytes >> 20, rss >> 20);
    assert_true(rss <= s.heap_marked_bytes / 100 * 115 + (16 << 20));
    assert_true(s.heap_released_bytes > (uint64_t)250 << 20);
    for (int i = 0; i < 40000; i++) assert_int_equal(*(char *)table[i], 1);
    table = NULL;
}

typedef struct chain {
    struct chain *next;
    uint64_t fill[7];
} chain;

static NOINLINE chain *make_chain(void) {
    chain *head = NULL;
    for (int i = 0; i < 8; i++) {
        chain *l = mound_new(chain);
        l->next = head;
        head = l;
    }
    return head;
}

/* Short chains that die at random leave holes in all spans and hardly an empty one. Whatever is
 * allocated while it marks must not take new pages in each cycle. */
static void holes_are_used_before_the_heap_grows(void **state) {
    (void)state;
    enum { CHAINS = 65536 }; /* 32 MiB */
    mo_rand r;
    mo_rand_seed(&r, 7);
    table = NULL;
    mound_gc();                               /* its goal is that of a small heap again */
    uint64_t before = now().heap_inuse_bytes; /* spans that caches keep for other types */
    chain **chains = mound_new_array(chain *, CHAINS);
    for (size_t i = 0; i < CHAINS; i++) chains[i] = make_chain();
    mound_gc();
    for (uint64_t end = now().num_gc + scaled(60); now().num_gc < end;)
        for (int i = 0; i < 2000; i++) {
            chains[mo_rand_below(&r, CHAINS)] = make_chain();
            mound_keep_alive(make_chain());
        }
    mound_mem_stats s = now();
    uint64_t pages = s.heap_inuse_bytes - before;
    print_message("%llu MiB of pages for a goal of %llu MiB\n", (unsigned long long)pages >> 20,
                  (unsigned long long)s.heap_goal_bytes >> 20);
    assert_true(pages <= s.heap_goal_bytes + s.heap_goal_bytes / 4);
    mound_keep_alive(chains);
}

static void idle_process_collects_by_itself(void **state) {
    (void)state;
    if (!is_plain_run()) {
        print_message("skipped: takes 13 s, runs in the plain run only\n");
        skip();
    }
    fill_table(20000, 1024);
    mound_gc();
    for (int i = 0; i < 3000; i++)
        mound_keep_alive(mound_alloc(1000)); /* garbage below the trigger */
    table = NULL;
    mound_mem_stats before = now();
    for (int i = 0; i < 30 && now().num_gc == before.num_gc; i++) {
        struct timespec half = {0, 500000000};
        nanosleep(&half, NULL);
    }
    mound_mem_stats after = now();
    assert_int_equal(after.num_gc, before.num_gc + 1);
    assert_int_equal(after.num_forced_gc, before.num_forced_gc);
    assert_true(after.heap_marked_bytes < before.heap_marked_bytes / 2);
}

int main(void) {
    select_tests();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_gc_percent_returns_the_old_value),
        cmocka_unit_test(dropped_memory_is_given_back_at_once_when_asked),
        cmocka_unit_test(off_is_off),
        cmocka_unit_test(collections_happen_and_the_heap_stays_bounded),
        cmocka_unit_test(bursts_of_large_objects_stay_bounded_too),
        cmocka_unit_test(a_smaller_percentage_collects_more_often),
        cmocka_unit_test(zero_collects_all_the_time_and_works),
        cmocka_unit_test(unused_slots_in_caches_do_not_cause_a_storm),
        cmocka_unit_test(the_goal_follows_what_is_live),
        cmocka_unit_test(holes_are_used_before_the_heap_grows),
        cmocka_unit_test(idle_process_collects_by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
