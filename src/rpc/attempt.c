/* rpc/attempt.c - a call that we make, from its beginning to the answer: it waits, is attached to a link, and may be
 * taken back when that comes to nothing. A call that waits belongs to a connection of rpc/'s own, which has no wire. */
#include <stdlib.h>

#include "rpc/call_private.h"
#include "rpc/grpc_client.h"
#include "rpc/raw.h"

struct kept_headers *kept_headers_new(const struct http_header *fields, size_t count) {
    size_t size = sizeof(struct kept_headers) + count * sizeof *fields;
    for (size_t i = 0; i < count; i++) size += fields[i].name_length + fields[i].value_length;
    struct kept_headers *kept = memory_resize(NULL, size);
    kept->count = count;
    char *place = (char *)(kept->fields + count);
    for (size_t i = 0; i < count; i++) {
        struct http_header *copy = &kept->fields[i];
        *copy = fields[i];
        copy->name = place;
        place = mempcpy(place, fields[i].name, fields[i].name_length);
        copy->value = place;
        place = mempcpy(place, fields[i].value, fields[i].value_length);
    }
    return kept;
}

/* ---- beginning ---- */

struct call *rpc_call_open(struct rpc *rpc, const struct rpc_request *request, const struct rpc_opener *opener,
                           void *context, size_t replay) {
    struct rpc_call *call = request->method ? grpc_client_new(rpc, request) : raw_new(rpc, request);
    struct attempt *attempt = call->attempt = memory_new(sizeof *attempt);
    attempt->opener = opener;
    attempt->context = context;
    attempt->authority = request->authority ? memory_copy_string(request->authority) : NULL;
    attempt->most_replay = replay;
    if (request->method) {
        grpc_client_write_fields(rpc, request);
        attempt->headers = kept_headers_new(rpc->block.headers, rpc->block.count);
    } else {
        attempt->headers = kept_headers_new(request->headers, request->header_count);
    }
    call->is_waiting = true;
    return &call->call;
}

static void move(struct rpc_call *call, struct rpc_connection *connection) {
    struct rpc_connection *before = call->connection;
    list_remove(&call->sibling);
    call->connection = connection;
    call->call.log.connection = connection->log.connection;
    list_append(&connection->calls, &call->sibling);
    rpc_connection_free_if_done(before);
}

bool rpc_call_attach(struct call *public, struct rpc_link *link) {
    struct rpc_call *call = rpc_call_of(public);
    if (!call->is_waiting || !rpc_link_room(link)) return false;
    struct http_stream *stream = call->is_raw ? raw_send(call, link) : grpc_client_send(call, link);
    if (!stream) return false;
    call->is_waiting = false;
    call->stream = stream;
    call->attempt->count++;
    call->replay_left = buffer_length(&call->attempt->replay);
    move(call, link->connection);
    http_stream_set_user(stream, call);
    if (call->replay_left || call->outbox.bytes) http_stream_resume(stream);
    if (call->has_sent_end) http_stream_finish(stream, NULL, 0);
    return true;
}

void rpc_call_refuse(struct call *public, enum status status, const char *text) {
    call_fail(rpc_call_of(public), status, REASON_CONNECTION, text);
}

uint32_t rpc_call_attempts(const struct call *call) { return rpc_call_of_const(call)->attempt->count; }

/* ---- what was sent ---- */

void attempt_keep(struct rpc_call *call, size_t length) {
    struct attempt *attempt = call->attempt;
    if (!length || !attempt->headers || attempt->is_replay_lost) return;
    if (buffer_length(&attempt->replay) + length > attempt->most_replay) {
        attempt->is_replay_lost = true;
        attempt_drop(call);
        return;
    }
    outbox_peek(&call->outbox, length, &attempt->replay);
    account_charge(call, length);
}

void attempt_give(struct rpc_call *call, size_t length, struct http_output *output) {
    struct buffer *replay = &call->attempt->replay;
    http_output_copy(output, replay->data + replay->end - call->replay_left, length);
    call->replay_left -= length;
    if (!call->replay_left && !call->attempt->headers) attempt_drop(call);
}

void attempt_drop(struct rpc_call *call) {
    if (!call->attempt) return;
    struct buffer *replay = &call->attempt->replay;
    call->replay_left = 0;
    account_discharge(call, buffer_length(replay));
    buffer_free(replay);
}

void attempt_commit(struct rpc_call *call) {
    struct attempt *attempt = call->attempt;
    if (!attempt || !attempt->headers) return;
    free(attempt->headers);
    attempt->headers = NULL;
    if (!call->replay_left) attempt_drop(call);
    if (attempt->opener && attempt->opener->on_answer) attempt->opener->on_answer(attempt->context);
}

/* ---- the end ---- */

static void detach(struct rpc_call *call) {
    struct http_stream *stream = call->stream;
    call->stream = NULL;
    call->replay_left = 0;
    call->is_waiting = true;
    move(call, call->call.rpc->waiting);
    if (!stream) return;
    http_stream_set_user(stream, NULL);
    http_stream_reset(stream, HTTP_CANCEL);
}

bool attempt_failed(struct rpc_call *call, const struct rpc_outcome *outcome) {
    struct attempt *attempt = call->attempt;
    if (!attempt || !attempt->headers || attempt->is_replay_lost || !attempt->opener) return false;
    if (call->state != CALL_OPEN || call->inbound.have || call->inbound.whole) return false;
    if (!attempt->opener->on_failure(attempt->context, outcome)) return false;
    if (outcome->is_unseen) attempt->count--;
    detach(call);
    return true;
}

/* Whoever asks may ask for little time, or go: neither says anything about the server. */
static bool is_ours(const struct rpc_call *call) {
    return call->reason == REASON_HANDLER || call->reason == REASON_DRAIN || call->reason == REASON_LIMIT ||
           call->reason == REASON_DEADLINE || (call->is_raw && call->reason == REASON_CLIENT);
}

/* A client that gives up at its deadline may be heard before our own timer, and so may a server. */
static bool is_expired(const struct rpc_call *call) {
    if (!is_ours(call) && call->status != STATUS_DEADLINE_EXCEEDED) return false;
    uint64_t opened = call->call.opened, deadline = call->call.deadline;
    return deadline && loop_now(call->call.rpc->loop) >= deadline - (deadline - opened) / 10;
}

void attempt_over(struct rpc_call *call) {
    struct attempt *attempt = call->attempt;
    if (!attempt || !attempt->opener) return;
    const struct rpc_opener *opener = attempt->opener;
    const struct rpc_outcome outcome = {.status = (enum status)call->status,
                                        .text = call->text ? call->text : "",
                                        .is_lost = call->reason == REASON_CONNECTION,
                                        .has_answer = !attempt->headers,
                                        .is_cancelled = is_ours(call),
                                        .is_expired = is_expired(call)};
    attempt->opener = NULL;
    call->is_waiting = false;
    opener->on_over(attempt->context, &outcome);
}

void attempt_free(struct rpc_call *call) {
    struct attempt *attempt = call->attempt;
    if (!attempt) return;
    attempt_drop(call);
    free(attempt->headers);
    free(attempt->authority);
    free(attempt);
    call->attempt = NULL;
}
