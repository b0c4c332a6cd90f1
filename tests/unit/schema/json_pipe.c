/* tests/unit/schema/json_pipe.c - json_read() and json_write() for json_oracle.py.
 *
 * usage: json_pipe SET <requests >answers, a line each, hexadecimal:
 *   w TYPE WIRE    -> = JSON    or    ! reason
 *   r TYPE JSON    -> = WIRE    or    ! reason */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "schema/json.h"

static void decode_hex(struct buffer *out, const char *text) {
    unsigned byte;
    for (; sscanf(text, "%2x", &byte) == 1; text += 2) buffer_append_byte(out, (uint8_t)byte);
}

static void answer(const struct buffer *out) {
    printf("= ");
    for (size_t i = 0; i < buffer_length(out); i++) printf("%02x", out->data[i]);
    printf("\n");
}

int main(int count, char **arguments) {
    struct error error;
    const char *const none[] = {NULL}, *const files[] = {count == 2 ? arguments[1] : "", NULL};
    struct schema *schema = schema_load((char *const *)none, (char *const *)files, &error);
    if (!schema) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    while ((length = getline(&line, &room, stdin)) > 0) {
        line[length - 1] = '\0';
        char *name = line + 2, *hex = strchr(name, ' ');
        *hex++ = '\0';
        const struct message_type *type = schema_message(schema, name);
        struct json_options options = {.schema = schema};
        struct buffer in = {0}, out = {0};
        buffer_reserve(&in, 1);
        decode_hex(&in, hex);
        bool is_good =
            *line == 'w' ? json_write(type, in.data, buffer_length(&in), &options, &out, &error)
                         : json_read(type, (const char *)in.data, buffer_length(&in), &options, &out, &error);
        if (is_good)
            answer(&out);
        else
            printf("! %s\n", error.text);
        buffer_free(&in);
        buffer_free(&out);
    }
    free(line);
    schema_unref(&schema);
    return 0;
}
