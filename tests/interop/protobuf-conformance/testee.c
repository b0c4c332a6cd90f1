/* What protobuf's conformance suite puts to the test: the codec, the message objects of scripts, and JSON. The suite
 * starts it and asks, one request at a time.
 *
 * usage: testee object|table SET
 *
 * How a message of protobuf is answered: as a script sends the object that it got once it has written all lists and maps of
 * it anew, which leaves the rest the bytes that came; or as it sends a plain table of all fields, without those that the
 * type does not have. SET is a FileDescriptorSet of the suite's own types and of those that it tests with. On standard input come a length,
 * four bytes, the least first, and that many of a conformance.ConformanceRequest; a conformance.ConformanceResponse goes
 * back in the same way. What the suite itself gets wrong ends the process. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "differential/subject.h"
#include "schema/codec.h"
#include "schema/json.h"

/* conformance.WireFormat and conformance.TestCategory */
enum { FORMAT_PROTOBUF = 1, FORMAT_JSON = 2, CATEGORY_IGNORE_UNKNOWN = 3 };

static struct schema *schema;
static struct subject *subject;
static const struct message_type *request_type, *response_type;
static const char *(*give)(struct subject *, const char *type, const uint8_t *bytes, size_t length,
                           struct subject_bytes *out); /* subject_rewrite() or subject_rebuild() */

static void must(bool is_good, const char *format, ...) {
    if (is_good) return;
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n");
    exit(1);
}

/* ---- requests and responses */

struct request {
    struct codec_view view;
    const struct message_type *type; /* of what is converted */
    const char *type_name;
    uint64_t format, category;
};

static const struct field *field_of(const struct message_type *type, const char *name) {
    const struct field *field = message_field(type, name, strlen(name));
    must(field != NULL, "%s has no field %s", type->full_name, name);
    return field;
}

/* False when the field is not set. */
static bool find_text(const struct codec_view *view, const char *name, struct codec_value *value) {
    const struct field *field = field_of(view->type, name);
    const struct codec_slot *slot = &view->slots[field->index];
    if (!codec_bit(view->presence, field->index)) return false;
    *value = (struct codec_value){.data = view->bytes + slot->offset, .length = slot->length};
    return true;
}

static uint64_t find_number(const struct codec_view *view, const char *name) {
    const struct field *field = field_of(view->type, name);
    return codec_bit(view->presence, field->index) ? view->slots[field->index].bits : 0;
}

static void answer(struct buffer *response, const char *field, const void *data, size_t length) {
    codec_write_bytes(response, field_of(response_type, field), data, length);
}
static void answer_text(struct buffer *response, const char *field, const char *text) {
    answer(response, field, text, strlen(text));
}

/* ---- what is tested */

/* The bytes of the message that came. False: the response says why there are none. */
static bool take(const struct request *request, struct buffer *message, struct buffer *response) {
    struct codec_value in;
    struct error error;
    if (find_text(&request->view, "protobuf_payload", &in)) {
        const char *fault = codec_check(request->type, in.data, in.length);
        if (fault) return answer_text(response, "parse_error", fault), false;
        buffer_append(message, in.data, in.length);
    } else if (find_text(&request->view, "json_payload", &in)) {
        struct json_options options = {.schema = schema,
                                       .ignore_unknown = request->category == CATEGORY_IGNORE_UNKNOWN};
        if (!json_read(request->type, (const char *)in.data, in.length, &options, message, &error))
            return answer_text(response, "parse_error", error.text), false;
    } else {
        return answer_text(response, "skipped", "protobuf's text format is never read"), false;
    }
    return true;
}

static void give_protobuf(const struct request *request, const struct buffer *message, struct buffer *response) {
    struct subject_bytes out;
    const char *fault = give(subject, request->type_name, message->data, buffer_length(message), &out);
    if (fault)
        answer_text(response, "serialize_error", fault);
    else
        answer(response, "protobuf_payload", out.data, out.length);
}

static void give_json(const struct request *request, const struct buffer *message, struct buffer *response) {
    struct json_options options = {.schema = schema};
    struct buffer json = {0};
    struct error error;
    if (json_write(request->type, message->data, buffer_length(message), &options, &json, &error))
        answer(response, "json_payload", buffer_bytes(&json), buffer_length(&json));
    else
        answer_text(response, "serialize_error", error.text);
    buffer_free(&json);
}

static void perform(const struct request *request, struct buffer *response) {
    struct buffer message = {0};
    buffer_reserve(&message, 1); /* an empty message has bytes too: none */
    if (take(request, &message, response)) {
        if (request->format == FORMAT_PROTOBUF)
            give_protobuf(request, &message, response);
        else if (request->format == FORMAT_JSON)
            give_json(request, &message, response);
        else
            answer_text(response, "skipped", "protobuf's text format is for people, and leaves out what is unknown");
    }
    buffer_free(&message);
}

static void respond(const struct buffer *bytes, struct buffer *response) {
    struct request request = {0};
    void *memory = memory_new(codec_view_size(request_type));
    codec_view_place(&request.view, request_type, memory);
    const char *fault = codec_scan(&request.view, bytes->data, buffer_length(bytes));
    must(!fault, "no request: %s", fault);
    struct codec_value name = {0};
    must(find_text(&request.view, "message_type", &name), "a request without a type");
    char *type_name = memory_copy(name.data, name.length);
    request.type_name = type_name;
    request.type = schema_message(schema, type_name);
    must(request.type != NULL, "the type %s is not known", type_name);
    request.format = find_number(&request.view, "requested_output_format");
    request.category = find_number(&request.view, "test_category");
    perform(&request, response);
    free(type_name);
    free(memory);
}

/* ---- the pipe */

/* False at the end of the input. */
static bool read_request(struct buffer *request) {
    uint8_t prefix[4];
    size_t got = fread(prefix, 1, sizeof prefix, stdin);
    if (!got) return false;
    must(got == sizeof prefix, "half a length");
    size_t length = prefix[0] | prefix[1] << 8 | prefix[2] << 16 | (size_t)prefix[3] << 24;
    buffer_clear(request);
    must(fread(buffer_reserve(request, length + 1), 1, length, stdin) == length, "half a request");
    buffer_commit(request, length);
    return true;
}

static void write_response(const struct buffer *response) {
    size_t length = buffer_length(response);
    uint8_t prefix[4] = {(uint8_t)length, (uint8_t)(length >> 8), (uint8_t)(length >> 16), (uint8_t)(length >> 24)};
    fwrite(prefix, 1, sizeof prefix, stdout);
    fwrite(response->data, 1, length, stdout);
    must(!fflush(stdout), "the response can't be written");
}

static void load(const char *path) {
    struct error error;
    struct buffer set = {0};
    FILE *file = fopen(path, "rb");
    must(file != NULL, "%s can't be opened", path);
    for (size_t got = 1; got; buffer_commit(&set, got)) got = fread(buffer_reserve(&set, 65536), 1, 65536, file);
    fclose(file);
    schema = schema_parse(set.data, buffer_length(&set), path, &error);
    must(schema != NULL, "%s", error.text);
    subject = subject_new(set.data, buffer_length(&set));
    request_type = schema_message(schema, "conformance.ConformanceRequest");
    response_type = schema_message(schema, "conformance.ConformanceResponse");
    must(request_type && response_type, "%s is no set of the suite's types", path);
    buffer_free(&set);
}

int main(int count, char **arguments) {
    must(count >= 3, "usage: testee object|table SET");
    give = strcmp(arguments[count - 2], "table") == 0 ? subject_rebuild : subject_rewrite;
    load(arguments[count - 1]); /* the last ones: the suite says the program's own name twice */
    struct buffer request = {0}, response = {0};
    buffer_reserve(&response, 1);
    while (read_request(&request)) {
        buffer_clear(&response);
        respond(&request, &response);
        write_response(&response);
    }
    buffer_free(&request);
    buffer_free(&response);
    subject_free(subject);
    schema_unref(&schema);
    return 0;
}
