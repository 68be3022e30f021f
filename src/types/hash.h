/* hash.h - hashes of words and bytes, by a secret of two words. Floor types.
 *
 * A 64 by 64 bit product, its halves xored: each bit of the result depends on each bit of the
 * input. Each map has a secret of its own, so that nobody can make keys that meet without it.
 */
#ifndef MO_HASH_H
#define MO_HASH_H

#include <string.h>

#include "base/compiler.h"

typedef struct mo_secret {
    uint64_t seed;
    uint64_t factor; /* odd */
} mo_secret;

/* A fresh one. */
mo_secret mo_secret_new(void);

MO_INLINE uint64_t mo_hash_mix(uint64_t a, uint64_t b) {
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Twice: one secret factor in some thousand leaves the top bits of neighbouring words alike. */
MO_INLINE uint64_t mo_hash_word(uint64_t word, mo_secret s) {
    return mo_hash_mix(mo_hash_mix(word ^ s.seed, s.factor), 0x9E3779B97F4A7C15u);
}

/* More than 32 bytes. */
uint64_t mo_hash_long(const unsigned char *p, size_t num, mo_secret s);

MO_INLINE uint64_t mo_hash_load8(const void *p) {
    uint64_t word;
    memcpy(&word, p, 8);
    return word;
}
MO_INLINE uint32_t mo_hash_load4(const void *p) {
    uint32_t word;
    memcpy(&word, p, 4);
    return word;
}

/* All bytes count, and their number. */
MO_INLINE uint64_t mo_hash_bytes(const void *bytes, size_t num, mo_secret s) {
    const unsigned char *p = bytes;
    uint64_t a, b;
    if (num > 16) {
        if (num > 32) return mo_hash_long(p, num, s);
        a = mo_hash_mix(mo_hash_load8(p) ^ s.seed, mo_hash_load8(p + 8) ^ s.factor);
        b = mo_hash_mix(mo_hash_load8(p + num - 16) ^ s.factor,
                        mo_hash_load8(p + num - 8) ^ s.seed);
        return mo_hash_mix(a ^ num, b ^ s.factor);
    }
    if (num >= 8) {
        a = mo_hash_load8(p);
        b = mo_hash_load8(p + num - 8);
    } else if (num >= 4) {
        a = mo_hash_load4(p);
        b = mo_hash_load4(p + num - 4);
    } else if (num > 0) {
        a = (uint64_t)p[0] << 16 | (uint64_t)p[num / 2] << 8 | p[num - 1];
        b = 0;
    } else {
        a = b = 0;
    }
    uint64_t inner = mo_hash_mix(a ^ s.seed, b ^ s.factor);
    return mo_hash_mix(inner ^ num, s.factor);
}

#endif
