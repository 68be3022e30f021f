/* stream_test.c - copying and clearing much memory: every byte, nothing beside it, and in order. */
#include "support.h"

#include "sys/stream.h"

enum { MIN = MO_STREAM_MIN_BYTES, ROOM = MIN + (1 << 17), GROUP = 1 << 14 };

static uint8_t from[ROOM] __attribute__((aligned(64))), to[ROOM] __attribute__((aligned(64)));

static void fill_random(uint64_t seed) {
    mo_rand r;
    mo_rand_seed(&r, seed);
    for (size_t i = 0; i < ROOM; i += 8) {
        uint64_t word = mo_rand_next(&r);
        memcpy(from + i, &word, 8);
    }
}

static void check(size_t at, size_t off, size_t bytes, bool is_clear) {
    memset(to, 0x5a, ROOM);
    if (is_clear)
        mo_clear(to + at, bytes);
    else
        mo_copy(to + at, from + off, bytes);
    for (size_t i = 0; i < at; i++) assert_int_equal(to[i], 0x5a);
    if (!is_clear) assert_memory_equal(to + at, from + off, bytes);
    for (size_t i = 0; is_clear && i < bytes; i++)
        if (to[at + i] != 0) fail_msg("byte %zu of %zu at %zu is not clear", i, bytes, at);
    for (size_t i = at + bytes; i < ROOM; i++) assert_int_equal(to[i], 0x5a);
}

static void all_bytes_arrive_and_no_other_changes(void **state) {
    (void)state;
    static const size_t sizes[] = {0,           1,
                                   4096,        MIN - 1,
                                   MIN,         MIN + 1,
                                   MIN + 63,    MIN + GROUP - 1,
                                   MIN + GROUP, MIN + GROUP + 65};
    static const size_t places[] = {0, 1, 8, 63, 64, 4095};
    fill_random(test_seed("stream", 0));
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        for (size_t p = 0; p < sizeof places / sizeof places[0]; p++) {
            if (TEST_SANITIZED && p % 3 != 1) continue; /* slow there */
            check(places[p], places[5 - p], sizes[s], false);
            check(places[p], 0, sizes[s], true);
        }
    }
}

/* ---------------------------------------------------------------- order */

static uint32_t turn; /* odd: what was copied is there */
static test_errors errors;

/* In the lines that are stored last: one at the end of each page of the last group. */
static uint64_t *late_word(uint8_t *block, int page) {
    return (uint64_t *)(void *)(block + MIN - 4096 * (size_t)page - 8);
}

static void *look(void *arg) {
    for (uint32_t i = 0; i < *(uint32_t *)arg; i++) {
        while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) != 2 * i + 1) {}
        for (int page = 0; page < 4; page++)
            if (*late_word(to, page) != i)
                test_error(&errors, "a later store was seen before the copy");
        __atomic_store_n(&turn, 2 * i + 2, __ATOMIC_RELEASE);
    }
    return NULL;
}

static void who_sees_a_later_store_sees_the_copy(void **state) {
    (void)state;
    uint32_t num =
        (uint32_t)test_steps(1000); /* of whole groups: the last line goes past the caches */
    pthread_t thread;
    turn = 0;
    assert_int_equal(pthread_create(&thread, NULL, look, &num), 0);
    for (uint64_t i = 0; i < num; i++) {
        for (int page = 0; page < 4; page++) *late_word(from, page) = i;
        mo_copy(to, from, MIN);
        __atomic_store_n(&turn, 2 * (uint32_t)i + 1, __ATOMIC_RELEASE);
        while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) != 2 * (uint32_t)i + 2) {}
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_no_errors(&errors);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_bytes_arrive_and_no_other_changes),
        cmocka_unit_test(who_sees_a_later_store_sees_the_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
