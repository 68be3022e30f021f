/* gc.h - the collector's state and its entry points. Floor gc.
 *
 * collect.c says when and by whom, cycle.c how. In one stop, in this order:
 *   1  finish the last sweep; list loaded objects; see that mark workers exist
 *   2  stop all threads
 *   3  mark from the roots (roots.c, mark.c)
 *   4  make every span unswept; sweep those that caches own
 *   5  start all threads; sweep the rest lazily (central.c) and in the background
 */
#ifndef MO_GC_H
#define MO_GC_H

#include "sched/thread.h"

typedef struct mo_debug {
    bool gctrace;
    bool checkmark; /* gccheckmark: mark twice, compare */
    bool scribble;
    bool poison; /* freed memory is an error to a sanitizer */
    bool verify;
    uint32_t stress; /* gcstress=N: collect at every N-th allocation */
    uint64_t seed;   /* of gcstress's choice; 0: every N-th exactly */
    bool inittrace;
    uint64_t sysfault; /* the N-th memory call fails */
} mo_debug;

typedef struct mo_gc {
    mo_lock lock; /* one collection at a time */
    /* Held by a collection except while it marks beside the program: who has it finds either no
     * collection, or one that changes mark bits only. For fork. */
    mo_lock phase_lock;
    mo_lock sweep_lock; /* the background sweeper's batch; held through a collection */
    mo_debug debug;
    int percent;             /* GOGC; < 0: off */
    int64_t memory_limit;    /* bytes; INT64_MAX: none */
    uint64_t num_over_limit; /* collections after which the limit could not be kept */
    uint32_t max_workers;    /* marking; >= 1 */
    uint64_t trigger_bytes;  /* collect when heap.live_bytes reaches it */
    uint64_t goal_bytes;
    uint64_t marked_bytes; /* kept by the last mark: traced, and allocated meanwhile */
    uint64_t traced_bytes; /* found by it */
    uint64_t begin_bytes;  /* the heap when it began, garbage included; 0: none yet */
    double alloc_rate;     /* bytes per ns allocated while no collection ran */
    double mark_rate;      /* bytes per ns of one worker; 0: not known yet */
    double page_ns;        /* to scan a written page again, of one worker */
    uint64_t pause_target_ns;
    uint64_t
        unused_bytes;    /* claimed by caches then, not handed out: allocating them costs nothing */
    uint64_t peak_bytes; /* of spans, at the end of the last mark */
    uint64_t gap_bytes;  /* of those, held no objects */
    uint64_t num_begun;  /* collections that began; written under lock */
    uint64_t num_ended;  /* number of the last one that driver.c ended */
    uint64_t num_gc, num_forced, num_concurrent;
    uint64_t dirty_pages, dirty_pages_last, predicted_ns; /* of the last concurrent one */
    uint64_t start_ns;                                    /* of the process, for gctrace */
    uint64_t last_end_ns;                                 /* end of the last collection */
    uint64_t alloc_at_last;     /* total claimed then, for the idle collection */
    uint64_t lead_ns, cycle_ns; /* of the last collection: until marking began, and all of it */
    uint64_t faded_ns;          /* of longer ones before it, a quarter less with each */
    /* Of the last that marked beside the program: what was scanned after marking (> 0; 0: none
     * yet), and its part of the time. */
    uint64_t clean_bytes;
    double clean_share;
    uint64_t pause_total_ns, pause_max_ns, pause_last_ns;
    uint64_t gc_cpu_ns, last_cpu_ns;  /* of marking: all, and of the last collection */
    bool last_was_asked;              /* the last one did not come because the heap was full */
    uint64_t throttled_ns;            /* atomic: that threads waited for marking, all together */
    uint64_t stack_bytes, root_bytes; /* scanned in the last collection */
    uint32_t stress_count;
} mo_gc;

extern mo_gc mo_the_gc;

typedef enum mo_gc_reason { MO_GC_HEAP, MO_GC_FORCED, MO_GC_IDLE, MO_GC_MEMORY } mo_gc_reason;

/* Collects. From inside the runtime (in_runtime > 0); the caller has called
 * mo_thread_publish_here at its entry. */
void mo_gc_collect(mo_thread *t, mo_gc_reason reason);
/* The trigger was reached. GC lock held. */
bool mo_gc_is_due(void);
/* Before size bytes are taken from the heap: collects if the trigger was reached, waits where a
 * collection that runs asks for it. */
void mo_gc_poll(mo_thread *t, size_t size);
/* Sweeps everything that is unswept, and waits for what other threads are sweeping. */
void mo_gc_sweep_all(void);
/* Sweeps about max spans; false when nothing was left. */
bool mo_gc_sweep_some(uint32_t max);
/* Sweeps until that many bytes of pages are free or nothing is left to sweep. */
void mo_gc_sweep_for(size_t bytes);
/* Free pages that have memory; an estimate. */
uint64_t mo_gc_backed_pages(void);
/* Sets goal and trigger from what was marked. Registry lock held. */
void mo_pacer_set(void);
/* The same where threads have allocated so many bytes per ns of late, and no collection ran.
 * Registry lock held. */
void mo_pacer_note_rate(double rate);
/* Calls fn for every central, or only for those that ever had a span. */
void mo_gc_each_central(bool all, void (*fn)(mo_central *c, void *arg), void *arg);
/* Ever claimed, less what caches still hold. */
void mo_gc_alloc_totals(uint64_t *objects, uint64_t *bytes, uint64_t *freed_objects,
                        uint64_t *freed_bytes);

#endif
