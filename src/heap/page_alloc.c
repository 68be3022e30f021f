/* page_alloc.c - runs of free pages, first fit by address.
 *
 * One bit per page (1 = in use) in chunks of 512 pages (4 MiB). Over the chunks stands a tree
 * of summaries {free pages at start, longest free run, free pages at end}, 64 children a node,
 * three levels: a node of the top level covers 16 GiB. A search walks one level from the left,
 * joining the end of one region with the start of the next, and descends where a region's
 * longest run is enough: so it finds the lowest run, also across borders.
 *
 * Floor   heap. Knows nothing of spans or of the collector.
 * Locks   the caller's (heap lock) for everything.
 * Holds   I1  a summary equals the merge of its children
 *         I2  no free page lies below hint
 *         I3  released is 0 wherever inuse is 1
 *         (mo_page_alloc_verify checks I1-I3 and the counts)
 * Fails   returns "none" if no run fits; never asks the OS.
 * Go      mpagealloc.go. Differs: three levels instead of five, fields instead of packed words.
 */
#include "heap/page_alloc.h"

#include "base/atomic.h"
#include "base/bits.h"
#include "base/panic.h"

enum { CHUNK_WORDS = MO_CHUNK_PAGES / 64, NONE = UINT32_MAX };

static uint32_t region_pages(int level) {
    uint32_t pages = MO_CHUNK_PAGES;
    while (level-- > 0) pages *= MO_SUM_FANOUT;
    return pages;
}

size_t mo_page_alloc_level_len(int level, size_t num_pages) {
    size_t region = region_pages(level);
    return (num_pages + region - 1) / region;
}

/* Free runs of one chunk, word by word: whole words are the common case. */
static mo_page_sum sum_of_chunk(const uint64_t *inuse) {
    mo_page_sum s = {0, 0, 0};
    uint32_t run = 0;
    bool seen_used = false;
    for (int w = 0; w < CHUNK_WORDS; w++) {
        uint64_t used = inuse[w];
        if (used == 0) {
            run += 64;
            continue;
        }
        if (used == ~(uint64_t)0 && run == 0) {
            seen_used = true;
            continue;
        }
        for (int bit = 0; bit < 64;) {
            uint64_t rest = used >> bit;
            if ((rest & 1) == 0) {
                int len = rest == 0 ? 64 - bit : (int)mo_ctz64(rest);
                run += (uint32_t)len;
                bit += len;
            } else {
                if (!seen_used) s.start = run;
                seen_used = true;
                s.max = (uint32_t)mo_max(s.max, run);
                run = 0;
                uint64_t flipped = ~rest;
                bit += flipped == 0 ? 64 : (int)mo_ctz64(flipped);
            }
        }
    }
    if (!seen_used) s.start = run;
    s.max = (uint32_t)mo_max(s.max, run);
    s.end = run;
    return s;
}

static mo_page_sum sum_merge(const mo_page_sum *child, size_t num, uint32_t child_pages) {
    mo_page_sum s = {0, 0, 0};
    uint32_t run = 0;
    bool all_free = true;
    for (size_t i = 0; i < num; i++) {
        if (all_free) s.start = run + child[i].start;
        s.max = (uint32_t)mo_max(mo_max(s.max, child[i].max), run + child[i].start);
        if (child[i].start == child_pages) {
            run += child_pages;
        } else {
            all_free = false;
            run = child[i].end;
        }
    }
    s.end = run;
    return s;
}

static size_t children_of(const mo_page_alloc *pa, int level, size_t idx) {
    size_t below = mo_page_alloc_level_len(level - 1, pa->num_pages);
    return mo_min(MO_SUM_FANOUT, below - idx * MO_SUM_FANOUT);
}

static void update_sums(mo_page_alloc *pa, uint32_t page, uint32_t n) {
    size_t lo = page / MO_CHUNK_PAGES, hi = (page + n - 1) / MO_CHUNK_PAGES;
    for (size_t c = lo; c <= hi; c++) pa->level[0][c] = sum_of_chunk(pa->inuse + c * CHUNK_WORDS);
    for (int level = 1; level < MO_SUM_LEVELS; level++) {
        lo /= MO_SUM_FANOUT;
        hi /= MO_SUM_FANOUT;
        for (size_t i = lo; i <= hi; i++)
            pa->level[level][i] = sum_merge(pa->level[level - 1] + i * MO_SUM_FANOUT,
                                            children_of(pa, level, i), region_pages(level - 1));
    }
}

/* Sets or clears bits [page, page + n); returns how many were set before. */
static uint32_t bits_write(uint64_t *map, uint32_t page, uint32_t n, bool value) {
    uint32_t before = 0;
    while (n > 0) {
        uint32_t bit = page % 64, len = (uint32_t)mo_min(n, 64 - bit);
        uint64_t mask = mo_low_mask(len) << bit;
        uint64_t *w = &map[page / 64];
        before += mo_popcount64(*w & mask);
        *w = value ? *w | mask : *w & ~mask;
        page += len;
        n -= len;
    }
    return before;
}

static void add_free(mo_page_alloc *pa, uint64_t n) {
    mo_add_owned_rlx(&pa->num_free, n); /* the lock orders it; others estimate (collect.c) */
}

static void add_released(mo_page_alloc *pa, uint64_t n) {
    mo_add_owned_rlx(&pa->num_released, n); /* the lock orders it; others estimate (pacer.c) */
}

void mo_page_alloc_grow(mo_page_alloc *pa, uint32_t n) {
    mo_assert(n > 0 && n % MO_CHUNK_PAGES == 0, "page_alloc: growth is not whole chunks");
    uint32_t first = pa->num_pages;
    mo_add_owned_rlx(&pa->num_pages, n); /* the lock orders it; others look at what exists */
    bits_write(pa->inuse, first, n, false);
    bits_write(pa->released, first, n, true);
    add_free(pa, n);
    add_released(pa, n);
    if (first < pa->hint) pa->hint = first;
    update_sums(pa, first, n);
}

/* First run of n free pages in [lo, hi) of the bitmap; crossing chunks is the callers' matter. */
static uint32_t find_in_bits(const mo_page_alloc *pa, uint32_t lo, uint32_t hi, uint32_t n) {
    uint32_t run = 0;
    for (uint32_t page = lo; page < hi;) {
        uint64_t rest = pa->inuse[page / 64] >> (page % 64);
        uint32_t left = (uint32_t)mo_min(64 - page % 64, hi - page);
        if (rest & 1) {
            uint64_t flipped = ~rest;
            uint32_t len = flipped == 0 ? 64 : mo_ctz64(flipped);
            run = 0;
            page += (uint32_t)mo_min(len, left);
        } else {
            uint32_t len = rest == 0 ? 64 : mo_ctz64(rest);
            len = (uint32_t)mo_min(len, left);
            if (run + len >= n) return page - run;
            run += len;
            page += len;
        }
    }
    return NONE;
}

/* Lowest run of n pages among entries [idx, idx + num) of a level. */
static uint32_t find_in_level(const mo_page_alloc *pa, int level, size_t idx, size_t num,
                              uint32_t n) {
    uint32_t region = region_pages(level), run = 0;
    for (size_t i = idx; i < idx + num; i++) {
        mo_page_sum s = pa->level[level][i];
        uint32_t first = (uint32_t)i * region;
#if !MO_MUTANT_page_find_no_crossing
        if (run + s.start >= n) return first - run;
#endif
        if (s.max >= n) {
            if (level == 0) return find_in_bits(pa, first, first + MO_CHUNK_PAGES, n);
            return find_in_level(pa, level - 1, i * MO_SUM_FANOUT, children_of(pa, level, i), n);
        }
        run = s.start == region ? run + region : s.end;
    }
    return NONE;
}

static uint32_t find(const mo_page_alloc *pa, uint32_t n) {
    /* The hint's chunk answers nearly all requests of one page. */
    if (pa->hint < pa->num_pages) {
        uint32_t chunk_end = (pa->hint / MO_CHUNK_PAGES + 1) * MO_CHUNK_PAGES;
        uint32_t page = find_in_bits(pa, pa->hint, chunk_end, n);
        if (page != NONE) return page;
    }
    return find_in_level(pa, MO_SUM_LEVELS - 1, 0,
                         mo_page_alloc_level_len(MO_SUM_LEVELS - 1, pa->num_pages), n);
}

void mo_page_alloc_take_at(mo_page_alloc *pa, uint32_t page, uint32_t n, bool *is_zero) {
    mo_assert(n > 0 && page + n <= pa->num_pages, "page_alloc: take outside the heap");
    uint32_t used = bits_write(pa->inuse, page, n, true);
    mo_assert(used == 0, "page_alloc: page taken twice");
    uint32_t released = bits_write(pa->released, page, n, false);
#if MO_MUTANT_page_take_says_zero
    *is_zero = released > 0;
#else
    *is_zero = released == n;
#endif
    add_free(pa, -(uint64_t)n);
    add_released(pa, -(uint64_t)released);
    if (page <= pa->hint) pa->hint = page + n;
    update_sums(pa, page, n);
}

uint32_t mo_page_alloc_take(mo_page_alloc *pa, uint32_t n, uint32_t align, bool *is_zero) {
    mo_assert(n > 0 && mo_is_pow2(align), "page_alloc: bad request");
    if (n > pa->num_free || n + align - 1 < n) return NONE;
    uint32_t found = find(pa, n + align - 1);
    if (found == NONE) return NONE;
    uint32_t page = (uint32_t)mo_align_up(found, align);
    mo_page_alloc_take_at(pa, page, n, is_zero);
    return page;
}

bool mo_page_alloc_is_free(const mo_page_alloc *pa, uint32_t page, uint32_t n) {
    return n == 0 || find_in_bits(pa, page, page + n, n) == page;
}

void mo_page_alloc_put(mo_page_alloc *pa, uint32_t page, uint32_t n, bool is_released) {
    mo_assert(n > 0 && page + n <= pa->num_pages, "page_alloc: put outside the heap");
    uint32_t used = bits_write(pa->inuse, page, n, false);
    mo_assert(used == n, "page_alloc: page freed twice");
    if (is_released) {
        bits_write(pa->released, page, n, true);
        add_released(pa, n);
    }
    add_free(pa, n);
    if (page < pa->hint) pa->hint = page;
#if !MO_MUTANT_page_put_stale_sums
    update_sums(pa, page, n);
#endif
}

static bool block_is_free(const mo_page_alloc *pa, uint32_t block) {
    uint64_t used = 0;
    for (uint32_t w = 0; w < MO_BLOCK_PAGES / 64; w++)
        used |= pa->inuse[block * (MO_BLOCK_PAGES / 64) + w];
    return used == 0;
}

uint32_t mo_page_alloc_block_released(const mo_page_alloc *pa, uint32_t block) {
    uint32_t n = 0;
    for (uint32_t w = 0; w < MO_BLOCK_PAGES / 64; w++)
        n += mo_popcount64(pa->released[block * (MO_BLOCK_PAGES / 64) + w]);
    return n;
}

bool mo_page_alloc_take_released(mo_page_alloc *pa, uint32_t *page) {
    if (pa->num_released < MO_BLOCK_PAGES) return false;
    for (uint32_t block = pa->hint / MO_BLOCK_PAGES; block < pa->num_pages / MO_BLOCK_PAGES;
         block++) {
        if (mo_page_alloc_block_released(pa, block) < MO_BLOCK_PAGES) continue; /* or is in use */
        *page = block * MO_BLOCK_PAGES;
        bits_write(pa->inuse, *page, MO_BLOCK_PAGES, true);
        bits_write(pa->released, *page, MO_BLOCK_PAGES, false);
        add_free(pa, -(uint64_t)MO_BLOCK_PAGES);
        add_released(pa, -(uint64_t)MO_BLOCK_PAGES);
        update_sums(pa, *page, MO_BLOCK_PAGES);
        return true;
    }
    return false;
}

uint32_t mo_page_alloc_take_dirty(mo_page_alloc *pa, bool whole_blocks, uint32_t *page) {
    if (pa->num_free == pa->num_released) return 0;
    for (uint32_t block = pa->num_pages / MO_BLOCK_PAGES; block-- > 0;) {
        if (pa->level[0][block * MO_BLOCK_PAGES / MO_CHUNK_PAGES].max == 0) continue;
        if (whole_blocks && !block_is_free(pa, block)) continue;
        uint32_t first = block * MO_BLOCK_PAGES, last = first + MO_BLOCK_PAGES;
        for (uint32_t p = first; p < last;) {
            uint64_t dirty = ~(pa->inuse[p / 64] | pa->released[p / 64]) >> (p % 64);
            if (dirty == 0) {
                p = (p / 64 + 1) * 64;
                continue;
            }
            p += mo_ctz64(dirty);
            uint32_t n = 0;
            while (p + n < last &&
                   !((pa->inuse[(p + n) / 64] | pa->released[(p + n) / 64]) >> ((p + n) % 64) & 1))
                n++;
            bits_write(pa->inuse, p, n, true);
            add_free(pa, -(uint64_t)n);
            update_sums(pa, p, n);
            *page = p;
            return n;
        }
    }
    return 0;
}

void mo_page_alloc_verify(const mo_page_alloc *pa) {
    uint64_t num_free = 0, num_released = 0;
    for (uint32_t w = 0; w < pa->num_pages / 64; w++) {
        num_free += mo_popcount64(~pa->inuse[w]);
        num_released += mo_popcount64(pa->released[w]);
        if (pa->inuse[w] & pa->released[w])
            mo_throw("page_alloc: a page in use is marked released");
        if (w < pa->hint / 64 && ~pa->inuse[w] != 0)
            mo_throw("page_alloc: a free page below the hint");
    }
    if (num_free != pa->num_free || num_released != pa->num_released)
        mo_throw("page_alloc: counts disagree");
    for (int level = 0; level < MO_SUM_LEVELS; level++) {
        for (size_t i = 0; i < mo_page_alloc_level_len(level, pa->num_pages); i++) {
            mo_page_sum s = level == 0
                                ? sum_of_chunk(pa->inuse + i * CHUNK_WORDS)
                                : sum_merge(pa->level[level - 1] + i * MO_SUM_FANOUT,
                                            children_of(pa, level, i), region_pages(level - 1));
            mo_page_sum t = pa->level[level][i];
            if (s.start != t.start || s.max != t.max || s.end != t.end)
                mo_throw("page_alloc: stale summary");
        }
    }
}
