/* script/keeping.c - see keeping.h */
#include "script/keeping.h"

#include <stdlib.h>

#include "base/memory.h"
#include "fanout/topic.h"

struct keeping {
    struct list node;
    struct topic *topic;
    uint64_t ttl;
    const struct field *position;
    uint32_t messages;
};

void keeping_add(struct list *keepings, struct topic *topic, uint32_t messages, uint64_t ttl, const struct field *position) {
    struct keeping *keeping = memory_new(sizeof *keeping);
    *keeping = (struct keeping){.topic = topic_ref(topic), .ttl = ttl, .position = position, .messages = messages};
    list_init(&keeping->node);
    list_append(keepings, &keeping->node);
}

bool keepings_have(const struct list *keepings, const struct topic *topic) {
    for (const struct list *node = keepings->next; node != keepings; node = node->next)
        if (container_of(node, struct keeping, node)->topic == topic) return true;
    return false;
}

static struct keeping *take(struct list *keepings) {
    struct list *node = list_take(keepings);
    return node ? container_of(node, struct keeping, node) : NULL;
}

static void keeping_free(struct keeping *keeping) {
    topic_unref(&keeping->topic);
    free(keeping);
}

void keepings_start(struct list *keepings) {
    for (struct keeping *keeping; (keeping = take(keepings)); keeping_free(keeping))
        topic_keep(keeping->topic, keeping->messages, keeping->ttl, keeping->position);
}

void keepings_drop(struct list *keepings) {
    for (struct keeping *keeping; (keeping = take(keepings));) keeping_free(keeping);
}
