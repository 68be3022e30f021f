/* map.c - maps: looking up, putting, deleting; how tables grow, split, shrink and join. See map.h.
 * Floor types. Documented in mound/map.h.
 *
 * The functions that look for a key are written once, as inline functions whose kind of key is a
 * constant, and compiled for each kind.
 */
#include "types/map.h"

#include <string.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "sys/cpu.h"
#include "types/misuse.h"

enum {
    MAX_TABLE_BYTES = 18 << 10, /* a table of as many slots as fit is split */
    MIN_MAX_LOG2 = 2, /* also where slots are large: a directory of tiny tables is no use */
    MAX_ENTRY_BYTES = 1 << 20,
    MAX_DEPTH = 40, /* a hash whose values share so many bits is none */
};

/* A key that is looked for. */
typedef struct sought {
    const void *addr; /* of kinds BYTES and TYPE; of a string its bytes */
    uint64_t word;    /* of kinds 4 and 8; of a string its length */
} sought;

/* ---------------------------------------------------------------- keys */

MO_INLINE uint64_t hash_of(const mound_map *m, mound_key_kind kind, const sought *k) {
    switch (kind) {
    case MOUND_KEY_4:
    case MOUND_KEY_8: return mo_hash_word(k->word, m->secret);
    case MOUND_KEY_STRING: return mo_hash_bytes(k->addr, k->word, m->secret);
    case MOUND_KEY_BYTES: return mo_hash_bytes(k->addr, m->key_bytes, m->secret);
    case MOUND_KEY_TYPE: break;
    }
    /* A program's own hash may be as poor as the key itself. */
    return mo_hash_word(m->type->hash(k->addr, m->secret.seed), m->secret);
}

MO_INLINE sought sought_at(mound_key_kind kind, const void *key) {
    mound_string s;
    switch (kind) {
    case MOUND_KEY_4: return (sought){NULL, mo_hash_load4(key)};
    case MOUND_KEY_8: return (sought){NULL, mo_hash_load8(key)};
    case MOUND_KEY_STRING: memcpy(&s, key, sizeof s); return (sought){s.ptr, (uint64_t)s.len};
    case MOUND_KEY_BYTES:
    case MOUND_KEY_TYPE: break;
    }
    return (sought){key, 0};
}

MO_INLINE bool same_bytes(const unsigned char *a, const unsigned char *b, size_t num) {
    if (num >= 8 && num <= 32) {
        uint64_t differ = mo_hash_load8(a + num - 8) ^ mo_hash_load8(b + num - 8);
        for (size_t i = 0; i + 8 < num; i += 8)
            differ |= mo_hash_load8(a + i) ^ mo_hash_load8(b + i);
        return differ == 0;
    }
    return num == 0 || memcmp(a, b, num) == 0;
}

MO_INLINE bool is_same(const mound_map *m, mound_key_kind kind, const void *slot, const sought *k) {
    mound_string s;
    switch (kind) {
    case MOUND_KEY_4: return mo_hash_load4(slot) == k->word;
    case MOUND_KEY_8: return mo_hash_load8(slot) == k->word;
    case MOUND_KEY_STRING:
        memcpy(&s, slot, sizeof s);
        return (uint64_t)s.len == k->word &&
               (s.ptr == k->addr || same_bytes((const unsigned char *)s.ptr, k->addr, k->word));
    case MOUND_KEY_BYTES: return memcmp(slot, k->addr, m->key_bytes) == 0;
    case MOUND_KEY_TYPE: break;
    }
    return m->type->equal(slot, k->addr);
}

MO_INLINE void store_key(const mound_map *m, mound_key_kind kind, void *slot, const sought *k) {
    mound_string s = {k->addr, (ptrdiff_t)k->word};
    uint32_t word = (uint32_t)k->word;
    switch (kind) {
    case MOUND_KEY_4: memcpy(slot, &word, 4); return;
    case MOUND_KEY_8: memcpy(slot, &k->word, 8); return;
    case MOUND_KEY_STRING: memcpy(slot, &s, sizeof s); return;
    case MOUND_KEY_BYTES:
    case MOUND_KEY_TYPE: break;
    }
    memcpy(slot, k->addr, m->key_bytes);
}

uint64_t mo_map_hash(const mound_map *m, const void *key) {
    sought k = sought_at(m->kind, key);
    switch (m->kind) { /* so that each call has a constant kind */
    case MOUND_KEY_4: return hash_of(m, MOUND_KEY_4, &k);
    case MOUND_KEY_8: return hash_of(m, MOUND_KEY_8, &k);
    case MOUND_KEY_STRING: return hash_of(m, MOUND_KEY_STRING, &k);
    case MOUND_KEY_BYTES:
    case MOUND_KEY_TYPE: break;
    }
    return hash_of(m, m->kind, &k);
}

/* ---------------------------------------------------------------- one at a time */

void mo_map_concurrent(const char *what) {
    mo_misuse("concurrent map %s: a map is for one thread at a time; use a mutex", what);
}

MO_INLINE void check_read(const mound_map *m) {
    if (MO_UNLIKELY(mo_load_rlx(&m->is_writing))) /* a look: it need not see every mistake */
        mo_map_concurrent("read and map write");
}

/* Read and written, not exchanged: two that begin at the same moment may go unseen. */
MO_INLINE void begin_write(mound_map *m) {
    if (MO_UNLIKELY(mo_load_rlx(&m->is_writing))) mo_map_concurrent("writes"); /* a look */
    mo_store_rlx(&m->is_writing, 1);                                           /* for a look */
}

MO_INLINE void end_write(mound_map *m) {
    if (MO_UNLIKELY(!mo_load_rlx(&m->is_writing))) mo_map_concurrent("writes"); /* a look */
    mo_store_rlx(&m->is_writing, 0);                                            /* for a look */
}

/* ---------------------------------------------------------------- tables */

MO_INLINE size_t groups_of(const mo_table *t) { return (size_t)1 << t->log2_groups; }
MO_INLINE size_t slots_of(const mo_table *t) { return groups_of(t) * MO_MAP_SLOTS; }
/* How many may be not EMPTY. One group is probed whole, so it needs no EMPTY slot. */
MO_INLINE size_t limit_of(unsigned log2_groups) {
    size_t slots = (size_t)MO_MAP_SLOTS << log2_groups;
    return log2_groups == 0 ? slots : slots / 8 * 7;
}
MO_INLINE uintptr_t entry_of(const mo_table *t) { return (uintptr_t)t | t->log2_groups; }

static mo_table *table_new(const mound_map *m, unsigned depth, unsigned log2_groups) {
    size_t bytes = sizeof(mo_table) + (m->group_bytes << log2_groups);
    mo_table *t = m->is_noscan ? mound_alloc_noscan(bytes) : mound_alloc(bytes);
    t->depth = (uint8_t)depth;
    t->log2_groups = (uint8_t)log2_groups;
    t->growth_left = (uint32_t)limit_of(log2_groups);
    for (size_t i = 0; i < groups_of(t); i++) memset(mo_map_group(m, t, i), MO_MAP_EMPTY, 8);
    return t;
}

/* A table with fewer entries is made anew, or joined. Later where a map has no more than two: there
 * the work costs more than the memory is worth. */
MO_INLINE size_t least_of(const mound_map *m, const mo_table *t) {
    return m->depth > 1 ? slots_of(t) / 8 : slots_of(t) / 32 + 1;
}

/* Least size that is at most five eighths full with num entries: two tables of an eighth each fit
 * into one of half the size. */
static unsigned log2_for(size_t num) {
    unsigned log2 = 0;
    while (num > (size_t)5 << log2) log2++;
    return log2;
}

/* A free slot for a key that is not there; its control byte is set. */
MO_INLINE unsigned char *take_slot(const mound_map *m, mo_table *t, uint64_t hash) {
    size_t mask = groups_of(t) - 1;
    for (size_t i = hash >> 7 & mask, step = 0;; i = (i + ++step) & mask) {
        unsigned char *group = mo_map_group(m, t, i);
        unsigned empty = mo_cpu_match_8(group, MO_MAP_EMPTY);
        if (MO_LIKELY(empty)) {
            unsigned at = mo_ctz64(empty);
            group[at] = hash & 0x7F;
            t->used++;
            t->growth_left--;
            return mo_map_slot(m, group, at);
        }
    }
}

/* The usual sizes as constants: a call of libc's takes longer. */
MO_INLINE void copy_slot(const mound_map *m, unsigned char *to, const unsigned char *from) {
    switch (m->slot_bytes) {
    case 8: memcpy(to, from, 8); return;
    case 16: memcpy(to, from, 16); return;
    default: memcpy(to, from, m->slot_bytes);
    }
}

MO_INLINE void clear_slot(const mound_map *m, unsigned char *slot) {
    switch (m->slot_bytes) {
    case 8: memset(slot, 0, 8); return;
    case 16: memset(slot, 0, 16); return;
    default: memset(slot, 0, m->slot_bytes);
    }
}

MO_INLINE void move_of_kind(const mound_map *m, mound_key_kind kind, const mo_table *from,
                            mo_table *zeros, mo_table *ones, unsigned bit) {
    for (size_t i = 0; i < groups_of(from); i++) {
        unsigned char *group = mo_map_group(m, from, i);
        for (unsigned full = ~mo_cpu_tops_8(group) & 0xFF; full; full &= full - 1) {
            unsigned char *slot = mo_map_slot(m, group, mo_ctz64(full));
            sought k = sought_at(kind, slot);
            uint64_t hash = hash_of(m, kind, &k);
            copy_slot(m, take_slot(m, hash >> bit & 1 ? ones : zeros, hash), slot);
        }
    }
}

/* The entries of from, whose hash has bit `bit` set, to ones, the others to zeros. */
static void move_entries(const mound_map *m, const mo_table *from, mo_table *zeros, mo_table *ones,
                         unsigned bit) {
    switch (m->kind) {
    case MOUND_KEY_4: move_of_kind(m, MOUND_KEY_4, from, zeros, ones, bit); return;
    case MOUND_KEY_8: move_of_kind(m, MOUND_KEY_8, from, zeros, ones, bit); return;
    case MOUND_KEY_STRING: move_of_kind(m, MOUND_KEY_STRING, from, zeros, ones, bit); return;
    case MOUND_KEY_BYTES:
    case MOUND_KEY_TYPE: break;
    }
    move_of_kind(m, m->kind, from, zeros, ones, bit);
}

/* ---------------------------------------------------------------- directory */

/* How many entries of the directory a table of a depth has, and the first of them. */
MO_INLINE size_t width_of(const mound_map *m, unsigned depth) {
    return (size_t)1 << (m->depth - depth);
}
MO_INLINE size_t first_of(const mound_map *m, unsigned depth, uint64_t hash) {
    return ((hash >> 1) >> m->dir_shift) & ~(width_of(m, depth) - 1);
}

static void set_entries(mound_map *m, size_t first, size_t num, const mo_table *t) {
    for (size_t i = 0; i < num; i++) m->dir[first + i] = entry_of(t);
    m->version++;
}

/* The old one is cleared: a stale word that still points to it would keep every table of its time.
 */
static void set_dir(mound_map *m, uintptr_t *dir, unsigned depth) {
    uintptr_t *old = m->dir;
    size_t num_old = old ? width_of(m, 0) : 0;
    m->depth = (uint8_t)depth;
    m->dir_shift = (uint8_t)(63 - depth);
    if (depth == 0) {
        m->single = dir[0];
        dir = &m->single;
    }
    m->dir = dir;
    if (num_old > 0 && old != dir) memset(old, 0, num_old * sizeof *old);
}

static uintptr_t *dir_new(unsigned depth) {
    return mound_alloc_array((size_t)1 << depth, sizeof(uintptr_t));
}

static void double_dir(mound_map *m) {
    uintptr_t *dir = dir_new(m->depth + 1u);
    for (size_t i = 0; i < width_of(m, 0); i++) dir[2 * i] = dir[2 * i + 1] = m->dir[i];
    set_dir(m, dir, m->depth + 1u);
    m->num_deep = 0;
}

/* While no table needs all bits of the directory. */
static void halve_dir(mound_map *m) {
    while (m->num_deep == 0 && m->depth > 0) {
        unsigned depth = m->depth - 1u;
        uintptr_t *dir = dir_new(depth);
        for (size_t i = 0; i < (size_t)1 << depth; i++) {
            dir[i] = m->dir[2 * i];
            m->num_deep += mo_table_of(dir[i])->depth == depth;
        }
        set_dir(m, dir, depth);
    }
}

/* ---------------------------------------------------------------- growing and shrinking */

/* The same table with so many groups, without DELETED slots. */
static void remake(mound_map *m, mo_table *t, unsigned log2_groups, uint64_t hash) {
    mo_table *fresh = table_new(m, t->depth, log2_groups);
    move_entries(m, t, fresh, fresh, 0);
    set_entries(m, first_of(m, t->depth, hash), width_of(m, t->depth), fresh);
}

/* All entries of t agree in the next bit: a split would help nothing. */
static bool is_one_sided(const mound_map *m, const mo_table *t) {
    unsigned bit = 63u - t->depth, seen = 0;
    for (size_t i = 0; i < groups_of(t); i++) {
        unsigned char *group = mo_map_group(m, t, i);
        for (unsigned full = ~mo_cpu_tops_8(group) & 0xFF; full; full &= full - 1) {
            seen |= 1u << (mo_map_hash(m, mo_map_slot(m, group, mo_ctz64(full))) >> bit & 1);
            if (seen == 3) return false;
        }
    }
    return true;
}

static void split(mound_map *m, mo_table *t, uint64_t hash) {
    unsigned depth = t->depth + 1u;
    /* As large as t: it may be larger than usual if its keys were one-sided, and still be so. */
    mo_table *zeros = table_new(m, depth, t->log2_groups),
             *ones = table_new(m, depth, t->log2_groups);
    move_entries(m, t, zeros, ones, 64 - depth);
    if (depth > m->depth) double_dir(m);
    size_t width = width_of(m, depth), first = first_of(m, depth - 1, hash);
    set_entries(m, first, width, zeros);
    set_entries(m, first + width, width, ones);
    if (depth == m->depth) m->num_deep += 2;
}

/* Room for one more entry where hash belongs. */
static MO_NOINLINE void grow_now(mound_map *m, uint64_t hash) {
    mo_table *t = mo_table_of(mo_map_entry(m, hash));
    unsigned log2 = t->log2_groups;
    if (log2 > 0 && t->used <= limit_of(log2) - slots_of(t) / 8)
        remake(m, t, log2, hash); /* enough of it is DELETED slots */
    else if (log2 < m->max_log2)
        remake(m, t, log2 + 1, hash);
    else if (t->depth < MAX_DEPTH && !is_one_sided(m, t))
        split(m, t, hash);
    else if (log2 < MO_MAP_MAX_LOG2)
        remake(m, t, log2 + 1, hash);
    else
        mo_misuse("map %p: %u keys have the same hash; mend the hash function of their type",
                  (void *)m, t->used);
}

/* Puts t together with its other half if both are small. */
static bool join(mound_map *m, mo_table *t, uint64_t hash) {
    if (t->depth == 0) return false;
    unsigned depth = t->depth;
    size_t width = width_of(m, depth), first = first_of(m, depth - 1, hash);
    const mo_table *a = mo_table_of(m->dir[first]), *b = mo_table_of(m->dir[first + width]);
    size_t num = (size_t)a->used + b->used;
    if (a->depth != b->depth || num > limit_of(m->max_log2) / 2) return false;
    unsigned log2 = log2_for(num);
    mo_table *both = table_new(m, depth - 1, log2 < m->max_log2 ? log2 : m->max_log2);
    move_entries(m, a, both, both, 0);
    move_entries(m, b, both, both, 0);
    if (depth == m->depth) m->num_deep -= 2;
    set_entries(m, first, 2 * width, both);
    halve_dir(m);
    return true;
}

/* A table has fewer entries than least_of says, or none. */
static MO_NOINLINE void shrink_now(mound_map *m, uint64_t hash) {
    mo_table *t = mo_table_of(mo_map_entry(m, hash));
    if (!join(m, t, hash) && t->log2_groups > 0) remake(m, t, log2_for(t->used), hash);
}

/* The frames of the two do not use all their words, and stand in the same place each time: a stale
 * word there, of a map that is over, would keep that one for as long as this one changes. */
static MO_NOINLINE void clear_frames(void) {
    char dead[512];
    memset(dead, 0, sizeof dead);
    __asm__ volatile("" : : "r"(dead) : "memory");
}
static MO_NOINLINE void grow(mound_map *m, uint64_t hash) {
    clear_frames();
    grow_now(m, hash);
}
static MO_NOINLINE void shrink(mound_map *m, uint64_t hash) {
    clear_frames();
    shrink_now(m, hash);
}

/* ---------------------------------------------------------------- find */

/* The slot of a key and its control byte, or NULL. */
MO_INLINE unsigned char *find(const mound_map *m, mound_key_kind kind, const sought *k,
                              uint64_t hash, unsigned char **ctrl) {
    uintptr_t entry = mo_map_entry(m, hash);
    mo_table *t = mo_table_of(entry);
    size_t mask = ((size_t)1 << (entry & 15)) - 1;
    for (size_t i = hash >> 7 & mask, step = 0;; i = (i + ++step) & mask) {
        unsigned char *group = mo_map_group(m, t, i);
        for (unsigned found = mo_cpu_match_8(group, hash & 0x7F); found; found &= found - 1) {
            unsigned at = mo_ctz64(found);
            unsigned char *slot = mo_map_slot(m, group, at);
            if (MO_LIKELY(is_same(m, kind, slot, k))) {
                *ctrl = group + at;
                return slot;
            }
        }
        if (MO_LIKELY(mo_cpu_match_8(group, MO_MAP_EMPTY)) || step == mask) return NULL;
    }
}

MO_INLINE void *find_value(const mound_map *m, mound_key_kind kind, const sought *k) {
    unsigned char *ctrl;
    if (MO_UNLIKELY(!m)) return NULL;
    check_read(m);
    unsigned char *slot = find(m, kind, k, hash_of(m, kind, k), &ctrl);
    return slot ? slot + m->value_off : NULL;
}

static MO_NOINLINE void wrong_kind(const mound_map *m) {
    mo_misuse("map %p: its keys are not of the kind that this call is for", (const void *)m);
}
#define CHECK_KIND(m, k)                                                                           \
    do {                                                                                           \
        if (MO_UNLIKELY((m) && (m)->kind != (k))) wrong_kind(m);                                   \
    } while (0)

void *mound_map_find_4(const mound_map *m, uint32_t key) {
    CHECK_KIND(m, MOUND_KEY_4);
    sought k = {NULL, key};
    return find_value(m, MOUND_KEY_4, &k);
}
void *mound_map_find_8(const mound_map *m, uint64_t key) {
    CHECK_KIND(m, MOUND_KEY_8);
    sought k = {NULL, key};
    return find_value(m, MOUND_KEY_8, &k);
}
void *mound_map_find_string(const mound_map *m, const char *ptr, ptrdiff_t len) {
    CHECK_KIND(m, MOUND_KEY_STRING);
    sought k = {ptr, (uint64_t)len};
    return find_value(m, MOUND_KEY_STRING, &k);
}

void *mound_map_find(const mound_map *m, const void *key) {
    if (!m) return NULL;
    sought k = sought_at(m->kind, key);
    switch (m->kind) {
    case MOUND_KEY_4: return find_value(m, MOUND_KEY_4, &k);
    case MOUND_KEY_8: return find_value(m, MOUND_KEY_8, &k);
    case MOUND_KEY_STRING: return find_value(m, MOUND_KEY_STRING, &k);
    case MOUND_KEY_BYTES: return find_value(m, MOUND_KEY_BYTES, &k);
    case MOUND_KEY_TYPE: break;
    }
    return find_value(m, MOUND_KEY_TYPE, &k);
}

size_t mound_map_count(const mound_map *m) {
    if (!m) return 0;
    check_read(m);
    return m->len;
}

/* ---------------------------------------------------------------- place */

MO_COLD static void no_map(void) {
    mo_misuse("assignment to an entry in a map that was not made; use mound_map_make");
}

/* The slot of a key, which is put if it is absent; NULL: there is no room, nothing was done. */
MO_INLINE unsigned char *place(mound_map *m, mound_key_kind kind, const sought *k, uint64_t hash) {
    uintptr_t entry = mo_map_entry(m, hash);
    mo_table *t = mo_table_of(entry);
    size_t mask = ((size_t)1 << (entry & 15)) - 1;
    unsigned char *ctrl = NULL, *slot = NULL; /* of the first DELETED slot on the way */
    for (size_t i = hash >> 7 & mask, step = 0;; i = (i + ++step) & mask) {
        unsigned char *group = mo_map_group(m, t, i);
        for (unsigned found = mo_cpu_match_8(group, hash & 0x7F); found; found &= found - 1) {
            unsigned char *at = mo_map_slot(m, group, mo_ctz64(found));
            if (MO_LIKELY(is_same(m, kind, at, k))) return at;
        }
        unsigned empty = mo_cpu_match_8(group, MO_MAP_EMPTY);
        if (!ctrl) {
            unsigned usable = empty | mo_cpu_match_8(group, MO_MAP_DELETED);
            if (usable) {
                unsigned at = mo_ctz64(usable);
                ctrl = group + at;
                slot = mo_map_slot(m, group, at);
            }
        }
        if (MO_LIKELY(empty) || step == mask) break;
    }
    if (MO_UNLIKELY(!ctrl)) return NULL;
    if (*ctrl == MO_MAP_EMPTY) {
        if (MO_UNLIKELY(t->growth_left == 0)) return NULL;
        t->growth_left--;
    }
    *ctrl = hash & 0x7F;
    store_key(m, kind, slot, k);
    t->used++;
    m->len++;
    return slot;
}

MO_INLINE void *place_value(mound_map *m, mound_key_kind kind, const sought *k) {
    if (MO_UNLIKELY(!m)) no_map();
    uint64_t hash = hash_of(m, kind, k); /* before: a key that has none ends the process */
    begin_write(m);
    unsigned char *slot;
    while (MO_UNLIKELY(!(slot = place(m, kind, k, hash)))) grow(m, hash);
    end_write(m);
    return slot + m->value_off;
}

void *mound_map_place_4(mound_map *m, uint32_t key) {
    CHECK_KIND(m, MOUND_KEY_4);
    sought k = {NULL, key};
    return place_value(m, MOUND_KEY_4, &k);
}
void *mound_map_place_8(mound_map *m, uint64_t key) {
    CHECK_KIND(m, MOUND_KEY_8);
    sought k = {NULL, key};
    return place_value(m, MOUND_KEY_8, &k);
}
void *mound_map_place_string(mound_map *m, const char *ptr, ptrdiff_t len) {
    CHECK_KIND(m, MOUND_KEY_STRING);
    sought k = {ptr, (uint64_t)len};
    return place_value(m, MOUND_KEY_STRING, &k);
}

void *mound_map_place(mound_map *m, const void *key) {
    if (!m) no_map();
    sought k = sought_at(m->kind, key);
    switch (m->kind) {
    case MOUND_KEY_4: return place_value(m, MOUND_KEY_4, &k);
    case MOUND_KEY_8: return place_value(m, MOUND_KEY_8, &k);
    case MOUND_KEY_STRING: return place_value(m, MOUND_KEY_STRING, &k);
    case MOUND_KEY_BYTES: return place_value(m, MOUND_KEY_BYTES, &k);
    case MOUND_KEY_TYPE: break;
    }
    mound_any copy;
    if (m->may_be_nan) {
        memcpy(&copy, key, m->key_bytes);
        if (mo_spread_nan(m->type, &copy)) k.addr = &copy;
    }
    return place_value(m, MOUND_KEY_TYPE, &k);
}

/* ---------------------------------------------------------------- remove */

MO_INLINE int remove_key(mound_map *m, mound_key_kind kind, const sought *k) {
    if (MO_UNLIKELY(!m)) return 0;
    uint64_t hash = hash_of(m, kind, k);
    unsigned char *ctrl;
    begin_write(m);
    unsigned char *slot = find(m, kind, k, hash, &ctrl);
    if (slot) {
        mo_table *t = mo_table_of(mo_map_entry(m, hash));
        const void *group = (void *)mo_align_down((uintptr_t)ctrl, MO_MAP_SLOTS);
#if !MO_MUTANT_map_keeps_deleted
        clear_slot(m, slot); /* the next entry's value is zero; nothing is kept alive */
#endif
        /* Who looks for a key goes on behind a group only if that has no EMPTY slot. */
        bool ends_here = t->log2_groups == 0 || mo_cpu_match_8(group, MO_MAP_EMPTY);
#if MO_MUTANT_map_breaks_probes
        ends_here = true;
#endif
        if (ends_here) {
            *ctrl = MO_MAP_EMPTY;
            t->growth_left++;
        } else {
            *ctrl = MO_MAP_DELETED;
        }
        t->used--;
        m->len--;
        if (MO_UNLIKELY(t->used < least_of(m, t)) && (t->log2_groups > 0 || t->depth > 0))
            shrink(m, hash);
    }
    end_write(m);
    return slot != NULL;
}

int mound_map_remove_4(mound_map *m, uint32_t key) {
    CHECK_KIND(m, MOUND_KEY_4);
    sought k = {NULL, key};
    return remove_key(m, MOUND_KEY_4, &k);
}
int mound_map_remove_8(mound_map *m, uint64_t key) {
    CHECK_KIND(m, MOUND_KEY_8);
    sought k = {NULL, key};
    return remove_key(m, MOUND_KEY_8, &k);
}
int mound_map_remove_string(mound_map *m, const char *ptr, ptrdiff_t len) {
    CHECK_KIND(m, MOUND_KEY_STRING);
    sought k = {ptr, (uint64_t)len};
    return remove_key(m, MOUND_KEY_STRING, &k);
}

int mound_map_remove(mound_map *m, const void *key) {
    if (!m) return 0;
    sought k = sought_at(m->kind, key);
    switch (m->kind) {
    case MOUND_KEY_4: return remove_key(m, MOUND_KEY_4, &k);
    case MOUND_KEY_8: return remove_key(m, MOUND_KEY_8, &k);
    case MOUND_KEY_STRING: return remove_key(m, MOUND_KEY_STRING, &k);
    case MOUND_KEY_BYTES: return remove_key(m, MOUND_KEY_BYTES, &k);
    case MOUND_KEY_TYPE: break;
    }
    return remove_key(m, MOUND_KEY_TYPE, &k);
}

static void reset(mound_map *m) {
    uintptr_t entry = entry_of(table_new(m, 0, 0));
    set_dir(m, &entry, 0);
    m->num_deep = 1;
    m->len = 0;
    m->version++;
    m->clears++;
}

void mound_map_empty(mound_map *m) {
    if (!m) return;
    begin_write(m);
    reset(m);
    end_write(m);
}

/* ---------------------------------------------------------------- make */

static void check_layout(const mound_map_layout *l) {
    size_t key = l->key_bytes;
    bool fits = true;
    switch (l->kind) {
    case MOUND_KEY_4: fits = key == 4; break;
    case MOUND_KEY_8: fits = key == 8; break;
    case MOUND_KEY_STRING: fits = key == sizeof(mound_string); break;
    case MOUND_KEY_BYTES: break;
    case MOUND_KEY_TYPE:
        if (!l->type || !l->type->equal || !l->type->hash)
            mo_misuse("mound_map_new: keys of type %s cannot be compared; declare it by "
                      "MOUND_TYPE_KEY and use mound_map_make_keyed",
                      l->type && l->type->name ? l->type->name : "?");
        fits = key == l->type->size;
    }
    if (!fits) mo_misuse("mound_map_new: keys of %zu bytes do not fit kind %d", key, (int)l->kind);
    if (!mo_is_pow2(l->align) || l->align > 16)
        mo_misuse("mound_map_new: alignment %zu; it must be a power of two up to 16", l->align);
    if (key > MAX_ENTRY_BYTES || l->value_bytes > MAX_ENTRY_BYTES - key)
        mo_misuse("mound_map_new: entries of %zu and %zu bytes are too large; use pointers", key,
                  l->value_bytes);
}

/* Not at its block's begin: that address would also be one past the end of the block before, often
 * another map, and a root that holds this one would keep that one and all its tables. */
static mound_map *header_new(void) {
    char *block = mound_alloc(MO_MAP_HEADER_OFF + sizeof(mound_map));
    return (mound_map *)(block + MO_MAP_HEADER_OFF);
}

mound_map *mound_map_new(const mound_map_layout *l) {
    check_layout(l);
    mound_map *m = header_new();
    m->secret = mo_secret_new();
    m->kind = l->kind;
    m->type = l->type;
    m->is_noscan = l->is_noscan;
    m->may_be_nan = l->type == &mound_type_float || l->type == &mound_type_double ||
                    l->type == &mound_type_mound_any;
    m->key_bytes = (uint32_t)l->key_bytes;
    m->value_bytes = (uint32_t)l->value_bytes;
    /* No value lies one past the end of its slot: its address would be another's. */
    size_t value_bytes = mo_max(l->value_bytes, 1);
    m->value_off = (uint32_t)mo_align_up(l->key_bytes, l->align);
    m->slot_bytes = (uint32_t)mo_align_up(m->value_off + value_bytes, l->align);
    m->ctrl_bytes = l->align > 8 ? 16 : 8;
    m->group_bytes = mo_align_up(m->ctrl_bytes + (size_t)MO_MAP_SLOTS * m->slot_bytes, 8);
    unsigned log2 = 7;
    while (log2 > MIN_MAX_LOG2 && m->group_bytes << log2 > MAX_TABLE_BYTES) log2--;
    m->max_log2 = (uint8_t)log2;
    reset(m);
    return m;
}

/* Like place, for a whole slot of a table that is left. */
static void place_slot(mound_map *m, const unsigned char *from) {
    uint64_t hash = mo_map_hash(m, from);
    mo_table *t;
    while ((t = mo_table_of(mo_map_entry(m, hash)))->growth_left == 0) grow(m, hash);
    copy_slot(m, take_slot(m, t, hash), from);
}

void mound_map_make_room(mound_map *m, size_t num) {
    if (!m) no_map();
    begin_write(m);
    unsigned log2 = 0, depth = 0;
    size_t fill = limit_of(m->max_log2) - limit_of(m->max_log2) / 8; /* hashes spread unevenly */
    while (log2 < m->max_log2 && num > limit_of(log2)) log2++;
    if (log2 == m->max_log2)
        while (depth < MAX_DEPTH && num >> depth > fill) depth++;
    const mo_table *single = mo_table_of(m->dir[0]);
    if (depth > m->depth || (m->depth == 0 && log2 > single->log2_groups)) {
        size_t num_old = width_of(m, 0);
        uintptr_t *old = mound_alloc_array(num_old, sizeof *old);
        memcpy(old, m->dir, num_old * sizeof *old);
        uintptr_t *dir = dir_new(depth);
        for (size_t i = 0; i < (size_t)1 << depth; i++)
            dir[i] = entry_of(table_new(m, depth, log2));
        set_dir(m, dir, depth);
        m->num_deep = 1u << depth;
        m->version++;
        for (size_t i = 0; i < num_old; i++) {
            const mo_table *t = mo_table_of(old[i]);
            if (i > 0 && old[i] == old[i - 1]) continue;
            for (size_t k = 0; k < groups_of(t); k++) {
                unsigned char *group = mo_map_group(m, t, k);
                for (unsigned full = ~mo_cpu_tops_8(group) & 0xFF; full; full &= full - 1)
                    place_slot(m, mo_map_slot(m, group, mo_ctz64(full)));
            }
        }
    }
    end_write(m);
}

/* ---------------------------------------------------------------- check */

static void check_table(const mound_map *m, const mo_table *t, size_t first) {
    size_t used = 0, empty = 0;
    for (size_t i = 0; i < groups_of(t); i++) {
        unsigned char *group = mo_map_group(m, t, i);
        empty += mo_popcount64(mo_cpu_match_8(group, MO_MAP_EMPTY));
        for (unsigned full = ~mo_cpu_tops_8(group) & 0xFF; full; full &= full - 1) {
            unsigned char *slot = mo_map_slot(m, group, mo_ctz64(full)), *ctrl;
            uint64_t hash = mo_map_hash(m, slot);
            sought k = sought_at(m->kind, slot);
            used++;
            if (find(m, m->kind, &k, hash, &ctrl) == slot) continue;
            if (m->kind == MOUND_KEY_TYPE && !m->type->equal(slot, slot)) continue;
            mo_throw("map: an entry is not where its key is looked for");
        }
    }
    if (used != t->used) mo_throw("map: a table's entries are not as many as it says");
    if (limit_of(t->log2_groups) - (slots_of(t) - empty) != t->growth_left)
        mo_throw("map: growth_left is wrong");
    if (t->log2_groups > 0 && empty == 0) mo_throw("map: a probe would not end");
    if (first & (width_of(m, t->depth) - 1)) mo_throw("map: a table stands at a wrong place");
    for (size_t i = 0; i < width_of(m, t->depth); i++)
        if (m->dir[first + i] != entry_of(t)) mo_throw("map: an entry of the directory is wrong");
}

void mo_map_check(const mound_map *m) {
    size_t len = 0, num_deep = 0;
    for (size_t i = 0; i < width_of(m, 0);) {
        const mo_table *t = mo_table_of(m->dir[i]);
        if (t->depth > m->depth) mo_throw("map: a table is deeper than the directory");
        check_table(m, t, i);
        len += t->used;
        num_deep += t->depth == m->depth;
        i += width_of(m, t->depth);
    }
    if (len != m->len) mo_throw("map: the tables' entries are not as many as the map says");
    if (num_deep != m->num_deep) mo_throw("map: num_deep is wrong");
    if (m->num_deep == 0) mo_throw("map: the directory is larger than it need be");
}
