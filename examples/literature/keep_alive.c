/* keep_alive.c - a slice whose memory is collected before its length is printed, and one that is
 * kept until then by mound_keep_alive.
 *
 * The slice has 2^31 bytes, and its length is a number of its own: to print it nobody needs the
 * memory. In Go that is why runtime.KeepAlive exists, and mound_keep_alive is the same. The bytes
 * are never touched, so they are address space and no memory, and hold no pointers (noscan).
 *
 * What C does not promise is when a pointer in a local variable dies: at -O0 it stays in its frame
 * until the function returns, at -O2 as a rule after its last use. So the first slice is made in a
 * function that returns only its length, and the stack below is overwritten. The second one lives
 * until mound_keep_alive at every level: that is the promise. A third is as the second, but without
 * mound_keep_alive: the program only says what became of it.
 *
 * Run: keep_alive
 */
#include "literature.h"

#include <unistd.h>

enum { SLICE_SHIFT = 31 };

typedef struct slice {
    char *ptr;
    long len;
} slice;

static mound_weak weak;  /* of the slice that was made last */
static int num_cleanups; /* atomic */

static void count(void *arg) {
    (void)arg;
    __atomic_add_fetch(&num_cleanups, 1, __ATOMIC_RELEASE);
}

static NOINLINE slice make_slice(void) {
    long len = 1L << SLICE_SHIFT;
    mound_free_os_memory(); /* of the slice before: else this one would be cleared byte by byte */
    slice s = {mound_try_alloc((size_t)len, MOUND_NOSCAN), len};
    verify(s.ptr, "the system has no room for 2^31 bytes of address space");
    weak = mound_weak_make(s.ptr);
    mound_add_cleanup(s.ptr, count, NULL);
    return s;
}

/* Of the slice, only the length leaves this function. */
static NOINLINE long length_of_new(void) {
    slice s = make_slice();
    return s.len;
}

/* Cleanups run in a thread of their own: up to a second is waited. */
static NOINLINE bool has_run(int num) {
    for (int i = 0; i < 200 && __atomic_load_n(&num_cleanups, __ATOMIC_ACQUIRE) < num; i++) {
        usleep(5000);
    }
    return __atomic_load_n(&num_cleanups, __ATOMIC_ACQUIRE) == num;
}

static NOINLINE void collected_before(void) {
    long len = length_of_new();
    clear_stack();
    mound_gc();
    verify(!is_alive(weak), "the first slice lives, though nobody has a pointer to it");
    verify(has_run(1), "the cleanup of the first slice has not run");
    printf("first slice:  collected, its cleanup has run; its length is %ld all the same\n", len);
}

static NOINLINE void kept_until(void) {
    slice s = make_slice();
    clear_stack();
    mound_gc();
    mound_gc();
    verify(is_alive(weak) && has_run(1), "the second slice is gone before mound_keep_alive");
    printf("second slice: after two collections it is there; its length is %ld\n", s.len);
    mound_keep_alive(s.ptr);
}

static NOINLINE void not_kept(void) {
    slice s = make_slice();
    clear_stack();
    mound_gc();
    printf("third slice:  without mound_keep_alive it %s before its length is printed: %ld\n",
           is_alive(weak) ? "happens to live" : "is gone", s.len);
}

int main(void) {
    uint64_t before = stats_now().heap_alloc_bytes;
    collected_before();
    kept_until();
    clear_stack();
    mound_gc();
    verify(!is_alive(weak) && has_run(2), "the second slice lives, though its function returned");
    printf("              and after mound_keep_alive and a collection it is gone\n");
    verify(stats_now().heap_alloc_bytes < before + (1 << 20), "the heap is not empty again");
    not_kept();
    clear_stack();
    mound_gc();
    verify(has_run(3), "the third slice lives, though its function returned");
    printf("what C does not promise: when a pointer in a local variable dies. The third slice may\n"
           "end after its last use or with its function, as the compiler likes. The first had its\n"
           "pointer in a function that had returned; the second could not end before\n"
           "mound_keep_alive.\n");
    printf("ok: one slice ended before its length was printed, one after\n");
    return 0;
}
