/* run.c - the exported functions for goroutines. Floor api. */
#include <errno.h>
#include <sys/resource.h>

#include "api/goroutine_handlers.h"
#include "gc/gc.h"
#include "gc/start.h"
#include "mound.h"
#include "sched/backtrace.h"
#include "sched/sched.h"
#include "types/misuse.h"

enum { FIRST_STACK_BYTES = 8 << 20 };

static MO_GLOBAL size_t max_stack_bytes = MO_STACK_MAX_BYTES; /* atomic */

typedef struct first_goroutine {
    int (*main_fn)(void *arg);
    void *arg;
    int result;
} first_goroutine;

/* docs/design/bootstrap.md says what happens in between. */
static void trace_start(void) {
    uint64_t now = mo_clock_ns(), loaded = mo_start_loaded_ns(), begun = mo_the_gc.start_ns;
    uint64_t run = mo_load_rlx(&mo_the_sched.begin_ns); /* constant through a run */
    mo_print(
        "mound: loaded at 0 us, runtime started at %llu, mound_run at %llu, first goroutine at "
        "%llu us; %d processors, stacks of %zu KiB\n",
        (unsigned long long)(begun - loaded) / 1000, (unsigned long long)(run - loaded) / 1000,
        (unsigned long long)(now - loaded) / 1000, mo_the_sched.max_procs,
        mo_the_sched.stack_bytes >> 10);
}

static void run_first(void *arg) {
    first_goroutine *first = arg;
    if (mo_the_gc.debug.inittrace) trace_start();
    first->result = first->main_fn(first->arg);
}

static size_t first_stack_bytes(void) {
    struct rlimit limit;
    size_t bytes = FIRST_STACK_BYTES;
    if (getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        bytes = (size_t)limit.rlim_cur;
    return mo_min(mo_max(bytes, MO_STACK_MIN_BYTES), MO_STACK_MAX_BYTES);
}

static int refuse(int error, const char *why) {
    mo_print("mound: mound_run: %s\n", why);
    return error;
}

int mound_run(int (*main_fn)(void *arg), void *arg) {
    mo_thread *t = mo_start_current();
    if (!main_fn) return refuse(-EINVAL, "the function is NULL");
    if (t->g) mo_misuse("mound_run inside a goroutine: one run at a time");
    mo_goroutine_handlers_install();
    first_goroutine first = {.main_fn = main_fn, .arg = arg};
    int error = mo_sched_run(t, first_stack_bytes(), run_first, &first);
    if (error == -EBUSY) return refuse(error, "a run goes on, or what it left is still at work");
    if (error < 0) return refuse(error, "no memory for the first stack; raise the limit");
    return first.result;
}

static int go(const mound_go_options *o, void (*fn)(void *arg), void *arg, const void *value,
              size_t value_bytes, const void *from) {
    mo_thread *t = mo_start_current();
    if (!fn || o->stack_bytes > mo_load_rlx(&max_stack_bytes)) return -EINVAL; /* a setting */
    if (!mo_load_rlx(&mo_the_sched.is_on)) return -ENOTCONN; /* a glance: as if a moment later */
    mo_go_options inner = {.stack_bytes = o->stack_bytes,
                           .name = o->name,
                           .is_pinned = o->is_pinned != 0,
                           .runs_now = o->runs_now != 0,
                           .value = value,
                           .value_bytes = value_bytes,
                           .created_at = from};
    mo_runtime_enter(t);
    int error = mo_go(t, &inner, fn, arg);
    mo_runtime_leave(mo_thread_now());
    return error;
}

static void must(const char *who, int error) {
    if (MO_LIKELY(error == 0)) return;
    if (error == -ENOTCONN) mo_misuse("%s: no run goes on: call it inside mound_run", who);
    if (error == -EINVAL) mo_misuse("%s: the function is NULL, or the value is too large", who);
    mo_fatal("%s: memory exhausted: no room for the stack of one more goroutine (there are %lld); "
             "raise the limit, or start fewer",
             who, (long long)mo_num_goroutine());
}

static const mound_go_options usual;

void mound_go(void (*fn)(void *arg), void *arg) {
    must("mound_go", go(&usual, fn, arg, NULL, 0, __builtin_return_address(0)));
}

void mound_go_copy(void (*fn)(void *copy), const void *value, size_t size) {
    must("mound_go_copy", go(&usual, fn, NULL, value, size, __builtin_return_address(0)));
}

int mound_go_opt(const mound_go_options *options, void (*fn)(void *arg), void *arg) {
    return go(options ? options : &usual, fn, arg, NULL, 0, __builtin_return_address(0));
}

void mound_gosched(void) {
    mo_thread *t = mo_start_current();
    mo_runtime_enter(t);
    mo_yield(t);
    mo_runtime_leave(mo_thread_now());
}

void mound_goexit(void) {
    mo_thread *t = mo_start_current();
    if (!t->g)
        mo_misuse("mound_goexit: thread %d is no goroutine: return from its function", t->tid);
    mo_runtime_enter(t);
    mo_goexit(t);
}

int mound_gomaxprocs(int n) {
    mo_thread *t = mo_start_current();
    mo_runtime_enter(t);
    int old = mo_set_max_procs(t, n);
    mo_runtime_leave(t);
    return old;
}

int mound_num_goroutine(void) {
    mo_start_current();
    int64_t num = mo_num_goroutine();
    return num > INT32_MAX ? INT32_MAX : num < 0 ? 0 : (int)num;
}

uint64_t mound_goroutine_id(void) {
    const mo_g *g = mo_start_current()->g;
    return g ? g->id : 0;
}

void mound_lock_os_thread(void) {
    mo_thread *t = mo_start_current();
    mo_runtime_enter(t);
    mo_lock_thread(t);
    mo_runtime_leave(t);
}

void mound_unlock_os_thread(void) {
    mo_thread *t = mo_start_current();
    mo_runtime_enter(t);
    mo_unlock_thread(t);
    mo_runtime_leave(t);
}

void mound_sys_enter(void) {
    mo_thread *t = mo_start_current();
    mo_runtime_enter(t);
    mo_sys_enter(t);
    mo_runtime_leave(t);
}

void mound_sys_exit(void) {
    mo_thread *t = mo_start_current();
    mo_runtime_enter(t);
    mo_sys_exit(t);
    mo_runtime_leave(mo_thread_now());
}

size_t mound_set_max_stack(size_t bytes) {
    size_t old = mo_load_rlx(&max_stack_bytes); /* a setting */
    if (bytes > 0) mo_store_rlx(&max_stack_bytes, mo_min(bytes, MO_STACK_MAX_BYTES)); /* likewise */
    return old;
}

void mound_dump_goroutines(void) {
    mo_thread *t = mo_start_current();
    mo_goroutines_dump_safely(t);
}
