/* heap.h - the page heap: spans from pages, arenas from the OS. Floor heap. */
#ifndef MO_HEAP_H
#define MO_HEAP_H

#include "heap/span.h"
#include "sys/lock.h"

enum {
    MO_ARENA_BYTES = 64 << 20,
    MO_ARENA_PAGES = MO_ARENA_BYTES >> MO_PAGE_SHIFT,
    MO_MAX_ALIGN_BYTES = 2 << 20,
    MO_FIRST_HUGE_BYTES = 4 << 20, /* no huge pages before: a small program would pay for one */
};

typedef struct mo_heap {
    mo_lock lock; /* pages */
    mo_page_alloc pages;
    uint64_t inuse_pages;           /* in spans; heap lock */
    size_t reserved_bytes;          /* const after start */
    size_t table_bytes;             /* const: reserved for side tables */
    uint64_t committed_table_bytes; /* atomic reads */
    uint64_t limit_pages; /* atomic: beyond so many with memory, free ones are given back first */
    /* atomic: likewise, when many pages at once are taken that have none; holes that are too small
     * for them would stay */
    uint64_t large_limit_pages;
    uint64_t low_pages; /* atomic: runs_low is called below so many free pages that have memory */
    uint32_t sweepgen;  /* counts collections; a span with an older one is unswept */
    /* Marking while threads run: slots are claimed black (M=1), and no span goes back to the page
     * heap, since the marker may hold addresses in it. Changes while all are stopped. */
    bool is_marking;
    int64_t fresh_left;     /* atomic: spans that are taken fresh meanwhile, before used ones */
    void (*runs_low)(void); /* const; heap lock held: little free memory is left that has pages */
    void (*grown)(uintptr_t lo, size_t bytes); /* const; heap lock held; NULL: nobody cares */
    uint64_t swept_objects, swept_bytes;       /* freed by sweeps outside of caches, ever */
    /* Claimed since the last mark + marked then. Caches add to it in batches, from all threads:
     * a line of its own. */
    int64_t live_bytes MO_ALIGNED(64);
    char pad[56];
} mo_heap;

extern mo_heap mo_the_heap;

/* Reserves address space and side tables. 0 or -ENOMEM. */
int mo_heap_init(void);
/* Undoes a successful init (start failed later). */
void mo_heap_fini(void);

/* A span of num_pages, uninitialised but for pages and needs_zero; NULL if the OS or the
 * reservation refuses. align_pages: power of two. Takes the heap lock. */
mo_span *mo_heap_take_span(uint32_t num_pages, uint32_t align_pages);
/* All spans. The caller sees to it that none is made or given back. */
void mo_heap_each_span(void (*fn)(mo_span *s));
/* Fills the record and the page table. */
void mo_span_init(mo_span *s, struct mo_central *central, mo_kind kind, unsigned size_class,
                  size_t elem_bytes, uint32_t nelems, const struct mo_type_info *type,
                  uint32_t type_id);
/* The words of a large object that may hold old bytes: until they are cleared the page table calls
 * it noscan, so that nobody follows them. */
void mo_span_hide_words(mo_span *s);
void mo_span_clear_words(mo_span *s, size_t bytes);
/* To extend a large object by the pages behind it: take_behind takes them, the caller clears them
 * if not *is_zero, and extend_span makes them part of the span, or gives them back. The caller
 * holds the object. false: they are in use, somebody marks, or the span has not had_bytes any more.
 * Both take the heap lock. */
bool mo_heap_take_behind(const mo_span *s, uint32_t num_pages, size_t had_bytes, bool *is_zero);
bool mo_heap_extend_span(mo_span *s, uint32_t num_pages, size_t had_bytes);
/* Gives all pages back; the span must be in no list. */
void mo_heap_put_span(mo_span *s);

/* Gives free pages back to the OS, whole blocks first, never under the heap lock. Stops after
 * max_bytes or when at most retain_bytes of free memory are left unreleased. Returns bytes. */
size_t mo_heap_scavenge(size_t max_bytes, size_t retain_bytes, bool whole_blocks_only);
/* The opposite: gives memory to free blocks, so that their first owner does not wait for it:
 * clearing a huge page takes a tenth of a millisecond, and ten of them where a hypervisor has to
 * find memory first. Until ahead_bytes of free memory have pages, at most max_bytes. Returns bytes.
 */
size_t mo_heap_prefault(size_t max_bytes, size_t ahead_bytes);

#endif
