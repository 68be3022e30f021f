/* types.h - type descriptors as the collector uses them. Floor gc. */
#ifndef MO_TYPES_H
#define MO_TYPES_H

#include "heap/central.h"
#include "mound.h"

typedef struct mo_type_info {
    mo_central central;     /* spans of single objects of the type */
    size_t bytes;           /* of one element */
    uint64_t bitmap;        /* pointer words, if all lie in the first 64 words */
    const size_t *ptr_offs; /* a copy: the user's list may be in an object that is closed later */
    uint32_t num_ptrs;
    bool has_bitmap;
    char name[52]; /* likewise; cut if longer */
} mo_type_info;

/* The runtime's side of a descriptor, registered on first use; NULL if the table is full or memory
 * is exhausted: the object is then scanned word by word, which is always correct. */
const mo_type_info *mo_type_of(mound_type *type);
uint32_t mo_type_count(void);
mo_type_info *mo_type_at(uint32_t id); /* 1 .. count */
void mo_types_init(void);
mo_lock *mo_types_lock(void);

#endif
