/* upstream/health.c - asks targets for their health: grpc.health.v1.Health/Check, again and again. */
#include <stdlib.h>
#include <string.h>

#include "http/stream.h"
#include "upstream/upstream_private.h"

struct health_check {
    struct target *target; /* NULL: it is not wanted any more, and goes with its call */
    struct call *call;     /* that is under way, or NULL */
    struct timer timer;
    bool is_serving;
};

static const struct method check_method = {.name = "Check", .full_name = "grpc.health.v1.Health/Check"};
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
        free(health);
        return;
    }
    ask_later(health);
    target_checked(health->target, status == STATUS_OK ? health->is_serving : status == STATUS_UNIMPLEMENTED);
}

static const struct call_handler handler = {.on_readable = on_readable, .on_close = on_close};

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

static void ask(struct timer *timer) {
    struct health_check *health = container_of(timer, struct health_check, timer);
    const struct config_health_check *config = health->target->upstream->config->health;
    const struct upstream_request request = {.call = {.method = &check_method,
                                                      .timeout = config->timeout,
                                                      .handler = &handler,
                                                      .data = health,
                                                      .limits = &limits}};
    health->is_serving = false;
    health->call = opening_start_on(health->target, &request);
    send_request(health->call, config->service);
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
    if (health->call)
        call_reset(health->call, HTTP_CANCEL);
    else
        free(health);
}
