/* futex.c - thin wrappers over system calls; async-signal-safe; errno is kept. Floor sys. */
#include "sys/futex.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

void mo_futex_wait(uint32_t *word, uint32_t expected, int64_t timeout_ns) {
    int saved = errno;
    struct timespec ts = {timeout_ns / 1000000000, timeout_ns % 1000000000};
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, timeout_ns < 0 ? NULL : &ts, NULL, 0);
    errno = saved;
}

void mo_futex_wake(uint32_t *word, int num) {
    int saved = errno;
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, num, NULL, NULL, 0);
    errno = saved;
}

static uint64_t read_clock(clockid_t id) {
    struct timespec ts;
    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t mo_clock_ns(void) { return read_clock(CLOCK_MONOTONIC); }
uint64_t mo_clock_thread_cpu_ns(void) { return read_clock(CLOCK_THREAD_CPUTIME_ID); }

unsigned mo_cpu_count(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        int n = CPU_COUNT(&set);
        if (n > 0) return (unsigned)n;
    }
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (unsigned)n : 1;
}

int mo_sys_gettid(void) { return (int)syscall(SYS_gettid); }

bool mo_sys_barrier(void) {
    int saved = errno;
    bool did = syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
    if (!did && errno == EPERM) /* the process has to say first that it will */
        did = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0 &&
              syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
    errno = saved;
    return did;
}

int mo_sys_tgkill(int tid, int sig) {
    int saved = errno;
    int result = syscall(SYS_tgkill, getpid(), tid, sig) == 0 ? 0 : -errno;
    errno = saved;
    return result;
}
