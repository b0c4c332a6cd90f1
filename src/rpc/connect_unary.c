/* rpc/connect_unary.c - see connect.h: methods with one message each way, by POST, or by GET where they change nothing.
 * Nothing leaves before the end is known: the status is HTTP's, and trailers stand among the headers. */
#include <stdio.h>

#include "rpc/call_private.h"
#include "rpc/connect.h"
#include "rpc/meter.h"

void connect_refuse(const struct arrival *arrival, enum refusal refusal, enum status status, const char *text) {
    struct rpc *rpc = arrival->connection->rpc;
    struct header_block *block = &rpc->block;
    struct buffer *json = &rpc->scratch;
    uint8_t details[METER_DETAILS_MOST];
    size_t details_length = arrival->verdict ? meter_write_details(arrival->verdict, details) : 0;
    buffer_clear(json);
    if (refusal == REFUSED_VERB) status = STATUS_UNKNOWN; /* as clients read a 405, which others answer without a body */
    connect_write_error(json, status, text, details, details_length, NULL);
    header_block_begin(block, 0, NULL, NULL);
    header_block_add(block, ":status", 7, connect_http_status(refusal, status), 3);
    HEADER_BLOCK_ADD(block, "content-type", "application/json");
    if (refusal == REFUSED_VERB) HEADER_BLOCK_ADD(block, "allow", "POST");
    if (refusal == REFUSED_ENCODING) HEADER_BLOCK_ADD(block, "accept-encoding", "gzip");
    if (refusal == REFUSED_TYPE)
        HEADER_BLOCK_ADD(block, "accept-post",
                         "application/proto, application/json, application/connect+proto, application/connect+json");
    arrival_answer(arrival, status, block, buffer_bytes(json), buffer_length(json));
}

/* The handler may set no more headers; they leave with the end. */
static void send_headers(struct rpc_call *call) { call->has_sent_headers = true; }

static size_t pack(struct rpc_call *call, const void *data, size_t length, uint8_t flags) {
    call_edge(call)->is_reply_compressed = flags & MESSAGE_COMPRESSED;
    if (!length) return 0; /* an outbox holds nothing that has no bytes */
    return outbox_add_packed(&call->outbox, &call->call.rpc->outboxes, message_copy(data, length));
}

/* ---- the answer ---- */

static const char trailer_prefix[] = "trailer-";
enum { PREFIX = sizeof trailer_prefix - 1 };

static size_t names_length(const struct metadata *trailers) {
    size_t length = 0;
    for (size_t i = 0; trailers && i < trailers->count; i++) length += PREFIX + trailers->entries[i].name_length;
    return length;
}

/* As other metadata; then the names get longer, in the block's own memory. */
static void add_trailers(struct header_block *block, const struct metadata *trailers) {
    size_t first = block->count;
    header_block_add_metadata(block, trailers);
    for (size_t i = first; i < block->count; i++) {
        struct http_header *header = &block->headers[i];
        char *name = (char *)block->text.data + block->text.end;
        memcpy(name, trailer_prefix, PREFIX);
        memcpy(name + PREFIX, header->name, header->name_length);
        buffer_commit(&block->text, PREFIX + header->name_length);
        header->name = name;
        header->name_length += PREFIX;
    }
}

static void add_metadata(const struct rpc_call *call, struct header_block *block) {
    if (call->dialect != &connect_unary_dialect) HEADER_BLOCK_ADD(block, "vary", "Accept-Encoding"); /* it may be cached */
    header_block_add_metadata(block, call->headers);
    add_trailers(block, call->trailers);
}

void connect_send_reply(struct rpc_call *call, struct text type, bool is_bare) {
    struct header_block *block = &call->call.rpc->block;
    char digits[24];
    int digit_count = snprintf(digits, sizeof digits, "%zu", call->outbox.bytes);
    header_block_begin(block, names_length(call->trailers), call->headers, call->trailers);
    HEADER_BLOCK_ADD(block, ":status", "200");
    header_block_add(block, "content-type", 12, type.data, type.length);
    if (call->edge && call->edge->is_reply_compressed) HEADER_BLOCK_ADD(block, "content-encoding", "gzip");
    header_block_add(block, "content-length", 14, digits, (size_t)digit_count);
    add_metadata(call, block);
    if (is_bare) call_drop_queued(call);
    call_respond(call, block, !call->outbox.bytes);
    if (call->outbox.bytes) http_stream_finish(call->stream, NULL, 0);
}

void connect_send_error(struct rpc_call *call, const struct buffer *json) {
    struct header_block *block = &call->call.rpc->block;
    header_block_begin(block, names_length(call->trailers), call->headers, call->trailers);
    header_block_add(block, ":status", 7, connect_http_status(REFUSED_AS_STATUS, (enum status)call->status), 3);
    HEADER_BLOCK_ADD(block, "content-type", "application/json");
    add_metadata(call, block);
    call_respond_whole(call, block, buffer_bytes(json), buffer_length(json));
}

static void send_error(struct rpc_call *call, const void *details, size_t details_length) {
    struct buffer *json = &call->call.rpc->scratch;
    buffer_clear(json);
    connect_write_error(json, (enum status)call->status, call->text, details, details_length, connect_schema(call));
    connect_send_error(call, json);
}

static void send_end(struct rpc_call *call, const void *details, size_t details_length) {
    call->has_sent_headers = true;
    if (call->status == STATUS_OK) connect_send_reply(call, call->dialect->types[call->codec], false);
    else send_error(call, details, details_length);
}

#define UNARY                                                                                                     \
    .name = "connect", .types = {TEXT("application/proto"), TEXT("application/proto"), TEXT("application/json")}, \
    .malformed = STATUS_INVALID_ARGUMENT, .shape = SHAPE_UNARY, .is_foreign = true, .refuse = connect_refuse,     \
    .pack = pack, .send_headers = send_headers, .send_end = send_end

const struct dialect connect_unary_dialect = {
    UNARY, .translate = connect_translate_unary, .receive = inbound_receive_whole, .end = inbound_end_whole};

/* A body is none of such a request: its bytes are passed over. */
static void receive_nothing(struct rpc_call *call, const uint8_t *bytes, size_t length) {
    (void)bytes;
    call_give_window(call, length);
}

const struct dialect connect_get_dialect = {UNARY, .is_safe = true, .translate = connect_translate_get,
                                            .begin = connect_begin_get, .receive = receive_nothing, .end = inbound_end};
