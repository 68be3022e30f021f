/* loop_fuzz.h - what a generated loop may call. */
#ifndef LOOP_FUZZ_H
#define LOOP_FUZZ_H

#include <stddef.h>

/* An array of bytes bytes, in a slot of its own; only the caller's locals refer to it. */
void *fuzz_array(size_t bytes) __attribute__((noinline));
/* Collects, and leaves the function if an array was lost: it is always used after the call. */
void fuzz_call(void) __attribute__((noinline));

/* The optimizer must know neither where an array is nor how long a loop runs. */
#define FUZZ_OPAQUE(x) __asm__ volatile("" : "+r"(x))

typedef struct fuzz_pair {
    int a;
    double b;
} fuzz_pair;
typedef struct fuzz_triple {
    int a, b, c;
} fuzz_triple;

typedef struct fuzz_case {
    const char *name;
    long (*fn)(void);
} fuzz_case;

extern const fuzz_case fuzz_cases[];
extern const int fuzz_num_cases;

#endif
