/* context.h - another flow of control, on a stack of its own. Floor sys.
 *
 * A context that does not run has everything it needs on its stack, from sp up to the stack's upper
 * end: what the calling convention lets a function expect to find again after a call. A switch
 * saves that, and goes on where the other one left: no system call. The control words of the vector
 * and x87 units, the signal mask and errno are the thread's and stay as they are.
 *
 * Two implementations behind the same functions: context_amd64.S, and with MO_UCONTEXT=1 libc's
 * (context.c: two system calls a switch, for sanitizers and other processors).
 *
 * Fails   makes no check: a stack that is too small is overrun, a context that runs or has ended
 *         must not be switched to.
 * Threads a context is used by one thread at a time; it may go on in another one than it left.
 */
#ifndef MO_CONTEXT_H
#define MO_CONTEXT_H

#include "base/compiler.h"

#if MO_UCONTEXT
#include <ucontext.h>
#endif

typedef struct mo_context {
    uintptr_t sp; /* while it does not run */
#if MO_UCONTEXT
    ucontext_t uc;
    void (*fn)(void *);
    void *arg;
#endif
} mo_context;

/* The first switch to c calls fn(arg) on the stack [lo, hi), both ends multiples of 16. fn must not
 * return: it ends by switching to another one for good. */
void mo_context_make(mo_context *c, uintptr_t lo, uintptr_t hi, void (*fn)(void *arg), void *arg);

/* Leaves from, which is the one that runs, and goes on in to. Returns when somebody switches to
 * from. */
void mo_context_switch(mo_context *from, mo_context *to);

/* Calls fn(arg) on the stack of c, which does not run and cannot begin to, below what it has there:
 * to an unwinder it looks like a call from where c left. fn must not switch. Not for libc's. */
void mo_context_visit(mo_context *c, void (*fn)(void *arg), void *arg);

#endif
