/* context_amd64.S - see context.h. Floor sys.
 *
 * The frame of a context that does not run, upwards from sp: r15 r14 r13 r12 rbx rbp, then where
 * to go on. It goes on by ret: each return address then leaves by the way it came, and the
 * processor's guess of where a return leads stays right. (A jump looks faster in a loop of
 * switches and makes each return of the callers after it a wrong guess.)
 */
#if defined(__x86_64__) && !MO_UCONTEXT

    .text

/* void mo_context_switch(mo_context *from, mo_context *to) */
    .globl mo_context_switch
    .hidden mo_context_switch
    .type mo_context_switch, @function
    .p2align 4
mo_context_switch:
    .cfi_startproc
    endbr64
    pushq %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbp, 0
    pushq %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbx, 0
    pushq %r12
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r12, 0
    pushq %r13
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r13, 0
    pushq %r14
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r14, 0
    pushq %r15
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r15, 0
    movq %rsp, (%rdi)
    movq (%rsi), %rsp
#if MO_MUTANT_context_loses_register
    addq $8, %rsp
#else
    popq %r15
#endif
    .cfi_adjust_cfa_offset -8
    .cfi_restore r15
    popq %r14
    .cfi_adjust_cfa_offset -8
    .cfi_restore r14
    popq %r13
    .cfi_adjust_cfa_offset -8
    .cfi_restore r13
    popq %r12
    .cfi_adjust_cfa_offset -8
    .cfi_restore r12
    popq %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbx
    popq %rbp
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbp
    ret
    .cfi_endproc
    .size mo_context_switch, . - mo_context_switch

/* Where a new context begins: rbx is its function, r12 the argument. Unwinding ends here. */
    .globl mo_context_begin
    .hidden mo_context_begin
    .type mo_context_begin, @function
    .p2align 4
mo_context_begin:
    .cfi_startproc
    .cfi_undefined rip
    endbr64
    movq %r12, %rdi
    callq *%rbx
    ud2 /* fn returned */
    .cfi_endproc
    .size mo_context_begin, . - mo_context_begin

/* void mo_context_visit(mo_context *c, void (*fn)(void *arg), void *arg)
 *
 * Pops c's registers as the switch would, and calls fn where it would return: at that point the
 * return address on the stack is c's. The caller's registers and sp wait on its own stack, whose sp
 * waits on c's. What was popped is pushed again afterwards: fn has left the registers as they were.
 */
    .globl mo_context_visit
    .hidden mo_context_visit
    .type mo_context_visit, @function
    .p2align 4
mo_context_visit:
    .cfi_startproc
    endbr64
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rdi, %rcx
    movq %rsp, %r8
    movq (%rcx), %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    .cfi_def_cfa rsp, 8
    pushq %r8
    .cfi_adjust_cfa_offset 8
    subq $16, %rsp
    .cfi_adjust_cfa_offset 16
    movq %rdx, %rdi
    callq *%rsi
    addq $16, %rsp
    .cfi_adjust_cfa_offset -16
    popq %r8
    .cfi_adjust_cfa_offset -8
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %r8, %rsp
    .cfi_def_cfa rsp, 56
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    .cfi_def_cfa rsp, 8
    ret
    .cfi_endproc
    .size mo_context_visit, . - mo_context_visit

#endif
    .section .note.GNU-stack, "", @progbits
