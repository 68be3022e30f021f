#!/usr/bin/env bash
# Goroutines, channels, select, locks and contexts do what Go's do: random programs whose outcome Go
# guarantees, in C with mound and in Go, have the same outcomes (go_twin/chans.c). Settings:
# go_twin/common.sh.
set -u
name=chans
# shellcheck source=go_twin/common.sh
. "${MOUND_SOURCE_DIR:?}/tests/go_twin/common.sh"
run_all
[ $failed = 0 ] || exit 1
count_kinds "$work/counts" 1000
exit $failed
