/* barrier.c - the barrier of memory that any C code writes, by the OS's reports of written pages.
 *
 * The heap is looked at in blocks of 2 MiB. A block that holds a span with pointers is armed and
 * asked about as a whole; one that holds none is left alone, and keeps its huge page. A block that
 * was left alone when the others were armed, and got such a span since, holds new objects only: its
 * pages were never armed, so they all count as written.
 *
 * Floor   gc. Uses dirty_pages, mark.
 * Locks   the GC lock, but for mo_barrier_grown (heap lock).
 * Holds   B1  every page that holds an object the marker has scanned is armed, or was written since
 *         B2  pages are reported before they are scanned again (mo_dirty_take's contract)
 * Fails   a range that cannot be registered or armed turns the barrier off, or the cycle into one
 *         stop: never a page that is neither armed nor reported.
 */
#include "gc/barrier.h"

#include "gc/gc.h"
#include "gc/mark.h"
#include "sys/dirty_pages.h"

enum { BLOCK_BYTES = MO_BLOCK_PAGES << MO_PAGE_SHIFT };

static MO_GLOBAL uint32_t is_on;
static MO_GLOBAL mo_dirty_taker taker;
static MO_GLOBAL uint64_t num_rescanned; /* of the call that runs */

bool mo_barrier_is_on(void) {
    return mo_load_rlx(&is_on); /* off once, for ever; a cycle looks again */
}

const char *mo_barrier_text(void) {
    return mo_barrier_is_on() ? "os (userfaultfd, PAGEMAP_SCAN)" : "none (one stop)";
}

/* The heap grew; heap lock held. */
static void grown(uintptr_t lo, size_t bytes) {
    if (mo_dirty_register(lo, bytes) < 0) mo_store_rlx(&is_on, 0); /* see mo_barrier_is_on */
}

int mo_barrier_open(void) {
    int result = mo_dirty_open();
    if (result == 0) result = mo_dirty_taker_init(&taker);
    if (result < 0) return result;
    mo_the_heap.grown = grown;
    mo_store_rlx(&is_on, 1); /* before any other thread */
    return 0;
}

void mo_barrier_after_fork(void) {
    if (mo_barrier_is_on() && mo_dirty_after_fork_in_child() < 0)
        mo_store_rlx(&is_on, 0); /* alone */
}

/* Does a block hold a span that may hold pointers? */
static bool has_pointers(uint32_t page, uint32_t end) {
    while (page < end) {
        uint32_t info = mo_load_acq(&mo_map.info[page]); /* [Y] pairs with heap.c [Z] */
        mo_kind kind = mo_info_kind(info);
        if (info != 0 && kind != MO_KIND_NOSCAN) return true;
        uint32_t first = info ? mo_info_first_page(page, info) : page;
        uint32_t num = info ? mo_map.spans[first].num_pages : 1;
        page = (uint32_t)mo_max(first + num, page + 1); /* a span that is just being made has 0 */
    }
    return false;
}

/* Calls fn for each run of blocks that have pointers. */
static bool each_run(bool (*fn)(uintptr_t lo, size_t bytes)) {
    uintptr_t base = mo_map.base;
    size_t used = mo_load_acq(&mo_map.used_bytes); /* [F] pairs with heap.c [G] */
    bool ok = true;
    for (size_t off = 0; off < used;) {
        size_t end = off;
        while (end < used && has_pointers((uint32_t)(end >> MO_PAGE_SHIFT),
                                          (uint32_t)((end + BLOCK_BYTES) >> MO_PAGE_SHIFT)))
            end += BLOCK_BYTES;
        if (end > off) ok = fn(base + off, end - off) && ok;
        off = end + BLOCK_BYTES;
    }
    return ok;
}

static bool arm_run(uintptr_t lo, size_t bytes) { return mo_dirty_arm(lo, bytes) == 0; }
bool mo_barrier_arm(void) {
    return mo_barrier_is_on() && mo_dirty_pinned_kib() == 0 && each_run(arm_run);
}

static void rescan(void *arg, uintptr_t lo, uintptr_t hi) {
    (void)arg;
#if MO_MUTANT_barrier_forgets_written
    return;
#endif
    num_rescanned += (hi - lo) / 4096;
    mo_mark_rescan(lo, hi);
}

static bool take_run(uintptr_t lo, size_t bytes) {
    return mo_dirty_take(&taker, lo, bytes, rescan, NULL) == 0;
}

static bool final_run(uintptr_t lo, size_t bytes) {
    return mo_dirty_final(&taker, lo, bytes, rescan, NULL) == 0;
}

static bool all_run(uintptr_t lo, size_t bytes) {
    rescan(NULL, lo, lo + bytes);
    return true;
}

uint64_t mo_barrier_take(void) {
    num_rescanned = 0;
    each_run(take_run);
    return num_rescanned;
}

uint64_t mo_barrier_final(void) {
    num_rescanned = 0;
#if !MO_MUTANT_barrier_forgets_final
    /* Memory pinned since the cycle began may have been written without a report. */
    each_run(mo_dirty_pinned_kib() == 0 ? final_run : all_run);
#endif
    return num_rescanned;
}
