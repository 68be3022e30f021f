/* place.h - where the only pointer to an object stands. */
#ifndef SOAK_PLACE_H
#define SOAK_PLACE_H

#include "soak.h"

typedef enum place_kind {
    PLACE_DIRECT,   /* in the place itself: on a stack, or in global data */
    PLACE_HEAP,     /* in an object to which the place points */
    PLACE_MANUAL,   /* in uncollectable memory */
    PLACE_MALLOC,   /* in malloc's memory, an added root */
    PLACE_MMAP,     /* the last word of a mapping, an added root */
    PLACE_LOCAL,    /* thread-local: the owner's alone */
    PLACE_SPECIFIC, /* a pthread_setspecific value: likewise */
    NUM_PLACE_KINDS,
    NUM_SHARED_KINDS = PLACE_LOCAL,
} place_kind;

enum { PLACE_LOCALS = 8 }; /* places of one thread with thread-local memory */

typedef struct place {
    place_kind kind;
    unsigned idx; /* in the thread's locals */
    size_t num;   /* words of memory */
    void *direct;
    void **cell; /* where the pointer stands, for kinds with memory */
} place;

void place_init(void);
/* idx: different for all places that one thread has, below PLACE_LOCALS. */
void place_open(place *p, place_kind kind, unsigned idx, mo_rand *r);
void *place_get(const place *p);
void place_set(place *p, void *obj);
/* Gives its memory back; what it held is returned. */
void *place_close(place *p);
const char *place_name(place_kind kind);

#endif
