/* types.c - the table of type descriptors.
 *
 * A descriptor gets a number on its first use; small objects of a type live in spans of their
 * own, so that the marker finds the layout by page, without a word per object.
 *
 * Floor   gc.
 * Locks   the types lock for registering. [N]/[M]: the number is stored with release after the
 *         entry is complete; a reader that sees the number sees the entry.
 * Fails   a descriptor that lists an offset outside the type, or not aligned, ends the process.
 */
#include "gc/types.h"

#include "base/panic.h"
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

static mo_type_info *take_info(void) {
    enum { CHUNK_BYTES = 64 << 10 };
    size_t need = mo_align_up(sizeof(mo_type_info), MO_CACHE_LINE_BYTES);
    if (chunk_left < need) {
        chunk = mo_os_map(CHUNK_BYTES, "mound types");
        if (!chunk) return NULL;
        chunk_left = CHUNK_BYTES;
    }
    mo_type_info *info = (mo_type_info *)chunk;
    chunk += need;
    chunk_left -= need;
    return info;
}

static void fill(mo_type_info *info, const mound_type *type, uint32_t id) {
    info->bytes = type->size;
    info->ptr_offs = type->ptr_offs;
    info->num_ptrs = type->num_ptrs;
    info->name = type->name;
    info->has_bitmap = true;
    for (uint32_t i = 0; i < type->num_ptrs; i++) {
        size_t off = type->ptr_offs[i];
        if (off % sizeof(void *) != 0 || off + sizeof(void *) > type->size)
            mo_fatal("type %s: pointer field at offset %zu does not lie in its %zu bytes; mend its "
                     "MOUND_TYPE",
                     type->name ? type->name : "?", off, type->size);
        if (off / 8 < 64)
            info->bitmap |= (uint64_t)1 << (off / 8);
        else
            info->has_bitmap = false;
    }
    mo_central_init(&info->central, MO_KIND_TYPED, mo_size_class_of(type->size), info, id);
}

const mo_type_info *mo_type_of(mound_type *type) {
    uint32_t id = mo_load_acq(&type->id); /* [M] pairs with [N] */
    if (MO_LIKELY(id != 0 && id <= MO_MAX_TYPE_ID)) return infos[id];
    if (id != 0 || type->size > MO_MAX_SMALL_BYTES) return NULL;
    const mo_type_info *result = NULL;
    mo_lock_acquire(&lock);
    if (type->id != 0) {
        result = type->id <= MO_MAX_TYPE_ID ? infos[type->id] : NULL;
    } else if (num_infos < MO_MAX_TYPE_ID) {
        mo_type_info *info = take_info();
        if (info) {
            id = num_infos + 1;
            fill(info, type, id);
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
    return result;
}
