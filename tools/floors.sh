#!/usr/bin/env bash
# The house has floors: a file in src/FLOOR/ includes only its own floor and those below.
# Also: file names are unique in src/, so that a name in a message says where to look.
set -euo pipefail
cd "$(dirname "$0")/.."
floors="base sys heap sched gc types api compat"

# shellcheck disable=SC2016 # awk's dollars
find src -mindepth 2 \( -name '*.[chS]' \) | sort | xargs -r awk -v floors="$floors" '
BEGIN { n = split(floors, name); for (i = 1; i <= n; i++) level[name[i]] = i }
FNR == 1 {
    split(FILENAME, part, "/"); own = part[2]; files++
    if (!(own in level)) {
        print FILENAME ": folder " own " is no floor; floors are: " floors; bad++
    }
}
/^[ \t]*#[ \t]*include[ \t]*"/ {
    split($0, quoted, "\""); path = quoted[2]; edges++
    if (path !~ /\//) next # its own folder, or mound.h
    split(path, part, "/"); to = part[1]
    if (to == "mound") next # include/mound/
    if (!(to in level)) {
        print FILENAME ":" FNR ": \"" path "\" is on no floor; write \"floor/file.h\""; bad++
    } else if (level[to] > level[own]) {
        print FILENAME ":" FNR ": " own " includes " path ", a higher floor; " \
            "call upwards through a struct of function pointers (a *_hooks.h)"
        bad++
    }
}
END {
    printf "floors: %d files, %d includes, %d violations\n", files, edges, bad
    exit bad > 0
}'

twice=$(find src -mindepth 2 -name '*.[chS]' -printf '%f\n' | sort | uniq -d)
if [ -n "$twice" ]; then
    echo "floors: a file name is used twice in src/, rename one: $twice"
    exit 1
fi
