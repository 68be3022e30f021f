/* gaps.c - how long a thread that allocates is kept from it: gaps between batches of 1000.
 *
 * A binary tree of 48-byte nodes stays alive; then, for -secs seconds, nodes of the same size are
 * allocated and dropped as fast as they can be, and the clock is looked at after each 1000. A stop,
 * an assist, a page fault or a preemption shows as a gap. -nogc is the control, which shows the
 * gaps of the machine alone: instead of allocating it clears as much memory, in a buffer of the
 * size of a cache, and nothing is collected. Mirrors bench/go/gaps.
 */
#include "bench.h"

#define BATCH_LEN 1000
#define RING_LEN 64
#define BUFFER_BYTES (1 << 20)
#define MAX_GAPS (64u << 20)

typedef struct node {
    struct node *left, *right;
    uint64_t pay[4];
} node;

static long depth = 23, secs = 8;
static bool no_gc;
static node *root;

static BENCH_NOINLINE node *tree(long d) {
    node *n = bench_new(node);
    if (d > 0) {
        n->left = tree(d - 1);
        n->right = tree(d - 1);
    }
    return n;
}

static BENCH_NOINLINE void batch(node **ring) {
    for (int i = 0; i < BATCH_LEN; i++) { ring[i % RING_LEN] = bench_new(node); }
}

static BENCH_NOINLINE void control_batch(char *buffer, size_t *at) {
    for (int i = 0; i < BATCH_LEN; i++) {
        memset(buffer + *at, 0, sizeof(node));
        bench_keep(buffer);
        *at = (*at + sizeof(node)) % (BUFFER_BYTES - sizeof(node));
    }
}

int main(int argc, char **argv) {
    const bench_flag flags[] = {
        {"depth", BENCH_LONG, &depth, "of the tree: 2^(depth + 1) - 1 nodes"},
        {"secs", BENCH_LONG, &secs, "seconds of allocating"},
        {"nogc", BENCH_BOOL, &no_gc, "clear memory instead: the control"},
        {0},
    };
    bench_parse(argc, argv, flags, NULL);
    bench_init();
    double *gaps = calloc(MAX_GAPS, sizeof(*gaps)); /* microseconds */
    char *buffer = malloc(BUFFER_BYTES);
    if (gaps == NULL || buffer == NULL) { return 1; }
    root = tree(depth);
    bench_gc();
    node *ring[RING_LEN] = {0};
    size_t num = 0, at = 0;
    bench_stats before = bench_read_stats();
    uint64_t start = bench_now_ns(), last = start, end = start + (uint64_t)secs * 1000000000u;
    while (last < end && num < MAX_GAPS) {
        if (no_gc) {
            control_batch(buffer, &at);
        } else {
            batch(ring);
        }
        uint64_t now = bench_now_ns();
        gaps[num++] = (double)(now - last) / 1e3;
        last = now;
    }
    bench_stats after = bench_read_stats();
    bench_keep(ring);
    bench_keep(root);
    double elapsed = (double)(last - start) / 1e9;
    bench_sort(gaps, num);
    printf("RESULT gaps n=%zu p50=%.1fus p99=%.1fus p99.9=%.1fus p99.99=%.1fus max=%.1fus "
           "Mallocs/s=%.1f\n",
           num, bench_quantile(gaps, num, .5), bench_quantile(gaps, num, .99),
           bench_quantile(gaps, num, .999), bench_quantile(gaps, num, .9999), gaps[num - 1],
           (double)num * BATCH_LEN / 1e6 / elapsed);
    printf("RESULT run gcs=%lu pause_total=%.3fms\n", after.num_gc - before.num_gc,
           (double)(after.pause_ns - before.pause_ns) / 1e6);
    return 0;
}
