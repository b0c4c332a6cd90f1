/* http/output.c - frames and bodies become one gathered write.
 *
 * nghttp2 is asked for frames only while the socket takes them: at most one output's worth of a session's
 * bytes exists outside of the user's queues, and what the connection has kept of it must leave before more is
 * pulled. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/message.h"
#include "http/session_private.h"

enum {
    FRAME_HEADER = 9,
    LARGEST_FRAME = FRAME_HEADER + 16384, /* but for bodies, which are cut to what fits */
    MOST_ROUNDS = 4,            /* outputs that one session may fill in a turn; the others want theirs */
    MOST_CONTROL_WAITING = 200, /* frames that nghttp2 may queue while the socket is blocked */
};

void http_output_init(struct http_output *output) {
    *output = (struct http_output){.scratch = memory_resize(NULL, OUTPUT_SCRATCH)};
}

void http_output_free(struct http_output *output) {
    http_output_clear(output);
    free(output->scratch);
    output->scratch = NULL;
}

void http_output_clear(struct http_output *output) {
    for (int i = 0; i < output->kept_count; i++) message_unref(&output->kept[i]);
    output->used = output->total = 0;
    output->count = output->kept_count = 0;
}

size_t http_output_room(const struct http_output *output) { return OUTPUT_SCRATCH - output->total; }

void http_output_copy(struct http_output *output, const void *bytes, size_t length) {
    if (!length) return;
    assert(output->used + length <= OUTPUT_SCRATCH);
    uint8_t *place = output->scratch + output->used;
    memcpy(place, bytes, length);
    output->used += length;
    output->total += length;
    struct iovec *last = output->count ? &output->pieces[output->count - 1] : NULL;
    if (last && (uint8_t *)last->iov_base + last->iov_len == place)
        last->iov_len += length;
    else
        output->pieces[output->count++] = (struct iovec){.iov_base = place, .iov_len = length};
}

void http_output_reference(struct http_output *output, const void *bytes, size_t length,
                           struct message *keep) {
    /* The last piece is left for copies: one is enough for any number of them. */
    if (!length || output->count >= OUTPUT_PIECES - 1) {
        http_output_copy(output, bytes, length);
        return;
    }
    output->pieces[output->count++] = (struct iovec){.iov_base = (void *)bytes, .iov_len = length};
    output->kept[output->kept_count++] = message_ref(keep);
    output->total += length;
}

/* The output has room for what read_length() allowed. When it has none for another frame, nghttp2 stops here, before
 * it asks for the next body: a frame that it held back would count on bytes that a call which ends drops. */
static int send_data(nghttp2_session *h2, nghttp2_frame *frame, const uint8_t *frame_header, size_t length,
                     nghttp2_data_source *source, void *user_data) {
    struct http_session *session = user_data;
    struct http_stream *stream = source->ptr;
    struct http_output *output = &session->worker->output;
    (void)h2;
    (void)frame;
    http_output_copy(output, frame_header, FRAME_HEADER);
    if (length) {
        size_t before = output->total;
        session->events->body_give(stream->user, length, output);
        assert(output->total - before == length);
        (void)before;
        session->guard.has_sent_since_ping = true;
        session->last_given = loop_now(session->worker->loop);
        if (session->guard.window_updates < UINT32_MAX / 2) session->guard.window_updates += 2;
    }
    output->was_full = http_output_room(output) < LARGEST_FRAME;
    return output->was_full ? NGHTTP2_ERR_PAUSE : 0;
}

/* A server that has said everything lets the peer stop its upload (RFC 9113 section 8.1); who has asked for no
 * more than a text is left to end its request, as long as it sends nothing else. What a stream was upgraded to has last
 * words of its own, from both sides. */
static void end_early(struct http_session *session, int32_t id) {
    if (!session->is_server || nghttp2_session_get_stream_remote_close(session->h2, id) != 0) return;
    struct http_stream *stream = http_stream_find(session, id);
    if (stream && !stream->is_whole && !stream->is_upgraded) http_stream_reset(stream, HTTP_NO_ERROR);
}

/* nghttp2 says there what it has found wrong. */
static void note_goaway(struct http_session *session, const nghttp2_goaway *frame) {
    if (frame->error_code == NGHTTP2_NO_ERROR) return;
    session->close_error = (enum http_error)frame->error_code;
    if (frame->opaque_data_len) {
        http_session_set_reason(session, (const char *)frame->opaque_data, frame->opaque_data_len);
    } else {
        const char *name = nghttp2_http2_strerror(frame->error_code);
        http_session_set_reason(session, name, strlen(name));
    }
}

static int on_frame_send(nghttp2_session *h2, const nghttp2_frame *frame, void *user_data) {
    struct http_session *session = user_data;
    (void)h2;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        session->guard.has_sent_since_ping = true;
        /* fall through */
    case NGHTTP2_DATA:
        if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) end_early(session, frame->hd.stream_id);
        break;
    case NGHTTP2_RST_STREAM: {
        struct http_stream *stream = http_stream_find(session, frame->hd.stream_id);
        if (!stream || !stream->is_reset) http_guard_on_own_reset(session, frame->rst_stream.error_code);
        if (stream) stream->was_reset_here = true;
        break;
    }
    case NGHTTP2_GOAWAY:
        note_goaway(session, &frame->goaway);
        http_goaway_on_sent(session);
        break;
    default:
        break;
    }
    return 0;
}

/* Headers that don't fit into a block, or for a stream that is just closing. nghttp2 closes the stream of a request that
 * stays here by itself: the peer must not be told of a stream that it does not know. */
static int on_frame_not_send(nghttp2_session *h2, const nghttp2_frame *frame, int error, void *user_data) {
    struct http_session *session = user_data;
    (void)h2;
    if (frame->hd.type != NGHTTP2_HEADERS || error == NGHTTP2_ERR_STREAM_CLOSED ||
        error == NGHTTP2_ERR_STREAM_CLOSING)
        return 0;
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) return 0;
    struct http_stream *stream = http_stream_find(session, frame->hd.stream_id);
    if (stream) http_stream_reset(stream, HTTP_INTERNAL_ERROR);
    return 0;
}

/* nghttp2 sizes its buffer by the answer, so large frames are asked for only where there is a large body. */
static ssize_t read_length(nghttp2_session *h2, uint8_t type, int32_t id, int32_t session_window,
                           int32_t stream_window, uint32_t largest_frame, void *user_data) {
    enum { USUAL = 16384, MOST = 64 * 1024 };
    struct http_session *session = user_data;
    (void)h2;
    (void)type;
    (void)session_window;
    (void)stream_window;
    if (largest_frame <= USUAL) return USUAL;
    struct http_stream *stream = http_stream_find(session, id);
    size_t ready = stream && stream->user ? session->events->body_ready(stream->user) : 0;
    size_t room = http_output_room(&session->worker->output) - FRAME_HEADER;
    if (ready > MOST) ready = MOST;
    if (ready > room) ready = room;
    if (ready <= USUAL) return USUAL;
    return ready < largest_frame ? (ssize_t)ready : (ssize_t)largest_frame;
}

void http_output_set_callbacks(nghttp2_session_callbacks *callbacks) {
    nghttp2_session_callbacks_set_send_data_callback(callbacks, send_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, on_frame_not_send);
    nghttp2_session_callbacks_set_data_source_read_length_callback(callbacks, read_length);
}

/* Pulls frames until there are none (true: there may be more) or the output is full. A negative *error ends
 * it. */
static bool fill(struct http_session *session, struct http_output *output, int *error) {
    output->was_full = false;
    while (http_output_room(output) >= LARGEST_FRAME) {
        const uint8_t *bytes;
        ssize_t length = nghttp2_session_mem_send(session->h2, &bytes);
        if (length <= 0) {
            *error = (int)length;
            return output->was_full;
        }
        http_output_copy(output, bytes, (size_t)length);
    }
    return true;
}

/* Writes what there is. True when the session has more and the socket would take it. */
static bool write_some(struct http_session *session, int *error) {
    struct http_output *output = &session->worker->output;
    bool has_more = fill(session, output, error);
    if (!output->count) return false;
    size_t kept = connection_write(session->connection, output->pieces, output->count);
    http_output_clear(output);
    if (kept) http_deadlines_on_blocked(session);
    return has_more && !kept;
}

/* A peer that sends what must be answered and takes no answers is not read from. */
void http_output_hold_reading(struct http_session *session) {
    bool is_blocked = connection_kept(session->connection) > 0 &&
                      nghttp2_session_get_outbound_queue_size(session->h2) > MOST_CONTROL_WAITING;
    if (is_blocked == session->is_paused) return;
    session->is_paused = is_blocked;
    if (is_blocked)
        connection_pause(session->connection);
    else
        connection_resume(session->connection);
}

static bool is_over(struct http_session *session) {
    if (session->phase == HTTP_CLOSING) return true;
    return !nghttp2_session_want_read(session->h2) && !nghttp2_session_want_write(session->h2);
}

void http_output_flush(struct http_session *session) {
    if (session->phase == HTTP_CLOSING && !session->is_ready) {
        http_session_cut(session, NULL);
        return;
    }
    if (session->phase != HTTP_OPEN && session->phase != HTTP_CLOSING) return;
    /* A client of HTTP/1 that has asked nothing yet would take a GOAWAY for an answer. */
    if (session->is_server && !session->is_read_as_h2) {
        http_session_finish_closing(session);
        return;
    }
    int error = 0;
    if (session->phase == HTTP_CLOSING) {
        /* No bodies any more, so what remains is small: all of it, blocked or not. */
        while (write_some(session, &error)) {
        }
    } else if (!connection_kept(session->connection)) {
        int rounds = 0;
        while (write_some(session, &error) && ++rounds < MOST_ROUNDS) {
        }
        if (rounds == MOST_ROUNDS) http_session_mark(session);
        http_output_hold_reading(session);
    }
    if (error)
        http_session_fail(session, error);
    else if (is_over(session))
        http_session_finish_closing(session);
    else if (session->is_draining && !session->is_server && !session->stream_count)
        http_session_close(session, HTTP_NO_ERROR, session->drain_text);
}
