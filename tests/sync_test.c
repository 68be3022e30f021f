/* sync_test.c - mutex, rwmutex, waitgroup, once, cond: between goroutines and threads.
 * modes: valgrind
 */
#include "run.h"

#include <pthread.h>

typedef struct shared {
    mound_mutex lock;
    mound_rwmutex rw;
    mound_waitgroup wg;
    mound_once once;
    mound_cond cond;
    long count, twin;
    int num, inits, turn;
} shared;

static void add_locked(void *arg) {
    shared *s = arg;
    for (int i = 0; i < s->num; i++) {
        mound_mutex_lock(&s->lock);
        s->count++;
        if (i % 64 == 0) mound_gosched(); /* the others meet it locked */
        s->twin++;
        must(s->count == s->twin);
        mound_mutex_unlock(&s->lock);
    }
}
static void *add_in_thread(void *arg) {
    add_locked(arg);
    return NULL;
}
static int a_mutex_has_one_owner_app(void *arg) {
    (void)arg;
    static shared s;
    memset(&s, 0, sizeof s);
    s.num = (int)test_steps(20000);
    pthread_t thread[2];
    for (int i = 0; i < 2; i++) must(pthread_create(&thread[i], NULL, add_in_thread, &s) == 0);
    for (int i = 0; i < 8; i++) mound_waitgroup_go(&s.wg, add_locked, &s);
    mound_waitgroup_wait(&s.wg);
    for (int i = 0; i < 2; i++) pthread_join(thread[i], NULL);
    must(s.count == 10L * s.num);
    must(mound_mutex_try_lock(&s.lock) && !mound_mutex_try_lock(&s.lock));
    mound_mutex_unlock(&s.lock);
    return 0;
}
IN_RUN(a_mutex_has_one_owner)

static void hog(void *arg) {
    shared *s = arg;
    while (!LOAD(&s->turn)) {
        mound_mutex_lock(&s->lock);
        for (int i = 0; i < 1000; i++) __asm__ volatile("" : : : "memory");
        mound_mutex_unlock(&s->lock);
    }
}
/* Somebody who takes it again at once does not keep others out for ever. */
static int nobody_waits_for_ever_app(void *arg) {
    (void)arg;
    static shared s;
    memset(&s, 0, sizeof s);
    for (int i = 0; i < 2; i++) mound_waitgroup_go(&s.wg, hog, &s);
    for (int i = 0; i < 20; i++) {
        mound_mutex_lock(&s.lock);
        mound_mutex_unlock(&s.lock);
        mound_gosched();
    }
    STORE(&s.turn, 1);
    mound_waitgroup_wait(&s.wg);
    return 0;
}
IN_RUN(nobody_waits_for_ever)

static void read_some(void *arg) {
    shared *s = arg;
    for (int i = 0; i < s->num; i++) {
        mound_rwmutex_rlock(&s->rw);
        long count = s->count;
        if (i % 16 == 0) mound_gosched();
        must(s->count == count && s->twin == count);
        mound_rwmutex_runlock(&s->rw);
    }
}
static void write_some(void *arg) {
    shared *s = arg;
    for (int i = 0; i < s->num; i++) {
        mound_rwmutex_lock(&s->rw);
        s->count++;
        if (i % 16 == 0) mound_gosched();
        s->twin++;
        mound_rwmutex_unlock(&s->rw);
    }
}
static int a_writer_is_alone_app(void *arg) {
    (void)arg;
    static shared s;
    memset(&s, 0, sizeof s);
    s.num = (int)test_steps(5000);
    for (int i = 0; i < 6; i++) mound_waitgroup_go(&s.wg, read_some, &s);
    for (int i = 0; i < 2; i++) mound_waitgroup_go(&s.wg, write_some, &s);
    mound_waitgroup_wait(&s.wg);
    must(s.count == 2L * s.num);
    must(mound_rwmutex_try_rlock(&s.rw) && mound_rwmutex_try_rlock(&s.rw));
    must(!mound_rwmutex_try_lock(&s.rw));
    mound_rwmutex_runlock(&s.rw);
    mound_rwmutex_runlock(&s.rw);
    must(mound_rwmutex_try_lock(&s.rw) && !mound_rwmutex_try_rlock(&s.rw));
    mound_rwmutex_unlock(&s.rw);
    return 0;
}
IN_RUN(a_writer_is_alone)

static void take_write(void *arg) {
    shared *s = arg;
    mound_rwmutex_lock(&s->rw);
    STORE(&s->turn, 1);
    mound_rwmutex_unlock(&s->rw);
}
static int a_writer_that_waits_keeps_readers_out_app(void *arg) {
    (void)arg;
    static shared s;
    memset(&s, 0, sizeof s);
    mound_rwmutex_rlock(&s.rw);
    mound_waitgroup_go(&s.wg, take_write, &s);
    while (mound_rwmutex_try_rlock(&s.rw)) {
        mound_rwmutex_runlock(&s.rw);
        mound_gosched();
    }
    must(!LOAD(&s.turn));
    mound_rwmutex_runlock(&s.rw);
    mound_rwmutex_rlock(&s.rw);
    must(LOAD(&s.turn));
    mound_rwmutex_runlock(&s.rw);
    mound_waitgroup_wait(&s.wg);
    return 0;
}
IN_RUN(a_writer_that_waits_keeps_readers_out)

static void init_once(void *arg) {
    shared *s = arg;
    mound_sleep(MOUND_MS(2));
    s->inits++;
}
static void use_once(void *arg) {
    shared *s = arg;
    mound_once_do(&s->once, init_once, s);
    must(s->inits == 1);
}
static int once_is_done_once_and_waited_for_app(void *arg) {
    (void)arg;
    static shared s;
    memset(&s, 0, sizeof s);
    for (int i = 0; i < 20; i++) mound_waitgroup_go(&s.wg, use_once, &s);
    mound_waitgroup_wait(&s.wg);
    use_once(&s);
    return 0;
}
IN_RUN(once_is_done_once_and_waited_for)

static void take_turns(void *arg) {
    shared *s = arg;
    for (int i = 0; i < 200; i++) {
        mound_mutex_lock(&s->lock);
        while (s->turn % 2 == 0) mound_cond_wait(&s->cond, &s->lock);
        s->turn++;
        mound_cond_signal(&s->cond);
        mound_mutex_unlock(&s->lock);
    }
}
static void wait_start(void *arg) {
    shared *s = arg;
    mound_mutex_lock(&s->lock);
    s->count++;
    while (!s->num) mound_cond_wait(&s->cond, &s->lock);
    mound_mutex_unlock(&s->lock);
}
static int cond_wakes_one_or_all_app(void *arg) {
    (void)arg;
    static shared s;
    memset(&s, 0, sizeof s);
    mound_waitgroup_go(&s.wg, take_turns, &s);
    for (int i = 0; i < 200; i++) {
        mound_mutex_lock(&s.lock);
        while (s.turn % 2 == 1) mound_cond_wait(&s.cond, &s.lock);
        s.turn++;
        mound_cond_signal(&s.cond);
        mound_mutex_unlock(&s.lock);
    }
    mound_waitgroup_wait(&s.wg);
    for (int i = 0; i < 30; i++) mound_waitgroup_go(&s.wg, wait_start, &s);
    for (bool all = false; !all; mound_gosched()) {
        mound_mutex_lock(&s.lock);
        all = s.count == 30;
        mound_mutex_unlock(&s.lock);
    }
    mound_mutex_lock(&s.lock);
    s.num = 1;
    mound_mutex_unlock(&s.lock);
    mound_cond_broadcast(&s.cond);
    mound_waitgroup_wait(&s.wg);
    return 0;
}
IN_RUN(cond_wakes_one_or_all)

/* ---------------------------------------------------------------- mistakes */

static int unlock_unlocked_app(void *arg) {
    static mound_mutex m;
    mound_mutex_unlock(&m);
    return arg != NULL;
}
static int runlock_unlocked_app(void *arg) {
    static mound_rwmutex m;
    mound_rwmutex_runlock(&m);
    return arg != NULL;
}
static int rwunlock_unlocked_app(void *arg) {
    static mound_rwmutex m;
    mound_rwmutex_unlock(&m);
    return arg != NULL;
}
static int negative_app(void *arg) {
    static mound_waitgroup wg;
    mound_waitgroup_done(&wg);
    return arg != NULL;
}
static int cond_unlocked_app(void *arg) {
    static mound_cond cond;
    static mound_mutex m;
    mound_cond_wait(&cond, &m);
    return arg != NULL;
}
static void misuse_is_fatal_and_named(void **state) {
    (void)state;
    static const misuse_case cases[] = {
        {unlock_unlocked_app, "unlock of unlocked mound_mutex 0x", "(goroutine 1 (main))"},
        {runlock_unlocked_app, "runlock of unlocked mound_rwmutex 0x", "(goroutine 1 (main))"},
        {rwunlock_unlocked_app, "unlock of unlocked mound_rwmutex 0x", "(goroutine 1 (main))"},
        {negative_app, "below 0", "(goroutine 1 (main))"},
        {cond_unlocked_app, "with unlocked mound_mutex 0x", "(goroutine 1 (main))"},
    };
    expect_misuse(cases, sizeof cases / sizeof cases[0]);
}

int main(int argc, char **argv) {
    alarm(200);
    const struct CMUnitTest tests[] = {
        /* Deaths first: TSan does not know threads that the child of a threaded process makes. */
        cmocka_unit_test(misuse_is_fatal_and_named),
        cmocka_unit_test(a_mutex_has_one_owner),
        cmocka_unit_test(nobody_waits_for_ever),
        cmocka_unit_test(a_writer_is_alone),
        cmocka_unit_test(a_writer_that_waits_keeps_readers_out),
        cmocka_unit_test(once_is_done_once_and_waited_for),
        cmocka_unit_test(cond_wakes_one_or_all),
    };
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
