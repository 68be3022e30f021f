/* spawn_test.c - threads in vfork, system, posix_spawn and popen while others collect. modes: gc */
#include "hold.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>

extern char **environ;

static void announce(holder *h) { STORE(&h->phase, 1); }

/* Like hold.h's check_held, but the wait ends by itself: collects until it has. */
static void check_during(void (*wait)(holder *h)) {
    holder h = {.wait = wait};
    mound_weak w = hold_prepare(&h);
    clear_stack();
    assert_int_equal(pthread_create(&h.thread, NULL, hold_main, &h), 0);
    await(&h.phase, 1);
    int rounds = 0;
    bool alive = true;
    /* The list dies when the holder is done: look first, then whether it was still needed. */
    while (LOAD(&h.phase) != 3) {
        collect(1);
        bool now = is_alive(w);
        if (LOAD(&h.phase) != 3) alive = alive && now;
        rounds++;
    }
    pthread_join(h.thread, NULL);
    assert_true(h.ok);
    assert_true(alive);
    assert_int_equal(h.extra, 0);
    assert_true(rounds > 0);
}

/* Needed after the call, by hold_main. */
static char *const true_argv[] = {"true", NULL};

static NOINLINE void vfork_once(holder *h) {
    pid_t pid = vfork();
    if (pid == 0) {
        usleep(50000);
        execv("/bin/true", true_argv);
        _exit(9);
    }
    int status = 0;
    if (waitpid(pid, &status, 0) != pid || status != 0) h->extra = 1;
}

static void in_vfork(holder *h) {
    announce(h);
    for (int i = 0; i < 3; i++) vfork_once(h);
}
static void a_vfork_whose_child_takes_its_time(void **state) {
    (void)state;
    check_during(in_vfork);
}

static void in_system(holder *h) {
    announce(h);
    for (int i = 0; i < 3; i++)
        if (system("sleep 0.02; exit 3") != 3 << 8) h->extra = 1;
}
static void system_returns_what_the_shell_says(void **state) {
    (void)state;
    check_during(in_system);
}

static void in_posix_spawn(holder *h) {
    announce(h);
    for (int i = 0; i < 10; i++) {
        pid_t pid = 0;
        int status = 0;
        int result = i % 2 ? posix_spawn(&pid, "/bin/true", NULL, NULL, true_argv, environ)
                           : posix_spawnp(&pid, "true", NULL, NULL, true_argv, environ);
        if (result != 0 || waitpid(pid, &status, 0) != pid || status != 0) h->extra = 1;
    }
    if (posix_spawn(&(pid_t){0}, "/nonexistent", NULL, NULL, true_argv, environ) != ENOENT)
        h->extra = 2;
}
static void posix_spawn_starts_programs(void **state) {
    (void)state;
    check_during(in_posix_spawn);
}

/* While the child waits for its file, the parent does for the child, and the other end is opened by
 * a thread that a collection must be able to stop meanwhile. */
static void *open_later(void *path) {
    sleep_us(20000);
    int fd = open(path, O_WRONLY);
    if (fd >= 0) close(fd);
    return NULL;
}
static void in_a_spawn_that_waits(holder *h) {
    announce(h);
    char dir[] = "/tmp/mound-spawn-XXXXXX", path[64];
    if (!mkdtemp(dir)) h->extra = 1;
    snprintf(path, sizeof path, "%s/fifo", dir);
    for (int i = 0; i < 3; i++) {
        pthread_t opener;
        posix_spawn_file_actions_t actions;
        pid_t pid = 0;
        int status = 0;
        if (mkfifo(path, 0600) != 0) h->extra = 2;
        pthread_create(&opener, NULL, open_later, path);
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_addopen(&actions, 0, path, O_RDONLY, 0);
        if (posix_spawn(&pid, "/bin/true", &actions, NULL, true_argv, environ) != 0 ||
            waitpid(pid, &status, 0) != pid || status != 0)
            h->extra = 3;
        posix_spawn_file_actions_destroy(&actions);
        pthread_join(opener, NULL);
        unlink(path);
    }
    rmdir(dir);
}
static void a_spawn_whose_child_waits_holds_up_no_collection(void **state) {
    (void)state;
    check_during(in_a_spawn_that_waits);
}

/* The child's signal mask is the caller's, or the one the caller asks for; not the one under which
 * the caller waits. */
static uint64_t blocked_in_child(const posix_spawnattr_t *attr) {
    static char *const argv[] = {"sed", "-n", "s/SigBlk:.//p", "/proc/self/status", NULL};
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fds[1], 1);
    pid_t pid;
    assert_int_equal(posix_spawnp(&pid, "sed", &actions, attr, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(fds[1]);
    char text[64] = "";
    assert_true(read(fds[0], text, sizeof text - 1) > 0);
    close(fds[0]);
    waitpid(pid, NULL, 0);
    return strtoull(text, NULL, 16);
}
static void a_spawned_child_has_the_caller_s_signal_mask(void **state) {
    (void)state;
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_SETMASK, &set, &old);
    uint64_t inherited = blocked_in_child(NULL);
    posix_spawnattr_t attr;
    posix_spawnattr_init(&attr);
    sigaddset(&set, SIGUSR2);
    posix_spawnattr_setsigmask(&attr, &set);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    uint64_t asked = blocked_in_child(&attr);
    posix_spawnattr_setflags(&attr, 0);
    uint64_t not_asked = blocked_in_child(&attr);
    posix_spawnattr_destroy(&attr);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    assert_int_equal(inherited, 1u << (SIGUSR1 - 1));
    assert_int_equal(asked, 1u << (SIGUSR1 - 1) | 1u << (SIGUSR2 - 1));
    assert_int_equal(not_asked, inherited);
}

static void in_popen(holder *h) {
    announce(h);
    for (int i = 0; i < 5; i++) {
        char line[32] = "";
        FILE *stream = popen("sleep 0.005; echo spoken", "r");
        if (!stream || !fgets(line, sizeof line, stream) || strcmp(line, "spoken\n") != 0)
            h->extra = 1;
        if (stream && pclose(stream) != 0) h->extra = 2;
    }
}
static void popen_reads_what_the_program_writes(void **state) {
    (void)state;
    check_during(in_popen);
}

/* The arguments stand in collected memory, and nothing else refers to them. */
static NOINLINE char **make_argv(void) {
    char **argv = mound_alloc(4 * sizeof *argv);
    argv[0] = mound_strdup("sh");
    argv[1] = mound_strdup("-c");
    argv[2] = mound_asprintf("exit %d", 7);
    return argv;
}
static NOINLINE char *make_command(void) { return mound_asprintf("sleep 0.005; exit %d", 6); }

static void with_collected_arguments(holder *h) {
    announce(h);
    for (int i = 0; i < 10; i++) {
        pid_t pid = 0;
        int status = 0;
        if (posix_spawn(&pid, "/bin/sh", NULL, NULL, make_argv(), environ) != 0) h->extra = 1;
        clear_stack();
        if (waitpid(pid, &status, 0) != pid || status != 7 << 8) h->extra = 2;
        if (system(make_command()) != 6 << 8) h->extra = 3;
    }
}
static void arguments_may_be_collected_memory(void **state) {
    (void)state;
    check_during(with_collected_arguments);
}

/* Many at once, each thread with data of its own. */
static void *storm_of_commands(void *arg) {
    for (int i = 0; i < 10; i++) {
        node *list = make_list((uint64_t)i, 50);
        int status = system("exit 0");
        if (status != 0 || !list_ok(list, (uint64_t)i, 50))
            __atomic_add_fetch((int *)arg, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}
static void many_threads_run_commands(void **state) {
    (void)state;
    enum { THREADS = 6 };
    pthread_t thread[THREADS], storm = storm_begin();
    int bad = 0;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, storm_of_commands, &bad), 0);
    for (int i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
    storm_end(storm);
    assert_int_equal(bad, 0);
}

int main(void) {
    watchdog();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_vfork_whose_child_takes_its_time),
        cmocka_unit_test(system_returns_what_the_shell_says),
        cmocka_unit_test(posix_spawn_starts_programs),
        cmocka_unit_test(a_spawn_whose_child_waits_holds_up_no_collection),
        cmocka_unit_test(a_spawned_child_has_the_caller_s_signal_mask),
        cmocka_unit_test(popen_reads_what_the_program_writes),
        cmocka_unit_test(arguments_may_be_collected_memory),
        cmocka_unit_test(many_threads_run_commands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
