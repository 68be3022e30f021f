#!/usr/bin/env bash
# Is the code as .clang-format says? `tools/format.sh fix` rewrites it. Skipped, with status 77,
# where clang-format is missing; CLANG_FORMAT names another one. Generated *_table.h are left out.
set -euo pipefail
cd "$(dirname "$0")/.."
format=${CLANG_FORMAT:-clang-format}
if ! command -v "$format" >/dev/null; then
    echo "format: skipped: no clang-format here (Debian: apt-get install clang-format)"
    exit 77
fi
mapfile -t files < <(find include src tests tools examples bench -name '*.[ch]' ! -name '*_table.h' 2>/dev/null | sort)
if [ "${1:-}" = fix ]; then
    "$format" -i "${files[@]}"
else
    if ! "$format" --dry-run -Werror "${files[@]}" 2>&1 | awk '
        / error: / || / warning: / { n++; split($1, at, ":"); if (!(at[1] in seen)) print $1; seen[at[1]] = 1 }
        END { if (n) print "format: " n " places, first of each file above: tools/format.sh fix"; exit n > 0 }'; then
        exit 1
    fi
    echo "format: ${#files[@]} files are as .clang-format says"
fi
