/* rpc/messages.c - the messages of a call, in and out: what handlers take, and what they give. */
#include "rpc/call_private.h"
#include "rpc/coding.h"
#include "rpc/meter.h"

/* ---- receiving ---- */

void call_give_window(struct rpc_call *call, size_t bytes) {
    if (!call->stream || (call->inbound.is_ended && !call->dialect->is_duplex)) return;
    call->window_due += (uint32_t)bytes;
    if (call->call.rpc->running != call) call_wake(call, 0);
}

/* The fault ends the call in its turn; until then its handler waits for more. */
static enum call_next broken(struct rpc_call *call) {
    inbound_drop(call);
    call->is_hungry = true;
    return CALL_EMPTY;
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

/* False: the next message may not be taken now. */
static bool may_take(struct rpc_call *call) {
    struct framed framed;
    if (!inbound_peek(call, &framed)) return true;
    enum admission admission = meter_admits(call, WAY_IN, MESSAGE_PREFIX + framed.length);
    if (admission == ADMITTED) {
        meter_moved(call->meter, WAY_IN);
        return true;
    }
    call->is_hungry = true;
    if (admission == ENDED) meter_end(call);
    return false;
}

static enum call_next take(struct rpc_call *call, struct framed *framed) {
    if (call->state >= CALL_OVER) return CALL_END;
    if (call->meter && !may_take(call)) return CALL_EMPTY;
    if (!inbound_take(call, framed)) return nothing_to_receive(call);
    call->call.took_compressed = framed->is_compressed;
    /* What was taken outside of a handler function is released in the call's next turn. */
    if (call->inbound.taken && call->call.rpc->running != call) call_wake(call, 0);
    return CALL_MESSAGE;
}

static enum call_next taken(struct call *call, size_t length) {
    call->messages_in++;
    counter_add(&call->tally->received, 1);
    call->bytes_in += length;
    return CALL_MESSAGE;
}

enum call_next call_receive(struct call *public, struct call_message *message) {
    struct rpc_call *call = rpc_call_of(public);
    struct framed framed;
    enum call_next next = take(call, &framed);
    if (next != CALL_MESSAGE) return next;
    if (framed.is_compressed || call->reads_json) {
        struct message *read = coding_read(call, &framed);
        if (!read) return broken(call);
        inbound_lend(call, read);
        *message = (struct call_message){.data = read->data, .length = read->length, .owner = read};
    } else {
        *message = (struct call_message){.data = framed.data, .length = framed.length, .owner = framed.owner};
    }
    return taken(public, message->length);
}

enum call_next call_receive_frame(struct call *public, struct call_frame *frame) {
    struct rpc_call *call = rpc_call_of(public);
    struct framed framed;
    enum call_next next = take(call, &framed);
    if (next != CALL_MESSAGE) return next;
    if (call_must_read(call, &framed)) {
        struct message *read = coding_read(call, &framed);
        if (!read) return broken(call);
        inbound_lend(call, read);
        framed = (struct framed){.data = read->data, .length = read->length, .owner = read};
    }
    *frame = (struct call_frame){framed.data, framed.length, framed.owner, framed.is_compressed};
    return taken(public, frame->length);
}

struct message *call_inflate(struct call *public, const struct call_frame *frame) {
    struct rpc_call *call = rpc_call_of(public);
    struct message *inflated = coding_inflate(call, frame->data, frame->length);
    if (!inflated) broken(call);
    return inflated;
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
    call_ask_source(&call->call);
    if (!call_is_open(&call->call) || (call->meter && !meter_may_send(call))) return false;
    if (!call->has_sent_headers) call->dialect->send_headers(call);
    return true;
}

static void queued(struct rpc_call *call, size_t framed, size_t length) {
    if (call->outbox.bytes == framed) call->progress = loop_now(call->call.rpc->loop);
    call->call.messages_out++;
    counter_add(call->call.sent, 1);
    call->call.bytes_out += length;
    if (call->meter) meter_sent(call, framed);
    account_charge(call, framed);
    if (call->stream) http_stream_resume(call->stream);
}

static bool recode(struct rpc_call *call, const void *data, size_t length, struct message *shared) {
    size_t framed;
    if (!coding_queue(call, data, length, shared, &framed)) return false;
    queued(call, framed, length);
    return true;
}

bool call_send_bytes(struct call *public, const void *data, size_t length) {
    struct rpc_call *call = rpc_call_of(public);
    if (!may_send(call)) return false;
    if (call->is_recoded) return recode(call, data, length, NULL);
    queued(call, outbox_add_copy(&call->outbox, &public->rpc->outboxes, data, length, 0), length);
    return true;
}

bool call_send(struct call *public, struct message *message) {
    struct rpc_call *call = rpc_call_of(public);
    if (!may_send(call)) return false;
    if (call->is_recoded) return recode(call, message->data, message->length, message);
    struct outbox_pool *pool = &public->rpc->outboxes;
    queued(call, message->length < OUTBOX_REFERENCE_LEAST
                     ? outbox_add_copy(&call->outbox, pool, message->data, message->length, 0)
                     : outbox_add_reference(&call->outbox, pool, message),
           message->length);
    return true;
}

static bool send_inflated(struct call *public, const struct call_frame *frame) {
    struct message *inflated = call_inflate(public, frame);
    bool is_sent = inflated && call_send(public, inflated);
    message_unref(&inflated);
    return is_sent;
}

static bool send_compressed_frame(struct rpc_call *call, const struct call_frame *frame) {
    if (!may_send(call)) return false;
    queued(call, coding_pack(call, frame->data, frame->length, MESSAGE_COMPRESSED), frame->length);
    return true;
}

bool call_send_frame(struct call *public, const struct call_frame *frame) {
    struct rpc_call *call = rpc_call_of(public);
    if (frame->is_compressed)
        return call->names_gzip && call->codec != CODEC_JSON ? send_compressed_frame(call, frame)
                                                             : send_inflated(public, frame);
    if (!may_send(call)) return false;
    struct outbox_pool *pool = &public->rpc->outboxes;
    if (call->codec == CODEC_JSON || call->dialect->pack) return recode(call, frame->data, frame->length, NULL);
    bool is_referenced = frame->owner && frame->length >= OUTBOX_REFERENCE_LEAST;
    queued(call, is_referenced ? outbox_add_reference(&call->outbox, pool, frame->owner)
                               : outbox_add_copy(&call->outbox, pool, frame->data, frame->length, 0),
           frame->length);
    return true;
}

bool call_takes_runs(const struct call *public) {
    const struct rpc_call *call = rpc_call_of_const(public);
    return !call->is_recoded && !meter_counts(call->meter, WAY_OUT);
}

bool call_send_run(struct call *public, struct message *run, size_t from, size_t to, uint32_t count) {
    struct rpc_call *call = rpc_call_of(public);
    size_t framed = to - from;
    if (!call_takes_runs(public) || !call_is_open(public) || account_is_limited(call->account)) return false;
    if (call->outbox.bytes + framed > call->most_queued) return false;
    if (!call->has_sent_headers) call->dialect->send_headers(call);
    outbox_add_run(&call->outbox, &public->rpc->outboxes, run, from, to, count);
    if (call->meter) meter_touch(call->meter);
    if (call->outbox.bytes == framed) call->progress = loop_now(public->rpc->loop);
    public->messages_out += count;
    counter_add(public->sent, count);
    public->bytes_out += framed - (size_t)count * MESSAGE_PREFIX;
    account_charge(call, framed);
    if (call->stream) http_stream_resume(call->stream);
    return true;
}

void call_flush(struct call *public) {
    struct http_session *session = rpc_call_of(public)->connection->session;
    if (session) http_session_flush(session);
}

void call_approach(const struct call *public, int step) {
    const struct rpc_call *call = rpc_call_of_const(public);
    const char *first = (const char *)&public->method, *last = (const char *)&call->ready;
    if (step == 0) memory_prefetch(first, (size_t)(last - first));
    else if (call->stream) http_stream_approach(call->stream, step - 1);
}

bool call_shares_connection(const struct call *call, const struct call *other) {
    return rpc_call_of_const(call)->connection == rpc_call_of_const(other)->connection;
}

bool call_compress(struct call *public, bool is_on) {
    struct rpc_call *call = rpc_call_of(public);
    bool may = call->names_gzip || (call->accepts_gzip && !call->has_sent_headers);
    call_set_compressing(call, is_on && may);
    return call->is_compressing;
}

struct buffer *call_begin_message(struct call *public) {
    struct rpc_call *call = rpc_call_of(public);
    call_ask_source(public);
    if (!call_is_open(public) || (call->meter && !meter_may_send(call))) return NULL;
    if (!call->is_recoded) return outbox_begin(&call->outbox, &public->rpc->outboxes);
    buffer_clear(&public->rpc->scratch);
    return &public->rpc->scratch;
}

void call_end_message(struct call *public) {
    struct rpc_call *call = rpc_call_of(public);
    if (!call->has_sent_headers) call->dialect->send_headers(call);
    if (call->is_recoded) {
        struct buffer *scratch = &public->rpc->scratch;
        call_send_bytes(public, scratch->data, buffer_length(scratch));
        return;
    }
    size_t framed = outbox_end(&call->outbox);
    queued(call, framed, framed - MESSAGE_PREFIX);
}

void call_abandon_message(struct call *public) {
    struct rpc_call *call = rpc_call_of(public);
    if (!call->is_recoded) outbox_abandon(&call->outbox, &public->rpc->outboxes);
}

bool call_is_full(struct call *public) {
    struct rpc_call *call = rpc_call_of(public);
    if (call->outbox.bytes && call_holds_reply(call)) return false; /* only its end makes room */
    bool is_full = call->outbox.bytes >= call->most_queued || account_is_limited(call->account) ||
                   (call->meter && meter_is_full(call));
    if (is_full) call->is_choked = true;
    return is_full;
}

void call_pending(struct call *public, size_t *messages, size_t *bytes) {
    const struct rpc_call *call = rpc_call_of(public);
    call_ask_source(public);
    *messages = call->outbox.messages;
    *bytes = call->outbox.bytes;
}
