/* cache_test.c - what a thread allocates from, frees by the owner and by others, and double frees
 * in every state that a span can be in. */
#include "support.h"

#include "base/bits.h"
#include "gc/start.h"
#include "mound.h"
#include "sched/thread.h"

static uint64_t baseline_pages;

static mo_cache *own_cache(void) { return &mo_self->cache; }

static void flush(void) {
    mo_runtime_enter(mo_self);
    mo_cache_flush(own_cache());
    mo_runtime_leave(mo_self);
}

static bool try_free(void *p) {
    mo_slot sl = {0};
    assert_true(mo_find((uintptr_t)p, &sl));
    assert_true(sl.base == (uintptr_t)p);
    mo_runtime_enter(mo_self);
    bool ok = mo_cache_free(own_cache(), &sl, false) == MO_FREE_OK;
    mo_runtime_leave(mo_self);
    return ok;
}

static mo_span *span_of(void *p) {
    mo_slot sl = {0};
    assert_true(mo_find((uintptr_t)p, &sl));
    return sl.span;
}

static const mo_cache_slot *slot_for(size_t size) {
    return mo_cache_slot_of(own_cache(), MO_KIND_NOSCAN, mo_size_class_of(size));
}

static void *alloc(size_t size) { return mound_alloc_noscan(size); }

/* ---------------------------------------------------------------- the whole heap */

static void count_listed(mo_span *s, void *arg) {
    (void)s;
    ++*(uint32_t *)arg;
}

/* Every span is in a list or owned; outside of marking, M == !A for every slot. */
static void check_heap(void) {
    uint32_t listed = 0, free_standing = 0;
    for (size_t i = 0; i < MO_NUM_CENTRALS; i++)
        mo_central_each_span(&mo_centrals[i], count_listed, &listed);
    for (uint32_t page = 1; page < mo_the_heap.pages.num_pages;) {
        const mo_span *s = &mo_map.spans[page];
        if (mo_map.info[page] == 0) {
            page++;
            continue;
        }
        if (s->state != MO_SPAN_CACHED) free_standing++;
        bool is_swept = s->sweepgen == mo_the_heap.sweepgen && s->kind != MO_KIND_MANUAL;
        if (is_swept) mo_span_verify(s);
        page += s->num_pages;
    }
    assert_int_equal(listed, free_standing);
    mo_runtime_enter(mo_self);
    mo_lock_acquire(&mo_the_heap.lock); /* the background thread may give pages back */
    mo_page_alloc_verify(&mo_the_heap.pages);
    mo_lock_release(&mo_the_heap.lock);
    mo_runtime_leave(mo_self);
}

static int begin(void **state) {
    (void)state;
    flush();
    baseline_pages = mo_the_heap.inuse_pages;
    return 0;
}

/* Every test frees what it allocates: then flushing must give all its pages back. */
static int end(void **state) {
    (void)state;
    flush();
    check_heap();
    assert_int_equal(mo_the_heap.inuse_pages, baseline_pages);
    return 0;
}

/* ---------------------------------------------------------------- modes */

/* Downwards: see cache.h. */
static void a_fresh_span_is_handed_out_in_order(void **state) {
    (void)state;
    char *p[512];
    for (int i = 0; i < 512; i++) {
        p[i] = alloc(16);
        assert_ptr_equal(p[i], p[0] - i * 16);
        assert_true(slot_for(16)->is_bump);
    }
    mo_span *first = span_of(p[0]);
    char *q = alloc(16);
    assert_ptr_not_equal(span_of(q), first);
    assert_int_equal(first->state, MO_SPAN_FULL);
    assert_null(first->owner);
    mound_free(q);
    for (int i = 0; i < 512; i++) mound_free(p[i]);
}

static void the_last_object_freed_is_the_next_one_allocated(void **state) {
    (void)state;
    static const size_t sizes[] = {16, 200, 1024, 2000, 30000};
    for (size_t k = 0; k < MO_ARRAY_LEN(sizes); k++) {
        char *a = alloc(sizes[k]), *b = alloc(sizes[k]);
        memset(b, 0xff, sizes[k]);
        mound_free(b);
        char *c = alloc(sizes[k]);
        assert_ptr_equal(b, c);
        for (size_t i = 0; i < sizes[k]; i++) assert_int_equal(c[i], 0);
        mound_free(c);
        mound_free(a);
    }
}

/* The span's own free slots come before another span, each once and zeroed. */
static void slots_freed_behind_the_bump_are_found_again(void **state) {
    (void)state;
    enum { N = 128 }; /* a whole span */
    char *p[N];
    bool again[N] = {false};
    for (int i = N; i-- > 0;) p[i] = memset(alloc(64), 0xee, 64);
    for (int i = 1; i < N; i += 3) mound_free(p[i]);
    for (int i = 1; i < N; i += 3) {
        char *q = alloc(64);
        int k = (int)((q - p[0]) / 64);
        assert_true(k >= 0 && k < N && k % 3 == 1 && q == p[k] && !again[k]);
        again[k] = true;
        assert_false(slot_for(64)->is_bump);
        for (int b = 0; b < 64; b++) assert_int_equal(q[b], 0);
    }
    for (int i = 0; i < N; i++) mound_free(p[i]);
}

static void a_slot_freed_in_the_current_word_is_used_at_once(void **state) {
    (void)state;
    enum { N = 64 };
    char *p[N];
    for (int i = N; i-- > 0;) p[i] = alloc(128);
    for (int i = 0; i < N; i += 2) mound_free(p[i]);
    for (int i = 0; i < 10; i++) alloc(128); /* takes p[0], p[2] ... p[18] again */
    mound_free(p[7]);
    assert_ptr_equal(alloc(128), p[7]);
    for (int i = 20; i < N; i += 2) assert_ptr_equal(alloc(128), p[i]);
    for (int i = 0; i < N; i++) mound_free(p[i]);
}

static void slots_freed_by_another_thread_come_back(void **state) {
    (void)state;
    enum { N = 8 };
    void *p[N];
    for (int i = N; i-- > 0;) p[i] = alloc(1000); /* a whole span */
    mo_span *s = span_of(p[0]);
    for (int i = 0; i < N; i += 4) {
        mo_slot sl = {.span = s, .idx = (uint32_t)i, .base = (uintptr_t)p[i]};
        mo_runtime_enter(mo_self);
        assert_true(mo_central_free_shared(&sl)); /* as another thread does */
        mo_runtime_leave(mo_self);
    }
    void *a = alloc(1000), *b = alloc(1000);
    assert_true((a == p[0] && b == p[4]) || (a == p[4] && b == p[0]));
    for (int i = 0; i < N; i++) mound_free(p[i]);
}

/* ---------------------------------------------------------------- flush, statistics */

static void a_flush_keeps_what_was_handed_out_and_nothing_else(void **state) {
    (void)state;
    enum { N = 37 };
    void *p[N];
    for (int i = 0; i < N; i++) p[i] = alloc(96);
    mo_span *s = span_of(p[0]);
    flush();
    assert_null(s->owner);
    assert_int_equal(s->state, MO_SPAN_PARTIAL);
    uint32_t used = 0;
    for (uint32_t w = 0; w < mo_span_words(s); w++) used += mo_popcount64(mo_span_alloc_bits(s)[w]);
    assert_int_equal(used, N);
    uint64_t objects = 0, bytes = 0;
    mo_cache_unused(own_cache(), &objects, &bytes);
    assert_int_equal(objects, 0);
    assert_int_equal(bytes, 0);
    /* The same from bitmap mode. */
    void *q = alloc(96);
    assert_ptr_equal(span_of(q), s);
    assert_false(slot_for(96)->is_bump);
    flush();
    mo_span_verify(s);
    mound_free(q);
    for (int i = 0; i < N; i++) mound_free(p[i]);
}

static uint64_t claimed_less_unused(uint64_t *bytes) {
    const mo_cache *c = own_cache();
    uint64_t objects = 0, unused_bytes = 0;
    mo_cache_unused(c, &objects, &unused_bytes);
    *bytes = c->claimed_bytes - unused_bytes;
    return c->claimed_objects - objects;
}

static void statistics_count_each_object_once(void **state) {
    (void)state;
    enum { MOST = 3000 };
    static void *live[MOST];
    static const size_t sizes[] = {16, 64, 100, 700, 5000, 20000, 100000};
    mo_rand r;
    mo_rand_seed(&r, test_seed("statistics", 0));
    uint64_t bytes0, bytes1, objects0 = claimed_less_unused(&bytes0);
    uint64_t freed0 = own_cache()->freed_objects, freed_bytes0 = own_cache()->freed_bytes;
    uint64_t objects = 0, bytes = 0, freed = 0, freed_bytes = 0, num = 0;
    for (int i = 0; i < 20000; i++) {
        if (num > 0 && mo_rand_below(&r, MOST) < num) {
            uint64_t k = mo_rand_below(&r, num);
            freed_bytes += mound_size(live[k]);
            freed++;
            mound_free(live[k]);
            live[k] = live[--num];
        } else {
            void *p = alloc(sizes[mo_rand_below(&r, i % 100 ? 5 : 7)]);
            objects++;
            bytes += mound_size(p);
            live[num++] = p;
        }
        if (i % 5000 == 0) flush();
        if (i % 100 == 0) {
            assert_int_equal(claimed_less_unused(&bytes1) - objects0, objects);
            assert_int_equal(bytes1 - bytes0, bytes);
            assert_int_equal(own_cache()->freed_objects - freed0, freed);
            assert_int_equal(own_cache()->freed_bytes - freed_bytes0, freed_bytes);
        }
    }
    int64_t before = mo_the_heap.live_bytes + own_cache()->live_delta;
    while (num > 0) mound_free(live[--num]);
    flush();
    /* The trigger's count follows: what was freed and flushed is not live. */
    assert_true(mo_the_heap.live_bytes <= before - (int64_t)(bytes - freed_bytes));
}

static void *allocate_and_end(void *arg) {
    void **out = arg;
    for (int i = 0; i < 100; i++) out[i] = alloc(48);
    for (int i = 0; i < 50; i++) mound_free(out[i]);
    return NULL;
}

static void statistics_survive_their_thread(void **state) {
    (void)state;
    void *p[100];
    mound_mem_stats a = {.struct_bytes = sizeof a}, b = {.struct_bytes = sizeof b};
    mound_read_mem_stats(&a);
    test_threads(1, allocate_and_end, p, sizeof p);
    mound_read_mem_stats(&b);
    assert_int_equal(b.num_mallocs - a.num_mallocs, 100 + 1); /* and the thread's start record */
    assert_int_equal(b.num_frees - a.num_frees, 50 + 1);
    assert_int_equal(b.heap_objects - a.heap_objects, 50);
    for (int i = 50; i < 100; i++) mound_free(p[i]);
}

/* ---------------------------------------------------------------- double frees */

static void double_free_in_the_own_bump_span(void **state) {
    (void)state;
    char *a = alloc(80), *b = alloc(80), *c = alloc(80);
    assert_true(slot_for(80)->is_bump);
    assert_false(try_free(c - 80)); /* claimed, never handed out */
    assert_true(try_free(a));
    assert_false(try_free(a));
    assert_true(try_free(c)); /* the last one: back behind the bump pointer */
    assert_false(try_free(c));
    assert_true(try_free(b));
    assert_false(try_free(b));
    assert_false(try_free(a));
}

static void double_free_in_the_own_bitmap_span(void **state) {
    (void)state;
    enum { N = 128 };
    char *p[N];
    for (int i = N; i-- > 0;) p[i] = alloc(64);
    for (int i = 1; i < N; i += 2) assert_true(try_free(p[i]));
    assert_ptr_equal(alloc(64), p[1]);
    assert_false(slot_for(64)->is_bump);
    assert_false(try_free(p[3]));   /* claimed with the current word */
    assert_false(try_free(p[101])); /* free, in a word not claimed yet */
    assert_true(try_free(p[2]));    /* in the current word */
    assert_false(try_free(p[2]));
    assert_true(try_free(p[100])); /* in another word */
    assert_false(try_free(p[100]));
    assert_true(try_free(p[1]));
    assert_true(try_free(p[0]));
    for (int i = 4; i < N; i += 2) assert_int_equal(try_free(p[i]), i != 100);
}

static void double_free_in_full_and_partial_spans(void **state) {
    (void)state;
    enum { N = 64 };
    char *p[N];
    for (int i = 0; i < N; i++) p[i] = alloc(128);
    flush();
    assert_int_equal(span_of(p[0])->state, MO_SPAN_FULL);
    assert_true(try_free(p[5]));
    assert_int_equal(span_of(p[0])->state, MO_SPAN_PARTIAL);
    assert_false(try_free(p[5]));
    assert_true(try_free(p[6]));
    assert_false(try_free(p[6]));
    for (int i = 0; i < N; i++) assert_int_equal(try_free(p[i]), i != 5 && i != 6);
}

typedef struct other {
    void *p[4];
    test_line line;
} other;

static void *hold_span(void *arg) {
    other *o = arg;
    for (int i = 0; i < 4; i++) o->p[i] = alloc(352);
    test_line_up(&o->line, 2);
    test_line_up(&o->line, 2); /* meanwhile the span is ours */
    mound_free(o->p[3]);
    return NULL;
}

static void double_free_in_another_threads_span(void **state) {
    (void)state;
    other o = {{NULL}, {0, 0}};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, hold_span, &o), 0);
    test_line_up(&o.line, 2);
    mo_span *s = span_of(o.p[0]);
    assert_true(s->state == MO_SPAN_CACHED && s->owner != own_cache() && s->owner != NULL);
    for (int i = 0; i < 3; i++) {
        assert_true(try_free(o.p[i]));
        assert_false(try_free(o.p[i]));
    }
    test_line_up(&o.line, 2);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void free_twice(void *p) {
    mound_free(p);
    mound_free(p);
}
static void free_interior(void *p) { mound_free((char *)p + 16); }

static void a_double_free_ends_the_process_with_one_line(void **state) {
    (void)state;
    void *keep = alloc(64), *small = alloc(64), *large = alloc(100000);
    void *manual = mound_alloc_uncollectable(64);
    assert_fatal(free_twice, small, "already freed");
    assert_fatal(free_twice, keep, "already freed");
    assert_fatal(free_twice, manual, "already freed");
    /* Its pages are in no span any more. */
    assert_fatal(free_twice, large, "mound_free(");
    assert_fatal(free_interior, large, "points 16 bytes into the object");
    flush();
    assert_fatal(free_twice, small, "already freed"); /* small and keep share their span */
    mound_free(keep);
    mound_free(small);
    mound_free(large);
    mound_free(manual);
}

/* ---------------------------------------------------------------- threads */

/* One thread claims slots, another frees them at once: all in the same few words of bits. */
enum { RING = 32 };
typedef struct ring {
    mo_slot item[RING];
    uint32_t head, tail; /* written by the claimer, by the freer */
    bool is_done;
    test_errors errors;
} ring;

static void *free_from_ring(void *arg) {
    ring *r = arg;
    for (uint32_t tail = 0;;) {
        if (tail == __atomic_load_n(&r->head, __ATOMIC_ACQUIRE)) {
            if (__atomic_load_n(&r->is_done, __ATOMIC_ACQUIRE) &&
                tail == __atomic_load_n(&r->head, __ATOMIC_ACQUIRE))
                return NULL;
            sched_yield();
            continue;
        }
        mo_slot sl = r->item[tail % RING];
        uint64_t bit = (uint64_t)1 << (sl.idx % 64);
        uint64_t mark = __atomic_load_n(&mo_span_mark_bits(sl.span)[sl.idx / 64], __ATOMIC_RELAXED);
        if (mark & bit)
            test_error(&r->errors, "an allocated slot is marked: it would not be scanned");
        mo_runtime_enter(mo_self);
        bool ok = mo_central_free_shared(&sl);
        mo_runtime_leave(mo_self);
        if (!ok) test_error(&r->errors, "an allocated slot counted as free");
        __atomic_store_n(&r->tail, ++tail, __ATOMIC_RELEASE);
    }
}

/* The claimer alone clears M, and only of slots it claims: a free slot in its span has M set. Else
 * the marker could take it for an object. */
static void check_free_slots(const mo_cache_slot *slot, test_errors *e) {
    const mo_span *s = slot->span;
    for (uint32_t w = 0; s && w < mo_span_words(s); w++) {
        uint64_t alloc = __atomic_load_n(&mo_span_alloc_bits(s)[w], __ATOMIC_ACQUIRE);
        uint64_t mark = __atomic_load_n(&mo_span_mark_bits(s)[w], __ATOMIC_RELAXED);
        if (~alloc & ~mark & mo_span_word_mask(s, w)) test_error(e, "a free slot is not marked");
    }
}

static void claim_against_free(bool one_by_one, unsigned flush_every, size_t size, uint64_t steps) {
    static mo_cache claimer;
    static ring r;
    memset(&claimer, 0, sizeof claimer);
    memset(&r, 0, sizeof r);
    mo_central *central = mo_central_of(MO_KIND_NOSCAN, mo_size_class_of(size));
    mo_cache_slot *slot = mo_cache_slot_of(&claimer, MO_KIND_NOSCAN, central->size_class);
    mo_hooks.one_by_one = one_by_one;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, free_from_ring, &r), 0);
    uint32_t head = 0;
    for (uint64_t i = 0; i < steps && !test_has_error(&r.errors); i++) {
        while (head - __atomic_load_n(&r.tail, __ATOMIC_ACQUIRE) == RING) sched_yield();
        mo_runtime_enter(mo_self);
        if (slot->bump == slot->lim && slot->mask == 0) {
            check_free_slots(slot, &r.errors);
            assert_true(mo_cache_refill(&claimer, slot, central));
        }
        uintptr_t p = slot->bump - slot->bytes;
        if (slot->bump > slot->lim) {
            slot->bump = p;
        } else {
            p = slot->word_base + mo_ctz64(slot->mask) * (uintptr_t)slot->bytes;
            slot->mask &= slot->mask - 1;
        }
        if (i % flush_every == flush_every - 1) mo_cache_flush(&claimer);
        mo_runtime_leave(mo_self);
        assert_true(mo_find(p, &r.item[head % RING]));
        __atomic_store_n(&r.head, ++head, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&r.is_done, true, __ATOMIC_RELEASE);
    assert_int_equal(pthread_join(thread, NULL), 0);
    mo_hooks.one_by_one = false;
    assert_no_errors(&r.errors);
    mo_runtime_enter(mo_self);
    mo_cache_flush(&claimer);
    mo_runtime_leave(mo_self);
    uint64_t unused_objects = 0, unused_bytes = 0;
    mo_cache_unused(&claimer, &unused_objects, &unused_bytes);
    assert_int_equal(unused_objects, 0);
    assert_int_equal(claimer.claimed_objects, head);
    flush(); /* the thread's start record */
    check_heap();
    assert_int_equal(mo_the_heap.inuse_pages, baseline_pages);
}

static void single_slots_claimed_while_others_free_them(void **state) {
    (void)state;
    claim_against_free(true, 1 << 30, 16, test_steps(6000000));
}

static void words_claimed_while_others_free_them(void **state) {
    (void)state;
    claim_against_free(false, 1 << 30, 128, test_steps(1000000));
}

static void caches_flushed_while_others_free_their_slots(void **state) {
    (void)state;
    claim_against_free(false, 7, 64, test_steps(4000000));
}

/* Threads hand objects to each other through a shared table; each object carries a tag that only
 * one owner can have set. */
enum { TABLE = 1024, TRADERS = 4 };
static void *table[TABLE]; /* a root */
static uint64_t next_tag;
static test_errors trade_errors;

typedef struct trader {
    uint64_t seed, steps;
    bool collects;
} trader;

static const size_t trade_sizes[] = {16, 16, 32, 64, 100, 1024, 3000, 9000, 33000};

static void put_tag(uint64_t *p, size_t size, uint64_t tag) {
    for (size_t i = 0; i < size / 8; i++)
        if (p[i] != 0) test_error(&trade_errors, "fresh memory is not zero");
    if (__atomic_exchange_n(&p[0], tag, __ATOMIC_ACQ_REL) != 0)
        test_error(&trade_errors, "a slot was handed out twice");
    p[1] = ~tag;
    p[size / 8 - 1] ^= ~(uint64_t)size;
}

static void take_tag(uint64_t *p) {
    uint64_t tag = __atomic_exchange_n(&p[0], 0, __ATOMIC_ACQ_REL);
    size_t bytes = mound_size(p);
    if (tag == 0) test_error(&trade_errors, "an object was given to two owners");
    memset(p, 0x5a, bytes < 256 ? bytes : 256);
}

static void *trade(void *arg) {
    trader *t = arg;
    mo_rand r;
    mo_rand_seed(&r, t->seed);
    for (uint64_t i = 0; i < t->steps && !test_has_error(&trade_errors); i++) {
        size_t size = trade_sizes[mo_rand_below(&r, MO_ARRAY_LEN(trade_sizes))];
        uint64_t *p = mo_rand_below(&r, 2) ? mound_alloc(size) : mound_alloc_noscan(size);
        put_tag(p, size & ~(size_t)7, __atomic_add_fetch(&next_tag, 1, __ATOMIC_RELAXED));
        uint64_t *q =
            __atomic_exchange_n(&table[mo_rand_below(&r, TABLE)], (void *)p, __ATOMIC_ACQ_REL);
        if (q) {
            take_tag(q);
            mound_free(q);
        }
        if (t->collects && i % 2000 == 0) mound_gc();
    }
    return NULL;
}

static void trade_all(const char *name, bool collects, uint64_t steps) {
    trader t[TRADERS];
    uint64_t seed = test_seed(name, 0);
    for (int i = 0; i < TRADERS; i++) t[i] = (trader){seed + (uint64_t)i, steps, collects};
    test_threads(TRADERS, trade, t, sizeof t[0]);
    assert_no_errors(&trade_errors);
    for (int i = 0; i < TABLE; i++) {
        if (!table[i]) continue;
        take_tag(table[i]);
        mound_free(table[i]);
        table[i] = NULL;
    }
    assert_no_errors(&trade_errors);
}

static void a_slot_has_one_owner_whoever_frees_it(void **state) {
    (void)state;
    trade_all("trade", false, test_steps(200000));
}

static void a_slot_has_one_owner_also_while_collecting(void **state) {
    (void)state;
    trade_all("trade and collect", true, test_steps(50000));
    mound_gc();
}

static int start(void **state) {
    (void)state;
    int r = mound_init();
    mound_set_gc_percent(-1);
    mound_free(alloc(1));
    return r;
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(a_fresh_span_is_handed_out_in_order),
        TEST(the_last_object_freed_is_the_next_one_allocated),
        TEST(slots_freed_behind_the_bump_are_found_again),
        TEST(a_slot_freed_in_the_current_word_is_used_at_once),
        TEST(slots_freed_by_another_thread_come_back),
        TEST(a_flush_keeps_what_was_handed_out_and_nothing_else),
        TEST(statistics_count_each_object_once),
        TEST(statistics_survive_their_thread),
        TEST(double_free_in_the_own_bump_span),
        TEST(double_free_in_the_own_bitmap_span),
        TEST(double_free_in_full_and_partial_spans),
        TEST(double_free_in_another_threads_span),
        TEST(a_double_free_ends_the_process_with_one_line),
        TEST(single_slots_claimed_while_others_free_them),
        TEST(words_claimed_while_others_free_them),
        TEST(caches_flushed_while_others_free_their_slots),
        TEST(a_slot_has_one_owner_whoever_frees_it),
        TEST(a_slot_has_one_owner_also_while_collecting),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
