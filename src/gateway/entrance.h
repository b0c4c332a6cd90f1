/* gateway/entrance.h - the listeners that a config names, and how they change at a reload.
 *
 * A reload opens what is new before the config is taken, so that a busy port refuses the reload, and closes what is
 * gone only after that. Listeners that both configs name keep their socket; TLS, CORS, mode, backlog
 * and proxy_from become those of the new config. */
#ifndef TIDEWIRE_GATEWAY_ENTRANCE_H
#define TIDEWIRE_GATEWAY_ENTRANCE_H
#include <stdbool.h>

#include "base/error.h"
#include "config/config.h"
#include "net/tls.h"

struct entrance;
struct loop;
struct rpc_accepted;

/* What is counted in it are new references. */
typedef void entrance_accept_fn(void *context, const struct rpc_accepted *accepted);

struct entrance *entrance_new(struct loop *loop, entrance_accept_fn *on_accept, void *context);
void entrance_free(struct entrance **entrance); /* closes what is open */
/* Opens sockets and reads certificates as the config asks, beside what is in force; nothing is accepted on the new
 * ones yet. The config must live until commit or discard. False and an error text on any fault, and then nothing has
 * changed. */
bool entrance_prepare(struct entrance *entrance, const struct config *config, struct error *error);
/* What was prepared is in force; logs `listening on ADDRESS` for each socket that is new. */
void entrance_commit(struct entrance *entrance);
void entrance_discard(struct entrance *entrance);
/* Accepts what waits at the listeners: clients that were in time. */
void entrance_accept_waiting(struct entrance *entrance);
/* Closes every listener. */
void entrance_close(struct entrance *entrance);
#endif
