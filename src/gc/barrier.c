/* barrier.c - the barrier of memory that any C code writes, by the OS's reports of written pages.
 *
 * Only pages in spans with pointers are armed: what is free, and what holds no pointers, is left
 * alone and costs its writers nothing. A page that was free when the others were armed, and is in
 * such a span now, holds new objects only: it was never armed, so it counts as written. New objects
 * go to such pages first (central.c, prefers_fresh).
 *
 * A block of 2 MiB that is nearly full is armed as a whole, and keeps its huge page until the first
 * store there. Blocks that were split so are made whole again later, as far as time allows.
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
#include "heap/holes.h"
#include "sys/dirty_pages.h"
#include "sys/os_mem.h"

enum {
    GAP_PAGES = 64, /* between two runs that are armed in one call: see docs/design/barrier.md */
    FULL_PAGES = MO_BLOCK_PAGES - MO_BLOCK_PAGES / 8,
    MAX_BLOCKS = 1 << 19, /* 1 TiB */
    BLOCK_BYTES = MO_BLOCK_PAGES << MO_PAGE_SHIFT,
    GROUP_PAGES = (MO_VARIETY >= 2 ? 1 : 8) * MO_BLOCK_PAGES, /* of one report */
    COLLAPSE_SHARE = 20, /* one part in so many of the time between two collections */
    HOT_NS = 1000000000, /* collections more often than that: see collapse_blocks */
};

/* What one worker needs for one report. */
typedef struct report {
    struct mo_marker *marker;
    mo_dirty_taker *taker;
    uint64_t num; /* pages scanned again */
} report;

typedef void pages_fn(report *r, uint32_t lo, uint32_t hi);

static MO_GLOBAL uint32_t is_on;
static MO_GLOBAL mo_dirty_taker takers[MO_MARK_MAX_WORKERS]; /* each its worker's */
static MO_GLOBAL uint64_t num_rescanned; /* atomic: by the run that was asked for last */
static MO_GLOBAL bool is_refused;        /* by the arming that runs */
static MO_GLOBAL bool report_by_block;   /* of the run that was asked for last: see each_run */
static MO_GLOBAL pages_fn *report_run;   /* likewise */

/* Of the cycle that runs, for each block: nothing in it was armed; pages were, or it was as a
 * whole; it was as a whole, and was split since. */
enum { BLOCK_OPEN, BLOCK_PAGES, BLOCK_WHOLE, BLOCK_SPLIT };
static MO_GLOBAL uint8_t blocks[MAX_BLOCKS];
/* Is known to have been split and not been made whole since. */
static MO_GLOBAL bool is_split[MAX_BLOCKS];

/* Grows meanwhile. */
static uint32_t heap_pages(void) {
    return (uint32_t)(mo_load_acq(&mo_map.used_bytes) >> MO_PAGE_SHIFT); /* [F] with heap.c [G] */
}

bool mo_barrier_is_on(void) {
    return mo_load_rlx(&is_on); /* off once, for ever; a cycle looks again */
}

const char *mo_barrier_text(void) {
    return mo_barrier_is_on() ? "os (userfaultfd, PAGEMAP_SCAN)" : "none (one stop)";
}

static void turn_off(void) {
    mo_store_rlx(&is_on, 0); /* see mo_barrier_is_on */
    mo_holes_fill_up(true);
}

/* The heap grew; heap lock held. */
static void grown(uintptr_t lo, size_t bytes) {
    if (mo_dirty_register(lo, bytes) < 0) turn_off();
}

int mo_barrier_open(void) {
    int result = mo_dirty_open();
    if (result < 0) return result;
    mo_the_heap.grown = grown;
    mo_holes_fill_up(false); /* the system collapses no range whose pages it watches */
    mo_store_rlx(&is_on, 1); /* before any other thread */
    return 0;
}

void mo_barrier_after_fork(void) {
    memset(blocks, BLOCK_OPEN, heap_pages() / MO_BLOCK_PAGES);
    if (mo_barrier_is_on() && mo_dirty_after_fork_in_child() < 0) turn_off();
}

/* ---------------------------------------------------------------- where pointers are */

/* In one block: the runs of pages in spans that may hold pointers, and how many pages these are. */
typedef struct block_runs {
    uint32_t num_pages, num;
    struct {
        uint32_t lo, hi;
    } run[MO_BLOCK_PAGES / (GAP_PAGES + 2) + 1];
} block_runs;

static void add_pages(block_runs *b, uint32_t lo, uint32_t hi) {
    b->num_pages += hi - lo;
    if (b->num == 0 || lo - b->run[b->num - 1].hi > GAP_PAGES) b->run[b->num++].lo = lo;
    b->run[b->num - 1].hi = hi;
}

/* Of [page, end), in one block. Gaps count as part of a run unless they are large. */
static void find_runs(uint32_t page, uint32_t end, block_runs *b) {
    b->num_pages = b->num = 0;
    while (page < end) {
        uint32_t info = mo_load_acq(&mo_map.info[page]); /* [Y] pairs with heap.c [Z] */
        uint32_t first = info ? mo_info_first_page(page, info) : page;
        /* While nothing is marked, spans come and go meanwhile: with a stale length pages are left
         * unarmed, which counts as written, or armed that need not be. */
        uint32_t pages = info ? mo_load_rlx(&mo_map.spans[first].num_pages) : 1;
        uint32_t next = (uint32_t)mo_min(mo_max(first + pages, page + 1), end);
        if (mo_info_kind(info) > MO_KIND_NOSCAN) add_pages(b, page, next);
        page = next;
    }
}

static bool has_pointers(uint32_t page, uint32_t end) {
    for (; page < end; page++)
        if (mo_info_kind(mo_load_acq(&mo_map.info[page])) > MO_KIND_NOSCAN) return true; /* [Y] */
    return false;
}

static uint8_t *block_at(uint32_t page) { return &blocks[page / MO_BLOCK_PAGES]; }

/* Of [page, end), whole blocks: calls fn for all pages of blocks that hold pointers, if by_block;
 * else, where a block has room, only for pages in use: what is free is about to be written by its
 * first owner, and a fault for each page would be for nothing. A block that is nearly full is armed
 * as a whole and keeps its huge page.
 * Looking at each span of a large heap takes as long as the system's report: that a block is whole
 * holds until the end, and by_block is enough for the last report. */
static void each_run(uint32_t page, uint32_t end, bool by_block, pages_fn *fn, report *r) {
    uint32_t lo = 0, hi = 0; /* whole blocks, joined */
    for (; page < end; page += MO_BLOCK_PAGES) {
        uint32_t next = (uint32_t)mo_min(page + MO_BLOCK_PAGES, end);
        if (by_block) {
            if (*block_at(page) == BLOCK_OPEN && !has_pointers(page, next)) continue;
        } else if (*block_at(page) < BLOCK_WHOLE) {
            block_runs b;
            find_runs(page, next, &b);
            if (b.num_pages < FULL_PAGES) {
                for (uint32_t i = 0; i < b.num; i++) fn(r, b.run[i].lo, b.run[i].hi);
                continue;
            }
        }
        if (page != hi) {
            if (hi > lo) fn(r, lo, hi);
            lo = page;
        }
        hi = next;
    }
    if (hi > lo) fn(r, lo, hi);
}

/* ---------------------------------------------------------------- the protocol */

static void note_armed(uint32_t lo, uint32_t hi) {
    for (uint8_t *b = block_at(lo), *last = block_at(hi - 1); b <= last; b++)
        if (*b == BLOCK_OPEN) *b = BLOCK_PAGES;
}

static void arm_run(report *r, uint32_t lo, uint32_t hi) {
    (void)r;
    if ((lo | hi) % MO_BLOCK_PAGES == 0)
        memset(block_at(lo), BLOCK_WHOLE, (hi - lo) / MO_BLOCK_PAGES);
    else
        note_armed(lo, hi);
    if (mo_dirty_arm(mo_page_addr(lo), (size_t)(hi - lo) << MO_PAGE_SHIFT) != 0) is_refused = true;
}

static bool has_takers(uint32_t num) {
    for (uint32_t i = 0; i < num; i++)
        if (!takers[i].vec && mo_dirty_taker_init(&takers[i]) < 0) return false;
    return true;
}

bool mo_barrier_arm(uint32_t num_workers) {
    if (!mo_barrier_is_on() || mo_dirty_pinned_kib() != 0 || !has_takers(num_workers)) return false;
    is_refused = false;
    each_run(0, heap_pages(), false, arm_run, NULL);
    return !is_refused;
}

static void rescan(void *arg, uintptr_t lo, uintptr_t hi) {
    report *r = arg;
#if MO_MUTANT_barrier_forgets_written
    return;
#endif
    r->num += mo_mark_rescan(r->marker, lo, hi);
    uint8_t *end = block_at((uint32_t)((hi - 1 - mo_map.base) >> MO_PAGE_SHIFT));
    for (uint8_t *b = block_at((uint32_t)((lo - mo_map.base) >> MO_PAGE_SHIFT)); b <= end; b++)
        if (*b == BLOCK_WHOLE) *b = BLOCK_SPLIT;
}

static void take_run(report *r, uint32_t lo, uint32_t hi) {
    note_armed(lo, hi);
    mo_dirty_take(r->taker, mo_page_addr(lo), (size_t)(hi - lo) << MO_PAGE_SHIFT, rescan, r);
}

static void final_run(report *r, uint32_t lo, uint32_t hi) {
    mo_dirty_final(r->taker, mo_page_addr(lo), (size_t)(hi - lo) << MO_PAGE_SHIFT, rescan, r);
}

static void all_run(report *r, uint32_t lo, uint32_t hi) {
    rescan(r, mo_page_addr(lo), mo_page_addr(hi));
}

/* The report of one group of blocks, which no other worker looks at. */
static void report_group(struct mo_marker *m, uint32_t worker, uint32_t i) {
    report r = {.marker = m, .taker = &takers[worker]};
    uint32_t page = i * GROUP_PAGES;
    each_run(page, (uint32_t)mo_min(page + GROUP_PAGES, heap_pages()), report_by_block, report_run,
             &r);
    mo_add_rlx(&num_rescanned, r.num); /* read after the run */
}

static uint32_t add_groups(bool by_block, pages_fn *fn) {
    uint32_t num = (heap_pages() + GROUP_PAGES - 1) / GROUP_PAGES;
    report_by_block = by_block;
    report_run = fn;
    mo_store_rlx(&num_rescanned, 0); /* between two runs */
    mo_mark_add_reports(report_group, num);
    return num;
}

void mo_barrier_take(void) { add_groups(false, take_run); }

uint32_t mo_barrier_final(void) {
#if MO_MUTANT_barrier_forgets_final
    return 0;
#endif
    /* Memory pinned since the cycle began may have been written without a report. */
    return add_groups(true, mo_dirty_pinned_kib() == 0 ? final_run : all_run);
}

uint64_t mo_barrier_num_rescanned(void) { return mo_load_rlx(&num_rescanned); /* after the run */ }

/* [lo, hi): blocks. */
static void disarm_blocks(uint32_t lo, uint32_t hi) {
    if (lo < hi)
        mo_dirty_disarm(mo_page_addr(lo * MO_BLOCK_PAGES), (size_t)(hi - lo) * BLOCK_BYTES);
}

/* Everything that was armed, whatever lies there by now. */
static void disarm_all(uint32_t num) {
    uint32_t lo = 0; /* of the run so far */
    for (uint32_t b = 0; b < num; b++) {
        if (blocks[b] != BLOCK_OPEN) continue;
        disarm_blocks(lo, b);
        lo = b + 1;
    }
    disarm_blocks(lo, num);
}

/* A block is copied to become whole: 0.1 ms. Where collections are frequent, one that was written
 * since the last one is about to be split again, and is left until it stands still. */
static void collapse_blocks(uint32_t num, uint64_t since_ns) {
    uint64_t begin = mo_clock_ns(), time = begin - since_ns;
    bool ok = true;
    for (uint32_t b = 0; b < num; b++) {
        if (blocks[b] == BLOCK_SPLIT) is_split[b] = true;
        if (!is_split[b] || blocks[b] < BLOCK_WHOLE) continue;
        if (!ok || (blocks[b] == BLOCK_SPLIT && time < HOT_NS)) continue;
        is_split[b] = false;
        ok = mo_os_collapse(mo_page_addr(b * MO_BLOCK_PAGES), BLOCK_BYTES) &&
             mo_clock_ns() - begin < time / COLLAPSE_SHARE;
    }
}

void mo_barrier_disarm(uint64_t since_ns) {
    uint32_t num = (uint32_t)mo_min(heap_pages() / MO_BLOCK_PAGES, MAX_BLOCKS);
    disarm_all(num);
    collapse_blocks(num, since_ns);
    memset(blocks, BLOCK_OPEN, num);
}
