#!/usr/bin/env bash
# The small examples print what their comments promise, in every run, with any number of processors
# and under every switch that moves goroutines or objects about, and stay small. MOUND_SOURCE_DIR
# and MOUND_BUILD_DIR say where things are; MOUND_EXAMPLE_RUNS (20) how often each runs as it is.
set -u
: "${MOUND_SOURCE_DIR:?}" "${MOUND_BUILD_DIR:?}"
examples=$MOUND_BUILD_DIR/examples
runs=${MOUND_EXAMPLE_RUNS:-20}
max_lines=59
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0

# What may differ between two runs of a goroutine program: which processor runs what, where it
# switches, and when a collection comes.
modes=(MOUND_MAXPROCS=1 MOUND_MAXPROCS=7 MOUND_STACK=64KiB MOUND_DEBUG=yield=1 MOUND_DEBUG=yield=2
    MOUND_DEBUG=gcstress=97 MOUND_DEBUG=gccheckmark=1 MOUND_DEBUG=scribble=1,gcstress=31
    MOUND_DEBUG=verify=1)

# expected NAME: what it prints; false if that is not known.
expected() {
    case $1 in
    hello) for i in 1 2 3 4 5; do echo "hello from goroutine $i"; done ;;
    pipeline) echo '1*1 + 2*2 + ... + 1000*1000 = 333833500' ;;
    worker_pool)
        local job=0
        for steps in 0 1 7 2 5 8 16 3 19 6 14 9; do
            job=$((job + 1))
            printf '%2d: %2d steps\n' $job $steps
        done
        ;;
    timeout)
        echo 'fast server: 49'
        echo 'slow server: no answer in time'
        ;;
    prime_sieve) echo '2 3 5 7 11 13 17 19 23 29 31 37 41 43 47 53 59 61 67 71' ;;
    parallel_sum) echo '1 + 2 + ... + 4000000 = 8000002000000' ;;
    cancellation)
        echo '100 things: cancelled, and all workers have ended'
        echo '20 ms: time is over, and all workers have ended'
        echo 'after its parent: cancelled, and all workers have ended'
        ;;
    *) return 1 ;;
    esac
}

fail() {
    echo "examples_test: $1" >&2
    if [ -s "$dir/err" ]; then
        head -n 5 "$dir/err" >&2
    fi
    failed=1
}

# check NAME WHAT VARIABLE...: one run, which prints what it should and nothing else, and ends well.
check() {
    local name=$1 what=$2 got
    shift 2
    env "$@" timeout -s QUIT -k 10 60 "$examples/$name" >"$dir/out" 2>"$dir/err" # QUIT: it tells who waits
    got=$?
    [ $got = 0 ] || { fail "$name, $what: exit status $got"; return 1; }
    cmp -s "$dir/$name" "$dir/out" ||
        { fail "$name, $what: wrong output: $(diff "$dir/$name" "$dir/out" | head -n 3)"; return 1; }
    [ ! -s "$dir/err" ] || { fail "$name, $what: prints to stderr"; return 1; }
}

num_examples=0 num_runs=0
for source in "$MOUND_SOURCE_DIR"/examples/*.c; do
    name=$(basename "$source" .c)
    case $name in depgraph*) continue ;; esac # depgraph_test.sh
    num_examples=$((num_examples + 1))
    expected "$name" >"$dir/$name" || { fail "$name: nothing is known here of what it prints"; continue; }
    lines=$(wc -l <"$source")
    [ "$lines" -le $max_lines ] || fail "$name.c has $lines lines, more than $max_lines"
    [ -x "$examples/$name" ] || { fail "no program at $examples/$name"; continue; }
    for ((i = 1; i <= runs; i++)); do
        check "$name" "run $i" || break
        num_runs=$((num_runs + 1))
    done
    for mode in "${modes[@]}"; do
        check "$name" "$mode" "$mode" && num_runs=$((num_runs + 1))
    done
done
echo "examples_test: $num_examples examples, $num_runs good runs"
exit $failed
