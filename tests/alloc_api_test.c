/* alloc_api_test.c - what every allocation function promises in mound.h.
 * modes: gc valgrind
 */
#include "witness.h"

#include <errno.h>

typedef struct pair {
    void *first, *second;
    long number;
} pair;
MOUND_TYPE(pair, first, second);
typedef struct grid {
    int cell[10];
} grid;
MOUND_TYPE_NOSCAN(grid);

static bool is_zero(const void *p, size_t size) {
    const unsigned char *byte = p;
    for (size_t i = 0; i < size; i++)
        if (byte[i]) return false;
    return true;
}

/* ---------------------------------------------------------------- zeroed */

typedef void *(*allocator)(size_t size);

static void *alloc_aligned_64(size_t size) { return mound_alloc_aligned(64, size); }
static void *alloc_array_of_1(size_t size) { return mound_alloc_array(size, 1); }
static void *try_scan(size_t size) { return mound_try_alloc(size, 0); }
static void *try_noscan(size_t size) { return mound_try_alloc(size, MOUND_NOSCAN); }
static void *realloc_null(size_t size) { return mound_realloc(NULL, size); }

static const struct {
    const char *name;
    allocator alloc;
} allocators[] = {
    {"mound_alloc", mound_alloc},
    {"mound_alloc_noscan", mound_alloc_noscan},
    {"mound_alloc_aligned", alloc_aligned_64},
    {"mound_alloc_array", alloc_array_of_1},
    {"mound_try_alloc", try_scan},
    {"mound_try_alloc noscan", try_noscan},
    {"mound_realloc", realloc_null},
};
enum { NUM_ALLOCATORS = sizeof allocators / sizeof allocators[0], MAX_ROUND = 2000 };

typedef struct round {
    allocator alloc;
    size_t size;
    int num;
    int num_dirty;  /* found not zero */
    int num_reused; /* objects in memory that the round before had */
    uintptr_t hidden[MAX_ROUND];
} round;

static round *the_round; /* in malloc's memory: no root */

static int compare_words(const void *a, const void *b) {
    uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;
    return (x > y) - (x < y);
}

/* Whether the new object (the key) lies where an old one of that size was, wholly or in part: large
 * ones need not begin at the same page again. Hidden addresses stand in falling order. */
static size_t overlap_bytes;
static int compare_overlap(const void *key, const void *element) {
    uintptr_t new = ~*(const uintptr_t *)key, old = ~*(const uintptr_t *)element;
    if (new + overlap_bytes <= old) return 1;
    return new >= old + overlap_bytes ? -1 : 0;
}

static void fill_round(void *arg) {
    round *r = arg;
    r->num_dirty = 0;
    for (int i = 0; i < r->num; i++) {
        unsigned char *p = r->alloc(r->size);
        if (!is_zero(p, mound_size(p))) r->num_dirty++;
        memset(p, 0xfe, mound_size(p));
        r->hidden[i] = HIDE(p);
    }
    qsort(r->hidden, (size_t)r->num, sizeof r->hidden[0], compare_words);
}

static void refill_round(void *arg) {
    round *r = arg;
    r->num_dirty = r->num_reused = 0;
    overlap_bytes = r->size;
    for (int i = 0; i < 2 * r->num || (r->num_reused == 0 && i < 100 * r->num); i++) {
        unsigned char *p = r->alloc(r->size);
        if (!is_zero(p, mound_size(p))) r->num_dirty++;
        uintptr_t key = HIDE(p);
        if (bsearch(&key, r->hidden, (size_t)r->num, sizeof key, compare_overlap)) r->num_reused++;
        memset(p, 0xfe, mound_size(p));
    }
}

static void free_half(void *arg) {
    round *r = arg;
    for (int i = 0; i < r->num; i += 2) mound_free(SHOW(r->hidden[i]));
}

/* Fill, drop, collect, and fill again: the second time is made of recycled memory. */
static void check_recycled(const char *name, allocator alloc, size_t size, int num) {
    round *r = the_round;
    r->alloc = alloc;
    r->size = size;
    r->num = num > MAX_ROUND ? MAX_ROUND : num;
    mound_gc(); /* so that the lowest free memory is what the second round finds as well */
    apart(fill_round, r);
    if (r->num_dirty) fail_msg("%s(%zu): %d fresh objects are not zero", name, size, r->num_dirty);
    mound_gc();
    apart(refill_round, r);
    if (r->num_dirty) fail_msg("%s(%zu): %d swept objects are not zero", name, size, r->num_dirty);
    if (r->num_reused == 0) fail_msg("%s(%zu): no memory was used again", name, size);
}

static void memory_is_zero_when_recycled_in_every_size_class(void **state) {
    (void)state;
    bool slow = scaled(100) < 100;
    size_t last = 0;
    for (size_t size = 1; size <= 32768; size += size < 1024 ? 16 : 128) {
        void *probe = mound_alloc(size);
        size_t slot = mound_size(probe);
        if (slot == last) continue;
        last = slot;
        for (int a = 0; a < (slow ? 2 : NUM_ALLOCATORS); a++) {
            int num = (int)(65536 / slot) + 8;
            check_recycled(allocators[a].name, allocators[a].alloc, slot,
                           has_debug("gcstress") && num > 200 ? 200 : num);
        }
        if (slow && slot > 128) size += size / 3; /* some classes only */
    }
}

static void large_memory_is_zero_when_recycled(void **state) {
    (void)state;
    static const size_t sizes[] = {32769, 65536, 100001, 1 << 20, (5 << 20) + 3};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int a = 0; a < NUM_ALLOCATORS; a++)
            check_recycled(allocators[a].name, allocators[a].alloc, sizes[i], 3);
}

static void memory_given_back_by_free_is_zero_when_recycled(void **state) {
    (void)state;
    int old = mound_set_gc_percent(-1); /* hidden pointers are the only ones */
    static const size_t sizes[] = {16, 48, 64, 1024, 1152, 8192, 32768, 40000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0] && !has_debug("gcstress"); i++) {
        round *r = the_round;
        r->alloc = mound_alloc;
        r->size = sizes[i];
        r->num = 100;
        apart(fill_round, r);
        apart(free_half, r);
        apart(refill_round, r);
        assert_int_equal(r->num_dirty, 0);
        assert_true(r->num_reused > 0);
    }
    mound_set_gc_percent(old);
}

static void *fresh_uncollectable(size_t size) { return mound_alloc_uncollectable(size); }

static void uncollectable_memory_is_zero_when_recycled(void **state) {
    (void)state;
    static const size_t sizes[] = {16, 48, 64, 1024, 1152, 8192, 32768, 40000};
    /* What is freed while a collection marks is used again after it only. */
    int old = mound_set_gc_percent(-1);
    mound_gc();
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        round *r = the_round;
        r->alloc = fresh_uncollectable;
        r->size = sizes[i];
        r->num = 600; /* more than a span of any class has */
        fill_round(r);
        assert_int_equal(r->num_dirty, 0);
        for (int k = 0; k < r->num; k++) mound_free(SHOW(r->hidden[k]));
        int num_reused = 0;
        static void *again[600];
        for (int k = 0; k < r->num; k++) {
            unsigned char *p = again[k] = mound_alloc_uncollectable(sizes[i]);
            assert_true(is_zero(p, mound_size(p)));
            uintptr_t key = HIDE(p);
            num_reused += bsearch(&key, r->hidden, 600, sizeof key, compare_words) != NULL;
        }
        for (int k = 0; k < r->num; k++) mound_free(again[k]);
        assert_true(num_reused > 0);
    }
    mound_set_gc_percent(old);
}

static void typed_memory_is_zero_when_recycled(void **state) {
    (void)state;
    size_t num = scaled(20000);
    for (int pass = 0; pass < 3; pass++) {
        for (size_t i = 0; i < num; i++) {
            pair *p = mound_new_typed(pair);
            grid *g = mound_new_typed(grid);
            assert_true(is_zero(p, sizeof *p) && is_zero(g, sizeof *g));
            memset(p, 0xfe, mound_size(p));
            memset(g, 0xfe, mound_size(g));
        }
        pair *many = mound_alloc_typed(MOUND_TYPEOF(pair), 5000);
        assert_true(is_zero(many, 5000 * sizeof *many));
        memset(many, 0xfe, 5000 * sizeof *many);
        mound_gc();
    }
}

/* ---------------------------------------------------------------- size and alignment */

static void addresses_are_aligned_to_16_and_slots_are_large_enough(void **state) {
    (void)state;
    for (size_t size = 0; size <= 40000; size += size < 2048 ? 1 : 61) {
        for (int a = 0; a < NUM_ALLOCATORS; a++) {
            void *p = allocators[a].alloc(size);
            if ((uintptr_t)p % 16 != 0)
                fail_msg("%s(%zu) = %p is not aligned to 16", allocators[a].name, size, p);
            if (mound_size(p) < size)
                fail_msg("%s(%zu): mound_size = %zu", allocators[a].name, size, mound_size(p));
        }
        size_t slot = mound_size(mound_alloc(size));
        if (slot - size > slot / 8 + 15 && size <= 32768 && size > 0)
            fail_msg("mound_alloc(%zu) takes %zu bytes: more than an eighth is wasted", size, slot);
    }
}

static void aligned_memory_is_aligned_from_1_byte_to_2_mib(void **state) {
    (void)state;
    for (size_t align = 1; align <= (size_t)2 << 20; align *= 2) {
        size_t sizes[] = {0, 1, align - 1, align, align + 1, 3 * align, 5000};
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            for (int k = 0; k < 5; k++) {
                char *p = mound_alloc_aligned(align, sizes[i]);
                if ((uintptr_t)p % align != 0)
                    fail_msg("mound_alloc_aligned(%zu, %zu) = %p", align, sizes[i], (void *)p);
                assert_true(mound_size(p) >= sizes[i]);
                assert_true(is_zero(p, sizes[i]));
                if (sizes[i]) p[0] = p[sizes[i] - 1] = 1;
                assert_ptr_equal(mound_base(p), p);
            }
        }
    }
}

static void size_zero_gives_unique_addresses(void **state) {
    (void)state;
    enum { NUM = 500 };
    static char *p[NUM * 6];
    for (int i = 0; i < NUM; i++) {
        p[6 * i] = mound_alloc(0);
        p[6 * i + 1] = mound_alloc_noscan(0);
        p[6 * i + 2] = mound_alloc_array(0, 24);
        p[6 * i + 3] = mound_alloc_aligned(32, 0);
        p[6 * i + 4] = mound_alloc_typed(MOUND_TYPEOF(pair), 0);
        p[6 * i + 5] = mound_try_alloc(0, 0);
    }
    static uintptr_t sorted[NUM * 6];
    for (int i = 0; i < NUM * 6; i++) sorted[i] = HIDE(p[i]);
    qsort(sorted, NUM * 6, sizeof sorted[0], compare_words);
    for (int i = 1; i < NUM * 6; i++) assert_int_not_equal(sorted[i], sorted[i - 1]);
    for (int i = 0; i < NUM * 6; i++) {
        assert_ptr_equal(mound_base(p[i]), p[i]);
        mound_free(p[i]);
    }
    void *pinned = mound_alloc_uncollectable(0);
    assert_ptr_equal(mound_base(pinned), pinned);
    mound_free(pinned);
    memset(p, 0, sizeof p);
}

static void size_and_base_accept_any_address(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 16, 17, 100, 1000, 5000, 32768, 32769, 300000, 3 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char *p = mound_alloc(sizes[i]);
        size_t size = mound_size(p);
        for (size_t off = 0; off < size; off += off < 100 ? 1 : 97) {
            assert_ptr_equal(mound_base(p + off), p);
            assert_int_equal(mound_size(p + off), size);
        }
        assert_ptr_equal(mound_base(p + size - 1), p);
        assert_ptr_not_equal(mound_base(p + size), p);
    }
    int local;
    static int global;
    char *foreign = malloc(32);
    assert_null(mound_base(NULL));
    assert_null(mound_base(&local));
    assert_null(mound_base(&global));
    assert_null(mound_base(foreign));
    assert_null(mound_base((void *)UINTPTR_MAX));
    assert_int_equal(mound_size(NULL), 0);
    assert_int_equal(mound_size(&local), 0);
    assert_int_equal(mound_size(foreign), 0);
    free(foreign);
    static const size_t freed_sizes[] = {48, 2000, 50000};
    for (int i = 0; i < 3; i++) {
        char *p = mound_alloc(freed_sizes[i]);
        mound_free(p);
        assert_null(mound_base(p));
        assert_int_equal(mound_size(p), 0);
    }
}

/* ---------------------------------------------------------------- realloc */

static void fill_pattern(unsigned char *p, size_t size) {
    for (size_t i = 0; i < size; i++) p[i] = (unsigned char)(i * 7 + 1);
}

static void assert_pattern(const unsigned char *p, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (p[i] != (unsigned char)(i * 7 + 1)) fail_msg("byte %zu of %zu changed", i, size);
}

static void realloc_keeps_the_bytes_and_zeroes_the_rest(void **state) {
    (void)state;
    static const size_t sizes[] = {0,    1,    15,   16,    17,    40,    100,
                                   1000, 1024, 5000, 32768, 33000, 200000};
    enum { NUM = sizeof sizes / sizeof sizes[0] };
    for (int kind = 0; kind < 4; kind++) {
        for (int i = 0; i < NUM; i++) {
            for (int k = 0; k < NUM; k++) {
                size_t from = sizes[i], to = sizes[k], both = from < to ? from : to;
                unsigned char *p = kind == 0   ? mound_alloc(from)
                                   : kind == 1 ? mound_alloc_noscan(from)
                                   : kind == 2 ? mound_alloc_uncollectable(from)
                                               : mound_alloc_array(from, 1);
                fill_pattern(p, from);
                unsigned char *q = mound_realloc(p, to);
                assert_ptr_equal(mound_base(q), q);
                assert_true(mound_size(q) >= to);
                assert_pattern(q, both);
                /* Usable bytes beyond what was copied: zero, whether it moved or not. */
                size_t known = from > to ? to : from;
                if (!is_zero(q + known, mound_size(q) - known))
                    fail_msg("kind %d: %zu -> %zu leaves old bytes behind the copy", kind, from,
                             to);
                if (q != p && kind != 2) assert_pattern(p, from); /* the old one stays valid */
                if (q != p && kind == 2) assert_null(mound_base(p));
                if (kind == 2) mound_free(q);
            }
        }
    }
}

static void realloc_of_null_allocates(void **state) {
    (void)state;
    char *p = mound_realloc(NULL, 100);
    assert_ptr_equal(mound_base(p), p);
    assert_true(mound_size(p) >= 100 && is_zero(p, 100));
    p = mound_realloc(NULL, 0);
    assert_ptr_equal(mound_base(p), p);
}

static void **holder; /* global: keeps what a test wants kept */

static void *child_behind_realloc(size_t i) {
    void **old = i % 2 ? mound_alloc_noscan(40) : mound_alloc_noscan(4000);
    void **moved = mound_realloc(old, i % 2 ? 4000 : 40000);
    moved[3] = mound_alloc(64);
    holder[i] = moved;
    return moved[3];
}

static void *child_behind_scanned_realloc(size_t i) {
    void **moved = i % 3 == 0   ? mound_realloc(mound_new_typed(pair), 200)
                   : i % 3 == 1 ? mound_realloc(mound_alloc(40), 300)
                                : mound_realloc(mound_new_typed(pair), sizeof(pair));
    moved[2] = mound_alloc(64); /* pair.number: typed memory becomes scanned word by word */
    holder[i] = moved;
    return moved[2];
}

static void realloc_keeps_the_kind(void **state) {
    (void)state;
    holder = mound_alloc_uncollectable((WATCH_MAX + WATCH_NEIGHBOURS) * sizeof *holder);
    watch(200, child_behind_realloc);
    assert_nearly_all_die(200); /* noscan stays noscan: nobody looked inside */
    watch(300, child_behind_scanned_realloc);
    assert_all_live(300);
    mound_free(holder);
    holder = NULL;
}

static void *grown_uncollectable(size_t i) {
    void *p = mound_alloc_uncollectable(24);
    p = mound_realloc(p, 1000 + i);
    ((uintptr_t *)mound_alloc_noscan(8))[0] = 0;
    return p;
}

static void realloc_keeps_uncollectable_memory_uncollectable(void **state) {
    (void)state;
    watch(100, grown_uncollectable);
    assert_all_live(100);
    for (int i = 0; i < 100; i++) mound_free(mound_weak_get(watched[i]));
    for (int i = 0; i < 100; i++) assert_null(mound_weak_get(watched[i]));
}

/* ---------------------------------------------------------------- text */

static void text_copies_are_equal_and_end_in_zero(void **state) {
    (void)state;
    char *p = mound_strdup("heap");
    assert_string_equal(p, "heap");
    assert_string_equal(mound_strdup(""), "");
    assert_string_equal(mound_strndup("abcdef", 3), "abc");
    assert_string_equal(mound_strndup("abc", 100), "abc");
    assert_string_equal(mound_strndup("abc", SIZE_MAX), "abc");
    assert_string_equal(mound_strndup("abc", 0), "");
    static const char unterminated[4] = {'w', 'x', 'y', 'z'};
    assert_string_equal(mound_strndup(unterminated, 4), "wxyz");
    assert_string_equal(mound_asprintf("%d-%s", 42, "x"), "42-x");
    assert_string_equal(mound_asprintf("%s", ""), "");
    static char expected[100001];
    memset(expected, ' ', 100000);
    expected[99999] = '7';
    assert_string_equal(mound_asprintf("%*d", 100000, 7), expected);
    char *longer = mound_strdup(expected);
    assert_string_equal(longer, expected);
    assert_int_equal(longer[99999], '7');
}

static void asprintf_of_an_invalid_format_is_null(void **state) {
    (void)state;
    static const wchar_t not_a_character[] = {0x7fffffff, 0};
    errno = 7777;
    assert_null(mound_asprintf("%ls", not_a_character));
    assert_int_equal(errno, 7777);
}

/* ---------------------------------------------------------------- try_alloc */

static void *try_scanned_holder(size_t i) {
    void **p = mound_try_alloc(64, 0);
    holder[i] = p;
    return p[1] = mound_alloc(32);
}
static void *try_noscan_holder(size_t i) {
    void **p = mound_try_alloc(64, MOUND_NOSCAN);
    holder[i] = p;
    return p[1] = mound_alloc(32);
}
static void *try_uncollectable(size_t i) { return mound_try_alloc(64 + i, MOUND_UNCOLLECTABLE); }

static void try_alloc_makes_the_kind_it_is_asked_for(void **state) {
    (void)state;
    holder = mound_alloc_uncollectable((WATCH_MAX + WATCH_NEIGHBOURS) * sizeof *holder);
    watch(200, try_scanned_holder);
    assert_all_live(200);
    watch(200, try_noscan_holder);
    assert_nearly_all_die(200);
    watch(200, try_uncollectable);
    assert_all_live(200);
    for (int i = 0; i < 200; i++) mound_free(mound_weak_get(watched[i]));
    mound_free(holder);
    holder = NULL;
}

static void impossible_sizes_give_null_and_change_nothing(void **state) {
    (void)state;
    static const size_t sizes[] = {SIZE_MAX,        SIZE_MAX - 1,        SIZE_MAX - 8190,
                                   SIZE_MAX - 8191, SIZE_MAX - 8192,     SIZE_MAX / 2 + 1,
                                   SIZE_MAX / 2,    (size_t)1 << 62,     (size_t)1 << 48,
                                   (size_t)1 << 41, SIZE_MAX - (1 << 20)};
    mound_mem_stats before = {.struct_bytes = sizeof before}, after = before;
    void *kept = mound_alloc(100);
    mound_gc();
    mound_read_mem_stats(&before);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        volatile size_t size = sizes[i]; /* the compiler warns of constants */
        static const unsigned flags[] = {0, MOUND_NOSCAN, MOUND_UNCOLLECTABLE};
        for (int k = 0; k < 3; k++) {
            void *p = mound_try_alloc(size, flags[k]);
            if (p) fail_msg("mound_try_alloc(%zu, %u) = %p", size, flags[k], p);
        }
    }
    mound_gc();
    mound_read_mem_stats(&after);
    assert_int_equal(after.heap_sys_bytes, before.heap_sys_bytes);
    assert_true(after.heap_inuse_bytes <= before.heap_inuse_bytes + (1 << 20));
    assert_true(after.heap_goal_bytes < before.heap_goal_bytes + (64 << 20));
    assert_true(mound_size(kept) >= 100);
    assert_non_null(mound_try_alloc(100, 0));
}

/* ---------------------------------------------------------------- manners */

static void cleanup_nothing(void *arg) { (void)arg; }

static void errno_is_never_changed(void **state) {
    (void)state;
    errno = 4711;
    static char range[64];
    for (int i = 0; i < 200; i++) {
        void *p = mound_alloc(100);
        p = mound_realloc(p, 2000);
        mound_weak w = mound_weak_make(p);
        void *same = mound_weak_get(w);
        assert_ptr_equal(same, p);
        mound_cleanup c = mound_add_cleanup(p, cleanup_nothing, NULL);
        if (i % 2) mound_cleanup_stop(c);
        assert_int_equal(mound_root_add(range, sizeof range), 0);
        assert_int_equal(mound_root_remove(range, sizeof range), 0);
        assert_true(mound_root_remove(range, sizeof range) < 0);
        mound_keep_alive(mound_strdup("text"));
        mound_keep_alive(mound_alloc_noscan(100000));
        mound_keep_alive(mound_alloc_aligned(4096, 10));
        mound_keep_alive(mound_new_typed(pair));
        volatile size_t huge = SIZE_MAX / 4;
        if (i % 100 == 0) assert_null(mound_try_alloc(huge, 0));
        if (i % 20 == 0) mound_gc();
        if (i % 100 == 0) mound_free_os_memory();
        mound_mem_stats s = {.struct_bytes = sizeof s};
        mound_read_mem_stats(&s);
        mound_set_gc_percent(100);
        mound_free(p);
        if (errno != 4711) fail_msg("errno is %d in round %d", errno, i);
    }
}

static void the_compiler_knows_the_sizes(void **state) {
    (void)state;
#if defined(__OPTIMIZE__) && defined(__GNUC__)
    void *p = mound_alloc(24), *q = mound_alloc_array(3, 8), *r = mound_alloc_aligned(64, 100);
    void *s = mound_alloc_noscan(24), *t = mound_alloc_uncollectable(24),
         *u = mound_try_alloc(24, 0);
    assert_int_equal(__builtin_object_size(p, 0), 24);
    assert_int_equal(__builtin_object_size(q, 0), 24);
    assert_int_equal(__builtin_object_size(r, 0), 100);
    assert_int_equal(__builtin_object_size(s, 0), 24);
    assert_int_equal(__builtin_object_size(t, 0), 24);
    assert_int_equal(__builtin_object_size(u, 0), 24);
    mound_free(t);
#else
    print_message("not optimized: the compiler computes no object sizes\n");
    skip();
#endif
}

static void init_may_be_repeated_and_version_is_text(void **state) {
    (void)state;
    assert_int_equal(mound_init(), 0);
    assert_int_equal(mound_init(), 0);
    char expected[32];
    snprintf(expected, sizeof expected, "%d.%d.%d", MOUND_VERSION_MAJOR, MOUND_VERSION_MINOR,
             MOUND_VERSION_PATCH);
    assert_string_equal(mound_version(), expected);
}

static void starting_leaves_errno_alone(void **state) {
    (void)state;
    errno = 31;
    assert_int_equal(mound_init(), 0); /* the first call of the process */
    assert_int_equal(errno, 31);
}

int main(void) {
    the_round = malloc(sizeof *the_round);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starting_leaves_errno_alone),
        cmocka_unit_test(large_memory_is_zero_when_recycled),
        cmocka_unit_test(memory_is_zero_when_recycled_in_every_size_class),
        cmocka_unit_test(memory_given_back_by_free_is_zero_when_recycled),
        cmocka_unit_test(uncollectable_memory_is_zero_when_recycled),
        cmocka_unit_test(typed_memory_is_zero_when_recycled),
        cmocka_unit_test(addresses_are_aligned_to_16_and_slots_are_large_enough),
        cmocka_unit_test(aligned_memory_is_aligned_from_1_byte_to_2_mib),
        cmocka_unit_test(size_zero_gives_unique_addresses),
        cmocka_unit_test(size_and_base_accept_any_address),
        cmocka_unit_test(realloc_keeps_the_bytes_and_zeroes_the_rest),
        cmocka_unit_test(realloc_of_null_allocates),
        cmocka_unit_test(realloc_keeps_the_kind),
        cmocka_unit_test(realloc_keeps_uncollectable_memory_uncollectable),
        cmocka_unit_test(text_copies_are_equal_and_end_in_zero),
        cmocka_unit_test(asprintf_of_an_invalid_format_is_null),
        cmocka_unit_test(try_alloc_makes_the_kind_it_is_asked_for),
        cmocka_unit_test(impossible_sizes_give_null_and_change_nothing),
        cmocka_unit_test(errno_is_never_changed),
        cmocka_unit_test(the_compiler_knows_the_sizes),
        cmocka_unit_test(init_may_be_repeated_and_version_is_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
