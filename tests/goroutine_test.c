/* goroutine_test.c - goroutines run, wait, end, keep what they hold, and are named when they fail.
 * modes: gc
 */
#include "run.h"

#include <pthread.h>
#include <sys/syscall.h>

static int tid(void) { return (int)syscall(SYS_gettid); }

/* ---------------------------------------------------------------- run, go, end */

static int give_back(void *arg) { return *(int *)arg; }

static void run_returns_the_result_of_the_first_goroutine(void **state) {
    (void)state;
    for (int i = 0; i < 20; i++) assert_int_equal(mound_run(give_back, &i), i);
}

static int nested_app(void *arg) {
    (void)arg;
    return 0;
}
static void a_run_without_a_function_is_refused(void **state) {
    (void)state;
    assert_int_equal(mound_run(NULL, NULL), -EINVAL);
    assert_int_equal(mound_run(nested_app, NULL), 0);
}

static void add_one(void *arg) { ADD((int *)arg, 1); }

static int all_goroutines_run_app(void *arg) {
    (void)arg;
    enum { NUM = 5000 };
    int count = 0, num = (int)test_steps(NUM);
    for (int i = 0; i < num; i++) mound_go(add_one, &count);
    while (LOAD(&count) < num) mound_gosched();
    while (mound_num_goroutine() > 1) mound_gosched();
    return 0;
}
IN_RUN(all_goroutines_run)

typedef MOUND_CHAN(int) int_chan;
typedef struct talk {
    int_chan to, from;
    int is_over, num_rounds;
} talk;
static void answer(void *arg) {
    talk *k = arg;
    for (int v; mound_recv(k->to, &v);) mound_send(k->from, v);
}
static void note_over(void *arg) { STORE(&((talk *)arg)->is_over, 1); }

/* Each of the two is what the other has just made ready. */
static int two_that_wake_each_other_leave_turns_to_others_app(void *arg) {
    (void)arg;
    enum { MOST = 100000 };
    int old = mound_gomaxprocs(1);
    talk k = {mound_chan_make(int, 0), mound_chan_make(int, 0), 0, 0};
    mound_go(answer, &k);
    mound_gosched();
    for (int i = 0; i < 3; i++) {
        STORE(&k.is_over, 0);
        mound_go(note_over, &k);
        for (int v, n = 0; !LOAD(&k.is_over); n++) {
            mound_send(k.to, n);
            must(mound_recv(k.from, &v) && v == n);
            must(n < MOST);
        }
    }
    mound_close(k.to);
    mound_gomaxprocs(old);
    return 0;
}
IN_RUN(two_that_wake_each_other_leave_turns_to_others)

typedef struct job {
    char text[200];
    int *count;
} job;
static void check_copy(void *copy) {
    job *j = copy;
    must((uintptr_t)j % 16 == 0);
    for (int i = 0; i < 200; i++) must(j->text[i] == 'x');
    ADD(j->count, 1);
}
static int a_copy_belongs_to_the_goroutine_app(void *arg) {
    (void)arg;
    int count = 0;
    for (int i = 0; i < 100; i++) {
        job j = {.count = &count};
        memset(j.text, 'x', sizeof j.text);
        mound_go_copy(check_copy, &j, sizeof j);
        memset(j.text, 'y', sizeof j.text);
    }
    while (LOAD(&count) < 100) mound_gosched();
    return 0;
}
IN_RUN(a_copy_belongs_to_the_goroutine)

static void end_early(void *arg) {
    ADD((int *)arg, 1);
    mound_goexit();
    abort();
}
static int goexit_ends_only_the_caller_app(void *arg) {
    (void)arg;
    int count = 0;
    for (int i = 0; i < 100; i++) mound_go(end_early, &count);
    while (mound_num_goroutine() > 1) mound_gosched();
    must(LOAD(&count) == 100);
    return 0;
}
IN_RUN(goexit_ends_only_the_caller)

static void end_later(void *arg) {
    mound_sleep(MOUND_MS(5));
    ADD((int *)arg, 1);
}
static int leaves_count;
static int first_leaves_app(void *arg) {
    (void)arg;
    for (int i = 0; i < 5; i++) mound_go(end_later, &leaves_count);
    mound_goexit();
}
static void the_first_one_may_leave_before_the_others(void **state) {
    (void)state;
    leaves_count = 0;
    run(first_leaves_app, NULL);
    assert_int_equal(leaves_count, 5);
}

static void block_for_ever(void *arg) { mound_recv_any((MOUND_CHAN(int))arg); }
static int leave_others_app(void *arg) {
    (void)arg;
    MOUND_CHAN(int) never = mound_chan_make(int, 0);
    for (int i = 0; i < 50; i++) mound_go(block_for_ever, (void *)never);
    mound_gosched();
    must(mound_num_goroutine() == 51);
    return 0;
}
static int count_app(void *arg) {
    (void)arg;
    must(mound_num_goroutine() == 1);
    must(mound_goroutine_id() == 1);
    return 0;
}
static void others_end_with_the_run_and_the_next_starts_afresh(void **state) {
    (void)state;
    for (int i = 0; i < 5; i++) {
        run(leave_others_app, NULL);
        run(count_app, NULL);
    }
}

static void nothing(void *arg) { (void)arg; }
static int options_are_checked_app(void *arg) {
    (void)arg;
    mound_go_options o = {0};
    must(mound_go_opt(NULL, NULL, NULL) == -EINVAL);
    o.stack_bytes = (size_t)1 << 40;
    must(mound_go_opt(&o, nothing, NULL) == -EINVAL);
    size_t old = mound_set_max_stack(1 << 20);
    must(old == (size_t)1 << 30 && mound_set_max_stack(0) == 1 << 20);
    o.stack_bytes = 2 << 20;
    must(mound_go_opt(&o, nothing, NULL) == -EINVAL);
    mound_set_max_stack(old);
    must(mound_go_opt(&o, nothing, NULL) == 0);
    must(mound_gomaxprocs(0) >= 1);
    int procs = mound_gomaxprocs(1000000000);
    must(mound_gomaxprocs(procs) == 512);
    return 0;
}
IN_RUN(options_are_checked)

static int before_app_seen;
static void note_before(void *arg) { before_app_seen = *(int *)arg; }
static int work_first_app(void *arg) {
    (void)arg;
    int procs = mound_gomaxprocs(1), value = 7;
    mound_sleep(MOUND_MS(20)); /* until the other processor is given up */
    mound_go_options o = {.runs_now = 1};
    must(mound_go_opt(&o, note_before, &value) == 0);
    must(before_app_seen == 7);
    mound_gomaxprocs(procs);
    return 0;
}
IN_RUN(work_first)

static int most_live, num_leaves;
static void grow_tree(void *arg) {
    int depth = *(const int *)arg - 1;
    int live = (int)mound_num_goroutine();
    if (live > most_live) most_live = live;
    num_leaves += depth < 0;
    mound_go_options o = {.runs_now = 1};
    for (int i = 0; depth >= 0 && i < 8; i++) must(mound_go_opt(&o, grow_tree, &depth) == 0);
}
static int work_first_goes_depth_first_app(void *arg) {
    (void)arg;
    int procs = mound_gomaxprocs(1), depth = 4;
    mound_sleep(MOUND_MS(20)); /* until the other processor is given up */
    most_live = num_leaves = 0;
    grow_tree(&depth);
    while (mound_num_goroutine() > 1) mound_gosched();
    must(num_leaves == 8 * 8 * 8 * 8);
    /* The path to a leaf; where the ring has its turn an ancestor goes on beside it. */
    must(most_live < 64);
    mound_gomaxprocs(procs);
    return 0;
}
IN_RUN(work_first_goes_depth_first)

static void set_flag(void *arg) { STORE((int *)arg, 1); }
static int work_first_does_not_keep_others_waiting_app(void *arg) {
    (void)arg;
    int procs = mound_gomaxprocs(1), flag = 0, count = 0;
    mound_go_options o = {.runs_now = 1};
    mound_go(set_flag, &flag);
    mound_go(add_one, &count); /* the other is not the next any more */
    for (int i = 0; i < 10000 && !LOAD(&flag); i++) must(mound_go_opt(&o, add_one, &count) == 0);
    must(LOAD(&flag));
    while (mound_num_goroutine() > 1) mound_gosched();
    mound_gomaxprocs(procs);
    return 0;
}
IN_RUN(work_first_does_not_keep_others_waiting)

static void yield_until(void *flag) {
    while (!LOAD((int *)flag)) mound_gosched();
}
static int those_who_yield_do_not_keep_a_creator_waiting_app(void *arg) {
    (void)arg;
    int procs = mound_gomaxprocs(1), flag = 0, count = 0;
    mound_go_options o = {.runs_now = 1};
    mound_go(yield_until, &flag);
    mound_go(yield_until, &flag);
    mound_gosched();
    must(mound_go_opt(&o, add_one, &count) == 0);
    STORE(&flag, 1);
    while (mound_num_goroutine() > 1) mound_gosched();
    mound_gomaxprocs(procs);
    return 0;
}
IN_RUN(those_who_yield_do_not_keep_a_creator_waiting)

static int child_tid;
static void note_tid(void *arg) {
    (void)arg;
    STORE(&child_tid, tid());
}
static int work_first_leaves_a_locked_thread_alone_app(void *arg) {
    (void)arg;
    mound_go_options o = {.runs_now = 1};
    STORE(&child_tid, 0);
    mound_lock_os_thread();
    must(mound_go_opt(&o, note_tid, NULL) == 0);
    while (LOAD(&child_tid) == 0) mound_gosched();
    must(LOAD(&child_tid) != tid());
    mound_unlock_os_thread();
    return 0;
}
IN_RUN(work_first_leaves_a_locked_thread_alone)

/* ---------------------------------------------------------------- who runs where */

static int is_stopped;
static void compute(void *arg) {
    while (!LOAD(&is_stopped)) ADD((long *)arg, 1);
}
static int one_that_computes_does_not_stop_the_others_app(void *arg) {
    (void)arg;
    int procs = mound_gomaxprocs(1);
    long spins = 0;
    int count = 0;
    STORE(&is_stopped, 0);
    for (int i = 0; i < 3; i++) mound_go(compute, &spins);
    for (int i = 0; i < 10; i++) {
        mound_go(add_one, &count);
        mound_sleep(MOUND_MS(1));
    }
    while (LOAD(&count) < 10) mound_gosched();
    STORE(&is_stopped, 1);
    while (mound_num_goroutine() > 1) mound_sleep(MOUND_MS(1));
    mound_gomaxprocs(procs);
    return 0;
}
IN_RUN(one_that_computes_does_not_stop_the_others)

/* Its address is the thread's, which may be another after sys_exit. */
static NOINLINE int errno_now(void) {
    __asm__ volatile("" : : : "memory");
    return errno;
}
static int num_inside, max_inside;
static void wait_in_system(void *arg) {
    mound_sys_enter();
    errno = 77;
    int inside = ADD(&num_inside, 1);
    for (int most = LOAD(&max_inside); most < inside;)
        if (__atomic_compare_exchange_n(&max_inside, &most, inside, 0, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE))
            break;
    usleep(50000);
    ADD(&num_inside, -1);
    errno = 78;
    mound_sys_exit();
    must(errno_now() == 78);
    ADD((int *)arg, 1);
}
static int a_declared_system_call_lets_others_run_app(void *arg) {
    (void)arg;
    int procs = mound_gomaxprocs(1), done = 0;
    for (int i = 0; i < 8; i++) mound_go(wait_in_system, &done);
    while (LOAD(&done) < 8) mound_sleep(MOUND_MS(1));
    must(LOAD(&max_inside) >= 2);
    mound_gomaxprocs(procs);
    return 0;
}
IN_RUN(a_declared_system_call_lets_others_run)

static void call_often(void *arg) {
    for (int i = 0; i < 300; i++) {
        mound_sys_enter();
        usleep(40);
        mound_sys_exit();
        if (i % 8 == 0) mound_gosched();
    }
    ADD((int *)arg, 1);
}
static void yield_on(void *arg) {
    while (LOAD((int *)arg) < 4) mound_gosched();
}
static int short_system_calls_beside_work_app(void *arg) {
    (void)arg;
    int procs = mound_gomaxprocs(1), done = 0;
    for (int i = 0; i < 4; i++) mound_go(call_often, &done);
    for (int i = 0; i < 2; i++) mound_go(yield_on, &done);
    while (mound_num_goroutine() > 1) mound_sleep(MOUND_MS(1));
    mound_gomaxprocs(procs);
    return 0;
}
IN_RUN(short_system_calls_beside_work)

static void stay_in_thread(void *arg) {
    mound_lock_os_thread();
    int mine = tid();
    for (int i = 0; i < 50; i++) {
        mound_gosched();
        must(tid() == mine);
        if (i % 10 == 0) mound_sleep(MOUND_US(100));
        must(tid() == mine);
    }
    mound_unlock_os_thread();
    ADD((int *)arg, 1);
}
static void stay_pinned(void *arg) {
    int mine = tid();
    for (int i = 0; i < 50; i++) {
        mound_gosched();
        must(tid() == mine);
    }
    ADD((int *)arg, 1);
}
static void wander(void *arg) {
    for (int i = 0; i < 200; i++) mound_gosched();
    ADD((int *)arg, 1);
}
static int a_locked_goroutine_stays_in_its_thread_app(void *arg) {
    (void)arg;
    int done = 0;
    mound_go_options o = {.is_pinned = 1};
    for (int i = 0; i < 5; i++) {
        mound_go(stay_in_thread, &done);
        mound_go(wander, &done);
        must(mound_go_opt(&o, stay_pinned, &done) == 0);
    }
    while (LOAD(&done) < 15) mound_sleep(MOUND_MS(1));
    return 0;
}
IN_RUN(a_locked_goroutine_stays_in_its_thread)

static NOINLINE void set_errno(int value) { errno = value; }
static void keep_errno(void *arg) {
    int mine = (int)(uintptr_t)arg;
    set_errno(mine);
    for (int i = 0; i < 100; i++) {
        mound_gosched();
        must(errno_now() == mine);
    }
}
static int errno_is_the_goroutines_app(void *arg) {
    (void)arg;
    for (uintptr_t i = 1; i < 50; i++) mound_go(keep_errno, (void *)i);
    while (mound_num_goroutine() > 1) mound_gosched();
    return 0;
}
IN_RUN(errno_is_the_goroutines)

static void *thread_main(void *arg) {
    MOUND_CHAN(int) *c = arg;
    int v, sum = 0;
    while (mound_recv(c[0], &v)) sum += v;
    mound_send(c[1], sum);
    mound_go(add_one, (void *)c[2]);
    return NULL;
}
static int threads_take_part_app(void *arg) {
    (void)arg;
    static int count;
    count = 0;
    MOUND_CHAN(int)
    c[3] = {mound_chan_make(int, 0), mound_chan_make(int, 0), (MOUND_CHAN(int))(void *)&count};
    pthread_t thread[3];
    for (int i = 0; i < 3; i++) must(pthread_create(&thread[i], NULL, thread_main, c) == 0);
    for (int i = 1; i <= 300; i++) mound_send(c[0], i);
    mound_close(c[0]);
    int sum = 0, v;
    for (int i = 0; i < 3; i++) {
        must(mound_recv(c[1], &v));
        sum += v;
    }
    must(sum == 300 * 301 / 2);
    mound_sys_enter();
    for (int i = 0; i < 3; i++) pthread_join(thread[i], NULL);
    mound_sys_exit();
    while (LOAD(&count) < 3) mound_gosched();
    return 0;
}
IN_RUN(threads_take_part)

/* ---------------------------------------------------------------- what they hold */

typedef struct node {
    struct node *next;
    uint64_t value;
} node;

static NOINLINE node *make_list(uint64_t seed, int len) {
    node *list = NULL;
    for (int i = 0; i < len; i++) {
        node *n = mound_new(node);
        n->next = list;
        n->value = seed + (uint64_t)i;
        list = n;
    }
    return list;
}
static NOINLINE bool list_ok(const node *list, uint64_t seed, int len) {
    for (int i = len - 1; i >= 0; i--, list = list->next)
        if (!list || list->value != seed + (uint64_t)i) return false;
    return !list;
}

typedef struct holder {
    MOUND_CHAN(int) go_on;
    MOUND_CHAN(int) done;
    uint64_t seed;
} holder;

static void hold(void *copy) {
    holder *h = copy;
    node *list = make_list(h->seed, 30);
    int v;
    mound_recv(h->go_on, &v);
    must(list_ok(list, h->seed, 30));
    mound_send(h->done, 1);
}
static void make_garbage(int num) {
    for (int i = 0; i < num; i++) make_list(99, 30);
}
static int what_a_parked_goroutine_holds_is_kept_app(void *arg) {
    (void)arg;
    int num = (int)test_steps(2000);
    holder h = {mound_chan_make(int, 0), mound_chan_make(int, 0), 0};
    for (int i = 0; i < num; i++) {
        h.seed = (uint64_t)i * 1000;
        mound_go_copy(hold, &h, sizeof h);
    }
    for (int i = 0; i < 3; i++) {
        mound_gosched();
        mound_gc();
        make_garbage((int)test_steps(20000));
    }
    for (int i = 0; i < num; i++) mound_send(h.go_on, 0);
    int v;
    for (int i = 0; i < num; i++) mound_recv(h.done, &v);
    return 0;
}
IN_RUN(what_a_parked_goroutine_holds_is_kept)

static void take_list(void *arg) { must(list_ok(arg, 5, 30)); }
static int the_argument_of_one_that_has_not_begun_is_kept_app(void *arg) {
    (void)arg;
    int procs = mound_gomaxprocs(1);
    for (int i = 0; i < 100; i++) mound_go(take_list, make_list(5, 30));
    mound_gc();
    make_garbage(2000);
    while (mound_num_goroutine() > 1) mound_gosched();
    mound_gomaxprocs(procs);
    return 0;
}
IN_RUN(the_argument_of_one_that_has_not_begun_is_kept)

/* The child writes into its parent's frame while the parent waits. */
typedef struct frame {
    node *list;
    MOUND_CHAN(int) done;
} frame;
static void store_in_parent(void *arg) {
    frame *f = arg;
    f->list = make_list(f->list->value, 30);
    mound_send(f->done, 1);
}
static void parent(void *arg) {
    for (int i = 0; i < 20; i++) {
        frame f = {make_list(1000, 1), mound_chan_make(int, 0)};
        int v;
        mound_go(store_in_parent, &f);
        mound_recv(f.done, &v);
        make_garbage(20);
        must(list_ok(f.list, 1000, 30));
    }
    ADD((int *)arg, 1);
}
static int collect_on;
static void keep_collecting(void *arg) {
    while (LOAD(&collect_on)) mound_gc();
    ADD((int *)arg, 1);
}
static int what_a_child_stores_in_its_parents_frame_is_kept_app(void *arg) {
    (void)arg;
    int done = 0, ended = 0, num = (int)test_steps(100);
    STORE(&collect_on, 1);
    mound_go(keep_collecting, &ended);
    for (int i = 0; i < num; i++) mound_go(parent, &done);
    while (LOAD(&done) < num) mound_sleep(MOUND_MS(1));
    STORE(&collect_on, 0);
    while (!LOAD(&ended)) mound_sleep(MOUND_MS(1));
    return 0;
}
IN_RUN(what_a_child_stores_in_its_parents_frame_is_kept)

/* Four that allocate in long loops on two processors: one owner for each cache. */
static void allocate_on(void *arg) {
    int64_t end = mound_now_ns() + *(int64_t *)arg;
    for (uint64_t i = 0; mound_now_ns() < end; i++) must(list_ok(make_list(i, 50), i, 50));
}
static int four_that_allocate_for_long_on_two_processors_app(void *arg) {
    (void)arg;
    const char *seconds = getenv("MOUND_TEST_LONG_SECONDS");
    int procs = mound_gomaxprocs(2), count = 0;
    int64_t ns = seconds ? MOUND_SEC(atoi(seconds)) : MOUND_MS(400);
    for (int i = 0; i < 4; i++) mound_go(allocate_on, &ns);
    while (mound_num_goroutine() > 1) {
        mound_go(add_one, &count);
        mound_sleep(MOUND_MS(5));
    }
    must(count > 3);
    mound_gomaxprocs(procs);
    return 0;
}
IN_RUN(four_that_allocate_for_long_on_two_processors)

/* ---------------------------------------------------------------- stacks */

static NOINLINE int deep(int n) {
    volatile char local[1000];
    memset((char *)local, n, sizeof local);
    return n == 0 ? 0 : 1 + deep(n - 1) + local[5] * 0;
}
static void go_deep(void *arg) { must(deep(*(int *)arg) == *(int *)arg); }
static int stacks_of_any_size_app(void *arg) {
    (void)arg;
    static int levels[] = {50, 150, 1500, 12000};
    static const size_t bytes[] = {0, 0, 2 << 20, 16 << 20};
    for (int i = 0; i < 4; i++) {
        mound_go_options o = {.stack_bytes = bytes[i]};
        if (TEST_SANITIZED) levels[i] /= 4;
        must(mound_go_opt(&o, go_deep, &levels[i]) == 0);
    }
    must(deep(TEST_SANITIZED ? 1000 : 5000) > 0); /* the first one's is as large as a thread's */
    while (mound_num_goroutine() > 1) mound_gosched();
    return 0;
}
IN_RUN(stacks_of_any_size)

static NOINLINE int for_ever(int n) {
    volatile char local[500];
    local[n % 500] = (char)n;
    return n < 0 ? 0 : for_ever(n + 1) + local[0];
}
static void overflow(void *arg) {
    (void)arg;
    for_ever(0);
}
static NOINLINE int large_frame(int n) {
    volatile char local[300 << 10];
    local[n] = 1; /* with the flag of the package each page is touched first */
    return local[n];
}
static void overflow_at_once(void *arg) { large_frame(*(int *)arg); }
static int overflow_app(void *arg) {
    static int zero;
    mound_go_options o = {.name = "deep one"};
    mound_go_opt(&o, arg ? overflow_at_once : overflow, &zero);
    for (;;) mound_sleep(MOUND_SEC(1));
    return 0;
}
static void die_of_overflow(void *arg) { mound_run(overflow_app, arg); }
static void an_overflow_names_the_goroutine(void **state) {
    (void)state;
    for (uintptr_t i = 0; i < 2; i++) {
        test_death d = test_die(die_of_overflow, (void *)i);
        if (TEST_SANITIZED && test_exit_status(&d) != 2) continue; /* its handler comes first */
        assert_int_equal(test_exit_status(&d), 2);
        test_expect_text(&d, "goroutine 2 (deep one): stack overflow", __FILE__, __LINE__);
    }
}

/* More than there is memory for: an error where one can be returned, a line and the end elsewhere.
 */
static int until_refused_app(void *arg) {
    MOUND_CHAN(int) never = mound_chan_make(int, 0);
    mound_go_options o = {.stack_bytes = 64 << 20};
    if (TEST_SANITIZED) _exit(3); /* they take terabytes of address space */
    struct rlimit limit;
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%ld", &pages) != 1) _exit(5);
    limit.rlim_cur = limit.rlim_max = (rlim_t)pages * 4096 + ((rlim_t)16 << 30);
    if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(4);
    int num = 0, error = 0;
    while (num < 100000 && (error = mound_go_opt(&o, block_for_ever, (void *)never)) == 0) num++;
    must(error == -ENOMEM && num > 0);
    if (!arg) _exit(0);
    for (;;) mound_go(block_for_ever, (void *)never); /* smaller ones find room for a while */
    return 0;
}
static void run_until_refused(void *arg) { mound_run(until_refused_app, arg); }
static void more_goroutines_than_memory_are_refused(void **state) {
    (void)state;
    if (getenv("MOUND_DEBUG")) skip();
    setenv("MOUND_GOGC", "off", 1);
    test_death d = test_die(run_until_refused, NULL);
    if (test_exit_status(&d) == 3) skip();
    if (test_exit_status(&d) != 0) print_error("status 0x%x: %s\n", (unsigned)d.status, d.text);
    assert_int_equal(test_exit_status(&d), 0);
    d = test_die(run_until_refused, &d);
    unsetenv("MOUND_GOGC");
    assert_int_equal(test_exit_status(&d), 2);
    test_expect_text(&d, "memory exhausted: no room for the stack of one more goroutine", __FILE__,
                     __LINE__);
}

/* ---------------------------------------------------------------- reports */

static int deadlock_app(void *arg) {
    MOUND_CHAN(int) c = mound_chan_make(int, 0);
    mound_waitgroup wg = {0};
    mound_go(block_for_ever, (void *)c);
    mound_waitgroup_add(&wg, 1);
    mound_waitgroup_wait(&wg);
    (void)arg;
    return 0;
}
static void die_of_deadlock(void *arg) { mound_run(deadlock_app, arg); }
static void a_deadlock_is_reported(void **state) {
    (void)state;
    test_death d = test_die(die_of_deadlock, NULL);
    assert_int_equal(test_exit_status(&d), 2);
    test_expect_text(&d, "all goroutines are asleep", __FILE__, __LINE__);
    test_expect_text(&d, "goroutine 1 (main) [waitgroup", __FILE__, __LINE__);
    test_expect_text(&d, "goroutine 2 [chan receive", __FILE__, __LINE__);
    test_expect_text(&d, "created by goroutine 1 at", __FILE__, __LINE__);
}

static void quit(void *arg) {
    (void)arg;
    kill(getpid(), SIGQUIT);
}
/* Nobody else is there but the thread that runs cleanups: it takes its time. */
static void send_late(void *arg) {
    usleep(100000);
    mound_chan_send(arg, NULL);
}
static NOINLINE void drop_with_cleanup(mound_chan *c) {
    for (int i = 0; i < 20; i++) mound_add_cleanup(mound_alloc(100), send_late, c);
}
static int wait_for_cleanup_app(void *arg) {
    mound_chan *c = mound_chan_new(0, 100, 0);
    drop_with_cleanup(c);
    mound_gc();
    mound_chan_recv(c, NULL);
    (void)arg;
    return 0;
}
static void one_that_waits_for_a_cleanup_is_no_deadlock(void **state) {
    (void)state;
    run(wait_for_cleanup_app, NULL);
}

static int quit_app(void *arg) {
    MOUND_CHAN(int) c = mound_chan_make(int, 0);
    mound_go(block_for_ever, (void *)c);
    mound_after_func(MOUND_MS(20), quit, NULL);
    mound_sleep(MOUND_SEC(20));
    (void)arg;
    return 0;
}
static void die_of_quit(void *arg) {
    signal(SIGQUIT, SIG_DFL); /* a shell ignores it for what runs in the background */
    mound_run(quit_app, arg);
}
static void sigquit_shows_all_goroutines(void **state) {
    (void)state;
    skip_under_tsan(
        "it keeps a signal back while its thread waits in a system call it does not know");
    test_death d = test_die(die_of_quit, NULL);
    assert_int_equal(test_exit_status(&d), 2);
    test_expect_text(&d, "goroutine 1 (main) [sleep", __FILE__, __LINE__);
    test_expect_text(&d, "goroutine 2 [chan receive", __FILE__, __LINE__);
}

static int dump_app(void *arg) {
    MOUND_CHAN(int) c = mound_chan_make(int, 0);
    mound_go(block_for_ever, (void *)c);
    mound_sleep(MOUND_MS(5));
    mound_dump_goroutines();
    (void)arg;
    return 0;
}
static void run_dump(void *arg) { _exit(mound_run(dump_app, arg)); }
static void a_dump_leaves_the_program_running(void **state) {
    (void)state;
    test_death d = test_die(run_dump, NULL);
    assert_int_equal(test_exit_status(&d), 0);
    test_expect_text(&d, "goroutine 1 (main) [running]", __FILE__, __LINE__);
    test_expect_text(&d, "goroutine 2 [chan receive", __FILE__, __LINE__);
}

static void go_outside(void *arg) { mound_go(nothing, arg); }
static void goexit_outside(void *arg) {
    (void)arg;
    mound_goexit();
}
static int run_inside_app(void *arg) { return mound_run(run_inside_app, arg); }
static void run_inside(void *arg) { mound_run(run_inside_app, arg); }
static void misuse_is_named(void **state) {
    (void)state;
    static const struct {
        void (*fn)(void *arg);
        const char *text;
    } cases[] = {
        {go_outside, "mound_go: no run goes on"},
        {goexit_outside, "is no goroutine"},
        {run_inside, "mound_run inside a goroutine"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        test_death d = test_die(cases[i].fn, NULL);
        assert_int_equal(test_exit_status(&d), 2);
        test_expect_text(&d, cases[i].text, __FILE__, __LINE__);
    }
}

/* ---------------------------------------------------------------- fork */

static int fork_app(void *arg) {
    (void)arg;
    MOUND_CHAN(int) c = mound_chan_make(int, 0);
    mound_go(block_for_ever, (void *)c);
    for (int i = 0; i < 5; i++) {
        pid_t pid = fork();
        must(pid >= 0);
        if (pid == 0) {
            alarm(20);
            int count = 0;
            node *list = make_list(3, 30);
            for (int k = 0; k < 20; k++) mound_go(add_one, &count);
            while (LOAD(&count) < 20) mound_gosched();
            mound_gc();
            mound_sleep(MOUND_MS(1));
            _exit(list_ok(list, 3, 30) ? 0 : 1);
        }
        int status = -1;
        mound_sys_enter();
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
        mound_sys_exit();
        must(status == 0);
    }
    return 0;
}
static void a_child_goes_on_with_its_goroutine(void **state) {
    (void)state;
    skip_under_tsan("it does not know threads that a forked child makes");
    run(fork_app, NULL);
}

int main(int argc, char **argv) {
    alarm(200);
    const struct CMUnitTest tests[] = {
        /* Deaths first: TSan does not know threads that the child of a threaded process makes. */
        cmocka_unit_test(an_overflow_names_the_goroutine),
        cmocka_unit_test(more_goroutines_than_memory_are_refused),
        cmocka_unit_test(a_deadlock_is_reported),
        cmocka_unit_test(sigquit_shows_all_goroutines),
        cmocka_unit_test(a_dump_leaves_the_program_running),
        cmocka_unit_test(misuse_is_named),
        cmocka_unit_test(run_returns_the_result_of_the_first_goroutine),
        cmocka_unit_test(a_run_without_a_function_is_refused),
        cmocka_unit_test(all_goroutines_run),
        cmocka_unit_test(two_that_wake_each_other_leave_turns_to_others),
        cmocka_unit_test(a_copy_belongs_to_the_goroutine),
        cmocka_unit_test(goexit_ends_only_the_caller),
        cmocka_unit_test(the_first_one_may_leave_before_the_others),
        cmocka_unit_test(one_that_waits_for_a_cleanup_is_no_deadlock),
        cmocka_unit_test(others_end_with_the_run_and_the_next_starts_afresh),
        cmocka_unit_test(options_are_checked),
        cmocka_unit_test(work_first),
        cmocka_unit_test(work_first_goes_depth_first),
        cmocka_unit_test(work_first_does_not_keep_others_waiting),
        cmocka_unit_test(those_who_yield_do_not_keep_a_creator_waiting),
        cmocka_unit_test(work_first_leaves_a_locked_thread_alone),
        cmocka_unit_test(one_that_computes_does_not_stop_the_others),
        cmocka_unit_test(a_declared_system_call_lets_others_run),
        cmocka_unit_test(short_system_calls_beside_work),
        cmocka_unit_test(a_locked_goroutine_stays_in_its_thread),
        cmocka_unit_test(errno_is_the_goroutines),
        cmocka_unit_test(threads_take_part),
        cmocka_unit_test(what_a_parked_goroutine_holds_is_kept),
        cmocka_unit_test(the_argument_of_one_that_has_not_begun_is_kept),
        cmocka_unit_test(what_a_child_stores_in_its_parents_frame_is_kept),
        cmocka_unit_test(four_that_allocate_for_long_on_two_processors),
        cmocka_unit_test(stacks_of_any_size),
        cmocka_unit_test(a_child_goes_on_with_its_goroutine),
    };
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
