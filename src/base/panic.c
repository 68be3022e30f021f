/* panic.c - the ways to stop, and printing without malloc.
 *
 * snprintf is used on a stack buffer with integer and string conversions only, which glibc does
 * without allocating or locking; the text leaves by one write(2), so lines of several threads
 * do not mix. May be called while the world is stopped.
 *
 * Floor   base.
 */
#include "base/panic.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/atomic.h"

enum { LINE_BYTES = 512 };

static void (*fatal_handler)(const char *message);
static char note[64];

static void write_all(const char *text, size_t len) {
    int saved = errno;
    while (len > 0) {
        ssize_t n = syscall(SYS_write, 2, text, len); /* no cancellation point */
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        text += n;
        len -= (size_t)n;
    }
    errno = saved;
}

void mo_print(const char *format, ...) {
    char line[LINE_BYTES];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (n > 0) write_all(line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

void mo_panic_note(const char *what, uint64_t number) {
    snprintf(note, sizeof note, ", %s=%llu", what, (unsigned long long)number);
}

void mo_throw_at(const char *file, int line, const char *text) {
    const char *slash = strrchr(file, '/');
    mo_print("mound: internal error: %s (%s:%d%s); please report it with this line\n", text,
             slash ? slash + 1 : file, line, note);
    abort();
}

void mo_fatal_set_handler(void (*handler)(const char *message)) {
    mo_store_rlx(&fatal_handler, handler); /* code: nothing else to be seen with it */
}

void mo_fatal(const char *format, ...) {
    char line[LINE_BYTES - 1]; /* mo_print adds the newline */
    va_list args;
    va_start(args, format);
    int n = snprintf(line, sizeof line, "mound: ");
    n += vsnprintf(line + n, sizeof line - (size_t)n, format, args);
    va_end(args);
    void (*handler)(const char *message) = mo_load_rlx(&fatal_handler); /* likewise */
    if (handler) handler(line);
    mo_print("%s\n", line);
    _exit(2);
}
