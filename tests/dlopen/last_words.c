/* last_words.c - an object whose destructor is the first to use mound. */
#include <mound.h>

__attribute__((destructor)) static void say(void) { mound_keep_alive(mound_alloc(16)); }
