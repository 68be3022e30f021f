/* climb.c - see climb.h. Floor sched.
 *
 * Messages count as work only where there is little else: one each FINE_NS at least, and a switch
 * of each processor each SWITCH_NS. A goroutine that computes between its messages for longer would
 * be kept waiting by others, and the count would not show it. As soon as a window is not so all
 * processors are let go.
 */
#include "sched/climb.h"

#define FINE_NS 500
#define SWITCH_NS 200000
#define GAIN 1.1  /* less is noise */
#define SHIFT 1.3 /* more is another program */
#define SETTLE_NS ((uint64_t)1000000)
#define WINDOW_NS ((uint64_t)2000000)
#define MIN_PERIOD_NS ((uint64_t)32000000)
#define MAX_PERIOD_NS ((uint64_t)512000000)

static uint64_t window_ns(const mo_climb *c) {
    return c->phase == MO_CLIMB_SETTLE ? SETTLE_NS : WINDOW_NS;
}

bool mo_climb_is_due(const mo_climb *c, uint64_t now_ns) {
    return now_ns - c->since.ns >= window_ns(c);
}

int64_t mo_climb_delay_ns(const mo_climb *c) {
    bool is_quiet = c->phase == MO_CLIMB_WATCH && c->allowed == 0;
    return is_quiet ? INT64_MAX : (int64_t)window_ns(c);
}

static void begin(mo_climb *c, mo_climb_phase phase, const mo_climb_sample *at) {
    c->phase = phase;
    c->since = *at;
}

static void wait_for_next(mo_climb *c, const mo_climb_sample *at, uint64_t period_ns) {
    c->period_ns = period_ns;
    c->next_try_ns = at->ns + period_ns;
    begin(c, MO_CLIMB_WATCH, at);
}

static void try_other(mo_climb *c, const mo_climb_sample *at, double rate) {
    uint32_t now = c->allowed ? c->allowed : at->max;
    uint32_t most = at->busy < now ? at->busy : now;
    if (now == at->max) c->is_up = false;
    if (now == 1) c->is_up = true;
    uint32_t other = c->is_up ? now * 2 : most / 2;
    if (other == 0) { /* one is at work, or none */
        begin(c, MO_CLIMB_WATCH, at);
        return;
    }
    c->allowed_before = c->allowed;
    c->rate_before = rate;
    c->allowed = other < at->max ? other : 0;
    begin(c, MO_CLIMB_SETTLE, at);
}

static void end_try(mo_climb *c, const mo_climb_sample *at, double rate) {
#if MO_MUTANT_climb_keeps_worse
    bool is_better = true; /* the error */
#else
    bool is_better = rate >= c->rate_before * GAIN;
#endif
    if (is_better) {
        c->rate_before = rate;
        wait_for_next(c, at, MIN_PERIOD_NS);
        return;
    }
    c->allowed = c->allowed_before;
    c->is_up = !c->is_up;
    uint64_t period = c->period_ns * 2;
    wait_for_next(c, at, period < MAX_PERIOD_NS ? period : MAX_PERIOD_NS);
}

/* What was found to be best may not be so any more. */
static bool has_shifted(const mo_climb *c, double rate) {
    return rate > c->rate_before * SHIFT || rate * SHIFT < c->rate_before;
}

uint32_t mo_climb_step(mo_climb *c, const mo_climb_sample *at) {
    if (at->max > 1 && mo_climb_is_due(c, at->ns)) {
        uint64_t ns = at->ns - c->since.ns;
        uint64_t messages = at->messages - c->since.messages;
        uint64_t switches = (uint32_t)(at->switches - c->since.switches);
        double rate = (double)messages / (double)ns;
#if MO_MUTANT_climb_ignores_computing
        switches = ns; /* the error */
#endif
        bool is_fine = messages * FINE_NS >= ns && switches * SWITCH_NS >= ns * at->busy;
        if (!is_fine) {
            c->allowed = 0;
            c->is_up = false;
            wait_for_next(c, at, MIN_PERIOD_NS);
        } else if (c->phase == MO_CLIMB_SETTLE) {
            begin(c, MO_CLIMB_TRY, at);
        } else if (c->phase == MO_CLIMB_TRY) {
            end_try(c, at, rate);
        } else if (at->ns >= c->next_try_ns) {
            try_other(c, at, rate);
        } else if (has_shifted(c, rate)) {
            c->rate_before = rate;
            wait_for_next(c, at, MIN_PERIOD_NS);
        } else {
            begin(c, MO_CLIMB_WATCH, at);
        }
    }
    return c->allowed && c->allowed < at->max ? c->allowed : at->max;
}
