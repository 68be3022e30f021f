/* hidden_leaf_test.c - marking while threads store: nothing that stays reachable is lost.
 *
 * Each leaf is referred to by one slot only. Mutators swap the leaves of two random slots, through
 * their registers, while collections run one after the other: a store that the barrier does not see
 * can hide a leaf from the marker. Others allocate what takes the place of whatever was freed. In
 * the end every leaf must be there, with its contents. The mutants barrier_* show that leaves are
 * lost where stores are not seen.
 */
#include "hold.h"

#include "support.h"

#include "leaf.h"

enum { MUTATORS = 2, STEP = 1000 };

static int is_running;
static uint64_t num_swaps; /* of all, in steps */

/* The two parts of the slots belong to one mutator each: a swap is not atomic. */
static void *mutate(void *arg) {
    size_t part = num_leaves / MUTATORS, first = (size_t)(uintptr_t)arg * part;
    mo_rand r;
    mo_rand_seed(&r, (uint64_t)(uintptr_t)arg + 1);
    for (uint64_t i = 0; LOAD(&is_running); i++) {
        if (i % STEP == 0) __atomic_add_fetch(&num_swaps, STEP, __ATOMIC_RELAXED);
        leaves_swap(&r, first, part);
    }
    return NULL;
}

/* Slots of new objects are hidden places too: leaves travel through them. */
static void *mutate_fresh(void *arg) {
    size_t part = num_leaves / MUTATORS, first = (size_t)(uintptr_t)arg * part;
    mo_rand r;
    mo_rand_seed(&r, (uint64_t)(uintptr_t)arg + 77);
    for (uint64_t i = 0; LOAD(&is_running); i++) {
        if (i % STEP == 0) __atomic_add_fetch(&num_swaps, STEP, __ATOMIC_RELAXED);
        leaf **a = leaf_slot(first + mo_rand_below(&r, part));
        leaf **fresh = mound_alloc(64);
        fresh[mo_rand_below(&r, 8)] = *a;
        *a = NULL;
        for (int k = 0; k < 8; k++)
            if (fresh[k]) *a = fresh[k];
    }
    return NULL;
}

/* Most slots of a block are empty for a moment, again and again: what was a pointer when the marker
 * tested eight words at once may be none when it takes it. */
static void *mutate_empty(void *arg) {
    size_t part = num_leaves / LEAVES_PER_BLOCK / MUTATORS, first = (size_t)(uintptr_t)arg * part;
    mo_rand r;
    mo_rand_seed(&r, (uint64_t)(uintptr_t)arg + 99);
    while (LOAD(&is_running)) {
        leaf *held[LEAVES_PER_BLOCK], *volatile *slot =
                                          leaf_blocks[first + mo_rand_below(&r, part)]->slot;
        for (int k = 0; k < LEAVES_PER_BLOCK; k++) held[k] = slot[k];
        for (int k = 0; k < LEAVES_PER_BLOCK; k++) slot[k] = NULL;
        for (int k = 0; k < LEAVES_PER_BLOCK; k++) slot[k] = held[k];
        __atomic_add_fetch(&num_swaps, LEAVES_PER_BLOCK, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void *litter(void *arg) {
    (void)arg;
    while (LOAD(&is_running)) leaf_litter();
    return NULL;
}

static void *collect_on(void *arg) {
    (void)arg;
    while (LOAD(&is_running)) mound_gc();
    return NULL;
}

static void run(void *(*mutator)(void *), uint64_t swaps) {
    uint64_t collections = test_steps(25);
    mound_mem_stats before = {.struct_bytes = sizeof before}, after = before;
    pthread_t thread[MUTATORS], litterer, collector;
    leaves_plant(test_steps(400000) / LEAVES_PER_BLOCK * LEAVES_PER_BLOCK);
    clear_stack();
    num_swaps = 0;
    mound_read_mem_stats(&before);
    STORE(&is_running, 1);
    pthread_create(&litterer, NULL, litter, NULL);
    pthread_create(&collector, NULL, collect_on, NULL);
    for (uintptr_t i = 0; i < MUTATORS; i++) pthread_create(&thread[i], NULL, mutator, (void *)i);
    do {
        sleep_us(10000);
        mound_read_mem_stats(&after);
    } while (after.num_gc - before.num_gc < collections || LOAD(&num_swaps) < swaps);
    STORE(&is_running, 0);
    for (int i = 0; i < MUTATORS; i++) pthread_join(thread[i], NULL);
    pthread_join(litterer, NULL);
    pthread_join(collector, NULL);
    print_message("%llu swaps during %llu collections, barrier %s\n", (unsigned long long)num_swaps,
                  (unsigned long long)(after.num_gc - before.num_gc), after.barrier);
    assert_int_equal(leaves_lost(), 0);
}

static void swapped_leaves_are_all_kept(void **state) {
    (void)state;
    run(mutate, test_long_steps(10000000));
}

static void leaves_that_pass_through_new_objects_are_all_kept(void **state) {
    (void)state;
    run(mutate_fresh, test_long_steps(500000));
}

static void leaves_whose_slots_are_empty_for_moments_are_all_kept(void **state) {
    (void)state;
    run(mutate_empty, test_steps(10000000));
}

int main(void) {
    setenv("MOUND_BARRIER", "os", 0);
    if (mound_init() != 0) {
        print_message("skipped: no barrier here (the line above says why)\n");
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(swapped_leaves_are_all_kept),
        cmocka_unit_test(leaves_that_pass_through_new_objects_are_all_kept),
        cmocka_unit_test(leaves_whose_slots_are_empty_for_moments_are_all_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
