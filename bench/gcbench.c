/* gcbench.c - the classic GCBench of Ellis, Kovac and Boehm, with sizes of today.
 *
 * A stretch tree, then a long-lived tree and an array of numbers, then many short-lived trees of
 * each depth, built top-down (old objects point to new ones) and bottom-up. Mirrors
 * bench/go/gcbench.
 */
#include "bench.h"

typedef struct node {
    struct node *l, *r;
    long i, j;
} node;

#define MIN_DEPTH 4

static double *numbers;

static long tree_size(long depth) { return (1L << (depth + 1)) - 1; }

static void populate(long depth, node *n) {
    if (depth <= 0) { return; }
    depth--;
    n->l = bench_new(node);
    n->r = bench_new(node);
    populate(depth, n->l);
    populate(depth, n->r);
}

static node *make_tree(long depth) {
    if (depth <= 0) { return bench_new(node); }
    node *l = make_tree(depth - 1);
    node *r = make_tree(depth - 1);
    node *n = bench_new(node);
    n->l = l;
    n->r = r;
    return n;
}

BENCH_NOINLINE static void top_down(long depth, long num_trees) {
    for (long i = 0; i < num_trees; i++) {
        node *n = bench_new(node);
        populate(depth, n);
        bench_keep(n);
    }
}

BENCH_NOINLINE static void bottom_up(long depth, long num_trees) {
    for (long i = 0; i < num_trees; i++) { bench_keep(make_tree(depth)); }
}

int main(int argc, char **argv) {
    long stretch_depth = 22, long_depth = 20, num_numbers = 4000000, max_depth = 20;
    const bench_flag flags[] = {
        {"stretch", BENCH_LONG, &stretch_depth, "depth of the stretch tree"},
        {"long", BENCH_LONG, &long_depth, "depth of the long-lived tree"},
        {"arr", BENCH_LONG, &num_numbers, "doubles in the long-lived array"},
        {"max", BENCH_LONG, &max_depth, "greatest depth of the short-lived trees"},
        {0},
    };
    bench_parse(argc, argv, flags, NULL);
    if (stretch_depth < 1 || stretch_depth > 40 || long_depth < 1 || long_depth > 40 ||
        max_depth < MIN_DEPTH || max_depth > 40 || num_numbers < 2001) {
        bench_usage(argv[0], flags, "(depths 1 to 40, max at least 4, arr at least 2001)");
    }
    bench_init();

    uint64_t start = bench_now_ns();
    bottom_up(stretch_depth, 1);
    node *long_lived = bench_new(node);
    populate(long_depth, long_lived);
    numbers = bench_alloc_noscan((size_t)num_numbers * sizeof(double));
    for (long i = 1; i < num_numbers / 2; i++) { numbers[i] = 1.0 / (double)i; }
    uint64_t top_down_ns = 0, bottom_up_ns = 0;
    for (long d = MIN_DEPTH; d <= max_depth; d += 2) {
        long num_trees = 2 * tree_size(stretch_depth) / tree_size(d);
        uint64_t t0 = bench_now_ns();
        top_down(d, num_trees);
        uint64_t t1 = bench_now_ns();
        bottom_up(d, num_trees);
        top_down_ns += t1 - t0;
        bottom_up_ns += bench_now_ns() - t1;
    }
    bench_keep(long_lived);
    if (long_lived->l == NULL || numbers[1000] != 1.0 / 1000) {
        printf("FAILED\n");
        return 1;
    }

    double seconds = (double)(bench_now_ns() - start) / 1e9;
    bench_stats st = bench_read_stats();
    uint64_t mallocs = st.num_mallocs;
    if (mallocs == 0) { /* the heap does not count: what the loops above asked for */
        mallocs = (uint64_t)(tree_size(stretch_depth) + tree_size(long_depth) + 1);
        for (long d = MIN_DEPTH; d <= max_depth; d += 2) {
            long num_trees = 2 * tree_size(stretch_depth) / tree_size(d);
            mallocs += 2 * (uint64_t)(num_trees * tree_size(d));
        }
    }
    printf("RESULT gcbench wall=%.3fs topdown=%.3fs bottomup=%.3fs mallocs=%lu gcs=%lu "
           "pause_total=%.2fms maxsys=%luMiB\n",
           seconds, (double)top_down_ns / 1e9, (double)bottom_up_ns / 1e9, mallocs, st.num_gc,
           (double)st.pause_ns / 1e6, st.sys_bytes >> 20);
    return 0;
}
