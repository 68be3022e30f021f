/* thread_stress_test.c - 200 threads come and go, exchange objects through shared slots, and check
 * every word of what they find. Seed: MOUND_TEST_SEED, printed. modes: gc */
#include "hold.h"

#include "base/rand.h"

enum { THREADS = 200, AT_ONCE = 12, SLOTS = 64, STEPS = 300, KIDS = 3 };

/* A small tree whose nodes know what they must contain. */
typedef struct leaf {
    struct leaf *kid[KIDS];
    char *text; /* noscan */
    uint64_t id, check;
} leaf;

static leaf *slot[SLOTS];
static pthread_mutex_t slot_lock[SLOTS];
static uint64_t seed, next_id;
static int bad, done;

static leaf *make_leaf(mo_rand *r, int depth) {
    leaf *l = mound_new(leaf);
    l->id = __atomic_add_fetch(&next_id, 1, __ATOMIC_RELAXED);
    l->check = mix(l->id);
    size_t len = 1 + mo_rand_below(r, 200);
    l->text = mound_alloc_noscan(len + 1);
    memset(l->text, 'a' + (int)(l->id % 26), len);
    if (depth > 0)
        for (int i = 0; i < KIDS; i++)
            if (mo_rand_below(r, 3)) l->kid[i] = make_leaf(r, depth - 1);
    return l;
}

static bool leaf_ok(const leaf *l) {
    if (l->check != mix(l->id) || !l->text || l->text[0] == '\0') return false;
    for (const char *c = l->text; *c; c++)
        if (*c != 'a' + (int)(l->id % 26)) return false;
    for (int i = 0; i < KIDS; i++)
        if (l->kid[i] && !leaf_ok(l->kid[i])) return false;
    return true;
}

/* Takes what lies in a slot and puts something else there. */
static leaf *exchange(size_t i, leaf *mine) {
    pthread_mutex_lock(&slot_lock[i]);
    leaf *old = slot[i];
    slot[i] = mine;
    pthread_mutex_unlock(&slot_lock[i]);
    return old;
}

static void *stress_main(void *arg) {
    mo_rand r;
    mo_rand_seed(&r, seed + (uintptr_t)arg);
    leaf *mine = make_leaf(&r, 3);
    for (int i = 0; i < STEPS; i++) {
        switch (mo_rand_below(&r, 8)) {
        case 0: mine = make_leaf(&r, 4); break;
        case 1: mine->kid[mo_rand_below(&r, KIDS)] = make_leaf(&r, 1); break;
        case 2: mound_keep_alive(mound_alloc(mo_rand_below(&r, 100000))); break;
        case 3: mound_free(mound_alloc(mo_rand_below(&r, 500))); break;
        default: {
            leaf *found = exchange(mo_rand_below(&r, SLOTS), mine);
            mine = found ? found : make_leaf(&r, 2);
        }
        }
        if (!leaf_ok(mine)) {
            __atomic_add_fetch(&bad, 1, __ATOMIC_RELAXED);
            break;
        }
    }
    if (mo_rand_below(&r, 4) == 0) mound_gc();
    __atomic_add_fetch(&done, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void threads_come_and_go_under_load(void **state) {
    (void)state;
    const char *text = getenv("MOUND_TEST_SEED");
    seed = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);
    print_message("MOUND_TEST_SEED=%llu\n", (unsigned long long)seed);
    for (int i = 0; i < SLOTS; i++) pthread_mutex_init(&slot_lock[i], NULL);
    pthread_t thread[AT_ONCE];
    for (int started = 0; started < THREADS; started++) {
        if (started >= AT_ONCE) pthread_join(thread[started % AT_ONCE], NULL);
        assert_int_equal(pthread_create(&thread[started % AT_ONCE], NULL, stress_main,
                                        (void *)(intptr_t)started),
                         0);
    }
    for (int i = 0; i < AT_ONCE; i++) pthread_join(thread[i], NULL);
    mound_gc();
    for (int i = 0; i < SLOTS; i++)
        if (slot[i] && !leaf_ok(slot[i])) bad++;
    mound_mem_stats stats = {.struct_bytes = sizeof stats};
    mound_read_mem_stats(&stats);
    assert_int_equal(bad, 0);
    assert_int_equal(done, THREADS);
    assert_in_range(stats.num_gc, 3, UINT64_MAX);
    assert_in_range(stats.num_threads, 1, 3);
}

int main(void) {
    watchdog();
    const struct CMUnitTest tests[] = {cmocka_unit_test(threads_come_and_go_under_load)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
