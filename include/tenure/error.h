/* The errors of tenure: one table of code, name and sentence.
 *
 * Functions that can fail return 0 or one of these negative numbers. Where a sentence needs
 * particulars (which flag, which file), the function also fills a text buffer given to it. */
#ifndef TENURE_ERROR_H
#define TENURE_ERROR_H

#include <tenure/export.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TN_ERROR_TABLE(X)                                                                          \
    X(-1, INVALID, "an argument is not valid")                                                     \
    X(-2, NO_MEMORY, "out of memory")                                                              \
    X(-3, BUSY, "too much is waiting already; try again later")                                    \
    X(-4, CLOSED, "the node is stopping or has stopped")                                           \
    X(-5, TIMEOUT, "the time limit passed")                                                        \
    X(-6, CANCELLED, "the request was cancelled")                                                  \
    X(-7, NOT_OWNER, "this node does not own the lease")                                           \
    X(-8, HELD, "another owner holds the lease")                                                   \
    X(-9, NOT_FOUND, "there is no such name, table or member")                                     \
    X(-10, FULL, "the table of names is full")                                                     \
    X(-11, WRONG_THREAD, "this call is not allowed from this thread")                              \
    X(-12, NO_QUORUM, "a majority of the members cannot be reached")                               \
    X(-13, UNKNOWN, "the outcome is not known: it may still be committed")                         \
    X(-14, EVICTED, "the once-only id is too old to be known")                                     \
    X(-20, IO, "an operation on a file or a socket failed")                                        \
    X(-21, DAMAGED, "a durable word is damaged or missing")                                        \
    X(-22, LOCKED, "another process uses this data directory")                                     \
    X(-23, DISK_FULL, "no space left on the device")                                               \
    X(-24, READ_ONLY, "the data directory cannot be written")                                      \
    X(-25, NOT_EMPTY, "the directory belongs to another cell or node")                             \
    X(-26, VERSION, "written or spoken by a version that is not understood")                       \
    X(-30, MALFORMED, "bytes that are not a valid frame or request")                               \
    X(-31, TOO_LARGE, "larger than the limit")                                                     \
    X(-32, CHECKSUM, "the checksum does not match")                                                \
    X(-33, WRONG_CLUSTER, "the peer belongs to another cluster")                                   \
    X(-34, WRONG_MEMBER, "the peer is not who it should be")                                       \
    X(-35, WRONG_CONFIGURATION, "the peer's members, durations or drift bound differ")             \
    X(-36, ADDRESS_IN_USE, "the address is in use by another program")                             \
    X(-37, REFUSED, "the connection was refused")                                                  \
    X(-38, TLS, "the secure connection could not be made")

enum tn_error {
    TN_OK = 0,
#define TN_ERROR_ENUM(code, name, sentence) TN_ERROR_##name = code,
    TN_ERROR_TABLE(TN_ERROR_ENUM)
#undef TN_ERROR_ENUM
};

/* The sentence of an error; for a number that is none, "unknown error". Static; never freed. */
TN_EXPORT const char *tn_strerror(int error);

/* The name of an error, "TN_ERROR_LOCKED"; for a number that is none, "unknown". Static. */
TN_EXPORT const char *tn_err_name(int error);

#ifdef __cplusplus
}
#endif

#endif
