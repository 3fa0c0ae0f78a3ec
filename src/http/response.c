/* Answers: see response.h. */
#include "http/response.h"

#include "base/assert.h"
#include "base/text.h"

const char *tn__http_status_phrase(uint16_t status)
{
    switch (status) {
    case 200:
        return "OK";
    case 202:
        return "Accepted";
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 409:
        return "Conflict";
    case 413:
        return "Content Too Large";
    case 500:
        return "Internal Server Error";
    case 503:
        return "Service Unavailable";
    case 504:
        return "Gateway Timeout";
    default:
        return "Unknown";
    }
}

size_t tn__http_response_head(const struct tn__http_response *response, char *bytes, size_t size)
{
    tn_assert(response->status >= 100 && response->status <= 599);
    tn_assert(size >= TN__HTTP_RESPONSE_HEAD_BYTES_MAX);
    struct tn__text text;
    tn__text_init(&text, bytes, size);
    tn__text_add(&text, "HTTP/1.1 %u %s\r\nContent-Type: %s\r\nCache-Control: no-store\r\n",
                 (unsigned)response->status, tn__http_status_phrase(response->status),
                 response->type);
    if (response->allow != NULL) {
        tn__text_add(&text, "Allow: %s\r\n", response->allow);
    }
    bool chunked = response->streamed && response->minor > 0;
    if (chunked) {
        tn__text_add(&text, "Transfer-Encoding: chunked\r\n");
    } else if (!response->streamed) {
        tn__text_add(&text, "Content-Length: %zu\r\n", response->body_length);
    }
    bool closes = !response->keep_alive || (response->streamed && !chunked);
    if (closes) {
        tn__text_add(&text, "Connection: close\r\n");
    } else if (response->minor == 0) {
        tn__text_add(&text, "Connection: keep-alive\r\n");
    }
    tn__text_add(&text, "\r\n");
    tn_assert(!text.cut && text.length < TN__HTTP_RESPONSE_HEAD_BYTES_MAX);
    return text.length;
}

size_t tn__http_chunk_begin(size_t length, char *bytes, size_t size)
{
    tn_assert(length > 0 && length <= UINT32_MAX);
    tn_assert(size >= TN__HTTP_CHUNK_BYTES_EXTRA);
    struct tn__text text;
    tn__text_init(&text, bytes, size);
    tn__text_add(&text, "%zx\r\n", length);
    tn_assert(!text.cut);
    return text.length;
}
