/* cli/reflection.c - see reflection.h. One question at a time on one stream; the files that come are kept
 * until they, and the files that they import, can become a schema. */
#include "cli/reflection.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/reflection_files.h"
#include "net/loop.h"
#include "rpc/call.h"
#include "schema/wire.h"

/* Fields of ServerReflectionRequest and ServerReflectionResponse. */
enum question { ASK_FILE = 3, ASK_SYMBOL = 4, ASK_SERVICES = 7 };
enum answer { ANSWER_FILES = 4, ANSWER_SERVICES = 6, ANSWER_ERROR = 7 };

static const struct method versions[] = {
    {.name = "ServerReflectionInfo",
     .full_name = "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
     .is_client_streaming = true,
     .is_server_streaming = true},
    {.name = "ServerReflectionInfo",
     .full_name = "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
     .is_client_streaming = true,
     .is_server_streaming = true},
};
enum { VERSIONS = sizeof versions / sizeof *versions };

struct reflection {
    struct remote *remote;
    int version;       /* in `versions`: the one that is tried, or has answered */
    struct call *call; /* NULL: none is open */
    bool is_done;      /* the answer is there, or the call has ended without one */
    struct buffer response;
    bool has_response;
    enum status status; /* of the call that has ended */
    char *text;
    struct reflection_files files;
};

/* ---- the stream ---- */

static void done(struct reflection *reflection) {
    reflection->is_done = true;
    loop_stop(reflection->remote->loop);
}

static void on_readable(struct call *call) {
    struct reflection *reflection = call->data;
    struct call_message message;
    while (call_receive(call, &message) == CALL_MESSAGE) {
        buffer_clear(&reflection->response);
        buffer_append(&reflection->response, message.data, message.length);
        reflection->has_response = true;
        done(reflection);
    }
}

static void on_writable(struct call *call) { (void)call; }

static void on_close(struct call *call, enum status status, const char *text) {
    struct reflection *reflection = call->data;
    remote_call_closed(reflection->remote);
    reflection->call = NULL;
    reflection->status = status;
    free(reflection->text);
    reflection->text = memory_copy_string(text);
    done(reflection);
}

static const struct call_handler handler = {
    .on_readable = on_readable, .on_writable = on_writable, .on_close = on_close};

void reflection_end_stream(struct reflection *reflection) {
    if (!reflection->call) return;
    call_reset(reflection->call, HTTP_CANCEL);
    reflection->is_done = false;
    while (reflection->call) loop_run(reflection->remote->loop);
}

struct reflection *reflection_new(struct remote *remote) {
    struct reflection *reflection = memory_new(sizeof *reflection);
    reflection->remote = remote;
    return reflection;
}

void reflection_free(struct reflection **handle) {
    struct reflection *reflection = *handle;
    *handle = NULL;
    if (!reflection) return;
    reflection_end_stream(reflection);
    reflection_files_free(&reflection->files);
    buffer_free(&reflection->response);
    free(reflection->text);
    free(reflection);
}

/* ---- one question ---- */

/* False when the call has ended without an answer, or somebody has given up. */
static bool ask_this_version(struct reflection *reflection, const struct buffer *request) {
    struct remote *remote = reflection->remote;
    if (!reflection->call) {
        remote_open_call(remote, &versions[reflection->version], &handler, reflection);
        reflection->call = remote->call;
    }
    reflection->is_done = reflection->has_response = false;
    call_send_bytes(reflection->call, buffer_bytes(request), buffer_length(request));
    return remote_wait(remote, &reflection->is_done) && reflection->has_response;
}

static bool fail(const struct reflection *reflection, struct error *error) {
    if (reflection->status == STATUS_UNIMPLEMENTED)
        return error_set(error, "the server has no reflection: name the types with --proto or --protoset");
    const char *text = reflection->text && *reflection->text ? reflection->text : "reflection has ended";
    return error_set(error, "%s: %s", status_name(reflection->status), text);
}

static bool ask(struct reflection *reflection, enum question question, const char *name,
                struct error *error) {
    struct buffer request = {0};
    wire_write_tag(&request, question, WIRE_BYTES);
    wire_write_bytes(&request, name, strlen(name));
    bool is_answered = false, is_next_due = true;
    while (!is_answered && is_next_due) {
        is_answered = ask_this_version(reflection, &request);
        is_next_due = reflection->status == STATUS_UNIMPLEMENTED && reflection->version + 1 < VERSIONS;
        if (!is_answered && is_next_due) reflection->version++;
    }
    buffer_free(&request);
    return is_answered || fail(reflection, error);
}

/* ---- answers ---- */

struct bytes {
    const uint8_t *at;
    size_t length;
};

/* The next field of `bytes` that is a string, bytes or message; false at the end, and at what is
 * malformed. */
static bool next_field(struct bytes *bytes, uint32_t *number, struct bytes *value) {
    const uint8_t *at = bytes->at, *end = at + bytes->length;
    while (at < end) {
        unsigned type;
        if (!(at = wire_read_tag(at, end, number, &type))) return false;
        if (type == WIRE_BYTES) {
            if (!(at = wire_read_length(at, end, &value->length))) return false;
            value->at = at;
            *bytes = (struct bytes){at + value->length, (size_t)(end - at) - value->length};
            return true;
        }
        if (!(at = wire_skip(at, end, *number, type, WIRE_DEPTH))) return false;
    }
    return false;
}

static bool find_field(struct bytes bytes, uint32_t wanted, struct bytes *value) {
    uint32_t number;
    while (next_field(&bytes, &number, value))
        if (number == wanted) return true;
    return false;
}

static struct bytes response_of(const struct reflection *reflection) {
    return (struct bytes){buffer_bytes(&reflection->response), buffer_length(&reflection->response)};
}

/* ErrorResponse has its text in field 2. */
static enum reflection_answer not_found(const struct reflection *reflection, const char *name,
                                        struct error *error) {
    struct bytes fault, text;
    if (!find_field(response_of(reflection), ANSWER_ERROR, &fault)) {
        error_set(error, "the server's reflection has answered something else");
        return REFLECTION_FAILED;
    }
    if (!find_field(fault, 2, &text)) text = (struct bytes){(const uint8_t *)"not found", 9};
    error_set(error, "%s: %.*s", name, (int)text.length, (const char *)text.at);
    return REFLECTION_NOT_FOUND;
}

/* ---- files ---- */

static enum reflection_answer fetch(struct reflection *reflection, enum question question, const char *name,
                                    struct error *error) {
    struct bytes files, file;
    uint32_t number;
    if (!ask(reflection, question, name, error)) return REFLECTION_FAILED;
    if (!find_field(response_of(reflection), ANSWER_FILES, &files)) return not_found(reflection, name, error);
    while (next_field(&files, &number, &file))
        if (number == 1 && !reflection_files_add(&reflection->files, file.at, file.length, error))
            return REFLECTION_FAILED;
    return REFLECTION_FOUND;
}

enum reflection_answer reflection_fetch(struct reflection *reflection, const char *symbol,
                                        struct error *error) {
    enum reflection_answer answer = fetch(reflection, ASK_SYMBOL, symbol, error);
    const char *missing;
    while (answer == REFLECTION_FOUND && (missing = reflection_files_missing(&reflection->files))) {
        char *name = memory_copy_string(missing);
        answer = fetch(reflection, ASK_FILE, name, error);
        if (answer == REFLECTION_FOUND && !reflection_files_has(&reflection->files, name)) {
            error_set(error, "the server's reflection has sent other files than \"%s\"", name);
            answer = REFLECTION_FAILED;
        }
        if (answer == REFLECTION_NOT_FOUND) answer = REFLECTION_FAILED; /* the symbol was there */
        free(name);
    }
    return answer;
}

void reflection_write_set(struct reflection *reflection, struct buffer *set) {
    reflection_files_write(&reflection->files, set);
}

/* ---- services ---- */

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* ListServiceResponse: messages in field 1, with their name in field 1. */
char **reflection_services(struct reflection *reflection, struct error *error) {
    struct bytes list, service, name;
    uint32_t number;
    if (!ask(reflection, ASK_SERVICES, "*", error)) return NULL;
    if (!find_field(response_of(reflection), ANSWER_SERVICES, &list)) {
        not_found(reflection, "the list of services", error);
        return NULL;
    }
    char **names = memory_new(sizeof *names);
    size_t count = 0;
    while (next_field(&list, &number, &service)) {
        if (number != 1 || !find_field(service, 1, &name)) continue;
        names = memory_resize(names, (count + 2) * sizeof *names);
        names[count++] = memory_copy(name.at, name.length);
        names[count] = NULL;
    }
    qsort(names, count, sizeof *names, compare_names);
    return names;
}
