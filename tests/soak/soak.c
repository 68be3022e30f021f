/* soak.c - one long random test of the collector: soak.h says what its parts are.
 *
 *   soak [--seconds n] [--seed n] [--threads n] [--probe]
 *
 * Workers run for some seconds, then all stand while the main thread verifies everything: a round.
 * Exit status: 0 if all was well, 77 if mound does not start here (as with MOUND_BARRIER=os on an
 * old kernel), an abort with the command to repeat the run if anything is wrong, and SIGALRM if no
 * round ends for WATCHDOG_SECONDS. --probe only tells whether mound starts.
 */
#include "soak.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "couriers.h"
#include "crew.h"
#include "loading.h"
#include "market.h"
#include "orchard.h"
#include "place.h"
#include "process.h"
#include "ticket.h"
#include "tuning.h"

enum { TICK_MS = 20, ROUND_MIN_MS = 1000, ROUND_MAX_MS = 5000, WATCHDOG_SECONDS = 300 };

soak_options soak = {.seconds = 10, .threads = 6};

/* ---------------------------------------------------------------- small helpers */

void sleep_ms(unsigned ms) {
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_nsec += ms * 1000000L;
    end.tv_sec += end.tv_nsec / 1000000000;
    end.tv_nsec %= 1000000000;
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) == EINTR) continue;
}

NOINLINE void scrub_stack(void) {
    char dead[24 << 10];
    memset(dead, 0, sizeof dead);
    __asm__ volatile("" : : "r"(dead) : "memory");
}

void litter(mo_rand *r, unsigned num) {
    while (num-- > 0) {
        size_t size = one_in(r, 100) ? between(r, 16, 40000) : between(r, 16, 200);
        uint64_t *p = one_in(r, 3) ? mound_alloc_noscan(size) : mound_alloc(size);
        require(p[0] == 0 && p[1] == 0, "new memory at %p is not zeroed", (void *)p);
        p[0] = p[1] = 0xbadbadbadbadbad1u;
    }
}

/* ---------------------------------------------------------------- rounds */

static void verify_all(unsigned seconds_left, mo_rand *r) {
    soak_doing = "verifying all";
    gate_close();
    orchard_count();
    market_verify();
    loading_verify();
    size_t num_kept = ticket_settle(soak.threads);
    orchard_count();
    market_verify();
    loading_verify();
    process_fork(NULL, r);
    gate_open();
    report_round(seconds_left, num_kept);
    alarm(WATCHDOG_SECONDS);
}

static NOINLINE void work_until(uint64_t end_ms, mo_rand *r) {
    soak_doing = "tending";
    while (now_ms() < end_ms) {
        crew_tend(r);
        tuning_step(r);
        sleep_ms(TICK_MS);
    }
    scrub_stack();
}

static void run(void) {
    uint64_t end_ms = now_ms() + (uint64_t)soak.seconds * 1000;
    mo_rand rand, *r = &rand;
    mo_rand_seed(r, soak.seed);
    alarm(WATCHDOG_SECONDS);
    ticket_init();
    place_init();
    orchard_plant(r);
    market_open(r);
    couriers_start(r);
    scrub_stack();
    for (uint64_t now = now_ms(); now < end_ms; now = now_ms()) {
        uint64_t round_ms = now + between(r, ROUND_MIN_MS, ROUND_MAX_MS);
        work_until(round_ms < end_ms ? round_ms : end_ms, r);
        now = now_ms();
        verify_all(now < end_ms ? (unsigned)((end_ms - now) / 1000) : 0, r);
    }
    crew_end(r);
    couriers_end();
    verify_all(0, r);
    report_end();
}

/* ---------------------------------------------------------------- options */

static _Noreturn void usage(void) {
    fputs("usage: soak [--seconds n] [--seed n] [--threads n] [--probe]\n", stderr);
    exit(2);
}

static uint64_t number(const char *text) {
    char *end;
    if (!text) usage();
    uint64_t n = strtoull(text, &end, 0);
    if (*text == '\0' || *end != '\0') usage();
    return n;
}

static void read_options(char **argv, bool *is_probe) {
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    soak.seed = (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
    soak.program = argv[0];
    for (char **arg = argv + 1; *arg; arg++) {
        if (strcmp(*arg, "--probe") == 0)
            *is_probe = true;
        else if (strcmp(*arg, "--seconds") == 0)
            soak.seconds = (unsigned)number(*++arg);
        else if (strcmp(*arg, "--seed") == 0)
            soak.seed = number(*++arg);
        else if (strcmp(*arg, "--threads") == 0)
            soak.threads = (unsigned)number(*++arg);
        else
            usage();
    }
    ssize_t len = readlink("/proc/self/exe", soak.dir, sizeof soak.dir - 1);
    soak.dir[len > 0 ? len : 0] = '\0';
    char *slash = strrchr(soak.dir, '/');
    if (slash) *slash = '\0';
}

int main(int argc, char **argv) {
    bool is_probe = false;
    if (argc < 1) return 2;
    read_options(argv, &is_probe);
    process_init();
    if (mound_init() != 0) return 77;
    if (is_probe) return 0;
    report_start();
    run();
    return 0;
}
