/* gateway/lookout.h - the `admin` addresses: who watches the gateway comes by them to admin/site.h. */
#ifndef TIDEWIRE_GATEWAY_LOOKOUT_H
#define TIDEWIRE_GATEWAY_LOOKOUT_H
#include <stdbool.h>

#include "gateway/entrance.h"
#include "gateway/metrics.h"

struct lookout;

struct lookout_host {
    struct figures *doors; /* where its connections are counted */
    /* What there is to see now. */
    void (*look)(void *context, struct metrics_view *view);
    bool (*is_ready)(void *context, const char **why); /* as in admin/site.h */
    void *context;
};

/* In the main thread, as all of it. */
struct lookout *lookout_new(struct loop *loop, const struct lookout_host *host);
/* Closes what is open. */
void lookout_free(struct lookout **lookout);
/* For reloads. */
struct entrance *lookout_entrance(struct lookout *lookout);
#endif
