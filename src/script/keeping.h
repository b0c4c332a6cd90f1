/* script/keeping.h - the histories that load code asks for: its topics keep them from when its generation starts, so that
 * one that is refused has changed none. */
#ifndef TIDEWIRE_SCRIPT_KEEPING_H
#define TIDEWIRE_SCRIPT_KEEPING_H
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct field;
struct topic;

/* As topic_keep(), later. `position` lives until then. Holds the topic. */
void keeping_add(struct list *keepings, struct topic *topic, uint32_t messages, uint64_t ttl, const struct field *position);
bool keepings_have(const struct list *keepings, const struct topic *topic);
/* In the order in which they were added; none is left. */
void keepings_start(struct list *keepings);
void keepings_drop(struct list *keepings);
#endif
