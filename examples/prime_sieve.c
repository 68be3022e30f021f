/* prime_sieve.c - the sieve of Eratosthenes as a chain of goroutines.
 *
 * The first goroutine sends 2, 3, 4 and so on. What reaches the end of the chain is a prime, and
 * gets a filter of its own there, which drops its multiples:
 *
 *     numbers -> drop 2, 4, 6, ... -> drop 3, 6, 9, ... -> drop 5, 10, ... -> app
 *
 * Unbuffered channels: a sender and a receiver meet. No goroutine here ever ends by itself; the
 * program does when app returns.
 */
#include <mound.h>
#include <stdio.h>

enum { NUM_PRIMES = 20 };

typedef struct filter {
    int prime;
    MOUND_CHAN(int) in;
    MOUND_CHAN(int) out;
} filter;

static void count_up(void *copy) {
    const filter *f = copy;
    for (int n = 2;; n++) { mound_send(f->out, n); }
}

static void drop_multiples(void *copy) {
    const filter *f = copy;
    int n;
    while (mound_recv(f->in, &n)) {
        if (n % f->prime != 0) { mound_send(f->out, n); }
    }
}

static int app(void *arg) {
    (void)arg;
    filter f = {.out = mound_chan_make(int, 0)};
    mound_go_copy(count_up, &f, sizeof f);
    for (int i = 0; i < NUM_PRIMES; i++) {
        f.in = f.out; /* the end of the chain so far */
        mound_recv(f.in, &f.prime);
        printf("%d%c", f.prime, i < NUM_PRIMES - 1 ? ' ' : '\n');
        f.out = mound_chan_make(int, 0);
        mound_go_copy(drop_multiples, &f, sizeof f);
    }
    return 0;
}

MOUND_MAIN(app)
