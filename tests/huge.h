/* huge.h - for tests of huge pages: making them, and what the system was advised. */
#ifndef HUGE_H
#define HUGE_H

#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>

#include "support.h"

#include "heap/page_alloc.h"

enum { BLOCK_BYTES = MO_BLOCK_PAGES << MO_PAGE_SHIFT };

/* As khugepaged, at once. -1, errno EINVAL: not where huge pages are forbidden; or no such call. */
static int collapse(uintptr_t lo) {
    return madvise((void *)lo, BLOCK_BYTES, 25 /* MADV_COLLAPSE, Linux 6.1 */);
}

/* Bytes of [lo, hi) in mappings with a flag in /proc/self/smaps; hg, nh: huge pages are advised,
 * forbidden. */
static size_t bytes_advised(uintptr_t lo, uintptr_t hi, const char *flag) {
    FILE *f = fopen("/proc/self/smaps", "re");
    if (!f) {
        perror("/proc/self/smaps");
        abort();
    }
    char line[512], word[8];
    uintptr_t from = 0, to = 0, l, h;
    size_t sum = 0;
    snprintf(word, sizeof word, " %s", flag);
    while (fgets(line, sizeof line, f)) {
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &l, &h) == 2) {
            from = l > lo ? l : lo;
            to = h < hi ? h : hi;
        } else if (strncmp(line, "VmFlags:", 8) == 0 && from < to && strstr(line, word)) {
            sum += to - from;
        }
    }
    fclose(f);
    return sum;
}

#endif
