/* hello.c - goroutines, and a waitgroup that tells when all of them are done.
 *
 * A goroutine is a function that runs beside its caller. mound_go_copy starts one with a copy of a
 * struct on its own stack, so that the loop may use its variable again at once. Which of them runs
 * first is not known: each leaves its greeting in a place of its own, and app prints them in order.
 */
#include <mound.h>
#include <stdio.h>

enum { NUM_GREETERS = 5 };

typedef struct greeter {
    int number;
    char **place; /* of its greeting */
    mound_waitgroup *all;
} greeter;

static void greet(void *copy) {
    const greeter *g = copy;
    *g->place = mound_asprintf("hello from goroutine %d", g->number);
    mound_waitgroup_done(g->all);
}

static int app(void *arg) {
    (void)arg;
    char *greetings[NUM_GREETERS];
    mound_waitgroup all = {0};
    for (int i = 0; i < NUM_GREETERS; i++) {
        mound_waitgroup_add(&all, 1); /* here: in greet it could come too late for the wait */
        mound_go_copy(greet, &(greeter){i + 1, &greetings[i], &all}, sizeof(greeter));
    }
    mound_waitgroup_wait(&all);
    for (int i = 0; i < NUM_GREETERS; i++) { puts(greetings[i]); }
    return 0;
}

MOUND_MAIN(app)
