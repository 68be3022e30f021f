/* specials.h - cleanups and weak pointers. Floor gc. */
#ifndef MO_SPECIALS_H
#define MO_SPECIALS_H

#include "gc/roots.h"
#include "mound.h"
#include "sched/thread.h"

void mo_specials_init(void);
mo_lock *mo_specials_lock(void);
mo_lock *mo_cleanup_queue_lock(void);

/* From inside the runtime. addr lies in the allocated slot sl. rec NULL in the result: memory
 * is exhausted. */
mound_cleanup mo_cleanup_add(mo_thread *t, const mo_slot *sl, void (*fn)(void *), void *arg);
void mo_cleanup_stop(mound_cleanup c);
/* handle NULL: memory is exhausted. */
mound_weak mo_weak_make(mo_thread *t, const mo_slot *sl, uintptr_t addr);
void *mo_weak_get(mound_weak w);

/* Starts the cleanup thread if cleanups wait and it does not run. World running, no lock held. */
void mo_cleanups_kick(void);
void mo_cleanups_after_fork(void);
/* Around dlclose: no cleanup runs; afterwards those are dropped whose code was loaded before (NULL:
 * any) and is not now. */
void mo_cleanups_pause(mo_thread *t);
void mo_cleanups_drop_unloaded(const mo_code_list *before, const mo_code_list *now);

extern uint64_t mo_cleanups_queued, mo_cleanups_run; /* statistics */

#endif
