/* os_mem.c - mmap, mprotect and madvise behind names that say what is meant.
 *
 * Reservations are PROT_NONE, so they cost no commit charge even where overcommit is refused;
 * committing is mprotect, which the kernel may refuse then. Nothing here locks or allocates.
 *
 * Floor   sys.
 */
#include "sys/os_mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/bits.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

static MO_GLOBAL uint64_t fault_at;
static MO_GLOBAL uint64_t fault_from = UINT64_MAX;
static MO_GLOBAL uint64_t fault_calls;
static MO_GLOBAL uint64_t mapped_bytes;

void mo_os_fault_at(uint64_t n) {
    mo_store_rlx(&fault_calls, 0); /* test switch: no other data depends on it */
    mo_store_rlx(&fault_at, n);    /* likewise */
}

void mo_os_fault_from(uint64_t n) {
    mo_os_fault_at(0);
    mo_store_rlx(&fault_from, n ? n : UINT64_MAX); /* likewise */
}

uint64_t mo_os_fault_count(void) { return mo_load_rlx(&fault_calls); /* test switch */ }

static bool injected(void) {
    uint64_t calls = mo_add_rlx(&fault_calls, 1); /* a counter, orders nothing */
    if (MO_LIKELY(calls != mo_load_rlx(&fault_at) && calls < mo_load_rlx(&fault_from)))
        return false; /* test switches */
    errno = ENOMEM;
    return true;
}

static void name_range(void *lo, size_t bytes, const char *name) {
    prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, lo, bytes,
          name); /* shows in /proc/PID/maps; optional */
}

void *mo_os_reserve(size_t bytes, size_t align, const char *name) {
    int saved = errno;
    uint8_t *result = NULL;
    if (!injected()) {
        uint8_t *lo = mmap(NULL, bytes + align, PROT_NONE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (lo != MAP_FAILED) {
            result = (uint8_t *)mo_align_up((uintptr_t)lo, align);
            if (result > lo) munmap(lo, (size_t)(result - lo));
            size_t tail = (size_t)(lo + align - result);
            if (tail > 0) munmap(result + bytes, tail);
            name_range(result, bytes, name);
        }
    }
    errno = saved;
    return result;
}

void mo_os_unreserve(void *lo, size_t bytes) {
    int saved = errno;
    munmap(lo, bytes);
    errno = saved;
}

/* A page below that is no memory keeps the kernel from making one mapping of ours and of what lies
 * below: a stack that is found by its mapping is a root up to that mapping's end (mapping.h), and
 * what we hold is none. */
enum { BELOW_BYTES = MO_OS_PAGE_BYTES };

void *mo_os_map(size_t bytes, const char *name) {
    int saved = errno;
    bytes = mo_align_up(bytes, MO_OS_PAGE_BYTES);
    uint8_t *lo = injected() ? MAP_FAILED
                             : mmap(NULL, bytes + BELOW_BYTES, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (lo != MAP_FAILED) {
        mprotect(lo, BELOW_BYTES, PROT_NONE);
        lo += BELOW_BYTES;
        name_range(lo, bytes, name);
    }
    errno = saved;
    if (lo == MAP_FAILED) return NULL;
    mo_add_rlx(&mapped_bytes, bytes); /* statistics */
    return lo;
}

void mo_os_unmap(void *lo, size_t bytes) {
    int saved = errno;
    bytes = mo_align_up(bytes, MO_OS_PAGE_BYTES);
    munmap((uint8_t *)lo - BELOW_BYTES, bytes + BELOW_BYTES);
    mo_sub_rlx(&mapped_bytes, bytes); /* statistics */
    errno = saved;
}

bool mo_os_commit(uintptr_t lo, size_t bytes) {
    int saved = errno;
    bool ok = !injected() && mprotect((void *)lo, bytes, PROT_READ | PROT_WRITE) == 0;
    errno = saved;
    return ok;
}

static bool advise(uintptr_t lo, size_t bytes, int advice) {
    int saved = errno;
    bool ok = !injected() && madvise((void *)lo, bytes, advice) == 0;
    errno = saved;
    return ok;
}

bool mo_os_release(uintptr_t lo, size_t bytes) { return advise(lo, bytes, MADV_DONTNEED); }

void mo_os_huge(uintptr_t lo, size_t bytes) { advise(lo, bytes, MADV_HUGEPAGE); }

void mo_os_small(uintptr_t lo, size_t bytes) { advise(lo, bytes, MADV_NOHUGEPAGE); }

bool mo_os_populate(uintptr_t lo, size_t bytes) { return advise(lo, bytes, MADV_POPULATE_WRITE); }

/* MADV_COLLAPSE heeds no setting: we do. */
static bool wants_huge(void) {
    static MO_GLOBAL uint32_t state;    /* 0: not read yet, 1: yes, 2: no */
    uint32_t now = mo_load_rlx(&state); /* who reads it twice finds the same */
    if (now == 0) {
        char text[64] = "";
        int fd = (int)syscall(SYS_openat, AT_FDCWD, "/sys/kernel/mm/transparent_hugepage/enabled",
                              O_RDONLY | O_CLOEXEC);
        long n = fd < 0 ? -1 : syscall(SYS_read, fd, text, sizeof text - 1);
        if (fd >= 0) syscall(SYS_close, fd);
        now = n <= 0 || strstr(text, "[never]") ? 2 : 1;
        mo_store_rlx(&state, now); /* likewise */
    }
    return now == 1;
}

bool mo_os_collapse(uintptr_t lo, size_t bytes) {
    int saved = errno;
    bool ok = wants_huge() && madvise((void *)lo, bytes, MADV_COLLAPSE) == 0;
    errno = saved;
    return ok;
}

void mo_os_no_dump(uintptr_t lo, size_t bytes, bool no_dump) {
    int saved = errno;
    madvise((void *)lo, bytes, no_dump ? MADV_DONTDUMP : MADV_DODUMP);
    errno = saved;
}

uint64_t mo_os_mapped_bytes(void) { return mo_load_rlx(&mapped_bytes); /* statistics */ }
