/* pacer.h - when a collection is due, and how fast threads may allocate while one runs. Floor gc.
 *
 * docs/design/gc.md, "When": the formulas and why they differ from Go's.
 */
#ifndef MO_PACER_H
#define MO_PACER_H

#include "gc/gc.h"

/* What the last collection showed. */
typedef struct mo_pace_facts {
    int percent;                      /* GOGC; < 0: off */
    bool is_concurrent;               /* the next one marks while threads run */
    uint64_t traced_bytes;            /* found live by marking */
    uint64_t new_bytes;               /* allocated while it marked: kept, live or not */
    uint64_t begin_bytes;             /* live and dead when it began; 0: there was none */
    uint64_t stack_bytes, root_bytes; /* scanned */
    uint64_t cycle_ns;                /* how long it took */
    uint64_t faded_ns;                /* as mo_gc has it */
    uint64_t cost_ns;                 /* processor time of its marking */
    double alloc_rate;                /* bytes per ns that threads allocate while none runs */
    uint64_t limit_bytes;             /* for objects; UINT64_MAX: no limit */
} mo_pace_facts;

typedef struct mo_pace_plan {
    uint64_t base_bytes;    /* what counts as live */
    uint64_t goal_bytes;    /* the heap at the end of the next collection */
    uint64_t trigger_bytes; /* and at its beginning */
    bool is_over_limit;     /* the limit would leave the program less than half of the time */
} mo_pace_plan;

mo_pace_plan mo_pace_next(const mo_pace_facts *facts);
/* What counts against the memory limit: the heap's pages that were not given back, its tables, the
 * runtime's own memory. */
uint64_t mo_pacer_used_bytes(void);
/* Of these, tables and the runtime's own memory. */
uint64_t mo_pacer_metadata_bytes(void);

typedef enum mo_pace_phase {
    MO_PACE_OFF,
    MO_PACE_LEAD, /* sweeping, arming */
    MO_PACE_MARK,
    MO_PACE_CLEAN, /* what was written is scanned again */
    MO_PACE_SUSPENDED,
} mo_pace_phase;

/* The collection that runs beside the program. Threads that allocate look at it at any time, also
 * while its driver writes it: all are atomic, and estimates. */
typedef struct mo_pace {
    uint32_t is_on;               /* mo_pace_phase */
    uint32_t is_rushed;           /* somebody waits for its end */
    uint32_t is_braked;           /* who allocates waits, ahead or not */
    int64_t begin;                /* heap.live_bytes when it began */
    int64_t room;                 /* to be allocated until its end */
    int64_t head;                 /* how far allocation may be ahead of marking */
    int64_t slack;                /* how far beyond that the heap may grow */
    int64_t lead;                 /* of the room, for what comes before marking: sweeping, arming */
    int64_t clean;                /* of the room, for what comes after it */
    uint64_t work;                /* bytes expected to be scanned in this phase; > 0 */
    uint64_t begin_ns, mark_ns;   /* of the phase, what marking took; the driver's own */
    uint64_t done MO_ALIGNED(64); /* scanned in it so far; a line of its own */
    char pad[56];
} mo_pace;

extern mo_pace mo_the_pace;

/* alloc_rate: bytes per ns of all threads, before it. */
void mo_pace_begin(bool is_rushed, double alloc_rate);
/* Still sweeping and arming. A moment's value. */
bool mo_pace_is_before_mark(void);
void mo_pace_begin_mark(void);
/* Marking is done, what was written is left. */
void mo_pace_mark_done(void);
void mo_pace_brake(void);
void mo_pace_end(void);
/* Between the two nobody waits: a thread that allocates may hold what the collector wants next. */
uint32_t mo_pace_suspend(void);
void mo_pace_resume(uint32_t phase);
/* A mark worker says what it did since it said so last. true: marking is in step with allocation,
 * so that it may give way to threads that want its processor. */
bool mo_pace_did(uint64_t bytes);
/* Nanoseconds that a thread which allocates size bytes, and has waited for waited_ns already,
 * should sleep now; 0: it goes on. is_asked: a collection was asked for. */
int64_t mo_pace_delay(size_t size, int64_t waited_ns, bool is_asked);

#endif
