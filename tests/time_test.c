/* time_test.c - sleep, timers, tickers, contexts. */
#include "run.h"

static int64_t since(int64_t begin) { return mound_now_ns() - begin; }

static int sleep_takes_its_time_app(void *arg) {
    (void)arg;
    static const int64_t times[] = {0, -5, 1, 1000, MOUND_US(300), MOUND_MS(3), MOUND_MS(20)};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        int64_t begin = mound_now_ns();
        mound_sleep(times[i]);
        must(since(begin) >= times[i]);
    }
    return 0;
}
IN_RUN(sleep_takes_its_time)

static void thread_sleeps_too(void **state) {
    (void)state;
    int64_t begin = mound_now_ns();
    mound_sleep(MOUND_MS(3));
    assert_true(since(begin) >= MOUND_MS(3));
}

typedef struct nap {
    int64_t ns;
    mound_waitgroup *wg;
    int *order, *next;
    int number;
} nap;
static void take_nap(void *copy) {
    nap *n = copy;
    mound_sleep(n->ns);
    n->order[ADD(n->next, 1) - 1] = n->number;
    mound_waitgroup_done(n->wg);
}
static int sleepers_wake_in_order_app(void *arg) {
    (void)arg;
    enum { NUM = 20 };
    mound_waitgroup wg = {0};
    int order[NUM], next = 0, procs = mound_gomaxprocs(1);
    mound_waitgroup_add(&wg, NUM);
    for (int i = 0; i < NUM; i++) {
        int at = i * 7 % NUM;
        nap n = {MOUND_MS(4 * at + 4), &wg, order, &next, at};
        mound_go_copy(take_nap, &n, sizeof n);
    }
    mound_waitgroup_wait(&wg);
    /* Those that are due at the same look may run on two processors: not each pair is in order. */
    int inverted = 0;
    for (int i = 0; i < NUM; i++)
        for (int k = i + 1; k < NUM; k++) inverted += order[i] > order[k];
    must(inverted < NUM * (NUM - 1) / 8); /* by chance it would be twice that */
    mound_gomaxprocs(procs);
    return 0;
}
IN_RUN(sleepers_wake_in_order)

static void short_nap(void *arg) { mound_sleep(MOUND_US(100 + (int64_t)(uintptr_t)arg % 5000)); }
static int many_sleepers_app(void *arg) {
    (void)arg;
    mound_waitgroup wg = {0};
    int num = (int)test_steps(20000);
    for (int i = 0; i < num; i++) mound_waitgroup_go(&wg, short_nap, (void *)(uintptr_t)(i * 7919));
    mound_waitgroup_wait(&wg);
    return 0;
}
IN_RUN(many_sleepers)

static int after_sends_once_app(void *arg) {
    (void)arg;
    int64_t begin = mound_now_ns(), when = 0;
    mound_time_chan c = mound_after(MOUND_MS(5));
    must(mound_recv(c, &when));
    must(when - begin >= MOUND_MS(5) && since(begin) >= MOUND_MS(5));
    mound_sleep(MOUND_MS(2));
    must(!mound_try_recv(c, &when, NULL));
    return 0;
}
IN_RUN(after_sends_once)

static int timers_stop_and_start_again_app(void *arg) {
    (void)arg;
    mound_timer *t = mound_timer_new(MOUND_SEC(100));
    must(mound_timer_stop(t) == 1 && mound_timer_stop(t) == 0);
    mound_sleep(MOUND_MS(5));
    must(mound_len(mound_timer_chan(t)) == 0);
    must(mound_timer_reset(t, MOUND_MS(2)) == 0);
    must(mound_recv_any(mound_timer_chan(t)));
    mound_timer_reset(t, MOUND_MS(1));
    while (mound_len(mound_timer_chan(t)) == 0) mound_sleep(MOUND_MS(1));
    must(mound_timer_stop(t) == 0);
    must(mound_len(mound_timer_chan(t)) == 0); /* no time of before */
    must(mound_timer_reset(t, MOUND_SEC(100)) == 0);
    must(mound_timer_reset(t, MOUND_MS(1)) == 1);
    must(mound_recv_any(mound_timer_chan(t)));
    return 0;
}
IN_RUN(timers_stop_and_start_again)

static int a_ticker_ticks_app(void *arg) {
    (void)arg;
    int64_t begin = mound_now_ns();
    mound_timer *t = mound_ticker_new(MOUND_MS(2));
    for (int i = 0; i < 5; i++) must(mound_recv_any(mound_timer_chan(t)));
    must(since(begin) >= MOUND_MS(10));
    begin = mound_now_ns();
    mound_timer_reset(t, MOUND_MS(4));
    for (int i = 0; i < 3; i++) must(mound_recv_any(mound_timer_chan(t)));
    must(since(begin) >= MOUND_MS(12));
    mound_timer_stop(t);
    mound_sleep(MOUND_MS(6));
    must(mound_len(mound_timer_chan(t)) == 0);
    return 0;
}
IN_RUN(a_ticker_ticks)

static void count_up(void *arg) { ADD((int *)arg, 1); }
static int after_func_runs_as_a_goroutine_app(void *arg) {
    (void)arg;
    int count = 0;
    mound_timer *t = mound_after_func(MOUND_MS(1), count_up, &count);
    mound_timer *stopped = mound_after_func(MOUND_SEC(100), count_up, &count);
    must(mound_timer_chan(t) == NULL);
    must(mound_timer_stop(stopped) == 1);
    while (LOAD(&count) != 1) mound_sleep(MOUND_MS(1));
    must(mound_timer_reset(t, MOUND_MS(1)) == 0);
    while (LOAD(&count) != 2) mound_sleep(MOUND_MS(1));
    return 0;
}
IN_RUN(after_func_runs_as_a_goroutine)

/* Far more than there are goroutines: of those that are on half are stopped, half go off sooner. */
static int a_million_timers_app(void *arg) {
    (void)arg;
    int count = 0, num = (int)test_steps(1000000);
    if (TEST_SANITIZED) num = 6000; /* TSan has room for 8,128 goroutines */
    mound_timer **t = mound_alloc((size_t)num * sizeof *t);
    for (int i = 0; i < num; i++)
        t[i] = mound_after_func(MOUND_SEC(1000 + (int64_t)i * 7919 % 1000), count_up, &count);
    mound_gc();
    for (int i = 0; i < num; i += 2) must(mound_timer_stop(t[i]) == 1);
    for (int i = 1; i < num; i += 2)
        must(mound_timer_reset(t[i], MOUND_US(100 + (int64_t)i * 104729 % 200000)) == 1);
    while (LOAD(&count) < num / 2) mound_sleep(MOUND_MS(1));
    for (int i = 0; i < num; i++) must(mound_timer_stop(t[i]) == 0);
    while (mound_num_goroutine() > 1) mound_gosched();
    must(LOAD(&count) == num / 2);
    return 0;
}
IN_RUN(a_million_timers)

/* A timer that is on keeps itself and its channel, whoever has forgotten it. */
static NOINLINE void forget_timers(int *count) {
    for (int i = 0; i < 50; i++) mound_after_func(MOUND_MS(20), count_up, count);
}
static int a_timer_that_is_on_is_kept_app(void *arg) {
    (void)arg;
    int count = 0;
    forget_timers(&count);
    for (int i = 0; i < 3; i++) {
        mound_gc();
        for (int k = 0; k < 3000; k++) mound_keep_alive(mound_alloc(100 + (size_t)k % 100));
    }
    mound_sleep(MOUND_MS(30));
    while (LOAD(&count) < 50) mound_sleep(MOUND_MS(1));
    return 0;
}
IN_RUN(a_timer_that_is_on_is_kept)

/* Stop and reset from elsewhere while it goes off. */
static void reset_often(void *arg) {
    mound_timer *t = arg;
    for (int i = 0; i < 500; i++) {
        mound_timer_reset(t, MOUND_US(i % 50));
        if (i % 3 == 0) mound_timer_stop(t);
        if (i % 50 == 0) mound_sleep(MOUND_US(50));
    }
}
static int timers_are_reset_while_they_go_off_app(void *arg) {
    (void)arg;
    mound_waitgroup wg = {0};
    static int count;
    for (int i = 0; i < 4; i++) {
        mound_timer *t = i % 2 ? mound_timer_new(1) : mound_after_func(1, count_up, &count);
        mound_waitgroup_go(&wg, reset_often, t);
        mound_waitgroup_go(&wg, reset_often, t);
    }
    mound_waitgroup_wait(&wg);
    return 0;
}
IN_RUN(timers_are_reset_while_they_go_off)

/* One that is just going off, on whatever thread, when it is reset or stopped: what was to come of
 * that comes no more. */
static int nothing_of_before_comes_after_a_reset_app(void *arg) {
    (void)arg;
    int64_t before = 0;
    mound_timer *t = mound_timer_new(1), *ticker = mound_ticker_new(1);
    for (int64_t end = mound_now_ns() + MOUND_SEC(2), i = 0; mound_now_ns() < end; i++) {
        int64_t due = mound_now_ns() + MOUND_US(20);
        mound_timer_reset(t, MOUND_US(20));
        mound_timer_reset(ticker, MOUND_US(20));
        while (mound_now_ns() < due + i * 37 % MOUND_US(5)) continue;
        int64_t begin = mound_now_ns();
        mound_timer_reset(t, MOUND_US(60));
        mound_timer_reset(ticker, MOUND_US(60));
        while (mound_now_ns() < begin + MOUND_US(50)) continue;
        bool none = mound_len(mound_timer_chan(t)) == 0;
        bool no_tick = mound_len(mound_timer_chan(ticker)) == 0;
        must((none && no_tick) || since(begin) >= MOUND_US(60));
        must(mound_recv(mound_timer_chan(t), &before));
        must(before >= begin + MOUND_US(60));
        must(mound_recv(mound_timer_chan(ticker), &before));
        must(before >= begin + MOUND_US(60));
    }
    mound_timer_stop(ticker);
    return 0;
}
IN_RUN(nothing_of_before_comes_after_a_reset)

static int leftover;
static int leave_timers_app(void *arg) {
    (void)arg;
    for (int i = 0; i < 10; i++) mound_after_func(MOUND_MS(200), count_up, &leftover);
    mound_sleep(MOUND_MS(1));
    return 0;
}
static int wait_for_none_app(void *arg) {
    (void)arg;
    mound_sleep(MOUND_MS(300));
    must(leftover == 0);
    return 0;
}
static void the_end_of_a_run_turns_timers_off(void **state) {
    (void)state;
    run(leave_timers_app, NULL);
    run(wait_for_none_app, NULL);
}

/* ---------------------------------------------------------------- contexts */

static void wait_done(void *arg) { must(!mound_recv_any(mound_ctx_done(arg))); }
static int cancel_ends_all_below_app(void *arg) {
    (void)arg;
    static const char key, other;
    mound_waitgroup wg = {0};
    mound_ctx *root = mound_ctx_background();
    mound_ctx *top = mound_ctx_with_cancel(root);
    mound_ctx *beside = mound_ctx_with_cancel(top);
    mound_ctx *value = mound_ctx_with_value(top, &key, &wg);
    mound_ctx *below = mound_ctx_with_cancel(mound_ctx_with_cancel(value));
    must(mound_ctx_done(root) == NULL && mound_ctx_error(root) == 0);
    must(mound_ctx_value(below, &key) == &wg && mound_ctx_value(below, &other) == NULL);
    must(mound_ctx_value(top, &key) == NULL);
    mound_ctx_cancel(beside);
    must(mound_ctx_error(beside) == -ECANCELED && mound_ctx_error(top) == 0);
    for (int i = 0; i < 10; i++) mound_waitgroup_go(&wg, wait_done, i % 2 ? below : value);
    mound_gosched();
    mound_ctx_cancel(top);
    mound_waitgroup_wait(&wg);
    must(mound_ctx_error(below) == -ECANCELED && mound_ctx_error(value) == -ECANCELED);
    mound_ctx_cancel(top);
    mound_ctx_cancel(below);
    must(mound_ctx_error(mound_ctx_with_cancel(top)) == -ECANCELED);
    return 0;
}
IN_RUN(cancel_ends_all_below)

static int time_ends_a_context_app(void *arg) {
    (void)arg;
    int64_t begin = mound_now_ns(), when = 0;
    mound_ctx *ctx = mound_ctx_with_timeout(mound_ctx_background(), MOUND_MS(5));
    mound_ctx *later = mound_ctx_with_timeout(ctx, MOUND_SEC(100));
    mound_ctx *sooner = mound_ctx_with_timeout(ctx, MOUND_MS(1));
    must(mound_ctx_deadline(later, &when) && when - begin < MOUND_SEC(1));
    must(!mound_ctx_deadline(mound_ctx_background(), &when));
    mound_recv_any(mound_ctx_done(sooner));
    must(mound_ctx_error(sooner) == -ETIMEDOUT);
    mound_recv_any(mound_ctx_done(later));
    must(since(begin) >= MOUND_MS(5));
    must(mound_ctx_error(later) == -ETIMEDOUT && mound_ctx_error(ctx) == -ETIMEDOUT);
    must(mound_ctx_error(mound_ctx_with_deadline(mound_ctx_background(), begin)) == -ETIMEDOUT);
    mound_ctx *stopped = mound_ctx_with_timeout(mound_ctx_background(), MOUND_SEC(100));
    mound_ctx_cancel(stopped);
    must(mound_ctx_error(stopped) == -ECANCELED);
    return 0;
}
IN_RUN(time_ends_a_context)

/* ---------------------------------------------------------------- mistakes */

static int bad_ticker_app(void *arg) {
    mound_ticker_new(0);
    return arg != NULL;
}
static int cancel_background_app(void *arg) {
    mound_ctx_cancel(mound_ctx_background());
    return arg != NULL;
}
static int null_parent_app(void *arg) { return mound_ctx_with_cancel(arg) == NULL; }
static void misuse_is_fatal_and_named(void **state) {
    (void)state;
    static const misuse_case cases[] = {
        {bad_ticker_app, "the period must be positive", NULL},
        {cancel_background_app, "only contexts with a cancel", NULL},
        {null_parent_app, "parent is NULL", NULL},
    };
    expect_misuse(cases, sizeof cases / sizeof cases[0]);
}

int main(int argc, char **argv) {
    alarm(200);
    const struct CMUnitTest tests[] = {
        /* Deaths first: TSan does not know threads that the child of a threaded process makes. */
        cmocka_unit_test(misuse_is_fatal_and_named),
        cmocka_unit_test(sleep_takes_its_time),
        cmocka_unit_test(thread_sleeps_too),
        cmocka_unit_test(sleepers_wake_in_order),
        cmocka_unit_test(many_sleepers),
        cmocka_unit_test(after_sends_once),
        cmocka_unit_test(timers_stop_and_start_again),
        cmocka_unit_test(a_ticker_ticks),
        cmocka_unit_test(after_func_runs_as_a_goroutine),
        cmocka_unit_test(a_million_timers),
        cmocka_unit_test(a_timer_that_is_on_is_kept),
        cmocka_unit_test(timers_are_reset_while_they_go_off),
        cmocka_unit_test(nothing_of_before_comes_after_a_reset),
        cmocka_unit_test(the_end_of_a_run_turns_timers_off),
        cmocka_unit_test(cancel_ends_all_below),
        cmocka_unit_test(time_ends_a_context),
    };
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
