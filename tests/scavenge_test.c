/* scavenge_test.c - giving free pages back to the system: what, how much, and never what is in
 * use. On a heap without a collector. */
#include "huge.h"

#include <errno.h>

#include "base/bits.h"
#include "heap/heap.h"
#include "heap/holes.h"
#include "sched/interpose.h"
#include "sys/os_mem.h"

static const size_t ALL = SIZE_MAX;

static uint32_t blocks_lo; /* first page of the first whole block behind page 0 */

static int heap_begin(void **state) {
    (void)state;
    int r = mo_heap_init();
    blocks_lo = MO_BLOCK_PAGES;
    return r;
}
static int heap_end(void **state) {
    (void)state;
    mo_os_fault_at(0);
    mo_heap_fini();
    return 0;
}

/* A span at the lowest place where n pages are free, filled with a pattern. */
static mo_span *take_filled(uint32_t n, uint8_t fill) {
    mo_span *s = mo_heap_take_span(n, 1);
    assert_non_null(s);
    mo_span_init(s, NULL, MO_KIND_NOSCAN, 0, (size_t)n << MO_PAGE_SHIFT, 1, NULL, 0);
    memset((void *)mo_span_start(s), fill, (size_t)n << MO_PAGE_SHIFT);
    return s;
}

/* Uses up everything below the first block with huge pages. */
static void take_until_huge(void) {
    uint32_t n = (MO_FIRST_HUGE_BYTES >> MO_PAGE_SHIFT) - 1;
    assert_int_equal(mo_span_page(take_filled(n, 1)), 1);
}

/* Uses up everything below the first whole block. */
static void take_until_blocks(void) {
    mo_span *s = take_filled(blocks_lo - 1, 1);
    assert_int_equal(mo_span_page(s), 1);
}

static bool is_filled(const mo_span *s, uint8_t fill) {
    const uint8_t *p = (const uint8_t *)mo_span_start(s);
    for (size_t i = 0; i < (size_t)s->num_pages << MO_PAGE_SHIFT; i++)
        if (p[i] != fill) return false;
    return true;
}

static size_t resident_bytes(uintptr_t lo, size_t bytes) {
    static unsigned char in_core[(64 << 20) / MO_OS_PAGE_BYTES];
    lo = mo_align_down(lo, MO_OS_PAGE_BYTES);
    assert_true(bytes / MO_OS_PAGE_BYTES <= sizeof in_core);
    assert_int_equal(mincore((void *)lo, bytes, in_core), 0);
    size_t n = 0;
    for (size_t i = 0; i < bytes / MO_OS_PAGE_BYTES; i++)
        if (in_core[i] & 1) n += MO_OS_PAGE_BYTES;
    return n;
}

static uint64_t dirty_pages(void) {
    return mo_the_heap.pages.num_free - mo_the_heap.pages.num_released;
}

/* ---------------------------------------------------------------- what comes back */

static uint64_t backed_pages(void) {
    return mo_the_heap.pages.num_pages - mo_the_heap.pages.num_released;
}

/* Holes of 64 pages between spans that stay. */
static void a_large_span_takes_the_place_of_holes_that_are_too_small(void **state) {
    (void)state;
    enum { NUM = 20, HOLE = 64, LARGE = 200 };
    mo_span *hole[NUM], *stays[NUM], *large[3];
    take_until_blocks();
    for (int i = 0; i < NUM; i++) {
        hole[i] = take_filled(HOLE, 0xaa);
        stays[i] = take_filled(1, (uint8_t)i);
    }
    for (int i = 0; i < NUM; i++) mo_heap_put_span(hole[i]);
    assert_int_equal(dirty_pages(), NUM * HOLE);
    large[0] = take_filled(LARGE, 0xbb);
    assert_int_equal(dirty_pages(), NUM * HOLE); /* no limit */
    uint64_t limit = backed_pages();
    mo_the_heap.large_limit_pages = limit;
    for (int i = 1; i < 3; i++) {
        large[i] = take_filled(LARGE, 0xbb);
        assert_in_range(backed_pages(), limit - HOLE, limit);
    }
    mo_the_heap.large_limit_pages = limit / 2;
    uint64_t dirty = dirty_pages();
    mo_span *small = take_filled(1, 1);
    assert_int_equal(dirty_pages(), dirty - 1); /* it had its page, and pays for nobody else */
    for (int i = 0; i < NUM; i++) assert_true(is_filled(stays[i], (uint8_t)i));
    for (int i = 0; i < 3; i++) assert_true(is_filled(large[i], 0xbb));
    assert_true(is_filled(small, 1));
}

static void released_bytes_are_counted_and_gone(void **state) {
    (void)state;
    mo_span *s = take_filled(1000, 0xaa);
    uintptr_t start = mo_span_start(s);
    size_t bytes = (size_t)1000 << MO_PAGE_SHIFT;
    assert_int_equal(resident_bytes(start, bytes), bytes);
    assert_int_equal(mo_heap_scavenge(ALL, 0, false), 0); /* nothing is free and dirty */
    uint64_t released = mo_the_heap.pages.num_released;
    mo_heap_put_span(s);
    assert_int_equal(dirty_pages(), 1000);
    assert_int_equal(mo_heap_scavenge(ALL, 0, false), bytes);
    assert_int_equal(dirty_pages(), 0);
    assert_int_equal(mo_the_heap.pages.num_released, released + 1000);
    assert_int_equal(resident_bytes(start, bytes), 0);
    assert_int_equal(mo_heap_scavenge(ALL, 0, false), 0);
    mo_page_alloc_verify(&mo_the_heap.pages);
}

static void reused_pages_are_zero_where_they_say_so(void **state) {
    (void)state;
    mo_span *s = take_filled(700, 0xbb);
    assert_int_equal(mo_span_page(s), 1);
    mo_heap_put_span(s);
    s = mo_heap_take_span(300, 1);
    assert_int_equal(mo_span_page(s), 1);
    assert_true(s->needs_zero); /* nobody gave it back yet */
    mo_heap_put_span(s);
    mo_heap_scavenge(ALL, 0, false);
    s = mo_heap_take_span(700, 1);
    assert_int_equal(mo_span_page(s), 1);
    assert_false(s->needs_zero);
    assert_true(is_filled(s, 0));
    /* Half released, half not. */
    mo_heap_put_span(s);
    mo_heap_scavenge(ALL, 0, false);
    s = take_filled(100, 0xcc);
    mo_heap_put_span(s);
    s = mo_heap_take_span(101, 1);
    assert_true(s->needs_zero);
}

/* Blocks 1, 2 and 3 (2 MiB each): the middle one is free as a whole, of the others a part. */
static void make_parts_and_a_whole(uintptr_t start[3]) {
    take_until_blocks();
    mo_span *a = take_filled(100, 1), *keep_a = take_filled(MO_BLOCK_PAGES - 100, 2);
    mo_span *b = take_filled(MO_BLOCK_PAGES, 3);
    mo_span *keep_c = take_filled(MO_BLOCK_PAGES - 50, 4), *c = take_filled(50, 5);
    assert_int_equal(mo_span_page(b) % MO_BLOCK_PAGES, 0);
    (void)keep_a, (void)keep_c;
    start[0] = mo_span_start(a);
    start[1] = mo_span_start(b);
    start[2] = mo_span_start(c);
    mo_heap_put_span(a);
    mo_heap_put_span(b);
    mo_heap_put_span(c);
}

static void whole_blocks_come_first(void **state) {
    (void)state;
    uintptr_t start[3];
    make_parts_and_a_whole(start);
    assert_int_equal(mo_heap_scavenge(1, 0, false), BLOCK_BYTES);
    assert_int_equal(resident_bytes(start[1], BLOCK_BYTES), 0);
    assert_int_equal(resident_bytes(start[0], 100 << MO_PAGE_SHIFT), 100 << MO_PAGE_SHIFT);
    assert_int_equal(resident_bytes(start[2], 50 << MO_PAGE_SHIFT), 50 << MO_PAGE_SHIFT);
    assert_int_equal(mo_heap_scavenge(ALL, 0, false), 150 << MO_PAGE_SHIFT);
    assert_int_equal(resident_bytes(start[0], 100 << MO_PAGE_SHIFT), 0);
    assert_int_equal(resident_bytes(start[2], 50 << MO_PAGE_SHIFT), 0);
}

static void parts_of_blocks_stay_if_only_whole_ones_may_go(void **state) {
    (void)state;
    uintptr_t start[3];
    make_parts_and_a_whole(start);
    assert_int_equal(mo_heap_scavenge(ALL, 0, true), BLOCK_BYTES);
    assert_int_equal(mo_heap_scavenge(ALL, 0, true), 0);
    assert_int_equal(dirty_pages(), 150);
    assert_int_equal(resident_bytes(start[0], 100 << MO_PAGE_SHIFT), 100 << MO_PAGE_SHIFT);
}

static void at_most_a_block_more_than_asked_goes(void **state) {
    (void)state;
    for (size_t blocks = 0; blocks < 6; blocks++) {
        take_until_blocks();
        mo_span *s = take_filled(10 * MO_BLOCK_PAGES, 6);
        mo_heap_put_span(s);
        size_t asked = blocks * BLOCK_BYTES + (blocks % 2 ? 1 : 0);
        size_t done = mo_heap_scavenge(asked, 0, false);
        assert_true(done >= asked && done < asked + BLOCK_BYTES);
        assert_int_equal(dirty_pages(), 10 * MO_BLOCK_PAGES - (done >> MO_PAGE_SHIFT));
        heap_end(state);
        heap_begin(state);
    }
}

static void what_is_to_be_retained_stays(void **state) {
    (void)state;
    take_until_blocks();
    mo_span *s = take_filled(10 * MO_BLOCK_PAGES, 7);
    mo_heap_put_span(s);
    assert_int_equal(mo_heap_scavenge(ALL, 11 * (size_t)BLOCK_BYTES, false), 0);
    assert_int_equal(mo_heap_scavenge(ALL, 10 * (size_t)BLOCK_BYTES, false), 0);
    for (int left = 8; left >= 2; left -= 3) {
        mo_heap_scavenge(ALL, (size_t)left * BLOCK_BYTES, false);
        assert_int_equal(dirty_pages(), left * MO_BLOCK_PAGES);
    }
    /* Never less than a block below what is asked for. */
    assert_int_equal(mo_heap_scavenge(ALL, BLOCK_BYTES + 1, false), BLOCK_BYTES);
    assert_int_equal(dirty_pages(), MO_BLOCK_PAGES);
}

static void a_refusal_ends_it_and_loses_nothing(void **state) {
    (void)state;
    take_until_blocks();
    mo_span *s = take_filled(3 * MO_BLOCK_PAGES, 0xdd);
    uint32_t page = mo_span_page(s);
    mo_heap_put_span(s);
    mo_os_fault_at(1);
    assert_int_equal(mo_heap_scavenge(ALL, 0, false), 0);
    assert_int_equal(mo_os_fault_count(), 1);
    assert_int_equal(dirty_pages(), 3 * MO_BLOCK_PAGES);
    mo_page_alloc_verify(&mo_the_heap.pages);
    mo_os_fault_at(0);
    s = mo_heap_take_span(3 * MO_BLOCK_PAGES, 1);
    assert_int_equal(mo_span_page(s), page);
    assert_true(s->needs_zero);
    assert_true(is_filled(s, 0xdd));
}

static void side_tables_of_whole_blocks_go_too(void **state) {
    (void)state;
    size_t bits = MO_BITS_PAGE_WORDS * 8;
    take_until_blocks();
    mo_span *one[2 * MO_BLOCK_PAGES];
    for (int i = 0; i < 2 * MO_BLOCK_PAGES; i++) {
        one[i] = take_filled(1, 8);
        memset(mo_span_alloc_bits(one[i]), 0xff, bits);
        memset(mo_span_mark_bits(one[i]), 0xff, bits);
    }
    uintptr_t alloc = (uintptr_t)(mo_map.alloc + (size_t)blocks_lo * MO_BITS_PAGE_WORDS);
    uintptr_t spans = (uintptr_t)(mo_map.spans + blocks_lo);
    assert_int_equal(resident_bytes(alloc, 2 * MO_BLOCK_PAGES * bits), 2 * MO_BLOCK_PAGES * bits);
    /* The first block stays in use: so must its tables. */
    for (int i = MO_BLOCK_PAGES; i < 2 * MO_BLOCK_PAGES; i++) mo_heap_put_span(one[i]);
    assert_int_equal(mo_heap_scavenge(ALL, 0, false), BLOCK_BYTES);
    assert_int_equal(resident_bytes(alloc + MO_BLOCK_PAGES * bits, MO_BLOCK_PAGES * bits), 0);
    size_t span_bytes = MO_BLOCK_PAGES * sizeof(mo_span);
    assert_int_equal(resident_bytes(spans + span_bytes, span_bytes), 0);
    for (int i = 0; i < MO_BLOCK_PAGES; i++) {
        assert_int_equal(mo_span_alloc_bits(one[i])[MO_BITS_PAGE_WORDS - 1], UINT64_MAX);
        assert_int_equal(mo_span_mark_bits(one[i])[0], UINT64_MAX);
        assert_int_equal(one[i]->num_pages, 1);
    }
    /* And the block can be used again. */
    mo_span *s = take_filled(MO_BLOCK_PAGES, 9);
    assert_int_equal(mo_span_page(s), blocks_lo + MO_BLOCK_PAGES);
    mo_slot sl;
    assert_true(mo_find(mo_span_start(s) + 12345, &sl));
    assert_ptr_equal(sl.span, s);
}

static void counts_of_mapped_memory_come_back_to_zero(void **state) {
    uint64_t before = mo_os_mapped_bytes();
    heap_end(state);
    assert_int_equal(mo_os_mapped_bytes(), before);
    heap_begin(state);
}

/* ---------------------------------------------------------------- holes */

static bool has_vm_flag(const mo_span *s, const char *flag) {
    return bytes_advised(mo_span_start(s), mo_span_start(s) + 1, flag) > 0;
}

static void holes_are_not_filled_up(void **state) {
    (void)state;
    take_until_huge();
    mo_span *none = take_filled(MO_BLOCK_PAGES, 1), *some = take_filled(MO_BLOCK_PAGES, 2);
    mo_span *stays = take_filled(1, 3);
    mo_heap_put_span(some);
    some = take_filled(1, 4);
    assert_true(collapse(mo_span_start(none)) == 0 ||
                errno == EINVAL); /* where the system can, it would */
    assert_int_equal(mo_heap_scavenge(ALL, 0, false), BLOCK_BYTES - MO_PAGE_BYTES);
    assert_int_equal(collapse(mo_span_start(some)), -1);
    assert_int_equal(resident_bytes(mo_span_start(some), BLOCK_BYTES), MO_PAGE_BYTES);
    assert_true(is_filled(some, 4));
    assert_true(is_filled(none, 1));
    assert_true(is_filled(stays, 3));
}

static void a_block_without_holes_may_be_huge_again(void **state) {
    (void)state;
    take_until_huge();
    mo_span *s[3], *one[3];
    for (int i = 0; i < 3; i++) s[i] = take_filled(MO_BLOCK_PAGES, 1);
    mo_span *stays = take_filled(1, 2);
    if (!has_vm_flag(s[0], "hg")) {
        print_message("no transparent huge pages in this kernel\n");
        skip();
    }
    for (int i = 0; i < 3; i++) mo_heap_put_span(s[i]);
    for (int i = 0; i < 3; i++) {
        one[i] = mo_heap_take_span(1, MO_BLOCK_PAGES);
        mo_span_init(one[i], NULL, MO_KIND_NOSCAN, 0, MO_PAGE_BYTES, 1, NULL, 0);
    }
    mo_heap_scavenge(ALL, 0, false);
    mo_holes_mend();
    for (int i = 0; i < 3; i++) assert_true(has_vm_flag(one[i], "nh")); /* there are holes */
    assert_true(has_vm_flag(stays, "hg"));
    mo_heap_put_span(one[0]); /* all of it goes */
    mo_heap_scavenge(ALL, 0, false);
    mo_holes_mend();
    assert_true(has_vm_flag(one[0], "hg"));
    assert_true(has_vm_flag(one[1], "nh"));
    take_filled(MO_BLOCK_PAGES, 3);
    mo_span *rest = take_filled(MO_BLOCK_PAGES - 1, 3); /* all of it is used again */
    assert_int_equal(mo_span_page(rest), mo_span_page(one[1]) + 1);
    mo_holes_mend();
    assert_true(has_vm_flag(one[1], "hg"));
    assert_true(has_vm_flag(one[2], "nh"));
}

static void where_the_system_keeps_holes_nothing_is_forbidden(void **state) {
    (void)state;
    mo_holes_fill_up(false);
    take_until_huge();
    mo_heap_put_span(take_filled(MO_BLOCK_PAGES - 1, 1));
    mo_heap_scavenge(ALL, 0, false);
    assert_false(has_vm_flag(take_filled(1, 1), "nh"));
}

/* ---------------------------------------------------------------- beside allocation */

enum { USERS = 3, SPANS_EACH = 12 };

typedef struct user {
    uint64_t seed, steps;
    uint8_t fill;
} user;

static test_errors errors;
static uint32_t num_users;

static void *use_pages(void *arg) {
    const user *u = arg;
    mo_span *held[SPANS_EACH] = {NULL};
    mo_rand r;
    mo_rand_seed(&r, u->seed);
    for (uint64_t i = 0; i < u->steps && !test_has_error(&errors); i++) {
        mo_span **at = &held[mo_rand_below(&r, SPANS_EACH)];
        if (*at) {
            if (!is_filled(*at, u->fill)) test_error(&errors, "pages in use were given back");
            mo_heap_put_span(*at);
            *at = NULL;
            continue;
        }
        uint32_t n = 1 + (uint32_t)mo_rand_below(&r, mo_rand_below(&r, 10) ? 8 : 300);
        mo_span *s = mo_heap_take_span(n, 1);
        if (!s) {
            test_error(&errors, "no pages");
            break;
        }
        mo_span_init(s, NULL, MO_KIND_NOSCAN, 0, (size_t)n << MO_PAGE_SHIFT, 1, NULL, 0);
        if (!s->needs_zero && !is_filled(s, 0)) test_error(&errors, "fresh pages are not zero");
        memset((void *)mo_span_start(s), u->fill, (size_t)n << MO_PAGE_SHIFT);
        *at = s;
    }
    for (int i = 0; i < SPANS_EACH; i++) {
        if (!held[i]) continue;
        if (!is_filled(held[i], u->fill)) test_error(&errors, "pages in use were given back");
        mo_heap_put_span(held[i]);
    }
    __atomic_sub_fetch(&num_users, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void pages_in_use_are_never_given_back(void **state) {
    (void)state;
    pthread_t thread[USERS];
    user u[USERS];
    uint64_t seed = test_seed("scavenge", 0);
    memset(&errors, 0, sizeof errors);
    num_users = USERS;
    for (int i = 0; i < USERS; i++) {
        u[i] = (user){seed + (uint64_t)i, test_steps(4000), (uint8_t)(i + 1)};
        assert_int_equal(mo_real_pthread_create(&thread[i], NULL, use_pages, &u[i]), 0);
    }
    uint64_t released = 0;
    mo_rand r;
    mo_rand_seed(&r, seed + USERS);
    while (__atomic_load_n(&num_users, __ATOMIC_ACQUIRE) > 0)
        released += mo_heap_scavenge(mo_rand_below(&r, 8 << 20), 0, mo_rand_below(&r, 2));
    for (int i = 0; i < USERS; i++) assert_int_equal(pthread_join(thread[i], NULL), 0);
    assert_no_errors(&errors);
    assert_true(released > 0);
    assert_int_equal(mo_the_heap.inuse_pages, 0);
    mo_heap_scavenge(ALL, 0, false);
    assert_int_equal(dirty_pages(), 0);
    mo_page_alloc_verify(&mo_the_heap.pages);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, heap_begin, heap_end)
    const struct CMUnitTest tests[] = {
        TEST(released_bytes_are_counted_and_gone),
        TEST(reused_pages_are_zero_where_they_say_so),
        TEST(whole_blocks_come_first),
        TEST(parts_of_blocks_stay_if_only_whole_ones_may_go),
        TEST(at_most_a_block_more_than_asked_goes),
        TEST(what_is_to_be_retained_stays),
        TEST(a_refusal_ends_it_and_loses_nothing),
        TEST(side_tables_of_whole_blocks_go_too),
        TEST(counts_of_mapped_memory_come_back_to_zero),
        TEST(holes_are_not_filled_up),
        TEST(a_block_without_holes_may_be_huge_again),
        TEST(where_the_system_keeps_holes_nothing_is_forbidden),
        TEST(a_large_span_takes_the_place_of_holes_that_are_too_small),
        TEST(pages_in_use_are_never_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
