/* environment.c - reads the MOUND_* variables.
 *
 * A value that cannot be read is an error, not a default: a misspelt limit that is silently
 * ignored is found in production.
 *
 * Floor   gc.
 */
#include "gc/environment.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sched/sched.h"
#include "sys/cgroup.h"

enum { GOROUTINE_STACK_BYTES = 256 << 10 };

/* A decimal number in lo..hi that is all of text[0..len). */
static bool read_number(const char *text, size_t len, long long lo, long long hi, long long *out) {
    char buf[24];
    if (len == 0 || len >= sizeof buf || !(text[0] >= '0' && text[0] <= '9')) return false;
    memcpy(buf, text, len);
    buf[len] = '\0';
    char *end;
    int saved = errno;
    errno = 0;
    *out = strtoll(buf, &end, 10);
    bool ok = errno == 0 && *end == '\0' && *out >= lo && *out <= hi;
    errno = saved;
    return ok;
}

typedef struct unit {
    const char *name;
    long long factor;
} unit;

/* A number and a unit of the list, which ends with an empty name; that one stands for no unit. */
static bool read_quantity(const char *text, const unit *units, long long *out) {
    size_t digits = strspn(text, "0123456789");
    while (*units->name && strcmp(units->name, text + digits) != 0) units++;
    if (strcmp(units->name, text + digits) != 0 || units->factor == 0) return false;
    if (!read_number(text, digits, 0, LLONG_MAX / units->factor, out)) return false;
    *out *= units->factor;
    return true;
}

static const unit times[] = {{"ns", 1}, {"us", 1000}, {"ms", 1000000}, {"s", 1000000000}, {"", 0}};
static const unit sizes[] = {
    {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"B", 1}, {"", 1}};

typedef struct debug_key {
    const char *name;
    long long max;
} debug_key;

enum {
    GCTRACE,
    GCSTRESS,
    GCCHECKMARK,
    SCRIBBLE,
    POISON,
    VECTOR,
    VERIFY,
    SEED,
    INITTRACE,
    SYSFAULT,
    HEAPEND,
    SCHEDTRACE,
    YIELD,
    ALLPROCS,
    NUM_KEYS
};
static const debug_key keys[NUM_KEYS] = {
    [GCTRACE] = {"gctrace", 1},
    [GCSTRESS] = {"gcstress", INT_MAX},
    [GCCHECKMARK] = {"gccheckmark", 1},
    [SCRIBBLE] = {"scribble", 1},
    [VERIFY] = {"verify", 1},
    [SEED] = {"seed", LLONG_MAX},
    [INITTRACE] = {"inittrace", 1},
    [SYSFAULT] = {"sysfault", LLONG_MAX},
    [HEAPEND] = {"heapend", 1},
    [POISON] = {"poison", 1},
    [VECTOR] = {"vector", MO_CPU_AVX512},
    [SCHEDTRACE] = {"schedtrace", INT_MAX},
    [YIELD] = {"yield", INT_MAX},
    [ALLPROCS] = {"allprocs", 1},
};

static void apply(mo_environment *env, int key, long long value) {
    mo_debug *d = &env->debug;
    switch (key) {
    case GCTRACE: d->gctrace = value != 0; break;
    case GCSTRESS: d->stress = (uint32_t)value; break;
    case GCCHECKMARK: d->checkmark = value != 0; break;
    case SCRIBBLE: d->scribble = value != 0; break;
    case POISON: d->poison = value != 0; break;
    case VECTOR: env->vector_level = (mo_cpu_level)value; break;
    case VERIFY: d->verify = value != 0; break;
    case SEED: d->seed = (uint64_t)value; break;
    case INITTRACE: d->inittrace = value != 0; break;
    case SYSFAULT: d->sysfault = (uint64_t)value; break;
    case HEAPEND: env->heap_ends = value != 0; break;
    case SCHEDTRACE: env->sched.trace_ms = (uint32_t)value; break;
    case YIELD: env->sched.yield_seed = (uint32_t)value; break;
    case ALLPROCS: env->sched.holds_none = value != 0; break;
    }
}

static bool read_debug(mo_environment *env, const char *text, char *error, size_t error_len) {
    while (*text) {
        size_t len = strcspn(text, ","), name_len = strcspn(text, "=,");
        int key = 0;
        while (key < NUM_KEYS &&
               (strlen(keys[key].name) != name_len || memcmp(keys[key].name, text, name_len) != 0))
            key++;
        long long value = 0;
        bool ok = key < NUM_KEYS && name_len < len &&
                  read_number(text + name_len + 1, len - name_len - 1, 0, keys[key].max, &value);
        if (len > 0 && !ok) {
            snprintf(
                error, error_len,
                "MOUND_DEBUG: cannot read \"%.*s\"; use key=number with gctrace, gcstress, "
                "gccheckmark, scribble, "
                "poison, verify, seed, inittrace, sysfault, heapend, vector, schedtrace, yield or "
                "allprocs, "
                "separated by commas",
                (int)mo_min(len, 60), text);
            return false;
        }
        if (ok) apply(env, key, value);
        text += len + (text[len] == ',');
    }
    return true;
}

/* Processors by affinity, no more than the control group's quota rounded up, but two where there
 * are: one that waits in the system does not stop the rest. */
static int default_procs(void) {
    int cpus = (int)mo_cpu_count();
    int64_t quota = mo_cgroup_cpu_millis();
    if (quota < (int64_t)cpus * 1000) {
        int least = cpus < 2 ? cpus : 2, whole = (int)((quota + 999) / 1000);
        cpus = whole < least ? least : whole;
    }
    return cpus > MO_MAX_PROCS / 2 ? MO_MAX_PROCS / 2 : cpus;
}

bool mo_environment_read(mo_environment *env, char *error, size_t error_len) {
    memset(env, 0, sizeof *env);
    env->gc_percent = 100;
    env->signal = SIGURG;
    env->max_workers = mo_cpu_count();
    env->vector_level = MO_CPU_AVX512;
    const char *text = getenv("MOUND_GOGC");
    long long n;
    if (text && *text) {
        if (strcmp(text, "off") == 0) {
            env->gc_percent = -1;
        } else if (read_number(text, strlen(text), 0, INT_MAX, &n)) {
            env->gc_percent = (int)n;
        } else {
            snprintf(error, error_len,
                     "MOUND_GOGC=%.60s cannot be read; use a percentage such as 100, or off", text);
            return false;
        }
    }
    text = getenv("MOUND_SIGNAL");
    if (text && *text) {
        if (!read_number(text, strlen(text), 1, SIGRTMAX, &n) || n == SIGKILL || n == SIGSTOP ||
            n == SIGSEGV) {
            snprintf(error, error_len,
                     "MOUND_SIGNAL=%.60s cannot be used; give the number of a signal the program "
                     "leaves alone, such as %d",
                     text, SIGURG);
            return false;
        }
        env->signal = (int)n;
    }
    text = getenv("MOUND_GCWORKERS");
    if (text && *text) {
        if (!read_number(text, strlen(text), 1, 64, &n)) {
            snprintf(error, error_len, "MOUND_GCWORKERS=%.60s cannot be read; use 1 to 64", text);
            return false;
        }
        env->max_workers = (uint32_t)n;
    }
    env->sched.max_procs = default_procs();
    text = getenv("MOUND_MAXPROCS");
    if (text && *text) {
        if (!read_number(text, strlen(text), 1, MO_MAX_PROCS / 2, &n)) {
            snprintf(error, error_len, "MOUND_MAXPROCS=%.60s cannot be read; use 1 to %d", text,
                     MO_MAX_PROCS / 2);
            return false;
        }
        env->sched.max_procs = (int)n;
    }
    env->sched.stack_bytes = GOROUTINE_STACK_BYTES;
    text = getenv("MOUND_STACK");
    if (text && *text) {
        if (!read_quantity(text, sizes, &n) || n < MO_STACK_MIN_BYTES ||
            (size_t)n > MO_STACK_MAX_BYTES) {
            snprintf(error, error_len,
                     "MOUND_STACK=%.60s cannot be read; use a size from 64KiB to 1GiB", text);
            return false;
        }
        env->sched.stack_bytes = (size_t)n;
    }
    env->pause_target_ns = 1000000;
    text = getenv("MOUND_PAUSE_TARGET");
    if (text && *text) {
        if (!read_quantity(text, times, &n) || n < 1) {
            snprintf(error, error_len,
                     "MOUND_PAUSE_TARGET=%.60s cannot be read; use a time such as 1ms or 500us",
                     text);
            return false;
        }
        env->pause_target_ns = (uint64_t)n;
    }
    env->memory_limit = INT64_MAX;
    text = getenv("MOUND_MEMLIMIT");
    if (text && *text && strcmp(text, "off") != 0) {
        if (strcmp(text, "auto") == 0) {
            env->memory_limit = mo_cgroup_memory_limit();
            if (env->memory_limit != INT64_MAX) env->memory_limit -= env->memory_limit / 10;
        } else if (read_quantity(text, sizes, &n) && n >= 1) {
            env->memory_limit = n;
        } else {
            snprintf(error, error_len,
                     "MOUND_MEMLIMIT=%.60s cannot be read; use a size such as 512MiB, auto (the "
                     "cgroup's limit) or off",
                     text);
            return false;
        }
    }
    text = getenv("MOUND_BARRIER");
    if (text && *text) {
        if (strcmp(text, "os") == 0) {
            env->barrier = MO_BARRIER_OS;
        } else if (strcmp(text, "none") == 0) {
            env->barrier = MO_BARRIER_NONE;
        } else if (strcmp(text, "auto") != 0) {
            snprintf(error, error_len, "MOUND_BARRIER=%.60s cannot be read; use auto, os or none",
                     text);
            return false;
        }
    }
    text = getenv("MOUND_DEBUG");
    return !text || read_debug(env, text, error, error_len);
}
