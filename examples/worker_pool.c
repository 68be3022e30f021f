/* worker_pool.c - a few workers share many jobs: who is free takes the next one.
 *
 * All workers receive from one channel of jobs and send to one of results. When the jobs are closed
 * the workers end. No single one of them may close the results: a goroutine does that waits for
 * all. Results come in any order, so each carries the number of its job.
 */
#include <mound.h>
#include <stdio.h>

enum { NUM_WORKERS = 4, NUM_JOBS = 12 };

typedef struct result {
    int job, steps;
} result;

typedef struct pool {
    MOUND_CHAN(int) jobs;
    MOUND_CHAN(result) results;
    mound_waitgroup workers;
} pool;

/* How many steps n takes to 1: halved if even, else three times n and one more. */
static int collatz_steps(long n) {
    int steps = 0;
    for (; n != 1; steps++) { n = n % 2 == 0 ? n / 2 : 3 * n + 1; }
    return steps;
}

static void work(void *arg) {
    pool *p = arg;
    int job;
    while (mound_recv(p->jobs, &job)) {
        result r = {job, collatz_steps(job)};
        mound_send(p->results, r);
    }
}

static void hand_out(void *arg) {
    pool *p = arg;
    for (int job = 1; job <= NUM_JOBS; job++) { mound_send(p->jobs, job); }
    mound_close(p->jobs);
    mound_waitgroup_wait(&p->workers);
    mound_close(p->results);
}

static int app(void *arg) {
    (void)arg;
    pool *p = mound_new(pool); /* shared by all, freed by nobody */
    p->jobs = mound_chan_make(int, 0);
    p->results = mound_chan_make(result, 0);
    for (int i = 0; i < NUM_WORKERS; i++) { mound_waitgroup_go(&p->workers, work, p); }
    mound_go(hand_out, p);
    int steps[NUM_JOBS + 1];
    for (result r; mound_recv(p->results, &r);) { steps[r.job] = r.steps; }
    for (int job = 1; job <= NUM_JOBS; job++) { printf("%2d: %2d steps\n", job, steps[job]); }
    return 0;
}

MOUND_MAIN(app)
