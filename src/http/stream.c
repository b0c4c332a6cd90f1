/* http/stream.c - what the user does with a stream of HTTP/2. Everything is queued here and leaves with the next flush.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/session_private.h"

/* One allocation: the fields, then their bytes. */
struct http_trailers {
    size_t count;
    struct http_header fields[];
};

static struct http_trailers *copy_trailers(struct http_memory *memory, const struct http_header *fields,
                                           size_t count) {
    size_t size = sizeof(struct http_trailers) + count * sizeof *fields;
    for (size_t i = 0; i < count; i++) size += fields[i].name_length + fields[i].value_length;
    struct http_trailers *trailers = http_memory_take(memory, size);
    trailers->count = count;
    char *place = (char *)(trailers->fields + count);
    for (size_t i = 0; i < count; i++) {
        struct http_header *copy = &trailers->fields[i];
        *copy = fields[i];
        copy->name = place;
        place = mempcpy(place, fields[i].name, fields[i].name_length);
        copy->value = place;
        place = mempcpy(place, fields[i].value, fields[i].value_length);
    }
    return trailers;
}

/* nghttp2's form of the fields, in scratch that the next call reuses; nghttp2 copies the bytes. One more fits. */
static nghttp2_nv *to_names_values(struct http_worker *worker, const struct http_header *headers, size_t count) {
    if (worker->names_values_capacity <= count) {
        worker->names_values_capacity = count + 32;
        worker->names_values =
            memory_resize(worker->names_values, worker->names_values_capacity * sizeof(nghttp2_nv));
    }
    for (size_t i = 0; i < count; i++)
        worker->names_values[i] = (nghttp2_nv){
            .name = (uint8_t *)headers[i].name,
            .namelen = headers[i].name_length,
            .value = (uint8_t *)headers[i].value,
            .valuelen = headers[i].value_length,
            .flags = headers[i].is_never_indexed ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE,
        };
    return worker->names_values;
}

struct http_stream *http_stream_find(struct http_session *session, int32_t id) {
    if (session->recent && session->recent->id == (uint32_t)id) return session->recent;
    struct http_stream *stream = nghttp2_session_get_stream_user_data(session->h2, id);
    if (stream) session->recent = stream;
    return stream;
}

struct http_stream *http_stream_new(struct http_session *session, int32_t id) {
    struct http_stream *stream = pool_take(&session->worker->streams);
    stream->session = session;
    stream->id = (uint32_t)id;
    list_append(&session->streams, &stream->node);
    session->stream_count++;
    session->idle_since = 0;
    return stream;
}

void http_stream_approach(const struct http_stream *stream, int step) {
    enum { SIZE = 232 }; /* of nghttp2's, about */
    if (step == 0) memory_prefetch(stream, sizeof *stream);
    else if (stream->h2) memory_prefetch(stream->h2, SIZE);
}

static void drop_text(struct http_stream *stream) {
    struct http_text *text = stream->text;
    if (text && text->loan.release) text->loan.release(text->loan.owner);
    http_memory_give(stream->session->memory, text);
}

static void release(struct http_stream *stream) {
    struct http_session *session = stream->session;
    list_remove(&stream->node);
    if (session->recent == stream) session->recent = NULL;
    session->stream_count--;
    http_memory_give(session->memory, stream->trailers);
    drop_text(stream);
    pool_give(&session->worker->streams, stream);
}

void http_stream_closed(struct http_stream *stream, uint32_t error, bool is_connection) {
    struct http_session *session = stream->session;
    stream->is_reset = true; /* whatever the user still asks of it is nothing */
    http_input_forget_block(session, stream->id);
    if (stream->has_peer_ended) http_guard_on_ended(session, (int32_t)stream->id);
    if (stream->user) session->events->on_close(stream->user, error, is_connection);
    release(stream);
    if (!session->stream_count && session->limits.idle && http_session_is_alive(session)) {
        session->idle_since = loop_now(session->worker->loop);
        http_deadlines_watch(session);
    }
    http_session_tell_room(session);
}

static void submit_trailers(struct http_stream *stream, const struct http_header *fields, size_t count) {
    struct http_session *session = stream->session;
    nghttp2_submit_trailer(session->h2, (int32_t)stream->id, to_names_values(session->worker, fields, count), count);
    stream->has_trailed = true;
}

static size_t body_ready(const struct http_stream *stream) {
    return stream->user ? stream->session->events->body_ready(stream->user) : 0;
}

static ssize_t read_body(nghttp2_session *h2, int32_t id, uint8_t *bytes, size_t length, uint32_t *flags,
                         nghttp2_data_source *source, void *user_data) {
    struct http_session *session = user_data;
    struct http_stream *stream = source->ptr;
    (void)h2;
    (void)id;
    (void)bytes;
    if (stream->is_reset || stream->has_trailed || !http_session_is_alive(session)) return NGHTTP2_ERR_DEFERRED;
    size_t ready = body_ready(stream);
    if (ready > length) {
        ready = length;
    } else if (stream->is_finished) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (stream->trailers) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            submit_trailers(stream, stream->trailers->fields, stream->trailers->count);
        }
    } else if (!ready) {
        stream->is_deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    } else { /* for now; so nghttp2 keeps nothing for a body that waits */
        *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
        stream->is_drained = true;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    return (ssize_t)ready;
}

bool http_session_is_closing(const struct http_session *session) {
    return session->is_draining || session->is_goaway_received || !http_session_is_alive(session) ||
           !nghttp2_session_check_request_allowed(session->h2);
}

bool http_session_is_set_up(const struct http_session *session) { return !session->awaits_settings; }

static uint32_t peers_limit(const struct http_session *session) {
    return nghttp2_session_get_remote_settings(session->h2, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

uint32_t http_session_room(const struct http_session *session) {
    if (session->awaits_settings || http_session_is_closing(session)) return 0;
    uint32_t most = peers_limit(session);
    return session->stream_count < most ? most - (uint32_t)session->stream_count : 0;
}

void http_session_tell_room(struct http_session *session) {
    if (!session->is_server && session->events->on_room && session->phase != HTTP_GONE)
        session->events->on_room(session);
}

struct http_stream *http_session_open(struct http_session *session, const struct http_header *headers,
                                      size_t count, bool has_body, void *user) {
    if (session->is_server || http_session_is_closing(session) || session->stream_count >= peers_limit(session))
        return NULL;
    struct http_stream *stream = http_stream_new(session, 0);
    nghttp2_data_provider body = {.source.ptr = stream, .read_callback = read_body};
    int32_t id = nghttp2_submit_request(session->h2, NULL, to_names_values(session->worker, headers, count),
                                        count, has_body ? &body : NULL, stream);
    if (id < 0) { /* ids are used up */
        release(stream);
        return NULL;
    }
    stream->id = (uint32_t)id;
    stream->user = user;
    stream->has_body = has_body;
    stream->is_finished = !has_body;
    http_session_mark(session);
    return stream;
}

static void respond_with(struct http_stream *stream, const nghttp2_nv *fields, size_t count,
                         nghttp2_data_source_read_callback read) {
    struct http_session *session = stream->session;
    nghttp2_data_provider body = {.source.ptr = stream, .read_callback = read};
    nghttp2_submit_response(session->h2, (int32_t)stream->id, fields, count, read ? &body : NULL);
    stream->is_answered = true;
    stream->has_body = read != NULL;
    stream->is_finished |= !read;
    http_session_mark(session);
}

static bool may_respond(const struct http_stream *stream) {
    return !stream->is_reset && !stream->is_answered && stream->session->is_server;
}

static void respond(struct http_stream *stream, const struct http_header *headers, size_t count, bool is_end) {
    if (!may_respond(stream)) return;
    bool is_bare = is_end || stream->is_head || http_status_is_bare(headers, count);
    respond_with(stream, to_names_values(stream->session->worker, headers, count), count, is_bare ? NULL : read_body);
}

static ssize_t read_text(nghttp2_session *h2, int32_t id, uint8_t *bytes, size_t length, uint32_t *flags,
                         nghttp2_data_source *source, void *user_data) {
    struct http_text *text = ((struct http_stream *)source->ptr)->text;
    struct http_session *session = user_data;
    const struct http_loan *loan = &text->loan;
    (void)h2;
    (void)id;
    if (loan->length - text->sent <= length) {
        length = loan->length - text->sent;
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    memcpy(bytes, (const uint8_t *)loan->bytes + text->sent, length);
    text->sent += length;
    text->progress = session->last_given = loop_now(session->worker->loop);
    return (ssize_t)length;
}

/* Also of an answer without a body: it is watched like the others. */
static struct http_text *text_new(struct http_session *session, const struct http_loan *loan, bool has_body) {
    size_t copied = has_body && !loan->release ? loan->length : 0;
    struct http_text *text = http_memory_take(session->memory, sizeof *text + copied);
    *text = (struct http_text){.loan = *loan, .progress = loop_now(session->worker->loop)};
    if (copied) text->loan.bytes = memcpy(text + 1, loan->bytes, copied);
    return text;
}

static void respond_whole(struct http_stream *stream, const struct http_header *headers, size_t count,
                          const struct http_loan *loan) {
    struct http_session *session = stream->session;
    size_t length = loan->length;
    if (!may_respond(stream)) {
        if (loan->release) loan->release(loan->owner);
        return;
    }
    nghttp2_nv *fields = to_names_values(session->worker, headers, count);
    char digits[24];
    bool is_bare = http_status_is_bare(headers, count);
    if (!is_bare && !http_header_find(headers, count, "content-length")) {
        int digit_count = snprintf(digits, sizeof digits, "%zu", length);
        fields[count++] = (nghttp2_nv){.name = (uint8_t *)"content-length",
                                       .namelen = 14,
                                       .value = (uint8_t *)digits,
                                       .valuelen = (size_t)digit_count};
    }
    stream->is_whole = stream->is_finished = true;
    bool has_body = length && !is_bare && !stream->is_head;
    stream->text = text_new(session, loan, has_body);
    respond_with(stream, fields, count, has_body ? read_text : NULL);
    http_deadlines_on_answer(session);
}

/* RFC 8441 section 5: what would be 101 is 200. */
static void upgrade(struct http_stream *stream, const struct http_header *headers, size_t count) {
    if (!may_respond(stream)) return;
    nghttp2_nv *fields = to_names_values(stream->session->worker, headers, count);
    memmove(fields + 1, fields, count * sizeof *fields);
    fields[0] = (nghttp2_nv){.name = (uint8_t *)":status", .namelen = 7, .value = (uint8_t *)"200", .valuelen = 3};
    stream->is_upgraded = true;
    respond_with(stream, fields, count + 1, read_body);
}

static void resume(struct http_stream *stream) {
    struct http_session *session = stream->session;
    if (stream->is_reset) return;
    if (stream->is_deferred) {
        stream->is_deferred = false;
        nghttp2_session_resume_data(session->h2, (int32_t)stream->id);
    } else if (stream->is_drained) {
        stream->is_drained = false;
        nghttp2_data_provider body = {.source.ptr = stream, .read_callback = read_body};
        nghttp2_submit_data(session->h2, NGHTTP2_FLAG_END_STREAM, (int32_t)stream->id, &body);
    }
    http_session_mark(session);
}

static void finish(struct http_stream *stream, const struct http_header *trailers, size_t count) {
    if (stream->is_finished || stream->is_reset) return;
    stream->is_finished = true;
    /* nghttp2 asks for no body, not even an empty one, while the peer's window is closed; trailers may leave all the
     * same (RFC 9113 section 5.2.2). */
    if (count && stream->has_body && !body_ready(stream)) {
        submit_trailers(stream, trailers, count);
        http_session_mark(stream->session);
        return;
    }
    if (count) stream->trailers = copy_trailers(stream->session->memory, trailers, count);
    resume(stream);
}

static void reset(struct http_stream *stream, enum http_error error) {
    if (stream->is_reset) return;
    stream->is_reset = true;
    nghttp2_submit_rst_stream(stream->session->h2, NGHTTP2_FLAG_NONE, (int32_t)stream->id, (uint32_t)error);
    http_session_mark(stream->session);
}

/* nghttp2 tells the peer when half the window has been given back; it is asked in steps of an eighth, because
 * that costs a look-up of the stream. */
static void consumed(struct http_stream *stream, size_t length) {
    struct http_session *session = stream->session;
    stream->consumed += (uint32_t)length;
    if (stream->is_reset || stream->consumed < session->limits.stream_window / 8) return;
    nghttp2_session_consume_stream(session->h2, (int32_t)stream->id, stream->consumed);
    stream->consumed = 0;
    http_session_mark(session);
}

static void widen(struct http_stream *stream, uint32_t window) {
    struct http_session *session = stream->session;
    int32_t id = (int32_t)stream->id;
    uint32_t most = session->limits.connection_window;
    if (window > most) window = most;
    if (stream->is_reset || window <= session->limits.stream_window) return;
    if ((int32_t)window <= nghttp2_session_get_stream_effective_local_window_size(session->h2, id)) return;
    nghttp2_session_set_local_window_size(session->h2, NGHTTP2_FLAG_NONE, id, (int32_t)window);
    http_session_mark(session);
}

static enum http_version version(const struct http_stream *stream) {
    (void)stream;
    return HTTP_2;
}

static void say_goaway(struct http_session *session, enum http_error error, const char *reason) {
    http_goaway_submit(session, error, reason);
}

static void header_block_overdue(struct http_session *session) {
    http_session_close(session, HTTP_ENHANCE_YOUR_CALM, "an unfinished header block");
}

const struct http_kind http2_kind = {
    .bytes = http_input_bytes,
    .flush = http_output_flush,
    .drain = http_goaway_begin,
    .say_close = say_goaway,
    .overdue = header_block_overdue,
    .return_window = http_input_return_window,
    .respond = respond,
    .respond_whole = respond_whole,
    .upgrade = upgrade,
    .resume = resume,
    .finish = finish,
    .reset = reset,
    .consumed = consumed,
    .widen = widen,
    .version = version,
};
