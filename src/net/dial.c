/* net/dial.c - see dial.h */
#include "net/dial.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "net/address.h"
#include "net/loop.h"
#include "net/loop_private.h"

struct dial {
    struct loop *loop;
    dial_done_fn *on_done;
    void *context;
    char *text; /* what was dialled */
    struct addrinfo *found, *next;
    struct sockaddr_storage one; /* a path, or the address that was given */
    struct addrinfo one_info;    /* stands for `found` then */
    int fd;
    struct event event;
    struct task start;
};

static void forget_socket(struct dial *dial) {
    if (dial->fd < 0) return;
    event_del(&dial->event);
    close(dial->fd);
    dial->fd = -1;
}

static void succeed(struct dial *dial) {
    int fd = dial->fd, on = 1;
    event_del(&dial->event);
    dial->fd = -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* fails on unix sockets, which need it not */
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    dial->on_done(dial->context, fd, NULL);
}

static void fail(struct dial *dial, int error) {
    char *reason = memory_format("cannot connect to %s: %s", dial->text, strerror(error));
    dial->on_done(dial->context, -1, reason);
    free(reason);
}

static void on_connected(evutil_socket_t fd, short what, void *context);

/* Begins with the next address; 0, or the error that the socket gave at once. */
static int begin(struct dial *dial) {
    struct addrinfo *address = dial->next;
    dial->next = address->ai_next;
    dial->fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (dial->fd < 0) return errno;
    event_assign(&dial->event, loop_event_base(dial->loop), dial->fd, EV_WRITE, on_connected, dial);
    if (connect(dial->fd, address->ai_addr, address->ai_addrlen) < 0 && errno != EINPROGRESS) {
        int error = errno;
        forget_socket(dial);
        return error;
    }
    event_add(&dial->event, NULL);
    return 0;
}

static void try_addresses(struct dial *dial, int error) {
    while (dial->next) {
        if (!(error = begin(dial))) return;
    }
    fail(dial, error);
}

static void on_connected(evutil_socket_t fd, short what, void *context) {
    (void)what;
    struct dial *dial = context;
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0) error = errno;
    if (!error) {
        succeed(dial);
        return;
    }
    forget_socket(dial);
    try_addresses(dial, error);
}

static void start(struct task *task) { try_addresses(container_of(task, struct dial, start), 0); }

static void use(struct dial *dial, const struct sockaddr *address, socklen_t length) {
    memcpy(&dial->one, address, length);
    dial->one_info = (struct addrinfo){
        .ai_family = address->sa_family, .ai_addr = (struct sockaddr *)&dial->one, .ai_addrlen = length};
    dial->next = &dial->one_info;
}

static bool resolve(struct dial *dial, const char *address, struct error *error) {
    if (strncmp(address, "unix:", 5) == 0) {
        struct sockaddr_un path;
        if (!address_of_path(address + 5, &path, error)) return false;
        use(dial, (const struct sockaddr *)&path, sizeof path);
        return true;
    }
    char *host, *port;
    if (!address_split(address, &host, &port, error)) return false;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    int result = getaddrinfo(host, port, &hints, &dial->found);
    if (result)
        error_set(error, "%s: %s", address, result == EAI_SYSTEM ? strerror(errno) : gai_strerror(result));
    dial->next = dial->found;
    free(host);
    free(port);
    return result == 0;
}

static struct dial *new_dial(struct loop *loop, const char *name, dial_done_fn *on_done, void *context) {
    struct dial *dial = memory_new(sizeof *dial);
    *dial = (struct dial){.loop = loop, .on_done = on_done, .context = context, .fd = -1};
    dial->text = memory_copy_string(name);
    task_init(&dial->start, start);
    return dial;
}

struct dial *dial_to(struct loop *loop, const struct sockaddr *address, socklen_t length, const char *name,
                     dial_done_fn *on_done, void *context) {
    struct dial *dial = new_dial(loop, name, on_done, context);
    use(dial, address, length);
    loop_defer(loop, LOOP_RUN, &dial->start);
    return dial;
}

struct dial *dial_new(struct loop *loop, const char *address, dial_done_fn *on_done, void *context,
                      struct error *error) {
    struct dial *dial = new_dial(loop, address, on_done, context);
    if (!resolve(dial, address, error)) {
        dial_free(&dial);
        return NULL;
    }
    loop_defer(loop, LOOP_RUN, &dial->start);
    return dial;
}

void dial_free(struct dial **dial) {
    struct dial *old = *dial;
    if (!old) return;
    *dial = NULL;
    task_cancel(&old->start);
    forget_socket(old);
    if (old->found) freeaddrinfo(old->found);
    free(old->text);
    free(old);
}
