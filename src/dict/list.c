/* dict/list.c - lists: entries whose elements are blocks of their own, linked both ways. */
#include <string.h>

#include "base/buffer.h"
#include "dict/entry.h"

static struct element *element_at(const struct dict *dict, uint32_t number) { return blocks_at(&dict->blocks, number); }

void list_clear(struct dict *dict, struct entry *list) {
    for (uint32_t number = list->front, next; number; number = next) {
        next = element_at(dict, number)->next;
        blocks_give(&dict->blocks, number);
    }
}

uint32_t list_blocks(const struct dict *dict, const struct entry *list) {
    uint32_t count = 0;
    for (uint32_t number = list->front; number; number = element_at(dict, number)->next)
        count += blocks_in_chain(&dict->blocks, number);
    return count;
}

/* The bytes that stand for a value. */
static const void *bytes_of(const struct dict_value *value, size_t *length) {
    if (value->type == DICT_STRING) {
        *length = value->length;
        return value->bytes;
    }
    *length = sizeof value->integer;
    return &value->integer; /* or the number, which shares its place */
}

static uint32_t new_element(struct dict *dict, const struct dict_value *value) {
    size_t length;
    const void *bytes = bytes_of(value, &length);
    uint32_t number = blocks_take(&dict->blocks);
    struct place place = {number, offsetof(struct element, bytes)};
    *element_at(dict, number) = (struct element){.length = (uint32_t)length, .type = (uint8_t)value->type};
    blocks_write(&dict->blocks, &place, bytes, length);
    return number;
}

static void link_element(struct dict *dict, struct entry *list, uint32_t number, bool at_front) {
    struct element *element = element_at(dict, number);
    uint32_t neighbour = at_front ? list->front : list->back;
    *(at_front ? &element->next : &element->previous) = neighbour;
    if (neighbour) *(at_front ? &element_at(dict, neighbour)->previous : &element_at(dict, neighbour)->next) = number;
    if (at_front || !neighbour) list->front = number;
    if (!at_front || !neighbour) list->back = number;
    list->length++;
}

static void unlink_element(struct dict *dict, struct entry *list, uint32_t number) {
    struct element *element = element_at(dict, number);
    if (element->previous) element_at(dict, element->previous)->next = element->next;
    else list->front = element->next;
    if (element->next) element_at(dict, element->next)->previous = element->previous;
    else list->back = element->previous;
    list->length--;
}

static void take_element(const struct dict *dict, uint32_t number, struct dict_value *value, struct buffer *bytes) {
    const struct element *element = element_at(dict, number);
    struct place place = {number, offsetof(struct element, bytes)};
    *value = (struct dict_value){.type = (enum dict_type)element->type};
    if (value->type != DICT_STRING) {
        blocks_read(&dict->blocks, &place, &value->integer, sizeof value->integer);
        return;
    }
    blocks_read(&dict->blocks, &place, buffer_reserve(bytes, element->length), element->length);
    buffer_commit(bytes, element->length);
    value->bytes = (const char *)buffer_bytes(bytes);
    value->length = element->length;
}

/* 0: there is none. What is there and is no list is DICT_NOT_A_LIST. */
static enum dict_result find_list(const struct dict *dict, struct dict_key key, uint32_t hash, uint64_t now,
                                  uint32_t *number) {
    *number = entry_find_alive(dict, key, hash, now);
    return !*number || entry_at(dict, *number)->type == DICT_LIST ? DICT_OK : DICT_NOT_A_LIST;
}

static enum dict_result push(struct dict *dict, struct dict_key key, uint32_t hash, const struct dict_value *value,
                             bool at_front, uint64_t now, uint32_t *count) {
    size_t length;
    bytes_of(value, &length);
    size_t of_element = blocks_needed(length, sizeof((struct element *)0)->bytes);
    size_t of_entry = entry_blocks_needed(key.length, 0);
    uint32_t number;
    entries_sweep(dict, of_element + of_entry, now);
    enum dict_result result = find_list(dict, key, hash, now, &number);
    if (result != DICT_OK) return result;
    uint32_t before = number ? 0 : entry_find(dict, key, hash); /* what has expired makes way */
    if (before) entry_remove(dict, before);
    if (dict->blocks.free_count < of_element + (number ? 0 : of_entry)) return DICT_NO_MEMORY;
    if (!number) {
        number = entry_add(dict, key, hash);
        entry_at(dict, number)->type = DICT_LIST;
    }
    entry_touch(dict, number);
    struct entry *list = entry_at(dict, number);
    link_element(dict, list, new_element(dict, value), at_front);
    *count = list->length;
    return DICT_OK;
}

enum dict_result dict_push(struct dict *dict, struct dict_key key, const struct dict_value *value, bool at_front,
                           uint64_t now, uint32_t *count) {
    uint32_t hash = key_hash(dict, key);
    if (value->type == DICT_STRING && value->length > dict->size) return DICT_NO_MEMORY;
    dict_lock(dict);
    enum dict_result result = push(dict, key, hash, value, at_front, now, count);
    dict_unlock(dict);
    return result;
}

static void pop(struct dict *dict, uint32_t number, bool at_front, struct dict_value *value, struct buffer *bytes) {
    struct entry *list = entry_at(dict, number);
    uint32_t element = at_front ? list->front : list->back;
    entry_touch(dict, number);
    take_element(dict, element, value, bytes);
    unlink_element(dict, list, element);
    blocks_give(&dict->blocks, element);
    if (!list->length) entry_remove(dict, number);
}

enum dict_result dict_pop(struct dict *dict, struct dict_key key, bool at_front, uint64_t now, struct dict_value *value,
                          struct buffer *bytes) {
    uint32_t hash = key_hash(dict, key), number;
    buffer_clear(bytes);
    dict_lock(dict);
    enum dict_result result = find_list(dict, key, hash, now, &number);
    if (result == DICT_OK && number) pop(dict, number, at_front, value, bytes);
    dict_unlock(dict);
    return result == DICT_OK && !number ? DICT_NOT_FOUND : result;
}

enum dict_result dict_count(struct dict *dict, struct dict_key key, uint64_t now, uint32_t *count) {
    uint32_t hash = key_hash(dict, key), number;
    dict_lock(dict);
    enum dict_result result = find_list(dict, key, hash, now, &number);
    *count = result == DICT_OK && number ? entry_at(dict, number)->length : 0;
    dict_unlock(dict);
    return result;
}
