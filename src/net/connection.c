/* net/connection.c - see connection.h
 *
 * One read of the socket is at most one on_bytes: PROXY header and TLS are taken off on the way, in buffers
 * that the whole thread shares. Whatever the socket does not take at once waits in `kept`, already encrypted,
 * so that TLS never has to wait for the socket in the middle of a record. */
#include "net/connection.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <limits.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "net/address.h"
#include "net/dial.h"
#include "net/loop.h"
#include "net/loop_private.h"
#include "net/proxy.h"
#include "net/tls_session.h"

enum {
    READS_A_WAKE = 4,      /* then the others have their turn */
    TLS_BATCH = 4 * 16384, /* plain bytes that are encrypted before the socket gets them */
    MOST_PIECES = IOV_MAX,
};
#define READ_TIME NS_PER_MS /* of a turn, after which nobody reads twice in a wake */
static const uint64_t flush_stall = 10 * NS_PER_S; /* of the last bytes, when the peer takes none of them */
static const uint64_t linger = 1 * NS_PER_S;       /* from our FIN to the peer's */
static const uint64_t look_interval = 5 * NS_PER_S; /* at who is not read, and may have gone */
/* What TLS itself may answer (key updates, alerts) to a peer that takes nothing of it. */
static const size_t most_answers = 64 * 1024;

enum phase {
    PHASE_DIALLING,  /* `dial` works */
    PHASE_STARTING,  /* plain and connected: the task will tell the owner */
    PHASE_HEADER,    /* a PROXY header must come first */
    PHASE_HANDSHAKE, /* TLS */
    PHASE_OPEN,      /* from on_ready on */
    PHASE_CLOSING,   /* what is kept, then FIN, then the peer's FIN; what comes is thrown away */
    PHASE_ENDED,     /* no events; the task calls on_end, or has done so */
    PHASE_FREED,     /* the descriptor is closed; the task frees the memory */
};

struct connection {
    struct loop *loop;
    const struct connection_carrier *carrier; /* NULL: a socket */
    void *carried;
    const struct connection_events *events;
    void *owner;
    struct dial *dial;       /* until connected */
    struct tls_session *tls; /* NULL: plain */
    struct buffer head;      /* of a PROXY header that came in pieces */
    struct buffer kept;
    struct event read_event, write_event;
    struct task task;
    struct timer timer;
    uint64_t id;
    char *peer, *local;
    char *reason; /* why it ended */
    int fd;
    uint32_t answers; /* bytes of TLS itself that came to wait behind others */
    enum phase phase;
    bool is_client, is_paused, has_peer_ended;
};

static struct log_scope scope_of(const struct connection *connection) {
    return (struct log_scope){.connection = connection->id};
}

static void stop_events(struct connection *connection) {
    timer_stop(connection->loop, &connection->timer);
    dial_free(&connection->dial);
    if (connection->fd < 0) return;
    event_del(&connection->read_event);
    event_del(&connection->write_event);
}

/* The owner hears of it from the task, so that no function of the header calls back. Takes the reason over. */
static void end(struct connection *connection, char *reason) {
    if (connection->phase >= PHASE_ENDED) {
        free(reason);
        return;
    }
    stop_events(connection);
    connection->phase = PHASE_ENDED;
    connection->reason = reason;
    buffer_free(&connection->kept);
    loop_defer(connection->loop, LOOP_RUN, &connection->task);
}

static void end_text(struct connection *connection, const char *reason) {
    end(connection, memory_copy_string(reason));
}

static void watch(struct connection *connection, struct event *event) {
    if (event_add(event, NULL) < 0) end_text(connection, "the kernel watches no more sockets");
}

static void update_reading(struct connection *connection) {
    bool reads = connection->phase >= PHASE_HEADER && connection->phase <= PHASE_CLOSING &&
                 !connection->is_paused && !connection->has_peer_ended;
    if (connection->carrier) (reads ? connection->carrier->resume : connection->carrier->pause)(connection->carried);
    else if (reads) watch(connection, &connection->read_event);
    else if (connection->fd >= 0) event_del(&connection->read_event);
}

static void become_open(struct connection *connection) {
    timer_stop(connection->loop, &connection->timer);
    connection->phase = PHASE_OPEN;
    update_reading(connection);
    connection->events->on_ready(connection->owner);
}

/* Writing: to the socket as far as it takes it, the rest to `kept`. */

static size_t total_length(const struct iovec *pieces, int count) {
    size_t total = 0;
    for (int i = 0; i < count; i++) total += pieces[i].iov_len;
    return total;
}

/* How many bytes left. An error ends the connection. */
static size_t send_pieces(struct connection *connection, const struct iovec *pieces, int count) {
    size_t sent = 0;
    while (count) {
        int batch = count < MOST_PIECES ? count : MOST_PIECES;
        struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)pieces, .msg_iovlen = (size_t)batch};
        ssize_t length = batch == 1 ? send(connection->fd, pieces->iov_base, pieces->iov_len, MSG_NOSIGNAL)
                                    : sendmsg(connection->fd, &message, MSG_NOSIGNAL);
        if (length < 0 && errno == EINTR) continue;
        if (length < 0) {
            if (errno != EAGAIN) end(connection, memory_format("writing: %s", strerror(errno)));
            return sent;
        }
        sent += (size_t)length;
        if ((size_t)length < total_length(pieces, batch)) return sent;
        pieces += batch;
        count -= batch;
    }
    return sent;
}

static void keep_from(struct connection *connection, const struct iovec *pieces, int count, size_t skip) {
    for (int i = 0; i < count; i++) {
        const struct iovec *piece = &pieces[i];
        if (skip < piece->iov_len)
            buffer_append(&connection->kept, (const uint8_t *)piece->iov_base + skip, piece->iov_len - skip);
        skip -= skip < piece->iov_len ? skip : piece->iov_len;
    }
    if (buffer_length(&connection->kept)) watch(connection, &connection->write_event);
}

static void write_raw(struct connection *connection, const struct iovec *pieces, int count) {
    size_t sent = buffer_length(&connection->kept) ? 0 : send_pieces(connection, pieces, count);
    if (connection->phase < PHASE_ENDED) keep_from(connection, pieces, count, sent);
}

/* What TLS left in the thread's buffer. */
static void write_cipher(struct connection *connection, struct buffer *cipher) {
    if (!buffer_length(cipher)) return;
    struct iovec piece = {.iov_base = buffer_bytes(cipher), .iov_len = buffer_length(cipher)};
    if (connection->phase < PHASE_ENDED) write_raw(connection, &piece, 1);
    buffer_clear(cipher);
}

static void fail_tls(struct connection *connection) {
    end_text(connection, tls_session_fault(connection->tls));
}

static void write_tls(struct connection *connection, const struct iovec *pieces, int count) {
    struct buffer *cipher = &loop_scratch(connection->loop)->cipher;
    struct tls_source source = {.pieces = pieces, .count = count};
    while (source.count && connection->phase < PHASE_ENDED) {
        enum tls_result result = tls_session_send(connection->tls, &source, TLS_BATCH, cipher);
        write_cipher(connection, cipher);
        if (result != TLS_GOING) fail_tls(connection);
    }
}

static void send_fin(struct connection *connection) {
    shutdown(connection->fd, SHUT_WR);
    if (connection->has_peer_ended) end_text(connection, "closed");
    else timer_start(connection->loop, &connection->timer, loop_now(connection->loop) + linger);
}

static void after_drain(struct connection *connection) {
    event_del(&connection->write_event);
    buffer_free(&connection->kept);
    connection->answers = 0;
    if (connection->phase == PHASE_CLOSING) send_fin(connection);
    else if (connection->phase == PHASE_OPEN) connection->events->on_drained(connection->owner);
}

static void on_writable(evutil_socket_t fd, short what, void *context) {
    (void)what;
    struct connection *connection = context;
    struct buffer *kept = &connection->kept;
    ssize_t sent = send(fd, buffer_bytes(kept), buffer_length(kept), MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR) end(connection, memory_format("writing: %s", strerror(errno)));
        return;
    }
    buffer_take(kept, (size_t)sent);
    if (connection->phase == PHASE_CLOSING)
        timer_start(connection->loop, &connection->timer, loop_now(connection->loop) + flush_stall);
    if (!buffer_length(kept)) after_drain(connection);
}

/* Reading */

static void take_tls(struct connection *connection, const uint8_t *bytes, size_t length) {
    struct loop_scratch *scratch = loop_scratch(connection->loop);
    buffer_clear(&scratch->plain);
    enum tls_result result =
        tls_session_receive(connection->tls, bytes, length, &scratch->plain, &scratch->cipher);
    if (buffer_length(&connection->kept)) connection->answers += (uint32_t)buffer_length(&scratch->cipher);
    write_cipher(connection, &scratch->cipher);
    if (connection->answers > most_answers)
        end_text(connection, "TLS: asks for answers and does not read them");
    if (connection->phase == PHASE_HANDSHAKE && tls_session_is_open(connection->tls)) become_open(connection);
    if (connection->phase == PHASE_OPEN && buffer_length(&scratch->plain))
        connection->events->on_bytes(connection->owner, buffer_bytes(&scratch->plain),
                                     buffer_length(&scratch->plain));
    if (result == TLS_FAILED) fail_tls(connection);
    else if (result == TLS_CLOSED) end_text(connection, "closed by the peer");
}

static void take_header(struct connection *connection, const struct proxy_header *header) {
    if (header->has_addresses) {
        free(connection->peer);
        free(connection->local);
        connection->peer = address_format((const struct sockaddr *)&header->source, header->source_length);
        connection->local =
            address_format((const struct sockaddr *)&header->destination, header->destination_length);
    }
    buffer_free(&connection->head);
    if (connection->tls) connection->phase = PHASE_HANDSHAKE;
    else become_open(connection);
}

/* Reads on until the header is whole. Returns how many of the bytes it took. */
static size_t read_header(struct connection *connection, const uint8_t *bytes, size_t length) {
    struct buffer *head = &connection->head;
    size_t before = buffer_length(head);
    if (before) buffer_append(head, bytes, length);
    struct proxy_header header;
    enum proxy_result result = before ? proxy_read(buffer_bytes(head), buffer_length(head), &header)
                                      : proxy_read(bytes, length, &header);
    if (result == PROXY_COMPLETE) {
        take_header(connection, &header);
        return header.length - before;
    }
    if (result == PROXY_INCOMPLETE) {
        if (!before) buffer_append(head, bytes, length);
        return length;
    }
    struct log_scope scope = scope_of(connection);
    log_warn(&scope, "%s is to send a PROXY header first, but did not: closed", connection->peer);
    end_text(connection, "no PROXY header");
    return length;
}

static void take_bytes(struct connection *connection, const uint8_t *bytes, size_t length) {
    if (connection->phase == PHASE_HEADER) {
        size_t used = read_header(connection, bytes, length);
        bytes += used;
        length -= used;
    }
    if (!length || connection->phase < PHASE_HANDSHAKE || connection->phase >= PHASE_CLOSING) return;
    if (connection->tls) take_tls(connection, bytes, length);
    else connection->events->on_bytes(connection->owner, bytes, length);
}

static void take_end(struct connection *connection) {
    if (connection->phase == PHASE_CLOSING && buffer_length(&connection->kept)) {
        connection->has_peer_ended = true; /* it may still read */
        update_reading(connection);
    } else if (connection->phase == PHASE_HANDSHAKE) {
        end_text(connection, "closed by the peer during the TLS handshake");
    } else {
        end_text(connection, "closed by the peer");
    }
}

static void on_readable(evutil_socket_t fd, short what, void *context) {
    (void)what;
    struct connection *connection = context;
    uint8_t *bytes = loop_scratch(connection->loop)->read;
    for (int reads = 0; reads < READS_A_WAKE; reads++) {
        ssize_t length = recv(fd, bytes, LOOP_READ_SIZE, 0);
        if (length < 0) {
            if (errno != EAGAIN && errno != EINTR)
                end(connection, memory_format("reading: %s", strerror(errno)));
            return;
        }
        if (length == 0) {
            take_end(connection);
            return;
        }
        take_bytes(connection, bytes, (size_t)length);
        if (length < LOOP_READ_SIZE || connection->is_paused || connection->phase >= PHASE_ENDED) return;
        if (clock_monotonic() - loop_now(connection->loop) >= READ_TIME) return; /* what came made work */
    }
}

/* Beginning and end */

/* The kernel tells nobody of a reset who watches neither for reading nor for writing. */
static void look_at_paused(struct connection *connection) {
    struct pollfd peer = {.fd = connection->fd};
    if (!connection->is_paused) return;
    if (poll(&peer, 1, 0) > 0 && (peer.revents & (POLLERR | POLLHUP))) end_text(connection, "the peer has gone");
    else timer_start(connection->loop, &connection->timer, loop_now(connection->loop) + look_interval);
}

static void on_timer(struct timer *timer) {
    struct connection *connection = container_of(timer, struct connection, timer);
    switch (connection->phase) {
    case PHASE_OPEN: look_at_paused(connection); break;
    case PHASE_DIALLING: end_text(connection, "connecting took too long"); break;
    case PHASE_HEADER: end_text(connection, "no PROXY header in time"); break;
    case PHASE_HANDSHAKE: end_text(connection, "the TLS handshake took too long"); break;
    default: end_text(connection, "closed");
    }
}

static void destroy(struct connection *connection) {
    tls_session_free(&connection->tls);
    buffer_free(&connection->head);
    buffer_free(&connection->kept);
    free(connection->peer);
    free(connection->local);
    free(connection->reason);
    free(connection);
}

static void on_task(struct task *task) {
    struct connection *connection = container_of(task, struct connection, task);
    switch (connection->phase) {
    case PHASE_STARTING: become_open(connection); break;
    case PHASE_ENDED: connection->events->on_end(connection->owner, connection->reason); break;
    case PHASE_FREED: destroy(connection); break;
    default: break;
    }
}

static struct connection *new_connection(struct loop *loop, const struct connection_options *options,
                                         const struct connection_events *events, void *owner) {
    static atomic_uint_fast64_t last_id;
    struct connection *connection = memory_new(sizeof *connection);
    connection->loop = loop;
    connection->events = events;
    connection->owner = owner;
    connection->id = atomic_fetch_add_explicit(&last_id, 1, memory_order_relaxed) + 1;
    connection->fd = -1;
    task_init(&connection->task, on_task);
    timer_init(&connection->timer, on_timer);
    connection->is_client = options->tls_client != NULL;
    if (options->tls_server) connection->tls = tls_session_accept(options->tls_server);
    else if (options->tls_client) connection->tls = tls_session_connect(options->tls_client, options->server_name);
    if (options->handshake_timeout)
        timer_start(loop, &connection->timer, loop_now(loop) + options->handshake_timeout);
    return connection;
}

static void take_socket(struct connection *connection, int fd) {
    struct event_base *base = loop_event_base(connection->loop);
    connection->fd = fd;
    free(connection->peer);
    free(connection->local);
    event_assign(&connection->read_event, base, fd, EV_READ | EV_PERSIST, on_readable, connection);
    event_assign(&connection->write_event, base, fd, EV_WRITE | EV_PERSIST, on_writable, connection);
    connection->peer = address_of_peer(fd);
    connection->local = address_of_local(fd);
}

static void start_handshake(struct connection *connection) {
    struct buffer *cipher = &loop_scratch(connection->loop)->cipher;
    connection->phase = PHASE_HANDSHAKE;
    update_reading(connection);
    if (!connection->is_client) return;
    enum tls_result result = tls_session_start(connection->tls, cipher);
    write_cipher(connection, cipher);
    if (result != TLS_GOING) fail_tls(connection);
}

struct connection *connection_accepted(struct loop *loop, int fd, const struct connection_options *options,
                                       const struct connection_events *events, void *owner) {
    struct connection *connection = new_connection(loop, options, events, owner);
    take_socket(connection, fd);
    if (options->reads_proxy_header) {
        connection->phase = PHASE_HEADER;
        update_reading(connection);
    } else if (connection->tls) {
        start_handshake(connection);
    } else {
        connection->phase = PHASE_STARTING;
        loop_defer(loop, LOOP_RUN, &connection->task);
    }
    return connection;
}

static void on_dialled(void *context, int fd, const char *reason) {
    struct connection *connection = context;
    dial_free(&connection->dial);
    if (fd < 0) {
        end_text(connection, reason);
        return;
    }
    take_socket(connection, fd);
    if (connection->tls) start_handshake(connection);
    else become_open(connection);
}

struct connection *connection_dial(struct loop *loop, const char *address,
                                   const struct connection_options *options,
                                   const struct connection_events *events, void *owner, struct error *error) {
    struct connection *connection = new_connection(loop, options, events, owner);
    connection->phase = PHASE_DIALLING;
    connection->peer = memory_copy_string(address);
    connection->local = memory_copy_string("unknown");
    connection->dial = options->address ? dial_to(loop, options->address, options->address_length, address,
                                                  on_dialled, connection)
                                        : dial_new(loop, address, on_dialled, connection, error);
    if (!connection->dial) connection_free(&connection);
    return connection;
}

/* Carried by something else than a socket */

struct connection *connection_carried(struct loop *loop, const struct connection_carrier *carrier, void *carried,
                                      const char *peer, const char *local, const struct connection_events *events,
                                      void *owner) {
    static const struct connection_options plain;
    struct connection *connection = new_connection(loop, &plain, events, owner);
    connection->carrier = carrier;
    connection->carried = carried;
    connection->peer = memory_copy_string(peer);
    connection->local = memory_copy_string(local);
    connection->phase = PHASE_STARTING;
    loop_defer(loop, LOOP_RUN, &connection->task);
    return connection;
}

void connection_carry_bytes(struct connection *connection, const uint8_t *bytes, size_t length) {
    if (connection->phase == PHASE_OPEN) connection->events->on_bytes(connection->owner, bytes, length);
}

void connection_carry_drained(struct connection *connection) {
    if (connection->phase == PHASE_OPEN) connection->events->on_drained(connection->owner);
}

void connection_carry_end(struct connection *connection, const char *reason) { end_text(connection, reason); }

/* Use */

size_t connection_write(struct connection *connection, const struct iovec *pieces, int count) {
    assert(connection->phase >= PHASE_OPEN);
    if (connection->phase != PHASE_OPEN) return 0;
    if (connection->carrier) return connection->carrier->write(connection->carried, pieces, count);
    if (connection->tls) write_tls(connection, pieces, count);
    else write_raw(connection, pieces, count);
    return buffer_length(&connection->kept);
}

size_t connection_kept(const struct connection *connection) {
    return connection->carrier ? connection->carrier->kept(connection->carried) : buffer_length(&connection->kept);
}

size_t connection_undelivered(const struct connection *connection) {
    int unsent = 0;
    if (connection->carrier) return connection->carrier->undelivered(connection->carried);
    if (connection->fd >= 0) ioctl(connection->fd, SIOCOUTQ, &unsent);
    return buffer_length(&connection->kept) + (size_t)unsent;
}

static void set_seconds(int fd, int option, uint64_t time) {
    enum { MOST = 32767 }; /* what the kernel takes */
    int seconds = time / NS_PER_S < MOST ? (int)(time / NS_PER_S) : MOST;
    if (seconds < 1) seconds = 1;
    setsockopt(fd, IPPROTO_TCP, option, &seconds, sizeof seconds);
}

void connection_probe(struct connection *connection, uint64_t interval, uint64_t timeout) {
    int probes = 4;
    if (connection->fd < 0) return;
    set_seconds(connection->fd, TCP_KEEPIDLE, interval);
    set_seconds(connection->fd, TCP_KEEPINTVL, timeout / (uint64_t)probes);
    setsockopt(connection->fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

void connection_pause(struct connection *connection) {
    connection->is_paused = true;
    update_reading(connection);
    if (connection->phase == PHASE_OPEN && connection->fd >= 0 && !timer_is_running(&connection->timer))
        timer_start(connection->loop, &connection->timer, loop_now(connection->loop) + look_interval);
}

void connection_resume(struct connection *connection) {
    connection->is_paused = false;
    update_reading(connection);
}

void connection_shutdown(struct connection *connection) {
    if (connection->phase < PHASE_OPEN) end_text(connection, "closed");
    if (connection->phase != PHASE_OPEN) return;
    struct buffer *cipher = &loop_scratch(connection->loop)->cipher;
    if (connection->tls) tls_session_close(connection->tls, cipher);
    write_cipher(connection, cipher);
    if (connection->phase != PHASE_OPEN) return;
    connection->phase = PHASE_CLOSING;
    connection_resume(connection);
    if (connection->carrier) connection->carrier->shutdown(connection->carried);
    else if (!buffer_length(&connection->kept)) return send_fin(connection);
    timer_start(connection->loop, &connection->timer, loop_now(connection->loop) + flush_stall);
}

void connection_free(struct connection **connection) {
    struct connection *old = *connection;
    if (!old) return;
    *connection = NULL;
    stop_events(old);
    if (old->carrier) old->carrier->free(old->carried);
    if (old->fd >= 0) close(old->fd);
    old->fd = -1;
    old->phase = PHASE_FREED;
    task_cancel(&old->task);
    loop_defer(old->loop, LOOP_FREE, &old->task);
}

uint64_t connection_id(const struct connection *connection) { return connection->id; }
const char *connection_peer(const struct connection *connection) { return connection->peer; }
const char *connection_local(const struct connection *connection) { return connection->local; }
const struct tls_info *connection_tls(const struct connection *connection) {
    if (connection->carrier) return connection->carrier->tls(connection->carried);
    return connection->tls ? tls_session_info(connection->tls) : NULL;
}
