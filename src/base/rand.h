/* rand.h - a small replayable generator (xorshift64*). Floor base. */
#ifndef MO_RAND_H
#define MO_RAND_H

#include "base/compiler.h"

typedef struct mo_rand {
    uint64_t state; /* never 0 */
} mo_rand;

MO_INLINE void mo_rand_seed(mo_rand *r, uint64_t seed) {
    r->state = seed * 0x9E3779B97F4A7C15u + 0xD1B54A32D192ED03u;
    if (r->state == 0) r->state = 1;
}
MO_INLINE uint64_t mo_rand_next(mo_rand *r) {
    r->state ^= r->state >> 12;
    r->state ^= r->state << 25;
    r->state ^= r->state >> 27;
    return r->state * 0x2545F4914F6CDD1Du;
}
/* In 0..n-1; n > 0. */
MO_INLINE uint64_t mo_rand_below(mo_rand *r, uint64_t n) { return (mo_rand_next(r) >> 11) % n; }

#endif
