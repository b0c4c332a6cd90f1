/* Requests as a client of REST writes them, and what comes back. */
#include "rpc/rest.h"

#include "record.h"
#include "rpc/http_rule.h"
#include "schema/json.h"

static struct schema *schema;
static const struct service *library;
static struct record record;
static struct http_session *session;
static const struct call_limits limits = {.message = 2000, .buffered_per_stream = 100000};

static void load(void) {
    static const char *const paths[] = {"tests/proto", "proto", NULL}, *const files[] = {"library.proto", NULL};
    struct error error;
    schema = schema_load((char *const *)paths, (char *const *)files, &error);
    if (!schema) check_failed(__FILE__, __LINE__, error.text);
    library = schema_service(schema, "library.Library", 15);
}

static struct text text_of(const char *text) { return (struct text){text, strlen(text)}; }

static void add_route(const struct method *method, const struct rest_rule *rule, struct text path) {
    struct error error;
    char *template = memory_copy(path.data, path.length);
    struct path_route route = {.path = path_template_parse(template, &error), .way = PATH_HTTP};
    CHECK(route.path);
    route.rest = rest_route_new(route.path, rule, method, &error);
    if (!route.rest) check_failed(__FILE__, __LINE__, error.text);
    route.method = memory_format("/%s", method->full_name);
    CHECK(!router_add_path(fake_router, &route));
    free(template);
}

static void add_service(const struct service *service) {
    for (size_t i = 0; i < service->method_count; i++) {
        const struct method *method = &service->methods[i];
        struct http_rule rules[HTTP_RULES_MOST];
        struct error error;
        router_add(fake_router, method, &record_handler, &record, &limits);
        size_t count = method->http_rule ? http_rules_read(method->http_rule, method->http_rule_length, rules, &error) : 0;
        for (size_t j = 0; j < count; j++) {
            struct rest_rule rule = {rules[j].verb, rules[j].body, rules[j].response_body, text_of("")};
            if (strcmp(method->name, "Follow") == 0) rule.event_id = text_of("position");
            add_route(method, &rule, rules[j].path);
        }
    }
}

static void open_library(void) {
    record = (struct record){0};
    fake_start(NULL);
    router_set_schema(fake_router, schema);
    add_service(library);
    add_service(schema_service(schema, "library.Scans", 13));
    session = fake_accept();
}

static void close_library(struct http_stream *stream) {
    fake_stop();
    fake_stream_free(stream);
    record_free(&record);
}

static struct http_stream *ask(const char *verb, const char *target, const char *type, const char *accept) {
    return fake_request(session, target, type == NULL, ":method", verb, "content-type", type, "te", NULL,
                        accept ? "accept" : "x-none", accept ? accept : "", NULL);
}

/* The whole of a request, whose answer is left to the test. */
static struct http_stream *request(const char *verb, const char *target, const char *body) {
    struct http_stream *stream = ask(verb, target, body ? "application/json" : NULL, NULL);
    fake_receive(stream, body, body ? strlen(body) : 0, body != NULL);
    return stream;
}

/* The messages that the handler has got, as JSON, one behind the other. */
static void got(const char *expected) {
    const struct message_type *type = record.call->method->request;
    struct buffer json = {0};
    const uint8_t *at = buffer_bytes(&record.received), *end = at + buffer_length(&record.received);
    while (at < end) {
        struct error error;
        size_t length = (size_t)at[3] << 8 | at[4];
        CHECK(json_write(type, at + 5, length, NULL, &json, &error));
        at += 5 + length;
    }
    buffer_append_byte(&json, 0);
    CHECK_STR((const char *)buffer_bytes(&json), expected);
    buffer_free(&json);
}

static void reply(const char *json) {
    struct buffer bytes = {0};
    struct error error;
    CHECK(json_read(record.call->method->response, json, strlen(json), NULL, &bytes, &error));
    CHECK(call_send_bytes(record.call, buffer_bytes(&bytes), buffer_length(&bytes)));
    buffer_free(&bytes);
}

static void body_is(struct http_stream *stream, const char *expected) {
    struct buffer text = {0};
    fake_turn();
    buffer_append(&text, buffer_bytes(&stream->body), buffer_length(&stream->body));
    buffer_append_byte(&text, 0);
    CHECK_STR((const char *)buffer_bytes(&text), expected);
    buffer_free(&text);
}

static void is_status(struct http_stream *stream, const char *status) {
    char expected[32];
    fake_turn();
    int length = snprintf(expected, sizeof expected, ":status: %s\n", status);
    if (strncmp(fake_text(&stream->headers), expected, (size_t)length)) CHECK_STR(fake_text(&stream->headers), expected);
}

/* ---- requests ---- */

static void path_query_and_body_are_the_request(void) {
    static const struct {
        const char *verb, *target, *body, *message;
    } rows[] = {
        {"GET", "/v1/shelves/a%20b/books/c%2Fd", NULL, "{\"name\":\"shelves/a b/books/c%2Fd\"}"},
        {"GET", "/v1/books/c%2Fd", NULL, "{\"name\":\"c/d\"}"},
        {"GET", "/v1/books/x?name=y&utm=1", NULL, "{\"name\":\"x\"}"},
        {"GET", "/v1/shelves/1/books?page_size=3&years=1&like.title=a+b&years=2", NULL,
         "{\"parent\":\"shelves/1\",\"pageSize\":3,\"years\":[\"1\",\"2\"],\"like\":{\"title\":\"a b\"}}"},
        {"GET", "/v1/shelves/1/books?like%2Eauthor.givenName=%C3%BC&nothing=1", NULL,
         "{\"parent\":\"shelves/1\",\"like\":{\"author\":{\"givenName\":\"\303\274\"}}}"},
        {"GET", "/v1/shelves/1/books?", NULL, "{\"parent\":\"shelves/1\"}"},
        {"POST", "/v1/shelves/1/books?request_id=7&book.title=no", "{\"title\":\"T\"}",
         "{\"parent\":\"shelves/1\",\"book\":{\"title\":\"T\"},\"requestId\":\"7\"}"},
        {"POST", "/v1/shelves/1/books", "", "{\"parent\":\"shelves/1\"}"},
        {"POST", "/v1/shelves/1/books", " null ", "{\"parent\":\"shelves/1\"}"},
        {"PATCH", "/v1/shelves/1/books/2?book.title=no", "{\"book\":{\"name\":\"other\",\"tags\":[\"x\"]},\"unknown\":{}}",
         "{\"book\":{\"name\":\"shelves/1/books/2\",\"tags\":[\"x\"]}}"},
        {"MERGE", "/v1/shelves/1/books/2", "{}", "{\"book\":{\"name\":\"shelves/1/books/2\"}}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        open_library();
        struct http_stream *stream = request(rows[i].verb, rows[i].target, rows[i].body);
        if (!record.call) check_failed(__FILE__, __LINE__, rows[i].target);
        CHECK_STR(call_protocol(record.call), "rest");
        got(rows[i].message);
        close_library(stream);
    }
}

static void what_is_no_request_is_refused_with_a_reason(void) {
    static const struct {
        const char *verb, *target, *body, *status, *text;
    } rows[] = {
        {"GET", "/v1/books/%zz", NULL, "400", "the path is malformed"},
        {"GET", "/v1/books/%ff", NULL, "400", "the path: name: no UTF-8"},
        {"GET", "/v1/shelves/1/books?page_size=x", NULL, "400", "the query: page_size: expected a number (int32)"},
        {"GET", "/v1/shelves/1/books?page_size=1&pageSize=2", NULL, "400",
         "the parameter \\\"pageSize\\\" stands twice, or beside another of its oneof"},
        {"GET", "/v1/shelves/1/books?like=x", NULL, "400",
         "the parameter \\\"like\\\" is a message: only its fields can be named"},
        {"GET", "/v1/shelves/1/books?a=%", NULL, "400", "the query is malformed"},
        {"POST", "/v1/shelves/1/books", "{\"title\":1}", "400",
         "the request is no library.NewBook: book.title: expected a string"},
        {"POST", "/v1/shelves/1/books", "{},\"parent\":\"x\"", "400",
         "the request is no library.NewBook: line 1, column 3: something stands behind the message"},
        {"DELETE", "/v1/shelves/1/books", NULL, "405", "this path is not served with this method of HTTP"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char expected[512];
        open_library();
        struct http_stream *stream = request(rows[i].verb, rows[i].target, rows[i].body);
        is_status(stream, rows[i].status);
        snprintf(expected, sizeof expected, "{\"code\":%d,\"message\":\"%s\",\"details\":[]}",
                 strcmp(rows[i].status, "405") ? 3 : 12, rows[i].text);
        body_is(stream, expected);
        CHECK_INT(record.messages, 0);
        close_library(stream);
    }
}

static void a_path_names_the_verbs_that_it_is_served_with(void) {
    const struct rest_rule wide = {text_of("GET"), text_of(""), text_of(""), text_of("")};
    open_library();
    add_route(service_method(library, "Get", 3), &wide, text_of("/{name=**}")); /* the same verb again */
    struct http_stream *stream = request("DELETE", "/v1/shelves/1/books", NULL);
    CHECK(strstr(fake_text(&stream->headers), "\nallow: POST, GET, HEAD\n"));
    close_library(stream);
}

static void a_query_has_a_bound(void) {
    char target[1024] = "/v1/books/a?";
    for (int i = 0; i < PARAMETERS_MOST + 1; i++) strcat(target, "x=1&");
    open_library();
    struct http_stream *stream = request("GET", target, NULL);
    is_status(stream, "400");
    close_library(stream);
    target[strlen(target) - 4] = 0;
    open_library();
    stream = request("GET", target, NULL);
    got("{\"name\":\"a\"}");
    close_library(stream);
}

static void a_body_is_json_and_says_so(void) {
    static const char *const types[] = {"text/plain", "application/x-www-form-urlencoded", "application/proto",
                                        "application/x-ndjson"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        open_library();
        struct http_stream *stream = ask("POST", "/v1/shelves/1/books", types[i], NULL);
        is_status(stream, "415");
        close_library(stream);
    }
    open_library();
    struct http_stream *stream = fake_request(session, "/v1/shelves/1/books", false, "content-type", NULL, NULL);
    fake_receive(stream, "{}", 2, true);
    is_status(stream, "400");
    close_library(stream);
}

static void other_ways_in_keep_theirs(void) {
    const struct rest_rule all = {text_of("POST"), text_of("*"), text_of(""), text_of("")};
    open_library();
    add_route(service_method(library, "Get", 3), &all, text_of("/{name=**}"));
    struct http_stream *stream = ask("POST", "/library.Library/Plain", "application/json", NULL);
    fake_receive(stream, "{}", 2, true);
    CHECK_STR(call_protocol(record.call), "connect");
    close_library(stream);
    open_library();
    stream = ask("POST", "/v1/talk", "application/connect+json", NULL);
    is_status(stream, "404");
    close_library(stream);
    open_library();
    stream = ask("GET", "/v1/nothing", NULL, NULL);
    is_status(stream, "404");
    close_library(stream);
}

static void lines_of_a_body_are_messages(void) {
    static const char body[] = "{\"name\":\"a\"}\n\r\n  {\"name\":\"b\"}\r\n\n{\"name\":\"c\"}";
    for (size_t cut = 0; cut < sizeof body; cut++) {
        open_library();
        struct http_stream *stream = ask("POST", "/v1/books:import", "application/x-ndjson", NULL);
        fake_receive(stream, body, cut, false);
        fake_receive(stream, body + cut, sizeof body - 1 - cut, true);
        got("{\"name\":\"a\"}{\"name\":\"b\"}{\"name\":\"c\"}");
        reply("{\"books\":3}");
        call_finish(record.call, STATUS_OK, NULL, NULL, 0);
        body_is(stream, "{\"books\":3}");
        close_library(stream);
    }
}

/* ---- replies ---- */

static void a_reply_is_the_body_or_a_field_of_it(void) {
    static const struct {
        const char *target, *reply, *body;
    } rows[] = {{"/v1/books/a", "{\"title\":\"T\"}", "{\"title\":\"T\"}"},
                {"/v1/books/a", "{}", "{}"},
                {"/v1/shelves/1:list", "{\"books\":[{\"title\":\"T\"},{}],\"total\":9}", "[{\"title\":\"T\"},{}]"},
                {"/v1/shelves/1:list", "{\"total\":9}", "[]"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        open_library();
        struct http_stream *stream = request("GET", rows[i].target, NULL);
        metadata_add(call_headers(record.call), "x-begin", 7, "1", 1);
        metadata_add(call_trailers(record.call), "x-end", 5, "2", 1);
        reply(rows[i].reply);
        call_finish(record.call, STATUS_OK, NULL, NULL, 0);
        body_is(stream, rows[i].body);
        char expected[256];
        snprintf(expected, sizeof expected,
                 ":status: 200\ncontent-type: application/json\ncontent-length: %zu\nvary: Accept-Encoding\nx-begin: 1\ntrailer-x-end: 2\n",
                 strlen(rows[i].body));
        CHECK_STR(fake_text(&stream->headers), expected);
        close_library(stream);
    }
}

static void the_headers_alone_are_an_answer_too(void) {
    open_library();
    struct http_stream *stream = request("HEAD", "/v1/books/a", NULL);
    reply("{\"title\":\"T\"}");
    call_finish(record.call, STATUS_OK, NULL, NULL, 0);
    body_is(stream, "");
    CHECK_STR(fake_text(&stream->headers), ":status: 200\ncontent-type: application/json\ncontent-length: 13\nvary: Accept-Encoding\n");
    CHECK_INT(record.status, STATUS_OK);
    close_library(stream);
    open_library();
    stream = request("HEAD", "/v1/shelves/1:watch", NULL); /* it may have no end */
    is_status(stream, "405");
    CHECK(strstr(fake_text(&stream->headers), "\nallow: GET\n"));
    close_library(stream);
}

/* ---- google.api.HttpBody ---- */

static void a_body_may_be_no_json(void) {
    static const struct {
        const char *verb, *target, *type, *body, *message;
    } rows[] = {
        {"PUT", "/v1/scans/1", "image/png", "\211PNG", "{\"name\":\"scans/1\",\"file\":{\"contentType\":\"image/png\",\"data\":\"iVBORw==\"}}"},
        {"PUT", "/v1/scans/1?note=n&file.data=QQ", "text/plain", " ",
         "{\"name\":\"scans/1\",\"file\":{\"contentType\":\"text/plain\",\"data\":\"IA==\"},\"note\":\"n\"}"},
        {"PUT", "/v1/scans/1", NULL, "", "{\"name\":\"scans/1\",\"file\":{}}"},
        {"PUT", "/v1/scans/1", "a/b\377", "{}", "{\"name\":\"scans/1\",\"file\":{\"data\":\"e30=\"}}"},
        {"POST", "/v1/scans:turn", "application/json", "{}", "{\"contentType\":\"application/json\",\"data\":\"e30=\"}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        open_library();
        struct http_stream *stream = fake_request(session, rows[i].target, false, ":method", rows[i].verb, "content-type",
                                                  rows[i].type, NULL);
        fake_receive(stream, rows[i].body, strlen(rows[i].body), true);
        if (!record.call) check_failed(__FILE__, __LINE__, rows[i].target);
        got(rows[i].message);
        close_library(stream);
    }
}

static void a_reply_may_be_no_json(void) {
    static const struct {
        const char *verb, *target, *reply, *type, *body;
    } rows[] = {
        {"GET", "/v1/scans/1", "{\"contentType\":\"text/csv\",\"data\":\"YSxi\"}", "text/csv", "a,b"},
        {"GET", "/v1/scans/1", "{\"contentType\":\"a/b\\nx-y: z\",\"data\":\"YSxi\"}", "application/octet-stream", "a,b"},
        {"GET", "/v1/scans/1", "{}", "application/octet-stream", ""},
        {"PUT", "/v1/scans/1", "{\"file\":{\"contentType\":\"image/png\",\"data\":\"YQ==\"}}", "image/png", "a"},
        {"PUT", "/v1/scans/1", "{\"name\":\"a\"}", "application/octet-stream", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char expected[256];
        open_library();
        bool is_put = *rows[i].verb == 'P';
        struct http_stream *stream = ask(rows[i].verb, rows[i].target, is_put ? "a/b" : NULL, NULL);
        fake_receive(stream, NULL, 0, is_put);
        reply(rows[i].reply);
        call_finish(record.call, STATUS_OK, NULL, NULL, 0);
        body_is(stream, rows[i].body);
        snprintf(expected, sizeof expected, ":status: 200\ncontent-type: %s\ncontent-length: %zu\nvary: Accept-Encoding\n", rows[i].type,
                 strlen(rows[i].body));
        CHECK_STR(fake_text(&stream->headers), expected);
        close_library(stream);
    }
}

static void a_stream_may_be_no_json(void) {
    for (int replies = 0; replies < 3; replies++) {
        for (int has_failed = 0; has_failed < 2; has_failed++) {
            open_library();
            struct http_stream *stream = request("GET", "/v1/scans/1:read", NULL);
            call_send_headers(record.call);
            if (replies > 0) reply("{\"contentType\":\"image/png\"}");
            if (replies > 1) reply("{\"contentType\":\"text/plain\",\"data\":\"YSxi\"}");
            fake_turn();
            call_finish(record.call, has_failed ? STATUS_NOT_FOUND : STATUS_OK, "no", NULL, 0);
            fake_turn();
            const char *type = replies ? "image/png" : has_failed ? "application/json" : "application/octet-stream";
            is_status(stream, has_failed && !replies ? "404" : "200");
            CHECK(strstr(fake_text(&stream->headers), type));
            if (replies > 0 && has_failed) CHECK_INT(stream->reset, HTTP_INTERNAL_ERROR);
            else body_is(stream, has_failed ? "{\"code\":5,\"message\":\"no\",\"details\":[]}" : replies > 1 ? "a,b" : "");
            if (replies > 0 && has_failed) CHECK_INT(record.status, STATUS_NOT_FOUND);
            close_library(stream);
        }
    }
}

/* ---- failures ---- */

/* google.rpc.Status { details: [Any] } of a type that is known, of one with its own form, and of one that is not known. */
static void a_failure_is_a_status_as_json(void) {
    static const char status[] = "\32\32\n\23t.x/library.GetBook\22\3\n\1a"
                                 "\32\43\n\35t.x/google.protobuf.Timestamp\22\2\10\1"
                                 "\32\12\n\5a/x.Y\22\1\377";
    open_library();
    struct http_stream *stream = request("GET", "/v1/books/a", NULL);
    call_finish(record.call, STATUS_NOT_FOUND, "no \"a\"", status, sizeof status - 1);
    is_status(stream, "404");
    CHECK(strstr(fake_text(&stream->headers), "\ncontent-type: application/json\n"));
    body_is(stream, "{\"code\":5,\"message\":\"no \\\"a\\\"\",\"details\":[{\"@type\":\"t.x/library.GetBook\",\"name\":\"a\"},"
                    "{\"@type\":\"t.x/google.protobuf.Timestamp\",\"value\":\"1970-01-01T00:00:01Z\"},"
                    "{\"@type\":\"a/x.Y\",\"value\":\"/w==\"}]}");
    close_library(stream);
}

/* google.rpc.RetryInfo { retry_delay } */
static void a_client_is_told_when_to_come_again(void) {
    static const struct {
        const char *delay;
        size_t length;
        const char *own, *seconds;
    } rows[] = {
        {"\12\2\10\7", 4, NULL, "7"},               /* 7 s */
        {"\12\3\20\200\1", 5, NULL, "1"},           /* 128 ns */
        {"\12\5\10\7\20\200\1", 7, NULL, "8"},      /* 7 s, 128 ns */
        {"\12\2\10\7", 4, "9", "9"},                /* as the handler has it */
        {"\12\2\10\0", 4, NULL, NULL},
        {"\12\13\10\377\377\377\377\377\377\377\377\377\1", 13, NULL, NULL}, /* -1 s */
        {"\12\7\10", 3, NULL, NULL},                /* cut */
        {"", 0, NULL, NULL},
    };
    static const char url[] = "\n\50type.googleapis.com/google.rpc.RetryInfo\22";
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buffer details = {0};
        open_library();
        struct http_stream *stream = request("GET", "/v1/books/a", NULL);
        buffer_append_byte(&details, 3 << 3 | 2);
        buffer_append_byte(&details, (uint8_t)(sizeof url + rows[i].length));
        buffer_append(&details, url, sizeof url - 1);
        buffer_append_byte(&details, (uint8_t)rows[i].length);
        buffer_append(&details, rows[i].delay, rows[i].length);
        if (rows[i].own) metadata_add(call_headers(record.call), "retry-after", 11, rows[i].own, strlen(rows[i].own));
        call_finish(record.call, STATUS_UNAVAILABLE, "later", buffer_bytes(&details), buffer_length(&details));
        is_status(stream, "503");
        const char *said = strstr(fake_text(&stream->headers), "\nretry-after: ");
        char seconds[24] = "";
        if (said) CHECK_INT(sscanf(said, "\nretry-after: %23[0-9]\n", seconds), 1);
        CHECK_STR(seconds, rows[i].seconds ? rows[i].seconds : "");
        CHECK(!said || !strstr(said + 1, "\nretry-after: "));
        buffer_free(&details);
        close_library(stream);
    }
}

static struct http_stream *follow(const char *accept) {
    open_library();
    struct http_stream *stream = ask("GET", "/v1/shelves/1:watch", NULL, accept);
    fake_receive(stream, NULL, 0, false);
    if (!record.call) check_failed(__FILE__, __LINE__, accept);
    return stream;
}

static void a_stream_is_lines_a_list_or_events(void) {
    static const struct {
        const char *accept, *type, *messages, *end, *failure;
    } rows[] = {
        {"*/*", "application/x-ndjson", "{\"result\":{\"position\":\"7\",\"text\":\"a\"}}\n{\"result\":{\"text\":\"b\"}}\n", "",
         "{\"error\":{\"code\":8,\"message\":\"no\",\"details\":[]}}\n"},
        {"text/html, application/json;q=1, text/event-stream", "application/json",
         "[{\"position\":\"7\",\"text\":\"a\"},\n{\"text\":\"b\"}", "]\n",
         ",\n{\"error\":{\"code\":8,\"message\":\"no\",\"details\":[]}}]\n"},
        {"Text/Event-Stream", "text/event-stream",
         "id: 7\ndata: {\"position\":\"7\",\"text\":\"a\"}\n\ndata: {\"text\":\"b\"}\n\n", "event: end\ndata: {}\n\n",
         "event: error\ndata: {\"code\":8,\"message\":\"no\",\"details\":[]}\n\n"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (int has_failed = 0; has_failed < 2; has_failed++) {
            char expected[512];
            struct http_stream *stream = follow(rows[i].accept);
            reply("{\"position\":7,\"text\":\"a\"}");
            reply("{\"text\":\"b\"}");
            body_is(stream, rows[i].messages);
            snprintf(expected, sizeof expected, ":status: 200\ncontent-type: %s\n", rows[i].type);
            CHECK(strncmp(fake_text(&stream->headers), expected, strlen(expected)) == 0);
            call_finish(record.call, has_failed ? STATUS_RESOURCE_EXHAUSTED : STATUS_OK, has_failed ? "no" : NULL, NULL, 0);
            snprintf(expected, sizeof expected, "%s%s", rows[i].messages, has_failed ? rows[i].failure : rows[i].end);
            body_is(stream, expected);
            close_library(stream);
        }
    }
}

static void an_empty_stream_is_an_empty_one_of_its_form(void) {
    static const char *const rows[][2] = {
        {"*/*", ""}, {"application/json", "[]\n"}, {"text/event-stream", "event: end\ndata: {}\n\n"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct http_stream *stream = follow(rows[i][0]);
        call_finish(record.call, STATUS_OK, NULL, NULL, 0);
        body_is(stream, rows[i][1]);
        is_status(stream, "200");
        close_library(stream);
    }
}

/* What was never sent is no part of a list. */
static void a_list_that_fails_stays_json(void) {
    for (int has_left = 0; has_left < 2; has_left++) {
        open_library();
        struct http_stream *stream = fake_request(session, "/v1/shelves/1:watch", true, ":method", "GET", "content-type", NULL,
                                                  "accept", "application/json", "grpc-timeout", "1S", NULL);
        stream->window = has_left ? SIZE_MAX : 0;
        fake_receive(stream, NULL, 0, false);
        reply("{\"text\":\"a\"}");
        fake_turn();
        fake_advance(2 * NS_PER_S);
        stream->window = SIZE_MAX;
        body_is(stream, has_left ? "[{\"text\":\"a\"},\n{\"error\":{\"code\":4,\"message\":\"the deadline has passed\","
                                   "\"details\":[]}}]\n"
                                 : "[{\"error\":{\"code\":4,\"message\":\"the deadline has passed\",\"details\":[]}}]\n");
        close_library(stream);
    }
}

static void a_stream_that_fails_at_once_has_its_status_in_http(void) {
    struct http_stream *stream = follow("*/*");
    call_finish(record.call, STATUS_PERMISSION_DENIED, "no", NULL, 0);
    is_status(stream, "403");
    body_is(stream, "{\"code\":7,\"message\":\"no\",\"details\":[]}");
    close_library(stream);
}

static void silent_events_are_kept_alive(void) {
    struct http_stream *stream = follow("text/event-stream");
    fake_advance(16 * NS_PER_S);
    CHECK_STR(fake_text(&stream->headers), ""); /* it may be refused yet */
    call_send_headers(record.call);
    is_status(stream, "200");
    body_is(stream, "");
    fake_advance(15 * NS_PER_S);
    body_is(stream, ":\n\n");
    fake_advance(14 * NS_PER_S);
    reply("{\"text\":\"a\"}");
    fake_advance(14 * NS_PER_S);
    body_is(stream, ":\n\ndata: {\"text\":\"a\"}\n\n");
    stream->window = 0;
    fake_advance(60 * NS_PER_S);
    fake_advance(60 * NS_PER_S);
    stream->window = SIZE_MAX;
    body_is(stream, ":\n\ndata: {\"text\":\"a\"}\n\n:\n\n");
    call_finish(record.call, STATUS_OK, NULL, NULL, 0);
    fake_turn();
    close_library(stream);
}

/* ---- routes ---- */

static void a_route_has_fields_of_its_types(void) {
    static const struct {
        const char *path, *body, *answer, *id, *fault;
    } rows[] = {
        {"/{nam}", "", "", "", "{nam}: library.ListBooks has no such field"},
        {"/{like}", "", "", "", "{like}: a field in a path has one value"},
        {"/{years}", "", "", "", "{years}: a field in a path has one value"},
        {"/{page_size}/{pageSize}", "", "", "", "{pageSize}: another variable is the same field, or of the same oneof"},
        {"/a", "boy", "", "", "`body`: library.ListBooks has no field \"boy\""},
        {"/{like.title}", "like", "", "", "`body`: a part of \"like\" stands in the path"},
        {"/a", "", "page", "", "`response_body`: library.Books has no field \"page\""},
        {"/a", "", "", "page", "`event_id`: library.Books has no field \"page\""},
        {"/a", "", "", "books", "`event_id`: \"books\" is neither a string nor an int or uint"},
    };
    const struct method *method = service_method(library, "List", 4);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct error error;
        struct path_template *path = path_template_parse(rows[i].path, &error);
        const struct rest_rule rule = {text_of("GET"), text_of(rows[i].body), text_of(rows[i].answer), text_of(rows[i].id)};
        CHECK(!rest_route_new(path, &rule, method, &error));
        CHECK_STR(error.text, rows[i].fault);
        path_template_free(&path);
    }
}

int main(void) {
    load();
    RUN(path_query_and_body_are_the_request);
    RUN(what_is_no_request_is_refused_with_a_reason);
    RUN(a_path_names_the_verbs_that_it_is_served_with);
    RUN(a_query_has_a_bound);
    RUN(a_body_is_json_and_says_so);
    RUN(other_ways_in_keep_theirs);
    RUN(lines_of_a_body_are_messages);
    RUN(a_reply_is_the_body_or_a_field_of_it);
    RUN(the_headers_alone_are_an_answer_too);
    RUN(a_body_may_be_no_json);
    RUN(a_reply_may_be_no_json);
    RUN(a_stream_may_be_no_json);
    RUN(a_failure_is_a_status_as_json);
    RUN(a_client_is_told_when_to_come_again);
    RUN(a_stream_is_lines_a_list_or_events);
    RUN(an_empty_stream_is_an_empty_one_of_its_form);
    RUN(a_list_that_fails_stays_json);
    RUN(a_stream_that_fails_at_once_has_its_status_in_http);
    RUN(silent_events_are_kept_alive);
    RUN(a_route_has_fields_of_its_types);
    schema_unref(&schema);
    return 0;
}
