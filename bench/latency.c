/* latency.c - response times of an open loop beside a large live heap.
 *
 * -mb MiB of live 64-byte nodes in chains of eight, whose heads stand in one array. Each of -t
 * threads is sent -rate requests a second on a fixed schedule, whether or not the last one is done;
 * a request allocates -req nodes, links half of them into random chains in place of what was there,
 * and drops the rest. What counts is the time from when a request was due to its end: a stop of 20
 * ms at 2000 requests a second is 40 late responses, not one.
 *
 * A thread sleeps until shortly before a request is due and then looks at the clock, giving way to
 * others (Go's looks at the clock all the time). -nogc is the control, since on a busy machine a
 * program that only reads the clock is late too: once the graph is built nothing is allocated and
 * nothing collected, a request fills old nodes anew. Mirrors bench/go/latency.
 */
#define _GNU_SOURCE
#include "bench.h"

#include <sched.h>

#define CHAIN_LEN 8
#define SLEEP_MARGIN_NS 150000
#define MAX_THREADS 64

typedef struct node {
    struct node *a, *b, *c, *d;
    uint64_t pay[4];
} node;

static long live_mib = 1024, secs = 25, rate = 2000, num_nodes = 1000, num_threads = 1;
static bool no_gc;
static node **slots;
static size_t num_slots;

typedef struct loop {
    size_t first, num; /* slots that are this thread's */
    uint64_t seed;
    size_t num_requests;
    double *late_us, *service_us;
} loop;

static BENCH_NOINLINE void build(void) {
    size_t num = (size_t)live_mib * 1048576 / sizeof(node);
    num_slots = num / CHAIN_LEN;
    slots = bench_new_array(node *, num_slots);
    for (size_t i = 0; i < num_slots; i++) {
        node *head = NULL;
        for (int k = 0; k < CHAIN_LEN; k++) {
            node *n = bench_new(node);
            n->a = n->c = head;
            head = n;
        }
        slots[i] = head;
    }
}

/* Work of the same kind without a heap: the nodes of a random chain are filled anew, and as many of
 * a small pool. */
static BENCH_NOINLINE void serve_control(loop *l) {
    static __thread node pool[1024];
    for (long left = num_nodes, at = 0; left >= 2 * CHAIN_LEN; left -= 2 * CHAIN_LEN) {
        node *n = slots[l->first + bench_rand_next(&l->seed) % l->num];
        for (int k = 0; k < CHAIN_LEN; k++, at++) {
            node *next = n->a, *spare = &pool[at % 1024];
            memset(spare, 0, sizeof(*spare));
            bench_keep(spare);
            n->a = n->c = next;
            n->pay[0] = (uint64_t)k;
            if (next != NULL) n = next;
        }
    }
}

static BENCH_NOINLINE void serve(loop *l) {
    for (long left = num_nodes; left >= 2 * CHAIN_LEN; left -= 2 * CHAIN_LEN) {
        node *kept = NULL, *dropped = NULL;
        for (int k = 0; k < CHAIN_LEN; k++) {
            node *n = bench_new(node);
            n->a = n->c = kept;
            n->pay[0] = (uint64_t)k;
            kept = n;
            n = bench_new(node);
            n->a = dropped;
            dropped = n;
        }
        bench_keep(dropped);
        node **slot = &slots[l->first + bench_rand_next(&l->seed) % l->num];
        *slot = kept;
    }
}

static void wait_until(uint64_t due_ns) {
    uint64_t now = bench_now_ns();
    if (now + 2 * SLEEP_MARGIN_NS < due_ns) {
        uint64_t wake = due_ns - SLEEP_MARGIN_NS;
        struct timespec ts = {(time_t)(wake / 1000000000), (long)(wake % 1000000000)};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
    }
    while (bench_now_ns() < due_ns) sched_yield();
}

static void *loop_main(void *arg) {
    loop *l = arg;
    uint64_t gap = 1000000000u / (uint64_t)rate, start = bench_now_ns();
    for (size_t i = 0; i < l->num_requests; i++) {
        uint64_t due = start + i * gap;
        wait_until(due);
        uint64_t begin = bench_now_ns();
        if (no_gc) {
            serve_control(l);
        } else {
            serve(l);
        }
        uint64_t end = bench_now_ns();
        l->late_us[i] = (double)(end - due) / 1e3;
        l->service_us[i] = (double)(end - begin) / 1e3;
    }
    return NULL;
}

static void report(const char *name, double *v, size_t num) {
    bench_sort(v, num);
    printf("RESULT latency %s n=%zu p50=%.1fus p99=%.1fus p99.9=%.1fus p99.99=%.1fus max=%.1fus\n",
           name, num, bench_quantile(v, num, .5), bench_quantile(v, num, .99),
           bench_quantile(v, num, .999), bench_quantile(v, num, .9999), v[num - 1]);
}

int main(int argc, char **argv) {
    const bench_flag flags[] = {
        {"mb", BENCH_LONG, &live_mib, "MiB of live nodes"},
        {"secs", BENCH_LONG, &secs, "seconds of requests"},
        {"rate", BENCH_LONG, &rate, "requests a second, of each thread"},
        {"req", BENCH_LONG, &num_nodes, "nodes a request allocates"},
        {"t", BENCH_LONG, &num_threads, "threads, 1 to 64"},
        {"nogc", BENCH_BOOL, &no_gc, "no collections: the control"},
        {0},
    };
    bench_parse(argc, argv, flags, NULL);
    if (num_threads < 1 || num_threads > MAX_THREADS || rate < 1 || secs < 1 || live_mib < 1) {
        fprintf(stderr, "latency: -t is 1 to %d, the others at least 1\n", MAX_THREADS);
        return 2;
    }
    bench_init();
    build();
    bench_gc();
    if (no_gc) { bench_gc_off(); }
    size_t num = (size_t)(secs * rate);
    loop loops[MAX_THREADS];
    pthread_t threads[MAX_THREADS];
    double *late = malloc(num * (size_t)num_threads * sizeof(*late)),
           *service = malloc(num * (size_t)num_threads * sizeof(*service));
    if (late == NULL || service == NULL) return 1;
    memset(late, 0, num * (size_t)num_threads * sizeof(*late));
    memset(service, 0, num * (size_t)num_threads * sizeof(*service));
    bench_stats before = bench_read_stats();
    bench_stops stops_before = bench_read_stops(NULL);
    uint64_t start = bench_now_ns();
    size_t part = num_slots / (size_t)num_threads;
    for (long t = 0; t < num_threads; t++) {
        loops[t] = (loop){(size_t)t * part,
                          part,
                          88172645463325252u + (uint64_t)t,
                          num,
                          late + (size_t)t * num,
                          service + (size_t)t * num};
        if (pthread_create(&threads[t], NULL, loop_main, &loops[t]) != 0) return 1;
    }
    for (long t = 0; t < num_threads; t++) pthread_join(threads[t], NULL);
    double elapsed = (double)(bench_now_ns() - start) / 1e9;
    bench_stats after = bench_read_stats();
    report("open-loop", late, num * (size_t)num_threads);
    report("service", service, num * (size_t)num_threads);
    printf("RESULT run live=%ldMiB secs=%.1f gcs=%lu pause_total=%.3fms\n", live_mib, elapsed,
           after.num_gc - before.num_gc, (double)(after.pause_ns - before.pause_ns) / 1e6);
    bench_stops stops = bench_read_stops(&stops_before);
    if (stops.num > 0) {
        printf("stops of single threads: n=%lu p50<=%.0fus p99<=%.0fus max<=%.0fus\n", stops.num,
               bench_stop_us(&stops, .5), bench_stop_us(&stops, .99), bench_stop_us(&stops, 1));
    }
    bench_keep(slots);
    return 0;
}
