/* rpc/goa.c - see goa.h */
#include "rpc/goa.h"

#include <ctype.h>

#include "rpc/call_private.h"
#include "rpc/connect.h"
#include "rpc/status_text.h"
#include "schema/json_text.h"

static const char wrapper_begin[] = "{\"field\":";
enum { WRAPPER_BEGIN = sizeof wrapper_begin - 1 };

static bool is_wrapper(const struct message_type *type) {
    return type->field_count == 1 && type->fields[0].number == 1 && strcmp(type->fields[0].name, "field") == 0;
}

bool goa_json_read(const struct message_type *type, const char *text, size_t length, struct json_options options,
                   struct buffer *out, struct error *error) {
    if (!is_wrapper(type)) return json_read(type, text, length, &options, out, error);
    struct buffer whole = {0};
    buffer_append(&whole, wrapper_begin, WRAPPER_BEGIN);
    buffer_append(&whole, text, length);
    buffer_append_byte(&whole, '}');
    bool is_fine = json_read(type, (const char *)buffer_bytes(&whole), buffer_length(&whole), &options, out, error);
    buffer_free(&whole);
    return is_fine;
}

bool goa_json_write(const struct message_type *type, const uint8_t *bytes, size_t length, struct json_options options,
                    struct buffer *out, struct error *error) {
    size_t before = buffer_length(out);
    options.use_proto_names = options.write_defaults = options.plain_integers = true;
    if (!json_write(type, bytes, length, &options, out, error)) return false;
    bool has_begin = buffer_length(out) - before > WRAPPER_BEGIN &&
                     !memcmp(buffer_bytes(out) + before, wrapper_begin, WRAPPER_BEGIN);
    if (!is_wrapper(type) || !has_begin) return true;
    size_t inner = buffer_length(out) - before - WRAPPER_BEGIN - 1;
    memmove(buffer_bytes(out) + before, buffer_bytes(out) + before + WRAPPER_BEGIN, inner);
    out->end = out->start + before + inner;
    return true;
}

/* ---- the payload of a request without a body ---- */

/* A header's name has no underscores as a rule. */
static bool is_of(const struct field *field, const struct http_header *header) {
    if (header->name_length != strlen(field->name)) return false;
    for (size_t i = 0; i < header->name_length; i++) {
        char c = (char)tolower((unsigned char)field->name[i]);
        if (header->name[i] != c && !(c == '_' && header->name[i] == '-')) return false;
    }
    return true;
}

static bool is_word(const struct http_header *header, const char *word) {
    return header->value_length == strlen(word) && memcmp(header->value, word, header->value_length) == 0;
}

/* Numbers may be read from strings; what a bool is must be a word. */
static void write_value(struct buffer *out, const struct field *field, const struct http_header *header) {
    bool is_bool = field->type == FIELD_BOOL && (is_word(header, "true") || is_word(header, "false"));
    if (!is_bool) {
        struct buffer clean = {0};
        status_text_clean(&clean, header->value, header->value_length);
        json_quote(out, buffer_bytes(&clean), buffer_length(&clean));
        buffer_free(&clean);
    } else {
        buffer_append(out, header->value, header->value_length);
    }
}

static void write_field(struct buffer *out, const struct field *field, const struct http_header *headers, size_t count,
                        bool *is_first) {
    size_t values = 0;
    for (size_t i = 0; i < count && (!values || field->is_repeated); i++) {
        if (!is_of(field, &headers[i])) continue;
        if (!values++) {
            if (!*is_first) buffer_append_byte(out, ',');
            *is_first = false;
            json_quote(out, field->name, strlen(field->name));
            buffer_append_text(out, field->is_repeated ? ":[" : ":");
        } else {
            buffer_append_byte(out, ',');
        }
        write_value(out, field, &headers[i]);
    }
    if (values && field->is_repeated) buffer_append_byte(out, ']');
}

void goa_write_payload(struct buffer *out, const struct message_type *type, const struct http_header *headers,
                       size_t count) {
    bool is_first = true;
    buffer_append_byte(out, '{');
    for (size_t i = 0; i < type->field_count; i++)
        if (!type->fields[i].message) write_field(out, &type->fields[i], headers, count, &is_first);
    buffer_append_byte(out, '}');
}

/* ---- errors before the first message ---- */

/* What generated clients look for: the error's name in a header, and Goa's own error as the body. */
void goa_send_error(struct rpc_call *call) {
    struct rpc *rpc = call->call.rpc;
    struct header_block *block = &rpc->block;
    struct buffer *json = &rpc->framed;
    enum status status = (enum status)call->status;
    char name[32] = "";
    for (size_t i = 0; i < sizeof name - 1 && status_name(status)[i]; i++)
        name[i] = (char)tolower((unsigned char)status_name(status)[i]);
    bool is_fault = status == STATUS_INTERNAL || status == STATUS_UNKNOWN || status == STATUS_DATA_LOSS;
    struct buffer text = {0};
    status_text_clean(&text, call->text ? call->text : "", call->text ? strlen(call->text) : 0);
    buffer_clear(json);
    buffer_format(json, "{\"name\":\"%s\",\"id\":\"%llu\",\"message\":", name, (unsigned long long)call->call.log.stream);
    json_quote(json, buffer_bytes(&text), buffer_length(&text));
    buffer_format(json, ",\"temporary\":%s,\"timeout\":%s,\"fault\":%s}\n",
                  status == STATUS_UNAVAILABLE ? "true" : "false", status == STATUS_DEADLINE_EXCEEDED ? "true" : "false",
                  is_fault ? "true" : "false");
    buffer_free(&text);
    header_block_begin(block, 0, call->headers, NULL);
    header_block_add(block, ":status", 7, connect_http_status(REFUSED_AS_STATUS, status), 3);
    HEADER_BLOCK_ADD(block, "content-type", "application/json");
    header_block_add(block, "goa-error", 9, name, strlen(name));
    header_block_add_metadata(block, call->headers);
    call_respond_whole(call, block, buffer_bytes(json), buffer_length(json));
}
