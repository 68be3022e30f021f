/* mark_stress_test.c - threads that build, exchange and check trees while others collect.
 *
 * Every node carries a checksum over its place in the tree; a node that was freed too early is
 * overwritten by the next one made. Runs with 1, 2 and 4 mark workers, each in a process of its
 * own; MOUND_TEST_SEED repeats the random choices.
 */
#include "support.h"
#include "witness.h"

#include <sched.h>

typedef struct tree {
    struct tree *left, *right;
    uint64_t key, check; /* check = mix(key); children have 2 key, 2 key + 1 */
} tree;
MOUND_TYPE(tree, left, right);

enum { THREADS = 3, SHARED = 40, DEPTH = 9 };

static struct {
    pthread_mutex_t lock;
    tree *slot[SHARED];
    uint64_t key[SHARED];
} * shared; /* in the heap */
static test_errors errors;
static int stop;
static uint64_t num_trees;

static uint64_t mix(uint64_t x) {
    x = (x ^ x >> 31) * 0x9E3779B97F4A7C15u;
    return (x ^ x >> 29) * 0xD1B54A32D192ED03u;
}

static tree *make_tree(mo_rand *r, uint64_t key, int depth) {
    tree *t = mo_rand_next(r) % 2 ? mound_new_typed(tree) : mound_new(tree);
    if (t->left || t->right || t->key || t->check) test_error(&errors, "a fresh node is not zero");
    t->key = key;
    t->check = mix(key);
    if (depth > 0) {
        t->left = make_tree(r, 2 * key, depth - 1);
        t->right = make_tree(r, 2 * key + 1, depth - 1);
    }
    return t;
}

static bool check_tree(const tree *t, uint64_t key, int depth) {
    if (!t || t->key != key || t->check != mix(key)) {
        test_error(&errors, "the node %llu was lost", (unsigned long long)key);
        return false;
    }
    if (depth == 0) return !t->left && !t->right;
    return check_tree(t->left, 2 * key, depth - 1) && check_tree(t->right, 2 * key + 1, depth - 1);
}

static void *mutator_main(void *arg) {
    mo_rand r;
    mo_rand_seed(&r, *(uint64_t *)arg);
    while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE) && !test_has_error(&errors)) {
        uint64_t key = 1 + mo_rand_next(&r) % 1000000;
        tree *mine = make_tree(&r, key, DEPTH - (int)(mo_rand_next(&r) % 4) * 2);
        size_t i = mo_rand_next(&r) % SHARED;
        int depth = -1;
        for (const tree *t = mine; t; t = t->left) depth++;
        pthread_mutex_lock(&shared->lock);
        tree *other = shared->slot[i];
        uint64_t other_key = shared->key[i];
        shared->slot[i] = mine;
        shared->key[i] = key;
        pthread_mutex_unlock(&shared->lock);
        if (other) {
            int other_depth = -1;
            for (const tree *t = other; t; t = t->left) other_depth++;
            if (other_depth < DEPTH - 6) test_error(&errors, "a tree lost its lower rows");
            check_tree(other, other_key, other_depth);
        }
        /* Large garbage and garbage with pointers into live trees. */
        void **big = mound_alloc(mo_rand_next(&r) % 64 == 0 ? 200000 : 100);
        big[1] = mine;
        __atomic_add_fetch(&num_trees, 1, __ATOMIC_RELAXED);
        check_tree(mine, key, depth);
    }
    return NULL;
}

static void trees_survive_while_others_collect(void **state) {
    (void)state;
    shared = mound_alloc(sizeof *shared);
    pthread_mutex_init(&shared->lock, NULL);
    /* Ballast, so that several workers find enough to mark. */
    mo_rand r;
    uint64_t seed = test_seed("mark_stress", 0), seeds[THREADS];
    mo_rand_seed(&r, seed);
    tree *ballast = make_tree(&r, 1, scaled(100) == 100 ? 17 : 13);
    pthread_t thread[THREADS];
    for (int i = 0; i < THREADS; i++) {
        seeds[i] = mo_rand_next(&r);
        assert_int_equal(pthread_create(&thread[i], NULL, mutator_main, &seeds[i]), 0);
    }
    struct timespec begin, now;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    double seconds;
    int num_gc = 0;
    do {
        mound_gc();
        num_gc++;
        sched_yield();
        clock_gettime(CLOCK_MONOTONIC, &now);
        seconds =
            (double)(now.tv_sec - begin.tv_sec) + (double)(now.tv_nsec - begin.tv_nsec) * 1e-9;
    } while (!test_has_error(&errors) && (seconds < 2 || num_gc < 5));
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
    print_message("%d collections, %llu trees\n", num_gc, (unsigned long long)num_trees);
    check_tree(ballast, 1, scaled(100) == 100 ? 17 : 13);
    assert_no_errors(&errors);
    assert_true(num_trees > 20);
    shared = NULL;
}

static int run_with_workers(const char *num) {
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        setenv("MOUND_GCWORKERS", num, 1);
        alarm(60);
        const struct CMUnitTest tests[] = {cmocka_unit_test(trees_survive_while_others_collect)};
        char name[32];
        snprintf(name, sizeof name, "%s workers", num);
        exit(cmocka_run_group_tests_name(name, tests, NULL, NULL));
    }
    int status;
    if (pid < 0 || waitpid(pid, &status, 0) != pid) return 1;
    if (WIFSIGNALED(status))
        fprintf(stderr, "mark_stress_test: %s workers: killed by signal %d\n", num,
                WTERMSIG(status));
    return status == 0 ? 0 : 1;
}

int main(void) { return run_with_workers("1") + run_with_workers("2") + run_with_workers("4"); }
