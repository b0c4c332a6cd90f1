/* kit.h - upstreams over real sockets, in one process and one loop with the servers that they call.
 *
 * A "server" is rpc/'s own; a "fake" is a socket that reads, and says the frames that the test gives it. */
#ifndef TIDEWIRE_TESTS_UPSTREAM_KIT_H
#define TIDEWIRE_TESTS_UPSTREAM_KIT_H
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/memory.h"
#include "check.h"
#include "config/config.h"
#include "net/listener.h"
#include "net/loop.h"
#include "rpc/rpc.h"
#include "upstream/upstream.h"

static struct loop *loop;
static struct rpc *rpc; /* of the calling side */
static struct upstreams *upstreams;
static struct upstream_set *set;
static const struct call_limits kit_limits = {.message = 4 << 20, .buffered_per_stream = 64 << 10};

static const struct rpc_limits kit_rpc_limits = {.http = {.headers = 8192,
                                                          .streams = 100,
                                                          .stream_window = 65535,
                                                          .connection_window = 1 << 20,
                                                          .settings_timeout = 10 * NS_PER_S,
                                                          .write_timeout = 10 * NS_PER_S}};

/* ---- waiting: for a condition, with a deadline ---- */

static inline void turn(void) {
    loop_turn(loop);
    usleep(200); /* the kernel's side of the loopback; the condition decides */
}
#define WAIT_FOR(condition)                                                                                   \
    do {                                                                                                      \
        uint64_t give_up_ = clock_monotonic() + 20 * NS_PER_S;                                                \
        while (!(condition)) {                                                                                \
            turn();                                                                                           \
            if (clock_monotonic() > give_up_) fprintf(stderr, "waited too long for: %s\n", #condition);       \
            CHECK(clock_monotonic() <= give_up_);                                                             \
        }                                                                                                     \
    } while (0)

/* ---- servers ---- */

enum { KIT_MOST_HELD = 1000 };

struct server {
    struct rpc *rpc;
    struct router *router;
    struct listener *listener;
    struct tls_server *tls; /* NULL: plaintext */
    const char *address;
    size_t accepted, served; /* connections; calls */
    size_t refuse_status;    /* answer calls with it while refusals > 0 */
    size_t refusals;
    const char *pushback;
    struct call *held[KIT_MOST_HELD];
    size_t held_count;
    char seen[512];          /* metadata and messages of the last call */
};

static inline void kit_nothing(struct call *call) { (void)call; }

static inline void kit_open(struct call *call) {
    struct server *server = call->route->data;
    size_t place = 0;
    server->served++;
    const struct metadata_entry *attempts = metadata_find(call->metadata, "x-tag", 5, &place);
    snprintf(server->seen, sizeof server->seen, "%s;", attempts ? attempts->value : "");
    if (!server->refusals) return;
    server->refusals--;
    if (server->pushback)
        metadata_add(call_trailers(call), "x-pushback", 10, server->pushback, strlen(server->pushback));
    call_finish(call, (enum status)server->refuse_status, "not now", NULL, 0);
}

/* "Echo" sends back what comes; "Hold" keeps its calls. */
static inline void kit_echo(struct call *call) {
    struct server *server = call->route->data;
    struct call_message message;
    enum call_next next = CALL_EMPTY;
    while (!call_is_full(call) && (next = call_receive(call, &message)) == CALL_MESSAGE) {
        size_t used = strlen(server->seen);
        snprintf(server->seen + used, sizeof server->seen - used, "%.*s,", (int)message.length, message.data);
        call_send_bytes(call, message.data, message.length);
    }
    if (next == CALL_END) call_finish(call, STATUS_OK, NULL, NULL, 0);
}
static inline void kit_closed(struct call *call, enum status status, const char *text) {
    (void)call, (void)status, (void)text;
}
static inline void kit_hold(struct call *call) {
    struct server *server = call->route->data;
    server->served++;
    CHECK(server->held_count < KIT_MOST_HELD);
    server->held[server->held_count++] = call;
    call_send_headers(call);
}
static inline void kit_hold_closed(struct call *call, enum status status, const char *text) {
    struct server *server = call->route->data;
    (void)status, (void)text;
    for (size_t i = 0; i < server->held_count; i++)
        if (server->held[i] == call) server->held[i] = server->held[--server->held_count];
}
static const struct call_handler kit_echo_handler = {
    .on_open = kit_open, .on_readable = kit_echo, .on_writable = kit_echo, .on_close = kit_closed};
static const struct call_handler kit_hold_handler = {
    .on_open = kit_hold, .on_readable = kit_nothing, .on_writable = kit_nothing, .on_close = kit_hold_closed};

static const struct method kit_echo_method = {
    .full_name = "test.Service/Echo", .is_client_streaming = true, .is_server_streaming = true};
static const struct method kit_hold_method = {
    .full_name = "test.Service/Hold", .is_client_streaming = true, .is_server_streaming = true};

static inline void kit_accept(void *context, struct listener *from, int fd, bool expects_proxy_header) {
    struct server *server = context;
    (void)from, (void)expects_proxy_header;
    server->accepted++;
    rpc_accept(server->rpc, &(struct rpc_accepted){.fd = fd, .tls = server->tls ? tls_server_ref(server->tls) : NULL});
}

static const char *kit_host = "127.0.0.1";

/* `port` "0": any; a path: a unix socket; `streams`: what one connection may have. */
static inline void server_start(struct server *server, const char *port, uint32_t streams) {
    struct rpc_limits limits = kit_rpc_limits;
    struct error error;
    *server = (struct server){0};
    limits.http.streams = streams;
    server->rpc = rpc_new(loop, &limits);
    server->router = router_new(1, NULL, NULL);
    router_add(server->router, &kit_echo_method, &kit_echo_handler, server, &kit_limits);
    router_add(server->router, &kit_hold_method, &kit_hold_handler, server, &kit_limits);
    rpc_set_router(server->rpc, server->router);
    struct listener_options options = {.host = kit_host, .port = port};
    if (*port == '/') options = (struct listener_options){.path = port, .mode = 0600};
    server->listener = listener_open(loop, &options, kit_accept, server, &error);
    if (!server->listener) fprintf(stderr, "%s\n", error.text);
    CHECK(server->listener);
    server->address = listener_address(server->listener);
}

static inline void server_stop(struct server *server) {
    if (server->listener) listener_close(&server->listener);
    rpc_abort_all(server->rpc);
    rpc_free(&server->rpc);
    router_free(&server->router);
    tls_server_unref(&server->tls);
}

/* A port that nobody listens on. */
static inline char *closed_address(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(fd, (struct sockaddr *)&address, length) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&address, &length) == 0);
    close(fd);
    return memory_format("127.0.0.1:%u", ntohs(address.sin_port));
}

/* ---- fakes ---- */

struct fake {
    int listener, fd; /* fd -1: nobody has come */
    char address[32];
    struct buffer seen;
};

static inline void fake_start(struct fake *fake) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    *fake = (struct fake){.fd = -1};
    fake->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    CHECK(bind(fake->listener, (struct sockaddr *)&address, length) == 0 && listen(fake->listener, 16) == 0);
    CHECK(getsockname(fake->listener, (struct sockaddr *)&address, &length) == 0);
    snprintf(fake->address, sizeof fake->address, "127.0.0.1:%u", ntohs(address.sin_port));
}
static inline bool fake_accept(struct fake *fake) {
    fake->fd = accept4(fake->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    buffer_clear(&fake->seen);
    return fake->fd >= 0;
}
static inline void fake_say(struct fake *fake, uint8_t type, uint8_t flags, uint32_t id, const void *payload,
                            size_t length) {
    uint8_t frame[256] = {0, 0, (uint8_t)length, type, flags, (uint8_t)(id >> 24), (uint8_t)(id >> 16),
                          (uint8_t)(id >> 8), (uint8_t)id};
    if (length) memcpy(frame + 9, payload, length);
    CHECK(write(fake->fd, frame, 9 + length) == (ssize_t)(9 + length));
}
/* Reads what there is; true when a frame of this type for this stream has come. */
static inline bool fake_has(struct fake *fake, uint8_t type, uint32_t id) {
    uint8_t bytes[4096];
    ssize_t length;
    while ((length = read(fake->fd, bytes, sizeof bytes)) > 0) buffer_append(&fake->seen, bytes, (size_t)length);
    const uint8_t *at = buffer_bytes(&fake->seen) + 24, *end = buffer_bytes(&fake->seen) + buffer_length(&fake->seen);
    for (; at + 9 <= end; at += 9 + (at[0] << 16 | at[1] << 8 | at[2]))
        if (at[3] == type && (uint32_t)(at[5] << 24 | at[6] << 16 | at[7] << 8 | at[8]) == id) return true;
    return false;
}
static inline bool fake_is_closed(struct fake *fake) {
    uint8_t byte;
    ssize_t length;
    while ((length = read(fake->fd, &byte, 1)) == 1) continue;
    return length == 0 || errno == ECONNRESET;
}
static inline void fake_hang_up(struct fake *fake) {
    if (fake->fd >= 0) close(fake->fd);
    fake->fd = -1;
}
static inline void fake_stop(struct fake *fake) {
    fake_hang_up(fake);
    close(fake->listener);
    buffer_free(&fake->seen);
}
enum { F_DATA, F_HEADERS, F_PRIORITY, F_RST, F_SETTINGS, F_PUSH, F_PING, F_GOAWAY };
static inline void fake_settings(struct fake *fake) { fake_say(fake, F_SETTINGS, 0, 0, NULL, 0); }
static inline void fake_goaway(struct fake *fake, uint8_t last_stream) {
    const uint8_t payload[8] = {0, 0, 0, last_stream, 0, 0, 0, 0};
    fake_say(fake, F_GOAWAY, 0, 0, payload, 8);
}
static inline void fake_reset(struct fake *fake, uint32_t id, uint8_t error) {
    const uint8_t payload[4] = {0, 0, 0, error};
    fake_say(fake, F_RST, 0, id, payload, 4);
}

/* ---- the calling side ---- */

struct asked {
    struct call *call; /* NULL once it is closed */
    char received[512];
    size_t messages;
    bool has_headers, is_closed;
    enum status status;
    char text[512];
};

static inline void asked_readable(struct call *call) {
    struct asked *asked = call->data;
    struct call_message message;
    while (call_receive(call, &message) == CALL_MESSAGE) {
        size_t used = strlen(asked->received);
        snprintf(asked->received + used, sizeof asked->received - used, "%.*s,", (int)message.length, message.data);
        asked->messages++;
    }
}
static inline void asked_headers(struct call *call) { ((struct asked *)call->data)->has_headers = true; }
static inline void asked_closed(struct call *call, enum status status, const char *text) {
    struct asked *asked = call->data;
    CHECK(!asked->is_closed);
    asked->is_closed = true;
    asked->call = NULL;
    asked->status = status;
    snprintf(asked->text, sizeof asked->text, "%s", text);
}
static const struct call_handler asked_handler = {
    .on_readable = asked_readable, .on_writable = kit_nothing, .on_headers = asked_headers, .on_close = asked_closed};

static inline void ask_with(struct asked *asked, const char *upstream, const struct method *method,
                            const struct metadata *metadata, uint64_t timeout) {
    *asked = (struct asked){0};
    struct upstream *found = upstream_set_find(set, upstream);
    CHECK(found);
    asked->call = upstream_open(found, &(struct upstream_request){.call = {.method = method,
                                                                           .metadata = metadata,
                                                                           .timeout = timeout,
                                                                           .handler = &asked_handler,
                                                                           .data = asked,
                                                                           .limits = &kit_limits}});
}
/* One call of Echo with one message. */
static inline void ask(struct asked *asked, const char *upstream, const char *message) {
    ask_with(asked, upstream, &kit_echo_method, NULL, 0);
    call_send_bytes(asked->call, message, strlen(message)); /* to no effect when it was refused already */
    call_half_close(asked->call);
}
static inline void ask_and_wait(struct asked *asked, const char *upstream, const char *message) {
    ask(asked, upstream, message);
    WAIT_FOR(asked->is_closed);
}
static inline void expect(const struct asked *asked, enum status status) {
    if (asked->status != status) fprintf(stderr, "%s: %s\n", status_name(asked->status), asked->text);
    CHECK_INT(asked->status, status);
}
static inline void hold(struct asked *asked, const char *upstream) {
    ask_with(asked, upstream, &kit_hold_method, NULL, 0);
}

static inline struct upstream_set *kit_read(const char *text) {
    struct error error;
    char *file = memory_format("listen \"127.0.0.1:0\" { }\n%s\n", text);
    struct config *config = config_read_text("t.conf", file, strlen(file), &error);
    if (!config) fprintf(stderr, "%s\n", error.text);
    CHECK(config);
    struct upstream_set *read = upstream_set_new(upstreams, config, &error);
    if (!read) fprintf(stderr, "%s\n", error.text);
    CHECK(read);
    config_free(&config); /* upstreams keep what they need */
    free(file);
    return read;
}
/* The text of upstream sections, as for printf(). */
#define CONFIGURE(...)                                                                                        \
    do {                                                                                                      \
        char *text_ = memory_format(__VA_ARGS__);                                                             \
        set = kit_read(text_);                                                                                \
        free(text_);                                                                                          \
        upstream_set_start(set);                                                                              \
    } while (0)

static inline struct upstream_counts counts_of(const char *name) {
    struct upstream_counts counts;
    upstream_counts(upstream_set_find(set, name), &counts);
    return counts;
}
struct kit_find {
    size_t skip;
    struct upstream_target_counts counts;
    bool is_found;
};
static inline void kit_visit(void *context, const struct upstream_target_counts *counts) {
    struct kit_find *find = context;
    if (!find->skip-- && !find->is_found) find->counts = *counts, find->is_found = true;
}
static inline struct upstream_target_counts target_of(const char *name, size_t index) {
    struct kit_find find = {.skip = index};
    upstream_each_target(upstream_set_find(set, name), kit_visit, &find);
    CHECK(find.is_found);
    return find.counts;
}

static inline void kit_start(void) {
    loop = loop_new();
    rpc = rpc_new(loop, &kit_rpc_limits);
    upstreams = upstreams_new(rpc);
    set = NULL;
}
/* `server` may be NULL. */
static inline void kit_stop_with(struct server *server) {
    upstreams_stop(upstreams);
    rpc_free(&rpc);
    upstream_set_free(&set);
    upstreams_free(&upstreams);
    if (server) server_stop(server);
    loop_free(&loop);
}
static inline void kit_stop(void) { kit_stop_with(NULL); }
#endif
