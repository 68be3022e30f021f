/* crew.c - threads that come and go, and the gate at which they stand while all is verified. */
#include <limits.h>
#include <pthread.h>

#include "crew.h"
#include "market.h"

enum {
    MAX_WORKERS = 64,
    MAX_STEPS = 3000,
    SMALL_STACK_BYTES = 80 << 10, /* the deepest recursion here and printf fit */
    LARGE_STACK_BYTES = 64 << 20,
};

typedef struct berth {
    pthread_t thread;
    bool is_used, is_detached;
    int is_over; /* set by the worker */
} berth;

static berth berths[MAX_WORKERS]; /* the main thread's */
static uint64_t num_started;
static int is_ending;

static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_changed = PTHREAD_COND_INITIALIZER;
static int is_closed;                   /* written under gate_lock */
static unsigned num_inside, num_stands; /* guarded by gate_lock */

/* ---------------------------------------------------------------- threads */

void thread_start(pthread_t *thread, bool is_detached, void *(*fn)(void *), void *arg, mo_rand *r) {
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    uint64_t size = mo_rand_below(r, 4);
    if (size == 0) pthread_attr_setstacksize(&attr, SMALL_STACK_BYTES);
    if (size == 1) pthread_attr_setstacksize(&attr, LARGE_STACK_BYTES);
    if (is_detached) pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    int err = pthread_create(thread, &attr, fn, arg);
    require(err == 0, "pthread_create: %d", err);
    pthread_attr_destroy(&attr);
    count_add(COUNT_THREADS, 1);
}

static void enlist(berth *b, mo_rand *r) {
    worker_order *order = mound_new(worker_order);
    order->gift = one_in(r, 4) ? NULL : thing_make(r);
    order->number = ++num_started;
    order->is_over = &b->is_over;
    order->num_steps = (unsigned)between(r, 1, MAX_STEPS);
    pthread_mutex_lock(&gate_lock);
    num_inside++;
    pthread_mutex_unlock(&gate_lock);
    b->is_used = true;
    b->is_detached = one_in(r, 3);
    STORE(&b->is_over, 0);
    thread_start(&b->thread, b->is_detached, worker_main, order, r);
}

/* Its result is referred to by nothing but the thread that has ended. */
static void dismiss(berth *b, mo_rand *r) {
    b->is_used = false;
    if (b->is_detached) return;
    if (one_in(r, 4)) {
        pthread_detach(b->thread);
        return;
    }
    void *result;
    int err = pthread_join(b->thread, &result);
    require(err == 0, "pthread_join: %d", err);
    if (!result) return;
    thing_verify(result, "the result of a thread");
    market_exchange(result, r);
}

void crew_tend(mo_rand *r) {
    for (unsigned i = 0; i < soak.threads && i < MAX_WORKERS; i++) {
        berth *b = &berths[i];
        if (b->is_used && LOAD(&b->is_over)) dismiss(b, r);
        if (!b->is_used && !crew_is_ending()) enlist(b, r);
    }
}

bool crew_is_ending(void) { return LOAD(&is_ending); }

void crew_end(mo_rand *r) {
    STORE(&is_ending, 1);
    for (;;) {
        crew_tend(r);
        bool any = false;
        for (int i = 0; i < MAX_WORKERS; i++) any |= berths[i].is_used;
        if (!any) return;
        sleep_ms(5);
    }
}

/* ---------------------------------------------------------------- the gate */

void gate_close(void) {
    pthread_mutex_lock(&gate_lock);
    STORE(&is_closed, 1);
    while (num_stands < num_inside) pthread_cond_wait(&gate_changed, &gate_lock);
    pthread_mutex_unlock(&gate_lock);
}

void gate_open(void) {
    pthread_mutex_lock(&gate_lock);
    STORE(&is_closed, 0);
    pthread_cond_broadcast(&gate_changed);
    pthread_mutex_unlock(&gate_lock);
}

bool gate_is_closed(void) { return LOAD(&is_closed); }

void gate_wait(void) {
    pthread_mutex_lock(&gate_lock);
    num_stands++;
    pthread_cond_broadcast(&gate_changed);
    while (is_closed) pthread_cond_wait(&gate_changed, &gate_lock);
    num_stands--;
    pthread_mutex_unlock(&gate_lock);
}

void gate_leave(void) {
    pthread_mutex_lock(&gate_lock);
    num_inside--;
    pthread_cond_broadcast(&gate_changed);
    pthread_mutex_unlock(&gate_lock);
}
