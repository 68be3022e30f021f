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

/* What is limited: how the limit of one group is read, in version 2 and in version 1. */
typedef struct resource {
    const char *controller;
    int64_t (*v2)(const char *dir);
    int64_t (*v1)(const char *dir);
} resource;

/* The text behind the name. */
static bool read_in(const char *dir, const char *file, char *text, size_t len) {
    char path[PATH_BYTES];
    int n = snprintf(path, sizeof path, "%s/%s", dir, file);
    return n > 0 && (size_t)n < sizeof path && read_file(path, text, len);
}

/* A positive number; INT64_MAX if there is none ("max" in version 2, -1 or close to it in 1). */
static int64_t number_of(const char *text, char **end) {
    if (text[0] < '0' || text[0] > '9') return INT64_MAX;
    errno = 0;
    long long n = strtoll(text, end, 10);
    return errno != 0 || n <= 0 ? INT64_MAX : n;
}

static int64_t number_in(const char *dir, const char *file) {
    char text[64], *end;
    return read_in(dir, file, text, sizeof text) ? number_of(text, &end) : INT64_MAX;
}

static int64_t memory_v2(const char *dir) { return number_in(dir, "memory.max"); }
static int64_t memory_v1(const char *dir) { return number_in(dir, "memory.limit_in_bytes"); }

static int64_t millis(int64_t quota, int64_t period) {
    if (quota == INT64_MAX || period == INT64_MAX || quota > INT64_MAX / 1000) return INT64_MAX;
    return mo_max(quota * 1000 / period, 1);
}
/* "quota period" */
static int64_t cpu_v2(const char *dir) {
    char text[64], *end = NULL;
    if (!read_in(dir, "cpu.max", text, sizeof text)) return INT64_MAX;
    int64_t quota = number_of(text, &end);
    return quota == INT64_MAX || *end != ' ' ? INT64_MAX : millis(quota, number_of(end + 1, &end));
}
static int64_t cpu_v1(const char *dir) {
    return millis(number_in(dir, "cpu.cfs_quota_us"), number_in(dir, "cpu.cfs_period_us"));
}

static const resource memory = {"memory", memory_v2, memory_v1}, cpu = {"cpu", cpu_v2, cpu_v1};

/* Of the group and all above it: a container's own limit may stand at any of them. */
static int64_t least_above(const char *mount, const char *group, size_t len,
                           int64_t (*limit_of)(const char *dir)) {
    char dir[PATH_BYTES];
    size_t lead = strlen(mount);
    if (lead + len >= sizeof dir) return INT64_MAX;
    memcpy(dir, mount, lead);
    memcpy(dir + lead, group, len);
    int64_t least = INT64_MAX;
    for (;;) {
        while (len > 0 && dir[lead + len - 1] == '/') len--;
        dir[lead + len] = '\0';
        least = mo_min(least, limit_of(dir));
        if (len == 0) return least;
        while (len > 0 && dir[lead + len - 1] != '/') len--;
    }
}

/* In a list with commas. */
static bool has_controller(const char *list, size_t len, const char *name) {
    for (const char *end = list + len; list < end;) {
        const char *comma = memchr(list, ',', (size_t)(end - list));
        size_t num = (size_t)((comma ? comma : end) - list);
        if (num == strlen(name) && memcmp(list, name, num) == 0) return true;
        list += num + 1;
    }
    return false;
}

/* One line "number:controllers:group" of /proc/self/cgroup. */
static int64_t limit_of_line(const char *line, size_t len, const resource *r) {
    const char *controllers = memchr(line, ':', len);
    if (!controllers) return INT64_MAX;
    controllers++;
    size_t left = len - (size_t)(controllers - line);
    const char *group = memchr(controllers, ':', left);
    if (!group) return INT64_MAX;
    size_t num = (size_t)(group - controllers);
    group++;
    size_t group_len = len - (size_t)(group - line);
    if (num == 0) return least_above(mount_dir, group, group_len, r->v2);
    if (!has_controller(controllers, num, r->controller)) return INT64_MAX;
    char dir[PATH_BYTES];
    snprintf(dir, sizeof dir, "%s/%s", mount_dir, r->controller);
    return least_above(dir, group, group_len, r->v1);
}

static int64_t least_of_all(const resource *r) {
    int saved = errno;
    char text[FILE_BYTES];
    int64_t least = INT64_MAX;
    if (read_file(self_file, text, sizeof text)) {
        for (const char *line = text; *line;) {
            size_t len = strcspn(line, "\n");
            least = mo_min(least, limit_of_line(line, len, r));
            line += len + (line[len] == '\n');
        }
    }
    errno = saved;
    return least;
}

int64_t mo_cgroup_memory_limit(void) { return least_of_all(&memory); }
int64_t mo_cgroup_cpu_millis(void) { return least_of_all(&cpu); }
