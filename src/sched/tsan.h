/* tsan.h - the stop signal in builds for ThreadSanitizer; see tsan.c. Floor sched. */
#ifndef MO_TSAN_H
#define MO_TSAN_H

#include <signal.h>

#include "base/compiler.h"

/* After sigaction: the kernel calls handler, not the runtime. */
void mo_tsan_take_signal(int sig, void (*handler)(int, siginfo_t *, void *));
/* Still so? */
bool mo_tsan_has_signal(int sig);
/* After sigaction: the handler of sig runs with stop_signal unmasked. */
void mo_tsan_unmask(int sig, int stop_signal);

#endif
