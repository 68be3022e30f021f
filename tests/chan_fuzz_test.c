/* chan_fuzz_test.c - random programs on channels have the outcomes that Go guarantees.
 *
 * A program is a number of goroutines, each with a list of steps drawn from a seed: send, receive,
 * try, select with and without default, sleep, yield, collect, lock. The outcome that does not
 * depend on who runs when is compared with what the program says: each value sent is received once,
 * a closed channel gives what lies in it and then zeroes, what is sent are objects that are alive.
 */
#include "run.h"

enum { MAX_CHANS = 4, MAX_SENDERS = 5, MAX_RECEIVERS = 5 };

/* What is sent: who, which one, and a check that the collector kept it. */
typedef struct parcel {
    uint64_t sender, number, check;
    struct parcel *self;
} parcel;

typedef struct program {
    uint64_t seed;
    int num_chans, num_senders, num_receivers, num_sends;
    MOUND_CHAN(parcel *) c[MAX_CHANS];
    mound_waitgroup senders, all;
    mound_mutex lock;
    uint64_t received[MAX_SENDERS]; /* lock */
    uint64_t sent;
} program;

typedef struct part {
    program *p;
    int number;
} part;

static void stir(mo_rand *r) {
    switch (mo_rand_below(r, 12)) {
    case 0: mound_gosched(); break;
    case 1: mound_sleep(MOUND_US(mo_rand_below(r, 50))); break;
    case 2:
        if (mo_rand_below(r, 20) == 0) mound_gc();
        break;
    case 3: mound_keep_alive(mound_alloc(mo_rand_below(r, 500))); break;
    case 4:
        mound_sys_enter();
        mound_sys_exit();
        break;
    default: break;
    }
}

static parcel *pack(uint64_t sender, uint64_t number) {
    parcel *x = mound_new(parcel);
    *x = (parcel){sender, number, ~(sender * 1000003 + number), x};
    return x;
}

static void send_all(void *copy) {
    part *me = copy;
    program *p = me->p;
    mo_rand r;
    mo_rand_seed(&r, p->seed * 31 + (uint64_t)me->number);
    for (int i = 0; i < p->num_sends; i++) {
        parcel *x = pack((uint64_t)me->number, (uint64_t)i);
        int at = (int)mo_rand_below(&r, (uint64_t)p->num_chans);
        stir(&r);
        if (mo_rand_below(&r, 3) == 0) {
            mound_case cases[MAX_CHANS];
            for (int k = 0; k < p->num_chans; k++) {
                mound_case cs = MOUND_SEND(p->c[k], &x);
                cases[k] = cs;
            }
            if (mo_rand_below(&r, 2) || mound_try_select(cases, p->num_chans) < 0)
                mound_select(cases, p->num_chans);
            continue;
        }
        if (mo_rand_below(&r, 4) == 0 && mound_try_send(p->c[at], x)) continue;
        mound_send(p->c[at], x);
    }
    mound_waitgroup_done(&p->senders);
    mound_waitgroup_done(&p->all);
}

static void take(program *p, const parcel *x) {
    must(x->self == x && x->check == ~(x->sender * 1000003 + x->number));
    must(x->sender < (uint64_t)p->num_senders && x->number < (uint64_t)p->num_sends);
    mound_mutex_lock(&p->lock);
    p->received[x->sender] += x->number + 1;
    mound_mutex_unlock(&p->lock);
}

static void receive_all(void *copy) {
    part *me = copy;
    program *p = me->p;
    mo_rand r;
    mo_rand_seed(&r, p->seed * 37 + 1000 + (uint64_t)me->number);
    bool is_open[MAX_CHANS];
    int num_open = p->num_chans;
    for (int i = 0; i < MAX_CHANS; i++) is_open[i] = true;
    while (num_open > 0) {
        parcel *x = NULL;
        int at = (int)mo_rand_below(&r, (uint64_t)p->num_chans), ok = 0;
        stir(&r);
        /* Whoever waits for one channel alone may keep the senders of another waiting for ever. */
        if (p->num_chans > 1 && mo_rand_below(&r, 2) == 0) {
            mound_case cases[MAX_CHANS];
            for (int k = 0; k < p->num_chans; k++) {
                mound_case cs = MOUND_RECV(p->c[k], &x);
                cases[k] = cs;
                if (!is_open[k]) cases[k].chan = NULL;
            }
            at = mound_select(cases, p->num_chans);
            ok = cases[at].ok;
        } else if (mo_rand_below(&r, 3) == 0) {
            if (!mound_try_recv(p->c[at], &x, &ok)) continue;
        } else if (p->num_chans == 1) {
            /* Others may have taken the last: then it waits until the end of that channel. */
            ok = mound_recv(p->c[at], &x);
        } else {
            continue;
        }
        if (ok) {
            take(p, x);
        } else {
            must(x == NULL);
            if (is_open[at]) num_open--;
            is_open[at] = false;
        }
    }
    mound_waitgroup_done(&p->all);
}

static int program_app(void *arg) {
    program *p = arg;
    mo_rand r;
    mo_rand_seed(&r, p->seed);
    p->num_chans = 1 + (int)mo_rand_below(&r, MAX_CHANS);
    p->num_senders = 1 + (int)mo_rand_below(&r, MAX_SENDERS);
    p->num_receivers = 1 + (int)mo_rand_below(&r, MAX_RECEIVERS);
    p->num_sends = 1 + (int)mo_rand_below(&r, 200);
    for (int i = 0; i < p->num_chans; i++)
        p->c[i] = mound_chan_make(parcel *, mo_rand_below(&r, 2) ? mo_rand_below(&r, 9) : 0);
    mound_waitgroup_add(&p->senders, p->num_senders);
    mound_waitgroup_add(&p->all, p->num_senders + p->num_receivers);
    for (int i = 0; i < p->num_receivers; i++) {
        part me = {p, i};
        mound_go_copy(receive_all, &me, sizeof me);
    }
    for (int i = 0; i < p->num_senders; i++) {
        part me = {p, i};
        mound_go_copy(send_all, &me, sizeof me);
    }
    mound_waitgroup_wait(&p->senders);
    for (int i = 0; i < p->num_chans; i++) mound_close(p->c[i]);
    mound_waitgroup_wait(&p->all);
    uint64_t n = (uint64_t)p->num_sends;
    for (int i = 0; i < p->num_senders; i++) must(p->received[i] == n * (n + 1) / 2);
    return 0;
}

static void random_programs_lose_nothing_and_end(void **state) {
    (void)state;
    unsigned runs = test_runs((unsigned)test_steps(400));
    uint64_t seed = test_seed("chan_fuzz", 0);
    for (unsigned i = 0; i < runs; i++) {
        static program p; /* a root */
        memset(&p, 0, sizeof p);
        p.seed = seed + i;
        int procs = mound_gomaxprocs(1 + (int)(p.seed % 4));
        if (mound_run(program_app, &p) != 0)
            fail_msg("MOUND_TEST_SEED=%llu", (unsigned long long)p.seed);
        mound_gomaxprocs(procs);
    }
}

int main(void) {
    alarm(250);
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_programs_lose_nothing_and_end)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
