/* pipeline.c - three stages at work at the same time: generate -> square -> sum.
 *
 * Each stage owns the channel it sends on, and closes it when nothing more will come. mound_recv
 * gives 0 once a channel is closed and empty, so the end runs through the pipeline by itself: no
 * counts, no flags. The channels hold a few values, so that no stage waits for each single one.
 */
#include <mound.h>
#include <stdio.h>

enum { LAST = 1000 };

typedef struct stage {
    MOUND_CHAN(int) in;
    MOUND_CHAN(int) out;
} stage;

static void generate(void *copy) {
    const stage *s = copy;
    for (int n = 1; n <= LAST; n++) { mound_send(s->out, n); }
    mound_close(s->out);
}

static void square(void *copy) {
    const stage *s = copy;
    int n;
    while (mound_recv(s->in, &n)) { mound_send(s->out, n * n); }
    mound_close(s->out);
}

static int app(void *arg) {
    (void)arg;
    MOUND_CHAN(int) numbers = mound_chan_make(int, 16);
    MOUND_CHAN(int) squares = mound_chan_make(int, 16);
    mound_go_copy(generate, &(stage){.out = numbers}, sizeof(stage));
    mound_go_copy(square, &(stage){.in = numbers, .out = squares}, sizeof(stage));
    long sum = 0;
    int n;
    while (mound_recv(squares, &n)) { sum += n; }
    printf("1*1 + 2*2 + ... + %d*%d = %ld\n", LAST, LAST, sum);
    return 0;
}

MOUND_MAIN(app)
