/* worker.c - one thread: steps drawn from its own generator.
 *
 * A worker has a pocket, places of its own with a thing in each, and a hand, a place that holds a
 * leaf for some steps. It stands on its stack; what its places refer to stands there only.
 */
#include <pthread.h>
#include <string.h>

#include "crew.h"
#include "loading.h"
#include "market.h"
#include "orchard.h"
#include "place.h"
#include "process.h"

enum { POCKET = PLACE_LOCALS - 1, HAND = POCKET /* its index among the thread's locals */ };

typedef struct worker {
    mo_rand rand;
    place pocket[POCKET];
    place hand;
    unsigned steps_held; /* how long the hand keeps its leaf */
} worker;

static place_kind any_kind(mo_rand *r) { return (place_kind)mo_rand_below(r, NUM_PLACE_KINDS); }
static place *any_place(worker *w) { return &w->pocket[mo_rand_below(&w->rand, POCKET)]; }

/* ---------------------------------------------------------------- the hand */

static void take_leaf(worker *w) {
    if (place_get(&w->hand)) return;
    place_close(&w->hand);
    place_open(&w->hand, any_kind(&w->rand), HAND, &w->rand);
    place_set(&w->hand, orchard_take(&w->rand));
    w->steps_held = (unsigned)between(&w->rand, 1, 50);
}

static void put_leaf(worker *w) {
    leaf *l = place_get(&w->hand);
    if (!l) return;
    leaf_verify(l, place_name(w->hand.kind));
    place_set(&w->hand, NULL);
    orchard_put(l, &w->rand);
}

/* ---------------------------------------------------------------- the pocket */

static void verify_pocket(const worker *w) {
    for (int i = 0; i < POCKET; i++) {
        const thing *t = place_get(&w->pocket[i]);
        if (t) thing_verify(t, place_name(w->pocket[i].kind));
    }
}

static void make_thing(worker *w) {
    place *p = any_place(w);
    thing *old = place_get(p);
    place_set(p, thing_make(&w->rand));
    if (old && one_in(&w->rand, 2)) thing_destroy(old);
}

static void change_thing(worker *w) {
    thing *t = place_get(any_place(w));
    if (!t) return;
    thing_change(t, &w->rand);
    thing_verify(t, "a pocket");
}

static void trade_things(worker *w) {
    thing *a = place_get(any_place(w)), *b = place_get(any_place(w));
    if (a && b) thing_trade(a, b, &w->rand);
}

/* A thing moves to another kind of memory. */
static void move_place(worker *w) {
    place *p = any_place(w);
    void *t = place_close(p);
    place_open(p, any_kind(&w->rand), p->idx, &w->rand);
    place_set(p, t);
}

static void exchange(worker *w) {
    place *p = any_place(w);
    thing *t = place_get(p);
    place_set(p, NULL);
    place_set(p, market_exchange(t, &w->rand));
}

static void change_shared(worker *w) { market_change(&w->rand); }
static void trade_shared(worker *w) { market_trade(&w->rand); }
static void rebuild_shared(worker *w) { market_rebuild(&w->rand); }
static void swap_leaves(worker *w) { orchard_swap(&w->rand); }
static void pass_leaves(worker *w) { orchard_pass_through_new(&w->rand); }
static void replace_leaves(worker *w) { orchard_replace(&w->rand); }
static void make_litter(worker *w) { litter(&w->rand, (unsigned)between(&w->rand, 1, 1000)); }

static void allocate_large(worker *w) {
    char *large = mound_alloc_aligned((size_t)16 << mo_rand_below(&w->rand, 10),
                                      between(&w->rand, 1, 2 << 20));
    large[0] = 1;
    if (one_in(&w->rand, 2)) mound_free(large);
}

/* ---------------------------------------------------------------- rare steps */

static void collect(worker *w) {
    (void)w;
    mound_gc();
}

static void spawn_process(worker *w) {
    (void)w;
    process_spawn();
}

static void fork_process(worker *w) {
    process_fork_beside_others(place_get(any_place(w)), &w->rand);
}

static void use_plugin(worker *w) {
    place *p = any_place(w);
    thing *t = place_get(p);
    place_set(p, NULL);
    place_set(p, loading_step(t, &w->rand));
}

static void *helper_main(void *arg) {
    thing *t = arg;
    mo_rand r;
    mo_rand_seed(&r, t->id);
    soak_doing = "helper of a worker";
    litter(&r, (unsigned)between(&r, 1, 500));
    if (one_in(&r, 8)) mound_gc();
    thing_verify(t, "the argument of a thread");
    thing_change(t, &r);
    if (one_in(&r, 2)) pthread_exit(t);
    return t;
}

/* The only pointer goes to another thread and comes back as its result. */
static void pass_through_thread(worker *w) {
    place *p = any_place(w);
    thing *t = place_get(p);
    if (!t) return;
    place_set(p, NULL);
    pthread_t thread;
    void *result;
    thread_start(&thread, false, helper_main, t, &w->rand);
    t = NULL;
    pthread_join(thread, &result);
    place_set(p, result);
}

/* ---------------------------------------------------------------- the steps */

typedef struct step {
    const char *name;
    void (*run)(worker *w);
    unsigned weight;
} step;

static const step steps[] = {
    {"swapping leaves", swap_leaves, 400},
    {"passing leaves through new objects", pass_leaves, 100},
    {"replacing leaves", replace_leaves, 100},
    {"taking a leaf", take_leaf, 100},
    {"changing a thing", change_thing, 80},
    {"trading between things", trade_things, 40},
    {"exchanging things", exchange, 60},
    {"changing a shared thing", change_shared, 80},
    {"trading between shared things", trade_shared, 60},
    {"littering", make_litter, 60},
    {"moving a place", move_place, 30},
    {"making a thing", make_thing, 20},
    {"rebuilding a stall", rebuild_shared, 10},
    {"allocating a large object", allocate_large, 10},
    {"using a plugin", use_plugin, 8},
    {"passing a thing through a thread", pass_through_thread, 8},
    {"collecting", collect, 2},
    {"forking", fork_process, 1},
    {"spawning", spawn_process, 1},
};
enum { STEPS = sizeof steps / sizeof steps[0] };

static const step *draw_step(mo_rand *r) {
    static unsigned total;
    unsigned sum = __atomic_load_n(&total, __ATOMIC_RELAXED);
    if (sum == 0) {
        for (int i = 0; i < STEPS; i++) sum += steps[i].weight;
        __atomic_store_n(&total, sum, __ATOMIC_RELAXED);
    }
    uint64_t n = mo_rand_below(r, sum);
    const step *s = steps;
    while (n >= s->weight) n -= s++->weight;
    return s;
}

static NOINLINE void worker_step(worker *w) {
    const step *s = draw_step(&w->rand);
    soak_doing = s->name;
    s->run(w);
    if (place_get(&w->hand) && w->steps_held-- == 0) put_leaf(w);
    count_add(COUNT_STEPS, 1);
}

/* Nothing of the steps before stands on the stack while the worker waits. */
static void stand_at_gate(worker *w) {
    soak_doing = "standing at the gate";
    put_leaf(w);
    verify_pocket(w);
    scrub_stack();
    gate_wait();
    verify_pocket(w);
}

static NOINLINE void set_out(worker *w, const worker_order *order) {
    mo_rand_seed(&w->rand, soak.seed + order->number * 1000003);
    for (unsigned i = 0; i < POCKET; i++)
        place_open(&w->pocket[i], any_kind(&w->rand), i, &w->rand);
    place_open(&w->hand, PLACE_DIRECT, HAND, &w->rand);
    if (order->gift) {
        thing_verify(order->gift, "the order of a new worker");
        place_set(&w->pocket[0], order->gift);
    }
}

/* One thing is the thread's result; the others go to the market, are freed, or dropped. */
static NOINLINE thing *clear_out(worker *w) {
    put_leaf(w);
    place_close(&w->hand);
    thing *result = NULL;
    for (int i = 0; i < POCKET; i++) {
        thing *t = place_close(&w->pocket[i]);
        if (!t) continue;
        thing_verify(t, "a pocket at its worker's end");
        if (!result)
            result = t;
        else if (one_in(&w->rand, 2))
            market_exchange(t, &w->rand);
        else if (one_in(&w->rand, 2))
            thing_destroy(t);
    }
    return result;
}

void *worker_main(void *arg) {
    worker_order *order = arg;
    worker w;
    memset(&w, 0, sizeof w);
    soak_worker = order->number;
    soak_doing = "setting out";
    int *is_over = order->is_over;
    unsigned num_steps = order->num_steps;
    set_out(&w, order);
    for (unsigned i = 0; i < num_steps && !crew_is_ending(); i++) {
        if (gate_is_closed()) stand_at_gate(&w);
        worker_step(&w);
    }
    soak_doing = "ending";
    thing *result = clear_out(&w);
    gate_leave();
    STORE(is_over, 1);
    return result;
}
