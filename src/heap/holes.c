/* holes.c - keeps the system from filling up blocks that were given back in part.
 *
 * The kernel's khugepaged makes a huge page of any 2 MiB of which one page is there, where huge
 * pages are allowed: what was given back comes back, 1.6 MiB a second by default, without anybody's
 * store (docs/design/heap.md). So a block is forbidden huge pages before its first hole is made,
 * and allowed them again when it has none left: all of it is in use, or all of it is given back,
 * which khugepaged leaves alone.
 *
 * Ranges watched by userfaultfd are not filled up: nothing is done where gc/barrier.c watches.
 *
 * Floor   heap. Uses page_alloc (under the heap lock), os_mem.
 * Locks   holes lock, before the heap lock; held across madvise.
 * Holds   H1  a block with holes is marked, and forbidden huge pages, while there are at most
 *             MAX_MARKED of them: holes are made, and marks taken away, under the holes lock
 * Fails   beyond MAX_MARKED, or where the hint is refused, holes may fill up: memory, nothing else.
 * Go      none: its heap has no advice of its own, and fills up where THP is set to always.
 */
#include "heap/holes.h"

#include <string.h>

#include "base/bits.h"
#include "heap/heap.h"
#include "sys/os_mem.h"

enum {
    BLOCK_BYTES = MO_BLOCK_PAGES << MO_PAGE_SHIFT,
    MAX_BLOCKS = 1 << 19, /* 1 TiB */
    /* Each may make two mappings more, of the 65530 that a process may have. */
    MAX_MARKED = 8192,
};

static MO_GLOBAL mo_lock lock;
static MO_GLOBAL uint64_t marked[MAX_BLOCKS / 64]; /* lock */
static MO_GLOBAL uint32_t num_marked;              /* lock; atomic: a glance */
static MO_GLOBAL bool is_kept;                     /* atomic: the system leaves holes alone */

void mo_holes_init(void) {
    mo_lock_init(&lock, MO_RANK_HOLES);
    if (num_marked > 0) memset(marked, 0, sizeof marked); /* of a heap before */
    num_marked = 0;
    is_kept = false;
}

void mo_holes_fill_up(bool does) { mo_store_rlx(&is_kept, !does); /* a hint for holes to come */ }

mo_lock *mo_holes_lock(void) { return &lock; }

bool mo_holes_begin(uint32_t block) {
    if (mo_load_rlx(&is_kept)) return false; /* a hint */
    mo_lock_acquire(&lock);
    uint64_t bit = (uint64_t)1 << block % 64;
    if ((marked[block / 64] & bit) == 0 && num_marked < MAX_MARKED) {
        marked[block / 64] |= bit;
        mo_add_owned_rlx(&num_marked, 1); /* lock */
#if !MO_MUTANT_holes_fill_up
        mo_os_small(mo_page_addr(block * MO_BLOCK_PAGES), BLOCK_BYTES);
#endif
    }
    return true;
}

void mo_holes_end(void) { mo_lock_release(&lock); }

static bool has_holes(uint32_t block) {
    mo_heap *h = &mo_the_heap;
    mo_lock_acquire(&h->lock);
    uint32_t n = mo_page_alloc_block_released(&h->pages, block);
    mo_lock_release(&h->lock);
#if MO_MUTANT_holes_mended_early
    return false;
#endif
    return n > 0 && n < MO_BLOCK_PAGES;
}

/* The first blocks never had huge pages. */
static void mend_locked(void) {
    uint32_t end = mo_load_rlx(&mo_the_heap.pages.num_pages) / MO_BLOCK_PAGES; /* marked: below */
    for (uint32_t w = 0; w < (end + 63) / 64; w++) {
        for (uint64_t left = marked[w]; left != 0; left &= left - 1) {
            uint32_t block = w * 64 + mo_ctz64(left);
            if ((size_t)block * BLOCK_BYTES < MO_FIRST_HUGE_BYTES || has_holes(block)) continue;
            marked[w] &= ~((uint64_t)1 << block % 64);
            mo_add_owned_rlx(&num_marked, -1); /* lock */
            mo_os_huge(mo_page_addr(block * MO_BLOCK_PAGES), BLOCK_BYTES);
        }
    }
}

void mo_holes_mend(void) {
    if (mo_load_rlx(&num_marked) == 0) return; /* a glance */
    mo_lock_acquire(&lock);
    mend_locked();
    mo_lock_release(&lock);
}
