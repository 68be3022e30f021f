/* levels.c - which of the three levels of the heap served how many allocations.
 *
 *   thread cache   has a span (8 KiB or a few of them) of each size and hands out its places: no
 * lock central list   gives a cache its next span, one that has free places again after a
 * collection page heap      makes a new span of free pages, and holds each object above 32 KiB
 *
 * The library does not count this, so the program finds out from outside: an object in the same
 * span as the one before came from the cache alone. At the first object of another span it looks
 * whether heap_inuse_bytes (all spans) grew: then the page heap was asked, else the central list
 * had one. The times are medians and contain the clock, some 20 to 50 ns.
 *
 * Run: levels
 */
#include "literature.h"

#include <time.h>

enum {
    NUM_SMALL = 20000,
    NUM_AGAIN = 8000, /* after 3 of 4 small ones were dropped: fewer than the holes */
    SMALL_BYTES = 64,
    NUM_LARGE = 200,
    LARGE_BYTES = 40 << 10,
    PAGE_SHIFT = 13, /* 8 KiB */
    ARENA_SHIFT = 26,
};
typedef enum level { CACHE, CENTRAL, PAGES, NUM_LEVELS } level;

static void **objects;
static uint32_t times_ns[NUM_LEVELS][NUM_SMALL];
static int num[NUM_LEVELS], num_side_by_side;

static uint32_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint32_t)((uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec);
}

static int compare(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static unsigned median(level l) {
    if (num[l] == 0) { return 0; }
    qsort(times_ns[l], (size_t)num[l], sizeof times_ns[l][0], compare);
    return times_ns[l][num[l] / 2];
}

/* Fills the empty places of objects, at most max of them; num and the times say who served. */
static NOINLINE void allocate(int max, size_t bytes) {
    uint64_t inuse = stats_now().heap_inuse_bytes;
    uintptr_t last = 0;
    for (level l = CACHE; l < NUM_LEVELS; l++) { num[l] = 0; }
    num_side_by_side = 0;
    for (int i = 0; max > 0; i++) {
        if (objects[i]) { continue; }
        uint32_t begin = now_ns();
        objects[i] = mound_alloc(bytes);
        uint32_t ns = now_ns() - begin;
        uintptr_t addr = (uintptr_t)objects[i];
        level l = CACHE;
        if (last == 0 || addr >> PAGE_SHIFT != last >> PAGE_SHIFT) {
            uint64_t inuse_now = stats_now().heap_inuse_bytes;
            l = inuse_now > inuse ? PAGES : CENTRAL;
            inuse = inuse_now;
        } else if (addr - last == bytes || last - addr == bytes) {
            num_side_by_side++;
        }
        times_ns[l][num[l]++] = ns;
        last = addr;
        max--;
    }
}

static void print_row(const char *what) {
    printf("%-38s %7d %5u ns %7d %5u ns %7d %5u ns\n", what, num[CACHE], median(CACHE),
           num[CENTRAL], median(CENTRAL), num[PAGES], median(PAGES));
}

int main(void) {
    mound_set_gc_percent(-1); /* collected is when the program says so */
    objects = mound_new_array(void *, NUM_SMALL + NUM_LARGE);
    printf("%-38s %16s %16s %16s\n", "", "thread cache", "central list", "page heap");

    allocate(NUM_SMALL, SMALL_BYTES);
    print_row("20000 objects of 64 bytes");
    int per_span = (1 << PAGE_SHIFT) / SMALL_BYTES, spans = NUM_SMALL / per_span;
    verify(num[CACHE] >= NUM_SMALL - spans - 2, "a span has room for %d objects", per_span);
    verify(num[PAGES] >= spans - 2, "new memory should come from the page heap");
    verify(num_side_by_side >= num[CACHE] * 9 / 10, "a cache should hand out what is side by side");
    int side_by_side = num_side_by_side;

    for (int i = 0; i < NUM_SMALL; i++) {
        if (i % 4 != 0) { objects[i] = NULL; }
    }
    clear_stack();
    mound_gc();
    allocate(NUM_AGAIN, SMALL_BYTES);
    print_row("3 of 4 dropped, collected, 8000 again");
    verify(num[PAGES] <= 2, "there were holes enough, no new span was needed");
    verify(num[CENTRAL] >= NUM_AGAIN / per_span, "the central list should give spans with holes");

    for (int i = 0; i < NUM_SMALL; i++) { objects[i] = objects[0]; } /* no empty place */
    allocate(NUM_LARGE, LARGE_BYTES);
    print_row("200 objects of 40 KiB");
    verify(num[PAGES] >= NUM_LARGE * 9 / 10, "each large object is a span of its own");

    uint64_t before = stats_now().heap_sys_bytes;
    mound_keep_alive(mound_alloc_noscan((size_t)3 << ARENA_SHIFT));
    uint64_t after = stats_now().heap_sys_bytes;
    printf("the first 20000: %d lay beside the one before, in spans of %d\n", side_by_side,
           per_span);
    printf("an object of 192 MiB: arenas of 64 MiB from the system: before %llu, after %llu\n",
           (unsigned long long)before >> ARENA_SHIFT, (unsigned long long)after >> ARENA_SHIFT);
    verify(after >= before + ((uint64_t)2 << ARENA_SHIFT), "the page heap should have grown");
    printf("ok: nearly all small objects came from the thread cache, one in %d asked further\n",
           per_span);
    return 0;
}
