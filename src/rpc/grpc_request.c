/* rpc/grpc_request.c - see grpc_request.h */
#include "rpc/grpc_request.h"

#include <string.h>
#include <strings.h>

static bool is(struct text text, const char *literal, size_t length) {
    return text.length == length && memcmp(text.data, literal, length) == 0;
}
#define IS(text, literal) is(text, literal, sizeof(literal) - 1)

static struct text trimmed(struct text text) {
    while (text.length && *text.data == ' ') {
        text.data++;
        text.length--;
    }
    while (text.length && text.data[text.length - 1] == ' ') text.length--;
    return text;
}

/* The text before the first `separator`; `rest` is what follows it. */
static struct text cut(struct text text, char separator, struct text *rest) {
    const char *at = text.length ? memchr(text.data, separator, text.length) : NULL;
    size_t length = at ? (size_t)(at - text.data) : text.length, skip = at ? 1 : 0;
    *rest = (struct text){text.data + length + skip, text.length - length - skip};
    return trimmed((struct text){text.data, length});
}

static bool names_gzip(struct text list) {
    while (list.length)
        if (IS(cut(list, ',', &list), "gzip")) return true;
    return false;
}

enum grpc_content grpc_content_of(struct text type) {
    static const char name[] = "application/grpc";
    size_t length = sizeof name - 1;
    if (type.length < length || strncasecmp(type.data, name, length) != 0) return CONTENT_OTHER;
    struct text suffix = {type.data + length, type.length - length}, parameters;
    bool has_parameters = suffix.length && suffix.data[0] == ';';
    if (suffix.length && suffix.data[0] != '+' && !has_parameters)
        return CONTENT_OTHER; /* application/grpc-web */
    suffix = cut(suffix, ';', &parameters);
    if (suffix.length <= 1) return CONTENT_PLAIN;
    return suffix.length == 6 && strncasecmp(suffix.data, "+proto", 6) == 0 ? CONTENT_PROTO
                                                                            : CONTENT_UNKNOWN_SUFFIX;
}

static void read_content_type(struct grpc_request *request, struct text value) {
    struct text parameters;
    request->content = grpc_content_of(value);
    request->type = cut(value, ';', &parameters);
}

static void read_header(struct grpc_request *request, struct text name, struct text value) {
    switch (name.length) {
    case 4:
        if (IS(name, "host")) request->hosts++;
        break;
    case 5:
        if (IS(name, ":path")) request->path = value;
        break;
    case 7:
        if (IS(name, ":method")) request->method = value;
        break;
    case 10:
        if (IS(name, ":authority"))
            request->authorities++;
        else if (IS(name, "connection"))
            request->has_connection = true;
        break;
    case 12:
        if (IS(name, "content-type")) {
            read_content_type(request, value);
        } else if (IS(name, "grpc-timeout")) {
            request->timeout = value;
            request->has_timeout = true;
        }
        break;
    case 13:
        if (IS(name, "grpc-encoding")) request->encoding = value;
        break;
    case 20:
        if (IS(name, "grpc-accept-encoding")) request->accepts_gzip |= names_gzip(value);
        break;
    default:
        break;
    }
}

struct grpc_request grpc_request_read(const struct http_header *headers, size_t count) {
    struct grpc_request request = {0};
    for (size_t i = 0; i < count; i++)
        read_header(&request, (struct text){headers[i].name, headers[i].name_length},
                    (struct text){headers[i].value, headers[i].value_length});
    return request;
}

bool grpc_path_split(struct text path, struct text *service, struct text *method) {
    if (path.length < 2 || path.data[0] != '/') return false;
    const char *slash = memrchr(path.data + 1, '/', path.length - 1);
    if (!slash) return false;
    *service = (struct text){path.data + 1, (size_t)(slash - path.data - 1)};
    *method = (struct text){slash + 1, path.length - service->length - 2};
    return service->length && method->length;
}
