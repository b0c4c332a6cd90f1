/* upstream/health.c - asks targets for their health: grpc.health.v1.Health/Check, again and again, which a server that
 * hangs does not answer; and beside it a Watch, which tells of a change at once. */
#include <stdlib.h>
#include <string.h>

#include "http/stream.h"
#include "upstream/upstream_private.h"

struct health_check {
    struct target *target; /* NULL: it is not wanted any more, and goes with its call */
    struct call *call;     /* the check that is under way, or NULL */
    struct call *watch;    /* or NULL */
    struct timer timer;
    bool is_serving;
    bool has_declined;     /* by the watch */
    bool has_no_watch;     /* the server does not know it */
};

static const struct method check_method = {.name = "Check", .full_name = "grpc.health.v1.Health/Check"};
static const struct method watch_method = {
    .name = "Watch", .full_name = "grpc.health.v1.Health/Watch", .is_server_streaming = true};
static const struct call_limits limits = {.message = 4096, .buffered_per_stream = 4096};

/* HealthCheckResponse has one field, a small enum: 1 is SERVING. */
static bool reads_serving(const struct call_message *message) {
    return message->length >= 2 && message->data[0] == 0x08 && message->data[1] == 1;
}

static void on_readable(struct call *call) {
    struct health_check *health = call->data;
    struct call_message message;
    while (call_receive(call, &message) == CALL_MESSAGE) health->is_serving = reads_serving(&message);
}

static void free_if_over(struct health_check *health) {
    if (!health->target && !health->call && !health->watch) free(health);
}

/* HealthCheckRequest: field 1 is the name of the service. */
static void send_request(struct call *call, const char *service) {
    enum { MOST = 127 }; /* a length of one byte */
    uint8_t bytes[2 + MOST];
    size_t length = service ? strlen(service) : 0;
    if (length > MOST) length = MOST;
    bytes[0] = 0x0a;
    bytes[1] = (uint8_t)length;
    if (length) memcpy(bytes + 2, service, length);
    call_send_bytes(call, bytes, length ? 2 + length : 0);
    call_half_close(call);
}

static struct call *call_target(struct health_check *health, const struct method *method,
                                const struct call_handler *handler, uint64_t timeout) {
    const struct upstream_request request = {
        .call = {.method = method, .timeout = timeout, .handler = handler, .data = health, .limits = &limits}};
    struct call *call = opening_start_on(health->target, &request);
    send_request(call, health->target->upstream->config->health->service);
    return call;
}

/* ---- the watch ---- */

/* That it serves, it says also at the beginning: only behind the contrary it is news. */
static void told(struct health_check *health, bool is_serving) {
    if (!is_serving) target_declined(health->target);
    else if (health->has_declined) target_checked(health->target, true);
    health->has_declined = !is_serving;
}

static void watch_readable(struct call *call) {
    struct health_check *health = call->data;
    struct call_message message;
    while (call_receive(call, &message) == CALL_MESSAGE)
        if (health->target) told(health, reads_serving(&message));
}

static void watch_closed(struct call *call, enum status status, const char *text) {
    struct health_check *health = call->data;
    (void)text;
    health->watch = NULL;
    health->has_no_watch |= status == STATUS_UNIMPLEMENTED;
    free_if_over(health);
}

static const struct call_handler watch_handler = {.on_readable = watch_readable, .on_close = watch_closed};

/* The target has just answered. */
static void keep_watching(struct health_check *health) {
    struct target *target = health->target;
    if (!target->upstream->config->health->watches || health->watch || health->has_no_watch) return;
    if (!target_has_room(target)) return;
    health->has_declined = false;
    health->watch = call_target(health, &watch_method, &watch_handler, 0);
}

void health_let_go(struct target *target) {
    if (target->health && target->health->watch) call_reset(target->health->watch, HTTP_CANCEL);
}

/* ---- the checks ---- */

static void ask_later(struct health_check *health) {
    const struct upstream *upstream = health->target->upstream;
    uint64_t wait = dice_spread(&upstream->all->dice, upstream->config->health->interval, 0.1);
    timer_start(upstream->all->loop, &health->timer, loop_now(upstream->all->loop) + wait);
}

static void on_close(struct call *call, enum status status, const char *text) {
    struct health_check *health = call->data;
    (void)text;
    health->call = NULL;
    if (!health->target) {
        free_if_over(health);
        return;
    }
    ask_later(health);
    target_checked(health->target, status == STATUS_OK ? health->is_serving : status == STATUS_UNIMPLEMENTED);
    if (status == STATUS_OK) keep_watching(health);
}

static const struct call_handler handler = {.on_readable = on_readable, .on_close = on_close};

static void ask(struct timer *timer) {
    struct health_check *health = container_of(timer, struct health_check, timer);
    health->is_serving = false;
    health->call = call_target(health, &check_method, &handler, health->target->upstream->config->health->timeout);
}

void health_start(struct target *target) {
    if (target->health) return;
    struct health_check *health = target->health = memory_new(sizeof *health);
    health->target = target;
    timer_init(&health->timer, ask);
    timer_start(target->upstream->all->loop, &health->timer, loop_now(target->upstream->all->loop));
}

void health_stop(struct target *target) {
    struct health_check *health = target->health;
    target->health = NULL;
    if (!health) return;
    timer_stop(target->upstream->all->loop, &health->timer);
    health->target = NULL;
    if (health->call) call_reset(health->call, HTTP_CANCEL);
    if (health->watch) call_reset(health->watch, HTTP_CANCEL);
    free_if_over(health); /* else with its last call */
}
