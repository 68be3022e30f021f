/* soak_plugin.c - a shared object that holds pointers in its globals and in thread-local storage.
 * Built twice: PLUGIN_TLS_BYTES above what the loader keeps for late comers means a block for each
 * thread, made at its first use. */
#include "soak_plugin.h"

#include <mound.h>

static void *slots[PLUGIN_SLOTS];
static __thread struct {
    char fill[PLUGIN_TLS_BYTES];
    void *obj;
} local;
static unsigned num_run; /* gone when the plugin is: a cleanup that came later would fault */

static void *exchange(size_t i, void *obj) {
    void *old = slots[i];
    slots[i] = obj;
    return old;
}

static void *get(size_t i) { return slots[i]; }

static void *exchange_local(void *obj) {
    void *old = local.obj;
    local.obj = obj;
    return old;
}

static void on_cleanup(void *arg) {
    (void)arg;
    __atomic_add_fetch(&num_run, 1, __ATOMIC_RELAXED);
}

static void litter(void) {
    for (int i = 0; i < 20; i++) mound_add_cleanup(mound_alloc(32), on_cleanup, NULL);
}

const plugin_offer soak_plugin = {exchange, get, exchange_local, litter};
