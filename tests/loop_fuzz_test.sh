#!/usr/bin/env bash
# Generated loops over heap arrays that only locals refer to (loop_fuzz/): with the flags of the
# package no compiler at any level may leave an array without a pointer to it, at a call or at any
# other instruction, where the stop signal may come. The control: without -fno-ivopts gcc must lose
# some, or the test could not see it.
#
# MOUND_FUZZ_N (functions per compiler and level, 150), MOUND_FUZZ_SEED (the day's by default).
# MOUND_SOURCE_DIR, MOUND_BUILD_DIR, MOUND_SANITIZE: as ctest sets them.
set -u
: "${MOUND_SOURCE_DIR:?}" "${MOUND_BUILD_DIR:?}"
if [ -n "${MOUND_SANITIZE:-}" ]; then
    echo "loop_fuzz_test: skipped: a sanitizer's own code would be tested"
    exit 0
fi
num=${MOUND_FUZZ_N:-150}
seed=${MOUND_FUZZ_SEED:-$(date +%Y%m%d)}
source=$MOUND_SOURCE_DIR/tests/loop_fuzz
library=$MOUND_BUILD_DIR/libmound.a
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
echo "MOUND_FUZZ_SEED=$seed MOUND_FUZZ_N=$num"

fail() {
    echo "loop_fuzz_test: $*" >&2
    failed=1
}
"${CC:-cc}" -O1 "$source/generate.c" -o "$work/generate" &&
    "$work/generate" "$seed" "$num" >"$work/loops.c" &&
    "${CC:-cc}" -O2 -I"$MOUND_SOURCE_DIR/include" -c "$source/driver.c" -o "$work/driver.o" || exit 1
flags=$(sed -n 's/^Cflags: -I[^ ]* //p' "$MOUND_BUILD_DIR/mound.pc")
[ -n "$flags" ] || { echo "loop_fuzz_test: no flags in $MOUND_BUILD_DIR/mound.pc" >&2; exit 1; }

# run COMPILER FLAG...: builds and runs the loops both ways; the number lost in $lost, names in $names.
run() {
    local cc=$1 output way
    shift
    lost=0 names=
    "$cc" -std=gnu11 -w "$@" -I"$source" -c "$work/loops.c" -o "$work/loops.o" &&
        "$cc" "$work/loops.o" "$work/driver.o" "$library" -pthread -ldl -o "$work/loops" || {
        fail "$cc $*: does not build"
        return 1
    }
    for way in collect step; do
        output=$("$work/loops" $way 2>&1) || {
            fail "$cc $*: $way: status $?: $(tail -n 2 <<<"$output")"
            return 1
        }
        lost=$((lost + $(sed -n 's/^checks [0-9]* lost //p' <<<"$output")))
        names+=$(sed -n 's/^lost //p' <<<"$output" | tr '\n' ' ')
    done
}

show() { # NAME: its source, with the form
    grep -B 1 -A 15 "^static long $1(" "$work/loops.c" | sed '/^}/q'
}

compilers=()
for cc in gcc clang-14 clang-19 $(compgen -c clang- | grep -E '^clang-[0-9]+$' | sort -u); do
    case " ${compilers[*]-} " in *" $cc "*) continue ;; esac
    if command -v "$cc" >/dev/null; then compilers+=("$cc"); fi
done
if [ ${#compilers[@]} -eq 0 ]; then compilers=("${CC:-cc}"); fi

for cc in "${compilers[@]}"; do
    for level in -O1 -O2 -O3; do
        # shellcheck disable=SC2086 # words
        run "$cc" $level $flags || continue
        if [ "$lost" != 0 ]; then
            fail "$cc $level: of $num loops twice, $lost lost an array: $names"
            show "${names%% *}" >&2
        fi
        echo "$cc $level: lost $lost"
    done
done

if command -v gcc >/dev/null; then
    # shellcheck disable=SC2086
    run gcc -O2 ${flags//-fno-ivopts/} && {
        echo "control, gcc -O2 without -fno-ivopts: lost $lost"
        [ "$lost" -gt 0 ] || fail "the control lost nothing: this test sees nothing"
    }
else
    echo "loop_fuzz_test: no gcc here, so no control"
fi
exit $failed
