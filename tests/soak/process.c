/* process.c - children of a process with threads. */
#include "process.h"

#include <errno.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "market.h"
#include "orchard.h"

/* ASan's runtime (gcc 12) does not free its allocator's locks in the child: if another thread's
 * malloc had one at the fork, the child waits for it for ever. */
#if defined(__SANITIZE_ADDRESS__)
#define FORK_WAITS_FOR_MALLOC 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FORK_WAITS_FOR_MALLOC 1
#endif
#endif
#ifndef FORK_WAITS_FOR_MALLOC
#define FORK_WAITS_FOR_MALLOC 0
#endif

enum { CHILD_SECONDS = 200 };

/* Its cleanups may run before fork returns. */
static void in_child(void) { soak_is_child = true; }

void process_init(void) { pthread_atfork(NULL, NULL, in_child); }

static void *child_thread(void *arg) {
    mo_rand r;
    mo_rand_seed(&r, *(uint64_t *)arg);
    thing *t = thing_make(&r);
    litter(&r, 500);
    mound_gc();
    thing_verify(t, "the stack of a child's thread");
    return NULL;
}

static void verify_all(const thing *mine, mo_rand *r) {
    if (mine) thing_verify(mine, "a child's stack");
    market_verify_some(r);
    orchard_verify_some(r);
}

static NOINLINE void child_run(const thing *mine, mo_rand *r) {
    alarm(CHILD_SECONDS);
    if (one_in(r, 2)) mound_gc();
    verify_all(mine, r);
    litter(r, (unsigned)between(r, 1, 5000));
    if (one_in(r, 3)) {
        uint64_t thread_seed = mo_rand_next(r);
        pthread_t thread;
        int err = pthread_create(&thread, NULL, child_thread, &thread_seed);
        require(err == 0, "pthread_create: %d", err);
        pthread_join(thread, NULL);
    }
    mound_gc();
    verify_all(mine, r);
}

static int wait_for(pid_t pid) {
    int status = -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    return status;
}

/* The child's is the one to look at: ours would take its name. */
static void keep_core(void) {
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
}

void process_fork(const thing *mine, mo_rand *r) {
    pid_t pid = fork();
    require(pid >= 0, "fork: errno %d", errno);
    if (pid == 0) {
        child_run(mine, r);
        _exit(0); /* not exit: what stands in stdout's buffer belongs to the parent */
    }
    int status = wait_for(pid);
    if (status != 0) keep_core();
    require(status == 0, "a forked child ended with wait status 0x%x", (unsigned)status);
    count_add(COUNT_FORKS, 1);
}

void process_fork_beside_others(const thing *mine, mo_rand *r) {
    if (!FORK_WAITS_FOR_MALLOC) process_fork(mine, r);
}

void process_spawn(void) {
    static char *const argv[] = {"true", NULL};
    pid_t pid;
    int err = posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ);
    require(err == 0, "posix_spawn: %d", err);
    int status = wait_for(pid);
    require(status == 0, "/bin/true ended with wait status 0x%x", (unsigned)status);
    count_add(COUNT_SPAWNS, 1);
}
