/* cli/call_options.c - see call_options.h */
#include "cli/call_options.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/memory.h"
#include "net/address.h"

/* Spelled as grpcurl spells them, or that is understood too. */
const struct flag call_flags[] = {
    {.name = "data",
     .letter = 'd',
     .value = "JSON",
     .help = "the messages; or @FILE, or @ for standard input"},
    {.name = "header",
     .letter = 'H',
     .value = "TEXT",
     .help = "metadata, 'name: value'; base64 for -bin; repeatable"},
    {.name = "proto", .value = "FILE", .help = "types from a .proto file; repeatable"},
    {.name = "import-path",
     .letter = 'I',
     .value = "DIR",
     .help = "where .proto files and imports are; repeatable"},
    {.name = "protoset", .value = "FILE", .help = "types from a descriptor set; repeatable"},
    {.name = "timeout", .alias = "max-time", .value = "TIME", .help = "the call's deadline: 5s, 300ms, 2m"},
    {.name = "gzip", .help = "compress request messages"},
    {.name = "verbose", .letter = 'v', .help = "response headers and trailers on standard error"},
    {.name = "tls", .help = "TLS; the flags from here to --servername mean it too"},
    {.name = "cacert", .value = "FILE", .help = "authorities to trust instead of the system's"},
    {.name = "cert", .value = "FILE", .help = "our certificate, with --key"},
    {.name = "key", .value = "FILE", .help = "the key of --cert"},
    {.name = "insecure", .help = "do not verify the server's certificate"},
    {.name = "servername", .value = "NAME", .help = "the name in its certificate"},
    {.name = "authority", .value = "NAME", .help = ":authority, and --servername if that is not given"},
    {0},
};

/* ---- single values ---- */

static bool read_time(const char *text, uint64_t *ns) {
    static const struct {
        const char *name;
        double ns;
    } units[] = {{"", 1e9}, {"s", 1e9}, {"ms", 1e6}, {"m", 60e9}, {"h", 3600e9}};
    char *unit;
    double number = strtod(text, &unit);
    if (unit == text || !(number > 0) || number > 1e6) return false; /* NaN is not above 0 either */
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(unit, units[i].name)) continue;
        *ns = (uint64_t)(number * units[i].ns + 0.999);
        return true;
    }
    return false;
}

static bool add_header(struct metadata *metadata, const char *text, const char **fault) {
    const char *colon = strchr(text, ':');
    if (!colon || colon == text) {
        *fault = "expected 'NAME: VALUE'";
        return false;
    }
    size_t length = (size_t)(colon - text);
    const char *value = colon + 1 + strspn(colon + 1, " \t");
    struct buffer binary = {0};
    char *name = memory_copy(text, length);
    for (char *at = name; *at; at++)
        if (*at >= 'A' && *at <= 'Z') *at |= 0x20;
    bool is_binary = metadata_is_binary(name, length);
    if (is_binary && !base64_read(&binary, value, strlen(value))) {
        *fault = "a -bin value is base64";
    } else {
        const char *bytes = is_binary ? (const char *)binary.data : value;
        enum metadata_fault what = metadata_add(metadata, name, length, bytes ? bytes : "",
                                                is_binary ? buffer_length(&binary) : strlen(value));
        *fault = what == METADATA_OK ? NULL : metadata_fault_text(what);
    }
    buffer_free(&binary);
    free(name);
    return !*fault;
}

/* ---- lists ---- */

static size_t add_values(char **list, size_t count, const struct arguments *arguments, const char *flag) {
    const char *value;
    for (size_t index = 0; (value = arguments_next(arguments, flag, &index));)
        list[count++] = memory_copy_string(value);
    return count;
}

/* The values of one or two flags, ended by NULL. */
static char **list_of(const struct arguments *arguments, const char *flag, const char *other) {
    char **list = memory_new((arguments->given_count + 1) * sizeof *list);
    size_t count = add_values(list, 0, arguments, flag);
    if (other) add_values(list, count, arguments, other);
    return list;
}

static void list_free(char **list) {
    for (char **text = list; text && *text; text++) free(*text);
    free(list);
}

/* ---- the whole ---- */

/* A unix socket has no name that could be an authority: gRPC says localhost. */
static bool read_names(const struct arguments *arguments, struct call_options *options) {
    const char *authority = arguments_value(arguments, "authority");
    const char *server_name = arguments_value(arguments, "servername");
    char *host, *port;
    struct error error;
    if (!strncmp(options->address, "unix:", 5)) {
        host = memory_copy_string("localhost");
        port = NULL;
    } else if (!address_split(options->address, &host, &port, &error)) {
        arguments_fault(arguments, "%s", error.text);
        return false;
    }
    options->authority = memory_copy_string(authority ? authority : port ? options->address : host);
    options->server_name = memory_copy_string(server_name ? server_name : authority ? authority : host);
    free(host);
    free(port);
    return true;
}

static bool read_tls(const struct arguments *arguments, struct call_options *options) {
    options->ca = arguments_value(arguments, "cacert");
    options->certificate = arguments_value(arguments, "cert");
    options->key = arguments_value(arguments, "key");
    options->is_unverified = arguments_has(arguments, "insecure");
    options->is_tls = arguments_has(arguments, "tls") || options->ca || options->certificate ||
                      options->key || options->is_unverified || arguments_has(arguments, "servername");
    if (!options->certificate == !options->key) return true;
    arguments_fault(arguments, "--cert and --key go together");
    return false;
}

static bool read_headers(const struct arguments *arguments, struct call_options *options) {
    const char *text, *fault;
    for (size_t index = 0; (text = arguments_next(arguments, "header", &index));) {
        if (add_header(&options->metadata, text, &fault)) continue;
        arguments_fault(arguments, "-H '%s': %s", text, fault);
        return false;
    }
    return true;
}

static bool read_timeout(const struct arguments *arguments, struct call_options *options) {
    const char *text = arguments_value(arguments, "timeout");
    if (!text || read_time(text, &options->timeout)) return true;
    arguments_fault(arguments, "--timeout %s: expected a time, such as 5s or 300ms", text);
    return false;
}

bool call_options_read(const struct arguments *arguments, struct call_options *options) {
    *options = (struct call_options){
        .address = arguments->operands[0],
        .symbol = arguments->operand_count > 1 ? arguments->operands[1] : NULL,
        .data = arguments_value(arguments, "data"),
        .files = list_of(arguments, "proto", "protoset"),
        .import_paths = list_of(arguments, "import-path", NULL),
        .is_verbose = arguments_has(arguments, "verbose"),
        .compresses = arguments_has(arguments, "gzip"),
    };
    bool is_fine = read_names(arguments, options) && read_tls(arguments, options) &&
                   read_headers(arguments, options) && read_timeout(arguments, options);
    if (!is_fine) call_options_free(options);
    return is_fine;
}

void call_options_free(struct call_options *options) {
    list_free(options->files);
    list_free(options->import_paths);
    metadata_clear(&options->metadata);
    free(options->authority);
    free(options->server_name);
    *options = (struct call_options){0};
}
