/* mark.c - the parallel marker.
 *
 * Each worker holds one buffer of grey *candidates*: addresses found in roots or objects that lie
 * in the heap, not yet resolved. It takes them last in, first out, and passes them through a
 * FIFO of prefetched addresses: by the time a candidate comes out, its mark bits and its object
 * are in the cache. That hides most of the memory latency, which is what marking is made of
 * (docs/design/gc.md has the figures).
 *
 *   candidate -> find its slot -> mark bit set already? done : set it -> scan the object
 *
 * Free and claimed slots have their mark bit set from the start (heap/span.h), so the one bit
 * also answers "is it allocated". A candidate with a tag in its low bits is not an object but a
 * place to scan: the start of a piece of an object above OBLET_BYTES, so that several workers share
 * it, or an OS page whose marked objects may have been written since they were scanned.
 *
 * One candidate leaves the FIFO for each that enters, so that fetches and atomic exchanges overlap
 * with scanning: eight at a time, with one exchange for those whose bits stand in one word, cost
 * half as much again. (Giving each worker its own part of the heap, with plain stores and messages
 * between workers, was as fast on an idle machine and up to thirty times slower on a busy one,
 * where a worker that is not running cannot be helped; see docs/design/gc.md.)
 *
 * Full buffers go to a shared list; a worker that has more than a few candidates shares half
 * when somebody is idle. Ending: a worker without work counts itself idle and looks again; when
 * all are idle and the list is empty, nobody can create work. A worker that sees this early
 * leaves while another still works; that one does the rest itself, so nothing is lost.
 *
 * If no buffer can be had (memory exhausted), candidates are dropped and `overflow` is set; then
 * every marked object is scanned again until no candidate was dropped. Slow, never wrong.
 *
 * Floor   gc. World stopped.
 * Holds   M1  an object whose mark bit this cycle set is scanned once, by the worker that set it
 *         M2  no worker is idle while it holds a candidate
 */
#include "gc/mark.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <string.h>

#include "gc/gc.h"
#include "gc/pacer.h"
#include "gc/page_copies.h"
#include "gc/types.h"
#include "gc/workbuf.h"
#include "sched/runtime_thread.h"
#include "sys/os_mem.h"
#include "sys/valgrind.h"

enum {
    FIFO_LEN = MO_VARIETY >= 2 ? 4 : 32, /* power of two */
    OBLET_BYTES = MO_VARIETY >= 2 ? 1024 : 128 << 10,
    ROOT_CHUNK_BYTES = 256 << 10,
    SHARE_MIN = 4,    /* candidates worth sharing: the oldest of a tree are its largest parts */
    SHARE_EVERY = 64, /* objects between looks at who is idle */
    TWO_EVERY = 8,    /* objects between two at a time; see drain */
    MAX_CREDIT_NS = 1000000,
    /* Of a processor that a thread wants as well a helper gets three tenths, of an idle one all. */
    HELPER_NICER = 4,
    TELL_BYTES = 128 << 10, /* scanned between two words to the pacer */
    SCAN_AHEAD_WORDS = 64,
    LINE_BYTES = 64,
    FETCH_BYTES = 256, /* of an object; of a longer one the rest is fetched while it is scanned */
    SEEN_LEN = 64,
    MANY_WORDS = 64, /* where it pays to look which targets are marked before they are pushed */
};

enum { TAG_OBLET = 1, TAG_PAGE = 2, TAG_MASK = 7 }; /* low bits of a candidate */

typedef struct mo_marker {
    mo_workbuf *buf;
    uint64_t bytes, objects;
    uint64_t page_bytes;  /* scanned again */
    uint64_t range_bytes; /* of mo_mark_scan_range, since the run began */
    uint64_t told_bytes;  /* of both, told to the pacer */
    uint64_t told_ns;     /* when it yielded last */
    int64_t credit_ns;    /* worked more than it waited since */
    uint32_t id;          /* 0 .. num_workers - 1 */
    uint32_t seen_go;     /* helper: the run before its first, set by who starts it */
    mo_workbuf first;     /* so that a worker can work even if memory is exhausted */
    /* Ambiguous words that it met in this mark, and that are marked or in a buffer: they need not
     * be pushed again. What lies where they point and was free then is black if it is no more. */
    uintptr_t seen[SEEN_LEN];
} mo_marker;

typedef struct root_range {
    uintptr_t lo, hi;
} root_range;

static MO_GLOBAL struct {
    mo_workbuf_pool pool;
    root_range *roots;
    size_t num_roots, cap_roots;
    size_t next_root; /* atomic: next range nobody took */
    mo_mark_report_fn *report, *stacks;
    uint32_t num_reports, num_stacks; /* of either; numbered through */
    uint32_t next_report;             /* atomic: likewise */
    bool is_recovering;               /* alone, in steps of one buffer */
    uint32_t num_workers, idle, overflow;
    bool heap_ends;
    mo_cpu_level level;
    /* helpers: [H] go is stored with release, [J] loaded with acquire; done likewise [D]/[E] */
    uint32_t num_helpers, go, done;
    mo_marker *marker[MO_MARK_MAX_WORKERS];
    uint64_t helper_cpu_ns;
    /* Of the mark that runs; the thread that drives it. */
    uint64_t root_bytes, cpu_ns;
    bool is_shared; /* mark bits change under other hands too: another worker's, or the program's */
} g;

/* ---------------------------------------------------------------- one worker */

static void forget_seen(mo_marker *m) { memset(m->seen, 0, sizeof m->seen); }

static MO_NOINLINE void buffer_full(mo_marker *m) {
    mo_workbuf *fresh = mo_workbuf_get(&g.pool);
    if (!fresh) {
        mo_store_rlx(&g.overflow, 1); /* read after all workers ended */
        /* Drops the newest; callers want room for up to 64. */
        m->buf->num = (uint32_t)mo_min(m->buf->num, MO_WORKBUF_ITEMS / 2);
#if !MO_MUTANT_mark_seen_though_dropped
        forget_seen(m);
#endif
        return;
    }
    if (m->buf == &m->first) {
        memcpy(fresh->item, m->buf->item, sizeof fresh->item);
        fresh->num = m->buf->num;
        m->buf->num = 0;
        mo_workbuf_push_full(&g.pool, fresh);
        return;
    }
    mo_workbuf_push_full(&g.pool, m->buf);
    m->buf = fresh;
}

MO_INLINE void push(mo_marker *m, uintptr_t candidate) {
    if (MO_UNLIKELY(m->buf->num >= MO_WORKBUF_ITEMS)) buffer_full(m);
    m->buf->item[m->buf->num++] = candidate;
}

/* Gives the older half away: it is nearer the root and leads to more. */
static MO_NOINLINE void share_half(mo_marker *m) {
    mo_workbuf *b = mo_workbuf_get(&g.pool);
    if (!b) return;
    uint32_t half = m->buf->num / 2;
    memcpy(b->item, m->buf->item, half * sizeof(uintptr_t));
    memmove(m->buf->item, m->buf->item + half, (m->buf->num - half) * sizeof(uintptr_t));
    b->num = half;
#if MO_MUTANT_mark_share_drops
    b->num = half / 2;
#endif
    m->buf->num -= half;
    mo_workbuf_push_full(&g.pool, b);
}

/* It may grow while marking runs: what is there then is black, and its pages count as written. */
MO_INLINE uintptr_t heap_bytes(void) { return mo_load_rlx(&mo_map.used_bytes); /* see above */ }

/* Words of [lo, hi), both aligned, that point into the heap become candidates. */
MO_INLINE void scan_words(mo_marker *m, uintptr_t lo, uintptr_t hi) {
    uintptr_t base = mo_map.base, used = heap_bytes();
    for (const uintptr_t *p = (const uintptr_t *)lo; p < (const uintptr_t *)hi; p++) {
        uintptr_t w = mo_cpu_peek(p);
        if (w - base < used) push(m, w & ~(uintptr_t)7);
    }
}

/* The same for words that may also be one past the end of an object: where w is exactly a slot's
 * base, the slot before it counts too, unless its object is known to end before. The same few words
 * come again and again, within a frame and from stack to stack: see seen. */
MO_INLINE void scan_ambiguous(mo_marker *m, uintptr_t lo, uintptr_t hi) {
    uintptr_t base = mo_map.base, used = heap_bytes();
    for (const uintptr_t *p = (const uintptr_t *)lo; p < (const uintptr_t *)hi; p++) {
        uintptr_t w = mo_cpu_peek(p);
        if (MO_LIKELY(w - base > used)) continue;
        uintptr_t *seen = &m->seen[w / 8 % SEEN_LEN];
        if (*seen == w) continue;
        *seen = w;
        if (w - base < used) push(m, w & ~(uintptr_t)7);
#if !MO_MUTANT_mark_forgets_ends
        if ((w & 15) == 0 && w - 1 - base < used) {
            mo_slot at, before;
            bool inside = mo_find(w, &at) && at.base != w;
            if (!inside && mo_find(w - 1, &before) && !mo_slot_has_slack(&before))
                push(m, before.base);
        }
#endif
    }
}

static MO_NOINLINE void scan_typed(mo_marker *m, uintptr_t obj, const mo_span *s) {
    const mo_type_info *type = s->type;
    uintptr_t base = mo_map.base, used = heap_bytes();
    size_t step = type->bytes;
    /* A small object is one element; a large one is an array of them. */
    size_t num = s->size_class ? 1 : s->elem_bytes / step;
#if MO_MUTANT_mark_array_short
    if (num > 1) num = num * 9 / 10;
#endif
    for (size_t i = 0; i < num; i++, obj += step) {
        for (uint32_t k = 0; k < type->num_ptrs; k++) {
            uintptr_t w = *(const uintptr_t *)(obj + type->ptr_offs[k]);
            if (w - base < used) push(m, w & ~(uintptr_t)7);
        }
    }
}

static MO_NOINLINE void scan_large(mo_marker *m, uintptr_t obj, const mo_span *s) {
    if (s->kind == MO_KIND_TYPED) {
        scan_typed(m, obj, s);
        return;
    }
    for (uintptr_t p = obj; p < obj + s->elem_bytes; p += OBLET_BYTES) push(m, p | TAG_OBLET);
}

/* Where the piece of a large object at lo ends. */
static uintptr_t oblet_end(uintptr_t lo) {
    mo_slot sl;
    if (!mo_find(lo, &sl)) mo_throw("mark: a piece of an object that is not there");
    uintptr_t end = sl.base + sl.span->elem_bytes;
#if MO_MUTANT_mark_skips_tail
    if (lo + OBLET_BYTES >= end) return lo;
#endif
    uintptr_t hi = lo + OBLET_BYTES < end ? lo + OBLET_BYTES : end;
#if MO_MUTANT_mark_oblet_short
    hi -= 8;
#endif
    return hi;
}

/* The part of a worker's state that its inner loop keeps in registers. */
typedef struct lane {
    mo_marker *m;
    uintptr_t *item;
    uint32_t num;
    uintptr_t base, used;
} lane;

MO_INLINE void lane_leave(const lane *l) { l->m->buf->num = l->num; }
MO_INLINE void lane_enter(lane *l) {
    l->item = l->m->buf->item;
    l->num = l->m->buf->num;
}

MO_INLINE void lane_room(lane *l, uint32_t words) {
    if (MO_LIKELY(l->num + words <= MO_WORKBUF_ITEMS)) return;
    lane_leave(l);
    buffer_full(l->m);
    lane_enter(l);
}

MO_INLINE void lane_push(lane *l, uintptr_t w) { l->item[l->num++] = w & ~(uintptr_t)7; }

/* Pushes w only if what it points into is not marked yet, without a branch that depends on the
 * mark. Pays where many pointers lead to few objects. */
MO_INLINE void lane_push_unmarked(lane *l, uintptr_t w) {
    uintptr_t off = w - l->base;
    uint32_t page = (uint32_t)(off >> MO_PAGE_SHIFT);
    uint32_t info = mo_load_acq(&mo_map.info[page]); /* [Y] pairs with heap.c [Z] */
    if (MO_UNLIKELY((info & 0xff) == 0)) {
        lane_push(l, w);
        return;
    }
    uint32_t first = page - ((info >> MO_INFO_BACK_SHIFT) & MO_INFO_BACK_SMALL);
    off -= (uintptr_t)first << MO_PAGE_SHIFT;
    uint32_t idx = (uint32_t)((off * (uint64_t)mo_size_classes[info & 0xff].magic) >> 32);
    uint64_t word = mo_load_rlx(
        &mo_map.mark[(size_t)first * MO_BITS_PAGE_WORDS + idx / 64]); /* M1: process decides */
    l->item[l->num] = w & ~(uintptr_t)7;
    l->num += !(word >> (idx % 64) & 1);
}

/* Of the masks of eight bits, those with four or more: from there on it pays to filter out marked
 * targets at once. (Without hardware support popcount is a call.) */
static const uint64_t dense_masks[4] = {0xfee8e880e8808000u, 0xfffefee8fee8e880u,
                                        0xfffefee8fee8e880u, 0xfffffffefffefee8u};
MO_INLINE bool is_dense(uint32_t mask) { return dense_masks[mask / 64] >> (mask % 64) & 1; }

/* A word that was in range a moment ago: the program may have stored another since. */
MO_INLINE bool lane_read(const lane *l, const uintptr_t *p, uintptr_t *out) {
    *out = mo_cpu_peek(p);
#if MO_MUTANT_mark_looks_twice
    return true;
#endif
    return MO_LIKELY(*out - l->base < l->used);
}

/* The eight words at p. */
MO_INLINE void lane_scan8(lane *l, const uintptr_t *p, bool is_long, mo_cpu_level level) {
    uint32_t mask = mo_cpu_in_range8(p, l->base, l->used, level);
    uintptr_t w;
    if (mask == 0) return;
    lane_room(l, 8);
    if (is_long && is_dense(mask)) {
        /* Arrays are often filled with one pointer. */
        bool may_repeat = mo_cpu_peek(&p[0]) == mo_cpu_peek(&p[7]);
        uintptr_t last = 0;
        for (; mask; mask &= mask - 1) {
            if (!lane_read(l, &p[mo_ctz64(mask)], &w) || (may_repeat && w == last)) continue;
            lane_push_unmarked(l, last = w);
        }
    } else {
        for (; mask; mask &= mask - 1)
            if (lane_read(l, &p[mo_ctz64(mask)], &w)) lane_push(l, w);
    }
}

/* Words of [lo, lo + bytes); bytes a multiple of 16. */
MO_INLINE void lane_scan(lane *l, uintptr_t lo, size_t bytes, mo_cpu_level level) {
    const uintptr_t *p = (const uintptr_t *)lo, *end = (const uintptr_t *)(lo + bytes);
    bool is_long = bytes >= MANY_WORDS * sizeof *p;
    for (; end - p >= 8; p += 8) {
        if (is_long) __builtin_prefetch(p + SCAN_AHEAD_WORDS);
        lane_scan8(l, p, is_long, level);
    }
    if (p == end) return;
    lane_room(l, 8);
    for (; p < end; p++) {
        uintptr_t w = mo_cpu_peek(p);
        if (w - l->base < l->used) lane_push(l, w);
    }
}

static MO_NOINLINE void process_large(mo_marker *m, uint32_t first, mo_kind kind) {
    const mo_span *s = &mo_map.spans[first];
    m->bytes += s->elem_bytes;
    if (kind != MO_KIND_NOSCAN) scan_large(m, mo_page_addr(first), s);
}

/* Scans an object that was just marked. */
MO_INLINE void scan_object(lane *l, uint32_t first, uint32_t info, uintptr_t obj,
                           mo_cpu_level level) {
    mo_marker *m = l->m;
    const mo_size_class *sc = &mo_size_classes[info & 0xff];
    m->objects++;
    mo_kind kind = mo_info_kind(info);
    size_t bytes = sc->bytes;
    if (MO_UNLIKELY(bytes == 0)) {
        lane_leave(l);
        process_large(m, first, kind);
        lane_enter(l);
        return;
    }
    m->bytes += bytes;
    if (MO_LIKELY(kind == MO_KIND_SCAN && !g.heap_ends)) {
        lane_scan(l, obj, bytes, level);
        return;
    }
    if (kind == MO_KIND_NOSCAN) return;
    const mo_type_info *type =
        kind == MO_KIND_TYPED ? mo_type_at(info >> MO_INFO_TYPE_SHIFT) : NULL;
    if (type && type->has_bitmap) {
        lane_room(l, 64);
        for (uint64_t bits = type->bitmap; bits; bits &= bits - 1) {
#if MO_MUTANT_mark_typed_next_word
            uintptr_t w = mo_cpu_peek(&((const uintptr_t *)obj)[mo_ctz64(bits) + 1]);
#else
            uintptr_t w = mo_cpu_peek(&((const uintptr_t *)obj)[mo_ctz64(bits)]);
#endif
            if (w - l->base < l->used) lane_push(l, w);
        }
        return;
    }
    lane_leave(l);
    if (type)
        scan_typed(m, obj, &mo_map.spans[first]);
    else
        scan_ambiguous(m, obj, obj + bytes);
    lane_enter(l);
}

static void rescan_typed_part(mo_marker *m, uintptr_t obj, const mo_span *s, uintptr_t lo,
                              uintptr_t hi) {
    size_t step = s->type->bytes, num = s->size_class ? 1 : s->elem_bytes / step;
    size_t first = lo > obj ? (lo - obj) / step : 0;
    for (size_t i = first; i < num && obj + i * step < hi; i++) {
        for (uint32_t k = 0; k < s->type->num_ptrs; k++) {
            uintptr_t at = obj + i * step + s->type->ptr_offs[k];
            if (at >= lo && at < hi) scan_words(m, at, at + sizeof(uintptr_t));
        }
    }
}

/* The part of an object that lies in [lo, hi). */
static void rescan_object(mo_marker *m, uintptr_t obj, const mo_span *s, uintptr_t lo,
                          uintptr_t hi) {
    uintptr_t from = mo_max(obj, lo), to = mo_min(obj + s->elem_bytes, hi);
    if (s->kind == MO_KIND_TYPED)
        rescan_typed_part(m, obj, s, from, to);
    else if (g.heap_ends || s->kind == MO_KIND_MANUAL)
        scan_ambiguous(m, from, to);
    else
        scan_words(m, from, to);
}

/* Its bits may be about to be made, by a thread that takes the span: an object that is not there
 * yet is stored to later, and its page reported again. */
static void rescan_span(mo_marker *m, const mo_span *s, uintptr_t lo, uintptr_t hi) {
    uintptr_t start = mo_span_start(s);
    uint32_t num = s->nelems;
    size_t bytes = s->elem_bytes;
    const uint64_t *alloc = mo_span_alloc_bits(s), *mark = mo_span_mark_bits(s);
    uint32_t idx = lo > start ? (uint32_t)((lo - start) / bytes) : 0;
    for (; idx < num && start + idx * bytes < hi; idx++) {
        uint64_t live =
            mo_load_rlx(&alloc[idx / 64]) & mo_load_rlx(&mark[idx / 64]); /* see above */
        if (live >> (idx % 64) & 1) rescan_object(m, start + idx * bytes, s, lo, hi);
    }
}

/* Are all slots that lie in [lo, hi) marked and allocated? */
static bool is_full_here(const mo_span *s, uintptr_t lo, uintptr_t hi) {
    uintptr_t start = mo_span_start(s);
    uint32_t first = (uint32_t)((lo - start) / s->elem_bytes),
             last = (uint32_t)((hi - 1 - start) / s->elem_bytes);
    const uint64_t *alloc = mo_span_alloc_bits(s), *mark = mo_span_mark_bits(s);
    for (uint32_t w = first / 64; w <= last / 64; w++) {
        uint64_t want = ~(uint64_t)0;
        if (w == first / 64) want &= ~mo_low_mask(first % 64);
        if (w == last / 64) want &= mo_low_mask(last % 64 + 1);
        if (want & ~(mo_load_rlx(&alloc[w]) & mo_load_rlx(&mark[w]))) return false; /* as below */
    }
    return true;
}

/* Words of a page that differ from those at copy, where they stand afterwards. */
static MO_NOINLINE void scan_changed(mo_marker *m, uintptr_t lo, size_t bytes, uintptr_t *copy) {
    const uintptr_t *p = (const uintptr_t *)lo;
    uintptr_t base = mo_map.base, used = heap_bytes();
    for (size_t i = 0; i < bytes / sizeof *p; i++) {
        uintptr_t w = mo_cpu_peek(&p[i]);
        if (MO_LIKELY(w == copy[i])) continue;
        if (w - base < used) push(m, w & ~(uintptr_t)7);
        copy[i] = w;
    }
}

/* The program may store meanwhile: what is followed is the copy, not the page. */
static MO_NOINLINE void copy_page(uintptr_t *copy, uintptr_t lo, size_t bytes) {
    const uintptr_t *p = (const uintptr_t *)lo;
    for (size_t i = 0; i < bytes / sizeof *p; i++) copy[i] = mo_cpu_peek(&p[i]);
}

/* The marked objects on one OS page. */
MO_INLINE void rescan_page(lane *l, uintptr_t lo, mo_cpu_level level) {
    uint32_t page = (uint32_t)((lo - l->base) >> MO_PAGE_SHIFT);
    uint32_t info = mo_load_acq(&mo_map.info[page]); /* [Y] pairs with heap.c [Z] */
    if (mo_info_kind(info) <= MO_KIND_NOSCAN) return;
    l->m->page_bytes += MO_OS_PAGE_BYTES;
    const mo_span *s = &mo_map.spans[mo_info_first_page(page, info)];
    if (s->nelems == 0 || s->elem_bytes == 0) return; /* it is just being made */
    uintptr_t hi =
        mo_min(lo + MO_OS_PAGE_BYTES, mo_span_start(s) + (uintptr_t)s->nelems * s->elem_bytes);
    if (hi <= lo) return;
    /* A large object, or a page full of new ones: no need to look at each. */
    if (s->kind == MO_KIND_SCAN && !g.heap_ends && is_full_here(s, lo, hi)) {
        bool is_new = false;
        uintptr_t *copy = mo_page_copy_of(lo, &is_new);
        if (copy && !is_new) {
            lane_leave(l);
            scan_changed(l->m, lo, hi - lo, copy);
            lane_enter(l);
            return;
        }
        if (copy) copy_page(copy, lo, hi - lo);
#if MO_MUTANT_copy_is_not_followed
        if (copy) return;
#endif
        lane_scan(l, copy ? (uintptr_t)copy : lo, hi - lo, level);
        return;
    }
    lane_leave(l);
    rescan_span(l->m, s, lo, hi);
    lane_enter(l);
}

MO_INLINE void scan_place(lane *l, uintptr_t candidate, mo_cpu_level level) {
    uintptr_t lo = candidate & ~(uintptr_t)TAG_MASK;
    if (candidate & TAG_PAGE) {
        rescan_page(l, lo, level);
        return;
    }
    uintptr_t hi = oblet_end(lo);
    if (MO_LIKELY(!g.heap_ends)) {
        lane_scan(l, lo, hi - lo, level);
        return;
    }
    lane_leave(l);
    scan_ambiguous(l->m, lo, hi);
    lane_enter(l);
}

static bool take_root(root_range *out) {
    if (mo_load_rlx(&g.next_root) >= g.num_roots) return false; /* a glance */
    size_t i = mo_add_rlx(&g.next_root, 1) -
               1; /* the ranges were written before the workers were woken [H] */
    if (i >= g.num_roots) return false;
    *out = g.roots[i];
    return true;
}

static bool take_report(uint32_t *out) {
    uint32_t num = g.num_reports + g.num_stacks;
    if (mo_load_rlx(&g.next_report) >= num) return false; /* a glance */
    *out = mo_add_rlx(&g.next_report, 1) - 1;             /* as in take_root */
#if MO_MUTANT_mark_drops_report
    return *out > 0 && *out < num;
#endif
    return *out < num;
}

/* Another buffer, root range or report; false when all work everywhere is done. */
static MO_NOINLINE bool find_work(mo_marker *m) {
    uint32_t i;
    if (take_report(&i)) {
        if (i < g.num_reports)
            g.report(m, m->id, i);
        else
            g.stacks(m, m->id, i - g.num_reports);
        return true;
    }
    /* After the reports, whose addresses may stay on a worker's stack, which may be part of a root
     * (a coroutine's stack, found by its mapping): check.c would take them for objects missed. */
    root_range r;
    if (take_root(&r)) {
        scan_ambiguous(m, r.lo, r.hi);
        return true;
    }
    mo_workbuf *b = mo_workbuf_pop_full(&g.pool);
    if (!b) {
        mo_add_seq(&g.idle, 1); /* [I] M2: counted only while we hold nothing */
        for (uint32_t spins = 0;; spins++) {
            if (mo_workbuf_has_full(&g.pool)) {
                mo_sub_seq(&g.idle, 1); /* [I] */
                b = mo_workbuf_pop_full(&g.pool);
                if (b) break;
                mo_add_seq(&g.idle, 1); /* [I] */
            }
            if (mo_load_seq(&g.idle) == g.num_workers) return false; /* [I] */
            if (spins > 2000) {
                uint32_t now = mo_load_rlx(&g.idle); /* only to sleep on */
                mo_futex_wait(&g.idle, now, 20000);
            } else {
                mo_cpu_pause();
            }
        }
    }
    if (m->buf != &m->first) mo_workbuf_put(&g.pool, m->buf);
    m->buf = b;
    return true;
}

/* ---------------------------------------------------------------- the loop */

typedef struct fifo_entry {
    uintptr_t obj;  /* or a place to scan; then nothing else counts */
    uint64_t *word; /* with its mark bit */
    uint32_t first, info, idx;
} fifo_entry;

/* Finds the slot of candidate and fetches what marking it will touch. false: it lies in none. */
MO_INLINE bool prefetch(uintptr_t candidate, uintptr_t base, fifo_entry *out) {
    out->obj = candidate;
    if (MO_UNLIKELY(candidate & TAG_MASK)) return true;
    uint32_t page = (uint32_t)((candidate - base) >> MO_PAGE_SHIFT);
    uint32_t info = mo_load_acq(&mo_map.info[page]); /* [Y] pairs with heap.c [Z] */
    if (MO_UNLIKELY(info == 0)) return false;
    out->info = info;
    out->first = mo_info_first_page(page, info);
    const mo_size_class *sc = &mo_size_classes[info & 0xff];
    uintptr_t start = base + ((uintptr_t)out->first << MO_PAGE_SHIFT);
    uint32_t idx = (uint32_t)(((candidate - start) * (uint64_t)sc->magic) >> 32);
    if (MO_UNLIKELY(idx >= sc->nelems)) return false; /* the rest of the span */
    out->idx = idx;
    out->obj = start + (uintptr_t)idx * sc->bytes;
#if MO_MUTANT_mark_no_interior
    if (out->obj != candidate) return false;
#endif
    out->word = &mo_map.mark[(size_t)out->first * MO_BITS_PAGE_WORDS + idx / 64];
    __builtin_prefetch(out->word, 1);
    if (mo_info_kind(info) == MO_KIND_NOSCAN) return true; /* nobody will look into it */
    __builtin_prefetch((const void *)out->obj, 0);
    size_t bytes = mo_min(sc->bytes, FETCH_BYTES);
    for (size_t off = LINE_BYTES; off < bytes; off += LINE_BYTES)
        __builtin_prefetch((const void *)(out->obj + off), 0);
    return true;
}

/* False: it was set before. */
MO_INLINE bool mark_bit(uint64_t *word, uint64_t bit, bool parallel) {
    uint64_t was = mo_load_rlx(word); /* M1: the exchange decides between two that both see 0 */
    if (was & bit) return false;
#if MO_MUTANT_mark_plain_or
    parallel = false;
#endif
    if (parallel) /* M1; objects were published by the stop */
        return !(mo_fetch_or_rlx(word, bit) & bit);
    *word = was | bit;
    return true;
}

MO_INLINE void process(lane *l, const fifo_entry *e, bool parallel, mo_cpu_level level) {
    if (MO_UNLIKELY(e->obj & TAG_MASK)) {
        scan_place(l, e->obj, level);
        return;
    }
    if (!mark_bit(e->word, (uint64_t)1 << (e->idx % 64), parallel)) return;
    scan_object(l, e->first, e->info, e->obj, level);
}

/* Others may want the processor: with a sleep of a fraction of a millisecond a thread that serves
 * requests gets it within 50 microseconds. But where somebody computes all the time, a worker that
 * yields gets next to nothing: it takes back what it lost before it yields again. */
static MO_NOINLINE void tell_pacer(mo_marker *m) {
    uint64_t bytes = m->bytes + m->page_bytes;
    bool may_yield = mo_pace_did(bytes - m->told_bytes);
    m->told_bytes = bytes;
    if (!may_yield) return;
    uint64_t now = mo_clock_ns(), worked = now - m->told_ns;
    m->credit_ns += (int64_t)worked;
    if (m->credit_ns > MAX_CREDIT_NS) m->credit_ns = MAX_CREDIT_NS;
    m->told_ns = now;
    if (m->credit_ns <= 0) return;
    sched_yield();
    m->told_ns = mo_clock_ns();
    m->credit_ns -= (int64_t)(m->told_ns - now);
}

MO_INLINE void drain(mo_marker *m, bool parallel, mo_cpu_level level) {
    fifo_entry fifo[FIFO_LEN];
    uint32_t head = 0, tail = 0, num = 0;
    lane l = {.m = m, .base = mo_map.base, .used = heap_bytes()};
    lane_enter(&l);
    for (;;) {
        if (MO_LIKELY(l.num > 0)) {
            if (!prefetch(l.item[--l.num], l.base, &fifo[tail % FIFO_LEN])) continue;
            tail++;
#if MO_MUTANT_mark_fifo_loses
            if (tail % 4096 == 0) tail--;
#endif
            if (tail - head < FIFO_LEN) continue;
        } else if (head == tail) {
            lane_leave(&l);
            if (!find_work(m)) return;
            lane_enter(&l);
            continue;
        }
        process(&l, &fifo[head++ % FIFO_LEN], parallel, level);
        /* The parts of a regular tree would be walked in step, at addresses that lie apart by
         * powers of two and displace each other from the cache: now and then one falls behind. */
        if (++num % TWO_EVERY == 0 && head != tail)
            process(&l, &fifo[head++ % FIFO_LEN], parallel, level);
        if (parallel && num % SHARE_EVERY == 0) {
            if (m->bytes + m->page_bytes - m->told_bytes >= TELL_BYTES) tell_pacer(m);
            if (l.num >= SHARE_MIN && mo_load_rlx(&g.idle) > 0 &&
                !mo_workbuf_has_full(&g.pool)) { /* a hint */
                lane_leave(&l);
                share_half(m);
                lane_enter(&l);
            }
        }
    }
}

/* One copy of the loop for each way to test eight words. */
#define DRAIN_FOR(level)                                                                           \
    static MO_NOINLINE void drain_alone_##level(mo_marker *m) { drain(m, false, level); }          \
    static MO_NOINLINE void drain_shared_##level(mo_marker *m) { drain(m, true, level); }
DRAIN_FOR(MO_CPU_BASE)
DRAIN_FOR(MO_CPU_AVX2)
DRAIN_FOR(MO_CPU_AVX512)

static void drain_alone(mo_marker *m) {
    mo_store_rlx(&g.idle, 0); /* alone: nobody else reads it */
    switch (g.level) {
    case MO_CPU_BASE: drain_alone_MO_CPU_BASE(m); break;
    case MO_CPU_AVX2: drain_alone_MO_CPU_AVX2(m); break;
    case MO_CPU_AVX512: drain_alone_MO_CPU_AVX512(m); break;
    }
}

static void drain_shared(mo_marker *m) {
    switch (g.level) {
    case MO_CPU_BASE: drain_shared_MO_CPU_BASE(m); break;
    case MO_CPU_AVX2: drain_shared_MO_CPU_AVX2(m); break;
    case MO_CPU_AVX512: drain_shared_MO_CPU_AVX512(m); break;
    }
}

static void work(mo_marker *m) {
    m->told_ns = mo_clock_ns();
    m->credit_ns = 0;
    if (g.is_shared)
        drain_shared(m);
    else
        drain_alone(m);
    if (m->buf != &m->first) {
        mo_workbuf_put(&g.pool, m->buf);
        m->buf = &m->first;
    }
}

/* ---------------------------------------------------------------- helper threads */

static void *helper_main(void *arg) {
    mo_runtime_thread_name("mound-mark");
    mo_marker *m = arg;
    uint32_t seen = m->seen_go;
    mo_runtime_thread_prefer_others(HELPER_NICER);
    for (;;) {
        uint32_t go;
        while ((go = mo_load_acq(&g.go)) == seen)
            mo_futex_wait(&g.go, seen, -1); /* [J] pairs with [H] */
        seen = go;
        if (m->id > go % MO_MARK_MAX_WORKERS) continue; /* only as many as this run wants */
        uint64_t cpu = mo_clock_thread_cpu_ns();
        work(m);
        mo_add_rlx(&g.helper_cpu_ns, mo_clock_thread_cpu_ns() - cpu);  /* published by done */
        if (mo_sub_acqrel(&g.done, 1) == 0) mo_futex_wake(&g.done, 1); /* [D] pairs with [E] */
    }
    return NULL;
}

static mo_marker *make_marker(uint32_t id) {
    mo_marker *m = mo_os_map(sizeof *m, "mound marker");
    if (!m) return NULL;
    m->buf = &m->first;
    m->id = id;
    return m;
}

uint32_t mo_mark_prepare(uint32_t num) {
    if (num > MO_MARK_MAX_WORKERS - 1) num = MO_MARK_MAX_WORKERS - 1;
    while (g.num_helpers < num) {
        uint32_t i = g.num_helpers + 1;
        if (!g.marker[i]) g.marker[i] = make_marker(i);
        if (g.marker[i]) g.marker[i]->seen_go = g.go;
        if (!g.marker[i] ||
            !mo_runtime_thread_start(MO_SERVICE_STACK_BYTES, helper_main, g.marker[i]))
            break;
        g.num_helpers++;
    }
    return (uint32_t)mo_min(num, g.num_helpers);
}

void mo_mark_after_fork(void) {
    g.num_helpers = 0;
    g.go = g.done = 0;
    g.num_reports = g.num_stacks = 0;
    /* They may have been at work. */
    for (uint32_t i = 0; i < MO_MARK_MAX_WORKERS && g.marker[i]; i++) {
        g.marker[i]->buf = &g.marker[i]->first;
        g.marker[i]->first.num = 0;
    }
    mo_workbuf_after_fork(&g.pool);
    mo_store_rlx(&g.overflow, 0); /* alone */
}

/* ---------------------------------------------------------------- a run */

/* In steps so small that one buffer is enough. */
static void scan_and_drain(mo_marker *m, uintptr_t lo, uintptr_t hi) {
    for (; lo < hi; lo += 64) {
        scan_ambiguous(m, lo, mo_min(lo + 64, hi));
        drain_alone(m);
    }
}

void mo_mark_add_root(uintptr_t lo, uintptr_t hi) {
    lo = mo_align_up(lo, 8);
    hi = mo_align_down(hi, 8);
    if (lo < hi) mo_valgrind_defined(lo, hi - lo);
    while (lo < hi) {
        if (g.num_roots == g.cap_roots) {
            size_t cap = g.cap_roots ? g.cap_roots * 2 : 4096;
            root_range *bigger = mo_os_map(cap * sizeof *bigger, "mound roots");
            if (!bigger) {
                /* No room to note it: mark from it here and now, alone; the first time from all
                 * that is noted as well. */
                g.num_workers = 1;
                scan_and_drain(g.marker[0], lo, hi);
                return;
            }
            if (g.roots) {
                memcpy(bigger, g.roots, g.num_roots * sizeof *bigger);
                mo_os_unmap(g.roots, g.cap_roots * sizeof *bigger);
            }
            g.roots = bigger;
            g.cap_roots = cap;
        }
        uintptr_t end = hi - lo > ROOT_CHUNK_BYTES ? lo + ROOT_CHUNK_BYTES : hi;
        g.roots[g.num_roots++] = (root_range){lo, end};
        lo = end;
    }
}

/* skip: slots that are claimed but hold no object; may be NULL. */
static void scan_manual_slots(mo_marker *m, const mo_span *s, const uint64_t *skip) {
    const uint64_t *alloc = mo_span_alloc_bits(s);
    for (uint32_t w = 0; w < mo_span_words(s); w++) {
        for (uint64_t bits = alloc[w] & ~(skip ? skip[w] : 0); bits; bits &= bits - 1) {
            uintptr_t obj = mo_span_start(s) + (uintptr_t)(w * 64 + mo_ctz64(bits)) * s->elem_bytes;
            m->bytes += s->elem_bytes;
            scan_ambiguous(m, obj, obj + s->elem_bytes);
        }
    }
}

static void scan_manual_span(mo_span *s, void *arg) { scan_manual_slots(arg, s, NULL); }

/* Uncollectable objects are roots. Their spans are in the lists of their centrals, or owned by
 * caches. */
static void scan_manual(mo_marker *m) {
    for (unsigned sc = 0; sc < MO_NUM_SIZE_CLASSES; sc++) {
        mo_central *c = mo_central_of(MO_KIND_MANUAL, sc);
        if (mo_central_is_used(c)) mo_central_each_span(c, scan_manual_span, m);
    }
    for (mo_thread *t = mo_the_world.threads; t; t = t->next) {
        for (unsigned sc = 1; sc < MO_NUM_SIZE_CLASSES; sc++) {
            const mo_cache_slot *slot = mo_cache_slot_of(&t->cache, MO_KIND_MANUAL, sc);
            if (!slot->span) continue;
            uint64_t claimed[MO_BITS_PAGE_WORDS];
            mo_cache_claimed(slot, claimed);
            scan_manual_slots(m, slot->span, claimed);
        }
    }
}

static void rescan_typed(mo_marker *m, uintptr_t obj, const mo_span *s) {
    size_t step = s->type->bytes, num = s->size_class ? 1 : s->elem_bytes / step;
    for (size_t i = 0; i < num; i++, obj += step) {
        for (uint32_t k = 0; k < s->type->num_ptrs; k++) {
            uintptr_t w = *(const uintptr_t *)(obj + s->type->ptr_offs[k]);
            if (mo_in_heap(w)) push(m, w & ~(uintptr_t)7);
            drain_alone(m);
        }
    }
}

/* After candidates were dropped: every marked object once more. Objects found are scanned by
 * the drain; those dropped again set overflow again. */
static void rescan_marked(mo_marker *m) {
    uint32_t num_pages = mo_the_heap.pages.num_pages;
    for (uint32_t page = 1; page < num_pages;) {
        uint32_t info = mo_map.info[page];
        if (info == 0) {
            page++;
            continue;
        }
        const mo_span *s = &mo_map.spans[page];
        const uint64_t *alloc = mo_span_alloc_bits(s), *mark = mo_span_mark_bits(s);
        bool has_pointers = mo_info_kind(info) != MO_KIND_NOSCAN;
        for (uint32_t w = 0; has_pointers && w < mo_span_words(s); w++) {
            for (uint64_t bits = alloc[w] & mark[w]; bits; bits &= bits - 1) {
                uintptr_t obj =
                    mo_span_start(s) + (uintptr_t)(w * 64 + mo_ctz64(bits)) * s->elem_bytes;
                if (s->kind == MO_KIND_TYPED) {
                    rescan_typed(m, obj, s);
                    continue;
                }
                for (uintptr_t lo = obj; lo < obj + s->elem_bytes; lo += 64) {
                    if (g.heap_ends || s->kind == MO_KIND_MANUAL)
                        scan_ambiguous(m, lo, mo_min(lo + 64, obj + s->elem_bytes));
                    else
                        scan_words(m, lo, mo_min(lo + 64, obj + s->elem_bytes));
                    drain_alone(m); /* in small steps: there is one buffer only */
                }
            }
        }
        page += s->num_pages;
    }
}

uint64_t mo_mark_rescan(mo_marker *m, uintptr_t lo, uintptr_t hi) {
    uint64_t num = 0;
    hi = mo_min(hi, mo_map.base + mo_load_acq(&mo_map.used_bytes)); /* [F] pairs with heap.c [G] */
    for (; lo < hi; lo += MO_OS_PAGE_BYTES) {
        uint32_t page = (uint32_t)((lo - mo_map.base) >> MO_PAGE_SHIFT);
        uint32_t info = mo_load_acq(&mo_map.info[page]); /* [Y] pairs with heap.c [Z] */
        if (mo_info_kind(info) <= MO_KIND_NOSCAN) continue;
        push(m, lo | TAG_PAGE);
        num++;
    }
    return num;
}

void mo_mark_scan_manual_pages(void) {
    mo_marker *m = g.marker[0];
    size_t num_pages =
        mo_load_acq(&mo_map.used_bytes) >> MO_PAGE_SHIFT; /* [F] pairs with heap.c [G] */
    for (size_t page = 1; page < num_pages;) {
        uint32_t info = mo_load_acq(&mo_map.info[page]); /* [Y] pairs with heap.c [Z] */
        const mo_span *s = &mo_map.spans[page];
        if (mo_info_kind(info) == MO_KIND_MANUAL) {
            uintptr_t start = mo_span_start(s);
            const uint64_t *alloc = mo_span_alloc_bits(s);
            for (uint32_t w = 0; w < mo_span_words(s); w++)
                m->bytes += mo_popcount64(mo_load_rlx(&alloc[w])) * s->elem_bytes; /* a count */
            uintptr_t end = start + ((uintptr_t)s->num_pages << MO_PAGE_SHIFT);
            for (uintptr_t lo = start; lo < end; lo += MO_OS_PAGE_BYTES) push(m, lo | TAG_PAGE);
        }
        page += info != 0 && s->num_pages > 0 ? s->num_pages : 1;
    }
}

static void recover_from_overflow(mo_marker *m) {
    g.num_workers = 1;
    while (mo_load_rlx(&g.overflow)) { /* all workers have ended */
        mo_store_rlx(&g.overflow, 0);  /* alone */
        for (size_t i = 0; i < g.num_roots; i++) {
            scan_and_drain(m, g.roots[i].lo, g.roots[i].hi);
        }
        g.is_recovering = true;
        for (uint32_t i = 0; i < g.num_stacks; i++) g.stacks(m, m->id, i);
        g.is_recovering = false;
        rescan_marked(m);
    }
}

void mo_mark_begin(void) {
    for (uint32_t i = 0; i < MO_MARK_MAX_WORKERS && g.marker[i]; i++) {
        mo_marker *m = g.marker[i];
        m->bytes = m->objects = m->page_bytes = m->told_bytes = 0;
#if !MO_MUTANT_mark_seen_before
        forget_seen(m);
#endif
    }
    g.root_bytes = g.cpu_ns = 0;
    g.helper_cpu_ns = 0;
    /* overflow may be set already: by a root that could not be noted */
}

void mo_mark_scan_roots(void) {
    uint64_t cpu = mo_clock_thread_cpu_ns();
    for (size_t i = 0; i < g.num_roots; i++) {
        scan_ambiguous(g.marker[0], g.roots[i].lo, g.roots[i].hi);
    }
    g.num_roots = 0; /* the last stop counts them */
    g.cpu_ns += mo_clock_thread_cpu_ns() - cpu;
}

void mo_mark_add_reports(mo_mark_report_fn *report, uint32_t num) {
    g.report = report;
    g.num_reports = num;
}

void mo_mark_add_stacks(mo_mark_report_fn *stacks, uint32_t num) {
    g.stacks = stacks;
    g.num_stacks = num;
}

void mo_mark_scan_range(mo_marker *m, uintptr_t lo, uintptr_t hi) {
    m->range_bytes += hi - lo;
    if (MO_UNLIKELY(g.is_recovering)) {
        scan_and_drain(m, lo, hi);
        return;
    }
    mo_valgrind_defined(lo, hi - lo);
    scan_ambiguous(m, lo, hi);
}

void mo_mark_scan_manual(void) { scan_manual(g.marker[0]); }

void mo_mark_run(uint32_t num_helpers, bool is_last) {
    mo_marker *m = g.marker[0];
    uint64_t cpu = mo_clock_thread_cpu_ns();
    for (size_t i = 0; i < g.num_roots; i++) g.root_bytes += g.roots[i].hi - g.roots[i].lo;
    g.num_workers = num_helpers + 1;
    g.is_shared = num_helpers > 0 || !is_last;
    g.idle = 0;
    g.next_root = 0;
    g.next_report = 0;
    for (uint32_t i = 0; i < MO_MARK_MAX_WORKERS && g.marker[i]; i++) g.marker[i]->range_bytes = 0;
    if (num_helpers > 0) {
        mo_store_rlx(&g.done, num_helpers); /* published by go */
        /* The run's number and how many it wants in one word: a helper that wakes late, for a run
         * that did not want it, must not take the next run's number of helpers for its own. */
        mo_store_rel(&g.go, (g.go / MO_MARK_MAX_WORKERS + 1) * MO_MARK_MAX_WORKERS +
                                num_helpers); /* [H] pairs with [J] */
        mo_futex_wake(&g.go, INT_MAX);
    }
    work(m);
    uint32_t left;
    while ((left = mo_load_acq(&g.done)) != 0 && num_helpers > 0)
        mo_futex_wait(&g.done, left, -1); /* [E] with [D] */
    g.num_reports = 0;
#if !MO_MUTANT_mark_ignores_overflow
    if (MO_UNLIKELY(is_last && g.overflow)) recover_from_overflow(m);
#endif
    g.num_stacks = 0;
    g.cpu_ns += mo_clock_thread_cpu_ns() - cpu;
}

mo_mark_result mo_mark_totals(void) {
    mo_mark_result result = {.cpu_ns = g.cpu_ns + g.helper_cpu_ns, .root_bytes = g.root_bytes};
    for (uint32_t i = 0; i < MO_MARK_MAX_WORKERS && g.marker[i]; i++) {
        result.bytes += g.marker[i]->bytes;
        result.objects += g.marker[i]->objects;
        result.stack_bytes += g.marker[i]->range_bytes;
    }
    return result;
}

void mo_mark_forget_roots(void) {
    g.num_roots = 0;
    g.overflow = 0;
    mo_workbuf_trim(&g.pool);
}

size_t mo_mark_num_roots(void) { return g.num_roots; }
void mo_mark_root_at(size_t i, uintptr_t *lo, uintptr_t *hi) {
    *lo = g.roots[i].lo;
    *hi = g.roots[i].hi;
}

void mo_mark_set_heap_ends(bool on) { g.heap_ends = on; }
void mo_mark_limit_vectors(mo_cpu_level most) {
    if (g.level > most) g.level = most;
}

int mo_mark_init(void) {
    g.level = mo_cpu_detect();
    g.marker[0] = make_marker(0);
    if (!g.marker[0]) return -ENOMEM;
    int r = mo_workbuf_pool_init(&g.pool);
    if (r < 0) {
        mo_os_unmap(g.marker[0], sizeof(mo_marker));
        g.marker[0] = NULL;
    }
    return r;
}

void mo_mark_fini(void) {
    mo_workbuf_pool_fini(&g.pool);
    mo_os_unmap(g.marker[0], sizeof(mo_marker));
    g.marker[0] = NULL;
}
