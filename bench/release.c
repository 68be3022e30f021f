/* release.c - does memory go back to the system?
 *
 * Builds 1.1 GB of 64-byte nodes, drops all but the first 100 MB and looks at the resident set:
 * at once after a collection that gives memory back (default), or while the process does nothing
 * (-idle SECONDS). bound is what is allowed: 1.15 x live + 16 MiB.
 *
 * Chains of 8 under a table, not one list: a single stale word on a stack keeps 512 bytes, not
 * everything that was built before it. What a dropped list keeps is a test of its own.
 */
#include "bench.h"

typedef struct node {
    struct node *next;
    uint64_t payload[7];
} node;

#define CHAIN_LEN 8
#define MIB ((double)(1 << 20))

typedef struct table {
    size_t num_chains;
    node **chains;
} table;

static table kept, dropped;

static size_t table_bytes(size_t num_chains) {
    return num_chains * (sizeof(node *) + CHAIN_LEN * sizeof(node));
}

BENCH_NOINLINE static void table_build(table *t, size_t bytes) {
    t->num_chains = bytes / table_bytes(1);
    t->chains = bench_new_array(node *, t->num_chains);
    for (size_t i = 0; i < t->num_chains; i++) {
        for (uint64_t j = 0; j < CHAIN_LEN; j++) {
            node *n = bench_new(node);
            n->next = t->chains[i];
            n->payload[0] = j;
            t->chains[i] = n;
        }
    }
}

BENCH_NOINLINE static size_t table_count(const table *t) {
    size_t num = 0;
    for (size_t i = 0; i < t->num_chains; i++) {
        for (const node *n = t->chains[i]; n != NULL; n = n->next) { num++; }
    }
    return num;
}

int main(int argc, char **argv) {
    long idle_seconds = 0, kept_mb = 100, dropped_mb = 1000;
    bool is_early = false;
    const bench_flag flags[] = {
        {"idle", BENCH_LONG, &idle_seconds, "wait this long and print the RSS each second"},
        {"early", BENCH_BOOL, &is_early, "end the wait when the RSS is within the bound"},
        {"keep", BENCH_LONG, &kept_mb, "MB kept"},
        {"drop", BENCH_LONG, &dropped_mb, "MB dropped"},
        {0},
    };
    bench_parse(argc, argv, flags, NULL);
    if (idle_seconds < 0 || kept_mb < 1 || dropped_mb < 0) { bench_usage(argv[0], flags, NULL); }
    bench_init();

    table_build(&kept, (size_t)kept_mb * 1000000);
    table_build(&dropped, (size_t)dropped_mb * 1000000);
    double live = (double)table_bytes(kept.num_chains), bound = 1.15 * live + 16 * MIB;
    size_t full = bench_rss_bytes();
    printf("built %zu nodes, rss=%.1fMiB\n", table_count(&kept) + table_count(&dropped),
           (double)full / MIB);
    dropped = (table){0};

    long within = -1;
    double rss = 0;
    if (idle_seconds == 0) {
        uint64_t start = bench_now_ns();
        bench_gc();
        bench_free_os_memory();
        printf("collected and given back in %.1fms\n", (double)(bench_now_ns() - start) / 1e6);
        rss = (double)bench_rss_bytes();
        within = rss <= bound ? 0 : -1;
    }
    for (long second = 1; second <= idle_seconds; second++) {
        struct timespec pause = {.tv_sec = 1};
        nanosleep(&pause, NULL);
        rss = (double)bench_rss_bytes();
        printf("idle %lds rss=%.1fMiB\n", second, rss / MIB);
        if (rss > bound) {
            within = -1;
        } else if (within < 0) {
            within = second;
            if (is_early) { break; }
        }
    }
    if (table_count(&kept) != kept.num_chains * CHAIN_LEN) {
        printf("FAILED\n");
        return 1;
    }
    bench_stats st = bench_read_stats();
    printf("RESULT release mode=%s live=%.1fMiB rss=%.1fMiB bound=%.1fMiB within=%lds full=%.1fMiB "
           "gcs=%lu\n",
           idle_seconds == 0 ? "now" : "idle", live / MIB, rss / MIB, bound / MIB, within,
           (double)full / MIB, st.num_gc);
    return 0;
}
