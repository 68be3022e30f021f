/* values.c - random operations on slices, strings, maps and values of any type. values.go is the
 * same program in Go; both print the same for each seed, or one of them is wrong.
 *
 *     values SEED OPS          a line every EVERY operations: how many, a hash of all results so
 *                              far, a hash of all registers; to stderr how often each kind came
 *     values SEED OPS -v FROM  from operation FROM on a line for each one: its results and a hash
 *                              of all registers after it
 *
 * Each draw stands in a statement of its own and has its twin in values.go. A mistake for which Go
 * panics is found here before the call, and noted as such: what mound does then is for other tests.
 *
 * Capacities are the same in both: after an append that moved the elements, the capacity is cut to
 * next_cap's, which Go documents nowhere but keeps to at least, as mound does.
 *
 * Not compared: addresses; order of iteration; which of 0.0 and -0.0 a map has as its key once both
 * were put; whether a NaN comes in an iteration that clears its map.
 */
#include <mound.h>

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EVERY = 1000 };

typedef mound_slice_of(int64_t) ints;
typedef mound_slice_of(mound_string) strs;

/* ---------------------------------------------------------------- kinds of operations */

#define KINDS(X)                                                                                   \
    X(SLICE_MAKE, "slice.make")                                                                    \
    X(SLICE_APPEND, "slice.append")                                                                \
    X(SLICE_APPEND_ARRAY, "slice.append_array")                                                    \
    X(SLICE_APPEND_SLICE, "slice.append_slice")                                                    \
    X(SLICE_SUB, "slice.sub")                                                                      \
    X(SLICE_COPY, "slice.copy")                                                                    \
    X(SLICE_CLEAR, "slice.clear")                                                                  \
    X(SLICE_GET, "slice.get")                                                                      \
    X(SLICE_SET, "slice.set")                                                                      \
    X(SLICE_SHARE, "slice.share")                                                                  \
    X(SLICE_GROW, "slice.grow")                                                                    \
    X(STRING_MAKE, "string.make")                                                                  \
    X(STRING_CAT, "string.cat")                                                                    \
    X(STRING_SUB, "string.sub")                                                                    \
    X(STRING_COMPARE, "string.compare")                                                            \
    X(STRING_INDEX, "string.index")                                                                \
    X(STRING_AFFIX, "string.affix")                                                                \
    X(STRING_CUT, "string.cut")                                                                    \
    X(STRING_TRIM, "string.trim")                                                                  \
    X(STRING_FROM_INT, "string.from_int")                                                          \
    X(STRING_TO_INT, "string.to_int")                                                              \
    X(STRING_FROM_BYTES, "string.from_bytes")                                                      \
    X(STRING_TO_BYTES, "string.to_bytes")                                                          \
    X(STRING_FROM_RUNE, "string.from_rune")                                                        \
    X(STRING_FROM_RUNES, "string.from_runes")                                                      \
    X(STRING_TO_RUNES, "string.to_runes")                                                          \
    X(STRING_RANGE, "string.range")                                                                \
    X(STRING_VALID, "string.valid")                                                                \
    X(STRING_JOIN, "string.join")                                                                  \
    X(STRING_BUILD, "string.build")                                                                \
    X(MAP_MAKE, "map.make")                                                                        \
    X(MAP_PUT, "map.put")                                                                          \
    X(MAP_GET, "map.get")                                                                          \
    X(MAP_DELETE, "map.delete")                                                                    \
    X(MAP_ADD, "map.add")                                                                          \
    X(MAP_CLEAR, "map.clear")                                                                      \
    X(MAP_ITERATE, "map.iterate")                                                                  \
    X(MAP_ITERATE_DELETE, "map.iterate_delete")                                                    \
    X(MAP_ITERATE_PUT, "map.iterate_put")                                                          \
    X(MAP_BULK, "map.bulk")                                                                        \
    X(MAP_RESERVE, "map.reserve")                                                                  \
    X(MAP_NIL, "map.nil")                                                                          \
    X(ANY_BOX, "any.box")                                                                          \
    X(ANY_EQUAL, "any.equal")                                                                      \
    X(ANY_TYPE, "any.type")                                                                        \
    X(ANY_KEY, "any.key")

#define AS_ENUM(id, name) id,
#define AS_NAME(id, name) name,
typedef enum kind { KINDS(AS_ENUM) NUM_KINDS } kind;
static const char *const kind_names[] = {KINDS(AS_NAME)};

static uint64_t num_of_kind[NUM_KINDS];
static uint64_t num_of_size[16]; /* operations on maps of at least 1 << (i - 1) entries */
static uint64_t num_emptied;     /* large maps whose entries were all deleted, one by one */

/* ---------------------------------------------------------------- draws */

static uint64_t rand_state;

static uint64_t draw64(void) { /* xorshift64* */
    rand_state ^= rand_state >> 12;
    rand_state ^= rand_state << 25;
    rand_state ^= rand_state >> 27;
    return rand_state * 0x2545F4914F6CDD1Du;
}
/* Below n, which is below 2^31. */
static ptrdiff_t draw(ptrdiff_t n) { return (ptrdiff_t)((draw64() >> 33) % (uint64_t)n); }
/* Below 1 << bits, the smaller the more often. */
static ptrdiff_t draw_small(ptrdiff_t bits) {
    ptrdiff_t b = draw(bits + 1);
    return draw((ptrdiff_t)1 << b);
}

/* ---------------------------------------------------------------- notes */

static uint64_t results = 14695981039346656037u;
static bool is_verbose;

static uint64_t mix(uint64_t h, uint64_t v) { /* as FNV-1a, by words */
    h = (h ^ v) * 1099511628211u;
    return h ^ h >> 29;
}
static void note(int64_t v) {
    results = mix(results, (uint64_t)v);
    if (is_verbose) printf(" %lld", (long long)v);
}
static void note_hash(uint64_t v) {
    results = mix(results, v);
    if (is_verbose) printf(" %016llx", (unsigned long long)v);
}
static void note_panic(void) {
    results = mix(results, 0x70616E6963);
    if (is_verbose) printf(" panic");
}

static uint64_t hash_bytes(const char *p, ptrdiff_t num) {
    uint64_t h = 14695981039346656037u;
    for (ptrdiff_t i = 0; i < num; i++) h = (h ^ (unsigned char)p[i]) * 1099511628211u;
    return mix(h, (uint64_t)num);
}
static uint64_t hash_string(mound_string s) { return hash_bytes(s.ptr, s.len); }
static void note_string(mound_string s) {
    results = mix(results, hash_string(s));
    if (!is_verbose) return;
    printf(" %td:", s.len);
    for (ptrdiff_t i = 0; i < s.len && i < 32; i++) printf("%02x", (unsigned char)s.ptr[i]);
}

/* What an operation is about, for those who look for a difference. */
static void show_string(mound_string s) {
    if (!is_verbose) return;
    printf(" \"");
    for (ptrdiff_t i = 0; i < s.len && i < 80; i++) printf("%02x", (unsigned char)s.ptr[i]);
    printf("\"");
}

/* ---------------------------------------------------------------- values to work with */

enum { NUM_STRINGS = 8, MAX_STRING = 1200, NUM_ANYS = 8 };

static mound_string str[NUM_STRINGS];
static mound_any any[NUM_ANYS];

/* Text under construction, for the generator alone. */
typedef struct text {
    unsigned char byte[1024];
    ptrdiff_t len;
} text;

static void put(text *t, uint32_t byte) { t->byte[t->len++] = (unsigned char)byte; }
static uint32_t draw_cont(void) { return 0x80 | (uint32_t)draw(64); }

/* UTF-8 as its form is, of whatever number below 1 << 21; its bytes. */
static ptrdiff_t put_raw(text *t, uint32_t r) {
    if (r < 0x80) {
        put(t, r);
        return 1;
    }
    if (r < 0x800) {
        put(t, 0xC0 | r >> 6);
        put(t, 0x80 | (r & 0x3F));
        return 2;
    }
    if (r < 0x10000) {
        put(t, 0xE0 | r >> 12);
        put(t, 0x80 | (r >> 6 & 0x3F));
        put(t, 0x80 | (r & 0x3F));
        return 3;
    }
    put(t, 0xF0 | r >> 18);
    put(t, 0x80 | (r >> 12 & 0x3F));
    put(t, 0x80 | (r >> 6 & 0x3F));
    put(t, 0x80 | (r & 0x3F));
    return 4;
}

static uint32_t draw_valid_rune(void) {
    uint32_t r = 0;
    switch (draw(5)) {
    case 0: r = (uint32_t)draw(0x80); break;
    case 1: r = 0x80 + (uint32_t)draw(0x780); break;
    case 2: r = 0x800 + (uint32_t)draw(0xD000); break;
    case 3: r = 0xE000 + (uint32_t)draw(0x2000); break;
    case 4: r = 0x10000 + (uint32_t)draw(0x100000); break;
    }
    return r;
}

static int32_t draw_rune(void) {
    static const int32_t edges[] = {0,        0x7F,      0x80,      0x7FF,   0x800,    0xD7FF,
                                    0xD800,   0xDBFF,    0xDC00,    0xDFFF,  0xE000,   0xFFFC,
                                    0xFFFD,   0xFFFE,    0xFFFF,    0x10000, 0x10FFFF, 0x110000,
                                    0x1FFFFF, INT32_MIN, INT32_MAX, -1,      -0x80};
    switch (draw(8)) {
    case 0: return edges[draw(sizeof edges / sizeof edges[0])];
    case 1: return 0xD800 + (int32_t)draw(0x800);
    case 2: return (int32_t)(uint32_t)draw64();
    }
    return (int32_t)draw_valid_rune();
}

/* Bytes that are no UTF-8, of each kind. */
static void put_invalid(text *t) {
    ptrdiff_t len = 0, cut = 0, num = 0;
    uint32_t r = 0, byte = 0;
    switch (draw(8)) {
    case 0: /* cut off */
        r = 0x80 + (uint32_t)draw(0x10FF80);
        len = put_raw(t, r);
        cut = 1 + draw(len - 1);
        t->len -= cut;
        break;
    case 1: /* longer than need be */
        byte = 0xC0 | (uint32_t)draw(2);
        put(t, byte);
        put(t, draw_cont());
        break;
    case 2:
        put(t, 0xE0);
        byte = 0x80 | (uint32_t)draw(32);
        put(t, byte);
        put(t, draw_cont());
        break;
    case 3:
        put(t, 0xF0);
        byte = 0x80 | (uint32_t)draw(16);
        put(t, byte);
        put(t, draw_cont());
        put(t, draw_cont());
        break;
    case 4: /* a surrogate */
        r = 0xD800 + (uint32_t)draw(0x800);
        put_raw(t, r);
        break;
    case 5: /* too large */
        r = 0x110000 + (uint32_t)draw(0xF0000);
        put_raw(t, r);
        break;
    case 6: /* begins nothing */
        byte = 0xF5 + (uint32_t)draw(11);
        put(t, byte);
        num = draw(4);
        for (ptrdiff_t i = 0; i < num; i++) put(t, draw_cont());
        break;
    case 7: /* goes on with nothing */
        num = 1 + draw(3);
        for (ptrdiff_t i = 0; i < num; i++) put(t, draw_cont());
        break;
    }
}

static int64_t draw_int(void) {
    static const int64_t edges[] = {
        0, 1, -1, 9, 10, 99, 100, -10, INT64_MAX, INT64_MIN, INT64_MAX - 1, INT64_MIN + 1};
    ptrdiff_t shift = 0;
    switch (draw(4)) {
    case 0: return edges[draw(sizeof edges / sizeof edges[0])];
    case 1: return draw(2000) - 1000;
    }
    shift = draw(64);
    return (int64_t)draw64() >> shift;
}

/* Decimal numbers and what is nearly one. */
static void put_number(text *t) {
    int64_t v = draw_int();
    ptrdiff_t form = draw(8);
    char digits[32];
    if (form == 0) put(t, '+');
    if (form == 1) put(t, '-');
    if (form == 2) put(t, ' ');
    int len = snprintf(digits, sizeof digits, "%lld", (long long)v);
    for (int i = 0; i < len; i++) put(t, (unsigned char)digits[i]);
    if (form == 3) {
        uint32_t digit = '0' + (uint32_t)draw(10);
        put(t, digit);
    }
    if (form == 4) {
        static const char other[] = " _.:/-+x";
        uint32_t byte = (unsigned char)other[draw(sizeof other - 1)];
        put(t, byte);
    }
}

static void draw_text(text *t, ptrdiff_t bits) {
    static const char spaces[] = " \t\n\v\f\rab \x85";
    t->len = 0;
    ptrdiff_t form = draw(8), num = draw_small(bits);
    switch (form) {
    case 0: break;
    case 1:
        for (ptrdiff_t i = 0; i < num; i++) put(t, 'a' + (uint32_t)draw(2));
        break;
    case 2:
        for (ptrdiff_t i = 0; i < num; i++) put(t, (unsigned char)spaces[draw(sizeof spaces - 1)]);
        break;
    case 3: put_number(t); break;
    case 4:
        for (ptrdiff_t i = 0; i < num; i++) put(t, (uint32_t)draw(256));
        break;
    case 5:
        for (ptrdiff_t i = 0; i < num; i++) put_raw(t, draw_valid_rune());
        break;
    default:
        for (ptrdiff_t i = 0; i < num; i++) {
            switch (draw(4)) {
            case 0: put_invalid(t); break;
            case 1: put(t, 'a' + (uint32_t)draw(26)); break;
            default: put_raw(t, draw_valid_rune()); break;
            }
        }
    }
}
/* Of 4 << bits bytes at most, fresh. */
static mound_string draw_fresh_string(ptrdiff_t bits) {
    text t;
    draw_text(&t, bits);
    return mound_string_from_bytes(t.byte, t.len);
}

static mound_string draw_string(void) {
    if (draw(3) == 0) return draw_fresh_string(4);
    return str[draw(NUM_STRINGS)];
}
/* A short one, as an element and a separator. */
static mound_string draw_short_string(void) {
    mound_string s = draw_string();
    if (s.len > 60) s = mound_string_sub(s, s.len - 60, s.len);
    return s;
}
static void set_string(ptrdiff_t to, mound_string s) {
    if (s.len > MAX_STRING) s = mound_string_sub(s, s.len / 3, s.len / 3 + MAX_STRING / 2);
    str[to] = s;
    note_string(s);
}

/* ---------------------------------------------------------------- slices */

/* Go's growth before it is rounded up to what a block holds. */
static ptrdiff_t next_cap(ptrdiff_t cap, ptrdiff_t needed) {
    if (needed > 2 * cap) return needed;
    if (cap < 256) return 2 * cap;
    while (cap < needed) cap += (cap + 3 * 256) / 4;
    return cap;
}

static uint64_t hash_int(int64_t v) { return (uint64_t)v; }
static uint64_t hash_char(char v) { return (unsigned char)v; }
static uint64_t hash_rune(int32_t v) { return (uint32_t)v; }
static int64_t draw_int_elem(void) { return (int64_t)draw64(); }
static char draw_char(void) { return (char)draw(256); }

#define PASTE_(a, b) a##_##b
#define PASTE(a, b) PASTE_(a, b)

#define NAME ints
#define S ints
#define T int64_t
#define NUM 8
#define MAX_LEN 1000
#define DRAW draw_int_elem
#define HASH hash_int
#include "slice_ops.h"

#define NAME bytes
#define S mound_bytes
#define T char
#define NUM 8
#define MAX_LEN 1000
#define DRAW draw_char
#define HASH hash_char
#include "slice_ops.h"

#define NAME strs
#define S strs
#define T mound_string
#define NUM 4
#define MAX_LEN 60
#define DRAW draw_short_string
#define HASH hash_string
#include "slice_ops.h"

#define NAME runes
#define S mound_runes
#define T int32_t
#define NUM 4
#define MAX_LEN 500
#define DRAW draw_rune
#define HASH hash_rune
#include "slice_ops.h"

static void slice_op(kind k) {
    ptrdiff_t type = draw(10);
    if (type < 3)
        ints_op(k);
    else if (type < 6)
        bytes_op(k);
    else if (type < 8)
        strs_op(k);
    else
        runes_op(k);
}

/* ---------------------------------------------------------------- strings */

static int sign(int n) { return (n > 0) - (n < 0); }

static void string_make(ptrdiff_t to) {
    ptrdiff_t is_long = draw(16);
    set_string(to, draw_fresh_string(is_long == 0 ? 7 : 5));
    const char *c = mound_cstr(str[to]);
    note_hash(c[str[to].len] == 0 ? hash_bytes(c, str[to].len) : 0);
}

static void string_cat(ptrdiff_t to) {
    mound_string part[6];
    ptrdiff_t num = draw(7);
    for (ptrdiff_t i = 0; i < num; i++) part[i] = draw_string();
    set_string(to, mound_string_cat(part, num));
}

static void string_sub(ptrdiff_t to) {
    mound_string s = draw_string();
    ptrdiff_t i = draw(s.len + 2) - 1, hi = draw(s.len + 1), lo = draw(hi + 1);
    ptrdiff_t wild = draw(8);
    if (i >= 0 && i < s.len)
        note((unsigned char)mound_string_at(s, i));
    else
        note_panic();
    if (wild == 0) {
        lo = draw(s.len + 4) - 2;
        hi = draw(s.len + 4) - 2;
    }
    if (lo < 0 || lo > hi || hi > s.len)
        note_panic();
    else
        set_string(to, mound_string_sub(s, lo, hi));
}

/* Two strings that often have much in common. */
static void draw_alike(mound_string *a, mound_string *b) {
    *a = draw_string();
    *b = draw_string();
    ptrdiff_t way = draw(3);
    if (way == 0) { /* the same bytes elsewhere, one of them maybe another */
        text t = {.len = a->len < 1000 ? a->len : 1000};
        if (t.len > 0) memcpy(t.byte, a->ptr, (size_t)t.len);
        if (t.len > 0) {
            ptrdiff_t at = draw(t.len);
            uint32_t bit = (uint32_t)draw(16);
            if (bit < 8) t.byte[at] = (unsigned char)(t.byte[at] ^ 1u << bit);
        }
        *b = mound_string_from_bytes(t.byte, t.len);
    } else if (way == 1) { /* a part of it */
        ptrdiff_t hi = draw(a->len + 1), lo = draw(hi + 1);
        *b = mound_string_sub(*a, lo, hi);
    }
    show_string(*a);
    show_string(*b);
}

static void string_compare(void) {
    mound_string a, b;
    draw_alike(&a, &b);
    note(sign(mound_string_cmp(a, b)));
    note(sign(mound_string_cmp(b, a)));
    note(mound_string_eq(a, b) != 0);
    note(mound_string_hash(a, 7) == mound_string_hash(b, 7));
}

static void string_index(void) {
    mound_string s, part;
    draw_alike(&s, &part);
    ptrdiff_t num = draw(6);
    if (num < 4 && num < part.len) part = mound_string_sub(part, 0, num);
    char byte = (char)draw(256);
    note(mound_string_index(s, part));
    note(mound_string_last_index(s, part));
    note(mound_string_index_byte(s, byte));
    note(part.len > 0 ? mound_string_index_byte(s, part.ptr[0]) : -1);
}

static void string_affix(void) {
    mound_string s, part;
    draw_alike(&s, &part);
    ptrdiff_t num = draw(part.len + 1), way = draw(3);
    if (way == 0) part = mound_string_sub(part, 0, num);
    if (way == 1) part = mound_string_sub(part, num, part.len);
    note(mound_string_has_prefix(s, part) != 0);
    note(mound_string_has_suffix(s, part) != 0);
}

static void string_cut(ptrdiff_t to) {
    mound_string s, sep, before, after;
    draw_alike(&s, &sep);
    ptrdiff_t num = draw(5), other = draw(NUM_STRINGS);
    if (num < sep.len) sep = mound_string_sub(sep, 0, num);
    note(mound_string_cut(s, sep, &before, &after) != 0);
    set_string(to, before);
    set_string(other, after);
}

static void string_trim(ptrdiff_t to) {
    text t;
    mound_string s = draw_string();
    ptrdiff_t has_spaces = draw(4);
    draw_text(&t, 3);
    if (has_spaces != 0) {
        mound_string around = mound_string_from_bytes(t.byte, t.len);
        s = mound_cat(around, s, around);
    }
    set_string(to, mound_string_trim(s));
}

static void string_from_int(ptrdiff_t to) {
    int64_t v = draw_int();
    int base = 2 + (int)draw(35);
    ptrdiff_t is_ten = draw(3);
    set_string(to, mound_string_from_int(v, is_ten == 0 ? 10 : base));
}

static void string_to_int(void) {
    mound_string s = draw_string();
    if (draw(4) != 0) {
        text t = {.len = 0};
        put_number(&t);
        s = mound_string_from_bytes(t.byte, t.len);
    }
    int64_t v = 0;
    show_string(s);
    int ok = mound_string_to_int(s, &v);
    note(ok != 0);
    note(v);
}

static void string_from_bytes(ptrdiff_t to) {
    mound_bytes b = bytes_reg[draw(bytes_REGS)];
    set_string(to, mound_string_from_bytes(b.ptr, b.len));
}

static void string_to_bytes(void) {
    mound_string s = draw_string();
    ptrdiff_t to = draw(bytes_REGS);
    mound_bytes b = mound_string_bytes(s);
    bytes_reg[to] = mound_sub3(&b, 0, b.len, b.len);
    bytes_show(to);
}

static void string_from_rune(ptrdiff_t to) {
    int32_t r = draw_rune();
    char bytes[MOUND_UTF8_MAX];
    int num = mound_utf8_encode(bytes, r);
    note_hash(hash_bytes(bytes, num));
    mound_string s = mound_string_from_rune(r);
    note_string(s);
    set_string(to, mound_cat(str[to], s));
}

static void string_from_runes(ptrdiff_t to) {
    mound_runes r = runes_reg[draw(runes_REGS)];
    set_string(to, mound_string_from_runes(r.ptr, r.len));
}

static void string_to_runes(void) {
    mound_string s = draw_string();
    ptrdiff_t to = draw(runes_REGS);
    mound_runes r = mound_string_runes(s);
    runes_reg[to] = mound_sub3(&r, 0, r.len, r.len);
    runes_show(to);
}

static void string_range(void) {
    mound_string s = draw_string();
    uint64_t h = 0;
    show_string(s);
    for (mound_rune_iter r = {.rest = s}; mound_next_rune(&r);) {
        h = mix(h, (uint64_t)r.pos);
        h = mix(h, (uint32_t)r.rune);
        h = mix(h, (uint64_t)r.bytes);
    }
    note_hash(h);
    s = mound_string_sub(s, draw(s.len + 1), s.len);
    int32_t r;
    note(mound_utf8_decode(s, &r));
    note(s.len > 0 ? r : 0);
}

static void string_valid(void) {
    mound_string s = draw_string();
    show_string(s);
    note(mound_utf8_is_valid(s) != 0);
    note(mound_utf8_count(s));
}

static void string_join(ptrdiff_t to) {
    strs list = strs_reg[draw(strs_REGS)];
    mound_string sep = draw_short_string();
    if (list.len > 8 && draw(2) == 0) list = mound_sub(&list, 0, 8);
    set_string(to, mound_string_join(list.ptr, list.len, sep));
}

static void string_build(ptrdiff_t to) {
    mound_builder b = {{0}};
    mound_string first = {0};
    ptrdiff_t num = draw_small(6), half = draw(num + 1);
    for (ptrdiff_t i = 0; i < num; i++) {
        int64_t v = 0;
        if (i == half) first = mound_builder_text(&b);
        switch (draw(10)) {
        case 0:
        case 1:
        case 2: mound_builder_byte(&b, draw_char()); break;
        case 3:
        case 4:
        case 5: mound_builder_rune(&b, draw_rune()); break;
        case 6: mound_builder_grow(&b, draw(100)); break;
        case 7:
            v = draw_int();
            mound_builder_printf(&b, "%lld,%016llx", (long long)v, (unsigned long long)v);
            break;
        default: mound_builder_string(&b, draw_short_string()); break;
        }
    }
    mound_string s = mound_builder_text(&b);
    note_string(s);
    note_string(first); /* what was written behind it did not change it */
    set_string(to, s);
}

static void string_op(kind k) {
    ptrdiff_t to = draw(NUM_STRINGS);
    switch (k) {
    case STRING_MAKE: string_make(to); break;
    case STRING_CAT: string_cat(to); break;
    case STRING_SUB: string_sub(to); break;
    case STRING_COMPARE: string_compare(); break;
    case STRING_INDEX: string_index(); break;
    case STRING_AFFIX: string_affix(); break;
    case STRING_CUT: string_cut(to); break;
    case STRING_TRIM: string_trim(to); break;
    case STRING_FROM_INT: string_from_int(to); break;
    case STRING_TO_INT: string_to_int(); break;
    case STRING_FROM_BYTES: string_from_bytes(to); break;
    case STRING_TO_BYTES: string_to_bytes(); break;
    case STRING_FROM_RUNE: string_from_rune(to); break;
    case STRING_FROM_RUNES: string_from_runes(to); break;
    case STRING_TO_RUNES: string_to_runes(); break;
    case STRING_RANGE: string_range(); break;
    case STRING_VALID: string_valid(); break;
    case STRING_JOIN: string_join(to); break;
    default: string_build(to); break;
    }
}

/* ---------------------------------------------------------------- values of any type */

static double draw_double(void) {
    static const double edges[] = {0, -0.0, 1, -1.5, 1e300, INFINITY, -INFINITY, NAN};
    if (draw(2) == 0) return edges[draw(sizeof edges / sizeof edges[0])];
    return (double)(draw(64) - 32) * 0.5;
}

static uint64_t bits_of(double d) {
    uint64_t bits;
    if (d == 0) return 0; /* see above */
    if (d != d) return 0x7FF8000000000001;
    memcpy(&bits, &d, 8);
    return bits;
}

static uint64_t hash_any(mound_any a) {
    if (mound_any_is(&a, int64_t)) return mix(1, (uint64_t)mound_any_as(&a, int64_t));
    if (mound_any_is(&a, uint8_t)) return mix(2, mound_any_as(&a, uint8_t));
    if (mound_any_is(&a, mound_string)) return mix(3, hash_string(mound_any_as(&a, mound_string)));
    if (mound_any_is(&a, double)) return mix(4, bits_of(mound_any_as(&a, double)));
    return 5;
}

static mound_any draw_any(void) {
    switch (draw(9)) {
    case 0: return (mound_any){0};
    case 1:
    case 2: return mound_any_of(int64_t, draw_int());
    case 3:
    case 4: return mound_any_of(uint8_t, (uint8_t)draw(256));
    case 5:
    case 6: return mound_any_of(mound_string, draw_short_string());
    }
    return mound_any_of(double, draw_double());
}

/* The same value, boxed again. */
static mound_any box_again(mound_any a) {
    if (mound_any_is(&a, int64_t)) return mound_any_of(int64_t, mound_any_as(&a, int64_t));
    if (mound_any_is(&a, uint8_t)) return mound_any_of(uint8_t, mound_any_as(&a, uint8_t));
    if (mound_any_is(&a, double)) return mound_any_of(double, mound_any_as(&a, double));
    if (!mound_any_is(&a, mound_string)) return a;
    mound_string s = mound_any_as(&a, mound_string);
    return mound_any_of(mound_string, mound_string_from_bytes(s.ptr, s.len));
}

static void any_equal(void) {
    mound_any a = any[draw(NUM_ANYS)], b = any[draw(NUM_ANYS)], c = box_again(a);
    note(mound_any_eq(a, b) != 0);
    note(mound_any_eq(b, a) != 0);
    note(mound_any_eq(a, a) != 0);
    note(mound_any_eq(a, c) != 0);
}

static void any_type(void) {
    mound_any a = any[draw(NUM_ANYS)];
    const int64_t *i = mound_any_try(&a, int64_t);
    const uint8_t *b = mound_any_try(&a, uint8_t);
    const mound_string *s = mound_any_try(&a, mound_string);
    const double *d = mound_any_try(&a, double);
    note(i ? *i : -2);
    note(b ? *b : -2);
    note(s ? s->len : -2);
    note(d != NULL);
    bool is_right = false;
    switch (draw(4)) {
    case 0:
        is_right = mound_any_is(&a, int64_t);
        if (is_right) note(mound_any_as(&a, int64_t));
        break;
    case 1:
        is_right = mound_any_is(&a, uint8_t);
        if (is_right) note(mound_any_as(&a, uint8_t));
        break;
    case 2:
        is_right = mound_any_is(&a, mound_string);
        if (is_right) note_string(mound_any_as(&a, mound_string));
        break;
    default:
        is_right = mound_any_is(&a, double);
        if (is_right) note_hash(bits_of(mound_any_as(&a, double)));
        break;
    }
    if (!is_right) note_panic();
}

/* ---------------------------------------------------------------- maps */

/* The keys of a map are numbered from 0 to UNIVERSE - 1. Of others, which only the maps of any
 * have, the number is OTHER, or NAN_KEY. */
enum { UNIVERSE = 8192, OTHER = UNIVERSE + 1, NAN_KEY = UNIVERSE + 3 };
#define FACTOR 0x9E3779B97F4A7C15u
#define FACTOR_INVERSE 0xF1DE83E19937733Du
#define FACTOR32 0x9E3779B1u
#define FACTOR32_INVERSE 0x0E8B2F51u

static uint64_t u64_key(ptrdiff_t i) {
    uint64_t n = (uint64_t)i;
    switch (i & 3) {
    case 0: return n;
    case 1: return n << 40;
    case 2: return n * FACTOR;
    }
    return ~n;
}
static ptrdiff_t u64_index(uint64_t k) {
    if (k < UNIVERSE) return (ptrdiff_t)k;
    if (~k < UNIVERSE) return (ptrdiff_t)~k;
    if (k << 24 == 0) return (ptrdiff_t)(k >> 40);
    return (ptrdiff_t)(k * FACTOR_INVERSE);
}
static uint64_t u64_hash(uint64_t k) { return k; }

static uint32_t u32_key(ptrdiff_t i) {
    return i & 1 ? (uint32_t)i * FACTOR32 : (uint32_t)i; /* odd numbers are odd keys */
}
static ptrdiff_t u32_index(uint32_t k) {
    return k & 1 ? (ptrdiff_t)(k * FACTOR32_INVERSE) : (ptrdiff_t)k;
}
static uint64_t u32_hash(uint32_t k) { return k; }

/* Its number, and up to 69 bytes more. */
static mound_string str_key(ptrdiff_t i) {
    char bytes[80], digits[8];
    int len = 0, num = 0;
    if (i == 0) return (mound_string){0};
    uint64_t h = (uint64_t)i * FACTOR;
    for (; i > 0; i /= 10) digits[num++] = (char)('0' + i % 10);
    while (num > 0) bytes[len++] = digits[--num];
    bytes[len++] = ':';
    for (int rest = (int)(h >> 40) % 70; rest > 0; rest--) bytes[len++] = (char)(h >> (rest & 31));
    return mound_string_from_bytes(bytes, len);
}
static ptrdiff_t str_index(mound_string s) {
    ptrdiff_t n = 0, i = 0;
    for (; i < s.len && i < 5 && s.ptr[i] >= '0' && s.ptr[i] <= '9'; i++)
        n = n * 10 + s.ptr[i] - '0';
    return s.len > 0 && (i == 0 || n >= UNIVERSE) ? OTHER : n;
}

static mound_any any_key(ptrdiff_t i) {
    switch (i & 3) {
    case 0: return mound_any_of(mound_string, str_key(i));
    case 1:
        if (i < 1024) return mound_any_of(uint8_t, (uint8_t)(i >> 2));
        return mound_any_of(int64_t, i);
    case 2: return mound_any_of(int64_t, (int64_t)((uint64_t)i * FACTOR));
    }
    return mound_any_of(double, i == 3 ? 0 : i == 7 ? INFINITY : (double)i * 0.5);
}
static ptrdiff_t any_index(mound_any k) {
    if (mound_any_is(&k, mound_string)) return str_index(mound_any_as(&k, mound_string));
    if (mound_any_is(&k, uint8_t)) return mound_any_as(&k, uint8_t) << 2 | 1;
    if (mound_any_is(&k, int64_t)) {
        uint64_t n = (uint64_t)mound_any_as(&k, int64_t);
        if (n >= UNIVERSE || (n & 3) != 1) n *= FACTOR_INVERSE;
        return n < UNIVERSE ? (ptrdiff_t)n : OTHER;
    }
    if (!mound_any_is(&k, double)) return OTHER;
    double d = mound_any_as(&k, double) * 2;
    if (d == 0) return 3;
    if (d == INFINITY) return 7;
    if (d != d) return NAN_KEY;
    if (!(d > 0 && d < UNIVERSE) || d != (double)(ptrdiff_t)d) return OTHER;
    return (ptrdiff_t)d;
}

static ptrdiff_t draw_key(void) { return draw_small(13); }

/* A size to go to: around those where maps grow and shrink, and others. */
static ptrdiff_t draw_size(void) {
    ptrdiff_t size = 0, off = 0, way = draw(20);
    switch (way) {
    case 0: size = 3000 + draw(5000); break;
    case 1: size = (ptrdiff_t)896 << draw(3); break;
    case 2:
    case 3: size = draw(1000); break;
    case 4:
    case 5:
    case 6:
    case 7: size = (ptrdiff_t)8 << draw(8); break;
    case 8:
    case 9:
    case 10:
    case 11:
    case 12: size = draw(64); break;
    case 13:
    case 14:
    case 15:
    case 16: size = draw(300); break;
    }
    off = draw(3);
    if (way != 0 && size > 0) size += off - 1;
    return size;
}

static void note_size(size_t len) {
    unsigned i = 0;
    while (len >> i != 0) i++;
    num_of_size[i < 15 ? i : 15]++;
    note((int64_t)len);
}

/* One entry's part of a digest that does not depend on the order. */
static uint64_t entry_hash(uint64_t key, int64_t value) {
    return mix(mix(14695981039346656037u, key), (uint64_t)value) * FACTOR;
}

typedef mound_map_of(uint64_t, int64_t) u64_map;
typedef mound_map_of(uint32_t, uint32_t) u32_map;
typedef mound_map_of(mound_string, int64_t) str_map;
typedef mound_map_of(mound_any, int64_t) any_map;

#define NAME u64
#define M u64_map
#define K uint64_t
#define V int64_t
#define NUM 4
#define HASH u64_hash
#include "map_ops.h"

#define NAME u32
#define M u32_map
#define K uint32_t
#define V uint32_t
#define NUM 2
#define HASH u32_hash
#include "map_ops.h"

#define NAME str
#define M str_map
#define K mound_string
#define V int64_t
#define NUM 4
#define HASH hash_string
#include "map_ops.h"

/* In Go before 1.21 nothing deletes the entry of a NaN, so clear is a fresh map there: these are
 * not shared. */
#define NAME any
#define M any_map
#define K mound_any
#define V int64_t
#define NUM 2
#define HASH hash_any
#define IS_ALONE 1
#include "map_ops.h"

static void any_as_key(void) {
    mound_any k = any[draw(NUM_ANYS)];
    ptrdiff_t r = draw(any_REGS), way = draw(4);
    int64_t v = draw_int();
    if (way == 0) {
        note(mound_map_delete(any_reg[r], k) != 0);
    } else if (way == 1) {
        const int64_t *p = mound_map_get(any_reg[r], k);
        note(p ? *p : -7);
    } else if (!any_reg[r].map) {
        note_panic();
    } else if (way == 2) {
        mound_map_set(any_reg[r], k, v);
    } else {
        int64_t *p = mound_map_at(any_reg[r], k);
        any_add(p, 1);
        note(*p);
    }
    note_size(mound_map_len(any_reg[r]));
}

static void map_op(kind k) {
    ptrdiff_t type = draw(12);
    if (type < 4)
        u64_op(k);
    else if (type < 6)
        u32_op(k);
    else if (type < 10)
        str_op(k);
    else
        any_op(k);
}

/* ---------------------------------------------------------------- all */

static uint64_t hash_all(void) {
    uint64_t h = 14695981039346656037u;
    h = ints_hash_all(h);
    h = bytes_hash_all(h);
    h = strs_hash_all(h);
    h = runes_hash_all(h);
    for (int i = 0; i < NUM_STRINGS; i++) h = mix(h, hash_string(str[i]));
    for (int i = 0; i < NUM_ANYS; i++) h = mix(h, hash_any(any[i]));
    h = u64_hash_all(h);
    h = u32_hash_all(h);
    h = str_hash_all(h);
    return any_hash_all(h);
}

static void step(kind k) {
    ptrdiff_t to = 0;
    num_of_kind[k]++;
    if (k <= SLICE_GROW)
        slice_op(k);
    else if (k <= STRING_BUILD)
        string_op(k);
    else if (k <= MAP_NIL)
        map_op(k);
    else if (k == ANY_BOX) {
        to = draw(NUM_ANYS);
        any[to] = draw_any();
        note_hash(hash_any(any[to]));
    } else if (k == ANY_EQUAL)
        any_equal();
    else if (k == ANY_TYPE)
        any_type();
    else
        any_as_key();
}

int main(int argc, char **argv) {
    if (argc != 3 && !(argc == 5 && strcmp(argv[3], "-v") == 0)) {
        fprintf(stderr, "usage: values SEED OPS [-v FROM]\n");
        return 2;
    }
    uint64_t seed = strtoull(argv[1], NULL, 10), ops = strtoull(argv[2], NULL, 10);
    uint64_t from = argc == 5 ? strtoull(argv[4], NULL, 10) : UINT64_MAX;
    setvbuf(stdout, NULL, _IOLBF, 1 << 16); /* also if the program dies */
    rand_state = mix(seed, FACTOR) | 1;
    u64_make_all();
    u32_make_all();
    str_make_all();
    any_make_all();
    for (uint64_t i = 1; i <= ops; i++) {
        kind k = (kind)draw(NUM_KINDS);
        is_verbose = i >= from;
        if (is_verbose) printf("%llu %s", (unsigned long long)i, kind_names[k]);
        step(k);
        if (is_verbose || i % EVERY == 0 || i == ops)
            printf("%s%llu %016llx %016llx\n", is_verbose ? " | " : "", (unsigned long long)i,
                   (unsigned long long)results, (unsigned long long)hash_all());
    }
    for (int k = 0; k < NUM_KINDS; k++)
        fprintf(stderr, "kind %s %llu\n", kind_names[k], (unsigned long long)num_of_kind[k]);
    for (int i = 0; i < 16; i++)
        fprintf(stderr, "size %d %llu\n", i ? 1 << (i - 1) : 0, (unsigned long long)num_of_size[i]);
    fprintf(stderr, "emptied %llu\n", (unsigned long long)num_emptied);
    return 0;
}
