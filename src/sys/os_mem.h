/* os_mem.h - memory from the OS: reserve, commit, release. Floor sys.
 *
 *   reserved   address space only, any access faults
 *   committed  readable and writable, zero until written
 *   released   committed, contents given back: reads as zero again
 *
 * Every call that can fail for want of memory passes one counter, so that tests can make the
 * N-th call fail (MOUND_DEBUG=sysfault=N).
 */
#ifndef MO_OS_MEM_H
#define MO_OS_MEM_H

#include "base/compiler.h"

enum { MO_OS_PAGE_BYTES = 4096 };

/* NULL if the system refuses. align: power of two. */
void *mo_os_reserve(size_t bytes, size_t align, const char *name);
void mo_os_unreserve(void *lo, size_t bytes);
/* For memory the library never gives back one by one; NULL if refused. Committed and zero. */
void *mo_os_map(size_t bytes, const char *name);
void mo_os_unmap(void *lo, size_t bytes);
/* false if the system refuses; the range is then as before. */
bool mo_os_commit(uintptr_t lo, size_t bytes);
/* Gives the contents back (MADV_DONTNEED). false if the system refuses: contents unchanged. */
bool mo_os_release(uintptr_t lo, size_t bytes);
/* Hints; failure is ignored. Of two for the same range the later one holds. */
void mo_os_huge(uintptr_t lo, size_t bytes);
void mo_os_small(uintptr_t lo, size_t bytes);
/* Gives memory to all pages of the range; false: not done (Linux before 5.14, no memory). */
bool mo_os_populate(uintptr_t lo, size_t bytes);
/* Makes huge pages of small ones again, now; false: not done (no such call, no free huge page, the
 * administrator wants none). Stores to the range wait meanwhile: a third of a millisecond each. */
bool mo_os_collapse(uintptr_t lo, size_t bytes);
void mo_os_no_dump(uintptr_t lo, size_t bytes, bool no_dump);

uint64_t mo_os_mapped_bytes(void); /* by mo_os_map, for statistics */

/* The n-th memory call from now fails (1 = the next); 0: none does. */
void mo_os_fault_at(uint64_t n);
/* The n-th memory call from now fails and all after it (1 = at once); 0: none does. */
void mo_os_fault_from(uint64_t n);
/* Calls counted since mo_os_fault_at or mo_os_fault_from. */
uint64_t mo_os_fault_count(void);

#endif
