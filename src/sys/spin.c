/* spin.c - see spin.h: waiting. Floor sys. */
#include "sys/spin.h"

#include "sys/cpu.h"
#include "sys/futex.h"

enum {
    MAX_PAUSES = 256,    /* some microseconds */
    NAP_AFTER = 4 << 10, /* pauses; then its holder needs the processor */
    NAP_NS = 20000,
};

/* Each look that finds it held makes the next one twice as rare: the cache line stays with who has
 * it for several turns, instead of changing hands at each. */
void mo_spin_lock_slow(uint32_t *word) {
    uint32_t num = 0;
    for (uint32_t pauses = 1;;) {
        for (uint32_t i = 0; i < pauses; i++) mo_cpu_pause();
        /* a look without the cache line's ownership; the exchange decides */
        if (!mo_load_rlx(word) && mo_spin_try(word)) return;
        num += pauses;
        if (pauses < MAX_PAUSES) pauses *= 2;
        if (num < NAP_AFTER) continue;
        mo_futex_wait(word, 1, NAP_NS); /* nobody wakes us */
        num = 0;
    }
}
