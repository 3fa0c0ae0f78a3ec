/* The script, its model, and the comparison. */
#include "support/wal_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/random.h"
#include "os/memory.h"
#include "store/wal_codec.h"

enum {
    RECORDS_MAX = 3,
    ENTRIES_MAX = 4,
};

/* One batch of the script. */
struct script {
    uint32_t count;
    struct tn_log_record records[RECORDS_MAX];
    struct tn_log_entry entries[RECORDS_MAX][ENTRIES_MAX];
};

static void *rig_allocate(void *context, void *block, size_t bytes, bool aligned)
{
    struct rig *rig = context;
    if (bytes > 0 && ++rig->allocations == rig->fail_allocation) {
        return NULL;
    }
    return tn__memory_resize(NULL, block, bytes, aligned);
}

/* ---- The script ---------------------------------------------------------------------------- */

uint32_t rig_value(uint32_t batch, uint32_t group, uint64_t slot, uint8_t *bytes)
{
    uint64_t random = batch * 1000003ULL + group * 101 + slot;
    uint32_t length = (uint32_t)(12 + tn__random_below(&random, batch % 9 == 0 ? 880 : 120));
    for (uint32_t i = 0; i < length; i++) {
        bytes[i] = (uint8_t)tn__random_next(&random);
    }
    tn__put_u32(bytes, batch);
    tn__put_u32(bytes + 4, group);
    tn__put_u32(bytes + 8, (uint32_t)slot);
    return length;
}

static struct tn_log_ballot ballot_of(uint64_t attempt)
{
    return (struct tn_log_ballot){
        .attempt = attempt, .token = 3, .restart_word = 9, .mode_number = 1, .node = 2};
}

/* Slots of a group that the script has filled before a batch. */
static uint64_t filled(uint32_t batch, uint32_t group)
{
    uint64_t slots = 0;
    for (uint32_t i = 1; i < batch; i++) {
        slots += i % RIG_GROUPS == group && i % 7 != 0 ? 1 + i % 3 : 0;
    }
    return slots;
}

static void script_entry(struct tn_log_entry *entry, uint32_t batch, uint32_t group, uint64_t slot,
                         uint64_t attempt)
{
    uint8_t bytes[RIG_VALUE_BYTES_MAX];
    *entry = (struct tn_log_entry){.slot = slot, .ballot = ballot_of(attempt)};
    if (batch % 13 == 0) {
        entry->value = (struct tn_log_value){.kind = TN_LOG_VALUE_CONFIGURATION,
                                             .voters = 7,
                                             .learners = batch,
                                             .version = batch,
                                             .window_slots = 64,
                                             .mode = TN_LOG_MODE_FREE};
        return;
    }
    entry->value.kind = TN_LOG_VALUE_PAYLOAD;
    entry->value.bytes = rig_value(batch, group, slot, bytes);
    entry->value.digest = tn__crc32c(0, bytes, entry->value.bytes);
    entry->value.handle = (uint64_t)batch << 32 | group << 24 | slot;
}

static void script_of(struct script *script, uint32_t batch)
{
    *script = (struct script){.count = 1};
    uint32_t group = batch % RIG_GROUPS;
    uint64_t slots = filled(batch, group);
    uint64_t attempt = 1 + batch / 8;
    struct tn_log_record *record = &script->records[0];
    *record = (struct tn_log_record){
        .group = group,
        .ballot = ballot_of(attempt),
        .committed = slots / 2,
        .checksum = slots / 2 * 77,
    };
    if (batch % 7 == 0) {
        record->kind = TN_LOG_RECORD_PROMISE;
        return;
    }
    record->kind = batch % 5 == 0 ? TN_LOG_RECORD_LEARN : TN_LOG_RECORD_ACCEPT;
    record->entries_count = 1 + batch % 3;
    for (uint32_t i = 0; i < record->entries_count; i++) {
        uint64_t under = record->kind == TN_LOG_RECORD_LEARN ? 1 + i : attempt;
        script_entry(&script->entries[0][i], batch, group, slots + 1 + i, under);
    }
    if (batch % 4 == 0 && slots > 3) { /* an older slot again, under a higher ballot */
        script->records[1] = *record;
        script->records[1].kind = TN_LOG_RECORD_ACCEPT;
        script->records[1].entries_count = 2;
        script_entry(&script->entries[1][0], batch, group, slots - 2, attempt);
        script_entry(&script->entries[1][1], batch, group, slots, attempt);
        script->count = 2;
    }
}

void rig_model_after(struct rig_model *model, uint32_t batches)
{
    memset(model, 0, sizeof(*model));
    for (uint32_t batch = 1; batch <= batches; batch++) {
        struct script script;
        script_of(&script, batch);
        for (uint32_t i = 0; i < script.count; i++) {
            const struct tn_log_record *record = &script.records[i];
            uint64_t attempt = record->ballot.attempt;
            uint64_t *promise = &model->groups[record->group].promise;
            if (record->kind != TN_LOG_RECORD_LEARN) {
                *promise = attempt > *promise ? attempt : *promise;
            }
            model->groups[record->group].committed = record->committed;
            for (uint32_t j = 0; j < record->entries_count; j++) {
                model->groups[record->group].slots[script.entries[i][j].slot] = batch;
            }
        }
    }
}

/* ---- Showing ------------------------------------------------------------------------------- */

static int show_state(void *context, const struct tn_log_record *record,
                      const struct tn_log_recovered *state,
                      const struct tn_log_value *configurations,
                      const uint64_t *configuration_slots, uint32_t configurations_count)
{
    struct rig *rig = context;
    assert_int_equal(record->kind, TN_LOG_RECORD_STATE);
    assert_in_range(record->group, 0, RIG_GROUPS - 1);
    if (state->promise.attempt > rig->shown.groups[record->group].promise) {
        rig->shown.groups[record->group].promise = state->promise.attempt;
    }
    if (state->committed > rig->shown.groups[record->group].committed) {
        rig->shown.groups[record->group].committed = state->committed;
    }
    assert_int_equal(state->checksum, state->committed * 77);
    for (uint32_t i = 0; i < configurations_count; i++) {
        assert_in_range(configuration_slots[i], 1, state->committed);
        assert_int_equal(configurations[i].kind, TN_LOG_VALUE_CONFIGURATION);
        assert_int_equal(configurations[i].learners, configurations[i].version);
        rig->shown.groups[record->group].version = configurations[i].version;
    }
    return 0;
}

static int show_record(void *context, const struct tn_log_record *record,
                       const struct tn_log_entry *entries, const void *const *bytes)
{
    struct rig *rig = context;
    assert_in_range(record->group, 0, RIG_GROUPS - 1);
    assert_int_equal(record->checksum, record->committed * 77);
    if (record->kind != TN_LOG_RECORD_LEARN &&
        record->ballot.attempt > rig->shown.groups[record->group].promise) {
        rig->shown.groups[record->group].promise = record->ballot.attempt;
    }
    if (record->committed > rig->shown.groups[record->group].committed) {
        rig->shown.groups[record->group].committed = record->committed;
    }
    for (uint32_t i = 0; i < record->entries_count; i++) {
        const struct tn_log_entry *entry = &entries[i];
        uint32_t batch = entry->value.version;
        assert_in_range(entry->slot, 1, RIG_SLOTS_MAX - 1);
        if (entry->value.kind == TN_LOG_VALUE_PAYLOAD) {
            uint8_t expected[RIG_VALUE_BYTES_MAX];
            batch = tn__get_u32(bytes[i]);
            uint32_t length = rig_value(batch, record->group, entry->slot, expected);
            assert_int_equal(entry->value.bytes, length);
            assert_memory_equal(bytes[i], expected, length);
            assert_int_equal(entry->value.digest, tn__crc32c(0, expected, length));
        } else {
            assert_null(bytes[i]);
            assert_int_equal(entry->value.learners, batch);
        }
        struct script script;
        script_of(&script, batch);
        bool found = false;
        for (uint32_t j = 0; j < script.count; j++) {
            for (uint32_t k = 0; k < script.records[j].entries_count; k++) {
                const struct tn_log_entry *wrote = &script.entries[j][k];
                found = found || (wrote->slot == entry->slot &&
                                  tn_log_ballot_equal(wrote->ballot, entry->ballot));
            }
        }
        assert_true(found);
        rig->shown.groups[record->group].slots[entry->slot] = batch;
    }
    return 0;
}

/* ---- Life ---------------------------------------------------------------------------------- */

void rig_init(struct rig *rig, uint64_t seed)
{
    memset(rig, 0, sizeof(*rig));
    rig->disk = tn__sim_disk_new(seed);
    rig->options = (struct tn__wal_options){
        .cluster_id = "cluster of three",
        .disk_id = "disk id drawn #1",
        .segment_bytes = 8192,
        .block_bytes = 512,
        .value_bytes_max = 65536,
        .allocate = rig_allocate,
    };
}

void rig_copy(struct rig *copy, const struct rig *rig, uint64_t seed)
{
    *copy = *rig;
    copy->disk = tn__sim_disk_copy(rig->disk, seed);
    copy->wal = NULL;
    copy->batch = NULL;
}

void rig_free(struct rig *rig)
{
    rig_close(rig);
    tn__sim_disk_free(rig->disk);
}

int rig_open(struct rig *rig)
{
    struct tn__wal_visitor visitor = {.context = rig, .state = show_state, .record = show_record};
    memset(&rig->shown, 0, sizeof(rig->shown));
    rig->options.files = tn__sim_disk_files(rig->disk);
    if (rig->operations != NULL) {
        rig->options.files.operations = rig->operations;
    }
    rig->options.allocate_context = rig;
    rig->why[0] = '\0';
    int error = rig->options.files.operations->open_directory(rig->options.files.context, "data",
                                                              true, &rig->options.directory);
    if (error == TN_OK) {
        error = tn__wal_open(&rig->wal, &rig->options, &visitor, &rig->report, rig->why,
                             sizeof(rig->why));
        if (error != TN_OK) {
            rig->options.files.operations->close(rig->options.files.context,
                                                 rig->options.directory);
        }
    }
    if (error == TN_OK) {
        error = tn__wal_batch_new(rig->wal, &rig->batch);
    }
    return error;
}

void rig_close(struct rig *rig)
{
    if (rig->wal != NULL) {
        tn__wal_batch_free(rig->batch);
        tn__wal_close(rig->wal);
        rig->options.files.operations->close(rig->options.files.context, rig->options.directory);
    }
    rig->wal = NULL;
    rig->batch = NULL;
}

static const void *value_bytes(void *context, uint64_t handle)
{
    static uint8_t bytes[RIG_VALUE_BYTES_MAX];
    (void)context;
    (void)rig_value((uint32_t)(handle >> 32), handle >> 24 & 0xff, handle & 0xffffff, bytes);
    return bytes;
}

static int write_batch(struct rig *rig)
{
    const struct tn__files *files = &rig->options.files;
    struct tn__wal_pending pending;
    if (!rig->halves || !tn__wal_write_begin(rig->wal, rig->batch, &pending)) {
        return tn__wal_write(rig->wal, rig->batch);
    }
    rig->halved++;
    int error =
        tn__file_write_all(files, pending.file, pending.offset, pending.bytes, pending.length);
    error = tn__wal_write_end(rig->wal, rig->batch, error);
    return error == TN_OK ? tn__wal_ahead(rig->wal) : error;
}

int rig_write(struct rig *rig)
{
    struct script script;
    script_of(&script, rig->written + 1);
    tn__wal_batch_clear(rig->batch);
    int error = TN_OK;
    for (uint32_t i = 0; i < script.count && error == TN_OK; i++) {
        error =
            tn__wal_batch_add(rig->batch, &script.records[i], script.entries[i], value_bytes, NULL);
    }
    if (error != TN_OK) {
        return error;
    }
    rig->written++;
    error = write_batch(rig);
    if (error == TN_ERROR_DISK_FULL) {
        rig->written--;
    }
    if (error == TN_OK) {
        rig->durable = rig->written;
        error = tn__wal_index(rig->wal, rig->batch);
    }
    return error;
}

void rig_write_many(struct rig *rig, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(rig_write(rig), TN_OK);
    }
}

/* ---- Judging ------------------------------------------------------------------------------- */

static bool model_equal(const struct rig_model *a, const struct rig_model *b)
{
    for (uint32_t group = 0; group < RIG_GROUPS; group++) {
        if (a->groups[group].promise != b->groups[group].promise ||
            a->groups[group].committed != b->groups[group].committed ||
            memcmp(a->groups[group].slots, b->groups[group].slots,
                   sizeof(a->groups[group].slots)) != 0) {
            return false;
        }
    }
    return true;
}

int rig_shown_batches(const struct rig *rig)
{
    for (uint32_t batches = rig->durable; batches <= rig->written; batches++) {
        struct rig_model model;
        rig_model_after(&model, batches);
        if (model_equal(&model, &rig->shown)) {
            return (int)batches;
        }
    }
    return -1;
}

void rig_must_recover(struct rig *rig)
{
    int error = rig_open(rig);
    if (error != TN_OK || rig->report.damaged) {
        fail_msg("no recovery: %s, damaged %u: %s", tn_err_name(error), rig->report.damaged,
                 rig->why);
    }
    int batches = rig_shown_batches(rig);
    if (batches < 0) {
        fail_msg("what is shown is not the log after %u to %u batches", rig->durable, rig->written);
    }
    rig->durable = (uint32_t)batches; /* now it must stay */
    rig->written = (uint32_t)batches;
}

void rig_must_be_true(const struct rig *rig)
{
    struct rig_model last;
    rig_model_after(&last, rig->written);
    for (uint32_t group = 0; group < RIG_GROUPS; group++) {
        assert_true(rig->shown.groups[group].promise <= last.groups[group].promise);
        assert_true(rig->shown.groups[group].committed <= last.groups[group].committed);
        for (uint32_t slot = 0; slot < RIG_SLOTS_MAX; slot++) {
            assert_true(rig->shown.groups[group].slots[slot] <= last.groups[group].slots[slot]);
        }
    }
}

void rig_must_read_all(struct rig *rig)
{
    static uint8_t buffer[65536];
    struct tn_log_entry entries[TN_LOG_RUN_MAX];
    const void *bytes[TN_LOG_RUN_MAX];
    struct rig_model model;
    rig_model_after(&model, rig->durable);
    for (uint32_t group = 0; group < RIG_GROUPS; group++) {
        for (uint32_t slot = 1; slot < RIG_SLOTS_MAX; slot++) {
            struct tn__wal_position position;
            int error = tn__wal_locate(rig->wal, group, slot, &position);
            uint32_t batch = model.groups[group].slots[slot];
            assert_int_equal(error, batch == 0 ? TN_ERROR_NOT_FOUND : TN_OK);
            if (batch == 0) {
                continue;
            }
            struct tn_log_record record;
            assert_in_range(slot, position.slot_first, position.slot_first + position.count - 1);
            assert_int_equal(tn__wal_read(rig->wal, &position, buffer, sizeof(buffer), &record,
                                          entries, bytes, TN_LOG_RUN_MAX),
                             TN_OK);
            uint32_t i = 0;
            while (i < record.entries_count && entries[i].slot != slot) {
                i++;
            }
            assert_in_range(i, 0, record.entries_count - 1);
            assert_int_equal(record.group, group);
            uint32_t of = entries[i].value.kind == TN_LOG_VALUE_PAYLOAD ? tn__get_u32(bytes[i])
                                                                        : entries[i].value.version;
            assert_int_equal(of, batch);
        }
    }
}

/* ---- Harm ---------------------------------------------------------------------------------- */

void rig_make_log(struct rig *rig, uint32_t batches, bool sealed)
{
    rig_init(rig, 1);
    rig->options.segment_bytes = 4096;
    rig_must_recover(rig);
    rig_write_many(rig, batches);
    if (sealed) {
        assert_int_equal(tn__wal_seal(rig->wal), TN_OK);
    }
    rig_close(rig);
}

uint64_t rig_take_file(const struct rig *rig, const char *name, uint8_t *bytes)
{
    uint64_t size = 0;
    const uint8_t *found = tn__sim_disk_peek(rig->disk, name, &size);
    assert_non_null(found);
    assert_in_range(size, 0, RIG_FILE_BYTES_MAX);
    memcpy(bytes, found, size);
    return size;
}

uint64_t rig_last_segment(const struct rig *rig)
{
    uint64_t last = 0;
    for (uint64_t number = 1; number < 100; number++) {
        char name[TN_WAL_NAME_BYTES];
        uint64_t size;
        tn__wal_name(name, number, false);
        last = tn__sim_disk_peek(rig->disk, name, &size) != NULL ? number : last;
    }
    return last;
}

bool rig_must_judge_rightly(struct rig *rig)
{
    int error = rig_open(rig);
    if (error != TN_OK) {
        fail_msg("no start: %s: %s", tn_err_name(error), rig->why);
    }
    rig_must_be_true(rig);
    if (rig->report.damaged) {
        assert_true(strlen(rig->why) > 40);
    } else {
        assert_int_equal(rig_shown_batches(rig), rig->written);
    }
    return rig->report.damaged;
}

void rig_must_stay_damaged(struct rig *rig)
{
    for (uint32_t i = 0; i < 2; i++) {
        rig_close(rig);
        assert_int_equal(rig_open(rig), TN_OK);
        assert_int_equal(rig->report.damaged, 1);
        rig_must_be_true(rig);
    }
}
