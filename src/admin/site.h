/* admin/site.h - the few pages for who watches the gateway: /metrics, /health and /ready, by HTTP/1.1 and HTTP/2.
 *
 * All of it happens in one thread, which is no worker's: a page costs those nothing, and is there when they are busy. A page
 * is made once for all that ask in the same turn of the loop. */
#ifndef TIDEWIRE_ADMIN_SITE_H
#define TIDEWIRE_ADMIN_SITE_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer;
struct loop;
struct site;

/* Connections at once. */
enum { SITE_CONNECTIONS_MOST = 128 };

struct site_host {
    /* Appends the page, in the text format 0.0.4 of Prometheus. */
    void (*write_metrics)(void *context, struct buffer *out);
    /* Calls are taken; else `why` is set to a word or two. */
    bool (*is_ready)(void *context, const char **why);
    /* There are as many connections as may be, and there are fewer again: until then give it no more. */
    void (*on_full)(void *context, bool is_full);
    void *context;
};

struct site *site_new(struct loop *loop, const struct site_host *host);
/* Closes what is open. */
void site_free(struct site **site);
/* Takes over a connected socket; `gone` (or NULL) grows by one when it is closed. */
void site_accept(struct site *site, int fd, atomic_uint_least64_t *gone);
#endif
