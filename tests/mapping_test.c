/* mapping_test.c - the mapping that contains an address, from /proc/self/maps. */
#include "support.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "sys/mapping.h"
#include "sys/os_mem.h"

enum { OS_PAGE = 4096 };

static char *map(size_t bytes, int prot) {
    char *p = mmap(NULL, bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(p != MAP_FAILED);
    return p;
}

/* Its neighbours may have been joined to it by the kernel, so at least [p, p + bytes). */
static void expect_inside(const char *addr, const char *p, size_t bytes) {
    uintptr_t lo = 0, hi = 0;
    assert_true(mo_mapping_of((uintptr_t)addr, &lo, &hi));
    assert_true(lo <= (uintptr_t)p && hi >= (uintptr_t)p + bytes);
    assert_true((uintptr_t)addr >= lo && (uintptr_t)addr < hi);
}

static bool is_mapped(const void *addr) {
    uintptr_t lo, hi;
    return mo_mapping_of((uintptr_t)addr, &lo, &hi);
}

static void a_mapping_is_found_from_its_first_to_its_last_byte(void **state) {
    (void)state;
    /* Unreadable pages on both sides: the bounds are exact. */
    char *p = map(5 * OS_PAGE, PROT_NONE);
    assert_int_equal(mprotect(p + OS_PAGE, 3 * OS_PAGE, PROT_READ), 0);
    const char *inside[] = {p + OS_PAGE, p + OS_PAGE + 1, p + 3 * OS_PAGE, p + 4 * OS_PAGE - 1};
    for (size_t i = 0; i < sizeof inside / sizeof inside[0]; i++) {
        uintptr_t lo = 0, hi = 0;
        assert_true(mo_mapping_of((uintptr_t)inside[i], &lo, &hi));
        assert_int_equal(lo, (uintptr_t)p + OS_PAGE);
        assert_int_equal(hi, (uintptr_t)p + 4 * OS_PAGE);
    }
    assert_false(is_mapped(p + OS_PAGE - 1));
    assert_false(is_mapped(p + 4 * OS_PAGE));
    munmap(p, 5 * OS_PAGE);
}

static void unreadable_and_unmapped_addresses_are_in_none(void **state) {
    (void)state;
    char *p = map(OS_PAGE, PROT_NONE);
    assert_false(is_mapped(p));
    munmap(p, OS_PAGE);
    assert_false(is_mapped(p));
    assert_false(is_mapped(NULL));
    assert_false(is_mapped((void *)UINTPTR_MAX));
}

static void *find_own_stack(void *arg) {
    char local = 0;
    *(bool *)arg = is_mapped(&local);
    return NULL;
}

static void stacks_globals_code_and_malloc_are_found(void **state) {
    (void)state;
    static char global;
    char local = 0;
    void *block = malloc(100);
    bool found = false;
    pthread_t t;
    assert_true(is_mapped(&global));
    assert_true(is_mapped(&local));
    assert_true(is_mapped(block));
    assert_true(is_mapped((void *)(uintptr_t)&mo_mapping_of));
    assert_int_equal(pthread_create(&t, NULL, find_own_stack, &found), 0);
    assert_int_equal(pthread_join(t, NULL), 0);
    assert_true(found);
    free(block);
}

/* Lines of the file then stand on every border of the read buffer. */
static void each_of_many_mappings_is_found(void **state) {
    (void)state;
    enum { N = 400 };
    char *p = map(2 * N * OS_PAGE, PROT_NONE);
    for (int i = 0; i < N; i++)
        assert_int_equal(mprotect(p + 2 * i * OS_PAGE, OS_PAGE, PROT_READ | PROT_WRITE), 0);
    for (int i = 0; i < N; i++) {
        uintptr_t lo = 0, hi = 0;
        assert_true(mo_mapping_of((uintptr_t)p + 2 * i * OS_PAGE + 17, &lo, &hi));
        assert_int_equal(lo, (uintptr_t)p + 2 * i * OS_PAGE);
        assert_int_equal(hi, lo + OS_PAGE);
        assert_false(is_mapped(p + (2 * i + 1) * OS_PAGE));
    }
    munmap(p, 2 * N * OS_PAGE);
}

static void a_mapping_of_a_file_with_a_long_name_is_found(void **state) {
    (void)state;
    char dir[] = "/tmp/mapping_test_XXXXXX", name[200], path[300];
    assert_non_null(mkdtemp(dir));
    memset(name, 'r', sizeof name); /* looks like a permission */
    name[sizeof name - 1] = '\0';
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 2 * OS_PAGE), 0);
    char *p = mmap(NULL, 2 * OS_PAGE, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(p != MAP_FAILED);
    expect_inside(p + OS_PAGE + 5, p, 2 * OS_PAGE);
    munmap(p, 2 * OS_PAGE);
    close(fd);
    unlink(path);
    rmdir(dir);
}

static void errno_and_descriptors_are_left_alone(void **state) {
    (void)state;
    int before = dup(0);
    close(before);
    for (int i = 0; i < 50; i++) {
        errno = EXDEV;
        is_mapped(&before);
        is_mapped(NULL);
        assert_int_equal(errno, EXDEV);
    }
    int after = dup(0);
    close(after);
    assert_int_equal(before, after);
}

/* Three readable pages between unreadable ones. */
static char *map_three_pages(void) {
    char *p = map(5 * OS_PAGE, PROT_NONE);
    assert_int_equal(mprotect(p + OS_PAGE, 3 * OS_PAGE, PROT_READ), 0);
    return p;
}

static void ask_without_descriptors(void *arg) {
    char *p = arg;
    uintptr_t lo = 0, hi = 0;
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_NOFILE, &none);
    errno = EXDEV;
    if (!mo_mapping_of((uintptr_t)p + 2 * OS_PAGE + 9, &lo, &hi)) _exit(3);
    if (lo != (uintptr_t)p + OS_PAGE || hi != (uintptr_t)p + 4 * OS_PAGE) _exit(4);
    if (is_mapped(p) || is_mapped(p + 4 * OS_PAGE) || is_mapped(NULL)) _exit(5);
    if (errno != EXDEV) _exit(6);
}

static void mappings_are_found_without_descriptors(void **state) {
    (void)state;
    char *p = map_three_pages();
    test_death d = test_die(ask_without_descriptors, p);
    assert_int_equal(test_exit_status(&d), 0);
    munmap(p, 5 * OS_PAGE);
}

static void *ask_after_main(void *main_thread) {
    char local = 0;
    pthread_join(*(pthread_t *)main_thread, NULL);
    _exit(is_mapped(&local) && !is_mapped(NULL) ? 0 : 3);
}

static void leave_main(void *arg) {
    (void)arg;
    static pthread_t main_thread, t;
    main_thread = pthread_self();
    pthread_create(&t, NULL, ask_after_main, &main_thread);
    pthread_exit(NULL);
}

/* /proc/self then shows an empty list. */
static void mappings_are_found_after_the_main_thread_left(void **state) {
    (void)state;
    skip_under_tsan("its own state of the main thread goes with that");
    test_death d = test_die(leave_main, NULL);
    assert_int_equal(test_exit_status(&d), 0);
}

static void the_end_of_what_is_readable(void **state) {
    (void)state;
    char *p = map_three_pages();
    uintptr_t first = (uintptr_t)p + OS_PAGE, end = first + 3 * OS_PAGE;
    errno = EXDEV;
    assert_int_equal(mo_mapping_readable_end(first, end + OS_PAGE), end);
    assert_int_equal(mo_mapping_readable_end(first + 5, end + 5), end);
    assert_int_equal(mo_mapping_readable_end(first, end - 100), end - 100);
    assert_int_equal(mo_mapping_readable_end(end - 1, end + OS_PAGE), end);
    assert_int_equal(mo_mapping_readable_end(end, end + OS_PAGE), end);
    assert_int_equal(mo_mapping_readable_end((uintptr_t)p + 3, end), (uintptr_t)p + 3);
    assert_int_equal(mo_mapping_readable_end(first, first), first);
    assert_int_equal(errno, EXDEV);
    munmap(p, 5 * OS_PAGE);
}

/* A stack found by its mapping is a root up to that mapping's end: the library's own memory above
 * must not be part of it. The kernel puts a new mapping below the last one, and joins them. */
static void memory_of_the_library_is_not_joined_to_what_lies_below(void **state) {
    (void)state;
    for (int i = 0; i < 20; i++) {
        char *ours = mo_os_map(3 * OS_PAGE, "mound: test"),
             *below = map(3 * OS_PAGE, PROT_READ | PROT_WRITE);
        uintptr_t lo = 0, hi = 0;
        assert_non_null(ours);
        assert_true(mo_mapping_of((uintptr_t)ours, &lo, &hi));
        assert_int_equal(lo, (uintptr_t)ours);
        munmap(below, 3 * OS_PAGE);
        mo_os_unmap(ours, 3 * OS_PAGE);
        assert_false(is_mapped(ours));
        assert_false(is_mapped(ours - OS_PAGE));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mapping_is_found_from_its_first_to_its_last_byte),
        cmocka_unit_test(unreadable_and_unmapped_addresses_are_in_none),
        cmocka_unit_test(stacks_globals_code_and_malloc_are_found),
        cmocka_unit_test(each_of_many_mappings_is_found),
        cmocka_unit_test(a_mapping_of_a_file_with_a_long_name_is_found),
        cmocka_unit_test(errno_and_descriptors_are_left_alone),
        cmocka_unit_test(mappings_are_found_without_descriptors),
        cmocka_unit_test(mappings_are_found_after_the_main_thread_left),
        cmocka_unit_test(the_end_of_what_is_readable),
        cmocka_unit_test(memory_of_the_library_is_not_joined_to_what_lies_below),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
