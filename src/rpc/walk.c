/* rpc/walk.c - see walk.h */
#include "rpc/walk.h"

#include <stdlib.h>

#include "rpc/call_private.h"
#include "rpc/meter.h"
#include "rpc/raw.h"

struct walk {
    uint64_t left;               /* of the message that passes */
    struct buffer held;          /* from the prefix of one that does not, or from a part of a prefix */
    struct kept_headers *trailers; /* of an end behind it */
    bool has_ended;
};

void walk_begin(struct meter *meter) {
    for (int way = 0; way < WAYS; way++) meter->lanes[way].walk = memory_new(sizeof(struct walk));
}

void walk_end(struct meter *meter) {
    for (int way = 0; way < WAYS; way++) {
        struct walk *walk = meter->lanes[way].walk;
        meter->lanes[way].walk = NULL;
        if (!walk) continue;
        account_discharge(meter->call, buffer_length(&walk->held));
        buffer_free(&walk->held);
        free(walk->trailers);
        free(walk);
    }
}

static struct rpc_call *sender(const struct meter *meter, enum limit_way way) {
    return way == WAY_IN ? meter->call : meter->call->partner;
}

static uint64_t framed_length(const uint8_t *prefix) {
    return MESSAGE_PREFIX + ((uint64_t)prefix[1] << 24 | (uint64_t)prefix[2] << 16 | (uint64_t)prefix[3] << 8 | prefix[4]);
}

/* How many of the bytes may pass. A prefix that is not whole waits for the rest of it. */
static size_t scan(struct meter *meter, enum limit_way way, const uint8_t *bytes, size_t length,
                   enum admission *admission) {
    struct walk *walk = meter->lanes[way].walk;
    size_t passed = 0;
    *admission = ADMITTED;
    for (;;) {
        size_t step = walk->left < length - passed ? (size_t)walk->left : length - passed;
        walk->left -= step;
        passed += step;
        if (step && !walk->left) meter_touch(meter);
        if (meter->is_ending && way == WAY_OUT && !walk->left) {
            *admission = ENDED;
            return passed;
        }
        if (walk->left || length - passed < MESSAGE_PREFIX) return passed;
        uint64_t framed = framed_length(bytes + passed);
        *admission = meter_admits(meter->call, way, framed);
        if (*admission != ADMITTED) return passed;
        meter_passes(meter, way);
        walk->left = framed;
    }
}

static void pass(struct meter *meter, enum limit_way way, const uint8_t *bytes, size_t length) {
    if (length) raw_pass(sender(meter, way), bytes, length);
}

void walk_receive(struct meter *meter, enum limit_way way, const uint8_t *bytes, size_t length) {
    struct walk *walk = meter->lanes[way].walk;
    enum admission admission;
    if (!walk) {
        pass(meter, way, bytes, length);
        return;
    }
    if (buffer_length(&walk->held)) {
        buffer_append(&walk->held, bytes, length);
        if (!meter_is_waiting(meter, way)) walk_release(meter->call, way);
        return;
    }
    size_t passed = scan(meter, way, bytes, length, &admission);
    pass(meter, way, bytes, passed);
    buffer_append(&walk->held, bytes + passed, length - passed);
    if (admission == ENDED) meter_end(meter->call);
}

/* The end that was held, behind what is left: a part of a prefix, which is the other end's to complain about. */
static void finish(struct meter *meter, enum limit_way way) {
    struct walk *walk = meter->lanes[way].walk;
    struct kept_headers *trailers = walk->trailers;
    walk->trailers = NULL;
    pass(meter, way, buffer_bytes(&walk->held), buffer_length(&walk->held));
    buffer_free(&walk->held);
    raw_end(sender(meter, way), trailers->fields, trailers->count);
    free(trailers);
}

void walk_release(struct rpc_call *server, enum limit_way way) {
    struct meter *meter = server->meter;
    struct walk *walk = meter->lanes[way].walk;
    enum admission admission;
    if (!walk || !server->partner) return;
    size_t passed = scan(meter, way, buffer_bytes(&walk->held), buffer_length(&walk->held), &admission);
    pass(meter, way, buffer_bytes(&walk->held), passed);
    buffer_take(&walk->held, passed);
    if (!buffer_length(&walk->held)) buffer_free(&walk->held);
    if (admission == ENDED)
        meter_end(server);
    else if (admission == ADMITTED && walk->has_ended)
        finish(meter, way);
}

bool walk_holds_end(struct meter *meter, enum limit_way way, const struct http_header *trailers, size_t count) {
    struct walk *walk = meter ? meter->lanes[way].walk : NULL;
    if (!walk || walk->has_ended) return false; /* told now */
    if (!meter_is_waiting(meter, way) && !(meter->is_ending && way == WAY_IN)) {
        pass(meter, way, buffer_bytes(&walk->held), buffer_length(&walk->held));
        buffer_free(&walk->held);
        return false;
    }
    walk->has_ended = true;
    walk->trailers = kept_headers_new(trailers, count);
    return true;
}

bool walk_is_within(const struct meter *meter, enum limit_way way) {
    return meter->lanes[way].walk && meter->lanes[way].walk->left;
}

bool walk_has_ended(const struct meter *meter, enum limit_way way) {
    return meter && meter->lanes[way].walk && meter->lanes[way].walk->has_ended;
}
