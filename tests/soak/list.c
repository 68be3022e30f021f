/* list.c - linked lists with a header of their own. num: nodes. */
#include <string.h>

#include "thing.h"

enum { MAX_LENGTH = 1500, MAX_TEXT = 60 };

typedef struct node {
    struct node *next;
    char *text; /* noscan: one letter, which follows from id */
    uint64_t id, check;
} node;

typedef struct header {
    node *first;
} header;

static char letter(uint64_t id) { return (char)('a' + id % 26); }

static void push(thing *t, mo_rand *r) {
    header *h = t->body;
    node *n = mound_new(node);
    size_t len = between(r, 1, MAX_TEXT);
    n->id = mo_rand_next(r);
    n->check = check_word(n->id);
    n->text = mound_alloc_noscan(len + 1);
    memset(n->text, letter(n->id), len);
    n->next = h->first;
    h->first = n;
    t->num++;
}

static void pop(thing *t, bool is_freed) {
    header *h = t->body;
    node *n = h->first;
    h->first = n->next;
    t->num--;
    if (is_freed) {
        mound_free(n->text);
        mound_free(n);
    }
}

static void make(thing *t, mo_rand *r) {
    t->body = mound_new(header);
    for (size_t i = between(r, 0, MAX_LENGTH); i > 0; i--) push(t, r);
}

static void change(thing *t, mo_rand *r) {
    size_t num = between(r, 1, 60);
    if (t->num + num > MAX_LENGTH || one_in(r, 3)) {
        bool is_freed = one_in(r, 2);
        while (num-- > 0 && t->num > 0) pop(t, is_freed);
    } else {
        while (num-- > 0) push(t, r);
    }
}

/* The first nodes of a move to the front of b. */
static void trade(thing *a, thing *b, mo_rand *r) {
    header *from = a->body, *to = b->body;
    size_t num = between(r, 1, 20);
    if (a->num < num || b->num + num > MAX_LENGTH) return;
    node *last = from->first;
    for (size_t i = 1; i < num; i++) last = last->next;
    node *first = from->first;
    from->first = last->next;
    last->next = to->first;
    to->first = first;
    a->num -= num;
    b->num += num;
}

static const char *wrong(const thing *t) {
    const header *h = t->body;
    size_t num = 0;
    for (const node *n = h->first; n; n = n->next, num++) {
        if (num == t->num) return "it is too long";
        if (n->check != check_word(n->id)) return "a node was lost";
        if (!n->text[0]) return "a text was lost";
        for (const char *c = n->text; *c; c++)
            if (*c != letter(n->id)) return "a text was lost";
    }
    return num == t->num ? NULL : "it is too short";
}

static void destroy(thing *t) {
    while (t->num > 0) pop(t, true);
    mound_free(t->body);
}

const thing_kind list_kind = {"list", make, change, trade, wrong, destroy};
