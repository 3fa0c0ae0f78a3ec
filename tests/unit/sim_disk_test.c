/* The simulated disk does what it claims: a test on it proves nothing if its faults do not occur.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <tenure/error.h>

#include "sim/sim_disk.h"
#include "sim/sim_disk_inode.h"
#include "sim/sim_disk_names.h"

enum {
    SECTOR = 512,
    READ_WRITE = TN_FILE_READ | TN_FILE_WRITE | TN_FILE_CREATE,
};

struct rig {
    struct tn__sim_disk *disk;
    struct tn__files files;
    const struct tn__file_operations *operations;
    tn__file directory;
    tn__file file; /* "f", durable: two sectors of 'o' */
};

static struct rig rig_of(uint64_t seed)
{
    struct rig rig = {.disk = tn__sim_disk_new(seed)};
    char old[2 * SECTOR];
    memset(old, 'o', sizeof(old));
    tn__sim_disk_put(rig.disk, "f", old, sizeof(old));
    rig.files = tn__sim_disk_files(rig.disk);
    rig.operations = rig.files.operations;
    assert_int_equal(rig.operations->open_directory(rig.files.context, "d", false, &rig.directory),
                     TN_OK);
    assert_int_equal(
        rig.operations->open(rig.files.context, rig.directory, "f", READ_WRITE, &rig.file), TN_OK);
    return rig;
}

static int rig_write(const struct rig *rig, uint64_t offset, char letter, size_t length)
{
    char bytes[4 * SECTOR];
    assert_true(length <= sizeof(bytes));
    memset(bytes, letter, length);
    return tn__file_write_all(&rig->files, rig->file, offset, bytes, length);
}

static const char *rig_peek(const struct rig *rig, const char *name, uint64_t *size)
{
    return (const char *)tn__sim_disk_peek(rig->disk, name, size);
}

static void what_is_synced_survives_and_what_is_not_is_lost(void **state)
{
    (void)state;
    struct rig rig = rig_of(1);
    uint64_t size = 0;
    assert_int_equal(rig_write(&rig, 0, 'n', SECTOR), TN_OK);
    assert_int_equal(rig.operations->sync(rig.files.context, rig.file), TN_OK);
    assert_int_equal(rig_write(&rig, SECTOR, 'n', 2 * SECTOR), TN_OK);
    const char *bytes = rig_peek(&rig, "f", &size);
    assert_int_equal(size, 3 * SECTOR);
    assert_int_equal(bytes[2 * SECTOR], 'n');
    tn__sim_disk_restart(rig.disk, TN_SIM_DISK_LOSE_ALL);
    bytes = rig_peek(&rig, "f", &size);
    assert_int_equal(size, 2 * SECTOR);
    assert_int_equal(bytes[0], 'n');
    assert_int_equal(bytes[SECTOR], 'o');
    size_t done;
    char byte;
    assert_int_equal(rig.operations->read(rig.files.context, rig.file, 0, &byte, 1, &done),
                     TN_ERROR_IO);
    tn__sim_disk_free(rig.disk);
}

static void a_name_stands_for_one_file_until_it_is_removed(void **state)
{
    (void)state;
    struct tn__sim_disk_names names = {0};
    struct tn__sim_disk_renaming renaming = {.inode = 5, .from = "a", .to = "b"};
    tn__sim_disk_names_set(&names, "a", 4);
    tn__sim_disk_names_set(&names, "a", 5);
    assert_int_equal(names.count, 1);
    tn__sim_disk_renaming_apply(&names, &renaming);
    assert_int_equal(tn__sim_disk_names_find(&names, "a"), TN_SIM_DISK_NO_INODE);
    assert_int_equal(tn__sim_disk_names_find(&names, "b"), 5);
    tn__sim_disk_names_set(&names, "b", TN_SIM_DISK_NO_INODE);
    assert_int_equal(names.count, 0);
}

static void a_dead_process_leaves_the_page_cache(void **state)
{
    (void)state;
    struct rig rig = rig_of(1);
    uint64_t size = 0;
    assert_int_equal(rig_write(&rig, 0, 'n', SECTOR), TN_OK);
    tn__sim_disk_restart(rig.disk, TN_SIM_DISK_PROCESS_ONLY);
    assert_int_equal(rig_peek(&rig, "f", &size)[0], 'n');
    tn__sim_disk_restart(rig.disk, TN_SIM_DISK_LOSE_ALL);
    assert_int_equal(rig_peek(&rig, "f", &size)[0], 'o');
    tn__sim_disk_free(rig.disk);
}

/* Two unsynced sectors, a later write over the first, and one past the end. Over many seeds each
 * outcome that the model allows must be seen. */
static void D1_D2_D14_every_kind_of_outcome_of_a_crash_occurs(void **state)
{
    (void)state;
    uint32_t none = 0, all = 0, later_only = 0, earlier_last = 0, torn = 0, zeros = 0, grown = 0;
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        struct rig rig = rig_of(seed);
        uint64_t size = 0;
        assert_int_equal(rig_write(&rig, 0, 'a', 2 * SECTOR), TN_OK);
        assert_int_equal(rig_write(&rig, 0, 'b', SECTOR), TN_OK);
        assert_int_equal(rig_write(&rig, 2 * SECTOR, 'c', SECTOR), TN_OK);
        tn__sim_disk_restart(rig.disk, TN_SIM_DISK_ANY);
        const char *bytes = rig_peek(&rig, "f", &size);
        bool first_old = memchr(bytes, 'a', SECTOR) == NULL && memchr(bytes, 'b', SECTOR) == NULL;
        bool first_new = bytes[0] == 'b' && memcmp(bytes, bytes + 1, SECTOR - 1) == 0;
        bool second_new = bytes[SECTOR] == 'a' && bytes[2 * SECTOR - 1] == 'a';
        none += first_old && bytes[SECTOR] == 'o' && size == 2 * SECTOR;
        all += first_new && second_new && size == 3 * SECTOR && bytes[3 * SECTOR - 1] == 'c';
        later_only += first_new && bytes[SECTOR] == 'o';
        /* Both cut short, and the first over the second: a, b, o. */
        earlier_last +=
            bytes[0] == 'a' && memchr(bytes, 'b', SECTOR) != NULL && bytes[SECTOR - 1] == 'o';
        grown += size > 2 * SECTOR && size < 3 * SECTOR;
        zeros += size == 3 * SECTOR && memchr(bytes + 2 * SECTOR, 'c', SECTOR) == NULL;
        const char *edge = memchr(bytes + SECTOR, 'o', SECTOR);
        if (edge != NULL && bytes[SECTOR] == 'a') {
            torn++;
            assert_int_equal((edge - bytes) % 8, 0);
        }
        tn__sim_disk_free(rig.disk);
    }
    assert_true(none > 0 && all > 0 && later_only > 0 && earlier_last > 0 && torn > 0 &&
                zeros > 0 && grown > 0);
}

static void D13_names_not_synced_may_come_or_go(void **state)
{
    (void)state;
    uint32_t seen[4] = {0};
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct rig rig = rig_of(seed);
        tn__file made = TN_FILE_NONE;
        uint64_t size = 0;
        const struct tn__file_operations *operations = rig.operations;
        void *context = rig.files.context;
        assert_int_equal(operations->open(context, rig.directory, "g", READ_WRITE, &made), TN_OK);
        assert_int_equal(operations->rename(context, rig.directory, "g", "h"), TN_OK);
        assert_int_equal(operations->unlink(context, rig.directory, "f"), TN_OK);
        assert_null(rig_peek(&rig, "f", &size));
        tn__sim_disk_restart(rig.disk, TN_SIM_DISK_ANY);
        seen[0] += rig_peek(&rig, "f", &size) != NULL;
        seen[1] += rig_peek(&rig, "f", &size) == NULL;
        seen[2] += rig_peek(&rig, "g", &size) != NULL;
        seen[3] += rig_peek(&rig, "h", &size) != NULL;
        /* A rename is atomic: never both, and the inode never lost once one name was durable. */
        assert_false(rig_peek(&rig, "g", &size) != NULL && rig_peek(&rig, "h", &size) != NULL);
        tn__sim_disk_free(rig.disk);
    }
    assert_true(seen[0] > 0 && seen[1] > 0 && seen[2] > 0 && seen[3] > 0);
}

static void D13_synced_names_stay(void **state)
{
    (void)state;
    struct rig rig = rig_of(1);
    tn__file made = TN_FILE_NONE;
    uint64_t size = 0;
    assert_int_equal(rig.operations->open(rig.files.context, rig.directory, "g", READ_WRITE, &made),
                     TN_OK);
    assert_int_equal(rig.operations->sync_directory(rig.files.context, rig.directory), TN_OK);
    tn__sim_disk_restart(rig.disk, TN_SIM_DISK_LOSE_ALL);
    assert_non_null(rig_peek(&rig, "g", &size));
    assert_int_equal(size, 0);
    tn__sim_disk_free(rig.disk);
}

/* After a sync that failed, a second one succeeds and proves nothing. */
static void D8_a_failed_sync_is_believed_by_readers_but_not_by_the_disk(void **state)
{
    (void)state;
    uint32_t lost = 0;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        for (uint32_t reverted = 0; reverted < 2; reverted++) {
            struct rig rig = rig_of(seed);
            uint64_t size = 0;
            assert_int_equal(rig_write(&rig, 0, 'n', SECTOR), TN_OK);
            tn__sim_disk_arm(rig.disk,
                             &(struct tn__sim_disk_plan){.fail_at = 1, .failed_sync = reverted});
            assert_int_equal(rig.operations->sync(rig.files.context, rig.file), TN_ERROR_IO);
            assert_int_equal(rig.operations->sync(rig.files.context, rig.file), TN_OK);
            char seen = rig_peek(&rig, "f", &size)[SECTOR - 1];
            tn__sim_disk_restart(rig.disk, TN_SIM_DISK_LOSE_ALL);
            char kept = rig_peek(&rig, "f", &size)[SECTOR - 1];
            assert_true(reverted ? seen == kept : seen == 'n');
            lost += kept == 'o';
            tn__sim_disk_free(rig.disk);
        }
    }
    assert_in_range(lost, 10, 90);
}

static void the_planned_operation_fails_and_only_that(void **state)
{
    (void)state;
    struct rig rig = rig_of(1);
    tn__sim_disk_arm(rig.disk, &(struct tn__sim_disk_plan){.fail_at = 2,
                                                           .fail_count = 2,
                                                           .fail_error = TN_ERROR_DISK_FULL});
    assert_int_equal(rig_write(&rig, 0, 'a', 1), TN_OK);
    assert_int_equal(rig_write(&rig, 0, 'b', 1), TN_ERROR_DISK_FULL);
    assert_int_equal(rig_write(&rig, 0, 'c', 1), TN_ERROR_DISK_FULL);
    assert_int_equal(rig_write(&rig, 0, 'd', 1), TN_OK);
    assert_int_equal(tn__sim_disk_operations(rig.disk), 4);
    tn__sim_disk_arm(rig.disk, &(struct tn__sim_disk_plan){.space_bytes = 2 * SECTOR + 10});
    assert_int_equal(rig_write(&rig, 2 * SECTOR, 'e', 10), TN_OK);
    assert_int_equal(rig_write(&rig, 2 * SECTOR, 'e', 11), TN_ERROR_DISK_FULL);
    tn__sim_disk_arm(rig.disk, &(struct tn__sim_disk_plan){.read_only = true});
    assert_int_equal(rig_write(&rig, 0, 'f', 1), TN_ERROR_READ_ONLY);
    tn__sim_disk_free(rig.disk);
}

static void after_a_crash_nothing_works_until_the_restart(void **state)
{
    (void)state;
    struct rig rig = rig_of(1);
    tn__sim_disk_arm(rig.disk, &(struct tn__sim_disk_plan){.crash_at = 2});
    assert_int_equal(rig_write(&rig, 0, 'a', 1), TN_OK);
    assert_int_equal(rig_write(&rig, 0, 'b', 1), TN_ERROR_IO);
    assert_true(tn__sim_disk_crashed(rig.disk));
    assert_int_equal(rig_write(&rig, 0, 'c', 1), TN_ERROR_IO);
    assert_int_equal(tn__sim_disk_operations(rig.disk), 2);
    tn__sim_disk_restart(rig.disk, TN_SIM_DISK_ANY);
    assert_false(tn__sim_disk_crashed(rig.disk));
    /* What the dead process had open is no name for what its successor opens. */
    tn__file directory = TN_FILE_NONE;
    tn__file file = TN_FILE_NONE;
    void *context = rig.files.context;
    assert_int_equal(rig.operations->open_directory(context, "d", false, &directory), TN_OK);
    assert_int_equal(rig.operations->open(context, directory, "f", READ_WRITE, &file), TN_OK);
    rig.operations->close(context, rig.file);
    assert_int_equal(rig.operations->sync(context, file), TN_OK);
    tn__sim_disk_free(rig.disk);
}

static void a_lock_falls_with_its_holder(void **state)
{
    (void)state;
    struct rig rig = rig_of(1);
    tn__file second = TN_FILE_NONE;
    const struct tn__file_operations *operations = rig.operations;
    void *context = rig.files.context;
    assert_int_equal(operations->open(context, rig.directory, "f", READ_WRITE, &second), TN_OK);
    assert_int_equal(operations->lock(context, rig.file), TN_OK);
    assert_int_equal(operations->lock(context, second), TN_ERROR_LOCKED);
    operations->close(context, rig.file);
    assert_int_equal(operations->lock(context, second), TN_OK);
    tn__sim_disk_free(rig.disk);
}

static void the_same_seed_gives_the_same_disk(void **state)
{
    (void)state;
    char images[2][3 * SECTOR] = {{0}};
    uint64_t sizes[2] = {0};
    for (uint32_t i = 0; i < 2; i++) {
        struct rig rig = rig_of(77);
        assert_int_equal(rig_write(&rig, 0, 'a', 3 * SECTOR), TN_OK);
        tn__sim_disk_restart(rig.disk, TN_SIM_DISK_ANY);
        const char *bytes = rig_peek(&rig, "f", &sizes[i]);
        memcpy(images[i], bytes, sizes[i]);
        tn__sim_disk_free(rig.disk);
    }
    assert_int_equal(sizes[0], sizes[1]);
    assert_memory_equal(images[0], images[1], sizeof(images[0]));
}

static void a_file_grows_by_zeros_and_its_copy_is_its_own(void **state)
{
    (void)state;
    struct tn__sim_disk_inode *inode = tn__sim_disk_inode_new();
    tn__sim_disk_inode_write(inode, 1000, "abc", 3);
    tn__sim_disk_inode_truncate(inode, 1001);
    tn__sim_disk_inode_truncate(inode, 1003);
    struct tn__sim_disk_inode *copy = tn__sim_disk_inode_copy(inode);
    tn__sim_disk_inode_write(inode, 0, "xyz", 3);
    tn__sim_disk_inode_sync(copy);
    assert_int_equal(inode->queue_count, 4);
    assert_int_equal(copy->queue_count, 0);
    assert_int_equal(copy->durable.size, 1003);
    char bytes[1003];
    tn__sim_disk_bytes_read(&copy->durable, 0, bytes, sizeof(bytes));
    assert_int_equal(bytes[0], 0);
    assert_memory_equal(bytes + 999, "\0a\0\0", 4);
    assert_int_equal(inode->durable.size, 0);
    tn__sim_disk_inode_drop(inode);
    tn__sim_disk_inode_revert(inode);
    assert_int_equal(inode->cached.size, 0);
    tn__sim_disk_inode_free(inode);
    tn__sim_disk_inode_free(copy);
}

/* A direct write is durable when it returns, but only over bytes that are durable. */
static void a_direct_write_is_durable_where_the_file_was(void **state)
{
    (void)state;
    struct rig rig = rig_of(1);
    uint64_t size = 0;
    static _Alignas(SECTOR) char bytes[2 * SECTOR];
    memset(bytes, 'n', sizeof(bytes));
    rig.operations->close(rig.files.context, rig.file);
    assert_int_equal(rig.operations->open(rig.files.context, rig.directory, "f",
                                          READ_WRITE | TN_FILE_DIRECT, &rig.file),
                     TN_OK);
    assert_int_equal(tn__file_write_all(&rig.files, rig.file, 0, bytes + 1, SECTOR),
                     TN_ERROR_INVALID);
    assert_int_equal(tn__file_write_all(&rig.files, rig.file, 8, bytes, SECTOR), TN_ERROR_INVALID);
    assert_int_equal(tn__file_write_all(&rig.files, rig.file, 0, bytes, SECTOR - 8),
                     TN_ERROR_INVALID);
    assert_int_equal(tn__file_write_all(&rig.files, rig.file, SECTOR, bytes, SECTOR), TN_OK);
    assert_int_equal(rig.operations->allocate(rig.files.context, rig.file, 4 * SECTOR), TN_OK);
    assert_int_equal(tn__file_write_all(&rig.files, rig.file, 2 * SECTOR, bytes, SECTOR), TN_OK);
    assert_int_equal(tn__sim_disk_pending(rig.disk), 2); /* the size and the sector beyond it */
    tn__sim_disk_restart(rig.disk, TN_SIM_DISK_LOSE_ALL);
    const char *found = rig_peek(&rig, "f", &size);
    assert_int_equal(size, 2 * SECTOR);
    assert_int_equal(found[0], 'o');
    assert_int_equal(found[SECTOR], 'n');
    tn__sim_disk_free(rig.disk);
}

static void what_lands_can_be_chosen_piece_by_piece(void **state)
{
    (void)state;
    for (uint32_t subset = 0; subset < 16; subset++) {
        struct rig rig = rig_of(1);
        uint64_t size = 0;
        bool lands[4];
        assert_int_equal(rig.operations->rename(rig.files.context, rig.directory, "f", "g"), TN_OK);
        assert_int_equal(rig_write(&rig, SECTOR / 2, 'n', SECTOR), TN_OK);
        assert_int_equal(rig.operations->truncate(rig.files.context, rig.file, SECTOR), TN_OK);
        assert_int_equal(tn__sim_disk_pending(rig.disk), 4);
        for (uint32_t i = 0; i < 4; i++) {
            lands[i] = (subset >> i & 1) != 0;
        }
        tn__sim_disk_restart_with(rig.disk, lands);
        const char *found = rig_peek(&rig, lands[0] ? "g" : "f", &size);
        assert_non_null(found);
        assert_null(rig_peek(&rig, lands[0] ? "f" : "g", &size));
        assert_int_equal(size, lands[3] ? SECTOR : 2 * SECTOR);
        assert_int_equal(found[SECTOR - 1], lands[1] ? 'n' : 'o');
        assert_true(lands[3] || found[SECTOR] == (lands[2] ? 'n' : 'o'));
        tn__sim_disk_free(rig.disk);
    }
}

static void what_is_patched_differs_there_and_nowhere_else(void **state)
{
    (void)state;
    struct rig rig = rig_of(1);
    uint64_t size = 0;
    uint64_t end = 0;
    char byte = 'z';
    assert_int_equal(rig_write(&rig, SECTOR, 'n', 2 * SECTOR), TN_OK);
    assert_false(tn__sim_disk_patch(rig.disk, "g", 0, "p", 1));
    assert_false(tn__sim_disk_patch(rig.disk, "f", 3 * SECTOR, "p", 1));
    assert_true(tn__sim_disk_patch(rig.disk, "f", SECTOR + 1, "p", 1));
    tn__sim_disk_restart(rig.disk, TN_SIM_DISK_LOSE_ALL);
    const char *found = rig_peek(&rig, "f", &size);
    assert_int_equal(size, 3 * SECTOR); /* as a reader saw it, and durable */
    for (uint64_t i = 0; i < size; i++) {
        assert_int_equal(found[i], i == SECTOR + 1 ? 'p' : i < SECTOR ? 'o' : 'n');
    }
    assert_true(tn__sim_disk_look(rig.disk, "f", SECTOR + 1, &byte, 1));
    assert_int_equal(byte, 'p');
    assert_false(tn__sim_disk_look(rig.disk, "f", 3 * SECTOR, &byte, 1));
    assert_false(tn__sim_disk_look(rig.disk, "g", 0, &byte, 1));
    tn__sim_disk_put(rig.disk, "g", "\0x\0\0", 4);
    assert_true(tn__sim_disk_extent(rig.disk, "g", &size, &end));
    assert_int_equal(size, 4);
    assert_int_equal(end, 2);
    assert_false(tn__sim_disk_extent(rig.disk, "h", &size, &end));
    tn__sim_disk_free(rig.disk);
}

static int make_file(const struct rig *rig, uint32_t number)
{
    char name[16];
    tn__file file;
    snprintf(name, sizeof(name), "n%u", number);
    int error = rig->operations->open(rig->files.context, rig->directory, name, READ_WRITE, &file);
    if (error == TN_OK) {
        rig->operations->close(rig->files.context, file);
    }
    return error;
}

/* Changes of names that nobody syncs: the disk writes them out itself when its journal is full. */
static void names_without_a_sync_are_bounded_by_the_disk_itself(void **state)
{
    (void)state;
    struct rig rig = rig_of(1);
    for (uint32_t i = 0; i < 3 * TN_SIM_DISK_NAMES_MAX; i++) {
        assert_int_equal(make_file(&rig, i), TN_OK);
        char name[16];
        char other[16];
        snprintf(name, sizeof(name), "n%u", i);
        snprintf(other, sizeof(other), "m%u", i);
        assert_int_equal(rig.operations->rename(rig.files.context, rig.directory, name, other),
                         TN_OK);
        assert_int_equal(rig.operations->unlink(rig.files.context, rig.directory, other), TN_OK);
    }
    tn__sim_disk_free(rig.disk);
}

static void a_directory_with_too_many_names_is_a_full_disk(void **state)
{
    (void)state;
    struct rig rig = rig_of(1);
    uint32_t made = 0;
    while (made < 2 * TN_SIM_DISK_NAMES_MAX && make_file(&rig, made) == TN_OK) {
        made++;
    }
    assert_int_equal(made, TN_SIM_DISK_NAMES_MAX - 1); /* and "f" */
    assert_int_equal(make_file(&rig, made), TN_ERROR_DISK_FULL);
    assert_int_equal(rig.operations->rename(rig.files.context, rig.directory, "f", "g"),
                     TN_ERROR_DISK_FULL);
    assert_int_equal(rig.operations->rename(rig.files.context, rig.directory, "f", "n0"), TN_OK);
    assert_int_equal(rig.operations->unlink(rig.files.context, rig.directory, "n1"), TN_OK);
    assert_int_equal(make_file(&rig, made), TN_OK);
    tn__sim_disk_restart(rig.disk, TN_SIM_DISK_ANY);
    tn__sim_disk_free(rig.disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_without_a_sync_are_bounded_by_the_disk_itself),
        cmocka_unit_test(a_directory_with_too_many_names_is_a_full_disk),
        cmocka_unit_test(what_is_synced_survives_and_what_is_not_is_lost),
        cmocka_unit_test(a_name_stands_for_one_file_until_it_is_removed),
        cmocka_unit_test(a_dead_process_leaves_the_page_cache),
        cmocka_unit_test(D1_D2_D14_every_kind_of_outcome_of_a_crash_occurs),
        cmocka_unit_test(D13_names_not_synced_may_come_or_go),
        cmocka_unit_test(D13_synced_names_stay),
        cmocka_unit_test(D8_a_failed_sync_is_believed_by_readers_but_not_by_the_disk),
        cmocka_unit_test(the_planned_operation_fails_and_only_that),
        cmocka_unit_test(after_a_crash_nothing_works_until_the_restart),
        cmocka_unit_test(a_direct_write_is_durable_where_the_file_was),
        cmocka_unit_test(what_lands_can_be_chosen_piece_by_piece),
        cmocka_unit_test(what_is_patched_differs_there_and_nowhere_else),
        cmocka_unit_test(a_lock_falls_with_its_holder),
        cmocka_unit_test(the_same_seed_gives_the_same_disk),
        cmocka_unit_test(a_file_grows_by_zeros_and_its_copy_is_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
