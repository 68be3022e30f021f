/* goroutine_handlers.h - see goroutine_handlers.c. Floor api. */
#ifndef MO_GOROUTINE_HANDLERS_H
#define MO_GOROUTINE_HANDLERS_H

#include "sched/thread.h"

/* Once, before the first goroutine. */
void mo_goroutine_handlers_install(void);
/* All goroutines to stderr. Not in the runtime. */
void mo_goroutines_dump_safely(mo_thread *t);

#endif
