/* rpc/grpc_request.h - what the headers of a gRPC request say (grpc/grpc: doc/PROTOCOL-HTTP2.md, "Requests"). */
#ifndef TIDEWIRE_RPC_GRPC_REQUEST_H
#define TIDEWIRE_RPC_GRPC_REQUEST_H
#include <stdbool.h>
#include <stddef.h>

#include "http/stream.h"

struct text {
    const char *data;
    size_t length;
};

enum grpc_content {
    CONTENT_OTHER,          /* not gRPC */
    CONTENT_PLAIN,          /* application/grpc, which means protobuf */
    CONTENT_PROTO,          /* application/grpc+proto */
    CONTENT_UNKNOWN_SUFFIX, /* application/grpc+json and the like */
};

/* Points into the headers. What a request does not have is empty. */
struct grpc_request {
    struct text method, path, encoding, timeout;
    struct text type; /* the content-type without parameters: what an answer repeats */
    enum grpc_content content;
    int authorities, hosts;
    bool has_connection, has_timeout, accepts_gzip;
};

struct grpc_request grpc_request_read(const struct http_header *headers, size_t count);
/* Splits "/pkg.Service/Method" at its last slash; false when it has not this form. */
bool grpc_path_split(struct text path, struct text *service, struct text *method);
enum grpc_content grpc_content_of(struct text type);
#endif
