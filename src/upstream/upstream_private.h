/* upstream/upstream_private.h - what the files of this room share.
 *
 *   upstreams.c  a worker's upstreams, and the sets that configs name
 *   upstream.c   one upstream: who gets a call
 *   opening.c    one call: its attempts
 *   names.c      from the names in the config to targets, again and again
 *   target.c     one address: its links, and the calls that wait for one
 *   verdict.c    is a target fit to be called: backoff, ejection, health
 *   health.c     asks targets for their health
 *   balance.c, backoff.c   arithmetic
 *   peer*.c      upstreams that are peers, see peer_private.h
 *
 * References on an upstream are held by sets, openings, links, and whoever took one. */
#ifndef TIDEWIRE_UPSTREAM_UPSTREAM_PRIVATE_H
#define TIDEWIRE_UPSTREAM_UPSTREAM_PRIVATE_H
#include <sys/socket.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/memory.h"
#include "base/pool.h"
#include "net/loop.h"
#include "net/resolver.h"
#include "net/tls.h"
#include "upstream/backoff.h"
#include "upstream/balance.h"
#include "upstream/upstream.h"

enum { TOKEN = 100 }; /* of retry throttling, in hundredths */

struct opening;
struct peer;
struct peer_record;
struct target;

struct upstreams {
    struct rpc *rpc;
    struct loop *loop;
    struct resolver *resolver; /* made when a name is first asked for */
    struct list all;           /* upstream.node */
    struct pool openings;
    struct dice dice;
    struct upstreams_host host;
    struct peer_registry *registry; /* the host's, or an own one */
    char *name_servers;        /* instead of the system's; or NULL */
    bool is_draining, is_stopped;
};

/* One entry of `target`. */
struct target_name {
    struct upstream *upstream;
    char *host, *port;  /* NULL: a unix socket */
    const char *text;   /* as the config has it */
    struct resolver_query *query;
    uint64_t stale_at;  /* 0: not asked yet; UINT64_MAX: an address, which does not age */
    char *error;        /* why it has no address; NULL: none is known yet, or it has one */
};

struct upstream {
    struct upstreams *all;
    struct list node;
    struct config_upstream *config;
    struct tls_client *tls;
    struct peer *peer;          /* of a peer, in its home; else NULL */
    struct peer_record *record; /* of a peer */
    struct account *account;    /* of calls that are made for no call of a client */
    struct target_name *names;
    size_t name_count;
    struct target **targets;
    size_t target_count;
    struct candidate *candidates; /* scratch, as many as targets */
    struct list leaving;   /* target.node of those that have no name any more, but links */
    struct list waiting;   /* openings that wait for any target */
    struct task again;     /* looks after `waiting` */
    struct timer wake;     /* the next moment at which a target may be called again */
    size_t next;           /* for balancing */
    uint32_t references;
    uint32_t uses;         /* sets that it is in */
    uint32_t waiting_count; /* openings that wait: here, at targets, for their retry */
    uint64_t calls, retries, refused;
    struct upstream_figures *figures, own_figures;
    uint64_t tokens;       /* that allow retries, in hundredths */
    bool is_started;       /* health is asked */
};

struct target {
    struct upstream *upstream;
    struct target_name *name; /* NULL: of a peer */
    struct list node; /* in upstream.leaving */
    struct sockaddr_storage address;
    socklen_t address_length;
    char *text;
    uint64_t hash;
    struct list links;   /* upstream_link.node */
    struct list waiting; /* opening.node */
    uint32_t waiting_count, streams;
    uint32_t checks; /* calls of health.c */
    uint32_t link_count; /* of those that take calls, now or when they stand */
    bool is_dialling;
    bool is_leaving;
    /* verdict.c */
    uint32_t dial_failures_in_row, failures_in_row, ejections, checks_in_row;
    uint64_t backoff_until, ejected_until;
    uint64_t answered_at;
    bool is_unhealthy;
    char *error; /* of the last dial that failed */
    uint32_t pings_slowed; /* the peer has complained so often */
    struct health_check *health;
    uint64_t calls, failures, dials, dial_failures;
};

/* upstreams.c */
/* Made when it is first needed. */
struct resolver *upstreams_resolver(struct upstreams *upstreams);
const char *upstream_set_node(const struct upstream_set *set);

/* upstream.c */
/* One reference; takes `tls` over. */
struct upstream *upstream_new(struct upstreams *upstreams, struct config_upstream *config, struct tls_client *tls);
void upstream_start(struct upstream *upstream);
/* It is in no set any more. */
void upstream_retire(struct upstream *upstream);
void upstream_add_target(struct upstream *upstream, struct target *target);
void upstream_remove_target(struct upstream *upstream, size_t index);
/* Finds a target for an opening that waits for none; or it waits on, or is refused. */
void upstream_place(struct upstream *upstream, struct opening *opening);
/* Something has changed for those that wait for any target. */
void upstream_look_again(struct upstream *upstream);
void upstream_refuse_waiting(struct upstream *upstream, const char *text);
uint64_t upstream_linger(const struct upstream *upstream);

/* opening.c */
struct opening {
    struct list node; /* in upstream.waiting or target.waiting */
    struct upstream *upstream;
    struct call *call;
    struct target *target; /* it waits for, or is on; NULL: none */
    struct target *last;   /* its last attempt failed there: better another; never followed */
    struct target *only;   /* a health check's; else NULL; never followed */
    struct timer timer;    /* until the next attempt */
    uint64_t key;
    uint64_t attached_at;
    uint32_t unseen; /* attempts that no server has seen */
    uint32_t steps;  /* of the retries' backoff */
    bool has_key, waits, is_attached, is_counted;
    bool has_paid; /* what this attempt does to the tokens is done */
};
bool opening_attach(struct opening *opening, struct target *target, struct rpc_link *link);
/* False: too many do already; it was refused. */
bool opening_may_wait(struct opening *opening);
void opening_wait(struct opening *opening, struct list *list, struct target *target);
void opening_refuse(struct opening *opening, const char *text);
struct call *opening_start(struct upstream *upstream, const struct upstream_request *request);
/* To this target and no other, fit or not. */
struct call *opening_start_on(struct target *target, const struct upstream_request *request);

/* names.c */
void names_init(struct upstream *upstream);
void names_free(struct upstream *upstream);
/* Asks for what is not known or stale; answers come later. */
void names_refresh(struct upstream *upstream);
/* A target could not be reached: perhaps it has moved. */
void names_doubt(struct target_name *name);
/* Why there are no targets; NULL while an answer is on its way. */
const char *names_error(const struct upstream *upstream);

/* target.c */
struct target *target_new(struct target_name *name, const struct sockaddr_storage *address, socklen_t length);
/* Of a peer: stands for all of it in its home, and elsewhere for the home. */
struct target *target_new_for_peer(struct upstream *upstream);
/* No name leads to it any more: its calls finish. */
void target_leave(struct target *target);
void target_free_if_left(struct target *target);
/* Takes the opening: attached now, or when a link has room. */
void target_give(struct target *target, struct opening *opening);
bool target_has_room(const struct target *target);
/* Begins to connect if nothing stands and nothing is on its way. */
void target_warm(struct target *target);
/* Links without calls close if they need not linger. */
void target_close_idle(struct target *target);
/* Of an upstream or a target that ends: a dial that nobody waits for is given up. */
void target_stop_dialling(struct target *target);
void target_cut(struct target *target, const char *reason);
void target_counts(const struct target *target, struct upstream_target_counts *counts);

/* verdict.c */
bool target_is_usable(const struct target *target, uint64_t now);
void target_dial_failed(struct target *target, const char *reason);
void target_connected(struct target *target);
/* An attempt of a call, which began at `since`, has ended. */
void target_judge(struct target *target, const struct rpc_outcome *outcome, uint64_t since);
/* A call on it has had an answer, or the beginning of one. */
void target_answered(struct target *target);
void target_checked(struct target *target, bool is_healthy);
/* The target itself says that it is not serving. */
void target_declined(struct target *target);
/* When it may be called again; UINT64_MAX: nobody knows. */
uint64_t target_usable_at(const struct target *target, uint64_t now);
/* A sentence: why no target can be called. The caller frees it. */
char *verdict_text(const struct upstream *upstream);

/* health.c */
void health_start(struct target *target);
void health_stop(struct target *target);
/* A link takes no more calls: nothing of ours is to keep it. */
void health_let_go(struct target *target);
#endif
