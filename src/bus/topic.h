/* bus/topic.h - one topic on the bus: when it is heard, what goes out for it, what comes in. Private to bus/. */
#ifndef TIDEWIRE_BUS_TOPIC_H
#define TIDEWIRE_BUS_TOPIC_H
#include <stdbool.h>
#include <stddef.h>

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
/* The types are others; with `is_new` the servers too, or there are none any more. */
void bus_topics_configure(struct bus *bus, bool is_new);
void bus_topics_free(struct bus *bus);
#endif
