/* gateway/entrance.c - see entrance.h */
#include "gateway/entrance.h"

#include <stdlib.h>
#include <string.h>

#include "base/figures.h"
#include "base/list.h"
#include "base/log.h"
#include "base/memory.h"
#include "net/listener.h"
#include "rpc/cors.h"
#include "rpc/rpc.h"

struct door {
    struct list node;
    struct entrance *entrance;
    char *address; /* as the config writes it: what makes two doors the same */
    struct listener *listener;
    struct tls_server *tls;
    struct cors *cors;
    struct door_counts *counts;
    bool takes_peers;
    /* While a reload is prepared. */
    const struct config_listener *next; /* the config's; NULL: the door is closed */
    struct tls_server *next_tls;
    bool is_new;
};

struct entrance {
    struct loop *loop;
    struct entrance_options options;
    struct list doors;
    bool is_paused;
};

static const char *const protocols[] = {"h2", "http/1.1", NULL};

struct figures *doors_new(void) {
    return figures_new(1, sizeof(struct door_counts) / sizeof(atomic_uint_least64_t), DOORS_MOST,
                       &(struct figures_name){{"others", "others"}});
}

struct entrance *entrance_new(struct loop *loop, const struct entrance_options *options) {
    struct entrance *entrance = memory_new(sizeof *entrance);
    entrance->loop = loop;
    entrance->options = *options;
    list_init(&entrance->doors);
    return entrance;
}

static void door_free(struct door *door) {
    list_remove(&door->node);
    if (door->listener) listener_close(&door->listener);
    tls_server_unref(&door->tls);
    tls_server_unref(&door->next_tls);
    cors_unref(&door->cors);
    free(door->address);
    free(door);
}

static void accepted(void *context, struct listener *listener, int fd, bool expects_proxy_header) {
    (void)listener;
    struct door *door = context;
    counter_add(&door->counts->accepted, 1);
    const struct rpc_accepted new = {.fd = fd,
                                     .gone = &door->counts->gone,
                                     .tls = door->tls ? tls_server_ref(door->tls) : NULL,
                                     .cors = cors_ref(door->cors),
                                     .listener = memory_copy_string(door->address),
                                     .reads_proxy_header = expects_proxy_header,
                                     .takes_peers = door->takes_peers};
    door->entrance->options.on_accept(door->entrance->options.context, &new);
}

static struct tls_server *make_tls(const struct config_tls *tls, struct error *error) {
    return tls_server_new(&(struct tls_server_options){
                              .certificates = tls->certificates,
                              .keys = tls->keys,
                              .client_ca = tls->client_ca,
                              .asks_client_certificate = tls->client_certificate != CLIENT_CERTIFICATE_NONE,
                              .requires_client_certificate = tls->client_certificate == CLIENT_CERTIFICATE_REQUIRED,
                              .is_tls13_only = tls->is_tls13_only,
                              .protocols = protocols},
                          error);
}

static struct listener_options options_of(const struct config_listener *config) {
    return (struct listener_options){.host = config->host,
                                     .port = config->port,
                                     .path = config->path,
                                     .mode = config->mode,
                                     .backlog = (int)config->backlog,
                                     .proxy_from = config->proxy_from};
}

static bool open_listener(struct door *door, const struct config_listener *config, struct error *error) {
    const struct listener_options options = options_of(config);
    door->listener = listener_open(door->entrance->loop, &options, accepted, door, error);
    if (!door->listener) return false;
    listener_pause(door->listener);
    return true;
}

static struct door *find(struct entrance *entrance, const char *address) {
    for (struct list *node = entrance->doors.next; node != &entrance->doors; node = node->next) {
        struct door *door = container_of(node, struct door, node);
        if (strcmp(door->address, address) == 0) return door;
    }
    return NULL;
}

static bool prepare_door(struct entrance *entrance, const struct config_listener *config, struct error *error) {
    struct door *door = find(entrance, config->address);
    if (!door) {
        door = memory_new(sizeof *door);
        door->entrance = entrance;
        door->address = memory_copy_string(config->address);
        door->counts = figures_open(entrance->options.figures, 0,
                                    &(struct figures_name){{door->address, entrance->options.role}});
        door->is_new = true;
        list_append(&entrance->doors, &door->node);
        if (!open_listener(door, config, error)) return false;
    }
    door->next = config;
    if (config->tls && !(door->next_tls = make_tls(config->tls, error))) return false;
    return true;
}

bool entrance_prepare(struct entrance *entrance, const char *file, const struct config_listener *listeners, size_t count,
                      struct error *error) {
    for (size_t i = 0; i < count; i++) {
        struct error why;
        if (prepare_door(entrance, &listeners[i], &why)) continue;
        entrance_discard(entrance);
        return error_at(error, file, listeners[i].line, "%s", why.text);
    }
    return true;
}

static struct cors *make_cors(const struct config_cors *cors) {
    if (!cors) return NULL;
    return cors_new(&(struct cors_options){.origins = cors->origins,
                                           .headers = cors->headers,
                                           .max_age = cors->max_age,
                                           .credentials = cors->credentials});
}

static void door_take_over(struct door *door) {
    tls_server_unref(&door->tls);
    cors_unref(&door->cors);
    door->cors = make_cors(door->next->cors);
    door->tls = door->next_tls;
    door->next_tls = NULL;
    door->takes_peers = door->next->takes_peers;
    if (door->is_new) {
        if (!door->entrance->is_paused) listener_resume(door->listener);
        log_info(NULL, "%s on %s", door->entrance->options.what, listener_address(door->listener));
    } else {
        const struct listener_options options = options_of(door->next);
        struct error why;
        if (!listener_change(door->listener, &options, &why)) log_warn(NULL, "%s", why.text);
    }
    door->next = NULL;
    door->is_new = false;
}

void entrance_commit(struct entrance *entrance) {
    for (struct list *node = entrance->doors.next, *next; node != &entrance->doors; node = next) {
        struct door *door = container_of(node, struct door, node);
        next = node->next;
        if (door->next) {
            door_take_over(door);
        } else {
            listener_accept_waiting(door->listener);
            log_info(NULL, "no longer %s on %s", entrance->options.what, listener_address(door->listener));
            door_free(door);
        }
    }
}

void entrance_discard(struct entrance *entrance) {
    for (struct list *node = entrance->doors.next, *next; node != &entrance->doors; node = next) {
        struct door *door = container_of(node, struct door, node);
        next = node->next;
        tls_server_unref(&door->next_tls);
        door->next = NULL;
        if (door->is_new) door_free(door);
    }
}

void entrance_pause(struct entrance *entrance) {
    entrance->is_paused = true;
    for (struct list *node = entrance->doors.next; node != &entrance->doors; node = node->next)
        listener_pause(container_of(node, struct door, node)->listener);
}

void entrance_resume(struct entrance *entrance) {
    entrance->is_paused = false;
    for (struct list *node = entrance->doors.next; node != &entrance->doors; node = node->next) {
        struct door *door = container_of(node, struct door, node);
        if (!door->is_new) listener_resume(door->listener);
    }
}

void entrance_accept_waiting(struct entrance *entrance) {
    for (struct list *node = entrance->doors.next; node != &entrance->doors; node = node->next)
        listener_accept_waiting(container_of(node, struct door, node)->listener);
}

void entrance_close(struct entrance *entrance) {
    while (!list_is_empty(&entrance->doors)) door_free(container_of(entrance->doors.next, struct door, node));
}

void entrance_free(struct entrance **entrance) {
    if (!*entrance) return;
    entrance_close(*entrance);
    free(*entrance);
    *entrance = NULL;
}
