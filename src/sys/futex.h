/* futex.h - sleep on a word; monotonic clock; processors. Floor sys. */
#ifndef MO_FUTEX_H
#define MO_FUTEX_H

#include "base/compiler.h"

/* Sleeps while *word == expected, at most timeout_ns (< 0: for ever). May return early. */
void mo_futex_wait(uint32_t *word, uint32_t expected, int64_t timeout_ns);
void mo_futex_wake(uint32_t *word, int num);

uint64_t mo_clock_ns(void);            /* monotonic */
uint64_t mo_clock_thread_cpu_ns(void); /* CPU time of the calling thread */
unsigned mo_cpu_count(void);           /* processors this process may use, >= 1 */
int mo_sys_gettid(void);
/* All threads of the process that run pass a full memory barrier before it returns. false: the
 * system refuses. */
bool mo_sys_barrier(void);
/* 0, or a negative errno (-ESRCH: no such thread). */
int mo_sys_tgkill(int tid, int sig);

#endif
