/* Bytes of the log's segments, batches and records; docs/disk_format.md has the tables.
 *
 * Everything read is checked before it is used: the checksum first, then that each field can be.
 * The checksum of a batch's header is seeded with cluster and disk id, so that no bytes a client
 * chose and no bytes of another directory pass for one; it covers where the batch stands, so that
 * one found elsewhere is none. A record's checksum ends with the same place and is checked alone
 * (tn__wal_read), so a batch's header needs to cover only the checksums of its records: each byte
 * is summed once. */
#ifndef TN_STORE_WAL_CODEC_H
#define TN_STORE_WAL_CODEC_H

#include <tenure/log.h>

#define TN_WAL_VERSION 1U
#define TN_WAL_HEAD_BYTES 512U
#define TN_WAL_BATCH_BYTES 80U
#define TN_WAL_RECORD_BYTES 72U
#define TN_WAL_ENTRY_BYTES 12U
#define TN_WAL_BLOCK_BYTES_MAX 4096U

/* Entries of one record, but of a STATE, and bytes of values in it: a reader of one slot reads
 * them all. One value may be larger. */
#define TN_WAL_RECORD_ENTRIES_MAX TN_LOG_RUN_MAX
#define TN_WAL_RECORD_VALUES_BYTES (1U << 20)

/* Configurations that a STATE restates at most: those of the largest window, and the one before. */
#define TN_WAL_CONFIGURATIONS_MAX (TN_LOG_WINDOW_MAX + 1)

/* Where something stands. */
struct tn__wal_place {
    uint64_t segment;
    uint64_t offset;
};

/* A segment's header. */
struct tn__wal_head {
    uint64_t number;
    uint64_t batch_first; /* made by recovery: it begins with this batch, whatever stood before */
    uint64_t batch_last;  /* and was synced up to this one before it got its name; 0: made ahead */
    uint64_t bytes;       /* of the file, when it was made */
    uint32_t block_bytes;
    uint8_t cluster_id[16];
    uint8_t disk_id[16];
};

enum tn__wal_verdict {
    TN_WAL_WHOLE,
    TN_WAL_BAD,
    TN_WAL_NEWER, /* of a version that this build does not know */
};

void tn__wal_head_encode(const struct tn__wal_head *head, uint8_t bytes[TN_WAL_HEAD_BYTES]);
enum tn__wal_verdict tn__wal_head_decode(const uint8_t bytes[TN_WAL_HEAD_BYTES],
                                         struct tn__wal_head *head);

/* What checksums of a directory begin with. */
uint32_t tn__wal_seed(const uint8_t cluster_id[16], const uint8_t disk_id[16]);

struct tn__wal_batch_head {
    struct tn__wal_place place;
    uint64_t sequence;      /* of the batch: one more each time, across segments and restarts */
    uint64_t mark;          /* every batch up to this one was synced when this one was written */
    uint64_t healed;        /* W3: what is missing up to here has been fetched from peers */
    uint64_t segment_first; /* segments below are not needed; those from here on are */
    uint64_t bytes;         /* of the batch, whole blocks */
    uint64_t used;          /* of it: header and records, before the padding */
    uint32_t records_count;
    uint32_t records_crc; /* over the records' checksums, in order */
};

void tn__wal_batch_head_encode(const struct tn__wal_batch_head *head, uint32_t seed,
                               uint8_t bytes[TN_WAL_BATCH_BYTES]);

/* Is this the header of a batch that stands at `place`, in blocks of `block_bytes`? */
bool tn__wal_batch_head_decode(const uint8_t bytes[TN_WAL_BATCH_BYTES], uint32_t seed,
                               struct tn__wal_place place, uint32_t block_bytes,
                               struct tn__wal_batch_head *head);

/* A record's fixed part. Of a STATE, slot_first is the lowest slot the store could serve, ballot
 * the promise, and the entries are configurations. */
struct tn__wal_record {
    uint32_t bytes; /* of the record, all of it */
    uint32_t group;
    uint32_t count;  /* of entries, slot_first, slot_first + 1 ... but of a STATE */
    uint8_t kind;    /* enum tn_log_record_kind */
    bool configures; /* an entry is a configuration; a flag of the layout */
    bool doubtful;   /* STATE: a higher promise may have been lost (V4); likewise */
    uint64_t slot_first;
    uint64_t committed;
    uint64_t checksum;
    struct tn_log_ballot ballot;
};

/* Bytes of the entry's fixed part, in a record of this ballot and kind. */
uint32_t tn__wal_entry_bytes(const struct tn_log_entry *entry, const struct tn_log_ballot *ballot,
                             uint8_t kind);
uint8_t *tn__wal_entry_encode(const struct tn_log_entry *entry, const struct tn_log_ballot *ballot,
                              uint8_t kind, uint8_t *bytes);

/* Write the fixed part, once the rest of the record follows it. Returns the checksum so far, to be
 * completed when its place is known. */
uint32_t tn__wal_record_encode(const struct tn__wal_record *record, uint8_t *bytes);
/* The same sum, of a record that stands there. */
uint32_t tn__wal_record_sum(const uint8_t *bytes, uint32_t length);
/* Complete the checksum and enter it; returns it. */
uint32_t tn__wal_record_place(uint8_t *bytes, uint32_t sum, uint32_t seed,
                              struct tn__wal_place place);

/* Read the fixed part and check everything: at most `available` bytes, the checksum, each entry.
 */
bool tn__wal_record_check(const uint8_t *bytes, uint64_t available, uint32_t seed,
                          struct tn__wal_place place, struct tn__wal_record *record, uint32_t *crc);

/* The fixed part of a record that was checked. */
void tn__wal_record_read(const uint8_t *bytes, struct tn__wal_record *record);

/* The entries of a record that was checked; `values[i]` points at its bytes, NULL if it has none.
 * Room for record->count of each. */
void tn__wal_record_entries(const uint8_t *bytes, const struct tn__wal_record *record,
                            struct tn_log_entry *entries, const void **values);

/* The same one by one, without the values. */
struct tn__wal_cursor {
    const struct tn__wal_record *record;
    const uint8_t *bytes;
    uint64_t at;
    uint32_t index;
};
struct tn__wal_cursor tn__wal_cursor_of(const uint8_t *bytes, const struct tn__wal_record *record);
bool tn__wal_cursor_next(struct tn__wal_cursor *cursor, struct tn_log_entry *entry);

/* "00000001.wal", or ".new" while it is being made. */
#define TN_WAL_NAME_BYTES 32
void tn__wal_name(char name[TN_WAL_NAME_BYTES], uint64_t number, bool fresh);
/* The number in a name, 0 if it is none of ours. */
uint64_t tn__wal_name_number(const char *name, bool *fresh);

/* Only zeros? */
bool tn__wal_zeros(const uint8_t *bytes, uint64_t length);

#endif
