/* tuning.c - the collector's settings, changed at random. */
#include "tuning.h"

/* With the collector off nothing else bounds the heap. */
enum { HEAP_MAX_BYTES = 300 << 20 };

static uint64_t next_ms;

static void set_percent(mo_rand *r) {
    static const int percents[] = {-1, 0, 20, 50, 100, 100, 200, 400};
    mound_set_gc_percent(percents[mo_rand_below(r, sizeof percents / sizeof percents[0])]);
}

/* From below what is live, which cannot be kept, to far above; in half of the cases none. */
static void set_limit(mo_rand *r) {
    mound_mem_stats s = {.struct_bytes = sizeof s};
    mound_read_mem_stats(&s);
    int64_t bytes = (int64_t)(s.heap_inuse_bytes / 2 + mo_rand_below(r, 64 << 20));
    int64_t want = one_in(r, 2) ? INT64_MAX : bytes;
    mound_set_memory_limit(want);
    int64_t got = mound_set_memory_limit(-1);
    require(got == want, "the memory limit was set to %lld and reads as %lld", (long long)want,
            (long long)got);
}

static void bound_heap(void) {
    mound_mem_stats s = {.struct_bytes = sizeof s};
    mound_read_mem_stats(&s);
    if (s.heap_alloc_bytes < HEAP_MAX_BYTES) return;
    mound_set_gc_percent(100);
    mound_gc();
}

void tuning_step(mo_rand *r) {
    bound_heap();
    if (now_ms() < next_ms) return;
    next_ms = now_ms() + between(r, 10, 300);
    switch (mo_rand_below(r, 8)) {
    case 0:
    case 1:
    case 2: set_percent(r); break;
    case 3: set_limit(r); break;
    case 4: mound_free_os_memory(); break;
    default: mound_gc();
    }
}
