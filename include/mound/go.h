/* mound/go.h - goroutines: functions that run side by side, on few threads, on stacks of their own
 * that take memory as they need it. Included by mound.h.
 *
 *     static int app(void *args) { ... mound_go(worker, job); ... return 0; }
 *     MOUND_MAIN(app)
 *
 * A goroutine is switched only inside functions of mound whose name says that it may wait: send,
 * recv, select, lock, wait, sleep, gosched, sys_exit. Never in an allocation, and never in the
 * program's own code: one that computes for long keeps its thread, and another thread takes over
 * the others. It may go on in another thread than it was in before such a call: thread-local
 * variables, and the addresses of errno and pthread_self that a compiler keeps, belong to the old
 * one (docs/caveats.md; mound_lock_os_thread keeps a goroutine where it is). The value of errno is
 * the goroutine's.
 *
 * A stack is 256 KiB of address space (MOUND_STACK) of which a few pages are memory. One that
 * overflows ends the process with a line that names the goroutine.
 */
#ifndef MOUND_GO_H
#define MOUND_GO_H

/* Starts the scheduler, runs main_fn(arg) as the first goroutine, on a stack as large as a thread's
 * (RLIMIT_STACK, 8 MiB if that is unlimited), and returns its result. What other goroutines do then
 * is not waited for: each ends where it would be switched next. The calling thread waits meanwhile
 * and serves signals; goroutines run in other threads. May be called again, not from a goroutine.
 * Fails, with a line on stderr: -EBUSY (a run goes on, or a goroutine of the last one is still at
 * work), -ENOMEM, -EINVAL (main_fn is NULL). Go: the bootstrap, runtime.main. */
MOUND_API int mound_run(int (*main_fn)(void *arg), void *arg);

/* The program's main: int app(void *args) as the first goroutine; args is a mound_args. */
typedef struct mound_args {
    int argc;
    char **argv;
} mound_args;
#define MOUND_MAIN(app)                                                                            \
    int main(int argc, char **argv) {                                                              \
        mound_args mound_main_args;                                                                \
        mound_main_args.argc = argc;                                                               \
        mound_main_args.argv = argv;                                                               \
        return mound_run((app), &mound_main_args);                                                 \
    }

/* fn(arg) runs as a goroutine, soon. From goroutines, and from any thread while a run goes on; else
 * the process ends. Ends the process too if memory for a stack is exhausted: mound_go_opt returns
 * instead. Go: the go statement. */
MOUND_API void mound_go(void (*fn)(void *arg), void *arg);
/* The same with a copy of size bytes at value, which lies on the new stack: fn gets its address.
 * The recommended way to pass arguments: nothing is shared. At most half of the stack. */
MOUND_API void mound_go_copy(void (*fn)(void *copy), const void *value, size_t size);

typedef struct mound_go_options {
    size_t stack_bytes; /* 0: the default; at most mound_set_max_stack's */
    const char *name;   /* for reports; must stay; NULL: none */
    int is_pinned;      /* keeps the thread in which it begins, as by mound_lock_os_thread */
    int runs_now;       /* before the caller, who goes on when nothing else is to run: depth first,
                           so that few of a tree of goroutines exist at a time. Without effect
                           where the caller keeps its thread, or is no goroutine */
} mound_go_options;
/* Fails: -EINVAL (fn is NULL, the stack is too large), -ENOMEM, -ENOTCONN (no run goes on). */
MOUND_API int mound_go_opt(const mound_go_options *options, void (*fn)(void *arg), void *arg);

/* Other goroutines go first. Go: runtime.Gosched. */
MOUND_API void mound_gosched(void);
/* Ends the calling goroutine; in the first one: the run goes on without it, and its result is 0
 * when the others have ended. From a thread that is no goroutine the process ends. Go:
 * runtime.Goexit. */
MOUND_API void mound_goexit(void) MOUND_ATTR(noreturn);

/* How many goroutines run at the same time. n < 1 only asks. Returns the old value. Default: the
 * processors that this process may use, by affinity and the control group's quota. At most so many:
 * where goroutines do little but send each other values, fewer work as long as they send more of
 * them so, which is tried out now and then (MOUND_DEBUG=allprocs=1: never). Environment:
 * MOUND_MAXPROCS, 1 to 512. Go: runtime.GOMAXPROCS. */
MOUND_API int mound_gomaxprocs(int n);
/* Goroutines that have not ended; a moment's value. Go: runtime.NumGoroutine. */
MOUND_API int mound_num_goroutine(void);
/* Number of the calling goroutine, from 1, each once per run; 0: no goroutine. */
MOUND_API uint64_t mound_goroutine_id(void);

/* The calling goroutine stays in its thread, and no other runs there, until as many calls of unlock
 * or its end. Without effect in a thread that is no goroutine. Go: runtime.LockOSThread. */
MOUND_API void mound_lock_os_thread(void);
MOUND_API void mound_unlock_os_thread(void);

/* Around a call that may block in the system (read, connect, getaddrinfo): if it takes longer than
 * 20 us and others wait, they run in another thread. Between the two the goroutine must not call
 * anything of mound that may wait. After sys_exit it may be in another thread; errno is kept.
 * Without effect in a thread that is no goroutine. Go: entersyscall, exitsyscall. */
MOUND_API void mound_sys_enter(void);
MOUND_API void mound_sys_exit(void);

/* The most that a goroutine may ask for as its stack: 1 GiB, or less by this. Returns the old
 * value; 0 only asks. Go: debug.SetMaxStack. */
MOUND_API size_t mound_set_max_stack(size_t bytes);

/* Every goroutine to stderr: number, state, what it waits for and how long, where it was created,
 * and the calls it is in. SIGQUIT does the same, then ends the process with status 2. */
MOUND_API void mound_dump_goroutines(void);

#endif
