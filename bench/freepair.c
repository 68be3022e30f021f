/* freepair.c - one thread allocates a batch of zeroed objects and frees it by hand.
 *
 * The batch is freed last-in first-out or in one fixed random order; 64 live objects stay in the
 * first-level cache, 1000 do not. Reported beside mimalloc's mi_zalloc + mi_free: no collector
 * takes part, so this shows what the collector's needs cost an ordinary allocator.
 */
#include "bench.h"

#define MAX_BATCH 1000
#define MAX_REPS 99

static long num_reps = 3;

/* The objects are written to, so that none can be handed out again as known zero. */
BENCH_NOINLINE static void pairs(size_t size, const unsigned *order, unsigned batch, long rounds) {
    void *live[MAX_BATCH];
    for (long round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < batch; i++) {
            uint64_t *obj = bench_alloc(size);
            *obj = i + 1;
            live[i] = obj;
        }
        for (unsigned i = 0; i < batch; i++) { bench_free(live[order[i]]); }
    }
    bench_keep(live);
}

static void run(size_t size, unsigned batch, bool is_random) {
    unsigned order[MAX_BATCH];
    for (unsigned i = 0; i < batch; i++) { order[i] = batch - 1 - i; }
    for (unsigned i = batch - 1; is_random && i > 0; i--) {
        unsigned j = (unsigned)(bench_rand() % (i + 1)), old = order[i];
        order[i] = order[j];
        order[j] = old;
    }
    const long rounds = 2000000 / batch;
    double ns[MAX_REPS];
    pairs(size, order, batch, rounds / 10 + 1);
    for (long rep = 0; rep < num_reps; rep++) {
        uint64_t start = bench_now_ns();
        pairs(size, order, batch, rounds);
        ns[rep] = (double)(bench_now_ns() - start) / (double)(rounds * batch);
    }
    bench_sort(ns, (size_t)num_reps);
    printf("RESULT freepair size=%zu batch=%u order=%s ns/pair=%.2f (min %.2f max %.2f)\n", size,
           batch, is_random ? "random" : "lifo", ns[num_reps / 2], ns[0], ns[num_reps - 1]);
}

int main(int argc, char **argv) {
    const bench_flag flags[] = {
        {"reps", BENCH_LONG, &num_reps, "repetitions of each row; the median is printed"},
        {0},
    };
    bench_parse(argc, argv, flags, NULL);
    if (num_reps < 1 || num_reps > MAX_REPS) {
        fprintf(stderr, "freepair: -reps is 1 to %d\n", MAX_REPS);
        return 2;
    }
    bench_init();
    static const size_t sizes[] = {16, 32, 64, 128, 256, 512, 1024};
    static const unsigned batches[] = {64, MAX_BATCH};
    for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
        for (size_t b = 0; b < sizeof(batches) / sizeof(*batches); b++) {
            run(sizes[s], batches[b], false);
            run(sizes[s], batches[b], true);
        }
    }
    bench_stats st = bench_read_stats();
    printf("gcs=%lu pause=%.1fms sys=%luMiB\n", st.num_gc, (double)st.pause_ns / 1e6,
           st.sys_bytes >> 20);
    return 0;
}
