#!/usr/bin/env bash
# Shared objects that hold references, opened and closed while others collect (dlopen/host.c), with
# the shared and with the static library.
# MOUND_SOURCE_DIR, MOUND_BUILD_DIR, CC, MOUND_SANITIZE: as ctest sets them.
set -u
: "${MOUND_SOURCE_DIR:?}" "${MOUND_BUILD_DIR:?}"
cc=${CC:-cc}
source=$MOUND_SOURCE_DIR/tests/dlopen
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

flags=(-std=gnu11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Werror -I"$MOUND_SOURCE_DIR/include" -fstack-clash-protection)
case $("$cc" --version) in *clang*) ;; *) flags+=(-fno-ivopts) ;; esac
if [ -n "${MOUND_SANITIZE:-}" ]; then
    flags+=("-fsanitize=$MOUND_SANITIZE" -fno-omit-frame-pointer)
    export ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=0
fi

build() {
    "$cc" "${flags[@]}" "$@" || {
        echo "dlopen_test: cannot build: $*" >&2
        exit 1
    }
}

# Thread-local blocks: one of some bytes; one above what the loader keeps for late comers, so that
# each thread's is allocated at its first use; one far larger than a thread's malloc arena has.
objects() {
    local dir=$1
    shift
    mkdir -p "$dir"
    build -fPIC -shared "$source/plugin.c" -o "$dir/plain.so" "$@"
    build -fPIC -shared -DPLUGIN_TLS_BYTES=20000 "$source/plugin.c" -o "$dir/large_tls.so" "$@"
    build -fPIC -shared -DPLUGIN_TLS_BYTES=4000000 "$source/plugin.c" -o "$dir/huge_tls.so" "$@"
    build -fPIC -shared -DPLUGIN_SLEEP_US=30000 "$source/plugin.c" -o "$dir/sleepy.so" "$@"
    build -fPIC -shared "$source/last_words.c" -o "$dir/last_words.so" "$@"
}

objects "$work/shared" -L"$MOUND_BUILD_DIR" -lmound
build "$source/host.c" -o "$work/host_shared" -L"$MOUND_BUILD_DIR" -lmound -pthread -ldl
objects "$work/static"
build "$source/host.c" -o "$work/host_static" -rdynamic "$MOUND_BUILD_DIR/libmound.a" -pthread -ldl

run() {
    local how=$1 mode=$2 output status
    output=$(LD_LIBRARY_PATH=$MOUND_BUILD_DIR timeout -k 5 80 "$work/host_$how" "$mode" "$work/$how" 2>&1)
    status=$?
    if [ $status -ne 0 ]; then
        echo "dlopen_test: $how library, $mode${MOUND_DEBUG:+, MOUND_DEBUG=$MOUND_DEBUG}: status $status: $(tail -n 3 <<<"$output")" >&2
        failed=1
    fi
}

for how in shared static; do
    for mode in roots load constructor cleanups callback starter types reuse first fork; do run $how $mode; done
done
for switch in gccheckmark=1 verify=1; do
    export MOUND_DEBUG=$switch
    run static roots
    run static load
done
exit $failed
