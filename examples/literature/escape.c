/* escape.c - which blocks of a program are on the stack, which are globals, which on the heap.
 *
 * As in many texts about Go: a global struct that is updated through a chain of calls. Go's
 * compiler finds out what may stay on the stack, and moves to the heap what outlives its function.
 * In C the program says it: a local variable is on the stack, mound_new is the heap, and the
 * address of a local variable must not be returned. The program looks at the address of each block,
 * asks mound whether it is in the heap, and compares the answer with what its source says.
 *
 * Run: escape
 */
#include "literature.h"

typedef struct test_struct {
    int a, b, sum;
} test_struct;

typedef enum place { STACK, GLOBAL, HEAP, UNKNOWN } place;
static const char *const place_names[] = {"stack", "global", "heap", "unknown"};

static test_struct global_struct;  /* Go: var testStruct, a global */
static test_struct *global_latest; /* a global too; what it points to is not */
static uintptr_t place_of_sum;     /* of add_two_numbers; a number, only to be compared */
static int num_found[UNKNOWN + 1];

extern char __data_start[], _end[]; /* the linker's: the globals are between them */
static uintptr_t frame_of_main;

static NOINLINE place place_of(const void *block) {
    uintptr_t addr = (uintptr_t)block, here = (uintptr_t)__builtin_frame_address(0);
    if (mound_base(block)) { return HEAP; }
    if (addr >= (uintptr_t)__data_start && addr < (uintptr_t)_end) { return GLOBAL; }
    if (addr > here && addr < frame_of_main) { return STACK; } /* stacks grow downwards */
    return UNKNOWN;
}

static NOINLINE void show(const char *function, const char *block, const void *addr,
                          place expected) {
    place found = place_of(addr);
    printf("%-16s %-34s %s\n", function, block, place_names[found]);
    verify(found == expected, "%s of %s should be: %s", block, function, place_names[expected]);
    num_found[found]++;
}

static NOINLINE void add_two_numbers(int a, int b, int *result) {
    int sum = a + b;
    show("add_two_numbers", "a, the copy of an argument", &a, STACK);
    show("add_two_numbers", "sum, a local variable", &sum, STACK);
    *result = sum;
    place_of_sum = (uintptr_t)&sum;
}

static NOINLINE void update_global(int a, int b) {
    int result = 0;
    show("update_global", "result, whose address goes down", &result, STACK);
    add_two_numbers(a, b, &result);
    global_struct.a = a;
    global_struct.b = b;
    global_struct.sum = result;
    show("update_global", "global_struct.sum, a field of it", &global_struct.sum, GLOBAL);
}

/* The struct outlives the function: Go's compiler would move it to the heap. */
static NOINLINE test_struct *new_struct(int a, int b) {
    test_struct *s = mound_new(test_struct);
    show("new_struct", "s, the pointer", &s, STACK);
    show("new_struct", "*s, which is returned", s, HEAP);
    s->a = a;
    s->b = b;
    add_two_numbers(a, b, &s->sum);
    return s;
}

static NOINLINE void run(void) {
    test_struct local = {3, 4, 0};
    update_global(1, 2);
    show("run", "local, a struct", &local, STACK);
    add_two_numbers(local.a, local.b, &local.sum);
    uintptr_t first = place_of_sum;
    add_two_numbers(local.sum, 1, &local.sum);
    uintptr_t second = place_of_sum;
    global_latest = new_struct(local.a, local.sum);
    show("run", "global_latest, the pointer", &global_latest, GLOBAL);
    show("run", "*global_latest", global_latest, HEAP);
    show("run", "global_latest->sum, inside of it", &global_latest->sum, HEAP);
    show("run", "a text in the heap", mound_strdup("text"), HEAP);
    printf("two calls of add_two_numbers in a row had their sum at %s\n",
           first == second ? "the same place: a frame ends with its call" : "different places");
    verify(local.sum == 8, "3 + 4 + 1 is not %d", local.sum);
}

int main(void) {
    frame_of_main = (uintptr_t)__builtin_frame_address(0);
    printf("%-16s %-34s %s\n", "in", "block", "is on");
    show("main", "global_struct, a struct", &global_struct, GLOBAL);
    run();
    mound_gc(); /* nobody frees *global_latest, and it stays: a global points to it */
    verify(global_struct.sum == 3 && global_latest->sum == 11, "the sums are wrong");
    printf("global_struct: %d + %d = %d; *global_latest: %d + %d = %d, also after a collection\n",
           global_struct.a, global_struct.b, global_struct.sum, global_latest->a, global_latest->b,
           global_latest->sum);
    printf("ok: %d blocks on the stack, %d global, %d on the heap, as the source says\n",
           num_found[STACK], num_found[GLOBAL], num_found[HEAP]);
    return 0;
}
