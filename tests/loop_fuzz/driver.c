/* driver.c - runs the generated loops and tells which lost an array: prints "lost NAME" for each,
 * then "checks N lost N". Two ways, by the first argument:
 *
 *   collect   a real collection at each call; an array that is dead after it is lost
 *   step      every instruction is a place where a thread may be stopped: the loops run with the
 *             trap flag set, and at each trap registers, vector registers and stack are searched
 *             by mound's rule (an address in the array, or one past its end). Where there is none,
 *             the array's pages are taken away: if the loop then touches it, it is lost.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <mound.h>

#include "loop_fuzz.h"

enum { MAX_ARRAYS = 2, RED_ZONE_BYTES = 128, TRAP_FLAG = 0x100, XMM_OFF = 160, XMM_BYTES = 256 };

static mound_weak array[MAX_ARRAYS];
static int num_arrays;
static long num_checks;
static sigjmp_buf after_loss;
__attribute__((used)) static int is_stepping;

/* ---------------------------------------------------------------- collect */

/* What earlier calls left below us must not keep an array. */
__attribute__((noinline)) static void clear_stack(void) {
    char dead[16384];
    memset(dead, 0, sizeof dead);
    __asm__ volatile("" : : "r"(dead) : "memory");
}

static void *collected_array(size_t bytes) {
    char *p = mound_alloc_noscan(bytes);
    memset(p, 1, bytes);
    array[num_arrays++] = mound_weak_make(p);
    return p;
}

__attribute__((noinline)) static int all_alive(void) {
    for (int i = 0; i < num_arrays; i++)
        if (!mound_weak_get(array[i])) return 0;
    return 1;
}

__attribute__((used)) static void collect(void) {
    num_checks++;
    clear_stack();
    mound_gc();
    int alive = all_alive();
    clear_stack();
    if (!alive) siglongjmp(after_loss, 1); /* the memory is not ours any more */
}

/* ---------------------------------------------------------------- step */

static struct area {
    char *pages;
    size_t page_bytes;
    uintptr_t lo, end; /* of the array */
    int is_protected;
} area[MAX_ARRAYS];
static uintptr_t stack_end; /* of what belongs to the loop */

static void set_trap(int on) {
    uintptr_t flags;
    __asm__ volatile("pushfq\n\tpopq %0" : "=r"(flags) : : "memory");
    flags = on ? flags | TRAP_FLAG : flags & ~(uintptr_t)TRAP_FLAG;
    __asm__ volatile("pushq %0\n\tpopfq" : : "r"(flags) : "memory", "cc");
}

/* Ends inside its pages and begins there too: nothing in use is within reach. */
static void *stepped_array(size_t bytes) {
    struct area *a = &area[num_arrays++];
    a->page_bytes = (bytes + 4095) / 4096 * 4096 + 4096;
    a->pages =
        mmap(NULL, a->page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (a->pages == MAP_FAILED) abort();
    memset(a->pages, 1, a->page_bytes);
    a->lo = (uintptr_t)a->pages + 1024;
    a->end = a->lo + bytes;
    a->is_protected = 0;
    return (void *)a->lo;
}

static int in_words(const struct area *a, const void *lo, size_t bytes) {
    const uintptr_t *word = lo;
    for (size_t i = 0; i < bytes / sizeof *word; i++)
        if (word[i] >= a->lo && word[i] <= a->end) return 1;
    return 0;
}

static void on_trap(int sig, siginfo_t *info, void *context) {
    (void)sig, (void)info;
    const ucontext_t *uc = context;
    const mcontext_t *m = &uc->uc_mcontext;
    uintptr_t lowest = (uintptr_t)m->gregs[REG_RSP] - RED_ZONE_BYTES;
    num_checks++;
    for (int i = 0; i < num_arrays; i++) {
        struct area *a = &area[i];
        if (a->is_protected || in_words(a, m->gregs, REG_RIP * sizeof m->gregs[0]) ||
            in_words(a, (char *)m->fpregs + XMM_OFF, XMM_BYTES) ||
            in_words(a, (void *)lowest, stack_end - lowest))
            continue;
        a->is_protected = 1;
        mprotect(a->pages, a->page_bytes, PROT_NONE);
    }
}

static void on_fault(int sig, siginfo_t *info, void *context) {
    (void)context;
    for (int i = 0; i < num_arrays; i++)
        if ((char *)info->si_addr >= area[i].pages &&
            (char *)info->si_addr < area[i].pages + area[i].page_bytes)
            siglongjmp(after_loss, 1);
    signal(sig, SIG_DFL); /* a real fault */
}

static void install_handlers(void) {
    /* On a stack of their own, so that they leave nothing below the loop's. */
    stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
    sigaltstack(&stack, NULL);
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_ONSTACK};
    action.sa_sigaction = on_trap;
    sigaction(SIGTRAP, &action, NULL);
    action.sa_sigaction = on_fault;
    sigaction(SIGSEGV, &action, NULL);
}

__attribute__((noinline)) static void step(const fuzz_case *c) {
    stack_end = (uintptr_t)__builtin_frame_address(0);
    clear_stack();
    set_trap(1);
    c->fn();
    set_trap(0);
}

/* ---------------------------------------------------------------- both */

/* Returns with a clean stack below the caller: the array's address is in its registers only. */
void *fuzz_array(size_t bytes) {
    if (!is_stepping) return collected_array(bytes);
    set_trap(0);
    void *p = stepped_array(bytes);
    clear_stack();
    set_trap(1);
    return p;
}

/* When stepping (but not through itself): a call that saves nothing on the stack, and leaves in the
 * registers it need not keep, and below the stack pointer, what any call may leave there: something
 * else. */
__asm__(".text\n\t.globl fuzz_call\n\t.type fuzz_call, @function\n"
        "fuzz_call:\n\t"
        "cmpl $0, is_stepping(%rip)\n\t"
        "je collect\n\t"
        "pushfq\n\tandq $~0x100, (%rsp)\n\tpopfq\n\t"
        "xorl %eax, %eax\n\txorl %ecx, %ecx\n\txorl %edx, %edx\n\txorl %esi, %esi\n\t"
        "xorl %edi, %edi\n\txorl %r8d, %r8d\n\txorl %r9d, %r9d\n\txorl %r10d, %r10d\n\t"
        "xorl %r11d, %r11d\n\t"
        ".irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n\t"
        "pxor %xmm\\i, %xmm\\i\n\t"
        ".endr\n\t"
        ".irp i, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120, 128\n\t"
        "movq %rax, -\\i(%rsp)\n\t"
        ".endr\n\t"
        "pushfq\n\torq $0x100, (%rsp)\n\tpopfq\n\t"
        "ret\n\t.size fuzz_call, . - fuzz_call");

__attribute__((noinline)) static int is_lost(const fuzz_case *c) {
    num_arrays = 0;
    if (sigsetjmp(after_loss, 1)) {
        set_trap(0);
        return 1;
    }
    if (is_stepping)
        step(c);
    else
        c->fn();
    return 0;
}

int main(int argc, char **argv) {
    int lost = 0;
    is_stepping = argc > 1 && strcmp(argv[1], "step") == 0;
    if (is_stepping) install_handlers();
    alarm(60 + (unsigned)fuzz_num_cases / 5);
    for (int i = 0; i < fuzz_num_cases; i++) {
        if (is_lost(&fuzz_cases[i])) {
            printf("lost %s\n", fuzz_cases[i].name);
            lost++;
        }
        for (int k = 0; is_stepping && k < num_arrays; k++)
            munmap(area[k].pages, area[k].page_bytes);
    }
    printf("checks %ld lost %d\n", num_checks, lost);
    return num_checks > fuzz_num_cases ? 0 : 1;
}
