# common.sh - builds a C program and its twin in Go, runs both and compares. Sourced by
# values_fuzz_test.sh and chans_fuzz_test.sh, which set name to values or chans.
#
# MOUND_FUZZ_OPS   operations in all: 10^6, with a sanitizer 2*10^5
# MOUND_FUZZ_SECONDS  at most, for one run of either program: 250
# MOUND_FUZZ_SEED  this seed only, instead of three fixed ones and one from the clock
# MOUND_SOURCE_DIR, MOUND_BUILD_DIR, CC, MOUND_SANITIZE: as ctest sets them.
# PEERS            where tools/install-peers put another Go
# shellcheck disable=SC2086,SC2034 # env's words; who sources this reads failed
: "${MOUND_SOURCE_DIR:?}" "${MOUND_BUILD_DIR:?}" "${name:?}"
test=${name}_fuzz_test
source=$MOUND_SOURCE_DIR/tests/go_twin

fail() {
    echo "$test: $*" >&2
    failed=1
}

peer=${PEERS:-/opt/peers}/go
if command -v go >/dev/null; then
    go=go
elif [ -x "$peer/bin/go" ]; then
    go=$peer/bin/go
    export GOROOT=$peer
else
    echo "$test: skipped: no go; tools/install-deps brings it"
    exit 77
fi
export GO111MODULE=off GOFLAGS='' GOTOOLCHAIN=local
if [ -z "${HOME:-}${XDG_CACHE_HOME:-}${GOCACHE:-}" ]; then
    export GOCACHE=$MOUND_BUILD_DIR/gocache
fi

ops=1000000
[ -z "${MOUND_SANITIZE:-}" ] || ops=200000
ops=${MOUND_FUZZ_OPS:-$ops}
seconds=${MOUND_FUZZ_SECONDS:-250}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

build() {
    local pc=$MOUND_BUILD_DIR/mound.pc cflags private
    local -a flags
    [ -r "$pc" ] || { echo "$test: no $pc" >&2; exit 1; }
    private=$(sed -n 's/^Libs.private: //p' "$pc")
    cflags=$(sed -n 's/^Cflags: -I[^ ]* //p' "$pc")
    [ -n "$private" ] && [ -n "$cflags" ] || { echo "$test: cannot read $pc" >&2; exit 1; }
    # shellcheck disable=SC2206 # words
    flags=(-O2 -g -Wall -Wextra $cflags "-I$MOUND_SOURCE_DIR/include")
    if [ -z "${MOUND_SANITIZE:-}" ]; then
        flags+=(-static)
    else
        private="-pthread -ldl"
        flags+=("-fsanitize=$MOUND_SANITIZE" -fno-omit-frame-pointer)
        if [[ $MOUND_SANITIZE == *undefined* ]]; then flags+=(-fno-sanitize-recover=undefined); fi
        if [[ $MOUND_SANITIZE == *address* ]] && # as CMakeLists.txt has it
            "${CC:-cc}" -fsanitize-address-use-after-return=never -E -x c /dev/null >/dev/null 2>&1; then
            flags+=(-fsanitize-address-use-after-return=never)
        fi
    fi
    "${CC:-cc}" "${flags[@]}" "$source/$name.c" -o "$work/c" \
        "$MOUND_BUILD_DIR/libmound.a" $private || exit 1
    "$go" build -o "$work/go" "$source/$name.go" || {
        echo "$test: go cannot build $name.go" >&2
        exit 1
    }
}

# both ENVIRONMENT ARGUMENT...: runs both at the same time; output and messages in $work/c.out,
# c.err, go.out, go.err. ENVIRONMENT is for C: words NAME=VALUE, or nothing.
both() {
    local env=$1 status
    shift
    timeout "$seconds" "$work/go" "$@" >"$work/go.out" 2>"$work/go.err" &
    env $env timeout "$seconds" "$work/c" "$@" >"$work/c.out" 2>"$work/c.err"
    status=$?
    wait $! || { fail "the Go program failed, seed $1: $(tail -n 3 "$work/go.err")"; return 1; }
    if [ $status != 0 ]; then
        fail "exit status $status of: ${env:+$env }./c $* (built from $name.c); its last line, messages:"
        tail -n 1 "$work/c.out" | cut -c 1-2000 >&2
        head -n 20 "$work/c.err" >&2
        return 1
    fi
}

# compare ENVIRONMENT SEED OPS: status 1 if they differ.
compare() {
    local env=$1 seed=$2 num=$3 line at from
    both "$env" "$seed" "$num" || return 1
    if cmp -s "$work/c.out" "$work/go.out" && cmp -s "$work/c.err" "$work/go.err"; then
        cat "$work/c.err" >>"$work/${env:+other.}counts"
        echo "$test: seed $seed, $num operations${env:+, $env}: the same"
        return 0
    fi
    line=$(cmp "$work/c.out" "$work/go.out" 2>&1 | sed -n 's/.* line \([0-9]*\).*/\1/p')
    fail "the two differ: ${env:+$env }seed $seed, line ${line:-at the end}"
    diff "$work/c.out" "$work/go.out" | head -n 4 >&2
    line=${line:-1}
    if [ "$name" = values ]; then # a line for 1,000 operations
        at=$(sed -n "${line}s/ .*//p" "$work/go.out")
        from=$(((line - 1) * 1000 + 1))
        num=${at:-$num}
    else
        from=$line
    fi
    both "$env" "$seed" "$num" -v "$from"
    echo "first difference (< C, > Go), one operation a line, after \" | \" the state then:" >&2
    diff <(tail -n "+$line" "$work/c.out") <(tail -n "+$line" "$work/go.out") >"$work/diff"
    if [ -s "$work/diff" ]; then
        grep -m 1 '^<' "$work/diff" | cut -c 1-2000 >&2
        grep -m 1 '^>' "$work/diff" | cut -c 1-2000 >&2
    else
        echo "none this time" >&2
        diff "$work/c.err" "$work/go.err" | head -n 5 >&2
    fi
    cat >&2 <<END
again: MOUND_FUZZ_SEED=$seed ctest -R $test -V, or each by hand:
    \$CC ... tests/go_twin/$name.c -o c; ${env:+$env }./c $seed $num -v $from
    GO111MODULE=off go build -o go tests/go_twin/$name.go; ./go $seed $num -v $from
END
    return 1
}

# Which kinds there were, and what part of all: each at least 2 in 100.
count_kinds() { # FILE LEAST-TOTAL
    awk -v least="$2" -v test="$test" '
        $1 == "kind" { if (!($2 in n)) name[++num] = $2; n[$2] += $3; total += $3 }
        END {
            for (i = 1; i <= num; i++) {
                part = total ? 100 * n[name[i]] / total : 0
                printf "%-20s %8d  %5.2f %%\n", name[i], n[name[i]], part
                if (total >= least && part < 2) { few = few " " name[i]; bad = 1 }
            }
            if (few) print test ": less than 2 %:" few
            exit bad
        }' "$1" || failed=1
}

run_all() {
    local seeds=(1 2 3 "$(date +%s%N)") seed env num
    build
    seeds[3]=$((seeds[3] % 1000000000000))
    if [ -n "${MOUND_FUZZ_SEED:-}" ]; then seeds=("$MOUND_FUZZ_SEED"); fi
    : >"$work/counts"
    for seed in "${seeds[@]}"; do
        compare "" "$seed" $((ops / ${#seeds[@]})) || return
    done
    # Collections that stop the program for as long as they take are the cheaper ones by far.
    for env in "MOUND_DEBUG=gcstress=97" "MOUND_DEBUG=gcstress=97 MOUND_BARRIER=none" \
        MOUND_BARRIER=none MOUND_BARRIER=os; do
        if [ "$env" = MOUND_BARRIER=os ] && ! env $env "$work/c" 1 1 >/dev/null 2>"$work/c.err" &&
            grep -q '^mound: MOUND_BARRIER=os' "$work/c.err"; then
            echo "$test: $env: not here: $(head -n 1 "$work/c.err")"
            continue
        fi
        # These are slow: as many as are for 10^6 in all, if there are more.
        num=$(((ops < 1000000 ? ops : 1000000) / 50))
        [ "$env" != "MOUND_DEBUG=gcstress=97" ] || num=$((num / 8))
        compare "$env" "${seeds[-1]}" "$num" || return
    done
}
