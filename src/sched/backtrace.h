/* backtrace.h - the calls a goroutine is in, for people. Floor sched. Writes to stderr. */
#ifndef MO_BACKTRACE_H
#define MO_BACKTRACE_H

#include "sched/g.h"

/* Of the caller. */
void mo_backtrace_here(void);

/* All goroutines of the run, in three steps: room for what is found (NULL: no memory); with the
 * world stopped, what each does; running again, the lines to stderr, which gives the room back.
 * self: the goroutine of the caller, or NULL. */
typedef struct mo_goroutines mo_goroutines;
mo_goroutines *mo_goroutines_new(void);
void mo_goroutines_take(mo_goroutines *all, const mo_g *self);
void mo_goroutines_print(mo_goroutines *all);

/* A name and an offset for a code address. */
void mo_backtrace_name(const void *code, char *text, size_t len);

#endif
