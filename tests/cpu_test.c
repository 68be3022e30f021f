/* cpu_test.c - which of eight words lie in a range: every form beside the plain one. */
#include "support.h"

#include "sys/cpu.h"

static uint32_t plain(const uintptr_t *p, uintptr_t base, uintptr_t used) {
    uint32_t mask = 0;
    for (int i = 0; i < 8; i++) mask |= (uint32_t)(p[i] - base < used) << i;
    return mask;
}

/* Words near the borders of the range and of the address space, and any others. */
static uintptr_t any_word(mo_rand *r, uintptr_t base, uintptr_t used) {
    uintptr_t near = mo_rand_below(r, 3) - 1;
    switch (mo_rand_below(r, 6)) {
    case 0: return base + near;
    case 1: return base + used + near;
    case 2: return near;
    case 3: return ((uintptr_t)1 << 63) + near;
    case 4: return base + mo_rand_below(r, used + 1);
    default: return mo_rand_next(r);
    }
}

static void check_level(mo_cpu_level level) {
    for (unsigned run = 0; run < test_runs(4); run++) {
        mo_rand r;
        mo_rand_seed(&r, test_seed("cpu_test", run));
        for (int i = 0; i < 200000; i++) {
            uintptr_t used = mo_rand_next(&r) >> (1 + mo_rand_below(&r, 62));
            uintptr_t base = mo_rand_next(&r) >> mo_rand_below(&r, 20), word[9];
            for (int k = 0; k < 9; k++) word[k] = any_word(&r, base, used);
            const uintptr_t *p = word + (i & 1); /* aligned to 8 only */
            uint32_t want = plain(p, base, used), got = mo_cpu_in_range8(p, base, used, level);
            if (got != want)
                fail_msg("base %#lx, used %#lx: %#x instead of %#x", base, used, got, want);
        }
    }
}

static void the_plain_form_finds_the_words_in_range(void **state) {
    (void)state;
    check_level(MO_CPU_BASE);
}

static void the_avx2_form_does_too(void **state) {
    (void)state;
    if (mo_cpu_detect() < MO_CPU_AVX2) {
        print_message("skipped: this processor has no AVX2\n");
        skip();
    }
    check_level(MO_CPU_AVX2);
}

static void the_avx512_form_does_too(void **state) {
    (void)state;
    if (mo_cpu_detect() < MO_CPU_AVX512) {
        print_message("skipped: this processor has no AVX-512\n");
        skip();
    }
    check_level(MO_CPU_AVX512);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_plain_form_finds_the_words_in_range),
        cmocka_unit_test(the_avx2_form_does_too),
        cmocka_unit_test(the_avx512_form_does_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
