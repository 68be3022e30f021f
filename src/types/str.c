/* str.c - strings. Floor types. Documented in mound/str.h.
 *
 * Go      strings.go, package strings.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "gc/malloc.h"
#include "sys/cpu.h"
#include "types/hash.h"
#include "types/misuse.h"

/* Strings of one byte, and numbers of two, which need no memory then. */
static const char all_bytes[256] = {
#define ROW(n)                                                                                     \
    (char)(n), (char)((n) + 1), (char)((n) + 2), (char)((n) + 3), (char)((n) + 4),                 \
        (char)((n) + 5), (char)((n) + 6), (char)((n) + 7)
    ROW(0),   ROW(8),   ROW(16),  ROW(24),  ROW(32),  ROW(40),  ROW(48),  ROW(56),
    ROW(64),  ROW(72),  ROW(80),  ROW(88),  ROW(96),  ROW(104), ROW(112), ROW(120),
    ROW(128), ROW(136), ROW(144), ROW(152), ROW(160), ROW(168), ROW(176), ROW(184),
    ROW(192), ROW(200), ROW(208), ROW(216), ROW(224), ROW(232), ROW(240), ROW(248)};
static const char two_digits[] = "00010203040506070809"
                                 "10111213141516171819"
                                 "20212223242526272829"
                                 "30313233343536373839"
                                 "40414243444546474849"
                                 "50515253545556575859"
                                 "60616263646566676869"
                                 "70717273747576777879"
                                 "80818283848586878889"
                                 "90919293949596979899";

/* ---------------------------------------------------------------- make */

static void check_len(const char *who, ptrdiff_t num) {
    if (num < 0) mo_misuse("%s: length %td out of range", who, num);
}

mound_string mound_string_of(const char *text) {
    return (mound_string){text, text ? (ptrdiff_t)strlen(text) : 0};
}

/* Ends the process where memory is exhausted. */
static char *text_new(size_t bytes) {
    char *text = NULL;
    size_t most = MO_TEXT_MAX_BYTES;
#if MO_MUTANT_text_fills_slot
    most++;
#endif
    if (bytes >= MO_TEXT_MIN_BYTES && bytes <= most) text = mo_malloc_text();
    return text ? text : mound_alloc_noscan(bytes);
}

/* num > 1 */
static mound_string copy_of(const void *bytes, ptrdiff_t num) {
    char *copy = text_new((size_t)num);
    memcpy(copy, bytes, (size_t)num);
    return (mound_string){copy, num};
}

mound_string mound_string_from_bytes(const void *bytes, ptrdiff_t num) {
    check_len("mound_string_from_bytes", num);
    if (num == 0) return (mound_string){NULL, 0};
    if (num == 1) return (mound_string){&all_bytes[*(const unsigned char *)bytes], 1};
    return copy_of(bytes, num);
}

mound_string mound_string_copy(const char *text) {
    return mound_string_from_bytes(text, text ? (ptrdiff_t)strlen(text) : 0);
}

mound_string mound_string_from_rune(int32_t rune) {
    char bytes[MOUND_UTF8_MAX];
    return mound_string_from_bytes(bytes, mound_utf8_encode(bytes, rune));
}

mound_string mound_string_from_runes(const int32_t *runes, ptrdiff_t num) {
    check_len("mound_string_from_runes", num);
    char bytes[MOUND_UTF8_MAX];
    ptrdiff_t len = 0;
    for (ptrdiff_t i = 0; i < num; i++) len += mound_utf8_encode(bytes, runes[i]);
    if (len <= MOUND_UTF8_MAX) {
        char *p = bytes;
        for (ptrdiff_t i = 0; i < num; i++) p += mound_utf8_encode(p, runes[i]);
        return mound_string_from_bytes(bytes, len);
    }
    char *text = text_new((size_t)len), *p = text;
    for (ptrdiff_t i = 0; i < num; i++) p += mound_utf8_encode(p, runes[i]);
    return (mound_string){text, len};
}

mound_string mound_string_from_int(int64_t value, int base) {
    if (base < 2 || base > 36)
        mo_misuse("mound_string_from_int: base %d; it must be from 2 to 36", base);
    if (base == 10 && value >= 0 && value < 100)
        return value < 10 ? (mound_string){&two_digits[2 * value + 1], 1}
                          : (mound_string){&two_digits[2 * value], 2};
    char text[65];
    char *p = text + sizeof text;
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        *--p = "0123456789abcdefghijklmnopqrstuvwxyz"[left % (unsigned)base];
        left /= (unsigned)base;
    } while (left > 0);
    if (value < 0) *--p = '-';
    return mound_string_from_bytes(p, text + sizeof text - p);
}

/* Formats behind what b has. */
static void builder_vprintf(mound_builder *b, const char *format, va_list args) {
    int saved = errno;
    char text[256];
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(text, sizeof text, format, args);
    if (len < 0) mo_misuse("the format \"%s\" cannot be printed", format);
    if ((size_t)len < sizeof text) {
        mound_slice_append(&b->bytes, text, len, 1, MOUND_ELEM_NOSCAN, "mound_builder_printf");
    } else {
        mound_slice_grow(&b->bytes, len + (ptrdiff_t)1, 1, MOUND_ELEM_NOSCAN,
                         "mound_builder_printf");
        vsnprintf(b->bytes.ptr + b->bytes.len, (size_t)len + 1, format, again);
        b->bytes.len += len;
    }
    va_end(again);
    errno = saved;
}

mound_string mound_string_printf(const char *format, ...) {
    mound_builder b = {{NULL, 0, 0}};
    va_list args;
    va_start(args, format);
    builder_vprintf(&b, format, args);
    va_end(args);
    return mound_builder_text(&b);
}

mound_bytes mound_string_bytes(mound_string s) {
    if (s.len == 0) return (mound_bytes){NULL, 0, 0};
    mound_string copy = copy_of(s.ptr, s.len);
    ptrdiff_t cap = s.len; /* what the block has more is not worth a look for it */
    return (mound_bytes){(char *)copy.ptr, s.len, cap};
}

mound_runes mound_string_runes(mound_string s) {
    ptrdiff_t num = mound_utf8_count(s), i = 0;
    if (num == 0) return (mound_runes){NULL, 0, 0};
    int32_t *runes = mound_alloc_noscan((size_t)num * sizeof *runes);
    for (mound_rune_iter r = {.rest = s}; mound_next_rune(&r);) runes[i++] = r.rune;
    return (mound_runes){runes, num, num};
}

char *mound_cstr(mound_string s) {
    char *text = text_new((size_t)s.len + 1);
    if (s.len > 0) memcpy(text, s.ptr, (size_t)s.len);
    text[s.len] = 0; /* who changed nothing else finds it zero already */
    return text;
}

mound_string mound_string_cat(const mound_string *strings, ptrdiff_t num) {
    return mound_string_join(strings, num, (mound_string){NULL, 0});
}

static char *put(char *to, mound_string s) {
    if (s.len > 0) memcpy(to, s.ptr, (size_t)s.len);
    return to + s.len;
}

mound_string mound_string_join(const mound_string *strings, ptrdiff_t num, mound_string sep) {
    check_len("mound_string_join", num);
    ptrdiff_t len = 0, not_empty = 0, last = 0;
    for (ptrdiff_t i = 0; i < num; i++) {
        if (strings[i].len > 0) {
            not_empty++;
            last = i;
        }
        if (__builtin_add_overflow(len, strings[i].len, &len) ||
            (i > 0 && __builtin_add_overflow(len, sep.len, &len)))
            mo_misuse("mound_string_join: the result is too long");
    }
    if (len == 0) return (mound_string){NULL, 0};
    if (not_empty == 1 && len == strings[last].len) return strings[last];
    char *text = text_new((size_t)len), *p = text;
    for (ptrdiff_t i = 0; i < num; i++) {
        if (i > 0) p = put(p, sep);
        p = put(p, strings[i]);
    }
    return (mound_string){text, len};
}

/* ---------------------------------------------------------------- look */

int mound_string_cmp(mound_string a, mound_string b) {
    ptrdiff_t num = a.len < b.len ? a.len : b.len;
    int order = num > 0 ? memcmp(a.ptr, b.ptr, (size_t)num) : 0;
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

uint64_t mound_hash_bytes(const void *bytes, size_t num, uint64_t seed) {
    uint64_t spread = mo_hash_word(seed, (mo_secret){0xDAA66D2C7DDF743Fu, 0x9E3779B97F4A7C15u});
    return mo_hash_bytes(bytes, num, (mo_secret){spread, (spread << 32 | spread >> 32) | 1});
}

uint64_t mound_string_hash(mound_string s, uint64_t seed) {
    return mound_hash_bytes(s.ptr, (size_t)s.len, seed);
}

char mound_string_at_where(mound_string s, ptrdiff_t i, const char *where) {
    if ((size_t)i >= (size_t)s.len) mound_fail_index(i, s.len, where);
    return s.ptr[i];
}

mound_string mound_string_sub_where(mound_string s, ptrdiff_t lo, ptrdiff_t hi, const char *where) {
    if (hi < 0 || hi > s.len)
        mo_misuse("slice bounds out of range [:%td] with length %td at %s", hi, s.len, where);
    if (lo < 0 || lo > hi) mo_misuse("slice bounds out of range [%td:%td] at %s", lo, hi, where);
    if (lo == hi) return (mound_string){NULL, 0}; /* keeps no block */
    return (mound_string){s.ptr + lo, hi - lo};
}

/* s.len >= lo */
static mound_string tail(mound_string s, ptrdiff_t lo) {
    return lo == s.len ? (mound_string){NULL, 0} : (mound_string){s.ptr + lo, s.len - lo};
}

/* Where the first and the last byte are right, those between are compared. They are few, so that no
 * text is bad for this; a longer part is memmem's, which has more to prepare. */
static ptrdiff_t index_short(mound_string s, mound_string part) {
    enum { AT_ONCE = 16 };
    ptrdiff_t i = 0, last = part.len - 1;
    for (; i + last + AT_ONCE <= s.len; i += AT_ONCE) {
        const char *p = s.ptr + i;
        unsigned found = mo_cpu_match_pair_16(p, part.ptr[0], p + last, part.ptr[last]);
        for (; found; found &= found - 1) {
            unsigned at = mo_ctz64(found);
            if (memcmp(p + at, part.ptr, (size_t)last) == 0) return i + at;
        }
    }
    const char *p = memmem(s.ptr + i, (size_t)(s.len - i), part.ptr, (size_t)part.len);
    return p ? p - s.ptr : -1;
}

ptrdiff_t mound_string_index(mound_string s, mound_string part) {
    enum { SHORT = 16 };
    if (part.len == 0) return 0;
    if (s.len < part.len) return -1;
    if (part.len == 1) return mound_string_index_byte(s, part.ptr[0]);
    if (part.len <= SHORT) return index_short(s, part);
    const char *p = memmem(s.ptr, (size_t)s.len, part.ptr, (size_t)part.len);
    return p ? p - s.ptr : -1;
}

ptrdiff_t mound_string_last_index(mound_string s, mound_string part) {
    if (part.len == 0) return s.len;
    for (ptrdiff_t i = s.len - part.len; i >= 0; i--) {
        const char *p = memrchr(s.ptr, part.ptr[0], (size_t)i + 1);
        if (!p) return -1;
        i = p - s.ptr;
        if (memcmp(p, part.ptr, (size_t)part.len) == 0) return i;
    }
    return -1;
}

ptrdiff_t mound_string_index_byte(mound_string s, char byte) {
    const char *p = s.len > 0 ? memchr(s.ptr, byte, (size_t)s.len) : NULL;
    return p ? p - s.ptr : -1;
}

int mound_string_has_prefix(mound_string s, mound_string prefix) {
    return s.len >= prefix.len &&
           (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, (size_t)prefix.len) == 0);
}

int mound_string_has_suffix(mound_string s, mound_string suffix) {
    return s.len >= suffix.len && (suffix.len == 0 || memcmp(s.ptr + s.len - suffix.len, suffix.ptr,
                                                             (size_t)suffix.len) == 0);
}

int mound_string_cut(mound_string s, mound_string sep, mound_string *before, mound_string *after) {
    ptrdiff_t i = mound_string_index(s, sep);
    if (before) *before = i < 0 ? s : (mound_string){s.ptr, i};
    if (after) *after = i < 0 ? (mound_string){NULL, 0} : tail(s, i + sep.len);
    return i >= 0;
}

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

mound_string mound_string_trim(mound_string s) {
    while (s.len > 0 && is_space(s.ptr[s.len - 1])) s.len--;
    ptrdiff_t lo = 0;
    while (lo < s.len && is_space(s.ptr[lo])) lo++;
    return tail(s, lo);
}

int mound_string_to_int(mound_string s, int64_t *value) {
    ptrdiff_t i = s.len > 0 && (s.ptr[0] == '-' || s.ptr[0] == '+');
    bool negative = i == 1 && s.ptr[0] == '-';
    int64_t sum = 0;
    if (i == s.len) return 0;
    for (; i < s.len; i++) {
        int digit = s.ptr[i] - '0';
        if (digit < 0 || digit > 9 || __builtin_mul_overflow(sum, 10, &sum) ||
            __builtin_add_overflow(sum, negative ? -digit : digit, &sum))
            return 0;
    }
    *value = sum;
    return 1;
}

/* ---------------------------------------------------------------- build */

void mound_builder_string(mound_builder *b, mound_string s) {
    mound_slice_append(&b->bytes, s.ptr, s.len, 1, MOUND_ELEM_NOSCAN, "mound_builder_string");
}

void mound_builder_rune(mound_builder *b, int32_t rune) {
    char bytes[MOUND_UTF8_MAX];
    int num = mound_utf8_encode(bytes, rune);
    mound_slice_append(&b->bytes, bytes, num, 1, MOUND_ELEM_NOSCAN, "mound_builder_rune");
}

void mound_builder_printf(mound_builder *b, const char *format, ...) {
    va_list args;
    va_start(args, format);
    builder_vprintf(b, format, args);
    va_end(args);
}

void mound_builder_grow(mound_builder *b, ptrdiff_t num) {
    mound_slice_grow(&b->bytes, num, 1, MOUND_ELEM_NOSCAN, "mound_builder_grow");
}
