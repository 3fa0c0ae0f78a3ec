/* TLS under cmd_http: see cmd_tls.h. TLS 1.2 or later, the server's certificate always verified. */
#include "cmd/cmd_tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/assert.h"

/* Say what OpenSSL says, and about which file or peer. */
static bool fail(struct tn__http *http, const char *what, const char *which)
{
    char reason[160] = "";
    unsigned long code = ERR_get_error();
    if (code != 0) {
        ERR_error_string_n(code, reason, sizeof(reason));
    } else if (errno != 0) {
        snprintf(reason, sizeof(reason), "%s", strerror(errno));
    }
    ERR_clear_error();
    snprintf(http->why, sizeof(http->why), "%s %.200s: %s", what, which, reason);
    return false;
}

static bool make_context(struct tn__http *http)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    http->context = context;
    if (context == NULL) {
        return fail(http, "TLS cannot be used at", http->endpoint);
    }
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    const struct tn__http_tls *tls = &http->tls;
    if (tls->ca_file == NULL) {
        SSL_CTX_set_default_verify_paths(context);
    } else if (SSL_CTX_load_verify_locations(context, tls->ca_file, NULL) != 1) {
        return fail(http, "--ca cannot be used:", tls->ca_file);
    }
    if (tls->certificate_file != NULL &&
        SSL_CTX_use_certificate_chain_file(context, tls->certificate_file) != 1) {
        return fail(http, "--cert cannot be used:", tls->certificate_file);
    }
    if (tls->key_file != NULL &&
        (SSL_CTX_use_PrivateKey_file(context, tls->key_file, SSL_FILETYPE_PEM) != 1 ||
         SSL_CTX_check_private_key(context) != 1)) {
        return fail(http, "--key cannot be used:", tls->key_file);
    }
    return true;
}

bool tn__http_tls_begin(struct tn__http *http)
{
    tn_assert(http->session == NULL && http->socket >= 0);
    ERR_clear_error();
    errno = 0;
    if (http->context == NULL && !make_context(http)) {
        tn__http_tls_free(http);
        return false;
    }
    SSL *session = SSL_new(http->context);
    if (session == NULL || SSL_set_fd(session, http->socket) != 1) {
        SSL_free(session);
        return fail(http, "TLS cannot be used at", http->endpoint);
    }
    http->session = session;
    unsigned char bytes[16];
    const char *host = http->address.host;
    bool numeric = inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
    int fine = numeric ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), host)
                       : SSL_set1_host(session, host) && SSL_set_tlsext_host_name(session, host);
    if (fine != 1) {
        return fail(http, "the host cannot be checked:", host);
    }
    return true;
}

static enum tn__http_tls_want want(struct tn__http *http, int result, const char *what)
{
    switch (SSL_get_error(http->session, result)) {
    case SSL_ERROR_WANT_READ:
        return TN_TLS_READ;
    case SSL_ERROR_WANT_WRITE:
        return TN_TLS_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return TN_TLS_ENDED;
    default: {
        long verdict = SSL_get_verify_result(http->session);
        if (verdict != X509_V_OK) {
            ERR_clear_error();
            snprintf(http->why, sizeof(http->why),
                     "the certificate of %s is not accepted: %s; --ca names who vouches for it",
                     http->endpoint, X509_verify_cert_error_string(verdict));
        } else {
            fail(http, what, http->endpoint);
        }
        return TN_TLS_FAILED;
    }
    }
}

enum tn__http_tls_want tn__http_tls_greet(struct tn__http *http)
{
    ERR_clear_error();
    errno = 0;
    int result = SSL_connect(http->session);
    return result == 1 ? TN_TLS_DONE : want(http, result, "no secure connection to");
}

enum tn__http_tls_want tn__http_tls_read(struct tn__http *http, char *bytes, size_t size,
                                         size_t *count)
{
    ERR_clear_error();
    errno = 0;
    int result = SSL_read_ex(http->session, bytes, size, count);
    return result == 1 ? TN_TLS_DONE : want(http, result, "reading fails from");
}

enum tn__http_tls_want tn__http_tls_write(struct tn__http *http, const char *bytes, size_t length,
                                          size_t *count)
{
    ERR_clear_error();
    errno = 0;
    int result = SSL_write_ex(http->session, bytes, length, count);
    return result == 1 ? TN_TLS_DONE : want(http, result, "writing fails to");
}

void tn__http_tls_end(struct tn__http *http)
{
    if (http->session != NULL) {
        SSL_shutdown(http->session); /* says goodbye if the socket takes it; no waiting */
        SSL_free(http->session);
        http->session = NULL;
    }
}

void tn__http_tls_free(struct tn__http *http)
{
    SSL_CTX_free(http->context);
    http->context = NULL;
}
