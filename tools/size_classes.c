/* size_classes.c - prints src/heap/size_class_table.h.
 *
 *     cc tools/size_classes.c -o /tmp/sc && /tmp/sc > src/heap/size_class_table.h
 *
 * Sizes: every 16 bytes up to 128, then eight steps a doubling up to 32 KiB, so that a request
 * wastes at most 12.5 % of its slot (from 113 bytes up). Span pages: the fewest for which the
 * tail wastes at most 6.25 % and sizes up to 8 KiB get at least 4 objects. A class that would
 * give as many objects from as many pages as the next is dropped if the 12.5 % still hold.
 * Three more for what maps ask for most, tables of 32, 64 and 128 groups of 16-byte entries
 * (types/map.h): they waste at most 1.6 % of a slot and of a span, not 5.5.
 * Last, out of order, one of 24 bytes for texts of 17 to 23: they need no alignment to 16, and
 * never fill their slot. Object index in a span = (offset * magic) >> 32, verified here for every
 * offset.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    PAGE_BYTES = 8192,
    MAX_SMALL = 32768,
    TEXT_BYTES = 24,
    MIN_OBJECTS = 4,
    MAX_SPAN_PAGES = 16,
    MAX_CLASSES = 128
};

/* Least multiples of 128 (see MO_SIZE_TO_CLASS_128) for (8 + 8 * 16) * groups + 16 bytes. */
static const uint32_t map_tables[] = {4480, 8832, 17536};
enum { NUM_MAP_TABLES = sizeof(map_tables) / sizeof(map_tables[0]) };

static bool is_map_table(uint32_t size) {
    for (int i = 0; i < NUM_MAP_TABLES; i++)
        if (map_tables[i] == size) return true;
    return false;
}

static int compare(const void *a, const void *b) {
    return (int)*(const uint32_t *)a - (int)*(const uint32_t *)b;
}

static uint32_t span_pages(uint32_t size) {
    uint32_t share = is_map_table(size) ? 64 : 16;
    for (uint32_t pages = 1; pages <= MAX_SPAN_PAGES; pages++) {
        uint32_t bytes = pages * PAGE_BYTES;
        if (bytes < size || (size <= 8192 && bytes / size < MIN_OBJECTS)) continue;
        if (bytes % size * share <= bytes) return pages;
    }
    fprintf(stderr, "no span for %u\n", size);
    exit(1);
}

int main(void) {
    uint32_t all[MAX_CLASSES], size[MAX_CLASSES], pages[MAX_CLASSES];
    int num_all = 0, num = 1;
    for (uint32_t s = 16; s <= 128; s += 16) all[num_all++] = s;
    for (uint32_t base = 128; base < MAX_SMALL; base *= 2)
        for (uint32_t i = 1; i <= 8; i++) all[num_all++] = base + base / 8 * i;
    for (int i = 0; i < NUM_MAP_TABLES; i++) all[num_all++] = map_tables[i];
    qsort(all, (size_t)num_all, sizeof(all[0]), compare);
    size[0] = pages[0] = 0;
    for (int i = 0; i < num_all; i++) {
        uint32_t p = span_pages(all[i]);
        if (i + 1 < num_all && all[i] > 128) {
            uint32_t next = span_pages(all[i + 1]);
            uint32_t below = num > 1 ? size[num - 1] + 1 : 1;
            bool wasteless = (all[i + 1] - below) * 8 <= all[i + 1];
            if (next == p && next * PAGE_BYTES / all[i + 1] == p * PAGE_BYTES / all[i] && wasteless)
                continue;
        }
        size[num] = all[i];
        pages[num++] = p;
    }
    size[num] = TEXT_BYTES;
    pages[num++] = span_pages(TEXT_BYTES);
    printf("/* size_class_table.h - written by tools/size_classes.c; do not edit. Floor heap. */\n"
           "#ifndef MO_SIZE_CLASS_TABLE_H\n#define MO_SIZE_CLASS_TABLE_H\n\n"
           "#define MO_NUM_SIZE_CLASSES %d /* class 0: large objects */\n\n"
           "/* {bytes, magic, objects, pages} */\n#define MO_SIZE_CLASS_ROWS \\\n    {0, 0, 1, 0}",
           num);
    for (int c = 1; c < num; c++) {
        uint32_t magic = (uint32_t)(0xffffffffu / size[c] + 1);
        for (uint32_t off = 0; off < pages[c] * PAGE_BYTES; off++)
            if ((uint64_t)off * magic >> 32 != off / size[c]) {
                fprintf(stderr, "magic of %u fails at %u\n", size[c], off);
                return 1;
            }
        printf(", \\\n    {%u, %uu, %u, %u}", size[c], magic, pages[c] * PAGE_BYTES / size[c],
               pages[c]);
    }
    printf("\n\n/* class of a size up to 1024, indexed by (size + 15) / 16 */\n#define "
           "MO_SIZE_TO_CLASS_16 \\\n   ");
    for (uint32_t i = 0, c = 1; i <= 64; i++) {
        while (size[c] < i * 16) c++;
        printf(" %u%s", c, i < 64 ? (i % 24 == 23 ? ", \\\n   " : ",") : "\n");
    }
    printf("\n/* class of a size above 1024, indexed by (size - 1024 + 127) / 128 */\n#define "
           "MO_SIZE_TO_CLASS_128 \\\n   ");
    for (uint32_t i = 0, c = 1; i <= (MAX_SMALL - 1024) / 128; i++) {
        while (size[c] < 1024 + i * 128) c++;
        printf(" %u%s", c,
               i < (MAX_SMALL - 1024) / 128 ? (i % 24 == 23 ? ", \\\n   " : ",") : "\n");
    }
    printf("\n#endif\n");
    return 0;
}
