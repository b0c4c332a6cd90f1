#include "fanout/queue.h"

#include "check.h"
#include "fanout/fields.h"
#include "schema/schema.h"

static struct schema *schema;
static const struct message_type *type;
static const struct field *name, *large;

/* A fields.Sample with a name and a number. */
static struct message *sample(const char *text, uint8_t number) {
    uint8_t bytes[64] = {1 << 3 | 2, (uint8_t)strlen(text)};
    memcpy(bytes + 2, text, strlen(text));
    bytes[2 + strlen(text)] = 4 << 3;
    bytes[3 + strlen(text)] = number;
    return message_copy(bytes, 4 + strlen(text));
}

static bool add(struct queue *queue, const char *text, uint8_t number) {
    struct message *message = sample(text, number);
    struct fields fields;
    fields_init(&fields, message->data, message->length);
    bool has_replaced = queue_replace(queue, message, &fields);
    if (!has_replaced) queue_push(queue, message, &fields);
    message_unref(&message);
    return has_replaced;
}

static void check_next(struct queue *queue, const char *text, uint8_t number) {
    struct message *message = queue_take(queue), *expected = sample(text, number);
    CHECK_MEM(message->data, message->length, expected->data, expected->length);
    message_unref(&message);
    message_unref(&expected);
}

static void without_a_key_it_is_a_row(void) {
    struct queue queue = {0};
    for (uint8_t i = 0; i < 100; i++) CHECK(!add(&queue, "same", i));
    for (uint8_t i = 0; i < 60; i++) check_next(&queue, "same", i);
    for (uint8_t i = 100; i < 120; i++) add(&queue, "same", i);
    for (uint8_t i = 60; i < 110; i++) check_next(&queue, "same", i);
    CHECK_INT(queue_clear(&queue), 10);
    CHECK(!queue.ring);
    queue_free(&queue);
}

static void with_a_key_the_newest_takes_the_place_of_the_older(void) {
    struct queue queue = {0};
    queue_set_key(&queue, type, name, 7);
    CHECK(!add(&queue, "a", 1) && !add(&queue, "b", 2) && !add(&queue, "", 3));
    CHECK(add(&queue, "a", 4) && add(&queue, "", 5));
    CHECK_INT(queue.count, 3);
    check_next(&queue, "a", 4);
    CHECK(!add(&queue, "a", 6)); /* it has left */
    check_next(&queue, "b", 2);
    check_next(&queue, "", 5);
    check_next(&queue, "a", 6);
    queue_free(&queue);
}

/* Against the simplest thing that does the same. */
static void many_keys_in_any_order(void) {
    struct queue queue = {0};
    char row[256][8];
    uint8_t numbers[256];
    unsigned count = 0, seed = 1, replaced = 0;
    queue_set_key(&queue, type, name, 99);
    for (int step = 0; step < 200000; step++) {
        seed = seed * 1103515245u + 12345u;
        if ((seed >> 16) % 3 && count < 200) {
            char text[8];
            unsigned i = 0;
            snprintf(text, sizeof text, "k%u", (seed >> 20) % 300);
            while (i < count && strcmp(row[i], text)) i++;
            CHECK_INT(add(&queue, text, step & 63), i < count);
            if (i == count) strcpy(row[count++], text);
            else replaced++;
            numbers[i] = step & 63;
        } else if (count) {
            check_next(&queue, row[0], numbers[0]);
            memmove(row, row + 1, sizeof row[0] * --count);
            memmove(numbers, numbers + 1, count);
        }
        CHECK_INT(queue.count, count);
    }
    CHECK(replaced > 1000);
    queue_free(&queue);
}

static void a_key_that_comes_later_holds_for_what_waits(void) {
    struct queue queue = {0};
    add(&queue, "a", 1);
    add(&queue, "b", 2);
    queue_set_key(&queue, type, large, 3);
    CHECK(add(&queue, "c", 2));
    check_next(&queue, "a", 1);
    check_next(&queue, "c", 2);
    queue_set_key(&queue, type, NULL, 3);
    CHECK(!add(&queue, "c", 2) && !add(&queue, "c", 2));
    queue_free(&queue);
}

int main(void) {
    struct error error;
    char path[] = "tests/unit/fanout/fields.proto", *const files[] = {path, NULL}, *const paths[] = {NULL};
    schema = schema_load(paths, files, &error);
    CHECK(schema);
    type = schema_message(schema, "fields.Sample");
    name = message_field(type, "name", 4);
    large = message_field(type, "large", 5);
    RUN(without_a_key_it_is_a_row);
    RUN(with_a_key_the_newest_takes_the_place_of_the_older);
    RUN(many_keys_in_any_order);
    RUN(a_key_that_comes_later_holds_for_what_waits);
    schema_unref(&schema);
    return 0;
}
