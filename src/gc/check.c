/* check.c - slow and simple second opinions on the heap and the mark.
 *
 * The second mark shares nothing with mark.c but the roots and find(): one thread, a plain stack,
 * its own bitmap. It is for finding bugs, so it stops at the first.
 *
 * Floor   gc. World stopped.
 * Fails   if there is no memory for its bitmap or stack, it says so and checks nothing.
 */
#include "gc/check.h"

#include <string.h>

#include "gc/gc.h"
#include "gc/mark.h"
#include "gc/types.h"
#include "sys/cpu.h"
#include "sys/os_mem.h"

void mo_check_heap(void) {
    mo_heap *h = &mo_the_heap;
    mo_lock_acquire(&h->lock); /* the background thread is not stopped: it may give pages back */
    mo_page_alloc_verify(&h->pages);
    for (uint32_t page = 1; page < h->pages.num_pages;) {
        uint32_t info = mo_map.info[page];
        bool in_use = h->pages.inuse[page / 64] >> (page % 64) & 1;
        if (info == 0) {
            page++;
            continue;
        }
        if (!in_use) mo_throw("verify: a free page belongs to a span");
        const mo_span *s = &mo_map.spans[page];
        bool swept = s->sweepgen == h->sweepgen && s->kind != MO_KIND_MANUAL;
        if (swept && s->state != MO_SPAN_CACHED) mo_span_verify(s);
        page += s->num_pages;
    }
    mo_lock_release(&h->lock);
}

/* ---------------------------------------------------------------- second mark */

typedef struct checker {
    uint64_t *seen; /* as mo_map.mark */
    uintptr_t *stack;
    size_t num, cap, seen_bytes;
    bool exhausted;
    uintptr_t own_lo,
        own_hi; /* the collector's own frames, if it runs on a stack within the heap */
} checker;

static bool is_allocated(const mo_slot *sl) {
    return mo_span_alloc_bits(sl->span)[sl->idx / 64] >> (sl->idx % 64) & 1;
}

static void visit(checker *c, uintptr_t addr, uintptr_t parent, uintptr_t off, const char *what) {
    mo_slot sl;
    if (!mo_find(addr, &sl) || !is_allocated(&sl)) return;
    size_t word = (size_t)mo_span_page(sl.span) * MO_BITS_PAGE_WORDS + sl.idx / 64;
    uint64_t bit = (uint64_t)1 << (sl.idx % 64);
    if (c->seen[word] & bit) return;
    c->seen[word] |= bit;
    if (sl.span->kind != MO_KIND_MANUAL && !(mo_map.mark[word] & bit)) {
        mo_print("mound: checkmark: object %p (%zu bytes) is reachable from %s %p at offset %zu "
                 "but not marked\n",
                 (void *)sl.base, sl.span->elem_bytes, what, (void *)parent, (size_t)off);
        mo_throw("checkmark: the marker missed an object");
    }
    /* The page table's word: a large object that is not cleared yet counts as noscan there. */
    if (mo_info_kind(mo_map.info[mo_span_page(sl.span)]) == MO_KIND_NOSCAN) return;
    if (c->num == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 1 << 16;
        uintptr_t *bigger = mo_os_map(cap * sizeof *bigger, "mound check");
        if (!bigger) {
            c->exhausted = true;
            return;
        }
        if (c->stack) {
            memcpy(bigger, c->stack, c->num * sizeof *bigger);
            mo_os_unmap(c->stack, c->cap * sizeof *bigger);
        }
        c->stack = bigger;
        c->cap = cap;
    }
    c->stack[c->num++] = sl.base;
}

static void check_words(checker *c, uintptr_t lo, uintptr_t hi, bool ambiguous, const char *what) {
    for (uintptr_t p = lo; p + 8 <= hi; p += 8) {
        if (p >= c->own_lo && p < c->own_hi) continue;
        uintptr_t w = mo_cpu_peek((const uintptr_t *)p);
        visit(c, w, lo, p - lo, what);
        mo_slot at;
        if (ambiguous && (w & 15) == 0 && !(mo_find(w, &at) && at.base != w) &&
            mo_find(w - 1, &at) && !mo_slot_has_slack(&at))
            visit(c, w - 1, lo, p - lo, what);
    }
}

static void check_object(checker *c, uintptr_t obj) {
    mo_slot sl;
    if (!mo_find(obj, &sl)) mo_throw("checkmark: an object vanished");
    const mo_span *s = sl.span;
    if (s->kind != MO_KIND_TYPED) {
        check_words(c, obj, obj + s->elem_bytes, s->kind == MO_KIND_MANUAL, "object");
        return;
    }
    size_t num = s->size_class ? 1 : s->elem_bytes / s->type->bytes;
    for (size_t i = 0; i < num; i++) {
        for (uint32_t k = 0; k < s->type->num_ptrs; k++) {
            size_t off = i * s->type->bytes + s->type->ptr_offs[k];
            visit(c, *(const uintptr_t *)(obj + off), obj, off, "object");
        }
    }
}

static void see_claimed(const mo_span *s, const uint64_t *claimed, void *arg) {
    checker *c = arg;
    for (uint32_t w = 0; w < mo_span_words(s); w++)
        c->seen[(size_t)mo_span_page(s) * MO_BITS_PAGE_WORDS + w] |= claimed[w];
}

static void visit_manual(checker *c) {
    for (uint32_t page = 1; page < mo_the_heap.pages.num_pages;) {
        uint32_t info = mo_map.info[page];
        const mo_span *s = &mo_map.spans[page];
        if (info == 0) {
            page++;
            continue;
        }
        for (uint32_t i = 0; mo_info_kind(info) == MO_KIND_MANUAL && i < s->nelems; i++)
            visit(c, mo_span_start(s) + i * s->elem_bytes, 0, 0, "uncollectable memory");
        page += s->num_pages;
    }
}

void mo_check_mark(uintptr_t stack_end) {
    enum { FRAMES_BELOW_BYTES = 16 << 10 };
    checker c = {.own_lo = mo_cpu_sp() - FRAMES_BELOW_BYTES, .own_hi = stack_end};
    c.seen_bytes = ((size_t)mo_the_heap.pages.num_pages + 1) * MO_BITS_PAGE_WORDS * 8; /* never 0 */
    c.seen = mo_os_map(c.seen_bytes, "mound check");
    if (!c.seen) {
        mo_print(
            "mound: gccheckmark: no memory for a second bitmap; this collection is not checked\n");
        return;
    }
    for (mo_thread *t = mo_the_world.threads; t; t = t->next)
        mo_cache_each_claimed(&t->cache, see_claimed, &c);
    visit_manual(&c);
    for (size_t i = 0; i < mo_mark_num_roots(); i++) {
        uintptr_t lo, hi;
        mo_mark_root_at(i, &lo, &hi);
        check_words(&c, lo, hi, true, "root");
    }
    while (c.num > 0) check_object(&c, c.stack[--c.num]);
    if (c.exhausted)
        mo_print(
            "mound: gccheckmark: no memory for its stack; this collection is checked in part\n");
    if (c.stack) mo_os_unmap(c.stack, c.cap * sizeof *c.stack);
    mo_os_unmap(c.seen, c.seen_bytes);
}

/* ---------------------------------------------------------------- forgotten fields */

static bool is_listed(const mo_type_info *type, size_t off) {
    for (uint32_t k = 0; k < type->num_ptrs; k++)
        if (type->ptr_offs[k] == off) return true;
    return false;
}

static bool is_dying(uintptr_t addr) {
    mo_slot sl;
    if (!mo_find(addr, &sl) || !is_allocated(&sl)) return false;
    return !(mo_span_mark_bits(sl.span)[sl.idx / 64] >> (sl.idx % 64) & 1);
}

void mo_check_typed_fields(void) {
    enum { MAX_LINES = 10 };
    int lines = 0;
    for (uint32_t page = 1; page < mo_the_heap.pages.num_pages && lines < MAX_LINES;) {
        uint32_t info = mo_map.info[page];
        const mo_span *s = &mo_map.spans[page];
        if (info == 0) {
            page++;
            continue;
        }
        page += s->num_pages;
        if (s->kind != MO_KIND_TYPED || s->size_class == 0 || s->state == MO_SPAN_CACHED) continue;
        if (s->type->num_ptrs == 0) continue; /* weak handles: a program's go to noscan memory */
        for (uint32_t i = 0; i < s->nelems && lines < MAX_LINES; i++) {
            uint64_t bit = (uint64_t)1 << (i % 64);
            if (!(mo_span_alloc_bits(s)[i / 64] & mo_span_mark_bits(s)[i / 64] & bit)) continue;
            uintptr_t obj = mo_span_start(s) + i * s->elem_bytes;
            for (size_t off = 0; off + 8 <= s->type->bytes; off += 8) {
                if (is_listed(s->type, off) || !is_dying(*(const uintptr_t *)(obj + off))) continue;
                lines++;
                mo_print("mound: type %s does not list the word at offset %zu, but in object %p it "
                         "is the only "
                         "reference to an object that is freed now\n",
                         s->type->name, off, (void *)obj);
            }
        }
    }
}
