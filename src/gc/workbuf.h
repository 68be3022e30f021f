/* workbuf.h - blocks of grey addresses, shared between mark workers. Floor gc.
 *
 * Buffers of 4 KiB in one reserved range, named by index (0: none), so that a list head is one
 * 64-bit word {count of changes, index} and can be exchanged atomically: Treiber's stack.
 *
 *   [P] push  cas_rel    with [T]: who takes a buffer sees its items
 *   [T] take  cas_acqrel with [P]; its release half continues the sequence for later takers
 * ABA: the count changes with each push and take; 2^32 changes would have to fall between one
 * worker's load and its CAS. Buffers are never unmapped while marking, so reading `next` of one
 * that was taken meanwhile reads an old number, and the CAS fails.
 */
#ifndef MO_WORKBUF_H
#define MO_WORKBUF_H

#include "base/atomic.h"

enum {
    MO_WORKBUF_BYTES = 4096,
    MO_WORKBUF_ITEMS = MO_VARIETY >= 2 ? 30 : MO_WORKBUF_BYTES / 8 - 1,
};

typedef struct mo_workbuf {
    uint32_t next; /* in a list */
    uint32_t num;
    uintptr_t item[MO_WORKBUF_BYTES / 8 - 1];
} mo_workbuf;

_Static_assert(sizeof(mo_workbuf) == MO_WORKBUF_BYTES, "a work buffer is one OS page");

typedef struct mo_workbuf_list {
    uint64_t head;
} mo_workbuf_list;

typedef struct mo_workbuf_pool {
    mo_workbuf *base;  /* index 0 is not used */
    uint32_t capacity; /* reserved */
    uint32_t used;     /* handed out once */
    mo_workbuf_list empty, full;
} mo_workbuf_pool;

int mo_workbuf_pool_init(mo_workbuf_pool *p);
void mo_workbuf_pool_fini(mo_workbuf_pool *p);
/* An empty buffer, or NULL when memory is exhausted. */
mo_workbuf *mo_workbuf_get(mo_workbuf_pool *p);
void mo_workbuf_put(mo_workbuf_pool *p, mo_workbuf *b);
void mo_workbuf_push_full(mo_workbuf_pool *p, mo_workbuf *b);
mo_workbuf *mo_workbuf_pop_full(mo_workbuf_pool *p);
void mo_workbuf_push(mo_workbuf_pool *p, mo_workbuf_list *l, mo_workbuf *b);
mo_workbuf *mo_workbuf_pop(mo_workbuf_pool *p, mo_workbuf_list *l);
MO_INLINE bool mo_workbuf_list_any(const mo_workbuf_list *l) {
    return (uint32_t)mo_load_seq(&l->head) !=
           0; /* pairs with [I] in mark.c: the end is decided by it [I] */
}
MO_INLINE bool mo_workbuf_has_full(const mo_workbuf_pool *p) {
    return mo_workbuf_list_any(&p->full);
}
/* In the child of a fork, alone: all buffers are empty again, whoever had them. */
void mo_workbuf_after_fork(mo_workbuf_pool *p);
/* Not marking: gives memory beyond a few buffers back. */
void mo_workbuf_trim(mo_workbuf_pool *p);

#endif
