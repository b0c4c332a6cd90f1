/* rpc/grpc_web.c - gRPC-Web, binary and text, over any version of HTTP (grpc/grpc: doc/PROTOCOL-WEB.md): gRPC, but that
 * the trailers are the last piece of the body. */
#include "rpc/call_private.h"
#include "rpc/coding.h"
#include "rpc/grpc_server.h"
#include "rpc/status_text.h"

enum { FLAG_TRAILERS = 0x80 };

static bool translate(struct arrival *arrival) {
    struct header_block *block = arrival_translation(arrival, 0);
    for (size_t i = 0; i < arrival->count; i++) {
        const struct http_header *header = &arrival->headers[i];
        if (http_header_is(header, "x-grpc-web") || http_header_is(header, "content-length")) continue;
        header_block_add(block, header->name, header->name_length, header->value, header->value_length);
    }
    return true;
}

/* ---- binary ---- */

/* "name:value", each line ended, and no line behind the last (what the protocol says, and its clients look for). */
static void write_trailers(const struct header_block *block, struct buffer *out) {
    for (size_t i = 0; i < block->count; i++) {
        const struct http_header *header = &block->headers[i];
        buffer_append(out, header->name, header->name_length);
        buffer_append_byte(out, ':');
        buffer_append(out, header->value, header->value_length);
        buffer_append_text(out, "\r\n");
    }
}

static void send_end(struct rpc_call *call, const void *details, size_t details_length) {
    struct rpc *rpc = call->call.rpc;
    char number[4];
    if (grpc_send_trailers_only(call, details, details_length)) return;
    header_block_begin(&rpc->block, STATUS_TEXT_MOST + 2 * details_length, call->trailers, NULL);
    grpc_add_status(call, &rpc->block, number, details, details_length);
    buffer_clear(&rpc->scratch);
    write_trailers(&rpc->block, &rpc->scratch);
    call_send_last(call, buffer_bytes(&rpc->scratch), buffer_length(&rpc->scratch), FLAG_TRAILERS);
}

/* ---- text: base64 around all of it ---- */

/* What came before the fault counts. */
static void check_text(struct rpc_call *call, bool is_base64) {
    if (is_base64 || call->inbound.is_faulty) return;
    call->inbound.is_faulty = true;
    call_fault(call, STATUS_INTERNAL, REASON_CLIENT, "the body is not base64");
}

static void take_decoded(struct rpc_call *call, const struct buffer *decoded) {
    if (buffer_length(decoded)) inbound_receive(call, buffer_bytes(decoded), buffer_length(decoded));
    inbound_spill(call); /* the bytes go with the next piece */
}

static void receive_text(struct rpc_call *call, const uint8_t *bytes, size_t length) {
    struct inbound *in = &call->inbound;
    struct buffer *out = &call->call.rpc->coded;
    if (in->is_faulty || in->is_ended) return;
    struct base64_stream *text = &call_edge(call)->text;
    unsigned before = text->count;
    buffer_clear(out);
    bool is_base64 = base64_stream_read(text, out, bytes, length);
    take_decoded(call, out);
    check_text(call, is_base64);
    if (!is_base64) return;
    size_t whole = before + length - text->count; /* characters of the groups that have become bytes */
    call_give_window(call, whole - buffer_length(out));
}

static void end_text(struct rpc_call *call) {
    struct buffer *out = &call->call.rpc->coded;
    buffer_clear(out);
    bool is_base64 = !call->edge || base64_stream_end(&call->edge->text, out);
    take_decoded(call, out);
    check_text(call, is_base64);
    inbound_end(call);
}

/* Each piece has its own padding: clients decode whole groups of four as they come. */
static size_t pack_text(struct rpc_call *call, const void *data, size_t length, uint8_t flags) {
    struct rpc *rpc = call->call.rpc;
    struct buffer *framed = &rpc->framed;
    const uint8_t prefix[MESSAGE_PREFIX] = {flags, (uint8_t)(length >> 24), (uint8_t)(length >> 16),
                                            (uint8_t)(length >> 8), (uint8_t)length};
    buffer_clear(framed);
    buffer_append(framed, prefix, sizeof prefix);
    buffer_append(framed, data, length);
    size_t size = base64_padded_length(buffer_length(framed));
    struct message *message = message_new(size);
    message->length = (uint32_t)base64_encode(message->data, buffer_bytes(framed), buffer_length(framed), true);
    return outbox_add_packed(&call->outbox, &rpc->outboxes, message);
}

/* A client may ask for text, which it can read while it comes, as the answer to a binary request. */
static void begin(struct rpc_call *call, const struct arrival *arrival);

#define WEB(type_)                                                                                                   \
    .name = "grpc-web", .types = {TEXT(type_), TEXT(type_ "+proto"), TEXT(type_ "+json")}, .malformed = STATUS_INTERNAL, \
    .is_foreign = true, .translate = translate, .refuse = grpc_refuse, .send_headers = grpc_send_headers,               \
    .send_end = send_end

const struct dialect grpc_web_dialect = {
    WEB("application/grpc-web"), .begin = begin, .receive = inbound_receive, .end = inbound_end};

const struct dialect grpc_web_text_dialect = {
    WEB("application/grpc-web-text"), .receive = receive_text, .end = end_text, .pack = pack_text};

static const struct dialect text_answer = {
    WEB("application/grpc-web-text"), .receive = inbound_receive, .end = inbound_end, .pack = pack_text};

static void begin(struct rpc_call *call, const struct arrival *arrival) {
    struct text list = arrival->request.accept;
    enum codec codec;
    while (list.length) {
        if (!text_is(request_type_split(text_cut(list, ',', &list), &codec), "application/grpc-web-text")) continue;
        call->dialect = &text_answer;
        call_set_compressing(call, call->is_compressing);
        return;
    }
}
