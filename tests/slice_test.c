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

/* ---------------------------------------------------------------- large blocks */

/* A large one at its full capacity, whose block append made; elements are their index. */
static NOINLINE ints make_full(ptrdiff_t min) {
    ints s = {0};
    for (int i = 0; s.len < min || s.len < s.cap; i++) mound_append(&s, i);
    return s;
}

static bool counts_up(const int *p, ptrdiff_t num) {
    for (ptrdiff_t i = 0; i < num; i++)
        if (p[i] != i) return false;
    return true;
}

static void a_large_block_grows_where_it_lies(void **state) {
    (void)state;
    enum { NUM = 1 << 20 };
    ints s = {0};
    char *beside = NULL;
    int num_grown = 0, num_stayed = 0;
    for (int i = 0; i < NUM; i++) {
        int *was = s.ptr;
        ptrdiff_t cap = s.cap;
        mound_append(&s, i);
        if (s.cap == cap || s.len < 10000) continue;
        num_grown++;
        num_stayed += s.ptr == was;
        assert_true(counts_up(s.ptr, s.len));
        for (ptrdiff_t j = s.len; j < s.cap; j++) assert_int_equal(s.ptr[j], 0);
        assert_int_equal((size_t)s.cap, (mound_size(s.ptr) - 1) / sizeof(int));
        for (ptrdiff_t j = 0; beside && j < 40000; j++) assert_int_equal(beside[j], 3);
        if (num_grown % 4 != 0) continue;
        beside = memset(mound_alloc_noscan(40000), 3, 40000); /* perhaps where it would grow */
        memset(mound_alloc_noscan(100000), 3, 100000);
        mound_gc(); /* what is free behind it now was used */
    }
    assert_true(num_grown >= 10);
    assert_true(num_stayed > 0); /* a collection that marks forbids it, and so does a neighbour */
}

static void pointers_grow_where_they_lie(void **state) {
    (void)state;
    int_ptrs s = {0};
    int num_stayed = 0;
    for (int i = 0; i < 100000; i++) {
        int **was = s.ptr;
        ptrdiff_t cap = s.cap;
        int *number = i % 1000 == 0 ? mound_new(int) : mound_at(&s, i - 1);
        *number = i / 1000;
        mound_append(&s, number);
        num_stayed += s.cap > cap && s.len > 10000 && s.ptr == was;
    }
    mound_gc();
    for (int i = 0; i < 1000; i++) memset(mound_new(int), 0xff, sizeof(int)); /* where one died */
    for (int i = 0; i < 100000; i++) assert_int_equal(*mound_at(&s, i), i / 1000);
    assert_true(num_stayed > 0);
}

static void a_capacity_that_was_asked_for_ends_there(void **state) {
    (void)state;
    ints s = make_full(20000), t = mound_sub3(&s, 0, s.len, s.cap);
    mound_append(&t, 1);
    assert_ptr_not_equal(t.ptr, s.ptr);
    mound_at(&t, 0) = 9;
    assert_int_equal(mound_at(&s, 0), 0);
    ints u = mound_sub3(&s, 10, s.len - 10, s.len - 10);
    mound_append(&u, 2);
    assert_int_equal(mound_at(&s, s.len - 10), s.len - 10);
    ints made = mound_make(ints, 20000, 20000), v = made;
    while (v.len < v.cap) mound_append(&v, 0);
    made = v;
    mound_append(&v, 3);
    assert_ptr_not_equal(v.ptr, made.ptr); /* make was told how many */
}

static void each_of_two_slices_appends_for_itself(void **state) {
    (void)state;
    ints s = make_full(20000), t = s;
    ptrdiff_t len = s.len;
    mound_append(&s, 1);
    mound_append(&t, 2);
    assert_int_equal(mound_at(&s, len), 1);
    assert_int_equal(mound_at(&t, len), 2);
    assert_true(counts_up(s.ptr, len) && counts_up(t.ptr, len));
    ints rest = make_full(20000), whole = rest;
    rest = mound_sub(&rest, 5000, rest.len);
    len = rest.len;
    for (int i = 0; i < 50000; i++) mound_append(&rest, i);
    assert_true(counts_up(whole.ptr, whole.len));
    for (int i = 0; i < len; i++) assert_int_equal(mound_at(&rest, i), 5000 + i);
    assert_true(counts_up(rest.ptr + len, 50000));
}

/* A slice and what must be in it. Only full ones are shared, and none is written to: so whoever
 * moves, or grows where it lies, nobody sees the others' elements. */
typedef struct modelled {
    ints s;
    int *model;
} modelled;
enum { REGS = 6, MODEL_MAX = 150000 };

static void append_random(modelled *m, int num) {
    static int next;
    for (; num > 0 && m->s.len < MODEL_MAX; num--) {
        m->model[m->s.len] = ++next;
        mound_append(&m->s, next);
    }
}

static void expect_model(const modelled *m) {
    for (ptrdiff_t i = 0; i < m->s.len; i++)
        if (m->s.ptr[i] != m->model[i])
            fail_msg("element %td of %td is %d, not %d", i, m->s.len, m->s.ptr[i], m->model[i]);
}

static void share_full(modelled *to, modelled *from, ptrdiff_t skip) {
    append_random(from, (int)(from->s.cap - from->s.len));
    if (from->s.len < from->s.cap || to == from) return;
    to->s = mound_sub(&from->s, skip, from->s.len);
    memcpy(to->model, from->model + skip, (size_t)to->s.len * sizeof(int));
}

static void slices_that_were_full_go_their_own_ways(void **state) {
    (void)state;
    modelled m[REGS] = {0};
    void *beside[8] = {0};
    mo_rand r;
    mo_rand_seed(&r, test_seed("slices", 0));
    for (int i = 0; i < REGS; i++) m[i].model = malloc(MODEL_MAX * sizeof(int));
    for (uint64_t step = 0; step < test_steps(4000); step++) {
        modelled *a = &m[mo_rand_below(&r, REGS)], *b = &m[mo_rand_below(&r, REGS)];
        uint64_t what = mo_rand_below(&r, 100);
        if (what < 60)
            append_random(a, (int)mo_rand_below(&r, 4000));
        else if (what < 75)
            share_full(b, a, 0);
        else if (what < 85)
            share_full(b, a, (ptrdiff_t)mo_rand_below(&r, (uint64_t)a->s.len + 1));
        else if (what < 90 || a->s.len == MODEL_MAX)
            a->s = (ints){0};
        else
            beside[step % 8] = mound_alloc_noscan(mo_rand_below(&r, 300000));
        if (what == 99) mound_gc();
        expect_model(a);
        expect_model(b);
    }
    for (int i = 0; i < REGS; i++) {
        expect_model(&m[i]);
        free(m[i].model);
    }
    mound_keep_alive(beside);
}

static ints shared;
static test_errors append_errors;

static void *append_own(void *arg) {
    int own = (int)(intptr_t)arg;
    ints s = shared;
    ptrdiff_t len = s.len;
    for (int i = 0; i < 1000; i++) mound_append(&s, own);
    for (int i = 0; i < 1000; i++)
        if (mound_at(&s, len + i) != own) test_error(&append_errors, "another thread's element");
    if (!counts_up(s.ptr, len)) test_error(&append_errors, "an element is lost");
    return NULL;
}

static void each_of_two_threads_appends_for_itself(void **state) {
    (void)state;
    enum { THREADS = 3 };
    for (uint64_t i = 0; i < test_steps(200); i++) {
        pthread_t thread[THREADS];
        shared = make_full(9000);
        for (intptr_t t = 0; t < THREADS; t++)
            assert_int_equal(pthread_create(&thread[t], NULL, append_own, (void *)t), 0);
        for (int t = 0; t < THREADS; t++) assert_int_equal(pthread_join(thread[t], NULL), 0);
        assert_no_errors(&append_errors);
    }
}

static int is_collecting;
static void *collect_on(void *arg) {
    (void)arg;
    while (LOAD(&is_collecting)) mound_gc();
    return NULL;
}

/* What was appended lately lies in pages that the span did not have when the mark began, or that
 * were in no span at all. */
static void a_block_grows_while_another_thread_collects(void **state) {
    (void)state;
    pthread_t thread;
    STORE(&is_collecting, 1);
    assert_int_equal(pthread_create(&thread, NULL, collect_on, NULL), 0);
    for (uint64_t round = 0; round < test_steps(40); round++) {
        int_ptrs s = {0};
        int num_values = 0;
        for (int i = 0; i < 60000; i++) {
            if (i % 64 == 0 || s.len == s.cap) {
                int *value = mound_new(int);
                *value = num_values++;
                mound_append(&s, value);
            } else {
                mound_append(&s, mound_at(&s, i - 1));
            }
        }
        int last = -1;
        for (int i = 0; i < 60000; i++) {
            if (i == 0 || s.ptr[i] != s.ptr[i - 1]) last++;
            if (*s.ptr[i] != last) fail_msg("element %d is %d, not %d", i, *s.ptr[i], last);
        }
    }
    STORE(&is_collecting, 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

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
        cmocka_unit_test(a_large_block_grows_where_it_lies),
        cmocka_unit_test(pointers_grow_where_they_lie),
        cmocka_unit_test(a_capacity_that_was_asked_for_ends_there),
        cmocka_unit_test(each_of_two_slices_appends_for_itself),
        cmocka_unit_test(slices_that_were_full_go_their_own_ways),
        cmocka_unit_test(each_of_two_threads_appends_for_itself),
        cmocka_unit_test(a_block_grows_while_another_thread_collects),
        cmocka_unit_test(a_part_keeps_the_whole_block),
        cmocka_unit_test(an_empty_rest_keeps_its_own_block),
        cmocka_unit_test(pointers_in_slices_keep_and_numbers_do_not),
        cmocka_unit_test(growth_keeps_memory_noscan),
        cmocka_unit_test(a_slice_of_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
