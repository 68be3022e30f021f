/* stack.c - see stack.h.
 *
 * What an address belongs to is found by a table of two levels, 64 MiB an entry; a slot's record
 * stands beside its arena, not in the stack. Free slots of a class are two lists, warm and cold,
 * last in, first out, linked through the records by number. A guard is installed when a slot is
 * given out for the first time, since each keeps a page of page tables.
 *
 * Floor   sched. Uses os_mem, lock.
 * Locks   stack lock, for everything but mo_stack_of_guard.
 * Holds   S1  a slot is in exactly one of: used, its class's warm list, its cold list
 *         S2  whatever is used has its guard, or is counted as unguarded
 * Order   [S] an arena's record is complete before it is entered in the table; who found it there
 *         sees it complete. It leaves the table only while none of its stacks is used.
 * Fails   -ENOMEM where the system refuses address space or memory for records; a guard that is
 *         refused is counted: the stack is given out without.
 */
#define _GNU_SOURCE
#include "sched/stack.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "heap/heap.h"
#include "sys/lock.h"
#include "sys/os_mem.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13 */
#endif

enum {
    NUM_CLASSES = 15, /* 64 KiB to 1 GiB */
    LEAF_SHIFT = 26,
    LEAF_LEN = 1 << 10,
    TOP_LEN = 1 << 11,    /* 47 bits of addresses */
    MAX_ARENAS = 1 << 14, /* slot numbers: 14 bits of arena, 14 of slot */
    SLOT_BITS = 14,
    MAX_MAPPINGS = 16 << 10, /* of the 65,530 that the kernel allows a process */
    BATCH_LEN = 256,         /* ranges in one call that gives memory back */
};
#define ARENA_BYTES ((size_t)1 << 30)
#define NO_SLOT UINT32_MAX

typedef struct slot {
    uint32_t next; /* in its list; NO_SLOT: the last */
    bool has_guard, is_used;
} slot;

typedef struct arena {
    uintptr_t lo;
    size_t bytes, slot_bytes; /* constant, with the guards */
    uint32_t num, class;      /* constant: of slots */
    uint32_t id, num_used;
    slot slots[];
} arena;

typedef struct stack_class {
    uint32_t warm, cold; /* lists */
} stack_class;

static MO_GLOBAL mo_lock stack_lock = {.rank = MO_RANK_STACKS};
static MO_GLOBAL stack_class classes[NUM_CLASSES];
static MO_GLOBAL bool is_open;
static MO_GLOBAL arena *arenas[MAX_ARENAS]; /* by id */
static MO_GLOBAL uint32_t num_arenas;       /* ids ever used */
static MO_GLOBAL arena **top[TOP_LEN];      /* by address */
static MO_GLOBAL uint32_t num_mappings;
static MO_GLOBAL mo_stack_stats stats;

/* ---------------------------------------------------------------- the table */

static arena **entry_of(uintptr_t addr) {
    arena **leaf = mo_load_acq(&top[addr >> LEAF_SHIFT >> 10 & (TOP_LEN - 1)]); /* [S] */
    return leaf ? &leaf[addr >> LEAF_SHIFT & (LEAF_LEN - 1)] : NULL;
}

static arena *arena_of(uintptr_t addr) {
    arena **e = entry_of(addr);
    arena *a = e ? mo_load_acq(e) : NULL; /* [S] */
    return a && addr - a->lo < a->bytes ? a : NULL;
}

static bool has_leaves(uintptr_t lo, size_t bytes) {
    for (uintptr_t at = lo; at < lo + bytes; at += (uintptr_t)1 << LEAF_SHIFT) {
        arena ***e = &top[at >> LEAF_SHIFT >> 10 & (TOP_LEN - 1)];
        if (mo_load_acq(e)) continue; /* [S] */
        arena **leaf = mo_os_map(LEAF_LEN * sizeof *leaf, "mound: stack table");
        if (!leaf) return false;
        mo_store_rel(e, leaf); /* [S] */
    }
    return true;
}

static void enter(arena *a, arena *value) {
    for (uintptr_t at = a->lo; at < a->lo + a->bytes; at += (uintptr_t)1 << LEAF_SHIFT)
        mo_store_rel(entry_of(at), value); /* [S] */
}

/* ---------------------------------------------------------------- slots and lists */

static uintptr_t guard_of(const arena *a, uint32_t i) { return a->lo + i * a->slot_bytes; }

static mo_stack stack_at(const arena *a, uint32_t i) {
    uintptr_t lo = guard_of(a, i) + MO_STACK_GUARD_BYTES;
    return (mo_stack){lo, guard_of(a, i) + a->slot_bytes};
}

static slot *slot_of(uint32_t number, arena **a) {
    *a = arenas[number >> SLOT_BITS];
    return &(*a)->slots[number & ((1u << SLOT_BITS) - 1)];
}

static void push(uint32_t *list, arena *a, uint32_t i) {
    a->slots[i].next = *list;
    *list = a->id << SLOT_BITS | i;
}

static slot *pop(uint32_t *list, arena **a, uint32_t *i) {
    if (*list == NO_SLOT) return NULL;
    *i = *list & ((1u << SLOT_BITS) - 1);
    slot *s = slot_of(*list, a);
    *list = s->next;
    return s;
}

/* ---------------------------------------------------------------- arenas */

static uint32_t free_id(void) {
    for (uint32_t i = 0; i < num_arenas; i++)
        if (!arenas[i]) return i;
    return num_arenas < MAX_ARENAS ? num_arenas++ : NO_SLOT;
}

static size_t record_bytes(uint32_t num) { return sizeof(arena) + num * sizeof(slot); }

/* The first arenas of a class are small: a dump of the process's core looks at each of their pages.
 */
static size_t arena_bytes(uint32_t class) {
    size_t bytes = (size_t)1 << LEAF_SHIFT;
    for (uint32_t i = 0; i < num_arenas; i++)
        if (arenas[i] && arenas[i]->class == class && bytes < ARENA_BYTES) bytes *= 2;
    return bytes;
}

/* All of it, or one stack where the system allows no more. */
static uintptr_t reserve(uint32_t class, size_t slot_bytes, size_t *bytes) {
    const size_t leaf = (size_t)1 << LEAF_SHIFT;
    *bytes = mo_max(arena_bytes(class), mo_align_up(slot_bytes, leaf));
    void *lo = mo_os_reserve(*bytes, leaf, "mound: stacks");
    if (!lo) lo = mo_os_reserve(*bytes = mo_align_up(slot_bytes, leaf), leaf, "mound: stacks");
    if (lo && !mo_os_commit((uintptr_t)lo, *bytes)) {
        mo_os_unreserve(lo, *bytes);
        lo = NULL;
    }
    if (lo) madvise(lo, *bytes, MADV_NOHUGEPAGE); /* one call would have 2 MiB */
    return (uintptr_t)lo;
}

static bool add_arena(uint32_t class) {
    size_t slot_bytes = ((size_t)MO_STACK_MIN_BYTES << class) + MO_STACK_GUARD_BYTES, bytes;
    uint32_t id = free_id();
    uintptr_t lo = id == NO_SLOT ? 0 : reserve(class, slot_bytes, &bytes);
    if (lo == 0) return false;
    uint32_t num = (uint32_t)mo_min(bytes / slot_bytes, 1u << SLOT_BITS);
    arena *a = has_leaves(lo, bytes) ? mo_os_map(record_bytes(num), "mound: stack records") : NULL;
    if (!a) {
        mo_os_unreserve((void *)lo, bytes);
        return false;
    }
    a->lo = lo;
    a->bytes = bytes;
    a->slot_bytes = slot_bytes;
    a->num = num;
    a->class = class;
    a->id = id;
    arenas[id] = a;
    for (uint32_t i = num; i-- > 0;) push(&classes[class].cold, a, i); /* the lowest first */
    stats.num_cold += num;
    stats.reserved_bytes += bytes;
    enter(a, a);
    return true;
}

static bool is_alive(uint32_t number, size_t *num_gone) {
    bool alive = arenas[number >> SLOT_BITS]->num_used > 0;
    *num_gone += !alive;
    return alive;
}

/* Takes what lies in empty arenas out of a list. */
static size_t filter(uint32_t *list) {
    size_t num_gone = 0;
    arena *a;
    while (*list != NO_SLOT && !is_alive(*list, &num_gone)) *list = slot_of(*list, &a)->next;
    if (*list == NO_SLOT) return num_gone;
    for (slot *s = slot_of(*list, &a); s->next != NO_SLOT;) {
        slot *next = slot_of(s->next, &a);
        if (is_alive(s->next, &num_gone))
            s = next;
        else
            s->next = next->next;
    }
    return num_gone;
}

static void remove_empty_arenas(void) {
    bool any = false;
    for (uint32_t i = 0; i < num_arenas; i++) any |= arenas[i] && arenas[i]->num_used == 0;
    if (!any) return;
#if MO_MUTANT_stack_keeps_gone
    stats.num_cold = 0;
#else
    for (uint32_t c = 0; c < NUM_CLASSES; c++) {
        stats.num_warm -= filter(&classes[c].warm);
        stats.num_cold -= filter(&classes[c].cold);
    }
#endif
    for (uint32_t i = 0; i < num_arenas; i++) {
        arena *a = arenas[i];
        if (!a || a->num_used > 0) continue;
        enter(a, NULL);
        arenas[i] = NULL;
        stats.reserved_bytes -= a->bytes;
        if (stats.guard_kind == MO_GUARD_MAPPING)
            for (uint32_t k = 0; k < a->num; k++) num_mappings -= a->slots[k].has_guard;
        mo_os_unreserve((void *)a->lo, a->bytes);
        mo_os_unmap(a, record_bytes(a->num));
    }
}

/* ---------------------------------------------------------------- guards */

static bool install_guard(uintptr_t lo) {
#if MO_MUTANT_stack_short_guard
    return mprotect((void *)(lo + MO_STACK_GUARD_BYTES - MO_OS_PAGE_BYTES), MO_OS_PAGE_BYTES,
                    PROT_NONE) == 0;
#endif
    if (stats.guard_kind == MO_GUARD_REGION) {
        if (madvise((void *)lo, MO_STACK_GUARD_BYTES, MADV_GUARD_INSTALL) == 0) return true;
        if (errno != EINVAL) return false;
        stats.guard_kind = MO_GUARD_MAPPING; /* an older kernel */
    }
    if (num_mappings >= MAX_MAPPINGS) return false;
    if (mprotect((void *)lo, MO_STACK_GUARD_BYTES, PROT_NONE) != 0) return false;
    num_mappings++;
    return true;
}

bool mo_stack_of_guard(uintptr_t addr, mo_stack *s) {
    const arena *a = arena_of(addr);
    if (!a) return false;
    uint32_t i = (uint32_t)((addr - a->lo) / a->slot_bytes);
    if (i >= a->num || addr - guard_of(a, i) >= MO_STACK_GUARD_BYTES) return false;
    *s = stack_at(a, i);
    return true;
}

/* ---------------------------------------------------------------- alloc and free */

static void open_once(void) {
    if (is_open) return;
    for (int c = 0; c < NUM_CLASSES; c++) classes[c] = (stack_class){NO_SLOT, NO_SLOT};
    is_open = true;
}

static slot *take(uint32_t class, arena **a, uint32_t *i) {
    stack_class *c = &classes[class];
    slot *s = pop(&c->warm, a, i);
    if (s) {
        stats.num_warm--;
        return s;
    }
    if (c->cold == NO_SLOT && !add_arena(class)) return NULL;
    stats.num_cold--;
    return pop(&c->cold, a, i);
}

int mo_stack_alloc(size_t bytes, mo_stack *out) {
    if (bytes > MO_STACK_MAX_BYTES) return -EINVAL;
    uint32_t class = 0;
    while ((size_t)MO_STACK_MIN_BYTES << class < bytes) class ++;
    int saved = errno;
    arena *a;
    uint32_t i;
    mo_lock_acquire(&stack_lock);
    open_once();
    slot *s = take(class, &a, &i);
    if (s) {
        s->is_used = true;
        a->num_used++;
        stats.num_used++;
        if (!s->has_guard) s->has_guard = install_guard(guard_of(a, i));
        stats.num_unguarded += !s->has_guard;
        *out = stack_at(a, i);
    }
    mo_lock_release(&stack_lock);
    errno = saved;
    return s ? 0 : -ENOMEM;
}

void mo_stack_free(mo_stack st) {
    mo_lock_acquire(&stack_lock);
    arena *a = arena_of(st.lo);
    uint32_t i = a ? (uint32_t)((st.lo - a->lo) / a->slot_bytes) : 0;
    if (!a || i >= a->num || stack_at(a, i).lo != st.lo || !a->slots[i].is_used)
        mo_fatal("stack: %p is not one that is in use", (void *)st.lo);
    a->slots[i].is_used = false;
    a->num_used--;
    stats.num_used--;
    stats.num_unguarded -= !a->slots[i].has_guard;
    push(&classes[a->class].warm, a, i);
    stats.num_warm++;
    mo_lock_release(&stack_lock);
}

/* ---------------------------------------------------------------- giving back */

/* In one call if the kernel lets a process name itself (its number has changed once), else one by
 * one. A descriptor would be the parent's after fork. */
void mo_stack_give_back(const struct iovec *range, size_t num) {
    static const int self[] = {-10001, -20000};
    long bytes = 0;
    for (size_t i = 0; i < num; i++) bytes += (long)range[i].iov_len;
    for (size_t i = 0; i < MO_ARRAY_LEN(self); i++)
        if (syscall(SYS_process_madvise, self[i], range, num, MADV_DONTNEED, 0) == bytes) return;
    for (size_t i = 0; i < num; i++) mo_os_release((uintptr_t)range[i].iov_base, range[i].iov_len);
}

/* One batch of a class. The lock is not held meanwhile: others start goroutines. Its stacks are in
 * no list then, and count as used, so that their arenas stay. */
static size_t release_some(uint32_t class, size_t max) {
    struct iovec range[BATCH_LEN];
    struct {
        arena *a;
        uint32_t i;
    } at[BATCH_LEN];
    size_t num = 0;
    mo_lock_acquire(&stack_lock);
    open_once();
    while (num < mo_min(max, BATCH_LEN) && pop(&classes[class].warm, &at[num].a, &at[num].i)) {
        mo_stack s = stack_at(at[num].a, at[num].i);
#if !MO_MUTANT_stack_forgets_batch
        at[num].a->num_used++;
#endif
        range[num++] = (struct iovec){(void *)s.lo, s.hi - s.lo};
    }
    mo_lock_release(&stack_lock);
    if (num == 0) return 0;
    mo_stack_give_back(range, num);
    mo_lock_acquire(&stack_lock);
    for (size_t k = num; k-- > 0;) {
#if !MO_MUTANT_stack_forgets_batch
        at[k].a->num_used--;
#endif
        push(&classes[class].cold, at[k].a, at[k].i);
    }
    stats.num_warm -= num;
    stats.num_cold += num;
    mo_lock_release(&stack_lock);
    return num;
}

size_t mo_stack_release(size_t max) {
    size_t total = 0;
    int saved = errno;
    for (uint32_t c = 0; c < NUM_CLASSES; c++)
        for (size_t num; total < max && (num = release_some(c, max - total)) > 0;) total += num;
    mo_lock_acquire(&stack_lock);
    if (!mo_load_rlx(&mo_the_heap.is_marking)) /* false: seen before mo_roots_settle_stacks */
        remove_empty_arenas();                 /* the collector may look at stacks */
    mo_lock_release(&stack_lock);
    errno = saved;
    return total;
}

void mo_stack_read_stats(mo_stack_stats *out) {
    mo_lock_acquire(&stack_lock);
    *out = stats;
    mo_lock_release(&stack_lock);
}

mo_lock *mo_stack_lock(void) { return &stack_lock; }

void mo_stack_force_mappings(void) { stats.guard_kind = MO_GUARD_MAPPING; }
