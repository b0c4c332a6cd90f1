/* upstream/peer_arrival.c - Link/Connect of a peer, in the home: it waits for what the state machine says. Who sends it
 * was checked by the worker that accepted the connection. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "upstream/peer_private.h"

/* ---- numbers in metadata ---- */

void peer_write_instance(char text[PEER_NUMBER_TEXT], uint64_t instance) {
    snprintf(text, PEER_NUMBER_TEXT, "%016" PRIx64, instance);
}

void peer_write_number(char text[PEER_NUMBER_TEXT], uint64_t number) {
    snprintf(text, PEER_NUMBER_TEXT, "%" PRIu64, number);
}

bool peer_read_instance(const char *text, size_t length, uint64_t *instance) {
    *instance = 0;
    for (size_t i = 0; i < length; i++) {
        const char *digits = "0123456789abcdef", *digit = text[i] ? strchr(digits, text[i]) : NULL;
        if (!digit) return false;
        *instance = *instance << 4 | (uint64_t)(digit - digits);
    }
    return length == 16 && *instance;
}

bool peer_read_number(const char *text, size_t length, uint64_t *number) {
    enum { MOST_DIGITS = 18 };
    *number = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        *number = *number * 10 + (uint64_t)(text[i] - '0');
    }
    return length && length <= MOST_DIGITS;
}

/* ---- the call ---- */

static const struct metadata_entry *find(const struct call *call, const char *name) {
    size_t place = 0;
    return metadata_find(call->metadata, name, strlen(name), &place);
}

static void on_open(struct call *call) {
    struct peer *peer = call->data;
    const struct metadata_entry *instance_entry = find(call, PEER_INSTANCE), *number_entry = find(call, PEER_DIAL);
    uint64_t instance, number;
    call->data = NULL;
    if (!instance_entry || !number_entry ||
        !peer_read_instance(instance_entry->value, instance_entry->value_length, &instance) ||
        !peer_read_number(number_entry->value, number_entry->value_length, &number)) {
        call_finish(call, STATUS_INVALID_ARGUMENT, "the metadata of Link/Connect makes no sense", NULL, 0);
        return;
    }
    if (peer_is_ending(peer) && list_is_empty(&peer->target->waiting)) {
        call_finish(call, STATUS_UNAVAILABLE, "the server ends", NULL, 0);
        return;
    }
    struct peer_link *link = peer_link_new(peer, false);
    link->call = call;
    call->data = link;
    peer_state_came(&peer->state, link, instance, number, peer_now(peer));
    peer_look(peer);
}

static void nothing(struct call *call) { (void)call; }

/* It was held. */
static void on_close(struct call *call, enum status status, const char *text) {
    struct peer_link *link = call->data;
    (void)status, (void)text;
    if (!link) return;
    struct peer *peer = link->peer;
    struct upstream *upstream = upstream_ref(peer->upstream);
    link->call = NULL;
    peer_state_gone(&peer->state, link, peer_now(peer));
    peer_link_free(&link);
    peer_look(peer);
    upstream_unref(&upstream);
}

const struct call_handler peer_arrival_handler = {
    .on_open = on_open, .on_readable = nothing, .on_writable = nothing, .on_close = on_close};

static void add(struct call *call, const char *name, const char *value) {
    metadata_add(call_headers(call), name, strlen(name), value, strlen(value));
}

void peer_arrival_take(struct peer_link *link, uint64_t void_up_to) {
    const struct upstream *upstream = link->peer->upstream;
    const struct config_upstream *config = upstream->config;
    struct call *call = link->call;
    char instance[PEER_NUMBER_TEXT], number[PEER_NUMBER_TEXT];
    const struct rpc_link_options options = {.name = config->name,
                                             .authority = config->peer.id,
                                             .connect_timeout = config->connect_timeout,
                                             .keepalive_interval = config->keepalive.interval,
                                             .keepalive_timeout = config->keepalive.timeout,
                                             .pings_without_streams = true};
    peer_write_instance(instance, peer_registry_instance(upstream->all->registry));
    peer_write_number(number, void_up_to);
    add(call, PEER_NODE, config->peer.node);
    add(call, PEER_INSTANCE, instance);
    add(call, PEER_DIAL, number);
    link->call = NULL;
    link->link = rpc_tunnel_link(call, &options, &peer_link_events, link);
    peer_link_stand(link);
    log_info(NULL, "peer %s: has connected", config->name);
}

void peer_arrival_refuse(struct peer_link *link) {
    struct call *call = link->call;
    call->data = NULL;
    link->call = NULL;
    call_finish(call, STATUS_ABORTED, "superseded by another connection", NULL, 0);
    peer_link_free(&link);
}
