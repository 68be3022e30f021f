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

struct mo_g *mo_runq_pop(mo_runq *q) {
    uint32_t top = mo_load_rlx(&q->top) - 1; /* own word */
    mo_store_rel(&q->top, top);              /* [C] */
#if !MO_MUTANT_runq_looks_first
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* [C] */
#endif
    uint32_t bottom = mo_load_rlx(&q->bottom);                    /* by the fence */
    struct mo_g *g = mo_load_rlx(&q->creator[top % MO_RUNQ_LEN]); /* own stores */
    if ((int32_t)(top - bottom) > 0) return g; /* else it is the last one, or a thief has it */
#if MO_MUTANT_runq_pops_unchecked
    mo_store_rel(&q->bottom, top + 1); /* [C] */
    mo_store_rel(&q->top, top + 1);    /* [C] */
    return g;
#endif
    if (top != bottom || !mo_cas_acqrel(&q->bottom, &bottom, bottom + 1)) g = NULL; /* [C] */
    mo_store_rel(&q->top, top + 1);                                                 /* [C] */
    return g;
}

static struct mo_g *take_oldest(mo_runq *q) {
    uint32_t bottom = mo_load_acq(&q->bottom); /* [C] */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);   /* [C] */
    uint32_t top = mo_load_acq(&q->top);       /* [C] */
    if ((int32_t)(top - bottom) <= 0) return NULL;
    struct mo_g *g = mo_load_rlx(&q->creator[bottom % MO_RUNQ_LEN]); /* by [C]; counts if moved */
#if MO_MUTANT_runq_takes_oldest_unchecked
    mo_store_rel(&q->bottom, bottom + 1); /* [C] */
    return g;
#endif
    return mo_cas_acqrel(&q->bottom, &bottom, bottom + 1) ? g : NULL; /* [C] */
}

struct mo_g *mo_runq_steal(mo_runq *to, mo_runq *from, bool with_next) {
    struct mo_g *g = mo_runq_has_creators(from) ? take_oldest(from) : NULL;
    if (g) return g;
    struct mo_g *out[MO_RUNQ_LEN / 2];
    uint32_t num = mo_runq_take_half(from, out);
    if (num == 0) {
        if (!with_next) return NULL;
        g = mo_load_rlx(&from->next);                        /* the exchange decides */
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
