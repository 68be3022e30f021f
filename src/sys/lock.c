/* lock.c - the sleeping half of the mutex, and the rank check of checked builds. Floor sys. */
#include "sys/lock.h"

#include "sys/cpu.h"

enum { SPINS = 40 };

bool mo_lock_slow_timed(mo_lock *l, int64_t timeout_ns) {
    for (int i = 0; i < SPINS; i++) {
        uint32_t free_word = 0;
        /* a look without the cache line's ownership; the exchange below decides */
        if (mo_load_rlx(&l->word) == 0 && mo_cas_acq(&l->word, &free_word, 1))
            return true; /* [L] with [U] */
        mo_cpu_pause();
    }
    uint64_t begin = timeout_ns < 0 ? 0 : mo_clock_ns();
    int64_t left = timeout_ns;
    /* From here the word says 2 while we hold it too, and where we give up: one superfluous wake
     * at the most. */
#if MO_MUTANT_lock_forgets_sleepers
    uint32_t held = 2;
    for (; mo_xchg_acq(&l->word, held) != 0; held = 1) { /* [L] as below */
#else
    while (mo_xchg_acq(&l->word, 2) != 0) { /* [L] pairs with [U] in lock.h */
#endif
        if (timeout_ns >= 0) {
            left = timeout_ns - (int64_t)(mo_clock_ns() - begin);
            if (left <= 0) return false;
        }
        mo_futex_wait(&l->word, 2, left);
    }
    return true;
}

void mo_lock_slow(mo_lock *l) { mo_lock_slow_timed(l, -1); }

void mo_lock_wake(mo_lock *l) { mo_futex_wake(&l->word, 1); }

#if MO_VARIETY >= 2
static __thread uint32_t held_ranks;
MO_GLOBAL bool (*mo_lock_is_safe)(void);

void mo_lock_rank_enter(const mo_lock *l) {
    if (mo_lock_is_safe && !mo_lock_is_safe())
        mo_throw("lock taken outside the runtime: a stop would wait for its holder for ever");
    if ((held_ranks >> l->rank) != 0) mo_throw("lock taken against its rank (see sys/lock.h)");
    held_ranks |= 1u << l->rank;
}

void mo_lock_rank_leave(const mo_lock *l) { held_ranks &= ~(1u << l->rank); }
#endif
