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

static void put_cut(struct rig *rig, const char *request, size_t first, size_t step) {
    size_t length = strlen(request);
    put_bytes(rig, request, first);
    for (int i = 0; i < 2; i++) turn(rig);
    for (size_t at = first; at < length; at += step) {
        put_bytes(rig, request + at, at + step < length ? step : length - at);
        turn(rig);
    }
}

static void converse(const struct conversation *conversation, size_t first, size_t step) {
    struct rig rig;
    http1_open(&rig, &usual_limits);
    put_cut(&rig, conversation->request, first, step);
    if (conversation->closes) WAIT(&rig, rig.has_peer_closed);
    expect_answer(&rig, conversation->answer);
    expect_nothing_more(&rig);
    CHECK_INT(rig.has_peer_closed, conversation->closes);
    rig_close(&rig);
}

static void each_request_has_its_answer(void) {
    for (size_t i = 0; i < sizeof conversations / sizeof *conversations; i++)
        converse(&conversations[i], strlen(conversations[i].request), 1);
}

static void each_request_may_be_cut_anywhere(void) {
    for (size_t i = 0; i < sizeof conversations / sizeof *conversations; i++)
        for (size_t at = 1; at < strlen(conversations[i].request); at++)
            converse(&conversations[i], at, strlen(conversations[i].request));
}

static void each_request_may_dribble(void) {
    for (size_t i = 0; i < sizeof conversations / sizeof *conversations; i++) converse(&conversations[i], 1, 1);
}

int main(void) {
    RUN(each_request_has_its_answer);
    RUN(each_request_may_be_cut_anywhere);
    RUN(each_request_may_dribble);
    return 0;
}
