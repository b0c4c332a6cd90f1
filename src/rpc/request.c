/* rpc/request.c - see request.h */
#include "rpc/request.h"

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

struct text text_cut(struct text text, char separator, struct text *rest) {
    if (!text.length) return *rest = text; /* its data may be NULL */
    const char *at = memchr(text.data, separator, text.length);
    size_t length = at ? (size_t)(at - text.data) : text.length, skip = at ? 1 : 0;
    *rest = (struct text){text.data + length + skip, text.length - length - skip};
    return trimmed((struct text){text.data, length});
}

bool text_lists(struct text list, const char *word) {
    while (list.length)
        if (text_is(text_cut(list, ',', &list), word)) return true;
    return false;
}

static enum codec codec_of(struct text suffix) {
    if (suffix.length <= 1) return CODEC_PLAIN; /* "application/grpc+" too */
    if (suffix.length == 6 && strncasecmp(suffix.data, "+proto", 6) == 0) return CODEC_PROTO;
    return suffix.length == 5 && strncasecmp(suffix.data, "+json", 5) == 0 ? CODEC_JSON : CODEC_UNKNOWN;
}

struct text request_type_split(struct text type, enum codec *codec) {
    struct text parameters, base = text_cut(type, ';', &parameters);
    *codec = CODEC_PLAIN;
    const char *plus = base.length ? memchr(base.data, '+', base.length) : NULL;
    if (!plus) return base;
    size_t length = (size_t)(plus - base.data);
    *codec = codec_of((struct text){plus, base.length - length});
    return (struct text){base.data, length};
}

static void read_header(struct request *request, struct text name, struct text value) {
    struct text parameters;
    switch (name.length) {
    case 4:
        if (IS(name, "host")) request->hosts++;
        break;
    case 5:
        if (IS(name, ":path")) request->path = value;
        break;
    case 6:
        if (IS(name, "accept")) request->accept = value;
        else if (IS(name, "origin")) request->origin = value;
        break;
    case 7:
        if (IS(name, ":method")) request->method = value;
        break;
    case 9:
        if (IS(name, ":protocol")) request->protocol = value;
        break;
    case 10:
        if (IS(name, ":authority"))
            request->authorities++;
        else if (IS(name, "connection"))
            request->has_connection = true;
        break;
    case 12:
        if (IS(name, "content-type")) {
            request->type = text_cut(value, ';', &parameters);
        } else if (IS(name, "grpc-timeout")) {
            request->timeout = value;
            request->has_timeout = true;
        }
        break;
    case 13:
        if (IS(name, "grpc-encoding")) request->encoding = value;
        break;
    case 20:
        if (IS(name, "grpc-accept-encoding")) request->accepts_gzip |= text_lists(value, "gzip");
        break;
    default:
        break;
    }
}

struct request request_read(const struct http_header *headers, size_t count) {
    struct request request = {0};
    for (size_t i = 0; i < count; i++)
        read_header(&request, (struct text){headers[i].name, headers[i].name_length},
                    (struct text){headers[i].value, headers[i].value_length});
    return request;
}

bool request_path_split(struct text path, struct text *service, struct text *method) {
    if (path.length < 2 || path.data[0] != '/') return false;
    const char *slash = memrchr(path.data + 1, '/', path.length - 1);
    if (!slash) return false;
    *service = (struct text){path.data + 1, (size_t)(slash - path.data - 1)};
    *method = (struct text){slash + 1, path.length - service->length - 2};
    return service->length && method->length;
}
