/* runtime_thread.h - threads of the library itself: not registered, never stopped, they own no
 * object. Floor sched. */
#ifndef MO_RUNTIME_THREAD_H
#define MO_RUNTIME_THREAD_H

#include "base/compiler.h"

enum { MO_SERVICE_STACK_BYTES = 256 << 10 }; /* for threads that run no user code */

/* Starts a detached thread with all signals blocked; stack_bytes 0: libc's default. false if the
 * system refuses, or in a callback of dl_iterate_phdr: try again later. World running, no lock held
 * that a stop needs: libc takes locks of its own, which stopped threads may hold, so a registered
 * caller counts as stopped meanwhile. */
bool mo_runtime_thread_start(size_t stack_bytes, void *(*fn)(void *), void *arg);
/* What tools call the calling thread. It says so itself: for whoever started it it may be gone. */
void mo_runtime_thread_name(const char *name);

/* What sched_getattr and sched_setattr take, in the kernel's first version: libc's header, where it
 * has one, is another. */
typedef struct mo_slice_attr {
    uint32_t bytes, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t slice_ns, deadline_ns, period_ns;
} mo_slice_attr;
_Static_assert(sizeof(mo_slice_attr) == 48, "the size is the version");

/* For a runtime thread that computes for long, in that thread: whoever wakes takes its processor at
 * once, not when its slice ends (up to 4 ms), from Linux 6.12 on. nicer: so much is added to its
 * nice value, on every kernel. */
void mo_runtime_thread_prefer_others(int nicer);

#endif
