/* loading.c - shared objects that hold things, loaded and unloaded. */
#include "loading.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

#include "market.h"
#include "soak_plugin.h"

typedef struct plugin {
    const char *name;
    pthread_mutex_t lock; /* guards all below and the plugin's globals */
    void *handle;         /* NULL: not loaded */
    const plugin_offer *offer;
} plugin;

static plugin plugins[] = {
    {.name = "soak_plugin.so", .lock = PTHREAD_MUTEX_INITIALIZER},
    {.name = "soak_plugin_large.so", .lock = PTHREAD_MUTEX_INITIALIZER},
};
enum { PLUGINS = sizeof plugins / sizeof plugins[0] };

static void load(plugin *p) {
    char path[sizeof soak.dir + 64];
    snprintf(path, sizeof path, "%s/%s", soak.dir, p->name);
    p->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    require(p->handle, "%s", dlerror());
    p->offer = dlsym(p->handle, "soak_plugin");
    require(p->offer, "%s", dlerror());
    count_add(COUNT_LOADS, 1);
}

static void unload(plugin *p, mo_rand *r) {
    for (size_t i = 0; i < PLUGIN_SLOTS; i++) {
        thing *t = p->offer->exchange(i, NULL);
        if (!t) continue;
        thing_verify(t, "a plugin's globals, before it is unloaded");
        if (one_in(r, 2)) market_exchange(t, r);
    }
    dlclose(p->handle);
    p->handle = NULL;
}

static void verify(const plugin *p) {
    for (size_t i = 0; p->handle && i < PLUGIN_SLOTS; i++) {
        const thing *t = p->offer->get(i);
        if (t) thing_verify(t, "a plugin's globals");
    }
}

/* The thread-local slot has the only pointer to t meanwhile. */
static NOINLINE thing *pass_through_local(const plugin *p, thing *t, mo_rand *r) {
    require(!p->offer->exchange_local(t), "a fresh thread-local slot is not empty");
    litter(r, 200);
    if (one_in(r, 4)) mound_gc();
    return p->offer->exchange_local(NULL);
}

thing *loading_step(thing *mine, mo_rand *r) {
    plugin *p = &plugins[mo_rand_below(r, PLUGINS)];
    pthread_mutex_lock(&p->lock);
    if (!p->handle) load(p);
    if (one_in(r, 3)) p->offer->litter();
    if (one_in(r, 2)) mine = pass_through_local(p, mine, r);
    mine = p->offer->exchange(mo_rand_below(r, PLUGIN_SLOTS), mine);
    if (one_in(r, 6)) unload(p, r);
    pthread_mutex_unlock(&p->lock);
    return mine;
}

void loading_verify(void) {
    for (int i = 0; i < PLUGINS; i++) verify(&plugins[i]);
}
