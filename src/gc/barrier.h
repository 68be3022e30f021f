/* barrier.h - what the program stored while it was being marked: the OS tells. Floor gc.
 *
 * docs/design/barrier.md has the protocol; its order of calls:
 *   mo_barrier_arm     world running, before new objects are black
 *   mo_barrier_take    world running: what was written is armed again and scanned again
 *   mo_barrier_final   world stopped: what was written since is scanned again
 *   mo_barrier_disarm  world running: what is stored from now on is nobody's concern
 */
#ifndef MO_BARRIER_H
#define MO_BARRIER_H

#include "base/compiler.h"

/* Before the heap has any memory. 0, or a negative errno value; mo_barrier_text says why. */
int mo_barrier_open(void);
bool mo_barrier_is_on(void);
/* What is in force, for people. */
const char *mo_barrier_text(void);

/* false: some page may not be armed, or the kernel has pinned memory, whose writes it does not
 * report; this cycle has to be marked in one stop. */
bool mo_barrier_arm(uint32_t num_workers);
/* Both are done by the next run of the marker, whose workers ask the system side by side. final
 * returns how many calls that takes. */
void mo_barrier_take(void);
uint32_t mo_barrier_final(void);
/* OS pages that the run scanned again. */
uint64_t mo_barrier_num_rescanned(void);
/* Else each page would cost a fault when it is stored to next, and each huge page be split. */
void mo_barrier_disarm(uint64_t since_ns); /* the end of the last collection */

void mo_barrier_after_fork(void);

#endif
