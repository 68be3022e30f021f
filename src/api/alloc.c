/* alloc.c - the exported allocation functions. Floor api. Documented in mound.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "gc/malloc.h"
#include "gc/specials.h"
#include "gc/start.h"
#include "mound.h"
#include "sys/os_mem.h"
#include "sys/stream.h"

MO_NORETURN MO_COLD static void exhausted(size_t size) {
    mo_heap *h = &mo_the_heap;
    mo_fatal("out of memory allocating %zu bytes: heap %zu MiB in use, %zu MiB free, %zu MiB made "
             "accessible of %zu GiB "
             "reserved; raise the limit, or use mound_try_alloc to handle this",
             size,
             (size_t)(mo_load_rlx(&h->inuse_pages) << MO_PAGE_SHIFT) >> 20, /* a message's values */
             (size_t)(mo_load_rlx(&h->pages.num_free) << MO_PAGE_SHIFT) >> 20,
             mo_load_rlx(&mo_map.used_bytes) >> 20, /* likewise */
             h->reserved_bytes >> 30);
}

MO_INLINE void *or_die(void *p, size_t size) {
    if (MO_UNLIKELY(!p)) exhausted(size);
    return p;
}

void *mound_alloc(size_t size) { return or_die(mo_malloc(size, MO_KIND_SCAN), size); }
void *mound_alloc_noscan(size_t size) { return or_die(mo_malloc(size, MO_KIND_NOSCAN), size); }
void *mound_alloc_uncollectable(size_t size) {
    return or_die(mo_malloc(size, MO_KIND_MANUAL), size);
}

static size_t checked_product(const char *who, size_t num, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(num, size, &bytes))
        mo_fatal("%s(%zu, %zu): the product does not fit in size_t; check the number of elements",
                 who, num, size);
    return bytes;
}

void *mound_alloc_array(size_t num, size_t size) {
    return mound_alloc(checked_product("mound_alloc_array", num, size));
}

void *mound_alloc_aligned(size_t align, size_t size) {
    if (!mo_is_pow2(align) || align > MO_MAX_ALIGN_BYTES)
        mo_fatal("mound_alloc_aligned(%zu, %zu): the alignment must be a power of two up to 2 MiB",
                 align, size);
    return or_die(mo_malloc_aligned(align, size), size);
}

void *mound_alloc_typed(mound_type *type, size_t num) {
    if (!type)
        mo_fatal("mound_alloc_typed(NULL): pass MOUND_TYPEOF(T) of a type declared by MOUND_TYPE");
    size_t bytes = checked_product("mound_alloc_typed", num, type->size);
    mo_start_current();
    const mo_type_info *info = mo_type_of(type);
    if (num == 0 || !info) return mound_alloc(bytes);
    return or_die(mo_malloc_typed(info, num), bytes);
}

void *mound_try_alloc(size_t size, unsigned flags) {
    if (flags & ~(unsigned)(MOUND_NOSCAN | MOUND_UNCOLLECTABLE) ||
        flags == (MOUND_NOSCAN | MOUND_UNCOLLECTABLE))
        mo_fatal("mound_try_alloc: flags 0x%x; use 0, MOUND_NOSCAN or MOUND_UNCOLLECTABLE", flags);
    if (flags & MOUND_NOSCAN) return mo_malloc(size, MO_KIND_NOSCAN);
    return mo_malloc(size, flags & MOUND_UNCOLLECTABLE ? MO_KIND_MANUAL : MO_KIND_SCAN);
}

/* ---------------------------------------------------------------- existing objects */

/* The allocated slot that contains addr. */
static bool find_object(const void *addr, mo_slot *sl) {
    return mo_find((uintptr_t)addr, sl) && mo_cache_is_allocated(&mo_self->cache, sl);
}

size_t mound_size(const void *addr) {
    mo_slot sl;
    return find_object(addr, &sl) ? mo_load_rlx(&sl.span->elem_bytes) : 0; /* may be extended */
}

void *mound_base(const void *addr) {
    mo_slot sl;
    return find_object(addr, &sl) ? (void *)sl.base : NULL;
}

void mound_free(void *obj) {
    if (!obj) return;
    mo_thread *t = mo_start_current();
    mo_slot sl;
    if (MO_UNLIKELY(!mo_find((uintptr_t)obj, &sl)))
        mo_fatal(mo_in_heap((uintptr_t)obj) ? "mound_free(%p): the object was already freed, or "
                                              "never allocated; look for a second free of it"
                                            : "mound_free(%p): not from mound; pass it to the free "
                                              "function of its own allocator",
                 obj);
    if (MO_UNLIKELY(sl.base != (uintptr_t)obj))
        mo_fatal(
            "mound_free(%p): points %zu bytes into the object at %p; pass the object's first byte",
            obj, (size_t)((uintptr_t)obj - sl.base), (void *)sl.base);
    bool has_specials = mo_load_rlx(&sl.span->specials) != NULL; /* obj's own were added before */
    mo_runtime_enter(t);
    mo_free_result r =
        mo_cache_free(&t->cache, &sl, mo_load_rlx(&mo_the_world.num_threads) == 1); /* only we could
                                                                      make it two meanwhile */
    if (MO_UNLIKELY(has_specials)) mo_cleanups_kick();
    mo_runtime_leave(t);
    if (MO_UNLIKELY(r != MO_FREE_OK))
        mo_fatal("mound_free(%p): the object was already freed, or never allocated; look for a "
                 "second free of it",
                 obj);
}

void *mound_realloc(void *obj, size_t size) {
    if (!obj) return mound_alloc(size);
    mo_slot sl;
    if (!find_object(obj, &sl) || sl.base != (uintptr_t)obj)
        mo_fatal("mound_realloc(%p): not the first byte of an object of mound; pass what an "
                 "allocation returned",
                 obj);
    size_t old = sl.span->elem_bytes;
    mo_kind kind = (mo_kind)sl.span->kind;
    bool fits = size <= old && (size > old / 2 || old <= 32);
    if (fits && kind != MO_KIND_TYPED) {
        memset((char *)obj + size, 0, old - size);
        return obj;
    }
    void *fresh = or_die(mo_malloc(size, kind == MO_KIND_TYPED ? MO_KIND_SCAN : kind), size);
    mo_copy(fresh, obj, mo_min(old, size));
    if (kind == MO_KIND_MANUAL) mound_free(obj);
    return fresh;
}

/* ---------------------------------------------------------------- text */

char *mound_strndup(const char *text, size_t max) {
    size_t len = strnlen(text, max);
    char *copy = mound_alloc_noscan(len + 1);
    return memcpy(copy, text, len);
}

char *mound_strdup(const char *text) {
    size_t bytes = strlen(text) + 1;
    return memcpy(mound_alloc_noscan(bytes), text, bytes);
}

char *mound_vasprintf(const char *format, va_list args) {
    int saved = errno;
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, again);
    va_end(again);
    char *text = NULL;
    if (len >= 0) {
        text = mound_alloc_noscan((size_t)len + 1);
        vsnprintf(text, (size_t)len + 1, format, args);
    }
    errno = saved;
    return text;
}

char *mound_asprintf(const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *text = mound_vasprintf(format, args);
    va_end(args);
    return text;
}
