/* connection_kit.h - an owner of a connection that notes what it is told. */
#ifndef TIDEWIRE_TESTS_CONNECTION_KIT_H
#define TIDEWIRE_TESTS_CONNECTION_KIT_H
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "net/connection.h"
#include "net_kit.h"

struct end {
    struct connection *connection;
    struct loop *loop;
    struct buffer got;
    int ready, calls, drained, ended;
    char reason[256];
    bool (*stops)(struct end *end); /* asked after each event: the loop is stopped when it says so */
    void (*act)(struct end *end);   /* within on_bytes, and in on_ready when acts_when_ready */
    bool acts_when_ready;
};

static inline void end_told(struct end *end) {
    if (end->stops && end->stops(end)) loop_stop(end->loop);
}
static inline void end_on_ready(void *owner) {
    struct end *end = owner;
    CHECK_INT(end->ready++, 0);
    CHECK(!end->ended);
    if (end->acts_when_ready) end->act(end);
    end_told(end);
}
static inline void end_on_bytes(void *owner, const uint8_t *bytes, size_t length) {
    struct end *end = owner;
    CHECK(end->ready && !end->ended && length);
    buffer_append(&end->got, bytes, length);
    end->calls++;
    if (end->act && !end->acts_when_ready) end->act(end);
    end_told(end);
}
static inline void end_on_drained(void *owner) {
    struct end *end = owner;
    CHECK_INT(connection_kept(end->connection), 0);
    end->drained++;
    end_told(end);
}
static inline void end_on_end(void *owner, const char *reason) {
    struct end *end = owner;
    CHECK_INT(end->ended++, 0);
    snprintf(end->reason, sizeof end->reason, "%s", reason);
    end_told(end);
}
static const struct connection_events end_events = {end_on_ready, end_on_bytes, end_on_drained, end_on_end};

static inline bool end_is_ready(struct end *end) { return end->ready; }
static inline bool end_has_ended(struct end *end) { return end->ended; }
static inline bool end_has_bytes(struct end *end) { return buffer_length(&end->got) > 0; }

static inline void end_accept(struct end *end, struct loop *loop, int fd,
                              const struct connection_options *options) {
    end->loop = loop;
    end->connection = connection_accepted(loop, fd, options, &end_events, end);
}
/* Once ready. */
static inline void end_run_until_ready(struct end *end) {
    end->stops = end_is_ready;
    if (!end->ready) kit_run(end->loop);
    end->stops = NULL;
}
static inline void end_run_until_ended(struct end *end) {
    end->stops = end_has_ended;
    if (!end->ended) kit_run(end->loop);
    end->stops = NULL;
}
static inline size_t end_write(struct end *end, const char *text) {
    struct iovec piece = {.iov_base = (char *)(uintptr_t)text, .iov_len = strlen(text)};
    return connection_write(end->connection, &piece, 1);
}
static inline void end_free(struct end *end) {
    connection_free(&end->connection);
    buffer_free(&end->got);
}
static inline void make_pair(int fds[2]) {
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
}
#endif
