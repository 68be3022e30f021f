/* map_test.c - maps do what Go's do, and give memory back.
 * modes: gc valgrind
 */
#include "run.h"

#include "types/map.h"

typedef mound_map_of(uint64_t, uint64_t) u64_map;
typedef mound_map_of(mound_string, int) counts;
typedef mound_map_of(uint32_t, void *) ptr_map;

/* ---------------------------------------------------------------- death */

static int put_into_nothing(void *arg) {
    (void)arg;
    u64_map m = {0};
    mound_map_set(m, 1, 1);
    return 0;
}

typedef struct pair {
    int a, b;
} pair;
static int equal_pairs(const void *a, const void *b) { return memcmp(a, b, sizeof(pair)) == 0; }
static uint64_t hash_pair(const void *v, uint64_t seed) {
    return mound_hash_bytes(v, sizeof(pair), seed);
}
MOUND_TYPE_NOSCAN(pair);
typedef struct point {
    int x, y;
} point;
MOUND_TYPE_KEY_NOSCAN(point, equal_pairs, hash_pair);
typedef mound_map_of(pair, int) pair_map;
typedef mound_map_of(point, int) point_map;

static int keys_without_equality(void *arg) {
    (void)arg;
    pair_map m = mound_map_make_keyed(pair_map, MOUND_TYPEOF(pair));
    return mound_map_len(m) == 0;
}

static mound_map *shared_map;
static int equal_and_put(const void *a, const void *b) {
    int key = 7;
    mound_map_place(shared_map, &key);
    return equal_pairs(a, b);
}
static uint64_t hash_nothing(const void *v, uint64_t seed) {
    (void)v, (void)seed;
    return 1;
}
static mound_type meddling = {"meddling", 4, NULL, 0, 0, equal_and_put, hash_nothing};

static int put_while_another_puts(void *arg) {
    (void)arg;
    mound_map_layout l = {MOUND_KEY_TYPE, 4, 4, 4, 1, &meddling};
    shared_map = mound_map_new(&l);
    int key = 1;
    mound_map_place(shared_map, &key); /* nothing to compare yet */
    mound_map_place(shared_map, &key);
    return 0;
}

static int key_of_another_kind(void *arg) {
    (void)arg;
    u64_map m = mound_map_make(u64_map);
    return mound_map_find_4(m.map, 1) != NULL;
}

static int entries_too_large(void *arg) {
    (void)arg;
    mound_map_layout l = {MOUND_KEY_8, 8, 1 << 20, 8, 1, NULL};
    shared_map = mound_map_new(&l);
    return 0;
}

static int unhashable_any(void *arg) {
    (void)arg;
    typedef mound_map_of(mound_any, int) any_map;
    any_map m = mound_map_make(any_map);
    mound_map_set(m, mound_any_of(pair, ((pair){1, 2})), 1);
    return 0;
}

static void misuse_ends_the_process(void **state) {
    (void)state;
    static const misuse_case cases[] = {
        {put_into_nothing, "assignment to an entry in a map that was not made", "goroutine 1"},
        {keys_without_equality, "keys of type pair cannot be compared", NULL},
        {put_while_another_puts, "concurrent map writes", NULL},
        {key_of_another_kind, "its keys are not of the kind", NULL},
        {entries_too_large, "are too large; use pointers", NULL},
        {unhashable_any, "hash of unhashable type pair", NULL},
    };
    expect_misuse(cases, sizeof cases / sizeof cases[0]);
}

/* ---------------------------------------------------------------- keys of each kind */

static uint64_t poor_hash(const void *v, uint64_t seed) {
    (void)seed;
    return *(const uint32_t *)v & 3; /* four values for all keys */
}
static uint64_t plain_hash(const void *v, uint64_t seed) {
    (void)seed;
    return *(const uint32_t *)v;
}
static int equal_first_word(const void *a, const void *b) {
    return *(const uint32_t *)a == *(const uint32_t *)b;
}
static mound_type poor_type = {"poor", 16, NULL, 0, 0, equal_first_word, poor_hash};
static mound_type plain_type = {"plain", 4, NULL, 0, 0, equal_first_word, plain_hash};

typedef struct key_case {
    mound_map_layout layout;
    unsigned max_keys;
} key_case;
static const key_case key_cases[] = {
    {{MOUND_KEY_4, 4, 4, 4, 1, NULL}, 40000},
    {{MOUND_KEY_8, 8, 8, 8, 1, NULL}, 40000},
    {{MOUND_KEY_8, 8, 200, 8, 0, NULL}, 3000},
    {{MOUND_KEY_BYTES, 2, 4, 4, 1, NULL}, 40000},
    {{MOUND_KEY_STRING, 16, 4, 8, 0, NULL}, 20000},
    {{MOUND_KEY_TYPE, 16, 16, 16, 1, &poor_type}, 5000},
    {{MOUND_KEY_TYPE, 4, 12, 4, 1, &plain_type}, 20000},
    {{MOUND_KEY_8, 8, 5000, 8, 1, NULL}, 200},
};

typedef union any_key {
    uint64_t word;
    mound_string text;
    uint32_t part[4];
} any_key;

static any_key make_key(const mound_map_layout *l, unsigned i) {
    any_key k = {.part = {i}};
    if (l->kind == MOUND_KEY_8) k.word = (uint64_t)i << (i % 3 * 16);
    if (l->kind == MOUND_KEY_STRING)
        k.text = mound_string_printf("%.*s%u", (int)(i % 23), "abcdefghijklmnopqrstuvwxyz", i);
    return k;
}
static unsigned number_of(const mound_map_layout *l, const void *key) {
    any_key k = {.part = {0}};
    if (l->kind == MOUND_KEY_STRING) {
        memcpy(&k.text, key, sizeof k.text);
        int64_t n = -1;
        for (ptrdiff_t i = 0; i < k.text.len; i++) {
            if (k.text.ptr[i] > '9') continue;
            must(mound_string_to_int(mound_string_sub(k.text, i, k.text.len), &n));
            break;
        }
        return (unsigned)n;
    }
    memcpy(&k, key, l->key_bytes < 8 ? l->key_bytes : 8);
    if (l->kind != MOUND_KEY_8) return k.part[0];
    for (unsigned shift = 0; shift < 48; shift += 16) {
        uint64_t i = k.word >> shift;
        if (i % 3 * 16 == shift && i < 1u << 20) return (unsigned)i;
    }
    must(0);
    return 0;
}

/* What must be in the map: by key number 0: absent, else the value. */
typedef struct model {
    const mound_map_layout *layout;
    mound_map *map;
    uint32_t *value;
    size_t len;
    unsigned num_keys;
} model;

static void check_entry(const model *m, const void *value, uint32_t expected) {
    const unsigned char *p = value;
    must(memcmp(p, &expected, 4) == 0);
    for (size_t i = 4; i < m->layout->value_bytes; i++) must(p[i] == (unsigned char)expected);
}

static void step_put(model *m, unsigned i, uint32_t value) {
    any_key k = make_key(m->layout, i);
    unsigned char *p = mound_map_place(m->map, &k);
    if (m->value[i] == 0) {
        for (size_t b = 0; b < m->layout->value_bytes; b++) must(p[b] == 0);
        m->len++;
    } else {
        check_entry(m, p, m->value[i]);
    }
    memcpy(p, &value, 4);
    memset(p + 4, (unsigned char)value, m->layout->value_bytes - 4);
    m->value[i] = value;
}

static void step_find(const model *m, unsigned i) {
    any_key k = make_key(m->layout, i);
    const void *p = mound_map_find(m->map, &k);
    must((p != NULL) == (m->value[i] != 0));
    if (p) check_entry(m, p, m->value[i]);
}

static void step_remove(model *m, unsigned i) {
    any_key k = make_key(m->layout, i);
    must(mound_map_remove(m->map, &k) == (m->value[i] != 0));
    m->len -= m->value[i] != 0;
    m->value[i] = 0;
}

/* Goes through all entries while others come and go: what stays comes once. */
static void step_iterate(model *m, mo_rand *r, unsigned percent_changes) {
    unsigned char *state = mound_alloc_noscan(m->num_keys); /* 1: there from the start and not
                                                              touched, 2: it came */
    for (unsigned i = 0; i < m->num_keys; i++) state[i] = m->value[i] != 0;
    mound_map_iter it = mound_map_iterate(m->map);
    while (mound_map_next(&it)) {
        unsigned i = number_of(m->layout, it.key);
        must(i < m->num_keys && m->value[i] != 0);
        check_entry(m, it.value, m->value[i]);
        must(state[i] != 2);
        if (state[i] == 1) state[i] = 2;
        while (mo_rand_below(r, 100) < percent_changes) {
            unsigned other = (unsigned)mo_rand_below(r, m->num_keys);
            bool is_put = mo_rand_below(r, 2);
            if (m->value[other] != 0 && !is_put) {
                step_remove(m, other);
                state[other] = 0;
            } else if (m->value[other] == 0 && is_put) {
                step_put(m, other, 1 + (uint32_t)mo_rand_below(r, 1u << 30));
                state[other] = 0;
            }
        }
    }
    for (unsigned i = 0; i < m->num_keys; i++) must(state[i] != 1);
}

enum { STEP_PUT, STEP_REPLACE, STEP_FIND, STEP_REMOVE, STEP_ITERATE, STEP_CLEAR, STEP_ROOM, STEPS };

static void random_steps(const key_case *c, uint64_t seed, size_t *num) {
    mo_rand r;
    mo_rand_seed(&r, seed);
    model m = {.layout = &c->layout, .map = mound_map_new(&c->layout)};
    static const unsigned sizes[] = {6, 60, 1200, 1u << 30};
    m.num_keys = sizes[mo_rand_below(&r, 4)];
    if (m.num_keys > c->max_keys) m.num_keys = c->max_keys;
    m.value = mound_alloc_noscan(m.num_keys * sizeof *m.value);
    uint64_t steps = test_steps(m.num_keys < 2000 ? 20000 : 150000);
    unsigned puts = 70;
    for (uint64_t s = 0; s < steps; s++) {
        unsigned i = (unsigned)mo_rand_below(&r, m.num_keys);
        if (mo_rand_below(&r, steps / 8) == 0) puts = (unsigned)mo_rand_below(&r, 4) * 30 + 5;
        uint64_t dice = mo_rand_below(&r, 1000);
        if (dice < 300) {
            step_find(&m, i);
            num[STEP_FIND]++;
        } else if (dice < 990) {
            bool is_put = mo_rand_below(&r, 100) < puts;
            num[!is_put ? STEP_REMOVE : m.value[i] ? STEP_REPLACE : STEP_PUT]++;
            if (is_put)
                step_put(&m, i, 1 + (uint32_t)mo_rand_below(&r, 1u << 30));
            else
                step_remove(&m, i);
        } else if (mo_rand_below(&r, 1 + m.num_keys / 40) == 0) {
            step_iterate(&m, &r, (unsigned)mo_rand_below(&r, 3) * 20);
            num[STEP_ITERATE]++;
        } else if (mo_rand_below(&r, 300) == 0) {
            mound_map_empty(m.map);
            memset(m.value, 0, m.num_keys * sizeof *m.value);
            m.len = 0;
            num[STEP_CLEAR]++;
        } else if (mo_rand_below(&r, 300) == 0) {
            mound_map_make_room(m.map, mo_rand_below(&r, 2 * m.num_keys));
            num[STEP_ROOM]++;
        }
        must(mound_map_count(m.map) == m.len);
        if (s % (1 + steps / 20) == 0) mo_map_check(m.map);
    }
    step_iterate(&m, &r, 0);
    mo_map_check(m.map);
}

static void a_map_holds_what_was_put(void **state) {
    (void)state;
    size_t num[STEPS] = {0};
    for (size_t c = 0; c < sizeof key_cases / sizeof key_cases[0]; c++)
        for (unsigned run = 0; run < test_runs(4); run++)
            random_steps(&key_cases[c], test_seed("map", run) * 8 + c, num);
    bool all_steps = test_steps(1000) == 1000; /* with few the rare ones may be missing */
    for (unsigned i = 0; i < STEPS; i++) assert_true(num[i] > 0 || !all_steps);
}

/* In the middle of an iteration most entries go, or many come, so that tables join and split under
 * it: what stays comes once, what went before its turn does not come. */
static void big_change_in_an_iteration(uint64_t seed) {
    mo_rand r;
    mo_rand_seed(&r, seed);
    unsigned num = (unsigned)(200 + mo_rand_below(&r, 12000)), num_came = 0, num_stay = 0;
    unsigned at = (unsigned)mo_rand_below(&r, num), stays = 1 + (unsigned)mo_rand_below(&r, 40);
    bool grows = mo_rand_below(&r, 3) == 0, comes_back = mo_rand_below(&r, 3) == 0;
    u64_map m = mound_map_make(u64_map);
    unsigned char *came = mound_alloc_noscan(num);
    for (unsigned i = 0; i < num; i++) {
        mound_map_set(m, i, i);
        num_stay += i % stays == 0;
    }
    unsigned step = 0;
    for (mound_map_iter it = mound_map_begin(m); mound_map_next(&it); step++) {
        uint64_t key = *mound_map_key(m, &it);
        must(*mound_map_value(m, &it) == key);
        if (key >= num) continue; /* put meanwhile */
        must(!came[key]);
        came[key] = 1;
        must(grows || comes_back || step <= at || key % stays == 0);
        if (step != at) continue;
        for (unsigned i = 0; i < num; i++) {
            if (grows)
                mound_map_set(m, num + i, num + i);
            else if (i % stays != 0)
                must(mound_map_delete(m, i));
        }
        for (unsigned i = 0; comes_back && i < num; i++) mound_map_set(m, 2 * num + i, 2 * num + i);
        mo_map_check(m.map);
    }
    for (unsigned i = 0; i < num; i++) num_came += came[i] && i % stays == 0;
    must(num_came == num_stay);
}

static void an_iteration_survives_growth_and_shrinking(void **state) {
    (void)state;
    uint64_t seed = test_seed("iteration", 0), num = test_steps(300);
    for (uint64_t i = 0; i < num; i++) big_change_in_an_iteration(seed + i);
}

/* What does not equal itself cannot be looked up, but it comes once as all else does. */
static void nans_come_once_also_while_the_map_shrinks(void **state) {
    (void)state;
    typedef mound_map_of(double, int) reals;
    typedef mound_map_of(mound_any, int) any_map;
    enum { NANS = 50 };
    for (int round = 0; round < 20; round++) {
        reals m = mound_map_make(reals);
        any_map a = mound_map_make(any_map);
        double nan = __builtin_nan("");
        for (int i = 0; i < NANS; i++) mound_map_set(m, nan, i);
        for (int i = 0; i < NANS; i++) mound_map_set(a, mound_any_of(double, nan), i);
        for (int i = 0; i < 3000; i++) mound_map_set(m, i + 0.5, i);
        for (int i = 0; i < 3000; i++) mound_map_set(a, mound_any_of(int, i), i);
        int seen[NANS] = {0}, num = 0, seen_any[NANS] = {0};
        for (mound_map_iter it = mound_map_begin(m); mound_map_next(&it);) {
            double k = *mound_map_key(m, &it);
            if (k != k) seen[*mound_map_value(m, &it)]++;
            if (++num == 1000)
                for (int i = 0; i < 3000; i++) mound_map_delete(m, i + 0.5);
        }
        num = 0;
        for (mound_map_iter it = mound_map_begin(a); mound_map_next(&it);) {
            if (mound_any_is(mound_map_key(a, &it), double)) seen_any[*mound_map_value(a, &it)]++;
            if (++num == 1000)
                for (int i = 0; i < 3000; i++) mound_map_delete(a, mound_any_of(int, i));
        }
        for (int i = 0; i < NANS; i++) assert_true(seen[i] == 1 && seen_any[i] == 1);
        mo_map_check(m.map);
        mo_map_check(a.map);
    }
}

/* ---------------------------------------------------------------- by type */

static void typed_maps(void **state) {
    (void)state;
    counts m = mound_map_make(counts);
    mound_map_set(m, MOUND_STR("a"), 5);
    (*mound_map_at(m, MOUND_STR("b")))++;
    (*mound_map_at(m, mound_string_copy("b")))++;
    assert_int_equal(*mound_map_get(m, MOUND_STR("a")), 5);
    assert_int_equal(*mound_map_get(m, MOUND_STR("b")), 2);
    assert_null(mound_map_get(m, MOUND_STR("")));
    assert_int_equal(mound_map_len(m), 2);
    assert_true(mound_map_delete(m, MOUND_STR("a")) && !mound_map_has(m, MOUND_STR("a")));
    counts none = {0};
    assert_null(mound_map_get(none, MOUND_STR("a")));
    assert_int_equal(mound_map_len(none), 0);
    assert_false(mound_map_delete(none, MOUND_STR("a")));
    mound_map_iter it = mound_map_begin(none);
    assert_false(mound_map_next(&it));

    typedef mound_map_of(double, int) reals;
    reals r = mound_map_make(reals);
    mound_map_set(r, 0.0, 1);
    assert_int_equal(*mound_map_get(r, -0.0), 1);
    double nan = __builtin_nan("");
    for (int i = 0; i < 50; i++) mound_map_set(r, nan, i);
    assert_int_equal(mound_map_len(r), 51);
    assert_null(mound_map_get(r, nan));
    int num = 0;
    for (it = mound_map_begin(r); mound_map_next(&it); num++) {
        if (num == 5) /* grows: what does not equal itself still comes once */
            for (int i = 0; i < 500; i++) mound_map_set(r, i + 0.5, i);
    }
    assert_true(num >= 51);
    mound_map_clear(r);
    assert_int_equal(mound_map_len(r), 0);

    typedef mound_map_of(mound_any, int) any_map;
    any_map a = mound_map_make(any_map);
    mound_map_set(a, mound_any_of(int, 1), 1);
    mound_map_set(a, mound_any_of(long, 1), 2);
    mound_map_set(a, mound_any_of(mound_string, MOUND_STR("1")), 3);
    mound_map_set(a, ((mound_any){0}), 4);
    assert_int_equal(*mound_map_get(a, mound_any_of(int, 1)), 1);
    assert_int_equal(*mound_map_get(a, mound_any_of(long, 1)), 2);
    assert_int_equal(*mound_map_get(a, mound_any_of(mound_string, mound_string_copy("1"))), 3);
    assert_int_equal(*mound_map_get(a, ((mound_any){0})), 4);

    point_map p = mound_map_make_keyed(point_map, MOUND_TYPEOF(point));
    for (int i = 0; i < 100; i++) mound_map_set(p, ((point){i, i * i}), i);
    assert_int_equal(*mound_map_get(p, ((point){9, 81})), 9);
    assert_false(mound_map_has(p, ((point){9, 82})));
}

/* ---------------------------------------------------------------- memory */

static int64_t live_bytes(void) {
    mound_mem_stats st = {.struct_bytes = sizeof st};
    for (int i = 0; i < 3; i++) mound_gc();
    mound_read_mem_stats(&st);
    return (int64_t)st.heap_alloc_bytes;
}

static NOINLINE void fill(u64_map m, uint64_t num) {
    for (uint64_t i = 0; i < num; i++) mound_map_set(m, i * 1000003, i);
}

static void a_map_shrinks(void **state) {
    (void)state;
    /* Never few: a word that is stale on the stack may keep a table or two. */
    uint64_t num = test_steps(200000);
    if (num < 50000) num = 50000;
    int64_t before = live_bytes();
    u64_map m = mound_map_make(u64_map);
    fill(m, num);
    int64_t full = live_bytes() - before;
    assert_true(full < (int64_t)num * 45 + 100000);
    for (uint64_t i = 0; i < num; i++)
        if (i % 10 != 0) assert_true(mound_map_delete(m, i * 1000003));
    mo_map_check(m.map);
    int64_t tenth = live_bytes() - before;
    print_message("%lld bytes full, %lld with a tenth\n", (long long)full, (long long)tenth);
    assert_true(tenth < full / 3);
    for (uint64_t i = 0; i < num; i += 10) assert_true(mound_map_delete(m, i * 1000003));
    mo_map_check(m.map);
    assert_int_equal(m.map->depth, 0);
    int64_t none = live_bytes() - before;
    print_message("%lld with none\n", (long long)none);
    assert_true(none < full / 20);
    fill(m, num); /* and grows again */
    assert_int_equal(mound_map_len(m), num);
    mound_map_clear(m);
    assert_true(live_bytes() - before < full / 20);
}

/* Keys that are put and deleted in turn must not make a table grow or be remade at each step. */
static void a_map_that_stays_small_takes_no_more_memory(void **state) {
    (void)state;
    mound_mem_stats a = {.struct_bytes = sizeof a}, b = {.struct_bytes = sizeof b};
    u64_map m = mound_map_make(u64_map);
    uint64_t steps = test_steps(400000);
    mound_read_mem_stats(&a);
    for (uint64_t i = 0; i < steps; i++) {
        mound_map_set(m, i, i);
        if (i >= 100) assert_true(mound_map_delete(m, i - 100));
    }
    mound_read_mem_stats(&b);
    mo_map_check(m.map);
    assert_int_equal(m.map->depth, 0);
    assert_true(b.total_alloc_bytes - a.total_alloc_bytes < steps * 200 + 100000);
}

/* Each call takes bounded work: at most a few tables are made by one put. */
static void a_put_makes_few_tables(void **state) {
    (void)state;
    mound_mem_stats a = {.struct_bytes = sizeof a}, b = {.struct_bytes = sizeof b};
    u64_map m = mound_map_make(u64_map);
    uint64_t steps = test_steps(100000);
    for (uint64_t i = 0; i < steps; i++) {
        bool looks = i % 16 == 0;
        if (looks) mound_read_mem_stats(&a);
        mound_map_set(m, i, i);
        if (!looks) continue;
        mound_read_mem_stats(&b);
        assert_true(b.num_mallocs - a.num_mallocs <= 8);
    }
}

static NOINLINE mound_weak put_object(ptr_map m, uint32_t key) {
    int *object = mound_alloc(40);
    mound_map_set(m, key, object);
    return mound_weak_make(object);
}

static NOINLINE void clear_stack(void) {
    volatile char space[4096];
    memset((char *)space, 0, sizeof space);
}

static void a_value_is_kept_until_it_is_deleted(void **state) {
    (void)state;
    enum { NUM = 60 };
    ptr_map m = mound_map_make(ptr_map);
    mound_weak weak[NUM];
    for (uint32_t i = 0; i < NUM; i++) weak[i] = put_object(m, i);
    clear_stack();
    mound_gc();
    for (uint32_t i = 0; i < NUM; i++) assert_non_null(mound_weak_get(weak[i]));
    for (uint32_t i = 0; i < NUM; i += 2) mound_map_delete(m, i);
    clear_stack();
    mound_gc();
    mound_gc();
    int gone = 0;
    for (uint32_t i = 0; i < NUM; i++) {
        bool there = mound_weak_get(weak[i]) != NULL;
        if (i % 2) assert_true(there);
        gone += !there;
    }
    assert_true(gone >= NUM / 2 - 3); /* stale words of the stack may keep some */
    mound_keep_alive(m.map);
}

static void the_address_of_a_value_keeps_its_memory(void **state) {
    (void)state;
    u64_map m = mound_map_make(u64_map);
    mound_map_set(m, 1, 11);
    uint64_t *value = mound_map_get(m, 1);
    for (uint64_t i = 2; i < 5000; i++) mound_map_set(m, i, i);
    mound_map_clear(m);
    mound_gc();
    mound_gc();
    assert_int_equal(*value, 11); /* no longer the entry's place, but not anything else's */
    assert_non_null(mound_base(value));
}

/* Keys of a pattern spread like any others, whatever the map's secret. */
static void patterns_of_keys_spread(void **state) {
    (void)state;
    uint64_t maps = test_steps(2000);
    for (uint64_t i = 0; i < maps; i++) {
        u64_map m = mound_map_make(u64_map);
        unsigned shift = i % 57;
        for (uint64_t k = 0; k < 120; k++) mound_map_set(m, k << shift, k);
        if (i % 50 == 0)
            for (uint64_t k = 0; k < 4000; k++) mound_map_set(m, k << (shift % 50), k);
        mo_map_check(m.map);
        uint64_t in_group[256] = {0}, most = 0;
        mound_map_iter it = mound_map_begin(m);
        while (mound_map_next(&it)) {
            uint64_t hash = mo_map_hash(m.map, it.key);
            uint64_t n = ++in_group[hash >> 56] + ++in_group[hash >> 7 & 0xFF];
            if (n > most) most = n;
        }
        if (mound_map_len(m) < 200) assert_true(most < 40); /* of 240 in 256, with luck about 8 */
        for (unsigned k = 0; k < m.map->depth; k++) assert_true(m.map->depth < 6);
    }
}

static void order_differs_from_one_iteration_to_the_next(void **state) {
    (void)state;
    u64_map m = mound_map_make(u64_map);
    for (uint64_t i = 0; i < 6; i++) mound_map_set(m, i, i);
    bool seen[6] = {false};
    for (int i = 0; i < 400; i++) {
        mound_map_iter it = mound_map_begin(m);
        assert_true(mound_map_next(&it));
        seen[*mound_map_key(m, &it)] = true;
    }
    for (int i = 0; i < 6; i++) assert_true(seen[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(misuse_ends_the_process),
        cmocka_unit_test(typed_maps),
        cmocka_unit_test(a_map_holds_what_was_put),
        cmocka_unit_test(an_iteration_survives_growth_and_shrinking),
        cmocka_unit_test(nans_come_once_also_while_the_map_shrinks),
        cmocka_unit_test(a_map_shrinks),
        cmocka_unit_test(a_map_that_stays_small_takes_no_more_memory),
        cmocka_unit_test(a_put_makes_few_tables),
        cmocka_unit_test(a_value_is_kept_until_it_is_deleted),
        cmocka_unit_test(the_address_of_a_value_keeps_its_memory),
        cmocka_unit_test(patterns_of_keys_spread),
        cmocka_unit_test(order_differs_from_one_iteration_to_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
