/* rpc/grpc_server.c - gRPC over HTTP/2, the answering side (grpc/grpc: doc/PROTOCOL-HTTP2.md; where it leaves a choice,
 * what grpc-go does). */
#include "rpc/grpc_server.h"

#include <stdio.h>

#include "rpc/call_private.h"
#include "rpc/meter.h"
#include "rpc/status_text.h"

enum { TYPE_MOST = 64 /* of a content-type that is repeated to the peer */ };

#define HEADER(name_, value_)                                                                                \
    { .name = name_, .value = value_, .name_length = sizeof(name_) - 1, .value_length = sizeof(value_) - 1 }

static const char *http_status(enum refusal refusal) {
    switch (refusal) {
    case REFUSED_MALFORMED: return "400";
    case REFUSED_VERB: return "405";
    default: return "200";
    }
}

enum { PUSHBACK_TEXT = 16 };

/* What a client that retries by itself waits for (gRPC: A6, "Pushback"): nothing of an answer has come to it yet. */
static void add_pushback(struct header_block *block, const struct meter_verdict *verdict, char text[PUSHBACK_TEXT]) {
    if (!verdict->retry || verdict->retry == RETRY_NEVER) return; /* no wait of a client's changes anything */
    int length = snprintf(text, PUSHBACK_TEXT, "%u", (unsigned)meter_pushback_ms(verdict));
    header_block_add(block, "grpc-retry-pushback-ms", 22, text, (size_t)length);
}

/* The whole answer in one header block; there is no call. */
void grpc_refuse(const struct arrival *arrival, enum refusal refusal, enum status status, const char *text) {
    struct header_block *block = &arrival->connection->rpc->block;
    const struct request *request = &arrival->request;
    bool is_repeated = request->type.length <= TYPE_MOST;
    const struct text *type = is_repeated ? &request->type : &arrival->dialect->types[CODEC_PLAIN];
    uint8_t details[METER_DETAILS_MOST];
    char number[4], pushback[PUSHBACK_TEXT];
    int length = snprintf(number, sizeof number, "%d", (int)status);
    size_t details_length = arrival->verdict ? meter_write_details(arrival->verdict, details) : 0;
    header_block_begin(block, STATUS_TEXT_MOST + 2 * details_length, NULL, NULL);
    header_block_add(block, ":status", 7, http_status(refusal), 3);
    header_block_add(block, "content-type", 12, type->data, type->length);
    if (refusal == REFUSED_ENCODING) HEADER_BLOCK_ADD(block, "grpc-accept-encoding", "gzip");
    header_block_add(block, "grpc-status", 11, number, (size_t)length);
    header_block_add_message(block, text);
    if (details_length) header_block_add_binary(block, "grpc-status-details-bin", 23, details, details_length);
    if (arrival->verdict) add_pushback(block, arrival->verdict, pushback);
    arrival_answer(arrival, status, block, NULL, 0);
}

static void begin_headers(const struct rpc_call *call, struct header_block *block) {
    const struct text *type = &call->dialect->types[call->codec];
    HEADER_BLOCK_ADD(block, ":status", "200");
    header_block_add(block, "content-type", 12, type->data, type->length);
}

void grpc_send_headers(struct rpc_call *call) {
    static const struct http_header plain[] = {HEADER(":status", "200"),
                                               HEADER("content-type", "application/grpc")};
    call->has_sent_headers = true;
    if (!call->headers && !call->names_gzip && call->codec == CODEC_PLAIN && call->dialect == &grpc_dialect &&
        !call->connection->cors) {
        http_stream_respond(call->stream, plain, 2, false);
        return;
    }
    struct header_block *block = &call->call.rpc->block;
    header_block_begin(block, 0, call->headers, NULL);
    begin_headers(call, block);
    if (call->names_gzip) HEADER_BLOCK_ADD(block, "grpc-encoding", "gzip");
    header_block_add_metadata(block, call->headers);
    call_respond(call, block, false);
}

void grpc_add_status(const struct rpc_call *call, struct header_block *block, char number[4], const void *details,
                     size_t details_length) {
    int length = snprintf(number, 4, "%d", call->status);
    header_block_add(block, "grpc-status", 11, number, (size_t)length);
    if (call->text) header_block_add_message(block, call->text);
    if (details_length)
        header_block_add_binary(block, "grpc-status-details-bin", 23, details, details_length);
    header_block_add_metadata(block, call->trailers);
}

/* Trailers-Only where nothing was sent and no headers were set: only that lets a client retry. */
bool grpc_send_trailers_only(struct rpc_call *call, const void *details, size_t details_length) {
    struct header_block *block = &call->call.rpc->block;
    char number[4], pushback[PUSHBACK_TEXT];
    if (!call->has_sent_headers && call->headers && call->headers->count) grpc_send_headers(call);
    if (call->has_sent_headers) return false;
    call->has_sent_headers = true;
    header_block_begin(block, STATUS_TEXT_MOST + 2 * details_length, call->trailers, NULL);
    begin_headers(call, block);
    grpc_add_status(call, block, number, details, details_length);
    if (call->meter && call->meter->verdict.is_passed) add_pushback(block, &call->meter->verdict, pushback);
    call_respond(call, block, true);
    return true;
}

static void send_end(struct rpc_call *call, const void *details, size_t details_length) {
    static const struct http_header ok[] = {HEADER("grpc-status", "0")};
    struct header_block *block = &call->call.rpc->block;
    char number[4];
    if (grpc_send_trailers_only(call, details, details_length)) return;
    if (call->status == STATUS_OK && !call->text && !call->trailers && !details_length) {
        http_stream_finish(call->stream, ok, 1);
        return;
    }
    header_block_begin(block, STATUS_TEXT_MOST + 2 * details_length, call->trailers, NULL);
    grpc_add_status(call, block, number, details, details_length);
    http_stream_finish(call->stream, block->headers, block->count);
}

const struct dialect grpc_dialect = {
    .name = "grpc",
    .types = {TEXT("application/grpc"), TEXT("application/grpc+proto"), TEXT("application/grpc+json")},
    .malformed = STATUS_INTERNAL,
    .needs_http2 = true,
    .refuse = grpc_refuse,
    .receive = inbound_receive,
    .end = inbound_end,
    .send_headers = grpc_send_headers,
    .send_end = send_end,
};
