/* http/http1_output.c - the answer → one gathered write.
 *
 * Its head, and a body that was given whole, wait as bytes in `out`; other bodies are pulled from the user while the
 * socket takes them, as in HTTP/2; what stands behind them is in `tail`. */
#include <stdio.h>
#include <time.h>

#include "http/http1_private.h"

enum {
    CHUNK_FRAME = 20, /* the most that frames a chunk */
    MOST_ROUNDS = 4,  /* outputs that one session may fill in a turn; the others want theirs */
};

/* ---- heads ---- */

const char *http1_reason_phrase(int status) {
    static const struct { int status; const char *phrase; } phrases[] = {
        {100, "Continue"}, {101, "Switching Protocols"}, {200, "OK"}, {201, "Created"}, {202, "Accepted"},
        {204, "No Content"}, {206, "Partial Content"}, {301, "Moved Permanently"}, {302, "Found"},
        {303, "See Other"}, {304, "Not Modified"}, {307, "Temporary Redirect"}, {308, "Permanent Redirect"},
        {400, "Bad Request"}, {401, "Unauthorized"}, {403, "Forbidden"}, {404, "Not Found"},
        {405, "Method Not Allowed"}, {406, "Not Acceptable"}, {408, "Request Timeout"}, {409, "Conflict"},
        {410, "Gone"}, {411, "Length Required"}, {412, "Precondition Failed"}, {413, "Content Too Large"},
        {414, "URI Too Long"}, {415, "Unsupported Media Type"}, {417, "Expectation Failed"},
        {422, "Unprocessable Content"}, {426, "Upgrade Required"}, {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"}, {499, "Client Closed Request"}, {500, "Internal Server Error"},
        {501, "Not Implemented"}, {502, "Bad Gateway"}, {503, "Service Unavailable"}, {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"}};
    for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++)
        if (phrases[i].status == status) return phrases[i].phrase;
    return "Other";
}

static bool is_name(const struct http_header *header) {
    for (size_t i = 0; i < header->name_length; i++)
        if (!http1_is_token((uint8_t)header->name[i])) return false;
    return header->name_length > 0;
}

/* A value that came by HTTP/2 or from a script must not become a line of its own. */
static void append_field(struct buffer *out, const struct http_header *header) {
    if (!is_name(header)) return; /* a pseudo-header too */
    buffer_append(out, header->name, header->name_length);
    buffer_append(out, ": ", 2);
    for (size_t i = 0; i < header->value_length; i++) {
        uint8_t byte = (uint8_t)header->value[i];
        buffer_append_byte(out, (byte < ' ' && byte != '\t') || byte == 0x7f ? ' ' : byte);
    }
    buffer_append(out, "\r\n", 2);
}

/* What this file says itself. */
static bool is_framing(const struct http_header *header) {
    return http_header_is(header, "content-length") || http_header_is(header, "connection") ||
           http_header_is(header, "transfer-encoding") || http_header_is(header, "keep-alive") ||
           http_header_is(header, "upgrade");
}

static int64_t read_length(const struct http_header *headers, size_t count) {
    const struct http_header *header = http_header_find(headers, count, "content-length");
    int64_t length = 0;
    if (!header || !header->value_length || header->value_length > 18) return -1;
    for (size_t i = 0; i < header->value_length; i++) {
        if (header->value[i] < '0' || header->value[i] > '9') return -1;
        length = length * 10 + (header->value[i] - '0');
    }
    return length;
}

static int read_status(const struct http_header *headers, size_t count) {
    int status = 0;
    if (!count || headers[0].value_length != 3) return 500;
    for (int i = 0; i < 3; i++) status = status * 10 + (headers[0].value[i] - '0');
    return status >= 100 && status <= 999 ? status : 500;
}

static enum http1_answer choose_answer(const struct http1 *h1, const struct http_stream *stream, bool is_bare,
                                       int64_t length) {
    if (is_bare || stream->is_head || stream->is_whole) return HTTP1_NO_BODY;
    if (length >= 0) return length ? HTTP1_LENGTH : HTTP1_NO_BODY;
    return h1->check.minor ? HTTP1_CHUNKED : HTTP1_UNTIL_CLOSE;
}

/* RFC 9110 section 6.6.1 wants one of every server that has a clock; its text is made once a second. */
void http1_output_date(struct http_worker *worker, struct buffer *out) {
    time_t now = time(NULL);
    if (now != worker->date_time) {
        struct tm parts;
        gmtime_r(&now, &parts);
        strftime(worker->date, sizeof worker->date, "date: %a, %d %b %Y %H:%M:%S GMT\r\n", &parts);
        worker->date_time = now;
    }
    buffer_append_text(out, worker->date);
}

/* Whether the connection serves again is known when the head leaves. An answer that is over then, before its request is,
 * has to say that what is left of that will not be waited for. */
static void end_head(struct http1 *h1) {
    struct buffer *out = &h1->out;
    if (!h1->is_head_open) return;
    h1->is_head_open = false;
    h1->closes |= h1->stream && h1->stream->is_finished && !http1_input_ends_soon(h1);
    if (h1->answer == HTTP1_UPGRADED) buffer_format(out, "connection: upgrade\r\nupgrade: %s\r\n", h1->protocol);
    else if (h1->closes) buffer_append_text(out, "connection: close\r\n");
    else if (!h1->check.minor) buffer_append_text(out, "connection: keep-alive\r\n");
    buffer_append(out, "\r\n", 2);
}

void http1_output_head(struct http_stream *stream, const struct http_header *headers, size_t count, int64_t length) {
    struct http_session *session = stream->session;
    struct http1 *h1 = session->h1;
    struct buffer *out = &h1->out;
    bool is_upgraded = h1->answer == HTTP1_UPGRADED, is_bare = http_status_is_bare(headers, count);
    int status = is_upgraded ? 101 : read_status(headers, count);
    int64_t said = read_length(headers, count);
    if (said >= 0 && !stream->is_whole) length = said;
    if (!is_upgraded) h1->answer = choose_answer(h1, stream, is_bare, length);
    h1->answer_left = h1->answer == HTTP1_LENGTH ? (uint64_t)length : 0;
    /* A client that was not told to go on may send its body or not: what follows would not be clear. */
    h1->closes |= session->is_draining || h1->answer == HTTP1_UNTIL_CLOSE ||
                  (h1->awaits_continue && h1->check.place != HTTP1_END);
    h1->awaits_continue = false;
    buffer_format(out, "HTTP/1.1 %d %s\r\n", status, http1_reason_phrase(status));
    for (size_t i = 0; i < count; i++)
        if (!is_framing(&headers[i])) append_field(out, &headers[i]);
    if (!is_upgraded && !http_header_find(headers, count, "date")) http1_output_date(session->worker, out);
    if (length >= 0 && !is_upgraded && (!is_bare || (status == 304 && said >= 0)))
        buffer_format(out, "content-length: %lld\r\n", (long long)length);
    if (h1->answer == HTTP1_CHUNKED) buffer_append_text(out, "transfer-encoding: chunked\r\n");
    h1->is_head_open = true;
}

void http1_output_trailers(struct http1 *h1, const struct http_header *trailers, size_t count) {
    if (h1->answer != HTTP1_CHUNKED) return;
    buffer_append(&h1->tail, "0\r\n", 3);
    for (size_t i = 0; i < count && h1->takes_trailers; i++)
        if (!is_framing(&trailers[i])) append_field(&h1->tail, &trailers[i]);
    buffer_append(&h1->tail, "\r\n", 2);
}

/* ---- writing ---- */

static void move(struct buffer *from, struct http_output *output) {
    size_t length = buffer_length(from), room = http_output_room(output);
    if (length > room) length = room;
    if (!length) return;
    http_output_copy(output, buffer_bytes(from), length);
    buffer_take(from, length);
    if (!buffer_length(from)) buffer_free(from);
}

static void give(struct http_stream *stream, size_t length, struct http_output *output) {
    struct http1 *h1 = stream->session->h1;
    char size[CHUNK_FRAME];
    if (h1->answer == HTTP1_CHUNKED)
        http_output_copy(output, size, (size_t)snprintf(size, sizeof size, "%zx\r\n", length));
    stream->session->events->body_give(stream->user, length, output);
    if (h1->answer == HTTP1_CHUNKED) http_output_copy(output, "\r\n", 2);
    if (h1->answer == HTTP1_LENGTH) h1->answer_left -= length;
}

static size_t ready(const struct http_stream *stream) {
    const struct http1 *h1 = stream->session->h1;
    if (h1->answer < HTTP1_LENGTH || !stream->user || stream->is_reset) return 0;
    size_t bytes = stream->session->events->body_ready(stream->user);
    return h1->answer == HTTP1_LENGTH && bytes > h1->answer_left ? (size_t)h1->answer_left : bytes;
}

/* True when the output is full and there is more. */
static bool fill(struct http_session *session, struct http_output *output) {
    struct http1 *h1 = session->h1;
    struct http_stream *stream = h1->stream;
    end_head(h1);
    move(&h1->out, output);
    if (buffer_length(&h1->out)) return true;
    size_t waiting;
    while (stream && (waiting = ready(stream))) {
        size_t room = http_output_room(output);
        if (room <= CHUNK_FRAME) return true;
        room -= CHUNK_FRAME;
        give(stream, waiting < room ? waiting : room, output);
    }
    if (stream && stream->is_finished) move(&h1->tail, output);
    return buffer_length(&h1->tail) > 0 && stream && stream->is_finished;
}

static bool write_some(struct http_session *session) {
    struct http_output *output = &session->worker->output;
    bool has_more = fill(session, output);
    if (!output->count) return false;
    size_t kept = connection_write(session->connection, output->pieces, output->count);
    http_output_clear(output);
    if (kept) http_deadlines_on_blocked(session);
    return has_more && !kept;
}

static bool is_answered(const struct http1 *h1) {
    const struct http_stream *stream = h1->stream;
    return stream && h1->answer != HTTP1_UNANSWERED && stream->is_finished && !buffer_length(&h1->out) &&
           !buffer_length(&h1->tail) && !ready(stream);
}

/* Of a refusal: no body any more, so it is small. */
static void write_last_words(struct http_session *session) {
    struct buffer *out = &session->h1->out;
    if (buffer_length(out)) {
        struct iovec piece = {.iov_base = buffer_bytes(out), .iov_len = buffer_length(out)};
        connection_write(session->connection, &piece, 1);
    }
    http_session_finish_closing(session);
}

void http1_output_flush(struct http_session *session) {
    struct http1 *h1 = session->h1;
    if (session->phase == HTTP_CLOSING && !session->is_ready) {
        http_session_cut(session, NULL);
    } else if (session->phase == HTTP_CLOSING) {
        write_last_words(session);
    } else if (session->phase == HTTP_OPEN && h1->stream && h1->stream->is_reset) {
        http_stream_closed(h1->stream, h1->reset_error, false);
        h1->stream = NULL;
        http_session_cut(session, "an exchange was broken off");
    } else if (session->phase == HTTP_OPEN && !connection_kept(session->connection)) {
        if (h1->awaits_continue) buffer_append_text(&h1->out, "HTTP/1.1 100 Continue\r\n\r\n");
        h1->awaits_continue = false;
        int rounds = 0;
        while (write_some(session) && ++rounds < MOST_ROUNDS) {
        }
        if (rounds == MOST_ROUNDS) http_session_mark(session);
        if (is_answered(h1)) http1_answered(session);
    }
}
