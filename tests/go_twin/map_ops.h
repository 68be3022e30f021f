/* map_ops.h - operations on the maps of one type. values.c includes it once for each.
 *
 * NAME      before all names; NAME_key(i) is key number i, NAME_index(k) the number
 * M, K, V   the types of map, key and value
 * NUM       registers
 * HASH(k)   a key's hash
 * IS_ALONE  no register refers to another one's map
 *
 * What is done to a map while it is gone through is the same in whatever order the entries come:
 * keys of even number change the entries of odd number, and only even ones are in the digest. A NaN
 * is left out of it: mound may pass it over, or come to it twice, where the map shrinks meanwhile.
 */
#define FN(name) PASTE(NAME, name)
#ifndef IS_ALONE
#define IS_ALONE 0
#endif

enum { FN(REGS) = NUM };
static M FN(reg)[NUM];

static uint64_t FN(digest)(M m) {
    uint64_t sum = mound_map_len(m);
    for (mound_map_iter it = mound_map_begin(m); mound_map_next(&it);)
        sum += entry_hash(HASH(*mound_map_key(m, &it)), (int64_t)*mound_map_value(m, &it));
    return sum;
}
static uint64_t FN(hash_all)(uint64_t h) {
    for (int i = 0; i < NUM; i++) h = mix(h, FN(digest)(FN(reg)[i]));
    return h;
}
static void FN(make_all)(void) {
    for (int i = 0; i < NUM; i++) FN(reg)[i] = mound_map_make(M);
}

/* Go's sum, which wraps around. */
static void FN(add)(V *p, V v) { *p = (V)((uint64_t)*p + (uint64_t)v); }

static void FN(note_value)(const V *p) {
    if (p)
        note((int64_t)*p);
    else
        note(-7);
}

static void FN(iterate_delete)(M m) {
    ptrdiff_t way = draw(4);
    uint64_t sum = 0;
    if (IS_ALONE && way == 3) way = 2;
    for (mound_map_iter it = mound_map_begin(m); mound_map_next(&it);) {
        K k = *mound_map_key(m, &it);
        ptrdiff_t i = FN(index)(k);
        if (i == NAN_KEY) {
            if (way != 3) sum += entry_hash(HASH(k), (int64_t)*mound_map_value(m, &it));
            continue;
        }
        if (way == 3) { /* all at once: none comes after it */
            mound_map_clear(m);
            sum++;
        } else if (way == 2) { /* each third, and this one */
            sum += entry_hash(HASH(k), (int64_t)*mound_map_value(m, &it));
            if (HASH(k) % 3 == 0) mound_map_delete(m, k);
        } else if (i % 2 == 0) {
            sum += entry_hash(HASH(k), (int64_t)*mound_map_value(m, &it));
            mound_map_delete(m, FN(key)(i + 1));
        }
    }
    note_hash(sum);
}

/* Puts the odd ones of the first num keys, and adds to the even ones that are there. */
static void FN(change)(M m, ptrdiff_t num) {
    mound_map_reserve(m, (size_t)num);
    for (ptrdiff_t i = 0; i < num; i++) {
        if (i % 2 == 1)
            mound_map_set(m, FN(key)(i), (V)i);
        else if (mound_map_has(m, FN(key)(i)))
            FN(add)(mound_map_at(m, FN(key)(i)), 5);
    }
}

static void FN(iterate_put)(M m) {
    ptrdiff_t way = draw(4), num = draw(2000);
    bool is_changed = false;
    uint64_t sum = 0;
    if (!m.map) {
        note_panic();
        return;
    }
    for (mound_map_iter it = mound_map_begin(m); mound_map_next(&it);) {
        K k = *mound_map_key(m, &it);
        V *p = mound_map_value(m, &it), v = *p;
        ptrdiff_t i = FN(index)(k);
        if (i == NAN_KEY) {
            sum += entry_hash(HASH(k), (int64_t)v);
            continue;
        }
        if (way == 0) FN(add)(p, 1);
        if (way == 0 || i % 2 != 0) continue;
        if (way == 1) {
            FN(add)(p, 1);
            FN(add)(mound_map_at(m, FN(key)(i + 1)), 1);
        } else if (way == 2) {
            mound_map_delete(m, FN(key)(i + 1));
            mound_map_set(m, FN(key)(i + 1), (V)i);
        } else if (!is_changed) {
            is_changed = true;
            FN(change)(m, num);
            if (HASH(k) == HASH(FN(key)(i))) v = *mound_map_get(m, FN(key)(i));
        }
        sum += entry_hash(HASH(k), (int64_t)v);
    }
    note_hash(sum);
}

/* Puts or deletes until the map has the size that is drawn; goes on for so long as that helps. */
static void FN(bulk)(M m) {
    ptrdiff_t size = draw_size(), first = draw_key(), i = 0;
    ptrdiff_t len = (ptrdiff_t)mound_map_len(m), tries = len < size ? UNIVERSE : 4 * len + 64;
    V v = (V)draw(1000);
    if (!m.map) {
        note_panic();
        return;
    }
    note(size);
    if (len < size) {
        for (; i < tries && mound_map_len(m) < (size_t)size; i++)
            mound_map_set(m, FN(key)((first + i) % UNIVERSE), v + (V)i);
    } else {
        for (; i < tries && mound_map_len(m) > (size_t)size; i++)
            mound_map_delete(m, FN(key)((first + i) % UNIVERSE));
    }
    note(i);
    if (len >= 1792 && mound_map_len(m) == 0) num_emptied++;
}

static void FN(nil)(ptrdiff_t i) {
    M none = {0};
    FN(note_value)(mound_map_get(none, FN(key)(i)));
    note(mound_map_has(none, FN(key)(i)));
    note(mound_map_delete(none, FN(key)(i)) != 0);
    note_size(mound_map_len(none));
    note_hash(FN(digest)(none));
    mound_map_clear(none);
    note_panic(); /* at a put */
}

static void FN(op)(kind k) {
    ptrdiff_t r = draw(NUM), i = draw_key(), way = 0;
    M m = FN(reg)[r];
    V v = 0;
    switch (k) {
    case MAP_MAKE:
        way = draw(8);
        if (way < 3 && !IS_ALONE) {
            FN(reg)[r] = FN(reg)[draw(NUM)];
        } else if (way == 3) {
            FN(reg)[r] = (M){0};
        } else {
            FN(reg)[r] = mound_map_make(M);
            if (way == 4) mound_map_reserve(FN(reg)[r], (size_t)i);
        }
        m = FN(reg)[r];
        break;
    case MAP_PUT:
        v = (V)draw_int();
        if (m.map)
            mound_map_set(m, FN(key)(i), v);
        else
            note_panic();
        break;
    case MAP_GET:
        FN(note_value)(mound_map_get(m, FN(key)(i)));
        note(mound_map_has(m, FN(key)(i + 1)));
        break;
    case MAP_DELETE: note(mound_map_delete(m, FN(key)(i)) != 0); break;
    case MAP_ADD:
        v = (V)draw(100);
        if (m.map) {
            FN(add)(mound_map_at(m, FN(key)(i)), v);
            FN(note_value)(mound_map_get(m, FN(key)(i)));
        } else {
            note_panic();
        }
        break;
    case MAP_CLEAR:
        way = draw(4);
        if (way == 0) mound_map_clear(m);
        break;
    case MAP_ITERATE: note_hash(FN(digest)(m)); break;
    case MAP_ITERATE_DELETE: FN(iterate_delete)(m); break;
    case MAP_ITERATE_PUT: FN(iterate_put)(m); break;
    case MAP_BULK: FN(bulk)(m); break;
    case MAP_RESERVE:
        if (m.map) mound_map_reserve(m, (size_t)i);
        break;
    default: FN(nil)(i); break; /* MAP_NIL */
    }
    note_size(mound_map_len(m));
}

#undef FN
#undef NAME
#undef M
#undef K
#undef V
#undef NUM
#undef HASH
#undef IS_ALONE
