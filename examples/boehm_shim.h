/* boehm_shim.h - the part of mound.h that depgraph_threads.c uses, on the Boehm collector (libgc).
 *
 * For comparisons only: the same source, the same sizes, another heap. Include it first in the
 * program's only source file: gc.h replaces pthread_create and pthread_join by macros.
 */
#ifndef EXAMPLES_BOEHM_SHIM_H
#define EXAMPLES_BOEHM_SHIM_H

#define GC_THREADS
#include <gc.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct mound_mem_stats {
    size_t struct_bytes;
    uint64_t total_alloc_bytes, num_gc, pause_total_ns, pause_max_ns, heap_sys_bytes;
    uint64_t num_mallocs; /* 0: libgc does not count them */
} mound_mem_stats;

static void *boehm_need(void *obj, size_t size) {
    if (obj == NULL) {
        fprintf(stderr, "libgc: out of memory for %zu bytes\n", size);
        exit(2);
    }
    return obj;
}

static inline void *mound_alloc(size_t size) { return boehm_need(GC_MALLOC(size), size); }

static inline void *mound_alloc_noscan(size_t size) {
    return memset(boehm_need(GC_MALLOC_ATOMIC(size), size), 0, size);
}

static inline void *mound_alloc_array(size_t num, size_t size) {
    if (size != 0 && num > SIZE_MAX / size) { boehm_need(NULL, SIZE_MAX); }
    return mound_alloc(num * size);
}

#define mound_new(T) ((T *)mound_alloc(sizeof(T)))
#define mound_new_array(T, n) ((T *)mound_alloc_array((n), sizeof(T)))

static uint64_t boehm_pause_total_ns, boehm_pause_max_ns; /* written with the world stopped */

static void boehm_on_event(GC_EventType event) {
    static uint64_t stopped_ns;
    struct timespec t;
    if (event != GC_EVENT_PRE_STOP_WORLD && event != GC_EVENT_POST_START_WORLD) { return; }
    clock_gettime(CLOCK_MONOTONIC, &t);
    uint64_t now_ns = (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
    if (event == GC_EVENT_PRE_STOP_WORLD) {
        stopped_ns = now_ns;
        return;
    }
    uint64_t pause_ns = now_ns - stopped_ns;
    boehm_pause_total_ns += pause_ns;
    boehm_pause_max_ns = pause_ns > boehm_pause_max_ns ? pause_ns : boehm_pause_max_ns;
}

__attribute__((constructor)) static void boehm_start(void) {
    GC_INIT();
    GC_set_on_collection_event(boehm_on_event);
}

static inline void mound_read_mem_stats(mound_mem_stats *out) {
    *out = (mound_mem_stats){
        .struct_bytes = sizeof *out,
        .total_alloc_bytes = GC_get_total_bytes(),
        .num_gc = GC_get_gc_no(),
        .pause_total_ns = boehm_pause_total_ns,
        .pause_max_ns = boehm_pause_max_ns,
        .heap_sys_bytes = GC_get_heap_size(),
    };
}

#endif
