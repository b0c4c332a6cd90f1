/* What a request turns into when it is upgraded: two runs of bytes, the same to the user whatever carries them. */
#include "http/rig.h"

static const struct http_header connect_headers[] = {FIELD(":method", "CONNECT"), FIELD(":protocol", "echo"),
                                                     FIELD(":scheme", "http"),    FIELD(":path", "/talk"),
                                                     FIELD(":authority", "a")};
static const struct http_header agreed[] = {FIELD("sec-websocket-protocol", "tidewire")};

static struct exchange *open_echo(struct rig *rig) {
    struct exchange *exchange = exchange_new(&rig->client);
    exchange->stream = http_session_open(rig->client.session, connect_headers, 5, true, exchange);
    CHECK(exchange->stream);
    return exchange;
}

/* Sends back what comes, and ends behind a full stop. */
static void echo(struct side *side, enum event event, struct exchange *exchange) {
    (void)side;
    if (event == ON_REQUEST) http_stream_upgrade(exchange->stream, agreed, 1);
    if (event != ON_DATA) return;
    size_t length = buffer_length(&exchange->received);
    bool is_last = buffer_bytes(&exchange->received)[length - 1] == '.';
    buffer_append(&exchange->body, buffer_bytes(&exchange->received), length);
    buffer_clear(&exchange->received);
    http_stream_resume(exchange->stream);
    if (is_last) http_stream_finish(exchange->stream, NULL, 0);
}

static void an_extended_connect_is_a_run_of_bytes_each_way(void) {
    struct rig rig;
    rig_open_pair(&rig, &usual_limits);
    rig.server.on_event = echo;
    struct exchange *call = open_echo(&rig);
    WAIT(&rig, call->has_response);
    CHECK_STR(exchange_at(&rig.server, 0)->headers,
              ":method: CONNECT\n:protocol: echo\n:scheme: http\n:path: /talk\n:authority: a\n");
    CHECK_STR(call->headers, ":status: 200\nsec-websocket-protocol: tidewire\n");
    CHECK_INT(http_stream_version(exchange_at(&rig.server, 0)->stream), HTTP_2);
    buffer_append_text(&call->body, "ping");
    http_stream_resume(call->stream);
    WAIT(&rig, buffer_length(&call->received) == 4);
    CHECK(!call->has_ended);
    buffer_append_text(&call->body, "pong.");
    http_stream_resume(call->stream);
    WAIT(&rig, call->has_ended);
    buffer_append_text(&call->body, "bye"); /* a protocol may have last words on both sides */
    http_stream_finish(call->stream, NULL, 0);
    WAIT(&rig, call->is_closed);
    CHECK_MEM(buffer_bytes(&call->received), buffer_length(&call->received), "pingpong.", 9);
    CHECK(call->has_ended);
    CHECK_INT(call->error, HTTP_NO_ERROR);
    WAIT(&rig, rig.server.closed == 1);
    const struct buffer *late = &exchange_at(&rig.server, 0)->body;
    CHECK_MEM(buffer_bytes(late), buffer_length(late), "bye", 3);
    CHECK_INT(exchange_at(&rig.server, 0)->error, HTTP_NO_ERROR);
    rig_close(&rig);
}

static void a_client_of_http2_may_end_its_run_first(void) {
    struct rig rig;
    rig_open_pair(&rig, &usual_limits);
    rig.server.on_event = echo;
    struct exchange *call = open_echo(&rig);
    buffer_append_text(&call->body, "bye");
    http_stream_finish(call->stream, NULL, 0);
    WAIT(&rig, rig.server.opened == 1);
    WAIT(&rig, exchange_at(&rig.server, 0)->has_ended && buffer_length(&call->received) == 3);
    CHECK(!call->has_ended);
    http_stream_finish(exchange_at(&rig.server, 0)->stream, NULL, 0);
    WAIT(&rig, call->is_closed && rig.server.closed == 1);
    CHECK_INT(call->error, HTTP_NO_ERROR);
    rig_close(&rig);
}

int main(void) {
    RUN(an_extended_connect_is_a_run_of_bytes_each_way);
    RUN(a_client_of_http2_may_end_its_run_first);
    return 0;
}
