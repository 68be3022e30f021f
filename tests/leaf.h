/* leaf.h - leaves of which each is referred to by one slot only: a lost one is missed. Include it
 * after hold.h and support.h. */
#ifndef LEAF_H
#define LEAF_H

enum { LEAVES_PER_BLOCK = 500 };

typedef struct leaf {
    uint64_t id, check;
    void *fill[2];
} leaf;

typedef struct leaf_block {
    leaf *slot[LEAVES_PER_BLOCK];
} leaf_block;

static leaf_block **leaf_blocks; /* a root */
static size_t num_leaves;

static inline leaf **leaf_slot(size_t i) {
    return &leaf_blocks[i / LEAVES_PER_BLOCK]->slot[i % LEAVES_PER_BLOCK];
}

static inline leaf *leaf_make(uint64_t id) {
    leaf *l = mound_new(leaf);
    l->id = id;
    l->check = mix(id);
    return l;
}

/* num: whole blocks. */
static NOINLINE void leaves_plant(size_t num) {
    num_leaves = num;
    leaf_blocks = mound_new_array(leaf_block *, num / LEAVES_PER_BLOCK);
    for (size_t i = 0; i < num / LEAVES_PER_BLOCK; i++) leaf_blocks[i] = mound_new(leaf_block);
    for (size_t i = 0; i < num; i++) *leaf_slot(i) = leaf_make(i);
}

/* Two random ones of [first, first + num), through registers. Not atomic: one thread's. */
static inline void leaves_swap(mo_rand *r, size_t first, size_t num) {
    leaf **a = leaf_slot(first + mo_rand_below(r, num)),
         **b = leaf_slot(first + mo_rand_below(r, num));
    leaf *held = *a;
    *a = *b;
    *b = held;
}

/* Takes the place of one that was wrongly freed. */
static inline void leaf_litter(void) {
    leaf *l = mound_new(leaf);
    l->id = l->check = 0xdeadbeef;
}

static inline size_t leaves_lost(void) {
    uint8_t *seen = calloc(num_leaves, 1);
    size_t lost = 0;
    for (size_t i = 0; i < num_leaves; i++) {
        const leaf *l = *leaf_slot(i);
        if (!l || l->id >= num_leaves || l->check != mix(l->id) || seen[l->id])
            lost++;
        else
            seen[l->id] = 1;
    }
    free(seen);
    return lost;
}

#endif
