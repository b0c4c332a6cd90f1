/* fake.h - one worker's topics without a network. The call layer is a fake: a call has room for a number of messages and
 * notes what it was sent. Include it in one test program's only file. */
#ifndef TIDEWIRE_TESTS_FANOUT_FAKE_H
#define TIDEWIRE_TESTS_FANOUT_FAKE_H
#include "base/clock.h"
#include "check.h"
#include "fanout/topic.h"
#include "fanout/topic_private.h"
#include "net/loop.h"
#include "rpc/call.h"

struct fake {
    struct call call;
    int room;
    char got[16384];
    enum status finished;
    int connection;
    bool takes_no_runs;
    int runs, flushes; /* messages in runs; how often its connection was written at once */
    int approached;    /* steps, in their order, before its first run */
};

bool call_is_full(struct call *call) { return ((const struct fake *)call)->room <= 0; }
static inline void fake_ask_source(struct call *call) {
    if (call->source) call->source->give(call->source);
}
static inline void fake_get(struct fake *fake, const void *text, size_t length) {
    size_t used = strlen(fake->got);
    snprintf(fake->got + used, sizeof fake->got - used, "%.*s ", (int)length, (const char *)text);
}
bool call_send(struct call *call, struct message *message) {
    struct fake *fake = (struct fake *)call;
    fake_ask_source(call);
    fake->room--;
    fake_get(fake, message->data, message->length);
    return true;
}
bool call_send_run(struct call *call, struct message *run, size_t from, size_t to, uint32_t count) {
    struct fake *fake = (struct fake *)call;
    if (fake->room < (int)count) return false;
    fake->room -= (int)count;
    fake->runs += (int)count;
    const uint8_t *at = run->data + from, *end = run->data + to;
    CHECK(to <= run->length);
    for (; count; count--) {
        size_t length = (size_t)at[1] << 24 | (size_t)at[2] << 16 | (size_t)at[3] << 8 | at[4];
        fake_get(fake, at + MESSAGE_PREFIX, length);
        at += MESSAGE_PREFIX + length;
    }
    CHECK(at == end);
    return true;
}
bool call_takes_runs(const struct call *call) { return !((const struct fake *)call)->takes_no_runs; }
void call_flush(struct call *call) { ((struct fake *)call)->flushes++; }
void call_approach(const struct call *call, int step) {
    struct fake *fake = (struct fake *)(uintptr_t)call;
    if (fake->approached == step && !fake->runs) fake->approached++;
}
bool call_shares_connection(const struct call *call, const struct call *other) {
    return ((const struct fake *)call)->connection == ((const struct fake *)other)->connection;
}
void call_finish(struct call *call, enum status status, const char *text, const void *details, size_t length) {
    (void)text, (void)details, (void)length;
    ((struct fake *)call)->finished = status;
}

struct one {
    struct loop *loop;
    struct topic_registry *registry;
    struct topics *topics;
};

static inline struct one setup(uint64_t most) {
    struct one one = {.loop = loop_new(), .registry = topic_registry_new(1, most)};
    one.topics = topics_new(one.registry, 0, one.loop);
    return one;
}
static inline void teardown(struct one *one) {
    loop_turn(one->loop);
    topics_free(&one->topics);
    topic_registry_free(&one->registry);
    loop_free(&one->loop);
}

/* One worker's side of two, each with a loop of its own. */
struct pair {
    struct loop *loops[2];
    struct topic_registry *registry;
    struct topics *sides[2];
};

static inline struct pair setup_pair(void) {
    struct pair pair = {.registry = topic_registry_new(2, 0)};
    for (uint32_t i = 0; i < 2; i++) {
        pair.loops[i] = loop_new();
        pair.sides[i] = topics_new(pair.registry, i, pair.loops[i]);
    }
    return pair;
}
static inline void turn_pair(struct pair *pair) {
    for (int i = 0; i < 4; i++) loop_turn(pair->loops[i % 2]);
}
static inline void teardown_pair(struct pair *pair) {
    turn_pair(pair);
    for (int i = 0; i < 2; i++) topics_free(&pair->sides[i]);
    topic_registry_free(&pair->registry);
    for (int i = 0; i < 2; i++) loop_free(&pair->loops[i]);
}
#endif
