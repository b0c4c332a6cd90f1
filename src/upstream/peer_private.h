/* upstream/peer_private.h - what the files about peers share.
 *
 *   peer.c           one peer in its home: the state machine's hands, and the calls that wait
 *   peer_state.c     what the machine decides
 *   peer_link.c      one connection with the peer, ours or its, from the moment that it stands to its end
 *   peer_dial.c      before that: our dial, up to the peer's consent
 *   peer_arrival.c   before that: the peer's Link, in the home
 *   peer_entrance.c  the route of Link/Connect in the worker that accepted the connection: who is it?
 *   peer_inside.c    sockets between the workers of this process
 *   peer_registry.c  what workers know of each other's peers
 *
 * A peer has a home: the one worker that decides everything about it and has its link. There its upstream has a struct
 * peer. In the other workers it is an ordinary upstream whose one target is the home. */
#ifndef TIDEWIRE_UPSTREAM_PEER_PRIVATE_H
#define TIDEWIRE_UPSTREAM_PEER_PRIVATE_H
#include "net/loop.h"
#include "rpc/tunnel.h"
#include "upstream/peer.h"
#include "upstream/peer_state.h"
#include "upstream/upstream_private.h"

/* What the process knows about a peer, for every worker. */
struct peer_numbers {
    uint64_t links, dialled_links; /* in force: of every struct peer with that id at most one */
    uint64_t connections, streams, waiting;
    uint64_t dials, dial_failures, accepted, refused, simultaneous;
};
struct peer_record;
struct peer_record *peer_record_of(struct peer_registry *registry, const char *id);
uint64_t peer_registry_instance(const struct peer_registry *registry);
uint64_t peer_record_dials(struct peer_record *record);
/* Only the differences count, as a reload may leave several behind. */
void peer_record_add(struct peer_record *record, const struct peer_numbers *before, const struct peer_numbers *now);
void peer_record_set_error(struct peer_record *record, const char *error);
void peer_record_read(struct peer_record *record, struct peer_counts *counts);

struct peer {
    struct upstream *upstream; /* owns it */
    struct target *target;     /* where calls wait: stands for the peer, has no links of its own */
    struct peer_record *record;
    struct peer_numbers told;
    struct peer_state state;
    struct list links;       /* peer_link.node */
    struct peer_link *dial;  /* that is under way; NULL: none */
    struct timer timer;      /* the state's */
    struct task look;
    struct router *calls, *arrivals; /* of sockets from other workers */
    uint32_t failures_in_row;
    char *error;             /* of the last dial; NULL: none, or a link since */
};

/* A connection with the peer. Holds a reference on the upstream. */
struct peer_link {
    struct list node;
    struct peer *peer;
    bool is_ours;            /* we have dialled */
    bool stands;
    bool is_leaving;         /* no calls of ours any more; ends without calls */
    struct rpc_link *link;   /* for our calls: the connection's, or in a tunnel; NULL: none yet */
    struct call *call;       /* Link/Connect, until a tunnel has taken it over */
    struct rpc_tunnel *tunnel; /* ours: for the peer's calls; NULL: none (any more) */
    struct timer timer;      /* ours: until it stands, then linger */
    struct task task;        /* ours: has failed at once */
    uint64_t number;         /* ours */
    struct resolver_query *query;
    struct sockaddr_storage *addresses; /* to be tried */
    socklen_t *lengths;
    size_t address_count, next_address;
    char *reason;            /* why the last of them did not do */
};

/* peer.c */
struct peer *peer_new(struct upstream *upstream);
void peer_free(struct peer **peer);
void peer_start(struct peer *peer);  /* the set is in force */
void peer_retire(struct peer *peer); /* it is in no set any more */
void peer_drain(struct peer *peer);  /* the process ends */
void peer_cut(struct peer *peer);   /* and no more */
uint32_t peer_connections(const struct peer *peer);
void peer_place(struct peer *peer, struct opening *opening);
void peer_waited_enough(struct peer *peer, struct opening *opening);
/* Something has changed: who waits, what stands. */
void peer_look(struct peer *peer);
void peer_look_later(struct peer *peer);
bool peer_is_ending(const struct peer *peer);
void peer_dial_failed(struct peer *peer, const char *reason);
uint64_t peer_now(const struct peer *peer);

/* peer_link.c */
struct peer_link *peer_link_new(struct peer *peer, bool is_ours);
/* Takes it out of the world, at once and without a word to the state. */
void peer_link_free(struct peer_link **link);
void peer_link_stand(struct peer_link *link);
/* It is not the one any more: its calls finish. */
void peer_link_leave(struct peer_link *link);
/* The peer is none any more: it is told to open no calls. */
void peer_link_retire(struct peer_link *link);
void peer_link_changed(struct peer_link *link);
extern const struct rpc_link_events peer_link_events;
extern const struct rpc_tunnel_events peer_tunnel_events;

/* peer_dial.c */
struct peer_link *peer_dial_new(struct peer *peer, uint64_t number);
void peer_dial_changed(struct peer_link *link);
void peer_dial_gone(struct peer_link *link, const char *reason);

/* peer_arrival.c */
extern const struct call_handler peer_arrival_handler; /* data: the struct peer */
void peer_arrival_take(struct peer_link *link, uint64_t void_up_to);
void peer_arrival_refuse(struct peer_link *link);

/* The metadata of Link/Connect. */
#define PEER_NODE "tidewire-node"
#define PEER_TO "tidewire-to"
#define PEER_INSTANCE "tidewire-instance"
#define PEER_DIAL "tidewire-dial"
/* Room for either number, as text. */
enum { PEER_NUMBER_TEXT = 24 };
void peer_write_instance(char text[PEER_NUMBER_TEXT], uint64_t instance);
void peer_write_number(char text[PEER_NUMBER_TEXT], uint64_t number);
bool peer_read_instance(const char *text, size_t length, uint64_t *instance);
bool peer_read_number(const char *text, size_t length, uint64_t *number);

/* peer_inside.c */
bool peer_is_home(const struct upstream *upstream);
/* One end of a socket whose other is served by the home; -1: the process can have no more. `is_arrival`: for a Link that
 * was accepted here, not for our calls. */
int peer_connect_home(const struct upstream *upstream, bool is_arrival);
void peer_add_inner_routes(struct peer *peer);
uint32_t peer_home(const struct upstream *upstream);
#endif
