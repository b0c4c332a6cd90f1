/* upstream/peer_state.h - what one of two nodes decides about their one connection. Pure: it is told what happens and
 * says what to do, so that a test can run every order of events.
 *
 * Both may dial at the same time. Every dial has a number, and asks the other ("its Link") for its consent once it is
 * connected. The dial of the node with the lower id ("low") survives:
 *
 *   high  takes low's Link at once, and gives its own dial up. Its answer says how far its own dials are void, so that
 *         low knows a Link of one that is still on its way.
 *   low   lets high's Link wait for the answer to its own: if that was taken, high's is refused as superseded, else
 *         taken. A dial that is not connected yet has PEER_PATIENCE to ask: perhaps low cannot reach high at all.
 *
 * A node that has a link takes any newer one in its place: the other has lost the old one, or was started anew.
 *
 * Links are the user's pointers. A node has a link or a dial, never both. */
#ifndef TIDEWIRE_UPSTREAM_PEER_STATE_H
#define TIDEWIRE_UPSTREAM_PEER_STATE_H
#include <stdbool.h>
#include <stdint.h>

#define PEER_PATIENCE UINT64_C(500000000)         /* ns */
#define PEER_SUPERSEDED_WAIT UINT64_C(1000000000) /* for the Link that has superseded ours, before we dial again */

/* What the user does when it is told so; none may call a function of this header. */
struct peer_actions {
    /* Connect, then send a Link with this number. */
    void (*dial)(void *context, uint64_t number);
    /* Close that; nothing more is to be told of it. */
    void (*give_up)(void *context);
    /* Answer a Link: it is the link from now on. `void_up_to`: our own dials up to this number are. */
    void (*take)(void *context, void *link, uint64_t void_up_to);
    /* Refuse it, as superseded; nothing more is to be told of it. */
    void (*refuse)(void *context, void *link);
    /* Another is the link now: let the calls on this one finish. Nothing more is to be told of it. */
    void (*let_go)(void *context, void *link);
};

struct peer_state {
    const struct peer_actions *actions;
    void *context;
    bool is_low, can_dial;
    bool is_wanted; /* somebody waits for a link */
    enum { PEER_NO_DIAL, PEER_CONNECTING, PEER_ASKED } dial;
    bool is_counted;      /* this dial, as simultaneous */
    uint64_t dials;       /* the number of the last */
    uint64_t dial_after;  /* not earlier */
    uint64_t patient_until; /* with a held Link; UINT64_MAX: as long as it takes */
    void *link;           /* NULL: none */
    bool is_dialled;      /* the link is ours, not the other's */
    void *held;           /* the other's Link that waits for our own; NULL: none */
    uint64_t held_instance, held_number;
    uint64_t instance, void_up_to; /* the other's dials up to this, of that instance, are void or were here */
    uint64_t dial_failures, accepted, refused, simultaneous; /* ever */
};

/* `dials`: the number of the last dial that this process has made to the other. */
void peer_state_init(struct peer_state *state, bool is_low, bool can_dial, uint64_t dials,
                     const struct peer_actions *actions, void *context);
void peer_state_want(struct peer_state *state, bool is_wanted, uint64_t now);

/* Of our dial: it has sent its Link; the other takes it; refuses it as superseded; it has failed, and the next may come
 * after `wait` ns. */
void peer_state_asked(struct peer_state *state);
void peer_state_taken(struct peer_state *state, void *link, uint64_t instance, uint64_t void_up_to);
void peer_state_superseded(struct peer_state *state, uint64_t now);
void peer_state_failed(struct peer_state *state, uint64_t wait, uint64_t now);

/* A Link of the other has come: it is taken, refused or held. `instance`: of the process that has sent it. */
void peer_state_came(struct peer_state *state, void *link, uint64_t instance, uint64_t number, uint64_t now);
/* The link, or a held one, is lost, or takes no more calls. Others are of no interest. */
void peer_state_gone(struct peer_state *state, const void *link, uint64_t now);

/* When peer_state_tick() is due; UINT64_MAX: never. */
uint64_t peer_state_due(const struct peer_state *state);
void peer_state_tick(struct peer_state *state, uint64_t now);
/* Gives up a dial, and refuses a Link that is held. */
void peer_state_stop(struct peer_state *state);
#endif
