/* lock.c - the sleeping half of the mutex, and the rank check of checked builds. Floor sys. */
#include "sys/lock.h"

#include "sys/cpu.h"

enum { SPINS = 40 };

void mo_lock_slow(mo_lock *l) {
    for (int i = 0; i < SPINS; i++) {
        uint32_t free_word = 0;
        /* a look without the cache line's ownership; the exchange below decides */
        if (mo_load_rlx(&l->word) == 0 && mo_cas_acq(&l->word, &free_word, 1))
            return; /* [L] with [U] */
        mo_cpu_pause();
    }
    /* From here the word says 2 while we hold it too: one superfluous wake at the most. */
#if MO_MUTANT_lock_forgets_sleepers
    /* Says "held", not "held and somebody may sleep", after waking. */
    while (mo_xchg_acq(&l->word, 1) != 0) { /* [L] as below */
        mo_store_rlx(&l->word, 2);          /* the error: 1 again once it is ours */
        mo_futex_wait(&l->word, 2, -1);
    }
    return;
#endif
    while (mo_xchg_acq(&l->word, 2) != 0) /* [L] pairs with [U] in lock.h */
        mo_futex_wait(&l->word, 2, -1);
}

bool mo_lock_slow_timed(mo_lock *l, int64_t timeout_ns) {
    uint64_t end = mo_clock_ns() + (uint64_t)timeout_ns;
    while (mo_xchg_acq(&l->word, 2) != 0) { /* [L] pairs with [U] in lock.h */
        uint64_t now = mo_clock_ns();
        if (now >= end) return false; /* the word stays 2: at most one superfluous wake */
        mo_futex_wait(&l->word, 2, (int64_t)(end - now));
    }
    return true;
}

void mo_lock_wake(mo_lock *l) { mo_futex_wake(&l->word, 1); }

#if MO_VARIETY >= 2
static __thread uint32_t held_ranks;

void mo_lock_rank_enter(const mo_lock *l) {
    if ((held_ranks >> l->rank) != 0) mo_throw("lock taken against its rank (see sys/lock.h)");
    held_ranks |= 1u << l->rank;
}

void mo_lock_rank_leave(const mo_lock *l) { held_ranks &= ~(1u << l->rank); }
#endif
