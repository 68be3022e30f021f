/* orchard.h - leaves, each in one slot, that are swapped between slots. */
#ifndef SOAK_ORCHARD_H
#define SOAK_ORCHARD_H

#include "soak.h"

typedef struct leaf leaf;

void orchard_plant(mo_rand *r);
/* Swaps the leaves of random slots through this thread's registers. */
void orchard_swap(mo_rand *r);
/* Leaves travel through slots of new objects. */
void orchard_pass_through_new(mo_rand *r);
/* Drops some leaves, or frees them, and puts others with their numbers there. */
void orchard_replace(mo_rand *r);
/* Takes a leaf out: the caller has the only pointer to it until it puts it back. */
leaf *orchard_take(mo_rand *r);
void orchard_put(leaf *l, mo_rand *r);
void leaf_verify(const leaf *l, const char *where);
/* In a forked child: verifies what nobody held locked at the fork. */
void orchard_verify_some(mo_rand *r);
/* While all workers stand and hold none: every leaf is there once. */
void orchard_count(void);

#endif
