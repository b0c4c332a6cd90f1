/* gateway/routes.h - paths of their own for methods: the `route` sections, and the option google.api.http of
 * methods whose services the config has, and that no section names. */
#ifndef TIDEWIRE_GATEWAY_ROUTES_H
#define TIDEWIRE_GATEWAY_ROUTES_H
#include <stdbool.h>

#include "config/config.h"
#include "rpc/router.h"
#include "schema/schema.h"

/* False and an error text when a path is no template, means what another means, or its method or a field is not known. */
bool routes_check(const struct config *config, const struct schema *schema, struct error *error);
/* Of a config that was checked. */
void routes_add(struct router *router, const struct config *config, const struct schema *schema);
#endif
