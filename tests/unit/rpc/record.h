/* record.h - a handler that writes down what it is told, for the tests of rpc/. */
#ifndef TIDEWIRE_TESTS_RPC_RECORD_H
#define TIDEWIRE_TESTS_RPC_RECORD_H
#include "fake.h"

struct record {
    struct call *call; /* NULL before on_open and after on_close */
    char events[4096]; /* "open readable end close " */
    struct buffer received; /* messages, framed without compression */
    size_t messages;
    bool is_many;  /* several calls share it; it follows the one that was told last */
    bool is_idle;  /* takes nothing by itself */
    bool is_echo;  /* sends back what it takes, and finishes at the end */
    size_t owned;  /* messages that came with an owner */
    enum status status;
    char text[512];
    int closed;
};

/* Calls of the server find theirs by the route. */
static inline struct record *record_of(struct call *call) { return call->data; }

static inline void record_event(struct record *record, const char *event) {
    if (record->is_many) return;
    CHECK(strlen(record->events) + strlen(event) + 2 < sizeof record->events);
    strcat(strcat(record->events, event), " ");
}

static inline enum call_next record_take(struct record *record) {
    struct call_message message;
    enum call_next next = call_receive(record->call, &message);
    if (next == CALL_END) record_event(record, "end");
    if (next != CALL_MESSAGE) return next;
    fake_frame(&record->received, message.data, message.length, 0);
    record->messages++;
    if (message.owner) {
        record->owned++;
        CHECK(message.owner->data == message.data && message.owner->length == message.length);
    }
    if (record->is_echo) call_send_bytes(record->call, message.data, message.length);
    return CALL_MESSAGE;
}

static inline void record_open(struct call *call) {
    struct record *record = record_of(call);
    CHECK(record->is_many || !record->call);
    record->call = call;
    record_event(record, "open");
}
static inline void record_readable(struct call *call) {
    struct record *record = record_of(call);
    CHECK(record->is_many || record->call == call);
    record->call = call;
    record_event(record, "readable");
    enum call_next next = CALL_EMPTY;
    while (!record->is_idle && (next = record_take(record)) == CALL_MESSAGE) {
    }
    if (next == CALL_END && record->is_echo) call_finish(call, STATUS_OK, NULL, NULL, 0);
}
static inline void record_writable(struct call *call) { record_event(record_of(call), "writable"); }
static inline void record_headers(struct call *call) { record_event(record_of(call), "headers"); }
static inline void record_drain(struct call *call) { record_event(record_of(call), "drain"); }
static inline void record_close(struct call *call, enum status status, const char *text) {
    struct record *record = record_of(call);
    record_event(record, "close");
    record->call = NULL;
    record->status = status;
    record->closed++;
    snprintf(record->text, sizeof record->text, "%s", text);
}

static const struct call_handler record_handler = {
    .on_open = record_open,
    .on_readable = record_readable,
    .on_writable = record_writable,
    .on_headers = record_headers,
    .on_drain = record_drain,
    .on_close = record_close,
};

static const struct method record_unary = {.full_name = "test.Service/Unary"};
static const struct method record_stream = {
    .full_name = "test.Service/Stream", .is_client_streaming = true, .is_server_streaming = true};
static const struct call_limits record_limits = {.message = 100000, .buffered_per_stream = 10000};

/* Every call of the two methods goes to this record. */
static inline void record_serve(struct record *record) {
    router_add(fake_router, &record_unary, &record_handler, record, &record_limits);
    router_add(fake_router, &record_stream, &record_handler, record, &record_limits);
}
static inline void record_free(struct record *record) {
    buffer_free(&record->received);
    *record = (struct record){0};
}
#endif
