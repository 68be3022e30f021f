/* size_class_test.c - the properties that the size class tables promise. */
#include "support.h"

#include "heap/page_alloc.h"
#include "heap/size_class.h"

static void class_of_fits_and_is_the_smallest(void **state) {
    (void)state;
    for (size_t size = 0; size <= MO_MAX_SMALL_BYTES; size++) {
        unsigned sc = mo_size_class_of(size);
        assert_in_range(sc, 1, MO_TEXT_CLASS - 1);
        assert_true(mo_size_classes[sc].bytes >= size);
        assert_true(sc == 1 || mo_size_classes[sc - 1].bytes < size);
    }
}

static void class_of_is_monotone(void **state) {
    (void)state;
    for (size_t size = 1; size <= MO_MAX_SMALL_BYTES; size++)
        assert_true(mo_size_class_of(size) >= mo_size_class_of(size - 1));
    assert_int_equal(mo_size_class_of(MO_MAX_SMALL_BYTES), MO_TEXT_CLASS - 1);
}

static void every_sixteen_bytes_up_to_128_is_a_class(void **state) {
    (void)state;
    for (uint32_t size = 16; size <= 128; size += 16)
        assert_int_equal(mo_size_classes[size / 16].bytes, size);
}

static void slots_waste_at_most_an_eighth_above_112(void **state) {
    (void)state;
    for (size_t size = 113; size <= MO_MAX_SMALL_BYTES; size++) {
        uint32_t slot = mo_size_classes[mo_size_class_of(size)].bytes;
        if ((slot - size) * 8 > slot) fail_msg("size %zu in a slot of %u", size, slot);
    }
}

static void slots_keep_sixteen_byte_alignment(void **state) {
    (void)state;
    for (unsigned sc = 1; sc < MO_TEXT_CLASS; sc++)
        assert_int_equal(mo_size_classes[sc].bytes % 16, 0);
    assert_int_equal(mo_size_classes[MO_TEXT_CLASS].bytes, MO_TEXT_MAX_BYTES + 1);
}

static void span_tails_waste_at_most_a_sixteenth(void **state) {
    (void)state;
    for (unsigned sc = 1; sc < MO_NUM_SIZE_CLASSES; sc++) {
        const mo_size_class *c = &mo_size_classes[sc];
        uint32_t bytes = c->pages * MO_PAGE_BYTES;
        assert_int_equal(c->nelems, bytes / c->bytes);
        assert_true((bytes - c->nelems * c->bytes) * 16 <= bytes);
    }
}

/* mo_find computes an index for every address of a span, its tail included. */
static void magic_divides_exactly(void **state) {
    (void)state;
    for (unsigned sc = 1; sc < MO_NUM_SIZE_CLASSES; sc++) {
        const mo_size_class *c = &mo_size_classes[sc];
        for (uint32_t off = 0; off < c->pages * MO_PAGE_BYTES; off++) {
            uint32_t idx = (uint32_t)((uint64_t)off * c->magic >> 32);
            if (idx != off / c->bytes) fail_msg("class %u: offset %u gives %u", sc, off, idx);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(class_of_fits_and_is_the_smallest),
        cmocka_unit_test(class_of_is_monotone),
        cmocka_unit_test(every_sixteen_bytes_up_to_128_is_a_class),
        cmocka_unit_test(slots_waste_at_most_an_eighth_above_112),
        cmocka_unit_test(slots_keep_sixteen_byte_alignment),
        cmocka_unit_test(span_tails_waste_at_most_a_sixteenth),
        cmocka_unit_test(magic_divides_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
