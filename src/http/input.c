/* http/input.c - bytes from the peer become the user's events.
 *
 * nghttp2 calls back once for each header field and each piece of a DATA frame. Fields are held by nghttp2's
 * own counted buffers until their block is whole: no allocation, no copy. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/session_private.h"

static bool is_heard(const struct http_stream *stream) {
    return stream && stream->user && !stream->is_reset && http_session_is_alive(stream->session);
}

void http_fields_clear(struct http_fields *fields) {
    for (size_t i = 0; i < fields->count * 2; i++) nghttp2_rcbuf_decref(fields->buffers[i]);
    fields->count = 0;
}

void http_fields_free(struct http_fields *fields) {
    http_fields_clear(fields);
    free(fields->headers);
    free(fields->buffers);
    *fields = (struct http_fields){0};
}

/* RFC 9113 has none around values, but gRPC's clients send what they are given, and its servers take it. */
static nghttp2_vec without_blanks(nghttp2_vec value) {
    while (value.len && (*value.base == ' ' || *value.base == '\t')) value.base++, value.len--;
    while (value.len && (value.base[value.len - 1] == ' ' || value.base[value.len - 1] == '\t')) value.len--;
    return value;
}

static void add_field(struct http_fields *fields, nghttp2_rcbuf *name, nghttp2_rcbuf *value, uint8_t flags) {
    if (fields->count == fields->capacity) {
        fields->capacity = fields->capacity ? fields->capacity * 2 : 64;
        fields->headers = memory_resize(fields->headers, fields->capacity * sizeof *fields->headers);
        fields->buffers = memory_resize(fields->buffers, fields->capacity * 2 * sizeof(nghttp2_rcbuf *));
    }
    nghttp2_vec n = nghttp2_rcbuf_get_buf(name), v = without_blanks(nghttp2_rcbuf_get_buf(value));
    nghttp2_rcbuf_incref(name);
    nghttp2_rcbuf_incref(value);
    fields->buffers[fields->count * 2] = name;
    fields->buffers[fields->count * 2 + 1] = value;
    fields->headers[fields->count++] = (struct http_header){.name = (const char *)n.base,
                                                            .name_length = n.len,
                                                            .value = (const char *)v.base,
                                                            .value_length = v.len,
                                                            .is_never_indexed = flags & NGHTTP2_NV_FLAG_NO_INDEX};
}

static void end_header_block(struct http_session *session) {
    http_fields_clear(&session->worker->fields);
    session->header_stream = 0;
    session->header_due = 0;
}

static int on_begin_headers(nghttp2_session *h2, const nghttp2_frame *frame, void *user_data) {
    struct http_session *session = user_data;
    (void)h2;
    end_header_block(session);
    session->header_stream = frame->hd.stream_id;
    session->header_bytes = 0;
    session->is_too_large = false;
    return 0;
}

/* Past the limit decoding goes on, because the compression state is the connection's, but nothing is kept; far past
 * it there is no answer either, as nghttp2 then decodes without looking at the fields: a byte may stand for a field
 * of 4 KiB. */
static int on_header(nghttp2_session *h2, const nghttp2_frame *frame, nghttp2_rcbuf *name,
                     nghttp2_rcbuf *value, uint8_t flags, void *user_data) {
    enum {
        FIELD_OVERHEAD = 32, /* RFC 9113 section 6.5.2 */
        FAR = 256 * 1024,    /* beyond the limit */
    };
    struct http_session *session = user_data;
    if (!session->header_stream) return 0;
    session->header_bytes +=
        nghttp2_rcbuf_get_buf(name).len + nghttp2_rcbuf_get_buf(value).len + FIELD_OVERHEAD;
    session->is_too_large = session->header_bytes > session->limits.headers;
    if (!session->is_too_large) add_field(&session->worker->fields, name, value, flags);
    if (session->header_bytes < session->limits.headers + FAR) return 0;
    end_header_block(session);
    nghttp2_submit_rst_stream(h2, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_ENHANCE_YOUR_CALM);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static bool is_head(const struct http_fields *fields) {
    for (size_t i = 0; i < fields->count && fields->headers[i].name[0] == ':'; i++) {
        const struct http_header *field = &fields->headers[i];
        if (http_header_is(field, ":method"))
            return field->value_length == 4 && memcmp(field->value, "HEAD", 4) == 0;
    }
    return false;
}

static void on_request(struct http_session *session, const nghttp2_frame *frame, bool is_end) {
    if (!http_session_is_alive(session)) return;
    const struct http_fields *fields = &session->worker->fields;
    struct http_stream *stream = http_stream_new(session, frame->hd.stream_id);
    stream->h2 = nghttp2_session_find_stream(session->h2, frame->hd.stream_id);
    stream->has_peer_ended = is_end;
    stream->is_head = is_head(fields);
    nghttp2_session_set_stream_user_data(session->h2, frame->hd.stream_id, stream);
    session->events->on_request(session, stream, fields->headers, fields->count, is_end,
                                session->is_too_large);
}

static bool is_informational(const struct http_fields *fields) {
    const struct http_header *status =
        fields->headers; /* nghttp2 lets no response without it through, nor elsewhere */
    return fields->count && http_header_is(status, ":status") && status->value_length == 3 && status->value[0] == '1';
}

static void on_response(struct http_session *session, struct http_stream *stream, bool is_end) {
    const struct http_fields *fields = &session->worker->fields;
    if (session->is_too_large) {
        http_stream_reset(stream, HTTP_INTERNAL_ERROR); /* as grpc-go's client does */
    } else if (!is_informational(fields)) {
        stream->is_answered = true;
        session->events->on_response(stream->user, fields->headers, fields->count, is_end);
    }
}

/* Half of what a peer says is worse than nothing. */
static void on_trailers(struct http_session *session, struct http_stream *stream) {
    const struct http_fields *fields = &session->worker->fields;
    if (session->is_too_large)
        http_stream_reset(stream, HTTP_INTERNAL_ERROR);
    else
        session->events->on_end(stream->user, fields->headers, fields->count);
}

static void on_header_block(struct http_session *session, const nghttp2_frame *frame) {
    bool is_end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        on_request(session, frame, is_end);
    } else {
        struct http_stream *stream = http_stream_find(session, frame->hd.stream_id);
        if (stream && is_end) stream->has_peer_ended = true;
        if (!is_heard(stream)) return;
        if (!session->is_server && !stream->is_answered)
            on_response(session, stream, is_end);
        else if (is_end)
            on_trailers(session, stream);
    }
}

static void on_settings(struct http_session *session, bool is_ack) {
    if (is_ack)
        session->awaits_settings_ack = false;
    else
        session->awaits_settings = false;
    if (!session->awaits_settings && !session->awaits_settings_ack) session->setup_due = 0;
    if (!is_ack) http_session_tell_room(session);
}

static void on_goaway(struct http_session *session, const nghttp2_goaway *frame) {
    enum { QUOTED = 100 };
    char text[QUOTED + 64];
    int length = frame->opaque_data_len < QUOTED ? (int)frame->opaque_data_len : QUOTED;
    snprintf(text, sizeof text, "GOAWAY from the peer: %s%s%.*s", nghttp2_http2_strerror(frame->error_code),
             length ? ", " : "", length, length ? (const char *)frame->opaque_data : "");
    http_session_set_reason(session, text, strlen(text));
    session->is_goaway_received = true;
    http_session_tell_room(session);
}

static int on_frame(nghttp2_session *h2, const nghttp2_frame *frame, void *user_data) {
    struct http_session *session = user_data;
    bool is_ack = frame->hd.flags & NGHTTP2_FLAG_ACK;
    (void)h2;
    switch (frame->hd.type) {
    case NGHTTP2_DATA:
        if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
            struct http_stream *stream = http_stream_find(session, frame->hd.stream_id);
            if (stream) stream->has_peer_ended = true;
            if (is_heard(stream)) session->events->on_end(stream->user, NULL, 0);
        }
        break;
    case NGHTTP2_HEADERS:
        on_header_block(session, frame);
        end_header_block(session);
        break;
    case NGHTTP2_SETTINGS:
        on_settings(session, is_ack);
        break;
    case NGHTTP2_PING:
        if (is_ack)
            http_goaway_on_ping_ack(session, frame->ping.opaque_data);
        else
            http_guard_on_ping(session, frame->ping.opaque_data);
        break;
    case NGHTTP2_RST_STREAM:
        http_guard_on_reset(session, http_stream_find(session, frame->hd.stream_id));
        break;
    case NGHTTP2_GOAWAY:
        on_goaway(session, &frame->goaway);
        break;
    default:
        break;
    }
    return 0;
}

static int on_invalid_frame(nghttp2_session *h2, const nghttp2_frame *frame, int error, void *user_data) {
    (void)h2;
    (void)error;
    if (frame->hd.type == NGHTTP2_HEADERS) end_header_block(user_data);
    return 0;
}

/* The peer goes on with a request whose answer, a short one, it has had in full. */
static bool is_in_vain(const struct http_stream *stream, uint8_t flags) {
    return stream && stream->is_whole && !(flags & NGHTTP2_FLAG_END_STREAM) &&
           nghttp2_session_get_stream_local_close(stream->session->h2, (int32_t)stream->id) == 1;
}

static int on_data(nghttp2_session *h2, uint8_t flags, int32_t id, const uint8_t *bytes, size_t length,
                   void *user_data) {
    struct http_session *session = user_data;
    (void)h2;
    session->withheld += length;
    session->guard.has_received_since_ping = true;
    struct http_stream *stream = http_stream_find(session, id);
    if (is_heard(stream))
        session->events->on_data(stream->user, bytes, length);
    else if (is_in_vain(stream, flags))
        http_stream_reset(stream, HTTP_NO_ERROR);
    return 0;
}

void http_input_set_callbacks(nghttp2_session_callbacks *callbacks) {
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback2(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
}

static void swap_fields(struct http_session *session) {
    struct http_fields fields = session->worker->fields;
    session->worker->fields = session->unfinished;
    session->unfinished = fields;
}

/* The fields of a block that this read left unfinished wait in the session: the worker's are for the next
 * one. */
static void keep_unfinished_block(struct http_session *session) {
    if (!session->header_stream) return;
    swap_fields(session);
    if (session->header_due || !session->limits.settings_timeout) return;
    session->header_due = loop_now(session->worker->loop) + session->limits.settings_timeout;
    http_deadlines_watch(session);
}

void http_input_forget_block(struct http_session *session, uint32_t id) {
    if ((uint32_t)session->header_stream != id) return;
    http_fields_clear(&session->unfinished);
    end_header_block(session);
}

void http_input_return_window(struct http_session *session) {
    if (session->is_window_closed || !session->withheld) return;
    nghttp2_session_consume_connection(session->h2, session->withheld);
    session->withheld = 0;
}

void http_input_bytes(struct http_session *session, const uint8_t *bytes, size_t length) {
    http_frames_walk(session, bytes, length);
    if (!http_session_is_alive(session)) return;
    if (session->header_stream) swap_fields(session);
    ssize_t taken = nghttp2_session_mem_recv(session->h2, bytes, length);
    keep_unfinished_block(session);
    session->events->after_read(session);
    if (taken < 0) {
        http_session_fail(session, (int)taken);
        return;
    }
    http_input_return_window(session);
    http_output_hold_reading(session);
    http_session_mark(session);
}
