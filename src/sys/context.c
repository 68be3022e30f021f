/* context.c - the first frame of a new context, and libc's way where the assembly does not serve:
 * see context.h. Floor sys. */
#include "sys/context.h"

#include <stddef.h>

#include "base/atomic.h"
#include "base/panic.h"
#include "sys/cpu.h"

#if !MO_UCONTEXT

void mo_context_begin(void); /* context_amd64.S */

/* What mo_context_switch pops. */
typedef struct first_frame {
    uintptr_t r15, r14, r13, r12, rbx, rbp;
    void (*next)(void);
    uintptr_t end[2]; /* who reads return addresses ends here */
} first_frame;
_Static_assert(offsetof(first_frame, end) % 16 == 8 && sizeof(first_frame) % 16 == 8,
               "sp is a multiple of 16 before mo_context_begin's call");

void mo_context_make(mo_context *c, uintptr_t lo, uintptr_t hi, void (*fn)(void *arg), void *arg) {
    mo_assert(hi % 16 == 0 && hi - lo >= 2 * sizeof(first_frame), "context: no such stack");
    first_frame *f = (first_frame *)(hi - sizeof *f);
    *f = (first_frame){.r12 = (uintptr_t)arg, .rbx = (uintptr_t)fn, .next = mo_context_begin};
    mo_store_rlx(&c->sp, (uintptr_t)f); /* the collector glances at contexts that do not run */
}

#else

static void begin(unsigned lo, unsigned hi) {
    mo_context *c = (mo_context *)((uintptr_t)hi << 32 | lo);
    c->fn(c->arg);
    mo_fatal("context: its function returned");
}

void mo_context_make(mo_context *c, uintptr_t lo, uintptr_t hi, void (*fn)(void *arg), void *arg) {
    if (getcontext(&c->uc) != 0) mo_fatal("context: getcontext failed");
    c->uc.uc_stack.ss_sp = (void *)lo;
    c->uc.uc_stack.ss_size = hi - lo;
    c->uc.uc_link = NULL;
    c->fn = fn;
    c->arg = arg;
    c->sp = hi - 16;
    makecontext(&c->uc, (void (*)(void))begin, 2, (unsigned)(uintptr_t)c,
                (unsigned)((uintptr_t)c >> 32));
}

/* libc saves the registers in uc, which need not be on the stack: they stand there as well. */
MO_NOINLINE void mo_context_switch(mo_context *from, mo_context *to) {
    mo_cpu_regs regs;
    mo_cpu_save_regs(&regs);
    from->sp = mo_cpu_sp();
    if (swapcontext(&from->uc, &to->uc) != 0) mo_fatal("context: swapcontext failed");
    __asm__ volatile("" : : "r"(&regs) : "memory");
}

#endif
