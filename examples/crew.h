/* crew.h - queue and crew: what depgraph_threads.c has in place of channels and goroutines.
 *
 * Used by depgraph_threads.c, which includes the heap first.
 */
#ifndef EXAMPLES_CREW_H
#define EXAMPLES_CREW_H

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "containers.h"

enum {
    BATCH_LEN = 64, /* items that cross a queue together */
    QUEUE_LEN = 16, /* batches in a queue before a writer waits */
    MAX_CREW = 256, /* threads */
};

/* ---------------------------------------------------------------- queue of batches
 * A batch is a vec of up to BATCH_LEN items: one lock and at most one wake-up for all of them. */

typedef struct queue {
    pthread_mutex_t lock;
    pthread_cond_t has_item, has_room;
    vec *items[QUEUE_LEN]; /* a ring: len of them from head on */
    size_t head, len;
    long num_writers; /* 0: no more will come */
} queue;

static queue *queue_make(long num_writers) {
    queue *q = mound_new(queue);
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->has_item, NULL);
    pthread_cond_init(&q->has_room, NULL);
    q->num_writers = num_writers;
    return q;
}

/* Adds *batch when it is full, or with flush when it has anything, and starts a new one. */
static void queue_put(queue *q, vec **batch, bool flush) {
    if ((*batch)->len < (flush ? 1 : BATCH_LEN)) { return; }
    pthread_mutex_lock(&q->lock);
    while (q->len == QUEUE_LEN) { pthread_cond_wait(&q->has_room, &q->lock); }
    q->items[(q->head + q->len++) % QUEUE_LEN] = *batch;
    pthread_cond_signal(&q->has_item);
    pthread_mutex_unlock(&q->lock);
    *batch = mound_new(vec);
}

/* The last batch of one writer, and its farewell. */
static void queue_finish(queue *q, vec *batch) {
    queue_put(q, &batch, true);
    pthread_mutex_lock(&q->lock);
    q->num_writers--;
    pthread_cond_broadcast(&q->has_item);
    pthread_mutex_unlock(&q->lock);
}

/* The next batch; NULL when the queue is empty and all writers have finished. */
static vec *queue_get(queue *q) {
    vec *batch = NULL;
    pthread_mutex_lock(&q->lock);
    while (q->len == 0 && q->num_writers > 0) { pthread_cond_wait(&q->has_item, &q->lock); }
    if (q->len > 0) {
        batch = q->items[q->head];
        q->items[q->head] = NULL; /* else the slot would keep the batch alive */
        q->head = (q->head + 1) % QUEUE_LEN;
        q->len--;
        pthread_cond_signal(&q->has_room);
    }
    pthread_mutex_unlock(&q->lock);
    return batch;
}

/* ---------------------------------------------------------------- crew: threads on one job */

typedef struct crew {
    pthread_t threads[MAX_CREW];
    long num;
} crew;

static void crew_start(crew *c, long num, void *(*job)(void *), void *arg) {
    for (c->num = 0; c->num < num; c->num++) {
        int err = pthread_create(&c->threads[c->num], NULL, job, arg);
        if (err != 0) {
            fprintf(stderr, "depgraph: start thread %ld: %s\n", c->num, strerror(err));
            exit(1);
        }
    }
}

static void crew_join(crew *c) {
    for (long i = 0; i < c->num; i++) { pthread_join(c->threads[i], NULL); }
}

#endif
