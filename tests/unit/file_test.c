/* Whole transfers: short ones are completed, an end or a standstill is an error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <tenure/error.h>

#include "store/file.h"

/* A file of 100 bytes that moves at most `step` bytes a call. */
struct slow_file {
    uint8_t bytes[100];
    size_t step;
    uint32_t calls;
    uint32_t fail_at; /* the call that fails; 0: none */
};

static int slow_move(struct slow_file *file, uint64_t offset, size_t length, size_t *done)
{
    if (++file->calls == file->fail_at) {
        return TN_ERROR_DISK_FULL;
    }
    size_t left = offset < sizeof(file->bytes) ? sizeof(file->bytes) - (size_t)offset : 0;
    *done = length < file->step ? length : file->step;
    *done = *done < left ? *done : left;
    return TN_OK;
}

static int slow_read(void *context, tn__file file, uint64_t offset, void *bytes, size_t length,
                     size_t *done)
{
    struct slow_file *slow = context;
    assert_int_equal(file, 5);
    int error = slow_move(slow, offset, length, done);
    if (error == TN_OK && *done > 0) {
        memcpy(bytes, slow->bytes + offset, *done);
    }
    return error;
}

static int slow_write(void *context, tn__file file, uint64_t offset, const void *bytes,
                      size_t length, size_t *done)
{
    struct slow_file *slow = context;
    assert_int_equal(file, 5);
    int error = slow_move(slow, offset, length, done);
    if (error == TN_OK && *done > 0) {
        memcpy(slow->bytes + offset, bytes, *done);
    }
    return error;
}

static const struct tn__file_operations operations = {.read = slow_read, .write = slow_write};

static void a_transfer_in_pieces_is_completed(void **state)
{
    (void)state;
    for (size_t step = 1; step <= 70; step++) {
        struct slow_file slow = {.step = step};
        struct tn__files files = {.operations = &operations, .context = &slow};
        char out[60];
        char in[60] = {0};
        for (size_t i = 0; i < sizeof(out); i++) {
            out[i] = (char)i;
        }
        assert_int_equal(tn__file_write_all(&files, 5, 40, out, sizeof(out)), TN_OK);
        assert_int_equal(tn__file_read_all(&files, 5, 40, in, sizeof(in)), TN_OK);
        assert_memory_equal(in, out, sizeof(out));
        assert_int_equal(slow.bytes[39], 0);
    }
}

static void a_file_that_ends_too_early_is_damaged(void **state)
{
    (void)state;
    struct slow_file slow = {.step = 7};
    struct tn__files files = {.operations = &operations, .context = &slow};
    char bytes[20];
    assert_int_equal(tn__file_read_all(&files, 5, 81, bytes, 20), TN_ERROR_DAMAGED);
    assert_int_equal(tn__file_read_all(&files, 5, 80, bytes, 20), TN_OK);
}

static void a_write_that_no_longer_moves_is_an_error(void **state)
{
    (void)state;
    struct slow_file slow = {.step = 7};
    struct tn__files files = {.operations = &operations, .context = &slow};
    assert_int_equal(tn__file_write_all(&files, 5, 90, "0123456789x", 11), TN_ERROR_IO);
}

static void an_error_in_the_midst_is_passed_on(void **state)
{
    (void)state;
    for (uint32_t call = 1; call <= 3; call++) {
        struct slow_file slow = {.step = 7, .fail_at = call};
        struct tn__files files = {.operations = &operations, .context = &slow};
        char bytes[20] = {0};
        assert_int_equal(tn__file_write_all(&files, 5, 0, bytes, 20), TN_ERROR_DISK_FULL);
        slow.calls = 0;
        assert_int_equal(tn__file_read_all(&files, 5, 0, bytes, 20), TN_ERROR_DISK_FULL);
        assert_int_equal(slow.calls, call);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_transfer_in_pieces_is_completed),
        cmocka_unit_test(a_file_that_ends_too_early_is_damaged),
        cmocka_unit_test(a_write_that_no_longer_moves_is_an_error),
        cmocka_unit_test(an_error_in_the_midst_is_passed_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
