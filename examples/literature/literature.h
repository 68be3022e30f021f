/* literature.h - what the programs of this folder share: a check, statistics, an emptied stack.
 *
 * The collector is conservative: a word on a stack that looks like an address keeps an object. The
 * programs that show an end of life therefore hold their pointers in functions that are not
 * inlined, and overwrite afterwards what those have left below the caller's frame.
 */
#ifndef LITERATURE_H
#define LITERATURE_H

#include <mound.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define NOINLINE __attribute__((noinline, unused))

/* Goes on if it is true, else says what was expected and ends with status 1. */
__attribute__((format(printf, 2, 3))) static NOINLINE void verify(bool is_true, const char *format,
                                                                  ...) {
    if (is_true) { return; }
    va_list args;
    va_start(args, format);
    printf("FAILED: ");
    vprintf(format, args);
    putchar('\n');
    va_end(args);
    exit(1);
}

/* Less than the smallest stack of a goroutine, more than printf and the library need. Without the
 * margins that AddressSanitizer puts around an array: they would keep what was there. */
__attribute__((no_sanitize_address)) static NOINLINE void clear_stack(void) {
    volatile long dead[(24 << 10) / sizeof(long)];
    for (size_t i = 0; i < sizeof dead / sizeof dead[0]; i++) { dead[i] = 0; }
}

static NOINLINE mound_mem_stats stats_now(void) {
    mound_mem_stats s = {.struct_bytes = sizeof s};
    mound_read_mem_stats(&s);
    return s;
}

static NOINLINE bool is_alive(mound_weak weak) { return mound_weak_get(weak) != NULL; }

/* Of 2^20 bytes, as in the trace of the collector. */
static NOINLINE double mb(uint64_t bytes) { return (double)bytes / (1 << 20); }

#endif
