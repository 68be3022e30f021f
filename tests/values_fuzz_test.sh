#!/usr/bin/env bash
# Slices, strings, maps and values of any type do what Go's do: random operations, by a C program
# with mound and by its twin in Go, have the same results (go_twin/values.c says which). Settings:
# go_twin/common.sh.
set -u
name=values
# shellcheck source=go_twin/common.sh
. "${MOUND_SOURCE_DIR:?}/tests/go_twin/common.sh"
run_all
[ $failed = 0 ] || exit 1
count_kinds "$work/counts" 100000
echo "maps of at least so many entries, operations on them:"
awk -v ops="$ops" -v test="$test" '
    $1 == "size" { if (!($2 in n)) size[++num] = $2; n[$2] += $3 }
    $1 == "emptied" { emptied += $2 }
    END {
        for (i = 1; i <= num; i++) printf "%d: %d%s", size[i], n[size[i]], i < num ? ", " : "\n"
        print "maps of 1,792 entries and more that were emptied one by one: " emptied
        if (ops < 100000) exit
        for (i = 1; i <= num; i++)
            if (size[i] <= 4096 && !n[size[i]]) {
                print test ": no map of that size: " size[i]
                bad = 1
            }
        if (!emptied) { print test ": no large map was emptied"; bad = 1 }
        exit bad
    }' "$work/counts" || failed=1
exit $failed
