/* http/session_private.h - what the files of this room share: the worker, the session, the stream.
 *
 *   kinds.c     where HTTP/1 and HTTP/2 part: a table of functions for each
 *   worker.c    nghttp2's settings and call table, made once for a thread
 *   session.c   a session's life: ready, open, closing, lingering, gone; the connection's events
 *   preface.c   what the first bytes of a client say
 *   frames.c    a look at each frame's header, before nghttp2 has it
 *   input.c     bytes from the peer → events of the user
 *   output.c    frames and bodies → one gathered write
 *   stream.c    what the user does with a stream
 *   goaway.c    drain in two phases
 *   guard.c     the account of useless frames, and who may ping how often
 *   deadlines.c all of a session's time-outs in one timer
 *
 * A session begins as one of HTTP/2; what is different in HTTP/1 is in http1_*.c, see http1_private.h.
 *
 * nghttp2 must not be entered from its own callbacks, and users may call anything from theirs. So functions
 * of stream.h only note and queue; reading, writing and closing happen in the connection's callbacks, in the
 * session's flush task (LOOP_FLUSH) and its timer. So it is in HTTP/1. */
#ifndef TIDEWIRE_HTTP_SESSION_PRIVATE_H
#define TIDEWIRE_HTTP_SESSION_PRIVATE_H
#include <nghttp2/nghttp2.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/memory.h"
#include "base/pool.h"
#include "http/memory.h"
#include "http/output_private.h"
#include "http/stream.h"
#include "net/connection.h"
#include "net/loop.h"

/* The fields of the header block that is being received. */
struct http_fields {
    struct http_header *headers; /* point into the counted buffers */
    nghttp2_rcbuf **buffers;     /* name and value of each field in turn */
    size_t count, capacity;
};

struct http1;

struct http_worker {
    struct loop *loop;
    nghttp2_session_callbacks *callbacks;
    struct http_memory *memory;
    struct pool streams;
    struct list sessions;
    struct http_fields fields; /* of the session that reads now */
    struct http_header *request; /* of the one that is being read: HTTP/1 */
    size_t request_capacity;
    nghttp2_nv *names_values;  /* of what is being submitted */
    size_t names_values_capacity;
    struct http_output output; /* of the session that writes now */
    time_t date_time;          /* of the line that HTTP/1 says it by */
    char date[48];
};

enum http_phase {
    HTTP_CONNECTING, /* no bytes may flow yet */
    HTTP_PREFACE, /* server: the client's first bytes must say that this is HTTP/2; nothing is written before
                   */
    HTTP_OPEN,
    HTTP_CLOSING,   /* the user is told and the connection shut down by the next flush */
    HTTP_LINGERING, /* streams are gone, the last bytes leave */
    HTTP_GONE,      /* waits for LOOP_FREE */
};

enum { ENDED_REMEMBERED = 8 };

/* guard.c: what a peer may do that is legal and useless. */
struct http_guard {
    uint64_t refilled; /* when tokens were added last */
    uint64_t last_ping;
    int32_t tokens;
    int32_t ended[ENDED_REMEMBERED];  /* streams that are closed, and that the peer had ended or reset */
    int32_t not_ended;                /* the stream that was looked up last and is not among them; or 0 */
    int32_t newest;                   /* server: the highest identifier that the peer has opened; -1: none */
    int32_t skipped_from, skipped_to; /* the last identifiers that it has passed over lie between these */
    uint32_t window_updates;         /* that our DATA and the peer's new streams have earned the peer */
    uint8_t ping_strikes;
    uint8_t next_ended;
    bool has_sent_since_ping, has_received_since_ping; /* HEADERS or DATA; DATA */
    bool is_of_relay; /* resets are free */
};

/* frames.c: where the frame ends that the last read has cut. */
struct http_walk {
    uint32_t payload_left;
    uint8_t head_length, head[13];
};

/* What a session does in the way of its version of HTTP. What has no entry here is common to both, or is a client's and
 * so HTTP/2's alone. The functions of streams are those of stream.h. */
struct http_kind {
    void (*bytes)(struct http_session *session, const uint8_t *bytes, size_t length);
    void (*flush)(struct http_session *session);
    /* The session begins to take its leave, and is open. */
    void (*drain)(struct http_session *session);
    /* It is about to close: the last words to the peer. */
    void (*say_close)(struct http_session *session, enum http_error error, const char *reason);
    /* header_due has passed: what the peer has begun to say is not there. */
    void (*overdue)(struct http_session *session);
    /* The user has opened the connection's window. */
    void (*return_window)(struct http_session *session);
    void (*respond)(struct http_stream *stream, const struct http_header *headers, size_t count, bool is_end);
    /* Of a loan without `release` the bytes are copied. */
    void (*respond_whole)(struct http_stream *stream, const struct http_header *headers, size_t count,
                          const struct http_loan *loan);
    void (*upgrade)(struct http_stream *stream, const struct http_header *headers, size_t count);
    void (*resume)(struct http_stream *stream);
    void (*finish)(struct http_stream *stream, const struct http_header *trailers, size_t count);
    void (*reset)(struct http_stream *stream, enum http_error error);
    void (*consumed)(struct http_stream *stream, size_t length);
    void (*widen)(struct http_stream *stream, uint32_t window);
    enum http_version (*version)(const struct http_stream *stream);
};
extern const struct http_kind http2_kind;

struct http_session {
    const struct http_kind *kind;
    nghttp2_session *h2; /* one of the two */
    struct http1 *h1;
    struct http_worker *worker;
    struct http_memory *memory;
    const struct http_events *events;
    struct connection *connection;
    void *owner;
    struct list node;    /* in worker->sessions */
    struct list streams; /* by http_stream.node */
    struct task flush, release;
    struct timer timer;
    size_t stream_count;
    struct http_stream *recent;    /* most frames follow one of the same stream */
    struct http_fields unfinished; /* of a header block that the last read left incomplete */
    uint64_t header_bytes;
    char *reason; /* why it ends */
    struct http_limits limits;
    struct http_guard guard;
    struct http_walk walk;
    /* deadlines.c; 0: none */
    uint64_t setup_due, header_due, stall_due, ping_due, drain_due, linger_due, answers_due;
    uint64_t idle_since, last_read;
    uint64_t last_given; /* when something of a body last left */
    size_t stalled_bytes;
    size_t withheld; /* bytes received while the window is closed */
    char *drain_text;
    enum http_error close_error;
    int32_t header_stream;
    uint8_t phase;
    uint8_t preface_matched;
    bool is_server;
    bool is_ready;     /* bytes may flow */
    bool is_too_large; /* the header block that is being received */
    bool is_window_closed, is_paused;
    bool is_draining, is_goaway_received;
    bool awaits_settings, awaits_settings_ack;
    bool is_read_as_h2; /* server: what its client has said, or agreed on by TLS, is no HTTP/1 */
};

struct http_stream {
    struct list node;
    struct http_session *session;
    void *user;
    const void *h2; /* nghttp2's own, for http_stream_approach() alone: it may have gone; or NULL */
    struct http_trailers *trailers; /* wait for the end of the body */
    struct http_text *text;         /* an answer that was given whole; else NULL */
    uint32_t id;
    uint32_t consumed;       /* given back by the user, not yet told to nghttp2 */
    bool has_body : 1;       /* a data source is attached */
    bool is_deferred : 1;    /* it had nothing when asked last */
    bool is_drained : 1;     /* it gave all it had when asked last: the next bytes are a body anew to nghttp2 */
    bool is_finished : 1;    /* no more body comes */
    bool has_trailed : 1;    /* trailers are with nghttp2 */
    bool is_answered : 1;    /* server: response headers were submitted; client: they have come */
    bool has_peer_ended : 1; /* END_STREAM has come */
    bool is_reset : 1;       /* by us: the user hears nothing more but on_close */
    bool was_reset_here : 1;
    bool is_head : 1;        /* its answer has no body */
    bool is_upgraded : 1;    /* to another protocol (RFC 8441) */
    bool is_whole : 1;       /* it was answered by http_stream_respond_whole() */
};

/* session.c */
bool http_session_is_alive(const struct http_session *session); /* streams may still do something */
void http_session_mark(struct http_session *session); /* has something to write: flush in this turn */
void http_session_fail(struct http_session *session, int nghttp2_error);
/* Closes without a word to the peer: it takes nothing any more. */
void http_session_cut(struct http_session *session, const char *reason);
/* The streams end; then the connection is shut down. */
void http_session_finish_closing(struct http_session *session);
/* The user may look for room again. */
void http_session_tell_room(struct http_session *session);
void http_session_set_reason(struct http_session *session, const char *reason, size_t length);

/* kinds.c */
/* A response with this status, the first of its headers, has no body (204, 304). */
bool http_status_is_bare(const struct http_header *headers, size_t count);

/* preface.c */
/* By TLS. */
bool http_preface_is_agreed(const struct http_session *session, const char *protocol);
/* How many of the bytes belong to the preface. The phase has changed when it is known what the client speaks. */
size_t http_preface_take(struct http_session *session, const uint8_t *bytes, size_t length);

/* frames.c */
/* Tells the guard of every frame that begins in these bytes; the guard may close the session. */
void http_frames_walk(struct http_session *session, const uint8_t *bytes, size_t length);

/* input.c */
void http_input_bytes(struct http_session *session, const uint8_t *bytes, size_t length);
/* A stream has gone: if its header block was being received, that is forgotten. */
void http_input_forget_block(struct http_session *session, uint32_t id);
/* Gives the peer back what it has sent, unless the user has closed the connection's window. */
void http_input_return_window(struct http_session *session);
void http_input_set_callbacks(nghttp2_session_callbacks *callbacks);
void http_fields_clear(struct http_fields *fields);
void http_fields_free(struct http_fields *fields);

/* output.c */
void http_output_flush(struct http_session *session);
void http_output_set_callbacks(nghttp2_session_callbacks *callbacks);
void http_output_hold_reading(struct http_session *session);

/* stream.c */
struct http_stream *http_stream_find(struct http_session *session, int32_t id);
struct http_stream *http_stream_new(struct http_session *session, int32_t id);
void http_stream_closed(struct http_stream *stream, uint32_t error, bool is_connection);

/* goaway.c */
void http_goaway_submit(struct http_session *session, enum http_error error, const char *text);
void http_goaway_on_sent(struct http_session *session);
/* The first of the two phases, as soon as the peer has spoken. */
void http_goaway_begin(struct http_session *session);
void http_goaway_final(struct http_session *session);
void http_goaway_on_ping_ack(struct http_session *session, const uint8_t *payload);

/* guard.c */
void http_guard_init(struct http_session *session);
/* `number`: what a PRIORITY or WINDOW_UPDATE frame begins with, without its highest bit. */
void http_guard_on_frame(struct http_session *session, const nghttp2_frame_hd *frame, uint32_t number);
void http_guard_on_ping(struct http_session *session, const uint8_t *payload);
void http_guard_on_reset(struct http_session *session, const struct http_stream *stream);
void http_guard_on_ended(struct http_session *session, int32_t id);
void http_guard_on_own_reset(struct http_session *session, uint32_t error);

/* A stream has been answered whole, maybe with nothing. */
struct http_text {
    struct http_loan loan; /* of a body that was copied: the bytes stand behind this */
    size_t sent;
    uint64_t progress; /* when the peer last let something of it go */
};

/* deadlines.c */
void http_deadlines_init(struct http_session *session);
/* Such an answer has been given. */
void http_deadlines_on_answer(struct http_session *session);
/* After a due time was set: the timer moves if it is earlier. */
void http_deadlines_watch(struct http_session *session);
/* The connection keeps bytes. */
void http_deadlines_on_blocked(struct http_session *session);
void http_deadlines_stop(struct http_session *session);
#endif
