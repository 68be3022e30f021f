/* mark_test.c - the marker finds exactly what can be reached.
 *
 * Random graphs of objects of all kinds are made together with a copy of their edges in malloc's
 * memory; a plain search over the copy says what is reachable, and after a collection every object
 * must be alive or dead as that says. Everything runs with 1, 2 and 4 mark workers, each in a
 * process of its own. MOUND_TEST_SEED repeats a run.
 * modes: gc
 */
#include "support.h"
#include "witness.h"

/* ---------------------------------------------------------------- random graphs */

typedef struct narrow {
    void *edge[2];
    void *hidden; /* not listed */
    void *third;
} narrow;
MOUND_TYPE(narrow, edge[0], edge[1], third);

typedef struct wide {
    void *first;
    size_t fill[62];
    void *at_63, *at_64;
    void *hidden;
    size_t more[40];
    void *last;
} wide;
MOUND_TYPE(wide, first, at_63, at_64, last);

enum { MAX_EDGES = 6, ARRAY_LEN = 3000 };
typedef enum shape { PLAIN, LARGE, NOSCAN, NARROW, WIDE, ARRAY, PINNED, NUM_SHAPES } shape;

/* One vertex as the test knows it, in malloc's memory: no root. */
typedef struct vertex {
    uintptr_t hidden; /* its address */
    size_t size;
    shape shape;
    bool is_reachable, is_dead;
    int num_edges;
    struct {
        size_t word; /* where the pointer stands */
        uint32_t to;
        uintptr_t value; /* hidden too */
        bool counts;     /* the collector looks there */
    } edge[MAX_EDGES];
} vertex;

typedef struct graph {
    mo_rand rand;
    vertex *v;
    uint32_t num;
    void **roots; /* uncollectable */
    uint32_t num_roots, *root_to;
    uint32_t *stack;
    struct end *ends; /* sorted */
} graph;

/* Where a slot ends, hidden: roots that hold this address keep it too. */
typedef struct end {
    uintptr_t hidden;
    uint32_t index;
} end;

static int compare_ends(const void *a, const void *b) {
    uintptr_t x = ((const end *)a)->hidden, y = ((const end *)b)->hidden;
    return (x > y) - (x < y);
}

static uint32_t below(graph *g, uint32_t n) { return (uint32_t)(mo_rand_next(&g->rand) % n); }

static shape random_shape(graph *g) {
    uint32_t r = below(g, 1000);
    return r < 4     ? LARGE
           : r < 8   ? ARRAY
           : r < 12  ? PINNED
           : r < 150 ? NOSCAN
           : r < 350 ? NARROW
           : r < 450 ? WIDE
                     : PLAIN;
}

static void make_vertex(graph *g, vertex *v) {
    void *p = NULL;
    v->shape = random_shape(g);
    v->is_dead = false;
    v->num_edges = 0;
    switch (v->shape) {
    case PLAIN: p = mound_alloc(v->size = 16 + 8 * below(g, below(g, 20) ? 20 : 3000)); break;
    case LARGE: p = mound_alloc(v->size = 32776 + 8 * below(g, 40000)); break;
    case NOSCAN: p = mound_alloc_noscan(v->size = 32 + 8 * below(g, 30)); break;
    case NARROW: p = mound_new_typed(narrow), v->size = sizeof(narrow); break;
    case WIDE: p = mound_new_typed(wide), v->size = sizeof(wide); break;
    case ARRAY:
        p = mound_alloc_typed(MOUND_TYPEOF(narrow), ARRAY_LEN),
        v->size = ARRAY_LEN * sizeof(narrow);
        break;
    case PINNED: p = mound_alloc_uncollectable(v->size = 64); break;
    case NUM_SHAPES: break;
    }
    v->hidden = HIDE(p);
}

static size_t random_word(graph *g, const vertex *v, bool *counts) {
    static const size_t of_wide[] = {offsetof(wide, first) / 8, offsetof(wide, at_63) / 8,
                                     offsetof(wide, at_64) / 8, offsetof(wide, last) / 8,
                                     offsetof(wide, hidden) / 8};
    size_t words = v->size / 8, k;
    *counts = true;
    switch (v->shape) {
    case NOSCAN: *counts = false; return below(g, (uint32_t)words);
    case NARROW: k = below(g, 4), *counts = k != 2; return k;
    case WIDE: k = below(g, 5), *counts = k != 4; return of_wide[k];
    case ARRAY:
        k = below(g, 4), *counts = k != 2;
        return (below(g, 4) ? below(g, ARRAY_LEN) : ARRAY_LEN - 1) * sizeof(narrow) / 8 + k;
    case LARGE: /* often beside a boundary of the pieces the marker cuts */
        k = below(g, 3) ? below(g, (uint32_t)words)
                        : (1 + below(g, (uint32_t)words / 128)) * 128 - below(g, 2);
        return below(g, 8) ? (k < words ? k : words - 1) : words - 1;
    case PLAIN:
    case PINNED:
    case NUM_SHAPES: break;
    }
    return below(g, (uint32_t)words);
}

static void *address_inside(graph *g, const vertex *v) {
    char *p = SHOW(v->hidden);
    return below(g, 3) ? p : p + below(g, (uint32_t)v->size);
}

/* Writes one edge; false if its word is taken. */
static bool make_edge(graph *g, vertex *v, uint32_t to) {
    bool counts;
    size_t word = random_word(g, v, &counts);
    for (int i = 0; i < v->num_edges; i++)
        if (v->edge[i].word == word) return false;
    void **p = SHOW(v->hidden);
    p[word] = address_inside(g, &g->v[to]);
    int i = v->num_edges++;
    v->edge[i].word = word;
    v->edge[i].to = to;
    v->edge[i].value = HIDE(p[word]);
    v->edge[i].counts = counts;
    return true;
}

static void clear_edge(vertex *v, int i) {
    ((void **)SHOW(v->hidden))[v->edge[i].word] = NULL;
    v->edge[i] = v->edge[--v->num_edges];
}

static void set_root(graph *g, uint32_t i, uint32_t to) {
    g->root_to[i] = to;
    g->roots[i] = address_inside(g, &g->v[to]);
}

static void make_graph(void *arg) {
    graph *g = arg;
    for (uint32_t i = 0; i < g->num; i++) make_vertex(g, &g->v[i]);
    for (uint32_t i = 0; i < g->num; i++)
        for (uint32_t k = below(g, 4); k > 0; k--) make_edge(g, &g->v[i], below(g, g->num));
    for (uint32_t i = 0; i < g->num_roots; i++) set_root(g, i, below(g, g->num));
    for (uint32_t i = 0; i < g->num; i++) {
        char *p = SHOW(g->v[i].hidden);
        g->ends[i] = (end){HIDE(p + mound_size(p)), i};
    }
    qsort(g->ends, g->num, sizeof *g->ends, compare_ends);
}

/* Changes what lives: new edges between live objects, some cut, some roots moved. */
static void change_graph(void *arg) {
    graph *g = arg;
    uint32_t *live = g->stack, num_live = 0;
    for (uint32_t i = 0; i < g->num; i++)
        if (!g->v[i].is_dead) live[num_live++] = i;
    for (uint32_t n = num_live / 4; n > 0; n--) {
        vertex *v = &g->v[live[below(g, num_live)]];
        if (v->num_edges > 0 && below(g, 2)) clear_edge(v, (int)below(g, (uint32_t)v->num_edges));
        if (v->num_edges < MAX_EDGES && below(g, 3) == 0) make_edge(g, v, live[below(g, num_live)]);
    }
    for (uint32_t i = 0; i < g->num_roots; i += 3) set_root(g, i, live[below(g, num_live)]);
}

static void reach(graph *g, uint32_t *num, uint32_t to) {
    if (g->v[to].is_reachable || g->v[to].is_dead)
        return; /* a dead neighbour is no object any more */
    g->v[to].is_reachable = true;
    g->stack[(*num)++] = to;
}

/* A pointer in uncollectable memory: what it points into, and what ends there. */
static void reach_from_root(graph *g, uint32_t *num, uint32_t to, uintptr_t hidden_value) {
    reach(g, num, to);
    end key = {hidden_value, 0}, *at = bsearch(&key, g->ends, g->num, sizeof key, compare_ends);
    if (at) reach(g, num, at->index);
}

static void search(graph *g) {
    uint32_t num = 0;
    for (uint32_t i = 0; i < g->num; i++) g->v[i].is_reachable = false;
    for (uint32_t i = 0; i < g->num; i++)
        if (g->v[i].shape == PINNED) reach(g, &num, i);
    for (uint32_t i = 0; i < g->num_roots; i++)
        reach_from_root(g, &num, g->root_to[i], HIDE(g->roots[i]));
    while (num > 0) {
        vertex *v = &g->v[g->stack[--num]];
        for (int i = 0; i < v->num_edges; i++) {
            if (v->shape == PINNED)
                reach_from_root(g, &num, v->edge[i].to, v->edge[i].value);
            else if (v->edge[i].counts)
                reach(g, &num, v->edge[i].to);
        }
    }
}

typedef struct verdict {
    graph *g;
    size_t lost, damaged, kept, live, dead;
} verdict;

static void compare(void *arg) {
    verdict *r = arg;
    for (uint32_t i = 0; i < r->g->num; i++) {
        vertex *v = &r->g->v[i];
        if (v->is_dead) continue;
        void **p = SHOW(v->hidden);
        bool lives = mound_base(p) == p && mound_size(p) >= v->size;
        if (!v->is_reachable) {
            r->dead++;
            r->kept += lives;
            v->is_dead = true; /* of those kept by chance nothing more is asked */
            continue;
        }
        r->live++;
        r->lost += !lives;
        for (int k = 0; lives && k < v->num_edges; k++)
            r->damaged += HIDE(p[v->edge[k].word]) != v->edge[k].value;
    }
}

static void exactly_what_can_be_reached_survives(void **state) {
    (void)state;
    if (has_debug("gcstress")) {
        print_message("skipped under gcstress: it collects while the graph is only half made\n");
        skip();
    }
    unsigned runs = test_runs((unsigned)(scaled(16) < 2 ? 2 : scaled(16)));
    size_t sum_dead = 0, sum_kept = 0;
    unsigned num_rounds = 0, num_keeping = 0;
    for (unsigned run = 0; run < runs; run++) {
        graph g = {.num = run % 4 == 3 ? 20000 : 4000};
        g.num_roots = g.num / 50;
        mo_rand_seed(&g.rand, test_seed("graph", run));
        g.v = calloc(g.num, sizeof *g.v);
        g.stack = calloc(g.num, sizeof *g.stack);
        g.ends = calloc(g.num, sizeof *g.ends);
        g.root_to = calloc(g.num_roots, sizeof *g.root_to);
        g.roots = mound_alloc_uncollectable(g.num_roots * sizeof *g.roots);
        int old =
            mound_set_gc_percent(-1); /* nothing else holds the vertices while they are made */
        apart(make_graph, &g);
        for (int round = 0; round < 4; round++) {
            search(&g);
            wipe_stack();
            mound_gc();
            verdict r = {.g = &g};
            apart(compare, &r);
            sum_dead += r.dead;
            sum_kept += r.kept;
            num_rounds++;
            num_keeping += r.kept * 100 > r.dead;
            if (r.lost || r.damaged)
                fail_msg("round %d: of %zu reachable objects %zu were lost, %zu words changed",
                         round, r.live, r.lost, r.damaged);
            apart(change_graph, &g);
        }
        for (uint32_t i = 0; i < g.num; i++)
            if (g.v[i].shape == PINNED) mound_free(memset(SHOW(g.v[i].hidden), 0, g.v[i].size));
        mound_free(memset(g.roots, 0, g.num_roots * sizeof *g.roots));
        free(g.v);
        free(g.stack);
        free(g.ends);
        free(g.root_to);
        mound_set_gc_percent(old);
    }
    print_message(
        "%zu of %zu unreachable objects were kept, more than a hundredth in %u of %u rounds\n",
        sum_kept, sum_dead, num_keeping, num_rounds);
    /* A dead word of the stack or a register keeps one object by chance in a few rounds of a
     * hundred, and with it what hangs on it, which may be a tenth of the graph: the sum says
     * nothing. A collector that follows what is no pointer keeps many nearly always. */
    assert_true(num_keeping * 2 <= num_rounds);
}

/* ---------------------------------------------------------------- shapes */

static void **top; /* the only root of the shapes below */

static void churn(size_t num, size_t size) {
    for (size_t i = 0; i < num; i++) memset(mound_alloc_noscan(size), 0x5a, size);
}

static NOINLINE void make_wide_object(size_t num) {
    top = mound_new_array(void *, num);
    for (size_t i = 0; i < num; i++) {
        size_t *child = mound_alloc_noscan(16);
        child[0] = i;
        child[1] = ~i;
        top[i] = child;
    }
}

static void all_children_of_a_wide_object_survive(void **state) {
    (void)state;
    size_t num = scaled(1000000);
    make_wide_object(num);
    for (int i = 0; i < 3; i++) {
        mound_gc();
        churn(1000, 16);
    }
    for (size_t i = 0; i < num; i++) {
        size_t *child = top[i];
        if (child[0] != i || child[1] != ~i) fail_msg("child %zu of %zu was lost", i, num);
    }
    mound_mem_stats s = {.struct_bytes = sizeof s};
    mound_read_mem_stats(&s);
    uint64_t before = s.heap_objects;
    top = NULL;
    wipe_stack();
    mound_gc();
    mound_read_mem_stats(&s);
    assert_true(before - s.heap_objects >= num - 10);
}

static NOINLINE void make_list(size_t num) {
    for (size_t i = 0; i < num; i++) {
        void **n = i % 2 ? mound_alloc(32) : (void **)mound_new_typed(narrow);
        n[0] = top;
        n[2] = (void *)i; /* no pointer, and not listed */
        top = n;
    }
}

static void a_list_of_a_million_objects_survives(void **state) {
    (void)state;
    size_t num = scaled(1000000), len = 0;
    make_list(num);
    mound_gc();
    churn(num / 4, 32);
    mound_gc();
    for (void **n = top; n; n = n[0], len++)
        if ((size_t)n[2] != num - 1 - len) fail_msg("node %zu was lost", len);
    assert_int_equal(len, num);
    top = NULL;
}

/* Pointers at the start, at the end, and around every multiple of 1 KiB and 128 KiB. */
static void every_word_of_a_large_object_counts(void **state) {
    (void)state;
    size_t sizes[] = {32776,  131072,  131080,           262144,
                      262152, 1 << 20, (1 << 20) + 4104, scaled((size_t)64 << 20) & ~(size_t)7};
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        if (sizes[k] < 32776) continue;
        size_t words = sizes[k] / 8, step = 128, num = 0;
        if (words / step > 20000) step = 16384;
        top = mound_alloc(sizes[k]);
        for (size_t w = 0; w < words; w += step) {
            size_t at[] = {w, w + 1, w + step - 1};
            for (int i = 0; i < 3; i++) {
                if (at[i] >= words) continue;
                size_t *child = mound_alloc_noscan(16);
                child[0] = at[i];
                top[at[i]] = child;
                num++;
            }
        }
        if (!top[words - 1]) {
            size_t *child = mound_alloc_noscan(16);
            child[0] = words - 1;
            top[words - 1] = child;
        }
        mound_gc();
        churn(num, 16);
        mound_gc();
        for (size_t w = 0; w < words; w++)
            if (top[w] && *(size_t *)top[w] != w)
                fail_msg("%zu bytes: the child at word %zu was lost", sizes[k], w);
        top = NULL;
    }
}

static NOINLINE void **make_tree(int depth) {
    void **n = mound_alloc(depth % 3 ? 16 : 48);
    if (depth > 0) {
        n[0] = make_tree(depth - 1);
        n[1] = make_tree(depth - 1);
    }
    return n;
}

static size_t tree_size(void **n) { return n ? 1 + tree_size(n[0]) + tree_size(n[1]) : 0; }

static void trees_survive(void **state) {
    (void)state;
    int depth = scaled(100) == 100 ? 18 : 12;
    top = make_tree(depth);
    for (int i = 0; i < 3; i++) {
        mound_gc();
        churn(1000, 16);
        churn(1000, 48);
    }
    assert_int_equal(tree_size(top), ((size_t)2 << depth) - 1);
    top = NULL;
}

/* Each node is reached by many paths: whoever loses the race must not lose the node. */
static void a_lattice_in_which_all_paths_meet_survives(void **state) {
    (void)state;
    enum { WIDTH = 64, EDGES = 32 };
    size_t height = scaled(600) < 20 ? 20 : scaled(600);
    void ***row = mound_alloc_uncollectable(WIDTH * sizeof *row),
         ***above = mound_alloc_uncollectable(WIDTH * sizeof *row);
    top = NULL;
    for (size_t y = 0; y < height; y++) {
        for (int x = 0; x < WIDTH; x++) {
            row[x] = mound_alloc(EDGES * sizeof(void *) + 16);
            row[x][EDGES] = (void *)y;
            for (int e = 0; e < EDGES; e++) row[x][e] = above[(x + e) % WIDTH];
        }
        memcpy(above, row, WIDTH * sizeof *row);
    }
    top = (void **)above[0];
    mound_free(row);
    mound_free(above);
    for (int i = 0; i < 5; i++) {
        mound_gc();
        churn(1000, EDGES * sizeof(void *) + 16);
    }
    size_t y = height;
    for (void **n = top; n; n = n[y % EDGES]) {
        y--;
        if ((size_t)n[EDGES] != y) fail_msg("a node of row %zu was lost", y);
    }
    assert_int_equal(y, 0);
    top = NULL;
}

static int run_with_workers(const char *num) {
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        setenv("MOUND_GCWORKERS", num, 1);
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(exactly_what_can_be_reached_survives),
            cmocka_unit_test(all_children_of_a_wide_object_survive),
            cmocka_unit_test(a_list_of_a_million_objects_survives),
            cmocka_unit_test(every_word_of_a_large_object_counts),
            cmocka_unit_test(trees_survive),
            cmocka_unit_test(a_lattice_in_which_all_paths_meet_survives),
        };
        char name[32];
        snprintf(name, sizeof name, "%s workers", num);
        exit(cmocka_run_group_tests_name(name, tests, NULL, NULL));
    }
    int status;
    if (pid < 0 || waitpid(pid, &status, 0) != pid) return 1;
    if (WIFSIGNALED(status))
        fprintf(stderr, "mark_test: with %s workers: killed by signal %d\n", num, WTERMSIG(status));
    return status == 0 ? 0 : 1;
}

int main(void) { return run_with_workers("1") + run_with_workers("2") + run_with_workers("4"); }
