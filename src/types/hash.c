/* hash.c - see hash.h. Floor types. */
#include "types/hash.h"

#include <errno.h>
#include <sys/random.h>

#include "base/atomic.h"
#include "sys/futex.h"

static MO_GLOBAL uint64_t secret_state; /* 0: not drawn yet */

/* 48 bytes a round, in three lanes that do not wait for each other. */
uint64_t mo_hash_long(const unsigned char *p, size_t num, mo_secret s) {
    /* Odd multiples of the golden ratio: words without a pattern. */
    static const uint64_t lane[3] = {0x9E3779B97F4A7C15u, 0xDAA66D2C7DDF743Fu, 0x1715609F7C746C69u};
    uint64_t h = s.seed, h1 = s.seed, h2 = s.seed;
    size_t left = num;
    for (; left > 48; left -= 48, p += 48) {
        h = mo_hash_mix(mo_hash_load8(p) ^ lane[0], mo_hash_load8(p + 8) ^ h);
        h1 = mo_hash_mix(mo_hash_load8(p + 16) ^ lane[1], mo_hash_load8(p + 24) ^ h1);
        h2 = mo_hash_mix(mo_hash_load8(p + 32) ^ lane[2], mo_hash_load8(p + 40) ^ h2);
    }
    h ^= h1 ^ h2;
    for (; left > 16; left -= 16, p += 16)
        h = mo_hash_mix(mo_hash_load8(p) ^ lane[0], mo_hash_load8(p + 8) ^ h);
    /* The last 16, which may overlap what was taken: there are more than 16 in all. */
    h = mo_hash_mix(mo_hash_load8(p + left - 16) ^ s.factor, mo_hash_load8(p + left - 8) ^ h);
    return mo_hash_mix(h ^ num, s.factor);
}

mo_secret mo_secret_new(void) {
    if (MO_UNLIKELY(mo_load_rlx(&secret_state) == 0)) { /* drawn by one or by two */
        int saved = errno;
        uint64_t drawn;
        if (getrandom(&drawn, sizeof drawn, GRND_NONBLOCK) != sizeof drawn)
            drawn = mo_clock_ns() ^ (uintptr_t)&drawn; /* early in the system's start */
        errno = saved;
        mo_add_rlx(&secret_state, drawn); /* a number; any will do */
    }
    uint64_t step = mo_add_rlx(&secret_state, 0x9E3779B97F4A7C16u); /* a number no other map gets */
    mo_secret s;
    s.seed = mo_hash_mix(step ^ 0x538454127B096493u, step | 1);
    s.factor = mo_hash_mix(step + 0x8FF34785799E5CBDu, s.seed ^ 0xCC623AF8783354E7u) | 1;
    return s;
}
