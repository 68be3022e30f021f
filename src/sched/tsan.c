/* tsan.c - the stop signal in builds for ThreadSanitizer.
 *
 * TSan's runtime takes signals in the program's place. It calls the program's handler at once only
 * in some of libc's calls that wait; else it keeps the signal until the thread next enters the
 * runtime. A thread that waits in read(), or runs a loop of plain accesses, would never stop.
 *
 * So the kernel gets a handler of ours. Where it interrupts the program or libc, the state of
 * TSan's runtime is whole, and the stop is answered there. Where it interrupts the runtime, locks
 * and clocks of that may be half changed: the signal is passed on to the runtime's handler, which
 * keeps it as described. Since the thread may go and wait in the kernel with it, the collector asks
 * again every millisecond (stop.c, reap_gone_threads).
 *
 * The runtime also masks all signals while a handler of the program runs; our interposed sigaction
 * takes the stop signal out of that mask. What is left: a handler that the runtime kept and calls
 * later is not stopped before it returns.
 *
 * Floor   sched.
 */
#include "sched/tsan.h"

#if MO_TSAN

#include <dlfcn.h>
#include <link.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/cpu.h"

typedef void (*signal_handler)(int sig, siginfo_t *info, void *context);

/* As rt_sigaction(2) has it: libc's sigaction is the runtime's here. */
typedef struct kernel_action {
    signal_handler handler;
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
} kernel_action;

static MO_GLOBAL signal_handler own_handler, runtime_handler;
static MO_GLOBAL uintptr_t runtime_lo, runtime_hi; /* its code */

static kernel_action get_action(int sig) {
    kernel_action action = {0};
    syscall(SYS_rt_sigaction, sig, NULL, &action, sizeof action.mask);
    return action;
}

static void set_action(int sig, const kernel_action *action) {
    syscall(SYS_rt_sigaction, sig, action, NULL, sizeof action->mask);
}

static int find_runtime(struct dl_phdr_info *info, size_t size, void *symbol) {
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
        uintptr_t lo = info->dlpi_addr + ph->p_vaddr, hi = lo + ph->p_memsz;
        if (ph->p_type != PT_LOAD || (uintptr_t)symbol < lo || (uintptr_t)symbol >= hi) continue;
        runtime_lo = lo;
        runtime_hi = hi;
        return 1;
    }
    return 0;
}

/* Not instrumented: it may have interrupted the runtime. */
MO_NO_TSAN static void on_signal(int sig, siginfo_t *info, void *context) {
    uintptr_t pc = mo_cpu_context_pc(context);
    (pc >= runtime_lo && pc < runtime_hi ? runtime_handler : own_handler)(sig, info, context);
}

void mo_tsan_take_signal(int sig, signal_handler handler) {
    kernel_action action = get_action(sig);
    own_handler = handler;
    runtime_handler = action.handler;
    dl_iterate_phdr(find_runtime, dlsym(RTLD_DEFAULT, "__tsan_init"));
    action.handler = on_signal;
    set_action(sig, &action);
}

bool mo_tsan_has_signal(int sig) { return get_action(sig).handler == on_signal; }

void mo_tsan_unmask(int sig, int stop_signal) {
    kernel_action action = get_action(sig);
    action.mask &= ~((uint64_t)1 << (stop_signal - 1));
    set_action(sig, &action);
}

#endif
