/* JSON both ways: what is read must be a message to the codec, must be written, and must come back the same;
 * what is written must be read. Run from the top of the checkout, where the protos are. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "schema/codec.h"
#include "schema/json.h"

int LLVMFuzzerInitialize(int *count, char ***arguments);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static struct schema *schema;

static void must(int condition) {
    if (!condition) abort();
}

int LLVMFuzzerInitialize(int *count, char ***arguments) {
    (void)count, (void)arguments;
    struct error error;
    const char *const paths[] = {"tests/proto", NULL}, *const files[] = {"all_types.proto",
                                                                         "proto2_types.proto", NULL};
    schema = schema_load((char *const *)paths, (char *const *)files, &error);
    if (!schema) fprintf(stderr, "%s\n", error.text);
    must(schema != NULL);
    return 0;
}

/* Wire bytes to JSON and back, where the JSON must be the same again. */
static void check_wire(const struct message_type *type, const struct buffer *wire,
                       const struct json_options *options, bool is_writable) {
    struct error error;
    struct buffer text = {0}, again = {0}, same = {0};
    bool is_written = json_write(type, wire->data, buffer_length(wire), options, &text, &error);
    must(is_written || !is_writable || strstr(error.text, "times as long as the message"));
    if (is_written) {
        must(json_read(type, (char *)text.data, buffer_length(&text), options, &again, &error));
        must(!codec_check(type, again.data, buffer_length(&again)));
        must(json_write(type, again.data, buffer_length(&again), options, &same, &error));
        must(buffer_length(&text) == buffer_length(&same) &&
             !memcmp(text.data, same.data, buffer_length(&text)));
    }
    buffer_free(&text);
    buffer_free(&again);
    buffer_free(&same);
}

static void check_text(const struct message_type *type, const struct buffer *text,
                       const struct json_options *options) {
    struct error error;
    struct buffer wire = {0};
    if (json_read(type, (char *)text->data, buffer_length(text), options, &wire, &error)) {
        must(!codec_check(type, wire.data, buffer_length(&wire)));
        check_wire(type, &wire, options, true);
    } else {
        must(*error.text && !buffer_length(&wire));
    }
    buffer_free(&wire);
}

/* The first byte chooses the type, the direction and the options. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    static const char *const types[] = {"tidewire.test.AllTypes", "tidewire.test2.Groups",
                                        "tidewire.test2.Packing", "tidewire.test2.HasRequiredBelow"};
    if (!length) return 0;
    uint8_t choice = bytes[0] - '0';
    struct json_options options = {.schema = schema,
                                   .ignore_unknown = choice & 1,
                                   .use_proto_names = choice & 2,
                                   .write_defaults = choice & 4,
                                   .is_plain = choice & 64};
    const struct message_type *type = schema_message(schema, types[choice >> 4 & 3]);
    /* An exact copy, so that a read behind its end is seen. */
    struct buffer in = {.data = memory_resize(NULL, length - 1), .end = length - 1, .capacity = length - 1};
    memcpy(in.data, bytes + 1, length - 1);
    if (choice & 8)
        check_wire(type, &in, &options, false);
    else
        check_text(type, &in, &options);
    buffer_free(&in);
    return 0;
}
