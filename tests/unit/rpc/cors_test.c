#include "rpc/cors.h"

#include "base/clock.h"
#include "check.h"
#include "rpc/header_block.h"

static struct header_block block;
static struct buffer names;

static struct text text_of(const char *text) { return (struct text){text, strlen(text)}; }

static struct cors *cors_of(const char *origin, const char *header, bool credentials) {
    char *const origins[] = {(char *)origin, (char *)"https://last.example.com", NULL};
    char *const headers[] = {(char *)header, NULL};
    return cors_new(&(struct cors_options){
        .origins = origins, .headers = headers, .max_age = 90 * NS_PER_S, .credentials = credentials});
}

static const char *written(void) {
    static char text[2048];
    size_t length = 0;
    text[0] = 0;
    for (size_t i = 0; i < block.count; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, "%.*s: %.*s\n", (int)block.headers[i].name_length,
                                   block.headers[i].name, (int)block.headers[i].value_length, block.headers[i].value);
    return text;
}

static void origins_are_compared_whole(void) {
    static const struct {
        const char *pattern, *origin;
        bool is_allowed;
    } cases[] = {
        {"https://a.example", "https://a.example", true},
        {"https://a.example", "https://last.example.com", true},
        {"https://a.example", "http://a.example", false},
        {"https://a.example", "https://a.example:444", false},
        {"https://a.example", "https://a.example.evil", false},
        {"https://a.example", "https://a.exampl", false},
        {"https://a.example", "", false},
        {"https://a.example", "null", false},
        {"null", "null", true},
        {"https://*.a.example", "https://b.a.example", true},
        {"https://*.a.example", "https://c.b.a.example", true},
        {"https://*.a.example", "https://a.example", false},
        {"https://*.a.example", "https://.a.example", false},
        {"https://*.a.example", "https://evil/.a.example", false},
        {"https://*.a.example", "https://evil:1@b.a.example", false},
        {"https://*.a.example", "https://b.a.example.evil", false},
        {"https://*.a.example:8443", "https://b.a.example:8443", true},
        {"https://*.a.example:8443", "https://b.a.example", false},
        {"*", "https://anywhere.example", true},
        {"*", "null", true},
        {"*", "", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cors *cors = cors_of(cases[i].pattern, NULL, false);
        if (cors_allows(cors, text_of(cases[i].origin)) != cases[i].is_allowed)
            check_failed(__FILE__, __LINE__, cases[i].origin);
        cors_unref(&cors);
    }
}

static const char *answered(const struct cors *cors, const char *origin) {
    header_block_begin(&block, 0, NULL, NULL);
    HEADER_BLOCK_ADD(&block, ":status", "200");
    HEADER_BLOCK_ADD(&block, "grpc-status", "5");
    HEADER_BLOCK_ADD(&block, "x-own", "1");
    cors_add(cors, text_of(origin), &block, &names);
    return written();
}
#define ANSWER ":status: 200\ngrpc-status: 5\nx-own: 1\n"

static void a_page_sees_every_header_of_an_answer(void) {
    struct cors *cors = cors_of("https://a.example", NULL, true);
    CHECK_STR(answered(cors, "https://a.example"),
              ANSWER "access-control-allow-origin: https://a.example\naccess-control-allow-credentials: true\n"
                     "access-control-expose-headers: grpc-status, x-own\nvary: Origin\n");
    CHECK_STR(answered(cors, "https://b.example"), ANSWER "vary: Origin\n");
    CHECK_STR(answered(cors, ""), ANSWER "vary: Origin\n");
    cors_unref(&cors);
    cors = cors_of("*", NULL, false);
    CHECK_STR(answered(cors, "https://b.example"),
              ANSWER "access-control-allow-origin: *\naccess-control-expose-headers: grpc-status, x-own\n");
    CHECK_STR(answered(cors, ""), ANSWER);
    cors_unref(&cors);
}

static const char *preflight(const struct cors *cors, const char *origin, const char *asked) {
    header_block_begin(&block, 0, NULL, NULL);
    cors_add_preflight(cors, text_of(origin), text_of(asked), &block);
    return written();
}
#define METHODS "access-control-allow-methods: GET, POST, PUT, PATCH, DELETE\n"
#define OWN                                                                                                              \
    "content-type, grpc-timeout, grpc-encoding, grpc-accept-encoding, x-grpc-web, x-user-agent, connect-protocol-version, " \
    "connect-timeout-ms, connect-content-encoding, connect-accept-encoding, content-encoding"
#define VARY "vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers\n"

static void a_preflight_is_told_what_may_be_sent(void) {
    struct cors *cors = cors_of("https://a.example", "authorization", false);
    CHECK_STR(preflight(cors, "https://a.example", "x-other"),
              "access-control-allow-origin: https://a.example\n" METHODS "access-control-allow-headers: " OWN
              ", authorization\naccess-control-max-age: 90\n" VARY);
    CHECK_STR(preflight(cors, "https://b.example", "x-other"), VARY);
    cors_unref(&cors);
    cors = cors_of("https://a.example", "*", false);
    CHECK_STR(preflight(cors, "https://a.example", "x-other,x-more"),
              "access-control-allow-origin: https://a.example\n" METHODS
              "access-control-allow-headers: x-other,x-more\naccess-control-max-age: 90\n" VARY);
    CHECK_STR(preflight(cors, "https://a.example", ""),
              "access-control-allow-origin: https://a.example\n" METHODS "access-control-max-age: 90\n" VARY);
    cors_unref(&cors);
}

static void it_lives_as_long_as_anybody_needs_it(void) {
    struct cors *one = cors_of("*", NULL, false), *other = cors_ref(one);
    cors_unref(&one);
    CHECK(!one && cors_allows(other, text_of("https://a.example")));
    cors_unref(&other);
    cors_unref(&other);
    CHECK(!cors_ref(NULL));
}

int main(void) {
    RUN(origins_are_compared_whole);
    RUN(a_page_sees_every_header_of_an_answer);
    RUN(a_preflight_is_told_what_may_be_sent);
    RUN(it_lives_as_long_as_anybody_needs_it);
    header_block_free(&block);
    buffer_free(&names);
    return 0;
}
