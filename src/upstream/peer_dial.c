/* upstream/peer_dial.c - we connect to a peer: its address, one after the other of what that stands for; a session; and
 * Link/Connect, by which each side learns who the other is. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "net/address.h"
#include "upstream/peer_private.h"

static void fail(struct peer_link *link, const char *reason) {
    struct peer *peer = link->peer;
    struct upstream *upstream = upstream_ref(peer->upstream);
    const char *address = upstream->config->targets[0];
    char *text = strstr(reason, address) ? memory_copy_string(reason) : memory_format("%s: %s", address, reason);
    peer->dial = NULL;
    peer_link_free(&link);
    peer_dial_failed(peer, text);
    free(text);
    upstream_unref(&upstream);
}

static void took_too_long(struct timer *timer) {
    fail(container_of(timer, struct peer_link, timer), "connecting took too long");
}

/* ---- Link/Connect ---- */

static void nothing(struct call *call) { (void)call; }

static const char *value_of(const struct metadata *metadata, const char *name, size_t *length) {
    size_t place = 0;
    const struct metadata_entry *entry = metadata_find(metadata, name, strlen(name), &place);
    *length = entry ? entry->value_length : 0;
    return entry ? entry->value : "";
}

static void taken(struct peer_link *link, struct call *call, uint64_t instance, uint64_t void_up_to) {
    struct peer *peer = link->peer;
    const struct rpc_tunnel_options options = {.node = peer->upstream->config->peer.id};
    peer->dial = NULL;
    peer->failures_in_row = 0;
    free(peer->error);
    peer->error = NULL;
    peer_record_set_error(peer->record, NULL);
    link->call = NULL;
    link->tunnel = rpc_tunnel_serve(call, &options, &peer_tunnel_events, link);
    peer_link_stand(link);
    log_info(NULL, "peer %s: connected to %s", peer->upstream->config->name, call_peer(call));
    peer_state_taken(&peer->state, link, instance, void_up_to);
    peer_link_changed(link);
}

static void on_headers(struct call *call) {
    struct peer_link *link = call->data;
    size_t length, instance_length, number_length;
    uint64_t instance, void_up_to;
    if (!link) return;
    const char *id = link->peer->upstream->config->peer.id, *node = value_of(call->metadata, PEER_NODE, &length);
    const char *instance_text = value_of(call->metadata, PEER_INSTANCE, &instance_length);
    const char *number_text = value_of(call->metadata, PEER_DIAL, &number_length);
    if (!length) return; /* trailers follow, and say more */
    char *reason = NULL;
    if (strcmp(node, id) != 0)
        reason = memory_format("there is node %.64s, not %s", node, id);
    else if (!peer_read_instance(instance_text, instance_length, &instance) ||
             !peer_read_number(number_text, number_length, &void_up_to))
        reason = memory_copy_string("the peer's answer makes no sense");
    if (reason)
        fail(link, reason);
    else
        taken(link, call, instance, void_up_to);
    free(reason);
}

static void superseded(struct peer_link *link) {
    struct peer *peer = link->peer;
    struct upstream *upstream = upstream_ref(peer->upstream);
    peer->dial = NULL;
    peer_link_free(&link);
    peer_state_superseded(&peer->state, peer_now(peer));
    peer_look(peer);
    upstream_unref(&upstream);
}

static void on_close(struct call *call, enum status status, const char *text) {
    struct peer_link *link = call->data;
    if (!link) return;
    link->call = NULL;
    if (status == STATUS_ABORTED) {
        superseded(link);
        return;
    }
    char *reason = memory_format("%s%s%s", status_name(status), text && *text ? ": " : "", text ? text : "");
    fail(link, reason);
    free(reason);
}

/* There was no answer that agrees: the status comes behind what there is to read. */
static void on_readable(struct call *call) {
    struct call_message message;
    while (call_receive(call, &message) == CALL_MESSAGE) continue;
}

static const struct call_handler handler = {
    .on_open = nothing, .on_readable = on_readable, .on_writable = nothing, .on_headers = on_headers, .on_close = on_close};

static bool on_failure(void *context, const struct rpc_outcome *outcome) {
    (void)context, (void)outcome;
    return false; /* the next dial is the next attempt */
}
static void on_over(void *context, const struct rpc_outcome *outcome) { (void)context, (void)outcome; }
static const struct rpc_opener opener = {.on_failure = on_failure, .on_over = on_over};

static void add(struct metadata *metadata, const char *name, const char *value) {
    metadata_add(metadata, name, strlen(name), value, strlen(value));
}

static void ask(struct peer_link *link) {
    struct peer *peer = link->peer;
    const struct upstreams *all = peer->upstream->all;
    const struct config_peer *config = &peer->upstream->config->peer;
    struct metadata metadata = {0};
    char instance[PEER_NUMBER_TEXT], number[PEER_NUMBER_TEXT];
    peer_write_instance(instance, peer_registry_instance(all->registry));
    peer_write_number(number, link->number);
    add(&metadata, PEER_NODE, config->node);
    add(&metadata, PEER_TO, config->id);
    add(&metadata, PEER_INSTANCE, instance);
    add(&metadata, PEER_DIAL, number);
    const struct rpc_request request = {.method = &rpc_tunnel_method,
                                        .metadata = &metadata,
                                        .handler = &handler,
                                        .data = link,
                                        .limits = &rpc_tunnel_limits};
    link->call = rpc_call_open(all->rpc, &request, &opener, NULL, 0);
    metadata_clear(&metadata);
    if (!rpc_call_attach(link->call, link->link)) {
        fail(link, "the server takes no calls on the connection");
        return;
    }
    peer_state_asked(&peer->state);
    peer_look(peer);
}

/* ---- the connection ---- */

static void connect_next(struct peer_link *link) {
    const struct upstream *upstream = link->peer->upstream;
    const struct config_upstream *config = upstream->config;
    if (link->next_address == link->address_count) {
        fail(link, link->reason);
        return;
    }
    size_t at = link->next_address++;
    const struct sockaddr *address = (const struct sockaddr *)&link->addresses[at];
    const struct rpc_link_options options = {
        .address = address,
        .address_length = link->lengths[at],
        .name = config->targets[0],
        .authority = config->peer.id,
        .tls = upstream->tls,
        .keepalive_interval = config->keepalive.interval,
        .keepalive_timeout = config->keepalive.timeout,
        .pings_without_streams = true,
    };
    struct error unused; /* an address always makes sense */
    link->link = rpc_link_new(upstream->all->rpc, &options, &peer_link_events, link, &unused);
}

void peer_dial_changed(struct peer_link *link) {
    if (link->call || !rpc_link_is_ready(link->link)) return;
    ask(link);
}

void peer_dial_gone(struct peer_link *link, const char *reason) {
    free(link->reason);
    link->reason = memory_copy_string(reason);
    rpc_link_free(&link->link);
    connect_next(link);
}

static void use_addresses(struct peer_link *link, const struct sockaddr_storage *addresses, const socklen_t *lengths,
                          size_t count) {
    link->addresses = memory_resize(NULL, count * sizeof *addresses);
    link->lengths = memory_resize(NULL, count * sizeof *lengths);
    memcpy(link->addresses, addresses, count * sizeof *addresses);
    memcpy(link->lengths, lengths, count * sizeof *lengths);
    link->address_count = count;
}

static void on_resolved(void *context, const struct resolved *resolved) {
    struct peer_link *link = context;
    if (resolved->count) use_addresses(link, resolved->addresses, resolved->lengths, resolved->count);
    else link->reason = memory_copy_string(resolved->error);
    resolver_query_free(&link->query);
    connect_next(link);
}

/* Not from inside of the state machine. */
static void begin(struct task *task) {
    struct peer_link *link = container_of(task, struct peer_link, task);
    const char *text = link->peer->upstream->config->targets[0];
    struct sockaddr_storage address = {0};
    struct sockaddr_un *path = (struct sockaddr_un *)&address;
    socklen_t length = sizeof *path;
    struct error error;
    char *host = NULL, *port = NULL;
    bool is_path = strncmp(text, "unix:", 5) == 0, is_address = is_path && address_of_path(text + 5, path, &error);
    if (!is_path) {
        address_split(text, &host, &port, &error); /* the config has checked it */
        is_address = resolver_read_address(host, port, &address, &length);
    }
    if (is_address) {
        use_addresses(link, &address, &length, 1);
        connect_next(link);
    } else if (is_path) {
        fail(link, error.text);
    } else {
        link->query = resolver_ask(upstreams_resolver(link->peer->upstream->all), host, port, on_resolved, link);
    }
    free(host);
    free(port);
}

struct peer_link *peer_dial_new(struct peer *peer, uint64_t number) {
    struct loop *loop = peer->upstream->all->loop;
    struct peer_link *link = peer_link_new(peer, true);
    link->number = number;
    timer_init(&link->timer, took_too_long);
    task_init(&link->task, begin);
    timer_start(loop, &link->timer, peer_now(peer) + peer->upstream->config->connect_timeout);
    loop_defer(loop, LOOP_RUN, &link->task);
    return link;
}
