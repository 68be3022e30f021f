/* central.c - lists of spans, and the sweep.
 *
 * A cache that needs a span gets a swept partial one, else sweeps unswept ones until one has
 * room, else a fresh one from the page heap. Whoever pops a span from the unswept list owns it
 * (SWEEPING, or CACHED already); no lock is held while it is swept.
 *
 * Sweeping one span (mo_span_sweep): slots with A=1, M=0 are dead. A becomes A & M, M its
 * complement (span.h I1). Where the span has specials, the special lock is held from before the
 * first death until sweepgen is stored: a weak pointer is read either before, with the object
 * still there, or after, as NULL.
 *
 * Floor   heap.
 * Locks   a shard's lock for its lists and for span.state, .owner, .shard, .next, .prev of its
 *         spans; a span's shard changes only while that lock is held or the span is owned, so
 *         whoever wants the lock of a span takes it and looks again (lock_span).
 * Holds   a span is in exactly one list, or owned by a cache, or being swept.
 */
#include "heap/central.h"

#include <string.h>

#include "heap/cache.h"
#include "sys/cpu.h"

MO_GLOBAL mo_central mo_centrals[MO_NUM_CENTRALS];
MO_GLOBAL mo_heap_hooks mo_hooks;

enum { SWEEP_POLL_NS = 50000, SWEEP_BUDGET = MO_VARIETY >= 2 ? 3 : 100 };

void mo_central_init(mo_central *c, mo_kind kind, unsigned size_class,
                     const struct mo_type_info *type, uint32_t type_id) {
    memset(c, 0, sizeof *c);
    for (int i = 0; i < MO_SHARDS; i++) mo_lock_init(&c->shard[i].lock, MO_RANK_CENTRAL);
    c->kind = (uint8_t)kind;
    c->size_class = (uint8_t)size_class;
    c->type = type;
    c->type_id = type_id;
}

void mo_centrals_init(void) {
    for (unsigned k = MO_KIND_NOSCAN; k <= MO_KIND_MANUAL; k++)
        for (unsigned sc = 0; sc < MO_NUM_SIZE_CLASSES; sc++)
            mo_central_init(mo_central_of((mo_kind)k, sc), (mo_kind)k, sc, NULL, 0);
}

mo_central *mo_central_of(mo_kind kind, unsigned size_class) {
    return &mo_centrals[(kind - MO_KIND_NOSCAN) * MO_NUM_SIZE_CLASSES + size_class];
}

/* The only field of a list that is read without its lock: see has_any. */
static void set_first(mo_span_list *l, uint32_t page) {
    mo_store_rlx(&l->first, page); /* the lock orders it; others only glance */
}

static void list_push(mo_span_list *l, mo_span *s) {
    uint32_t page = mo_span_page(s);
    s->prev = 0;
    s->next = l->first;
    if (l->first)
        mo_map.spans[l->first].prev = page;
    else
        l->last = page;
    set_first(l, page);
}

static void list_remove(mo_span_list *l, mo_span *s) {
    if (s->prev)
        mo_map.spans[s->prev].next = s->next;
    else
        set_first(l, s->next);
    if (s->next)
        mo_map.spans[s->next].prev = s->prev;
    else
        l->last = s->prev;
    s->next = s->prev = 0;
}

static mo_span *list_pop(mo_span_list *l) {
    if (l->first == 0) return NULL;
    mo_span *s = &mo_map.spans[l->first];
    list_remove(l, s);
    return s;
}

static void list_join(mo_span_list *to, mo_span_list *from) {
    if (from->first == 0) return;
    if (to->first) {
#if MO_MUTANT_list_join_drops
        from->first = from->last = 0;
        return;
#endif
        mo_map.spans[to->last].next = from->first;
        mo_map.spans[from->first].prev = to->last;
    } else {
        set_first(to, from->first);
    }
    to->last = from->last;
    set_first(from, 0);
    from->last = 0;
}

static bool is_unswept(const mo_span *s) {
    return s->kind != MO_KIND_MANUAL &&
           mo_load_acq(&s->sweepgen) != mo_the_heap.sweepgen; /* [A] with [S] */
}

static mo_shard *shard_of(const mo_span *s) {
    return &s->central->shard[mo_load_acq(&s->shard)]; /* [O] pairs with [O] in own */
}

/* Locks the shard that s belongs to. */
static mo_shard *lock_span(const mo_span *s) {
    for (;;) {
        mo_shard *sh = shard_of(s);
        mo_lock_acquire(&sh->lock);
        if (sh == shard_of(s)) return sh;
        mo_lock_release(&sh->lock);
    }
}

/* The list s is in; its shard's lock held, s neither owned nor being swept. */
static mo_span_list *list_of(mo_shard *sh, const mo_span *s) {
    if (is_unswept(s)) return &sh->unswept;
    return s->state == MO_SPAN_FULL ? &sh->full : &sh->partial;
}

/* Puts a swept span with allocated slots into its list. Lock held. */
static void place_locked(mo_shard *sh, mo_span *s, uint32_t num_used) {
    bool is_full = num_used == s->nelems;
    mo_span_set_owner(s, NULL);
    mo_span_set_state(s, is_full ? MO_SPAN_FULL : MO_SPAN_PARTIAL);
    list_push(is_full ? &sh->full : &sh->partial, s);
}

/* ---------------------------------------------------------------- sweep */

static void bury_dead(const mo_span *s, uint32_t w, uint64_t dead) {
    for (; dead; dead &= dead - 1)
        mo_bury(mo_span_start(s) + (w * 64 + mo_ctz64(dead)) * s->elem_bytes, s->elem_bytes);
}

/* Without hardware support popcount is a call; most words are empty or full. */
static uint32_t count_bits(uint64_t word) {
    if (word == 0) return 0;
    return word == ~(uint64_t)0 ? 64 : mo_popcount64(word);
}

static uint32_t count_used(const mo_span *s) {
    const uint64_t *alloc = mo_span_alloc_bits(s);
    uint32_t used = 0;
    for (uint32_t w = 0; w < mo_span_words(s); w++)
        used +=
            count_bits(mo_load_rlx(&alloc[w])); /* remote frees take the lock the caller holds */
    return used;
}

uint32_t mo_span_sweep(mo_span *s, const uint64_t *claimed, mo_cache *owner) {
#if MO_MUTANT_sweepgen_before_bits
    mo_store_rel(&s->sweepgen, mo_the_heap.sweepgen); /* [S] too early */
#endif
    /* Those of live objects stay, and nobody adds one before the span is swept. */
    bool has_specials = mo_load_rlx(&s->specials) != NULL; /* the lock orders the list */
    if (MO_UNLIKELY(has_specials)) {
        mo_hooks.specials_lock();
        mo_hooks.span_dying(s);
    }
    uint64_t *alloc = mo_span_alloc_bits(s), *mark = mo_span_mark_bits(s);
    uint32_t num_live = 0, num_dead = 0;
    bool buries = mo_hooks.scribble || mo_hooks.poison;
    for (uint32_t w = 0, n = mo_span_words(s); w < n; w++) {
        uint64_t keep = claimed ? claimed[w] : 0;
        /* Others may ask meanwhile whether a live object is allocated: its bit does not change. */
        uint64_t was = mo_load_rlx(&alloc[w]), live = (was & mark[w]) | keep;
#if MO_MUTANT_sweep_keeps_dead
        live = was;
#elif MO_MUTANT_sweep_drops_claimed
        live = was & mark[w] & ~keep;
#elif MO_MUTANT_sweep_frees_live
        if (w == 0) live &= live - 1;
#endif
        if (MO_UNLIKELY(buries)) bury_dead(s, w, was & ~live);
        num_live += count_bits(live);
        num_dead += count_bits(was & ~live);
        mo_store_rlx(&alloc[w], live); /* see above; [S] below publishes it */
        mark[w] = ~live;
    }
    if (num_dead > 0) {
        s->needs_zero = true;
        if (owner) {
            mo_add_owned_rlx(&owner->freed_objects, num_dead);               /* statistics */
            mo_add_owned_rlx(&owner->freed_bytes, num_dead * s->elem_bytes); /* statistics */
        } else {
            mo_add_rlx(&mo_the_heap.swept_objects, num_dead);               /* statistics */
            mo_add_rlx(&mo_the_heap.swept_bytes, num_dead * s->elem_bytes); /* statistics */
        }
    }
    mo_store_rel(&s->sweepgen, mo_the_heap.sweepgen); /* [S] pairs with [A] */
    if (MO_UNLIKELY(has_specials)) mo_hooks.specials_unlock();
    return num_live;
}

/* Sweeps s, taken from the unswept list, and puts it where it belongs. */
static void sweep_and_place(mo_span *s) {
    uint32_t num_live = mo_span_sweep(s, NULL, NULL);
    if (num_live == 0) {
        mo_heap_put_span(s);
        return;
    }
    mo_shard *sh = lock_span(s);
    place_locked(sh, s, num_live);
    mo_lock_release(&sh->lock);
}

static mo_span *pop_unswept_locked(mo_shard *sh) {
    mo_span *s = list_pop(&sh->unswept);
    if (!s) return NULL;
    mo_span_set_state(s, MO_SPAN_SWEEPING);
    return s;
}

/* One more is being swept. Lock held: who waits takes it first. */
static void count_sweeping_locked(mo_shard *sh) {
    mo_add_rlx(&sh->num_sweeping, 1); /* see above */
}

/* One of those popped is done. */
static void swept(mo_shard *sh) { mo_sub_rel(&sh->num_sweeping, 1); /* [X] pairs with [W] */ }

static bool has_any(const mo_span_list *l) {
    return mo_load_rlx(&l->first) != 0; /* a glance; the lock decides */
}

uint32_t mo_central_sweep(mo_central *c, uint32_t max) {
    uint32_t num = 0;
    for (int i = 0; i < MO_SHARDS; i++) {
        mo_shard *sh = &c->shard[i];
        while (num < max && has_any(&sh->unswept)) {
            mo_lock_acquire(&sh->lock);
            mo_span *s = pop_unswept_locked(sh);
            if (s) count_sweeping_locked(sh);
            mo_lock_release(&sh->lock);
            if (!s) break;
            sweep_and_place(s);
            swept(sh);
            num++;
        }
    }
    return num;
}

bool mo_slot_is_doomed(const mo_slot *sl) {
    const uint64_t *mark = &mo_span_mark_bits(sl->span)[sl->idx / 64];
    return is_unswept(sl->span) && !(mo_load_rlx(mark) >> (sl->idx % 64) & 1); /* see the header */
}

void mo_span_ensure_swept(mo_span *s) {
    if (MO_LIKELY(!is_unswept(s))) return;
    mo_shard *sh = lock_span(s);
    bool mine = is_unswept(s) && (s->state == MO_SPAN_PARTIAL || s->state == MO_SPAN_FULL);
    if (mine) {
        list_remove(&sh->unswept, s);
        mo_span_set_state(s, MO_SPAN_SWEEPING);
        count_sweeping_locked(sh);
    }
    mo_lock_release(&sh->lock);
    if (mine) {
        sweep_and_place(s);
        swept(sh);
    }
    while (is_unswept(s)) /* another thread is at it */
        mo_futex_wait(&s->sweepgen, mo_load_rlx(&s->sweepgen), SWEEP_POLL_NS); /* only to sleep */
}

void mo_central_await_sweeps(mo_central *c) {
    for (int i = 0; i < MO_SHARDS; i++) {
        mo_shard *sh = &c->shard[i];
        mo_lock_acquire(&sh->lock); /* whoever took a span before has counted it */
        mo_lock_release(&sh->lock);
        uint32_t num;
        while ((num = mo_load_acq(&sh->num_sweeping)) != 0) /* [W] pairs with [X] */
            mo_futex_wait(&sh->num_sweeping, num, SWEEP_POLL_NS);
    }
}

static mo_span *pop_empty_locked(mo_span_list *l) {
    for (uint32_t page = l->first; page != 0; page = mo_map.spans[page].next) {
        mo_span *s = &mo_map.spans[page];
        if (count_used(s) > 0) continue;
        list_remove(l, s);
        return s;
    }
    return NULL;
}

void mo_central_release_empty(mo_central *c) {
    for (int i = 0; i < MO_SHARDS; i++) {
        mo_shard *sh = &c->shard[i];
        for (;;) {
            mo_lock_acquire(&sh->lock);
            mo_span *s = pop_empty_locked(&sh->partial);
            if (!s && c->size_class == 0) s = pop_empty_locked(&sh->full);
            mo_lock_release(&sh->lock);
            if (!s) break;
            mo_heap_put_span(s);
        }
    }
}

void mo_central_after_fork(mo_central *c) {
    for (int i = 0; i < MO_SHARDS; i++) c->shard[i].num_sweeping = 0;
}

void mo_central_begin_sweep(mo_central *c) {
    if (c->kind == MO_KIND_MANUAL) return;
    for (int i = 0; i < MO_SHARDS; i++) {
        mo_shard *sh = &c->shard[i];
        mo_assert(sh->unswept.first == 0,
                  "central: a collection began before the last sweep ended");
        list_join(&sh->unswept, &sh->partial);
        list_join(&sh->unswept, &sh->full);
    }
}

/* ---------------------------------------------------------------- spans for caches */

static mo_span *fresh_span(mo_central *c) {
    const mo_size_class *sc = &mo_size_classes[c->size_class];
    mo_span *s = mo_heap_take_span(sc->pages, 1);
    if (!s) return NULL;
    mo_span_init(s, c, (mo_kind)c->kind, c->size_class, sc->bytes, sc->nelems, c->type, c->type_id);
    return s;
}

/* Lock held, or nobody knows the span. The shard comes last: whoever sees it may take that shard's
 * lock, which is not the one held here, and must find the span owned and in no list. */
static mo_span *own(mo_span *s, mo_cache *owner) {
    mo_span_set_owner(s, owner);
    mo_span_set_state(s, MO_SPAN_CACHED);
    mo_store_rel(&s->shard, owner->shard); /* [O] pairs with [O] in shard_of */
    return s;
}

static void set_used(mo_central *c) {
    if (mo_load_rlx(&c->is_used)) return; /* only ever set; see mo_central_is_used */
    mo_store_rlx(&c->is_used, true);      /* likewise */
}

/* A partial span, or an unswept one that may turn out full, as owner. Lock held. */
static mo_span *pop_locked(mo_shard *sh, mo_cache *owner) {
    mo_span *s = list_pop(&sh->partial);
    if (!s && (s = pop_unswept_locked(sh)) != NULL)
        mo_store_rlx(&owner->is_sweeping, 1); /* published by the lock */
    return s ? own(s, owner) : NULL;
}

/* The marker may hold addresses in a span, and would take what comes after it for what was there.
 */
static bool keeps_empty_spans(void) { return mo_the_heap.is_marking; }

/* Nothing of an empty span is left in lists; the page heap has its own lock. */
static mo_span *give_back_locked(mo_shard *sh, mo_span *old) {
    uint32_t used = count_used(old);
    if (used > 0 || keeps_empty_spans()) {
        place_locked(sh, old, used);
        return NULL;
    }
    mo_span_set_owner(old, NULL);
    return old;
}

/* A span with a free slot from the lists, or NULL; old goes back. *budget unswept spans may be
 * swept in vain: where most of them turn out full, one refill would go through them all, and a stop
 * would wait for it. */
static mo_span *take_from_lists(mo_central *c, mo_cache *owner, mo_span *old, bool *is_whole,
                                uint32_t *budget) {
    for (int i = 0; i < MO_SHARDS; i++) {
        mo_shard *sh = &c->shard[(owner->shard + i) % MO_SHARDS];
        while (old || has_any(&sh->partial) || has_any(&sh->unswept)) {
            mo_lock_acquire(&sh->lock);
            mo_span *empty =
                old ? give_back_locked(sh, old) : NULL; /* old is of this shard: see own */
            mo_span *s = *budget > 0 ? pop_locked(sh, owner) : NULL;
            mo_lock_release(&sh->lock);
            old = NULL;
            if (empty) mo_heap_put_span(empty);
            if (!s) break;
            if (!is_unswept(s)) return s;
            uint32_t num_live = mo_span_sweep(s, NULL, owner);
            mo_store_rel(&owner->is_sweeping, 0); /* [X] pairs with collect.c [W] */
            *is_whole = num_live == 0;
            if (num_live < s->nelems) return s;
            --*budget;
#if MO_MUTANT_stolen_to_wrong_shard
            old = s;
            continue;
#endif
            if (i == 0)
                old = s;
            else
                mo_central_release(s); /* own made it one of our shard's; sh is another */
        }
        if (*budget == 0) return NULL;
    }
    return NULL;
}

/* While it is marked, memory in use is armed (gc/barrier.c): each first store there costs a fault,
 * and may split a huge page. What is free is not; but free memory is not to be used up while slots
 * are freed by hand beside it. */
static bool prefers_fresh(void) {
    mo_heap *h = &mo_the_heap;
    if (MO_LIKELY(!h->is_marking) || mo_load_rlx(&h->fresh_left) <= 0) return false; /* estimate */
    mo_sub_rlx(&h->fresh_left, 1);                                                   /* a count */
    return true;
}

/* At the memory limit what is free in used spans comes first, however long it takes to find. */
static uint32_t sweep_budget(void) {
    mo_heap *h = &mo_the_heap; /* estimates, both */
    return mo_load_rlx(&h->inuse_pages) < mo_load_rlx(&h->limit_pages) ? SWEEP_BUDGET : UINT32_MAX;
}

mo_span *mo_central_take(mo_central *c, mo_cache *owner, mo_span *old, bool *is_whole) {
    uint32_t budget = sweep_budget();
    mo_span *s = NULL;
    *is_whole = false;
    if (prefers_fresh()) {
        if (old) mo_central_release(old);
        old = NULL;
        s = fresh_span(c);
    }
    if (!s && (s = take_from_lists(c, owner, old, is_whole, &budget)) != NULL) return s;
    if (!s) s = fresh_span(c);
    if (!s && budget == 0) { /* memory is short: go through them all */
        budget = UINT32_MAX;
        return take_from_lists(c, owner, NULL, is_whole, &budget);
    }
    if (!s) return NULL;
    set_used(c);
    *is_whole = true;
    return own(s, owner);
}

void mo_central_release(mo_span *s) {
    mo_shard *sh = lock_span(s);
    mo_span *empty = give_back_locked(sh, s);
    mo_lock_release(&sh->lock);
    if (empty) mo_heap_put_span(empty);
}

void mo_central_each_span(mo_central *c, void (*fn)(mo_span *s, void *arg), void *arg) {
    for (int i = 0; i < MO_SHARDS; i++) {
        const uint32_t first[] = {c->shard[i].partial.first, c->shard[i].full.first,
                                  c->shard[i].unswept.first};
        for (size_t k = 0; k < MO_ARRAY_LEN(first); k++)
            for (uint32_t page = first[k]; page != 0; page = mo_map.spans[page].next)
                fn(&mo_map.spans[page], arg);
    }
}

mo_span *mo_central_take_large(mo_kind kind, size_t size, size_t align,
                               const struct mo_type_info *type) {
    size_t pages = (size + MO_PAGE_BYTES - 1) >> MO_PAGE_SHIFT;
    if (pages == 0) pages = 1;
    if (pages > UINT32_MAX / 2) return NULL;
    size_t align_pages = align > MO_PAGE_BYTES ? align >> MO_PAGE_SHIFT : 1;
    mo_central *c = mo_central_of(kind == MO_KIND_TYPED ? MO_KIND_SCAN : kind, 0);
    mo_span *s = mo_heap_take_span((uint32_t)pages, (uint32_t)align_pages);
    if (!s) return NULL;
    mo_unbury(mo_span_start(s), pages << MO_PAGE_SHIFT);
    mo_span_init(s, c, kind, 0, pages << MO_PAGE_SHIFT, 1, type, 0);
    if (s->needs_zero && kind != MO_KIND_NOSCAN) mo_span_hide_words(s);
    mo_store_rlx(mo_span_alloc_bits(s), (uint64_t)1); /* the marker may look: see rescan_span */
    bool is_black =
        kind == MO_KIND_MANUAL || mo_the_heap.is_marking; /* as claims_black in cache.c */
    mo_store_rlx(mo_span_mark_bits(s), ~(uint64_t)(is_black ? 0 : 1)); /* likewise */
    set_used(c);
    mo_lock_acquire(&c->shard[0].lock);
    place_locked(&c->shard[0], s, 1);
    mo_lock_release(&c->shard[0].lock);
    return s;
}

/* Locks the shard of s once no sweep is on its way with it. */
static mo_shard *lock_settled(mo_span *s) {
    for (;;) {
        mo_span_ensure_swept(s);
        mo_shard *sh = lock_span(s);
#if MO_MUTANT_free_shared_unlocked
        mo_lock_release(&sh->lock);
        return sh;
#elif MO_MUTANT_free_shared_unplaced
        return sh;
#endif
        if (s->state != MO_SPAN_SWEEPING) return sh;
        mo_lock_release(&sh->lock); /* swept, but not yet in its list */
        mo_cpu_pause();
    }
}

bool mo_central_free_shared(const mo_slot *sl) {
    mo_span *s = sl->span;
    uint64_t bit = (uint64_t)1 << (sl->idx % 64);
    uint64_t *alloc = &mo_span_alloc_bits(s)[sl->idx / 64],
             *mark = &mo_span_mark_bits(s)[sl->idx / 64];
    mo_shard *sh = lock_settled(s);
    if (!(mo_load_rlx(alloc) & bit)) { /* others that free in this span want the same lock */
        mo_lock_release(&sh->lock);
        return false;
    }
    mo_forget_words(s, sl->base);
    mo_bury(sl->base, s->elem_bytes);
    /* The owner of a cached span claims words meanwhile: exchanges on both sides, and M before A:
     * once A is clear the owner may claim the slot, and then clears M. */
#if MO_MUTANT_free_shared_clears_first
    mo_fetch_and_rel(alloc, ~bit);                             /* [F] too early */
    if (s->kind != MO_KIND_MANUAL) mo_fetch_or_rlx(mark, bit); /* too late */
#elif MO_MUTANT_free_shared_plain_mark
    if (s->kind != MO_KIND_MANUAL) *mark |= bit;
    mo_fetch_and_rel(alloc, ~bit); /* [F] as below */
#elif MO_MUTANT_free_shared_plain_alloc
    if (s->kind != MO_KIND_MANUAL) mo_fetch_or_rlx(mark, bit); /* as below */
    *alloc &= ~bit;
#else
    if (s->kind != MO_KIND_MANUAL) mo_fetch_or_rlx(mark, bit); /* published by the next */
    mo_fetch_and_rel(alloc, ~bit);                             /* [F] pairs with [E] in cache.c */
#endif
    bool is_empty = false;
    if (s->state != MO_SPAN_CACHED) {
        is_empty = count_used(s) == 0 && !keeps_empty_spans();
        if (is_empty || (s->state == MO_SPAN_FULL && s->size_class != 0))
            list_remove(list_of(sh, s), s);
        if (!is_empty && s->state == MO_SPAN_FULL && s->size_class != 0) {
            mo_span_set_state(s, MO_SPAN_PARTIAL);
            list_push(&sh->partial, s);
        }
        s->needs_zero = true;
    }
    mo_lock_release(&sh->lock);
    if (is_empty) mo_heap_put_span(s);
    return true;
}
