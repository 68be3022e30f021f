/* climb_test.c - as many processors are at work as move the most messages, and none is held back
 * where messages are not all there is. Programs are functions here: from the number of processors
 * to the messages a microsecond.
 */
#include "run.h"

#include <pthread.h>
#include <sched.h>

#include "sched/climb.h"
#include "sched/sched.h"

enum { MS = 1000000, LOOK_NS = MS };

typedef struct program {
    double rate[9];  /* messages a microsecond, by processors at work */
    double switches; /* of each processor, a millisecond */
    double noise;    /* of the rate, each window another */
} program;

typedef struct climber {
    mo_climb climb;
    mo_climb_sample at;
    double messages, switches; /* so far, with their fractions */
    uint32_t allowed;
    mo_rand rand;
} climber;

static climber new_climber(uint32_t max) {
    climber c = {.allowed = max, .at = {.ns = 1000 * (uint64_t)MS, .max = max}};
    mo_rand_seed(&c.rand, 1);
    return c;
}

/* The mean number of processors at work. */
static double run_program(climber *c, const program *p, int ms) {
    double sum = 0;
    for (int i = 0; i < ms; i++) {
        double noise = 1 + p->noise * ((double)mo_rand_below(&c->rand, 2001) / 1000 - 1);
        c->messages += p->rate[c->allowed] * noise * LOOK_NS / 1000;
        c->switches += p->switches * c->allowed * LOOK_NS / MS;
        c->at.ns += LOOK_NS;
        c->at.messages = (uint64_t)c->messages;
        c->at.switches = (uint32_t)(uint64_t)c->switches;
        c->at.busy = c->allowed;
        sum += c->allowed;
        c->allowed = mo_climb_step(&c->climb, &c->at);
        assert_in_range(c->allowed, 1, c->at.max);
    }
    return sum / ms;
}

static const program slower_together = {.rate = {0, 60, 25}, .switches = 500};
static const program faster_together = {.rate = {0, 10, 18}, .switches = 500};

static void one_works_where_two_move_fewer_messages(void **state) {
    (void)state;
    climber c = new_climber(2);
    run_program(&c, &slower_together, 100);
    assert_true(run_program(&c, &slower_together, 2000) < 1.02);
}

static void all_work_where_they_move_more_messages(void **state) {
    (void)state;
    climber c = new_climber(2);
    run_program(&c, &faster_together, 100);
    assert_true(run_program(&c, &faster_together, 2000) > 1.98);
}

static void all_work_where_it_makes_no_difference(void **state) {
    (void)state;
    const program even = {.rate = {0, 20, 20}, .switches = 500, .noise = 0.04};
    climber c = new_climber(2);
    run_program(&c, &even, 100);
    assert_true(run_program(&c, &even, 2000) > 1.98);
}

static void a_number_between_is_found(void **state) {
    (void)state;
    const program peak = {
        .rate = {0, 10, 16, 22, 28, 20, 15, 12, 9}, .switches = 500, .noise = 0.02};
    climber c = new_climber(8);
    run_program(&c, &peak, 500);
    double mean = run_program(&c, &peak, 4000);
    assert_true(mean > 3.8 && mean < 4.2);
}

static void what_changes_is_followed_within_a_second(void **state) {
    (void)state;
    climber c = new_climber(2);
    for (int i = 0; i < 4; i++) {
        run_program(&c, &slower_together, 1000);
        assert_true(run_program(&c, &slower_together, 2000) < 1.05);
        run_program(&c, &faster_together, 1000);
        assert_true(run_program(&c, &faster_together, 2000) > 1.95);
    }
}

static void all_are_let_go_as_soon_as_messages_get_rare(void **state) {
    (void)state;
    const program computes = {.rate = {0, 1, 1}, .switches = 500};
    climber c = new_climber(2);
    run_program(&c, &slower_together, 500);
    assert_int_equal(c.allowed, 1);
    run_program(&c, &computes, 4);
    assert_int_equal(c.allowed, 2);
    assert_true(run_program(&c, &computes, 2000) == 2);
}

static void none_is_held_back_where_goroutines_compute_for_long(void **state) {
    (void)state;
    const program mixed = {.rate = {0, 60, 25}, .switches = 2};
    climber c = new_climber(2);
    assert_true(run_program(&c, &mixed, 2000) == 2);
}

static void one_processor_stays_one(void **state) {
    (void)state;
    const program any = {.rate = {0, 60}, .switches = 500};
    climber c = new_climber(1);
    assert_true(run_program(&c, &any, 500) == 1);
}

static void counts_may_begin_anew_at_zero(void **state) {
    (void)state;
    climber c = new_climber(2);
    c.switches = UINT32_MAX - 300;
    run_program(&c, &slower_together, 300);
    assert_true(run_program(&c, &slower_together, 1000) < 1.05);
}

/* ---------------------------------------------------------------- held back and let go */

typedef MOUND_CHAN(int) int_chan;
enum { PAIRS = 4, VALUES = 20000 };

typedef struct pair {
    int_chan c;
    mound_waitgroup *wg;
    long sum;
} pair;

static void send_all(void *arg) {
    pair *p = arg;
    for (int i = 1, n = (int)test_steps(VALUES); i <= n; i++) {
        mound_send(p->c, i);
        if (i % 100 == 0) { /* another may have the processor afterwards */
            mound_sys_enter();
            if (i % 1000 == 0) sched_yield();
            mound_sys_exit();
        }
    }
    mound_close(p->c);
    mound_waitgroup_done(p->wg);
}
static void receive_all(void *arg) {
    pair *p = arg;
    for (int v; mound_recv(p->c, &v);) p->sum += v;
    mound_waitgroup_done(p->wg);
}

static uint32_t is_over; /* atomic */

static void *hold_and_let_go(void *arg) {
    (void)arg;
    mo_thread *t = mo_thread_current();
    mo_rand r;
    mo_rand_seed(&r, 7);
    for (int32_t n = 0; !LOAD(&is_over); n = !n) {
        mo_runtime_enter(t);
        mo_sched_hold(n);
        mo_runtime_leave(t);
        struct timespec pause = {.tv_nsec = (long)mo_rand_below(&r, 100000)};
        nanosleep(&pause, NULL);
    }
    mo_runtime_enter(t);
    mo_sched_hold(0);
    mo_runtime_leave(t);
    return NULL;
}

static int nothing_is_lost_while_processors_are_held_back_app(void *arg) {
    (void)arg;
    int old = mound_gomaxprocs(2);
    STORE(&is_over, 0);
    pthread_t holder;
    must(pthread_create(&holder, NULL, hold_and_let_go, NULL) == 0);
    long n = (long)test_steps(VALUES);
    for (int round = 0; round < 5; round++) {
        mound_waitgroup wg = {0};
        pair pairs[PAIRS];
        for (int i = 0; i < PAIRS; i++) {
            pairs[i] = (pair){mound_chan_make(int, i * 8), &wg, 0};
            mound_waitgroup_add(&wg, 2);
            /* The half of them stays in their threads. */
            mound_go_options o = {.is_pinned = i % 2};
            must(mound_go_opt(&o, send_all, &pairs[i]) == 0);
            must(mound_go_opt(&o, receive_all, &pairs[i]) == 0);
        }
        mound_waitgroup_wait(&wg);
        for (int i = 0; i < PAIRS; i++) must(pairs[i].sum == n * (n + 1) / 2);
    }
    STORE(&is_over, 1);
    must(pthread_join(holder, NULL) == 0);
    must(__atomic_load_n(&mo_the_sched.held, __ATOMIC_RELAXED) == 0);
    mound_gomaxprocs(old);
    return 0;
}
IN_RUN(nothing_is_lost_while_processors_are_held_back)

static int a_new_maximum_holds_nothing_back_app(void *arg) {
    (void)arg;
    int old = mound_gomaxprocs(2);
    mo_thread *t = mo_thread_current();
    mo_runtime_enter(t);
    mo_sched_hold(1);
    mo_runtime_leave(t);
    mound_gomaxprocs(3);
    must(__atomic_load_n(&mo_the_sched.held, __ATOMIC_RELAXED) == 0);
    must(__atomic_load_n(&mo_the_sched.room, __ATOMIC_RELAXED) >= 3 - 1 - 1); /* we, who spins */
    mound_gomaxprocs(old);
    return 0;
}
IN_RUN(a_new_maximum_holds_nothing_back)

static int one_processor_is_left_app(void *arg) {
    (void)arg;
    int old = mound_gomaxprocs(1);
    mo_thread *t = mo_thread_current();
    mo_runtime_enter(t);
    mo_sched_hold(1); /* decided when there were two */
    mo_runtime_leave(t);
    must(__atomic_load_n(&mo_the_sched.held, __ATOMIC_RELAXED) == 0);
    mound_gomaxprocs(old);
    return 0;
}
IN_RUN(one_processor_is_left)

int main(void) {
    assert_int_equal(mound_init(), 0);
    mo_the_sched.holds_none = true; /* before any run: only the tests hold any back */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_works_where_two_move_fewer_messages),
        cmocka_unit_test(all_work_where_they_move_more_messages),
        cmocka_unit_test(all_work_where_it_makes_no_difference),
        cmocka_unit_test(a_number_between_is_found),
        cmocka_unit_test(what_changes_is_followed_within_a_second),
        cmocka_unit_test(all_are_let_go_as_soon_as_messages_get_rare),
        cmocka_unit_test(none_is_held_back_where_goroutines_compute_for_long),
        cmocka_unit_test(one_processor_stays_one),
        cmocka_unit_test(counts_may_begin_anew_at_zero),
        cmocka_unit_test(nothing_is_lost_while_processors_are_held_back),
        cmocka_unit_test(a_new_maximum_holds_nothing_back),
        cmocka_unit_test(one_processor_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
