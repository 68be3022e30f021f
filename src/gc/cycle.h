/* cycle.h - one collection. Floor gc. */
#ifndef MO_CYCLE_H
#define MO_CYCLE_H

#include "gc/gc.h"

/* Runs it. The caller holds gc.lock and is inside the runtime; t is its own record. */
void mo_cycle_run(mo_thread *t, mo_gc_reason reason, bool while_threads_run);
/* In the child of a fork, alone, while the parent marks beside the program: as if that collection
 * had never begun. */
void mo_cycle_drop_in_child(void);

#endif
