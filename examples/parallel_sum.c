/* parallel_sum.c - a big array, added up in parts by as many goroutines as there are processors.
 *
 * Each goroutine gets a copy of a struct that says which part is its own. Shared are the array,
 * which is only read, and the channel of sums, which has room for all: nobody waits for app. The
 * numbers lie in noscan memory: the collector need not look for pointers in 16 MB of them.
 */
#include <mound.h>
#include <stdio.h>

enum { NUM_NUMBERS = 4000000 };

typedef struct part {
    const int *numbers;
    size_t len;
    MOUND_CHAN(long) sums;
} part;

static void add_up(void *copy) {
    const part *p = copy;
    long sum = 0;
    for (size_t i = 0; i < p->len; i++) { sum += p->numbers[i]; }
    mound_send(p->sums, sum);
}

static long parallel_sum(const int *numbers, size_t len) {
    size_t num_parts = (size_t)mound_gomaxprocs(0); /* only asks */
    MOUND_CHAN(long) sums = mound_chan_make(long, num_parts);
    for (size_t i = 0; i < num_parts; i++) {
        size_t begin = len * i / num_parts, end = len * (i + 1) / num_parts;
        part p = {numbers + begin, end - begin, sums};
        mound_go_copy(add_up, &p, sizeof p);
    }
    long total = 0, sum;
    for (size_t i = 0; i < num_parts && mound_recv(sums, &sum); i++) { total += sum; }
    return total;
}

static int app(void *arg) {
    (void)arg;
    int *numbers = mound_alloc_noscan(NUM_NUMBERS * sizeof *numbers);
    for (int i = 0; i < NUM_NUMBERS; i++) { numbers[i] = i + 1; }
    printf("1 + 2 + ... + %d = %ld\n", NUM_NUMBERS, parallel_sum(numbers, NUM_NUMBERS));
    return 0;
}

MOUND_MAIN(app)
