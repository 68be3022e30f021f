/* fiber.c - see fiber.h. Floor sched. */
#include "sched/fiber.h"

#include "sys/valgrind.h"

#define WEAK __attribute__((weak))
extern void __sanitizer_start_switch_fiber(void **fake, const void *lo, size_t bytes) WEAK;
extern void __sanitizer_finish_switch_fiber(void *fake, const void **lo, size_t *bytes) WEAK;
extern void __asan_unpoison_memory_region(const volatile void *lo, size_t bytes) WEAK;
extern void *__tsan_get_current_fiber(void) WEAK;
extern void *__tsan_create_fiber(unsigned flags) WEAK;
extern void __tsan_destroy_fiber(void *fiber) WEAK;
extern void __tsan_switch_to_fiber(void *fiber, unsigned flags) WEAK;

void mo_fiber_open(mo_g *g) {
    if (__tsan_create_fiber) g->tsan_fiber = __tsan_create_fiber(0);
    g->valgrind_id = (uint32_t)mo_valgrind_stack_register(g->stack.lo, g->stack.hi);
}

void mo_fiber_close(mo_g *g) {
    if (g->tsan_fiber) __tsan_destroy_fiber(g->tsan_fiber);
    g->tsan_fiber = NULL;
    mo_valgrind_stack_deregister(g->valgrind_id);
}

/* What a function that never returned has left there as not to be touched. */
static void clean(const mo_g *g) {
    if (__asan_unpoison_memory_region)
        __asan_unpoison_memory_region((void *)g->stack.lo, g->stack.hi - g->stack.lo);
}

bool mo_fiber_is_watched(void) {
    return __sanitizer_start_switch_fiber != NULL || __tsan_switch_to_fiber != NULL;
}

MO_NO_TSAN MO_NOINLINE void mo_fiber_switch(mo_thread *t, mo_context *from_context, mo_g *from,
                                            mo_context *to_context, mo_g *to, bool from_ends) {
    if (MO_UNLIKELY(__sanitizer_start_switch_fiber != NULL)) {
        if (from_ends) clean(from);
        uintptr_t lo = to ? to->stack.lo : t->stack_lo, hi = to ? to->stack.hi : t->stack_hi;
        void **fake = from_ends ? NULL : from ? &from->asan_fake : &t->asan_fake;
        __sanitizer_start_switch_fiber(fake, (void *)lo, hi - lo);
    }
    if (MO_UNLIKELY(__tsan_switch_to_fiber != NULL)) {
        if (!from) t->tsan_fiber = __tsan_get_current_fiber();
        __tsan_switch_to_fiber(to ? to->tsan_fiber : t->tsan_fiber, 0);
    }
    mo_context_switch(from_context, to_context);
}

void mo_fiber_arrive(mo_g *g) {
    if (MO_LIKELY(__sanitizer_finish_switch_fiber == NULL)) return;
    const void *lo;
    size_t bytes;
    __sanitizer_finish_switch_fiber(g ? g->asan_fake : mo_self->asan_fake, &lo, &bytes);
}
