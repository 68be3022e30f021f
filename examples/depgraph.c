/* depgraph.c - what a whole Linux distribution depends on, from its package index.
 *
 *     apt-cache dumpavail >packages.txt
 *     depgraph [-p workers] [-top rows] [-v] packages.txt
 *
 * For each package: how many others name it, how many packages it pulls in (its closure), and
 * how much disk they take together. The answer is the same for any number of workers.
 *
 * This is the large program to read; the small ones beside it show one thing each. It is written
 * with mound's slices, strings and maps. What is unusual is what is missing: nobody owns anything
 * and nothing is freed. parse builds a map of 20 fields for each of 63,000 stanzas, copies the few
 * it likes and forgets the rest, the text included; the packages are a graph with cycles, reached
 * from several goroutines; walk_closure takes a fresh set and a fresh stack for each of them.
 *
 * Goroutines   cutter -> texts -> workers: parse -> parsed -> app: join, sort, resolve
 *              app -> work -> workers: walk closures; app: print
 *              A package's fields have one writer at a time: channels hand them on, and the
 *              waitgroup.
 * Go           bench/go/depgraph/main.go: the same program. Standard output is equal byte for
 *              byte. (White space is ASCII's here, Unicode's there.)
 * Threads      depgraph_threads.c: the same with threads and with containers of its own.
 */
#define _GNU_SOURCE /* getopt_long_only */

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <mound.h>

enum {
    MAX_LINE = 1 << 24,    /* bytes; reading stops at a longer line, as in the Go program */
    TEXT_BYTES = 24 << 10, /* texts and packages go over channels in batches of so many: */
    BATCH = 64,            /* for a single one it does not pay to wake a goroutine */
    CHAN_LEN = 16,
    NUM_FIELDS = 20, /* of a usual stanza */
};

static void die(const char *verb, const char *object) {
    fprintf(stderr, "depgraph: %s %s: %s\n", verb, object, strerror(errno));
    exit(1);
}

/* ---------------------------------------------------------------- packages */

typedef mound_slice_of(mound_string) strings;
typedef mound_slice_of(strings) clauses;
typedef mound_slice_of(uint32_t) numbers;
typedef mound_map_of(mound_string, mound_string) field_map;

typedef struct package {
    mound_string name, version, section;
    int64_t size_kib;
    clauses depends; /* each clause: alternatives, in order */
    strings provides;
    uint32_t number;     /* in the graph's slice of all */
    numbers edges;       /* packages by number: the collector need not look into them */
    int64_t dependents;  /* distinct packages with an edge to this one */
    int64_t closure;     /* packages reachable, itself excluded */
    int64_t closure_kib; /* their installed size together with its own */
} package;

typedef mound_slice_of(package *) packages;
typedef mound_map_of(mound_string, package *) package_map;
typedef mound_map_of(mound_string, packages) provider_map;
typedef mound_map_of(uint32_t, bool) number_set;

/* The name in an alternative such as " c:any (>= 1) [amd64]". */
static mound_string package_name(mound_string alternative) {
    mound_string s = mound_string_trim(alternative);
    for (ptrdiff_t i = 0; i < s.len; i++) {
        if (memchr(" (:[", s.ptr[i], 4) != NULL) { s.len = i; }
    }
    return s;
}

/* A clause list "a (>= 1) | b, c:any [amd64]" adds [a b] and [c] to out: parts of the list. */
static void add_clauses(clauses *out, mound_string list) {
    mound_string clause, alternative;
    while (list.len > 0) {
        strings names = {0};
        mound_string_cut(list, MOUND_STR(","), &clause, &list);
        while (clause.len > 0) {
            mound_string_cut(clause, MOUND_STR("|"), &alternative, &clause);
            mound_string name = package_name(alternative);
            if (name.len > 0) { mound_append(&names, name); }
        }
        if (names.len > 0) { mound_append(out, names); }
    }
}

/* Parts of the stanza, but for values of several lines. */
static field_map parse_fields(mound_string stanza) {
    field_map fields = mound_map_make(field_map);
    mound_map_reserve(fields, NUM_FIELDS);
    mound_string line, key, rest, *value = NULL; /* value: what continuation lines belong to */
    while (stanza.len > 0) {
        mound_string_cut(stanza, MOUND_STR("\n"), &line, &stanza);
        if (line.len > 0 && (line.ptr[0] == ' ' || line.ptr[0] == '\t')) {
            if (value != NULL) {
                *value = mound_cat(*value, MOUND_STR("\n"), mound_string_trim(line));
            }
        } else if (mound_string_cut(line, MOUND_STR(":"), &key, &rest) && key.len > 0) {
            value = mound_map_at(fields, key);
            *value = mound_string_trim(rest);
        }
    }
    return fields;
}

/* A copy of a field: a part would keep the whole text alive. */
static mound_string keep(field_map fields, mound_string key) {
    const mound_string *value = mound_map_get(fields, key);
    return value ? mound_string_from_bytes(value->ptr, value->len) : (mound_string){0};
}

/* As Go's strconv.Atoi with its error ignored: 0 for what is no number, the nearest limit for
 * what does not fit. */
static int64_t to_int(mound_string s) {
    int64_t n = 0;
    if (mound_string_to_int(s, &n)) { return n; }
    errno = 0;
    n = strtoll(mound_cstr(s), NULL, 10);
    return errno == ERANGE ? n : 0;
}

static package *parse(mound_string stanza) {
    field_map fields = parse_fields(stanza);
    package *p = mound_new(package);
    p->name = keep(fields, MOUND_STR("Package"));
    p->version = keep(fields, MOUND_STR("Version"));
    p->section = keep(fields, MOUND_STR("Section"));
    p->size_kib = to_int(keep(fields, MOUND_STR("Installed-Size")));
    add_clauses(&p->depends, keep(fields, MOUND_STR("Pre-Depends")));
    add_clauses(&p->depends, keep(fields, MOUND_STR("Depends")));
    clauses provides = {0};
    add_clauses(&provides, keep(fields, MOUND_STR("Provides")));
    for (ptrdiff_t i = 0; i < provides.len; i++) {
        mound_append_slice(&p->provides, &provides.ptr[i]);
    }
    return p; /* fields and the stanza are garbage now */
}

/* ---------------------------------------------------------------- read */

/* The whole program: main's variables in Go. */
typedef struct graph {
    FILE *input;
    long num_workers, top;
    bool is_verbose;
    MOUND_CHAN(mound_string) texts;
    MOUND_CHAN(packages) parsed;
    MOUND_CHAN(packages) work;
    mound_waitgroup workers;
    package_map by_name;
    provider_map providers; /* lists by name, as all */
    packages all;           /* by name */
    int64_t edges, unresolved;
} graph;

/* The cutter: texts of whole stanzas, which end with empty lines. */
static void cut_texts(void *arg) {
    graph *g = arg;
    mound_builder text = {0};
    size_t room = 0;
    char *line = NULL; /* getline's, from malloc: this one is freed */
    ssize_t len;
    while ((len = getline(&line, &room, g->input)) >= 0) {
        len -= len > 0 && line[len - 1] == '\n';
        if (len >= MAX_LINE) { break; }
        len -= len > 0 && line[len - 1] == '\r';
        if (text.bytes.cap == 0) { mound_builder_grow(&text, TEXT_BYTES + TEXT_BYTES / 4); }
        mound_builder_string(&text, (mound_string){line, len});
        mound_builder_byte(&text, '\n');
        if (len == 0 && text.bytes.len >= TEXT_BYTES) {
            mound_send(g->texts, mound_builder_text(&text));
            text = (mound_builder){0};
        }
    }
    free(line);
    fclose(g->input);
    mound_send(g->texts, mound_builder_text(&text));
    mound_close(g->texts);
}

static void parse_texts(void *arg) {
    graph *g = arg;
    mound_string text, stanza;
    while (mound_recv(g->texts, &text)) {
        packages some = {0};
        while (text.len > 0) {
            mound_string_cut(text, MOUND_STR("\n\n"), &stanza, &text);
            package *p = parse(stanza);
            if (p->name.len > 0) { mound_append(&some, p); }
        }
        mound_send(g->parsed, some);
    }
}

/* Several parsers send on one channel: none of them may close it. */
static void close_parsed(void *arg) {
    graph *g = arg;
    mound_waitgroup_wait(&g->workers);
    mound_close(g->parsed);
}

/* Of two stanzas with one name the higher version text stays. */
static void read_packages(graph *g) {
    g->texts = mound_chan_make(mound_string, CHAN_LEN);
    g->parsed = mound_chan_make(packages, CHAN_LEN);
    mound_go(cut_texts, g);
    for (long i = 0; i < g->num_workers; i++) { mound_waitgroup_go(&g->workers, parse_texts, g); }
    mound_go(close_parsed, g);
    packages some;
    while (mound_recv(g->parsed, &some)) {
        for (ptrdiff_t i = 0; i < some.len; i++) {
            package *p = some.ptr[i], **place = mound_map_at(g->by_name, p->name);
            bool is_better = !*place || mound_string_cmp(p->version, (*place)->version) > 0;
            *place = is_better ? p : *place;
        }
    }
}

/* ---------------------------------------------------------------- the graph */

static int by_name_order(const void *a, const void *b) {
    return mound_string_cmp((*(package *const *)a)->name, (*(package *const *)b)->name);
}

/* qsort may hold pointers in malloc's memory, where the collector does not look. Here that is
 * harmless: by_name keeps every package alive meanwhile. */
static void sort_packages(graph *g) {
    for (mound_map_iter it = mound_map_begin(g->by_name); mound_map_next(&it);) {
        mound_append(&g->all, *mound_map_value(g->by_name, &it));
    }
    if (g->all.len > 0) { qsort(g->all.ptr, (size_t)g->all.len, sizeof(package *), by_name_order); }
    for (ptrdiff_t i = 0; i < g->all.len; i++) {
        package *p = g->all.ptr[i];
        p->number = (uint32_t)i;
        for (ptrdiff_t k = 0; k < p->provides.len; k++) {
            mound_append(mound_map_at(g->providers, p->provides.ptr[k]), p);
        }
    }
}

/* The first alternative that exists, else its first provider. NULL: none. */
static package *resolve_clause(const graph *g, const strings *names) {
    for (ptrdiff_t i = 0; i < names->len; i++) {
        package **to = mound_map_get(g->by_name, names->ptr[i]);
        if (to != NULL) { return *to; }
        const packages *providers = mound_map_get(g->providers, names->ptr[i]);
        if (providers != NULL) { return providers->ptr[0]; }
    }
    return NULL;
}

static void resolve(graph *g, package *p) {
    number_set seen = mound_map_make(number_set);
    for (ptrdiff_t i = 0; i < p->depends.len; i++) {
        package *to = resolve_clause(g, &p->depends.ptr[i]);
        g->unresolved += to == NULL;
        if (to != NULL && to != p && !mound_map_has(seen, to->number)) {
            mound_map_set(seen, to->number, true);
            mound_append(&p->edges, to->number);
            to->dependents++;
            g->edges++;
        }
    }
}

static void walk_closure(const graph *g, package *p) {
    number_set seen = mound_map_make(number_set);
    numbers stack = {0};
    uint64_t kib = 0; /* wraps around, as Go's int */
    mound_map_set(seen, p->number, true);
    mound_append(&stack, p->number);
    while (stack.len > 0) {
        const package *q = g->all.ptr[stack.ptr[--stack.len]];
        kib += (uint64_t)q->size_kib;
        for (ptrdiff_t i = 0; i < q->edges.len; i++) {
            bool *is_seen = mound_map_at(seen, q->edges.ptr[i]);
            if (!*is_seen) { mound_append(&stack, q->edges.ptr[i]); }
            *is_seen = true;
        }
    }
    p->closure = (int64_t)mound_map_len(seen) - 1;
    p->closure_kib = (int64_t)kib;
}

static void walk_closures(void *arg) {
    const graph *g = arg;
    packages some;
    while (mound_recv(g->work, &some)) {
        for (ptrdiff_t i = 0; i < some.len; i++) { walk_closure(g, some.ptr[i]); }
    }
}

static void walk_all(graph *g) {
    g->work = mound_chan_make(packages, CHAN_LEN);
    for (long i = 0; i < g->num_workers; i++) { mound_waitgroup_go(&g->workers, walk_closures, g); }
    for (ptrdiff_t i = 0; i < g->all.len; i += BATCH) {
        mound_send(g->work, mound_sub(&g->all, i, i + BATCH < g->all.len ? i + BATCH : g->all.len));
    }
    mound_close(g->work);
    mound_waitgroup_wait(&g->workers);
}

/* ---------------------------------------------------------------- the answer */

typedef struct row {
    int64_t value;
    ptrdiff_t number; /* of its package */
} row;
typedef mound_slice_of(row) row_slice;

/* Largest value first; of equals, the first by name. */
static int row_order(const void *a, const void *b) {
    const row *r = a, *s = b;
    return r->value != s->value ? (r->value < s->value) - (r->value > s->value)
                                : (r->number > s->number) - (r->number < s->number);
}

/* value_off: where in a package the value is. */
static void print_table(const char *title, const graph *g, size_t value_off) {
    row_slice rows = mound_make_noscan(row_slice, 0, g->all.len);
    for (ptrdiff_t i = 0; i < g->all.len; i++) {
        mound_append(&rows, ((row){*(int64_t *)((char *)g->all.ptr[i] + value_off), i}));
    }
    if (rows.len > 0) { qsort(rows.ptr, (size_t)rows.len, sizeof(row), row_order); }
    puts(title);
    for (ptrdiff_t i = 0; i < rows.len && i < g->top; i++) {
        mound_string name = g->all.ptr[rows.ptr[i].number]->name;
        printf("%10" PRId64 "  %.*s\n", rows.ptr[i].value, MOUND_ARG(name));
    }
}

static void print_answer(const graph *g) {
    int64_t sum = 0;
    for (ptrdiff_t i = 0; i < g->all.len; i++) { sum += g->all.ptr[i]->closure; }
    printf("packages %td, virtual %zu, edges %" PRId64 ", unresolved clauses %" PRId64
           ", closure total %" PRId64 "\n",
           g->all.len, mound_map_len(g->providers), g->edges, g->unresolved, sum);
    print_table("most depended upon", g, offsetof(package, dependents));
    print_table("largest closure (packages)", g, offsetof(package, closure));
    print_table("largest closure (KiB installed)", g, offsetof(package, closure_kib));
    if (fflush(stdout) != 0) { die("write", "standard output"); }
}

/* RESULT as the Go program's; SUMMARY (with -v) for tools/demo. */
static void print_stats(const graph *g, int64_t parse_ns, int64_t total_ns) {
    mound_mem_stats ms = {.struct_bytes = sizeof ms};
    struct rusage usage;
    mound_read_mem_stats(&ms);
    getrusage(RUSAGE_SELF, &usage);
    fprintf(stderr,
            "RESULT depgraph parse=%.2fs total=%.2fs allocated=%" PRIu64 "MB gcs=%" PRIu64
            " pause_total=%.2fms heapsys=%" PRIu64 "MiB\n",
            (double)parse_ns / 1e9, (double)total_ns / 1e9, ms.total_alloc_bytes >> 20, ms.num_gc,
            (double)ms.pause_total_ns / 1e6, ms.heap_sys_bytes >> 20);
    if (g->is_verbose) {
        fprintf(stderr,
                "SUMMARY objects=%" PRIu64 " allocated_bytes=%" PRIu64 " collections=%" PRIu64
                " longest_stop_us=%" PRIu64 " peak_rss_kib=%ld\n",
                ms.num_mallocs, ms.total_alloc_bytes, ms.num_gc, ms.pause_max_ns / 1000,
                usage.ru_maxrss);
    }
}

static void usage(int status) {
    fputs("usage: depgraph [-p workers] [-top rows] [-v] PACKAGES\n", stderr);
    exit(status);
}

static long int_option(const char *text) {
    char *end;
    errno = 0;
    long n = strtol(text, &end, 0);
    if (end == text || *end != '\0' || errno != 0) {
        fprintf(stderr, "depgraph: not a number: %s\n", text);
        usage(2);
    }
    return n;
}

/* Go's rules: one dash or two, "-p 2" or "-p=2", and no options after the file. */
static void read_options(graph *g, int argc, char **argv) {
    static const struct option known[] = {{"p", required_argument, NULL, 'p'},
                                          {"top", required_argument, NULL, 't'},
                                          {"v", no_argument, NULL, 'v'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    int c;
    while ((c = getopt_long_only(argc, argv, "+", known, NULL)) != -1) {
        switch (c) {
        case 'p': g->num_workers = int_option(optarg); break;
        case 't': g->top = int_option(optarg); break;
        case 'v': g->is_verbose = true; break;
        default: usage(c == 'h' ? 0 : 2);
        }
    }
    if (argc - optind != 1) { usage(2); }
    g->input = fopen(argv[optind], "r");
    if (g->input == NULL) { die("open", argv[optind]); }
    setvbuf(g->input, NULL, _IOFBF, 1 << 16);
}

static int app(void *arg) {
    const mound_args *args = arg;
    graph *g = mound_new(graph);
    *g = (graph){.num_workers = mound_gomaxprocs(0),
                 .top = 10,
                 .by_name = mound_map_make(package_map),
                 .providers = mound_map_make(provider_map)};
    read_options(g, args->argc, args->argv);
    int64_t start = mound_now_ns();
    read_packages(g);
    sort_packages(g);
    int64_t parse_ns = mound_now_ns() - start;
    for (ptrdiff_t i = 0; i < g->all.len; i++) { resolve(g, g->all.ptr[i]); }
    walk_all(g);
    print_answer(g);
    print_stats(g, parse_ns, mound_now_ns() - start);
    return 0;
}

MOUND_MAIN(app)
