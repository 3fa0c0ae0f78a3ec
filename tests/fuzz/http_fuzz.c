/* Fuzz target: bytes as a connection of the client port would take them, requests and queries.
 *
 * The first byte says into pieces of which size the rest is cut; the pieces must not matter, so
 * the bytes are also fed whole, and the two must come to the same end (only which of two faults of
 * one piece is named first may differ). */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "http/query.h"
#include "http/request.h"

static char bodies[2][TN__HTTP_BODY_BYTES_MAX];

static void look(const struct tn__http_request *request)
{
    struct tn__http_target target;
    if (!tn__http_target_cut(request->target, request->target_length, &target)) {
        return;
    }
    static const char *const keys[] = {"name", "table", NULL};
    char value[65];
    size_t length;
    tn__http_query_find(&target, "name", value, sizeof(value), &length);
    tn_assert(length < sizeof(value));
    tn__http_query_only(&target, keys, value, sizeof(value));
}

/* How a run ended: requests taken whole, and what became of the last one. */
struct end {
    uint32_t requests;
    uint32_t state;
    uint32_t body_length;
};

static struct end run(const uint8_t *data, size_t size, size_t step, char *body)
{
    struct tn__http_request request;
    tn__http_request_init(&request);
    struct end end = {0};
    size_t used = 0;
    while (used < size && request.state != TN__HTTP_STATE_FAILED) {
        size_t piece = size - used < step ? size - used : step;
        size_t took = tn__http_request_feed(&request, (const char *)data + used, piece);
        tn_assert(took <= piece);
        tn_assert(request.head_bytes <= TN__HTTP_HEAD_BYTES_MAX);
        used += took;
        if (request.state == TN__HTTP_STATE_BODY && request.body == NULL) {
            tn__http_request_give_body(&request, body, TN__HTTP_BODY_BYTES_MAX);
        } else if (request.state == TN__HTTP_STATE_DONE) {
            look(&request);
            end.requests++;
            end.body_length += request.body_length;
            tn__http_request_next(&request);
        } else {
            tn_assert(took == piece || request.state == TN__HTTP_STATE_FAILED);
        }
    }
    end.state = request.state;
    return end;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    struct end whole = run(data + 1, size - 1, SIZE_MAX, bodies[0]);
    struct end cut = run(data + 1, size - 1, 1 + (size_t)data[0] % 64, bodies[1]);
    tn_assert(memcmp(&whole, &cut, sizeof(whole)) == 0);
    return 0;
}
