/* reassign.c - p = &x, p = &y, p = nil: when is each block collected?
 *
 * A goroutine has one pointer p and assigns to it three times. After each assignment it says so
 * over the channel done and waits; meanwhile the first goroutine collects and looks which blocks
 * there are. A weak pointer tells whether a block lives, a cleanup says that it was collected. p
 * points to a field of its block: any address inside of one keeps it.
 *
 * p is volatile, so that each assignment is really made: in C the compiler may leave out one whose
 * value nobody reads, or keep p in a register for longer than it is needed.
 *
 * Run: reassign
 */
#include "literature.h"

enum { NUM_STEPS = 3 };

typedef struct block {
    const char *name;
    long value;
} block;

static const char *const steps[] = {"p = &x ", "p = &y ", "p = nil"};
static const bool has_x[] = {true, false, false}, has_y[] = {false, true, false};

static MOUND_CHAN(int) done;               /* the number of the assignment that was made */
static MOUND_CHAN(int) next;               /* the goroutine may go on */
static MOUND_CHAN(const char *) collected; /* names of blocks */
static mound_weak x, y;

static void tell(void *name) { mound_send(collected, (const char *)name); }

static NOINLINE void point_to_new(long *volatile *p, const char *name, long value,
                                  mound_weak *weak) {
    block *b = mound_new(block);
    b->name = name;
    b->value = value;
    *weak = mound_weak_make(b);
    mound_add_cleanup(b, tell, (void *)name);
    *p = &b->value;
}

/* A function of its own, so that no copy of p stays in the caller's frame. */
static NOINLINE long value_at(long *volatile *p) { return **p; }

static void wait_for_collection(int step) {
    int number;
    clear_stack(); /* of what point_to_new left below */
    mound_send(done, step);
    mound_recv(next, &number);
}

static void assign(void *arg) {
    long *volatile p = NULL;
    (void)arg;
    point_to_new(&p, "x", 1, &x);
    wait_for_collection(0);
    point_to_new(&p, "y", 2, &y);
    wait_for_collection(1);
    verify(value_at(&p) == 2, "y is not what it was");
    p = NULL;
    wait_for_collection(2);
}

/* Cleanups run in a thread of their own, soon after the collection. */
static void expect_cleanup(const char *name) {
    const char *who = NULL;
    mound_case cases[] = {MOUND_RECV(collected, &who), MOUND_RECV_ANY(mound_after(MOUND_SEC(2)))};
    verify(mound_select(cases, 2) == 0, "the cleanup of %s has not run", name);
    verify(who == name, "a cleanup ran of %s, not of %s", who, name);
    printf(", cleanup of %s ran", name);
}

static int app(void *arg) {
    (void)arg;
    done = mound_chan_make(int, 0);
    next = mound_chan_make(int, 0);
    collected = mound_chan_make(const char *, 2);
    const char *const name_x = "x", *const name_y = "y";
    mound_go(assign, NULL);
    for (int i = 0; i < NUM_STEPS; i++) {
        int step;
        mound_recv(done, &step);
        clear_stack();
        mound_gc();
        bool x_lives = is_alive(x), y_lives = is_alive(y);
        printf("%s and a collection: x %s, y %s", steps[step], x_lives ? "lives" : "is gone",
               y_lives    ? "lives"
               : step > 0 ? "is gone"
                          : "is not made yet");
        verify(x_lives == has_x[step] && y_lives == has_y[step], "that is not what p says");
        if (step == 1) { expect_cleanup(name_x); }
        if (step == 2) { expect_cleanup(name_y); }
        printf("\n");
        mound_send(next, step + 1);
    }
    printf("ok: each block was collected when p did not point to it any more\n");
    return 0;
}

MOUND_MAIN(app)
