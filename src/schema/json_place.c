/* schema/json_place.c - see json_place.h */
#include "schema/json_place.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buffer.h"

int json_quotable(const char *text, size_t length) {
    enum { MOST = 60 };
    if (length <= MOST) return (int)length;
    length = MOST;
    while (length && ((unsigned char)text[length] & 0xc0) == 0x80) length--;
    return (int)length;
}

static void write_place(struct buffer *out, const struct json_place *place) {
    if (!place) return;
    write_place(out, place->outer);
    int length = place->kind == JSON_PLACE_ELEMENT ? 0 : json_quotable(place->name, place->length);
    if (place->kind == JSON_PLACE_ELEMENT)
        buffer_format(out, "[%zu]", place->length);
    else if (place->kind == JSON_PLACE_KEY)
        buffer_format(out, "[\"%.*s\"]", length, place->name);
    else
        buffer_format(out, "%s%.*s", place->outer ? "." : "", length, place->name);
}

/* What the peer wrote must not break the lines of a log. */
static void hide_control_characters(char *text) {
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f) *text = '?';
}

bool json_fail(struct error *error, const struct json_place *place, const char *format, ...) {
    char reason[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    hide_control_characters(reason);
    if (!place) return error_set(error, "%s", reason);
    struct buffer path = {0};
    write_place(&path, place);
    buffer_append_byte(&path, '\0');
    path.end--;
    hide_control_characters((char *)buffer_bytes(&path));
    int length = (int)buffer_length(&path), most = (int)(sizeof error->text - sizeof reason - 8);
    /* Of a path that fills the page the end says more. */
    const char *text = (const char *)buffer_bytes(&path) + (length > most ? length - most : 0);
    error_set(error, "%s%.*s: %s", length > most ? "…" : "", length > most ? most : length, text, reason);
    buffer_free(&path);
    return false;
}
