/* mound/slice.h - slices: a pointer into a block, a length and a capacity, with Go's meaning.
 * Included by mound.h.
 *
 *     typedef mound_slice_of(int) ints;
 *     ints s = {0};
 *     mound_append(&s, 5);
 *     int last = mound_at(&s, s.len - 1);
 *     ints tail = mound_sub(&s, 1, s.len);        // shares the block
 *
 * A slice is a value: copy it, pass it, return it. Two slices may share a block, and either keeps
 * all of it alive. {0} is an empty slice. append writes behind the length if the capacity allows
 * (what other slices of the block then see, as in Go). Else it moves to a larger block, and the old
 * one stays as it is for those who still have it; or, where append itself made the block and it is
 * above 32 KiB, gives that block more room where it lies, so that elements stay shared. Who must
 * not share says so, as in Go: what is appended to mound_sub3(&s, 0, s.len, s.len) is a copy.
 *
 * Indices are checked: one out of range ends the process with a line that says index, length and
 * place, and the calls that led there. Unchecked: s.ptr[i].
 *
 * Elements that are numbers (integers of any width, enumerations, floating point) lie in memory the
 * collector does not look into: a pointer kept as an integer keeps nothing alive, as in Go.
 *
 * One slice variable is not for two threads at once. The typed macros are C only; s is evaluated
 * once.
 */
#ifndef MOUND_SLICE_H
#define MOUND_SLICE_H

/* Any slice, for functions that do not know the element's type. */
typedef struct mound_slice {
    void *ptr;
    ptrdiff_t len, cap;
} mound_slice;

#define mound_slice_of(T)                                                                          \
    struct {                                                                                       \
        T *ptr;                                                                                    \
        ptrdiff_t len, cap;                                                                        \
    }

/* ---------------------------------------------------------------- by address */

/* The memory that s lies in is seen as a mound_slice whatever its own type. where: "file:line", for
 * messages; must stay. flags: MOUND_ELEM_NOSCAN or 0. elem_bytes: the same for all calls. */

/* A block of cap zeroed elements. Ends the process if 0 <= len <= cap does not hold, or the bytes
 * do not fit. Go: make([]T, len, cap). */
MOUND_API mound_slice mound_slice_make(ptrdiff_t len, ptrdiff_t cap, size_t elem_bytes,
                                       unsigned flags, const char *where)
    MOUND_ATTR(warn_unused_result);
/* Capacity for num more: at least doubles below 256 elements, then grows by a quarter and 192, as
 * Go's, to what a block holds. If there is none, the elements move or the block grows: see above.
 * Go: slices.Grow. */
MOUND_API void mound_slice_grow(void *s, ptrdiff_t num, size_t elem_bytes, unsigned flags,
                                const char *where);
/* num elements from elems, which may lie in s. Go: append(s, elems...). */
MOUND_API void mound_slice_append(void *s, const void *elems, ptrdiff_t num, size_t elem_bytes,
                                  unsigned flags, const char *where);
/* Elements lo to hi - 1; capacity to max, PTRDIFF_MIN: as far as s. 0 <= lo <= hi <= max <= cap.
 * Go: s[lo:hi:max]. */
MOUND_API mound_slice mound_slice_sub(const void *s, ptrdiff_t lo, ptrdiff_t hi, ptrdiff_t max,
                                      size_t elem_bytes, const char *where)
    MOUND_ATTR(warn_unused_result);
/* As many as both have; they may overlap. Returns how many. Go: copy. */
MOUND_API ptrdiff_t mound_slice_copy(const void *to, const void *from, size_t elem_bytes);
/* Zeroes the elements. Go: clear. */
MOUND_API void mound_slice_clear(const void *s, size_t elem_bytes);

/* What a failed check ends in. */
MOUND_API void mound_fail_index(ptrdiff_t i, ptrdiff_t len, const char *where)
    MOUND_ATTR(noreturn, cold);

/* A slice of any type: reading it is never undefined. */
typedef struct MOUND_ATTR(may_alias) mound_slice_any_ {
    void *ptr;
    ptrdiff_t len, cap;
} mound_slice_any_;

static inline void *mound_slice_at_(const void *s, ptrdiff_t i, size_t elem_bytes,
                                    const char *where) {
    const mound_slice_any_ *any = (const mound_slice_any_ *)s;
    if (__builtin_expect((size_t)i >= (size_t)any->len, 0)) mound_fail_index(i, any->len, where);
    return (char *)any->ptr + (size_t)i * elem_bytes;
}

static inline void mound_slice_push_(void *s, const void *elem, size_t elem_bytes, unsigned flags,
                                     const char *where) {
    mound_slice_any_ *any = (mound_slice_any_ *)s;
    if (__builtin_expect(any->len >= any->cap, 0)) {
        /* A copy, so that a slice whose address nobody else has stays in registers. */
        mound_slice_any_ grown = *any;
        mound_slice_grow(&grown, 1, elem_bytes, flags, where);
        *any = grown;
    }
    __builtin_memcpy((char *)any->ptr + (size_t)any->len * elem_bytes, elem, elem_bytes);
    any->len++;
}

/* ---------------------------------------------------------------- by type */

#define MOUND_LINE_(n) #n
#define MOUND_LINE_OF_(n) MOUND_LINE_(n)
#define MOUND_HERE_ (__FILE__ ":" MOUND_LINE_OF_(__LINE__))

#ifndef __cplusplus
#define MOUND_ITEM_(s) __typeof__(*(s)->ptr)
/* Numbers: no pointers in them. */
#define MOUND_NUMBER_FLAGS_(T)                                                                     \
    (MOUND_IS_NUMBER_(*(__typeof__(T) *)0) || sizeof(T) < sizeof(void *)                           \
         ? (unsigned)MOUND_ELEM_NOSCAN                                                             \
         : 0u)
#define MOUND_ITEM_FLAGS_(s) MOUND_NUMBER_FLAGS_(MOUND_ITEM_(s))
/* A mound_slice as a slice of the type of *s. */
#define MOUND_AS_(s, any) (*(__typeof__(s))mound_slice_put_(&(__typeof__(*(s))){0, 0, 0}, (any)))
static inline void *mound_slice_put_(void *to, mound_slice s) {
    return __builtin_memcpy(to, &s, sizeof s);
}

/* S: a type made with mound_slice_of. Go: make. */
#define mound_make(S, len, cap)                                                                    \
    MOUND_AS_((S *)0, mound_slice_make((len), (cap), sizeof(*((S *)0)->ptr),                       \
                                       MOUND_ITEM_FLAGS_((S *)0), MOUND_HERE_))
/* The same for elements of any type that hold no pointers; growth keeps it so. */
#define mound_make_noscan(S, len, cap)                                                             \
    MOUND_AS_((S *)0, mound_slice_make((len), (cap), sizeof(*((S *)0)->ptr), MOUND_ELEM_NOSCAN,    \
                                       MOUND_HERE_))
/* Element i, to read or to assign to. */
#define mound_at(s, i)                                                                             \
    (*(__typeof__((s)->ptr))mound_slice_at_((s), (ptrdiff_t)(i), sizeof(*(s)->ptr), MOUND_HERE_))
/* The value must have the element's type, or both must be numbers; else it does not compile. */
#define mound_append(s, v)                                                                         \
    (MOUND_MUST_(MOUND_FITS_(MOUND_ITEM_(s), v)),                                                  \
     mound_slice_push_((s), (MOUND_ITEM_(s)[1]){(v)}, sizeof(*(s)->ptr), MOUND_ITEM_FLAGS_(s),     \
                       MOUND_HERE_))
/* num elements from an array of the element's type. */
#define mound_append_n(s, elems, num)                                                              \
    (MOUND_MUST_(MOUND_SAME_((s)->ptr, elems)),                                                    \
     mound_slice_append((s), (elems), (num), sizeof(*(s)->ptr), MOUND_ITEM_FLAGS_(s),              \
                        MOUND_HERE_))
/* The elements of another slice; t is evaluated twice. */
#define mound_append_slice(s, t) mound_append_n((s), (t)->ptr, (t)->len)
/* Room for num more without moving. */
#define mound_grow(s, num)                                                                         \
    mound_slice_grow((s), (num), sizeof(*(s)->ptr), MOUND_ITEM_FLAGS_(s), MOUND_HERE_)
/* Go: s[lo:hi], s[lo:hi:max]. */
#define mound_sub(s, lo, hi)                                                                       \
    MOUND_AS_(s, mound_slice_sub((s), (lo), (hi), PTRDIFF_MIN, sizeof(*(s)->ptr), MOUND_HERE_))
#define mound_sub3(s, lo, hi, max)                                                                 \
    MOUND_AS_(s, mound_slice_sub((s), (lo), (hi), (max), sizeof(*(s)->ptr), MOUND_HERE_))
#define mound_copy(to, from)                                                                       \
    (MOUND_MUST_(MOUND_SAME_((to)->ptr, (from)->ptr)),                                             \
     mound_slice_copy((to), (from), sizeof(*(to)->ptr)))
#define mound_clear(s) mound_slice_clear((s), sizeof(*(s)->ptr))
#define MOUND_SAME_(p, q)                                                                          \
    __builtin_types_compatible_p(__typeof__(1 ? *(p) : *(p)), __typeof__(1 ? *(q) : *(q)))
#endif

#endif
