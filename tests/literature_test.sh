#!/usr/bin/env bash
# The programs of examples/literature show what they claim: each ends well, its last line begins with
# ok, and the lines that matter are there. keep_alive is built by gcc and by clang, without and with
# optimization, as what it shows depends on where compilers keep pointers. MOUND_SOURCE_DIR,
# MOUND_BUILD_DIR, MOUND_SANITIZE: as ctest sets them.
set -u
: "${MOUND_SOURCE_DIR:?}" "${MOUND_BUILD_DIR:?}"
source_dir=$MOUND_SOURCE_DIR/examples/literature
programs=$MOUND_BUILD_DIR/examples/literature
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0 num_runs=0

# What must not change what they show.
modes=(MOUND_BARRIER=none MOUND_MAXPROCS=1 MOUND_STACK=64KiB MOUND_GOGC=50 MOUND_DEBUG=yield=1
    MOUND_DEBUG=gccheckmark=1 "MOUND_DEBUG=scribble=1,verify=1")

fail() {
    echo "literature_test: $1" >&2
    tail -n 5 "$dir/out" "$dir/err" >&2
    failed=1
}

# run WHAT PROGRAM ARGUMENT...: ends with 0 and a last line of ok, prints nothing to stderr.
run() {
    local what=$1 got
    shift
    timeout -s QUIT -k 10 120 "$@" >"$dir/out" 2>"$dir/err"
    got=$?
    num_runs=$((num_runs + 1))
    [ $got = 0 ] || { fail "$what: exit status $got"; return 1; }
    mapfile -t out <"$dir/out"
    [[ ${out[-1]:-} == ok* ]] || { fail "$what: the last line does not begin with ok"; return 1; }
    # Under ThreadSanitizer the library may say that a thread takes long to stop.
    [ ! -s "$dir/err" ] || [ "${MOUND_SANITIZE:-}" = thread ] || { fail "$what: prints to stderr"; return 1; }
}

# has WHAT PATTERN...: a line of the last run's output for each, in this order.
has() {
    local what=$1 pattern i=0
    shift
    for pattern in "$@"; do
        while [ $i -lt ${#out[@]} ] && ! [[ ${out[i]} =~ $pattern ]]; do i=$((i + 1)); done
        [ $i -lt ${#out[@]} ] || { fail "$what: no line, or not in this place: $pattern"; return 1; }
        i=$((i + 1))
    done
}

# patterns NAME: of its output, a line each; false if that is not known.
patterns() {
    case $1 in
    escape) cat <<'END' ;;
^main +global_struct, a struct +global$
^add_two_numbers +sum, a local variable +stack$
^new_struct +s, the pointer +stack$
^new_struct +\*s, which is returned +heap$
^run +global_latest, the pointer +global$
^run +\*global_latest +heap$
^global_struct: 1 \+ 2 = 3; \*global_latest: 3 \+ 8 = 11
^ok: [0-9]+ blocks on the stack, 3 global, 4 on the heap
END
    colours) cat <<'END' ;;
^the root +BCDEF +A +-$
^A +DEF +BC +A$
^D +F +E +ABCD$
^F +- +- +ABCDEF$
^after mound_gc: A lives, B lives, C lives, D lives, E lives, F lives$
^D -> E is removed
^D +EF +- +ABCD$
^after mound_gc: A lives, B lives, C lives, D lives, E is gone, F is gone$
END
    reassign) cat <<'END' ;;
^p = &x  and a collection: x lives, y is not made yet$
^p = &y  and a collection: x is gone, y lives, cleanup of x ran$
^p = nil and a collection: x is gone, y is gone, cleanup of y ran$
END
    keep_alive) cat <<'END' ;;
^first slice: +collected, .* length is 2147483648
^second slice: after two collections it is there; its length is 2147483648$
after mound_keep_alive and a collection it is gone$
^third slice:  without mound_keep_alive it (happens to live|is gone) .*: 2147483648$
^what C does not promise
END
    gogc) cat <<'END' ;;
^GOGC=100: live 4\.[0-9]+ MB, stacks and globals [0-9.]+ MB: goal [0-9.]+ MB$
^  after [0-9.]+ MB of garbage it was collected: heap [0-9.]+ MB, goal [0-9.]+ MB$
^GOGC=off: 64 MB of garbage later: 0 collections, heap 6[89]\.
^mound_gc: 1 collection, heap [45]\.
END
    levels) cat <<'END' ;;
thread cache +central list +page heap
^20000 objects of 64 bytes
^3 of 4 dropped, collected, 8000 again
^200 objects of 40 KiB
^an object of 192 MiB: arenas of 64 MiB
END
    collectors) cat <<'END' ;;
^ +time +longest stop +peak memory$
^manual +[0-9]+ ms +0\.000 ms +[0-9.]+ MB
^counting +[0-9]+ ms +[0-9.]+ ms +[0-9.]+ MB
^copying +[0-9]+ ms +[0-9.]+ ms +[0-9.]+ MB
^mark and sweep +[0-9]+ ms +[0-9.]+ ms +[0-9.]+ MB
^concurrent +[0-9]+ ms +[0-9.]+ ms +[0-9.]+ MB
END
    bugs) cat <<END ;;
^malloc: ${MOUND_SANITIZE:+(not shown: |}the next block is where the freed one was${MOUND_SANITIZE:+)}
^mound:  200000 blocks and [0-9]+ collections later, none is where the held one is$
^mound:  without the last pointer it is collected, and its place is used again$
^malloc: ${MOUND_SANITIZE:+(leak not shown: |}4000 blocks made and forgotten: 4[0-9]{3} KiB more are in use${MOUND_SANITIZE:+)}
^mound:  4000 blocks made and forgotten, 4[0-9]{3} KiB: after a collection -?[0-9]+ KiB more
END
    stack) cat <<'END' ;;
ended with status 2:$
^  mound: goroutine 2: stack overflow: its stack of 128 KiB is full
^a goroutine at its start: +[0-9]+ pages
^after 500 nested calls of 1 KiB: +1[0-9]{2} pages$
^returned from them: +1[0-9]{2} pages$
after it began to wait: +[0-9] pages$
after its end: +0 pages$
a goroutine that wants 2 MiB: Invalid argument$
END
    *) return 1 ;;
    esac
}

check() {
    local name=$1 what=$2
    shift 2
    run "$what" "$@" && mapfile -t lines <"$dir/patterns" && has "$what" "${lines[@]}"
}

for source in "$source_dir"/*.c; do
    name=$(basename "$source" .c)
    program=$programs/$name
    patterns "$name" >"$dir/patterns" || { fail "$name: nothing is known here of what it prints"; continue; }
    [ -x "$program" ] || { fail "no program at $program"; continue; }
    arguments=()
    case $name in
    colours) arguments=("$dir/colours.dot") ;;
    collectors) [ -z "${MOUND_SANITIZE:-}" ] || arguments=(20) ;; # rounds: AddressSanitizer's malloc is slow
    esac
    check "$name" "$name" "$program" "${arguments[@]}" || continue
    case $name in
    levels) # the three levels together served all that was asked for
        awk '{ sum = $(NF - 8) + $(NF - 5) + $(NF - 2) }
            /^20000 objects/ && sum != 20000 || / again / && sum != 8000 || /^200 / && sum != 200 { exit 1 }' \
            <(sed -n 2,4p "$dir/out") || fail "levels: the numbers do not add up"
        continue
        ;;
    collectors | stack) continue ;; # long, and their processes set the environment themselves
    esac
    for mode in "${modes[@]}"; do
        case $name.$mode in keep_alive.*scribble*) continue ;; esac # it would fill 2 GiB
        check "$name" "$name, $mode" env "$mode" "$program" "${arguments[@]}"
    done
done

# The graph that colours writes, and what it does where it cannot.
for line in 'root -> A;' 'A -> B;' 'E -> F;' 'F -> E;' 'D \[.*fillcolor=black' 'E \[.*fillcolor=white' 'F \[.*fillcolor=white'; do
    grep -q "^    $line" "$dir/colours.dot" || fail "colours.dot has no line: $line"
done
! grep -q 'D -> E' "$dir/colours.dot" || fail "colours.dot has the link that was removed"
"$programs/colours" "$dir/missing/colours.dot" >"$dir/out" 2>"$dir/err"
got=$?
{ [ $got = 1 ] && grep -q "^FAILED: cannot write" "$dir/out"; } || fail "colours, no such folder: exit status $got"

# Other compilers and levels; all programs without a warning.
if [ -n "${MOUND_SANITIZE:-}" ]; then
    echo "literature_test: skipped other compilers: the archive needs the sanitizer of the one that built it"
else
    cflags=$(sed -n 's/^Cflags: -I[^ ]* //p' "$MOUND_BUILD_DIR/mound.pc")
    [ -n "$cflags" ] || fail "cannot read $MOUND_BUILD_DIR/mound.pc"
    patterns keep_alive >"$dir/patterns"
    for cc in gcc clang; do
        command -v "$cc" >/dev/null || { echo "literature_test: skipped $cc: it is not installed"; continue; }
        # shellcheck disable=SC2206
        compile=("$cc" -std=gnu11 -g -Wall -Wextra -Werror $cflags "-I$MOUND_SOURCE_DIR/include")
        for source in "$source_dir"/*.c; do
            "${compile[@]}" -O2 -c "$source" -o "$dir/any.o" >"$dir/out" 2>"$dir/err" || fail "$cc: $source"
        done
        for level in -O0 -O2; do
            what="keep_alive, $cc $level"
            "${compile[@]}" $level "$source_dir/keep_alive.c" -o "$dir/keep_alive" "$MOUND_BUILD_DIR/libmound.a" \
                -pthread >"$dir/out" 2>"$dir/err" || { fail "$what: does not compile"; continue; }
            check keep_alive "$what" "$dir/keep_alive"
        done
    done
fi
echo "literature_test: $num_runs runs"
exit $failed
