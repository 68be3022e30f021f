/* mark.c - how long a full collection takes over five graphs in which everything is live.
 *
 * Workers come from the environment: MOUND_GCWORKERS for mound, GC_MARKERS for Boehm (the Go
 * program under bench/go/mark takes GOMAXPROCS). Beside the random list, which no collector can
 * walk in parallel, stands the bare pointer chase: what the memory alone costs.
 *
 * Each graph is built in a function of its own, so that main's frame holds none of it and only
 * the four variables below keep it alive.
 */
#include "bench.h"

typedef struct node64 {
    struct node64 *a, *b;
    uint64_t payload[6];
} node64;

typedef struct tree16 {
    struct tree16 *l, *r;
} tree16;

typedef struct block1k {
    node64 *p[128];
} block1k;

BENCH_TYPE(node64, a, b);
BENCH_TYPE(tree16, l, r);

#define NUM_REPS 5

static bool is_typed;

static node64 **chains;
static node64 *head;
static tree16 *tree;
static block1k **blocks;

static node64 *new_node64(void) { return is_typed ? bench_new_typed(node64) : bench_new(node64); }

static tree16 *new_tree16(void) { return is_typed ? bench_new_typed(tree16) : bench_new(tree16); }

/* Dead frames of the builders would keep parts of an old graph alive, now and then: no part of
 * what is measured here. */
BENCH_NOINLINE static void clear_dead_frames(void) {
    char dead[32 << 10];
    memset(dead, 0, sizeof(dead));
    bench_keep(dead);
}

BENCH_NOINLINE static void measure_in_clean_frame(const char *name, size_t num_objects,
                                                  size_t bytes) {
    bench_gc();
    double ms[NUM_REPS];
    for (int i = 0; i < NUM_REPS; i++) {
        uint64_t start = bench_now_ns();
        bench_gc();
        ms[i] = (double)(bench_now_ns() - start) / 1e6;
    }
    bench_sort(ms, NUM_REPS);
    double median = ms[NUM_REPS / 2];
    printf("RESULT mark %-34s objs=%.1fM %4zu MiB GC()=%.2fms (min %.2f max %.2f) %.2f ns/obj "
           "%.2f GB/s P=%d\n",
           name, (double)num_objects / 1e6, bytes >> 20, median, ms[0], ms[NUM_REPS - 1],
           median * 1e6 / (double)num_objects, (double)bytes / median / 1e6, bench_num_workers());
}

/* The list that starts at head, read from end to end as often as measure() collects. */
BENCH_NOINLINE static void measure_chase(const char *name, size_t bytes) {
    double ms[NUM_REPS + 1];
    size_t num_objects = 0;
    for (int i = 0; i < NUM_REPS + 1; i++) {
        num_objects = 0;
        uint64_t start = bench_now_ns();
        for (const node64 *n = head; n != NULL; n = n->a) { num_objects++; }
        ms[i] = (double)(bench_now_ns() - start) / 1e6;
    }
    bench_sort(ms + 1, NUM_REPS); /* the first round warms up */
    double median = ms[1 + NUM_REPS / 2];
    printf("RESULT chase %-33s objs=%.1fM %4zu MiB walk=%.2fms (min %.2f max %.2f) %.2f ns/obj "
           "%.2f GB/s P=1\n",
           name, (double)num_objects / 1e6, bytes >> 20, median, ms[1], ms[NUM_REPS],
           median * 1e6 / (double)num_objects, (double)bytes / median / 1e6);
}

/* Chains of 8, in allocation order. */
BENCH_NOINLINE static void build_chains(size_t num) {
    chains = bench_new_array(node64 *, num / 8);
    for (size_t i = 0; i < num / 8; i++) {
        for (int j = 0; j < 8; j++) {
            node64 *n = new_node64();
            n->a = chains[i];
            chains[i] = n;
        }
    }
}

static void shuffle(node64 **nodes, size_t num) {
    for (size_t i = num - 1; i > 0; i--) {
        size_t j = bench_rand() % (i + 1);
        node64 *n = nodes[i];
        nodes[i] = nodes[j];
        nodes[j] = n;
    }
}

/* The same nodes as a binary tree over a random permutation of them. */
BENCH_NOINLINE static void build_random_tree(size_t num) {
    node64 **flat = bench_new_array(node64 *, num);
    size_t len = 0;
    for (size_t i = 0; i < num / 8; i++) {
        for (node64 *n = chains[i]; n != NULL; n = n->a) { flat[len++] = n; }
    }
    for (size_t i = 0; i < num; i++) { flat[i]->b = flat[bench_rand() % num]; }
    shuffle(flat, num);
    for (size_t i = 0; i < num; i++) {
        flat[i]->a = 2 * i + 1 < num ? flat[2 * i + 1] : NULL;
        if (2 * i + 2 < num) { flat[i]->b = flat[2 * i + 2]; }
    }
    head = flat[0];
    chains = NULL;
    bench_keep(flat);
}

BENCH_NOINLINE static void build_random_list(size_t num) {
    head = NULL;
    node64 **flat = bench_new_array(node64 *, num);
    for (size_t i = 0; i < num; i++) { flat[i] = new_node64(); }
    shuffle(flat, num);
    for (size_t i = 0; i + 1 < num; i++) { flat[i]->a = flat[i + 1]; }
    head = flat[0];
    bench_keep(flat);
}

static tree16 *build_tree(int depth) {
    if (depth == 0) { return new_tree16(); }
    tree16 *l = build_tree(depth - 1);
    tree16 *r = build_tree(depth - 1);
    tree16 *t = new_tree16();
    t->l = l;
    t->r = r;
    return t;
}

/* Objects full of pointers to few targets: most edges lead to something already marked. */
BENCH_NOINLINE static void build_blocks(size_t num) {
    const size_t num_targets = 1 << 16;
    blocks = bench_new_array(block1k *, num);
    node64 **targets = bench_new_array(node64 *, num_targets);
    for (size_t i = 0; i < num_targets; i++) { targets[i] = new_node64(); }
    for (size_t i = 0; i < num; i++) {
        blocks[i] = bench_new(block1k);
        for (size_t j = 0; j < 128; j++) { blocks[i]->p[j] = targets[bench_rand() & 0xffff]; }
    }
    bench_keep(targets);
}

/* What building the graph left on the stack must not lie in the frames of the measurement. */
static void measure(const char *name, size_t num_objects, size_t bytes) {
    clear_dead_frames();
    measure_in_clean_frame(name, num_objects, bytes);
}

int main(int argc, char **argv) {
    const bench_flag flags[] = {
        {"typed", BENCH_BOOL, &is_typed, "64 B and 16 B objects with type descriptors"},
        {0},
    };
    bench_parse(argc, argv, flags, NULL);
    if (is_typed && !BENCH_HAS_TYPES) {
        fprintf(stderr, "mark: %s has no typed allocation\n", BENCH_HEAP);
        return 2;
    }
    bench_init();
    bench_start_workers();

    const size_t num = 3 << 20, num_list = 1 << 19;
    build_chains(num);
    measure("64B chains of 8, alloc order", num, num * 64);
    build_random_tree(num);
    measure("64B tree in random order", num, num * 64);
    build_random_list(num_list);
    measure("64B linked list, random order", num_list, num_list * 64);
    measure_chase("64B linked list, random order", num_list * 64);
    bench_keep(head);
    head = NULL;
    tree = build_tree(21);
    measure("16B binary tree depth 21", 1 << 22, (size_t)16 << 22);
    bench_keep(tree);
    tree = NULL;
    build_blocks(1 << 17);
    measure("1KiB all-pointer objs (->64Ki targets)", 1 << 17, 1 << 27);
    bench_keep(blocks);
    bench_stats st = bench_read_stats();
    printf("gcs=%lu pause=%.1fms sys=%luMiB\n", st.num_gc, (double)st.pause_ns / 1e6,
           st.sys_bytes >> 20);
    return 0;
}
