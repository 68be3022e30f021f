/* signal_stack.h - where the stop handler of a thread runs. Floor sched. */
#ifndef MO_SIGNAL_STACK_H
#define MO_SIGNAL_STACK_H

#include "sched/thread.h"

/* Of the calling thread, t. Where the program has set one, nothing is done. */
void mo_signal_stack_install(mo_thread *t);
void mo_signal_stack_remove(mo_thread *t);

#endif
