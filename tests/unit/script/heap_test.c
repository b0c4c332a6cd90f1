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

int main(void) {
    RUN(objects_keep_their_bytes_while_others_come_and_go);
    return 0;
}
