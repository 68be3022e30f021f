/* checked_test.c - what only the checked build and the debug switches do.
 */
#include "support.h"
#include "witness.h"

#include "base/panic.h"
#include "gc/mark.h"

typedef struct leaky {
    void *listed;
    void *forgotten;
} leaky;
MOUND_TYPE(leaky, listed);

static leaky **holders;

static void make_leaky(void *arg) {
    (void)arg;
    holders = mound_new_array(leaky *, 4000);
    for (int i = 0; i < 4000; i++) {
        holders[i] = mound_new_typed(leaky);
        holders[i]->listed = mound_alloc(32);
        holders[i]->forgotten = mound_alloc(32);
    }
}

static void make_forgotten_field(void *arg) {
    (void)arg;
    run_deep(make_leaky, NULL);
    wipe_stack();
    mound_gc();
}

static void make_only_listed(void *arg) {
    (void)arg;
    run_deep(make_leaky, NULL);
    for (int i = 0; i < 4000; i++)
        holders[i]->forgotten = holders[i]->listed; /* reached otherwise */
    wipe_stack();
    mound_gc();
}

static void a_forgotten_pointer_field_is_reported(void **state) {
    (void)state;
    if (MO_VARIETY < 2) {
        print_message("skipped: only the checked build looks at words that a type does not list\n");
        skip();
    }
    test_death d = test_die(make_forgotten_field, NULL);
    assert_int_equal(test_exit_status(&d), 0);
    test_expect_text(&d, "type leaky does not list the word at offset 8", __FILE__, __LINE__);
    int lines = 0;
    for (const char *p = d.text; (p = strstr(p, "does not list")) != NULL; p++) lines++;
    assert_true(lines >= 1 && lines <= 10); /* no flood */
    d = test_die(make_only_listed, NULL);
    assert_int_equal(test_exit_status(&d), 0);
    assert_null(strstr(d.text, "does not list"));
}

/* ---------------------------------------------------------------- gccheckmark */

static void collect_with_checkmark(void *arg) {
    (void)arg;
    setenv("MOUND_DEBUG", "gccheckmark=1", 1);
    void **list = NULL;
    for (int i = 0; i < 20000; i++) {
        void **n = mound_alloc(32);
        n[0] = list;
        list = n;
    }
    mound_gc();
    mound_gc();
    mound_keep_alive(list);
}

static void checkmark_is_silent_where_nothing_is_wrong(void **state) {
    (void)state;
    test_death d = test_die(collect_with_checkmark, NULL);
    assert_int_equal(test_exit_status(&d), 0);
    assert_string_equal(d.text, "");
}

/* ---------------------------------------------------------------- scribble, verify, stress */

static void read_freed_memory(void *arg) {
    setenv("MOUND_DEBUG", "scribble=1", 1);
    unsigned char *p = mound_alloc((size_t)(uintptr_t)arg),
                  *q = mound_alloc((size_t)(uintptr_t)arg);
    memset(p, 1, 16);
    mound_free(p);
    mound_keep_alive(q);
    int num = 0;
    for (int i = 0; i < 16; i++) num += p[i] == 0xdb;
    _exit(num == 16 ? 0 : 1);
}

static void make_dead(void *arg) {
    unsigned char **dead = arg;
    for (int i = 0; i < 1000; i++) {
        dead[i] = (unsigned char *)HIDE(memset(mound_alloc_noscan(64), 1, 64));
        mound_keep_alive(mound_alloc_noscan(64));
    }
}

static void read_swept_memory(void *arg) {
    (void)arg;
    setenv("MOUND_DEBUG", "scribble=1", 1);
    unsigned char **dead = malloc(1000 * sizeof *dead);
    void *alive[64]; /* so that no span is empty and given back */
    int num = 0;
    apart(make_dead, dead);
    for (int i = 0; i < 64; i++) alive[i] = mound_alloc_noscan(64);
    wipe_stack();
    mound_gc();
    mound_keep_alive(alive);
    for (int i = 0; i < 1000; i++) {
        const unsigned char *p = SHOW(dead[i]);
        num += p[0] == 0xdb && p[63] == 0xdb;
    }
    _exit(num >= 900 ? 0 : 1);
}

static void scribble_overwrites_what_is_freed_or_swept(void **state) {
    (void)state;
    static const size_t sizes[] = {16, 64, 1000, 5000};
    for (int i = 0; i < 4; i++) {
        test_death d = test_die(read_freed_memory, (void *)sizes[i]);
        if (test_exit_status(&d) != 0)
            fail_msg("%zu bytes were not overwritten by mound_free", sizes[i]);
    }
    test_death d = test_die(read_swept_memory, NULL);
    assert_int_equal(test_exit_status(&d), 0);
}

static void touch_freed_memory(void *arg) {
    setenv("MOUND_DEBUG", "poison=1", 1);
    volatile char *p = mound_alloc((size_t)(uintptr_t)arg),
                  *q = mound_alloc((size_t)(uintptr_t)arg);
    p[0] = q[0] = 1;
    mound_free((char *)p);
    q[1] = 2; /* still fine */
    p[1] = 2;
}

static void touch_swept_memory(void *arg) {
    (void)arg;
    setenv("MOUND_DEBUG", "poison=1", 1);
    unsigned char **dead = malloc(1000 * sizeof *dead);
    apart(make_dead, dead);
    wipe_stack();
    mound_gc();
    for (int i = 0; i < 1000; i++) ((volatile char *)SHOW(dead[i]))[0] = 1;
}

static void use_memory_again(void *arg) {
    (void)arg;
    setenv("MOUND_DEBUG", "poison=1", 1);
    for (int round = 0; round < 3; round++) {
        for (size_t size = 16; size <= 100000; size += size / 3 + 8) {
            char *p = memset(mound_alloc(size), 1, size), *q = memset(mound_alloc(size), 1, size);
            mound_free(round == 1 ? p : q);
        }
        mound_gc();
    }
}

static void poison_makes_use_after_free_an_error(void **state) {
    (void)state;
#if TEST_SANITIZED && !TEST_TSAN
    static const size_t sizes[] = {16, 64, 1000, 5000};
    test_death d;
    for (int i = 0; i < 4; i++) {
        d = test_die(touch_freed_memory, (void *)sizes[i]);
        test_expect_text(&d, "use-after-poison", __FILE__, __LINE__);
    }
    d = test_die(touch_swept_memory, NULL);
    test_expect_text(&d, "use-after-poison", __FILE__, __LINE__);
    d = test_die(use_memory_again, NULL);
    assert_string_equal(d.text, "");
    assert_int_equal(test_exit_status(&d), 0);
#else
    assert_fatal(touch_freed_memory, (void *)64, "poison=1 needs a program built with");
    (void)touch_swept_memory;
    (void)use_memory_again;
#endif
}

/* The seed decides where; how often stays as asked. */
static void count_seeded_stress(void *arg) {
    setenv("MOUND_DEBUG", arg, 1);
    mound_mem_stats s = {.struct_bytes = sizeof s};
    uint64_t where = 0, num = 0;
    mound_init();
    for (int i = 0; i < 1000; i++) {
        mound_keep_alive(mound_alloc(32));
        mound_read_mem_stats(&s);
        if (s.num_gc != num) where = where * 31 + (uint64_t)i;
        num = s.num_gc;
    }
    fprintf(stderr, "%s at %llx\n", num >= 50 && num <= 200 ? "enough" : "too few or many",
            (unsigned long long)where);
}

static void gcstress_with_a_seed_repeats_itself(void **state) {
    (void)state;
    static char first[sizeof(((test_death *)0)->text)];
    test_death d = test_die(count_seeded_stress, "gcstress=10,seed=1");
    test_expect_text(&d, "enough", __FILE__, __LINE__);
    memcpy(first, d.text, sizeof first);
    d = test_die(count_seeded_stress, "gcstress=10,seed=1");
    assert_string_equal(d.text, first);
    d = test_die(count_seeded_stress, "gcstress=10,seed=2");
    test_expect_text(&d, "enough", __FILE__, __LINE__);
    assert_string_not_equal(d.text, first);
}

static void break_with_a_seed(void *arg) {
    (void)arg;
    setenv("MOUND_DEBUG", "seed=4711", 1);
    mound_init();
    mo_throw("on purpose");
}

static void internal_errors_name_the_seed(void **state) {
    (void)state;
    test_death d = test_die(break_with_a_seed, NULL);
    test_expect_text(&d, "MOUND_DEBUG seed=4711", __FILE__, __LINE__);
}

static void count_stress(void *arg) {
    char value[32];
    snprintf(value, sizeof value, "gcstress=%d", (int)(intptr_t)arg);
    setenv("MOUND_DEBUG", value, 1);
    mound_mem_stats s = {.struct_bytes = sizeof s};
    mound_init();
    for (int i = 0; i < 1000; i++) mound_keep_alive(mound_alloc(32));
    mound_read_mem_stats(&s);
    int want = 1000 / (int)(intptr_t)arg;
    _exit((int)s.num_gc >= want && (int)s.num_gc <= want + 2 ? 0 : 1);
}

static void gcstress_collects_at_every_nth_allocation(void **state) {
    (void)state;
    static const int every[] = {1, 7, 100};
    for (int i = 0; i < 3; i++) {
        test_death d = test_die(count_stress, (void *)(intptr_t)every[i]);
        assert_int_equal(test_exit_status(&d), 0);
    }
}

static void init_with_trace(void *arg) {
    (void)arg;
    setenv("MOUND_DEBUG", "inittrace=1", 1);
    mound_init();
}

static void inittrace_says_what_is_in_force(void **state) {
    (void)state;
    test_death d = test_die(init_with_trace, NULL);
    assert_int_equal(test_exit_status(&d), 0);
    test_expect_text(&d, "mound: reserved ", __FILE__, __LINE__);
    test_expect_text(&d, "barrier ", __FILE__, __LINE__);
    test_expect_text(&d, "release madvise(MADV_DONTNEED)", __FILE__, __LINE__);
}

/* ---------------------------------------------------------------- assertions */

static void broken_check(void *arg) {
    (void)arg;
    mo_check(arg != NULL, "a dear check");
    _exit(55);
}
static void broken_assert(void *arg) {
    (void)arg;
    mo_assert(arg != NULL, "a cheap check");
    _exit(55);
}

static void assertions_are_on_by_variety(void **state) {
    (void)state;
    if (MO_VARIETY >= 1) {
        assert_throws(broken_assert, NULL, "a cheap check");
    } else {
        test_death d = test_die(broken_assert, NULL);
        assert_int_equal(test_exit_status(&d), 55);
    }
    if (MO_VARIETY >= 2) {
        assert_throws(broken_check, NULL, "a dear check");
    } else {
        test_death d = test_die(broken_check, NULL);
        assert_int_equal(test_exit_status(&d), 55);
    }
}

int main(void) {
    unsetenv("MOUND_DEBUG");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_forgotten_pointer_field_is_reported),
        cmocka_unit_test(checkmark_is_silent_where_nothing_is_wrong),
        cmocka_unit_test(scribble_overwrites_what_is_freed_or_swept),
        cmocka_unit_test(poison_makes_use_after_free_an_error),
        cmocka_unit_test(gcstress_collects_at_every_nth_allocation),
        cmocka_unit_test(gcstress_with_a_seed_repeats_itself),
        cmocka_unit_test(internal_errors_name_the_seed),
        cmocka_unit_test(inittrace_says_what_is_in_force),
        cmocka_unit_test(assertions_are_on_by_variety),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
