/* panic.h - how the library stops: throw for its own broken invariants, fatal for the caller's
 * mistakes; and printing without malloc. Floor base.
 *
 *   mo_assert   cheap, on in shipped and checked builds
 *   mo_check    dear, on in checked builds only
 */
#ifndef MO_PANIC_H
#define MO_PANIC_H

#include "base/compiler.h"

/* A broken invariant: "mound: " + text + place on stderr, then abort. */
MO_NORETURN MO_COLD void mo_throw_at(const char *file, int line, const char *text);
#define mo_throw(text) mo_throw_at(__FILE__, __LINE__, (text))

/* A number that belongs to each message of mo_throw from now on, by which the run may be repeated.
 */
void mo_panic_note(const char *what, uint64_t number);

/* A mistake of the caller, or memory exhausted: one line through the handler, then exit 2. */
MO_NORETURN MO_COLD void mo_fatal(const char *format, ...) MO_PRINTF(1, 2);
void mo_fatal_set_handler(void (*handler)(const char *message));

/* One write(2) to stderr; at most 512 bytes; never allocates, takes no lock. */
void mo_print(const char *format, ...) MO_PRINTF(1, 2);

#if MO_VARIETY >= 1
#define mo_assert(cond, text)                                                                      \
    do {                                                                                           \
        if (MO_UNLIKELY(!(cond))) mo_throw(text);                                                  \
    } while (0)
#else
#define mo_assert(cond, text) ((void)0)
#endif
#if MO_VARIETY >= 2
#define mo_check(cond, text) mo_assert(cond, text)
#else
#define mo_check(cond, text) ((void)0)
#endif

#endif
