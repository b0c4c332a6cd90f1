/* cli/remote.h - the server that `tidewire call` talks to, and the loop in which it does. Private to cli/. */
#ifndef TIDEWIRE_CLI_REMOTE_H
#define TIDEWIRE_CLI_REMOTE_H
#include "cli/call_options.h"
#include "rpc/rpc.h"

struct remote {
    const struct call_options *options;
    struct loop *loop;
    struct rpc *rpc;
    struct tls_client *tls;
    struct rpc_client *client;
    struct call
        *call; /* the one that is open: INT and TERM cancel it, and, a second time or without one, give up */
    struct signal_watch *interrupt, *terminate;
    bool is_given_up;
};

/* False and an error when there is no way to it. The options must outlive it. */
bool remote_open(struct remote *remote, const struct call_options *options, struct error *error);
void remote_close(struct remote *remote);
/* Opens remote->call. The handler's on_close calls remote_call_closed(). */
void remote_open_call(struct remote *remote, const struct method *method, const struct call_handler *handler,
                      void *data);
void remote_call_closed(struct remote *remote);
/* Runs the loop until somebody sets *is_done and stops the loop. False when a signal came in between. */
bool remote_wait(struct remote *remote, const bool *is_done);
#endif
