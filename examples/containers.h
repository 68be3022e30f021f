/* containers.h - text, vec, map and set, as one writes them on a collected heap.
 *
 * Each structure grows by taking a bigger block and forgetting the old one; nothing has an owner
 * and nothing has a destructor, so copying a structure by plain = is always right, and pointers
 * go from goroutine to goroutine, or from thread to thread, as they are. An all-zero vec, map or
 * set is an empty one.
 *
 * Used by depgraph_threads.c, which includes the heap first. One user at a time. depgraph.c has
 * the library's own slices, strings and maps instead.
 */
#ifndef EXAMPLES_CONTAINERS_H
#define EXAMPLES_CONTAINERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { FIRST_SLOTS = 8 }; /* of a map or set; a power of two */

/* ---------------------------------------------------------------- text
 * A slice looks into somebody's characters. A text is a heap object with its own. */

typedef struct slice {
    const char *ptr;
    size_t len;
} slice;

typedef struct text {
    size_t len;
    char data[]; /* not terminated */
} text;

#define SLICE(literal) ((slice){literal, sizeof(literal) - 1})

static slice slice_of(const text *t) { return t ? (slice){t->data, t->len} : (slice){"", 0}; }

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static slice slice_trim(slice s) {
    while (s.len > 0 && is_space(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && is_space(s.ptr[s.len - 1])) { s.len--; }
    return s;
}

/* Takes the piece before the next sep off *rest. False when all pieces were taken. */
static bool slice_cut(slice *rest, char sep, slice *piece) {
    if (rest->ptr == NULL) { return false; }
    const char *end = memchr(rest->ptr, sep, rest->len);
    *piece = *rest;
    if (end == NULL) {
        rest->ptr = NULL;
    } else {
        piece->len = (size_t)(end - rest->ptr);
        rest->ptr += piece->len + 1;
        rest->len -= piece->len + 1;
    }
    return true;
}

static int slice_cmp(slice a, slice b) {
    int order = memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* A fresh text with room for size characters: the front ones from s, the others zero. */
static text *text_make(slice s, size_t size) {
    text *t = mound_alloc_noscan(sizeof *t + size);
    memcpy(t->data, s.ptr, s.len);
    t->len = s.len;
    return t;
}

static text *text_copy(slice s) { return text_make(s, s.len); }

/* a, a newline, b. */
static text *text_join(const text *a, slice b) {
    text *t = text_make(slice_of(a), a->len + 1 + b.len);
    t->data[t->len++] = '\n';
    memcpy(t->data + t->len, b.ptr, b.len);
    t->len += b.len;
    return t;
}

/* t (NULL: empty) with line and a newline after it; *cap is its room. Moves when it is full. */
static text *text_add_line(text *t, size_t *cap, slice line) {
    size_t len = slice_of(t).len + line.len + 1;
    if (len > *cap) {
        *cap = len < 256 ? 256 : len + len / 2;
        t = text_make(slice_of(t), *cap);
    }
    memcpy(t->data + t->len, line.ptr, line.len);
    t->data[len - 1] = '\n';
    t->len = len;
    return t;
}

/* As Go's strconv.Atoi with its error ignored: 0 for what is no number, the nearest limit for
 * what does not fit. */
static int64_t slice_int(slice s) {
    bool negative = s.len > 0 && s.ptr[0] == '-';
    uint64_t limit = (uint64_t)INT64_MAX + negative, n = 0;
    for (size_t i = negative || (s.len > 0 && s.ptr[0] == '+'); i < s.len; i++) {
        unsigned digit = (unsigned char)s.ptr[i] - (unsigned)'0';
        if (digit > 9) { return 0; }
        if (n > (UINT64_MAX - digit) / 10) {
            n = limit;
            break;
        }
        n = n * 10 + digit;
    }
    n = n > limit ? limit : n;
    return (int64_t)(negative ? 0 - n : n);
}

/* ---------------------------------------------------------------- vec: a growing array */

typedef struct vec {
    void **items;
    size_t len, cap;
} vec;

static void vec_push(vec *v, void *item) {
    if (v->len == v->cap) {
        size_t cap = v->cap ? 2 * v->cap : 2;
        void **items = mound_alloc_array(cap, sizeof *items);
        if (v->len > 0) { memcpy(items, v->items, v->len * sizeof *items); }
        v->items = items; /* the old block is garbage now; nobody has to say so */
        v->cap = cap;
    }
    v->items[v->len++] = item;
}

/* ---------------------------------------------------------------- map: text -> pointer
 * Open addressing, linear probing, doubled at three quarters full; nothing is ever removed. */

typedef struct entry {
    uint64_t hash;
    text *key; /* NULL: the slot is empty */
    void *value;
} entry;

typedef struct map {
    entry *slots;
    size_t len, cap; /* cap: 0 or a power of two */
} map;

static uint64_t mix(uint64_t x) {
    x *= UINT64_C(0x9e3779b97f4a7c15);
    return x ^ x >> 32;
}

static uint64_t slice_hash(slice s) {
    uint64_t hash = s.len, word = 0;
    for (; s.len >= sizeof word; s.ptr += sizeof word, s.len -= sizeof word) {
        memcpy(&word, s.ptr, sizeof word);
        hash = mix(hash ^ word);
    }
    word = 0;
    for (size_t i = 0; i < s.len; i++) { word = word << 8 | (unsigned char)s.ptr[i]; }
    return mix(hash ^ word);
}

/* The slot of key, or the empty one where it belongs. The map has an empty slot. */
static entry *map_slot(const map *m, slice key, uint64_t hash) {
    for (size_t i = hash;; i++) {
        entry *e = &m->slots[i & (m->cap - 1)];
        if (e->key == NULL || (e->hash == hash && e->key->len == key.len &&
                               memcmp(e->key->data, key.ptr, key.len) == 0)) {
            return e;
        }
    }
}

static void *map_get(const map *m, slice key) {
    return m->cap ? map_slot(m, key, slice_hash(key))->value : NULL;
}

static void map_grow(map *m) {
    map old = *m;
    m->cap = old.cap ? 2 * old.cap : FIRST_SLOTS;
    m->slots = mound_alloc_array(m->cap, sizeof *m->slots);
    for (size_t i = 0; i < old.cap; i++) {
        if (old.slots[i].key != NULL) {
            *map_slot(m, slice_of(old.slots[i].key), old.slots[i].hash) = old.slots[i];
        }
    }
}

/* Where key's value is kept (NULL in a new entry): valid until the next call. */
static void **map_at(map *m, text *key) {
    if (m->len >= m->cap / 4 * 3) { map_grow(m); }
    uint64_t hash = slice_hash(slice_of(key));
    entry *e = map_slot(m, slice_of(key), hash);
    if (e->key == NULL) {
        *e = (entry){hash, key, NULL};
        m->len++;
    }
    return &e->value;
}

/* ---------------------------------------------------------------- set of pointers
 * The same without hashes and values. */

typedef struct set {
    const void **slots;
    size_t len, cap;
} set;

/* False if item was in the set. */
static bool set_insert(set *s, const void *item) {
    size_t i = mix((uintptr_t)item >> 4);
    for (;; i++) {
        const void **slot = &s->slots[i & (s->cap - 1)];
        if (*slot == item) { return false; }
        if (*slot == NULL) {
            *slot = item;
            s->len++;
            return true;
        }
    }
}

static bool set_add(set *s, const void *item) {
    if (s->len >= s->cap / 4 * 3) {
        set old = *s;
        s->cap = old.cap ? 2 * old.cap : FIRST_SLOTS;
        s->slots = mound_alloc_array(s->cap, sizeof *s->slots);
        s->len = 0;
        for (size_t i = 0; i < old.cap; i++) {
            if (old.slots[i] != NULL) { set_insert(s, old.slots[i]); }
        }
    }
    return set_insert(s, item);
}

#endif
