/* upstream/pass.c - see pass.h. All that happens between the two ends of gRPC calls is rpc/raw.c's. */
#include "upstream/pass.h"

#include "net/loop.h"
#include "rpc/rpc.h"
#include "upstream/relay.h"

/* The end of one of the two calls is the end of the other: there is nothing to clean up. */
static void on_close(struct call *call, enum status status, const char *text) { (void)call, (void)status, (void)text; }

static const struct call_handler upstream_side = {.on_close = on_close};

static void on_request(struct call *call, const struct http_header *headers, size_t count, bool is_end) {
    struct upstream *upstream = call->data;
    const struct upstream_request request = {
        .call = {.headers = headers,
                 .header_count = count,
                 .is_end = is_end,
                 .timeout = call->deadline ? call->deadline - loop_now(rpc_loop(call->rpc)) : 0,
                 .handler = &upstream_side,
                 .limits = &call->route->limits,
                 .account = call_account(call)}};
    call->upstream = upstream_name(upstream);
    call_join(call, upstream_open(upstream, &request));
}

static void client_close(struct call *call, enum status status, const char *text) {
    (void)status, (void)text;
    if (call->method) relay_close(call);
}

static const struct call_handler client_side = {.takes_frames = true,
                                                .on_request = on_request,
                                                .on_open = relay_open,
                                                .on_readable = relay_readable,
                                                .on_writable = relay_writable,
                                                .on_close = client_close};

static struct call_limits limits_of(const struct config_service *service) {
    return (struct call_limits){.message = service->limits.message,
                                .passed_message = service->passed_message,
                                .buffered_per_stream = service->limits.buffered_per_stream,
                                .named = service->limits.named,
                                .service = service->name};
}

void pass_add_routes(struct router *router, const struct config *config, const struct upstream_set *set) {
    for (size_t i = 0; i < config->service_count; i++) {
        const struct config_service *service = &config->services[i];
        const struct call_limits limits = limits_of(service);
        if (service->script)
            router_add_pattern(router, service->name, NULL, NULL, &limits);
        else
            router_add_pattern(router, service->name, &client_side, upstream_set_find(set, service->upstream), &limits);
    }
}

void pass_add_rest(struct router *router, const struct config_service *service, const struct upstream_set *set) {
    const struct call_limits limits = limits_of(service);
    router_add_rest(router, service->name, &client_side, upstream_set_find(set, service->upstream), &limits);
}
