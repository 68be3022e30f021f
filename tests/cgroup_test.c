/* cgroup_test.c - a control group's limits are found, in both versions, also above it. */
#include "support.h"

#include <sys/stat.h>

#include "sys/cgroup.h"

static char dir[64];

static void put(const char *path, const char *text) {
    char full[512];
    snprintf(full, sizeof full, "%s/%s", dir, path);
    for (char *p = full + strlen(dir) + 1; *p; p++) {
        if (*p != '/') continue;
        *p = '\0';
        mkdir(full, 0700);
        *p = '/';
    }
    FILE *f = fopen(full, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int fresh_dir(void **state) {
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/cgroup_test.XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state) {
    (void)state;
    char command[128];
    mo_cgroup_look_in(NULL, NULL);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static int64_t limit(void) {
    static char self[128], mount[128];
    snprintf(self, sizeof self, "%s/self", dir);
    snprintf(mount, sizeof mount, "%s/fs", dir);
    mo_cgroup_look_in(mount, self);
    errno = 77;
    int64_t found = mo_cgroup_memory_limit();
    assert_int_equal(errno, 77);
    return found;
}

static void the_limit_of_the_own_group_is_found(void **state) {
    (void)state;
    put("self", "0::/system.slice/job.service\n");
    put("fs/system.slice/job.service/memory.max", "268435456\n");
    put("fs/system.slice/memory.max", "max\n");
    assert_int_equal(limit(), 268435456);
}

static void a_smaller_limit_above_counts(void **state) {
    (void)state;
    put("self", "0::/a/b/c\n");
    put("fs/a/b/c/memory.max", "max\n");
    put("fs/a/b/memory.max", "900000000\n");
    put("fs/a/memory.max", "700000000\n");
    put("fs/memory.max", "800000000\n");
    assert_int_equal(limit(), 700000000);
}

static void version_1_is_read_too(void **state) {
    (void)state;
    put("self", "12:cpu,cpuacct:/x\n4:memory:/docker/abc\n0::/\n");
    put("fs/memory/docker/abc/memory.limit_in_bytes", "536870912\n");
    put("fs/memory/memory.limit_in_bytes", "9223372036854771712\n");
    assert_int_equal(limit(), 536870912);
}

static void none_is_none(void **state) {
    (void)state;
    assert_int_equal(limit(), INT64_MAX); /* not even a file that says which group */
    put("self", "");
    assert_int_equal(limit(), INT64_MAX);
    put("self", "0::/\n");
    assert_int_equal(limit(), INT64_MAX);
    put("fs/memory.max", "max\n");
    assert_int_equal(limit(), INT64_MAX);
}

static void nonsense_is_none(void **state) {
    (void)state;
    static const char *const lines[] = {"\n\n", "::",       "0:",           "x",
                                        "0::",  ":memory:", "4:memory:/m\n"};
    put("fs/memory.max", "-5\n");
    put("fs/memory/m/memory.limit_in_bytes", "99999999999999999999999\n");
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        put("self", lines[i]);
        assert_int_equal(limit(), INT64_MAX);
    }
}

static void a_group_with_a_name_longer_than_a_path_is_none(void **state) {
    (void)state;
    char line[8000] = "0::/";
    memset(line + 4, 'g', sizeof line - 6);
    put("self", line);
    assert_int_equal(limit(), INT64_MAX);
}

static int64_t cpu_limit(void) {
    limit(); /* where to look */
    return mo_cgroup_cpu_millis();
}

static void the_share_of_processors_is_found(void **state) {
    (void)state;
    put("self", "0::/a/b\n");
    assert_int_equal(cpu_limit(), INT64_MAX);
    put("fs/a/b/cpu.max", "max 100000\n");
    assert_int_equal(cpu_limit(), INT64_MAX);
    put("fs/a/cpu.max", "250000 100000\n");
    assert_int_equal(cpu_limit(), 2500);
    put("fs/a/b/cpu.max", "1000 100000\n");
    assert_int_equal(cpu_limit(), 10);
    put("fs/a/b/cpu.max", "1000");
    assert_int_equal(cpu_limit(), 2500);
    put("fs/a/b/cpu.max", "x 100000\n");
    assert_int_equal(cpu_limit(), 2500);
}

static void version_1_has_a_quota_and_a_period(void **state) {
    (void)state;
    put("self", "3:cpuset:/x\n12:cpu,cpuacct:/docker/abc\n");
    put("fs/cpu/docker/abc/cpu.cfs_quota_us", "-1\n");
    put("fs/cpu/docker/abc/cpu.cfs_period_us", "100000\n");
    assert_int_equal(cpu_limit(), INT64_MAX);
    put("fs/cpu/docker/abc/cpu.cfs_quota_us", "150000\n");
    assert_int_equal(cpu_limit(), 1500);
    assert_int_equal(limit(), INT64_MAX);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fresh_dir, remove_dir)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(the_limit_of_the_own_group_is_found),
        TEST(a_smaller_limit_above_counts),
        TEST(version_1_is_read_too),
        TEST(the_share_of_processors_is_found),
        TEST(version_1_has_a_quota_and_a_period),
        TEST(none_is_none),
        TEST(nonsense_is_none),
        TEST(a_group_with_a_name_longer_than_a_path_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
