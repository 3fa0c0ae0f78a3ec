/* Bytes in shared sheets behave as plain bytes do: whatever is done to one file is seen in that
 * file and in no other, however many share what it had. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "sim/sim_disk_bytes.h"

#define SECTOR TN_SIM_DISK_SECTOR_BYTES
#define BYTES_MAX (6U * SECTOR)
#define FILES 4U
#define SEEDS 300U
#define STEPS 60U

/* A file, and the same in plain bytes. */
struct pair {
    struct tn__sim_disk_bytes file;
    uint8_t plain[BYTES_MAX];
    uint64_t size;
};

static void grow(struct pair *pair, uint64_t end)
{
    pair->size = end > pair->size ? end : pair->size;
}

static void must_be_equal(const struct pair *pair)
{
    uint8_t found[BYTES_MAX];
    uint64_t end = pair->size;
    assert_int_equal(pair->file.size, pair->size);
    tn__sim_disk_bytes_read(&pair->file, 0, found, pair->size);
    assert_memory_equal(found, pair->plain, pair->size);
    while (end > 0 && pair->plain[end - 1] == 0) {
        end--;
    }
    assert_int_equal(tn__sim_disk_bytes_end(&pair->file), end);
}

static void write_some(struct pair *pair, uint64_t *random)
{
    uint8_t bytes[BYTES_MAX];
    uint64_t offset = tn__random_below(random, BYTES_MAX);
    uint64_t length = tn__random_below(random, BYTES_MAX - offset + 1);
    if (tn__random_below(random, 2) == 0) { /* as a log does: whole sectors */
        offset -= offset % SECTOR;
        length -= length % SECTOR;
    }
    memset(bytes, (int)tn__random_below(random, 3), length); /* often zeros */
    tn__sim_disk_bytes_write(&pair->file, offset, bytes, length);
    memcpy(pair->plain + offset, bytes, length);
    grow(pair, length > 0 ? offset + length : 0);
}

static void resize(struct pair *pair, uint64_t *random)
{
    uint64_t size = tn__random_below(random, BYTES_MAX + 1);
    tn__sim_disk_bytes_resize(&pair->file, size);
    if (size < pair->size) {
        memset(pair->plain + size, 0, pair->size - size);
    }
    pair->size = size;
}

static void land(struct pair *to, const struct pair *from, uint64_t *random)
{
    uint64_t begin = tn__random_below(random, from->size + 1);
    uint64_t length = tn__random_below(random, from->size - begin + 1);
    uint64_t offset = begin % SECTOR + SECTOR * tn__random_below(random, 3);
    length = length < BYTES_MAX - offset ? length : BYTES_MAX - offset;
    tn__sim_disk_bytes_land(&to->file, offset, &from->file, begin, length);
    memmove(to->plain + offset, from->plain + begin, length);
    grow(to, length > 0 ? offset + length : 0);
}

static void copy(struct pair *to, const struct pair *from)
{
    tn__sim_disk_bytes_copy(&to->file, &from->file);
    memmove(to->plain, from->plain, sizeof(to->plain));
    to->size = from->size;
}

static void shared_bytes_are_as_good_as_own_ones(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct pair files[FILES] = {0};
        uint64_t random = seed;
        for (uint32_t i = 0; i < STEPS; i++) {
            struct pair *to = &files[tn__random_below(&random, FILES)];
            const struct pair *from = &files[tn__random_below(&random, FILES)];
            uint64_t kind = tn__random_below(&random, 5);
            if (kind <= 1) {
                write_some(to, &random);
            } else if (kind == 2) {
                resize(to, &random);
            } else if (kind == 3 && to != from) {
                land(to, from, &random);
            } else {
                copy(to, from);
            }
            for (uint32_t f = 0; f < FILES; f++) {
                must_be_equal(&files[f]);
            }
        }
        for (uint32_t f = 0; f < FILES; f++) {
            tn__sim_disk_bytes_free(&files[f].file);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shared_bytes_are_as_good_as_own_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
