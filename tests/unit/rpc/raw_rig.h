/* raw_rig.h - a call that is passed on, for the tests of rpc/: its client, its server, and us between them. */
#ifndef TIDEWIRE_TESTS_RPC_RAW_RIG_H
#define TIDEWIRE_TESTS_RPC_RAW_RIG_H
#include "fake.h"
#include "rpc/call_private.h"
#include "rpc/client.h"
#include "rpc/raw.h"

static struct rpc_link *to_server;
static struct http_session *front, *back; /* the client's connection, and ours to the server */
static struct http_stream *client, *server;
static struct call *passed;
static enum status ended;
static char ended_text[512];
static int ends;
static struct call_limits limits = {.message = 100, .buffered_per_stream = 10000};
static struct limit_book *raw_book; /* what limits.named mean; or NULL */

static void on_end(struct call *call, enum status status, const char *text) {
    if (call != passed) return;
    ended = status;
    snprintf(ended_text, sizeof ended_text, "%s", text);
    ends++;
}
static const struct call_handler behind = {.on_close = on_end};

/* What the opener of the calls is like. */
static struct call *opened; /* the client call of the last one */
static const char *authority;
static bool is_late, tries_again;
static size_t replay;
static int overs;
static bool on_failure(void *context, const struct rpc_outcome *outcome) {
    (void)context, (void)outcome;
    return tries_again;
}
static void on_over(void *context, const struct rpc_outcome *outcome) {
    (void)context, (void)outcome;
    overs++;
}
static const struct rpc_opener opener = {.on_failure = on_failure, .on_over = on_over};

static void pass(struct call *call, const struct http_header *headers, size_t count, bool is_end) {
    const struct rpc_request request = {.headers = headers,
                                        .header_count = count,
                                        .is_end = is_end,
                                        .authority = authority,
                                        .timeout = call->deadline ? call->deadline - fake_loop.now : 0,
                                        .handler = &behind,
                                        .limits = &call->route->limits};
    passed = call;
    call->upstream = "numbers";
    opened = rpc_call_open(fake_rpc, &request, &opener, NULL, replay);
    call_join(call, opened);
    if (!is_late) rpc_call_attach(opened, to_server);
}
static const struct call_handler handler = {.on_request = pass, .on_close = on_end};

static void nothing(void *context) { (void)context; }
static void gone(void *context, const char *reason) { (void)context, (void)reason; }
static const struct rpc_link_events link_events = {nothing, gone};

static inline void begin(void) {
    struct error error;
    ends = overs = 0;
    client = server = NULL;
    authority = NULL;
    is_late = tries_again = false;
    replay = 0;
    fake_start(NULL);
    router_set_limits(fake_router, raw_book);
    router_add_pattern(fake_router, "legacy.*", &handler, NULL, &limits);
    to_server = rpc_link_new(fake_rpc, &(struct rpc_link_options){.name = "127.0.0.1:1", .authority = "unused"},
                             &link_events, NULL, &error);
    back = container_of(fake_http->sessions.prev, struct http_session, node);
    front = fake_accept();
}

#define PASS(...) start(fake_request(front, "/legacy.Service/Method", __VA_ARGS__, NULL))
static inline void start(struct http_stream *stream) {
    client = stream;
    server = list_is_empty(&back->streams) ? NULL : container_of(back->streams.prev, struct http_stream, node);
    fake_read_done(front);
    fake_turn();
}

static inline void stop(void) {
    rpc_link_free(&to_server);
    fake_stop();
    CHECK_INT(overs, 1);
    fake_stream_free(client);
    if (server) fake_stream_free(server);
}

static inline void respond(size_t count, const struct http_header *headers, bool is_end) {
    if (is_end) server->peer_ended = true;
    if (server->user) back->events->on_response(server->user, headers, count, is_end);
    fake_read_done(back);
    fake_turn();
}
static inline void trailers(size_t count, const struct http_header *headers) {
    server->peer_ended = true;
    if (server->user) back->events->on_end(server->user, headers, count);
    fake_read_done(back);
    if (server->is_finished) fake_stream_close(server, HTTP_NO_ERROR, false);
    fake_turn();
}
static const struct http_header fine[] = {FAKE_HEADER(":status", "200"), FAKE_HEADER("content-type", "application/grpc"),
                                          FAKE_HEADER("x-bin", "AP8"), FAKE_HEADER("x-bin", "AP8=,  AA==")};
static const struct http_header ok[] = {FAKE_HEADER("grpc-status", "0"), FAKE_HEADER("x-end", "z"),
                                        FAKE_HEADER("grpc-status-details-bin", "CAUSAmhp")};
#endif
