/* net/resolver.c - see resolver.h
 *
 * c-ares says which of its sockets want to be watched, and when it wants to be woken. It may answer from inside of its
 * functions; so answers are kept for a task. */
#include "net/resolver.h"

#include <ares.h>
#include <arpa/inet.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/memory.h"
#include "net/loop.h"
#include "net/loop_private.h"

static const uint64_t least_age = 1 * NS_PER_S, most_age = 3600 * NS_PER_S;
static const uint64_t hosts_age = 30 * NS_PER_S; /* of an answer that has no age: from a file */

struct watched {
    struct list node;
    struct resolver *resolver;
    struct event event;
    ares_socket_t socket;
};

struct resolver {
    struct loop *loop;
    ares_channel channel;
    struct list sockets; /* watched.node */
    struct timer timer;
};

struct resolver_query {
    struct loop *loop;
    void (*on_done)(void *context, const struct resolved *resolved); /* NULL: forgotten */
    void *context;
    struct task task;
    struct sockaddr_storage addresses[RESOLVER_MOST_ADDRESSES];
    socklen_t lengths[RESOLVER_MOST_ADDRESSES];
    size_t count;
    uint64_t age;
    char *error;
    bool is_asked; /* c-ares still knows it */
};

/* ---- c-ares and the loop ---- */

static void set_timer(struct resolver *resolver) {
    struct timeval wait, *due = ares_timeout(resolver->channel, NULL, &wait);
    if (!due) {
        timer_stop(resolver->loop, &resolver->timer);
        return;
    }
    uint64_t ns = (uint64_t)due->tv_sec * NS_PER_S + (uint64_t)due->tv_usec * 1000;
    timer_start(resolver->loop, &resolver->timer, loop_now(resolver->loop) + ns);
}

static void on_timer(struct timer *timer) {
    struct resolver *resolver = container_of(timer, struct resolver, timer);
    ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    set_timer(resolver);
}

static void on_event(evutil_socket_t fd, short what, void *context) {
    struct watched *watched = context;
    struct resolver *resolver = watched->resolver; /* the socket may go in there */
    ares_process_fd(resolver->channel, what & EV_READ ? fd : ARES_SOCKET_BAD,
                    what & EV_WRITE ? fd : ARES_SOCKET_BAD);
    set_timer(resolver);
}

static struct watched *find_socket(struct resolver *resolver, ares_socket_t socket) {
    for (struct list *node = resolver->sockets.next; node != &resolver->sockets; node = node->next) {
        struct watched *watched = container_of(node, struct watched, node);
        if (watched->socket == socket) return watched;
    }
    return NULL;
}

static void watch_socket(void *context, ares_socket_t socket, int wants_reading, int wants_writing) {
    struct resolver *resolver = context;
    struct watched *watched = find_socket(resolver, socket);
    if (watched) {
        event_del(&watched->event);
    } else {
        watched = memory_new(sizeof *watched);
        watched->resolver = resolver;
        watched->socket = socket;
        list_append(&resolver->sockets, &watched->node);
    }
    if (!wants_reading && !wants_writing) {
        list_remove(&watched->node);
        free(watched);
        return;
    }
    short what = (short)(EV_PERSIST | (wants_reading ? EV_READ : 0) | (wants_writing ? EV_WRITE : 0));
    event_assign(&watched->event, loop_event_base(resolver->loop), socket, what, on_event, watched);
    event_add(&watched->event, NULL);
}

/* ---- life ---- */

static void start_library(void) {
    if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) abort(); /* out of memory */
}

struct resolver *resolver_new(struct loop *loop, const char *servers) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_library);
    struct resolver *resolver = memory_new(sizeof *resolver);
    resolver->loop = loop;
    list_init(&resolver->sockets);
    timer_init(&resolver->timer, on_timer);
    struct ares_options options = {
        .timeout = 2000, .tries = 3, .sock_state_cb = watch_socket, .sock_state_cb_data = resolver};
    int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
    if (ares_init_options(&resolver->channel, &options, mask) != ARES_SUCCESS) abort();
    if (servers) ares_set_servers_ports_csv(resolver->channel, servers);
    return resolver;
}

void resolver_free(struct resolver **handle) {
    struct resolver *resolver = *handle;
    *handle = NULL;
    if (!resolver) return;
    ares_destroy(resolver->channel);
    timer_stop(resolver->loop, &resolver->timer);
    free(resolver);
}

/* ---- asking ---- */

static void tell(struct task *task) {
    struct resolver_query *query = container_of(task, struct resolver_query, task);
    const struct resolved resolved = {.addresses = query->addresses,
                                      .lengths = query->lengths,
                                      .count = query->count,
                                      .age = query->age,
                                      .error = query->error};
    query->on_done(query->context, &resolved);
}

static void destroy(struct resolver_query *query) {
    free(query->error);
    free(query);
}

static bool has_address(const struct resolver_query *query, const struct sockaddr *address, socklen_t length) {
    for (size_t i = 0; i < query->count; i++)
        if (query->lengths[i] == length && !memcmp(&query->addresses[i], address, length)) return true;
    return false;
}

static void take_addresses(struct resolver_query *query, const struct ares_addrinfo *found) {
    query->age = most_age;
    for (const struct ares_addrinfo_node *node = found->nodes; node; node = node->ai_next) {
        uint64_t age = node->ai_ttl > 0 ? (uint64_t)node->ai_ttl * NS_PER_S : hosts_age;
        if (age < query->age) query->age = age;
        if (query->count == RESOLVER_MOST_ADDRESSES || has_address(query, node->ai_addr, node->ai_addrlen)) continue;
        memcpy(&query->addresses[query->count], node->ai_addr, node->ai_addrlen);
        query->lengths[query->count++] = node->ai_addrlen;
    }
    if (query->age < least_age) query->age = least_age;
}

static void on_answer(void *context, int status, int timeouts, struct ares_addrinfo *found) {
    struct resolver_query *query = context;
    (void)timeouts;
    query->is_asked = false;
    if (!query->on_done) {
        destroy(query);
    } else {
        if (status == ARES_SUCCESS) take_addresses(query, found);
        if (!query->count) {
            query->error = memory_copy_string(status == ARES_SUCCESS ? "the name has no address" : ares_strerror(status));
            query->age = least_age;
        }
        loop_defer(query->loop, LOOP_RUN, &query->task);
    }
    if (found) ares_freeaddrinfo(found);
}

struct resolver_query *resolver_ask(struct resolver *resolver, const char *host, const char *port,
                                    void (*on_done)(void *context, const struct resolved *resolved), void *context) {
    struct resolver_query *query = memory_new(sizeof *query);
    const struct ares_addrinfo_hints hints = {
        .ai_flags = ARES_AI_NUMERICSERV | ARES_AI_NOSORT, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    query->loop = resolver->loop;
    query->on_done = on_done;
    query->context = context;
    query->is_asked = true;
    task_init(&query->task, tell);
    ares_getaddrinfo(resolver->channel, host, port, &hints, on_answer, query);
    set_timer(resolver);
    return query;
}

void resolver_query_free(struct resolver_query **handle) {
    struct resolver_query *query = *handle;
    *handle = NULL;
    if (!query) return;
    task_cancel(&query->task);
    query->on_done = NULL;
    if (!query->is_asked) destroy(query); /* else when c-ares gives it up */
}

bool resolver_read_address(const char *host, const char *port, struct sockaddr_storage *address, socklen_t *length) {
    struct sockaddr_in *v4 = (struct sockaddr_in *)address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;
    in_port_t number = htons((uint16_t)strtoul(port, NULL, 10));
    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = number;
        *length = sizeof *v4;
        return true;
    }
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) != 1) return false;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = number;
    *length = sizeof *v6;
    return true;
}

const char *resolver_versions(void) {
    static char text[32]; /* --version alone asks, in the main thread */
    snprintf(text, sizeof text, "c-ares %s", ares_version(NULL));
    return text;
}
