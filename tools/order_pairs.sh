#!/usr/bin/env bash
# Every atomic access in src/ says why its memory order is enough:
#  - an ordered one (_acq, _rel, _acqrel, _seq) has a comment on its line, in the 3 lines above or in
#    the line below with a letter in brackets, the name of the site: /* [P] */. The same letter
#    stands at one more site at least, or the comment names the partner's letter: /* [L] pairs with
#    [U] */. A partner is looked for in the same file and its header; elsewhere: [U] in lock.h, or
#    lock.h [U];
#  - a relaxed one (_rlx) has a comment there.
# src/base/atomic.h, which defines the accesses, is left out.
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck disable=SC2016 # awk's dollars
find src -name '*.[ch]' ! -path src/base/atomic.h | sort | xargs -r awk '
function unit(path) { sub(/.*\//, "", path); sub(/\.[ch]$/, "", path); return path }
# Splits a line into comment (the result) and the global code; inside: an open /* .
function comment(line,    text, at, end) {
    text = ""
    while (line != "") {
        if (inside) {
            end = index(line, "*/")
            if (!end) return text line " "
            text = text substr(line, 1, end - 1) " "
            line = substr(line, end + 2)
            inside = 0
            continue
        }
        at = match(line, /\/\*|\/\//)
        if (!at) { code = code line; return text }
        code = code substr(line, 1, at - 1)
        if (substr(line, at, 2) == "//") return text substr(line, at + 2) " "
        line = substr(line, at + 2)
        inside = 1
    }
    return text
}
function violation(where, what) { print where ": " what; bad++ }

# One access at a line whose next line is known by now: the formatter may have moved the comment there.
function check_access(call, line,    where, near, i, text, letter, before, rest, other, named) {
    where = file ":" line
    near = said[line + 1] said[line] said[line - 1] said[line - 2] said[line - 3]
    if (call ~ /_rlx/) {
        relaxed++
        if (near ~ /^[ \t]*$/) violation(where, call " says not why relaxed is enough")
        return
    }
    ordered++
    if (near !~ /\[[A-Z]\]/) {
        violation(where, call " has no letter such as [P] that names its partner")
        return
    }
    # The nearest line with a letter speaks for this access; its first letter is the site.
    for (i = line; i >= line - 3 && said[i] !~ /\[[A-Z]\]/; i--) {}
    if (i < line - 3) i = line + 1
    text = said[i]
    match(text, /\[[A-Z]\]/)
    letter = substr(text, RSTART + 1, 1)
    before = substr(text, 1, RSTART - 1)
    rest = substr(text, RSTART + RLENGTH) (has_code[i + 1] ? "" : said[i + 1]) # a comment may go on
    sites[here, letter]++
    first[here, letter] = where
    # "pairs with file.c [X]" in front: the letter is shared with that file.
    if (match(before, /with [a-z0-9_]+\.[ch] $/)) {
        other = unit(substr(before, RSTART + 5, RLENGTH - 6))
        partner[where] = other SUBSEP letter
        paired[here, letter] = 1
    }
    while (match(rest, /([a-z0-9_]+\.[ch] )?\[[A-Z]\]( in [a-z0-9_]+\.[ch])?/)) {
        named = substr(rest, RSTART, RLENGTH)
        rest = substr(rest, RSTART + RLENGTH)
        other = here
        if (match(named, /[a-z0-9_]+\.[ch]/)) other = unit(substr(named, RSTART, RLENGTH))
        match(named, /\[[A-Z]\]/)
        partner[where, ++count] = other SUBSEP substr(named, RSTART + 1, 1)
        paired[here, letter] = 1
    }
}
function check_pending(    i) {
    for (i = 1; i <= num_pending; i++) check_access(pending[i], pending_line)
    num_pending = 0
}

FNR == 1 { check_pending(); inside = 0; delete said; delete has_code; file = FILENAME; here = unit(FILENAME) }
{
    code = ""
    said[FNR] = comment($0)
    has_code[FNR] = code !~ /^[ \t]*$/
    check_pending()
    while (match(code, /mo_(load|store|cas|add|sub|or|and|fetch_[a-z]+|xchg|fence)_[a-z0-9_]*[ \t]*\(/)) {
        pending[++num_pending] = substr(code, RSTART, RLENGTH - 1)
        pending_line = FNR
        code = substr(code, RSTART + RLENGTH)
    }
}
END {
    check_pending()
    for (key in sites) {
        letters++
        split(key, part, SUBSEP)
        if (sites[key] < 2 && !(key in paired))
            violation(first[key], "[" part[2] "] stands at one site only: name its partner")
    }
    for (key in partner)
        if (!(partner[key] in sites)) {
            split(partner[key], part, SUBSEP)
            split(key, at, SUBSEP)
            violation(at[1], "its partner [" part[2] "] stands at no access in " part[1] ".c or .h")
        }
    printf "order_pairs: %d ordered accesses, %d letters, %d relaxed, %d violations\n",
        ordered, letters, relaxed, bad
    exit bad > 0
}'
