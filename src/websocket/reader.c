/* websocket/reader.c - see reader.h */
#include "websocket/reader.h"

#include <stdlib.h>
#include <string.h>
#include <wslay/wslay.h>

#include "base/memory.h"
#include "websocket/utf8.h"

enum { CONTROL_MOST = 125 /* RFC 6455 section 5.5 */ };

struct websocket_reader {
    wslay_frame_context_ptr frames;
    const struct websocket_events *events;
    void *context;
    const uint8_t *input; /* of the websocket_read() that runs */
    size_t left;
    uint64_t frame_left; /* payload of the frame that has begun */
    struct utf8 utf8;
    const char *fault;
    int fault_code;
    bool may_compress;
    bool is_stopped;
    bool is_in_frame, is_in_message, is_text, is_compressed;
    uint8_t control_length;
    uint8_t control[CONTROL_MOST];
};

static ssize_t receive(uint8_t *to, size_t room, int flags, void *user) {
    struct websocket_reader *reader = user;
    (void)flags;
    size_t step = room < reader->left ? room : reader->left;
    if (!step) return -1;
    memcpy(to, reader->input, step);
    reader->input += step;
    reader->left -= step;
    return (ssize_t)step;
}

struct websocket_reader *websocket_reader_new(const struct websocket_events *events, void *context,
                                              bool may_compress) {
    static const struct wslay_frame_callbacks callbacks = {.recv_callback = receive};
    struct websocket_reader *reader = memory_new(sizeof *reader);
    reader->events = events;
    reader->context = context;
    reader->may_compress = may_compress;
    if (wslay_frame_context_init(&reader->frames, &callbacks, reader) != 0) abort(); /* no memory */
    return reader;
}

void websocket_reader_free(struct websocket_reader **handle) {
    struct websocket_reader *reader = *handle;
    *handle = NULL;
    if (!reader) return;
    wslay_frame_context_free(reader->frames);
    free(reader);
}

void websocket_reader_stop(struct websocket_reader *reader) { reader->is_stopped = true; }

/* ---- faults ---- */

static void fail(struct websocket_reader *reader, int code, const char *text) {
    reader->fault_code = code;
    reader->fault = text;
}

static const char *fault_of_head(const struct websocket_reader *reader, const struct wslay_frame_iocb *frame) {
    bool is_control = wslay_is_ctrl_frame(frame->opcode);
    bool is_first = frame->opcode == WSLAY_TEXT_FRAME || frame->opcode == WSLAY_BINARY_FRAME;
    bool may_be_compressed = reader->may_compress && is_first;
    if (!frame->mask) return "a frame is not masked";
    if (frame->rsv & ~(may_be_compressed ? WSLAY_RSV1_BIT : 0)) return "a frame has a reserved bit";
    if (is_control && frame->opcode > WSLAY_PONG) return "a frame has a reserved opcode";
    if (!is_control && !is_first && frame->opcode != WSLAY_CONTINUATION_FRAME) return "a frame has a reserved opcode";
    if (is_first && reader->is_in_message) return "a message begins within another";
    if (frame->opcode == WSLAY_CONTINUATION_FRAME && !reader->is_in_message) return "a message goes on that has not begun";
    return NULL;
}

/* ---- a close ---- */

/* Section 7.4.2, and the codes that were registered since. */
static bool may_be_sent(int code) {
    if (code >= 3000 && code <= 4999) return true;
    return code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006;
}

static void take_close(struct websocket_reader *reader) {
    const uint8_t *payload = reader->control;
    size_t length = reader->control_length;
    struct utf8 utf8 = {0};
    if (!length) {
        reader->is_stopped = true;
        reader->events->on_close(reader->context, WEBSOCKET_NO_STATUS, "", 0);
        return;
    }
    int code = length >= 2 ? payload[0] << 8 | payload[1] : 0;
    if (!may_be_sent(code)) {
        fail(reader, WEBSOCKET_PROTOCOL_ERROR, "a close has no code that may be sent");
    } else if (!utf8_check(&utf8, payload + 2, length - 2) || !utf8_is_whole(&utf8)) {
        fail(reader, WEBSOCKET_BAD_DATA, "the reason of a close is no UTF-8");
    } else {
        reader->is_stopped = true;
        reader->events->on_close(reader->context, code, (const char *)payload + 2, length - 2);
    }
}

/* ---- frames ---- */

static void end_control(struct websocket_reader *reader, uint8_t opcode) {
    if (opcode == WSLAY_PING) reader->events->on_ping(reader->context, reader->control, reader->control_length);
    else if (opcode == WSLAY_PONG) reader->events->on_pong(reader->context);
    else take_close(reader);
}

static void begin_frame(struct websocket_reader *reader, const struct wslay_frame_iocb *frame) {
    const char *fault = fault_of_head(reader, frame);
    reader->is_in_frame = true;
    reader->frame_left = frame->payload_length;
    if (fault) {
        fail(reader, WEBSOCKET_PROTOCOL_ERROR, fault);
    } else if (wslay_is_ctrl_frame(frame->opcode)) {
        reader->control_length = 0;
    } else if (!reader->is_in_message) {
        reader->is_in_message = true;
        reader->is_text = frame->opcode == WSLAY_TEXT_FRAME;
        reader->is_compressed = frame->rsv & WSLAY_RSV1_BIT;
        reader->utf8 = (struct utf8){0};
        reader->events->on_begin(reader->context, reader->is_text, reader->is_compressed);
    }
}

static bool is_checked(const struct websocket_reader *reader) { return reader->is_text && !reader->is_compressed; }

static void take_payload(struct websocket_reader *reader, const struct wslay_frame_iocb *frame) {
    reader->frame_left -= frame->data_length;
    if (wslay_is_ctrl_frame(frame->opcode)) {
        memcpy(reader->control + reader->control_length, frame->data, frame->data_length);
        reader->control_length = (uint8_t)(reader->control_length + frame->data_length);
    } else if (is_checked(reader) && !utf8_check(&reader->utf8, frame->data, frame->data_length)) {
        fail(reader, WEBSOCKET_BAD_DATA, "a text is no UTF-8");
    } else if (frame->data_length) {
        reader->events->on_payload(reader->context, frame->data, frame->data_length);
    }
}

static void end_frame(struct websocket_reader *reader, const struct wslay_frame_iocb *frame) {
    reader->is_in_frame = false;
    if (wslay_is_ctrl_frame(frame->opcode)) {
        end_control(reader, frame->opcode);
    } else if (frame->fin) {
        reader->is_in_message = false;
        if (is_checked(reader) && !utf8_is_whole(&reader->utf8))
            fail(reader, WEBSOCKET_BAD_DATA, "a text ends inside of a character");
        else
            reader->events->on_end(reader->context);
    }
}

static bool goes_on(const struct websocket_reader *reader) { return !reader->is_stopped && !reader->fault; }

static void take_frame(struct websocket_reader *reader, const struct wslay_frame_iocb *frame) {
    if (!reader->is_in_frame) begin_frame(reader, frame);
    if (goes_on(reader)) take_payload(reader, frame);
    if (goes_on(reader) && !reader->frame_left) end_frame(reader, frame);
}

bool websocket_read(struct websocket_reader *reader, const uint8_t *bytes, size_t length, int *code,
                    const char **text) {
    reader->input = bytes;
    reader->left = length;
    while (goes_on(reader)) {
        struct wslay_frame_iocb frame = {0};
        ssize_t taken = wslay_frame_recv(reader->frames, &frame);
        if (taken == WSLAY_ERR_WANT_READ) break;
        if (taken < 0) fail(reader, WEBSOCKET_PROTOCOL_ERROR, "the head of a frame is malformed");
        else take_frame(reader, &frame);
    }
    reader->input = NULL;
    reader->left = 0;
    *code = reader->fault_code;
    *text = reader->fault;
    return !reader->fault;
}
