/* collect_test.c - what the collector frees, and what keeps an object alive.
 *
 * Each way of holding an object has a test in which it is the only one, with 100 subjects or one
 * in a place that exists once (a register); and each test of keeping has its counterpart, the
 * same objects without that reference, so that it cannot pass by freeing nothing.
 * modes: gc
 */
#include "witness.h"

typedef struct node {
    struct node *next, *other;
    size_t number, check;
} node;

typedef struct link {
    struct link *next, *prev;
} link_pair;
MOUND_TYPE(link_pair, next, prev);

typedef struct blob {
    char byte[48];
} blob;
MOUND_TYPE_NOSCAN(blob);

/* ---------------------------------------------------------------- garbage */

static void *make_plain(size_t i) { return memset(mound_alloc(64), (int)(i & 1), 64); }

static void unreachable_objects_die(void **state) {
    (void)state;
    watch(WATCH_MAX, make_plain);
    assert_nearly_all_die(WATCH_MAX);
}

static void *make_self_cycle(size_t i) {
    node *n = mound_new(node);
    n->next = n;
    n->number = i;
    return n;
}

static node *previous;

static void *make_ring_member(size_t i) {
    node *n = mound_new(node);
    n->number = i;
    if (i % 10 == 0) {
        n->next = n;
    } else {
        n->next = previous->next;
        previous->next = n;
        n->other = previous;
    }
    previous = n;
    if (i % 10 == 9) previous = NULL;
    return n;
}

static void *make_clique_member(size_t i) {
    static void **clique[8];
    void **p = mound_alloc(8 * sizeof(void *));
    clique[i % 8] = p;
    if (i % 8 == 7) {
        for (int a = 0; a < 8; a++)
            for (int b = 0; b < 8; b++) clique[a][b] = clique[b];
        memset(clique, 0, sizeof clique);
    }
    return p;
}

static void *make_typed_cycle(size_t i) {
    static link_pair *last;
    link_pair *p = mound_new_typed(link_pair);
    p->next = p;
    if (i % 2) {
        p->prev = last;
        last->prev = p;
        last = NULL;
    } else {
        last = p;
    }
    return p;
}

static void cyclic_garbage_dies(void **state) {
    (void)state;
    watch(WATCH_MAX, make_self_cycle);
    assert_nearly_all_die(WATCH_MAX);
    watch(WATCH_MAX, make_ring_member);
    assert_nearly_all_die(WATCH_MAX);
    watch(WATCH_MAX, make_clique_member);
    assert_nearly_all_die(WATCH_MAX);
    watch(WATCH_MAX, make_typed_cycle);
    assert_nearly_all_die(WATCH_MAX);
}

static size_t subject_size;
static int subject_kind;
static const char *const kind_names[] = {"scanned", "noscan", "aligned", "array"};

static void *make_kind(size_t i) {
    void **p = subject_kind == 0   ? mound_alloc(subject_size)
               : subject_kind == 1 ? mound_alloc_noscan(subject_size)
               : subject_kind == 2 ? mound_alloc_aligned(32, subject_size)
                                   : mound_alloc_array(subject_size, 1);
    (void)i;
    p[0] = p; /* each its own cycle */
    return p;
}

static void garbage_of_every_size_class_and_kind_dies(void **state) {
    (void)state;
    size_t last = 0, step = scaled(100) < 100 ? 5 : 1, nth = 0;
    for (size_t size = 8; size <= 32768; size += size < 1024 ? 16 : 128) {
        size_t slot = mound_size(mound_alloc(size));
        if (slot == last) continue;
        last = slot;
        if (nth++ % step != 0) continue;
        subject_size = slot;
        for (subject_kind = 0; subject_kind < 4; subject_kind++) {
            watch(100, make_kind);
            size_t dead = dead_after_gc(100);
            if (dead < 90)
                fail_msg("%s, %zu bytes: only %zu of 100 died", kind_names[subject_kind], slot,
                         dead);
        }
    }
}

static void large_garbage_dies_and_its_memory_is_free(void **state) {
    (void)state;
    static const size_t sizes[] = {32769, 40000, 70000, 1 << 20, 3000001};
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        subject_size = sizes[k];
        for (subject_kind = 0; subject_kind < 4; subject_kind++) {
            mound_mem_stats before = {.struct_bytes = sizeof before}, after = before;
            mound_gc();
            mound_read_mem_stats(&before);
            watch(20, make_kind);
            size_t dead = dead_after_gc(20);
            mound_read_mem_stats(&after);
            if (dead < 18)
                fail_msg("%s, %zu bytes: only %zu of 20 died", kind_names[subject_kind], sizes[k],
                         dead);
            assert_true(after.heap_inuse_bytes <=
                        before.heap_inuse_bytes + 3 * sizes[k] + (1 << 20));
        }
    }
}

static void *make_typed(size_t i) {
    return i % 2 ? (void *)mound_new_typed(link_pair) : (void *)mound_new_typed(blob);
}
static void *make_typed_array(size_t i) {
    link_pair *p = mound_alloc_typed(MOUND_TYPEOF(link_pair), i % 2 ? 10 : 4000);
    p[3].next = p;
    return p;
}

static void typed_garbage_dies(void **state) {
    (void)state;
    watch(WATCH_MAX, make_typed);
    assert_nearly_all_die(WATCH_MAX);
    watch(100, make_typed_array);
    assert_nearly_all_die(100);
}

static void long_dead_list(void *arg) {
    size_t num = *(size_t *)arg;
    node *head = NULL;
    for (size_t i = 0; i < num; i++) {
        node *n = mound_new(node);
        n->next = head;
        head = n;
    }
    watched[0] = mound_weak_make(head);
}

static void a_dropped_list_is_counted_as_freed(void **state) {
    (void)state;
    size_t num = scaled(300000);
    mound_mem_stats before = {.struct_bytes = sizeof before}, after = before;
    mound_gc();
    mound_read_mem_stats(&before);
    apart(long_dead_list, &num);
    assert_nearly_all_die(1);
    mound_read_mem_stats(&after);
    uint64_t freed = after.num_frees - before.num_frees;
    if (freed < num / 100 * 95)
        fail_msg("%zu nodes dropped, %llu freed", num, (unsigned long long)freed);
    assert_true(after.heap_objects < before.heap_objects + num / 20 + 1000);
}

/* ---------------------------------------------------------------- kept by the heap */

enum { NUM = 100 };
static void **anchor; /* one root for the tests below: memory of the kind in question */

static void *make_behind_anchor(size_t i) {
    if (i >= NUM) return mound_alloc(64);
    anchor[i] = mound_alloc(64);
    return anchor[i];
}

static void *make_behind_anchor_interior(size_t i) {
    char *p = mound_alloc(64);
    if (i < NUM) anchor[i] = p + 1 + i % 63;
    return p;
}

static void *make_behind_anchor_end(size_t i) {
    char *p = mound_alloc(64);
    if (i < NUM) anchor[i] = p + 64;
    return p;
}

static void *make_large_interior(size_t i) {
    char *p = mound_alloc(100000);
    if (i < NUM) anchor[i] = p + i * 1000 + 999;
    return p;
}

static void take_anchor(void *arg) { anchor = mound_alloc(*(size_t *)arg); }

static void anchor_of(size_t size) { apart(take_anchor, &size); }

static void objects_live_by_a_pointer_in_another_object(void **state) {
    (void)state;
    anchor_of(NUM * sizeof(void *));
    watch(NUM, make_behind_anchor);
    assert_all_live(NUM);
    anchor = NULL;
    assert_nearly_all_die(NUM);
}

static void objects_live_by_interior_pointers(void **state) {
    (void)state;
    anchor_of(NUM * sizeof(void *));
    watch(NUM, make_behind_anchor_interior);
    assert_all_live(NUM);
    anchor = NULL;
    assert_nearly_all_die(NUM);
    anchor_of(NUM * sizeof(void *));
    watch(NUM, make_large_interior);
    assert_all_live(NUM);
    anchor = NULL;
    assert_nearly_all_die(NUM);
}

static void a_pointer_one_past_the_end_in_the_heap_keeps_only_with_heapend(void **state) {
    (void)state;
    anchor_of(NUM * sizeof(void *));
    watch(NUM, make_behind_anchor_end);
    if (has_debug("heapend=1")) {
        assert_all_live(NUM);
    } else {
        /* Each end is the next object's base, so a chain of neighbours lives; only the first in
         * a run dies. What must hold: the count of those that die is not zero. */
        assert_true(dead_after_gc(NUM) >= 1);
    }
    anchor = NULL;
    assert_nearly_all_die(NUM);
}

static void *make_end_with_dead_neighbour(size_t i) {
    char *p = mound_alloc(64);
    mound_keep_alive(mound_alloc(64)); /* the slot behind, never referenced */
    if (i < NUM) anchor[i] = p + 64;
    return p;
}

static void heap_ends_keep_the_neighbour_and_not_the_object(void **state) {
    (void)state;
    anchor_of(NUM * sizeof(void *));
    watch(NUM, make_end_with_dead_neighbour);
    if (has_debug("heapend=1")) {
        assert_all_live(NUM);
    } else {
        assert_nearly_all_die(NUM);
    }
    anchor = NULL;
}

static void objects_live_by_uncollectable_memory(void **state) {
    (void)state;
    static const size_t sizes[] = {NUM * sizeof(void *), 40000, 2000000};
    for (int k = 0; k < 3; k++) {
        void **pinned = mound_alloc_uncollectable(sizes[k]);
        anchor = pinned + (sizes[k] / sizeof(void *) - NUM);
        uintptr_t hidden = HIDE(pinned);
        watch(NUM, make_behind_anchor);
        anchor = pinned = NULL; /* nothing points to the uncollectable memory itself */
        assert_all_live(NUM);
        mound_free(SHOW(hidden));
        assert_nearly_all_die(NUM);
    }
}

static void uncollectable_memory_keeps_by_a_pointer_past_the_end(void **state) {
    (void)state;
    anchor = mound_alloc_uncollectable(NUM * sizeof(void *));
    watch(NUM, make_end_with_dead_neighbour);
    assert_all_live(NUM);
    mound_free(anchor);
    anchor = NULL;
    assert_nearly_all_die(NUM);
}

static void pointers_in_malloc_memory_do_not_keep(void **state) {
    (void)state;
    anchor = malloc(NUM * sizeof(void *));
    watch(NUM, make_behind_anchor);
    assert_nearly_all_die(NUM);
    free(anchor);
    anchor = NULL;
}

static void pointers_in_noscan_memory_do_not_keep(void **state) {
    (void)state;
    anchor = mound_alloc_noscan(NUM * sizeof(void *));
    watch(NUM, make_behind_anchor);
    assert_nearly_all_die(NUM);
    anchor = NULL;
}

static void *make_unaligned(size_t i) {
    void *p = mound_alloc(64);
    if (i < NUM) memcpy((char *)anchor + 4 + 8 * i, &p, sizeof p);
    return p;
}

static void unaligned_pointers_do_not_keep(void **state) {
    (void)state;
    size_t size = NUM * sizeof(void *) + 8;
    anchor_of(size);
    watch(NUM, make_unaligned);
    /* Words are read at multiples of 8; a half and a half of two addresses is none. */
    assert_true(dead_after_gc(NUM) >= NUM / 2);
    anchor = NULL;
}

/* ---------------------------------------------------------------- many generations */

static bool list_is_intact(const node *n, size_t len) {
    size_t seen = 0;
    for (; n; n = n->next, seen++)
        if (n->check != n->number * 2654435761u) return false;
    return seen == len;
}

static void live_data_survives_many_collections_among_garbage(void **state) {
    (void)state;
    node *head = NULL;
    size_t rounds = scaled(200) < 10 ? 10 : scaled(200);
    for (size_t i = 0; i < rounds; i++) {
        node *n = mound_new(node);
        n->number = i;
        n->check = i * 2654435761u;
        n->next = head;
        head = n;
        for (int k = 0; k < 300; k++)
            memset(mound_alloc(16 + (i * 37 + (size_t)k * 11) % 3000), 0xa5, 16);
        if (i % 3 == 0) mound_gc();
    }
    assert_true(list_is_intact(head, rounds));
}

/* ---------------------------------------------------------------- every way into a collection */

static void *by_small(size_t i) { return mound_alloc(500 + i % 100); }
static void *by_noscan(size_t i) { return mound_alloc_noscan(3000 + i % 100); }
static void *by_large(size_t i) { return mound_alloc_noscan(100000 + i); }
static void *by_large_scanned(size_t i) { return mound_alloc(70000 + i); }
static void *by_typed(size_t i) {
    (void)i;
    return mound_new_typed(link_pair);
}
static void *by_typed_array(size_t i) {
    return mound_alloc_typed(MOUND_TYPEOF(link_pair), 4000 + i % 10);
}
static void *by_aligned(size_t i) { return mound_alloc_aligned(i % 2 ? 64 : 65536, 2000); }
static void *by_try(size_t i) { return mound_try_alloc(i % 2 ? 100 : 50000, MOUND_NOSCAN); }
static void *by_realloc(size_t i) { return mound_realloc(mound_alloc(100), 10000 + i % 2 * 50000); }
static void *by_uncollectable(size_t i) {
    mound_free(mound_alloc_uncollectable(1000 + i % 2 * 90000));
    return mound_alloc(2000);
}
static void *by_text(size_t i) { return mound_asprintf("%*d", 3000, (int)i); }
static void *by_free_os_memory(size_t i) {
    if (i % 1000 == 0) mound_free_os_memory();
    return NULL;
}

/* Subjects that only this frame holds, deep below where the thread last collected. */
static NOINLINE bool deep_frame_is_seen(int depth, void *(*make_garbage)(size_t)) {
    node *volatile held[4];
    mound_mem_stats s = {.struct_bytes = sizeof s};
    for (size_t k = 0; k < 4; k++) {
        held[k] = mound_new(node);
        held[k]->number = k;
        held[k]->check = 0x5ca1ab1e;
    }
    bool ok = true;
    if (depth > 0) {
        ok = deep_frame_is_seen(depth - 1, make_garbage);
    } else {
        mound_read_mem_stats(&s);
        uint64_t before = s.num_gc;
        /* One that has begun takes its time, under a sanitizer on a busy machine a second. */
        for (size_t i = 0; s.num_gc < before + 3; i++) {
            if (i >= 3000000 && (s.num_gc > before || i >= 30000000)) break;
            mound_keep_alive(make_garbage(i));
            if (i % 200 == 0) mound_read_mem_stats(&s);
        }
        ok = s.num_gc >= before + 1;
        if (!ok) print_error("no collection happened\n");
    }
    for (int i = 0; i < 20; i++) mound_new(node)->check = 0xbad;
    for (size_t k = 0; k < 4; k++) {
        if (held[k]->number == k && held[k]->check == 0x5ca1ab1e) continue;
        print_error("an object held in frame %d was lost\n", depth);
        ok = false;
    }
    return ok;
}

static void a_collection_sees_the_whole_stack_whoever_started_it(void **state) {
    (void)state;
    static const struct {
        const char *name;
        void *(*make)(size_t);
    } ways[] = {
        {"small", by_small},     {"noscan", by_noscan},
        {"large", by_large},     {"large scanned", by_large_scanned},
        {"typed", by_typed},     {"typed array", by_typed_array},
        {"aligned", by_aligned}, {"try", by_try},
        {"realloc", by_realloc}, {"uncollectable", by_uncollectable},
        {"text", by_text},       {"free_os_memory", by_free_os_memory},
    };
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        mound_gc(); /* from here: a stack pointer remembered from this call must not be used below
                     */
        if (!deep_frame_is_seen(30, ways[i].make))
            fail_msg("collections started by allocating: %s", ways[i].name);
    }
}

static void freed_objects_do_not_come_back(void **state) {
    (void)state;
    mound_mem_stats before = {.struct_bytes = sizeof before}, after = before;
    mound_gc();
    mound_read_mem_stats(&before);
    for (int i = 0; i < 10; i++) {
        watch(WATCH_MAX, make_self_cycle);
        assert_nearly_all_die(WATCH_MAX);
    }
    mound_read_mem_stats(&after);
    assert_true(after.heap_inuse_bytes <= before.heap_inuse_bytes + (2 << 20));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unreachable_objects_die),
        cmocka_unit_test(cyclic_garbage_dies),
        cmocka_unit_test(garbage_of_every_size_class_and_kind_dies),
        cmocka_unit_test(large_garbage_dies_and_its_memory_is_free),
        cmocka_unit_test(typed_garbage_dies),
        cmocka_unit_test(a_dropped_list_is_counted_as_freed),
        cmocka_unit_test(objects_live_by_a_pointer_in_another_object),
        cmocka_unit_test(objects_live_by_interior_pointers),
        cmocka_unit_test(a_pointer_one_past_the_end_in_the_heap_keeps_only_with_heapend),
        cmocka_unit_test(heap_ends_keep_the_neighbour_and_not_the_object),
        cmocka_unit_test(objects_live_by_uncollectable_memory),
        cmocka_unit_test(uncollectable_memory_keeps_by_a_pointer_past_the_end),
        cmocka_unit_test(pointers_in_malloc_memory_do_not_keep),
        cmocka_unit_test(pointers_in_noscan_memory_do_not_keep),
        cmocka_unit_test(unaligned_pointers_do_not_keep),
        cmocka_unit_test(live_data_survives_many_collections_among_garbage),
        cmocka_unit_test(a_collection_sees_the_whole_stack_whoever_started_it),
        cmocka_unit_test(freed_objects_do_not_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
