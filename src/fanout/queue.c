/* fanout/queue.c - see queue.h
 *
 * Keys: a hash table from a message's key to its place in the ring, with linear probing and at most half full. What is
 * taken out is closed up, so that there are no gravestones. */
#include "fanout/queue.h"

#include <stdlib.h>

#include "base/memory.h"
#include "fanout/fields.h"
#include "schema/wire.h"

enum { LEAST = 8 };

struct queue_keys {
    const struct message_type *type;
    const struct field *field;
    uint64_t seed;
    uint32_t *hashes; /* of each place in the ring */
    uint32_t *table;  /* twice as many; place + 1, or 0 */
};

static uint32_t place_of(const struct queue *queue, uint32_t nth) { return (queue->head + nth) & (queue->capacity - 1); }

/* ---- keys ---- */

static uint64_t mix(uint64_t hash, uint64_t bits) {
    hash = (hash ^ bits) * UINT64_C(0x9E3779B97F4A7C15);
    return hash ^ hash >> 29;
}

static uint32_t hash_key(const struct queue_keys *keys, struct fields *fields) {
    struct field_value value;
    uint64_t hash = keys->seed;
    if (field_read(keys->type, keys->field, fields, &value)) {
        if (keys->field->wire_type != WIRE_BYTES) hash = mix(hash, value.bits);
        else
            for (uint32_t i = 0; i < value.length; i++) hash = mix(hash, value.data[i]);
    }
    return (uint32_t)(hash ^ hash >> 32);
}

/* By bits: a number that is none is a key like others. */
static bool is_same_key(const struct queue_keys *keys, struct fields *a, struct fields *b) {
    struct field_value x, y;
    bool has_x = field_read(keys->type, keys->field, a, &x), has_y = field_read(keys->type, keys->field, b, &y);
    if (!has_x || !has_y) return has_x == has_y;
    if (keys->field->wire_type != WIRE_BYTES) return x.bits == y.bits;
    return field_values_are_equal(keys->field, &x, &y);
}

static void enter(struct queue *queue, uint32_t place) {
    struct queue_keys *keys = queue->keys;
    uint32_t mask = queue->capacity * 2 - 1, at = keys->hashes[place] & mask;
    while (keys->table[at]) at = (at + 1) & mask;
    keys->table[at] = place + 1;
}

static void leave(struct queue *queue, uint32_t place) {
    struct queue_keys *keys = queue->keys;
    uint32_t mask = queue->capacity * 2 - 1, hole = keys->hashes[place] & mask;
    while (keys->table[hole] != place + 1) hole = (hole + 1) & mask;
    for (uint32_t at = (hole + 1) & mask; keys->table[at]; at = (at + 1) & mask) {
        uint32_t wants = keys->hashes[keys->table[at] - 1] & mask;
        if (((at - wants) & mask) < ((at - hole) & mask)) continue; /* its search does not pass the hole */
        keys->table[hole] = keys->table[at];
        hole = at;
    }
    keys->table[hole] = 0;
}

/* After the ring has another size or key. */
static void enter_all(struct queue *queue) {
    struct queue_keys *keys = queue->keys;
    free(keys->hashes);
    free(keys->table);
    keys->hashes = queue->capacity ? memory_new(queue->capacity * sizeof *keys->hashes) : NULL;
    keys->table = queue->capacity ? memory_new(queue->capacity * 2 * sizeof *keys->table) : NULL;
    for (uint32_t i = 0; i < queue->count; i++) {
        uint32_t place = place_of(queue, i);
        struct fields fields;
        fields_init(&fields, queue->ring[place]->data, queue->ring[place]->length);
        keys->hashes[place] = hash_key(keys, &fields);
        enter(queue, place);
    }
}

static void free_keys(struct queue *queue) {
    if (!queue->keys) return;
    free(queue->keys->hashes);
    free(queue->keys->table);
    free(queue->keys);
    queue->keys = NULL;
}

void queue_set_key(struct queue *queue, const struct message_type *type, const struct field *key, uint64_t seed) {
    free_keys(queue);
    if (!key) return;
    queue->keys = memory_new(sizeof *queue->keys);
    *queue->keys = (struct queue_keys){.type = type, .field = key, .seed = seed};
    enter_all(queue);
}

bool queue_replace(struct queue *queue, struct message *message, struct fields *fields) {
    const struct queue_keys *keys = queue->keys;
    if (!keys || !queue->count) return false;
    uint32_t hash = hash_key(keys, fields), mask = queue->capacity * 2 - 1;
    for (uint32_t at = hash & mask; keys->table[at]; at = (at + 1) & mask) {
        uint32_t place = keys->table[at] - 1;
        if (keys->hashes[place] != hash) continue;
        struct fields waiting;
        fields_init(&waiting, queue->ring[place]->data, queue->ring[place]->length);
        if (!is_same_key(keys, &waiting, fields)) continue;
        message_unref(&queue->ring[place]);
        queue->ring[place] = message_ref(message);
        return true;
    }
    return false;
}

/* ---- the ring ---- */

static void grow(struct queue *queue) {
    uint32_t capacity = queue->capacity ? queue->capacity * 2 : LEAST;
    struct message **ring = memory_new(capacity * sizeof *ring);
    for (uint32_t i = 0; i < queue->count; i++) ring[i] = queue->ring[place_of(queue, i)];
    free(queue->ring);
    queue->ring = ring;
    queue->capacity = capacity;
    queue->head = 0;
    if (queue->keys) enter_all(queue);
}

void queue_push(struct queue *queue, struct message *message, struct fields *fields) {
    if (queue->count == queue->capacity) grow(queue);
    uint32_t place = place_of(queue, queue->count++);
    queue->ring[place] = message_ref(message);
    if (!queue->keys) return;
    queue->keys->hashes[place] = hash_key(queue->keys, fields);
    enter(queue, place);
}

struct message *queue_take(struct queue *queue) {
    uint32_t place = queue->head;
    if (queue->keys) leave(queue, place);
    queue->head = place_of(queue, 1);
    queue->count--;
    return queue->ring[place];
}

uint32_t queue_clear(struct queue *queue) {
    uint32_t count = queue->count;
    while (queue->count) {
        struct message *message = queue_take(queue);
        message_unref(&message);
    }
    free(queue->ring);
    queue->ring = NULL;
    queue->head = queue->capacity = 0;
    if (queue->keys) enter_all(queue);
    return count;
}

void queue_free(struct queue *queue) {
    free_keys(queue);
    queue_clear(queue);
}
