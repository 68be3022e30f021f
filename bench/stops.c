/* stops.c - how long a thread stands still while its large heap is collected over and over.
 *
 * -mb MiB of live 64-byte nodes in chains of eight, whose heads stand in one array. One thread
 * exchanges heads and writes to nodes at random, -stores stores a second, and is stopped twice in
 * each of -cycles collections that run one after the other. What counts is the time in which it
 * stood still (inside the signal handler), and what a second of marking gets done meanwhile. For
 * mound only: other heaps do not say how long one thread stood. -nogc is the control, since on a
 * busy machine whatever takes a millisecond takes longer now and then: that many milliseconds of
 * arithmetic.
 */
#define _GNU_SOURCE
#include "bench.h"

#define CHAIN_LEN 8
#define STEP_NS 1000000

typedef struct node {
    struct node *next;
    uint64_t pay[7];
} node;

static long live_mib = 1024, cycles = 1000, stores = 100000;
static bool no_gc;
static node **slots;
static size_t num_slots;
static bool is_over;

static BENCH_NOINLINE void build(void) {
    num_slots = (size_t)live_mib * 1048576 / sizeof(node) / CHAIN_LEN;
    slots = bench_new_array(node *, num_slots);
    for (size_t i = 0; i < num_slots; i++) {
        for (int k = 0; k < CHAIN_LEN; k++) {
            node *n = bench_new(node);
            n->next = slots[i];
            slots[i] = n;
        }
    }
}

/* Four stores: two heads change places, and their nodes are written, each on a page of its own. */
static void exchange(void) {
    uint64_t r = bench_rand();
    node **a = &slots[(uint32_t)r % num_slots], **b = &slots[(r >> 32) % num_slots];
    node *held = *a;
    *a = *b;
    *b = held;
    (*a)->pay[0]++;
    (*b)->pay[0]++;
}

static void *store_main(void *arg) {
    uint64_t due = bench_now_ns();
    long per_step = stores * STEP_NS / 1000000000;
    while (!__atomic_load_n(&is_over, __ATOMIC_RELAXED)) {
        for (long i = 0; i < per_step; i += 4) exchange();
        due += STEP_NS;
        struct timespec ts = {(time_t)(due / 1000000000), (long)(due % 1000000000)};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
    }
    return arg;
}

static void compute(uint64_t steps) {
    static volatile uint64_t sink;
    uint64_t x = sink;
    for (uint64_t i = 0; i < steps; i++) x = x * 6364136223846793005u + 1;
    sink = x;
}

static void run_control(void) {
    enum { CALIBRATION_STEPS = 1000000 };
    size_t num = 2 * (size_t)cycles;
    double *us = malloc(num * sizeof(*us)), best = 0;
    if (us == NULL) exit(1);
    for (int i = 0; i < 20; i++) {
        uint64_t begin = bench_now_ns();
        compute(CALIBRATION_STEPS);
        double rate = CALIBRATION_STEPS / (double)(bench_now_ns() - begin);
        if (rate > best) best = rate;
    }
    for (size_t i = 0; i < num; i++) {
        uint64_t begin = bench_now_ns();
        compute((uint64_t)(best * 1e6));
        us[i] = (double)(bench_now_ns() - begin) / 1e3;
        nanosleep(&(struct timespec){0, 2 * STEP_NS}, NULL);
    }
    bench_sort(us, num);
    printf("RESULT stops n=%zu p50=%.0fus p99=%.0fus p99.9=%.0fus max=%.0fus\n", num,
           bench_quantile(us, num, .5), bench_quantile(us, num, .99), bench_quantile(us, num, .999),
           us[num - 1]);
}

static uint64_t live_bytes(void) {
    mound_mem_stats ms = {.struct_bytes = sizeof(ms)};
    mound_read_mem_stats(&ms);
    return ms.heap_marked_bytes;
}

int main(int argc, char **argv) {
    const bench_flag flags[] = {
        {"mb", BENCH_LONG, &live_mib, "MiB of live nodes"},
        {"cycles", BENCH_LONG, &cycles, "collections"},
        {"stores", BENCH_LONG, &stores, "stores a second"},
        {"nogc", BENCH_BOOL, &no_gc, "a millisecond of arithmetic instead: the control"},
        {0},
    };
    bench_parse(argc, argv, flags, NULL);
    if (live_mib < 1 || cycles < 1 || stores < 0) {
        fprintf(stderr, "stops: -mb and -cycles are at least 1, -stores is not negative\n");
        return 2;
    }
    bench_init();
    build();
    bench_gc();
    pthread_t thread;
    if (pthread_create(&thread, NULL, store_main, NULL) != 0) return 1;
    if (no_gc) {
        run_control();
        return 0;
    }
    bench_stats before = bench_read_stats();
    bench_stops stops_before = bench_read_stops(NULL);
    uint64_t marked = 0;
    for (long i = 0; i < cycles; i++) {
        bench_gc();
        marked += live_bytes();
    }
    bench_stats after = bench_read_stats();
    __atomic_store_n(&is_over, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    bench_stops stops = bench_read_stops(&stops_before);
    double cpu = after.gc_cpu_seconds - before.gc_cpu_seconds;
    printf("RESULT stops n=%lu p50=%.0fus p99=%.0fus p99.9=%.0fus max=%.0fus mark=%.2fGB/s\n",
           stops.num, bench_stop_us(&stops, .5), bench_stop_us(&stops, .99),
           bench_stop_us(&stops, .999), bench_stop_us(&stops, 1),
           cpu > 0 ? (double)marked / 1e9 / cpu : 0);
    printf("RESULT run live=%ldMiB gcs=%lu pause_total=%.3fms\n", live_mib,
           after.num_gc - before.num_gc, (double)(after.pause_ns - before.pause_ns) / 1e6);
    bench_keep(slots);
    return 0;
}
