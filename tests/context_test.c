/* context_test.c - contexts go on where they left, with their registers and their stack.
 *
 * modes: valgrind
 * Compiled a second time as context_ucontext_test, for the other implementation.
 */
#include "support.h"

#define NOINLINE __attribute__((noinline))

#include <stdlib.h>
#include <sys/mman.h>

#include "sys/context.h"

enum { STACK_BYTES = 256 << 10 };

typedef struct side {
    mo_context context, *back;
    char *stack;
    void (*run)(struct side *s);
    uint64_t count, seen;
    bool is_over;
} side;

static mo_context home;

static void side_main(void *arg) {
    side *s = arg;
    s->run(s);
    s->is_over = true;
    mo_context_switch(&s->context, &home);
    abort(); /* nobody goes on in it */
}

static void side_open(side *s, void (*run)(side *s)) {
    memset(s, 0, sizeof *s);
    s->stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(s->stack != MAP_FAILED);
    s->run = run;
    mo_context_make(&s->context, (uintptr_t)s->stack, (uintptr_t)s->stack + STACK_BYTES, side_main,
                    s);
}

static void side_close(side *s) {
    assert_true(s->is_over);
    munmap(s->stack, STACK_BYTES);
}

static void leave(side *s) { mo_context_switch(&s->context, &home); }
static void enter(side *s) { mo_context_switch(&home, &s->context); }

/* ---------------------------------------------------------------- the tests */

static void note_place(side *s) {
    char local[16];
    s->seen = (uint64_t)(uintptr_t)local;
    s->count = (uintptr_t)__builtin_frame_address(0) % 16;
}

static void the_function_runs_on_the_given_stack(void **state) {
    (void)state;
    side s;
    side_open(&s, note_place);
    enter(&s);
    assert_in_range(s.seen, (uintptr_t)s.stack, (uintptr_t)s.stack + STACK_BYTES);
    assert_int_equal(s.count, 0); /* as the calling convention aligns frames */
    side_close(&s);
}

static void count_to_1000(side *s) {
    for (int i = 0; i < 1000; i++) {
        s->count++;
        leave(s);
    }
}

static void contexts_take_turns(void **state) {
    (void)state;
    enum { SIDES = 50 };
    static side s[SIDES];
    for (int i = 0; i < SIDES; i++) side_open(&s[i], count_to_1000);
    for (int k = 1; k <= 1000; k++)
        for (int i = 0; i < SIDES; i++) {
            enter(&s[i]);
            assert_int_equal(s[i].count, k);
        }
    for (int i = 0; i < SIDES; i++) {
        enter(&s[i]);
        side_close(&s[i]);
    }
}

/* So many values live across the switch that callee-saved registers and the frame hold them. */
static NOINLINE uint64_t hold_many(void (*away)(side *s), side *s, uint64_t x) {
    uint64_t a = x * 3, b = x * 5, c = x * 7, d = x * 11, e = x * 13, f = x * 17, g = x * 19;
    __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f), "+r"(g));
    away(s);
    return a + b + c + d + e + f + g;
}

static void hold_on_the_side(side *s) {
    for (uint64_t i = 0; i < 100; i++)
        if (hold_many(leave, s, i) != i * 75) s->seen++;
}

static void registers_are_found_again(void **state) {
    (void)state;
    side s;
    side_open(&s, hold_on_the_side);
    for (uint64_t i = 0; !s.is_over; i++)
        assert_int_equal(hold_many(enter, &s, i + 1000), (i + 1000) * 75);
    assert_int_equal(s.seen, 0);
    side_close(&s);
}

/* A collector reads what a context holds there and nowhere else. */
static NOINLINE void hold_secret(side *s) {
    uint64_t secret = s->seen * 0x9E3779B97F4A7C15u;
    __asm__ volatile("" : "+r"(secret)); /* in a register that a callee saves, or in the frame */
    leave(s);
    __asm__ volatile("" : : "r"(secret));
}

static void what_a_context_holds_stands_above_its_sp(void **state) {
    (void)state;
    side s;
    side_open(&s, hold_secret);
    s.seen = 4711;
    uint64_t secret = s.seen * 0x9E3779B97F4A7C15u;
    enter(&s);
    uintptr_t sp = s.context.sp, hi = (uintptr_t)s.stack + STACK_BYTES;
    assert_in_range(sp, (uintptr_t)s.stack, hi - 1);
    bool is_found = false;
    for (const uint64_t *p = (const uint64_t *)sp; p < (const uint64_t *)hi; p++)
        is_found |= *p == secret;
    assert_true(is_found);
    enter(&s);
    side_close(&s);
}

static NOINLINE uint64_t descend(side *s, int depth) {
    volatile char fill[1024];
    fill[0] = (char)depth;
    uint64_t sum = depth > 0 ? descend(s, depth - 1) : 0;
    leave(s);
    return sum + (uint64_t)fill[0];
}

static void descend_100(side *s) { s->count = descend(s, 100); }

static void a_switch_deep_in_calls_returns_through_all_of_them(void **state) {
    (void)state;
    side s;
    side_open(&s, descend_100);
    while (!s.is_over) enter(&s);
    assert_int_equal(s.count, 100 * 101 / 2);
    side_close(&s);
}

typedef struct carrier {
    side *s;
    uint64_t count;
} carrier;

static void *carry(void *arg) {
    carrier *c = arg;
    mo_context here;
    memset(&here, 0, sizeof here);
    mo_context *old = c->s->back;
    c->s->back = &here;
    mo_context_switch(&here, &c->s->context);
    c->s->back = old;
    c->count = c->s->count;
    return NULL;
}

static void count_for_whoever_carries(side *s) {
    for (int i = 0; i < 3; i++) {
        s->count++;
        mo_context_switch(&s->context, s->back);
    }
}

static void a_context_goes_on_in_another_thread(void **state) {
    (void)state;
    side s;
    side_open(&s, count_for_whoever_carries);
    for (uint64_t i = 1; i <= 3; i++) {
        carrier c = {&s, 0};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, carry, &c), 0);
        pthread_join(thread, NULL);
        assert_int_equal(c.count, i);
    }
    enter(&s);
    side_close(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_function_runs_on_the_given_stack),
        cmocka_unit_test(contexts_take_turns),
        cmocka_unit_test(registers_are_found_again),
        cmocka_unit_test(what_a_context_holds_stands_above_its_sp),
        cmocka_unit_test(a_switch_deep_in_calls_returns_through_all_of_them),
        cmocka_unit_test(a_context_goes_on_in_another_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
