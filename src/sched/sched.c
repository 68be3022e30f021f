/* sched.c - see sched.h: switching, waiting, waking, starting and ending goroutines.
 *
 * The next goroutine is found without leaving the stack of the one that ends or waits, if its
 * processor has one at hand; else the machine's g0 goes on (machine.c), which looks everywhere.
 *
 * Floor   sched.
 * Locks   sched lock for what the processors share.
 * Order   [W] work is put into a queue, then room and num_spinning are looked at; who stops looking
 *         for work first gives its processor up (room) or says so (num_spinning), then looks at all
 *         queues once more. Sequentially consistent on both sides: one of the two sees the other,
 *         so work is never left while a machine goes to sleep.
 *         [N] a note is stored with release when the sleeper may go on, loaded with acquire.
 *         [H] see shrink.c.
 *         [E] the epoch changes while no machine runs.
 * Go      proc.go. Differs: a switch is from goroutine to goroutine, and the second half of a wait
 *         is done by who comes next; a wake that found nothing makes the next ones rarer.
 */
#include "sched/sched.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>

#include "sched/fiber.h"
#include "sched/interpose.h"
#include "sched/shrink.h"
#include "sys/cpu.h"
#include "sys/os_mem.h"

enum {
    TIMER_TICKS = 16,
    FREE_MAX = 256, /* dead goroutines that a processor keeps */
    FREE_BATCH = 128,
    ID_BATCH = 16,
    CALM_MAX = 1024,
    WORTH_NS = 50000, /* about what it costs to wake a machine */
    YIELD_SHARE = 4,  /* at one point in so many */
};

MO_GLOBAL mo_sched mo_the_sched = {.lock = {.rank = MO_RANK_SCHED}};

MO_NOINLINE mo_thread *mo_thread_now(void) {
    __asm__ volatile("" : : : "memory");
    return mo_self;
}

/* Its address is a thread's, and the compiler believes that a function runs in one thread. */
static MO_NOINLINE int errno_now(void) {
    __asm__ volatile("" : : : "memory");
    return errno;
}
static MO_NOINLINE void set_errno_now(int value) {
    __asm__ volatile("" : : : "memory");
    errno = value;
}

mo_g *mo_g_self(mo_thread *t) {
    if (MO_LIKELY(t->g != NULL)) return t->g;
    if (!t->own_g) {
        mo_g *g = mo_g_alloc_bare();
        if (!g) mo_fatal("memory exhausted: no room for a waiting thread; raise the limit");
        g->is_thread = true;
        t->own_g = g;
    }
    return t->own_g;
}

/* ---------------------------------------------------------------- the global queue */

void mo_global_put_locked(mo_g *head, mo_g *tail, uint32_t num) {
    mo_sched *s = &mo_the_sched;
    tail->next = NULL;
    if (s->tail)
        s->tail->next = head;
    else
        s->head = head;
    s->tail = tail;
    mo_store_seq(&s->num_global, s->num_global + num); /* [W] */
}

static mo_g *global_pop(void) {
    mo_sched *s = &mo_the_sched;
    mo_g *g = s->head;
    s->head = g->next;
    if (!s->head) s->tail = NULL;
    mo_store_seq(&s->num_global, s->num_global - 1); /* [W] */
    return g;
}

/* One to run; if p's ring is empty, a fair share of the others into it. */
mo_g *mo_global_get_locked(mo_p *p, bool is_empty) {
    mo_sched *s = &mo_the_sched;
    if (!s->head) return NULL;
    uint32_t num = is_empty ? s->num_global / (uint32_t)mo_max(s->max_procs, 1) + 1 : 1;
    num = (uint32_t)mo_min(mo_min(num, s->num_global), MO_RUNQ_LEN / 2);
    mo_g *g = global_pop();
    for (uint32_t i = 1; i < num; i++) {
        mo_g *other = global_pop();
        if (mo_runq_put(&p->runq, other)) continue;
        mo_global_put_locked(other, other, 1);
        break;
    }
    return g;
}

static void global_put(mo_g *g) {
    mo_lock_acquire(&mo_the_sched.lock);
    mo_global_put_locked(g, g, 1);
    mo_lock_release(&mo_the_sched.lock);
}

/* At the end of p's ring, or half of that and it for all to take. */
static void local_put(mo_p *p, mo_g *g) {
    mo_g *half[MO_RUNQ_LEN / 2];
    while (!mo_runq_put(&p->runq, g)) {
        uint32_t num = mo_runq_take_half(&p->runq, half);
        if (num == 0) continue;
        for (uint32_t i = 0; i + 1 < num; i++) half[i]->next = half[i + 1];
        half[num - 1]->next = g;
        mo_lock_acquire(&mo_the_sched.lock);
        mo_global_put_locked(half[0], g, num + 1);
        mo_lock_release(&mo_the_sched.lock);
        return;
    }
}

/* ---------------------------------------------------------------- processors */

mo_p *mo_p_take_locked(void) {
    mo_sched *s = &mo_the_sched;
    if (mo_load_seq(&s->room) <= 0) return NULL; /* [W] */
    mo_p *p = s->idle_p;
    if (p) {
        s->idle_p = p->next;
    } else {
        uint32_t n = mo_load_rlx(&s->num_ps); /* lock */
        if (n == MO_MAX_PROCS) return NULL;
        p = mo_os_map(sizeof *p, "mound processor");
        if (!p) return NULL;
        p->id = n;
        mo_timers_init(&p->timers);
        mo_rand_seed(&p->rand, n + 1);
        s->p[n] = p;
        mo_store_rel(&s->num_ps, n + 1); /* [P] whoever counts it finds it [P] */
    }
    mo_sub_seq(&s->room, 1); /* [W] */
    p->next = NULL;
    mo_store_rel(&p->state, MO_P_RUNNING); /* [S] pairs with sysmon.c [S] */
    return p;
}

static void no_longer_long_locked(mo_p *p) {
    mo_sched *s = &mo_the_sched;
    if (!mo_load_rlx(&p->is_long)) return;       /* lock */
    mo_store_rlx(&p->is_long, 0);                /* lock */
    mo_store_rlx(&s->num_long, s->num_long - 1); /* lock; sysmon glances */
    mo_sub_seq(&s->room, 1);                     /* [W] */
}

void mo_p_no_longer_long(mo_p *p) {
    mo_lock_acquire(&mo_the_sched.lock);
    no_longer_long_locked(p);
    mo_lock_release(&mo_the_sched.lock);
}

void mo_p_release_locked(mo_p *p) {
    mo_sched *s = &mo_the_sched;
    mo_store_rel(&p->state, MO_P_IDLE); /* [S] pairs with sysmon.c [S] */
    p->m = NULL;
    p->next = s->idle_p;
    s->idle_p = p;
    no_longer_long_locked(p);
    mo_add_seq(&s->room, 1); /* [W] */
}

void mo_sched_wake(void) {
    mo_sched *s = &mo_the_sched;
    uint32_t none = 0;
    if (mo_load_seq(&s->room) <= 0 || mo_load_seq(&s->num_spinning) != 0) return; /* [W] */
    if (!mo_cas_acqrel(&s->num_spinning, &none, 1)) return;                       /* [W] */
    mo_lock_acquire(&s->lock);
    mo_p *p = mo_load_rlx(&s->is_on) ? mo_p_take_locked() : NULL; /* lock */
#if MO_MUTANT_wake_counts_late
    mo_lock_release(&s->lock);
    mo_futex_wait(&(uint32_t){0}, 0, 1000000);
    mo_lock_acquire(&s->lock);
#endif
    bool is_new;
    mo_m *m = p ? mo_machine_take_locked(p, true, &is_new) : NULL;
    if (!p) mo_sub_seq(&s->num_spinning, 1); /* [W] */
    mo_lock_release(&s->lock);
    if (m) mo_machine_go(m, is_new);
}

/* What becomes ready is often waited for by somebody who is about to wait himself, and what is
 * started often ends at once: then a machine that is woken has nothing to do, or not for long. How
 * long it had, it says when it sleeps again (mo_sched_note_work): from that comes how many of the
 * next wakes are left out. Work that stays in a queue meanwhile is sysmon's. */
static void wake_for(mo_p *p) {
    mo_sched *s = &mo_the_sched;
    if (mo_load_seq(&s->room) <= 0) return;     /* [W] */
    uint32_t left = mo_load_rlx(&p->calm_left); /* a hint */
    if (left > 0) {
        mo_store_rlx(&p->calm_left, left - 1); /* likewise */
        return;
    }
    if (mo_load_rlx(&s->num_spinning) != 0) return;     /* a glance */
    mo_store_rlx(&p->calm_left, mo_load_rlx(&s->calm)); /* a hint */
    mo_sched_wake();
}

void mo_sched_note_work(uint64_t ns) {
    mo_sched *s = &mo_the_sched;
    uint32_t calm = mo_load_rlx(&s->calm); /* a hint: races lose a step */
    calm = ns > WORTH_NS ? 0 : (uint32_t)mo_min(2 * calm + 1, CALM_MAX);
    mo_store_rlx(&s->calm, calm); /* likewise */
}

/* ---------------------------------------------------------------- switching */

/* From one stack to the other, directly where no sanitizer has to know. */
MO_INLINE void switch_to(mo_thread *t, mo_context *from_context, mo_g *from, mo_context *to_context,
                         mo_g *to, bool from_ends) {
    if (MO_UNLIKELY(mo_the_sched.is_watched))
        mo_fiber_switch(t, from_context, from, to_context, to, from_ends);
    else
        mo_context_switch(from_context, to_context);
}

/* Does what the one that left could not do on its own stack. */
static MO_NOINLINE mo_thread *arrive(mo_g *g) {
    __asm__ volatile("" : : : "memory");
    mo_thread *t = mo_self;
    if (MO_UNLIKELY(mo_the_sched.is_watched)) mo_fiber_arrive(g);
    mo_m *m = t->m;
    void (*after)(mo_g *, void *) = m->after;
    if (after) {
        m->after = NULL;
        after(m->prev, m->after_arg);
    }
    return t;
}

/* What may run next without a look elsewhere; NULL: g0 has to see. */
MO_INLINE mo_g *next_at_hand(mo_m *m) {
    mo_p *p = m->p;
    if (MO_UNLIKELY(!p || m->locked_g || mo_load_rlx(&p->is_long))) return NULL; /* a glance */
    uint32_t tick = mo_load_rlx(&p->tick) + 1;                                   /* own */
    if (MO_UNLIKELY(tick % MO_FAIR_TICKS == 0 || mo_load_rlx(&mo_the_sched.room) < 0 || /* glance */
                    !mo_load_rlx(&mo_the_sched.is_on))) /* likewise */
        return NULL;
    if (MO_UNLIKELY(tick % TIMER_TICKS == 0 && mo_load_rlx(&p->timers.when_ns))) /* a glance */
        return NULL;
    mo_g *g = mo_runq_get(&p->runq);
    if (g && MO_UNLIKELY(g->locked_to != NULL)) {
        m->next_g = g;
        return NULL;
    }
    if (!g) return NULL;
    mo_store_rlx(&p->tick, tick); /* others count only */
    /* Where the one after it goes on: the first use of a stack that has long not run. */
    const mo_g *after = mo_runq_glance(&p->runq);
    if (after) __builtin_prefetch((const void *)mo_cpu_peek(&after->context.sp), 1);
    return g;
}

MO_INLINE void set_running(mo_thread *t, mo_g *g) {
    mo_store_rlx(&g->state, MO_G_RUNNING); /* its owner's */
#if !MO_MUTANT_switch_ignores_hold
    mo_signal_fence(); /* the processor's part of [H] is done by who holds it */
    if (MO_UNLIKELY(mo_load_acq(&g->is_held))) mo_g_await_release(g); /* shrink.c [H] */
#endif
    t->g = g;
}

/* Leaves g for next; NULL: for g0. m->after is set. Returns in g, wherever it goes on; not if it
 * ends. */
MO_INLINE void leave(mo_thread *t, mo_g *g, mo_g *next, bool ends) {
    mo_m *m = t->m;
    m->prev = g;
    if (next) {
        set_running(t, next);
        switch_to(t, &g->context, g, &next->context, next, ends);
    } else {
        t->g = NULL;
        switch_to(t, &g->context, g, &m->g0, NULL, ends);
    }
}

void mo_execute(mo_m *m, mo_g *g) {
    mo_thread *t = m->t;
    mo_p *p = m->p;
    mo_store_rlx(&p->tick, mo_load_rlx(&p->tick) + 1); /* own; others count only */
    set_running(t, g);
    switch_to(t, &m->g0, NULL, &g->context, g, false);
    arrive(NULL);
}

MO_INLINE void switch_away_to(mo_thread *t, mo_g *g, mo_g *next, void (*after)(mo_g *, void *),
                              void *arg) {
    int saved = errno_now();
    mo_m *m = t->m;
    m->after = after;
    m->after_arg = arg;
    leave(t, g, next, false);
    arrive(g);
    set_errno_now(saved);
}

MO_INLINE void switch_away(mo_thread *t, mo_g *g, void (*after)(mo_g *, void *), void *arg) {
    switch_away_to(t, g, next_at_hand(t->m), after, arg);
}

/* ---------------------------------------------------------------- waiting */

typedef struct unlock_call {
    void (*fn)(void *arg);
    void *arg;
} unlock_call;

static void do_unlock(mo_g *prev, void *call) {
    unlock_call c = *(unlock_call *)call;     /* on prev's stack: once unlocked it may run again */
    mo_store_rel(&prev->state, MO_G_WAITING); /* pairs with shrink.c [H]; published by the unlock */
    c.fn(c.arg);
}

static void note_wait(mo_g *g, mo_wait_reason reason, const void *object) {
    mo_store_rlx(&g->reason, reason); /* for reports */
    mo_store_rlx(&g->waits_for, object);
    mo_store_rlx(&g->waits_since_ms, mo_load_rlx(&mo_the_sched.coarse_ms)); /* likewise */
}

static void park_thread(mo_thread *t, mo_g *g, void (*unlock)(void *arg), void *arg) {
    mo_store_rlx(&g->note, 0); /* published by the unlock */
    unlock(arg);
    mo_runtime_leave(t);
    int saved = errno;
    while (!mo_load_acq(&g->note)) mo_futex_wait(&g->note, 0, -1); /* [N] */
    errno = saved;
    mo_runtime_enter(t);
}

void mo_park(mo_thread *t, mo_wait_reason reason, const void *object, void (*unlock)(void *arg),
             void *arg) {
    mo_g *g = mo_g_self(t);
    note_wait(g, reason, object);
    if (g->is_thread) {
        park_thread(t, g, unlock, arg);
        return;
    }
    mo_check(t->in_runtime == 1, "park: not directly in the runtime");
#if MO_MUTANT_park_unlocks_early
    mo_store_rlx(&g->state, MO_G_WAITING); /* the error */
    unlock(arg);
    switch_away(t, g, NULL, NULL);
#else
    unlock_call call = {unlock, arg};
    switch_away(t, g, do_unlock, &call);
#endif
}

/* Next, and what had that place at the end. */
static void put_next(mo_p *p, mo_g *g) {
    mo_g *old = mo_runq_put_next(&p->runq, g);
    if (!old) return; /* the exchange orders it: [W] */
    local_put(p, old);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* [W] */
}

/* Of several new ones the first is next, the others keep their order. */
static void put_new(mo_p *p, mo_g *g) {
    if (!mo_load_rlx(&p->runq.next)) { /* only we fill it */
        put_next(p, g);
        return;
    }
    local_put(p, g);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* [W] */
}

static void ready(mo_thread *t, mo_g *g, bool is_next) {
    mo_sched *s = &mo_the_sched;
    if (g->is_thread) {
        mo_store_rel(&g->note, 1); /* [N] */
        mo_futex_wake(&g->note, 1);
        return;
    }
    if (MO_UNLIKELY(g->epoch != mo_load_rlx(&s->epoch))) return; /* of a run that is over */
    mo_check(mo_load_rlx(&g->state) == MO_G_WAITING, "ready: it does not wait"); /* ours now */
    mo_store_rlx(&g->state, MO_G_RUNNABLE); /* published by the queue */
    mo_p *p = t->m ? t->m->p : NULL;
    if (MO_UNLIKELY(!p)) {
        global_put(g);
        mo_sched_wake();
        return;
    }
    if (is_next) {
        put_next(p, g);
    } else {
        local_put(p, g);
        __atomic_thread_fence(__ATOMIC_SEQ_CST); /* [W] */
    }
    wake_for(p);
}

void mo_ready(mo_thread *t, mo_g *g) { ready(t, g, true); }
void mo_ready_last(mo_thread *t, mo_g *g) { ready(t, g, false); }

static void put_back(mo_g *g, void *arg) {
    (void)arg;
    mo_store_rlx(&g->state, MO_G_RUNNABLE); /* published by the queue */
    mo_p *p = mo_self->m->p;
    if (p)
        local_put(p, g);
    else
        global_put(g);
}

/* See runq.h: on when nothing else is to run here. */
static void put_back_creator(mo_g *g, void *arg) {
    (void)arg;
    mo_store_rlx(&g->state, MO_G_RUNNABLE); /* published by the queue */
    mo_p *p = mo_self->m->p;
    if (!mo_runq_push(&p->runq, g)) local_put(p, g);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* [W] */
    wake_for(p);
}

/* g is new, and goes before its creator. */
static MO_NOINLINE void run_now(mo_thread *t, mo_g *g) {
    mo_p *p = t->m->p;
    mo_store_rlx(&p->tick, mo_load_rlx(&p->tick) + 1); /* own; others count only */
    switch_away_to(t, t->g, g, put_back_creator, NULL);
}

static void put_back_globally(mo_g *g, void *arg) {
    (void)arg;
    mo_store_rlx(&g->state, MO_G_RUNNABLE); /* published by the queue */
    global_put(g);
    mo_sched_wake();
}

/* Something that g0 has to see to. */
static bool has_other_business(const mo_p *p) {
    const mo_sched *s = &mo_the_sched;                                    /* glances, all of them */
    return mo_load_rlx(&p->is_long) || mo_load_rlx(&p->timers.when_ns) || /* glances */
           mo_load_rlx(&s->num_global) || mo_load_rlx(&s->room) < 0 ||    /* likewise */
           !mo_load_rlx(&s->is_on);                                       /* likewise */
}

void mo_yield(mo_thread *t) {
    mo_g *g = t->g;
    if (!g) {
        if (t->in_runtime == 1) { /* a thread */
            mo_runtime_leave(t);
            sched_yield();
            mo_runtime_enter(t);
        }
        return;
    }
    mo_m *m = t->m;
    mo_p *p = m->p;
    if (MO_LIKELY(p && !m->locked_g && mo_runq_is_empty(&p->runq) && !has_other_business(p))) {
        mo_store_rlx(&p->tick, mo_load_rlx(&p->tick) + 1); /* own: a switch, to itself */
        return;
    }
    switch_away(t, g, put_back, NULL);
}

mo_thread *mo_yield_maybe(mo_thread *t) {
    mo_sched *s = &mo_the_sched;
    mo_rand r;
    mo_rand_seed(&r, s->yield_seed * 1000003ull + mo_add_rlx(&s->num_yields, 1)); /* a count */
    mo_rand_next(&r);
    if (mo_rand_below(&r, YIELD_SHARE) == 0) mo_yield(t);
    return mo_thread_now();
}

/* ---------------------------------------------------------------- starting and ending */

/* On the new stack, where the collector looks, until the function has it. */
typedef struct first_call {
    mo_g *g;
    void (*fn)(void *arg);
    void *arg;
} first_call;

static MO_NOINLINE void call_first(first_call *first) {
    void (*fn)(void *arg) = first->fn;
    void *arg = first->arg;
    first->arg = NULL;
    mo_runtime_leave(mo_thread_now());
    fn(arg);
    __asm__ volatile("" : : : "memory"); /* no tail call: it shows in backtraces */
}

static void goroutine_main(void *arg) {
    first_call *first = arg;
    mo_g *g = first->g;
    mo_thread *t = arrive(g);
    set_errno_now(0);
    if (g->num_locks) {
        g->locked_to = t->m;
        t->m->locked_g = g;
    }
    call_first(first);
    t = mo_thread_now();
    mo_runtime_enter(t);
    g->has_returned = true;
    mo_goexit(t);
}

static void end_run(void) {
    mo_sched *s = &mo_the_sched;
    mo_lock_acquire(&s->lock);
    mo_store_rlx(&s->is_on, 0); /* lock; others glance */
    mo_lock_release(&s->lock);
    mo_store_rel(&s->is_over, 1); /* [O] the result is there [O] */
    mo_futex_wake(&s->is_over, INT32_MAX);
}

/* On the stack of who comes next. */
static void bury(mo_g *g, void *arg) {
    (void)arg;
    mo_sched *s = &mo_the_sched;
    mo_thread *t = mo_self;
    mo_p *p = t->m->p;
    mo_store_rlx(&g->state, MO_G_DEAD); /* nobody else has it */
    bool is_usual = g->stack.hi - g->stack.lo == s->stack_bytes;
    if (p && is_usual) {
        g->next = p->free;
        p->free = g;
        if (++p->num_free >= FREE_MAX) p->free = mo_g_free_some(p->free, FREE_BATCH, &p->num_free);
    } else {
        mo_g_free(g);
    }
    if (p)
        mo_add_owned_rlx(&p->num_live, -1); /* a count */
    else
        mo_add_rlx(&s->num_live, -1); /* a count */
    /* [L] counted down, then looked: of the last two one sees that nobody is left. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);                                    /* [L] */
    if (MO_UNLIKELY(mo_load_rlx(&s->is_leaderless)) && mo_num_goroutine() == 0) /* [L] */
        end_run();
}

void mo_goexit(mo_thread *t) {
    mo_g *g = t->g;
    mo_m *m = t->m;
    if (MO_UNLIKELY(g->num_locks > 0)) {
        g->locked_to = NULL;
        m->locked_g = NULL;
        g->num_locks = 0;
    }
    if (g->is_first && g->has_returned)
        end_run();
    else if (g->is_first)
        mo_store_rlx(&mo_the_sched.is_leaderless, 1); /* looked at in bury, after a fence */
    m->after = bury;
    leave(t, g, next_at_hand(m), true);
    mo_throw("sched: a goroutine that ended was run again");
}

static uint64_t new_id(mo_p *p) {
    mo_sched *s = &mo_the_sched;
    if (!p) return mo_add_rlx(&s->next_id, 1); /* a number */
    if (p->id_next == p->id_end) {
        p->id_end = mo_add_rlx(&s->next_id, ID_BATCH) + 1; /* numbers */
        p->id_next = p->id_end - ID_BATCH;
    }
    return p->id_next++;
}

static mo_g *take_dead(mo_p *p, size_t bytes, int *error) {
    bool is_usual = p && bytes == mo_the_sched.stack_bytes;
    if (is_usual && !p->free) p->free = mo_g_take_some(bytes, FREE_BATCH, &p->num_free);
    if (MO_LIKELY(is_usual && p->free)) {
        mo_g *g = p->free;
        p->free = g->next;
        p->num_free--;
        return g;
    }
    return mo_g_alloc(bytes, error);
}

int mo_go(mo_thread *t, const mo_go_options *o, void (*fn)(void *arg), void *arg) {
    mo_sched *s = &mo_the_sched;
    mo_p *p = t->m ? t->m->p : NULL;
    int error = 0;
    size_t bytes = o->stack_bytes ? o->stack_bytes : s->stack_bytes;
    if (o->value_bytes > bytes / 2) return -EINVAL;
    mo_g *g = take_dead(p, bytes, &error);
    if (!g) return error;
    uintptr_t top = g->stack.hi;
    if (o->value_bytes) {
        top = mo_align_down(top - o->value_bytes, 16);
        memcpy((void *)top, o->value, o->value_bytes);
        arg = (void *)top;
    }
    top -= mo_align_up(sizeof(first_call), 16);
    *(first_call *)top = (first_call){g, fn, arg};
    g->fn = fn;
    g->epoch = mo_load_rlx(&s->epoch); /* constant through a run */
    g->id = new_id(p);
    mo_store_rlx(&g->shrunk_ms, UINT32_MAX); /* not queued yet */
    g->locked_to = NULL;
    g->num_locks = o->is_pinned;
    g->selected = 0;
    g->created_at = o->created_at;
    g->creator = t->g ? t->g->id : 0;
    g->name = o->name;
    g->is_first = o->is_first;
    g->has_returned = false;
    g->is_thread = false;
    mo_store_rlx(&g->reason, MO_WAIT_NONE); /* for reports */
    mo_context_make(&g->context, g->stack.lo, top, goroutine_main, (void *)top);
    mo_store_rlx(&g->state, MO_G_RUNNABLE); /* published by the queue */
    if (!p) {
        mo_add_rlx(&s->num_live, 1); /* a count */
        global_put(g);
        mo_sched_wake();
        return 0;
    }
    mo_add_owned_rlx(&p->num_live, 1); /* a count */
    if (o->runs_now && t->g && !t->m->locked_g) {
        run_now(t, g);
        return 0;
    }
    mo_sched_note_message(t);
    put_new(p, g);
    wake_for(p);
    return 0;
}

int64_t mo_num_goroutine(void) {
    mo_sched *s = &mo_the_sched;
    int64_t num = mo_load_rlx(&s->num_live);                      /* a moment's value */
    for (uint32_t i = 0, n = mo_load_acq(&s->num_ps); i < n; i++) /* [P] */
        num += mo_load_rlx(&s->p[i]->num_live);                   /* a moment's value */
    return num;
}

uint64_t mo_num_switches(void) {
    mo_sched *s = &mo_the_sched;
    uint64_t num = 0;
    for (uint32_t i = 0, n = mo_load_acq(&s->num_ps); i < n; i++) /* [P] */
        num += mo_load_rlx(&s->p[i]->tick);                       /* a moment's value */
    return num;
}

/* ---------------------------------------------------------------- timers */

mo_timers *mo_sched_timers(mo_thread *t) {
    if (t->m && t->m->p) return &t->m->p->timers;
    mo_sched *s = &mo_the_sched;
    return mo_load_acq(&s->num_ps) ? &s->p[0]->timers : NULL; /* [P] */
}

uint64_t mo_sched_next_timer(void) {
    mo_sched *s = &mo_the_sched;
    uint64_t first = 0;
    for (uint32_t i = 0, n = mo_load_acq(&s->num_ps); i < n; i++) { /* [P] */
        uint64_t when = mo_load_seq(&s->p[i]->timers.when_ns);      /* [T] */
        if (when && (first == 0 || when < first)) first = when;
    }
    return first;
}

/* [T] the timer stands in its heap, then timer_until_ns is looked at; who sleeps until the first
 * timer stores until when, then looks at the heaps. */
void mo_sched_timer_added(mo_thread *t, uint64_t when_ns) {
    mo_sched *s = &mo_the_sched;
    (void)t;
    if (mo_load_seq(&s->room) <= 0) return;                 /* busy ones look from time to time */
    if (mo_load_seq(&s->timer_until_ns) <= when_ns) return; /* [T] */
    mo_lock_acquire(&s->lock);
    mo_m *m = s->timer_m;
    if (m) { /* in the idle list, so that nobody else changes its note */
        mo_store_rel(&m->note, MO_NOTE_LOOK); /* [N] */
        mo_futex_wake(&m->note, 1);
    }
    mo_lock_release(&s->lock);
    if (!m) mo_sched_wake();
}

/* ---------------------------------------------------------------- system calls, threads */

static uint32_t in_call_of(const mo_m *m) {
#if MO_MUTANT_syscall_without_owner
    return MO_P_SYSCALL;
#endif
    return MO_P_SYSCALL | (uint32_t)m->id << MO_P_STATE_BITS;
}

void mo_sys_enter(mo_thread *t) {
    mo_m *m = t->m;
    if (!m || !m->p || !t->g) return;
    mo_add_rlx(&mo_the_sched.num_sys, 1);      /* a count */
    mo_add_owned_rlx(&m->p->sys_tick, 1);      /* sysmon counts only */
    mo_store_rel(&m->p->state, in_call_of(m)); /* [S] pairs with sysmon.c [S] */
}

static void take_place_again(mo_thread *t, mo_m *m) {
    mo_sched *s = &mo_the_sched;
    m->p = NULL;
    mo_lock_acquire(&s->lock);
    mo_p *p = mo_p_take_locked();
    mo_lock_release(&s->lock);
    if (p)
        mo_p_give(p, m);
    else
        switch_away(t, t->g, put_back_globally, NULL);
}

void mo_sys_exit(mo_thread *t) {
    mo_m *m = t->m;
    if (!m || !m->p || !t->g) return;
    mo_sub_rlx(&mo_the_sched.num_sys, 1); /* a count */
    uint32_t in_call = in_call_of(m);
    /* [S] pairs with sysmon.c [S]: who changes the state has the processor */
    if (mo_cas_acqrel(&m->p->state, &in_call, MO_P_RUNNING)) return;
    take_place_again(t, m);
}

void mo_lock_thread(mo_thread *t) {
    mo_g *g = t->g;
    if (!g) return;
    g->num_locks++;
    g->locked_to = t->m;
    t->m->locked_g = g;
}

void mo_unlock_thread(mo_thread *t) {
    mo_g *g = t->g;
    if (!g || g->num_locks == 0 || --g->num_locks > 0) return;
    g->locked_to = NULL;
    t->m->locked_g = NULL;
}

void mo_sched_hold(int32_t num) {
    mo_sched *s = &mo_the_sched;
    mo_lock_acquire(&s->lock);
    int32_t most = mo_load_rlx(&s->max_procs) - 1; /* lock; num is of an earlier one, perhaps */
    if (num > most) num = most;
    int32_t more = mo_load_rlx(&s->held) - num; /* lock */
    mo_store_rlx(&s->held, num);                /* lock; others glance */
    mo_add_seq(&s->room, more);                 /* [W] */
    mo_lock_release(&s->lock);
    if (more > 0) mo_sched_wake();
}

int mo_set_max_procs(mo_thread *t, int n) {
    mo_sched *s = &mo_the_sched;
    (void)t;
    mo_lock_acquire(&s->lock);
    int old = s->max_procs;
    if (n >= 1) {
        n = n > MO_MAX_PROCS / 2 ? MO_MAX_PROCS / 2 : n;
        mo_store_rlx(&s->max_procs, n);                        /* lock; others glance */
        mo_add_seq(&s->room, n - old + mo_load_rlx(&s->held)); /* [W] */
        mo_store_rlx(&s->held, 0);                             /* lock; others glance */
    }
    mo_lock_release(&s->lock);
    if (n >= 1) mo_sched_wake(); /* if there is more room; what was held back is let go, too */
    return old;
}

/* ---------------------------------------------------------------- a run */

void mo_sched_set(const mo_sched_settings *settings) {
    mo_sched *s = &mo_the_sched;
    s->max_procs = settings->max_procs;
    s->stack_bytes = MO_STACK_MIN_BYTES;
    while (s->stack_bytes < settings->stack_bytes) s->stack_bytes *= 2;
    s->trace_ms = settings->trace_ms;
    s->yield_seed = settings->yield_seed;
    s->holds_none = settings->holds_none;
    s->is_watched = mo_fiber_is_watched();
    mo_store_rlx(&s->room, s->max_procs); /* nobody else yet */
}

enum { END_WAIT_NS = 1000000, END_WAITS = 1000 };

/* The run is over: nobody falls asleep any more. */
static void wake_all_machines(void) {
    mo_sched *s = &mo_the_sched;
    mo_lock_acquire(&s->lock);
    for (mo_m *m = s->last_m; m; m = m->made_before) {
        mo_store_rel(&m->note, MO_NOTE_GO); /* [N] */
        mo_futex_wake(&m->note, 1);
    }
    mo_lock_release(&s->lock);
}

/* What an earlier run left. */
static void forget_queues_locked(void) {
    mo_sched *s = &mo_the_sched;
    for (uint32_t i = 0; i < s->num_ps; i++) {
        mo_p *p = s->p[i];
        while (mo_runq_get(&p->runq) != NULL) continue;
        mo_store_rlx(&p->num_live, 0); /* no machine runs */
        p->id_next = p->id_end;
    }
}

int mo_sched_run(mo_thread *t, size_t first_stack_bytes, void (*fn)(void *arg), void *arg) {
    mo_sched *s = &mo_the_sched;
    mo_runtime_enter(t);
    mo_lock_acquire(&s->lock);
#if MO_MUTANT_runs_overlap
    bool is_busy = mo_load_rlx(&s->is_on) || s->num_m > 0; /* the error */
#else
    bool is_busy = s->has_runner || s->num_m > 0; /* who ended the last may still be clearing up */
#endif
    if (!is_busy) {
        s->has_runner = true;
        mo_store_rlx(&s->epoch, s->epoch + 1); /* [E] no machine runs */
        mo_store_rlx(&s->is_on, 1);            /* lock */
        mo_store_rlx(&s->is_over, 0);          /* nobody waits yet */
        mo_store_rlx(&s->is_leaderless, 0);    /* likewise */
        mo_store_rlx(&s->next_id, 0);          /* numbers */
        mo_store_seq(&s->room, s->max_procs);  /* [W] */
        mo_store_rlx(&s->held, 0);             /* lock; sysmon glances */
        s->head = s->tail = NULL;
        mo_store_rlx(&s->num_global, 0);              /* lock */
        mo_store_rlx(&s->num_live, 0);                /* a count */
        mo_store_rlx(&s->num_sys, 0);                 /* a count */
        mo_store_seq(&s->timer_until_ns, UINT64_MAX); /* [T] */
        mo_store_rlx(&s->begin_ns, mo_clock_ns());    /* lock; sysmon glances */
        forget_queues_locked();
    }
    mo_lock_release(&s->lock);
    if (is_busy) {
        mo_runtime_leave(t);
        return -EBUSY;
    }
    mo_real_pthread_sigmask(SIG_BLOCK, NULL, &s->mask);
    mo_go_options o = {.stack_bytes = first_stack_bytes, .is_first = true, .name = "main"};
    int error = mo_go(t, &o, fn, arg);
    if (error == 0) {
        mo_runtime_leave(t);
        mo_sysmon_start_once();
        while (!mo_load_acq(&s->is_over)) mo_futex_wait(&s->is_over, 0, -1); /* [O] */
        mo_runtime_enter(t);
    }
    mo_lock_acquire(&s->lock);
    mo_store_rlx(&s->is_on, 0); /* lock */
    mo_lock_release(&s->lock);
    for (uint32_t i = 0, n = mo_load_acq(&s->num_ps); i < n; i++) /* [P] */
        mo_timers_clear(&s->p[i]->timers);
    mo_runtime_leave(t);
    mo_sysmon_kick();
    /* Those in the middle of the program's code end at their next switch. */
    for (int i = 0; i < END_WAITS && mo_load_rlx(&s->num_m) > 0; i++) { /* a glance */
        mo_runtime_enter(t);
        wake_all_machines();
        mo_runtime_leave(t);
        mo_futex_wait(&s->num_m, mo_load_rlx(&s->num_m), END_WAIT_NS); /* a glance */
    }
    mo_runtime_enter(t);
    mo_lock_acquire(&s->lock);
    s->has_runner = false;
    mo_lock_release(&s->lock);
    mo_runtime_leave(t);
    return error;
}

void mo_sched_fork_begin(void) {
    mo_sched *s = &mo_the_sched;
    uint32_t n = mo_load_acq(&s->num_ps); /* [P] */
    for (uint32_t i = 0; i < n; i++) mo_lock_acquire_unranked(&s->p[i]->timers.lock);
    mo_lock_acquire(&s->lock);
    mo_lock_acquire(mo_g_lock());
    mo_lock_acquire(mo_stack_lock());
}

void mo_sched_fork_end(void) {
    mo_sched *s = &mo_the_sched;
    mo_lock_release(mo_stack_lock());
    mo_lock_release(mo_g_lock());
    mo_lock_release(&s->lock);
    uint32_t n = mo_load_acq(&s->num_ps); /* [P] none is made meanwhile: that needs the lock */
    for (uint32_t i = 0; i < n; i++) mo_lock_release_unranked(&s->p[i]->timers.lock);
}

/* Only the calling thread lives; what others ran is lost, what waits may go on here. If no machine
 * calls, the run is over. Locks that goroutines of other machines held at that moment stay held, as
 * in any program that forks with threads. */
void mo_sched_after_fork(mo_thread *self) {
    mo_sched *s = &mo_the_sched;
    mo_m *m = self->m;
    mo_p *own = m ? m->p : NULL;
    s->idle_m = s->dead_m = s->timer_m = NULL;
    s->num_long = 0;
    s->held = 0;
    s->has_runner = false;
    s->idle_p = NULL;
    for (uint32_t i = mo_load_rlx(&s->num_ps); i-- > 0;) { /* alone */
        mo_p *p = s->p[i];
        mo_store_rlx(&p->is_long, 0); /* alone */
        if (p == own) continue;
        mo_store_rlx(&p->state, MO_P_IDLE); /* alone */
        p->m = NULL;
        p->next = s->idle_p;
        s->idle_p = p;
    }
    for (uint64_t i = 0, n = mo_g_count(); i < n; i++) {
        mo_g *g = mo_g_at(i);
        bool is_lost = mo_load_rlx(&g->state) == MO_G_RUNNING && g != self->g; /* alone */
        if (is_lost || (g->locked_to && g->locked_to != m)) g->epoch = 0;
    }
    mo_store_rlx(&s->is_on, s->is_on && m);                                  /* alone, all of it */
    mo_store_rlx(&s->num_idle_m, 0);                                         /* likewise */
    mo_store_rlx(&s->num_m, m ? 1 : 0);                                      /* likewise */
    mo_store_rlx(&s->num_spinning, 0);                                       /* likewise */
    mo_store_rlx(&s->num_sys, own && mo_p_kind(own->state) == MO_P_SYSCALL); /* likewise */
    mo_store_rlx(&s->room, s->max_procs - (own ? 1 : 0));                    /* likewise */
    mo_store_rlx(&s->timer_until_ns, UINT64_MAX);                            /* likewise */
    mo_sysmon_after_fork();
}
