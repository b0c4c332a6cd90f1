/* admin/site.c - see site.h */
#include "admin/site.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "http/stream.h"
#include "net/connection.h"
#include "net/loop.h"

#define PATIENCE (10 * NS_PER_S) /* with who sends or takes nothing */
#define IDLE (60 * NS_PER_S)     /* of who keeps a connection for the next time */

static const struct http_limits limits = {
    .headers = 16 * 1024,
    .streams = 1, /* so many pages may wait for one who is slow */
    .stream_window = 65535,
    .connection_window = 65535,
    .idle = IDLE,
    .least_ping_interval = NS_PER_S,
    .pings_without_streams = true,
    .settings_timeout = PATIENCE,
    .write_timeout = PATIENCE,
    .stalled = PATIENCE,
};

struct site {
    struct loop *loop;
    struct site_host host;
    struct http_worker *http;
    size_t count; /* of visitors */
    struct buffer metrics;
    uint64_t written_at; /* the turn that the metrics are of */
    bool is_ending;
};

struct visitor {
    struct site *site;
    atomic_uint_least64_t *gone;
};

/* ---- answers ---- */

struct answer {
    const char *status, *type; /* type NULL: a line of text */
    const void *body;
    size_t length;
};

static struct answer line(const char *status, const char *text) {
    return (struct answer){.status = status, .body = text, .length = strlen(text)};
}

static struct answer show_metrics(struct site *site) {
    uint64_t now = loop_now(site->loop);
    if (site->written_at != now) {
        buffer_clear(&site->metrics);
        site->host.write_metrics(site->host.context, &site->metrics);
        site->written_at = now;
    }
    return (struct answer){.status = "200",
                           .type = "text/plain; version=0.0.4; charset=utf-8",
                           .body = buffer_bytes(&site->metrics),
                           .length = buffer_length(&site->metrics)};
}

static struct answer show_health(struct site *site) {
    (void)site;
    return line("200", "alive\n");
}

static struct answer show_readiness(struct site *site) {
    const char *why = "ready\n";
    bool is_ready = site->host.is_ready(site->host.context, &why);
    return line(is_ready ? "200" : "503", why);
}

static const struct page {
    const char *path;
    struct answer (*show)(struct site *site);
} pages[] = {{"/metrics", show_metrics}, {"/health", show_health}, {"/healthz", show_health}, {"/ready", show_readiness}};

static const struct page *find_page(const char *path, size_t length) {
    const char *query = memchr(path, '?', length);
    if (query) length = (size_t)(query - path);
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        if (strlen(pages[i].path) == length && memcmp(pages[i].path, path, length) == 0) return &pages[i];
    return NULL;
}

static struct http_header header(const char *name, const char *value) {
    return (struct http_header){.name = name, .value = value, .name_length = strlen(name), .value_length = strlen(value)};
}

static void send_answer(struct http_stream *stream, const struct answer *answer) {
    const bool is_refused_verb = strcmp(answer->status, "405") == 0;
    const struct http_header headers[] = {
        header(":status", answer->status),
        header("content-type", answer->type ? answer->type : "text/plain; charset=utf-8"),
        header("cache-control", "no-store"),
        header("x-content-type-options", "nosniff"),
        header("allow", "GET, HEAD"), /* the last: of 405 alone */
    };
    http_stream_respond_whole(stream, headers, sizeof headers / sizeof *headers - !is_refused_verb, answer->body,
                              answer->length);
}

static struct http_header find(const struct http_header *headers, size_t count, const char *name) {
    const struct http_header *found = http_header_find(headers, count, name);
    return found ? *found : header(name, "");
}

static bool is_value(struct http_header header, const char *value) {
    return header.value_length == strlen(value) && memcmp(header.value, value, header.value_length) == 0;
}

static struct answer choose_answer(struct site *site, const struct http_header *headers, size_t count, bool is_too_large) {
    const struct http_header verb = find(headers, count, ":method"), path = find(headers, count, ":path");
    if (is_too_large) return line("431", "The headers of the request are too large.\n");
    if (!is_value(verb, "GET") && !is_value(verb, "HEAD")) return line("405", "Requests here are GET or HEAD.\n");
    const struct page *page = find_page(path.value, path.value_length);
    return page ? page->show(site) : line("404", "There is /metrics, /health and /ready here.\n");
}

/* ---- HTTP's events ---- */

static void on_request(struct http_session *session, struct http_stream *stream, const struct http_header *headers,
                       size_t count, bool is_end, bool is_too_large) {
    (void)is_end;
    struct visitor *visitor = http_session_owner(session);
    struct answer answer = choose_answer(visitor->site, headers, count, is_too_large);
    /* Who keeps a connection shall not keep others waiting. */
    if (visitor->site->count >= SITE_CONNECTIONS_MOST / 2) http_session_drain(session, "others wait");
    send_answer(stream, &answer);
}

static void on_data(void *user, const uint8_t *bytes, size_t length) { (void)user, (void)bytes, (void)length; }
static void on_end(void *user, const struct http_header *trailers, size_t count) { (void)user, (void)trailers, (void)count; }
static void on_close(void *user, uint32_t error, bool is_connection) { (void)user, (void)error, (void)is_connection; }
static void after_read(struct http_session *session) { (void)session; }

static void leave(struct visitor *visitor) {
    struct site *site = visitor->site;
    if (visitor->gone) atomic_fetch_add_explicit(visitor->gone, 1, memory_order_relaxed);
    free(visitor);
    if (site->count-- == SITE_CONNECTIONS_MOST && !site->is_ending) site->host.on_full(site->host.context, false);
}

static void on_session_end(struct http_session *session, const char *reason) {
    struct visitor *visitor = http_session_owner(session);
    log_debug(NULL, "a connection of the admin address ends: %s", reason);
    leave(visitor);
}

static size_t body_ready(void *user) {
    (void)user;
    return 0;
}
static void body_give(void *user, size_t length, struct http_output *output) { (void)user, (void)length, (void)output; }

static const struct http_events events = {
    .on_request = on_request,
    .on_data = on_data,
    .on_end = on_end,
    .on_close = on_close,
    .after_read = after_read,
    .on_session_end = on_session_end,
    .body_ready = body_ready,
    .body_give = body_give,
};

/* ---- life ---- */

struct site *site_new(struct loop *loop, const struct site_host *host) {
    struct site *site = memory_new(sizeof *site);
    site->loop = loop;
    site->host = *host;
    site->http = http_worker_new(loop);
    return site;
}

void site_accept(struct site *site, int fd, atomic_uint_least64_t *gone) {
    static const struct connection_options plain = {.handshake_timeout = 0};
    struct visitor *visitor = memory_new(sizeof *visitor);
    visitor->site = site;
    visitor->gone = gone;
    struct http_session *session = http_session_new(site->http, true, &limits, &events, visitor);
    http_session_attach(session, connection_accepted(site->loop, fd, &plain, &http_connection_events, session));
    if (++site->count == SITE_CONNECTIONS_MOST) site->host.on_full(site->host.context, true);
}

void site_free(struct site **handle) {
    struct site *site = *handle;
    *handle = NULL;
    if (!site) return;
    site->is_ending = true;
    http_worker_free(&site->http);
    buffer_free(&site->metrics);
    free(site);
}
