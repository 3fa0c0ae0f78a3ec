/* TLS over buffers, by OpenSSL's memory BIOs. See tls.h.
 *
 * The error queue of OpenSSL belongs to the thread, so it is emptied before each call that may fail
 * and read right after it. */
#define _GNU_SOURCE
#include "net/tls.h"

#include <arpa/inet.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <tenure/error.h>

#include "base/assert.h"
#include "base/text.h"
#include "net/address.h"

struct tn__tls_context {
    SSL_CTX *ssl;
};

struct tn__tls {
    SSL *ssl;
    BIO *input;  /* from the wire; owned by ssl */
    BIO *output; /* to the wire; owned by ssl */
};

/* The first cause in OpenSSL's queue, as words. */
static void cause(char *text, size_t text_size)
{
    unsigned long code = ERR_get_error();
    char system_reason[80] = "";
    const char *reason = code == 0 ? NULL : ERR_reason_error_string(code);
    if (ERR_SYSTEM_ERROR(code)) {
        reason = strerror_r(ERR_GET_REASON(code), system_reason, sizeof(system_reason));
    }
    snprintf(text, text_size, "%s", reason != NULL ? reason : "no reason was given");
    ERR_clear_error();
}

static int refuse_file(const char *what, const char *file, char *why, size_t why_size)
{
    char reason[120];
    cause(reason, sizeof(reason));
    if (why != NULL && why_size > 0) {
        snprintf(why, why_size, "TLS: %s file %.120s cannot be used: %s", what, file, reason);
    }
    return TN_ERROR_TLS;
}

static int context_load(SSL_CTX *ssl, const struct tn__tls_files *files, char *why, size_t why_size)
{
    ERR_clear_error();
    if (SSL_CTX_load_verify_locations(ssl, files->ca_file, NULL) != 1) {
        return refuse_file("authority", files->ca_file, why, why_size);
    }
    if (SSL_CTX_use_certificate_chain_file(ssl, files->certificate_file) != 1) {
        return refuse_file("certificate", files->certificate_file, why, why_size);
    }
    if (SSL_CTX_use_PrivateKey_file(ssl, files->key_file, SSL_FILETYPE_PEM) != 1) {
        return refuse_file("key", files->key_file, why, why_size);
    }
    if (SSL_CTX_check_private_key(ssl) != 1) {
        return refuse_file("key", files->key_file, why, why_size);
    }
    /* Lets a client choose, of several certificates, one that this side believes. */
    SSL_CTX_set_client_CA_list(ssl, SSL_load_client_CA_file(files->ca_file));
    return 0;
}

int tn__tls_context_open(struct tn__tls_context **context, const struct tn__tls_files *files,
                         char *why, size_t why_size)
{
    *context = NULL;
    if (files->ca_file == NULL || files->certificate_file == NULL || files->key_file == NULL) {
        if (why != NULL && why_size > 0) {
            snprintf(why, why_size,
                     "TLS needs three files: the authority's certificate, the own certificate and "
                     "its key; %s is missing",
                     files->ca_file == NULL            ? "the first"
                     : files->certificate_file == NULL ? "the second"
                                                       : "the third");
        }
        return TN_ERROR_TLS;
    }
    struct tn__tls_context *made = calloc(1, sizeof(*made));
    SSL_CTX *ssl = SSL_CTX_new(TLS_method());
    if (made == NULL || ssl == NULL) {
        free(made);
        SSL_CTX_free(ssl);
        return TN_ERROR_NO_MEMORY;
    }
    SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION);
    SSL_CTX_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION);
    int verify = SSL_VERIFY_PEER;
    if (!files->client_optional) {
        verify |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    }
    SSL_CTX_set_verify(ssl, verify, NULL);
    /* Resumed sessions would skip the check of the certificate's name. */
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(ssl, 0);
    int error = context_load(ssl, files, why, why_size);
    if (error != 0) {
        SSL_CTX_free(ssl);
        free(made);
        return error;
    }
    made->ssl = ssl;
    *context = made;
    return 0;
}

void tn__tls_context_close(struct tn__tls_context *context)
{
    if (context != NULL) {
        SSL_CTX_free(context->ssl);
        free(context);
    }
}

static bool is_numeric(const char *host)
{
    struct tn__address address;
    memset(&address, 0, sizeof(address));
    snprintf(address.host, sizeof(address.host), "%s", host);
    return tn__address_is_numeric(&address);
}

/* The certificate must be made out to `host`, an address in digits or a name. */
static bool expect_host(SSL *ssl, const char *host)
{
    if (is_numeric(host)) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    }
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

struct tn__tls *tn__tls_open(struct tn__tls_context *context, const char *host)
{
    tn_assert(context != NULL);
    struct tn__tls *tls = calloc(1, sizeof(*tls));
    if (tls == NULL) {
        return NULL;
    }
    tls->ssl = SSL_new(context->ssl);
    tls->input = BIO_new(BIO_s_mem());
    tls->output = BIO_new(BIO_s_mem());
    if (tls->ssl == NULL || tls->input == NULL || tls->output == NULL ||
        (host != NULL && !expect_host(tls->ssl, host))) {
        SSL_free(tls->ssl);
        BIO_free(tls->input);
        BIO_free(tls->output);
        free(tls);
        return NULL;
    }
    SSL_set_bio(tls->ssl, tls->input, tls->output);
    if (host != NULL) {
        SSL_set_connect_state(tls->ssl);
    } else {
        SSL_set_accept_state(tls->ssl);
    }
    return tls;
}

void tn__tls_close(struct tn__tls *tls)
{
    if (tls != NULL) {
        SSL_free(tls->ssl); /* and with it both BIOs */
        free(tls);
    }
}

bool tn__tls_ready(const struct tn__tls *tls)
{
    return SSL_is_init_finished(tls->ssl) == 1;
}

/* What went wrong: the verdict on the certificate says more than the queue. */
static int refuse_session(const struct tn__tls *tls, char *why, size_t why_size)
{
    char reason[120];
    cause(reason, sizeof(reason));
    long verdict = SSL_get_verify_result(tls->ssl);
    if (why != NULL && why_size > 0) {
        if (verdict != X509_V_OK) {
            snprintf(why, why_size, "TLS: the other side's certificate is refused: %s",
                     X509_verify_cert_error_string(verdict));
        } else {
            snprintf(why, why_size, "TLS: %s", reason);
        }
    }
    return TN_ERROR_TLS;
}

int tn__tls_greet(struct tn__tls *tls, char *why, size_t why_size)
{
    if (tn__tls_ready(tls)) {
        return 0;
    }
    ERR_clear_error();
    int done = SSL_do_handshake(tls->ssl);
    if (done == 1 || SSL_get_error(tls->ssl, done) == SSL_ERROR_WANT_READ) {
        return 0;
    }
    return refuse_session(tls, why, why_size);
}

int tn__tls_feed(struct tn__tls *tls, const uint8_t *bytes, size_t length)
{
    tn_assert(length <= INT_MAX);
    if (length == 0) {
        return 0;
    }
    return BIO_write(tls->input, bytes, (int)length) == (int)length ? 0 : TN_ERROR_NO_MEMORY;
}

int tn__tls_read(struct tn__tls *tls, uint8_t *bytes, size_t size, char *why, size_t why_size)
{
    tn_assert(size > 0 && size <= INT_MAX);
    ERR_clear_error();
    int done = SSL_read(tls->ssl, bytes, (int)size);
    if (done > 0) {
        return done;
    }
    int error = SSL_get_error(tls->ssl, done);
    if (error == SSL_ERROR_WANT_READ) {
        return 0;
    }
    if (error == SSL_ERROR_ZERO_RETURN) {
        return TN_ERROR_CLOSED;
    }
    return refuse_session(tls, why, why_size);
}

int tn__tls_write(struct tn__tls *tls, const uint8_t *bytes, size_t length)
{
    tn_assert(tn__tls_ready(tls));
    size_t taken = 0;
    while (taken < length) {
        size_t part = length - taken < 16384 ? length - taken : 16384;
        ERR_clear_error();
        int done = SSL_write(tls->ssl, bytes + taken, (int)part);
        if (done <= 0) {
            return TN_ERROR_TLS;
        }
        taken += (size_t)done;
    }
    return 0;
}

size_t tn__tls_pending(struct tn__tls *tls, const uint8_t **bytes)
{
    char *data = NULL;
    long length = BIO_get_mem_data(tls->output, &data);
    *bytes = (const uint8_t *)data;
    return length > 0 ? (size_t)length : 0;
}

void tn__tls_taken(struct tn__tls *tls)
{
    (void)BIO_reset(tls->output);
}

void tn__tls_subject(const struct tn__tls *tls, char *text, size_t text_size)
{
    tn_assert(text_size > 0);
    text[0] = '\0';
    X509 *certificate = SSL_get1_peer_certificate(tls->ssl);
    if (certificate == NULL) {
        return;
    }
    char name[256];
    if (X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name,
                                  sizeof(name)) > 0) {
        snprintf(text, text_size, "%s", name);
    }
    X509_free(certificate);
}

bool tn__tls_made_out_to(const struct tn__tls *tls, const char *host, const char *name)
{
    tn_assert(host[0] != '\0' && name[0] != '\0');
    X509 *certificate = SSL_get1_peer_certificate(tls->ssl);
    if (certificate == NULL) {
        return false;
    }
    bool fits = false;
    if (is_numeric(host)) {
        fits = X509_check_ip_asc(certificate, host, 0) == 1;
    } else if (host[0] != '.') { /* OpenSSL takes a leading dot for "anything below" */
        unsigned flags = X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;
        fits = X509_check_host(certificate, host, 0, flags, NULL) == 1;
    }
    if (!fits && name[0] != '.') {
        unsigned flags = X509_CHECK_FLAG_NO_WILDCARDS | X509_CHECK_FLAG_ALWAYS_CHECK_SUBJECT;
        fits = X509_check_host(certificate, name, 0, flags, NULL) == 1;
    }
    X509_free(certificate);
    return fits;
}

/* One alternative name as words; kinds that say nothing of a host are left out. */
static bool add_alternative(struct tn__text *text, const GENERAL_NAME *name, const char *before)
{
    if (name->type == GEN_DNS) {
        tn__text_add(text, "%sDNS:%.*s", before, ASN1_STRING_length(name->d.dNSName),
                     (const char *)ASN1_STRING_get0_data(name->d.dNSName));
        return true;
    }
    int length = name->type == GEN_IPADD ? ASN1_STRING_length(name->d.iPAddress) : 0;
    if (length != 4 && length != 16) {
        return false;
    }
    char digits[INET6_ADDRSTRLEN];
    inet_ntop(length == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(name->d.iPAddress), digits,
              sizeof(digits));
    tn__text_add(text, "%sIP:%s", before, digits);
    return true;
}

void tn__tls_names(const struct tn__tls *tls, char *text, size_t text_size)
{
    X509 *certificate = SSL_get1_peer_certificate(tls->ssl);
    if (certificate == NULL) {
        snprintf(text, text_size, "nobody");
        return;
    }
    char subject[64];
    struct tn__text names;
    tn__tls_subject(tls, subject, sizeof(subject));
    tn__text_init(&names, text, text_size);
    tn__text_add(&names, "%s", subject[0] != '\0' ? subject : "no common name");
    GENERAL_NAMES *list = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    const char *before = " (";
    for (int i = 0; i < sk_GENERAL_NAME_num(list) && !names.cut; i++) { /* -1 of no list */
        if (add_alternative(&names, sk_GENERAL_NAME_value(list, i), before)) {
            before = ", ";
        }
    }
    if (before[0] == ',') {
        tn__text_add(&names, ")");
    }
    for (char *c = text; *c != '\0'; c++) {
        *c =
            *c >= ' ' && *c <= '~' ? *c : '?'; /* a stranger has chosen them, and they are logged */
    }
    GENERAL_NAMES_free(list);
    X509_free(certificate);
}
