/* rpc/grpc_server.c - gRPC over HTTP/2, the answering side: which requests become calls, and how answers are
 * written (grpc/grpc: doc/PROTOCOL-HTTP2.md; where it leaves a choice, what grpc-go does). */
#include <stdio.h>

#include "rpc/call_private.h"
#include "rpc/grpc_request.h"
#include "rpc/router_private.h"
#include "rpc/status_text.h"
#include "rpc/timeout.h"

enum {
    DETAILS_MOST = 12 * 1024, /* of a serialized google.rpc.Status; larger ones are left out */
    QUOTED_MOST = 200,        /* of a name that the peer sent, in a text to it */
    TYPE_MOST = 64,           /* of a content-type that is repeated to the peer */
};

#define HEADER(name_, value_)                                                                                \
    { .name = name_, .value = value_, .name_length = sizeof(name_) - 1, .value_length = sizeof(value_) - 1 }

static const struct metadata no_metadata;
static const struct text plain_type = {"application/grpc", 16}, proto_type = {"application/grpc+proto", 22};

/* A request that has not become a call. */
struct arrival {
    struct rpc_connection *connection;
    struct http_stream *stream;
    struct grpc_request request;
    const struct call_route *route; /* NULL: nobody answers this path */
    bool is_known_service;
};

static bool is(struct text text, const char *word) {
    return text.length == strlen(word) && memcmp(text.data, word, text.length) == 0;
}

/* ---- refusing ---- */

static void count_refused(const struct arrival *arrival, enum status status) {
    struct rpc *rpc = arrival->connection->rpc;
    rpc->counters.calls_started++;
    rpc->counters.calls_ended[status]++;
    access_refused(arrival->connection, arrival->request.path.data, arrival->request.path.length, status);
}

/* The whole answer in one header block; there is no call. */
static void refuse_with(const struct arrival *arrival, const char *http_status, enum status status,
                        bool tells_encodings, const char *text) {
    struct rpc *rpc = arrival->connection->rpc;
    struct header_block *block = &rpc->block;
    const struct grpc_request *request = &arrival->request;
    bool is_repeated = request->type.length <= TYPE_MOST;
    const struct text *type = is_repeated ? &request->type : &plain_type;
    char number[4];
    int length = snprintf(number, sizeof number, "%d", (int)status);
    header_block_begin(block, STATUS_TEXT_MOST, NULL, NULL);
    header_block_add(block, ":status", 7, http_status, 3);
    header_block_add(block, "content-type", 12, type->data, type->length);
    if (tells_encodings) HEADER_BLOCK_ADD(block, "grpc-accept-encoding", "gzip");
    header_block_add(block, "grpc-status", 11, number, (size_t)length);
    header_block_add_message(block, text);
    http_stream_respond(arrival->stream, block->headers, block->count, true);
    count_refused(arrival, status);
}

/* To a client that doesn't speak gRPC, in a form that people can read. */
static bool refuse_plain(const struct arrival *arrival, const char *http_status, enum status status) {
    static const char text[] =
        "This is a gRPC server: it answers POST requests whose content-type is application/grpc.\n";
    char length[8];
    snprintf(length, sizeof length, "%zu", sizeof text - 1);
    const struct http_header headers[] = {
        {.name = ":status", .value = http_status, .name_length = 7, .value_length = 3},
        HEADER("content-type", "text/plain"),
        {.name = "content-length", .value = length, .name_length = 14, .value_length = strlen(length)},
    };
    if (is(arrival->request.method, "HEAD"))
        http_stream_respond(arrival->stream, headers, 3, true);
    else
        http_stream_respond_text(arrival->stream, headers, 3, text);
    count_refused(arrival, status);
    return false;
}

/* Returns false: a check that fails ends with it. */
static bool refuse(const struct arrival *arrival, const char *http_status, enum status status,
                   const char *text) {
    refuse_with(arrival, http_status, status, false, text);
    return false;
}

static int quoted(struct text text) { return text.length < QUOTED_MOST ? (int)text.length : QUOTED_MOST; }

static bool refuse_path(const struct arrival *arrival) {
    struct text path = arrival->request.path;
    char text[QUOTED_MOST + 64];
    snprintf(text, sizeof text, "malformed method name: \"%.*s\"", quoted(path),
             path.length ? path.data : "");
    return refuse(arrival, "200", STATUS_UNIMPLEMENTED, text);
}

static bool refuse_method(const struct arrival *arrival, struct text service, struct text method,
                          bool is_known_service) {
    char text[2 * QUOTED_MOST + 64];
    if (is_known_service)
        snprintf(text, sizeof text, "unknown method %.*s for service %.*s", quoted(method), method.data,
                 quoted(service), service.data);
    else
        snprintf(text, sizeof text, "unknown service %.*s", quoted(service), service.data);
    return refuse(arrival, "200", STATUS_UNIMPLEMENTED, text);
}

static bool refuse_encoding(const struct arrival *arrival) {
    struct text encoding = arrival->request.encoding;
    char text[QUOTED_MOST + 64];
    snprintf(text, sizeof text, "grpc-encoding \"%.*s\" is not supported", quoted(encoding), encoding.data);
    refuse_with(arrival, "200", STATUS_UNIMPLEMENTED, true, text);
    return false;
}

/* ---- checking, in the order of grpc-go ---- */

static bool check_headers(const struct arrival *arrival, bool is_too_large) {
    const struct grpc_request *request = &arrival->request;
    bool is_plain = request->content == CONTENT_OTHER;
    if (is_too_large) {
        arrival->connection->rpc->counters.limited++;
        return is_plain ? refuse_plain(arrival, "431", STATUS_RESOURCE_EXHAUSTED)
                        : refuse(arrival, "200", STATUS_RESOURCE_EXHAUSTED,
                                 "the headers of the request are too large");
    }
    if (request->authorities > 1 || request->hosts > 1)
        return is_plain ? refuse_plain(arrival, "400", STATUS_INTERNAL)
                        : refuse(arrival, "400", STATUS_INTERNAL, "the request names more than one authority");
    if (request->has_connection) { /* RFC 9113 section 8.2.2 */
        http_stream_reset(arrival->stream, HTTP_PROTOCOL_ERROR);
        return false;
    }
    if (is_plain) return refuse_plain(arrival, "415", STATUS_INVALID_ARGUMENT);
    return true;
}

/* `timeout` 0: none. A raw call's metadata and messages are the business of the server behind. */
static bool check_values(const struct arrival *arrival, bool is_raw, const struct peer_metadata *metadata,
                         uint64_t *timeout) {
    const struct grpc_request *request = &arrival->request;
    *timeout = 0;
    if (request->has_timeout && !timeout_parse(request->timeout.data, request->timeout.length, timeout))
        return refuse(arrival, "400", STATUS_INTERNAL, "grpc-timeout is malformed");
    if (!is_raw && !metadata) return refuse(arrival, "400", STATUS_INTERNAL, "a -bin header is not base64");
    if (!is(request->method, "POST"))
        return refuse(arrival, "405", STATUS_INTERNAL, "a call is a POST request");
    if (!is_raw && request->content == CONTENT_UNKNOWN_SUFFIX)
        return refuse(arrival, "200", STATUS_UNIMPLEMENTED,
                      "messages are served as application/grpc+proto only");
    if (request->has_timeout && *timeout == 0)
        return refuse(arrival, "200", STATUS_DEADLINE_EXCEEDED, "the deadline has passed");
    return true;
}

static const struct router *router_of(const struct rpc_connection *connection) {
    return connection->router ? connection->router : connection->rpc->router;
}

static void find_route(struct arrival *arrival) {
    const struct router *router = router_of(arrival->connection);
    struct text service, method;
    if (!router || !grpc_path_split(arrival->request.path, &service, &method)) return;
    arrival->route = router_find(router, service.data, service.length, method.data, method.length,
                                 &arrival->is_known_service);
}

static bool check_route(const struct arrival *arrival) {
    struct text service, method, encoding = arrival->request.encoding;
    if (!router_of(arrival->connection))
        return refuse(arrival, "200", STATUS_UNAVAILABLE, "the server does not serve yet");
    if (!grpc_path_split(arrival->request.path, &service, &method)) return refuse_path(arrival);
    if (!arrival->route) return refuse_method(arrival, service, method, arrival->is_known_service);
    if (encoding.length && !is(encoding, "identity") && !is(encoding, "gzip")) return refuse_encoding(arrival);
    return true;
}

static const struct dialect grpc;

static struct rpc_call *accept_call(const struct arrival *arrival, uint64_t timeout) {
    const struct call_route *route = arrival->route;
    struct rpc_call *call =
        call_new(arrival->connection, arrival->connection->account, &grpc, route->method, route->handler, route->data,
                 &route->limits);
    router_call_opened(route);
    call->call.route = route;
    call->stream = arrival->stream;
    call->is_proto_suffix = arrival->request.content == CONTENT_PROTO;
    http_stream_set_user(arrival->stream, call);
    if (timeout) call_set_deadline(call, call->call.opened + timeout);
    access_opened(call);
    return call;
}

static void accept_framed(const struct arrival *arrival, const struct http_header *headers, size_t count,
                          bool is_end) {
    struct rpc_connection *connection = arrival->connection;
    const struct grpc_request *request = &arrival->request;
    uint64_t timeout;
    struct peer_metadata *metadata =
        peer_metadata_read(&connection->rpc->reader, headers, count, &connection->last_metadata);
    if (!check_values(arrival, false, metadata, &timeout) || !check_route(arrival)) {
        peer_metadata_unref(&metadata);
        return;
    }
    struct rpc_call *call = accept_call(arrival, timeout);
    call->call.metadata = &metadata->metadata;
    call->peer_headers = metadata;
    call->encoding = is(request->encoding, "gzip") ? ENCODING_GZIP : ENCODING_IDENTITY;
    call->accepts_gzip = request->accepts_gzip;
    call->is_compressing = call->encoding == ENCODING_GZIP && request->accepts_gzip;
    if (arrival->route->method->is_client_streaming) call_wake(call, NEWS_OPEN);
    if (is_end) call_on_end(call);
}

static void accept_raw(const struct arrival *arrival, const struct http_header *headers, size_t count, bool is_end) {
    uint64_t timeout;
    if (!check_values(arrival, true, NULL, &timeout)) return;
    struct rpc_call *call = accept_call(arrival, timeout);
    call->name = memory_copy(arrival->request.path.data + 1, arrival->request.path.length - 1);
    call->call.log.method = call->name;
    call->call.metadata = &no_metadata;
    call->state = CALL_OPEN;
    call->was_opened = true;
    call->inbound.is_ended = is_end;
    call->call.handler->on_request(&call->call, headers, count, is_end);
}

void grpc_server_request(struct http_session *session, struct http_stream *stream,
                         const struct http_header *headers, size_t count, bool is_end, bool is_too_large) {
    struct arrival arrival = {.connection = http_session_owner(session), .stream = stream};
    arrival.request = grpc_request_read(headers, count);
    if (!check_headers(&arrival, is_too_large)) return;
    find_route(&arrival);
    if (arrival.route && !arrival.route->method)
        accept_raw(&arrival, headers, count, is_end);
    else
        accept_framed(&arrival, headers, count, is_end);
}

/* ---- answering ---- */

static void begin_headers(const struct rpc_call *call, struct header_block *block) {
    const struct text *type = call->is_proto_suffix ? &proto_type : &plain_type;
    HEADER_BLOCK_ADD(block, ":status", "200");
    header_block_add(block, "content-type", 12, type->data, type->length);
}

static void send_headers(struct rpc_call *call) {
    static const struct http_header plain[] = {HEADER(":status", "200"),
                                               HEADER("content-type", "application/grpc")};
    call->has_sent_headers = true;
    if (!call->headers && !call->is_compressing && !call->is_proto_suffix) {
        http_stream_respond(call->stream, plain, 2, false);
        return;
    }
    struct header_block *block = &call->call.rpc->block;
    header_block_begin(block, 0, call->headers, NULL);
    begin_headers(call, block);
    if (call->is_compressing) HEADER_BLOCK_ADD(block, "grpc-encoding", "gzip");
    header_block_add_metadata(block, call->headers);
    http_stream_respond(call->stream, block->headers, block->count, false);
}

static void add_status(const struct rpc_call *call, struct header_block *block, char number[4],
                       const void *details, size_t details_length) {
    int length = snprintf(number, 4, "%d", call->status);
    header_block_add(block, "grpc-status", 11, number, (size_t)length);
    if (call->text) header_block_add_message(block, call->text);
    if (details_length)
        header_block_add_binary(block, "grpc-status-details-bin", 23, details, details_length);
    header_block_add_metadata(block, call->trailers);
}

/* Trailers-Only where nothing was sent and no headers were set: only that lets a client retry. */
static void send_end(struct rpc_call *call, const void *details, size_t details_length) {
    static const struct http_header ok[] = {HEADER("grpc-status", "0")};
    struct header_block *block = &call->call.rpc->block;
    char number[4];
    call->has_sent_end = true;
    if (details_length > DETAILS_MOST) {
        log_warn(&call->call.log, "status details of %zu bytes are left out, at most %d are sent",
                 details_length, DETAILS_MOST);
        details_length = 0;
    }
    if (!call->has_sent_headers && call->headers && call->headers->count) send_headers(call);
    if (call->has_sent_headers && call->status == STATUS_OK && !call->text && !call->trailers &&
        !details_length) {
        http_stream_finish(call->stream, ok, 1);
        return;
    }
    bool is_all = !call->has_sent_headers;
    call->has_sent_headers = true;
    header_block_begin(block, STATUS_TEXT_MOST + 2 * details_length, call->trailers, NULL);
    if (is_all) begin_headers(call, block);
    add_status(call, block, number, details, details_length);
    if (is_all)
        http_stream_respond(call->stream, block->headers, block->count, true);
    else
        http_stream_finish(call->stream, block->headers, block->count);
}

static const struct dialect grpc = {.name = "grpc", .send_headers = send_headers, .send_end = send_end};
