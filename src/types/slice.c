/* slice.c - slices of any element. Floor types. Documented in mound/slice.h.
 *
 * Holds   behind the length, a block that this file made is zero up to its end: what append leaves
 *         there was never written. A sub-slice may have written its own elements there.
 * Go      slice.go: growslice.
 */
#include <string.h>

#include "gc/malloc.h"
#include "sys/stream.h"
#include "types/misuse.h"

typedef mound_slice_any_ slice;

/* How messages name a place. */
#define AT " at %s"

void mound_fail_index(ptrdiff_t i, ptrdiff_t len, const char *where) {
    mo_misuse("index %td out of range with length %td" AT, i, len, where);
}

/* Zeroed, but for a copy of num bytes at its begin. */
static void *new_block(size_t bytes, bool noscan, const void *from, size_t num) {
    void *block = mo_malloc_slack(bytes, noscan ? MO_KIND_NOSCAN : MO_KIND_SCAN, num);
    if (!block) block = mound_alloc(bytes); /* exhausted: that one says so */
    if (num > 0) mo_copy(block, from, num);
    return block;
}

/* What a block for so many bytes really has room for. */
static size_t block_bytes(size_t bytes) {
    if (bytes <= MO_MAX_SMALL_BYTES) return mo_size_classes[mo_size_class_of(bytes)].bytes;
    return mo_align_up(bytes + 1, MO_PAGE_BYTES) - 1;
}

mound_slice mound_slice_make(ptrdiff_t len, ptrdiff_t cap, size_t elem_bytes, unsigned flags,
                             const char *where) {
    size_t bytes;
    if (len < 0) mo_misuse("make: length %td out of range" AT, len, where);
    if (cap < len) mo_misuse("make: capacity %td out of range with length %td" AT, cap, len, where);
    if (__builtin_mul_overflow((size_t)cap, elem_bytes, &bytes) || bytes > PTRDIFF_MAX)
        mo_misuse("make: capacity %td of %zu bytes each out of range" AT, cap, elem_bytes, where);
    return (mound_slice){new_block(bytes, flags & MOUND_ELEM_NOSCAN, NULL, 0), len, cap};
}

/* The collector does not look into the block that s lies in. */
static bool is_noscan(const slice *s) {
    mo_slot sl;
    return s->cap > 0 && mo_find((uintptr_t)s->ptr, &sl) && sl.span->kind == MO_KIND_NOSCAN;
}

static ptrdiff_t next_cap(ptrdiff_t cap, ptrdiff_t needed) {
    if (needed > cap && needed - cap > cap) return needed;
    if (cap < 256) return mo_max((size_t)needed, 2 * (size_t)cap) & PTRDIFF_MAX;
    while (cap < needed) cap += (cap + 3 * 256) / 4; /* needed <= 2 * cap: cannot overflow */
    return cap;
}

/* Adds room to the block that s ends with, if append made it, and nobody was told that s has no
 * more. bytes: what s is to have. */
static bool extend(slice *s, size_t bytes, size_t elem_bytes) {
    mo_slot sl;
    size_t cap_bytes = (size_t)s->cap * elem_bytes;
    if (cap_bytes <= MO_MAX_SMALL_BYTES || !mo_find((uintptr_t)s->ptr, &sl)) return false;
    if (mo_load_rlx(&sl.span->slack) != MO_SLACK_GROWS) return false; /* who may tell was asked */
    size_t had = mo_load_rlx(&sl.span->elem_bytes); /* compared again under the heap lock */
    size_t off = (uintptr_t)s->ptr - sl.base;
#if !MO_MUTANT_append_into_others
    if (had - 1 - off - cap_bytes >= elem_bytes) return false; /* the rest is somebody's */
#endif
    size_t want = mo_align_up(off + bytes + 1, MO_PAGE_BYTES);
    if (!mo_malloc_extend(sl.span, want - had, had)) return false;
    s->cap = (ptrdiff_t)((want - 1 - off) / elem_bytes);
    return true;
}

/* Whether append may extend the block that s lies in, which then is no small one. */
static void may_extend(const slice *s, bool may) {
    mo_slot sl;
    if (!mo_find((uintptr_t)s->ptr, &sl) || mo_load_rlx(&sl.span->slack) == MO_SLACK_NONE) return;
    mo_malloc_may_extend(&sl, may);
}

void mound_slice_grow(void *slice_, ptrdiff_t num, size_t elem_bytes, unsigned flags,
                      const char *where) {
    slice *s = slice_;
    ptrdiff_t needed;
    size_t bytes;
    if (num < 0) mo_misuse("append: %td elements" AT, num, where);
    if (__builtin_add_overflow(s->len, num, &needed))
        mo_misuse("append: length out of range" AT, where);
    if (needed <= s->cap) return;
    ptrdiff_t cap = next_cap(s->cap, needed);
    if (__builtin_mul_overflow((size_t)cap, elem_bytes, &bytes) || bytes > PTRDIFF_MAX)
        mo_misuse("append: %td elements of %zu bytes each are too many" AT, cap, elem_bytes, where);
    bytes = block_bytes(bytes);
#if !MO_MUTANT_append_always_copies
    if (extend(s, bytes, elem_bytes)) return;
#endif
    bool noscan = flags & MOUND_ELEM_NOSCAN || is_noscan(s);
    void *block = new_block(bytes, noscan, s->ptr, (size_t)s->len * elem_bytes);
    s->ptr = block;
    s->cap = elem_bytes > 0 ? (ptrdiff_t)(bytes / elem_bytes) : PTRDIFF_MAX;
    if (bytes > MO_MAX_SMALL_BYTES) may_extend(s, true);
}

void mound_slice_append(void *slice_, const void *elems, ptrdiff_t num, size_t elem_bytes,
                        unsigned flags, const char *where) {
    slice *s = slice_;
    if (num < 0 || num > s->cap - s->len)
        mound_slice_grow(s, num, elem_bytes, flags, where); /* elems stay where they are */
    if (num > 0 && elem_bytes > 0)
        memmove((char *)s->ptr + (size_t)s->len * elem_bytes, elems, (size_t)num * elem_bytes);
    s->len += num;
}

mound_slice mound_slice_sub(const void *slice_, ptrdiff_t lo, ptrdiff_t hi, ptrdiff_t max,
                            size_t elem_bytes, const char *where) {
    const slice *s = slice_;
    bool ends_there = max != PTRDIFF_MIN; /* an append to the result is to make a copy */
    if (!ends_there) max = s->cap;
#if MO_MUTANT_sub3_may_extend
    ends_there = false;
#endif
    if (max < 0 || max > s->cap)
        mo_misuse("slice bounds out of range [::%td] with capacity %td" AT, max, s->cap, where);
    if (hi < 0 || hi > max)
        mo_misuse("slice bounds out of range [:%td] with capacity %td" AT, hi, max, where);
    if (lo < 0 || lo > hi) mo_misuse("slice bounds out of range [%td:%td]" AT, lo, hi, where);
    if (ends_there && max == s->cap && (size_t)max * elem_bytes > MO_MAX_SMALL_BYTES)
        may_extend(s, false);
    /* An empty rest keeps its block by its first byte: one past the end is the next block's. */
    size_t skip = max > lo ? (size_t)lo * elem_bytes : 0;
#if MO_MUTANT_rest_points_behind
    skip = (size_t)lo * elem_bytes;
#endif
    return (mound_slice){(void *)((uintptr_t)s->ptr + skip), hi - lo, max - lo};
}

ptrdiff_t mound_slice_copy(const void *to_, const void *from_, size_t elem_bytes) {
    const slice *to = to_, *from = from_;
    ptrdiff_t num = to->len < from->len ? to->len : from->len;
    if (num > 0 && elem_bytes > 0) memmove(to->ptr, from->ptr, (size_t)num * elem_bytes);
    return num;
}

void mound_slice_clear(const void *slice_, size_t elem_bytes) {
    const slice *s = slice_;
    if (s->len > 0 && elem_bytes > 0) memset(s->ptr, 0, (size_t)s->len * elem_bytes);
}
