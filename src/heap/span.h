/* span.h - spans, the page table and the object bitmaps; find(address). Floor heap.
 *
 * The heap is one reservation of address space, cut into pages of 8 KiB. A *span* is a run of
 * pages that holds slots of one size, or one large object. Everything about a page or a span
 * stands in flat arrays indexed by page number, so each question is arithmetic and one load:
 *
 *   info[page]   4 bytes: size class, kind, distance to the span's first page, type; 0 = free
 *   spans[page]  the record of the span that starts there (64 bytes)
 *   alloc[], mark[]  64 bytes a page each: bit i of the span's first page belongs to slot i
 *
 * Bits of slot i between collections (A = alloc, M = mark):
 *   A=1 M=0  allocated, or claimed by a cache that has not handed it out yet
 *   A=0 M=1  free
 * During marking M=1 means "black, or need not be marked": free slots are so from the start, so
 * the marker asks one bit only, and a slot that is allocated while marking runs without
 * clearing M is black. A sweep keeps A & M and sets M to the complement again.
 *   I1  outside of marking, for every slot of a span: M == !A, except in unswept spans
 *   I2  the slots a cache has claimed but not handed out have A=1; the owner alone knows them
 *   I3  info is 0 for pages in no span
 * mo_span_verify checks I1 and I3 for a span.
 */
#ifndef MO_SPAN_H
#define MO_SPAN_H

#include "base/atomic.h"
#include "base/bits.h"
#include "heap/page_alloc.h"
#include "heap/size_class.h"

typedef enum mo_kind {
    MO_KIND_FREE,   /* no span */
    MO_KIND_NOSCAN, /* the collector never looks inside */
    MO_KIND_SCAN,   /* scanned word by word */
    MO_KIND_MANUAL, /* never collected, scanned as a root */
    MO_KIND_TYPED,  /* scanned by the span's type */
    MO_NUM_KINDS
} mo_kind;

typedef enum mo_span_state {
    MO_SPAN_FREE,
    MO_SPAN_UNSWEPT,  /* in its central's unswept list */
    MO_SPAN_SWEEPING, /* taken from there by one thread */
    MO_SPAN_PARTIAL,  /* swept, has free slots, in the partial list */
    MO_SPAN_FULL,     /* swept, in the full list (large objects too) */
    MO_SPAN_CACHED,   /* owned by a cache */
} mo_span_state;

typedef enum mo_slack {
    MO_SLACK_NONE,
    MO_SLACK_BYTE,  /* large, and its last byte is not used */
    MO_SLACK_GROWS, /* likewise, and it may be extended where it lies: see types/slice.c */
} mo_slack;

struct mo_cache;
struct mo_central;
struct mo_type_info;

typedef struct mo_span {
    uint32_t next, prev; /* in a list of the shard, page numbers; its lock */
    uint32_t num_pages;  /* const while in use, but for mo_heap_extend_span */
    uint16_t nelems;     /* const; at most 512 */
    uint8_t shard;       /* of the central: whose lists and lock; changes while locked or owned */
    bool needs_zero;     /* slots may hold old bytes; owner */
    size_t elem_bytes;   /* const, but for mo_heap_extend_span */
    struct mo_central *central;      /* const */
    const struct mo_type_info *type; /* const; kind TYPED only */
    void *specials;                  /* the collector's; special lock */
    struct mo_cache *owner;          /* CACHED: whose; shard lock to change */
    uint32_t sweepgen;               /* of the last sweep; see mo_heap.sweepgen */
    uint8_t state;                   /* mo_span_state; shard lock */
    uint8_t kind;                    /* const */
    uint8_t size_class;              /* const */
    uint8_t slack;                   /* mo_slack; after it was made */
} mo_span;

_Static_assert(sizeof(mo_span) == 64, "a span record is one cache line");

enum {
    MO_SHARDS = 8,
    MO_BITS_PAGE_WORDS = MO_PAGE_BYTES / 16 / 64, /* words of alloc[] and mark[] per page */
    MO_INFO_KIND_SHIFT = 8,
    MO_INFO_BACK_SHIFT = 11,
    MO_INFO_TYPE_SHIFT = 16, /* small spans: type above 5 bits of back */
    MO_INFO_BACK_SMALL = 31,
    MO_INFO_BACK_MAX = (1 << 21) - 1, /* large spans; farther pages chain through this distance */
    MO_MAX_TYPE_ID = 4095,
};

/* Hot addresses of the heap, written once at start. */
typedef struct mo_heap_map {
    uintptr_t base;
    size_t used_bytes; /* grown so far; only upwards */
    uint32_t *info;
    uint64_t *mark;
    uint64_t *alloc;
    mo_span *spans;
} mo_heap_map;

extern mo_heap_map mo_map;

MO_INLINE uintptr_t mo_page_addr(uint32_t page) {
    return mo_map.base + ((uintptr_t)page << MO_PAGE_SHIFT);
}
MO_INLINE uint32_t mo_span_page(const mo_span *s) { return (uint32_t)(s - mo_map.spans); }
MO_INLINE uintptr_t mo_span_start(const mo_span *s) { return mo_page_addr(mo_span_page(s)); }
MO_INLINE uint64_t *mo_span_alloc_bits(const mo_span *s) {
    return mo_map.alloc + (size_t)mo_span_page(s) * MO_BITS_PAGE_WORDS;
}
MO_INLINE uint64_t *mo_span_mark_bits(const mo_span *s) {
    return mo_map.mark + (size_t)mo_span_page(s) * MO_BITS_PAGE_WORDS;
}
MO_INLINE uint32_t mo_span_words(const mo_span *s) { return (s->nelems + 63) / 64; }
/* Valid bits of word w. */
MO_INLINE uint64_t mo_span_word_mask(const mo_span *s, uint32_t w) {
    uint32_t left = s->nelems - w * 64;
    return mo_low_mask(left > 64 ? 64 : left);
}
MO_INLINE mo_kind mo_info_kind(uint32_t info) {
    return (mo_kind)((info >> MO_INFO_KIND_SHIFT) & 7);
}

/* Acquire: any number may be asked about, also one that lies in an arena that is just growing. */
MO_INLINE bool mo_in_heap(uintptr_t addr) {
    return addr - mo_map.base < mo_load_acq(&mo_map.used_bytes); /* [G] pairs with [G] in heap.c */
}

/* State and owner change under the shard's lock, or while the span is owned; who asks about a
 * span without it (mo_cache_is_allocated, fork.c) can tell only whether it is his own. */
MO_INLINE void mo_span_set_state(mo_span *s, mo_span_state state) {
    mo_store_rlx(&s->state, (uint8_t)state); /* as above */
}
MO_INLINE void mo_span_set_owner(mo_span *s, struct mo_cache *owner) {
    mo_store_rlx(&s->owner, owner); /* as above */
}

/* First page of the span that page lies in. */
MO_INLINE uint32_t mo_info_first_page(uint32_t page, uint32_t info) {
    if (MO_LIKELY((info & 0xff) != 0))
        return page - ((info >> MO_INFO_BACK_SHIFT) & MO_INFO_BACK_SMALL);
    uint32_t back = info >> MO_INFO_BACK_SHIFT;
    while (MO_UNLIKELY(back == MO_INFO_BACK_MAX)) {
        page -= back;
        back = mo_load_rlx(&mo_map.info[page]) >> MO_INFO_BACK_SHIFT; /* as in mo_find */
    }
    return page - back;
}

/* A slot: what find gives. */
typedef struct mo_slot {
    mo_span *span;
    uint32_t idx;
    uint32_t info; /* of its page, as it was: the span's own fields may just be written */
    uintptr_t base;
} mo_slot;

/* The slot that addr lies in, allocated or not. false: addr is in no span, or in its tail. */
MO_INLINE bool mo_find(uintptr_t addr, mo_slot *out) {
    if (!mo_in_heap(addr)) return false;
    uint32_t page = (uint32_t)((addr - mo_map.base) >> MO_PAGE_SHIFT);
    uint32_t info = mo_load_rlx(&mo_map.info[page]); /* spans of live objects do not change */
    if (info == 0) return false;
    uint32_t first = mo_info_first_page(page, info);
    const mo_size_class *sc = &mo_size_classes[info & 0xff];
    uintptr_t start = mo_page_addr(first);
    out->span = &mo_map.spans[first];
    out->info = info;
    if ((info & 0xff) == 0) {
        out->idx = 0;
        out->base = start;
        return true;
    }
    out->idx = (uint32_t)(((uint64_t)(addr - start) * sc->magic) >> 32);
    out->base = start + (uintptr_t)out->idx * sc->bytes;
    return out->idx < sc->nelems;
}

/* An address one past the slot is not one past its object. */
MO_INLINE bool mo_slot_has_slack(const mo_slot *sl) {
    return mo_load_rlx(&sl->span->slack) != MO_SLACK_NONE || /* late is harmless */
           (sl->info & 0xff) == MO_TEXT_CLASS;
}

/* Throws where I1 or I3 does not hold; the span must be swept and owned by nobody else. */
void mo_span_verify(const mo_span *s);

#endif
