/* g.h - goroutines, and what else can wait where they do. Floor sched.
 *
 *   G    a goroutine: a function on a stack of its own. A thread that is no machine has a G too, by
 *        which it waits (is_thread): it has no stack of ours and is never in a run queue
 *   M    a machine: a thread that runs goroutines
 *   P    a processor: a run queue, and the right to run; an M needs one to run a G
 *   g0   what an M runs when it runs no G: the scheduler, on the thread's own stack
 *
 * A G's record is not on its stack: one that is parked touches a single page of its own. Records
 * are never given back: a late look at one finds a record.
 */
#ifndef MO_G_H
#define MO_G_H

#include "sched/runq.h"
#include "sched/stack.h"
#include "sched/thread.h"
#include "sys/context.h"

typedef enum mo_g_state {
    MO_G_DEAD,     /* no goroutine; stack may be kept for the next one */
    MO_G_RUNNABLE, /* in one run queue */
    MO_G_RUNNING,  /* its thread's g */
    MO_G_WAITING,  /* in a queue of what it waits for, by a record on its own stack */
} mo_g_state;

typedef enum mo_wait_reason {
    MO_WAIT_NONE,
    MO_WAIT_CHAN_SEND,
    MO_WAIT_CHAN_RECV,
    MO_WAIT_NIL_CHAN,
    MO_WAIT_SELECT,
    MO_WAIT_EMPTY_SELECT,
    MO_WAIT_SLEEP,
    MO_WAIT_MUTEX,
    MO_WAIT_RWMUTEX_R,
    MO_WAIT_RWMUTEX_W,
    MO_WAIT_WAITGROUP,
    MO_WAIT_COND,
    MO_WAIT_ONCE,
    MO_WAIT_COUNT
} mo_wait_reason;

struct mo_m;

typedef struct mo_g {
    mo_context context; /* while it does not run */
    uint32_t state;     /* atomic: mo_g_state; who owns it writes */
    uint32_t epoch;     /* of the run that it belongs to; those of earlier ones never run again */
    struct mo_g *next;  /* in the one list that it is in */
    uint32_t is_held;   /* atomic: its stack is being given back; shrink.c [H] */
    uint32_t shrunk_ms; /* atomic: waits_since_ms of the wait in which that was done; g lock */
    mo_stack stack;     /* lo == 0: none */
    void (*fn)(void *arg);  /* for reports */
    uint64_t id;            /* 1: the first of its run */
    struct mo_m *locked_to; /* runs there only; NULL: anywhere */
    uint32_t num_locks;     /* of mound_lock_os_thread */
    uint32_t selected;      /* atomic: of a select that waits, 1: somebody serves it */
    const void *served;     /* the waiter that was served; owner of the channel's lock writes */
    /* What people ask about. */
    uint32_t reason;         /* mo_wait_reason; atomic */
    uint32_t waits_since_ms; /* coarse, since the start of the run; atomic */
    const void *waits_for;   /* atomic */
    const void *created_at;  /* code address */
    uint64_t creator;        /* id; 0: a thread that is no goroutine */
    const char *name;        /* NULL: none; the caller's */
    uint32_t note;           /* is_thread: slept on; 1: ready */
    bool is_thread, is_first;
    bool has_returned;            /* its function has */
    void *tsan_fiber, *asan_fake; /* see fiber.h */
    uint32_t valgrind_id;
} mo_g;

/* Who waits for something, on its own stack. Lock: of what it waits for. */
typedef struct mo_waiter {
    mo_g *g;
    struct mo_waiter *next, *prev;
    void *elem;     /* where a value comes from or goes to; NULL: nowhere */
    bool is_select; /* it waits in several queues: who takes it out must win g->selected */
    bool ok;        /* served, and not because of a close */
    bool is_queued;
    uint8_t kind; /* of the queue's owner */
} mo_waiter;

/* A record with a stack of at least bytes, state DEAD; NULL: -errno in *error. */
mo_g *mo_g_alloc(size_t stack_bytes, int *error);
/* A record without a stack; NULL: memory is exhausted. */
mo_g *mo_g_alloc_bare(void);
/* Back to the records and stacks that are free; nobody runs on the stack. */
void mo_g_free(mo_g *g);
/* Up to max free records that have stacks of just that size, as a list. */
mo_g *mo_g_take_some(size_t stack_bytes, uint32_t max, uint32_t *num);
/* Frees the first max of a list of *num; returns the rest. */
mo_g *mo_g_free_some(mo_g *list, uint32_t max, uint32_t *num);
/* Gives the stacks of free records back, at most max; how many. */
size_t mo_g_trim(size_t max);
size_t mo_g_num_free(void); /* a moment's value */
/* Every record there ever was. */
uint64_t mo_g_count(void);
mo_g *mo_g_at(uint64_t i);
mo_lock *mo_g_lock(void);

#endif
