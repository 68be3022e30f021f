/* alloc.c - nanoseconds per allocation by size, scanned and not, on 1 to N threads.
 *
 * Each thread keeps its last 16 objects in a ring on its stack, so nearly everything is garbage
 * at once and the live heap is almost empty: the price of the allocator, of zeroing and of the
 * collections that the garbage causes. Mirrors bench/go/alloc.
 */
#include "bench.h"

#include <assert.h>

#define RING_LEN 16
#define MAX_REPS 99

static long num_threads = 1;
static long num_reps = 3;
static const char *only = "";

typedef struct job {
    void (*loop)(long num, void **ring);
    long num;
} job;

/* One loop per type, as Go instantiates one per type parameter: the size is a constant in it. */
#define ALLOC_LOOP(size, num_words)                                                                \
    typedef struct scan##size {                                                                    \
        char *p;                                                                                   \
        uint64_t a[(num_words)-1];                                                                 \
    } scan##size;                                                                                  \
    typedef struct noscan##size {                                                                  \
        uint64_t a[num_words];                                                                     \
    } noscan##size;                                                                                \
    static_assert(sizeof(scan##size) == (size) && sizeof(noscan##size) == (size), "size");         \
    BENCH_NOINLINE static void loop_scan##size(long num, void **ring) {                            \
        for (long i = 0; i < num; i++) { ring[i & (RING_LEN - 1)] = bench_new(scan##size); }       \
    }                                                                                              \
    BENCH_NOINLINE static void loop_noscan##size(long num, void **ring) {                          \
        for (long i = 0; i < num; i++) {                                                           \
            ring[i & (RING_LEN - 1)] = bench_new_noscan(noscan##size);                             \
        }                                                                                          \
    }

ALLOC_LOOP(16, 2)
ALLOC_LOOP(64, 8)
ALLOC_LOOP(256, 32)
ALLOC_LOOP(1024, 128)
ALLOC_LOOP(32768, 4096)

static void *thread_main(void *arg) {
    const job *j = arg;
    void *ring[RING_LEN] = {0};
    j->loop(j->num, ring);
    bench_keep(ring);
    return NULL;
}

/* only is a list of pieces between commas; one must occur in the label. */
static bool is_wanted(const char *label) {
    if (*only == '\0') { return true; }
    for (const char *piece = only; *piece != '\0';) {
        size_t len = strcspn(piece, ",");
        for (const char *at = label; len > 0 && *at != '\0'; at++) {
            if (strncmp(at, piece, len) == 0) { return true; }
        }
        piece += len + (piece[len] == ',');
    }
    return false;
}

static void run(const char *name, int size, void (*loop)(long, void **)) {
    char label[64];
    snprintf(label, sizeof(label), "%s size=%d", name, size);
    if (!is_wanted(label)) { return; }
    long per = size >= 32768 ? 150000 : size >= 1024 ? 4000000 : size > 64 ? 12000000 : 40000000;
    double ns[MAX_REPS];
    for (long rep = 0; rep < num_reps; rep++) {
        bench_gc();
        pthread_t threads[64];
        job j = {loop, per / num_threads};
        uint64_t start = bench_now_ns();
        for (long t = 0; t < num_threads; t++) {
            if (pthread_create(&threads[t], NULL, thread_main, &j) != 0) {
                fprintf(stderr, "alloc: cannot start thread %ld\n", t);
                exit(1);
            }
        }
        for (long t = 0; t < num_threads; t++) { pthread_join(threads[t], NULL); }
        ns[rep] = (double)(bench_now_ns() - start) * (double)num_threads / (double)per;
    }
    bench_sort(ns, (size_t)num_reps);
    printf("RESULT alloc %s threads=%ld ns/alloc/thread=%.1f (min %.1f max %.1f)\n", label,
           num_threads, ns[num_reps / 2], ns[0], ns[num_reps - 1]);
}

int main(int argc, char **argv) {
    const bench_flag flags[] = {
        {"t", BENCH_LONG, &num_threads, "threads, 1 to 64"},
        {"reps", BENCH_LONG, &num_reps, "repetitions of each row; the median is printed"},
        {"only", BENCH_TEXT, &only, "rows whose label has one of these, \"size=16,size=64\""},
        {0},
    };
    bench_parse(argc, argv, flags, NULL);
    if (num_threads < 1 || num_threads > 64 || num_reps < 1 || num_reps > MAX_REPS) {
        fprintf(stderr, "alloc: -t is 1 to 64, -reps 1 to %d\n", MAX_REPS);
        return 2;
    }
    bench_init();
    run("noscan", 16, loop_noscan16);
    run("noscan", 64, loop_noscan64);
    run("noscan", 256, loop_noscan256);
    run("noscan", 1024, loop_noscan1024);
    run("noscan", 32768, loop_noscan32768);
    run("scan", 16, loop_scan16);
    run("scan", 64, loop_scan64);
    run("scan", 256, loop_scan256);
    run("scan", 1024, loop_scan1024);
    run("scan", 32768, loop_scan32768);
    bench_stats st = bench_read_stats();
    printf("gcs=%lu pause=%.1fms sys=%luMiB\n", st.num_gc, (double)st.pause_ns / 1e6,
           st.sys_bytes >> 20);
    return 0;
}
