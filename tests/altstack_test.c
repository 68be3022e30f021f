/* altstack_test.c - threads that are stopped on a stack which is not the one the system gave them.
 * modes: gc */
#include "hold.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <ucontext.h>

enum { STACK_BYTES = 128 << 10 };

static void spin(holder *h) {
    STORE(&h->phase, 1);
    while (LOAD(&h->phase) != 2) continue;
}

/* ---------------------------------------------------------------- no room */

/* Goes down until less is left of the stack than the frame of a signal needs. */
static NOINLINE void spin_near_the_end(holder *h, uintptr_t stack_lo) {
    char fill[256];
    __asm__ volatile("" : : "r"(fill) : "memory");
    if ((uintptr_t)fill - stack_lo > 1500) {
        spin_near_the_end(h, stack_lo);
        __asm__ volatile("" : : "r"(fill) : "memory");
        return;
    }
    STORE(&h->phase, 1);
    while (LOAD(&h->phase) != 2) continue;
}

static void wait_near_the_end(holder *h) {
    pthread_attr_t attr;
    void *lo;
    size_t size;
    pthread_getattr_np(pthread_self(), &attr);
    pthread_attr_getstack(&attr, &lo, &size);
    pthread_attr_destroy(&attr);
    spin_near_the_end(h, (uintptr_t)lo);
}

static void a_thread_at_the_end_of_its_stack_can_be_stopped(void **state) {
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || MO_VARIETY >= 2
    print_message("skipped: frames of sanitizers and checked builds need more room\n");
    skip();
#endif
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 32 << 10);
    for (int i = 0; i < 10; i++) {
        holder h = {.wait = wait_near_the_end};
        check_held_with(&h, &attr);
    }
    pthread_attr_destroy(&attr);
}

/* ---------------------------------------------------------------- sigaltstack */

/* Both stacks hold a list: the interrupted code's and the handler's. */
static __thread holder *current;
static __thread node *extra_taken;

static void on_usr1(int sig) {
    (void)sig;
    node *list = extra_taken;
    extra_taken = NULL;
    spin(current);
    current->extra = list_ok(list, 99, 7);
}

static NOINLINE void give_extra(void) { extra_taken = make_list(99, 7); }

static void on_alternate_stack(holder *h) {
    stack_t stack = {.ss_sp = malloc(STACK_BYTES), .ss_size = STACK_BYTES}, old;
    struct sigaction action = {.sa_handler = on_usr1, .sa_flags = SA_ONSTACK};
    sigaction(SIGUSR1, &action, NULL);
    sigaltstack(&stack, &old);
    current = h;
    give_extra();
    clear_stack();
    raise(SIGUSR1);
    sigaltstack(&old, NULL);
    free(stack.ss_sp);
}

static void a_thread_on_its_alternate_signal_stack(void **state) {
    (void)state;
    holder h = {.wait = on_alternate_stack};
    check_held_with(&h, NULL);
    assert_int_equal(h.extra, 1);
}

static void stops_arrive_there_again_and_again(void **state) {
    (void)state;
    for (int i = 0; i < 20; i++) {
        holder h = {.wait = on_alternate_stack};
        check_held_with(&h, NULL);
        assert_int_equal(h.extra, 1);
    }
}

/* ---------------------------------------------------------------- swapcontext */

static __thread ucontext_t outer, inner;

static NOINLINE void coroutine_body(holder *h) {
    node *list = extra_taken;
    extra_taken = NULL;
    spin(h);
    h->extra = list_ok(list, 99, 7);
}

static void coroutine_main(void) {
    coroutine_body(current);
    swapcontext(&inner, &outer);
}

static void run_coroutine(holder *h, void *stack) {
    current = h;
    getcontext(&inner);
    inner.uc_stack.ss_sp = stack;
    inner.uc_stack.ss_size = STACK_BYTES;
    inner.uc_link = NULL;
    makecontext(&inner, coroutine_main, 0);
    give_extra();
    clear_stack();
    swapcontext(&outer, &inner);
}

static void on_stack_from_malloc(holder *h) {
    void *stack = malloc(STACK_BYTES);
    run_coroutine(h, stack);
    free(stack);
}
static void on_stack_from_mound(holder *h) { run_coroutine(h, mound_alloc(STACK_BYTES)); }
static void on_stack_from_mmap(holder *h) {
    char *stack = mmap(NULL, STACK_BYTES + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(stack + 4096, STACK_BYTES, PROT_READ | PROT_WRITE); /* guard pages on both sides */
    run_coroutine(h, stack + 4096);
    munmap(stack, STACK_BYTES + 8192);
}

static void check_coroutine(void (*wait)(holder *h)) {
    holder h = {.wait = wait};
    check_held_with(&h, NULL);
    assert_int_equal(h.extra, 1);
}

static void a_coroutine_s_stack_from_malloc(void **state) {
    (void)state;
    check_coroutine(on_stack_from_malloc);
}
static void a_coroutine_s_stack_from_mound(void **state) {
    (void)state;
    check_coroutine(on_stack_from_mound);
}
static void a_coroutine_s_stack_from_mmap(void **state) {
    (void)state;
    check_coroutine(on_stack_from_mmap);
}

/* The coroutine collects by itself; its caller's list is on the thread's own stack. */
static node *coroutine_found;

static void collecting_main(void) {
    node *mine = make_list(5, 9);
    collect(3);
    if (list_ok(mine, 5, 9)) coroutine_found = mine;
    swapcontext(&inner, &outer);
}

static NOINLINE bool collect_in_coroutine(void *stack) {
    node *list = make_list(6, 9);
    getcontext(&inner);
    inner.uc_stack.ss_sp = stack;
    inner.uc_stack.ss_size = STACK_BYTES;
    inner.uc_link = NULL;
    makecontext(&inner, collecting_main, 0);
    coroutine_found = NULL;
    swapcontext(&outer, &inner);
    return coroutine_found && list_ok(list, 6, 9);
}

static void *collecting_thread(void *arg) {
    void *stack = malloc(STACK_BYTES);
    *(bool *)arg = collect_in_coroutine(stack) && collect_in_coroutine(mound_alloc(STACK_BYTES));
    free(stack);
    return NULL;
}

static void a_coroutine_may_collect(void **state) {
    (void)state;
    bool here = false, there = false;
    collecting_thread(&here);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, collecting_thread, &there), 0);
    pthread_join(thread, NULL);
    assert_true(here);
    assert_true(there);
}

/* The main thread's own stack, while it runs elsewhere: it ends where the system put it. */
static void on_main_usr1(int sig) {
    (void)sig;
    collect(3);
}

static NOINLINE bool collect_on_alternate_stack(void) {
    node *list = make_list(7, 9);
    raise(SIGUSR1);
    return list_ok(list, 7, 9);
}

static void the_main_thread_s_stack_is_found_from_elsewhere(void **state) {
    (void)state;
    /* A handler that runs by raise() interrupts nothing of the library: here it may call it. */
    stack_t stack = {.ss_sp = malloc(STACK_BYTES), .ss_size = STACK_BYTES}, old;
    struct sigaction action = {.sa_handler = on_main_usr1, .sa_flags = SA_ONSTACK};
    sigaction(SIGUSR1, &action, NULL);
    sigaltstack(&stack, &old);
    bool ok = collect_on_alternate_stack();
    sigaltstack(&old, NULL);
    free(stack.ss_sp);
    assert_true(ok);
}

/* ---------------------------------------------------------------- when /proc is of no help */

static void no_descriptor_is_left(void **state) {
    (void)state;
    struct rlimit old, none;
    getrlimit(RLIMIT_NOFILE, &old);
    none = old;
    none.rlim_cur = 0;
    setrlimit(RLIMIT_NOFILE, &none);
    assert_true(open("/dev/null", O_RDONLY) < 0);
    check_coroutine(on_stack_from_malloc);
    check_coroutine(on_alternate_stack);
    setrlimit(RLIMIT_NOFILE, &old);
}

/* After the main thread has left, /proc/self shows an empty process. */
static void *survivor_main(void *arg) {
    pthread_join(*(pthread_t *)arg, NULL);
    is_isolated = true;
    alarm(20);
    holder h = {.wait = on_stack_from_malloc};
    check_held_with(&h, NULL);
    check(h.extra == 1);
    h = (holder){.wait = on_alternate_stack};
    check_held_with(&h, NULL);
    check(h.extra == 1);
    _exit(0);
}

static void leave_main(void) {
    static pthread_t self;
    pthread_t thread;
    self = pthread_self();
    check(pthread_create(&thread, NULL, survivor_main, &self) == 0);
    pthread_exit(NULL);
}

static void the_main_thread_has_left(void **state) {
    (void)state;
    skip_under_tsan("its own state of the main thread goes with that");
    isolated(leave_main);
}

/* A thread with a cancellation pending collects while another is on a foreign stack. */
static void *pending_main(void *arg) {
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    pthread_cancel(pthread_self());
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    mound_gc();
    mound_gc();
    STORE((int *)arg, 1);
    pthread_testcancel();
    return NULL;
}

static void collect_with_cancellation_pending(void) {
    static int reached_end;
    holder h = {.wait = on_stack_from_malloc};
    mound_weak w = hold_prepare(&h);
    clear_stack();
    check(pthread_create(&h.thread, NULL, hold_main, &h) == 0);
    await(&h.phase, 1);
    pthread_t thread;
    check(pthread_create(&thread, NULL, pending_main, &reached_end) == 0);
    pthread_join(thread, NULL);
    check(reached_end == 1);
    collect(1);
    check(is_alive(w));
}

static void a_cancellation_does_not_end_a_collection(void **state) {
    (void)state;
    isolated(collect_with_cancellation_pending);
}

int main(int argc, char **argv) {
    watchdog();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_at_the_end_of_its_stack_can_be_stopped),
        cmocka_unit_test(the_main_thread_has_left),
        cmocka_unit_test(a_cancellation_does_not_end_a_collection),
        cmocka_unit_test(a_thread_on_its_alternate_signal_stack),
        cmocka_unit_test(stops_arrive_there_again_and_again),
        cmocka_unit_test(a_coroutine_s_stack_from_malloc),
        cmocka_unit_test(a_coroutine_s_stack_from_mound),
        cmocka_unit_test(a_coroutine_s_stack_from_mmap),
        cmocka_unit_test(a_coroutine_may_collect),
        cmocka_unit_test(the_main_thread_s_stack_is_found_from_elsewhere),
        cmocka_unit_test(no_descriptor_is_left),
    };
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
