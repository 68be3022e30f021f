/* cgroup.c - see cgroup.h. Floor sys. */
#include "sys/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bits.h"

enum { PATH_BYTES = 4096, FILE_BYTES = 8192 };

static const char *mount_dir = "/sys/fs/cgroup";
static const char *self_file = "/proc/self/cgroup";

void mo_cgroup_look_in(const char *mount, const char *self) {
    mount_dir = mount ? mount : "/sys/fs/cgroup";
    self_file = self ? self : "/proc/self/cgroup";
}

/* Without libc's open, read and close: those are cancellation points. */
static bool read_file(const char *path, char *text, size_t len) {
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    long n = syscall(SYS_read, fd, text, len - 1);
    syscall(SYS_close, fd);
    text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* The file's number; INT64_MAX if there is none ("max" in version 2, close to it in version 1). */
static int64_t limit_in(const char *dir, const char *group, const char *file) {
    char path[PATH_BYTES], text[64];
    int len = snprintf(path, sizeof path, "%s%s/%s", dir, group, file);
    if (len < 0 || (size_t)len >= sizeof path || !read_file(path, text, sizeof text))
        return INT64_MAX;
    if (text[0] < '0' || text[0] > '9') return INT64_MAX;
    errno = 0;
    long long n = strtoll(text, NULL, 10);
    return errno != 0 || n <= 0 ? INT64_MAX : n;
}

/* Of the group and all above it: a container's own limit may stand at any of them. */
static int64_t least_above(const char *dir, const char *group, size_t len, const char *file) {
    char name[PATH_BYTES];
    if (len >= sizeof name) return INT64_MAX;
    memcpy(name, group, len);
    int64_t least = INT64_MAX;
    for (;;) {
        while (len > 0 && name[len - 1] == '/') len--;
        name[len] = '\0';
        least = mo_min(least, limit_in(dir, name, file));
        if (len == 0) return least;
        while (len > 0 && name[len - 1] != '/') len--;
    }
}

/* One line "number:controllers:group" of /proc/self/cgroup. */
static int64_t limit_of_line(const char *line, size_t len) {
    const char *controllers = memchr(line, ':', len);
    if (!controllers) return INT64_MAX;
    controllers++;
    size_t left = len - (size_t)(controllers - line);
    const char *group = memchr(controllers, ':', left);
    if (!group) return INT64_MAX;
    size_t num = (size_t)(group - controllers);
    group++;
    size_t group_len = len - (size_t)(group - line);
    if (num == 0) return least_above(mount_dir, group, group_len, "memory.max");
    if (num != strlen("memory") || memcmp(controllers, "memory", num) != 0) return INT64_MAX;
    char dir[PATH_BYTES];
    snprintf(dir, sizeof dir, "%s/memory", mount_dir);
    return least_above(dir, group, group_len, "memory.limit_in_bytes");
}

int64_t mo_cgroup_memory_limit(void) {
    int saved = errno;
    char text[FILE_BYTES];
    int64_t least = INT64_MAX;
    if (read_file(self_file, text, sizeof text)) {
        for (const char *line = text; *line;) {
            size_t len = strcspn(line, "\n");
            least = mo_min(least, limit_of_line(line, len));
            line += len + (line[len] == '\n');
        }
    }
    errno = saved;
    return least;
}
