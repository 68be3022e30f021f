/* sync.c - mutex, rwmutex, waitgroup, once, cond.
 *
 * What is free is taken by one exchange, outside the runtime. Who has to wait queues under the
 * object's spin lock, and looks once more there: who lets go looks at the queue under the same
 * lock, after it has let go, if the word says that somebody waits.
 *
 * Floor   types.
 * Locks   each object's spin lock; nothing is made ready while it is held.
 * Order   [M] a mutex is taken with acquire, let go with release.
 *         [G] a waitgroup's count is changed with both.
 *         [O] a once is done with release, seen with acquire.
 * Go      mutex.go, rwmutex.go, waitgroup.go, once.go, cond.go; the queues are ours.
 */
#include <string.h>

#include "gc/malloc.h"
#include "gc/start.h"
#include "mound.h"
#include "sched/sched.h"
#include "sys/spin.h"
#include "types/misuse.h"
#include "types/waitq.h"

_Static_assert(sizeof(mo_waitq) == sizeof(mound_waitq) - offsetof(mound_waitq, first),
               "sync.h shows waitq.h's fields");

static mo_waitq *list_of(mound_waitq *q) { return (mo_waitq *)&q->first; }
static void unlock(void *word) { mo_spin_unlock(word); }

/* The queue's lock is held; it is not when the caller goes on, in the runtime of the thread that is
 * returned. */
static mo_thread *wait_in(mo_thread *t, mound_waitq *q, mo_waiter *w, bool goes_first,
                          mo_wait_reason reason, const void *object) {
    mo_waitq *list = list_of(q);
    w->g = mo_g_self(t);
    w->is_select = false;
    w->ok = false;
    if (goes_first)
        mo_waitq_put_first(list, w);
    else
        mo_waitq_put(list, w);
    mo_park(t, reason, object, unlock, &q->lock);
    return mo_thread_now();
}

static mo_thread *enter(mound_waitq *q) {
    mo_thread *t = mo_start_current();
    mo_runtime_enter(t);
    mo_spin_lock(&q->lock);
    return t;
}

static void leave(mo_thread *t, mound_waitq *q, mo_g *ready) {
    mo_spin_unlock(&q->lock);
    if (ready) mo_ready(t, ready);
    mo_runtime_leave(t);
}

/* Makes ready all of a list that was taken out whole. */
static void ready_all(mo_thread *t, mo_waiter *w) {
    while (w) {
        mo_waiter *next = w->next; /* its record is gone when it runs */
        mo_ready(t, w->g);
        w = next;
    }
}

static mo_waiter *take_whole(mound_waitq *q) {
    mo_waiter *first = q->first;
    q->first = q->last = NULL;
    return first;
}

/* ---------------------------------------------------------------- mutex */

/* sync.h takes a free one, and lets go of one that nobody waits for: word from 0 to LOCKED and
 * back.
 *
 * word: LOCKED; WAITED: the queue is not empty, or was a moment ago (set and cleared under the
 * queue's lock). */
enum { LOCKED = 1, WAITED = 2, PAUSES = 30, SPIN_ROUNDS = 4 };
#define STARVING_NS 1000000

/* Somebody who runs elsewhere may let it go any moment. Each look takes the cache line away from
 * him once more, so they get rarer, as in spin.c. */
static bool take_spinning(mound_mutex *m) {
    if (mo_load_rlx(&mo_the_sched.max_procs) < 2) return false; /* a glance */
    for (int i = 0; i < SPIN_ROUNDS; i++) {
        uint32_t word = mo_load_rlx(&m->word); /* the exchange decides */
        if (!(word & LOCKED) && mo_cas_acq(&m->word, &word, word | LOCKED)) return true; /* [M] */
        for (int k = 0; k < PAUSES << i; k++) mo_cpu_pause();
    }
    return false;
}

void mound_mutex_lock_slow(mound_mutex *m) {
    if (take_spinning(m)) return;
    uint64_t since = 0;
    mo_waiter w;
    for (bool is_again = false;; is_again = true) {
        mo_thread *t = enter(&m->queue);
        uint32_t word = mo_load_rlx(&m->word); /* the exchange decides */
        for (;;) {
            uint32_t want = word & LOCKED ? word | WAITED : word | LOCKED;
            if (!mo_cas_acq(&m->word, &word, want)) continue; /* [M] */
            if (!(word & LOCKED)) {
                leave(t, &m->queue, NULL);
                return;
            }
            break;
        }
        uint64_t now = mo_clock_ns();
        if (since == 0) since = now;
        w.kind = now - since > STARVING_NS; /* then it gets the lock with its turn */
        t = wait_in(t, &m->queue, &w, is_again, MO_WAIT_MUTEX, m);
        mo_runtime_leave(t);
        if (w.ok) return;
    }
}

int mound_mutex_try_lock(mound_mutex *m) {
    uint32_t word = mo_load_rlx(&m->word); /* the exchange decides */
    while (!(word & LOCKED))
        if (mo_cas_acq(&m->word, &word, word | LOCKED)) return 1; /* [M] */
    return 0;
}

void mound_mutex_unlock_slow(mound_mutex *m) {
    uint32_t word = mo_load_rlx(&m->word); /* the caller's own, or it is a mistake */
    if (!(word & LOCKED))
        mo_misuse("unlock of unlocked mound_mutex %p: lock it first, unlock it once", (void *)m);
    mo_thread *t = enter(&m->queue);
    mo_waiter *w = mo_waitq_take(list_of(&m->queue));
    if (!m->queue.first) mo_fetch_and_rlx(&m->word, ~(uint32_t)WAITED); /* by the queue's lock */
    /* Who comes from outside may take it before the one that wakes, unless that has waited long:
     * then it stays locked, and is w's. */
    bool is_given = w && w->kind;
    if (is_given) w->ok = true;
    mo_spin_unlock(&m->queue.lock);
    /* The last that we touch of it: whoever locks it next may give its memory back. */
    if (!is_given) mo_fetch_and_rel(&m->word, ~(uint32_t)LOCKED); /* [M] */
    if (w) mo_ready(t, w->g);
    mo_runtime_leave(t);
}

/* ---------------------------------------------------------------- rwmutex */

enum { READER, WRITER };

static bool may_read(const mound_rwmutex *m) {
    return m->num_readers >= 0 && m->num_writers_waiting == 0;
}

static void rwmutex_lock_as(mound_rwmutex *m, uint8_t kind) {
    mo_thread *t = enter(&m->queue);
    bool is_free = kind == READER ? may_read(m) : m->num_readers == 0;
    if (is_free) {
        m->num_readers = kind == READER ? m->num_readers + 1 : -1;
        leave(t, &m->queue, NULL);
        return;
    }
    if (kind == WRITER) m->num_writers_waiting++;
    mo_waiter w = {.kind = kind};
    t = wait_in(t, &m->queue, &w, false, kind == READER ? MO_WAIT_RWMUTEX_R : MO_WAIT_RWMUTEX_W, m);
    mo_runtime_leave(t); /* it was given the lock */
}

static int rwmutex_try(mound_rwmutex *m, uint8_t kind) {
    mo_thread *t = enter(&m->queue);
    bool is_free = kind == READER ? may_read(m) : m->num_readers == 0;
    if (is_free) m->num_readers = kind == READER ? m->num_readers + 1 : -1;
    leave(t, &m->queue, NULL);
    return is_free;
}

/* It is free, or open to readers: those at the head of the queue get it. */
static void rwmutex_pass_on(mo_thread *t, mound_rwmutex *m, bool readers_first) {
    mo_waitq *list = list_of(&m->queue);
    mo_waiter *head = NULL, **end = &head;
    if (list->first && list->first->kind == WRITER && !readers_first && m->num_readers == 0) {
        mo_waiter *w = mo_waitq_take(list);
        m->num_writers_waiting--;
        m->num_readers = -1;
        *end = w;
        w->next = NULL;
    } else if (m->num_readers >= 0) {
        /* After a writer, all readers that came before now: then the next writer has its turn. */
        for (mo_waiter *w = list->first, *next; w; w = next) {
            next = w->next;
            if (w->kind == WRITER) {
                if (readers_first) continue;
                break;
            }
            mo_waitq_remove(list, w);
            m->num_readers++;
            w->next = NULL;
            *end = w;
            end = &w->next;
        }
        if (!head && m->num_readers == 0 && list->first) {
            mo_waiter *w = mo_waitq_take(list);
            m->num_writers_waiting--;
            m->num_readers = -1;
            w->next = NULL;
            head = w;
        }
    }
    mo_spin_unlock(&m->queue.lock);
    ready_all(t, head);
    mo_runtime_leave(t);
}

static void rwmutex_unlock_as(mound_rwmutex *m, uint8_t kind) {
    mo_thread *t = enter(&m->queue);
    bool is_held = kind == READER ? m->num_readers > 0 : m->num_readers < 0;
    if (!is_held) {
        leave(t, &m->queue, NULL);
        mo_misuse("%s of unlocked mound_rwmutex %p: lock it first, unlock it once",
                  kind == READER ? "runlock" : "unlock", (void *)m);
    }
    m->num_readers = kind == READER ? m->num_readers - 1 : 0;
    rwmutex_pass_on(t, m, kind == WRITER);
}

void mound_rwmutex_rlock(mound_rwmutex *m) { rwmutex_lock_as(m, READER); }
int mound_rwmutex_try_rlock(mound_rwmutex *m) { return rwmutex_try(m, READER); }
void mound_rwmutex_runlock(mound_rwmutex *m) { rwmutex_unlock_as(m, READER); }
void mound_rwmutex_lock(mound_rwmutex *m) { rwmutex_lock_as(m, WRITER); }
int mound_rwmutex_try_lock(mound_rwmutex *m) { return rwmutex_try(m, WRITER); }
void mound_rwmutex_unlock(mound_rwmutex *m) { rwmutex_unlock_as(m, WRITER); }

/* ---------------------------------------------------------------- waitgroup */

static MO_NOINLINE void below_zero(mound_waitgroup *wg) {
    mo_misuse("count of mound_waitgroup %p below 0: one done for each that was added", (void *)wg);
}

/* To 0 only under the lock, which is let go last: who has found the count to be 0 under it may give
 * the memory back at once. */
void mound_waitgroup_add(mound_waitgroup *wg, int64_t delta) {
    int64_t count = mo_load_rlx(&wg->count); /* the exchange decides */
    while (count + delta > 0)
        if (mo_cas_acqrel(&wg->count, &count, count + delta)) return; /* [G] */
    mo_thread *t = enter(&wg->queue);
    count = mo_add_acqrel(&wg->count, delta); /* [G] */
    mo_waiter *w = count == 0 ? take_whole(&wg->queue) : NULL;
    mo_spin_unlock(&wg->queue.lock);
    ready_all(t, w);
    mo_runtime_leave(t);
    if (MO_UNLIKELY(count < 0)) below_zero(wg);
}

void mound_waitgroup_done(mound_waitgroup *wg) { mound_waitgroup_add(wg, -1); }

void mound_waitgroup_wait(mound_waitgroup *wg) {
    mo_thread *t = enter(&wg->queue);
    if (mo_load_acq(&wg->count) == 0) { /* [G] */
        leave(t, &wg->queue, NULL);
        return;
    }
    mo_waiter w = {0};
    t = wait_in(t, &wg->queue, &w, false, MO_WAIT_WAITGROUP, wg);
    mo_runtime_leave(t);
}

typedef struct group_call {
    mound_waitgroup *wg;
    void (*fn)(void *arg);
    void *arg;
} group_call;

static void run_in_group(void *call) {
    group_call *c = call;
    c->fn(c->arg);
    mound_waitgroup_done(c->wg);
}

void mound_waitgroup_go(mound_waitgroup *wg, void (*fn)(void *arg), void *arg) {
    group_call c = {wg, fn, arg};
    mound_waitgroup_add(wg, 1);
    mound_go_copy(run_in_group, &c, sizeof c);
}

/* ---------------------------------------------------------------- once */

enum { ONCE_NEW, ONCE_RUNNING, ONCE_DONE };

void mound_once_do(mound_once *once, void (*fn)(void *arg), void *arg) {
    if (MO_LIKELY(mo_load_acq(&once->state) == ONCE_DONE)) return; /* [O] */
    mo_thread *t = enter(&once->queue);
    uint32_t state = mo_load_rlx(&once->state); /* lock */
    if (state == ONCE_RUNNING) {
        mo_waiter w = {0};
        t = wait_in(t, &once->queue, &w, false, MO_WAIT_ONCE, once);
        mo_runtime_leave(t);
        return;
    }
    if (state == ONCE_NEW) mo_store_rlx(&once->state, ONCE_RUNNING); /* lock */
    leave(t, &once->queue, NULL);
    if (state == ONCE_DONE) return;
    fn(arg);
    t = enter(&once->queue);
    mo_store_rel(&once->state, ONCE_DONE); /* [O] */
    mo_waiter *w = take_whole(&once->queue);
    mo_spin_unlock(&once->queue.lock);
    ready_all(t, w);
    mo_runtime_leave(t);
}

/* ---------------------------------------------------------------- cond */

typedef struct cond_unlock {
    mound_cond *cond;
    mound_mutex *m;
} cond_unlock;

/* When the caller waits. Once the queue is unlocked it may go on: then it waits for m. */
static void unlock_both(void *pair) {
    cond_unlock c = *(const cond_unlock *)pair;
    mo_spin_unlock(&c.cond->queue.lock);
    mound_mutex_unlock(c.m);
}

void mound_cond_wait(mound_cond *cond, mound_mutex *m) {
    if (!(mo_load_rlx(&m->word) & LOCKED)) /* the caller's own, or it is a mistake */
        mo_misuse("mound_cond_wait(%p) with unlocked mound_mutex %p: lock it first", (void *)cond,
                  (void *)m);
    mo_thread *t = enter(&cond->queue);
    mo_waiter w = {.g = mo_g_self(t)};
    cond_unlock pair = {cond, m};
    mo_waitq_put(list_of(&cond->queue), &w);
    mo_park(t, MO_WAIT_COND, cond, unlock_both, &pair);
    mo_runtime_leave(mo_thread_now());
    mound_mutex_lock(m);
}

void mound_cond_signal(mound_cond *cond) {
    mo_thread *t = enter(&cond->queue);
    mo_waiter *w = mo_waitq_take(list_of(&cond->queue));
    leave(t, &cond->queue, w ? w->g : NULL);
}

void mound_cond_broadcast(mound_cond *cond) {
    mo_thread *t = enter(&cond->queue);
    mo_waiter *w = take_whole(&cond->queue);
    mo_spin_unlock(&cond->queue.lock);
    ready_all(t, w);
    mo_runtime_leave(t);
}
