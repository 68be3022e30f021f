/* page_copies.h - what stood on a page when it was scanned last. Floor gc.
 *
 * A page that is written again and again while it is marked, a table of pointers with a random
 * store now and then, would be followed again word by word in each round. With a copy of it only
 * the words that changed are followed: a page takes a fraction of a microsecond instead of several.
 * Copies hold for one cycle.
 *
 * Workers call this for different pages at a time. A page that two of them have at once (a range
 * whose report was repeated) is followed too often, never too seldom: a word in the copy was
 * followed, or whoever made the copy is about to.
 */
#ifndef MO_PAGE_COPIES_H
#define MO_PAGE_COPIES_H

#include "base/compiler.h"

/* A cycle begins; at most max_bytes for copies. */
void mo_page_copies_begin(size_t max_bytes);
/* The copy of an OS page that is scanned again: NULL the first time, or if there is no room: follow
 * all its words. *is_new: it was scanned before, but the copy is not filled yet: follow all words
 * and put them there. */
uintptr_t *mo_page_copy_of(uintptr_t page, bool *is_new);

#endif
