/* retention_test.c - what a dropped list leaves behind.
 *
 * A list that the main thread builds in the plainest way and drops is the classic failure of a
 * conservative collector: one stale word on a stack keeps the rest of the list alive. Nothing is
 * wiped here by the test: what the library itself leaves on the stack must do no harm.
 *
 * modes: gc
 */
#include "witness.h"

#include <unistd.h>

typedef struct node {
    struct node *next;
    size_t number;
    char fill[48];
} node;

_Static_assert(sizeof(node) == 64, "16 of them make a KiB");

static node *list; /* global, so that dropping it is one store */
static node **live;

/* Under gcstress each of the many collections marks the whole list. */
static size_t steps(size_t n) { return has_debug("gcstress") ? n / 800 : scaled(n); }

static NOINLINE void build(size_t num) {
    for (size_t i = 0; i < num; i++) {
        node *n = mound_new(node);
        n->next = list;
        n->number = i;
        list = n;
    }
}

static NOINLINE void build_interleaved(size_t num, size_t one_in) {
    live = mound_new_array(node *, num / one_in + 1);
    for (size_t i = 0; i < num; i++) {
        node *n = mound_new(node);
        n->number = i;
        if (i % one_in == one_in / 2) {
            live[i / one_in] = n;
        } else {
            n->next = list;
            list = n;
        }
    }
}

static NOINLINE size_t length(const node *n) {
    size_t len = 0;
    for (; n; n = n->next) len++;
    return len;
}

static uint64_t marked_now(void) {
    mound_mem_stats s = {.struct_bytes = sizeof s};
    mound_gc();
    mound_gc(); /* what was allocated during the first counts there, dead or not */
    mound_read_mem_stats(&s);
    return s.heap_marked_bytes;
}

/* Per cent of bytes that stay after the list is dropped. */
static double percent_kept(uint64_t before, uint64_t bytes) {
    uint64_t after = marked_now();
    return after > before ? 100.0 * (double)(after - before) / (double)bytes : 0;
}

static void a_dropped_list_of_a_gigabyte_is_freed(void **state) {
    (void)state;
    size_t num = steps((size_t)16 << 20);
    uint64_t before = marked_now();
    build(num);
    uint64_t full = marked_now();
    assert_true(full >= before + num * sizeof(node));
    list = NULL;
    double kept = percent_kept(before, num * sizeof(node));
    print_message("list of %zu MB, dropped: %.3f %% kept\n", num * sizeof(node) >> 20, kept);
    assert_true(kept < 5);
    mound_mem_stats s = {.struct_bytes = sizeof s};
    mound_read_mem_stats(&s);
    assert_true(s.heap_inuse_bytes < before + num * sizeof(node) / 20 + (8 << 20));
}

static double interleaved(size_t num) {
    enum { ONE_IN = 1000 };
    uint64_t before = marked_now();
    build_interleaved(num, ONE_IN);
    if (length(list) < num - num / ONE_IN - 1) {
        print_error("the list lost nodes before it was dropped\n");
        return 100;
    }
    list = NULL;
    double kept = percent_kept(before, num * sizeof(node));
    for (size_t i = 0; i < num; i++)
        if (i % ONE_IN == ONE_IN / 2 && live[i / ONE_IN]->number != i) return 100;
    live = NULL;
    return kept;
}

static void a_dropped_list_among_live_objects_is_freed(void **state) {
    (void)state;
    size_t num = steps((size_t)2 << 20);
    double kept = interleaved(num);
    print_message("list of %zu MB among live nodes, 1 in 1000, dropped: %.3f %% kept\n",
                  num * sizeof(node) >> 20, kept);
    assert_true(kept < 5);
}

/* If a word in the heap that is the base of one object also kept the object before it, as words on
 * stacks do, each live node would keep the list node before it, and with it most of the list. */
static void that_case_is_why_ends_in_the_heap_do_not_count(void **state) {
    (void)state;
    if (!is_plain_run()) {
        print_message("skipped: measured in the plain run only\n");
        skip();
    }
    char path[512], command[700], line[128] = "";
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
    assert_true(len > 0);
    path[len] = '\0';
    snprintf(command, sizeof command, "MOUND_DEBUG=heapend=1 '%s' interleaved", path);
    FILE *child = popen(command, "r");
    assert_non_null(child);
    char *text = fgets(line, sizeof line, child);
    pclose(child);
    assert_non_null(text);
    double kept = atof(line);
    print_message("the same with MOUND_DEBUG=heapend=1: %.3f %% kept\n", kept);
    assert_true(kept > 50); /* else the default could be changed */
}

static NOINLINE void build_tree(node **where, int depth) {
    node *n = *where = mound_new(node);
    if (depth == 0) return;
    build_tree(&n->next, depth - 1);
    build_tree((node **)(void *)n->fill, depth - 1);
}

static void a_dropped_tree_is_freed(void **state) {
    (void)state;
    int depth = has_debug("gcstress") ? 11 : scaled(100) == 100 ? 20 : 14;
    uint64_t before = marked_now(), bytes = ((uint64_t)2 << depth) * sizeof(node);
    build_tree(&list, depth);
    /* Less what a stale word kept of an earlier list, and keeps no longer. */
    assert_true(marked_now() >= before + bytes - bytes / 20);
    list = NULL;
    double kept = percent_kept(before, bytes);
    print_message("tree of %llu MB, dropped: %.3f %% kept\n", (unsigned long long)bytes >> 20,
                  kept);
    assert_true(kept < 5);
}

static void a_queue_that_moves_on_leaves_nothing_behind(void **state) {
    (void)state;
    size_t num = steps(3000000);
    uint64_t before = marked_now();
    node *head = mound_new(node), *tail = head;
    for (size_t i = 0; i < num; i++) { /* 100 nodes live at any time */
        tail->next = mound_new(node);
        tail = tail->next;
        tail->number = i;
        if (i >= 100) head = head->next;
    }
    double kept = percent_kept(before, num * sizeof(node));
    assert_int_equal(length(head), 101);
    print_message("queue, %zu MB went through: %.3f %% kept\n", num * sizeof(node) >> 20, kept);
    assert_true(kept < 5);
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "interleaved") == 0) {
        printf("%f\n", interleaved((size_t)1 << 20));
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dropped_list_of_a_gigabyte_is_freed),
        cmocka_unit_test(a_dropped_list_among_live_objects_is_freed),
        cmocka_unit_test(that_case_is_why_ends_in_the_heap_do_not_count),
        cmocka_unit_test(a_dropped_tree_is_freed),
        cmocka_unit_test(a_queue_that_moves_on_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
