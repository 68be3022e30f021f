/* size_class.h - sizes of small objects. The tables are generated: tools/size_classes.c.
 * Floor heap. */
#ifndef MO_SIZE_CLASS_H
#define MO_SIZE_CLASS_H

#include "base/compiler.h"
#include "heap/size_class_table.h"

enum {
    MO_MAX_SMALL_BYTES = 32768,
    MO_MAX_TABLE_16_BYTES = 1024, /* sizes up to here: one table look-up by 16 bytes */
    /* Of noscan objects that are less than a slot and need no alignment to 16: the last class,
     * which no size leads to. Less, so that one past the end of an object is still in its slot. */
    MO_TEXT_CLASS = MO_NUM_SIZE_CLASSES - 1,
    MO_TEXT_MIN_BYTES = 17,
    MO_TEXT_MAX_BYTES = 23,
};

typedef struct mo_size_class {
    uint32_t bytes;
    uint32_t magic;  /* index of an object = (offset * magic) >> 32 */
    uint32_t nelems; /* objects in a span */
    uint32_t pages;  /* pages of a span */
} mo_size_class;

extern const mo_size_class mo_size_classes[MO_NUM_SIZE_CLASSES];
extern const uint8_t mo_size_to_class_16[MO_MAX_TABLE_16_BYTES / 16 + 1];
extern const uint8_t mo_size_to_class_128[(MO_MAX_SMALL_BYTES - MO_MAX_TABLE_16_BYTES) / 128 + 1];

/* size <= MO_MAX_SMALL_BYTES */
MO_INLINE unsigned mo_size_class_of(size_t size) {
    if (MO_LIKELY(size <= MO_MAX_TABLE_16_BYTES)) return mo_size_to_class_16[(size + 15) / 16];
    return mo_size_to_class_128[(size - MO_MAX_TABLE_16_BYTES + 127) / 128];
}

#endif
