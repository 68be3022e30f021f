/* environment.h - the MOUND_* variables. Floor gc. */
#ifndef MO_ENVIRONMENT_H
#define MO_ENVIRONMENT_H

#include "gc/gc.h"
#include "sched/sched.h"

typedef enum mo_barrier_choice {
    MO_BARRIER_AUTO, /* the OS's where it can be had */
    MO_BARRIER_OS,
    MO_BARRIER_NONE,
} mo_barrier_choice;

typedef struct mo_environment {
    int gc_percent;
    int signal;
    uint32_t max_workers;
    bool heap_ends;
    mo_barrier_choice barrier;
    uint64_t pause_target_ns;
    int64_t memory_limit;      /* bytes; INT64_MAX: none */
    mo_cpu_level vector_level; /* at most */
    mo_sched_settings sched;
    mo_debug debug;
} mo_environment;

/* false: error[] says which variable cannot be read, and what it may be. */
bool mo_environment_read(mo_environment *env, char *error, size_t error_len);

#endif
