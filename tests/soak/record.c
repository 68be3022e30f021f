/* record.c - arrays of a type, scanned precisely when they are one element or above 32 KiB. One
 * pointer leads to the beginning of an object, the other into its middle. num: records. */
#include "thing.h"

enum { MAX_RECORDS = 1200 };

typedef struct record {
    uint64_t id;
    seed *whole;
    uint64_t number; /* no pointer */
    uint64_t *part;  /* the check word of a seed */
    uint64_t check;
} record;
MOUND_TYPE(record, whole, part);

static void renew(record *e, mo_rand *r) {
    e->id = mo_rand_next(r);
    e->check = check_word(e->id);
    e->whole = seed_make(r);
    e->part = &seed_make(r)->check;
    e->number = mo_rand_below(r, 1 << 20);
}

static void make(thing *t, mo_rand *r) {
    t->num = one_in(r, 3) ? 1 : between(r, 1, MAX_RECORDS);
    record *all = mound_alloc_typed(MOUND_TYPEOF(record), t->num);
    t->body = all;
    for (size_t i = 0; i < t->num; i++) renew(&all[i], r);
}

static void swap_parts(record *a, record *b) {
    uint64_t *held = a->part;
    a->part = b->part;
    b->part = held;
}
static void swap_wholes(record *a, record *b) {
    seed *held = a->whole;
    a->whole = b->whole;
    b->whole = held;
}

static void change(thing *t, mo_rand *r) {
    record *all = t->body;
    for (int k = 0; k < 60; k++) {
        record *a = &all[mo_rand_below(r, t->num)], *b = &all[mo_rand_below(r, t->num)];
        switch (mo_rand_below(r, 3)) {
        case 0: renew(a, r); break;
        case 1: swap_parts(a, b); break;
        case 2: swap_wholes(a, b); break;
        }
    }
}

static void trade(thing *a, thing *b, mo_rand *r) {
    record *all_a = a->body, *all_b = b->body;
    for (int k = 0; k < 60; k++) {
        swap_parts(&all_a[mo_rand_below(r, a->num)], &all_b[mo_rand_below(r, b->num)]);
        swap_wholes(&all_a[mo_rand_below(r, a->num)], &all_b[mo_rand_below(r, b->num)]);
    }
}

static const char *wrong(const thing *t) {
    const record *all = t->body;
    for (size_t i = 0; i < t->num; i++) {
        if (all[i].check != check_word(all[i].id)) return "a record was lost";
        if (!seed_ok(all[i].whole)) return "an object was lost";
        if (!seed_ok((const seed *)(const void *)(all[i].part - 1)))
            return "an object with an address into its middle was lost";
    }
    return NULL;
}

static void destroy(thing *t) {
    record *all = t->body;
    for (size_t i = 0; i < t->num; i++) {
        mound_free(all[i].whole);
        mound_free(all[i].part - 1);
    }
    mound_free(all);
}

const thing_kind record_kind = {"record array", make, change, trade, wrong, destroy};
