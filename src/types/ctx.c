/* ctx.c - contexts: a tree of things that end, parents before children. Floor types.
 *
 * Locks   each context's mutex, parents before children: while it ends, and while a child joins.
 * Go      context.go.
 */
#include <errno.h>

#include "gc/start.h"
#include "mound.h"
#include "base/atomic.h"
#include "types/misuse.h"

struct mound_ctx {
    mound_ctx *above;     /* const: what it was made from; NULL: the background */
    mound_ctx *parent;    /* const: the nearest above that has no key */
    mound_done_chan done; /* const; NULL: never ends */
    mound_mutex lock;
    int error;              /* atomic reads; lock */
    bool has_deadline;      /* const */
    int64_t deadline_ns;    /* const */
    mound_timer *timer;     /* lock */
    const void *key;        /* const */
    void *value;            /* const */
    mound_ctx *first;       /* children; lock */
    mound_ctx *next, *prev; /* parent's lock */
    mound_ctx *joined;      /* whose child it is; parent's lock; NULL: nobody's (any more) */
};

static mound_ctx background;

mound_ctx *mound_ctx_background(void) { return &background; }

static void leave_parent(mound_ctx *ctx) {
    mound_ctx *parent = ctx->parent;
    mound_mutex_lock(&parent->lock);
    if (ctx->joined) {
        if (ctx->prev)
            ctx->prev->next = ctx->next;
        else
            parent->first = ctx->next;
        if (ctx->next) ctx->next->prev = ctx->prev;
        ctx->joined = NULL;
    }
    mound_mutex_unlock(&parent->lock);
}

static void end(mound_ctx *ctx, int error) {
    mound_mutex_lock(&ctx->lock);
    bool is_first = ctx->error == 0;
    mound_ctx *child = NULL;
    if (is_first) {
        mo_store_rel(&ctx->error, error); /* [E] before done is closed [E] */
        mound_close(ctx->done);
        if (ctx->timer) mound_timer_stop(ctx->timer);
        ctx->timer = NULL;
        child = ctx->first;
        ctx->first = NULL;
        for (mound_ctx *c = child; c; c = c->next) c->joined = NULL;
    }
    mound_mutex_unlock(&ctx->lock);
    while (child) {
        mound_ctx *next = child->next;
        end(child, error);
        child = next;
    }
}

static mound_ctx *make(const char *who, mound_ctx *parent) {
    if (!parent) mo_misuse("%s: parent is NULL: pass mound_ctx_background()", who);
    mound_ctx *ctx = mound_new(mound_ctx);
    ctx->above = parent;
    ctx->parent = parent->key ? parent->parent : parent;
    ctx->has_deadline = parent->has_deadline;
    ctx->deadline_ns = parent->deadline_ns;
    return ctx;
}

static void join(mound_ctx *ctx) {
    mound_ctx *parent = ctx->parent;
    if (!parent->done) return; /* it never ends */
    mound_mutex_lock(&parent->lock);
    int error = parent->error;
    if (!error) {
        ctx->joined = parent;
        ctx->next = parent->first;
        if (ctx->next) ctx->next->prev = ctx;
        parent->first = ctx;
    }
    mound_mutex_unlock(&parent->lock);
    if (error) end(ctx, error);
}

static void on_time(void *ctx) {
    end(ctx, -ETIMEDOUT);
    leave_parent(ctx);
}

/* A value's context is only looked up: what ends is the one above. */
mound_ctx *mound_ctx_with_value(mound_ctx *parent, const void *key, void *value) {
    if (!key) mo_misuse("mound_ctx_with_value: the key must not be NULL");
    mound_ctx *ctx = make("mound_ctx_with_value", parent);
    ctx->done = parent->done;
    ctx->key = key;
    ctx->value = value;
    return ctx;
}

mound_ctx *mound_ctx_with_cancel(mound_ctx *parent) {
    mound_ctx *ctx = make("mound_ctx_with_cancel", parent);
    ctx->done = mound_chan_make(char, 0);
    join(ctx);
    return ctx;
}

mound_ctx *mound_ctx_with_deadline(mound_ctx *parent, int64_t when_ns) {
    mound_ctx *ctx = make("mound_ctx_with_deadline", parent);
    bool is_sooner = !ctx->has_deadline || when_ns < ctx->deadline_ns;
    if (is_sooner) {
        ctx->has_deadline = true;
        ctx->deadline_ns = when_ns;
    }
    ctx->done = mound_chan_make(char, 0);
    join(ctx);
    if (!is_sooner) return ctx;
    int64_t ns = when_ns - mound_now_ns();
    if (ns <= 0) {
        on_time(ctx);
        return ctx;
    }
    mound_mutex_lock(&ctx->lock);
    if (!ctx->error) ctx->timer = mound_after_func(ns, on_time, ctx);
    mound_mutex_unlock(&ctx->lock);
    return ctx;
}

mound_ctx *mound_ctx_with_timeout(mound_ctx *parent, int64_t ns) {
    int64_t now = mound_now_ns();
    return mound_ctx_with_deadline(parent, ns > INT64_MAX - now ? INT64_MAX : now + ns);
}

void mound_ctx_cancel(mound_ctx *ctx) {
    if (!ctx || !ctx->done || ctx->key)
        mo_misuse("mound_ctx_cancel(%p): only contexts with a cancel or a time can be cancelled",
                  (void *)ctx);
    end(ctx, -ECANCELED);
    leave_parent(ctx);
}

mound_done_chan mound_ctx_done(const mound_ctx *ctx) { return ctx->done; }

int mound_ctx_error(const mound_ctx *ctx) {
    if (ctx->key) ctx = ctx->parent;
    return mo_load_acq(&ctx->error); /* [E] */
}

int mound_ctx_deadline(const mound_ctx *ctx, int64_t *when_ns) {
    if (ctx->has_deadline && when_ns) *when_ns = ctx->deadline_ns;
    return ctx->has_deadline;
}

void *mound_ctx_value(const mound_ctx *ctx, const void *key) {
    for (; ctx; ctx = ctx->above)
        if (ctx->key == key) return ctx->value;
    return NULL;
}
