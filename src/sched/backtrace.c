/* backtrace.c - see backtrace.h. Floor sched.
 *
 * The calls of a goroutine that waits are found from inside: a function is called on its stack,
 * below what it has there, as if from the place where it left (mo_context_visit), and asks the
 * unwinder where it is.
 */
#include "sched/backtrace.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <stdio.h>
#include <unistd.h>

#include "sched/sched.h"
#include "sys/os_mem.h"

#ifndef MO_UCONTEXT
#define MO_UCONTEXT 0
#endif

enum {
    MAX_FRAMES = 32,
    SKIP_FRAMES = 2, /* our own */
    MAX_RECORDS = 10000,
};

void mo_backtrace_name(const void *code, char *text, size_t len) {
    Dl_info info;
    if (dladdr(code, &info) && info.dli_sname)
        snprintf(text, len, "%s+%#zx", info.dli_sname,
                 (size_t)((const char *)code - (const char *)info.dli_saddr));
    else if (dladdr(code, &info) && info.dli_fname)
        snprintf(text, len, "%s(+%#zx)", info.dli_fname,
                 (size_t)((const char *)code - (const char *)info.dli_fbase));
    else
        snprintf(text, len, "%p", code);
}

static void print_frames(int skip) {
    void *frame[MAX_FRAMES];
    char name[300];
    int num = backtrace(frame, MAX_FRAMES);
    for (int i = skip; i < num; i++) {
        mo_backtrace_name(frame[i], name, sizeof name);
        mo_print("    %s\n", name);
    }
}

void mo_backtrace_here(void) { print_frames(2); }

static const char *const reasons[MO_WAIT_COUNT] = {
    [MO_WAIT_NONE] = "waiting",
    [MO_WAIT_CHAN_SEND] = "chan send",
    [MO_WAIT_CHAN_RECV] = "chan receive",
    [MO_WAIT_NIL_CHAN] = "NULL chan",
    [MO_WAIT_SELECT] = "select",
    [MO_WAIT_EMPTY_SELECT] = "select (no cases)",
    [MO_WAIT_SLEEP] = "sleep",
    [MO_WAIT_MUTEX] = "mutex",
    [MO_WAIT_RWMUTEX_R] = "rwmutex rlock",
    [MO_WAIT_RWMUTEX_W] = "rwmutex lock",
    [MO_WAIT_WAITGROUP] = "waitgroup",
    [MO_WAIT_COND] = "cond",
    [MO_WAIT_ONCE] = "once",
};

static const char *state_text(const mo_g *g, mo_g_state state) {
    if (state == MO_G_RUNNABLE) return "runnable";
    if (state == MO_G_RUNNING) return "running";
    uint32_t reason = mo_load_rlx(&g->reason); /* it does not run */
    return reasons[reason < MO_WAIT_COUNT ? reason : MO_WAIT_NONE];
}

/* What is known of one, taken while everybody stands: names are looked up later, since the loader's
 * lock may be held by a thread that stands. */
typedef struct record {
    uint64_t id, creator;
    const char *name, *state;
    const void *object, *created_at;
    uint32_t waits_ms;
    bool is_waiting, is_running, is_locked;
    int num_frames;
    void *frame[MAX_FRAMES];
} record;

struct mo_goroutines {
    uint64_t num, num_left_out;
    record item[MAX_RECORDS];
};

static void take_frames(void *arg) {
    record *r = arg;
    r->num_frames = backtrace(r->frame, MAX_FRAMES);
}

static void take_own(record *r) { take_frames(r); }

static void take(record *r, mo_g *g, const mo_g *self) {
    mo_g_state state = (mo_g_state)mo_load_rlx(&g->state); /* all stand */
    r->id = g->id;
    r->creator = g->creator;
    r->name = g->name;
    r->state = state_text(g, state);
    r->created_at = g->created_at;
    r->is_locked = g->locked_to != NULL;
    r->is_waiting = state == MO_G_WAITING;
    r->is_running = state == MO_G_RUNNING;
    r->object = r->is_waiting ? mo_load_rlx(&g->waits_for) : NULL; /* all stand */
    r->waits_ms = mo_load_rlx(&mo_the_sched.coarse_ms) - mo_load_rlx(&g->waits_since_ms); /* same */
    if ((int32_t)r->waits_ms < 0) r->waits_ms = 0; /* the clock is a coarse one */
    r->num_frames = 0;
    if (g == self)
        take_own(r);
    else if (!r->is_running && !MO_UCONTEXT)
        mo_context_visit(&g->context, take_frames, r);
}

mo_goroutines *mo_goroutines_new(void) {
    void *frame[1];
    backtrace(frame, 1); /* it loads the unwinder once, which takes locks */
    return mo_os_map(sizeof(mo_goroutines), "mound goroutine dump");
}

void mo_goroutines_take(mo_goroutines *all, const mo_g *self) {
    uint32_t epoch = mo_load_rlx(&mo_the_sched.epoch); /* all stand */
    for (uint64_t i = 0, n = mo_g_count(); i < n; i++) {
        mo_g *g = mo_g_at(i);
        if (g->is_thread || g->epoch != epoch) continue;
        if (mo_load_rlx(&g->state) == MO_G_DEAD) continue; /* all stand */
        if (all->num < MAX_RECORDS)
            take(&all->item[all->num++], g, self);
        else
            all->num_left_out++;
    }
}

static void print(const record *r) {
    char what[64] = "", age[32] = "", name[300];
    if (r->object) snprintf(what, sizeof what, " %p", r->object);
    if (r->is_waiting && r->waits_ms >= 60000)
        snprintf(age, sizeof age, ", %u minutes", r->waits_ms / 60000);
    else if (r->is_waiting)
        snprintf(age, sizeof age, ", %u ms", r->waits_ms);
    mo_print("\ngoroutine %llu%s%s%s [%s%s%s%s]:\n", (unsigned long long)r->id, r->name ? " (" : "",
             r->name ? r->name : "", r->name ? ")" : "", r->state, what, age,
             r->is_locked ? ", locked to thread" : "");
    if (r->is_running && r->num_frames == 0)
        mo_print("    (runs in another thread: its calls are not known)\n");
    for (int i = SKIP_FRAMES; i < r->num_frames; i++) {
        mo_backtrace_name(r->frame[i], name, sizeof name);
        mo_print("    %s\n", name);
    }
    if (!r->created_at) return;
    mo_backtrace_name(r->created_at, name, sizeof name);
    if (r->creator)
        mo_print("created by goroutine %llu at %s\n", (unsigned long long)r->creator, name);
    else
        mo_print("created by a thread at %s\n", name);
}

void mo_goroutines_print(mo_goroutines *all) {
    for (uint64_t i = 0; i < all->num; i++) print(&all->item[i]);
    if (all->num_left_out)
        mo_print("\n(%llu more goroutines are left out)\n", (unsigned long long)all->num_left_out);
    mo_os_unmap(all, sizeof *all);
}
