/* shrink_live_test.c - the same as shrink_test by itself, in time, and beside goroutines that run.
 * Not under valgrind, where one thread runs at a time: sysmon, whose clock tells how long a
 * goroutine has waited, gets no turn for seconds.
 */
#include "sleeper.h"

#include <pthread.h>

#include "sched/shrink.h"

/* ---------------------------------------------------------------- given back */

static int who_waits_for_long_gives_back_app(void *arg) {
    (void)arg;
    int v;
    to_sleeper = mound_chan_make(int, 0);
    from_sleeper = mound_chan_make(int, 0);
    mound_go(sleeper, NULL);
    for (int round = 0; round < 2; round++) {
        mound_recv(from_sleeper, &v);
        must(count_pages() >= DEEP * FRAME / PAGE / 2);
        uint64_t ms = 0;
        for (; count_pages() > 4 && ms < 30000; ms = (mo_clock_ns() - LOAD(&since_ns)) / 1000000)
            mound_sleep(MOUND_MS(20));
        printf("given back within %llu ms\n", (unsigned long long)ms);
        must(count_pages() <= 4);
        must(ms >= 500); /* not at once: it is about to be used again */
        mound_send(to_sleeper, 1);
    }
    mound_recv(from_sleeper, &v);
    return 0;
}
IN_RUN(who_waits_for_long_gives_back)

/* ---------------------------------------------------------------- and used meanwhile */

enum { NUM_WORKERS = 12 };

static int is_over;

static void *shrink_all(void *arg) {
    (void)arg;
    mo_thread *t = mo_thread_current();
    while (!LOAD(&is_over)) {
        mo_runtime_enter(t);
        mo_shrink_records(0, mo_g_count(), 0);
        mo_runtime_leave(t);
    }
    return NULL;
}

static void worker(void *arg) {
    int_chan *c = arg;
    int v;
    while (mound_recv(c[0], &v)) {
        go_down(v % 40, (unsigned char)v);
        mound_send(c[1], v);
    }
}

static int who_is_woken_meanwhile_loses_nothing_app(void *arg) {
    (void)arg;
    int_chan c[2] = {mound_chan_make(int, 4), mound_chan_make(int, 4)};
    pthread_t th;
    STORE(&is_over, 0);
    must(pthread_create(&th, NULL, shrink_all, NULL) == 0);
    for (int i = 0; i < NUM_WORKERS; i++) mound_go(worker, c);
    int num = (int)test_steps(60000), sent = 0, v;
    for (int got = 0; got < num; got++) {
        while (sent < num && sent - got < NUM_WORKERS) mound_send(c[0], sent++);
        mound_recv(c[1], &v);
    }
    STORE(&is_over, 1);
    must(pthread_join(th, NULL) == 0);
    mound_close(c[0]);
    while (mound_num_goroutine() > 1) mound_gosched();
    return 0;
}
IN_RUN(who_is_woken_meanwhile_loses_nothing)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_waits_for_long_gives_back),
        cmocka_unit_test(who_is_woken_meanwhile_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
