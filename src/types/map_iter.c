/* map_iter.c - iteration over maps. Floor types. Documented in mound/map.h.
 *
 * In the order of the tables' places in the directory, that is, of the top 63 bits of hashes, from
 * a random table on, round to it again. The table that is gone through is kept as it was when it
 * was begun: if the map replaces it meanwhile, each of its keys is looked up to see what became of
 * it. The next table is the one that begins where this one's hashes end; if that one was put
 * together meanwhile from what has and what has not been seen, the hash of each key says which it
 * is.
 *
 * Holds   T1  a key that is there from begin to end comes once: its hash lies in one of the ranges
 *             [pos, hi), which follow each other, and the table of a range has it exactly once
 */
#include "types/map.h"

#include "base/atomic.h"
#include "base/bits.h"
#include "sys/cpu.h"

#define END ((uint64_t)1 << 63)
enum {
    AHEAD = 4,       /* groups; what comes so much later is asked for */
    MAX_BYTES = 256, /* of each */
};

mound_map_iter mound_map_iterate(const mound_map *m) {
    mound_map_iter it = {.map = m};
    if (m) {
        uint64_t random = mo_secret_new().seed;
        unsigned depth = mo_table_of(mo_map_entry(m, random))->depth;
        it.begin = it.pos = (random >> 1) & ~((END - 1) >> depth);
        it.turn = (unsigned)random & 0xFFFF;
        it.clears = m->clears;
    }
    return it;
}

/* The table at pos; false: all have been seen. */
static bool enter(mound_map_iter *it) {
    const mound_map *m = it->map;
    if (it->pos == END && !it->is_wrapped) {
        it->is_wrapped = 1;
        it->pos = 0;
    }
    if (it->is_wrapped && it->pos >= it->begin) return false;
    mo_table *t = mo_table_of(m->dir[it->pos >> m->dir_shift]);
    uint64_t width = END >> t->depth;
    it->table = t;
    uint64_t lo = it->pos & ~(width - 1);
    it->hi = lo + width;
    it->is_filtered = it->pos > lo;
#if MO_MUTANT_map_iter_sees_twice
    it->is_filtered = 0;
#endif
    if (it->is_wrapped && it->hi > it->begin) {
        it->hi = it->begin;
        it->is_filtered = 1;
    }
    it->version = m->version;
    it->group = it->bits = 0;
    return true;
}

/* Whether the entry in slot is to come now; key and value are then set. */
static bool show(mound_map_iter *it, unsigned char *slot) {
    const mound_map *m = it->map;
    if (it->is_filtered) {
        uint64_t place = mo_map_hash(m, slot) >> 1;
        if (place < it->pos || place >= it->hi) return false;
    }
    it->key = slot;
    it->value = slot + m->value_off;
    if (MO_LIKELY(m->version == it->version)) return true;
#if MO_MUTANT_map_iter_shows_deleted
    return true;
#endif
    void *now = mound_map_find(m, slot);
    if (now) {
        it->value = now;
        it->key = (unsigned char *)now - m->value_off;
        return true;
    }
    /* Deleted; or it does not equal itself, so that only emptying the map can have removed it. */
    return m->kind == MOUND_KEY_TYPE && !m->type->equal(slot, slot) && m->clears == it->clears;
}

int mound_map_next(mound_map_iter *it) {
    const mound_map *m = it->map;
    if (!m) return 0;
    if (mo_load_rlx(&m->is_writing)) mo_map_concurrent("iteration and map write"); /* a look */
    while (it->table || enter(it)) {
        mo_table *t = it->table;
        size_t num = (size_t)1 << t->log2_groups;
        unsigned turn = it->turn & 7;
        while (it->bits || it->group < num) {
            if (!it->bits) it->group++;
            unsigned char *group =
                mo_map_group(m, t, (it->group - 1 + (it->turn >> 3)) & (num - 1));
            if (!it->bits) {
                it->bits = ~mo_cpu_tops_8(group) & 0xFF;
                for (size_t i = 0; i < mo_min(m->group_bytes, MAX_BYTES); i += 64)
                    __builtin_prefetch(group + AHEAD * m->group_bytes + i);
                continue;
            }
            unsigned late = it->bits & 0xFFu << turn;
            unsigned at = mo_ctz64(late ? late : it->bits);
            it->bits &= ~(1u << at);
            if (group[at] & MO_MAP_EMPTY) continue; /* deleted since */
            if (show(it, mo_map_slot(m, group, at))) return 1;
        }
        it->pos = it->hi;
        it->table = NULL;
    }
    it->key = it->value = NULL;
    return 0;
}
