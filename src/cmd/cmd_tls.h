/* TLS under cmd_http: the client's side of one connection, by OpenSSL. */
#ifndef TN_CMD_TLS_H
#define TN_CMD_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "cmd/cmd_http.h"

/* What a step wants before it can go on. */
enum tn__http_tls_want { TN_TLS_DONE, TN_TLS_READ, TN_TLS_WRITE, TN_TLS_ENDED, TN_TLS_FAILED };

/* Make http->session over http->socket; the certificate must be the host's. */
bool tn__http_tls_begin(struct tn__http *http);

enum tn__http_tls_want tn__http_tls_greet(struct tn__http *http);
enum tn__http_tls_want tn__http_tls_read(struct tn__http *http, char *bytes, size_t size,
                                         size_t *count);
enum tn__http_tls_want tn__http_tls_write(struct tn__http *http, const char *bytes, size_t length,
                                          size_t *count);

void tn__http_tls_end(struct tn__http *http);  /* of the connection */
void tn__http_tls_free(struct tn__http *http); /* of the endpoint */

#endif
