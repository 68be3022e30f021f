#!/usr/bin/env bash
# The names of the libraries, in BUILD_DIR (default build):
#  - libmound.so exports mound_* and the libc names of cmake/interposed.txt, nothing else, and every
#    function that mound.h declares;
#  - libmound.a's global names are those and mo_*, so nothing collides with a program's own;
#  - libmound.so needs libc alone.
# shellcheck disable=SC2013 # a name is a word
set -euo pipefail
build=$(cd "${1:-build}" && pwd)
cd "$(dirname "$0")/.."

so=$build/libmound.so
ar=$build/libmound.a
if [ ! -e "$so" ] || [ ! -e "$ar" ]; then
    echo "symcheck: no libmound.so and libmound.a in $build: build first (make check)" >&2
    exit 2
fi
bad=0
complain() {
    echo "symcheck: $1"
    bad=1
}

names=$(sed -nE 's/^([a-z][a-z_0-9]*)[ \t].*/\1/p' cmake/interposed.txt | paste -sd'|')
exported=$(nm -D --defined-only "$so" | awk '{ sub(/@.*/, "", $3); print $3 }' | sort -u)
for name in $(grep -vE "^(mound_[a-z0-9_]+|$names)$" <<<"$exported"); do
    complain "libmound.so exports $name: make it static, or hidden"
done

# A declaration: MOUND_API, a type, the name, an opening bracket.
for name in $(grep -ohE '^MOUND_API[^(]*\bmound_[a-z0-9_]+\(' include/mound.h include/mound/*.h 2>/dev/null |
    grep -oE 'mound_[a-z0-9_]+\(' | tr -d '(' | sort -u); do
    grep -qx "$name" <<<"$exported" || complain "mound.h declares $name, libmound.so lacks it"
done

internal=$(nm -g --defined-only "$ar" 2>/dev/null | awk 'NF == 3 { print $3 }' | sort -u)
for name in $(grep -vE "^(mo_[a-z0-9_]+|mound_[a-z0-9_]+|($names)|__wrap_($names))$" <<<"$internal"); do
    complain "libmound.a defines $name: make it static, or call it mo_$name"
done

for lib in $(LC_ALL=C readelf -d "$so" | sed -nE 's/.*\(NEEDED\).*\[(.*)\]/\1/p'); do
    case $lib in
    libc.so.* | ld-linux*.so.* | libpthread.so.* | libdl.so.*) ;;
    *) complain "libmound.so needs $lib: the core library uses libc only" ;;
    esac
done

echo "symcheck: $(wc -l <<<"$exported") exported, $(wc -l <<<"$internal") global in the archive"
exit $bad
