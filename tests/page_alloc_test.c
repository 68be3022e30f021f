/* page_alloc_test.c - the page allocator beside a plain model: one byte per page. */
#include "support.h"

#include "base/bits.h"
#include "heap/page_alloc.h"

enum { NONE = UINT32_MAX, VERIFY_EVERY = 100 };

static void tables_make(mo_page_alloc *pa, size_t max_pages) {
    memset(pa, 0, sizeof *pa);
    pa->inuse = calloc(max_pages / 64, 8);
    pa->released = calloc(max_pages / 64, 8);
    assert_non_null(pa->inuse);
    assert_non_null(pa->released);
    for (int l = 0; l < MO_SUM_LEVELS; l++) {
        pa->level[l] = calloc(mo_page_alloc_level_len(l, max_pages), sizeof(mo_page_sum));
        assert_non_null(pa->level[l]);
    }
}

static void tables_free(mo_page_alloc *pa) {
    free(pa->inuse);
    free(pa->released);
    for (int l = 0; l < MO_SUM_LEVELS; l++) free(pa->level[l]);
}

/* ---------------------------------------------------------------- the model */

typedef struct run {
    uint32_t page, n;
} run;

typedef struct model {
    mo_page_alloc pa;
    mo_rand rand;
    uint8_t *inuse, *released; /* byte per page */
    uint32_t num_pages, max_pages;
    run *runs; /* taken and not yet put back */
    uint32_t num_runs;
} model;

static uint64_t eight_of(const uint8_t *bytes) {
    uint64_t x;
    memcpy(&x, bytes, 8);
    return x;
}

/* Lowest run of n free pages whose first page is a multiple of align. */
static uint32_t model_first_fit(const model *m, uint32_t n, uint32_t align) {
    uint32_t len = 0;
    for (uint32_t page = 0; page < m->num_pages;) {
        uint64_t eight = page % 8 == 0 ? eight_of(m->inuse + page) : 2;
        if (eight == 0x0101010101010101u) {
            len = 0;
            page += 8;
            continue;
        }
        len = m->inuse[page] ? 0 : len + 1;
        page++;
        uint32_t first = (uint32_t)mo_align_up(page - len, align);
        if (len > 0 && first + n <= page) return first;
    }
    return NONE;
}

static void model_grow(model *m, uint32_t n) {
    mo_page_alloc_grow(&m->pa, n);
    memset(m->inuse + m->num_pages, 0, n);
    memset(m->released + m->num_pages, 1, n);
    m->num_pages += n;
}

static uint32_t random_size(model *m) {
    uint64_t kind = mo_rand_below(&m->rand, 100);
    if (kind < 60) return 1 + (uint32_t)mo_rand_below(&m->rand, 4);
    if (kind < 85) return 1 + (uint32_t)mo_rand_below(&m->rand, 32);
    if (kind < 97) return 1 + (uint32_t)mo_rand_below(&m->rand, 400);
    return 1 + (uint32_t)mo_rand_below(&m->rand, 4 * MO_CHUNK_PAGES);
}

static void step_take(model *m) {
    uint32_t n = random_size(m), align = 1;
    if (mo_rand_below(&m->rand, 8) == 0) align = 1u << mo_rand_below(&m->rand, 9);
    uint32_t exact = model_first_fit(m, n, align), enough = model_first_fit(m, n + align - 1, 1);
    bool is_zero = false;
    uint32_t page = mo_page_alloc_take(&m->pa, n, align, &is_zero);
    if (align == 1) {
        assert_int_equal(page, exact);
    } else {
        /* An aligned request may pass over runs that fit only just, never over others. */
        if (page == NONE)
            assert_int_equal(enough, NONE);
        else
            assert_true(page >= exact && (enough == NONE || page <= mo_align_up(enough, align)));
    }
    if (page == NONE) return;
    assert_int_equal(page % align, 0);
    assert_true(page + n <= m->num_pages);
    bool all_released = true;
    for (uint32_t p = page; p < page + n; p++) {
        assert_int_equal(m->inuse[p], 0);
        all_released &= m->released[p];
    }
    assert_int_equal(is_zero, all_released);
    memset(m->inuse + page, 1, n);
    memset(m->released + page, 0, n);
    m->runs[m->num_runs++] = (run){page, n};
}

/* Takes what lies behind a taken run, if it is free. */
static void step_take_behind(model *m) {
    if (m->num_runs == 0) return;
    run *r = &m->runs[mo_rand_below(&m->rand, m->num_runs)];
    uint32_t end = r->page + r->n, n = random_size(m);
    if (n > m->num_pages - end) n = m->num_pages - end;
    bool is_free = true, all_released = true, is_zero = false;
    for (uint32_t p = end; p < end + n; p++) {
        is_free &= !m->inuse[p];
        all_released &= m->released[p];
    }
    assert_int_equal(mo_page_alloc_is_free(&m->pa, end, n), is_free);
    if (!is_free || n == 0) return;
    mo_page_alloc_take_at(&m->pa, end, n, &is_zero);
    assert_int_equal(is_zero, all_released);
    memset(m->inuse + end, 1, n);
    memset(m->released + end, 0, n);
    r->n += n;
}

/* Gives back a taken run, or a part of it. */
static void step_put(model *m) {
    if (m->num_runs == 0) return;
    run *r = &m->runs[mo_rand_below(&m->rand, m->num_runs)];
    run part = *r;
    bool from_start = true;
    if (r->n > 1 && mo_rand_below(&m->rand, 4) == 0) {
        part.n = 1 + (uint32_t)mo_rand_below(&m->rand, r->n - 1);
        from_start = mo_rand_below(&m->rand, 2);
        if (!from_start) part.page = r->page + r->n - part.n;
    }
    mo_page_alloc_put(&m->pa, part.page, part.n, false);
    memset(m->inuse + part.page, 0, part.n);
    if (part.n == r->n) {
        *r = m->runs[--m->num_runs];
    } else {
        r->n -= part.n;
        if (from_start) r->page += part.n;
    }
}

static bool is_dirty(const model *m, uint32_t page) {
    return !m->inuse[page] && !m->released[page];
}

/* The block that the scavenger must choose: the highest that has a dirty page and, if asked, no
 * page in use. */
static uint32_t model_dirty_block(const model *m, bool whole) {
    for (uint32_t block = m->num_pages / MO_BLOCK_PAGES; block-- > 0;) {
        bool has_dirty = false, has_used = false;
        for (uint32_t p = block * MO_BLOCK_PAGES; p < (block + 1) * MO_BLOCK_PAGES; p++) {
            has_dirty |= is_dirty(m, p);
            has_used |= m->inuse[p];
        }
        if (has_dirty && !(whole && has_used)) return block;
    }
    return NONE;
}

static void step_scavenge(model *m) {
    bool whole = mo_rand_below(&m->rand, 2);
    uint32_t block = model_dirty_block(m, whole), page = NONE;
    uint32_t n = mo_page_alloc_take_dirty(&m->pa, whole, &page);
    if (block == NONE) {
        assert_int_equal(n, 0);
        return;
    }
    uint32_t lo = block * MO_BLOCK_PAGES, hi = lo + MO_BLOCK_PAGES;
    assert_true(n > 0 && page >= lo && page + n <= hi);
    for (uint32_t p = page; p < page + n; p++) assert_true(is_dirty(m, p));
    assert_true(page == lo || !is_dirty(m, page - 1));
    assert_true(page + n == hi || !is_dirty(m, page + n));
    /* Meanwhile the pages count as in use: nobody may get them. */
    bool is_zero;
    uint32_t other = mo_page_alloc_take(&m->pa, 1, 1, &is_zero);
    assert_true(other == NONE || other < page || other >= page + n);
    if (other != NONE) mo_page_alloc_put(&m->pa, other, 1, is_zero);
    bool ok = mo_rand_below(&m->rand, 8) != 0; /* the system may refuse */
    mo_page_alloc_put(&m->pa, page, n, ok);
    if (ok) memset(m->released + page, 1, n);
}

/* Blocks of which nothing has memory, lowest first. */
static void step_prefault(model *m) {
    uint32_t lo = 0, page = NONE;
    while (lo < m->num_pages) {
        uint32_t p = lo;
        while (p < lo + MO_BLOCK_PAGES && !m->inuse[p] && m->released[p]) p++;
        if (p == lo + MO_BLOCK_PAGES) break;
        lo += MO_BLOCK_PAGES;
    }
    bool found = mo_page_alloc_take_released(&m->pa, &page);
    assert_int_equal(found, lo < m->num_pages);
    if (!found) return;
    assert_int_equal(page, lo);
    bool ok = mo_rand_below(&m->rand, 8) != 0; /* the system may refuse */
    mo_page_alloc_put(&m->pa, page, MO_BLOCK_PAGES, !ok);
    if (ok) memset(m->released + page, 0, MO_BLOCK_PAGES);
}

static void check_against_model(const model *m) {
    mo_page_alloc_verify(&m->pa);
    uint64_t num_free = 0, num_released = 0;
    for (uint32_t p = 0; p < m->num_pages; p++) {
        assert_int_equal(m->pa.inuse[p / 64] >> (p % 64) & 1, m->inuse[p]);
        assert_int_equal(m->pa.released[p / 64] >> (p % 64) & 1, m->released[p]);
        num_free += !m->inuse[p];
        num_released += m->released[p];
    }
    assert_int_equal(m->pa.num_pages, m->num_pages);
    assert_int_equal(m->pa.num_free, num_free);
    assert_int_equal(m->pa.num_released, num_released);
}

/* Random steps on a heap that grows to max_chunks. */
static void run_model(uint64_t seed, uint32_t max_chunks, uint64_t num_steps) {
    model m = {.max_pages = max_chunks * MO_CHUNK_PAGES};
    mo_rand_seed(&m.rand, seed);
    tables_make(&m.pa, m.max_pages);
    m.inuse = calloc(m.max_pages, 1);
    m.released = calloc(m.max_pages, 1);
    m.runs = calloc(m.max_pages, sizeof *m.runs);
    uint32_t take_share = 50;
    for (uint64_t i = 0; i < num_steps; i++) {
        if (i % 5000 == 0) take_share = 25 + (uint32_t)mo_rand_below(&m.rand, 40);
        uint64_t what = mo_rand_below(&m.rand, 100);
        uint32_t left = (m.max_pages - m.num_pages) / MO_CHUNK_PAGES;
        if (i % (num_steps / 30 + 1) == 0 && left > 0) {
            uint32_t most = left < max_chunks / 8 + 1 ? left : max_chunks / 8 + 1;
            model_grow(&m, MO_CHUNK_PAGES * (1 + (uint32_t)mo_rand_below(&m.rand, most)));
        } else if (what < take_share) {
            step_take(&m);
        } else if (what < take_share + 10) {
            step_take_behind(&m);
        } else if (what < 95) {
            step_put(&m);
        } else if (what < 99) {
            step_scavenge(&m);
        } else {
            step_prefault(&m);
        }
        if (i % VERIFY_EVERY == 0) mo_page_alloc_verify(&m.pa);
        if (i % (VERIFY_EVERY * 50) == 0) check_against_model(&m);
    }
    check_against_model(&m);
    while (m.num_runs > 0) step_put(&m);
    check_against_model(&m);
    assert_int_equal(m.pa.num_free, m.num_pages);
    tables_free(&m.pa);
    free(m.inuse);
    free(m.released);
    free(m.runs);
}

static void random_steps_agree_with_the_model(void **state) {
    (void)state;
    for (unsigned i = 0; i < test_runs(4); i++)
        run_model(test_seed("small heap", i), 6, test_steps(100000));
}

static void random_steps_agree_with_the_model_above_64_chunks(void **state) {
    (void)state;
    for (unsigned i = 0; i < test_runs(2); i++)
        run_model(test_seed("large heap", i), 80, test_steps(100000));
}

/* ---------------------------------------------------------------- single behaviours */

/* 4200 chunks: two nodes on the top level. */
static void runs_cross_the_borders_of_every_level(void **state) {
    (void)state;
    enum { CHUNKS = 4200, PAGES = CHUNKS * MO_CHUNK_PAGES };
    static const uint32_t borders[] = {1, 63, 64, 65, 128, 4095, 4096, 4097};
    mo_page_alloc pa;
    bool is_zero;
    tables_make(&pa, PAGES);
    mo_page_alloc_grow(&pa, PAGES);
    assert_int_equal(mo_page_alloc_take(&pa, PAGES, 1, &is_zero), 0);
    assert_true(is_zero);
    assert_int_equal(mo_page_alloc_take(&pa, 1, 1, &is_zero), NONE);
    for (size_t i = 0; i < MO_ARRAY_LEN(borders); i++) {
        uint32_t first = borders[i] * MO_CHUNK_PAGES - 300, n = 1000;
        mo_page_alloc_put(&pa, first, n, false);
        mo_page_alloc_verify(&pa);
        assert_int_equal(mo_page_alloc_take(&pa, n + 1, 1, &is_zero), NONE);
        assert_int_equal(mo_page_alloc_take(&pa, n, 1, &is_zero), first);
        assert_false(is_zero);
        mo_page_alloc_verify(&pa);
    }
    /* A run over whole nodes of the middle level, with ragged ends. */
    uint32_t first = 60 * MO_CHUNK_PAGES + 7, n = 4100 * MO_CHUNK_PAGES;
    mo_page_alloc_put(&pa, first, n, true);
    mo_page_alloc_verify(&pa);
    assert_int_equal(mo_page_alloc_take(&pa, n + 1, 1, &is_zero), NONE);
    assert_int_equal(mo_page_alloc_take(&pa, n - 1, 1, &is_zero), first);
    assert_true(is_zero);
    assert_int_equal(mo_page_alloc_take(&pa, 1, 1, &is_zero), first + n - 1);
    assert_int_equal(pa.num_free, 0);
    mo_page_alloc_verify(&pa);
    tables_free(&pa);
}

static void scattered_pages_do_not_make_a_run(void **state) {
    (void)state;
    mo_page_alloc pa;
    bool is_zero;
    tables_make(&pa, 4 * MO_CHUNK_PAGES);
    mo_page_alloc_grow(&pa, 4 * MO_CHUNK_PAGES);
    mo_page_alloc_take(&pa, 4 * MO_CHUNK_PAGES, 1, &is_zero);
    for (uint32_t p = 0; p < 4 * MO_CHUNK_PAGES; p += 2) mo_page_alloc_put(&pa, p, 1, false);
    assert_int_equal(mo_page_alloc_take(&pa, 2, 1, &is_zero), NONE);
    assert_int_equal(pa.num_free, 2 * MO_CHUNK_PAGES);
    mo_page_alloc_put(&pa, 1001, 1, false);
    assert_int_equal(mo_page_alloc_take(&pa, 3, 1, &is_zero), 1000);
    tables_free(&pa);
}

static void a_run_is_zero_only_if_all_of_it_was_released(void **state) {
    (void)state;
    mo_page_alloc pa;
    bool is_zero;
    tables_make(&pa, MO_CHUNK_PAGES);
    mo_page_alloc_grow(&pa, MO_CHUNK_PAGES);
    assert_int_equal(mo_page_alloc_take(&pa, 8, 1, &is_zero), 0);
    assert_true(is_zero);
    mo_page_alloc_put(&pa, 0, 7, true);
    mo_page_alloc_put(&pa, 7, 1, false);
    assert_int_equal(mo_page_alloc_take(&pa, 8, 1, &is_zero), 0);
    assert_false(is_zero);
    mo_page_alloc_put(&pa, 0, 8, true);
    assert_int_equal(mo_page_alloc_take(&pa, 8, 1, &is_zero), 0);
    assert_true(is_zero);
    tables_free(&pa);
}

static void put_twice(void *arg) { mo_page_alloc_put(arg, 3, 1, false); }
static void put_outside(void *arg) { mo_page_alloc_put(arg, MO_CHUNK_PAGES - 1, 2, false); }
static void grow_by_half(void *arg) { mo_page_alloc_grow(arg, MO_CHUNK_PAGES / 2); }
static void align_by_three(void *arg) {
    bool is_zero;
    mo_page_alloc_take(arg, 1, 3, &is_zero);
}
static void spoil_bit(void *arg) {
    mo_page_alloc *pa = arg;
    pa->inuse[4] ^= 1;
    mo_page_alloc_verify(pa);
}
static void spoil_summary(void *arg) {
    mo_page_alloc *pa = arg;
    pa->level[1][0].max--;
    mo_page_alloc_verify(pa);
}

#if MO_VARIETY >= 1
static void misuse_throws(void **state) {
    (void)state;
    mo_page_alloc pa;
    bool is_zero;
    tables_make(&pa, 2 * MO_CHUNK_PAGES);
    mo_page_alloc_grow(&pa, MO_CHUNK_PAGES);
    mo_page_alloc_take(&pa, 3, 1, &is_zero);
    assert_throws(put_twice, &pa, "page freed twice");
    assert_throws(put_outside, &pa, "put outside the heap");
    assert_throws(grow_by_half, &pa, "growth is not whole chunks");
    assert_throws(align_by_three, &pa, "bad request");
    tables_free(&pa);
}
#endif

static void verify_notices_damage(void **state) {
    (void)state;
    mo_page_alloc pa;
    tables_make(&pa, MO_CHUNK_PAGES);
    mo_page_alloc_grow(&pa, MO_CHUNK_PAGES);
    assert_throws(spoil_bit, &pa, "page_alloc: ");
    assert_throws(spoil_summary, &pa, "stale summary");
    mo_page_alloc_verify(&pa);
    tables_free(&pa);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_steps_agree_with_the_model),
        cmocka_unit_test(random_steps_agree_with_the_model_above_64_chunks),
        cmocka_unit_test(runs_cross_the_borders_of_every_level),
        cmocka_unit_test(scattered_pages_do_not_make_a_run),
        cmocka_unit_test(a_run_is_zero_only_if_all_of_it_was_released),
#if MO_VARIETY >= 1
        cmocka_unit_test(misuse_throws),
#endif
        cmocka_unit_test(verify_notices_damage),
    };
#if MO_VARIETY < 1
    (void)put_twice, (void)put_outside, (void)grow_by_half, (void)align_by_three;
#endif
    return cmocka_run_group_tests(tests, NULL, NULL);
}
