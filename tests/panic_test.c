/* panic_test.c - how the library stops and prints. */
#include "support.h"

#include <sys/socket.h>

#include "base/panic.h"
#include "mound.h"

enum { THROW_LINE = __LINE__ + 3 };
static void throw_here(void *arg) {
    (void)arg;
    mo_throw("runq: head past tail");
}

static void a_throw_aborts_with_text_and_place(void **state) {
    (void)state;
    char place[64];
    snprintf(place, sizeof place, "(panic_test.c:%d)", THROW_LINE);
    test_death d = test_die(throw_here, NULL);
    test_expect_throw(&d, "mound: internal error: runq: head past tail", __FILE__, __LINE__);
    test_expect_text(&d, place, __FILE__, __LINE__);
    assert_ptr_equal(strchr(d.text, '\n'), d.text + strlen(d.text) - 1);
}

static void throw_at(void *arg) {
    (void)arg;
    mo_throw_at("/some/where/file.c", 4711, "text");
}
static void assert_false_here(void *arg) {
    (void)arg;
    mo_assert(1 + 1 == 3, "sums are wrong");
}
static void check_false_here(void *arg) {
    (void)arg;
    mo_check(1 + 1 == 3, "sums are wrong");
}

static void a_throw_names_the_file_without_its_folder(void **state) {
    (void)state;
    assert_throws(throw_at, NULL, " text (file.c:4711)");
}

static void assertions_follow_the_variety(void **state) {
    (void)state;
    test_death a = test_die(assert_false_here, NULL), c = test_die(check_false_here, NULL);
    assert_int_equal(test_signal(&a), MO_VARIETY >= 1 ? SIGABRT : 0);
    assert_int_equal(test_signal(&c), MO_VARIETY >= 2 ? SIGABRT : 0);
    if (MO_VARIETY >= 1) test_expect_throw(&a, "sums are wrong", __FILE__, __LINE__);
    if (MO_VARIETY >= 2) test_expect_throw(&c, "sums are wrong", __FILE__, __LINE__);
}

/* ---------------------------------------------------------------- fatal */

static void fatal(void *arg) {
    (void)arg;
    mo_fatal("f(%d): no %s", 7, "good");
}

static void a_fatal_error_is_one_line_and_status_2(void **state) {
    (void)state;
    test_death d = test_die(fatal, NULL);
    test_expect_fatal(&d, "f(7): no good", __FILE__, __LINE__);
    assert_string_equal(d.text, "mound: f(7): no good\n");
}

static void say_and_end(const char *message) {
    mo_print("<%s>", message);
    _exit(7);
}
static void say_and_return(const char *message) { mo_print("<%s>", message); }
static void fatal_handled(void *handler) {
    mound_set_fatal_handler((void (*)(const char *))handler);
    fatal(NULL);
}
static void fatal_handler_removed(void *handler) {
    mound_set_fatal_handler((void (*)(const char *))handler);
    mound_set_fatal_handler(NULL);
    fatal(NULL);
}

static void the_handler_gets_the_message_instead(void **state) {
    (void)state;
    test_death d = test_die(fatal_handled, (void *)say_and_end);
    assert_int_equal(test_exit_status(&d), 7);
    assert_string_equal(d.text, "<mound: f(7): no good>");
}

static void a_handler_that_returns_does_not_save_the_process(void **state) {
    (void)state;
    test_death d = test_die(fatal_handled, (void *)say_and_return);
    assert_int_equal(test_exit_status(&d), 2);
    assert_string_equal(d.text, "<mound: f(7): no good>mound: f(7): no good\n");
}

static void null_restores_the_default_handler(void **state) {
    (void)state;
    assert_fatal(fatal_handler_removed, (void *)say_and_end, "f(7): no good");
}

static void fatal_long(void *arg) { mo_fatal("%s", (const char *)arg); }

static void a_long_fatal_message_is_cut_and_still_one_line(void **state) {
    (void)state;
    char text[2000];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    for (size_t len = 490; len < sizeof text; len = len < 530 ? len + 1 : len + 1469) {
        char saved = text[len];
        text[len] = '\0';
        test_death d = test_die(fatal_long, text);
        test_expect_fatal(&d, "xxx", __FILE__, __LINE__);
        assert_true(strlen(d.text) <= 512);
        assert_true(strlen(d.text) >= 500 || strlen(d.text) == len + strlen("mound: \n"));
        text[len] = saved;
    }
}

/* ---------------------------------------------------------------- print */

static int packets[2];

/* stderr as a socket that keeps the borders between writes. */
static ssize_t print_to_socket(const char *format, const char *arg, char *out, size_t out_bytes) {
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, packets), 0);
    fflush(stderr);
    int saved = dup(2);
    dup2(packets[1], 2);
    errno = EXDEV;
    mo_print(format, arg);
    int errno_after = errno;
    dup2(saved, 2);
    close(saved);
    close(packets[1]);
    ssize_t first = recv(packets[0], out, out_bytes, 0);
    char more;
    assert_int_equal(recv(packets[0], &more, 1, 0), 0); /* no second write */
    close(packets[0]);
    assert_int_equal(errno_after, EXDEV);
    return first;
}

static void a_line_leaves_by_one_write(void **state) {
    (void)state;
    char out[1024];
    ssize_t n = print_to_socket("gc %s done\n", "12", out, sizeof out);
    assert_int_equal(n, 11);
    assert_memory_equal(out, "gc 12 done\n", 11);
}

static void a_long_line_is_cut(void **state) {
    (void)state;
    char text[2000], out[4096];
    memset(text, 'y', sizeof text);
    text[sizeof text - 1] = '\0';
    ssize_t n = print_to_socket("%s", text, out, sizeof out);
    assert_true(n >= 500 && n <= 512);
    assert_memory_equal(out, text, (size_t)n);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_throw_aborts_with_text_and_place),
        cmocka_unit_test(a_throw_names_the_file_without_its_folder),
        cmocka_unit_test(assertions_follow_the_variety),
        cmocka_unit_test(a_fatal_error_is_one_line_and_status_2),
        cmocka_unit_test(the_handler_gets_the_message_instead),
        cmocka_unit_test(a_handler_that_returns_does_not_save_the_process),
        cmocka_unit_test(null_restores_the_default_handler),
        cmocka_unit_test(a_long_fatal_message_is_cut_and_still_one_line),
        cmocka_unit_test(a_line_leaves_by_one_write),
        cmocka_unit_test(a_long_line_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
