/* mound/map.h - maps from keys to values, with Go's meaning. Included by mound.h.
 *
 *     typedef mound_map_of(mound_string, int) counts;
 *     counts m = mound_map_make(counts);
 *     mound_map_set(m, MOUND_STR("a"), 5);
 *     (*mound_map_at(m, MOUND_STR("b")))++;            // made zero if absent
 *     int *n = mound_map_get(m, MOUND_STR("a"));       // NULL: absent
 *     for (mound_map_iter it = mound_map_begin(m); mound_map_next(&it);)
 *         use(*mound_map_key(m, &it), *mound_map_value(m, &it));
 *
 * A map is a reference: copies are the same map. {0} is a map without entries that none can be put
 * into. What it returns points to an entry's place: good until the next call that puts or deletes
 * entries; after that it points to memory that is still there, but maybe no longer to the entry.
 *
 * Order of iteration: none, and another one each time. While one iterates, entries may be put and
 * deleted: one that is there all the time comes once, one that was deleted before its turn does not
 * come, one put meanwhile may come or not.
 *
 * Memory: a map grows by parts of at most some tens of KiB, so no call takes long but for reserve;
 * where entries are deleted it gives memory back, which Go's maps do not. Keys and values that are
 * numbers are not looked into by the collector (see slice.h).
 *
 * Not for several threads at once, except that all only read: where a call finds another one
 * changing the map, the process ends; that is found often, not always.
 */
#ifndef MOUND_MAP_H
#define MOUND_MAP_H

typedef struct mound_map mound_map;

/* ---------------------------------------------------------------- by address */

/* How keys are compared. */
typedef enum mound_key_kind {
    MOUND_KEY_TYPE = 0,   /* by the functions of the key's type */
    MOUND_KEY_4 = 4,      /* by 4 bytes, */
    MOUND_KEY_8 = 8,      /* by 8: integers, enumerations, pointers */
    MOUND_KEY_BYTES = 9,  /* all their bytes: integers of other sizes */
    MOUND_KEY_STRING = 10 /* as mound_strings */
} mound_key_kind;

typedef struct mound_map_layout {
    mound_key_kind kind;
    size_t key_bytes, value_bytes;
    size_t align;           /* of both, at most 16 */
    int is_noscan;          /* keys and values hold no pointers */
    const mound_type *type; /* of keys, for MOUND_KEY_TYPE; must stay */
} mound_map_layout;

/* Ends the process if the layout is wrong: a key type without equal and hash, sizes that do not fit
 * the kind, entries of more than 1 MiB. Go: make(map[K]V). */
MOUND_API mound_map *mound_map_new(const mound_map_layout *layout)
    MOUND_ATTR(returns_nonnull, warn_unused_result);
/* The value's address, NULL if key is absent or m is NULL. Go: v, ok := m[k]. */
MOUND_API void *mound_map_find(const mound_map *m, const void *key);
/* The value's address; an absent key is put with a zeroed value. Ends the process if m is NULL.
 * Go: m[k] on the left side. */
MOUND_API void *mound_map_place(mound_map *m, const void *key);
/* 1: it was there. Go: delete(m, k). */
MOUND_API int mound_map_remove(mound_map *m, const void *key);
/* Go: len(m). */
MOUND_API size_t mound_map_count(const mound_map *m);
/* Without entries again, and without their memory. Go: clear(m). */
MOUND_API void mound_map_empty(mound_map *m);
/* Room for num entries in all, in one go. Go: make(map[K]V, num). */
MOUND_API void mound_map_make_room(mound_map *m, size_t num);

/* A place in an iteration: key and value are the current entry's. The rest is the map's. May be
 * left at any time. */
typedef struct mound_map_iter {
    const void *key;
    void *value;
    const mound_map *map;
    void *table;             /* that is gone through, as it was when it was begun */
    uint64_t begin, pos, hi; /* in the order of hashes */
    uint64_t clears, version;
    unsigned group, bits, turn;
    int is_filtered, is_wrapped;
} mound_map_iter;
MOUND_API mound_map_iter mound_map_iterate(const mound_map *m);
/* 0: no more entries. */
MOUND_API int mound_map_next(mound_map_iter *it);

/* The same as find, place and remove, for one kind of key. */
MOUND_API void *mound_map_find_4(const mound_map *m, uint32_t key);
MOUND_API void *mound_map_find_8(const mound_map *m, uint64_t key);
MOUND_API void *mound_map_find_string(const mound_map *m, const char *ptr, ptrdiff_t len);
MOUND_API void *mound_map_place_4(mound_map *m, uint32_t key);
MOUND_API void *mound_map_place_8(mound_map *m, uint64_t key);
MOUND_API void *mound_map_place_string(mound_map *m, const char *ptr, ptrdiff_t len);
MOUND_API int mound_map_remove_4(mound_map *m, uint32_t key);
MOUND_API int mound_map_remove_8(mound_map *m, uint64_t key);
MOUND_API int mound_map_remove_string(mound_map *m, const char *ptr, ptrdiff_t len);

/* ---------------------------------------------------------------- by type */

#ifndef __cplusplus
#define mound_map_of(K, V)                                                                         \
    union {                                                                                        \
        mound_map *map;                                                                            \
        K *key_;                                                                                   \
        V *value_;                                                                                 \
    }
#define MOUND_K_(m) __typeof__(*(m).key_)
#define MOUND_V_(m) __typeof__(*(m).value_)
#define MOUND_IS_(T, U) __builtin_types_compatible_p(__typeof__(T), U)
#define MOUND_IS_WHOLE_(T)                                                                         \
    (MOUND_IS_NUMBER_(*(__typeof__(T) *)0) && __builtin_classify_type(*(__typeof__(T) *)0) != 8)
#define MOUND_KEY_KIND_(K)                                                                         \
    (MOUND_IS_(K, mound_string) ? MOUND_KEY_STRING                                                 \
     : MOUND_IS_WHOLE_(K) || __builtin_classify_type(*(__typeof__(K) *)0) == 5                     \
         ? (sizeof(K) == 8   ? MOUND_KEY_8                                                         \
            : sizeof(K) == 4 ? MOUND_KEY_4                                                         \
                             : MOUND_KEY_BYTES)                                                    \
         : MOUND_KEY_TYPE)
#define MOUND_LAYOUT_(M, type)                                                                     \
    (&(const mound_map_layout){                                                                    \
        MOUND_KEY_KIND_(MOUND_K_(*(M *)0)), sizeof(MOUND_K_(*(M *)0)), sizeof(MOUND_V_(*(M *)0)),  \
        __alignof__(struct {                                                                       \
            MOUND_K_(*(M *)0) k;                                                                   \
            MOUND_V_(*(M *)0) v;                                                                   \
        }),                                                                                        \
        MOUND_NUMBER_FLAGS_(MOUND_K_(*(M *)0)) & MOUND_NUMBER_FLAGS_(MOUND_V_(*(M *)0)), (type)})

/* M: a type made with mound_map_of, whose keys are integers, enumerations, pointers, strings,
 * float, double, bool or mound_any; for others it ends the process. */
#define mound_map_make(M)                                                                          \
    ((M){mound_map_new(                                                                            \
        MOUND_LAYOUT_(M, MOUND_IS_(MOUND_K_(*(M *)0), float)       ? &mound_type_float             \
                         : MOUND_IS_(MOUND_K_(*(M *)0), double)    ? &mound_type_double            \
                         : MOUND_IS_(MOUND_K_(*(M *)0), mound_any) ? &mound_type_mound_any         \
                                                                   : (mound_type *)0))})
/* Keys compared by the functions of a descriptor: MOUND_TYPEOF(K) of a MOUND_TYPE_KEY. */
#define mound_map_make_keyed(M, type) ((M){mound_map_new(MOUND_LAYOUT_(M, type))})

static inline void *mound_map_find_(const mound_map *m, const void *key, mound_key_kind kind) {
    uint32_t k4;
    uint64_t k8;
    mound_string s;
    switch (kind) {
    case MOUND_KEY_4: __builtin_memcpy(&k4, key, 4); return mound_map_find_4(m, k4);
    case MOUND_KEY_8: __builtin_memcpy(&k8, key, 8); return mound_map_find_8(m, k8);
    case MOUND_KEY_STRING:
        __builtin_memcpy(&s, key, sizeof s);
        return mound_map_find_string(m, s.ptr, s.len);
    case MOUND_KEY_TYPE:
    case MOUND_KEY_BYTES: break;
    }
    return mound_map_find(m, key);
}
static inline void *mound_map_place_(mound_map *m, const void *key, mound_key_kind kind) {
    uint32_t k4;
    uint64_t k8;
    mound_string s;
    switch (kind) {
    case MOUND_KEY_4: __builtin_memcpy(&k4, key, 4); return mound_map_place_4(m, k4);
    case MOUND_KEY_8: __builtin_memcpy(&k8, key, 8); return mound_map_place_8(m, k8);
    case MOUND_KEY_STRING:
        __builtin_memcpy(&s, key, sizeof s);
        return mound_map_place_string(m, s.ptr, s.len);
    case MOUND_KEY_TYPE:
    case MOUND_KEY_BYTES: break;
    }
    return mound_map_place(m, key);
}
static inline int mound_map_remove_(mound_map *m, const void *key, mound_key_kind kind) {
    uint32_t k4;
    uint64_t k8;
    mound_string s;
    switch (kind) {
    case MOUND_KEY_4: __builtin_memcpy(&k4, key, 4); return mound_map_remove_4(m, k4);
    case MOUND_KEY_8: __builtin_memcpy(&k8, key, 8); return mound_map_remove_8(m, k8);
    case MOUND_KEY_STRING:
        __builtin_memcpy(&s, key, sizeof s);
        return mound_map_remove_string(m, s.ptr, s.len);
    case MOUND_KEY_TYPE:
    case MOUND_KEY_BYTES: break;
    }
    return mound_map_remove(m, key);
}
static inline void mound_map_set_(mound_map *m, const void *key, mound_key_kind kind,
                                  const void *value, size_t value_bytes) {
    __builtin_memcpy(mound_map_place_(m, key, kind), value, value_bytes);
}

/* A key as the map has it, on the stack; of a wrong type it does not compile. */
#define MOUND_MAP_KEY_(m, k) (MOUND_MUST_(MOUND_FITS_(MOUND_K_(m), k)), (MOUND_K_(m)[1]){(k)})

/* m is evaluated once, k once. */
#define mound_map_get(m, k)                                                                        \
    ((__typeof__((m).value_))mound_map_find_((m).map, MOUND_MAP_KEY_(m, k),                        \
                                             MOUND_KEY_KIND_(MOUND_K_(m))))
#define mound_map_at(m, k)                                                                         \
    ((__typeof__((m).value_))mound_map_place_((m).map, MOUND_MAP_KEY_(m, k),                       \
                                              MOUND_KEY_KIND_(MOUND_K_(m))))
#define mound_map_set(m, k, v)                                                                     \
    (MOUND_MUST_(MOUND_FITS_(MOUND_V_(m), v)),                                                     \
     mound_map_set_((m).map, MOUND_MAP_KEY_(m, k), MOUND_KEY_KIND_(MOUND_K_(m)),                   \
                    (MOUND_V_(m)[1]){(v)}, sizeof(MOUND_V_(m))))
#define mound_map_has(m, k) (mound_map_get(m, k) != (void *)0)
#define mound_map_delete(m, k)                                                                     \
    mound_map_remove_((m).map, MOUND_MAP_KEY_(m, k), MOUND_KEY_KIND_(MOUND_K_(m)))
#define mound_map_len(m) mound_map_count((m).map)
#define mound_map_clear(m) mound_map_empty((m).map)
#define mound_map_reserve(m, num) mound_map_make_room((m).map, (num))
#define mound_map_begin(m) mound_map_iterate((m).map)
#define mound_map_key(m, it) ((const MOUND_K_(m) *)(it)->key)
#define mound_map_value(m, it) ((__typeof__((m).value_))(it)->value)
#endif

#endif
