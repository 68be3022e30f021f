/* valgrind.h - what valgrind must be told; costs a few instructions elsewhere. Floor sys.
 *
 * Scanning reads stacks whose words nobody may have written, and what it decides by them would
 * count as undefined for ever after. A request to valgrind is a sequence of rotations that does
 * nothing on a processor: rax points to the request's number and five arguments, rdx gives the
 * answer.
 */
#ifndef MO_VALGRIND_H
#define MO_VALGRIND_H

#include "base/compiler.h"

MO_INLINE uint64_t mo_valgrind_request(uint64_t number, uint64_t arg1, uint64_t arg2) {
    volatile uint64_t args[6] = {number, arg1, arg2, 0, 0, 0};
    uint64_t answer = 0;
    __asm__ volatile("rolq $3, %%rdi\n\t"
                     "rolq $13, %%rdi\n\t"
                     "rolq $61, %%rdi\n\t"
                     "rolq $51, %%rdi\n\t"
                     "xchgq %%rbx, %%rbx"
                     : "+d"(answer)
                     : "a"(args)
                     : "cc", "memory");
    return answer;
}

/* From here on the bytes count as written. */
MO_INLINE void mo_valgrind_defined(uintptr_t lo, size_t bytes) {
    const uint64_t make_mem_defined = (uint64_t)'M' << 24 | (uint64_t)'C' << 16 | 2;
    mo_valgrind_request(make_mem_defined, lo, bytes);
}

/* A stack that is no thread's: the stack pointer may come to lie there. Returns its number. */
MO_INLINE uint64_t mo_valgrind_stack_register(uintptr_t lo, uintptr_t hi) {
    return mo_valgrind_request(0x1501, lo, hi - 1);
}
MO_INLINE void mo_valgrind_stack_deregister(uint64_t number) {
    mo_valgrind_request(0x1502, number, 0);
}

#endif
