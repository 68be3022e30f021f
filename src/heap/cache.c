/* cache.c - refilling, flushing and freeing; the fast path itself is in gc/malloc.c.
 *
 * Small slots (up to CLEAR_SPAN_MAX) of a bump span are cleared as a whole when the span is
 * taken: 8 KiB that the owner is about to use stay in its first-level cache. Larger slots and
 * bitmap slots are cleared one by one when handed out.
 *
 * Floor   heap.
 * Locks   none of its own; centrals lock themselves.
 * Holds   a slot's span is CACHED with owner == this cache.
 */
#include "heap/cache.h"

#include <string.h>

enum { CLEAR_SPAN_MAX = 1024, PUBLISH_BYTES = 1 << 20, LIVE_BATCH_BYTES = 64 << 10 };

static uint32_t bump_idx(const mo_cache_slot *slot) {
    /* bump == end of the span is legal here, so no reciprocal: it is exact below the end only. */
    return (uint32_t)((mo_load_rlx(&slot->bump) - mo_span_start(slot->span)) /
                      slot->bytes); /* owner's word */
}

static void set_range(uint64_t *bits, uint32_t lo, uint32_t hi) {
    for (uint32_t w = lo / 64; lo < hi; w++) {
        uint32_t n = (uint32_t)mo_min(hi - lo, 64 - lo % 64);
        bits[w] |= mo_low_mask(n) << (lo % 64);
        lo += n;
    }
}

/* Claimed slots not handed out, as a bitmap. */
void mo_cache_claimed(const mo_cache_slot *slot, uint64_t bits[MO_BITS_PAGE_WORDS]) {
    memset(bits, 0, MO_BITS_PAGE_WORDS * 8);
    if (slot->is_bump) {
        set_range(bits, 0, bump_idx(slot));
    } else if (slot->mask) {
        bits[slot->word] = slot->mask;
    }
}

static void count_claimed(mo_cache *c, uint64_t objects, uint64_t bytes) {
    mo_add_owned_rlx(&c->claimed_objects, objects); /* statistics */
    mo_add_owned_rlx(&c->claimed_bytes, bytes);     /* statistics */
}

static void set_mode(mo_cache_slot *slot, bool is_bump) {
    mo_store_rlx(&slot->is_bump, is_bump); /* the owner's; others only estimate (unused_of) */
}

/* Slots of uncollectable memory are never marked; during marking all new ones are black. */
static bool claims_black(const mo_span *s) {
    return s->kind == MO_KIND_MANUAL || mo_the_heap.is_marking;
}

static void claim_whole(mo_cache *c, mo_cache_slot *slot) {
    mo_span *s = slot->span;
    uint64_t *alloc = mo_span_alloc_bits(s), *mark = mo_span_mark_bits(s);
    for (uint32_t w = 0; w < mo_span_words(s); w++) {
        uint64_t valid = mo_span_word_mask(s, w);
        mo_store_rlx(&alloc[w], valid); /* stale pointers may be asked about meanwhile */
        mo_store_rlx(&mark[w], claims_black(s) ? ~(uint64_t)0 : ~valid); /* the marker may look */
    }
    uintptr_t start = mo_span_start(s);
    size_t bytes = (size_t)s->nelems * slot->bytes;
    set_mode(slot, true);
    slot->rescan = false;
    mo_store_rlx(&slot->mask, 0); /* as in claim_word */
    slot->word = mo_span_words(s);
    slot->zero_each = s->needs_zero;
    mo_unbury(start, bytes);
    if (s->needs_zero && slot->bytes <= CLEAR_SPAN_MAX) {
        memset((void *)start, 0, bytes);
        slot->zero_each = false;
    }
    s->needs_zero = true;
    mo_store_rlx(&slot->lim, start);          /* read by the collector of a stopped owner */
    mo_store_rlx(&slot->bump, start + bytes); /* likewise */
    count_claimed(c, s->nelems, bytes);
    c->live_delta += (int64_t)bytes;
}

static uint32_t first_word(const mo_cache_slot *slot) {
    if (slot->is_bump) return mo_span_words(slot->span);
    return mo_hooks.one_by_one && slot->word != UINT32_MAX ? slot->word : slot->word + 1;
}

static void unbury_slots(const mo_cache_slot *slot, uint64_t bits) {
    if (MO_LIKELY(!mo_hooks.unpoison)) return;
    for (; bits; bits &= bits - 1)
        mo_unbury(slot->word_base + mo_ctz64(bits) * (uintptr_t)slot->bytes, slot->bytes);
}

/* Claims the free slots of the next word that has any. */
static bool claim_word(mo_cache *c, mo_cache_slot *slot) {
    mo_span *s = slot->span;
    uint64_t *alloc = mo_span_alloc_bits(s), *mark = mo_span_mark_bits(s);
    for (;;) {
        for (uint32_t w = first_word(slot); w < mo_span_words(s); w++) {
            uint64_t free_bits = ~mo_load_acq(&alloc[w]) &
                                 mo_span_word_mask(s, w); /* [E] pairs with [F] in central.c */
            if (free_bits == 0) continue;
            if (MO_UNLIKELY(mo_hooks.one_by_one)) free_bits &= -free_bits;
#if MO_MUTANT_claim_plain_alloc
            alloc[w] |= free_bits;
#else
            mo_fetch_or_rlx(&alloc[w],
                            free_bits); /* remote frees clear other bits of the word meanwhile */
#endif
#if MO_MUTANT_claim_plain_mark
            if (!claims_black(s)) mark[w] &= ~free_bits;
#else
            if (!claims_black(s)) mo_fetch_and_rlx(&mark[w], ~free_bits); /* likewise */
#endif
            set_mode(slot, false);
            slot->word = w;
            slot->word_base = mo_span_start(s) + (uintptr_t)w * 64 * slot->bytes;
            slot->zero_each = true;
            unbury_slots(slot, free_bits);
            mo_signal_fence();
            mo_store_rlx(&slot->mask,
                         free_bits); /* owner's word; the collector reads it when stopped */
            uint32_t n = mo_popcount64(free_bits);
            count_claimed(c, n, (uint64_t)n * slot->bytes);
            c->live_delta += (int64_t)n * slot->bytes;
            return true;
        }
        if (!slot->rescan) return false;
        slot->rescan = false;
        set_mode(slot, false);
        slot->word = UINT32_MAX; /* + 1 = 0 */
    }
}

/* All slots free. */
static void clear_bits(mo_span *s) {
    for (uint32_t w = 0; w < mo_span_words(s); w++) {
        mo_store_rlx(&mo_span_alloc_bits(s)[w], 0); /* as in claim_whole */
        mo_span_mark_bits(s)[w] = ~(uint64_t)0;
    }
}

void mo_cache_publish_live(mo_cache *c) {
    mo_add_rlx(&mo_the_heap.live_bytes, c->live_delta); /* a count; the trigger tolerates delay */
    c->live_delta = 0;
}

bool mo_cache_refill(mo_cache *c, mo_cache_slot *slot, mo_central *central) {
    if (slot->span && claim_word(c, slot)) return true;
    if (c->live_delta > (int64_t)LIVE_BATCH_BYTES) mo_cache_publish_live(c);
    for (;;) {
        bool is_whole;
        mo_span *old = slot->span;
        slot->span = NULL;
        mo_span *s = mo_central_take(central, c, old, &is_whole);
        if (!s) {
            mo_store_rlx(&slot->bump, 0); /* the owner's words, as in claim_whole */
            mo_store_rlx(&slot->lim, 0);  /* likewise */
            mo_store_rlx(&slot->mask, 0); /* likewise */
            set_mode(slot, true);
            return false;
        }
        c->transit = s;
        slot->span = s;
        mo_store_rlx(&slot->bytes, mo_size_classes[central->size_class].bytes); /* see unused_of */
        slot->rescan = false;
        if (is_whole && !mo_hooks.one_by_one) {
            claim_whole(c, slot);
            c->transit = NULL;
            return true;
        }
        mo_store_rlx(&slot->bump, 0); /* bitmap mode: the bump test must fail */
        mo_store_rlx(&slot->lim, 0);  /* likewise */
        set_mode(slot, false);
        slot->word = UINT32_MAX;
        if (is_whole) clear_bits(s);
        bool ok = claim_word(c, slot);
        c->transit = NULL;
        if (ok) return true; /* else its last free slots were claimed: it goes back as full */
    }
}

static void flush_slot(mo_cache *c, mo_cache_slot *slot) {
    mo_span *s = slot->span;
    if (!s) return;
    uint64_t claimed[MO_BITS_PAGE_WORDS];
    mo_cache_claimed(slot, claimed);
    uint32_t n = 0;
    for (uint32_t w = 0; w < mo_span_words(s); w++) {
#if MO_MUTANT_flush_plain_alloc
        mo_span_alloc_bits(s)[w] &= ~claimed[w];
#else
        mo_fetch_and_rlx(&mo_span_alloc_bits(s)[w], ~claimed[w]);         /* remote frees may run */
#endif
        if (s->kind != MO_KIND_MANUAL)
            mo_fetch_or_rlx(&mo_span_mark_bits(s)[w], claimed[w]); /* likewise */
        n += mo_popcount64(claimed[w]);
    }
    count_claimed(c, -(uint64_t)n, -(uint64_t)n * slot->bytes);
    c->live_delta -= (int64_t)n * slot->bytes;
    s->needs_zero = true;
    memset(slot, 0, sizeof *slot);
    mo_central_release(s);
}

void mo_cache_flush(mo_cache *c) {
    for (unsigned k = 0; k < 3; k++)
        for (unsigned sc = 1; sc < MO_NUM_SIZE_CLASSES; sc++) flush_slot(c, &c->slot[k][sc]);
    for (uint32_t i = 0; i < c->num_typed; i++) flush_slot(c, &c->typed[i]);
    mo_cache_publish_live(c);
}

static void unused_of(const mo_cache_slot *slot, uint64_t *objects, uint64_t *bytes) {
    uint32_t size = mo_load_rlx(&slot->bytes); /* a moment's value */
    if (size == 0) return;
    uintptr_t bump = mo_load_rlx(&slot->bump), lim = mo_load_rlx(&slot->lim); /* a moment's value */
    uint64_t n = mo_load_rlx(&slot->is_bump) ? (bump > lim ? (bump - lim) / size : 0)
                                             : mo_popcount64(mo_load_rlx(&slot->mask)); /* same */
    *objects += n;
    *bytes += n * size;
}

void mo_cache_unused(const mo_cache *c, uint64_t *objects, uint64_t *bytes) {
    for (unsigned k = 0; k < 3; k++)
        for (unsigned sc = 1; sc < MO_NUM_SIZE_CLASSES; sc++)
            unused_of(&c->slot[k][sc], objects, bytes);
    uint32_t num_typed = mo_load_acq(&c->num_typed); /* [Y] pairs with [Y] in malloc.c */
    for (uint32_t i = 0; i < num_typed; i++) unused_of(&c->typed[i], objects, bytes);
}

static void begin_mark_slot(mo_cache_slot *slot) {
    if (!slot->span || slot->span->kind == MO_KIND_MANUAL) return;
    uint64_t claimed[MO_BITS_PAGE_WORDS], *mark = mo_span_mark_bits(slot->span);
    mo_cache_claimed(slot, claimed);
    for (uint32_t w = 0; w < mo_span_words(slot->span); w++) mark[w] |= claimed[w];
}

void mo_cache_begin_mark(mo_cache *c) {
    for (unsigned k = 0; k < 3; k++)
        for (unsigned sc = 1; sc < MO_NUM_SIZE_CLASSES; sc++) begin_mark_slot(&c->slot[k][sc]);
    for (uint32_t i = 0; i < c->num_typed; i++) begin_mark_slot(&c->typed[i]);
}

static void each_claimed_of(const mo_cache_slot *slot,
                            void (*fn)(const mo_span *, const uint64_t *, void *), void *arg) {
    if (!slot->span) return;
    uint64_t claimed[MO_BITS_PAGE_WORDS];
    mo_cache_claimed(slot, claimed);
    fn(slot->span, claimed, arg);
}

void mo_cache_each_claimed(mo_cache *c,
                           void (*fn)(const mo_span *s, const uint64_t *claimed, void *arg),
                           void *arg) {
    for (unsigned k = 0; k < 3; k++)
        for (unsigned sc = 1; sc < MO_NUM_SIZE_CLASSES; sc++)
            each_claimed_of(&c->slot[k][sc], fn, arg);
    for (uint32_t i = 0; i < c->num_typed; i++) each_claimed_of(&c->typed[i], fn, arg);
}

static void sweep_slot(mo_cache_slot *slot) {
    if (!slot->span || slot->span->kind == MO_KIND_MANUAL) return;
    uint64_t claimed[MO_BITS_PAGE_WORDS];
    mo_cache_claimed(slot, claimed);
    if (mo_span_sweep(slot->span, claimed, NULL) < slot->span->nelems) slot->rescan = true;
}

void mo_cache_sweep(mo_cache *c) {
    for (unsigned k = 0; k < 3; k++)
        for (unsigned sc = 1; sc < MO_NUM_SIZE_CLASSES; sc++) sweep_slot(&c->slot[k][sc]);
    for (uint32_t i = 0; i < c->num_typed; i++) sweep_slot(&c->typed[i]);
}

/* ---------------------------------------------------------------- explicit free */

/* Nobody but the owner makes a span his own or gives it up. */
static bool is_own(const mo_cache *c, const mo_span *s) {
    return mo_load_rlx(&s->owner) == c && mo_load_rlx(&s->state) == MO_SPAN_CACHED; /* see above */
}

static mo_cache_slot *slot_of_span(mo_cache *c, const mo_span *s) {
    if (s->kind == MO_KIND_TYPED) return &c->typed[s->central->type_id];
    return mo_cache_slot_of(c, (mo_kind)s->kind, s->size_class);
}

static bool is_claimed(const mo_cache_slot *slot, const mo_slot *sl) {
#if MO_MUTANT_free_forgets_claimed
    return false;
#endif
    if (slot->is_bump) return sl->base < slot->bump;
    return sl->idx / 64 == slot->word && (slot->mask >> (sl->idx % 64) & 1);
}

/* A freed slot that is claimed again at once. */
static void count_reclaimed(mo_cache *c, const mo_cache_slot *slot) {
    count_claimed(c, 1, slot->bytes);
}

/* The caller's own span: only it may allocate there, so its fields are exact. */
static mo_free_result free_owned(mo_cache *c, mo_cache_slot *slot, const mo_slot *sl, bool single) {
    mo_span *s = sl->span;
    uint64_t *alloc = &mo_span_alloc_bits(s)[sl->idx / 64],
             *mark = &mo_span_mark_bits(s)[sl->idx / 64];
    uint64_t bit = (uint64_t)1 << (sl->idx % 64);
    if (!(mo_load_rlx(alloc) & bit) || is_claimed(slot, sl))
        return MO_FREE_NOT_ALLOCATED; /* own span */
    mo_forget_words(s, sl->base);
    mo_bury(sl->base, s->elem_bytes);
    if (slot->is_bump && sl->base == slot->bump) {
        mo_unbury(sl->base, slot->bytes);
        if (!slot->zero_each) memset((void *)sl->base, 0, slot->bytes);
        mo_signal_fence();
        mo_store_rlx(&slot->bump, sl->base + slot->bytes); /* handed back to the claimed ones */
        count_reclaimed(c, slot);
    } else if (!slot->is_bump && sl->idx / 64 == slot->word) {
        mo_unbury(sl->base, slot->bytes);
        mo_store_rlx(&slot->mask, slot->mask | bit); /* likewise */
        count_reclaimed(c, slot);
    } else {
        c->live_delta -= slot->bytes; /* claiming it again adds it again */
        slot->rescan = true;
        bool manual = s->kind == MO_KIND_MANUAL;
        if (single) {
            *alloc &= ~bit;
            if (!manual) *mark |= bit;
        } else {
            mo_fetch_and_rlx(alloc, ~bit);           /* remote frees of neighbours */
            if (!manual) mo_fetch_or_rlx(mark, bit); /* likewise */
        }
    }
    return MO_FREE_OK;
}

mo_free_result mo_cache_free(mo_cache *c, const mo_slot *sl, bool single) {
    mo_span *s = sl->span;
    if (MO_UNLIKELY(mo_load_rlx(&s->specials) != NULL)) { /* obj's own were added before this */
        mo_span_ensure_swept(s);
        mo_hooks.specials_lock();
        mo_hooks.object_freed(s, sl->base);
        mo_hooks.specials_unlock();
    }
    size_t bytes = s->elem_bytes;
    mo_free_result r;
    if (is_own(c, s)) {
        r = free_owned(c, slot_of_span(c, s), sl, single);
    } else {
        r = mo_central_free_shared(sl) ? MO_FREE_OK : MO_FREE_NOT_ALLOCATED;
        if (r == MO_FREE_OK) c->live_delta -= (int64_t)bytes;
    }
    if (r == MO_FREE_OK) {
        mo_add_owned_rlx(&c->freed_objects, 1);   /* statistics */
        mo_add_owned_rlx(&c->freed_bytes, bytes); /* statistics */
        if (c->live_delta < -(int64_t)PUBLISH_BYTES) mo_cache_publish_live(c);
    }
    return r;
}

bool mo_cache_is_allocated(const mo_cache *c, const mo_slot *sl) {
    const mo_span *s = sl->span;
    if (!(mo_load_rlx(&mo_span_alloc_bits(s)[sl->idx / 64]) >> (sl->idx % 64) & 1))
        return false; /* a moment's value */
    if (!is_own(c, s)) return true;
    return !is_claimed(slot_of_span((mo_cache *)c, s), sl);
}
