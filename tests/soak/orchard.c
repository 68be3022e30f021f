/* orchard.c - leaves, each in one slot, that are swapped between slots.
 *
 * A leaf's only pointer is in its slot, or on its way to another one. A store which the collector
 * does not see hides it, it is freed, and what takes its place has another check word. Slots stand
 * in rows, each with a lock, each row in another kind of memory.
 */
#include "orchard.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "thing.h"
#include "ticket.h"

enum { ROWS = 48, SLOTS = 500, LEAVES = ROWS * SLOTS, WIDE = 16, SWAPS = 200 };

struct leaf {
    uint64_t id, check;
    ticket *ticket; /* of every fourth leaf; NULL if none was free */
    uint64_t *tail; /* noscan; contains id; nothing else points there */
};
MOUND_TYPE(leaf, ticket, tail);

/* A leaf with a ticket, referred to by an address inside the object: the address of its first byte
 * would in a root also be one past the end of its neighbour, and keep that too. */
typedef struct ticketed {
    uint64_t pad[2];
    leaf leaf;
} ticketed;
MOUND_TYPE(ticketed, leaf.ticket, leaf.tail);

typedef struct slot {
    leaf *leaf;
} slot;
MOUND_TYPE(slot, leaf);

typedef enum memory { HEAP, TYPED, MANUAL, MALLOC, MMAP, GLOBAL, WIDE_HEAP, WIDE_TYPED } memory;
enum { MEMORIES = WIDE_TYPED + 1 };
static const char *const memory_names[MEMORIES] = {"heap",
                                                   "typed memory",
                                                   "uncollectable memory",
                                                   "an added root from malloc",
                                                   "an added root from mmap",
                                                   "global data",
                                                   "a large object",
                                                   "a large typed object"};

typedef struct row {
    pthread_mutex_t lock;
    slot *first;
    size_t stride; /* between its slots: large objects hold few leaves */
    memory memory;
} row;

static row rows[ROWS];
static slot global_slots[(ROWS / MEMORIES + 1) * SLOTS];

static leaf **slot_at(row *w, size_t i) { return &w->first[i * w->stride].leaf; }

/* ---------------------------------------------------------------- planting */

static void add_root(void *lo) {
    int err = mound_root_add(lo, SLOTS * sizeof(slot));
    require(err == 0, "mound_root_add: %d", err);
}

static slot *make_slots(memory kind, size_t idx) {
    slot *s = NULL;
    switch (kind) {
    case HEAP: s = mound_new_array(slot, SLOTS); break;
    case TYPED: s = mound_alloc_typed(MOUND_TYPEOF(slot), SLOTS); break;
    case MANUAL: s = mound_alloc_uncollectable(SLOTS * sizeof(slot)); break;
    case MALLOC:
        s = calloc(SLOTS, sizeof(slot));
        add_root(s);
        break;
    case MMAP:
        s = mmap(NULL, SLOTS * sizeof(slot), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                 -1, 0);
        add_root(s);
        break;
    case GLOBAL: s = &global_slots[idx / MEMORIES * SLOTS]; break;
    case WIDE_HEAP: s = mound_new_array(slot, SLOTS * WIDE); break;
    case WIDE_TYPED: s = mound_alloc_typed(MOUND_TYPEOF(slot), SLOTS * WIDE); break;
    }
    return s;
}

static leaf *leaf_alloc(bool has_ticket, mo_rand *r) {
    bool is_typed = one_in(r, 2);
    if (has_ticket) return &(is_typed ? mound_new_typed(ticketed) : mound_new(ticketed))->leaf;
    return is_typed ? mound_new_typed(leaf) : mound_new(leaf);
}

/* A second cleanup, whose argument nothing but the runtime refers to. */
static void on_message(void *arg) {
    const seed *s = arg;
    require(seed_ok(s), "the argument of a cleanup was lost: at %p there is id %016llx",
            (const void *)s, (unsigned long long)s->id);
}

static leaf *leaf_make(uint64_t id, mo_rand *r) {
    leaf *l = leaf_alloc(id % 4 == 0, r);
    l->id = id;
    l->check = check_word(id);
    l->tail = mound_alloc_noscan(16);
    *l->tail = id;
    if (id % 4 == 0) l->ticket = ticket_make(l);
    if (l->ticket && one_in(r, 4)) mound_add_cleanup(l, on_message, seed_make(r));
    return l;
}

void orchard_plant(mo_rand *r) {
    for (size_t i = 0; i < ROWS; i++) {
        row *w = &rows[i];
        pthread_mutex_init(&w->lock, NULL);
        w->memory = (memory)(i % MEMORIES);
        w->stride = w->memory >= WIDE_HEAP ? WIDE : 1;
        w->first = make_slots(w->memory, i);
        for (size_t k = 0; k < SLOTS; k++) *slot_at(w, k) = leaf_make(i * SLOTS + k, r);
    }
}

/* ---------------------------------------------------------------- checks */

void leaf_verify(const leaf *l, const char *where) {
    require(l->check == check_word(l->id) && l->id < LEAVES,
            "a leaf in %s was lost: at %p there is id %016llx, check %016llx", where,
            (const void *)l, (unsigned long long)l->id, (unsigned long long)l->check);
    require(*l->tail == l->id, "the tail of leaf %llu at %p in %s was lost",
            (unsigned long long)l->id, (const void *)l, where);
    if (l->ticket) ticket_check(l->ticket, l);
}

static void verify_slot(row *w, size_t i) {
    const leaf *l = *slot_at(w, i);
    if (l) leaf_verify(l, memory_names[w->memory]);
}

void orchard_verify_some(mo_rand *r) {
    for (int k = 0; k < ROWS; k++) {
        row *w = &rows[mo_rand_below(r, ROWS)];
        if (pthread_mutex_trylock(&w->lock) != 0) continue; /* by a thread that is gone */
        for (int i = 0; i < 100; i++) verify_slot(w, mo_rand_below(r, SLOTS));
        pthread_mutex_unlock(&w->lock);
    }
}

void orchard_count(void) {
    static uint8_t seen[LEAVES];
    memset(seen, 0, sizeof seen);
    for (size_t i = 0; i < ROWS; i++) {
        row *w = &rows[i];
        for (size_t k = 0; k < SLOTS; k++) {
            const leaf *l = *slot_at(w, k);
            require(l, "a leaf is missing: row %zu in %s, slot %zu", i, memory_names[w->memory], k);
            leaf_verify(l, memory_names[w->memory]);
            require(!seen[l->id], "leaf %llu is there twice", (unsigned long long)l->id);
            seen[l->id] = 1;
        }
    }
}

/* ---------------------------------------------------------------- what workers do */

static void lock_two(row *a, row *b) {
    if (a > b) {
        row *held = a;
        a = b;
        b = held;
    }
    pthread_mutex_lock(&a->lock);
    if (a != b) pthread_mutex_lock(&b->lock);
}
static void unlock_two(row *a, row *b) {
    pthread_mutex_unlock(&a->lock);
    if (a != b) pthread_mutex_unlock(&b->lock);
}

static row *any_row(mo_rand *r) { return &rows[mo_rand_below(r, ROWS)]; }
static size_t any_slot(mo_rand *r) { return mo_rand_below(r, SLOTS); }

void orchard_swap(mo_rand *r) {
    row *w = any_row(r), *v = any_row(r);
    lock_two(w, v);
    for (int i = 0; i < SWAPS; i++) {
        leaf **a = slot_at(w, any_slot(r)), **b = slot_at(v, any_slot(r));
        leaf *held = *a;
        *a = *b;
        *b = held;
    }
    verify_slot(w, any_slot(r));
    verify_slot(v, any_slot(r));
    unlock_two(w, v);
    count_add(COUNT_SWAPS, SWAPS);
}

void orchard_pass_through_new(mo_rand *r) {
    row *w = any_row(r);
    pthread_mutex_lock(&w->lock);
    for (int i = 0; i < 20; i++) {
        leaf **a = slot_at(w, any_slot(r));
        leaf **fresh = mound_alloc(8 * sizeof *fresh);
        size_t k = mo_rand_below(r, 8);
        fresh[k] = *a;
        *a = NULL;
        mound_keep_alive(mound_alloc(between(r, 1, 100)));
        *a = fresh[k];
        fresh[k] = NULL; /* else a stale address of fresh would keep the leaf */
        if (*a) leaf_verify(*a, "a new object");
    }
    pthread_mutex_unlock(&w->lock);
}

static void replace_one(row *w, mo_rand *r) {
    leaf **a = slot_at(w, any_slot(r)), *old = *a;
    if (!old) return;
    leaf_verify(old, memory_names[w->memory]);
    ticket *t = old->ticket;
    if (t && one_in(r, 8)) {
        ticket_stop(t);
        if (one_in(r, 2)) return; /* it lives on without a cleanup */
    }
    *a = leaf_make(old->id, r);
    if (t) ticket_drop(t);
    if (one_in(r, 4)) {
        mound_free(old->tail);
        mound_free(mound_base(old));
        if (t) ticket_check_freed(t);
    }
}

void orchard_replace(mo_rand *r) {
    row *w = any_row(r);
    pthread_mutex_lock(&w->lock);
    for (uint64_t i = between(r, 1, 20); i > 0; i--) replace_one(w, r);
    pthread_mutex_unlock(&w->lock);
}

leaf *orchard_take(mo_rand *r) {
    row *w = any_row(r);
    pthread_mutex_lock(&w->lock);
    leaf **a = slot_at(w, any_slot(r)), *l = *a;
    *a = NULL;
    pthread_mutex_unlock(&w->lock);
    return l;
}

/* There are as many empty slots as leaves in hands; swaps move both. */
void orchard_put(leaf *l, mo_rand *r) {
    for (size_t start = mo_rand_below(r, ROWS), i = start;; i++) {
        row *w = &rows[i % ROWS];
        pthread_mutex_lock(&w->lock);
        for (size_t k = 0; k < SLOTS; k++) {
            if (*slot_at(w, k)) continue;
            *slot_at(w, k) = l;
            pthread_mutex_unlock(&w->lock);
            return;
        }
        pthread_mutex_unlock(&w->lock);
        require(i - start < 100000, "no empty slot for a leaf: one is there twice");
    }
}
