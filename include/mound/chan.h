/* mound/chan.h - channels and select, with Go's meaning. Included by mound.h.
 *
 *     MOUND_CHAN(int) c = mound_chan_make(int, 4);
 *     mound_send(c, 5);
 *     int v;
 *     while (mound_recv(c, &v)) ...          // until it is closed and empty
 *
 * MOUND_CHAN(T) is a type of its own for each T: a value of another type does not compile. A
 * channel is collected like any object, what lies in its buffer is kept alive by it. NULL is a
 * channel on which everything waits for ever.
 *
 * From goroutines and from threads alike; a thread waits in the system. Sending on a closed
 * channel, closing it twice, and closing NULL end the process.
 */
#ifndef MOUND_CHAN_H
#define MOUND_CHAN_H

typedef struct mound_chan mound_chan;

/* ---------------------------------------------------------------- by address */

enum { MOUND_ELEM_NOSCAN = 1 }; /* elements hold no pointers */

/* cap elements of elem_bytes each, 0: unbuffered. Ends the process if that is too large (an element
 * of 64 KiB, as in Go: send its address) or memory is exhausted. Go: make(chan T, cap). */
MOUND_API mound_chan *mound_chan_new(size_t elem_bytes, size_t cap, unsigned flags)
    MOUND_ATTR(returns_nonnull, warn_unused_result);
/* elem: elem_bytes are read there. Go: c <- v. */
MOUND_API void mound_chan_send(mound_chan *c, const void *elem);
/* elem: the value goes there; NULL: nowhere. 0: the channel is closed and empty, the value is zero.
 * Go: v, ok := <-c. */
MOUND_API int mound_chan_recv(mound_chan *c, void *elem);
/* Without waiting: 0 if it would have to. recv: ok says whether a value came; may be NULL. */
MOUND_API int mound_chan_try_send(mound_chan *c, const void *elem);
MOUND_API int mound_chan_try_recv(mound_chan *c, void *elem, int *ok);
MOUND_API void mound_chan_close(mound_chan *c);
/* Elements in the buffer, a moment's value; its size. 0 for NULL. */
MOUND_API size_t mound_chan_len(const mound_chan *c);
MOUND_API size_t mound_chan_cap(const mound_chan *c);

/* ---------------------------------------------------------------- select */

typedef enum mound_case_kind { MOUND_CASE_SEND, MOUND_CASE_RECV } mound_case_kind;

typedef struct mound_case {
    mound_chan *chan; /* NULL: never chosen */
    void *elem;       /* as in send and recv */
    mound_case_kind kind;
    int ok; /* recv, once chosen: as mound_chan_recv's result */
} mound_case;

/* Waits until one of the cases can go on, does it, and returns its number; if several can, each
 * with the same chance. num_cases 0 waits for ever. More than 65,536 end the process. */
MOUND_API int mound_select(mound_case *cases, int num_cases);
/* -1 if none can go on now. Go: select with default. */
MOUND_API int mound_try_select(mound_case *cases, int num_cases);

/* ---------------------------------------------------------------- by type */

#define MOUND_CHAN(T) __typeof__(T(*)[1])
#define MOUND_ELEM_(c) __typeof__((*(c))[0])
#define MOUND_CHAN_(c) ((mound_chan *)(void *)(c))

#define mound_chan_make(T, cap)                                                                    \
    ((MOUND_CHAN(T))(void *)mound_chan_new(sizeof(T), (cap), MOUND_ELEM_FLAGS_(T)))

#ifdef __cplusplus
/* Numbers and enumerations hold no pointers; what is as wide as one may. */
#define MOUND_ELEM_FLAGS_(T) (sizeof(T) < sizeof(void *) ? (unsigned)MOUND_ELEM_NOSCAN : 0u)
} /* extern "C" */
template <class T> inline void mound_send_(T (*c)[1], const T &v) {
    T copy = v;
    mound_chan_send(MOUND_CHAN_(c), &copy);
}
template <class T> inline int mound_try_send_(T (*c)[1], const T &v) {
    T copy = v;
    return mound_chan_try_send(MOUND_CHAN_(c), &copy);
}
template <class T> inline void *mound_elem_(T (*)[1], T *p) { return p; }
extern "C" {
#define mound_send(c, v) mound_send_((c), (v))
#define mound_try_send(c, v) mound_try_send_((c), (v))
#define MOUND_TO_(c, p) mound_elem_((c), (p))
#define MOUND_FROM_(c, p) mound_elem_((c), (p))
#else
#define MOUND_ELEM_FLAGS_(T)                                                                       \
    (sizeof(T) < sizeof(void *) || __builtin_classify_type(*(T *)0) == 8 ? MOUND_ELEM_NOSCAN : 0u)
/* One if v may be assigned to a T without a word from the compiler: the same type, two numbers, or
 * a pointer that gains a qualifier; else an array of negative size. */
#define MOUND_IS_NUMBER_(x)                                                                        \
    ((__builtin_classify_type(x) >= 1 && __builtin_classify_type(x) <= 4) ||                       \
     __builtin_classify_type(x) == 8 || __builtin_classify_type(x) == 9)
#define MOUND_FITS_(T, v)                                                                          \
    (__builtin_types_compatible_p(__typeof__(1 ? (v) : *(__typeof__(T) *)0), T) ||                 \
     (MOUND_IS_NUMBER_(v) && MOUND_IS_NUMBER_(*(__typeof__(T) *)0)))
#define MOUND_MUST_(ok) ((void)sizeof(char[(ok) ? 1 : -1]))
#define MOUND_VALUE_(c, v) ((MOUND_ELEM_(c)[1]){(v)})
#define mound_send(c, v)                                                                           \
    (MOUND_MUST_(MOUND_FITS_(MOUND_ELEM_(c), v)),                                                  \
     mound_chan_send(MOUND_CHAN_(c), MOUND_VALUE_(c, v)))
#define mound_try_send(c, v)                                                                       \
    (MOUND_MUST_(MOUND_FITS_(MOUND_ELEM_(c), v)),                                                  \
     mound_chan_try_send(MOUND_CHAN_(c), MOUND_VALUE_(c, v)))
#define MOUND_TO_(c, p)                                                                            \
    ((void *)((p) +                                                                                \
              0 * sizeof(                                                                          \
                      char[__builtin_types_compatible_p(__typeof__(*(p)), MOUND_ELEM_(c)) ? 1      \
                                                                                          : -1])))
#define MOUND_FROM_(c, p) MOUND_TO_(c, p)
#endif

/* The value goes to *p; its type is the channel's. */
#define mound_recv(c, p) mound_chan_recv(MOUND_CHAN_(c), MOUND_TO_(c, p))
#define mound_try_recv(c, p, ok) mound_chan_try_recv(MOUND_CHAN_(c), MOUND_TO_(c, p), (ok))
/* The value is dropped. */
#define mound_recv_any(c) mound_chan_recv(MOUND_CHAN_(c), (void *)0)
#define mound_close(c) mound_chan_close(MOUND_CHAN_(c))
#define mound_len(c) mound_chan_len(MOUND_CHAN_(c))
#define mound_cap(c) mound_chan_cap(MOUND_CHAN_(c))

/* For arrays of mound_case: { MOUND_RECV(c, &v), MOUND_SEND(d, &w) }. */
#define MOUND_RECV(c, p)                                                                           \
    { MOUND_CHAN_(c), MOUND_TO_(c, p), MOUND_CASE_RECV, 0 }
#define MOUND_RECV_ANY(c)                                                                          \
    { MOUND_CHAN_(c), (void *)0, MOUND_CASE_RECV, 0 }
#define MOUND_SEND(c, p)                                                                           \
    { MOUND_CHAN_(c), MOUND_FROM_(c, p), MOUND_CASE_SEND, 0 }

#endif
