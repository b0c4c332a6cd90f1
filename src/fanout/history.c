/* fanout/history.c - see history.h */
#include "fanout/history.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "schema/wire.h"

enum { LEAST = 16, STAMP_ROOM = WIRE_LONGEST_TAG + WIRE_LONGEST_VARINT };

/* ---- parcels ---- */

struct parcel *parcel_new(const void *bytes, size_t length) {
    struct parcel *parcel = memory_new(sizeof *parcel + length + STAMP_ROOM);
    atomic_init(&parcel->references, 1);
    parcel->length = (uint32_t)length;
    memcpy(parcel->data, bytes, length);
    return parcel;
}

struct parcel *parcel_ref(struct parcel *parcel) {
    atomic_fetch_add_explicit(&parcel->references, 1, memory_order_relaxed);
    return parcel;
}

void parcel_unref(struct parcel **handle) {
    struct parcel *parcel = *handle;
    *handle = NULL;
    if (parcel && atomic_fetch_sub_explicit(&parcel->references, 1, memory_order_acq_rel) == 1) free(parcel);
}

/* A field that stands last wins over one of the same number before it. */
static void stamp(struct parcel *parcel, uint32_t tag) {
    uint8_t *at = wire_put_varint(parcel->data + parcel->length, tag);
    at = wire_put_varint(at, parcel->position);
    parcel->length = (uint32_t)(at - parcel->data);
}

/* ---- the rings ---- */

static size_t weight(const struct parcel *parcel) { return sizeof *parcel + parcel->length; }

static struct parcel **slot(const struct parcels *parcels, uint32_t nth) {
    return &parcels->ring[(parcels->head + nth) & (parcels->capacity - 1)];
}

static struct parcel *take(struct parcels *parcels) {
    struct parcel *oldest = *slot(parcels, 0);
    parcels->head = (parcels->head + 1) & (parcels->capacity - 1);
    parcels->count--;
    return oldest;
}

static void grow(struct parcels *parcels) {
    uint32_t capacity = parcels->capacity ? parcels->capacity * 2 : LEAST;
    struct parcel **ring = memory_new(capacity * sizeof *ring);
    for (uint32_t i = 0; i < parcels->count; i++) ring[i] = *slot(parcels, i);
    free(parcels->ring);
    parcels->ring = ring;
    parcels->capacity = capacity;
    parcels->head = 0;
}

static void push(struct parcels *parcels, struct parcel *parcel) {
    if (parcels->count == parcels->capacity) grow(parcels);
    parcels->count++;
    *slot(parcels, parcels->count - 1) = parcel_ref(parcel);
}

static void clear(struct parcels *parcels) {
    while (parcels->count) {
        struct parcel *parcel = take(parcels);
        parcel_unref(&parcel);
    }
    free(parcels->ring);
    *parcels = (struct parcels){0};
}

/* ---- histories ---- */

static void drop_oldest(struct history *history, struct history_account *account) {
    struct parcel *oldest = take(&history->kept);
    atomic_fetch_sub(&account->bytes, weight(oldest));
    history->floor = oldest->position;
    parcel_unref(&oldest);
}

struct history *history_new(void) {
    struct history *history = memory_new(sizeof *history);
    history->floor = history->last = clock_wall() / 1000;
    return history;
}

void history_restart(struct history *history, struct history_account *account, uint64_t position) {
    while (history->kept.count) drop_oldest(history, account);
    history->floor = history->last = position;
}

void history_free(struct history **handle, struct history_account *account) {
    struct history *history = *handle;
    *handle = NULL;
    if (!history) return;
    while (history->kept.count) drop_oldest(history, account);
    clear(&history->kept);
    clear(&history->held);
    free(history);
}

static bool is_too_old(const struct history *history, uint64_t now) {
    return history->ttl && (*slot(&history->kept, 0))->at + history->ttl <= now;
}

static bool is_too_much(struct history_account *account) {
    size_t most = atomic_load(&account->most);
    return most && atomic_load(&account->bytes) > most;
}

void history_trim(struct history *history, struct history_account *account, uint64_t now) {
    while (history->kept.count &&
           (history->kept.count > history->most || is_too_old(history, now) || is_too_much(account)))
        drop_oldest(history, account);
}

void history_set(struct history *history, struct history_account *account, uint32_t most, uint64_t ttl, uint64_t now) {
    history->most = most;
    history->ttl = ttl;
    history_trim(history, account, now);
}

void history_store(struct history *history, struct history_account *account, struct parcel *parcel, uint64_t position,
                   uint64_t age, uint64_t now) {
    history->last = parcel->position = position;
    parcel->order = ++history->order;
    parcel->at = age < now ? now - age : 0;
    if (history->stamp) stamp(parcel, history->stamp);
    if (history->kept.count && history->kept.count >= history->most) drop_oldest(history, account);
    push(&history->kept, parcel);
    atomic_fetch_add(&account->bytes, weight(parcel));
    bool is_dead = history->ttl && age >= history->ttl; /* also when it is older than our clock */
    while (is_dead && history->kept.count) drop_oldest(history, account);
    history_trim(history, account, now);
}

void history_append(struct history *history, struct history_account *account, struct parcel *parcel, uint64_t now) {
    history_store(history, account, parcel, history->last + 1, 0, now);
}

void history_hold(struct history *history, struct parcel *parcel, uint64_t now) {
    parcel->order = ++history->order;
    parcel->at = now;
    if (history->stamp) stamp(parcel, history->stamp);
    push(&history->held, parcel);
}

void history_release(struct history *history, uint64_t order) {
    struct parcels *held = &history->held;
    uint32_t i = 0;
    while (i < held->count && (*slot(held, i))->order != order) i++; /* nearly always the first */
    if (i == held->count) return;
    struct parcel *gone = *slot(held, i);
    for (; i; i--) *slot(held, i) = *slot(held, i - 1);
    *slot(held, 0) = gone;
    take(held);
    parcel_unref(&gone);
    if (!held->count) clear(held);
}

uint64_t history_end(const struct history *history) {
    const struct parcels *kept = &history->kept;
    return history->ttl && kept->count ? (*slot(kept, kept->count - 1))->at + history->ttl : 0;
}

/* ---- replays ---- */

/* All that is held comes behind what is kept. */
static struct parcel *nth(const struct history *history, uint32_t i) {
    return i < history->kept.count ? *slot(&history->kept, i) : *slot(&history->held, i - history->kept.count);
}

void history_last(const struct history *history, uint64_t count, struct replay *replay) {
    uint32_t all = history->kept.count + history->held.count;
    if (count > all) count = all;
    *replay = (struct replay){.count = (uint32_t)count};
    if (!count) return;
    replay->parcels = memory_new(count * sizeof *replay->parcels);
    for (uint32_t i = 0; i < count; i++) replay->parcels[i] = parcel_ref(nth(history, all - (uint32_t)count + i));
}

/* How many of the kept ones are not behind the position. */
static uint32_t count_up_to(const struct history *history, uint64_t position) {
    uint32_t from = 0, to = history->kept.count;
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        if ((*slot(&history->kept, middle))->position <= position) from = middle + 1;
        else to = middle;
    }
    return from;
}

bool history_after(const struct history *history, uint64_t position, struct replay *replay) {
    bool is_ours = position >= history->floor && position <= history->last;
    uint32_t seen = is_ours ? count_up_to(history, position) : 0;
    history_last(history, history->kept.count + history->held.count - seen, replay);
    return is_ours;
}

void replay_free(struct replay *replay) {
    for (uint32_t i = replay->at; i < replay->count; i++) parcel_unref(&replay->parcels[i]);
    free(replay->parcels);
    *replay = (struct replay){0};
}
