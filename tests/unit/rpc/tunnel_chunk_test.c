/* What comes in a tunnel's messages, cut in other places, and from peers that do not keep to it. */
#include "rpc/call_private.h"
#include "rpc/chunk.h"
#include "tunnel_rig.h"

/* ---- one Chunk ---- */

static void expect_chunk(const char *message, size_t message_length, const char *data, size_t length) {
    const uint8_t *bytes;
    size_t found;
    CHECK(chunk_read((const uint8_t *)message, message_length, &bytes, &found));
    CHECK_MEM(bytes, found, data, length);
}
#define EXPECT_CHUNK(message, data) expect_chunk(message, sizeof(message) - 1, data, sizeof(data) - 1)

static void expect_no_chunk(const char *message, size_t length) {
    uint8_t *copy = memory_new(length + 1); /* the sanitizer sees what is read behind it */
    const uint8_t *bytes;
    size_t found;
    memcpy(copy, message, length);
    uint8_t *tight = memory_resize(copy, length ? length : 1);
    CHECK(!chunk_read(tight, length, &bytes, &found));
    free(tight);
}
#define EXPECT_NO_CHUNK(message) expect_no_chunk(message, sizeof(message) - 1)

static void a_chunk_is_its_data(void) {
    EXPECT_CHUNK("", "");
    EXPECT_CHUNK("\x0a\x00", "");
    EXPECT_CHUNK("\x0a\x03xyz", "xyz");
    EXPECT_CHUNK("\x10\x07\x0a\x03xyz\x1a\x01z", "xyz"); /* unknown fields */
    EXPECT_CHUNK("\x13\x10\x07\x14\x0a\x01x", "x");      /* a group */
    EXPECT_CHUNK("\x0a\x01x\x0a\x02yz", "yz");           /* the last counts */
    EXPECT_CHUNK("\x08\x05\x0a\x01x", "x");              /* the number with another type */
    EXPECT_CHUNK("\x0a\x81\x80\x00x", "x");              /* a longer varint than needed */
}

static void what_is_cut_or_malformed_is_no_chunk(void) {
    EXPECT_NO_CHUNK("\x0a");
    EXPECT_NO_CHUNK("\x0a\x04xyz");
    EXPECT_NO_CHUNK("\x0a\xff\xff\xff\xff\x0fxyz");
    EXPECT_NO_CHUNK("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    EXPECT_NO_CHUNK("\x00");
    EXPECT_NO_CHUNK("\x0f");
    EXPECT_NO_CHUNK("\x13\x0a\x01x");
    EXPECT_NO_CHUNK("\x14");
    EXPECT_NO_CHUNK("xyz!");
}

static void a_head_that_was_written_is_read(void) {
    static const size_t lengths[] = {0, 1, 127, 128, 16383, 16384, CHUNK_DATA_MOST};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        uint8_t *message = memory_new(CHUNK_HEAD_MOST + lengths[i]);
        const uint8_t *data;
        size_t head = chunk_write_head(message, lengths[i]), found;
        CHECK(head <= CHUNK_HEAD_MOST);
        CHECK(chunk_read(message, head + lengths[i], &data, &found));
        CHECK(data == message + head);
        CHECK_INT(found, lengths[i]);
        free(message);
    }
}

/* ---- cut elsewhere: "m" between the two passes the Link call on, a byte or few in a message ---- */

static struct rpc *rpc_m;
static struct router *routes_m;
static struct rpc_link *link_m; /* from m to b */
static struct link_end end_m;
static struct call *call_am, *call_mb;
static const struct call_handler raw_side = {.on_readable = nothing, .on_writable = nothing, .on_close = closed};
static size_t cut;
static bool adds_fields;

static void pass_bytes(struct call *to, const uint8_t *bytes, size_t length) {
    while (length) {
        uint8_t message[300];
        size_t step = length < cut ? length : cut, at = 0;
        if (adds_fields) {
            memcpy(message, "\x10\x07\x1a\x03xyz", 7);
            at = 7;
        }
        at += chunk_write_head(message + at, step);
        memcpy(message + at, bytes, step);
        call_send_bytes(to, message, at + step);
        if (adds_fields) call_send_bytes(to, NULL, 0);
        bytes += step;
        length -= step;
    }
}
static void pass(struct call *from, struct call *to) {
    struct call_message message;
    while (call_receive(from, &message) == CALL_MESSAGE) {
        const uint8_t *bytes;
        size_t length;
        CHECK(message.length <= CHUNK_DATA_MOST + CHUNK_HEAD_MOST);
        CHECK(chunk_read(message.data, message.length, &bytes, &length));
        pass_bytes(to, bytes, length);
    }
}
static void m_client_readable(struct call *call) { pass(call, call_am); }
static void m_client_headers(struct call *call) {
    (void)call;
    call_send_headers(call_am);
}
static void m_client_closed(struct call *call, enum status status, const char *text) {
    (void)call;
    call_mb = NULL;
    if (call_am) call_finish(call_am, status, text, NULL, 0);
}
static const struct call_handler m_client = {.on_readable = m_client_readable,
                                             .on_writable = nothing,
                                             .on_headers = m_client_headers,
                                             .on_close = m_client_closed};
static void m_server_readable(struct call *call) {
    pass(call, call_mb);
    if (call_has_been_read(call)) call_half_close(call_mb);
}
static void m_server_open(struct call *call) {
    const struct rpc_request request = {
        .method = &rpc_tunnel_method, .handler = &m_client, .limits = &rpc_tunnel_limits};
    call_am = call;
    call_mb = rpc_call_open(rpc_m, &request, &forgetful, NULL, 0);
    CHECK(rpc_call_attach(call_mb, link_m));
}
static void m_server_closed(struct call *call, enum status status, const char *text) {
    (void)call, (void)status, (void)text;
    call_am = NULL;
    if (call_mb) call_reset(call_mb, HTTP_CANCEL);
}
static const struct call_handler m_server = {.on_open = m_server_open,
                                             .on_readable = m_server_readable,
                                             .on_writable = nothing,
                                             .on_close = m_server_closed};

/* Or it passes the call on raw, as a worker does for the one whose link it is. */
static void raw_request(struct call *call, const struct http_header *headers, size_t count, bool is_end) {
    const struct rpc_request request = {.headers = headers,
                                        .header_count = count,
                                        .is_end = is_end,
                                        .handler = &raw_side,
                                        .limits = &rpc_tunnel_limits};
    struct call *to_b = rpc_call_open(rpc_m, &request, &forgetful, NULL, 0);
    call_join(call, to_b);
    CHECK(rpc_call_attach(to_b, link_m));
}
static const struct call_handler raw_middle = {
    .on_request = raw_request, .on_readable = nothing, .on_writable = nothing, .on_close = closed};

static bool has_no_calls(void *context) { return rpc_counters(context)->calls == 0; }
static bool has_nothing_left(void *context) { return rpc_counters(context)->connections == 0; }

/* a's link goes to m, m's to b. */
static void start_with_middle(bool is_raw) {
    int fds[2];
    start_without_tunnel(false);
    rpc_link_free(&direct);
    rpc_m = rpc_new(loop, &all_limits);
    routes_m = router_new(1, NULL, NULL);
    if (is_raw) router_add_pattern(routes_m, "tidewire.peer.v1.Link", &raw_middle, NULL, &rpc_tunnel_limits);
    else router_add(routes_m, &rpc_tunnel_method, &m_server, NULL, &rpc_tunnel_limits);
    make_pair(fds);
    direct = connect_two(rpc_a, fds[0], rpc_m, fds[1], routes_m, &direct_end);
    make_pair(fds);
    link_m = connect_two(rpc_m, fds[0], rpc_b, fds[1], link_routes, &end_m);
    make_tunnel();
}

static void stop_with_middle(void) {
    rpc_link_free(&link_m);
    rpc_abort_all(rpc_m);
    wait_for(has_nothing_left, rpc_m);
    rpc_free(&rpc_m);
    router_free(&routes_m);
    stop();
}

static void expect_bytes_pass(size_t cut_at, bool adds) {
    cut = cut_at;
    adds_fields = adds;
    start_with_middle(false);
    echoes(rpc_b, reverse, 3, 10);
    echoes(rpc_b, reverse, 20, 1000 * cut_at);
    echoes(rpc_b, reverse, 2, 10000 * cut_at);
    rpc_tunnel_drain(served);
    wait_for(is_gone, &served_end);
    wait_for(is_gone, &reverse_end);
    stop_with_middle();
}
static void every_byte_may_come_alone(void) { expect_bytes_pass(1, false); }
static void chunks_may_be_cut_anywhere(void) { expect_bytes_pass(7, false); }
static void other_fields_and_empty_messages_mean_nothing(void) { expect_bytes_pass(200, true); }

static void a_tunnel_goes_through_a_raw_call(void) {
    struct asker asker;
    start_with_middle(true);
    echoes(rpc_b, reverse, 3, 10);
    echoes(rpc_b, reverse, 500, 20000);
    echoes(rpc_b, reverse, 3, 3 << 20);
    ask_to_hold(&asker, rpc_b, reverse);
    rpc_tunnel_drain(served);
    call_finish(held, STATUS_OK, NULL, NULL, 0);
    wait_for(is_closed, &asker);
    CHECK_INT(asker.status, STATUS_OK);
    wait_for(is_gone, &served_end);
    wait_for(is_gone, &reverse_end);
    wait_for(has_no_calls, rpc_m);
    stop_with_middle();
}

/* The one in the middle ends, and with it its calls, but what is said in the tunnel comes through before. */
static void a_raw_call_waits_for_its_tunnel_when_its_process_ends(void) {
    struct asker asker;
    start_with_middle(true);
    ask_to_hold(&asker, rpc_b, reverse);
    rpc_end_all(rpc_m, "the server is shutting down", 10 * NS_PER_S);
    rpc_end_all(rpc_b, "the server is shutting down", 10 * NS_PER_S);
    wait_for(is_closed, &asker);
    CHECK_INT(asker.status, STATUS_UNAVAILABLE);
    CHECK_STR(asker.text, "the server is shutting down");
    wait_for(is_gone, &served_end);
    CHECK(strstr(served_end.reason, "graceful_stop"));
    wait_for(has_no_calls, rpc_m);
    stop_with_middle();
}

/* ---- while the session does not read, nothing is taken ---- */

static void a_session_that_does_not_read_stops_the_other_end(void) {
    enum { CALLS = 40 };
    static struct asker askers[CALLS];
    start();
    struct connection *wire = http_session_connection(reverse->connection->session);
    for (int i = 0; i < CALLS; i++) ask(&askers[i], rpc_b, reverse, &echo_method, 100, 10000);
    connection_pause(wire);
    size_t received = 0;
    for (int i = 0; i < CALLS; i++) received += askers[i].received;
    wait_until_still();
    for (int i = 0; i < CALLS; i++) received -= askers[i].received;
    CHECK_INT(received, 0);
    CHECK(rpc_counters(rpc_b)->buffered < CALLS * limits.buffered_per_stream + (3 << 20));
    connection_resume(wire);
    for (int i = 0; i < CALLS; i++) {
        wait_for(is_closed, &askers[i]);
        CHECK_INT(askers[i].status, STATUS_OK);
        CHECK_INT(askers[i].received, 100);
    }
    stop();
}

/* ---- strangers ---- */

struct stranger {
    bool is_closed;
    enum status status;
    char text[512];
};
static struct stranger stranger;
static void stranger_closed(struct call *call, enum status status, const char *text) {
    (void)call;
    stranger.is_closed = true;
    stranger.status = status;
    snprintf(stranger.text, sizeof stranger.text, "%s", text);
}
static void stranger_readable(struct call *call) {
    struct call_message message;
    while (call_receive(call, &message) == CALL_MESSAGE) {
    }
}
static const struct call_handler stranger_handler = {
    .on_readable = stranger_readable, .on_writable = nothing, .on_close = stranger_closed};
static bool is_stranger_gone(void *context) { return (void)context, stranger.is_closed; }

/* One that calls Link/Connect as b takes anybody here: only that call ends. */
static void expect_stranger_ends(const char *message, size_t length, enum status status, const char *text) {
    const struct rpc_request request = {
        .method = &rpc_tunnel_method, .handler = &stranger_handler, .limits = &rpc_tunnel_limits};
    struct asker other;
    start_without_tunnel(false);
    ask_to_hold(&other, rpc_a, direct);
    stranger = (struct stranger){.is_closed = false};
    struct call *call = rpc_call_open(rpc_a, &request, &forgetful, NULL, 0);
    CHECK(rpc_call_attach(call, direct));
    if (message) call_send_bytes(call, message, length);
    wait_for(is_stranger_gone, NULL);
    CHECK_INT(stranger.status, status);
    CHECK_STR(stranger.text, text);
    wait_for(is_gone, &reverse_end);
    CHECK(!other.is_closed && held);
    echoes(rpc_a, direct, 1, 1);
    call_reset(other.call, HTTP_CANCEL);
    wait_for(is_let_go, NULL);
    stop();
}

static void a_message_that_is_no_chunk_ends_the_call(void) {
    expect_stranger_ends("xyz!", 4, STATUS_INVALID_ARGUMENT, "a message is no tidewire.peer.v1.Chunk");
    CHECK_STR(reverse_end.reason, "a message is no tidewire.peer.v1.Chunk");
}

static void a_message_that_is_too_large_ends_the_call(void) {
    char *message = memory_new(CHUNK_MOST + 1);
    expect_stranger_ends(message, CHUNK_MOST + 1, STATUS_RESOURCE_EXHAUSTED,
                         "received message larger than max (66561 vs. 66560)");
    free(message);
}

static void bytes_that_are_not_http_end_the_call(void) {
    static const char message[] = "\x0a\x1cHTTP/1.1 400 Bad Request\r\n\r\n";
    expect_stranger_ends(message, sizeof message - 1, STATUS_OK, "");
    CHECK(*reverse_end.reason);
}

static void a_peer_that_says_nothing_is_not_waited_for(void) {
    setup_time = 50 * NS_PER_MS;
    expect_stranger_ends(NULL, 0, STATUS_OK, "");
    CHECK_STR(reverse_end.reason, "connecting took too long");
    setup_time = 10 * NS_PER_S;
}

static bool is_served(void *context) { return (void)context, served != NULL; }

static void a_server_that_sends_no_chunk_ends_the_call(void) {
    const struct rpc_request request = {
        .method = &rpc_tunnel_method, .handler = &link_client, .limits = &rpc_tunnel_limits};
    start_without_tunnel(false);
    nonsense = "xyz!";
    CHECK(rpc_call_attach(rpc_call_open(rpc_a, &request, &forgetful, NULL, 0), direct));
    wait_for(is_gone, &served_end);
    CHECK_STR(served_end.reason, "a message is no tidewire.peer.v1.Chunk");
    wait_for(has_no_calls, rpc_b);
    CHECK_INT(rpc_counters(rpc_b)->calls_ended[STATUS_CANCELLED], 1);
    echoes(rpc_a, direct, 1, 1);
    nonsense = NULL;
    stop();
}

/* It is told of the end, and has its time; then the call is cancelled. */
static void a_server_that_does_not_answer_the_end_is_left(void) {
    const struct rpc_request request = {
        .method = &rpc_tunnel_method, .handler = &link_client, .limits = &rpc_tunnel_limits};
    uint64_t usual = all_limits.http.write_timeout;
    all_limits.http.write_timeout = NS_PER_S;
    start_without_tunnel(false);
    nonsense = ""; /* an empty message, and no more */
    CHECK(rpc_call_attach(rpc_call_open(rpc_a, &request, &forgetful, NULL, 0), direct));
    wait_for(is_served, NULL);
    rpc_tunnel_close(served, "no use");
    wait_for(is_gone, &served_end);
    wait_for(has_no_calls, rpc_b);
    CHECK_INT(rpc_counters(rpc_b)->calls_ended[STATUS_CANCELLED], 1);
    nonsense = NULL;
    all_limits.http.write_timeout = usual;
    stop();
}

int main(void) {
    net_prepare_process();
    RUN(a_chunk_is_its_data);
    RUN(what_is_cut_or_malformed_is_no_chunk);
    RUN(a_head_that_was_written_is_read);
    RUN(every_byte_may_come_alone);
    RUN(chunks_may_be_cut_anywhere);
    RUN(other_fields_and_empty_messages_mean_nothing);
    RUN(a_tunnel_goes_through_a_raw_call);
    RUN(a_raw_call_waits_for_its_tunnel_when_its_process_ends);
    RUN(a_session_that_does_not_read_stops_the_other_end);
    RUN(a_message_that_is_no_chunk_ends_the_call);
    RUN(a_message_that_is_too_large_ends_the_call);
    RUN(bytes_that_are_not_http_end_the_call);
    RUN(a_peer_that_says_nothing_is_not_waited_for);
    RUN(a_server_that_sends_no_chunk_ends_the_call);
    RUN(a_server_that_does_not_answer_the_end_is_left);
    return 0;
}
