/* signal_stack.c - an alternate signal stack for each registered thread.
 *
 * A stop may come at any instruction, also where a thread has used its stack up to the last page;
 * the kernel's frame alone takes from 3 KiB to more than 10, by how much vector state the
 * processor has. A thread with a small stack would die of a stop. The memory stays with the record
 * and serves the next thread; untouched pages cost address space only.
 *
 * Handlers of the program that ask for an alternate stack (SA_ONSTACK) run here too, unless it sets
 * one of its own, which replaces this one.
 *
 * Floor   sched.
 * Fails   if memory is exhausted the thread keeps the stack it has.
 */
#include "sched/signal_stack.h"

#include <errno.h>
#include <signal.h>
#include <sys/auxv.h>

#include "sys/os_mem.h"

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

enum { ROOM_BYTES = 48 << 10 }; /* for handlers, beside the kernel's frame */

static size_t stack_bytes(void) {
    return mo_align_up(getauxval(AT_MINSIGSTKSZ) + ROOM_BYTES, MO_OS_PAGE_BYTES);
}

void mo_signal_stack_install(mo_thread *t) {
#if MO_MUTANT_no_signal_stack
    return;
#endif
    int saved = errno;
    stack_t now;
    if (sigaltstack(NULL, &now) == 0 && (now.ss_flags & SS_DISABLE)) {
        if (!t->signal_stack) t->signal_stack = mo_os_map(stack_bytes(), "mound signal stack");
        stack_t own = {.ss_sp = t->signal_stack, .ss_size = stack_bytes()};
        if (t->signal_stack) sigaltstack(&own, NULL);
    }
    errno = saved;
}

void mo_signal_stack_remove(mo_thread *t) {
    int saved = errno;
    stack_t now, none = {.ss_flags = SS_DISABLE};
    if (t->signal_stack && sigaltstack(NULL, &now) == 0 && now.ss_sp == t->signal_stack)
        sigaltstack(&none, NULL);
    errno = saved;
}
