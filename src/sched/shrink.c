/* shrink.c - see shrink.h.
 *
 * Floor   sched.
 * Locks   registry lock: no dump, which stands on other goroutines' stacks, below their frames.
 *         g lock: no fork meanwhile; and no mark begins (roots.c, settle_stacks).
 * Order   [H] a goroutine is not run while its stack is given back. Who runs it stores that it
 *         runs, then looks whether it is held; who holds it stores that, makes all processors pass
 *         a barrier, then looks whether it waits: one of the two sees the other. So the side that
 *         is passed with each switch needs no barrier of its own.
 * Fails   where the system refuses that barrier (membarrier), stacks keep their memory.
 * Go      shrinks at a collection, by a copy to half the size. Here what is unused goes at once,
 *         and without a collection: an idle program gets its memory back as well.
 */
#include "sched/shrink.h"

#include <sched.h>
#include <sys/uio.h>

#include "base/bits.h"
#include "heap/heap.h"
#include "sched/sched.h"
#include "sys/os_mem.h"

enum {
    BATCH_LEN = 16,  /* whose owners may have to wait for all of them */
    CHUNK_LEN = 256, /* records between two looks at the clock */
    MIN_WAIT_MS = 1000,
    SHARE = 20, /* one part in so many of sysmon's time */
    PASS_SHARE = 100,
};
#define MIN_ALLOWANCE_NS ((uint64_t)100000)
#define MAX_ALLOWANCE_NS ((uint64_t)20000000)
#define PASS_NS ((uint64_t)1000000000)

static bool is_waiting(const mo_g *g) {
    return mo_load_acq(&g->state) == MO_G_WAITING && /* [H] then it has left its stack */
           mo_load_rlx(&g->stack.lo) != 0;           /* a thread's; constant while it waits */
}

static void shrink(mo_g **g, size_t num) {
    struct iovec range[BATCH_LEN];
    size_t num_ranges = 0;
    for (size_t i = 0; i < num; i++) mo_store_rlx(&g[i]->is_held, 1); /* [H] */
    bool can = mo_sys_barrier();                                      /* [H] */
    for (size_t i = 0; can && i < num; i++) {
#if !MO_MUTANT_shrink_unasked
        if (!is_waiting(g[i])) continue; /* [H] */
#endif
        uintptr_t end = mo_align_down(g[i]->context.sp, MO_OS_PAGE_BYTES), lo = g[i]->stack.lo;
        mo_store_rlx(&g[i]->shrunk_ms, mo_load_rlx(&g[i]->waits_since_ms)); /* lock */
        if (end > lo) range[num_ranges++] = (struct iovec){(void *)lo, end - lo};
    }
    if (num_ranges > 0) mo_stack_give_back(range, num_ranges);
    for (size_t i = 0; i < num; i++) mo_store_rel(&g[i]->is_held, 0); /* [H] */
}

static void shrink_if_allowed(mo_g **g, size_t num) {
    mo_lock_acquire(&mo_the_world.registry);
    mo_lock_acquire(mo_g_lock());
    if (!mo_load_rlx(&mo_the_heap.is_marking)) shrink(g, num); /* as in stack.c */
    mo_lock_release(mo_g_lock());
    mo_lock_release(&mo_the_world.registry);
}

void mo_g_await_release(mo_g *g) {
    while (mo_load_acq(&g->is_held)) sched_yield(); /* [H] */
}

uint64_t mo_shrink_records(uint64_t first, uint64_t end, uint32_t min_wait_ms) {
    mo_g *batch[BATCH_LEN];
    size_t num = 0;
    uint64_t num_young = 0;
    uint32_t now_ms = mo_load_rlx(&mo_the_sched.coarse_ms); /* for ages */
    for (uint64_t i = first; i < end; i++) {
        mo_g *g = mo_g_at(i);
        if (!is_waiting(g)) continue; /* a glance: looked at again when it is held */
        uint32_t since_ms = mo_load_rlx(&g->waits_since_ms);                     /* likewise */
        if (min_wait_ms > 0 && mo_load_rlx(&g->shrunk_ms) == since_ms) continue; /* likewise */
        if (now_ms - since_ms < min_wait_ms) {
            num_young++;
            continue;
        }
        batch[num++] = g;
        if (num < BATCH_LEN) continue;
        shrink_if_allowed(batch, num);
        num = 0;
    }
    if (num > 0) shrink_if_allowed(batch, num);
    return num_young;
}

/* ---------------------------------------------------------------- a little at a time */

/* sysmon's. */
static MO_GLOBAL struct {
    uint64_t next, num_young, spent_ns; /* of the pass that goes on: record, found so far, time */
    uint64_t due_ns;                    /* no pass begins before */
    uint64_t switches;                  /* when it began */
    uint64_t left_young;                /* when the last one ended */
    uint64_t seen_ns, allowance_ns;
} pass;

static bool is_due(uint64_t now_ns) {
    uint64_t gone_ns = now_ns - pass.seen_ns;
    pass.seen_ns = now_ns;
    pass.allowance_ns = mo_min(pass.allowance_ns + gone_ns / SHARE, MAX_ALLOWANCE_NS);
    if (pass.allowance_ns < MIN_ALLOWANCE_NS) return false;
    if (pass.next > 0) return true;
    if (now_ns < pass.due_ns) return false;
    uint64_t switches = mo_num_switches();
    if (pass.left_young == 0 && pass.switches == switches) return false;
    pass.switches = switches;
    return true;
}

void mo_shrink_some(uint64_t now_ns) {
    if (!is_due(now_ns)) return;
    uint64_t end = mo_g_count(), ns = 0;
    while (pass.next < end && ns < pass.allowance_ns) {
        uint64_t next = mo_min(pass.next + CHUNK_LEN, end);
        pass.num_young += mo_shrink_records(pass.next, next, MIN_WAIT_MS);
        pass.next = next;
        ns = mo_clock_ns() - now_ns;
    }
    pass.allowance_ns -= mo_min(ns, pass.allowance_ns);
    pass.spent_ns += ns;
    if (pass.next < end) return;
    pass.left_young = pass.num_young;
    pass.due_ns = now_ns + mo_max(PASS_NS, PASS_SHARE * pass.spent_ns);
    pass.next = pass.num_young = pass.spent_ns = 0;
}
