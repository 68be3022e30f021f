/* soak_plugin.h - what soak_plugin.c offers. */
#ifndef SOAK_PLUGIN_H
#define SOAK_PLUGIN_H

#include <stddef.h>

enum { PLUGIN_SLOTS = 16 };

typedef struct plugin_offer {
    /* Stores obj in global slot i, returns what was there. */
    void *(*exchange)(size_t i, void *obj);
    void *(*get)(size_t i);
    /* The same for the calling thread's own slot. */
    void *(*exchange_local)(void *obj);
    /* Drops objects with cleanups whose function is the plugin's. */
    void (*litter)(void);
} plugin_offer;

extern const plugin_offer soak_plugin;

#endif
