/* values.c - a target for libFuzzer: the input chooses operations on strings, slices and maps,
 * whose results are compared with plain code. tests/libfuzzer_test.sh builds and runs it.
 */
#include <mound.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MUST(cond)                                                                                 \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #cond);               \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

typedef struct input {
    const uint8_t *p;
    size_t left;
} input;

static uint8_t take(input *in) {
    if (in->left == 0) return 0;
    in->left--;
    return *in->p++;
}

static mound_string take_string(input *in) {
    size_t len = take(in) % 24;
    if (len > in->left) len = in->left;
    mound_string s = mound_string_from_bytes(in->p, (ptrdiff_t)len);
    in->p += len;
    in->left -= len;
    return s;
}

/* ---------------------------------------------------------------- strings */

static ptrdiff_t slow_index(mound_string s, mound_string part, int is_last) {
    ptrdiff_t found = -1;
    for (ptrdiff_t i = 0; i + part.len <= s.len; i++) {
        if (part.len > 0 && memcmp(s.ptr + i, part.ptr, (size_t)part.len) != 0) continue;
        found = i;
        if (!is_last) break;
    }
    return found;
}

static void fuzz_strings(input *in) {
    mound_string s = take_string(in), part = take_string(in), before, after;
    ptrdiff_t at = slow_index(s, part, 0);
    MUST(mound_string_index(s, part) == at);
    MUST(mound_string_last_index(s, part) == slow_index(s, part, 1));
    MUST(mound_string_cut(s, part, &before, &after) == (at >= 0));
    if (at >= 0) MUST(mound_string_eq(mound_cat(before, part, after), s));
    MUST(mound_string_eq(mound_string_trim(mound_cat(MOUND_STR(" \t"), s, MOUND_STR("\n"))),
                         mound_string_trim(s)));
    MUST(mound_string_eq(s, part) == (mound_string_cmp(s, part) == 0));
    MUST(mound_string_has_prefix(mound_cat(s, part), s));
    MUST(mound_string_has_suffix(mound_cat(s, part), part));
    int64_t value;
    if (mound_string_to_int(s, &value)) {
        mound_string back = mound_string_from_int(value, 10);
        MUST(mound_string_to_int(back, &value) && back.len <= s.len + 1);
    }
    /* Runes and back: the same but for invalid bytes, each of which becomes three. */
    mound_runes runes = mound_string_runes(s);
    MUST(runes.len == mound_utf8_count(s));
    mound_string again = mound_string_from_runes(runes.ptr, runes.len);
    MUST(mound_utf8_is_valid(again));
    if (mound_utf8_is_valid(s)) MUST(mound_string_eq(again, s));
    ptrdiff_t pos = 0, i = 0;
    for (mound_rune_iter r = {.rest = s}; mound_next_rune(&r); i++) {
        MUST(r.pos == pos && r.rune == mound_at(&runes, i));
        pos += r.bytes;
    }
    MUST(pos == s.len && i == runes.len);
}

/* ---------------------------------------------------------------- slices */

typedef mound_slice_of(int) ints;

static void fuzz_slices(input *in) {
    enum { MAX = 3000 };
    static int model[MAX];
    ints s = {0};
    ptrdiff_t len = 0;
    while (in->left > 0) {
        uint8_t op = take(in), arg = take(in);
        if (op % 5 == 0 && len < MAX) {
            mound_append(&s, arg);
            model[len++] = arg;
        } else if (op % 5 == 1 && 2 * len <= MAX) {
            mound_append_slice(&s, &s);
            memcpy(model + len, model, (size_t)len * sizeof *model);
            len *= 2;
        } else if (op % 5 == 2 && len > 0) {
            ptrdiff_t lo = arg % len, hi = lo + op % (len - lo + 1);
            s = mound_sub(&s, lo, hi);
            memmove(model, model + lo, (size_t)(hi - lo) * sizeof *model);
            len = hi - lo;
        } else if (op % 5 == 3 && len > 0) {
            mound_at(&s, arg % len) = op;
            model[arg % len] = op;
        } else if (len > 1) {
            ints to = mound_sub(&s, arg % len, len);
            ptrdiff_t num = mound_copy(&to, &s);
            MUST(num == len - arg % len);
            memmove(model + arg % len, model, (size_t)num * sizeof *model);
        }
        MUST(s.len == len && s.cap >= len);
        MUST(len == 0 || memcmp(s.ptr, model, (size_t)len * sizeof *model) == 0);
    }
}

/* ---------------------------------------------------------------- maps */

typedef mound_map_of(uint32_t, uint32_t) u32_map;

static void fuzz_maps(input *in) {
    enum { KEYS = 2048 };
    static uint32_t model[KEYS];
    memset(model, 0, sizeof model);
    u32_map m = mound_map_make(u32_map);
    size_t len = 0;
    while (in->left > 0) {
        uint8_t op = take(in);
        uint32_t key = (take(in) | take(in) << 8) % KEYS, num = op / 8 * 8;
        for (uint32_t k = key; k <= key + num && k < KEYS; k++) {
            if (op % 4 < 2) {
                len += model[k] == 0;
                model[k] = k + op + 1;
                mound_map_set(m, k, k + op + 1);
            } else if (op % 4 == 2) {
                MUST(mound_map_delete(m, k) == (model[k] != 0));
                len -= model[k] != 0;
                model[k] = 0;
            } else {
                const uint32_t *v = mound_map_get(m, k);
                MUST(v ? *v == model[k] : model[k] == 0);
            }
        }
        MUST(mound_map_len(m) == len);
    }
    size_t seen = 0;
    for (mound_map_iter it = mound_map_begin(m); mound_map_next(&it); seen++)
        MUST(*mound_map_value(m, &it) == model[*mound_map_key(m, &it)]);
    MUST(seen == len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input in = {data, size};
    switch (take(&in) % 3) {
    case 0: fuzz_strings(&in); break;
    case 1: fuzz_slices(&in); break;
    default: fuzz_maps(&in);
    }
    return 0;
}
