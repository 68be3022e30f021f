/* stack.h - stacks for flows of control that are no threads. Floor sched. Uses os_mem, lock.
 *
 * Address space in classes of 64 KiB and its doubles, memory as it is touched: a stack of a class
 * of 256 KiB in which two calls were made has one page. Below each stack lie 64 KiB on which any
 * access faults. Nothing of ours stands in a stack: one that is parked touches no further page.
 *
 *   arena   64 MiB to 1 GiB of address space with stacks of one class; one mapping, however many
 *           there are
 *   warm    free, and has the memory its last owner touched: given out first
 *   cold    free, without memory
 *
 * Threads all functions from any thread; mo_stack_of_guard from a signal handler too, for a stack
 *         that is in use.
 */
#ifndef MO_STACK_H
#define MO_STACK_H

#include "base/compiler.h"
#include "sys/lock.h"

enum { MO_STACK_GUARD_BYTES = 64 << 10, MO_STACK_MIN_BYTES = 64 << 10 };
#define MO_STACK_MAX_BYTES ((size_t)1 << 30)

/* [lo, hi), both multiples of 4 KiB. */
typedef struct mo_stack {
    uintptr_t lo, hi;
} mo_stack;

typedef enum mo_guard_kind {
    MO_GUARD_REGION, /* MADV_GUARD_INSTALL, Linux 6.13: no mapping for each */
    MO_GUARD_MAPPING /* mprotect: a mapping for each; the kernel allows some ten thousands */
} mo_guard_kind;

typedef struct mo_stack_stats {
    uint64_t num_used, num_warm, num_cold;
    uint64_t num_unguarded; /* of those used: the kernel allows no more mappings */
    uint64_t reserved_bytes;
    mo_guard_kind guard_kind;
} mo_stack_stats;

/* At least bytes (0: the least class), its memory zero or what an earlier owner left.
 * -EINVAL: more than the largest class; -ENOMEM: refused by the system. */
int mo_stack_alloc(size_t bytes, mo_stack *s);
void mo_stack_free(mo_stack s);

struct iovec;
/* Gives back memory of stacks, which their owners do not use: they do not run. */
void mo_stack_give_back(const struct iovec *range, size_t num);
/* Gives back the memory of warm stacks, at most max of them, and arenas that are empty. How many
 * stacks it were. */
size_t mo_stack_release(size_t max);

/* Is addr in the guard of a stack? Then *s is that stack. */
bool mo_stack_of_guard(uintptr_t addr, mo_stack *s);

void mo_stack_read_stats(mo_stack_stats *out);
mo_lock *mo_stack_lock(void); /* for fork */
/* For tests: as on a kernel without guard regions. Before the first stack. */
void mo_stack_force_mappings(void);

#endif
