/* thing.h - self-checking structures. */
#ifndef SOAK_THING_H
#define SOAK_THING_H

#include "soak.h"

typedef struct thing_kind thing_kind;

/* One thread at a time uses a thing: its owner, or the holder of its place's lock. */
typedef struct thing {
    const thing_kind *kind; /* static data */
    void *body;             /* the kind's; nothing else points there */
    uint64_t id, check;
    size_t num; /* what the kind counts: nodes, elements */
    size_t sum; /* a second number of the kind's */
} thing;

struct thing_kind {
    const char *name;
    void (*make)(thing *t, mo_rand *r);
    void (*change)(thing *t, mo_rand *r);
    /* Moves parts between two things of this kind. */
    void (*trade)(thing *a, thing *b, mo_rand *r);
    /* NULL, or what is wrong with it. */
    const char *(*wrong)(const thing *t);
    /* Gives all parts back by mound_free. */
    void (*destroy)(thing *t);
};

extern const thing_kind tree_kind, list_kind, array_kind, record_kind;

thing *thing_make(mo_rand *r);
void thing_change(thing *t, mo_rand *r);
void thing_trade(thing *a, thing *b, mo_rand *r);
/* Fails unless all of it is there; where says who held it. */
void thing_verify(const thing *t, const char *where);
/* The caller's is the last pointer to it. */
void thing_destroy(thing *t);

/* A small object without pointers that knows what it must contain: at least 16 bytes. */
typedef struct seed {
    uint64_t id, check;
} seed;
seed *seed_make(mo_rand *r);
static inline bool seed_ok(const seed *s) { return s->check == check_word(s->id); }

#endif
