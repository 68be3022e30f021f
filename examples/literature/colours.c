/* colours.c - the three colours of marking, on a heap of six objects.
 *
 * White: not reached. Grey: reached, its pointers not followed yet. Black: reached, and followed.
 * What is white in the end is garbage. The program walks over its own objects that way and prints
 * the sets after each step, with all pointers in place and with one removed. Then mound collects
 * for real, and weak pointers tell that exactly the white objects are gone. E and F point to each
 * other: counting references would keep them for ever.
 *
 * Run: colours [FILE]
 * FILE, or colours.dot, gets the graph for Graphviz: dot -Tsvg colours.dot >colours.svg
 */
#include "literature.h"

enum { NUM = 6, MAX_LINKS = 2 };
typedef enum colour { WHITE, GREY, BLACK } colour;

typedef struct object {
    struct object *to[MAX_LINKS];
    int id; /* 0: A */
} object;

static const char *const links[NUM] = {"BC", "D", "D", "E", "F", "E"}; /* of A, B, ... */
static object *root;                                                   /* A */
static mound_weak objects[NUM]; /* all of them; these keep none */
static colour colours[NUM];

static char name_of(int id) { return (char)('A' + id); }
static object *object_of(int id) { return mound_weak_get(objects[id]); }

/* A last: to a conservative collector the address of an object may also be the end of the one below
 * it, which is as a rule the one made after it. None is made after A. */
static NOINLINE void make_objects(void) {
    for (int i = NUM; i-- > 0;) {
        object *o = mound_new(object);
        o->id = i;
        objects[i] = mound_weak_make(o);
    }
    for (int i = 0; i < NUM; i++) {
        for (int k = 0; k < MAX_LINKS && links[i][k]; k++) {
            object_of(i)->to[k] = object_of(links[i][k] - 'A');
        }
    }
    root = object_of(0);
}

static void print_sets(const char *step) {
    printf("%-8s", step);
    for (colour c = WHITE; c <= BLACK; c++) {
        char set[NUM + 1] = "-";
        for (int i = 0, n = 0; i < NUM; i++) {
            if (colours[i] == c) { set[n++] = name_of(i); }
        }
        printf(c == BLACK ? "  %s" : "  %-6s", set);
    }
    putchar('\n');
}

static void shade(const object *o) {
    if (o && colours[o->id] == WHITE) { colours[o->id] = GREY; }
}

static int first_grey(void) {
    for (int i = 0; i < NUM; i++) {
        if (colours[i] == GREY) { return i; }
    }
    return -1;
}

static NOINLINE void mark(void) {
    printf("%-8s  %-6s  %-6s  black\n", "followed", "white", "grey");
    for (int i = 0; i < NUM; i++) { colours[i] = WHITE; }
    shade(root);
    print_sets("the root");
    for (int id; (id = first_grey()) >= 0;) {
        for (int k = 0; k < MAX_LINKS; k++) { shade(object_of(id)->to[k]); }
        colours[id] = BLACK;
        print_sets((char[]){name_of(id), 0});
    }
}

static NOINLINE void write_graph(const char *path) {
    FILE *f = fopen(path, "w");
    verify(f, "cannot write %s", path);
    fprintf(f, "digraph heap {\n    root [shape=box];\n    root -> A;\n");
    for (int i = 0; i < NUM; i++) {
        bool is_black = colours[i] == BLACK;
        fprintf(f, "    %c [style=filled, fillcolor=%s, fontcolor=%s];\n", name_of(i),
                is_black ? "black" : "white", is_black ? "white" : "black");
        for (int k = 0; k < MAX_LINKS; k++) {
            const object *to = object_of(i)->to[k];
            if (to) { fprintf(f, "    %c -> %c;\n", name_of(i), name_of(to->id)); }
        }
    }
    fprintf(f, "}\n");
    verify(fclose(f) == 0, "cannot write %s", path);
}

static NOINLINE void remove_link(void) { object_of(3)->to[0] = NULL; }

/* Exactly what is black is still there. */
static NOINLINE void collect(void) {
    clear_stack();
    mound_gc();
    printf("after mound_gc:");
    for (int i = 0; i < NUM; i++) {
        bool alive = is_alive(objects[i]);
        printf(" %c %s%s", name_of(i), alive ? "lives" : "is gone", i < NUM - 1 ? "," : "\n");
        verify(alive == (colours[i] == BLACK), "%c is %s, but %s", name_of(i),
               alive ? "white" : "black", alive ? "lives" : "gone");
    }
}

int main(int argc, char **argv) {
    const char *path = argc > 1 ? argv[1] : "colours.dot";
    make_objects();
    printf("root -> A; A -> B, C; B -> D; C -> D; D -> E; E -> F; F -> E\n");
    mark();
    collect();
    remove_link();
    printf("\nD -> E is removed: there is no way to E and F any more\n");
    mark();
    write_graph(path);
    printf("the graph is in %s\n", path);
    collect();
    verify(root->id == 0 && colours[4] == WHITE && colours[5] == WHITE, "E and F should be white");
    printf("ok: exactly the white objects, E and F, were swept\n");
    return 0;
}
