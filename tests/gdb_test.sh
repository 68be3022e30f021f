#!/usr/bin/env bash
# gdb lists goroutines of a running process and of a core, and shows the calls of one that waits.
set -uo pipefail

source_dir=${MOUND_SOURCE_DIR:-$(cd "$(dirname "$0")/.." && pwd)}
build_dir=${MOUND_BUILD_DIR:-$source_dir/build}
cc=${CC:-cc}

fail() {
    echo "gdb_test: $*" >&2
    exit 1
}
skip() {
    echo "gdb_test: skipped: $*"
    exit 0
}
[ -z "${MOUND_SANITIZE:-}" ] || skip "a sanitizer's process is too large to be dumped"
command -v gdb >/dev/null || skip "gdb is not installed"

work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null; rm -rf "$work"' EXIT
cat >"$work/waits.c" <<'END'
#include <mound.h>
#include <stdio.h>
static MOUND_CHAN(int) never;
__attribute__((noinline)) static int deeper(int n) {
    int v = 0;
    if (n > 0) return deeper(n - 1) + 1;
    mound_recv(never, &v);
    return v;
}
static volatile int got; /* so that it is no tail call */
static void worker(void *arg) { got = deeper((int)(long)arg); }
static int app(void *arg) {
    (void)arg;
    never = mound_chan_make(int, 0);
    for (long i = 1; i < 4; i++) mound_go(worker, (void *)i);
    mound_sleep(MOUND_MS(20));
    puts("ready");
    fflush(stdout);
    mound_sleep(MOUND_SEC(100));
    return 0;
}
MOUND_MAIN(app)
END
"$cc" -O1 -g -I"$source_dir/include" "$work/waits.c" -o "$work/waits" "$build_dir/libmound.a" -lpthread ||
    fail "the program does not compile"
cd "$work" || fail "no directory"
ulimit -c unlimited 2>/dev/null
"$work/waits" >"$work/out" &
pid=$!
for _ in $(seq 100); do
    grep -q ready "$work/out" && break
    sleep 0.1
done
grep -q ready "$work/out" || fail "the program does not start"

expect() { # text of the log that must be there
    grep -qE "$2" "$1" || {
        cat "$1" >&2
        fail "gdb does not show $2"
    }
}
in_gdb() { gdb -q -batch -iex 'set auto-load off' "$@" 2>&1; }

in_gdb -p "$pid" -ex "source $source_dir/tools/mound.gdb" -ex 'info goroutines' -ex 'goroutine 3' \
    -ex 'goroutine 99' -ex detach >"$work/live"
if grep -q 'ptrace: Operation not permitted' "$work/live"; then skip "ptrace is not permitted here"; fi
expect "$work/live" '^goroutine 1 MO_G_WAITING MO_WAIT_SLEEP .*\(main\)'
expect "$work/live" '^goroutine 2 MO_G_WAITING MO_WAIT_CHAN_RECV 0x[0-9a-f]+ worker'
expect "$work/live" '^goroutine 4 MO_G_WAITING MO_WAIT_CHAN_RECV'
[ "$(grep -c 'in deeper (n=' "$work/live")" = 3 ] || {
    cat "$work/live" >&2
    fail "goroutine 3 is in three calls of deeper"
}
expect "$work/live" '#[0-9]+ +0x[0-9a-f]+ in worker'
expect "$work/live" '^no goroutine 99'
kill -0 "$pid" 2>/dev/null || fail "the process did not survive"

# The system's own core: gdb's would read all address space.
kill -ABRT "$pid"
wait "$pid" 2>/dev/null
pid=
core=$(find "$work" -name 'core*' | head -n 1)
if [ -z "$core" ]; then
    echo "gdb_test: the part with a core is skipped: /proc/sys/kernel/core_pattern is" \
        "$(cat /proc/sys/kernel/core_pattern)"
    exit 0
fi
in_gdb "$work/waits" "$core" -ex "source $source_dir/tools/mound.gdb" -ex 'info goroutines' \
    -ex 'goroutine-words 3' >"$work/dead"
expect "$work/dead" '^goroutine 3 MO_G_WAITING MO_WAIT_CHAN_RECV'
[ "$(grep -c '<deeper+' "$work/dead")" -ge 3 ] || {
    cat "$work/dead" >&2
    fail "the core shows no calls of deeper"
}
expect "$work/dead" '<worker\+'
echo "gdb_test: a process and a core show their goroutines"
