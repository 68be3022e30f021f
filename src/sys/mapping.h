/* mapping.h - what lies around an address, from /proc/self/maps. Floor sys. */
#ifndef MO_MAPPING_H
#define MO_MAPPING_H

#include "base/compiler.h"

/* The readable mapping that contains addr; false if there is none or the file cannot be read.
 * Neither allocates nor locks: may be called while the world is stopped. */
bool mo_mapping_of(uintptr_t addr, uintptr_t *lo, uintptr_t *hi);
/* The end of what is readable in [lo, hi), lo if nothing is. A system call per page. */
uintptr_t mo_mapping_readable_end(uintptr_t lo, uintptr_t hi);

#endif
