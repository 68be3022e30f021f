/* place.c - where the only pointer to an object stands. */
#include "place.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

static __thread void *locals[PLACE_LOCALS];
static pthread_key_t keys[PLACE_LOCALS];

void place_init(void) {
    for (int i = 0; i < PLACE_LOCALS; i++)
        require(pthread_key_create(&keys[i], NULL) == 0, "pthread_key_create failed");
}

/* Memory of malloc or mmap, with the pointer in its last word, so that the range's end counts. */
static void **root_make(void *memory, size_t num) {
    int err = mound_root_add(memory, num * sizeof(void *));
    require(err == 0, "mound_root_add: %d", err);
    return (void **)memory + num - 1;
}

void place_open(place *p, place_kind kind, unsigned idx, mo_rand *r) {
    *p = (place){.kind = kind, .idx = idx, .num = between(r, 1, 100)};
    switch (kind) {
    case PLACE_DIRECT: p->cell = &p->direct; break;
    case PLACE_HEAP: p->cell = (void **)mound_new_array(void *, p->num) + p->num - 1; break;
    case PLACE_MANUAL:
        p->cell = (void **)mound_alloc_uncollectable(p->num * sizeof(void *)) + p->num - 1;
        break;
    case PLACE_MALLOC: {
        void *memory = calloc(p->num, sizeof(void *));
        require(memory, "calloc failed");
        p->cell = root_make(memory, p->num);
        break;
    }
    case PLACE_MMAP: {
        p->num = between(r, 1, 4) * 4096 / sizeof(void *);
        void *memory = mmap(NULL, p->num * sizeof(void *), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        require(memory != MAP_FAILED, "mmap failed");
        p->cell = root_make(memory, p->num);
        break;
    }
    case PLACE_LOCAL: p->cell = &locals[idx]; break;
    case PLACE_SPECIFIC:
    case NUM_PLACE_KINDS: break;
    }
}

void *place_get(const place *p) {
    return p->kind == PLACE_SPECIFIC ? pthread_getspecific(keys[p->idx]) : *p->cell;
}

void place_set(place *p, void *obj) {
    if (p->kind == PLACE_SPECIFIC)
        pthread_setspecific(keys[p->idx], obj);
    else
        *p->cell = obj;
}

void *place_close(place *p) {
    void *obj = place_get(p);
    place_set(p, NULL);
    switch (p->kind) {
    case PLACE_MANUAL: mound_free(p->cell - (p->num - 1)); break;
    case PLACE_MALLOC:
    case PLACE_MMAP: {
        void *memory = p->cell - (p->num - 1);
        int err = mound_root_remove(memory, p->num * sizeof(void *));
        require(err == 0, "mound_root_remove: %d", err);
        if (p->kind == PLACE_MALLOC)
            free(memory);
        else
            munmap(memory, p->num * sizeof(void *));
        break;
    }
    case PLACE_DIRECT:
    case PLACE_HEAP:
    case PLACE_LOCAL:
    case PLACE_SPECIFIC:
    case NUM_PLACE_KINDS: break;
    }
    p->cell = NULL;
    return obj;
}

const char *place_name(place_kind kind) {
    static const char *const names[NUM_PLACE_KINDS] = {
        [PLACE_DIRECT] = "stack or global data",      [PLACE_HEAP] = "the heap",
        [PLACE_MANUAL] = "uncollectable memory",      [PLACE_MALLOC] = "an added root from malloc",
        [PLACE_MMAP] = "an added root from mmap",     [PLACE_LOCAL] = "a thread-local variable",
        [PLACE_SPECIFIC] = "a thread-specific value",
    };
    return names[kind];
}
