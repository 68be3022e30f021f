/* time.c - sleep, timers with a channel or a function.
 *
 * A timer's record is in its object of the collected heap; while it is on, the set of timers refers
 * to it, and that is a root.
 *
 * Floor   types.
 * Locks   the object's own spin lock, then the set's in timers.c or the channel's in chan.c. What
 *         fires and what stops the same timer at the same time is put in order by the object's:
 *         after a stop or a reset the channel is empty, and what is about to fire finds itself off
 *         or not yet due.
 */
#include <errno.h>
#include <time.h>

#include "gc/malloc.h"
#include "gc/start.h"
#include "sys/spin.h"
#include "types/chan.h"
#include "types/misuse.h"

struct mound_timer {
    mo_timer timer;
    uint32_t lock; /* spin */
    bool is_on;    /* lock */
    /* lock: goes off at due_ns or later, or it is a firing of before; period_ns 0: once */
    uint64_t due_ns, period_ns;
    mound_chan *chan;
    void (*fn)(void *arg); /* chan is NULL */
    void *arg;
    bool is_ticker;
};

enum { NS_PER_S = 1000000000 };

int64_t mound_now_ns(void) { return (int64_t)mo_clock_ns(); }

/* Saturates: three hundred years. */
static uint64_t when(int64_t ns) {
    uint64_t now = mo_clock_ns();
    return ns <= 0 ? now : (uint64_t)ns > INT64_MAX - now ? INT64_MAX : now + (uint64_t)ns;
}

static void no_memory(void) { mo_fatal("memory exhausted: no room for a timer; raise the limit"); }

/* ---------------------------------------------------------------- sleep */

typedef struct sleeper {
    mo_timer timer;
    uint64_t when_ns;
} sleeper;

static void wake_sleeper(mo_thread *t, void *g) { mo_ready_last(t, g); }

/* Only now may it go off. */
static void start_timer(void *arg) {
    sleeper *s = arg;
    mo_timer *timer = &s->timer;
    uint64_t when_ns = s->when_ns;
    bool ok;
    mo_timer_start(timer, NULL, when_ns, 0, &ok); /* s may be gone */
    if (!ok) no_memory();
    mo_sched_timer_added(mo_self, when_ns);
}

static void sleep_thread(int64_t ns) {
    struct timespec ts = {ns / NS_PER_S, ns % NS_PER_S};
    int saved = errno;
    while (nanosleep(&ts, &ts) != 0 && errno == EINTR) continue;
    errno = saved;
}

void mound_sleep(int64_t ns) {
    mo_thread *t = mo_start_current();
    if (ns <= 0) {
        mound_gosched();
    } else if (!t->g) {
        sleep_thread(ns);
    } else {
        mo_runtime_enter(t);
        sleeper s = {.when_ns = when(ns)};
        s.timer.fire = wake_sleeper;
        s.timer.arg = t->g;
        s.timer.set = mo_sched_timers(t);
        mo_park(t, MO_WAIT_SLEEP, NULL, start_timer, &s);
        mo_runtime_leave(mo_thread_now());
    }
}

/* ---------------------------------------------------------------- timers */

static void fire(mo_thread *t, void *arg) {
    mound_timer *timer = arg;
    mo_g *ready = NULL;
    void (*fn)(void *arg) = NULL;
    void *fn_arg = NULL;
    uint64_t now_ns = mo_clock_ns();
    mo_spin_lock(&timer->lock);
    /* The set's lock is not held: it may have been reset since it was found due. */
    bool is_due = now_ns >= timer->due_ns;
#if MO_MUTANT_timer_fires_stale
    is_due = true;
#endif
    if (timer->is_on && is_due) {
        uint64_t period = timer->period_ns;
        timer->is_on = period != 0;
        if (period) timer->due_ns += period * (1 + (now_ns - timer->due_ns) / period);
        fn = timer->fn;
        fn_arg = timer->arg;
        if (timer->chan) {
            mo_spin_lock(&timer->chan->lock);
            mo_chan_try_send_locked(timer->chan, &now_ns, &ready);
            mo_spin_unlock(&timer->chan->lock);
        }
    }
    mo_spin_unlock(&timer->lock);
    if (ready) mo_ready_last(t, ready);
    mo_go_options o = {.name = "after_func"};
    if (fn && mo_load_rlx(&mo_the_sched.is_on) && mo_go(t, &o, fn, fn_arg) != 0) /* a glance */
        no_memory();
}

static void drain(mound_chan *c) {
    if (!c) return;
    int64_t old;
    mo_g *ready = NULL;
    mo_spin_lock(&c->lock);
    if (c->len > 0) mo_chan_try_recv_locked(c, &old, &ready);
    mo_spin_unlock(&c->lock);
}

/* on: also start it, to go off after ns. Was it on? */
static int restart(mound_timer *timer, bool on, int64_t ns) {
    mo_thread *t = mo_start_current();
    bool ok = true;
    uint64_t due_ns = when(ns);
    mo_runtime_enter(t);
    mo_timers *set = mo_sched_timers(t);
    if (on && !set) {
        mo_runtime_leave(t);
        mo_misuse("a timer needs a run: call mound_run first");
    }
    mo_spin_lock(&timer->lock);
    bool was_on = timer->is_on;
    drain(timer->chan);
    if (on) {
        timer->due_ns = due_ns;
        timer->period_ns = timer->is_ticker ? (uint64_t)ns : 0;
        mo_timer_start(&timer->timer, set, due_ns, timer->period_ns, &ok);
    } else {
        mo_timer_stop(&timer->timer);
    }
    timer->is_on = on;
    mo_spin_unlock(&timer->lock);
    if (on && ok) mo_sched_timer_added(t, due_ns);
    mo_runtime_leave(t);
    if (!ok) no_memory();
    return was_on;
}

static mound_timer *make(mound_chan *chan, bool is_ticker, void (*fn)(void *arg), void *arg) {
    mound_timer *timer = mound_new(mound_timer);
    timer->timer.fire = fire;
    timer->timer.arg = timer;
    timer->chan = chan;
    timer->is_ticker = is_ticker;
    timer->fn = fn;
    timer->arg = arg;
    return timer;
}

static mound_chan *time_chan(void) { return mound_chan_new(sizeof(int64_t), 1, MOUND_ELEM_NOSCAN); }

mound_timer *mound_timer_new(int64_t ns) {
    mound_timer *timer = make(time_chan(), false, NULL, NULL);
    restart(timer, true, ns);
    return timer;
}

mound_timer *mound_ticker_new(int64_t ns) {
    if (ns <= 0) mo_misuse("mound_ticker_new(%lld): the period must be positive", (long long)ns);
    mound_timer *timer = make(time_chan(), true, NULL, NULL);
    restart(timer, true, ns);
    return timer;
}

mound_timer *mound_after_func(int64_t ns, void (*fn)(void *arg), void *arg) {
    if (!fn) mo_misuse("mound_after_func: pass a function");
    mound_timer *timer = make(NULL, false, fn, arg);
    restart(timer, true, ns);
    return timer;
}

mound_time_chan mound_timer_chan(mound_timer *timer) {
    return (mound_time_chan)(void *)timer->chan;
}

mound_time_chan mound_after(int64_t ns) { return mound_timer_chan(mound_timer_new(ns)); }

int mound_timer_stop(mound_timer *timer) { return restart(timer, false, 0); }

int mound_timer_reset(mound_timer *timer, int64_t ns) {
    if (timer->is_ticker && ns <= 0)
        mo_misuse("mound_timer_reset(%lld): a ticker's period must be positive", (long long)ns);
    return restart(timer, true, ns);
}
