/* net/signal_watch.c - signals as events of the main loop; see loop.h */
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>

#include "base/memory.h"
#include "net/loop.h"
#include "net/loop_private.h"

struct signal_watch {
    struct event event;
    void (*on_signal)(void *context, int number);
    void *context;
};

static void on_event(evutil_socket_t number, short what, void *context) {
    (void)what;
    struct signal_watch *watch = context;
    watch->on_signal(watch->context, (int)number);
}

struct signal_watch *signal_watch_new(struct loop *loop, int signal_number,
                                      void (*on_signal)(void *context, int number), void *context) {
    struct signal_watch *watch = memory_new(sizeof *watch);
    watch->on_signal = on_signal;
    watch->context = context;
    evsignal_assign(&watch->event, loop_event_base(loop), signal_number, on_event, watch);
    evsignal_add(&watch->event, NULL);
    return watch;
}

void signal_watch_free(struct signal_watch **watch) {
    if (!*watch) return;
    evsignal_del(&(*watch)->event);
    free(*watch);
    *watch = NULL;
}
