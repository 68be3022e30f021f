#!/usr/bin/env bash
# src/heap/size_class_table.h is what tools/size_classes.c prints, which also verifies every
# reciprocal. MOUND_SOURCE_DIR says where the sources are; CC compiles.
set -u
: "${MOUND_SOURCE_DIR:?}"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"${CC:-cc}" "$MOUND_SOURCE_DIR/tools/size_classes.c" -o "$dir/size_classes" || exit 1
"$dir/size_classes" >"$dir/table.h" || exit 1
diff "$MOUND_SOURCE_DIR/src/heap/size_class_table.h" "$dir/table.h" >&2 && exit 0
echo "size_class_table_test: run tools/size_classes.c again, as its first lines say" >&2
exit 1
