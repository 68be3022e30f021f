/* stack.c - the stack of a goroutine: from one page to as much as is needed, and back.
 *
 * A stack is address space, and has memory where it was touched: the system gives it page by page,
 * nothing is copied as in Go. What a goroutine no longer uses is given back when it has waited for
 * a second, the rest when it has ended and nobody has needed the stack for 0.6 s, seen at the
 * second look. A stack does not grow beyond its size: 256 KiB, MOUND_STACK, or what mound_go_opt
 * asks for, at most mound_set_max_stack. Beyond that the process ends with a line, which is shown
 * in a process of its own.
 *
 * mincore counts the pages, in the address space below a local variable of the goroutine.
 *
 * Run: stack
 */
#include "literature.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PAGE = 4096, /* the system's */
    STACK_BYTES = 1 << 20,
    NUM_PAGES = STACK_BYTES / PAGE - 2, /* below the first frame's, within the stack in any case */
    DEPTH = 500,                        /* calls of about 1 KiB */
    MAX_FIRST = 4,
};

static uintptr_t stack_end; /* of the page in which the goroutine's first frame is */
static MOUND_CHAN(int) done, go_on;

/* Pages of the goroutine's stack that are in memory; 0 as well if the stack is gone. */
static NOINLINE int count_pages(void) {
    static unsigned char is_in[NUM_PAGES];
    int num = 0;
    size_t bytes = (size_t)NUM_PAGES * PAGE;
    if (mincore((void *)(stack_end - bytes), bytes, is_in) != 0) {
        verify(errno == ENOMEM, "mincore: %s", strerror(errno));
        return 0;
    }
    for (int i = 0; i < NUM_PAGES; i++) { num += is_in[i] & 1; }
    return num;
}

static NOINLINE int recurse(int depth) {
    char frame[1000] = {0};
    mound_keep_alive(frame); /* all of it, until the inner call has returned */
    int inner = depth > 0 ? recurse(depth - 1) : 0;
    mound_keep_alive(frame);
    return inner + 1 + frame[0];
}

static void grow(void *arg) {
    (void)arg;
    stack_end = ((uintptr_t)__builtin_frame_address(0) | (PAGE - 1)) + 1;
    int first = count_pages();
    recurse(DEPTH);
    int deepest = count_pages();
    printf("a goroutine at its start:        %3d pages of 4 KiB\n", first);
    printf("after %d nested calls of 1 KiB: %3d pages\n", DEPTH, deepest);
    printf("returned from them:              %3d pages\n", count_pages());
    verify(first >= 1 && first <= MAX_FIRST, "a stack should begin with a few pages");
    verify(deepest > DEPTH / 4 && deepest < NUM_PAGES, "the calls should need more pages");
    mound_send(done, 1);
    mound_recv_any(go_on);
    mound_send(done, 1);
}

static NOINLINE void wait_until_given_back(int max_pages, const char *since) {
    int ms = 0, num = count_pages();
    for (; num > max_pages && ms < 10000; ms += 50) {
        mound_sleep(MOUND_MS(50));
        num = count_pages();
    }
    printf("%d.%02d s after %-18s %3d pages\n", ms / 1000, ms % 1000 / 10, since, num);
    verify(num <= max_pages, "the memory was not given back");
}

static void overflow(void *arg) {
    (void)arg;
    recurse(1 << 20);
}

static int app(void *arg) {
    const mound_args *args = arg;
    done = mound_chan_make(int, 0);
    go_on = mound_chan_make(int, 0);
    if (args->argc > 1) { /* in the child: never returns */
        mound_go(overflow, NULL);
        mound_recv_any(done);
    }
    mound_go_options once = {.stack_bytes = STACK_BYTES}, twice = {.stack_bytes = 2 * STACK_BYTES};
    verify(mound_go_opt(&once, grow, NULL) == 0, "no goroutine could be started");
    mound_recv_any(done);
    wait_until_given_back(MAX_FIRST, "it began to wait:");
    mound_send(go_on, 1);
    mound_recv_any(done);
    wait_until_given_back(0, "its end:");

    size_t max = mound_set_max_stack(STACK_BYTES);
    int error = mound_go_opt(&twice, grow, NULL);
    printf("the most was %zu MiB, now 1 MiB: a goroutine that wants 2 MiB: %s\n", max >> 20,
           strerror(-error));
    verify(error == -EINVAL, "it should be refused");
    return 0;
}

/* The program again, in a fresh process with stacks of 128 KiB. */
static void show_overflow(void) {
    int fd[2], status = 0;
    char text[400] = "";
    verify(pipe(fd) == 0, "pipe: %s", strerror(errno));
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fd[1], STDERR_FILENO);
        setenv("MOUND_STACK", "128KiB", 1);
        execl("/proc/self/exe", "stack", "overflow", (char *)NULL);
        _exit(127);
    }
    close(fd[1]);
    FILE *messages = fdopen(fd[0], "r");
    verify(messages && fgets(text, sizeof text, messages), "the process said nothing");
    verify(waitpid(pid, &status, 0) == pid, "waitpid: %s", strerror(errno));
    fclose(messages);
    printf("with MOUND_STACK=128KiB and calls without end, a process ended with status %d:\n  %s",
           WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), text);
    verify(WIFEXITED(status) && WEXITSTATUS(status) == 2, "it should end with status 2");
    verify(strstr(text, "stack overflow: its stack of 128 KiB is full"), "it should say why");
}

int main(int argc, char **argv) {
    if (argc == 1) { show_overflow(); }
    mound_args args = {argc, argv};
    int result = mound_run(app, &args);
    if (result == 0) { printf("ok: it grew, was given back, and has an end\n"); }
    return result;
}
