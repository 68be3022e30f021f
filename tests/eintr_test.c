/* eintr_test.c - which waits a stop interrupts with EINTR although the handler asks for SA_RESTART
 * (the kernel never restarts some), printed as a table; and that the others never fail. */
#include "hold.h"

#include <fcntl.h>
#include <poll.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <threads.h>

typedef struct call {
    const char *name;
    int (*fn)(void);        /* waits a little or for ever; 0 or an errno value */
    void (*wake)(void);     /* ends a wait for ever; NULL: it ends by itself */
    bool never_interrupted; /* asserted; the others are only listed */
    int interrupted;        /* EINTR, SHORT or 0 */
} call;

enum { SHORT = -1 }; /* part was written */

static int full_fd[2], pipe_fd[2], pair_fd[2], flock_fd[2];
static sem_t sem;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t barrier;
static pthread_t joined;
static int joined_end, is_woken;

static int result_of(long result) { return result < 0 ? errno : 0; }
static struct timespec soon(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += 20000000;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    return t;
}
static const struct timespec twenty_ms = {0, 20000000};

static int do_nanosleep(void) { return result_of(nanosleep(&twenty_ms, NULL)); }
static int do_clock_nanosleep(void) {
    return clock_nanosleep(CLOCK_MONOTONIC, 0, &twenty_ms, NULL);
}
static int do_usleep(void) { return result_of(usleep(20000)); }
static int do_poll(void) {
    struct pollfd p = {pipe_fd[0], POLLIN, 0};
    return result_of(poll(&p, 1, 20));
}
static int do_select(void) {
    fd_set set;
    FD_ZERO(&set);
    FD_SET(pipe_fd[0], &set);
    struct timeval t = {0, 20000};
    return result_of(select(pipe_fd[0] + 1, &set, NULL, NULL, &t));
}
static int do_epoll_wait(void) {
    int fd = epoll_create1(0);
    struct epoll_event event;
    int result = result_of(epoll_wait(fd, &event, 1, 20));
    close(fd);
    return result;
}
static int do_recv_with_timeout(void) {
    struct timeval t = {0, 20000};
    char c;
    setsockopt(pair_fd[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    int result = result_of(recv(pair_fd[0], &c, 1, 0));
    t.tv_usec = 0;
    setsockopt(pair_fd[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    return result == EAGAIN ? 0 : result;
}
static int do_sigtimedwait(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    int result = result_of(sigtimedwait(&set, NULL, &twenty_ms));
    return result == EAGAIN ? 0 : result;
}
static int do_semtimedop(void) {
    int id = semget(IPC_PRIVATE, 1, 0600);
    if (id < 0) return 0;
    struct sembuf take = {0, -1, 0};
    int result = result_of(semtimedop(id, &take, 1, &twenty_ms));
    semctl(id, 0, IPC_RMID);
    return result == EAGAIN ? 0 : result;
}
/* There is no timed variant: wake_msgrcv ends what was not interrupted. */
static int queue_id;
static struct message {
    long type;
    char text[8];
} message = {1, ""};
static int do_msgrcv(void) {
    struct message m;
    return result_of(msgrcv(queue_id, &m, 1, 0, 0));
}
static void wake_msgrcv(void) { msgsnd(queue_id, &message, 1, 0); }
static int do_sem_timedwait(void) {
    struct timespec t = soon();
    int result = result_of(sem_timedwait(&sem, &t));
    return result == ETIMEDOUT ? 0 : result;
}
static int do_cond_timedwait(void) {
    struct timespec t = soon();
    pthread_mutex_lock(&mutex);
    int result = pthread_cond_timedwait(&cond, &mutex, &t);
    pthread_mutex_unlock(&mutex);
    return result == ETIMEDOUT ? 0 : result;
}
static int do_thrd_sleep(void) { return thrd_sleep(&twenty_ms, NULL) == -1 ? EINTR : 0; }

static int do_read(void) {
    char c;
    return result_of(read(pipe_fd[0], &c, 1));
}
static void wake_read(void) { (void)!write(pipe_fd[1], "x", 1); }
static int do_recv(void) {
    char c;
    return result_of(recv(pair_fd[0], &c, 1, 0));
}
static void wake_recv(void) { (void)!write(pair_fd[1], "x", 1); }
/* A pipe that is full but for nothing: the whole write waits. */
static int do_write(void) { return result_of(write(full_fd[1], "x", 1)); }
static void wake_write(void) {
    char sink[8192];
    (void)!read(full_fd[0], sink, sizeof sink);
}
/* More than fits: the kernel ends a write that has begun with what is done so far. */
static char big[1 << 20];
static int do_long_write(void) {
    long n = write(pipe_fd[1], big, sizeof big);
    return n < 0 ? errno : n < (long)sizeof big ? SHORT : 0;
}
static void wake_long_write(void) {
    static char sink[1 << 20];
    int flags = fcntl(pipe_fd[0], F_GETFL);
    fcntl(pipe_fd[0], F_SETFL, flags | O_NONBLOCK);
    for (size_t n = 0, left = 200; n < sizeof sink && left > 0; left--) {
        ssize_t got = read(pipe_fd[0], sink, sizeof sink - n);
        if (got > 0)
            n += (size_t)got;
        else
            sleep_us(100);
    }
    fcntl(pipe_fd[0], F_SETFL, flags);
}
static int do_waitpid(void) {
    pid_t pid = fork();
    if (pid == 0) {
        sleep_us(30000);
        _exit(0);
    }
    int result = result_of(waitpid(pid, NULL, 0));
    if (result) waitpid(pid, NULL, 0);
    return result;
}
static int do_flock(void) { return result_of(flock(flock_fd[0], LOCK_EX)); }
static void wake_flock(void) { flock(flock_fd[1], LOCK_UN); }
static int do_sem_wait(void) { return result_of(sem_wait(&sem)); }
static void wake_sem_wait(void) { sem_post(&sem); }
static int do_mutex_lock(void) {
    int result = pthread_mutex_lock(&mutex);
    if (result == 0) pthread_mutex_unlock(&mutex);
    return result;
}
static void wake_mutex(void) { pthread_mutex_unlock(&mutex); }
static int do_cond_wait(void) {
    int result = 0;
    pthread_mutex_lock(&mutex);
    while (!is_woken && result == 0) result = pthread_cond_wait(&cond, &mutex);
    pthread_mutex_unlock(&mutex);
    return result;
}
static void wake_cond(void) {
    pthread_mutex_lock(&mutex);
    is_woken = 1;
    pthread_cond_broadcast(&cond);
    pthread_mutex_unlock(&mutex);
}
static int do_rwlock(void) {
    int result = pthread_rwlock_rdlock(&rwlock);
    if (result == 0) pthread_rwlock_unlock(&rwlock);
    return result;
}
static void wake_rwlock(void) { pthread_rwlock_unlock(&rwlock); }
static int do_barrier(void) {
    int result = pthread_barrier_wait(&barrier);
    return result == PTHREAD_BARRIER_SERIAL_THREAD ? 0 : result;
}
static void wake_barrier(void) { pthread_barrier_wait(&barrier); }
static int do_join(void) { return pthread_join(joined, NULL); }
static void wake_join(void) { STORE(&joined_end, 1); }

static void *joined_main(void *arg) {
    (void)arg;
    await(&joined_end, 1);
    return NULL;
}

static call calls[] = {
    {"nanosleep", do_nanosleep, NULL, false, 0},
    {"clock_nanosleep", do_clock_nanosleep, NULL, false, 0},
    {"usleep", do_usleep, NULL, false, 0},
    {"thrd_sleep", do_thrd_sleep, NULL, false, 0},
    {"poll", do_poll, NULL, false, 0},
    {"select", do_select, NULL, false, 0},
    {"epoll_wait", do_epoll_wait, NULL, false, 0},
    {"recv with SO_RCVTIMEO", do_recv_with_timeout, NULL, false, 0},
    {"sigtimedwait", do_sigtimedwait, NULL, false, 0},
    {"semtimedop", do_semtimedop, NULL, false, 0},
    {"sem_timedwait", do_sem_timedwait, NULL, false, 0},
    {"pthread_cond_timedwait", do_cond_timedwait, NULL, true, 0},
    {"msgrcv", do_msgrcv, wake_msgrcv, false, 0},
    {"read", do_read, wake_read, true, 0},
    {"write", do_write, wake_write, true, 0},
    {"write of 1 MiB", do_long_write, wake_long_write, false, 0},
    {"recv", do_recv, wake_recv, true, 0},
    {"waitpid", do_waitpid, NULL, true, 0},
    {"flock", do_flock, wake_flock, true, 0},
    {"sem_wait", do_sem_wait, wake_sem_wait, true, 0},
    {"pthread_mutex_lock", do_mutex_lock, wake_mutex, true, 0},
    {"pthread_cond_wait", do_cond_wait, wake_cond, true, 0},
    {"pthread_rwlock_rdlock", do_rwlock, wake_rwlock, true, 0},
    {"pthread_barrier_wait", do_barrier, wake_barrier, true, 0},
    {"pthread_join", do_join, wake_join, true, 0},
};

typedef struct waiter {
    call *c;
    int phase, result;
} waiter;

static void *waiter_main(void *arg) {
    waiter *w = arg;
    STORE(&w->phase, 1);
    w->result = w->c->fn();
    STORE(&w->phase, 2);
    return NULL;
}

/* One wait, with stops until it ends (at least a few, if it is woken). */
static void interrupt_one(call *c) {
    waiter w = {.c = c};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, waiter_main, &w), 0);
    await(&w.phase, 1);
    for (int i = 0; LOAD(&w.phase) != 2; i++) {
        sleep_us(1000);
        mound_gc();
        if (i == 10 && c->wake) c->wake();
    }
    pthread_join(thread, NULL);
    if (w.result == EINTR || w.result == SHORT)
        c->interrupted = w.result;
    else if (w.result != 0)
        fail_msg("%s: %s", c->name, strerror(w.result));
}

static void waits_that_a_stop_interrupts(void **state) {
    (void)state;
    char path[] = "/tmp/mound_eintr_XXXXXX";
    flock_fd[1] = mkstemp(path);
    assert_true(flock_fd[1] >= 0);
    char *same = NULL;
    assert_true(asprintf(&same, "/proc/self/fd/%d", flock_fd[1]) > 0);
    FILE *other = fopen(same, "r+");
    assert_non_null(other);
    flock_fd[0] = fileno(other);
    unlink(path);
    assert_int_equal(flock(flock_fd[1], LOCK_EX), 0);
    assert_int_equal(pipe(pipe_fd), 0);
    assert_int_equal(pipe2(full_fd, O_NONBLOCK), 0);
    while (write(full_fd[1], big, 4096) > 0) continue;
    fcntl(full_fd[1], F_SETFL, 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair_fd), 0);
    sem_init(&sem, 0, 0);
    queue_id = msgget(IPC_PRIVATE, 0600);
    assert_true(queue_id >= 0);
    pthread_barrier_init(&barrier, NULL, 2);
    assert_int_equal(pthread_create(&joined, NULL, joined_main, NULL), 0);
    pthread_rwlock_wrlock(&rwlock);

    int bad = 0;
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        call *c = &calls[i];
        if (c->fn == do_mutex_lock) pthread_mutex_lock(&mutex);
        interrupt_one(c);
        print_message("%-24s %s%s\n", c->name,
                      !c->interrupted           ? "goes on"
                      : c->interrupted == SHORT ? "ends short"
                                                : "EINTR",
                      c->interrupted && c->never_interrupted ? "  (must not)" : "");
        if (c->interrupted && c->never_interrupted) bad++;
    }
    assert_int_equal(bad, 0);
    /* The table can tell: poll is never restarted (signal(7)). */
    assert_int_equal(calls[4].interrupted, EINTR);
    msgctl(queue_id, IPC_RMID, NULL);
    fclose(other);
    free(same);
}

int main(void) {
    watchdog();
    const struct CMUnitTest tests[] = {cmocka_unit_test(waits_that_a_stop_interrupts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
