/* any.c - values of any type; how C's own types are compared. Floor types. Documented in
 * mound/any.h.
 *
 * Go      iface.go, alg.go.
 */
#include <string.h>

#include "base/bits.h"
#include "gc/malloc.h"
#include "types/map.h"
#include "types/misuse.h"

/* ---------------------------------------------------------------- C's own types */

/* Integers and pointers are equal if their bytes are. */
#define BYTES(name, bytes)                                                                         \
    static int equal_##name(const void *a, const void *b) { return memcmp(a, b, bytes) == 0; }     \
    static uint64_t hash_##name(const void *v, uint64_t seed) {                                    \
        return mound_hash_bytes(v, bytes, seed);                                                   \
    }
BYTES(1, 1)
BYTES(2, 2)
BYTES(4, 4)
BYTES(8, 8)

/* A NaN equals nothing; 0 and -0 are equal. */
#define FLOATING(T)                                                                                \
    static int equal_##T(const void *a, const void *b) { return *(const T *)a == *(const T *)b; }  \
    static uint64_t hash_##T(const void *v, uint64_t seed) {                                       \
        T value = *(const T *)v;                                                                   \
        if (value == 0) value = 0;                                                                 \
        return mound_hash_bytes(&value, sizeof value, seed);                                       \
    }
FLOATING(float)
FLOATING(double)

static int equal_string(const void *a, const void *b) {
    return mound_string_eq(*(const mound_string *)a, *(const mound_string *)b);
}
static uint64_t hash_string(const void *v, uint64_t seed) {
    return mound_string_hash(*(const mound_string *)v, seed);
}

static int equal_any(const void *a, const void *b) {
    return mound_any_eq(*(const mound_any *)a, *(const mound_any *)b);
}

/* What does not matter of a NaN is made random: many of them in a map hash to different places,
 * each always to the same. */
bool mo_spread_nan(const mound_type *type, void *value) {
    double wide;
    float narrow;
    if (type == &mound_type_mound_any) {
        mound_any *a = value;
        return a->type && a->type->size <= sizeof a->word && mo_spread_nan(a->type, &a->word);
    }
    if (type == &mound_type_double) {
        memcpy(&wide, value, sizeof wide);
        if (wide == wide) return false;
        uint64_t word = mo_hash_load8(value) & ~mo_low_mask(51);
        word |= mo_secret_new().seed & mo_low_mask(51);
        memcpy(value, &word, sizeof word);
        return true;
    }
    if (type == &mound_type_float) {
        memcpy(&narrow, value, sizeof narrow);
        if (narrow == narrow) return false;
        uint32_t word = mo_hash_load4(value) & ~(uint32_t)mo_low_mask(22);
        word |= (uint32_t)(mo_secret_new().seed & mo_low_mask(22));
        memcpy(value, &word, sizeof word);
        return true;
    }
    return false;
}

static const void *value_of(const mound_any *a) {
    return a->type->size <= sizeof a->word ? (const void *)&a->word
                                           : (const void *)(uintptr_t)a->word;
}

static uint64_t hash_any(const void *v, uint64_t seed) {
    const mound_any *a = v;
    if (!a->type) return 0;
    if (!a->type->hash) mo_misuse("hash of unhashable type %s", a->type->name);
    return a->type->hash(value_of(a), seed);
}

static const size_t first_word[] = {0}, second_word[] = {8};

#define NUMBER(T, bytes)                                                                           \
    mound_type mound_type_##T = {#T, bytes, NULL, 0, 0, equal_##bytes, hash_##bytes};              \
    _Static_assert(sizeof(T) == bytes, "the descriptor's size")
NUMBER(bool, 1);
NUMBER(char, 1);
NUMBER(short, 2);
NUMBER(int, 4);
NUMBER(unsigned, 4);
NUMBER(long, 8);
NUMBER(size_t, 8);
NUMBER(int8_t, 1);
NUMBER(int16_t, 2);
NUMBER(int32_t, 4);
NUMBER(int64_t, 8);
NUMBER(uint8_t, 1);
NUMBER(uint16_t, 2);
NUMBER(uint32_t, 4);
NUMBER(uint64_t, 8);
NUMBER(uintptr_t, 8);
mound_type mound_type_float = {"float", 4, NULL, 0, 0, equal_float, hash_float};
mound_type mound_type_double = {"double", 8, NULL, 0, 0, equal_double, hash_double};
mound_type mound_type_mound_pointer = {"mound_pointer", 8, first_word, 1, 0, equal_8, hash_8};
mound_type mound_type_mound_string = {"mound_string", 16,         first_word, 1, 0,
                                      equal_string,   hash_string};
mound_type mound_type_mound_any = {"mound_any", 16, second_word, 1, 0, equal_any, hash_any};

/* ---------------------------------------------------------------- any */

static bool is_same_type(const mound_type *a, const mound_type *b) {
    return a == b || (a && b && a->size == b->size && a->num_ptrs == b->num_ptrs &&
                      strcmp(a->name, b->name) == 0);
}

/* What all zero values share. */
enum { ZERO_BYTES = 1024 };
static const unsigned char zeros[ZERO_BYTES] MO_ALIGNED(16);

mound_any mound_any_box(const mound_type *type, const void *value) {
    mound_any a = {type, 0};
    if (type->size <= sizeof a.word) {
        memcpy(&a.word, value, type->size);
        return a;
    }
    if (type->size <= ZERO_BYTES && memcmp(value, zeros, type->size) == 0) {
        a.word = (uintptr_t)zeros;
        return a;
    }
    void *block = type->num_ptrs > 0 ? mound_alloc(type->size) : mound_alloc_noscan(type->size);
    a.word = (uintptr_t)memcpy(block, value, type->size);
    return a;
}

const void *mound_any_get(const mound_any *a, const mound_type *type) {
    return a->type && is_same_type(a->type, type) ? value_of(a) : NULL;
}

const void *mound_any_must(const mound_any *a, const mound_type *type, const char *where) {
    const void *value = mound_any_get(a, type);
    if (!value)
        mo_misuse("mound_any holds %s, not %s at %s", a->type ? a->type->name : "nil", type->name,
                  where);
    return value;
}

int mound_any_eq(mound_any a, mound_any b) {
    if (!a.type || !b.type || !is_same_type(a.type, b.type)) return a.type == b.type;
    if (!a.type->equal) mo_misuse("comparing values of uncomparable type %s", a.type->name);
    return a.type->equal(value_of(&a), value_of(&b));
}
