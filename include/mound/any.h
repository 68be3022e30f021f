/* mound/any.h - a value of any type, and functions with captured values. Included by mound.h.
 *
 *     mound_any a = mound_any_of(int, 5);
 *     if (mound_any_is(&a, int)) printf("%d\n", mound_any_as(&a, int));
 *
 *     typedef mound_func_of(int, int) adder;                    // int (*)(void *env, int)
 *     adder add5 = {add, mound_box(int, 5)};
 *     int twelve = mound_call(add5, 7);
 *
 * A mound_any is a type and a word: a value of up to 8 bytes stands in the word, a larger one in a
 * block of its own that is not changed afterwards. Zero values need no block. {0} is nil: no type.
 * Go: interfaces without methods; type assertions.
 */
#ifndef MOUND_ANY_H
#define MOUND_ANY_H

typedef struct mound_any {
    const mound_type *type; /* NULL: nil */
    uint64_t word;          /* the value, or its address */
} mound_any;

/* Descriptors of C's own types: mound_any_of(T, v) finds them by MOUND_TYPEOF(T). Of two types of
 * one name and size that two source files declare it takes the one for the other. */
MOUND_API extern mound_type mound_type_bool, mound_type_char, mound_type_short, mound_type_int,
    mound_type_unsigned, mound_type_long, mound_type_float, mound_type_double, mound_type_size_t,
    mound_type_int8_t, mound_type_int16_t, mound_type_int32_t, mound_type_int64_t,
    mound_type_uint8_t, mound_type_uint16_t, mound_type_uint32_t, mound_type_uint64_t,
    mound_type_uintptr_t, mound_type_mound_pointer, mound_type_mound_string, mound_type_mound_any;
typedef void *mound_pointer;
#define mound_type__Bool mound_type_bool /* where bool is a macro */

/* The value at v. Go: any(v). */
MOUND_API mound_any mound_any_box(const mound_type *type, const void *value)
    MOUND_ATTR(warn_unused_result);
/* Where the value is, in *a or in its block; NULL: *a is nil or of another type. Not to be written
 * to. Go: v, ok := a.(T). */
MOUND_API const void *mound_any_get(const mound_any *a, const mound_type *type);
/* The same; of another type, the process ends. Go: a.(T). */
MOUND_API const void *mound_any_must(const mound_any *a, const mound_type *type, const char *where)
    MOUND_ATTR(returns_nonnull);
/* Both nil, or of one type and equal by its function. Ends the process if the types are one that
 * cannot be compared. Go: ==. */
MOUND_API int mound_any_eq(mound_any a, mound_any b);

#ifndef __cplusplus
#define mound_any_of(T, v) mound_any_box(MOUND_TYPEOF(T), (T[1]){(v)})
#define mound_any_is(a, T) (mound_any_get((a), MOUND_TYPEOF(T)) != (void *)0)
/* NULL: another type. */
#define mound_any_try(a, T) ((const T *)mound_any_get((a), MOUND_TYPEOF(T)))
#define mound_any_as(a, T) (*(const T *)mound_any_must((a), MOUND_TYPEOF(T), MOUND_HERE_))
#endif

/* ---------------------------------------------------------------- functions with captured values
 */

/* A copy of a value in collected memory: what a closure captures by value, or new with a value.
 * Go: &T{...}. */
static inline void *mound_box_(const void *value, size_t size, unsigned flags) {
    void *box = flags ? mound_alloc_noscan(size) : mound_alloc(size);
    return __builtin_memcpy(box, value, size);
}
#ifndef __cplusplus
#define mound_box(T, ...) ((T *)mound_box_((T[1]){__VA_ARGS__}, sizeof(T), MOUND_NUMBER_FLAGS_(T)))
#endif

/* A closure: a function whose first argument is the block of what it captured. Two closures may
 * share one; it lives as long as one of them. */
#define mound_func_of(R, ...)                                                                      \
    struct {                                                                                       \
        R (*fn)(void *env, __VA_ARGS__);                                                           \
        void *env;                                                                                 \
    }
/* Without further arguments: what mound_go_func takes. */
typedef struct mound_func {
    void (*fn)(void *env);
    void *env;
} mound_func;
/* f is evaluated twice. */
#define mound_call(f, ...) ((f).fn((f).env, __VA_ARGS__))
#define mound_call0(f) ((f).fn((f).env))
/* Go: go f(). */
static inline void mound_go_func(mound_func f) { mound_go(f.fn, f.env); }

#endif
