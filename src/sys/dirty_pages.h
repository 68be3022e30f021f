/* dirty_pages.h - which OS pages of a range were written, told by the system. Floor sys.
 *
 * Used by gc/barrier.c, where MOUND_BARRIER=os asks for it.
 *
 *   register   once, when the range is mapped
 *   arm        from now on stores are noticed
 *   take       reports the pages written since they were armed or taken last, and arms them again
 *   final      reports them and leaves them as they are; while the world is stopped
 *   disarm     until the next arm nothing is noticed
 *
 * A page that was never armed, or whose memory was given back (MADV_DONTNEED), counts as written.
 * A refused call loses no page: take and final then report the whole range, and return the error.
 * What a device or io_uring writes into pages it pinned earlier is not noticed:
 * docs/design/barrier.md.
 *
 * Needs Linux 6.7 and a process that may call userfaultfd (no privilege; container profiles often
 * refuse it). All functions keep errno. Results below 0 are negative errno values.
 */
#ifndef MO_DIRTY_PAGES_H
#define MO_DIRTY_PAGES_H

#include "base/compiler.h"

/* [lo, hi), whole OS pages. */
typedef void mo_dirty_report_fn(void *arg, uintptr_t lo, uintptr_t hi);

/* What one thread at a time takes with. */
typedef struct mo_dirty_taker {
    struct mo_dirty_region *vec; /* const: memory that the kernel writes its report to */
} mo_dirty_taker;

/* Opens the descriptors and tries it with real stores on a page of its own; 0, or an error with the
 * module as if never opened. Early: a process that changes its user later may not open them. */
int mo_dirty_open(void);
/* One line for people: why the last mo_dirty_open failed, or that it is open or closed. */
const char *mo_dirty_reason(void);
void mo_dirty_close(void);

/* lo and bytes: whole OS pages, all mapped. -EBUSY: another userfaultfd has (part of) the range.
 * Again for a range that is registered already: no harm, and needed where it was mapped anew. */
int mo_dirty_register(uintptr_t lo, size_t bytes);
/* Before it is unmapped or moved. Its pages are then no longer armed. */
int mo_dirty_forget(uintptr_t lo, size_t bytes);

/* KiB of memory that the kernel or a device has pinned for long, and may write without a report;
 * -1: cannot be known. Neither allocates nor locks. */
int64_t mo_dirty_pinned_kib(void);

int mo_dirty_taker_init(mo_dirty_taker *t); /* -ENOMEM */
void mo_dirty_taker_fini(mo_dirty_taker *t);

/* An error: some pages may be armed, those that are not will be reported. -EPERM: something in the
 * range is not registered, because the program mapped over it. */
int mo_dirty_arm(uintptr_t lo, size_t bytes);
/* 0: report was called for each run of written pages, upwards; it may scan them at once, all
 * processors have seen that the pages are armed again. An error: report was called for the whole
 * range, perhaps after some parts of it. */
int mo_dirty_take(mo_dirty_taker *t, uintptr_t lo, size_t bytes, mo_dirty_report_fn *report,
                  void *arg);
/* Neither allocates nor locks. */
int mo_dirty_final(mo_dirty_taker *t, uintptr_t lo, size_t bytes, mo_dirty_report_fn *report,
                   void *arg);

/* Stores are no longer noticed, and cost nothing: all pages count as written. An error: some may
 * still be armed, which does no harm. */
int mo_dirty_disarm(uintptr_t lo, size_t bytes);

/* Opens and registers anew: the descriptors a child inherits speak of its parent's memory. An
 * error: closed. Nothing is armed then. Until it is called, the child's calls fail with -EBADF. */
int mo_dirty_after_fork_in_child(void);

/* The n-th system call of this file from now on (1 = the next) fails with err; err 0: it pretends
 * success and does nothing. n = 0: none does. from: and all after it. */
void mo_dirty_fault_at(uint64_t n, int err);
void mo_dirty_fault_from(uint64_t n, int err);
/* Calls counted since then. */
uint64_t mo_dirty_fault_count(void);

#endif
