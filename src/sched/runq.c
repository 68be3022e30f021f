/* runq.c - see runq.h: the paths that take many. Floor sched. */
#include "sched/runq.h"

#include "base/bits.h"
#include "base/panic.h"

uint32_t mo_runq_take_half(mo_runq *q, struct mo_g *out[MO_RUNQ_LEN / 2]) {
    uint32_t head = mo_load_acq(&q->head); /* [H]; the exchange decides */
    for (;;) {
        uint32_t tail = mo_load_acq(&q->tail); /* [T] tail */
        uint32_t num = tail - head;
        num -= num / 2;
        if (num == 0) return 0;
        if (num > MO_RUNQ_LEN / 2) {      /* head is older than tail: others have taken meanwhile */
            head = mo_load_acq(&q->head); /* [H] */
            continue;
        }
        for (uint32_t i = 0; i < num; i++)
            out[i] = mo_load_rlx(&q->entry[(head + i) % MO_RUNQ_LEN]); /* by [T]; counts if [H] */
#if MO_MUTANT_runq_takes_unchecked
        mo_store_rel(&q->head, head + num); /* [H] */
        return num;
#endif
        if (mo_cas_acqrel(&q->head, &head, head + num)) return num; /* [H] head */
    }
}

struct mo_g *mo_runq_steal(mo_runq *to, mo_runq *from, bool with_next) {
    struct mo_g *out[MO_RUNQ_LEN / 2];
    uint32_t num = mo_runq_take_half(from, out);
    if (num == 0) {
        if (!with_next) return NULL;
        struct mo_g *g = mo_load_rlx(&from->next);           /* the exchange decides */
        return g ? mo_xchg_acqrel(&from->next, NULL) : NULL; /* [N] */
    }
    num--;
    uint32_t tail = mo_load_rlx(&to->tail);                       /* own word */
    mo_assert(tail - mo_load_acq(&to->head) + num <= MO_RUNQ_LEN, /* [H] */
              "runq: stolen into a ring that is not empty");
    for (uint32_t i = 0; i < num; i++)
        mo_store_rlx(&to->entry[(tail + i) % MO_RUNQ_LEN], out[i]); /* published by tail */
    if (num > 0) mo_store_rel(&to->tail, tail + num);               /* [T] */
    return out[num];
}
