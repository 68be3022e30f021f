#!/usr/bin/env bash
# depgraph and depgraph_threads print what the Go program prints, for any number of workers, under
# every switch, and fail as they should. MOUND_SOURCE_DIR and MOUND_BUILD_DIR say where things are,
# MOUND_DEPGRAPH another program to test in place of both.
set -u
: "${MOUND_SOURCE_DIR:?}" "${MOUND_BUILD_DIR:?}"
programs=("$MOUND_BUILD_DIR/examples/depgraph" "$MOUND_BUILD_DIR/examples/depgraph_threads")
[ -z "${MOUND_DEPGRAPH:-}" ] || programs=("$MOUND_DEPGRAPH")
data=$MOUND_SOURCE_DIR/examples/data
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0

fail() {
    echo "depgraph_test: $1" >&2
    if [ -s "$dir/err" ]; then
        tail -n 5 "$dir/err" >&2
    fi
    failed=1
}

# expect STATUS FILE WHAT ARGUMENT...: each program ends with that status and prints that file. Its
# messages are in $dir/NAME.err.
expect() {
    local status=$1 file=$2 what=$3 program name got
    shift 3
    for program in "${programs[@]}"; do
        name=$(basename "$program")
        "$program" "$@" >"$dir/out" 2>"$dir/err"
        got=$?
        cp "$dir/err" "$dir/$name.err"
        [ $got = "$status" ] || fail "$name, $what: exit status $got, not $status"
        cmp -s "$file" "$dir/out" || fail "$name, $what: wrong output: $(diff "$file" "$dir/out" | head -n 3)"
    done
}

for program in "${programs[@]}"; do
    [ -x "$program" ] || { echo "depgraph_test: no program at $program" >&2; exit 1; }
done

for workers in 1 2 7; do
    expect 0 "$data/packages.expected" "-p $workers" -p $workers "$data/packages.txt"
done
expect 0 "$data/packages.expected" "--top=10 -p=3" --top=10 -p=3 "$data/packages.txt"
for switch in gcstress=97 gccheckmark=1 scribble=1 verify=1 yield=1; do
    export MOUND_DEBUG=$switch
    expect 0 "$data/packages.expected" "$switch" -p 3 "$data/packages.txt"
done
unset MOUND_DEBUG
for procs in 1 7; do
    export MOUND_MAXPROCS=$procs
    expect 0 "$data/packages.expected" "$procs processors" -p 3 "$data/packages.txt"
done
unset MOUND_MAXPROCS

# A larger index, of which nothing is known but that both must agree.
awk 'BEGIN {
    srand(4711)
    for (i = 0; i < 6000; i++) {
        printf "Package: p%d\nVersion: %d.%d\n", rand() * 4000, rand() * 99, i # no two the same
        printf "Installed-Size: %d\n", rand() * 9999
        if (rand() < 0.3) printf "Provides: v%d, v%d\n", rand() * 500, rand() * 500
        printf "Depends: p%d", rand() * 4000
        for (k = rand() * 3; k > 1; k--) printf "%s %s%d", rand() < 0.3 ? " |" : ",", rand() < 0.2 ? "v" : "p", rand() * 4200
        print "\n"
    }
}' >"$dir/random"
"${programs[0]}" -p 1 -top 100 "$dir/random" >"$dir/random.expected" 2>"$dir/err" ||
    fail "random index: exit status $?"
[ "$(wc -l <"$dir/random.expected")" = 304 ] || fail "random index: not 304 lines"
for workers in 2 3 16; do
    expect 0 "$dir/random.expected" "random index, -p $workers" -p $workers -top 100 "$dir/random"
done

# The statistics that tools/demo reads.
expect 0 "$data/packages.expected" "-v" -v "$data/packages.txt"
for line in '^RESULT depgraph parse=[0-9.]+s total=[0-9.]+s allocated=[0-9]+MB gcs=[0-9]+ pause_total=[0-9.]+ms heapsys=[0-9]+MiB$' \
    '^SUMMARY objects=[0-9]+ allocated_bytes=[0-9]+ collections=[0-9]+ longest_stop_us=[0-9]+ peak_rss_kib=[0-9]+$'; do
    for program in "${programs[@]}"; do
        name=$(basename "$program")
        grep -Eq "$line" "$dir/$name.err" || fail "$name, -v: no line $line"
    done
done

# Windows line ends, a last line without one, continuation lines, clauses of all sorts, numbers
# that do not fit, the higher of two versions.
printf '%s\r\n' 'Package: a' 'Version: 2' 'Installed-Size: 5' 'Depends: c | b (>= 1), x | v,' \
    ' d [amd64],, | a:any' '' ' stray' 'Package: a' 'Version: 10' 'Installed-Size: 7' '' '' \
    'nothing' '' 'Package: b' 'Installed-Size: 99999999999999999999' >"$dir/mixed"
printf '%s\n' '' 'Package: d' 'Provides: v, w' 'Installed-Size: +3' 'Pre-Depends: b' '' >>"$dir/mixed"
printf 'Package:e\nInstalled-Size: 1x\nDepends: w, a\n , gone | away' >>"$dir/mixed"
cat >"$dir/mixed.expected" <<'END'
packages 4, virtual 2, edges 5, unresolved clauses 1, closure total 6
most depended upon
         2  b
         2  d
largest closure (packages)
         3  e
         2  a
largest closure (KiB installed)
9223372036854775807  b
-9223372036854775801  a
END
expect 0 "$dir/mixed.expected" "mixed input" -top 2 "$dir/mixed"

cat >"$dir/none.expected" <<'END'
packages 0, virtual 0, edges 0, unresolved clauses 0, closure total 0
most depended upon
largest closure (packages)
largest closure (KiB installed)
END
: >"$dir/empty"
expect 0 "$dir/none.expected" "empty file" "$dir/empty"
printf '\n\n\r\n' >"$dir/blank"
expect 0 "$dir/none.expected" "blank lines" "$dir/blank"

expect 1 "$dir/empty" "missing file" "$dir/missing"
expect 2 "$dir/empty" "no file"
expect 2 "$dir/empty" "two files" "$dir/empty" "$dir/blank"
expect 2 "$dir/empty" "unknown option" -x "$dir/empty"
expect 2 "$dir/empty" "no number" -p many "$dir/empty"
expect 2 "$dir/empty" "nothing after -top" -top
for program in "${programs[@]}"; do
    if "$program" "$data/packages.txt" >/dev/full 2>"$dir/err"; then fail "$program, full disk: exit status 0"; fi
done
exit $failed
