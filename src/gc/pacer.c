/* pacer.c - when the next collection is due.
 *
 *   goal = marked + max(marked * GOGC / 100, runway)
 *
 * As in Go, with one difference: Go's least heap is 4 MiB, which made one of our benchmarks
 * collect 26,897 times. Here the least runway follows from cost: it is what the program
 * allocates in COST_FACTOR times the duration of the last collection, so that collecting takes
 * about 1 / (COST_FACTOR + 1) of the time; at least RUNWAY_MIN (which keeps a churning thread
 * within its second-level cache) and at most RUNWAY_MAX (which bounds the memory spent on it).
 * The collection happens in one stop, so trigger and goal are the same, but for what caches hold.
 *
 * Floor   gc.
 * Locks   registry lock.
 */
#include "gc/barrier.h"
#include "gc/gc.h"

enum {
    COST_FACTOR = 30,
    RUNWAY_MIN_BYTES = 1 << 20,
    RUNWAY_FIRST_BYTES = 4 << 20,
    RUNWAY_MAX_BYTES = 14 << 20,
};

void mo_pacer_set(uint64_t now_ns) {
    mo_gc *gc = &mo_the_gc;
    static MO_GLOBAL uint64_t last_alloc;
    uint64_t runway = RUNWAY_FIRST_BYTES;
    if (gc->num_gc > 0 && gc->last_end_ns != 0 && now_ns > gc->last_end_ns) {
        uint64_t mutator_ns =
            now_ns - gc->last_end_ns - mo_min(gc->cycle_ns, now_ns - gc->last_end_ns);
        double rate = (double)(gc->alloc_at_last - mo_min(last_alloc, gc->alloc_at_last)) /
                      (double)(mutator_ns + 1);
        double want = rate * (double)gc->cycle_ns * COST_FACTOR;
        runway = want > RUNWAY_MAX_BYTES ? RUNWAY_MAX_BYTES : (uint64_t)want;
        if (runway < RUNWAY_MIN_BYTES) runway = RUNWAY_MIN_BYTES;
    }
    last_alloc = gc->alloc_at_last;
    uint64_t percent = gc->percent < 0 ? 0 : (uint64_t)gc->percent;
    uint64_t growth = gc->marked_bytes / 100 * percent + gc->marked_bytes % 100 * percent / 100;
    /* A small GOGC asks for a small heap: the runway shrinks with it, as Go's minimum does. */
    uint64_t least = percent < 100 ? runway * percent / 100 : runway;
    uint64_t goal = gc->marked_bytes + mo_max(growth, least);
    /* Slots that caches had claimed count as live already, used or not. */
    uint64_t trigger = gc->percent < 0 ? (uint64_t)INT64_MAX : goal + gc->unused_bytes;
#if MO_MUTANT_pacer_forgets_unused
    if (gc->percent >= 0) trigger = goal;
#endif
    /* While threads run, a mark begins so early that what they allocate meanwhile, by what they did
     * in the last one and a quarter more, still fits. */
    if (gc->percent >= 0 && mo_barrier_is_on()) {
        uint64_t room = goal - gc->marked_bytes, ahead = gc->black_bytes + gc->black_bytes / 4;
        trigger -= mo_min(ahead, room - room / 8);
    }
    mo_store_rlx(&gc->goal_bytes, goal);       /* read without the lock, each for itself */
    mo_store_rlx(&gc->trigger_bytes, trigger); /* likewise */
}
