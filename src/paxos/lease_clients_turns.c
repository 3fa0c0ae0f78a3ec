/* Whose turn it is: calls of clients, notices of the machine, ends. The rules C1 to C6 are in
 * lease_clients.h. */
#include <string.h>

#include "base/assert.h"
#include "base/random.h"
#include "paxos/lease_clients_internal.h"

/* What one timer step ends at most; each may yield one answer and two requests. */
#define ENDS_PER_STEP 16U

_Static_assert(ENDS_PER_STEP + 2 <= TN__CLIENT_ANSWERS_MAX, "answers of a step must fit");
_Static_assert(2 * ENDS_PER_STEP + 4 <= TN__CLIENT_REQUESTS_MAX, "requests of a step must fit");

/* One call's context. */
struct turn {
    struct tn__lease_clients *clients;
    struct tn__lease_clients_output *output;
    tn_time now;
};

static struct turn begin(struct tn__lease_clients *clients, tn_time now,
                         struct tn__lease_clients_output *output)
{
    output->answers_count = 0;
    output->requests_count = 0;
    return (struct turn){.clients = clients, .output = output, .now = now};
}

static tn_time earlier(tn_time a, tn_time b)
{
    return a < b ? a : b;
}

static tn_time later(tn_time a, tn_time b)
{
    return a > b ? a : b;
}

/* C2: (1 - 2 rho) (1 + rho) = 1 - rho - 2 rho^2 < 1 - rho, so the product with 1 - 2 rho is safe.
 */
tn_time tn__lease_clients_valid(tn_time received, tn_time end, uint32_t drift_ppm)
{
    tn_assert(drift_ppm <= TN_DRIFT_PPM_MAX);
    if (end <= received) {
        return 0;
    }
    tn_time span = end - received;
    tn_time lost = (tn_time)(((tn__u128)span * 2 * drift_ppm + 999999) / 1000000);
    return lost < span ? span - lost : 0;
}

/* ---- Putting out ------------------------------------------------------------------------- */

static struct tn_request *request(struct turn *turn, const struct tn__clients_name *name,
                                  enum tn_request_kind kind)
{
    tn_assert(turn->output->requests_count < TN__CLIENT_REQUESTS_MAX);
    struct tn_request *asked = &turn->output->requests[turn->output->requests_count++];
    *asked = (struct tn_request){
        .kind = (uint8_t)kind, .table = name->table, .name_bytes = name->name_bytes};
    asked->priority = kind == TN_REQUEST_ACQUIRE ? name->priority : 0;
    memcpy(asked->name, name->name, name->name_bytes);
    return asked;
}

static void fill(const struct tn__lease_clients *clients, const struct tn__client *client,
                 enum tn__client_answer_kind kind, struct tn__client_answer *answer)
{
    const struct tn__clients_name *name = tn__clients_name(clients, client->name);
    *answer = (struct tn__client_answer){
        .kind = (uint8_t)kind,
        .renewals = client->renewals,
        .cookie = client->cookie,
        .holding = client->id,
        .token = client->token,
        .valid_ns =
            tn__lease_clients_valid(client->received, client->told, clients->options.drift_ppm),
        .ttl_ns = client->ttl_ns,
        .table = name->table,
        .name_bytes = name->name_bytes,
    };
    memcpy(answer->name, name->name, name->name_bytes);
}

static struct tn__client_answer *answer(struct turn *turn, const struct tn__client *client,
                                        enum tn__client_answer_kind kind)
{
    tn_assert(turn->output->answers_count < TN__CLIENT_ANSWERS_MAX);
    struct tn__client_answer *told = &turn->output->answers[turn->output->answers_count++];
    fill(turn->clients, client, kind, told);
    return told;
}

/* To a session that is still there. */
static void tell_session(struct turn *turn, const struct tn__client *client,
                         enum tn__client_answer_kind kind, enum tn__client_verdict verdict)
{
    if (client->session != 0 && client->connected != 0) {
        answer(turn, client, kind)->verdict = (uint8_t)verdict;
    }
}

/* ---- Turns ------------------------------------------------------------------------------- */

/* C1, C3: what the holder may count on, as of now; what it was told before stays true. */
static void tell_time(struct turn *turn, const struct tn__clients_name *name,
                      struct tn__client *holder)
{
    tn_assert(name->node_deadline != 0);
    tn_time wanted = turn->now + holder->ttl_ns;
    holder->told = later(holder->told, earlier(wanted, name->node_deadline));
}

/* C4: the name's next client, under the token of the activation that was waited for. */
static void grant(struct turn *turn, uint32_t slot)
{
    struct tn__clients_name *name = tn__clients_name(turn->clients, slot);
    tn_assert(name->holder == TN__NO_CLIENT && name->waiting > 0);
    tn_assert(name->node_deadline != 0 && name->priority == 0); /* C5 */
    uint32_t next = tn__index_list_first(&name->queue);
    struct tn__client *client = tn__clients_client(turn->clients, next);
    tn__index_list_remove(&name->queue, tn__clients_links(turn->clients), next);
    name->waiting--;
    name->holder = next;
    name->phase = TN__CLIENTS_HELD;
    client->tries = 0;
    client->since = later(turn->now, 1);
    client->token = name->token;
    tell_time(turn, name, client);
    tn__clients_end_at(turn->clients, next,
                       client->session != 0 ? TN_TIME_NEVER : turn->now + client->ttl_ns);
    turn->clients->status.waiting--;
    turn->clients->status.holding++;
    turn->clients->status.granted++;
    answer(turn, client, TN__CLIENT_GRANTED);
}

/* Nobody holds the name: the next client's turn, or nobody's. */
static void turn_over(struct turn *turn, uint32_t slot)
{
    struct tn__clients_name *name = tn__clients_name(turn->clients, slot);
    tn_assert(name->holder == TN__NO_CLIENT);
    bool owned = name->node_deadline != 0;
    if (name->successor != 0 && owned) { /* C6 */
        request(turn, name, TN_REQUEST_HAND_OVER)->successor = name->successor;
        turn->clients->status.handed_over++;
        name->node_deadline = 0;
        if (name->waiting > 0) {
            request(turn, name, TN_REQUEST_ACQUIRE);
        }
        owned = false;
    } else if (name->waiting == 0) {
        request(turn, name, TN_REQUEST_RELEASE);
    }
    name->successor = 0;
    if (name->waiting == 0) {
        tn__clients_drop_name(turn->clients, slot);
        return;
    }
    name->phase = owned ? TN__CLIENTS_REOPENING : TN__CLIENTS_ASKED;
    if (owned) {
        request(turn, name, TN_REQUEST_REOPEN); /* C4 */
    }
}

static void end_holding(struct turn *turn, uint32_t slot)
{
    struct tn__clients_name *name = tn__clients_name(turn->clients, slot);
    tn_assert(name->phase == TN__CLIENTS_HELD);
    uint32_t holder = name->holder;
    tn__clients_end_at(turn->clients, holder, TN_TIME_NEVER);
    tn__clients_drop(turn->clients, holder);
    name->holder = TN__NO_CLIENT;
    turn->clients->status.holding--;
    turn_over(turn, slot);
}

/* A waiter leaves the queue; if it was the last, the name is wanted no longer. */
static void end_waiting(struct turn *turn, uint32_t waiter)
{
    struct tn__client *client = tn__clients_client(turn->clients, waiter);
    tn_assert(client->id != 0 && client->since == 0);
    uint32_t slot = client->name;
    struct tn__clients_name *name = tn__clients_name(turn->clients, slot);
    tn__index_list_remove(&name->queue, tn__clients_links(turn->clients), waiter);
    name->waiting--;
    turn->clients->status.waiting--;
    tn__clients_end_at(turn->clients, waiter, TN_TIME_NEVER);
    tn__clients_drop(turn->clients, waiter);
    if (name->waiting == 0 && name->holder == TN__NO_CLIENT) {
        turn_over(turn, slot);
    }
}

static void count_refusal(struct tn__lease_clients *clients, enum tn__client_verdict verdict)
{
    clients->status.refused_held += verdict == TN__CLIENT_HELD;
    clients->status.refused_timeout += verdict == TN__CLIENT_TIMEOUT;
    clients->status.refused_no_quorum += verdict == TN__CLIENT_NO_QUORUM;
    clients->status.refused_full += verdict == TN__CLIENT_FULL;
    clients->status.refused_busy += verdict == TN__CLIENT_BUSY;
}

static void fail_waiting(struct turn *turn, uint32_t waiter, enum tn__client_verdict verdict)
{
    const struct tn__client *client = tn__clients_client(turn->clients, waiter);
    struct tn__client_answer *told = answer(turn, client, TN__CLIENT_FAILED);
    told->verdict = (uint8_t)verdict;
    told->node = client->node;
    told->remaining = client->remaining;
    count_refusal(turn->clients, verdict);
    end_waiting(turn, waiter);
}

/* ---- Calls ------------------------------------------------------------------------------- */

/* A try is answered at once where the answer is known. */
static enum tn__client_verdict refuse_now(const struct turn *turn, uint32_t slot,
                                          const struct tn__client_acquire *acquire,
                                          struct tn__client_answer *refused)
{
    if (slot == TN__NO_CLIENT) {
        bool held = acquire->node != 0 && acquire->remaining > 0;
        refused->node = acquire->node;
        refused->remaining = acquire->remaining;
        return acquire->wait_ns == 0 && held ? TN__CLIENT_HELD : TN__CLIENT_OK;
    }
    const struct tn__clients_name *name = tn__clients_name(turn->clients, slot);
    if (acquire->wait_ns == 0) {
        if (name->holder != TN__NO_CLIENT) {
            const struct tn__client *holder = tn__clients_client(turn->clients, name->holder);
            tn_time end = holder->end == TN_TIME_NEVER ? holder->told : holder->end;
            refused->remaining = end > turn->now ? end - turn->now : 0;
        }
        return TN__CLIENT_HELD;
    }
    uint32_t first = tn__index_list_first(&name->queue);
    bool full = first != TN__INDEX_NONE &&
                tn__clients_client(turn->clients, first)->verdict == TN__CLIENT_FULL;
    return full ? TN__CLIENT_FULL : TN__CLIENT_OK;
}

static void enqueue(struct turn *turn, const struct tn__client_acquire *acquire, uint32_t slot,
                    uint32_t added)
{
    struct tn__clients_name *name = tn__clients_name(turn->clients, slot);
    struct tn__client *client = tn__clients_client(turn->clients, added);
    tn_time lease = turn->clients->options.proposer_ns[acquire->table];
    client->name = slot;
    client->cookie = acquire->cookie;
    client->received = acquire->now;
    client->ttl_ns = acquire->ttl_ns != 0 ? acquire->ttl_ns : lease;
    client->session = acquire->session != 0;
    client->connected = 1;
    client->tries = acquire->wait_ns == 0;
    client->label_bytes = acquire->label_bytes;
    client->address_bytes = acquire->address_bytes;
    memcpy(client->label, acquire->label, acquire->label_bytes);
    memcpy(client->address, acquire->address, acquire->address_bytes);
    tn__index_list_append(&name->queue, tn__clients_links(turn->clients), added);
    name->waiting++;
    turn->clients->status.waiting++;
    /* A try ends with its first attempt, D_P at the latest; the other half is for getting there. */
    tn_time wait = client->tries ? 2 * lease : acquire->wait_ns;
    tn__clients_end_at(turn->clients, added, turn->now + wait);
}

static void check_acquire(const struct tn__lease_clients *clients,
                          const struct tn__client_acquire *acquire)
{
    tn_assert(acquire->table < clients->options.tables_count);
    tn_assert(acquire->name_bytes >= 1 && acquire->name_bytes <= TN_NAME_BYTES_MAX);
    tn_assert(acquire->label_bytes <= TN_LABEL_BYTES_MAX);
    tn_assert(acquire->address_bytes <= TN__CLIENT_ADDRESS_BYTES_MAX);
    tn_assert(acquire->priority <= 15);
    tn_assert(acquire->wait_ns <= TN__CLIENT_TTL_NS_MAX);
    tn_assert(acquire->ttl_ns == 0 || acquire->ttl_ns >= TN__CLIENT_TTL_NS_MIN);
    tn_assert(acquire->ttl_ns <= TN__CLIENT_TTL_NS_MAX);
}

enum tn__client_verdict tn__lease_clients_acquire(struct tn__lease_clients *clients,
                                                  const struct tn__client_acquire *acquire,
                                                  struct tn__client_place *place,
                                                  struct tn__client_answer *refused,
                                                  struct tn__lease_clients_output *output)
{
    check_acquire(clients, acquire);
    struct turn turn = begin(clients, acquire->now, output);
    *refused = (struct tn__client_answer){.cookie = acquire->cookie};
    uint32_t slot =
        tn__clients_find_name(clients, acquire->table, acquire->name, acquire->name_bytes);
    enum tn__client_verdict verdict = refuse_now(&turn, slot, acquire, refused);
    uint32_t added = verdict == TN__CLIENT_OK ? tn__clients_add(clients) : TN__NO_CLIENT;
    if (verdict == TN__CLIENT_OK && added == TN__NO_CLIENT) {
        verdict = TN__CLIENT_BUSY;
    }
    if (verdict != TN__CLIENT_OK) {
        refused->verdict = (uint8_t)verdict;
        count_refusal(clients, verdict);
        return verdict;
    }
    bool first = slot == TN__NO_CLIENT;
    if (first) {
        slot = tn__clients_add_name(clients, acquire->table, acquire->name, acquire->name_bytes);
    }
    struct tn__clients_name *name = tn__clients_name(clients, slot);
    place->holding = tn__clients_client(clients, added)->id;
    place->position = name->waiting + (name->holder != TN__NO_CLIENT);
    enqueue(&turn, acquire, slot, added);
    bool preferred = name->phase == TN__CLIENTS_ASKED && acquire->priority < name->priority;
    if (first || preferred) {
        name->priority = acquire->priority;
        request(&turn, name, TN_REQUEST_ACQUIRE);
    }
    return TN__CLIENT_OK;
}

enum tn__client_verdict tn__lease_clients_renew(struct tn__lease_clients *clients, uint64_t holding,
                                                tn_time ttl_ns, tn_time now,
                                                struct tn__client_answer *renewed)
{
    tn_assert(ttl_ns == 0 || ttl_ns >= TN__CLIENT_TTL_NS_MIN);
    tn_assert(ttl_ns <= TN__CLIENT_TTL_NS_MAX);
    struct turn turn = {.clients = clients, .now = now};
    uint32_t slot = tn__clients_find(clients, holding);
    struct tn__client *client = slot == TN__NO_CLIENT ? NULL : tn__clients_client(clients, slot);
    if (client == NULL || client->since == 0 || client->lost != 0) {
        clients->status.no_holding++;
        return TN__CLIENT_NO_HOLDING;
    }
    const struct tn__clients_name *name = tn__clients_name(clients, client->name);
    if (now >= name->node_deadline) { /* C3: the notice that it is lost is on its way */
        clients->status.no_holding++;
        return TN__CLIENT_NO_HOLDING;
    }
    if (name->successor != 0) { /* C6 */
        return TN__CLIENT_ENDING;
    }
    client->ttl_ns = ttl_ns != 0 ? ttl_ns : client->ttl_ns;
    client->received = now; /* C2: counted from the sending of this request from here on */
    client->renewals++;
    tell_time(&turn, name, client);
    if (client->session == 0 || client->connected == 0) {
        tn__clients_end_at(clients, slot, later(now + client->ttl_ns, client->told));
    }
    clients->status.renewed++;
    fill(clients, client, TN__CLIENT_RENEWED, renewed);
    return TN__CLIENT_OK;
}

enum tn__client_verdict tn__lease_clients_release(struct tn__lease_clients *clients,
                                                  uint64_t holding, tn_time now,
                                                  struct tn__lease_clients_output *output)
{
    struct turn turn = begin(clients, now, output);
    uint32_t slot = tn__clients_find(clients, holding);
    struct tn__client *client = slot == TN__NO_CLIENT ? NULL : tn__clients_client(clients, slot);
    if (client == NULL || client->since == 0) {
        clients->status.no_holding++;
        return TN__CLIENT_NO_HOLDING;
    }
    if (client->lost == 0) {
        tell_session(&turn, client, TN__CLIENT_RELEASED, TN__CLIENT_OK);
        clients->status.released++;
    }
    end_holding(&turn, client->name);
    return TN__CLIENT_OK;
}

void tn__lease_clients_gone(struct tn__lease_clients *clients, uint64_t holding, tn_time now,
                            struct tn__lease_clients_output *output)
{
    struct turn turn = begin(clients, now, output);
    uint32_t slot = tn__clients_find(clients, holding);
    if (slot == TN__NO_CLIENT) {
        return;
    }
    struct tn__client *client = tn__clients_client(clients, slot);
    if (client->since == 0) {
        clients->status.cancelled++;
        end_waiting(&turn, slot);
        return;
    }
    if (client->session != 0 && client->connected != 0) {
        client->connected = 0;
        tn__clients_end_at(clients, slot, client->told); /* C1 */
    }
}

enum tn__client_verdict tn__lease_clients_hand_over(struct tn__lease_clients *clients,
                                                    uint8_t table, const char *name_text,
                                                    uint32_t name_bytes, tn_node_id successor,
                                                    tn_time now, tn_time *remaining,
                                                    struct tn__lease_clients_output *output)
{
    tn_assert(successor != 0);
    struct turn turn = begin(clients, now, output);
    *remaining = 0;
    uint32_t slot = tn__clients_find_name(clients, table, name_text, name_bytes);
    struct tn__clients_name *name = slot == TN__NO_CLIENT ? NULL : tn__clients_name(clients, slot);
    if (name == NULL || name->node_deadline == 0) {
        return TN__CLIENT_NOT_OWNER;
    }
    bool again = name->successor != 0;
    name->successor = successor;
    if (name->holder == TN__NO_CLIENT) {
        turn_over(&turn, slot);
        return TN__CLIENT_OK;
    }
    struct tn__client *holder = tn__clients_client(clients, name->holder);
    if (!again) {
        tell_session(&turn, holder, TN__CLIENT_LEAVING, TN__CLIENT_ENDING);
    }
    tn__clients_end_at(clients, name->holder, holder->told); /* C6 */
    *remaining = holder->told > now ? holder->told - now : 0;
    return TN__CLIENT_ENDING;
}

/* ---- Notices ----------------------------------------------------------------------------- */

/* The node does not own the name any more. A holder that was told a later time (the clocks are in
 * doubt: TN_REASON_CLOCK) stays until then, so that nobody follows it too soon (C1). Returns false
 * if the name went out of use. */
static bool lose(struct turn *turn, uint32_t slot)
{
    struct tn__clients_name *name = tn__clients_name(turn->clients, slot);
    name->node_deadline = 0;
    if (name->phase == TN__CLIENTS_REOPENING) {
        name->phase = TN__CLIENTS_ASKED;
    }
    if (name->phase != TN__CLIENTS_HELD) {
        return true;
    }
    struct tn__client *holder = tn__clients_client(turn->clients, name->holder);
    name->successor = 0;
    if (holder->lost == 0) {
        holder->lost = 1;
        turn->clients->status.lost++;
        tell_session(turn, holder, TN__CLIENT_LOST, TN__CLIENT_EXPIRED);
        tn__clients_end_at(turn->clients, name->holder, holder->told);
    }
    if (turn->now < holder->told) {
        return true;
    }
    bool used = name->waiting > 0;
    end_holding(turn, slot);
    return used;
}

/* P4: the node owns the name, under a token larger than all earlier ones. */
static void activated(struct turn *turn, uint32_t slot, const struct tn_notice *notice)
{
    struct tn__clients_name *name = tn__clients_name(turn->clients, slot);
    name->node_deadline = notice->deadline;
    name->token = notice->token;
    if (name->phase == TN__CLIENTS_HELD) {
        return;
    }
    if (name->priority != 0) { /* C5: pin it before anybody is told that it holds */
        name->priority = 0;
        name->phase = TN__CLIENTS_REOPENING;
        request(turn, name, TN_REQUEST_ACQUIRE);
        request(turn, name, TN_REQUEST_REOPEN);
        return;
    }
    grant(turn, slot);
}

static void opened(struct turn *turn, uint32_t slot, const struct tn_notice *notice)
{
    struct tn__clients_name *name = tn__clients_name(turn->clients, slot);
    if (name->node_deadline != 0 && !lose(turn, slot)) {
        return; /* a new tenure without a word of the old one's end: that one is over all the same
                 */
    }
    activated(turn, slot, notice);
}

static void renewed(struct turn *turn, uint32_t slot, const struct tn_notice *notice)
{
    struct tn__clients_name *name = tn__clients_name(turn->clients, slot);
    if (name->node_deadline == 0) {
        return;
    }
    name->node_deadline = later(name->node_deadline, notice->deadline);
    if (name->phase != TN__CLIENTS_HELD || name->successor != 0) {
        return;
    }
    struct tn__client *holder = tn__clients_client(turn->clients, name->holder);
    if (holder->session != 0 && holder->connected != 0 && holder->lost == 0) {
        tell_time(turn, name, holder);
        tell_session(turn, holder, TN__CLIENT_RENEWED, TN__CLIENT_OK);
    }
}

/* No member has room for the name: nobody's wait can come true. Answered by the timer, some a step.
 */
static void fail_all(struct turn *turn, struct tn__clients_name *name)
{
    uint32_t next = name->queue.first;
    while (next != 0) {
        struct tn__client *waiter = tn__clients_client(turn->clients, next - 1);
        waiter->verdict = TN__CLIENT_FULL;
        tn__clients_end_at(turn->clients, next - 1, turn->now);
        next = waiter->link.next;
    }
}

/* An attempt failed, or another owner was heard of: a try has its answer. */
static void attempt_over(struct turn *turn, uint32_t slot, const struct tn_notice *notice)
{
    struct tn__clients_name *name = tn__clients_name(turn->clients, slot);
    if (name->phase != TN__CLIENTS_ASKED) {
        return;
    }
    if (notice->reason == TN_REASON_FULL) {
        fail_all(turn, name);
        return;
    }
    uint32_t first = tn__index_list_first(&name->queue);
    struct tn__client *waiter = tn__clients_client(turn->clients, first);
    if (waiter->tries == 0 || notice->reason == TN_REASON_OUTBID) {
        return; /* the machine goes on trying */
    }
    bool held = notice->reason == TN_REASON_HELD || notice->kind == TN_NOTICE_LEARNED;
    waiter->node = held ? notice->node : 0;
    waiter->remaining = held ? notice->remaining : 0;
    fail_waiting(turn, first, held ? TN__CLIENT_HELD : TN__CLIENT_NO_QUORUM);
}

void tn__lease_clients_notice(struct tn__lease_clients *clients, const struct tn_notice *notice,
                              tn_time now, struct tn__lease_clients_output *output)
{
    struct turn turn = begin(clients, now, output);
    uint32_t slot =
        notice->name_bytes == 0
            ? TN__NO_CLIENT
            : tn__clients_find_name(clients, notice->table, notice->name, notice->name_bytes);
    if (slot == TN__NO_CLIENT) {
        return;
    }
    switch ((enum tn_notice_kind)notice->kind) {
    case TN_NOTICE_OPENED:
        opened(&turn, slot, notice);
        break;
    case TN_NOTICE_REOPENED:
        if (tn__clients_name(clients, slot)->phase == TN__CLIENTS_REOPENING) {
            activated(&turn, slot, notice);
        } else {
            renewed(&turn, slot, notice);
        }
        break;
    case TN_NOTICE_RENEWED:
        renewed(&turn, slot, notice);
        break;
    case TN_NOTICE_LOST:
    case TN_NOTICE_RELEASED:
        (void)lose(&turn, slot);
        break;
    case TN_NOTICE_FAILED:
    case TN_NOTICE_LEARNED:
        attempt_over(&turn, slot, notice);
        break;
    case TN_NOTICE_FREED:
    case TN_NOTICE_INCIDENT:
    case TN_NOTICE_LEFT:
    case TN_NOTICE_JOINED:
        break;
    }
}

/* ---- Ends -------------------------------------------------------------------------------- */

static void end_of(struct turn *turn, uint32_t slot)
{
    struct tn__client *client = tn__clients_client(turn->clients, slot);
    if (client->since != 0) { /* C1: its time has run out, and its connection is gone or it goes */
        bool handed_over = tn__clients_name(turn->clients, client->name)->successor != 0;
        tn_assert(client->told <= turn->now);
        if (client->lost == 0) {
            turn->clients->status.ran_out++;
            tell_session(turn, client, TN__CLIENT_LOST,
                         handed_over ? TN__CLIENT_HANDED_OVER : TN__CLIENT_EXPIRED);
        }
        end_holding(turn, client->name);
        return;
    }
    enum tn__client_verdict verdict = (enum tn__client_verdict)client->verdict;
    if (verdict == TN__CLIENT_OK) {
        verdict = client->tries ? TN__CLIENT_NO_QUORUM : TN__CLIENT_TIMEOUT;
    }
    fail_waiting(turn, slot, verdict);
}

void tn__lease_clients_timer(struct tn__lease_clients *clients, tn_time now,
                             struct tn__lease_clients_output *output)
{
    struct turn turn = begin(clients, now, output);
    for (uint32_t i = 0; i < ENDS_PER_STEP; i++) {
        uint32_t first = tn__clients_first_end(clients);
        if (first == TN__NO_CLIENT || tn__clients_client(clients, first)->end > now) {
            return;
        }
        end_of(&turn, first);
    }
}
