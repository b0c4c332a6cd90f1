/* rpc/router_private.h - how a call holds on to the router that it was found in. */
#ifndef TIDEWIRE_RPC_ROUTER_PRIVATE_H
#define TIDEWIRE_RPC_ROUTER_PRIVATE_H
#include "rpc/router.h"

void router_call_opened(const struct call_route *route);
/* May tell the router's on_idle, and with it free the router and the route. */
void router_call_closed(const struct call_route *route);
#endif
