/* run_one.c - runs one program and writes what it cost: run_one [-limit SECONDS] [-warm MIB] FILE
 * PROGRAM...
 *
 * FILE gets one line: wall, user and sys seconds and the peak RSS of the program, its exit
 * status (128 + n after signal n), and how much of the machine's processors went to others
 * meanwhile: other_pct to other processes (the time that no processor was idle less the program's
 * own), steal_pct to other guests of the host. What /proc/stat calls busy is not used: it samples
 * at ticks, and a program that wakes by a timer is there at every tick or at none.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef struct cpu_times {
    double idle_seconds;  /* of all processors together */
    double steal_seconds; /* taken by the hypervisor */
} cpu_times;

static volatile pid_t child;

static void on_alarm(int sig) {
    (void)sig;
    if (child > 0) { kill(child, SIGKILL); }
}

static double now_seconds(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double seconds_of(struct timeval tv) { return (double)tv.tv_sec + (double)tv.tv_usec / 1e6; }

/* The guest of a hypervisor may have given its free memory back to the host. Whoever touches it
 * first then pays for the host's work, several times what the kernel's own costs, and that would be
 * whoever runs after the others. So a piece as large as most programs here need is touched before
 * each run, whoever it is, and is free again when the program starts. */
static void warm_up_memory(size_t bytes) {
    enum { STEP = 4096 };
    char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) { return; }
    madvise(p, bytes, MADV_HUGEPAGE);
    for (size_t i = 0; i < bytes; i += STEP) { p[i] = 1; }
    munmap(p, bytes);
}

static cpu_times read_cpu_times(void) {
    double idle = 0, iowait = 0, steal = 0;
    const double hz = (double)sysconf(_SC_CLK_TCK);
    FILE *f = fopen("/proc/stat", "r");
    if (f != NULL) {
        /* user, nice, system, idle, iowait, irq, softirq, steal; all 0 if idle cannot be read */
        if (fscanf(f, "cpu %*f %*f %*f %lf %lf %*f %*f %lf", &idle, &iowait, &steal) < 1) {
            idle = iowait = steal = 0;
        }
        fclose(f);
    }
    return (cpu_times){(idle + iowait) / hz, steal / hz};
}

int main(int argc, char **argv) {
    unsigned limit = 900;
    int at = 1;
    size_t warm_mib = 512;
    for (; at + 1 < argc && argv[at][0] == '-'; at += 2) {
        unsigned long n = strtoul(argv[at + 1], NULL, 10);
        if (strcmp(argv[at], "-limit") == 0) {
            limit = (unsigned)n;
        } else if (strcmp(argv[at], "-warm") == 0) {
            warm_mib = n;
        } else {
            break;
        }
    }
    if (argc - at < 2) {
        fprintf(stderr, "usage: run_one [-limit SECONDS] [-warm MIB] FILE PROGRAM [ARGUMENT...]\n");
        return 2;
    }
    warm_up_memory(warm_mib << 20);
    cpu_times before = read_cpu_times();
    double start = now_seconds();
    pid_t pid = fork();
    if (pid < 0) {
        fprintf(stderr, "run_one: fork: %s\n", strerror(errno));
        return 1;
    }
    if (pid == 0) {
        execvp(argv[at + 1], argv + at + 1);
        fprintf(stderr, "run_one: %s: %s\n", argv[at + 1], strerror(errno));
        _exit(127);
    }
    child = pid;
    signal(SIGALRM, on_alarm);
    alarm(limit);
    int status = 0;
    struct rusage usage;
    while (wait4(pid, &status, 0, &usage) < 0) {
        if (errno != EINTR) {
            fprintf(stderr, "run_one: wait4: %s\n", strerror(errno));
            return 1;
        }
    }
    double wall = now_seconds() - start;
    cpu_times after = read_cpu_times();

    double own = seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
    double capacity = wall * (double)sysconf(_SC_NPROCESSORS_ONLN);
    double steal = after.steal_seconds - before.steal_seconds;
    double other = capacity - (after.idle_seconds - before.idle_seconds) - steal - own;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    FILE *f = fopen(argv[at], "w");
    if (f == NULL) {
        fprintf(stderr, "run_one: %s: %s\n", argv[at], strerror(errno));
        return 1;
    }
    fprintf(f, "wall=%.4f user=%.4f sys=%.4f rss_kib=%ld status=%d other_pct=%.2f steal_pct=%.2f\n",
            wall, seconds_of(usage.ru_utime), seconds_of(usage.ru_stime), usage.ru_maxrss, code,
            other > 0 ? 100 * other / capacity : 0.0, 100 * steal / capacity);
    return fclose(f) == 0 ? code : 1;
}
