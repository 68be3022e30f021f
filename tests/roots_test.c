/* roots_test.c - where a pointer must stand to keep its object alive, outside the heap.
 *
 * Each place is the only one that holds the address while collections run and freed memory is
 * used again; then the object's contents are checked, and that it dies once the place is cleared.
 * modes: gc
 */
#include "support.h"
#include "witness.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

typedef struct subject {
    size_t magic, index;
    char fill[48];
} subject;

#define MAGIC ((size_t)0x5ab1ec75ab1ec7)

/* Uses memory that was wrongly freed for something else. */
static NOINLINE void churn(void) {
    for (int i = 0; i < 500; i++) {
        subject *s = mound_new(subject);
        s->magic = 0xbad;
    }
}

static NOINLINE void collect(void) {
    for (int i = 0; i < 3; i++) {
        mound_gc();
        churn();
    }
}

static subject *make(size_t index) {
    subject *s = mound_new(subject);
    s->magic = MAGIC;
    s->index = index;
    return s;
}

static bool is_intact(const subject *s, size_t index) {
    return s && s->magic == MAGIC && s->index == index;
}

/* watched[0] says whether the last subject lives. */
typedef struct place {
    void **where;
    size_t off; /* added to the address */
} place;

static void put(void *arg) {
    const place *p = arg;
    for (int i = 0; i < 20; i++) make(99)->magic = 0xdead; /* dead neighbours */
    subject *s = make(7);
    watched[0] = mound_weak_make(s);
    void *word = (char *)s + p->off;
    memcpy(p->where, &word, sizeof word);
    for (int i = 0; i < 20; i++) make(99)->magic = 0xdead;
}

static void put_into(void **where, size_t off) {
    place p = {where, off};
    if (!watched) watched = mound_alloc_array(WATCH_MAX, sizeof *watched);
    apart(put, &p);
}

static void look(void *arg) { *(bool *)arg = is_intact(mound_weak_get(watched[0]), 7); }

static bool is_alive(void) {
    bool alive;
    wipe_stack();
    collect();
    apart(look, &alive);
    return alive;
}

/* A stale copy of an address in a dead part of the stack may keep one or the other subject:
 * counted, and judged by the last test. */
static int num_cleared, num_survived;

static NOINLINE void expect_dead(void) {
    num_cleared++;
    num_survived += is_alive();
}

static void subjects_die_when_their_place_is_cleared(void **state) {
    (void)state;
    print_message("%d of %d died\n", num_cleared - num_survived, num_cleared);
    assert_true(num_cleared > 40 && num_survived * 10 <= num_cleared);
}

#define assert_place_keeps(where, off)                                                             \
    do {                                                                                           \
        put_into((where), (off));                                                                  \
        assert_true(is_alive());                                                                   \
        *(where) = NULL;                                                                           \
        expect_dead();                                                                             \
    } while (0)

static void *data_word = &data_word; /* in .data, not .bss */
static void *bss_word;
void *exported_word;
static struct {
    char first[40];
    void *word;
    char last[40];
} inside;

static void globals_keep(void **state) {
    (void)state;
    assert_place_keeps(&data_word, 0);
    assert_place_keeps(&bss_word, 0);
    assert_place_keeps(&exported_word, 0);
    assert_place_keeps(&inside.word, 0);
    assert_place_keeps(&inside.word, 33);
    assert_place_keeps(&inside.word, sizeof(subject) - 1);
    assert_place_keeps(&bss_word, sizeof(subject)); /* one past the end */
}

static void function_statics_keep(void **state) {
    (void)state;
    static void *word;
    assert_place_keeps(&word, 0);
}

static __thread void *tls_zero;
static __thread void *tls_set = &bss_word;
static __thread char tls_fill[3000];
static __thread void *tls_far;

static void thread_local_storage_keeps(void **state) {
    (void)state;
    tls_fill[0] = 1;
    assert_place_keeps(&tls_zero, 0);
    assert_place_keeps(&tls_set, 0);
    assert_place_keeps(&tls_far, 5);
}

/* A libc word that is neither ours nor the program's: writable data of a shared object. */
static void data_of_a_shared_object_keeps(void **state) {
    (void)state;
    void **slot =
        (void **)&program_invocation_short_name; /* in libc, a pointer that nobody reads here */
    void *old = *slot;
    put_into(slot, 0);
    bool alive = is_alive();
    *slot = old;
    assert_true(alive);
    expect_dead();
}

/* ---------------------------------------------------------------- stack and registers */

static NOINLINE bool held_by_base_on_stack(void) {
    void *volatile word = NULL;
    put_into((void **)(uintptr_t)&word, 0);
    bool alive = is_alive();
    word = NULL;
    return alive;
}

static NOINLINE bool held_by_interior_on_stack(size_t off) {
    void *volatile word = NULL;
    put_into((void **)(uintptr_t)&word, off);
    bool alive = is_alive();
    word = NULL;
    return alive;
}

static void the_stack_keeps(void **state) {
    (void)state;
    assert_true(held_by_base_on_stack());
    expect_dead();
    for (size_t off = 1; off <= sizeof(subject); off += 7) {
        assert_true(held_by_interior_on_stack(off));
        expect_dead();
    }
    assert_true(held_by_interior_on_stack(sizeof(subject))); /* one past the end */
    expect_dead();
}

static NOINLINE bool walks_to_the_end(void) {
    /* A loop over an array of which only {cursor, end} is left, as compilers make it. */
    char *volatile end;
    void *word = NULL;
    put_into(&word, sizeof(subject));
    end = word;
    word = NULL;
    mound_keep_alive(&word);
    bool alive = is_alive();
    return alive && is_intact((subject *)(void *)(end - sizeof(subject)), 7);
}

static void a_pointer_one_past_the_end_on_the_stack_keeps(void **state) {
    (void)state;
    assert_true(walks_to_the_end());
    expect_dead();
}

#if defined(__x86_64__)
static uintptr_t hidden;

static void put_hidden(void *arg) {
    (void)arg;
    void *word;
    place p = {&word, 0};
    put(&p);
    hidden = HIDE(word);
}

/* The address is in one register only, while fn runs: in a callee-saved one. */
#define DEFINE_HELD_IN(reg)                                                                        \
    static NOINLINE bool held_in_##reg(void) {                                                     \
        uintptr_t back;                                                                            \
        uintptr_t secret = hidden;                                                                 \
        hidden = 0;                                                                                \
        __asm__ volatile("notq %1\n\tmovq %1, %%" #reg "\n\txorl %k1, %k1\n\t"                     \
                         "movq %%rsp, %%rbx\n\tandq $-16, %%rsp\n\tcall %P2\n\t"                   \
                         "movq %%rbx, %%rsp\n\tmovq %%" #reg ", %0\n\tnotq %0"                     \
                         : "=&a"(back), "+&d"(secret)                                              \
                         : "i"(collect)                                                            \
                         : "rbx", "rcx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",     \
                           "r14", "r15", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4",   \
                           "xmm5", "xmm6", "xmm7");                                                \
        bool alive = is_intact(SHOW(back), 7);                                                     \
        return alive;                                                                              \
    }
DEFINE_HELD_IN(r12)
DEFINE_HELD_IN(r13)
DEFINE_HELD_IN(r14)
DEFINE_HELD_IN(r15)

static void callee_saved_registers_keep(void **state) {
    (void)state;
    bool (*const held[])(void) = {held_in_r12, held_in_r13, held_in_r14, held_in_r15};
    if (!watched) watched = mound_alloc_array(WATCH_MAX, sizeof *watched);
    for (int i = 0; i < 4; i++) {
        apart(put_hidden, NULL);
        assert_true(held[i]());
        expect_dead();
    }
}
/* Another thread spins with the address in one register only and is stopped there by signal. */
static int spin_state; /* 1: spinning, 2: told to end */

#define DEFINE_SPIN_IN(name, load, unload, clobber)                                                \
    static void *spin_in_##name(void *arg) {                                                       \
        uintptr_t word = hidden;                                                                   \
        hidden = 0;                                                                                \
        __asm__ volatile("notq %0\n\t" load "\n\txorl %k0, %k0\n\tmovl $1, %1\n"                   \
                         "1:\tpause\n\tcmpl $2, %1\n\tjne 1b\n\t" unload "\n\tnotq %0"             \
                         : "+&a"(word), "+m"(spin_state)                                           \
                         :                                                                         \
                         : clobber, "memory", "cc");                                               \
        *(bool *)arg = is_intact(SHOW(word), 7);                                                   \
        return NULL;                                                                               \
    }
DEFINE_SPIN_IN(r8, "movq %0, %%r8", "movq %%r8, %0", "r8")
DEFINE_SPIN_IN(r11, "movq %0, %%r11", "movq %%r11, %0", "r11")
DEFINE_SPIN_IN(rbx, "movq %0, %%rbx", "movq %%rbx, %0", "rbx")
DEFINE_SPIN_IN(xmm0, "movq %0, %%xmm0", "movq %%xmm0, %0", "xmm0")
DEFINE_SPIN_IN(xmm15, "movq %0, %%xmm15", "movq %%xmm15, %0", "xmm15")

static void registers_of_a_running_thread_keep(void **state) {
    (void)state;
    static const struct {
        const char *name;
        void *(*main_fn)(void *);
    } spins[] = {{"r8", spin_in_r8},
                 {"r11", spin_in_r11},
                 {"rbx", spin_in_rbx},
                 {"xmm0", spin_in_xmm0},
                 {"xmm15", spin_in_xmm15}};
    if (!watched) watched = mound_alloc_array(WATCH_MAX, sizeof *watched);
    if (has_debug("gcstress")) {
        print_message("skipped under gcstress: it collects before the thread has the address\n");
        skip();
    }
    for (size_t i = 0; i < sizeof spins / sizeof spins[0]; i++) {
        pthread_t thread;
        bool ok = false;
        apart(put_hidden, NULL);
        __atomic_store_n(&spin_state, 0, __ATOMIC_RELEASE);
        assert_int_equal(pthread_create(&thread, NULL, spins[i].main_fn, &ok), 0);
        while (__atomic_load_n(&spin_state, __ATOMIC_ACQUIRE) != 1) sched_yield();
        for (int k = 0; k < 3; k++) {
            wipe_stack();
            collect();
        }
        __atomic_store_n(&spin_state, 2, __ATOMIC_RELEASE);
        pthread_join(thread, NULL);
        if (!ok) fail_msg("the object held in %s of a running thread was lost", spins[i].name);
        expect_dead();
    }
}
#endif

/* ---------------------------------------------------------------- keys */

enum { NUM_KEYS = 100 };

static void pthread_key_values_keep(void **state) {
    (void)state;
    static pthread_key_t keys[NUM_KEYS];
    int num = 0;
    while (num < NUM_KEYS && pthread_key_create(&keys[num], NULL) == 0) num++;
    assert_true(num > 64); /* beyond the first 32, which glibc keeps in another place */
    for (int i = 0; i < num; i += i == 0 || i > num - 5 ? 1 : 7) {
        void *word = NULL;
        put_into(&word, 0);
        pthread_setspecific(keys[i], word);
        word = NULL;
        mound_keep_alive(&word);
        wipe_stack();
        bool alive = is_alive();
        pthread_setspecific(keys[i], NULL);
        if (!alive) fail_msg("the value of key %d (number %u) was lost", i, keys[i]);
        expect_dead();
    }
    for (int i = 0; i < num; i++) pthread_key_delete(keys[i]);
}

static void use_keys_made_before_the_start(void *arg) {
    (void)arg;
    static pthread_key_t keys[40];
    for (int i = 0; i < 40; i++)
        if (pthread_key_create(&keys[i], NULL) != 0) _exit(3);
    for (int i = 0; i < 40; i += 39) {
        void *word = NULL;
        put_into(&word, 0);
        pthread_setspecific(keys[i], word);
        word = NULL;
        mound_keep_alive(&word);
        if (!is_alive()) _exit(10 + i);
        pthread_setspecific(keys[i], NULL);
    }
}

/* A program may have taken the first 32 keys before mound starts. */
static void keys_made_before_the_start_keep_too(void **state) {
    (void)state;
    test_death d = test_die(use_keys_made_before_the_start, NULL);
    if (test_exit_status(&d) != 0) fail_msg("wait status 0x%x: %s", (unsigned)d.status, d.text);
}

/* ---------------------------------------------------------------- added ranges */

static void added_ranges_keep_until_removed(void **state) {
    (void)state;
    enum { BYTES = 1 << 20 };
    void **map = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    size_t num = BYTES / sizeof *map;
    assert_true(map != MAP_FAILED);
    put_into(&map[500], 0);
    expect_dead(); /* mmap's memory is no root by itself */
    map[500] = NULL;
    assert_int_equal(mound_root_add(map, BYTES), 0);
    size_t at[] = {0, 1, num / 2, num - 1};
    for (int i = 0; i < 4; i++) {
        put_into(&map[at[i]], 0);
        assert_true(is_alive());
        map[at[i]] = NULL;
        expect_dead();
    }
    put_into(&map[num - 1], 0);
    assert_int_equal(mound_root_remove(map, BYTES), 0);
    expect_dead();
    munmap(map, BYTES);
}

static void ranges_may_overlap_and_each_add_needs_its_remove(void **state) {
    (void)state;
    void **block = malloc(100 * sizeof *block);
    memset(block, 0, 100 * sizeof *block);
    assert_int_equal(mound_root_add(block, 100 * sizeof *block), 0);
    assert_int_equal(mound_root_add(block, 100 * sizeof *block), 0);
    assert_int_equal(mound_root_add(block + 40, 20 * sizeof *block), 0);
    put_into(&block[50], 0);
    assert_true(is_alive());
    assert_int_equal(mound_root_remove(block, 100 * sizeof *block), 0);
    assert_true(is_alive());
    assert_int_equal(mound_root_remove(block, 100 * sizeof *block), 0);
    assert_true(is_alive());
    assert_int_equal(mound_root_remove(block, 100 * sizeof *block), -ENOENT);
    assert_int_equal(mound_root_remove(block + 40, 20 * sizeof *block), 0);
    expect_dead();
    free(block);
}

static void many_ranges_all_count(void **state) {
    (void)state;
    enum { NUM = 6000 }; /* more than the first table of roots holds */
    static void **block[NUM];
    for (int i = 0; i < NUM; i++) {
        block[i] = calloc(2, sizeof(void *));
        assert_int_equal(mound_root_add(block[i], 2 * sizeof(void *)), 0);
    }
    for (int i = 0; i < NUM; i += 1999) {
        put_into(&block[i][1], 0);
        assert_true(is_alive());
        block[i][1] = NULL;
        expect_dead();
    }
    for (int i = 0; i < NUM; i++) {
        int k = i * 7 % NUM; /* not in the order they came; 7 and NUM have no common factor */
        assert_int_equal(mound_root_remove(block[k], 2 * sizeof(void *)), 0);
        free(block[k]);
    }
}

static void bad_ranges_are_refused(void **state) {
    (void)state;
    static char block[64];
    assert_int_equal(mound_root_add(block, 0), -EINVAL);
    assert_int_equal(mound_root_add((void *)(UINTPTR_MAX - 10), 100), -EINVAL);
    assert_int_equal(mound_root_remove(block, 64), -ENOENT);
    assert_int_equal(mound_root_add(block, 64), 0);
    assert_int_equal(mound_root_remove(block, 32), -ENOENT);
    assert_int_equal(mound_root_remove(block + 8, 64), -ENOENT);
    assert_int_equal(mound_root_remove(block, 64), 0);
}

static void a_range_need_not_be_aligned(void **state) {
    (void)state;
    void **block = calloc(4, sizeof *block);
    assert_int_equal(mound_root_add((char *)block + 1, 3 * sizeof *block), 0);
    put_into(&block[1], 0); /* wholly inside the range */
    assert_true(is_alive());
    assert_int_equal(mound_root_remove((char *)block + 1, 3 * sizeof *block), 0);
    expect_dead();
    free(block);
}

static void keep_alive_keeps(void **state) {
    (void)state;
    size_t rounds = scaled(50) < 5 ? 5 : scaled(50);
    for (size_t i = 0; i < rounds; i++) {
        subject *s = make(i);
        mound_weak w = mound_weak_make(s);
        collect();
        assert_ptr_equal(mound_weak_get(w), s);
        mound_keep_alive(s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_made_before_the_start_keep_too), /* first: mound has not started */
        cmocka_unit_test(globals_keep),
        cmocka_unit_test(function_statics_keep),
        cmocka_unit_test(thread_local_storage_keeps),
        cmocka_unit_test(data_of_a_shared_object_keeps),
        cmocka_unit_test(the_stack_keeps),
        cmocka_unit_test(a_pointer_one_past_the_end_on_the_stack_keeps),
#if defined(__x86_64__)
        cmocka_unit_test(callee_saved_registers_keep),
        cmocka_unit_test(registers_of_a_running_thread_keep),
#endif
        cmocka_unit_test(pthread_key_values_keep),
        cmocka_unit_test(added_ranges_keep_until_removed),
        cmocka_unit_test(ranges_may_overlap_and_each_add_needs_its_remove),
        cmocka_unit_test(many_ranges_all_count),
        cmocka_unit_test(bad_ranges_are_refused),
        cmocka_unit_test(a_range_need_not_be_aligned),
        cmocka_unit_test(keep_alive_keeps),
        cmocka_unit_test(subjects_die_when_their_place_is_cleared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
