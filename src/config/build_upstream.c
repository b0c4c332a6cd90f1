/* config/build_upstream.c - `upstream` sections. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "base/status.h"
#include "config/address.h"
#include "config/build_private.h"

bool build_target(const struct build *build, const struct value *value, char **target) {
    struct address address;
    struct error why;
    if (!address_parse(value->text, &address, &why))
        return place_error(value->place, build->error, "%s", why.text);
    bool is_fine = address.path || (*address.host && strcmp(address.host, "*") != 0 && strcmp(address.port, "0") != 0);
    free(*target);
    if (address.path) {
        char *path = source_resolve(value->place.file, address.path);
        *target = memory_format("unix:%s", path);
        free(path);
    } else {
        *target = memory_format(strchr(address.host, ':') ? "[%s]:%s" : "%s:%s", address.host, address.port);
    }
    free(address.host);
    free(address.port);
    free(address.path);
    if (is_fine) return true;
    return place_error(value->place, build->error, "\"%s\" is nothing that can be called: name host and port",
                       value->text);
}

static bool build_targets(const struct build *build, cfg_t *section, struct config_upstream *upstream) {
    size_t count = tree_value_count(section, "target");
    if (!count) return SECTION_FAULT(build, section, "`upstream \"%s\"` needs a `target`", upstream->name);
    for (size_t i = 0; i < count; i++) {
        const struct value *value = tree_value(section, "target", i);
        if (!build_target(build, value, &upstream->targets[i])) return false;
        for (size_t j = 0; j < i; j++)
            if (!strcmp(upstream->targets[i], upstream->targets[j]))
                return place_error(value->place, build->error, "`target` %s is there twice", upstream->targets[i]);
    }
    return true;
}

bool build_upstream_tls(const struct build *build, cfg_t *section, enum section_id id,
                        struct config_upstream_tls **made) {
    if (!section) return true;
    struct config_upstream_tls *tls = *made = memory_new(sizeof *tls);
    build_put_section(build, tls, id, section);
    if (!tls->certificate != !tls->key)
        return KEY_FAULT(build, section, tls->key ? "key" : "certificate", "`certificate` and `key` need each other");
    return build_check_files(build, section, "ca") && build_check_files(build, section, "certificate") &&
           build_check_files(build, section, "key");
}

static bool build_retry(const struct build *build, cfg_t *section, struct config_upstream *upstream) {
    if (!section) return true;
    struct config_retry *retry = upstream->retry = memory_new(sizeof *retry);
    build_put_section(build, retry, SECTION_RETRY, section);
    size_t count = tree_value_count(section, "on");
    if (!count) retry->on = 1u << STATUS_UNAVAILABLE;
    for (size_t i = 0; i < count; i++) {
        const struct value *value = tree_value(section, "on", i);
        int status = status_by_name(value->text);
        if (status <= STATUS_OK) {
            const char *nearest = error_nearest(value->text, status_names + 1);
            return place_error(value->place, build->error, "\"%s\" is not a status that a failed call has%s%s%s",
                               value->text, nearest ? " (did you mean \"" : "", nearest ? nearest : "",
                               nearest ? "\"?)" : "");
        }
        retry->on |= 1u << status;
    }
    return true;
}

static void *build_optional(const struct build *build, cfg_t *parent, enum section_id id, size_t size) {
    cfg_t *section = tree_section(parent, sections[id].name, 0);
    if (!section) return NULL;
    void *object = memory_new(size);
    build_put_section(build, object, id, section);
    return object;
}

static bool check_balance(const struct build *build, cfg_t *section, const struct config_upstream *upstream) {
    if (upstream->balance == BALANCE_HASH && !upstream->hash_key)
        return KEY_FAULT(build, section, "balance", "`balance = hash` needs a `hash_key`");
    if (upstream->balance != BALANCE_HASH && upstream->hash_key)
        return KEY_FAULT(build, section, "hash_key", "`hash_key` is of no use without `balance = hash`");
    for (const char *at = upstream->hash_key; at && *at; at++)
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-_.", *at))
            return KEY_FAULT(build, section, "hash_key", "\"%s\" is not the name of metadata, which is in lower case",
                             upstream->hash_key);
    return true;
}

/* Everything that the section says, one key a line; files with the signs that they have changed. */
static void write_section(struct buffer *out, enum section_id id, cfg_t *section) {
    for (size_t i = 0; section && i < key_count; i++) {
        if (keys[i].section != id) continue;
        for (size_t n = 0; n < tree_value_count(section, keys[i].name); n++) {
            const struct value *value = tree_value(section, keys[i].name, n);
            buffer_format(out, "%d %s %zu:%s\n", (int)id, keys[i].name, strlen(value->text), value->text);
            if (keys[i].type != VALUE_PATH) continue;
            char *path = source_resolve(value->place.file, value->text);
            struct stat file = {0};
            if (stat(path, &file) == 0)
                buffer_format(out, "%s %ju %ju %jd.%09ld\n", path, (uintmax_t)file.st_ino, (uintmax_t)file.st_size,
                              (intmax_t)file.st_mtim.tv_sec, file.st_mtim.tv_nsec);
            free(path);
        }
    }
}

char *build_fingerprint(cfg_t *section, enum section_id id, const struct config_upstream *upstream) {
    struct buffer text = {0};
    if (upstream && upstream->peer.id) buffer_format(&text, "%s %s\n", upstream->peer.node, upstream->peer.id);
    write_section(&text, id, section);
    for (char **target = upstream ? upstream->targets : NULL; target && *target; target++) buffer_format(&text, "%s\n", *target);
    for (int at = SECTION_FILE + 1; at < SECTION_COUNT; at++) {
        cfg_t *child = sections[at].parent == id ? tree_section(section, sections[at].name, 0) : NULL;
        if (!child) continue;
        buffer_format(&text, "%d\n", at); /* that it is there says something too */
        write_section(&text, (enum section_id)at, child);
    }
    char *copy = memory_copy(buffer_bytes(&text), buffer_length(&text));
    buffer_free(&text);
    return copy;
}

static bool build_upstream(const struct build *build, cfg_t *section, struct config_upstream *upstream) {
    upstream->name = memory_copy_string(cfg_title(section));
    build_put_section(build, upstream, SECTION_UPSTREAM, section);
    build_put_section(build, &upstream->keepalive, SECTION_UPSTREAM_KEEPALIVE,
                      tree_section(section, "keepalive", 0));
    if (!*upstream->name) return SECTION_FAULT(build, section, "an `upstream` needs a name: upstream NAME { … }");
    if (!build_targets(build, section, upstream) || !check_balance(build, section, upstream) ||
        !build_upstream_tls(build, tree_section(section, "tls", 0), SECTION_UPSTREAM_TLS, &upstream->tls) ||
        !build_retry(build, tree_section(section, "retry", 0), upstream))
        return false;
    upstream->health = build_optional(build, section, SECTION_HEALTH, sizeof *upstream->health);
    upstream->ejection = build_optional(build, section, SECTION_EJECT, sizeof *upstream->ejection);
    upstream->fingerprint = build_fingerprint(section, SECTION_UPSTREAM, upstream);
    return true;
}

static bool check_name_servers(const struct build *build) {
    for (size_t i = 0; i < tree_value_count(build->tree, "resolver"); i++) {
        const struct value *value = tree_value(build->tree, "resolver", i);
        struct address address;
        struct error why;
        unsigned char bytes[16];
        if (!address_parse(value->text, &address, &why)) return place_error(value->place, build->error, "%s", why.text);
        bool is_fine = address.host && (inet_pton(AF_INET, address.host, bytes) == 1 ||
                                        inet_pton(AF_INET6, address.host, bytes) == 1);
        free(address.host);
        free(address.port);
        free(address.path);
        if (!is_fine)
            return place_error(value->place, build->error, "`resolver`: \"%s\" is no IP address with a port",
                               value->text);
    }
    return true;
}

bool build_upstreams(const struct build *build) {
    if (!check_name_servers(build)) return false;
    struct config *config = build->config;
    size_t count = tree_section_count(build->tree, "upstream");
    config->upstreams = memory_new(count * sizeof *config->upstreams);
    for (size_t i = 0; i < count; i++) {
        struct config_upstream *upstream = memory_new(sizeof *upstream);
        upstream->references = 1;
        config->upstreams[config->upstream_count++] = upstream;
        if (!build_upstream(build, tree_section(build->tree, "upstream", i), upstream)) return false;
    }
    return true;
}
