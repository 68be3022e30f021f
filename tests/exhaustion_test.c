/* exhaustion_test.c - memory that the system refuses, at every single place where it can.
 *
 * A fixed workload with checked live data runs in child processes; in the N-th, the N-th memory
 * call of the library fails, and in a second series all calls from the N-th on. Each child must
 * end in one of three ways: finished with its data intact (where it was refused something, that
 * was a NULL or -ENOMEM it handled), or with the one line of a fatal end and status 2. A crash, an
 * internal error, a hang and a lost object are failures. Then the same under real limits.
 */
#include "support.h"

#include <fcntl.h>

#include "witness.h"
#include "sys/os_mem.h"

typedef struct node {
    struct node *next;
    void *child;
    size_t number, check;
} node;
MOUND_TYPE(node, next, child);

enum { DATA_LOST = 50 };

static void lost(const char *what, size_t i) {
    char line[128];
    int n = snprintf(line, sizeof line, "LOST: %s %zu\n", what, i);
    if (write(2, line, (size_t)n) != n) _exit(DATA_LOST + 1);
    _exit(DATA_LOST);
}

static size_t check_of(size_t number) { return number * 0x9E3779B97F4A7C15u ^ 0x77; }

/* ---------------------------------------------------------------- the workload */

enum {
    SLOW = TEST_SANITIZED || MO_VARIETY >= 2 ? 4 : 1,
    LIST = 3000 / SLOW,
    WIDE = 3000 / SLOW,
    DEEP = 8000 / SLOW,
    LARGE = 6,
    TYPED = 1500,  /* a large array */
    RANGES = 4200, /* more than the first table of roots holds */
    WEAK = 50,
};

static struct {
    node *list, *deep, *typed_array;
    size_t **wide;
    size_t *large[LARGE];
    mound_weak weak[WEAK];
    node *weak_target[WEAK];
} live;
static void **range_block; /* from malloc: holds pointers in added ranges */
static size_t num_ranges;
static size_t num_refused;

static node *fill(node *n, size_t number) {
    n->number = number;
    n->check = check_of(number);
    return n;
}

static void build(void) {
    for (size_t i = 0; i < LIST; i++) {
        node *n = fill(i % 3 == 0 ? mound_new_typed(node) : mound_new(node), i);
        n->child = fill(mound_new(node), i + 1);
        n->next = live.list;
        live.list = n;
    }
    for (size_t i = 0; i < DEEP; i++) {
        node *n = fill(mound_new_typed(node), i);
        n->next = live.deep;
        live.deep = n;
    }
    live.wide = mound_new_array(size_t *, WIDE);
    for (size_t i = 0; i < WIDE; i++) {
        live.wide[i] = mound_alloc_noscan(2 * sizeof(size_t));
        live.wide[i][0] = i;
        live.wide[i][1] = check_of(i);
    }
    live.typed_array = mound_alloc_typed(MOUND_TYPEOF(node), TYPED);
    for (size_t i = 0; i < TYPED; i++) {
        fill(&live.typed_array[i], i)->child = fill(mound_new(node), i);
        live.typed_array[i].next = fill(mound_new(node), i + 7);
    }
    for (size_t i = 0; i < LARGE; i++) {
        live.large[i] = mound_try_alloc(100000 + i * 1000000, 0);
        num_refused += live.large[i] == NULL;
        if (live.large[i]) live.large[i][12000] = check_of(i);
    }
    for (size_t i = 0; i < WEAK; i++) {
        live.weak_target[i] = fill(mound_new(node), i);
        live.weak[i] = mound_weak_make(live.weak_target[i]);
    }
    range_block = calloc(RANGES, 2 * sizeof *range_block);
    for (num_ranges = 0; num_ranges < RANGES; num_ranges++) {
        int r = mound_root_add(&range_block[2 * num_ranges], sizeof *range_block);
        if (r != 0 && r != -ENOMEM) lost("mound_root_add's result", num_ranges);
        if (r != 0) {
            num_refused++;
            break;
        }
        range_block[2 * num_ranges] = fill(mound_new(node), num_ranges);
    }
}

static void check_node(const char *what, const node *n, size_t number) {
    if (!n || n->number != number || n->check != check_of(number)) lost(what, number);
}

static void verify(void) {
    size_t i = LIST;
    for (const node *n = live.list; n; n = n->next) {
        check_node("list", n, --i);
        check_node("list child", n->child, i + 1);
    }
    if (i != 0) lost("end of list", i);
    i = DEEP;
    for (const node *n = live.deep; n; n = n->next) check_node("deep", n, --i);
    if (i != 0) lost("end of deep", i);
    for (i = 0; i < WIDE; i++)
        if (live.wide[i][0] != i || live.wide[i][1] != check_of(i)) lost("wide", i);
    for (i = 0; i < TYPED; i++) {
        check_node("typed", &live.typed_array[i], i);
        check_node("typed child", live.typed_array[i].child, i);
        check_node("typed next", live.typed_array[i].next, i + 7);
    }
    for (i = 0; i < LARGE; i++)
        if (live.large[i] && live.large[i][12000] != check_of(i)) lost("large", i);
    for (i = 0; i < WEAK; i++)
        if (mound_weak_get(live.weak[i]) != live.weak_target[i]) lost("weak", i);
    for (i = 0; i < num_ranges; i++) check_node("range", range_block[2 * i], i);
}

static void churn(size_t num) {
    for (size_t i = 0; i < num; i++) {
        node *n = i % 2 ? mound_try_alloc(16 + i * 13 % 200, 0) : mound_new_typed(node);
        if (n)
            memset(n, 0x5a, 16);
        else
            num_refused++;
    }
    size_t *big = mound_try_alloc(3 << 20, MOUND_NOSCAN);
    if (big) big[0] = big[300000] = 1;
}

static void *thread_main(void *arg) {
    node *own = NULL;
    for (size_t i = 0; i < 1000; i++) {
        node *n = fill(i % 2 ? mound_new(node) : mound_new_typed(node), i);
        n->next = own;
        own = n;
        if (i % 400 == 399) mound_gc();
    }
    size_t i = 1000;
    for (const node *n = own; n; n = n->next) check_node("thread's list", n, --i);
    if (i != 0) lost("end of a thread's list", i);
    return arg;
}

static size_t num_cleaned;
static void cleaned(void *arg) {
    (void)arg;
    __atomic_add_fetch(&num_cleaned, 1, __ATOMIC_RELAXED);
}

static void run_workload(void) {
    int tries = 0;
    while (mound_init() != 0)
        if (++tries > 40) _exit(3); /* every call is refused: no way to start */
    build();
    mound_gc();
    verify();
    pthread_t thread[2];
    bool has_thread[2];
    for (int i = 0; i < 2; i++)
        has_thread[i] = pthread_create(&thread[i], NULL, thread_main, NULL) == 0;
    for (int round = 0; round < 3; round++) {
        churn(5000 / SLOW);
        for (int i = 0; i < 20; i++) mound_add_cleanup(mound_new(node), cleaned, NULL);
        if (round == 1)
            mound_free_os_memory();
        else
            mound_gc();
        verify();
    }
    for (int i = 0; i < 2; i++)
        if (has_thread[i]) pthread_join(thread[i], NULL);
    while (num_ranges > 0) {
        num_ranges--;
        if (mound_root_remove(&range_block[2 * num_ranges], sizeof *range_block) != 0)
            lost("range", num_ranges);
    }
    mound_gc();
    verify();
}

/* ---------------------------------------------------------------- a call that fails */

typedef struct fault {
    uint64_t at;
    bool and_after;
    const char *workers;
} fault;

static void run_with_fault(void *arg) {
    const fault *f = arg;
    setenv("MOUND_GCWORKERS", f->workers, 1);
    if (f->and_after)
        mo_os_fault_from(f->at);
    else
        mo_os_fault_at(f->at);
    run_workload();
}

static void run_and_count(void *arg) {
    run_with_fault(arg);
    char line[32];
    int n = snprintf(line, sizeof line, "%llu", (unsigned long long)mo_os_fault_count());
    if (write(2, line, (size_t)n) != n) _exit(1);
}

static bool is_clean_end(const test_death *d) {
    if (strstr(d->text, "internal error") || strstr(d->text, "LOST") ||
        strstr(d->text, "Sanitizer"))
        return false;
    int status = test_exit_status(d);
    if (status == 0) return true;
    if (status == 3) return strncmp(d->text, "mound: ", 7) == 0; /* could not start: it said so */
    if (status != 2) return false;
    /* The last line is the reason. */
    const char *line = d->text;
    for (const char *p = line; (p = strchr(p, '\n')) != NULL && p[1]; p++) line = p + 1;
    return strncmp(line, "mound: ", 7) == 0 && strstr(line, "emory");
}

static void inject(bool and_after, const char *workers) {
    fault f = {0, and_after, workers};
    test_death d = test_die(run_and_count, &f);
    if (test_exit_status(&d) != 0)
        fail_msg("without a fault: wait status 0x%x: %s", (unsigned)d.status, d.text);
    uint64_t count = strtoull(d.text, NULL, 10), num_ok = 0, num_fatal = 0;
    assert_true(count > 20);
    /* The first calls bring the runtime up and make the first collection: each of them; then some.
     */
    bool slow = TEST_SANITIZED || MO_VARIETY >= 2, first = strcmp(workers, "1") == 0;
    uint64_t step = count / (slow ? 12 : 60) + 1, dense = slow ? (first ? 34 : 0) : 50;
    for (uint64_t n = 1; n <= count; n += n < dense ? 1 : step) {
        f.at = n;
        d = test_die(run_with_fault, &f);
        if (!is_clean_end(&d))
            fail_msg(
                "memory call %llu%s of %llu refused, %s workers: wait status 0x%x, stderr \"%s\"",
                (unsigned long long)n, and_after ? " and all after it" : "",
                (unsigned long long)count, workers, (unsigned)d.status, d.text);
        if (test_exit_status(&d) == 0)
            num_ok++;
        else
            num_fatal++;
    }
    print_message("%llu memory calls%s: %llu runs finished, %llu ended with a line\n",
                  (unsigned long long)count, and_after ? ", refused from the N-th on" : "",
                  (unsigned long long)num_ok, (unsigned long long)num_fatal);
    if (!and_after) assert_true(num_ok > num_fatal); /* one refusal is nearly always survived */
}

static void each_single_call_may_be_refused(void **state) {
    (void)state;
    inject(false, "1");
    inject(false, "2");
}

static void all_calls_from_any_on_may_be_refused(void **state) {
    (void)state;
    inject(true, "1");
    inject(true, "2");
}

/* ---------------------------------------------------------------- marking without memory */

static void build_wide_and_typed(size_t num) {
    live.wide = mound_new_array(size_t *, num);
    live.typed_array = mound_alloc_typed(MOUND_TYPEOF(node), num);
    for (size_t i = 0; i < num; i++) {
        live.wide[i] = mound_alloc(4 * sizeof(size_t));
        live.wide[i][0] = i;
        size_t *leaf = mound_alloc_noscan(16);
        leaf[0] = ~i;
        live.wide[i][1] = (size_t)leaf;
        fill(&live.typed_array[i], i)->child = fill(mound_new(node), i);
    }
}

static void check_wide_and_typed(size_t num) {
    for (size_t i = 0; i < num; i++) {
        if (live.wide[i][0] != i || *(size_t *)live.wide[i][1] != ~i) lost("wide", i);
        check_node("typed", live.typed_array[i].child, i);
    }
}

static void mark_without_memory(void *arg) {
    size_t num = (size_t)(uintptr_t)arg;
    setenv("MOUND_GOGC", "off", 1);
    mound_gc(); /* an empty heap: what it needs of memory is not buffers */
    build_wide_and_typed(num);
    mo_os_fault_from(1);
    mound_gc();
    mo_os_fault_from(0);
    for (size_t i = 0; i < num; i++)
        mound_keep_alive(memset(mound_alloc_noscan(16 + 16 * (i % 3)), 0x77, 16));
    check_wide_and_typed(num);
    mound_gc();
    check_wide_and_typed(num);
}

static void nothing_is_lost_when_there_are_no_mark_buffers(void **state) {
    (void)state;
    static const size_t nums[] = {10, 600, 20000};
    for (int i = 0; i < 3; i++) {
        test_death d = test_die(mark_without_memory, (void *)nums[i]);
        if (test_exit_status(&d) != 0)
            fail_msg("%zu children: wait status 0x%x: %s", nums[i], (unsigned)d.status, d.text);
    }
}

static void mark_many_ranges_without_memory(void *arg) {
    size_t num = (size_t)(uintptr_t)arg;
    setenv("MOUND_GOGC", "off", 1);
    mound_gc();
    void **block = calloc(2 * num, sizeof *block);
    for (size_t i = 0; i < num; i++) {
        if (mound_root_add(&block[2 * i], sizeof *block) != 0) lost("mound_root_add", i);
        block[2 * i] = fill(mound_new(node), i);
    }
    /* One range with more pointers than a buffer holds, behind those the table has room for. */
    void **wide = calloc(5000, sizeof *wide);
    if (mound_root_add(wide, 5000 * sizeof *wide) != 0) lost("mound_root_add", num);
    for (size_t i = 0; i < 5000; i++) wide[i] = fill(mound_new(node), i);
    mo_os_fault_from(1);
    mound_gc();
    mo_os_fault_from(0);
    for (size_t i = 0; i < num + 5000; i++)
        mound_keep_alive(memset(mound_new(node), 0x77, sizeof(node)));
    for (size_t i = 0; i < num; i++) check_node("range", block[2 * i], i);
    for (size_t i = 0; i < 5000; i++) check_node("word of the wide range", wide[i], i);
}

static void nothing_is_lost_when_the_table_of_roots_cannot_grow(void **state) {
    (void)state;
    test_death d = test_die(mark_many_ranges_without_memory, (void *)(size_t)9000);
    if (test_exit_status(&d) != 0) fail_msg("wait status 0x%x: %s", (unsigned)d.status, d.text);
}

/* Words that differ in many places, between so many that agree in bits 3 to 8 that a buffer is full
 * before them and again soon after. */
static void drop_words(void *arg) {
    enum { AGREE = 512, DIFFER = 63, BEHIND = 300 };
    size_t before = (size_t)(uintptr_t)arg, num = before + DIFFER + BEHIND;
    setenv("MOUND_GOGC", "off", 1);
    mound_gc();
    char **block = calloc(num, sizeof *block);
    size_t **differ = (size_t **)block + before;
    if (mound_root_add(block, num * sizeof *block) != 0) lost("mound_root_add", 0);
    for (size_t i = 0; i < num; i++) {
        if (i - before < DIFFER) continue;
        block[i] = mound_alloc(AGREE);
        if ((uintptr_t)block[i] % AGREE != 0) lost("alignment", i);
    }
    for (size_t i = 0; i < DIFFER; i++) {
        size_t *x;
        do x = mound_alloc(64);
        while ((uintptr_t)x / 64 % 8 != i / 8);
        for (size_t k = 0; k < 8; k++) x[k] = ~i;
        differ[i] = x + i % 8;
    }
    mo_os_fault_from(1);
    mound_gc();
    mo_os_fault_from(0);
    for (size_t i = 0; i < 1000; i++) mound_keep_alive(memset(mound_alloc(64), 0x77, 64));
    for (size_t i = 0; i < DIFFER; i++)
        if (*differ[i] != ~i) lost("word between many that agree", i);
}

static void nothing_is_lost_that_was_seen_but_dropped(void **state) {
    (void)state;
    for (size_t before = 600; before < 1200; before += 50) {
        test_death d = test_die(drop_words, (void *)before);
        if (test_exit_status(&d) != 0) fail_msg("wait status 0x%x: %s", (unsigned)d.status, d.text);
    }
}

/* ---------------------------------------------------------------- real limits */

static bool limits_work(void) {
    if (!TEST_SANITIZED) return true;
    print_message("skipped: a sanitizer needs the address space for itself\n");
    return false;
}

static void set_limit(int resource, size_t bytes) {
    struct rlimit l;
    getrlimit(resource, &l);
    l.rlim_cur = bytes;
    setrlimit(resource, &l);
}

static NOINLINE node *pile_up(size_t size) {
    node *pile = NULL;
    for (;;) {
        node *n = mound_try_alloc(size, 0);
        if (!n) return pile;
        n->next = pile;
        fill(n, pile ? pile->number + 1 : 0);
        pile = n;
    }
}

static void try_until_null(void *arg) {
    const size_t *a = arg; /* limit, size */
    set_limit(RLIMIT_DATA, a[0]);
    if (mound_init() != 0) _exit(3);
    node *volatile pile = NULL;
    for (int round = 0; round < 3; round++) {
        pile = pile_up(a[1]);
        if (!pile || (pile->number + 1) * a[1] < a[0] / 4)
            lost("most of the memory, in round", (size_t)round);
        if (mound_try_alloc((size_t)32 << 20, MOUND_NOSCAN))
            lost("NULL for a large object, round", (size_t)round);
        size_t left = pile->number + 1;
        for (const node *n = pile; n; n = n->next) check_node("pile", n, --left);
        pile = NULL;
        wipe_stack();
    }
    mound_gc();
    if (!mound_try_alloc(a[1], 0) || !mound_try_alloc(1 << 20, 0)) lost("the use of the heap", 0);
    for (int i = 0; i < 10000; i++) mound_keep_alive(mound_alloc(1000));
}

static void try_alloc_gives_null_and_the_heap_stays_usable(void **state) {
    (void)state;
    if (!limits_work()) skip();
    static const size_t sizes[] = {64, 1000, 9000, 200000};
    for (int i = 0; i < 4; i++) {
        size_t a[2] = {(size_t)120 << 20, sizes[i]};
        test_death d = test_die(try_until_null, a);
        if (test_exit_status(&d) != 0)
            fail_msg("objects of %zu bytes: wait status 0x%x: %s", sizes[i], (unsigned)d.status,
                     d.text);
    }
}

static void alloc_until_the_end(void *arg) {
    set_limit(RLIMIT_DATA, (size_t)120 << 20);
    node *pile = NULL;
    for (;;) {
        node *n = mound_alloc((size_t)(uintptr_t)arg);
        n->next = pile;
        pile = n;
    }
}

static void alloc_ends_with_the_heap_s_numbers(void **state) {
    (void)state;
    if (!limits_work()) skip();
    test_death d = test_die(alloc_until_the_end, (void *)1000);
    test_expect_fatal(&d, "out of memory allocating 1000 bytes: heap ", __FILE__, __LINE__);
    test_expect_text(&d, " MiB in use, ", __FILE__, __LINE__);
    test_expect_text(&d, "; raise the limit, or use mound_try_alloc", __FILE__, __LINE__);
    d = test_die(alloc_until_the_end, (void *)500000);
    test_expect_fatal(&d, "out of memory allocating 500000 bytes: heap ", __FILE__, __LINE__);
}

enum { MAX_HUGE = 40 };

/* Apart, so that the compiler's copies of the addresses are gone when it returns. */
static NOINLINE void allocate_huge_objects(void **keep) {
    int n = 0;
    while (n < MAX_HUGE && (keep[n] = mound_try_alloc((size_t)500 << 20, MOUND_NOSCAN)) != NULL)
        n++;
    if (n < 6 || n > 8) lost("the number of 500 MiB objects", (size_t)n);
    for (int i = 0; i < n; i++) *(int *)keep[i] = i;
    for (int i = 0; i < 1000; i++) mound_keep_alive(mound_alloc(1000));
    for (int i = 0; i < n; i++)
        if (*(int *)keep[i] != i) lost("500 MiB object", (size_t)i);
    memset(keep, 0, MAX_HUGE * sizeof *keep);
}

static void fill_the_reservation(void *arg) {
    (void)arg;
    set_limit(RLIMIT_AS, (size_t)6 << 30); /* 4 GiB are reserved then */
    if (mound_init() != 0) _exit(3);
    void **keep = mound_alloc(MAX_HUGE * sizeof *keep);
    for (int round = 0; round < 2; round++) {
        allocate_huge_objects(keep);
        wipe_stack();
        mound_free_os_memory(); /* else it is cleared by hand, all 4 GiB */
    }
}

static void a_full_reservation_is_exhaustion_too(void **state) {
    (void)state;
    if (!limits_work()) skip();
    test_death d = test_die(fill_the_reservation, NULL);
    if (test_exit_status(&d) != 0) fail_msg("wait status 0x%x: %s", (unsigned)d.status, d.text);
}

/* Garbage is there: then nothing is exhausted, whoever asks. */
static void ignore(void *arg) { (void)arg; }

static void weak_and_cleanups_at_the_limit(void *arg) {
    (void)arg;
    set_limit(RLIMIT_DATA, (size_t)120 << 20);
    mound_set_gc_percent(-1);
    char *kept = mound_alloc(4000);
    node *pile = pile_up(64);
    if (!pile) _exit(4);
    pile = NULL;
    wipe_stack();
    for (int i = 0; i < 3000; i++) {
        mound_weak w = mound_weak_make(kept + i);
        mound_add_cleanup(kept, ignore, NULL);
        if (mound_weak_get(w) != kept + i) lost("weak", (size_t)i);
    }
    mound_keep_alive(kept);
}

static void weak_pointers_and_cleanups_collect_before_they_give_up(void **state) {
    (void)state;
    if (!limits_work()) skip();
    test_death d = test_die(weak_and_cleanups_at_the_limit, NULL);
    if (test_exit_status(&d) != 0) fail_msg("wait status 0x%x: %s", (unsigned)d.status, d.text);
}

int main(int argc, char **argv) {
    unsetenv("MOUND_DEBUG");
    if (argc == 4) { /* one run in this process: AT, "one" or "all", WORKERS */
        fault f = {strtoull(argv[1], NULL, 10), argv[2][0] == 'a', argv[3]};
        run_with_fault(&f);
        return 0;
    }
    select_tests();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_when_there_are_no_mark_buffers),
        cmocka_unit_test(nothing_is_lost_when_the_table_of_roots_cannot_grow),
        cmocka_unit_test(nothing_is_lost_that_was_seen_but_dropped),
        cmocka_unit_test(each_single_call_may_be_refused),
        cmocka_unit_test(all_calls_from_any_on_may_be_refused),
        cmocka_unit_test(try_alloc_gives_null_and_the_heap_stays_usable),
        cmocka_unit_test(alloc_ends_with_the_heap_s_numbers),
        cmocka_unit_test(a_full_reservation_is_exhaustion_too),
        cmocka_unit_test(weak_pointers_and_cleanups_collect_before_they_give_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
