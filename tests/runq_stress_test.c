/* runq_stress_test.c - a run queue gives each entry to one taker, whoever takes at the same time.
 */
#include "support.h"

#include "sched/runq.h"

/* What a queue holds, here: a number and how often it was taken. */
typedef struct mo_g {
    uint32_t number, num_taken; /* num_taken: atomic */
    uint64_t content;           /* written before it is put */
} mo_g;

static mo_runq queue;

static void reset(mo_runq *q) { memset(q, 0, sizeof *q); }

/* ---------------------------------------------------------------- one thread */

static mo_g *make_entries(uint32_t num) {
    mo_g *g = calloc(num, sizeof *g);
    for (uint32_t i = 0; i < num; i++) g[i].number = i;
    return g;
}

static void entries_leave_in_the_order_in_which_they_came(void **state) {
    (void)state;
    mo_g *g = make_entries(5 * MO_RUNQ_LEN);
    reset(&queue);
    assert_null(mo_runq_get(&queue));
    uint32_t in = 0, out = 0;
    while (out < 5 * MO_RUNQ_LEN) {
        for (int k = 0; k < 3 && in < 5 * MO_RUNQ_LEN; k++)
            if (mo_runq_put(&queue, &g[in])) in++;
        mo_g *got = mo_runq_get(&queue);
        assert_non_null(got);
        assert_int_equal(got->number, out++);
    }
    assert_null(mo_runq_get(&queue));
    assert_true(mo_runq_is_empty(&queue));
    free(g);
}

static void next_goes_before_all_others(void **state) {
    (void)state;
    mo_g *g = make_entries(4);
    reset(&queue);
    assert_true(mo_runq_put(&queue, &g[0]));
    assert_null(mo_runq_put_next(&queue, &g[1]));
    assert_ptr_equal(mo_runq_put_next(&queue, &g[2]), &g[1]);
    assert_false(mo_runq_is_empty(&queue));
    assert_ptr_equal(mo_runq_get(&queue), &g[2]);
    assert_ptr_equal(mo_runq_get(&queue), &g[0]);
    assert_null(mo_runq_get(&queue));
    free(g);
}

static void a_full_ring_says_so_and_gives_half(void **state) {
    (void)state;
    mo_g *g = make_entries(MO_RUNQ_LEN + 1), *out[MO_RUNQ_LEN / 2];
    reset(&queue);
    for (uint32_t i = 0; i < MO_RUNQ_LEN; i++) assert_true(mo_runq_put(&queue, &g[i]));
    assert_false(mo_runq_put(&queue, &g[MO_RUNQ_LEN]));
    assert_int_equal(mo_runq_take_half(&queue, out), MO_RUNQ_LEN / 2);
    for (uint32_t i = 0; i < MO_RUNQ_LEN / 2; i++) assert_int_equal(out[i]->number, i);
    assert_true(mo_runq_put(&queue, &g[MO_RUNQ_LEN]));
    for (uint32_t i = MO_RUNQ_LEN / 2; i <= MO_RUNQ_LEN; i++)
        assert_int_equal(mo_runq_get(&queue)->number, i);
    free(g);
}

static void a_thief_takes_half_and_next_only_if_there_is_nothing_else(void **state) {
    (void)state;
    static mo_runq mine;
    mo_g *g = make_entries(6);
    reset(&queue);
    reset(&mine);
    assert_null(mo_runq_steal(&mine, &queue, true));
    for (int i = 0; i < 5; i++) mo_runq_put(&queue, &g[i]);
    mo_runq_put_next(&queue, &g[5]);
    assert_ptr_equal(mo_runq_steal(&mine, &queue, true), &g[2]); /* the last of 0, 1, 2 */
    assert_ptr_equal(mo_runq_get(&mine), &g[0]);
    assert_ptr_equal(mo_runq_get(&mine), &g[1]);
    assert_null(mo_runq_get(&mine));
    assert_ptr_equal(mo_runq_steal(&mine, &queue, true), &g[3]);
    assert_ptr_equal(mo_runq_steal(&mine, &queue, true), &g[4]);
    assert_ptr_equal(mo_runq_steal(&mine, &queue, true), &g[5]);
    assert_null(mo_runq_steal(&mine, &queue, true));
    free(g);
}

static void the_youngest_creator_goes_on_and_thieves_take_the_oldest(void **state) {
    (void)state;
    static mo_runq mine;
    mo_g *g = make_entries(MO_RUNQ_LEN + 1);
    reset(&queue);
    reset(&mine);
    for (uint32_t i = 0; i < MO_RUNQ_LEN; i++) assert_true(mo_runq_push(&queue, &g[i]));
    assert_false(mo_runq_push(&queue, &g[MO_RUNQ_LEN]));
    assert_ptr_equal(mo_runq_get(&queue), &g[MO_RUNQ_LEN - 1]);
    assert_ptr_equal(mo_runq_steal(&mine, &queue, false), &g[0]);
    assert_true(mo_runq_push(&queue, &g[MO_RUNQ_LEN])); /* both left room */
    assert_true(mo_runq_push(&queue, &g[0]));
    assert_ptr_equal(mo_runq_get(&queue), &g[0]);
    assert_ptr_equal(mo_runq_get(&queue), &g[MO_RUNQ_LEN]);
    for (uint32_t i = MO_RUNQ_LEN - 2; i > 1; i--) assert_ptr_equal(mo_runq_get(&queue), &g[i]);
    assert_false(mo_runq_is_empty(&queue));
    assert_ptr_equal(mo_runq_steal(&mine, &queue, false), &g[1]);
    assert_true(mo_runq_is_empty(&queue));
    assert_null(mo_runq_get(&queue));
    assert_null(mo_runq_steal(&mine, &queue, true));
    free(g);
}

static void creators_come_after_the_ring_and_have_their_turn(void **state) {
    (void)state;
    mo_g *g = make_entries(2);
    reset(&queue);
    assert_true(mo_runq_push(&queue, &g[0]));
    int turns = 0;
    for (int i = 0; i < 4 * MO_RUNQ_FAIR; i++) {
        mo_runq_put(&queue, &g[1]);
        mo_g *got = mo_runq_get(&queue);
        if (got == &g[1]) continue;
        assert_ptr_equal(got, &g[0]);
        assert_ptr_equal(mo_runq_get(&queue), &g[1]);
        assert_true(mo_runq_push(&queue, &g[0]));
        turns++;
    }
    assert_int_equal(turns, 4);
    assert_ptr_equal(mo_runq_get(&queue), &g[0]); /* the ring is empty */
    free(g);
}

/* ---------------------------------------------------------------- many threads */

enum { THIEVES = 3 };

static mo_g *all;
static uint32_t num_all, num_gone; /* num_gone: atomic */
static uint32_t num_spoiled;       /* atomic */

static void take(mo_g *g) {
    if (g->content != g->number * 0x9E3779B97F4A7C15u) mo_add_rlx(&num_spoiled, 1);
    mo_add_rlx(&g->num_taken, 1);
    mo_add_rlx(&num_gone, 1);
}

static void *steal_on(void *arg) {
    mo_runq *mine = calloc(1, sizeof *mine);
    (void)arg;
    while (mo_load_rlx(&num_gone) < num_all) {
        mo_g *g = mo_runq_steal(mine, &queue, true);
        if (!g) continue;
        take(g);
        while ((g = mo_runq_get(mine)) != NULL) take(g);
    }
    free(mine);
    return NULL;
}

/* The owner puts all of them, some as the next, some as creators, and takes some itself: the fewer
 * stay, the more often it and a thief want the last one. */
static void own(void) {
    mo_rand r;
    mo_rand_seed(&r, 1);
    for (uint32_t i = 0; i < num_all; i++) {
        mo_g *g = &all[i], *half[MO_RUNQ_LEN / 2];
        g->content = g->number * 0x9E3779B97F4A7C15u;
        uint64_t where = mo_rand_below(&r, 8);
        if (where < 2) g = mo_runq_put_next(&queue, g);
        if (where > 4 && mo_runq_push(&queue, g)) g = NULL;
        if (g && !mo_runq_put(&queue, g)) {
            uint32_t num = mo_runq_take_half(&queue, half);
            for (uint32_t k = 0; k < num; k++) take(half[k]);
            if (!mo_runq_put(&queue, g)) take(g);
        }
        if (mo_rand_below(&r, 3) == 0 && (g = mo_runq_get(&queue)) != NULL) take(g);
    }
    for (mo_g *g; (g = mo_runq_get(&queue)) != NULL;) take(g);
}

static void each_entry_is_taken_once_and_whole(void **state) {
    (void)state;
    pthread_t thread[THIEVES];
    num_all = (uint32_t)test_steps(2000000);
    all = make_entries(num_all);
    reset(&queue);
    for (int i = 0; i < THIEVES; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, steal_on, NULL), 0);
    own();
    for (int i = 0; i < THIEVES; i++) pthread_join(thread[i], NULL);
    uint32_t num_wrong = 0;
    for (uint32_t i = 0; i < num_all; i++) num_wrong += all[i].num_taken != 1;
    assert_int_equal(num_wrong, 0);
    assert_int_equal(num_spoiled, 0);
    free(all);
}

int main(void) {
    alarm(40); /* a lost entry is waited for */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_leave_in_the_order_in_which_they_came),
        cmocka_unit_test(next_goes_before_all_others),
        cmocka_unit_test(a_full_ring_says_so_and_gives_half),
        cmocka_unit_test(a_thief_takes_half_and_next_only_if_there_is_nothing_else),
        cmocka_unit_test(the_youngest_creator_goes_on_and_thieves_take_the_oldest),
        cmocka_unit_test(creators_come_after_the_ring_and_have_their_turn),
        cmocka_unit_test(each_entry_is_taken_once_and_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
