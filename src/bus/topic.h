/* bus/topic.h - one topic on the bus: when it is heard, what goes out for it, what comes in. Private to bus/. */
#ifndef TIDEWIRE_BUS_TOPIC_H
#define TIDEWIRE_BUS_TOPIC_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bus;
struct bus_topic;
struct shared_topic;
struct wire_message;

/* Something about it has changed. Takes the reference over. */
void bus_topic_look(struct bus *bus, struct shared_topic *shared);
void bus_topic_publish(struct bus *bus, struct shared_topic *shared, const void *bytes, size_t length);
/* Looked at, not kept. */
void bus_topic_receive(struct bus_topic *topic, const struct wire_message *message);
void bus_topic_free(struct bus_topic *topic);
/* With what is known of it now; NULL: nobody uses it. */
struct bus_topic *bus_topic_find(struct bus *bus, struct shared_topic *shared);
/* Whether it is a message of the topic's; else it has been rejected. */
bool bus_topic_check(struct bus_topic *topic, const struct wire_message *message, uint64_t *origin, uint64_t *sequence);
/* The types are others; with `is_new` the servers too, or there are none any more. */
void bus_topics_configure(struct bus *bus, bool is_new);
void bus_topics_free(struct bus *bus);
#endif
