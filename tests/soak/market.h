/* market.h - things that all workers share, each in a place with a lock. */
#ifndef SOAK_MARKET_H
#define SOAK_MARKET_H

#include "thing.h"

void market_open(mo_rand *r);
/* Leaves mine at a random stall and returns what was there; either may be NULL. */
thing *market_exchange(thing *mine, mo_rand *r);
/* Verifies and changes what is at a random stall. */
void market_change(mo_rand *r);
/* Moves parts between the things of two random stalls. */
void market_trade(mo_rand *r);
/* Moves a stall to another kind of memory. */
void market_rebuild(mo_rand *r);
/* In a forked child: verifies what nobody held locked at the fork. */
void market_verify_some(mo_rand *r);
/* While all workers stand. */
void market_verify(void);

#endif
