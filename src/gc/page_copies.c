/* page_copies.c - see page_copies.h.
 *
 * A hash table by page number, open addressing; an entry is {page number, copy}, copy 0: seen once.
 * Nothing is ever removed during a cycle.
 *
 * Floor   gc.
 * Locks   none. [Q] an entry is claimed by an exchange; its copy is set by the one worker that has
 *         the page, or by two that each set one: the one that is lost is only wasted.
 */
#include "gc/page_copies.h"

#include <string.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "sys/os_mem.h"

enum {
    TABLE_BITS = MO_VARIETY >= 2 ? 10 : 17,
    TABLE_LEN = 1 << TABLE_BITS,
    MAX_PROBES = 16,
    MAX_COPIES = 1 << 13, /* 32 MiB */
    COPY_BITS = 16,
};

static MO_GLOBAL struct {
    uint64_t *table; /* NULL: no memory for it yet */
    uint8_t *copies;
    uint32_t num_copies; /* handed out */
    uint32_t max_copies;
    uint32_t is_used; /* the table is not empty */
} pc;

void mo_page_copies_begin(size_t max_bytes) {
    if (!pc.table) {
        pc.table = mo_os_map(TABLE_LEN * sizeof *pc.table, "mound page table of copies");
        if (!pc.table) return;
    }
    if (!pc.copies) {
        pc.copies = mo_os_map((size_t)MAX_COPIES * MO_OS_PAGE_BYTES, "mound page copies");
        if (pc.copies) mo_os_huge((uintptr_t)pc.copies, (size_t)MAX_COPIES * MO_OS_PAGE_BYTES);
    }
    pc.max_copies = pc.copies ? (uint32_t)mo_min(max_bytes / MO_OS_PAGE_BYTES, MAX_COPIES) : 0;
    if (pc.is_used) memset(pc.table, 0, TABLE_LEN * sizeof *pc.table);
    pc.is_used = pc.num_copies = 0;
}

static uintptr_t *new_copy(uint64_t *entry, uint64_t key) {
    if (mo_load_rlx(&pc.num_copies) >= pc.max_copies) return NULL; /* a glance */
    uint32_t i = mo_add_rlx(&pc.num_copies, 1);                    /* a count */
    if (i > pc.max_copies) return NULL;
    mo_store_rlx(entry, key << COPY_BITS | i); /* who has the page reads it, now or after a run */
    return (uintptr_t *)(pc.copies + (size_t)(i - 1) * MO_OS_PAGE_BYTES);
}

uintptr_t *mo_page_copy_of(uintptr_t page, bool *is_new) {
    if (!pc.table) return NULL;
    uint64_t key = page / MO_OS_PAGE_BYTES;
    uint64_t at = key * 0x9e3779b97f4a7c15u >> (64 - TABLE_BITS);
    for (int i = 0; i < MAX_PROBES; i++, at++) {
        uint64_t *entry = &pc.table[at % TABLE_LEN], now = mo_load_rlx(entry); /* decided below */
        if (now == 0) {
            mo_store_rlx(&pc.is_used, 1); /* only ever set meanwhile */
            if (mo_cas_acq(entry, &now, key << COPY_BITS))
                return NULL; /* [Q] only one claims it; nothing else is ordered [Q] */
        }
        if (now >> COPY_BITS != key) continue;
        uint64_t copy = now & ((1 << COPY_BITS) - 1);
        *is_new = copy == 0;
        if (copy == 0) return new_copy(entry, key);
        return (uintptr_t *)(pc.copies + (copy - 1) * MO_OS_PAGE_BYTES);
    }
    return NULL;
}
