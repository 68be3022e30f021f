/* cancellation.c - tell goroutines that nobody needs their work any more: contexts.
 *
 * The done channel of a context is closed when it is cancelled, when its time is over, or when its
 * parent ends. A closed channel can be received from at once, by any number of goroutines: each of
 * them has it as a case wherever it waits. Nobody can end a goroutine from outside; it has to look.
 */
#include <errno.h>
#include <limits.h>
#include <mound.h>
#include <stdio.h>

enum { NUM_WORKERS = 3 };

typedef struct search {
    mound_ctx *ctx;
    MOUND_CHAN(int) found;
    mound_waitgroup workers;
} search;

static void work(void *arg) {
    search *s = arg;
    for (int n = 0;; n++) {
        mound_case cases[] = {MOUND_RECV_ANY(mound_ctx_done(s->ctx)), MOUND_SEND(s->found, &n)};
        if (mound_select(cases, 2) == 0) { return; }
    }
}

/* Looks for things until there are enough of them, or until ctx ends. */
static void run(const char *name, mound_ctx *ctx, int enough) {
    search *s = mound_new(search);
    s->ctx = ctx;
    s->found = mound_chan_make(int, 0);
    for (int i = 0; i < NUM_WORKERS; i++) { mound_waitgroup_go(&s->workers, work, s); }
    mound_case cases[] = {MOUND_RECV_ANY(mound_ctx_done(ctx)), MOUND_RECV_ANY(s->found)};
    for (int n = 0; n < enough && mound_select(cases, 2) == 1; n++) {}
    mound_ctx_cancel(ctx); /* always, when the work is over: its parent keeps it until then */
    mound_waitgroup_wait(&s->workers);
    printf("%s: %s, and all workers have ended\n", name,
           mound_ctx_error(ctx) == -ETIMEDOUT ? "time is over" : "cancelled");
}

static int app(void *arg) {
    (void)arg;
    mound_ctx *all = mound_ctx_with_cancel(mound_ctx_background());
    run("100 things", mound_ctx_with_timeout(all, MOUND_SEC(60)), 100);
    run("20 ms", mound_ctx_with_timeout(all, MOUND_MS(20)), INT_MAX);
    mound_ctx_cancel(all);
    run("after its parent", mound_ctx_with_timeout(all, MOUND_SEC(60)), INT_MAX);
    return 0;
}

MOUND_MAIN(app)
