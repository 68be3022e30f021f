/* census_test.c - threads that the registry does not know are named, once, and no others. */
#include "hold.h"

#include <sys/prctl.h>

#include "sched/census.h"
#include "sched/interpose.h"
#include "support.h"

static int is_up, may_end;

static void *stranger_main(void *arg) {
    prctl(PR_SET_NAME, "a stranger");
    if (arg) mound_thread_attach();
    STORE(&is_up, 1);
    await(&may_end, 1);
    return NULL;
}

/* arg: the stranger attaches itself. */
static void look_for_strangers(void *arg) {
    setenv("MOUND_DEBUG", "gctrace=1", 1);
    mound_init();
    pthread_t own, foreign;
    pthread_create(&own, NULL, stranger_main, NULL);
    await(&is_up, 1);
    STORE(&is_up, 0);
    mo_real_pthread_create(&foreign, NULL, stranger_main, arg);
    await(&is_up, 1);
    for (int i = 0; i < 15; i++) {
        mound_gc();
        sleep_us(100000);
    }
    STORE(&may_end, 1);
    pthread_join(own, NULL);
    pthread_join(foreign, NULL);
}

static int count(const char *text, const char *what) {
    int n = 0;
    while ((text = strstr(text, what)) != NULL) text++, n++;
    return n;
}

static void skip_with_tsan(void) {
    if (!TEST_TSAN) return;
    print_message("skipped: TSan's own thread would be named\n");
    skip();
}

static void an_unknown_thread_is_named_once(void **state) {
    (void)state;
    skip_with_tsan();
    test_death d = test_die(look_for_strangers, NULL);
    assert_int_equal(test_exit_status(&d), 0);
    assert_int_equal(count(d.text, "is not known to the collector"), 1);
    assert_int_equal(count(d.text, "(a stranger) is not known"), 1);
}

static void an_attached_thread_is_not(void **state) {
    (void)state;
    skip_with_tsan();
    test_death d = test_die(look_for_strangers, "attach");
    assert_int_equal(test_exit_status(&d), 0);
    assert_int_equal(count(d.text, "is not known to the collector"), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unknown_thread_is_named_once),
        cmocka_unit_test(an_attached_thread_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
