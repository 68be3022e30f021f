/* g.c - see g.h: records in slabs, and those that are free with their stacks.
 *
 * Floor   sched.
 * Locks   g lock.
 * Order   [G] the number of records grows with release after the slab is in its place: who counts
 *         them without the lock finds each.
 *         [S] a mark worker may look at a record that gets a stack: one that sees its upper end
 *         sees its lower end too, and no range that reaches from an older stack into it.
 * Fails   -ENOMEM: the system refuses memory for a record or a stack.
 */
#include "sched/g.h"

#include <errno.h>

#include "base/bits.h"
#include "heap/heap.h"
#include "sched/fiber.h"
#include "sys/os_mem.h"

enum {
    SLAB_LEN = 512,
    MAX_SLABS = 1 << 17, /* 67 million */
};

static MO_GLOBAL mo_lock g_lock = {.rank = MO_RANK_GOROUTINES};
static MO_GLOBAL mo_g *slabs[MAX_SLABS];
static MO_GLOBAL uint64_t num_records;
static MO_GLOBAL mo_g *with_stack, *without; /* free */
static MO_GLOBAL size_t num_with_stack;      /* atomic reads */

size_t mo_g_num_free(void) { return mo_load_rlx(&num_with_stack); /* a moment's value */ }

mo_lock *mo_g_lock(void) { return &g_lock; }

uint64_t mo_g_count(void) { return mo_load_acq(&num_records); /* [G] */ }

mo_g *mo_g_at(uint64_t i) { return &slabs[i / SLAB_LEN][i % SLAB_LEN]; }

static mo_g *pop(mo_g **list) {
    mo_g *g = *list;
    if (g) *list = g->next;
    if (g && list == &with_stack) mo_store_rlx(&num_with_stack, num_with_stack - 1); /* lock */
    return g;
}

static mo_g *new_record_locked(void) {
    uint64_t n = num_records;
    if (n / SLAB_LEN == MAX_SLABS) return NULL;
    mo_g **slab = &slabs[n / SLAB_LEN];
    if (!*slab) *slab = mo_os_map(SLAB_LEN * sizeof(mo_g), "mound goroutines");
    if (!*slab) return NULL;
    mo_store_rel(&num_records, n + 1); /* [G] */
    return mo_g_at(n);
}

static size_t bytes_of(const mo_g *g) { return g->stack.hi - g->stack.lo; }

/* The stack that most ask for is found with the record; others are looked for. */
mo_g *mo_g_alloc(size_t stack_bytes, int *error) {
    mo_lock_acquire(&g_lock);
    mo_g *g = NULL;
    if (with_stack && bytes_of(with_stack) >= stack_bytes &&
        bytes_of(with_stack) < 2 * mo_max(stack_bytes, MO_STACK_MIN_BYTES))
        g = pop(&with_stack);
    if (!g) g = pop(&without);
    if (!g) g = new_record_locked();
    mo_lock_release(&g_lock);
    *error = -ENOMEM;
    if (!g) return NULL;
    if (g->stack.lo == 0) {
        mo_stack stack;
        *error = mo_stack_alloc(stack_bytes, &stack);
        if (*error < 0) {
            mo_g_free(g);
            return NULL;
        }
        mo_store_rlx(&g->stack.lo, stack.lo); /* published by hi */
        mo_store_rel(&g->stack.hi, stack.hi); /* [S] pairs with roots.c [S] */
        mo_fiber_open(g);
    }
    *error = 0;
    return g;
}

mo_g *mo_g_alloc_bare(void) {
    mo_lock_acquire(&g_lock);
    mo_g *g = pop(&without);
    if (!g) g = new_record_locked();
    mo_lock_release(&g_lock);
    return g;
}

void mo_g_free(mo_g *g) {
    mo_lock_acquire(&g_lock);
    mo_g **list = g->stack.lo ? &with_stack : &without;
    g->next = *list;
    *list = g;
    if (g->stack.lo) mo_store_rlx(&num_with_stack, num_with_stack + 1); /* lock */
    mo_lock_release(&g_lock);
}

mo_g *mo_g_take_some(size_t stack_bytes, uint32_t max, uint32_t *num) {
    mo_g *list = NULL;
    uint32_t n = 0;
    mo_lock_acquire(&g_lock);
    while (n < max && with_stack && bytes_of(with_stack) == stack_bytes) {
        mo_g *g = pop(&with_stack);
        g->next = list;
        list = g;
        n++;
    }
    mo_lock_release(&g_lock);
    *num = n;
    return list;
}

mo_g *mo_g_free_some(mo_g *list, uint32_t max, uint32_t *num) {
    mo_g *last = list;
    uint32_t n = 1;
    for (; n < max && last->next; n++) last = last->next;
    mo_g *rest = last->next;
    mo_lock_acquire(&g_lock);
    last->next = with_stack;
    with_stack = list;
    mo_store_rlx(&num_with_stack, num_with_stack + n); /* lock */
    mo_lock_release(&g_lock);
    *num -= n;
    return rest;
}

size_t mo_g_trim(size_t max) {
    size_t num = 0;
    for (; num < max; num++) {
        /* With the lock: the collector may be looking at stacks (roots.c, settle_stacks). */
        mo_lock_acquire(&g_lock);
        mo_g *g =
            mo_load_rlx(&mo_the_heap.is_marking) /* as in stack.c */ ? NULL : pop(&with_stack);
        if (g) {
            mo_fiber_close(g);
            mo_stack_free(g->stack);
            mo_store_rlx(&g->stack.lo, 0); /* read without order where it may be stale */
            mo_store_rlx(&g->stack.hi, 0); /* likewise */
            g->next = without;
            without = g;
        }
        mo_lock_release(&g_lock);
        if (!g) break;
    }
    return num;
}
