/* Every bound of tenure, with its reason. What is not bounded here is bounded by one of these. */
#ifndef TENURE_LIMITS_H
#define TENURE_LIMITS_H

/* Voters of a cell. A majority of 15 is 8; beyond that a round costs more than it protects. */
#define TN_MEMBERS_MAX 15

/* A node id is the low half-word of a ballot counter, and 0 means "none". */
#define TN_NODE_ID_MAX 65535

/* A lease name. 64 bytes hold a path or a UUID with a prefix, and fit a record's cold line. */
#define TN_NAME_BYTES_MAX 64

/* A member's name as people write it in flags, and a label a client shows of itself. */
#define TN_MEMBER_NAME_BYTES_MAX 63
#define TN_LABEL_BYTES_MAX 64

/* Lease tables of one node; each has its own durations. */
#define TN_TABLES_MAX 8

/* Names of one table: slots are 32-bit indexes and the index is at most half full. */
#define TN_NAMES_MAX (1U << 28)

/* Items in one frame between peers: bounds what one step may do, and the frame below. */
#define TN_FRAME_ITEMS_MAX 256

/* One encoded item: fixed fields, three ballots, a name, as laid out in docs/wire_format.md. */
#define TN_ITEM_BYTES_MAX 192

/* A frame's header, and a whole frame of items. A handshake frame is smaller than this too. */
#define TN_FRAME_HEADER_BYTES 48
#define TN_FRAME_BYTES_MAX (TN_FRAME_HEADER_BYTES + TN_FRAME_ITEMS_MAX * TN_ITEM_BYTES_MAX)

/* What one step may put out. An item yields at most two messages and two notices, a timer step
 * stops before its effects are full, and a request yields at most two of each. */
#define TN_EFFECT_MESSAGES_MAX (2 * TN_FRAME_ITEMS_MAX + 8)
#define TN_EFFECT_NOTICES_MAX (2 * TN_FRAME_ITEMS_MAX + 8)
#define TN_EFFECT_RECORDS_MAX 4

/* Durations of a table. Below a millisecond timers are noise; above a day a lost owner is lost. */
#define TN_DURATION_NS_MIN 1000000LL
#define TN_DURATION_NS_MAX 86400000000000LL

/* rho: the largest error of a clock's rate, in parts per million. A third is already absurd. */
#define TN_DRIFT_PPM_MAX 333333U

/* A ballot counter is attempt * 2^16 + node id. A counter more than this above all counters seen
 * is refused and reported: it would leave no room above it ("would poison every later ballot").
 * 2^42 attempts are eight months of 200,000 a second, so no honest peer is ever that far ahead. */
#define TN_COUNTER_LEAP_MAX (1ULL << 58)

/* F1: how far ahead of need the ceiling is raised: 2^22 attempts. At 200,000 renewals a second
 * that is one durable write in 20 s; a restart costs one stride, and 2^48 attempts hold 2^26. */
#define TN_CEILING_STRIDE (1ULL << 38)

/* The runtime. An address is a host name (253) or a bracketed IPv6 address, a colon and a port; a
 * reason is one sentence with a name or two in it. */
#define TN_ADDRESS_BYTES_MAX 261
#define TN_CLIENT_URL_BYTES_MAX 128
#define TN_WHY_BYTES_MAX 255

/* Calls from other threads that wait for the loop: more than this is answered BUSY. */
#define TN_CALLS_MAX 1024

/* The log. Nodes that a group may ever name: sets are 32-bit words, and voters are few. */
#define TN_LOG_NODES_MAX 31

/* Groups of one node, and ids that a group may have: 0 to TN_GROUP_ID_MAX. */
#define TN_GROUPS_MAX 1024
#define TN_GROUP_ID_MAX 65535

/* alpha at most: slots in flight beyond the committed prefix. At 250,000 slots a second and 10 ms a
 * round it takes 2,500. */
#define TN_LOG_WINDOW_MAX 16384

/* Entries of one message or one propose call: what one step handles. */
#define TN_LOG_RUN_MAX 1024

/* A value, by default and at most; an envelope adds its header. */
#define TN_VALUE_BYTES_DEFAULT (10U << 20)
#define TN_VALUE_BYTES_MAX (256U << 20)

/* A payload: a value in its envelope. */
#define TN_PAYLOAD_BYTES_MAX (TN_VALUE_BYTES_MAX + 64U)

/* A frame of the log's messages. One that has TN_LOG_FRAME_BYTES_FULL gets no more, so that a run
 * of small values is cheap to hold and never in the way for long; only a single large value makes a
 * longer one, and that much a reader may have to keep. */
#define TN_LOG_FRAME_MESSAGES_MAX 4096U
#define TN_LOG_FRAME_BYTES_FULL (1U << 20)
#define TN_LOG_FRAME_BYTES_MAX (TN_PAYLOAD_BYTES_MAX + TN_LOG_FRAME_BYTES_FULL)

/* What an execution may answer: kept for repeats, so it is no place for bulk. */
#define TN_RESULT_BYTES_MAX (1U << 20)

/* State machines of one group. */
#define TN_MACHINES_MAX 16

/* What one step of a log may put out: the run that came, a run that goes, a run that commits, and
 * one for what is left over. Messages: a run to every node, one answer and a few of its own. */
#define TN_LOG_EFFECT_ENTRIES_MAX (4 * TN_LOG_RUN_MAX)
#define TN_LOG_EFFECT_RECORDS_MAX 8
#define TN_LOG_EFFECT_MESSAGES_MAX (2 * TN_LOG_NODES_MAX + 16)
#define TN_LOG_EFFECT_NOTICES_MAX 64
#define TN_LOG_EFFECT_LOADS_MAX TN_LOG_NODES_MAX
#define TN_LOG_EFFECT_FORGETS_MAX (4 * TN_LOG_RUN_MAX)

/* From a client's connecting to the end of its TLS handshake. That takes two round trips and a
 * signature; who needs longer is not there, and holds a connection that others may want. */
#define TN_TLS_GREETING_NS_MAX 10000000000LL

/* How long a stopping node waits for its last words to leave. */
#define TN_STOP_FLUSH_NS 1000000000LL

#if defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
_Static_assert(TN_MEMBERS_MAX < 32, "sets of members are 32-bit words");
_Static_assert(TN_EFFECT_MESSAGES_MAX >= 2 * TN_FRAME_ITEMS_MAX, "a full frame must fit a step");
_Static_assert(TN_CEILING_STRIDE < TN_COUNTER_LEAP_MAX, "a restart must not look like poison");
#endif

#endif
