/* alloc_table_test.c - how many blocks, and of how many bytes, each operation takes: the table of
 * docs/design/values.md, which is compared with what happens.
 */
#include "run.h"

#define S(literal) MOUND_STR(literal)

typedef mound_slice_of(int) ints;
typedef mound_slice_of(int *) int_ptrs;
typedef mound_map_of(uint64_t, uint64_t) u64_map;
typedef mound_func_of(int, int) func;
typedef struct node {
    struct node *left, *right;
    long value;
} node;
MOUND_TYPE(node, left, right);

/* Results stay reachable, so that no compiler leaves an allocation out. */
static void *volatile keep_ptr;
static mound_slice kept_slice;
static mound_string kept_string;
static mound_any kept_any;
static ints slice_with_room, full_slice;
static u64_map map, full_map;
static mound_string hello, one_byte;
static mound_bytes bytes32;
static mound_chan *channel;
static uint64_t next_key;

static int add(void *env, int n) { return *(int *)env + n; }

#define OP(name, ...)                                                                              \
    static NOINLINE void name(void) { __VA_ARGS__; }
OP(new_small, keep_ptr = mound_new(long))
OP(new_node, keep_ptr = mound_new(node))
OP(new_typed, keep_ptr = mound_new_typed(node))
OP(new_large, keep_ptr = mound_alloc(100000))
OP(make_slice, kept_slice.ptr = mound_make(ints, 10, 10).ptr)
OP(make_slice_ptrs, kept_slice.ptr = mound_make(int_ptrs, 10, 10).ptr)
OP(sub_slice, kept_slice.ptr = mound_sub(&full_slice, 1, 3).ptr)
OP(append_below, mound_append(&slice_with_room, 1))
OP(append_at, ints s = full_slice; mound_append(&s, 1); kept_slice.ptr = s.ptr)
OP(append_to_nothing, ints s = {0}; mound_append(&s, 1); kept_slice.ptr = s.ptr)
OP(make_map, keep_ptr = mound_map_make(u64_map).map)
OP(map_insert, mound_map_set(map, next_key, 1); next_key++)
OP(map_insert_grows, mound_map_set(full_map, 100, 1))
OP(map_replace, mound_map_set(map, 0, 2))
OP(map_find, keep_ptr = mound_map_get(map, 0))
OP(map_iterate,
   for (mound_map_iter it = mound_map_begin(map); mound_map_next(&it);) keep_ptr = it.value)
OP(make_chan, keep_ptr = (void *)mound_chan_make(int, 0))
OP(make_chan_buffered, keep_ptr = (void *)mound_chan_make(long, 100))
OP(chan_send_recv, long v = 5; mound_chan_send(channel, &v); mound_chan_recv(channel, &v))
OP(make_closure, func f = {add, mound_box(int, 5)}; keep_ptr = f.env)
OP(box_int, kept_any = mound_any_of(int, 70000))
OP(box_pointer, kept_any = mound_any_of(mound_pointer, &next_key))
OP(box_string, kept_any = mound_any_of(mound_string, hello))
OP(box_zero_string, kept_any = mound_any_of(mound_string, ((mound_string){NULL, 0})))
OP(literal, kept_string = S("literal"))
OP(concat, kept_string = mound_cat(hello, S(", world")))
OP(concat_nothing, kept_string = mound_cat(hello, S("")))
OP(sub_string, kept_string = mound_string_sub(hello, 1, 3))
OP(string_of_bytes, kept_string = mound_string_from_bytes(bytes32.ptr, bytes32.len))
OP(string_of_20_bytes, kept_string = mound_string_from_bytes(bytes32.ptr, 20))
OP(string_of_byte, kept_string = mound_string_from_bytes("x", 1))
OP(bytes_of_string, kept_slice.ptr = mound_string_bytes(hello).ptr)
OP(string_of_rune, kept_string = mound_string_from_rune(0x20AC))
OP(runes_of_string, kept_slice.ptr = mound_string_runes(hello).ptr)
OP(string_of_runes, static const int32_t r[] = {0x20AC, 0x20AC};
   kept_string = mound_string_from_runes(r, 2))
OP(cstr_of_string, keep_ptr = mound_cstr(hello))
OP(small_int_to_string, kept_string = mound_string_from_int(42, 10))
OP(int_to_string, kept_string = mound_string_from_int(123456, 10))

typedef struct row {
    const char *name;
    void (*op)(void);
    unsigned blocks, bytes;
} row;
static const row rows[] = {
    {"`mound_new` of 8 bytes", new_small, 1, 16},
    {"`mound_new` of 24 bytes", new_node, 1, 32},
    {"`mound_new_typed` of 24 bytes", new_typed, 1, 32},
    {"`mound_alloc(100000)`", new_large, 1, 106496},
    {"make a slice of 10 `int`", make_slice, 1, 48},
    {"make a slice of 10 pointers", make_slice_ptrs, 1, 80},
    {"sub-slice", sub_slice, 0, 0},
    {"append below the capacity", append_below, 0, 0},
    {"append at a capacity of 8 `int`", append_at, 1, 64},
    {"append to an empty slice", append_to_nothing, 1, 16},
    {"make a map of `uint64_t` to `uint64_t`", make_map, 2, 288},
    {"map insert without growth", map_insert, 0, 0},
    {"map insert, 8 entries grow to 16", map_insert_grows, 1, 288},
    {"map replace", map_replace, 0, 0},
    {"map find", map_find, 0, 0},
    {"map iteration", map_iterate, 0, 0},
    {"make an unbuffered channel", make_chan, 1, 64},
    {"make a channel of 100 `long`", make_chan_buffered, 1, 896},
    {"send and receive through a buffer", chan_send_recv, 0, 0},
    {"closure that captures an `int`", make_closure, 1, 16},
    {"box an `int`", box_int, 0, 0},
    {"box a pointer", box_pointer, 0, 0},
    {"box a string", box_string, 1, 16},
    {"box an empty string", box_zero_string, 0, 0},
    {"string literal", literal, 0, 0},
    {"concatenate 5 and 7 bytes", concat, 1, 16},
    {"concatenate with nothing", concat_nothing, 0, 0},
    {"part of a string", sub_string, 0, 0},
    {"32 bytes to string", string_of_bytes, 1, 32},
    {"20 bytes to string", string_of_20_bytes, 1, 24},
    {"1 byte to string", string_of_byte, 0, 0},
    {"string of 5 to bytes", bytes_of_string, 1, 16},
    {"rune of 3 bytes to string", string_of_rune, 1, 16},
    {"string of 5 to runes", runes_of_string, 1, 32},
    {"2 runes to string", string_of_runes, 1, 16},
    {"string of 5 to C string", cstr_of_string, 1, 16},
    {"42 to string", small_int_to_string, 0, 0},
    {"123456 to string", int_to_string, 1, 16},
};

static void make_operands(void) {
    hello = mound_string_copy("hello");
    one_byte = mound_string_copy("x");
    slice_with_room = mound_make(ints, 0, 100);
    full_slice = mound_make(ints, 8, 8);
    bytes32 = mound_make(mound_bytes, 32, 32);
    map = mound_map_make(u64_map);
    mound_map_reserve(map, 100);
    mound_map_set(map, 0, 1);
    next_key = 1;
    channel = mound_chan_new(sizeof(long), 4, 0);
}

static void fill_map(void) {
    full_map = mound_map_make(u64_map);
    for (uint64_t i = 0; i < 8; i++) mound_map_set(full_map, i, i);
}

static void measure(const row *r, uint64_t *blocks, uint64_t *bytes) {
    mound_mem_stats a = {.struct_bytes = sizeof a}, b = {.struct_bytes = sizeof b};
    fill_map();
    r->op(); /* the first time may take what it keeps for later */
    fill_map();
    mound_read_mem_stats(&a);
    r->op();
    mound_read_mem_stats(&b);
    *blocks = b.num_mallocs - a.num_mallocs;
    *bytes = b.total_alloc_bytes - a.total_alloc_bytes;
}

/* docs/design/values.md */
static char *read_document(void) {
    char path[4096];
    snprintf(path, sizeof path, "%.*s/../docs/design/values.md",
             (int)(strrchr(__FILE__, '/') - __FILE__), __FILE__);
    FILE *f = fopen(path, "r");
    if (!f) fail_msg("cannot read %s", path);
    char *text = mound_alloc_noscan(1 << 20);
    size_t len = fread(text, 1, (1 << 20) - 1, f);
    fclose(f);
    assert_true(len > 0);
    return text;
}

static void each_operation_takes_what_the_table_says(void **state) {
    (void)state;
    int num_wrong = 0;
    char *document = read_document();
    make_operands();
    mound_set_gc_percent(-1);
    print_message("| operation | blocks | bytes |\n|---|---:|---:|\n");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t blocks, bytes;
        measure(&rows[i], &blocks, &bytes);
        char line[200];
        snprintf(line, sizeof line, "| %s | %llu | %llu |\n", rows[i].name,
                 (unsigned long long)blocks, (unsigned long long)bytes);
        print_message("%s", line);
        if (!strstr(document, line)) {
            num_wrong++;
            print_error("docs/design/values.md has not that line\n");
        }
        if (blocks != rows[i].blocks || bytes != rows[i].bytes) {
            num_wrong++;
            print_error("%s: not %u blocks of %u bytes\n", rows[i].name, rows[i].blocks,
                        rows[i].bytes);
        }
    }
    assert_int_equal(num_wrong, 0);
    mound_keep_alive(keep_ptr);
    assert_true(kept_any.type && kept_string.len > 0 && kept_slice.ptr && one_byte.len == 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_operation_takes_what_the_table_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
