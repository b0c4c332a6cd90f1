/* rpc/raw.c - see raw.h */
#include "rpc/raw.h"

#include <stdio.h>

#include "rpc/call_private.h"
#include "rpc/meter.h"
#include "rpc/status_text.h"
#include "rpc/timeout.h"
#include "rpc/walk.h"

/* ---- opening ---- */

/* What the client has sent, in its order; but what is between one hop's two ends is ours. (HTTP lets no hop-by-hop
 * header of HTTP/1.1 through.) */
struct http_stream *raw_send(struct rpc_call *call, const struct rpc_link *link) {
    const struct attempt *attempt = call->attempt;
    struct header_block *block = &call->call.rpc->block;
    char timeout[TIMEOUT_TEXT], attempts[16];
    header_block_begin(block, 0, NULL, NULL);
    for (size_t i = 0; i < attempt->headers->count; i++) {
        const struct http_header *header = &attempt->headers->fields[i];
        if (http_header_is(header, ":scheme")) {
            header_block_add(block, ":scheme", 7, link->is_tls ? "https" : "http", link->is_tls ? 5 : 4);
        } else if (attempt->authority && http_header_is(header, ":authority")) {
            header_block_add(block, ":authority", 10, attempt->authority, strlen(attempt->authority));
        } else if (!http_header_is(header, "grpc-timeout")) {
            header_block_add(block, header->name, header->name_length, header->value, header->value_length);
            block->headers[block->count - 1].is_never_indexed = header->is_never_indexed;
        } else if (call->call.deadline) {
            header_block_add(block, "grpc-timeout", 12, timeout, timeout_format(timeout, call_time_left(call)));
        }
    }
    if (attempt->count) {
        int length = snprintf(attempts, sizeof attempts, "%u", attempt->count);
        header_block_add(block, "grpc-previous-rpc-attempts", 26, attempts, (size_t)length);
    }
    return http_session_open(link->connection->session, block->headers, block->count,
                             !call->has_sent_end || call->outbox.bytes || buffer_length(&attempt->replay), NULL);
}

static void send_nothing(struct rpc_call *call) { (void)call; }

static void cancel(struct rpc_call *call, const void *details, size_t details_length) {
    (void)details, (void)details_length;
    http_stream_reset(call->stream, HTTP_CANCEL);
}

static const struct metadata no_metadata;
static const struct dialect raw_client = {
    .name = "grpc", .malformed = STATUS_INTERNAL, .send_headers = send_nothing, .send_end = cancel};

/* The deadline is told to the server; the server call's timer watches it for both. */
struct rpc_call *raw_new(struct rpc *rpc, const struct rpc_request *request) {
    struct rpc_call *call = call_new(rpc->waiting, request->account, &raw_client, NULL, request->handler,
                                     request->data, request->limits);
    call->call.metadata = &no_metadata;
    call->state = CALL_OPEN;
    call->was_opened = call->has_sent_headers = true;
    call->has_sent_end = request->is_end;
    if (request->timeout) call->call.deadline = call->call.opened + request->timeout;
    return call;
}

void call_join(struct call *server, struct call *client) {
    struct rpc_call *one = rpc_call_of(server), *other = rpc_call_of(client);
    if (one->state != CALL_OPEN) { /* its peer has gone meanwhile */
        call_reset(client, HTTP_CANCEL);
        return;
    }
    one->partner = other;
    other->partner = one;
    if (other->state != CALL_OPEN) raw_part(other, HTTP_CANCEL);
}

/* ---- crossing ---- */

const char *raw_target(const struct rpc_call *server) {
    if (server->target || !server->partner) return server->target;
    struct rpc_connection *connection = server->partner->connection;
    return connection->session || connection->peer ? rpc_connection_peer(connection) : NULL;
}

struct rpc_call *raw_payer(struct rpc_call *call) { return call->is_client && call->partner ? call->partner : call; }

/* The client call of the two ends with it. */
static struct rpc_call *unlink_partner(struct rpc_call *call) {
    struct rpc_call *partner = call->partner, *server = call->is_client ? partner : call;
    call_drop_queued(call->is_client ? call : partner); /* while it is known who pays for it */
    if (server->meter) meter_stop(server);
    const char *target = log_access_is_on() ? raw_target(server) : NULL;
    if (target) server->target = memory_copy_string(target);
    call->partner = partner->partner = NULL;
    return partner;
}

void raw_pass(struct rpc_call *call, const uint8_t *bytes, size_t length) {
    struct rpc_call *to = call->partner;
    outbox_add_raw(&to->outbox, &to->call.rpc->outboxes, bytes, length);
    if (to->stream) http_stream_resume(to->stream);
}

static enum limit_way way_of(const struct rpc_call *call) { return call->is_client ? WAY_OUT : WAY_IN; }

void raw_receive(struct rpc_call *call, const uint8_t *bytes, size_t length) {
    struct rpc_call *to = call->partner;
    if (!to || !length) return;
    struct rpc_call *payer = raw_payer(to);
    struct meter *meter = payer->meter;
    call->call.bytes_in += length;
    to->call.bytes_out += length;
    if (!payer->buffered) payer->progress = loop_now(payer->call.rpc->loop);
    account_charge(payer, length);
    if (meter)
        walk_receive(meter, way_of(call), bytes, length);
    else
        raw_pass(call, bytes, length);
}

static void give_window(struct rpc_call *call, size_t length) {
    if (call->stream && !call->inbound.is_ended) http_stream_consumed(call->stream, length);
}

/* A peer that fills its window in one go, for one that takes it as fast, would wait again and again for a
 * WINDOW_UPDATE. What may be buffered for a call anyway can come at once. */
static void note_wave(struct rpc_call *from, const struct rpc_call *to, size_t length) {
    enum { LARGE = 48 * 1024 };
    from->wave += (uint32_t)length;
    if (to->outbox.bytes && from->wave < UINT32_MAX / 2) return;
    if (from->wave >= LARGE && from->stream) http_stream_widen(from->stream, to->most_queued);
    from->wave = 0;
}

void raw_gone(struct rpc_call *call, size_t length) {
    struct rpc_call *from = call->partner, *payer = raw_payer(call);
    payer->progress = loop_now(payer->call.rpc->loop);
    if (account_is_limited(payer->account)) {
        from->inbound.owed += (uint32_t)length;
        return;
    }
    give_window(from, length);
    note_wave(from, call, length);
}

static void give_owed(struct rpc_call *call) {
    give_window(call, call->inbound.owed);
    call->inbound.owed = 0;
}

void raw_resume(struct rpc_call *call) {
    if (!call->partner || account_is_limited(raw_payer(call)->account)) return;
    give_owed(call);
    give_owed(call->partner);
}

/* For the access line alone: the client reads for itself. */
static enum status status_of(const struct http_header *headers, size_t count) {
    const struct http_header *status = http_header_find(headers, count, "grpc-status");
    int number = status ? status_parse(status->value, status->value_length) : -1;
    return number < 0 ? STATUS_UNKNOWN : (enum status)number;
}

/* The server has said all, which is with the client's HTTP by now. */
static void answered(struct rpc_call *call, const struct http_header *headers, size_t count) {
    bool has_asked_all = call->has_sent_end && !call->outbox.bytes;
    struct rpc_call *server = unlink_partner(call);
    enum status status = status_of(headers, count);
    call_trailed(server, status, REASON_UPSTREAM);
    if (!has_asked_all && call->stream) http_stream_reset(call->stream, HTTP_NO_ERROR);
    call_end(call, status, REASON_SERVER, NULL);
}

void raw_response(struct rpc_call *call, const struct http_header *headers, size_t count, bool is_end) {
    struct rpc_call *server = call->partner;
    if (!server) return;
    if (is_end && attempt_is_tried_again(call, headers, count)) return;
    if (!is_end) attempt_commit(call);
    server->has_sent_headers = true;
    http_stream_respond(server->stream, headers, count, is_end);
    if (is_end) answered(call, headers, count);
}

void raw_end(struct rpc_call *call, const struct http_header *trailers, size_t count) {
    struct rpc_call *to = call->partner;
    call->inbound.is_ended = true;
    if (!to || walk_holds_end(raw_payer(to)->meter, way_of(call), trailers, count)) return;
    to->has_sent_end = true;
    if (to->stream) http_stream_finish(to->stream, trailers, count);
    if (call->is_client) answered(call, trailers, count);
}

/* ---- ends that are no answers ---- */

void raw_part(struct rpc_call *call, enum http_error error) {
    struct rpc_call *partner = unlink_partner(call);
    if (!partner->is_client) {
        call_finish_for(partner, (enum status)call->status, REASON_UPSTREAM, call->text, NULL, 0);
        return;
    }
    if (partner->stream) http_stream_reset(partner->stream, error);
    call_end(partner, STATUS_CANCELLED, REASON_CLIENT, "the client has gone");
}

/* A status says more than a reset. But behind a part of a message it would be wrong, and nobody knows here where
 * messages end; only the loss of a connection has no error code that means the same. */
static void pass_reset(struct rpc_call *call, uint32_t error) {
    struct rpc_call *server = unlink_partner(call);
    enum status status = attempt_reset_status(call, error);
    http_stream_reset(server->stream, error == HTTP_NO_ERROR ? HTTP_INTERNAL_ERROR : (enum http_error)error);
    call_end(server, status, REASON_UPSTREAM, attempt_reset_text(call));
    call_end(call, status, REASON_SERVER, attempt_reset_text(call));
}

static void upstream_closed(struct rpc_call *call, uint32_t error, bool is_connection) {
    char text[256];
    struct rpc_outcome outcome;
    if (!is_connection && call->partner->has_sent_headers) {
        pass_reset(call, error);
        return;
    }
    attempt_lost(call, error, is_connection, text, sizeof text, &outcome);
    if (attempt_failed(call, &outcome)) return;
    call_end(call, outcome.status, is_connection ? REASON_CONNECTION : REASON_SERVER, text);
}

bool raw_closed(struct rpc_call *call, uint32_t error, bool is_connection) {
    if (call->is_client && walk_has_ended(call->partner->meter, WAY_OUT)) return true;
    if (call->is_client)
        upstream_closed(call, error, is_connection);
    else
        raw_part(call, is_connection || error == HTTP_NO_ERROR ? HTTP_CANCEL : (enum http_error)error);
    return false;
}
