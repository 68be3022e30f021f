/* machine.c - the threads that run goroutines: what they do on g0.
 *
 * A machine with a processor looks for a goroutine: timers that are due, its own queue, the one
 * that all share, the queues of others. If there is none it gives the processor up and sleeps. One
 * of those that sleep does so until the next timer.
 *
 * A goroutine that has locked its thread runs on that machine only: whoever finds it hands his
 * processor over; the machine hands it on while its goroutine waits.
 *
 * Floor   sched.
 * Locks   sched lock for lists of machines.
 * Holds   M1  a machine is in one of: idle list, dead list, awake
 *         M2  who takes a machine out of the idle list gives it a processor and its note, with the
 *             same hold of the lock: one that wakes by itself has both or neither
 * Order   [W], [T], [N] as in sched.c.
 */
#include "sched/interpose.h"
#include "sched/runtime_thread.h"
#include "sched/sched.h"
#include "sys/os_mem.h"

enum {
    STEAL_ROUNDS = 4,
    NEXT_PAUSES = 100, /* before what another is about to run itself is taken from it */
    MAX_MACHINES = 10000,
};

static mo_sched *const s = &mo_the_sched;

/* ---------------------------------------------------------------- starting */

/* If m sleeps until the next timer, nobody does then. */
static void drop_timer_role_locked(mo_m *m) {
    if (s->timer_m != m) return;
    mo_store_rlx(&s->timer_m, NULL);              /* lock; its owner glances */
    mo_store_seq(&s->timer_until_ns, UINT64_MAX); /* [T] */
}

/* Out of the idle list, if it is there. */
static void remove_idle_locked(mo_m *m) {
    mo_m **at = &s->idle_m;
    while (*at && *at != m) at = &(*at)->next;
    drop_timer_role_locked(m);
    if (!*at) return;
    *at = m->next;
    mo_store_rlx(&s->num_idle_m, s->num_idle_m - 1); /* lock; others glance */
}

/* The one that sleeps until a timer comes last. */
static mo_m *take_idle_locked(void) {
    mo_m *m = s->idle_m;
    if (m && m == s->timer_m && m->next) m = m->next;
    if (m) remove_idle_locked(m);
    return m;
}

static mo_m *new_machine_locked(void) {
    mo_m *m = s->dead_m;
    if (m)
        s->dead_m = m->next;
    else if (s->num_m < MAX_MACHINES)
        m = mo_os_map(sizeof *m, "mound machine");
    if (!m) return NULL;
    if (m->id == 0) {
        m->id = ++s->next_m_id;
        m->made_before = s->last_m;
        s->last_m = m;
    }
    mo_store_rlx(&s->num_m, s->num_m + 1); /* lock; others glance */
    return m;
}

static void machine_ended_locked(mo_m *m) {
    m->next = s->dead_m;
    s->dead_m = m;
    mo_store_rlx(&s->num_m, s->num_m - 1); /* lock; others glance */
}

static void none_to_be_had_locked(mo_p *p, bool is_spinning) {
    mo_p_release_locked(p);
    if (is_spinning) mo_sub_seq(&s->num_spinning, 1); /* [W] */
    if (s->num_m == 0)
        mo_fatal("cannot start a thread to run goroutines; raise the limit of threads (ulimit -u)");
}

mo_m *mo_machine_take_locked(mo_p *p, bool is_spinning, bool *is_new) {
    mo_m *m = take_idle_locked();
    *is_new = !m;
    if (!m) m = new_machine_locked();
    if (!m) {
        none_to_be_had_locked(p, is_spinning);
        return NULL;
    }
    mo_p_give(p, m);
    m->is_spinning = is_spinning;
    mo_store_rel(&m->note, MO_NOTE_GO); /* [N] */
    return m;
}

void mo_machine_go(mo_m *m, bool is_new) {
    mo_sysmon_kick();
    if (!is_new) {
        mo_futex_wake(&m->note, 1);
        return;
    }
    if (mo_runtime_thread_start(0, mo_machine_main, m)) return;
    mo_lock_acquire(&s->lock);
    mo_p *p = m->p;
    m->p = NULL;
    machine_ended_locked(m);
    none_to_be_had_locked(p, m->is_spinning);
    mo_lock_release(&s->lock);
}

/* ---------------------------------------------------------------- sleeping */

/* A timer is due: takes a processor, if there is one and nobody woke m meanwhile. */
static bool rise_for_timer(mo_m *m) {
    mo_lock_acquire(&s->lock);
    mo_p *p = NULL;
    if (s->timer_m == m) { /* else it is being woken */
        p = mo_p_take_locked();
        drop_timer_role_locked(m); /* no room: the busy ones look after timers */
    }
    if (p) {
        remove_idle_locked(m);
        mo_p_give(p, m);
    }
    mo_lock_release(&s->lock);
    if (p) mo_sysmon_kick();
    return p != NULL;
}

/* How long m may sleep: until the next timer if that is its task; < 0: for ever. */
static int64_t sleep_ns(mo_m *m) {
    if (mo_load_rlx(&s->timer_m) != m) return -1; /* own task; given up under the lock */
    for (;;) {
        uint64_t next = mo_sched_next_timer();
        mo_store_seq(&s->timer_until_ns, next ? next : UINT64_MAX); /* [T] */
        if (mo_sched_next_timer() != next) continue;
        if (next == 0) return -1;
        uint64_t now = mo_clock_ns();
        return next > now ? (int64_t)(next - now) : 0;
    }
}

/* Sleeps until somebody gives m a processor, or a timer is due. false: the run is over. */
static bool sleep_idle(mo_m *m) {
    mo_lock_acquire(&s->lock);
    if (!mo_load_rlx(&s->is_on)) { /* lock */
        mo_lock_release(&s->lock);
        return false;
    }
    mo_assert(!m->is_spinning, "machine: it sleeps and counts as looking for work");
    mo_store_rlx(&m->note, MO_NOTE_SLEEP); /* not in the list yet */
    m->next = s->idle_m;
    s->idle_m = m;
    mo_store_rlx(&s->num_idle_m, s->num_idle_m + 1); /* lock; others glance */
    if (!s->timer_m) mo_store_rlx(&s->timer_m, m);   /* lock */
    mo_lock_release(&s->lock);
    if (m->woke_ns) mo_sched_note_work(mo_clock_ns() - m->woke_ns);
    m->woke_ns = 0;
    mo_thread_publish_here(m->t);
    for (uint32_t note; (note = mo_load_acq(&m->note)) != MO_NOTE_GO;) { /* [N] */
        /* First the word, then the look at the timers: [T]. */
        if (note == MO_NOTE_LOOK) mo_cas_acq(&m->note, &note, MO_NOTE_SLEEP); /* [N] */
        int64_t ns = sleep_ns(m);
        if (ns == 0) {
            if (rise_for_timer(m)) return true;
            continue;
        }
        mo_thread_wait(m->t, &m->note, MO_NOTE_SLEEP, ns);
    }
    m->woke_ns = mo_clock_ns();
    return mo_load_rlx(&s->is_on); /* a glance; seen again */
}

/* ---------------------------------------------------------------- looking for work */

static mo_p *take_one(void) {
    mo_lock_acquire(&s->lock);
    mo_p *p = mo_load_rlx(&s->is_on) ? mo_p_take_locked() : NULL; /* lock */
    mo_lock_release(&s->lock);
    return p;
}

static void empty_into_global_locked(mo_p *p) {
    mo_g *g;
    while ((g = mo_runq_get(&p->runq)) != NULL) mo_global_put_locked(g, g, 1);
}

static void begin_spinning(mo_m *m) {
    m->is_spinning = true;
    mo_add_seq(&s->num_spinning, 1); /* [W] */
}

/* Whether it was the only one. */
static bool no_longer_spinning(mo_m *m) {
    if (!m->is_spinning) return false;
    m->is_spinning = false;
    return mo_sub_seq(&s->num_spinning, 1) == 0; /* [W] */
}

/* There are too many, unless somebody else has just given his up. What was queued there is for all;
 * nobody sleeps while it lies there: room is 0 at the most then, so each processor is somebody's,
 * who looks at the global queue before he gives it up. Not by a machine that is about to run the
 * goroutine that only it may run: nobody could hand that over to one that sleeps among the idle.
 * Its processor is surplus until that one waits. */
static void give_up_processor(mo_m *m) {
#if !MO_MUTANT_locked_gives_up
    if (m->locked_g) return;
#endif
    mo_lock_acquire(&s->lock);
    if (mo_load_rlx(&s->room) >= 0) { /* lock */
        mo_lock_release(&s->lock);
        return;
    }
    no_longer_spinning(m);
    empty_into_global_locked(m->p);
    if (m->next_g) mo_global_put_locked(m->next_g, m->next_g, 1);
    m->next_g = NULL;
    mo_p_release_locked(m->p);
    m->p = NULL;
    mo_lock_release(&s->lock);
}

static void start_spinning(mo_m *m) {
    if (m->is_spinning) return;
    int32_t most = mo_load_rlx(&s->max_procs) - mo_load_rlx(&s->held);        /* an estimate */
    int32_t busy = most - mo_load_rlx(&s->room);                              /* likewise */
    if (2 * (int32_t)mo_load_rlx(&s->num_spinning) < busy) begin_spinning(m); /* likewise */
}

/* It found work: somebody else is to look whether there is more. */
static void stop_spinning(mo_m *m) {
    if (no_longer_spinning(m)) mo_sched_wake();
}

static void run_timers(mo_m *m, bool all) {
    uint64_t now = 0;
    uint32_t n = mo_load_acq(&s->num_ps); /* [P] */
    for (uint32_t i = 0; i < n; i++) {
        mo_p *p = all ? s->p[i] : m->p;
        uint64_t when = mo_load_rlx(&p->timers.when_ns); /* a glance */
        if (when) {
            if (now == 0) now = mo_clock_ns();
            mo_sched_tick_coarse(now);
            if (when <= now) mo_timers_run(m->t, &p->timers, now);
        }
        if (!all) return;
    }
}

static mo_g *steal(mo_m *m) {
    uint32_t n = mo_load_acq(&s->num_ps); /* [P] */
    for (int round = 0; round < STEAL_ROUNDS; round++) {
        bool is_last = round == STEAL_ROUNDS - 1;
        if (is_last) {
            run_timers(m, true);
            mo_g *g = mo_runq_get(&m->p->runq);
            if (g) return g;
            for (int i = 0; i < NEXT_PAUSES; i++) mo_cpu_pause();
        }
        uint32_t first = (uint32_t)mo_rand_below(&m->p->rand, n);
        for (uint32_t i = 0; i < n; i++) {
            mo_p *from = s->p[(first + i) % n];
            if (from == m->p) continue;
            mo_g *g = mo_runq_steal(&m->p->runq, &from->runq, is_last);
            if (g) return g;
        }
        if (mo_load_rlx(&s->num_global)) return NULL; /* a glance */
    }
    return NULL;
}

static bool is_any_work(void) {
    if (mo_load_seq(&s->num_global)) return true;                 /* [W] */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);                      /* [W] */
    for (uint32_t i = 0, n = mo_load_acq(&s->num_ps); i < n; i++) /* [P] */
        if (!mo_runq_is_empty(&s->p[i]->runq)) return true;
    return false;
}

static mo_g *take_global(mo_p *p, bool is_empty) {
    if (!mo_load_rlx(&s->num_global)) return NULL; /* a glance */
    mo_lock_acquire(&s->lock);
    mo_g *g = mo_global_get_locked(p, is_empty);
    mo_lock_release(&s->lock);
    return g;
}

static mo_g *look(mo_m *m) {
    mo_p *p = m->p;
    bool is_fair = (mo_load_rlx(&p->tick) + 1) % MO_FAIR_TICKS == 0; /* own */
    run_timers(m, is_fair);
    mo_g *g = is_fair ? take_global(p, false) : NULL;
#if !MO_MUTANT_look_starves_ring
    /* Two that make each other ready again and again are always next. */
    if (is_fair && !g) g = mo_runq_get_first(&p->runq);
#endif
    if (!g) g = mo_runq_get(&p->runq);
    if (!g) g = take_global(p, true);
    if (!g) {
        start_spinning(m);
        if (m->is_spinning) g = steal(m);
    }
    return g;
}

/* Gives the processor up; one last look. false: nothing to do, it has none. */
static bool last_look(mo_m *m) {
    mo_lock_acquire(&s->lock);
    m->next_g = mo_global_get_locked(m->p, true);
    if (!m->next_g) {
        mo_p_release_locked(m->p);
        m->p = NULL;
    }
    mo_lock_release(&s->lock);
    if (m->next_g) return true;
    no_longer_spinning(m);
    if (!is_any_work()) return false;
    mo_p *p = take_one();
    if (!p) return false;
    mo_p_give(p, m);
    begin_spinning(m);
    return true;
}

/* The next goroutine for m; NULL: the run is over. */
static mo_g *find(mo_m *m) {
    for (;;) {
        mo_runtime_leave(m->t); /* a stop may wait for us */
        mo_runtime_enter(m->t);
        if (!mo_load_rlx(&s->is_on)) return NULL; /* a glance */
        if (m->p) {
            if (mo_load_rlx(&m->p->is_long)) mo_p_no_longer_long(m->p); /* a glance */
            if (mo_load_rlx(&s->room) < 0) give_up_processor(m);        /* a glance */
        }
        if (!m->p && !sleep_idle(m)) return NULL;
        if (!m->p) continue;
        mo_assert(m->p->m == m, "machine: its processor is another's");
        mo_g *g = m->next_g;
        m->next_g = NULL;
        if (!g) g = look(m);
        if (g) {
            stop_spinning(m);
            return g;
        }
        if (!last_look(m) && !sleep_idle(m)) return NULL;
    }
}

/* ---------------------------------------------------------------- locked to a thread */

/* m has found g, which runs on another machine only: that one gets the processor, unless it is not
 * asleep yet: then it goes on with its own. */
static void hand_over(mo_m *m, mo_g *g) {
    mo_lock_acquire(&s->lock);
    mo_m *to = g->locked_to;
    bool is_asleep = to->is_parked;
    if (is_asleep) {
        to->is_parked = false;
        mo_p_give(m->p, to);
        m->p = NULL;
        to->next_g = g;
        mo_store_rel(&to->note, MO_NOTE_GO); /* [N] */
    } else {
        to->handed = g;
    }
    mo_lock_release(&s->lock);
    if (is_asleep) mo_futex_wake(&to->note, 1);
}

/* The goroutine that m belongs to waits. false: the run is over. */
static bool await_own(mo_m *m) {
    mo_lock_acquire(&s->lock);
    if (!mo_load_rlx(&s->is_on)) { /* lock */
        mo_lock_release(&s->lock);
        return false;
    }
    mo_p *p = m->p;
    m->next_g = m->handed;
    m->handed = NULL;
    bool must_wait = !m->next_g || !p;
    bool is_lost = m->next_g && !p; /* found while this machine had none: to be found again */
    if (is_lost) mo_global_put_locked(m->next_g, m->next_g, 1);
    if (must_wait) {
        m->next_g = NULL;
        m->p = NULL;
        m->is_parked = true;
        mo_store_rlx(&m->note, MO_NOTE_SLEEP); /* lock */
    }
    bool is_new;
    mo_m *heir = must_wait && p ? mo_machine_take_locked(p, false, &is_new) : NULL;
    mo_lock_release(&s->lock);
    if (!must_wait) return true;
    if (is_lost) mo_sched_wake();
    if (heir) mo_machine_go(heir, is_new);
    mo_thread_publish_here(m->t);
    while (!mo_load_acq(&m->note)) mo_thread_wait(m->t, &m->note, MO_NOTE_SLEEP, -1); /* [N] */
    return mo_load_rlx(&s->is_on); /* a glance; seen again */
}

/* ---------------------------------------------------------------- */

static void end_machine(mo_m *m) {
    mo_thread *t = m->t;
    mo_lock_acquire(&s->lock);
    no_longer_spinning(m); /* it may have been woken just now */
    if (m->p) mo_p_release_locked(m->p);
    m->p = NULL;
    remove_idle_locked(m);
    t->m = NULL;
    m->locked_g = m->next_g = m->handed = NULL;
    m->is_parked = false;
    machine_ended_locked(m);
    mo_lock_release(&s->lock);
    mo_futex_wake(&s->num_m, INT32_MAX);
}

void *mo_machine_main(void *arg) {
    mo_runtime_thread_name("mound-m");
    mo_m *m = arg;
    mo_thread *t = mo_thread_current();
    mo_runtime_enter(t);
    mo_store_rlx(&t->is_library, true); /* a glance for sysmon */
    t->m = m;
    m->t = t;
    mo_real_pthread_sigmask(SIG_SETMASK, &s->mask, NULL);
    mo_g *g;
    while ((g = find(m)) != NULL) {
        if (g->locked_to && g->locked_to != m) {
            hand_over(m, g);
            continue;
        }
        mo_execute(m, g);
        if (m->locked_g && !await_own(m)) break;
    }
    end_machine(m);
    mo_runtime_leave(t);
    return NULL;
}
