/* mapping.c - reads /proc/thread-self/maps (/proc/self shows nothing once the main thread left) by
 * bare system calls: libc's open and read are cancellation points. Where it cannot be opened, for
 * want of a descriptor say, the kernel is asked page by page what is readable. Floor sys. */
#include "sys/mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bits.h"
#include "sys/os_mem.h"

typedef struct reader {
    int fd;
    ssize_t len, pos;
    char buf[1024];
} reader;

static int next_char(reader *r) {
    if (r->pos == r->len) {
        do r->len = syscall(SYS_read, r->fd, r->buf, sizeof r->buf);
        while (r->len < 0 && errno == EINTR);
        r->pos = 0;
        if (r->len <= 0) return -1;
    }
    return (unsigned char)r->buf[r->pos++];
}

static int read_hex(reader *r, uintptr_t *out) {
    *out = 0;
    for (;;) {
        int c = next_char(r);
        if (c >= '0' && c <= '9')
            *out = *out * 16 + (uintptr_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            *out = *out * 16 + (uintptr_t)(c - 'a' + 10);
        else
            return c;
    }
}

/* The kernel reads a signal set from addr before it finds that the request makes no sense. */
static bool is_readable(uintptr_t addr) {
    enum { NO_SUCH_REQUEST = -1, SET_BYTES = 8 };
    return syscall(SYS_rt_sigprocmask, NO_SUCH_REQUEST, addr, NULL, SET_BYTES) == -1 &&
           errno != EFAULT;
}

uintptr_t mo_mapping_readable_end(uintptr_t lo, uintptr_t hi) {
    int saved = errno;
    uintptr_t end = lo;
    while (end < hi && is_readable(mo_align_down(end, MO_OS_PAGE_BYTES)))
        end = mo_align_down(end, MO_OS_PAGE_BYTES) + MO_OS_PAGE_BYTES;
    errno = saved;
    return mo_min(end, hi);
}

static bool probe(uintptr_t addr, uintptr_t *lo, uintptr_t *hi) {
    *lo = mo_align_down(addr, MO_OS_PAGE_BYTES);
    *hi = *lo;
    while (is_readable(*hi)) *hi += MO_OS_PAGE_BYTES;
    if (*hi == *lo) return false;
    while (is_readable(*lo - MO_OS_PAGE_BYTES)) *lo -= MO_OS_PAGE_BYTES;
    return true;
}

bool mo_mapping_of(uintptr_t addr, uintptr_t *lo, uintptr_t *hi) {
    int saved = errno;
    reader r = {
        .fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/thread-self/maps", O_RDONLY | O_CLOEXEC)};
    bool found = false;
    while (r.fd >= 0 && !found) {
        if (read_hex(&r, lo) < 0 || read_hex(&r, hi) < 0) break;
        int readable = next_char(&r);
        found = addr >= *lo && addr < *hi && readable == 'r';
        int c = readable;
        while (c >= 0 && c != '\n') c = next_char(&r);
        if (c < 0) break;
    }
    if (r.fd >= 0)
        syscall(SYS_close, r.fd);
    else
        found = probe(addr, lo, hi);
    errno = saved;
    return found;
}
