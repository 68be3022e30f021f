/* sysmon.h - the thread that watches the processors. Floor sched. */
#ifndef MO_SYSMON_H
#define MO_SYSMON_H

/* What lies above, set at start. */
typedef struct mo_sched_hooks {
    void (*deadlock)(void); /* all goroutines wait for ever */
    void (*dump)(void);     /* was asked for by mo_sysmon_ask_dump */
} mo_sched_hooks;
extern mo_sched_hooks mo_sched_upward;

void mo_sysmon_start_once(void);
/* It may sleep for long: something runs now. */
void mo_sysmon_kick(void);
/* From a signal handler too. */
void mo_sysmon_ask_dump(void);
/* In the child of a fork. */
void mo_sysmon_after_fork(void);

#endif
