/* workbuf.c - see workbuf.h for the orders. Floor gc. */
#include "gc/workbuf.h"

#include <errno.h>

#include "base/bits.h"
#include "sys/cpu.h"
#include "sys/os_mem.h"

enum { STEP_BUFS = 64, KEEP_BUFS = 256 };

int mo_workbuf_pool_init(mo_workbuf_pool *p) {
    static const size_t sizes[] = {(size_t)64 << 30, (size_t)1 << 30, (size_t)64 << 20};
    for (size_t i = 0; i < MO_ARRAY_LEN(sizes); i++) {
        p->base = mo_os_reserve(sizes[i], MO_WORKBUF_BYTES, "mound mark buffers");
        if (!p->base) continue;
        p->capacity = (uint32_t)(sizes[i] / MO_WORKBUF_BYTES);
        p->used = 1;
        p->empty.head = p->full.head = 0;
        return 0;
    }
    return -ENOMEM;
}

void mo_workbuf_pool_fini(mo_workbuf_pool *p) {
    mo_os_unreserve(p->base, (size_t)p->capacity * MO_WORKBUF_BYTES);
}

void mo_workbuf_push(mo_workbuf_pool *p, mo_workbuf_list *l, mo_workbuf *b) {
    uint64_t old = mo_load_rlx(&l->head), new; /* a guess; the CAS verifies it */
    do {
        mo_store_rlx(&b->next, (uint32_t)old); /* published by the CAS */
#if MO_MUTANT_workbuf_no_count
        new = (uint64_t)(b - p->base);
#else
        new = ((old >> 32) + 1) << 32 | (uint64_t)(b - p->base);
#endif
    } while (!mo_cas_rel(&l->head, &old, new)); /* [P] pairs with [T] */
}

mo_workbuf *mo_workbuf_pop(mo_workbuf_pool *p, mo_workbuf_list *l) {
    uint64_t old = mo_load_acq(&l->head), new; /* [T] pairs with [P]: next of the head is its own */
    do {
        uint32_t idx = (uint32_t)old;
        if (idx == 0) return NULL;
#if MO_MUTANT_workbuf_no_count
        new = mo_load_rlx(&p->base[idx].next); /* as below */
#else
        new = ((old >> 32) + 1) << 32 |
              mo_load_rlx(&p->base[idx].next); /* may be stale: the CAS fails then */
#endif
    } while (!mo_cas_acqrel(&l->head, &old, new)); /* [T] pairs with [P] */
    return &p->base[(uint32_t)old];
}

/* Several workers may extend at once: each takes numbers by an atomic add and commits what it
 * took; committing an OS page twice is harmless. */
static mo_workbuf *extend(mo_workbuf_pool *p) {
    uint32_t end = mo_add_rlx(&p->used, STEP_BUFS); /* numbers only; memory comes from commit */
    uint32_t first = end - STEP_BUFS;
    if (end > p->capacity || end < first ||
        !mo_os_commit((uintptr_t)&p->base[first], STEP_BUFS * sizeof(mo_workbuf))) {
        /* Back only if nobody took numbers since, or those would be taken twice; else a hole stays.
         */
#if MO_MUTANT_workbuf_refusal_overlaps
        mo_sub_rlx(&p->used, STEP_BUFS); /* whoever took numbers since */
#else
        mo_cas_rel(&p->used, &end,
                   first); /* [N] numbers only: no other access is ordered by it [N] */
#endif
        return NULL;
    }
    for (uint32_t i = 1; i < STEP_BUFS; i++) mo_workbuf_push(p, &p->empty, &p->base[first + i]);
    return &p->base[first];
}

mo_workbuf *mo_workbuf_get(mo_workbuf_pool *p) {
    mo_workbuf *b = mo_workbuf_pop(p, &p->empty);
    if (!b) b = extend(p);
    if (b) b->num = 0;
    return b;
}

void mo_workbuf_put(mo_workbuf_pool *p, mo_workbuf *b) { mo_workbuf_push(p, &p->empty, b); }
void mo_workbuf_push_full(mo_workbuf_pool *p, mo_workbuf *b) { mo_workbuf_push(p, &p->full, b); }
mo_workbuf *mo_workbuf_pop_full(mo_workbuf_pool *p) { return mo_workbuf_pop(p, &p->full); }

void mo_workbuf_after_fork(mo_workbuf_pool *p) {
    p->empty.head = p->full.head = 0;
    p->used = 1; /* committed once more when they are taken: somebody may have been about to */
}

void mo_workbuf_trim(mo_workbuf_pool *p) {
    if (p->used <= KEEP_BUFS) return;
    if (!mo_os_commit((uintptr_t)p->base, KEEP_BUFS * sizeof(mo_workbuf))) return; /* fills holes */
    uintptr_t lo = (uintptr_t)&p->base[KEEP_BUFS];
    if (!mo_os_release(lo, (p->used - KEEP_BUFS) * sizeof(mo_workbuf))) return;
    /* The list ran through the pages just cleared: build it anew from the buffers kept. */
    p->empty.head = 0;
    p->used = KEEP_BUFS;
    for (uint32_t i = 1; i < KEEP_BUFS; i++) mo_workbuf_push(p, &p->empty, &p->base[i]);
}
