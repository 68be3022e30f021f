/* bugs.c - two bugs of malloc and free that mound does not have: a dangling pointer, and a leak.
 *
 * Nothing undefined is done here: an address is made a number before free, and only numbers are
 * compared. With malloc, the next block of that size is where the freed one was: whoever still had
 * a pointer to it would change another's data. With mound a block stays while there is a pointer.
 *
 * The number would keep the block as a pointer does, since the collector cannot tell them apart: so
 * of mound's block the complement is noted.
 *
 * Run: bugs
 */
#include "literature.h"

#include <malloc.h>

enum { BLOCK_BYTES = 64, NUM_TRIES = 200000, LEAK_BYTES = 1024, NUM_LEAKS = 4000 };

static void *(*volatile make)(size_t) = malloc; /* else compilers leave out what nobody uses */
static void *volatile holder;                   /* the pointer that somebody still has */

static NOINLINE void dangling_malloc(void) {
    void *p = make(BLOCK_BYTES);
    uintptr_t freed = (uintptr_t)p;
    free(p);
    void *q = make(BLOCK_BYTES); /* somebody else's */
    printf(
        "malloc: %s\n",
        (uintptr_t)q == freed
            ? "the next block is where the freed one was: a pointer to it dangles"
            : "not shown: this malloc (a sanitizer's?) does not use a freed block again at once");
    free(q);
}

/* How many of num new blocks are at the address of which this is the complement? */
static NOINLINE int count_at(uintptr_t complement, int num) {
    int found = 0;
    for (int i = 0; i < num; i++) {
        void *volatile q = mound_alloc(BLOCK_BYTES);
        found += ~(uintptr_t)q == complement;
    }
    return found;
}

static NOINLINE uintptr_t make_held(void) {
    holder = mound_alloc(BLOCK_BYTES);
    *(int *)holder = 4711;
    return ~(uintptr_t)holder;
}

/* A function of its own, so that no copy of the pointer stays in the caller's frame. */
static NOINLINE int held_value(void) { return *(int *)holder; }

static NOINLINE void dangling_mound(void) {
    uintptr_t complement = make_held();
    uint64_t num_gc = stats_now().num_gc;
    mound_gc();
    int found = count_at(complement, NUM_TRIES);
    mound_gc();
    num_gc = stats_now().num_gc - num_gc;
    verify(found == 0 && held_value() == 4711, "a block was given out twice");
    printf("mound:  %d blocks and %llu collections later, none is where the held one is\n",
           NUM_TRIES, (unsigned long long)num_gc);

    holder = NULL;
    clear_stack();
    mound_gc();
    found = 0;
    for (int round = 0; round < 20 && found == 0; round++) {
        found = count_at(complement, NUM_TRIES);
    }
    verify(found > 0, "the block was never used again, though nobody had a pointer");
    printf("mound:  without the last pointer it is collected, and its place is used again\n");
}

/* What malloc has handed out; grows by nothing where the numbers are not truthful. */
static size_t malloc_bytes(void) {
#if __GLIBC_PREREQ(2, 33)
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
#else
    return 0;
#endif
}

/* The blocks are noted and freed after all, to be in order with leak detectors; a program with this
 * bug has no such note. */
static NOINLINE void leak_malloc(void) {
    static void *note[NUM_LEAKS];
    size_t before = malloc_bytes();
    for (int i = 0; i < NUM_LEAKS; i++) { note[i] = make(LEAK_BYTES); }
    size_t grown = malloc_bytes() - before;
    for (int i = 0; i < NUM_LEAKS; i++) { free(note[i]); }
    if (grown == 0) {
        printf("malloc: leak not shown: mallinfo2 tells nothing here (a sanitizer's malloc, or an "
               "old libc)\n");
        return;
    }
    verify(grown >= (size_t)NUM_LEAKS * LEAK_BYTES, "%d blocks were not counted", NUM_LEAKS);
    printf("malloc: %d blocks made and forgotten: %zu KiB more are in use, for ever\n", NUM_LEAKS,
           grown >> 10);
}

static NOINLINE void make_forgotten(void) {
    for (int i = 0; i < NUM_LEAKS; i++) { mound_keep_alive(mound_alloc(LEAK_BYTES)); }
}

static NOINLINE void leak_mound(void) {
    mound_gc();
    mound_mem_stats before = stats_now();
    make_forgotten();
    clear_stack();
    mound_gc();
    mound_mem_stats after = stats_now();
    uint64_t made = after.total_alloc_bytes - before.total_alloc_bytes;
    int64_t grown = (int64_t)after.heap_alloc_bytes - (int64_t)before.heap_alloc_bytes;
    printf(
        "mound:  %d blocks made and forgotten, %llu KiB: after a collection %lld KiB more are in "
        "use\n",
        NUM_LEAKS, (unsigned long long)made >> 10, (long long)grown / 1024);
    verify(made >= (uint64_t)NUM_LEAKS * LEAK_BYTES, "the blocks were not counted");
    verify(grown < (int64_t)made / 100, "more than a hundredth is still there");
}

int main(void) {
    dangling_malloc();
    dangling_mound();
    leak_malloc();
    leak_mound();
    printf("ok: with mound nothing dangled and nothing leaked\n");
    return 0;
}
