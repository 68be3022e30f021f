/* mound/str.h - strings: immutable bytes, by value, with Go's meaning. Included by mound.h.
 *
 *     mound_string s = mound_cat(MOUND_STR("hello, "), name);
 *     printf("%.*s\n", MOUND_ARG(s));
 *
 * A string is an address and a length; it may contain any byte and does not end in one of value 0.
 * {0} is the empty string. A part of a string shares its bytes and keeps the whole block alive.
 * Nothing here changes bytes that a string was made of; who changes them by ptr breaks maps.
 *
 * Text is UTF-8. A byte that begins no valid sequence (overlong forms, surrogates and values above
 * 10FFFF are none) counts as one rune of one byte, MOUND_RUNE_ERROR.
 *
 * Positions out of range end the process with a line that says which. Memory exhausted: as
 * mound_alloc. All functions may be called from any thread.
 */
#ifndef MOUND_STR_H
#define MOUND_STR_H

typedef struct mound_string {
    const char *ptr;
    ptrdiff_t len;
} mound_string;

typedef mound_slice_of(char) mound_bytes;
typedef mound_slice_of(int32_t) mound_runes;

/* ---------------------------------------------------------------- make */

#ifdef __cplusplus
#define MOUND_STR(literal) (mound_string_static_("" literal, (ptrdiff_t)sizeof(literal) - 1))
#else
/* A string literal as a string, without allocation. */
#define MOUND_STR(literal) ((mound_string){"" literal, (ptrdiff_t)sizeof(literal) - 1})
#endif
static inline mound_string mound_string_static_(const char *ptr, ptrdiff_t len) {
    mound_string s;
    s.ptr = ptr;
    s.len = len;
    return s;
}
/* For "%.*s". Not more than INT_MAX bytes. */
#define MOUND_ARG(s) ((s).len > INT32_MAX ? INT32_MAX : (int)(s).len), ((s).ptr ? (s).ptr : "")

/* The text up to its zero byte, not copied: it must stay and not change. NULL: empty. */
MOUND_API mound_string mound_string_of(const char *text);
/* Copies. A single byte and no bytes need no memory. Go: string(bytes). */
MOUND_API mound_string mound_string_copy(const char *text);
MOUND_API mound_string mound_string_from_bytes(const void *bytes, ptrdiff_t num);
/* One rune in UTF-8; not a valid one: MOUND_RUNE_ERROR. Go: string(r). */
MOUND_API mound_string mound_string_from_rune(int32_t rune);
MOUND_API mound_string mound_string_from_runes(const int32_t *runes, ptrdiff_t num);
/* In base 2 to 36. 0 to 99 in base 10 need no memory. Go: strconv.FormatInt. */
MOUND_API mound_string mound_string_from_int(int64_t value, int base);
/* Go: fmt.Sprintf, with C's formats. */
MOUND_API mound_string mound_string_printf(const char *format, ...)
    MOUND_ATTR(format(printf, 1, 2), warn_unused_result);

/* Fresh copies that may be changed. Go: []byte(s), []rune(s). */
MOUND_API mound_bytes mound_string_bytes(mound_string s);
MOUND_API mound_runes mound_string_runes(mound_string s);
/* A fresh copy that ends in a zero byte, for C. A zero byte inside is kept. */
MOUND_API char *mound_cstr(mound_string s) MOUND_FRESH;

/* All of them, one after the other. If only one is not empty, that one. Go: a + b. */
MOUND_API mound_string mound_string_cat(const mound_string *strings, ptrdiff_t num);
#ifndef __cplusplus
#define mound_cat(...)                                                                             \
    mound_string_cat((const mound_string[]){__VA_ARGS__},                                          \
                     sizeof((const mound_string[]){__VA_ARGS__}) / sizeof(mound_string))
#endif
/* With sep between them. Go: strings.Join. */
MOUND_API mound_string mound_string_join(const mound_string *strings, ptrdiff_t num,
                                         mound_string sep);

/* ---------------------------------------------------------------- look */

static inline int mound_string_eq(mound_string a, mound_string b) {
    return a.len == b.len &&
           (a.len == 0 || a.ptr == b.ptr || __builtin_memcmp(a.ptr, b.ptr, (size_t)a.len) == 0);
}
/* Below, at or above 0; by bytes, which is also by code points. */
MOUND_API int mound_string_cmp(mound_string a, mound_string b);
MOUND_API uint64_t mound_string_hash(mound_string s, uint64_t seed);
/* Of any bytes: for hash functions of types. */
MOUND_API uint64_t mound_hash_bytes(const void *bytes, size_t num, uint64_t seed);

/* Byte i. */
MOUND_API char mound_string_at_where(mound_string s, ptrdiff_t i, const char *where);
/* Bytes lo to hi - 1, shared. Go: s[lo:hi]. */
MOUND_API mound_string mound_string_sub_where(mound_string s, ptrdiff_t lo, ptrdiff_t hi,
                                              const char *where);
#define mound_string_at(s, i) mound_string_at_where((s), (ptrdiff_t)(i), MOUND_HERE_)
#define mound_string_sub(s, lo, hi)                                                                \
    mound_string_sub_where((s), (ptrdiff_t)(lo), (ptrdiff_t)(hi), MOUND_HERE_)

/* Where part begins first, or last; -1: nowhere. An empty part: 0, or the length. */
MOUND_API ptrdiff_t mound_string_index(mound_string s, mound_string part);
MOUND_API ptrdiff_t mound_string_last_index(mound_string s, mound_string part);
MOUND_API ptrdiff_t mound_string_index_byte(mound_string s, char byte);
MOUND_API int mound_string_has_prefix(mound_string s, mound_string prefix);
MOUND_API int mound_string_has_suffix(mound_string s, mound_string suffix);
/* Around the first sep; before and after may be NULL. 0: there is none, before is all of s, after
 * empty. Go: strings.Cut. */
MOUND_API int mound_string_cut(mound_string s, mound_string sep, mound_string *before,
                               mound_string *after);
/* Without white space of ASCII at both ends. */
MOUND_API mound_string mound_string_trim(mound_string s);
/* A whole decimal number with an optional sign. 0: it is none, or does not fit; *value is then
 * unchanged. Go: strconv.ParseInt(s, 10, 64). */
MOUND_API int mound_string_to_int(mound_string s, int64_t *value);

/* ---------------------------------------------------------------- UTF-8 */

enum { MOUND_RUNE_ERROR = 0xFFFD, MOUND_UTF8_MAX = 4 };

/* The first rune of s to *rune (may be NULL), returns its bytes; 0: s is empty. Invalid:
 * MOUND_RUNE_ERROR and 1. Go: utf8.DecodeRuneInString, except for the empty one's rune, 0. */
MOUND_API int mound_utf8_decode(mound_string s, int32_t *rune);
/* Writes up to MOUND_UTF8_MAX bytes, returns how many. */
MOUND_API int mound_utf8_encode(char *to, int32_t rune);
MOUND_API int mound_utf8_is_valid(mound_string s);
MOUND_API ptrdiff_t mound_utf8_count(mound_string s);

/* The runes of a string: for (mound_rune_iter r = {s}; mound_next_rune(&r);) use r.rune, r.pos. */
typedef struct mound_rune_iter {
    mound_string rest;
    int32_t rune;
    ptrdiff_t pos; /* in bytes, of rune */
    int bytes;     /* of rune */
} mound_rune_iter;
static inline int mound_next_rune(mound_rune_iter *r) {
    r->pos += r->bytes;
    r->bytes = mound_utf8_decode(r->rest, &r->rune);
    if (r->bytes == 0) return 0;
    r->rest.ptr += r->bytes;
    r->rest.len -= r->bytes;
    return 1;
}

/* ---------------------------------------------------------------- build */

/* Text that grows at its end. {0} is an empty one. Do not copy one that was written to and go on
 * writing to both. Not for two threads at once. Go: strings.Builder. */
typedef struct mound_builder {
    mound_bytes bytes;
} mound_builder;

static inline void mound_builder_byte(mound_builder *b, char byte) {
    if (__builtin_expect(b->bytes.len >= b->bytes.cap, 0)) {
        mound_bytes grown = b->bytes; /* as in mound_slice_push_ */
        mound_slice_grow(&grown, 1, 1, MOUND_ELEM_NOSCAN, "mound_builder_byte");
        b->bytes = grown;
    }
    b->bytes.ptr[b->bytes.len++] = byte;
}
MOUND_API void mound_builder_string(mound_builder *b, mound_string s);
MOUND_API void mound_builder_rune(mound_builder *b, int32_t rune);
MOUND_API void mound_builder_printf(mound_builder *b, const char *format, ...)
    MOUND_ATTR(format(printf, 2, 3));
/* Room for num more bytes without moving. */
MOUND_API void mound_builder_grow(mound_builder *b, ptrdiff_t num);
/* What was written so far, without a copy; it does not change if more is written. */
static inline mound_string mound_builder_text(const mound_builder *b) {
    return mound_string_static_(b->bytes.ptr, b->bytes.len);
}

#endif
