/* script/client.h - streams that scripts open: the client's side of struct stream.
 *
 *   planned ── first use that needs the wire ──▶ open ── UNAVAILABLE, with reconnect ──▶ broken ── backoff ──▶ open …
 *      └──────────────────────────────────────────┴──▶ over ──▶ closed: only its answer is left
 *
 * tidewire.open() makes a stream and opens it at once; stream.upstream stays planned until it is used. A stream ends with
 * the one that opened it; without one, or `detached`, with its generation. */
#ifndef TIDEWIRE_SCRIPT_CLIENT_H
#define TIDEWIRE_SCRIPT_CLIENT_H
#include <luajit-2.1/lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/status.h"
#include "rpc/metadata.h"

struct client;
struct fiber;
struct handler;
struct script;
struct stream;
struct upstream;

struct client_options {
    struct upstream *upstream; /* a reference is taken */
    const struct handler *handler;
    struct stream *opener;    /* NULL: none, or detached */
    struct metadata metadata; /* taken over */
    uint64_t deadline;        /* monotonic ns; 0: none */
    bool waits;               /* for a target as long as it takes */
    bool is_loads;            /* of load code, and without an opener */
    bool keeps_no_answer;     /* nobody will ask for its status */
    int reconnect;            /* reference on the function, taken over; or LUA_NOREF */
    uint64_t backoff, backoff_most; /* before it */
};

/* Planned. Pushes nothing. */
struct stream *client_new(struct script *script, const struct client_options *options);
void client_free(struct client **client);
/* Opens the call unless it has been. */
void client_open(struct stream *stream);
bool client_is_planned(const struct stream *stream);
/* What a planned stream will say. */
struct metadata *client_metadata(struct stream *stream);

/* Ends it; its status will be this one. From anywhere. */
void client_cancel(struct stream *stream, enum status status, const char *text);
/* All of a list of client.node: their opener ends. */
void clients_cancel(struct list *clients);
/* Behind it: those without a call close, the others when theirs does. Never from inside Lua. */
void clients_forget_opener(struct list *clients);
/* Behind what was sent, whoever sends it still. */
void client_half_close(struct stream *stream);
void client_half_close_when_sent(struct stream *stream);
/* Nothing can be sent any more. */
bool client_has_half_closed(const struct stream *stream);

/* Nobody but `reconnect` sends now; or nobody at all, while it is broken. */
bool client_is_blocked(struct stream *stream);
bool client_goes_first(const struct stream *stream, const struct fiber *fiber);
bool client_may_send(const struct stream *stream, const struct fiber *fiber);
/* The response headers have come. */
bool client_has_headers(const struct stream *stream);
/* The running coroutine reads it: what is there is not for others to throw away. */
void client_note_reader(struct stream *stream);
/* The running coroutine wants to know the end: what nobody else reads is in its way. */
void client_want_end(struct stream *stream);

uint64_t client_deadline(const struct stream *stream); /* monotonic ns; 0: none */
#endif
