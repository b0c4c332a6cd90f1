/* Requests and answers of HTTP/1, byte for byte; each as one piece, cut at every place, and byte by byte. */
#include "http/http1_kit.h"

#define OK(length) "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: " length "\r\n"
#define KEEP "connection: keep-alive\r\n"
#define CLOSE "connection: close\r\n"
#define CHUNKED "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n"
#define NEXT "GET /empty HTTP/1.1\r\nHost: a\r\n\r\n"
#define NEXT_ANSWER OK("0") "\r\n"

struct conversation {
    const char *request, *answer;
    bool closes;
};

static const struct conversation conversations[] = {
    /* heads and what is shown of them */
    {"GET /headers HTTP/1.1\r\nHost: a:80\r\nX-One:  two \t\r\nX-ONE: \r\nContent-Length: 0\r\n\r\n",
     OK("97") "\r\n:method: GET\n:scheme: http\n:path: /headers\n:authority: a:80\nx-one: two\nx-one: \ncontent-length: 0\n",
     false},
    {"GET /headers HTTP/1.1\r\nHost: a\r\nConnection: X-Mine, te\r\nX-Mine: 1\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\n"
     "TE: gzip, Trailers\r\nExpect: 100-continue\r\n\r\n",
     OK("70") "\r\n:method: GET\n:scheme: http\n:path: /headers\n:authority: a\nte: trailers\n", false},
    {"GET http://b:1/headers HTTP/1.1\r\nHost: a\r\n\r\n",
     OK("59") "\r\n:method: GET\n:scheme: http\n:path: /headers\n:authority: b:1\n", false},
    {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\nX", "", false},
    {"GET /headers HTTP/1.0\r\n\r\n", OK("43") CLOSE "\r\n:method: GET\n:scheme: http\n:path: /headers\n", true},
    {"GET /headers HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n" NEXT,
     OK("43") KEEP "\r\n:method: GET\n:scheme: http\n:path: /headers\n" NEXT_ANSWER, false},
    {"GET /empty HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" NEXT, OK("0") CLOSE "\r\n", true},
    {"GET /empty HTTP/1.1\r\nHost: a\r\n\r\n\r\n" NEXT, NEXT_ANSWER NEXT_ANSWER, false},
    /* bodies of answers */
    {"HEAD /headers HTTP/1.1\r\nHost: a\r\n\r\n" NEXT, OK("58") "\r\n" NEXT_ANSWER, false},
    {"HEAD /length HTTP/1.1\r\nHost: a\r\n\r\n" NEXT, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n" NEXT_ANSWER, false},
    {"GET /none HTTP/1.1\r\nHost: a\r\n\r\n" NEXT, "HTTP/1.1 204 No Content\r\nx-a: b\r\n\r\n" NEXT_ANSWER, false},
    {"GET /length HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n" NEXT,
     "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n12345" NEXT_ANSWER, false},
    {"GET /short HTTP/1.1\r\nHost: a\r\n\r\n" NEXT, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n123", true},
    {"GET /reset HTTP/1.1\r\nHost: a\r\n\r\n" NEXT, "", true},
    /* bodies of requests */
    {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" NEXT,
     CHUNKED "\r\n5\r\nhello\r\n0\r\n\r\n" NEXT_ANSWER, false},
    {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\nTE: trailers\r\n\r\n"
     "3\r\nhel\r\n00B;name=\"x\"\r\nlo, world..\r\n0\r\nX-Trailer: 1\r\n\r\n" NEXT,
     CHUNKED "\r\ne\r\nhello, world..\r\n0\r\ngrpc-status: 0\r\n\r\n" NEXT_ANSWER, false},
    {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" NEXT,
     CHUNKED "\r\n0\r\n\r\n" NEXT_ANSWER, false},
    {"POST /echo HTTP/1.0\r\nContent-Length: 2\r\n\r\nab" NEXT, "HTTP/1.1 200 OK\r\n" CLOSE "\r\nab", true},
    {"POST /empty HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" NEXT, NEXT_ANSWER NEXT_ANSWER, false},
    {"POST /empty HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n", OK("0") CLOSE "\r\n", true},
    {"POST /empty HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\nConnection: keep-alive\r\n\r\nhello" NEXT,
     OK("0") KEEP "\r\n" NEXT_ANSWER, false},
    {"GET /odd HTTP/1.1\r\nHost: a\r\n\r\n" NEXT, "HTTP/1.1 200 OK\r\nx-odd: a  set: b \tc \r\ncontent-length: 0\r\n\r\n" NEXT_ANSWER,
     false},
    /* upgrades */
    {"GET /up HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: Echo/1, b\r\n\r\nabc.",
     "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo/1\r\n\r\nabc.", true},
    {"GET /headers HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n"
     NEXT,
     OK("57") "\r\n:method: GET\n:scheme: http\n:path: /headers\n:authority: a\n" NEXT_ANSWER, false},
    {"GET /headers HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" NEXT,
     OK("78") "\r\n:method: GET\n:scheme: http\n:path: /headers\n:authority: a\n:protocol: websocket\n" NEXT_ANSWER, false},
    {"GET /headers HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
     OK("57") "\r\n:method: GET\n:scheme: http\n:path: /headers\n:authority: a\n", false},
};

#define REFUSED(status, length, text)                                                                               \
    "HTTP/1.1 " status "\r\ncontent-type: text/plain\r\ncontent-length: " length "\r\nconnection: close\r\n\r\n" text ".\n"
#define HOST "Host: a\r\n"
#define POST "POST /echo HTTP/1.1\r\n" HOST
#define BODY POST "Transfer-Encoding: chunked\r\n\r\n"
#define BAD_LINE REFUSED("400 Bad Request", "31", "the request line is malformed")
#define BAD_NAME REFUSED("400 Bad Request", "35", "the name of a header is malformed")
#define BAD_CR REFUSED("400 Bad Request", "17", "a CR without LF")
#define BAD_LF REFUSED("400 Bad Request", "17", "a LF without CR")
#define CONTROL REFUSED("400 Bad Request", "28", "a control byte in a header")
#define FOLDED REFUSED("400 Bad Request", "25", "a header line is folded")
#define BLANK REFUSED("400 Bad Request", "33", "a blank before a header's colon")
#define HOSTS REFUSED("400 Bad Request", "26", "a request needs one host")
#define BAD_HOST REFUSED("400 Bad Request", "23", "the host is malformed")
#define TARGET REFUSED("400 Bad Request", "35", "the request's target is malformed")
#define BAD_LENGTH REFUSED("400 Bad Request", "29", "content-length is malformed")
#define LENGTHS REFUSED("400 Bad Request", "34", "more than one length of the body")
#define ENCODING REFUSED("501 Not Implemented", "44", "chunked is the only transfer-encoding here")
#define ENCODINGS REFUSED("400 Bad Request", "33", "more than one transfer-encoding")
#define VERSION REFUSED("505 HTTP Version Not Supported", "37", "HTTP/1.1 and HTTP/2 are spoken here")
#define BAD_SIZE REFUSED("400 Bad Request", "34", "the size of a chunk is malformed")
#define LONG_CHUNK REFUSED("400 Bad Request", "33", "a chunk is longer than its size")
#define EXTENSION REFUSED("400 Bad Request", "34", "a chunk's extension is malformed")

/* What another server on the way might read in another sense is refused, and the connection closed. */
static const struct conversation refusals[] = {
    /* the request line */
    {"GET / HTTP/1.1\nHost: a\r\n\r\n", BAD_LINE, true},
    {"GET / HTTP/1.1\rHost: a\r\n\r\n", BAD_CR, true},
    {"GET /\rx HTTP/1.1\r\n" HOST "\r\n", BAD_LINE, true},
    {"GET  / HTTP/1.1\r\n" HOST "\r\n", BAD_LINE, true},
    {"GET / x HTTP/1.1\r\n" HOST "\r\n", "", true},
    {"GET /  HTTP/1.1\r\n" HOST "\r\n", "", true},
    {"GET / HTTP/1.1 \r\n" HOST "\r\n", BAD_LINE, true},
    {"GET\t/ HTTP/1.1\r\n" HOST "\r\n", BAD_LINE, true},
    {"GET /\x01 HTTP/1.1\r\n" HOST "\r\n", BAD_LINE, true},
    {"GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n", BAD_LINE, true},
    {"GET /\r\n" HOST "\r\n", BAD_LINE, true},
    {"G(T / HTTP/1.1\r\n" HOST "\r\n", BAD_LINE, true},
    {"GET / http/1.1\r\n" HOST "\r\n", "", true},
    {"GET /empty HTTP/1.1\r\n" HOST "\r\nGET / http/1.1\r\n" HOST "\r\n", NEXT_ANSWER BAD_LINE, true},
    {"GET / HTTP/1.10\r\n" HOST "\r\n", BAD_LINE, true},
    {"GET / HTTP/1.2\r\n" HOST "\r\n", VERSION, true},
    {"GET / HTTP/2.0\r\n" HOST "\r\n", VERSION, true},
    {"GET / HTTP/0.9\r\n" HOST "\r\n", VERSION, true},
    {"BREW / HTTP/1.1\r\n" HOST "\r\n", REFUSED("501 Not Implemented", "30", "the method is not known here"), true},
    {"get / HTTP/1.1\r\n" HOST "\r\n", REFUSED("501 Not Implemented", "30", "the method is not known here"), true},
    {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1\r\n" HOST "\r\n",
     REFUSED("501 Not Implemented", "32", "no method has such a long name"), true},
    {"CONNECT a:80 HTTP/1.1\r\n" HOST "\r\n", REFUSED("501 Not Implemented", "23", "CONNECT is not served"), true},
    {"GET a:80 HTTP/1.1\r\n" HOST "\r\n", TARGET, true},
    {"GET * HTTP/1.1\r\n" HOST "\r\n", TARGET, true},
    {"GET ftp://a/ HTTP/1.1\r\n" HOST "\r\n", TARGET, true},
    {"GET http:///x HTTP/1.1\r\n" HOST "\r\n", TARGET, true},
    {"GET http://a?x HTTP/1.1\r\n" HOST "\r\n", TARGET, true},
    {"GET http://u@a/ HTTP/1.1\r\n" HOST "\r\n", BAD_HOST, true},
    {"GET /#x HTTP/1.1\r\n" HOST "\r\n", TARGET, true},
    {"GET /empty HTTP/1.1\r\n" HOST "\r\n\r\n\r\n" NEXT, NEXT_ANSWER BAD_LINE, true},
    /* lines of headers */
    {"GET / HTTP/1.1\r\nHost: a\n\r\n", BAD_LF, true},
    {"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", BAD_CR, true},
    {"GET / HTTP/1.1\r\n" HOST "X: \r\r\n\r\n", BAD_CR, true},
    {"GET / HTTP/1.1\r\n" HOST "\rX", BAD_CR, true},
    {"GET / HTTP/1.1\r\n" HOST "\n", BAD_NAME, true},
    {"GET / HTTP/1.1\r\n" HOST "X: a\r\n b\r\n\r\n", FOLDED, true},
    {"GET / HTTP/1.1\r\n" HOST "X: a\r\n\tb\r\n\r\n", FOLDED, true},
    {"GET / HTTP/1.1\r\n Host: a\r\n\r\n", FOLDED, true},
    {"GET / HTTP/1.1\r\nHost : a\r\n\r\n", BLANK, true},
    {"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n", BLANK, true},
    {"GET / HTTP/1.1\r\n" HOST "X\x7f: a\r\n\r\n", BAD_NAME, true},
    {"GET / HTTP/1.1\r\n" HOST "X(y): a\r\n\r\n", BAD_NAME, true},
    {"GET / HTTP/1.1\r\n" HOST "\xc3\xa4: a\r\n\r\n", BAD_NAME, true},
    {"GET / HTTP/1.1\r\n" HOST ": a\r\n\r\n", BAD_NAME, true},
    {"GET / HTTP/1.1\r\n" HOST "X\r\n\r\n", BAD_NAME, true},
    {"GET / HTTP/1.1\r\n" HOST "X: a\x01\r\n\r\n", CONTROL, true},
    {"GET / HTTP/1.1\r\n" HOST "X: a\x7f\r\n\r\n", CONTROL, true},
    /* the host */
    {"GET / HTTP/1.1\r\n\r\n", HOSTS, true},
    {"GET http://a/ HTTP/1.1\r\n\r\n", HOSTS, true},
    {"GET / HTTP/1.1\r\n" HOST HOST "\r\n", HOSTS, true},
    {"GET / HTTP/1.0\r\n" HOST HOST "\r\n", HOSTS, true},
    {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", BAD_HOST, true},
    {"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", BAD_HOST, true},
    {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", BAD_HOST, true},
    {"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", BAD_HOST, true},
    /* the length of the body */
    {POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", LENGTHS, true},
    {POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", LENGTHS, true},
    {POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", LENGTHS, true},
    {POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", LENGTHS, true},
    {POST "Content-Length: 5, 5\r\n\r\nhello", BAD_LENGTH, true},
    {POST "Content-Length: +5\r\n\r\nhello", BAD_LENGTH, true},
    {POST "Content-Length: -5\r\n\r\nhello", BAD_LENGTH, true},
    {POST "Content-Length: 0x5\r\n\r\nhello", BAD_LENGTH, true},
    {POST "Content-Length: 5 5\r\n\r\nhello", BAD_LENGTH, true},
    {POST "Content-Length:\r\n\r\nhello", BAD_LENGTH, true},
    {POST "Content-Length: 18446744073709551621\r\n\r\nhello", BAD_LENGTH, true},
    {POST "Content-Length: 9223372036854775808\r\n\r\nhello", BAD_LENGTH, true},
    {POST "Transfer-Encoding: gzip\r\n\r\n", ENCODING, true},
    {POST "Transfer-Encoding: identity\r\n\r\n", ENCODING, true},
    {POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", ENCODING, true},
    {POST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", ENCODING, true},
    {POST "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", ENCODING, true},
    {POST "Transfer-Encoding: \r\n\r\n0\r\n\r\n", ENCODING, true},
    {POST "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", ENCODING, true},
    {POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ENCODINGS, true},
    {"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     REFUSED("400 Bad Request", "35", "HTTP/1.0 has no transfer-encoding"), true},
    {POST "Expect: 200-ok\r\n\r\n",
     REFUSED("417 Expectation Failed", "47", "100-continue is all that may be expected here"), true},
    {"GET / HTTP/1.1\r\n" HOST "Connection: a,b,c,d,e,f,g,h,i\r\n\r\n",
     REFUSED("400 Bad Request", "35", "connection lists too many headers"), true},
    /* chunks */
    {BODY "\r\n", BAD_SIZE, true},
    {BODY " 5\r\nhello\r\n0\r\n\r\n", BAD_SIZE, true},
    {BODY "5 \r\nhello\r\n0\r\n\r\n", BAD_SIZE, true},
    {BODY "+5\r\nhello\r\n0\r\n\r\n", BAD_SIZE, true},
    {BODY "0x5\r\nhello\r\n0\r\n\r\n", BAD_SIZE, true},
    {BODY "5\nhello\r\n0\r\n\r\n", BAD_SIZE, true},
    {BODY "5\rhello\r\n0\r\n\r\n", BAD_CR, true},
    {BODY "100000000000000000\r\n", BAD_SIZE, true},
    {BODY "00000000000000005\r\nhello\r\n0\r\n\r\n", BAD_SIZE, true},
    {BODY "5;a=\n\r\nhello\r\n0\r\n\r\n", EXTENSION, true},
    {BODY "5;\xc3\xa4\r\nhello\r\n0\r\n\r\n", EXTENSION, true},
    {BODY "5\r\nhelloo\r\n0\r\n\r\n", LONG_CHUNK, true},
    {BODY "5\r\nhello\n0\r\n\r\n", LONG_CHUNK, true},
    {BODY "5\r\nhello\r0\r\n\r\n", BAD_CR, true},
    {BODY "0\r\nX : 1\r\n\r\n", BLANK, true},
    {BODY "0\r\nX: 1\n\r\n", BAD_LF, true},
    {BODY "0\r\n\rX", BAD_CR, true},
};

static void put_cut(struct rig *rig, const char *request, size_t first, size_t step) {
    size_t length = strlen(request);
    put_bytes(rig, request, first);
    for (int i = 0; i < 2; i++) turn(rig);
    for (size_t at = first; at < length; at += step) {
        put_bytes(rig, request + at, at + step < length ? step : length - at);
        turn(rig);
    }
}

/* A final one, which must say when it was given. */
static size_t count_answers(struct rig *rig) {
    size_t count = 0;
    buffer_append_byte(&rig->wire, 0);
    for (const char *at = (const char *)buffer_bytes(&rig->wire); (at = strstr(at, "HTTP/1.1 ")); at++)
        count += at[9] >= '2' && at[9] <= '5';
    rig->wire.end--;
    return count;
}

static void converse(const struct conversation *conversation, size_t first, size_t step) {
    struct rig rig;
    dates_hidden = 0;
    http1_open(&rig, &usual_limits);
    put_cut(&rig, conversation->request, first, step);
    if (conversation->closes) WAIT(&rig, rig.has_peer_closed);
    expect_answer(&rig, conversation->answer);
    expect_nothing_more(&rig);
    CHECK_INT(dates_hidden, count_answers(&rig));
    CHECK_INT(rig.has_peer_closed, conversation->closes);
    rig_close(&rig);
}

static void each_request_has_its_answer(void) {
    for (size_t i = 0; i < sizeof conversations / sizeof *conversations; i++)
        converse(&conversations[i], strlen(conversations[i].request), 1);
}

static void what_is_not_clear_is_refused_and_the_connection_closed(void) {
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        converse(&refusals[i], strlen(refusals[i].request), 1);
        converse(&refusals[i], 1, 1);
        for (size_t at = 1; at < strlen(refusals[i].request); at++)
            converse(&refusals[i], at, strlen(refusals[i].request));
    }
}

static void each_request_may_be_cut_anywhere(void) {
    for (size_t i = 0; i < sizeof conversations / sizeof *conversations; i++)
        for (size_t at = 1; at < strlen(conversations[i].request); at++)
            converse(&conversations[i], at, strlen(conversations[i].request));
}

static void each_request_may_dribble(void) {
    for (size_t i = 0; i < sizeof conversations / sizeof *conversations; i++) converse(&conversations[i], 1, 1);
}

static void each_answer_says_when_it_was_given(void) {
    struct rig rig;
    struct tm parts = {0};
    http1_open(&rig, &usual_limits);
    time_t before = time(NULL);
    put_text(&rig, NEXT);
    WAIT(&rig, buffer_length(&rig.wire) >= strlen(NEXT_ANSWER) + 37);
    buffer_append_byte(&rig.wire, 0);
    const char *date = strstr((const char *)buffer_bytes(&rig.wire), "\r\ndate: ");
    CHECK(date);
    const char *end = strptime(date, "%n%ndate: %a, %d %b %Y %H:%M:%S GMT", &parts);
    CHECK(end && end[0] == '\r');
    CHECK_INT(end - date, 37);
    CHECK(timegm(&parts) >= before && timegm(&parts) <= time(NULL));
    rig_close(&rig);
}

static void an_answer_has_no_second_date(void) {
    struct rig rig;
    http1_open(&rig, &usual_limits);
    put_text(&rig, "GET /dated HTTP/1.1\r\nHost: a\r\n\r\n" NEXT);
    dates_hidden = 0;
    expect_answer(&rig, "HTTP/1.1 200 OK\r\ndate: x\r\ncontent-length: 0\r\n\r\n" NEXT_ANSWER);
    CHECK_INT(dates_hidden, 1);
    rig_close(&rig);
}

int main(void) {
    RUN(each_answer_says_when_it_was_given);
    RUN(an_answer_has_no_second_date);
    RUN(each_request_has_its_answer);
    RUN(what_is_not_clear_is_refused_and_the_connection_closed);
    RUN(each_request_may_be_cut_anywhere);
    RUN(each_request_may_dribble);
    return 0;
}
