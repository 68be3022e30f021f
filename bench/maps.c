/* maps.c - maps from numbers and from strings: maps [PART...]
 *
 *   u64      put, find, find what is absent, go through, delete: 1e3, 1e6 and 1e7 entries
 *   str      put, find, find what is absent: 1e3 and 1e6 strings of 20 bytes
 *   slow     how long single insertions take while a map grows from nothing to 1e7 entries
 *   shrink   how much memory a map of 1e7 entries gives back when 90 % of them are deleted
 *
 * Without operands: u64 and str. Mirrors bench/go/maps, with mound's maps; with -DBENCH_KHASH,
 * -DBENCH_GLIB or -DBENCH_UTHASH those of maps_peers.h. The number on stderr is the same for all.
 */
#include "bench.h"

#define LARGE 10000000 /* entries, of slow and shrink */
#define MAX_REPS 7
#define MIB ((double)(1 << 20))

/* ---------------------------------------------------------------- mound's maps */

#if defined(BENCH_MOUND)

typedef mound_string text;
typedef mound_map_of(uint64_t, uint64_t) u64_map;
typedef mound_map_of(mound_string, uint64_t) str_map;

static text text_copy(const char *from) { return mound_string_copy(from); }

static uint64_t heap_bytes(void) {
    mound_mem_stats ms = {.struct_bytes = sizeof(ms)};
    mound_gc();
    mound_read_mem_stats(&ms);
    return ms.heap_alloc_bytes;
}

static inline u64_map u64_make(void) { return mound_map_make(u64_map); }
static inline void u64_drop(u64_map *m) { *m = (u64_map){0}; }
static inline size_t u64_len(u64_map m) { return mound_map_len(m); }
static inline void u64_reserve(u64_map *m, size_t num) { mound_map_reserve(*m, num); }
static inline void u64_set(u64_map *m, uint64_t key, uint64_t value) {
    mound_map_set(*m, key, value);
}
static inline uint64_t u64_get(u64_map m, uint64_t key) {
    uint64_t *value = mound_map_get(m, key);
    return value == NULL ? 0 : *value;
}
static inline void u64_delete(u64_map *m, uint64_t key) { mound_map_delete(*m, key); }
static inline uint64_t u64_sum(u64_map m) {
    uint64_t sum = 0;
    for (mound_map_iter it = mound_map_begin(m); mound_map_next(&it);) {
        sum += *mound_map_key(m, &it) ^ *mound_map_value(m, &it);
    }
    return sum;
}

static inline str_map str_make(void) { return mound_map_make(str_map); }
static inline void str_drop(str_map *m) { *m = (str_map){0}; }
static inline void str_set(str_map *m, text key, uint64_t value) { mound_map_set(*m, key, value); }
static inline uint64_t str_get(str_map m, text key) {
    uint64_t *value = mound_map_get(m, key);
    return value == NULL ? 0 : *value;
}

#else
#include "maps_peers.h"
#endif

/* ---------------------------------------------------------------- measuring */

static uint64_t sink;

static inline uint64_t mix(uint64_t x) {
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9;
    x ^= x >> 27;
    x *= 0x94d049bb133111eb;
    return x ^ x >> 31;
}

typedef enum phase { INSERT, PREALLOC, HIT, MISS, ITER, DELETE, NUM_PHASES } phase;

typedef struct results {
    double ns[NUM_PHASES][MAX_REPS];
} results;

static double ns_each(uint64_t start, size_t num) {
    return (double)(bench_now_ns() - start) / (double)num;
}

static double median(results *r, phase ph, size_t reps) {
    bench_sort(r->ns[ph], reps);
    return r->ns[ph][reps / 2];
}

/* A small map is made and gone through often, or the clock would be what is measured. */
static size_t rounds_of(size_t n) { return n == 1000 ? 200 : 1; }

/* ---------------------------------------------------------------- u64 */

/* Functions of their own, so that no stale word on the stack keeps a map that is over. */
BENCH_NOINLINE static u64_map u64_build(size_t n, size_t rounds, bool is_reserved) {
    u64_map m = u64_make();
    for (size_t q = 0; q < rounds; q++) {
        if (q > 0) {
            u64_drop(&m);
            m = u64_make();
        }
        if (is_reserved) { u64_reserve(&m, n); }
        for (size_t i = 0; i < n; i++) { u64_set(&m, mix(i), i); }
    }
    return m;
}

BENCH_NOINLINE static double u64_reserved_ns(size_t n, size_t rounds) {
    uint64_t start = bench_now_ns();
    u64_map m = u64_build(n, rounds, true);
    double ns = ns_each(start, n * rounds);
    sink += rounds * u64_len(m);
    u64_drop(&m);
    return ns;
}

/* From mix(from) on: all of them are there, or none. */
BENCH_NOINLINE static void u64_find(u64_map m, size_t from, size_t n, size_t rounds) {
    for (size_t q = 0; q < rounds; q++) {
        for (size_t i = 0; i < n; i++) { sink += u64_get(m, mix(from + i)); }
    }
}

BENCH_NOINLINE static void u64_rep(results *r, size_t rep, size_t n, double *entry_bytes) {
    size_t rounds = rounds_of(n);
    bench_gc();
    uint64_t before = rep == 0 ? heap_bytes() : 0, start = bench_now_ns();
    u64_map m = u64_build(n, rounds, false);
    r->ns[INSERT][rep] = ns_each(start, n * rounds);
    if (rep == 0) { *entry_bytes = (double)(heap_bytes() - before) / (double)n; }
    r->ns[PREALLOC][rep] = u64_reserved_ns(n, rounds);
    start = bench_now_ns();
    u64_find(m, 0, n, rounds);
    r->ns[HIT][rep] = ns_each(start, n * rounds);
    start = bench_now_ns();
    u64_find(m, n, n, rounds);
    r->ns[MISS][rep] = ns_each(start, n * rounds);
    start = bench_now_ns();
    for (size_t q = 0; q < rounds; q++) { sink += u64_sum(m); }
    r->ns[ITER][rep] = ns_each(start, n * rounds);
    start = bench_now_ns();
    for (size_t i = 0; i < n; i++) { u64_delete(&m, mix(i)); }
    r->ns[DELETE][rep] = ns_each(start, n);
    u64_drop(&m);
}

static void run_u64(void) {
    static const struct { size_t n, reps; } sizes[] = {{1000, 7}, {1000000, 5}, {10000000, 3}};
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        size_t reps = sizes[s].reps;
        results r;
        double entry_bytes = 0;
        for (size_t rep = 0; rep < reps; rep++) { u64_rep(&r, rep, sizes[s].n, &entry_bytes); }
        printf("RESULT map[u64]u64 n=%zu insert=%.1f insert_prealloc=%.1f hit=%.1f miss=%.1f "
               "iter=%.1f delete=%.1f ns B/entry=%.1f\n",
               sizes[s].n, median(&r, INSERT, reps), median(&r, PREALLOC, reps),
               median(&r, HIT, reps), median(&r, MISS, reps), median(&r, ITER, reps),
               median(&r, DELETE, reps), entry_bytes);
    }
}

/* ---------------------------------------------------------------- str */

static text text_make(uint64_t number) {
    char buf[32];
    snprintf(buf, sizeof(buf), "key-%lx", (unsigned long)mix(number));
    return text_copy(buf);
}

BENCH_NOINLINE static str_map str_build(const text *keys, size_t n, size_t rounds) {
    str_map m = str_make();
    for (size_t q = 0; q < rounds; q++) {
        if (q > 0) {
            str_drop(&m);
            m = str_make();
        }
        for (size_t i = 0; i < n; i++) { str_set(&m, keys[i], i); }
    }
    return m;
}

BENCH_NOINLINE static void str_find(str_map m, const text *keys, size_t n, size_t rounds) {
    for (size_t q = 0; q < rounds; q++) {
        for (size_t i = 0; i < n; i++) { sink += str_get(m, keys[i]); }
    }
}

BENCH_NOINLINE static void str_rep(results *r, size_t rep, const text *keys, const text *absent,
                                   size_t n) {
    size_t rounds = rounds_of(n);
    uint64_t start = bench_now_ns();
    str_map m = str_build(keys, n, rounds);
    r->ns[INSERT][rep] = ns_each(start, n * rounds);
    start = bench_now_ns();
    str_find(m, keys, n, rounds);
    r->ns[HIT][rep] = ns_each(start, n * rounds);
    start = bench_now_ns();
    str_find(m, absent, n, rounds);
    r->ns[MISS][rep] = ns_each(start, n * rounds);
    str_drop(&m);
}

static void run_str(void) {
    enum { REPS = 5 };
    static const size_t sizes[] = {1000, 1000000};
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        size_t n = sizes[s];
        text *keys = bench_new_array(text, n), *absent = bench_new_array(text, n);
        for (size_t i = 0; i < n; i++) {
            keys[i] = text_make(i);
            absent[i] = text_make(i + n);
        }
        results r;
        for (size_t rep = 0; rep < REPS; rep++) { str_rep(&r, rep, keys, absent, n); }
        printf("RESULT map[string]u64 n=%zu (20B keys) insert=%.1f hit=%.1f miss=%.1f ns\n", n,
               median(&r, INSERT, REPS), median(&r, HIT, REPS), median(&r, MISS, REPS));
    }
}

/* ---------------------------------------------------------------- slow */

/* Times by their logarithm, so that ten million need no room: 32 buckets for each doubling, and
 * one for each nanosecond below 64. */
enum { STEP_BITS = 5, STEPS = 1 << STEP_BITS, NUM_BUCKETS = 64 * STEPS };

static unsigned bucket_of(uint64_t ns) {
    if (ns < STEPS) { return (unsigned)ns; }
    unsigned shift = 63u - (unsigned)__builtin_clzll(ns) - STEP_BITS;
    return shift * STEPS + (unsigned)(ns >> shift);
}

/* The least time that is too long for a bucket. */
static uint64_t bucket_end(unsigned bucket) {
    unsigned shift = bucket < STEPS ? 0 : bucket / STEPS - 1;
    return (uint64_t)(bucket - shift * STEPS + 1) << shift;
}

/* Microseconds; a part q of all took less. */
static double slow_us(const uint64_t *counts, double q) {
    uint64_t seen = 0;
    unsigned bucket = 0;
    while ((double)(seen += counts[bucket]) < q * LARGE) { bucket++; }
    return (double)bucket_end(bucket) / 1e3;
}

static void run_slow(void) {
    static uint64_t counts[NUM_BUCKETS];
    uint64_t max = 0;
    u64_map m = u64_make();
    for (size_t i = 0; i < LARGE; i++) {
        uint64_t start = bench_now_ns();
        u64_set(&m, mix(i), i);
        uint64_t ns = bench_now_ns() - start;
        counts[bucket_of(ns)]++;
        max = ns > max ? ns : max;
    }
    sink += u64_len(m);
    u64_drop(&m);
    printf("RESULT map slow n=%d p50=%.2fus p99=%.2fus p99.9=%.2fus p99.99=%.2fus max=%.2fus\n",
           LARGE, slow_us(counts, .5), slow_us(counts, .99), slow_us(counts, .999),
           slow_us(counts, .9999), (double)max / 1e3);
}

/* ---------------------------------------------------------------- shrink */

static void run_shrink(void) {
    enum { LOOK_EVERY = 1 << 16 };
    size_t peak = 0;
    u64_map m = u64_make();
    for (size_t i = 0; i < LARGE; i++) {
        u64_set(&m, mix(i), i);
        if (i % LOOK_EVERY == 0 || i == LARGE - 1) {
            size_t rss = bench_rss_bytes();
            peak = rss > peak ? rss : peak;
        }
    }
    for (size_t i = 0; i < LARGE; i++) {
        if (i % 10 != 0) { u64_delete(&m, mix(i)); }
    }
    bench_gc();
    bench_free_os_memory();
    printf("RESULT map shrink peak=%.1fMiB after=%.1fMiB\n", (double)peak / MIB,
           (double)bench_rss_bytes() / MIB);
    sink += u64_len(m) + u64_sum(m);
    u64_drop(&m);
}

/* ---------------------------------------------------------------- main */

static const struct {
    const char *name;
    void (*run)(void);
    bool is_default;
} parts[] = {
    {"u64", run_u64, true},
    {"str", run_str, true},
    {"slow", run_slow, false},
    {"shrink", run_shrink, false},
};
enum { NUM_PARTS = sizeof(parts) / sizeof(parts[0]) };

int main(int argc, char **argv) {
    bench_init();
    for (size_t p = 0; argc == 1 && p < NUM_PARTS; p++) {
        if (parts[p].is_default) { parts[p].run(); }
    }
    for (int i = 1; i < argc; i++) {
        size_t p = 0;
        while (p < NUM_PARTS && strcmp(parts[p].name, argv[i]) != 0) { p++; }
        if (p == NUM_PARTS) {
            fprintf(stderr, "maps: no part \"%s\"; there are: u64 str slow shrink\n", argv[i]);
            return 2;
        }
        parts[p].run();
    }
    fprintf(stderr, "%lu\n", (unsigned long)sink);
    return 0;
}
