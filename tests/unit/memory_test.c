/* Memory for the store: aligned when it is asked for, also after it has grown, with its bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "os/memory.h"
#include "support/slow_build.h"

#define PAGE 4096U
#define KIBIBYTE ((size_t)1 << 10)
#define MEBIBYTE ((size_t)1 << 20)

static void fill(uint8_t *block, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        block[i] = (uint8_t)(i * 31 + i / 251);
    }
}

static void assert_filled(const uint8_t *block, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (block[i] != (uint8_t)(i * 31 + i / 251)) {
            fail_msg("byte %zu of %zu is lost", i, bytes);
        }
    }
}

/* Sizes of a batch that grows; both sides of where huge pages begin, and of one huge page. */
static const size_t sizes[] = {1,
                               PAGE,
                               PAGE + 1,
                               64 * KIBIBYTE - 1,
                               64 * KIBIBYTE,
                               200 * KIBIBYTE,
                               2 * MEBIBYTE,
                               2 * MEBIBYTE + 1,
                               5 * MEBIBYTE};

static void a_block_keeps_its_bytes_and_its_alignment_as_it_grows(void **state)
{
    (void)state;
    for (uint32_t aligned = 0; aligned < 2; aligned++) {
        uint8_t *block = NULL;
        size_t had = 0;
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            block = tn__memory_resize(NULL, block, sizes[i], aligned == 1);
            assert_non_null(block);
            assert_true(aligned == 0 || (uintptr_t)block % PAGE == 0);
            assert_filled(block, had);
            fill(block, had, sizes[i]);
            had = sizes[i];
        }
        assert_null(tn__memory_resize(NULL, block, 0, aligned == 1));
    }
}

static void a_block_keeps_what_fits_as_it_shrinks(void **state)
{
    (void)state;
    uint8_t *block = NULL;
    for (size_t i = sizeof(sizes) / sizeof(sizes[0]); i > 0; i--) {
        size_t bytes = sizes[i - 1];
        uint8_t *smaller = tn__memory_resize(NULL, block, bytes, true);
        assert_non_null(smaller);
        assert_int_equal((uintptr_t)smaller % PAGE, 0);
        if (block != NULL) {
            assert_filled(smaller, bytes);
        }
        fill(smaller, 0, bytes);
        block = smaller;
    }
    assert_null(tn__memory_resize(NULL, block, 0, true));
}

static void a_large_block_grows_where_it_is_up_to_its_pages_end(void **state)
{
    (void)state;
    uint8_t *block = tn__memory_resize(NULL, NULL, 64 * KIBIBYTE, true);
    assert_non_null(block);
    assert_int_equal((uintptr_t)block % (2 * MEBIBYTE), 0);
    for (size_t bytes = 128 * KIBIBYTE; bytes <= 2 * MEBIBYTE; bytes *= 2) {
        assert_ptr_equal(tn__memory_resize(NULL, block, bytes, true), block);
        memset(block, 'x', bytes);
    }
    assert_null(tn__memory_resize(NULL, block, 0, true));
}

static void what_no_machine_has_is_refused_and_the_block_stays(void **state)
{
    (void)state;
    if (TN_SLOW_BUILD) {
        skip(); /* a sanitizer takes such a wish for a mistake */
    }
    uint8_t *block = tn__memory_resize(NULL, NULL, PAGE, true);
    assert_non_null(block);
    fill(block, 0, PAGE);
    volatile size_t beyond = SIZE_MAX - PAGE;
    assert_null(tn__memory_resize(NULL, block, beyond, true));
    beyond = SIZE_MAX / 2;
    assert_null(tn__memory_resize(NULL, block, beyond, true));
    assert_filled(block, PAGE);
    assert_null(tn__memory_resize(NULL, block, 0, true));
}

static void nothing_is_given_back_without_harm(void **state)
{
    (void)state;
    assert_null(tn__memory_resize(NULL, NULL, 0, true));
    assert_null(tn__memory_resize(NULL, NULL, 0, false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_keeps_its_bytes_and_its_alignment_as_it_grows),
        cmocka_unit_test(a_block_keeps_what_fits_as_it_shrinks),
        cmocka_unit_test(a_large_block_grows_where_it_is_up_to_its_pages_end),
        cmocka_unit_test(what_no_machine_has_is_refused_and_the_block_stays),
        cmocka_unit_test(nothing_is_given_back_without_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
