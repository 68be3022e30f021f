/* any_test.c - values of any type, closures, and what keeps a block alive.
 * modes: gc valgrind
 */
#include "run.h"

typedef struct wide {
    long number;
    struct wide *self;
    char text[24];
} wide;
MOUND_TYPE(wide, self);
typedef struct flat {
    long a, b, c;
} flat;
static int equal_flats(const void *a, const void *b) { return memcmp(a, b, sizeof(flat)) == 0; }
static uint64_t hash_flat(const void *v, uint64_t seed) {
    return mound_hash_bytes(v, sizeof(flat), seed);
}
MOUND_TYPE_KEY_NOSCAN(flat, equal_flats, hash_flat);

/* ---------------------------------------------------------------- death */

static int wrong_type(void *arg) {
    (void)arg;
    mound_any a = mound_any_of(int, 5);
    return (int)mound_any_as(&a, long);
}
static int nil(void *arg) {
    (void)arg;
    mound_any a = {0};
    return mound_any_as(&a, int);
}
static int uncomparable(void *arg) {
    (void)arg;
    wide w = {0};
    return mound_any_eq(mound_any_of(wide, w), mound_any_of(wide, w));
}

static void misuse_ends_the_process(void **state) {
    (void)state;
    static const misuse_case cases[] = {
        {wrong_type, "mound_any holds int, not long at ", "any_test.c:"},
        {nil, "mound_any holds nil, not int", "goroutine 1"},
        {uncomparable, "comparing values of uncomparable type wide", NULL},
    };
    expect_misuse(cases, sizeof cases / sizeof cases[0]);
}

/* ---------------------------------------------------------------- any */

#define ROUND_TRIP(T, v)                                                                           \
    do {                                                                                           \
        mound_any box = mound_any_of(T, v);                                                        \
        assert_true(mound_any_is(&box, T) && mound_any_as(&box, T) == (T)(v));                     \
        assert_true(mound_any_eq(box, mound_any_of(T, v)));                                        \
        assert_false(mound_any_is(&box, wide));                                                    \
        assert_false(mound_any_eq(box, (mound_any){0}));                                           \
    } while (0)

static void values_come_back(void **state) {
    (void)state;
    ROUND_TRIP(bool, true);
    ROUND_TRIP(char, 'x');
    ROUND_TRIP(short, -5);
    ROUND_TRIP(int, -5);
    ROUND_TRIP(unsigned, 5u);
    ROUND_TRIP(long, -5l);
    ROUND_TRIP(float, 2.5f);
    ROUND_TRIP(double, 2.5);
    ROUND_TRIP(size_t, 5);
    ROUND_TRIP(int8_t, -5);
    ROUND_TRIP(int64_t, INT64_MIN);
    ROUND_TRIP(uint8_t, 255);
    ROUND_TRIP(uint16_t, 65535);
    ROUND_TRIP(uint32_t, 5);
    ROUND_TRIP(uint64_t, UINT64_MAX);
    ROUND_TRIP(uintptr_t, 5);
    ROUND_TRIP(mound_pointer, &state);
    mound_any s = mound_any_of(mound_string, MOUND_STR("text"));
    assert_true(mound_string_eq(mound_any_as(&s, mound_string), MOUND_STR("text")));
    assert_true(mound_any_eq(s, mound_any_of(mound_string, mound_string_copy("text"))));
    mound_any nested = mound_any_of(mound_any, s);
    assert_true(mound_any_eq(mound_any_as(&nested, mound_any), s));
    wide w = {.number = 5, .text = "some text"};
    mound_any big = mound_any_of(wide, w);
    w.number = 6; /* the box has its own copy */
    assert_int_equal(mound_any_as(&big, wide).number, 5);
    assert_string_equal(mound_any_try(&big, wide)->text, "some text");
    assert_null(mound_any_try(&big, flat));
    mound_any none = {0};
    assert_false(mound_any_is(&none, int));
    assert_true(mound_any_eq(none, (mound_any){0}));
}

static void equality_is_of_type_and_value(void **state) {
    (void)state;
    assert_false(mound_any_eq(mound_any_of(int, 5), mound_any_of(long, 5)));
    assert_false(mound_any_eq(mound_any_of(int, 5), mound_any_of(int, 6)));
    assert_true(mound_any_eq(mound_any_of(double, 0.0), mound_any_of(double, -0.0)));
    double not_a_number = __builtin_nan("");
    assert_false(
        mound_any_eq(mound_any_of(double, not_a_number), mound_any_of(double, not_a_number)));
    flat a = {1, 2, 3}, b = {1, 2, 4};
    assert_true(mound_any_eq(mound_any_of(flat, a), mound_any_of(flat, a)));
    assert_false(mound_any_eq(mound_any_of(flat, a), mound_any_of(flat, b)));
    /* The same declaration in another source file. */
    static mound_type again = {"flat", sizeof(flat), NULL, 0, 0, equal_flats, hash_flat};
    assert_true(mound_any_eq(mound_any_of(flat, a), mound_any_box(&again, &a)));
    mound_any box = mound_any_box(&again, &a);
    assert_true(mound_any_is(&box, flat));
}

/* ---------------------------------------------------------------- closures */

typedef mound_func_of(int, int) adder;
typedef struct counter {
    int step, total;
} counter;
static int add(void *env, int n) { return *(int *)env + n; }
static int count(void *env, int times) {
    counter *c = env;
    return c->total += c->step * times;
}
static adder make_adder(int n) { return (adder){add, mound_box(int, n)}; }

static MOUND_CHAN(int) done;
static void send_it(void *env) { mound_send(done, *(int *)env); }
static int goroutines_take_closures_app(void *arg) {
    (void)arg;
    done = mound_chan_make(int, 0);
    int sum = 0, v;
    for (int i = 0; i < 50; i++) {
        mound_func f = {send_it, mound_box(int, i)};
        mound_go_func(f);
    }
    mound_gc();
    for (int i = 0; i < 50; i++) {
        must(mound_recv(done, &v));
        sum += v;
    }
    must(sum == 1225);
    return 0;
}
IN_RUN(goroutines_take_closures)

static void closures_keep_what_they_captured(void **state) {
    (void)state;
    adder add5 = make_adder(5), add7 = make_adder(7);
    for (int i = 0; i < 1000; i++) (void)make_adder(i);
    mound_gc();
    assert_int_equal(mound_call(add5, 1), 6);
    assert_int_equal(mound_call(add7, 1), 8);
    adder a = {count, mound_box(counter, {2, 100})}, b = a; /* one block for both */
    assert_int_equal(mound_call(a, 1), 102);
    assert_int_equal(mound_call(b, 3), 108);
}

/* ---------------------------------------------------------------- what keeps a block alive */

/* Each way of referring to a part of a block; the reference is all that is left, in a global. Not
 * static: a compiler would leave out what nobody reads. */
char *inner;
mound_any boxed;
adder closure;
MOUND_CHAN(char *) channel;
typedef mound_map_of(int, char *) char_map;
char_map map;
char *block_of_global[1];

static NOINLINE void by_interior_pointer(char *block) { inner = block + 150; }
static NOINLINE void by_last_byte(char *block) { inner = block + 199; }
static NOINLINE void by_any(char *block) { boxed = mound_any_of(mound_pointer, block + 7); }
static NOINLINE void by_boxed_string(char *block) {
    boxed = mound_any_of(mound_string, mound_string_static_(block + 100, 3));
}
static NOINLINE void by_closure(char *block) {
    closure = (adder){add, mound_box(char *, block + 1)};
}
static NOINLINE void by_channel_element(char *block) {
    channel = mound_chan_make(char *, 4);
    mound_send(channel, block + 40);
}
static NOINLINE void by_map_value(char *block) {
    map = mound_map_make(char_map);
    for (int i = 0; i < 100; i++) mound_map_set(map, i, i == 50 ? block + 3 : NULL);
}
static NOINLINE void by_global(char *block) { block_of_global[0] = block; }

static NOINLINE void drop_all(void) {
    inner = NULL;
    boxed = (mound_any){0};
    closure = (adder){0};
    channel = NULL;
    map = (char_map){0};
    block_of_global[0] = NULL;
}
static NOINLINE void clear_stack(void) {
    volatile char space[4096];
    memset((char *)space, 0, sizeof space);
}
static NOINLINE mound_weak make_block(void (*refer)(char *block)) {
    char *block = mound_alloc_noscan(200);
    mound_weak weak = mound_weak_make(block);
    if (refer) refer(block);
    return weak;
}
static NOINLINE bool is_there(mound_weak weak) { return mound_weak_get(weak) != NULL; }

static void any_part_keeps_the_whole_block_and_nothing_else_does(void **state) {
    (void)state;
    void (*const ways[])(char *) = {by_interior_pointer, by_last_byte, by_any,
                                    by_boxed_string,     by_closure,   by_channel_element,
                                    by_map_value,        by_global};
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        mound_weak kept = make_block(ways[i]);
        for (int k = 0; k < 3; k++) {
            clear_stack();
            mound_gc();
            if (!is_there(kept)) fail_msg("way %zu does not keep the block", i);
        }
        drop_all();
        bool gone = false;
        for (int k = 0; k < 5 && !gone; k++) {
            clear_stack();
            mound_gc();
            gone = !is_there(kept);
        }
        if (!gone) fail_msg("way %zu: the block stays", i);
    }
    mound_weak lost = make_block(NULL);
    bool gone = false;
    for (int k = 0; k < 5 && !gone; k++) {
        clear_stack();
        mound_gc();
        gone = !is_there(lost);
    }
    assert_true(gone);
}

static int package_level = 5;
static void globals_are_no_blocks(void **state) {
    (void)state;
    int *p = &package_level;
    mound_gc();
    assert_null(mound_base(p));
    assert_int_equal(*p, 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(misuse_ends_the_process),
        cmocka_unit_test(values_come_back),
        cmocka_unit_test(equality_is_of_type_and_value),
        cmocka_unit_test(closures_keep_what_they_captured),
        cmocka_unit_test(any_part_keeps_the_whole_block_and_nothing_else_does),
        cmocka_unit_test(globals_are_no_blocks),
        cmocka_unit_test(goroutines_take_closures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
