/* door.h - calls of the dialects beside gRPC, for their tests: a schema with every kind of method, and one exchange. */
#ifndef TIDEWIRE_TESTS_RPC_DOOR_H
#define TIDEWIRE_TESTS_RPC_DOOR_H
#include "record.h"
#include "schema/schema.h"

static struct schema *door_schema;
static const struct call_limits door_limits = {.message = 1000, .buffered_per_stream = 100000};

/* tests/proto/doors.proto; once a program. */
static inline void door_load(void) {
    static const char *const paths[] = {"tests/proto", NULL}, *const files[] = {"doors.proto", NULL};
    struct error error;
    door_schema = schema_load((char *const *)paths, (char *const *)files, &error);
    if (!door_schema) check_failed(__FILE__, __LINE__, error.text);
}

static struct record door_record;
static struct http_session *door_session;

static inline void door_open(bool is_echo) {
    door_record = (struct record){.is_echo = is_echo};
    fake_start(NULL);
    router_set_schema(fake_router, door_schema);
    const struct service *service = schema_service(door_schema, "doors.Doors", 11);
    for (size_t i = 0; i < service->method_count; i++)
        router_add(fake_router, &service->methods[i], &record_handler, &door_record, &door_limits);
    door_session = fake_accept();
}

static inline void door_close(struct http_stream *stream) {
    fake_stop();
    fake_stream_free(stream);
    record_free(&door_record);
}

#define DOOR_BYTES(literal) literal, sizeof(literal) - 1

/* All that was answered. */
static inline void door_answered(struct http_stream *stream, const char *headers, const void *body, size_t length) {
    fake_turn();
    CHECK_STR(fake_text(&stream->headers), headers);
    CHECK_MEM(buffer_bytes(&stream->body), buffer_length(&stream->body), body, length);
    CHECK_STR(fake_text(&stream->trailers), "");
    CHECK(stream->is_finished && stream->is_closed);
}
#endif
