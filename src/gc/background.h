/* background.h - the background thread: sweeps, gives memory back, collects when idle.
 * Floor gc. */
#ifndef MO_BACKGROUND_H
#define MO_BACKGROUND_H

#include "base/compiler.h"

/* Starts the thread unless it runs; cheap when it does. Inside the runtime, no lock held. */
void mo_background_start_once(void);
void mo_background_after_fork(void);

#endif
