/* malloc.c - allocation beyond the fast path.
 *
 *   cached slot   bitmap mode, or bump mode of larger classes: still without entering the runtime
 *   refill        enters the runtime; collects first if the trigger was reached
 *   large         above 32 KiB: a span of its own, zeroed after leaving the runtime, so that a
 *                 thread clearing a gigabyte can be stopped
 *
 * When memory is exhausted: a full collection, then once more; then NULL.
 *
 * Floor   gc.
 */
#include "gc/malloc.h"

#include <string.h>

#include "base/rand.h"
#include "gc/start.h"
#include "sched/registry.h"
#include "sys/os_mem.h"
#include "sys/stream.h"

MO_INLINE size_t class_bytes(unsigned sc) { return mo_size_classes[sc].bytes; }

/* Takes a slot that the cache has claimed; NULL if it has none. */
MO_INLINE void *take_claimed(mo_cache_slot *slot, unsigned sc) {
    size_t bytes = class_bytes(sc);
    uintptr_t p = slot->bump - bytes;
    if (slot->bump - slot->lim >= bytes) {
        mo_store_rlx(&slot->bump, p); /* as in mo_malloc */
        if (slot->zero_each) memset((void *)p, 0, bytes);
        return (void *)p;
    }
    uint64_t mask = slot->mask;
    if (mask == 0) return NULL;
    p = slot->word_base + mo_ctz64(mask) * bytes;
    __asm__ volatile("" : "+r"(p)); /* in a register before the slot counts as handed out */
    mo_store_rlx(&slot->mask, mask & (mask - 1)); /* as in mo_malloc */
    return memset((void *)p, 0, bytes);
}

static void stress(mo_thread *t) {
    mo_gc *gc = &mo_the_gc;
    uint64_t count = mo_add_rlx(&gc->stress_count, 1); /* a count */
    if (gc->debug.seed) { /* one in N, by a choice that the seed repeats */
        mo_rand r;
        mo_rand_seed(&r, gc->debug.seed + count);
        mo_rand_next(&r);
        count = mo_rand_next(&r) >> 11;
    }
    if (count % gc->debug.stress == 0) mo_gc_collect(t, MO_GC_HEAP); /* a count */
}

/* With gcstress every allocation passes through here: a refill claims one slot only. */
static MO_NOINLINE void *refill(mo_thread *t, mo_cache_slot *slot, mo_central *central) {
    unsigned sc = central->size_class;
    void *p = NULL;
    mo_thread_publish_here(t);
    mo_runtime_enter(t);
    if (MO_UNLIKELY(mo_the_gc.debug.stress))
        stress(t);
    else
        mo_gc_poll(t, 0);
    for (int attempt = 0; !p && attempt < 3; attempt++) {
        if (mo_cache_refill(&t->cache, slot, central))
            p = take_claimed(slot, sc);
        else if (attempt < 2)
            mo_gc_collect(t, MO_GC_MEMORY);
    }
    mo_runtime_leave(t);
    return p;
}

/* The first `filled` bytes need not be zeroed; 0 unless noscan. */
static MO_NOINLINE void *malloc_large(mo_thread *t, size_t size, size_t align, mo_kind kind,
                                      const mo_type_info *type, size_t filled) {
    mo_span *s = NULL;
    bool needs_zero = false;
    if (size > mo_the_heap.reserved_bytes)
        return NULL; /* no collection helps; sums below may wrap */
#if !MO_MUTANT_large_stale_stack
    mo_thread_publish_here(t);
#endif
    mo_runtime_enter(t);
    if (MO_UNLIKELY(mo_the_gc.debug.stress)) stress(t);
    /* The object counts before it exists: a burst of large ones must not outrun the trigger. */
    t->cache.live_delta += (int64_t)mo_align_up(size, MO_PAGE_BYTES);
    mo_cache_publish_live(&t->cache);
    mo_gc_poll(t, size);
    mo_gc_sweep_for(size);
    for (int attempt = 0; !s && attempt < 3; attempt++) {
        s = mo_central_take_large(kind, size, align, type);
        if (!s && attempt < 2) mo_gc_collect(t, MO_GC_MEMORY);
    }
    void *p = NULL;
    if (s) {
        p = (void *)mo_span_start(s);
        needs_zero = s->needs_zero;
        mo_add_owned_rlx(&t->cache.claimed_objects, 1);           /* statistics */
        mo_add_owned_rlx(&t->cache.claimed_bytes, s->elem_bytes); /* statistics */
    }
    mo_runtime_leave(t);
    if (needs_zero && filled > 0)
        mo_clear((char *)p + filled, mo_align_up(size, MO_PAGE_BYTES) - filled);
    else if (needs_zero)
        mo_span_clear_words(s, mo_align_up(size, MO_PAGE_BYTES));
    return p;
}

MO_INLINE void *malloc_class(mo_thread *t, mo_kind kind, unsigned sc) {
    mo_cache_slot *slot = mo_cache_slot_of(&t->cache, kind, sc);
    void *p = take_claimed(slot, sc);
    return MO_LIKELY(p != NULL) ? p : refill(t, slot, mo_central_of(kind, sc));
}

void *mo_malloc_slow(size_t size, mo_kind kind) {
    mo_thread *t = mo_start_current();
    if (MO_UNLIKELY(size > MO_MAX_SMALL_BYTES)) return malloc_large(t, size, 1, kind, NULL, 0);
    return malloc_class(t, kind, mo_size_class_of(size));
}

void *mo_malloc_text(void) {
    return malloc_class(mo_start_current(), MO_KIND_NOSCAN, MO_TEXT_CLASS);
}

void *mo_malloc_slack(size_t size, mo_kind kind, size_t filled) {
    if (size <= MO_MAX_SMALL_BYTES) return mo_malloc(size, kind);
    if (kind != MO_KIND_NOSCAN) filled = 0;
    void *p = malloc_large(mo_start_current(), size + 1, 1, kind, NULL, filled);
    mo_slot sl;
    /* A marker that does not see it yet keeps a neighbour for a cycle. */
    if (p && mo_find((uintptr_t)p, &sl))
        mo_store_rlx(&sl.span->slack, MO_SLACK_BYTE); /* see above */
    return p;
}

void mo_malloc_may_extend(const mo_slot *sl, bool may) {
    /* Whoever extends it asks again under the heap lock only for its size: who takes the right away
     * shares the object with somebody whose append is a race with his own. */
    mo_store_rlx(&sl->span->slack, may ? MO_SLACK_GROWS : MO_SLACK_BYTE);
}

/* The pages are cleared where they are in no span yet, so that the marker never sees what was in
 * them, and the thread can be stopped meanwhile. */
bool mo_malloc_extend(mo_span *s, size_t more, size_t had_bytes) {
    mo_thread *t = mo_start_current();
    if (more > mo_the_heap.reserved_bytes) return false; /* sums below may wrap */
    uint32_t num_pages = (uint32_t)(more >> MO_PAGE_SHIFT);
    uintptr_t behind = mo_span_start(s) + had_bytes;
    bool is_zero = false;
    mo_thread_publish_here(t);
    mo_runtime_enter(t);
    if (MO_UNLIKELY(mo_the_gc.debug.stress)) stress(t);
    mo_gc_poll(t, more);
    bool ok = mo_heap_take_behind(s, num_pages, had_bytes, &is_zero);
    mo_runtime_leave(t);
    if (!ok) return false;
    mo_unbury(behind, more);
    if (!is_zero) mo_clear((void *)behind, more);
    mo_runtime_enter(t);
    mo_span_ensure_swept(s); /* a sweep counts what it finds by its size */
    ok = mo_heap_extend_span(s, num_pages, had_bytes);
    if (ok) {
        t->cache.live_delta += (int64_t)more;
        mo_cache_publish_live(&t->cache);
        mo_add_owned_rlx(&t->cache.claimed_bytes, more); /* statistics */
    }
    mo_runtime_leave(t);
    return ok;
}

/* The cache's slot for a type; NULL if memory is exhausted. */
static mo_cache_slot *typed_slot(mo_thread *t, uint32_t id) {
    mo_cache *c = &t->cache;
    if (MO_UNLIKELY(!c->typed)) {
        mo_cache_slot *slots = mo_os_map(mo_typed_slots_bytes(), "mound typed slots");
        if (!slots) return NULL;
        c->typed = slots;
    }
    if (MO_UNLIKELY(id >= c->num_typed)) {
        /* The collector reads the array of a stopped thread, statistics that of a running one: the
         * array is there and new slots are zero before they count. */
        mo_store_rel(&c->num_typed, id + 1); /* [Y] pairs with [Y] in cache.c */
    }
    return &c->typed[id];
}

static void *take_or_refill(mo_thread *t, mo_cache_slot *slot, mo_central *central) {
    void *p = take_claimed(slot, central->size_class);
    if (!p && mo_cache_refill(&t->cache, slot, central))
        p = take_claimed(slot, central->size_class);
    return p;
}

void *mo_malloc_in_runtime(mo_thread *t, size_t size, mo_kind kind) {
    unsigned sc = mo_size_class_of(size);
    return take_or_refill(t, mo_cache_slot_of(&t->cache, kind, sc), mo_central_of(kind, sc));
}

void *mo_malloc_typed_in_runtime(mo_thread *t, const mo_type_info *type) {
    mo_cache_slot *slot = type ? typed_slot(t, type->central.type_id) : NULL;
    return slot ? take_or_refill(t, slot, (mo_central *)&type->central) : NULL;
}

void *mo_malloc_typed(const mo_type_info *type, size_t num) {
    size_t bytes = type->bytes * num;
    if (type->num_ptrs == 0) return mo_malloc(bytes, MO_KIND_NOSCAN);
    if (bytes > MO_MAX_SMALL_BYTES)
        return malloc_large(mo_start_current(), bytes, 1, MO_KIND_TYPED, type, 0);
    if (num != 1) return mo_malloc(bytes, MO_KIND_SCAN);
    mo_thread *t = mo_start_current();
    mo_cache_slot *slot = typed_slot(t, type->central.type_id);
    if (!slot) return mo_malloc(bytes, MO_KIND_SCAN);
    void *p = take_claimed(slot, type->central.size_class);
    return MO_LIKELY(p != NULL) ? p : refill(t, slot, (mo_central *)&type->central);
}

void *mo_malloc_aligned(size_t align, size_t size) {
    if (align <= 16) return mo_malloc(size, MO_KIND_SCAN);
    if (size < align && align <= MO_MAX_SMALL_BYTES / 2) size = align;
    /* Slots of a power of two are aligned to it as far as the span is: up to a page. */
    if (size <= MO_MAX_SMALL_BYTES) {
        size_t pow2 = align;
        while (pow2 < size) pow2 *= 2;
        if (align <= MO_PAGE_BYTES && pow2 <= MO_MAX_SMALL_BYTES &&
            class_bytes(mo_size_class_of(pow2)) == pow2)
            return mo_malloc(pow2, MO_KIND_SCAN);
    }
    return malloc_large(mo_start_current(), mo_max(size, 1), align, MO_KIND_SCAN, NULL, 0);
}
