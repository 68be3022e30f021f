/* types.c - the table of type descriptors.
 *
 * A descriptor gets a number on its first use; small objects of a type live in spans of their
 * own, so that the marker finds the layout by page, without a word per object.
 *
 * Floor   gc.
 * Locks   the types lock for registering. [N]/[M]: the number is stored with release after the
 *         entry is complete; a reader that sees the number sees the entry.
 * Holds   nothing points into the user's descriptor: its object may be closed while objects of the
 *         type, and its spans, live on.
 * Fails   a descriptor that lists an offset outside the type, or not aligned, ends the process.
 */
#include "gc/types.h"

#include <string.h>

#include "base/panic.h"
#include "sched/thread.h"
#include "sys/cpu.h"
#include "sys/os_mem.h"

static MO_GLOBAL mo_lock lock;
static MO_GLOBAL mo_type_info *infos[MO_MAX_TYPE_ID + 1];
static MO_GLOBAL uint32_t num_infos;
static MO_GLOBAL uint8_t *chunk;
static MO_GLOBAL size_t chunk_left;

void mo_types_init(void) { mo_lock_init(&lock, MO_RANK_TYPES); }
mo_lock *mo_types_lock(void) { return &lock; }
uint32_t mo_type_count(void) { return mo_load_acq(&num_infos); /* [M] pairs with [N] */ }
mo_type_info *mo_type_at(uint32_t id) { return infos[id]; }

/* Zeroed, never given back; NULL: memory is exhausted. */
static void *take_bytes(size_t bytes) {
    enum { CHUNK_BYTES = 64 << 10 };
    bytes = mo_align_up(bytes, MO_CACHE_LINE_BYTES);
    if (bytes > CHUNK_BYTES) return mo_os_map(bytes, "mound types");
    if (chunk_left < bytes) {
        uint8_t *fresh = mo_os_map(CHUNK_BYTES, "mound types");
        if (!fresh) return NULL;
        chunk = fresh;
        chunk_left = CHUNK_BYTES;
    }
    void *taken = chunk;
    chunk += bytes;
    chunk_left -= bytes;
    return taken;
}

static const char *name_of(const mound_type *type) { return type->name ? type->name : "?"; }

/* An object that is opened again brings its descriptors again: they are the same types. */
static bool is_same(const mo_type_info *info, const mound_type *type) {
    return info->bytes == type->size && info->num_ptrs == type->num_ptrs &&
           strncmp(info->name, name_of(type), sizeof info->name - 1) == 0 &&
           (type->num_ptrs == 0 ||
            memcmp(info->ptr_offs, type->ptr_offs, type->num_ptrs * sizeof(size_t)) == 0);
}

static uint32_t find_same(const mound_type *type) {
    for (uint32_t id = 1; id <= num_infos; id++)
        if (is_same(infos[id], type)) return id;
    return 0;
}

/* NULL: memory is exhausted. */
static mo_type_info *make_info(const mound_type *type, uint32_t id) {
    mo_type_info *info = take_bytes(sizeof *info + type->num_ptrs * sizeof(size_t));
    if (!info) return NULL;
    size_t *offs = (size_t *)(info + 1);
    info->bytes = type->size;
    info->ptr_offs = offs;
    info->num_ptrs = type->num_ptrs;
    memcpy(info->name, name_of(type), mo_min(strlen(name_of(type)), sizeof info->name - 1));
    info->has_bitmap = true;
    for (uint32_t i = 0; i < type->num_ptrs; i++) {
        size_t off = type->ptr_offs[i];
        if (off % sizeof(void *) != 0 || off + sizeof(void *) > type->size)
            mo_fatal("type %s: pointer field at offset %zu does not lie in its %zu bytes; mend its "
                     "MOUND_TYPE",
                     name_of(type), off, type->size);
        offs[i] = off;
        if (off / 8 < 64)
            info->bitmap |= (uint64_t)1 << (off / 8);
        else
            info->has_bitmap = false;
    }
    mo_central_init(&info->central, MO_KIND_TYPED, mo_size_class_of(type->size), info, id);
    return info;
}

const mo_type_info *mo_type_of(mound_type *type) {
    uint32_t id = mo_load_acq(&type->id); /* [M] pairs with [N] */
    if (MO_LIKELY(id != 0 && id <= MO_MAX_TYPE_ID)) return infos[id];
    if (id != 0 || type->size > MO_MAX_SMALL_BYTES) return NULL;
    const mo_type_info *result = NULL;
    mo_thread *t = mo_thread_current();
    mo_runtime_enter(t);
    mo_lock_acquire(&lock);
    if (type->id != 0) {
        result = type->id <= MO_MAX_TYPE_ID ? infos[type->id] : NULL;
    } else if ((id = find_same(type)) != 0) {
        mo_store_rel(&type->id, id); /* [N] pairs with [M] */
        result = infos[id];
    } else if (num_infos < MO_MAX_TYPE_ID) {
        id = num_infos + 1;
        mo_type_info *info = make_info(type, id);
        if (info) {
            infos[id] = info;
            mo_store_rel(&num_infos, id); /* [N] pairs with [M] */
            mo_store_rel(&type->id, id);  /* [N] pairs with [M] */
            result = info;
        }
    } else {
        mo_store_rel(&type->id,
                     MO_MAX_TYPE_ID + 1); /* [N] full: scanned word by word from now on */
    }
    mo_lock_release(&lock);
    mo_runtime_leave(t);
    return result;
}
