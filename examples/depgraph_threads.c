/* depgraph_threads.c - depgraph.c with plain pthreads and containers of its own.
 *
 *     depgraph_threads [-p workers] [-top rows] [-v] packages.txt
 *
 * mound asks for no goroutines: a program with threads, locks and condition variables takes the
 * heap alone and changes nothing else. Compare it with depgraph.c: goroutines and channels replace
 * crew.h there, slices, strings and maps containers.h. Input, options and output are the same.
 *
 * Threads   cutter -> stanzas -> workers: parse -> parsed -> main: join, sort, resolve
 *           main -> work -> workers: walk closures; main: print
 *           stanzas, parsed and work are bounded queues of batches. A package's fields have one
 *           writer at a time; queues and pthread_join hand them on.
 * Boehm     USE_BOEHM builds the same source on another collector, to compare them.
 */
#define _GNU_SOURCE /* getopt_long_only */

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#ifdef USE_BOEHM
#include "boehm_shim.h"
#else
#include <mound.h>
#endif

#include "containers.h"
#include "crew.h"

enum { MAX_LINE = 1 << 24 }; /* bytes; reading stops at a longer line, as in the Go program */

static void die(const char *verb, const char *object) {
    fprintf(stderr, "depgraph: %s %s: %s\n", verb, object, strerror(errno));
    exit(1);
}

static double now_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* One line on a terminal, ten times a second at most; 0 wipes it. From the main thread only. */
static void show_progress(const char *what, size_t done) {
    static double next;
    static int is_terminal = -1;
    if (is_terminal < 0) { is_terminal = isatty(STDERR_FILENO); }
    if (is_terminal && (done == 0 || now_seconds() >= next)) {
        next = now_seconds() + 0.1;
        fprintf(stderr, done ? "\r%s %zu" : "\r\033[K", what, done);
    }
}

/* ---------------------------------------------------------------- packages */

typedef struct package {
    text *name, *version, *section;
    int64_t size_kib;
    vec depends;         /* of vec *, one for each clause: of text *, its alternatives in order */
    vec provides;        /* of text * */
    vec edges;           /* of package * */
    int64_t dependents;  /* distinct packages with an edge to this one */
    int64_t closure;     /* packages reachable, itself excluded */
    int64_t closure_kib; /* their installed size together with its own */
} package;

/* The name in an alternative such as " c:any (>= 1) [amd64]". */
static slice package_name(slice alternative) {
    slice s = slice_trim(alternative);
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == ' ' || c == '(' || c == ':' || c == '[') { s.len = i; }
    }
    return s;
}

/* A clause list "a (>= 1) | b, c:any [amd64]" adds [a b] and [c] to out. */
static void add_clauses(vec *out, const text *list) {
    slice clauses = slice_of(list), clause, alternative;
    while (slice_cut(&clauses, ',', &clause)) {
        vec *alternatives = NULL;
        while (slice_cut(&clause, '|', &alternative)) {
            slice name = package_name(alternative);
            if (name.len > 0) {
                alternatives = alternatives ? alternatives : mound_new(vec);
                vec_push(alternatives, text_copy(name));
            }
        }
        if (alternatives != NULL) { vec_push(out, alternatives); }
    }
}

static map parse_fields(const text *stanza) {
    map fields = {0};
    void **value = NULL; /* of the field that continuation lines belong to */
    slice rest = slice_of(stanza), line, key;
    while (slice_cut(&rest, '\n', &line)) {
        if (line.len > 0 && (line.ptr[0] == ' ' || line.ptr[0] == '\t')) {
            if (value != NULL) { *value = text_join(*value, slice_trim(line)); }
        } else if (slice_cut(&line, ':', &key) && line.ptr != NULL && key.len > 0) {
            value = map_at(&fields, text_copy(key));
            *value = text_copy(slice_trim(line));
        }
    }
    return fields;
}

static package *parse(const text *stanza) {
    map fields = parse_fields(stanza);
    package *p = mound_new(package);
    p->name = map_get(&fields, SLICE("Package"));
    p->version = map_get(&fields, SLICE("Version"));
    p->section = map_get(&fields, SLICE("Section"));
    p->size_kib = slice_int(slice_of(map_get(&fields, SLICE("Installed-Size"))));
    add_clauses(&p->depends, map_get(&fields, SLICE("Pre-Depends")));
    add_clauses(&p->depends, map_get(&fields, SLICE("Depends")));
    vec provides = {0};
    add_clauses(&provides, map_get(&fields, SLICE("Provides")));
    for (size_t i = 0; i < provides.len; i++) {
        const vec *names = provides.items[i];
        for (size_t k = 0; k < names->len; k++) { vec_push(&p->provides, names->items[k]); }
    }
    return p; /* fields, the stanza and all texts that p does not keep are garbage now */
}

/* ---------------------------------------------------------------- read */

/* What the threads of this half share. */
typedef struct pipeline {
    FILE *input;
    queue *stanzas; /* of text * */
    queue *parsed;  /* of package * */
} pipeline;

/* The cutter: stanzas are separated by empty lines. */
static void *cut_stanzas(void *arg) {
    pipeline *pl = arg;
    vec *batch = mound_new(vec);
    text *stanza = NULL;
    size_t cap = 0, room = 0;
    char *line = NULL; /* getline's, from malloc: this one is freed */
    ssize_t len;
    while ((len = getline(&line, &room, pl->input)) >= 0) {
        len -= len > 0 && line[len - 1] == '\n';
        if (len >= MAX_LINE) { break; }
        len -= len > 0 && line[len - 1] == '\r';
        if (len > 0) {
            stanza = text_add_line(stanza, &cap, (slice){line, (size_t)len});
        } else if (stanza != NULL) {
            vec_push(batch, stanza);
            queue_put(pl->stanzas, &batch, false);
            stanza = NULL;
            cap = 0;
        }
    }
    free(line);
    if (stanza != NULL) { vec_push(batch, stanza); }
    queue_finish(pl->stanzas, batch);
    return NULL;
}

static void *parse_stanzas(void *arg) {
    pipeline *pl = arg;
    vec *out = mound_new(vec), *in;
    while ((in = queue_get(pl->stanzas)) != NULL) {
        for (size_t i = 0; i < in->len; i++) {
            package *p = parse(in->items[i]);
            if (p->name != NULL && p->name->len > 0) {
                vec_push(out, p);
                queue_put(pl->parsed, &out, false);
            }
        }
    }
    queue_finish(pl->parsed, out);
    return NULL;
}

/* Of two stanzas with one name the higher version text stays. */
static void join_packages(map *by_name, queue *parsed) {
    vec *batch;
    while ((batch = queue_get(parsed)) != NULL) {
        for (size_t i = 0; i < batch->len; i++) {
            package *p = batch->items[i];
            void **place = map_at(by_name, p->name);
            package *old = *place;
            if (old == NULL || slice_cmp(slice_of(p->version), slice_of(old->version)) > 0) {
                *place = p;
            }
        }
        show_progress("packages parsed:", by_name->len);
    }
}

static void read_packages(map *by_name, FILE *input, long workers) {
    pipeline *pl = mound_new(pipeline);
    *pl = (pipeline){input, queue_make(1), queue_make(workers)};
    crew cutter, parsers;
    crew_start(&cutter, workers > 0, cut_stanzas, pl);
    crew_start(&parsers, workers, parse_stanzas, pl);
    join_packages(by_name, pl->parsed);
    crew_join(&parsers);
    crew_join(&cutter);
    show_progress("", 0);
}

/* ---------------------------------------------------------------- the graph */

typedef struct graph {
    map by_name;   /* to package * */
    map providers; /* to vec * of package *, by name */
    vec all;       /* of package *, by name */
    int64_t edges, unresolved;
} graph;

static int by_name_order(const void *a, const void *b) {
    const package *p = *(package *const *)a, *q = *(package *const *)b;
    return slice_cmp(slice_of(p->name), slice_of(q->name));
}

/* qsort may hold pointers in malloc's memory, where the collector does not look. Here that is
 * harmless: by_name keeps every package alive meanwhile. */
static void sort_packages(graph *g) {
    for (size_t i = 0; i < g->by_name.cap; i++) {
        if (g->by_name.slots[i].key != NULL) { vec_push(&g->all, g->by_name.slots[i].value); }
    }
    if (g->all.len > 0) { qsort(g->all.items, g->all.len, sizeof(void *), by_name_order); }
}

static void list_providers(graph *g) {
    for (size_t i = 0; i < g->all.len; i++) {
        package *p = g->all.items[i];
        for (size_t k = 0; k < p->provides.len; k++) {
            void **place = map_at(&g->providers, p->provides.items[k]);
            *place = *place ? *place : mound_new(vec);
            vec_push(*place, p);
        }
    }
}

/* The first alternative that exists, else its first provider. NULL: none. */
static package *resolve_clause(const graph *g, const vec *alternatives) {
    package *to = NULL;
    for (size_t i = 0; i < alternatives->len && to == NULL; i++) {
        slice name = slice_of(alternatives->items[i]);
        to = map_get(&g->by_name, name);
        if (to == NULL) {
            const vec *providers = map_get(&g->providers, name);
            to = providers ? providers->items[0] : NULL;
        }
    }
    return to;
}

static void resolve(graph *g, package *p) {
    set seen = {0};
    for (size_t i = 0; i < p->depends.len; i++) {
        package *to = resolve_clause(g, p->depends.items[i]);
        if (to == NULL) {
            g->unresolved++;
        } else if (to != p && set_add(&seen, to)) {
            vec_push(&p->edges, to);
            to->dependents++;
            g->edges++;
        }
    }
}

static void walk_closure(package *p) {
    set seen = {0};
    vec stack = {0};
    uint64_t kib = 0; /* wraps around, as Go's int */
    set_add(&seen, p);
    vec_push(&stack, p);
    while (stack.len > 0) {
        const package *q = stack.items[--stack.len];
        kib += (uint64_t)q->size_kib;
        for (size_t i = 0; i < q->edges.len; i++) {
            package *to = q->edges.items[i];
            if (set_add(&seen, to)) { vec_push(&stack, to); }
        }
    }
    p->closure = (int64_t)seen.len - 1;
    p->closure_kib = (int64_t)kib;
}

static void *walk_closures(void *arg) {
    queue *work = arg;
    vec *batch;
    while ((batch = queue_get(work)) != NULL) {
        for (size_t i = 0; i < batch->len; i++) { walk_closure(batch->items[i]); }
    }
    return NULL;
}

static void walk_all(const vec *all, long workers) {
    queue *work = queue_make(1);
    vec *batch = mound_new(vec);
    crew walkers;
    crew_start(&walkers, workers, walk_closures, work);
    for (size_t i = 0; i < all->len; i++) {
        vec_push(batch, all->items[i]);
        queue_put(work, &batch, false);
        show_progress("closures begun:", i + 1);
    }
    queue_finish(work, batch);
    crew_join(&walkers);
    show_progress("", 0);
}

/* ---------------------------------------------------------------- the answer */

typedef struct row {
    int64_t value;
    size_t rank; /* of its package by name */
} row;

/* Largest value first; of equals, the first by name. */
static int row_order(const void *a, const void *b) {
    const row *r = a, *s = b;
    return r->value != s->value ? (r->value < s->value) - (r->value > s->value)
                                : (r->rank > s->rank) - (r->rank < s->rank);
}

/* value_off: where in a package the value is. */
static void print_table(const char *title, const vec *all, size_t value_off, long top) {
    row *rows = mound_alloc_noscan(all->len * sizeof *rows);
    for (size_t i = 0; i < all->len; i++) {
        rows[i] = (row){*(const int64_t *)((const char *)all->items[i] + value_off), i};
    }
    qsort(rows, all->len, sizeof *rows, row_order);
    puts(title);
    for (size_t i = 0; i < all->len && (long)i < top; i++) {
        const package *p = all->items[rows[i].rank];
        printf("%10" PRId64 "  ", rows[i].value);
        fwrite(p->name->data, 1, p->name->len, stdout);
        putchar('\n');
    }
}

static void print_answer(const graph *g, long top) {
    int64_t sum = 0;
    for (size_t i = 0; i < g->all.len; i++) { sum += ((const package *)g->all.items[i])->closure; }
    printf("packages %zu, virtual %zu, edges %" PRId64 ", unresolved clauses %" PRId64
           ", closure total %" PRId64 "\n",
           g->all.len, g->providers.len, g->edges, g->unresolved, sum);
    print_table("most depended upon", &g->all, offsetof(package, dependents), top);
    print_table("largest closure (packages)", &g->all, offsetof(package, closure), top);
    print_table("largest closure (KiB installed)", &g->all, offsetof(package, closure_kib), top);
    if (fflush(stdout) != 0) { die("write", "standard output"); }
}

/* RESULT as the Go program's; SUMMARY (with -v) for tools/demo. */
static void print_stats(double parse_seconds, double total_seconds, bool verbose) {
    mound_mem_stats ms = {.struct_bytes = sizeof ms};
    struct rusage usage;
    mound_read_mem_stats(&ms);
    getrusage(RUSAGE_SELF, &usage);
    fprintf(stderr,
            "RESULT depgraph parse=%.2fs total=%.2fs allocated=%" PRIu64 "MB gcs=%" PRIu64
            " pause_total=%.2fms heapsys=%" PRIu64 "MiB\n",
            parse_seconds, total_seconds, ms.total_alloc_bytes >> 20, ms.num_gc,
            (double)ms.pause_total_ns / 1e6, ms.heap_sys_bytes >> 20);
    if (verbose) {
        fprintf(stderr,
                "SUMMARY objects=%" PRIu64 " allocated_bytes=%" PRIu64 " collections=%" PRIu64
                " longest_stop_us=%" PRIu64 " peak_rss_kib=%ld\n",
                ms.num_mallocs, ms.total_alloc_bytes, ms.num_gc, ms.pause_max_ns / 1000,
                usage.ru_maxrss);
    }
}

/* ---------------------------------------------------------------- main */

typedef struct options {
    long workers, top;
    bool verbose;
    const char *path;
} options;

static void usage(int status) {
    fputs("usage: depgraph [-p workers] [-top rows] [-v] PACKAGES\n", stderr);
    exit(status);
}

static long int_option(const char *name, const char *arg) {
    char *end;
    errno = 0;
    long n = strtol(arg, &end, 0);
    if (end == arg || *end != '\0' || errno != 0) {
        fprintf(stderr, "depgraph: -%s: not a number: %s\n", name, arg);
        usage(2);
    }
    return n;
}

/* Go's rules: one dash or two, "-p 2" or "-p=2", and no options after the file. */
static options read_options(int argc, char **argv) {
    static const struct option known[] = {
        {"p", required_argument, NULL, 'p'}, {"top", required_argument, NULL, 't'},
        {"v", no_argument, NULL, 'v'},       {"h", no_argument, NULL, 'h'},
        {"help", no_argument, NULL, 'h'},    {NULL, 0, NULL, 0}};
    options opt = {.workers = sysconf(_SC_NPROCESSORS_ONLN), .top = 10};
    int c;
    while ((c = getopt_long_only(argc, argv, "+", known, NULL)) != -1) {
        switch (c) {
        case 'p': opt.workers = int_option("p", optarg); break;
        case 't': opt.top = int_option("top", optarg); break;
        case 'v': opt.verbose = true; break;
        default: usage(c == 'h' ? 0 : 2);
        }
    }
    if (argc - optind != 1) { usage(2); }
    opt.path = argv[optind];
    opt.workers = opt.workers < 0 ? 0 : opt.workers > MAX_CREW ? MAX_CREW : opt.workers;
    return opt;
}

int main(int argc, char **argv) {
    options opt = read_options(argc, argv);
    double start = now_seconds();
    FILE *input = fopen(opt.path, "r");
    if (input == NULL) { die("open", opt.path); }
    setvbuf(input, NULL, _IOFBF, 1 << 18); /* the index has 50 MB */
    graph *g = mound_new(graph);
    read_packages(&g->by_name, input, opt.workers);
    fclose(input);
    sort_packages(g);
    list_providers(g);
    double parse_seconds = now_seconds() - start;
    for (size_t i = 0; i < g->all.len; i++) { resolve(g, g->all.items[i]); }
    walk_all(&g->all, opt.workers);
    print_answer(g, opt.top);
    print_stats(parse_seconds, now_seconds() - start, opt.verbose);
    return 0;
}
