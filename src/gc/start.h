/* start.h - starting the runtime, implicitly or by mound_init. Floor gc. */
#ifndef MO_START_H
#define MO_START_H

#include "sched/thread.h"

/* 0, or a negative errno; then mo_start_error says why. Idempotent, any thread. */
int mo_start(void);
const char *mo_start_error(void);
/* When the loader came to the library. */
uint64_t mo_start_loaded_ns(void);
/* Starts if need be (ends the process if that fails), registers the thread if need be. */
mo_thread *mo_start_current_slow(void);
MO_INLINE mo_thread *mo_start_current(void) {
    mo_thread *t = mo_self;
    return MO_LIKELY(mo_is_registered(t)) ? t : mo_start_current_slow();
}

#endif
