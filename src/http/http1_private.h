/* http/http1_private.h - what the files of HTTP/1.1 share. The session, its deadlines and its end are those of
 * session_private.h; a session has a struct http1 once its client has shown that this is what it speaks.
 *
 *   http1.c         a session's life as one of HTTP/1, its only exchange, and what the user does with it
 *   http1_check.c   each byte of the framing, before the library has it
 *   http1_head.c    the head of a request → headers as HTTP/2 has them
 *   http1_input.c   bytes from the peer → events of the user
 *   http1_output.c  the answer → one gathered write
 *
 * http-parser takes many things that other servers on the way take in another sense (a bare LF, a folded line, blanks
 * before a colon), which is what request smuggling lives on. So nothing reaches it that http1_check.c has not found to
 * be strictly what RFC 9112 has clients send; the two must agree on where a message ends. */
#ifndef TIDEWIRE_HTTP_HTTP1_PRIVATE_H
#define TIDEWIRE_HTTP_HTTP1_PRIVATE_H
#include <http_parser.h>

#include "base/buffer.h"
#include "http/session_private.h"

/* ---- http1_check.c ---- */

enum http1_place {
    HTTP1_BEFORE, /* nothing of the request has come */
    HTTP1_BEFORE_LF,
    HTTP1_METHOD,
    HTTP1_TARGET,
    HTTP1_VERSION,
    HTTP1_VERSION_LF,
    HTTP1_FIELD, /* at the beginning of a line */
    HTTP1_NAME,
    HTTP1_VALUE,
    HTTP1_VALUE_LF,
    HTTP1_LAST_LF,
    HTTP1_HEAD_END, /* the check waits to be told what follows */
    HTTP1_SIZE,
    HTTP1_EXTENSION,
    HTTP1_SIZE_LF,
    HTTP1_CHUNK,
    HTTP1_CHUNK_CR,
    HTTP1_CHUNK_LF,
    HTTP1_BODY, /* with content-length */
    HTTP1_END,
};

/* In place of a status: what begins a connection is not HTTP at all, so an answer in HTTP/1 would be of no use. */
enum { HTTP1_WORDLESS = 1 };

struct http1_check {
    uint64_t most;      /* of names, values and 32 a field; and of the request line */
    uint64_t counted;   /* of them, in the head or the trailers */
    uint64_t left;      /* of the chunk or the body */
    uint32_t extension; /* bytes of chunk extensions */
    uint32_t line;      /* bytes of the token, version or size that is being read */
    uint16_t status;    /* of the answer to what was found wrong, or HTTP1_WORDLESS; 0: nothing */
    uint8_t place;      /* enum http1_place */
    uint8_t minor;      /* HTTP/1.minor */
    bool is_trailer;
    bool may_be_blank; /* an empty line may come before the request line */
    const char *fault; /* a sentence */
};

/* A new message. `is_first` of the connection: no empty line before it. */
void http1_check_begin(struct http1_check *check, uint64_t most, bool is_first);
/* Goes on behind HTTP1_HEAD_END, to HTTP1_END at once when there is no body. */
void http1_check_body(struct http1_check *check, bool is_chunked, uint64_t length);
/* How many of the bytes are right: all, or up to HTTP1_HEAD_END, HTTP1_END or a fault. */
size_t http1_check(struct http1_check *check, const uint8_t *bytes, size_t length);
/* Always false. */
bool http1_check_refuse(struct http1_check *check, int status, const char *fault);
bool http1_is_token(uint8_t byte);
/* Nothing of the next request has come, besides the empty line that may stand before it. */
static inline bool http1_check_is_before(const struct http1_check *check) { return check->place <= HTTP1_BEFORE_LF; }
static inline bool http1_check_is_in_head(const struct http1_check *check) {
    return check->place < HTTP1_HEAD_END && !check->is_trailer;
}
/* Behind the head, and before the next. */
static inline bool http1_check_is_in_body(const struct http1_check *check) {
    return check->place > HTTP1_HEAD_END || check->is_trailer;
}
/* The peer has announced more of a body than has come. (Between two chunks it may take its time.) */
static inline bool http1_check_is_owed(const struct http1_check *check) {
    if (!http1_check_is_in_body(check) || check->place == HTTP1_END) return false;
    return check->place != HTTP1_SIZE || check->line;
}

/* ---- the session ---- */

enum http1_answer { /* how the end of its body is known */
    HTTP1_UNANSWERED,
    HTTP1_NO_BODY, /* all of it is in `out` and `tail` */
    HTTP1_LENGTH,
    HTTP1_CHUNKED,
    HTTP1_UNTIL_CLOSE,
    HTTP1_UPGRADED,
};

struct http1 {
    struct http_session *session;
    http_parser parser;
    struct http1_check check;
    struct http_stream *stream; /* of the exchange; NULL between two, and when what is left of a request is thrown away */
    struct buffer head;         /* of the request that is being received */
    struct buffer early;        /* came before its turn */
    struct buffer out;          /* leaves before the body */
    struct buffer tail;         /* leaves behind it */
    struct task next;           /* the turn of what came early */
    uint64_t answer_left;       /* of a body with content-length */
    uint64_t unread;            /* bytes that the user has and has not given back */
    uint64_t thrown_away;       /* of a body that nobody wants any more */
    uint32_t window;
    uint32_t requests;
    uint8_t answer; /* enum http1_answer */
    enum http_error reset_error;
    char protocol[32]; /* that the request would be upgraded to; "": to none */
    bool closes;       /* the connection, behind this exchange */
    bool awaits_continue; /* the client has not been told to go on with its body */
    bool takes_trailers;
    bool is_head_open; /* the end of the answer's head in `out` is not said yet */
    bool has_parsed; /* the library has seen the end of the message */
};

extern const struct http_kind http1_kind;

/* http1.c */
/* The client speaks HTTP/1: phase HTTP_OPEN. */
void http1_begin(struct http_session *session);
void http1_free(struct http1 **h1);
/* Answers with the status and closes. What was answered already is cut. */
void http1_refuse(struct http_session *session, int status, const char *text);
/* The answer is with the connection. */
void http1_answered(struct http_session *session);
/* Reads the socket or lets it wait. */
void http1_update_reading(struct http_session *session);

/* http1_head.c */
struct http1_request {
    const struct http_header *headers; /* valid until the next head of the thread */
    size_t count;
    uint64_t length; /* of the body, unless it is chunked */
    const char *protocol;
    size_t protocol_length;
    bool is_chunked, is_head, keeps_alive, expects_continue, takes_trailers;
};
/* False: the check has the status and the text of the refusal. Writes into the head. */
bool http1_head_read(struct http_session *session, struct http1_request *request);

/* http1_input.c */
void http1_input_bytes(struct http_session *session, const uint8_t *bytes, size_t length);
void http1_input_next(struct task *task);
/* An exchange has ended, or is upgraded: what came early has its turn. */
void http1_input_go_on(struct http_session *session);
/* Between two exchanges. */
bool http1_input_is_idle(const struct http1 *h1);
/* Of the request so little is left, for sure, that the connection serves again. */
bool http1_input_ends_soon(const struct http1 *h1);
/* Of the body that nobody wants, less is left than a new connection costs, as far as that is known. */
bool http1_input_may_throw_away(const struct http1 *h1);

/* http1_output.c */
void http1_output_flush(struct http_session *session);
/* Appends the head of an answer. `length` -1: unknown. Sets how the body ends. */
void http1_output_head(struct http_stream *stream, const struct http_header *headers, size_t count, int64_t length);
void http1_output_trailers(struct http1 *h1, const struct http_header *trailers, size_t count);
void http1_output_date(struct http_worker *worker, struct buffer *out);
const char *http1_reason_phrase(int status);
#endif
