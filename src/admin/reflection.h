/* admin/reflection.h - grpc.reflection.v1 and v1alpha (grpc/grpc-proto: grpc/reflection/v1/reflection.proto) over a
 * loaded schema and the gateway's own services. */
#ifndef TIDEWIRE_ADMIN_REFLECTION_H
#define TIDEWIRE_ADMIN_REFLECTION_H

struct router;
struct schema;

/* Lists every service of the schema that the router has routes for, and the gateway's own. The schema must outlive
 * the router. */
void reflection_add_routes(struct router *router, struct schema *schema);
#endif
