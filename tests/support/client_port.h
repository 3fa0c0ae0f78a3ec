/* Calls on the client ports of a cell of real nodes: what the tests of the client port share. What
 * is not as expected fails the test. */
#ifndef TN_TESTS_CLIENT_PORT_H
#define TN_TESTS_CLIENT_PORT_H

#include <tenure/types.h>

#include "support/http_client.h"
#include "support/node_cell.h"

/* The cell of the test that runs; its nodes listen for clients on ports of their own. */
extern struct cell client_port_cell;

/* Set-up and tear-down: one node, or three that are connected. */
int client_port_start_one(void **state);
int client_port_start_three(void **state);
int client_port_end(void **state);

uint16_t client_port_of(uint32_t node);

/* A field of an object: "" if it is no text; it must be a number. */
const char *json_text_of(const json_t *object, const char *field);
int64_t json_number_of(const json_t *object, const char *field);

/* One request on a connection of its own: POST with a body, GET without. */
struct http_answer client_port_call(uint32_t node, const char *target, const char *body);

/* The same, of which only status and error ("": none) are looked at. */
void client_port_expect(uint32_t node, const char *target, const char *body, int status,
                        const char *error);

/* What a holder is told. */
struct held {
    char holding[17];
    int64_t token;
    int64_t valid_ms;
};

struct held client_port_take_held(const json_t *json);

/* Acquire through a node, waiting; it must be granted. Release, which must be answered so. */
struct held client_port_acquire(uint32_t node, const char *name, unsigned ttl_ms);
void client_port_release(uint32_t node, const struct held *held, int status);

/* A session: the connection, with its first line taken. */
void client_port_open_session(struct http_client *client, uint32_t node, const char *name);

/* Lines until one with this event, which is the caller's; those before it are passed over. */
json_t *client_port_await_event(struct http_client *client, const char *event);

#endif
