/* runtime_thread.h - threads of the library itself: not registered, never stopped, they own no
 * object. Floor sched. */
#ifndef MO_RUNTIME_THREAD_H
#define MO_RUNTIME_THREAD_H

#include "base/compiler.h"

enum { MO_SERVICE_STACK_BYTES = 256 << 10 }; /* for threads that run no user code */

/* Starts a detached thread with all signals blocked; stack_bytes 0: libc's default. false if the
 * system refuses. World running, no lock held that a stop needs: libc takes locks of its own, which
 * stopped threads may hold, so a registered caller counts as stopped meanwhile. */
bool mo_runtime_thread_start(const char *name, size_t stack_bytes, void *(*fn)(void *), void *arg);

#endif
