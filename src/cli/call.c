/* cli/call.c - `tidewire call`: a small gRPC client, and a look at what a server serves. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/describe.h"
#include "cli/exchange.h"
#include "cli/harmless.h"
#include "cli/verbs.h"
#include "net/listener.h"

static int fault(const struct error *error) {
    fputs("tidewire call: ", stderr);
    harmless_print(stderr, error->text);
    return EXIT_FAILED;
}

static int list_services(struct types *types) {
    struct error error;
    char **names = types_services(types, &error);
    if (!names) return fault(&error);
    for (char **name = names; *name; name++) harmless_print(stdout, *name);
    types_free_names(names);
    return cli_end_output();
}

static int describe(struct types *types, const char *symbol) {
    struct error error;
    struct buffer text = {0};
    if (!types_find(types, symbol, &error)) return fault(&error);
    if (!describe_symbol(types->schema, symbol, &text))
        buffer_format(&text, "%s is in %s\n", symbol, schema_file_by_symbol(types->schema, symbol)->name);
    fwrite(buffer_bytes(&text), 1, buffer_length(&text), stdout);
    buffer_free(&text);
    return cli_end_output();
}

static const struct method *unknown_method(const struct service *service, const char *name,
                                           struct error *error) {
    const char **names = memory_new((service->method_count + 1) * sizeof *names);
    for (size_t i = 0; i < service->method_count; i++) names[i] = service->methods[i].name;
    const char *nearest = error_nearest(name, names);
    if (nearest)
        error_set(error, "%s has no method \"%s\" (did you mean \"%s\"?)", service->full_name, name, nearest);
    else error_set(error, "%s has no method \"%s\"", service->full_name, name);
    free(names);
    return NULL;
}

/* "pkg.Service/Method", as it is on the wire, or "pkg.Service.Method". */
static const char *end_of_service(const char *path) {
    const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.');
    return slash ? slash : dot ? dot : path + strlen(path);
}

/* NULL and an error when there is none. */
static const struct method *find_method(struct types *types, const char *path, struct error *error) {
    const char *slash = end_of_service(path);
    char *service_name = memory_copy(path, (size_t)(slash - path));
    const struct method *method = NULL;
    if (types_find(types, service_name, error)) {
        const struct service *service = schema_service(types->schema, service_name, strlen(service_name));
        const char *name = *slash ? slash + 1 : "";
        method = service ? service_method(service, name, strlen(name)) : NULL;
        if (!service) error_set(error, "%s is not a service", service_name);
        else if (!method) unknown_method(service, name, error);
    }
    free(service_name);
    return method;
}

static int call(struct types *types, struct remote *remote, const char *path) {
    struct error error;
    const struct method *method = find_method(types, path, &error);
    if (!method) return fault(&error);
    types_rest(types);
    return exchange_run(remote, method, types);
}

static int act(struct types *types, struct remote *remote) {
    const char *symbol = remote->options->symbol;
    if (!symbol) return list_services(types);
    if (*symbol == '/') symbol++; /* as on the wire */
    bool is_call = strchr(symbol, '/') || remote->options->data;
    return is_call ? call(types, remote, symbol) : describe(types, symbol);
}

static int run_with(const struct call_options *options) {
    struct types types;
    struct remote remote;
    struct error error;
    if (!types_open(&types, options, &error)) {
        fprintf(stderr, "%s\n", error.text);
        return EXIT_FAILED;
    }
    int exit_code = EXIT_FAILED;
    if (remote_open(&remote, options, &error)) {
        types_ask(&types, &remote);
        exit_code = act(&types, &remote);
    } else {
        fault(&error);
    }
    types_close(&types);
    remote_close(&remote);
    return exit_code;
}

static int run(const struct arguments *arguments) {
    struct call_options options;
    net_prepare_process();
    if (!call_options_read(arguments, &options)) return EXIT_USAGE;
    int exit_code = run_with(&options);
    call_options_free(&options);
    return exit_code;
}

const struct verb verb_call = {
    .name = "call",
    .summary = "call a method: JSON messages in, JSON lines out",
    .operands = "ADDRESS [SERVICE/METHOD]",
    .details = "Requests are read from standard input, one JSON object each, unless -d gives\n"
               "them. ADDRESS alone lists the services; with a SERVICE or a type that is shown.\n"
               "Types come from the server's reflection, unless files are named.",
    .flags = call_flags,
    .least_operands = 1,
    .most_operands = 2,
    .run = run,
};
