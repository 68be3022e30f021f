/* sched.h - who runs where: the scheduler of goroutines. Floor sched.
 *
 * A goroutine that waits is queued at what it waits for, and leaves its machine for the next one in
 * the same step: the lock of the queue is released by the goroutine that comes after, when nothing
 * runs on the old stack any more (mo_park). So nobody can make it run elsewhere too early.
 *
 * Every function here is called in the runtime (in_runtime == 1, where it may switch: exactly 1;
 * each goroutine leaves and comes back inside), except where said.
 *
 * After a call that may switch, the calling thread may be another: mo_thread_now tells, mo_self in
 * the same function is not to be trusted.
 */
#ifndef MO_SCHED_H
#define MO_SCHED_H

#include "base/rand.h"
#include "sched/g.h"
#include "sched/sysmon.h"
#include "sched/timers.h"

enum {
    MO_MAX_PROCS = 1024,
    MO_FAIR_TICKS = 61, /* each so many switches what all share goes before `next`, then the ring */
};

/* The low bits of a processor's state. In a declared system call the number of the machine stands
 * above them: one that comes back must not take the call of another for its own. */
typedef enum mo_p_state { MO_P_IDLE, MO_P_RUNNING, MO_P_SYSCALL } mo_p_state;
enum { MO_P_STATE_BITS = 2 };
MO_INLINE mo_p_state mo_p_kind(uint32_t state) {
    return (mo_p_state)(state & ((1u << MO_P_STATE_BITS) - 1));
}

typedef struct mo_p {
    mo_runq runq;
    uint32_t id;       /* const */
    uint32_t state;    /* atomic: mo_p_state and machine; [S] with sysmon */
    uint32_t tick;     /* atomic: switches so far; owner */
    uint64_t messages; /* atomic: see mo_sched_note_message; owner */
    uint32_t is_long;  /* atomic: what runs there has run for so long that another P may run */
    struct mo_m *m;    /* owner; NULL: idle */
    struct mo_p *next; /* idle list; sched lock */
    mo_g *free;        /* owner: dead goroutines with stacks of the default size */
    uint32_t num_free; /* owner */
    uint64_t id_next, id_end; /* owner: numbers for new goroutines */
    int64_t num_live;         /* atomic: begun here less ended here; owner */
    mo_timers timers;
    mo_rand rand;                   /* owner */
    uint32_t calm_left;             /* atomic: so many wakes are left out yet */
    uint32_t sys_tick;              /* atomic: declared system calls; owner */
    uint32_t seen_tick, seen_state; /* sysmon */
    uint64_t seen_ns;               /* sysmon */
} mo_p;

/* What a machine that sleeps is to do. */
enum { MO_NOTE_SLEEP, MO_NOTE_GO, MO_NOTE_LOOK /* at the timers */ };

typedef struct mo_m {
    mo_context g0; /* while a goroutine runs */
    mo_thread *t;  /* const while the machine lives */
    mo_p *p;       /* owner, or who wakes it; NULL: none */
    /* The second half of a switch, done by who comes next: owner. */
    mo_g *prev;
    void (*after)(mo_g *prev, void *arg);
    void *after_arg;
    mo_g *next_g;             /* to be run next; owner, or who wakes it */
    mo_g *locked_g;           /* runs here, and nothing else does; owner */
    uint32_t note;            /* atomic, slept on */
    mo_g *handed;             /* locked_g, found by another before it was asleep; sched lock */
    bool is_parked;           /* sleeps until locked_g may go on; sched lock */
    uint64_t woke_ns;         /* owner; 0: not woken since it slept */
    bool is_spinning;         /* looks for work; owner, or who wakes it */
    struct mo_m *next;        /* idle or dead list; sched lock */
    struct mo_m *made_before; /* const; NULL: this is the first */
    int id;                   /* const */
} mo_m;

typedef struct mo_sched {
    mo_lock lock;
    uint32_t epoch;         /* number of the run, from 1; lock; atomic reads */
    bool has_runner;        /* somebody is in mo_sched_run; lock */
    uint32_t is_on;         /* atomic: a run goes on */
    uint32_t is_over;       /* atomic, slept on: its first goroutine has ended */
    uint32_t is_leaderless; /* atomic: that one has left, the others go on */
    int32_t max_procs;      /* lock */
    int32_t held;           /* atomic reads: processors held back, see climb.h; lock */
    int32_t room;           /* atomic: so many processors more may run; lock for taking one */
    uint32_t num_ps;        /* atomic: ever made */
    mo_p *p[MO_MAX_PROCS];
    mo_p *idle_p;               /* lock */
    mo_m *idle_m, *dead_m;      /* lock */
    mo_m *last_m;               /* the last one made: lock */
    uint32_t num_m, num_idle_m; /* lock; atomic reads */
    int next_m_id;              /* lock */
    mo_g *head, *tail;          /* the global queue; lock */
    uint32_t num_global;        /* atomic reads; lock */
    uint32_t num_spinning;      /* atomic */
    uint32_t calm;              /* atomic: wakes to leave out after one; see sched.c */
    uint32_t num_long;          /* lock */
    uint32_t num_sys;           /* atomic: goroutines in declared system calls */
    uint64_t next_id;           /* atomic */
    int64_t num_live;           /* atomic: goroutines begun by threads without a P */
    mo_m *timer_m;              /* sleeps until the next timer; lock */
    uint64_t timer_until_ns;    /* atomic: until then; [T] with timers */
    uint32_t coarse_ms;         /* atomic: since the run began, now and then brought up to date */
    uint64_t begin_ns;          /* of the run */
    size_t stack_bytes;         /* const: of a goroutine */
    uint32_t trace_ms;          /* const: schedtrace; 0: off */
    uint32_t yield_seed;        /* const: switches at random points as well; 0: off */
    bool holds_none;            /* const: no processor is ever held back */
    bool is_watched;            /* const: by a sanitizer */
    uint32_t num_yields;        /* atomic: such points so far */
    sigset_t mask;              /* of whoever began the run */
} mo_sched;

extern mo_sched mo_the_sched;

/* Once, before any goroutine. */
typedef struct mo_sched_settings {
    int max_procs;
    size_t stack_bytes;  /* a stack's size is that of its class */
    uint32_t trace_ms;   /* 0: off */
    uint32_t yield_seed; /* 0: off */
    bool holds_none;
} mo_sched_settings;
void mo_sched_set(const mo_sched_settings *settings);

/* ---------------------------------------------------------------- for everybody */

/* The calling thread's record; not in the runtime. noinline: see above. */
mo_thread *mo_thread_now(void);
/* By which the caller waits: its goroutine's, or its thread's. */
mo_g *mo_g_self(mo_thread *t);

/* The caller waits until mo_ready. unlock(arg) is called when it does; until then nobody may call
 * mo_ready. object: for reports. */
void mo_park(mo_thread *t, mo_wait_reason reason, const void *object, void (*unlock)(void *arg),
             void *arg);
/* g, which waits, may go on. */
void mo_ready(mo_thread *t, mo_g *g);
/* The same, behind all others: what has waited for a time keeps its order. */
void mo_ready_last(mo_thread *t, mo_g *g);
/* Others first. */
void mo_yield(mo_thread *t);
/* With MOUND_DEBUG=yield=SEED: now and then others first, where a switch is allowed. Returns the
 * thread that it is in then. */
mo_thread *mo_yield_maybe(mo_thread *t);
MO_INLINE mo_thread *mo_yield_hostile(mo_thread *t) {
    return MO_LIKELY(!mo_the_sched.yield_seed) ? t : mo_yield_maybe(t);
}

typedef struct mo_go_options {
    size_t stack_bytes; /* 0: the default */
    const char *name;
    bool is_pinned; /* keeps its thread */
    bool is_first;
    bool runs_now;     /* before the caller goes on */
    const void *value; /* copied onto the new stack; fn gets its address */
    size_t value_bytes;
    const void *created_at;
} mo_go_options;

/* 0, or -errno. */
int mo_go(mo_thread *t, const mo_go_options *o, void (*fn)(void *arg), void *arg);
MO_NORETURN void mo_goexit(mo_thread *t);

/* The set of timers for a timer that the caller starts. */
mo_timers *mo_sched_timers(mo_thread *t);
/* A timer was started: somebody is to be awake then. */
void mo_sched_timer_added(mo_thread *t, uint64_t when_ns);

void mo_sys_enter(mo_thread *t);
void mo_sys_exit(mo_thread *t);

int mo_set_max_procs(mo_thread *t, int n);
int64_t mo_num_goroutine(void);
uint64_t mo_num_switches(void); /* by all processors, ever */
void mo_lock_thread(mo_thread *t);
void mo_unlock_thread(mo_thread *t);

/* Runs fn(arg) as the first goroutine and waits for its end, outside the runtime. 0 or -errno. */
int mo_sched_run(mo_thread *t, size_t first_stack_bytes, void (*fn)(void *arg), void *arg);

/* Around a fork: all locks here, so that nothing is half changed in the child. */
void mo_sched_fork_begin(void);
void mo_sched_fork_end(void);
/* In the child of a fork: what runs in other threads is gone. */
void mo_sched_after_fork(mo_thread *self);

/* ---------------------------------------------------------------- for machine.c and sysmon.c */

/* What a machine does: in machine.c, on g0. */
void *mo_machine_main(void *m);
/* A machine for p, which the caller has taken with the same hold of the lock: in between neither
 * would count, and the run could end. NULL: none is to be had, p is idle again. is_new: it has no
 * thread yet. */
mo_m *mo_machine_take_locked(mo_p *p, bool is_spinning, bool *is_new);
/* Lets m go, which was taken; without the lock. */
void mo_machine_go(mo_m *m, bool is_new);
/* Somebody looks for work, if there is room. */
void mo_sched_wake(void);
/* Of the processors that may run so many are held back from now on, but for one. */
void mo_sched_hold(int32_t num);
/* A machine that was woken had work for so long. */
void mo_sched_note_work(uint64_t ns);
/* What t runs has sent or received something, or started a goroutine; in the runtime. */
MO_INLINE void mo_sched_note_message(const mo_thread *t) {
    mo_p *p = t->m ? t->m->p : NULL;
    if (p) mo_store_rlx(&p->messages, mo_load_rlx(&p->messages) + 1); /* own; sysmon counts only */
}
/* p, which was taken, is m's. */
MO_INLINE void mo_p_give(mo_p *p, mo_m *m) {
    m->p = p;
    p->m = m;
}
/* Takes one if there is room; lock held. */
mo_p *mo_p_take_locked(void);
void mo_p_release_locked(mo_p *p);
void mo_global_put_locked(mo_g *head, mo_g *tail, uint32_t num);
mo_g *mo_global_get_locked(mo_p *p, bool is_empty);
uint64_t mo_sched_next_timer(void); /* 0: none */
void mo_sched_tick_coarse(uint64_t now_ns);
/* Goes from g0 to g. */
void mo_execute(mo_m *m, mo_g *g);
/* The one that ran on p for long is at a switch: the surplus goes. */
void mo_p_no_longer_long(mo_p *p);

#endif
