/* process.h - children of a process with threads. */
#ifndef SOAK_PROCESS_H
#define SOAK_PROCESS_H

#include "thing.h"

/* Before mound_init: the first to run in a child. */
void process_init(void);
/* Forks; the child verifies, allocates, collects and must end with status 0. */
void process_fork(const thing *mine, mo_rand *r);
/* The same while other threads work; does nothing under ASan, whose malloc cannot do that. */
void process_fork_beside_others(const thing *mine, mo_rand *r);
void process_spawn(void);

#endif
