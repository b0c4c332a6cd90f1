/* rpc/coding.c - see coding.h */
#include "rpc/coding.h"

#include <stdlib.h>

#include "rpc/call_private.h"
#include "rpc/goa.h"
#include "rpc/rest.h"
#include "rpc/websocket.h"
#include "schema/json.h"

/* ---- reading ---- */

struct message *coding_inflate(struct rpc_call *call, const void *data, size_t length) {
    struct message *inflated;
    if (call->encoding == ENCODING_DEFLATE) return websocket_call_inflate(call, data, length);
    switch (compressor_inflate(call->call.rpc->compressor, data, length, call->most_message, &inflated)) {
    case INFLATE_OK:
        return inflated;
    case INFLATE_TOO_LARGE:
        counter_add(&call->call.rpc->counters.limited, 1);
        call_fault(call, STATUS_RESOURCE_EXHAUSTED, REASON_LIMIT,
                   "received message after decompression larger than max");
        break;
    default:
        call_fault(call, STATUS_INTERNAL, REASON_CLIENT, "a message could not be decompressed");
        break;
    }
    return NULL;
}

/* As other servers that take JSON do, names that the type does not have are passed over. */
static struct json_options options_of(const struct rpc_call *call) {
    const struct call_route *route = call->call.route;
    return (struct json_options){.ignore_unknown = true, .schema = route ? router_schema(route->router) : NULL};
}

static bool read_text(const struct rpc_call *call, const void *data, size_t length, struct buffer *out,
                      struct error *error) {
    const struct json_options options = options_of(call);
    const struct rest_call *rest = rest_of(call->edge);
    const struct message_type *type = call->call.method->request;
    if (rest) return rest_json_read(rest, data, length, options, out, error);
    if (call->is_goa) return goa_json_read(type, data, length, options, out, error);
    return json_read(type, data, length, &options, out, error);
}

static struct message *read_json(struct rpc_call *call, const void *data, size_t length) {
    struct buffer *out = &call->call.rpc->coded;
    struct error error;
    buffer_clear(out);
    if (read_text(call, data, length, out, &error))
        return message_copy(buffer_bytes(out), buffer_length(out));
    call_fault(call, STATUS_INVALID_ARGUMENT, REASON_CLIENT, "the request is no %s: %s",
               call->call.method->request->full_name, error.text);
    return NULL;
}

struct message *coding_read(struct rpc_call *call, const struct framed *framed) {
    if (!framed->is_compressed) return read_json(call, framed->data, framed->length);
    struct message *inflated = coding_inflate(call, framed->data, framed->length);
    if (!inflated || !call->reads_json) return inflated;
    struct message *message = read_json(call, inflated->data, inflated->length);
    message_unref(&inflated);
    return message;
}

/* ---- the message that was turned to JSON last ---- */

struct coding_twin {
    struct message *of, *json;
    const struct message_type *type;
    const struct router *router; /* whose schema has named the contents of an Any */
    bool is_goa;
    struct loop *loop;
    struct task task;
};

static void forget(struct coding_twin *twin) {
    message_unref(&twin->of);
    message_unref(&twin->json);
}

static void turn_ends(struct task *task) { forget(container_of(task, struct coding_twin, task)); }

struct coding_twin *coding_twin_new(struct rpc *rpc) {
    struct coding_twin *twin = memory_new(sizeof *twin);
    twin->loop = rpc->loop;
    task_init(&twin->task, turn_ends);
    return twin;
}

void coding_twin_free(struct coding_twin **handle) {
    struct coding_twin *twin = *handle;
    *handle = NULL;
    if (!twin) return;
    task_cancel(&twin->task);
    forget(twin);
    free(twin);
}

/* One field of a message may be all that a route shows, or it is no JSON. */
static bool is_in_parts(const struct rpc_call *call) {
    const struct rest_call *rest = rest_of(call->edge);
    return rest && (rest->route->answer || rest->route->is_answer_raw);
}

static bool is_twin(const struct coding_twin *twin, const struct rpc_call *call, const struct message *shared) {
    return shared && !is_in_parts(call) && twin->of == shared && twin->type == call->call.method->response &&
           twin->router == call->call.route->router && twin->is_goa == call->is_goa;
}

static void remember(struct coding_twin *twin, const struct rpc_call *call, struct message *shared,
                     struct message *json) {
    forget(twin);
    twin->of = message_ref(shared);
    twin->json = message_ref(json);
    twin->type = call->call.method->response;
    twin->router = call->call.route->router;
    twin->is_goa = call->is_goa;
    loop_defer(twin->loop, LOOP_FREE, &twin->task);
}

/* ---- writing ---- */

static bool write_text(const struct rpc_call *call, const void *data, size_t length, struct buffer *out,
                       struct error *error) {
    const struct json_options options = options_of(call);
    struct rest_call *rest = rest_of(call->edge);
    const struct message_type *type = call->call.method->response;
    if (rest) return rest_json_write(rest, data, length, &options, out, error);
    if (call->is_goa) return goa_json_write(type, data, length, options, out, error);
    return json_write(type, data, length, &options, out, error);
}

static struct message *write_json(struct rpc_call *call, const void *data, size_t length) {
    struct buffer *out = &call->call.rpc->coded;
    struct error error;
    buffer_clear(out);
    if (write_text(call, data, length, out, &error))
        return message_copy(buffer_bytes(out), buffer_length(out));
    call->is_mute = true;
    call_fault(call, STATUS_INTERNAL, REASON_HANDLER, "a reply has no JSON form: %s", error.text);
    return NULL;
}

/* A new reference; NULL: there is none. */
static struct message *json_of(struct rpc_call *call, const void *data, size_t length, struct message *shared) {
    struct coding_twin *twin = call->call.rpc->twin;
    if (is_twin(twin, call, shared)) return message_ref(twin->json);
    struct message *json = write_json(call, data, length);
    if (json && shared && !is_in_parts(call)) remember(twin, call, shared, json);
    return json;
}

size_t coding_pack(struct rpc_call *call, const void *data, size_t length, uint8_t flags) {
    if (call->dialect->pack) return call->dialect->pack(call, data, length, flags);
    return outbox_add_copy(&call->outbox, &call->call.rpc->outboxes, data, length, flags);
}

/* Sent as it is where compression gains nothing: the flag is each message's own (gRPC: doc/compression.md). */
static size_t queue_compressed(struct rpc_call *call, const void *data, size_t length) {
    struct rpc *rpc = call->call.rpc;
    struct buffer *out = &rpc->compressed;
    buffer_clear(out);
    compressor_deflate(rpc->compressor, data, length, out);
    if (buffer_length(out) >= length) return coding_pack(call, data, length, 0);
    return coding_pack(call, buffer_bytes(out), buffer_length(out), MESSAGE_COMPRESSED);
}

static size_t queue_json(struct rpc_call *call, struct message *json) {
    if (call->is_compressing) return queue_compressed(call, json->data, json->length);
    if (call->dialect->pack || json->length < OUTBOX_REFERENCE_LEAST) return coding_pack(call, json->data, json->length, 0);
    return outbox_add_reference(&call->outbox, &call->call.rpc->outboxes, json);
}

bool coding_queue(struct rpc_call *call, const void *data, size_t length, struct message *shared, size_t *queued) {
    if (call->codec != CODEC_JSON) {
        *queued = call->is_compressing && length ? queue_compressed(call, data, length) : coding_pack(call, data, length, 0);
        return true;
    }
    struct rest_call *rest = rest_of(call->edge);
    struct message *json = json_of(call, data, length, shared);
    if (!json) return false;
    if (rest) rest_note_id(rest, data, length);
    *queued = queue_json(call, json);
    message_unref(&json);
    return true;
}
