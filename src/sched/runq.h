/* runq.h - what is runnable at one processor: a ring of 256, one place before it, and a stack of
 * creators. Floor sched.
 *
 * The owner puts at the tail and takes at the head; thieves take half of the ring from the head at
 * once, into their own. `next` goes before all others: what the running one has just made ready
 * runs next, on what is in the cache.
 *
 * The stack holds those who started a goroutine that runs before they go on. They go on when the
 * ring is empty, the youngest first: a tree of goroutines is gone through depth first, and few of
 * it exist at a time. (Before the ring, they would leave behind all that has only to end yet.) A
 * thief takes the oldest, behind whom the largest part of the tree is still to come. One turn in
 * MO_RUNQ_FAIR is theirs, or a ring that never gets empty would keep them waiting.
 *
 * Threads the owner: put, put_next, push, get, steal's `to`. Any thread: take_half, steal's `from`.
 * Holds   Q1  0 <= tail - head <= MO_RUNQ_LEN; only the owner moves tail, who moves head owns what
 *             lay between
 *         Q2  an entry is in one place at a time, and taken once
 * Orders  [T] tail is stored with release, and loaded by a thief with acquire: it sees the entries,
 *             and what was written to them before they became runnable.
 *         [H] head is moved with release by whoever takes, after the entries were read; the owner
 *             loads it with acquire before it writes to a place again: not before they were read.
 *             Without it a thief's copy may be of what came next.
 *         [N] next is exchanged with both: it hands an entry over to whoever takes it.
 *         [C] of the stack. The owner lowers top, then loads bottom; a thief loads bottom, then
 *             top; a fence between on both sides: one of them sees the other, and who moves bottom
 *             has the last entry. For the rest top is as tail in [T], bottom as head in [H].
 * Go      runqput, runqget, runqgrab in proc.go. Differs: thieves take next last and without
 *         waiting for the owner to run it. The stack is the deque of Chase and Lev (2005), bounded,
 *         with the orders of Le, Pop, Cohen and Zappa Nardelli (2013).
 */
#ifndef MO_RUNQ_H
#define MO_RUNQ_H

#include "base/atomic.h"
#include "base/compiler.h"

enum {
    MO_RUNQ_LEN = MO_VARIETY >= 2 ? 8 : 256, /* power of two */
    MO_RUNQ_FAIR = 16,
};

struct mo_g;

typedef struct mo_runq {
    uint32_t head;                     /* atomic: any thread, by exchange */
    uint32_t tail;                     /* atomic: the owner writes */
    struct mo_g *next;                 /* atomic; NULL: none */
    uint32_t bottom;                   /* of the stack; atomic: any thread, by exchange */
    uint32_t top;                      /* atomic: the owner writes; for a moment bottom - 1 */
    uint32_t num_turns;                /* owner */
    struct mo_g *entry[MO_RUNQ_LEN];   /* atomic */
    struct mo_g *creator[MO_RUNQ_LEN]; /* atomic */
} mo_runq;

MO_INLINE bool mo_runq_has_creators(const mo_runq *q) {
    return mo_load_rlx(&q->bottom) != mo_load_rlx(&q->top); /* a glance */
}

MO_INLINE bool mo_runq_is_empty(const mo_runq *q) {
    return mo_load_rlx(&q->head) == mo_load_rlx(&q->tail) &&
           !mo_load_rlx(&q->next) && /* a glance */
           !mo_runq_has_creators(q);
}

/* At the end; false: it is full, see mo_runq_take_half. */
MO_INLINE bool mo_runq_put(mo_runq *q, struct mo_g *g) {
    uint32_t head = mo_load_acq(&q->head); /* [H] head */
    uint32_t tail = mo_load_rlx(&q->tail); /* own word */
    if (tail - head >= MO_RUNQ_LEN) return false;
    mo_store_rlx(&q->entry[tail % MO_RUNQ_LEN], g); /* published by tail */
    mo_store_rel(&q->tail, tail + 1);               /* [T] tail */
    return true;
}

/* Before all others. Returns what had that place, which is to be put at the end; NULL: none. */
MO_INLINE struct mo_g *mo_runq_put_next(mo_runq *q, struct mo_g *g) {
    return mo_xchg_acqrel(&q->next, g); /* [N] */
}

/* A creator, onto the stack; false: it is full. */
MO_INLINE bool mo_runq_push(mo_runq *q, struct mo_g *g) {
    uint32_t bottom = mo_load_acq(&q->bottom); /* [C] */
    uint32_t top = mo_load_rlx(&q->top);       /* own word */
    if (top - bottom >= MO_RUNQ_LEN) return false;
    mo_store_rlx(&q->creator[top % MO_RUNQ_LEN], g); /* published by top */
    mo_store_rel(&q->top, top + 1);                  /* [C] */
    return true;
}

/* The youngest creator; NULL: there is none. */
struct mo_g *mo_runq_pop(mo_runq *q);

/* The ring's first as it may be: to have its memory asked for. Its record stays one, whoever has
 * taken it meanwhile. */
MO_INLINE struct mo_g *mo_runq_glance(const mo_runq *q) {
    uint32_t head = mo_load_rlx(&q->head);             /* a glance */
    if (head == mo_load_rlx(&q->tail)) return NULL;    /* own word */
    return mo_load_rlx(&q->entry[head % MO_RUNQ_LEN]); /* own stores */
}

/* The ring's first, or NULL. */
MO_INLINE struct mo_g *mo_runq_get_first(mo_runq *q) {
    uint32_t head = mo_load_acq(&q->head); /* [H] */
    for (;;) {
        if (head == mo_load_rlx(&q->tail)) return NULL;              /* own word */
        struct mo_g *g = mo_load_rlx(&q->entry[head % MO_RUNQ_LEN]); /* own stores */
        if (mo_cas_acqrel(&q->head, &head, head + 1)) return g;      /* [H] */
    }
}

/* Who is to run, or NULL. */
MO_INLINE struct mo_g *mo_runq_get(mo_runq *q) {
    struct mo_g *g = mo_load_rlx(&q->next);                          /* the exchange decides */
    if (g && (g = mo_xchg_acqrel(&q->next, NULL)) != NULL) return g; /* [N] */
    if (MO_LIKELY(!mo_runq_has_creators(q))) return mo_runq_get_first(q);
    bool is_its_turn = ++q->num_turns % MO_RUNQ_FAIR == 0;
    if (!is_its_turn && (g = mo_runq_get_first(q)) != NULL) return g;
    return (g = mo_runq_pop(q)) != NULL ? g : mo_runq_get_first(q);
}

/* The first half of the ring, at least one if there is any: for a queue that all share when it is
 * full, and for thieves. How many. Any thread. */
uint32_t mo_runq_take_half(mo_runq *q, struct mo_g *out[MO_RUNQ_LEN / 2]);
/* The oldest creator of from. If there is none, the first half of its ring goes to the empty ring
 * of to, but for one that is returned: run it. If there is none, its next, if with_next. NULL:
 * nothing to be had. */
struct mo_g *mo_runq_steal(mo_runq *to, mo_runq *from, bool with_next);

#endif
