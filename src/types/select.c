/* select.c - waiting for several channels at once.
 *
 * First, in an order drawn by lot, each channel that looks as if it could go on is locked and tried
 * by itself: a case that goes on is right whatever the others would have done. Only if none does
 * are all locked, in the order of their addresses, so that "none can go on" holds at one instant;
 * then the caller queues at each, and whoever serves one of the records wins the caller (waitq.h).
 * Waking, it takes the others out.
 *
 * Floor   types.
 * Locks   the channels' spin locks: to queue all of them, by rising address, each once; else one at
 *         a time.
 * Go      select.go. Differs: the first look.
 */
#include <string.h>

#include "gc/start.h"
#include "sys/spin.h"
#include "types/chan.h"
#include "types/misuse.h"

enum { MAX_CASES = 1 << 16, FEW = 16 };

/* What a select needs for each case. */
typedef struct arm {
    mo_waiter waiter;
    uint16_t poll; /* the order of looking */
    uint16_t lock; /* by address */
} arm;

static mound_chan *chan_of(const mound_case *cases, const arm *arms, int i) {
    return cases[arms[i].lock].chan;
}

/* Unlocks all; arg: a locked_set. */
typedef struct locked_set {
    const mound_case *cases;
    const arm *arms;
    int num;
} locked_set;

static void lock_all(const locked_set *l) {
    mound_chan *last = NULL;
    for (int i = 0; i < l->num; i++) {
        mound_chan *c = chan_of(l->cases, l->arms, i);
        if (c != last) mo_spin_lock(&c->lock);
        last = c;
    }
}

/* As soon as the last is free the caller may go on, and its arms may be gone: from the first to the
 * last, each read before its lock is let go. */
static void unlock_all(void *set) {
    locked_set l = *(const locked_set *)set;
    for (int i = 0; i < l.num;) {
        mound_chan *c = chan_of(l.cases, l.arms, i);
        while (++i < l.num && chan_of(l.cases, l.arms, i) == c) continue;
        bool is_last = i == l.num;
        mo_spin_unlock(&c->lock);
        if (is_last) return;
    }
}

/* A product instead of a remainder: this is a good part of a select. */
static int draw(mo_rand *r, int num) {
    return (int)((mo_rand_next(r) >> 32) * (uint64_t)num >> 32);
}

static void draw_order(mo_thread *t, const mound_case *cases, arm *arms, int num, int *num_live) {
    mo_rand own, *r = t->m && t->m->p ? &t->m->p->rand : &own;
    if (r == &own) mo_rand_seed(&own, (uint64_t)mo_clock_ns());
    int n = 0;
    for (int i = 0; i < num; i++) {
        if (!cases[i].chan) continue;
        int k = n == 0 ? 0 : draw(r, n + 1);
        arms[n].poll = arms[k].poll;
        arms[k].poll = (uint16_t)i;
        n++;
    }
    *num_live = n;
}

static void sift(const mound_case *cases, arm *arms, int i, int num) {
    uint16_t top = arms[i].lock;
    for (int child; (child = 2 * i + 1) < num; i = child) {
        if (child + 1 < num && chan_of(cases, arms, child) < chan_of(cases, arms, child + 1))
            child++;
        if (cases[top].chan >= chan_of(cases, arms, child)) break;
        arms[i].lock = arms[child].lock;
    }
    arms[i].lock = top;
}

static void insert_sorted(const mound_case *cases, arm *arms, int num) {
    for (int i = 1; i < num; i++) {
        uint16_t one = arms[i].lock;
        int k = i;
        for (; k > 0 && chan_of(cases, arms, k - 1) > cases[one].chan; k--)
            arms[k].lock = arms[k - 1].lock;
        arms[k].lock = one;
    }
}

static void sort_by_address(const mound_case *cases, arm *arms, int num) {
    for (int i = 0; i < num; i++) arms[i].lock = arms[i].poll;
    if (num <= FEW) {
        insert_sorted(cases, arms, num);
        return;
    }
    for (int i = num / 2; i-- > 0;) sift(cases, arms, i, num);
    for (int end = num - 1; end > 0; end--) {
        uint16_t last = arms[end].lock;
        arms[end].lock = arms[0].lock;
        arms[0].lock = last;
        sift(cases, arms, 0, end);
    }
}

static bool looks_ready(const mound_case *cs) {
    const mound_chan *c = cs->chan;
    if (mo_load_rlx(&c->is_closed)) return true; /* a glance; the lock decides */
    if (cs->kind == MOUND_CASE_RECV)
        return mo_load_rlx(&c->len) > 0 || mo_load_rlx(&c->send.first);  /* likewise */
    return mo_load_rlx(&c->len) < c->cap || mo_load_rlx(&c->recv.first); /* likewise */
}

static mo_chan_result try_locked(mound_case *cs, mo_g **ready) {
    if (cs->kind == MOUND_CASE_SEND) return mo_chan_try_send_locked(cs->chan, cs->elem, ready);
    mo_chan_result result = mo_chan_try_recv_locked(cs->chan, cs->elem, ready);
    cs->ok = result == MO_CHAN_DONE;
    return result;
}

/* A case went on. Leaves the runtime. */
static int finish(mo_thread *t, const mound_case *cases, int i, mo_chan_result result,
                  mo_g *ready) {
    if (ready) mo_ready(t, ready);
    mo_sched_note_message(t);
    mo_runtime_leave(t);
    if (result == MO_CHAN_CLOSED && cases[i].kind == MOUND_CASE_SEND)
        mo_chan_sent_on_closed(cases[i].chan);
    return i;
}

static mo_waitq *queue_of(const mound_case *cs) {
    return cs->kind == MOUND_CASE_SEND ? &cs->chan->send : &cs->chan->recv;
}

static void queue_all(mo_g *g, mound_case *cases, arm *arms, int num) {
    mo_store_rlx(&g->selected, 0); /* published by the locks */
    for (int i = 0; i < num; i++) {
        mound_case *cs = &cases[arms[i].lock];
        mo_waiter *w = &arms[i].waiter;
        w->g = g;
        w->elem = cs->elem;
        w->is_select = true;
        w->ok = false;
        mo_waitq_put(queue_of(cs), w);
    }
}

/* Which of them was served; the others leave their queues, one lock at a time: who finds one of
 * them meanwhile cannot win the goroutine any more. */
static int leave_all(const mo_g *g, mound_case *cases, arm *arms, int num, bool *ok) {
    int chosen = -1;
    for (int i = 0; i < num; i++) {
        mound_case *cs = &cases[arms[i].lock];
        mo_waiter *w = &arms[i].waiter;
        if (w == g->served) {
            chosen = arms[i].lock;
            *ok = w->ok;
        } else {
            mo_spin_lock(&cs->chan->lock);
            mo_waitq_remove(queue_of(cs), w);
            mo_spin_unlock(&cs->chan->lock);
        }
    }
    return chosen;
}

static int wait_for_one(mo_thread *t, mound_case *cases, arm *arms, int num, locked_set *set) {
    mo_g *g = mo_g_self(t);
    queue_all(g, cases, arms, num);
    mo_park(t, MO_WAIT_SELECT, cases[arms[0].lock].chan, unlock_all, set);
    bool ok = false;
    int chosen = leave_all(g, cases, arms, num, &ok);
    mo_assert(chosen >= 0, "select: woken by nobody");
    cases[chosen].ok = ok && cases[chosen].kind == MOUND_CASE_RECV;
    t = mo_thread_now();
    mo_sched_note_message(t);
    mo_runtime_leave(t);
    if (!ok && cases[chosen].kind == MOUND_CASE_SEND) mo_chan_sent_on_closed(cases[chosen].chan);
    return chosen;
}

static void unlock_nothing(void *arg) { (void)arg; }

static int select_with(mound_case *cases, int num, arm *arms, bool waits) {
    mo_thread *t = mo_start_current();
    mo_g *ready = NULL;
    int live;
    mo_runtime_enter(t);
    t = mo_yield_hostile(t);
    draw_order(t, cases, arms, num, &live);
    for (int i = 0; i < live; i++) {
        mound_case *cs = &cases[arms[i].poll];
        if (!looks_ready(cs)) continue;
        mo_spin_lock(&cs->chan->lock);
        mo_chan_result result = try_locked(cs, &ready);
        mo_spin_unlock(&cs->chan->lock);
        if (result != MO_CHAN_WOULD_WAIT) return finish(t, cases, arms[i].poll, result, ready);
    }
    if (live == 0) {
        while (waits) mo_park(t, MO_WAIT_EMPTY_SELECT, NULL, unlock_nothing, NULL);
        mo_runtime_leave(t);
        return -1;
    }
    sort_by_address(cases, arms, live);
    locked_set set = {cases, arms, live};
    lock_all(&set);
    for (int i = 0; i < live; i++) {
        mo_chan_result result = try_locked(&cases[arms[i].poll], &ready);
        if (result == MO_CHAN_WOULD_WAIT) continue;
        unlock_all(&set);
        return finish(t, cases, arms[i].poll, result, ready);
    }
    if (waits) return wait_for_one(t, cases, arms, live, &set);
    unlock_all(&set);
    mo_runtime_leave(t);
    return -1;
}

static int select_any(mound_case *cases, int num, bool waits) {
    if (num < 0 || num > MAX_CASES || (num > 0 && !cases))
        mo_misuse("mound_select: %d cases at %p: use 0 to %d", num, (void *)cases, MAX_CASES);
    if (num <= FEW) {
        arm arms[FEW];
        return select_with(cases, num, arms, waits);
    }
    arm *arms = mound_alloc_array((size_t)num, sizeof *arms);
    int chosen = select_with(cases, num, arms, waits);
    mound_keep_alive(arms);
    return chosen;
}

int mound_select(mound_case *cases, int num) { return select_any(cases, num, true); }
int mound_try_select(mound_case *cases, int num) { return select_any(cases, num, false); }
