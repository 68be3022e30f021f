/* couriers.h - goroutines that carry things from channel to channel. */
#ifndef SOAK_COURIERS_H
#define SOAK_COURIERS_H

#include "soak.h"

/* They run in threads of the library until couriers_end, which finds all things again. */
void couriers_start(mo_rand *r);
void couriers_end(void);

#endif
