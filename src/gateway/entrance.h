/* gateway/entrance.h - the listeners that a config names, and how they change at a reload: those of its `listen` sections,
 * or those of its `admin` sections.
 *
 * A reload opens what is new before the config is taken, so that a busy port refuses the reload, and closes what is
 * gone only after that. Listeners that both configs name keep their socket; TLS, CORS, mode, backlog
 * and proxy_from become those of the new config. */
#ifndef TIDEWIRE_GATEWAY_ENTRANCE_H
#define TIDEWIRE_GATEWAY_ENTRANCE_H
#include <stdbool.h>

#include "base/counter.h"
#include "base/error.h"
#include "config/config.h"
#include "net/tls.h"

struct entrance;
struct figures;
struct loop;
struct rpc_accepted;

/* What is counted in it are new references. */
typedef void entrance_accept_fn(void *context, const struct rpc_accepted *accepted);

/* `what` is what the log says of an address that it is. Connections are counted in `figures`, by address and `role`. */
struct entrance_options {
    const char *what, *role;
    struct figures *figures;
    entrance_accept_fn *on_accept;
    void *context;
};
struct entrance *entrance_new(struct loop *loop, const struct entrance_options *options);
void entrance_free(struct entrance **entrance); /* closes what is open */
/* Opens sockets and reads certificates as these sections of `file` ask, beside what is in force; nothing is accepted on the
 * new ones yet. They must live until commit or discard. False and an error text on any fault, and then nothing has
 * changed. */
bool entrance_prepare(struct entrance *entrance, const char *file, const struct config_listener *listeners, size_t count,
                      struct error *error);
/* What was prepared is in force; logs the address of each socket that is new. */
void entrance_commit(struct entrance *entrance);
void entrance_discard(struct entrance *entrance);
/* Nothing is accepted meanwhile, and waits. */
void entrance_pause(struct entrance *entrance);
void entrance_resume(struct entrance *entrance);
/* Accepts what waits at the listeners: clients that were in time. */
void entrance_accept_waiting(struct entrance *entrance);
/* Closes every listener. */
void entrance_close(struct entrance *entrance);

/* A row of those figures. `gone` is changed by any thread. */
struct door_counts {
    atomic_uint_least64_t accepted, gone;
};
enum { DOORS_MOST = 256 };
struct figures *doors_new(void);
#endif
