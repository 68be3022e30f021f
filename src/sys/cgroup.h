/* cgroup.h - what the control group of this process allows. Floor sys. */
#ifndef MO_CGROUP_H
#define MO_CGROUP_H

#include "base/compiler.h"

/* The smallest memory.max (version 2) or memory.limit_in_bytes (version 1) of this process's group
 * and those above it, in bytes; INT64_MAX: none. Keeps errno, allocates nothing. */
int64_t mo_cgroup_memory_limit(void);

/* The smallest share of processors, in thousandths of one, that cpu.max (version 2) or
 * cpu.cfs_quota_us (version 1) allow; INT64_MAX: no limit. */
int64_t mo_cgroup_cpu_millis(void);

/* For tests: the directory where groups are mounted, and the file that names this process's,
 * instead of the system's. NULL: those. */
void mo_cgroup_look_in(const char *mount, const char *self);

#endif
