/* cache.h - the first level: what one thread allocates from, without lock or atomic. Floor heap.
 *
 * Per span class one owned span, in one of two modes:
 *   bump    a span that came back with no slot allocated: slots from bump down to lim. Downwards,
 *           since a root's word that is exactly the base of an object keeps its lower neighbour too
 *           (docs/design/gc.md): that is then what was allocated next, more often a part of the
 * same structure than what was allocated before. bitmap  a partly used one: mask holds the free
 * slots of the current word of 64 All slots so handed to the cache are *claimed*: A=1 in the span's
 * bits, although some are not handed out yet. The owner changes bump or mask by single stores, so a
 * thread that is stopped in the middle of an allocation leaves either state; the collector reads
 * both, never writes them, and leaves claimed slots alone (mo_cache_claimed). That is why the fast
 * path needs no flag.
 *
 * Who may call: the owner; the collector for a stopped owner where it is said.
 */
#ifndef MO_CACHE_H
#define MO_CACHE_H

#include "heap/central.h"

typedef struct mo_cache_slot {
    uintptr_t bump, lim; /* bump mode: free from lim to bump; bump == lim: empty */
    uint64_t mask;       /* bitmap mode: claimed, not handed out, bit i: word_base + i * bytes */
    uintptr_t word_base;
    mo_span *span;  /* NULL: none yet */
    uint32_t word;  /* index of the current word of the bitmap */
    uint32_t bytes; /* of a slot */
    bool is_bump;
    bool zero_each; /* slots must be cleared when handed out */
    bool rescan;    /* slots behind the current place became free */
} mo_cache_slot;

typedef struct mo_cache {
    mo_cache_slot slot[3][MO_NUM_SIZE_CLASSES]; /* by kind - MO_KIND_NOSCAN */
    mo_cache_slot *typed;                       /* by type id; NULL until used */
    uint32_t num_typed;
    uint64_t claimed_objects, claimed_bytes; /* ever; includes claimed slots not handed out */
    uint64_t freed_objects, freed_bytes;     /* by mound_free or swept by this thread, ever */
    int64_t live_delta;                      /* claimed, not yet added to heap.live_bytes */
    mo_span *transit;                        /* taken from a central, not yet in its slot */
    uint32_t is_sweeping;                    /* an unswept span that it took; owner */
    uint8_t shard;                           /* const: where its spans go back to */
} mo_cache;

MO_INLINE mo_cache_slot *mo_cache_slot_of(mo_cache *c, mo_kind kind, unsigned size_class) {
    return &c->slot[kind - MO_KIND_NOSCAN][size_class];
}

/* Refills an empty slot. false: memory exhausted. */
bool mo_cache_refill(mo_cache *c, mo_cache_slot *slot, mo_central *central);
/* Gives everything back; the owner ends or is gone. */
void mo_cache_flush(mo_cache *c);
/* Adds live_delta to the heap's count. */
void mo_cache_publish_live(mo_cache *c);
/* Claimed slots not handed out, in objects and bytes. Any thread; a moment's value. */
void mo_cache_unused(const mo_cache *c, uint64_t *objects, uint64_t *bytes);

/* World stopped: M=1 for claimed slots, so that stale pointers to them mark nothing. */
void mo_cache_begin_mark(mo_cache *c);
/* World stopped, after marking: sweeps the owned spans. */
void mo_cache_sweep(mo_cache *c);

/* World stopped: the claimed slots of one slot's span, as a bitmap. */
void mo_cache_claimed(const mo_cache_slot *slot, uint64_t bits[MO_BITS_PAGE_WORDS]);
/* World stopped: calls fn for every owned span with its claimed slots. */
void mo_cache_each_claimed(mo_cache *c,
                           void (*fn)(const mo_span *s, const uint64_t *claimed, void *arg),
                           void *arg);

typedef enum mo_free_result { MO_FREE_OK, MO_FREE_NOT_ALLOCATED } mo_free_result;
/* Frees the object at sl->base. single: no other thread is registered. */
mo_free_result mo_cache_free(mo_cache *c, const mo_slot *sl, bool single);
/* Allocated, as far as one may know who does not own the span. */
bool mo_cache_is_allocated(const mo_cache *c, const mo_slot *sl);

#endif
