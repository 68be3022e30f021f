/* chan_test.c - channels and select do what Go's do.
 * modes: gc valgrind
 */
#include "run.h"

#include <pthread.h>

typedef struct pair {
    MOUND_CHAN(int) a;
    MOUND_CHAN(int) b;
    int num;
} pair;

/* ---------------------------------------------------------------- channels */

static void echo(void *copy) {
    pair *p = copy;
    int v;
    while (mound_recv(p->a, &v)) mound_send(p->b, v + 1);
    mound_close(p->b);
}
static int unbuffered_values_arrive_in_order_app(void *arg) {
    (void)arg;
    pair p = {mound_chan_make(int, 0), mound_chan_make(int, 0), 0};
    mound_go_copy(echo, &p, sizeof p);
    int v, num = (int)test_steps(20000);
    for (int i = 0; i < num; i++) {
        mound_send(p.a, i);
        must(mound_recv(p.b, &v) && v == i + 1);
    }
    mound_close(p.a);
    must(!mound_recv(p.b, &v) && v == 0);
    return 0;
}
IN_RUN(unbuffered_values_arrive_in_order)

static int a_buffer_is_first_in_first_out_app(void *arg) {
    (void)arg;
    MOUND_CHAN(int) c = mound_chan_make(int, 5);
    must(mound_cap(c) == 5 && mound_len(c) == 0);
    int v, next = 0, seen = 0;
    for (int round = 0; round < 50; round++) {
        while (mound_try_send(c, next)) next++;
        must(mound_len(c) == 5);
        for (int i = 0; i < round % 5 + 1; i++) {
            must(mound_recv(c, &v) && v == seen);
            seen++;
        }
    }
    mound_close(c);
    while (mound_recv(c, &v)) must(v == seen++);
    must(seen == next && mound_len(c) == 0);
    return 0;
}
IN_RUN(a_buffer_is_first_in_first_out)

typedef struct wide {
    char text[40];
    struct wide *self;
} wide;
static int elements_of_any_size_app(void *arg) {
    (void)arg;
    MOUND_CHAN(char) c = mound_chan_make(char, 3);
    MOUND_CHAN(wide) w = mound_chan_make(wide, 2);
    MOUND_CHAN(double) d = mound_chan_make(double, 1);
    mound_send(c, 'a');
    mound_send(c, 98);
    mound_send(d, 2);
    wide in = {.text = "hello"}, out;
    in.self = &in;
    mound_send(w, in);
    char ch;
    double real;
    must(mound_recv(c, &ch) && ch == 'a' && mound_recv(c, &ch) && ch == 'b');
    must(mound_recv(d, &real) && real == 2.0);
    must(mound_recv(w, &out) && strcmp(out.text, "hello") == 0 && out.self == &in);
    mound_chan *none = mound_chan_new(0, 3, 0);
    for (int i = 0; i < 3; i++) must(mound_chan_try_send(none, NULL));
    must(!mound_chan_try_send(none, NULL) && mound_chan_len(none) == 3);
    must(mound_chan_recv(none, NULL));
    return 0;
}
IN_RUN(elements_of_any_size)

static int try_forms_do_not_wait_app(void *arg) {
    (void)arg;
    MOUND_CHAN(int) c = mound_chan_make(int, 1);
    MOUND_CHAN(int) none = NULL;
    int v = 9, ok = 9;
    must(!mound_try_recv(c, &v, &ok) && !ok);
    must(mound_try_send(c, 4) && !mound_try_send(c, 5));
    must(mound_try_recv(c, &v, &ok) && ok && v == 4);
    mound_close(c);
    must(mound_try_recv(c, &v, &ok) && !ok && v == 0);
    must(!mound_try_send(none, 1) && !mound_try_recv(none, &v, NULL));
    must(mound_len(none) == 0 && mound_cap(none) == 0);
    return 0;
}
IN_RUN(try_forms_do_not_wait)

static void wait_closed(void *copy) {
    pair *p = copy;
    int v = 7;
    must(!mound_recv(p->a, &v) && v == 0);
    mound_send(p->b, 1);
}
static int close_wakes_all_that_receive_app(void *arg) {
    (void)arg;
    pair p = {mound_chan_make(int, 0), mound_chan_make(int, 0), 0};
    for (int i = 0; i < 50; i++) mound_go_copy(wait_closed, &p, sizeof p);
    for (int i = 0; i < 20; i++) mound_gosched();
    mound_close(p.a);
    for (int i = 0; i < 50; i++) mound_recv_any(p.b);
    return 0;
}
IN_RUN(close_wakes_all_that_receive)

static void produce(void *copy) {
    pair *p = copy;
    for (int i = 1; i <= p->num; i++) mound_send(p->a, i);
    mound_send(p->b, 0);
}
static void consume(void *copy) {
    pair *p = copy;
    int v, sum = 0;
    while (mound_recv(p->a, &v)) sum += v;
    mound_send(p->b, sum);
}
static int every_value_arrives_once_app(void *arg) {
    (void)arg;
    enum { EACH = 4 };
    int num = (int)test_steps(20000);
    for (size_t cap = 0; cap < 300; cap = cap * 7 + 1) {
        pair in = {mound_chan_make(int, cap), mound_chan_make(int, EACH), num / 100};
        pair out = {in.a, mound_chan_make(int, 0), 0};
        long sum = 0;
        int v;
        for (int i = 0; i < EACH; i++) mound_go_copy(produce, &in, sizeof in);
        for (int i = 0; i < EACH; i++) mound_go_copy(consume, &out, sizeof out);
        for (int i = 0; i < EACH; i++) mound_recv_any(in.b);
        mound_close(in.a);
        for (int i = 0; i < EACH; i++) {
            mound_recv(out.b, &v);
            sum += v;
        }
        must(sum == (long)EACH * in.num * (in.num + 1) / 2);
    }
    return 0;
}
IN_RUN(every_value_arrives_once)

/* ---------------------------------------------------------------- what they keep alive */

typedef struct node {
    struct node *next;
    uint64_t value;
} node;
static NOINLINE node *make_node(uint64_t value) {
    node *n = mound_new(node);
    n->value = value;
    return n;
}
static int a_buffer_keeps_its_elements_app(void *arg) {
    (void)arg;
    MOUND_CHAN(node *) c = mound_chan_make(node *, 64);
    node *n;
    for (int round = 0; round < 5; round++) {
        for (uint64_t i = 0; i < 64; i++) mound_send(c, make_node(i));
        mound_gc();
        for (int i = 0; i < (int)test_steps(20000); i++) make_node(77);
        for (uint64_t i = 0; i < 64; i++) must(mound_recv(c, &n) && n->value == i);
    }
    return 0;
}
IN_RUN(a_buffer_keeps_its_elements)

/* Nobody else has them: the channel must not keep what was received. */
static NOINLINE void fill_and_empty(void *arg) {
    MOUND_CHAN(node *) c = (MOUND_CHAN(node *))((void **)arg)[0];
    mound_weak *weak = ((void **)arg)[1];
    for (int i = 0; i < 64; i++) {
        node *n = make_node((uint64_t)i);
        weak[i] = mound_weak_make(n);
        mound_send(c, n);
    }
    node *n;
    for (int i = 0; i < 64; i++) mound_recv(c, &n);
    mound_send((MOUND_CHAN(int))((void **)arg)[2], 1);
}
static int what_was_received_is_not_kept_app(void *arg) {
    (void)arg;
    static mound_weak weak[64];
    MOUND_CHAN(node *) c = mound_chan_make(node *, 64);
    MOUND_CHAN(int) done = mound_chan_make(int, 0);
    void *args[3] = {(void *)c, weak, (void *)done};
    mound_go(fill_and_empty, args);
    mound_recv_any(done);
    mound_sleep(MOUND_MS(1));
    mound_gc();
    int alive = 0;
    for (int i = 0; i < 64; i++) alive += mound_weak_get(weak[i]) != NULL;
    must(alive <= 4); /* a stale word may keep one and its neighbour */
    mound_keep_alive((void *)c);
    return 0;
}
IN_RUN(what_was_received_is_not_kept)

/* ---------------------------------------------------------------- select */

static int select_takes_what_is_ready_app(void *arg) {
    (void)arg;
    MOUND_CHAN(int) a = mound_chan_make(int, 1);
    MOUND_CHAN(int) b = mound_chan_make(int, 1);
    MOUND_CHAN(int) none = NULL;
    int v = 0, w = 5;
    mound_case cases[] = {MOUND_RECV(a, &v), MOUND_RECV(b, &v), MOUND_RECV(none, &v)};
    must(mound_try_select(cases, 3) == -1);
    mound_send(b, 3);
    must(mound_select(cases, 3) == 1 && cases[1].ok && v == 3);
    mound_close(a);
    must(mound_select(cases, 3) == 0 && !cases[0].ok && v == 0);
    mound_case send[] = {MOUND_SEND(b, &w), MOUND_SEND(none, &w)};
    must(mound_select(send, 2) == 0 && mound_try_select(send, 2) == -1);
    must(mound_recv(b, &v) && v == 5);
    must(mound_try_select(NULL, 0) == -1);
    return 0;
}
IN_RUN(select_takes_what_is_ready)

static int select_is_fair_app(void *arg) {
    (void)arg;
    enum { NUM = 4 };
    int rounds = 4000, count[NUM] = {0}, v;
    MOUND_CHAN(int) c[NUM];
    for (int i = 0; i < NUM; i++) c[i] = mound_chan_make(int, 1);
    for (int i = 0; i < rounds; i++) {
        for (int k = 0; k < NUM; k++) mound_try_send(c[k], k);
        mound_case cases[NUM] = {MOUND_RECV(c[0], &v), MOUND_RECV(c[1], &v), MOUND_RECV(c[2], &v),
                                 MOUND_RECV(c[3], &v)};
        int chosen = mound_select(cases, NUM);
        must(v == chosen);
        count[chosen]++;
    }
    for (int i = 0; i < NUM; i++) must(count[i] > rounds / NUM * 8 / 10);
    return 0;
}
IN_RUN(select_is_fair)

/* Several selects on the same channels, in both directions: each value is sent once and received
 * once, whoever meets whom. */
enum { CHANS = 3 };
typedef struct crowd {
    MOUND_CHAN(int) c[CHANS];
    MOUND_CHAN(int) stop;
    long *sent, *received;
    int num;
} crowd;
static void send_any(void *copy) {
    crowd *w = copy;
    for (int i = 1; i <= w->num; i++) {
        int v = i;
        mound_case cases[] = {MOUND_SEND(w->c[0], &v), MOUND_SEND(w->c[1], &v),
                              MOUND_SEND(w->c[2], &v)};
        mound_select(cases, CHANS);
        ADD(w->sent, v);
    }
}
static void recv_any(void *copy) {
    crowd *w = copy;
    for (;;) {
        int v = 0;
        mound_case cases[] = {MOUND_RECV(w->c[0], &v), MOUND_RECV(w->c[1], &v),
                              MOUND_RECV(w->c[2], &v), MOUND_RECV_ANY(w->stop)};
        if (mound_select(cases, CHANS + 1) == CHANS) return;
        ADD(w->received, v);
    }
}
static int a_crowd_of_selects_loses_nothing_app(void *arg) {
    (void)arg;
    long sent = 0, received = 0;
    crowd w = {.sent = &sent, .received = &received, .num = (int)test_steps(3000)};
    for (int i = 0; i < CHANS; i++) w.c[i] = mound_chan_make(int, i);
    w.stop = mound_chan_make(int, 0);
    for (int i = 0; i < 4; i++) {
        mound_go_copy(send_any, &w, sizeof w);
        mound_go_copy(recv_any, &w, sizeof w);
    }
    long all = 4L * w.num * (w.num + 1) / 2;
    while (LOAD(&sent) < all || LOAD(&received) < all) mound_sleep(MOUND_MS(1));
    mound_close(w.stop);
    while (mound_num_goroutine() > 1) mound_gosched();
    must(sent == all && received == all);
    return 0;
}
IN_RUN(a_crowd_of_selects_loses_nothing)

static int many_cases_app(void *arg) {
    (void)arg;
    enum { NUM = 300 };
    static mound_case cases[NUM];
    MOUND_CHAN(int) c[NUM];
    int v = 0;
    for (int i = 0; i < NUM; i++) {
        c[i] = i % 7 == 3 ? c[i - 1] : mound_chan_make(int, 1);
        mound_case cs = MOUND_RECV(c[i], &v);
        cases[i] = cs;
    }
    must(mound_try_select(cases, NUM) == -1);
    for (int i = 0; i < 100; i++) {
        int at = i * 37 % NUM;
        mound_send(c[at], i);
        int chosen = mound_select(cases, NUM);
        must(c[chosen] == c[at] && v == i);
    }
    pair p = {c[200], c[201], 1};
    mound_go_copy(produce, &p, sizeof p);
    int got = 0;
    while (got < 2) got += mound_select(cases, NUM) >= 0;
    return 0;
}
IN_RUN(many_cases)

static void *select_in_thread(void *arg) {
    crowd *w = arg;
    recv_any(w);
    return NULL;
}
static int threads_select_too_app(void *arg) {
    (void)arg;
    long sent = 0, received = 0;
    crowd w = {.sent = &sent, .received = &received, .num = (int)test_steps(1000)};
    for (int i = 0; i < CHANS; i++) w.c[i] = mound_chan_make(int, 0);
    w.stop = mound_chan_make(int, 0);
    pthread_t thread[2];
    for (int i = 0; i < 2; i++) must(pthread_create(&thread[i], NULL, select_in_thread, &w) == 0);
    mound_go_copy(send_any, &w, sizeof w);
    mound_go_copy(send_any, &w, sizeof w);
    long all = 2L * w.num * (w.num + 1) / 2;
    while (LOAD(&received) < all) mound_sleep(MOUND_MS(1));
    mound_close(w.stop);
    for (int i = 0; i < 2; i++) pthread_join(thread[i], NULL);
    must(received == all);
    return 0;
}
IN_RUN(threads_select_too)

/* ---------------------------------------------------------------- mistakes */

static int send_on_closed_app(void *arg) {
    (void)arg;
    MOUND_CHAN(int) c = mound_chan_make(int, 1);
    mound_close(c);
    mound_send(c, 1);
    return 0;
}
static void send_late(void *arg) { mound_send((MOUND_CHAN(int))arg, 1); }
static int close_under_sender_app(void *arg) {
    (void)arg;
    MOUND_CHAN(int) c = mound_chan_make(int, 0);
    mound_go(send_late, (void *)c);
    mound_sleep(MOUND_MS(5));
    mound_close(c);
    mound_sleep(MOUND_SEC(5));
    return 0;
}
static int close_twice_app(void *arg) {
    (void)arg;
    MOUND_CHAN(int) c = mound_chan_make(int, 1);
    mound_close(c);
    mound_close(c);
    return 0;
}
static int close_null_app(void *arg) {
    (void)arg;
    mound_chan_close(NULL);
    return 0;
}
static int too_large_app(void *arg) {
    (void)arg;
    return mound_chan_cap(mound_chan_new(1 << 12, SIZE_MAX / 2, 0)) == 0;
}
static int wide_elem_app(void *arg) {
    (void)arg;
    return mound_chan_cap(mound_chan_new(1 << 16, 1, 0)) == 0;
}
static int select_send_on_closed_app(void *arg) {
    (void)arg;
    MOUND_CHAN(int) c = mound_chan_make(int, 1);
    int v = 1;
    mound_close(c);
    mound_case cases[] = {MOUND_SEND(c, &v)};
    return mound_select(cases, 1);
}
static void misuse_is_fatal_and_named(void **state) {
    (void)state;
    static const misuse_case cases[] = {
        {send_on_closed_app, "send on closed channel 0x", "(goroutine 1 (main))"},
        {close_under_sender_app, "send on closed channel 0x", "(goroutine 2)"},
        {select_send_on_closed_app, "send on closed channel 0x", "(goroutine 1 (main))"},
        {close_twice_app, "close of closed channel 0x", "(goroutine 1 (main))"},
        {close_null_app, "close of a NULL channel", "(goroutine 1 (main))"},
        {too_large_app, "too large", ""},
        {wide_elem_app, "elements of 65536 bytes, more than 65535; send pointers", ""},
    };
    expect_misuse(cases, sizeof cases / sizeof cases[0]);
}

static int null_waits_for_ever_app(void *arg) {
    (void)arg;
    MOUND_CHAN(int) none = NULL;
    mound_send(none, 1);
    return 0;
}
static int empty_select_waits_for_ever_app(void *arg) {
    (void)arg;
    return mound_select(NULL, 0);
}
static void waiting_for_ever_is_a_deadlock(void **state) {
    (void)state;
    static const misuse_case cases[] = {
        {null_waits_for_ever_app, "[NULL chan", NULL},
        {empty_select_waits_for_ever_app, "[select (no cases)", NULL},
    };
    expect_misuse(cases, sizeof cases / sizeof cases[0]);
}

int main(int argc, char **argv) {
    alarm(200);
    const struct CMUnitTest tests[] = {
        /* Deaths first: TSan does not know threads that the child of a threaded process makes. */
        cmocka_unit_test(misuse_is_fatal_and_named),
        cmocka_unit_test(waiting_for_ever_is_a_deadlock),
        cmocka_unit_test(unbuffered_values_arrive_in_order),
        cmocka_unit_test(a_buffer_is_first_in_first_out),
        cmocka_unit_test(elements_of_any_size),
        cmocka_unit_test(try_forms_do_not_wait),
        cmocka_unit_test(close_wakes_all_that_receive),
        cmocka_unit_test(every_value_arrives_once),
        cmocka_unit_test(a_buffer_keeps_its_elements),
        cmocka_unit_test(what_was_received_is_not_kept),
        cmocka_unit_test(select_takes_what_is_ready),
        cmocka_unit_test(select_is_fair),
        cmocka_unit_test(a_crowd_of_selects_loses_nothing),
        cmocka_unit_test(many_cases),
        cmocka_unit_test(threads_select_too),
    };
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
