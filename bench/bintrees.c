/* bintrees.c - binary trees in the shape of the benchmarks game: bintrees [-p] [-typed] DEPTH.
 *
 * One long-lived tree of DEPTH and many short-lived ones of all smaller depths, built bottom-up.
 * -p builds each depth on a thread of its own. Mirrors bench/go/bintrees.
 */
#include "bench.h"

typedef struct node {
    struct node *l, *r;
} node;

BENCH_TYPE(node, l, r);

#define MIN_DEPTH 4
#define MAX_DEPTH 30

#define BOTTOM_UP(name, new_node)                                                                  \
    static node *name(int depth) {                                                                 \
        if (depth <= 0) { return new_node(node); }                                                 \
        node *l = name(depth - 1);                                                                 \
        node *r = name(depth - 1);                                                                 \
        node *n = new_node(node);                                                                  \
        n->l = l;                                                                                  \
        n->r = r;                                                                                  \
        return n;                                                                                  \
    }

BOTTOM_UP(bottom_up_untyped, bench_new)
BOTTOM_UP(bottom_up_typed, bench_new_typed)

static bool is_typed;

static node *bottom_up(int depth) {
    return is_typed ? bottom_up_typed(depth) : bottom_up_untyped(depth);
}

static long check(const node *n) { return n->l == NULL ? 1 : 1 + check(n->l) + check(n->r); }

typedef struct step {
    int depth;
    long num_trees;
    long total; /* out: nodes counted */
} step;

static void *step_run(void *arg) {
    step *s = arg;
    long total = 0;
    for (long i = 0; i < s->num_trees; i++) { total += check(bottom_up(s->depth)); }
    s->total = total;
    return NULL;
}

/* In a function of its own so that no slot of main's frame holds the stretch tree. */
BENCH_NOINLINE static long stretch(int depth) { return check(bottom_up(depth)); }

int main(int argc, char **argv) {
    bool is_parallel = false;
    const bench_flag flags[] = {
        {"p", BENCH_BOOL, &is_parallel, "one thread per depth step"},
        {"typed", BENCH_BOOL, &is_typed, "nodes with a type descriptor"},
        {0},
    };
    const char *text = bench_parse(argc, argv, flags, "DEPTH");
    int depth = text != NULL ? atoi(text) : 0;
    if (depth < 1 || depth > MAX_DEPTH) { bench_usage(argv[0], flags, "DEPTH (1 to 30)"); }
    if (is_typed && !BENCH_HAS_TYPES) {
        fprintf(stderr, "bintrees: %s has no typed allocation\n", BENCH_HEAP);
        return 2;
    }
    bench_init();

    uint64_t start = bench_now_ns();
    long stretched = stretch(depth + 1);
    printf("stretch %d check %ld\n", depth + 1, stretched);
    node *long_lived = bottom_up(depth);
    step steps[MAX_DEPTH];
    pthread_t threads[MAX_DEPTH];
    int num_steps = 0;
    for (int d = MIN_DEPTH; d <= depth; d += 2) {
        step *s = &steps[num_steps];
        *s = (step){.depth = d, .num_trees = 1L << (depth - d + MIN_DEPTH)};
        if (!is_parallel) {
            step_run(s);
        } else if (pthread_create(&threads[num_steps], NULL, step_run, s) != 0) {
            fprintf(stderr, "bintrees: cannot start thread %d\n", num_steps);
            return 1;
        }
        num_steps++;
    }
    long total = 0;
    for (int i = 0; i < num_steps; i++) {
        if (is_parallel) { pthread_join(threads[i], NULL); }
        total += steps[i].total;
    }
    long long_nodes = check(long_lived);
    printf("total %ld long %ld\n", total, long_nodes);
    bench_keep(long_lived);

    double seconds = (double)(bench_now_ns() - start) / 1e9;
    bench_stats st = bench_read_stats();
    uint64_t mallocs =
        st.num_mallocs != 0 ? st.num_mallocs : (uint64_t)(stretched + total + long_nodes);
    printf("RESULT bintrees depth=%d par=%s wall=%.3fs mallocs=%lu ns/alloc=%.1f gcs=%lu "
           "pause_total=%.2fms gccpu=%.3f sys=%luMiB\n",
           depth, is_parallel ? "true" : "false", seconds, mallocs, seconds * 1e9 / (double)mallocs,
           st.num_gc, (double)st.pause_ns / 1e6, st.gc_cpu_seconds / (seconds * bench_num_cpus()),
           st.sys_bytes >> 20);
    return 0;
}
