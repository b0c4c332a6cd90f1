/* rpc/goa.c - see goa.h */
#include "rpc/goa.h"

#include <ctype.h>

#include "rpc/call_private.h"
#include "rpc/connect.h"
#include "rpc/parameter.h"
#include "rpc/status_text.h"
#include "schema/json_text.h"
#include "schema/wire.h"

static const char wrapper_begin[] = "{\"field\":";
enum { WRAPPER_BEGIN = sizeof wrapper_begin - 1 };

static bool is_wrapper(const struct message_type *type) {
    return type->field_count == 1 && type->fields[0].number == 1 && strcmp(type->fields[0].name, "field") == 0;
}

/* One value and nothing else: what stands behind it would become members of the wrapper. */
static bool check_value(const char *text, size_t length, struct error *error) {
    struct json_text value = {.start = text, .at = text, .end = text + length};
    if (json_skip(&value) && json_is_done(&value)) return true;
    return error_set(error, "field: %s", value.fault ? value.fault : "something stands behind the value");
}

bool goa_json_read(const struct message_type *type, const char *text, size_t length, struct json_options options,
                   struct buffer *out, struct error *error) {
    if (!is_wrapper(type)) return json_read(type, text, length, &options, out, error);
    if (!check_value(text, length, error)) return false;
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
    options.use_proto_names = options.write_defaults = options.is_plain = true;
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

/* The design's name. */
static size_t name_length(const struct field *field) {
    size_t length = strlen(field->name);
    return length > 1 && field->name[length - 1] == '_' ? length - 1 : length;
}

/* A header's name has no underscores as a rule. */
static bool is_of(const struct field *field, const struct http_header *header) {
    if (header->name_length != name_length(field)) return false;
    for (size_t i = 0; i < header->name_length; i++) {
        char c = (char)tolower((unsigned char)field->name[i]);
        if (header->name[i] != c && !(c == '_' && header->name[i] == '-')) return false;
    }
    return true;
}

static void write_field(struct buffer *out, const struct field *field, const struct http_header *headers, size_t count,
                        bool *is_first) {
    size_t values = 0;
    for (size_t i = 0; i < count && (!values || field->is_repeated); i++) {
        if (!is_of(field, &headers[i])) continue;
        if (!values++) {
            if (!*is_first) buffer_append_byte(out, ',');
            *is_first = false;
            json_quote(out, field->name, strlen(field->name)); /* which is read, too */
            buffer_append_text(out, field->is_repeated ? ":[" : ":");
        } else {
            buffer_append_byte(out, ',');
        }
        parameter_write(out, field, (struct text){headers[i].value, headers[i].value_length});
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

/* goapb.ErrorResponse, which is how Goa's own servers send an error of a design by gRPC. */
struct goa_error {
    struct text name, id, message;
    bool is_temporary, is_timeout, is_fault;
};

static void read_error_field(void *context, uint32_t number, const uint8_t *value, size_t length, uint64_t bits) {
    struct goa_error *error = context;
    const struct text text = {(const char *)value, length};
    switch (number) {
    case 1: error->name = text; break;
    case 2: error->id = text; break;
    case 3: error->message = text; break;
    case 4: error->is_temporary = bits; break;
    case 5: error->is_timeout = bits; break;
    case 6: error->is_fault = bits; break;
    default: break;
    }
}

/* Goes through the fields of a message that are bytes or varints; false when it is broken. */
static bool each_field(const uint8_t *at, size_t length, void *context,
                       void (*f)(void *context, uint32_t number, const uint8_t *value, size_t length, uint64_t bits)) {
    const uint8_t *end = at + length;
    while (at && at < end) {
        uint32_t number;
        unsigned type;
        size_t here = 0;
        uint64_t bits = 0;
        const uint8_t *value = wire_read_tag(at, end, &number, &type);
        if (!value) return false;
        at = wire_skip(value, end, number, type, WIRE_DEPTH);
        if (!at) return false;
        if (type == WIRE_BYTES) value = wire_read_length(value, end, &here);
        else if (type == WIRE_VARINT) wire_read_varint(value, end, &bits);
        f(context, number, value, here, bits);
    }
    return at != NULL;
}

struct any {
    struct text type, value;
};

static void read_any_field(void *context, uint32_t number, const uint8_t *value, size_t length, uint64_t bits) {
    struct any *any = context;
    (void)bits;
    if (number == 1) any->type = (struct text){(const char *)value, length};
    if (number == 2) any->value = (struct text){(const char *)value, length};
}

/* Of a google.rpc.Status: its details are its field 3. */
static void read_status_field(void *context, uint32_t number, const uint8_t *value, size_t length, uint64_t bits) {
    static const char name[] = "/goapb.ErrorResponse";
    struct goa_error *error = context;
    struct any any = {0};
    (void)bits;
    if (number != 3 || error->name.length || !each_field(value, length, &any, read_any_field)) return;
    if (any.type.length < sizeof name - 1) return;
    if (memcmp(any.type.data + any.type.length - (sizeof name - 1), name, sizeof name - 1) != 0) return;
    each_field((const uint8_t *)any.value.data, any.value.length, error, read_error_field);
}

static void write_error(struct buffer *out, const struct goa_error *error) {
    buffer_append_text(out, "{\"name\":");
    status_text_quote(out, error->name.data, error->name.length);
    buffer_append_text(out, ",\"id\":");
    status_text_quote(out, error->id.data, error->id.length);
    buffer_append_text(out, ",\"message\":");
    status_text_quote(out, error->message.data, error->message.length);
    buffer_format(out, ",\"temporary\":%s,\"timeout\":%s,\"fault\":%s}\n", error->is_temporary ? "true" : "false",
                  error->is_timeout ? "true" : "false", error->is_fault ? "true" : "false");
}

static struct goa_error error_of_status(enum status status, const char *text, char name[GOA_NAME_MOST]) {
    const char *upper = status_name(status);
    size_t count = 0;
    for (; count < GOA_NAME_MOST && upper[count]; count++) name[count] = (char)tolower((unsigned char)upper[count]);
    return (struct goa_error){
        .name = {name, count},
        .message = {text, strlen(text)},
        .is_temporary = status == STATUS_UNAVAILABLE,
        .is_timeout = status == STATUS_DEADLINE_EXCEEDED,
        .is_fault = status == STATUS_INTERNAL || status == STATUS_UNKNOWN || status == STATUS_DATA_LOSS,
    };
}

size_t goa_write_status(struct buffer *out, enum status status, const char *text, char name[GOA_NAME_MOST]) {
    struct goa_error error = error_of_status(status, text, name);
    write_error(out, &error);
    return error.name.length;
}

/* The error that the handler has given, or one that is made of the status. */
static struct goa_error error_of(const struct rpc_call *call, const void *details, size_t length,
                                 char name[GOA_NAME_MOST]) {
    struct goa_error error = {0};
    each_field(details, length, &error, read_status_field);
    if (error.name.length) return error;
    return error_of_status((enum status)call->status, call->text ? call->text : "", name);
}

/* What generated clients look for: the error's name in a header, and Goa's own error as the body. */
void goa_send_error(struct rpc_call *call, const void *details, size_t details_length) {
    struct rpc *rpc = call->call.rpc;
    struct header_block *block = &rpc->block;
    struct buffer *json = &rpc->framed;
    enum status status = (enum status)call->status;
    char name[GOA_NAME_MOST];
    struct goa_error error = error_of(call, details, details_length, name);
    buffer_clear(json);
    write_error(json, &error);
    header_block_begin(block, 0, call->headers, NULL);
    header_block_add(block, ":status", 7, connect_http_status(REFUSED_AS_STATUS, status), 3);
    HEADER_BLOCK_ADD(block, "content-type", "application/json");
    header_block_add(block, "goa-error", 9, error.name.data, error.name.length);
    header_block_add_metadata(block, call->headers);
    call_respond_whole(call, block, buffer_bytes(json), buffer_length(json));
}
