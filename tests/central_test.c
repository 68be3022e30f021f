/* central_test.c - central lists and the sweep, on a heap without a collector: the tests set the
 * mark bits themselves. */
#include "support.h"

#include "base/bits.h"
#include "heap/cache.h"
#include "sched/interpose.h"
#include "sys/os_mem.h"

enum { MAX_OBJECTS = 1 << 16 };

/* ---------------------------------------------------------------- a heap of our own */

static mo_cache *cache; /* of the one thread */

static void no_lock(void) {}
static void no_death(mo_span *s) { (void)s; }
static void no_free(mo_span *s, uintptr_t base) { (void)s, (void)base; }

static int heap_begin(void **state) {
    (void)state;
    mo_hooks = (mo_heap_hooks){.specials_lock = no_lock,
                               .specials_unlock = no_lock,
                               .span_dying = no_death,
                               .object_freed = no_free};
    cache = calloc(1, sizeof *cache);
    mo_centrals_init();
    return mo_heap_init();
}

static int heap_end(void **state) {
    (void)state;
    mo_heap_fini();
    free(cache);
    return 0;
}

static mo_central *central_of(mo_kind kind, size_t size) {
    return mo_central_of(kind, mo_size_class_of(size));
}

/* One slot through the cache; NULL if memory is exhausted. */
static void *take(mo_central *central) {
    mo_cache_slot *slot = mo_cache_slot_of(cache, (mo_kind)central->kind, central->size_class);
    uint32_t bytes = mo_size_classes[central->size_class].bytes;
    for (int i = 0; i < 2; i++) {
        if (slot->bump - slot->lim >= bytes) {
            uintptr_t p = slot->bump -= bytes;
            return (void *)p;
        }
        if (slot->mask != 0) {
            uintptr_t p = slot->word_base + mo_ctz64(slot->mask) * (uintptr_t)bytes;
            slot->mask &= slot->mask - 1;
            return (void *)p;
        }
        if (!mo_cache_refill(cache, slot, central)) return NULL;
    }
    return NULL;
}

static mo_slot slot_at(const void *p) {
    mo_slot sl = {0};
    assert_true(mo_find((uintptr_t)p, &sl));
    assert_true(sl.base == (uintptr_t)p);
    return sl;
}

static bool bit_of(const uint64_t *bits, uint32_t idx) { return bits[idx / 64] >> (idx % 64) & 1; }
static bool is_alloc(const void *p) {
    mo_slot sl = slot_at(p);
    return bit_of(mo_span_alloc_bits(sl.span), sl.idx);
}
static void mark(const void *p) {
    mo_slot sl = slot_at(p);
    mo_span_mark_bits(sl.span)[sl.idx / 64] |= (uint64_t)1 << (sl.idx % 64);
}

/* What a collection does to the heap: marks what is in live[], then begins the sweep. */
static void collect(void **live, size_t num) {
    mo_cache_begin_mark(cache);
    for (size_t i = 0; i < num; i++) mark(live[i]);
    mo_the_heap.sweepgen++;
    for (size_t i = 0; i < MO_NUM_CENTRALS; i++) mo_central_begin_sweep(&mo_centrals[i]);
    mo_cache_sweep(cache);
}

static uint32_t sweep_all(void) {
    uint32_t n = 0;
    for (size_t i = 0; i < MO_NUM_CENTRALS; i++) n += mo_central_sweep(&mo_centrals[i], UINT32_MAX);
    return n;
}

/* Walks a list: its links, and that every span is in the state that the list means. */
static uint32_t list_len(const mo_span_list *l, mo_span_state state, const mo_central *c,
                         unsigned shard) {
    uint32_t n = 0, prev = 0;
    for (uint32_t page = l->first; page != 0; page = mo_map.spans[page].next) {
        const mo_span *s = &mo_map.spans[page];
        assert_int_equal(s->prev, prev);
        assert_int_equal(s->shard, shard);
        assert_ptr_equal(s->central, c);
        if (state != MO_SPAN_UNSWEPT) {
            assert_null(s->owner);
            assert_int_equal(s->state, state);
            if (s->kind != MO_KIND_MANUAL) {
                assert_int_equal(s->sweepgen, mo_the_heap.sweepgen);
                mo_span_verify(s);
            }
        }
        prev = page;
        n++;
    }
    assert_int_equal(l->last, prev);
    return n;
}

typedef struct lens {
    uint32_t unswept, partial, full;
} lens;

static lens lens_of(const mo_central *c) {
    lens n = {0, 0, 0};
    for (unsigned i = 0; i < MO_SHARDS; i++) {
        n.unswept += list_len(&c->shard[i].unswept, MO_SPAN_UNSWEPT, c, i);
        n.partial += list_len(&c->shard[i].partial, MO_SPAN_PARTIAL, c, i);
        n.full += list_len(&c->shard[i].full, MO_SPAN_FULL, c, i);
    }
    return n;
}

static void expect_lists(const mo_central *c, uint32_t unswept, uint32_t partial, uint32_t full) {
    lens n = lens_of(c);
    assert_int_equal(n.unswept, unswept);
    assert_int_equal(n.partial, partial);
    assert_int_equal(n.full, full);
}

/* num spans of central, all slots taken; returns all slots, by address within a span. */
static size_t fill_spans(mo_central *central, uint32_t num, void **out) {
    size_t n = (size_t)num * mo_size_classes[central->size_class].nelems;
    assert_true(n <= MAX_OBJECTS);
    for (size_t i = 0; i < n; i++) {
        out[i] = take(central);
        assert_non_null(out[i]);
    }
    mo_cache_flush(cache);
    return n;
}

static bool free_slot(const void *p) {
    mo_slot sl = slot_at(p);
    return mo_central_free_shared(&sl);
}

static void *objects[MAX_OBJECTS];

/* ---------------------------------------------------------------- spans */

static void a_released_span_goes_where_its_slots_say(void **state) {
    (void)state;
    mo_central *c = central_of(MO_KIND_SCAN, 64);
    uint64_t inuse = mo_the_heap.inuse_pages;
    void *p = take(c);
    mo_span *s = slot_at(p).span;
    assert_int_equal(s->state, MO_SPAN_CACHED);
    assert_ptr_equal(s->owner, cache);
    expect_lists(c, 0, 0, 0);
    mo_cache_flush(cache);
    expect_lists(c, 0, 1, 0); /* one slot of it in use */
    assert_true(free_slot(p));
    expect_lists(c, 0, 0, 0); /* none: back to the page heap */
    assert_int_equal(mo_the_heap.inuse_pages, inuse);
    fill_spans(c, 3, objects);
    expect_lists(c, 0, 0, 3);
    mo_page_alloc_verify(&mo_the_heap.pages);
}

static void freeing_moves_a_span_from_full_to_partial_to_the_page_heap(void **state) {
    (void)state;
    mo_central *c = central_of(MO_KIND_NOSCAN, 1024);
    uint64_t inuse = mo_the_heap.inuse_pages;
    size_t n = fill_spans(c, 3, objects), per_span = n / 3;
    mo_span *middle = slot_at(objects[per_span]).span;
    expect_lists(c, 0, 0, 3);
    for (size_t i = per_span; i < 2 * per_span; i++) {
        assert_true(free_slot(objects[i]));
        assert_false(i + 1 < 2 * per_span && free_slot(objects[i])); /* a second time */
        if (i + 1 < 2 * per_span) {
            assert_int_equal(middle->state, MO_SPAN_PARTIAL);
            expect_lists(c, 0, 1, 2);
        }
    }
    expect_lists(c, 0, 0, 2);
    assert_int_equal(mo_the_heap.inuse_pages, inuse + 2);
}

static void partial_spans_are_used_before_fresh_ones(void **state) {
    (void)state;
    mo_central *c = central_of(MO_KIND_SCAN, 128);
    size_t n = fill_spans(c, 2, objects);
    uint64_t inuse = mo_the_heap.inuse_pages;
    for (size_t i = 0; i < n; i += 3) assert_true(free_slot(objects[i]));
    expect_lists(c, 0, 2, 0);
    for (size_t i = 0; i < n; i += 3) {
        void *p = take(c);
        size_t k = 0;
        while (k < n && objects[k] != p) k += 3;
        assert_true(k < n); /* one of the freed ones, each once */
        objects[k] = NULL;
    }
    assert_int_equal(mo_the_heap.inuse_pages, inuse);
}

/* ---------------------------------------------------------------- sweep */

static void a_sweep_keeps_what_is_marked_and_nothing_else(void **state) {
    (void)state;
    mo_rand r;
    mo_rand_seed(&r, test_seed("sweep", 0));
    for (int round = 0; round < 30; round++) {
        static void *live[MAX_OBJECTS];
        static bool is_live[MAX_OBJECTS];
        size_t num_live = 0;
        uint64_t sizes[] = {16, 48, 64, 256, 1024, 5000, 16000};
        mo_central *c = central_of(round % 2 ? MO_KIND_SCAN : MO_KIND_NOSCAN,
                                   sizes[mo_rand_below(&r, MO_ARRAY_LEN(sizes))]);
        size_t n = 1 + mo_rand_below(&r, 8 * mo_size_classes[c->size_class].nelems);
        for (size_t i = 0; i < n; i++) objects[i] = take(c);
        uint64_t in_100 = mo_rand_below(&r, 101);
        for (size_t i = 0; i < n; i++) {
            is_live[i] = mo_rand_below(&r, 100) < in_100;
            if (is_live[i]) live[num_live++] = objects[i];
        }
        uint64_t swept = mo_the_heap.swept_objects + cache->freed_objects;
        collect(live, num_live);
        sweep_all();
        assert_int_equal(mo_the_heap.swept_objects + cache->freed_objects - swept, n - num_live);
        for (size_t i = 0; i < n; i++) {
            mo_slot sl;
            /* A dead one's span may be gone altogether; claimed slots stay allocated. */
            if (is_live[i])
                assert_true(is_alloc(objects[i]));
            else if (mo_find((uintptr_t)objects[i], &sl))
                assert_false(is_alloc(objects[i]));
        }
        mo_cache_flush(cache);
        lens left = lens_of(c);
        assert_int_equal(left.unswept, 0);
        assert_true((left.partial + left.full > 0) == (num_live > 0));
        for (size_t i = 0; i < num_live; i++) assert_true(free_slot(live[i]));
        expect_lists(c, 0, 0, 0);
        mo_page_alloc_verify(&mo_the_heap.pages);
    }
}

/* Claimed slots have no object, but they are not free either: a sweep must leave them. */
static void a_sweep_leaves_claimed_slots_to_their_cache(void **state) {
    (void)state;
    mo_central *c = central_of(MO_KIND_SCAN, 16);
    void *top = take(c); /* 511 more are claimed, below it */
    char *first = (char *)top - 511 * 16;
    collect(&top, 1);
    sweep_all();
    for (int i = 510; i >= 0; i--) {
        void *p = take(c);
        assert_ptr_equal(p, first + i * 16);
        assert_true(is_alloc(p));
    }
    /* The same in bitmap mode. */
    mo_cache_flush(cache);
    for (int i = 0; i < 512; i += 2) assert_true(free_slot(first + i * 16));
    void *again = take(c);
    assert_ptr_equal(again, first);
    collect(&again, 1);
    sweep_all();
    for (int i = 2; i < 64; i += 2) assert_ptr_equal(take(c), first + i * 16);
    /* Behind the claimed word the sweep has freed all: also what was in odd places. */
    assert_ptr_equal(take(c), first + 64 * 16);
    assert_ptr_equal(take(c), first + 65 * 16);
}

static void partial_and_full_spans_all_become_unswept(void **state) {
    (void)state;
    mo_central *c = central_of(MO_KIND_SCAN, 512);
    size_t n = fill_spans(c, 12, objects), per_span = n / 12;
    for (size_t k = 0; k < 5; k++) assert_true(free_slot(objects[k * per_span]));
    expect_lists(c, 0, 5, 7);
    collect(objects + 1, 1); /* the first span has one live object, the others none */
    expect_lists(c, 12, 0, 0);
    assert_int_equal(mo_central_sweep(c, 4), 4);
    assert_int_equal(lens_of(c).unswept, 8);
    assert_int_equal(mo_central_sweep(c, UINT32_MAX), 8);
    expect_lists(c, 0, 1, 0);
    assert_int_equal(mo_central_sweep(c, UINT32_MAX), 0);
    assert_true(is_alloc(objects[1]));
}

static void uncollectable_spans_are_never_swept(void **state) {
    (void)state;
    mo_central *c = central_of(MO_KIND_MANUAL, 512);
    size_t n = fill_spans(c, 2, objects);
    assert_true(free_slot(objects[0]));
    collect(NULL, 0);
    expect_lists(c, 0, 1, 1);
    assert_int_equal(sweep_all(), 0);
    for (size_t i = 1; i < n; i++) assert_true(is_alloc(objects[i]));
}

static void refilling_sweeps_before_it_asks_for_pages(void **state) {
    (void)state;
    mo_central *c = central_of(MO_KIND_SCAN, 256);
    size_t n = fill_spans(c, 6, objects);
    uint64_t inuse = mo_the_heap.inuse_pages;
    collect(objects + n - 1, 1);
    for (size_t i = 0; i < n - 1; i++) assert_non_null(take(c));
    assert_true(mo_the_heap.inuse_pages <= inuse);
    assert_non_null(take(c));
    assert_int_equal(mo_the_heap.inuse_pages, inuse + 1);
}

static void freeing_in_an_unswept_span_sweeps_it_first(void **state) {
    (void)state;
    mo_central *c = central_of(MO_KIND_SCAN, 32);
    fill_spans(c, 2, objects);
    void *live[] = {objects[3], objects[4]};
    collect(live, 2);
    assert_true(free_slot(objects[3]));
    assert_false(free_slot(objects[3]));
    assert_false(free_slot(objects[5])); /* died in the sweep */
    assert_true(is_alloc(objects[4]));
    expect_lists(c, 1, 1, 0);
    assert_true(free_slot(objects[4]));
    expect_lists(c, 1, 0, 0);
}

/* ---------------------------------------------------------------- sweep and specials */

static struct {
    mo_span *span;
    bool is_locked;
    int num_dying, num_locks;
    bool gen_was_current; /* when objects died */
    bool bits_were_old;   /* likewise */
    bool gen_is_current;  /* when the lock was given back */
    void *victim[2];      /* what another thread frees at that moment */
    pthread_t thread[2];
    bool has_thread[2];
    uint32_t num_freed;
} seen;

static void seen_lock(void) {
    seen.is_locked = true;
    seen.num_locks++;
}
static void seen_dying(mo_span *s) {
    seen.num_dying++;
    seen.span = s;
    seen.gen_was_current = s->sweepgen == mo_the_heap.sweepgen;
    seen.bits_were_old = mo_span_alloc_bits(s)[0] == mo_low_mask(s->nelems);
}

static void *free_victim(void *victim) {
    mo_slot sl;
    if (mo_find((uintptr_t)victim, &sl) && mo_central_free_shared(&sl))
        __atomic_add_fetch(&seen.num_freed, 1, __ATOMIC_RELEASE);
    return NULL;
}

/* The span counts as swept here, but is in no list yet. Another thread frees an object of it: it
 * may do so at once, or wait until the span is placed; so it gets a moment, not more. */
static void seen_unlock(void) {
    enum { MOMENT_NS = 3000000 };
    seen.is_locked = false;
    if (!seen.span) return;
    seen.gen_is_current = seen.span->sweepgen == mo_the_heap.sweepgen;
    for (size_t i = 0; i < MO_ARRAY_LEN(seen.victim); i++) {
        mo_slot sl;
        if (!seen.victim[i] || !mo_find((uintptr_t)seen.victim[i], &sl) || sl.span != seen.span)
            continue;
        uint32_t before = __atomic_load_n(&seen.num_freed, __ATOMIC_ACQUIRE);
        seen.has_thread[i] =
            mo_real_pthread_create(&seen.thread[i], NULL, free_victim, seen.victim[i]) == 0;
        uint64_t end = mo_clock_ns() + MOMENT_NS;
        while (__atomic_load_n(&seen.num_freed, __ATOMIC_ACQUIRE) == before && mo_clock_ns() < end)
            sched_yield();
    }
    seen.span = NULL;
}

static uint32_t num_freed_by_others(void) {
    for (size_t i = 0; i < MO_ARRAY_LEN(seen.victim); i++) {
        if (seen.has_thread[i]) pthread_join(seen.thread[i], NULL);
        seen.has_thread[i] = false;
    }
    return seen.num_freed;
}

static void watch_specials(void) {
    memset(&seen, 0, sizeof seen);
    mo_hooks.specials_lock = seen_lock;
    mo_hooks.specials_unlock = seen_unlock;
    mo_hooks.span_dying = seen_dying;
}

static void objects_with_specials_die_before_the_span_counts_as_swept(void **state) {
    (void)state;
    watch_specials();
    mo_central *c = central_of(MO_KIND_SCAN, 256);
    fill_spans(c, 1, objects);
    slot_at(objects[0]).span->specials = &seen;
    collect(objects + 1, 1);
    assert_int_equal(sweep_all(), 1);
    assert_int_equal(seen.num_dying, 1);
    assert_int_equal(seen.num_locks, 1);
    assert_false(seen.is_locked);
    assert_false(seen.gen_was_current);
    assert_true(seen.bits_were_old);
    assert_true(seen.gen_is_current);
}

static void an_object_freed_while_its_span_is_being_placed(void **state) {
    (void)state;
    watch_specials();
    mo_central *c = central_of(MO_KIND_SCAN, 256);
    size_t n = fill_spans(c, 4, objects), per_span = n / 4;
    void *live[] = {objects[0], objects[1], objects[per_span], objects[2 * per_span],
                    objects[3 * per_span]};
    slot_at(objects[0]).span->specials = &seen;
    collect(live, 5);
    seen.victim[0] = objects[0];
    assert_int_equal(sweep_all(), 4);
    assert_int_equal(num_freed_by_others(), 1);
    assert_false(is_alloc(objects[0]));
    assert_true(is_alloc(objects[1]));
    expect_lists(c, 0, 4, 0);
}

static void the_last_object_freed_while_its_span_is_being_placed(void **state) {
    (void)state;
    watch_specials();
    mo_central *c = central_of(MO_KIND_SCAN, 256);
    size_t n = fill_spans(c, 4, objects), per_span = n / 4;
    void *live[] = {objects[0], objects[per_span], objects[2 * per_span], objects[3 * per_span]};
    uint64_t inuse = mo_the_heap.inuse_pages;
    slot_at(objects[0]).span->specials = &seen;
    collect(live, 4);
    seen.victim[0] = objects[0];
    assert_int_equal(sweep_all(), 4);
    assert_int_equal(num_freed_by_others(), 1);
    expect_lists(c, 0, 3, 0);
    assert_int_equal(mo_the_heap.inuse_pages, inuse - 1);
    mo_page_alloc_verify(&mo_the_heap.pages);
}

static void an_object_of_a_full_span_freed_while_it_is_being_placed(void **state) {
    (void)state;
    watch_specials();
    mo_central *c = central_of(MO_KIND_SCAN, 256);
    size_t n = fill_spans(c, 1, objects);
    slot_at(objects[0]).span->specials = &seen;
    collect(objects, n);
    seen.victim[0] = objects[5];
    assert_int_equal(sweep_all(), 1);
    assert_int_equal(num_freed_by_others(), 1);
    expect_lists(c, 0, 1, 0); /* it has a free slot, so it must not be lost among the full ones */
    assert_ptr_equal(take(c), objects[5]);
}

static void an_object_freed_while_a_cache_takes_its_span(void **state) {
    (void)state;
    watch_specials();
    mo_central *c = central_of(MO_KIND_SCAN, 256);
    size_t n = fill_spans(c, 2, objects);
    slot_at(objects[0]).span->specials = &seen;
    slot_at(objects[n - 1]).span->specials = &seen;
    void *live[] = {objects[0], objects[1], objects[n - 1], objects[n - 2]};
    collect(live, 4);
    seen.victim[0] = objects[0];
    seen.victim[1] = objects[n - 1];
    void *p = take(c);
    assert_non_null(p);
    assert_int_equal(num_freed_by_others(), 1); /* of the span taken */
    mo_cache_flush(cache);
    sweep_all();
    assert_int_equal(num_freed_by_others(), 2); /* and of the other */
    for (uint32_t page = 1; page < mo_the_heap.pages.num_pages; page++)
        if (mo_map.info[page] != 0) assert_int_not_equal(mo_map.spans[page].state, MO_SPAN_FREE);
    assert_true(is_alloc(objects[1]) && is_alloc(objects[n - 2]) && is_alloc(p));
    expect_lists(c, 0, 2, 0);
    mo_page_alloc_verify(&mo_the_heap.pages);
}

/* ---------------------------------------------------------------- shards */

/* The first cache's spans are taken by another cache, which has a shard of its own. */
static void a_cache_steals_from_other_shards(void **state) {
    (void)state;
    mo_cache *first = cache;
    mo_central *c = central_of(MO_KIND_SCAN, 1024);
    size_t n = fill_spans(c, 3, objects);
    for (size_t i = 0; i < n; i += 2) assert_true(free_slot(objects[i]));
    cache = calloc(1, sizeof *cache);
    cache->shard = 3;
    uint64_t inuse = mo_the_heap.inuse_pages;
    for (size_t i = 0; i < n; i += 2) assert_non_null(take(c));
    assert_int_equal(mo_the_heap.inuse_pages, inuse);
    mo_cache_flush(cache);
    expect_lists(c, 0, 0, 3);
    for (size_t i = 0; i < n; i++) assert_true(free_slot(objects[i]));
    expect_lists(c, 0, 0, 0);
    free(cache);
    cache = first;
}

/* Spans that turn out full when they are swept go back to a list; to one of their own shard. */
static void stolen_spans_that_are_full_stay_in_lists_of_their_shard(void **state) {
    (void)state;
    mo_cache *first = cache;
    mo_central *c = central_of(MO_KIND_SCAN, 1024);
    enum { FULL = 3 }; /* no more than one refill sweeps in vain */
    size_t n = fill_spans(c, FULL, objects);
    cache = calloc(1, sizeof *cache);
    cache->shard = 3;
    collect(objects, n); /* all of them live */
    uint64_t inuse = mo_the_heap.inuse_pages;
    void *p = take(c);
    assert_non_null(p);
    assert_int_equal(mo_the_heap.inuse_pages, inuse + 1);
    expect_lists(c, 0, 0, FULL);
    mo_cache_flush(cache);
    for (size_t i = 0; i < n; i += 3) assert_true(free_slot(objects[i]));
    expect_lists(c, 0, FULL + 1, 0);
    free(cache);
    cache = first;
}

/* Where all unswept spans turn out full, a refill gives up in time and takes a fresh one. */
static void a_refill_sweeps_a_bounded_number_of_full_spans(void **state) {
    (void)state;
    enum { SPANS = 250 };
    mo_central *c = central_of(MO_KIND_SCAN, 2048);
    static void *live[SPANS * 64];
    size_t n = fill_spans(c, SPANS, live);
    assert_in_range(n, SPANS, SPANS * 64);
    collect(live, n);
    void *fresh = take(c);
    assert_non_null(fresh);
    lens left = lens_of(c);
    assert_in_range(left.unswept, SPANS / 2, SPANS - 1);
    mo_cache_flush(cache);
    sweep_all();
    assert_true(free_slot(fresh));
    for (size_t i = 0; i < n; i++) assert_true(free_slot(live[i]));
    expect_lists(c, 0, 0, 0);
}

/* ---------------------------------------------------------------- large objects */

static void large_objects_come_and_go_with_their_pages(void **state) {
    (void)state;
    mo_central *c = mo_central_of(MO_KIND_NOSCAN, 0);
    uint64_t inuse = mo_the_heap.inuse_pages;
    mo_span *a = mo_central_take_large(MO_KIND_NOSCAN, 100000, 1, NULL);
    mo_span *b = mo_central_take_large(MO_KIND_NOSCAN, 1, 1, NULL);
    assert_int_equal(a->num_pages, 13);
    assert_int_equal(a->elem_bytes, 13 << MO_PAGE_SHIFT);
    assert_int_equal(b->num_pages, 1);
    expect_lists(c, 0, 0, 2);
    assert_int_equal(mo_the_heap.inuse_pages, inuse + 14);
    void *pa = (void *)mo_span_start(a), *pb = (void *)mo_span_start(b);
    assert_true(is_alloc(pa) && is_alloc(pb));
    collect(&pb, 1);
    expect_lists(c, 2, 0, 0);
    sweep_all();
    expect_lists(c, 0, 0, 1);
    assert_true(is_alloc(pb));
    assert_true(free_slot(pb));
    expect_lists(c, 0, 0, 0);
    assert_int_equal(mo_the_heap.inuse_pages, inuse);
}

static void large_objects_are_aligned_as_asked(void **state) {
    (void)state;
    for (size_t align = MO_PAGE_BYTES; align <= MO_MAX_ALIGN_BYTES; align *= 2) {
        mo_span *s = mo_central_take_large(MO_KIND_SCAN, 3 * MO_PAGE_BYTES, align, NULL);
        assert_non_null(s);
        assert_int_equal(mo_span_start(s) % align, 0);
    }
    mo_page_alloc_verify(&mo_the_heap.pages);
}

static void sizes_beyond_the_reservation_are_refused(void **state) {
    (void)state;
    mo_span *s = mo_central_take_large(MO_KIND_SCAN, 100, 1, NULL);
    uint32_t pages = mo_the_heap.pages.num_pages;
    assert_non_null(s);
    assert_null(mo_central_take_large(MO_KIND_SCAN, mo_the_heap.reserved_bytes, 1, NULL));
    assert_null(mo_central_take_large(MO_KIND_SCAN, SIZE_MAX / 2, 1, NULL));
    assert_null(mo_central_take_large(MO_KIND_SCAN, SIZE_MAX - MO_PAGE_BYTES, 1, NULL));
    assert_int_equal(mo_the_heap.pages.num_pages, pages);
    mo_page_alloc_verify(&mo_the_heap.pages);
}

/* ---------------------------------------------------------------- exhaustion */

/* The n-th call to the system fails, for every n until one run meets no failure. */
static void growth_refused_at_any_call_leaves_the_heap_whole(void **state) {
    (void)state;
    mo_central *c = central_of(MO_KIND_SCAN, 64);
    bool all_done = false;
    uint64_t refused = 0;
    for (uint64_t n = 1; !all_done; n++) {
        heap_end(state);
        assert_int_equal(heap_begin(state), 0);
        mo_os_fault_at(n);
        void *p = take(c);
        all_done = mo_os_fault_count() < n;
        mo_os_fault_at(0);
        if (!p) {
            refused++;
            assert_int_equal(mo_the_heap.inuse_pages, 0);
            expect_lists(c, 0, 0, 0);
            p = take(c);
        }
        assert_non_null(p);
        assert_true(is_alloc(p));
        mo_page_alloc_verify(&mo_the_heap.pages);
        /* Also the second arena: the first is used up by a large object. */
        size_t most = (mo_the_heap.pages.num_free - 1) << MO_PAGE_SHIFT;
        assert_non_null(mo_central_take_large(MO_KIND_NOSCAN, most, 1, NULL));
        mo_os_fault_at(n);
        mo_span *s = mo_central_take_large(MO_KIND_NOSCAN, MO_ARENA_BYTES / 2, 1, NULL);
        all_done = all_done && mo_os_fault_count() < n;
        mo_os_fault_at(0);
        if (!s) {
            refused++;
            s = mo_central_take_large(MO_KIND_NOSCAN, MO_ARENA_BYTES / 2, 1, NULL);
        }
        assert_non_null(s);
        mo_page_alloc_verify(&mo_the_heap.pages);
        assert_true(n < 1000);
    }
    assert_true(refused >= 10); /* the tables and the arena itself, twice */
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, heap_begin, heap_end)
    const struct CMUnitTest tests[] = {
        TEST(a_released_span_goes_where_its_slots_say),
        TEST(freeing_moves_a_span_from_full_to_partial_to_the_page_heap),
        TEST(partial_spans_are_used_before_fresh_ones),
        TEST(a_sweep_keeps_what_is_marked_and_nothing_else),
        TEST(a_sweep_leaves_claimed_slots_to_their_cache),
        TEST(partial_and_full_spans_all_become_unswept),
        TEST(uncollectable_spans_are_never_swept),
        TEST(refilling_sweeps_before_it_asks_for_pages),
        TEST(freeing_in_an_unswept_span_sweeps_it_first),
        TEST(objects_with_specials_die_before_the_span_counts_as_swept),
        TEST(an_object_freed_while_its_span_is_being_placed),
        TEST(the_last_object_freed_while_its_span_is_being_placed),
        TEST(an_object_of_a_full_span_freed_while_it_is_being_placed),
        TEST(an_object_freed_while_a_cache_takes_its_span),
        TEST(a_cache_steals_from_other_shards),
        TEST(stolen_spans_that_are_full_stay_in_lists_of_their_shard),
        TEST(a_refill_sweeps_a_bounded_number_of_full_spans),
        TEST(large_objects_come_and_go_with_their_pages),
        TEST(large_objects_are_aligned_as_asked),
        TEST(sizes_beyond_the_reservation_are_refused),
        TEST(growth_refused_at_any_call_leaves_the_heap_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
