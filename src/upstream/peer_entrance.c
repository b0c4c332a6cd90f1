/* upstream/peer_entrance.c - Link/Connect on a connection that this worker has accepted: who is it, can it prove that, and
 * does it want us? Then the call goes on to the home of the peer, over a socket of its own, as it comes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "http/stream.h"
#include "rpc/rpc.h"
#include "upstream/peer_private.h"

#define PEER_SERVICE "tidewire.peer.v1.Link"

static const struct call_limits limits = {.message = UINT32_MAX, .buffered_per_stream = 1024 * 1024, .is_link = true};

/* A Link on its way to the home: the socket, and the call that is joined with the peer's. */
struct passage {
    struct rpc_link *link; /* NULL: gone */
    struct call *call;     /* NULL: over */
    bool is_attached;
};

static void free_if_over(struct passage *passage) {
    if (passage->call) return;
    rpc_link_free(&passage->link); /* closes behind the last word */
    free(passage);
}

static void on_change(void *context) {
    struct passage *passage = context;
    if (!passage->is_attached && rpc_call_attach(passage->call, passage->link)) passage->is_attached = true;
}

/* The call on it has heard of that already. */
static void on_gone(void *context, const char *reason) {
    struct passage *passage = context;
    rpc_link_free(&passage->link);
    if (!passage->is_attached) rpc_call_refuse(passage->call, STATUS_UNAVAILABLE, reason);
}

static bool on_failure(void *context, const struct rpc_outcome *outcome) {
    (void)context, (void)outcome;
    return false;
}

static void on_over(void *context, const struct rpc_outcome *outcome) {
    struct passage *passage = context;
    (void)outcome;
    passage->call = NULL;
    free_if_over(passage);
}

static const struct rpc_opener opener = {.on_failure = on_failure, .on_over = on_over};
static const struct rpc_link_events link_events = {on_change, on_gone};

static void closed(struct call *call, enum status status, const char *text) { (void)call, (void)status, (void)text; }
static const struct call_handler outward = {.on_close = closed};

/* ---- the request ---- */

struct text {
    const char *data;
    size_t length;
};

struct claim {
    struct text path, node, to, instance, dial;
};

static void take_header(struct claim *claim, const struct http_header *header) {
    const struct {
        const char *name;
        struct text *place;
    } wanted[] = {{":path", &claim->path},
                  {PEER_NODE, &claim->node},
                  {PEER_TO, &claim->to},
                  {PEER_INSTANCE, &claim->instance},
                  {PEER_DIAL, &claim->dial}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (!wanted[i].place->data && http_header_is(header, wanted[i].name))
            *wanted[i].place = (struct text){header->value, header->value_length};
}

static bool is(struct text text, const char *word) {
    return text.length == strlen(word) && memcmp(text.data, word, text.length) == 0;
}

static void find_peer(void *context, struct upstream *upstream) {
    struct {
        struct text id;
        struct upstream *found;
    } *search = context;
    if (is(search->id, upstream_peer_id(upstream))) search->found = upstream;
}

/* A name of the certificate is the id; or, where it has no names, its common name. */
static bool is_proven(const struct tls_info *tls, const char *id) {
    const char *const *names = tls->client_names;
    if (!names || !*names) return tls->client_common_name && strcmp(tls->client_common_name, id) == 0;
    for (; *names; names++)
        if ((strncmp(*names, "DNS:", 4) == 0 || strncmp(*names, "URI:", 4) == 0) && strcmp(*names + 4, id) == 0)
            return true;
    return false;
}

static struct upstream *refuse(struct call *call, struct text node, enum status status, const char *text) {
    enum { QUOTED = 64 };
    if (node.length)
        log_warn(&call->log, "a connection that says it is peer %.*s is refused: %s",
                 (int)(node.length < QUOTED ? node.length : QUOTED), node.data, text);
    call_finish(call, status, text, NULL, 0);
    return NULL;
}

/* The peer that has sent the Link; NULL: it was refused. */
static struct upstream *check(struct call *call, const struct claim *claim) {
    const struct upstream_set *set = call->data;
    const struct tls_info *tls = call_tls(call);
    const char *own = upstream_set_node(set);
    struct {
        struct text id;
        struct upstream *found;
    } search = {.id = claim->node};
    uint64_t number;
    if (!own || !call_takes_peers(call) || !is(claim->path, "/" PEER_SERVICE "/Connect"))
        return refuse(call, (struct text){0}, STATUS_UNIMPLEMENTED, "unknown service " PEER_SERVICE);
    if (!claim->node.length || !claim->to.length || !peer_read_number(claim->dial.data, claim->dial.length, &number) ||
        !peer_read_instance(claim->instance.data, claim->instance.length, &number))
        return refuse(call, claim->node, STATUS_INVALID_ARGUMENT, "the metadata of Link/Connect makes no sense");
    if (call_node(call))
        return refuse(call, claim->node, STATUS_FAILED_PRECONDITION, "the connection has had a Link already");
    if (!is(claim->to, own)) return refuse(call, claim->node, STATUS_NOT_FOUND, "this is another node");
    upstream_set_each_peer(set, find_peer, &search);
    if (tls && !tls->client_subject)
        return refuse(call, claim->node, STATUS_UNAUTHENTICATED, "there is no certificate that proves it");
    if (!search.found) return refuse(call, claim->node, STATUS_PERMISSION_DENIED, "there is no such peer");
    if (tls && !is_proven(tls, upstream_peer_id(search.found)))
        return refuse(call, claim->node, STATUS_PERMISSION_DENIED, "its certificate is for another name");
    return search.found;
}

/* ---- going on ---- */

#define HEADER(name_, value_, length_)                                                                                 \
    { .name = name_, .name_length = sizeof(name_) - 1, .value = value_, .value_length = length_ }
#define FIXED(name_, value_) HEADER(name_, value_, sizeof(value_) - 1)

static void pass_on(struct call *call, const struct upstream *upstream, const struct claim *claim, bool is_end) {
    const struct http_header headers[] = {FIXED(":method", "POST"),
                                          FIXED(":scheme", "http"),
                                          FIXED(":path", "/" PEER_SERVICE "/Connect"),
                                          FIXED(":authority", "home"),
                                          FIXED("te", "trailers"),
                                          FIXED("content-type", "application/grpc"),
                                          HEADER(PEER_INSTANCE, claim->instance.data, claim->instance.length),
                                          HEADER(PEER_DIAL, claim->dial.data, claim->dial.length)};
    const struct rpc_request request = {.headers = headers,
                                        .header_count = sizeof headers / sizeof *headers,
                                        .is_end = is_end,
                                        .handler = &outward,
                                        .limits = &limits};
    const struct rpc_link_options options = {
        .name = "home", .authority = "home", .connect_timeout = upstream->config->connect_timeout};
    int fd = peer_connect_home(upstream, true);
    if (fd < 0) {
        call_finish(call, STATUS_UNAVAILABLE, "there is no way to the peer's worker", NULL, 0);
        return;
    }
    struct passage *passage = memory_new(sizeof *passage);
    passage->call = rpc_call_open(call->rpc, &request, &opener, passage, 0);
    passage->link = rpc_link_over_fd(call->rpc, fd, &options, &link_events, passage);
    call_set_node(call, upstream_peer_id(upstream));
    call->upstream = upstream_name(upstream);
    call_join(call, passage->call);
}

static void on_request(struct call *call, const struct http_header *headers, size_t count, bool is_end) {
    struct claim claim = {0};
    for (size_t i = 0; i < count; i++) take_header(&claim, &headers[i]);
    const struct upstream *upstream = check(call, &claim);
    if (upstream) pass_on(call, upstream, &claim, is_end);
}

static const struct call_handler handler = {.on_request = on_request, .on_close = closed};

void peer_add_routes(struct router *router, struct upstream_set *set) {
    router_add_pattern(router, PEER_SERVICE, &handler, set, &limits);
}
