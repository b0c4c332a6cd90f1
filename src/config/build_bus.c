/* config/build_bus.c - the `bus` section. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "config/address.h"
#include "config/build_private.h"

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

enum { MOST_WORD = 64 };

/* With the scheme, and a port. */
static bool build_url(const struct build *build, const struct value *value, const struct config_bus *bus, char **url) {
    const char *rest = strstr(value->text, "://");
    bool is_tls = strncmp(value->text, "tls://", 6) == 0;
    if (!rest || (!is_tls && strncmp(value->text, "nats://", 7) != 0))
        return place_error(value->place, build->error, "\"%s\" is no url of a NATS server: write \"nats://host:port\"",
                           value->text);
    rest += 3;
    if (strchr(rest, '@'))
        return place_error(value->place, build->error, "`url`: who we are says `user` and `password`, or `token`");
    if (is_tls && !bus->tls) return place_error(value->place, build->error, "`url`: tls:// needs a `tls` section");
    const char *end = strrchr(rest, ']');
    char *full = memory_format(strchr(end ? end : rest, ':') ? "%s" : "%s:4222", rest);
    struct address address;
    struct error why;
    bool is_fine = address_parse(full, &address, &why);
    free(full);
    if (!is_fine) return place_error(value->place, build->error, "`url`: %s", why.text);
    is_fine = address.host && *address.host && strcmp(address.host, "*") != 0 && strcmp(address.port, "0") != 0;
    free(*url);
    *url = memory_format(is_fine && strchr(address.host, ':') ? "%s://[%s]:%s" : "%s://%s:%s", is_tls ? "tls" : "nats",
                         is_fine ? address.host : "", is_fine ? address.port : "");
    free(address.host);
    free(address.port);
    free(address.path);
    return is_fine || place_error(value->place, build->error, "`url`: \"%s\" names no host", value->text);
}

static bool build_urls(const struct build *build, cfg_t *section, struct config_bus *bus) {
    size_t count = tree_value_count(section, "url");
    if (!count) return SECTION_FAULT(build, section, "`bus` needs a `url`: \"nats://host:port\"");
    for (size_t i = 0; i < count; i++)
        if (!build_url(build, tree_value(section, "url", i), bus, &bus->urls[i])) return false;
    return true;
}

static bool is_word(const char *text) {
    size_t length = strspn(text, LETTERS);
    return length && length <= MOST_WORD && !text[length];
}

static bool is_subject(const char *text) {
    if (strlen(text) > MOST_WORD) return false;
    for (;; text++) {
        size_t length = strspn(text, LETTERS);
        if (!length) return false;
        text += length;
        if (!*text) return true;
        if (*text != '.') return false;
    }
}

static bool check_names(const struct build *build, cfg_t *section, const struct config_bus *bus) {
    if (!is_subject(bus->subject))
        return KEY_FAULT(build, section, "subject",
                         "\"%s\" is no subject: words of letters, digits, \"-\" and \"_\" with dots between, at most 64",
                         bus->subject);
    return build_is_id(bus->name) ||
           KEY_FAULT(build, section, "name", "\"%s\" is not the name of a gateway: " BUILD_ID_RULE, bus->name);
}

/* One way to say who we are, and all of it. */
static bool check_identity(const struct build *build, cfg_t *section, const struct config_bus *bus) {
    static const char *const pairs[][2] = {{"user", "password"}, {"nkey", "nkey_seed"}};
    static const char *const ways[] = {"user", "token", "credentials", "nkey"};
    const char *way = NULL;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        bool has_first = tree_value_count(section, pairs[i][0]), has_second = tree_value_count(section, pairs[i][1]);
        if (has_first != has_second)
            return KEY_FAULT(build, section, pairs[i][has_first ? 0 : 1], "`%s` and `%s` need each other", pairs[i][0],
                             pairs[i][1]);
    }
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        if (!tree_value_count(section, ways[i])) continue;
        if (way) return KEY_FAULT(build, section, ways[i], "`%s` and `%s` are two ways to say who we are", way, ways[i]);
        way = ways[i];
    }
    if (bus->nkey && (bus->nkey[0] != 'U' || !build_is_id(bus->nkey)))
        return KEY_FAULT(build, section, "nkey", "`nkey` is a public key, which begins with \"U\"; the seed stands in a file, "
                                                 "`nkey_seed`");
    return build_check_files(build, section, "credentials") && build_check_files(build, section, "nkey_seed");
}

static bool build_stream(const struct build *build, cfg_t *section, struct config_bus *bus) {
    if (!section) return true;
    bus->stream = memory_new(sizeof *bus->stream);
    build_put_section(build, bus->stream, SECTION_BUS_STREAM, section);
    return is_word(bus->stream->name) ||
           KEY_FAULT(build, section, "stream", "\"%s\" is not the name of a stream: letters, digits, \"-\" and \"_\", at most 64",
                     bus->stream->name);
}

/* The host's, as far as it may be a name. */
static char *host_name(void) {
    char text[MOST_WORD + 1] = "";
    if (gethostname(text, sizeof text) == 0) text[sizeof text - 1] = '\0';
    return memory_copy_string(build_is_id(text) ? text : "tidewire");
}

bool build_bus(const struct build *build) {
    cfg_t *section = tree_section(build->tree, "bus", 0);
    if (!section) return true;
    struct config_bus *bus = build->config->bus = memory_new(sizeof *bus);
    bus->references = 1;
    build_put_section(build, bus, SECTION_BUS, section);
    if (!bus->name) bus->name = build->config->node ? memory_copy_string(build->config->node) : host_name();
    if (!build_upstream_tls(build, tree_section(section, "tls", 0), SECTION_BUS_TLS, &bus->tls) ||
        !build_urls(build, section, bus) || !check_names(build, section, bus) || !check_identity(build, section, bus) ||
        !build_stream(build, tree_section(section, "jetstream", 0), bus))
        return false;
    char *says = build_fingerprint(section, SECTION_BUS, NULL);
    bus->fingerprint = memory_format("%s\n%s", bus->name, says);
    free(says);
    return true;
}
