/* rpc/rest_body.c - see rest.h: bodies that are no JSON, but the data of a
 * google.api.HttpBody { string content_type = 1; bytes data = 2; }, as it is. */
#include "rpc/rest.h"
#include "rpc/wire_text.h"
#include "schema/codec.h"
#include "schema/wire.h"

enum { CONTENT_TYPE = 1, DATA = 2 };

bool rest_body_is(const struct message_type *type) { return type && strcmp(type->full_name, "google.api.HttpBody") == 0; }

static void put(struct buffer *out, uint32_t number, struct text value) {
    if (!value.length) return;
    wire_write_tag(out, number, WIRE_BYTES);
    wire_write_bytes(out, value.data, value.length);
}

void rest_body_read(const struct rest_call *rest, struct text body, struct buffer *out) {
    const struct field *field = rest->route->body;
    struct text type = rest_text_of(&rest->type);
    size_t opened = field ? codec_open(out, field) : 0;
    if (codec_is_utf8(type.data, type.length)) put(out, CONTENT_TYPE, type);
    put(out, DATA, body);
    if (field) codec_close(out, field, opened);
}

/* What no header can be says nothing. */
static bool is_value(struct text type) {
    for (size_t i = 0; i < type.length; i++)
        if ((uint8_t)type.data[i] < ' ' || (uint8_t)type.data[i] >= 0x7f) return false;
    return type.length && type.data[0] != ' ' && type.data[type.length - 1] != ' ';
}

void rest_body_write(struct rest_call *rest, struct text message, struct buffer *out) {
    const struct field *field = rest->route->answer;
    struct text body = field ? wire_text_find(message, field->number) : message;
    struct text type = wire_text_find(body, CONTENT_TYPE), data = wire_text_find(body, DATA);
    buffer_clear(&rest->type);
    if (is_value(type)) buffer_append(&rest->type, type.data, type.length);
    else buffer_append_text(&rest->type, "application/octet-stream");
    if (data.length) buffer_append(out, data.data, data.length);
}
