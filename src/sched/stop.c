/* stop.c - stopping all threads, and letting them run again.
 *
 * The collector sets `stopping`, then asks every thread: those that are BLOCKED count as
 * stopped, the others get a signal. A thread acknowledges by counting `pending` down, either in
 * its handler (user code), or when it leaves the runtime, or in its handler while BLOCKED.
 *
 * Orders and the order of steps:
 *   [B] the owner stores state, then loads stopping; [D] the collector stores stopping, then
 *       loads state. Sequentially consistent on both sides: either the collector sees BLOCKED,
 *       or the owner sees stopping and parks. Without it a thread could leave a system call
 *       unseen while the collector counts it as stopped.
 *   [K] acknowledging (release) pairs with [W], the collector's wait (acquire): it sees sp,
 *       registers and the cache as the owner left them.
 *   [R] starting (release) pairs with [P], the parked threads' wait (acquire): they see what
 *       the collector changed.
 * Each thread is counted once per stop, by whoever exchanges its stop_seq: a late second signal
 * changes nothing, nor do owner and collector that count a blocked thread at the same time.
 * `stopping` is the stop's number: a thread that saw the last stop in it and goes on only in the
 * next one must not be counted for that one before `pending` is set.
 *
 * Floor   sched.
 * Locks   the registry lock from the stop to the start, so no thread comes or goes.
 * Fails   if the program took over the signal: one line that says so, exit 2.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "sched/interpose.h"
#include "sched/registry.h"
#include "sched/thread.h"
#include "sched/tsan.h"

enum {
    SLOW_NS = MO_TSAN ? 1000000 : 10000000, /* under TSan threads must be asked again: tsan.c */
    SAY_AFTER_SLOW = 1000, /* that many times as long, and who does not stop is named in any case */
    SAY_AGAIN = 4,         /* each time after so many times as long */
    SPINS = 2000,
    CLEAR_BYTES = 8192,
    FRAME_BYTES = 16 << 10, /* more than a signal frame and the frames of who passed it on */
};

static MO_GLOBAL struct sigaction previous_action;

/* Whoever changes stop_seq counts: the owner, or the collector for a thread that is blocked.
 * stop is what the caller saw in stopping: it may be over by now and t counted in a later one. */
static void acknowledge(mo_thread *t, uint32_t stop) {
    mo_world *w = &mo_the_world;
    uint32_t last = mo_load_rlx(&t->stop_seq); /* the exchange decides */
    do
        if ((int32_t)(stop - last) <= 0) return;
    while (!mo_cas_acqrel(&t->stop_seq, &last, stop)); /* [K] once per stop */
    mo_tsan_release(&w->pending);
    if (mo_sub_acqrel(&w->pending, 1) == 0) mo_futex_wake(&w->pending, 1); /* [K] */
}

/* A thread was kept from running for that long. mound.h has the bounds of the buckets. */
static void count_stop(uint64_t ns) {
    uint64_t us = ns / 1000, i = us;
    if (us >= 4) {
        unsigned log = 63 - (unsigned)__builtin_clzll(us);
        i = 4 * (log - 1) + (us >> (log - 2) & 3);
    }
    if (i >= MO_STOP_BUCKETS) i = MO_STOP_BUCKETS - 1;
    mo_add_rlx(&mo_the_world.stop_hist[i], 1); /* statistics */
}

static void wait_for_start(mo_thread *t) {
    mo_world *w = &mo_the_world;
    uint32_t stop;
    uint64_t begin = mo_clock_ns();
    bool has_waited = false;
    while ((stop = mo_load_acq(&w->stopping)) != 0) { /* [P] */
        acknowledge(t, stop); /* a further stop may have begun before we woke */
        mo_futex_wait(&w->stopping, stop, -1);
        has_waited = true;
    }
    mo_tsan_acquire(&w->stopping);
    if (has_waited) count_stop(mo_clock_ns() - begin);
}

static void park_published(mo_thread *t, void *arg) {
    (void)arg;
    wait_for_start(t);
}

/* The context says where the thread is now. Not so if somebody took the signal in our place and
 * calls us later with a copy, as the runtimes of some sanitizers do. */
static bool is_current(const void *context) {
    return (uintptr_t)context - mo_cpu_sp() < FRAME_BYTES;
}

/* The signal is not ours: the handler from before gets it, under the mask it was installed with. */
static void call_previous(int sig, siginfo_t *info, void *context) {
    bool has_info = previous_action.sa_flags & SA_SIGINFO;
    if (!has_info &&
        (previous_action.sa_handler == SIG_DFL || previous_action.sa_handler == SIG_IGN))
        return;
    sigset_t mask, all;
    sigorset(&mask, &((const ucontext_t *)context)->uc_sigmask, &previous_action.sa_mask);
    sigaddset(&mask, sig);
    mo_real_pthread_sigmask(SIG_SETMASK, &mask, &all);
    if (has_info)
        previous_action.sa_sigaction(sig, info, context);
    else
        previous_action.sa_handler(sig);
    mo_real_pthread_sigmask(SIG_SETMASK, &all, NULL);
}

static void on_stop_signal(int sig, siginfo_t *info, void *context) {
    mo_thread *t = mo_self;
    uint32_t stop = mo_load_acq(&mo_the_world.stopping); /* [P] */
    if (stop == 0) {
        call_previous(sig, info, context);
        return;
    }
    if (!mo_is_registered(t)) return;
    int saved = errno;
    if (mo_load_rlx(&t->state) == MO_BLOCKED) { /* own word */
        acknowledge(t, stop);
#if MO_MUTANT_stop_ignores_runtime
    } else {
#else
    } else if (t->in_runtime == 0) {
#endif
#if MO_MUTANT_stop_acknowledges_early
        acknowledge(t, stop);
        for (int i = 0; i < 20000; i++) mo_cpu_pause();
#endif
        if (MO_UNLIKELY(!is_current(context))) {
            /* A call like any other: as if it parked itself, unless it is parked already and called
             * from there. */
            if (mo_load_rlx(&t->stop_seq) != stop) /* only it changes that now */
                mo_thread_publish(t, park_published, NULL);
            errno = saved;
            return;
        }
        t->context = context;
#if MO_MUTANT_stop_forgets_red_zone
        t->sp = mo_cpu_context_sp(context) + 64;
#else
        t->sp = mo_cpu_context_sp(context) - MO_RED_ZONE_BYTES;
#endif
        wait_for_start(t);
        t->context = NULL;
    }
    errno = saved;
}

/* The program's own handlers wait until the thread runs again: run now, they would move pointers
 * under the collector's eyes, and what they hold would stand below the end of what is scanned. */
void mo_signals_hold(sigset_t *before) {
    sigset_t set;
    sigfillset(&set);
    sigdelset(&set, mo_the_world.signal);
    mo_real_pthread_sigmask(SIG_BLOCK, &set, before);
}

void mo_signals_release(const sigset_t *before) {
    mo_real_pthread_sigmask(SIG_SETMASK, before, NULL);
}

void mo_thread_park(mo_thread *t) {
    int saved = errno;
    sigset_t before;
    t->in_runtime++; /* the handler must not publish over what we publish */
    mo_signal_fence();
#if !MO_MUTANT_park_runs_handlers
    mo_signals_hold(&before);
#endif
    while (mo_load_acq(&mo_the_world.stopping)) /* [P] */
        mo_thread_publish(t, park_published, NULL);
    mo_signal_fence();
    t->in_runtime--;
    mo_signal_fence();
#if !MO_MUTANT_park_runs_handlers
    mo_signals_release(&before);
#endif
    errno = saved;
    /* A stop that began between the loop's last look and the decrement was left to us. */
    if (t->in_runtime == 0 && MO_UNLIKELY(mo_load_rlx(&mo_the_world.stopping)))
        mo_thread_park(t); /* own handler */
}

MO_NOINLINE void mo_thread_publish(mo_thread *t, void (*fn)(mo_thread *t, void *arg), void *arg) {
    mo_cpu_save_regs(&t->regs);
    t->sp = mo_cpu_sp();
    fn(t, arg);
    __asm__ volatile("" : : : "memory"); /* no tail call: our frame bounds what is scanned */
}

void mo_thread_block_published(mo_thread *t) {
#if MO_MUTANT_block_forgets_registers
    memset(&t->regs, 0, sizeof t->regs);
#endif
    mo_store_seq(&t->state, MO_BLOCKED); /* [B] */
    /* The signal of a stop that is running may have come while we were in the runtime: then the
     * handler left it to us, and the collector did not see us blocked. */
    uint32_t stop = mo_load_seq(&mo_the_world.stopping); /* [B] */
    if (MO_UNLIKELY(stop != 0)) acknowledge(t, stop);
}

/* If a stop runs, what block_begin published counts, and may be read at this moment: our caller's
 * frame is as it was, so we wait without publishing anew. */
void mo_thread_block_end(mo_thread *t) {
#if MO_MUTANT_block_end_unseen
    mo_store_rlx(&t->state, MO_RUNNING);
    return;
#endif
    mo_store_seq(&t->state, MO_RUNNING);                                          /* [B] */
    if (MO_UNLIKELY(mo_load_seq(&mo_the_world.stopping) != 0)) wait_for_start(t); /* [B] */
}

/* What the caller published for a scan of its own (mo_thread_publish_here) stays: the frames of
 * this wait are gone when it collects, and with them the registers saved in them. */
bool mo_lock_acquire_blocking_timed(mo_thread *t, mo_lock *l, int64_t timeout_ns) {
    if (mo_lock_try(l)) return true;
    mo_cpu_regs regs = t->regs;
    uintptr_t sp = t->sp;
    mo_lock_rank_enter(l); /* before the wait: against its own rank it would never end */
    sigset_t before;
#if !MO_MUTANT_lock_wait_runs_handlers
    mo_signals_hold(&before);
#endif
    mo_thread_block_begin(t);
    bool ok = mo_lock_slow_timed(l, timeout_ns);
    mo_thread_block_end(t);
#if !MO_MUTANT_lock_wait_runs_handlers
    mo_signals_release(&before);
#endif
    if (!ok) mo_lock_rank_leave(l);
    t->regs = regs;
    t->sp = sp;
    return ok;
}

/* Without publishing anew: what the runtime's frames hold is not scanned. */
void mo_thread_wait(mo_thread *t, uint32_t *word, uint32_t expected, int64_t timeout_ns) {
    sigset_t before;
    mo_signals_hold(&before);
    mo_thread_block_published(t);
    mo_futex_wait(word, expected, timeout_ns);
    mo_thread_block_end(t);
    mo_signals_release(&before);
}

void mo_lock_acquire_blocking(mo_thread *t, mo_lock *l) {
    mo_lock_acquire_blocking_timed(t, l, -1);
}

/* The program may have replaced our handler since start: then nobody would ever answer. */
static void check_handler(void) {
#if MO_TSAN
    bool is_ours = mo_tsan_has_signal(mo_the_world.signal);
#else
    struct sigaction now;
    sigaction(mo_the_world.signal, NULL, &now);
    bool is_ours = (now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_stop_signal;
#endif
    if (!is_ours)
        mo_fatal("the program installed its own handler for signal %d, which mound needs to stop "
                 "threads; "
                 "set MOUND_SIGNAL to a signal the program does not use",
                 mo_the_world.signal);
}

static void ask(mo_thread *t) {
    mo_world *w = &mo_the_world;
    if (mo_load_seq(&t->state) == MO_BLOCKED) { /* [D] pairs with [B] */
        acknowledge(t, w->seq);
    } else if (mo_sys_tgkill(t->tid, w->signal) == -ESRCH) {
        acknowledge(t, w->seq);
        mo_thread_reap_locked(
            t); /* it ended without leaving: after the last round of destructors */
    }
}

/* A thread that registered again in libc's very last destructor ends without leaving; if it had
 * blocked all signals for that when ours came, nobody answers. */
static void reap_gone_threads(void) {
    mo_world *w = &mo_the_world;
    for (mo_thread *t = w->threads, *next; t; t = next) {
        next = t->next;
        int probe = MO_TSAN ? w->signal : 0; /* see tsan.c */
        /* [W] pairs with [K] */
        if (mo_load_acq(&t->stop_seq) == w->seq || mo_sys_tgkill(t->tid, probe) != -ESRCH) continue;
        acknowledge(t, w->seq);
        mo_thread_reap_locked(t);
    }
}

static void name_slow_threads(uint64_t since) {
    mo_world *w = &mo_the_world;
    for (mo_thread *t = w->threads; t; t = t->next)
        if (mo_load_rlx(&t->stop_seq) != w->seq) /* a moment's value, for a message */
            mo_print(
                "mound: thread %d has not stopped for %llu ms, all others wait (signal %d blocked, "
                "in vfork, or held by a debugger?)\n",
                t->tid, (unsigned long long)((mo_clock_ns() - since) / 1000000), w->signal);
}

void mo_world_stop(mo_thread *self) {
    mo_world *w = &mo_the_world;
    mo_lock_acquire_blocking(self, &w->registry);
    check_handler();
#if !MO_MUTANT_collector_runs_handlers
    mo_signals_hold(&w->held);
#endif
    uint64_t since = mo_clock_ns();
    w->seq += w->seq == UINT32_MAX ? 2 : 1;
    mo_store_rlx(&w->pending, w->num_threads); /* published by the store of stopping; we count
                                                  ourselves when all are asked */
    mo_store_rlx(&self->stop_seq, w->seq);     /* own word */
    mo_store_seq(&w->stopping, w->seq);        /* [D] */
#if !MO_MUTANT_stop_skips_one
    for (mo_thread *t = w->threads, *next; t; t = next) {
#else
    for (mo_thread *t = w->threads ? w->threads->next : NULL, *next; t; t = next) {
#endif
        next = t->next;
        if (t != self) ask(t);
    }
    if (mo_sub_acqrel(&w->pending, 1) == 0) return; /* [W] pairs with [K] */
    for (int i = 0; i < SPINS; i++) {
        if (mo_load_acq(&w->pending) == 0) return; /* [W] */
        mo_cpu_pause();
    }
    uint32_t left;
    uint64_t say_ns = (uint64_t)SLOW_NS * (w->trace_slow ? 1 : SAY_AFTER_SLOW);
    while ((left = mo_load_acq(&w->pending)) != 0) { /* [W] */
        mo_futex_wait(&w->pending, left, SLOW_NS);
        uint64_t waited = mo_clock_ns() - since;
        if (waited <= SLOW_NS || mo_load_acq(&w->pending) == 0) continue; /* [W] */
        reap_gone_threads();
        if (waited < say_ns) continue;
        say_ns = waited * SAY_AGAIN;
        name_slow_threads(since);
    }
}

void mo_world_start(void) {
    mo_world *w = &mo_the_world;
    mo_store_rel(&w->stopping, 0); /* [R] pairs with [P] */
    if (w->num_threads > 1) mo_futex_wake(&w->stopping, INT_MAX);
    sigset_t held = w->held;
    mo_lock_release(&w->registry);
#if !MO_MUTANT_collector_runs_handlers
    mo_signals_release(&held);
#else
    (void)held;
#endif
}

MO_NOINLINE void mo_thread_clear_stack(void) {
    char dead[CLEAR_BYTES];
    memset(dead, 0, sizeof dead);
    __asm__ volatile("" : : "r"(dead) : "memory");
}

#if MO_VARIETY >= 2
static bool is_safe_to_lock(void) { return !mo_is_registered(mo_self) || mo_self->in_runtime > 0; }
#endif

int mo_threads_init(int sig) {
    mo_world *w = &mo_the_world;
#if MO_VARIETY >= 2
    mo_lock_is_safe = is_safe_to_lock;
#endif
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_stop_signal;
    action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
#if !MO_MUTANT_stop_runs_handlers
    sigfillset(&action.sa_mask); /* see mo_signals_hold */
#endif
    struct sigaction before;
    if (sigaction(sig, &action, &before) != 0) return -EINVAL;
    /* A start that failed later left our handler in place. */
    if (before.sa_sigaction != on_stop_signal) previous_action = before;
#if MO_TSAN
    mo_tsan_take_signal(sig, on_stop_signal);
#endif
    mo_store_rlx(&w->signal, sig); /* read without order by interpose.c only */
    return 0;
}
