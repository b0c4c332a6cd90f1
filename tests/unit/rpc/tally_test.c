/* Tests rpc/tally.c, and where the rest of rpc/ counts. */
#include "rpc/tally.h"

#include "base/figures.h"
#include "record.h"

static struct record record;
static struct http_session *session;
static struct figures *tallies;
static char text[2048];

/* Those that have counted anything: "service/method started received sent OK others". */
static void write_down(void *context, const struct figures_name *name, const uint64_t *sums) {
    (void)context;
    size_t length = strlen(text), first = offsetof(struct tally, handled) / sizeof *sums;
    uint64_t others = 0;
    for (size_t i = 1; i < STATUS_COUNT; i++) others += sums[first + i];
    if (!sums[0] && !sums[1] && !sums[2] && !sums[first] && !others) return;
    snprintf(text + length, sizeof text - length, "%s %s/%s %d %d %d %d %d\n", name->parts[0], name->parts[1],
             name->parts[2], (int)sums[0], (int)sums[1], (int)sums[2], (int)sums[first], (int)others);
}

static const char *counted(void) {
    *text = '\0';
    figures_each(tallies, write_down, NULL);
    return text;
}

static void start_with(const struct rpc_accepted *accepted) {
    record = (struct record){0};
    fake_start(NULL);
    tallies = tallies_new(2);
    rpc_set_tallies(fake_rpc, tallies, 1);
    router_set_tallies(fake_router, tallies, 1);
    record_serve(&record);
    session = fake_accept_with(accepted);
}

static void start(void) { start_with(&(struct rpc_accepted){.fd = -1}); }

static void stop(struct http_stream *stream) {
    fake_stop();
    fake_stream_free(stream);
    record_free(&record);
    figures_free(&tallies);
}

static void messages_of_a_stream_count_as_they_pass(void) {
    start();
    record.is_echo = true;
    struct http_stream *stream = fake_request(session, "/test.Service/Stream", false, NULL);
    CHECK_STR(counted(), "bidi_stream test.Service/Stream 1 0 0 0 0\n");
    fake_receive(stream, "\0\0\0\0\1a\0\0\0\0\1b", 12, false);
    CHECK_STR(counted(), "bidi_stream test.Service/Stream 1 2 2 0 0\n");
    fake_receive(stream, "\0\0\0\0\1c", 6, true);
    CHECK_STR(counted(), "bidi_stream test.Service/Stream 1 3 3 1 0\n");
    stop(stream);
}

static void a_sole_reply_counts_when_it_leaves(void) {
    start();
    struct http_stream *stream = fake_request(session, "/test.Service/Unary", false, NULL);
    fake_receive(stream, "\0\0\0\0\1a", 6, true);
    call_send_bytes(record.call, "reply", 5);
    CHECK_STR(counted(), "unary test.Service/Unary 1 1 0 0 0\n");
    call_finish(record.call, STATUS_OK, NULL, NULL, 0);
    fake_turn();
    CHECK_STR(counted(), "unary test.Service/Unary 1 1 1 1 0\n");
    stop(stream);
}

/* No counter may fall, so it never counted. */
static void a_sole_reply_that_is_taken_back_never_counts(void) {
    start();
    struct http_stream *stream = fake_request(session, "/test.Service/Unary", false, NULL);
    fake_receive(stream, "\0\0\0\0\1a", 6, true);
    call_send_bytes(record.call, "reply", 5);
    call_finish(record.call, STATUS_NOT_FOUND, "no", NULL, 0);
    fake_turn();
    CHECK_STR(counted(), "unary test.Service/Unary 1 1 0 0 1\n");
    stop(stream);
}

static void what_is_refused_counts_for_its_method_or_as_unknown(void) {
    start();
    struct http_stream *stream = fake_request(session, "/test.Service/Unary", true, "grpc-timeout", "soon", NULL);
    fake_turn();
    CHECK_STR(counted(), "unary test.Service/Unary 1 0 0 0 1\n");
    CHECK_INT(rpc_counters(fake_rpc)->calls_closed[1], 1); /* "client" */
    fake_stream_free(stream);
    stream = fake_request(session, "/a.b/c", true, NULL);
    fake_turn();
    CHECK_STR(counted(), "unknown unknown/unknown 1 0 0 0 1\nunary test.Service/Unary 1 0 0 0 1\n");
    stop(stream);
}

static void what_comes_from_another_worker_is_not_counted_again(void) {
    start_with(&(struct rpc_accepted){.fd = -1, .is_internal = true});
    record.is_echo = true;
    struct http_stream *stream = fake_request(session, "/test.Service/Stream", false, NULL);
    fake_receive(stream, "\0\0\0\0\1a", 6, true);
    CHECK_STR(counted(), "");
    CHECK_INT(rpc_counters(fake_rpc)->calls_ended[STATUS_OK], 1);
    for (int i = 0; i < CALL_REASONS; i++) CHECK_INT(rpc_counters(fake_rpc)->calls_closed[i], 0);
    stop(stream);
}

static void every_reason_has_a_name(void) {
    for (int i = 0; i < CALL_REASONS; i++) CHECK(call_reason_names[i] && *call_reason_names[i]);
    CHECK(!call_reason_names[CALL_REASONS]);
}

static void kinds_have_the_names_of_gRPC(void) {
    struct figures *all = tallies_new(1);
    struct method method = {.full_name = "a.B/C"};
    for (int i = 0; i < 4; i++) {
        method.is_client_streaming = i & 1;
        method.is_server_streaming = i & 2;
        counter_add(&tally_of_method(all, 0, &method)->started, 1);
    }
    counter_add(&tally_of_pattern(all, 0, "a.*")->started, 1);
    tallies = all;
    CHECK_STR(counted(), "unary a.B/C 1 0 0 0 0\nclient_stream a.B/C 1 0 0 0 0\nserver_stream a.B/C 1 0 0 0 0\n"
                         "bidi_stream a.B/C 1 0 0 0 0\nunknown a.*/unknown 1 0 0 0 0\n");
    figures_free(&tallies);
}

int main(void) {
    RUN(messages_of_a_stream_count_as_they_pass);
    RUN(a_sole_reply_counts_when_it_leaves);
    RUN(a_sole_reply_that_is_taken_back_never_counts);
    RUN(what_is_refused_counts_for_its_method_or_as_unknown);
    RUN(what_comes_from_another_worker_is_not_counted_again);
    RUN(every_reason_has_a_name);
    RUN(kinds_have_the_names_of_gRPC);
    return 0;
}
