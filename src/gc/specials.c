/* specials.c - what happens when an object dies.
 *
 * A *special* is a record in uncollectable memory (so its arg is a root), in a list that hangs
 * on the span; the object is named by its slot number, which no scan can take for a pointer.
 * Two kinds: a cleanup, and a weak handle. A weak pointer's value is the address of its handle,
 * a collected object whose type lists no pointer: the object's address in it is hidden from the
 * marker. The type gives handles spans of their own: a word in a root that points to a handle may
 * also be one past the end of what lies before it, which must not be the very object. Each object
 * and offset has at most one handle, so equal weak pointers are equal values; the special keeps the
 * handle alive as long as the object lives.
 *
 * Deaths are seen by the sweep (span_dying) or by mound_free (object_freed): the handle's
 * address is cleared, cleanups move to the queue of the cleanup thread. Records are recycled,
 * never returned, so a cleanup's token {record, sequence} can be checked for ever.
 *
 * Floor   gc.
 * Locks   special lock: span lists, records, handles. Queue lock: queue, pause, the thread.
 *         Sweeps hold the special lock over a whole span with specials (central.c): a weak read
 *         under it sees a span either before or after its sweep.
 */
#include "gc/specials.h"

#include <string.h>
#if MO_MUTANT_cleanup_arg_no_root
#include <stdlib.h>
#endif

#include "gc/malloc.h"
#include "gc/roots.h"
#include "sched/runtime_thread.h"

typedef enum special_kind {
    SPECIAL_UNUSED,
    SPECIAL_CLEANUP,
    SPECIAL_WEAK,
    SPECIAL_QUEUED
} special_kind;

typedef struct weak_handle {
    uintptr_t addr; /* 0 once the object died; special lock */
    uintptr_t pad;  /* a slot of its own: handles must not be shared with a neighbour's */
} weak_handle;

static mound_type handle_type = {"weak handle", sizeof(weak_handle), NULL, 0, 0, NULL, NULL};

typedef struct special {
    struct special *next; /* in the span, the free list or the queue */
    uint32_t idx;         /* slot number in the span */
    uint32_t kind;        /* special_kind */
    uint64_t seq;         /* changes with each reuse */
    void (*fn)(void *);   /* cleanup */
    void *arg;            /* cleanup; a root */
    weak_handle *handle;  /* weak; a root */
    uintptr_t off;        /* weak: of the pointer in the object */
    mo_span *span;        /* while in a span's list */
} special;

static MO_GLOBAL mo_lock lock;
static MO_GLOBAL special *free_specials;
static MO_GLOBAL mo_lock queue_lock;
static MO_GLOBAL special *queue_first, *queue_last;
static MO_GLOBAL uint32_t queue_len; /* also what the thread sleeps on */
static MO_GLOBAL uint32_t is_running, is_paused;
static MO_GLOBAL bool has_thread;
static MO_GLOBAL mo_thread *cleanup_thread;
MO_GLOBAL uint64_t mo_cleanups_queued, mo_cleanups_run;

mo_lock *mo_specials_lock(void) { return &lock; }
mo_lock *mo_cleanup_queue_lock(void) { return &queue_lock; }

/* ---------------------------------------------------------------- records */

static special *take_record(mo_thread *t) {
    mo_lock_acquire(&lock);
    special *s = free_specials;
    if (s) free_specials = s->next;
    mo_lock_release(&lock);
#if MO_MUTANT_cleanup_arg_no_root
    if (!s) s = calloc(1, sizeof *s);
#else
    if (!s) s = mo_malloc_in_runtime(t, sizeof *s, MO_KIND_MANUAL);
#endif
    return s;
}

/* Special lock held. */
static void put_record_locked(special *s) {
    uint64_t seq = s->seq;
    memset(s, 0, sizeof *s);
    s->seq = seq + 1;
    s->next = free_specials;
    free_specials = s;
}

/* A link of a span's list: the lock orders it, but whether the list is empty is also asked without
 * (central.c, cache.c). */
static void set_link(special **link, special *s) { mo_store_rlx(link, s); /* see above */ }

static void link_locked(special *s, mo_span *span) {
    s->span = span;
    s->next = span->specials;
    set_link((special **)(void *)&span->specials, s);
}

static void unlink_locked(special *s) {
    special **p = (special **)(void *)&s->span->specials;
    while (*p != s) p = &(*p)->next;
    set_link(p, s->next);
}

/* ---------------------------------------------------------------- deaths */

static void queue_push(special *s) {
    s->kind = SPECIAL_QUEUED;
    s->span = NULL;
    s->next = NULL;
    mo_lock_acquire(&queue_lock);
    if (queue_last)
        queue_last->next = s;
    else
        queue_first = s;
    queue_last = s;
    mo_store_rlx(&queue_len, queue_len + 1);  /* slept on; the lock orders the queue */
    mo_add_owned_rlx(&mo_cleanups_queued, 1); /* statistics; the lock makes it one writer */
    mo_lock_release(&queue_lock);
}

/* Removes and handles the specials of the slots for which dies says so. Special lock held. */
static void handle_deaths(mo_span *span,
                          bool (*dies)(const mo_span *span, uint32_t idx, uint32_t want),
                          uint32_t want) {
    special **p = (special **)(void *)&span->specials;
    while (*p) {
        special *s = *p;
        if (!dies(span, s->idx, want)) {
            p = &s->next;
            continue;
        }
        set_link(p, s->next);
        if (s->kind == SPECIAL_WEAK) {
#if !MO_MUTANT_weak_survives
            s->handle->addr = 0;
#endif
            put_record_locked(s);
        } else {
            queue_push(s);
        }
    }
}

static bool is_unmarked(const mo_span *span, uint32_t idx, uint32_t want) {
    (void)want;
    return !(mo_span_mark_bits(span)[idx / 64] >> (idx % 64) & 1);
}

static bool is_slot(const mo_span *span, uint32_t idx, uint32_t want) {
    (void)span;
    return idx == want;
}

static void specials_lock(void) { mo_lock_acquire(&lock); }
static void specials_unlock(void) { mo_lock_release(&lock); }
static void span_dying(mo_span *s) { handle_deaths(s, is_unmarked, 0); }
static void object_freed(mo_span *s, uintptr_t base) {
#if MO_MUTANT_free_keeps_specials
    return;
#endif
    handle_deaths(s, is_slot, (uint32_t)((base - mo_span_start(s)) / s->elem_bytes));
}

/* ---------------------------------------------------------------- cleanups */

mound_cleanup mo_cleanup_add(mo_thread *t, const mo_slot *sl, void (*fn)(void *), void *arg) {
    mo_span_ensure_swept(sl->span);
    special *s = take_record(t);
    if (!s) return (mound_cleanup){NULL, 0};
    s->kind = SPECIAL_CLEANUP;
    s->idx = sl->idx;
    s->fn = fn;
    s->arg = arg;
    mo_lock_acquire(&lock);
    link_locked(s, sl->span);
    mound_cleanup c = {s, s->seq};
    mo_lock_release(&lock);
    return c;
}

void mo_cleanup_stop(mound_cleanup c) {
    special *s = c.rec;
    if (!s) return;
    mo_lock_acquire(&lock);
#if MO_MUTANT_stop_ignores_seq
    if (s->kind == SPECIAL_CLEANUP) {
#else
    if (s->seq == c.seq && s->kind == SPECIAL_CLEANUP) {
#endif
        unlink_locked(s);
        put_record_locked(s);
    }
    mo_lock_release(&lock);
}

static special *queue_take(void) {
    special *s = NULL;
    mo_lock_acquire(&queue_lock);
    if (!is_paused && queue_first) {
        s = queue_first;
        queue_first = s->next;
        if (!queue_first) queue_last = NULL;
        mo_store_rlx(&queue_len, queue_len - 1); /* see queue_push */
        mo_store_rlx(&is_running, 1);            /* the lock orders it */
    }
    mo_lock_release(&queue_lock);
    return s;
}

static void *cleanup_main(void *arg) {
    mo_runtime_thread_name("mound-cleanup");
    (void)arg;
    mo_thread *t = mo_thread_current();
    mo_store_rlx(&cleanup_thread, t); /* only this thread is ever equal to it */
    for (;;) {
        mo_runtime_enter(t);
        special *s = queue_take();
        if (!s) {
            uint32_t len = mo_load_rlx(&queue_len); /* only to sleep on */
            mo_thread_block_begin(t);
            bool polls = len || mo_load_rlx(&is_paused); /* a glance: that is why it polls */
            mo_futex_wait(&queue_len, len, polls ? 1000000 : -1);
            mo_thread_block_end(t);
            mo_runtime_leave(t);
            continue;
        }
        void (*fn)(void *) = s->fn;
        void *fn_arg = s->arg;
        mo_lock_acquire(&lock);
        put_record_locked(s);
        mo_lock_release(&lock);
        mo_runtime_leave(t);
        fn(fn_arg);
        mo_runtime_enter(t); /* stopped with a lock it would be waited for, for ever */
        mo_store_rlx(&mo_cleanups_run, mo_cleanups_run + 1); /* statistics; this thread writes it */
        mo_lock_acquire(&queue_lock);
        mo_store_rlx(&is_running, 0); /* the lock orders it */
        mo_lock_release(&queue_lock);
        mo_runtime_leave(t);
        if (mo_load_rlx(&is_paused))
            mo_futex_wake(&is_running, 1); /* a hint; the waiter polls too */
    }
    return NULL;
}

void mo_cleanups_kick(void) {
    if (mo_load_rlx(&queue_len) == 0) return; /* a hint: the next collection kicks again */
    mo_lock_acquire(&queue_lock);
    bool start = !has_thread;
    has_thread = true;
    mo_lock_release(&queue_lock);
    if (!start) {
        mo_futex_wake(&queue_len, 1);
        return;
    }
    if (!mo_runtime_thread_start(0, cleanup_main, NULL)) {
        mo_lock_acquire(&queue_lock);
        has_thread = false; /* tried again after the next collection */
        mo_lock_release(&queue_lock);
    }
}

void mo_cleanups_after_fork(void) {
    has_thread = false;
    is_running = is_paused = 0;
    cleanup_thread = NULL;
}

void mo_cleanups_pause(mo_thread *t) {
    mo_runtime_enter(t);
    mo_lock_acquire(&queue_lock);
    mo_store_rlx(&is_paused, is_paused + 1); /* the lock orders it */
    mo_lock_release(&queue_lock);
    mo_runtime_leave(t);
    /* A cleanup that closes an object; see cleanup_main. */
    if (t == mo_load_rlx(&cleanup_thread)) return;
    while (mo_load_rlx(&is_running)) mo_futex_wait(&is_running, 1, 1000000); /* polls */
}

/* Drops from a list what lies in code that was closed. Returns the new list. */
static special *drop_from(special *list, const mo_code_list *before, const mo_code_list *now) {
    special *kept = NULL, **tail = &kept;
    while (list) {
        special *s = list;
        list = s->next;
        uintptr_t fn = (uintptr_t)s->fn;
        if (s->kind != SPECIAL_WEAK && !mo_roots_is_code(now, fn) &&
            (!before || mo_roots_is_code(before, fn))) {
            put_record_locked(s);
        } else {
            *tail = s;
            tail = &s->next;
        }
    }
    *tail = NULL;
    return kept;
}

void mo_cleanups_drop_unloaded(const mo_code_list *before, const mo_code_list *now) {
    mo_lock_acquire(&lock);
    uint32_t num_pages = mo_load_rlx(&mo_the_heap.pages.num_pages); /* those with specials */
    for (uint32_t page = 1; page < num_pages; page++) {
        uint32_t info = mo_load_rlx(&mo_map.info[page]); /* spans with specials are in use */
        if (info == 0 || mo_info_first_page(page, info) != page) continue;
        mo_span *span = &mo_map.spans[page];
        if (mo_load_rlx(&span->specials)) /* the lock orders it; see set_link */
            set_link((special **)(void *)&span->specials, drop_from(span->specials, before, now));
    }
    mo_lock_acquire(&queue_lock);
    uint32_t len = 0;
    queue_first = drop_from(queue_first, before, now);
    queue_last = queue_first;
    for (special *s = queue_first; s; s = s->next) {
        queue_last = s;
        len++;
    }
    mo_store_rlx(&queue_len, len);           /* the lock orders it */
    mo_store_rlx(&is_paused, is_paused - 1); /* likewise */
    mo_lock_release(&queue_lock);
    mo_lock_release(&lock);
    mo_futex_wake(&queue_len, 1);
}

/* ---------------------------------------------------------------- weak pointers */

static special *find_weak_locked(const mo_slot *sl, uintptr_t off) {
    for (special *s = sl->span->specials; s; s = s->next)
#if MO_MUTANT_weak_ignores_offset
        if (s->kind == SPECIAL_WEAK && s->idx == sl->idx) return s;
#else
        if (s->kind == SPECIAL_WEAK && s->idx == sl->idx && s->off == off) return s;
#endif
    return NULL;
}

mound_weak mo_weak_make(mo_thread *t, const mo_slot *sl, uintptr_t addr) {
    uintptr_t off = addr - sl->base;
    mo_span_ensure_swept(sl->span);
    mo_lock_acquire(&lock);
    special *s = find_weak_locked(sl, off);
    weak_handle *h = s ? s->handle : NULL;
    mo_lock_release(&lock);
    if (h) return (mound_weak){h};
    special *fresh = take_record(t);
    h = fresh ? mo_malloc_typed_in_runtime(t, mo_type_of(&handle_type)) : NULL;
    mo_lock_acquire(&lock);
    s = find_weak_locked(sl, off); /* another thread may have been faster */
    if (h && !s) {
        h->addr = addr;
        fresh->kind = SPECIAL_WEAK;
        fresh->idx = sl->idx;
        fresh->handle = h;
        fresh->off = off;
        link_locked(fresh, sl->span);
    } else {
        if (fresh) put_record_locked(fresh);
        h = s ? s->handle : NULL;
    }
    mo_lock_release(&lock);
    return (mound_weak){h};
}

void *mo_weak_get(mound_weak w) {
    const weak_handle *h = w.handle;
    if (!h) return NULL;
    mo_lock_acquire(&lock);
    uintptr_t addr = h->addr;
    /* It may have been found dead and its span not be swept yet: that sweep waits for our lock, and
     * will clear the handle. No collection can begin meanwhile: we are inside the runtime. */
    mo_slot sl;
#if !MO_MUTANT_weak_get_unswept
    if (addr != 0 && mo_find(addr, &sl) && mo_slot_is_doomed(&sl)) addr = 0;
#else
    (void)sl;
#endif
    mo_lock_release(&lock);
    return (void *)addr;
}

void mo_specials_init(void) {
    mo_lock_init(&lock, MO_RANK_SPECIALS);
    mo_lock_init(&queue_lock, MO_RANK_CLEANUPQ);
    mo_hooks.specials_lock = specials_lock;
    mo_hooks.specials_unlock = specials_unlock;
    mo_hooks.span_dying = span_dying;
    mo_hooks.object_freed = object_freed;
}
