/* rpc/websocket_call.c - see websocket.h */
#include <stdio.h>
#include <stdlib.h>

#include "rpc/call_private.h"
#include "rpc/connect.h"
#include "rpc/goa.h"
#include "rpc/status_text.h"
#include "rpc/websocket.h"
#include "websocket/deflate.h"
#include "websocket/frame.h"
#include "websocket/utf8.h"

enum { DEFLATE_LEAST = 64 /* shorter ones gain nothing */ };

static struct websocket_call *websocket_of(const struct rpc_call *call) { return call->edge->websocket; }

void websocket_call_free(struct websocket_call **handle) {
    struct websocket_call *websocket = *handle;
    *handle = NULL;
    if (!websocket) return;
    timer_stop(websocket->call->call.rpc->loop, &websocket->alive);
    task_cancel(&websocket->upgrade);
    buffer_free(&websocket->accept);
    websocket_reader_free(&websocket->reader);
    free(websocket);
}

/* ---- faults ---- */

static void fault(struct rpc_call *call, int code, enum status status, const char *text) {
    struct websocket_call *websocket = websocket_of(call);
    if (!websocket->code) websocket->code = (uint16_t)code;
    call->inbound.is_faulty = true;
    websocket_reader_stop(websocket->reader);
    call_fault(call, status, REASON_CLIENT, "%s", text);
}

struct message *websocket_call_inflate(struct rpc_call *call, const void *data, size_t length) {
    struct utf8 utf8 = {0};
    struct message *message = NULL;
    switch (websocket_inflate(call->call.rpc->deflater, data, length, call->most_message, &message)) {
    case WEBSOCKET_INFLATED:
        if (call->codec != CODEC_JSON) return message;
        if (utf8_check(&utf8, message->data, message->length) && utf8_is_whole(&utf8)) return message;
        message_unref(&message);
        fault(call, WEBSOCKET_BAD_DATA, STATUS_INVALID_ARGUMENT, "a text is no UTF-8");
        break;
    case WEBSOCKET_INFLATED_TOO_LARGE:
        counter_add(&call->call.rpc->counters.limited, 1);
        fault(call, WEBSOCKET_TOO_LARGE, STATUS_RESOURCE_EXHAUSTED,
              "received message after decompression larger than max");
        break;
    default:
        fault(call, WEBSOCKET_BAD_DATA, STATUS_INTERNAL, "a message could not be decompressed");
        break;
    }
    return NULL;
}

/* ---- messages that come ---- */

static void begin_message(void *context, bool is_text, bool is_compressed) {
    struct rpc_call *call = context;
    struct websocket_call *websocket = websocket_of(call);
    websocket->is_text = is_text;
    websocket->is_compressed = is_compressed;
    websocket->is_late = call->inbound.is_ended;
    websocket->length = 0;
    if (call->codec == CODEC_JSON && !is_text && !call->is_goa)
        fault(call, WEBSOCKET_UNSUPPORTED, STATUS_INVALID_ARGUMENT, "messages are texts here");
}

static void receive_payload(struct rpc_call *call, const uint8_t *bytes, size_t length) {
    struct websocket_call *websocket = websocket_of(call);
    inbound_receive_whole(call, bytes, length);
    if (call->inbound.is_faulty && !websocket->code) websocket->code = WEBSOCKET_TOO_LARGE;
}

/* More than a half-close could have: what is it, then? */
static void refuse_payload(struct rpc_call *call) {
    const struct method *method = call->call.method;
    if (websocket_of(call)->is_late && method->is_client_streaming)
        fault(call, WEBSOCKET_PROTOCOL_ERROR, STATUS_INVALID_ARGUMENT, "a message came behind the half-close");
    else if (websocket_of(call)->is_late)
        fault(call, WEBSOCKET_PROTOCOL_ERROR, STATUS_UNIMPLEMENTED, "the method has one request message, more than one came");
    else
        fault(call, WEBSOCKET_UNSUPPORTED, STATUS_INVALID_ARGUMENT, "messages are binary here");
}

static bool is_refused(const struct rpc_call *call) {
    const struct websocket_call *websocket = websocket_of(call);
    return websocket->is_late || (websocket->is_text && call->codec != CODEC_JSON);
}

/* What waits for more to be known is the message's already, whatever read brings that. */
static void take_payload(void *context, const uint8_t *bytes, size_t length) {
    struct rpc_call *call = context;
    struct websocket_call *websocket = websocket_of(call);
    size_t room = websocket->length < sizeof websocket->begun ? sizeof websocket->begun - websocket->length : 0;
    size_t step = length < room ? length : room;
    bool was_short = websocket->length <= sizeof websocket->begun;
    if (step) memcpy(websocket->begun + websocket->length, bytes, step);
    websocket->length += length;
    websocket->taken += length;
    if (step == length) return; /* it is short still */
    if (is_refused(call)) {
        refuse_payload(call);
        return;
    }
    if (was_short) receive_payload(call, websocket->begun, sizeof websocket->begun);
    receive_payload(call, bytes + step, length - step);
}

/* "null", with white space around it. */
static bool is_null(const uint8_t *text, size_t length) {
    const char *at = (const char *)text, *end = at + length;
    while (at < end && strchr(" \t\r\n", *at)) at++;
    while (at < end && strchr(" \t\r\n", end[-1])) end--;
    return end - at == 4 && memcmp(at, "null", 4) == 0;
}

/* An empty text, which is no JSON; to Goa "null". */
static bool means_half_close(const struct rpc_call *call, const uint8_t *text, size_t length) {
    return call->is_goa ? is_null(text, length) : !length;
}

/* Compressed it is some bytes long. */
static bool is_half_close(struct rpc_call *call) {
    const struct websocket_call *websocket = websocket_of(call);
    const size_t most = sizeof websocket->begun;
    struct message *message = NULL;
    if (!(websocket->is_text || call->is_goa) || websocket->length > most) return false;
    if (!websocket->is_compressed) return means_half_close(call, websocket->begun, websocket->length);
    if (websocket_inflate(call->call.rpc->deflater, websocket->begun, websocket->length, most, &message) !=
        WEBSOCKET_INFLATED)
        return false;
    bool is_one = means_half_close(call, message->data, message->length);
    message_unref(&message);
    return is_one;
}

/* A message costs more than its payload, and an empty one something: its frame's head, as much of it as gRPC's prefix has
 * bytes, counts against the window, too. What of it an earlier read has brought is given back already. */
static void hold_head(struct rpc_call *call) {
    struct websocket_call *websocket = websocket_of(call);
    size_t there = websocket->read - websocket->taken;
    uint32_t held = there < MESSAGE_PREFIX ? (uint32_t)there : MESSAGE_PREFIX;
    websocket->taken += held;
    call->inbound.owed += held;
}

static void end_message(void *context) {
    struct rpc_call *call = context;
    struct websocket_call *websocket = websocket_of(call);
    if (is_half_close(call)) {
        call->inbound.is_ended = true;
        call_give_window(call, (size_t)websocket->length); /* it was no message's */
    } else if (is_refused(call)) {
        refuse_payload(call);
    } else {
        if (websocket->length <= sizeof websocket->begun) receive_payload(call, websocket->begun, websocket->length);
        hold_head(call);
        inbound_end_message(call, websocket->is_compressed);
        if (!call->call.method->is_client_streaming) call->inbound.is_ended = true;
    }
}

/* ---- control frames ---- */

static void take_ping(void *context, const uint8_t *bytes, size_t length) {
    websocket_send_control(context, WEBSOCKET_PONG, bytes, length);
}

static void take_pong(void *context) { (void)context; }

static void add_close(struct rpc_call *call, int code, const char *reason) {
    struct buffer clean = {0}, frame = {0};
    status_text_clean(&clean, reason, strlen(reason));
    websocket_write_close(&frame, code, (const char *)buffer_bytes(&clean), buffer_length(&clean));
    struct message *message = message_copy(buffer_bytes(&frame), buffer_length(&frame));
    account_charge(call, outbox_add_packed(&call->outbox, &call->call.rpc->outboxes, message));
    buffer_free(&clean);
    buffer_free(&frame);
}

/* Behind half a message there can be no frame, and none before the handshake's answer. */
static void end_wire(struct rpc_call *call, int code, const char *reason) {
    if (call->outbox.is_cut || !websocket_of(call)->is_upgraded) {
        http_stream_reset(call->stream, HTTP_CANCEL);
        return;
    }
    add_close(call, code, reason);
    http_stream_finish(call->stream, NULL, 0);
}

/* Whoever closes wants no more answers, so that is a cancel; the same code goes back. */
static void take_close(void *context, int code, const char *reason, size_t length) {
    struct rpc_call *call = context;
    char text[200];
    int quoted = snprintf(text, sizeof text, "the client has closed the WebSocket (%d)", code);
    if (length) snprintf(text + quoted, sizeof text - (size_t)quoted, ": %.*s", (int)length, reason);
    call_end(call, STATUS_CANCELLED, REASON_CLIENT, text);
    if (call->stream) end_wire(call, code, "");
}

/* ---- the body ---- */

static const struct websocket_events events = {begin_message, take_payload, end_message,
                                               take_ping,     take_pong,    take_close};

static void receive(struct rpc_call *call, const uint8_t *bytes, size_t length) {
    struct websocket_call *websocket = websocket_of(call);
    const char *text;
    int code;
    websocket_alive_heard(websocket);
    websocket->read = length;
    websocket->taken = 0;
    if (!websocket_read(websocket->reader, bytes, length, &code, &text))
        fault(call, code, code == WEBSOCKET_BAD_DATA ? STATUS_INVALID_ARGUMENT : STATUS_INTERNAL, text);
    if (length > websocket->taken) call_give_window(call, length - websocket->taken);
}

/* Of an upgrade in HTTP/1.1 this says that its request had no body. */
static void end(struct rpc_call *call) {
    if (http_stream_version(call->stream) < HTTP_2) return;
    call_end(call, STATUS_CANCELLED, REASON_CLIENT, "the client has ended the WebSocket without closing it");
    if (call->stream) http_stream_reset(call->stream, HTTP_CANCEL);
}

static void upgrade(struct rpc_call *call) {
    websocket_of(call)->is_upgraded = true;
    websocket_upgrade(call);
}

/* The handler has had a turn, and may have failed, or said what belongs to the handshake's answer. */
static void upgrade_late(struct task *task) {
    struct websocket_call *websocket = container_of(task, struct websocket_call, upgrade);
    struct rpc_call *call = websocket->call;
    if (call->stream && call->state < CALL_FINISHING && !websocket->is_upgraded) call->dialect->send_headers(call);
}

/* The request message of a method that has one is not sent: it stands in the handshake. */
static void put_payload(struct rpc_call *call, const struct arrival *arrival) {
    struct buffer *json = &call->call.rpc->framed;
    buffer_clear(json);
    goa_write_payload(json, call->call.method->request, arrival->headers, arrival->count);
    inbound_put(call, message_copy(buffer_bytes(json), buffer_length(json)), false, 0);
    call->inbound.is_ended = true;
    call_wake(call, NEWS_OPEN);
}

static void begin_goa(struct rpc_call *call, const struct arrival *arrival) {
    call->is_goa = true;
    if (!call->call.method->is_client_streaming) put_payload(call, arrival);
    loop_defer(call->call.rpc->loop, LOOP_FLUSH, &websocket_of(call)->upgrade);
}

static void begin(struct rpc_call *call, const struct arrival *arrival) {
    struct websocket_call *websocket = memory_new(sizeof *websocket);
    bool may_compress = arrival->websocket.deflation.window_bits > 0;
    call_edge(call)->websocket = websocket;
    websocket->call = call;
    websocket->form = (uint8_t)arrival->websocket.form;
    websocket->deflation = arrival->websocket.deflation;
    websocket->reader = websocket_reader_new(&events, call, may_compress);
    call->encoding = may_compress ? ENCODING_DEFLATE : ENCODING_IDENTITY;
    call->accepts_gzip = false;
    websocket_alive_begin(websocket);
    task_init(&websocket->upgrade, upgrade_late);
    websocket_write_accept(&websocket->accept, arrival->websocket.key);
    if (websocket->form == WEBSOCKET_GOA) begin_goa(call, arrival);
    else upgrade(call);
}

/* ---- what is sent ---- */

static struct message *frame_of(enum websocket_opcode opcode, bool is_compressed, const void *data, size_t length) {
    struct message *message = message_new(WEBSOCKET_HEAD_MOST + length);
    size_t head = websocket_write_head(message->data, opcode, is_compressed, length);
    if (length) memcpy(message->data + head, data, length);
    message->length = (uint32_t)(head + length);
    return message;
}

static struct message *frame_payload(struct rpc_call *call, enum websocket_opcode opcode, const void *data,
                                     size_t length) {
    struct rpc *rpc = call->call.rpc;
    unsigned bits = websocket_of(call)->deflation.window_bits;
    if (!bits || length < DEFLATE_LEAST) return frame_of(opcode, false, data, length);
    buffer_clear(&rpc->compressed);
    websocket_deflate(rpc->deflater, bits, data, length, &rpc->compressed);
    if (buffer_length(&rpc->compressed) >= length) return frame_of(opcode, false, data, length);
    return frame_of(opcode, true, buffer_bytes(&rpc->compressed), buffer_length(&rpc->compressed));
}

static size_t send_payload(struct rpc_call *call, enum websocket_opcode opcode, const void *data, size_t length) {
    struct message *frame = frame_payload(call, opcode, data, length);
    return outbox_add_packed(&call->outbox, &call->call.rpc->outboxes, frame);
}

static size_t pack(struct rpc_call *call, const void *data, size_t length, uint8_t flags) {
    struct buffer *text = &call->call.rpc->framed;
    (void)flags;
    if (websocket_of(call)->form == WEBSOCKET_PROTO) return send_payload(call, WEBSOCKET_BINARY, data, length);
    if (websocket_of(call)->form == WEBSOCKET_BARE) return send_payload(call, WEBSOCKET_TEXT, data, length);
    buffer_clear(text);
    if (!call->is_goa) buffer_append_text(text, "{\"message\":");
    buffer_append(text, data, length);
    buffer_append_byte(text, call->is_goa ? '\n' : '}');
    return send_payload(call, WEBSOCKET_TEXT, buffer_bytes(text), buffer_length(text));
}

static void send_word(struct rpc_call *call, const struct buffer *text) {
    account_charge(call, send_payload(call, WEBSOCKET_TEXT, buffer_bytes(text), buffer_length(text)));
}

/* A reply that is held until the end holds nothing else, and goes alone where the call fails. */
static void send_word_ahead(struct rpc_call *call, const struct buffer *text) {
    struct message *frame = frame_payload(call, WEBSOCKET_TEXT, buffer_bytes(text), buffer_length(text));
    buffer_append(&call->edge->ahead, frame->data, frame->length);
    message_unref(&frame);
}

static bool has_words(const struct rpc_call *call) {
    uint8_t form = websocket_of(call)->form;
    return form == WEBSOCKET_JSON || form == WEBSOCKET_PROTO;
}

static void send_headers(struct rpc_call *call) {
    struct buffer *text = &call->call.rpc->framed;
    call->has_sent_headers = true;
    if (!websocket_of(call)->is_upgraded) upgrade(call);
    if (!has_words(call) || !call->headers || !call->headers->count) return;
    buffer_clear(text);
    buffer_append_text(text, "{\"headers\":{");
    connect_write_metadata(text, call->headers);
    buffer_append_text(text, "}}");
    if (call_holds_reply(call)) send_word_ahead(call, text);
    else send_word(call, text);
    http_stream_resume(call->stream);
}

static int code_of(const struct rpc_call *call) {
    const struct websocket_call *websocket = websocket_of(call);
    if (websocket->code) return websocket->code;
    if (call->is_goa) return call->status == STATUS_OK ? WEBSOCKET_NORMAL : WEBSOCKET_INTERNAL_ERROR;
    if (call->reason == REASON_DRAIN) return WEBSOCKET_GOING_AWAY;
    return call->status == STATUS_OK ? WEBSOCKET_NORMAL : WEBSOCKET_STATUS_BASE + call->status;
}

static void send_end(struct rpc_call *call, const void *details, size_t details_length) {
    struct buffer *text = &call->call.rpc->framed;
    if (!websocket_of(call)->is_upgraded && call->status != STATUS_OK) {
        goa_send_error(call, details, details_length);
        return;
    }
    if (!call->has_sent_headers) send_headers(call);
    if (has_words(call) && !call->outbox.is_cut) {
        buffer_clear(text);
        buffer_append_text(text, "{\"end\":");
        connect_write_end(text, call, details, details_length);
        buffer_append_byte(text, '}');
        send_word(call, text);
    }
    end_wire(call, code_of(call), call->text ? call->text : "");
}

const struct dialect websocket_dialect = {
    .name = "websocket",
    .malformed = STATUS_INVALID_ARGUMENT,
    .is_foreign = true,
    .is_duplex = true,
    .translate = websocket_translate,
    .refuse = websocket_refuse,
    .begin = begin,
    .receive = receive,
    .end = end,
    .pack = pack,
    .send_headers = send_headers,
    .send_end = send_end,
};
