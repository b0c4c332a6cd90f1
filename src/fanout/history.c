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

/* ---- the ring ---- */

static size_t weight(const struct parcel *parcel) { return sizeof *parcel + parcel->length; }

static struct parcel **slot(const struct history *history, uint32_t nth) {
    return &history->ring[(history->head + nth) & (history->capacity - 1)];
}

static void drop_oldest(struct history *history, struct history_account *account) {
    struct parcel **oldest = slot(history, 0);
    atomic_fetch_sub(&account->bytes, weight(*oldest));
    parcel_unref(oldest);
    history->head = (history->head + 1) & (history->capacity - 1);
    history->count--;
}

static void grow(struct history *history) {
    uint32_t capacity = history->capacity ? history->capacity * 2 : LEAST;
    struct parcel **ring = memory_new(capacity * sizeof *ring);
    for (uint32_t i = 0; i < history->count; i++) ring[i] = *slot(history, i);
    free(history->ring);
    history->ring = ring;
    history->capacity = capacity;
    history->head = 0;
}

struct history *history_new(void) {
    struct history *history = memory_new(sizeof *history);
    history->first = history->last = clock_wall() / 1000;
    return history;
}

void history_free(struct history **handle, struct history_account *account) {
    struct history *history = *handle;
    *handle = NULL;
    if (!history) return;
    while (history->count) drop_oldest(history, account);
    free(history->ring);
    free(history);
}

static bool is_too_old(const struct history *history, uint64_t now) {
    return history->ttl && (*slot(history, 0))->at + history->ttl <= now;
}

static bool is_too_much(struct history_account *account) {
    size_t most = atomic_load(&account->most);
    return most && atomic_load(&account->bytes) > most;
}

void history_trim(struct history *history, struct history_account *account, uint64_t now) {
    while (history->count && (history->count > history->most || is_too_old(history, now) || is_too_much(account)))
        drop_oldest(history, account);
}

void history_set(struct history *history, struct history_account *account, uint32_t most, uint64_t ttl, uint64_t now) {
    history->most = most;
    history->ttl = ttl;
    history_trim(history, account, now);
}

void history_append(struct history *history, struct history_account *account, struct parcel *parcel, uint64_t now) {
    parcel->position = ++history->last;
    parcel->at = now;
    if (history->stamp) stamp(parcel, history->stamp);
    if (history->count == history->capacity && history->count < history->most) grow(history);
    if (history->count == history->capacity) drop_oldest(history, account);
    history->count++;
    *slot(history, history->count - 1) = parcel_ref(parcel);
    atomic_fetch_add(&account->bytes, weight(parcel));
    history_trim(history, account, now);
}

uint64_t history_end(const struct history *history) {
    return history->ttl && history->count ? (*slot(history, history->count - 1))->at + history->ttl : 0;
}

/* ---- replays ---- */

void history_last(const struct history *history, uint64_t count, struct replay *replay) {
    if (count > history->count) count = history->count;
    *replay = (struct replay){.count = (uint32_t)count};
    if (!count) return;
    replay->parcels = memory_new(count * sizeof *replay->parcels);
    for (uint32_t i = 0; i < count; i++)
        replay->parcels[i] = parcel_ref(*slot(history, history->count - (uint32_t)count + i));
}

bool history_after(const struct history *history, uint64_t position, struct replay *replay) {
    bool is_ours = position >= history->first && position <= history->last;
    uint64_t missed = is_ours ? history->last - position : UINT64_MAX;
    history_last(history, missed, replay);
    return missed <= history->count;
}

void replay_free(struct replay *replay) {
    for (uint32_t i = replay->at; i < replay->count; i++) parcel_unref(&replay->parcels[i]);
    free(replay->parcels);
    *replay = (struct replay){0};
}
