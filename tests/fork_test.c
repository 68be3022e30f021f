/* fork_test.c - children of a process with threads: they collect, allocate, start threads, and
 * find all data as it was. */
#include <dirent.h>
#include "hold.h"

#include <fcntl.h>
#include <link.h>
#include <spawn.h>

#include "gc/roots.h"

enum { CHILD_BYTES = 20 << 20, LISTS = 50, LEN = 40 };

typedef struct family {
    node *list[LISTS];
    struct family *next;
} family;

static family *shared_root;

static NOINLINE family *make_family(uint64_t seed) {
    family *f = mound_new(family);
    for (int i = 0; i < LISTS; i++) f->list[i] = make_list(seed + (uint64_t)i * 1000, LEN);
    return f;
}

static NOINLINE bool family_ok(const family *f, uint64_t seed) {
    for (int i = 0; i < LISTS; i++)
        if (!list_ok(f->list[i], seed + (uint64_t)i * 1000, LEN)) return false;
    return true;
}

static void *child_thread(void *arg) {
    family *f = make_family(77);
    collect(1);
    *(bool *)arg = family_ok(f, 77);
    return NULL;
}

/* What a child must be able to do. Its exit status says which step failed. */
static NOINLINE int child_body(family *mine, uint64_t seed, size_t bytes) {
    if (!family_ok(mine, seed)) return 10;
    mound_gc();
    if (!family_ok(mine, seed) || !family_ok(shared_root, 1)) return 11;
    family *young = make_family(5);
    for (size_t done = 0; done < bytes; done += 4096) {
        char *p = done % 3 ? mound_alloc(4096) : mound_alloc_noscan(40000);
        for (int i = 0; i < 4096; i += 512)
            if (p[i] != 0) return 12;
        memset(p, 1, 4096);
    }
    mound_gc();
    if (!family_ok(mine, seed) || !family_ok(young, 5)) return 13;
    bool thread_ok = false;
    pthread_t thread;
    if (pthread_create(&thread, NULL, child_thread, &thread_ok) != 0) return 14;
    pthread_join(thread, NULL);
    if (!thread_ok) return 15;
    mound_mem_stats stats = {.struct_bytes = sizeof stats};
    mound_gc();
    mound_read_mem_stats(&stats);
    if (stats.num_threads > 3) return 16; /* the parent's are gone */
    return family_ok(mine, seed) ? 0 : 17;
}

/* _exit: the test framework's buffers belong to the parent. */
static pid_t fork_child(family *mine, uint64_t seed, size_t bytes) {
    pid_t pid = fork();
    if (pid == 0) {
        alarm(60);
        _exit(child_body(mine, seed, bytes));
    }
    return pid;
}

static int status_of(pid_t pid) {
    int status = -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + status;
}

/* Whether all other threads of the process sleep now. */
static bool others_sleep(void) {
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    bool all = true;
    for (const struct dirent *e; (e = readdir(tasks)) && all;) {
        char path[300], state = 'S';
        snprintf(path, sizeof path, "/proc/self/task/%s/stat", e->d_name);
        FILE *f = e->d_name[0] != '.' && atoi(e->d_name) != getpid() ? fopen(path, "r") : NULL;
        if (!f) continue; /* it has just ended */
        all = fscanf(f, "%*d (%*[^)]) %c", &state) == 1 && state == 'S';
        fclose(f);
    }
    closedir(tasks);
    return all;
}

/* A thread that starts uses malloc inside AddressSanitizer (gcc 12), which leaves its allocator's
 * locks to the child of a fork as they are: no thread may be starting then. */
static void await_library_threads(void) {
    if (TEST_TSAN) return;            /* it knows children of a single thread only */
    mound_free(mound_alloc(4 << 20)); /* a heap for which all of them are started */
    collect(2);
    for (int num = 0; num < 5;) {
        sleep_us(20000);
        num = others_sleep() ? num + 1 : 0;
    }
}

static void a_child_collects_and_allocates(void **state) {
    (void)state;
    family *mine = make_family(3);
    assert_int_equal(status_of(fork_child(mine, 3, CHILD_BYTES)), 0);
    assert_true(family_ok(mine, 3));
}

static NOINLINE int grandchild_status(family *mine) {
    pid_t pid = fork();
    if (pid == 0) {
        alarm(60);
        mound_gc();
        int status = status_of(fork_child(mine, 4, CHILD_BYTES / 4));
        if (status == 0) status = child_body(mine, 4, CHILD_BYTES / 4);
        _exit(status);
    }
    return status_of(pid);
}
static void a_grandchild_does_too(void **state) {
    (void)state;
    skip_under_tsan("it does not know threads that a forked child makes");
    assert_int_equal(grandchild_status(make_family(4)), 0);
}

static void *forking_main(void *arg) {
    family *mine = make_family(6);
    *(int *)arg = status_of(fork_child(mine, 6, CHILD_BYTES / 4));
    return NULL;
}
static void any_thread_may_fork(void **state) {
    (void)state;
    skip_under_tsan("it does not know threads that a forked child makes");
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        int status = -1;
        assert_int_equal(pthread_create(&thread, NULL, forking_main, &status), 0);
        pthread_join(thread, NULL);
        assert_int_equal(status, 0);
    }
}

/* ---------------------------------------------------------------- with other threads at work */

static int workers_started, workers_on, workers_bad;

static void *worker_main(void *arg) {
    __atomic_add_fetch(&workers_started, 1, __ATOMIC_RELEASE);
    mound_weak weak[16];
    memset(weak, 0, sizeof weak);
    for (uint64_t i = (uintptr_t)arg; LOAD(&workers_on); i++) {
        family *f = i % 8 == 0 ? make_family(i) : NULL;
        node *list = make_list(i, 200);
        weak[i % 16] = mound_weak_make(list);
        (void)!mound_weak_get(weak[i % 7]);
        if (i % 3 == 0) mound_free(make_list(1, 1));
        void *large = i % 32 == 0 ? mound_alloc(200000) : NULL;
        void *manual = mound_alloc_uncollectable(100);
        if (i % 64 == 0) mound_gc();
        bool ok = list_ok(list, i, 200) && (!f || family_ok(f, i));
        mound_free(manual);
        mound_keep_alive(large);
        if (!ok) __atomic_add_fetch(&workers_bad, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void a_storm_of_forks_while_others_allocate_and_collect(void **state) {
    (void)state;
    skip_under_tsan(
        "a child of many threads may not make threads with the numbers of the lost ones");
    enum { WORKERS = 3, FORKS = 200 };
    pthread_t worker[WORKERS];
    STORE(&workers_on, 1);
    STORE(&workers_started, 0);
    for (uintptr_t i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&worker[i], NULL, worker_main, (void *)(i * 1000000)), 0);
    family *mine = make_family(9);
    int bad = 0;
    while (LOAD(&workers_started) < WORKERS) sleep_us(100); /* see await_library_threads */
    time_t end = time(NULL) + 10; /* on a busy machine each fork takes long */
    for (int i = 0; i < FORKS && bad == 0 && (i < 20 || time(NULL) < end); i++) {
        /* Twenty of them do the whole 20 MB. */
        bad = status_of(fork_child(mine, 9, i % 10 ? CHILD_BYTES / 40 : CHILD_BYTES));
        if (bad) print_message("fork %d: the child ended with %d\n", i, bad);
    }
    STORE(&workers_on, 0);
    for (int i = 0; i < WORKERS; i++) pthread_join(worker[i], NULL);
    assert_int_equal(bad, 0);
    assert_int_equal(workers_bad, 0);
    assert_true(family_ok(mine, 9));
}

/* ---------------------------------------------------------------- from a cleanup */

static int cleanup_status = -1;

static void on_cleanup(void *arg) {
    family *mine = make_family(12);
    STORE((int *)arg, status_of(fork_child(mine, 12, CHILD_BYTES / 4)));
}

static NOINLINE void drop_with_cleanup(void (*fn)(void *), void *arg) {
    for (int i = 0; i < 4; i++)
        mound_add_cleanup(make_list(1, 1), i == 2 ? fn : (void (*)(void *))free,
                          i == 2 ? arg : NULL);
}

static void a_cleanup_may_fork(void **state) {
    (void)state;
    drop_with_cleanup(on_cleanup, &cleanup_status);
    clear_stack();
    while (LOAD(&cleanup_status) == -1) {
        collect(1);
        sleep_us(1000);
    }
    assert_int_equal(cleanup_status, 0);
}

static int child_cleanups;
static void count_cleanup(void *arg) { __atomic_add_fetch((int *)arg, 1, __ATOMIC_RELEASE); }

/* Cleanups run in a child as well, on a thread of its own. */
static void cleanups_run_in_a_child(void **state) {
    (void)state;
    drop_with_cleanup(count_cleanup, &child_cleanups);
    clear_stack();
    while (LOAD(&child_cleanups) == 0) { /* the parent's thread exists */
        collect(1);
        sleep_us(1000);
    }
    pid_t pid = fork();
    if (pid == 0) {
        alarm(20);
        STORE(&child_cleanups, 0);
        drop_with_cleanup(count_cleanup, &child_cleanups);
        clear_stack();
        while (LOAD(&child_cleanups) == 0) {
            collect(1);
            sleep_us(1000);
        }
        _exit(0);
    }
    assert_int_equal(status_of(pid), 0);
}

/* posix_spawn has its own way to a child, many times over. */
static void a_storm_of_spawns_while_others_allocate(void **state) {
    (void)state;
    enum { WORKERS = 2, CALLS = 40 };
    pthread_t worker[WORKERS];
    STORE(&workers_on, 1);
    for (uintptr_t i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&worker[i], NULL, worker_main, (void *)(i * 1000000)), 0);
    family *mine = make_family(14);
    int bad = 0;
    static char *const argv[] = {"sh", "-c", "exit 5", NULL};
    for (int i = 0; i < CALLS; i++) {
        pid_t pid;
        if (posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ) != 0 || status_of(pid) != 5)
            bad++;
    }
    STORE(&workers_on, 0);
    for (int i = 0; i < WORKERS; i++) pthread_join(worker[i], NULL);
    assert_int_equal(bad, 0);
    assert_int_equal(workers_bad, 0);
    assert_true(family_ok(mine, 14));
}

static int is_collecting, has_collected;

static void *collect_on(void *arg) {
    (void)arg;
    while (LOAD(&is_collecting)) {
        mound_gc();
        STORE(&has_collected, 1);
    }
    return NULL;
}

/* Most of these forks fall into a mark that runs beside the program, where there is a barrier: the
 * child drops it. What was marked already must be marked again there. */
static void children_of_a_collecting_process_keep_all(void **state) {
    (void)state;
    skip_under_tsan("it does not know threads that a forked child makes");
    enum { FAMILIES = 40 };
    family *all[FAMILIES];
    pthread_t thread;
    for (int i = 0; i < FAMILIES; i++) all[i] = make_family((uint64_t)i);
    await_library_threads();
    STORE(&is_collecting, 1);
    assert_int_equal(pthread_create(&thread, NULL, collect_on, NULL), 0);
    while (!LOAD(&has_collected)) sleep_us(1000);
    enum { FORKS = 40 };
    for (uint64_t i = 0; i < FORKS; i++) {
        pid_t pid = fork_child(all[i % FAMILIES], i % FAMILIES, 1 << 20);
        assert_int_equal(status_of(pid), 0);
    }
    STORE(&is_collecting, 0);
    pthread_join(thread, NULL);
    for (int i = 0; i < FAMILIES; i++) assert_true(family_ok(all[i], (uint64_t)i));
}

static int holder_phase;
static __thread node *in_thread_local;

static int hold_loader(struct dl_phdr_info *info, size_t size, void *arg) {
    (void)info, (void)size, (void)arg;
    STORE(&holder_phase, 1);
    while (LOAD(&holder_phase) != 2) sleep_us(1000);
    return 1;
}
static void *hold_loader_main(void *arg) {
    dl_iterate_phdr(hold_loader, arg);
    return NULL;
}

/* Something was loaded, nothing was collected since, and the loader's lock is held by a thread that
 * the child does not have. */
static void a_child_collects_though_the_loader_s_lock_is_lost(void **state) {
    (void)state;
    skip_under_tsan("it does not know threads that a forked child makes");
    family *mine = make_family(21);
    in_thread_local = make_list(22, LEN);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, hold_loader_main, NULL), 0);
    while (LOAD(&holder_phase) != 1) sleep_us(1000);
    mo_runtime_enter(mo_self);
    mo_roots_forget_objects();
    mo_runtime_leave(mo_self);
    pid_t pid = fork();
    if (pid == 0) {
        int status = child_body(mine, 21, 1 << 20);
        _exit(status ? status : list_ok(in_thread_local, 22, LEN) ? 0 : 30);
    }
    int status = 0; /* it waits with alarms blocked */
    for (int i = 0; i < 2000 && waitpid(pid, &status, WNOHANG) == 0; i++) sleep_us(10000);
    bool hangs = kill(pid, SIGKILL) == 0;
    if (hangs) status_of(pid);
    STORE(&holder_phase, 2);
    pthread_join(thread, NULL);
    assert_false(hangs);
    assert_int_equal(status, 0);
}

int main(int argc, char **argv) {
    watchdog();
    shared_root = make_family(1);
    await_library_threads();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_collects_and_allocates),
        cmocka_unit_test(children_of_a_collecting_process_keep_all),
        cmocka_unit_test(a_grandchild_does_too),
        cmocka_unit_test(any_thread_may_fork),
        cmocka_unit_test(a_cleanup_may_fork),
        cmocka_unit_test(cleanups_run_in_a_child),
        cmocka_unit_test(a_child_collects_though_the_loader_s_lock_is_lost),
        cmocka_unit_test(a_storm_of_forks_while_others_allocate_and_collect),
        cmocka_unit_test(a_storm_of_spawns_while_others_allocate),
    };
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
