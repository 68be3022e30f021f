/* lock.h - the library's mutex, ranked.
 *
 * A futex word: 0 free, 1 held, 2 held and somebody may sleep. Holders never wait for the
 * collector and are never stopped by it (sched/thread.h, in_runtime), so waits are short.
 *
 * Order [L]/[U]: unlock releases, lock acquires; what was written under the lock is seen by
 * the next holder.
 *
 * Ranks (below) are taken upwards only; checked builds verify it.
 */
#ifndef MO_LOCK_H
#define MO_LOCK_H

#include "base/atomic.h"
#include "base/panic.h"
#include "sys/futex.h"

typedef enum mo_lock_rank {
    MO_RANK_INIT,
    MO_RANK_GC,         /* one collection at a time */
    MO_RANK_PHASE,      /* a collection, but for the part beside the program */
    MO_RANK_SWEEP,      /* the background sweeper's batch; held through a collection */
    MO_RANK_REGISTRY,   /* the list of threads; held through a stop */
    MO_RANK_ROOTS,      /* added roots, loaded objects */
    MO_RANK_RECORDS,    /* start records of threads */
    MO_RANK_SPECIALS,   /* weak pointers and cleanups */
    MO_RANK_CLEANUPQ,   /* queue of cleanups to run */
    MO_RANK_TYPES,      /* table of type descriptors */
    MO_RANK_TIMERS,     /* one processor's timers */
    MO_RANK_SCHED,      /* the scheduler's lists */
    MO_RANK_GOROUTINES, /* free records of goroutines */
    MO_RANK_STACKS,     /* stacks of goroutines */
    MO_RANK_CENTRAL,    /* any one central list */
    MO_RANK_HOLES,      /* blocks given back in part */
    MO_RANK_HEAP,       /* page heap */
    MO_RANK_COUNT
} mo_lock_rank;

typedef struct mo_lock {
    uint32_t word;
    uint32_t rank;
} mo_lock;

void mo_lock_slow(mo_lock *l);
/* false: not to be had in that time (< 0: for ever). No rank check. */
bool mo_lock_slow_timed(mo_lock *l, int64_t timeout_ns);
void mo_lock_wake(mo_lock *l);

#if MO_VARIETY >= 2
/* Set by the registry: false where the calling thread could be stopped while it holds a lock. */
extern bool (*mo_lock_is_safe)(void);
void mo_lock_rank_enter(const mo_lock *l);
void mo_lock_rank_leave(const mo_lock *l);
#else
#define mo_lock_rank_enter(l) ((void)0)
#define mo_lock_rank_leave(l) ((void)0)
#endif

MO_INLINE void mo_lock_init(mo_lock *l, mo_lock_rank rank) {
    l->word = 0;
    l->rank = rank;
}

MO_INLINE bool mo_lock_try(mo_lock *l) {
    uint32_t free_word = 0;
    if (!mo_cas_acq(&l->word, &free_word, 1)) return false; /* [L] pairs with [U] */
    mo_lock_rank_enter(l);
    return true;
}

/* Without the rank check: for fork, which takes all of them. */
MO_INLINE void mo_lock_acquire_unranked(mo_lock *l) {
    uint32_t free_word = 0;
#if MO_MUTANT_lock_without_exchange
    if (mo_load_rlx(&l->word) == free_word)
        mo_store_rlx(&l->word, 1); /* the error */
    else
        mo_lock_slow(l);
#else
    if (MO_UNLIKELY(!mo_cas_acq(&l->word, &free_word, 1))) mo_lock_slow(l); /* [L] pairs with [U] */
#endif
}

MO_INLINE void mo_lock_release_unranked(mo_lock *l) {
#if MO_MUTANT_lock_wakes_nobody
    mo_xchg_rel(&l->word, 0); /* [U] as below */
#else
    if (MO_UNLIKELY(mo_xchg_rel(&l->word, 0) == 2)) mo_lock_wake(l);        /* [U] pairs with [L] */
#endif
}

MO_INLINE void mo_lock_acquire(mo_lock *l) {
    mo_lock_rank_enter(l); /* before waiting: a deadlock with oneself is reported, not suffered */
    mo_lock_acquire_unranked(l);
}

MO_INLINE void mo_lock_release(mo_lock *l) {
    mo_lock_rank_leave(l);
    mo_lock_release_unranked(l);
}

#endif
