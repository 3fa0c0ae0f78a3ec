/* TLS over buffers: bytes of the wire in, bytes of the program out, and back. No socket is touched.
 *
 * A context holds what one side shows and whom it believes; a session is one connection. Both sides
 * must show a certificate, TLS 1.2 is the least, and who dials checks the host in it. An accepting
 * side knows whom to expect only once the other one has said who it is, so it asks afterwards:
 * tn__tls_made_out_to(). */
#ifndef TN_NET_TLS_H
#define TN_NET_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tn__tls_context;
struct tn__tls;

struct tn__tls_files {
    const char *ca_file;
    const char *certificate_file;
    const char *key_file;
    bool client_optional; /* an accepted side may show no certificate: for browsers and curl */
};

/* Read the files. `why` names the file and the cause. Errors: TN_ERROR_TLS, TN_ERROR_NO_MEMORY. */
int tn__tls_context_open(struct tn__tls_context **context, const struct tn__tls_files *files,
                         char *why, size_t why_size);
void tn__tls_context_close(struct tn__tls_context *context);

/* A session: with `host` the dialling side, which checks that the certificate is made out to it;
 * with NULL the accepting side. NULL is returned when memory is short. */
struct tn__tls *tn__tls_open(struct tn__tls_context *context, const char *host);
void tn__tls_close(struct tn__tls *tls);

/* Is the handshake done, so that plain bytes may flow? */
bool tn__tls_ready(const struct tn__tls *tls);

/* Drive the handshake: called first by the dialling side, and after bytes were fed. Returns 0, or
 * TN_ERROR_TLS with the cause in `why`. */
int tn__tls_greet(struct tn__tls *tls, char *why, size_t why_size);

/* Give bytes that came from the wire. Errors: TN_ERROR_NO_MEMORY. */
int tn__tls_feed(struct tn__tls *tls, const uint8_t *bytes, size_t length);

/* Take up to `size` plain bytes: how many, 0 when there are none for now, TN_ERROR_CLOSED when the
 * other side has said goodbye, TN_ERROR_TLS with the cause in `why`. */
int tn__tls_read(struct tn__tls *tls, uint8_t *bytes, size_t size, char *why, size_t why_size);

/* Give plain bytes for the wire; all are taken. Precondition: ready. Errors: TN_ERROR_TLS. */
int tn__tls_write(struct tn__tls *tls, const uint8_t *bytes, size_t length);

/* Bytes that wait for the wire: borrow them, then say that they were taken. */
size_t tn__tls_pending(struct tn__tls *tls, const uint8_t **bytes);
void tn__tls_taken(struct tn__tls *tls);

/* The common name of the other side's certificate, "" if it showed none. */
void tn__tls_subject(const struct tn__tls *tls, char *text, size_t text_size);

/* Is the other side's certificate made out to `host`, by the rule of who dials (an address in
 * digits or a name among its alternative names; its common name only if it has no such names), or
 * to the plain `name`, as an alternative name or as the common name? Without a certificate: no. */
bool tn__tls_made_out_to(const struct tn__tls *tls, const char *host, const char *name);

/* Whom the other side's certificate is made out to, as words: "n1 (DNS:a.example, IP:10.0.0.1)";
 * cut to the buffer, every byte printable. "nobody" without a certificate. */
void tn__tls_names(const struct tn__tls *tls, char *text, size_t text_size);

#endif
