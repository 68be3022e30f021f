/* thread_test.c - how threads come, what of theirs is a root, and how they go. modes: gc */
#define _GNU_SOURCE
#include "hold.h"

#include <dirent.h>
#include <dlfcn.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <threads.h>

#include "sched/interpose.h"
#include "sched/runtime_thread.h"

/* ---------------------------------------------------------------- before mound's first use */

/* A thread that exists before mound has started, and never calls it. */
static int early_phase;
static uintptr_t early_hidden;
static bool early_ok;
static pthread_t early_thread;

static void *early_main(void *arg) {
    (void)arg;
    await(&early_phase, 1);
    node *list = unhide(early_hidden);
    early_hidden = 0;
    STORE(&early_phase, 2);
    await(&early_phase, 3);
    early_ok = list_ok(list, 5, 30);
    return NULL;
}

static NOINLINE void early_give(void) { early_hidden = hide(make_list(5, 30)); }

static void a_thread_made_before_the_first_use_keeps_what_it_is_given(void **state) {
    (void)state;
    early_give();
    clear_stack();
    STORE(&early_phase, 1);
    await(&early_phase, 2);
    collect(10);
    STORE(&early_phase, 3);
    pthread_join(early_thread, NULL);
    assert_true(early_ok);
}

/* ---------------------------------------------------------------- coming */

typedef struct job {
    node *list;
    uint64_t seed;
    int *bad;
    mound_weak weak;
} job;

static void *check_job(void *arg) {
    job *j = arg;
    /* Freed memory may look well until it is used again; the weak pointer tells at once. */
    if (mound_weak_get(j->weak) != j->list) __atomic_add_fetch(j->bad, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < 3; i++) {
        if (!list_ok(j->list, j->seed, 10)) __atomic_add_fetch(j->bad, 1, __ATOMIC_RELAXED);
        j->list = make_list(j->seed, 10);
    }
    return NULL;
}

static NOINLINE bool start_job(pthread_t *thread, uint64_t seed, int *bad) {
    job *j = mound_new(job);
    *j = (job){make_list(seed, 10), seed, bad, {NULL}};
    j->weak = mound_weak_make(j->list);
    return pthread_create(thread, NULL, check_job, j) == 0;
}

static void the_argument_of_a_new_thread_is_kept(void **state) {
    (void)state;
    static int bad;
    enum { THREADS = 300, AT_ONCE = 10 };
    pthread_t storm = storm_begin(), thread[AT_ONCE];
    for (int i = 0; i < THREADS; i += AT_ONCE) {
        for (int k = 0; k < AT_ONCE; k++)
            assert_true(start_job(&thread[k], (uint64_t)i + (uint64_t)k, &bad));
        clear_stack();
        for (int k = 0; k < AT_ONCE; k++) pthread_join(thread[k], NULL);
    }
    storm_end(storm);
    assert_int_equal(bad, 0);
}

static int check_c11(void *arg) {
    job *j = arg;
    collect(1);
    return list_ok(j->list, j->seed, 10) ? -77 : 1;
}

static NOINLINE int start_c11(thrd_t *thread) {
    job *j = mound_new(job);
    *j = (job){make_list(9, 10), 9, NULL, {NULL}};
    return thrd_create(thread, check_c11, j);
}

static void thrd_create_passes_argument_and_result(void **state) {
    (void)state;
    skip_under_tsan("it does not know threads made by thrd_create");
    for (int i = 0; i < 20; i++) {
        thrd_t thread;
        int result = 0;
        assert_int_equal(start_c11(&thread), thrd_success);
        clear_stack();
        collect(1);
        assert_int_equal(thrd_join(thread, &result), thrd_success);
        assert_int_equal(result, -77);
    }
}

static timer_t timer;
static int timer_calls, timer_bad;

/* Once: a timer that repeats by itself makes threads faster than a slow collector lets them end. */
static void timer_start(void) {
    struct itimerspec once = {.it_value = {0, 1000000}};
    timer_settime(timer, 0, &once, NULL);
}

static void on_timer(union sigval value) {
    node *list = make_list((uint64_t)value.sival_int, 50);
    collect(1);
    if (!list_ok(list, (uint64_t)value.sival_int, 50))
        __atomic_add_fetch(&timer_bad, 1, __ATOMIC_RELAXED);
    timer_start();
    __atomic_add_fetch(&timer_calls, 1, __ATOMIC_RELEASE);
}

static void timer_callbacks_in_threads_of_libc_may_allocate(void **state) {
    (void)state;
    skip_under_tsan("it does not know threads that libc makes for itself");
    enum { CALLS = 30 };
    struct sigevent event = {.sigev_notify = SIGEV_THREAD};
    event.sigev_notify_function = on_timer;
    event.sigev_value.sival_int = 12;
    assert_int_equal(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    timer_start();
    while (LOAD(&timer_calls) < CALLS) collect(1);
    timer_delete(timer);
    assert_int_equal(timer_bad, 0);
}

static void *attached_main(void *arg) {
    holder *h = arg;
    mound_thread_attach();
    STORE(&h->extra, 1);
    await(&h->extra, 2);
    node *list = hold_take(h);
    STORE(&h->phase, 1);
    await(&h->phase, 2);
    h->ok = list_ok(list, HOLD_SEED, HOLD_LEN);
    mound_thread_detach();
    return NULL;
}

static void a_foreign_thread_may_attach_and_detach(void **state) {
    (void)state;
    for (int i = 0; i < 5; i++) {
        holder h = {.phase = 0};
        assert_int_equal(mo_real_pthread_create(&h.thread, NULL, attached_main, &h), 0);
        await(&h.extra, 1);
        mound_weak w = hold_prepare(&h);
        clear_stack();
        STORE(&h.extra, 2);
        await(&h.phase, 1);
        collect(3);
        bool alive = is_alive(w);
        STORE(&h.phase, 2);
        pthread_join(h.thread, NULL);
        assert_true(alive);
        assert_true(h.ok);
    }
}

/* ---------------------------------------------------------------- stacks */

static void wait_spinning(holder *h) {
    STORE(&h->phase, 1);
    while (LOAD(&h->phase) != 2) sched_yield();
}

/* In memory, in the outermost frame; everything else of the thread lies far below. */
static NOINLINE void *top_main(void *arg) {
    holder *h = arg;
    node *volatile kept = hold_take(h);
    clear_stack();
    h->wait(h);
    h->ok = list_ok(kept, HOLD_SEED, HOLD_LEN);
    return NULL;
}

static NOINLINE void wait_far_below(holder *h) {
    volatile char deep[200 << 10];
    deep[0] = 1;
    wait_spinning(h);
    deep[sizeof deep - 1] = 1;
}

static void the_top_of_a_stack_is_scanned(void **state) {
    (void)state;
    for (int i = 0; i < 5; i++) {
        holder h = {.wait = wait_far_below};
        mound_weak w = hold_prepare(&h);
        clear_stack();
        assert_int_equal(pthread_create(&h.thread, NULL, top_main, &h), 0);
        await(&h.phase, 1);
        collect(3);
        bool alive = is_alive(w);
        STORE(&h.phase, 2);
        pthread_join(h.thread, NULL);
        assert_true(alive);
        assert_true(h.ok);
    }
}

static void a_stack_of_the_users_is_scanned(void **state) {
    (void)state;
    enum { STACK_BYTES = TEST_TSAN ? 2 << 20 : 256 << 10 }; /* its thread-local state is large */
    void *from_mmap = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    void *from_malloc = NULL;
    assert_ptr_not_equal(from_mmap, MAP_FAILED);
    assert_int_equal(posix_memalign(&from_malloc, 4096, STACK_BYTES), 0);
    void *stacks[] = {from_mmap, from_malloc};
    for (int i = 0; i < 2; i++) {
        pthread_attr_t attr;
        pthread_attr_init(&attr);
        assert_int_equal(pthread_attr_setstack(&attr, stacks[i], STACK_BYTES), 0);
        holder h = {.wait = wait_spinning};
        check_held_with(&h, &attr);
        pthread_attr_destroy(&attr);
    }
    munmap(from_mmap, STACK_BYTES);
    free(from_malloc);
}

static void the_whole_of_a_deep_stack_is_scanned(void **state) {
    (void)state;
    holder h = {.wait = wait_far_below};
    check_held_with(&h, NULL);
}

static void *small_main(void *arg) {
    node *list = make_list(3, 20);
    for (int i = 0; i < 20; i++) {
        mound_gc();
        if (!list_ok(list, 3, 20)) __atomic_add_fetch((int *)arg, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void a_thread_with_a_small_stack_may_allocate_and_collect(void **state) {
    (void)state;
    static int bad;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    /* What libc itself demands, and 16 KiB for us and our signal frame. */
    assert_int_equal(
        pthread_attr_setstacksize(&attr, (size_t)sysconf(_SC_THREAD_STACK_MIN) + (16 << 10)), 0);
    pthread_t storm = storm_begin();
    for (int i = 0; i < 10; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, &attr, small_main, &bad), 0);
        pthread_join(thread, NULL);
    }
    storm_end(storm);
    pthread_attr_destroy(&attr);
    assert_int_equal(bad, 0);
}

/* ---------------------------------------------------------------- thread-local storage */

static __thread node *tls_list;

static void *tls_main(void *arg) {
    holder *h = arg;
    tls_list = hold_take(h);
    clear_stack();
    STORE(&h->phase, 1);
    await(&h->phase, 2);
    h->ok = list_ok(tls_list, HOLD_SEED, HOLD_LEN);
    return NULL;
}

static void a_thread_local_variable_is_a_root(void **state) {
    (void)state;
    holder h = {.phase = 0};
    mound_weak w = hold_prepare(&h);
    tls_list = make_list(6, 20); /* and in this thread */
    clear_stack();
    assert_int_equal(pthread_create(&h.thread, NULL, tls_main, &h), 0);
    await(&h.phase, 1);
    collect(5);
    bool alive = is_alive(w);
    STORE(&h.phase, 2);
    pthread_join(h.thread, NULL);
    assert_true(alive);
    assert_true(h.ok);
    assert_true(list_ok(tls_list, 6, 20));
    tls_list = NULL;
}

/* The second and later blocks of keys stand in memory from malloc. */
enum { KEYS = 70 };
static pthread_key_t keys[KEYS];

static NOINLINE void set_keys(uint64_t seed) {
    for (int i = 0; i < KEYS; i++)
        pthread_setspecific(keys[i], make_list(seed + (uint64_t)i * 100, 5));
}

static NOINLINE bool keys_ok(uint64_t seed) {
    bool ok = true;
    for (int i = 0; i < KEYS; i++)
        ok = ok && list_ok(pthread_getspecific(keys[i]), seed + (uint64_t)i * 100, 5);
    return ok;
}

static void *keys_main(void *arg) {
    holder *h = arg;
    set_keys(100000);
    clear_stack();
    STORE(&h->phase, 1);
    await(&h->phase, 2);
    h->ok = keys_ok(100000);
    return NULL;
}

static void thread_specific_values_are_roots(void **state) {
    (void)state;
    holder h = {.phase = 0};
    for (int i = 0; i < KEYS; i++) assert_int_equal(pthread_key_create(&keys[i], NULL), 0);
    set_keys(200000);
    assert_int_equal(pthread_create(&h.thread, NULL, keys_main, &h), 0);
    await(&h.phase, 1);
    clear_stack();
    collect(5);
    STORE(&h.phase, 2);
    pthread_join(h.thread, NULL);
    bool ok = keys_ok(200000);
    for (int i = 0; i < KEYS; i++) pthread_key_delete(keys[i]);
    assert_true(h.ok);
    assert_true(ok);
}

/* ---------------------------------------------------------------- going */

static void *return_list(void *arg) {
    node *list = make_list(8, 20);
    if (arg) pthread_exit(list);
    return list;
}

static int count_tasks(void) {
    DIR *dir = opendir("/proc/self/task");
    int n = 0;
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

static void check_result_is_kept(void *by_exit) {
    for (int i = 0; i < 5; i++) {
        pthread_t thread;
        void *result = NULL;
        collect(1); /* the library's own threads exist from now on */
        int before = count_tasks();
        assert_int_equal(pthread_create(&thread, NULL, return_list, by_exit), 0);
        while (count_tasks() > before) sleep_us(100);
        collect(3);
        pthread_join(thread, &result);
        assert_true(list_ok(result, 8, 20));
    }
}

static void a_result_lives_until_the_join(void **state) {
    (void)state;
    check_result_is_kept(NULL);
}

static void a_result_of_pthread_exit_lives_until_the_join(void **state) {
    (void)state;
    check_result_is_kept("yes");
}

static int detached_done;

static void *detached_main(void *arg) {
    node *list = make_list(4, 20);
    collect(1);
    if (!list_ok(list, 4, 20)) __atomic_add_fetch((int *)arg, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&detached_done, 1, __ATOMIC_RELEASE);
    pthread_exit(NULL);
}

static void detached_threads_come_and_go(void **state) {
    (void)state;
    enum { THREADS = 50 };
    static int bad;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    for (int i = 0; i < THREADS; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, &attr, detached_main, &bad), 0);
    }
    while (LOAD(&detached_done) < THREADS) collect(1);
    pthread_attr_destroy(&attr);
    assert_int_equal(bad, 0);
}

static int cancel_cleaned;

static void on_cancel(void *arg) {
    if (list_ok(arg, 2, 20) && list_ok(make_list(3, 10), 3, 10))
        __atomic_add_fetch(&cancel_cleaned, 1, __ATOMIC_RELAXED);
}

static void *cancelled_main(void *arg) {
    node *list = make_list(2, 20);
    pthread_cleanup_push(on_cancel, list);
    STORE((int *)arg, 1);
    for (;;) {
        make_list(1, 5);
        pthread_testcancel();
    }
    pthread_cleanup_pop(0);
    return NULL;
}

static void cancelled_threads_clean_up_and_leave(void **state) {
    (void)state;
    enum { THREADS = 30 };
    pthread_t storm = storm_begin();
    for (int i = 0; i < THREADS; i++) {
        pthread_t thread;
        int phase = 0;
        void *result = NULL;
        assert_int_equal(pthread_create(&thread, NULL, cancelled_main, &phase), 0);
        await(&phase, 1);
        pthread_cancel(thread);
        pthread_join(thread, &result);
        assert_ptr_equal(result, PTHREAD_CANCELED);
    }
    storm_end(storm);
    assert_int_equal(cancel_cleaned, THREADS);
}

/* A collection is no cancellation point: it would end with locks held. */
static void *pending_main(void *arg) {
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    pthread_cancel(pthread_self());
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    for (int i = 0; i < 5; i++) mound_gc();
    for (int i = 0; i < 1000; i++) make_list(1, 100);
    mound_mem_stats stats = {.struct_bytes = sizeof stats};
    mound_read_mem_stats(&stats);
    STORE((int *)arg, 1);
    pthread_testcancel();
    return NULL;
}

static void no_call_is_a_cancellation_point(void **state) {
    (void)state;
    pthread_t thread;
    int reached_end = 0;
    void *result = NULL;
    assert_int_equal(pthread_create(&thread, NULL, pending_main, &reached_end), 0);
    pthread_join(thread, &result);
    collect(1);
    assert_ptr_equal(result, PTHREAD_CANCELED);
    assert_int_equal(reached_end, 1);
}

/* Destructors that allocate, and ask to be called again, in each round libc grants. One key is
 * older than the library's own, one younger. */
static pthread_key_t old_key, young_key;
static int destructor_calls, destructor_bad;

static void on_destroy(pthread_key_t key, void *value) {
    node *list = value;
    if (!list_ok(list, 11, 10)) __atomic_add_fetch(&destructor_bad, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&destructor_calls, 1, __ATOMIC_RELAXED);
    pthread_setspecific(key, make_list(11, 10));
}
static void destroy_old(void *value) { on_destroy(old_key, value); }
static void destroy_young(void *value) { on_destroy(young_key, value); }

static void *destructor_main(void *arg) {
    (void)arg;
    pthread_setspecific(old_key, make_list(11, 10));
    pthread_setspecific(young_key, make_list(11, 10));
    return NULL;
}

/* The last destructor of all takes its time, while what its value reaches is nobody else's. */
static pthread_key_t slow_key;
static int slow_calls, slow_bad;

static void destroy_slowly(void *value) {
    uintptr_t round = ((node *)value)->value; /* read by us alone */
    sleep_us(round == PTHREAD_DESTRUCTOR_ITERATIONS ? 3000 : 0);
    if (!list_ok(value, round, 10)) __atomic_add_fetch(&slow_bad, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&slow_calls, 1, __ATOMIC_RELAXED);
    if (round < PTHREAD_DESTRUCTOR_ITERATIONS)
        pthread_setspecific(slow_key, make_list(round + 1, 10));
}

static void *slow_main(void *arg) {
    (void)arg;
    pthread_setspecific(slow_key, make_list(1, 10));
    return NULL;
}

static void what_the_last_destructor_gets_is_kept(void **state) {
    (void)state;
    skip_under_tsan("it ends its side of a thread before the last round of destructors");
    enum { THREADS = 40 };
    assert_int_equal(pthread_key_create(&slow_key, destroy_slowly), 0);
    pthread_t storm = storm_begin();
    for (int i = 0; i < THREADS; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, slow_main, NULL), 0);
        pthread_join(thread, NULL);
    }
    storm_end(storm);
    pthread_key_delete(slow_key);
    assert_int_equal(slow_bad, 0);
    assert_int_equal(slow_calls, THREADS * PTHREAD_DESTRUCTOR_ITERATIONS);
}

static void destructors_may_allocate_in_every_round(void **state) {
    (void)state;
    skip_under_tsan("it ends its side of a thread before the last round of destructors");
    enum { THREADS = 400, AT_ONCE = 8 };
    assert_int_equal(pthread_key_create(&young_key, destroy_young), 0);
    pthread_t storm = storm_begin(), thread[AT_ONCE];
    for (int i = 0; i < THREADS; i += AT_ONCE) {
        for (int k = 0; k < AT_ONCE; k++)
            assert_int_equal(pthread_create(&thread[k], NULL, destructor_main, NULL), 0);
        for (int k = 0; k < AT_ONCE; k++) pthread_join(thread[k], NULL);
    }
    storm_end(storm);
    pthread_key_delete(young_key);
    assert_int_equal(destructor_bad, 0);
    assert_int_equal(destructor_calls, THREADS * 2 * PTHREAD_DESTRUCTOR_ITERATIONS);
    mound_mem_stats stats = {.struct_bytes = sizeof stats};
    mound_gc();
    mound_read_mem_stats(&stats);
    assert_in_range(stats.num_threads, 1, 5); /* none of the dead is left in the registry */
}

/* Objects of all small sizes, so that the cache holds many spans. */
static void *many_sizes_main(void *arg) {
    (void)arg;
    for (size_t size = 16; size <= 4096; size *= 2) {
        memset(mound_alloc(size), 1, size);
        memset(mound_alloc_noscan(size), 1, size);
    }
    return NULL;
}

static void a_thread_that_ends_gives_its_cache_back(void **state) {
    (void)state;
    enum { WARM = 50, THREADS = 1000, OBJECTS = 2 * 9 };
    mound_mem_stats before = {.struct_bytes = sizeof before}, after = before;
    int percent = mound_set_gc_percent(-1);
    for (int i = 0; i < WARM + THREADS; i++) {
        pthread_t thread;
        if (i == WARM) {
            mound_gc();
            mound_read_mem_stats(&before);
        }
        if (i % 100 == 0) mound_gc();
        assert_int_equal(pthread_create(&thread, NULL, many_sizes_main, NULL), 0);
        pthread_join(thread, NULL);
    }
    mound_read_mem_stats(&after);
    assert_int_equal(after.num_threads, before.num_threads); /* they left by themselves */
    mound_gc();
    mound_read_mem_stats(&after);
    mound_set_gc_percent(percent);
    uint64_t mallocs = after.num_mallocs - before.num_mallocs;
    /* Each thread also has a start record. */
    assert_in_range(mallocs, THREADS * OBJECTS, THREADS * (OBJECTS + 1) + 100);
    assert_in_range(after.heap_inuse_bytes, 0, before.heap_inuse_bytes + (1 << 20));
    assert_in_range(after.heap_objects, 0, before.heap_objects + 200);
    assert_int_equal(after.num_threads, before.num_threads);
    assert_in_range(after.metadata_bytes, 0, before.metadata_bytes + (1 << 20));
}

/* ---------------------------------------------------------------- the library's own threads */

/* The slice the scheduler gives a thread; 0 where the kernel does not tell (Linux before 6.12). */
static uint64_t slice_of(long tid) {
    mo_slice_attr attr = {0};
    assert_int_equal(syscall(SYS_sched_getattr, tid, &attr, sizeof attr, 0), 0);
    return attr.slice_ns;
}

static bool may_set_slices(void) {
    mo_slice_attr attr = {0};
    return syscall(SYS_sched_getattr, 0, &attr, sizeof attr, 0) == 0 &&
           syscall(SYS_sched_setattr, 0, &attr, 0) == 0;
}

static bool computes_for_long(const char *tid) {
    char path[300], name[32] = "";
    snprintf(path, sizeof path, "/proc/self/task/%s/comm", tid);
    FILE *f = fopen(path, "r");
    bool ok = f && fgets(name, sizeof name, f);
    if (f) fclose(f);
    return ok && (!strncmp(name, "mound-mark", 10) || !strncmp(name, "mound-gc", 8) ||
                  !strncmp(name, "mound-back", 10));
}

static void who_wakes_goes_before_the_collectors_threads(void **state) {
    (void)state;
    uint64_t ours = slice_of(0);
    if (ours == 0 || sched_getscheduler(0) != SCHED_OTHER || !may_set_slices()) {
        print_message("skipped: the kernel tells no slice (%llu) or lets nobody set it, or another "
                      "policy is in force\n",
                      (unsigned long long)ours);
        skip();
    }
    static node *list; /* a heap for which a second mark worker is woken */
    list = make_list(6, 200000);
    mound_gc();
    mound_gc();
    DIR *dir = opendir("/proc/self/task");
    assert_non_null(dir);
    int num = 0;
    for (struct dirent *e; (e = readdir(dir));)
        if (computes_for_long(e->d_name)) {
            assert_true(slice_of(atol(e->d_name)) > ours);
            num++;
        }
    closedir(dir);
    print_message("%d threads of the collector with longer slices than %llu ns\n", num,
                  (unsigned long long)ours);
    assert_true(num > 0);
    assert_true(list_ok(list, 6, 200000));
    list = NULL;
}

/* Between a thread's start and its naming by another it may end. */
int pthread_setname_np(pthread_t thread, const char *name) {
    int (*real)(pthread_t, const char *) =
        (int (*)(pthread_t, const char *))dlsym(RTLD_NEXT, "pthread_setname_np");
    if (!pthread_equal(thread, pthread_self())) usleep(50000);
    return real(thread, name);
}

static void *end_at_once(void *arg) {
    if (arg) STORE((int *)arg, 1);
    return NULL;
}

/* libc unmaps the stacks of threads that have ended when others come or go. */
static void *come_and_go(void *is_over) {
    while (!LOAD((int *)is_over)) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, end_at_once, NULL) != 0) abort();
        pthread_join(thread, NULL);
    }
    return NULL;
}

static void a_thread_of_the_library_may_end_at_once(void **state) {
    (void)state;
    enum { STACK_BYTES = 64 << 20 }; /* more than libc keeps of threads that have ended */
    static int has_run, is_over;
    pthread_t others;
    assert_int_equal(pthread_create(&others, NULL, come_and_go, &is_over), 0);
    assert_true(mo_runtime_thread_start(STACK_BYTES, end_at_once, &has_run));
    await(&has_run, 1);
    STORE(&is_over, 1);
    pthread_join(others, NULL);
}

int main(void) {
    watchdog();
    pthread_key_create(&old_key, destroy_old); /* before the library makes its own */
    pthread_create(&early_thread, NULL, early_main, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_made_before_the_first_use_keeps_what_it_is_given),
        cmocka_unit_test(the_argument_of_a_new_thread_is_kept),
        cmocka_unit_test(thrd_create_passes_argument_and_result),
        cmocka_unit_test(timer_callbacks_in_threads_of_libc_may_allocate),
        cmocka_unit_test(a_foreign_thread_may_attach_and_detach),
        cmocka_unit_test(the_top_of_a_stack_is_scanned),
        cmocka_unit_test(a_stack_of_the_users_is_scanned),
        cmocka_unit_test(the_whole_of_a_deep_stack_is_scanned),
        cmocka_unit_test(a_thread_with_a_small_stack_may_allocate_and_collect),
        cmocka_unit_test(a_thread_local_variable_is_a_root),
        cmocka_unit_test(thread_specific_values_are_roots),
        cmocka_unit_test(a_result_lives_until_the_join),
        cmocka_unit_test(a_result_of_pthread_exit_lives_until_the_join),
        cmocka_unit_test(detached_threads_come_and_go),
        cmocka_unit_test(cancelled_threads_clean_up_and_leave),
        cmocka_unit_test(no_call_is_a_cancellation_point),
        cmocka_unit_test(destructors_may_allocate_in_every_round),
        cmocka_unit_test(what_the_last_destructor_gets_is_kept),
        cmocka_unit_test(a_thread_that_ends_gives_its_cache_back),
        cmocka_unit_test(who_wakes_goes_before_the_collectors_threads),
        cmocka_unit_test(a_thread_of_the_library_may_end_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
