/* holes.h - blocks that were given back in part, kept from being filled up again. Floor heap. */
#ifndef MO_HOLES_H
#define MO_HOLES_H

#include "sys/lock.h"

void mo_holes_init(void);
/* Whether the system fills blocks up (the default). Atomic; before or under the heap lock. */
void mo_holes_fill_up(bool does);
/* Around giving back a part of a block, until the page heap knows of it. false: nothing to do, and
 * no mo_holes_end. */
bool mo_holes_begin(uint32_t block);
void mo_holes_end(void);
/* Blocks without holes may have huge pages again. Now and then, by the background. */
void mo_holes_mend(void);
mo_lock *mo_holes_lock(void); /* for fork */

#endif
