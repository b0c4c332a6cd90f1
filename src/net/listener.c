/* net/listener.c - see listener.h
 *
 * One listener may be several sockets: one for each address of its name. */
#include "net/listener.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "net/address.h"
#include "net/listener_socket.h"
#include "net/loop.h"
#include "net/loop_private.h"
#include "net/network.h"

enum { ACCEPTS_A_WAKE = 64, MOST_WAITING = 65536 };
static const uint64_t rest_time = 100 * NS_PER_MS; /* when descriptors have run out */
static const uint64_t tell_time = 1 * NS_PER_S;    /* from one log line about it to the next */

struct source {
    struct listener *listener;
    int fd;
    struct event event;
};

struct listener {
    struct loop *loop;
    listener_accept_fn *on_accept;
    void *context;
    struct source sources[LISTENER_MOST_SOCKETS];
    int count;
    int reserve; /* a descriptor to give up when there are no others; -1 when even that is gone */
    char *address;
    struct network_list *proxy_from;
    struct timer rest;
    uint64_t told; /* when a log line last said that descriptors have run out */
    struct task free;
    bool is_paused, is_closed;
    char *path; /* of a unix socket, which is `device`, `inode` as long as it is ours */
    dev_t device;
    ino_t inode;
};

static void update_accepting(struct listener *listener) {
    bool accepts = !listener->is_paused && !listener->is_closed && !timer_is_running(&listener->rest);
    for (int i = 0; i < listener->count; i++) {
        if (accepts) event_add(&listener->sources[i].event, NULL);
        else event_del(&listener->sources[i].event);
    }
}

static void on_rested(struct timer *timer) { update_accepting(container_of(timer, struct listener, rest)); }

static int open_reserve(void) { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

/* One connection is accepted and closed, so that its client hears of it; then the rest wait in the backlog. */
static void run_out(struct listener *listener, int fd, int error) {
    uint64_t now = loop_now(listener->loop);
    if (now - listener->told >= tell_time) {
        listener->told = now;
        log_warn(NULL, "%s: cannot accept: %s; connections are turned away", listener->address,
                 strerror(error));
    }
    if (listener->reserve >= 0) {
        close(listener->reserve);
        int unlucky = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (unlucky >= 0) close(unlucky);
    }
    listener->reserve = open_reserve();
    timer_start(listener->loop, &listener->rest, now + rest_time);
    update_accepting(listener);
}

static bool is_shortage(int error) {
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void accept_some(struct source *source, int most) {
    struct listener *listener = source->listener;
    for (int i = 0; i < most && !listener->is_paused && !listener->is_closed; i++) {
        struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
        socklen_t length = sizeof peer;
        int accepted = accept4(source->fd, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (accepted >= 0) {
            bool expects_header = network_list_has(listener->proxy_from, (struct sockaddr *)&peer);
            listener->on_accept(listener->context, listener, accepted, expects_header);
        } else if (errno == EAGAIN) {
            return;
        } else if (is_shortage(errno)) {
            run_out(listener, source->fd, errno);
            return;
        } /* else the one connection was gone before we came (ECONNABORTED and the like): the next */
    }
}

static void on_acceptable(evutil_socket_t fd, short what, void *context) {
    (void)fd;
    (void)what;
    accept_some(context, ACCEPTS_A_WAKE);
}

static void remember_path(struct listener *listener, const char *path) {
    struct stat status;
    if (stat(path, &status) < 0) return;
    listener->path = memory_copy_string(path);
    listener->device = status.st_dev;
    listener->inode = status.st_ino;
}

static void free_listener(struct task *task) {
    struct listener *listener = container_of(task, struct listener, free);
    network_list_free(&listener->proxy_from);
    free(listener->address);
    free(listener->path);
    free(listener);
}

static bool open_sockets(struct listener *listener, const struct listener_options *options,
                         struct error *error) {
    int fds[LISTENER_MOST_SOCKETS];
    listener->count =
        options->path ? listener_socket_unix(options, fds, error) : listener_socket_tcp(options, fds, error);
    for (int i = 0; i < listener->count; i++) {
        struct source *source = &listener->sources[i];
        *source = (struct source){.listener = listener, .fd = fds[i]};
        event_assign(&source->event, loop_event_base(listener->loop), fds[i], EV_READ | EV_PERSIST,
                     on_acceptable, source);
    }
    if (listener->count && options->path) remember_path(listener, options->path);
    return listener->count > 0;
}

struct listener *listener_open(struct loop *loop, const struct listener_options *options,
                               listener_accept_fn *on_accept, void *context, struct error *error) {
    struct listener *listener = memory_new(sizeof *listener);
    listener->loop = loop;
    listener->on_accept = on_accept;
    listener->context = context;
    listener->reserve = -1;
    timer_init(&listener->rest, on_rested);
    task_init(&listener->free, free_listener);
    listener->proxy_from = network_list_new(options->proxy_from, error);
    if (!listener->proxy_from || !open_sockets(listener, options, error)) {
        listener_close(&listener);
        return NULL;
    }
    listener->address = address_of_local(listener->sources[0].fd);
    listener->reserve = open_reserve();
    update_accepting(listener);
    return listener;
}

const char *listener_address(const struct listener *listener) { return listener->address; }

void listener_pause(struct listener *listener) {
    listener->is_paused = true;
    update_accepting(listener);
}

void listener_resume(struct listener *listener) {
    listener->is_paused = false;
    update_accepting(listener);
}

void listener_accept_waiting(struct listener *listener) {
    for (int i = 0; i < listener->count; i++) accept_some(&listener->sources[i], MOST_WAITING);
}

/* Another process may have put its own socket there since. */
static bool has_path(const struct listener *listener) {
    struct stat status;
    return listener->path && stat(listener->path, &status) == 0 && status.st_dev == listener->device &&
           status.st_ino == listener->inode;
}

bool listener_change(struct listener *listener, const struct listener_options *options, struct error *error) {
    struct network_list *proxy_from = network_list_new(options->proxy_from, error);
    if (!proxy_from) return false;
    network_list_free(&listener->proxy_from);
    listener->proxy_from = proxy_from;
    bool is_done = true;
    for (int i = 0; i < listener->count; i++)
        if (listen(listener->sources[i].fd, listener_socket_backlog(options)) < 0)
            is_done = error_set(error, "%s: the backlog stays: %s", listener->address, strerror(errno));
    if (has_path(listener) && chmod(listener->path, (mode_t)options->mode) < 0)
        is_done = error_set(error, "%s: the mode stays: %s", listener->address, strerror(errno));
    return is_done;
}

void listener_close(struct listener **listener) {
    struct listener *old = *listener;
    if (!old) return;
    *listener = NULL;
    old->is_closed = true;
    timer_stop(old->loop, &old->rest);
    update_accepting(old);
    if (has_path(old)) unlink(old->path);
    for (int i = 0; i < old->count; i++) close(old->sources[i].fd);
    if (old->reserve >= 0) close(old->reserve);
    loop_defer(old->loop, LOOP_FREE, &old->free);
}
