/* tree.c - binary trees; each node knows the size of its subtree. num: all nodes. */
#include "thing.h"

enum { MAX_DEPTH = 11 };

typedef struct tree {
    struct tree *left, *right;
    uint64_t id, check;
    size_t size; /* of this subtree, itself included */
} tree;
MOUND_TYPE(tree, left, right);

static size_t size_of(const tree *n) { return n ? n->size : 0; }
static void fix_size(tree *n) { n->size = 1 + size_of(n->left) + size_of(n->right); }

static tree *grow(mo_rand *r, int depth) {
    tree *n = one_in(r, 2) ? mound_new_typed(tree) : mound_new(tree);
    n->id = mo_rand_next(r);
    n->check = check_word(n->id);
    if (depth > 1) {
        if (!one_in(r, 6)) n->left = grow(r, depth - 1);
        if (!one_in(r, 6)) n->right = grow(r, depth - 1);
    }
    fix_size(n);
    return n;
}

static void make(thing *t, mo_rand *r) {
    tree *root = grow(r, (int)between(r, 1, MAX_DEPTH));
    t->body = root;
    t->num = root->size;
}

/* Walks down depth steps at most; path gets the nodes passed. Gives the slot below the last one. */
static tree **walk(tree *root, mo_rand *r, int depth, tree **path, int *len) {
    tree **slot = NULL, *n = root;
    for (*len = 0; n && *len < depth; n = *slot) {
        path[(*len)++] = n;
        slot = one_in(r, 2) ? &n->left : &n->right;
    }
    return slot;
}

static void fix_path(tree **path, int len, thing *t) {
    while (len-- > 0) fix_size(path[len]);
    t->num = ((tree *)t->body)->size;
}

static void change(thing *t, mo_rand *r) {
    tree *path[MAX_DEPTH];
    int len;
    tree **slot = walk(t->body, r, (int)between(r, 1, MAX_DEPTH - 1), path, &len);
    *slot = one_in(r, 8) ? NULL : grow(r, (int)between(r, 1, (uint64_t)(MAX_DEPTH - len)));
    fix_path(path, len, t);
}

/* Subtrees at the same depth change places, so no tree grows too deep. */
static void trade(thing *a, thing *b, mo_rand *r) {
    tree *path_a[MAX_DEPTH], *path_b[MAX_DEPTH];
    int depth = (int)between(r, 1, 5), len_a, len_b;
    tree **slot_a = walk(a->body, r, depth, path_a, &len_a);
    tree **slot_b = walk(b->body, r, depth, path_b, &len_b);
    if (len_a != len_b) return;
    tree *held = *slot_a;
    *slot_a = *slot_b;
    *slot_b = held;
    fix_path(path_a, len_a, a);
    fix_path(path_b, len_b, b);
}

static const char *wrong_below(const tree *n, size_t size) {
    if (!n) return size == 0 ? NULL : "a subtree is missing";
    if (n->check != check_word(n->id)) return "a node was lost";
    if (n->size != size) return "a node has the wrong size";
    if (1 + size_of(n->left) + size_of(n->right) != size) return "a subtree has the wrong size";
    const char *wrong = wrong_below(n->left, size_of(n->left));
    return wrong ? wrong : wrong_below(n->right, size_of(n->right));
}

static const char *wrong(const thing *t) { return wrong_below(t->body, t->num); }

static void destroy_below(tree *n) {
    if (!n) return;
    destroy_below(n->left);
    destroy_below(n->right);
    mound_free(n);
}
static void destroy(thing *t) { destroy_below(t->body); }

const thing_kind tree_kind = {"tree", make, change, trade, wrong, destroy};
