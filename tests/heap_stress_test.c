/* heap_stress_test.c - threads come and go, allocate all kinds and sizes, hand objects to each
 * other, free some and drop the rest. Every object is filled from a seed that it carries, and is
 * verified before it goes and at random: what the collector took too early, what was handed out
 * twice or cleared while in use no longer fits its seed.
 *
 * modes: gc
 *
 * MOUND_STRESS_SECONDS=n runs longer; MOUND_TEST_SEED=n repeats the choices (not the timing).
 */
#include "support.h"

#include "mound.h"

enum {
    MAX_RUNNING = 4,
    HELD = 64,    /* chains a thread holds on its stack */
    SHARED = 256, /* chains that wait for any thread */
    MAX_CHAIN = 6,
    TYPED_WORDS = 9,
};

typedef struct cell cell;
struct cell {
    cell *next; /* its own, nobody else's; NULL where the kind holds no pointers */
    uint64_t seed;
    uint32_t num_words, kind, chain_len, is_in_use;
    uint64_t words[];
};

typedef struct typed_cell {
    cell *next;
    uint64_t seed;
    uint32_t num_words, kind, chain_len, is_in_use;
    uint64_t words[TYPED_WORDS];
} typed_cell;
MOUND_TYPE(typed_cell, next);

enum { SCAN, NOSCAN, MANUAL, TYPED, ALIGNED, NUM_KINDS };

static cell *shared[SHARED];
static test_errors errors;
static uint64_t end_ns, num_cells, num_threads_run;

static uint64_t now_ns(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}
static bool is_over(void) { return now_ns() >= end_ns || test_has_error(&errors); }

/* ---------------------------------------------------------------- cells */

static uint64_t word_of(uint64_t seed, uint64_t i) { return (seed + i) * 0x9E3779B97F4A7C15u; }

static size_t random_size(mo_rand *r) {
    uint64_t kind = mo_rand_below(r, 1000);
    if (kind < 800) return mo_rand_below(r, 400);
    if (kind < 950) return mo_rand_below(r, 4000);
    if (kind < 995) return mo_rand_below(r, 40000);
    return mo_rand_below(r, 1000000);
}

static cell *cell_make(mo_rand *r, cell *next) {
    uint32_t kind = (uint32_t)mo_rand_below(r, NUM_KINDS);
    size_t size = sizeof(cell) + random_size(r);
    cell *c;
    if (kind == NOSCAN && next) kind = SCAN;
    switch (kind) {
    case SCAN: c = mound_alloc(size); break;
    case NOSCAN: c = mound_alloc_noscan(size); break;
    case MANUAL: c = mound_alloc_uncollectable(size); break;
    case TYPED:
        c = (cell *)mound_new_typed(typed_cell);
        size = sizeof(typed_cell);
        break;
    default: c = mound_alloc_aligned((size_t)16 << mo_rand_below(r, 8), size); break;
    }
    size_t num_words = (size - sizeof(cell)) / 8;
    if (c->is_in_use) test_error(&errors, "a slot was handed out twice");
    for (size_t i = 0; i < num_words; i++)
        if (c->words[i] != 0) test_error(&errors, "fresh memory is not zero (kind %u)", kind);
    c->is_in_use = 1;
    c->kind = kind;
    c->next = next;
    c->chain_len = next ? next->chain_len + 1 : 1;
    c->num_words = (uint32_t)num_words;
    c->seed = mo_rand_next(r);
    for (size_t i = 0; i < num_words; i++) c->words[i] = word_of(c->seed, i);
    __atomic_add_fetch(&num_cells, 1, __ATOMIC_RELAXED);
    return c;
}

static void cell_verify(const cell *c, const char *when) {
    if (c->is_in_use != 1 || c->kind >= NUM_KINDS) {
        test_error(&errors, "%s: %p is no cell any more", when, (const void *)c);
        return;
    }
    for (size_t i = 0; i < c->num_words; i++) {
        if (c->words[i] == word_of(c->seed, i)) continue;
        test_error(&errors, "%s: word %zu of %u of %p (kind %u) is 0x%llx", when, i, c->num_words,
                   (const void *)c, c->kind, (unsigned long long)c->words[i]);
        return;
    }
}

static void chain_verify(const cell *c, const char *when) {
    for (; c && !test_has_error(&errors); c = c->next) {
        cell_verify(c, when);
        if (c->next && c->next->chain_len + 1 != c->chain_len)
            test_error(&errors, "%s: %p points to a foreign cell", when, (const void *)c);
    }
}

/* Frees all of it, or leaves it to the collector but for what it never takes. */
static void chain_end(cell *c, bool by_hand) {
    chain_verify(c, "at its end");
    while (c && !test_has_error(&errors)) {
        cell *next = c->next;
        if (by_hand || c->kind == MANUAL) {
            c->is_in_use = 0;
            mound_free(c);
        }
        c = next;
    }
}

/* ---------------------------------------------------------------- threads */

typedef struct stresser {
    uint64_t seed, steps;
} stresser;

static void step(mo_rand *r, cell **held) {
    cell **at = &held[mo_rand_below(r, HELD)];
    switch (mo_rand_below(r, 8)) {
    case 0:
    case 1:
    case 2: /* longer */
        if (*at && (*at)->chain_len >= MAX_CHAIN) {
            chain_end(*at, mo_rand_below(r, 2));
            *at = NULL;
        }
        *at = cell_make(r, *at);
        break;
    case 3: /* away */
        chain_end(*at, mo_rand_below(r, 2));
        *at = NULL;
        break;
    case 4: chain_verify(*at, "at random"); break;
    case 5: { /* the first goes, the others stay */
        cell *c = *at;
        if (!c) break;
        *at = c->next;
        c->next = NULL;
        c->chain_len = 1;
        chain_end(c, mo_rand_below(r, 2));
        break;
    }
    default: /* to another thread, and from it */
        *at = __atomic_exchange_n(&shared[mo_rand_below(r, SHARED)], *at, __ATOMIC_ACQ_REL);
        chain_verify(*at, "received");
        break;
    }
}

static void *stress(void *arg) {
    stresser s = *(stresser *)arg;
    cell *held[HELD] = {NULL};
    mo_rand r;
    mo_rand_seed(&r, s.seed);
    free(arg);
    for (uint64_t i = 0; i < s.steps && !is_over(); i++) step(&r, held);
    for (int i = 0; i < HELD; i++) {
        if (mo_rand_below(&r, 4) == 0)
            held[i] =
                __atomic_exchange_n(&shared[mo_rand_below(&r, SHARED)], held[i], __ATOMIC_ACQ_REL);
        chain_end(held[i], mo_rand_below(&r, 2));
        held[i] = NULL;
    }
    __atomic_add_fetch(&num_threads_run, 1, __ATOMIC_RELAXED);
    return NULL;
}

static pthread_t stress_begin(mo_rand *r) {
    static const uint64_t lengths[] = {1, 10, 1000, 20000, 20000, 20000};
    stresser *s = malloc(sizeof *s);
    pthread_t t;
    assert_non_null(s);
    s->seed = mo_rand_next(r);
    s->steps = 1 + mo_rand_below(r, lengths[mo_rand_below(r, 6)]);
    assert_int_equal(pthread_create(&t, NULL, stress, s), 0);
    return t;
}

static void objects_keep_their_contents(void **state) {
    (void)state;
    const char *seconds = getenv("MOUND_STRESS_SECONDS");
    double run_s = seconds && *seconds ? strtod(seconds, NULL) : 2.5;
    pthread_t thread[MAX_RUNNING];
    bool is_running[MAX_RUNNING] = {false};
    mo_rand r;
    mo_rand_seed(&r, test_seed("heap stress", 0));
    end_ns = now_ns() + (uint64_t)(run_s * 1e9);
    while (!is_over()) {
        unsigned i = (unsigned)mo_rand_below(&r, MAX_RUNNING);
        if (is_running[i]) assert_int_equal(pthread_join(thread[i], NULL), 0);
        thread[i] = stress_begin(&r);
        is_running[i] = true;
        switch (mo_rand_below(&r, 16)) {
        case 0: mound_gc(); break;
        case 1: mound_free_os_memory(); break;
        default: break;
        }
    }
    for (int i = 0; i < MAX_RUNNING; i++)
        if (is_running[i]) assert_int_equal(pthread_join(thread[i], NULL), 0);
    assert_no_errors(&errors);
    for (int i = 0; i < SHARED; i++) {
        chain_end(shared[i], true);
        shared[i] = NULL;
    }
    assert_no_errors(&errors);
    mound_gc();
    mound_mem_stats s = {.struct_bytes = sizeof s};
    mound_read_mem_stats(&s);
    print_message("%llu objects, %llu threads, %llu collections\n", (unsigned long long)num_cells,
                  (unsigned long long)num_threads_run, (unsigned long long)s.num_gc);
    /* Each chain ended: what is left is what stale words happen to point to. */
    assert_true(s.heap_objects < num_cells / 10 + 2000);
    assert_true(num_threads_run > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(objects_keep_their_contents)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
