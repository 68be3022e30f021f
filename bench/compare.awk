# compare.awk - the tables of bench/compare, from bars.txt and its data.
#
# Data lines: row, who, round, metric, value. A cell is the median over the rounds with the least
# and greatest value beside it; "x NAME" is mound's median over NAME's.

function fmt(v) {
    if (v == int(v) && v < 1e9 && v > -1e9) return sprintf("%d", v)
    return v >= 100 ? sprintf("%.0f", v) : v >= 10 ? sprintf("%.1f", v) : v >= 1 ? sprintf("%.2f", v) : sprintf("%.3f", v)
}

# Sorts the values of one cell in place (insertion: there are few).
function sort_cell(key, num,    i, j, v) {
    for (i = 2; i <= num; i++) {
        v = value[key, i]
        for (j = i - 1; j >= 1 && value[key, j] > v; j--) value[key, j + 1] = value[key, j]
        value[key, j + 1] = v
    }
}

function add_metric(row, metric) {
    if (!((row, metric) in seen_metric)) {
        seen_metric[row, metric] = 1
        metrics[row, ++num_metrics[row]] = metric
    }
}

function cell(row, metric, who,    key) {
    key = row SUBSEP metric SUBSEP who
    if (!(key in median)) return "-"
    if (lowest[key] == highest[key]) return fmt(median[key])
    return fmt(median[key]) " (" fmt(lowest[key]) ".." fmt(highest[key]) ")"
}

function quotient(row, metric, who) {
    if (!((row, metric, "mound") in median) || !((row, metric, who) in median)) return ""
    if (median[row, metric, who] == 0) return ""
    return median[row, metric, "mound"] / median[row, metric, who]
}

# The rule about memory: 1 if the row's speed must not count. Two rows have no such limit: memory is
# what gor_million is about and has a bar there, and only mound's gor_deep keeps all its stacks.
function is_too_big(row,    limit) {
    if (row == "gor_million" || row == "gor_deep") return 0
    if (!((row, "rss_mib", "mound") in median) || !((row, "rss_mib", "go") in median)) return 0
    limit = 1.1 * median[row, "rss_mib", "go"]
    if (median[row, "rss_mib", "go"] < 64) limit += 16
    return median[row, "rss_mib", "mound"] > limit
}

# One line of a table: fields 1..num of out[]. Widths only matter for text.
function emit(num, first_width, width,    i, line) {
    if (format == "markdown") {
        line = "|"
        for (i = 1; i <= num; i++) line = line " " out[i] " |"
    } else {
        line = sprintf("  %-" first_width "s", out[1])
        for (i = 2; i <= num; i++) line = line sprintf("%" (i > num_cells + 1 ? 12 : width) "s", out[i])
    }
    print line
}

function rule(num,    i, line) {
    if (format != "markdown") return
    line = "|---|"
    for (i = 2; i <= num; i++) line = line "---:|"
    print line
}

function title(text, remark) {
    if (format == "markdown") print "## " text (remark == "" ? "" : "\n\n" remark) "\n"
    else print text (remark == "" ? "" : "   " remark)
}

function print_row(row,    i, k, num, who, remark, metric, q) {
    remark = sprintf("other processes up to %.1f %%, steal up to %.1f %%", max_other[row], max_steal[row])
    if (is_too_big(row)) remark = remark "; RSS! mound's peak memory is over the limit, the row does not count"
    title(row, remark)
    num = 1
    out[1] = "metric"
    num_cells = 0
    for (k = 1; k <= num_who; k++) if ((row, order[k]) in takes_part) { out[++num] = order[k]; num_cells++ }
    for (k = 1; k <= num_who; k++) if (order[k] != "mound" && ((row, order[k]) in takes_part)) out[++num] = "x " order[k]
    emit(num, 24, 26)
    rule(num)
    for (i = 1; i <= num_metrics[row]; i++) {
        metric = metrics[row, i]
        num = 1
        out[1] = metric
        for (k = 1; k <= num_who; k++) if ((row, order[k]) in takes_part) out[++num] = cell(row, metric, order[k])
        for (k = 1; k <= num_who; k++) {
            who = order[k]
            if (who == "mound" || !((row, who) in takes_part)) continue
            q = metric ~ /^(gcs|pause_ms|allocated_mb)$/ ? "" : quotient(row, metric, who)
            out[++num] = q == "" ? "" : sprintf("%.2f", q)
        }
        emit(num, 24, 26)
    }
    print ""
}

function difference(row, metric, vs) {
    if (!((row, metric, "mound") in median) || !((row, metric, vs) in median)) return ""
    return median[row, metric, "mound"] - median[row, metric, vs]
}

# A row about latency says nothing if fewer than three collections lie in its time.
function is_too_short(row) {
    return row ~ /^(latency|gaps)/ && median[row, "gcs", "mound"] < 3
}

function print_bars(    i, row, metric, vs, got, ok, verdict, num_pass, num_judged) {
    title("bars", "")
    out[1] = "row"; out[2] = "metric"; out[3] = "against"; out[4] = "mound"; out[5] = "bar"; out[6] = "verdict"
    num_cells = 99
    emit(6, 14, 24)
    rule(6)
    for (i = 1; i <= num_bars; i++) {
        row = bar_row[i]; metric = bar_metric[i]; vs = bar_vs[i]
        if (!(row in num_metrics)) continue
        if (vs == "-") got = ((row, metric, "mound") in median) ? median[row, metric, "mound"] : ""
        else if (bar_op[i] == "<=+") got = difference(row, metric, vs)
        else got = quotient(row, metric, vs)
        if (got == "") verdict = "no data"
        else {
            ok = bar_op[i] == ">=" ? got >= bar_factor[i] : got <= bar_factor[i]
            verdict = is_too_big(row) ? "RSS!" : is_too_short(row) ? "GCS!" : bar_aim[i] ? (ok ? "aim met" : "aim missed") : ok ? "pass" : "MISS"
            if (!bar_aim[i]) { num_judged++; if (verdict == "pass") num_pass++ }
        }
        out[1] = row; out[2] = metric; out[3] = vs == "-" ? "" : vs
        out[4] = got == "" ? "-" : sprintf("%.2f", got)
        out[5] = bar_op[i] " " bar_factor[i]; out[6] = verdict
        emit(6, 14, 24)
    }
    print (format == "markdown" ? "\n" : "  ") num_pass + 0 " of " num_judged + 0 " bars passed"
}

FILENAME ~ /bars\.txt$/ {
    if ($0 !~ /^[ \t]*(#|$)/) {
        num_bars++
        bar_row[num_bars] = $1; bar_metric[num_bars] = $2; bar_vs[num_bars] = $3
        bar_op[num_bars] = $4; bar_factor[num_bars] = $5 + 0; bar_aim[num_bars] = $6 == "aim"
    }
    next
}

{
    row = $1; who = $2; metric = $4
    if (!(row in known_row)) { known_row[row] = 1; row_list[++num_rows] = row }
    takes_part[row, who] = 1
    if (metric == "other_pct") { if ($5 > max_other[row]) max_other[row] = $5; next }
    if (metric == "steal_pct") { if ($5 > max_steal[row]) max_steal[row] = $5; next }
    add_metric(row, metric)
    key = row SUBSEP metric SUBSEP who
    value[key, ++count[key]] = $5 + 0
}

END {
    num_who = split("mound typed control go boehm mimalloc khash glib uthash", order, " ")
    for (key in count) {
        num = count[key]
        sort_cell(key, num)
        median[key] = num % 2 ? value[key, (num + 1) / 2] : (value[key, num / 2] + value[key, num / 2 + 1]) / 2
        lowest[key] = value[key, 1]
        highest[key] = value[key, num]
    }
    # Two threads together against one: 2 x ns(1 thread) / ns(2 threads).
    num_alloc = ("alloc1" in known_row) && ("alloc2" in known_row) ? num_metrics["alloc1"] : 0
    for (i = 1; i <= num_alloc; i++) {
        metric = metrics["alloc1", i]
        if (metric !~ /_ns$/) continue
        scaling = metric
        sub(/_ns$/, "_scaling", scaling)
        for (k = 1; k <= num_who; k++) {
            if (!(("alloc1", metric, order[k]) in median) || !(("alloc2", metric, order[k]) in median)) continue
            add_metric("alloc2", scaling)
            key = "alloc2" SUBSEP scaling SUBSEP order[k]
            median[key] = lowest[key] = highest[key] = 2 * median["alloc1", metric, order[k]] / median["alloc2", metric, order[k]]
        }
    }
    for (i = 1; i <= num_rows; i++) print_row(row_list[i])
    print_bars()
}
