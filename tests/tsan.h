/* tsan.h - what the tests must know of ThreadSanitizer. */
#ifndef TEST_TSAN_H
#define TEST_TSAN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#if defined(__SANITIZE_THREAD__)
#define TEST_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TEST_TSAN 1
#endif
#endif
#ifndef TEST_TSAN
#define TEST_TSAN 0
#endif

/* Ends a test that TSan's runtime does not allow, saying why. */
#define skip_under_tsan(why)                                                                       \
    do {                                                                                           \
        if (TEST_TSAN) {                                                                           \
            print_message("skipped under TSan: %s\n", (why));                                      \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

#endif
