/* bad_input_test.c - mistakes of the caller end the process: exit status 2 and one line that names
 * the value and what to do. Each runs in a child.
 */
#include "support.h"

#include "mound.h"

#define HIDE(p) (~(uintptr_t)(p))

static void *volatile sink;
static void use(void *p) { sink = p; }

/* The line names the function, the value where there is one, and what to do. */
static void expect_line(void (*fn)(void *), void *arg, const char *who, const char *value) {
    test_death d = test_die(fn, arg);
    test_expect_fatal(&d, who, __FILE__, __LINE__);
    if (value) test_expect_text(&d, value, __FILE__, __LINE__);
    if (!strstr(d.text, ": pass ")) test_expect_text(&d, "; ", __FILE__, __LINE__);
}

static void free_it(void *arg) { mound_free(arg); }

static void freeing_a_foreign_pointer(void **state) {
    (void)state;
    int local = 0;
    static int global;
    void *from_malloc = malloc(100);
    char value[32];
    void *const foreign[] = {
        &local, &global, from_malloc, (void *)(uintptr_t)free_it, (void *)8, (void *)UINTPTR_MAX};
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        snprintf(value, sizeof value, "mound_free(%p)", foreign[i]);
        expect_line(free_it, foreign[i], value, "not from mound");
    }
    free(from_malloc);
}

static void freeing_an_interior_pointer(void **state) {
    (void)state;
    static const size_t sizes[] = {16, 100, 5000, 40000, 3 << 20};
    for (int i = 0; i < 5; i++) {
        char *p = mound_alloc(sizes[i]);
        const size_t offs[] = {1, 8, sizes[i] / 2, sizes[i] - 1};
        for (int k = 0; k < 4; k++) {
            char value[64];
            snprintf(value, sizeof value, "points %zu bytes into the object at %p", offs[k],
                     (void *)p);
            expect_line(free_it, p + offs[k], "mound_free(0x", value);
        }
        mound_keep_alive(p);
    }
}

static void free_at_once_again(void *arg) {
    void *p = mound_alloc((size_t)(uintptr_t)arg);
    uintptr_t hidden = HIDE(p);
    mound_free(p);
    mound_free((void *)~hidden);
}

static void free_again_after_others(void *arg) {
    void *p[600];
    for (int i = 0; i < 600; i++) p[i] = mound_alloc((size_t)(uintptr_t)arg);
    for (int i = 0; i < 600; i++) mound_free(p[(i * 7) % 600]);
    mound_free(p[300]);
}

static void free_again_after_gc(void *arg) {
    void *p[100];
    for (int i = 0; i < 100; i++) p[i] = mound_alloc((size_t)(uintptr_t)arg);
    mound_free(p[50]);
    mound_gc();
    mound_free(p[50]);
}

static void free_again_with_a_neighbour_alive(void *arg) {
    void *p = mound_alloc((size_t)(uintptr_t)arg), *neighbour = mound_alloc((size_t)(uintptr_t)arg);
    void *third = mound_alloc((size_t)(uintptr_t)arg);
    mound_free(p);
    use(neighbour);
    use(third);
    mound_free(p);
}

static void free_uncollectable_again(void *arg) {
    void *p = mound_alloc_uncollectable((size_t)(uintptr_t)arg), *q = mound_alloc_uncollectable(16);
    mound_free(p);
    mound_free(q);
    mound_free(p);
}

static void *other_thread_frees(void *arg) {
    mound_free(arg);
    return NULL;
}

static void free_again_after_another_thread(void *arg) {
    void *p[20];
    for (int i = 0; i < 20; i++) p[i] = mound_alloc((size_t)(uintptr_t)arg);
    pthread_t thread;
    pthread_create(&thread, NULL, other_thread_frees, p[10]);
    pthread_join(thread, NULL);
    mound_free(p[10]);
}

static void freeing_twice_in_every_state(void **state) {
    (void)state;
    void (*const twice[])(void *) = {free_at_once_again,       free_again_after_others,
                                     free_again_after_gc,      free_again_with_a_neighbour_alive,
                                     free_uncollectable_again, free_again_after_another_thread};
    static const size_t sizes[] = {16, 64, 1000, 5000, 32768};
    for (size_t i = 0; i < sizeof twice / sizeof twice[0]; i++)
        for (int k = 0; k < 5; k++)
            expect_line(twice[i], (void *)sizes[k], "mound_free(0x", "already freed");
    /* A large object's pages are gone with it. */
    for (size_t i = 0; i < sizeof twice / sizeof twice[0]; i++)
        expect_line(twice[i], (void *)(size_t)100000, "mound_free(0x", "already freed");
}

static void free_never_allocated(void *arg) {
    char *p = mound_alloc(48);
    (void)arg;
    mound_free(p + 20 * 48); /* claimed by the thread, not handed out */
}

static void freeing_a_slot_that_was_never_allocated(void **state) {
    (void)state;
    expect_line(free_never_allocated, NULL, "mound_free(0x", "never allocated");
}

static void freeing_null_is_allowed(void **state) {
    (void)state;
    test_death d = test_die(free_it, NULL);
    assert_int_equal(test_exit_status(&d), 0);
    assert_string_equal(d.text, "");
}

/* ---------------------------------------------------------------- sizes */

static volatile size_t num_many = SIZE_MAX / 8, size_many = 9;

static void array_overflow(void *arg) {
    (void)arg;
    use(mound_alloc_array(num_many, size_many));
}
static void array_too_large(void *arg) {
    (void)arg;
    use(mound_alloc_array(num_many, 1));
}
typedef struct item {
    void *p;
    long n;
} item;
MOUND_TYPE(item, p);
static void typed_overflow(void *arg) {
    (void)arg;
    use(mound_alloc_typed(MOUND_TYPEOF(item), num_many));
}
static void typed_null(void *arg) {
    (void)arg;
    use(mound_alloc_typed(NULL, 1));
}
static void typed_outside(void *arg) {
    static const size_t beyond[] = {16}, odd[] = {3};
    static mound_type types[] = {{"outside", 16, beyond, 1, 0, NULL, NULL},
                                 {"odd", 16, odd, 1, 0, NULL, NULL}};
    use(mound_alloc_typed(&types[(uintptr_t)arg], 1));
}
static void alloc_size(void *arg) { use(mound_alloc((size_t)(uintptr_t)arg)); }
static void noscan_size(void *arg) { use(mound_alloc_noscan((size_t)(uintptr_t)arg)); }
static void uncollectable_size(void *arg) {
    use(mound_alloc_uncollectable((size_t)(uintptr_t)arg));
}
static void aligned_size(void *arg) { use(mound_alloc_aligned(64, (size_t)(uintptr_t)arg)); }
static void realloc_size(void *arg) { use(mound_realloc(mound_alloc(10), (size_t)(uintptr_t)arg)); }
static void alignment(void *arg) { use(mound_alloc_aligned((size_t)(uintptr_t)arg, 10)); }

static void overflowing_products(void **state) {
    (void)state;
    expect_line(array_overflow, NULL, "mound_alloc_array(2305843009213693951, 9)", "does not fit");
    expect_line(typed_overflow, NULL, "mound_alloc_typed(2305843009213693951, 16)", "does not fit");
}

static void impossible_sizes(void **state) {
    (void)state;
    void (*const fns[])(void *) = {alloc_size, noscan_size, uncollectable_size, aligned_size,
                                   realloc_size};
    static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 4096, SIZE_MAX / 2 + 1, (size_t)1 << 50};
    for (size_t i = 0; i < sizeof fns / sizeof fns[0]; i++) {
        for (int k = 0; k < 4; k++) {
            char value[64];
            snprintf(value, sizeof value, "allocating %zu bytes: heap ", sizes[k]);
            expect_line(fns[i], (void *)sizes[k], "out of memory", value);
        }
    }
    expect_line(array_too_large, NULL, "out of memory", "allocating 2305843009213693951 bytes");
}

static void alignments(void **state) {
    (void)state;
    static const size_t bad[] = {0, 3, 24, 4095, (size_t)4 << 20, SIZE_MAX};
    for (int i = 0; i < 6; i++) {
        char value[64];
        snprintf(value, sizeof value, "mound_alloc_aligned(%zu, 10)", bad[i]);
        test_death d = test_die(alignment, (void *)bad[i]);
        test_expect_fatal(&d, value, __FILE__, __LINE__);
        test_expect_text(&d, "power of two up to 2 MiB", __FILE__, __LINE__);
    }
}

static void types(void **state) {
    (void)state;
    expect_line(typed_null, NULL, "mound_alloc_typed(NULL)", "MOUND_TYPEOF");
    expect_line(typed_outside, (void *)0, "type outside", "offset 16");
    expect_line(typed_outside, (void *)1, "type odd", "offset 3");
}

/* ---------------------------------------------------------------- the rest */

static void try_flags(void *arg) { use(mound_try_alloc(10, (unsigned)(uintptr_t)arg)); }
static void realloc_foreign(void *arg) { use(mound_realloc(arg, 10)); }
static void realloc_interior(void *arg) {
    (void)arg;
    use(mound_realloc((char *)mound_alloc(100) + 8, 10));
}
static void realloc_freed(void *arg) {
    (void)arg;
    void *p = mound_alloc(100);
    uintptr_t hidden = HIDE(p);
    mound_free(p);
    use(mound_realloc((void *)~hidden, 10));
}
static void attach_twice(void *arg) {
    (void)arg;
    mound_thread_attach();
    mound_thread_attach();
}
static void detach_twice(void *arg) {
    (void)arg;
    mound_thread_detach();
    mound_thread_detach();
}
static void stats_bytes(void *arg) {
    mound_mem_stats s = {.struct_bytes = (size_t)(uintptr_t)arg};
    mound_read_mem_stats(&s);
}
static void stats_null(void *arg) { mound_read_mem_stats(arg); }
static void nothing(void *arg) { (void)arg; }
static void cleanup_with_arg_obj(void *arg) {
    char *p = mound_alloc(64);
    mound_add_cleanup(p, nothing, p + (uintptr_t)arg);
}
static void cleanup_null_fn(void *arg) { mound_add_cleanup(mound_alloc(64), NULL, arg); }
static void cleanup_foreign(void *arg) { mound_add_cleanup(arg, nothing, NULL); }
static void weak_foreign(void *arg) { (void)mound_weak_make(arg); }

static void unknown_flags(void **state) {
    (void)state;
    expect_line(try_flags, (void *)4, "mound_try_alloc: flags 0x4", "MOUND_NOSCAN");
    expect_line(try_flags, (void *)0x80000000, "mound_try_alloc: flags 0x80000000", NULL);
    expect_line(try_flags, (void *)3, "mound_try_alloc: flags 0x3", NULL);
}

static void realloc_of_what_is_no_object(void **state) {
    (void)state;
    void *from_malloc = malloc(10);
    int local;
    expect_line(realloc_foreign, from_malloc, "mound_realloc(0x", "not the first byte");
    expect_line(realloc_foreign, &local, "mound_realloc(0x", "not the first byte");
    expect_line(realloc_interior, NULL, "mound_realloc(0x", "not the first byte");
    expect_line(realloc_freed, NULL, "mound_realloc(0x", "not the first byte");
    free(from_malloc);
}

static void attaching_and_detaching_twice(void **state) {
    (void)state;
    expect_line(attach_twice, NULL, "mound_thread_attach", "is attached already");
    expect_line(detach_twice, NULL, "mound_thread_detach", "is not attached");
}

static void stats_without_a_size(void **state) {
    (void)state;
    static const size_t bad[] = {0, 1, 8, 15, 100000, SIZE_MAX};
    for (int i = 0; i < 6; i++) {
        test_death d = test_die(stats_bytes, (void *)bad[i]);
        test_expect_fatal(&d, "mound_read_mem_stats", __FILE__, __LINE__);
        test_expect_text(&d, "set struct_bytes to sizeof(mound_mem_stats)", __FILE__, __LINE__);
    }
    test_death d = test_die(stats_null, NULL);
    test_expect_fatal(&d, "mound_read_mem_stats", __FILE__, __LINE__);
}

static void cleanups(void **state) {
    (void)state;
    expect_line(cleanup_with_arg_obj, (void *)0, "mound_add_cleanup(0x",
                "arg points into the object");
    expect_line(cleanup_with_arg_obj, (void *)63, "mound_add_cleanup(0x",
                "arg points into the object");
    expect_line(cleanup_null_fn, NULL, "mound_add_cleanup(0x", "pass a function");
    int local;
    expect_line(cleanup_foreign, &local, "mound_add_cleanup(0x", "not inside an object");
    expect_line(cleanup_foreign, NULL, "mound_add_cleanup((nil))", "not inside an object");
}

static void weak_pointers(void **state) {
    (void)state;
    int local;
    expect_line(weak_foreign, &local, "mound_weak_make(0x", "not inside an object");
}

/* ---------------------------------------------------------------- handler */

static void my_handler(const char *message) {
    fprintf(stderr, "mine: %s\n", message);
    fflush(stderr);
    _exit(77);
}
static void handler_that_returns(const char *message) { (void)message; }

static void fatal_with(void *arg) {
    void (*handler)(const char *) = (void (*)(const char *))(uintptr_t)arg;
    mound_set_fatal_handler(handler);
    mound_free(&handler);
}
static void fatal_after_reset(void *arg) {
    mound_set_fatal_handler(my_handler);
    mound_set_fatal_handler(NULL);
    mound_free(&arg);
}

static void the_fatal_handler_gets_the_line(void **state) {
    (void)state;
    test_death d = test_die(fatal_with, (void *)(uintptr_t)my_handler);
    assert_int_equal(test_exit_status(&d), 77);
    test_expect_text(&d, "mine: mound: mound_free(0x", __FILE__, __LINE__);
    assert_null(strstr(d.text, "\nmound:")); /* the handler has it; nothing else is printed */
    assert_fatal(fatal_with, (void *)(uintptr_t)handler_that_returns, "mound_free(0x");
    assert_fatal(fatal_after_reset, NULL, "mound_free(0x");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(freeing_a_foreign_pointer),
        cmocka_unit_test(freeing_an_interior_pointer),
        cmocka_unit_test(freeing_twice_in_every_state),
        cmocka_unit_test(freeing_a_slot_that_was_never_allocated),
        cmocka_unit_test(freeing_null_is_allowed),
        cmocka_unit_test(overflowing_products),
        cmocka_unit_test(impossible_sizes),
        cmocka_unit_test(alignments),
        cmocka_unit_test(types),
        cmocka_unit_test(unknown_flags),
        cmocka_unit_test(realloc_of_what_is_no_object),
        cmocka_unit_test(attaching_and_detaching_twice),
        cmocka_unit_test(stats_without_a_size),
        cmocka_unit_test(cleanups),
        cmocka_unit_test(weak_pointers),
        cmocka_unit_test(the_fatal_handler_gets_the_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
