/* admin/health.h - grpc.health.v1.Health (grpc/grpc-proto: grpc/health/v1/health.proto; doc/health-checking.md).
 *
 * The statuses belong to the process; each worker has a side that answers Check, Watch and List and tells its
 * watchers of changes that any thread makes. A watcher that reads slowly misses what was true only for a while, and
 * has the newest status last; a drain ends its call UNAVAILABLE after NOT_SERVING. */
#ifndef TIDEWIRE_ADMIN_HEALTH_H
#define TIDEWIRE_ADMIN_HEALTH_H
#include <stdbool.h>
#include <stdint.h>

struct loop;
struct router;
struct health;
struct health_worker;

/* The whole server ("") is SERVING; nothing else is known. */
struct health *health_new(void);
/* After the last health_worker. */
void health_free(struct health **health);
/* Any thread. An unknown service becomes known. Nothing after health_shut_down(). */
void health_set(struct health *health, const char *service, bool is_serving);
/* Any thread: of the whole server. */
bool health_is_serving(struct health *health);
/* Any thread: the services of the config in force. Those that are new become SERVING, those that are gone are
 * forgotten (their watchers get SERVICE_UNKNOWN); what scripts have set stays. `services` is ended by NULL. */
void health_set_services(struct health *health, const char *const *services);
/* Any thread: everything NOT_SERVING from now on. */
void health_shut_down(struct health *health);

/* Before the worker's thread runs, and after it has ended. */
struct health_worker *health_worker_new(struct health *health, struct loop *loop);
void health_worker_free(struct health_worker **worker);
/* In the worker's thread. */
void health_add_routes(struct health_worker *worker, struct router *router);
#endif
