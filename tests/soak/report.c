/* report.c - counters, the line of a round, and what is printed at a failure. */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "soak.h"

__thread const char *soak_doing = "";
__thread uint64_t soak_worker;
bool soak_is_child;

static uint64_t counts[NUM_COUNTS];
static char replay[5000]; /* made at the start: a signal handler prints it */
static uint64_t num_rounds;

void count_add(soak_count what, uint64_t n) {
    __atomic_fetch_add(&counts[what], n, __ATOMIC_RELAXED);
}
uint64_t count_get(soak_count what) { return __atomic_load_n(&counts[what], __ATOMIC_RELAXED); }

static void say(const char *text, size_t len) {
    while (len > 0) {
        ssize_t n = write(STDERR_FILENO, text, len);
        if (n <= 0) return;
        text += n;
        len -= (size_t)n;
    }
}

/* Without stdio: its locks may be held for ever in a child. */
void fail(const char *format, ...) {
    char text[1000];
    size_t len = 0;
    len += (size_t)snprintf(text, sizeof text,
                            "soak: %sworker %llu, %s: ", soak_is_child ? "in a child, " : "",
                            (unsigned long long)soak_worker, *soak_doing ? soak_doing : "main");
    va_list args;
    va_start(args, format);
    vsnprintf(text + len, sizeof text - len - 2, format, args);
    va_end(args);
    len = strlen(text);
    text[len++] = '\n';
    say(text, len);
    abort();
}

/* Last words of every death by signal but SIGALRM, the watchdog's: no handler runs in a thread that
 * is stopped for ever, so that one is left to the system, and tools/soak says what it means. */
static void on_death(int sig) {
    say(replay, strlen(replay));
    signal(SIGABRT, SIG_DFL);
    signal(sig, SIG_DFL);
    raise(sig);
}

static void on_fatal(const char *message) {
    say(message, strlen(message));
    say("\n", 1);
    abort();
}

static const char *variable(const char *name) {
    const char *text = getenv(name);
    return text ? text : "";
}

void report_start(void) {
    static const int deadly[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    snprintf(replay, sizeof replay,
             "soak: to repeat: MOUND_BARRIER=%s MOUND_DEBUG=%s %s --seed %llu --seconds %u "
             "--threads %u\n",
             variable("MOUND_BARRIER"), variable("MOUND_DEBUG"), soak.program,
             (unsigned long long)soak.seed, soak.seconds, soak.threads);
    for (size_t i = 0; i < sizeof deadly / sizeof deadly[0]; i++) {
        struct sigaction act = {.sa_handler = on_death, .sa_flags = SA_ONSTACK | SA_NODEFER};
        sigaction(deadly[i], &act, NULL);
    }
    mound_set_fatal_handler(on_fatal);
    mound_mem_stats s = {.struct_bytes = sizeof s};
    mound_read_mem_stats(&s);
    printf("soak: seed %llu, %u s, %u threads, barrier %s, MOUND_DEBUG=%s\n",
           (unsigned long long)soak.seed, soak.seconds, soak.threads, s.barrier,
           variable("MOUND_DEBUG"));
    fflush(stdout);
}

static void print_counts(void) {
    mound_mem_stats s = {.struct_bytes = sizeof s};
    mound_read_mem_stats(&s);
    printf("%llu steps, %.1f M swaps, %llu collections, %llu MiB, %llu threads, %llu forks, "
           "%llu spawns, %llu loads, %llu of %llu cleanups",
           (unsigned long long)count_get(COUNT_STEPS), (double)count_get(COUNT_SWAPS) / 1e6,
           (unsigned long long)s.num_gc, (unsigned long long)s.heap_alloc_bytes >> 20,
           (unsigned long long)count_get(COUNT_THREADS), (unsigned long long)count_get(COUNT_FORKS),
           (unsigned long long)count_get(COUNT_SPAWNS), (unsigned long long)count_get(COUNT_LOADS),
           (unsigned long long)count_get(COUNT_CLEANUPS),
           (unsigned long long)count_get(COUNT_DROPS));
}

/* num_kept: dropped objects that something on a stack still keeps. */
void report_round(unsigned seconds_left, size_t num_kept) {
    printf("soak: round %llu, %u s left: ", (unsigned long long)++num_rounds, seconds_left);
    print_counts();
    printf(", %zu kept\n", num_kept);
    fflush(stdout);
}

void report_end(void) {
    printf("soak: passed, seed %llu: ", (unsigned long long)soak.seed);
    print_counts();
    printf(", %llu things carried\n", (unsigned long long)count_get(COUNT_CARRIED));
    fflush(stdout);
}
