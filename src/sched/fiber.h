/* fiber.h - what sanitizers and valgrind must be told of stacks and switches. Floor sched.
 *
 * Their functions are looked for at run time (weak names), since a program may be built with a
 * sanitizer and linked with a library that is not. TSan's must be called right before the switch,
 * by code that is not built for it.
 */
#ifndef MO_FIBER_H
#define MO_FIBER_H

#include "sched/g.h"

void mo_fiber_open(mo_g *g);  /* it got its stack */
void mo_fiber_close(mo_g *g); /* it loses it */

/* Whether anybody wants to be told. */
bool mo_fiber_is_watched(void);
/* Leaves from for to, in the watched case; NULL: the thread's own stack, of t. from_ends: nobody
 * goes on in it. Returns when somebody switches to from, then mo_fiber_arrive is to be called. */
void mo_fiber_switch(mo_thread *t, mo_context *from_context, mo_g *from, mo_context *to_context,
                     mo_g *to, bool from_ends);
/* First thing on the stack that was switched to; g NULL: the thread's own. */
void mo_fiber_arrive(mo_g *g);

#endif
