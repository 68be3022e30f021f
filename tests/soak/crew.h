/* crew.h - threads that come and go, and the gate at which they stand while all is verified. */
#ifndef SOAK_CREW_H
#define SOAK_CREW_H

#include "thing.h"

/* What a worker is told; nothing but the new thread points to it. */
typedef struct worker_order {
    thing *gift;
    uint64_t number;
    int *is_over; /* set by the worker at its end */
    unsigned num_steps;
} worker_order;

/* worker.c; returns a thing. */
void *worker_main(void *order);

/* A thread with a small, the usual or a large stack. */
void thread_start(pthread_t *thread, bool is_detached, void *(*fn)(void *), void *arg, mo_rand *r);

/* Called often by the main thread: joins workers that ended, makes new ones. */
void crew_tend(mo_rand *r);
/* Lets all workers end, and waits for them. */
void crew_end(mo_rand *r);
bool crew_is_ending(void);

/* The main thread: returns when every worker stands in gate_wait or has ended. */
void gate_close(void);
void gate_open(void);
/* A worker: asks between steps; holds no leaf when it waits. */
bool gate_is_closed(void);
void gate_wait(void);
void gate_leave(void); /* it ends */

#endif
