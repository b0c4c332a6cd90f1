#include "rpc/raw.h"

#include "raw_rig.h"

static const struct http_header not_found[] = {FAKE_HEADER(":status", "200"),
                                               FAKE_HEADER("content-type", "application/grpc+json"),
                                               FAKE_HEADER("grpc-status", "5"), FAKE_HEADER("grpc-message", "%41")};

static void request_headers_cross_in_their_order(void) {
    begin();
    PASS(false, "content-type", "application/grpc+json", "x-b", "1", "x-a-bin", "not base64!", "x-b", "2", "grpc-encoding",
         "snappy", "grpc-timeout", "2S", "x-c", "");
    CHECK_STR(fake_text(&server->headers),
              ":method: POST\n:scheme: http\n:path: /legacy.Service/Method\n:authority: example.test\n"
              "content-type: application/grpc+json\nte: trailers\nuser-agent: fake/1\nx-b: 1\nx-a-bin: not base64!\n"
              "x-b: 2\ngrpc-encoding: snappy\ngrpc-timeout: 2000000u\nx-c: \n");
    CHECK(server->has_body && !server->is_finished);
    stop();
}

static void sensitive_headers_stay_so(void) {
    static const struct http_header headers[] = {
        FAKE_HEADER(":method", "POST"), FAKE_HEADER(":scheme", "http"), FAKE_HEADER(":path", "/legacy.S/M"),
        FAKE_HEADER(":authority", "a"), FAKE_HEADER("content-type", "application/grpc"),
        {.name = "authorization", .value = "secret", .name_length = 13, .value_length = 6, .is_never_indexed = true}};
    begin();
    authority = "other.test";
    struct http_stream *stream = fake_stream(front);
    stream->keeps = true;
    front->events->on_request(front, stream, headers, 6, true, false);
    const struct header_block *block = &fake_rpc->block;
    CHECK(block->count == 6 && block->headers[5].is_never_indexed && !block->headers[4].is_never_indexed);
    CHECK_STR(block->headers[3].value, "other.test");
    start(stream);
    respond(3, not_found, true);
    stop();
}

static void answers_cross_as_they_came(void) {
    begin();
    PASS(false);
    respond(4, fine, false);
    CHECK_STR(fake_text(&client->headers),
              ":status: 200\ncontent-type: application/grpc\nx-bin: AP8\nx-bin: AP8=,  AA==\n");
    CHECK(!client->is_finished);
    fake_receive(server, "any", 3, false);
    fake_receive(server, "thing", 5, false);
    CHECK_MEM(buffer_bytes(&client->body), buffer_length(&client->body), "anything", 8);
    fake_receive(client, "request", 7, true);
    CHECK(server->is_finished);
    trailers(3, ok);
    CHECK_STR(fake_text(&client->trailers), "grpc-status: 0\nx-end: z\ngrpc-status-details-bin: CAUSAmhp\n");
    CHECK(ends == 1 && ended == STATUS_OK && client->is_closed && client->reset < 0 && server->reset < 0);
    stop();
}

static void trailers_only_stays_that(void) {
    begin();
    PASS(true);
    CHECK(!server->has_body);
    respond(4, not_found, true);
    CHECK_STR(fake_text(&client->headers),
              ":status: 200\ncontent-type: application/grpc+json\ngrpc-status: 5\ngrpc-message: %41\n");
    CHECK(client->is_finished && !client->has_body && !buffer_length(&client->trailers));
    CHECK(ends == 1 && ended == STATUS_NOT_FOUND);
    stop();
}

static uint32_t seed = 7;
static uint32_t any(uint32_t below) {
    seed = seed * 1103515245 + 12345;
    return (seed >> 8) % below;
}

/* Cuts of every size, peers that take now a little, now much. */
static void bytes_cross_in_order_and_hold_back_the_window(void) {
    static uint8_t bytes[300000];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 31 + i / 255);
    for (int round = 0; round < 60; round++) {
        static const uint32_t most[] = {1, 10, 1023, 1024, 16384, 300000};
        begin();
        PASS(false);
        respond(4, fine, false);
        struct http_stream *from = round % 2 ? client : server, *to = round % 2 ? server : client;
        uint32_t longest = most[any(6)];
        size_t sent = 0, length = longest == 1 ? 3000 : sizeof bytes;
        to->window = 0;
        while (sent < length) {
            uint32_t step = 1 + any(longest);
            if (step > length - sent) step = (uint32_t)(length - sent);
            fake_data(from, bytes + sent, step);
            sent += step;
            if (any(4) && sent < length) continue;
            if (any(3)) to->window += any(2 * longest);
            fake_read_done(from->session);
            fake_turn();
            CHECK_INT(from->consumed, buffer_length(&to->body));
            CHECK_INT(rpc_counters(fake_rpc)->buffered, sent - buffer_length(&to->body));
        }
        to->window = SIZE_MAX;
        fake_turn();
        CHECK_MEM(buffer_bytes(&to->body), buffer_length(&to->body), bytes, length);
        CHECK_INT(from->consumed, length);
        if (longest >= 16384) CHECK(to->referenced > length / 2);
        fake_stream_close(client, HTTP_CANCEL, false);
        stop();
    }
}

static void an_end_waits_for_what_came_before_it(void) {
    begin();
    PASS(false);
    respond(4, fine, false);
    client->window = server->window = 2;
    fake_receive(client, "ask", 3, true);
    fake_receive(server, "answer", 6, false);
    trailers(3, ok);
    CHECK(!client->is_closed && ends == 0);
    CHECK_INT(server->reset, HTTP_NO_ERROR); /* the rest of the request is of no use any more */
    client->window = SIZE_MAX;
    fake_turn();
    CHECK_MEM(buffer_bytes(&client->body), buffer_length(&client->body), "answer", 6);
    CHECK(client->is_closed && ends == 1 && ended == STATUS_OK);
    stop();
}

static void a_cancel_crosses_with_its_code(void) {
    begin();
    PASS(false);
    fake_receive(client, "ask", 3, false);
    fake_stream_close(client, HTTP_ENHANCE_YOUR_CALM, false);
    CHECK_INT(server->reset, HTTP_ENHANCE_YOUR_CALM);
    fake_turn();
    CHECK(ends == 1 && ended == STATUS_CANCELLED);
    stop();

    begin();
    PASS(false);
    fake_stream_close(client, HTTP_NO_ERROR, true); /* the whole connection */
    CHECK_INT(server->reset, HTTP_CANCEL);
    stop();
}

static void a_reset_before_the_headers_is_told_as_a_status(void) {
    begin();
    PASS(false);
    fake_stream_close(server, HTTP_REFUSED_STREAM, false);
    fake_turn();
    CHECK_STR(fake_text(&client->headers),
              ":status: 200\ncontent-type: application/grpc\ngrpc-status: 14\n"
              "grpc-message: the server has reset the stream, HTTP/2 error 7\n");
    CHECK(ends == 1 && ended == STATUS_UNAVAILABLE);
    stop();
}

static void a_servers_cancel_at_the_deadline_is_told_as_that(void) {
    begin();
    PASS(false, "grpc-timeout", "5S");
    fake_loop.now += 5 * NS_PER_S; /* our own timer is not looked at yet */
    fake_stream_close(server, HTTP_CANCEL, false);
    fake_turn();
    CHECK(strstr(fake_text(&client->headers), "grpc-status: 4\ngrpc-message: the deadline has passed\n"));
    CHECK(ends == 1 && ended == STATUS_DEADLINE_EXCEEDED);
    stop();
}

static void a_reset_behind_the_headers_stays_one(void) {
    static const struct { int told, passed_on; enum status status; } cases[] = {
        {HTTP_CANCEL, HTTP_CANCEL, STATUS_CANCELLED},
        {HTTP_ENHANCE_YOUR_CALM, HTTP_ENHANCE_YOUR_CALM, STATUS_RESOURCE_EXHAUSTED},
        {HTTP_NO_ERROR, HTTP_INTERNAL_ERROR, STATUS_INTERNAL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin();
        PASS(false);
        respond(4, fine, false);
        client->window = 2;
        fake_receive(server, "half of", 7, false);
        fake_stream_close(server, (uint32_t)cases[i].told, false);
        CHECK_INT(client->reset, cases[i].passed_on);
        fake_turn();
        CHECK(ends == 1 && ended == cases[i].status);
        stop();
    }
}

static void a_lost_server_is_told_behind_what_it_said(void) {
    begin();
    PASS(false);
    respond(4, fine, false);
    client->window = 2;
    fake_receive(server, "answer", 6, false);
    back->reason = memory_copy_string("the cable");
    fake_stream_close(server, HTTP_NO_ERROR, true);
    client->window = SIZE_MAX;
    fake_turn();
    CHECK_MEM(buffer_bytes(&client->body), buffer_length(&client->body), "answer", 6);
    CHECK_STR(fake_text(&client->trailers), "grpc-status: 14\ngrpc-message: the connection has failed: the cable\n");
    CHECK(ends == 1 && ended == STATUS_UNAVAILABLE);
    stop();
}

static void a_deadline_ends_both(void) {
    begin();
    PASS(false, "grpc-timeout", "5S");
    fake_receive(client, "ask", 3, false);
    fake_advance(4999 * NS_PER_MS);
    CHECK(server->reset < 0 && !client->has_headers);
    fake_advance(NS_PER_MS);
    CHECK_INT(server->reset, HTTP_CANCEL);
    CHECK(strstr(fake_text(&client->headers), "grpc-status: 4\n"));
    CHECK(ends == 1 && ended == STATUS_DEADLINE_EXCEEDED);
    stop();
}

static void the_end_of_the_process_ends_both(void) {
    begin();
    PASS(false);
    rpc_end_all(fake_rpc, "bye", NS_PER_S);
    CHECK_INT(server->reset, HTTP_CANCEL);
    CHECK(strstr(fake_text(&client->headers), "grpc-status: 14\ngrpc-message: bye\n"));
    fake_turn();
    CHECK(ends == 1 && ended == STATUS_UNAVAILABLE);
    fake_advance(2 * NS_PER_S);
    stop();
}

static struct http_stream *last_stream(void) { return container_of(back->streams.prev, struct http_stream, node); }

static void what_comes_before_a_link_waits_for_it(void) {
    begin();
    is_late = true;
    PASS(false);
    CHECK(!server);
    fake_receive(client, "ask", 3, true);
    CHECK_INT(client->consumed, 0);
    CHECK(rpc_call_attach(opened, to_server));
    server = last_stream();
    fake_turn();
    CHECK_MEM(buffer_bytes(&server->body), buffer_length(&server->body), "ask", 3);
    CHECK(server->is_finished);
    respond(3, not_found, true);
    stop();
}

/* One connection at its bound: what leaves on it brings no new bytes until there is room again. */
static void at_the_bound_no_window_is_given(void) {
    static const char bytes[700] = {1};
    struct rpc_limits tight = {.buffered_per_connection = 1000, .stalled = NS_PER_S};
    begin();
    rpc_set_limits(fake_rpc, &tight);
    PASS(false);
    respond(4, fine, false);
    client->window = 0;
    fake_receive(server, bytes, 700, false);
    fake_receive(server, bytes, 500, false);
    client->window = 200;
    fake_turn();
    CHECK_INT(server->consumed, 0);
    client->window = 300;
    fake_turn();
    CHECK_INT(buffer_length(&client->body), 500);
    CHECK_INT(server->consumed, 500);
    stop();
}

/* What waits to leave counts from when it began to wait, however long its call was silent before. */
static void an_answer_that_has_just_begun_is_not_stalled(void) {
    static const char bytes[1200] = {1};
    struct rpc_limits tight = {.buffered_per_connection = 1000, .stalled = 10 * NS_PER_S};
    begin();
    rpc_set_limits(fake_rpc, &tight);
    struct http_stream *clients[2], *servers[2];
    for (int i = 0; i < 2; i++) {
        PASS(false);
        respond(4, fine, false);
        client->window = 0;
        clients[i] = client;
        servers[i] = server;
    }
    fake_receive(servers[0], bytes, 1200, false);
    fake_advance(8 * NS_PER_S);
    fake_receive(servers[1], bytes, 1100, false);
    fake_advance(3 * NS_PER_S);
    CHECK(clients[0]->is_closed && !clients[1]->is_closed);
    fake_advance(8 * NS_PER_S);
    CHECK(clients[1]->is_closed);
    fake_stream_free(clients[0]);
    fake_stream_free(servers[0]);
    overs--; /* there were two */
    stop();
}

/* Many clients share the connection to a server: the one whose bytes wait there is stopped, and nobody else. */
static void what_waits_for_a_server_is_on_its_clients_account(void) {
    static const char bytes[700] = {1};
    struct rpc_limits tight = {.buffered_per_connection = 1000, .stalled = NS_PER_S};
    begin();
    rpc_set_limits(fake_rpc, &tight);
    PASS(false);
    respond(4, fine, false);
    server->window = 0;
    fake_receive(client, bytes, 700, false);
    fake_receive(client, bytes, 500, false);
    CHECK(front->is_window_closed && !back->is_window_closed);
    server->window = 200;
    fake_turn();
    CHECK_INT(client->consumed, 0);
    server->window = 300;
    fake_turn();
    CHECK_INT(client->consumed, 500);
    CHECK(!front->is_window_closed);
    fake_receive(client, bytes, 600, false);
    CHECK(front->is_window_closed && !back->is_window_closed);
    fake_advance(NS_PER_S);
    CHECK_INT(overs, 1);
    CHECK(!front->is_window_closed);
    CHECK_INT(rpc_counters(fake_rpc)->buffered, 0);
    stop();
}

static void a_client_that_has_gone_needs_no_link(void) {
    begin();
    is_late = true;
    PASS(false);
    fake_stream_close(client, HTTP_CANCEL, false);
    CHECK(overs == 1 && !rpc_call_attach(opened, to_server));
    fake_turn();
    CHECK(ends == 1 && ended == STATUS_CANCELLED);
    stop();
}

static void without_a_link_the_call_is_refused(void) {
    begin();
    is_late = true;
    PASS(false);
    rpc_call_refuse(opened, STATUS_UNAVAILABLE, "nobody is there");
    CHECK(strstr(fake_text(&client->headers), "grpc-status: 14\ngrpc-message: nobody is there\n"));
    fake_turn();
    CHECK(ends == 1 && ended == STATUS_UNAVAILABLE);
    stop();
}

/* The server has refused the stream, or its answer is a failure: the client hears of the second attempt alone. */
static void another_attempt_sends_everything_again(void) {
    for (int is_answer = 0; is_answer < 2; is_answer++) {
        begin();
        tries_again = true;
        replay = 100;
        PASS(false, "grpc-timeout", "2S", "x-a", "1");
        fake_receive(client, "ask", 3, false);
        struct http_stream *first = server;
        fake_loop.now += NS_PER_S;
        if (is_answer) respond(3, not_found, true);
        else fake_stream_close(first, HTTP_REFUSED_STREAM, false);
        fake_turn();
        CHECK(!client->has_headers && overs == 0);
        fake_receive(client, "ing", 3, true);
        CHECK(rpc_call_attach(opened, to_server));
        server = last_stream();
        fake_turn();
        CHECK_MEM(buffer_bytes(&server->body), buffer_length(&server->body), "asking", 6);
        CHECK(server->is_finished && strstr(fake_text(&server->headers), "grpc-timeout: 1000000u\nx-a: 1\n"));
        /* One that nobody has seen does not count (gRPC: A6). */
        CHECK(is_answer == (strstr(fake_text(&server->headers), "grpc-previous-rpc-attempts: 1\n") != NULL));
        CHECK_INT(client->consumed, 3); /* the rest of the request came behind its end: no window is needed */
        respond(4, fine, false);
        trailers(3, ok);
        CHECK(ends == 1 && ended == STATUS_OK);
        stop();
        fake_stream_free(first);
    }
}

/* What leaves while the client's connection is at its bound is owed to the client; an attempt that is made again
 * meanwhile, on another connection, loses nothing of that. */
static void what_a_client_is_owed_outlives_an_attempt(void) {
    static const char bytes[1200] = {1};
    struct rpc_limits tight = {.buffered_per_connection = 1000, .stalled = NS_PER_S};
    begin();
    rpc_set_limits(fake_rpc, &tight);
    tries_again = true;
    replay = 2000;
    PASS(false);
    struct http_stream *first = server;
    server->window = 0;
    fake_receive(client, bytes, sizeof bytes, false);
    server->window = 300;
    fake_turn();
    CHECK_INT(buffer_length(&first->body), 300);
    CHECK_INT(client->consumed, 0);
    fake_stream_close(first, HTTP_REFUSED_STREAM, false);
    fake_turn();
    CHECK(rpc_call_attach(opened, to_server));
    server = last_stream();
    fake_turn();
    CHECK_INT(buffer_length(&server->body), sizeof bytes);
    CHECK_INT(client->consumed, sizeof bytes);
    stop();
    fake_stream_free(first);
}

static void there_is_no_attempt_behind_the_headers(void) {
    begin();
    tries_again = true;
    replay = 100;
    PASS(false);
    respond(4, fine, false);
    fake_stream_close(server, HTTP_REFUSED_STREAM, false);
    CHECK_INT(client->reset, HTTP_REFUSED_STREAM);
    fake_turn();
    CHECK(ends == 1 && ended == STATUS_UNAVAILABLE);
    stop();
}

static void a_broken_timeout_never_reaches_the_server(void) {
    begin();
    PASS(false, "grpc-timeout", "soon");
    CHECK(!server && strstr(fake_text(&client->headers), ":status: 400\n"));
    overs = 1; /* there was no call */
    stop();
}

static void access_lines_name_the_method_and_count_bytes(void) {
    begin();
    fake_access = true;
    PASS(false);
    respond(4, fine, false);
    fake_receive(client, "ask", 3, true);
    fake_receive(server, "answer", 6, false);
    trailers(3, ok);
    fake_access = false;
    CHECK_INT(fake_line_count, 1);
    CHECK_STR(fake_lines[0].scope.method, "legacy.Service/Method");
    CHECK_STR(fake_lines[0].status, "OK");
    CHECK_STR(fake_lines[0].reason, "upstream");
    CHECK(fake_lines[0].is_raw);
    CHECK_STR(fake_line_texts[0][3], "numbers at 192.0.2.1:4711");
    CHECK(fake_lines[0].bytes_in == 3 && fake_lines[0].bytes_out == 6);
    stop();
}

int main(void) {
    RUN(request_headers_cross_in_their_order);
    RUN(sensitive_headers_stay_so);
    RUN(answers_cross_as_they_came);
    RUN(trailers_only_stays_that);
    RUN(bytes_cross_in_order_and_hold_back_the_window);
    RUN(an_end_waits_for_what_came_before_it);
    RUN(a_cancel_crosses_with_its_code);
    RUN(a_reset_before_the_headers_is_told_as_a_status);
    RUN(a_servers_cancel_at_the_deadline_is_told_as_that);
    RUN(a_reset_behind_the_headers_stays_one);
    RUN(a_lost_server_is_told_behind_what_it_said);
    RUN(a_deadline_ends_both);
    RUN(the_end_of_the_process_ends_both);
    RUN(what_comes_before_a_link_waits_for_it);
    RUN(at_the_bound_no_window_is_given);
    RUN(an_answer_that_has_just_begun_is_not_stalled);
    RUN(what_waits_for_a_server_is_on_its_clients_account);
    RUN(a_client_that_has_gone_needs_no_link);
    RUN(without_a_link_the_call_is_refused);
    RUN(another_attempt_sends_everything_again);
    RUN(what_a_client_is_owed_outlives_an_attempt);
    RUN(there_is_no_attempt_behind_the_headers);
    RUN(a_broken_timeout_never_reaches_the_server);
    RUN(access_lines_name_the_method_and_count_bytes);
    return 0;
}
