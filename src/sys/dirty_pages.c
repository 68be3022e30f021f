/* dirty_pages.c - userfaultfd's write protection, resolved by the kernel, and PAGEMAP_SCAN.
 *
 * How     A registered page has a bit in its page table entry: armed. The first store to an armed
 *         page faults; the kernel clears the bit, makes the entry writable and goes on (WP_ASYNC):
 *         no signal, no thread that answers faults, and a system call that fills the page works as
 *         well. "Written" is "not armed", so whatever loses the bit (a page given back, a moved or
 *         foreign mapping, fork) errs on the safe side. PAGEMAP_SCAN walks a range, reports the
 *         runs of written pages and, if told to, arms them in the same step, each under its page
 *         table lock, and flushes translations before it returns: what a report leaves out and
 *         what comes after it is caught by the next one. The order in which a collector must do
 *         this is the model's, tests/models/plain_barrier.pml.
 * Steps   One call covers STEP_BYTES at most. In one call over everything a storing thread can wait
 *         for long; and the vector is bounded: when it is full, the call stops at walk_end and the
 *         next one goes on there. Not more than 512 runs: that is what the kernel gathers at once.
 *         With a longer vector, Linux 6.18 sometimes returns a walk_end that lies before the end of
 *         the last run, so a scan that does not arm reports pages twice (none is missed).
 * Masks   Both masks are exactly PAGE_IS_WRITTEN. The kernel has a path of its own for that; with
 *         other masks, some kernels are said to call pages clean that were given back.
 * Check   CHECK_WPASYNC makes a scan fail with EPERM if it meets a mapping that is not registered.
 *         Without it, a foreign mapping in the range would never be armed and nobody would know.
 * Probe   At open, on four pages of its own, by real stores: kernels and sandboxes exist that
 *         accept the calls and do nothing. Each call of the probe has an effect that a later
 *         report shows.
 * Floor   sys. Uses os_mem.
 * Locks   none. The caller sees to it that open, close, after_fork run alone; that register and
 *         forget run one at a time (the heap's lock). arm, take, final may run at the same time as
 *         those and each other, each with its own taker, on ranges that do not overlap.
 * Holds   I1  descriptors are used by the process that opened them only: pid says who that was
 *         I2  range[0 .. num_ranges) are registered, sorted, disjoint, not adjacent
 *         I3  a page that is not armed at the time of a take or final is reported by it, or the
 *             whole range is
 * Fails   as the header says; never ends the process.
 * Kernel  6.7; on arm64 later. The constants are our own: headers are often older than kernels.
 */
#include "sys/dirty_pages.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/panic.h"
#include "sys/os_mem.h"

#if MO_VARIETY >= 2
enum { VEC_LEN = 4, STEP_BYTES = 256 << 10 };
#else
enum { VEC_LEN = 512, STEP_BYTES = 32 << 20 };
#endif

/* ---------------------------------------------------------------- the kernel's interface */

enum { DISARM_BYTES = 32 << 20 }; /* stores wait for the system meanwhile */
enum { USER_MODE_ONLY = 1 };      /* flag of userfaultfd: then no privilege is needed */

enum {
    FEATURE_WP_UNPOPULATED = 1 << 13, /* pages without memory can be armed too */
    FEATURE_WP_ASYNC = 1 << 15        /* the kernel resolves the faults */
};

typedef struct uffd_api {
    uint64_t api;      /* the interface's version */
    uint64_t features; /* asked for; the kernel refuses what it does not know */
    uint64_t ioctls;   /* written by the kernel, not looked at */
} uffd_api;

typedef struct uffd_range {
    uint64_t start, bytes;
} uffd_range;

typedef struct uffd_register {
    uffd_range range;
    uint64_t mode;   /* what is tracked */
    uint64_t ioctls; /* written by the kernel, not looked at */
} uffd_register;

typedef struct uffd_protect {
    uffd_range range;
    uint64_t mode; /* 0: no longer armed */
} uffd_protect;

#define UFFD_API_VERSION 0xAA
#define UFFD_REGISTER_MODE_WP 2
#define UFFD_IOCTL_API _IOWR(0xAA, 0x3F, uffd_api)
#define UFFD_IOCTL_REGISTER _IOWR(0xAA, 0x00, uffd_register)
#define UFFD_IOCTL_UNREGISTER _IOR(0xAA, 0x01, uffd_range)
#define UFFD_IOCTL_PROTECT _IOWR(0xAA, 0x06, uffd_protect)

typedef struct mo_dirty_region {
    uint64_t start, end; /* whole pages */
    uint64_t categories; /* of all of them: written */
} mo_dirty_region;

typedef struct scan_arg {
    uint64_t bytes; /* of this structure */
    uint64_t flags; /* SCAN_* */
    uint64_t start, end;
    uint64_t walk_end;     /* written by the kernel: how far it came */
    uint64_t vec, vec_len; /* address and number of mo_dirty_region; 0, 0: no report */
    uint64_t max_pages;    /* 0: any number */
    /* Which pages match, and what is told of them: PAGE_IS_*. */
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
} scan_arg;

enum { SCAN_WP_MATCHING = 1, SCAN_CHECK_WPASYNC = 2, PAGE_IS_WRITTEN = 2 };
#define PAGEMAP_IOCTL_SCAN _IOWR('f', 16, scan_arg)

_Static_assert(sizeof(scan_arg) == 96, "the size is part of the request's number");
_Static_assert(sizeof(uffd_api) == 24 && sizeof(uffd_register) == 32 && sizeof(uffd_protect) == 24,
               "likewise");

/* ---------------------------------------------------------------- state */

typedef struct span_of_pages {
    uintptr_t lo, hi; /* [lo, hi), whole OS pages */
} span_of_pages;

typedef struct tracker {
    int uffd;             /* open..close, or -1 */
    int pagemap;          /* likewise */
    int pid;              /* who opened them; 0: nobody (I1) */
    const char *reason;   /* a constant */
    span_of_pages *range; /* I2; register and forget only, as the next two */
    size_t num_ranges, max_ranges;
} tracker;

static MO_GLOBAL tracker the_tracker = {.uffd = -1, .pagemap = -1, .reason = "never opened"};

static MO_GLOBAL uint64_t fault_first; /* which calls fail: [first, last] */
static MO_GLOBAL uint64_t fault_last;
static MO_GLOBAL uint64_t fault_calls;
static MO_GLOBAL int fault_errno;

/* ---------------------------------------------------------------- system calls */

static void set_fault(uint64_t first, uint64_t last, int err) {
    mo_store_rlx(&fault_calls, 0); /* test switches: set while nobody else calls */
    mo_store_rlx(&fault_errno, err);
    mo_store_rlx(&fault_first, first);
    mo_store_rlx(&fault_last, last);
}

void mo_dirty_fault_at(uint64_t n, int err) { set_fault(n, n, err); }
void mo_dirty_fault_from(uint64_t n, int err) { set_fault(n, n ? UINT64_MAX : 0, err); }
uint64_t mo_dirty_fault_count(void) { return mo_load_rlx(&fault_calls); /* test switch */ }

/* Counts a call: true if it is not to be made. */
static bool is_injected(void) {
    uint64_t call = mo_add_rlx(&fault_calls, 1);      /* a counter, orders nothing */
    uint64_t first = mo_load_rlx(&fault_first);       /* test switch */
    return MO_UNLIKELY(first != 0 && call >= first && /* test switch */
                       call <= mo_load_rlx(&fault_last));
}

static int injected_result(void) { return -mo_load_rlx(&fault_errno); /* test switch */ }

static int open_fd(long number, long a, long b, long c) {
    if (is_injected()) return injected_result() ? injected_result() : -EPERM;
    long fd = syscall(number, a, b, c);
    return fd < 0 ? -errno : (int)fd;
}

static void close_fd(int *fd) {
    if (*fd >= 0) syscall(SYS_close, *fd); /* not close(): that is a cancellation point */
    *fd = -1;
}

static int call_ioctl(int fd, unsigned long request, void *arg) {
    if (is_injected()) return injected_result();
    int result = ioctl(fd, request, arg);
    return result < 0 ? -errno : result;
}

/* Of [*at, end): what was written into vec (NULL: nobody asks). The number of runs; *at is then how
 * far it came. */
static int scan(uintptr_t *at, uintptr_t end, unsigned flags, mo_dirty_region *vec) {
    scan_arg arg = {.bytes = sizeof arg,
                    .flags = flags,
                    .start = *at,
                    .end = end,
                    .walk_end = end,
                    .vec = (uintptr_t)vec,
                    .vec_len = vec ? VEC_LEN : 0,
                    .category_mask = PAGE_IS_WRITTEN,
                    .return_mask = PAGE_IS_WRITTEN};
    int num = call_ioctl(the_tracker.pagemap, PAGEMAP_IOCTL_SCAN, &arg);
    if (num < 0) return num;
    if (arg.walk_end <= *at || arg.walk_end > end || num > VEC_LEN) return -EIO;
#if MO_MUTANT_dirty_ignores_walk_end
    *at = end;
#else
    *at = (uintptr_t)arg.walk_end;
#endif
    return num;
}

/* ---------------------------------------------------------------- arm, take, final */

static bool is_ours(void) {
#if MO_MUTANT_dirty_child_uses_parents
    return the_tracker.pid != 0;
#else
    return the_tracker.pid != 0 && the_tracker.pid == getpid();
#endif
}

static int walk(uintptr_t lo, uintptr_t hi, unsigned flags, mo_dirty_region *vec,
                mo_dirty_report_fn *report, void *arg) {
    if (!is_ours()) return -EBADF;
#if MO_MUTANT_dirty_unchecked
    flags &= ~(unsigned)SCAN_CHECK_WPASYNC;
#endif
    for (uintptr_t at = lo; at < hi;) {
#if MO_MUTANT_dirty_drops_tail
        if (hi - lo > STEP_BYTES && hi - at < STEP_BYTES) break;
#endif
        int num = scan(&at, at + mo_min(hi - at, STEP_BYTES), flags, vec);
        if (num < 0) return num;
        for (int i = 0; i < num; i++) report(arg, (uintptr_t)vec[i].start, (uintptr_t)vec[i].end);
    }
    return 0;
}

static int walk_or_all(uintptr_t lo, uintptr_t hi, unsigned flags, mo_dirty_region *vec,
                       mo_dirty_report_fn *report, void *arg) {
    mo_assert(((lo | hi) & (MO_OS_PAGE_BYTES - 1)) == 0, "dirty pages: not whole pages");
    int saved = errno;
    int result = walk(lo, hi, flags, vec, report, arg);
    errno = saved;
#if !MO_MUTANT_dirty_refused_is_clean
    if (result < 0 && report && lo < hi) report(arg, lo, hi);
#endif
    return result;
}

int mo_dirty_arm(uintptr_t lo, size_t bytes) {
    return walk_or_all(lo, lo + bytes, SCAN_WP_MATCHING | SCAN_CHECK_WPASYNC, NULL, NULL, NULL);
}

int mo_dirty_take(mo_dirty_taker *t, uintptr_t lo, size_t bytes, mo_dirty_report_fn *report,
                  void *arg) {
#if MO_MUTANT_dirty_take_arms_not
    return mo_dirty_final(t, lo, bytes, report, arg);
#elif MO_MUTANT_dirty_take_arms_late
    int result = mo_dirty_final(t, lo, bytes, report, arg);
    mo_dirty_arm(lo, bytes);
    return result;
#else
    return walk_or_all(lo, lo + bytes, SCAN_WP_MATCHING | SCAN_CHECK_WPASYNC, t->vec, report, arg);
#endif
}

int mo_dirty_final(mo_dirty_taker *t, uintptr_t lo, size_t bytes, mo_dirty_report_fn *report,
                   void *arg) {
#if MO_MUTANT_dirty_final_arms
    return walk_or_all(lo, lo + bytes, SCAN_WP_MATCHING | SCAN_CHECK_WPASYNC, t->vec, report, arg);
#else
    return walk_or_all(lo, lo + bytes, SCAN_CHECK_WPASYNC, t->vec, report, arg);
#endif
}

int mo_dirty_disarm(uintptr_t lo, size_t bytes) {
    int result = is_ours() ? 0 : -EBADF, saved = errno;
    for (uintptr_t at = lo, hi = lo + bytes; result == 0 && at < hi; at += DISARM_BYTES) {
        uffd_protect arg = {.range = {at, mo_min(hi - at, DISARM_BYTES)}};
        result = call_ioctl(the_tracker.uffd, UFFD_IOCTL_PROTECT, &arg);
    }
    errno = saved;
    return result;
}

int64_t mo_dirty_pinned_kib(void) {
    enum { STATUS_BYTES = 4096 };
    char text[STATUS_BYTES];
    int saved = errno;
    int fd = open_fd(SYS_openat, AT_FDCWD, (long)"/proc/thread-self/status", O_RDONLY | O_CLOEXEC);
    long len = fd < 0 ? -1 : syscall(SYS_read, fd, text, STATUS_BYTES - 1);
    close_fd(&fd);
    errno = saved;
    if (len <= 0) return -1;
    text[len] = '\0';
    const char *at = strstr(text, "VmPin:");
    if (!at) return -1;
    int64_t kib = 0;
    for (at += 6; *at == ' ' || *at == '\t'; at++) continue;
    for (; *at >= '0' && *at <= '9'; at++) kib = kib * 10 + (*at - '0');
    return kib;
}

int mo_dirty_taker_init(mo_dirty_taker *t) {
    t->vec = mo_os_map(VEC_LEN * sizeof *t->vec, "mound: dirty pages");
    return t->vec ? 0 : -ENOMEM;
}

void mo_dirty_taker_fini(mo_dirty_taker *t) {
    if (t->vec) mo_os_unmap(t->vec, VEC_LEN * sizeof *t->vec);
    t->vec = NULL;
}

/* ---------------------------------------------------------------- the table of ranges */

static int reserve_ranges(size_t num) {
    tracker *d = &the_tracker;
    if (num <= d->max_ranges) return 0;
    size_t max = mo_max(2 * d->max_ranges, MO_OS_PAGE_BYTES / sizeof *d->range);
    span_of_pages *bigger = mo_os_map(max * sizeof *bigger, "mound: tracked ranges");
    if (!bigger) return -ENOMEM;
    if (d->range) {
        memcpy(bigger, d->range, d->num_ranges * sizeof *bigger);
        mo_os_unmap(d->range, d->max_ranges * sizeof *d->range);
    }
    d->range = bigger;
    d->max_ranges = max;
    return 0;
}

/* Replaces the ranges [first, last) by num (0..2) others; there is room. */
static void replace_ranges(size_t first, size_t last, const span_of_pages *with, size_t num) {
    tracker *d = &the_tracker;
    mo_check(d->num_ranges + num + first - last <= d->max_ranges, "dirty pages: table overrun");
    memmove(d->range + first + num, d->range + last, (d->num_ranges - last) * sizeof *d->range);
    memcpy(d->range + first, with, num * sizeof *d->range);
    d->num_ranges += num + first - last;
}

/* The ranges that overlap [lo, hi), or touch it if touching counts: [*first, *last). */
static void find_ranges(uintptr_t lo, uintptr_t hi, bool is_touching, size_t *first, size_t *last) {
    const tracker *d = &the_tracker;
    size_t i = 0;
    while (i < d->num_ranges && (is_touching ? d->range[i].hi < lo : d->range[i].hi <= lo)) i++;
    *first = i;
    while (i < d->num_ranges && (is_touching ? d->range[i].lo <= hi : d->range[i].lo < hi)) i++;
    *last = i;
}

static void add_range(uintptr_t lo, uintptr_t hi) {
    const tracker *d = &the_tracker;
    size_t first, last;
    find_ranges(lo, hi, true, &first, &last);
    span_of_pages joined = {lo, hi};
    if (first < last) {
        joined.lo = mo_min(lo, d->range[first].lo);
        joined.hi = mo_max(hi, d->range[last - 1].hi);
    }
    replace_ranges(first, last, &joined, 1);
}

static void remove_range(uintptr_t lo, uintptr_t hi) {
    const tracker *d = &the_tracker;
    size_t first, last, num = 0;
    span_of_pages rest[2];
    find_ranges(lo, hi, false, &first, &last);
    if (first == last) return;
    if (d->range[first].lo < lo) rest[num++] = (span_of_pages){d->range[first].lo, lo};
    if (d->range[last - 1].hi > hi) rest[num++] = (span_of_pages){hi, d->range[last - 1].hi};
    replace_ranges(first, last, rest, num);
}

/* ---------------------------------------------------------------- register, forget */

static int register_range(uintptr_t lo, uintptr_t hi) {
    uffd_register arg = {.range = {lo, hi - lo}, .mode = UFFD_REGISTER_MODE_WP};
    return call_ioctl(the_tracker.uffd, UFFD_IOCTL_REGISTER, &arg);
}

static int unregister_range(uintptr_t lo, uintptr_t hi) {
    uffd_range arg = {lo, hi - lo};
    return call_ioctl(the_tracker.uffd, UFFD_IOCTL_UNREGISTER, &arg);
}

int mo_dirty_register(uintptr_t lo, size_t bytes) {
    if (!is_ours()) return -EBADF;
    int saved = errno;
    int result = reserve_ranges(the_tracker.num_ranges + 1);
    if (result == 0) result = register_range(lo, lo + bytes);
#if !MO_MUTANT_dirty_table_forgets
    if (result == 0) add_range(lo, lo + bytes);
#endif
    errno = saved;
    return result;
}

int mo_dirty_forget(uintptr_t lo, size_t bytes) {
    if (!is_ours()) return -EBADF;
    int saved = errno;
    int result = unregister_range(lo, lo + bytes);
    int room = reserve_ranges(the_tracker.num_ranges + 1); /* a hole makes two of one */
    if (room == 0) remove_range(lo, lo + bytes); /* refused or not: the caller is done with it */
    errno = saved;
    return result < 0 ? result : room;
}

/* ---------------------------------------------------------------- open, probe, close */

typedef struct probe_result {
    uintptr_t lo;   /* of the probe's pages */
    unsigned pages; /* reported: bit i for page i */
} probe_result;

static void note_pages(void *arg, uintptr_t lo, uintptr_t hi) {
    probe_result *r = arg;
    for (; lo < hi; lo += MO_OS_PAGE_BYTES) r->pages |= 1u << ((lo - r->lo) / MO_OS_PAGE_BYTES);
}

/* Stores to the page with that number; a scan must then report that page alone. */
static int store_and_see(mo_dirty_taker *t, uintptr_t lo, size_t bytes, unsigned page,
                         bool is_final) {
    probe_result r = {.lo = lo};
    *(volatile char *)(lo + page * MO_OS_PAGE_BYTES) = 1;
    int result = is_final ? mo_dirty_final(t, lo, bytes, note_pages, &r)
                          : mo_dirty_take(t, lo, bytes, note_pages, &r);
    if (result < 0 || r.pages == 1u << page) return result;
    the_tracker.reason = "the kernel accepts the calls but does not report stores";
    return -EOPNOTSUPP;
}

/* Page 0 has memory when it is armed, the others have not. */
static int probe_pages(mo_dirty_taker *t, uintptr_t lo, size_t bytes) {
    tracker *d = &the_tracker;
    *(volatile char *)lo = 1;
    int result = register_range(lo, lo + bytes);
    d->reason = "userfaultfd cannot write-protect memory";
    if (result < 0) return result;
    result = mo_dirty_arm(lo, bytes);
    d->reason = "PAGEMAP_SCAN is refused (Linux before 6.7 has none)";
#if !MO_MUTANT_dirty_probe_believes
    if (result == 0) result = store_and_see(t, lo, bytes, 1, false);
    if (result == 0) result = store_and_see(t, lo, bytes, 0, false);
    if (result == 0) result = store_and_see(t, lo, bytes, 2, true);
#endif
    unregister_range(lo, lo + bytes);
    return result;
}

static int probe_stores(void) {
    enum { PROBE_BYTES = 4 * MO_OS_PAGE_BYTES };
    mo_dirty_taker t;
    the_tracker.reason = "no memory for the probe";
    if (mo_dirty_taker_init(&t) < 0) return -ENOMEM;
    void *pages = mo_os_map(PROBE_BYTES, "mound: probe");
    int result = pages ? probe_pages(&t, (uintptr_t)pages, PROBE_BYTES) : -ENOMEM;
    if (pages) mo_os_unmap(pages, PROBE_BYTES);
    mo_dirty_taker_fini(&t);
    return result;
}

/* On an error, reason says which step failed; descriptors may be open. */
static int open_descriptors(void) {
    tracker *d = &the_tracker;
    d->reason = "userfaultfd is refused (by a sandbox, or the kernel has none)";
    d->uffd = open_fd(SYS_userfaultfd, O_CLOEXEC | USER_MODE_ONLY, 0, 0);
    if (d->uffd < 0) return d->uffd;
    uffd_api api = {.api = UFFD_API_VERSION, .features = FEATURE_WP_ASYNC | FEATURE_WP_UNPOPULATED};
    int result = call_ioctl(d->uffd, UFFD_IOCTL_API, &api);
    d->reason = "userfaultfd has no asynchronous write protection (Linux before 6.7)";
    if (result < 0) return result;
    /* Not /proc/self, which shows nothing once the main thread has left. */
    d->reason = "/proc/thread-self/pagemap cannot be opened (no /proc, or the user was changed)";
    d->pagemap =
        open_fd(SYS_openat, AT_FDCWD, (long)"/proc/thread-self/pagemap", O_RDONLY | O_CLOEXEC);
    if (d->pagemap < 0) return d->pagemap;
    d->pid = getpid();
    return 0;
}

static void close_descriptors(void) {
    tracker *d = &the_tracker;
    close_fd(&d->uffd);
    close_fd(&d->pagemap);
    d->pid = 0;
}

static void drop_ranges(void) {
    tracker *d = &the_tracker;
    if (d->range) mo_os_unmap(d->range, d->max_ranges * sizeof *d->range);
    d->range = NULL;
    d->num_ranges = d->max_ranges = 0;
}

static int open_and_probe(void) {
    int result = open_descriptors();
    if (result == 0) result = probe_stores();
    if (result == 0)
        the_tracker.reason = "open";
    else
        close_descriptors();
    return result;
}

int mo_dirty_open(void) {
    if (is_ours()) return 0;
    int saved = errno;
    close_descriptors(); /* a parent's */
    drop_ranges();
    int result = open_and_probe();
    errno = saved;
    return result;
}

const char *mo_dirty_reason(void) { return the_tracker.reason; }

void mo_dirty_close(void) {
    int saved = errno;
    close_descriptors();
    drop_ranges();
    the_tracker.reason = "closed";
    errno = saved;
}

int mo_dirty_after_fork_in_child(void) {
    tracker *d = &the_tracker;
    if (d->pid == 0) return -EBADF;
#if MO_MUTANT_dirty_child_keeps_descriptors
    d->pid = getpid();
    return 0;
#endif
    int saved = errno;
    close_descriptors();
    int result = open_and_probe();
    for (size_t i = 0; i < d->num_ranges && result == 0; i++) {
        result = register_range(d->range[i].lo, d->range[i].hi);
        if (result < 0) d->reason = "a range could not be registered anew after fork";
    }
    if (result < 0) {
        close_descriptors();
        drop_ranges();
    }
    errno = saved;
    return result;
}
