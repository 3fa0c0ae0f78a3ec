/* Values as people write them in flags, files and environments: durations, numbers, addresses.
 *
 * Each function takes the text and either fills the result or writes one sentence into `why` that
 * says what was wrong and what would be right; naming the flag is its caller's part. */
#ifndef TN_CMD_PARSE_H
#define TN_CMD_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tenure/lease.h>

/* A sentence about one wrong value. */
#define TN_CMD_WHY_BYTES 256

/* A DNS name has at most 253 bytes; an IPv6 address with a zone fewer. */
#define TN_CMD_HOST_BYTES 256

struct tn__cmd_address {
    char host[TN_CMD_HOST_BYTES]; /* without brackets */
    uint16_t port;                /* 0 where 0 is allowed: any free one */
};

/* "NAME=HOST:PORT", cut at the sign. */
struct tn__cmd_peer {
    char name[TN_MEMBER_NAME_BYTES_MAX + 1];
    char address[TN_CMD_HOST_BYTES + 8]; /* as written, checked */
};

/* One table of leases: "NAME=D_P[,D_A[,D_Q]]". */
struct tn__cmd_table {
    char name[TN_MEMBER_NAME_BYTES_MAX + 1];
    struct tn_lease_table_options durations;
};

/* "250ms", "1s", "1.5s", "10m", "2h", "1d", "500us", "0"; result in nanoseconds. */
bool tn__cmd_parse_duration(const char *text, tn_time *duration, char *why);

/* A decimal number from `least` to `most`. */
bool tn__cmd_parse_number(const char *text, uint64_t least, uint64_t most, uint64_t *number,
                          char *why);

/* true, yes, on, 1; false, no, off, 0. */
bool tn__cmd_parse_switch(const char *text, bool *on, char *why);

/* "HOST:PORT", "[IPV6]:PORT"; a port of 0 only if `any_port`. */
bool tn__cmd_parse_address(const char *text, bool any_port, struct tn__cmd_address *address,
                           char *why);

bool tn__cmd_parse_peer(const char *text, struct tn__cmd_peer *peer, char *why);

bool tn__cmd_parse_table(const char *text, struct tn__cmd_table *table, char *why);

/* A name of a member, table or cluster: 1 to TN_MEMBER_NAME_BYTES_MAX letters, digits, . _ -. */
bool tn__cmd_parse_word(const char *text, char *why);

/* The name of a lease: 1 to TN_NAME_BYTES_MAX bytes. */
bool tn__cmd_parse_name(const char *text, char *why);

/* Is it an address of this machine only (127.0.0.0/8, ::1, localhost)? */
bool tn__cmd_host_is_loopback(const char *host);

/* Write a duration as people do, "1.5s"; `size` of at least 24 always suffices. */
void tn__cmd_print_duration(char *bytes, size_t size, tn_time duration);

#endif
