/* rpc/client.c - the one server of `tidewire call`: a link, made anew when it takes no more calls. */
#include <stdio.h>
#include <stdlib.h>

#include "rpc/call_private.h"
#include "rpc/client.h"

struct rpc_client {
    struct rpc *rpc;
    char *address, *authority;
    struct tls_client *tls;
    bool compresses;
    struct rpc_link *link; /* NULL: none stands */
    struct list waiting;   /* opening.node */
};

struct opening {
    struct list node;
    struct call *call;
};

static void refuse_all(struct rpc_client *client, const char *text) {
    struct list *node;
    while ((node = list_take(&client->waiting)))
        rpc_call_refuse(container_of(node, struct opening, node)->call, STATUS_UNAVAILABLE, text);
}

static void on_change(void *context) {
    struct rpc_client *client = context;
    struct list *node;
    while (rpc_link_room(client->link) && (node = list_take(&client->waiting)))
        rpc_call_attach(container_of(node, struct opening, node)->call, client->link);
    if (!rpc_link_is_closing(client->link)) return;
    rpc_link_free(&client->link);
    refuse_all(client, "the connection takes no calls");
}

static void on_gone(void *context, const char *reason) {
    struct rpc_client *client = context;
    char text[512];
    snprintf(text, sizeof text, "the connection has failed: %s", reason);
    rpc_link_free(&client->link);
    refuse_all(client, text);
}

static bool dial(struct rpc_client *client, struct error *error) {
    static const struct rpc_link_events events = {on_change, on_gone};
    const struct rpc_link_options options = {.name = client->address,
                                             .authority = client->authority,
                                             .tls = client->tls,
                                             .connect_timeout = client->rpc->limits.http.settings_timeout};
    client->link = rpc_link_new(client->rpc, &options, &events, client, error);
    return client->link;
}

struct rpc_client *rpc_client_new(struct rpc *rpc, const struct rpc_client_options *options,
                                  struct error *error) {
    struct rpc_client *client = memory_new(sizeof *client);
    client->rpc = rpc;
    client->address = memory_copy_string(options->address);
    client->authority = memory_copy_string(options->authority ? options->authority : options->address);
    client->tls = options->tls;
    client->compresses = options->compresses;
    list_init(&client->waiting);
    if (!dial(client, error)) rpc_client_free(&client);
    return client;
}

void rpc_client_free(struct rpc_client **handle) {
    struct rpc_client *client = *handle;
    *handle = NULL;
    if (!client) return;
    refuse_all(client, "the client has gone");
    rpc_link_free(&client->link);
    free(client->address);
    free(client->authority);
    free(client);
}

static bool on_failure(void *context, const struct rpc_outcome *outcome) {
    (void)context, (void)outcome;
    return false; /* the user sees what happened */
}

static void on_over(void *context, const struct rpc_outcome *outcome) {
    struct opening *opening = context;
    (void)outcome;
    list_remove(&opening->node);
    free(opening);
}

static const struct rpc_opener opener = {.on_failure = on_failure, .on_over = on_over};

struct call *rpc_client_open(struct rpc_client *client, const struct method *method,
                             const struct metadata *metadata, uint64_t timeout,
                             const struct call_handler *handler, void *data,
                             const struct call_limits *limits) {
    const struct rpc_request request = {.method = method,
                                        .metadata = metadata,
                                        .timeout = timeout,
                                        .compresses = client->compresses,
                                        .handler = handler,
                                        .data = data,
                                        .limits = limits};
    struct opening *opening = memory_new(sizeof *opening);
    struct error error = {.text = ""};
    list_init(&opening->node);
    opening->call = rpc_call_open(client->rpc, &request, &opener, opening, 0);
    struct call *call = opening->call; /* `opening` goes with a refusal */
    if (client->link && rpc_link_is_closing(client->link)) rpc_link_free(&client->link);
    if (!client->link && !dial(client, &error))
        rpc_call_refuse(call, STATUS_UNAVAILABLE, error.text);
    else if (!rpc_call_attach(call, client->link))
        list_append(&client->waiting, &opening->node);
    return call;
}
