/* spin.c - see spin.h: waiting. Floor sys. */
#include "sys/spin.h"

#include "sys/cpu.h"
#include "sys/futex.h"

enum { SPINS = 200, NAP_NS = 20000 };

void mo_spin_lock_slow(uint32_t *word) {
    for (uint32_t i = 1;; i++) {
        /* a look without the cache line's ownership; the exchange decides */
        if (!mo_load_rlx(word) && mo_spin_try(word)) return;
        if (i % SPINS == 0)
            mo_futex_wait(word, 1, NAP_NS); /* nobody wakes us: its holder needs the processor */
        else
            mo_cpu_pause();
    }
}
