/* shrink_test.c - a stack gives back what its goroutine does not use while it waits, and finds what
 * it does use. modes: valgrind
 */
#include "run.h"

#include <sys/mman.h>

#include "sched/sched.h"
#include "sched/shrink.h"
#include "sys/os_mem.h"

enum { PAGE = MO_OS_PAGE_BYTES, FRAME = 1000 };

typedef MOUND_CHAN(int) int_chan;

/* Goes down by so many frames, and finds each as it was on the way back. */
static NOINLINE void go_down(int depth, unsigned char mark) {
    unsigned char frame[FRAME];
    memset(frame, mark, sizeof frame);
    mound_keep_alive(frame);
    if (depth > 0) go_down(depth - 1, (unsigned char)(mark * 5 + 1));
    mound_keep_alive(frame);
    for (int i = 0; i < FRAME; i++) must(frame[i] == mark);
}

enum { DEEP = 150 };

static uintptr_t frame_of_sleeper;
static int_chan to_sleeper, from_sleeper;

static void sleeper(void *arg) {
    (void)arg;
    char mine[FRAME];
    int v;
    memset(mine, 77, sizeof mine);
    STORE(&frame_of_sleeper, (uintptr_t)__builtin_frame_address(0));
    for (int round = 0; round < 2; round++) {
        go_down(DEEP, 3);
        mound_send(from_sleeper, round);
        mound_recv(to_sleeper, &v);
        for (int i = 0; i < FRAME; i++) must(mine[i] == 77);
    }
    go_down(DEEP, 5);
    mound_send(from_sleeper, 0);
}

/* Of the pages that the sleeper went down to, those that are in memory. */
static int count_pages(void) {
    unsigned char is_in[DEEP * FRAME / PAGE] = {0};
    uintptr_t end = mo_align_down(frame_of_sleeper, PAGE);
    must(mincore((void *)(end - sizeof is_in * PAGE), sizeof is_in * PAGE, is_in) == 0);
    int num = 0;
    for (size_t i = 0; i < sizeof is_in; i++) num += is_in[i] & 1;
    return num;
}

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
