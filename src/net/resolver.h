/* net/resolver.h - names to addresses without blocking, by c-ares: /etc/hosts, DNS. */
#ifndef TIDEWIRE_NET_RESOLVER_H
#define TIDEWIRE_NET_RESOLVER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/error.h"

struct loop;
struct resolver;
struct resolver_query;

enum { RESOLVER_MOST_ADDRESSES = 256 };

struct resolved {
    const struct sockaddr_storage *addresses; /* with the port; at most RESOLVER_MOST_ADDRESSES, none twice */
    const socklen_t *lengths;
    size_t count;      /* 0: it failed */
    uint64_t age;      /* ns until it should be asked again */
    const char *error; /* why it failed: a sentence */
};

/* One a thread. `servers`: "127.0.0.1:5353,…" instead of the system's; may be NULL. */
struct resolver *resolver_new(struct loop *loop, const char *servers);
/* Queries that still run fail. */
void resolver_free(struct resolver **resolver);

/* `on_done` comes once, from the loop, never from inside. */
struct resolver_query *resolver_ask(struct resolver *resolver, const char *host, const char *port,
                                    void (*on_done)(void *context, const struct resolved *resolved), void *context);
/* Also in on_done; a query that is done must be freed too. */
void resolver_query_free(struct resolver_query **query);

/* An address as it is written, without asking anybody: false when the host is a name. */
bool resolver_read_address(const char *host, const char *port, struct sockaddr_storage *address, socklen_t *length);

const char *resolver_versions(void); /* "c-ares 1.18.1" */
#endif
