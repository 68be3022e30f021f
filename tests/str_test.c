/* str_test.c - strings, their builder and UTF-8 do what Go's do.
 * modes: gc valgrind
 */
#include "run.h"

#define S(literal) MOUND_STR(literal)

static void expect(mound_string s, const char *text, int line) {
    if (s.len != (ptrdiff_t)strlen(text) || memcmp(s.ptr ? s.ptr : "", text, strlen(text)) != 0) {
        print_error("line %d: \"%.*s\" is not \"%s\"\n", line, MOUND_ARG(s), text);
        fail();
    }
}
#define EXPECT(s, text) expect((s), (text), __LINE__)

/* ---------------------------------------------------------------- death */

#define DIES(name, statement)                                                                      \
    static int name(void *arg) {                                                                   \
        (void)arg;                                                                                 \
        mound_string s = mound_string_copy("hello");                                               \
        statement;                                                                                 \
        return s.len == 99;                                                                        \
    }
DIES(at_length, (void)mound_string_at(s, 5))
DIES(at_minus_one, (void)mound_string_at(s, -1))
DIES(sub_too_long, s = mound_string_sub(s, 0, 6))
DIES(sub_reversed, s = mound_string_sub(s, 3, 2))
DIES(bytes_negative, s = mound_string_from_bytes("x", -1))
DIES(base_one, s = mound_string_from_int(5, 1))

static void misuse_ends_the_process(void **state) {
    (void)state;
    static const misuse_case cases[] = {
        {at_length, "index 5 out of range with length 5 at ", "str_test.c:"},
        {at_minus_one, "index -1 out of range", "goroutine 1"},
        {sub_too_long, "slice bounds out of range [:6] with length 5", NULL},
        {sub_reversed, "slice bounds out of range [3:2]", NULL},
        {bytes_negative, "length -1 out of range", NULL},
        {base_one, "base 1; it must be from 2 to 36", NULL},
    };
    expect_misuse(cases, sizeof cases / sizeof cases[0]);
}

/* ---------------------------------------------------------------- strings */

static void strings_are_made_from_everything(void **state) {
    (void)state;
    EXPECT(S("abc"), "abc");
    EXPECT(mound_string_of("abc"), "abc");
    EXPECT(mound_string_of(NULL), "");
    EXPECT(mound_string_copy("abc"), "abc");
    EXPECT(mound_string_copy(NULL), "");
    EXPECT(mound_string_from_bytes("a\xff", 2), "a\xff");
    for (int i = 0; i < 256; i++) {
        char c = (char)i;
        mound_string one = mound_string_from_bytes(&c, 1);
        assert_true(one.len == 1 && one.ptr[0] == c && mound_base(one.ptr) == NULL);
    }
    EXPECT(mound_string_from_rune('x'), "x");
    EXPECT(mound_string_from_rune(0x20AC), "\u20ac");
    EXPECT(mound_string_from_rune(-1), "\xef\xbf\xbd");
    static const int32_t runes[] = {'h', 0xE9, 0x4E16, 0x1F600, 0xD800};
    EXPECT(mound_string_from_runes(runes, 5), "h\u00e9\u4e16\U0001F600\xef\xbf\xbd");
    EXPECT(mound_string_from_runes(runes, 1), "h");
    EXPECT(mound_string_from_runes(NULL, 0), "");
    static const struct {
        int64_t value;
        int base;
        const char *text;
    } ints[] = {
        {0, 10, "0"},
        {7, 10, "7"},
        {10, 10, "10"},
        {99, 10, "99"},
        {100, 10, "100"},
        {-1, 10, "-1"},
        {255, 16, "ff"},
        {35, 36, "z"},
        {5, 2, "101"},
        {-255, 16, "-ff"},
        {INT64_MAX, 10, "9223372036854775807"},
        {INT64_MIN, 10, "-9223372036854775808"},
        {INT64_MIN, 2, "-1000000000000000000000000000000000000000000000000000000000000000"}};
    for (size_t i = 0; i < sizeof ints / sizeof ints[0]; i++) {
        EXPECT(mound_string_from_int(ints[i].value, ints[i].base), ints[i].text);
        int64_t back = 1;
        if (ints[i].base == 10) {
            assert_true(mound_string_to_int(mound_string_of(ints[i].text), &back));
            assert_true(back == ints[i].value);
        }
    }
    EXPECT(mound_string_printf("%d-%s", 5, "x"), "5-x");
    mound_string s = mound_string_printf("%0500d", 5);
    assert_int_equal(s.len, 500);
    assert_int_equal(s.ptr[499], '5');
    EXPECT(mound_string_printf("%s", ""), "");
}

static void what_is_no_number_is_refused(void **state) {
    (void)state;
    static const char *const no[] = {
        "", "-", "+", "x", "1x", " 1", "1 ", "--1", "9223372036854775808", "-9223372036854775809"};
    int64_t v = 42;
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        assert_false(mound_string_to_int(mound_string_of(no[i]), &v));
    assert_int_equal(v, 42);
    assert_true(mound_string_to_int(S("+12"), &v) && v == 12);
}

static void conversions_copy(void **state) {
    (void)state;
    mound_string s = mound_string_copy("hello");
    mound_bytes b = mound_string_bytes(s);
    mound_at(&b, 0) = 'j';
    EXPECT(s, "hello");
    EXPECT(mound_string_from_bytes(b.ptr, b.len), "jello");
    mound_append(&b, '!');
    EXPECT(mound_string_from_bytes(b.ptr, b.len), "jello!");
    char *c = mound_cstr(mound_string_sub(s, 1, 3));
    assert_string_equal(c, "el");
    assert_string_equal(mound_cstr((mound_string){0}), "");
    assert_int_equal(mound_string_bytes((mound_string){0}).len, 0);
    mound_runes r = mound_string_runes(S("h\u00e9\xff\u4e16"));
    static const int32_t runes[] = {'h', 0xE9, 0xFFFD, 0x4E16};
    assert_int_equal(r.len, 4);
    assert_memory_equal(r.ptr, runes, sizeof runes);
    assert_int_equal(mound_string_runes(S("")).len, 0);
}

static void concatenation(void **state) {
    (void)state;
    EXPECT(mound_cat(S("ab"), S(""), S("c"), S("def")), "abcdef");
    mound_string one = mound_string_copy("one"), same = mound_cat(S(""), one, S(""));
    assert_ptr_equal(same.ptr, one.ptr); /* no copy where nothing is added */
    assert_int_equal(mound_cat(S(""), S("")).len, 0);
    assert_int_equal(mound_string_cat(NULL, 0).len, 0);
    static const mound_string parts[] = {{"a", 1}, {"", 0}, {"b", 1}};
    EXPECT(mound_string_join(parts, 3, S(", ")), "a, , b");
    EXPECT(mound_string_join(parts, 1, S(", ")), "a");
    EXPECT(mound_string_join(parts, 0, S(", ")), "");
    EXPECT(mound_string_join(parts + 1, 1, S(", ")), "");
}

/* Texts of two letters, in which nearly everything nearly fits. */
static void parts_of_each_length_are_found_at_each_place(void **state) {
    (void)state;
    char text[90], part[24];
    uint64_t bits = 0x9E3779B97F4A7C15u;
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < 90; i++, bits = bits * 6364136223846793005u + 1)
            text[i] = bits >> 63 ? 'a' : 'b';
        for (ptrdiff_t n = 1; n <= 24; n++) {
            ptrdiff_t from = (ptrdiff_t)(bits >> 33) % (91 - n), len = 90 - round % 30, want = 0;
            memcpy(part, text + from, (size_t)n);
            if (round % 2) part[n - 1] ^= 3;
            while (want + n <= len && memcmp(text + want, part, (size_t)n) != 0) want++;
            if (want + n > len) want = -1;
            mound_string s = {text, len}, p = {part, n};
            assert_int_equal(mound_string_index(s, p), want);
            bits = bits * 6364136223846793005u + 1;
        }
    }
}

static void looking_for_parts(void **state) {
    (void)state;
    static const struct {
        const char *s, *part;
        int first, last;
    } cases[] = {{"", "", 0, 0},     {"", "a", -1, -1},       {"abcabc", "bc", 1, 4},
                 {"abc", "", 0, 3},  {"abc", "abcd", -1, -1}, {"aaa", "aa", 0, 1},
                 {"abc", "c", 2, 2}, {"xabab", "abab", 1, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        mound_string s = mound_string_of(cases[i].s), part = mound_string_of(cases[i].part);
        assert_int_equal(mound_string_index(s, part), cases[i].first);
        assert_int_equal(mound_string_last_index(s, part), cases[i].last);
    }
    assert_int_equal(mound_string_index_byte(S("abcb"), 'b'), 1);
    assert_int_equal(mound_string_index_byte(S(""), 'b'), -1);
    assert_true(mound_string_has_prefix(S("abc"), S("ab")) &&
                mound_string_has_prefix(S("a"), S("")));
    assert_false(mound_string_has_prefix(S("a"), S("ab")));
    assert_true(mound_string_has_suffix(S("abc"), S("bc")) &&
                !mound_string_has_suffix(S("c"), S("bc")));
    mound_string before, after;
    assert_true(mound_string_cut(S("key: value: x"), S(": "), &before, &after));
    EXPECT(before, "key");
    EXPECT(after, "value: x");
    assert_false(mound_string_cut(S("key"), S(":"), &before, &after));
    EXPECT(before, "key");
    EXPECT(after, "");
    assert_true(mound_string_cut(S("key:"), S(":"), NULL, &after));
    EXPECT(after, "");
    EXPECT(mound_string_trim(S(" \t\n\v\f\ra b ")), "a b");
    EXPECT(mound_string_trim(S("  ")), "");
    EXPECT(mound_string_trim(S("")), "");
    EXPECT(mound_string_sub(S("hello"), 1, 3), "el");
    EXPECT(mound_string_sub(S("hello"), 5, 5), "");
    assert_int_equal(mound_string_at(S("abc"), 2), 'c');
}

static void order_and_hash(void **state) {
    (void)state;
    static const char *const sorted[] = {"", "a", "a\x01", "aa", "ab", "b", "\xc3\xa9", "\xff"};
    enum { NUM = sizeof sorted / sizeof sorted[0] };
    for (int i = 0; i < NUM; i++)
        for (int k = 0; k < NUM; k++) {
            mound_string a = mound_string_of(sorted[i]), b = mound_string_copy(sorted[k]);
            int order = mound_string_cmp(a, b);
            assert_int_equal((order > 0) - (order < 0), (i > k) - (i < k));
            assert_int_equal(mound_string_eq(a, b), i == k);
            if (i == k) assert_true(mound_string_hash(a, 5) == mound_string_hash(b, 5));
        }
    /* Each byte and the length count, at every length. */
    char text[200] = {0};
    for (int len = 0; len < 200; len++) {
        mound_string s = {text, len};
        uint64_t h = mound_string_hash(s, 1);
        assert_true(len == 0 || h != mound_string_hash((mound_string){text, len - 1}, 1));
        assert_true(h != mound_string_hash(s, 2));
        for (int i = 0; i < len; i++) {
            text[i] ^= 0x40;
            assert_true(h != mound_string_hash(s, 1));
            text[i] ^= 0x40;
        }
    }
}

static void the_builder(void **state) {
    (void)state;
    mound_builder b = {0};
    EXPECT(mound_builder_text(&b), "");
    mound_builder_byte(&b, 'a');
    mound_builder_string(&b, S("bc"));
    mound_builder_string(&b, S(""));
    mound_string early = mound_builder_text(&b);
    mound_builder_rune(&b, 0x20AC);
    mound_builder_printf(&b, "%d", 42);
    EXPECT(mound_builder_text(&b), "abc\u20ac42");
    EXPECT(early, "abc");
    mound_builder_grow(&b, 1000);
    const char *place = b.bytes.ptr;
    for (int i = 0; i < 1000; i++) mound_builder_byte(&b, 'x');
    assert_ptr_equal(b.bytes.ptr, place);
    EXPECT(early, "abc");
}

/* ---------------------------------------------------------------- UTF-8 */

/* Written from the definition, bit by bit: the shortest form of a value that is no surrogate. */
static int slow_decode(const unsigned char *p, ptrdiff_t num, int32_t *rune) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    int len = p[0] < 0x80 ? 1 : p[0] >> 5 == 6 ? 2 : p[0] >> 4 == 14 ? 3 : p[0] >> 3 == 30 ? 4 : 0;
    *rune = MOUND_RUNE_ERROR;
    if (len == 0 || len > num) return 1;
    uint32_t r = len == 1 ? p[0] : p[0] & (0x7Fu >> len);
    for (int i = 1; i < len; i++) {
        if (p[i] >> 6 != 2) return 1;
        r = r << 6 | (p[i] & 0x3Fu);
    }
    if (len > 1 && r < least[len]) return 1;
    if (r > 0x10FFFF || (r >= 0xD800 && r < 0xE000)) return 1;
    *rune = (int32_t)r;
    return len;
}

static void check_decode(const unsigned char *p, ptrdiff_t num) {
    int32_t rune, expected;
    int len = mound_utf8_decode((mound_string){(const char *)p, num}, &rune);
    int right = slow_decode(p, num, &expected);
    if (len != right || rune != expected) {
        print_error("%02x %02x %02x %02x of %td: %d %x, not %d %x\n", p[0], p[1], p[2], p[3], num,
                    len, (unsigned)rune, right, (unsigned)expected);
        fail();
    }
    bool valid = !(rune == MOUND_RUNE_ERROR && len == 1);
    assert_int_equal(mound_utf8_is_valid((mound_string){(const char *)p, len}), valid);
}

static void every_sequence_of_bytes_decodes(void **state) {
    (void)state;
    for (unsigned a = 0; a < 256; a++)
        for (unsigned b = 0; b < 256; b++) {
            static const unsigned char third[] = {0,    0x7F, 0x80, 0x8F, 0x90,
                                                  0x9F, 0xA0, 0xBF, 0xC0, 0xFF};
            for (unsigned i = 0; i < 100; i++) {
                unsigned char p[4] = {(unsigned char)a, (unsigned char)b, third[i / 10],
                                      third[i % 10]};
                for (ptrdiff_t num = 1; num <= 4; num++) check_decode(p, num);
            }
        }
    int32_t rune = 5;
    assert_int_equal(mound_utf8_decode((mound_string){0}, &rune), 0);
    assert_int_equal(rune, 0);
}

static void every_rune_goes_there_and_back(void **state) {
    (void)state;
    for (int32_t r = -2; r < 0x110002; r++) {
        char bytes[MOUND_UTF8_MAX];
        int32_t back;
        int len = mound_utf8_encode(bytes, r);
        bool valid = r >= 0 && r <= 0x10FFFF && !(r >= 0xD800 && r <= 0xDFFF);
        if (mound_utf8_decode((mound_string){bytes, len}, &back) != len ||
            back != (valid ? r : MOUND_RUNE_ERROR))
            fail_msg("rune %x", (unsigned)r);
    }
}

static void runes_of_a_string(void **state) {
    (void)state;
    mound_string s = S("a\u00e9\xff\u4e16\xe4\xb8");
    static const int32_t runes[] = {'a', 0xE9, 0xFFFD, 0x4E16, 0xFFFD, 0xFFFD};
    static const int pos[] = {0, 1, 3, 4, 7, 8};
    int num = 0;
    for (mound_rune_iter r = {.rest = s}; mound_next_rune(&r); num++) {
        assert_int_equal(r.rune, runes[num]);
        assert_int_equal(r.pos, pos[num]);
    }
    assert_int_equal(num, 6);
    assert_int_equal(mound_utf8_count(s), 6);
    assert_false(mound_utf8_is_valid(s));
    assert_true(
        mound_utf8_is_valid(S("long enough to be looked at by eight \u20ac bytes at once")));
    assert_false(mound_utf8_is_valid(S("long enough to be looked at by eight bytes at once\xff")));
    assert_int_equal(mound_utf8_count((mound_string){0}), 0);
    assert_true(mound_utf8_is_valid((mound_string){0}));
}

/* ---------------------------------------------------------------- memory */

static mound_string kept; /* the only reference: a frame would keep stale copies */

static NOINLINE void cut_out(mound_weak *weak) {
    mound_string s = mound_string_printf("%0300d", 7);
    *weak = mound_weak_make((void *)s.ptr);
    kept = mound_string_sub(s, 299, 300);
}
static NOINLINE void look_at_it(void) { EXPECT(kept, "7"); }
static NOINLINE void clear_stack(void) {
    volatile char space[4096];
    memset((char *)space, 0, sizeof space);
}

static void a_part_keeps_the_whole_block(void **state) {
    (void)state;
    mound_weak weak;
    cut_out(&weak);
    clear_stack();
    mound_gc();
    assert_true(mound_weak_get(weak) != NULL);
    look_at_it();
    kept = (mound_string){0};
    clear_stack();
    mound_gc();
    mound_gc();
    assert_null(mound_weak_get(weak));
}

/* Texts of which only the address behind their last byte is known, by words of the heap. */
enum { NUM_TEXTS = 20000, MIN_TEXT = 15, MAX_TEXT = 26 };
static NOINLINE void make_texts(char **end) {
    char text[MAX_TEXT];
    for (size_t i = 0; i < NUM_TEXTS; i++) {
        size_t len = MIN_TEXT + i % (MAX_TEXT - MIN_TEXT);
        memset(text, (int)('a' + i % 23), len);
        mound_string s = i % 2 ? mound_string_from_bytes(text, (ptrdiff_t)len)
                               : mound_cat(((mound_string){text, 7}),
                                           ((mound_string){text, (ptrdiff_t)len - 7}));
        end[i] = (char *)s.ptr + len;
    }
}
static void a_text_is_kept_by_what_lies_behind_it(void **state) {
    (void)state;
    char **end = mound_alloc_array(NUM_TEXTS, sizeof *end);
    make_texts(end);
    clear_stack();
    mound_gc();
    for (int i = 0; i < 3 * NUM_TEXTS; i++) memset(mound_alloc_noscan(10 + i % 23), '!', 10);
    for (size_t i = 0; i < 3 * NUM_TEXTS; i++)
        EXPECT(mound_string_copy("!!!!!!!!!!!!!!!!!!!!"), "!!!!!!!!!!!!!!!!!!!!");
    for (size_t i = 0; i < NUM_TEXTS; i++) {
        size_t len = MIN_TEXT + i % (MAX_TEXT - MIN_TEXT);
        if (len % 16 == 0) continue; /* it fills its slot: nothing of it is known */
        for (size_t k = 1; k <= len; k++) assert_int_equal(end[i][-(ptrdiff_t)k], 'a' + i % 23);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(misuse_ends_the_process),
        cmocka_unit_test(strings_are_made_from_everything),
        cmocka_unit_test(what_is_no_number_is_refused),
        cmocka_unit_test(conversions_copy),
        cmocka_unit_test(concatenation),
        cmocka_unit_test(looking_for_parts),
        cmocka_unit_test(parts_of_each_length_are_found_at_each_place),
        cmocka_unit_test(order_and_hash),
        cmocka_unit_test(the_builder),
        cmocka_unit_test(every_sequence_of_bytes_decodes),
        cmocka_unit_test(every_rune_goes_there_and_back),
        cmocka_unit_test(runes_of_a_string),
        cmocka_unit_test(a_part_keeps_the_whole_block),
        cmocka_unit_test(a_text_is_kept_by_what_lies_behind_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
