/* shrink_test.c - a stack gives back what its goroutine does not use while it waits, and finds what
 * it does use. modes: valgrind
 */
#include "sleeper.h"

#include "sched/sched.h"
#include "sched/shrink.h"

static void shrink_all_that_wait(void) {
    mo_thread *t = mo_thread_now();
    mo_runtime_enter(t);
    mo_shrink_records(0, mo_g_count(), 0);
    mo_runtime_leave(t);
}

static int what_was_given_back_is_used_again_app(void *arg) {
    (void)arg;
    int v;
    to_sleeper = mound_chan_make(int, 0);
    from_sleeper = mound_chan_make(int, 0);
    mound_go(sleeper, NULL);
    for (int round = 0; round < 2; round++) {
        mound_recv(from_sleeper, &v);
        for (int i = 0; count_pages() > 4; i++) { /* it may not be waiting yet */
            must(i < 100000);
            shrink_all_that_wait();
            mound_gosched();
        }
        mound_send(to_sleeper, 1);
    }
    mound_recv(from_sleeper, &v);
    return 0;
}
IN_RUN(what_was_given_back_is_used_again)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_given_back_is_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
