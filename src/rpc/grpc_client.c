/* rpc/grpc_client.c - see grpc_client.h. What is believed of an answer is what grpc-go's client believes. */
#include "rpc/grpc_client.h"

#include <stdio.h>

#include "base/clock.h"
#include "rpc/call_private.h"
#include "rpc/raw.h"
#include "rpc/status_text.h"
#include "rpc/timeout.h"

static const struct dialect grpc_client;
static const struct metadata no_metadata;

/* ---- asking ---- */

static bool has_name(const struct metadata *metadata, const char *name) {
    size_t place = 0;
    return metadata && metadata_find(metadata, name, strlen(name), &place);
}

void grpc_client_write_fields(struct rpc *rpc, const struct rpc_request *request) {
    struct header_block *block = &rpc->block;
    header_block_begin(block, 0, request->metadata, NULL);
    HEADER_BLOCK_ADD(block, "content-type", "application/grpc");
    HEADER_BLOCK_ADD(block, "te", "trailers");
    if (!has_name(request->metadata, "user-agent"))
        HEADER_BLOCK_ADD(block, "user-agent", "grpc-c-tidewire/" TIDEWIRE_VERSION);
    if (request->compresses) HEADER_BLOCK_ADD(block, "grpc-encoding", "gzip");
    HEADER_BLOCK_ADD(block, "grpc-accept-encoding", "gzip");
    header_block_add_metadata(block, request->metadata);
}

/* The one who opens it may send at once: there is no on_open. */
struct rpc_call *grpc_client_new(struct rpc *rpc, const struct rpc_request *request) {
    struct rpc_call *call = call_new(rpc->waiting, request->account, &grpc_client, request->method, request->handler,
                                     request->data, request->limits);
    call->call.metadata = &no_metadata;
    call->state = CALL_OPEN;
    call->was_opened = call->has_sent_headers = true;
    call_set_compressing(call, request->compresses);
    uint64_t timeout = request->timeout < TIMEOUT_MOST ? request->timeout : TIMEOUT_MOST;
    if (timeout) call_set_deadline(call, call->call.opened + timeout);
    return call;
}

uint64_t call_time_left(const struct rpc_call *call) {
    uint64_t now = loop_now(call->call.rpc->loop), deadline = call->call.deadline;
    return deadline > now ? deadline - now : 1; /* its timer will fire in this turn */
}

struct http_stream *grpc_client_send(struct rpc_call *call, const struct rpc_link *link) {
    const struct attempt *attempt = call->attempt;
    const char *authority = attempt->authority ? attempt->authority : link->authority;
    struct rpc *rpc = call->call.rpc;
    struct header_block *block = &rpc->block;
    char timeout[TIMEOUT_TEXT], attempts[16];
    buffer_clear(&rpc->scratch);
    buffer_format(&rpc->scratch, "/%s", call->call.method->full_name);
    header_block_begin(block, 0, NULL, NULL);
    HEADER_BLOCK_ADD(block, ":method", "POST");
    header_block_add(block, ":scheme", 7, link->is_tls ? "https" : "http", link->is_tls ? 5 : 4);
    header_block_add(block, ":path", 5, (const char *)buffer_bytes(&rpc->scratch),
                     buffer_length(&rpc->scratch));
    header_block_add(block, ":authority", 10, authority, strlen(authority));
    if (call->call.deadline)
        header_block_add(block, "grpc-timeout", 12, timeout, timeout_format(timeout, call_time_left(call)));
    for (size_t i = 0; i < attempt->headers->count; i++) {
        const struct http_header *field = &attempt->headers->fields[i];
        header_block_add(block, field->name, field->name_length, field->value, field->value_length);
    }
    if (attempt->count) {
        int length = snprintf(attempts, sizeof attempts, "%u", attempt->count);
        header_block_add(block, "grpc-previous-rpc-attempts", 26, attempts, (size_t)length);
    }
    return http_session_open(link->connection->session, block->headers, block->count, true, NULL);
}

static void send_nothing(struct rpc_call *call) { (void)call; }

static void cancel(struct rpc_call *call, const void *details, size_t details_length) {
    (void)details, (void)details_length;
    http_stream_reset(call->stream, HTTP_CANCEL);
}

static const struct dialect grpc_client = {
    .name = "grpc",
    .malformed = STATUS_INTERNAL,
    .receive = inbound_receive,
    .end = inbound_end,
    .send_headers = send_nothing,
    .send_end = cancel,
};

/* ---- the answer ---- */

/* The status of a call that nothing more will come for. Its messages are read first; then it ends. */
static void answered(struct rpc_call *call, enum status status, enum call_reason reason, const char *text) {
    if (call->state != CALL_OPEN) return;
    if (!call->inbound.whole &&
        call->inbound.is_faulty) { /* nobody can read up to an end that is not there */
        call_end(call, status, reason, text);
        return;
    }
    call_conclude(call, status, reason, text);
}

/* What was wrong with the reply, if one was there, may not have been told yet. */
static void answer_without_reply(struct rpc_call *call) {
    if (call->news & NEWS_FAULT)
        answered(call, (enum status)call->status, REASON_SERVER, call->text);
    else
        answered(call, STATUS_INTERNAL, REASON_SERVER, "the server has sent no reply, but status OK");
}

/* Trailers, or the header block of a Trailers-Only answer. */
static void read_status(struct rpc_call *call, const struct http_header *trailers, size_t count) {
    struct rpc *rpc = call->call.rpc;
    const struct http_header *number = http_header_find(trailers, count, "grpc-status");
    const struct http_header *text = http_header_find(trailers, count, "grpc-message");
    int status = number ? status_parse(number->value, number->value_length) : STATUS_UNKNOWN;
    const struct method *method = call->call.method;
    peer_metadata_unref(&call->peer_trailers);
    call->peer_trailers = peer_metadata_read(&rpc->reader, trailers, count, NULL);
    buffer_clear(&rpc->scratch);
    if (text) status_text_decode(&rpc->scratch, text->value, text->value_length);
    buffer_append_byte(&rpc->scratch, 0);
    const char *message = (const char *)buffer_bytes(&rpc->scratch);
    if (!number) {
        answered(call, STATUS_UNKNOWN, REASON_SERVER, "the server has sent no grpc-status");
    } else if (status < 0) {
        answered(call, STATUS_UNKNOWN, REASON_SERVER, "the server has sent a malformed grpc-status");
    } else if (!call->peer_trailers) {
        answered(call, STATUS_INTERNAL, REASON_SERVER,
                 "the server has sent a -bin trailer that is not base64");
    } else if (status == STATUS_OK && call->inbound.have) {
        answered(call, STATUS_INTERNAL, REASON_SERVER, "the answer ended inside of a message");
    } else if (status == STATUS_OK && !method->is_server_streaming && call->inbound.received != 1) {
        answer_without_reply(call);
    } else {
        answered(call, (enum status)status, REASON_SERVER, message);
    }
}

static int status_number(const struct http_header *status) {
    int number = 0;
    for (size_t i = 0; i < status->value_length && i < 3; i++)
        number = number * 10 + (status->value[i] - '0');
    return number;
}

/* How long the server wants us to wait; -1 for ever, as for whatever cannot be read (gRPC: A6, "Pushback"). */
static int64_t read_pushback(const struct http_header *field) {
    int64_t ms = 0;
    if (!field->value_length || field->value_length > 10) return -1;
    for (size_t i = 0; i < field->value_length; i++) {
        if (field->value[i] < '0' || field->value[i] > '9') return -1;
        ms = ms * 10 + (field->value[i] - '0');
    }
    return ms <= INT32_MAX ? ms * (int64_t)NS_PER_MS : -1;
}

/* A failure in one header block leaves room for another attempt. */
bool attempt_is_tried_again(struct rpc_call *call, const struct http_header *headers, size_t count) {
    static const char name[] = "grpc-retry-pushback-ms";
    const struct http_header *number = http_header_find(headers, count, "grpc-status");
    const struct http_header *pushback = http_header_find(headers, count, name);
    int status = number ? status_parse(number->value, number->value_length) : -1;
    if (status <= STATUS_OK) return false;
    struct rpc_outcome outcome = {.status = (enum status)status, .text = "", .has_pushback = pushback != NULL};
    if (pushback) {
        const struct http_header *rest = pushback + 1;
        bool is_repeated = http_header_find(rest, count - (size_t)(rest - headers), name) != NULL;
        outcome.pushback = is_repeated ? -1 : read_pushback(pushback);
    }
    return attempt_failed(call, &outcome);
}

/* Whoever answers without gRPC's content-type is no gRPC server: its HTTP status has to do. */
static void read_http_status(struct rpc_call *call, const struct http_header *headers, size_t count) {
    const struct http_header *status = http_header_find(headers, count, ":status");
    const struct http_header *type = http_header_find(headers, count, "content-type");
    int number = status ? status_number(status) : 0;
    char text[256];
    snprintf(text, sizeof text, "unexpected answer: HTTP status %d, content-type \"%.*s\"", number,
             type && type->value_length < 100 ? (int)type->value_length : 0, type ? type->value : "");
    call_fail(call, status_of_http(number), REASON_SERVER, text);
}

/* The server has said all, and wants no more of the request. */
static void stop_asking(struct rpc_call *call) {
    if (!call->has_sent_end && call->stream) http_stream_reset(call->stream, HTTP_NO_ERROR);
}

void grpc_client_response(void *user, const struct http_header *headers, size_t count, bool is_end) {
    struct rpc_call *call = user;
    if (!call || call->state != CALL_OPEN) return;
    if (call->is_raw) {
        raw_response(call, headers, count, is_end);
        return;
    }
    const struct http_header *type = http_header_find(headers, count, "content-type");
    const struct http_header *encoding = http_header_find(headers, count, "grpc-encoding");
    if (!type || !dialect_type_is_grpc((struct text){type->value, type->value_length})) {
        read_http_status(call, headers, count);
        return;
    }
    if (is_end) {
        if (attempt_is_tried_again(call, headers, count)) return;
        read_status(call, headers, count);
        stop_asking(call);
        return;
    }
    attempt_commit(call);
    if (encoding && encoding->value_length == 4 && memcmp(encoding->value, "gzip", 4) == 0)
        call->encoding = ENCODING_GZIP;
    call->peer_headers =
        peer_metadata_read(&call->call.rpc->reader, headers, count, &call->connection->last_metadata);
    if (!call->peer_headers) {
        call_fail(call, STATUS_INTERNAL, REASON_SERVER,
                  "the server has sent a -bin header that is not base64");
        return;
    }
    call->call.metadata = &call->peer_headers->metadata;
    call_wake(call, NEWS_HEADERS);
}

void grpc_client_end(struct rpc_call *call, const struct http_header *trailers, size_t count) {
    if (call->state != CALL_OPEN) return;
    if (call->is_raw) {
        raw_end(call, trailers, count);
        return;
    }
    if (count)
        read_status(call, trailers, count);
    else
        answered(call, STATUS_INTERNAL, REASON_SERVER, "the server has closed the stream without trailers");
    stop_asking(call);
}

/* A server that has seen the deadline pass first says CANCEL, as grpc-go does: one's own clock tells which it was. */
enum status attempt_reset_status(const struct rpc_call *call, uint32_t error) {
    bool is_late = call->call.deadline && loop_now(call->call.rpc->loop) >= call->call.deadline;
    return error == HTTP_CANCEL && is_late ? STATUS_DEADLINE_EXCEEDED : status_of_reset(error);
}

const char *attempt_reset_text(const struct rpc_call *call) {
    return call->was_reset_here ? "the server has broken the rules of HTTP/2, and the stream was reset"
                                : "the server has reset the stream";
}

void attempt_lost(const struct rpc_call *call, uint32_t error, bool is_connection, char *text, size_t size,
                  struct rpc_outcome *outcome) {
    *outcome = (struct rpc_outcome){
        .status = STATUS_UNAVAILABLE, .text = text, .is_unseen = error == HTTP_REFUSED_STREAM, .is_lost = is_connection};
    if (is_connection) {
        const struct http_session *session = call->connection->session;
        const char *reason = session ? http_session_reason(session) : NULL;
        snprintf(text, size, "the connection has failed: %s", reason ? reason : "unknown");
    } else {
        outcome->status = attempt_reset_status(call, error);
        if (outcome->status == STATUS_DEADLINE_EXCEEDED)
            snprintf(text, size, "the deadline has passed");
        else
            snprintf(text, size, "%s, HTTP/2 error %u", attempt_reset_text(call), error);
    }
}

void grpc_client_closed(struct rpc_call *call, uint32_t error, bool is_connection) {
    char text[256];
    struct rpc_outcome outcome;
    if (call->state != CALL_OPEN) return;
    attempt_lost(call, error, is_connection, text, sizeof text, &outcome);
    if (attempt_failed(call, &outcome)) return;
    answered(call, outcome.status, is_connection ? REASON_CONNECTION : REASON_SERVER, text);
}
