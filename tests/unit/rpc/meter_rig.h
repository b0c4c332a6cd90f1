/* meter_rig.h - named limits without a config file, for the tests of rpc/. */
#ifndef TIDEWIRE_TESTS_RPC_METER_RIG_H
#define TIDEWIRE_TESTS_RPC_METER_RIG_H
#include "config/config.h"
#include "limit/book.h"
#include "rpc/router.h"

enum { METERED_MOST = 4 };
#define PER_SECOND(rate) ((uint64_t)((rate) * RATE_ONE))

/* What config/ would have made of `limit` sections that one service names. */
static struct metered {
    struct config_limit limits[METERED_MOST];
    const struct config_limit *named[METERED_MOST + 1];
    struct config config;
    struct limit_book *book;
} metered;

/* Of a limit, config/ fills in what the file leaves out. */
static inline struct config_limit metered_complete(struct config_limit limit) {
    static const char *const scopes[] = {"stream", "connection", "service", "peer", "metadata x-user"};
    limit.scope = (char *)(uintptr_t)scopes[limit.per];
    if (limit.per == LIMIT_PER_METADATA) limit.metadata = "x-user";
    if (!limit.name) limit.name = (char *)(uintptr_t)"strict";
    if (!limit.keys) limit.keys = 100;
    if (limit.messages_per_second && !limit.messages_burst) limit.messages_burst = 1;
    if (limit.bytes_per_second && !limit.bytes_burst) limit.bytes_burst = limit.bytes_per_second;
    if (limit.streams_per_second && !limit.streams_burst) limit.streams_burst = 1;
    return limit;
}

/* The book goes on with what `before` has counted. */
static inline struct limit_book *metered_open(const struct config_limit *limits, size_t count,
                                              const struct limit_book *before) {
    memset(metered.named, 0, sizeof metered.named);
    for (size_t i = 0; i < count; i++) {
        metered.limits[i] = metered_complete(limits[i]);
        metered.named[i] = &metered.limits[i];
    }
    metered.config.named_limits = metered.limits;
    metered.config.named_limit_count = count;
    metered.book = limit_book_new(&metered.config, before);
    return metered.book;
}

static inline struct limit_table *metered_table(size_t index) { return limit_book_at(metered.book, index)->table; }
#endif
