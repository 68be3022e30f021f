/* soak.h - what the parts of the soak share: options, counters, failing, the generator's helpers.
 *
 * The soak is one long random test of the collector (docs/testing.md). Its parts, each a file:
 *
 *   thing      a self-checking structure; kinds: tree, list, array, record
 *   place      where the only pointer to a thing stands: heap, stack, root, thread-local, ...
 *   market     things that all workers share, each in a place with a lock
 *   orchard    leaves, each in one slot, swapped between slots: a lost one is missed
 *   ticket     what a leaf's weak pointer and cleanup may say at which time
 *   couriers   goroutines that carry things from channel to channel
 *   loading    a shared object that holds things, loaded and unloaded
 *   process    fork and posix_spawn
 *   tuning     the collector's settings
 *   worker     one thread: steps drawn from its own generator
 *   crew       threads that come and go, and the gate at which they stand while all is verified
 *   report     counters, the line of a round, and what is printed at a failure
 *
 * What a thread does follows from the seed and its number alone; how threads interleave does not.
 */
#ifndef SOAK_H
#define SOAK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/rand.h"
#include "mound.h"

#define NOINLINE __attribute__((noinline))
#define LOAD(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define STORE(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define ADD(p, n) __atomic_add_fetch((p), (n), __ATOMIC_ACQ_REL)

typedef struct soak_options {
    uint64_t seed;
    unsigned seconds;
    unsigned threads; /* workers at a time */
    const char *program;
    char dir[4000]; /* the program's own: the plugins are there */
} soak_options;
extern soak_options soak;

/* ---------------------------------------------------------------- report */

typedef enum soak_count {
    COUNT_STEPS,
    COUNT_SWAPS,
    COUNT_THREADS,
    COUNT_FORKS,
    COUNT_SPAWNS,
    COUNT_LOADS,
    COUNT_DROPS,    /* leaves with a ticket that were dropped */
    COUNT_CLEANUPS, /* of those, how many had their cleanup */
    COUNT_CARRIED,  /* by goroutines; known at the end */
    NUM_COUNTS
} soak_count;

void count_add(soak_count what, uint64_t n);
uint64_t count_get(soak_count what);

/* What this thread is doing, for the report of a failure. */
extern __thread const char *soak_doing;
extern __thread uint64_t soak_worker; /* its number; 0: the main thread */
/* In a forked child: what other threads of the parent held is lost there. */
extern bool soak_is_child;

void report_start(void);
void report_round(unsigned seconds_left, size_t num_kept);
void report_end(void);
/* Says what is wrong, the seed and the command that repeats the run; aborts. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define require(cond, ...)                                                                         \
    do {                                                                                           \
        if (!(cond)) fail(__VA_ARGS__);                                                            \
    } while (0)

/* ---------------------------------------------------------------- small helpers */

static inline bool one_in(mo_rand *r, uint64_t n) { return mo_rand_below(r, n) == 0; }
static inline uint64_t between(mo_rand *r, uint64_t lo, uint64_t hi) {
    return lo + mo_rand_below(r, hi - lo + 1);
}

/* What an object that carries this id must carry beside it. */
static inline uint64_t check_word(uint64_t id) {
    id = (id ^ id >> 31) * 0x9E3779B97F4A7C15u;
    return (id ^ id >> 29) * 0xD1B54A32D192ED03u;
}

static inline uint64_t now_ms(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}
void sleep_ms(unsigned ms);
/* Overwrites what earlier calls left on this stack, as far as the smallest stack allows. */
void scrub_stack(void);
/* Allocates num objects and drops them: they take the place of what was freed. */
void litter(mo_rand *r, unsigned num);

#endif
