#!/usr/bin/env bash
# Installs the build into a temporary prefix and builds and runs a consumer against it: by
# pkg-config and by find_package, shared, static and fully static, under each compiler found.
# MOUND_BUILD_DIR, MOUND_SOURCE_DIR, CC: as ctest sets them.
set -euo pipefail
source=${MOUND_SOURCE_DIR:?run it by ctest -R package}/tests/package
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
prefix=$dir/prefix

cmake --install "$MOUND_BUILD_DIR" --prefix "$prefix" >"$dir/log" || {
    cat "$dir/log"
    exit 1
}
pc_dir=$(dirname "$(find "$prefix" -name mound.pc)")
lib_dir=$(dirname "$pc_dir")
export PKG_CONFIG_PATH=$pc_dir
[ -e "$prefix/include/mound.h" ] || { echo "package: mound.h is not installed" && exit 1; }

# run NAME: the program starts, ends well and prints what consumer.c promises.
run() {
    local output
    if ! output=$(LD_LIBRARY_PATH=$lib_dir "$dir/$1" 2>&1); then
        echo "package: $1 failed (status $?): $output"
        exit 1
    fi
    [[ $output == "mound "*": 42" ]] || { echo "package: $1 printed: $output" && exit 1; }
    echo "$1: $output"
}
uses_shared() { LC_ALL=C readelf -d "$dir/$1" | grep -q 'NEEDED.*libmound.so.0'; }

compilers=("${CC:-cc}")
for other in gcc clang clang-14 clang-19; do
    if command -v "$other" >/dev/null; then compilers+=("$other"); fi
done

# pkg-config's words are flags: unquoted. -Werror: the flags must be silent under every compiler.
# shellcheck disable=SC2046
if command -v pkg-config >/dev/null; then
    for cc in "${compilers[@]}"; do
        name=$(basename "$cc")
        "$cc" -Wall -Wextra -Werror -O2 "$source/consumer.c" -o "$dir/pc-shared-$name" \
            $(pkg-config --cflags --libs mound)
        uses_shared "pc-shared-$name" || { echo "package: not linked to libmound.so.0" && exit 1; }
        run "pc-shared-$name"
    done
    # The archive beside a shared libc: named by its path, without the flags of --static.
    "${CC:-cc}" -Wall -Wextra -Werror -O2 "$source/consumer.c" -o "$dir/pc-archive" \
        $(pkg-config --cflags mound) "$(pkg-config --variable=libdir mound)/libmound.a" -pthread
    if uses_shared pc-archive; then echo "package: the archive was not used" && exit 1; fi
    run pc-archive
    "${CC:-cc}" -Wall -Wextra -Werror -O2 -static "$source/consumer.c" -o "$dir/pc-static" \
        $(pkg-config --cflags --libs --static mound)
    run pc-static
else
    echo "package: pkg-config is missing here, its three ways are not tested"
fi

if ! { cmake -S "$source" -B "$dir/cmake" -DCMAKE_PREFIX_PATH="$prefix" \
    -DCMAKE_C_COMPILER="${CC:-cc}" && cmake --build "$dir/cmake"; } >"$dir/log" 2>&1; then
    cat "$dir/log"
    exit 1
fi
uses_shared cmake/with-mound || { echo "package: find_package: not the shared library" && exit 1; }
for lib in mound mound-static mound-fullstatic; do run cmake/with-$lib; done
