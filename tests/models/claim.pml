/* claim.pml - the slots of one span between the cache that owns it, threads that free objects of
 * it, and a collection (src/heap/cache.c, src/heap/central.c, src/gc/malloc.h).
 *
 * The owner claims the free slots of a word of the bitmap, takes them one by one, drops objects,
 * frees them itself or gives them to other threads to free; at last it gives the span back. One
 * collection stops everybody at a place where they may be stopped: outside of the runtime, so
 * also between the look at `mask` and the store that takes the slot. Bits are those of heap/span.h:
 * A allocated or claimed, M marked, or need not be. What is read, changed and stored by one atomic
 * operation is one step; what is not is more.
 *
 * Checked: a slot is handed out only while nobody has it; the sweep frees garbage only; a free
 * finds its object allocated; I1 (M == !A) wherever nobody is in the runtime, so that no slot stays
 * marked for ever; at the end each slot without an object is free (A=0), or its span was put away
 * empty, once.
 *
 * mutants: CLAIM_PLAIN_ALLOC CLAIM_PLAIN_MARK FREE_PLAIN_ALLOC FREE_PLAIN_MARK FREE_CLEARS_FIRST
 * mutants: FREE_UNLOCKED FLUSH_PLAIN_ALLOC FLUSH_FORGETS SWEEP_DROPS_CLAIMED TAKES_UNSEEN
 * mutants: STOPPED_IN_RUNTIME
 *
 *   CLAIM_PLAIN_ALLOC    the owner sets A by a read and a write
 *   CLAIM_PLAIN_MARK     the owner clears M by a read and a write
 *   FREE_PLAIN_ALLOC     a remote free clears A by a read and a write
 *   FREE_PLAIN_MARK      a remote free sets M by a read and a write
 *   FREE_CLEARS_FIRST    [F] a remote free clears A before it sets M
 *   FREE_UNLOCKED        a remote free does not take the lock
 *   FLUSH_PLAIN_ALLOC    giving claimed slots back clears A by a read and a write
 *   FLUSH_FORGETS        claimed slots are not given back
 *   SWEEP_DROPS_CLAIMED  the sweep frees claimed slots
 *   TAKES_UNSEEN         mask is stored before the slot's address is in a register
 *   STOPPED_IN_RUNTIME   the collection does not wait for those in the runtime
 */
#define SLOTS 2
#define ALL 3
#ifndef TAKES
#define TAKES 8 /* claims and slots taken */
#endif
#define REMOTES 2
#define BIT(s) (1 << (s))

byte A, M = ALL;      /* the span's bits */
byte mask;            /* the owner's: claimed, not handed out */
bool is_cached = true, is_put, lock;
byte in_runtime;      /* how many */

/* What is checked, and what a marker would find: slots as bits. */
byte used;            /* handed out, neither freed nor swept since */
byte garbage;         /* of those: nobody has them any more */
byte unseen;          /* of those: somebody has them, but no root shows it */
byte given[REMOTES];  /* of those: for that thread to free */

#ifdef STOPPED_IN_RUNTIME
#define ENTER skip
#define LEAVE skip
#else
#define ENTER in_runtime++
#define LEAVE in_runtime--
#endif

inline hand_out(s) {
    assert(!(used & BIT(s)));
    used = used | BIT(s)
}

/* Claims what is free. */
inline claim() {
    got = ~A & ALL; /* [E] */
#ifdef CLAIM_PLAIN_ALLOC
    copy = A;
    A = copy | got;
#else
    A = A | got;
#endif
#ifdef CLAIM_PLAIN_MARK
    copy = M;
    M = copy & ~got;
#else
    M = M & ~got;
#endif
    atomic { mask = got; got = 0; copy = 0 }
}

#ifdef FREE_UNLOCKED
#define ACQUIRE skip
#define RELEASE skip
#else
#define ACQUIRE atomic { !lock -> lock = true }
#define RELEASE lock = false
#endif

/* The span goes to the page heap when its last slot was freed. */
inline put() { atomic { assert(!is_put && used == 0); is_put = true } }

active proctype owner() {
    byte takes, got, copy, s;
    do
    :: takes == TAKES -> break
    :: takes < TAKES && mask == 0 ->
        atomic { takes++; ENTER };
        claim();
        LEAVE
    :: atomic { takes < TAKES && mask != 0 -> takes++; got = mask; s = (got & 1 -> 0 : 1) };
        /* a stop here: the slot is still claimed */
#ifdef TAKES_UNSEEN
        atomic { mask = got & ~BIT(s); hand_out(s); unseen = BIT(s) };
        unseen = 0;
#else
        atomic { mask = got & ~BIT(s); hand_out(s) };
#endif
        got = 0;
        if
        :: skip                                          /* kept */
        :: garbage = garbage | BIT(s)                    /* dropped */
        :: atomic { given[0] == 0 -> given[0] = BIT(s) } /* given away */
        :: atomic { given[1] == 0 -> given[1] = BIT(s) }
        :: ENTER;                                        /* freed */
            if
            :: atomic { used = used & ~BIT(s); mask = mask | BIT(s) }
            :: atomic { used = used & ~BIT(s); A = A & ~BIT(s) };
               M = M | BIT(s)
            fi;
            LEAVE
        fi;
        s = 0
    od;
    ENTER;
#ifndef FLUSH_FORGETS
#ifdef FLUSH_PLAIN_ALLOC
    copy = A;
    A = copy & ~mask;
#else
    A = A & ~mask;
#endif
    M = M | mask;
#endif
    mask = 0;
    atomic { !lock -> lock = true };
    atomic {
        is_cached = false;
        if
        :: A == 0 -> put()
        :: else
        fi
    };
    lock = false;
    LEAVE
}

active [REMOTES] proctype remote() {
    byte b, copy;
#define my_given given[_pid - 1]
end:
    do
    :: atomic { my_given != 0 -> b = my_given; ENTER };
        ACQUIRE;
        assert(A & b);
        atomic { used = used & ~b; my_given = 0 };
#if defined(FREE_CLEARS_FIRST)
        A = A & ~b;
        M = M | b;
#else
#if defined(FREE_PLAIN_MARK)
        copy = M;
        M = copy | b;
#else
        M = M | b;
#endif
#if defined(FREE_PLAIN_ALLOC)
        copy = A;
        A = copy & ~b;
#else
        A = A & ~b; /* [F] */
#endif
#endif
        if
        :: is_cached
        :: !is_cached && A != 0
        :: !is_cached && A == 0 -> put()
        fi;
        RELEASE;
        atomic { b = 0; copy = 0; LEAVE }
    od
#undef my_given
}

/* One step: the others stand still. */
active proctype collector() {
    byte claimed, live;
    atomic {
        in_runtime == 0;
        assert(is_put || M == (~A & ALL));
        claimed = mask;
        M = M | claimed | (used & ~garbage & ~unseen);
#ifdef SWEEP_DROPS_CLAIMED
        live = A & M & ~claimed;
#else
        live = (A & M) | claimed;
#endif
        assert((A & ~live & ~garbage) == 0);
        garbage = garbage & live;
        used = used & live;
        A = live;
        M = ~live & ALL;
        claimed = 0;
        live = 0
    }
    /* Nobody has anything left to do. */
    atomic {
        timeout -> assert(is_put || (M == (~A & ALL) && A == used))
    }
}
