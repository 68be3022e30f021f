/* array.c - arrays of pointers, small and large (above 32 KiB), resized by mound_realloc. num:
 * elements; sum: how many are not NULL. */
#include "thing.h"

enum { MAX_ELEMENTS = 20000, MAX_SEEDS = 1000 };

static void put(thing *t, size_t i, seed *s) {
    seed **element = t->body;
    t->sum += (s != NULL) - (element[i] != NULL);
    element[i] = s;
}

static size_t random_length(mo_rand *r) {
    return one_in(r, 3) ? between(r, 1, MAX_ELEMENTS) : between(r, 1, 600);
}

static void fill(thing *t, mo_rand *r) {
    for (size_t i = between(r, 1, MAX_SEEDS / 2); i > 0 && t->sum < MAX_SEEDS; i--)
        put(t, mo_rand_below(r, t->num), seed_make(r));
}

static void make(thing *t, mo_rand *r) {
    t->num = random_length(r);
    t->body = mound_new_array(seed *, t->num);
    fill(t, r);
}

static void resize(thing *t, mo_rand *r) {
    size_t num = random_length(r);
    for (size_t i = num; i < t->num; i++) put(t, i, NULL);
    seed **old = t->body;
    t->body = mound_realloc(old, num * sizeof *old);
    t->num = num;
}

static void change(thing *t, mo_rand *r) {
    seed **element = t->body;
    switch (mo_rand_below(r, 8)) {
    case 0: resize(t, r); break;
    case 1: fill(t, r); break;
    default:
        for (int k = 0; k < 200; k++) {
            size_t i = mo_rand_below(r, t->num), j = mo_rand_below(r, t->num);
            seed *held = element[i];
            element[i] = element[j];
            element[j] = held;
        }
    }
}

static void trade(thing *a, thing *b, mo_rand *r) {
    for (int k = 0; k < 100; k++) {
        size_t i = mo_rand_below(r, a->num), j = mo_rand_below(r, b->num);
        seed *held = ((seed **)a->body)[i];
        put(a, i, ((seed **)b->body)[j]);
        put(b, j, held);
    }
}

static const char *wrong(const thing *t) {
    seed **element = t->body;
    size_t num = 0;
    for (size_t i = 0; i < t->num; i++) {
        if (!element[i]) continue;
        if (!seed_ok(element[i])) return "an element was lost";
        num++;
    }
    return num == t->sum ? NULL : "it has the wrong number of elements";
}

static void destroy(thing *t) {
    seed **element = t->body;
    for (size_t i = 0; i < t->num; i++) mound_free(element[i]);
    mound_free(element);
}

const thing_kind array_kind = {"array", make, change, trade, wrong, destroy};
