/* plugin.h - what plugin.c offers to host.c. */
#ifndef PLUGIN_H
#define PLUGIN_H

#include <mound.h>

enum { PLUGIN_ITEMS = 30 };

struct item {
    struct item *next;
    int value;
};

int plugin_chain_ok(const struct item *n, int seed);
void plugin_set(int seed);
int plugin_check(int seed);
int plugin_touch_local(void);
void plugin_cleanup(void *arg);
void *plugin_wide(int seed);

#endif
