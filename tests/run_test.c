/* run_test.c - how a run of goroutines ends, and the next begins: whoever was at work is back by
 * then, also who was about to be woken from outside. modes: gc
 */
#include "run.h"

#include <pthread.h>

#include "sched/sched.h"

static mo_sched *const s = &mo_the_sched;

/* No run goes on. */
static void expect_all_at_home(void) {
    mo_thread *t = mo_thread_current();
    uint32_t num_idle = 0, num_ps;
    mo_runtime_enter(t);
    mo_lock_acquire(&s->lock);
    for (const mo_p *p = s->idle_p; p; p = p->next) num_idle++;
    num_ps = s->num_ps;
    int32_t room = s->room, max = s->max_procs - s->held;
    uint32_t num_m = s->num_m, num_long = s->num_long;
    bool has_idle_m = s->idle_m != NULL;
    mo_lock_release(&s->lock);
    mo_runtime_leave(t);
    assert_int_equal(num_m, 0);
    assert_false(has_idle_m);
    assert_int_equal(num_idle, num_ps);
    assert_int_equal(num_long, 0);
    assert_int_equal(room, max);
}

static void yield_some(void *arg) {
    (void)arg;
    for (int i = 0; i < 10; i++) mound_gosched();
}
static void stay_in_call(void *arg) {
    (void)arg;
    mound_sys_enter();
    usleep(200);
    mound_sys_exit();
}
static int short_app(void *arg) {
    mound_go_options pinned = {.is_pinned = 1};
    int i = *(int *)arg;
    for (int k = 0; k < i % 4; k++) mound_go(yield_some, NULL);
    if (i % 3 == 0) must(mound_go_opt(&pinned, yield_some, NULL) == 0);
    if (i % 3 == 1) mound_go(stay_in_call, NULL);
    if (i % 5 == 0) mound_sleep(MOUND_US(100));
    return 0;
}

static void *wake_again_and_again(void *is_over) {
    while (!LOAD((int *)is_over)) mound_gomaxprocs(mound_gomaxprocs(0));
    return NULL;
}

static void all_are_back_when_a_run_is_over(void **state) {
    (void)state;
    static int is_over;
    int num = (int)test_steps(500);
    pthread_t waker;
    assert_int_equal(pthread_create(&waker, NULL, wake_again_and_again, &is_over), 0);
    for (int i = 0; i < num; i++) {
        run(short_app, &i);
        expect_all_at_home();
    }
    STORE(&is_over, 1);
    pthread_join(waker, NULL);
}

static void short_first(void *arg) { short_app(arg); }

/* One waits until all of its run are back while the other's next run begins. */
static void *run_in_turn(void *num) {
    mo_thread *t = mo_thread_current();
    for (int i = 0; i < *(int *)num; i++)
        for (int error; (error = mo_sched_run(t, 0, short_first, &i)) != 0;) {
            must(error == -EBUSY);
            usleep(20);
        }
    return NULL;
}

static void threads_may_run_one_after_another(void **state) {
    (void)state;
    static int num;
    num = (int)test_steps(100);
    pthread_t thread[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, run_in_turn, &num), 0);
    for (int i = 0; i < 3; i++) pthread_join(thread[i], NULL);
    expect_all_at_home();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_are_back_when_a_run_is_over),
        cmocka_unit_test(threads_may_run_one_after_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
