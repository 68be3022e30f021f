/* barrier_fault_test.c - calls of the barrier that fail in the middle of a collection lose nothing.
 *
 * The n-th call, and all after it, is refused: arming (then the collection is one stop), a take or
 * the last report (then all pages count as written), disarming. Leaves that are referred to by one
 * slot each are swapped meanwhile, as in hidden_leaf_test.c; in the end all must be there. A call
 * that pretends success and does nothing is the control: it must lose some.
 */
#include "hold.h"

#include "support.h"
#include "sys/dirty_pages.h"

#include "leaf.h"

enum { LEAVES = 60000 };

static int is_running;

static void *swap_on(void *arg) {
    mo_rand r;
    mo_rand_seed(&r, (uintptr_t)arg);
    while (LOAD(&is_running)) {
        leaves_swap(&r, 0, LEAVES);
        leaf_litter();
    }
    return NULL;
}

typedef struct fault {
    uint64_t from; /* the first call that fails */
    bool is_once;
    int err;
    int rounds;
} fault;

static void run(void *arg) {
    const fault *f = arg;
    pthread_t thread;
    setenv("MOUND_BARRIER", "os", 1);
    if (mound_init() != 0) _exit(3);
    leaves_plant(LEAVES);
    clear_stack();
    STORE(&is_running, 1);
    pthread_create(&thread, NULL, swap_on, (void *)1);
    for (int i = 0; i < f->rounds; i++) {
        if (f->is_once)
            mo_dirty_fault_at(f->from, f->err);
        else
            mo_dirty_fault_from(f->from, f->err);
        mound_gc();
        mo_dirty_fault_at(0, 0);
        mound_gc();
    }
    STORE(&is_running, 0);
    pthread_join(thread, NULL);
    _exit(leaves_lost() == 0 ? 0 : 1);
}

static bool is_missing; /* the barrier, here */

static int status_with(fault f) {
    test_death d = test_die(run, &f);
    int status = test_exit_status(&d);
    if (status == 3) is_missing = true;
    return status;
}

static void a_refused_call_at_any_moment_loses_nothing(void **state) {
    (void)state;
    static const int errors[] = {EPERM, ENOMEM, EAGAIN, EBADF};
    for (uint64_t n = 1; n <= 24 && !is_missing; n++) {
        fault f = {n, n % 2, errors[n % 4], (int)test_steps(4)};
        int status = status_with(f);
        if (!is_missing && status != 0)
            fail_msg("call %llu refused%s: status %d", (unsigned long long)n,
                     f.is_once ? "" : ", and all after it", status);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refused_call_at_any_moment_loses_nothing),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (is_missing) print_message("skipped: there is no barrier here\n");
    return failed;
}
