/* gogc.c - GOGC=100: with 4 MB live, the next collection comes near 8 MB. And GOGC=off.
 *
 * GOGC says by how many per cent the heap may grow over what is live (and what is scanned besides:
 * stacks and globals) before it is collected. Two things make the number of a real run differ:
 *
 *   - mound marks while the program runs, so it begins before the goal; how early depends on how
 *     fast the program allocates and how long marking takes, at most half of the way. A program
 * that allocates on may be past the goal when marking ends.
 *   - the least growth is 1 MiB, and up to 14 MiB for a program that allocates very fast: else a
 *     small heap would be collected all the time. This program allocates slowly, by naps.
 *
 * So the program checks the goal closely, and the heap at the next collection against these bounds,
 * three times. Then it turns the collector off, makes more garbage, and calls mound_gc.
 *
 * Run: gogc
 */
#include "literature.h"

#include <unistd.h>

enum {
    KIB = 1 << 10,
    LIVE_KIB = 4 << 10,
    STEP_KIB = 64, /* allocated between two looks */
    NAP_US = 1000,
    GIVE_UP_KIB = 64 << 10,
    OFF_KIB = 64 << 10,
};

static void **live;

static NOINLINE void make_live(void) {
    live = mound_new_array(void *, LIVE_KIB);
    for (int i = 0; i < LIVE_KIB; i++) {
        live[i] = mound_alloc(KIB);
        *(int *)live[i] = i;
    }
}

static NOINLINE void make_garbage(int kib) {
    for (int i = 0; i < kib; i++) { mound_keep_alive(mound_alloc(KIB)); }
}

/* Live after a collection, and the goal that follows from it. Of two collections the second counts:
 * before it nothing was allocated, so that the growth is GOGC's and not the least one. More of them
 * if this process had to wait for a processor: then it seems to allocate fast. */
static NOINLINE void check_goal(void) {
    mound_mem_stats s = stats_now();
    double goal = 0, expected = 1;
    mound_gc();
    for (int i = 0; i < 20 && (goal < 0.9 * expected || goal > 1.1 * expected); i++) {
        usleep(20000);
        mound_gc();
        s = stats_now();
        goal = mb(s.heap_goal_bytes);
        expected = mb(2 * s.heap_marked_bytes + s.stack_scan_bytes + s.root_scan_bytes);
    }
    printf("GOGC=100: live %.2f MB, stacks and globals %.2f MB: goal %.2f MB\n",
           mb(s.heap_marked_bytes), mb(s.stack_scan_bytes + s.root_scan_bytes), goal);
    verify(mb(s.heap_marked_bytes) > 4 && mb(s.heap_marked_bytes) < 6, "4 MB should be live");
    verify(goal > 0.9 * expected && goal < 1.1 * expected, "it should be near %.2f MB", expected);
}

/* Makes garbage until a collection has come by itself. */
static NOINLINE void check_next(void) {
    mound_mem_stats before = stats_now(), s = before;
    int kib = 0;
    for (; s.num_gc == before.num_gc && kib < GIVE_UP_KIB; kib += STEP_KIB) {
        make_garbage(STEP_KIB);
        usleep(NAP_US);
        s = stats_now();
    }
    double base = mb(before.heap_marked_bytes), goal = mb(before.heap_goal_bytes);
    double heap = base + mb((uint64_t)kib * KIB);
    printf("  after %.2f MB of garbage it was collected: heap %.2f MB, goal %.2f MB\n", heap - base,
           heap, goal);
    verify(s.num_gc > before.num_gc, "no collection came");
    /* Not before half of the way; beyond the goal threads that allocate are slowed, so that a heap
     * that is a quarter over it stands all but still. 1 MB for what was counted in batches. */
    verify(heap > base + (goal - base) / 2 - 1, "it came too early");
    verify(heap < goal * 1.25 + 1, "it came too late");
}

static NOINLINE void check_off(void) {
    mound_gc(); /* none that began before goes on */
    uint64_t num_gc = stats_now().num_gc;
    verify(mound_set_gc_percent(-1) == 100, "the percentage was not 100");
    make_garbage(OFF_KIB);
    mound_mem_stats s = stats_now();
    printf("GOGC=off: %d MB of garbage later: %llu collections, heap %.2f MB\n", OFF_KIB >> 10,
           (unsigned long long)(s.num_gc - num_gc), mb(s.heap_alloc_bytes));
    verify(s.num_gc == num_gc && mb(s.heap_alloc_bytes) > OFF_KIB >> 10, "it was collected");
    mound_gc();
    s = stats_now();
    printf("mound_gc: %llu collection, heap %.2f MB\n", (unsigned long long)(s.num_gc - num_gc),
           mb(s.heap_alloc_bytes));
    verify(s.num_gc == num_gc + 1 && mb(s.heap_alloc_bytes) < 6, "the garbage is still there");
}

int main(void) {
    mound_set_gc_percent(100); /* whatever MOUND_GOGC says */
    make_live();
    for (int i = 0; i < 3; i++) {
        check_goal();
        check_next();
    }
    check_off();
    for (int i = 0; i < LIVE_KIB; i++) { verify(*(int *)live[i] == i, "live data were changed"); }
    printf("ok: collected on the way to twice the live heap; off means off, but for mound_gc\n");
    return 0;
}
