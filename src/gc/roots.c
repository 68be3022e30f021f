/* roots.c - stacks, registers, thread-local storage, data segments, added ranges.
 *
 * Loaded objects are listed while the world runs (dl_iterate_phdr takes the loader's lock, which
 * a stopped thread may hold), and at each stop compared with the loader's own list (_r_debug,
 * made for debuggers, readable without a lock once nobody runs). If an object came or went, or
 * is going, the stop is given up, the list made anew and the stop tried again (cycle.c): so the
 * loader's lock is asked for only when something was loaded or closed. The child of a fork must not
 * ask for it: a thread that is gone may have it for ever. It is alone, so it goes by that list.
 *
 * Per thread, all read while it is stopped:
 *   - its stack from sp (less the red zone) to the top, and its registers, vector state included;
 *     where sp is elsewhere (sigaltstack, swapcontext), the whole stack and [sp, end of mapping)
 *   - static and dynamic thread-local storage, by its dynamic thread vector: glibc keeps the
 *     vector's address in the second word behind the thread pointer, entry m = block of module m
 *   - pthread_setspecific values: the first 32 keys stand in the thread's descriptor, the others
 *     in blocks the descriptor points to; where, is found out at start by storing a known value
 *
 * The library's own variables (section mound_state) are left out.
 *
 * Floor   gc.
 * Locks   the roots lock for the added ranges and the object list.
 */
#include "gc/roots.h"

#include <errno.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <string.h>

#include "gc/mark.h"
#include "sched/sched.h"
#include "sys/mapping.h"
#include "sys/os_mem.h"

typedef struct range {
    uintptr_t lo, hi;
} range;

typedef struct range_list {
    range *item;
    size_t num, cap;
} range_list;

static MO_GLOBAL mo_lock lock;
static MO_GLOBAL range_list segments, user;
/* Blocks of thread-local storage: lo = module number, hi = bytes. */
static MO_GLOBAL range_list tls_modules;
static MO_GLOBAL uint64_t listed_sum;
static MO_GLOBAL uint32_t listed_num;
static MO_GLOBAL bool is_listed;
static MO_GLOBAL struct {
    size_t second_off; /* descriptor: array of pointers to blocks of keys; 0: not found */
} tsd;

extern char __start_mound_state[] __attribute__((visibility("hidden")));
extern char __stop_mound_state[] __attribute__((visibility("hidden")));
extern struct r_debug _r_debug __attribute__((weak));
extern int dlinfo(void *object, int request, void *out) __attribute__((weak));

enum {
    TSD_BLOCK_KEYS = 32,
    TSD_BLOCKS = 32,
    TSD_KEY_BYTES = 16, /* sequence number, value */
    DESCRIPTOR_SEARCH_BYTES = 4096,
    DLINFO_TLS_MODULE = 9, /* requests of dlinfo: the latter since glibc 2.36 */
    DLINFO_PHDR = 11,
};

mo_lock *mo_roots_lock(void) { return &lock; }

static bool list_add(range_list *l, uintptr_t lo, uintptr_t hi) {
    if (l->num == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 256;
        range *bigger = mo_os_map(cap * sizeof *bigger, "mound roots");
        if (!bigger) return false;
        if (l->item) {
            memcpy(bigger, l->item, l->num * sizeof *bigger);
            mo_os_unmap(l->item, l->cap * sizeof *bigger);
        }
        l->item = bigger;
        l->cap = cap;
    }
    l->item[l->num++] = (range){lo, hi};
    return true;
}

/* ---------------------------------------------------------------- loaded objects */

static bool add_segment(uintptr_t lo, uintptr_t hi) {
    uintptr_t own_lo = (uintptr_t)__start_mound_state, own_hi = (uintptr_t)__stop_mound_state;
    if (own_lo >= hi || own_hi <= lo) return lo >= hi || list_add(&segments, lo, hi);
    return (own_lo <= lo || list_add(&segments, lo, own_lo)) &&
           (own_hi >= hi || list_add(&segments, own_hi, hi));
}

/* An object by where it is loaded and where its dynamic section lies. */
static uint64_t mix_object(uintptr_t addr, uintptr_t dynamic) {
    return (addr + 1) * 0x9E3779B97F4A7C15u ^ (dynamic + 1) * 0xD1B54A32D192ED03u;
}

typedef struct listing {
    bool ok;
} listing;

static int list_one(struct dl_phdr_info *info, size_t size, void *arg) {
    listing *l = arg;
    (void)size;
    uintptr_t dynamic = 0;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
            dynamic = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
    listed_sum += mix_object(info->dlpi_addr, dynamic);
    listed_num++;
    uintptr_t relro_lo = 0, relro_hi = 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
        if (ph->p_type == PT_GNU_RELRO) {
            /* The loader protects whole pages; what is left of the last one stays writable. */
            relro_lo = info->dlpi_addr + ph->p_vaddr;
            relro_hi = mo_align_down(relro_lo + ph->p_memsz, MO_OS_PAGE_BYTES);
        }
    }
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
        uintptr_t lo = info->dlpi_addr + ph->p_vaddr, hi = lo + ph->p_memsz;
        if (ph->p_type == PT_LOAD && (ph->p_flags & PF_W)) {
            if (relro_lo >= lo && relro_hi <= hi && relro_lo < relro_hi)
                l->ok = l->ok && add_segment(lo, relro_lo) && add_segment(relro_hi, hi);
            else
                l->ok = l->ok && add_segment(lo, hi);
        } else if (ph->p_type == PT_TLS && info->dlpi_tls_modid != 0) {
            l->ok = l->ok && list_add(&tls_modules, info->dlpi_tls_modid, ph->p_memsz);
        }
    }
    return 0;
}

static listing begin_listing(void) {
    segments.num = tls_modules.num = 0;
    listed_sum = listed_num = 0;
    return (listing){.ok = true};
}

bool mo_roots_list_objects(void) {
    mo_lock_acquire(&lock);
    listing l = {.ok = true};
    if (!is_listed) {
        l = begin_listing();
        dl_iterate_phdr(list_one, &l);
        is_listed = l.ok;
    }
    mo_lock_release(&lock);
    return l.ok;
}

static bool list_without_lock(void) {
    listing l = begin_listing();
    for (struct link_map *m = _r_debug.r_map; m; m = m->l_next) {
        struct dl_phdr_info info = {.dlpi_addr = m->l_addr};
        int num = dlinfo(m, DLINFO_PHDR, &info.dlpi_phdr);
        if (num < 0 || dlinfo(m, DLINFO_TLS_MODULE, &info.dlpi_tls_modid) < 0) return false;
        info.dlpi_phnum = (ElfW(Half))num;
        list_one(&info, sizeof info, &l);
    }
    return l.ok;
}

void mo_roots_after_fork(void) {
#if MO_MUTANT_fork_asks_loader
    return;
#endif
    if ((is_listed && mo_roots_still_current()) || !&_r_debug || _r_debug.r_version == 0) return;
    is_listed = dlinfo && list_without_lock(); /* else asked for in the first collection */
}

void mo_roots_forget_objects(void) {
    mo_lock_acquire(&lock);
    is_listed = false;
    mo_lock_release(&lock);
}

bool mo_roots_still_current(void) {
    if (!&_r_debug || _r_debug.r_version == 0)
        return true; /* static program: nothing can be loaded */
    /* RT_ADD lasts until the new object's constructors have run, and its list is whole; but a
     * closed object is unmapped before it leaves the list. */
    if (_r_debug.r_state == RT_DELETE) return false;
    uint64_t sum = 0;
    uint32_t num = 0;
    for (const struct link_map *m = _r_debug.r_map; m; m = m->l_next) {
        sum += mix_object(m->l_addr, (uintptr_t)m->l_ld);
        num++;
    }
    bool current = sum == listed_sum && num == listed_num;
    if (!current) is_listed = false;
    return current;
}

struct mo_code_list {
    range_list loaded;
};

static int list_code_of(struct dl_phdr_info *info, size_t size, void *arg) {
    mo_code_list *list = arg;
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
        uintptr_t lo = info->dlpi_addr + ph->p_vaddr;
        if (ph->p_type == PT_LOAD && (ph->p_flags & PF_X) &&
            !list_add(&list->loaded, lo, lo + ph->p_memsz))
            return 1;
    }
    return 0;
}

mo_code_list *mo_roots_list_code(void) {
    mo_code_list *list = mo_os_map(sizeof *list, "mound code list");
    if (!list || dl_iterate_phdr(list_code_of, list) != 0)
        mo_fatal("memory exhausted while listing loaded objects; raise the limit");
    return list;
}

void mo_roots_free_code(mo_code_list *list) {
    if (list->loaded.item) mo_os_unmap(list->loaded.item, list->loaded.cap * sizeof(range));
    mo_os_unmap(list, sizeof *list);
}

bool mo_roots_is_code(const mo_code_list *list, uintptr_t addr) {
    for (size_t i = 0; i < list->loaded.num; i++)
        if (addr - list->loaded.item[i].lo < list->loaded.item[i].hi - list->loaded.item[i].lo)
            return true;
    return false;
}

/* ---------------------------------------------------------------- added ranges */

int mo_roots_user_add(uintptr_t lo, size_t size) {
    if (size == 0 || lo + size < lo) return -EINVAL;
    mo_lock_acquire(&lock);
    bool ok = list_add(&user, lo, lo + size);
    mo_lock_release(&lock);
    return ok ? 0 : -ENOMEM;
}

int mo_roots_user_remove(uintptr_t lo, size_t size) {
    int result = -ENOENT;
    mo_lock_acquire(&lock);
    for (size_t i = user.num; i-- > 0 && result != 0;) {
        if (user.item[i].lo != lo || user.item[i].hi != lo + size) continue;
        user.item[i] = user.item[--user.num];
        result = 0;
    }
    mo_lock_release(&lock);
    return result;
}

/* ---------------------------------------------------------------- threads */

/* Finds where the thread descriptor keeps its pointers to blocks of keys: the one for our key
 * points to a block whose entry holds our value. At load time, before the program has taken the
 * first 32 keys; again at start if that failed. Reads only the descriptor's own page range. */
__attribute__((constructor(101))) static void find_tsd(void) {
    if (tsd.second_off != 0) return;
    pthread_key_t key;
    static char magic;
    if (pthread_key_create(&key, NULL) != 0) return;
    pthread_setspecific(key, &magic);
    uintptr_t tp = mo_cpu_thread_pointer(), block_idx = key / TSD_BLOCK_KEYS, lo, hi;
    uintptr_t entry_off = key % TSD_BLOCK_KEYS * TSD_KEY_BYTES + sizeof(uintptr_t);
    if (block_idx == 0 && mo_mapping_of(tp, &lo, &hi)) {
        uintptr_t end = mo_min(tp + DESCRIPTOR_SEARCH_BYTES, hi - TSD_BLOCKS * sizeof(uintptr_t));
        for (uintptr_t p = tp; p < end && tsd.second_off == 0; p += sizeof(uintptr_t)) {
            uintptr_t first = *(const uintptr_t *)p; /* block 0 stands in the descriptor itself */
            if (first < tp || first > end - TSD_BLOCK_KEYS * TSD_KEY_BYTES || first % 8 != 0)
                continue;
            if (*(const uintptr_t *)(first + entry_off) == (uintptr_t)&magic)
                tsd.second_off = p - tp;
        }
    }
    pthread_key_delete(key);
}

static void add_tsd(const mo_thread *t) {
#if MO_MUTANT_roots_skip_keys
    return;
#endif
    if (tsd.second_off == 0) return;
    const uintptr_t *block = (const uintptr_t *)(t->thread_pointer + tsd.second_off);
#if MO_MUTANT_roots_first_keys_only
    enum { TSD_BLOCKS = 1 };
#endif
    for (int i = 0; i < TSD_BLOCKS; i++)
        if (block[i]) mo_mark_add_root(block[i], block[i] + TSD_BLOCK_KEYS * TSD_KEY_BYTES);
}

static void add_tls(const mo_thread *t) {
    typedef struct dtv_entry {
        uintptr_t val; /* [-1]: length, [m]: block of module m, or all ones */
        uintptr_t to_free;
    } dtv_entry;
    const dtv_entry *dtv = ((dtv_entry *const *)t->thread_pointer)[1];
    if (!dtv) return;
    for (size_t i = 0; i < tls_modules.num; i++) {
        size_t module = tls_modules.item[i].lo;
        if (module > dtv[-1].val) continue;
        uintptr_t block = dtv[module].val;
        if (block == 0 || block == UINTPTR_MAX) continue;
#if MO_MUTANT_roots_skip_tls
        continue;
#endif
        uintptr_t end = block + tls_modules.item[i].hi;
        /* A block from malloc may be left from an object that had this number before and was
         * smaller: its thread has not looked since. */
        if (dtv[module].to_free) end = mo_mapping_readable_end(block, end);
        mo_mark_add_root(block, end);
    }
}

static uint64_t add_stack(const mo_thread *t) {
    /* A machine's own stack holds nothing of the program's. */
    uintptr_t stack_lo = t->g ? t->g->stack.lo : t->stack_lo;
    uintptr_t stack_hi = t->g ? t->g->stack.hi : t->stack_hi;
    if (t->sp >= stack_lo && t->sp < stack_hi) {
        mo_mark_add_root(t->sp, stack_hi);
        return stack_hi - t->sp;
    }
    /* On another stack. Only what is mapped of our own can hold anything. */
    uintptr_t lo, hi;
    uint64_t bytes = 0;
    if (mo_mapping_of(stack_hi - 1, &lo, &hi)) {
        lo = mo_max(lo, stack_lo);
        mo_mark_add_root(lo, stack_hi);
        bytes += stack_hi - lo;
    }
    if (mo_mapping_of(t->sp + MO_RED_ZONE_BYTES, &lo, &hi)) {
        lo = mo_max(lo, t->sp);
        mo_mark_add_root(lo, hi);
        bytes += hi - lo;
    }
    return bytes;
}

static void add_registers(const mo_thread *t) {
    if (!t->context) {
        mo_mark_add_root((uintptr_t)&t->regs, (uintptr_t)(&t->regs + 1));
        return;
    }
    uintptr_t lo, hi;
#if !MO_MUTANT_roots_skip_registers
    mo_cpu_context_general(t->context, &lo, &hi);
    mo_mark_add_root(lo, hi);
#endif
#if !MO_MUTANT_roots_skip_vectors
    mo_cpu_context_vector(t->context, &lo, &hi);
    mo_mark_add_root(lo, hi);
#endif
}

enum { GROUP = 512 }; /* goroutines that one worker scans at a time */

/* Of goroutines that do not run; of those that never will again, what they refer to may still be
 * reached through pointers into their frames. While threads run these are moments' values: what is
 * no range of one stack is left out, what is scanned too much keeps garbage for one cycle. */
static bool live_range(const mo_g *g, uintptr_t *lo, uintptr_t *hi) {
    mo_g_state state = (mo_g_state)mo_load_rlx(&g->state); /* see above */
#if MO_MUTANT_roots_skip_parked
    if (state == MO_G_WAITING) return false;
#endif
    if (state != MO_G_RUNNABLE && state != MO_G_WAITING) return false; /* a thread's has no stack */
    *lo = mo_load_rlx(&g->context.sp);                                 /* see above */
    *hi = mo_load_acq(&g->stack.hi);                                   /* [S] pairs with g.c [S] */
    return *lo % 8 == 0 && *lo < *hi && *lo >= mo_load_rlx(&g->stack.lo); /* likewise */
}

/* The words are on as many pages, none of them near, and records are many lines apart: the first
 * lines of some stacks, and records soon needed, are asked for at once. */
static void scan_goroutines(struct mo_marker *m, uint32_t worker, uint32_t group) {
    enum { AHEAD = 8, LINES = 8 };
    uint64_t first = (uint64_t)group * GROUP, end = mo_min(first + GROUP, mo_g_count());
    uintptr_t lo[AHEAD], hi[AHEAD];
    (void)worker;
    for (uint64_t i = first; i < end; i += AHEAD) {
        uint32_t num = 0;
        for (uint64_t k = i + 2 * AHEAD; k < mo_min(i + 3 * AHEAD, end); k++) {
            const mo_g *g = mo_g_at(k);
            __builtin_prefetch(&g->context);
            __builtin_prefetch(&g->stack.hi);
        }
        for (uint64_t k = i; k < mo_min(i + AHEAD, end); k++) {
            if (!live_range(mo_g_at(k), &lo[num], &hi[num])) continue;
            for (uintptr_t at = lo[num]; at < hi[num] && at < lo[num] + LINES * 64; at += 64)
                __builtin_prefetch((const void *)at);
            num++;
        }
        for (uint32_t k = 0; k < num; k++) mo_mark_scan_range(m, lo[k], hi[k]);
    }
}

uint32_t mo_roots_add_goroutines(void) {
    uint32_t num = (uint32_t)((mo_g_count() + GROUP - 1) / GROUP);
    mo_mark_add_stacks(scan_goroutines, num);
    return num;
}

uint64_t mo_roots_add_goroutine_ranges(void) {
    uint64_t bytes = 0;
    uintptr_t lo, hi;
    for (uint64_t i = 0, n = mo_g_count(); i < n; i++) {
        if (!live_range(mo_g_at(i), &lo, &hi)) continue;
        mo_mark_add_root(lo, hi);
        bytes += hi - lo;
    }
    return bytes;
}

/* Who gives stacks back looks at is_marking under these locks. */
void mo_roots_settle_stacks(void) {
    mo_lock_acquire(mo_g_lock());
    mo_lock_release(mo_g_lock());
    mo_lock_acquire(mo_stack_lock());
    mo_lock_release(mo_stack_lock());
}

static void add_timers(void) {
    /* Sysmon does not stand, and may make one more, without timers: sched.c [P]. */
    uint32_t n = mo_load_acq(&mo_the_sched.num_ps); /* [P] pairs with sched.c [P] */
    for (uint32_t i = 0; i < n; i++) {
        uintptr_t lo, hi;
        mo_timers_range(&mo_the_sched.p[i]->timers, &lo, &hi);
        mo_mark_add_root(lo, hi);
    }
}

uint64_t mo_roots_add_all(mo_thread *self) {
    uint64_t stack_bytes = 0;
    (void)self;
#if !MO_MUTANT_roots_skip_globals
    for (size_t i = 0; i < segments.num; i++)
        mo_mark_add_root(segments.item[i].lo, segments.item[i].hi);
#endif
#if !MO_MUTANT_roots_skip_added
    for (size_t i = 0; i < user.num; i++) mo_mark_add_root(user.item[i].lo, user.item[i].hi);
#endif
    for (const mo_thread *t = mo_the_world.threads; t; t = t->next) {
        stack_bytes += add_stack(t);
        add_registers(t);
        add_tls(t);
        add_tsd(t);
    }
    add_timers();
    return stack_bytes;
}

void mo_roots_init(void) {
    mo_lock_init(&lock, MO_RANK_ROOTS);
    find_tsd();
    mo_roots_list_objects(); /* failure is met again, and reported, at the first collection */
}
