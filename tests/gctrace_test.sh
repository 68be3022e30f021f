#!/usr/bin/env bash
# The lines of MOUND_DEBUG=gctrace=1 have the format of Go's GODEBUG=gctrace=1, so that its readers
# work: https://pkg.go.dev/runtime, "gctrace". Their numbers must agree with each other.
set -uo pipefail

source_dir=${MOUND_SOURCE_DIR:-$(cd "$(dirname "$0")/.." && pwd)}
build_dir=${MOUND_BUILD_DIR:-$source_dir/build/shipped}
cc=${CC:-cc}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    echo "gctrace_test: $*" >&2
    exit 1
}

cat >"$work/program.c" <<'END'
#include <mound.h>
#include <stdio.h>
struct node { struct node *next; char fill[56]; };
int main(void) {
    struct node *live = NULL;
    for (int i = 0; i < 100000; i++) {
        struct node *n = mound_new(struct node);
        n->next = live;
        live = n;
    }
    for (int i = 0; i < 1000000; i++) mound_keep_alive(mound_alloc(64));
    mound_gc();
    mound_gc();
    mound_mem_stats s = {.struct_bytes = sizeof s};
    mound_read_mem_stats(&s);
    printf("%llu %llu\n", (unsigned long long)s.num_gc, (unsigned long long)s.num_forced_gc);
    mound_keep_alive(live);
    return 0;
}
END
sanitize=()
[ -n "${MOUND_SANITIZE:-}" ] && sanitize=("-fsanitize=$MOUND_SANITIZE")
"$cc" -O2 "${sanitize[@]}" -I"$source_dir/include" "$work/program.c" "$build_dir/libmound.a" -lpthread -ldl \
    -o "$work/program" || fail "the program does not build"

MOUND_DEBUG=gctrace=1 "$work/program" >"$work/counts" 2>"$work/trace" || fail "the program failed: $(cat "$work/trace")"
read -r num_gc num_forced <"$work/counts"

number='[0-9]+(\.[0-9]+)?'
line="^gc [0-9]+ @$number""s [0-9]+%: $number\\+$number\\+$number ms clock, "
line+="$number\\+$number/$number/$number\\+$number ms cpu, [0-9]+->[0-9]+->[0-9]+ MB, [0-9]+ MB goal, "
line+="[0-9]+ MB stacks, [0-9]+ MB globals, [0-9]+ P( \\(forced\\))?\$"

# The library's own lines, which follow some of Go's, are named after it.
grep '^mound: ' "$work/trace" >"$work/own"
grep -v '^mound: ' "$work/trace" >"$work/go" && mv "$work/go" "$work/trace"
own="^mound: (gc [0-9]+: barrier os .*, pages scanned again [0-9,]+.*, last stop predicted $number ms, was $number ms "
own+="of which $number to stop, threads waited $number ms, $number GB/s of marker CPU|barrier none: .*)\$"
grep -qEv "$own" "$work/own" && fail "not a line of ours: $(grep -Ev "$own" "$work/own" | head -n 1)"

grep -qEv "$line" "$work/trace" && fail "not a line of gctrace: $(grep -Ev "$line" "$work/trace" | head -n 1)"
[ "$(wc -l <"$work/trace")" -eq "$num_gc" ] ||
    fail "$num_gc collections, but $(wc -l <"$work/trace") lines"
[ "$num_gc" -ge 4 ] || fail "only $num_gc collections: the test shows too little"
[ "$(grep -c '(forced)$' "$work/trace")" -eq "$num_forced" ] || fail "not $num_forced lines end with (forced)"
[ "$num_forced" -eq 2 ] || fail "mound_gc was called twice, counted $num_forced times"

# Numbered from 1 without gaps; time does not run backwards; the heap does not grow by marking; the
# live heap of 6 MB appears in the last line.
awk '{
    if ($2 != NR) { print "line " NR " is numbered " $2; exit 1 }
    time = substr($3, 2) + 0
    if (time < last) { print "time runs backwards in line " NR; exit 1 }
    last = time
    if (!match($0, /[0-9]+->[0-9]+->[0-9]+ MB/)) { print "no heap sizes in line " NR; exit 1 }
    split(substr($0, RSTART, RLENGTH - 3), mb, "->")
    if (mb[3] > mb[2]) { print "more marked than there was in line " NR; exit 1 }
} END { if (mb[3] < 6 || mb[3] > 8) { print "6 MB live, the last line says " mb[3]; exit 1 } }' "$work/trace" ||
    fail "numbers disagree: $(tail -n 1 "$work/trace")"

# A limit that cannot be kept is said.
MOUND_MEMLIMIT=4MiB MOUND_DEBUG=gctrace=1 "$work/program" >/dev/null 2>"$work/limit" || fail "the program failed with a limit"
grep -qE '^mound: gc [0-9]+: the memory limit of 4 MB leaves' "$work/limit" || fail "nothing is said of a limit that is not kept"

# Without the switch, nothing is printed.
"$work/program" >/dev/null 2>"$work/silent" || fail "the program failed without gctrace"
[ -s "$work/silent" ] && fail "printed without being asked: $(head -n 1 "$work/silent")"
echo "gctrace_test: $num_gc lines in Go's format"
