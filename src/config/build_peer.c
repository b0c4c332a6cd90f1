/* config/build_peer.c - `node`, `peer` sections, and the listeners that peers may use. A peer becomes an upstream. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "config/build_private.h"

enum { MOST_ID = 64 };

bool build_is_id(const char *text) {
    size_t length = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_");
    return length && length <= MOST_ID && !text[length];
}

static bool build_address(const struct build *build, cfg_t *section, struct config_upstream *peer) {
    const struct value *value = tree_value(section, "address", 0);
    peer->targets = memory_new(2 * sizeof *peer->targets);
    if (value) return build_target(build, value, &peer->targets[0]);
    return peer->peer.connect != CONNECT_ALWAYS ||
           KEY_FAULT(build, section, "connect", "`connect = always` needs an `address`");
}

static bool build_tls(const struct build *build, cfg_t *section, struct config_upstream *peer) {
    if (!build_upstream_tls(build, section, SECTION_PEER_TLS, &peer->tls)) return false;
    if (!peer->tls) return true;
    peer->tls->is_verified = true; /* nothing else proves who it is */
    if (!peer->tls->server_name) peer->tls->server_name = memory_copy_string(peer->peer.id);
    return true;
}

static bool check_names(const struct build *build, cfg_t *section, const struct config_upstream *peer) {
    const struct config *config = build->config;
    if (!config->node) return SECTION_FAULT(build, section, "a `peer` needs a `node`: our own id, at the top of the file");
    if (!build_is_id(peer->peer.id))
        return KEY_FAULT(build, section, "id", "\"%s\" is not the id of a peer: " BUILD_ID_RULE, peer->peer.id);
    if (!strcmp(peer->peer.id, config->node))
        return KEY_FAULT(build, section, "id", "\"%s\" is our own `node`", peer->peer.id);
    for (size_t i = 0; config->upstreams[i] != peer; i++) {
        const struct config_upstream *other = config->upstreams[i];
        if (!strcmp(other->name, peer->name))
            return SECTION_FAULT(build, section, "`upstream \"%s\"` has that name already", other->name);
        if (other->peer.id && !strcmp(other->peer.id, peer->peer.id))
            return KEY_FAULT(build, section, "id", "`peer \"%s\"` has the id \"%s\" already", other->name, other->peer.id);
    }
    return true;
}

static bool build_peer(const struct build *build, cfg_t *section, struct config_upstream *peer) {
    peer->name = memory_copy_string(cfg_title(section));
    peer->connections = 1;
    build_put_section(build, peer, SECTION_PEER, section);
    build_put_section(build, &peer->keepalive, SECTION_PEER_KEEPALIVE, tree_section(section, "keepalive", 0));
    peer->keepalive.without_streams = true;
    if (!*peer->name) return SECTION_FAULT(build, section, "a `peer` needs a name: peer NAME { … }");
    if (!peer->peer.id) peer->peer.id = memory_copy_string(peer->name);
    if (build->config->node) peer->peer.node = memory_copy_string(build->config->node);
    if (!check_names(build, section, peer) || !build_address(build, section, peer) ||
        !build_tls(build, tree_section(section, "tls", 0), peer))
        return false;
    peer->fingerprint = build_fingerprint(section, SECTION_PEER, peer);
    return true;
}

static bool check_listeners(const struct build *build) {
    const struct config *config = build->config;
    for (size_t i = 0; i < config->listener_count; i++) {
        const struct config_listener *listener = &config->listeners[i];
        cfg_t *section = tree_section(build->tree, "listen", i);
        if (!listener->takes_peers) continue;
        if (!config->node)
            return KEY_FAULT(build, section, "peers", "`peers = on` needs a `node`: our own id, at the top of the file");
        if (listener->tls && listener->tls->client_certificate == CLIENT_CERTIFICATE_NONE)
            return KEY_FAULT(build, section, "peers",
                             "`peers = on` with `tls` needs `client_certificate`: by it peers prove their id");
    }
    return true;
}

bool build_peers(const struct build *build) {
    struct config *config = build->config;
    size_t count = tree_section_count(build->tree, "peer");
    if (config->node && !build_is_id(config->node))
        return KEY_FAULT(build, build->tree, "node", "\"%s\" is not an id: " BUILD_ID_RULE, config->node);
    config->upstreams = memory_resize(config->upstreams, (config->upstream_count + count + 1) * sizeof *config->upstreams);
    for (size_t i = 0; i < count; i++) {
        struct config_upstream *peer = memory_new(sizeof *peer);
        peer->references = 1;
        config->upstreams[config->upstream_count++] = peer;
        if (!build_peer(build, tree_section(build->tree, "peer", i), peer)) return false;
    }
    return check_listeners(build);
}
