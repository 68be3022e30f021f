/* weak_test.c - weak pointers: equal, by offset, NULL after death; and read while others collect.
 * modes: gc
 */
#include "witness.h"

#include <pthread.h>
#include <sched.h>

static void equal_addresses_give_equal_weak_pointers(void **state) {
    (void)state;
    for (size_t size = 16; size < 100000; size = size * 3 / 2) {
        char *p = mound_alloc(size);
        mound_weak a = mound_weak_make(p), b = mound_weak_make(p), c = mound_weak_make(p + 5);
        mound_weak d = mound_weak_make(p + 5), e = mound_weak_make(p + size - 1);
        assert_ptr_equal(a.handle, b.handle);
        assert_ptr_equal(c.handle, d.handle);
        assert_ptr_not_equal(a.handle, c.handle);
        assert_ptr_not_equal(a.handle, e.handle);
        mound_gc();
        assert_ptr_equal(mound_weak_make(p).handle, a.handle);
        assert_ptr_equal(mound_weak_make(p + 5).handle, c.handle);
        mound_keep_alive(p);
    }
}

static void a_weak_pointer_gives_the_address_back_with_its_offset(void **state) {
    (void)state;
    char *p = mound_alloc(1000), *q = mound_alloc_noscan(70000);
    for (size_t off = 0; off < 1000; off += 37) {
        assert_ptr_equal(mound_weak_get(mound_weak_make(p + off)), p + off);
        assert_ptr_equal(mound_weak_get(mound_weak_make(q + off * 70)), q + off * 70);
    }
    mound_keep_alive(p);
    mound_keep_alive(q);
}

static void a_weak_pointer_to_null_is_null(void **state) {
    (void)state;
    mound_weak w = mound_weak_make(NULL), zero = {NULL};
    assert_null(w.handle);
    assert_null(mound_weak_get(w));
    assert_null(mound_weak_get(zero));
}

static void *make_any(size_t i) {
    static const size_t sizes[] = {16, 32, 64, 100, 1000, 5000, 40000};
    size_t size = sizes[i % (sizeof sizes / sizeof sizes[0])];
    return i / 10 % 2 ? mound_alloc(size) : mound_alloc_noscan(size);
}

static void weak_pointers_do_not_keep_and_become_null(void **state) {
    (void)state;
    watch(700, make_any);
    assert_nearly_all_die(700);
    for (int i = 0; i < 5; i++) { /* and stay NULL when the memory is used again */
        for (size_t k = 0; k < 2000; k++) mound_keep_alive(make_any(k));
        mound_gc();
    }
    size_t num = 0;
    for (int i = 0; i < 700; i++) num += mound_weak_get(watched[i]) != NULL;
    assert_true(num <= 35);
}

/* The smallest objects stand beside the weak pointers' own records. */
static void *make_16(size_t i) { return i % 2 ? mound_alloc_noscan(16) : mound_alloc_noscan(1); }

static void a_weak_pointer_does_not_keep_its_record_s_neighbour(void **state) {
    (void)state;
    watch(WATCH_MAX, make_16);
    assert_nearly_all_die(WATCH_MAX);
}

static mound_weak weak_in_global;

static void make_for_global(void *arg) {
    (void)arg;
    weak_in_global = mound_weak_make(mound_alloc_noscan(16));
    mound_keep_alive(mound_alloc_noscan(16));
}

static void a_weak_pointer_in_a_global_does_not_keep_its_object(void **state) {
    (void)state;
    int num_dead = 0;
    for (int i = 0; i < 20; i++) {
        apart(make_for_global, NULL);
        mound_gc();
        num_dead += mound_weak_get(weak_in_global) == NULL;
    }
    assert_true(num_dead >= 18);
}

/* A collection that the program did not ask for leaves the sweep for later. */
static void dead_objects_that_are_not_swept_yet_are_null_too(void **state) {
    (void)state;
    mound_mem_stats s = {.struct_bytes = sizeof s};
    size_t worst = 0;
    for (int round = 0; round < 5; round++) {
        mound_gc();
        watch(500, make_any);
        wipe_stack();
        mound_read_mem_stats(&s);
        for (uint64_t before = s.num_gc; s.num_gc == before;) {
            mound_keep_alive(mound_alloc_noscan(20000)); /* a class of its own */
            mound_read_mem_stats(&s);
        }
        size_t num_dead = 500;
        apart(count_dead, &num_dead);
        if (500 - num_dead > worst) worst = 500 - num_dead;
    }
    assert_true(worst <= 25);
}

static void *make_with_interior(size_t i) {
    char *p = mound_alloc(200);
    /* watch() makes the weak pointer from what is returned: an address inside. */
    return p + 1 + i % 199;
}

static void interior_weak_pointers_become_null_too(void **state) {
    (void)state;
    watch(WATCH_MAX, make_with_interior);
    assert_nearly_all_die(WATCH_MAX);
}

static void mound_free_clears_every_weak_pointer_at_once(void **state) {
    (void)state;
    static const size_t sizes[] = {16, 64, 3000, 50000};
    for (int kind = 0; kind < 3; kind++) {
        for (int i = 0; i < 4; i++) {
            char *p = kind == 0   ? mound_alloc(sizes[i])
                      : kind == 1 ? mound_alloc_noscan(sizes[i])
                                  : mound_alloc_uncollectable(sizes[i]);
            mound_weak w[4];
            for (int k = 0; k < 4; k++) w[k] = mound_weak_make(p + 3 * k);
            mound_free(p);
            for (int k = 0; k < 4; k++) assert_null(mound_weak_get(w[k]));
        }
    }
}

static void a_new_object_at_an_old_address_gets_a_new_weak_pointer(void **state) {
    (void)state;
    int num_same = 0;
    for (int i = 0; i < 200; i++) {
        void *p = mound_alloc(48);
        mound_weak old = mound_weak_make(p);
        mound_free(p);
        void *q = mound_alloc(48);
        mound_weak young = mound_weak_make(q);
        num_same += q == p;
        assert_null(mound_weak_get(old));
        assert_ptr_equal(mound_weak_get(young), q);
        assert_ptr_not_equal(old.handle, young.handle);
    }
    assert_true(num_same > 0); /* else the test shows nothing */
}

static mound_weak *survivors;

static void make_survivors(void *arg) {
    (void)arg;
    survivors = mound_new_array(mound_weak, 100);
    for (int i = 0; i < 100; i++) survivors[i] = mound_weak_make(mound_alloc(64));
}

static void the_value_outlives_the_object(void **state) {
    (void)state;
    apart(make_survivors, NULL);
    for (int i = 0; i < 10; i++) {
        mound_gc();
        for (int k = 0; k < 3000; k++) memset(mound_alloc_noscan(16), 0x77, 16);
    }
    int num = 0;
    for (int i = 0; i < 100; i++) num += mound_weak_get(survivors[i]) == NULL;
    assert_true(num >= 95);
    survivors = NULL;
}

static void what_weak_get_returned_is_kept(void **state) {
    (void)state;
    size_t rounds = scaled(300) < 50 ? 50 : scaled(300), num_seen = 0;
    for (size_t i = 0; i < rounds; i++) {
        watch(1, make_any);
        size_t *p = mound_weak_get(watched[0]);
        if (!p) continue; /* collected on the way: that may happen */
        num_seen++;
        *p = 0x1234567;
        mound_gc();
        for (int k = 0; k < 50; k++) mound_keep_alive(make_any(0));
        assert_int_equal(*p, 0x1234567);
        assert_ptr_equal(mound_weak_get(watched[0]), p);
    }
    assert_true(num_seen > 0);
}

/* ---------------------------------------------------------------- against collections */

/* Writers publish objects and drop them; readers turn the weak pointers into strong ones while
 * another thread collects. What a reader gets must be whole, as long as it holds it. */
enum { CELLS = 64, READERS = 3 };

typedef struct cell_object {
    size_t a, b, c, d; /* b = ~a, c = a * 3, d = ~c */
} cell_object;

static struct {
    mound_weak weak[CELLS]; /* racy single words, read and written as atomics */
    cell_object *strong[CELLS];
} * cells;
static int stop;
static size_t num_read, num_null, num_torn;

static NOINLINE cell_object *new_object(size_t a) {
    cell_object *o = mound_new(cell_object);
    o->a = a;
    o->b = ~a;
    o->c = a * 3;
    o->d = ~o->c;
    return o;
}

static void *writer_main(void *arg) {
    size_t n = (size_t)(uintptr_t)arg;
    while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
        n = n * 6364136223846793005u + 1442695040888963407u;
        size_t i = (n >> 33) % CELLS;
        cell_object *o = new_object(n);
        mound_weak w = mound_weak_make(o);
        __atomic_store_n(&cells->strong[i], (n >> 40) % 4 ? o : NULL, __ATOMIC_RELEASE);
        __atomic_store_n(&cells->weak[i].handle, w.handle, __ATOMIC_RELEASE);
        if ((n >> 45) % 8 == 0) sched_yield();
    }
    return NULL;
}

static bool is_whole(const cell_object *o) {
    return o->b == ~o->a && o->c == o->a * 3 && o->d == ~o->c;
}

static void *reader_main(void *arg) {
    size_t n = (size_t)(uintptr_t)arg, torn = 0;
    while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
        n = n * 6364136223846793005u + 1442695040888963407u;
        mound_weak w = {__atomic_load_n(&cells->weak[(n >> 33) % CELLS].handle, __ATOMIC_ACQUIRE)};
        cell_object *o = mound_weak_get(w);
        if (!o) {
            __atomic_add_fetch(&num_null, 1, __ATOMIC_RELAXED);
            continue;
        }
        __atomic_add_fetch(&num_read, 1, __ATOMIC_RELAXED);
        size_t a = o->a;
        torn += !is_whole(o);
        if ((n >> 40) % 16 == 0) {
            sched_yield();
            mound_keep_alive(new_object(1)); /* a place to be stopped at */
        }
        torn += !is_whole(o) || o->a != a;
        mound_keep_alive(o);
    }
    __atomic_add_fetch(&num_torn, torn, __ATOMIC_RELAXED);
    return NULL;
}

static void weak_get_races_with_collections_in_other_threads(void **state) {
    (void)state;
    cells = mound_alloc(sizeof *cells);
    pthread_t writer, reader[READERS];
    assert_int_equal(pthread_create(&writer, NULL, writer_main, (void *)1), 0);
    for (size_t i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&reader[i], NULL, reader_main, (void *)(i + 2)), 0);
    size_t rounds = under_valgrind()        ? 20
                    : has_debug("gcstress") ? 300
                    : HAS_SANITIZER         ? 200
                                            : 1500;
    for (size_t i = 0; i < 100 * rounds; i++) {
        mound_gc();
        if (i % 4 == 0) sched_yield();
        if (i >= rounds && __atomic_load_n(&num_read, __ATOMIC_RELAXED) > 100 &&
            __atomic_load_n(&num_null, __ATOMIC_RELAXED) > 100)
            break;
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    pthread_join(writer, NULL);
    for (int i = 0; i < READERS; i++) pthread_join(reader[i], NULL);
    print_message("%zu reads, %zu of dead objects\n", num_read + num_null, num_null);
    assert_int_equal(num_torn, 0);
    assert_true(num_read > 0 && num_null > 0);
    cells = NULL;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_addresses_give_equal_weak_pointers),
        cmocka_unit_test(a_weak_pointer_gives_the_address_back_with_its_offset),
        cmocka_unit_test(a_weak_pointer_to_null_is_null),
        cmocka_unit_test(weak_pointers_do_not_keep_and_become_null),
        cmocka_unit_test(a_weak_pointer_does_not_keep_its_record_s_neighbour),
        cmocka_unit_test(a_weak_pointer_in_a_global_does_not_keep_its_object),
        cmocka_unit_test(dead_objects_that_are_not_swept_yet_are_null_too),
        cmocka_unit_test(interior_weak_pointers_become_null_too),
        cmocka_unit_test(mound_free_clears_every_weak_pointer_at_once),
        cmocka_unit_test(a_new_object_at_an_old_address_gets_a_new_weak_pointer),
        cmocka_unit_test(the_value_outlives_the_object),
        cmocka_unit_test(what_weak_get_returned_is_kept),
        cmocka_unit_test(weak_get_races_with_collections_in_other_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
