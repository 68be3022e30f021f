/* find_test.c - which object does an address lie in: mo_find, mound_base and mound_size beside a
 * plain list of what was allocated. */
#include "support.h"

#include <sys/mman.h>

#include "base/bits.h"
#include "heap/cache.h"
#include "mound.h"

typedef struct object {
    uintptr_t base;
    size_t bytes; /* of its slot */
    bool is_live;
} object;

typedef struct model {
    object *list; /* by address, once sorted; freed ones stay until their slot is used again */
    size_t num, cap;
    mo_rand rand;
} model;

typedef struct pair {
    void *left, *right;
    long number;
} pair;
MOUND_TYPE(pair, left, right);

static size_t slot_bytes(size_t size) {
    if (size <= MO_MAX_SMALL_BYTES) return mo_size_classes[mo_size_class_of(size)].bytes;
    return mo_align_up(size, MO_PAGE_BYTES);
}

static size_t random_size(mo_rand *r) {
    uint64_t kind = mo_rand_below(r, 1000);
    if (kind < 700) return mo_rand_below(r, 300);
    if (kind < 900) return mo_rand_below(r, 4096);
    if (kind < 980) return mo_rand_below(r, MO_MAX_SMALL_BYTES + 1);
    if (kind < 997) return MO_MAX_SMALL_BYTES - 8 + mo_rand_below(r, 300000);
    return mo_rand_below(r, 20 << 20);
}

static void model_alloc(model *m) {
    size_t size = random_size(&m->rand);
    void *p;
    switch (mo_rand_below(&m->rand, 4)) {
    case 0: p = mound_alloc(size); break;
    case 1: p = mound_alloc_noscan(size); break;
    case 2: p = mound_alloc_uncollectable(size); break;
    default:
        size = sizeof(pair);
        p = mound_new_typed(pair);
        break;
    }
    if (m->num == m->cap) {
        m->cap = m->cap * 2 + 1024;
        m->list = realloc(m->list, m->cap * sizeof *m->list);
        assert_non_null(m->list);
    }
    m->list[m->num++] = (object){(uintptr_t)p, slot_bytes(size), true};
}

static int by_address(const void *a, const void *b) {
    const object *x = a, *y = b;
    if (x->base != y->base) return x->base < y->base ? -1 : 1;
    return (int)y->is_live - (int)x->is_live;
}

/* Sorts; drops freed objects whose place has a new one; no two live ones may overlap. */
static void model_sort(model *m) {
    qsort(m->list, m->num, sizeof *m->list, by_address);
    size_t out = 0;
    uintptr_t live_end = 0;
    for (size_t i = 0; i < m->num; i++) {
        object o = m->list[i];
        if (o.is_live) {
            assert_true(o.base >= live_end);
            live_end = o.base + o.bytes;
            while (out > 0 && m->list[out - 1].base + m->list[out - 1].bytes > o.base) {
                assert_false(m->list[out - 1].is_live);
                out--;
            }
        } else if (o.base < live_end) {
            continue;
        } else if (out > 0 && m->list[out - 1].base + m->list[out - 1].bytes > o.base) {
            continue; /* two that were freed one after the other */
        }
        m->list[out++] = o;
    }
    m->num = out;
}

/* The live object that addr lies in, or NULL. */
static const object *model_find(const model *m, uintptr_t addr) {
    size_t lo = 0, hi = m->num;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (m->list[mid].base <= addr)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == 0) return NULL;
    const object *o = &m->list[lo - 1];
    return o->is_live && addr - o->base < o->bytes ? o : NULL;
}

static void check_address(const model *m, uintptr_t addr) {
    const object *o = model_find(m, addr);
    uintptr_t base = (uintptr_t)mound_base((void *)addr);
    size_t size = mound_size((void *)addr);
    if (base != (o ? o->base : 0) || size != (o ? o->bytes : 0))
        fail_msg("address %p: base %p size %zu, not base %p size %zu", (void *)addr, (void *)base,
                 size, o ? (void *)o->base : NULL, o ? o->bytes : 0);
    mo_slot sl = {0};
    if (o) {
        assert_true(mo_find(addr, &sl));
        assert_true(sl.base == o->base && sl.span->elem_bytes == o->bytes);
        assert_true(mo_span_start(sl.span) + sl.idx * o->bytes == o->base);
    }
}

static void check_all(model *m, uint64_t num_random) {
    model_sort(m);
    for (size_t i = 0; i < m->num; i++) {
        const object *o = &m->list[i];
        check_address(m, o->base - 1);
        check_address(m, o->base);
        check_address(m, o->base + 1);
        check_address(m, o->base + mo_rand_below(&m->rand, o->bytes));
        check_address(m, o->base + o->bytes - 1);
        check_address(m, o->base + o->bytes);
    }
    for (uint64_t i = 0; i < num_random; i++)
        check_address(m, mo_map.base + mo_rand_below(&m->rand, mo_map.used_bytes));
    /* Tails: what a span has behind its last slot is no object. */
    for (size_t i = 0; i < m->num; i++) {
        mo_slot sl = {0};
        if (!mo_find(m->list[i].base, &sl)) continue;
        uintptr_t slots_end = mo_span_start(sl.span) + sl.span->nelems * sl.span->elem_bytes;
        uintptr_t end = mo_span_start(sl.span) + ((uintptr_t)sl.span->num_pages << MO_PAGE_SHIFT);
        if (slots_end == end) continue;
        assert_false(mo_find(slots_end, &sl));
        assert_false(mo_find(end - 1, &sl));
        assert_null(mound_base((void *)slots_end));
        assert_int_equal(mound_size((void *)(end - 1)), 0);
    }
}

static void model_free_some(model *m, unsigned percent) {
    for (size_t i = 0; i < m->num; i++) {
        object *o = &m->list[i];
        if (!o->is_live || mo_rand_below(&m->rand, 100) >= percent) continue;
        mound_free((void *)o->base);
        o->is_live = false;
    }
}

static void every_address_has_the_models_answer(void **state) {
    (void)state;
    for (unsigned i = 0; i < test_runs(3); i++) {
        model m = {0};
        mo_rand_seed(&m.rand, test_seed("find", i));
        for (unsigned round = 0; round < 5; round++) {
            for (uint64_t k = 0; k < test_steps(6000); k++) model_alloc(&m);
            check_all(&m, test_steps(50000));
            model_free_some(&m, round == 4 ? 100 : 20 + round * 20);
            check_all(&m, test_steps(50000));
        }
        for (size_t k = 0; k < m.num; k++) assert_false(m.list[k].is_live);
        free(m.list);
    }
}

static void addresses_outside_the_heap_are_in_no_object(void **state) {
    (void)state;
    static int global;
    int local;
    void *mine = malloc(100);
    const uintptr_t outside[] = {0,
                                 1,
                                 (uintptr_t)&global,
                                 (uintptr_t)&local,
                                 (uintptr_t)mine,
                                 (uintptr_t)&mound_base,
                                 mo_map.base - 1,
                                 mo_map.base + mo_map.used_bytes,
                                 mo_map.base + mo_the_heap.reserved_bytes,
                                 UINTPTR_MAX};
    for (size_t i = 0; i < MO_ARRAY_LEN(outside); i++) {
        mo_slot sl = {0};
        assert_false(mo_find(outside[i], &sl));
        assert_null(mound_base((void *)outside[i]));
        assert_int_equal(mound_size((void *)outside[i]), 0);
    }
    /* Page 0 is never handed out. */
    assert_null(mound_base((void *)mo_map.base));
    free(mine);
}

static void slots_not_handed_out_yet_are_no_objects(void **state) {
    (void)state;
    /* 8 in a span of one page: a size that no other test here uses up. */
    char *first = mound_alloc(1024);
    mo_slot sl = {0};
    assert_true(mo_find((uintptr_t)first, &sl));
    char *end = (char *)mo_span_start(sl.span) + sl.span->nelems * sl.span->elem_bytes;
    for (char *p = first + 1024; p < end; p += 1024) {
        assert_null(mound_base(p));
        assert_int_equal(mound_size(p + 5), 0);
    }
    for (char *p = first + 1024; p < end; p += 1024) assert_ptr_equal(mound_alloc(1024), p);
    for (char *p = first; p < end; p += 1024) mound_free(p);
}

/* Pages farther from the start than the page table can say lead there in several steps. Only the
 * tables are needed for that, no memory. */
static void pages_beyond_16_gib_lead_to_the_start(void **state) {
    (void)state;
    enum { FIRST = 3, PAGES = 3 * MO_INFO_BACK_MAX + 12345, ALL = PAGES + 10 };
    mo_map.info = calloc(ALL, sizeof *mo_map.info);
    mo_map.spans = mmap(NULL, (size_t)ALL * sizeof(mo_span), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_non_null(mo_map.info);
    assert_true(mo_map.spans != MAP_FAILED);
    mo_map.base = (uintptr_t)1 << 40;
    mo_map.used_bytes = (size_t)ALL << MO_PAGE_SHIFT;
    mo_span *s = &mo_map.spans[FIRST];
    s->num_pages = PAGES;
    mo_span_init(s, NULL, MO_KIND_NOSCAN, 0, (size_t)PAGES << MO_PAGE_SHIFT, 1, NULL, 0);
    mo_slot sl = {0};
    const uint32_t pages[] = {FIRST,
                              FIRST + 1,
                              FIRST + MO_INFO_BACK_MAX - 1,
                              FIRST + MO_INFO_BACK_MAX,
                              FIRST + MO_INFO_BACK_MAX + 1,
                              FIRST + 2 * MO_INFO_BACK_MAX - 1,
                              FIRST + 2 * MO_INFO_BACK_MAX,
                              FIRST + 3 * MO_INFO_BACK_MAX,
                              FIRST + 3 * MO_INFO_BACK_MAX + 1,
                              FIRST + PAGES - 1};
    for (size_t i = 0; i < MO_ARRAY_LEN(pages); i++) {
        assert_true(mo_find(mo_page_addr(pages[i]) + 77, &sl));
        assert_ptr_equal(sl.span, s);
        assert_true(sl.base == mo_page_addr(FIRST) && sl.idx == 0);
    }
    mo_rand r;
    mo_rand_seed(&r, test_seed("far pages", 0));
    for (int i = 0; i < 100000; i++) {
        uint32_t page = (uint32_t)mo_rand_below(&r, ALL);
        bool inside = page >= FIRST && page < FIRST + PAGES;
        assert_int_equal(mo_find(mo_page_addr(page), &sl), inside);
        assert_true(!inside || sl.span == s);
    }
    free(mo_map.info);
    munmap(mo_map.spans, (size_t)ALL * sizeof(mo_span));
    memset(&mo_map, 0, sizeof mo_map);
}

static int start(void **state) {
    (void)state;
    mound_set_gc_percent(-1); /* the list above holds no references */
    return mound_init();
}

int main(void) {
    const struct CMUnitTest bare[] = {
        cmocka_unit_test(pages_beyond_16_gib_lead_to_the_start), /* before the heap exists */
    };
    const struct CMUnitTest started[] = {
        cmocka_unit_test(slots_not_handed_out_yet_are_no_objects),
        cmocka_unit_test(addresses_outside_the_heap_are_in_no_object),
        cmocka_unit_test(every_address_has_the_models_answer),
    };
    int failed = cmocka_run_group_tests(bare, NULL, NULL);
    return failed + cmocka_run_group_tests(started, start, NULL);
}
