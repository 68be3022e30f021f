/* environment_test.c - the MOUND_* variables, and starting under limits that are too small.
 *
 * This process itself never starts mound: each case is a child that does.
 */
#include "support.h"

#include <limits.h>

#include "mound.h"

static void *volatile sink;

typedef struct setting {
    const char *name, *value;
} setting;

static void start(void *arg) {
    const setting *s = arg;
    if (s->name) setenv(s->name, s->value, 1);
    sink = mound_alloc(10); /* implicitly */
    mound_gc();
}

static void start_by_init(void *arg) {
    const setting *s = arg;
    if (s->name) setenv(s->name, s->value, 1);
    int result = mound_init();
    _exit(result == 0 ? 0 : result == -EINVAL ? 10 : result == -ENOMEM ? 11 : 12);
}

/* One line, which names the variable with its value and says what may stand there. */
static void expect_refused(const char *name, const char *value, const char *part) {
    setting s = {name, value};
    test_death d = test_die(start_by_init, &s);
    if (test_exit_status(&d) != 10) {
        print_error("%s=%s: wait status 0x%x, stderr \"%s\"\n", name, value, (unsigned)d.status,
                    d.text);
        fail();
    }
    test_expect_text(&d, name, __FILE__, __LINE__);
    test_expect_text(&d, "; ", __FILE__, __LINE__);
    test_expect_text(&d, part, __FILE__, __LINE__);
    assert_ptr_equal(strchr(d.text, '\n'), d.text + strlen(d.text) - 1); /* one line */
    d = test_die(start, &s);
    if (test_exit_status(&d) != 2) {
        print_error("%s=%s, started implicitly: wait status 0x%x, stderr \"%s\"\n", name, value,
                    (unsigned)d.status, d.text);
        fail();
    }
    test_expect_text(&d, part, __FILE__, __LINE__);
}

static void expect_accepted(const char *name, const char *value) {
    setting s = {name, value};
    test_death d = test_die(start, &s);
    if (test_exit_status(&d) != 0) {
        print_error("%s=%s: wait status 0x%x, stderr \"%s\"\n", name, value, (unsigned)d.status,
                    d.text);
        fail();
    }
}

static void gogc(void **state) {
    (void)state;
    static const char *const bad[] = {"abc",  "-1", "100%",       "1e2",
                                      "0x10", " 5", "2147483648", "99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect_refused("MOUND_GOGC", bad[i], "use a percentage such as 100, or off");
    static const char *const good[] = {"", "0", "1", "100", "off", "2147483647"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        expect_accepted("MOUND_GOGC", good[i]);
}

static void gogc_is_what_set_gc_percent_returns_child(void *arg) {
    setenv("MOUND_GOGC", arg ? "37" : "off", 1);
    _exit(mound_set_gc_percent(100) == (arg ? 37 : -1) ? 0 : 1);
}

static void gogc_takes_effect(void **state) {
    (void)state;
    for (uintptr_t i = 0; i < 2; i++) {
        test_death d = test_die(gogc_is_what_set_gc_percent_returns_child, (void *)i);
        assert_int_equal(test_exit_status(&d), 0);
    }
}

/* os is accepted where the system helps, and refused with the reason where it does not. */
static void barrier(void **state) {
    (void)state;
    static const char *const bad[] = {"abc", "OS", "1", "none,os"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect_refused("MOUND_BARRIER", bad[i], "use auto, os or none");
    expect_accepted("MOUND_BARRIER", "none");
    expect_accepted("MOUND_BARRIER", "auto");
    expect_accepted("MOUND_BARRIER", "");
    setting s = {"MOUND_BARRIER", "os"};
    test_death d = test_die(start, &s);
    if (test_exit_status(&d) == 0) return;
    assert_int_equal(test_exit_status(&d), 2);
    test_expect_text(&d, "MOUND_BARRIER=os: ", __FILE__, __LINE__);
    test_expect_text(&d, "; use none", __FILE__, __LINE__);
}

static void debug(void **state) {
    (void)state;
    static const char *const bad[] = {"nonsense",
                                      "gctrace",
                                      "gctrace=",
                                      "gctrace=2",
                                      "gctrace=x",
                                      "gctrace=1,bogus=1",
                                      "=1",
                                      "gcstress=-1",
                                      "verify=yes",
                                      "GCTRACE=1",
                                      "seed=99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect_refused("MOUND_DEBUG", bad[i], "key=number");
    static const char *const good[] = {"",
                                       "gctrace=1",
                                       "gctrace=0,",
                                       "gcstress=50,verify=1",
                                       "scribble=1,gccheckmark=1",
                                       "seed=9223372036854775807",
                                       "inittrace=1",
                                       "sysfault=0",
                                       "heapend=1"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        expect_accepted("MOUND_DEBUG", good[i]);
}

static void the_message_quotes_the_part_that_is_wrong(void **state) {
    (void)state;
    expect_refused("MOUND_DEBUG", "verify=1,bogus=3,gctrace=1", "\"bogus=3\"");
    expect_refused("MOUND_GOGC", "abc", "MOUND_GOGC=abc");
    expect_refused("MOUND_SIGNAL", "9", "MOUND_SIGNAL=9");
    expect_refused("MOUND_GCWORKERS", "0", "MOUND_GCWORKERS=0");
}

static void signals(void **state) {
    (void)state;
    static const char *const bad[] = {"9", "19", "11", "0", "-3", "abc", "65", "1000", "32"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect_refused("MOUND_SIGNAL", bad[i], "signal");
    static const char *const good[] = {"", "10", "23", "40"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        expect_accepted("MOUND_SIGNAL", good[i]);
}

static void processors_and_stacks_are_read_or_refused(void **state) {
    (void)state;
    static const char *const bad[] = {"0", "-1", "513", "1000000000", "two", "1.5"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect_refused("MOUND_MAXPROCS", bad[i], "use 1 to 512");
    expect_accepted("MOUND_MAXPROCS", "1");
    expect_accepted("MOUND_MAXPROCS", "512");
    static const char *const no_stack[] = {"0", "4096", "63KiB", "2GiB", "big", "1e6"};
    for (size_t i = 0; i < sizeof no_stack / sizeof no_stack[0]; i++)
        expect_refused("MOUND_STACK", no_stack[i], "use a size from 64KiB to 1GiB");
    expect_accepted("MOUND_STACK", "64KiB");
    expect_accepted("MOUND_STACK", "1GiB");
}

static void gcworkers(void **state) {
    (void)state;
    static const char *const bad[] = {"0", "65", "-1", "two", "1.5"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect_refused("MOUND_GCWORKERS", bad[i], "use 1 to 64");
    static const char *const good[] = {"", "1", "64"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        expect_accepted("MOUND_GCWORKERS", good[i]);
}

static void long_values_are_cut(void **state) {
    (void)state;
    char *text = malloc(5001);
    memset(text, 'x', 5000);
    text[5000] = '\0';
    static const char *const names[] = {"MOUND_GOGC", "MOUND_DEBUG", "MOUND_SIGNAL",
                                        "MOUND_GCWORKERS"};
    for (int i = 0; i < 4; i++) expect_refused(names[i], text, "xxxxxxxx");
    free(text);
}

static void repaired(void *arg) {
    (void)arg;
    setenv("MOUND_GOGC", "abc", 1);
    if (mound_init() != -EINVAL || mound_init() != -EINVAL) _exit(3);
    setenv("MOUND_GOGC", "100", 1);
    if (mound_init() != 0) _exit(4);
    sink = mound_alloc(1000);
    mound_gc();
}

static void a_failed_init_may_be_repeated(void **state) {
    (void)state;
    test_death d = test_die(repaired, NULL);
    assert_int_equal(test_exit_status(&d), 0);
}

static void starts_with_one_line(void *arg) {
    (void)arg;
    setenv("MOUND_GOGC", "abc", 1);
    sink = mound_alloc(10);
}

static void starting_implicitly_prints_one_line(void **state) {
    (void)state;
    assert_fatal(starts_with_one_line, NULL, "MOUND_GOGC=abc");
}

/* ---------------------------------------------------------------- limits */

static void limit_address_space(size_t bytes) {
    struct rlimit l;
    getrlimit(RLIMIT_AS, &l);
    l.rlim_cur = bytes;
    setrlimit(RLIMIT_AS, &l);
}

static void unlimit_address_space(void) {
    struct rlimit l;
    getrlimit(RLIMIT_AS, &l);
    l.rlim_cur = l.rlim_max;
    setrlimit(RLIMIT_AS, &l);
}

static void init_under(void *arg) {
    limit_address_space((size_t)(uintptr_t)arg);
    int result = mound_init();
    _exit(result == 0 ? 0 : result == -EINVAL ? 10 : result == -ENOMEM ? 11 : 12);
}

static void alloc_under(void *arg) {
    limit_address_space((size_t)(uintptr_t)arg);
    sink = mound_alloc(10);
}

static void init_again_with_more(void *arg) {
    mound_mem_stats s = {.struct_bytes = sizeof s};
    for (int i = 0; i < 5; i++) {
        limit_address_space((size_t)(uintptr_t)arg);
        if (mound_init() != -ENOMEM) _exit(20);
    }
    unlimit_address_space();
    if (mound_init() != 0) _exit(21);
    for (int i = 0; i < 10000; i++) sink = mound_alloc(1000);
    mound_gc();
    mound_read_mem_stats(&s);
    if (s.metadata_bytes > (size_t)1 << 30) {
        fprintf(stderr, "metadata_bytes = %llu\n", (unsigned long long)s.metadata_bytes);
        _exit(22);
    }
}

static bool limits_work(void) {
    if (!TEST_SANITIZED) return true;
    print_message("skipped: a sanitizer needs the address space for itself\n");
    return false;
}

static void an_address_space_too_small_to_start(void **state) {
    (void)state;
    if (!limits_work()) skip();
    static const size_t limits[] = {(size_t)64 << 20, (size_t)1 << 30, (size_t)3 << 30};
    for (int i = 0; i < 3; i++) {
        test_death d = test_die(init_under, (void *)limits[i]);
        assert_int_equal(test_exit_status(&d), 11);
        char value[64];
        snprintf(value, sizeof value, "RLIMIT_AS = %zu MiB", limits[i] >> 20);
        test_expect_text(&d, value, __FILE__, __LINE__);
        test_expect_text(&d, "raise it", __FILE__, __LINE__);
        assert_fatal(alloc_under, (void *)limits[i], "raise it");
        d = test_die(init_again_with_more, (void *)limits[i]);
        if (test_exit_status(&d) != 0) fail_msg("wait status 0x%x: %s", (unsigned)d.status, d.text);
    }
}

static void work_under(void *arg) {
    limit_address_space((size_t)(uintptr_t)arg);
    if (mound_init() != 0) _exit(20);
    void **keep = mound_alloc(1000 * sizeof *keep);
    for (int i = 0; i < 200000; i++) keep[i % 1000] = mound_alloc(500);
    mound_gc();
    mound_mem_stats s = {.struct_bytes = sizeof s};
    mound_read_mem_stats(&s);
    if (s.metadata_bytes > (size_t)1 << 30) {
        fprintf(stderr, "metadata_bytes = %llu\n", (unsigned long long)s.metadata_bytes);
        _exit(22);
    }
    mound_keep_alive(keep);
}

static void a_smaller_reservation_is_taken_where_a_limit_refuses(void **state) {
    (void)state;
    if (!limits_work()) skip();
    static const size_t limits[] = {(size_t)6 << 30, (size_t)100 << 30, (size_t)1100 << 30};
    for (int i = 0; i < 3; i++) {
        test_death d = test_die(work_under, (void *)limits[i]);
        if (test_exit_status(&d) != 0)
            fail_msg("under %zu GiB: wait status 0x%x: %s", limits[i] >> 30, (unsigned)d.status,
                     d.text);
    }
}

int main(void) {
    unsetenv("MOUND_DEBUG");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(processors_and_stacks_are_read_or_refused),
        cmocka_unit_test(gogc),
        cmocka_unit_test(gogc_takes_effect),
        cmocka_unit_test(barrier),
        cmocka_unit_test(debug),
        cmocka_unit_test(the_message_quotes_the_part_that_is_wrong),
        cmocka_unit_test(signals),
        cmocka_unit_test(gcworkers),
        cmocka_unit_test(long_values_are_cut),
        cmocka_unit_test(a_failed_init_may_be_repeated),
        cmocka_unit_test(starting_implicitly_prints_one_line),
        cmocka_unit_test(an_address_space_too_small_to_start),
        cmocka_unit_test(a_smaller_reservation_is_taken_where_a_limit_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
