/* stack_test.c - stacks: apart from each other, guarded, recycled, given back. */
#include "support.h"

#define NOINLINE __attribute__((noinline))

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "sched/stack.h"
#include "sched/thread.h"
#include "sys/context.h"
#include "sys/os_mem.h"

enum { MANY = 2000 };

static mo_stack new_stack(size_t bytes) {
    mo_stack s = {0, 0};
    assert_int_equal(mo_stack_alloc(bytes, &s), 0);
    return s;
}

static mo_stack_stats read_stats(void) {
    mo_stack_stats s;
    mo_stack_read_stats(&s);
    return s;
}

static void touch(mo_stack s) { *(volatile char *)(s.hi - 1) = 1; }

/* Has the page at addr memory? */
static bool is_resident(uintptr_t addr) {
    unsigned char vec = 0;
    uintptr_t page = addr & ~(uintptr_t)(MO_OS_PAGE_BYTES - 1);
    return mincore((void *)page, MO_OS_PAGE_BYTES, &vec) == 0 && (vec & 1);
}

static int by_lo(const void *a, const void *b) {
    uintptr_t x = ((const mo_stack *)a)->lo, y = ((const mo_stack *)b)->lo;
    return (x > y) - (x < y);
}

/* A sanitizer's handler ends the process in its own way. */
static bool died_of_an_access(const test_death *d) {
    return test_signal(d) == SIGSEGV || strstr(d->text, "SEGV");
}

/* ---------------------------------------------------------------- the tests */

static void stacks_are_apart_and_large_enough(void **state) {
    (void)state;
    static const size_t sizes[] = {0,         1,       64 << 10, (64 << 10) + 1,
                                   256 << 10, 1 << 20, 8 << 20,  (size_t)1 << 30};
    enum { SIZES = sizeof sizes / sizeof *sizes, EACH = 20 };
    mo_stack s[SIZES * EACH];
    int num = 0;
    for (int i = 0; i < SIZES; i++)
        for (int k = 0; k < EACH; k++) {
            s[num] = new_stack(sizes[i]);
            assert_true(s[num].hi - s[num].lo >= sizes[i]);
            assert_int_equal(s[num].lo % 4096 + s[num].hi % 4096, 0);
            touch(s[num]);
            num++;
        }
    qsort(s, (size_t)num, sizeof *s, by_lo);
    for (int i = 0; i + 1 < num; i++) assert_true(s[i].hi + MO_STACK_GUARD_BYTES <= s[i + 1].lo);
    for (int i = 0; i < num; i++) mo_stack_free(s[i]);
    mo_stack_release(SIZE_MAX);
}

static mo_stack victim;

static void store_at(void *arg) { *(volatile char *)arg = 1; }

static void what_lies_below_a_stack_faults(void **state) {
    (void)state;
    victim = new_stack(64 << 10);
    static const uintptr_t below[] = {1, 4096, MO_STACK_GUARD_BYTES};
    for (int i = 0; i < 3; i++) {
        test_death d = test_die(store_at, (void *)(victim.lo - below[i]));
        assert_true(died_of_an_access(&d));
    }
    *(volatile char *)victim.lo = 1;
    mo_stack_free(victim);
    mo_stack_release(SIZE_MAX);
}

static mo_context home, side;

static void on_segv(int sig, siginfo_t *info, void *context) {
    (void)sig, (void)context;
    mo_stack found;
    bool ok = mo_stack_of_guard((uintptr_t)info->si_addr, &found) && found.lo == victim.lo;
    _exit(ok ? 11 : 12);
}

static NOINLINE void large_frame(void *arg) {
    volatile char frame[300 << 10];
    frame[0] = 1;
    __asm__ volatile("" : : "r"(frame), "r"(arg) : "memory");
    mo_context_switch(&side, &home);
}

static void run_into_the_guard(void *arg) {
    static char handler_stack[64 << 10];
    stack_t alt = {.ss_sp = handler_stack, .ss_size = sizeof handler_stack};
    struct sigaction action = {.sa_sigaction = on_segv, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    (void)arg;
    sigaltstack(&alt, NULL);
    sigaction(SIGSEGV, &action, NULL);
    victim = new_stack(128 << 10);
    new_stack(128 << 10);
    mo_context_make(&side, victim.lo, victim.hi, large_frame, NULL);
    mo_context_switch(&home, &side);
    _exit(0);
}

static void a_frame_of_300_kib_runs_into_the_guard_not_past_it(void **state) {
    (void)state;
    test_death d = test_die(run_into_the_guard, NULL);
    assert_int_equal(test_exit_status(&d), 11);
}

static void a_guard_is_known_by_its_addresses(void **state) {
    (void)state;
    mo_stack s[100], found;
    for (int i = 0; i < 100; i++) s[i] = new_stack(i % 2 ? 64 << 10 : 1 << 20);
    for (int i = 0; i < 100; i++) {
        assert_true(mo_stack_of_guard(s[i].lo - 1, &found));
        assert_true(found.lo == s[i].lo && found.hi == s[i].hi);
        assert_true(mo_stack_of_guard(s[i].lo - MO_STACK_GUARD_BYTES, &found));
        assert_int_equal(found.lo, s[i].lo);
        assert_false(mo_stack_of_guard(s[i].lo, &found));
        assert_false(mo_stack_of_guard(s[i].hi - 1, &found));
    }
    assert_false(mo_stack_of_guard((uintptr_t)&found, &found));
    assert_false(mo_stack_of_guard(0, &found));
    assert_false(mo_stack_of_guard(UINTPTR_MAX, &found));
    for (int i = 0; i < 100; i++) mo_stack_free(s[i]);
    mo_stack_release(SIZE_MAX);
}

static void the_stack_freed_last_is_given_out_first(void **state) {
    (void)state;
    mo_stack a = new_stack(256 << 10), b = new_stack(256 << 10);
    touch(a), touch(b);
    mo_stack_free(a);
    mo_stack_free(b);
    assert_int_equal(new_stack(256 << 10).lo, b.lo);
    assert_int_equal(new_stack(200 << 10).lo, a.lo);
    assert_true(is_resident(a.hi - 1)); /* with its memory */
    mo_stack_free(a);
    mo_stack_free(b);
    mo_stack_release(SIZE_MAX);
}

static void a_stack_that_nobody_went_down_has_one_page(void **state) {
    (void)state;
    mo_stack s = new_stack(8 << 20);
    touch(s);
    for (uintptr_t at = s.lo; at < s.hi - MO_OS_PAGE_BYTES; at += MO_OS_PAGE_BYTES)
        assert_false(is_resident(at));
    memset((void *)s.lo, 1, s.hi - s.lo);
    struct iovec range = {(void *)s.lo, s.hi - 2 * MO_OS_PAGE_BYTES - s.lo};
    mo_stack_give_back(&range, 1);
    assert_false(is_resident(s.lo) || is_resident(s.hi - 3 * MO_OS_PAGE_BYTES));
    assert_int_equal(*(char *)(s.hi - 5000), 1); /* from there on it is as it was */
    mo_stack_free(s);
    mo_stack_release(SIZE_MAX);
}

static void memory_and_address_space_go_back(void **state) {
    (void)state;
    static mo_stack s[MANY];
    for (int i = 0; i < MANY; i++) touch(s[i] = new_stack(256 << 10));
    assert_int_equal(read_stats().num_used, MANY);
    mo_stack kept = s[MANY / 2];
    for (int i = 0; i < MANY; i++)
        if (i != MANY / 2) mo_stack_free(s[i]);
    assert_int_equal(read_stats().num_warm, MANY - 1);
    assert_int_equal(mo_stack_release(10), 10);
    assert_true(read_stats().num_warm <= MANY - 11); /* those of empty arenas are gone as well */
    mo_stack_release(SIZE_MAX);
    mo_stack_stats st = read_stats();
    assert_int_equal(st.num_warm, 0);
    assert_true(st.reserved_bytes > 0 && st.num_cold > 0);
    for (int i = 0; i < 50; i++) assert_false(is_resident(s[MANY / 2 + 1 + i].hi - 1));
    assert_int_equal(*(char *)(kept.hi - 1), 1);
    mo_stack again = new_stack(256 << 10);
    assert_int_equal(*(char *)(again.hi - 1), 0);
    mo_stack_free(again);
    mo_stack_free(kept);
    mo_stack_release(SIZE_MAX);
    st = read_stats();
    assert_int_equal(st.reserved_bytes + st.num_used + st.num_warm + st.num_cold, 0);
}

static int count_mappings(void) {
    char line[512];
    int num = 0;
    FILE *f = fopen("/proc/self/maps", "r");
    while (f && fgets(line, sizeof line, f)) num++;
    if (f) fclose(f);
    return num;
}

static void guards_cost_no_mappings(void **state) {
    (void)state;
    enum { NUM = 50000 };
    mo_stack *s = calloc(NUM, sizeof *s);
    int before = count_mappings();
    for (int i = 0; i < NUM; i++) s[i] = new_stack(0);
    mo_stack_stats st = read_stats();
    int more = count_mappings() - before;
    print_message("%d stacks, %d mappings, %s\n", NUM, more,
                  st.guard_kind == MO_GUARD_REGION ? "guard regions" : "a mapping for each guard");
    if (st.guard_kind == MO_GUARD_REGION) {
        assert_true(more < 50);
        assert_int_equal(st.num_unguarded, 0);
    }
    for (int i = 0; i < NUM; i++) mo_stack_free(s[i]);
    mo_stack_release(SIZE_MAX);
    free(s);
}

static void with_mappings(void *arg) {
    (void)arg;
    enum { NUM = 20000 };
    mo_stack_force_mappings();
    mo_stack *s = calloc(NUM, sizeof *s);
    for (int i = 0; i < NUM; i++)
        if (mo_stack_alloc(0, &s[i]) != 0) _exit(1);
    mo_stack_stats st = read_stats();
    if (st.guard_kind != MO_GUARD_MAPPING || st.num_unguarded != NUM - (16 << 10)) _exit(2);
    test_death d = test_die(store_at, (void *)(s[0].lo - 1));
    if (!died_of_an_access(&d)) _exit(3);
    for (int i = 0; i < NUM; i++) mo_stack_free(s[i]);
    mo_stack_release(SIZE_MAX);
    for (int i = 0; i < NUM; i++) /* the mappings are to be had again */
        if (mo_stack_alloc(0, &s[i]) != 0) _exit(4);
    _exit(read_stats().num_unguarded == NUM - (16 << 10) ? 0 : 5);
}

static void an_older_kernel_guards_as_many_as_it_can(void **state) {
    (void)state;
    test_death d = test_die(with_mappings, NULL);
    assert_int_equal(test_exit_status(&d), 0);
}

static void refused_calls_are_told_and_harm_nothing(void **state) {
    (void)state;
    mo_stack s;
    assert_int_equal(mo_stack_alloc(MO_STACK_MAX_BYTES + 1, &s), -EINVAL);
    assert_int_equal(mo_stack_alloc(SIZE_MAX, &s), -EINVAL);
    for (uint64_t from = 1; from < 6; from++) {
        mo_os_fault_from(from);
        int result = mo_stack_alloc(1 << 20, &s);
        uint64_t calls = mo_os_fault_count();
        mo_os_fault_from(0);
        if (result == 0) {
            assert_true(calls < from); /* it made no more calls than succeeded */
            mo_stack_free(s);
            mo_stack_release(SIZE_MAX);
            continue;
        }
        assert_int_equal(result, -ENOMEM);
        assert_int_equal(read_stats().reserved_bytes, 0);
    }
    touch(s = new_stack(1 << 20));
    mo_stack_free(s);
    mo_stack_release(SIZE_MAX);
}

/* Each thread takes stacks, writes into them, and finds that still there; now and then it frees
 * them all, so that arenas become empty. Two give back what they have freed. */
enum { TAKERS = 2, GIVERS = 2, HELD = 40 };
static uint32_t is_over; /* atomic */

static const char *take_and_free_many(uint64_t tag) {
    mo_stack held[HELD] = {{0, 0}};
    for (uint64_t i = 0, n = test_steps(20000); i < n; i++) {
        mo_stack *s = &held[i % HELD];
        uint64_t *place = s->hi ? (uint64_t *)s->hi - 1 : NULL;
        if (place && *place != (tag | (i - HELD))) return "a stack in use has lost its words";
        if (place) mo_stack_free(*s);
        if (mo_stack_alloc(i % 7 == 0 ? 1 << 20 : 0, s) != 0) return "no stack";
        ((uint64_t *)s->hi)[-1] = tag | i;
        for (int k = 0; (i + 1) % (2 * HELD) == 0 && k < HELD; k++) {
            mo_stack_free(held[k]);
            held[k].hi = 0;
        }
    }
    for (int i = 0; i < HELD; i++)
        if (held[i].hi) mo_stack_free(held[i]);
    return NULL;
}
static void *take_and_free(void *arg) {
    mo_thread *t = mo_thread_current();
    mo_runtime_enter(t);
    const char *error = take_and_free_many((uint64_t)(uintptr_t)arg << 32);
    mo_runtime_leave(t);
    return (void *)error;
}
static void *give_back(void *arg) {
    (void)arg;
    mo_thread *t = mo_thread_current();
    mo_runtime_enter(t);
    while (!__atomic_load_n(&is_over, __ATOMIC_ACQUIRE)) mo_stack_release(SIZE_MAX);
    mo_runtime_leave(t);
    return NULL;
}

static void stacks_are_taken_while_others_go_back(void **state) {
    (void)state;
    pthread_t takers[TAKERS], givers[GIVERS];
    is_over = 0;
    for (int i = 0; i < GIVERS; i++)
        assert_int_equal(pthread_create(&givers[i], NULL, give_back, NULL), 0);
    for (uintptr_t i = 0; i < TAKERS; i++)
        assert_int_equal(pthread_create(&takers[i], NULL, take_and_free, (void *)(i + 1)), 0);
    for (int i = 0; i < TAKERS; i++) {
        void *error;
        pthread_join(takers[i], &error);
        if (error) fail_msg("%s", (char *)error);
    }
    __atomic_store_n(&is_over, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < GIVERS; i++) pthread_join(givers[i], NULL);
    mo_thread *t = mo_thread_current();
    mo_runtime_enter(t);
    mo_stack_release(SIZE_MAX);
    mo_stack_stats s = read_stats();
    mo_runtime_leave(t);
    assert_int_equal(s.num_used + s.num_warm + s.num_cold, 0);
    assert_int_equal(s.reserved_bytes, 0);
}

static void free_twice(void *arg) {
    (void)arg;
    mo_stack s = new_stack(0);
    mo_stack_free(s);
    mo_stack_free(s);
}

static void a_stack_freed_twice_is_fatal(void **state) {
    (void)state;
    test_death d = test_die(free_twice, NULL);
    test_expect_text(&d, "is not one that is in use", __FILE__, __LINE__);
}

int main(void) {
    alarm(25); /* a damaged list may have no end */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stacks_are_apart_and_large_enough),
        cmocka_unit_test(what_lies_below_a_stack_faults),
        cmocka_unit_test(a_frame_of_300_kib_runs_into_the_guard_not_past_it),
        cmocka_unit_test(a_guard_is_known_by_its_addresses),
        cmocka_unit_test(the_stack_freed_last_is_given_out_first),
        cmocka_unit_test(a_stack_that_nobody_went_down_has_one_page),
        cmocka_unit_test(memory_and_address_space_go_back),
        cmocka_unit_test(guards_cost_no_mappings),
        cmocka_unit_test(an_older_kernel_guards_as_many_as_it_can),
        cmocka_unit_test(refused_calls_are_told_and_harm_nothing),
        cmocka_unit_test(a_stack_freed_twice_is_fatal),
        cmocka_unit_test(stacks_are_taken_while_others_go_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
