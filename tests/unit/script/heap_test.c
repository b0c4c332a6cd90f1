#include "script/heap.h"

#include "check.h"

enum { OBJECTS = 500, STEPS = 200000, LARGEST = 2 * HEAP_SMALL };

struct object {
    uint8_t *memory;
    size_t size;
    uint8_t mark;
};

static unsigned draw(unsigned below) {
    static uint32_t state = 1;
    state = state * 1664525 + 1013904223;
    return (state >> 8) % below;
}

static void check_marks(const struct object *object, size_t size) {
    for (size_t i = 0; i < size; i++) CHECK(object->memory[i] == object->mark);
}

static void resize(struct heap *heap, struct object *object, size_t size) {
    object->memory = heap_allocate(heap, object->memory, object->size, size);
    CHECK(!object->memory == !size);
    check_marks(object, size < object->size ? size : object->size);
    object->size = size;
    object->mark = (uint8_t)draw(256);
    if (size) memset(object->memory, object->mark, size);
}

static void objects_keep_their_bytes_while_others_come_and_go(void) {
    static struct object objects[OBJECTS];
    struct heap heap = {0};
    for (int i = 0; i < STEPS; i++) {
        struct object *object = &objects[draw(OBJECTS)];
        resize(&heap, object, draw(3) ? draw(LARGEST) : 0);
        if (object->memory) CHECK((uintptr_t)object->memory % HEAP_STEP == 0);
    }
    for (int i = 0; i < OBJECTS; i++) resize(&heap, &objects[i], 0);
    heap_clear(&heap);
}

static bool is_watching = true;
static unsigned excesses;
static size_t used(void *context) { return ((const struct heap *)context)->taken; }
static void note_excess(void *context) { (void)context, excesses++; }

static void a_handler_gets_a_little_beyond_the_limit_and_nothing_large(void) {
    struct heap heap = {.guard = {.is_watching = &is_watching,
                                  .limit = 1 << 20,
                                  .used = used,
                                  .on_excess = note_excess,
                                  .context = &heap}};
    void *fits = heap_allocate(&heap, NULL, 0, 1 << 19), *little = heap_allocate(&heap, NULL, 0, 1 << 20);
    CHECK(fits && little);
    CHECK_INT(excesses, 1);
    CHECK(!heap_allocate(&heap, NULL, 0, 20 << 20));
    CHECK(!heap_allocate(&heap, fits, 1 << 19, 20 << 20)); /* `fits` stands */
    is_watching = false;                                   /* nobody would catch an error */
    void *large = heap_allocate(&heap, NULL, 0, 20 << 20);
    CHECK(large);
    CHECK_INT(excesses, 1);
    heap_allocate(&heap, fits, 1 << 19, 0);
    heap_allocate(&heap, little, 1 << 20, 0);
    heap_allocate(&heap, large, 20 << 20, 0);
    CHECK_INT(heap.taken, 0);
    heap_clear(&heap);
}

int main(void) {
    RUN(a_handler_gets_a_little_beyond_the_limit_and_nothing_large);
    RUN(objects_keep_their_bytes_while_others_come_and_go);
    return 0;
}
