/* upstream/relay.c - see relay.h */
#include "upstream/relay.h"

#include <stdlib.h>

#include "base/memory.h"
#include "net/loop.h"
#include "rpc/rpc.h"

struct relay {
    struct call *down, *up;  /* NULL once they have closed */
    struct method method;    /* of the up call: types or not, it lives as long as that */
    char *name;
};

static void free_if_closed(struct relay *relay) {
    if (relay->down || relay->up) return;
    free(relay->name);
    free(relay);
}

/* Names of the protocol's own, and what is too much, are not for the other side. */
static void add_all(struct metadata *to, const struct metadata *from) {
    for (size_t i = 0; i < from->count; i++) {
        const struct metadata_entry *entry = &from->entries[i];
        metadata_add(to, entry->name, entry->name_length, entry->value, entry->value_length);
    }
}

/* True when all has been taken. */
static bool pump(struct call *from, struct call *to) {
    struct call_frame frame;
    while (from && to && !call_is_full(to)) {
        enum call_next next = call_receive_frame(from, &frame);
        if (next != CALL_MESSAGE) return next == CALL_END;
        call_send_frame(to, &frame);
    }
    return false;
}

static void pump_request(struct relay *relay) {
    if (pump(relay->down, relay->up)) call_half_close(relay->up);
}

/* ---- the server's side ---- */

static void up_headers(struct call *up) {
    struct relay *relay = up->data;
    struct call *down = relay->down;
    if (!down || call_headers_are_sent(down)) return;
    if (call_peer_compresses(up)) call_compress(down, true);
    add_all(call_headers(down), up->metadata);
    if (down->method->is_server_streaming) call_send_headers(down);
}

static void up_readable(struct call *up) {
    struct relay *relay = up->data;
    pump(up, relay->down);
}

static void up_writable(struct call *up) { pump_request(up->data); }

static void up_close(struct call *up, enum status status, const char *text) {
    static const char name[] = "grpc-status-details-bin";
    struct relay *relay = up->data;
    struct call *down = relay->down;
    const struct metadata *trailers = call_peer_trailers(up);
    size_t place = 0;
    const struct metadata_entry *details = metadata_find(trailers, name, sizeof name - 1, &place);
    relay->up = NULL;
    if (down) {
        add_all(call_trailers(down), trailers);
        call_finish(down, status, text, details ? details->value : NULL, details ? details->value_length : 0);
    }
    free_if_closed(relay);
}

static const struct call_handler up_handler = {
    .takes_frames = true,
    .on_headers = up_headers,
    .on_readable = up_readable,
    .on_writable = up_writable,
    .on_close = up_close,
};

/* ---- the client's side ---- */

static uint64_t time_left(const struct call *call) {
    uint64_t now = loop_now(rpc_loop(call->rpc));
    if (!call->deadline) return 0;
    return call->deadline > now ? call->deadline - now : 1;
}

static struct relay *relay_new(struct call *down) {
    struct relay *relay = memory_new(sizeof *relay);
    relay->down = down;
    relay->method = *down->method;
    relay->method.full_name = relay->name = memory_copy_string(down->method->full_name);
    relay->method.name = strrchr(relay->name, '/') + 1;
    return relay;
}

void relay_open(struct call *down) {
    struct upstream *upstream = down->data;
    struct relay *relay = relay_new(down);
    struct metadata metadata = {0};
    add_all(&metadata, down->metadata);
    const struct upstream_request request = {.call = {.method = &relay->method,
                                                      .metadata = &metadata,
                                                      .timeout = time_left(down),
                                                      .compresses = call_peer_compresses(down),
                                                      .handler = &up_handler,
                                                      .data = relay,
                                                      .limits = &down->route->limits,
                                                      .account = call_account(down)}};
    down->data = relay;
    down->upstream = upstream_name(upstream);
    relay->up = upstream_open(upstream, &request);
    metadata_clear(&metadata);
}

void relay_readable(struct call *down) { pump_request(down->data); }

void relay_writable(struct call *down) {
    struct relay *relay = down->data;
    pump(relay->up, down);
}

void relay_close(struct call *down) {
    enum { HTTP_CANCELLED = 0x8 };
    struct relay *relay = down->data;
    relay->down = NULL;
    if (relay->up) call_reset(relay->up, HTTP_CANCELLED);
    free_if_closed(relay);
}
