#!/usr/bin/env bash
# mound.h compiles as C99 to C17 and C++11 to C++20, with gcc and clang, without a warning; what it
# promises to refuse does not compile; its attributes make the compiler warn of what they should.
set -uo pipefail

source_dir=${MOUND_SOURCE_DIR:-$(cd "$(dirname "$0")/.." && pwd)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
warnings=(-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror)
num=0

fail() {
    echo "header_test: $*" >&2
    exit 1
}

cat >"$work/use.c" <<'END'
#include "mound.h"
#include "mound.h"
typedef struct node {
    struct node *left, *right;
    const char *name;
    long number;
} node;
typedef struct text { char byte[20]; } text;
typedef struct sixteen { void *a, *b, *c, *d, *e, *f, *g, *h, *i, *j, *k, *l, *m, *n, *o, *p; } sixteen;
typedef struct callback { void (*fn)(void *); void *arg; } callback;
MOUND_TYPE(node, left, right, name);
MOUND_TYPE_NOSCAN(text);
MOUND_TYPE(sixteen, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p);
MOUND_TYPE(callback, arg);
static void done(void *arg) { (void)arg; }
int main(void) {
    node *n = mound_new_typed(node);
    node *array = mound_new_array(node, 10);
    text *t = mound_new_typed(text);
    sixteen *s = mound_new_typed(sixteen);
    callback *c = mound_new_typed(callback);
    struct node *plain = mound_new(struct node);
    mound_weak w = mound_weak_make(n);
    mound_cleanup cleanup = mound_add_cleanup(n, done, t);
    mound_mem_stats stats;
    char *p = mound_asprintf("%d", 5);
    stats.struct_bytes = sizeof stats;
    mound_read_mem_stats(&stats);
    n->left = (node *)mound_weak_get(w);
    n->right = (node *)mound_realloc(array, 20 * sizeof(node));
    mound_cleanup_stop(cleanup);
    mound_free(plain);
    mound_keep_alive(s);
    mound_keep_alive(c);
    return mound_size(p) > 0 && mound_base(p) == p && MOUND_VERSION_MAJOR >= 0 ? 0 : 1;
}
END
cp "$work/use.c" "$work/use.cc"

try() { # what, compiler, flags...
    local what=$1
    shift
    "$@" "${warnings[@]}" -I"$source_dir/include" -c -o "$work/out.o" >"$work/log" 2>&1 ||
        fail "$what: $(head -n 3 "$work/log")"
    num=$((num + 1))
}

compilers=0
for pair in gcc:g++ clang:clang++ clang-14:clang++-14 clang-19:clang++-19; do
    cc=${pair%%:*} cxx=${pair##*:}
    if command -v "$cc" >/dev/null; then
        compilers=$((compilers + 1))
        for std in c99 gnu99 c11 c17; do
            for level in -O0 -O2; do try "$cc $std $level" "$cc" "-std=$std" "$level" "$work/use.c"; done
        done
    else
        echo "header_test: skipped $cc: it is not installed"
    fi
    if command -v "$cxx" >/dev/null; then
        for std in c++11 c++14 c++17 c++20; do
            try "$cxx $std" "$cxx" "-std=$std" -O2 -x c++ "$work/use.cc"
        done
    else
        echo "header_test: skipped $cxx: it is not installed"
    fi
done
[ $compilers -gt 0 ] || fail "neither gcc nor clang is installed"

# Each of these must be refused, the same program with the line taken out must not be.
refuse() { # what, declaration, statement
    for cc in gcc clang g++ clang++; do
        command -v "$cc" >/dev/null || continue
        local lang=c std=c99
        case $cc in *++) lang=c++ std=c++11 ;; esac
        for with in 0 1; do
            {
                echo '#include "mound.h"'
                echo 'typedef struct mixed { void *pointer; long number; char small; double real; char *array[2];'
                echo '    struct { void *p; } inner; unsigned long word; } mixed;'
                [ $with = 1 ] && echo "$2"
                echo 'void *use(void); void *use(void) {'
                [ $with = 1 ] && echo "$3"
                echo 'return mound_alloc(1); }'
            } >"$work/refuse.$lang"
            "$cc" -x "$lang" "-std=$std" -O2 -Wall -Werror -I"$source_dir/include" -c "$work/refuse.$lang" -o "$work/out.o" \
                >"$work/log" 2>&1
            local status=$?
            [ $with = 0 ] && [ $status -ne 0 ] && fail "$1: the control does not compile: $(head -n 3 "$work/log")"
            [ $with = 1 ] && [ $status -eq 0 ] && fail "$1: $cc accepts it"
        done
        num=$((num + 1))
    done
}
refuse "an integer field listed as a pointer" 'MOUND_TYPE(mixed, number);' ''
refuse "an unsigned word listed as a pointer" 'MOUND_TYPE(mixed, pointer, word);' ''
refuse "a char field listed as a pointer" 'MOUND_TYPE(mixed, small);' ''
refuse "a floating-point field listed as a pointer" 'MOUND_TYPE(mixed, real);' ''
refuse "a struct field listed as a pointer" 'MOUND_TYPE(mixed, inner);' ''
refuse "an array field listed as a pointer" 'MOUND_TYPE(mixed, array);' ''
refuse "a field that does not exist" 'MOUND_TYPE(mixed, missing);' ''
refuse "17 fields" 'MOUND_TYPE(mixed, pointer, pointer, pointer, pointer, pointer, pointer, pointer, pointer, pointer, pointer, pointer, pointer, pointer, pointer, pointer, pointer, pointer);' ''
refuse "a result that is not used" '' 'mound_alloc(10);'
refuse "a format that does not fit" '' 'return mound_asprintf("%s", 5);'

# Single elements of an array of pointers may be listed.
cat >"$work/element.c" <<'END'
#include "mound.h"
typedef struct fan { void *to[3]; } fan;
MOUND_TYPE(fan, to[0], to[1], to[2]);
void *use(void);
void *use(void) { return mound_new_typed(fan); }
END
for cc in gcc clang; do
    command -v "$cc" >/dev/null || continue
    try "elements of an array, $cc" "$cc" -std=gnu99 -O2 "$work/element.c"
done
echo "header_test: $num compilations"
