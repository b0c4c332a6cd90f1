/* rpc/cors.h - which pages of other origins may call, as browsers want to be told (fetch.spec.whatwg.org, "HTTP extensions":
 * the CORS protocol).
 *
 * A browser asks before a call (a preflight: OPTIONS, which no handler hears of), and shows a page no answer without these
 * headers, failures and refusals included. A page of an origin that is not named is served like any other client, but
 * without them: its browser keeps the answer from it. */
#ifndef TIDEWIRE_RPC_CORS_H
#define TIDEWIRE_RPC_CORS_H
#include <stdbool.h>
#include <stdint.h>

#include "rpc/request.h"

struct buffer;
struct header_block;

struct cors_options {
    char *const *origins; /* as `cors { origins }` of the config has them; ended by NULL */
    char *const *headers; /* of requests, beyond those of the protocols; "*": all; ended by NULL, or NULL */
    uint64_t max_age;     /* how long a browser may remember the answer to a preflight; ns */
    bool credentials;     /* cookies and client certificates may come along */
};

/* Constant, and counted over threads. Copies what it is given. */
struct cors;
struct cors *cors_new(const struct cors_options *options);
struct cors *cors_ref(struct cors *cors);
void cors_unref(struct cors **cors);

bool cors_allows(const struct cors *cors, struct text origin);
/* The page is this server's own; or there is none. */
bool cors_is_same_origin(struct text origin, struct text authority);
/* Where a browser does not ask before it calls: a page of another site may not use what the browser knows of its user.
 * Who is no browser sends no origin. `cors`: NULL where pages of other origins cannot call. */
bool cors_may_call(const struct cors *cors, struct text origin, struct text authority);
bool cors_takes_credentials(const struct cors *cors);

/* To an answer that is complete but for these: names all of its own headers for the page to see. `text` holds what has to
 * be written anew, and is borrowed by the block. */
void cors_add(const struct cors *cors, struct text origin, struct header_block *block, struct buffer *text);
/* The headers of the answer to a preflight, which has status 204; `asked`: access-control-request-headers. */
void cors_add_preflight(const struct cors *cors, struct text origin, struct text asked, struct header_block *block);
#endif
