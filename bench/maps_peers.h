/* maps_peers.h - the maps that maps.c compares with: khash, GLib's GHashTable and uthash, under the
 * names that it uses for mound's.
 *
 * Each is used as its own documentation does. Nothing is collected here: a map is freed where
 * mound's is just dropped, and texts end in a zero byte, which two of the three go by.
 */
#ifndef MAPS_PEERS_H
#define MAPS_PEERS_H

#include <malloc.h>

typedef struct text {
    const char *ptr;
    size_t len;
} text;

static text text_copy(const char *from) { return (text){strdup(from), strlen(from)}; }

static uint64_t heap_bytes(void) {
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

#if defined(BENCH_KHASH)

#include <htslib/khash.h>
KHASH_MAP_INIT_INT64(u64, uint64_t)
KHASH_MAP_INIT_STR(str, uint64_t)
typedef khash_t(u64) * u64_map;
typedef khash_t(str) * str_map;

static inline u64_map u64_make(void) { return kh_init(u64); }
static inline void u64_drop(u64_map *m) { kh_destroy(u64, *m); }
static inline size_t u64_len(u64_map m) { return kh_size(m); }
/* At most 77 % of the places may be taken. */
static inline void u64_reserve(u64_map *m, size_t num) {
    kh_resize(u64, *m, (khint_t)(num / .77) + 1);
}
static inline void u64_set(u64_map *m, uint64_t key, uint64_t value) {
    int is_new;
    khint_t at = kh_put(u64, *m, key, &is_new);
    kh_value(*m, at) = value;
}
static inline uint64_t u64_get(u64_map m, uint64_t key) {
    khint_t at = kh_get(u64, m, key);
    return at == kh_end(m) ? 0 : kh_value(m, at);
}
static inline void u64_delete(u64_map *m, uint64_t key) {
    khint_t at = kh_get(u64, *m, key);
    if (at != kh_end(*m)) { kh_del(u64, *m, at); }
}
static inline uint64_t u64_sum(u64_map m) {
    uint64_t sum = 0;
    for (khint_t at = kh_begin(m); at != kh_end(m); at++) {
        if (kh_exist(m, at)) { sum += kh_key(m, at) ^ kh_value(m, at); }
    }
    return sum;
}

static inline str_map str_make(void) { return kh_init(str); }
static inline void str_drop(str_map *m) { kh_destroy(str, *m); }
static inline void str_set(str_map *m, text key, uint64_t value) {
    int is_new;
    khint_t at = kh_put(str, *m, key.ptr, &is_new);
    kh_value(*m, at) = value;
}
static inline uint64_t str_get(str_map m, text key) {
    khint_t at = kh_get(str, m, key.ptr);
    return at == kh_end(m) ? 0 : kh_value(m, at);
}

#elif defined(BENCH_GLIB)

#include <glib.h>
typedef GHashTable *u64_map, *str_map;

/* Keys and values stand where GHashTable has pointers: 8 bytes, no allocation. */
#define AS_POINTER(word) ((gpointer)(uintptr_t)(word))
#define AS_WORD(pointer) ((uint64_t)(uintptr_t)(pointer))
static guint u64_hash(gconstpointer key) { return (guint)(AS_WORD(key) ^ AS_WORD(key) >> 32); }

/* Without a function for equality keys are compared as pointers. */
static inline u64_map u64_make(void) { return g_hash_table_new(u64_hash, NULL); }
static inline void u64_drop(u64_map *m) { g_hash_table_destroy(*m); }
static inline size_t u64_len(u64_map m) { return g_hash_table_size(m); }
static inline void u64_reserve(u64_map *m, size_t num) { (void)m, (void)num; } /* has no such */
static inline void u64_set(u64_map *m, uint64_t key, uint64_t value) {
    g_hash_table_insert(*m, AS_POINTER(key), AS_POINTER(value));
}
static inline uint64_t u64_get(u64_map m, uint64_t key) {
    return AS_WORD(g_hash_table_lookup(m, AS_POINTER(key)));
}
static inline void u64_delete(u64_map *m, uint64_t key) {
    g_hash_table_remove(*m, AS_POINTER(key));
}
static inline uint64_t u64_sum(u64_map m) {
    uint64_t sum = 0;
    GHashTableIter it;
    gpointer key, value;
    g_hash_table_iter_init(&it, m);
    while (g_hash_table_iter_next(&it, &key, &value)) { sum += AS_WORD(key) ^ AS_WORD(value); }
    return sum;
}

static inline str_map str_make(void) { return g_hash_table_new(g_str_hash, g_str_equal); }
static inline void str_drop(str_map *m) { g_hash_table_destroy(*m); }
static inline void str_set(str_map *m, text key, uint64_t value) {
    g_hash_table_insert(*m, (gpointer)key.ptr, AS_POINTER(value));
}
static inline uint64_t str_get(str_map m, text key) {
    return AS_WORD(g_hash_table_lookup(m, key.ptr));
}

#elif defined(BENCH_UTHASH)

#include <uthash.h>
typedef struct u64_entry {
    uint64_t key, value;
    UT_hash_handle hh;
} u64_entry, *u64_map;
typedef struct str_entry {
    const char *key;
    uint64_t value;
    UT_hash_handle hh;
} str_entry, *str_map;

static inline u64_map u64_make(void) { return NULL; }
static inline size_t u64_len(u64_map m) { return HASH_COUNT(m); }
static inline void u64_reserve(u64_map *m, size_t num) { (void)m, (void)num; } /* has no such */
static inline void u64_set(u64_map *m, uint64_t key, uint64_t value) {
    u64_entry *e;
    unsigned hash;
    HASH_VALUE(&key, sizeof(key), hash);
    HASH_FIND_BYHASHVALUE(hh, *m, &key, sizeof(key), hash, e);
    if (e == NULL) {
        e = malloc(sizeof(*e));
        e->key = key;
        HASH_ADD_BYHASHVALUE(hh, *m, key, sizeof(key), hash, e);
    }
    e->value = value;
}
static inline uint64_t u64_get(u64_map m, uint64_t key) {
    u64_entry *e;
    HASH_FIND(hh, m, &key, sizeof(key), e);
    return e == NULL ? 0 : e->value;
}
static inline void u64_delete(u64_map *m, uint64_t key) {
    u64_entry *e;
    HASH_FIND(hh, *m, &key, sizeof(key), e);
    if (e == NULL) { return; }
    HASH_DEL(*m, e);
    free(e);
}
static inline uint64_t u64_sum(u64_map m) {
    uint64_t sum = 0;
    for (u64_entry *e = m; e != NULL; e = e->hh.next) { sum += e->key ^ e->value; }
    return sum;
}
static inline void u64_drop(u64_map *m) {
    u64_entry *e = *m, *next;
    HASH_CLEAR(hh, *m); /* the entries keep their order */
    for (; e != NULL; e = next) {
        next = e->hh.next;
        free(e);
    }
}

static inline str_map str_make(void) { return NULL; }
static inline void str_set(str_map *m, text key, uint64_t value) {
    str_entry *e;
    unsigned hash;
    HASH_VALUE(key.ptr, key.len, hash);
    HASH_FIND_BYHASHVALUE(hh, *m, key.ptr, key.len, hash, e);
    if (e == NULL) {
        e = malloc(sizeof(*e));
        e->key = key.ptr;
        HASH_ADD_KEYPTR_BYHASHVALUE(hh, *m, key.ptr, key.len, hash, e);
    }
    e->value = value;
}
static inline uint64_t str_get(str_map m, text key) {
    str_entry *e;
    HASH_FIND(hh, m, key.ptr, key.len, e);
    return e == NULL ? 0 : e->value;
}
static inline void str_drop(str_map *m) {
    str_entry *e = *m, *next;
    HASH_CLEAR(hh, *m);
    for (; e != NULL; e = next) {
        next = e->hh.next;
        free(e);
    }
}

#endif
#endif
