/* gateway/lookout.c - see lookout.h */
#include "gateway/lookout.h"

#include <stdlib.h>

#include "admin/site.h"
#include "base/memory.h"
#include "rpc/rpc.h"

struct lookout {
    struct lookout_host host;
    struct entrance *entrance;
    struct site *site;
};

static void accepted(void *context, const struct rpc_accepted *accepted) {
    struct lookout *lookout = context;
    struct rpc_accepted rest = *accepted;
    site_accept(lookout->site, accepted->fd, accepted->gone);
    rest.fd = -1;
    rest.gone = NULL;
    rpc_turn_away(&rest);
}

static void on_full(void *context, bool is_full) {
    struct lookout *lookout = context;
    if (is_full) entrance_pause(lookout->entrance);
    else entrance_resume(lookout->entrance);
}

static bool is_ready(void *context, const char **why) {
    const struct lookout *lookout = context;
    return lookout->host.is_ready(lookout->host.context, why);
}

static void write_metrics(void *context, struct buffer *out) {
    const struct lookout *lookout = context;
    struct metrics_view view = {.doors = lookout->host.doors};
    lookout->host.look(lookout->host.context, &view);
    metrics_write(&view, out);
}

struct lookout *lookout_new(struct loop *loop, const struct lookout_host *host) {
    struct lookout *lookout = memory_new(sizeof *lookout);
    lookout->host = *host;
    lookout->entrance = entrance_new(loop, &(struct entrance_options){.what = "serving metrics",
                                                                      .role = "admin",
                                                                      .figures = host->doors,
                                                                      .on_accept = accepted,
                                                                      .context = lookout});
    lookout->site = site_new(loop, &(struct site_host){.write_metrics = write_metrics,
                                                       .is_ready = is_ready,
                                                       .on_full = on_full,
                                                       .context = lookout});
    return lookout;
}

struct entrance *lookout_entrance(struct lookout *lookout) { return lookout->entrance; }

void lookout_free(struct lookout **handle) {
    struct lookout *lookout = *handle;
    *handle = NULL;
    if (!lookout) return;
    entrance_free(&lookout->entrance);
    site_free(&lookout->site);
    free(lookout);
}
