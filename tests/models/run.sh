#!/usr/bin/env bash
# Checks every model in this folder: no error is expected of it, as it stands and with the -D of
# each line `also:` in its head comment; an error is expected of each mutant (the words behind
# `mutants:` there, given as -D). One line a run: model, what was given, verdict, states, seconds.
# Arguments: the models to check. Status 1: a verdict was not the expected one, or a run reached its
# limits of time (MOUND_MODEL_SECONDS, 60) or memory; 77: skipped, no spin or no C compiler here.
set -uo pipefail
export LC_ALL=C
cd "$(dirname "$0")" || exit 2
cc=${CC:-cc}
for program in spin "$cc"; do
    if ! command -v "$program" >/dev/null; then
        echo "models: skipped: no $program here (Debian: apt-get install spin gcc)"
        exit 77
    fi
done
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
seconds=${MOUND_MODEL_SECONDS:-60}
passed=0 failed=0

build_and_run() ( # MODEL -D...
    model=$PWD/$1
    shift
    cd "$dir" && rm -f pan* || exit
    timeout "$seconds" spin "$@" -a "$model" || exit
    # provided clauses, in which a thread waits for its signal handler, and the reduction exclude
    # each other.
    reduce=
    if grep -q 'provided (' "$model"; then reduce=-DNOREDUCE; fi
    "$cc" -O1 -w -DSAFETY -DCOLLAPSE -DMEMLIM=1000 $reduce pan.c -o pan || exit
    timeout "$seconds" ./pan -m1000000
)

check() { # EXPECTED (ok or error) MODEL -D...
    local expected=$1 out=$dir/out verdict states begin
    shift
    begin=${EPOCHREALTIME/./}
    build_and_run "$@" >"$out" 2>&1
    verdict=unfinished
    if grep -q 'errors: [1-9]' "$out"; then
        verdict=error
    elif grep -q 'errors: 0' "$out" && ! grep -q 'max search depth too small\|MEMLIM\|out of memory\|interrupted' "$out"; then
        verdict=ok
    fi
    states=$(sed -n 's/^ *\([0-9]*\) states, stored.*/\1/p' "$out")
    printf '%-40s %-10s %9s states %6.2f s' "$*" "$verdict" "${states:-?}" \
        "$(((${EPOCHREALTIME/./} - begin) / 10000))e-2"
    if [ "$verdict" = "$expected" ]; then
        passed=$((passed + 1))
        echo
    else
        failed=$((failed + 1))
        echo "  FAILED: expected $expected"
        grep -v '^$' "$out" | head -n 20
    fi
}

if [ $# = 0 ]; then set -- *.pml; fi
for model; do
    check ok "$model"
    while read -r -a options; do check ok "$model" "${options[@]}"; done < <(sed -n 's/^ \* also: //p' "$model")
    for mutant in $(sed -n 's/^ \* mutants: //p' "$model"); do check error "$model" "-D$mutant"; done
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
