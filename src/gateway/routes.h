/* gateway/routes.h - the `route` sections: paths of their own for methods. */
#ifndef TIDEWIRE_GATEWAY_ROUTES_H
#define TIDEWIRE_GATEWAY_ROUTES_H
#include <stdbool.h>

#include "config/config.h"
#include "rpc/router.h"
#include "schema/schema.h"

/* False and an error text when a path is no template, means what another means, or its method is not known. */
bool routes_check(const struct config *config, const struct schema *schema, struct error *error);
/* Of a config that was checked. */
void routes_add(struct router *router, const struct config *config);
#endif
