/* rpc/rest_call.c - see rest.h */
#include <stdlib.h>
#include <strings.h>

#include "rpc/call_private.h"
#include "rpc/connect.h"
#include "rpc/rest.h"

static struct rest_call *rest_in(const struct rpc_call *call) { return call->edge->rest; }

void rest_call_free(struct rest_call **handle) {
    struct rest_call *rest = *handle;
    *handle = NULL;
    if (!rest) return;
    if (rest->form == REST_EVENTS) rest_events_end(rest);
    buffer_free(&rest->bound);
    buffer_free(&rest->type);
    buffer_free(&rest->id);
    free(rest);
}

/* ---- the request ---- */

static const struct {
    const char *type;
    enum rest_form form;
} accepted[] = {{"text/event-stream", REST_EVENTS},
                {"application/json", REST_LIST},
                {"application/x-ndjson", REST_LINES},
                {"application/ndjson", REST_LINES},
                {"application/jsonl", REST_LINES}};

/* The first of the types that the client names, and that is spoken here. */
static enum rest_form form_of(const struct rest_route *route, struct text list) {
    if (!route->method->is_server_streaming) return REST_WHOLE;
    if (route->is_answer_raw) return REST_RAW;
    while (list.length) {
        struct text parameters, type = text_cut(text_cut(list, ',', &list), ';', &parameters);
        if (text_is(parameters, "q=0")) continue;
        for (size_t i = 0; i < sizeof accepted / sizeof *accepted; i++)
            if (type.length == strlen(accepted[i].type) && !strncasecmp(type.data, accepted[i].type, type.length))
                return accepted[i].form;
    }
    return REST_LINES;
}

static void send_plainly(struct rpc_call *call) {
    call->accepts_gzip = call->names_gzip = false;
    call_set_compressing(call, false);
}

/* The request stands in the path and in the query alone. */
static void put_bound(struct rpc_call *call) {
    struct buffer *bound = &rest_in(call)->bound;
    size_t length = buffer_length(bound);
    call->reads_json = false;
    call->encoding = ENCODING_IDENTITY;
    inbound_put(call, length ? message_copy(buffer_bytes(bound), length) : message_new(0), false, 0);
    buffer_free(bound);
}

static void begin(struct rpc_call *call, const struct arrival *arrival) {
    const struct path_route *route = arrival->rest.route;
    struct rest_call *rest = memory_new(sizeof *rest);
    struct error error;
    call_edge(call)->rest = rest;
    rest->call = call;
    rest->route = route->rest;
    rest->form = (uint8_t)form_of(route->rest, arrival->request.accept);
    rest->is_head = text_is(arrival->rest.verb, "HEAD");
    rest->is_untyped = !arrival->request.type.length && !route->rest->is_body_raw;
    if (route->rest->is_body_raw) buffer_append(&rest->type, arrival->request.type.data, arrival->request.type.length);
    if (rest->form != REST_WHOLE) send_plainly(call);
    if (rest->form == REST_EVENTS) rest_events_begin(rest);
    if (!rest_bind(rest, route->path, arrival->rest.target, &error)) {
        call->inbound.is_faulty = true;
        call_fault(call, STATUS_INVALID_ARGUMENT, REASON_CLIENT, "%s", error.text);
    } else if (!rest->route->has_body) {
        put_bound(call);
    }
}

/* ---- bodies ---- */

static void end_line(struct rpc_call *call) {
    if (call->inbound.have) inbound_end_message(call, false);
}

static size_t count_blanks(const uint8_t *bytes, size_t length) {
    size_t count = 0;
    while (count < length && (bytes[count] == ' ' || bytes[count] == '\t' || bytes[count] == '\r')) count++;
    return count;
}

/* A line is a message, unless it is blank. */
static void receive_lines(struct rpc_call *call, const uint8_t *bytes, size_t length) {
    while (length) {
        const uint8_t *newline = memchr(bytes, '\n', length);
        size_t line = newline ? (size_t)(newline - bytes) : length, step = line + (newline != NULL);
        size_t blanks = call->inbound.have ? 0 : count_blanks(bytes, line);
        inbound_receive_whole(call, bytes + blanks, line - blanks);
        if (newline) end_line(call);
        call_give_window(call, blanks + (newline != NULL));
        bytes += step;
        length -= step;
    }
}

static void refuse_untyped(struct rpc_call *call) {
    if (call->inbound.is_faulty) return;
    call->inbound.is_faulty = true;
    call_fault(call, STATUS_INVALID_ARGUMENT, REASON_CLIENT, "a body needs the content-type application/json");
}

static void receive(struct rpc_call *call, const uint8_t *bytes, size_t length) {
    if (!rest_in(call)->route->has_body) call_give_window(call, length);
    else if (rest_in(call)->is_untyped) refuse_untyped(call);
    else if (call->call.method->is_client_streaming) receive_lines(call, bytes, length);
    else inbound_receive_whole(call, bytes, length);
}

static void end(struct rpc_call *call) {
    if (!rest_in(call)->route->has_body) {
        inbound_end(call);
    } else if (call->call.method->is_client_streaming) {
        end_line(call);
        inbound_end(call);
    } else {
        inbound_end_whole(call);
    }
}

/* ---- the answer ---- */

static struct text type_of_reply(const struct rpc_call *call) {
    static const struct text octets = TEXT("application/octet-stream");
    const struct rest_call *rest = rest_in(call);
    if (!rest->route->is_answer_raw) return call->dialect->types[call->codec];
    return buffer_length(&rest->type) ? rest_text_of(&rest->type) : octets;
}

static void write_element(struct rest_call *rest, struct buffer *out, const void *data, size_t length) {
    buffer_append_text(out, rest->has_elements ? ",\n" : "[");
    buffer_append(out, data, length);
    rest->has_elements = true;
}

/* An outbox holds nothing that has no bytes. */
static size_t queue(struct rpc_call *call, const void *data, size_t length) {
    if (!length) return 0;
    return outbox_add_packed(&call->outbox, &call->call.rpc->outboxes, message_copy(data, length));
}

static void respond(struct rpc_call *call, struct text type) {
    struct header_block *block = &call->call.rpc->block;
    header_block_begin(block, 0, call->headers, NULL);
    HEADER_BLOCK_ADD(block, ":status", "200");
    header_block_add(block, "content-type", 12, type.data, type.length);
    if (rest_in(call)->form == REST_EVENTS) {
        HEADER_BLOCK_ADD(block, "cache-control", "no-store");
        HEADER_BLOCK_ADD(block, "x-accel-buffering", "no"); /* a proxy that is asked so does not collect them */
    }
    header_block_add_metadata(block, call->headers);
    call_respond(call, block, false);
}

/* What has one reply keeps its headers until the status is known, what is raw until the type is. */
static void send_headers(struct rpc_call *call) {
    static const struct text types[] = {[REST_LINES] = TEXT("application/x-ndjson"),
                                        [REST_LIST] = TEXT("application/json"),
                                        [REST_EVENTS] = TEXT("text/event-stream")};
    uint8_t form = rest_in(call)->form;
    call->has_sent_headers = true;
    if (form != REST_WHOLE && form != REST_RAW) respond(call, types[form]);
}

static void begin_raw(struct rpc_call *call) {
    struct rest_call *rest = rest_in(call);
    if (!rest->has_begun) respond(call, type_of_reply(call));
    rest->has_begun = true;
}

static size_t pack(struct rpc_call *call, const void *data, size_t length, uint8_t flags) {
    struct buffer *text = &call->call.rpc->framed;
    call->edge->is_reply_compressed = flags & MESSAGE_COMPRESSED;
    buffer_clear(text);
    switch (rest_in(call)->form) {
    case REST_LINES:
        buffer_append_text(text, "{\"result\":");
        buffer_append(text, data, length);
        buffer_append_text(text, "}\n");
        break;
    case REST_LIST: write_element(rest_in(call), text, data, length); break;
    case REST_EVENTS: rest_events_write(rest_in(call), text, NULL, data, length); break;
    case REST_RAW: begin_raw(call); return queue(call, data, length);
    default: return queue(call, data, length);
    }
    return queue(call, buffer_bytes(text), buffer_length(text));
}

static void write_status(struct rpc_call *call, struct buffer *out, const void *details, size_t details_length) {
    rest_write_status(out, (enum status)call->status, call->text, details, details_length, connect_schema(call));
}

/* Unless the handler has said it. */
static void add_retry(struct rpc_call *call, const void *details, size_t details_length) {
    char text[REST_RETRY_MOST];
    size_t length = rest_write_retry(text, details, details_length), place = 0;
    if (length && !(call->headers && metadata_find(call->headers, "retry-after", 11, &place)))
        metadata_add(call_headers(&call->call), "retry-after", 11, text, length);
}

static void send_error(struct rpc_call *call, const void *details, size_t details_length) {
    struct buffer *json = &call->call.rpc->scratch;
    buffer_clear(json);
    write_status(call, json, details, details_length);
    add_retry(call, details, details_length);
    connect_send_error(call, json);
}

/* The status, as each form says it behind its messages; nothing where there is no need. */
static void write_tail(struct rpc_call *call, struct buffer *out, const struct buffer *failure) {
    struct rest_call *rest = rest_in(call);
    if (rest->form == REST_RAW) return;
    const char *data = failure ? (const char *)buffer_bytes(failure) : "{}";
    size_t length = failure ? buffer_length(failure) : 2;
    struct buffer wrapped = {0};
    if (failure) buffer_format(&wrapped, "{\"error\":%.*s}", (int)length, data);
    if (rest->form == REST_EVENTS) {
        rest_events_write(rest, out, failure ? "error" : "end", data, length);
    } else if (rest->form == REST_LINES) {
        if (failure) buffer_append(out, buffer_bytes(&wrapped), buffer_length(&wrapped));
        if (failure) buffer_append_byte(out, '\n');
    } else {
        if (failure) write_element(rest, out, buffer_bytes(&wrapped), buffer_length(&wrapped));
        buffer_append_text(out, rest->has_elements ? "]\n" : "[]\n");
    }
    buffer_free(&wrapped);
}

/* Elements that have left make what follows one more. */
static void forget_elements(struct rpc_call *call) {
    if (call->call.messages_out <= call->outbox.dropped) rest_in(call)->has_elements = false;
}

static void send_tail(struct rpc_call *call, const void *details, size_t details_length) {
    struct rpc *rpc = call->call.rpc;
    struct header_block *block = &rpc->block;
    bool has_failed = call->status != STATUS_OK;
    buffer_clear(&rpc->scratch);
    buffer_clear(&rpc->framed);
    if (has_failed) write_status(call, &rpc->scratch, details, details_length);
    forget_elements(call);
    write_tail(call, &rpc->framed, has_failed ? &rpc->scratch : NULL);
    if (buffer_length(&rpc->framed))
        account_charge(call, queue(call, buffer_bytes(&rpc->framed), buffer_length(&rpc->framed)));
    header_block_begin(block, 0, call->trailers, NULL);
    header_block_add_metadata(block, call->trailers);
    http_stream_finish(call->stream, block->headers, block->count);
}

/* Nothing in such a body could say it. */
static void break_off(struct rpc_call *call) {
    http_stream_reset(call->stream, HTTP_INTERNAL_ERROR);
    if (call->state < CALL_OVER) call_settle(call);
}

static void send_end(struct rpc_call *call, const void *details, size_t details_length) {
    const struct rest_call *rest = rest_in(call);
    bool has_failed = call->status != STATUS_OK, is_whole = rest->form == REST_WHOLE;
    bool has_answered = rest->form == REST_RAW ? rest->has_begun : call->has_sent_headers && !is_whole;
    if (has_failed && !has_answered) {
        call->has_sent_headers = true;
        send_error(call, details, details_length);
    } else if (has_failed && rest->form == REST_RAW) {
        break_off(call);
    } else if (is_whole) {
        call->has_sent_headers = true;
        connect_send_reply(call, type_of_reply(call), rest->is_head);
    } else {
        if (!call->has_sent_headers) send_headers(call);
        if (rest->form == REST_RAW) begin_raw(call);
        send_tail(call, details, details_length);
    }
}

const struct dialect rest_dialect = {
    .name = "rest",
    .types = {TEXT("application/json"), TEXT("application/json"), TEXT("application/json")},
    .malformed = STATUS_INVALID_ARGUMENT,
    .is_foreign = true,
    .translate = rest_translate,
    .refuse = rest_refuse,
    .begin = begin,
    .receive = receive,
    .end = end,
    .pack = pack,
    .send_headers = send_headers,
    .send_end = send_end,
};
