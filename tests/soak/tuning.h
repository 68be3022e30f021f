/* tuning.h - the collector's settings. */
#ifndef SOAK_TUNING_H
#define SOAK_TUNING_H

#include "soak.h"

/* Called often by the main thread; changes something now and then. */
void tuning_step(mo_rand *r);

#endif
