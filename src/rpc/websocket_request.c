/* rpc/websocket_request.c - see websocket.h */
#include <strings.h>

#include "net/digest.h"
#include "rpc/call_private.h"
#include "rpc/connect.h"
#include "rpc/cors.h"
#include "rpc/goa.h"
#include "rpc/meter.h"
#include "rpc/parameter.h"
#include "rpc/path_template.h"
#include "rpc/websocket.h"
#include "websocket/deflate.h"

enum {
    KEY_LENGTH = 24, /* base64 of 16 bytes */
    EXTENSION_MOST = 256,
};

static bool begins(struct text text, const char *with) {
    return text.length >= strlen(with) && memcmp(text.data, with, strlen(with)) == 0;
}

static struct text value_of(const struct http_header *header) {
    return (struct text){header->value, header->value_length};
}

static bool refuse(const struct arrival *arrival, enum refusal refusal, enum status status, const char *text) {
    websocket_refuse(arrival, refusal, status, text);
    return false;
}

static bool refuse_malformed(const struct arrival *arrival, const char *text) {
    return refuse(arrival, REFUSED_MALFORMED, STATUS_INVALID_ARGUMENT, text);
}

/* ---- what the handshake says ---- */

struct handshake {
    struct text version, key, protocols, origin, authority;
    bool has_protocols;
};

static const struct {
    const char *name;
    enum websocket_form form;
    enum codec codec;
} protocols[] = {{"tidewire.json", WEBSOCKET_JSON, CODEC_JSON}, {"tidewire.proto", WEBSOCKET_PROTO, CODEC_PROTO}};

/* The first that the client names, and that is spoken here. */
static bool choose_protocol(struct arrival *arrival, const struct handshake *handshake) {
    struct text list = handshake->protocols;
    arrival->websocket.form = WEBSOCKET_BARE;
    arrival->codec = CODEC_JSON;
    while (list.length) {
        struct text name = text_cut(list, ',', &list);
        for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++) {
            if (!text_is(name, protocols[i].name)) continue;
            arrival->websocket.form = protocols[i].form;
            arrival->codec = protocols[i].codec;
            return true;
        }
    }
    if (!handshake->has_protocols) return true;
    return refuse_malformed(arrival, "of the sub-protocols, tidewire.json and tidewire.proto are spoken here");
}

static bool check_handshake(struct arrival *arrival, const struct handshake *handshake) {
    bool is_upgrade = text_is(arrival->request.method, "GET");
    arrival->websocket.key = handshake->key;
    if (!is_upgrade && !text_is(arrival->request.method, "CONNECT"))
        return refuse(arrival, REFUSED_VERB, STATUS_UNIMPLEMENTED, "a WebSocket begins with GET");
    if (!text_is(handshake->version, "13")) {
        arrival->websocket.is_of_other_version = true;
        return refuse_malformed(arrival, "version 13 of WebSocket is spoken here");
    }
    if (handshake->key.length != KEY_LENGTH && (is_upgrade || handshake->key.length))
        return refuse_malformed(arrival, "sec-websocket-key is malformed");
    if (!cors_may_call(arrival->connection->cors, handshake->origin, handshake->authority)) /* nobody asks before one */
        return refuse(arrival, REFUSED_AS_STATUS, STATUS_PERMISSION_DENIED, "pages of this origin may not call");
    if (arrival->websocket.form != WEBSOCKET_GOA) return choose_protocol(arrival, handshake);
    arrival->codec = CODEC_JSON;
    return true;
}

/* ---- the query: metadata of browsers, which can set no headers ---- */

/* What a server in front says of the client, and what a browser says by itself, is for them alone to say. */
static bool is_for_others(struct text name) {
    static const char *const names[] = {"authority", "connection", "cookie", "forwarded", "host", "origin",
                                        "referer",   "te",         "user-agent", "via", "content-type"};
    static const char *const prefixes[] = {"sec-",      "x-forwarded", "x-real-",  "x-envoy-", "x-client-",
                                           "x-remote-", "x-ssl-",      "x-amzn-", "proxy-",   "cf-"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (text_is(name, names[i])) return true;
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (begins(name, prefixes[i])) return true;
    return begins(name, "grpc-") && !text_is(name, "grpc-timeout");
}

static bool is_name(struct text name) {
    for (size_t i = 0; i < name.length; i++) {
        char c = name.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.')) return false;
    }
    return name.length > 0;
}

static bool has_control_byte(struct text text) {
    for (size_t i = 0; i < text.length; i++)
        if ((uint8_t)text.data[i] < ' ' || text.data[i] == 0x7f) return true;
    return false;
}

/* Among the first so many. */
static bool is_among(const struct header_block *block, size_t count, struct text name) {
    for (size_t i = 0; i < count; i++)
        if (block->headers[i].name_length == name.length && !memcmp(block->headers[i].name, name.data, name.length))
            return true;
    return false;
}

/* Names of headers have no case. */
static struct text lower(struct header_block *block, struct text name) {
    struct text copy = {(const char *)block->text.data + block->text.end, name.length};
    for (size_t i = 0; i < name.length; i++) {
        char c = name.data[i];
        buffer_append_byte(&block->text, (uint8_t)(c >= 'A' && c <= 'Z' ? c | 0x20 : c));
    }
    return copy;
}

/* Into the room that was reserved: nothing is longer than it is written. */
static bool add_query(struct arrival *arrival, struct header_block *block, struct text query) {
    size_t headers = block->count, parameters = 0;
    while (query.length) {
        if (++parameters > PARAMETERS_MOST) return refuse_malformed(arrival, "the query has too many parameters");
        struct text value, name = text_cut(text_cut(query, '&', &query), '=', &value);
        name = lower(block, name);
        if (!is_name(name) || is_for_others(name)) continue;
        if (is_among(block, headers, name)) continue; /* several values of one name are fine, but not beside a header's */
        size_t before = block->text.end;
        if (!parameter_decode(&block->text, value))
            return refuse_malformed(arrival, "a parameter of the query is malformed");
        struct text decoded = {(const char *)block->text.data + before, block->text.end - before};
        if (has_control_byte(decoded)) return refuse_malformed(arrival, "a parameter of the query is malformed");
        header_block_add(block, name.data, name.length, decoded.data, decoded.length);
    }
    return true;
}

/* ---- paths of their own ---- */

struct place {
    const struct path_route *route; /* NULL: the path names the method */
    struct path_match match;
};

/* In front of headers of the same name, which are not looked at then. */
static bool add_variables(struct arrival *arrival, struct header_block *block, const struct place *place) {
    if (!place->route) return true;
    const struct path_template *path = place->route->path;
    for (size_t i = 0; i < path->variable_count; i++) {
        struct text name = lower(block, path->variables[i].name);
        size_t before = block->text.end;
        bool is_fine = path_value_decode(path, i, place->match.values[i], &block->text);
        struct text value = {(const char *)block->text.data + before, block->text.end - before};
        if (!is_fine || has_control_byte(value)) return refuse_malformed(arrival, "the path is malformed");
        header_block_add(block, name.data, name.length, value.data, value.length);
    }
    return true;
}

/* ---- the request as gRPC has it ---- */

static bool is_dropped(const struct http_header *header) {
    struct text name = {header->name, header->name_length};
    if (begins(name, "sec-websocket-") || http_header_is(header, ":protocol")) return true;
    if (http_header_is(header, "content-type") || http_header_is(header, "content-length")) return true;
    return begins(name, "grpc-") && !http_header_is(header, "grpc-timeout");
}

static void read_handshake(struct handshake *handshake, struct arrival *arrival, const struct http_header *header) {
    if (http_header_is(header, "sec-websocket-version")) {
        handshake->version = value_of(header);
    } else if (http_header_is(header, "sec-websocket-key")) {
        handshake->key = value_of(header);
    } else if (http_header_is(header, "sec-websocket-protocol")) {
        if (!handshake->has_protocols) handshake->protocols = value_of(header); /* a second line is not looked at */
        handshake->has_protocols = true;
    } else if (http_header_is(header, "sec-websocket-extensions")) {
        if (!arrival->websocket.deflation.window_bits)
            websocket_take_offer(header->value, header->value_length, &arrival->websocket.deflation);
    } else if (http_header_is(header, "origin")) {
        handshake->origin = value_of(header);
    } else if (http_header_is(header, ":authority") ||
               (http_header_is(header, "host") && !handshake->authority.length)) {
        handshake->authority = value_of(header);
    }
}

/* A browser sends them along whoever's page it is. */
static bool may_bring_cookies(const struct arrival *arrival, const struct handshake *handshake) {
    const struct cors *cors = arrival->connection->cors;
    return cors_is_same_origin(handshake->origin, handshake->authority) || (cors && cors_takes_credentials(cors));
}

bool websocket_translate(struct arrival *arrival) {
    struct handshake handshake = {0};
    struct place place = {0};
    struct text query, path = text_cut(arrival->request.path, '?', &query);
    const struct router *router = arrival_router(arrival);
    if (router) place.route = router_find_path(router, PATH_WEBSOCKET, path, &place.match);
    if (place.route && place.route->is_goa) arrival->websocket.form = WEBSOCKET_GOA; /* so do refusals speak */
    size_t names = place.route ? strlen(place.route->path->source) : 0;
    struct header_block *block = arrival_translation(arrival, query.length + path.length + names);
    if (!add_variables(arrival, block, &place)) return false;
    size_t variables = block->count;
    if (place.route) path = (struct text){place.route->method, strlen(place.route->method)};
    for (size_t i = 0; i < arrival->count; i++) read_handshake(&handshake, arrival, &arrival->headers[i]);
    bool takes_cookies = may_bring_cookies(arrival, &handshake);
    for (size_t i = 0; i < arrival->count; i++) {
        const struct http_header *header = &arrival->headers[i];
        if (!takes_cookies && http_header_is(header, "cookie")) continue;
        if (http_header_is(header, ":path")) header_block_add(block, ":path", 5, path.data, path.length);
        else if (http_header_is(header, ":method")) HEADER_BLOCK_ADD(block, ":method", "POST");
        else if (!is_dropped(header) && !is_among(block, variables, (struct text){header->name, header->name_length}))
            header_block_add(block, header->name, header->name_length, header->value, header->value_length);
    }
    return check_handshake(arrival, &handshake) && add_query(arrival, block, query);
}

/* ---- the answer ---- */

void websocket_refuse(const struct arrival *arrival, enum refusal refusal, enum status status, const char *text) {
    struct rpc *rpc = arrival->connection->rpc;
    struct header_block *block = &rpc->block;
    struct buffer *json = &rpc->scratch;
    bool is_old = arrival->websocket.is_of_other_version, is_goa = arrival->websocket.form == WEBSOCKET_GOA;
    uint8_t details[METER_DETAILS_MOST];
    size_t details_length = arrival->verdict ? meter_write_details(arrival->verdict, details) : 0, name_length = 0;
    char name[GOA_NAME_MOST];
    buffer_clear(json);
    if (is_goa) name_length = goa_write_status(json, status, text, name);
    else connect_write_error(json, status, text, details, details_length, NULL);
    header_block_begin(block, 0, NULL, NULL);
    header_block_add(block, ":status", 7, is_old ? "426" : connect_http_status(refusal, status), 3);
    HEADER_BLOCK_ADD(block, "content-type", "application/json");
    if (is_goa) header_block_add(block, "goa-error", 9, name, name_length);
    if (is_old) HEADER_BLOCK_ADD(block, "sec-websocket-version", "13");
    if (refusal == REFUSED_VERB) HEADER_BLOCK_ADD(block, "allow", "GET");
    arrival_answer(arrival, status, block, buffer_bytes(json), buffer_length(json));
}

/* RFC 6455 section 4.2.2 */
void websocket_write_accept(struct buffer *out, struct text key) {
    static const char salt[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char salted[KEY_LENGTH + sizeof salt - 1];
    uint8_t digest[SHA1_LENGTH];
    if (!key.length) return;
    memcpy(salted, key.data, KEY_LENGTH);
    memcpy(salted + KEY_LENGTH, salt, sizeof salt - 1);
    digest_sha1(salted, sizeof salted, digest);
    base64_write(out, digest, sizeof digest, true);
}

static const char *protocol_name(uint8_t form) {
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++)
        if (form == protocols[i].form) return protocols[i].name;
    return NULL;
}

static void add_extension(struct header_block *block, const struct websocket_deflation *taken) {
    const char *value = (const char *)block->text.data + block->text.end;
    size_t before = block->text.end;
    websocket_write_answer(&block->text, taken);
    header_block_add(block, "sec-websocket-extensions", 24, value, block->text.end - before);
}

void websocket_upgrade(struct rpc_call *call) {
    const struct websocket_call *websocket = call->edge->websocket;
    const struct buffer *accept = &websocket->accept;
    const struct metadata *metadata = websocket->form == WEBSOCKET_GOA ? call->headers : NULL;
    struct header_block *block = &call->call.rpc->block;
    const char *protocol = protocol_name(websocket->form);
    header_block_begin(block, EXTENSION_MOST, metadata, NULL);
    if (buffer_length(accept))
        header_block_add(block, "sec-websocket-accept", 20, (const char *)buffer_bytes(accept), buffer_length(accept));
    if (protocol) header_block_add(block, "sec-websocket-protocol", 22, protocol, strlen(protocol));
    if (websocket->deflation.window_bits) add_extension(block, &websocket->deflation);
    if (metadata) header_block_add_metadata(block, metadata);
    http_stream_upgrade(call->stream, block->headers, block->count);
}
