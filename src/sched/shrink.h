/* shrink.h - stacks of goroutines that wait become smaller again. Floor sched.
 *
 * A goroutine that once went deep keeps the memory of what it used below. If it then waits for
 * long, that memory is given back; its stack stays where it is, and grows again by being used.
 */
#ifndef MO_SHRINK_H
#define MO_SHRINK_H

#include "sched/g.h"

/* Returns when nobody gives back memory of g, which is about to run. */
void mo_g_await_release(mo_g *g);

/* Looks at the records [first, end), and gives back what lies below the stack pointers of those
 * that have waited for min_wait_ms; once for each wait. How many may have to be looked at again:
 * they do not wait for so long yet. In the runtime; any thread. */
uint64_t mo_shrink_records(uint64_t first, uint64_t end, uint32_t min_wait_ms);

/* Some of all, as much as is due: for sysmon. */
void mo_shrink_some(uint64_t now_ns);

#endif
