/* config/build_limit.c - `limit` sections, and who names them. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "config/build_private.h"

static const char *const scopes[] = {"stream", "connection", "service", "peer", "metadata", NULL};

/* "metadata x-user-id": a name as HTTP/2 has it. Binary values have many forms for the same bytes. */
static bool build_metadata(const struct build *build, cfg_t *section, struct config_limit *limit) {
    const char *name = limit->scope + strlen("metadata");
    name += strspn(name, " ");
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.");
    if (!length || name[length])
        return KEY_FAULT(build, section, "per",
                         "`per` = \"%s\" names no metadata: write \"metadata x-user-id\", in lower case", limit->scope);
    if (length >= 4 && !strcmp(name + length - 4, "-bin"))
        return KEY_FAULT(build, section, "per", "`per`: metadata that ends in -bin is no key");
    limit->metadata = name;
    return true;
}

static bool build_scope(const struct build *build, cfg_t *section, struct config_limit *limit) {
    size_t length = strcspn(limit->scope, " ");
    for (unsigned i = 0; scopes[i]; i++) {
        if (strlen(scopes[i]) != length || strncmp(limit->scope, scopes[i], length)) continue;
        limit->per = i;
        if (i == LIMIT_PER_METADATA) return build_metadata(build, section, limit);
        if (!limit->scope[length]) return true;
    }
    const char *nearest = error_nearest(limit->scope, scopes);
    return KEY_FAULT(build, section, "per",
                     "`per` = \"%s\" is unknown%s%s%s; there are stream, connection, service, peer and \"metadata NAME\"",
                     limit->scope, nearest ? " (did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?)" : "");
}

/* Where the file does not say how much may come at once: what comes in a second. */
static uint64_t usual_burst(uint64_t rate) { return rate > RATE_ONE ? (rate + RATE_ONE - 1) / RATE_ONE : 1; }

/* A bucket takes at most some thirty years to fill, so that its arithmetic stays in 64 bits. */
static bool build_burst(const struct build *build, cfg_t *section, const char *key, const char *rate_key, double rate,
                        uint64_t usual, uint64_t *burst) {
    if (!rate && *burst) return KEY_FAULT(build, section, key, "`%s` needs `%s`", key, rate_key);
    if (rate && !*burst) *burst = usual;
    return (double)*burst <= rate * 1e9 ||
           KEY_FAULT(build, section, key, "`%s` is more than comes in a thousand million seconds", key);
}

static bool build_bursts(const struct build *build, cfg_t *section, struct config_limit *limit) {
    return build_burst(build, section, "messages_burst", "messages_per_second",
                       (double)limit->messages_per_second / (double)RATE_ONE, usual_burst(limit->messages_per_second),
                       &limit->messages_burst) &&
           build_burst(build, section, "bytes_burst", "bytes_per_second", (double)limit->bytes_per_second,
                       limit->bytes_per_second, &limit->bytes_burst) &&
           build_burst(build, section, "streams_burst", "streams_per_second",
                       (double)limit->streams_per_second / (double)RATE_ONE, usual_burst(limit->streams_per_second),
                       &limit->streams_burst);
}

/* What a key says must have something to say it of. */
static bool refuse_key(const struct build *build, cfg_t *section, const char *key, bool is_fine, const char *why) {
    return is_fine || !tree_value(section, key, 0) || KEY_FAULT(build, section, key, "`%s` %s", key, why);
}

static bool check_keys(const struct build *build, cfg_t *section, const struct config_limit *limit) {
    bool is_of_stream = limit->per == LIMIT_PER_STREAM, is_of_one = is_of_stream || limit->per == LIMIT_PER_CONNECTION;
    bool has_rate = limit->messages_per_second || limit->bytes_per_second;
    bool has_keys = limit->per == LIMIT_PER_PEER || limit->per == LIMIT_PER_METADATA;
    static const char counts_streams[] = "counts streams, and `per = stream` has one: say another `per`";
    return refuse_key(build, section, "streams", !is_of_stream, counts_streams) &&
           refuse_key(build, section, "streams_per_second", !is_of_stream, counts_streams) &&
           refuse_key(build, section, "messages", is_of_one, "in all are of a stream or connection: say that in `per`") &&
           refuse_key(build, section, "action", has_rate, "is for messages_per_second and bytes_per_second") &&
           refuse_key(build, section, "direction", has_rate || limit->messages,
                      "is for messages_per_second, bytes_per_second and messages") &&
           refuse_key(build, section, "keys", has_keys, "is for `per` peer and metadata, which have many") &&
           (has_rate || limit->messages || limit->streams || limit->streams_per_second || limit->idle || limit->age ||
            SECTION_FAULT(build, section, "`limit \"%s\"` limits nothing", limit->name));
}

static bool build_limit(const struct build *build, cfg_t *section, struct config_limit *limit) {
    limit->name = memory_copy_string(cfg_title(section));
    limit->file = tree_place(build->source, section).file;
    limit->line = tree_place(build->source, section).line;
    build_put_section(build, limit, SECTION_LIMIT, section);
    if (!build_is_id(limit->name) || !strcmp(limit->name, "none"))
        return SECTION_FAULT(build, section, "\"%s\" is not the name of a `limit`: " BUILD_ID_RULE ", and not none",
                             limit->name);
    return build_scope(build, section, limit) && build_bursts(build, section, limit) && check_keys(build, section, limit);
}

bool build_named_limits(const struct build *build) {
    struct config *config = build->config;
    size_t count = tree_section_count(build->tree, "limit");
    config->named_limits = memory_new((count + 1) * sizeof *config->named_limits);
    for (size_t i = 0; i < count; i++) {
        struct config_limit *limit = &config->named_limits[config->named_limit_count++];
        if (!build_limit(build, tree_section(build->tree, "limit", i), limit)) return false;
    }
    return true;
}

/* ---- who names them ---- */

static bool refuse_name(const struct build *build, const struct value *value) {
    const struct config *config = build->config;
    const char **names = memory_new((config->named_limit_count + 1) * sizeof *names);
    for (size_t i = 0; i < config->named_limit_count; i++) names[i] = config->named_limits[i].name;
    const char *nearest = error_nearest(value->text, names);
    place_error(value->place, build->error, "there is no `limit` \"%s\"%s%s%s", value->text,
                nearest ? " (did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?)" : "");
    free(names);
    return false;
}

static bool add_named(const struct build *build, const struct value *value, const struct config_limit **list) {
    const struct config *config = build->config;
    for (size_t i = 0; i < config->named_limit_count; i++) {
        if (strcmp(config->named_limits[i].name, value->text)) continue;
        for (; *list; list++)
            if (*list == &config->named_limits[i])
                return place_error(value->place, build->error, "`limit` \"%s\" is there twice", value->text);
        *list = &config->named_limits[i];
        return true;
    }
    return refuse_name(build, value);
}

bool build_limit_list(const struct build *build, cfg_t *section, const struct config_limit *const **named) {
    struct config *config = build->config;
    size_t count = tree_value_count(section, "limit");
    if (!count) return true;
    *named = NULL;
    if (count == 1 && !strcmp(tree_value(section, "limit", 0)->text, "none")) return true;
    const struct config_limit **list = memory_new((count + 1) * sizeof *list);
    config->limit_lists =
        memory_resize(config->limit_lists, (config->limit_list_count + 1) * sizeof *config->limit_lists);
    config->limit_lists[config->limit_list_count++] = list;
    for (size_t i = 0; i < count; i++)
        if (!add_named(build, tree_value(section, "limit", i), list)) return false;
    *named = list;
    return true;
}
