/* loading.h - shared objects that hold things, loaded and unloaded. */
#ifndef SOAK_LOADING_H
#define SOAK_LOADING_H

#include "thing.h"

/* Loads a plugin, or uses one: gives it mine (may be NULL), returns a thing it held, or NULL.
 * Now and then unloads it: what it still held goes to the market. */
thing *loading_step(thing *mine, mo_rand *r);
/* While all workers stand. */
void loading_verify(void);

#endif
