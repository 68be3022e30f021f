/* extend_test.c - spans of large objects that get the pages behind them. On a heap without a
 * collector. */
#include "support.h"

#include "heap/heap.h"

static int heap_begin(void **state) {
    (void)state;
    return mo_heap_init();
}
static int heap_end(void **state) {
    (void)state;
    mo_heap_fini();
    return 0;
}

static size_t bytes_of(uint32_t num_pages) { return (size_t)num_pages << MO_PAGE_SHIFT; }

static mo_span *take(uint32_t n) {
    mo_span *s = mo_heap_take_span(n, 1);
    assert_non_null(s);
    mo_span_init(s, NULL, MO_KIND_NOSCAN, 0, bytes_of(n), 1, NULL, 0);
    memset((void *)mo_span_start(s), 0xaa, bytes_of(n));
    *mo_span_alloc_bits(s) = 1;
    *mo_span_mark_bits(s) = ~(uint64_t)1;
    return s;
}

static bool extend(mo_span *s, uint32_t n) {
    size_t had = s->elem_bytes;
    bool is_zero = false;
    if (!mo_heap_take_behind(s, n, had, &is_zero)) return false;
    if (!is_zero) memset((void *)(mo_span_start(s) + had), 0, bytes_of(n));
    return mo_heap_extend_span(s, n, had);
}

static void expect_span(mo_span *s, uint32_t num_pages) {
    mo_slot sl;
    assert_int_equal(s->num_pages, num_pages);
    assert_int_equal(s->elem_bytes, bytes_of(num_pages));
    for (uint32_t i = 0; i < num_pages; i++) {
        assert_true(mo_find(mo_span_start(s) + bytes_of(i) + 5, &sl));
        assert_ptr_equal(sl.span, s);
    }
    mo_span_verify(s);
    mo_page_alloc_verify(&mo_the_heap.pages);
}

static void an_extended_span_is_one_span(void **state) {
    (void)state;
    mo_span *s = take(5);
    uint64_t inuse = mo_the_heap.inuse_pages;
    assert_true(extend(s, 3));
    expect_span(s, 8);
    assert_true(extend(s, 1));
    expect_span(s, 9);
    assert_int_equal(mo_the_heap.inuse_pages, inuse + 4);
    const uint8_t *p = (const uint8_t *)mo_span_start(s);
    for (size_t i = 0; i < bytes_of(9); i++) assert_int_equal(p[i], i < bytes_of(5) ? 0xaa : 0);
    mo_heap_put_span(s);
    assert_int_equal(mo_the_heap.inuse_pages, inuse - 5);
    mo_slot sl;
    assert_false(mo_find(mo_span_start(s) + bytes_of(8), &sl));
    mo_page_alloc_verify(&mo_the_heap.pages);
}

static void a_neighbour_forbids_it(void **state) {
    (void)state;
    mo_span *s = take(5), *beside = take(2);
    assert_int_equal(mo_span_page(beside), mo_span_page(s) + 5);
    assert_false(extend(s, 1));
    expect_span(s, 5);
    mo_heap_put_span(beside);
    take(1);
    assert_false(extend(s, 2)); /* one of them is free */
    expect_span(s, 5);
}

static void used_pages_are_not_called_zero(void **state) {
    (void)state;
    mo_span *s = take(5), *beside = take(2);
    bool is_zero = true;
    mo_heap_put_span(beside);
    assert_true(mo_heap_take_behind(s, 3, bytes_of(5), &is_zero)); /* two dirty, one fresh */
    assert_false(is_zero);
    assert_true(mo_heap_extend_span(s, 3, bytes_of(5)));
    assert_true(mo_heap_take_behind(s, 3, bytes_of(8), &is_zero));
    assert_true(is_zero);
    assert_true(mo_heap_extend_span(s, 3, bytes_of(8)));
    expect_span(s, 11);
}

static void the_heap_grows_for_it(void **state) {
    (void)state;
    mo_span *s = take(MO_ARENA_PAGES - 10);
    assert_true(extend(s, 9)); /* all but page 0 of the first arena */
    assert_true(extend(s, MO_ARENA_PAGES / 2));
    assert_true(extend(s, MO_ARENA_PAGES + 7));
    expect_span(s, MO_ARENA_PAGES - 1 + MO_ARENA_PAGES / 2 + MO_ARENA_PAGES + 7);
    assert_false(extend(s, (uint32_t)(mo_the_heap.reserved_bytes >> MO_PAGE_SHIFT)));
    expect_span(s, MO_ARENA_PAGES - 1 + MO_ARENA_PAGES / 2 + MO_ARENA_PAGES + 7);
}

static void who_has_an_old_size_is_refused(void **state) {
    (void)state;
    mo_span *s = take(5);
    bool is_zero;
    assert_true(extend(s, 2));
    assert_false(mo_heap_take_behind(s, 2, bytes_of(5), &is_zero));
    uint64_t inuse = mo_the_heap.inuse_pages;
    assert_true(mo_heap_take_behind(s, 2, bytes_of(7), &is_zero));
    assert_false(mo_heap_extend_span(s, 2, bytes_of(6))); /* and its pages are free again */
    assert_int_equal(mo_the_heap.inuse_pages, inuse);
}

static void sizes_stay_while_somebody_marks(void **state) {
    (void)state;
    mo_span *s = take(5);
    bool is_zero;
    uint64_t inuse = mo_the_heap.inuse_pages;
    mo_the_heap.is_marking = true;
    assert_false(extend(s, 2));
    mo_the_heap.is_marking = false;
    assert_true(mo_heap_take_behind(s, 2, bytes_of(5), &is_zero));
    mo_the_heap.is_marking = true; /* between the two */
    assert_false(mo_heap_extend_span(s, 2, bytes_of(5)));
    assert_int_equal(mo_the_heap.inuse_pages, inuse);
    mo_the_heap.is_marking = false;
    expect_span(s, 5);
    assert_true(extend(s, 2));
    expect_span(s, 7);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, heap_begin, heap_end)
    const struct CMUnitTest tests[] = {
        TEST(an_extended_span_is_one_span),   TEST(a_neighbour_forbids_it),
        TEST(used_pages_are_not_called_zero), TEST(the_heap_grows_for_it),
        TEST(who_has_an_old_size_is_refused), TEST(sizes_stay_while_somebody_marks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
