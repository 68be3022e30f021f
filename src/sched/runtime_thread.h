/* runtime_thread.h - threads of the library itself: not registered, never stopped, they own no
 * object. Floor sched. */
#ifndef MO_RUNTIME_THREAD_H
#define MO_RUNTIME_THREAD_H

#include "base/compiler.h"

/* Starts a detached thread with all signals blocked. false if the system refuses. World running:
 * libc allocates for it. */
bool mo_runtime_thread_start(const char *name, void *(*fn)(void *), void *arg);

#endif
