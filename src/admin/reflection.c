/* admin/reflection.c - see reflection.h. One response for each request, in order; what is not found is an error in
 * the response, and the stream goes on. */
#include "admin/reflection.h"

#include <stdlib.h>
#include <string.h>

#include "admin/services.h"
#include "base/memory.h"
#include "rpc/call.h"
#include "rpc/router.h"
#include "schema/wire.h"

static const struct call_limits limits = {.message = 64 * 1024, .buffered_per_stream = 1024 * 1024};

enum { MOST_EXTENSIONS = 4096 };

/* ServerReflectionRequest; the members are the field numbers of its oneof. */
enum asked {
    ASKED_NOTHING,
    ASKED_FILE = 3,
    ASKED_SYMBOL = 4,
    ASKED_EXTENSION = 5,
    ASKED_EXTENSION_NUMBERS = 6,
    ASKED_SERVICES = 7,
};

struct request {
    const uint8_t *bytes; /* whole, for the copy in the response */
    size_t length;
    enum asked asked;
    char *name; /* the file, symbol or type; owned */
    bool has_no_name; /* it has a NUL in it: nothing is called so */
    uint32_t extension;
};

struct reflection {
    const struct schema *schema;
    const struct router *router;
    const struct schema_file **sent; /* on this stream */
    size_t sent_count;
};

static void take_name(struct request *request, const uint8_t *bytes, size_t length) {
    free(request->name);
    request->name = memory_copy(bytes, length);
    request->has_no_name = strlen(request->name) != length;
}

static bool read_extension(const uint8_t *at, size_t length, struct request *request) {
    const uint8_t *end = at + length;
    while (at < end) {
        uint32_t number;
        unsigned type;
        size_t size;
        uint64_t value;
        if (!(at = wire_read_tag(at, end, &number, &type))) return false;
        if (number == 1 && type == WIRE_BYTES) {
            if (!(at = wire_read_length(at, end, &size))) return false;
            take_name(request, at, size);
            at += size;
        } else if (number == 2 && type == WIRE_VARINT) {
            if (!(at = wire_read_varint(at, end, &value))) return false;
            request->extension = (uint32_t)value;
        } else if (!(at = wire_skip(at, end, number, type, WIRE_DEPTH))) {
            return false;
        }
    }
    return true;
}

static bool read_request(struct request *request) {
    const uint8_t *at = request->bytes, *end = at + request->length;
    while (at < end) {
        uint32_t number;
        unsigned type;
        size_t length;
        if (!(at = wire_read_tag(at, end, &number, &type))) return false;
        if (number < ASKED_FILE || number > ASKED_SERVICES || type != WIRE_BYTES) {
            if (!(at = wire_skip(at, end, number, type, WIRE_DEPTH))) return false;
            continue;
        }
        if (!(at = wire_read_length(at, end, &length))) return false;
        request->asked = (enum asked)number;
        take_name(request, at, number == ASKED_EXTENSION ? 0 : length);
        if (number == ASKED_EXTENSION && !read_extension(at, length, request)) return false;
        at += length;
    }
    return true;
}

/* ---- answers: each appends one field of the response's oneof ---- */

static void write_error(struct buffer *out, enum status status, const char *text, const char *name) {
    struct buffer error = {0}, sentence = {0};
    buffer_format(&sentence, "%s: %s", text, name);
    wire_write_tag(&error, 1, WIRE_VARINT);
    wire_write_varint(&error, status);
    wire_write_tag(&error, 2, WIRE_BYTES);
    wire_write_bytes(&error, buffer_bytes(&sentence), buffer_length(&sentence));
    wire_write_tag(out, 7, WIRE_BYTES);
    wire_write_bytes(out, buffer_bytes(&error), buffer_length(&error));
    buffer_free(&error);
    buffer_free(&sentence);
}

static bool was_sent(const struct reflection *reflection, const struct schema_file *file) {
    for (size_t i = 0; i < reflection->sent_count; i++)
        if (reflection->sent[i] == file) return true;
    return false;
}

static void write_file(struct reflection *reflection, const struct schema_file *file, struct buffer *files) {
    wire_write_tag(files, 1, WIRE_BYTES);
    wire_write_bytes(files, file->bytes, file->length);
    if (!was_sent(reflection, file)) {
        reflection->sent =
            memory_resize(reflection->sent, (reflection->sent_count + 1) * sizeof *reflection->sent);
        reflection->sent[reflection->sent_count++] = file;
    }
    for (const struct schema_file *const *import = file->imports; *import; import++)
        if (!was_sent(reflection, *import)) write_file(reflection, *import, files);
}

static void answer_file(struct reflection *reflection, const struct schema_file *file, const struct request *request,
                        struct buffer *out) {
    struct buffer files = {0};
    if (!file) {
        write_error(out, STATUS_NOT_FOUND, "not found", request->name);
        return;
    }
    write_file(reflection, file, &files);
    wire_write_tag(out, 4, WIRE_BYTES);
    wire_write_bytes(out, buffer_bytes(&files), buffer_length(&files));
    buffer_free(&files);
}

static void answer_extension_numbers(struct reflection *reflection, const struct request *request, struct buffer *out) {
    uint32_t numbers[MOST_EXTENSIONS];
    bool is_known = !request->has_no_name && (schema_message(reflection->schema, request->name) ||
                                              schema_message(admin_schema(), request->name));
    if (!is_known) {
        write_error(out, STATUS_NOT_FOUND, "not found", request->name);
        return;
    }
    size_t count = schema_extension_numbers(reflection->schema, request->name, numbers, MOST_EXTENSIONS);
    struct buffer body = {0}, packed = {0};
    wire_write_tag(&body, 1, WIRE_BYTES);
    wire_write_bytes(&body, request->name, strlen(request->name));
    for (size_t i = 0; i < count; i++) wire_write_varint(&packed, numbers[i]);
    wire_write_tag(&body, 2, WIRE_BYTES);
    wire_write_bytes(&body, buffer_bytes(&packed), buffer_length(&packed));
    wire_write_tag(out, 5, WIRE_BYTES);
    wire_write_bytes(out, buffer_bytes(&body), buffer_length(&body));
    buffer_free(&body);
    buffer_free(&packed);
}

static bool is_served(const struct router *router, const struct service *service) {
    size_t length = strlen(service->full_name);
    for (size_t i = 0; i < service->method_count; i++) {
        bool is_known;
        const char *method = service->methods[i].name;
        if (router_find(router, service->full_name, length, method, strlen(method), &is_known)) return true;
    }
    return false;
}

static void add_services(const struct schema *schema, const struct router *router, const char **names, size_t *count) {
    for (size_t i = 0; i < schema_service_count(schema); i++) {
        const struct service *service = schema_service_at(schema, i);
        if (is_served(router, service)) names[(*count)++] = service->full_name;
    }
}

static int compare_names(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void answer_services(struct reflection *reflection, struct buffer *out) {
    size_t count = 0, most = schema_service_count(reflection->schema) + schema_service_count(admin_schema());
    const char **names = memory_new(most * sizeof *names);
    struct buffer list = {0};
    add_services(reflection->schema, reflection->router, names, &count);
    add_services(admin_schema(), reflection->router, names, &count);
    qsort(names, count, sizeof *names, compare_names);
    for (size_t i = 0; i < count; i++) {
        if (i && strcmp(names[i], names[i - 1]) == 0) continue; /* the config's schema has it too */
        size_t length = strlen(names[i]);
        wire_write_tag(&list, 1, WIRE_BYTES);
        wire_write_varint(&list, 1 + wire_varint_size(length) + length);
        wire_write_tag(&list, 1, WIRE_BYTES);
        wire_write_bytes(&list, names[i], length);
    }
    wire_write_tag(out, 6, WIRE_BYTES);
    wire_write_bytes(out, buffer_bytes(&list), buffer_length(&list));
    buffer_free(&list);
    free(names);
}

static const struct schema_file *find_file(const struct reflection *reflection, const struct request *request) {
    const struct schema *schemas[] = {reflection->schema, admin_schema()};
    const struct schema_file *file = NULL;
    for (int i = 0; i < 2 && !file && !request->has_no_name; i++)
        file = request->asked == ASKED_FILE     ? schema_file_by_name(schemas[i], request->name)
               : request->asked == ASKED_SYMBOL ? schema_file_by_symbol(schemas[i], request->name)
                                                : schema_file_by_extension(schemas[i], request->name, request->extension);
    return file;
}

static void answer(struct call *call, const struct request *request) {
    struct reflection *reflection = call->data;
    struct buffer out = {0};
    wire_write_tag(&out, 2, WIRE_BYTES); /* original_request */
    wire_write_bytes(&out, request->bytes, request->length);
    if (request->asked == ASKED_SERVICES) answer_services(reflection, &out);
    else if (request->asked == ASKED_EXTENSION_NUMBERS) answer_extension_numbers(reflection, request, &out);
    else answer_file(reflection, find_file(reflection, request), request, &out);
    call_send_bytes(call, buffer_bytes(&out), buffer_length(&out));
    buffer_free(&out);
}

/* False when the call was ended. */
static bool treat(struct call *call, const struct call_message *message) {
    struct request request = {.bytes = message->data, .length = message->length};
    bool is_fine = read_request(&request) && request.asked != ASKED_NOTHING;
    if (is_fine) answer(call, &request);
    else call_finish(call, STATUS_INVALID_ARGUMENT, "the request asks for nothing that is known", NULL, 0);
    free(request.name);
    return is_fine;
}

/* Takes requests while their answers have room, so that a client that does not read is not buffered for. */
static void work(struct call *call) {
    struct call_message message;
    while (call_is_open(call) && !call_is_full(call)) {
        enum call_next next = call_receive(call, &message);
        if (next == CALL_EMPTY) return;
        if (next == CALL_END) {
            call_finish(call, STATUS_OK, "", NULL, 0);
            return;
        }
        if (!treat(call, &message)) return;
    }
}

static void open_stream(struct call *call) {
    struct reflection *reflection = memory_new(sizeof *reflection);
    reflection->schema = call->data;
    reflection->router = call->route->router;
    call->data = reflection;
}

/* Clients keep this stream open for as long as they live: it shall not be what a drain waits for. */
static void end_stream(struct call *call) {
    call_finish(call, STATUS_UNAVAILABLE, "the server is going away", NULL, 0);
}

static void close_stream(struct call *call, enum status status, const char *text) {
    (void)status, (void)text;
    struct reflection *reflection = call->data;
    free(reflection->sent);
    free(reflection);
}

static const struct call_handler handler = {
    .on_open = open_stream, .on_readable = work, .on_writable = work, .on_drain = end_stream, .on_close = close_stream};

void reflection_add_routes(struct router *router, struct schema *schema) {
    const char *const services[] = {"grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"};
    for (int i = 0; i < 2; i++)
        router_add(router, admin_method(services[i], "ServerReflectionInfo"), &handler, schema, &limits);
}
