/* interpose.h - how the interposed libc functions reach the floors above. Floor sched. */
#ifndef MO_INTERPOSE_H
#define MO_INTERPOSE_H

#include <pthread.h>
#include <signal.h>

#include "base/compiler.h"
#include "sys/lock.h"

typedef struct mo_interpose_hooks {
    bool (*start)(void); /* starts the runtime if need be; false: it cannot start */
    /* Memory that is a root until freed; NULL if exhausted. */
    void *(*start_record_alloc)(size_t size);
    void (*start_record_free)(void *record);
    void *(*before_dlclose)(void); /* the token is for the other */
    void (*after_dlclose)(void *token);
} mo_interpose_hooks;

extern mo_interpose_hooks mo_interpose;
/* The first of them, needed before anything could fill it in; defined in gc/start.c. */
bool mo_start_for_thread(void);

/* Guards the list of start records; for fork. */
mo_lock *mo_records_lock(void);

/* The calling thread is in a callback of dl_iterate_phdr, and must not start a thread. */
bool mo_in_loader_callback(void);

/* libc's own, for the library's threads. */
int mo_real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
                           void *arg);
int mo_real_pthread_sigmask(int how, const sigset_t *set, sigset_t *old);

#endif
