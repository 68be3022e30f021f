/* plugin.c - a shared object that holds references: in a global, in thread-local storage, and made
 * by its constructor. Built several times: PLUGIN_TLS_BYTES sets the size of the thread-local
 * block, PLUGIN_SLEEP_US makes the constructor wait. */
#include <errno.h>
#include <time.h>

#include "plugin.h"

#ifndef PLUGIN_TLS_BYTES
#define PLUGIN_TLS_BYTES 64
#endif
#ifndef PLUGIN_SLEEP_US
#define PLUGIN_SLEEP_US 0
#endif

static struct item *global_item, *constructed_item;
static __thread struct {
    char fill[PLUGIN_TLS_BYTES];
    struct item *item;
} local;

static struct item *make_chain(int seed) {
    struct item *first = NULL;
    for (int i = 0; i < PLUGIN_ITEMS; i++) {
        struct item *n = mound_new(struct item);
        n->next = first;
        n->value = seed + i;
        first = n;
    }
    return first;
}

int plugin_chain_ok(const struct item *n, int seed) {
    for (int i = PLUGIN_ITEMS; i-- > 0; n = n->next)
        if (!n || n->value != seed + i) return 0;
    return n == NULL;
}

__attribute__((constructor)) static void construct(void) {
    constructed_item = make_chain(1000);
    /* Stops interrupt it; the time of its end stays. */
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_nsec += PLUGIN_SLEEP_US * 1000L;
    end.tv_sec += end.tv_nsec / 1000000000;
    end.tv_nsec %= 1000000000;
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) == EINTR) continue;
}

void plugin_set(int seed) {
    global_item = make_chain(seed);
    local.item = make_chain(seed + 1);
}

/* 0, or which reference was lost. */
int plugin_check(int seed) {
    if (!plugin_chain_ok(constructed_item, 1000)) return 1;
    if (!plugin_chain_ok(global_item, seed)) return 2;
    if (!plugin_chain_ok(local.item, seed + 1)) return 3;
    return 0;
}

/* Objects whose type stands in this object's memory and is too wide for a bitmap. */
typedef struct wide {
    struct item *near;
    char fill[1000];
    struct item *far;
} wide;
MOUND_TYPE(wide, near, far);

void *plugin_wide(int seed) {
    wide *w = mound_new_typed(wide);
    w->near = make_chain(seed);
    w->far = make_chain(seed + 1);
    return w;
}

int plugin_touch_local(void) { return local.fill[PLUGIN_TLS_BYTES / 2] != 0; }

void plugin_cleanup(void *arg) { ++*(int *)arg; }
