/* sleeper.h - for tests of stacks that give back: a goroutine that goes down deep, and waits. */
#ifndef SLEEPER_H
#define SLEEPER_H

#include "run.h"

#include <sys/mman.h>

#include "base/bits.h"
#include "sys/futex.h"
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
static uint64_t since_ns; /* it is about to wait */
static int_chan to_sleeper, from_sleeper;

/* Two rounds: down, then it says so, and waits until it is told to go on. */
static void sleeper(void *arg) {
    (void)arg;
    char mine[FRAME];
    int v;
    memset(mine, 77, sizeof mine);
    STORE(&frame_of_sleeper, (uintptr_t)__builtin_frame_address(0));
    for (int round = 0; round < 2; round++) {
        go_down(DEEP, 3);
        STORE(&since_ns, mo_clock_ns());
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

#endif
