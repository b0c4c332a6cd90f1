#include "http/rig.h"

static void check_goaway(const struct frame *frame, uint32_t last, uint32_t error, const char *text) {
    CHECK_INT(read_number(frame->payload), last);
    CHECK_INT(read_number(frame->payload + 4), error);
    CHECK_MEM(frame->payload + 8, frame->length - 8, text, strlen(text));
}

static void finish(struct exchange *exchange) {
    http_stream_respond(exchange->stream, ok_headers, 2, false);
    http_stream_finish(exchange->stream, ok_trailers, 1);
}

static void a_drain_loses_no_stream_that_was_on_its_way(void) {
    struct rig rig;
    struct side *side = rig_open_one(&rig, &usual_limits, true);
    put_preface(&rig);
    put_request(&rig, 1, END_STREAM);
    WAIT(&rig, side->opened == 1);
    http_session_drain(side->session, "shutdown");
    http_session_drain(side->session, "again"); /* changes nothing */
    struct frame frame = wait_frame(&rig, GOAWAY);
    check_goaway(&frame, 0x7fffffff, HTTP_NO_ERROR, "");
    frame = wait_frame(&rig, PING);
    CHECK_MEM(frame.payload, frame.length, "\1\6\1\x8\0\3\3\x9", 8);
    put_request(&rig, 3, END_STREAM); /* the client had not seen the GOAWAY yet */
    WAIT(&rig, side->opened == 2);
    put_frame(&rig, PING, ACK, 0, frame.payload, 8);
    frame = wait_frame(&rig, GOAWAY);
    check_goaway(&frame, 3, HTTP_NO_ERROR, "shutdown");
    put_request(&rig, 5, END_STREAM);
    settle(&rig);
    CHECK_INT(side->opened, 2);
    CHECK(!rig.has_peer_closed);
    finish(exchange_at(side, 0));
    finish(exchange_at(side, 1));
    WAIT(&rig, rig.has_peer_closed);
    CHECK_INT(exchange_at(side, 0)->error, HTTP_NO_ERROR);
    CHECK(!exchange_at(side, 1)->is_connection);
    close(rig.fd);
    rig.fd = -1;
    WAIT(&rig, !side->session);
    CHECK_STR(side->reason, "shutdown");
    rig_close(&rig);
}

static void a_drain_goes_on_without_the_answer_to_its_ping(void) {
    struct rig rig;
    struct side *side = rig_open_one(&rig, &usual_limits, true);
    put_preface(&rig);
    put_request(&rig, 1, END_STREAM);
    WAIT(&rig, side->opened == 1);
    uint64_t start = loop_update_now(rig.loop);
    http_session_drain(side->session, "shutdown");
    wait_frame(&rig, GOAWAY);
    struct frame frame = wait_frame(&rig, GOAWAY);
    check_goaway(&frame, 1, HTTP_NO_ERROR, "shutdown");
    CHECK(clock_monotonic() - start >= 5 * NS_PER_S);
    rig_close(&rig);
}

/* Its client may be one of HTTP/1 that keeps a connection in reserve: a frame would be an answer to its next request. */
static void a_server_that_nobody_has_spoken_to_drains_at_once_and_without_a_word(void) {
    for (size_t said = 0; said <= 4; said++) {
        struct rig rig;
        rig_open_one(&rig, &usual_limits, true);
        put_bytes(&rig, client_magic, said);
        turn(&rig);
        http_session_drain(rig.server.session, "shutdown");
        WAIT(&rig, rig.has_peer_closed);
        struct frame frame;
        if (said < 4) CHECK_INT(buffer_length(&rig.wire), 0); /* "POST" begins as the preface does */
        else CHECK(find_frame(&rig, GOAWAY, &frame));
        rig_close(&rig);
    }
}

static void a_close_tells_error_and_text_and_ends_every_stream(void) {
    struct rig rig;
    struct side *side = rig_open_one(&rig, &usual_limits, true);
    put_preface(&rig);
    put_request(&rig, 1, 0);
    put_request(&rig, 3, 0);
    WAIT(&rig, side->opened == 2);
    http_session_close(side->session, HTTP_ENHANCE_YOUR_CALM, "enough");
    CHECK_INT(side->closed, 0); /* never from inside a function of the header */
    struct frame frame = wait_frame(&rig, GOAWAY);
    check_goaway(&frame, 3, HTTP_ENHANCE_YOUR_CALM, "enough");
    CHECK_INT(side->closed, 2);
    CHECK_INT(exchange_at(side, 1)->error, HTTP_ENHANCE_YOUR_CALM);
    CHECK(exchange_at(side, 1)->is_connection);
    CHECK_STR(http_session_reason(side->session), "enough");
    WAIT(&rig, rig.has_peer_closed);
    rig_close(&rig);
}

static void put_goaway(struct rig *rig, uint32_t last, uint32_t error, const char *text) {
    uint8_t payload[64] = {0};
    payload[3] = (uint8_t)last;
    payload[7] = (uint8_t)error;
    memcpy(payload + 8, text, strlen(text));
    put_frame(rig, GOAWAY, 0, 0, payload, 8 + strlen(text));
}

static void a_client_gives_up_the_streams_that_a_goaway_leaves_out(void) {
    struct rig rig;
    struct side *side = rig_open_one(&rig, &usual_limits, false);
    struct exchange *kept = client_open(&rig, true), *refused = client_open(&rig, true);
    WAIT(&rig, buffer_length(&rig.wire) > 24);
    rig.parsed = 24;
    put_frame(&rig, SETTINGS, 0, 0, NULL, 0);
    wait_frame(&rig, HEADERS);
    put_goaway(&rig, 1, HTTP_NO_ERROR, "max_age");
    WAIT(&rig, refused->is_closed);
    CHECK_INT(refused->error, HTTP_REFUSED_STREAM);
    CHECK(!refused->is_connection);
    CHECK(!client_open(&rig, true));
    http_stream_finish(kept->stream, NULL, 0);
    put_frame(&rig, HEADERS, END_HEADERS, 1, response_block, 1);
    put_frame(&rig, HEADERS, END_HEADERS | END_STREAM, 1, "\x00\x01t\x01u", 5);
    WAIT(&rig, rig.has_peer_closed); /* nothing is left */
    CHECK(kept->is_closed && kept->has_ended && !kept->is_connection);
    close(rig.fd);
    rig.fd = -1;
    WAIT(&rig, !side->session);
    CHECK_STR(side->reason, "GOAWAY from the peer: NO_ERROR, max_age");
    rig_close(&rig);
}

static void a_client_says_nothing_of_a_stream_that_a_goaway_has_kept_here(void) {
    struct rig rig;
    struct side *side = rig_open_one(&rig, &usual_limits, false);
    struct exchange *kept = client_open(&rig, false);
    struct frame frame;
    WAIT(&rig, buffer_length(&rig.wire) > 24);
    rig.parsed = 24;
    put_frame(&rig, SETTINGS, 0, 0, NULL, 0);
    frame = wait_frame(&rig, HEADERS);
    put_goaway(&rig, 127, HTTP_NO_ERROR, "max_age");
    struct exchange *unsent = client_open(&rig, false); /* leaves at the end of the turn that reads the GOAWAY */
    WAIT(&rig, unsent->is_closed);
    CHECK_INT(unsent->error, HTTP_REFUSED_STREAM);
    CHECK(!unsent->is_connection && !kept->is_closed);
    put_frame(&rig, HEADERS, END_HEADERS | END_STREAM, 1, response_block, 1);
    WAIT(&rig, rig.has_peer_closed);
    CHECK(kept->is_closed && !kept->is_connection);
    while (next_frame(&rig, &frame)) CHECK(frame.type != RST_STREAM && frame.type != HEADERS);
    close(rig.fd);
    rig.fd = -1;
    WAIT(&rig, !side->session);
    rig_close(&rig);
}

static void a_client_that_drains_finishes_its_streams_and_leaves(void) {
    struct rig rig;
    rig_open_pair(&rig, &usual_limits);
    struct exchange *call = client_open(&rig, false);
    WAIT(&rig, rig.server.opened == 1);
    http_session_drain(rig.client.session, "done");
    CHECK(!client_open(&rig, false));
    finish(exchange_at(&rig.server, 0));
    WAIT(&rig, !rig.client.session && !rig.server.session);
    CHECK(call->has_ended && !call->is_connection);
    CHECK_STR(rig.client.reason, "done");
    rig_close(&rig);
}

static void a_server_that_drains_waits_for_the_calls_of_a_real_client(void) {
    struct rig rig;
    rig_open_pair(&rig, &usual_limits);
    struct exchange *call = client_open(&rig, false);
    WAIT(&rig, rig.server.opened == 1);
    http_session_drain(rig.server.session, "shutdown");
    WAIT(&rig, rig.client.seen[AFTER_READ] >= 2 && !client_open(&rig, false));
    finish(exchange_at(&rig.server, 0));
    WAIT(&rig, !rig.client.session && !rig.server.session);
    CHECK(call->has_ended && !call->is_connection);
    rig_close(&rig);
}

int main(void) {
    RUN(a_drain_loses_no_stream_that_was_on_its_way);
    RUN(a_drain_goes_on_without_the_answer_to_its_ping);
    RUN(a_server_that_nobody_has_spoken_to_drains_at_once_and_without_a_word);
    RUN(a_close_tells_error_and_text_and_ends_every_stream);
    RUN(a_client_gives_up_the_streams_that_a_goaway_leaves_out);
    RUN(a_client_says_nothing_of_a_stream_that_a_goaway_has_kept_here);
    RUN(a_client_that_drains_finishes_its_streams_and_leaves);
    RUN(a_server_that_drains_waits_for_the_calls_of_a_real_client);
    return 0;
}
