/* stats_test.c - mound_read_mem_stats: exact counts, and programs built against other headers.
 *
 * Without `modes`: what the switches allocate or collect on the way is counted too.
 */
#include "tsan.h"
#include "witness.h"

static mound_mem_stats now(void) {
    mound_mem_stats s = {.struct_bytes = sizeof s};
    mound_read_mem_stats(&s);
    return s;
}

static void counts_add_up_exactly(void **state) {
    (void)state;
    mound_set_gc_percent(-1);
    mound_gc();
    mound_mem_stats before = now();
    uint64_t objects = 0, bytes = 0, freed = 0, freed_bytes = 0;
    for (size_t i = 0; i < 5000; i++) {
        size_t size = i * 7919 % 40000;
        void *p = i % 3 == 0   ? mound_alloc(size)
                  : i % 3 == 1 ? mound_alloc_noscan(size)
                               : mound_alloc_uncollectable(size);
        objects++;
        bytes += mound_size(p);
        if (i % 3 == 2 || i % 5 == 0) {
            freed++;
            freed_bytes += mound_size(p);
            mound_free(p);
        }
    }
    mound_mem_stats after = now();
    assert_int_equal(after.num_mallocs - before.num_mallocs, objects);
    assert_int_equal(after.total_alloc_bytes - before.total_alloc_bytes, bytes);
    assert_int_equal(after.num_frees - before.num_frees, freed);
    assert_int_equal(after.heap_objects - before.heap_objects, objects - freed);
    assert_int_equal(after.heap_alloc_bytes - before.heap_alloc_bytes, bytes - freed_bytes);
    assert_int_equal(after.num_gc, before.num_gc);
    mound_set_gc_percent(100);
}

static void allocate_garbage(void *arg) {
    for (size_t i = 0; i < *(size_t *)arg; i++) mound_keep_alive(mound_alloc(i % 2000));
}

static void what_a_collection_frees_is_counted(void **state) {
    (void)state;
    mound_set_gc_percent(-1);
    mound_gc();
    mound_mem_stats before = now();
    size_t num = 20000;
    apart(allocate_garbage, &num);
    mound_mem_stats full = now();
    assert_int_equal(full.num_mallocs - before.num_mallocs, num);
    mound_gc();
    mound_mem_stats after = now();
    assert_true(after.num_frees - before.num_frees >= num - 100);
    assert_true(after.num_frees - before.num_frees <= num + 100);
    assert_int_equal(after.num_mallocs, full.num_mallocs);
    assert_true(after.heap_alloc_bytes < before.heap_alloc_bytes + (1 << 20));
    assert_int_equal(after.num_gc, before.num_gc + 1);
    assert_int_equal(after.num_forced_gc, before.num_forced_gc + 1);
    mound_set_gc_percent(100);
}

static void fields_agree_with_each_other(void **state) {
    (void)state;
    static void **keep;
    keep = mound_new_array(void *, 1000);
    for (int i = 0; i < 1000; i++) keep[i] = mound_alloc(5000);
    mound_gc();
    mound_mem_stats s = now();
    assert_int_equal(s.struct_bytes, sizeof s);
    assert_int_equal(s.heap_objects, s.num_mallocs - s.num_frees);
    assert_true(s.heap_marked_bytes >= 1000 * 5000 && s.heap_marked_bytes <= s.heap_inuse_bytes);
    assert_true(s.heap_alloc_bytes >= 1000 * 5000 && s.heap_alloc_bytes <= s.heap_inuse_bytes);
    assert_true(s.heap_inuse_bytes + s.heap_idle_bytes <= s.heap_sys_bytes);
    assert_true(s.heap_released_bytes <= s.heap_idle_bytes);
    assert_true(s.heap_goal_bytes >= s.heap_marked_bytes);
    assert_true(s.pause_total_ns >= s.pause_max_ns && s.pause_max_ns >= s.pause_last_ns);
    assert_true(s.pause_last_ns > 0 && s.gc_cpu_ns > 0);
    assert_true(s.stack_scan_bytes > 0 && s.stack_scan_bytes < 64 << 20);
    assert_true(s.root_scan_bytes > 0);
    if (!TEST_TSAN) assert_true(s.root_scan_bytes < 64 << 20); /* TSan has globals of its own */
    assert_true(s.num_threads >= 1);
    assert_true(s.metadata_bytes > 0 && s.metadata_bytes < 256 << 20);
    const char *asked = getenv("MOUND_BARRIER");
    bool is_none = strncmp(s.barrier, "none", 4) == 0, is_os = strncmp(s.barrier, "os ", 3) == 0;
    assert_true(asked && strcmp(asked, "auto") != 0 ? strncmp(s.barrier, asked, strlen(asked)) == 0
                                                    : is_none || is_os);
    assert_true(is_none ? s.num_concurrent_gc == 0 : s.num_concurrent_gc <= s.num_gc);
    assert_non_null(strstr(s.release, "DONTNEED"));
    keep = NULL;
}

/* Also where they are scanned in two stops: they count into the goal. */
static void roots_are_counted_once(void **state) {
    (void)state;
    static volatile char large[32 << 20];
    large[0] = 1;
    mound_gc();
    uint64_t with = now().root_scan_bytes, without = with - sizeof large;
    assert_true(with >= sizeof large);
    if (!TEST_TSAN) assert_true(without < 16 << 20); /* likewise */
}

static void an_older_smaller_struct_is_filled_and_nothing_behind_it(void **state) {
    (void)state;
    for (size_t bytes = 16; bytes <= sizeof(mound_mem_stats); bytes += 8) {
        union {
            mound_mem_stats s;
            unsigned char byte[sizeof(mound_mem_stats) + 64];
        } u;
        memset(&u, 0xaa, sizeof u);
        u.s.struct_bytes = bytes;
        mound_read_mem_stats(&u.s);
        assert_int_equal(u.s.struct_bytes, bytes);
        assert_true(u.s.heap_alloc_bytes != 0xaaaaaaaaaaaaaaaau);
        for (size_t i = bytes; i < sizeof u; i++) assert_int_equal(u.byte[i], 0xaa);
    }
}

static void a_newer_larger_struct_is_zero_filled(void **state) {
    (void)state;
    union {
        mound_mem_stats s;
        unsigned char byte[sizeof(mound_mem_stats) + 200];
    } u;
    memset(&u, 0xaa, sizeof u);
    u.s.struct_bytes = sizeof u - 8;
    mound_read_mem_stats(&u.s);
    assert_int_equal(u.s.struct_bytes, sizeof u - 8);
    assert_true(u.s.num_gc > 0);
    for (size_t i = sizeof u.s; i < sizeof u - 8; i++) assert_int_equal(u.byte[i], 0);
    for (size_t i = sizeof u - 8; i < sizeof u; i++) assert_int_equal(u.byte[i], 0xaa);
}

static void an_idle_moment_changes_nothing(void **state) {
    (void)state;
    mound_mem_stats a = now(), b = now();
    assert_int_equal(a.num_mallocs, b.num_mallocs);
    assert_int_equal(a.heap_alloc_bytes, b.heap_alloc_bytes);
    assert_int_equal(a.heap_sys_bytes, b.heap_sys_bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_add_up_exactly),
        cmocka_unit_test(what_a_collection_frees_is_counted),
        cmocka_unit_test(fields_agree_with_each_other),
        cmocka_unit_test(roots_are_counted_once),
        cmocka_unit_test(an_older_smaller_struct_is_filled_and_nothing_behind_it),
        cmocka_unit_test(a_newer_larger_struct_is_zero_filled),
        cmocka_unit_test(an_idle_moment_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
