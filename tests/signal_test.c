/* signal_test.c - what the stop signal's handler must save, and how it gets on with the program's
 * own handlers. modes: gc */
#include "hold.h"

#include <spawn.h>
#include <sys/wait.h>

#include "sched/thread.h"

/* ---------------------------------------------------------------- one place only
 *
 * A thread takes a hidden address apart in assembler, keeps it in exactly one place and waits
 * there until the flag changes; its stack holds no other copy. */

typedef struct place {
    uintptr_t hidden;
    uintptr_t out;
    int ready, go;
} place;

#define SPIN                                                                                       \
    "movl $1, %c[ready](%[p])\n"                                                                   \
    "1: pause\n\t"                                                                                 \
    "cmpl $0, %c[go](%[p])\n\t"                                                                    \
    "je 1b\n\t"
#define OPERANDS                                                                                   \
    [p] "r"(p), [hidden] "i"(offsetof(place, hidden)), [out] "i"(offsetof(place, out)),            \
        [ready] "i"(offsetof(place, ready)), [go] "i"(offsetof(place, go))
/* rbx is saved by callees, r11 is not. */
static NOINLINE void keep_in_rbx(place *p) {
    __asm__ volatile("movq %c[hidden](%[p]), %%rbx\n\t"
                     "notq %%rbx\n\t" SPIN "movq %%rbx, %c[out](%[p])\n\t"
                     "xorl %%ebx, %%ebx"
                     :
                     : OPERANDS
                     : "rbx", "cc", "memory");
}

static NOINLINE void keep_in_r11(place *p) {
    __asm__ volatile("movq %c[hidden](%[p]), %%r11\n\t"
                     "notq %%r11\n\t" SPIN "movq %%r11, %c[out](%[p])\n\t"
                     "xorl %%r11d, %%r11d"
                     :
                     : OPERANDS
                     : "r11", "cc", "memory");
}

/* The upper half of a vector register: compilers move pairs of pointers through it. */
static NOINLINE void keep_in_xmm9(place *p) {
    __asm__ volatile("movq %c[hidden](%[p]), %%rax\n\t"
                     "notq %%rax\n\t"
                     "movq %%rax, %%xmm9\n\t"
                     "pslldq $8, %%xmm9\n\t"
                     "xorl %%eax, %%eax\n\t" SPIN "psrldq $8, %%xmm9\n\t"
                     "movq %%xmm9, %c[out](%[p])\n\t"
                     "pxor %%xmm9, %%xmm9"
                     :
                     : OPERANDS
                     : "rax", "xmm9", "cc", "memory");
}

/* The upper half of a 256-bit register stands in the extended part of the signal frame. */
__attribute__((target("avx"))) static NOINLINE void keep_in_ymm9(place *p) {
    __asm__ volatile("movq %c[hidden](%[p]), %%rax\n\t"
                     "notq %%rax\n\t"
                     "vmovq %%rax, %%xmm8\n\t"
                     "xorl %%eax, %%eax\n\t"
                     "vpxor %%xmm9, %%xmm9, %%xmm9\n\t"
                     "vinsertf128 $1, %%xmm8, %%ymm9, %%ymm9\n\t"
                     "vpxor %%xmm8, %%xmm8, %%xmm8\n\t" SPIN "vextractf128 $1, %%ymm9, %%xmm8\n\t"
                     "vmovq %%xmm8, %c[out](%[p])\n\t"
                     "vzeroall"
                     :
                     : OPERANDS
                     : "rax", "xmm8", "xmm9", "cc", "memory");
}

static NOINLINE void keep_in_red_zone(place *p) {
    __asm__ volatile("movq %c[hidden](%[p]), %%rax\n\t"
                     "notq %%rax\n\t"
                     "movq %%rax, -120(%%rsp)\n\t"
                     "xorl %%eax, %%eax\n\t" SPIN "movq -120(%%rsp), %%rax\n\t"
                     "movq $0, -120(%%rsp)\n\t"
                     "movq %%rax, %c[out](%[p])\n\t"
                     "xorl %%eax, %%eax"
                     :
                     : OPERANDS
                     : "rax", "cc", "memory");
}

/* Above the stack pointer, below everything else: the end of what is scanned. */
static NOINLINE void keep_on_stack(place *p) {
    __asm__ volatile("leaq -128(%%rsp), %%rsp\n\t"
                     "movq %c[hidden](%[p]), %%rax\n\t"
                     "notq %%rax\n\t"
                     "pushq %%rax\n\t"
                     "xorl %%eax, %%eax\n\t" SPIN "popq %%rax\n\t"
                     "movq %%rax, %c[out](%[p])\n\t"
                     "xorl %%eax, %%eax\n\t"
                     "leaq 128(%%rsp), %%rsp"
                     :
                     : OPERANDS
                     : "rax", "cc", "memory");
}

/* Nowhere: shows that the check can fail. */
static NOINLINE void keep_nowhere(place *p) {
    __asm__ volatile(SPIN "movq $1, %c[out](%[p])" : : OPERANDS : "cc", "memory");
}

typedef struct keeper {
    place at;
    void (*keep)(place *p);
    int rounds, bad;
} keeper;

static void *keeper_main(void *arg) {
    keeper *k = arg;
    for (int i = 0; i < k->rounds; i++) {
        clear_stack();
        await(&k->at.go, 0);
        k->keep(&k->at);
        await(&k->at.ready, 0);
    }
    return NULL;
}

static NOINLINE mound_weak place_object(place *p, uint64_t value) {
    node *n = make_list(value, 1);
    mound_weak w = mound_weak_make(n);
    p->hidden = hide(n);
    return w;
}

static NOINLINE bool place_ok(place *p, uint64_t value) {
    bool ok = list_ok((node *)p->out, value, 1);
    p->out = 0;
    return ok;
}

/* Rounds in which the object was lost. */
static int count_lost(void (*keep)(place *p), int rounds) {
    /* From malloc: no root. */
    keeper *k = calloc(1, sizeof *k);
    *k = (keeper){.at.go = 1, .keep = keep, .rounds = rounds};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, keeper_main, k), 0);
    int lost = 0;
    for (int i = 0; i < rounds; i++) {
        mound_weak w = place_object(&k->at, (uint64_t)i);
        clear_stack();
        STORE(&k->at.go, 0);
        while (!LOAD(&k->at.ready)) sched_yield();
        mound_gc();
        bool alive = is_alive(w);
        STORE(&k->at.go, 1);
        while (!LOAD(&k->at.out)) sched_yield(); /* it has seen go */
        bool ok = alive && (keep == keep_nowhere || place_ok(&k->at, (uint64_t)i));
        STORE(&k->at.out, 0);
        if (!ok) lost++;
        STORE(&k->at.ready, 0);
    }
    pthread_join(thread, NULL);
    free(k);
    return lost;
}

static int rounds_wanted(void) { return getenv("MOUND_DEBUG") || TEST_TSAN ? 50 : 300; }

static void a_callee_saved_register_is_a_root(void **state) {
    (void)state;
    assert_int_equal(count_lost(keep_in_rbx, rounds_wanted()), 0);
}
static void a_scratch_register_is_a_root(void **state) {
    (void)state;
    assert_int_equal(count_lost(keep_in_r11, rounds_wanted()), 0);
}
static void a_vector_register_is_a_root(void **state) {
    (void)state;
    assert_int_equal(count_lost(keep_in_xmm9, rounds_wanted()), 0);
}
static void the_upper_half_of_a_wide_register_is_a_root(void **state) {
    (void)state;
    if (!__builtin_cpu_supports("avx")) {
        print_message("skipped: this processor has no AVX\n");
        skip();
    }
    assert_int_equal(count_lost(keep_in_ymm9, rounds_wanted()), 0);
}
static void the_red_zone_is_a_root(void **state) {
    (void)state;
    assert_int_equal(count_lost(keep_in_red_zone, rounds_wanted()), 0);
}
static void the_lowest_word_of_the_stack_is_a_root(void **state) {
    (void)state;
    assert_int_equal(count_lost(keep_on_stack, rounds_wanted()), 0);
}
static void what_is_kept_nowhere_dies(void **state) {
    (void)state;
    enum { ROUNDS = 50 };
    assert_in_range(count_lost(keep_nowhere, ROUNDS), ROUNDS * 9 / 10, ROUNDS);
}

/* ---------------------------------------------------------------- the collecting thread itself
 *
 * An object that only a register refers to while this thread is inside mound_gc, or in posix_spawn,
 * from where others' collections see it. */
#define ACROSS_CALL(name, reg)                                                                     \
    static NOINLINE uintptr_t name(uintptr_t hidden, void (*fn)(void)) {                           \
        uintptr_t out;                                                                             \
        __asm__ volatile("movq %%rsp, %%rdx\n\t"                                                   \
                         "leaq -128(%%rsp), %%rsp\n\t"                                             \
                         "andq $-16, %%rsp\n\t"                                                    \
                         "pushq %%rdx\n\t"                                                         \
                         "pushq %%rdx\n\t"                                                         \
                         "movq %%rdi, %%" reg "\n\t"                                               \
                         "notq %%" reg "\n\t"                                                      \
                         "call *%%rsi\n\t"                                                         \
                         "popq %%rdx\n\t"                                                          \
                         "movq %%rdx, %%rsp\n\t"                                                   \
                         "movq %%" reg ", %%rax"                                                   \
                         : "=a"(out), "+D"(hidden), "+S"(fn)                                       \
                         :                                                                         \
                         : reg, "rcx", "rdx", "r8", "r9", "r10", "r11", "cc", "memory", "xmm0",    \
                           "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", \
                           "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");                  \
        return out;                                                                                \
    }
ACROSS_CALL(across_rbx, "rbx")
ACROSS_CALL(across_r12, "r12")
ACROSS_CALL(across_r13, "r13")
ACROSS_CALL(across_r14, "r14")
ACROSS_CALL(across_r15, "r15")

static uintptr_t (*const across[])(uintptr_t hidden, void (*fn)(void)) = {
    across_rbx, across_r12, across_r13, across_r14, across_r15};

/* Until the register holds the object: others collect at any moment. */
static node *volatile across_guard;

static void gc_and_clear(void) {
    across_guard = NULL;
    mound_gc();
    clear_stack();
}

static void spawn_and_clear(void) {
    across_guard = NULL;
    static char *const argv[] = {"true", NULL};
    pid_t pid;
    if (posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ) == 0) waitpid(pid, NULL, 0);
    clear_stack();
}

static int stats_on;

/* Keeps the locks that a collection needs busy. */
static void *stats_main(void *arg) {
    (void)arg;
    mound_mem_stats stats = {.struct_bytes = sizeof stats};
    while (LOAD(&stats_on)) {
        mound_read_mem_stats(&stats);
        mound_thread_detach();
    }
    return NULL;
}

static mound_weak across_weak;

static NOINLINE uintptr_t hidden_object(uint64_t value) {
    node *n = make_list(value, 1);
    across_guard = n;
    across_weak = mound_weak_make(n);
    return hide(n);
}

static int count_lost_across(void (*fn)(void), int rounds) {
    int lost = 0;
    for (int i = 0; i < rounds; i++) {
        for (size_t k = 0; k < sizeof across / sizeof across[0]; k++) {
            uintptr_t hidden = hidden_object((uint64_t)i);
            clear_stack();
            uintptr_t out = across[k](hidden, fn);
            if (!is_alive(across_weak) || !list_ok((node *)out, (uint64_t)i, 1)) lost++;
        }
    }
    return lost;
}

static void the_collecting_thread_s_registers_are_roots(void **state) {
    (void)state;
    pthread_t thread[2];
    STORE(&stats_on, 1);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, stats_main, NULL), 0);
    int lost = count_lost_across(gc_and_clear, rounds_wanted());
    STORE(&stats_on, 0);
    for (int i = 0; i < 2; i++) pthread_join(thread[i], NULL);
    assert_int_equal(lost, 0);
}

/* A register that nothing on the stack has a copy of, while its thread counts as stopped. */
static NOINLINE void keep_while_blocked(place *p) {
    mo_thread *t = mo_self;
    mo_runtime_enter(t);
    register uintptr_t held __asm__("r15") = ~p->hidden;
    __asm__ volatile("" : "+r"(held));
    mo_thread_block_begin(t);
    STORE(&p->ready, 1);
    while (LOAD(&p->go) == 0) sched_yield();
    mo_thread_block_end(t);
    __asm__ volatile("" : "+r"(held));
    STORE(&p->out, held);
    held = 0;
    __asm__ volatile("" : "+r"(held));
    mo_runtime_leave(t);
}

static int returned_into_stop;

/* Between the two calls it counts as stopped; after the second no stop may be going on that counted
 * it. */
static void *waiting_main(void *arg) {
    mo_thread *t = mo_self;
    (void)arg;
    while (LOAD(&storm_on)) {
        mo_runtime_enter(t);
        mo_thread_block_begin(t);
        sched_yield();
        mo_thread_block_end(t);
        uint32_t stop = LOAD(&mo_the_world.stopping);
        if (stop != 0 && LOAD(&t->stop_seq) == stop && LOAD(&mo_the_world.stopping) == stop)
            __atomic_add_fetch(&returned_into_stop, 1, __ATOMIC_RELAXED);
        mo_runtime_leave(t);
    }
    return NULL;
}

static void a_thread_that_returns_from_a_wait_meets_no_stop(void **state) {
    (void)state;
    node *heap = make_list(78, 100000); /* so that a stop takes its time */
    pthread_t storm = storm_begin(), thread;
    assert_int_equal(pthread_create(&thread, NULL, waiting_main, NULL), 0);
    sleep_us(300000);
    storm_end(storm);
    pthread_join(thread, NULL);
    assert_true(list_ok(heap, 78, 100000));
    assert_int_equal(returned_into_stop, 0);
}

static void a_register_of_a_blocked_thread_is_a_root(void **state) {
    (void)state;
    mound_init();
    assert_int_equal(count_lost(keep_while_blocked, rounds_wanted()), 0);
}

static void a_blocked_thread_s_registers_are_roots(void **state) {
    (void)state;
    pthread_t storm = storm_begin();
    int lost = count_lost_across(spawn_and_clear, 20);
    storm_end(storm);
    assert_int_equal(lost, 0);
}

/* ---------------------------------------------------------------- the program's own handlers */

static int usr1_ready, usr1_phase;
static node *volatile usr1_list; /* a root until the handler takes it over */
static bool usr1_ok;

static void on_usr1(int sig) {
    (void)sig;
    node *list = usr1_list;
    usr1_list = NULL;
    STORE(&usr1_phase, 1);
    while (LOAD(&usr1_phase) != 2) continue;
    usr1_ok = list_ok(list, 21, 10);
    STORE(&usr1_phase, 3);
}

static void *usr1_target(void *arg) {
    node *list = make_list(22, 10);
    STORE(&usr1_ready, 1); /* from here on no handler interrupts the library */
    while (LOAD(&usr1_phase) != 4) sched_yield();
    *(bool *)arg = list_ok(list, 22, 10);
    return NULL;
}

static NOINLINE void give_usr1(void) { usr1_list = make_list(21, 10); }

/* What the handler holds, and what the code it interrupted holds. */
static void a_thread_in_a_signal_handler_is_stopped_and_scanned(void **state) {
    (void)state;
    skip_under_tsan("it puts the signal off and then runs the handler with all others masked");
    struct sigaction action = {.sa_handler = on_usr1};
    sigaction(SIGUSR1, &action, NULL);
    bool outer_ok = false;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, usr1_target, &outer_ok), 0);
    await(&usr1_ready, 1);
    give_usr1();
    clear_stack();
    pthread_kill(thread, SIGUSR1);
    await(&usr1_phase, 1);
    collect(5);
    STORE(&usr1_phase, 2);
    await(&usr1_phase, 3);
    collect(2);
    STORE(&usr1_phase, 4);
    pthread_join(thread, NULL);
    assert_true(usr1_ok);
    assert_true(outer_ok);
}

static int ticks;

static void on_tick(int sig) {
    (void)sig;
    __atomic_add_fetch(&ticks, 1, __ATOMIC_RELAXED);
}

static void *allocate_main(void *arg) {
    for (uint64_t i = 0; i < 20000; i++)
        if (!list_ok(make_list(i, 5), i, 5)) __atomic_add_fetch((int *)arg, 1, __ATOMIC_RELAXED);
    return NULL;
}

static void a_profiler_s_timer_does_not_disturb_collections(void **state) {
    (void)state;
    struct sigaction action = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
    sigaction(SIGPROF, &action, NULL);
    struct itimerspec every = {{0, 200000}, {0, 200000}};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGPROF};
    timer_t timer;
    assert_int_equal(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    timer_settime(timer, 0, &every, NULL);
    int bad = 0;
    pthread_t thread[2];
    for (int i = 0; i < 2; i++) pthread_create(&thread[i], NULL, allocate_main, &bad);
    while (LOAD(&ticks) < 200) collect(1);
    for (int i = 0; i < 2; i++) pthread_join(thread[i], NULL);
    timer_delete(timer);
    assert_int_equal(bad, 0);
}

static void errno_survives_a_stop(void **state) {
    (void)state;
    pthread_t storm = storm_begin();
    int bad = 0;
    for (int i = 1; i < 5000; i++) {
        errno = i;
        for (int k = 0; k < 100000; k++) __asm__ volatile("" : : : "memory");
        if (errno != i) bad++;
    }
    storm_end(storm);
    assert_int_equal(bad, 0);
}

/* What a handler sees that ran although its thread counts as stopped. */
static int handlers_run, handlers_run_in_stop;

static void on_usr2(int sig) {
    (void)sig;
    const mo_thread *t = mo_self;
    uint32_t stop = LOAD(&mo_the_world.stopping);
    bool counted = stop != 0 && LOAD(&t->stop_seq) == stop;
    if (counted && LOAD(&mo_the_world.stopping) == stop)
        __atomic_add_fetch(&handlers_run_in_stop, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&handlers_run, 1, __ATOMIC_RELAXED);
}

static int handled_on;

static void *handled_in_user_code(void *arg) {
    (void)arg;
    while (LOAD(&handled_on)) sched_yield();
    return NULL;
}

static void *handled_in_allocation(void *arg) {
    (void)arg;
    while (LOAD(&handled_on)) make_list(1, 100);
    return NULL;
}

static void *handled_in_collections(void *arg) {
    (void)arg;
    while (LOAD(&handled_on)) mound_gc();
    return NULL;
}

static void *handled_in_lock_waits(void *arg) {
    (void)arg;
    mound_mem_stats stats = {.struct_bytes = sizeof stats};
    while (LOAD(&handled_on)) mound_read_mem_stats(&stats);
    return NULL;
}

static void *handled_in_spawn(void *arg) {
    (void)arg;
    while (LOAD(&handled_on)) spawn_and_clear();
    return NULL;
}

/* A thread is stopped in its signal handler, leaves the runtime, stops the others, or waits for a
 * lock or a child. */
static void no_handler_of_the_program_runs_in_a_stopped_thread(void **state) {
    (void)state;
    static void *(*const mains[])(void *) = {handled_in_user_code, handled_in_allocation,
                                             handled_in_collections, handled_in_lock_waits,
                                             handled_in_spawn};
    enum { NUM = sizeof mains / sizeof mains[0] };
    struct sigaction action = {.sa_handler = on_usr2, .sa_flags = SA_RESTART};
    sigaction(SIGUSR2, &action, NULL);
    pthread_t thread[NUM], storm = storm_begin();
    node *heap = make_list(77, 200000); /* so that a stop takes its time */
    STORE(&handled_on, 1);
    for (int i = 0; i < NUM; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, mains[i], NULL), 0);
    for (int i = 0; i < 4000 * rounds_wanted() / 300; i++) {
        for (int k = 0; k < NUM; k++) pthread_kill(thread[k], SIGUSR2);
        sleep_us(500);
    }
    STORE(&handled_on, 0);
    for (int i = 0; i < NUM; i++) pthread_join(thread[i], NULL);
    storm_end(storm);
    assert_true(list_ok(heap, 77, 200000));
    assert_true(handlers_run > 0);
    assert_int_equal(handlers_run_in_stop, 0);
}

/* The stopped thread would wait for its handler, the handler for the collection that waits for the
 * thread. */
static void a_handler_that_waits_for_a_collection_does_not_hang_it(void **state) {
    (void)state;
    for (int i = 0; i < rounds_wanted() / 10; i++) {
        usr1_ready = usr1_phase = 0;
        a_thread_in_a_signal_handler_is_stopped_and_scanned(NULL);
    }
}

/* ---------------------------------------------------------------- in a process of their own */

static int urgent_seen;
static void on_urgent(int sig) {
    (void)sig;
    urgent_seen++;
}

/* The handler was there first: it gets the signals that are not ours. */
static int child_chain(void) {
    struct sigaction action = {.sa_handler = on_urgent};
    sigaction(SIGURG, &action, NULL);
    mound_gc();
    raise(SIGURG);
    raise(SIGURG);
    mound_gc();
    return urgent_seen == 2 ? 0 : 1;
}

static void *wait_main(void *arg) {
    await(arg, 1);
    return NULL;
}

/* The handler replaces the library's: nobody could be stopped any more. */
static int child_replace(void) {
    pthread_t thread;
    int end = 0;
    pthread_create(&thread, NULL, wait_main, &end);
    mound_gc();
    struct sigaction action = {.sa_handler = on_urgent};
    sigaction(SIGURG, &action, NULL);
    mound_gc();
    STORE(&end, 1);
    pthread_join(thread, NULL);
    return urgent_seen;
}

/* Runs a child_ function in a fresh process. Returns its wait status; its stderr in text. */
static int run_child(const char *name, const char *signal_number, char *text, size_t len) {
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], 2);
        if (signal_number) setenv("MOUND_SIGNAL", signal_number, 1);
        execl("/proc/self/exe", "signal_test", name, (char *)NULL);
        _exit(99);
    }
    close(fds[1]);
    size_t used = 0;
    ssize_t n;
    while ((n = read(fds[0], text + used, len - 1 - used)) != 0)
        if (n > 0) used += (size_t)n;
    text[used] = '\0';
    close(fds[0]);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    return status;
}

static void a_handler_from_before_still_gets_its_signals(void **state) {
    (void)state;
    char text[1024];
    int status = run_child("chain", NULL, text, sizeof text);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void taking_over_the_signal_ends_with_a_clear_line(void **state) {
    (void)state;
    char text[1024];
    int status = run_child("replace", NULL, text, sizeof text);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 2);
    assert_non_null(strstr(text, "mound: the program installed its own handler for signal 23"));
    assert_non_null(strstr(text, "MOUND_SIGNAL"));
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1); /* one line */
}

static void another_signal_may_be_chosen(void **state) {
    (void)state;
    char text[1024], number[16];
    snprintf(number, sizeof number, "%d", SIGRTMIN + 3);
    int status = run_child("replace", number, text, sizeof text);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0); /* no SIGURG came */
    assert_string_equal(text, "");
}

int main(int argc, char **argv) {
    watchdog();
    if (getenv("MOUND_TEST_ONLY")) cmocka_set_test_filter(getenv("MOUND_TEST_ONLY"));
    if (argc > 1 && strcmp(argv[1], "chain") == 0) return child_chain();
    if (argc > 1 && strcmp(argv[1], "replace") == 0) return child_replace();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_callee_saved_register_is_a_root),
        cmocka_unit_test(a_scratch_register_is_a_root),
        cmocka_unit_test(a_vector_register_is_a_root),
        cmocka_unit_test(the_upper_half_of_a_wide_register_is_a_root),
        cmocka_unit_test(the_red_zone_is_a_root),
        cmocka_unit_test(the_lowest_word_of_the_stack_is_a_root),
        cmocka_unit_test(what_is_kept_nowhere_dies),
        cmocka_unit_test(the_collecting_thread_s_registers_are_roots),
        cmocka_unit_test(a_register_of_a_blocked_thread_is_a_root),
        cmocka_unit_test(a_thread_that_returns_from_a_wait_meets_no_stop),
        cmocka_unit_test(a_blocked_thread_s_registers_are_roots),
        cmocka_unit_test(a_thread_in_a_signal_handler_is_stopped_and_scanned),
        cmocka_unit_test(a_handler_that_waits_for_a_collection_does_not_hang_it),
        cmocka_unit_test(no_handler_of_the_program_runs_in_a_stopped_thread),
        cmocka_unit_test(a_profiler_s_timer_does_not_disturb_collections),
        cmocka_unit_test(errno_survives_a_stop),
        cmocka_unit_test(a_handler_from_before_still_gets_its_signals),
        cmocka_unit_test(taking_over_the_signal_ends_with_a_clear_line),
        cmocka_unit_test(another_signal_may_be_chosen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
