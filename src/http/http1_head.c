/* http/http1_head.c - the head of a request → headers as HTTP/2 has them.
 *
 * The library takes the head apart; what its fields mean for the framing is read here, strictly, and compared with what
 * the library has made of them. */
#include <strings.h>

#include "http/http1_private.h"

enum {
    PSEUDO_MOST = 5,    /* :method :scheme :path :authority :protocol */
    NOMINATED_MOST = 8, /* headers that one request may declare as of this hop */
};

struct text {
    const char *data;
    size_t length;
};

/* What is gathered from one head. */
struct head {
    struct http_session *session;
    struct http_header *fields; /* behind room for the pseudo-headers */
    size_t count;
    struct text target, host, upgrade;
    struct text nominated[NOMINATED_MOST];
    size_t nominated_count;
    unsigned hosts, lengths, encodings;
    bool is_complete;
    bool says_close, says_keep_alive, says_upgrade;
    uint64_t length;
};

static const char bad_target[] = "the request's target is malformed";
static const char bad_length[] = "content-length is malformed";
static const char many_lengths[] = "more than one length of the body";
static const char bad_encoding[] = "chunked is the only transfer-encoding here";

/* ---- texts ---- */

static bool is(struct text text, const char *word) {
    return text.length == strlen(word) && strncasecmp(text.data, word, text.length) == 0;
}

static struct text trimmed(struct text text) {
    while (text.length && (*text.data == ' ' || *text.data == '\t')) text.data++, text.length--;
    while (text.length && (text.data[text.length - 1] == ' ' || text.data[text.length - 1] == '\t')) text.length--;
    return text;
}

/* In place: the head is the session's own copy. */
static struct text lower(struct text text) {
    char *bytes = (char *)(uintptr_t)text.data;
    for (size_t i = 0; i < text.length; i++)
        if (bytes[i] >= 'A' && bytes[i] <= 'Z') bytes[i] |= 0x20;
    return text;
}

/* Takes the next element of a list off its front; an empty one at its end. */
static struct text next_of(struct text *list) {
    const char *comma = list->length ? memchr(list->data, ',', list->length) : NULL;
    struct text one = {list->data, comma ? (size_t)(comma - list->data) : list->length};
    size_t skip = comma ? one.length + 1 : one.length;
    list->data += skip;
    list->length -= skip;
    return trimmed(one);
}

static bool refuse(struct head *head, int status, const char *text) {
    return http1_check_refuse(&head->session->h1->check, status, text);
}

/* ---- what the library tells ---- */

static void reserve_fields(struct head *head, size_t count) {
    struct http_worker *worker = head->session->worker;
    if (worker->request_capacity < PSEUDO_MOST + count) {
        worker->request_capacity = PSEUDO_MOST + count + 64;
        worker->request = memory_resize(worker->request, worker->request_capacity * sizeof *worker->request);
    }
    head->fields = worker->request + PSEUDO_MOST;
}

static void add_field(struct head *head, struct http_header field) {
    reserve_fields(head, head->count + 1);
    head->fields[head->count++] = field;
}

static int on_url(http_parser *parser, const char *at, size_t length) {
    struct head *head = parser->data;
    head->target = (struct text){at, length};
    return 0;
}

static int on_field(http_parser *parser, const char *at, size_t length) {
    struct head *head = parser->data;
    struct text name = lower((struct text){at, length});
    add_field(head, (struct http_header){.name = name.data, .name_length = name.length, .value = ""});
    return 0;
}

static int on_value(http_parser *parser, const char *at, size_t length) {
    struct head *head = parser->data;
    struct http_header *field = &head->fields[head->count - 1];
    struct text value = trimmed((struct text){at, length});
    field->value = value.length ? value.data : "";
    field->value_length = value.length;
    return 0;
}

static int on_headers_complete(http_parser *parser) {
    struct head *head = parser->data;
    head->is_complete = true;
    return 0;
}

static int on_message_complete(http_parser *parser) {
    struct head *head = parser->data;
    head->session->h1->has_parsed = true;
    return 0;
}

static const struct http_parser_settings settings = {.on_url = on_url,
                                                     .on_header_field = on_field,
                                                     .on_header_value = on_value,
                                                     .on_headers_complete = on_headers_complete,
                                                     .on_message_complete = on_message_complete};

static bool refuse_error(struct head *head, enum http_errno error) {
    switch (error) {
    case HPE_INVALID_METHOD: return refuse(head, 501, "the method is not known here");
    case HPE_INVALID_URL: return refuse(head, 400, bad_target);
    case HPE_INVALID_CONTENT_LENGTH: return refuse(head, 400, bad_length);
    case HPE_UNEXPECTED_CONTENT_LENGTH: return refuse(head, 400, many_lengths);
    case HPE_INVALID_TRANSFER_ENCODING: return refuse(head, 501, bad_encoding);
    default: return refuse(head, 400, "the request is malformed");
    }
}

static bool parse(struct head *head) {
    struct http1 *h1 = head->session->h1;
    const char *bytes = (const char *)buffer_bytes(&h1->head);
    size_t length = buffer_length(&h1->head);
    http_parser_init(&h1->parser, HTTP_REQUEST);
    h1->parser.data = head;
    h1->has_parsed = false;
    size_t parsed = http_parser_execute(&h1->parser, &settings, bytes, length);
    enum http_errno error = HTTP_PARSER_ERRNO(&h1->parser);
    if (error != HPE_OK) return refuse_error(head, error);
    return (parsed == length && head->is_complete) || refuse(head, 400, "the request is malformed");
}

/* ---- the fields of this hop ---- */

static bool read_connection(struct head *head, struct text list) {
    while (list.length) {
        struct text one = next_of(&list);
        if (!one.length) continue;
        if (is(one, "close")) head->says_close = true;
        else if (is(one, "keep-alive")) head->says_keep_alive = true;
        else if (is(one, "upgrade")) head->says_upgrade = true;
        else if (is(one, "te")) continue;
        else if (head->nominated_count == NOMINATED_MOST) return refuse(head, 400, "connection lists too many headers");
        else head->nominated[head->nominated_count++] = one;
    }
    return true;
}

static bool read_length(struct head *head, struct text value) {
    enum { DIGITS_MOST = 18 };
    if (head->lengths++) return refuse(head, 400, many_lengths);
    if (!value.length || value.length > DIGITS_MOST) return refuse(head, 400, bad_length);
    for (size_t i = 0; i < value.length; i++) {
        if (value.data[i] < '0' || value.data[i] > '9') return refuse(head, 400, bad_length);
        head->length = head->length * 10 + (uint64_t)(value.data[i] - '0');
    }
    return true;
}

static bool read_encoding(struct head *head, struct text value) {
    if (head->encodings++) return refuse(head, 400, "more than one transfer-encoding");
    return is(value, "chunked") || refuse(head, 501, bad_encoding);
}

static bool names_trailers(struct text list) {
    while (list.length)
        if (is(next_of(&list), "trailers")) return true;
    return false;
}

static bool read_expectation(struct head *head, struct http1_request *request, struct text value) {
    if (!is(value, "100-continue")) return refuse(head, 417, "100-continue is all that may be expected here");
    request->expects_continue = true;
    return true;
}

static bool read_field(struct head *head, struct http1_request *request, const struct http_header *field) {
    struct text name = {field->name, field->name_length}, value = {field->value, field->value_length};
    if (is(name, "host")) {
        head->host = value;
        head->hosts++;
    } else if (is(name, "connection")) {
        return read_connection(head, value);
    } else if (is(name, "content-length")) {
        return read_length(head, value);
    } else if (is(name, "transfer-encoding")) {
        return read_encoding(head, value);
    } else if (is(name, "expect")) {
        return read_expectation(head, request, value);
    } else if (is(name, "upgrade") && !head->upgrade.length) {
        head->upgrade = next_of(&value);
    } else if (is(name, "te") && names_trailers(value)) {
        request->takes_trailers = true;
    }
    return true;
}

static bool is_nominated(const struct head *head, struct text name) {
    for (size_t i = 0; i < head->nominated_count; i++)
        if (head->nominated[i].length == name.length &&
            strncasecmp(head->nominated[i].data, name.data, name.length) == 0)
            return true;
    return false;
}

/* content-length stays, as it is no hop's affair in HTTP/2. */
static bool is_of_hop(const struct head *head, struct text name) {
    static const char *const names[] = {"host",    "connection", "keep-alive", "proxy-connection", "transfer-encoding",
                                        "upgrade", "te",         "expect"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (is(name, names[i])) return true;
    return is_nominated(head, name);
}

static void drop_fields_of_hop(struct head *head) {
    size_t kept = 0;
    for (size_t i = 0; i < head->count; i++)
        if (!is_of_hop(head, (struct text){head->fields[i].name, head->fields[i].name_length}))
            head->fields[kept++] = head->fields[i];
    head->count = kept;
}

/* ---- the target ---- */

/* RFC 3986: a name or an address, and a port; no user. */
static bool is_authority(struct text text) {
    for (size_t i = 0; i < text.length; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        bool is_letter = (byte | 0x20) >= 'a' && (byte | 0x20) <= 'z';
        if (!is_letter && !(byte >= '0' && byte <= '9') && !(byte && strchr("-._~%!$&'()*+;=:[]", byte))) return false;
    }
    return true;
}

static size_t scheme_length(struct text target) {
    if (target.length > 7 && strncasecmp(target.data, "http://", 7) == 0) return 7;
    if (target.length > 8 && strncasecmp(target.data, "https://", 8) == 0) return 8;
    return 0;
}

/* "http://host/path": the host of the target counts (RFC 9112 section 3.2.2). */
static bool read_absolute(struct head *head, struct text *path, size_t scheme) {
    struct text rest = {head->target.data + scheme, head->target.length - scheme};
    size_t length = 0;
    while (length < rest.length && !strchr("/?#", rest.data[length])) length++;
    head->host = (struct text){rest.data, length};
    *path = (struct text){rest.data + length, rest.length - length};
    if (!path->length) *path = (struct text){"/", 1};
    return length && *path->data == '/';
}

static bool read_target(struct head *head, struct text *path) {
    struct http1 *h1 = head->session->h1;
    bool is_ok = false;
    size_t scheme = scheme_length(head->target);
    if (h1->parser.method == HTTP_CONNECT) return refuse(head, 501, "CONNECT is not served");
    if (head->hosts > 1 || (!head->hosts && h1->check.minor)) return refuse(head, 400, "a request needs one host");
    *path = head->target;
    if (scheme) is_ok = read_absolute(head, path, scheme);
    else if (*head->target.data == '/') is_ok = true;
    else if (is(head->target, "*")) is_ok = h1->parser.method == HTTP_OPTIONS;
    if (!is_ok || memchr(path->data, '#', path->length)) return refuse(head, 400, bad_target);
    return is_authority(head->host) || refuse(head, 400, "the host is malformed");
}

/* ---- all of it ---- */

static bool check_framing(struct head *head) {
    struct http1 *h1 = head->session->h1;
    if (head->lengths && head->encodings) return refuse(head, 400, many_lengths);
    if (head->encodings && !h1->check.minor) return refuse(head, 400, "HTTP/1.0 has no transfer-encoding");
    uint64_t length = head->lengths ? head->length : UINT64_MAX;
    bool is_chunked = h1->parser.flags & F_CHUNKED;
    bool has_body = head->encodings || head->length;
    if (is_chunked != (head->encodings > 0) || (!is_chunked && !h1->has_parsed && h1->parser.content_length != length) ||
        h1->has_parsed == has_body)
        return refuse(head, 400, "the length of the body is not clear");
    return true;
}

static bool is_upgrade(const struct head *head) {
    const struct http1 *h1 = head->session->h1;
    return head->says_upgrade && h1->check.minor && head->upgrade.length &&
           head->upgrade.length < sizeof h1->protocol && !is(head->upgrade, "h2c") && !head->encodings && !head->length;
}

static void add_pseudo(struct http_header **first, const char *name, struct text value) {
    *--*first = (struct http_header){
        .name = name, .name_length = strlen(name), .value = value.data, .value_length = value.length};
}

static void add_pseudos(struct head *head, struct http1_request *request, struct text path) {
    const struct http1 *h1 = head->session->h1;
    const char *method = http_method_str((enum http_method)h1->parser.method);
    struct http_header *first = head->fields;
    if (is_upgrade(head)) {
        struct text protocol = lower(head->upgrade);
        request->protocol = protocol.data;
        request->protocol_length = protocol.length;
        add_pseudo(&first, ":protocol", protocol);
    }
    if (head->host.length) add_pseudo(&first, ":authority", head->host);
    add_pseudo(&first, ":path", path);
    bool is_tls = connection_tls(head->session->connection) != NULL;
    add_pseudo(&first, ":scheme", is_tls ? (struct text){"https", 5} : (struct text){"http", 4});
    add_pseudo(&first, ":method", (struct text){method, strlen(method)});
    request->headers = first;
    request->count = (size_t)(head->fields - first) + head->count;
    request->is_head = h1->parser.method == HTTP_HEAD;
}

bool http1_head_read(struct http_session *session, struct http1_request *request) {
    struct head head = {.session = session};
    struct text path = {0};
    *request = (struct http1_request){0};
    reserve_fields(&head, 0);
    if (!parse(&head)) return false;
    for (size_t i = 0; i < head.count; i++)
        if (!read_field(&head, request, &head.fields[i])) return false;
    if (!check_framing(&head) || !read_target(&head, &path)) return false;
    drop_fields_of_hop(&head);
    if (request->takes_trailers)
        add_field(&head,
                  (struct http_header){.name = "te", .name_length = 2, .value = "trailers", .value_length = 8});
    add_pseudos(&head, request, path);
    request->is_chunked = head.encodings > 0;
    request->length = head.length;
    request->keeps_alive = !head.says_close && (session->h1->check.minor || head.says_keep_alive);
    request->expects_continue &= session->h1->check.minor && (request->is_chunked || request->length);
    return true;
}
