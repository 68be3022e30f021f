/* dirty_pages_test.c - which pages were written, told by the system.
 *
 * The oracle at the end is the one that counts: threads store, a taker copies what is reported, and
 * in the end the copy must equal the original. Its control takes in the wrong order and must lose.
 * All but the refusals are skipped where the kernel or a sandbox does not offer the calls.
 */
#include "support.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <grp.h>
#if __has_include(<linux/io_uring.h>)
#include <linux/io_uring.h>
#define HAS_URING_HEADER 1
#else
#define HAS_URING_HEADER 0
#endif

#include "base/bits.h"
#include "sys/dirty_pages.h"
#include "sys/os_mem.h"

enum { OS_PAGE = MO_OS_PAGE_BYTES, MAX_PAGES = 1 << 15 };

static bool is_supported;
static mo_dirty_taker taker;

#define NEEDS_SUPPORT()                                                                            \
    do {                                                                                           \
        if (!is_supported) skip();                                                                 \
    } while (0)

/* ---------------------------------------------------------------- helpers */

struct api {
    uint64_t api, features, ioctls;
};
struct reg {
    uint64_t start, bytes, mode, ioctls;
};

/* Asked without the code under test, so that what breaks it is a failure and not a skip. */
static bool kernel_has_it(void) {
    struct api api = {.api = 0xAA, .features = 1 << 13 | 1 << 15};
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | 1);
    int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    bool result = fd >= 0 && pagemap >= 0 && ioctl(fd, _IOWR(0xAA, 0x3F, struct api), &api) == 0;
    close(fd);
    close(pagemap);
    return result;
}

/* What one call reported. */
static uint8_t seen[MAX_PAGES];
static unsigned num_seen;     /* pages reported, each once */
static unsigned num_repeated; /* and more than once */
static bool is_in_order, is_inside;
static uintptr_t seen_lo, seen_hi, last_hi;

static void note(void *arg, uintptr_t lo, uintptr_t hi) {
    (void)arg;
    if (lo < last_hi) is_in_order = false;
    if (lo < seen_lo || hi > seen_hi || lo >= hi || (lo | hi) % OS_PAGE != 0) {
        is_inside = false;
        return;
    }
    last_hi = hi;
    for (; lo < hi; lo += OS_PAGE) {
        uint8_t *s = &seen[(lo - seen_lo) / OS_PAGE];
        if (*s)
            num_repeated++;
        else
            num_seen++;
        *s = 1;
    }
}

static void clear_seen(const char *p, size_t pages) {
    memset(seen, 0, sizeof seen);
    num_seen = num_repeated = 0;
    is_in_order = is_inside = true;
    seen_lo = (uintptr_t)p;
    seen_hi = seen_lo + pages * OS_PAGE;
    last_hi = 0;
}

static int take(const char *p, size_t pages) {
    clear_seen(p, pages);
    return mo_dirty_take(&taker, (uintptr_t)p, pages * OS_PAGE, note, NULL);
}
static int final(const char *p, size_t pages) {
    clear_seen(p, pages);
    return mo_dirty_final(&taker, (uintptr_t)p, pages * OS_PAGE, note, NULL);
}
static int arm(const char *p, size_t pages) { return mo_dirty_arm((uintptr_t)p, pages * OS_PAGE); }

/* Exactly the pages with these numbers, -1 at the end. */
static void expect_pages(const int *numbers, const char *file, int line) {
    unsigned num = 0;
    for (; numbers[num] >= 0; num++) {
        if (seen[numbers[num]]) continue;
        print_error("page %d was not reported\n", numbers[num]);
        _fail(file, line);
    }
    if (num_seen == num && num_repeated == 0 && is_in_order && is_inside) return;
    print_error("%u pages reported, %u expected, %u twice, %s, %s\n", num_seen, num, num_repeated,
                is_in_order ? "in order" : "out of order", is_inside ? "inside" : "outside");
    _fail(file, line);
}
#define assert_pages(...) expect_pages((const int[]){__VA_ARGS__, -1}, __FILE__, __LINE__)
#define assert_no_pages() expect_pages((const int[]){-1}, __FILE__, __LINE__)

static char *map_pages(size_t pages) {
    char *p =
        mmap(NULL, pages * OS_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(p != MAP_FAILED);
    return p;
}
static void touch(char *p, size_t pages) {
    for (size_t i = 0; i < pages; i++) *(volatile char *)(p + i * OS_PAGE) = 1;
}
/* Registered, with memory, armed. */
static char *map_armed(size_t pages) {
    char *p = map_pages(pages);
    touch(p, pages);
    assert_int_equal(mo_dirty_register((uintptr_t)p, pages * OS_PAGE), 0);
    assert_int_equal(arm(p, pages), 0);
    return p;
}
static void unmap(char *p, size_t pages) {
    assert_int_equal(mo_dirty_forget((uintptr_t)p, pages * OS_PAGE), 0);
    munmap(p, pages * OS_PAGE);
}
static void store(char *p, size_t page) { *(volatile char *)(p + page * OS_PAGE + 100) += 1; }

/* Runs fn in a child; it ends with 0, or with a line number. */
#define CHILD_EXPECT(cond)                                                                         \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            dprintf(2, "line %d: %s\n", __LINE__, #cond);                                          \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)
static void expect_child_passes(void (*fn)(void *), void *arg) {
    test_death d = test_die(fn, arg);
    if (test_exit_status(&d) != 0) fail_msg("child: status 0x%x: %s", (unsigned)d.status, d.text);
}

/* ---------------------------------------------------------------- what is reported */

static void a_store_is_reported_once_until_the_next(void **state) {
    (void)state;
    NEEDS_SUPPORT();
    char *p = map_armed(16);
    errno = EXDEV;
    assert_int_equal(take(p, 16), 0);
    assert_no_pages();
    store(p, 0);
    store(p, 5);
    store(p, 5);
    store(p, 6);
    store(p, 15);
    assert_int_equal(take(p, 16), 0);
    assert_pages(0, 5, 6, 15);
    assert_int_equal(take(p, 16), 0);
    assert_no_pages();
    store(p, 5);
    assert_int_equal(take(p, 16), 0);
    assert_pages(5);
    assert_int_equal(errno, EXDEV);
    unmap(p, 16);
}

static void final_reports_and_leaves_it_reported(void **state) {
    (void)state;
    NEEDS_SUPPORT();
    char *p = map_armed(8);
    store(p, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(final(p, 8), 0);
        assert_pages(3);
    }
    assert_int_equal(take(p, 8), 0);
    assert_pages(3);
    assert_int_equal(final(p, 8), 0);
    assert_no_pages();
    unmap(p, 8);
}

static void a_part_of_a_range_is_taken_alone(void **state) {
    (void)state;
    NEEDS_SUPPORT();
    char *p = map_armed(8);
    for (size_t i = 0; i < 8; i++) store(p, i);
    assert_int_equal(take(p + 2 * OS_PAGE, 3), 0);
    assert_pages(0, 1, 2);
    assert_int_equal(take(p, 8), 0);
    assert_pages(0, 1, 5, 6, 7);
    assert_int_equal(take(p, 0), 0);
    assert_no_pages();
    unmap(p, 8);
}

static void what_is_not_armed_counts_as_written(void **state) {
    (void)state;
    NEEDS_SUPPORT();
    char *p = map_pages(4);
    assert_int_equal(mo_dirty_register((uintptr_t)p, 4 * OS_PAGE), 0);
    assert_int_equal(arm(p + OS_PAGE, 2), 0);
    assert_int_equal(take(p, 4), 0);
    assert_pages(0, 3);
    assert_int_equal(take(p, 4), 0);
    assert_no_pages();
    unmap(p, 4);
}

static void pages_without_memory_are_armed_too(void **state) {
    (void)state;
    NEEDS_SUPPORT();
    char *p = map_pages(8);
    p[3 * OS_PAGE] = 1;
    assert_int_equal(mo_dirty_register((uintptr_t)p, 8 * OS_PAGE), 0);
    assert_int_equal(arm(p, 8), 0);
    assert_int_equal(take(p, 8), 0);
    assert_no_pages();
    assert_int_equal(*(volatile char *)(p + OS_PAGE), 0); /* a read is not a store */
    assert_int_equal(take(p, 8), 0);
    assert_no_pages();
    store(p, 1);
    store(p, 3);
    store(p, 7);
    assert_int_equal(take(p, 8), 0);
    assert_pages(1, 3, 7);
    unmap(p, 8);
}

/* More runs than a vector holds, more bytes than a step covers, and a last step that is short. */
static void any_number_of_runs_is_reported(void **state) {
    (void)state;
    NEEDS_SUPPORT();
    enum { PAGES = 20000 };
    char *p = map_armed(PAGES);
    for (size_t i = 0; i < PAGES; i += 2) store(p, i);
    store(p, PAGES - 1);
    for (int is_final = 1; is_final >= 0; is_final--) {
        assert_int_equal(is_final ? final(p, PAGES) : take(p, PAGES), 0);
        assert_int_equal(num_seen, PAGES / 2 + 1);
        assert_int_equal(num_repeated, 0);
        assert_true(is_in_order && is_inside);
        for (size_t i = 0; i < PAGES; i += 2) assert_true(seen[i]);
        assert_true(seen[PAGES - 1]);
    }
    assert_int_equal(take(p, PAGES), 0);
    assert_no_pages();
    unmap(p, PAGES);
}

static void random_stores_are_reported_exactly(void **state) {
    (void)state;
    NEEDS_SUPPORT();
    enum { PAGES = 3000, ROUNDS = 60 };
    mo_rand r;
    mo_rand_seed(&r, test_seed("random_stores", 0));
    char *p = map_armed(PAGES);
    static uint8_t expected[PAGES];
    for (uint64_t round = 0; round < test_steps(ROUNDS); round++) {
        memset(expected, 0, sizeof expected);
        for (uint64_t n = mo_rand_below(&r, 2 * PAGES); n > 0; n--) {
            size_t page = mo_rand_below(&r, PAGES);
            store(p, page);
            expected[page] = 1;
        }
        if (round % 4 == 3) {
            assert_int_equal(final(p, PAGES), 0);
            assert_memory_equal(seen, expected, PAGES);
        }
        assert_int_equal(take(p, PAGES), 0);
        assert_memory_equal(seen, expected, PAGES);
        assert_true(is_in_order && is_inside && num_repeated == 0);
    }
    unmap(p, PAGES);
}

static void system_calls_fill_armed_pages_and_are_reported(void **state) {
    (void)state;
    NEEDS_SUPPORT();
    char *p = map_armed(16), data[64] = "x";
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], data, sizeof data), sizeof data);
    assert_int_equal(read(fds[0], p + 2 * OS_PAGE - 32, sizeof data), sizeof data); /* two pages */
    assert_int_equal(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, p + 4 * OS_PAGE), 0);
    assert_int_equal(write(fds[1], p + 6 * OS_PAGE, 64), 64); /* reads the page */
    struct iovec from = {data, sizeof data}, to = {p + 9 * OS_PAGE, sizeof data};
    bool has_writev = process_vm_writev(getpid(), &from, 1, &to, 1, 0) == sizeof data;
    assert_int_equal(take(p, 16), 0);
    if (has_writev)
        assert_pages(1, 2, 4, 9);
    else
        assert_pages(1, 2, 4);
    close(fds[0]);
    close(fds[1]);
    unmap(p, 16);
}

static void pages_given_back_are_reported(void **state) {
    (void)state;
    NEEDS_SUPPORT();
    char *p = map_armed(16);
    assert_true(mo_os_release((uintptr_t)p + 4 * OS_PAGE, 3 * OS_PAGE));
    assert_int_equal(take(p, 16), 0);
    assert_pages(4, 5, 6);
    assert_int_equal(take(p, 16), 0);
    assert_no_pages();
    store(p, 5);
    assert_int_equal(take(p, 16), 0);
    assert_pages(5);
    unmap(p, 16);
}

static void protection_changes_keep_pages_armed(void **state) {
    (void)state;
    NEEDS_SUPPORT();
    char *p = map_armed(8);
    store(p, 2);
    assert_int_equal(mprotect(p, 4 * OS_PAGE, PROT_NONE), 0);
    assert_int_equal(mprotect(p, 4 * OS_PAGE, PROT_READ | PROT_WRITE), 0);
    assert_int_equal(take(p, 8), 0);
    assert_pages(2);
    store(p, 1);
    assert_int_equal(take(p, 8), 0);
    assert_pages(1);
    unmap(p, 8);
}

static size_t huge_kib(void) {
    size_t kib = 0, one;
    char line[256];
    FILE *f = fopen("/proc/self/smaps_rollup", "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "AnonHugePages: %zu", &one) == 1) kib = one;
    if (f) fclose(f);
    return kib;
}

static void of_a_huge_page_only_the_stored_page_is_reported(void **state) {
    (void)state;
    NEEDS_SUPPORT();
    enum { HUGE_BYTES = 2 << 20, PAGES = 4 * HUGE_BYTES / OS_PAGE };
    char *all = map_pages(PAGES + HUGE_BYTES / OS_PAGE);
    char *p = (char *)mo_align_up((uintptr_t)all, HUGE_BYTES);
    size_t before = huge_kib();
    if (madvise(p, PAGES * OS_PAGE, MADV_HUGEPAGE) != 0) skip();
    touch(p, PAGES);
    size_t with = huge_kib();
    assert_int_equal(mo_dirty_register((uintptr_t)p, PAGES * OS_PAGE), 0);
    assert_int_equal(arm(p, PAGES), 0);
    size_t armed = huge_kib();
    store(p, 700);
    assert_int_equal(take(p, PAGES), 0);
    print_message("huge pages, KiB: %zu; touched %zu; armed %zu; one store %zu\n", before, with,
                  armed, huge_kib());
    assert_pages(700);
    store(p, 700);
    store(p, 701);
    assert_int_equal(take(p, PAGES), 0);
    assert_pages(700, 701);
    mo_dirty_forget((uintptr_t)p, PAGES * OS_PAGE);
    munmap(all, (PAGES + HUGE_BYTES / OS_PAGE) * OS_PAGE);
}

/* ---------------------------------------------------------------- mappings of others */

static void a_foreign_mapping_makes_all_written(void **state) {
    (void)state;
    NEEDS_SUPPORT();
    char *p = map_armed(8);
    assert_true(mmap(p + 3 * OS_PAGE, OS_PAGE, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(i ? final(p, 8) : take(p, 8), -EPERM);
        assert_int_equal(num_seen, 8);
        assert_true(is_inside);
    }
    assert_int_equal(arm(p, 8), -EPERM);
    assert_int_equal(mo_dirty_register((uintptr_t)p, 8 * OS_PAGE), 0);
    assert_int_equal(arm(p, 8), 0);
    store(p, 3);
    assert_int_equal(take(p, 8), 0);
    assert_pages(3);
    unmap(p, 8);
}

static void a_hole_is_passed_over(void **state) {
    (void)state;
    NEEDS_SUPPORT();
    char *p = map_armed(8);
    munmap(p + 3 * OS_PAGE, 2 * OS_PAGE);
    store(p, 1);
    store(p, 6);
    assert_int_equal(take(p, 8), 0);
    assert_pages(1, 6);
    unmap(p, 8);
}

static void what_is_forgotten_is_refused(void **state) {
    (void)state;
    NEEDS_SUPPORT();
    char *p = map_armed(8);
    assert_int_equal(mo_dirty_forget((uintptr_t)p + 2 * OS_PAGE, 2 * OS_PAGE), 0);
    assert_int_equal(take(p, 8), -EPERM);
    assert_int_equal(num_seen, 8);
    assert_int_equal(take(p, 2), 0); /* the others are as before */
    assert_int_equal(take(p + 4 * OS_PAGE, 4), 0);
    store(p, 7);
    assert_int_equal(take(p + 4 * OS_PAGE, 4), 0);
    assert_pages(3);
    unmap(p, 8);
}

static void a_program_may_use_userfaultfd_itself(void **state) {
    (void)state;
    NEEDS_SUPPORT();
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | 1);
    assert_true(fd >= 0);
    struct api api = {.api = 0xAA};
    assert_int_equal(ioctl(fd, _IOWR(0xAA, 0x3F, struct api), &api), 0);
    char *theirs = map_pages(4), *ours = map_armed(4);
    struct reg reg = {(uintptr_t)theirs, 4 * OS_PAGE, 1, 0}; /* missing pages */
    assert_int_equal(ioctl(fd, _IOWR(0xAA, 0, struct reg), &reg), 0);
    assert_int_equal(mo_dirty_register((uintptr_t)theirs, 4 * OS_PAGE), -EBUSY);
    reg = (struct reg){(uintptr_t)ours, 4 * OS_PAGE, 1, 0};
    assert_int_equal(ioctl(fd, _IOWR(0xAA, 0, struct reg), &reg), -1);
    assert_int_equal(errno, EBUSY);
    store(ours, 2);
    assert_int_equal(take(ours, 4), 0);
    assert_pages(2);
    close(fd);
    munmap(theirs, 4 * OS_PAGE);
    unmap(ours, 4);
}

/* ---------------------------------------------------------------- fork */

static void child_looks_without_reopening(void *arg) {
    char *p = arg;
    store(p, 6);
    CHILD_EXPECT(take(p, 8) == -EBADF && num_seen == 8);
    CHILD_EXPECT(final(p, 8) == -EBADF && num_seen == 8);
    CHILD_EXPECT(arm(p, 8) == -EBADF);
    CHILD_EXPECT(mo_dirty_register((uintptr_t)p, OS_PAGE) == -EBADF);
    CHILD_EXPECT(mo_dirty_forget((uintptr_t)p, OS_PAGE) == -EBADF);
}

static void a_parent_tracks_on_after_fork(void **state) {
    (void)state;
    NEEDS_SUPPORT();
    char *p = map_armed(8);
    store(p, 1);
    expect_child_passes(child_looks_without_reopening, p);
    store(p, 3);
    assert_int_equal(take(p, 8), 0);
    assert_pages(1, 3);
    unmap(p, 8);
}

static void child_reopens(void *arg) {
    char *p = arg;
    CHILD_EXPECT(mo_dirty_after_fork_in_child() == 0);
    CHILD_EXPECT(take(p, 8) == 0 && num_seen == 8); /* nothing is armed */
    CHILD_EXPECT(arm(p, 8) == 0);
    store(p, 2);
    CHILD_EXPECT(take(p, 8) == 0 && num_seen == 1 && seen[2]);
    CHILD_EXPECT(take(p, 8) == 0 && num_seen == 0);
    char *more = map_armed(2);
    store(more, 1);
    CHILD_EXPECT(take(more, 2) == 0 && num_seen == 1 && seen[1]);
}

static void a_child_tracks_its_own_memory(void **state) {
    (void)state;
    NEEDS_SUPPORT();
    char *p = map_armed(8), *other = map_armed(4);
    store(p, 1);
    expect_child_passes(child_reopens, p);
    store(p, 5);
    assert_int_equal(take(p, 8), 0);
    assert_pages(1, 5);
    unmap(other, 4);
    unmap(p, 8);
}

static void child_opens(void *arg) {
    char *p = arg;
    int before = dup(0);
    close(before);
    CHILD_EXPECT(mo_dirty_open() == 0);
    int after = dup(0);
    close(after);
    CHILD_EXPECT(before == after); /* the parent's descriptors were closed */
    CHILD_EXPECT(take(p, 8) == -EPERM && num_seen == 8);
    CHILD_EXPECT(mo_dirty_register((uintptr_t)p, 8 * OS_PAGE) == 0 && arm(p, 8) == 0);
    store(p, 2);
    CHILD_EXPECT(take(p, 8) == 0 && num_seen == 1 && seen[2]);
}

static void a_child_may_open_afresh(void **state) {
    (void)state;
    NEEDS_SUPPORT();
    char *p = map_armed(8);
    expect_child_passes(child_opens, p);
    unmap(p, 8);
}

/* Holes and neighbours in the table of ranges: whatever it holds, a child must track it again. */
static void child_reopens_random(void *arg) {
    enum { PAGES = 64 };
    const uint8_t *is_registered = arg;
    char *p;
    memcpy(&p, is_registered + PAGES, sizeof p);
    CHILD_EXPECT(mo_dirty_after_fork_in_child() == 0);
    for (size_t i = 0; i < PAGES; i++)
        CHILD_EXPECT(arm(p + i * OS_PAGE, 1) == (is_registered[i] ? 0 : -EPERM));
}

static void any_set_of_ranges_survives_a_fork(void **state) {
    (void)state;
    NEEDS_SUPPORT();
    enum { PAGES = 64 };
    static uint8_t is_registered[PAGES + sizeof(char *)];
    mo_rand r;
    for (unsigned run = 0; run < test_runs(8); run++) {
        mo_rand_seed(&r, test_seed("any_set_of_ranges", run));
        char *p = map_pages(PAGES);
        memset(is_registered, 0, sizeof is_registered);
        memcpy(is_registered + PAGES, &p, sizeof p);
        for (int step = 0; step < 40; step++) {
            size_t at = mo_rand_below(&r, PAGES), num = 1 + mo_rand_below(&r, 12);
            bool is_new = mo_rand_below(&r, 2) == 0;
            num = mo_min(num, PAGES - at);
            uintptr_t lo = (uintptr_t)p + at * OS_PAGE;
            assert_int_equal(is_new ? mo_dirty_register(lo, num * OS_PAGE)
                                    : mo_dirty_forget(lo, num * OS_PAGE),
                             0);
            memset(is_registered + at, is_new, num);
        }
        expect_child_passes(child_reopens_random, is_registered);
        unmap(p, PAGES);
    }
}

static void thousands_of_ranges_are_kept(void **state) {
    (void)state;
    NEEDS_SUPPORT();
    enum { N = 1200 };
    char *p = map_pages(2 * N);
    for (size_t i = 0; i < N; i++)
        assert_int_equal(mo_dirty_register((uintptr_t)p + 2 * i * OS_PAGE, OS_PAGE), 0);
    unmap(p, 2 * N);
}

/* ---------------------------------------------------------------- who may */

static void track_as_nobody(void *arg) {
    (void)arg;
    if (getuid() == 0) {
        CHILD_EXPECT(setgroups(0, NULL) == 0 && setgid(65534) == 0 && setuid(65534) == 0);
        /* The descriptors opened before go on. */
        char *p = map_armed(4);
        store(p, 1);
        CHILD_EXPECT(take(p, 4) == 0 && num_seen == 1 && seen[1]);
        mo_dirty_close();
        /* A process that changed its user may not read its own /proc files until it says so. */
        CHILD_EXPECT(mo_dirty_open() == -EACCES);
        CHILD_EXPECT(strstr(mo_dirty_reason(), "/proc"));
        CHILD_EXPECT(prctl(PR_SET_DUMPABLE, 1) == 0);
    } else {
        mo_dirty_close();
    }
    CHILD_EXPECT(mo_dirty_open() == 0);
    char *p = map_armed(4);
    store(p, 2);
    CHILD_EXPECT(take(p, 4) == 0 && num_seen == 1 && seen[2]);
}

static void child_starts_afresh(void *arg) {
    CHILD_EXPECT(mo_dirty_after_fork_in_child() == 0);
    track_as_nobody(arg);
}

static void no_privilege_is_needed(void **state) {
    (void)state;
    NEEDS_SUPPORT();
    expect_child_passes(child_starts_afresh, NULL);
}

/* ---------------------------------------------------------------- refusals */

static int lowest_fd(void) {
    int fd = dup(0);
    close(fd);
    return fd;
}

/* Each call of opening is refused in turn, by each of these; 0: pretends success. */
static void a_refused_open_says_why(void **state) {
    (void)state;
    NEEDS_SUPPORT();
    static const int errs[] = {EPERM, ENOSYS, EINVAL, ENOMEM, EMFILE, 0};
    mo_dirty_close();
    assert_string_equal(mo_dirty_reason(), "closed");
    int fd = lowest_fd();
    mo_dirty_fault_at(0, 0);
    assert_int_equal(mo_dirty_open(), 0);
    uint64_t calls = mo_dirty_fault_count();
    assert_in_range(calls, 5, 16);
    for (size_t e = 0; e < sizeof errs / sizeof errs[0]; e++) {
        for (uint64_t n = 1; n <= calls; n++) {
            mo_dirty_close();
            mo_dirty_fault_at(n, errs[e]);
            errno = EXDEV;
            int result = mo_dirty_open();
            assert_int_equal(errno, EXDEV);
            mo_dirty_fault_at(0, 0);
            if (n == calls) { /* the probe's pages are unmapped anyway */
                assert_int_equal(result, 0);
                continue;
            }
            if (result >= 0) fail_msg("call %d with errno %d was not noticed", (int)n, errs[e]);
            assert_string_not_equal(mo_dirty_reason(), "open");
            if (e == 0) print_message("call %d refused: %s\n", (int)n, mo_dirty_reason());
            assert_int_equal(lowest_fd(), fd);
            assert_int_equal(mo_dirty_register(OS_PAGE, OS_PAGE), -EBADF);
            assert_int_equal(take((char *)OS_PAGE, 1), -EBADF);
            assert_int_equal(num_seen, 1);
        }
    }
    mo_dirty_close();
    mo_os_fault_from(1);
    assert_int_equal(mo_dirty_open(), -ENOMEM);
    assert_int_equal(mo_dirty_taker_init(&(mo_dirty_taker){NULL}), -ENOMEM);
    mo_os_fault_from(0);
    assert_int_equal(lowest_fd(), fd);
    assert_int_equal(mo_dirty_open(), 0);
    assert_int_equal(mo_dirty_open(), 0); /* again: no harm */
    assert_string_equal(mo_dirty_reason(), "open");
}

static void a_refused_registration_changes_nothing(void **state) {
    (void)state;
    NEEDS_SUPPORT();
    char *p = map_pages(8);
    mo_dirty_fault_at(1, ENOMEM);
    assert_int_equal(mo_dirty_register((uintptr_t)p, 8 * OS_PAGE), -ENOMEM);
    mo_dirty_fault_at(0, 0);
    assert_int_equal(arm(p, 8), -EPERM);
    assert_int_equal(mo_dirty_register((uintptr_t)p, 8 * OS_PAGE), 0);
    assert_int_equal(arm(p, 8), 0);
    mo_dirty_fault_at(1, EINVAL);
    assert_int_equal(mo_dirty_forget((uintptr_t)p, 8 * OS_PAGE), -EINVAL);
    mo_dirty_fault_at(0, 0);
    munmap(p, 8 * OS_PAGE);
}

/* The n-th scan of several is refused: whatever was stored is among what is reported, then or in
 * the calls before, and the next take goes on. */
static void a_refused_scan_loses_no_page(void **state) {
    (void)state;
    NEEDS_SUPPORT();
    enum { PAGES = 20000 };
    static const int errs[] = {EPERM, ENOMEM, EAGAIN};
    char *p = map_armed(PAGES);
    for (uint64_t n = 1; n <= 6; n++) {
        for (int is_final = 0; is_final < 2; is_final++) {
            for (size_t i = 0; i < PAGES; i += 3) store(p, i);
            mo_dirty_fault_at(n, errs[n % 3]);
            errno = EXDEV;
            int result = is_final ? final(p, PAGES) : take(p, PAGES);
            bool was_refused = mo_dirty_fault_count() >= n;
            mo_dirty_fault_at(0, 0);
            assert_int_equal(errno, EXDEV);
            assert_int_equal(result, was_refused ? -errs[n % 3] : 0);
            if (was_refused) assert_int_equal(num_seen, PAGES);
            for (size_t i = 0; i < PAGES; i += 3) assert_true(seen[i]);
        }
        assert_int_equal(take(p, PAGES), 0);
        store(p, 7);
        assert_int_equal(take(p, PAGES), 0);
        assert_pages(7);
    }
    mo_dirty_fault_from(1, EPERM);
    assert_int_equal(take(p, PAGES), -EPERM);
    assert_int_equal(num_seen, PAGES);
    mo_dirty_fault_from(0, 0);
    unmap(p, PAGES);
}

static void what_could_not_be_armed_is_reported(void **state) {
    (void)state;
    NEEDS_SUPPORT();
    enum { PAGES = 20000 };
    char *p = map_pages(PAGES);
    touch(p, PAGES);
    assert_int_equal(mo_dirty_register((uintptr_t)p, PAGES * OS_PAGE), 0);
    mo_dirty_fault_at(2, ENOMEM);
    assert_int_equal(arm(p, PAGES), -ENOMEM);
    mo_dirty_fault_at(0, 0);
    assert_int_equal(take(p, PAGES), 0);
    assert_in_range(num_seen, 1, PAGES - 1);
    for (size_t i = 1; i < PAGES; i++) assert_true(seen[i] >= seen[i - 1]); /* all behind */
    unmap(p, PAGES);
}

static void child_is_refused(void *arg) {
    char *p = arg;
    uint64_t n = (uint64_t)seen[0];
    mo_dirty_fault_at(n, EPERM);
    int result = mo_dirty_after_fork_in_child();
    bool was_probes_last = result == 0;
    mo_dirty_fault_at(0, 0);
    if (was_probes_last) return;
    CHILD_EXPECT(result < 0 && strcmp(mo_dirty_reason(), "open") != 0);
    CHILD_EXPECT(take(p, 8) == -EBADF && num_seen == 8);
    CHILD_EXPECT(mo_dirty_after_fork_in_child() == -EBADF);
    CHILD_EXPECT(mo_dirty_open() == 0);
    CHILD_EXPECT(mo_dirty_register((uintptr_t)p, 8 * OS_PAGE) == 0);
}

static void a_child_that_is_refused_is_closed(void **state) {
    (void)state;
    NEEDS_SUPPORT();
    char *p = map_armed(8);
    for (uint8_t n = 1; n < 14; n++) {
        seen[0] = n;
        expect_child_passes(child_is_refused, p);
    }
    store(p, 2);
    assert_int_equal(take(p, 8), 0);
    assert_pages(2);
    unmap(p, 8);
}

static void nothing_works_before_open(void **state) {
    (void)state;
    char page[OS_PAGE];
    char *p = (char *)mo_align_down((uintptr_t)page, OS_PAGE);
    mo_dirty_close();
    mo_dirty_close();
    assert_int_equal(mo_dirty_register((uintptr_t)p, OS_PAGE), -EBADF);
    assert_int_equal(mo_dirty_forget((uintptr_t)p, OS_PAGE), -EBADF);
    assert_int_equal(mo_dirty_after_fork_in_child(), -EBADF);
    assert_int_equal(arm(p, 1), -EBADF);
    assert_int_equal(final(p, 1), -EBADF);
    assert_int_equal(num_seen, 1);
    if (is_supported) assert_int_equal(mo_dirty_open(), 0);
}

/* ---------------------------------------------------------------- several at once */

enum { SIDE_PAGES = 2000 };

typedef struct side {
    test_errors *errors;
    char *p;
    uint8_t is_stored[SIDE_PAGES], is_reported[SIDE_PAGES];
    uint64_t seed;
} side;

static void note_side(void *arg, uintptr_t lo, uintptr_t hi) {
    side *s = arg;
    memset(s->is_reported + (lo - (uintptr_t)s->p) / OS_PAGE, 1, (hi - lo) / OS_PAGE);
}

static void *take_own_side(void *arg) {
    side *s = arg;
    mo_dirty_taker own;
    mo_rand r;
    mo_rand_seed(&r, s->seed);
    if (mo_dirty_taker_init(&own) != 0) test_error(s->errors, "no taker");
    for (uint64_t round = 0; round < test_steps(100) && !test_has_error(s->errors); round++) {
        memset(s->is_stored, 0, SIDE_PAGES);
        memset(s->is_reported, 0, SIDE_PAGES);
        for (int i = 0; i < SIDE_PAGES; i++) {
            size_t page = mo_rand_below(&r, SIDE_PAGES);
            store(s->p, page);
            s->is_stored[page] = 1;
        }
        int result = mo_dirty_take(&own, (uintptr_t)s->p, SIDE_PAGES * OS_PAGE, note_side, s);
        if (result != 0 || memcmp(s->is_stored, s->is_reported, SIDE_PAGES) != 0)
            test_error(s->errors, "round %d: result %d, or wrong pages", (int)round, result);
    }
    mo_dirty_taker_fini(&own);
    return NULL;
}

/* Each on its own range, which lie side by side, while a third registers and forgets. */
static void takers_do_not_disturb_each_other(void **state) {
    (void)state;
    NEEDS_SUPPORT();
    static side sides[2];
    test_errors errors = {0};
    char *p = map_armed(2 * SIDE_PAGES), *q = map_pages(64);
    pthread_t thread[2];
    for (int i = 0; i < 2; i++) {
        sides[i] = (side){.errors = &errors,
                          .p = p + (size_t)i * SIDE_PAGES * OS_PAGE,
                          .seed = test_seed("takers", (unsigned)i + 1)};
        assert_int_equal(pthread_create(&thread[i], NULL, take_own_side, &sides[i]), 0);
    }
    for (unsigned n = 0; n < 2000; n++) {
        uintptr_t lo = (uintptr_t)q + n % 60 * OS_PAGE;
        if (mo_dirty_register(lo, 3 * OS_PAGE) != 0) test_error(&errors, "register");
        if (mo_dirty_forget(lo, 3 * OS_PAGE) != 0) test_error(&errors, "forget");
    }
    for (int i = 0; i < 2; i++) pthread_join(thread[i], NULL);
    assert_no_errors(&errors);
    munmap(q, 64 * OS_PAGE);
    unmap(p, 2 * SIDE_PAGES);
}

/* ---------------------------------------------------------------- the oracle */

enum {
    ORACLE_PAGES = 8192,
    HOT_PAGES = ORACLE_PAGES / 64,
    WINDOW_PAGES = ORACLE_PAGES / 16,
    WORDS = OS_PAGE / 8
};

/* Where is stored: all over, or in a window that moves slowly, so that what was lost behind it
 * stays lost; one store in eight goes to a few hot pages, always. */
typedef enum oracle_pattern { UNIFORM, WINDOW } oracle_pattern;

typedef struct oracle {
    uint64_t *words, *copy;
    oracle_pattern pattern;
    uint32_t is_over;
    uint64_t num_stores, num_copied;
} oracle;

typedef struct oracle_writer {
    oracle *o;
    uint64_t id;
} oracle_writer;

static void *write_words(void *arg) {
    oracle_writer *w = arg;
    mo_rand r;
    mo_rand_seed(&r, w->id);
    uint64_t num = 0;
    while (!__atomic_load_n(&w->o->is_over, __ATOMIC_RELAXED)) {
        size_t window = num / 512 % ORACLE_PAGES;
        for (int i = 0; i < 64; i++) {
            uint64_t x = mo_rand_next(&r), page = x >> 20;
            if (x % 8 == 0)
                page %= HOT_PAGES;
            else if (w->o->pattern == UNIFORM)
                page %= ORACLE_PAGES;
            else
                page = (window + page % WINDOW_PAGES) % ORACLE_PAGES;
            uint64_t *word = &w->o->words[page * WORDS + (x >> 8) % WORDS];
            __atomic_store_n(word, ++num << 8 | w->id, __ATOMIC_RELAXED);
        }
    }
    __atomic_fetch_add(&w->o->num_stores, num, __ATOMIC_RELAXED);
    return NULL;
}

static void copy_words(void *arg, uintptr_t lo, uintptr_t hi) {
    oracle *o = arg;
    size_t first = (lo - (uintptr_t)o->words) / 8, last = (hi - (uintptr_t)o->words) / 8;
    for (size_t i = first; i < last; i++)
        o->copy[i] = __atomic_load_n(&o->words[i], __ATOMIC_RELAXED);
    if ((o->num_copied += (hi - lo) / OS_PAGE) % 64 == 0) sched_yield(); /* let them store */
}

static void copy_nothing(void *arg, uintptr_t lo, uintptr_t hi) {
    (void)arg;
    (void)lo;
    (void)hi;
}

enum { WRONG_ORDER = 1, HUGE = 2, FRESH = 4 };

/* The words that differ in the end. WRONG_ORDER: copies what is reported, and only then arms. */
static size_t run_oracle(double seconds, oracle_pattern pattern, unsigned how) {
    bool is_wrong = how & WRONG_ORDER, is_huge = how & HUGE, is_fresh = how & FRESH;
    size_t bytes = (size_t)ORACLE_PAGES * OS_PAGE, num_wrong = 0;
    oracle o = {.words = (uint64_t *)map_pages(ORACLE_PAGES),
                .copy = (uint64_t *)map_pages(ORACLE_PAGES),
                .pattern = pattern};
    if (is_huge) madvise(o.words, bytes, MADV_HUGEPAGE);
    if (!is_fresh) touch((char *)o.words, ORACLE_PAGES);
    uintptr_t lo = (uintptr_t)o.words;
    assert_int_equal(mo_dirty_register(lo, bytes), 0);
    pthread_t thread[2];
    oracle_writer w[2] = {{&o, 1}, {&o, 2}};
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, write_words, &w[i]), 0);
    assert_int_equal(mo_dirty_arm(lo, bytes), 0);
    copy_words(&o, lo, lo + bytes); /* the mark: after the arming */
    struct timespec begin, now;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    unsigned rounds = 0;
    do {
        if (is_wrong) {
            assert_int_equal(mo_dirty_final(&taker, lo, bytes, copy_words, &o), 0);
            usleep(500);
            assert_int_equal(mo_dirty_take(&taker, lo, bytes, copy_nothing, &o), 0);
        } else {
            assert_int_equal(mo_dirty_take(&taker, lo, bytes, copy_words, &o), 0);
        }
        rounds++;
        usleep(500);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((double)(now.tv_sec - begin.tv_sec) + (double)(now.tv_nsec - begin.tv_nsec) / 1e9 <
             seconds);
    __atomic_store_n(&o.is_over, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < 2; i++) pthread_join(thread[i], NULL); /* the stop */
    assert_int_equal(mo_dirty_final(&taker, lo, bytes, copy_words, &o), 0);
    for (size_t i = 0; i < bytes / 8; i++) num_wrong += o.words[i] != o.copy[i];
    print_message("oracle, %s%s%s%s: %u rounds, %llu stores, %llu pages copied, %zu words differ\n",
                  pattern == WINDOW ? "window" : "uniform", is_wrong ? ", wrong order" : "",
                  is_huge ? ", huge" : "", is_fresh ? ", fresh" : "", rounds,
                  (unsigned long long)o.num_stores, (unsigned long long)o.num_copied, num_wrong);
    mo_dirty_forget(lo, bytes);
    munmap(o.words, bytes);
    munmap(o.copy, bytes);
    return num_wrong;
}

static void a_copy_of_what_is_reported_is_true(void **state) {
    (void)state;
    NEEDS_SUPPORT();
    assert_int_equal(run_oracle(1.0, UNIFORM, 0), 0);
    assert_int_equal(run_oracle(1.0, WINDOW, 0), 0);
    assert_int_equal(run_oracle(0.5, UNIFORM, FRESH), 0);
    assert_int_equal(run_oracle(0.5, WINDOW, FRESH), 0);
    assert_int_equal(run_oracle(0.5, UNIFORM, HUGE), 0);
    assert_int_equal(run_oracle(0.5, WINDOW, HUGE), 0);
}

/* The control: the oracle can see a loss. */
static void a_copy_in_the_wrong_order_is_not(void **state) {
    (void)state;
    NEEDS_SUPPORT();
    size_t num_wrong = 0;
    for (int i = 0; i < 10 && num_wrong == 0; i++) num_wrong = run_oracle(0.5, WINDOW, WRONG_ORDER);
    assert_true(num_wrong > 0);
}

/* ---------------------------------------------------------------- the kernel writes */

/* A file of pages filled with the byte, opened for direct reading; -1: not to be had here. */
static int open_direct(size_t pages, char byte) {
    char path[] = "dirty_pages_test_XXXXXX", block[OS_PAGE];
    int fd = mkstemp(path);
    if (fd < 0) return -1;
    memset(block, byte, sizeof block);
    for (size_t i = 0; i < pages; i++) {
        if (write(fd, block, sizeof block) != sizeof block) break;
    }
    fsync(fd);
    close(fd);
    fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
    unlink(path);
    return fd;
}

static void a_direct_read_that_is_over_is_reported(void **state) {
    (void)state;
    NEEDS_SUPPORT();
    int fd = open_direct(8, 'd');
    if (fd < 0) skip();
    char *p = map_armed(16), *q = map_pages(8);
    assert_int_equal(mo_dirty_register((uintptr_t)q, 8 * OS_PAGE), 0);
    assert_int_equal(arm(q, 8), 0); /* without memory */
    if (pread(fd, p + 2 * OS_PAGE, 3 * OS_PAGE, 0) != 3 * OS_PAGE) skip();
    assert_int_equal(take(p, 16), 0);
    assert_pages(2, 3, 4);
    assert_int_equal(pread(fd, q + OS_PAGE, 2 * OS_PAGE, 0), 2 * OS_PAGE);
    assert_int_equal(take(q, 8), 0);
    assert_pages(1, 2);
    assert_int_equal(q[2 * OS_PAGE], 'd');
    close(fd);
    unmap(p, 16);
    unmap(q, 8);
}

enum { DIRECT_PAGES = 1024, DIRECT_READ_PAGES = 128 };

typedef struct direct_reader {
    char *buf;
    int fd[2];
    uint32_t is_over;
    unsigned num_reads;
} direct_reader;

static void *read_directly(void *arg) {
    direct_reader *d = arg;
    while (!__atomic_load_n(&d->is_over, __ATOMIC_ACQUIRE)) {
        unsigned n = d->num_reads++;
        char *to =
            d->buf + n * 5 % (DIRECT_PAGES / DIRECT_READ_PAGES) * DIRECT_READ_PAGES * OS_PAGE;
        if (pread(d->fd[n / 8 & 1], to, DIRECT_READ_PAGES * OS_PAGE, 0) <= 0) break;
    }
    return NULL;
}

static void copy_pages(void *arg, uintptr_t lo, uintptr_t hi) {
    char **bufs = arg;
    memcpy(bufs[1] + (lo - (uintptr_t)bufs[0]), (void *)lo, hi - lo);
}

/* No assertion about what is lost: docs/design/barrier.md says what follows from it. */
static void direct_reads_in_flight_are_counted(void **state) {
    (void)state;
    NEEDS_SUPPORT();
    if (TEST_SANITIZED) skip(); /* the copy races with the device */
    direct_reader d = {
        .fd = {open_direct(DIRECT_READ_PAGES, 'a'), open_direct(DIRECT_READ_PAGES, 'b')}};
    if (d.fd[0] < 0 || d.fd[1] < 0) skip();
    d.buf = map_armed(DIRECT_PAGES);
    char *bufs[2] = {d.buf, map_pages(DIRECT_PAGES)};
    memcpy(bufs[1], d.buf, DIRECT_PAGES * OS_PAGE);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, read_directly, &d), 0);
    for (int i = 0; i < 400; i++) {
        mo_dirty_take(&taker, (uintptr_t)d.buf, DIRECT_PAGES * OS_PAGE, copy_pages, bufs);
        usleep(1000);
    }
    __atomic_store_n(&d.is_over, 1, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    mo_dirty_final(&taker, (uintptr_t)d.buf, DIRECT_PAGES * OS_PAGE, copy_pages, bufs);
    unsigned lost = 0;
    for (size_t i = 0; i < DIRECT_PAGES; i++)
        lost += memcmp(bufs[0] + i * OS_PAGE, bufs[1] + i * OS_PAGE, OS_PAGE) != 0;
    print_message("direct reads in flight: %u reads, %u of %u pages stale in the end\n",
                  d.num_reads, lost, (unsigned)DIRECT_PAGES);
    munmap(bufs[1], DIRECT_PAGES * OS_PAGE);
    unmap(d.buf, DIRECT_PAGES);
    close(d.fd[0]);
    close(d.fd[1]);
}

#if HAS_URING_HEADER
typedef struct ring {
    int fd;
    char *sq, *cq;
    struct io_uring_params params;
    struct io_uring_sqe *sqes;
} ring;

static bool ring_open(ring *r) {
    memset(r, 0, sizeof *r);
    r->fd = (int)syscall(SYS_io_uring_setup, 4, &r->params);
    if (r->fd < 0) return false;
    struct io_uring_params *p = &r->params;
    r->sq = mmap(NULL, p->sq_off.array + p->sq_entries * sizeof(uint32_t), PROT_READ | PROT_WRITE,
                 MAP_SHARED, r->fd, IORING_OFF_SQ_RING);
    r->cq = mmap(NULL, p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe),
                 PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, IORING_OFF_CQ_RING);
    r->sqes = mmap(NULL, p->sq_entries * sizeof *r->sqes, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd,
                   IORING_OFF_SQES);
    return r->sq != MAP_FAILED && r->cq != MAP_FAILED && r->sqes != MAP_FAILED;
}

static void ring_submit_read(ring *r, bool is_fixed, int fd, char *to, unsigned bytes) {
    uint32_t *tail = (uint32_t *)(r->sq + r->params.sq_off.tail);
    uint32_t mask = *(uint32_t *)(r->sq + r->params.sq_off.ring_mask);
    uint32_t idx = *tail & mask;
    r->sqes[idx] = (struct io_uring_sqe){.opcode = is_fixed ? IORING_OP_READ_FIXED : IORING_OP_READ,
                                         .fd = fd,
                                         .addr = (uintptr_t)to,
                                         .len = bytes};
    ((uint32_t *)(r->sq + r->params.sq_off.array))[idx] = idx;
    __atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
    assert_int_equal(syscall(SYS_io_uring_enter, r->fd, 1, 0, 0, NULL, 0), 1);
}

static int ring_wait(ring *r) {
    uint32_t *head = (uint32_t *)(r->cq + r->params.cq_off.head);
    uint32_t *tail = (uint32_t *)(r->cq + r->params.cq_off.tail);
    uint32_t mask = *(uint32_t *)(r->cq + r->params.cq_off.ring_mask);
    while (__atomic_load_n(tail, __ATOMIC_ACQUIRE) == *head)
        syscall(SYS_io_uring_enter, r->fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0);
    struct io_uring_cqe *cqes = (struct io_uring_cqe *)(r->cq + r->params.cq_off.cqes);
    int result = cqes[*head & mask].res;
    __atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
    return result;
}

static size_t pinned_kib(void) {
    size_t kib = 0, one;
    char line[256];
    FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmPin: %zu", &one) == 1) kib = one;
    if (f) fclose(f);
    return kib;
}

/* A read that waits while the pages are armed, and then finds its data. */
static void io_uring_reads_are_reported_unless_pinned(void **state) {
    (void)state;
    NEEDS_SUPPORT();
    ring r;
    if (!ring_open(&r)) skip();
    char data[100] = {'u'};
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    char *p = map_armed(8);
    ring_submit_read(&r, false, fds[0], p + OS_PAGE, sizeof data);
    assert_int_equal(take(p, 8), 0);
    assert_int_equal(write(fds[1], data, sizeof data), sizeof data);
    assert_int_equal(ring_wait(&r), sizeof data);
    assert_int_equal(take(p, 8), 0);
    assert_pages(1);

    struct iovec buf = {p, 8 * OS_PAGE};
    assert_int_equal(pinned_kib(), 0);
    if (syscall(SYS_io_uring_register, r.fd, IORING_REGISTER_BUFFERS, &buf, 1) == 0) {
        assert_int_equal(take(p, 8), 0);
        print_message("fixed buffer of 8 armed pages: %u written by pinning; VmPin %zu KiB\n",
                      num_seen, pinned_kib());
        assert_int_equal(num_seen, 8);
        assert_int_equal(pinned_kib(), 32);
        ring_submit_read(&r, true, fds[0], p + OS_PAGE, sizeof data);
        data[0] = 'v';
        assert_int_equal(write(fds[1], data, sizeof data), sizeof data);
        assert_int_equal(ring_wait(&r), sizeof data);
        assert_int_equal(p[OS_PAGE], 'v');
        assert_int_equal(take(p, 8), 0);
        /* No assertion: this is the limit that docs/design/barrier.md writes about. */
        print_message("read into a fixed buffer: %u pages reported\n", num_seen);
    }
    close(r.fd);
    close(fds[0]);
    close(fds[1]);
    munmap(r.sqes, r.params.sq_entries * sizeof *r.sqes);
    unmap(p, 8);
}
#else
static void io_uring_reads_are_reported_unless_pinned(void **state) {
    (void)state;
    skip();
}
#endif

/* ---------------------------------------------------------------- main */

static int set_up(void **state) {
    (void)state;
    int result = mo_dirty_open();
    is_supported = result == 0;
    print_message("dirty pages: %s (%d)\n", mo_dirty_reason(), result);
    if (kernel_has_it() != is_supported) return -1;
    return mo_dirty_taker_init(&taker);
}

static int tear_down(void **state) {
    (void)state;
    mo_dirty_taker_fini(&taker);
    mo_dirty_close();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_store_is_reported_once_until_the_next),
        cmocka_unit_test(final_reports_and_leaves_it_reported),
        cmocka_unit_test(a_part_of_a_range_is_taken_alone),
        cmocka_unit_test(what_is_not_armed_counts_as_written),
        cmocka_unit_test(pages_without_memory_are_armed_too),
        cmocka_unit_test(any_number_of_runs_is_reported),
        cmocka_unit_test(random_stores_are_reported_exactly),
        cmocka_unit_test(system_calls_fill_armed_pages_and_are_reported),
        cmocka_unit_test(pages_given_back_are_reported),
        cmocka_unit_test(protection_changes_keep_pages_armed),
        cmocka_unit_test(of_a_huge_page_only_the_stored_page_is_reported),
        cmocka_unit_test(a_foreign_mapping_makes_all_written),
        cmocka_unit_test(a_hole_is_passed_over),
        cmocka_unit_test(what_is_forgotten_is_refused),
        cmocka_unit_test(a_program_may_use_userfaultfd_itself),
        cmocka_unit_test(a_parent_tracks_on_after_fork),
        cmocka_unit_test(a_child_tracks_its_own_memory),
        cmocka_unit_test(a_child_may_open_afresh),
        cmocka_unit_test(any_set_of_ranges_survives_a_fork),
        cmocka_unit_test(thousands_of_ranges_are_kept),
        cmocka_unit_test(no_privilege_is_needed),
        cmocka_unit_test(a_refused_open_says_why),
        cmocka_unit_test(a_refused_registration_changes_nothing),
        cmocka_unit_test(a_refused_scan_loses_no_page),
        cmocka_unit_test(what_could_not_be_armed_is_reported),
        cmocka_unit_test(a_child_that_is_refused_is_closed),
        cmocka_unit_test(nothing_works_before_open),
        cmocka_unit_test(takers_do_not_disturb_each_other),
        cmocka_unit_test(a_copy_of_what_is_reported_is_true),
        cmocka_unit_test(a_copy_in_the_wrong_order_is_not),
        cmocka_unit_test(a_direct_read_that_is_over_is_reported),
        cmocka_unit_test(direct_reads_in_flight_are_counted),
        cmocka_unit_test(io_uring_reads_are_reported_unless_pinned),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
