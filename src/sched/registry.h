/* registry.h - the registry's inner functions, for the stop and for fork. Floor sched. */
#ifndef MO_REGISTRY_H
#define MO_REGISTRY_H

#include "sched/thread.h"

/* Bytes of a cache's array of typed slots, mapped on first use. */
MO_INLINE size_t mo_typed_slots_bytes(void) { return (MO_MAX_TYPE_ID + 1) * sizeof(mo_cache_slot); }

/* Forgets a thread that no longer runs; its stack is not read. Registry lock held. */
void mo_thread_reap_locked(mo_thread *t);
/* In the child of a fork: all other threads are gone. */
void mo_threads_keep_only(mo_thread *self);

#endif
