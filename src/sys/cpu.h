/* cpu.h - everything that depends on the processor: x86-64 here; another CPU adds its branch.
 *
 * MO_RED_ZONE_BYTES   what a leaf function may use below the stack pointer
 * mo_cpu_regs         callee-saved registers of a thread that stopped itself
 * mo_cpu_context_*    the interrupted registers in a signal frame, vector state included
 *
 * Floor sys.
 */
#ifndef MO_CPU_H
#define MO_CPU_H

#include <emmintrin.h>
#include <ucontext.h>

#include "base/compiler.h"

#if !defined(__x86_64__)
#error "mound supports x86-64 only; another CPU needs its branch in src/sys/cpu.h"
#endif

enum { MO_RED_ZONE_BYTES = 128, MO_CACHE_LINE_BYTES = 64 };

MO_INLINE void mo_cpu_pause(void) { __builtin_ia32_pause(); }

/* Which of the eight bytes at p equal byte, or have their top bit set: a bit for each. */
MO_INLINE unsigned mo_cpu_match_8(const void *p, unsigned byte) {
    __m128i bytes = _mm_loadl_epi64((const __m128i *)p);
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8((char)byte))) & 0xFF;
}
MO_INLINE unsigned mo_cpu_tops_8(const void *p) {
    return (unsigned)_mm_movemask_epi8(_mm_loadl_epi64((const __m128i *)p)) & 0xFF;
}

/* At which of sixteen places p has the one byte and q the other. */
MO_INLINE unsigned mo_cpu_match_pair_16(const void *p, char at_p, const void *q, char at_q) {
    __m128i is_p = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)p), _mm_set1_epi8(at_p));
    __m128i is_q = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)q), _mm_set1_epi8(at_q));
    return (unsigned)_mm_movemask_epi8(_mm_and_si128(is_p, is_q));
}

/* 64 bytes past the caches; to: aligned to 64. What is stored so is ordered with other stores only
 * by mo_cpu_stream_end. */
MO_INLINE void mo_cpu_stream_64(void *to, const void *from) {
    __m128i *t = to;
    const __m128i *f = from;
    for (int i = 0; i < 4; i++) _mm_stream_si128(t + i, _mm_loadu_si128(f + i));
}
MO_INLINE void mo_cpu_stream_zero_64(void *to) {
    __m128i *t = to;
    for (int i = 0; i < 4; i++) _mm_stream_si128(t + i, _mm_setzero_si128());
}
MO_INLINE void mo_cpu_stream_end(void) { _mm_sfence(); }

typedef struct mo_cpu_regs {
    uintptr_t word[6];
} mo_cpu_regs;

/* Callers must not be inlined past the point where the registers matter. */
MO_INLINE void mo_cpu_save_regs(mo_cpu_regs *r) {
    __asm__ volatile("movq %%rbx, 0(%0)\n\t"
                     "movq %%rbp, 8(%0)\n\t"
                     "movq %%r12, 16(%0)\n\t"
                     "movq %%r13, 24(%0)\n\t"
                     "movq %%r14, 32(%0)\n\t"
                     "movq %%r15, 40(%0)"
                     :
                     : "r"(r->word)
                     : "memory");
}

MO_INLINE uintptr_t mo_cpu_sp(void) {
    uintptr_t sp;
    __asm__ volatile("movq %%rsp, %0" : "=r"(sp));
    return sp;
}

MO_INLINE uintptr_t mo_cpu_thread_pointer(void) {
    uintptr_t tp;
    __asm__ volatile("movq %%fs:0, %0" : "=r"(tp));
    return tp;
}

MO_INLINE uintptr_t mo_cpu_context_sp(const ucontext_t *uc) {
    return (uintptr_t)uc->uc_mcontext.gregs[REG_RSP];
}

MO_INLINE uintptr_t mo_cpu_context_pc(const ucontext_t *uc) {
    return (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
}

MO_INLINE void mo_cpu_context_general(const ucontext_t *uc, uintptr_t *lo, uintptr_t *hi) {
    *lo = (uintptr_t)uc->uc_mcontext.gregs;
    *hi = *lo + sizeof uc->uc_mcontext.gregs;
}

/* Vector registers: the kernel's XSAVE image, or the 512 bytes of FXSAVE where it is older.
 * The size of the extended image stands in the software-reserved bytes of the FXSAVE part,
 * behind a magic number (the kernel's sigcontext ABI). */
MO_INLINE void mo_cpu_context_vector(const ucontext_t *uc, uintptr_t *lo, uintptr_t *hi) {
    enum { FXSAVE_BYTES = 512, SW_BYTES_OFF = 464, FP_XSTATE_MAGIC1_ = 0x46505853 };
    *lo = (uintptr_t)uc->uc_mcontext.fpregs;
    *hi = *lo;
    if (*lo == 0) return;
    const uint32_t *sw = (const uint32_t *)(*lo + SW_BYTES_OFF);
    *hi =
        *lo + (sw[0] == FP_XSTATE_MAGIC1_ && sw[1] >= FXSAVE_BYTES && sw[1] < 65536 ? sw[1]
                                                                                    : FXSAVE_BYTES);
}

/* A word that another thread may be writing, and which is meant to be read all the same: a root, or
 * a stack that lies in the heap. TSan does not see the access. */
MO_INLINE uintptr_t mo_cpu_peek(const uintptr_t *p) {
#if MO_TSAN
    uintptr_t word;
    __asm__ volatile("movq %1, %0" : "=r"(word) : "m"(*p));
    return word;
#else
    return *p;
#endif
}

/* Which of the eight words at p lie in [base, base + used): bit i for p[i]. The forms are
 * written as assembly, so that one compilation holds both; the vector form uses registers that
 * code compiled for the base level never holds anything in. */
#ifdef __AVX512F__
#define MO_CPU_AVX512_CLOBBERS : "xmm16", "xmm17", "xmm18", "k1"
#else
#define MO_CPU_AVX512_CLOBBERS
#endif
/* Code compiled for the base level holds nothing in the upper halves, and pays for dirty ones. */
#ifdef __AVX__
#define MO_CPU_VZEROUPPER
#else
#define MO_CPU_VZEROUPPER "\n\tvzeroupper"
#endif
typedef enum mo_cpu_level { MO_CPU_BASE, MO_CPU_AVX2, MO_CPU_AVX512 } mo_cpu_level;

MO_INLINE mo_cpu_level mo_cpu_detect(void) {
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f")) return MO_CPU_AVX512;
    return __builtin_cpu_supports("avx2") ? MO_CPU_AVX2 : MO_CPU_BASE;
}

MO_INLINE uint32_t mo_cpu_in_range8(const uintptr_t *p, uintptr_t base, uintptr_t used,
                                    mo_cpu_level level) {
    uint32_t mask;
    if (level == MO_CPU_AVX512) {
        __asm__("vpbroadcastq %2, %%zmm17\n\t"
                "vpbroadcastq %3, %%zmm18\n\t"
                "vmovdqu64 %1, %%zmm16\n\t"
                "vpsubq %%zmm17, %%zmm16, %%zmm16\n\t"
                "vpcmpltuq %%zmm18, %%zmm16, %%k1\n\t"
                "kmovw %%k1, %0"
                : "=r"(mask)
                : "m"(*(const uintptr_t(*)[8])p), "r"(base), "r"(used)MO_CPU_AVX512_CLOBBERS);
        return mask;
    }
    if (level == MO_CPU_AVX2) {
        /* Compares as signed: with the top bit of both sides turned over that is the same. */
        const uint64_t top = (uint64_t)1 << 63;
        uint32_t high;
        __asm__("vmovq %4, %%xmm12\n\t"
                "vmovq %5, %%xmm13\n\t"
                "vpbroadcastq %%xmm12, %%ymm12\n\t"
                "vpbroadcastq %%xmm13, %%ymm13\n\t"
                "vmovdqu %2, %%ymm14\n\t"
                "vmovdqu %3, %%ymm15\n\t"
                "vpsubq %%ymm12, %%ymm14, %%ymm14\n\t"
                "vpsubq %%ymm12, %%ymm15, %%ymm15\n\t"
                "vpcmpgtq %%ymm14, %%ymm13, %%ymm14\n\t"
                "vpcmpgtq %%ymm15, %%ymm13, %%ymm15\n\t"
                "vmovmskpd %%ymm14, %0\n\t"
                "vmovmskpd %%ymm15, %1" MO_CPU_VZEROUPPER
                : "=r"(mask), "=r"(high)
                : "m"(*(const uintptr_t(*)[4])p), "m"(*(const uintptr_t(*)[4])(p + 4)),
                  "r"(base ^ top), "r"(used ^ top)
                : "xmm12", "xmm13", "xmm14", "xmm15");
        return mask | high << 4;
    }
    mask = 0;
    for (int i = 0; i < 8; i++) mask |= (uint32_t)(mo_cpu_peek(&p[i]) - base < used) << i;
    return mask;
}

#endif
