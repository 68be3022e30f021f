/* mound/sync.h - locks and meeting points, for goroutines and threads alike. Included by mound.h.
 *
 * Each is zero when new: `static mound_mutex lock;`, or a field of zeroed memory. It must not move
 * while it is in use. Misuse ends the process with a line that names object and goroutine. Who
 * waits for one must be reachable by itself: the object does not keep it alive, nor need it.
 */
#ifndef MOUND_SYNC_H
#define MOUND_SYNC_H

/* The fields are the library's. */
typedef struct mound_waitq {
    uint32_t lock;
    struct mo_waiter *first, *last;
} mound_waitq;

/* Any goroutine may unlock what another has locked. Who has waited for more than 1 ms gets it next.
 * Unlocking what is not locked is fatal. Go: sync.Mutex. */
typedef struct mound_mutex {
    uint32_t word;
    mound_waitq queue;
} mound_mutex;
static inline void mound_mutex_lock(mound_mutex *m);
MOUND_API int mound_mutex_try_lock(mound_mutex *m); /* 0: it is locked */
static inline void mound_mutex_unlock(mound_mutex *m);

/* Where somebody else has it, or waits for it. */
MOUND_API void mound_mutex_lock_slow(mound_mutex *m);
MOUND_API void mound_mutex_unlock_slow(mound_mutex *m);
static inline void mound_mutex_lock(mound_mutex *m) {
    uint32_t unlocked = 0;
    if (!__atomic_compare_exchange_n(&m->word, &unlocked, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        mound_mutex_lock_slow(m);
}
static inline void mound_mutex_unlock(mound_mutex *m) {
    uint32_t locked = 1;
    if (!__atomic_compare_exchange_n(&m->word, &locked, 0, 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        mound_mutex_unlock_slow(m);
}

/* Many readers or one writer; a writer that waits keeps new readers out. Go: sync.RWMutex. */
typedef struct mound_rwmutex {
    int32_t num_readers; /* -1: a writer */
    uint32_t num_writers_waiting;
    mound_waitq queue;
} mound_rwmutex;
MOUND_API void mound_rwmutex_rlock(mound_rwmutex *m);
MOUND_API int mound_rwmutex_try_rlock(mound_rwmutex *m);
MOUND_API void mound_rwmutex_runlock(mound_rwmutex *m);
MOUND_API void mound_rwmutex_lock(mound_rwmutex *m);
MOUND_API int mound_rwmutex_try_lock(mound_rwmutex *m);
MOUND_API void mound_rwmutex_unlock(mound_rwmutex *m);

/* Waits until a count is 0. add may be negative; a count below 0 is fatal. Go: sync.WaitGroup. */
typedef struct mound_waitgroup {
    int64_t count;
    mound_waitq queue;
} mound_waitgroup;
MOUND_API void mound_waitgroup_add(mound_waitgroup *wg, int64_t delta);
MOUND_API void mound_waitgroup_done(mound_waitgroup *wg);
MOUND_API void mound_waitgroup_wait(mound_waitgroup *wg);
/* Adds one, runs fn(arg) as a goroutine, and takes one off when it ends. Go: WaitGroup.Go. */
MOUND_API void mound_waitgroup_go(mound_waitgroup *wg, void (*fn)(void *arg), void *arg);

/* fn(arg) of the first call runs; the others wait for its end. Go: sync.Once. */
typedef struct mound_once {
    uint32_t state;
    mound_waitq queue;
} mound_once;
MOUND_API void mound_once_do(mound_once *once, void (*fn)(void *arg), void *arg);

/* Wait unlocks m while it waits, and has it locked again when it returns: not before it was woken,
 * but others may have come in between. Go: sync.Cond. */
typedef struct mound_cond {
    mound_waitq queue;
} mound_cond;
MOUND_API void mound_cond_wait(mound_cond *cond, mound_mutex *m);
MOUND_API void mound_cond_signal(mound_cond *cond);    /* one, the first that waits */
MOUND_API void mound_cond_broadcast(mound_cond *cond); /* all */

#endif
