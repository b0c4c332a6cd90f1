/* rpc/call_wire.c - see call_wire.h */
#include "rpc/call_wire.h"

#include <stdio.h>
#include <stdlib.h>

#include "net/connection.h"
#include "rpc/call_private.h"
#include "rpc/chunk.h"
#include "rpc/tunnel.h"

enum {
    INBOX_MOST = 64 * 1024,      /* then what was taken goes on first */
    HELD_LEAST = 4096,           /* from here on a message that has an owner is not copied */
    WINDOW = 1024 * 1024,        /* of the call's stream: many streams share it */
};

struct call_wire {
    struct rpc *rpc;
    struct call *call;             /* NULL: it has closed */
    struct connection *connection; /* NULL: its owner has freed it */
    struct buffer inbox;           /* taken, and to be given to the connection: this, then what is held */
    struct message *held;          /* or NULL */
    const uint8_t *held_bytes;
    size_t held_length;
    struct task task, release;
    char *reason; /* why the call takes the connection with it; NULL: it does not */
    bool is_client;
    bool is_paused, is_drained;
    bool is_giving;      /* the connection's owner is on the stack */
    bool has_peer_ended; /* all that the other end has sent was taken */
};

static const struct call_handler handler;
static const char closed_by_peer[] = "closed by the peer";

bool call_has_wire(const struct call *call) { return call->handler == &handler; }

static void note(struct call_wire *wire) { loop_defer(wire->rpc->loop, LOOP_RUN, &wire->task); }

static void release(struct call_wire *wire) {
    task_cancel(&wire->task);
    loop_defer(wire->rpc->loop, LOOP_FREE, &wire->release);
}

static void destroy(struct task *task) {
    struct call_wire *wire = container_of(task, struct call_wire, release);
    buffer_free(&wire->inbox);
    message_unref(&wire->held);
    free(wire->reason);
    free(wire);
}

/* ---- inwards ---- */

static bool has_bytes(const struct call_wire *wire) { return buffer_length(&wire->inbox) || wire->held; }

static void drop_bytes(struct call_wire *wire) {
    buffer_free(&wire->inbox);
    message_unref(&wire->held);
}

static void end_because(struct call_wire *wire, const char *reason) {
    if (!wire->reason) wire->reason = memory_copy_string(reason);
    note(wire);
}

static void refuse_message(struct call_wire *wire) {
    static const char text[] = "a message is no tidewire.peer.v1.Chunk";
    if (wire->is_client) call_reset(wire->call, HTTP_CANCEL);
    else call_finish(wire->call, STATUS_INVALID_ARGUMENT, text, NULL, 0);
    end_because(wire, text);
}

static void take_message(struct call_wire *wire, const struct call_message *message) {
    const uint8_t *bytes;
    size_t length;
    if (!chunk_read(message->data, message->length, &bytes, &length)) {
        refuse_message(wire);
    } else if (message->owner && length >= HELD_LEAST) {
        wire->held = message_ref(message->owner);
        wire->held_bytes = bytes;
        wire->held_length = length;
    } else {
        buffer_append(&wire->inbox, bytes, length);
    }
}

static bool may_take(const struct call_wire *wire) {
    return wire->call && !wire->reason && !wire->has_peer_ended && !wire->is_paused && !wire->is_giving &&
           !wire->held && buffer_length(&wire->inbox) < INBOX_MOST;
}

static void take(struct call_wire *wire) {
    struct call_message message;
    while (may_take(wire)) {
        enum call_next next = call_receive(wire->call, &message);
        if (next == CALL_END) wire->has_peer_ended = call_has_been_read(wire->call);
        if (next != CALL_MESSAGE) break;
        take_message(wire, &message);
        if (!wire->connection) drop_bytes(wire);
    }
}

static void on_readable(struct call *call) {
    struct call_wire *wire = call->data;
    take(wire);
    if (has_bytes(wire) || wire->has_peer_ended) note(wire);
}

/* Inside, the owner may pause or free the connection, and the call may close. */
static void give(struct call_wire *wire) {
    wire->is_giving = true;
    if (wire->connection && buffer_length(&wire->inbox))
        connection_carry_bytes(wire->connection, buffer_bytes(&wire->inbox), buffer_length(&wire->inbox));
    if (wire->connection && wire->held)
        connection_carry_bytes(wire->connection, wire->held_bytes, wire->held_length);
    wire->is_giving = false;
    drop_bytes(wire);
}

static void pass_on(struct call_wire *wire) {
    take(wire);
    while (wire->connection && !wire->is_paused && has_bytes(wire)) {
        give(wire);
        take(wire);
    }
}

/* A client's call says how it has ended as soon as all was taken. */
static bool has_ended(const struct call_wire *wire) { return wire->has_peer_ended && !wire->is_client; }

static void run(struct task *task) {
    struct call_wire *wire = container_of(task, struct call_wire, task);
    pass_on(wire);
    if (wire->connection && wire->is_drained) connection_carry_drained(wire->connection);
    wire->is_drained = false;
    if (!wire->connection) return;
    if (wire->reason) connection_carry_end(wire->connection, wire->reason);
    else if (has_ended(wire) && !has_bytes(wire)) connection_carry_end(wire->connection, closed_by_peer);
}

static void on_writable(struct call *call) {
    struct call_wire *wire = call->data;
    wire->is_drained = true;
    note(wire);
}

/* A client that is gone looks like one that has cancelled, where the call was passed on from another worker. */
static void end_like_call(struct call_wire *wire, enum status status, const char *text) {
    char reason[512];
    snprintf(reason, sizeof reason, "the call that carries it has ended: %s%s%s", status_name(status),
             *text ? ": " : "", text);
    bool is_lost = !wire->is_client && status == STATUS_CANCELLED;
    end_because(wire, status == STATUS_OK ? closed_by_peer : is_lost ? "lost, or cut by the peer" : reason);
}

static void on_close(struct call *call, enum status status, const char *text) {
    struct call_wire *wire = call->data;
    wire->call = NULL;
    if (wire->connection) end_like_call(wire, status, text);
    else release(wire);
}

static void ignore(struct call *call) { (void)call; }

static const struct call_handler handler = {.on_open = ignore,
                                            .on_readable = on_readable,
                                            .on_writable = on_writable,
                                            .on_close = on_close};

/* ---- outwards ---- */

struct source {
    const struct iovec *piece;
    size_t skip; /* of the first */
};

static void copy_from(struct source *source, uint8_t *to, size_t length) {
    while (length) {
        size_t here = source->piece->iov_len - source->skip;
        size_t step = length < here ? length : here;
        if (step) memcpy(to, (const uint8_t *)source->piece->iov_base + source->skip, step);
        to += step;
        length -= step;
        source->skip += step;
        if (step < here) return;
        source->piece++;
        source->skip = 0;
    }
}

static bool send_large(struct call *call, struct source *source, size_t length) {
    struct message *message = message_new(CHUNK_HEAD_MOST + length);
    size_t head = chunk_write_head(message->data, length);
    copy_from(source, message->data + head, length);
    message->length = (uint32_t)(head + length);
    bool is_sent = call_send(call, message);
    message_unref(&message);
    return is_sent;
}

static bool send_small(struct call *call, struct source *source, size_t length) {
    struct buffer *out = call_begin_message(call);
    if (!out) return false;
    uint8_t *at = buffer_reserve(out, CHUNK_HEAD_MOST + length);
    size_t head = chunk_write_head(at, length);
    copy_from(source, at + head, length);
    buffer_commit(out, head + length);
    call_end_message(call);
    return true;
}

static size_t undelivered(const void *carried) {
    const struct call_wire *wire = carried;
    size_t messages, bytes = 0;
    if (wire->call) call_pending(wire->call, &messages, &bytes);
    return bytes;
}

/* A call may be full with nothing of its own in it: its connection is. */
static size_t kept(const void *carried) {
    const struct call_wire *wire = carried;
    if (!wire->call || !call_is_full(wire->call)) return 0;
    size_t bytes = undelivered(wire);
    return bytes ? bytes : 1;
}

static size_t write_pieces(void *carried, const struct iovec *pieces, int count) {
    struct call_wire *wire = carried;
    struct source source = {.piece = pieces};
    size_t left = 0;
    for (int i = 0; i < count; i++) left += pieces[i].iov_len;
    while (left && wire->call) {
        size_t length = left < CHUNK_DATA_MOST ? left : CHUNK_DATA_MOST;
        bool is_sent = length < OUTBOX_REFERENCE_LEAST ? send_small(wire->call, &source, length)
                                                       : send_large(wire->call, &source, length);
        if (!is_sent) return 0; /* it is over: on_close follows */
        left -= length;
    }
    return kept(wire);
}

/* ---- the rest of a connection ---- */

static void pause_reading(void *carried) { ((struct call_wire *)carried)->is_paused = true; }

static void resume_reading(void *carried) {
    struct call_wire *wire = carried;
    wire->is_paused = false;
    note(wire);
}

static void end_in_peace(void *carried) {
    struct call_wire *wire = carried;
    if (!wire->call) return;
    if (wire->is_client) call_half_close(wire->call);
    else call_finish(wire->call, STATUS_OK, NULL, NULL, 0);
}

/* Nobody reads any more. A call that was ended in peace may take its time, but the client's has to be answered. */
static void let_go(void *carried) {
    struct call_wire *wire = carried;
    wire->connection = NULL;
    wire->is_paused = false;
    if (!wire->call) release(wire);
    else if (wire->has_peer_ended) end_in_peace(wire);
    else if (wire->is_client) call_reset(wire->call, HTTP_CANCEL);
    else call_finish(wire->call, STATUS_UNAVAILABLE, "the session in this call has ended", NULL, 0);
}

static const struct tls_info *tls_below(const void *carried) {
    const struct call_wire *wire = carried;
    return wire->call ? call_tls(wire->call) : NULL;
}

static const struct connection_carrier carrier = {.write = write_pieces,
                                                  .kept = kept,
                                                  .undelivered = undelivered,
                                                  .pause = pause_reading,
                                                  .resume = resume_reading,
                                                  .shutdown = end_in_peace,
                                                  .free = let_go,
                                                  .tls = tls_below};

struct connection *call_wire_new(struct call *call, const char *peer, struct http_session *session) {
    struct rpc_call *inner = rpc_call_of(call);
    struct call_wire *wire = memory_new(sizeof *wire);
    *wire = (struct call_wire){.rpc = call->rpc, .call = call, .is_client = inner->is_client, .is_paused = true};
    task_init(&wire->task, run);
    task_init(&wire->release, destroy);
    call->handler = &handler;
    call->data = wire;
    call_send_headers(call);
    if (inner->stream) http_stream_widen(inner->stream, WINDOW);
    wire->connection =
        connection_carried(call->rpc->loop, &carrier, wire, peer, "", &http_connection_events, session);
    return wire->connection;
}
