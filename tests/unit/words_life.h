/* The life of a node with durable words on a simulated disk, and who judges it: for the tests of
 * words.
 *
 * The judge is a pair of numbers kept outside: the highest restart count that was ever handed out,
 * and the highest ceiling that was ever acknowledged. Whatever happens to the disk, a start may
 * fail, but it may never hand out that count again nor remember a lower ceiling. */
#ifndef TN_TESTS_UNIT_WORDS_LIFE_H
#define TN_TESTS_UNIT_WORDS_LIFE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/random.h"
#include "sim/sim_disk.h"
#include "store/words.h"

enum {
    NODE = 3,
    OPERATIONS_MAX = 200, /* more than any script below needs */
    SEEDS = 8,
};

static const char *const names[2] = {"words.0", "words.1"};

struct judge {
    uint64_t ceiling;  /* the highest acknowledged */
    uint32_t restarts; /* the highest handed out */
};

static char why[512];

static inline struct tn__words_options options_of(struct tn__sim_disk *disk)
{
    return (struct tn__words_options){
        .files = tn__sim_disk_files(disk),
        .path = "data",
        .cluster_id = "cluster of three",
        .node = NODE,
        .configuration = 1,
        .bootstrap = true,
        .random = 0xfeedf00dU,
        .disk_id = "disk id drawn #1",
    };
}

static inline int open_words(struct tn__sim_disk *disk, struct tn__words *words,
                             struct judge *judge)
{
    struct tn__words_options options = options_of(disk);
    int error = tn__words_open(words, &options, why, sizeof(why));
    if (error == TN_OK) {
        assert_true(words->restart_word >> 32 > judge->restarts);
        assert_true(words->ceiling >= judge->ceiling);
        for (uint32_t i = 0; i < TN_TABLES_MAX; i++) { /* of one write, whole */
            assert_int_equal(words->quarantine_ns[i], words->quarantine_ns[0] * (i + 1));
        }
        assert_true(words->quarantine_ns[0] <= words->ceiling);
        judge->restarts = (uint32_t)(words->restart_word >> 32);
    }
    return error;
}

static inline int raise_ceiling(struct tn__words *words, struct judge *judge, uint64_t ceiling)
{
    struct tn_record record = {.ceiling = ceiling, .configuration = 1};
    for (uint32_t i = 0; i < TN_TABLES_MAX; i++) {
        record.quarantine_ns[i] = ceiling * (i + 1); /* told apart by table and by write */
    }
    int error = tn__words_write(words, &record);
    if (error == TN_OK) {
        assert_true(words->ceiling >= ceiling);
        judge->ceiling = words->ceiling;
    }
    return error;
}

/* The life of a node: two incarnations, two writes each. A failed call is repeated once. */
static inline void live(struct tn__sim_disk *disk, struct judge *judge)
{
    for (uint32_t incarnation = 0; incarnation < 2; incarnation++) {
        struct tn__words words;
        if (open_words(disk, &words, judge) != TN_OK && open_words(disk, &words, judge) != TN_OK) {
            return;
        }
        for (uint32_t i = 0; i < 2; i++) {
            uint64_t ceiling = words.ceiling + 100;
            if (raise_ceiling(&words, judge, ceiling) != TN_OK) {
                (void)raise_ceiling(&words, judge, ceiling + 1);
            }
        }
        tn__words_close(&words);
    }
}

static inline void must_open(struct tn__sim_disk *disk, struct judge *judge)
{
    struct tn__words words;
    if (open_words(disk, &words, judge) != TN_OK) {
        fail_msg("a whole disk does not open: %s", why);
    }
    tn__words_close(&words);
}

#endif
