/* net/watch.c - see watch.h */
#include "net/watch.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/memory.h"
#include "net/loop.h"
#include "net/loop_private.h"

struct watch {
    struct loop *loop;
    bool is_always_ready;
    struct event event;
    struct task task; /* instead of the event, where polling is refused */
    void (*on_ready)(void *context);
    void *context;
};

static void on_event(evutil_socket_t fd, short what, void *context) {
    (void)fd, (void)what;
    struct watch *watch = context;
    watch->on_ready(watch->context);
}

static void on_turn(struct task *task) {
    struct watch *watch = container_of(task, struct watch, task);
    watch->on_ready(watch->context);
}

/* Asked of a throw-away epoll: libevent would complain aloud. */
static bool can_be_polled(int fd) {
    struct epoll_event event = {.events = EPOLLIN};
    int probe = epoll_create1(EPOLL_CLOEXEC);
    bool can = probe < 0 || epoll_ctl(probe, EPOLL_CTL_ADD, fd, &event) == 0;
    if (probe >= 0) close(probe);
    return can;
}

struct watch *watch_new(struct loop *loop, int fd, enum watch_kind kind, void (*on_ready)(void *context),
                        void *context) {
    struct watch *watch = memory_new(sizeof *watch);
    watch->loop = loop;
    watch->on_ready = on_ready;
    watch->context = context;
    watch->is_always_ready = !can_be_polled(fd);
    task_init(&watch->task, on_turn);
    event_assign(&watch->event, loop_event_base(loop), fd, kind == WATCH_READ ? EV_READ : EV_WRITE, on_event,
                 watch);
    return watch;
}

void watch_start(struct watch *watch) {
    if (watch->is_always_ready) loop_defer(watch->loop, LOOP_RUN, &watch->task);
    else event_add(&watch->event, NULL);
}

void watch_stop(struct watch *watch) {
    task_cancel(&watch->task);
    event_del(&watch->event);
}

void watch_free(struct watch **watch) {
    if (!*watch) return;
    watch_stop(*watch);
    free(*watch);
    *watch = NULL;
}
