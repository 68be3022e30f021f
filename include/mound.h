/* mound.h - Go's memory manager for C: allocate, never free, plain `=` and plain pthreads.
 *
 *     #include <mound.h>
 *     struct node *n = mound_new(struct node);      // zeroed, collected, never freed by hand
 *
 * Build with the flags of `pkg-config --cflags --libs mound`: they are part of the contract, since
 * a compiler may otherwise keep only addresses outside an object in its registers.
 *
 * What keeps an object alive: any address inside it, base or interior, in a thread's registers or
 * stack, in thread-local or pthread_setspecific storage, in writable data of the program and its
 * shared objects, in a root added here, in uncollectable memory, or in another live object. An
 * address one past its end counts in roots (uncollectable memory is one), not in the heap.
 *
 * What does not: pointers in memory from malloc or mmap, in files, in another process, and
 * pointers that were XORed, compressed or shifted. See docs/caveats.md.
 *
 * Threads: every function may be called from any thread, at any time, except from a signal
 * handler. A thread is known to the collector from its creation (pthread_create, thrd_create) or
 * from its first call into mound.
 *
 * Errors: functions without a result for it end the process (exit status 2, one line that says
 * what, where and what to do) when they are misused, and with the heap's numbers when memory is
 * exhausted; mound_try_alloc returns NULL instead. Functions that return int give 0 or a negative
 * errno value. errno itself is never changed.
 */
#ifndef MOUND_H
#define MOUND_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#define MOUND_VERSION_MAJOR 0
#define MOUND_VERSION_MINOR 1
#define MOUND_VERSION_PATCH 0

#if defined(__GNUC__)
#define MOUND_API __attribute__((visibility("default")))
#define MOUND_ATTR(...) __attribute__((__VA_ARGS__))
#else
#error "mound needs gcc or clang: its guarantees rest on their code generation"
#endif

/* Attributes of a function that returns fresh zeroed memory and never NULL. */
#define MOUND_FRESH MOUND_ATTR(malloc, returns_nonnull, warn_unused_result)

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------- start */

/* Starts the runtime: reserves address space, reads the environment, makes the calling thread
 * known. Called by every other function, so needed only to learn of failure without ending.
 * Fails: -ENOMEM (no reservation fits the limits), -EINVAL (an unreadable MOUND_* variable; one
 * line on stderr names it). A failed call leaves nothing behind and may be repeated. */
MOUND_API int mound_init(void);

/* The library's version as text, "0.1.0". */
MOUND_API const char *mound_version(void);

/* ---------------------------------------------------------------- allocate */

/* size bytes, zeroed, scanned word by word for pointers: malloc's shape. Aligned to 16.
 * Size 0 gives a unique address. Go: mallocgc. */
MOUND_API void *mound_alloc(size_t size) MOUND_FRESH MOUND_ATTR(alloc_size(1));

/* The same, but the collector never looks inside: for text, numbers, pixels. Zeroed too. */
MOUND_API void *mound_alloc_noscan(size_t size) MOUND_FRESH MOUND_ATTR(alloc_size(1));

/* num elements of size bytes each, scanned. Ends the process if num * size overflows. */
MOUND_API void *mound_alloc_array(size_t num, size_t size) MOUND_FRESH MOUND_ATTR(alloc_size(1, 2));

/* Scanned memory aligned to align: a power of two up to 2 MiB; anything else ends the process. */
MOUND_API void *mound_alloc_aligned(size_t align, size_t size) MOUND_FRESH
    MOUND_ATTR(alloc_size(2), alloc_align(1));

/* Never collected, scanned as a root, returned only by mound_free: the place for pointers that
 * foreign code holds. Go: none; Boehm: GC_MALLOC_UNCOLLECTABLE. */
MOUND_API void *mound_alloc_uncollectable(size_t size) MOUND_FRESH MOUND_ATTR(alloc_size(1));

/* What mound_try_alloc may be asked. */
enum {
    MOUND_NOSCAN = 1,        /* as mound_alloc_noscan */
    MOUND_UNCOLLECTABLE = 2, /* as mound_alloc_uncollectable */
};

/* As mound_alloc, but returns NULL when memory is exhausted, after a collection was tried.
 * flags: MOUND_NOSCAN, MOUND_UNCOLLECTABLE or 0; unknown bits end the process. */
MOUND_API void *mound_try_alloc(size_t size, unsigned flags)
    MOUND_ATTR(malloc, warn_unused_result, alloc_size(1));

/* A zeroed T of any type, with nothing to declare. */
#define mound_new(T) ((T *)mound_alloc(sizeof(T)))
#define mound_new_array(T, n) ((T *)mound_alloc_array((n), sizeof(T)))

/* Resizes an object from any of the functions above; keeps its kind (scanned, noscan, typed,
 * uncollectable) and its first min(old, new) bytes, zeroes the rest. NULL allocates scanned
 * memory. The old object is not freed: other pointers to it stay valid. Uncollectable memory
 * that moves is freed. Typed memory becomes scanned word by word. */
MOUND_API void *mound_realloc(void *obj, size_t size)
    MOUND_ATTR(returns_nonnull, warn_unused_result, alloc_size(2));

/* Gives an object back at once; optional for collected memory, the only way for uncollectable
 * memory. NULL is allowed. The caller promises that no pointer to it is used again. Ends the
 * process on a foreign, interior or already freed pointer. Weak pointers to it become NULL, its
 * cleanups are queued. */
MOUND_API void mound_free(void *obj);

/* Usable bytes of the object that contains addr (at least what was asked for); 0 if addr is in
 * no object. */
MOUND_API size_t mound_size(const void *addr);

/* First byte of the object that contains addr, or NULL. */
MOUND_API void *mound_base(const void *addr);

/* Text copies in noscan memory. mound_asprintf returns NULL with *nothing* allocated only if the
 * format is invalid. */
MOUND_API char *mound_strdup(const char *text) MOUND_FRESH;
MOUND_API char *mound_strndup(const char *text, size_t max) MOUND_FRESH;
MOUND_API char *mound_asprintf(const char *format, ...)
    MOUND_ATTR(format(printf, 1, 2), warn_unused_result);
MOUND_API char *mound_vasprintf(const char *format, va_list args)
    MOUND_ATTR(format(printf, 1, 0), warn_unused_result);

/* ---------------------------------------------------------------- types */

/* A type descriptor, made by MOUND_TYPE. Opt-in: it makes scanning precise and faster. A pointer
 * field that is not listed does not keep its target alive; checked builds report such fields. */
typedef struct mound_type {
    const char *name;
    size_t size;            /* bytes of one element */
    const size_t *ptr_offs; /* offsets of the pointer fields */
    unsigned num_ptrs;
    unsigned id; /* the runtime's; 0 until first use */
    /* Of keys of maps and of values in a mound_any; NULL: the type cannot be compared. Equal values
     * must give equal hashes; the runtime mixes them once more. */
    int (*equal)(const void *a, const void *b);
    uint64_t (*hash)(const void *value, uint64_t seed);
} mound_type;

/* num elements of type. Precise for one element and for arrays above 32 KiB; smaller arrays are
 * scanned word by word. Ends the process on overflow. */
MOUND_API void *mound_alloc_typed(mound_type *type, size_t num) MOUND_FRESH;

/* At file scope: MOUND_TYPE(node, left, right); lists all pointer fields (up to 16) of the type
 * named node. A field that is no pointer does not compile. */
#define MOUND_TYPE(T, ...) MOUND_TYPE_KEY(T, 0, 0, __VA_ARGS__)
/* A type without pointers. */
#define MOUND_TYPE_NOSCAN(T) MOUND_TYPE_KEY_NOSCAN(T, 0, 0)
/* The same for types whose values are keys: with functions that compare two and hash one
 * (mound_hash_bytes helps). */
#define MOUND_TYPE_KEY(T, equal, hash, ...)                                                        \
    static const size_t mound_ptrs_##T[] = {MOUND_EACH_(T, __VA_ARGS__)};                          \
    static mound_type mound_type_##T MOUND_ATTR(unused) = {                                        \
        #T, sizeof(T), mound_ptrs_##T, sizeof(mound_ptrs_##T) / sizeof(size_t), 0, equal, hash}
#define MOUND_TYPE_KEY_NOSCAN(T, equal, hash)                                                      \
    static mound_type mound_type_##T MOUND_ATTR(unused) = {#T, sizeof(T), 0, 0, 0, equal, hash}
#define MOUND_TYPEOF(T) (&mound_type_##T)
#define mound_new_typed(T) ((T *)mound_alloc_typed(MOUND_TYPEOF(T), 1))

#define MOUND_PTR_(T, f)                                                                           \
    (offsetof(T, f) + 0 * sizeof(char[(__builtin_classify_type(((T *)0)->f) == 5 &&                \
                                       sizeof(((T *)0)->f) == sizeof(void *) &&                    \
                                       __alignof__(((T *)0)->f) == __alignof__(void *))            \
                                          ? 1                                                      \
                                          : -1]))
#define MOUND_EACH_(T, ...)                                                                        \
    MOUND_PICK_(__VA_ARGS__, MOUND_P16_, MOUND_P15_, MOUND_P14_, MOUND_P13_, MOUND_P12_,           \
                MOUND_P11_, MOUND_P10_, MOUND_P9_, MOUND_P8_, MOUND_P7_, MOUND_P6_, MOUND_P5_,     \
                MOUND_P4_, MOUND_P3_, MOUND_P2_, MOUND_P1_, 0)                                     \
    (T, __VA_ARGS__)
#define MOUND_PICK_(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, NAME, ...) NAME
#define MOUND_P1_(T, a) MOUND_PTR_(T, a)
#define MOUND_P2_(T, a, ...) MOUND_PTR_(T, a), MOUND_P1_(T, __VA_ARGS__)
#define MOUND_P3_(T, a, ...) MOUND_PTR_(T, a), MOUND_P2_(T, __VA_ARGS__)
#define MOUND_P4_(T, a, ...) MOUND_PTR_(T, a), MOUND_P3_(T, __VA_ARGS__)
#define MOUND_P5_(T, a, ...) MOUND_PTR_(T, a), MOUND_P4_(T, __VA_ARGS__)
#define MOUND_P6_(T, a, ...) MOUND_PTR_(T, a), MOUND_P5_(T, __VA_ARGS__)
#define MOUND_P7_(T, a, ...) MOUND_PTR_(T, a), MOUND_P6_(T, __VA_ARGS__)
#define MOUND_P8_(T, a, ...) MOUND_PTR_(T, a), MOUND_P7_(T, __VA_ARGS__)
#define MOUND_P9_(T, a, ...) MOUND_PTR_(T, a), MOUND_P8_(T, __VA_ARGS__)
#define MOUND_P10_(T, a, ...) MOUND_PTR_(T, a), MOUND_P9_(T, __VA_ARGS__)
#define MOUND_P11_(T, a, ...) MOUND_PTR_(T, a), MOUND_P10_(T, __VA_ARGS__)
#define MOUND_P12_(T, a, ...) MOUND_PTR_(T, a), MOUND_P11_(T, __VA_ARGS__)
#define MOUND_P13_(T, a, ...) MOUND_PTR_(T, a), MOUND_P12_(T, __VA_ARGS__)
#define MOUND_P14_(T, a, ...) MOUND_PTR_(T, a), MOUND_P13_(T, __VA_ARGS__)
#define MOUND_P15_(T, a, ...) MOUND_PTR_(T, a), MOUND_P14_(T, __VA_ARGS__)
#define MOUND_P16_(T, a, ...) MOUND_PTR_(T, a), MOUND_P15_(T, __VA_ARGS__)

/* ---------------------------------------------------------------- roots and threads */

/* Makes [lo, lo + size) a root: memory from malloc or mmap that holds pointers into the heap.
 * It must stay readable until removed. Ranges may overlap; each add needs its own remove.
 * Fails: -EINVAL (empty, wraps around), -ENOMEM. */
MOUND_API int mound_root_add(const void *lo, size_t size);
/* Fails: -ENOENT (no such range was added). */
MOUND_API int mound_root_remove(const void *lo, size_t size);

/* Makes the calling thread known to the collector before its first allocation: needed only for
 * a thread that was not made by pthread_create or thrd_create and receives pointers before it
 * calls mound. Attaching twice ends the process. */
MOUND_API void mound_thread_attach(void);
/* Forgets the calling thread, which must then hold no pointer into the heap. Done by itself when
 * a thread ends. Ends the process if the thread is not attached. */
MOUND_API void mound_thread_detach(void);

/* ---------------------------------------------------------------- collector */

/* A full collection: returns when everything unreachable at the call is swept and its cleanups
 * are queued. Go: runtime.GC. */
MOUND_API void mound_gc(void);

/* How much the heap may grow over what was live, in percent (100: collect at twice the live
 * heap). Negative: the collector runs only when
 * asked, or when memory is exhausted. Returns the old value. Go: SetGCPercent.
 * Environment: MOUND_GOGC=100 or MOUND_GOGC=off. */
MOUND_API int mound_set_gc_percent(int percent);

/* How much memory the runtime may have, in bytes: pages of the heap that were not given back to the
 * system, its tables and buffers (not the program's malloc, stacks or code). As the heap nears it,
 * collections come more often than the percentage asks for, also where that is off, and free memory
 * is given back at once. A soft limit: where keeping it would leave the program less than half of
 * the time, it is exceeded instead (num_over_limit in the statistics).
 * Returns the old limit; negative: changes nothing. INT64_MAX (the default): no limit.
 * Go: debug.SetMemoryLimit. Environment: MOUND_MEMLIMIT=512MiB, auto (the control group's limit,
 * less a tenth) or off. */
MOUND_API int64_t mound_set_memory_limit(int64_t bytes);

/* Collects, then gives all free memory back to the system. Go: debug.FreeOSMemory. */
MOUND_API void mound_free_os_memory(void);

/* obj is reachable at least until this call. Compiles to nothing. Go: runtime.KeepAlive. */
static inline void mound_keep_alive(const void *obj) {
    __asm__ volatile("" : : "r"(obj) : "memory");
}

/* A cleanup that can be stopped: a value, copied freely, valid for ever. */
typedef struct mound_cleanup {
    void *rec;
    uint64_t seq;
} mound_cleanup;

/* Calls fn(arg) on the cleanup thread, once, some time after obj (any address inside an object)
 * became unreachable. Several per object. arg is kept alive; if obj is reachable from arg, fn
 * never runs; arg == obj ends the process. Not called for objects still alive at exit.
 * Go: runtime.AddCleanup. */
MOUND_API mound_cleanup mound_add_cleanup(void *obj, void (*fn)(void *arg), void *arg);
/* Forgets the cleanup. Without effect once it was queued. Go: Cleanup.Stop. */
MOUND_API void mound_cleanup_stop(mound_cleanup cleanup);

/* A weak pointer: a value, copied freely, kept in memory that the collector scans (or on a
 * stack). Two weak pointers to one address compare equal by their field. Go: weak.Pointer. */
typedef struct mound_weak {
    void *handle;
} mound_weak;

/* obj: any address inside an object; NULL gives a weak pointer that is always NULL. */
MOUND_API mound_weak mound_weak_make(void *obj);
/* The address again, or NULL once the object was found unreachable or was freed. */
MOUND_API void *mound_weak_get(mound_weak weak) MOUND_ATTR(warn_unused_result);

/* ---------------------------------------------------------------- statistics */

/* Buckets of mound_mem_stats.stop_counts. */
#define MOUND_STOP_BUCKETS 64
/* Least time of a bucket in nanoseconds: four buckets for each doubling, the last one open. */
static inline uint64_t mound_stop_bucket_ns(unsigned bucket) {
    return 1000 * (bucket < 4 ? bucket : (uint64_t)(4 + bucket % 4) << (bucket / 4 - 1));
}

typedef struct mound_mem_stats {
    size_t struct_bytes;          /* set by the caller to sizeof(mound_mem_stats) before the call */
    uint64_t heap_alloc_bytes;    /* bytes of allocated objects, garbage not yet swept included */
    uint64_t heap_objects;        /* their number */
    uint64_t total_alloc_bytes;   /* allocated since start, in slots handed out */
    uint64_t num_mallocs;         /* objects allocated since start */
    uint64_t num_frees;           /* objects swept or freed since start */
    uint64_t heap_sys_bytes;      /* address space of the heap made accessible */
    uint64_t heap_inuse_bytes;    /* in spans */
    uint64_t heap_idle_bytes;     /* in free pages */
    uint64_t heap_released_bytes; /* of those, given back to the system */
    uint64_t heap_marked_bytes;   /* live after the last collection */
    uint64_t heap_goal_bytes;     /* the next collection starts at about this size */
    uint64_t metadata_bytes;      /* side tables and the runtime's own memory */
    uint64_t stack_scan_bytes;    /* of stacks scanned in the last collection */
    uint64_t root_scan_bytes;     /* of data segments and added roots, likewise */
    uint64_t num_gc;              /* finished collections */
    uint64_t num_forced_gc;       /* of those, asked for by mound_gc or mound_free_os_memory */
    uint64_t pause_total_ns;      /* time the program was stopped */
    uint64_t pause_max_ns;
    uint64_t pause_last_ns;
    uint64_t gc_cpu_ns; /* CPU time of marking, all workers */
    uint64_t num_cleanups_queued;
    uint64_t num_cleanups_run;
    uint64_t num_threads; /* registered now */
    const char *barrier;  /* how stores are seen during a collection: "none (one stop)" */
    const char *release;  /* how memory is given back: "madvise(MADV_DONTNEED)" */
    uint64_t stop_counts[MOUND_STOP_BUCKETS]; /* times that a thread stood still, by how long: from
                                                 its signal handler's entry until it ran again */
    uint64_t num_concurrent_gc;               /* collections that marked while the program ran */
    uint64_t throttled_ns;      /* that allocating threads waited for marking, all together */
    uint64_t dirty_pages;       /* of 4 KiB, scanned again in the last concurrent collection, */
    uint64_t dirty_pages_last;  /* and of those in its last stop */
    uint64_t predicted_stop_ns; /* of that stop; pause_last_ns is what it took */
    int64_t memory_limit_bytes; /* INT64_MAX: none */
    uint64_t used_bytes;        /* what counts against it */
    uint64_t num_over_limit;    /* collections after which it could not be kept */
} mound_mem_stats;

/* Fills out->struct_bytes bytes, so a program built against an older header keeps working.
 * struct_bytes of 0 or below one field ends the process. Go: runtime.ReadMemStats. */
MOUND_API void mound_read_mem_stats(mound_mem_stats *out);

/* Called instead of exit(2) with the one-line message of a caller's mistake; must not return
 * (if it does, the process exits with status 2). NULL restores the default. For tests and for
 * programs with their own crash reports. */
MOUND_API void mound_set_fatal_handler(void (*handler)(const char *message));

#include "mound/go.h"

#include "mound/chan.h"

#include "mound/sync.h"

#include "mound/time.h"

#include "mound/slice.h"

#include "mound/str.h"

#include "mound/map.h"

#include "mound/any.h"

#ifdef __cplusplus
}
#endif

#endif
