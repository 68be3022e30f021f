/* holes_test.c - memory that a whole program gave back in part stays given back.
 *
 * This process itself never starts mound: each case is a child that does.
 */
#include "huge.h"

#include <time.h>

#include "heap/heap.h"
#include "mound.h"

enum { OBJECT_BYTES = 8192, NUM = 4096 };

static void **objects; /* a root */

static void lost(const char *what, size_t a, size_t b) {
    fprintf(stderr, "%s: %zu, %zu\n", what, a, b);
    _exit(1);
}

static void fill(void) {
    for (size_t i = 0; i < NUM; i++) {
        if (objects[i]) continue;
        objects[i] = mound_alloc_noscan(OBJECT_BYTES);
        memset(objects[i], 1, OBJECT_BYTES);
    }
}

/* Leaves one object in 64, and so something in each block. */
static void begin(void *barrier) {
    setenv("MOUND_BARRIER", barrier, 1);
    objects = mound_alloc_array(NUM, sizeof *objects);
    fill();
    for (size_t i = 0; i < NUM; i++)
        if (i % 64 != 0) objects[i] = NULL;
    mound_free_os_memory();
}

/* Many, beside what lives in the first blocks. */
static void make_holes(void) {
    void *stays[600];
    for (size_t i = 0; i < 600; i++) {
        memset(mound_alloc_noscan(OBJECT_BYTES), 2, OBJECT_BYTES);
        stays[i] = memset(mound_alloc_noscan(OBJECT_BYTES), 3, OBJECT_BYTES);
    }
    mound_free_os_memory();
    mound_keep_alive(stays);
}

static size_t resident_bytes(void) {
    FILE *f = fopen("/proc/self/statm", "re");
    size_t pages = 0;
    if (!f || fscanf(f, "%*u %zu", &pages) != 1) lost("statm", 0, 0);
    fclose(f);
    return pages * 4096;
}

static void fill_holes(void *barrier) {
    begin(barrier);
    size_t before = resident_bytes();
    for (size_t off = 0; off < mo_map.used_bytes; off += BLOCK_BYTES) collapse(mo_map.base + off);
    size_t after = resident_bytes();
    if (after > before + (1 << 20)) lost("resident before, after", before, after);
}

static size_t forbidden_bytes(void) {
    return bytes_advised(mo_map.base, mo_map.base + mo_map.used_bytes, "nh");
}

static void fill_again(void *barrier) {
    begin(barrier);
    size_t before = forbidden_bytes(), after = before;
    if (before < (NUM - NUM / 8) * OBJECT_BYTES) lost("not forbidden where holes are", before, 0);
    fill();
    struct timespec wait = {0, 50000000};
    for (int i = 0; i < 200 && after > MO_FIRST_HUGE_BYTES + 2 * BLOCK_BYTES; i++) {
        nanosleep(&wait, NULL);
        after = forbidden_bytes();
    }
    if (after > MO_FIRST_HUGE_BYTES + 2 * BLOCK_BYTES) lost("still forbidden", before, after);
}

static void *make_holes_on(void *arg) {
    (void)arg;
    for (;;) make_holes();
    return NULL;
}

/* The lock that is held while a hole is made is free in a child. */
static void fork_meanwhile(void *barrier) {
    begin(barrier);
    pthread_t thread;
    if (pthread_create(&thread, NULL, make_holes_on, NULL) != 0) lost("no thread", 0, 0);
    struct timespec wait = {0, 300000}, longer = {0, 10000000};
    for (size_t i = 0; i < (TEST_SANITIZED ? 20 : 100); i++) {
        nanosleep(&wait, NULL);
        pid_t pid = fork();
        if (pid == 0) {
            make_holes();
            _exit(0);
        }
        int status = 0;
        for (int j = 0; j < 1000 && waitpid(pid, &status, WNOHANG) == 0; j++)
            nanosleep(&longer, NULL);
        if (kill(pid, SIGKILL) == 0) lost("a child hangs, fork", i, 0);
        if (status != 0) lost("child, status", i, (size_t)status);
    }
}

static void expect_well(void (*fn)(void *), char *barrier) {
    test_death d = test_die(fn, barrier);
    if (test_exit_status(&d) != 0)
        fail_msg("MOUND_BARRIER=%s: wait status 0x%x: %s", barrier, (unsigned)d.status, d.text);
}

static void memory_given_back_in_part_does_not_come_back(void **state) {
    (void)state;
    expect_well(fill_holes, "none");
    expect_well(fill_holes, "auto");
}

static void blocks_in_full_use_may_be_huge_again(void **state) {
    (void)state;
    if (access("/sys/kernel/mm/transparent_hugepage/enabled", F_OK) != 0) {
        print_message("no transparent huge pages in this kernel\n");
        skip();
    }
    expect_well(fill_again, "none");
}

static void a_child_makes_holes_too(void **state) {
    (void)state;
    expect_well(fork_meanwhile, "none");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_given_back_in_part_does_not_come_back),
        cmocka_unit_test(blocks_in_full_use_may_be_huge_again),
        cmocka_unit_test(a_child_makes_holes_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
