#include "http/rig.h"

static void answer_on_end(struct side *side, enum event event, struct exchange *exchange) {
    (void)side;
    if (event == ON_REQUEST) http_stream_respond(exchange->stream, ok_headers, 2, false);
    if ((event == ON_REQUEST || event == ON_END) && exchange->has_ended) {
        buffer_append(&exchange->body, buffer_bytes(&exchange->received), buffer_length(&exchange->received));
        http_stream_finish(exchange->stream, ok_trailers, 1);
    }
}

static void a_call_goes_there_and_back(void) {
    struct rig rig;
    rig_open_pair(&rig, &usual_limits);
    rig.server.on_event = answer_on_end;
    struct exchange *call = client_open(&rig, true);
    buffer_append_text(&call->body, "hello");
    http_stream_finish(call->stream, NULL, 0);
    WAIT(&rig, call->is_closed);
    CHECK_STR(exchange_at(&rig.server, 0)->headers, ":method: POST\n:scheme: http\n:path: /a.B/C\n:authority: a\n");
    CHECK_STR(call->headers, ":status: 200\ncontent-type: application/grpc\n");
    CHECK_STR(call->trailers, "grpc-status: 0\n");
    CHECK_MEM(buffer_bytes(&call->received), buffer_length(&call->received), "hello", 5);
    CHECK_INT(call->error, HTTP_NO_ERROR);
    CHECK(!call->is_connection);
    WAIT(&rig, rig.server.closed == 1);
    CHECK_INT(exchange_at(&rig.server, 0)->error, HTTP_NO_ERROR);
    CHECK_INT(http_session_stream_count(rig.server.session), 0);
    rig_close(&rig);
}

static void bytes_may_dribble(void) {
    struct rig rig;
    struct side *side = rig_open_one(&rig, &usual_limits, true);
    struct buffer all = {0};
    buffer_append(&all, client_magic, 24);
    frame_build(&all, SETTINGS, 0, 0, NULL, 0);
    frame_build(&all, HEADERS, 0, 1, request_block, 3); /* the block goes on in a CONTINUATION */
    frame_build(&all, CONTINUATION, END_HEADERS, 1, request_block + 3, sizeof request_block - 3);
    frame_build(&all, DATA, END_STREAM, 1, "abc", 3);
    side->on_event = answer_on_end;
    for (size_t i = 0; i < buffer_length(&all); i++) {
        put_bytes(&rig, buffer_bytes(&all) + i, 1);
        turn(&rig);
    }
    WAIT(&rig, side->closed == 1);
    CHECK_STR(exchange_at(side, 0)->headers, ":method: POST\n:scheme: http\n:path: /\n:authority: a\n");
    struct frame frame = wait_frame(&rig, DATA);
    CHECK_MEM(frame.payload, frame.length, "abc", 3);
    buffer_free(&all);
    rig_close(&rig);
}

static void header_blocks_of_two_connections_may_interleave(void) {
    struct rig a, b;
    struct side *first = rig_open_one(&a, &usual_limits, true);
    rig_open_beside(&b, &usual_limits, &a);
    rig_start_one(&b, &b.server);
    static const uint8_t other_block[] = {0x82, 0x87, 0x84, 0x01, 1, 'b'}; /* GET https://b/ */
    put_preface(&a);
    put_preface(&b);
    put_frame(&a, HEADERS, END_STREAM, 1, request_block, 2);
    settle(&b); /* nothing of a's is answered inside a header block */
    put_frame(&b, HEADERS, END_STREAM, 1, other_block, 3);
    for (int i = 0; i < 3; i++) turn(&a);
    put_frame(&a, CONTINUATION, END_HEADERS, 1, request_block + 2, sizeof request_block - 2);
    WAIT(&a, first->opened == 1);
    put_frame(&b, CONTINUATION, END_HEADERS, 1, other_block + 3, sizeof other_block - 3);
    WAIT(&b, b.server.opened == 1);
    CHECK_STR(exchange_at(first, 0)->headers, ":method: POST\n:scheme: http\n:path: /\n:authority: a\n");
    CHECK_STR(exchange_at(&b.server, 0)->headers, ":method: GET\n:scheme: https\n:path: /\n:authority: b\n");
    rig_close(&b);
    rig_close(&a);
}

static void data_frames_of_one_byte_are_one_body(void) {
    struct rig rig;
    struct side *side = rig_open_one(&rig, &usual_limits, true);
    put_preface(&rig);
    put_request(&rig, 1, 0);
    for (int i = 0; i < 3000; i++) put_frame(&rig, DATA, 0, 1, "x", 1);
    put_frame(&rig, DATA, END_STREAM, 1, "y", 1);
    WAIT(&rig, side->opened == 1 && exchange_at(side, 0)->has_ended);
    CHECK_INT(buffer_length(&exchange_at(side, 0)->received), 3001);
    rig_close(&rig);
}

static void pending_messages_leave_in_as_few_frames_as_possible(void) {
    struct rig rig;
    struct side *side = rig_open_one(&rig, &usual_limits, true);
    put_preface(&rig);
    put_request(&rig, 1, 0);
    WAIT(&rig, side->opened == 1);
    struct exchange *exchange = exchange_at(side, 0);
    http_stream_respond(exchange->stream, ok_headers, 2, false);
    for (int i = 0; i < 2000; i++) {
        buffer_append_text(&exchange->body, "0123456789");
        http_stream_resume(exchange->stream);
    }
    struct frame frame = wait_frame(&rig, DATA);
    CHECK_INT(frame.length, 16384);
    frame = wait_frame(&rig, DATA);
    CHECK_INT(frame.length, 20000 - 16384);
    rig_close(&rig);
}

static void a_peer_that_takes_large_frames_gets_them(void) {
    struct rig rig;
    struct side *side = rig_open_one(&rig, &usual_limits, true);
    put_bytes(&rig, client_magic, 24);
    put_frame(&rig, SETTINGS, 0, 0, "\0\5\0\1\0\0\0\4\0\x0f\xff\xff", 12); /* frames of 64 KiB, windows of 1 MiB */
    put_number(&rig, WINDOW_UPDATE, 0, 1 << 20);
    put_request(&rig, 1, 0);
    WAIT(&rig, side->opened == 1);
    struct exchange *exchange = exchange_at(side, 0);
    struct message *message = message_new(200000);
    message->length = 200000;
    memset(message->data, 'm', 200000);
    http_stream_respond(exchange->stream, ok_headers, 2, false);
    send_large(exchange, message, 200000);
    message_unref(&message);
    static const uint32_t lengths[] = {65536, 65536, 65536, 200000 - 3 * 65536};
    for (int i = 0; i < 4; i++) {
        struct frame frame = wait_frame(&rig, DATA);
        CHECK_INT(frame.length, lengths[i]);
        for (uint32_t at = 0; at < frame.length; at++) CHECK(frame.payload[at] == 'm');
    }
    rig_close(&rig);
}

static void trailers_may_stand_alone_or_behind_headers_without_a_body(void) {
    struct rig rig;
    struct side *side = rig_open_one(&rig, &usual_limits, true);
    put_preface(&rig);
    put_request(&rig, 1, END_STREAM);
    WAIT(&rig, side->opened == 1);
    http_stream_respond(exchange_at(side, 0)->stream, ok_headers, 2, true);
    struct frame frame = wait_frame(&rig, HEADERS);
    CHECK_INT(frame.flags, END_STREAM | END_HEADERS);
    put_request(&rig, 3, END_STREAM);
    WAIT(&rig, side->opened == 2);
    http_stream_respond(exchange_at(side, 1)->stream, ok_headers, 2, false);
    frame = wait_frame(&rig, HEADERS);
    CHECK_INT(frame.flags, END_HEADERS);
    http_stream_finish(exchange_at(side, 1)->stream, ok_trailers, 1);
    WAIT(&rig, next_frame(&rig, &frame));
    CHECK_INT(frame.type, HEADERS); /* no empty DATA between */
    CHECK_INT(frame.flags, END_STREAM | END_HEADERS);
    WAIT(&rig, side->closed == 2);
    rig_close(&rig);
}

static void an_early_answer_stops_the_upload(void) {
    struct rig rig;
    struct side *side = rig_open_one(&rig, &usual_limits, true);
    put_preface(&rig);
    put_request(&rig, 1, 0);
    WAIT(&rig, side->opened == 1);
    http_stream_respond(exchange_at(side, 0)->stream, ok_headers, 2, true);
    struct frame frame = wait_frame(&rig, HEADERS);
    CHECK(frame.flags & END_STREAM);
    WAIT(&rig, next_frame(&rig, &frame));
    CHECK_INT(frame.type, RST_STREAM);
    CHECK_INT(read_number(frame.payload), HTTP_NO_ERROR);
    CHECK(exchange_at(side, 0)->is_closed);
    CHECK_INT(exchange_at(side, 0)->error, HTTP_NO_ERROR);
    put_frame(&rig, DATA, END_STREAM, 1, "late", 4); /* was on its way: no fault */
    settle(&rig);
    CHECK(side->session);
    rig_close(&rig);
}

static void a_reset_drops_what_is_queued(void) {
    struct rig rig;
    struct side *side = rig_open_one(&rig, &usual_limits, true);
    put_preface(&rig);
    put_request(&rig, 1, END_STREAM);
    WAIT(&rig, side->opened == 1);
    struct exchange *exchange = exchange_at(side, 0);
    http_stream_respond(exchange->stream, ok_headers, 2, false);
    buffer_append_text(&exchange->body, "never seen");
    http_stream_finish(exchange->stream, ok_trailers, 1);
    http_stream_reset(exchange->stream, HTTP_CANCEL);
    http_stream_resume(exchange->stream);
    struct frame frame;
    do {
        WAIT(&rig, next_frame(&rig, &frame));
        CHECK(frame.type != DATA);
    } while (frame.type != RST_STREAM);
    CHECK_INT(read_number(frame.payload), HTTP_CANCEL);
    CHECK_INT(exchange->error, HTTP_CANCEL);
    rig_close(&rig);
}

static void a_reset_drops_what_the_socket_has_refused_so_far(void) {
    struct rig rig;
    struct side *side = rig_open_one(&rig, &usual_limits, true);
    struct exchange *exchange = start_large_answer(&rig, side);
    WAIT_BY(turn_without_reading, &rig, connection_kept(http_session_connection(side->session)) > 0);
    size_t given = side->seen[BODY_GIVE];
    http_stream_reset(exchange->stream, HTTP_CANCEL);
    struct frame frame = wait_frame(&rig, RST_STREAM);
    CHECK_INT(read_number(frame.payload), HTTP_CANCEL);
    CHECK_INT(side->seen[BODY_GIVE], given);
    CHECK_INT(exchange->error, HTTP_CANCEL);
    settle(&rig);
    CHECK(!next_frame(&rig, &frame) || frame.type == SETTINGS);
    rig_close(&rig);
}

static void half_a_window_is_given_back_before_it_is_used_up(void) {
    struct rig rig;
    rig_open_one(&rig, &usual_limits, true);
    static uint8_t bytes[16384];
    put_preface(&rig);
    put_request(&rig, 1, 0);
    for (int i = 0; i < 3; i++) put_frame(&rig, DATA, 0, 1, bytes, sizeof bytes); /* of 65535 */
    struct frame frame;
    do {
        frame = wait_frame(&rig, WINDOW_UPDATE);
    } while (frame.id == 0);
    CHECK(read_number(frame.payload) >= 32768);
    rig_close(&rig);
}

static void a_reset_by_the_peer_is_a_close(void) {
    struct rig rig;
    struct side *side = rig_open_one(&rig, &usual_limits, true);
    put_preface(&rig);
    put_request(&rig, 1, 0);
    put_number(&rig, RST_STREAM, 1, HTTP_CANCEL);
    WAIT(&rig, side->closed == 1);
    CHECK_INT(exchange_at(side, 0)->error, HTTP_CANCEL);
    CHECK(!exchange_at(side, 0)->is_connection);
    rig_close(&rig);
}

static void a_lost_connection_closes_its_streams(void) {
    struct rig rig;
    struct side *side = rig_open_one(&rig, &usual_limits, true);
    put_preface(&rig);
    put_request(&rig, 1, 0);
    WAIT(&rig, side->opened == 1);
    close(rig.fd);
    rig.fd = -1;
    WAIT(&rig, !side->session);
    CHECK(exchange_at(side, 0)->is_connection);
    CHECK_STR(side->reason, "closed by the peer");
    rig_close(&rig);
}

static void a_header_list_over_the_limit_is_told_and_the_connection_lives(void) {
    struct rig rig;
    struct http_limits limits = usual_limits;
    limits.headers = 1000;
    struct side *side = rig_open_one(&rig, &limits, true);
    put_preface(&rig);
    struct buffer block = {0};
    buffer_append(&block, request_block, sizeof request_block);
    for (int i = 0; i < 500; i++) buffer_append(&block, "\x40\x01x\x01y", 5); /* into the dynamic table */
    put_frame(&rig, HEADERS, END_STREAM | END_HEADERS, 1, buffer_bytes(&block), buffer_length(&block));
    put_frame(&rig, HEADERS, END_STREAM | END_HEADERS, 3, "\x83\x86\x84\x01\x01g\xbe", 7); /* 0xbe: its newest entry */
    WAIT(&rig, side->opened == 2);
    CHECK(exchange_at(side, 0)->is_too_large);
    CHECK(strlen(exchange_at(side, 0)->headers) < 200);
    CHECK(!exchange_at(side, 1)->is_too_large);
    CHECK_STR(exchange_at(side, 1)->headers, ":method: POST\n:scheme: http\n:path: /\n:authority: g\nx: y\n");
    buffer_free(&block);
    rig_close(&rig);
}

static void a_header_list_far_over_the_limit_is_reset_and_the_connection_lives(void) {
    struct rig rig;
    struct side *side = rig_open_one(&rig, &usual_limits, true);
    put_preface(&rig);
    struct buffer block = {0};
    buffer_append(&block, request_block, sizeof request_block);
    buffer_append(&block, "\x40\x01x\x7f\xa1\x1e", 6); /* 4000 bytes into the dynamic table */
    for (int i = 0; i < 4000; i++) buffer_append_byte(&block, 'v');
    for (int i = 0; i < 8000; i++) buffer_append_byte(&block, 0xbe); /* and once more */
    put_frame(&rig, HEADERS, END_STREAM | END_HEADERS, 1, buffer_bytes(&block), buffer_length(&block));
    struct frame reset = wait_frame(&rig, RST_STREAM);
    CHECK_INT(read_number(reset.payload), HTTP_ENHANCE_YOUR_CALM);
    put_frame(&rig, HEADERS, END_STREAM | END_HEADERS, 3, "\x83\x86\x84\x01\x01g\xbe", 7);
    WAIT(&rig, side->opened == 1);
    CHECK_STR(http_session_reason(side->session) ? "ends" : "lives", "lives");
    CHECK(memmem(exchange_at(side, 0)->headers, 512, "x: vvv", 6));
    buffer_free(&block);
    rig_close(&rig);
}

static void headers_that_do_not_fit_reset_their_stream(void) {
    struct rig rig;
    struct side *side = rig_open_one(&rig, &usual_limits, true);
    put_preface(&rig);
    put_request(&rig, 1, END_STREAM);
    WAIT(&rig, side->opened == 1);
    size_t length = 3 << 20;
    char *value = memory_resize(NULL, length);
    memset(value, 'v', length);
    struct http_header fields[] = {FIELD(":status", "200"),
                                   {.name = "x", .name_length = 1, .value = value, .value_length = length}};
    http_stream_respond(exchange_at(side, 0)->stream, fields, 2, true);
    struct frame frame = wait_frame(&rig, RST_STREAM);
    CHECK_INT(read_number(frame.payload), HTTP_INTERNAL_ERROR);
    WAIT(&rig, side->closed == 1);
    free(value);
    rig_close(&rig);
}

static void a_malformed_request_is_reset_and_never_told(void) {
    struct rig rig;
    struct side *side = rig_open_one(&rig, &usual_limits, true);
    put_preface(&rig);
    put_frame(&rig, HEADERS, END_HEADERS, 1, request_block, 2); /* no path */
    struct frame frame = wait_frame(&rig, RST_STREAM);
    CHECK_INT(read_number(frame.payload), HTTP_PROTOCOL_ERROR);
    settle(&rig);
    CHECK_INT(side->opened, 0);
    rig_close(&rig);
}

static size_t received(struct exchange *exchange) { return buffer_length(&exchange->received); }

static void large_bodies_pass_small_windows_both_ways(void) {
    enum { LENGTH = 4 << 20, PIECE = 100003 };
    static const uint32_t windows[] = {1, 1000, 65535};
    struct message *message = message_new(PIECE);
    message->length = PIECE;
    for (int i = 0; i < PIECE; i++) message->data[i] = (uint8_t)(i % 251);
    for (int w = 0; w < 3; w++) {
        size_t length = windows[w] == 1 ? 70000 : LENGTH; /* the first 65535 do not know of the window yet */
        struct rig rig;
        struct http_limits limits = usual_limits;
        limits.stream_window = windows[w];
        limits.connection_window = 65535;
        rig_open_pair(&rig, &limits);
        struct exchange *call = client_open(&rig, true);
        send_large(call, message, length);
        http_stream_finish(call->stream, NULL, 0);
        WAIT(&rig, rig.server.opened == 1);
        struct exchange *answer = exchange_at(&rig.server, 0);
        http_stream_respond(answer->stream, ok_headers, 2, false);
        send_large(answer, message, length);
        WAIT(&rig, received(answer) == length && answer->has_ended && received(call) == length);
        http_stream_finish(answer->stream, ok_trailers, 1);
        WAIT(&rig, call->is_closed && answer->is_closed);
        size_t first = PIECE - 1 - (length - 1) % PIECE;
        for (size_t i = 0; i < length; i++) {
            CHECK(buffer_bytes(&answer->received)[i] == (uint8_t)((first + i) % PIECE % 251));
            CHECK(buffer_bytes(&call->received)[i] == (uint8_t)((first + i) % PIECE % 251));
        }
        rig_close(&rig);
    }
    CHECK_INT(message->references, 1);
    message_unref(&message);
}

static void a_body_goes_on_after_each_pause_and_may_end_behind_one(void) {
    struct rig rig;
    rig_open_pair(&rig, &usual_limits);
    struct exchange *call = client_open(&rig, true);
    WAIT(&rig, rig.server.opened == 1);
    struct exchange *answer = exchange_at(&rig.server, 0);
    http_stream_respond(answer->stream, ok_headers, 2, false);
    for (size_t sent = 5; sent <= 25; sent += 5) {
        buffer_append_text(&call->body, "piece");
        http_stream_resume(call->stream);
        WAIT(&rig, received(answer) == sent);
        buffer_append_text(&answer->body, "echo!");
        http_stream_resume(answer->stream);
        WAIT(&rig, received(call) == sent);
    }
    http_stream_resume(call->stream); /* with nothing new to send */
    turn(&rig);
    turn(&rig);
    CHECK(!answer->has_ended);
    http_stream_finish(call->stream, NULL, 0);
    WAIT(&rig, answer->has_ended);
    http_stream_finish(answer->stream, NULL, 0);
    WAIT(&rig, call->is_closed && answer->is_closed);
    CHECK_INT(call->error, HTTP_NO_ERROR);
    CHECK_INT(received(answer), 25);
    CHECK_INT(received(call), 25);
    rig_close(&rig);
}

static void a_stream_that_is_not_consumed_stops_at_its_window_and_no_other(void) {
    struct rig rig;
    rig_open_pair(&rig, &usual_limits);
    struct message *message = message_new(1000);
    message->length = 1000;
    memset(message->data, 'm', 1000);
    struct exchange *slow = client_open(&rig, true), *quick = client_open(&rig, true);
    WAIT(&rig, rig.server.opened == 2);
    exchange_at(&rig.server, 0)->keeps_window = true;
    send_large(slow, message, 1 << 20);
    send_large(quick, message, 1 << 21);
    struct exchange *at_slow = exchange_at(&rig.server, 0), *at_quick = exchange_at(&rig.server, 1);
    WAIT(&rig, received(at_quick) == 1 << 21);
    CHECK_INT(received(at_slow), 65535);
    http_stream_consumed(at_slow->stream, 65535);
    WAIT(&rig, received(at_slow) == 2 * 65535);
    message_unref(&message);
    rig_close(&rig);
}

static void a_widened_stream_takes_more_and_never_less(void) {
    struct rig rig;
    struct http_limits limits = usual_limits;
    limits.connection_window = 300000;
    rig_open_pair(&rig, &limits);
    struct message *message = message_new(1000);
    message->length = 1000;
    memset(message->data, 'm', 1000);
    struct exchange *call = client_open(&rig, true);
    WAIT(&rig, rig.server.opened == 1);
    struct exchange *server = exchange_at(&rig.server, 0);
    server->keeps_window = true;
    send_large(call, message, 1 << 20);
    WAIT(&rig, received(server) == 65535);
    http_stream_widen(server->stream, 200000);
    WAIT(&rig, received(server) == 200000);
    http_stream_widen(server->stream, 100000);
    http_stream_widen(server->stream, UINT32_MAX);
    WAIT(&rig, received(server) == limits.connection_window);
    struct exchange *other = client_open(&rig, true); /* by the time that its body is there, all that may come has */
    send_large(other, message, 1000);
    WAIT(&rig, rig.server.opened == 2 && received(exchange_at(&rig.server, 1)) == 1000);
    CHECK_INT(received(server), limits.connection_window);
    http_stream_consumed(server->stream, limits.connection_window);
    WAIT(&rig, received(server) == 2 * limits.connection_window);
    message_unref(&message);
    rig_close(&rig);
}

static void a_closed_connection_window_stops_all_streams_until_it_opens(void) {
    struct rig rig;
    struct http_limits limits = usual_limits;
    limits.connection_window = 65535;
    limits.stream_window = 1 << 20;
    rig_open_pair(&rig, &limits);
    struct message *message = message_new(1000);
    message->length = 1000;
    memset(message->data, 'm', 1000);
    http_session_set_window_open(rig.server.session, false);
    struct exchange *call = client_open(&rig, true);
    send_large(call, message, 1 << 20);
    WAIT(&rig, rig.server.opened == 1 && received(exchange_at(&rig.server, 0)) == 65535);
    for (int i = 0; i < 20; i++) turn(&rig);
    CHECK_INT(received(exchange_at(&rig.server, 0)), 65535);
    http_session_set_window_open(rig.server.session, true);
    WAIT(&rig, received(exchange_at(&rig.server, 0)) == 1 << 20);
    message_unref(&message);
    rig_close(&rig);
}

static void answer_with_text(struct side *side, enum event event, struct exchange *exchange) {
    (void)side;
    if (event != ON_REQUEST) return;
    http_stream_set_user(exchange->stream, NULL);
    http_stream_respond_whole(exchange->stream, ok_headers, 2, "a text", 6);
    exchange->is_closed = true;
    exchange->side->closed++;
}

/* The text comes in as many DATA frames as the window makes of it. */
static void expect_text(struct rig *rig, uint32_t id, size_t piece) {
    char text[16] = "";
    for (size_t at = 0;;) {
        struct frame frame = wait_frame(rig, DATA);
        CHECK(frame.id == id && frame.length <= piece && at + frame.length < sizeof text);
        memcpy(text + at, frame.payload, frame.length);
        at += frame.length;
        if (frame.flags & END_STREAM) break;
        put_number(rig, WINDOW_UPDATE, id, (uint32_t)piece);
    }
    CHECK_STR(text, "a text");
}

static void a_text_is_sent_and_stops_only_who_goes_on_uploading(void) {
    struct rig rig;
    struct side *side = rig_open_one(&rig, &usual_limits, true);
    side->on_event = answer_with_text;
    put_preface(&rig);
    put_request(&rig, 1, END_STREAM);
    expect_text(&rig, 1, 6);
    put_frame(&rig, SETTINGS, 0, 0, "\0\4\0\0\0\1", 6);
    rig.settings_sent++;
    put_request(&rig, 3, 0);
    expect_text(&rig, 3, 1);
    put_request(&rig, 5, 0);
    expect_text(&rig, 5, 1);
    put_frame(&rig, DATA, END_STREAM, 3, "x", 1);
    put_frame(&rig, DATA, 0, 5, "x", 1);
    struct frame reset = wait_frame(&rig, RST_STREAM);
    CHECK_INT(reset.id, 5);
    CHECK_INT(read_number(reset.payload), HTTP_NO_ERROR);
    CHECK_INT(http_session_stream_count(side->session), 0);
    rig_close(&rig);
}

static void answer_whole(struct side *side, enum event event, struct exchange *exchange) {
    (void)side;
    char body[] = "nine bytes";
    if (event == ON_REQUEST) http_stream_respond_whole(exchange->stream, ok_headers, 1, body, 9);
    memset(body, 'x', sizeof body); /* it has its own */
}

static struct exchange *ask(struct rig *rig, const struct http_header *headers) {
    struct exchange *exchange = exchange_new(&rig->client);
    exchange->stream = http_session_open(rig->client.session, headers, 4, false, exchange);
    WAIT(rig, exchange->is_closed);
    CHECK_INT(exchange->error, HTTP_NO_ERROR);
    return exchange;
}

static void a_whole_answer_says_its_length_and_needs_no_source(void) {
    struct rig rig;
    rig_open_pair(&rig, &usual_limits);
    rig.server.on_event = answer_whole;
    struct exchange *call = ask(&rig, post_headers);
    CHECK_STR(call->headers, ":status: 200\ncontent-length: 9\n");
    CHECK_MEM(buffer_bytes(&call->received), buffer_length(&call->received), "nine byte", 9);
    CHECK_INT(rig.server.seen[BODY_READY], 0);
    rig_close(&rig);
}

static void answer_at_length(struct side *side, enum event event, struct exchange *exchange) {
    (void)side;
    if (event != ON_REQUEST) return;
    http_stream_respond(exchange->stream, ok_headers, 1, false);
    buffer_append_text(&exchange->body, "text");
    http_stream_finish(exchange->stream, NULL, 0);
}

static void no_answer_to_head_has_a_body(void) {
    static const struct http_header head[] = {FIELD(":method", "HEAD"), FIELD(":scheme", "http"),
                                              FIELD(":path", "/"), FIELD(":authority", "a")};
    struct rig rig;
    rig_open_pair(&rig, &usual_limits);
    rig.server.on_event = answer_whole;
    struct exchange *call = ask(&rig, head);
    CHECK_STR(call->headers, ":status: 200\ncontent-length: 9\n");
    CHECK_INT(buffer_length(&call->received), 0);
    rig.server.on_event = answer_at_length;
    call = ask(&rig, head);
    CHECK_STR(call->headers, ":status: 200\n");
    CHECK_INT(buffer_length(&call->received), 0);
    rig_close(&rig);
}

static void padding_does_not_eat_the_window(void) {
    struct rig rig;
    struct http_limits limits = usual_limits;
    limits.connection_window = 65535;
    struct side *side = rig_open_one(&rig, &limits, true);
    put_preface(&rig);
    put_request(&rig, 1, 0);
    settle(&rig);
    uint8_t padded[202] = {200, 'x'}; /* length of the padding, one byte, the padding */
    enum { PADDED = 8 };
    size_t sent = 0;
    int64_t stream = 65535, connection = 65535;
    while (sent < 2000) { /* 404 KB of window for 2 KB of data */
        struct frame frame;
        if (stream < 202 || connection < 202) {
            frame = wait_frame(&rig, WINDOW_UPDATE);
            *(frame.id ? &stream : &connection) += read_number(frame.payload);
            continue;
        }
        put_frame(&rig, DATA, PADDED, 1, padded, sizeof padded);
        stream -= 202, connection -= 202;
        sent++;
    }
    WAIT(&rig, received(exchange_at(side, 0)) == 2000);
    rig_close(&rig);
}

static void a_thousand_streams_open_and_reset_cost_the_peer_nothing(void) {
    struct rig rig;
    struct http_limits limits = usual_limits;
    limits.streams = 1000;
    struct side *side = rig_open_one(&rig, &limits, true);
    put_preface(&rig);
    for (uint32_t i = 0; i < 1000; i++) put_request(&rig, 2 * i + 1, 0);
    for (uint32_t i = 0; i < 1000; i++) put_number(&rig, RST_STREAM, 2 * i + 1, HTTP_CANCEL);
    WAIT(&rig, side->closed == 1000);
    CHECK_INT(http_session_stream_count(side->session), 0);
    put_request(&rig, 2001, END_STREAM);
    WAIT(&rig, side->opened == 1001);
    rig_close(&rig);
}

static void streams_beyond_the_limit_are_refused(void) {
    struct rig rig;
    struct http_limits limits = usual_limits;
    limits.streams = 2;
    struct side *side = rig_open_one(&rig, &limits, true);
    put_bytes(&rig, client_magic, 24);
    put_frame(&rig, SETTINGS, 0, 0, NULL, 0);
    for (uint32_t id = 1; id <= 5; id += 2) put_request(&rig, id, 0); /* our SETTINGS have not been read yet */
    struct frame frame = wait_frame(&rig, RST_STREAM);
    CHECK_INT(frame.id, 5);
    CHECK_INT(read_number(frame.payload), HTTP_REFUSED_STREAM);
    CHECK_INT(side->opened, 2);
    rig_close(&rig);
}

static void a_client_opens_as_many_streams_as_the_server_allows(void) {
    struct rig rig;
    struct http_limits limits = usual_limits;
    limits.streams = 3;
    rig_open_pair(&rig, &limits);
    CHECK(client_open(&rig, true)); /* before the connection stands */
    WAIT(&rig, rig.server.opened == 1 && rig.client.seen[AFTER_READ]);
    CHECK(client_open(&rig, true));
    CHECK(client_open(&rig, true));
    CHECK(!client_open(&rig, true));
    http_stream_reset(exchange_at(&rig.client, 0)->stream, HTTP_CANCEL);
    WAIT(&rig, rig.server.closed == 1);
    CHECK(client_open(&rig, true));
    WAIT(&rig, rig.server.opened == 4);
    rig_close(&rig);
}

static void a_client_skips_informational_responses(void) {
    struct rig rig;
    struct side *side = rig_open_one(&rig, &usual_limits, false);
    struct exchange *call = client_open(&rig, false);
    put_frame(&rig, SETTINGS, 0, 0, NULL, 0);
    WAIT(&rig, rig.wire.end > 24);
    CHECK_MEM(buffer_bytes(&rig.wire), 24, client_magic, 24);
    rig.parsed = 24;
    wait_frame(&rig, HEADERS);
    put_frame(&rig, HEADERS, END_HEADERS, 1, "\x08\x03" "103", 5);
    put_frame(&rig, HEADERS, END_HEADERS, 1, response_block, 1);
    WAIT(&rig, call->has_response);
    CHECK_STR(call->headers, ":status: 200\n");
    put_frame(&rig, HEADERS, END_HEADERS | END_STREAM, 1, "\x00\x01t\x01u", 5);
    WAIT(&rig, call->is_closed);
    CHECK_STR(call->trailers, "t: u\n");
    CHECK_INT(side->seen[ON_RESPONSE], 1);
    rig_close(&rig);
}

/* Every event in turn is where the user closes the session, or resets the stream. */
static enum event chosen;
static bool resets;

static void act_in_the_chosen_event(struct side *side, enum event event, struct exchange *exchange) {
    answer_on_end(side, event, exchange);
    if (event != chosen) return;
    if (exchange && resets) http_stream_reset(exchange->stream, HTTP_CANCEL);
    if (!resets) http_session_close(side->session, HTTP_INTERNAL_ERROR, "closed by the test");
    if (!exchange) return;
    http_stream_resume(exchange->stream); /* and whatever else it may think of */
    http_stream_consumed(exchange->stream, 1);
    http_stream_finish(exchange->stream, ok_trailers, 1);
}

static void run_with_trouble(bool at_server) {
    struct rig rig;
    rig_open_pair(&rig, &usual_limits);
    rig.server.on_event = answer_on_end;
    rig.client.on_event = NULL;
    *(at_server ? &rig.server.on_event : &rig.client.on_event) = act_in_the_chosen_event;
    struct side *side = at_server ? &rig.server : &rig.client;
    struct exchange *calls[3];
    for (int i = 0; i < 3; i++) {
        calls[i] = client_open(&rig, true);
        buffer_append_text(&calls[i]->body, "body");
        if (!at_server && chosen == ON_CLOSE && i == 2) http_stream_reset(calls[i]->stream, HTTP_CANCEL);
        else http_stream_finish(calls[i]->stream, NULL, 0);
    }
    WAIT(&rig, rig.client.closed == 3);
    WAIT(&rig, side->seen[chosen] > 0 || chosen == ON_SESSION_END);
    if (!resets && chosen != ON_SESSION_END) {
        WAIT(&rig, !rig.server.session && !rig.client.session);
        CHECK_STR(side->reason, "closed by the test");
    }
    rig_close(&rig);
}

static void a_session_may_be_closed_in_every_event(void) {
    resets = false;
    for (chosen = ON_REQUEST; chosen <= BODY_GIVE; chosen++) {
        if (chosen != ON_RESPONSE) run_with_trouble(true);
        if (chosen != ON_REQUEST) run_with_trouble(false);
    }
}

static void a_stream_may_be_reset_in_every_event(void) {
    resets = true;
    for (chosen = ON_REQUEST; chosen <= BODY_GIVE; chosen++) {
        if (chosen == AFTER_READ || chosen == ON_SESSION_END) continue;
        if (chosen != ON_RESPONSE) run_with_trouble(true);
        if (chosen != ON_REQUEST) run_with_trouble(false);
    }
}

static void a_client_session_may_be_closed_before_it_is_connected(void) {
    struct rig rig;
    rig_open(&rig, &usual_limits);
    rig.client.session = http_session_new(rig.worker, false, &rig.limits, &rig_events, &rig.client);
    struct exchange *call = client_open(&rig, true);
    http_session_close(rig.client.session, HTTP_NO_ERROR, "no address");
    CHECK(!call->is_closed); /* never from inside a function of the header */
    WAIT(&rig, !rig.client.session);
    CHECK(call->is_closed && call->is_connection);
    CHECK_STR(rig.client.reason, "no address");
    rig_close(&rig);
}

int main(void) {
    RUN(a_call_goes_there_and_back);
    RUN(bytes_may_dribble);
    RUN(header_blocks_of_two_connections_may_interleave);
    RUN(data_frames_of_one_byte_are_one_body);
    RUN(pending_messages_leave_in_as_few_frames_as_possible);
    RUN(a_peer_that_takes_large_frames_gets_them);
    RUN(trailers_may_stand_alone_or_behind_headers_without_a_body);
    RUN(an_early_answer_stops_the_upload);
    RUN(a_reset_drops_what_is_queued);
    RUN(a_reset_drops_what_the_socket_has_refused_so_far);
    RUN(half_a_window_is_given_back_before_it_is_used_up);
    RUN(a_reset_by_the_peer_is_a_close);
    RUN(a_lost_connection_closes_its_streams);
    RUN(a_header_list_over_the_limit_is_told_and_the_connection_lives);
    RUN(a_header_list_far_over_the_limit_is_reset_and_the_connection_lives);
    RUN(headers_that_do_not_fit_reset_their_stream);
    RUN(a_malformed_request_is_reset_and_never_told);
    RUN(large_bodies_pass_small_windows_both_ways);
    RUN(a_body_goes_on_after_each_pause_and_may_end_behind_one);
    RUN(a_stream_that_is_not_consumed_stops_at_its_window_and_no_other);
    RUN(a_widened_stream_takes_more_and_never_less);
    RUN(a_closed_connection_window_stops_all_streams_until_it_opens);
    RUN(a_text_is_sent_and_stops_only_who_goes_on_uploading);
    RUN(a_whole_answer_says_its_length_and_needs_no_source);
    RUN(no_answer_to_head_has_a_body);
    RUN(padding_does_not_eat_the_window);
    RUN(a_thousand_streams_open_and_reset_cost_the_peer_nothing);
    RUN(streams_beyond_the_limit_are_refused);
    RUN(a_client_opens_as_many_streams_as_the_server_allows);
    RUN(a_client_skips_informational_responses);
    RUN(a_session_may_be_closed_in_every_event);
    RUN(a_stream_may_be_reset_in_every_event);
    RUN(a_client_session_may_be_closed_before_it_is_connected);
    return 0;
}
