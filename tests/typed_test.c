/* typed_test.c - types made by MOUND_TYPE: scanned precisely, and never less than needed.
 * modes: gc
 */
#include "witness.h"

typedef struct both {
    void *listed;
    void *unlisted;
    struct both *second;
} both;
MOUND_TYPE(both, listed, second);

/* 100 words: pointers beyond the 64th word need another scan than a bitmap. */
typedef struct wide {
    size_t numbers[63];
    void *at_63;
    void *at_64;
    size_t more[30];
    void *at_95;
    void *unlisted;
    void *last;
} wide;
MOUND_TYPE(wide, at_63, at_64, at_95, last);

typedef struct edge {
    size_t numbers[63];
    void *at_63;
} edge;
MOUND_TYPE(edge, at_63);

typedef struct plain {
    size_t word[6];
} plain;
MOUND_TYPE_NOSCAN(plain);

typedef struct sixteen {
    void *a, *b, *c, *d, *e, *f, *g, *h, *i, *j, *k, *l, *m, *n, *o, *p;
    void *none;
} sixteen;
MOUND_TYPE(sixteen, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p);

enum { NUM = 200 };
static void **holders; /* in uncollectable memory */

static void hold(size_t i, void *holder) { holders[i] = holder; }

static void begin(void) {
    if (!holders)
        holders = mound_alloc_uncollectable((WATCH_MAX + WATCH_NEIGHBOURS) * sizeof *holders);
    memset(holders, 0, (WATCH_MAX + WATCH_NEIGHBOURS) * sizeof *holders);
}

/* One subject behind the field of a new object of type T, which is kept. */
#define DEFINE_BEHIND(T, field)                                                                    \
    static void *behind_##T##_##field(size_t i) {                                                  \
        T *h = mound_new_typed(T);                                                                 \
        void *subject = mound_alloc(48);                                                           \
        *(void **)(void *)&h->field = subject;                                                     \
        hold(i, h);                                                                                \
        return subject;                                                                            \
    }

DEFINE_BEHIND(both, listed)
DEFINE_BEHIND(both, second)
DEFINE_BEHIND(both, unlisted)
DEFINE_BEHIND(wide, at_63)
DEFINE_BEHIND(wide, at_64)
DEFINE_BEHIND(wide, at_95)
DEFINE_BEHIND(wide, last)
DEFINE_BEHIND(wide, unlisted)
DEFINE_BEHIND(edge, at_63)
DEFINE_BEHIND(plain, word)
DEFINE_BEHIND(sixteen, a)
DEFINE_BEHIND(sixteen, h)
DEFINE_BEHIND(sixteen, p)
DEFINE_BEHIND(sixteen, none)

static void listed_fields_keep(void **state) {
    (void)state;
    void *(*const makers[])(size_t) = {
        behind_both_listed, behind_both_second, behind_wide_at_63, behind_wide_at_64,
        behind_wide_at_95,  behind_wide_last,   behind_edge_at_63, behind_sixteen_a,
        behind_sixteen_h,   behind_sixteen_p,
    };
    for (size_t k = 0; k < sizeof makers / sizeof makers[0]; k++) {
        begin();
        watch(NUM, makers[k]);
        assert_all_live(NUM);
        begin();
        assert_nearly_all_die(NUM);
    }
}

static void words_that_are_not_listed_do_not_keep(void **state) {
    (void)state;
    void *(*const makers[])(size_t) = {behind_both_unlisted, behind_wide_unlisted,
                                       behind_plain_word, behind_sixteen_none};
    for (size_t k = 0; k < sizeof makers / sizeof makers[0]; k++) {
        begin();
        watch(NUM, makers[k]);
        assert_nearly_all_die(NUM);
    }
}

/* The word behind an object belongs to its neighbour, also in a slot with room to spare. */
static void slots_are_scanned_by_their_own_type_only(void **state) {
    (void)state;
    begin();
    watch(NUM, behind_both_listed);
    size_t num = 0;
    for (int i = 0; i < NUM; i++) num += ((both *)holders[i])->listed == mound_weak_get(watched[i]);
    assert_int_equal(num, NUM);
    both *b = mound_new_typed(both);
    assert_true(mound_size(b) >= sizeof(both) && (uintptr_t)b % 16 == 0);
    begin();
}

static size_t array_len;
static bool use_unlisted;

static void *behind_array(size_t i) {
    static both *array;
    if (i == 0) {
        array = mound_alloc_typed(MOUND_TYPEOF(both), array_len);
        hold(0, array);
    }
    void *subject = mound_alloc(48);
    if (i >= NUM) return subject;
    both *element = &array[i * (array_len - 1) / NUM % array_len];
    if (i == NUM - 1) element = &array[array_len - 1];
    *(use_unlisted ? &element->unlisted : &element->listed) = subject;
    if (i == NUM - 1) array = NULL;
    return subject;
}

static void arrays_keep_by_each_element(void **state) {
    (void)state;
    use_unlisted = false;
    for (array_len = 300; array_len <= 300000;
         array_len *= 10) { /* 7 KiB, 70 KiB, 700 KiB, 7 MiB */
        begin();
        watch(NUM, behind_array);
        assert_all_live(NUM);
        begin();
        assert_nearly_all_die(NUM);
    }
}

static void large_arrays_are_precise(void **state) {
    (void)state;
    use_unlisted = true;
    for (array_len = 3000; array_len <= 300000; array_len *= 10) {
        begin();
        watch(NUM, behind_array);
        assert_nearly_all_die(NUM);
    }
}

static void *behind_large_noscan_array(size_t i) {
    plain *array = mound_alloc_typed(MOUND_TYPEOF(plain), i % 2 ? 10 : 2000);
    void *subject = mound_alloc(48);
    array[7].word[3] = (size_t)subject;
    hold(i, array);
    return subject;
}

static void arrays_without_pointers_are_not_scanned(void **state) {
    (void)state;
    begin();
    watch(NUM, behind_large_noscan_array);
    assert_nearly_all_die(NUM);
}

/* A long list through typed and plain objects in turn. */
static void typed_and_plain_objects_may_be_mixed(void **state) {
    (void)state;
    size_t num = scaled(100000);
    both *head = NULL;
    for (size_t i = 0; i < num; i++) {
        both *n = i % 3   ? mound_new_typed(both)
                  : i % 2 ? mound_new(both)
                          : mound_alloc_typed(MOUND_TYPEOF(both), 3);
        n->second = head;
        n->listed = i % 5 ? NULL : mound_alloc_noscan(16);
        if (n->listed) *(size_t *)n->listed = i;
        head = n;
    }
    mound_gc();
    for (size_t i = 0; i < num; i++) mound_keep_alive(mound_alloc(24));
    mound_gc();
    size_t len = 0;
    for (both *n = head; n; n = n->second, len++)
        if (n->listed) assert_int_equal(*(size_t *)n->listed, num - 1 - len);
    assert_int_equal(len, num);
}

/* ---------------------------------------------------------------- more types than the table has */

static void types_beyond_the_table_are_scanned_word_by_word(void **state) {
    (void)state;
    enum { MORE = 4300, TABLE = 4095 };
    static mound_type types[MORE];
    static char names[MORE][16];
    static const size_t offs[] = {0};
    begin();
    void **keep = mound_alloc_uncollectable(MORE * sizeof *keep);
    for (int i = 0; i < MORE; i++) {
        snprintf(names[i], sizeof names[i], "type %d", (int)i); /* the same would be one type */
        types[i] = (mound_type){names[i], 32, offs, 1, 0, NULL, NULL};
        void **p = keep[i] = mound_alloc_typed(&types[i], 1);
        p[0] = mound_alloc(16); /* listed */
        p[2] = mound_alloc(16); /* not listed */
        *(size_t *)p[0] = *(size_t *)p[2] = (size_t)i + 1;
    }
    for (int i = 0; i < 2; i++) {
        mound_gc();
        for (int k = 0; k < 20000; k++) *(size_t *)mound_alloc(16) = 0xdead;
    }
    int num_kept = 0;
    for (int i = 0; i < MORE; i++) {
        void **p = keep[i];
        assert_int_equal(*(size_t *)p[0], i + 1); /* listed: whatever the type's number */
        num_kept += mound_base(p[2]) == p[2] && *(size_t *)p[2] == (size_t)i + 1;
        if (types[i].id == 0) fail_msg("type %d got no number", i);
        if (types[i].id > TABLE) assert_int_equal(*(size_t *)p[2], i + 1);
    }
    assert_true(types[MORE - 1].id > TABLE);
    assert_true(num_kept < MORE / 2); /* the ones before were precise */
    mound_free(keep);
}

static void a_type_larger_than_the_small_sizes_is_scanned_word_by_word(void **state) {
    (void)state;
    static const size_t offs[] = {0, 39992};
    static mound_type type = {"huge", 40000, offs, 2, 0, NULL, NULL};
    begin();
    void **p = mound_alloc_typed(&type, 1);
    holders[0] = p;
    p[0] = mound_alloc(16);
    p[2500] = mound_alloc(16);
    p[4999] = mound_alloc(16);
    *(size_t *)p[0] = *(size_t *)p[2500] = *(size_t *)p[4999] = 5;
    mound_gc();
    for (int k = 0; k < 20000; k++) *(size_t *)mound_alloc(16) = 0xdead;
    assert_int_equal(*(size_t *)p[0] + *(size_t *)p[2500] + *(size_t *)p[4999], 15);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listed_fields_keep),
        cmocka_unit_test(words_that_are_not_listed_do_not_keep),
        cmocka_unit_test(slots_are_scanned_by_their_own_type_only),
        cmocka_unit_test(arrays_keep_by_each_element),
        cmocka_unit_test(large_arrays_are_precise),
        cmocka_unit_test(arrays_without_pointers_are_not_scanned),
        cmocka_unit_test(typed_and_plain_objects_may_be_mixed),
        cmocka_unit_test(types_beyond_the_table_are_scanned_word_by_word),
        cmocka_unit_test(a_type_larger_than_the_small_sizes_is_scanned_word_by_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
