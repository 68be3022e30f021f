/* misuse.c - see misuse.h. Floor types. */
#include "types/misuse.h"

#include <stdarg.h>
#include <stdio.h>

#include "sched/backtrace.h"
#include "sched/sched.h"

void mo_misuse(const char *format, ...) {
    char text[300], who[80];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    mo_thread *t = mo_thread_now();
    mo_g *g = t->g;
    if (g)
        snprintf(who, sizeof who, "goroutine %llu%s%s%s", (unsigned long long)g->id,
                 g->name ? " (" : "", g->name ? g->name : "", g->name ? ")" : "");
    else
        snprintf(who, sizeof who, "thread %d", t->tid);
    mo_backtrace_here();
    mo_fatal("%s (%s)", text, who);
}
