/* rpc/request.h - what the headers of a request say, as far as rpc/ has to know it before there is a call.
 *
 * The names are gRPC's (grpc/grpc: doc/PROTOCOL-HTTP2.md, "Requests"): a dialect that has others translates the list
 * first (rpc/dialect.h). */
#ifndef TIDEWIRE_RPC_REQUEST_H
#define TIDEWIRE_RPC_REQUEST_H
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "http/stream.h"

struct text {
    const char *data;
    size_t length;
};

#define TEXT(literal) {literal, sizeof(literal) - 1}

static inline bool text_is(struct text text, const char *word) {
    return text.length == strlen(word) && memcmp(text.data, word, text.length) == 0;
}
/* The text before the first `separator`, without the blanks around it; `rest` is what follows that. */
struct text text_cut(struct text text, char separator, struct text *rest);
/* A list with commas, of which one item is this word. */
bool text_lists(struct text list, const char *word);

/* How the messages are written. The suffix of a content type says it: "application/grpc+json". */
enum codec {
    CODEC_PLAIN, /* protobuf, as nothing else is said */
    CODEC_PROTO,
    CODEC_JSON,
    CODEC_UNKNOWN,
};

/* Points into the headers. What a request does not have is empty. */
struct request {
    struct text method, path, encoding, timeout;
    struct text protocol;   /* that is to be spoken instead of HTTP: `:protocol` */
    struct text type;   /* the content-type without parameters: what an answer repeats */
    struct text accept; /* the media types that an answer may have */
    struct text origin; /* of the page that asks, if it is one */
    int authorities, hosts;
    bool has_connection, has_timeout, accepts_gzip;
};

struct request request_read(const struct http_header *headers, size_t count);
/* Splits "/pkg.Service/Method" at its last slash; false when it has not this form. */
bool request_path_split(struct text path, struct text *service, struct text *method);
/* "application/grpc+proto; a=b" is "application/grpc" and CODEC_PROTO. */
struct text request_type_split(struct text type, enum codec *codec);
#endif
