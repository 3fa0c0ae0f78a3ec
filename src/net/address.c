/* Addresses as people write them. See address.h. */
#define _GNU_SOURCE
#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <tenure/error.h>

#include "base/assert.h"

static int refuse(const char *text, const char *reason, char *why, size_t why_size)
{
    if (why != NULL && why_size > 0) {
        snprintf(why, why_size, "address \"%.80s\": %s; write HOST:PORT or [IPV6]:PORT", text,
                 reason);
    }
    return TN_ERROR_INVALID;
}

/* The port after the last colon, or -1. */
static int32_t port_parse(const char *digits)
{
    size_t length = strlen(digits);
    if (length == 0 || length > 5) {
        return -1;
    }
    int32_t port = 0;
    for (size_t i = 0; i < length; i++) {
        if (digits[i] < '0' || digits[i] > '9') {
            return -1;
        }
        port = port * 10 + (digits[i] - '0');
    }
    return port <= 65535 ? port : -1;
}

static bool host_characters_valid(const char *host, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        char c = host[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && c != '.' && c != '-' && c != '_' && c != ':' && c != '%') {
            return false;
        }
    }
    return length > 0;
}

int tn__address_parse(struct tn__address *address, const char *text, char *why, size_t why_size)
{
    tn_assert(address != NULL);
    tn_assert(text != NULL);
    memset(address, 0, sizeof(*address));
    if (strlen(text) > TN_ADDRESS_BYTES_MAX) {
        return refuse(text, "it is too long", why, why_size);
    }
    const char *colon = strrchr(text, ':');
    if (colon == NULL) {
        return refuse(text, "the port is missing", why, why_size);
    }
    int32_t port = port_parse(colon + 1);
    if (port < 0) {
        return refuse(text, "the port is no number from 0 to 65535", why, why_size);
    }
    const char *host = text;
    size_t length = (size_t)(colon - text);
    if (host[0] == '[') {
        if (length < 3 || host[length - 1] != ']') {
            return refuse(text, "the bracket is not closed before the port", why, why_size);
        }
        host += 1;
        length -= 2;
    } else if (memchr(host, ':', length) != NULL) {
        return refuse(text, "an IPv6 address needs brackets", why, why_size);
    }
    if (!host_characters_valid(host, length)) {
        return refuse(text, "the host is missing or has characters no host has", why, why_size);
    }
    memcpy(address->host, host, length);
    address->port_number = (uint16_t)port;
    snprintf(address->port, sizeof(address->port), "%u", (unsigned)address->port_number);
    return 0;
}

bool tn__address_is_numeric(const struct tn__address *address)
{
    struct in_addr four;
    struct in6_addr six;
    return inet_pton(AF_INET, address->host, &four) == 1 ||
           inet_pton(AF_INET6, address->host, &six) == 1;
}

bool tn__address_is_loopback(const struct tn__address *address)
{
    struct in_addr four;
    struct in6_addr six;
    if (inet_pton(AF_INET, address->host, &four) == 1) {
        return (ntohl(four.s_addr) >> 24) == 127;
    }
    if (inet_pton(AF_INET6, address->host, &six) == 1) {
        return IN6_IS_ADDR_LOOPBACK(&six);
    }
    return strcmp(address->host, "localhost") == 0;
}

void tn__address_print(const struct sockaddr *socket_address, char *text, size_t text_size)
{
    tn_assert(text_size > 0);
    char host[INET6_ADDRSTRLEN] = "";
    if (socket_address->sa_family == AF_INET) {
        const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)socket_address;
        inet_ntop(AF_INET, &four->sin_addr, host, sizeof(host));
        snprintf(text, text_size, "%s:%u", host, (unsigned)ntohs(four->sin_port));
    } else if (socket_address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)socket_address;
        inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof(host));
        snprintf(text, text_size, "[%s]:%u", host, (unsigned)ntohs(six->sin6_port));
    } else {
        snprintf(text, text_size, "unknown");
    }
}
