/* stream.c - copying and clearing much memory.
 *
 * Four pages at a time, a line of each in turn, the next four prefetched: a processor fetches ahead
 * inside a page only, and where memory is far away (a virtual machine looks up each page in two
 * tables) one page at a time leaves it waiting.
 *
 * Floor   sys.
 */
#include "sys/stream.h"

#include <string.h>

#include "sys/cpu.h"

enum { LINE = 64, PAGE = 4096, PAGES = 4, GROUP = PAGES * PAGE };

/* Bytes before the first whole line of p. */
static size_t before_line(const void *p) { return -(uintptr_t)p % LINE; }

static void stream_end(void) {
#if !MO_MUTANT_stream_without_end
    mo_cpu_stream_end();
#endif
}

void mo_copy(void *to, const void *from, size_t bytes) {
    char *t = to;
    const char *f = from;
    if (bytes >= MO_STREAM_MIN_BYTES) {
        size_t head = before_line(t);
        memcpy(t, f, head);
        for (t += head, f += head, bytes -= head; bytes >= GROUP;
             t += GROUP, f += GROUP, bytes -= GROUP) {
            for (int line = 0; line < PAGE; line += LINE) {
                for (int at = line; at < GROUP; at += PAGE) {
                    __builtin_prefetch(f + GROUP + at); /* behind the end too: never faults */
                    mo_cpu_stream_64(t + at, f + at);
                }
            }
        }
        stream_end();
    }
    memcpy(t, f, bytes);
}

void mo_clear(void *to, size_t bytes) {
    char *t = to;
    if (bytes >= MO_STREAM_MIN_BYTES) {
        size_t head = before_line(t);
        memset(t, 0, head);
        for (t += head, bytes -= head; bytes >= LINE; t += LINE, bytes -= LINE)
            mo_cpu_stream_zero_64(t);
        stream_end();
    }
    memset(t, 0, bytes);
}
