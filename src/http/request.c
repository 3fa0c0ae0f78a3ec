/* The theory is in request.h. The grammar is http-parser's; here are the bounds and the pauses. */
#include "http/request.h"

#include <string.h>

#include "base/assert.h"

/* What a callback returns to end the parsing; 1 would mean something else after the head. */
enum { STOP = -1 };

static struct tn__http_request *request_of(http_parser *parser)
{
    struct tn__http_request *request = parser->data;
    tn_assert(&request->parser == parser);
    return request;
}

static void fail(struct tn__http_request *request, unsigned status, const char *reason)
{
    request->state = TN__HTTP_STATE_FAILED;
    request->status = (uint16_t)status;
    request->reason = reason;
    request->keep_alive = false;
}

static int on_url(http_parser *parser, const char *bytes, size_t length)
{
    struct tn__http_request *request = request_of(parser);
    if (length > TN__HTTP_TARGET_BYTES_MAX - request->target_length) {
        fail(request, 413, "the request target is longer than 2048 bytes");
        return STOP;
    }
    memcpy(request->target + request->target_length, bytes, length);
    request->target_length += (uint32_t)length;
    request->target[request->target_length] = '\0';
    return 0;
}

static bool same_letters(const char *bytes, size_t length, const char *lower)
{
    for (size_t i = 0; i < length; i++) {
        char c = bytes[i];
        if (c >= 'A' && c <= 'Z') {
            c = (char)(c - 'A' + 'a');
        }
        if (lower[i] == '\0' || c != lower[i]) {
            return false;
        }
    }
    return lower[length] == '\0';
}

/* A field's name may arrive in pieces; those too long to be "Expect" are counted, not kept. */
static int on_header_field(http_parser *parser, const char *bytes, size_t length)
{
    struct tn__http_request *request = request_of(parser);
    if (request->in_value) {
        request->in_value = false;
        request->field_length = 0;
    }
    for (size_t i = 0; i < length; i++) {
        if (request->field_length < sizeof(request->field)) {
            request->field[request->field_length++] = bytes[i];
        }
    }
    return 0;
}

static int on_header_value(http_parser *parser, const char *bytes, size_t length)
{
    struct tn__http_request *request = request_of(parser);
    (void)bytes;
    if (!request->in_value) {
        request->in_value = true;
        request->field_is_expect = same_letters(request->field, request->field_length, "expect");
    }
    if (request->field_is_expect && length > 0) {
        request->expects_continue = true; /* the only expectation that HTTP/1.1 defines */
    }
    return 0;
}

static uint8_t method_of(unsigned method)
{
    switch (method) {
    case HTTP_GET:
        return TN__HTTP_GET;
    case HTTP_HEAD:
        return TN__HTTP_HEAD;
    case HTTP_POST:
        return TN__HTTP_POST;
    default:
        return TN__HTTP_OTHER;
    }
}

static int on_headers_complete(http_parser *parser)
{
    struct tn__http_request *request = request_of(parser);
    if (parser->http_major != 1) {
        fail(request, 400, "only HTTP/1.0 and HTTP/1.1 are spoken here");
        return STOP;
    }
    bool chunked = (parser->flags & F_CHUNKED) != 0;
    uint64_t announced = parser->content_length;
    if (chunked) {
        announced = TN__HTTP_BODY_BYTES_MAX;
    } else if (announced == UINT64_MAX) {
        announced = 0;
    }
    if (announced > TN__HTTP_BODY_BYTES_MAX) {
        fail(request, 413, "the body is larger than 64 KiB");
        return STOP;
    }
    parser->upgrade = 0; /* an offer that is not taken up */
    request->body_bytes_max = (uint32_t)announced;
    request->method = method_of(parser->method);
    request->minor = (uint8_t)(parser->http_minor > 0);
    request->keep_alive = http_should_keep_alive(parser) != 0;
    request->expects_continue = request->expects_continue && request->minor > 0 && announced > 0;
    request->state = TN__HTTP_STATE_BODY;
    http_parser_pause(parser, 1);
    return 0;
}

static int on_body(http_parser *parser, const char *bytes, size_t length)
{
    struct tn__http_request *request = request_of(parser);
    if (length > request->body_bytes_max - request->body_length) {
        fail(request, 413, "the body is larger than 64 KiB");
        return STOP;
    }
    tn_assert(request->body != NULL && request->body_size >= request->body_bytes_max);
    memcpy(request->body + request->body_length, bytes, length);
    request->body_length += (uint32_t)length;
    return 0;
}

static int on_message_complete(http_parser *parser)
{
    struct tn__http_request *request = request_of(parser);
    tn_assert(request->state == TN__HTTP_STATE_BODY);
    request->state = TN__HTTP_STATE_DONE;
    http_parser_pause(parser, 1);
    return 0;
}

static const http_parser_settings settings = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

void tn__http_request_init(struct tn__http_request *request)
{
    memset(request, 0, sizeof(*request));
    http_parser_init(&request->parser, HTTP_REQUEST);
    request->parser.data = request;
}

/* What the parser says after a piece: fine, paused by us, failed by us, or not HTTP. */
static void judge(struct tn__http_request *request)
{
    enum http_errno error = HTTP_PARSER_ERRNO(&request->parser);
    if (request->state == TN__HTTP_STATE_FAILED || error == HPE_OK || error == HPE_PAUSED) {
        return;
    }
    if (error == HPE_HEADER_OVERFLOW) {
        fail(request, 413, "the request's headers are larger than 8 KiB");
        return;
    }
    fail(request, 400, http_errno_description(error));
}

size_t tn__http_request_feed(struct tn__http_request *request, const char *bytes, size_t length)
{
    tn_assert(request->state == TN__HTTP_STATE_HEAD || request->state == TN__HTTP_STATE_BODY);
    if (length == 0) {
        return 0; /* to the parser no bytes would mean the end of the connection */
    }
    request->begun = true;
    http_parser_pause(&request->parser, 0);
    if (request->state == TN__HTTP_STATE_BODY) {
        size_t used = http_parser_execute(&request->parser, &settings, bytes, length);
        judge(request);
        return used;
    }
    size_t room = TN__HTTP_HEAD_BYTES_MAX - request->head_bytes;
    size_t piece = length < room ? length : room;
    size_t used = http_parser_execute(&request->parser, &settings, bytes, piece);
    judge(request);
    request->head_bytes += (uint32_t)used;
    tn_assert(request->head_bytes <= TN__HTTP_HEAD_BYTES_MAX);
    if (request->state == TN__HTTP_STATE_HEAD && request->head_bytes == TN__HTTP_HEAD_BYTES_MAX) {
        fail(request, 413, "the request's headers are larger than 8 KiB");
    }
    return used;
}

void tn__http_request_give_body(struct tn__http_request *request, char *body, size_t size)
{
    tn_assert(request->state == TN__HTTP_STATE_BODY);
    tn_assert(size >= request->body_bytes_max);
    request->body = body;
    request->body_size = size;
}

void tn__http_request_next(struct tn__http_request *request)
{
    tn_assert(request->state == TN__HTTP_STATE_DONE);
    tn__http_request_init(request);
}
