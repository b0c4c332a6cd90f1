/* upstream/pass.h - services that have an upstream and no script: their calls are passed on as they come (or, where
 * the client speaks another dialect than gRPC, message by message: upstream/relay.h). So are those of methods that the scripts before an upstream have no entry for. */
#ifndef TIDEWIRE_UPSTREAM_PASS_H
#define TIDEWIRE_UPSTREAM_PASS_H
#include "upstream/upstream.h"

struct router;

/* A pattern of the router for every such service of the config. The set must live as long as the router's last call.
 * The other services' names are taken too, so that a shorter pattern does not pass on what a script is to answer. */
void pass_add_routes(struct router *router, const struct config *config, const struct upstream_set *set);
/* The methods of a service with scripts and an upstream that are not added by themselves. After pass_add_routes(). */
void pass_add_rest(struct router *router, const struct config_service *service, const struct upstream_set *set);
#endif
