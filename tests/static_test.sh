#!/usr/bin/env bash
# A program linked with -static and the flags of the package: threads, thread-local storage, stopped
# threads, system(), fork. MOUND_SOURCE_DIR, MOUND_BUILD_DIR, CC, MOUND_SANITIZE: as ctest sets them.
set -u
: "${MOUND_SOURCE_DIR:?}" "${MOUND_BUILD_DIR:?}"
if [ -n "${MOUND_SANITIZE:-}" ]; then
    echo "static_test: skipped: sanitizers do not work in static programs"
    exit 0
fi
cc=${CC:-cc}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/main.c" <<'END'
#define _GNU_SOURCE
#include <mound.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <threads.h>
#include <unistd.h>

typedef struct node {
    struct node *next;
    long value;
} node;

enum { LEN = 50, THREADS = 8, ROUNDS = 50 };
static __thread node *local;
static __thread char fill[5000];
static node *global;
static pthread_key_t key;
static int bad;

__attribute__((noinline)) static node *make(long seed) {
    node *first = NULL;
    for (int i = 0; i < LEN; i++) {
        node *n = mound_new(node);
        *n = (node){first, seed + i};
        first = n;
    }
    return first;
}
static int ok(const node *n, long seed) {
    for (int i = LEN; i-- > 0; n = n->next)
        if (!n || n->value != seed + i) return 0;
    return n == NULL;
}
static void *work(void *arg) {
    long seed = (long)((node *)arg)->value;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    fill[0] = 1;
    for (int i = 0; i < ROUNDS; i++) {
        local = make(seed);
        pthread_setspecific(key, make(seed + 1));
        node *mine = make(seed + 2);
        if (i % 10 == 0) mound_gc();
        if (!ok(local, seed) || !ok(pthread_getspecific(key), seed + 1) || !ok(mine, seed + 2) ||
            !ok(global, 1))
            __atomic_add_fetch(&bad, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}
static int c11(void *arg) {
    work(arg);
    return 42;
}
static int run_threads(void) {
    pthread_t thread[THREADS];
    thrd_t c11_thread;
    int result = 0;
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&thread[i], NULL, work, make(i * 1000L)) != 0) return 1;
    if (thrd_create(&c11_thread, c11, make(99000)) != thrd_success) return 2;
    for (int i = 0; i < 3; i++)
        if (system("exit 3") != 3 << 8) return 3;
    char line[16] = "";
    FILE *stream = popen("echo word", "r");
    if (!stream || !fgets(line, sizeof line, stream) || strcmp(line, "word\n") != 0) return 4;
    pclose(stream);
    for (int i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
    thrd_join(c11_thread, &result);
    if (result != 42) return 5;
    return bad ? 6 : 0;
}
int main(void) {
    alarm(60);
    pthread_key_create(&key, NULL);
    global = make(1);
    int result = run_threads();
    if (result) return result;
    pid_t pid = fork();
    if (pid == 0) _exit(run_threads());
    int status = 0;
    waitpid(pid, &status, 0);
    return status == 0 ? 0 : 7;
}
END
pc=$MOUND_BUILD_DIR/mound.pc
[ -r "$pc" ] || { echo "static_test: no $pc" >&2; exit 1; }
# The package's own words, as `pkg-config --static` would give them.
private=$(sed -n 's/^Libs.private: //p' "$pc")
cflags=$(sed -n 's/^Cflags: -I[^ ]* //p' "$pc")
[ -n "$private" ] && [ -n "$cflags" ] || { echo "static_test: cannot read $pc" >&2; exit 1; }
# shellcheck disable=SC2086
"$cc" -O2 -g -Wall -Wextra -static $cflags -I"$MOUND_SOURCE_DIR/include" "$work/main.c" -o "$work/main" \
    "$MOUND_BUILD_DIR/libmound.a" $private || exit 1
if file "$work/main" 2>/dev/null | grep -q 'dynamically linked'; then
    echo "static_test: the program is not static" >&2
    exit 1
fi
failed=0
for switch in "" gcstress=97 gccheckmark=1 verify=1; do
    MOUND_DEBUG=$switch "$work/main"
    status=$?
    [ $status -eq 0 ] || { echo "static_test: MOUND_DEBUG=$switch: status $status" >&2; failed=1; }
done
exit $failed
