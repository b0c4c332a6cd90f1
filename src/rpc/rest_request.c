/* rpc/rest_request.c - see rest.h */
#include <strings.h>

#include "rpc/call_private.h"
#include "rpc/cors.h"
#include "rpc/pages.h"
#include "rpc/rest.h"

static bool is_type(struct text type, const char *name) {
    return type.length == strlen(name) && strncasecmp(type.data, name, type.length) == 0;
}

/* ---- whose a request is ---- */

static bool names_method(const struct router *router, struct text path) {
    const struct schema *schema = router_schema(router);
    struct text service, method;
    if (!schema || !request_path_split(path, &service, &method)) return false;
    const struct service *known = schema_service(schema, service.data, service.length);
    return known && service_method(known, method.data, method.length);
}

static bool is_page(const struct arrival *arrival, const struct router *router) {
    const struct request *request = &arrival->request;
    bool is_shown = text_is(request->method, "GET") || text_is(request->method, "HEAD");
    return is_shown && pages_find(router_pages(router), request->path);
}

/* A path that is a route's by its form alone may be that of a method, or of a page, too: these go before. */
bool rest_recognise(struct arrival *arrival) {
    const struct router *router = arrival_router(arrival);
    struct text query, path = text_cut(arrival->request.path, '?', &query);
    struct path_match match;
    size_t place = 0;
    const struct path_route *route = router ? router_next_path(router, PATH_HTTP, path, &match, &place) : NULL;
    if (!route || names_method(router, path) || is_page(arrival, router)) return false;
    while (route && !rest_route_takes(route->rest, arrival->request.method))
        route = router_next_path(router, PATH_HTTP, path, &match, &place);
    arrival->rest.route = route;
    arrival->rest.verb = arrival->request.method;
    arrival->rest.target = arrival->request.path;
    return true;
}

/* ---- the request as gRPC has it ---- */

static bool refuse(const struct arrival *arrival, enum refusal refusal, const char *text) {
    rest_refuse(arrival, refusal, refusal == REFUSED_TYPE ? STATUS_INVALID_ARGUMENT : STATUS_UNIMPLEMENTED, text);
    return false;
}

/* What a page of another site can send without asking its browser first is none of these. */
static bool is_read(const struct rest_route *route, struct text type) {
    enum codec codec;
    struct text base = request_type_split(type, &codec);
    if (route->is_body_raw) return true;
    if (codec == CODEC_JSON || is_type(base, "application/json")) return true;
    if (!route->method->is_client_streaming) return false;
    return is_type(base, "application/x-ndjson") || is_type(base, "application/ndjson") || is_type(base, "application/jsonl");
}

static bool is_dropped(const struct http_header *header) {
    if (http_header_is(header, "content-length") || http_header_is(header, "content-type")) return true;
    return header->name_length > 5 && memcmp(header->name, "grpc-", 5) == 0 && !http_header_is(header, "grpc-timeout");
}

/* Of what changes nothing, a browser keeps the answer from pages of other sites; of the rest it does not always ask
 * before. */
static bool may_call(const struct arrival *arrival) {
    const struct http_header *authority = http_header_find(arrival->headers, arrival->count, ":authority");
    if (!authority) authority = http_header_find(arrival->headers, arrival->count, "host");
    if (text_is(arrival->rest.verb, "GET") || text_is(arrival->rest.verb, "HEAD")) return true;
    return cors_may_call(arrival->connection->cors, arrival->request.origin,
                         authority ? (struct text){authority->value, authority->value_length} : (struct text){0});
}

static bool check(const struct arrival *arrival, struct text encoding) {
    const struct path_route *route = arrival->rest.route;
    if (!route) return refuse(arrival, REFUSED_VERB, "this path is not served with this method of HTTP");
    if (!may_call(arrival)) {
        rest_refuse(arrival, REFUSED_AS_STATUS, STATUS_PERMISSION_DENIED, "pages of this origin may not call");
        return false;
    }
    if (!route->rest->has_body) return true;
    if (arrival->request.type.length && !is_read(route->rest, arrival->request.type))
        return refuse(arrival, REFUSED_TYPE, "a body is read as application/json");
    if (route->rest->method->is_client_streaming && encoding.length && !text_is(encoding, "identity"))
        return refuse(arrival, REFUSED_ENCODING, "a body of several messages is read without compression");
    return true;
}

bool rest_translate(struct arrival *arrival) {
    const struct path_route *route = arrival->rest.route;
    struct header_block *block = arrival_translation(arrival, 0);
    struct text encoding = {0};
    arrival->codec = CODEC_JSON;
    for (size_t i = 0; i < arrival->count; i++) {
        const struct http_header *header = &arrival->headers[i];
        const char *value = header->value;
        size_t length = header->value_length;
        if (http_header_is(header, ":path") && route) {
            header_block_add(block, ":path", 5, route->method, strlen(route->method));
        } else if (http_header_is(header, ":method")) {
            HEADER_BLOCK_ADD(block, ":method", "POST");
        } else if (http_header_is(header, "content-encoding")) {
            encoding = (struct text){value, length};
            if (route && route->rest->has_body) header_block_add(block, "grpc-encoding", 13, value, length);
        } else if (http_header_is(header, "accept-encoding")) {
            header_block_add(block, "grpc-accept-encoding", 20, value, length);
        } else if (!is_dropped(header)) {
            header_block_add(block, header->name, header->name_length, value, length);
        }
    }
    return check(arrival, encoding);
}
