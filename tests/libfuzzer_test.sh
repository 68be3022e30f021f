#!/usr/bin/env bash
# Runs the targets of tests/fuzz under libFuzzer for FUZZ_SECONDS (default 10) each, with a new seed.
set -uo pipefail

source_dir=${MOUND_SOURCE_DIR:-$(cd "$(dirname "$0")/.." && pwd)}
build_dir=${MOUND_BUILD_DIR:-$source_dir/build/shipped}
seconds=${FUZZ_SECONDS:-10}
if [ -n "${MOUND_SANITIZE:-}" ]; then
    echo "libfuzzer_test: skipped: its own runtime and that of -fsanitize=$MOUND_SANITIZE do not go together"
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

clang=''
for name in clang clang-19 clang-14; do
    command -v "$name" >/dev/null || continue
    echo 'int LLVMFuzzerTestOneInput(const char *p, unsigned long n); int LLVMFuzzerTestOneInput(const char *p, unsigned long n) { return p && n > 9 ? 0 : 0; }' >"$work/try.c"
    "$name" -fsanitize=fuzzer "$work/try.c" -o "$work/try" 2>/dev/null && clang=$name && break
done
if [ -z "$clang" ]; then
    echo "libfuzzer_test: skipped: no clang with libFuzzer; tools/install-deps --all brings it"
    exit 77
fi

seed=${MOUND_TEST_SEED:-$RANDOM}
for target in "$source_dir"/tests/fuzz/*.c; do
    name=$(basename "$target" .c)
    "$clang" -g -O1 -fsanitize=fuzzer -I"$source_dir/include" "$target" "$build_dir/libmound.a" -pthread \
        -o "$work/$name" || exit 1
    mkdir -p "$work/corpus"
    if ! (cd "$work" && "./$name" -seed="$seed" -max_total_time="$seconds" -max_len=4096 -rss_limit_mb=0 corpus) \
        >"$work/log" 2>&1; then
        echo "libfuzzer_test: $name fails (MOUND_TEST_SEED=$seed repeats it):"
        tail -n 20 "$work/log"
        xxd "$work"/crash-* 2>/dev/null | head -n 20
        exit 1
    fi
    echo "$name: $(grep -E 'DONE|^Done' "$work/log" | tail -n 1) (seed $seed)"
done
