/* http/stream.h - HTTP exchanges ("streams") over a connection, for server and client alike.
 *
 * http/ owns framing, header compression, windows, limits on abuse, GOAWAY and PING; the user above (rpc/) owns what
 * is sent. Data is pulled: the user says http_stream_resume() when it has some, and http/ asks its body source for
 * as much as the windows and the socket take. nghttp2 and http-parser are seen in this room alone.
 *
 * A server's session speaks HTTP/2 or HTTP/1.1 (1.0), as its client does, and the user need not know: a request of
 * HTTP/1 comes with the same pseudo-headers, names in lower case, and without what is between two hops alone
 * (connection and what that lists, keep-alive, proxy-connection, transfer-encoding, upgrade; te but for "trailers"). A
 * session of HTTP/1 has one stream at a time. Where the two differ, it is said below. */
#ifndef TIDEWIRE_HTTP_STREAM_H
#define TIDEWIRE_HTTP_STREAM_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/log.h"

struct connection;
struct loop;
struct message;
struct http_worker;
struct http_session;
struct http_stream;
struct http_output;

struct http_header {
    const char *name, *value; /* name in lower case; neither needs to end in NUL */
    size_t name_length, value_length;
    bool is_never_indexed; /* whoever passes it on must say so too (RFC 7541 section 7.1.3) */
};

static inline bool http_header_is(const struct http_header *header, const char *name) {
    size_t length = strlen(name);
    return header->name_length == length && memcmp(header->name, name, length) == 0;
}

/* The first of that name, or NULL. */
static inline const struct http_header *http_header_find(const struct http_header *headers, size_t count,
                                                         const char *name) {
    for (size_t i = 0; i < count; i++)
        if (http_header_is(&headers[i], name)) return &headers[i];
    return NULL;
}

/* RFC 9113 section 7 */
enum http_error {
    HTTP_NO_ERROR = 0,
    HTTP_PROTOCOL_ERROR = 1,
    HTTP_INTERNAL_ERROR = 2,
    HTTP_FLOW_CONTROL_ERROR = 3,
    HTTP_SETTINGS_TIMEOUT = 4,
    HTTP_STREAM_CLOSED = 5,
    HTTP_FRAME_SIZE_ERROR = 6,
    HTTP_REFUSED_STREAM = 7,
    HTTP_CANCEL = 8,
    HTTP_ENHANCE_YOUR_CALM = 11,
};

enum http_version { HTTP_1_0 = 10, HTTP_1_1 = 11, HTTP_2 = 20 };

/* What the user of a session provides. All calls come from the loop, never from inside a function of this header; in
 * every one the user may call any function of this header. `user` is the stream's own pointer, set in on_request or
 * at http_session_open(); a stream that was answered in on_request may keep NULL. */
struct http_events {
    /* Server: a whole request header block. Borrowed. `is_end`: no body follows, and no on_end. The headers contain
     * the pseudo-headers; a list over the limit comes with is_too_large and the fields up to the limit (HTTP/2; in
     * HTTP/1 such a request is answered here). `:protocol`: see http_stream_upgrade(). */
    void (*on_request)(struct http_session *session, struct http_stream *stream, const struct http_header *headers,
                       size_t count, bool is_end, bool is_too_large);
    /* Client: response headers (1xx are not shown). `is_end`: Trailers-Only, no on_end follows. */
    void (*on_response)(void *user, const struct http_header *headers, size_t count, bool is_end);
    /* Bytes borrowed until after_read() has returned: several calls may come before it. The user gives window back
     * with http_stream_consumed(). */
    void (*on_data)(void *user, const uint8_t *bytes, size_t length);
    /* The body has ended, with trailers or (count 0) without. The trailers of a request in HTTP/1 are checked and
     * left out. */
    void (*on_end)(void *user, const struct http_header *trailers, size_t count);
    /* Once, last: both sides are done (HTTP_NO_ERROR), or the stream was reset by either side, or the connection
     * went. `is_connection`: the whole connection is gone. The stream is freed after it. A client of HTTP/1 cancels by
     * closing the connection. */
    void (*on_close)(void *user, uint32_t error, bool is_connection);
    /* Everything that one read of the socket brought has been told: work through it now, before the bytes go. */
    void (*after_read)(struct http_session *session);
    /* Client, may be NULL: the first SETTINGS have come, a stream has closed, the peer allows another number of
     * streams or takes no more (GOAWAY): http_session_room() may say something else now. */
    void (*on_room)(struct http_session *session);
    /* Once, last of the session, when its last stream is closed. `reason` is a sentence. */
    void (*on_session_end)(struct http_session *session, const char *reason);

    /* The body source: how many bytes could leave now (0: none; has it ended, see http_stream_finish()). */
    size_t (*body_ready)(void *user);
    /* Hands over the next `length` bytes, at most body_ready(), by http_output_copy() and http_output_reference(). */
    void (*body_give)(void *user, size_t length, struct http_output *output);
};

void http_output_copy(struct http_output *output, const void *bytes, size_t length);
/* Without a copy: `keep` gets a reference for as long as the bytes are needed. For pieces of a kilobyte or more. */
void http_output_reference(struct http_output *output, const void *bytes, size_t length, struct message *keep);

struct http_limits {
    uint64_t headers;            /* of a header list: names + values + 32 a field */
    uint32_t streams;            /* MAX_CONCURRENT_STREAMS */
    uint32_t stream_window;      /* initial window of a stream: bytes that a peer may send unasked */
    uint32_t connection_window;
    uint64_t idle;               /* ns without streams until the session drains; 0 never */
    uint64_t keepalive_interval, keepalive_timeout; /* our PINGs on a silent connection; 0 never */
    uint64_t least_ping_interval;                   /* the peer's; faster: strikes, then GOAWAY ENHANCE_YOUR_CALM too_many_pings */
    bool pings_without_streams;
    uint64_t settings_timeout;   /* preface and first SETTINGS, SETTINGS ACK, a header block; HTTP/1: a request's head; ns */
    /* The peer takes nothing although bytes wait, or (HTTP/1) sends nothing of what it has announced: ns until the
     * connection is closed. */
    uint64_t write_timeout;
    /* A stream without a user that was answered whole, and whose peer takes nothing of that, or does not end its request:
     * ns until the stream is reset. A user has a patience of its own. 0 never */
    uint64_t stalled;
};

/* What all sessions of one thread share: scratch buffers, free lists. */
struct http_worker *http_worker_new(struct loop *loop);
/* Sessions that still exist end now, without a word to their peers. */
void http_worker_free(struct http_worker **worker);

/* Takes over reading and writing of the connection; the connection's events and owner must be the session's:
 * create the connection with http_connection_events and the result of http_session_new() as owner, then
 * http_session_attach(). */
extern const struct connection_events http_connection_events;
struct http_session *http_session_new(struct http_worker *worker, bool is_server, const struct http_limits *limits,
                                      const struct http_events *events, void *owner);
void http_session_attach(struct http_session *session, struct connection *connection);
void *http_session_owner(const struct http_session *session);
struct connection *http_session_connection(const struct http_session *session); /* NULL once it is gone */
/* Writes what there is to write, instead of at the end of the turn. Only from a task of the loop. */
void http_session_flush(struct http_session *session);
size_t http_session_stream_count(const struct http_session *session);
/* Client: how many more streams may be opened now; 0 until the peer's first SETTINGS are there. */
uint32_t http_session_room(const struct http_session *session);
/* Client: no new streams, now or later: draining, GOAWAY, ids used up, closing. */
bool http_session_is_closing(const struct http_session *session);
/* The peer's first SETTINGS have come. */
bool http_session_is_set_up(const struct http_session *session);
/* Why the session ends, as on_session_end will say: for on_close with is_connection. NULL before. */
const char *http_session_reason(const struct http_session *session);
/* Two-phase GOAWAY: streams that are open finish, new ones are refused, then the connection closes. Idempotent.
 * HTTP/1: the exchange that is open finishes, its answer says `connection: close` if it has not begun. */
void http_session_drain(struct http_session *session, const char *debug_text);
/* At once: GOAWAY with the error, every stream closes. */
void http_session_close(struct http_session *session, enum http_error error, const char *reason);
/* The peer passes on what many clients do: the resets of their streams are no fault of its, and cost it nothing. */
void http_session_set_relay(struct http_session *session);
/* While closed, bytes that arrive do not give the connection's window back; opening gives all of it. */
void http_session_set_window_open(struct http_session *session, bool is_open);

/* Client: NULL when the session takes no more streams (draining, peer's limit, ids used up). Before the connection
 * stands too: the request leaves when it does. A stream that the peer has not seen, or refused before it did anything,
 * closes with HTTP_REFUSED_STREAM: also one above the last stream of its GOAWAY. */
struct http_stream *http_session_open(struct http_session *session, const struct http_header *headers, size_t count,
                                      bool has_body, void *user);

void http_stream_set_user(struct http_stream *stream, void *user);
struct http_session *http_stream_session(const struct http_stream *stream);
uint32_t http_stream_id(const struct http_stream *stream); /* HTTP/1: the connection's 1st, 2nd, … request */
enum http_version http_stream_version(const struct http_stream *stream);
/* For on_close: it was this side that has reset it, by the user's wish or for what the peer has sent. */
bool http_stream_was_reset_here(const struct http_stream *stream);
/* Server: response headers, `:status` first; `is_end` for Trailers-Only. Copied before the function returns. A stream
 * whose answer is complete (here or by http_stream_finish()) before its peer has ended is reset with NO_ERROR behind
 * the answer, so that the peer stops uploading; that counts as a close with HTTP_NO_ERROR.
 * In HTTP/1 a body is chunked (1.0: ends with the connection), unless there is a `content-length`: then the body source
 * must give just as much, or the connection is cut. An answer to HEAD, and a status 204 or 304, has no body in either:
 * the source is not asked. */
void http_stream_respond(struct http_stream *stream, const struct http_header *headers, size_t count, bool is_end);
/* Server: the whole answer, its body these bytes, which are copied; `content-length` is added unless it is there. The
 * stream may have a user or not; its body source is not asked. Only a peer that goes on uploading is reset, or one that
 * makes no progress for limits.stalled with a stream without a user. */
void http_stream_respond_whole(struct http_stream *stream, const struct http_header *headers, size_t count,
                               const void *body, size_t length);
/* The same, without a copy for each stream: the bytes stay as they are until release(owner), which comes once, also where
 * nothing of them is sent. */
struct http_loan {
    const void *bytes;
    size_t length;
    void (*release)(void *owner);
    void *owner;
};
void http_stream_respond_loan(struct http_stream *stream, const struct http_header *headers, size_t count,
                              const struct http_loan *loan);
static inline void http_stream_respond_text(struct http_stream *stream, const struct http_header *headers, size_t count,
                                            const char *text) {
    http_stream_respond_whole(stream, headers, count, text, strlen(text));
}
/* Server: from here on the stream is two runs of bytes, in place of an answer with a body. Only of a request with
 * `:protocol` among its headers, which says what the client would speak ("websocket"): in HTTP/2 by extended CONNECT
 * (RFC 8441; `:method` is CONNECT), in HTTP/1.1 by `connection: upgrade` and `upgrade`, of which it is the first name,
 * in lower case (`:method` is GET as a rule; "h2c" is not shown). Such a request may as well be answered like any other,
 * so `is_end` says of it what it does of others, and nothing of what comes once it is upgraded.
 * `headers` are those beside the status, connection and upgrade; `sec-websocket-accept` belongs to them where the
 * request had a `sec-websocket-key`. From then on on_data brings what the client sends, the body source is what it gets,
 * http_stream_consumed() opens the window, and http_stream_finish() ends it: END_STREAM, or the connection's end behind
 * the last byte; in HTTP/2 the client may still speak, and the stream ends with that. The client's end is on_end or on_close in HTTP/2, on_close in HTTP/1. */
void http_stream_upgrade(struct http_stream *stream, const struct http_header *headers, size_t count);
/* The body source has bytes (again). Cheap; may be called for every message. */
void http_stream_resume(struct http_stream *stream);
/* As call_approach() (rpc/call.h), in two steps. */
void http_stream_approach(const struct http_stream *stream, int step);
/* No more body after what body_ready() still counts: then the trailers (server), or END_STREAM (count 0).
 * Copied before the function returns. In HTTP/1 trailers are sent behind a chunked body to a client that has said
 * `te: trailers`, and left out elsewhere. */
void http_stream_finish(struct http_stream *stream, const struct http_header *trailers, size_t count);
/* In HTTP/1 the connection is cut, so that half an answer is not taken for a whole one. */
void http_stream_reset(struct http_stream *stream, enum http_error error);
/* Gives that many bytes of the stream's receive window back to the peer. (HTTP/1: the socket is not read while a
 * window's worth is out.) */
void http_stream_consumed(struct http_stream *stream, size_t length);
/* From now on the stream's receive window is `window` bytes, where that is more than before; never more than the
 * connection's. */
void http_stream_widen(struct http_stream *stream, uint32_t window);

const char *http_versions(void); /* "nghttp2 1.52.0" */
#endif
