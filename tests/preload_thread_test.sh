#!/usr/bin/env bash
# A thread that a library's constructor starts, before the program's main and maybe before mound's
# own constructor, later receives pointers and never calls mound: what it holds must live. The
# library is preloaded, or linked before or after mound; mound is shared or an archive.
# MOUND_SOURCE_DIR, MOUND_BUILD_DIR, CC, MOUND_SANITIZE: as ctest sets them.
set -u
: "${MOUND_SOURCE_DIR:?}" "${MOUND_BUILD_DIR:?}"
if [ -n "${MOUND_SANITIZE:-}" ]; then
    echo "preload_thread_test: skipped: a sanitizer's library must come first in the process"
    exit 0
fi
cc=${CC:-cc}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

cat >"$work/early.c" <<'END'
#include <pthread.h>
#include <stdint.h>
#include <unistd.h>
/* The address comes inverted and is turned round here; the thread's stack is its only place. */
static uintptr_t hidden;
static int phase;
static void *volatile out;
static pthread_t thread;
static void *hold(void *arg) {
    while (__atomic_load_n(&phase, __ATOMIC_ACQUIRE) != 1) usleep(100);
    uintptr_t plain = hidden;
    hidden = 0;
    __asm__ volatile("notq %0" : "+r"(plain));
    __atomic_store_n(&phase, 2, __ATOMIC_RELEASE);
    while (__atomic_load_n(&phase, __ATOMIC_ACQUIRE) != 3) usleep(100);
    out = (void *)plain;
    return arg;
}
__attribute__((constructor)) static void start(void) { pthread_create(&thread, 0, hold, 0); }
void early_give(uintptr_t x) {
    hidden = x;
    __atomic_store_n(&phase, 1, __ATOMIC_RELEASE);
    while (__atomic_load_n(&phase, __ATOMIC_ACQUIRE) != 2) usleep(100);
}
void *early_take(void) {
    __atomic_store_n(&phase, 3, __ATOMIC_RELEASE);
    pthread_join(thread, 0);
    return out;
}
END
cat >"$work/main.c" <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <mound.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
static void (*give)(uintptr_t);
static void *(*take)(void);
__attribute__((noinline)) static void clear_stack(void) {
    char dead[32768];
    memset(dead, 0, sizeof dead);
    __asm__ volatile("" : : "r"(dead) : "memory");
}
__attribute__((noinline)) static uintptr_t make(void) {
    long *p = mound_alloc(48);
    for (int i = 0; i < 6; i++) p[i] = 4711 + i;
    uintptr_t x = (uintptr_t)p;
    __asm__ volatile("notq %0" : "+r"(x));
    return x;
}
int main(void) {
    *(void **)&give = dlsym(RTLD_DEFAULT, "early_give");
    *(void **)&take = dlsym(RTLD_DEFAULT, "early_take");
    if (!give || !take) return 3;
    alarm(30);
    give(make());
    clear_stack();
    for (int i = 0; i < 5; i++) {
        mound_gc();
        for (int k = 0; k < 1000; k++) memset(mound_alloc(48), 0x55, 48);
    }
    long *p = take();
    for (int i = 0; i < 6; i++)
        if (p[i] != 4711 + i) return puts("the early thread's object was lost"), 1;
    return 0;
}
END
build() { "$cc" -O2 -g -Wall -Wextra -Werror -I"$MOUND_SOURCE_DIR/include" "$@" -pthread -ldl || exit 1; }
run() {
    local what=$1 output status
    shift
    output=$(env LD_LIBRARY_PATH="$work:$MOUND_BUILD_DIR" "$@" 2>&1)
    status=$?
    [ $status -eq 0 ] || {
        echo "preload_thread_test: $what: status $status: $output" >&2
        failed=1
    }
}
mound=(-L"$MOUND_BUILD_DIR" -lmound)
build -fPIC -shared "$work/early.c" -o "$work/libearly.so"
build -Wl,--no-as-needed "$work/main.c" -o "$work/before" -L"$work" -learly "${mound[@]}"
build -Wl,--no-as-needed "$work/main.c" -o "$work/after" "${mound[@]}" -L"$work" -learly
build "$work/main.c" -o "$work/preloaded" "${mound[@]}"
build "$work/main.c" -o "$work/archive" "$MOUND_BUILD_DIR/libmound.a"
build -Wl,--no-as-needed "$work/main.c" -o "$work/archive_linked" -L"$work" -learly "$MOUND_BUILD_DIR/libmound.a"

run "linked before libmound.so" "$work/before"
run "linked after libmound.so" "$work/after"
run "preloaded, libmound.so" LD_PRELOAD="$work/libearly.so" "$work/preloaded"
# With the archive, the constructor's pthread_create is ours only if the program exports it.
run "linked, libmound.a" "$work/archive_linked"
run "preloaded, libmound.a" LD_PRELOAD="$work/libearly.so" "$work/archive"
exit $failed
