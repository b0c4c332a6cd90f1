/* http/guard.c - the account of what costs us and serves nobody.
 *
 * Every frame of that kind takes tokens from a bucket that fills up over time. The prices leave room for what
 * gRPC clients really do (cancelling thousands of calls, measuring the bandwidth with a PING for each burst
 * of data) and end floods within a fraction of a second: PING, SETTINGS, PRIORITY, empty frames
 * (CVE-2019-9512 to -9518), rapid reset (CVE-2023-44487) and its mirror image, resets that a peer makes us
 * send (CVE-2025-8671). */
#include <string.h>

#include "http/session_private.h"

enum {
    MOST_TOKENS = 10000,
    TOKENS_PER_SECOND = 2000,

    PRICE_RESET = 1, /* of a stream that we had not answered */
    PRICE_REFUSED = 1,
    PRICE_FAULT = 10, /* our RST_STREAM for something that the peer did */
    PRICE_SETTINGS = 50,
    PRICE_PRIORITY = 5,
    PRICE_PING = 10,         /* where no interval is policed, and for ACKs */
    PRICE_WINDOW_UPDATE = 2, /* beyond those that data and new streams have earned */
    PRICE_EMPTY_DATA = 10,
    PRICE_CLOSED = 5, /* a server's frame for a stream that it has ended */
    PRICE_OTHER = 5,  /* GOAWAY and the like */
    PRICE_UNKNOWN = 1, /* extensions, which are ignored */

    UPDATES_PER_STREAM = 4,
    MOST_STRIKES = 2,
};

/* Without streams, and unless the limits allow more: as grpc-go and gRPC core have it. */
#define LONE_PING_INTERVAL (2 * 3600 * NS_PER_S)

void http_guard_init(struct http_session *session) {
    session->guard = (struct http_guard){
        .tokens = MOST_TOKENS, .refilled = loop_now(session->worker->loop), .newest = -1};
}

static void refill(struct http_session *session) {
    struct http_guard *guard = &session->guard;
    uint64_t now = loop_now(session->worker->loop), passed = now - guard->refilled;
    uint64_t most = MOST_TOKENS * NS_PER_S / TOKENS_PER_SECOND;
    guard->refilled = now;
    if (passed > most) passed = most;
    guard->tokens += (int32_t)(passed * TOKENS_PER_SECOND / NS_PER_S);
    if (guard->tokens > MOST_TOKENS) guard->tokens = MOST_TOKENS;
}

static void charge(struct http_session *session, int price, const char *what) {
    struct http_guard *guard = &session->guard;
    guard->tokens -= price;
    if (guard->tokens >= 0) return;
    refill(session);
    if (guard->tokens >= 0 || !http_session_is_alive(session)) return;
    http_session_close(session, HTTP_ENHANCE_YOUR_CALM, what);
}

/* nghttp2 forgets a stream when it is closed, and ignores what still comes for it. That is right for streams
 * that we have ended: those frames were on their way. A client that goes on after its own end is at fault
 * (RFC 9113 section 5.1, "closed"). So is a server, but grpc++ says trailers and reset twice when a deadline and
 * its handler end a call at once: that must not cost the other calls of the connection their life. */
void http_guard_on_ended(struct http_session *session, int32_t id) {
    struct http_guard *guard = &session->guard;
    guard->ended[guard->next_ended] = id;
    guard->next_ended = (uint8_t)((guard->next_ended + 1) % ENDED_REMEMBERED);
    guard->not_ended = 0;
}

static void check_after_end(struct http_session *session, int32_t id) {
    struct http_guard *guard = &session->guard;
    bool has_ended = false;
    if (id == guard->not_ended) return; /* frames of one stream often come together */
    for (int i = 0; i < ENDED_REMEMBERED; i++) has_ended |= guard->ended[i] == id;
    if (!has_ended)
        guard->not_ended = id;
    else if (id && session->is_server)
        http_session_close(session, HTTP_STREAM_CLOSED, "a frame for a closed stream");
    else if (id)
        charge(session, PRICE_CLOSED, "too many frames for closed streams");
}

/* A client opens its streams in the order of their identifiers (RFC 9113 section 5.1.1). What comes for one
 * that is not new are trailers, and they end it. */
static void check_order(struct http_session *session, const nghttp2_frame_hd *frame) {
    struct http_guard *guard = &session->guard;
    int32_t id = frame->stream_id;
    if (!session->is_server) return;
    if (id > guard->newest) {
        if (id > guard->newest + 2) {
            guard->skipped_from = guard->newest;
            guard->skipped_to = id;
        }
        guard->newest = id;
    } else if (id && (!(frame->flags & NGHTTP2_FLAG_END_STREAM) ||
                      (id > guard->skipped_from && id < guard->skipped_to))) {
        http_session_close(session, HTTP_PROTOCOL_ERROR, "a stream that is not new");
    }
}

static void check_priority(struct http_session *session, const nghttp2_frame_hd *frame, uint32_t parent) {
    /* nghttp2 doesn't look at them, because our SETTINGS say that we don't. */
    if (!frame->stream_id)
        http_session_close(session, HTTP_PROTOCOL_ERROR, "PRIORITY for stream 0");
    else if (parent == (uint32_t)frame->stream_id)
        http_session_close(session, HTTP_PROTOCOL_ERROR, "a stream that depends on itself");
    charge(session, PRICE_PRIORITY, "too many priority frames");
}

static void check_window_update(struct http_session *session, const nghttp2_frame_hd *frame, uint32_t by) {
    if (!by && frame->length == 4)
        http_session_close(session, HTTP_PROTOCOL_ERROR, "WINDOW_UPDATE by 0");
    else if (session->guard.window_updates)
        session->guard.window_updates--;
    else
        charge(session, PRICE_WINDOW_UPDATE, "too many window updates");
}

void http_guard_on_frame(struct http_session *session, const nghttp2_frame_hd *frame, uint32_t number) {
    struct http_guard *guard = &session->guard;
    switch (frame->type) {
    case NGHTTP2_DATA:
        check_after_end(session, frame->stream_id);
        if (!frame->length && !(frame->flags & NGHTTP2_FLAG_END_STREAM))
            charge(session, PRICE_EMPTY_DATA, "too many empty frames");
        break;
    case NGHTTP2_HEADERS:
        check_after_end(session, frame->stream_id);
        check_order(session, frame);
        if (guard->window_updates < UINT32_MAX / 2) guard->window_updates += UPDATES_PER_STREAM;
        break;
    case NGHTTP2_RST_STREAM: /* its price: http_guard_on_reset() */
        http_guard_on_ended(session, frame->stream_id);
        break;
    case NGHTTP2_WINDOW_UPDATE:
        check_window_update(session, frame, number);
        break;
    case NGHTTP2_PRIORITY:
        check_priority(session, frame, number);
        break;
    case NGHTTP2_SETTINGS:
        charge(session, PRICE_SETTINGS, "too many settings");
        break;
    case NGHTTP2_PING:
        if (frame->flags & NGHTTP2_FLAG_ACK) charge(session, PRICE_PING, "too many pings");
        break;
    case NGHTTP2_CONTINUATION: /* nghttp2's own limit */
        break;
    default:
        charge(session, frame->type > NGHTTP2_CONTINUATION ? PRICE_UNKNOWN : PRICE_OTHER,
               "too many useless frames");
        break;
    }
}

static bool measures_bandwidth(const uint8_t *payload) {
    static const uint8_t payload_of_grpc[8] = {2, 4, 16, 16, 9, 14, 7, 7};
    return memcmp(payload, payload_of_grpc, sizeof payload_of_grpc) == 0;
}

/* gRPC's rule for servers (proposal A8): a PING is bad when it comes sooner than allowed after the one
 * before, unless we have sent HEADERS or DATA in between; more than two bad ones end the connection. A server that we
 * call may measure its bandwidth with a PING for each burst of ours, which is thousands a second. */
void http_guard_on_ping(struct http_session *session, const uint8_t *payload) {
    struct http_guard *guard = &session->guard;
    const struct http_limits *limits = &session->limits;
    bool is_excused =
        guard->has_sent_since_ping || (guard->has_received_since_ping && measures_bandwidth(payload));
    guard->has_sent_since_ping = guard->has_received_since_ping = false;
    if (!session->is_server || !limits->least_ping_interval) {
        if (!is_excused) charge(session, PRICE_PING, "too many pings");
        return;
    }
    uint64_t now = loop_now(session->worker->loop);
    bool is_first = !guard->last_ping;
    uint64_t passed = now - guard->last_ping;
    guard->last_ping = now;
    if (is_excused) {
        guard->ping_strikes = 0;
        return;
    }
    bool is_lone = !session->stream_count && !limits->pings_without_streams;
    if (is_first || passed >= (is_lone ? LONE_PING_INTERVAL : limits->least_ping_interval)) return;
    if (++guard->ping_strikes > MOST_STRIKES)
        http_session_close(session, HTTP_ENHANCE_YOUR_CALM, "too_many_pings");
}

/* Who passes on what many clients do has guarded itself against each of them. */
void http_session_set_relay(struct http_session *session) { session->guard.is_of_relay = true; }

void http_guard_on_reset(struct http_session *session, const struct http_stream *stream) {
    if (!session->is_server || session->guard.is_of_relay) return; /* a server may reset what it likes */
    if (!stream || !stream->is_answered) charge(session, PRICE_RESET, "too many resets");
}

void http_guard_on_own_reset(struct http_session *session, uint32_t error) {
    charge(session, error == NGHTTP2_REFUSED_STREAM ? PRICE_REFUSED : PRICE_FAULT, "too many faulty streams");
}
