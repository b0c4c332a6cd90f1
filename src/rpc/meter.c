/* rpc/meter.c - see meter.h */
#include "rpc/meter.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "rpc/call_private.h"
#include "rpc/walk.h"

#define MESSAGE_TIME NS_PER_S /* for the rest of a message, before its call is ended within it */

/* ---- verdicts ---- */

__attribute__((format(printf, 4, 5))) static bool judge(struct meter_verdict *verdict, const struct limit *limit,
                                                        uint64_t retry, const char *format, ...) {
    va_list arguments;
    verdict->is_passed = true;
    verdict->limit = limit;
    verdict->retry = retry;
    int length = limit ? snprintf(verdict->text, sizeof verdict->text, "limit \"%s\": ", limit->config->name) : 0;
    va_start(arguments, format);
    length += vsnprintf(verdict->text + length, sizeof verdict->text - (size_t)length, format, arguments);
    va_end(arguments);
    if (retry && retry != RETRY_NEVER && (size_t)length < sizeof verdict->text)
        snprintf(verdict->text + length, sizeof verdict->text - (size_t)length, "; retry in %" PRIu32 " ms",
                 meter_pushback_ms(verdict));
    return false;
}

static double per_second(uint64_t rate) { return (double)rate / (double)RATE_ONE; }

uint32_t meter_pushback_ms(const struct meter_verdict *verdict) {
    uint64_t ms = verdict->retry / NS_PER_MS + (verdict->retry % NS_PER_MS != 0);
    return ms < INT32_MAX ? (uint32_t)ms : INT32_MAX;
}

/* ---- whose counts ---- */

static uint64_t now_of(const struct meter_request *request) { return loop_now(request->connection->rpc->loop); }

/* Of an address the part that one client cannot choose: an IPv4 address, the network of an IPv6 address. */
static size_t peer_key(const char *peer, char key[INET6_ADDRSTRLEN]) {
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct in6_addr address;
    const char *from = *peer == '[' ? peer + 1 : peer, *end = strrchr(peer, *peer == '[' ? ']' : ':');
    size_t length = end ? (size_t)(end - from) : strlen(from);
    if (length >= INET6_ADDRSTRLEN) length = INET6_ADDRSTRLEN - 1;
    memcpy(key, from, length);
    key[length] = '\0';
    char *zone = strchr(key, '%');
    if (zone) *zone = '\0';
    if (inet_pton(AF_INET6, key, &address) != 1) return length;
    if (!memcmp(&address, mapped, sizeof mapped))
        return inet_ntop(AF_INET, address.s6_addr + sizeof mapped, key, INET6_ADDRSTRLEN) ? strlen(key) : 0;
    key[0] = '/'; /* no address that is text begins so */
    memcpy(key + 1, &address, 8);
    return 9;
}

static struct text find_value(const struct meter_request *request, const char *name) {
    size_t length = strlen(name), place = 0;
    const struct metadata_entry *entry = request->metadata ? metadata_find(request->metadata, name, length, &place) : NULL;
    if (entry) return (struct text){entry->value, entry->value_length};
    const struct http_header *header = http_header_find(request->headers, request->header_count, name);
    return header ? (struct text){header->value, header->value_length} : (struct text){"", 0};
}

static struct limit_entry *entry_of_connection(struct rpc_connection *connection, const struct limit *limit) {
    for (size_t i = 0; i < connection->entry_count; i++)
        if (connection->entries[i]->table == limit->table) return connection->entries[i];
    connection->entries =
        memory_resize(connection->entries, (connection->entry_count + 1) * sizeof(struct limit_entry *));
    return connection->entries[connection->entry_count++] = limit_table_open_alone(limit->table);
}

static struct limit_entry *entry_of(const struct meter_request *request, const struct limit *limit, const char *owner) {
    char key[INET6_ADDRSTRLEN];
    struct text value;
    size_t keys = limit->config->keys;
    switch (limit->config->per) {
    case LIMIT_PER_STREAM:
        break;
    case LIMIT_PER_CONNECTION:
        return entry_of_connection(request->connection, limit);
    case LIMIT_PER_SERVICE:
        return limit_table_open(limit->table, SIZE_MAX, owner, strlen(owner), now_of(request));
    case LIMIT_PER_PEER:
        return limit_table_open(limit->table, keys, key, peer_key(rpc_connection_peer(request->connection), key),
                                now_of(request));
    case LIMIT_PER_METADATA:
        value = find_value(request, limit->config->metadata);
        return limit_table_open(limit->table, keys, value.data, value.length, now_of(request));
    }
    return NULL;
}

/* A connection keeps its entries as long as it is. */
static void part_close(struct meter_part *part) {
    if (part->entry && !part->entry->is_alone) limit_entry_close(&part->entry);
}

/* ---- opening ---- */

static bool open_part(const struct meter_request *request, struct meter_part *part, struct meter_verdict *verdict) {
    const struct limit *limit = part->limit;
    struct limit_counts *counts = part->counts;
    uint64_t most = limit->config->streams;
    if (atomic_fetch_add(&counts->open, 1) >= most && most)
        return judge(verdict, limit, NS_PER_S, "%" PRIu64 " streams are open", most);
    uint64_t wait = limit->streams.interval > 0
                        ? pace_take(&limit->streams, &counts->streams, limit->is_shared, 1, 1, now_of(request))
                        : 0;
    return !wait || judge(verdict, limit, wait, "more than %g streams a second",
                          per_second(limit->config->streams_per_second));
}

static bool has_part(const struct meter *meter, const struct limit *limit, const struct limit_entry *entry) {
    for (size_t i = 0; i < meter->count; i++)
        if (meter->parts[i].limit == limit && meter->parts[i].entry == entry) return true;
    return false;
}

/* A limit that the service and the listener name, both, counts once, unless it counts for each of them alone. */
static void take_parts(const struct meter_request *request, const struct limit_set *set, struct meter *meter) {
    for (size_t i = 0; set && i < set->count; i++) {
        struct meter_part *part = &meter->parts[meter->count];
        part->limit = set->limits[i];
        part->entry = entry_of(request, part->limit, set->owner);
        if (has_part(meter, part->limit, part->entry)) {
            part_close(part);
            continue;
        }
        meter->count++;
        part->counts = part->entry ? &part->entry->counts : &part->own;
        for (int way = 0; way < WAYS; way++)
            meter->lanes[way].is_limited |=
                part->limit->is_of[way] && (part->limit->messages.interval > 0 || part->limit->bytes.interval > 0 ||
                                            part->limit->config->messages);
    }
}

static void take_times(struct meter *meter) {
    for (size_t i = 0; i < meter->count; i++) {
        const struct limit *limit = meter->parts[i].limit;
        uint64_t idle = limit->config->idle, age = limit->config->age;
        if (idle && (!meter->idle || idle < meter->idle)) meter->idle = idle, meter->of_idle = limit;
        if (age && (!meter->age || age < meter->age)) meter->age = age, meter->of_age = limit;
    }
}

static void close_parts(struct meter *meter, size_t opened) {
    for (size_t i = 0; i < meter->count; i++) {
        if (i < opened) atomic_fetch_sub(&meter->parts[i].counts->open, 1);
        part_close(&meter->parts[i]);
    }
}

/* NULL where nothing is limited. */
static struct meter *make(const struct meter_request *request) {
    size_t count = 0;
    for (int i = 0; i < 2; i++) count += request->sets[i] ? request->sets[i]->count : 0;
    if (!count && !request->most) return NULL;
    struct meter *made = memory_new(sizeof *made + count * sizeof *made->parts);
    for (int i = 0; i < 2; i++) take_parts(request, request->sets[i], made);
    take_times(made);
    made->most = request->most;
    return made;
}

bool meter_open(const struct meter_request *request, struct meter **meter, struct meter_verdict *verdict) {
    struct meter *made = make(request);
    *meter = NULL;
    for (size_t i = 0; made && i < made->count; i++) {
        if (open_part(request, &made->parts[i], verdict)) continue;
        limit_table_count(verdict->limit->table, LIMIT_REFUSED);
        close_parts(made, i + 1);
        free(made);
        return false;
    }
    *meter = made;
    return true;
}

/* ---- time ---- */

static uint64_t earlier(uint64_t a, uint64_t b) { return a < b ? a : b; }

static void arm(struct meter *meter) {
    struct loop *loop = meter->call->call.rpc->loop;
    uint64_t next = UINT64_MAX;
    if (meter->is_ending) return; /* the timer has that to do */
    for (int way = 0; way < WAYS; way++)
        if (meter->lanes[way].is_waiting) next = earlier(next, meter->lanes[way].due);
    if (meter->idle) next = earlier(next, meter->moved + meter->idle);
    if (meter->age) next = earlier(next, meter->call->call.opened + meter->age);
    if (meter->verdict.is_passed) next = UINT64_MAX;
    if (next == UINT64_MAX)
        timer_stop(loop, &meter->timer);
    else if (!timer_is_running(&meter->timer) || meter->timer.due != next)
        timer_start(loop, &meter->timer, next);
}

static void note_end(struct rpc_call *call) {
    struct meter *meter = call->meter;
    if (meter->verdict.limit) limit_table_count(meter->verdict.limit->table, LIMIT_ENDED);
    counter_add(&call->call.rpc->counters.limited, 1);
    timer_stop(call->call.rpc->loop, &meter->timer);
}

/* Behind a part of a message no status is right. It gets its time; then HTTP's error means the same. */
static void end_behind_message(struct rpc_call *call) {
    struct meter *meter = call->meter;
    struct loop *loop = call->call.rpc->loop;
    if (meter->is_ending) return;
    meter->is_ending = true;
    timer_start(loop, &meter->timer, loop_now(loop) + MESSAGE_TIME);
}

static void cut(struct rpc_call *call) {
    note_end(call);
    if (call->stream) http_stream_reset(call->stream, HTTP_ENHANCE_YOUR_CALM);
    call_end(call, STATUS_RESOURCE_EXHAUSTED, REASON_LIMIT, call->meter->verdict.text);
}

void meter_end(struct rpc_call *call) {
    struct meter *meter = call->meter;
    uint8_t details[METER_DETAILS_MOST];
    if (walk_is_within(meter, WAY_OUT)) {
        end_behind_message(call);
        return;
    }
    size_t length = meter_write_details(&meter->verdict, details);
    note_end(call);
    call_finish_for(call, STATUS_RESOURCE_EXHAUSTED, REASON_LIMIT, meter->verdict.text, details, length);
}

static void release(struct meter *meter, enum limit_way way) {
    struct rpc_call *call = meter->call;
    meter->lanes[way].is_waiting = false;
    if (call->is_raw)
        walk_release(call, way);
    else
        call_wake(call, way == WAY_IN ? NEWS_READABLE : NEWS_WRITABLE);
}

/* What has come and waits for its handler, or for us, is no silence of the client's. */
static bool has_waiting(const struct meter *meter) {
    return meter->call->inbound.whole || meter->lanes[WAY_IN].is_waiting || meter->lanes[WAY_OUT].is_waiting;
}

static void look_at_clock(struct meter *meter, uint64_t now) {
    if (meter->idle && has_waiting(meter)) meter->moved = now;
    if (meter->age && now >= meter->call->call.opened + meter->age)
        judge(&meter->verdict, meter->of_age, 0, "the stream has been open for %g s",
              (double)meter->age / (double)NS_PER_S);
    else if (meter->idle && now >= meter->moved + meter->idle)
        judge(&meter->verdict, meter->of_idle, 0, "no message for %g s", (double)meter->idle / (double)NS_PER_S);
    else
        return;
    meter_end(meter->call);
}

static void fire(struct timer *timer) {
    struct meter *meter = container_of(timer, struct meter, timer);
    uint64_t now = loop_now(meter->call->call.rpc->loop);
    if (meter->call->state > CALL_OPEN) return;
    if (meter->is_ending) {
        cut(meter->call);
        return;
    }
    look_at_clock(meter, now);
    for (int way = 0; way < WAYS && !meter->verdict.is_passed; way++)
        if (meter->lanes[way].is_waiting && meter->lanes[way].due <= now) release(meter, (enum limit_way)way);
    if (meter->call->state <= CALL_OPEN) arm(meter);
}

void meter_begin(struct rpc_call *call, struct meter *meter) {
    call->meter = meter;
    if (!meter) return;
    meter->call = call;
    meter->moved = call->call.opened;
    timer_init(&meter->timer, fire);
    bool can_end = meter->idle || meter->age || meter->most || meter_counts(meter, WAY_IN) || meter_counts(meter, WAY_OUT);
    if (call->is_raw && can_end) walk_begin(meter);
    if (meter->idle || meter->age) arm(meter);
}

void meter_stop(struct rpc_call *call) {
    if (!call->meter) return;
    timer_stop(call->call.rpc->loop, &call->meter->timer);
    walk_end(call->meter);
}

void meter_close(struct rpc_call *call) {
    struct meter *meter = call->meter;
    if (!meter) return;
    meter_stop(call);
    for (int way = 0; way < WAYS; way++) meter_give_back(call, (enum limit_way)way);
    close_parts(meter, meter->count);
    free(meter);
    call->meter = NULL;
}

/* ---- another config's limits for a call that is open ---- */

static void copy_bucket(struct bucket *to, struct bucket *from) {
    atomic_store_explicit(&to->full_at, atomic_load(&from->full_at), memory_order_relaxed);
}

/* What a limit that counts for the call alone has counted is the call's, as what others count is their table's. */
static void take_counts(struct meter_part *part, struct meter *before) {
    for (size_t i = 0; before && !part->entry && i < before->count; i++) {
        struct limit_counts *from = before->parts[i].counts;
        if (before->parts[i].limit->table != part->limit->table) continue;
        for (int way = 0; way < WAYS; way++) {
            copy_bucket(&part->counts->messages[way], &from->messages[way]);
            copy_bucket(&part->counts->bytes[way], &from->bytes[way]);
            atomic_store_explicit(&part->counts->total[way], atomic_load(&from->total[way]), memory_order_relaxed);
        }
    }
}

void meter_move(struct rpc_call *call, const struct meter_request *request) {
    struct meter *before = call->meter, *made = make(request);
    bool was_waiting[WAYS] = {meter_is_waiting(before, WAY_IN), meter_is_waiting(before, WAY_OUT)};
    bool is_paid[WAYS] = {before && before->lanes[WAY_IN].is_paid, before && before->lanes[WAY_OUT].is_paid};
    uint64_t moved = before ? before->moved : loop_now(call->call.rpc->loop), delayed = before ? before->delayed : 0;
    for (size_t i = 0; made && i < made->count; i++) {
        atomic_fetch_add(&made->parts[i].counts->open, 1); /* it is open already: nothing is asked */
        take_counts(&made->parts[i], before);
    }
    meter_close(call);
    meter_begin(call, made);
    if (made) {
        made->moved = moved;
        made->delayed = delayed;
        for (int way = 0; way < WAYS; way++) made->lanes[way].is_paid = is_paid[way];
        if (made->idle || made->age) arm(made);
    }
    if (was_waiting[WAY_IN]) call_wake(call, NEWS_READABLE);
    if (was_waiting[WAY_OUT]) call_wake(call, NEWS_WRITABLE);
}

/* ---- messages ---- */

static bool has_rate(const struct meter_part *part, enum limit_way way, int action) {
    return part->limit->is_of[way] && (int)part->limit->config->action == action;
}

/* The counts that do not wait. */
static bool pay_part(struct meter *meter, struct meter_part *part, enum limit_way way, uint64_t wanted, uint64_t bytes,
                     uint64_t now) {
    const struct limit *limit = part->limit;
    const struct config_limit *config = limit->config;
    struct limit_counts *counts = part->counts;
    uint64_t wait = 0;
    if (config->messages && limit->is_of[way] && atomic_fetch_add(&counts->total[way], 1) >= config->messages)
        return judge(&meter->verdict, limit, config->per == LIMIT_PER_STREAM ? 0 : RETRY_NEVER,
                     "more than %" PRIu64 " messages", config->messages);
    if (!has_rate(part, way, LIMIT_HARD)) return true;
    if (limit->messages.interval > 0)
        wait = pace_take(&limit->messages, &counts->messages[way], limit->is_shared, 1, 1, now);
    if (wait)
        return judge(&meter->verdict, limit, wait, "more than %g messages a second",
                     per_second(config->messages_per_second));
    if (limit->bytes.interval > 0)
        wait = pace_take(&limit->bytes, &counts->bytes[way], limit->is_shared, wanted, bytes, now);
    return !wait ||
           judge(&meter->verdict, limit, wait, "more than %" PRIu64 " bytes a second", config->bytes_per_second);
}

static bool pay(struct meter *meter, enum limit_way way, uint64_t wanted, uint64_t bytes, uint64_t now) {
    struct meter_lane *lane = &meter->lanes[way];
    for (size_t i = 0; i < meter->count && !lane->is_paid; i++)
        if (!pay_part(meter, &meter->parts[i], way, wanted, bytes, now)) return false;
    lane->is_paid = true;
    return true;
}

static void note_delay(struct meter *meter, const struct limit *limit) {
    limit_table_count(limit->table, LIMIT_DELAYED);
    if (!meter->delayed++)
        log_info(&meter->call->call.log, "limit \"%s\" delays messages of this stream", limit->config->name);
}

static void reserve(struct meter *meter, enum limit_way way, uint64_t wanted, uint64_t bytes, uint64_t now) {
    struct meter_lane *lane = &meter->lanes[way];
    const struct limit *longest = NULL;
    uint64_t wait = 0;
    for (size_t i = 0; i < meter->count; i++) {
        struct meter_part *part = &meter->parts[i];
        const struct limit *limit = part->limit;
        uint64_t messages = 0, volume = 0;
        if (!has_rate(part, way, LIMIT_SOFT)) continue;
        if (limit->messages.interval > 0)
            messages = pace_reserve(&limit->messages, &part->counts->messages[way], limit->is_shared, 1, 1, now);
        if (limit->bytes.interval > 0)
            volume = pace_reserve(&limit->bytes, &part->counts->bytes[way], limit->is_shared, wanted, bytes, now);
        if (messages > wait) wait = messages, longest = limit;
        if (volume > wait) wait = volume, longest = limit;
    }
    lane->is_reserved = true;
    lane->bytes = bytes;
    lane->due = now + wait;
    if (longest) note_delay(meter, longest);
}

static bool wait_for_due(struct meter *meter, enum limit_way way, uint64_t now) {
    struct meter_lane *lane = &meter->lanes[way];
    if (lane->due <= now) return false;
    if (!lane->is_waiting) {
        lane->is_waiting = true;
        arm(meter);
    }
    return true;
}

/* Calls that are taken apart are told by those who do that (rpc/inbound.c). */
static bool is_small(struct meter *meter, uint64_t bytes) {
    uint64_t length = bytes - MESSAGE_PREFIX;
    return !meter->most || length <= meter->most ||
           judge(&meter->verdict, NULL, RETRY_NEVER, "message larger than max (%" PRIu64 " vs. %" PRIu64 ")", length,
                 meter->most);
}

enum admission meter_admits(struct rpc_call *call, enum limit_way way, uint64_t bytes) {
    struct meter *meter = call->meter;
    struct meter_lane *lane = &meter->lanes[way];
    if (meter->verdict.is_passed || !is_small(meter, bytes)) return ENDED;
    if (!lane->is_limited) return ADMITTED;
    uint64_t now = loop_now(call->call.rpc->loop);
    if (!pay(meter, way, bytes, bytes, now)) return ENDED;
    if (!lane->is_reserved) reserve(meter, way, bytes, bytes, now);
    return wait_for_due(meter, way, now) ? WAITS : ADMITTED;
}

void meter_passes(struct meter *meter, enum limit_way way) {
    struct meter_lane *lane = &meter->lanes[way];
    lane->is_paid = lane->is_reserved = lane->is_waiting = false;
}

void meter_touch(struct meter *meter) { meter->moved = loop_now(meter->call->call.rpc->loop); }

void meter_give_back(struct rpc_call *call, enum limit_way way) {
    struct meter *meter = call->meter;
    struct meter_lane *lane = &meter->lanes[way];
    if (!lane->is_reserved) return;
    lane->is_reserved = lane->is_waiting = false;
    for (size_t i = 0; i < meter->count; i++) {
        struct meter_part *part = &meter->parts[i];
        if (!has_rate(part, way, LIMIT_SOFT)) continue;
        if (part->limit->messages.interval > 0) pace_give_back(&part->limit->messages, &part->counts->messages[way], 1);
        if (part->limit->bytes.interval > 0) pace_give_back(&part->limit->bytes, &part->counts->bytes[way], lane->bytes);
    }
}

/* ---- what the handler sends ---- */

static bool lacks(const struct meter *meter, enum limit_way way, uint64_t now) {
    for (size_t i = 0; i < meter->count; i++) {
        const struct meter_part *part = &meter->parts[i];
        const struct limit *limit = part->limit;
        if (!has_rate(part, way, LIMIT_SOFT)) continue;
        if (limit->messages.interval > 0 && pace_wait(&limit->messages, &part->counts->messages[way], 1, now)) return true;
        if (limit->bytes.interval > 0 && pace_wait(&limit->bytes, &part->counts->bytes[way], 1, now)) return true;
    }
    return false;
}

bool meter_is_full(struct rpc_call *call) {
    struct meter *meter = call->meter;
    struct meter_lane *lane = &meter->lanes[WAY_OUT];
    if (!lane->is_limited || meter->verdict.is_passed) return false;
    uint64_t now = loop_now(call->call.rpc->loop);
    if (!lane->is_reserved) {
        if (!lacks(meter, WAY_OUT, now)) return false;
        reserve(meter, WAY_OUT, 1, 0, now);
    }
    return wait_for_due(meter, WAY_OUT, now);
}

bool meter_may_send(struct rpc_call *call) {
    struct meter *meter = call->meter;
    if (meter->verdict.is_passed) return false;
    if (!meter->lanes[WAY_OUT].is_limited || pay(meter, WAY_OUT, 1, 0, loop_now(call->call.rpc->loop))) return true;
    meter_end(call);
    return false;
}

/* Whoever sends without asking for room owes the tokens, too. */
void meter_sent(struct rpc_call *call, uint64_t bytes) {
    struct meter *meter = call->meter;
    struct meter_lane *lane = &meter->lanes[WAY_OUT];
    uint64_t now = loop_now(call->call.rpc->loop);
    for (size_t i = 0; lane->is_limited && i < meter->count; i++) {
        struct meter_part *part = &meter->parts[i];
        const struct limit *limit = part->limit;
        if (!limit->is_of[WAY_OUT]) continue;
        if (limit->messages.interval > 0 && limit->config->action == LIMIT_SOFT && !lane->is_reserved)
            pace_reserve(&limit->messages, &part->counts->messages[WAY_OUT], limit->is_shared, 1, 1, now);
        if (limit->bytes.interval > 0)
            pace_reserve(&limit->bytes, &part->counts->bytes[WAY_OUT], limit->is_shared, 1, bytes, now);
    }
    meter_moved(meter, WAY_OUT);
}
