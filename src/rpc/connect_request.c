/* rpc/connect_request.c - see connect.h */
#include "base/clock.h"
#include "rpc/call_private.h"
#include "rpc/connect.h"
#include "rpc/parameter.h"
#include "rpc/timeout.h"

static struct text value_of(const struct http_header *header) {
    return (struct text){header->value, header->value_length};
}

static void add(struct header_block *block, const char *name, struct text value) {
    header_block_add(block, name, strlen(name), value.data, value.length);
}

/* ---- the query of a GET ---- */

static struct text query_of(struct text path) {
    struct text query;
    text_cut(path, '?', &query);
    return query;
}

bool connect_query_find(struct text query, const char *name, struct text *value) {
    while (query.length) {
        struct text parameter = text_cut(query, '&', &query);
        if (!text_is(text_cut(parameter, '=', value), name)) continue;
        return true;
    }
    *value = (struct text){0};
    return false;
}

bool connect_is_get(const struct request *request) {
    struct text query = query_of(request->path), value;
    if (!text_is(request->method, "GET")) return false;
    return (connect_query_find(query, "encoding", &value) && connect_query_find(query, "message", &value)) ||
           connect_query_find(query, "connect", &value);
}

/* ---- headers ---- */

/* How the two forms of the protocol name the same. */
struct names {
    const char *encoding, *accept_encoding;
};
static const struct names unary_names = {"content-encoding", "accept-encoding"},
                          stream_names = {"connect-content-encoding", "connect-accept-encoding"};

static bool refuse(const struct arrival *arrival, const char *text) {
    arrival->dialect->refuse(arrival, REFUSED_MALFORMED, arrival->dialect->malformed, text);
    return false;
}

/* Milliseconds in up to ten digits become grpc-timeout, in the block's own memory. */
static bool add_timeout(struct header_block *block, struct text value) {
    uint64_t ms = 0;
    if (!value.length || value.length > 10) return false;
    for (size_t i = 0; i < value.length; i++) {
        if (value.data[i] < '0' || value.data[i] > '9') return false;
        ms = ms * 10 + (uint64_t)(value.data[i] - '0');
    }
    char *text = (char *)block->text.data + block->text.end;
    size_t length = timeout_format(text, ms * NS_PER_MS);
    buffer_commit(&block->text, length + 1);
    add(block, "grpc-timeout", (struct text){text, length});
    return true;
}

/* Whoever compresses and does not say what may come back takes the same back. */
struct encodings {
    struct text of_request, accepted;
    bool has_accepted;
};

static void add_encodings(struct header_block *block, const struct encodings *encodings) {
    if (encodings->of_request.length) add(block, "grpc-encoding", encodings->of_request);
    if (encodings->has_accepted) add(block, "grpc-accept-encoding", encodings->accepted);
    else if (encodings->of_request.length) add(block, "grpc-accept-encoding", encodings->of_request);
}

static bool is_of_protocol(const struct http_header *header) {
    static const char prefix[] = "connect-";
    bool is_connects = header->name_length >= sizeof prefix - 1 && !memcmp(header->name, prefix, sizeof prefix - 1);
    return is_connects || http_header_is(header, "content-encoding") || http_header_is(header, "accept-encoding") ||
           http_header_is(header, "content-length");
}

static bool translate(struct arrival *arrival, const struct names *names, struct encodings encodings) {
    struct header_block *block = arrival_translation(arrival, TIMEOUT_TEXT);
    struct text timeout = {0}, query;
    bool has_timeout = false;
    for (size_t i = 0; i < arrival->count; i++) {
        const struct http_header *header = &arrival->headers[i];
        struct text value = value_of(header);
        if (http_header_is(header, "connect-timeout-ms")) {
            timeout = value;
            has_timeout = true;
        } else if (http_header_is(header, "connect-protocol-version") && !text_is(value, "1")) {
            return refuse(arrival, "connect-protocol-version is not 1");
        } else if (http_header_is(header, names->encoding)) {
            encodings.of_request = value;
        } else if (http_header_is(header, names->accept_encoding)) {
            encodings.accepted = value;
            encodings.has_accepted = true;
        } else if (http_header_is(header, ":path")) {
            add(block, ":path", text_cut(value, '?', &query));
        } else if (http_header_is(header, ":method") && arrival->dialect == &connect_get_dialect) {
            HEADER_BLOCK_ADD(block, ":method", "POST");
        } else if (!is_of_protocol(header)) {
            header_block_add(block, header->name, header->name_length, header->value, header->value_length);
        }
    }
    if (has_timeout && !add_timeout(block, timeout)) return refuse(arrival, "connect-timeout-ms is malformed");
    add_encodings(block, &encodings);
    return true;
}

bool connect_translate_unary(struct arrival *arrival) {
    return translate(arrival, &unary_names, (struct encodings){0});
}

/* A content type without a suffix is none of the protocol's. */
bool connect_translate_stream(struct arrival *arrival) {
    if (arrival->codec == CODEC_PLAIN) arrival->codec = CODEC_UNKNOWN;
    return translate(arrival, &stream_names, (struct encodings){0});
}

/* ---- GET ---- */

bool connect_translate_get(struct arrival *arrival) {
    struct text query = query_of(arrival->request.path), version, encoding, message, compression;
    arrival->query = query;
    if (connect_query_find(query, "connect", &version) && !text_is(version, "v1"))
        return refuse(arrival, "the parameter connect is not v1");
    if (!connect_query_find(query, "encoding", &encoding)) return refuse(arrival, "the parameter encoding is missing");
    if (!connect_query_find(query, "message", &message)) return refuse(arrival, "the parameter message is missing");
    connect_query_find(query, "compression", &compression);
    arrival->codec = text_is(encoding, "proto")  ? CODEC_PROTO
                     : text_is(encoding, "json") ? CODEC_JSON
                                                 : CODEC_UNKNOWN;
    return translate(arrival, &unary_names, (struct encodings){.of_request = compression});
}

/* Written for URLs, or with their "+" and "=" percent-encoded: both alphabets are read. */
static bool decode_base64(struct buffer *out, struct buffer *text) {
    return base64_read(out, (const char *)buffer_bytes(text), buffer_length(text));
}

static bool decode(struct text query, struct text value, struct buffer *text, struct buffer *out) {
    struct text flag;
    bool is_base64 = connect_query_find(query, "base64", &flag) && text_is(flag, "1");
    if (!is_base64) return parameter_decode(out, value);
    return parameter_decode(text, value) && decode_base64(out, text);
}

void connect_begin_get(struct rpc_call *call, const struct arrival *arrival) {
    struct rpc *rpc = call->call.rpc;
    struct text message;
    connect_query_find(arrival->query, "message", &message);
    buffer_clear(&rpc->coded);
    buffer_clear(&rpc->framed);
    if (!decode(arrival->query, message, &rpc->framed, &rpc->coded)) {
        call->inbound.is_faulty = true;
        call_fault(call, STATUS_INVALID_ARGUMENT, REASON_CLIENT, "the parameter message cannot be decoded");
        return;
    }
    size_t length = buffer_length(&rpc->coded);
    inbound_put(call, message_copy(buffer_bytes(&rpc->coded), length), call->encoding != ENCODING_IDENTITY && length, 0);
}
