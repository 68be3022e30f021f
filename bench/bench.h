/* bench.h - what the benchmark programs share: the choice of heap, flags, clock, statistics.
 *
 * One source serves every heap. Compiled as it is a program uses mound; with -DBENCH_BOEHM it
 * uses the Boehm collector, with -DBENCH_MIMALLOC mimalloc (freepair only, nothing collects). Where
 * only the maps differ (maps: -DBENCH_KHASH, -DBENCH_GLIB, -DBENCH_UTHASH) the rest is libc's.
 * All run with their defaults, and with the calls a user of each would write: mound_new(T) and
 * GC_MALLOC for scanned memory, mound_alloc_noscan and GC_MALLOC_ATOMIC for the rest. mound and
 * Go zero the latter, Boehm does not: that difference is left in Boehm's favour.
 *
 * The flags and RESULT lines are those of the Go programs under bench/go, numbers in the same
 * order; bench/compare reads both with the same patterns.
 */
#ifndef BENCH_H
#define BENCH_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---------------------------------------------------------------- heaps */

#if defined(BENCH_BOEHM)

#define GC_THREADS
#include <gc.h>
#define BENCH_HEAP "boehm"
#define bench_alloc(size) GC_MALLOC(size)
#define bench_alloc_noscan(size) GC_MALLOC_ATOMIC(size)
#define bench_alloc_array(num, size) GC_MALLOC((num) * (size))
#define bench_free(obj) GC_FREE(obj)
#define BENCH_TYPE(T, ...) _Static_assert(1, "no typed allocation here")
#define bench_new_typed(T) bench_new(T)
#define BENCH_HAS_TYPES 0

#elif defined(BENCH_MIMALLOC)

#include <mimalloc.h>
#define BENCH_HEAP "mimalloc"
#define bench_alloc(size) mi_zalloc(size)
#define bench_free(obj) mi_free(obj)

#elif defined(BENCH_KHASH) || defined(BENCH_GLIB) || defined(BENCH_UTHASH)

#define BENCH_HEAP "libc"
#define bench_alloc(size) calloc(1, (size))
#define bench_alloc_array(num, size) calloc((num), (size))
#define bench_free(obj) free(obj)

#else

#define BENCH_MOUND
#include <mound.h>
#define BENCH_HEAP "mound"
#define bench_alloc(size) mound_alloc(size)
#define bench_alloc_noscan(size) mound_alloc_noscan(size)
#define bench_alloc_array(num, size) mound_alloc_array(num, size)
#define bench_free(obj) mound_free(obj)
#define BENCH_TYPE(T, ...) MOUND_TYPE(T, __VA_ARGS__)
#define bench_new_typed(T) mound_new_typed(T)
#define BENCH_HAS_TYPES 1

#endif

#define bench_new(T) ((T *)bench_alloc(sizeof(T)))
#define bench_new_noscan(T) ((T *)bench_alloc_noscan(sizeof(T)))
#define bench_new_array(T, num) ((T *)bench_alloc_array((num), sizeof(T)))

/* Neither inlined nor cloned: what Go's //go:noinline gives. */
#if defined(__clang__)
#define BENCH_NOINLINE __attribute__((noinline))
#else
#define BENCH_NOINLINE __attribute__((noipa))
#endif
#define BENCH_UNUSED __attribute__((unused))

/* The compiler must assume that whatever is reachable from obj is used here. */
static inline void bench_keep(const void *obj) { __asm__ volatile("" : : "r"(obj) : "memory"); }

BENCH_UNUSED static void bench_init(void) {
    setvbuf(stdout, NULL, _IOLBF, 0); /* a killed run leaves its finished lines */
#if defined(BENCH_BOEHM)
    GC_INIT();
    GC_start_performance_measurement(); /* for "pause": the clock around each collection */
#endif
}

/* A full collection with nothing left to sweep, where the heap offers that. */
BENCH_UNUSED static void bench_gc(void) {
#if defined(BENCH_BOEHM)
    GC_gcollect();
#elif defined(BENCH_MOUND)
    mound_gc();
#endif
}

/* From now on nothing is collected. */
BENCH_UNUSED static void bench_gc_off(void) {
#if defined(BENCH_BOEHM)
    GC_disable();
#elif defined(BENCH_MOUND)
    mound_set_gc_percent(-1);
#endif
}

BENCH_UNUSED static void bench_free_os_memory(void) {
#if defined(BENCH_BOEHM)
    GC_gcollect_and_unmap();
#elif defined(BENCH_MOUND)
    mound_free_os_memory();
#endif
}

typedef struct bench_stats {
    uint64_t num_mallocs;  /* 0: the heap does not count them */
    uint64_t num_gc;       /* finished collections */
    uint64_t pause_ns;     /* time the program was stopped */
    double gc_cpu_seconds; /* spent in collections, by all workers */
    uint64_t sys_bytes;    /* got from the system */
} bench_stats;

BENCH_UNUSED static bench_stats bench_read_stats(void) {
    bench_stats st = {0};
#if defined(BENCH_BOEHM)
    st.num_gc = GC_get_gc_no();
    st.pause_ns = (uint64_t)GC_get_full_gc_total_time() * 1000000;
    st.gc_cpu_seconds = (double)st.pause_ns / 1e9 * (GC_get_parallel() + 1);
    st.sys_bytes = GC_get_heap_size() + GC_get_unmapped_bytes();
#elif defined(BENCH_MOUND)
    mound_mem_stats ms = {.struct_bytes = sizeof(ms)};
    mound_read_mem_stats(&ms);
    st.num_mallocs = ms.num_mallocs;
    st.num_gc = ms.num_gc;
    st.pause_ns = ms.pause_total_ns;
    st.gc_cpu_seconds = (double)ms.gc_cpu_ns / 1e9;
    st.sys_bytes = ms.heap_sys_bytes + ms.metadata_bytes;
#endif
    return st;
}

/* How long threads stood still, where the heap tells: how many stops fell into each bucket. */
#if !defined(BENCH_MOUND)
#define BENCH_STOP_BUCKETS 1
#define bench_stop_bucket_ns(i) ((uint64_t)(i))
#else
#define BENCH_STOP_BUCKETS MOUND_STOP_BUCKETS
#define bench_stop_bucket_ns(i) mound_stop_bucket_ns(i)
#endif

typedef struct bench_stops {
    uint64_t num, count[BENCH_STOP_BUCKETS];
} bench_stops;

/* Since before was read; NULL: since start. */
BENCH_UNUSED static bench_stops bench_read_stops(const bench_stops *before) {
    bench_stops stops = {0};
#if defined(BENCH_MOUND)
    mound_mem_stats ms = {.struct_bytes = sizeof(ms)};
    mound_read_mem_stats(&ms);
    for (unsigned i = 0; i < BENCH_STOP_BUCKETS; i++) {
        stops.count[i] = ms.stop_counts[i] - (before != NULL ? before->count[i] : 0);
        stops.num += stops.count[i];
    }
#else
    (void)before;
#endif
    return stops;
}

/* The upper end of the bucket below which a part q of the stops stayed, in microseconds. */
BENCH_UNUSED static double bench_stop_us(const bench_stops *stops, double q) {
    uint64_t seen = 0;
    for (unsigned i = 0; i < BENCH_STOP_BUCKETS; i++) {
        seen += stops->count[i];
        if (seen > 0 && (double)seen >= q * (double)stops->num) {
            return (double)bench_stop_bucket_ns(i + 1) / 1e3;
        }
    }
    return 0;
}

static inline int bench_num_cpus(void) { return (int)sysconf(_SC_NPROCESSORS_ONLN); }

/* Threads that mark: Go's P= in the mark lines. */
BENCH_UNUSED static int bench_num_workers(void) {
#if defined(BENCH_BOEHM)
    return GC_get_parallel() + 1;
#else
    const char *text = getenv("MOUND_GCWORKERS");
    return text != NULL ? atoi(text) : bench_num_cpus();
#endif
}

/* Boehm marks with one thread until a program starts another thread or asks for more; a program
 * about marking asks when GC_MARKERS says so. */
BENCH_UNUSED static void bench_start_workers(void) {
#if defined(BENCH_BOEHM)
    const char *text = getenv("GC_MARKERS");
    if (text != NULL && atoi(text) > 1) { GC_start_mark_threads(); }
#endif
}

/* ---------------------------------------------------------------- clock, random, order */

static inline uint64_t bench_now_ns(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* xorshift64 with the seed of the Go programs, so that both build the same graphs. */
static uint64_t bench_seed BENCH_UNUSED = 88172645463325252u;

static inline uint64_t bench_rand_next(uint64_t *seed) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static inline uint64_t bench_rand(void) { return bench_rand_next(&bench_seed); }

static int bench_compare_doubles(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* After this v[num / 2] is the median, v[0] the least and v[num - 1] the greatest. */
BENCH_UNUSED static void bench_sort(double *v, size_t num) {
    qsort(v, num, sizeof(*v), bench_compare_doubles);
}

/* Of v, sorted. */
BENCH_UNUSED static double bench_quantile(const double *v, size_t num, double q) {
    size_t i = (size_t)(q * (double)num);
    return v[i < num ? i : num - 1];
}

/* Memory of this process in RAM, in bytes. */
BENCH_UNUSED static size_t bench_rss_bytes(void) {
    unsigned long total = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f == NULL || fscanf(f, "%lu %lu", &total, &resident) != 2) { resident = 0; }
    if (f != NULL) { fclose(f); }
    return (size_t)resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* ---------------------------------------------------------------- flags */

typedef enum bench_flag_kind { BENCH_LONG, BENCH_BOOL, BENCH_TEXT } bench_flag_kind;

typedef struct bench_flag {
    const char *name; /* without the dash; NULL ends the list */
    bench_flag_kind kind;
    void *dest; /* long, bool or const char *, which holds the default */
    const char *help;
} bench_flag;

static void bench_usage(const char *program, const bench_flag *flags, const char *operand) {
    fprintf(stderr, "usage: %s [flags]%s%s\n", program, operand != NULL ? " " : "",
            operand != NULL ? operand : "");
    for (; flags->name != NULL; flags++) {
        fprintf(stderr, "  -%-8s %s", flags->name, flags->help);
        if (flags->kind == BENCH_LONG) { fprintf(stderr, " (default %ld)", *(long *)flags->dest); }
        fputc('\n', stderr);
    }
    exit(2);
}

static void bench_flag_set(const char *program, const bench_flag *flag, const char *value) {
    char *end = NULL;
    switch (flag->kind) {
    case BENCH_BOOL: *(bool *)flag->dest = true; break;
    case BENCH_TEXT: *(const char **)flag->dest = value; break;
    case BENCH_LONG:
        *(long *)flag->dest = strtol(value, &end, 10);
        if (end == value || *end != '\0') {
            fprintf(stderr, "%s: -%s needs a number, not \"%s\"\n", program, flag->name, value);
            exit(2);
        }
        break;
    }
}

/* Reads flags as Go's flag package does ("-t 2", "-t=2", "--t 2"), but in any order with the one
 * operand, which is returned (NULL: none). operand names it in the usage; NULL: none is allowed. */
BENCH_UNUSED static const char *bench_parse(int argc, char **argv, const bench_flag *flags,
                                            const char *operand) {
    const char *found = NULL;
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (arg[0] != '-' || arg[1] == '\0') {
            if (operand == NULL || found != NULL) { bench_usage(argv[0], flags, operand); }
            found = arg;
            continue;
        }
        arg += arg[1] == '-' ? 2 : 1;
        size_t len = strcspn(arg, "=");
        const bench_flag *flag = flags;
        while (flag->name != NULL && (strlen(flag->name) != len || strncmp(flag->name, arg, len))) {
            flag++;
        }
        const char *value = arg[len] == '=' ? arg + len + 1 : NULL;
        if (flag->name == NULL || (flag->kind == BENCH_BOOL && value != NULL)) {
            bench_usage(argv[0], flags, operand);
        }
        if (flag->kind != BENCH_BOOL && value == NULL) {
            if (i + 1 == argc) { bench_usage(argv[0], flags, operand); }
            value = argv[++i];
        }
        bench_flag_set(argv[0], flag, value);
    }
    return found;
}

#endif
