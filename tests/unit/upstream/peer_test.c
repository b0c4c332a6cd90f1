/* Two gateways, "a" and "b", of two workers each, in one loop. The id of either has its home in one of the other's
 * workers; connections are accepted by each worker in turn. */
#include "upstream/peer.h"

#include "http/stream.h"
#include "kit.h"
#include "rpc/tunnel.h"

enum { WORKERS = 2 };

struct worker {
    struct node *node;
    struct rpc *rpc;
    struct upstreams *upstreams;
    struct upstream_set *set;
    struct router *router;
};
struct node {
    struct worker workers[WORKERS];
    struct peer_registry *registry;
    struct listener *listener;
    struct server echo; /* counts what the echo handler is told */
    size_t accepted;
    bool takes_no_peers;
};
static struct node a, b;

static void on_accept(void *context, struct listener *from, int fd, bool expects_proxy_header) {
    struct node *node = context;
    (void)from, (void)expects_proxy_header;
    rpc_accept(node->workers[node->accepted++ % WORKERS].rpc,
               &(struct rpc_accepted){.fd = fd, .takes_peers = !node->takes_no_peers});
}

static void join(void *context, uint32_t worker, int fd, struct config_upstream *peer, bool is_arrival) {
    struct worker *from = context;
    upstreams_accept(from->node->workers[worker].upstreams, fd, peer, is_arrival);
}

static void start_listening(struct node *node) {
    struct error error;
    *node = (struct node){0};
    node->listener = listener_open(loop, &(struct listener_options){.host = "127.0.0.1", .port = "0"}, on_accept, node,
                                   &error);
    CHECK(node->listener);
}

static void start_worker(struct node *node, uint32_t index, const struct config *config) {
    struct worker *worker = &node->workers[index];
    struct error error;
    worker->node = node;
    worker->rpc = rpc_new(loop, &kit_rpc_limits);
    worker->upstreams = upstreams_new(worker->rpc);
    upstreams_set_host(worker->upstreams, &(struct upstreams_host){.registry = node->registry,
                                                                   .worker = index,
                                                                   .worker_count = WORKERS,
                                                                   .connect = join,
                                                                   .context = worker});
    worker->set = upstream_set_new(worker->upstreams, config, &error);
    worker->router = router_new(1, NULL, NULL);
    router_add(worker->router, &kit_echo_method, &kit_echo_handler, &node->echo, &kit_limits);
    router_add(worker->router, &kit_hold_method, &kit_hold_handler, &node->echo, &kit_limits);
    peer_add_routes(worker->router, worker->set);
    rpc_set_router(worker->rpc, worker->router);
}

/* `keys`: of its peer; `address`: the peer's, or NULL. */
static void start(struct node *node, const char *own, const char *peer, const char *keys, const char *address) {
    struct error error;
    char *file = memory_format("listen \"127.0.0.1:0\" { }\nnode = %s\npeer %s {\n%s%s%s\nlinger = 0 %s }\n", own, peer,
                               address ? "address = \"" : "", address ? address : "", address ? "\"" : "", keys);
    struct config *config = config_read_text("t.conf", file, strlen(file), &error);
    if (!config) fprintf(stderr, "%s\n", error.text);
    CHECK(config);
    node->registry = peer_registry_new();
    for (uint32_t i = 0; i < WORKERS; i++) start_worker(node, i, config);
    for (uint32_t i = 0; i < WORKERS; i++) upstream_set_start(node->workers[i].set);
    config_free(&config);
    free(file);
}

static void stop(struct node *node) {
    if (node->listener) listener_close(&node->listener);
    if (!node->registry) return;
    for (size_t i = 0; i < WORKERS; i++) upstreams_stop(node->workers[i].upstreams);
    for (size_t i = 0; i < WORKERS; i++) {
        struct worker *worker = &node->workers[i];
        rpc_free(&worker->rpc);
        upstream_set_free(&worker->set);
        router_free(&worker->router);
        upstreams_free(&worker->upstreams);
    }
    peer_registry_free(&node->registry);
}

/* `keys` are a's for its peer. */
static void start_both(const char *keys, bool can_a_dial) {
    loop = loop_new();
    start_listening(&a);
    start_listening(&b);
    start(&a, "a", "b", keys, can_a_dial ? listener_address(b.listener) : NULL);
    start(&b, "b", "a", "backoff = 10ms", listener_address(a.listener));
}

static void stop_both(void) {
    stop(&a);
    stop(&b);
    loop_free(&loop);
}

static void ask_from(struct asked *asked, struct node *node, size_t worker, const char *peer, const char *text) {
    set = node->workers[worker].set;
    ask(asked, peer, text);
}

static void hold_from(struct asked *asked, struct node *node, size_t worker, const char *peer) {
    set = node->workers[worker].set;
    hold(asked, peer);
}

static struct peer_counts peer_of(const struct node *node, const char *name) {
    struct peer_counts counts;
    peer_counts(upstream_set_find(node->workers[0].set, name), &counts);
    return counts;
}

static void both_call_from_every_worker_over_one_connection(void) {
    start_both("backoff = 10ms", true);
    for (int round = 0; round < 50; round++) {
        struct asked asked[2 * WORKERS], held;
        hold_from(&held, &a, (size_t)round % WORKERS, "b"); /* so that the connection stays */
        for (size_t i = 0; i < WORKERS; i++) {
            ask_from(&asked[2 * i], &a, i, "b", "from a");
            ask_from(&asked[2 * i + 1], &b, i, "a", "from b");
        }
        for (size_t i = 0; i < 2 * WORKERS; i++) {
            WAIT_FOR(asked[i].is_closed);
            expect(&asked[i], STATUS_OK);
            CHECK_STR(asked[i].received, i % 2 ? "from b," : "from a,");
        }
        WAIT_FOR(held.has_headers && peer_of(&a, "b").connections == 1 && peer_of(&b, "a").connections == 1);
        CHECK(peer_of(&a, "b").is_connected && peer_of(&b, "a").is_connected);
        CHECK(peer_of(&a, "b").is_dialled_by_us != peer_of(&b, "a").is_dialled_by_us);
        call_reset(held.call, HTTP_CANCEL);
        WAIT_FOR(held.is_closed && !peer_of(&a, "b").connections && !peer_of(&b, "a").connections);
    }
    CHECK(peer_of(&a, "b").simultaneous + peer_of(&b, "a").simultaneous > 0);
    stop_both();
}

static void a_peer_without_address_is_waited_for(void) {
    struct asked early, late, back;
    start_both("wait = 50ms", false);
    ask_from(&early, &a, 0, "b", "x");
    WAIT_FOR(early.is_closed);
    expect(&early, STATUS_UNAVAILABLE);
    CHECK(strstr(early.text, "peer b: no connection within"));
    hold_from(&back, &b, 1, "a");
    WAIT_FOR(back.has_headers);
    ask_from(&late, &a, 1, "b", "x");
    WAIT_FOR(late.is_closed);
    expect(&late, STATUS_OK);
    CHECK_INT(peer_of(&a, "b").dials, 0);
    CHECK_INT(peer_of(&a, "b").accepted, 1);
    stop_both();
}

static void a_lost_connection_ends_its_calls_and_the_next_makes_another(void) {
    struct asked of_a, of_b, next;
    start_both("backoff = 10ms", true);
    hold_from(&of_a, &a, 0, "b");
    hold_from(&of_b, &b, 0, "a");
    WAIT_FOR(of_a.has_headers && of_b.has_headers);
    for (size_t i = 0; i < WORKERS; i++) rpc_abort_all(b.workers[i].rpc);
    WAIT_FOR(of_a.is_closed && of_b.is_closed);
    expect(&of_a, STATUS_UNAVAILABLE);
    expect(&of_b, STATUS_UNAVAILABLE);
    ask_from(&next, &a, 1, "b", "again");
    WAIT_FOR(next.is_closed);
    expect(&next, STATUS_OK);
    stop_both();
}

/* ---- who says what it is not ---- */

static struct rpc *stranger;
static struct rpc_link *way;
static void nothing(void *context) { (void)context; }
static void gone(void *context, const char *reason) { (void)context, (void)reason; }
static bool no(void *context, const struct rpc_outcome *outcome) { return (void)context, (void)outcome, false; }
static void over(void *context, const struct rpc_outcome *outcome) { (void)context, (void)outcome; }

static void connect_stranger(void) {
    static const struct rpc_link_events events = {nothing, gone};
    const struct rpc_link_options options = {.name = listener_address(a.listener), .authority = "a"};
    struct error error;
    way = rpc_link_new(stranger, &options, &events, NULL, &error);
    WAIT_FOR(rpc_link_is_ready(way));
}

static void claim(struct asked *asked, const char *node, const char *to, const char *instance, const char *dial) {
    static const struct rpc_opener opener = {.on_failure = no, .on_over = over};
    struct metadata metadata = {0};
    *asked = (struct asked){0};
    metadata_add(&metadata, "tidewire-node", 13, node, strlen(node));
    metadata_add(&metadata, "tidewire-to", 11, to, strlen(to));
    metadata_add(&metadata, "tidewire-instance", 17, instance, strlen(instance));
    metadata_add(&metadata, "tidewire-dial", 13, dial, strlen(dial));
    asked->call = rpc_call_open(stranger,
                                &(struct rpc_request){.method = &rpc_tunnel_method,
                                                      .metadata = &metadata,
                                                      .handler = &asked_handler,
                                                      .data = asked,
                                                      .limits = &rpc_tunnel_limits},
                                &opener, NULL, 0);
    metadata_clear(&metadata);
    CHECK(rpc_call_attach(asked->call, way));
}

static void who_is_no_peer_is_refused_and_harms_no_link(void) {
    static const char instance[] = "0123456789abcdef";
    static const struct {
        const char *node, *to, *instance, *dial;
        enum status status;
    } claims[] = {
        {"b", "c", instance, "1", STATUS_NOT_FOUND},
        {"c", "a", instance, "1", STATUS_PERMISSION_DENIED},
        {"a", "a", instance, "1", STATUS_PERMISSION_DENIED},
        {"", "a", instance, "1", STATUS_INVALID_ARGUMENT},
        {"b", "", instance, "1", STATUS_INVALID_ARGUMENT},
        {"b", "a", "0123456789abcde", "1", STATUS_INVALID_ARGUMENT},
        {"b", "a", "0000000000000000", "1", STATUS_INVALID_ARGUMENT},
        {"b", "a", instance, "1x", STATUS_INVALID_ARGUMENT},
        {"b", "a", instance, "1234567890123456789", STATUS_INVALID_ARGUMENT},
    };
    struct asked held, asked, second;
    start_both("backoff = 10ms", true);
    stranger = rpc_new(loop, &kit_rpc_limits);
    hold_from(&held, &b, 0, "a");
    WAIT_FOR(held.has_headers);
    connect_stranger();
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
        claim(&asked, claims[i].node, claims[i].to, claims[i].instance, claims[i].dial);
        WAIT_FOR(asked.is_closed);
        expect(&asked, claims[i].status);
    }
    CHECK_INT(peer_of(&a, "b").connections, 1);
    CHECK(!held.is_closed);
    claim(&asked, "b", "a", instance, "1");
    WAIT_FOR(asked.has_headers);
    claim(&second, "b", "a", instance, "2");
    WAIT_FOR(second.is_closed);
    expect(&second, STATUS_FAILED_PRECONDITION);
    rpc_link_free(&way);
    a.takes_no_peers = true;
    connect_stranger();
    claim(&second, "b", "a", instance, "3");
    WAIT_FOR(second.is_closed);
    expect(&second, STATUS_UNIMPLEMENTED);
    rpc_link_free(&way);
    rpc_free(&stranger);
    WAIT_FOR(asked.is_closed);
    stop_both();
}

int main(void) {
    RUN(both_call_from_every_worker_over_one_connection);
    RUN(a_peer_without_address_is_waited_for);
    RUN(a_lost_connection_ends_its_calls_and_the_next_makes_another);
    RUN(who_is_no_peer_is_refused_and_harms_no_link);
    return 0;
}
