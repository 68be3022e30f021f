/* barrier.c - the barrier of memory that any C code writes, by the OS's reports of written pages.
 *
 * Only pages in spans with pointers are armed: what is free, and what holds no pointers, is left
 * alone and costs its writers nothing. A page that was free when the others were armed, and is in
 * such a span now, holds new objects only: it was never armed, so it counts as written. New objects
 * go to such pages first (central.c, prefers_fresh).
 *
 * A block of 2 MiB that is nearly full is armed as a whole, and keeps its huge page until the first
 * store there. Blocks that were split so are made whole again afterwards, as far as time allows.
 *
 * Floor   gc. Uses dirty_pages, mark.
 * Locks   the GC lock, but for grown (heap lock).
 * Holds   B1  every page that holds an object the marker has scanned is armed, or was written since
 *         B2  pages are reported before they are scanned again (mo_dirty_take's contract)
 * Fails   a range that cannot be registered or armed turns the barrier off, or the cycle into one
 *         stop: never a page that is neither armed nor reported.
 */
#include "gc/barrier.h"

#include <string.h>

#include "gc/gc.h"
#include "gc/mark.h"
#include "sys/dirty_pages.h"
#include "sys/os_mem.h"

enum {
    GAP_PAGES = 2, /* between two runs that are armed in one call: a call costs about a fault */
    FULL_PAGES = MO_BLOCK_PAGES - MO_BLOCK_PAGES / 8,
    MAX_BLOCKS = 1 << 19, /* 1 TiB */
    COLLAPSE_SHARE = 20,  /* one part in so many of the time between two collections */
};

typedef void pages_fn(uint32_t lo, uint32_t hi);

static MO_GLOBAL uint32_t is_on;
static MO_GLOBAL mo_dirty_taker taker;
static MO_GLOBAL uint64_t num_rescanned; /* of the call that runs */
static MO_GLOBAL bool is_refused;        /* likewise */

/* Of the cycle that runs, for each block. */
enum { BLOCK_OPEN, BLOCK_ARMED, BLOCK_SPLIT };
static MO_GLOBAL uint8_t blocks[MAX_BLOCKS];

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
    memset(blocks, BLOCK_OPEN, (mo_map.used_bytes >> MO_PAGE_SHIFT) / MO_BLOCK_PAGES);
    if (mo_barrier_is_on() && mo_dirty_after_fork_in_child() < 0)
        mo_store_rlx(&is_on, 0); /* alone */
}

/* ---------------------------------------------------------------- where pointers are */

/* Runtime pages of [page, end) in spans that may hold pointers: calls run for each run of them;
 * gaps of a few pages count as part of it. Returns their number. run may be NULL. */
static uint32_t pointer_pages(uint32_t page, uint32_t end, pages_fn *run) {
    uint32_t num = 0, lo = 0, hi = 0; /* [lo, hi): the run so far */
    while (page < end) {
        uint32_t info = mo_load_acq(&mo_map.info[page]); /* [Y] pairs with heap.c [Z] */
        uint32_t first = info ? mo_info_first_page(page, info) : page;
        uint32_t pages = info ? mo_map.spans[first].num_pages : 1;
        /* A span that is just being made has 0. */
        uint32_t next = (uint32_t)mo_min(mo_max(first + pages, page + 1), end);
        if (mo_info_kind(info) > MO_KIND_NOSCAN) {
            if (run && hi > lo && page - hi > GAP_PAGES) {
                run(lo, hi);
                lo = page;
            } else if (hi == lo) {
                lo = page;
            }
            hi = next;
            num += next - page;
        }
        page = next;
    }
    if (run && hi > lo) run(lo, hi);
    return num;
}

/* Calls fn for all pages of blocks that hold pointers, if by_block; else, where a block has room,
 * only for pages in use: what is free is about to be written by its first owner, and a fault for
 * each page would be for nothing. A block that is nearly full is armed as a whole and keeps its
 * huge page. */
static void each_run(bool by_block, pages_fn *fn) {
    uint32_t end = (uint32_t)(mo_load_acq(&mo_map.used_bytes) >> /* [F] pairs with heap.c [G] */
                              MO_PAGE_SHIFT);
    uint32_t lo = 0, hi = 0; /* whole blocks, joined */
    for (uint32_t page = 0; page < end; page += MO_BLOCK_PAGES) {
        uint32_t next = (uint32_t)mo_min(page + MO_BLOCK_PAGES, end);
        uint32_t num = pointer_pages(page, next, NULL);
        if (num == 0) continue;
        if (!by_block && num < FULL_PAGES) {
            pointer_pages(page, next, fn);
            continue;
        }
        if (page != hi) {
            if (hi > lo) fn(lo, hi);
            lo = page;
        }
        hi = next;
    }
    if (hi > lo) fn(lo, hi);
}

/* ---------------------------------------------------------------- the protocol */

static uint8_t *block_at(uint32_t page) { return &blocks[page / MO_BLOCK_PAGES]; }

static void arm_run(uint32_t lo, uint32_t hi) {
    if ((lo | hi) % MO_BLOCK_PAGES == 0)
        memset(block_at(lo), BLOCK_ARMED, (hi - lo) / MO_BLOCK_PAGES);
    if (mo_dirty_arm(mo_page_addr(lo), (size_t)(hi - lo) << MO_PAGE_SHIFT) != 0) is_refused = true;
}

bool mo_barrier_arm(void) {
    if (!mo_barrier_is_on() || mo_dirty_pinned_kib() != 0) return false;
    is_refused = false;
    each_run(false, arm_run);
    return !is_refused;
}

static void rescan(void *arg, uintptr_t lo, uintptr_t hi) {
    (void)arg;
#if MO_MUTANT_barrier_forgets_written
    return;
#endif
    num_rescanned += mo_mark_rescan(lo, hi);
    uint8_t *end = block_at((uint32_t)((hi - 1 - mo_map.base) >> MO_PAGE_SHIFT));
    for (uint8_t *b = block_at((uint32_t)((lo - mo_map.base) >> MO_PAGE_SHIFT)); b <= end; b++)
        if (*b == BLOCK_ARMED) *b = BLOCK_SPLIT;
}

static void take_run(uint32_t lo, uint32_t hi) {
    mo_dirty_take(&taker, mo_page_addr(lo), (size_t)(hi - lo) << MO_PAGE_SHIFT, rescan, NULL);
}

static void final_run(uint32_t lo, uint32_t hi) {
    mo_dirty_final(&taker, mo_page_addr(lo), (size_t)(hi - lo) << MO_PAGE_SHIFT, rescan, NULL);
}

static void all_run(uint32_t lo, uint32_t hi) { rescan(NULL, mo_page_addr(lo), mo_page_addr(hi)); }

uint64_t mo_barrier_take(void) {
    num_rescanned = 0;
    each_run(false, take_run);
    return num_rescanned;
}

uint64_t mo_barrier_final(void) {
    num_rescanned = 0;
#if !MO_MUTANT_barrier_forgets_final
    /* Memory pinned since the cycle began may have been written without a report. */
    each_run(true, mo_dirty_pinned_kib() == 0 ? final_run : all_run);
#endif
    return num_rescanned;
}

static void disarm_run(uint32_t lo, uint32_t hi) {
    mo_dirty_disarm(mo_page_addr(lo), (size_t)(hi - lo) << MO_PAGE_SHIFT);
}

void mo_barrier_disarm(uint64_t since_ns) {
    each_run(true, disarm_run);
    uint64_t begin = mo_clock_ns(), budget = (begin - since_ns) / COLLAPSE_SHARE;
    bool ok = true;
    uint32_t end = (uint32_t)(mo_map.used_bytes >> MO_PAGE_SHIFT);
    for (uint32_t page = 0; page < end; page += MO_BLOCK_PAGES) {
        uint8_t *b = block_at(page);
        if (*b == BLOCK_SPLIT && ok)
            ok = mo_os_collapse(mo_page_addr(page), MO_BLOCK_PAGES << MO_PAGE_SHIFT) &&
                 mo_clock_ns() - begin < budget;
        *b = BLOCK_OPEN;
    }
}
