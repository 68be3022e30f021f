/* background.c - the background thread.
 *
 * Twice a second it sweeps what the program has not swept yet, in batches, giving way to a
 * collection between them: not at once, since a program that allocates sweeps as it goes, and two
 * threads sweeping the same classes only pass cache lines to and fro. Then it gives free memory
 * back, slowly (1 % of one CPU, three once the process is idle, measured by the time the madvise
 * calls take): while the program allocates, only what exceeds the next goal, or what the heap was
 * at the end of the last collection, by a tenth; once it is idle, all but a twentieth of what is
 * live, three times as fast. A program that is idle for IDLE_NS and has allocated since the last
 * collection is collected once. The pacer is told how fast threads allocate.
 *
 * The thread is not registered: it owns no object and is never stopped; the idle collection
 * needs a registered thread, and registers it for that time.
 *
 * Floor   gc.
 * Locks   sweep lock for a batch; nothing is held while it sleeps or gives memory back.
 */
#include "gc/background.h"

#include "gc/gc.h"
#include "gc/pacer.h"
#include "gc/specials.h"
#include "heap/holes.h"
#include "sched/runtime_thread.h"
#include "sys/os_mem.h"

#define TICK_NS ((int64_t)500000000)
#define IDLE_NS ((uint64_t)10000000000)
#define IDLE_RELEASE_NS ((uint64_t)2000000000)

enum {
    AHEAD_SHARE = 16, /* of the goal: so much free memory is given pages ahead of its use, */
    AHEAD_MAX_BYTES = 12 << 20,
    AHEAD_MIN_BYTES = 4 << 20, /* or none if it would be less */
    BATCH_SPANS = 64,
    RELEASE_BYTES = 16 << 20, /* per step */
    START_BYTES = 1 << 20,    /* a smaller heap needs no thread */
    CPU_SHARE = 100,          /* one part in so many of a processor */
    CPU_SHARE_IDLE = 33,      /* nobody else wants it; a gigabyte is back in a quarter minute */
};

static MO_GLOBAL uint32_t wake_word;
static MO_GLOBAL uint32_t is_started;

/* false: nothing is left, or a collection runs, which sweeps itself. */
static bool sweep_batch(void) {
    if (!mo_lock_try(&mo_the_gc.sweep_lock)) return false;
    bool more = mo_gc_sweep_some(BATCH_SPANS);
    mo_lock_release(&mo_the_gc.sweep_lock);
    return more;
}

/* Free memory to keep unreleased. */
static size_t retain_bytes(bool idle) {
    mo_gc *gc = &mo_the_gc;
    uint64_t inuse = mo_load_rlx(&mo_the_heap.inuse_pages) << MO_PAGE_SHIFT; /* an estimate */
    if (idle) return inuse / 20;
    /* Objects fill their spans only in part: the heap in pages is larger than the goal. */
    uint64_t goal = mo_max(mo_load_rlx(&gc->goal_bytes), mo_load_rlx(&gc->peak_bytes)); /* same */
    uint64_t want = goal + goal / 10;
    return want > inuse ? want - inuse : inuse / 20;
}

/* false: nothing was left to release. */
static bool release_some(bool idle) {
    uint64_t begin = mo_clock_ns();
    size_t done = mo_heap_scavenge(RELEASE_BYTES, retain_bytes(idle), !idle);
    if (done == 0) return false;
    /* Sleep so long that what this step took is one part in the share. */
    uint64_t took = mo_clock_ns() - begin;
    uint32_t now = mo_load_rlx(&wake_word); /* only to sleep on */
    uint64_t rest = took * (idle ? CPU_SHARE_IDLE : CPU_SHARE);
    mo_futex_wait(&wake_word, now, (int64_t)mo_min(rest, (size_t)TICK_NS));
    return true;
}

/* Called under the heap lock. */
static void wake(void) {
    mo_store_rlx(&mo_the_heap.low_pages, 0); /* until it was seen to */
    mo_add_rlx(&wake_word, 1);               /* slept on; orders nothing */
    mo_futex_wake(&wake_word, 1);
}

/* How much free memory should have pages while the heap grows towards its goal. */
static size_t ahead_bytes(void) {
    mo_gc *gc = &mo_the_gc; /* all of it: estimates */
    if (mo_load_rlx(&mo_the_heap.limit_pages) != UINT64_MAX || mo_load_rlx(&gc->percent) < 0)
        return 0; /* estimates */
    uint64_t goal = mo_load_rlx(&gc->goal_bytes), peak = mo_load_rlx(&gc->peak_bytes); /* same */
    uint64_t inuse = mo_load_rlx(&mo_the_heap.inuse_pages) << MO_PAGE_SHIFT; /* an estimate */
    size_t ahead = mo_min(goal / AHEAD_SHARE, AHEAD_MAX_BYTES);
    /* Spans have gaps: in pages the heap is larger than its goal, at least by what it was. */
    uint64_t end = mo_max(goal, peak) + goal / AHEAD_SHARE;
    return ahead < AHEAD_MIN_BYTES || inuse > end ? 0 : ahead;
}

static void prefault(void) {
    size_t ahead = ahead_bytes();
    /* What died is taken before memory that the process does not have yet. */
    while (mo_gc_backed_pages() < ahead >> MO_PAGE_SHIFT && sweep_batch()) continue;
    if (ahead > 0) mo_heap_prefault(ahead, ahead);
    mo_store_rlx(&mo_the_heap.low_pages, ahead / 2 >> MO_PAGE_SHIFT); /* a hint */
}

static void collect_idle(void) {
    mo_thread *t = mo_thread_register();
    mo_thread_publish_here(t);
    mo_runtime_enter(t);
    mo_gc_collect(t, MO_GC_IDLE);
    mo_runtime_leave(t);
    mo_thread_unregister(t);
}

typedef struct tick {
    uint64_t ns, alloc_bytes;
} tick;

/* What was allocated until now; the pacer gets to know what it was since `last`. */
static tick look_at_allocation(tick last) {
    mo_gc *gc = &mo_the_gc;
    uint64_t objects, bytes, freed_objects, freed_bytes;
    mo_lock_acquire(&mo_the_world.registry);
    mo_gc_alloc_totals(&objects, &bytes, &freed_objects, &freed_bytes);
    tick now = {mo_clock_ns(), bytes};
    bool is_calm = gc->last_end_ns > 0 && gc->last_end_ns < last.ns &&
                   mo_load_rlx(&mo_the_pace.is_on) == MO_PACE_OFF; /* a glance */
    if (is_calm && bytes >= last.alloc_bytes)
        mo_pacer_note_rate((double)(bytes - last.alloc_bytes) / (double)(now.ns - last.ns + 1));
    mo_lock_release(&mo_the_world.registry);
    return now;
}

static void *background_main(void *arg) {
    mo_runtime_thread_name("mound-back");
    (void)arg;
    uint64_t seen_alloc = 0, idle_since = mo_clock_ns();
    tick last = {0}; /* no collection ended before: no rate at the first look */
    uint64_t next_tick = 0;
    mo_the_heap.runs_low = wake;
    mo_runtime_thread_prefer_others(0);
    for (;;) {
        uint32_t now = mo_load_rlx(&wake_word); /* only to sleep on */
        prefault();
        uint64_t begin = mo_clock_ns();
        if (begin < next_tick) {
            mo_futex_wait(&wake_word, now, (int64_t)(next_tick - begin));
            continue;
        }
        next_tick = begin + (uint64_t)TICK_NS;
        while (sweep_batch()) continue;
        mo_cleanups_kick();
        last = look_at_allocation(last);
        uint64_t alloc = last.alloc_bytes, clock = last.ns;
        if (alloc - seen_alloc > START_BYTES / 4) {
            seen_alloc = alloc;
            idle_since = clock;
        }
#if !MO_MUTANT_holes_never_mended
        mo_holes_mend();
#endif
        bool idle = clock - idle_since > IDLE_RELEASE_NS;
        while (release_some(idle) && mo_clock_ns() - clock < (uint64_t)TICK_NS) continue;
        /* Glances: mo_gc_collect takes the lock. */
        if (clock - idle_since > IDLE_NS && alloc != mo_load_rlx(&mo_the_gc.alloc_at_last) &&
            mo_load_rlx(&mo_the_gc.percent) >= 0) {
            collect_idle();
        }
    }
    return NULL;
}

void mo_background_start_once(void) {
    if (MO_LIKELY(mo_load_rlx(&is_started))) return; /* set once; the exchange decides */
    if (mo_load_rlx(&mo_the_heap.live_bytes) < START_BYTES) return; /* an estimate */
    uint32_t no = 0;
    if (!mo_cas_acq(&is_started, &no, 1))
        return; /* [Q] only one starts it; nothing else is ordered [Q] */
    if (!mo_runtime_thread_start(MO_SERVICE_STACK_BYTES, background_main, NULL))
        mo_store_rlx(&is_started, 0); /* tried again at a later refill */
}

void mo_background_after_fork(void) { mo_store_rlx(&is_started, 0); /* the child is alone */ }
