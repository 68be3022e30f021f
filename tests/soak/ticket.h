/* ticket.h - what an object's weak pointer and cleanup may say at which time. */
#ifndef SOAK_TICKET_H
#define SOAK_TICKET_H

#include "soak.h"

typedef struct ticket ticket;

void ticket_init(void);
/* A weak pointer to obj and a cleanup on it; NULL if all tickets are in use. */
ticket *ticket_make(void *obj);
/* obj is reachable: its weak pointer must say so. */
void ticket_check(const ticket *t, const void *obj);
/* The cleanup must not run any more. */
void ticket_stop(ticket *t);
/* To be called before the last pointer to the object goes. */
void ticket_drop(ticket *t);
/* The object was given back by mound_free. */
void ticket_check_freed(const ticket *t);
/* While all workers stand: collects until nearly all dropped objects are gone and have had their
 * cleanup; returns how many are not. Fails if too many are left. */
size_t ticket_settle(unsigned num_threads);

#endif
