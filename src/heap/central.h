/* central.h - the middle level: spans of one span class, shared by all caches. Floor heap.
 *
 * A *span class* is size class x kind; each type descriptor has a central of its own. Spans are
 * linked by page number (0 = none). After a mark all spans of the partial and full lists are
 * unswept: they are joined to the unswept list as whole lists, and a span's sweepgen tells.
 *
 * The lists of a central are split in MO_SHARDS; a cache uses its own shard first and steals from
 * the others when that has nothing left. So a thread gets back the spans it used before the
 * collection: their records, bits and memory are in its processor's cache, and its lock is not
 * contended (two threads then allocate 1.8 times as much as one; with one list 1.2 times).
 *
 * Order [A]/[S]: a sweep stores sweepgen with release; whoever sees it current sees the bits.
 *       [X]/[W]: a sweep is counted off with release; who waits for that, with acquire, sees all
 *       that it did and queued.
 */
#ifndef MO_CENTRAL_H
#define MO_CENTRAL_H

#include <string.h>

#include "heap/heap.h"
#include "sys/cpu.h"

typedef struct mo_span_list {
    uint32_t first, last; /* page numbers; 0: empty */
} mo_span_list;

/* A cache line of its own: neighbours are other threads'. */
typedef struct MO_ALIGNED(MO_CACHE_LINE_BYTES) mo_shard {
    mo_lock lock;
    mo_span_list unswept, partial, full;
    uint32_t
        num_sweeping; /* spans taken from unswept by others than caches, not swept yet; [X]/[W] */
} mo_shard;

typedef struct mo_central {
    mo_shard shard[MO_SHARDS];
    const struct mo_type_info *type;
    uint32_t type_id;
    bool is_used; /* ever had a span: the others need no look at a collection */
    uint8_t kind;
    uint8_t size_class; /* 0: large objects, each in a span of its own, in full or unswept */
} mo_central;

/* How the collector takes part; set once at start. Called without central or heap lock. */
typedef struct mo_heap_hooks {
    void (*specials_lock)(void);
    void (*specials_unlock)(void);
    /* Between the two: objects of s with A=1 and M=0 die now. */
    void (*span_dying)(mo_span *s);
    /* Between the two: the object at base is freed by hand. */
    void (*object_freed)(mo_span *s, uintptr_t base);
    bool scribble; /* overwrite what is freed */
    /* Of a sanitizer: access to freed memory is an error until it is allocated again. NULL: none.
     */
    void (*poison)(const volatile void *lo, size_t bytes);
    void (*unpoison)(const volatile void *lo, size_t bytes);
    bool one_by_one; /* caches claim one slot at a time, so that each allocation takes the slow path
                      */
} mo_heap_hooks;

extern mo_heap_hooks mo_hooks;

/* A free slot of uncollectable memory holds nothing: such memory is scanned by what is claimed, and
 * a cache claims more than it has handed out. */
MO_INLINE void mo_forget_words(const mo_span *s, uintptr_t lo) {
#if !MO_MUTANT_manual_keeps_words
    if (s->kind == MO_KIND_MANUAL && s->size_class != 0) memset((void *)lo, 0, s->elem_bytes);
#endif
}

/* What the switches want done with memory that was freed, and with memory that is used again. */
MO_INLINE void mo_bury(uintptr_t lo, size_t bytes) {
    enum { SCRIBBLE = 0xdb };
    if (MO_UNLIKELY(mo_hooks.scribble)) memset((void *)lo, SCRIBBLE, bytes);
    if (MO_UNLIKELY(mo_hooks.poison != NULL)) mo_hooks.poison((void *)lo, bytes);
}
MO_INLINE void mo_unbury(uintptr_t lo, size_t bytes) {
    if (MO_UNLIKELY(mo_hooks.unpoison != NULL)) mo_hooks.unpoison((void *)lo, bytes);
}

/* Who does not see it yet sweeps nothing of a span that came into being at this moment; a stop
 * orders it. */
MO_INLINE bool mo_central_is_used(const mo_central *c) {
    return mo_load_rlx(&c->is_used); /* as above */
}

void mo_central_init(mo_central *c, mo_kind kind, unsigned size_class,
                     const struct mo_type_info *type, uint32_t type_id);
/* The central of an untyped kind. */
mo_central *mo_central_of(mo_kind kind, unsigned size_class);
void mo_centrals_init(void);

/* A span to allocate from, as owner, in exchange for old (NULL: none), which goes back; NULL when
 * memory is exhausted. *is_whole: no slot of it is allocated. */
mo_span *mo_central_take(mo_central *c, struct mo_cache *owner, mo_span *old, bool *is_whole);
/* Gives an owned span back to its central. */
void mo_central_release(mo_span *s);
/* A span for one large object, allocated (A=1, M=0); NULL when exhausted. Where it needs_zero, its
 * words are hidden until mo_span_clear_words. */
mo_span *mo_central_take_large(mo_kind kind, size_t size, size_t align,
                               const struct mo_type_info *type);

/* World stopped: calls fn for every span in c's lists. */
void mo_central_each_span(mo_central *c, void (*fn)(mo_span *s, void *arg), void *arg);
/* World stopped, after marking: all spans of c become unswept. */
void mo_central_begin_sweep(mo_central *c);
/* Sweeps up to max spans of c; returns how many. */
uint32_t mo_central_sweep(mo_central *c, uint32_t max);
/* Waits for the spans that others than caches have taken to sweep; for those of caches, whoever
 * calls this waits afterwards (mo_cache.is_sweeping). */
void mo_central_await_sweeps(mo_central *c);
/* Gives spans back that hold nothing any more: for those that no sweep looks at. */
void mo_central_release_empty(mo_central *c);
/* In the child of a fork: nobody else sweeps. */
void mo_central_after_fork(mo_central *c);
/* Found dead by the last mark, and not swept yet. The caller keeps sweeps of that span away. */
bool mo_slot_is_doomed(const mo_slot *sl);
/* Makes sure that the bits of s are current; an object in it is alive. */
void mo_span_ensure_swept(mo_span *s);
/* The bits only: keeps what is allocated and marked, and claimed[] (slots that stay as they
 * are; may be NULL). Counts what dies in owner's statistics, or in the heap's if NULL. Returns
 * the number of slots still allocated. World stopped, or s owned. */
uint32_t mo_span_sweep(mo_span *s, const uint64_t *claimed, struct mo_cache *owner);

/* All centrals, for the sweeper and the checks. */
enum { MO_NUM_CENTRALS = 3 * MO_NUM_SIZE_CLASSES };
extern mo_central mo_centrals[MO_NUM_CENTRALS];

/* Frees a slot of a span that the caller does not own. false: it is not allocated. */
bool mo_central_free_shared(const mo_slot *sl);

#endif
