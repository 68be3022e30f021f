/* timeout.c - wait for an answer, but not for ever: select over it and mound_after.
 *
 * mound_select waits until one of its cases can go on, and returns its number. mound_after gives a
 * channel on which something arrives once, after a time. The channel of the answer has room for it:
 * a server that is too late can leave it there and end, though nobody listens any more, and the
 * collector takes the channel.
 */
#include <mound.h>
#include <stdio.h>

typedef struct request {
    int number;
    int64_t takes_ns;
    MOUND_CHAN(int) answer;
} request;

static void serve(void *copy) {
    const request *r = copy;
    mound_sleep(r->takes_ns); /* the work */
    mound_send(r->answer, r->number * r->number);
}

static void ask(const char *who, int64_t takes_ns, int64_t patience_ns) {
    request r = {7, takes_ns, mound_chan_make(int, 1)};
    mound_go_copy(serve, &r, sizeof r);
    int answer;
    mound_case cases[] = {
        MOUND_RECV(r.answer, &answer),
        MOUND_RECV_ANY(mound_after(patience_ns)),
    };
    switch (mound_select(cases, 2)) {
    case 0: printf("%s server: %d\n", who, answer); break;
    case 1: printf("%s server: no answer in time\n", who); break;
    }
}

static int app(void *arg) {
    (void)arg;
    ask("fast", MOUND_MS(1), MOUND_SEC(10));
    ask("slow", MOUND_SEC(10), MOUND_MS(20));
    return 0; /* the slow server still sleeps: who is left when app returns is not waited for */
}

MOUND_MAIN(app)
