/* mound/time.h - sleep, timers, and contexts that end. Included by mound.h.
 *
 * Durations are nanoseconds, negative ones count as 0. The clock is the monotonic one. All but
 * mound_sleep needs a run (mound_run), or ends the process: timers go off in its threads.
 */
#ifndef MOUND_TIME_H
#define MOUND_TIME_H

#define MOUND_NS(n) ((int64_t)(n))
#define MOUND_US(n) ((int64_t)(n)*1000)
#define MOUND_MS(n) ((int64_t)(n)*1000000)
#define MOUND_SEC(n) ((int64_t)(n)*1000000000)

/* Of the monotonic clock. */
MOUND_API int64_t mound_now_ns(void);

/* At least so long. Go: time.Sleep. */
MOUND_API void mound_sleep(int64_t ns);

/* A timer or ticker is an object like any other: collected when nobody has it and it is off. Its
 * channel has one place; a time (mound_now_ns) that finds it taken is dropped. The end of a run
 * (mound_run) turns all off. */
typedef struct mound_timer mound_timer;
typedef MOUND_CHAN(int64_t) mound_time_chan;

/* A channel that gets the time once, after ns. Go: time.After. */
MOUND_API mound_time_chan mound_after(int64_t ns);
/* Go: time.NewTimer, time.NewTicker (ns must be positive, or the process ends). */
MOUND_API mound_timer *mound_timer_new(int64_t ns);
MOUND_API mound_timer *mound_ticker_new(int64_t ns);
/* fn(arg) runs as a goroutine after ns. Go: time.AfterFunc. */
MOUND_API mound_timer *mound_after_func(int64_t ns, void (*fn)(void *arg), void *arg);
MOUND_API mound_time_chan mound_timer_chan(mound_timer *timer); /* NULL for mound_after_func's */
/* Was it on? After either, the channel holds no time of before. reset: a ticker's new period. */
MOUND_API int mound_timer_stop(mound_timer *timer);
MOUND_API int mound_timer_reset(mound_timer *timer, int64_t ns);

/* ---------------------------------------------------------------- contexts */

/* Says when work is to end: its done channel is closed when it is cancelled, when its time is over,
 * or when its parent ends. An object like any other. Go: context.Context. */
typedef struct mound_ctx mound_ctx;
typedef MOUND_CHAN(char) mound_done_chan;

/* Never ends. */
MOUND_API mound_ctx *mound_ctx_background(void);
/* parent: not NULL. */
MOUND_API mound_ctx *mound_ctx_with_cancel(mound_ctx *parent);
MOUND_API mound_ctx *mound_ctx_with_timeout(mound_ctx *parent, int64_t ns);
MOUND_API mound_ctx *mound_ctx_with_deadline(mound_ctx *parent, int64_t when_ns);
/* key: an address of the caller's own; the value is kept alive. */
MOUND_API mound_ctx *mound_ctx_with_value(mound_ctx *parent, const void *key, void *value);
/* Ends it and all that were made from it. Each context with a cancel or a time should be cancelled
 * when its work is over: its parent keeps it until then. */
MOUND_API void mound_ctx_cancel(mound_ctx *ctx);
/* Receives when ctx has ended; NULL for one that never does. */
MOUND_API mound_done_chan mound_ctx_done(const mound_ctx *ctx);
/* 0 while it goes on, else -ECANCELED or -ETIMEDOUT. */
MOUND_API int mound_ctx_error(const mound_ctx *ctx);
/* 1 and its time, or 0: none. */
MOUND_API int mound_ctx_deadline(const mound_ctx *ctx, int64_t *when_ns);
/* The nearest value with that key, or NULL. */
MOUND_API void *mound_ctx_value(const mound_ctx *ctx, const void *key);

#endif
