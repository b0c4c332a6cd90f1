/* rpc/call.c - the life of a call: what its handler is told when, and how it ends. See call.h.
 *
 * HTTP's events and expired timers only note what happened ("news") and put the call on the worker's ready
 * list; the list is worked through behind a read of the socket, or in the loop's run phase. So handler
 * functions are never called from inside of a function that they themselves called. */
#include "rpc/call.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "rpc/call_private.h"
#include "rpc/coding.h"
#include "rpc/cors.h"
#include "rpc/grpc_client.h"
#include "rpc/meter.h"
#include "rpc/raw.h"
#include "rpc/rest.h"
#include "rpc/router_private.h"
#include "rpc/websocket.h"

enum { ORPHANS_MOST = 1000 /* of a worker: no limit on connections and streams counts them */ };

/* Numbers calls over all workers, for the log. */
static atomic_uint_fast64_t last_number;

/* ---- beginning and end ---- */

/* A limit of 0 is none. A message's length is 32 bits on the wire; gRPC's own bound is 2^31 - 1. */
static uint32_t limit_of(uint64_t limit) { return limit && limit < INT32_MAX ? (uint32_t)limit : INT32_MAX; }

static void deadline_passed(struct timer *timer) {
    struct rpc_call *call = container_of(timer, struct rpc_call, timer);
    call_fail(call, STATUS_DEADLINE_EXCEEDED, REASON_DEADLINE, "the deadline has passed");
}

void call_set_limits(struct rpc_call *call, const struct call_limits *limits) {
    call->most_message = limit_of(limits->message);
    call->most_queued = limit_of(limits->buffered_per_stream);
}

struct rpc_call *call_new(struct rpc_connection *connection, struct account *account, const struct dialect *dialect,
                          const struct method *method, const struct call_handler *handler, void *data,
                          const struct call_limits *limits) {
    struct rpc *rpc = connection->rpc;
    struct rpc_call *call = pool_take(&rpc->calls);
    call->call =
        (struct call){.rpc = rpc, .handler = handler, .data = data, .method = method, .log = connection->log};
    call->call.log.stream = atomic_fetch_add_explicit(&last_number, 1, memory_order_relaxed) + 1;
    if (method) call->call.log.method = method->full_name;
    call->is_raw = call->outbox.is_raw = !method;
    call->call.opened = loop_now(rpc->loop);
    call->dialect = dialect;
    call->connection = connection;
    call->is_client = connection->is_client;
    call->is_hungry = true;
    call_set_limits(call, limits);
    list_init(&call->ready);
    list_init(&call->young);
    list_append(&connection->calls, &call->sibling);
    account_join(account ? account : rpc->own, call);
    timer_init(&call->timer, deadline_passed);
    call->call.tally = &rpc->elsewhere;
    call->call.sent = &rpc->elsewhere.sent;
    counter_add(&rpc->counters.calls, 1);
    counter_add(&rpc->counters.calls_started, 1);
    return call;
}

void call_set_compressing(struct rpc_call *call, bool is_compressing) {
    call->is_compressing = is_compressing;
    call->names_gzip |= is_compressing;
    call->is_recoded = is_compressing || call->codec == CODEC_JSON || call->dialect->pack;
}

struct edge *call_edge(struct rpc_call *call) {
    if (!call->edge) call->edge = memory_new(sizeof *call->edge);
    return call->edge;
}

/* Header lists are the rpc's own while they are put together: this one is about to leave. */
static void add_cors(struct rpc_call *call, struct header_block *block) {
    const struct cors *cors = call->connection->cors;
    size_t place = 0;
    if (!cors) return;
    const struct metadata_entry *origin = metadata_find(call->call.metadata, "origin", 6, &place);
    cors_add(cors, origin ? (struct text){origin->value, origin->value_length} : (struct text){0}, block,
             &call->call.rpc->exposed);
}

void call_respond(struct rpc_call *call, struct header_block *block, bool is_end) {
    add_cors(call, block);
    http_stream_respond(call->stream, block->headers, block->count, is_end);
}

void call_respond_whole(struct rpc_call *call, struct header_block *block, const void *body, size_t length) {
    add_cors(call, block);
    http_stream_respond_whole(call->stream, block->headers, block->count, body, length);
}

void call_send_last(struct rpc_call *call, const void *data, size_t length, uint8_t flags) {
    account_charge(call, coding_pack(call, data, length, flags));
    http_stream_finish(call->stream, NULL, 0);
}

void call_set_deadline(struct rpc_call *call, uint64_t deadline) {
    call->call.deadline = deadline;
    timer_start(call->call.rpc->loop, &call->timer, deadline);
}

static void metadata_free(struct metadata **metadata) {
    if (!*metadata) return;
    metadata_clear(*metadata);
    free(*metadata);
    *metadata = NULL;
}

static void edge_free(struct edge *edge) {
    if (!edge) return;
    buffer_free(&edge->ahead);
    websocket_call_free(&edge->websocket);
    rest_call_free(&edge->rest);
    free(edge->method);
    free(edge);
}

static void call_free(struct rpc_call *call) {
    struct rpc_connection *connection = call->connection;
    inbound_drop(call);
    inbound_release(call);
    if (call->outbox.first) call_drop_queued(call);
    list_remove(&call->ready);
    list_remove(&call->sibling);
    metadata_free(&call->headers);
    metadata_free(&call->trailers);
    peer_metadata_unref(&call->peer_headers);
    peer_metadata_unref(&call->peer_trailers);
    free(call->text);
    edge_free(call->edge);
    attempt_free(call);
    free(call->name);
    free(call->target);
    account_leave(call);
    pool_give(&call->call.rpc->calls, call);
    if (connection->on_idle && list_is_empty(&connection->calls)) connection->on_idle(connection->context);
    rpc_connection_free_if_done(connection);
}

void call_drop_queued(struct rpc_call *call) {
    size_t bytes = call->outbox.bytes;
    outbox_clear(&call->outbox, &call->call.rpc->outboxes);
    account_discharge(raw_payer(call), bytes);
    attempt_drop(call);
}

static void set_status(struct rpc_call *call, enum status status, enum call_reason reason, const char *text) {
    char *copy = text && *text ? memory_copy_string(text) : NULL; /* `text` may be the old one */
    free(call->text);
    call->text = copy;
    call->status = (uint8_t)status;
    call->reason = (uint8_t)reason;
}

void call_settle(struct rpc_call *call) {
    call->state = CALL_OVER;
    if (call->is_orphan) call->call.rpc->orphans--;
    call->is_orphan = false;
    timer_stop(call->call.rpc->loop, &call->timer);
    if (call->meter) meter_stop(call);
    inbound_drop(call);
    call_drop_queued(call);
    if (call->stream) account_ended(call);
    if (call->partner) raw_part(call, HTTP_CANCEL);
    call_wake(call, 0);
    attempt_over(call);
}

/* Even the reset may have to wait, for a socket that takes nothing: the stream goes on alone. */
void call_abandon(struct rpc_call *call) {
    http_stream_reset(call->stream, HTTP_ENHANCE_YOUR_CALM);
    http_stream_set_user(call->stream, NULL);
    call->stream = NULL;
    if (call->state >= CALL_OVER) {
        call_wake(call, 0);
        return;
    }
    counter_add(&call->call.rpc->counters.limited, 1);
    call_end(call, STATUS_RESOURCE_EXHAUSTED, REASON_LIMIT, "the call has ended, but its peer takes nothing of it");
}

void call_end(struct rpc_call *call, enum status status, enum call_reason reason, const char *text) {
    if (call->state >= CALL_OVER) return;
    set_status(call, status, reason, text);
    call_settle(call);
}

static void send_end(struct rpc_call *call, const void *details, size_t details_length) {
    if (details_length > STATUS_DETAILS_MOST) {
        log_warn(&call->call.log, "status details of %zu bytes are left out, at most %d are sent",
                 details_length, STATUS_DETAILS_MOST);
        details_length = 0;
    }
    call->has_sent_end = true;
    call->dialect->send_end(call, details, details_length);
}

/* The end may stand in the body, so it is queued when nothing else is any more. */
void call_fail(struct rpc_call *call, enum status status, enum call_reason reason, const char *text) {
    if (call->state >= CALL_OVER) return;
    bool has_ended = call->state == CALL_FINISHING;
    /* Trailers that HTTP has already could only leave without the messages before them: a wrong answer. */
    if (has_ended && !call->is_client && call->outbox.bytes == 0) return;
    set_status(call, status, reason, text);
    bool is_reset = call->is_client || has_ended;
    if (call->stream && is_reset)
        http_stream_reset(call->stream,
                          status == STATUS_RESOURCE_EXHAUSTED ? HTTP_ENHANCE_YOUR_CALM : HTTP_CANCEL);
    call_settle(call);
    if (!call->stream || is_reset) return;
    /* An end in the body cannot follow half a message. */
    if (call->outbox.is_cut && call->dialect->is_foreign) http_stream_reset(call->stream, HTTP_CANCEL);
    else send_end(call, NULL, 0);
}

void call_conclude(struct rpc_call *call, enum status status, enum call_reason reason, const char *text) {
    struct inbound *in = &call->inbound;
    set_status(call, status, reason, text);
    call->state = CALL_FINISHING;
    call->news &= (uint8_t)~NEWS_FAULT;
    in->is_ended = true;
    timer_stop(call->call.rpc->loop, &call->timer);
    call_drop_queued(call);
    call_wake(call, NEWS_READABLE);
    attempt_over(call);
}

/* Not once its handler has ended it; a client's answer can still turn out to be broken while it is read. */
static bool may_fail(const struct rpc_call *call) {
    return call->state <= CALL_OPEN || (call->state == CALL_FINISHING && call->is_client);
}

void call_fault(struct rpc_call *call, enum status status, enum call_reason reason, const char *format, ...) {
    if (!may_fail(call) || call->news & NEWS_FAULT) return;
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    set_status(call, status, reason, text);
    call_wake(call, NEWS_FAULT);
}

/* ---- the handler's turn ---- */

void call_wake(struct rpc_call *call, unsigned news) {
    struct rpc *rpc = call->call.rpc;
    call->news |= (uint8_t)news;
    if (!list_is_empty(&call->ready)) return;
    list_append(&rpc->ready, &call->ready);
    loop_defer(rpc->loop, LOOP_RUN, &rpc->run);
}

static bool take_news(struct rpc_call *call, unsigned news) {
    bool has = call->news & news;
    call->news &= (uint8_t)~news;
    return has;
}

/* Client calls are read to their end even when the answer is complete. */
static bool is_told_news(const struct rpc_call *call) {
    return call->state == CALL_OPEN || (call->state == CALL_FINISHING && call->is_client);
}

static bool has_something_to_read(const struct rpc_call *call) {
    return call->inbound.whole || (call->inbound.is_ended && !call->inbound.is_faulty && !call->is_end_told);
}

/* The one request of a method is read before its handler hears of it, so that a handler which is told of a request has
 * one. */
static bool read_sole_request(struct rpc_call *call) {
    struct framed framed;
    if (call->call.method->is_client_streaming || !inbound_peek(call, &framed)) return true;
    bool is_inflated = framed.is_compressed && !call->call.handler->takes_frames;
    if (!is_inflated && !call_must_read(call, &framed)) return true;
    struct message *message = coding_read(call, &framed);
    if (!message) return false;
    inbound_replace(call, message);
    call->reads_json = false;
    return true;
}

/* A limit lets the one request of a method wait before its handler hears of the call. */
static bool may_open(struct rpc_call *call) {
    struct framed framed;
    if (!call->meter || call->state != CALL_ARRIVING || call->call.method->is_client_streaming ||
        !inbound_peek(call, &framed))
        return true;
    enum admission admission = meter_admits(call, WAY_IN, MESSAGE_PREFIX + framed.length);
    if (admission == ENDED) meter_end(call);
    return admission == ADMITTED;
}

static void tell_open(struct rpc_call *call) {
    if (call->state != CALL_ARRIVING || !read_sole_request(call)) return;
    call->state = CALL_OPEN;
    call->was_opened = true;
    if (has_something_to_read(call)) call->news |= NEWS_READABLE;
    if (call->connection->is_draining) call->news |= NEWS_DRAIN;
    call->call.handler->on_open(&call->call);
}

static void count_closed(struct rpc_call *call) {
    struct rpc_counters *counters = &call->call.rpc->counters;
    counter_take(&counters->calls, 1);
    bool is_served = !call->is_client && !call->connection->is_internal;
    counter_take(&counters->calls_served, is_served);
    counter_add(&counters->calls_ended[call->status], 1);
    counter_add(&call->call.tally->handled[call->status], 1);
    counter_add(&counters->calls_closed[call->reason], is_served);
}

static void tell_close(struct rpc_call *call) {
    call->state = CALL_TOLD;
    access_closed(call);
    count_closed(call);
    if (call->was_opened)
        call->call.handler->on_close(&call->call, call->status, call->text ? call->text : "");
    const struct call_route *route = call->call.route;
    meter_close(call);
    call->call.route = NULL;
    call->call.handler = NULL;
    if (route) router_call_closed(route);
}

/* A handler function may hand the call to another handler. */
void call_run(struct rpc_call *call) {
    struct rpc *rpc = call->call.rpc;
    rpc->running = call;
    if (call->news & NEWS_OPEN && may_open(call) && take_news(call, NEWS_OPEN)) tell_open(call);
    if (take_news(call, NEWS_HEADERS) && is_told_news(call) && call->call.handler->on_headers)
        call->call.handler->on_headers(&call->call);
    if (take_news(call, NEWS_READABLE) && is_told_news(call) && call->is_hungry &&
        has_something_to_read(call) && !meter_is_waiting(call->meter, WAY_IN)) {
        call->is_hungry = false;
        call->call.handler->on_readable(&call->call);
    }
    if (take_news(call, NEWS_WRITABLE) && call->state == CALL_OPEN && call->is_choked &&
        !meter_is_waiting(call->meter, WAY_OUT)) {
        call->is_choked = false;
        call->call.handler->on_writable(&call->call);
        if (call->meter && !meter_is_waiting(call->meter, WAY_OUT)) meter_give_back(call, WAY_OUT);
    }
    if (take_news(call, NEWS_DRAIN) && call->state == CALL_OPEN && call->call.handler->on_drain)
        call->call.handler->on_drain(&call->call);
    if (take_news(call, NEWS_FAULT) && may_fail(call))
        call_fail(call, call->status, call->reason, call->text);
    rpc->running = NULL;
    inbound_spill(call);
    inbound_release(call);
    if (call->window_due && call->stream) http_stream_consumed(call->stream, call->window_due);
    call->window_due = 0;
    if (call->state == CALL_OVER) tell_close(call);
    if (call->state == CALL_TOLD && !call->stream) call_free(call);
}

/* ---- HTTP's events ---- */

/* A method's one request: exactly one, before the handler hears of the call (grpc/grpc: doc/statuscodes.md
 * has UNIMPLEMENTED for other counts). A client counts replies in the same way, but when the status is there.
 */
static void count_sole_message(struct rpc_call *call) {
    const struct inbound *in = &call->inbound;
    const struct method *method = call->call.method;
    if (call->is_client ? method->is_server_streaming : method->is_client_streaming) return;
    if (in->received + (in->have > 0) > 1) {
        call_fault(call, call->is_client ? STATUS_INTERNAL : STATUS_UNIMPLEMENTED, REASON_CLIENT,
                   "%s has one %s message, more than one came", method->full_name,
                   call->is_client ? "reply" : "request");
    } else if (!call->is_client && in->is_ended && in->received == 1) {
        call_wake(call, NEWS_OPEN);
    } else if (!call->is_client && in->is_ended && !in->is_faulty) {
        call_fault(call, STATUS_UNIMPLEMENTED, REASON_CLIENT, "%s has one request message, none came",
                   method->full_name);
    }
}

void call_on_data(void *user, const uint8_t *bytes, size_t length) {
    struct rpc_call *call = user;
    if (!call || call->state >= CALL_OVER || (call->state == CALL_FINISHING && !call->is_client)) return;
    if (call->is_raw) {
        raw_receive(call, bytes, length);
        return;
    }
    call->dialect->receive(call, bytes, length);
    count_sole_message(call);
    call_wake(call, NEWS_READABLE);
}

void call_on_end(struct rpc_call *call) {
    call->dialect->end(call);
    count_sole_message(call);
    call_wake(call, NEWS_READABLE);
}

/* A client of Goa's that wants no answer goes when it has said all, and its messages count nevertheless. */
static bool may_outlive_client(const struct rpc_call *call) {
    const struct rpc *rpc = call->call.rpc;
    if (rpc->is_ending || rpc->orphans >= ORPHANS_MOST) return false;
    return call->is_goa && call->state <= CALL_OPEN && call->inbound.is_ended && !call->inbound.is_faulty &&
           call->call.method->is_client_streaming && !call->call.method->is_server_streaming;
}

/* The stream is closed: by an answer that was sent whole, or because someone gave up. */
void call_on_close(void *user, uint32_t error, bool is_connection) {
    struct rpc_call *call = user;
    if (!call) return;
    call->was_reset_here = call->stream && http_stream_was_reset_here(call->stream);
    call->stream = NULL;
    call->window_due = 0;
    if (call->partner && raw_closed(call, error, is_connection)) return;
    if (call->is_waiting) return; /* for another attempt */
    if (may_outlive_client(call)) {
        websocket_alive_orphan(call->edge->websocket);
        return;
    }
    if (call->state >= CALL_OVER) {
        call_wake(call, 0);
    } else if (call->is_client) {
        grpc_client_closed(call, error, is_connection);
    } else if (call->state == CALL_FINISHING && error == HTTP_NO_ERROR && !is_connection &&
               !call->outbox.bytes) {
        call_settle(call);
    } else if (is_connection) {
        call_end(call, STATUS_CANCELLED, REASON_CONNECTION, "the connection was lost");
    } else {
        call_end(call, STATUS_CANCELLED, REASON_CLIENT, "the client has cancelled the call");
    }
}

size_t call_body_ready(void *user) {
    const struct rpc_call *call = user;
    if (!call) return 0;
    size_t bytes = call->outbox.bytes + call->replay_left;
    if (bytes && call_holds_reply(call)) bytes = 0;
    return call->edge ? bytes + buffer_length(&call->edge->ahead) : bytes;
}

/* What leaves before the next message, once the one that has begun to leave has; returns the bytes that it is not. */
static size_t give_ahead(struct rpc_call *call, size_t length, struct http_output *output) {
    struct buffer *ahead = &call->edge->ahead;
    size_t begun = call->outbox.left < length ? call->outbox.left : length;
    outbox_give(&call->outbox, &call->call.rpc->outboxes, begun, output);
    account_discharge(call, begun);
    length -= begun;
    size_t step = length < buffer_length(ahead) ? length : buffer_length(ahead);
    http_output_copy(output, buffer_bytes(ahead), step);
    buffer_take(ahead, step);
    if (!buffer_length(ahead)) buffer_free(ahead);
    return length - step;
}

void call_body_give(void *user, size_t length, struct http_output *output) {
    struct rpc_call *call = user;
    if (call->edge && buffer_length(&call->edge->ahead)) length = give_ahead(call, length, output);
    if (call->attempt) {
        size_t again = length < call->replay_left ? length : call->replay_left;
        if (again) attempt_give(call, again, output);
        length -= again;
        attempt_keep(call, length);
    }
    outbox_give(&call->outbox, &call->call.rpc->outboxes, length, output);
    account_discharge(raw_payer(call), length);
    if (call->partner) raw_gone(call, length);
    call->progress = loop_now(call->call.rpc->loop);
    if (call->is_choked && call->outbox.bytes <= call->most_queued / 2 &&
        !account_is_limited(call->account))
        call_wake(call, NEWS_WRITABLE);
}

/* ---- ending ---- */

void call_finish_for(struct rpc_call *call, enum status status, enum call_reason reason, const char *text,
                     const void *details, size_t details_length) {
    if (call->is_client || call->state >= CALL_FINISHING) return;
    call->news &= (uint8_t)~NEWS_FAULT;
    bool holds_reply = call_holds_reply(call);
    if (status != STATUS_OK && call->outbox.bytes && holds_reply) {
        call_drop_queued(call);
        call->call.messages_out = call->call.bytes_out = 0;
    }
    if (holds_reply && !call->is_mute) counter_add(&call->call.tally->sent, call->call.messages_out);
    bool is_unsaid = call->is_mute && status == STATUS_OK; /* the handler believes that its reply was sent */
    if (!is_unsaid) set_status(call, status, reason, text);
    call->state = CALL_FINISHING;
    if (call->meter) meter_stop(call);
    inbound_drop(call);
    if (call->partner) raw_part(call, HTTP_CANCEL);
    if (!call->stream) {
        call_settle(call);
        return;
    }
    send_end(call, details, details_length);
    account_ended(call);
}

void call_trailed(struct rpc_call *call, enum status status, enum call_reason reason) {
    set_status(call, status, reason, NULL);
    call->state = CALL_FINISHING;
    call->has_sent_end = true;
    account_ended(call);
}

void call_finish(struct call *public, enum status status, const char *text, const void *details,
                 size_t details_length) {
    call_ask_source(public);
    call_finish_for(rpc_call_of(public), status, REASON_HANDLER, text, details, details_length);
}

void call_half_close(struct call *public) {
    struct rpc_call *call = rpc_call_of(public);
    call_ask_source(public);
    if (!call->is_client || !call_is_open(public)) return;
    call->has_sent_end = true;
    if (call->stream) http_stream_finish(call->stream, NULL, 0);
}

void call_reset(struct call *public, uint32_t http_error) {
    struct rpc_call *call = rpc_call_of(public);
    if (call->state >= CALL_OVER) return;
    if (call->stream) http_stream_reset(call->stream, http_error);
    call_end(call, STATUS_CANCELLED, REASON_HANDLER, "the call was cancelled");
}

/* ---- facts ---- */

const struct metadata *call_peer_trailers(const struct call *public) {
    static const struct metadata none;
    const struct rpc_call *call = rpc_call_of_const(public);
    return call->peer_trailers ? &call->peer_trailers->metadata : &none;
}

const char *call_peer(const struct call *public) {
    return rpc_connection_peer(rpc_call_of_const(public)->connection);
}
const char *call_protocol(const struct call *public) { return rpc_call_of_const(public)->dialect->name; }
enum status call_malformed_status(const struct call *public) { return rpc_call_of_const(public)->dialect->malformed; }

const struct tls_info *call_tls(const struct call *public) {
    const struct rpc_connection *connection = rpc_call_of_const(public)->connection;
    struct connection *wire = connection->session ? http_session_connection(connection->session) : NULL;
    return wire ? connection_tls(wire) : NULL;
}

const char *call_authority(const struct call *public) {
    size_t place = 0;
    const struct metadata_entry *entry =
        public->metadata ? metadata_find(public->metadata, ":authority", 10, &place) : NULL;
    return entry ? entry->value : "";
}

const char *call_node(const struct call *public) { return rpc_call_of_const(public)->connection->peer_node; }

void call_set_node(struct call *public, const char *node) {
    rpc_connection_set_node(rpc_call_of(public)->connection, node);
}

bool call_takes_peers(const struct call *public) { return rpc_call_of_const(public)->connection->takes_peers; }

size_t call_siblings(const struct call *public) {
    const struct rpc_call *call = rpc_call_of_const(public);
    const struct http_session *session = call->connection->session;
    size_t streams = session ? http_session_stream_count(session) : 0;
    return call->stream && streams ? streams - 1 : streams;
}

bool call_is_draining(const struct call *public) {
    const struct rpc_call *call = rpc_call_of_const(public);
    return call->is_client ? public->rpc->is_draining : call->connection->is_draining;
}
