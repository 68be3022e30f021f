/* roots.h - where references from outside the heap are found. Floor gc. */
#ifndef MO_ROOTS_H
#define MO_ROOTS_H

#include "sched/thread.h"

void mo_roots_init(void);
mo_lock *mo_roots_lock(void);

/* World running: lists the writable segments and thread-local blocks of the program and its
 * shared objects, unless the list is valid. false if memory is exhausted. */
bool mo_roots_list_objects(void);
/* In the child of a fork, alone: the list without the loader's lock. */
void mo_roots_after_fork(void);
/* The list is to be made anew: an object was closed. */
void mo_roots_forget_objects(void);
/* World stopped: true if the list still agrees with the loader's. */
bool mo_roots_still_current(void);
/* World stopped: hands all roots to the marker, but for the stacks of goroutines that do not run.
 * Returns bytes of stacks. */
uint64_t mo_roots_add_all(mo_thread *self);
/* Those: scanned by the workers of the next run, in so many pieces. World stopped; or while threads
 * run, if all is scanned once more in a stop: then mo_roots_settle_stacks comes first, after new
 * objects are black. */
uint32_t mo_roots_add_goroutines(void);
/* The same as added ranges: for a second mark by another way. World stopped. */
uint64_t mo_roots_add_goroutine_ranges(void);
/* From here on no stack is given back until marking ends. */
void mo_roots_settle_stacks(void);

/* 0, -EINVAL, -ENOMEM, -ENOENT; see mound.h. */
int mo_roots_user_add(uintptr_t lo, size_t size);
int mo_roots_user_remove(uintptr_t lo, size_t size);

/* Where code is loaded, at a moment: for cleanups around dlclose. Asks for the loader's lock, so
 * the caller holds none of ours. Ends the process if memory is exhausted. */
typedef struct mo_code_list mo_code_list;
mo_code_list *mo_roots_list_code(void);
void mo_roots_free_code(mo_code_list *list);
bool mo_roots_is_code(const mo_code_list *list, uintptr_t addr);

#endif
