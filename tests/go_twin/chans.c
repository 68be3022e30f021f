/* chans.c - random programs of goroutines, channels, locks and contexts, whose outcome does not
 * depend on who runs when. chans.go is the same in Go; both print the same for each seed, or one of
 * them is wrong.
 *
 *     chans SEED OPS           a line for each program: its number, its kind, a hash of its
 * outcome, until the programs have taken about OPS operations; to stderr how often each kind came
 *     chans SEED OPS -v FROM   from program FROM on with the outcome itself
 *
 * What to do is drawn by the first goroutine from one generator, before others run, or by each from
 * a generator of its own. Where a goroutine lets others go first is another matter (stir).
 */
#include <mound.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KINDS(X)                                                                                   \
    X(NETWORK, "network")                                                                          \
    X(EXCHANGE, "exchange")                                                                        \
    X(WIDE, "wide")                                                                                \
    X(ALONE, "alone")                                                                              \
    X(LOCKS, "locks")                                                                              \
    X(QUEUE, "queue")                                                                              \
    X(TURNS, "turns")                                                                              \
    X(ONCE, "once")                                                                                \
    X(PHASES, "phases")                                                                            \
    X(TREE, "tree")                                                                                \
    X(RING, "ring")                                                                                \
    X(SERVICE, "service")                                                                          \
    X(CONTEXTS, "contexts")                                                                        \
    X(CANCEL, "cancel")                                                                            \
    X(SIEVE, "sieve")                                                                              \
    X(GOEXIT, "goexit")

#define AS_ENUM(id, name) id,
#define AS_NAME(id, name) name,
typedef enum kind { KINDS(AS_ENUM) NUM_KINDS } kind;
static const char *const kind_names[] = {KINDS(AS_NAME)};
static uint64_t num_of_kind[NUM_KINDS];

/* ---------------------------------------------------------------- draws and notes */

#define FACTOR 0x9E3779B97F4A7C15u
#define FNV_BEGIN 14695981039346656037u

static uint64_t mix(uint64_t h, uint64_t v) { /* as FNV-1a, by words */
    h = (h ^ v) * 1099511628211u;
    return h ^ h >> 29;
}

typedef struct dice {
    uint64_t state;
} dice;

static dice dice_new(uint64_t seed) { return (dice){mix(seed, FACTOR) | 1}; }
static uint64_t dice_next(dice *d) { /* xorshift64* */
    d->state ^= d->state >> 12;
    d->state ^= d->state << 25;
    d->state ^= d->state >> 27;
    return d->state * 0x2545F4914F6CDD1Du;
}
static int dice_draw(dice *d, int n) { return (int)((dice_next(d) >> 33) % (uint64_t)n); }

static dice first; /* the first goroutine's */
static int draw(int n) { return dice_draw(&first, n); }
static int draw_small(int bits) {
    int b = draw(bits + 1);
    return draw(1 << b);
}
/* Capacity of a channel. */
static size_t draw_cap(void) {
    int is_buffered = draw(2), cap = draw(9);
    return is_buffered ? (size_t)cap : 0;
}

static uint64_t outcome, ops;
static bool is_verbose;

static void note(uint64_t v) {
    outcome = mix(outcome, v);
    if (is_verbose) printf(" %llu", (unsigned long long)v);
}
static void note_panic(void) {
    outcome = mix(outcome, 0x70616E6963);
    if (is_verbose) printf(" panic");
}

/* What makes a goroutine's course another one each time. */
static void stir(dice *d) {
    switch (dice_draw(d, 1024)) {
    case 0: mound_gc(); break;
    case 1:
        mound_sys_enter();
        mound_sys_exit();
        break;
    case 2: mound_sleep(MOUND_US(dice_draw(d, 50))); break;
    default:
        if (dice_draw(d, 16) == 0) mound_gosched();
        if (dice_draw(d, 16) == 0) mound_keep_alive(mound_alloc((size_t)dice_draw(d, 300)));
    }
}

/* What goes through channels: an object that the collector must have kept. */
typedef struct item {
    uint64_t v;
    struct item *self;
} item;

static item *pack(uint64_t v) {
    item *x = mound_new(item);
    *x = (item){v, x};
    return x;
}
static uint64_t value_of(const item *x) {
    if (!x || x->self != x) {
        fprintf(stderr, "chans: an item was lost\n");
        abort();
    }
    return x->v;
}
/* What comes from a closed channel. */
static void must_be_nothing(const item *x) {
    if (!x) return;
    fprintf(stderr, "chans: a closed channel gave a value\n");
    abort();
}
typedef MOUND_CHAN(item *) items;
typedef MOUND_CHAN(uint64_t) words;

/* ---------------------------------------------------------------- network */

/* Goroutines between streams: each takes from some, gives to some, closes these when those have
 * ended. They cannot get stuck: who waits for one certain of several inputs (zip) has only inputs
 * before which nothing branches off. */

typedef struct node {
    void (*run)(struct node *n);
    int num_in, num;
    items in[4], out[2];
    uint64_t word;
    uint64_t *result;
    mound_waitgroup *all, *group;
    dice d;
} node;

static void run_node(void *copy) {
    node *n = copy;
    n->run(n);
    mound_waitgroup_done(n->all);
}

static void run_source(node *n) {
    for (int i = 0; i < n->num; i++) {
        stir(&n->d);
        mound_send(n->out[0], pack(mix(n->word, (uint64_t)i)));
    }
    mound_close(n->out[0]);
}
/* Also one of several that share their streams: then another one closes. */
static void run_map(node *n) {
    item *x;
    while (mound_recv(n->in[0], &x)) {
        stir(&n->d);
        mound_send(n->out[0], pack(mix(value_of(x), n->word)));
    }
    must_be_nothing(x);
    if (n->group)
        mound_waitgroup_done(n->group);
    else
        mound_close(n->out[0]);
}
static void run_closer(node *n) {
    mound_waitgroup_wait(n->group);
    mound_close(n->out[0]);
}
static void run_filter(node *n) {
    item *x;
    while (mound_recv(n->in[0], &x)) {
        stir(&n->d);
        if (value_of(x) % 3 != n->word % 3) mound_send(n->out[0], x);
    }
    mound_close(n->out[0]);
}
static void run_split(node *n) {
    item *x;
    while (mound_recv(n->in[0], &x)) {
        stir(&n->d);
        mound_send(n->out[value_of(x) >> n->word % 64 & 1], x);
    }
    mound_close(n->out[0]);
    mound_close(n->out[1]);
}
/* To both, first to whom takes it first. */
static void run_tee(node *n) {
    item *x;
    while (mound_recv(n->in[0], &x)) {
        mound_case cases[2] = {MOUND_SEND(n->out[0], &x), MOUND_SEND(n->out[1], &x)};
        stir(&n->d);
        cases[mound_select(cases, 2)].chan = NULL;
        mound_select(cases, 2);
    }
    mound_close(n->out[0]);
    mound_close(n->out[1]);
}
static void run_merge(node *n) {
    item *x;
    mound_case cases[4];
    for (int i = 0; i < n->num_in; i++) {
        mound_case c = MOUND_RECV(n->in[i], &x);
        cases[i] = c;
    }
    for (int num_open = n->num_in; num_open > 0;) {
        int i = mound_select(cases, n->num_in);
        stir(&n->d);
        if (cases[i].ok) {
            mound_send(n->out[0], x);
        } else {
            must_be_nothing(x);
            cases[i].chan = NULL;
            num_open--;
        }
    }
    mound_close(n->out[0]);
}
static void run_zip(node *n) {
    item *x, *y;
    int has_x, has_y;
    for (;;) {
        stir(&n->d);
        has_x = mound_recv(n->in[0], &x);
        has_y = mound_recv(n->in[1], &y);
        if (!has_x || !has_y) break;
        mound_send(n->out[0], pack(mix(value_of(x), value_of(y))));
    }
    while (has_x) has_x = mound_recv_any(n->in[0]);
    while (has_y) has_y = mound_recv_any(n->in[1]);
    mound_close(n->out[0]);
}
static void run_take(node *n) {
    item *x;
    for (int i = 0; mound_recv(n->in[0], &x); i++) {
        stir(&n->d);
        if (i < n->num) mound_send(n->out[0], x);
    }
    mound_close(n->out[0]);
}
static void run_group(node *n) {
    item *x;
    uint64_t h = n->word;
    int i = 0;
    while (mound_recv(n->in[0], &x)) {
        stir(&n->d);
        h = mix(h, value_of(x));
        if (++i % 3 == 0) mound_send(n->out[0], pack(h));
    }
    mound_send(n->out[0], pack(h));
    mound_close(n->out[0]);
}
/* A queue of its own: takes while that is not full, gives while it is not empty. */
static void run_relay(node *n) {
    enum { MAX = 5 };
    item *queue[MAX], *x;
    int len = 0;
    items in = n->in[0];
    while (in || len > 0) {
        mound_case cases[2] = {MOUND_RECV(in, &x), MOUND_SEND(n->out[0], &queue[0])};
        stir(&n->d);
        if (len == MAX) cases[0].chan = NULL;
        if (len == 0) cases[1].chan = NULL;
        if (mound_select(cases, 2) == 1) {
            memmove(queue, queue + 1, (size_t)--len * sizeof *queue);
        } else if (cases[0].ok) {
            queue[len++] = x;
        } else {
            in = NULL;
        }
    }
    mound_close(n->out[0]);
}
/* result: how many, and two digests: of whatever order, and of this one. */
static void run_sink(node *n) {
    item *x;
    n->result[2] = FNV_BEGIN;
    while (mound_recv(n->in[0], &x)) {
        stir(&n->d);
        n->result[0]++;
        n->result[1] += mix(value_of(x), n->word) * FACTOR;
        n->result[2] = mix(n->result[2], value_of(x));
    }
    must_be_nothing(x);
}

typedef struct stream {
    items c;
    bool is_ordered, is_linear; /* linear: nothing branches off before it */
    int max_len;
} stream;

enum { MAX_STREAMS = 12 };

static void start(node n, void (*run)(node *n), mound_waitgroup *all) {
    n.run = run;
    n.all = all;
    n.d = dice_new(dice_next(&first));
    mound_waitgroup_add(all, 1);
    mound_go_copy(run_node, &n, sizeof n);
}

static void network(void) {
    stream s[MAX_STREAMS];
    int num = 1 + draw(4), steps = draw(9);
    mound_waitgroup *all = mound_new(mound_waitgroup);
    for (int i = 0; i < num; i++) {
        node n = {.num = draw_small(7)};
        n.word = dice_next(&first);
        n.out[0] = mound_chan_make(item *, draw_cap());
        s[i] = (stream){n.out[0], true, true, n.num};
        ops += (uint64_t)n.num;
        start(n, run_source, all);
    }
    for (; steps > 0; steps--) {
        int at = draw(num), way = draw(13), count = 2 + draw(3);
        stream *from = &s[at], *last = &s[num - 1];
        node n = {.in = {from->c}, .num_in = 1};
        n.word = dice_next(&first);
        n.out[0] = mound_chan_make(item *, draw_cap());
        ops += (uint64_t)from->max_len;
        if (way <= 1) {
            start(n, run_filter, all);
        } else if (way <= 3 && num < MAX_STREAMS) {
            n.out[1] = mound_chan_make(item *, draw_cap());
            from->is_linear = false;
            s[num] = *from;
            s[num++].c = n.out[1];
            start(n, way == 2 ? run_split : run_tee, all);
        } else if (way <= 6 && num > 1) { /* the last ones into one */
            if (count > num) count = num;
            from = &s[num - count];
            for (int i = 0; i < count; i++) {
                n.in[i] = from[i].c;
                from->is_linear = from->is_linear && from[i].is_linear;
                if (i > 0) from->max_len += from[i].max_len;
            }
            n.num_in = count;
            from->is_ordered = false;
            num -= count - 1;
            start(n, run_merge, all);
        } else if (way == 7) {
            mound_waitgroup *group = mound_new(mound_waitgroup);
            n.group = group;
            mound_waitgroup_add(group, count);
            for (int i = 0; i < count; i++) start(n, run_map, all);
            start(n, run_closer, all);
            from->is_ordered = false;
        } else if (way <= 9 && at < num - 1 && from->is_ordered && from->is_linear &&
                   last->is_ordered && last->is_linear) {
            n.in[1] = last->c;
            num--;
            start(n, run_zip, all);
        } else if (way == 10 && from->is_ordered) {
            n.num = draw(100);
            start(n, run_take, all);
        } else if (way == 11 && from->is_ordered) {
            start(n, run_group, all);
            from->max_len++;
        } else if (way == 12) {
            start(n, run_relay, all);
        } else {
            start(n, run_map, all);
        }
        from->c = n.out[0];
    }
    uint64_t *result = mound_new_array(uint64_t, 3 * MAX_STREAMS);
    for (int i = 0; i < num; i++) {
        node n = {.in = {s[i].c}, .num_in = 1, .result = &result[3 * i]};
        start(n, run_sink, all);
    }
    mound_waitgroup_wait(all);
    for (int i = 0; i < num; i++) {
        note(result[3 * i]);
        note(result[3 * i + 1]);
        if (s[i].is_ordered) note(result[3 * i + 2]);
    }
}

/* ---------------------------------------------------------------- exchange */

/* Senders with a channel each, a hub that selects among them and a receiver, who sees what each of
 * them sent in its order. */
typedef struct exchange_part {
    items in[4], out;
    int number, num;
    mound_waitgroup *all;
    dice d;
} exchange_part;

static void exchange_sender(void *copy) {
    exchange_part *p = copy;
    for (int i = 0; i < p->num; i++) {
        item *x = pack((uint64_t)p->number << 32 | (uint64_t)i);
        stir(&p->d);
        mound_case one = MOUND_SEND(p->out, &x);
        switch (dice_draw(&p->d, 6)) {
        case 0:
            while (!mound_try_send(p->out, x)) mound_gosched();
            break;
        case 1:
            while (mound_try_select(&one, 1) < 0) mound_gosched();
            break;
        default: mound_send(p->out, x); break;
        }
    }
    mound_close(p->out);
    mound_waitgroup_done(p->all);
}
static void exchange_hub(void *copy) {
    exchange_part *p = copy;
    item *x[4];
    mound_case cases[5];
    mound_slice_of(item *) queue = {0};
    for (int i = 0; i < 4; i++) {
        mound_case c = MOUND_RECV(p->in[i], &x[i]);
        cases[i] = c;
    }
    for (int num_open = p->num; num_open > 0 || queue.len > 0;) {
        mound_case c = MOUND_SEND(p->out, queue.ptr);
        cases[4] = c;
        if (queue.len == 0) cases[4].chan = NULL;
        stir(&p->d);
        int i = mound_try_select(cases, 5);
        if (i < 0) i = mound_select(cases, 5);
        if (i == 4) {
            queue = mound_sub(&queue, 1, queue.len);
        } else if (cases[i].ok) {
            mound_append(&queue, x[i]);
        } else {
            cases[i].chan = NULL;
            num_open--;
        }
    }
    mound_close(p->out);
    mound_waitgroup_done(p->all);
}

static void exchange(void) {
    exchange_part hub = {.num = 1 + draw(4)};
    mound_waitgroup *all = mound_new(mound_waitgroup);
    uint64_t h[4] = {0}, count = 0;
    hub.out = mound_chan_make(item *, draw_cap());
    hub.all = all;
    mound_waitgroup_add(all, hub.num + 1);
    for (int i = 0; i < hub.num; i++) {
        hub.in[i] = mound_chan_make(item *, draw_cap());
        exchange_part p = {.out = hub.in[i], .number = i, .num = draw_small(8), .all = all};
        p.d = dice_new(dice_next(&first));
        ops += 2 * (uint64_t)p.num;
        mound_go_copy(exchange_sender, &p, sizeof p);
    }
    hub.d = dice_new(dice_next(&first));
    mound_go_copy(exchange_hub, &hub, sizeof hub);
    for (dice d = dice_new(dice_next(&first));; count++) {
        item *x = NULL;
        int ok = 0;
        mound_case one = MOUND_RECV(hub.out, &x);
        switch (dice_draw(&d, 6)) {
        case 0:
            while (!mound_try_recv(hub.out, &x, &ok)) mound_gosched();
            break;
        case 1:
            while (mound_try_select(&one, 1) < 0) mound_gosched();
            ok = one.ok;
            break;
        default: ok = mound_recv(hub.out, &x); break;
        }
        if (!ok) {
            must_be_nothing(x);
            break;
        }
        uint64_t v = value_of(x);
        h[v >> 32] = mix(h[v >> 32], v);
    }
    mound_waitgroup_wait(all);
    note(count);
    for (int i = 0; i < 4; i++) note(h[i]);
}

/* ---------------------------------------------------------------- wide */

/* One that gives to many and takes from many at once. */
enum { MAX_WIDE = 64 };

typedef struct wide_part {
    items c;
    int num;
    uint64_t *result;
    mound_waitgroup *all;
    dice d;
} wide_part;

static void wide_give(void *copy) {
    wide_part *p = copy;
    for (int i = 0; i < p->num; i++) {
        stir(&p->d);
        mound_send(p->c, pack((uint64_t)i));
    }
    mound_close(p->c);
    mound_waitgroup_done(p->all);
}
static void wide_take(void *copy) {
    wide_part *p = copy;
    for (int i = 0; i < p->num; i++) {
        item *x;
        stir(&p->d);
        mound_recv(p->c, &x);
        *p->result = mix(*p->result, value_of(x));
    }
    mound_waitgroup_done(p->all);
}

static void wide(void) {
    int num = 1 + draw(MAX_WIDE), num_live = 0, left[MAX_WIDE];
    mound_case cases[MAX_WIDE];
    item *x[MAX_WIDE];
    uint64_t *result = mound_new_array(uint64_t, MAX_WIDE);
    mound_waitgroup *all = mound_new(mound_waitgroup);
    mound_waitgroup_add(all, num);
    for (int i = 0; i < num; i++) {
        wide_part p = {.num = draw(12), .result = &result[i], .all = all};
        int takes = draw(2);
        p.c = mound_chan_make(item *, draw_cap());
        p.d = dice_new(dice_next(&first));
        x[i] = pack((uint64_t)i);
        left[i] = takes ? p.num : -1;
        ops += 2 * (uint64_t)p.num;
        mound_case to = MOUND_SEND(p.c, &x[i]), from = MOUND_RECV(p.c, &x[i]);
        cases[i] = takes ? to : from;
        if (left[i] == 0)
            cases[i].chan = NULL;
        else
            num_live++;
        mound_go_copy(takes ? wide_take : wide_give, &p, sizeof p);
    }
    while (num_live > 0) {
        int i = mound_select(cases, num);
        if (left[i] > 0) {
            x[i] = pack(value_of(x[i]) + 1);
            left[i]--;
        } else if (cases[i].ok) {
            result[i] = mix(result[i], value_of(x[i]));
        } else {
            must_be_nothing(x[i]);
            left[i] = 0;
        }
        if (left[i] == 0) {
            cases[i].chan = NULL;
            num_live--;
        }
    }
    mound_waitgroup_wait(all);
    for (int i = 0; i < num; i++) note(result[i]);
}

/* ---------------------------------------------------------------- alone */

/* One goroutine: what can go on at once is known. */
typedef struct known {
    words c;
    int len, cap;
    bool is_closed;
} known;

static bool can_send(const known *k) { return k->c && !k->is_closed && k->len < k->cap; }
static bool can_recv(const known *k) { return k->c && (k->len > 0 || k->is_closed); }
static void note_recv(known *k, uint64_t v, int ok) {
    if (ok) k->len--;
    note(v);
    note(ok != 0);
}

static void alone_select(known *k) {
    mound_case cases[4];
    uint64_t value[4];
    int num_ready = 0, at = 0;
    for (int i = 0; i < 4; i++) {
        int way = draw(3);
        value[i] = dice_next(&first);
        bool is_ready = way == 0 ? can_send(&k[i]) : can_recv(&k[i]);
        mound_case s = MOUND_SEND(k[i].c, &value[i]), r = MOUND_RECV(k[i].c, &value[i]);
        cases[i] = way == 0 ? s : r;
        if (way == 2 || (way == 0 && k[i].is_closed) || (is_ready && num_ready > 0))
            cases[i].chan = NULL;
        else
            num_ready += is_ready;
    }
    int waits = draw(2);
    at = waits && num_ready > 0 ? mound_select(cases, 4) : mound_try_select(cases, 4);
    note((uint64_t)(at + 1));
    if (at < 0) return;
    if (cases[at].kind == MOUND_CASE_SEND)
        k[at].len++;
    else
        note_recv(&k[at], value[at], cases[at].ok);
}

static void alone_locks(mound_mutex *m, mound_rwmutex *rw, bool *is_locked, int *readers) {
    int ok = 0;
    switch (draw(5)) {
    case 0:
        ok = mound_mutex_try_lock(m) != 0;
        *is_locked = *is_locked || ok;
        break;
    case 1:
        if (*is_locked) mound_mutex_unlock(m);
        *is_locked = false;
        break;
    case 2:
        ok = mound_rwmutex_try_lock(rw) != 0;
        if (ok) *readers = -1;
        break;
    case 3:
        ok = mound_rwmutex_try_rlock(rw) != 0;
        if (ok) (*readers)++;
        break;
    case 4:
        if (*readers < 0) {
            mound_rwmutex_unlock(rw);
            *readers = 0;
        } else if (*readers > 0) {
            mound_rwmutex_runlock(rw);
            (*readers)--;
        }
    }
    note((uint64_t)ok);
}

static void alone(void) {
    known k[4] = {{0}};
    mound_mutex *m = mound_new(mound_mutex);
    mound_rwmutex *rw = mound_new(mound_rwmutex);
    bool is_locked = false;
    int readers = 0, num = 20 + draw(200);
    ops += (uint64_t)num;
    for (; num > 0; num--) {
        known *c = &k[draw(4)];
        int way = draw(12), ok = 0, done = 0;
        uint64_t v = dice_next(&first);
        switch (way) {
        case 0:
            if (draw(3) == 0) *c = (known){0};
            if (draw(3) == 0) {
                int cap = draw(5);
                *c = (known){mound_chan_make(uint64_t, (size_t)cap), 0, cap, false};
            }
            break;
        case 1:
        case 2:
            if (c->is_closed) {
                note_panic();
                break;
            }
            done = mound_try_send(c->c, v);
            if (done) c->len++;
            note((uint64_t)(done != 0));
            break;
        case 3:
        case 4:
            v = 0;
            done = mound_try_recv(c->c, &v, &ok);
            note((uint64_t)(done != 0));
            if (done) note_recv(c, v, ok);
            break;
        case 5:
            if (c->is_closed) note_panic();
            if (!can_send(c)) break;
            mound_send(c->c, v);
            c->len++;
            break;
        case 6:
            if (!can_recv(c)) break;
            ok = mound_recv(c->c, &v);
            note_recv(c, v, ok);
            break;
        case 7:
            if (draw(3) != 0) break;
            if (!c->c || c->is_closed) {
                note_panic();
                break;
            }
            mound_close(c->c);
            c->is_closed = true;
            break;
        case 8:
            if (!c->is_closed) break;
            while (mound_recv(c->c, &v)) note_recv(c, v, 1);
            break;
        case 9: alone_locks(m, rw, &is_locked, &readers); break;
        default: alone_select(k); break;
        }
        note(mound_len(c->c));
        note(mound_cap(c->c));
    }
}

/* ---------------------------------------------------------------- locks */

enum { MAX_PARTS = 8, NUM_CELLS = 4 };

typedef struct locks_shared {
    mound_mutex lock[NUM_CELLS];
    mound_rwmutex rw[NUM_CELLS];
    mound_waitgroup all;
    MOUND_CHAN(char) permits;
    uint64_t cell[NUM_CELLS], a[NUM_CELLS], b[NUM_CELLS], counted;
    int inside, num, max_inside; /* inside: atomic */
    uint64_t num_wrong;          /* atomic */
} locks_shared;

typedef struct locks_part {
    locks_shared *s;
    dice d, stir;
} locks_part;

static void locks_run(void *copy) {
    locks_part *p = copy;
    locks_shared *s = p->s;
    for (int i = 0; i < s->num; i++) {
        int way = dice_draw(&p->d, 6), at = dice_draw(&p->d, NUM_CELLS);
        uint64_t v = dice_next(&p->d);
        stir(&p->stir);
        switch (way) {
        case 0:
            mound_mutex_lock(&s->lock[at]);
            s->cell[at] += v;
            mound_mutex_unlock(&s->lock[at]);
            break;
        case 1:
            while (!mound_mutex_try_lock(&s->lock[at])) mound_gosched();
            s->cell[at] += v;
            stir(&p->stir);
            mound_mutex_unlock(&s->lock[at]);
            break;
        case 2:
            mound_rwmutex_lock(&s->rw[at]);
            s->a[at] += v;
            stir(&p->stir);
            s->b[at] += v;
            mound_rwmutex_unlock(&s->rw[at]);
            break;
        case 3:
        case 4:
            mound_rwmutex_rlock(&s->rw[at]);
            v = s->a[at];
            stir(&p->stir);
            if (v != s->b[at]) __atomic_add_fetch(&s->num_wrong, 1, __ATOMIC_RELAXED);
            mound_rwmutex_runlock(&s->rw[at]);
            break;
        default: /* so many may be inside as the channel has places */
            mound_send(s->permits, 1);
            if (__atomic_add_fetch(&s->inside, 1, __ATOMIC_ACQ_REL) > s->max_inside)
                __atomic_add_fetch(&s->num_wrong, 1, __ATOMIC_RELAXED);
            stir(&p->stir);
            __atomic_sub_fetch(&s->inside, 1, __ATOMIC_ACQ_REL);
            mound_recv_any(s->permits);
            break;
        }
    }
    mound_waitgroup_done(&s->all);
}

static void locks(void) {
    locks_shared *s = mound_new(locks_shared);
    int parts = 1 + draw(MAX_PARTS);
    s->num = draw_small(7);
    s->max_inside = 1 + draw(3);
    s->permits = mound_chan_make(char, (size_t)s->max_inside);
    ops += (uint64_t)(parts * s->num);
    mound_waitgroup_add(&s->all, parts);
    for (int i = 0; i < parts; i++) {
        locks_part p = {.s = s};
        p.d = dice_new(dice_next(&first));
        p.stir = dice_new(dice_next(&first));
        mound_go_copy(locks_run, &p, sizeof p);
    }
    mound_waitgroup_wait(&s->all);
    for (int i = 0; i < NUM_CELLS; i++) {
        note(s->cell[i]);
        note(s->a[i]);
        note(s->b[i]);
    }
    note(s->num_wrong);
}

/* ---------------------------------------------------------------- queue */

/* A bounded queue of a mutex and two conditions. */
typedef struct queue_shared {
    mound_mutex lock;
    mound_cond not_full, not_empty;
    mound_waitgroup all, producers;
    item *ring[8];
    int len, max, num;
    bool is_over, wakes_all;
    uint64_t count, sum, num_wrong;
} queue_shared;

typedef struct queue_part {
    queue_shared *s;
    int number;
    dice d;
} queue_part;

static void wake(queue_shared *s, mound_cond *c) {
    if (s->wakes_all)
        mound_cond_broadcast(c);
    else
        mound_cond_signal(c);
}

static void queue_produce(void *copy) {
    queue_part *p = copy;
    queue_shared *s = p->s;
    for (int i = 0; i < s->num; i++) {
        item *x = pack(mix((uint64_t)p->number, (uint64_t)i));
        stir(&p->d);
        mound_mutex_lock(&s->lock);
        while (s->len == s->max) mound_cond_wait(&s->not_full, &s->lock);
        s->ring[s->len++] = x;
        if (s->len > s->max) s->num_wrong++;
        wake(s, &s->not_empty);
        mound_mutex_unlock(&s->lock);
    }
    mound_waitgroup_done(&s->producers);
    mound_waitgroup_done(&s->all);
}
static void queue_consume(void *copy) {
    queue_part *p = copy;
    queue_shared *s = p->s;
    for (;;) {
        stir(&p->d);
        mound_mutex_lock(&s->lock);
        while (s->len == 0 && !s->is_over) mound_cond_wait(&s->not_empty, &s->lock);
        if (s->len == 0) break;
        s->sum += value_of(s->ring[--s->len]);
        s->count++;
        wake(s, &s->not_full);
        mound_mutex_unlock(&s->lock);
    }
    mound_mutex_unlock(&s->lock);
    mound_waitgroup_done(&s->all);
}

static void queue(void) {
    queue_shared *s = mound_new(queue_shared);
    int producers = 1 + draw(4), consumers = 1 + draw(4);
    s->max = 1 + draw(8);
    s->num = draw_small(7);
    s->wakes_all = draw(2) == 0;
    ops += (uint64_t)(2 * producers * s->num);
    mound_waitgroup_add(&s->producers, producers);
    mound_waitgroup_add(&s->all, producers + consumers);
    for (int i = 0; i < producers + consumers; i++) {
        queue_part p = {s, i, dice_new(dice_next(&first))};
        mound_go_copy(i < producers ? queue_produce : queue_consume, &p, sizeof p);
    }
    mound_waitgroup_wait(&s->producers);
    mound_mutex_lock(&s->lock);
    s->is_over = true;
    mound_cond_broadcast(&s->not_empty);
    mound_mutex_unlock(&s->lock);
    mound_waitgroup_wait(&s->all);
    note(s->count);
    note(s->sum);
    note(s->num_wrong);
}

/* ---------------------------------------------------------------- turns */

/* Each waits for its turn, of which a number says whose it is. */
typedef struct turns_shared {
    mound_mutex lock;
    mound_cond changed;
    mound_waitgroup all;
    int turn, num, parts;
    uint64_t log;
} turns_shared;

typedef struct turns_part {
    turns_shared *s;
    int number;
    dice d;
} turns_part;

static void turns_run(void *copy) {
    turns_part *p = copy;
    turns_shared *s = p->s;
    for (int i = 0; i < s->num; i++) {
        stir(&p->d);
        mound_mutex_lock(&s->lock);
        while (s->turn % s->parts != p->number) mound_cond_wait(&s->changed, &s->lock);
        s->turn++;
        s->log = mix(s->log, (uint64_t)(p->number * 1000 + i));
        mound_cond_broadcast(&s->changed);
        mound_mutex_unlock(&s->lock);
    }
    mound_waitgroup_done(&s->all);
}

static void turns(void) {
    turns_shared *s = mound_new(turns_shared);
    s->parts = 1 + draw(MAX_PARTS);
    s->num = draw_small(5);
    ops += (uint64_t)(s->parts * s->num);
    mound_waitgroup_add(&s->all, s->parts);
    for (int i = 0; i < s->parts; i++) {
        turns_part p = {s, i, dice_new(dice_next(&first))};
        mound_go_copy(turns_run, &p, sizeof p);
    }
    mound_waitgroup_wait(&s->all);
    note(s->log);
    note((uint64_t)s->turn);
}

/* ---------------------------------------------------------------- once */

typedef struct once_shared {
    mound_once once[NUM_CELLS];
    mound_waitgroup all;
    uint64_t count[NUM_CELLS], value[NUM_CELLS];
    uint64_t sum; /* atomic */
    int num;
} once_shared;

typedef struct once_part {
    once_shared *s;
    int at; /* what is to be done once */
    dice d, stir;
} once_part;

static void once_do(void *arg) {
    once_part *p = arg;
    stir(&p->stir);
    p->s->count[p->at]++;
    p->s->value[p->at] = 1000 + (uint64_t)p->at;
}
static void once_run(void *copy) {
    once_part *p = copy;
    once_shared *s = p->s;
    for (int i = 0; i < s->num; i++) {
        p->at = dice_draw(&p->d, NUM_CELLS);
        stir(&p->stir);
        mound_once_do(&s->once[p->at], once_do, p);
        __atomic_add_fetch(&s->sum, s->value[p->at], __ATOMIC_RELAXED);
    }
    mound_waitgroup_done(&s->all);
}

static void once(void) {
    once_shared *s = mound_new(once_shared);
    int parts = 1 + draw(MAX_PARTS);
    s->num = 1 + draw_small(4);
    ops += (uint64_t)(parts * s->num);
    mound_waitgroup_add(&s->all, parts);
    for (int i = 0; i < parts; i++) {
        once_part p = {.s = s};
        p.d = dice_new(dice_next(&first));
        p.stir = dice_new(dice_next(&first));
        mound_go_copy(once_run, &p, sizeof p);
    }
    mound_waitgroup_wait(&s->all);
    for (int i = 0; i < NUM_CELLS; i++) note(s->count[i]);
    note(s->sum);
}

/* ---------------------------------------------------------------- phases */

/* Cells that become what their neighbours were, a goroutine for each. */
typedef struct phases_part {
    const uint64_t *old;
    uint64_t *next;
    int at, num;
    dice d;
} phases_part;

static void phases_run(void *arg) {
    phases_part *p = arg;
    stir(&p->d);
    p->next[p->at] = mix(p->old[p->at],
                         mix(p->old[(p->at + 1) % p->num], p->old[(p->at + p->num - 1) % p->num]));
}

static void phases(void) {
    int num = 1 + draw(20), rounds = draw_small(5);
    uint64_t *old = mound_new_array(uint64_t, (size_t)num);
    mound_waitgroup *all = mound_new(mound_waitgroup);
    for (int i = 0; i < num; i++) old[i] = dice_next(&first);
    ops += (uint64_t)(num * rounds);
    for (; rounds > 0; rounds--) {
        uint64_t *next = mound_new_array(uint64_t, (size_t)num);
        for (int i = 0; i < num; i++) {
            phases_part *p = mound_new(phases_part);
            *p = (phases_part){old, next, i, num, dice_new(dice_next(&first))};
            mound_waitgroup_go(all, phases_run, p);
        }
        mound_waitgroup_wait(all);
        old = next;
    }
    for (int i = 0; i < num; i++) note(old[i]);
}

/* ---------------------------------------------------------------- tree */

typedef struct tree_part {
    words up;
    uint64_t seed;
    int depth;
} tree_part;

static void tree_run(void *copy) {
    tree_part *p = copy;
    dice d = dice_new(p->seed);
    uint64_t sum = p->seed, v;
    if (p->depth > 0) {
        words from = mound_chan_make(uint64_t, (size_t)dice_draw(&d, 2));
        int children = 1 + dice_draw(&d, 3);
        for (int i = 0; i < children; i++) {
            tree_part child = {from, dice_next(&d), p->depth - 1};
            mound_go_copy(tree_run, &child, sizeof child);
        }
        for (int i = 0; i < children; i++) {
            mound_recv(from, &v);
            sum += v * FACTOR;
        }
    }
    stir(&d);
    mound_send(p->up, sum);
}

static void tree(void) {
    tree_part p = {.up = mound_chan_make(uint64_t, 0), .seed = dice_next(&first)};
    uint64_t v;
    p.depth = draw(7);
    ops += (uint64_t)1 << p.depth;
    mound_go_copy(tree_run, &p, sizeof p);
    mound_recv(p.up, &v);
    note(v);
}

/* ---------------------------------------------------------------- ring */

typedef struct ring_part {
    items in, out;
    int number;
    mound_waitgroup *all;
    dice d;
} ring_part;

static void ring_run(void *copy) {
    ring_part *p = copy;
    item *x;
    while (mound_recv(p->in, &x)) {
        stir(&p->d);
        mound_send(p->out, pack(mix(value_of(x), (uint64_t)p->number)));
    }
    mound_close(p->out);
    mound_waitgroup_done(p->all);
}

static void ring(void) {
    int num = 1 + draw(40), rounds = draw_small(5), tokens = 1 + draw(3);
    items begin = mound_chan_make(item *, 4), c = begin;
    mound_waitgroup *all = mound_new(mound_waitgroup);
    item *x;
    ops += (uint64_t)(num * rounds * tokens);
    mound_waitgroup_add(all, num);
    for (int i = 0; i < num; i++) {
        ring_part p = {c, mound_chan_make(item *, draw_cap()), i, all, {0}};
        p.d = dice_new(dice_next(&first));
        c = p.out;
        mound_go_copy(ring_run, &p, sizeof p);
    }
    for (int i = 0; i < tokens; i++) mound_send(begin, pack((uint64_t)i));
    for (int i = 0; i < rounds * tokens; i++) {
        mound_recv(c, &x);
        mound_send(begin, x);
    }
    mound_close(begin);
    while (mound_recv(c, &x)) note(value_of(x));
    mound_waitgroup_wait(all);
}

/* ---------------------------------------------------------------- service */

/* Who asks sends along the channel for the answer. */
typedef struct request {
    mound_string text;
    MOUND_CHAN(mound_string) answer;
} request;
typedef MOUND_CHAN(request) requests;

typedef struct service_part {
    requests c;
    int number, num;
    uint64_t *result;
    mound_waitgroup *all;
    dice d;
} service_part;

static void service_answer(void *copy) {
    service_part *p = copy;
    request r;
    while (mound_recv(p->c, &r)) {
        stir(&p->d);
        mound_send(r.answer, mound_cat(r.text, MOUND_STR("/"), r.text));
    }
    mound_waitgroup_done(p->all);
}
static void service_ask(void *copy) {
    service_part *p = copy;
    request r = {{0}, mound_chan_make(mound_string, (size_t)dice_draw(&p->d, 2))};
    uint64_t h = FNV_BEGIN;
    for (int i = 0; i < p->num; i++) {
        mound_string answer;
        r.text = mound_string_printf("%d:%d", p->number, i * i);
        stir(&p->d);
        mound_send(p->c, r);
        mound_recv(r.answer, &answer);
        for (ptrdiff_t k = 0; k < answer.len; k++) h = mix(h, (unsigned char)answer.ptr[k]);
    }
    *p->result = h;
    mound_waitgroup_done(p->all);
}

static void service(void) {
    requests c = mound_chan_make(request, draw_cap());
    int servers = 1 + draw(4), clients = 1 + draw(MAX_PARTS);
    uint64_t *result = mound_new_array(uint64_t, MAX_PARTS);
    mound_waitgroup *asked = mound_new(mound_waitgroup), *over = mound_new(mound_waitgroup);
    mound_waitgroup_add(asked, clients);
    mound_waitgroup_add(over, servers);
    for (int i = 0; i < servers + clients; i++) {
        bool asks = i < clients;
        service_part p = {c, i, 0, &result[asks ? i : 0], asks ? asked : over, {0}};
        p.num = draw_small(6);
        p.d = dice_new(dice_next(&first));
        if (asks) ops += 4 * (uint64_t)p.num;
        mound_go_copy(asks ? service_ask : service_answer, &p, sizeof p);
    }
    mound_waitgroup_wait(asked);
    mound_close(c);
    mound_waitgroup_wait(over);
    for (int i = 0; i < clients; i++) note(result[i]);
}

/* ---------------------------------------------------------------- contexts */

enum { MAX_CTXS = 16, NUM_KEYS = 3 };

typedef struct ctx_part {
    mound_ctx *ctx;
    uint64_t *num_ended;
    mound_waitgroup *all;
} ctx_part;

static void ctx_wait(void *copy) {
    ctx_part *p = copy;
    mound_recv_any(mound_ctx_done(p->ctx));
    if (mound_ctx_error(p->ctx) != 0) __atomic_add_fetch(p->num_ended, 1, __ATOMIC_ACQ_REL);
    mound_waitgroup_done(p->all);
}

static void note_ctx(const mound_ctx *ctx) {
    int error = mound_ctx_error(ctx);
    int64_t when;
    note(error == 0 ? 0 : error == -ECANCELED ? 1 : error == -ETIMEDOUT ? 2 : 3);
    note((uint64_t)(mound_ctx_done(ctx) != NULL));
    note((uint64_t)(mound_ctx_deadline(ctx, &when) != 0));
}

static void contexts(void) {
    static const char keys[NUM_KEYS];
    mound_ctx *ctx[MAX_CTXS] = {mound_ctx_background()};
    bool can_cancel[MAX_CTXS] = {false};
    int num = 1, steps = draw(40), waiting = 0;
    uint64_t *num_ended = mound_new(uint64_t);
    mound_waitgroup *all = mound_new(mound_waitgroup);
    ops += 4 * (uint64_t)steps;
    for (; steps > 0; steps--) {
        int at = draw(num), way = draw(8), key = draw(NUM_KEYS);
        uint64_t v = dice_next(&first);
        if (way <= 4 && num < MAX_CTXS) {
            can_cancel[num] = way != 2;
            if (way <= 1)
                ctx[num] = mound_ctx_with_cancel(ctx[at]);
            else if (way == 2)
                ctx[num] = mound_ctx_with_value(ctx[at], &keys[key], pack(v));
            else if (way == 3)
                ctx[num] = mound_ctx_with_timeout(ctx[at], MOUND_SEC(3600));
            else { /* over at once */
                ctx[num] = mound_ctx_with_timeout(ctx[at], key == 0 ? -MOUND_SEC(1) : 0);
                mound_recv_any(mound_ctx_done(ctx[num]));
            }
            if (way != 2 && draw(2) == 0) {
                ctx_part p = {ctx[num], num_ended, all};
                waiting++;
                mound_waitgroup_add(all, 1);
                mound_go_copy(ctx_wait, &p, sizeof p);
            }
            num++;
        } else if (way <= 6) {
            if (can_cancel[at]) mound_ctx_cancel(ctx[at]);
        } else {
            const item *x = mound_ctx_value(ctx[at], &keys[key]);
            note(x ? value_of(x) : 0);
        }
        for (int i = 0; i < num; i++) note_ctx(ctx[i]);
    }
    for (int i = 0; i < num; i++)
        if (can_cancel[i]) mound_ctx_cancel(ctx[i]);
    mound_waitgroup_wait(all);
    for (int i = 0; i < num; i++) note_ctx(ctx[i]);
    note(*num_ended == (uint64_t)waiting);
}

/* ---------------------------------------------------------------- cancel */

/* Who counts until told to end. */
typedef struct cancel_part {
    mound_ctx *ctx;
    items out;
    uint64_t tag;
    mound_waitgroup *all;
    dice d;
} cancel_part;

static void cancel_run(void *copy) {
    cancel_part *p = copy;
    for (uint64_t i = 0;; i++) {
        item *x = pack(p->tag + i);
        mound_done_chan done = mound_ctx_done(p->ctx);
        mound_case cases[2] = {MOUND_SEND(p->out, &x), MOUND_RECV_ANY(done)};
        stir(&p->d);
        if (mound_select(cases, 2) == 1) break;
    }
    mound_waitgroup_done(p->all);
}

static void cancel(void) {
    int parts = 1 + draw(MAX_PARTS);
    mound_ctx *ctx = mound_ctx_with_cancel(mound_ctx_background());
    mound_waitgroup *all = mound_new(mound_waitgroup);
    items out[MAX_PARTS];
    mound_waitgroup_add(all, parts);
    for (int i = 0; i < parts; i++) {
        out[i] = mound_chan_make(item *, draw_cap());
        cancel_part p = {ctx, out[i], dice_next(&first), all, {0}};
        int is_child = draw(2);
        if (is_child) p.ctx = mound_ctx_with_cancel(ctx);
        p.d = dice_new(dice_next(&first));
        mound_go_copy(cancel_run, &p, sizeof p);
    }
    for (int num = draw_small(8); num > 0; num--) {
        item *x;
        mound_recv(out[draw(parts)], &x);
        note(value_of(x));
        ops++;
    }
    mound_ctx_cancel(ctx);
    mound_waitgroup_wait(all);
}

/* ---------------------------------------------------------------- sieve */

typedef struct sieve_part {
    words in, out; /* no in: all numbers from 2 on */
    mound_ctx *ctx;
    uint64_t prime;
    mound_waitgroup *all;
} sieve_part;

static void sieve_run(void *copy) {
    sieve_part *p = copy;
    uint64_t v = 1;
    mound_done_chan done = mound_ctx_done(p->ctx);
    mound_case from[2] = {MOUND_RECV(p->in, &v), MOUND_RECV_ANY(done)};
    mound_case to[2] = {MOUND_SEND(p->out, &v), MOUND_RECV_ANY(done)};
    for (;;) {
        if (!p->in)
            v++;
        else if (mound_select(from, 2) == 1)
            break;
        if (p->in && v % p->prime == 0) continue;
        if (mound_select(to, 2) == 1) break;
    }
    mound_waitgroup_done(p->all);
}

static void sieve(void) {
    mound_ctx *ctx = mound_ctx_with_cancel(mound_ctx_background());
    mound_waitgroup *all = mound_new(mound_waitgroup);
    int num = draw(12);
    sieve_part p = {NULL, mound_chan_make(uint64_t, draw_cap()), ctx, 0, all};
    mound_waitgroup_add(all, 1);
    mound_go_copy(sieve_run, &p, sizeof p);
    ops += (uint64_t)(num * num);
    for (; num > 0; num--) {
        mound_recv(p.out, &p.prime);
        note(p.prime);
        p.in = p.out;
        p.out = mound_chan_make(uint64_t, draw_cap());
        mound_waitgroup_add(all, 1);
        mound_go_copy(sieve_run, &p, sizeof p);
    }
    mound_ctx_cancel(ctx);
    mound_waitgroup_wait(all);
}

/* ---------------------------------------------------------------- goexit */

typedef struct goexit_part {
    words out;
    uint64_t v;
    int depth;
} goexit_part;

static void goexit_deep(goexit_part *p, int depth) {
    if (depth > 0) {
        goexit_deep(p, depth - 1);
        p->v = 0;
    } else {
        mound_send(p->out, p->v);
        if (p->depth >= 0) mound_goexit();
    }
    mound_send(p->out, 0); /* not reached */
}
static void goexit_run(void *copy) {
    goexit_part *p = copy;
    goexit_deep(p, p->depth);
    mound_send(p->out, 0);
}

static void goexit(void) {
    words c = mound_chan_make(uint64_t, draw_cap());
    int parts = draw(30);
    uint64_t sum = 0, v;
    ops += (uint64_t)parts;
    for (int i = 0; i < parts; i++) {
        goexit_part p = {c, dice_next(&first), 0};
        p.depth = draw(20);
        mound_go_copy(goexit_run, &p, sizeof p);
    }
    for (int i = 0; i < parts; i++) {
        mound_recv(c, &v);
        sum += v;
    }
    note(sum);
}

/* ---------------------------------------------------------------- all */

static void (*const programs[])(void) = {network,  exchange, wide,   alone, locks, queue,
                                         turns,    once,     phases, tree,  ring,  service,
                                         contexts, cancel,   sieve,  goexit};

static uint64_t max_ops, from;

static int app(void *arg) {
    (void)arg;
    for (uint64_t i = 1; ops < max_ops; i++) {
        int k = draw(NUM_KINDS + 3), procs = 1 + draw(4);
        if (k >= NUM_KINDS) k = NETWORK;
        num_of_kind[k]++;
        outcome = FNV_BEGIN;
        ops += 10;
        is_verbose = i >= from;
        mound_gomaxprocs(procs);
        if (is_verbose) printf("%llu %s", (unsigned long long)i, kind_names[k]);
        programs[k]();
        if (is_verbose)
            printf(" | %016llx\n", (unsigned long long)outcome);
        else
            printf("%llu %s %016llx\n", (unsigned long long)i, kind_names[k],
                   (unsigned long long)outcome);
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 3 && !(argc == 5 && strcmp(argv[3], "-v") == 0)) {
        fprintf(stderr, "usage: chans SEED OPS [-v FROM]\n");
        return 2;
    }
    first = dice_new(strtoull(argv[1], NULL, 10));
    max_ops = strtoull(argv[2], NULL, 10);
    from = argc == 5 ? strtoull(argv[4], NULL, 10) : UINT64_MAX;
    setvbuf(stdout, NULL, _IOLBF, 1 << 16); /* also if the program dies */
    int status = mound_run(app, NULL);
    for (int k = 0; k < NUM_KINDS; k++)
        fprintf(stderr, "kind %s %llu\n", kind_names[k], (unsigned long long)num_of_kind[k]);
    return status;
}
