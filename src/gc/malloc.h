/* malloc.h - allocation: the fast path, inline. Floor gc.
 *
 * Fast path, bump mode, up to 1 KiB: one thread-local load, one table look-up, two subtractions, a
 * compare, a store. The memory is zero already (heap/cache.c clears spans of small slots as a
 * whole). A thread stopped between the load and the store of bump has allocated nothing yet; its
 * slot stays claimed, and the collector leaves claimed slots alone. After the store the object is
 * allocated and its address is in a register, where the scan finds it.
 */
#ifndef MO_MALLOC_H
#define MO_MALLOC_H

#include "gc/gc.h"
#include "gc/types.h"

/* All the rest; returns NULL only when memory is exhausted after a collection. */
void *mo_malloc_slow(size_t size, mo_kind kind);
/* An object of a type, precise. type may be NULL: scanned word by word. */
void *mo_malloc_typed(const mo_type_info *type, size_t num);
void *mo_malloc_aligned(size_t align, size_t size);
/* For slices. A large object has a byte more, which is never used: so no address is one past its
 * end, and a root's word that is the next block's begin does not keep it. Noscan memory is zeroed
 * but for its first `filled` bytes, if large, which the caller writes at once; what is scanned must
 * be zero before it is shown to the marker. */
void *mo_malloc_slack(size_t size, mo_kind kind, size_t filled);
/* A large object of mo_malloc_slack may be extended from now on, or never again. */
void mo_malloc_may_extend(const mo_slot *sl, bool may);
/* Such an object, which has had_bytes, gets more of them behind it, zeroed: whole pages. false: as
 * before. There is no room, a collection marks, or somebody else extended it. */
bool mo_malloc_extend(mo_span *s, size_t more, size_t had_bytes);
/* Noscan memory for MO_TEXT_MIN_BYTES to MO_TEXT_MAX_BYTES, aligned to 8. NULL as mo_malloc_slow.
 */
void *mo_malloc_text(void);
/* Small object from inside the runtime: never collects. NULL: exhausted. */
void *mo_malloc_in_runtime(mo_thread *t, size_t size, mo_kind kind);
/* The same for one object of a type, always in the type's spans. type may be NULL. */
void *mo_malloc_typed_in_runtime(mo_thread *t, const mo_type_info *type);

MO_INLINE void *mo_malloc(size_t size, mo_kind kind) {
    if (MO_LIKELY(size <= MO_MAX_TABLE_16_BYTES)) {
        unsigned sc = mo_size_to_class_16[(size + 15) / 16];
        mo_cache_slot *slot = mo_cache_slot_of(&mo_self->cache, kind, sc);
        uintptr_t bump = slot->bump;
        size_t bytes = mo_size_classes[sc].bytes;
        if (MO_LIKELY(bump - slot->lim >= bytes)) {
            bump -= bytes;
            mo_store_rlx(&slot->bump, bump); /* the owner's word; its handler's stop publishes it */
            return (void *)bump;
        }
    }
    return mo_malloc_slow(size, kind);
}

#endif
