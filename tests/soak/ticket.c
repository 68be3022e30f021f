/* ticket.c - what an object's weak pointer and cleanup may say at which time.
 *
 * A ticket's state: FREE -> LIVE -> DROPPED -> RAN -> FREE; or LIVE -> STOPPED -> IGNORED -> FREE
 * where the cleanup was stopped. DROPPED and IGNORED mean that the program has no pointer to the
 * object any more. The cleanup takes DROPPED to RAN and fails in any other state: then it ran
 * twice, or for a reachable object, or though it was stopped.
 *
 * Tickets become free again only while all workers stand, so that a cleanup that comes twice finds
 * the state it left. A stack may keep a dropped object, so that is judged for all together.
 */
#include "ticket.h"

#include <pthread.h>
#include <stdio.h>

enum { TICKETS = 60000, TRIES = 4, PATIENCE_MS = 30000 };

typedef enum ticket_state { FREE, LIVE, STOPPED, DROPPED, IGNORED, RAN } ticket_state;

struct ticket {
    mound_weak weak; /* to the object */
    mound_cleanup cleanup;
    uint32_t state;
    uint32_t next; /* free tickets: index of the next one; TICKETS: none */
};

static ticket *tickets; /* in the heap, where weak pointers may stand */
static uint32_t first_free;
static pthread_mutex_t free_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t drops_settled; /* COUNT_DROPS at the last ticket_settle */

void ticket_init(void) {
    tickets = mound_new_array(ticket, TICKETS);
    for (uint32_t i = 0; i < TICKETS; i++) tickets[i].next = i + 1;
}

static bool moves(ticket *t, uint32_t from, uint32_t to) {
    return __atomic_compare_exchange_n(&t->state, &from, to, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE);
}

static void on_cleanup(void *arg) {
    ticket *t = arg;
    static const char *const names[] = {"free",    "reachable",           "stopped",
                                        "dropped", "stopped and dropped", "cleaned up before"};
    if (moves(t, DROPPED, RAN)) {
        require(!mound_weak_get(t->weak),
                "a weak pointer still leads to the object whose cleanup runs");
        count_add(COUNT_CLEANUPS, 1);
    } else if (!soak_is_child) {
        /* In a child, a leaf that another thread of the parent held in its hand is lost. */
        fail("the cleanup of a leaf ran that was %s (ticket %zu)", names[LOAD(&t->state)],
             (size_t)(t - tickets));
    }
}

static ticket *take_free(void) {
    ticket *t = NULL;
    pthread_mutex_lock(&free_lock);
    if (first_free < TICKETS) {
        t = &tickets[first_free];
        first_free = t->next;
    }
    pthread_mutex_unlock(&free_lock);
    return t;
}

ticket *ticket_make(void *obj) {
    ticket *t = take_free();
    if (!t) return NULL;
    /* Its last cleanup is over, and the runtime's record of it may be another one's by now. */
    if (t->cleanup.rec) mound_cleanup_stop(t->cleanup);
    t->weak = mound_weak_make(obj);
    STORE(&t->state, LIVE);
    t->cleanup = mound_add_cleanup(obj, on_cleanup, t);
    return t;
}

void ticket_check(const ticket *t, const void *obj) {
    const void *seen = mound_weak_get(t->weak);
    require(seen == obj, "the weak pointer to the reachable object %p gives %p (ticket %zu)", obj,
            seen, (size_t)(t - tickets));
}

void ticket_stop(ticket *t) {
    if (LOAD(&t->state) != LIVE) return;
    mound_cleanup_stop(t->cleanup);
    require(moves(t, LIVE, STOPPED), "a cleanup ran while it was stopped (ticket %zu)",
            (size_t)(t - tickets));
}

void ticket_drop(ticket *t) {
    if (moves(t, LIVE, DROPPED))
        count_add(COUNT_DROPS, 1);
    else
        require(moves(t, STOPPED, IGNORED), "a reachable object has a ticket in state %u",
                LOAD(&t->state));
}

void ticket_check_freed(const ticket *t) {
    require(!mound_weak_get(t->weak), "a weak pointer leads to a freed object (ticket %zu)",
            (size_t)(t - tickets));
}

/* ---------------------------------------------------------------- while all workers stand */

typedef struct census {
    size_t kept;    /* dropped, and the weak pointer is not NULL */
    size_t waiting; /* dropped and dead, without its cleanup */
} census;

/* Deep below the caller's frame, so that no address read here stays in it. */
static NOINLINE census take_census(void) {
    census c = {0, 0};
    for (uint32_t i = 0; i < TICKETS; i++) {
        ticket *t = &tickets[i];
        uint32_t state = LOAD(&t->state);
        bool is_dead = (state == DROPPED || state == IGNORED) && !mound_weak_get(t->weak);
        if (state == DROPPED) is_dead ? c.waiting++ : c.kept++;
        if (state == RAN || (state == IGNORED && is_dead)) {
            require(!mound_weak_get(t->weak), "a weak pointer leads to a dead object (ticket %u)",
                    i);
            t->weak.handle = NULL;
            t->next = first_free;
            STORE(&t->state, FREE);
            first_free = i;
        }
    }
    return c;
}

/* Collects once and waits for the cleanups of what died. */
static census collect_and_wait(void) {
    uint64_t until = now_ms() + PATIENCE_MS;
    scrub_stack();
    mound_gc();
    census c = take_census();
    while (c.waiting > 0) {
        require(now_ms() < until, "%zu dead objects had no cleanup for %d s after a collection",
                c.waiting, PATIENCE_MS / 1000);
        sleep_ms(2);
        /* What a lazy sweep found dead between the collection and the census needs another. */
        if (now_ms() + PATIENCE_MS / 2 > until) mound_gc();
        c = take_census();
    }
    return c;
}

size_t ticket_settle(unsigned num_threads) {
    uint64_t drops = count_get(COUNT_DROPS);
    /* A stack keeps some leaves, whose number does not grow with the leaves that are dropped. */
    size_t allowed = 16 + num_threads * 16 + (size_t)(drops - drops_settled) / 50;
    census c = {0, 0};
    for (int i = 0; i < TRIES; i++) {
        c = collect_and_wait();
        if (c.kept <= allowed / 4) break;
    }
    require(c.kept <= allowed, "%zu dropped objects still live after %d collections, of %llu",
            c.kept, TRIES, (unsigned long long)(drops - drops_settled));
    drops_settled = drops;
    return c.kept;
}
