/* thing.c - making, changing and verifying things of all kinds. */
#include "thing.h"

MOUND_TYPE(thing, body);

static const thing_kind *const kinds[] = {&tree_kind, &list_kind, &array_kind, &record_kind};

seed *seed_make(mo_rand *r) {
    size_t size = one_in(r, 4) ? between(r, 16, 200) : 16;
    seed *s = one_in(r, 2) ? mound_alloc_noscan(size) : mound_alloc(size);
    s->id = mo_rand_next(r);
    s->check = check_word(s->id);
    return s;
}

thing *thing_make(mo_rand *r) {
    thing *t = one_in(r, 2) ? mound_new_typed(thing) : mound_new(thing);
    t->id = mo_rand_next(r);
    t->check = check_word(t->id);
    t->kind = kinds[mo_rand_below(r, sizeof kinds / sizeof kinds[0])];
    t->kind->make(t, r);
    return t;
}

void thing_change(thing *t, mo_rand *r) { t->kind->change(t, r); }

void thing_trade(thing *a, thing *b, mo_rand *r) {
    if (a != b && a->kind == b->kind) a->kind->trade(a, b, r);
}

void thing_verify(const thing *t, const char *where) {
    require(t->check == check_word(t->id),
            "a thing in %s was lost: at %p there is id %016llx, check %016llx", where,
            (const void *)t, (unsigned long long)t->id, (unsigned long long)t->check);
    const char *wrong = t->kind->wrong(t);
    require(!wrong, "%s %016llx at %p in %s: %s", t->kind->name, (unsigned long long)t->id,
            (const void *)t, where, wrong);
}

void thing_destroy(thing *t) {
    t->kind->destroy(t);
    mound_free(t);
}
