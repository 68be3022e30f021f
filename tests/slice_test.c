/* slice_test.c - slices do what Go's do.
 * modes: gc valgrind
 */
#include "run.h"

typedef mound_slice_of(int) ints;
typedef mound_slice_of(int *) int_ptrs;
typedef mound_slice_of(char) chars;
typedef struct wide {
    int number;
    struct wide *self;
    char text[20];
} wide;
typedef mound_slice_of(wide) wides;

/* ---------------------------------------------------------------- death */

static ints five(void) {
    ints s = {0};
    for (int i = 0; i < 5; i++) mound_append(&s, i);
    return s;
}
#define DIES(name, statement)                                                                      \
    static int name(void *arg) {                                                                   \
        (void)arg;                                                                                 \
        ints s = five(), t = s;                                                                    \
        (void)t;                                                                                   \
        statement;                                                                                 \
        return 0;                                                                                  \
    }
DIES(index_at_length, mound_at(&s, 5) = 1)
DIES(index_below_zero, mound_at(&s, -1) = 1)
DIES(index_of_empty, t.len = 0; mound_at(&t, 0) = 1)
DIES(sub_above_capacity, t = mound_sub(&s, 0, s.cap + 1))
DIES(sub_reversed, t = mound_sub(&s, 3, 2))
DIES(sub_below_zero, t = mound_sub(&s, -1, 2))
DIES(sub_max_above_capacity, t = mound_sub3(&s, 0, 2, s.cap + 1))
DIES(sub_max_below_high, t = mound_sub3(&s, 0, 3, 2))
DIES(sub_max_negative, t = mound_sub3(&s, 0, 0, -1))
DIES(make_negative, t = mound_make(ints, -1, 0))
DIES(make_capacity_below_length, t = mound_make(ints, 5, 4))
DIES(make_overflows, t = mound_make(ints, 0, PTRDIFF_MAX / 2))
DIES(append_negative, mound_append_n(&s, s.ptr, -1))
DIES(grow_overflows, mound_grow(&s, PTRDIFF_MAX - 2))

static void misuse_ends_the_process(void **state) {
    (void)state;
    static const misuse_case cases[] = {
        {index_at_length, "index 5 out of range with length 5 at ", "goroutine 1"},
        {index_below_zero, "index -1 out of range with length 5", "slice_test.c:"},
        {index_of_empty, "index 0 out of range with length 0", NULL},
        {sub_above_capacity, "slice bounds out of range [:", "with capacity"},
        {sub_reversed, "slice bounds out of range [3:2]", NULL},
        {sub_below_zero, "slice bounds out of range [-1:2]", NULL},
        {sub_max_above_capacity, "slice bounds out of range [::", NULL},
        {sub_max_below_high, "slice bounds out of range [:3] with capacity 2", NULL},
        {sub_max_negative, "slice bounds out of range [::-1]", NULL},
        {make_negative, "make: length -1 out of range", NULL},
        {make_capacity_below_length, "make: capacity 4 out of range with length 5", NULL},
        {make_overflows, "make: capacity ", "of 4 bytes each out of range"},
        {append_negative, "append: -1 elements", NULL},
        {grow_overflows, "append: ", "out of range"},
    };
    expect_misuse(cases, sizeof cases / sizeof cases[0]);
}

/* ---------------------------------------------------------------- what they do */

static void elements_arrive_in_order(void **state) {
    (void)state;
    int num = (int)test_steps(100000);
    ints s = {0};
    wides w = {0};
    for (int i = 0; i < num; i++) {
        mound_append(&s, i);
        if (i % 10 == 0) {
            wide one = {.number = i, .text = "some text"};
            mound_append(&w, one);
            mound_at(&w, w.len - 1).self = &mound_at(&w, w.len - 1);
        }
    }
    assert_int_equal(s.len, num);
    for (int i = 0; i < num; i++) assert_int_equal(mound_at(&s, i), i);
    for (ptrdiff_t i = 0; i < w.len; i++) {
        assert_int_equal(mound_at(&w, i).number, i * 10);
        assert_string_equal(mound_at(&w, i).text, "some text");
    }
}

static void capacity_grows_as_in_go(void **state) {
    (void)state;
    /* Go: doubled below 256 elements, then by a quarter and 192, to what a block holds. */
    ints s = {0};
    ptrdiff_t last = 0;
    int num_blocks = 0;
    for (int i = 0; i < 100000; i++) {
        mound_append(&s, i);
        if (s.cap == last) continue;
        if (last >= 4 && last < 256) assert_true(s.cap >= 2 * last && s.cap <= 2 * last + 96);
        if (last >= 256)
            assert_true(s.cap >= last + (last + 768) / 4 &&
                        s.cap <= (last + (last + 768) / 4) * 9 / 8 + 2048);
        size_t usable = mound_size(s.ptr) - (mound_size(s.ptr) > 32768); /* a byte of slack */
        assert_int_equal((size_t)s.cap, usable / sizeof(int));
        last = s.cap;
        num_blocks++;
    }
    assert_in_range(num_blocks, 15, 40);
    ints t = five();
    mound_append_n(&t, s.ptr, 1000); /* more than double: as many as needed */
    assert_in_range(t.cap, 1005, 1100);
}

static void slices_of_one_block_see_each_other(void **state) {
    (void)state;
    ints s = mound_make(ints, 4, 8), t = mound_sub(&s, 1, 3);
    assert_int_equal(t.len, 2);
    assert_int_equal(t.cap, 7);
    mound_at(&t, 0) = 7;
    assert_int_equal(mound_at(&s, 1), 7);
    mound_append(&t, 9); /* writes behind t's length, which is within s */
    assert_int_equal(mound_at(&s, 3), 9);
    ints u = mound_sub3(&s, 1, 3, 3);
    assert_int_equal(u.cap, 2);
    mound_append(&u, 5); /* no capacity: moves */
    assert_int_equal(mound_at(&s, 3), 9);
    mound_at(&u, 0) = 1;
    assert_int_equal(mound_at(&s, 1), 7);
    ints v = mound_sub(&s, 0, s.cap); /* up to the capacity */
    assert_int_equal(v.len, 8);
    assert_int_equal(mound_at(&v, 7), 0);
}

static void copy_and_append_may_overlap(void **state) {
    (void)state;
    ints s = five(), t = mound_sub(&s, 1, 5);
    assert_int_equal(mound_copy(&t, &s), 4);
    static const int moved[] = {0, 0, 1, 2, 3};
    assert_memory_equal(s.ptr, moved, sizeof moved);
    mound_append_slice(&s, &s);
    assert_int_equal(s.len, 10);
    assert_memory_equal(s.ptr + 5, moved, sizeof moved);
    ints u = mound_make(ints, 2, 100);
    mound_append_slice(&u, &u);
    assert_int_equal(u.len, 4);
    ints empty = {0};
    assert_int_equal(mound_copy(&empty, &s), 0);
    mound_append_slice(&s, &empty);
    assert_int_equal(s.len, 10);
    assert_int_equal(mound_sub(&empty, 0, 0).len, 0);
    mound_clear(&s);
    for (int i = 0; i < 10; i++) assert_int_equal(mound_at(&s, i), 0);
    mound_clear(&empty);
}

/* ---------------------------------------------------------------- memory */

static NOINLINE void drop_all_but_last(ints *s, mound_weak *weak) {
    ints whole = mound_make(ints, 1000, 1000);
    mound_at(&whole, 999) = 5;
    *weak = mound_weak_make(whole.ptr);
    *s = mound_sub(&whole, 999, 1000);
}
static NOINLINE void clear_stack(void) {
    volatile char space[4096];
    memset((char *)space, 0, sizeof space);
}

static ints kept; /* the only reference: a frame would keep stale copies */

static NOINLINE int kept_number(void) { return mound_at(&kept, 0); }

static void a_part_keeps_the_whole_block(void **state) {
    (void)state;
    mound_weak weak;
    drop_all_but_last(&kept, &weak);
    clear_stack();
    mound_gc();
    assert_true(mound_weak_get(weak) != NULL);
    assert_int_equal(kept_number(), 5);
    kept = (ints){0};
    clear_stack();
    mound_gc();
    mound_gc();
    assert_null(mound_weak_get(weak));
}

/* An empty rest must not keep the block that lies behind its own. */
static void an_empty_rest_keeps_its_own_block(void **state) {
    (void)state;
    ints s = mound_make(ints, 4, 4), rest = mound_sub(&s, 4, 4);
    assert_ptr_equal(mound_base(rest.ptr), s.ptr);
    rest = mound_sub3(&s, 2, 2, 2);
    assert_ptr_equal(mound_base(rest.ptr), s.ptr);
}

static void pointers_in_slices_keep_and_numbers_do_not(void **state) {
    (void)state;
    int_ptrs p = {0};
    for (int i = 0; i < 200; i++) {
        int *number = mound_new(int);
        *number = i;
        mound_append(&p, number);
        if (i % 20 == 0) mound_gc();
    }
    for (int i = 0; i < 200; i++) assert_int_equal(*mound_at(&p, i), i);
    typedef mound_slice_of(uintptr_t) words;
    words w = mound_make(words, 100, 100);
    mound_weak weak[100];
    for (int i = 0; i < 100; i++) {
        void *object = mound_alloc(64);
        mound_at(&w, i) = (uintptr_t)object;
        weak[i] = mound_weak_make(object);
    }
    clear_stack();
    mound_gc();
    mound_gc();
    int num_kept = 0;
    for (int i = 0; i < 100; i++) num_kept += mound_weak_get(weak[i]) != NULL;
    assert_in_range(num_kept, 0, 5);
    mound_keep_alive(w.ptr);
}

static void growth_keeps_memory_noscan(void **state) {
    (void)state;
    wides w = mound_make_noscan(wides, 0, 1);
    mound_weak weak[50];
    for (int i = 0; i < 50; i++) {
        wide one = {.self = mound_alloc(64)};
        weak[i] = mound_weak_make(one.self);
        mound_append(&w, one);
    }
    clear_stack();
    mound_gc();
    mound_gc();
    int num_kept = 0;
    for (int i = 0; i < 50; i++) num_kept += mound_weak_get(weak[i]) != NULL;
    assert_in_range(num_kept, 0, 5);
    mound_keep_alive(w.ptr);
}

static void a_slice_of_nothing(void **state) {
    (void)state;
    mound_slice s = {NULL, 0, 0};
    mound_slice_grow(&s, 5, 0, 0, "here");
    assert_true(s.cap >= 5);
    mound_slice_append(&s, NULL, 3, 0, 0, "here");
    assert_int_equal(s.len, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(misuse_ends_the_process),
        cmocka_unit_test(elements_arrive_in_order),
        cmocka_unit_test(capacity_grows_as_in_go),
        cmocka_unit_test(slices_of_one_block_see_each_other),
        cmocka_unit_test(copy_and_append_may_overlap),
        cmocka_unit_test(a_part_keeps_the_whole_block),
        cmocka_unit_test(an_empty_rest_keeps_its_own_block),
        cmocka_unit_test(pointers_in_slices_keep_and_numbers_do_not),
        cmocka_unit_test(growth_keeps_memory_noscan),
        cmocka_unit_test(a_slice_of_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
