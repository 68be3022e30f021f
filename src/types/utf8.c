/* utf8.c - runes from bytes and back. Floor types. Documented in mound/str.h.
 *
 * Valid are the shortest forms of 0 to 10FFFF without the surrogates D800 to DFFF. What the first
 * byte says bounds the second; all further ones are 80 to BF:
 *
 *   C2-DF  80-BF            E0  A0-BF 80-BF        E1-EC, EE, EF  80-BF 80-BF    ED  80-9F 80-BF
 *   F0     90-BF 80-BF 80-BF     F1-F3  80-BF 80-BF 80-BF        F4  80-8F 80-BF 80-BF
 *
 * Go      package unicode/utf8.
 */
#include "mound.h"

#include <stdbool.h>
#include <string.h>

/* The first rune of num > 0 bytes and its length; 1 and MOUND_RUNE_ERROR if they are not valid. */
static int decode(const unsigned char *p, ptrdiff_t num, int32_t *rune) {
    unsigned first = p[0], second_lo = 0x80, second_hi = 0xBF;
    int len;
    if (first < 0x80) {
        *rune = (int32_t)first;
        return 1;
    }
    *rune = MOUND_RUNE_ERROR;
    if (first < 0xC2 || first > 0xF4) return 1;
    if (first < 0xE0) {
        len = 2;
    } else if (first < 0xF0) {
        len = 3;
        if (first == 0xE0) second_lo = 0xA0;
        if (first == 0xED) second_hi = 0x9F;
    } else {
        len = 4;
        if (first == 0xF0) second_lo = 0x90;
        if (first == 0xF4) second_hi = 0x8F;
    }
    if (num < len || p[1] < second_lo || p[1] > second_hi) return 1;
    uint32_t r = first & (0xFFu >> (len + 1));
    r = r << 6 | (p[1] & 0x3Fu);
    for (int i = 2; i < len; i++) {
        if ((p[i] & 0xC0) != 0x80) return 1;
        r = r << 6 | (p[i] & 0x3Fu);
    }
    *rune = (int32_t)r;
    return len;
}

int mound_utf8_decode(mound_string s, int32_t *rune) {
    int32_t r = 0;
    int len = s.len > 0 ? decode((const unsigned char *)s.ptr, s.len, &r) : 0;
    if (rune) *rune = r;
    return len;
}

int mound_utf8_encode(char *to, int32_t rune) {
    unsigned char *p = (unsigned char *)to;
    uint32_t r = (uint32_t)rune;
    if (r > 0x10FFFF || (r >= 0xD800 && r <= 0xDFFF)) r = MOUND_RUNE_ERROR;
    if (r < 0x80) {
        p[0] = (unsigned char)r;
        return 1;
    }
    int len = r < 0x800 ? 2 : r < 0x10000 ? 3 : 4;
    for (int i = len - 1; i > 0; i--, r >>= 6) p[i] = (unsigned char)(0x80 | (r & 0x3F));
    p[0] = (unsigned char)((0xF00u >> len) | r);
    return len;
}

/* How many of the bytes from i on are of ASCII, by eight. */
static ptrdiff_t skip_ascii(mound_string s, ptrdiff_t i) {
    uint64_t word;
    for (; i + 8 <= s.len; i += 8) {
        memcpy(&word, s.ptr + i, 8);
        if (word & 0x8080808080808080u) break;
    }
    return i;
}

int mound_utf8_is_valid(mound_string s) {
    int32_t rune;
    for (ptrdiff_t i = skip_ascii(s, 0); i < s.len;) {
        int len = decode((const unsigned char *)s.ptr + i, s.len - i, &rune);
        if (len == 1 && rune == MOUND_RUNE_ERROR) return 0;
        i += len;
        if (len == 1 && (i & 7) == 0) i = skip_ascii(s, i);
    }
    return 1;
}

ptrdiff_t mound_utf8_count(mound_string s) {
    int32_t rune;
    ptrdiff_t num = 0;
    for (ptrdiff_t i = 0; i < s.len; num++)
        i += decode((const unsigned char *)s.ptr + i, s.len - i, &rune);
    return num;
}
