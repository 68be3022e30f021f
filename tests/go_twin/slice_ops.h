/* slice_ops.h - operations on the slices of one type. values.c includes it once for each.
 *
 * NAME      before all names
 * S, T      the types of slice and element
 * NUM       registers
 * MAX_LEN   length where no more is appended
 * DRAW()    an element; HASH(v) its hash
 */
#define FN(name) PASTE(NAME, name)

enum { FN(REGS) = NUM };
static S FN(reg)[NUM];

static uint64_t FN(hash)(S s) {
    uint64_t h = mix((uint64_t)s.len, (uint64_t)s.cap);
    for (ptrdiff_t i = 0; i < s.len; i++) h = mix(h, HASH(s.ptr[i]));
    return h;
}
static uint64_t FN(hash_all)(uint64_t h) {
    for (int i = 0; i < NUM; i++) h = mix(h, FN(hash)(FN(reg)[i]));
    return h;
}
static void FN(show)(ptrdiff_t r) {
    note(FN(reg)[r].len);
    note(FN(reg)[r].cap);
    note_hash(FN(hash)(FN(reg)[r]));
}

/* Ready for num elements more than it has. */
static S FN(bound)(S s, ptrdiff_t num) {
    return s.len + num > MAX_LEN ? mound_sub(&s, 0, s.len / 4) : s;
}
/* After an append to a slice that had that capacity and length. */
static S FN(cut_cap)(S s, ptrdiff_t cap, ptrdiff_t needed) {
    return needed > cap ? mound_sub3(&s, 0, s.len, next_cap(cap, needed)) : s;
}

static void FN(sub)(ptrdiff_t r, ptrdiff_t to) {
    S s = FN(reg)[r];
    ptrdiff_t hi = draw(s.cap + 1), is_near = draw(4);
    ptrdiff_t lo = draw((is_near && hi > 4 ? 4 : hi) + 1);
    ptrdiff_t max = hi + draw(s.cap - hi + 1), wild = draw(8), has_max = draw(3);
    if (wild == 0) {
        lo = draw(s.cap + 4) - 2;
        hi = draw(s.cap + 4) - 2;
        max = draw(s.cap + 4) - 2;
    }
    if (has_max != 0) max = s.cap;
    if (lo < 0 || lo > hi || hi > max || max > s.cap)
        note_panic();
    else
        FN(reg)[to] = has_max ? mound_sub(&s, lo, hi) : mound_sub3(&s, lo, hi, max);
}

static void FN(op)(kind k) {
    ptrdiff_t r = draw(NUM), to = draw(NUM), other = draw(NUM);
    S s = FN(reg)[r], t;
    ptrdiff_t cap = s.cap, i = 0, num = 0, len = 0;
    T v, array[8];
    switch (k) {
    case SLICE_MAKE:
        num = draw_small(9);
        len = draw(num + 1);
        i = draw(16);
        if (num > MAX_LEN) num = len = MAX_LEN;
        if (i == 0) len = num + 1;
        if (i == 1) len = -1;
        if (len < 0 || len > num)
            note_panic();
        else
            FN(reg)[to] = mound_make(S, len, num);
        break;
    case SLICE_APPEND:
        v = DRAW();
        s = FN(bound)(s, 1);
        len = s.len;
        mound_append(&s, v);
        FN(reg)[to] = FN(cut_cap)(s, cap, len + 1);
        break;
    case SLICE_APPEND_ARRAY:
        num = draw(9);
        for (i = 0; i < num; i++) array[i] = DRAW();
        s = FN(bound)(s, num);
        len = s.len;
        mound_append_n(&s, array, num);
        FN(reg)[to] = FN(cut_cap)(s, cap, len + num);
        break;
    case SLICE_APPEND_SLICE:
        t = FN(reg)[other];
        i = draw(t.len + 1);
        t = mound_sub(&t, i / 4, t.len);
        if (t.len > MAX_LEN / 2) t = mound_sub(&t, 0, MAX_LEN / 2);
        s = FN(bound)(s, t.len);
        len = s.len;
        mound_append_slice(&s, &t);
        FN(reg)[to] = FN(cut_cap)(s, cap, len + t.len);
        break;
    case SLICE_SUB: FN(sub)(r, to); break;
    case SLICE_COPY:
        t = FN(reg)[draw(2) == 0 ? r : other];
        i = draw(s.len + 1);
        s = mound_sub(&s, i, s.len);
        i = draw(t.len + 1);
        t = mound_sub(&t, i, t.len);
        note(mound_copy(&s, &t));
        to = r;
        break;
    case SLICE_CLEAR:
        i = draw(s.len + 1);
        num = draw(s.len - i + 1);
        s = mound_sub(&s, i, i + num);
        mound_clear(&s);
        to = r;
        break;
    case SLICE_GET:
        i = draw(s.len + 2) - 1;
        if (i < 0 || i >= s.len)
            note_panic();
        else
            note_hash(HASH(mound_at(&s, i)));
        break;
    case SLICE_SET:
        i = draw(s.len + 2) - 1;
        v = DRAW();
        if (i < 0 || i >= s.len)
            note_panic();
        else
            mound_at(&s, i) = v;
        to = r;
        break;
    case SLICE_SHARE: FN(reg)[to] = s; break;
    default: /* SLICE_GROW */
        num = draw_small(7);
        s = FN(bound)(s, num);
        len = s.len;
        mound_grow(&s, num);
        FN(reg)[to] = FN(cut_cap)(s, cap, len + num);
        break;
    }
    FN(show)(to);
    FN(show)(other); /* may share a block with it */
}

#undef FN
#undef NAME
#undef S
#undef T
#undef NUM
#undef MAX_LEN
#undef DRAW
#undef HASH
