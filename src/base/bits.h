/* bits.h - counting and rounding. Floor base. */
#ifndef MO_BITS_H
#define MO_BITS_H

#include "base/compiler.h"

MO_INLINE unsigned mo_ctz64(uint64_t x) { return (unsigned)__builtin_ctzll(x); }
MO_INLINE unsigned mo_popcount64(uint64_t x) { return (unsigned)__builtin_popcountll(x); }
MO_INLINE bool mo_is_pow2(uint64_t x) { return x != 0 && (x & (x - 1)) == 0; }
MO_INLINE uintptr_t mo_align_up(uintptr_t x, uintptr_t align) {
    return (x + align - 1) & ~(align - 1);
}
MO_INLINE uintptr_t mo_align_down(uintptr_t x, uintptr_t align) { return x & ~(align - 1); }
MO_INLINE size_t mo_min(size_t a, size_t b) { return a < b ? a : b; }
MO_INLINE size_t mo_max(size_t a, size_t b) { return a > b ? a : b; }

/* The lowest n bits set; n in 0..64. */
MO_INLINE uint64_t mo_low_mask(unsigned n) {
    return n >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << n) - 1;
}

#endif
