/* stream.h - copying and clearing much memory. Floor sys.
 *
 * From MO_STREAM_MIN_BYTES on past the caches: a store there reads no line before it writes it, and
 * so much would push everything else out of them. Figures: docs/design/heap.md.
 */
#ifndef MO_STREAM_H
#define MO_STREAM_H

#include "base/compiler.h"

enum { MO_STREAM_MIN_BYTES = 4 << 20 };

/* As memcpy and memset(to, 0, bytes), and ordered with later stores as these are. */
void mo_copy(void *to, const void *from, size_t bytes);
void mo_clear(void *to, size_t bytes);

#endif
