/* pace_test.c - the pacer's arithmetic, against a table worked out by hand from the formulas at the
 * head of pacer.c; that it stays within its bounds whatever the facts are, and follows them.
 */
#include "support.h"

#include "mound.h"

#include "gc/barrier.h"
#include "gc/pacer.h"

#define MIB ((uint64_t)1 << 20)
#define MS 1000000u

typedef struct plan_row {
    const char *what;
    mo_pace_facts facts;
    uint64_t base, goal, trigger; /* in MiB */
    bool is_over_limit;
} plan_row;

/* Rates in bytes per ns are GB/s: 1.048576 is one MiB per ms. */
#define MIB_PER_MS 1.048576

/* A gigabyte lived of two, and the collection beside the program took a second. */
#define CONCURRENT(rate)                                                                           \
    {                                                                                              \
        .percent = 100, .is_concurrent = true, .traced_bytes = 1000 * MIB,                         \
        .begin_bytes = 2000 * MIB, .cycle_ns = 1000 * MS, .alloc_rate = (rate),                    \
        .limit_bytes = UINT64_MAX                                                                  \
    }

static const plan_row rows[] = {
    {"nothing known yet: the first runway",
     {.percent = 100, .limit_bytes = UINT64_MAX},
     0,
     4,
     4,
     false},
    {"one stop, GOGC=100: twice what lives",
     {.percent = 100,
      .traced_bytes = 100 * MIB,
      .begin_bytes = 200 * MIB,
      .limit_bytes = UINT64_MAX},
     100,
     200,
     200,
     false},
    {"stacks and globals count as in Go",
     {.percent = 100,
      .traced_bytes = 100 * MIB,
      .begin_bytes = 200 * MIB,
      .stack_bytes = 8 * MIB,
      .root_bytes = 12 * MIB,
      .limit_bytes = UINT64_MAX},
     100,
     220,
     220,
     false},
    {"GOGC=50",
     {.percent = 50,
      .traced_bytes = 100 * MIB,
      .begin_bytes = 150 * MIB,
      .limit_bytes = UINT64_MAX},
     100,
     150,
     150,
     false},
    {"off: never",
     {.percent = -1,
      .traced_bytes = 100 * MIB,
      .begin_bytes = 200 * MIB,
      .limit_bytes = UINT64_MAX},
     100,
     INT64_MAX / 4 / MIB,
     INT64_MAX / 4 / MIB,
     false},
    {"off, but limited: up to the limit",
     {.percent = -1, .traced_bytes = 100 * MIB, .begin_bytes = 200 * MIB, .limit_bytes = 500 * MIB},
     100,
     500,
     500,
     false},
    {"a small heap and costly collections: the largest least runway",
     {.percent = 100,
      .traced_bytes = 1 * MIB,
      .begin_bytes = 8 * MIB,
      .cycle_ns = 2 * MS,
      .alloc_rate = MIB_PER_MS,
      .limit_bytes = UINT64_MAX},
     1,
     15,
     15,
     false}, /* 1 MiB/ms * 2 ms * 30 = 60, at most 14 */
    {"a small heap and cheap collections: the smallest",
     {.percent = 100,
      .traced_bytes = 0,
      .begin_bytes = 1 * MIB,
      .cycle_ns = MS / 100,
      .alloc_rate = MIB_PER_MS,
      .limit_bytes = UINT64_MAX},
     0,
     1,
     1,
     false},
    {"concurrent, slow allocation: what two collections' time allocates before the goal",
     CONCURRENT(MIB_PER_MS / 5), 1000, 2000, 1600, false},
    {"concurrent, hardly any allocation: a sixteenth of the room",
     {.percent = 100,
      .is_concurrent = true,
      .traced_bytes = 800 * MIB,
      .begin_bytes = 1600 * MIB,
      .cycle_ns = MS,
      .alloc_rate = MIB_PER_MS / 1000,
      .limit_bytes = UINT64_MAX},
     800,
     1600,
     1550,
     false},
    {"concurrent, just so much that half of the room is needed", CONCURRENT(MIB_PER_MS / 4), 1000,
     2000, 1500, false},
    {"concurrent, and what one collection's time allocates fits into the room, twice that does not",
     CONCURRENT(MIB_PER_MS * 0.33), 1000, 2000, 1500, false},
    {"concurrent, a long collection that needs more than half of the room: a quarter more than "
     "that",
     CONCURRENT(MIB_PER_MS * 0.56), 1000, 2000, 1300, false},
    {"concurrent, a short one that does so: late, a wait would be short",
     {.percent = 100,
      .is_concurrent = true,
      .traced_bytes = 100 * MIB,
      .begin_bytes = 200 * MIB,
      .cycle_ns = 100 * MS,
      .alloc_rate = MIB_PER_MS * 0.5,
      .limit_bytes = UINT64_MAX},
     100,
     200,
     169,
     false},
    {"concurrent, longer collections came before it: as if it had taken what they still count for",
     {.percent = 100,
      .is_concurrent = true,
      .traced_bytes = 1000 * MIB,
      .begin_bytes = 2000 * MIB,
      .cycle_ns = 500 * MS,
      .faded_ns = 1000 * MS,
      .alloc_rate = MIB_PER_MS / 5,
      .limit_bytes = UINT64_MAX},
     1000,
     2000,
     1600,
     false},
    {"concurrent, faster than can be marked: late, and threads wait", CONCURRENT(MIB_PER_MS * 4),
     1000, 2000, 1875, false},
    {"large, and a collection costs 2 ms of processor time: a thirtieth of the time",
     {.percent = 100,
      .traced_bytes = 1000 * MIB,
      .begin_bytes = 2000 * MIB,
      .cycle_ns = 40 * MS,
      .cost_ns = 2 * MS,
      .alloc_rate = MIB_PER_MS * 2,
      .limit_bytes = UINT64_MAX},
     1000,
     1120,
     1120,
     false},
    {"and next to nothing: a thirty-second of the growth",
     {.percent = 100,
      .traced_bytes = 1600 * MIB,
      .begin_bytes = 2000 * MIB,
      .cycle_ns = MS,
      .cost_ns = MS / 10,
      .alloc_rate = MIB_PER_MS,
      .limit_bytes = UINT64_MAX},
     1600,
     1650,
     1650,
     false},
    {"21 ms are not cheap, however slowly is allocated",
     {.percent = 100,
      .traced_bytes = 1000 * MIB,
      .begin_bytes = 2000 * MIB,
      .cycle_ns = 21 * MS,
      .cost_ns = 21 * MS,
      .alloc_rate = MIB_PER_MS / 100,
      .limit_bytes = UINT64_MAX},
     1000,
     2000,
     2000,
     false},
    {"GOGC=200 is taken at its word",
     {.percent = 200,
      .traced_bytes = 1000 * MIB,
      .begin_bytes = 2000 * MIB,
      .cycle_ns = MS,
      .cost_ns = MS,
      .alloc_rate = MIB_PER_MS,
      .limit_bytes = UINT64_MAX},
     1000,
     3000,
     3000,
     false},
    {"new objects count where nothing died",
     {.percent = 100,
      .traced_bytes = 100 * MIB,
      .new_bytes = 60 * MIB,
      .begin_bytes = 100 * MIB,
      .limit_bytes = UINT64_MAX},
     160,
     320,
     320,
     false},
    {"and not where half did",
     {.percent = 100,
      .traced_bytes = 100 * MIB,
      .new_bytes = 60 * MIB,
      .begin_bytes = 200 * MIB,
      .limit_bytes = UINT64_MAX},
     100,
     200,
     200,
     false},
    {"a limit below the goal",
     {.percent = 100,
      .traced_bytes = 100 * MIB,
      .begin_bytes = 200 * MIB,
      .limit_bytes = 150 * MIB},
     100,
     150,
     150,
     false},
    {"a limit that leaves less than half of the time gives way",
     {.percent = 100,
      .traced_bytes = 100 * MIB,
      .begin_bytes = 200 * MIB,
      .cycle_ns = 40 * MS,
      .alloc_rate = MIB_PER_MS,
      .limit_bytes = 110 * MIB},
     100,
     140,
     140,
     true},
    {"a limit below what lives",
     {.percent = 100, .traced_bytes = 100 * MIB, .begin_bytes = 200 * MIB, .limit_bytes = 0},
     100,
     112,
     112,
     true}, /* the least room: an eighth of the growth */
};

static void expect_near(const char *name, const char *what, uint64_t bytes, uint64_t mib) {
    uint64_t want = mib * MIB, off = bytes > want ? bytes - want : want - bytes;
    if (off > MIB)
        fail_msg("%s: %s is %.2f MiB, not %llu", name, what, (double)bytes / (double)MIB,
                 (unsigned long long)mib);
}

static void plans_are_those_of_the_table(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        mo_pace_plan p = mo_pace_next(&rows[i].facts);
        expect_near(rows[i].what, "the base", p.base_bytes, rows[i].base);
        expect_near(rows[i].what, "the goal", p.goal_bytes, rows[i].goal);
        expect_near(rows[i].what, "the trigger", p.trigger_bytes, rows[i].trigger);
        if (p.is_over_limit != rows[i].is_over_limit) fail_msg("%s: over the limit?", rows[i].what);
    }
}

static uint64_t some_bytes(mo_rand *r) { return mo_rand_next(r) >> (24 + mo_rand_below(r, 40)); }

static void plans_stay_within_bounds_whatever_the_facts(void **state) {
    (void)state;
    mo_rand r;
    mo_rand_seed(&r, test_seed("plans", 0));
    for (uint64_t i = 0; i < test_steps(2000000); i++) {
        mo_pace_facts f = {
            .percent = (int)(mo_rand_below(&r, 3) ? mo_rand_below(&r, 1000) : mo_rand_next(&r)),
            .is_concurrent = mo_rand_below(&r, 2),
            .traced_bytes = some_bytes(&r),
            .new_bytes = some_bytes(&r),
            .begin_bytes = some_bytes(&r),
            .stack_bytes = some_bytes(&r),
            .root_bytes = some_bytes(&r),
            .cycle_ns = some_bytes(&r),
            .faded_ns = some_bytes(&r),
            .cost_ns = some_bytes(&r),
            .alloc_rate = (double)some_bytes(&r) / 1000,
            .limit_bytes = mo_rand_below(&r, 2) ? UINT64_MAX : some_bytes(&r),
        };
        mo_pace_plan p = mo_pace_next(&f);
        uint64_t now = f.traced_bytes + f.new_bytes;
        assert_true(p.base_bytes >= f.traced_bytes && p.base_bytes <= now);
        assert_true(p.goal_bytes >= now && p.goal_bytes <= (uint64_t)INT64_MAX);
        assert_true(p.trigger_bytes <= p.goal_bytes);
        uint64_t part = (p.goal_bytes - now) / 8; /* in floating point: not to the last bit */
        assert_true(p.trigger_bytes + (part >> 38) + 1 >= now + part);
        if (!f.is_concurrent) assert_int_equal(p.trigger_bytes, p.goal_bytes);
        if (f.limit_bytes == UINT64_MAX) assert_false(p.is_over_limit);
    }
}

/* A server builds its data, then answers requests: by the rate of the first its next collection
 * would begin late, and requests would wait for it. */
static void a_trigger_follows_the_rate_of_late(void **state) {
    (void)state;
    mo_gc *gc = &mo_the_gc;
    enum { NUM = 100 };
    static void *kept[NUM];
    for (int i = 0; i < NUM; i++) kept[i] = mound_alloc_noscan(MIB);
    assert_non_null(kept[NUM - 1]);
    mound_gc();
    if (!mo_barrier_is_on()) {
        print_message("skipped: with one stop the trigger is the goal\n");
        skip();
    }
    mo_runtime_enter(mo_self);
    mo_lock_acquire(&mo_the_world.registry);
    gc->cycle_ns = 100 * MS;
    gc->last_cpu_ns = 100 * MS;
    gc->alloc_rate = 1e3;
    mo_pacer_set();
    uint64_t late = gc->trigger_bytes, goal = gc->goal_bytes;
    for (int i = 0; i < 40; i++) mo_pacer_note_rate(0.2 * MIB_PER_MS);
    uint64_t early = gc->trigger_bytes;
    mo_pacer_note_rate(1e3);
    uint64_t again = gc->trigger_bytes;
    mo_lock_release(&mo_the_world.registry);
    mo_runtime_leave(mo_self);
    assert_true(goal - early > 35 * MIB && goal - early < 45 * MIB); /* 0.2 * 100 * 2 */
    assert_true(late > early + 10 * MIB);
    assert_int_equal(again, late);
}

/* Of a collection of a heap of 200 MiB that may grow by 100 MiB meanwhile, of which an eighth is
 * for being ahead, another for what comes before marking. The last one spent 0.4 of its time on
 * what was written, 50 MiB. Threads allocate faster than it marks. */
static void begin_collection(void) {
    mo_gc *gc = &mo_the_gc;
    mound_set_gc_percent(-1);
    mo_runtime_enter(mo_self);
    mo_lock_acquire(&mo_the_world.registry);
    gc->traced_bytes = 100 * MIB;
    gc->begin_bytes = 200 * MIB;
    gc->cycle_ns = 1000 * MS;
    gc->lead_ns = 0;
    gc->unused_bytes = 0;
    gc->last_was_asked = false;
    gc->clean_share = 0.4;
    gc->clean_bytes = 50 * MIB;
    mo_store_rlx(&gc->goal_bytes, (uint64_t)mo_load_rlx(&mo_the_heap.live_bytes) + 100 * MIB);
    mo_pace_begin(false, 1e3);
    mo_lock_release(&mo_the_world.registry);
    mo_runtime_leave(mo_self);
}

static int64_t pretend_to_allocate(int64_t bytes) {
    return mo_add_rlx(&mo_the_heap.live_bytes, bytes);
}

/* How much may be allocated before threads wait, in MiB. */
static int allowed_mib(void) {
    for (int mib = 0; mib < 200; mib++) {
        pretend_to_allocate((int64_t)MIB);
        bool waits = mo_pace_delay(0, 0, false) > 0;
        pretend_to_allocate(-(int64_t)MIB * (waits ? mib + 1 : 0));
        if (waits) return mib;
    }
    return -1;
}

/* Without a part of its own nobody could allocate while what was written is scanned, which may take
 * as long as marking. */
static void scanning_what_was_written_has_its_part_of_the_room(void **state) {
    (void)state;
    begin_collection();
    mo_pace_begin_mark();
    assert_in_range(allowed_mib(), 24, 26); /* ahead, and before marking: an eighth each */
    mo_pace_did(mo_the_pace.work);
    assert_in_range(allowed_mib(), 69, 71); /* and 0.6 of the rest */
    mo_pace_mark_done();
    assert_in_range(allowed_mib(), 69, 71);
    mo_pace_did(25 * MIB);
    assert_in_range(allowed_mib(), 84, 86);
    mo_pace_did(25 * MIB);
    assert_in_range(allowed_mib(), 99, 101);
    mo_pace_end();
}

static void a_thread_waits_by_what_it_allocates_not_by_how_often_it_refills(void **state) {
    (void)state;
    enum { NUM = 1024, BYTES = 64 }; /* 64 KiB; a refill gives 4 KiB at most */
    uint32_t num_waits = 0;
    begin_collection();
    mo_pace_begin_mark();
    pretend_to_allocate(80 * (int64_t)MIB);
    uint64_t last = mo_self->waited_at_bytes;
    for (int i = 0; i < NUM; i++) {
        assert_non_null(mound_alloc_noscan(BYTES));
        if (mo_self->waited_at_bytes != last) num_waits++;
        last = mo_self->waited_at_bytes;
    }
    pretend_to_allocate(-80 * (int64_t)MIB);
    mo_pace_end();
    assert_in_range(num_waits, mo_the_gc.debug.stress ? 0 : 3, 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_are_those_of_the_table),
        cmocka_unit_test(plans_stay_within_bounds_whatever_the_facts),
        cmocka_unit_test(a_trigger_follows_the_rate_of_late),
        cmocka_unit_test(scanning_what_was_written_has_its_part_of_the_room),
        cmocka_unit_test(a_thread_waits_by_what_it_allocates_not_by_how_often_it_refills),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
