/* atomic.h - atomic access with the memory order in the name.
 *
 * Each use names its partner by a letter in brackets ([P], [T]); tools/order_pairs.sh checks it.
 * Floor base.
 */
#ifndef MO_ATOMIC_H
#define MO_ATOMIC_H

#include "base/compiler.h"

#define mo_load_rlx(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define mo_load_acq(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define mo_load_seq(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define mo_store_rlx(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define mo_store_rel(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define mo_store_seq(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define mo_add_rlx(p, v) __atomic_add_fetch((p), (v), __ATOMIC_RELAXED)
/* A counter that one thread at a time writes, and others look at: no exchange. */
#define mo_add_owned_rlx(p, v)                                                                     \
    __atomic_store_n((p), __atomic_load_n((p), __ATOMIC_RELAXED) + (v), __ATOMIC_RELAXED)
#define mo_add_acqrel(p, v) __atomic_add_fetch((p), (v), __ATOMIC_ACQ_REL)
#define mo_add_seq(p, v) __atomic_add_fetch((p), (v), __ATOMIC_SEQ_CST)
#define mo_sub_rlx(p, v) __atomic_sub_fetch((p), (v), __ATOMIC_RELAXED)
#define mo_sub_rel(p, v) __atomic_sub_fetch((p), (v), __ATOMIC_RELEASE)
#define mo_sub_acqrel(p, v) __atomic_sub_fetch((p), (v), __ATOMIC_ACQ_REL)
#define mo_sub_seq(p, v) __atomic_sub_fetch((p), (v), __ATOMIC_SEQ_CST)
#define mo_fetch_or_rlx(p, v) __atomic_fetch_or((p), (v), __ATOMIC_RELAXED)
#define mo_fetch_and_rlx(p, v) __atomic_fetch_and((p), (v), __ATOMIC_RELAXED)
#define mo_fetch_and_rel(p, v) __atomic_fetch_and((p), (v), __ATOMIC_RELEASE)
#define mo_xchg_acq(p, v) __atomic_exchange_n((p), (v), __ATOMIC_ACQUIRE)
#define mo_xchg_acqrel(p, v) __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL)
#define mo_xchg_rel(p, v) __atomic_exchange_n((p), (v), __ATOMIC_RELEASE)
#define mo_cas_acq(p, old, v)                                                                      \
    __atomic_compare_exchange_n((p), (old), (v), false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)
#define mo_cas_rel(p, old, v)                                                                      \
    __atomic_compare_exchange_n((p), (old), (v), false, __ATOMIC_RELEASE, __ATOMIC_RELAXED)
#define mo_cas_acqrel(p, old, v)                                                                   \
    __atomic_compare_exchange_n((p), (old), (v), false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)

/* Says once more to TSan what an atomic access orders, where it may not look: while a thread is in
 * one of libc's waits it ignores atomics, also those of a signal handler. */
#if MO_TSAN
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
#define mo_tsan_acquire(p) __tsan_acquire(p)
#define mo_tsan_release(p) __tsan_release(p)
#else
#define mo_tsan_acquire(p) ((void)0)
#define mo_tsan_release(p) ((void)0)
#endif

/* Orders this thread against its own signal handler; no instruction. */
#define mo_signal_fence() __atomic_signal_fence(__ATOMIC_SEQ_CST)

#endif
