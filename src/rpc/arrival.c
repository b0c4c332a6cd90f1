/* rpc/arrival.c - which requests become calls. What is checked, and in which order, is what grpc-go does; how a refusal
 * is written is the dialect's. */
#include <stdio.h>

#include "rpc/call_private.h"
#include "rpc/cors.h"
#include "rpc/meter.h"
#include "rpc/pages.h"
#include "rpc/router_private.h"
#include "rpc/timeout.h"

enum { QUOTED_MOST = 200 /* of a name that the peer sent, in a text to it */ };

static const struct metadata no_metadata;

/* ---- refusing ---- */

static struct tally *unknown_tally(struct rpc *rpc) { return rpc->unknown ? rpc->unknown : &rpc->elsewhere; }

static void count_refused(const struct arrival *arrival, enum status status) {
    struct rpc *rpc = arrival->connection->rpc;
    enum call_reason reason = arrival->verdict ? REASON_LIMIT : REASON_CLIENT;
    counter_add(&rpc->counters.calls_started, 1);
    counter_add(&rpc->counters.calls_ended[status], 1);
    if (!arrival->dialect) {
        counter_add(&rpc->counters.strangers, 1);
    } else if (!arrival->connection->is_internal) {
        struct tally *tally = arrival->tally ? arrival->tally : unknown_tally(rpc);
        counter_add(&tally->started, 1);
        counter_add(&tally->handled[status], 1);
        counter_add(&rpc->counters.calls_closed[reason], 1);
    }
    access_refused(arrival, status, reason);
}

void arrival_answer(const struct arrival *arrival, enum status status, struct header_block *block, const void *body,
                    size_t body_length) {
    const struct rpc_connection *connection = arrival->connection;
    if (connection->cors) cors_add(connection->cors, arrival->request.origin, block, &connection->rpc->exposed);
    if (body)
        http_stream_respond_whole(arrival->stream, block->headers, block->count, body, body_length);
    else
        http_stream_respond(arrival->stream, block->headers, block->count, true);
    count_refused(arrival, status);
}

static struct header_block *plain_headers(const struct arrival *arrival, const char *http_status) {
    struct header_block *block = &arrival->connection->rpc->block;
    header_block_begin(block, 0, NULL, NULL);
    header_block_add(block, ":status", 7, http_status, 3);
    HEADER_BLOCK_ADD(block, "content-type", "text/plain");
    return block;
}

static bool refuse_in_text(const struct arrival *arrival, const char *http_status, enum status status,
                           const char *text) {
    arrival_answer(arrival, status, plain_headers(arrival, http_status), text, strlen(text));
    return false;
}

/* To a client that speaks nothing of what is spoken here, in a form that people can read. */
static bool refuse_plain(const struct arrival *arrival, const char *http_status, enum status status) {
    return refuse_in_text(arrival, http_status, status,
                          "This is a gRPC server: it answers POST requests whose content-type is application/grpc, "
                          "application/grpc-web, application/json or application/proto, WebSockets, and what its routes say.\n");
}

static bool refuse_verb(const struct arrival *arrival) {
    static const char text[] = "Requests to this server are GET, HEAD or POST.\n";
    plain_headers(arrival, "405");
    struct header_block *block = &arrival->connection->rpc->block;
    HEADER_BLOCK_ADD(block, "allow", "GET, HEAD, POST");
    arrival_answer(arrival, STATUS_UNIMPLEMENTED, block, text, sizeof text - 1);
    return false;
}

static void give_back(void *owner) {
    struct pages *pages = owner;
    pages_unref(&pages);
}

static bool show(const struct arrival *arrival, const struct page *page) {
    struct header_block *block = &arrival->connection->rpc->block;
    header_block_begin(block, 0, NULL, NULL);
    HEADER_BLOCK_ADD(block, ":status", "200");
    header_block_add(block, "content-type", 12, page->type, strlen(page->type));
    HEADER_BLOCK_ADD(block, "cache-control", "no-cache");
    HEADER_BLOCK_ADD(block, "x-content-type-options", "nosniff");
    const struct http_loan loan = {page->bytes, page->length, give_back, pages_ref(page->pages)};
    http_stream_respond_loan(arrival->stream, block->headers, block->count, &loan);
    return false;
}

/* Who looks for a page is told what stands here. That is no call, so nothing counts it. */
static bool answer_visitor(const struct arrival *arrival) {
    if (!text_is(arrival->request.method, "GET") && !text_is(arrival->request.method, "HEAD")) return refuse_verb(arrival);
    const struct router *router = arrival_router(arrival);
    const struct page *page = router ? pages_find(router_pages(router), arrival->request.path) : NULL;
    if (page) return show(arrival, page);
    if (!text_is(arrival->request.path, "/"))
        return refuse_in_text(arrival, "404", STATUS_UNIMPLEMENTED, "There is nothing here.\n");
    const struct header_block *block = plain_headers(arrival, "200");
    http_stream_respond_text(arrival->stream, block->headers, block->count,
                             "tidewire " TIDEWIRE_VERSION ": a gateway for gRPC, gRPC-Web, Connect, WebSocket and REST: calls are "
                             "POST requests or WebSockets to /package.Service/Method, or what its routes say.\n");
    return false;
}

static struct text find_header(const struct arrival *arrival, const char *name) {
    const struct http_header *header = http_header_find(arrival->headers, arrival->count, name);
    return header ? (struct text){header->value, header->value_length} : (struct text){0};
}

/* A browser asks whether a page may call. That is no call, and no handler hears of it. */
static bool is_preflight(const struct arrival *arrival) {
    const struct request *request = &arrival->request;
    return arrival->connection->cors && text_is(request->method, "OPTIONS") && request->origin.length &&
           find_header(arrival, "access-control-request-method").length;
}

static bool answer_preflight(const struct arrival *arrival) {
    struct header_block *block = &arrival->connection->rpc->block;
    header_block_begin(block, 0, NULL, NULL);
    HEADER_BLOCK_ADD(block, ":status", "204");
    cors_add_preflight(arrival->connection->cors, arrival->request.origin,
                       find_header(arrival, "access-control-request-headers"), block);
    http_stream_respond(arrival->stream, block->headers, block->count, true);
    return false;
}

static bool is_visitor(const struct arrival *arrival) {
    return !arrival->dialect && !text_is(arrival->request.method, "POST");
}

/* Returns false: a check that fails ends with it. */
static bool refuse(const struct arrival *arrival, enum refusal refusal, enum status status, const char *text) {
    arrival->dialect->refuse(arrival, refusal, status, text);
    return false;
}

static bool refuse_malformed(const struct arrival *arrival, const char *text) {
    return refuse(arrival, REFUSED_MALFORMED, arrival->dialect->malformed, text);
}

static int quoted(struct text text) { return text.length < QUOTED_MOST ? (int)text.length : QUOTED_MOST; }

static bool refuse_path(const struct arrival *arrival) {
    struct text path = arrival->request.path;
    char text[QUOTED_MOST + 64];
    snprintf(text, sizeof text, "malformed method name: \"%.*s\"", quoted(path),
             path.length ? path.data : "");
    return refuse(arrival, REFUSED_PATH, STATUS_UNIMPLEMENTED, text);
}

static bool refuse_method(const struct arrival *arrival, struct text service, struct text method) {
    char text[2 * QUOTED_MOST + 64];
    if (arrival->is_known_service)
        snprintf(text, sizeof text, "unknown method %.*s for service %.*s", quoted(method), method.data,
                 quoted(service), service.data);
    else
        snprintf(text, sizeof text, "unknown service %.*s", quoted(service), service.data);
    return refuse(arrival, REFUSED_PATH, STATUS_UNIMPLEMENTED, text);
}

static bool refuse_encoding(const struct arrival *arrival) {
    struct text encoding = arrival->request.encoding;
    char text[QUOTED_MOST + 64];
    snprintf(text, sizeof text, "the encoding \"%.*s\" is not supported", quoted(encoding), encoding.data);
    return refuse(arrival, REFUSED_ENCODING, STATUS_UNIMPLEMENTED, text);
}

/* ---- checking ---- */

static bool check_headers(const struct arrival *arrival, bool is_too_large) {
    const struct request *request = &arrival->request;
    if (is_too_large) {
        static const char text[] = "the headers of the request are too large";
        counter_add(&arrival->connection->rpc->counters.limited, 1);
        return arrival->dialect ? refuse(arrival, REFUSED_AS_STATUS, STATUS_RESOURCE_EXHAUSTED, text)
                                : refuse_plain(arrival, "431", STATUS_RESOURCE_EXHAUSTED);
    }
    if (request->authorities > 1 || request->hosts > 1)
        return arrival->dialect ? refuse_malformed(arrival, "the request names more than one authority")
                                : refuse_plain(arrival, "400", STATUS_INTERNAL);
    if (request->has_connection) { /* RFC 9113 section 8.2.2 */
        http_stream_reset(arrival->stream, HTTP_PROTOCOL_ERROR);
        return false;
    }
    if (is_preflight(arrival)) return answer_preflight(arrival);
    if (is_visitor(arrival)) return answer_visitor(arrival);
    if (!arrival->dialect) return refuse_plain(arrival, "415", STATUS_INVALID_ARGUMENT);
    if (arrival->dialect->needs_http2 && http_stream_version(arrival->stream) < HTTP_2) /* as grpc-go does */
        return refuse_in_text(arrival, "505", STATUS_INTERNAL, "gRPC needs HTTP/2.\n");
    return true;
}

/* `timeout` 0: none. A raw call's metadata and messages are the business of the server behind. */
static bool check_values(const struct arrival *arrival, bool is_raw, const struct peer_metadata *metadata,
                         uint64_t *timeout) {
    const struct request *request = &arrival->request;
    *timeout = 0;
    if (request->has_timeout && !timeout_parse(request->timeout.data, request->timeout.length, timeout))
        return refuse_malformed(arrival, "grpc-timeout is malformed");
    if (!is_raw && !metadata) return refuse_malformed(arrival, "a -bin header is not base64");
    if (!text_is(request->method, "POST"))
        return refuse(arrival, REFUSED_VERB, STATUS_INTERNAL, "a call is a POST request");
    if (!is_raw && arrival->codec == CODEC_UNKNOWN)
        return refuse(arrival, REFUSED_TYPE, STATUS_UNIMPLEMENTED, "messages are served as +proto and +json only");
    if (request->has_timeout && *timeout == 0)
        return refuse(arrival, REFUSED_AS_STATUS, STATUS_DEADLINE_EXCEEDED, "the deadline has passed");
    return true;
}

static const struct router *router_of(const struct rpc_connection *connection) {
    return connection->router ? connection->router : connection->rpc->router;
}

const struct router *arrival_router(const struct arrival *arrival) { return router_of(arrival->connection); }

static void find_route(struct arrival *arrival) {
    const struct router *router = router_of(arrival->connection);
    struct text service, method;
    if (!router || !request_path_split(arrival->request.path, &service, &method)) return;
    arrival->route = router_find(router, service.data, service.length, method.data, method.length,
                                 &arrival->is_known_service);
    if (!arrival->route) return;
    arrival->tally = router_tally(arrival->route, service, method);
    arrival->method = arrival->route->method;
    if (arrival->method || !arrival->dialect->is_foreign || !router_schema(router)) return;
    const struct service *known = schema_service(router_schema(router), service.data, service.length);
    if (known) arrival->method = service_method(known, method.data, method.length);
}

/* Whether the dialect can carry the method. Below HTTP/2 a call that streams both ways goes one way after the other, unless
 * the client reads while it writes. */
static bool check_shape(const struct arrival *arrival) {
    const struct method *method = arrival->method;
    const struct dialect *dialect = arrival->dialect;
    bool is_unary = !method->is_client_streaming && !method->is_server_streaming;
    if (dialect->is_safe && !method->has_no_side_effects)
        return refuse(arrival, REFUSED_VERB, STATUS_UNIMPLEMENTED, "only methods without side effects are called by GET");
    if (dialect->shape == SHAPE_UNARY && !is_unary)
        return refuse(arrival, REFUSED_TYPE, STATUS_UNIMPLEMENTED, "the method streams: this content-type is for one message");
    if (dialect->shape == SHAPE_STREAM && is_unary)
        return refuse(arrival, REFUSED_TYPE, STATUS_UNIMPLEMENTED, "the method does not stream, as this content-type does");
    return true;
}

/* Of what is passed on messages need not be understood, unless they are JSON. */
static bool check_untyped(const struct arrival *arrival) {
    if (arrival->dialect->is_safe)
        return refuse(arrival, REFUSED_VERB, STATUS_UNIMPLEMENTED, "only methods without side effects are called by GET");
    if (arrival->codec == CODEC_JSON)
        return refuse(arrival, REFUSED_TYPE, STATUS_UNIMPLEMENTED,
                      "the types of this method are not known here: it is served as protobuf only");
    return true;
}

static bool check_route(const struct arrival *arrival) {
    struct text service, method, encoding = arrival->request.encoding;
    if (!router_of(arrival->connection))
        return refuse(arrival, REFUSED_AS_STATUS, STATUS_UNAVAILABLE, "the server does not serve yet");
    if (!request_path_split(arrival->request.path, &service, &method)) return refuse_path(arrival);
    if (!arrival->route) return refuse_method(arrival, service, method);
    if (!arrival->route->handler->on_open) return refuse_method(arrival, service, method);
    if (encoding.length && !text_is(encoding, "identity") && !text_is(encoding, "gzip")) return refuse_encoding(arrival);
    return arrival->method ? check_shape(arrival) : check_untyped(arrival);
}

/* ---- accepting ---- */

/* A method that is passed on, and whose types nobody knows; the content type may say that it does not stream. */
static struct method *method_new(const struct arrival *arrival) {
    struct text path = arrival->request.path;
    struct method *method = memory_new(sizeof *method + path.length);
    char *name = mempcpy(method + 1, path.data + 1, path.length - 1);
    *name = 0;
    method->full_name = (const char *)(method + 1);
    method->name = strrchr(method->full_name, '/') + 1;
    method->is_client_streaming = method->is_server_streaming = arrival->dialect->shape != SHAPE_UNARY;
    return method;
}

/* The last check, since a call that it lets through is counted. */
static bool check_limits(struct arrival *arrival, bool is_raw, struct meter **meter) {
    struct rpc_connection *connection = arrival->connection;
    const char *listener = arrival->route->limits.is_link ? NULL : connection->listener;
    const struct meter_request request = {
        .connection = connection,
        .sets = {arrival->route->set, router_listener_limits(router_of(connection), listener)},
        .most = is_raw ? arrival->route->limits.passed_message : 0,
        .headers = arrival->headers,
        .header_count = arrival->count};
    struct meter_verdict verdict;
    if (meter_open(&request, meter, &verdict)) return true;
    counter_add(&connection->rpc->counters.limited, 1);
    arrival->verdict = &verdict;
    return refuse(arrival, REFUSED_AS_STATUS, STATUS_RESOURCE_EXHAUSTED, verdict.text);
}

/* What comes from another worker is counted there. */
static void begin_tally(struct rpc_call *call, struct tally *tally) {
    if (call->connection->is_internal) return;
    counter_add(&call->call.rpc->counters.calls_served, 1);
    if (!tally) return;
    call->call.tally = tally;
    if (!call->is_raw && call->call.method->is_server_streaming) call->call.sent = &tally->sent;
    counter_add(&tally->started, 1);
}

static struct rpc_call *accept_call(const struct arrival *arrival, const struct method *method, struct meter *meter,
                                    uint64_t timeout) {
    const struct call_route *route = arrival->route;
    struct rpc_call *call = call_new(arrival->connection, arrival->connection->account, arrival->dialect,
                                     method, route->handler, route->data, &route->limits);
    router_call_opened(route);
    call->call.route = route;
    begin_tally(call, arrival->tally);
    call->stream = arrival->stream;
    call->codec = arrival->codec == CODEC_UNKNOWN ? CODEC_PLAIN : arrival->codec;
    http_stream_set_user(arrival->stream, call);
    meter_begin(call, meter);
    if (timeout) call_set_deadline(call, call->call.opened + timeout);
    access_opened(call);
    return call;
}

static void accept_framed(struct arrival *arrival, bool is_end) {
    struct rpc_connection *connection = arrival->connection;
    const struct request *request = &arrival->request;
    uint64_t timeout;
    struct meter *meter;
    struct peer_metadata *metadata =
        peer_metadata_read(&connection->rpc->reader, arrival->headers, arrival->count, &connection->last_metadata);
    if (!check_values(arrival, false, metadata, &timeout) || !check_route(arrival) ||
        !check_limits(arrival, false, &meter)) {
        peer_metadata_unref(&metadata);
        return;
    }
    struct method *untyped = arrival->method ? NULL : method_new(arrival);
    struct rpc_call *call = accept_call(arrival, untyped ? untyped : arrival->method, meter, timeout);
    if (untyped) call_edge(call)->method = untyped;
    call->call.metadata = &metadata->metadata;
    call->peer_headers = metadata;
    call->encoding = text_is(request->encoding, "gzip") ? ENCODING_GZIP : ENCODING_IDENTITY;
    call->accepts_gzip = request->accepts_gzip;
    call->reads_json = arrival->codec == CODEC_JSON;
    call_set_compressing(call, call->encoding == ENCODING_GZIP && request->accepts_gzip);
    if (arrival->dialect->begin) arrival->dialect->begin(call, arrival);
    if (call->call.method->is_client_streaming) call_wake(call, NEWS_OPEN);
    if (is_end) call_on_end(call);
}

static void accept_raw(struct arrival *arrival, bool is_end) {
    uint64_t timeout;
    struct meter *meter;
    if (!check_values(arrival, true, NULL, &timeout) || !check_limits(arrival, true, &meter)) return;
    struct rpc_call *call = accept_call(arrival, NULL, meter, timeout);
    call->name = memory_copy(arrival->request.path.data + 1, arrival->request.path.length - 1);
    call->call.log.method = call->name;
    call->call.metadata = &no_metadata;
    call->state = CALL_OPEN;
    call->was_opened = true;
    call->inbound.is_ended = is_end;
    call->call.handler->on_request(&call->call, arrival->headers, arrival->count, is_end);
}

struct header_block *arrival_translation(const struct arrival *arrival, size_t text) {
    struct header_block *block = &arrival->connection->rpc->translation;
    header_block_begin(block, text, NULL, NULL);
    return block;
}

static bool translate(struct arrival *arrival) {
    const struct header_block *block = &arrival->connection->rpc->translation;
    struct text type = arrival->request.type;
    if (!arrival->dialect->translate) return true;
    if (!arrival->dialect->translate(arrival)) return false;
    arrival->headers = block->headers;
    arrival->count = block->count;
    arrival->request = request_read(arrival->headers, arrival->count);
    arrival->request.type = type; /* what refusals repeat */
    return true;
}

void arrival_request(struct http_session *session, struct http_stream *stream, const struct http_header *headers,
                     size_t count, bool is_end, bool is_too_large) {
    struct arrival arrival = {
        .connection = http_session_owner(session), .stream = stream, .headers = headers, .count = count};
    arrival.request = request_read(headers, count);
    dialect_recognise(&arrival);
    if (!check_headers(&arrival, is_too_large) || !translate(&arrival)) return;
    find_route(&arrival);
    if (arrival.route && !arrival.method && !arrival.dialect->is_foreign)
        accept_raw(&arrival, is_end);
    else
        accept_framed(&arrival, is_end);
}
