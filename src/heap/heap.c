/* heap.c - the page heap: one reservation, arenas, spans from pages, pages back to the OS.
 *
 * Address space is reserved once (1 TiB, or less where a limit refuses) and made accessible in
 * arenas of 64 MiB, lowest first; the side tables grow with it. Huge pages are advised for all
 * but the first 4 MiB: fresh memory then costs a third per byte, while a small program does not
 * pay 2 MiB for its first object. First fit by address fills started blocks first.
 *
 * Floor   heap. Uses os_mem, page_alloc.
 * Locks   heap lock for the page allocator; never held across madvise: the scavenger takes pages
 *         as in use, releases them unlocked, and puts them back as released.
 * Holds   page 0 is never handed out, so page number 0 can mean "none" in lists.
 * Fails   NULL when the OS refuses to commit or the reservation is full; state is unchanged.
 * Go      mheap.go. Differs: records by page number instead of a separate allocator.
 */
#include "heap/heap.h"

#include <errno.h>
#include <string.h>

#include "heap/holes.h"
#include "sys/os_mem.h"
#include "sys/stream.h"

MO_GLOBAL mo_heap_map mo_map;
MO_GLOBAL mo_heap mo_the_heap;

enum {
    LARGE_PAGES = 32, /* see large_limit_pages */
};

typedef struct tables {
    uintptr_t base;
    size_t info_off, mark_off, alloc_off, spans_off, inuse_off, released_off,
        level_off[MO_SUM_LEVELS];
    size_t bytes;
} tables;

static MO_GLOBAL tables side;

static tables layout(size_t heap_bytes) {
    size_t pages = heap_bytes >> MO_PAGE_SHIFT, off = 0;
    tables t = {0};
#define PLACE(field, size)                                                                         \
    t.field = off;                                                                                 \
    off = mo_align_up(off + (size), MO_OS_PAGE_BYTES)
    PLACE(info_off, pages * sizeof(uint32_t));
    PLACE(mark_off, pages * MO_BITS_PAGE_WORDS * 8);
    PLACE(alloc_off, pages * MO_BITS_PAGE_WORDS * 8);
    PLACE(spans_off, pages * sizeof(mo_span));
    PLACE(inuse_off, pages / 8);
    PLACE(released_off, pages / 8);
    for (int l = 0; l < MO_SUM_LEVELS; l++) {
        PLACE(level_off[l], mo_page_alloc_level_len(l, pages) * sizeof(mo_page_sum));
    }
#undef PLACE
    t.bytes = off;
    return t;
}

int mo_heap_init(void) {
    static const size_t sizes[] = {(size_t)1 << 40, (size_t)64 << 30, (size_t)4 << 30};
    mo_heap *h = &mo_the_heap;
    for (size_t i = 0; i < MO_ARRAY_LEN(sizes); i++) {
        tables t = layout(sizes[i]);
        void *heap = mo_os_reserve(sizes[i], MO_MAX_ALIGN_BYTES, "mound heap");
        if (!heap) continue;
        t.base = (uintptr_t)mo_os_reserve(t.bytes, MO_OS_PAGE_BYTES, "mound tables");
        if (t.base == 0) {
            mo_os_unreserve(heap, sizes[i]);
            continue;
        }
        mo_os_no_dump((uintptr_t)heap, sizes[i], true);
        mo_os_no_dump(t.base, t.bytes, true);
        side = t;
        memset(h, 0, sizeof *h);
        mo_lock_init(&h->lock, MO_RANK_HEAP);
        mo_holes_init();
        h->reserved_bytes = sizes[i];
        h->limit_pages = h->large_limit_pages = UINT64_MAX;
        h->table_bytes = t.bytes;
        h->pages.inuse = (uint64_t *)(t.base + t.inuse_off);
        h->pages.released = (uint64_t *)(t.base + t.released_off);
        for (int l = 0; l < MO_SUM_LEVELS; l++)
            h->pages.level[l] = (mo_page_sum *)(t.base + t.level_off[l]);
        mo_map.base = (uintptr_t)heap;
        mo_map.used_bytes = 0;
        mo_map.info = (uint32_t *)(t.base + t.info_off);
        mo_map.mark = (uint64_t *)(t.base + t.mark_off);
        mo_map.alloc = (uint64_t *)(t.base + t.alloc_off);
        mo_map.spans = (mo_span *)(t.base + t.spans_off);
        return 0;
    }
    return -ENOMEM;
}

void mo_heap_fini(void) {
    mo_os_unreserve((void *)mo_map.base, mo_the_heap.reserved_bytes);
    mo_os_unreserve((void *)side.base, side.bytes);
    memset(&mo_map, 0, sizeof mo_map);
}

/* The bytes of a table for pages [first, first + n), widened to OS pages: bounds may be shared
 * with the arena before, and committing twice is harmless. */
static bool commit_table(size_t table_off, size_t first_byte, size_t bytes) {
    uintptr_t lo = mo_align_down(side.base + table_off + first_byte, MO_OS_PAGE_BYTES);
    uintptr_t hi = mo_align_up(side.base + table_off + first_byte + bytes, MO_OS_PAGE_BYTES);
    mo_add_owned_rlx(&mo_the_heap.committed_table_bytes, hi - lo); /* heap lock */
    mo_os_no_dump(lo, hi - lo, false);
    return mo_os_commit(lo, hi - lo);
}

static bool commit_tables(uint32_t first, uint32_t n) {
    size_t bits = MO_BITS_PAGE_WORDS * 8;
    bool ok = commit_table(side.info_off, (size_t)first * 4, (size_t)n * 4) &&
              commit_table(side.mark_off, first * bits, n * bits) &&
              commit_table(side.alloc_off, first * bits, n * bits) &&
              commit_table(side.spans_off, first * sizeof(mo_span), n * sizeof(mo_span)) &&
              commit_table(side.inuse_off, first / 8, n / 8) &&
              commit_table(side.released_off, first / 8, n / 8);
    for (int l = 0; ok && l < MO_SUM_LEVELS; l++) {
        size_t lo =
            l == 0 ? first / MO_CHUNK_PAGES : mo_page_alloc_level_len(l, first ? first : 1) - 1;
        size_t hi = mo_page_alloc_level_len(l, (size_t)first + n);
        ok = commit_table(side.level_off[l], lo * sizeof(mo_page_sum),
                          (hi - lo) * sizeof(mo_page_sum));
    }
    return ok;
}

/* Makes at least num_pages more pages accessible. Heap lock held. */
static bool grow_locked(uint32_t num_pages) {
    mo_heap *h = &mo_the_heap;
    uint32_t first = h->pages.num_pages;
    size_t want = mo_align_up(num_pages, MO_ARENA_PAGES);
    size_t left = (h->reserved_bytes >> MO_PAGE_SHIFT) - first;
    if (want > left) return false;
    uint32_t n = (uint32_t)want;
    uintptr_t lo = mo_page_addr(first);
    size_t bytes = (size_t)n << MO_PAGE_SHIFT;
    if (!commit_tables(first, n) || !mo_os_commit(lo, bytes)) return false;
    mo_os_no_dump(lo, bytes, false);
    size_t skip = first == 0 ? MO_FIRST_HUGE_BYTES : 0;
    mo_os_huge(lo + skip, bytes - skip);
    if (h->grown) h->grown(lo, bytes); /* before anything lies there */
    mo_page_alloc_grow(&h->pages, n);
    if (first == 0) {
        bool is_zero;
        mo_page_alloc_take(&h->pages, 1, 1, &is_zero);
    }
    /* [G] pairs with [G] in span.h: tables before range */
    mo_store_rel(&mo_map.used_bytes, mo_map.used_bytes + bytes);
    return true;
}

/* How many free pages are to be given back, if there are any, after num_fresh were taken. */
static uint64_t over_limit_locked(uint32_t num_fresh) {
    const mo_heap *h = &mo_the_heap;
    uint64_t used = h->pages.num_pages - h->pages.num_released;
    uint64_t limit = mo_load_rlx(&h->limit_pages);       /* set now and then */
    uint64_t large = mo_load_rlx(&h->large_limit_pages); /* likewise */
    if (h->pages.num_free == h->pages.num_released) return 0;
    if (used > limit) return used - limit;
#if MO_MUTANT_large_keeps_holes
    return 0;
#endif
    /* What is above for another reason is the background's. */
    return num_fresh >= LARGE_PAGES && used > large ? mo_min(used - large, num_fresh) : 0;
}

mo_span *mo_heap_take_span(uint32_t num_pages, uint32_t align_pages) {
    mo_heap *h = &mo_the_heap;
    bool is_zero = false;
    mo_lock_acquire(&h->lock);
    uint32_t page = mo_page_alloc_take(&h->pages, num_pages, align_pages, &is_zero);
    if (page == UINT32_MAX) {
        /* The free end of the last arena joins the new one, but alignment may waste it. */
        if (num_pages + align_pages > num_pages && grow_locked(num_pages + align_pages - 1))
            page = mo_page_alloc_take(&h->pages, num_pages, align_pages, &is_zero);
    }
    if (page != UINT32_MAX)
        mo_add_owned_rlx(&h->inuse_pages, num_pages); /* the lock orders it; others estimate */
    uint64_t low = mo_load_rlx(&h->low_pages);        /* set now and then */
    if (MO_UNLIKELY(h->pages.num_free - h->pages.num_released < low) && h->runs_low) h->runs_low();
    uint64_t over = over_limit_locked(is_zero ? num_pages : 0);
    mo_lock_release(&h->lock);
    if (page == UINT32_MAX) return NULL;
    if (MO_UNLIKELY(over > 0)) mo_heap_scavenge(over << MO_PAGE_SHIFT, 0, false);
    mo_span *s = &mo_map.spans[page];
    s->next = s->prev = 0;
    memset(&s->nelems, 0, offsetof(mo_span, slack) - offsetof(mo_span, nelems));
    mo_store_rlx(&s->slack, MO_SLACK_NONE); /* the marker may look at the span before */
    mo_store_rlx(&s->num_pages, num_pages); /* barrier.c looks at any moment, and allows for it */
    s->needs_zero = !is_zero;
    return s;
}

/* From page number `from` of the span on. */
static void enter_pages(const mo_span *s, uint32_t from, uint32_t word) {
    uint32_t first = mo_span_page(s);
    for (uint32_t i = from; i < s->num_pages; i++) {
        uint32_t back = i < MO_INFO_BACK_MAX ? i : MO_INFO_BACK_MAX;
        /* Who holds a pointer into the span got it after this; fork.c looks for spans by it.
         * [Z] pairs with [Z] below */
        mo_store_rel(&mo_map.info[first + i], word | back << MO_INFO_BACK_SHIFT);
    }
}

void mo_span_init(mo_span *s, struct mo_central *central, mo_kind kind, unsigned size_class,
                  size_t elem_bytes, uint32_t nelems, const struct mo_type_info *type,
                  uint32_t type_id) {
    s->central = central;
    s->kind = (uint8_t)kind;
    s->size_class = (uint8_t)size_class;
    s->elem_bytes = elem_bytes;
    s->nelems = (uint16_t)nelems;
    s->type = type;
    s->sweepgen = mo_load_rlx(&mo_the_heap.sweepgen); /* changes only while all are stopped */
    uint32_t word = size_class | (uint32_t)kind << MO_INFO_KIND_SHIFT;
    if (size_class != 0) word |= type_id << MO_INFO_TYPE_SHIFT;
    enter_pages(s, 0, word);
}

static void set_info_kind(const mo_span *s, mo_kind kind) {
    uint32_t first = mo_span_page(s);
    for (uint32_t i = 0; i < s->num_pages; i++) {
        uint32_t info = mo_load_rlx(&mo_map.info[first + i]); /* only its taker changes it */
        info &= ~((uint32_t)7 << MO_INFO_KIND_SHIFT);
        mo_store_rel(&mo_map.info[first + i],
                     info | (uint32_t)kind << MO_INFO_KIND_SHIFT); /* [Z] */
    }
}

void mo_span_hide_words(mo_span *s) { set_info_kind(s, MO_KIND_NOSCAN); }

void mo_span_clear_words(mo_span *s, size_t bytes) {
    mo_clear((void *)mo_span_start(s), bytes);
    set_info_kind(s, (mo_kind)s->kind);
}

/* While somebody marks, sizes stay: he reads them, and has counted this one perhaps. */
static bool may_extend_locked(const mo_span *s, size_t had_bytes) {
    bool is_marking = mo_the_heap.is_marking, was_extended = s->elem_bytes != had_bytes;
#if MO_MUTANT_extend_marking
    is_marking = false;
#elif MO_MUTANT_extend_twice
    was_extended = false;
#endif
    return !is_marking && !was_extended;
}

bool mo_heap_take_behind(const mo_span *s, uint32_t num_pages, size_t had_bytes, bool *is_zero) {
    mo_heap *h = &mo_the_heap;
    uint64_t over = 0;
    mo_lock_acquire(&h->lock);
    uint32_t end = mo_span_page(s) + s->num_pages;
    uint32_t here = (uint32_t)mo_min(num_pages, h->pages.num_pages - end);
    bool ok = may_extend_locked(s, had_bytes) && mo_page_alloc_is_free(&h->pages, end, here) &&
              (here == num_pages || grow_locked(num_pages - here));
    if (ok) {
        mo_page_alloc_take_at(&h->pages, end, num_pages, is_zero);
        mo_add_owned_rlx(&h->inuse_pages, num_pages); /* as in mo_heap_take_span */
        over = over_limit_locked(*is_zero ? num_pages : 0);
    }
    mo_lock_release(&h->lock);
    if (MO_UNLIKELY(over > 0)) mo_heap_scavenge(over << MO_PAGE_SHIFT, 0, false);
    return ok;
}

bool mo_heap_extend_span(mo_span *s, uint32_t num_pages, size_t had_bytes) {
    mo_heap *h = &mo_the_heap;
    uint32_t from = (uint32_t)(had_bytes >> MO_PAGE_SHIFT);
    mo_lock_acquire(&h->lock);
    bool ok = may_extend_locked(s, had_bytes);
    if (ok) {
        mo_store_rlx(&s->num_pages, from + num_pages); /* barrier.c looks at any moment */
        mo_store_rlx(&s->elem_bytes, (size_t)(from + num_pages) << MO_PAGE_SHIFT); /* others ask */
        enter_pages(s, from, (uint32_t)s->kind << MO_INFO_KIND_SHIFT);
    } else {
        mo_add_owned_rlx(&h->inuse_pages, -(uint64_t)num_pages); /* as above */
        mo_page_alloc_put(&h->pages, mo_span_page(s) + from, num_pages, false);
    }
    mo_lock_release(&h->lock);
    return ok;
}

void mo_heap_put_span(mo_span *s) {
    mo_heap *h = &mo_the_heap;
    uint32_t first = mo_span_page(s), n = s->num_pages;
    mo_span_set_state(s, MO_SPAN_FREE);
    for (uint32_t i = 0; i < n; i++)
        mo_store_rlx(&mo_map.info[first + i], 0); /* stale pointers may be asked about meanwhile */
    mo_lock_acquire(&h->lock);
    mo_add_owned_rlx(&h->inuse_pages, -(uint64_t)n); /* as in mo_heap_take_span */
    bool is_released = false;
#if MO_MUTANT_put_says_zero
    is_released = true;
#endif
    mo_page_alloc_put(&h->pages, first, n, is_released);
    mo_lock_release(&h->lock);
}

/* The side tables of a chunk that is entirely free and released hold nothing: give them back. */
static void release_tables(uint32_t page, uint32_t n) {
    if (n < MO_BLOCK_PAGES) return;
    size_t bits = MO_BITS_PAGE_WORDS * 8;
    mo_os_release(side.base + side.mark_off + page * bits, n * bits);
    mo_os_release(side.base + side.alloc_off + page * bits, n * bits);
    mo_os_release(side.base + side.spans_off + page * sizeof(mo_span), n * sizeof(mo_span));
}

size_t mo_heap_scavenge(size_t max_bytes, size_t retain_bytes, bool whole_blocks_only) {
    mo_heap *h = &mo_the_heap;
    size_t done = 0;
    for (int pass = 0; pass < (whole_blocks_only ? 1 : 2); pass++) {
        while (done < max_bytes) {
            uint32_t page, n = 0;
            mo_lock_acquire(&h->lock);
            uint64_t dirty_bytes = (h->pages.num_free - h->pages.num_released) << MO_PAGE_SHIFT;
            if (dirty_bytes > retain_bytes)
                n = mo_page_alloc_take_dirty(&h->pages, pass == 0, &page);
            mo_lock_release(&h->lock);
            if (n == 0) break;
            size_t bytes = (size_t)n << MO_PAGE_SHIFT;
#if MO_MUTANT_scavenge_puts_first
            mo_lock_acquire(&h->lock);
            mo_page_alloc_put(&h->pages, page, n, true);
            mo_lock_release(&h->lock);
            bool ok = mo_os_release(mo_page_addr(page), bytes);
#else
            bool in_part = n < MO_BLOCK_PAGES && mo_holes_begin(page / MO_BLOCK_PAGES);
            bool ok = mo_os_release(mo_page_addr(page), bytes);
            if (ok) release_tables(page, n);
            mo_lock_acquire(&h->lock);
            mo_page_alloc_put(&h->pages, page, n, ok);
            mo_lock_release(&h->lock);
            if (in_part) mo_holes_end();
#endif
            if (!ok) return done; /* the system refuses; trying on would spin */
            done += bytes;
        }
    }
    return done;
}

void mo_heap_each_span(void (*fn)(mo_span *s)) {
    for (uint32_t page = 1; page < mo_the_heap.pages.num_pages;) {
        /* A fresh span is known by its page table entries: its record is there by then. */
        if (mo_load_acq(&mo_map.info[page]) == 0) { /* [Z] pairs with [Z] above */
            page++;
            continue;
        }
        mo_span *s = &mo_map.spans[page];
        page += s->num_pages;
        fn(s);
    }
}

size_t mo_heap_prefault(size_t max_bytes, size_t ahead_bytes) {
    mo_heap *h = &mo_the_heap;
    const size_t bytes = (size_t)MO_BLOCK_PAGES << MO_PAGE_SHIFT;
    size_t done = 0;
    while (done < max_bytes) {
        uint32_t page;
        mo_lock_acquire(&h->lock);
        bool found = (h->pages.num_free - h->pages.num_released) << MO_PAGE_SHIFT < ahead_bytes;
        /* An arena too: changes of mappings wait for whoever populates. */
        found = found &&
                (mo_page_alloc_take_released(&h->pages, &page) ||
                 (grow_locked(MO_ARENA_PAGES) && mo_page_alloc_take_released(&h->pages, &page)));
        mo_lock_release(&h->lock);
        if (!found) break;
        bool ok = mo_os_populate(mo_page_addr(page), bytes);
        mo_lock_acquire(&h->lock);
        mo_page_alloc_put(&h->pages, page, MO_BLOCK_PAGES, !ok);
        mo_lock_release(&h->lock);
        if (!ok) break;
        done += bytes;
    }
    return done;
}

void mo_span_verify(const mo_span *s) {
    uint32_t first = mo_span_page(s);
    for (uint32_t i = 0; i < s->num_pages; i++) {
        uint32_t info = mo_map.info[first + i];
        bool is_hidden = s->size_class == 0 && mo_info_kind(info) == MO_KIND_NOSCAN;
        if ((info & 0xff) != s->size_class || (mo_info_kind(info) != s->kind && !is_hidden))
            mo_throw("span: page table disagrees");
        if (mo_info_first_page(first + i, info) != first)
            mo_throw("span: page points to another span");
    }
    const uint64_t *alloc = mo_span_alloc_bits(s), *mark = mo_span_mark_bits(s);
    for (uint32_t w = 0; w < mo_span_words(s); w++) {
        uint64_t valid = mo_span_word_mask(s, w);
        if (((alloc[w] ^ mark[w]) & valid) != valid)
            mo_throw("span: mark bits are not the complement of alloc bits");
    }
}
