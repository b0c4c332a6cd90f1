/* rpc/connect_stream.c - see connect.h: methods that stream. Envelopes are gRPC's framed messages, and one more. */
#include "rpc/call_private.h"
#include "rpc/connect.h"
#include "rpc/meter.h"

enum { FLAG_END = 2 };

/* What HTTP has a status for has that; all else is a stream that ends at once. */
static void refuse(const struct arrival *arrival, enum refusal refusal, enum status status, const char *text) {
    struct rpc *rpc = arrival->connection->rpc;
    struct header_block *block = &rpc->block;
    if (refusal != REFUSED_AS_STATUS && refusal != REFUSED_MALFORMED && refusal != REFUSED_ENCODING) {
        connect_refuse(arrival, refusal, status, text);
        return;
    }
    const struct text *type = &arrival->dialect->types[arrival->codec == CODEC_JSON ? CODEC_JSON : CODEC_PROTO];
    struct message *end = message_new(0);
    struct buffer *json = &rpc->scratch;
    uint8_t details[METER_DETAILS_MOST];
    size_t details_length = arrival->verdict ? meter_write_details(arrival->verdict, details) : 0;
    buffer_clear(json);
    buffer_append_text(json, "{\"error\":");
    connect_write_error(json, status, text, details, details_length, NULL);
    buffer_append_byte(json, '}');
    end = message_resize(end, buffer_length(json));
    memcpy(end->data, buffer_bytes(json), buffer_length(json));
    end->length = (uint32_t)buffer_length(json);
    message_set_prefix(end, 0);
    end->prefix[0] = FLAG_END;
    header_block_begin(block, 0, NULL, NULL);
    HEADER_BLOCK_ADD(block, ":status", "200");
    header_block_add(block, "content-type", 12, type->data, type->length);
    if (refusal == REFUSED_ENCODING) HEADER_BLOCK_ADD(block, "connect-accept-encoding", "gzip");
    arrival_answer(arrival, status, block, end->prefix, MESSAGE_PREFIX + end->length);
    message_unref(&end);
}

static void send_headers(struct rpc_call *call) {
    struct header_block *block = &call->call.rpc->block;
    const struct text *type = &call->dialect->types[call->codec];
    call->has_sent_headers = true;
    header_block_begin(block, 0, call->headers, NULL);
    HEADER_BLOCK_ADD(block, ":status", "200");
    header_block_add(block, "content-type", 12, type->data, type->length);
    if (call->names_gzip) HEADER_BLOCK_ADD(block, "connect-content-encoding", "gzip");
    header_block_add_metadata(block, call->headers);
    call_respond(call, block, false);
}

static void send_end(struct rpc_call *call, const void *details, size_t details_length) {
    struct buffer *json = &call->call.rpc->scratch;
    if (!call->has_sent_headers) send_headers(call);
    buffer_clear(json);
    connect_write_end(json, call, details, details_length);
    call_send_last(call, buffer_bytes(json), buffer_length(json), FLAG_END);
}

const struct dialect connect_stream_dialect = {
    .name = "connect",
    .types = {TEXT("application/connect+proto"), TEXT("application/connect+proto"), TEXT("application/connect+json")},
    .malformed = STATUS_INVALID_ARGUMENT,
    .shape = SHAPE_STREAM,
    .is_foreign = true,
    .translate = connect_translate_stream,
    .refuse = refuse,
    .receive = inbound_receive,
    .end = inbound_end,
    .send_headers = send_headers,
    .send_end = send_end,
};
