/* census.h - threads of the process that the registry does not know. Floor sched. */
#ifndef MO_CENSUS_H
#define MO_CENSUS_H

/* World stopped: names each such thread once, on stderr. Neither allocates nor locks. */
void mo_census_name_unknown(void);
/* In the child of a fork: numbers may come again. */
void mo_census_after_fork(void);

#endif
