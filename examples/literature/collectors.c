/* collectors.c - one workload, five ways to manage its memory, and what each costs.
 *
 *   manual           malloc, and free when the program says so
 *   counting         malloc, a count of references in each object, freed when it becomes 0
 *   copying          two spaces: what lives is copied to the other one when the first is full
 *   mark and sweep   mound with MOUND_BARRIER=none: each collection is one stop
 *   concurrent       mound as it is: marks by three colours while the program runs
 *
 * The workload: a tree of 131071 nodes that lives to the end and of which a part is replaced in
 * each round; beside it a tree of 16383 nodes per round, dropped at once. Trees are built on a
 * stack of roots of the program's own, where also the copying collector finds and changes them.
 *
 * The longest stop: of manual memory 0 by definition (its frees are the program's own work); of
 * counting the longest cascade of frees by one drop; of copying the longest flip; of mound what its
 * statistics say. Each runs in a fresh process, so that peak memory is its own. Numbers of one run,
 * no benchmark: which one wins depends on the workload.
 *
 * Run: collectors [ROUNDS]
 */
#include "literature.h"

#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    LONG_DEPTH = 16,
    SHORT_DEPTH = 13,
    PART_LEVEL = 6, /* of the long-lived tree: so far below its root is the part's parent */
    ROUNDS = 400,
    SPACE_BYTES = 8 << 20, /* twice what lives, as with GOGC=100 */
    MAX_ROOTS = 64,
};

typedef struct node {
    struct node *left, *right;
    long count; /* counting: references; copying: MOVED, then left is the new place */
} node;

typedef struct manager {
    const char *name, *barrier; /* of MOUND_BARRIER; NULL: not mound */
    node *(*make)(void);        /* zeroed; may move what the roots refer to */
    void (*drop)(node *);       /* one reference less */
} manager;

static node *roots[MAX_ROOTS];
static int num_roots, num_rounds = ROUNDS;
static const manager *now;
static uint64_t longest_ns;

static uint64_t clock_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void note_stop(uint64_t begin) {
    uint64_t ns = clock_ns() - begin;
    if (ns > longest_ns) { longest_ns = ns; }
}

/* ---------------------------------------------------------------- manual */

static node *manual_make(void) {
    node *n = calloc(1, sizeof *n);
    verify(n, "no memory");
    return n;
}

static void manual_drop(node *n) {
    if (!n) { return; }
    manual_drop(n->left);
    manual_drop(n->right);
    free(n);
}

/* ---------------------------------------------------------------- counting */

static node *counting_make(void) {
    node *n = manual_make();
    n->count = 1;
    return n;
}

static void count_down(node *n) {
    if (!n || --n->count > 0) { return; }
    count_down(n->left);
    count_down(n->right);
    free(n);
}

static void counting_drop(node *n) {
    uint64_t begin = clock_ns();
    count_down(n);
    note_stop(begin);
}

/* ---------------------------------------------------------------- copying */

enum { MOVED = -1 };
static char *spaces[2], *unused, *limit;
static int current;

static node *copy(node *n) {
    if (!n) { return NULL; }
    if (n->count == MOVED) { return n->left; }
    node *to = (node *)(void *)unused;
    unused += sizeof *to;
    *to = *n;
    n->count = MOVED;
    n->left = to;
    return to;
}

/* What is copied and not scanned yet lies between scan and unused: the queue is the space itself.
 */
static void flip(void) {
    uint64_t begin = clock_ns();
    current ^= 1;
    if (!spaces[current]) { spaces[current] = malloc(SPACE_BYTES); }
    verify(spaces[current], "no memory");
    char *scan = unused = spaces[current];
    limit = unused + SPACE_BYTES;
    for (int i = 0; i < num_roots; i++) { roots[i] = copy(roots[i]); }
    for (; scan < unused; scan += sizeof(node)) {
        node *n = (node *)(void *)scan;
        n->left = copy(n->left);
        n->right = copy(n->right);
    }
    note_stop(begin);
}

static node *copying_make(void) {
    if (limit - unused < (long)sizeof(node)) {
        flip();
        verify(limit - unused >= (long)sizeof(node), "the spaces are too small");
    }
    node *n = (node *)(void *)unused;
    unused += sizeof *n;
    *n = (node){NULL, NULL, 0};
    return n;
}

/* ---------------------------------------------------------------- mound */

static node *collected_make(void) { return mound_new(node); }
static void no_drop(node *n) { (void)n; }

static const manager managers[] = {
    {"manual", NULL, manual_make, manual_drop},
    {"counting", NULL, counting_make, counting_drop},
    {"copying", NULL, copying_make, no_drop},
    {"mark and sweep", "none", collected_make, no_drop},
    {"concurrent", "auto", collected_make, no_drop}, /* os where the kernel can, else none */
};
enum { NUM_MANAGERS = sizeof managers / sizeof managers[0] };

/* ---------------------------------------------------------------- the workload */

static node *pop(void) {
    node *n = roots[--num_roots];
    roots[num_roots] = NULL; /* for mound, which looks at all of them */
    return n;
}

static void push_tree(int depth) {
    if (depth > 0) {
        push_tree(depth - 1);
        push_tree(depth - 1);
    }
    node *n = now->make(); /* before its parts leave the roots */
    if (depth > 0) {
        n->right = pop();
        n->left = pop();
    }
    roots[num_roots++] = n;
}

static void replace_part(unsigned path) {
    push_tree(LONG_DEPTH - PART_LEVEL - 1);
    node *parent = roots[0];
    for (int i = 0; i < PART_LEVEL; i++) { parent = path >> i & 1 ? parent->left : parent->right; }
    node *old = parent->left;
    parent->left = pop();
    now->drop(old);
}

static long count_nodes(const node *n) {
    return n ? 1 + count_nodes(n->left) + count_nodes(n->right) : 0;
}

static NOINLINE void work(void) {
    push_tree(LONG_DEPTH);
    for (int round = 0; round < num_rounds; round++) {
        push_tree(SHORT_DEPTH);
        now->drop(pop());
        replace_part((unsigned)round * 2654435761u >> 16);
    }
    verify(count_nodes(roots[0]) == (2L << LONG_DEPTH) - 1, "%s: nodes were lost", now->name);
    now->drop(pop());
}

/* In a process of its own: prints its row. */
static int run_one(const manager *m) {
    struct rusage usage;
    const char *note = "";
    now = m;
    if (m->make == copying_make) { flip(); }
    if (m->barrier) { mound_set_gc_percent(100); } /* whatever MOUND_GOGC says */
    longest_ns = 0;
    uint64_t begin = clock_ns();
    work();
    uint64_t ns = clock_ns() - begin;
    if (m->barrier) {
        mound_mem_stats s = stats_now();
        longest_ns = s.pause_max_ns;
        verify(s.num_gc > 0, "%s: nothing was collected", m->name);
        bool is_concurrent = s.num_concurrent_gc > 0;
        verify(!is_concurrent || strcmp(m->barrier, "none") != 0, "it marked beside the program");
        if (!is_concurrent && strcmp(m->barrier, "auto") == 0) { note = s.barrier; }
    }
    getrusage(RUSAGE_SELF, &usage);
    printf("%-16s %6.0f ms %12.3f ms %10.1f MB  %s\n", m->name, (double)ns / 1e6,
           (double)longest_ns / 1e6, (double)usage.ru_maxrss / 1024, note);
    verify(m->drop == manual_drop || longest_ns > 0, "%s: never stopped", m->name);
    return 0;
}

static bool run_in_child(int i) {
    int status = 0;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        char number[16], rounds[16];
        snprintf(number, sizeof number, "%d", i);
        snprintf(rounds, sizeof rounds, "%d", num_rounds);
        if (managers[i].barrier) { setenv("MOUND_BARRIER", managers[i].barrier, 1); }
        execl("/proc/self/exe", "collectors", rounds, number, (char *)NULL);
        _exit(127);
    }
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(int argc, char **argv) {
    if (argc > 1) { num_rounds = atoi(argv[1]); }
    verify(num_rounds > 0, "ROUNDS is a number from 1");
    if (argc > 2) { return run_one(&managers[atoi(argv[2]) % NUM_MANAGERS]); }
    printf("%-16s %9s %15s %13s\n", "", "time", "longest stop", "peak memory");
    for (int i = 0; i < NUM_MANAGERS; i++) {
        verify(run_in_child(i), "%s did not end well", managers[i].name);
    }
    printf("ok: five times the same trees, and no node was lost\n");
    return 0;
}
