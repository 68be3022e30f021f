/* census.c - compares the registry with the system's list of threads.
 *
 * A thread that was made before the library was there, or by a bare clone, and has not called mound
 * yet is unknown: nobody stops it, and what only it refers to is freed. That is right for a thread
 * that never touches the heap, so it is said, not punished. Checked builds look at each stop,
 * others under gctrace.
 *
 * A thread that was just made, or is leaving, is unknown for a moment: it is named when it still is
 * a second after it was first seen so.
 *
 * Threads of the library are told by their name. The list is read by bare system calls: libc's
 * opendir allocates, and a stopped thread may hold malloc's lock.
 *
 * Floor   sched.
 * Fails   where /proc cannot be read, nothing is said.
 */
#include "sched/census.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sched/thread.h"

enum { MAX_SEEN = 64 };
#define PATIENCE_NS ((uint64_t)1000000000)

/* Registry lock. */
static MO_GLOBAL struct {
    int tid;
    bool is_settled;   /* named, or one of ours */
    uint64_t since_ns; /* when it was first seen unknown */
} seen[MAX_SEEN];
static MO_GLOBAL uint32_t num_seen;

void mo_census_after_fork(void) { num_seen = 0; }

static bool is_registered(int tid) {
    for (const mo_thread *t = mo_the_world.threads; t; t = t->next)
        if (t->tid == tid) return true;
    return false;
}

/* false: it is gone. */
static bool read_name(int tid, char name[32]) {
    char path[64];
    snprintf(path, sizeof path, "/proc/thread-self/../%d/comm", tid);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t len = syscall(SYS_read, fd, name, (size_t)31);
    syscall(SYS_close, fd);
    if (len <= 0) return false;
    name[len] = '\0';
    name[strcspn(name, "\n")] = '\0';
    return true;
}

static void look_at(int tid) {
    if (tid == 0 || is_registered(tid)) return;
    uint32_t i = 0;
    while (i < num_seen && seen[i].tid != tid) i++;
    if (i == MAX_SEEN) return;
    uint64_t now = mo_clock_ns();
    if (i == num_seen) {
        seen[i].tid = tid;
        seen[i].is_settled = false;
        seen[i].since_ns = now;
        num_seen++;
    }
    char name[32];
    if (seen[i].is_settled || now - seen[i].since_ns < PATIENCE_NS || !read_name(tid, name)) return;
    seen[i].is_settled = true;
    if (strncmp(name, "mound-", 6) == 0) return;
    mo_print("mound: thread %d (%s) is not known to the collector: what only it refers to may be "
             "freed; make it with pthread_create, or call mound_thread_attach in it\n",
             tid, name);
}

void mo_census_name_unknown(void) {
    union {
        struct dirent64 entry; /* aligns */
        char bytes[2048];
    } buf;
    int saved = errno;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/thread-self/../",
                          O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long len;
    while (fd >= 0 && (len = syscall(SYS_getdents64, fd, &buf, sizeof buf)) > 0) {
        for (long at = 0; at < len;) {
            const struct dirent64 *e = (const struct dirent64 *)(buf.bytes + at);
            look_at(atoi(e->d_name));
            at += e->d_reclen;
        }
    }
    if (fd >= 0) syscall(SYS_close, fd);
    errno = saved;
}
