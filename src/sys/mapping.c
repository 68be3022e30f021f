/* mapping.c - reads /proc/self/maps with plain system calls. Floor sys. */
#include "sys/mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

typedef struct reader {
    int fd;
    ssize_t len, pos;
    char buf[1024];
} reader;

static int next_char(reader *r) {
    if (r->pos == r->len) {
        do r->len = read(r->fd, r->buf, sizeof r->buf);
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
        if (c >= '0' && c <= '9') *out = *out * 16 + (uintptr_t)(c - '0');
        else if (c >= 'a' && c <= 'f') *out = *out * 16 + (uintptr_t)(c - 'a' + 10);
        else return c;
    }
}

bool mo_mapping_of(uintptr_t addr, uintptr_t *lo, uintptr_t *hi) {
    int saved = errno;
    reader r = {.fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC)};
    bool found = false;
    while (r.fd >= 0 && !found) {
        if (read_hex(&r, lo) < 0 || read_hex(&r, hi) < 0) break;
        int readable = next_char(&r);
        found = addr >= *lo && addr < *hi && readable == 'r';
        int c = readable;
        while (c >= 0 && c != '\n') c = next_char(&r);
        if (c < 0) break;
    }
    if (r.fd >= 0) close(r.fd);
    errno = saved;
    return found;
}
