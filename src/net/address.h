/* Addresses as people write them: "HOST:PORT", where HOST is a name, an IPv4 address, or an IPv6
 * address in brackets. Text in, values out; nothing is resolved here. */
#ifndef TN_NET_ADDRESS_H
#define TN_NET_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tenure/limits.h>

struct sockaddr;

struct tn__address {
    char host[TN_ADDRESS_BYTES_MAX + 1]; /* without brackets */
    char port[6];                        /* decimal, 0 to 65535 */
    uint16_t port_number;
};

/* Take `text` apart. On failure `why` names the text and what is wrong with it.
 * Errors: TN_ERROR_INVALID. */
int tn__address_parse(struct tn__address *address, const char *text, char *why, size_t why_size);

/* Is the host this very machine for certain: "localhost", 127.x.x.x or ::1? */
bool tn__address_is_loopback(const struct tn__address *address);

/* Is the host an address in digits, so that no name service is needed? */
bool tn__address_is_numeric(const struct tn__address *address);

/* "HOST:PORT" of a socket address, brackets where due, in digits; "unknown" for other families. */
void tn__address_print(const struct sockaddr *socket_address, char *text, size_t text_size);

#endif
