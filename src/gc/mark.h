/* mark.h - the parallel marker. Floor gc. One thread at a time calls these; world stopped, except
 * where said. */
#ifndef MO_MARK_H
#define MO_MARK_H

#include "base/compiler.h"
#include "sys/cpu.h"

enum { MO_MARK_MAX_WORKERS = 64 };

struct mo_marker; /* a worker's state */

typedef struct mo_mark_result {
    uint64_t bytes;   /* of objects marked and of uncollectable ones */
    uint64_t objects; /* marked */
    uint64_t cpu_ns;
    uint64_t root_bytes;
    uint64_t stack_bytes; /* of mo_mark_scan_range in the last run */
} mo_mark_result;

/* Before any collection. 0 or -ENOMEM. */
int mo_mark_init(void);
void mo_mark_fini(void);
/* World running: makes up to num worker threads beside the caller exist; returns how many of
 * them do. */
uint32_t mo_mark_prepare(uint32_t num);
/* In the child of a fork: the worker threads are gone. */
void mo_mark_after_fork(void);

/* Adds [lo, hi) as a root; its words are ambiguous. */
void mo_mark_add_root(uintptr_t lo, uintptr_t hi);
/* A mark has one run (all in one stop), or several: the first and the middle ones while threads
 * run, the last in a stop.
 *
 * Begins it: nothing counted, nothing grey. */
void mo_mark_begin(void);
/* Scans the added roots now, without following what they lead to, and forgets them. */
void mo_mark_scan_roots(void);
/* All uncollectable objects; the caller sees to it that nobody changes the lists of their spans. */
void mo_mark_scan_manual(void);
/* The same, by the page table: also while threads run. */
void mo_mark_scan_manual_pages(void);
/* The next run calls report(m, worker, i) for each i below num, once, by whichever of its workers
 * (numbered from 0) is free. */
typedef void mo_mark_report_fn(struct mo_marker *m, uint32_t worker, uint32_t i);
void mo_mark_add_reports(mo_mark_report_fn *report, uint32_t num);
/* Likewise, besides; these are roots: made good with the others. They call mo_mark_scan_range. */
void mo_mark_add_stacks(mo_mark_report_fn *stacks, uint32_t num);
/* Scans [lo, hi), aligned words, as a root. */
void mo_mark_scan_range(struct mo_marker *m, uintptr_t lo, uintptr_t hi);
/* For a report: what is marked on the OS pages [lo, hi) may have changed since it was scanned, and
 * is scanned again. Returns the pages that hold any pointers. */
uint64_t mo_mark_rescan(struct mo_marker *m, uintptr_t lo, uintptr_t hi);
/* Follows all that was scanned, and the added roots, with the caller and num_helpers of the
 * prepared worker threads. is_last: the world is stopped, and what was dropped for want of memory
 * is made good. */
void mo_mark_run(uint32_t num_helpers, bool is_last);
/* Ends it. World running or stopped: the roots are forgotten, buffers given back. */
mo_mark_result mo_mark_totals(void);
void mo_mark_forget_roots(void);

/* For check.c: the roots of the run. */
size_t mo_mark_num_roots(void);
void mo_mark_root_at(size_t i, uintptr_t *lo, uintptr_t *hi);

/* Heap words one past an object's end keep it too (MOUND_DEBUG=heapend=1); see
 * docs/design/gc.md for why that is not the default. */
void mo_mark_set_heap_ends(bool on);
/* At most these vector instructions (MOUND_DEBUG=vector=N), whatever the processor has. */
void mo_mark_limit_vectors(mo_cpu_level most);

#endif
