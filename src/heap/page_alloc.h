/* page_alloc.h - finds runs of free pages, lowest address first. Floor heap.
 *
 * A plain structure over memory given by the caller, so that tests can run it beside a model.
 */
#ifndef MO_PAGE_ALLOC_H
#define MO_PAGE_ALLOC_H

#include "base/compiler.h"

enum {
    MO_PAGE_SHIFT = 13,
    MO_PAGE_BYTES = 1 << MO_PAGE_SHIFT,
    MO_CHUNK_PAGES = 512, /* 4 MiB: one leaf of the summary tree */
    MO_BLOCK_PAGES = 256, /* 2 MiB: the huge-page unit */
    MO_SUM_LEVELS = 3,
    MO_SUM_FANOUT = 64,
};

/* Free pages at the start of a region, in its longest run, at its end. */
typedef struct mo_page_sum {
    uint32_t start, max, end;
} mo_page_sum;

typedef struct mo_page_alloc {
    uint64_t *inuse;                   /* bit per page: 1 = in use or not yet grown */
    uint64_t *released;                /* bit per page: contents given back, reads as zero */
    mo_page_sum *level[MO_SUM_LEVELS]; /* [0]: per chunk; each next: per 64 of the one below */
    uint32_t num_pages;                /* grown so far; whole chunks */
    uint32_t hint;                     /* no free page below this one */
    uint64_t num_free;                 /* free pages */
    uint64_t num_released;             /* of those, released */
} mo_page_alloc;

/* Adds pages [num_pages, num_pages + n): free and released (fresh from the OS). n: whole chunks.
 * The bitmaps and summaries must be writable and zero for the new part. */
void mo_page_alloc_grow(mo_page_alloc *pa, uint32_t n);
/* Takes n pages at the lowest address; returns the first page, or UINT32_MAX if no run fits.
 * align: in pages, power of two. *is_zero: all of them were released. */
uint32_t mo_page_alloc_take(mo_page_alloc *pa, uint32_t n, uint32_t align, bool *is_zero);
/* Whether all of [page, page + n) are free; grown they must be. */
bool mo_page_alloc_is_free(const mo_page_alloc *pa, uint32_t page, uint32_t n);
/* Takes [page, page + n), which must be free. */
void mo_page_alloc_take_at(mo_page_alloc *pa, uint32_t page, uint32_t n, bool *is_zero);
/* Gives [page, page + n) back; they must be in use. */
void mo_page_alloc_put(mo_page_alloc *pa, uint32_t page, uint32_t n, bool is_released);
/* Finds a run of free, unreleased pages for the scavenger, highest address first, inside one
 * block; whole_blocks: only blocks that are entirely free. Takes the run (in use) and returns
 * its length, 0 if there is none; the caller releases it and puts it back as released. */
uint32_t mo_page_alloc_take_dirty(mo_page_alloc *pa, bool whole_blocks, uint32_t *page);
/* The lowest block that is entirely free and released: takes it. false: there is none. */
bool mo_page_alloc_take_released(mo_page_alloc *pa, uint32_t *page);
/* How many pages of a block are released. */
uint32_t mo_page_alloc_block_released(const mo_page_alloc *pa, uint32_t block);
/* Throws if a summary, a count or the hint disagrees with the bitmaps. */
void mo_page_alloc_verify(const mo_page_alloc *pa);

/* Entries a level needs for num_pages pages. */
size_t mo_page_alloc_level_len(int level, size_t num_pages);

#endif
