/* climb.h - how many processors the goroutines are worth. Floor sched.
 *
 * Where goroutines do little but hand values to each other, a second processor can be a loss: each
 * value then has to cross from one to the other, and one processor alone moves more of them. Which
 * it is cannot be told from the code, and not from how busy the processors are. So it is tried:
 * now and then, while messages are frequent, half of the processors are held back for two
 * milliseconds, or those held back are let go; what moves more messages stays.
 *
 * Threads: one, sysmon. No locks, no clock: what it decides follows from the samples alone.
 *
 * The idea is hill climbing as thread pools do it, e.g. that of .NET. Go has nothing like it: there
 * GOMAXPROCS is set by hand.
 */
#ifndef MO_CLIMB_H
#define MO_CLIMB_H

#include <stdbool.h>
#include <stdint.h>

typedef struct mo_climb_sample {
    uint64_t ns;
    uint64_t messages; /* sent or received so far, goroutines started included */
    uint32_t switches; /* so far, modulo 2^32 */
    uint32_t busy;     /* processors at work now */
    uint32_t max;      /* that may be */
} mo_climb_sample;

typedef enum mo_climb_phase {
    MO_CLIMB_WATCH,  /* how things go as they are */
    MO_CLIMB_SETTLE, /* another number of processors takes effect */
    MO_CLIMB_TRY,    /* how things go with it */
} mo_climb_phase;

typedef struct mo_climb {
    mo_climb_sample since; /* where the present window began */
    mo_climb_phase phase;
    bool is_up;                      /* the next try is with more */
    uint32_t allowed;                /* 0: all */
    uint32_t allowed_before;         /* the try */
    double rate_before;              /* messages a nanosecond */
    uint64_t next_try_ns, period_ns; /* the longer, the more tries were in vain */
} mo_climb;

/* How many processors may be at work from now on: 1 to at->max. */
uint32_t mo_climb_step(mo_climb *c, const mo_climb_sample *at);

/* When the next step is due at the latest; before that it changes nothing. INT64_MAX: any time. */
int64_t mo_climb_delay_ns(const mo_climb *c);
bool mo_climb_is_due(const mo_climb *c, uint64_t now_ns);

#endif
