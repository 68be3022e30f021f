/* couriers.c - goroutines that carry things from channel to channel.
 *
 * A thing is in a channel's buffer, or its only pointer is on the stack of a courier, who waits
 * most of the time: for something to carry, for a post that takes it, for a timer, for a lock.
 * Couriers end and start others, on stacks of several sizes, and verify what they carry at the
 * depth of a recursion, so that stacks grow, are given back and used again.
 */
#include "couriers.h"

#include <pthread.h>

#include "thing.h"

enum { NUM_POSTS = 12, MAX_CAP = 4, NUM_THINGS = 40, NUM_COURIERS = 60, MAX_DEPTH = 60 };

typedef MOUND_CHAN(thing *) thing_chan;

static thing_chan posts[NUM_POSTS];
static MOUND_CHAN(char) over; /* closed at the end */
static mound_waitgroup group;
static mound_mutex ledger;
static uint64_t num_carried; /* ledger */
static int num_back;         /* ledger: things that came back at the end */
static uint64_t next_number; /* atomic */
static uint64_t first_seed;
static pthread_t runner;

static NOINLINE void verify_deep(const thing *t, unsigned depth) {
    volatile char frame[1000];
    frame[0] = (char)depth;
    if (depth == 0)
        thing_verify(t, "a courier");
    else
        verify_deep(t, depth - 1);
    require(frame[0] == (char)depth, "a courier's frame was overwritten");
}

/* NULL: it is over. */
static thing *fetch(mo_rand *r) {
    for (;;) {
        thing *t = NULL;
        mound_case cases[] = {MOUND_RECV(posts[mo_rand_below(r, NUM_POSTS)], &t),
                              MOUND_RECV(posts[mo_rand_below(r, NUM_POSTS)], &t),
                              MOUND_RECV_ANY(over),
                              MOUND_RECV_ANY(mound_after(MOUND_US(between(r, 10, 3000))))};
        int i = mound_select(cases, 4);
        require(i > 1 || (cases[i].ok && t), "a post gave nothing");
        if (i < 2) return t;
        if (i == 2) return NULL;
    }
}

/* false: it is over, and t is still here. */
static bool deliver(thing *t, mo_rand *r) {
    for (;;) {
        mound_case cases[] = {MOUND_SEND(posts[mo_rand_below(r, NUM_POSTS)], &t),
                              MOUND_SEND(posts[mo_rand_below(r, NUM_POSTS)], &t),
                              MOUND_RECV_ANY(over),
                              MOUND_RECV_ANY(mound_after(MOUND_US(between(r, 10, 3000))))};
        int i = mound_select(cases, 4);
        if (i < 2) return true;
        if (i == 2) return false;
    }
}

static void note(int carried, int back) {
    mound_mutex_lock(&ledger);
    num_carried += (uint64_t)carried;
    num_back += back;
    mound_mutex_unlock(&ledger);
}

static void courier_main(void *arg);
static void start_courier(mo_rand *r) {
    mound_go_options o = {.name = "courier", .is_pinned = one_in(r, 50)};
    if (one_in(r, 3)) o.stack_bytes = (size_t)128 << (10 + mo_rand_below(r, 4));
    mound_waitgroup_add(&group, 1);
    require(mound_go_opt(&o, courier_main, NULL) == 0, "a courier cannot be started");
}

static void courier_main(void *arg) {
    mo_rand rand, *r = &rand;
    (void)arg;
    mo_rand_seed(r, first_seed + ADD(&next_number, 1));
    bool is_over = false;
    for (uint64_t left = between(r, 10, 300); left > 0 && !is_over; left--) {
        thing *t = fetch(r);
        if (!t) {
            is_over = true;
            break;
        }
        verify_deep(t, (unsigned)mo_rand_below(r, MAX_DEPTH));
        if (one_in(r, 3)) thing_change(t, r);
        if (one_in(r, 4)) litter(r, 20);
        if (one_in(r, 20)) mound_sleep(MOUND_US(between(r, 0, 2000)));
        if (one_in(r, 20)) t = thing_make(r); /* the old one is garbage */
        if (one_in(r, 100)) mound_gosched();
        is_over = !deliver(t, r);
        if (is_over) verify_deep(t, 0);
        note(1, is_over);
    }
    if (!is_over) start_courier(r);
    mound_waitgroup_done(&group);
}

static int run_couriers(void *arg) {
    mo_rand rand, *r = &rand;
    (void)arg;
    mo_rand_seed(r, first_seed);
    for (int i = 0; i < NUM_COURIERS; i++) start_courier(r);
    for (int i = 0; i < NUM_THINGS; i++) require(deliver(thing_make(r), r), "over too early");
    mound_waitgroup_wait(&group);
    thing *t;
    for (int i = 0; i < NUM_POSTS; i++) {
        mound_close(posts[i]);
        for (; mound_recv(posts[i], &t); num_back++) thing_verify(t, "a post");
    }
    return 0;
}

static void *runner_main(void *arg) {
    require(mound_run(run_couriers, arg) == 0, "mound_run failed");
    return NULL;
}

void couriers_start(mo_rand *r) {
    first_seed = mo_rand_next(r);
    over = mound_chan_make(char, 0);
    for (int i = 0; i < NUM_POSTS; i++)
        posts[i] = mound_chan_make(thing *, mo_rand_below(r, MAX_CAP + 1));
    require(pthread_create(&runner, NULL, runner_main, NULL) == 0, "no thread for the couriers");
}

void couriers_end(void) {
    soak_doing = "waiting for the couriers";
    mound_close(over);
    pthread_join(runner, NULL);
    require(num_back == NUM_THINGS, "of %d things that were carried %d came back", NUM_THINGS,
            num_back);
    count_add(COUNT_CARRIED, num_carried);
}
