/* compiler.h - attributes and hints. Floor base. */
#ifndef MO_COMPILER_H
#define MO_COMPILER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MO_LIKELY(x) __builtin_expect(!!(x), 1)
#define MO_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define MO_INLINE static inline __attribute__((always_inline))
#define MO_NOINLINE __attribute__((noinline))
#define MO_COLD __attribute__((noinline, cold))
#define MO_NORETURN __attribute__((noreturn))
#define MO_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define MO_ALIGNED(n) __attribute__((aligned(n)))

/* The library's own variables stand in one section, so that root scanning can leave them out
 * also where the library is linked into the program (gc/roots.c). */
#define MO_GLOBAL __attribute__((section("mound_state")))

/* How much is asserted: MO_VARIETY 0 = bench (nothing), 1 = shipped (cheap), 2 = checked (all). */
#ifndef MO_VARIETY
#define MO_VARIETY 1
#endif

/* Built for ThreadSanitizer. */
#if defined(__SANITIZE_THREAD__)
#define MO_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MO_TSAN 1
#endif
#endif
#ifndef MO_TSAN
#define MO_TSAN 0
#endif

#if MO_TSAN
#define MO_NO_TSAN __attribute__((no_sanitize("thread")))
#else
#define MO_NO_TSAN
#endif

#define MO_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
