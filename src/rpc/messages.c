/* rpc/messages.c - the messages of a call, in and out: what handlers take, and what they give. */
#include "rpc/call_private.h"

/* ---- receiving ---- */

void call_give_window(struct rpc_call *call, size_t bytes) {
    if (call->inbound.is_ended || !call->stream) return;
    call->window_due += (uint32_t)bytes;
    if (call->call.rpc->running != call) call_wake(call, 0);
}

/* The fault ends the call in its turn; until then its handler waits for more. */
static enum call_next broken(struct rpc_call *call) {
    inbound_drop(call);
    call->is_hungry = true;
    return CALL_EMPTY;
}

static struct message *inflate(struct rpc_call *call, const void *data, size_t length) {
    struct message *inflated;
    switch (compressor_inflate(call->call.rpc->compressor, data, length, call->most_message, &inflated)) {
    case INFLATE_OK:
        return inflated;
    case INFLATE_TOO_LARGE:
        call->call.rpc->counters.limited++;
        call_fault(call, STATUS_RESOURCE_EXHAUSTED, REASON_LIMIT,
                   "received message after decompression larger than max");
        break;
    default:
        call_fault(call, STATUS_INTERNAL, REASON_CLIENT, "a message could not be decompressed");
        break;
    }
    broken(call);
    return NULL;
}

static enum call_next nothing_to_receive(struct rpc_call *call) {
    struct inbound *in = &call->inbound;
    if (!in->is_ended || in->is_faulty) {
        call->is_hungry = true;
        return CALL_EMPTY;
    }
    /* A client's answer is complete: its status could not come before the last message was taken. */
    if (call->is_client && call->state == CALL_FINISHING && !call->is_end_told) call_settle(call);
    call->is_end_told = true;
    return CALL_END;
}

static enum call_next take(struct rpc_call *call, struct framed *framed) {
    if (call->state >= CALL_OVER) return CALL_END;
    if (!inbound_take(call, framed)) return nothing_to_receive(call);
    /* What was taken outside of a handler function is released in the call's next turn. */
    if (call->inbound.taken && call->call.rpc->running != call) call_wake(call, 0);
    return CALL_MESSAGE;
}

static enum call_next taken(struct call *call, size_t length) {
    call->messages_in++;
    call->bytes_in += length;
    return CALL_MESSAGE;
}

enum call_next call_receive(struct call *public, struct call_message *message) {
    struct rpc_call *call = rpc_call_of(public);
    struct framed framed;
    enum call_next next = take(call, &framed);
    if (next != CALL_MESSAGE) return next;
    if (framed.is_compressed) {
        struct message *inflated = inflate(call, framed.data, framed.length);
        if (!inflated) return CALL_EMPTY;
        inbound_lend(call, inflated);
        *message = (struct call_message){.data = inflated->data, .length = inflated->length, .owner = inflated};
    } else {
        *message = (struct call_message){.data = framed.data, .length = framed.length, .owner = framed.owner};
    }
    return taken(public, message->length);
}

enum call_next call_receive_frame(struct call *public, struct call_frame *frame) {
    struct framed framed;
    enum call_next next = take(rpc_call_of(public), &framed);
    if (next != CALL_MESSAGE) return next;
    *frame = (struct call_frame){framed.data, framed.length, framed.owner, framed.is_compressed};
    return taken(public, frame->length);
}

struct message *call_inflate(struct call *public, const struct call_frame *frame) {
    return inflate(rpc_call_of(public), frame->data, frame->length);
}

bool call_peer_compresses(const struct call *public) { return rpc_call_of_const(public)->encoding == ENCODING_GZIP; }

bool call_has_half_closed(const struct call *public) { return rpc_call_of_const(public)->inbound.is_ended; }

bool call_has_been_read(const struct call *public) {
    const struct inbound *in = &rpc_call_of_const(public)->inbound;
    return in->is_ended && !in->is_faulty && !in->whole;
}

/* ---- sending ---- */

bool call_is_open(const struct call *public) {
    const struct rpc_call *call = rpc_call_of_const(public);
    return call->state <= CALL_OPEN && !call->has_sent_end && (call->stream || call->is_waiting);
}

void call_send_headers(struct call *public) {
    struct rpc_call *call = rpc_call_of(public);
    if (!call->has_sent_headers && call_is_open(public)) call->dialect->send_headers(call);
}

bool call_headers_are_sent(const struct call *public) { return rpc_call_of_const(public)->has_sent_headers; }

static struct metadata *metadata_of(struct metadata **metadata) {
    if (!*metadata) *metadata = memory_new(sizeof **metadata);
    return *metadata;
}

struct metadata *call_headers(struct call *public) {
    return metadata_of(&rpc_call_of(public)->headers);
}
struct metadata *call_trailers(struct call *public) {
    return metadata_of(&rpc_call_of(public)->trailers);
}

static bool may_send(struct rpc_call *call) {
    if (!call_is_open(&call->call)) return false;
    if (!call->has_sent_headers) call->dialect->send_headers(call);
    return true;
}

static void queued(struct rpc_call *call, size_t framed, size_t length) {
    if (call->outbox.bytes == framed) call->progress = loop_now(call->call.rpc->loop);
    call->call.messages_out++;
    call->call.bytes_out += length;
    account_charge(call, framed);
    if (call->stream) http_stream_resume(call->stream);
}

/* Sent as it is where compression gains nothing: the flag is each message's own (gRPC: doc/compression.md).
 */
static void send_compressed(struct rpc_call *call, const void *data, size_t length) {
    struct rpc *rpc = call->call.rpc;
    struct buffer *out = &rpc->compressed;
    buffer_clear(out);
    compressor_deflate(rpc->compressor, data, length, out);
    bool is_smaller = buffer_length(out) < length;
    const void *bytes = is_smaller ? buffer_bytes(out) : data;
    size_t size = is_smaller ? buffer_length(out) : length;
    queued(call, outbox_add_copy(&call->outbox, &rpc->outboxes, bytes, size, is_smaller), length);
}

bool call_send_bytes(struct call *public, const void *data, size_t length) {
    struct rpc_call *call = rpc_call_of(public);
    if (!may_send(call)) return false;
    if (call->is_compressing && length) {
        send_compressed(call, data, length);
    } else {
        queued(call, outbox_add_copy(&call->outbox, &public->rpc->outboxes, data, length, false), length);
    }
    return true;
}

bool call_send(struct call *public, struct message *message) {
    struct rpc_call *call = rpc_call_of(public);
    if (message->length < OUTBOX_REFERENCE_LEAST || call->is_compressing)
        return call_send_bytes(public, message->data, message->length);
    if (!may_send(call)) return false;
    queued(call, outbox_add_reference(&call->outbox, &public->rpc->outboxes, message), message->length);
    return true;
}

bool call_send_frame(struct call *public, const struct call_frame *frame) {
    struct rpc_call *call = rpc_call_of(public);
    if (frame->is_compressed && !call->is_compressing) {
        struct message *inflated = inflate(call, frame->data, frame->length);
        bool is_sent = inflated && call_send(public, inflated);
        message_unref(&inflated);
        return is_sent;
    }
    if (!may_send(call)) return false;
    struct outbox_pool *pool = &public->rpc->outboxes;
    bool is_referenced = frame->owner && !frame->is_compressed && frame->length >= OUTBOX_REFERENCE_LEAST;
    queued(call, is_referenced ? outbox_add_reference(&call->outbox, pool, frame->owner)
                               : outbox_add_copy(&call->outbox, pool, frame->data, frame->length, frame->is_compressed),
           frame->length);
    return true;
}

void call_compress(struct call *public) {
    struct rpc_call *call = rpc_call_of(public);
    if (call->accepts_gzip && !call->has_sent_headers) call->is_compressing = true;
}

struct buffer *call_begin_message(struct call *public) {
    struct rpc_call *call = rpc_call_of(public);
    if (!call_is_open(public)) return NULL;
    if (!call->is_compressing) return outbox_begin(&call->outbox, &public->rpc->outboxes);
    buffer_clear(&public->rpc->scratch);
    return &public->rpc->scratch;
}

void call_end_message(struct call *public) {
    struct rpc_call *call = rpc_call_of(public);
    if (!call->has_sent_headers) call->dialect->send_headers(call);
    if (call->is_compressing) {
        struct buffer *scratch = &public->rpc->scratch;
        call_send_bytes(public, scratch->data, buffer_length(scratch));
        return;
    }
    size_t framed = outbox_end(&call->outbox, false);
    queued(call, framed, framed - MESSAGE_PREFIX);
}

void call_abandon_message(struct call *public) {
    struct rpc_call *call = rpc_call_of(public);
    if (!call->is_compressing) outbox_abandon(&call->outbox, &public->rpc->outboxes);
}

bool call_is_full(struct call *public) {
    struct rpc_call *call = rpc_call_of(public);
    if (call->outbox.bytes && call_holds_reply(call)) return false; /* only its end makes room */
    bool is_full = call->outbox.bytes >= call->most_queued || account_is_limited(call->account);
    if (is_full) call->is_choked = true;
    return is_full;
}

void call_pending(const struct call *public, size_t *messages, size_t *bytes) {
    const struct rpc_call *call = rpc_call_of_const(public);
    *messages = call->outbox.messages;
    *bytes = call->outbox.bytes;
}
