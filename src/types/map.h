/* map.h - a hash table of hash tables. Floor types.
 *
 * group      8 control bytes, then 8 slots of key and value. A control byte is EMPTY, DELETED, or 7
 *            bits of the key's hash: one instruction compares all eight.
 *
 * table      a power of two of groups, probed one after the other from the one that the hash says.
 *            At most about 17 KiB, so that making one anew takes some 10 us.
 *
 * directory  tables by the top bits of the hash. A table that is full and as large as allowed is
 *            split in two by one bit more; one that lost its entries shrinks, or is put together
 *            with its other half (extendible hashing).
 *
 * A table is never changed in its layout: it is made anew and left to the collector, so whoever
 * iterates over it, or holds the address of a value, has it as it was.
 *
 * Holds   M1  in a table with more than one group at least one slot is EMPTY: a probe ends
 *         M2  growth_left = the slots that may still be taken before 7/8 of them are not EMPTY
 *         M3  a table of depth d stands in all entries of the directory that share its d top bits
 *         M4  num_deep = the tables whose depth is the directory's
 *         M5  len = the sum of all used
 *
 * Go      package internal/runtime/maps. Differs: shrinks; a directory's entry holds a table's size
 *         in its low bits, so that a lookup goes from there to the group; large entries make
 *         smaller tables instead of pointers.
 */
#ifndef MO_MAP_H
#define MO_MAP_H

#include "mound.h"
#include "types/hash.h"

enum {
    MO_MAP_SLOTS = 8,    /* of a group */
    MO_MAP_EMPTY = 0x80, /* control bytes; what has not the top bit is full */
    MO_MAP_DELETED = 0xFE,
    MO_MAP_HEADER_OFF = 16, /* of a mound_map in its block */
    MO_MAP_MAX_LOG2 = 15,   /* of groups: what an address of 16-byte alignment has room for */
};

typedef struct mo_table {
    uint32_t used;        /* entries */
    uint32_t growth_left; /* M2 */
    uint8_t depth;        /* top bits of the hash that its entries share */
    uint8_t log2_groups;
    uint8_t unused[6]; /* groups begin at a multiple of 16 */
} mo_table;

struct mound_map {
    mo_secret secret;
    size_t len;
    uintptr_t *dir;     /* 2^depth entries: address of a mo_table | log2 of its groups */
    uintptr_t single;   /* the directory of depth 0 */
    uint64_t version;   /* counts tables that were replaced */
    uint64_t clears;    /* counts calls of empty */
    uint32_t num_deep;  /* M4 */
    uint8_t depth;      /* of the directory */
    uint8_t dir_shift;  /* 63 - depth */
    uint8_t is_writing; /* for other threads to see */
    uint8_t max_log2;   /* groups of a table that is split rather than doubled; const */
    /* Of keys, values, slots and groups; const. */
    mound_key_kind kind;
    uint32_t key_bytes, value_bytes, value_off, slot_bytes;
    uint32_t ctrl_bytes; /* 8, or 16 where slots are aligned to 16 */
    size_t group_bytes;
    bool is_noscan;
    bool may_be_nan; /* keys are of one of the types that mo_spread_nan knows */
    const mound_type *type;
};

MO_INLINE mo_table *mo_table_of(uintptr_t entry) { return (mo_table *)(entry & ~(uintptr_t)15); }
MO_INLINE uintptr_t mo_map_entry(const mound_map *m, uint64_t hash) {
    return m->dir[(hash >> 1) >> m->dir_shift];
}
MO_INLINE unsigned char *mo_map_group(const mound_map *m, const mo_table *t, size_t i) {
    return (unsigned char *)(t + 1) + i * m->group_bytes;
}
MO_INLINE unsigned char *mo_map_slot(const mound_map *m, unsigned char *group, unsigned i) {
    return group + m->ctrl_bytes + (size_t)i * m->slot_bytes;
}

uint64_t mo_map_hash(const mound_map *m, const void *key);
/* A NaN of type float or double, or in a mound_any: gets random bits where they do not matter.
 * False for all else. */
bool mo_spread_nan(const mound_type *type, void *value);
/* Looks at everything that must hold; for tests. */
void mo_map_check(const mound_map *m);
/* Ends the process where another thread changes the map. */
MO_COLD MO_NORETURN void mo_map_concurrent(const char *what);

#endif
