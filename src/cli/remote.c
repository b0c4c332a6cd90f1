/* cli/remote.c - see remote.h */
#include "cli/remote.h"

#include <signal.h>

#include "base/clock.h"
#include "net/listener.h"
#include "net/loop.h"
#include "rpc/call.h"

/* Windows that keep a fast server busy; no bound on how long it may be silent, as --timeout is there for
 * that. */
static const struct rpc_limits rpc_limits = {.http = {.headers = 256 * 1024,
                                                      .streams = 100,
                                                      .stream_window = 1 << 20,
                                                      .connection_window = 1 << 22,
                                                      .settings_timeout = 20 * NS_PER_S}};
static const struct call_limits call_limits = {.message = 256 << 20, .buffered_per_stream = 256 * 1024};

static void on_signal(void *context, int number) {
    (void)number;
    struct remote *remote = context;
    if (remote->call) {
        struct call *call = remote->call;
        remote->call = NULL;
        call_reset(call, HTTP_CANCEL);
        return;
    }
    remote->is_given_up = true;
    loop_stop(remote->loop);
}

static bool open_tls(struct remote *remote, struct error *error) {
    const struct call_options *options = remote->options;
    if (!options->is_tls) return true;
    remote->tls = tls_client_new(&(struct tls_client_options){.server_name = options->server_name,
                                                              .ca = options->ca,
                                                              .certificate = options->certificate,
                                                              .key = options->key,
                                                              .is_unverified = options->is_unverified,
                                                              .protocols = (const char *const[]){"h2", NULL}},
                                 error);
    return remote->tls;
}

bool remote_open(struct remote *remote, const struct call_options *options, struct error *error) {
    *remote = (struct remote){.options = options, .loop = loop_new()};
    remote->rpc = rpc_new(remote->loop, &rpc_limits);
    remote->interrupt = signal_watch_new(remote->loop, SIGINT, on_signal, remote);
    remote->terminate = signal_watch_new(remote->loop, SIGTERM, on_signal, remote);
    if (open_tls(remote, error)) {
        remote->client = rpc_client_new(remote->rpc,
                                        &(struct rpc_client_options){.address = options->address,
                                                                     .authority = options->authority,
                                                                     .tls = remote->tls,
                                                                     .compresses = options->compresses},
                                        error);
    }
    if (!remote->client) remote_close(remote);
    return remote->client;
}

void remote_close(struct remote *remote) {
    rpc_client_free(&remote->client);
    rpc_free(&remote->rpc);
    tls_client_free(&remote->tls);
    signal_watch_free(&remote->interrupt);
    signal_watch_free(&remote->terminate);
    loop_free(&remote->loop);
}

void remote_open_call(struct remote *remote, const struct method *method, const struct call_handler *handler,
                      void *data) {
    const struct call_options *options = remote->options;
    remote->call = rpc_client_open(remote->client, method, &options->metadata, options->timeout, handler,
                                   data, &call_limits);
}

void remote_call_closed(struct remote *remote) { remote->call = NULL; }

bool remote_wait(struct remote *remote, const bool *is_done) {
    while (!*is_done && !remote->is_given_up) loop_run(remote->loop);
    return !remote->is_given_up;
}
