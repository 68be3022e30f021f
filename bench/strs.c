/* strs.c - strings, text that grows, slices that grow.
 *
 * Each line is the median of five repetitions. Mirrors bench/go/strs; a Go int is a long here. The
 * results go to variables that other files might read, so nothing is left out as unused.
 */
#include "bench.h"

typedef mound_slice_of(long) longs;
typedef mound_slice_of(long *) long_ptrs;

mound_string last_string;
mound_bytes last_bytes;
longs last_longs;
long_ptrs last_ptrs;
mound_string hello = MOUND_STR("hello, "), world = MOUND_STR("world and more");

/* ---------------------------------------------------------------- measuring */

static double ns_each(uint64_t start, long num) {
    return (double)(bench_now_ns() - start) / (double)num;
}

static double median(double (*measure)(void)) {
    enum { REPS = 5 };
    double v[REPS];
    for (int i = 0; i < REPS; i++) { v[i] = measure(); }
    bench_sort(v, REPS);
    return v[REPS / 2];
}

/* ---------------------------------------------------------------- strings */

BENCH_NOINLINE static double concat(void) {
    enum { NUM = 20000000 };
    uint64_t start = bench_now_ns();
    for (long i = 0; i < NUM; i++) { last_string = mound_cat(hello, world); }
    return ns_each(start, NUM);
}

BENCH_NOINLINE static double add_one_byte(void) {
    enum { NUM = 20000 };
    uint64_t start = bench_now_ns();
    mound_string s = {0};
    for (long i = 0; i < NUM; i++) { s = mound_cat(s, MOUND_STR("x")); }
    last_string = s;
    return ns_each(start, NUM);
}

BENCH_NOINLINE static double builder(void) {
    enum { NUM = 10000000 };
    uint64_t start = bench_now_ns();
    mound_builder b = {0};
    for (long i = 0; i < NUM; i++) { mound_builder_byte(&b, 'x'); }
    last_string = mound_builder_text(&b);
    return ns_each(start, NUM);
}

BENCH_NOINLINE static double bytes_string(void) {
    enum { NUM = 10000000 };
    mound_bytes x = mound_string_bytes(MOUND_STR("qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq"));
    uint64_t start = bench_now_ns();
    for (long i = 0; i < NUM; i++) {
        last_string = mound_string_from_bytes(x.ptr, x.len);
        last_bytes = mound_string_bytes(last_string);
    }
    return ns_each(start, NUM);
}

/* ---------------------------------------------------------------- slices */

BENCH_NOINLINE static double append_long(void) {
    enum { NUM = 10000000 };
    uint64_t start = bench_now_ns();
    longs s = {0};
    for (long i = 0; i < NUM; i++) { mound_append(&s, i); }
    last_longs = s;
    return ns_each(start, NUM);
}

/* The pointers are to an object in the heap, as Go's are, for the collector to go to. */
BENCH_NOINLINE static double append_ptr(void) {
    enum { NUM = 10000000 };
    long *x = mound_box(long, 1);
    uint64_t start = bench_now_ns();
    long_ptrs s = {0};
    for (long i = 0; i < NUM; i++) { mound_append(&s, x); }
    last_ptrs = s;
    return ns_each(start, NUM);
}

BENCH_NOINLINE static double append_ten(void) {
    enum { NUM = 3000000 };
    uint64_t start = bench_now_ns();
    for (long i = 0; i < NUM; i++) {
        longs s = {0};
        for (long j = 0; j < 10; j++) { mound_append(&s, j); }
        last_longs = s;
    }
    return ns_each(start, NUM);
}

int main(void) {
    bench_init();
    printf("RESULT str concat2(7+14B) %.1f ns\n", median(concat));
    printf("RESULT str += 1 byte to 20000 %.1f ns/append\n", median(add_one_byte));
    printf("RESULT Builder.WriteByte to 10M %.2f ns/append\n", median(builder));
    printf("RESULT append int to 10M %.2f ns\n", median(append_long));
    printf("RESULT append *int to 10M %.2f ns\n", median(append_ptr));
    printf("RESULT append int to 10 (fresh each) %.1f ns/slice\n", median(append_ten));
    printf("RESULT []byte->string->[]byte 32B %.1f ns\n", median(bytes_string));
    return 0;
}
