/* market.c - things that all workers share, each in a place with a lock. */
#include "market.h"

#include <pthread.h>

#include "place.h"

enum { MIN_STALLS = 30, MAX_STALLS = 250 };

typedef struct stall {
    pthread_mutex_t lock;
    place place; /* guarded by lock, as is the thing */
} stall;

static stall stalls[MAX_STALLS];
static unsigned num_stalls; /* so that the heap is small in one run and larger in another */

static stall *any_stall(mo_rand *r) { return &stalls[mo_rand_below(r, num_stalls)]; }

static void verify(const stall *s) {
    const thing *t = place_get(&s->place);
    if (t) thing_verify(t, place_name(s->place.kind));
}

void market_open(mo_rand *r) {
    num_stalls = (unsigned)between(r, MIN_STALLS, MAX_STALLS);
    for (unsigned i = 0; i < num_stalls; i++) {
        pthread_mutex_init(&stalls[i].lock, NULL);
        place_open(&stalls[i].place, (place_kind)(i % NUM_SHARED_KINDS), 0, r);
        place_set(&stalls[i].place, thing_make(r));
    }
}

thing *market_exchange(thing *mine, mo_rand *r) {
    stall *s = any_stall(r);
    pthread_mutex_lock(&s->lock);
    thing *t = place_get(&s->place);
    place_set(&s->place, mine);
    pthread_mutex_unlock(&s->lock);
    return t;
}

void market_change(mo_rand *r) {
    stall *s = any_stall(r);
    pthread_mutex_lock(&s->lock);
    thing *t = place_get(&s->place);
    if (t) thing_change(t, r);
    verify(s);
    pthread_mutex_unlock(&s->lock);
}

void market_trade(mo_rand *r) {
    stall *a = any_stall(r), *b = any_stall(r);
    if (a == b) return;
    pthread_mutex_lock(a < b ? &a->lock : &b->lock);
    pthread_mutex_lock(a < b ? &b->lock : &a->lock);
    thing *t = place_get(&a->place), *u = place_get(&b->place);
    if (t && u) thing_trade(t, u, r);
    pthread_mutex_unlock(&a->lock);
    pthread_mutex_unlock(&b->lock);
}

void market_rebuild(mo_rand *r) {
    stall *s = any_stall(r);
    pthread_mutex_lock(&s->lock);
    void *t = place_close(&s->place);
    place_open(&s->place, (place_kind)mo_rand_below(r, NUM_SHARED_KINDS), 0, r);
    place_set(&s->place, t);
    pthread_mutex_unlock(&s->lock);
}

void market_verify_some(mo_rand *r) {
    for (int i = 0; i < MIN_STALLS; i++) {
        stall *s = any_stall(r);
        if (pthread_mutex_trylock(&s->lock) != 0) continue; /* by a thread that is gone */
        verify(s);
        pthread_mutex_unlock(&s->lock);
    }
}

void market_verify(void) {
    for (unsigned i = 0; i < num_stalls; i++) verify(&stalls[i]);
}
