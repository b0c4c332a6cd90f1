#include "record.h"
#include "rpc/client.h"

enum { MIB = 1024 * 1024, STREAMS = 1000, WINDOW = 64 * 1024, CONNECTION_WINDOW = MIB };

static const struct rpc_limits limits = {
    .buffered_per_connection = 16 * MIB, .buffered_total = 64 * MIB, .stalled = 30 * NS_PER_S};
static const struct call_limits call_limits = {.message = 4 * MIB, .buffered_per_stream = 256 * 1024};
static const struct method upload = {.full_name = "test.Service/Upload", .is_client_streaming = true};

static void serve(struct record *record) {
    router_add(fake_router, &upload, &record_handler, record, &call_limits);
    router_add(fake_router, &record_stream, &record_handler, record, &record_limits);
}

/* A client that obeys the windows. */
struct uploader {
    struct http_stream *stream;
    size_t sent;
};

static bool send_some(struct uploader *uploader, const uint8_t *bytes, size_t length, size_t piece) {
    struct http_stream *stream = uploader->stream;
    struct http_session *session = stream->session;
    size_t window = (stream->widened > WINDOW ? stream->widened : WINDOW) + stream->consumed - uploader->sent;
    size_t connection = session->is_window_closed ? CONNECTION_WINDOW - session->withheld : CONNECTION_WINDOW;
    if (piece > length - uploader->sent) piece = length - uploader->sent;
    if (piece > window) piece = window;
    if (piece > connection) piece = connection;
    if (stream->is_closed || !piece) return false;
    fake_receive(stream, bytes + uploader->sent, piece, false);
    uploader->sent += piece;
    return true;
}

static uint8_t *framed(size_t payload, size_t *length) {
    uint8_t *bytes = memory_new(payload + 5);
    bytes[1] = (uint8_t)(payload >> 24);
    bytes[2] = (uint8_t)(payload >> 16);
    bytes[3] = (uint8_t)(payload >> 8);
    bytes[4] = (uint8_t)payload;
    *length = payload + 5;
    return bytes;
}

static size_t allocated; /* at its highest, by what was charged */
static void note_highest(void) {
    if (rpc_counters(fake_rpc)->buffered > allocated) allocated = rpc_counters(fake_rpc)->buffered;
}

/* In pieces of any size: at the bound a small piece must not make its message grow by much. */
static void unfinished_messages(size_t piece) {
    static struct uploader uploaders[STREAMS];
    struct record record = {.is_many = true};
    size_t length;
    uint8_t *bytes = framed(4 * MIB, &length);
    fake_start(&limits);
    serve(&record);
    struct http_session *greedy = fake_accept();
    for (int i = 0; i < STREAMS; i++)
        uploaders[i] = (struct uploader){fake_request(greedy, "/test.Service/Upload", false, NULL), 0};
    fake_read_done(greedy);

    allocated = 0;
    for (bool moves = true; moves;) {
        moves = false;
        for (int i = 0; i < STREAMS; i++) {
            moves |= send_some(&uploaders[i], bytes, length - 1, piece);
            note_highest();
        }
    }
    CHECK(allocated >= limits.buffered_per_connection * 3 / 4);
    CHECK(allocated <= limits.buffered_per_connection + CONNECTION_WINDOW + CONNECTION_WINDOW / 8);
    CHECK(greedy->is_window_closed);

    /* Another connection has all that it wants. */
    struct record other = {.is_echo = true};
    struct router *router = router_new(4, NULL, NULL);
    router_add(router, &upload, &record_handler, &other, &call_limits);
    rpc_set_router(fake_rpc, router);
    struct uploader fair = {fake_request(fake_accept(), "/test.Service/Upload", false, NULL), 0};
    while (send_some(&fair, bytes, length, 16384)) {
    }
    CHECK_INT(fair.sent, length);
    fake_receive(fair.stream, NULL, 0, true);
    CHECK_INT(other.messages, 1);
    CHECK_INT(other.status, STATUS_OK);
    CHECK_INT(buffer_length(&fair.stream->body), length);

    /* Those that move nothing end, and the rest goes on. */
    CHECK_INT(record.closed, 0);
    fake_advance(31 * NS_PER_S);
    CHECK(record.closed > 100 && record.closed < STREAMS);
    CHECK_INT(record.status, STATUS_RESOURCE_EXHAUSTED);
    CHECK_INT(rpc_counters(fake_rpc)->limited, record.closed);
    CHECK(rpc_counters(fake_rpc)->buffered < limits.buffered_per_connection);
    CHECK(!greedy->is_window_closed);
    fake_stop();
    for (int i = 0; i < STREAMS; i++) fake_stream_free(uploaders[i].stream);
    fake_stream_free(fair.stream);
    router_free(&router);
    free(bytes);
    record_free(&record);
    record_free(&other);
}

static void a_thousand_unfinished_messages_stay_within_the_bound_and_others_are_served(void) {
    unfinished_messages(16384);
    unfinished_messages(900);
}

static void the_largest_of_the_stalled_calls_ends_first(void) {
    struct record record = {.is_idle = true, .is_many = true};
    const struct rpc_limits small = {.buffered_per_connection = 8000, .stalled = 10 * NS_PER_S};
    static char text[5000];
    struct buffer frame = {0};
    fake_frame(&frame, text, sizeof text, 0);
    fake_start(&small);
    serve(&record);
    struct http_session *session = fake_accept();
    struct http_stream *streams[3];
    static const size_t sent[] = {2000, 5005, 1500};
    for (int i = 0; i < 3; i++) {
        streams[i] = fake_request(session, "/test.Service/Stream", false, NULL);
        fake_receive(streams[i], buffer_bytes(&frame), sent[i], false);
    }
    CHECK(session->is_window_closed);
    fake_advance(11 * NS_PER_S);
    CHECK(streams[1]->is_closed && !streams[0]->is_closed && !streams[2]->is_closed);
    fake_stop();
    for (int i = 0; i < 3; i++) fake_stream_free(streams[i]);
    buffer_free(&frame);
    record_free(&record);
}

static void the_calls_of_a_gateway_or_a_worker_have_no_bound_together(void) {
    const struct rpc_limits small = {.buffered_per_connection = 8000, .buffered_total = MIB, .stalled = 10 * NS_PER_S};
    static char text[5000];
    for (int is_peer = 0; is_peer < 2; is_peer++) {
        struct record record = {.is_idle = true, .is_many = true};
        struct buffer frame = {0};
        fake_frame(&frame, text, sizeof text, 0);
        fake_start(&small);
        serve(&record);
        struct http_session *session = fake_accept_with(&(struct rpc_accepted){.fd = -1, .is_internal = !is_peer});
        struct http_stream *streams[10];
        for (int i = 0; i < 10; i++) {
            streams[i] = fake_request(session, "/test.Service/Stream", false, NULL);
            fake_receive(streams[i], buffer_bytes(&frame), buffer_length(&frame), false);
            if (is_peer && !i) call_set_node(record.call, "b");
        }
        CHECK(session->is_relay && !session->is_window_closed);
        fake_advance(11 * NS_PER_S);
        for (int i = 0; i < 10; i++) CHECK(!streams[i]->is_closed);
        fake_stop();
        for (int i = 0; i < 10; i++) fake_stream_free(streams[i]);
        buffer_free(&frame);
        record_free(&record);
    }
}

static void a_call_that_makes_progress_is_left_alone(void) {
    struct record record = {.is_idle = true};
    const struct rpc_limits small = {.buffered_per_connection = 8000, .stalled = 10 * NS_PER_S};
    char text[3000] = {0};
    struct buffer frame = {0};
    fake_frame(&frame, text, sizeof text, 0);
    fake_start(&small);
    serve(&record);
    struct http_session *session = fake_accept();
    struct http_stream *slow = fake_request(session, "/test.Service/Stream", false, NULL);
    for (int i = 0; i < 3; i++) fake_receive(slow, buffer_bytes(&frame), buffer_length(&frame), false);
    CHECK(session->is_window_closed);
    fake_advance(8 * NS_PER_S);
    record_take(&record); /* not enough to be below the bound's three quarters */
    fake_receive(slow, buffer_bytes(&frame), buffer_length(&frame), false);
    fake_advance(8 * NS_PER_S);
    CHECK_INT(record.closed, 0);
    fake_advance(3 * NS_PER_S);
    CHECK_INT(record.closed, 1);
    fake_stop();
    fake_stream_free(slow);
    buffer_free(&frame);
    record_free(&record);
}

static void a_message_that_grows_is_progress(void) {
    struct record record = {.is_idle = true};
    const struct rpc_limits small = {.buffered_per_connection = 8000, .stalled = 10 * NS_PER_S};
    static char text[20000];
    struct buffer frame = {0};
    fake_frame(&frame, text, sizeof text, 0);
    fake_start(&small);
    serve(&record);
    struct http_stream *slow = fake_request(fake_accept(), "/test.Service/Stream", false, NULL);
    fake_receive(slow, buffer_bytes(&frame), 9000, false);
    CHECK(slow->session->is_window_closed);
    fake_advance(8 * NS_PER_S);
    fake_receive(slow, buffer_bytes(&frame) + 9000, 100, false);
    fake_advance(8 * NS_PER_S);
    CHECK_INT(record.closed, 0);
    fake_advance(3 * NS_PER_S);
    CHECK_INT(record.closed, 1);
    fake_stop();
    fake_stream_free(slow);
    buffer_free(&frame);
    record_free(&record);
}

/* Three messages that wait, one byte above the bound; what happens after eight seconds must count. */
static void moves_after_eight_seconds(void (*move)(struct record *record, struct http_stream *stream)) {
    struct record record = {.is_idle = true};
    const struct rpc_limits small = {.buffered_per_connection = 9015, .stalled = 10 * NS_PER_S};
    static char text[3000];
    struct buffer frame = {0};
    fake_frame(&frame, text, sizeof text, 0);
    fake_start(&small);
    serve(&record);
    struct http_stream *stream = fake_request(fake_accept(), "/test.Service/Stream", false, NULL);
    for (int i = 0; i < 3; i++) fake_receive(stream, buffer_bytes(&frame), buffer_length(&frame), false);
    CHECK(stream->session->is_window_closed);
    fake_advance(8 * NS_PER_S);
    move(&record, stream);
    fake_advance(8 * NS_PER_S);
    CHECK_INT(record.closed, 0);
    CHECK(stream->session->is_window_closed);
    fake_advance(3 * NS_PER_S);
    CHECK_INT(record.closed, 1);
    fake_stop();
    fake_stream_free(stream);
    buffer_free(&frame);
    record_free(&record);
}

static void take_one(struct record *record, struct http_stream *stream) {
    (void)stream;
    CHECK_INT(record_take(record), CALL_MESSAGE);
}
static void a_message_that_is_taken_is_progress(void) { moves_after_eight_seconds(take_one); }

static void send_one(struct record *record, struct http_stream *stream) {
    (void)record;
    fake_receive(stream, "\0\0\0\0\0", 5, false);
}
static void a_message_that_comes_is_progress(void) { moves_after_eight_seconds(send_one); }

static void bytes_that_leave_are_progress(void) {
    struct record record = {.is_idle = true};
    const struct rpc_limits small = {.buffered_per_connection = 8000, .stalled = 10 * NS_PER_S};
    static char text[9000];
    fake_start(&small);
    serve(&record);
    struct http_stream *stream = fake_request(fake_accept(), "/test.Service/Stream", false, NULL);
    fake_read_done(stream->session);
    stream->window = 0;
    call_send_bytes(record.call, text, sizeof text);
    fake_turn();
    fake_advance(8 * NS_PER_S);
    stream->window = 100;
    http_stream_resume(stream);
    fake_turn();
    CHECK_INT(buffer_length(&stream->body), 100);
    fake_advance(8 * NS_PER_S);
    CHECK_INT(record.closed, 0);
    fake_advance(3 * NS_PER_S);
    CHECK_INT(record.closed, 1);
    fake_stop();
    fake_stream_free(stream);
    record_free(&record);
}

/* What waits to be sent counts from when it began to wait, however long its call was silent before. */
static void an_answer_that_has_just_begun_is_not_stalled(void) {
    struct record record = {.is_idle = true, .is_many = true};
    const struct rpc_limits small = {.buffered_per_connection = 8000, .stalled = 10 * NS_PER_S};
    static char text[9000];
    fake_start(&small);
    serve(&record);
    struct http_session *session = fake_accept();
    struct http_stream *streams[2];
    for (int i = 0; i < 2; i++) {
        streams[i] = fake_request(session, "/test.Service/Stream", false, NULL);
        streams[i]->window = 0;
        fake_receive(streams[i], "\0\0\0\0\0", 5, false);
        CHECK_INT(record_take(&record), CALL_MESSAGE); /* it follows the one that was told last */
        call_send_bytes(record.call, text, i ? 1 : sizeof text);
        fake_turn();
        streams[i]->window = i ? 6 : 0;
        fake_turn();
    }
    struct call *late = record.call;
    fake_advance(8 * NS_PER_S);
    CHECK(call_send_bytes(late, text, sizeof text - 100));
    fake_advance(3 * NS_PER_S);
    CHECK(streams[0]->is_closed && !streams[1]->is_closed);
    fake_advance(8 * NS_PER_S);
    CHECK(streams[1]->is_closed);
    fake_stop();
    for (int i = 0; i < 2; i++) fake_stream_free(streams[i]);
    record_free(&record);
}

/* Its trailers may not come without the messages before them: only a reset is left, which says why. */
static void a_finished_answer_that_nobody_takes_is_reset(void) {
    const struct rpc_limits small = {.buffered_per_connection = 8000, .stalled = 10 * NS_PER_S};
    static char text[9000];
    for (int has_deadline = 0; has_deadline < 2; has_deadline++) {
        struct record record = {.is_idle = true};
        fake_start(&small);
        serve(&record);
        struct http_stream *stream = fake_request(fake_accept(), "/test.Service/Stream", false, "grpc-timeout",
                                                  has_deadline ? "5S" : "1H", NULL);
        fake_receive(stream, NULL, 0, true);
        stream->window = 0;
        call_send_bytes(record.call, text, sizeof text);
        call_finish(record.call, STATUS_OK, NULL, NULL, 0);
        fake_turn();
        fake_advance(11 * NS_PER_S);
        CHECK(stream->is_closed);
        CHECK_INT(stream->reset, has_deadline ? HTTP_CANCEL : HTTP_ENHANCE_YOUR_CALM);
        CHECK_INT(record.status, has_deadline ? STATUS_DEADLINE_EXCEEDED : STATUS_RESOURCE_EXHAUSTED);
        fake_stop();
        fake_stream_free(stream);
        record_free(&record);
    }
}

static void taking_opens_the_windows_again(void) {
    struct record record = {.is_idle = true};
    const struct rpc_limits small = {.buffered_per_connection = 8000};
    char text[3000] = {0};
    struct buffer frame = {0};
    fake_frame(&frame, text, sizeof text, 0);
    fake_start(&small);
    serve(&record);
    struct http_session *session = fake_accept();
    struct http_stream *stream = fake_request(session, "/test.Service/Stream", false, NULL);
    struct http_stream *half = fake_request(session, "/test.Service/Unary", false, NULL);
    for (int i = 0; i < 3; i++) fake_receive(stream, buffer_bytes(&frame), buffer_length(&frame), false);
    CHECK(session->is_window_closed);
    CHECK(call_is_full(record.call));
    while (record_take(&record) == CALL_MESSAGE) {
    }
    fake_turn();
    CHECK(!session->is_window_closed);
    CHECK(strstr(record.events, "writable"));
    CHECK_INT(stream->consumed, 3 * 3005);
    fake_stop();
    fake_stream_free(stream);
    fake_stream_free(half);
    buffer_free(&frame);
    record_free(&record);
}

/* The window of an unfinished message that was held back comes when there is room. */
static void a_held_back_window_is_given_later(void) {
    struct record record = {.is_idle = true}, second = {.is_idle = true};
    const struct rpc_limits small = {.buffered_per_connection = 8000};
    char text[9000] = {0};
    struct buffer frame = {0};
    fake_frame(&frame, text, sizeof text, 0);
    fake_start(&small);
    serve(&record);
    struct http_session *session = fake_accept();
    struct http_stream *one = fake_request(session, "/test.Service/Stream", false, NULL);
    fake_receive(one, buffer_bytes(&frame), buffer_length(&frame), false);
    CHECK(session->is_window_closed);
    struct call *first = record.call;
    record.call = NULL;
    struct http_stream *two = fake_request(session, "/test.Service/Stream", false, NULL);
    fake_receive(two, buffer_bytes(&frame), 2000, false);
    CHECK_INT(two->consumed, 0);
    call_reset(first, HTTP_CANCEL);
    fake_turn();
    CHECK(!session->is_window_closed);
    CHECK_INT(two->consumed, 2000);
    fake_stop();
    fake_stream_free(one);
    fake_stream_free(two);
    buffer_free(&frame);
    record_free(&record);
    record_free(&second);
}

static void a_peer_that_takes_nothing_is_cut_off(void) {
    struct record record = {0};
    const struct rpc_limits small = {.buffered_per_connection = 8000, .stalled = 10 * NS_PER_S};
    char text[3000] = {0};
    fake_start(&small);
    serve(&record);
    struct http_session *session = fake_accept();
    struct http_stream *stream = fake_request(session, "/test.Service/Stream", false, NULL);
    fake_receive(stream, NULL, 0, false);
    stream->window = 100;
    for (int i = 0; i < 3; i++) call_send_bytes(record.call, text, sizeof text);
    CHECK(call_is_full(record.call));
    fake_turn();
    fake_advance(11 * NS_PER_S);
    CHECK_INT(record.status, STATUS_RESOURCE_EXHAUSTED);
    CHECK(strstr(fake_text(&stream->trailers), "grpc-status: 8\n"));
    CHECK_INT(rpc_counters(fake_rpc)->buffered, 0);
    fake_stop();
    fake_stream_free(stream);
    record_free(&record);
}

/* Near the worker's bound those give way that hold more than their share. */
static void a_tight_total_stops_the_greedy_first(void) {
    struct record record = {.is_idle = true};
    const struct rpc_limits small = {.buffered_per_connection = MIB, .buffered_total = 40000};
    static char text[30000];
    struct buffer large = {0}, little = {0};
    fake_frame(&large, text, sizeof text, 0);
    fake_frame(&little, text, 1000, 0);
    fake_start(&small);
    serve(&record);
    struct http_session *greedy = fake_accept(), *modest = fake_accept();
    struct http_stream *one = fake_request(greedy, "/test.Service/Stream", false, NULL);
    fake_receive(one, buffer_bytes(&large), buffer_length(&large), false);
    CHECK(greedy->is_window_closed);
    record.call = NULL;
    struct http_stream *two = fake_request(modest, "/test.Service/Stream", false, NULL);
    fake_receive(two, buffer_bytes(&little), buffer_length(&little), false);
    CHECK(!modest->is_window_closed);
    for (int i = 0; i < 12; i++) fake_receive(two, buffer_bytes(&little), buffer_length(&little), false);
    CHECK(modest->is_window_closed);
    fake_stop();
    fake_stream_free(one);
    fake_stream_free(two);
    buffer_free(&large);
    buffer_free(&little);
    record_free(&record);
}

/* ---- calls that we make ---- */

static bool no_retry(void *context, const struct rpc_outcome *outcome) {
    (void)context, (void)outcome;
    return false;
}
static void nothing_over(void *context, const struct rpc_outcome *outcome) { (void)context, (void)outcome; }
static const struct rpc_opener opener = {.on_failure = no_retry, .on_over = nothing_over};

static void open_for(struct record *record, struct account *account) {
    const struct rpc_request request = {.method = &record_stream,
                                        .handler = &record_handler,
                                        .data = record,
                                        .limits = &call_limits,
                                        .account = account};
    record->call = rpc_call_open(fake_rpc, &request, &opener, NULL, 0);
}

static void a_call_that_is_made_for_a_clients_is_paid_for_by_its_connection(void) {
    static const char text[5000];
    struct record record = {.is_idle = true}, made = {.is_idle = true}, own = {.is_idle = true};
    const struct rpc_limits small = {.buffered_per_connection = 8000};
    fake_start(&small);
    serve(&record);
    struct http_session *client = fake_accept(), *other = fake_accept();
    struct http_stream *stream = fake_request(client, "/test.Service/Stream", false, NULL);
    fake_receive(stream, NULL, 0, false);
    open_for(&made, call_account(record.call)); /* it waits for a link, and stays so */
    open_for(&own, NULL);
    for (int i = 0; i < 2; i++) call_send_bytes(made.call, text, sizeof text);
    CHECK(client->is_window_closed && !other->is_window_closed);
    CHECK(call_is_full(made.call) && call_is_full(record.call) && !call_is_full(own.call));

    call_reset(made.call, HTTP_CANCEL);
    CHECK(!client->is_window_closed);
    fake_turn();
    CHECK_INT(made.closed, 1);
    for (int i = 0; i < 2; i++) call_send_bytes(own.call, text, sizeof text);
    CHECK(call_is_full(own.call) && !client->is_window_closed);
    CHECK(!call_is_full(record.call));
    fake_stop();
    fake_stream_free(stream);
    record_free(&record);
}

static void an_account_outlives_its_connection(void) {
    static const char text[5000];
    struct record record = {.is_idle = true}, made = {.is_idle = true};
    const struct rpc_limits small = {.buffered_per_connection = 8000};
    fake_start(&small);
    serve(&record);
    struct http_session *client = fake_accept();
    struct http_stream *stream = fake_request(client, "/test.Service/Stream", false, NULL);
    fake_receive(stream, NULL, 0, false);
    open_for(&made, call_account(record.call));
    fake_session_end(client, "it has gone");
    fake_turn();
    CHECK_INT(record.closed, 1);
    for (int i = 0; i < 2; i++) call_send_bytes(made.call, text, sizeof text);
    CHECK(call_is_full(made.call));
    call_reset(made.call, HTTP_CANCEL);
    fake_turn();
    CHECK_INT(rpc_counters(fake_rpc)->buffered, 0);
    fake_stop();
    fake_stream_free(stream);
    record_free(&record);
}

int main(void) {
    RUN(a_call_that_is_made_for_a_clients_is_paid_for_by_its_connection);
    RUN(an_account_outlives_its_connection);
    RUN(a_thousand_unfinished_messages_stay_within_the_bound_and_others_are_served);
    RUN(the_largest_of_the_stalled_calls_ends_first);
    RUN(the_calls_of_a_gateway_or_a_worker_have_no_bound_together);
    RUN(a_call_that_makes_progress_is_left_alone);
    RUN(a_message_that_grows_is_progress);
    RUN(a_message_that_is_taken_is_progress);
    RUN(a_message_that_comes_is_progress);
    RUN(bytes_that_leave_are_progress);
    RUN(an_answer_that_has_just_begun_is_not_stalled);
    RUN(a_finished_answer_that_nobody_takes_is_reset);
    RUN(taking_opens_the_windows_again);
    RUN(a_held_back_window_is_given_later);
    RUN(a_peer_that_takes_nothing_is_cut_off);
    RUN(a_tight_total_stops_the_greedy_first);
    return 0;
}
