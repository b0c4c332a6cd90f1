/* bus/hosts.h - the other gateways on the bus. Private to bus/.
 *
 * Each says on one subject, so often as its config has it, that it is there, and how often it says so; one that has missed
 * three times is forgotten, with all that it has told. One that leaves in peace says that, too.
 *
 * Whoever may write to the bus may claim to be a thousand hosts: so there is a bound. */
#ifndef TIDEWIRE_BUS_HOSTS_H
#define TIDEWIRE_BUS_HOSTS_H
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct bus;
struct wire_message;

struct host {
    uint64_t origin;
    uint64_t until; /* when it is forgotten, if it says nothing */
    bool is_named;  /* it has said what it is called */
    char name[65];
    struct list theirs; /* of struct there (presence.h) */
};

void hosts_init(struct bus *bus);
/* Another server, or none: everybody is forgotten. */
void hosts_configure(struct bus *bus);
void hosts_come_up(struct bus *bus);
void hosts_say_goodbye(struct bus *bus);
void hosts_receive(struct bus *bus, const struct wire_message *message);
/* With its first word it is there; NULL: there are too many. */
struct host *hosts_find(struct bus *bus, uint64_t origin);
void hosts_free(struct bus *bus);
#endif
