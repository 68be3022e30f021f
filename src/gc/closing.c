/* closing.c - see closing.h.
 *
 * libc's own mutex, because it is held while the program's code runs (an object's destructors):
 * who waits for it is not inside the runtime, and a stop interrupts the wait.
 *
 * Floor   gc.
 * Locks   closing lock, before all others.
 */
#define _GNU_SOURCE
#include "gc/closing.h"

#include <pthread.h>
#include <time.h>

#include "base/compiler.h"

enum { WAIT_SECONDS = 1 };

static MO_GLOBAL pthread_mutex_t closing_lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
/* How often this thread has it. */
static __thread uint32_t depth __attribute__((tls_model("initial-exec")));
static __thread bool is_held_by_fork __attribute__((tls_model("initial-exec")));

void mo_closing_begin(void) {
    pthread_mutex_lock(&closing_lock);
    depth++;
}

void mo_closing_end(void) {
    depth--;
    pthread_mutex_unlock(&closing_lock);
}

void mo_closing_fork_begin(void) {
#if !MO_MUTANT_fork_beside_dlclose
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += WAIT_SECONDS;
    is_held_by_fork = pthread_mutex_timedlock(&closing_lock, &end) == 0;
#endif
}

void mo_closing_fork_end(void) {
    if (is_held_by_fork) pthread_mutex_unlock(&closing_lock);
    is_held_by_fork = false;
}

/* The owner is known by its number, which is another one here. */
void mo_closing_fork_end_in_child(void) {
    closing_lock = (pthread_mutex_t)PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
    for (uint32_t i = 0; i < depth; i++) pthread_mutex_lock(&closing_lock);
    is_held_by_fork = false;
}
