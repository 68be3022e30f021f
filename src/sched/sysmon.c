/* sysmon.c - the thread that watches the processors.
 *
 * From each 20 us, when there is something to do, to each 10 ms it sees to what nobody else can:
 *
 *   a declared system call of more than one look, while work waits: its processor goes to another
 *   machine
 *   a goroutine that has run for 10 ms without a switch: it keeps its thread, its cache and its
 *   processor, since C code cannot be switched at any instruction; one more processor may run
 *   meanwhile, and its queue is stolen from as ever
 *   work that stays in a queue while a processor is free, and timers while nobody sleeps for them
 *   how many processors are worth using (climb.h)
 *   the memory of stacks that have not been used for a while, also below those that wait
 *   all goroutines wait and nothing could end that: a deadlock
 *
 * Floor   sched. Upward calls through mo_sched_hooks.
 * Locks   sched lock, where it changes anything.
 * Order   [S] the state of a processor is changed from SYSCALL by exchange, by the machine that
 *         comes back or by us: who changes it has the processor.
 */
#include "sched/sysmon.h"

#include <stdio.h>

#include "sched/climb.h"
#include "sched/runtime_thread.h"
#include "sched/sched.h"
#include "sched/shrink.h"
#include "sys/os_mem.h"

enum {
    QUICK_LOOKS = 50, /* without result, then each doubles */
};
#define MIN_NS ((int64_t)20000)
#define MAX_NS ((int64_t)10000000)
#define LONG_NS ((uint64_t)10000000)
#define STUCK_NS ((uint64_t)50000)
#define FREE_MAX_NS ((int64_t)1000000) /* between looks while a processor is free */
#define DEEP_NS ((int64_t)1000000000)
#define DEAD_NS ((int64_t)10000000)
#define TRIM_NS ((uint64_t)250000000)

static mo_sched *const s = &mo_the_sched;
MO_GLOBAL mo_sched_hooks mo_sched_upward;

static MO_GLOBAL uint32_t is_started;
static MO_GLOBAL uint32_t kicks, is_deep; /* slept on; atomic */
static MO_GLOBAL uint32_t wants_dump;     /* atomic: by a signal handler */
static MO_GLOBAL uint64_t next_trim_ns, next_trace_ns;
static MO_GLOBAL size_t least_free; /* stacks, since the last trim */
static MO_GLOBAL mo_climb the_climb;

static void ask_look(void) {
    mo_add_seq(&kicks, 1); /* [D] */
    mo_futex_wake(&kicks, 1);
}

void mo_sysmon_kick(void) {
    if (mo_load_seq(&is_deep)) ask_look(); /* [D] pairs with [D] below */
}

void mo_sysmon_ask_dump(void) {
    mo_store_seq(&wants_dump, 1); /* [D] */
    ask_look();
}

void mo_sched_tick_coarse(uint64_t now_ns) {
    uint64_t begin_ns = mo_load_rlx(&s->begin_ns); /* constant through a run */
    mo_store_rlx(&s->coarse_ms, (uint32_t)((now_ns - begin_ns) / 1000000)); /* for reports */
}

static bool has_work(const mo_p *p) {
    return !mo_runq_is_empty(&p->runq) || mo_load_rlx(&s->num_global); /* a glance */
}

/* state: what it was at the last look. */
static bool retake(mo_p *p, uint32_t state) {
#if MO_MUTANT_retake_unasked
    bool ok = mo_load_acq(&p->state) == state; /* [S] */
    if (ok) mo_futex_wait(&(uint32_t){0}, 0, 30000);
    mo_lock_acquire(&s->lock);
    if (ok) mo_store_rlx(&p->state, MO_P_RUNNING); /* the error */
#else
    mo_lock_acquire(&s->lock); /* the caller's machine counts until it has had it, too */
    bool ok = mo_cas_acqrel(&p->state, &state, MO_P_RUNNING); /* [S] with sched.c [S] */
#endif
    bool is_new;
    mo_m *m = ok ? mo_machine_take_locked(p, false, &is_new) : NULL;
    mo_lock_release(&s->lock);
    if (m) mo_machine_go(m, is_new);
    return ok;
}

static bool note_long(mo_p *p) {
    mo_lock_acquire(&s->lock);
    bool is_it = mo_load_rlx(&p->state) == MO_P_RUNNING && !mo_load_rlx(&p->is_long); /* lock */
    if (is_it) {
        mo_store_rlx(&p->is_long, 1);                /* lock; its owner glances */
        mo_store_rlx(&s->num_long, s->num_long + 1); /* lock; others glance */
        mo_add_seq(&s->room, 1);                     /* [W] pairs with sched.c [W] */
    }
    mo_lock_release(&s->lock);
    if (is_it) mo_sched_wake();
    return is_it;
}

/* Whether anything was done that may be due again at once. */
static bool see_to(mo_p *p, uint64_t now) {
    uint32_t state = mo_load_acq(&p->state);                                   /* [S] */
    uint32_t tick = mo_load_rlx(&p->tick) + (mo_load_rlx(&p->sys_tick) << 16); /* a glance */
    if (state == MO_P_IDLE || tick != p->seen_tick || state != p->seen_state) {
        p->seen_tick = tick;
        p->seen_state = state;
        p->seen_ns = now;
        return false;
    }
    uint64_t ns = now - p->seen_ns;
    if (mo_p_kind(state) == MO_P_SYSCALL)
        return ns >= (uint64_t)MIN_NS && has_work(p) && retake(p, state);
    if (ns >= LONG_NS && !mo_load_rlx(&p->is_long)) return note_long(p); /* a glance */
    if (ns >= STUCK_NS && mo_load_rlx(&s->room) > 0 && has_work(p)) {    /* glances */
        mo_store_rlx(&p->calm_left, 0);                                  /* a hint */
        mo_sched_wake();
    }
    return false;
}

/* Stacks that nobody needed for a while are given back. To touch one anew costs as much as some
 * switches: what comes and goes within that time stays. */
static void trim(uint64_t now) {
    size_t num = mo_g_num_free();
    least_free = num < least_free ? num : least_free;
    if (now < next_trim_ns) return;
    next_trim_ns = now + TRIM_NS;
    if (least_free > 0 && mo_g_trim(least_free) > 0) mo_stack_release(SIZE_MAX);
    least_free = mo_g_num_free();
}

/* Processors that somebody has. */
static int32_t num_at_work(void) {
    int32_t most = mo_load_rlx(&s->max_procs) + (int32_t)mo_load_rlx(&s->num_long); /* glances */
    return most - mo_load_rlx(&s->held) - mo_load_rlx(&s->room);                    /* likewise */
}

static void climb(uint64_t now) {
    if (s->holds_none || !mo_climb_is_due(&the_climb, now)) return;
    int32_t busy = num_at_work();
    mo_climb_sample at = {.ns = now,
                          .switches = (uint32_t)mo_num_switches(),
                          .busy = busy > 0 ? (uint32_t)busy : 0,
                          .max = (uint32_t)mo_load_rlx(&s->max_procs)}; /* a glance */
    for (uint32_t i = 0, n = mo_load_acq(&s->num_ps); i < n; i++)       /* [P] */
        at.messages += mo_load_rlx(&s->p[i]->messages);                 /* a count */
    int32_t held = (int32_t)(at.max - mo_climb_step(&the_climb, &at));
    if (held != mo_load_rlx(&s->held)) mo_sched_hold(held); /* ours alone, but for resets */
}

static void trace(uint64_t now) {
    if (s->trace_ms == 0 || now < next_trace_ns) return;
    next_trace_ns = now + (uint64_t)s->trace_ms * 1000000;
    char queues[300];
    size_t len = 0;
    queues[0] = 0;
    int idle = 0;
    for (uint32_t i = 0, n = mo_load_acq(&s->num_ps); i < n; i++) { /* [P] */
        mo_p *p = s->p[i];
        idle += mo_load_rlx(&p->state) == MO_P_IDLE;                             /* a glance */
        uint32_t num = mo_load_rlx(&p->runq.tail) - mo_load_rlx(&p->runq.head) + /* a glance */
                       (mo_load_rlx(&p->runq.next) != NULL);                     /* likewise */
        if (len < sizeof queues - 16)
            len += (size_t)snprintf(queues + len, sizeof queues - len, i ? " %u" : "%u", num);
    }
    mo_print("SCHED %llums: gomaxprocs=%d heldprocs=%d idleprocs=%d threads=%u spinningthreads=%u "
             "idlethreads=%u runqueue=%u [%s] goroutines=%lld\n",
             (unsigned long long)((now - s->begin_ns) / 1000000), s->max_procs,
             mo_load_rlx(&s->held), idle,                              /* a glance */
             mo_load_rlx(&s->num_m), mo_load_rlx(&s->num_spinning),    /* glances */
             mo_load_rlx(&s->num_idle_m), mo_load_rlx(&s->num_global), /* glances */
             queues, (long long)mo_num_goroutine());
}

/* ---------------------------------------------------------------- all asleep */

static bool is_all_idle(void) {
    return num_at_work() <= 0 && !mo_load_rlx(&s->num_sys); /* a glance */
}

/* Threads that could make a goroutine ready, besides the one that began the run. */
static bool has_other_threads(void) {
    uint32_t num = 0;
    mo_lock_acquire(&mo_the_world.registry);
    for (const mo_thread *t = mo_the_world.threads; t; t = t->next)
        num += !mo_load_rlx(&t->is_library); /* a glance */
    mo_lock_release(&mo_the_world.registry);
    return num > 1;
}

static bool is_dead(void) {
    if (!mo_load_rlx(&s->is_on) || !is_all_idle() || mo_sched_next_timer())
        return false;                                                               /* glance */
    if (mo_load_rlx(&s->num_spinning) || mo_load_rlx(&s->num_global)) return false; /* same */
    for (uint32_t i = 0, n = mo_load_acq(&s->num_ps); i < n; i++)                   /* [P] */
        if (has_work(s->p[i])) return false;
    return !has_other_threads();
}

static void wait_kick(int64_t ns) {
    uint32_t seen = mo_load_seq(&kicks);                                             /* [D] */
    mo_store_seq(&is_deep, 1);                                                       /* [D] */
    if (is_all_idle() && !mo_load_seq(&wants_dump)) mo_futex_wait(&kicks, seen, ns); /* [D] */
    mo_store_seq(&is_deep, 0);                                                       /* [D] */
}

/* Nothing runs. */
static void sleep_deep(uint64_t now) {
    if (is_dead()) {
        uint64_t switches = mo_num_switches();
        wait_kick(DEAD_NS);
        bool is_same = mo_num_switches() == switches;
        if (is_same && is_dead() && mo_sched_upward.deadlock) mo_sched_upward.deadlock();
        return;
    }
    uint64_t timer = mo_sched_next_timer();
    int64_t ns = DEEP_NS;
    if (timer) ns = timer > now ? (int64_t)mo_min(timer - now, (uint64_t)DEEP_NS) : MIN_NS;
    if (s->trace_ms) ns = (int64_t)mo_min((uint64_t)ns, (uint64_t)s->trace_ms * 1000000);
    if (mo_g_num_free() > 0) ns = mo_min((uint64_t)ns, TRIM_NS);
    wait_kick(ns);
}

static void *sysmon_main(void *arg) {
    mo_runtime_thread_name("mound-sysmon");
    (void)arg;
    int64_t delay = MIN_NS;
    int looks = 0;
    for (;;) {
        if (!mo_load_acq(&s->is_on)) {           /* [Y] set by sched.c under its lock [Y] */
            uint32_t seen = mo_load_seq(&kicks); /* [D] */
            if (mo_g_num_free() > 0) trim(mo_clock_ns());
            if (!mo_load_acq(&s->is_on)) mo_futex_wait(&kicks, seen, MAX_NS * 10); /* [Y] */
            continue;
        }
        uint32_t seen = mo_load_seq(&kicks); /* [D] */
        mo_futex_wait(&kicks, seen, delay);
        uint64_t now = mo_clock_ns();
        mo_sched_tick_coarse(now);
        if (mo_xchg_acqrel(&wants_dump, 0) && mo_sched_upward.dump)
            mo_sched_upward.dump(); /* [D] */
        bool did = false;
        for (uint32_t i = 0, n = mo_load_acq(&s->num_ps); i < n; i++)
            did |= see_to(s->p[i], now); /* [P] */
        uint64_t timer = mo_sched_next_timer();
        if (timer && timer + (uint64_t)MIN_NS < now && mo_load_rlx(&s->room) > 0) { /* a glance */
            mo_sched_wake();
            did = true;
        }
        climb(now);
        trim(now);
        mo_shrink_some(now);
        trace(now);
        if (is_all_idle()) {
            sleep_deep(now);
            did = true;
        }
        looks = did ? 0 : looks + 1;
        if (did) delay = MIN_NS;
        if (looks > QUICK_LOOKS) {
            int64_t max = mo_load_rlx(&s->room) > 0 ? FREE_MAX_NS : MAX_NS; /* a glance */
            max = (int64_t)mo_min((uint64_t)max, (uint64_t)mo_climb_delay_ns(&the_climb));
            delay = delay * 2 > max ? max : delay * 2;
        }
    }
    return NULL;
}

void mo_sysmon_start_once(void) {
    uint32_t no = 0;
    ask_look();
    if (mo_load_rlx(&is_started) || !mo_cas_acqrel(&is_started, &no, 1)) return; /* [Q] once [Q] */
    least_free = SIZE_MAX;
    if (!mo_runtime_thread_start(MO_SERVICE_STACK_BYTES, sysmon_main, NULL))
        mo_fatal("cannot start a thread to watch the goroutines; raise the limit (ulimit -u)");
}

void mo_sysmon_after_fork(void) {
    mo_store_rlx(&is_started, 0);                       /* the child is alone */
    if (mo_load_rlx(&s->is_on)) mo_sysmon_start_once(); /* alone */
}
