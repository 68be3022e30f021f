/* fork.h - see fork.c. Floor gc. */
#ifndef MO_FORK_H
#define MO_FORK_H

/* Registers the handlers. 0 or an error number. */
int mo_fork_init(void);

#endif
