/* spin.h - a lock of one word for a few instructions at a time. Floor sys.
 *
 * Held for less time than a system call takes, in the runtime only, so that no stop comes while it
 * is held: waiting for it sleeps only if the system has taken the processor from its holder. To let
 * it go is a plain store. Order [L]/[U] as in lock.h.
 */
#ifndef MO_SPIN_H
#define MO_SPIN_H

#include "base/atomic.h"

void mo_spin_lock_slow(uint32_t *word);

MO_INLINE bool mo_spin_try(uint32_t *word) {
    uint32_t free_word = 0;
    return mo_cas_acq(word, &free_word, 1); /* [L] pairs with [U] */
}
MO_INLINE void mo_spin_lock(uint32_t *word) {
    if (MO_UNLIKELY(!mo_spin_try(word))) mo_spin_lock_slow(word);
}
MO_INLINE void mo_spin_unlock(uint32_t *word) { mo_store_rel(word, 0); /* [U] pairs with [L] */ }

#endif
