/* config/build.c - see build.h */
#include "config/build.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "config/address.h"
#include "config/build_private.h"
#include "config/keys.h"
#include "config/value.h"

/* --- from keys to members --- */

static void put_number(void *object, const struct key *key, uint64_t number) {
    char *at = (char *)object + key->offset;
    bool is_true = number != 0;
    uint32_t narrow = (uint32_t)number; /* ranges keep it from being cut; enums have this size */
    if (key->size == sizeof is_true)
        memcpy(at, &is_true, sizeof is_true);
    else if (key->size == sizeof narrow)
        memcpy(at, &narrow, sizeof narrow);
    else
        memcpy(at, &number, sizeof number);
}

static char *put_text(const struct key *key, const char *text, const char *file) {
    return key->type == VALUE_PATH ? source_resolve(file, text) : memory_copy_string(text);
}

static void put_list(void *object, const struct key *key, cfg_t *section, const char *main_file) {
    size_t count = section ? tree_value_count(section, key->name) : 0;
    if (!count && !key->standard) return;
    char **list = memory_new((count + 2) * sizeof *list);
    for (size_t i = 0; i < count; i++) {
        const struct value *value = tree_value(section, key->name, i);
        list[i] = put_text(key, value->text, value->place.file);
    }
    if (!count) list[0] = put_text(key, key->standard, main_file);
    memcpy((char *)object + key->offset, &list, sizeof list);
}

static void put_key(void *object, const struct key *key, cfg_t *section, const char *main_file) {
    bool is_text = key->type == VALUE_TEXT || key->type == VALUE_PATH;
    if (key->is_list) {
        put_list(object, key, section, main_file);
        return;
    }
    const struct value *value = section ? tree_value(section, key->name, 0) : NULL;
    if (!value && !key->standard) return;
    if (is_text) {
        char *text =
            put_text(key, value ? value->text : key->standard, value ? value->place.file : main_file);
        memcpy((char *)object + key->offset, &text, sizeof text);
        return;
    }
    uint64_t number = value ? value->number : 0;
    struct error unused; /* a test reads every default */
    if (!value) value_parse(key, key->standard, &number, &unused);
    put_number(object, key, number);
}

void build_put_section(const struct build *build, void *object, enum section_id id, cfg_t *section) {
    for (size_t i = 0; i < key_count; i++)
        if (keys[i].section == id && keys[i].size) put_key(object, &keys[i], section, build->config->file);
}

/* Only what a `service` or a `method` sets for itself. */
static void put_call_limits(struct config_limits *limits, cfg_t *section) {
    for (size_t i = 0; i < key_count; i++) {
        const struct value *value = keys[i].is_per_call ? tree_value(section, keys[i].name, 0) : NULL;
        if (value && keys[i].size) put_number(limits, &keys[i], value->number);
    }
}

/* --- faults --- */

struct place build_place_of_key(const struct build *build, cfg_t *section, const char *name) {
    const struct value *value = section ? tree_value(section, name, 0) : NULL;
    if (value) return value->place;
    return section && section != build->tree ? tree_place(build->source, section)
                                             : (struct place){build->config->file, 0};
}

static bool is_folder(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

bool build_check_files(const struct build *build, cfg_t *section, const char *name) {
    for (size_t i = 0; i < tree_value_count(section, name); i++) {
        const struct value *value = tree_value(section, name, i);
        char *path = source_resolve(value->place.file, value->text);
        bool is_fine = !is_folder(path) && access(path, R_OK) == 0;
        if (!is_fine)
            place_error(value->place, build->error, "`%s`: %s: %s", name, path,
                        strerror(is_folder(path) ? EISDIR : errno));
        free(path);
        if (!is_fine) return false;
    }
    return true;
}

static bool check_folders(const struct build *build, const char *name) {
    for (size_t i = 0; i < tree_value_count(build->tree, name); i++) {
        const struct value *value = tree_value(build->tree, name, i);
        char *path = source_resolve(value->place.file, value->text);
        bool is_fine = is_folder(path);
        if (!is_fine) place_error(value->place, build->error, "`%s`: %s is not a folder", name, path);
        free(path);
        if (!is_fine) return false;
    }
    return true;
}

/* --- proto --- */

static bool ends_with(const char *text, const char *end) {
    size_t length = strlen(text), end_length = strlen(end);
    return length >= end_length && !strcmp(text + length - end_length, end);
}

static bool is_below_proto_path(const struct config *config, const char *name) {
    for (char **folder = config->proto_path; *folder; folder++) {
        char *path = memory_format("%s/%s", *folder, name);
        bool is_there = access(path, R_OK) == 0;
        free(path);
        if (is_there) return true;
    }
    return false;
}

/* .proto files keep the name that protoc looks up; descriptor sets become paths. */
static bool build_proto(const struct build *build) {
    struct config *config = build->config;
    size_t count = tree_value_count(build->tree, "proto");
    config->proto = memory_new((count + 1) * sizeof *config->proto);
    for (size_t i = 0; i < count; i++) {
        const struct value *value = tree_value(build->tree, "proto", i);
        bool is_source = ends_with(value->text, ".proto");
        config->proto[i] =
            is_source ? memory_copy_string(value->text) : source_resolve(value->place.file, value->text);
        bool is_named = is_source && *value->text != '/';
        if (is_named ? is_below_proto_path(config, value->text) : access(config->proto[i], R_OK) == 0)
            continue;
        return is_named ? place_error(value->place, build->error, "`proto`: %s is not in `proto_path` (%s%s)",
                                      value->text, config->proto_path[0], config->proto_path[1] ? ", …" : "")
                        : place_error(value->place, build->error, "`proto`: %s: %s", config->proto[i],
                                      strerror(errno));
    }
    return true;
}

/* --- listeners --- */

static bool build_tls(const struct build *build, cfg_t *section, struct config_tls *tls) {
    build_put_section(build, tls, SECTION_TLS, section);
    const struct value *minimum = tree_value(section, "minimum", 0);
    tls->is_tls13_only = minimum && minimum->number == 1;
    size_t certificates = tree_value_count(section, "certificate"),
           private_keys = tree_value_count(section, "key");
    if (!certificates) return SECTION_FAULT(build, section, "`tls` needs a `certificate`");
    if (!private_keys) return SECTION_FAULT(build, section, "`tls` needs a `key` for its certificate");
    if (certificates != private_keys)
        return KEY_FAULT(build, section, "key",
                         "%zu certificates and %zu keys: each certificate needs its key", certificates,
                         private_keys);
    if (tls->client_certificate != CLIENT_CERTIFICATE_NONE && !tls->client_ca)
        return KEY_FAULT(build, section, "client_certificate",
                         "`client_certificate` needs `client_ca`: who signs them");
    if (tls->client_certificate == CLIENT_CERTIFICATE_NONE && tls->client_ca)
        return KEY_FAULT(
            build, section, "client_ca",
            "`client_ca` is of no use while `client_certificate` is none: make it optional or required");
    return build_check_files(build, section, "certificate") && build_check_files(build, section, "key") &&
           build_check_files(build, section, "client_ca");
}

static bool is_header_name(const char *name) {
    return *name && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == strlen(name);
}

/* As a browser writes it. */
static bool is_origin(const char *text) {
    const char *host = strstr(text, "://");
    if (!strcmp(text, "*") || !strcmp(text, "null")) return true;
    if (!host || host == text || strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789+-.") != (size_t)(host - text))
        return false;
    host += strncmp(host, "://*.", 5) == 0 ? 5 : 3;
    return *host && strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789-._:[]") == strlen(host);
}

static bool build_cors(const struct build *build, cfg_t *section, struct config_cors *cors) {
    build_put_section(build, cors, SECTION_CORS, section);
    size_t count = tree_value_count(section, "origins");
    if (!count) return SECTION_FAULT(build, section, "`cors` needs `origins`: whose pages may call");
    for (size_t i = 0; i < count; i++) {
        if (!is_origin(cors->origins[i]))
            return place_error(tree_value(section, "origins", i)->place, build->error,
                               "\"%s\" is not an origin, such as https://app.example.com: no path, no capitals",
                               cors->origins[i]);
        /* Any page may have the origin "null". */
        if (cors->credentials && (!strcmp(cors->origins[i], "*") || !strcmp(cors->origins[i], "null")))
            return KEY_FAULT(build, section, "credentials",
                             "`credentials` and `origins = \"%s\"` exclude each other: name the origins",
                             cors->origins[i]);
    }
    for (size_t i = 0; i < tree_value_count(section, "headers"); i++)
        if (strcmp(cors->headers[i], "*") != 0 && !is_header_name(cors->headers[i]))
            return place_error(tree_value(section, "headers", i)->place, build->error,
                               "\"%s\" is not the name of a header: small letters, digits, \"-\", \"_\" and \".\"",
                               cors->headers[i]);
    return true;
}

static bool build_proxy_from(const struct build *build, cfg_t *section, struct config_listener *listener) {
    for (size_t i = 0; i < tree_value_count(section, "proxy_from"); i++) {
        struct error why;
        char *network = network_parse(listener->proxy_from[i], &why);
        if (!network)
            return place_error(tree_value(section, "proxy_from", i)->place, build->error, "%s", why.text);
        free(listener->proxy_from[i]);
        listener->proxy_from[i] = network;
    }
    return true;
}

static bool is_same_address(const struct config_listener *a, const struct config_listener *b) {
    if (a->path || b->path) return a->path && b->path && !strcmp(a->path, b->path);
    return !strcmp(a->host, b->host) && !strcmp(a->port, b->port) && strcmp(a->port, "0") != 0;
}

static const struct config_listener *find_address(const struct config_listener *listeners, size_t count,
                                                  const struct config_listener *like) {
    for (size_t i = 0; i < count; i++)
        if (&listeners[i] != like && is_same_address(&listeners[i], like)) return &listeners[i];
    return NULL;
}

bool build_listen_address(const struct build *build, cfg_t *section, struct config_listener *listener) {
    const struct config *config = build->config;
    struct place place = tree_place(build->source, section);
    struct address address;
    struct error why;
    if (!address_parse(listener->address, &address, &why))
        return place_error(place, build->error, "%s", why.text);
    listener->host = address.host;
    listener->port = address.port;
    listener->path = address.path ? source_resolve(place.file, address.path) : NULL;
    free(address.path);
    const struct config_listener *other = find_address(config->listeners, config->listener_count, listener);
    if (!other) other = find_address(config->admins, config->admin_count, listener);
    if (other)
        return place_error(place, build->error, "`%s \"%s\"` is the same address as \"%s\" in line %d",
                           cfg_name(section), listener->address, other->address, other->line);
    if (!listener->path && tree_value(section, "mode", 0))
        return KEY_FAULT(build, section, "mode", "`mode` is for unix sockets only");
    return true;
}

static bool build_listener(const struct build *build, cfg_t *section, struct config_listener *listener) {
    listener->address = memory_copy_string(cfg_title(section));
    listener->line = tree_place(build->source, section).line;
    build_put_section(build, listener, SECTION_LISTEN, section);
    if (!build_listen_address(build, section, listener) || !build_proxy_from(build, section, listener) ||
        !build_limit_list(build, section, &listener->named))
        return false;
    cfg_t *tls = tree_section(section, "tls", 0), *cors = tree_section(section, "cors", 0);
    if (tls) listener->tls = memory_new(sizeof *listener->tls);
    if (tls && !build_tls(build, tls, listener->tls)) return false;
    if (cors) listener->cors = memory_new(sizeof *listener->cors);
    return !cors || build_cors(build, cors, listener->cors);
}

static bool build_listeners(const struct build *build) {
    struct config *config = build->config;
    size_t count = tree_section_count(build->tree, "listen");
    if (!count) return error_at(build->error, config->file, 0, "nothing to serve: there is no `listen`");
    config->listeners = memory_new(count * sizeof *config->listeners);
    for (; config->listener_count < count; config->listener_count++) {
        struct config_listener *listener = &config->listeners[config->listener_count];
        if (build_listener(build, tree_section(build->tree, "listen", config->listener_count), listener))
            continue;
        config->listener_count++; /* what it has so far is freed with the rest */
        return false;
    }
    return true;
}

/* --- services --- */

static size_t identifier_length(const char *text) {
    size_t length = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789");
    return *text >= '0' && *text <= '9' ? 0 : length;
}

/* "pkg.Service", "pkg.*" or "*". */
static bool is_pattern(const char *name) {
    for (;;) {
        if (!strcmp(name, "*")) return true;
        size_t length = identifier_length(name);
        if (!length) return false;
        if (!name[length]) return true;
        if (name[length] != '.') return false;
        name += length + 1;
    }
}

static bool check_script(const struct build *build, const struct value *value, const char *path) {
    bool is_there = !is_folder(path) && access(path, R_OK) == 0;
    if (is_there) return true;
    return place_error(value->place, build->error, "`script`: %s: %s", path, strerror(is_folder(path) ? EISDIR : errno));
}

static char *script_path(const struct build *build, const char *name) {
    return *name == '/' ? memory_copy_string(name) : memory_format("%s/%s", build->config->script_path, name);
}

/* The scripts behind the first. */
static bool build_chain(const struct build *build, cfg_t *section, struct config_service *service, size_t count) {
    if (count < 2) return true;
    if (!service->upstream)
        return KEY_FAULT(build, section, "script", "several scripts are filters, and need an `upstream` behind them");
    service->more_scripts = memory_new(count * sizeof *service->more_scripts);
    service->more_script_names = memory_new(count * sizeof *service->more_script_names);
    for (size_t i = 1; i < count; i++) {
        const struct value *value = tree_value(section, "script", i);
        service->more_script_names[i - 1] = memory_copy_string(value->text);
        service->more_scripts[i - 1] = script_path(build, value->text);
        if (!check_script(build, value, service->more_scripts[i - 1])) return false;
        for (size_t k = 0; k < i; k++)
            if (!strcmp(tree_value(section, "script", k)->text, value->text))
                return place_error(value->place, build->error, "`script` \"%s\" is there twice", value->text);
    }
    return true;
}

static bool build_script(const struct build *build, cfg_t *section, struct config_service *service) {
    size_t count = tree_value_count(section, "script");
    if (!count && service->upstream) return true;
    if (!count)
        return SECTION_FAULT(build, section, "`service \"%s\"` needs a `script` or an `upstream`", service->name);
    const struct value *value = tree_value(section, "script", 0);
    service->script_name = memory_copy_string(value->text);
    service->script = script_path(build, value->text);
    return check_script(build, value, service->script) && build_chain(build, section, service, count);
}

static bool is_for_passed(const char *name) {
    static const char *const names[] = {"upstream", "buffered_per_stream", "message", "limit"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i], name)) return true;
    return false;
}

/* What is passed on is not taken apart: only where its messages begin is known, and how much of it waits. */
static bool check_passed(const struct build *build, cfg_t *section) {
    for (size_t i = 0; i < key_count; i++) {
        const struct key *key = &keys[i];
        bool is_of_script = (key->section == SECTION_SERVICE || key->is_per_call) && !is_for_passed(key->name);
        if (is_of_script && tree_value(section, key->name, 0))
            return KEY_FAULT(build, section, key->name,
                             "`%s` is for services with a `script`: calls that are passed on are not taken apart",
                             key->name);
    }
    cfg_t *method = tree_section(section, "method", 0);
    if (!method) return true;
    return SECTION_FAULT(build, method, "`method` is for services with a `script`: a service without one is passed on "
                                        "as a whole");
}

static bool check_upstream(const struct build *build, cfg_t *section, const struct config_service *service) {
    const struct config *config = build->config;
    if (!service->upstream) return true;
    if (!config_find_upstream(config, service->upstream)) {
        const char **names = memory_new((config->upstream_count + 1) * sizeof *names);
        for (size_t i = 0; i < config->upstream_count; i++) names[i] = config->upstreams[i]->name;
        const char *nearest = error_nearest(service->upstream, names);
        KEY_FAULT(build, section, "upstream", "there is no `upstream` or `peer` \"%s\"%s%s%s", service->upstream,
                  nearest ? " (did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?)" : "");
        free(names);
        return false;
    }
    return service->script || check_passed(build, section);
}

/* Messages that are larger than what may be buffered could never arrive. */
static bool check_message_limit(const struct build *build, cfg_t *section,
                                const struct config_limits *limits) {
    if (limits->message <= limits->buffered_per_connection) return true;
    return KEY_FAULT(build, section, "message",
                     "`message` is larger than `buffered_per_connection`: none could arrive");
}

static bool build_methods(const struct build *build, cfg_t *section, struct config_service *service) {
    service->method_count = tree_section_count(section, "method");
    service->methods = memory_new(service->method_count * sizeof *service->methods);
    for (size_t i = 0; i < service->method_count; i++) {
        cfg_t *method = tree_section(section, "method", i);
        const char *name = cfg_title(method);
        service->methods[i] = (struct config_method){memory_copy_string(name), service->limits};
        if (!*name || name[identifier_length(name)])
            return SECTION_FAULT(build, method, "\"%s\" is not the name of a method", name);
        put_call_limits(&service->methods[i].limits, method);
        if (!build_limit_list(build, method, &service->methods[i].limits.named)) return false;
        if (!check_message_limit(build, method, &service->methods[i].limits)) return false;
    }
    return true;
}

/* What is passed on has no unfinished message that counts by itself, so more may wait, unless the file says how much; and
 * only the section itself says how large one may be. */
static void widen_passed(const struct build *build, cfg_t *section, struct config_service *service) {
    enum { PASSED = 1024 * 1024 };
    struct config_limits *limits = &service->limits;
    cfg_t *all = tree_section(build->tree, "limits", 0);
    if (service->script) return;
    if (tree_value(section, "message", 0)) service->passed_message = limits->message;
    if (tree_value(section, "buffered_per_stream", 0)) return;
    if (all && tree_value(all, "buffered_per_stream", 0)) return;
    limits->buffered_per_stream = limits->buffered_per_connection < PASSED ? limits->buffered_per_connection : PASSED;
}

static bool build_service(const struct build *build, cfg_t *section, struct config_service *service) {
    struct place place = tree_place(build->source, section);
    service->name = memory_copy_string(cfg_title(section));
    service->file = place.file;
    service->line = place.line;
    service->limits = build->config->limits;
    build_put_section(build, service, SECTION_SERVICE, section);
    put_call_limits(&service->limits, section);
    if (!is_pattern(service->name))
        return place_error(place, build->error,
                           "\"%s\" is not a service: write \"pkg.Service\", \"pkg.*\" or \"*\"",
                           service->name);
    if (!build_script(build, section, service) || !build_limit_list(build, section, &service->limits.named))
        return false;
    widen_passed(build, section, service);
    return check_upstream(build, section, service) &&
           check_message_limit(build, section, &service->limits) && build_methods(build, section, service);
}

static bool build_services(const struct build *build) {
    struct config *config = build->config;
    size_t count = tree_section_count(build->tree, "service");
    config->services = memory_new(count * sizeof *config->services);
    for (; config->service_count < count; config->service_count++) {
        struct config_service *service = &config->services[config->service_count];
        if (build_service(build, tree_section(build->tree, "service", config->service_count), service))
            continue;
        config->service_count++;
        return false;
    }
    for (size_t i = 0; i < count && !config->proto[0]; i++) {
        const struct config_service *service = &config->services[i];
        if (!service->script) continue;
        return place_error((struct place){service->file, service->line}, build->error,
                           "`service \"%s\"` has no types: name its .proto file in `proto`", service->name);
    }
    return true;
}

/* --- the rest of the file --- */

static bool check_limits(const struct build *build, cfg_t *section) {
    const struct config_limits *limits = &build->config->limits;
    if (limits->buffered_per_connection > limits->buffered_total)
        return KEY_FAULT(build, section, "buffered_per_connection",
                         "`buffered_per_connection` is larger than `buffered_total`");
    if (limits->buffered_per_stream > limits->buffered_per_connection)
        return KEY_FAULT(build, section, "buffered_per_stream",
                         "`buffered_per_stream` is larger than `buffered_per_connection`");
    if (limits->message > limits->buffered_total / build->config->workers)
        return KEY_FAULT(build, section, "buffered_total",
                         "`message` is larger than a worker's share of `buffered_total`: none could arrive");
    return check_message_limit(build, section, limits);
}

static bool override_log(const struct build *build, const char *variable, const char *name) {
    const char *text = getenv(variable);
    const struct key *key = key_find(SECTION_LOG, name);
    uint64_t number;
    struct error why;
    if (!text || !*text) return true;
    if (!value_parse(key, text, &number, &why)) return error_at(build->error, variable, 0, "%s", why.text);
    put_number(build->config, key, number);
    return true;
}

static uint32_t processors(void) {
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
    return count < 1 ? 1 : count > 256 ? 256 : (uint32_t)count;
}

bool build_config(struct config *config, const struct source *source, cfg_t *tree, struct error *error) {
    const struct build all = {.config = config, .source = source, .error = error, .tree = tree},
                       *build = &all;
    cfg_t *limits = tree_section(build->tree, "limits", 0);
    build_put_section(build, config, SECTION_FILE, build->tree);
    build_put_section(build, config, SECTION_KEEPALIVE, tree_section(build->tree, "keepalive", 0));
    build_put_section(build, config, SECTION_LOG, tree_section(build->tree, "log", 0));
    build_put_section(build, &config->limits, SECTION_LIMITS, limits);
    if (!config->workers) config->workers = processors();
    return override_log(build, "TIDEWIRE_LOG_LEVEL", "level") &&
           override_log(build, "TIDEWIRE_LOG_FORMAT", "format") && check_limits(build, limits) &&
           build_named_limits(build) && (!limits || build_limit_list(build, limits, &config->limits.named)) &&
           check_folders(build, "proto_path") && check_folders(build, "script_path") && build_proto(build) &&
           build_listeners(build) && build_admins(build) && build_upstreams(build) && build_peers(build) && build_bus(build) && build_dicts(build) &&
           build_services(build) && build_routes(build);
}
