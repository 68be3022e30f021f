/* timers.c - see timers.h: a heap of four children each. Floor sched. */
#include "sched/timers.h"

#include <string.h>

#include "sys/os_mem.h"

enum { FIRST_CAP = 500 };

void mo_timers_init(mo_timers *s) { mo_lock_init(&s->lock, MO_RANK_TIMERS); }

static void put(mo_timers *s, uint32_t i, mo_timer *t) {
    s->heap[i] = t;
    t->idx = i;
}

static uint32_t parent(uint32_t i) { return (i + 2) / 4; }
static uint32_t first_child(uint32_t i) { return 4 * i - 2; }

static void sift_up(mo_timers *s, uint32_t i, mo_timer *t) {
    for (; i > 1 && s->heap[parent(i)]->when_ns > t->when_ns; i = parent(i))
        put(s, i, s->heap[parent(i)]);
    put(s, i, t);
}

static void sift_down(mo_timers *s, uint32_t i, mo_timer *t) {
    for (;;) {
        uint32_t least = 0, child = first_child(i);
        for (uint32_t k = child; k < child + 4 && k <= s->num; k++)
            if (least == 0 || s->heap[k]->when_ns < s->heap[least]->when_ns) least = k;
        if (least == 0 || s->heap[least]->when_ns >= t->when_ns) break;
        put(s, i, s->heap[least]);
        i = least;
    }
    put(s, i, t);
}

static bool has_room(mo_timers *s) {
    if (s->num + 1 < s->cap) return true;
    uint32_t cap = s->cap ? 2 * s->cap : FIRST_CAP;
    mo_timer **bigger = mo_os_map(cap * sizeof *bigger, "mound timers");
    if (!bigger) return false;
    if (s->heap) {
        memcpy(bigger, s->heap, s->cap * sizeof *bigger);
        mo_os_unmap(s->heap, s->cap * sizeof *s->heap);
    }
    s->heap = bigger;
    s->cap = cap;
    return true;
}

static void note_first(mo_timers *s) {
    /* Others glance at it; who is to sleep until then looks again after it has said so. */
    mo_store_seq(&s->when_ns, s->num ? s->heap[1]->when_ns : 0); /* [T] pairs with sched.c [T] */
}

static void remove_locked(mo_timers *s, mo_timer *t) {
    mo_timer *last = s->heap[s->num];
    uint32_t i = t->idx;
    s->heap[s->num--] = NULL;
    t->idx = 0;
    if (last == t) return;
    if (i > 1 && s->heap[parent(i)]->when_ns > last->when_ns)
        sift_up(s, i, last);
    else
        sift_down(s, i, last);
}

bool mo_timer_start(mo_timer *t, mo_timers *set, uint64_t when_ns, uint64_t period_ns, bool *ok) {
    if (!t->set) t->set = set;
    mo_timers *s = t->set;
    mo_lock_acquire(&s->lock);
    bool was_on = t->idx != 0;
    if (was_on) remove_locked(s, t);
    *ok = has_room(s);
    if (*ok) {
        t->when_ns = when_ns;
        t->period_ns = period_ns;
        s->num++;
        sift_up(s, s->num, t);
    }
    note_first(s);
    mo_lock_release(&s->lock);
    return was_on;
}

bool mo_timer_stop(mo_timer *t) {
    mo_timers *s = t->set;
    if (!s) return false;
    mo_lock_acquire(&s->lock);
    bool was_on = t->idx != 0;
    if (was_on) {
        remove_locked(s, t);
        note_first(s);
    }
    mo_lock_release(&s->lock);
    return was_on;
}

uint32_t mo_timers_run(mo_thread *thread, mo_timers *s, uint64_t now_ns) {
    uint32_t num = 0;
    for (;; num++) {
        uint64_t first = mo_load_rlx(&s->when_ns); /* a glance; the lock decides */
        if (first == 0 || first > now_ns) return num;
        mo_lock_acquire(&s->lock);
        mo_timer *t = s->num ? s->heap[1] : NULL;
        if (!t || t->when_ns > now_ns) {
            mo_lock_release(&s->lock);
            return num;
        }
        remove_locked(s, t);
        if (t->period_ns) { /* the missed ones are left out */
            t->when_ns += t->period_ns * (1 + (now_ns - t->when_ns) / t->period_ns);
            s->num++;
            sift_up(s, s->num, t);
        }
        note_first(s);
        void (*fire)(mo_thread *, void *) = t->fire;
        void *arg = t->arg;
        mo_lock_release(&s->lock);
        fire(thread, arg);
    }
}

void mo_timers_clear(mo_timers *s) {
    mo_lock_acquire(&s->lock);
    while (s->num > 0) remove_locked(s, s->heap[s->num]);
    note_first(s);
    mo_lock_release(&s->lock);
}

void mo_timers_range(const mo_timers *s, uintptr_t *lo, uintptr_t *hi) {
    *lo = (uintptr_t)s->heap;
    *hi = *lo + (s->heap ? s->num + 1 : 0) * sizeof *s->heap;
}
