/* http/frames.c - a look at each frame's header before nghttp2 has it: nghttp2 keeps to itself what it ignores. */
#include <string.h>

#include "http/session_private.h"

enum {
    HEADER = 9,
    NUMBER = 4, /* what PRIORITY and WINDOW_UPDATE begin with */
};
_Static_assert(sizeof((struct http_walk *)0)->head == HEADER + NUMBER, "the most that is looked at");

static uint32_t read_number(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static uint32_t payload_length(const uint8_t *head) { return read_number(head) >> 8; }

static bool has_number(const uint8_t *head) {
    uint8_t type = head[3];
    return (type == NGHTTP2_PRIORITY || type == NGHTTP2_WINDOW_UPDATE) && payload_length(head) >= NUMBER;
}

static bool is_enough(const uint8_t *head, size_t length) {
    return length >= HEADER && (length >= HEADER + NUMBER || !has_number(head));
}

/* How many bytes of the head it was. */
static size_t tell(struct http_session *session, const uint8_t *head) {
    const nghttp2_frame_hd frame = {.length = payload_length(head),
                                    .type = head[3],
                                    .flags = head[4],
                                    .stream_id = (int32_t)(read_number(head + 5) & INT32_MAX)};
    size_t taken = has_number(head) ? HEADER + NUMBER : HEADER;
    session->walk.payload_left = frame.length - (uint32_t)(taken - HEADER);
    http_guard_on_frame(session, &frame, taken > HEADER ? read_number(head + HEADER) & INT32_MAX : 0);
    return taken;
}

void http_frames_walk(struct http_session *session, const uint8_t *bytes, size_t length) {
    struct http_walk *walk = &session->walk;
    const uint8_t *end = bytes + length;
    while (http_session_is_alive(session)) {
        if (walk->payload_left >= (size_t)(end - bytes)) {
            walk->payload_left -= (uint32_t)(end - bytes);
            return;
        }
        bytes += walk->payload_left;
        walk->payload_left = 0;
        if (!walk->head_length && is_enough(bytes, (size_t)(end - bytes))) {
            bytes += tell(session, bytes);
            continue;
        }
        walk->head[walk->head_length++] = *bytes++; /* the end of a read has cut it */
        if (!is_enough(walk->head, walk->head_length)) continue;
        tell(session, walk->head);
        walk->head_length = 0;
    }
}
