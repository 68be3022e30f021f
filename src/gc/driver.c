/* driver.c - the thread that collects while the program runs.
 *
 * Started by the first collection that is to run so. It is registered, since it stops the others,
 * but owns no objects. Threads that only found the heap full leave it a note and go on; those that
 * must have a collection wait for one that began after they asked: mo_the_gc.num_begun and
 * num_ended count them.
 *
 * Floor   gc.
 * Locks   gc.lock for each collection.
 * Order   [A] a request is left with release, taken with acquire [B]; that a collection is over is
 *         told with release [E], seen with acquire [F].
 */
#include "gc/driver.h"

#include "gc/cycle.h"
#include "gc/specials.h"
#include "sched/runtime_thread.h"

static MO_GLOBAL uint32_t is_started;
static MO_GLOBAL uint32_t request; /* reason + 1 of what was asked for; 0: nothing; slept on */
static MO_GLOBAL uint32_t ended;   /* low half of num_ended: slept on */
static MO_GLOBAL uint32_t is_collecting;

void mo_driver_after_fork(void) {
    mo_store_rlx(&is_started, 0);    /* the child is alone */
    mo_store_rlx(&request, 0);       /* likewise */
    mo_store_rlx(&is_collecting, 0); /* likewise */
    /* A collection was over, but not told yet: nobody would tell it now. */
    mo_store_rlx(&mo_the_gc.num_ended, mo_the_gc.num_begun); /* likewise */
}

static void collect(mo_thread *t, mo_gc_reason reason) {
    mo_gc *gc = &mo_the_gc;
    mo_store_rlx(&is_collecting, 1); /* others only glance */
    mo_lock_acquire_blocking(t, &gc->lock);
    mo_thread_publish_here(t); /* what lies below is the collector's own */
    if (reason != MO_GC_HEAP || mo_gc_is_due()) mo_cycle_run(t, reason, true);
    uint64_t number = gc->num_begun;
    mo_lock_release(&gc->lock);
    mo_store_rlx(&is_collecting, 0);        /* likewise */
    mo_store_rel(&gc->num_ended, number);   /* [E] pairs with [F] */
    mo_store_rel(&ended, (uint32_t)number); /* [E] pairs with [F] */
    mo_futex_wake(&ended, INT32_MAX);
    mo_cleanups_kick();
}

static void *driver_main(void *arg) {
    mo_runtime_thread_name("mound-gc");
    mo_thread *t = mo_thread_current();
    (void)arg;
    mo_store_rlx(&t->is_library, true); /* a glance for sysmon */
    mo_runtime_thread_prefer_others(0);
    mo_runtime_enter(t); /* for ever: it stops others, and is stopped only where it waits */
    for (;;) {
        uint32_t asked = mo_xchg_acq(&request, 0); /* [B] pairs with [A] */
        if (asked != 0) {
            collect(t, (mo_gc_reason)(asked - 1));
            continue;
        }
        mo_thread_block_begin(t);
        mo_futex_wait(&request, 0, -1);
        mo_thread_block_end(t);
    }
    return NULL;
}

bool mo_driver_is_busy(void) {
    return mo_load_rlx(&request) != 0 || mo_load_rlx(&is_collecting); /* a glance */
}

static bool start_once(void) {
    uint32_t no = 0;
    if (MO_LIKELY(mo_load_rlx(&is_started))) return true; /* set once; the exchange decides */
    if (!mo_cas_acq(&is_started, &no, 1)) return true;    /* [Q] only one starts it [Q] */
    if (mo_runtime_thread_start(MO_SERVICE_STACK_BYTES, driver_main, NULL)) return true;
    mo_store_rlx(&is_started, 0); /* tried again */
    return false;
}

/* A stronger reason is not replaced by a weaker one. */
bool mo_driver_ask(mo_gc_reason reason) {
    if (!start_once()) return false;
    uint32_t now = mo_load_rlx(&request), want = (uint32_t)reason + 1; /* the exchange decides */
    while (now < want && !mo_cas_rel(&request, &now, want)) continue;  /* [A] pairs with [B] */
    mo_futex_wake(&request, 1);
    return true;
}

void mo_driver_await(mo_thread *t, uint64_t number) {
    for (;;) {
        uint32_t now =
            mo_load_acq(&ended); /* [F] before the look: an end between the two wakes us */
        if (mo_load_acq(&mo_the_gc.num_ended) >= number) return; /* [F] pairs with [E] */
        mo_thread_wait(t, &ended, now, -1);
    }
}

void mo_driver_nap(mo_thread *t, int64_t ns) {
    uint32_t now = mo_load_rlx(&ended); /* only to sleep on */
    mo_thread_wait(t, &ended, now, ns);
}
