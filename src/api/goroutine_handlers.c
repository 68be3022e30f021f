/* goroutine_handlers.c - what goroutines need of signals, and reports of all of them.
 *
 *   SIGSEGV, SIGBUS   on the guard of a stack: one line that names the goroutine. What else there
 *                     is goes to the handler from before.
 *   SIGQUIT           all goroutines are printed, then the process ends: by sysmon's thread, since
 * a handler may not look at anything.
 *
 * Floor   api.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/goroutine_handlers.h"
#include "gc/gc.h"
#include "gc/start.h"
#include "mound.h"
#include "sched/backtrace.h"
#include "sched/sched.h"
#include "sched/sysmon.h"

static MO_GLOBAL struct sigaction before_segv, before_bus;

static void pass_on(const struct sigaction *before, int sig, siginfo_t *info, void *context) {
    if (before->sa_flags & SA_SIGINFO) {
        before->sa_sigaction(sig, info, context);
    } else if (before->sa_handler != SIG_DFL && before->sa_handler != SIG_IGN) {
        before->sa_handler(sig);
    } else {
        /* The instruction runs again, and the system does what it does by default. */
        struct sigaction plain = {.sa_handler = SIG_DFL};
        sigaction(sig, &plain, NULL);
    }
}

static void on_fault(int sig, siginfo_t *info, void *context) {
    mo_stack s;
    uintptr_t addr = (uintptr_t)info->si_addr;
    if (info->si_code <= 0 || !mo_stack_of_guard(addr, &s)) {
        pass_on(sig == SIGSEGV ? &before_segv : &before_bus, sig, info, context);
        return;
    }
    const mo_g *g = mo_self->g;
    unsigned long long kib = (s.hi - s.lo) >> 10;
    if (g && g->stack.lo == s.lo)
        mo_print(
            "mound: goroutine %llu%s%s%s: stack overflow: its stack of %llu KiB is full; start "
            "it by mound_go_opt with more, or set MOUND_STACK\n",
            (unsigned long long)g->id, g->name ? " (" : "", g->name ? g->name : "",
            g->name ? ")" : "", kib);
    else
        mo_print("mound: access to %p, below a goroutine's stack of %llu KiB: overflow, or a stray "
                 "pointer\n",
                 (void *)addr, kib);
    _exit(2);
}

static void on_quit(int sig) {
    (void)sig;
    mo_sysmon_ask_dump();
}

/* Everybody stands, so that nobody goes on while its calls are looked at. */
void mo_goroutines_dump_safely(mo_thread *t) {
    const mo_g *self = t->g;
    mo_goroutines *all = mo_goroutines_new();
    if (!all) return;
    mo_runtime_enter(t);
    mo_lock_acquire_blocking(t, &mo_the_gc.lock);
    mo_world_stop(t);
    mo_goroutines_take(all, self);
    mo_world_start();
    mo_lock_release(&mo_the_gc.lock);
    mo_runtime_leave(t);
    mo_goroutines_print(all);
}

/* By sysmon, before the end. */
static void dump_with_title(const char *title) {
    mo_print("mound: %s\n", title);
    mo_goroutines_dump_safely(mo_thread_register());
}

static void on_deadlock(void) {
    dump_with_title("fatal: all goroutines are asleep: deadlock. Each waits for another; see below "
                    "what for");
    mo_fatal("all goroutines are asleep: deadlock");
}

static void on_dump(void) {
    dump_with_title("SIGQUIT: all goroutines");
    _exit(2);
}

/* Unless it is there; nor above a handler that came later and may call ours. */
static void install(int sig, void (*handler)(int, siginfo_t *, void *), struct sigaction *before,
                    bool is_first) {
    struct sigaction action, now;
    if (sigaction(sig, NULL, &now) != 0) return;
    bool is_default = !(now.sa_flags & SA_SIGINFO) && now.sa_handler == SIG_DFL;
    if (!is_first && !is_default) return;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigaction(sig, &action, before);
}

void mo_goroutine_handlers_install(void) {
    static MO_GLOBAL bool was_installed;
    bool is_first = !was_installed;
    was_installed = true;
    mo_sched_upward.deadlock = on_deadlock;
    mo_sched_upward.dump = on_dump;
    install(SIGSEGV, on_fault, &before_segv, is_first);
    install(SIGBUS, on_fault, &before_bus, is_first);
    struct sigaction now, quit;
    memset(&quit, 0, sizeof quit);
    quit.sa_handler = on_quit;
    quit.sa_flags = SA_RESTART | SA_ONSTACK;
    if (sigaction(SIGQUIT, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) &&
        now.sa_handler == SIG_DFL)
        sigaction(SIGQUIT, &quit, NULL);
}
