/* check.h - the checks behind MOUND_DEBUG=verify, gccheckmark and checked builds. World stopped.
 * Floor gc. */
#ifndef MO_CHECK_H
#define MO_CHECK_H

#include <stdint.h>

/* verify: page allocator, page table, every swept span. Throws. */
void mo_check_heap(void);
/* gccheckmark: marks again, simply, beside the mark bits; throws, naming parent and offset, if
 * that reaches an object the marker did not. After mo_mark_run, its roots still known.
 * stack_end: where the caller's published stack ends and the collector's frames begin. */
void mo_check_mark(uintptr_t stack_end);
/* Words that a type does not list but that would keep an object alive: one line each. */
void mo_check_typed_fields(void);

#endif
