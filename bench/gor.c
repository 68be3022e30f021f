/* gor.c - goroutines, channels and locks: gor TEST...
 *
 * Each test prints the median of five or seven repetitions. Mirrors bench/go/gor; an int is four
 * bytes here and eight there, and a channel of signals, chan struct{} there, is one of char.
 */
#include "bench.h"

#define MAX_REPS 9

typedef MOUND_CHAN(int) int_chan;
typedef MOUND_CHAN(long) long_chan;
typedef MOUND_CHAN(uint64_t) word_chan;
typedef MOUND_CHAN(char) signal_chan;

/* ---------------------------------------------------------------- measuring */

typedef double (*measure_fn)(long param);

static void report(const char *name, const char *unit, size_t num, measure_fn fn, long param) {
    double v[MAX_REPS];
    for (size_t i = 0; i < num; i++) { v[i] = fn(param); }
    bench_sort(v, num);
    printf("RESULT gor %s %.1f %s (min %.1f max %.1f) P=%d\n", name, v[num / 2], unit, v[0],
           v[num - 1], mound_gomaxprocs(0));
}

static double ns_since(uint64_t start, long num) {
    return (double)(bench_now_ns() - start) / (double)num;
}

static double ms_between(uint64_t start, uint64_t end) { return (double)(end - start) / 1e6; }

/* Of this process, in KiB: what is in RAM, and the page tables, which are not part of that. */
typedef struct footprint {
    long rss, page_tables;
} footprint;

static footprint read_footprint(void) {
    footprint fp = {0};
    char line[256];
    FILE *f = fopen("/proc/self/status", "r");
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        if (sscanf(line, "VmRSS: %ld", &fp.rss) == 0) {
            (void)sscanf(line, "VmPTE: %ld", &fp.page_tables);
        }
    }
    if (f != NULL) { fclose(f); }
    return fp;
}

static double bytes_each(long kib, long num) { return (double)kib * 1024 / (double)num; }

/* ---------------------------------------------------------------- spawn */

static void done_main(void *wg) { mound_waitgroup_done(wg); }

static double spawn_batch(long param) {
    enum { NUM = 2000000, BATCH = 1000 };
    uint64_t start = bench_now_ns();
    for (int i = 0; i < NUM / BATCH; i++) {
        mound_waitgroup wg = {0};
        mound_waitgroup_add(&wg, BATCH);
        for (int j = 0; j < BATCH; j++) { mound_go(done_main, &wg); }
        mound_waitgroup_wait(&wg);
    }
    (void)param;
    return ns_since(start, NUM);
}

static void signal_main(void *arg) {
    signal_chan c = arg;
    mound_send(c, 0);
}

static double spawn_join(long param) {
    enum { NUM = 1000000 };
    signal_chan c = mound_chan_make(char, 0);
    uint64_t start = bench_now_ns();
    for (int i = 0; i < NUM; i++) {
        mound_go(signal_main, c);
        mound_recv_any(c);
    }
    (void)param;
    return ns_since(start, NUM);
}

static void run_spawn(void) {
    report("spawn+exit(WaitGroup,batch1000)", "ns", 5, spawn_batch, 0);
    report("spawn+join1(chan)", "ns", 5, spawn_join, 0);
}

/* ---------------------------------------------------------------- million, sleep */

typedef struct gate {
    signal_chan opens;
    mound_waitgroup wg;
} gate;

static void gate_main(void *arg) {
    gate *g = arg;
    mound_recv_any(g->opens);
    mound_waitgroup_done(&g->wg);
}

static void run_million(void) {
    enum { NUM = 1000000 };
    footprint before = read_footprint();
    gate g = {.opens = mound_chan_make(char, 0)};
    mound_waitgroup_add(&g.wg, NUM);
    uint64_t begin = bench_now_ns();
    for (int i = 0; i < NUM; i++) { mound_go(gate_main, &g); }
    uint64_t spawned = bench_now_ns();
    while (mound_num_goroutine() < NUM) { mound_sleep(MOUND_MS(1)); }
    mound_sleep(MOUND_MS(300));
    footprint waiting = read_footprint();
    long rss = waiting.rss - before.rss;
    mound_mem_stats ms = {.struct_bytes = sizeof(ms)};
    mound_read_mem_stats(&ms);
    /* No counter tells of memory in stacks: what is not in the heap stands for it. */
    double stack_bytes = (double)rss * 1024 - (double)ms.heap_inuse_bytes;
    uint64_t gc_begin = bench_now_ns();
    bench_gc();
    uint64_t gc_end = bench_now_ns();
    mound_close(g.opens);
    mound_waitgroup_wait(&g.wg);
    uint64_t released = bench_now_ns();
    bench_gc();
    footprint after = read_footprint();
    mound_sleep(MOUND_SEC(2));
    footprint later = read_footprint();
    printf("RESULT gor million spawn=%.0fms rss=%.0f B/g pte=%.0f B/g stackinuse=%.0f B/g "
           "heapinuse=%.0f B/g othersys=%luMiB GC()=%.0fms release=%.0fms rss_after=%ldMiB "
           "rss_after2s=%ldMiB pte_after2s=%ldMiB\n",
           ms_between(begin, spawned), bytes_each(rss, NUM),
           bytes_each(waiting.page_tables - before.page_tables, NUM), stack_bytes / NUM,
           (double)ms.heap_inuse_bytes / NUM, ms.metadata_bytes >> 20, ms_between(gc_begin, gc_end),
           ms_between(gc_end, released), after.rss / 1024, later.rss / 1024,
           later.page_tables / 1024);
}

static void sleep_main(void *wg) {
    mound_sleep(MOUND_SEC(5));
    mound_waitgroup_done(wg);
}

static void run_sleep(void) {
    enum { NUM = 1000000 };
    footprint before = read_footprint();
    mound_waitgroup wg = {0};
    uint64_t begin = bench_now_ns();
    mound_waitgroup_add(&wg, NUM);
    for (int i = 0; i < NUM; i++) { mound_go(sleep_main, &wg); }
    uint64_t spawned = bench_now_ns();
    mound_sleep(MOUND_SEC(1));
    footprint waiting = read_footprint();
    mound_waitgroup_wait(&wg);
    printf("RESULT gor million-sleep spawn=%.0fms rss=%.0f B/g total=%.2fs\n",
           ms_between(begin, spawned), bytes_each(waiting.rss - before.rss, NUM),
           (double)(bench_now_ns() - begin) / 1e9);
}

/* ---------------------------------------------------------------- channels */

typedef struct int_link {
    int_chan in, out;
} int_link;

/* Ends when its input is closed. */
static void copy_main(void *copy) {
    const int_link *link = copy;
    int v;
    while (mound_recv(link->in, &v)) { mound_send(link->out, v); }
}

static double pingpong(long param) {
    enum { NUM = 2000000 };
    int_chan a = mound_chan_make(int, 0), b = mound_chan_make(int, 0);
    int_link link = {a, b};
    mound_go_copy(copy_main, &link, sizeof(link));
    uint64_t start = bench_now_ns();
    for (int i = 0; i < NUM; i++) {
        mound_send(a, i);
        mound_recv_any(b);
    }
    mound_close(a);
    (void)param;
    return ns_since(start, NUM);
}

static void run_pingpong(void) { report("pingpong-unbuf(roundtrip)", "ns", 5, pingpong, 0); }

typedef struct stream {
    int_chan c;
    int num;
    bool is_closed_after;
    mound_waitgroup *wg; /* NULL: none */
} stream;

static void produce_main(void *copy) {
    const stream *s = copy;
    for (int i = 0; i < s->num; i++) { mound_send(s->c, i); }
    if (s->is_closed_after) { mound_close(s->c); }
    if (s->wg != NULL) { mound_waitgroup_done(s->wg); }
}

static void consume_main(void *copy) {
    const stream *s = copy;
    while (mound_recv_any(s->c)) {}
    mound_waitgroup_done(s->wg);
}

static double buffered(long cap) {
    enum { NUM = 5000000 };
    int_chan c = mound_chan_make(int, (size_t)cap);
    uint64_t start = bench_now_ns();
    stream s = {c, NUM, true, NULL};
    mound_go_copy(produce_main, &s, sizeof(s));
    long sum = 0;
    for (int v; mound_recv(c, &v);) { sum += v; }
    double ns = ns_since(start, NUM);
    if (sum != (long)NUM * (NUM - 1) / 2) { abort(); }
    return ns;
}

static double buffered_4_to_4(long param) {
    enum { NUM = 4000000, PAIRS = 4 };
    int_chan c = mound_chan_make(int, 100);
    mound_waitgroup producers = {0}, consumers = {0};
    stream from = {c, NUM / PAIRS, false, &producers}, to = {c, 0, false, &consumers};
    uint64_t start = bench_now_ns();
    for (int i = 0; i < PAIRS; i++) {
        mound_waitgroup_add(&producers, 1);
        mound_waitgroup_add(&consumers, 1);
        mound_go_copy(produce_main, &from, sizeof(from));
        mound_go_copy(consume_main, &to, sizeof(to));
    }
    mound_waitgroup_wait(&producers);
    mound_close(c);
    mound_waitgroup_wait(&consumers);
    (void)param;
    return ns_since(start, NUM);
}

static double send_to_self(long param) {
    enum { NUM = 20000000 };
    int_chan c = mound_chan_make(int, 1);
    uint64_t start = bench_now_ns();
    for (int i = 0; i < NUM; i++) {
        mound_send(c, i);
        mound_recv_any(c);
    }
    (void)param;
    return ns_since(start, NUM);
}

static void run_buf(void) {
    report("chan-buf1 1P1C", "ns/item", 5, buffered, 1);
    report("chan-buf100 1P1C", "ns/item", 5, buffered, 100);
    report("chan-buf1000 1P1C", "ns/item", 5, buffered, 1000);
    report("chan-buf100 4P4C", "ns/item", 5, buffered_4_to_4, 0);
    report("chan uncontended send+recv same g", "ns", 5, send_to_self, 0);
}

/* ---------------------------------------------------------------- select */

typedef struct offer {
    int_chan c;
    signal_chan stop;
} offer;

static void offer_main(void *copy) {
    const offer *o = copy;
    int one = 1;
    mound_case cases[] = {MOUND_SEND(o->c, &one), MOUND_RECV_ANY(o->stop)};
    while (mound_select(cases, 2) == 0) {}
}

static double select_from_producers(long param) {
    enum { NUM = 2000000 };
    int_chan c[4];
    signal_chan stop = mound_chan_make(char, 0);
    for (int i = 0; i < 4; i++) {
        c[i] = mound_chan_make(int, 0);
        offer o = {c[i], stop};
        mound_go_copy(offer_main, &o, sizeof(o));
    }
    mound_case cases[] = {MOUND_RECV_ANY(c[0]), MOUND_RECV_ANY(c[1]), MOUND_RECV_ANY(c[2]),
                          MOUND_RECV_ANY(c[3])};
    uint64_t start = bench_now_ns();
    for (int i = 0; i < NUM; i++) { mound_select(cases, 4); }
    double ns = ns_since(start, NUM);
    mound_close(stop);
    (void)param;
    return ns;
}

static double select_from_self(long param) {
    enum { NUM = 5000000 };
    int_chan c[4];
    for (int i = 0; i < 4; i++) { c[i] = mound_chan_make(int, 1); }
    mound_case cases[] = {MOUND_RECV_ANY(c[0]), MOUND_RECV_ANY(c[1]), MOUND_RECV_ANY(c[2]),
                          MOUND_RECV_ANY(c[3])};
    uint64_t start = bench_now_ns();
    for (int i = 0; i < NUM; i++) {
        mound_send(c[i & 3], 1);
        mound_select(cases, 4);
    }
    (void)param;
    return ns_since(start, NUM);
}

static void run_select(void) {
    report("select4 (4 producers unbuf)", "ns/recv", 5, select_from_producers, 0);
    report("select4 ready-one (buffered, same g)", "ns", 5, select_from_self, 0);
}

/* ---------------------------------------------------------------- skynet */

typedef struct skynet_args {
    long_chan out;
    long num, size, div;
} skynet_args;

static void skynet_main(void *copy) {
    const skynet_args *a = copy;
    if (a->size == 1) {
        mound_send(a->out, a->num);
        return;
    }
    long_chan results = mound_chan_make(long, 0);
    long sum = 0, size = a->size / a->div, v;
    for (long i = 0; i < a->div; i++) {
        skynet_args child = {results, a->num + i * size, size, a->div};
        mound_go_copy(skynet_main, &child, sizeof(child));
    }
    for (long i = 0; i < a->div; i++) {
        mound_recv(results, &v);
        sum += v;
    }
    mound_send(a->out, sum);
}

enum { SKYNET_DIV = 10 };

/* The same where a new goroutine runs at once and its creator goes on later. */
static void skynet_workfirst_main(void *arg) {
    const skynet_args *a = arg;
    if (a->size == 1) {
        mound_send(a->out, a->num);
        return;
    }
    /* No copies are passed on: the children read these, and all have sent before this returns. */
    skynet_args children[SKYNET_DIV];
    const mound_go_options now = {.runs_now = 1};
    long_chan results = mound_chan_make(long, 0);
    long sum = 0, size = a->size / a->div, v;
    for (long i = 0; i < a->div; i++) {
        children[i] = (skynet_args){results, a->num + i * size, size, a->div};
        if (mound_go_opt(&now, skynet_workfirst_main, &children[i]) < 0) { abort(); }
    }
    for (long i = 0; i < a->div; i++) {
        mound_recv(results, &v);
        sum += v;
    }
    mound_send(a->out, sum);
}

static double skynet(long is_workfirst) {
    skynet_args root = {mound_chan_make(long, 0), 0, 1000000, SKYNET_DIV};
    uint64_t start = bench_now_ns();
    mound_go(is_workfirst ? skynet_workfirst_main : skynet_main, &root);
    long sum;
    mound_recv(root.out, &sum);
    double ms = ns_since(start, 1) / 1e6;
    if (sum != 499999500000) { abort(); }
    return ms;
}

static void run_skynet(void) { report("skynet1M", "ms", 5, skynet, false); }

/* A test of its own, for its memory's sake, and of mound's alone: Go offers no such choice. */
static void run_workfirst(void) { report("skynet1M-workfirst", "ms", 5, skynet, true); }

/* ---------------------------------------------------------------- yield */

enum { NUM_YIELDS = 5000000 };

static void yield_main(void *arg) {
    signal_chan done = arg;
    for (int i = 0; i < NUM_YIELDS; i++) { mound_gosched(); }
    mound_send(done, 1);
}

static double yield(long param) {
    int old = mound_gomaxprocs(1);
    signal_chan done = mound_chan_make(char, 0);
    uint64_t start = bench_now_ns();
    mound_go(yield_main, done);
    mound_go(yield_main, done);
    mound_recv_any(done);
    mound_recv_any(done);
    double ns = ns_since(start, 2L * NUM_YIELDS);
    mound_gomaxprocs(old);
    (void)param;
    return ns;
}

static void run_yield(void) { report("Gosched 2 g on 1P each", "ns/yield", 5, yield, 0); }

/* ---------------------------------------------------------------- mutex */

static double lock_alone(long param) {
    enum { NUM = 50000000 };
    mound_mutex m = {0};
    uint64_t start = bench_now_ns();
    for (int i = 0; i < NUM; i++) {
        mound_mutex_lock(&m);
        mound_mutex_unlock(&m);
    }
    (void)param;
    return ns_since(start, NUM);
}

typedef struct locked_count {
    mound_mutex m;
    long x, num;
    mound_waitgroup wg;
} locked_count;

static void count_main(void *arg) {
    locked_count *l = arg;
    for (long i = 0; i < l->num; i++) {
        mound_mutex_lock(&l->m);
        l->x++;
        mound_mutex_unlock(&l->m);
    }
    mound_waitgroup_done(&l->wg);
}

static double lock_together(long num_goroutines) {
    enum { NUM = 6000000 };
    locked_count l = {.num = NUM / num_goroutines};
    uint64_t start = bench_now_ns();
    for (long i = 0; i < num_goroutines; i++) {
        mound_waitgroup_add(&l.wg, 1);
        mound_go(count_main, &l);
    }
    mound_waitgroup_wait(&l.wg);
    double ns = ns_since(start, NUM);
    if (l.x != l.num * num_goroutines) { abort(); }
    return ns;
}

static void run_mutex(void) {
    report("mutex uncontended lock+unlock", "ns", 5, lock_alone, 0);
    report("mutex contended g=2", "ns/op", 5, lock_together, 2);
    report("mutex contended g=8", "ns/op", 5, lock_together, 8);
    report("mutex contended g=64", "ns/op", 5, lock_together, 64);
}

/* ---------------------------------------------------------------- deep */

enum { DEPTH = 8192, NUM_DEEP = 200 };

/* A frame of Go's is 96 bytes for an array of 8: what is called 128 bytes there is less. */
BENCH_NOINLINE static int rec(int n) {
    volatile int64_t b[14]; /* 112, a saved register and the return address: 128 */
    b[n & 7] = n;
    if (n == 0) { return (int)b[0]; }
    return rec(n - 1) + (int)b[n & 7];
}

typedef struct deep {
    int_chan result;
    signal_chan ends;
    mound_waitgroup wg;
} deep;

static deep deep_shared; /* not local to a repetition: its goroutines outlive that */

static void deep_main(void *arg) {
    deep *d = arg;
    mound_send(d->result, rec(DEPTH));
    mound_recv_any(d->ends);
    mound_waitgroup_done(&d->wg);
}

/* The first use of a stack is what is measured. One that is free again keeps its memory and is the
 * next to be given out, so every goroutine stays, parked on its own, until the test is over. */
static double recurse_fresh(long param) {
    const mound_go_options large = {.stack_bytes = 2 << 20};
    uint64_t start = bench_now_ns();
    for (int i = 0; i < NUM_DEEP; i++) {
        mound_waitgroup_add(&deep_shared.wg, 1);
        if (mound_go_opt(&large, deep_main, &deep_shared) < 0) { abort(); }
        mound_recv_any(deep_shared.result);
    }
    (void)param;
    return ns_since(start, NUM_DEEP) / 1e3;
}

static double recurse_again(long param) {
    rec(DEPTH);
    uint64_t start = bench_now_ns();
    for (int i = 0; i < NUM_DEEP; i++) { rec(DEPTH); }
    (void)param;
    return ns_since(start, NUM_DEEP) / 1e3;
}

static void run_deep(void) {
    deep_shared.result = mound_chan_make(int, 0);
    deep_shared.ends = mound_chan_make(char, 0);
    report("fresh goroutine recursing 8192 x 128B frames", "us", 7, recurse_fresh, 0);
    mound_close(deep_shared.ends);
    mound_waitgroup_wait(&deep_shared.wg);
    report("same goroutine again (stack already grown)", "us", 7, recurse_again, 0);
}

/* ---------------------------------------------------------------- sieve */

typedef struct sieve_stage {
    int_chan in, out; /* the first stage has no input */
    int prime;
    bool *is_over;
} sieve_stage;

static void count_up_main(void *copy) {
    const sieve_stage *s = copy;
    for (int i = 2; !__atomic_load_n(s->is_over, __ATOMIC_RELAXED); i++) { mound_send(s->out, i); }
    mound_close(s->out);
}

static void filter_main(void *copy) {
    const sieve_stage *s = copy;
    int v;
    while (mound_recv(s->in, &v)) {
        if (v % s->prime != 0) { mound_send(s->out, v); }
    }
    mound_close(s->out);
}

static double sieve(long param) {
    enum { NUM = 2000, LAST_PRIME = 17389 };
    bool is_over = false;
    sieve_stage s = {.out = mound_chan_make(int, 0), .is_over = &is_over};
    uint64_t start = bench_now_ns();
    mound_go_copy(count_up_main, &s, sizeof(s));
    for (int i = 0;; i++) {
        s.in = s.out;
        mound_recv(s.in, &s.prime);
        if (i == NUM - 1) { break; }
        s.out = mound_chan_make(int, 0);
        mound_go_copy(filter_main, &s, sizeof(s));
    }
    double ms = ns_since(start, 1) / 1e6;
    if (s.prime != LAST_PRIME) { abort(); }
    __atomic_store_n(&is_over, true, __ATOMIC_RELAXED);
    while (mound_recv_any(s.in)) {} /* until the chain has ended, from its head on */
    (void)param;
    return ms;
}

static void run_sieve(void) { report("sieve to the 2000th prime", "ms", 5, sieve, 0); }

/* ---------------------------------------------------------------- ring */

typedef struct ring_link {
    int_chan in, out;
    signal_chan done;
} ring_link;

/* The token is the number of hops that are left. */
static void ring_main(void *copy) {
    const ring_link *r = copy;
    int token;
    while (mound_recv(r->in, &token)) {
        if (token == 0) {
            mound_send(r->done, 1);
        } else {
            mound_send(r->out, token - 1);
        }
    }
}

static double ring(long param) {
    enum { LEN = 128, ROUNDS = 10000, HOPS = LEN * ROUNDS };
    int_chan c[LEN];
    signal_chan done = mound_chan_make(char, 0);
    for (int i = 0; i < LEN; i++) { c[i] = mound_chan_make(int, 0); }
    for (int i = 0; i < LEN; i++) {
        ring_link r = {c[i], c[(i + 1) % LEN], done};
        mound_go_copy(ring_main, &r, sizeof(r));
    }
    uint64_t start = bench_now_ns();
    mound_send(c[0], HOPS);
    mound_recv_any(done);
    double ns = ns_since(start, HOPS);
    for (int i = 0; i < LEN; i++) { mound_close(c[i]); }
    (void)param;
    return ns;
}

static void run_ring(void) { report("ring of 128, one token", "ns/hop", 5, ring, 0); }

/* ---------------------------------------------------------------- fanin */

typedef struct fanin_link {
    int_chan in, out;
    mound_waitgroup *wg;
} fanin_link;

static void forward_main(void *copy) {
    const fanin_link *f = copy;
    int v;
    while (mound_recv(f->in, &v)) { mound_send(f->out, v); }
    mound_waitgroup_done(f->wg);
}

static void close_main(void *copy) {
    const fanin_link *f = copy;
    mound_waitgroup_wait(f->wg);
    mound_close(f->out);
}

static double fanin(long param) {
    enum { PRODUCERS = 8, EACH = 250000, NUM = PRODUCERS * EACH };
    mound_waitgroup wg = {0};
    fanin_link f = {.out = mound_chan_make(int, 100), .wg = &wg};
    uint64_t start = bench_now_ns();
    for (int i = 0; i < PRODUCERS; i++) {
        f.in = mound_chan_make(int, 0);
        stream s = {f.in, EACH, true, NULL};
        mound_go_copy(produce_main, &s, sizeof(s));
        mound_waitgroup_add(&wg, 1);
        mound_go_copy(forward_main, &f, sizeof(f));
    }
    mound_go_copy(close_main, &f, sizeof(f));
    int num = 0;
    while (mound_recv_any(f.out)) { num++; }
    double ns = ns_since(start, NUM);
    if (num != NUM) { abort(); }
    (void)param;
    return ns;
}

static void run_fanin(void) { report("fanin 8 to 1", "ns/item", 5, fanin, 0); }

/* ---------------------------------------------------------------- workers */

typedef struct worker_pool {
    int_chan jobs;
    word_chan results;
    long steps;
} worker_pool;

static void work_main(void *copy) {
    const worker_pool *p = copy;
    int job;
    while (mound_recv(p->jobs, &job)) {
        uint64_t x = (uint64_t)job + 1;
        for (long i = 0; i < p->steps; i++) { bench_rand_next(&x); }
        mound_send(p->results, x);
    }
}

static double work(int num_workers, size_t cap, long steps, int num) {
    worker_pool p = {mound_chan_make(int, cap), mound_chan_make(uint64_t, cap), steps};
    stream s = {p.jobs, num, true, NULL};
    uint64_t start = bench_now_ns();
    for (int i = 0; i < num_workers; i++) { mound_go_copy(work_main, &p, sizeof(p)); }
    mound_go_copy(produce_main, &s, sizeof(s));
    uint64_t all = 0, x;
    for (int i = 0; i < num; i++) {
        mound_recv(p.results, &x);
        all ^= x;
    }
    bench_keep(&all);
    return ns_since(start, num);
}

static double workers(long steps) { return work(2, 16, steps, 200000); }

static void run_workers(void) {
    report("workers 2, jobs of 2000 steps", "ns/job", 5, workers, 2000);
}

/* From jobs for which a second processor is a loss to those for which it is a gain. */
static double grain(long steps) { return work(4, 100, steps, 1000000); }

static void run_grain(void) {
    report("workers 4, jobs of 0 steps", "ns/job", 5, grain, 0);
    report("workers 4, jobs of 30 steps", "ns/job", 5, grain, 30);
    report("workers 4, jobs of 100 steps", "ns/job", 5, grain, 100);
    report("workers 4, jobs of 300 steps", "ns/job", 5, grain, 300);
}

/* ---------------------------------------------------------------- delay */

typedef struct spinning {
    bool is_over;
    mound_waitgroup wg;
} spinning;

static void spin_main(void *arg) {
    spinning *s = arg;
    while (!__atomic_load_n(&s->is_over, __ATOMIC_RELAXED)) {}
    mound_waitgroup_done(&s->wg);
}

typedef struct stamp {
    uint64_t start;
    double us;
    mound_waitgroup wg;
} stamp;

static void stamp_main(void *arg) {
    stamp *s = arg;
    s->us = ns_since(s->start, 1) / 1e3;
    mound_waitgroup_done(&s->wg);
}

static void report_delay(const char *name, double *us, size_t num) {
    bench_sort(us, num);
    printf("RESULT gor %s p50=%.1fus p99=%.1fus max=%.1fus n=%zu P=%d\n", name,
           bench_quantile(us, num, .5), bench_quantile(us, num, .99), us[num - 1], num,
           mound_gomaxprocs(0));
}

/* Goroutines that nothing but a signal could interrupt stand on every processor. A new goroutine
 * may start where its creator waits for it; one that wakes by a timer has no such place. */
static void run_delay(void) {
    enum { PROCS = 2, NUM_NEW = 1000, NUM_SLEEPS = 100 };
    double us[NUM_NEW];
    int old = mound_gomaxprocs(PROCS);
    spinning spinners = {0};
    for (int i = 0; i < PROCS; i++) {
        mound_waitgroup_add(&spinners.wg, 1);
        mound_go(spin_main, &spinners);
    }
    stamp s = {0};
    for (int i = 0; i < NUM_NEW; i++) {
        mound_waitgroup_add(&s.wg, 1);
        s.start = bench_now_ns();
        mound_go(stamp_main, &s);
        mound_waitgroup_wait(&s.wg);
        us[i] = s.us;
    }
    report_delay("delay of a new goroutine beside 2 that spin", us, NUM_NEW);
    for (int i = 0; i < NUM_SLEEPS; i++) {
        uint64_t start = bench_now_ns();
        mound_sleep(MOUND_MS(1));
        us[i] = ns_since(start, 1) / 1e3 - 1e3;
    }
    report_delay("delay after a sleep of 1 ms beside 2 that spin", us, NUM_SLEEPS);
    __atomic_store_n(&spinners.is_over, true, __ATOMIC_RELAXED);
    mound_waitgroup_wait(&spinners.wg);
    mound_gomaxprocs(old);
}

/* ---------------------------------------------------------------- main */

static const struct {
    const char *name;
    void (*run)(void);
} tests[] = {
    {"spawn", run_spawn},   {"million", run_million}, {"pingpong", run_pingpong},
    {"buf", run_buf},       {"skynet", run_skynet},   {"skynet-workfirst", run_workfirst},
    {"select", run_select}, {"yield", run_yield},     {"mutex", run_mutex},
    {"deep", run_deep},     {"sleep", run_sleep},     {"sieve", run_sieve},
    {"ring", run_ring},     {"fanin", run_fanin},     {"workers", run_workers},
    {"delay", run_delay},   {"grain", run_grain},
};
enum { NUM_TESTS = sizeof(tests) / sizeof(tests[0]) };

static int app(void *arg) {
    const mound_args *args = arg;
    bench_init();
    for (int i = 1; i < args->argc; i++) {
        int t = 0;
        while (t < NUM_TESTS && strcmp(tests[t].name, args->argv[i]) != 0) { t++; }
        if (t == NUM_TESTS) {
            fprintf(stderr, "gor: no test \"%s\"; there are:", args->argv[i]);
            for (t = 0; t < NUM_TESTS; t++) { fprintf(stderr, " %s", tests[t].name); }
            fputc('\n', stderr);
            return 2;
        }
        tests[t].run();
    }
    return 0;
}

MOUND_MAIN(app)
