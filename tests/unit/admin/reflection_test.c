/* Server reflection on a wire that the test moves, over types of tests/proto. */
#include "admin/reflection.h"

#include "admin_kit.h"
#include "schema/schema.h"

enum { ASK_FILE = 3, ASK_SYMBOL, ASK_EXTENSION, ASK_EXTENSION_NUMBERS, ASK_SERVICES };
#define PATH "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
#define LIST(...) ((char *const *)(const char *const[]){__VA_ARGS__, NULL})
#define TEXT(text) text, sizeof text - 1

static struct schema *schema;
static struct http_session *session;
static struct http_stream *stream;
static struct buffer answer;

static void start(void) {
    struct error error;
    fake_start(NULL);
    schema = schema_load(LIST("tests/proto", "proto"), LIST("proto2_types.proto", "chat.proto"), &error);
    CHECK(schema);
    reflection_add_routes(fake_router, schema);
    session = fake_accept();
    stream = fake_request(session, PATH, false, NULL);
}

static void stop(void) {
    fake_stop();
    fake_stream_free(stream);
    schema_unref(&schema);
    buffer_free(&answer);
}

static void ask_bytes(uint32_t number, const void *bytes, size_t length) {
    struct buffer request = {0}, framed = {0};
    kit_field(&request, number, bytes, length);
    fake_frame(&framed, buffer_bytes(&request), buffer_length(&request), 0);
    fake_receive(stream, buffer_bytes(&framed), buffer_length(&framed), false);
    buffer_free(&request);
    buffer_free(&framed);
}

/* The answer stands in `answer`. */
static void ask(uint32_t number, const void *bytes, size_t length) {
    ask_bytes(number, bytes, length);
    CHECK(kit_next(stream, &answer));
}

static void ask_extension(const char *type, uint32_t extension) {
    struct buffer body = {0};
    kit_field(&body, 1, type, strlen(type));
    wire_write_tag(&body, 2, WIRE_VARINT);
    wire_write_varint(&body, extension);
    ask(ASK_EXTENSION, buffer_bytes(&body), buffer_length(&body));
    buffer_free(&body);
}

/* error_response: NOT_FOUND, in field 7. */
static bool is_not_found(void) { return kit_contains(&answer, "\x08\x05\x12") && kit_contains(&answer, "not found: "); }

static void an_extension_is_found_in_its_file(void) {
    start();
    ask_extension("tidewire.test2.Extendable", 100);
    CHECK(kit_contains(&answer, "\x0a\x12proto2_types.proto"));
    CHECK(kit_contains(&answer, "extension_number"));
    ask_extension("tidewire.test2.Extendable", 101); /* within a message */
    CHECK(kit_contains(&answer, "\x0a\x12proto2_types.proto"));
    ask_extension("tidewire.test2.Extendable", 102);
    CHECK(is_not_found());
    ask_extension("tidewire.test2.Extendible", 100);
    CHECK(is_not_found());
    stop();
}

static void all_extension_numbers_are_listed(void) {
    start();
    ask(ASK_EXTENSION_NUMBERS, TEXT("tidewire.test2.Extendable"));
    CHECK(kit_contains(&answer, "\x0a\x19tidewire.test2.Extendable\x12\x04\x64\x65\xdc\x0b")); /* 100, 101, 1500 */
    ask(ASK_EXTENSION_NUMBERS, TEXT("tidewire.test2.ExtensionScope"));
    CHECK(kit_contains(&answer, "\x0a\x1dtidewire.test2.ExtensionScope\x12"));
    CHECK(!is_not_found());
    ask(ASK_EXTENSION_NUMBERS, TEXT("grpc.reflection.v1.ExtensionRequest"));
    CHECK(!is_not_found());
    ask(ASK_EXTENSION_NUMBERS, TEXT("tidewire.test2.Nope"));
    CHECK(is_not_found());
    stop();
}

static void a_name_with_a_nul_is_nothings(void) {
    start();
    ask(ASK_SYMBOL, TEXT("chat.ChatService\0x"));
    CHECK(is_not_found());
    ask(ASK_FILE, TEXT("chat.proto\0"));
    CHECK(is_not_found());
    ask(ASK_EXTENSION_NUMBERS, TEXT("tidewire.test2.Extendable\0"));
    CHECK(is_not_found());
    ask(ASK_SYMBOL, TEXT("chat.ChatService"));
    CHECK(!is_not_found());
    CHECK(kit_contains(&answer, "\x0a\nchat.proto"));
    stop();
}

static void only_services_that_are_answered_are_listed(void) {
    start();
    ask(ASK_SERVICES, TEXT("*"));
    CHECK(kit_contains(&answer, "grpc.reflection.v1.ServerReflection"));
    CHECK(!kit_contains(&answer, "grpc.health.v1.Health"));
    CHECK(!kit_contains(&answer, "chat.ChatService"));
    stop();
}

/* Requests of a client that does not read wait unanswered, and the window closes behind them. */
static void answers_that_nobody_reads_stop_the_questions(void) {
    enum { QUESTIONS = 2000 };
    size_t answered = 0;
    start();
    stream->window = 0;
    for (int i = 0; i < QUESTIONS; i++) ask_bytes(ASK_FILE, TEXT("proto2_types.proto"));
    CHECK(rpc_counters(fake_rpc)->buffered < 2 << 20);
    CHECK(stream->consumed < QUESTIONS * 25);
    stream->window = SIZE_MAX;
    for (bool found = true; found;) {
        fake_turn();
        found = kit_next(stream, &answer);
        answered += found;
    }
    CHECK_INT(answered, QUESTIONS);
    CHECK_INT(stream->consumed, QUESTIONS * 25);
    stop();
}

static void a_drain_ends_the_stream(void) {
    start();
    ask(ASK_SERVICES, TEXT(""));
    CHECK_INT(kit_status(stream), -1);
    rpc_drain(fake_rpc);
    fake_turn();
    CHECK_INT(kit_status(stream), STATUS_UNAVAILABLE);
    stop();
}

static void what_is_no_question_ends_the_stream(void) {
    start();
    ask_bytes(ASK_EXTENSION, TEXT("\x0a\x7fshort"));
    CHECK_INT(kit_status(stream), STATUS_INVALID_ARGUMENT);
    stop();
    start();
    ask_bytes(1, TEXT("host"));
    CHECK_INT(kit_status(stream), STATUS_INVALID_ARGUMENT);
    stop();
}

int main(void) {
    RUN(an_extension_is_found_in_its_file);
    RUN(all_extension_numbers_are_listed);
    RUN(a_name_with_a_nul_is_nothings);
    RUN(only_services_that_are_answered_are_listed);
    RUN(answers_that_nobody_reads_stop_the_questions);
    RUN(a_drain_ends_the_stream);
    RUN(what_is_no_question_ends_the_stream);
    return 0;
}
