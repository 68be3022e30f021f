/* driver.h - the thread that collects while the program runs. Floor gc. */
#ifndef MO_DRIVER_H
#define MO_DRIVER_H

#include "gc/gc.h"

/* Asks for a collection while threads run; returns at once. false: there is no such thread, and
 * none can be made. */
bool mo_driver_ask(mo_gc_reason reason);
/* It collects, or was asked to. A moment's value. */
bool mo_driver_is_busy(void);
/* Waits until a collection with that number or a later one is over. From inside the runtime; the
 * caller counts as stopped meanwhile. */
void mo_driver_await(mo_thread *t, uint64_t number);
/* Sleeps that long, or until a collection ends; likewise. */
void mo_driver_nap(mo_thread *t, int64_t ns);
/* In the child of a fork: it is gone. */
void mo_driver_after_fork(void);

#endif
