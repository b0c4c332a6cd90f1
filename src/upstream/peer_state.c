/* upstream/peer_state.c - see peer_state.h */
#include "upstream/peer_state.h"

#include <stddef.h>

void peer_state_init(struct peer_state *state, bool is_low, bool can_dial, uint64_t dials,
                     const struct peer_actions *actions, void *context) {
    *state = (struct peer_state){.actions = actions,
                                 .context = context,
                                 .is_low = is_low,
                                 .can_dial = can_dial,
                                 .dials = dials,
                                 .patient_until = UINT64_MAX};
}

static bool may_dial(const struct peer_state *state) {
    return state->is_wanted && state->can_dial && !state->link && !state->held && state->dial == PEER_NO_DIAL;
}

static void dial_if_wanted(struct peer_state *state, uint64_t now) {
    if (!may_dial(state) || now < state->dial_after) return;
    state->dial = PEER_CONNECTING;
    state->is_counted = false;
    state->actions->dial(state->context, ++state->dials);
}

static void end_dial(struct peer_state *state) {
    state->dial = PEER_NO_DIAL;
    state->patient_until = UINT64_MAX;
}

static void give_up(struct peer_state *state) {
    if (state->dial == PEER_NO_DIAL) return;
    end_dial(state);
    state->actions->give_up(state->context);
}

/* ---- the other's dials ---- */

static bool is_void(const struct peer_state *state, uint64_t instance, uint64_t number) {
    return instance == state->instance && number <= state->void_up_to;
}

static void note_void(struct peer_state *state, uint64_t instance, uint64_t up_to) {
    if (is_void(state, instance, up_to)) return;
    state->instance = instance;
    state->void_up_to = up_to;
}

static void refuse(struct peer_state *state, void *link) {
    state->refused++;
    state->actions->refuse(state->context, link);
}

static void *take_held(struct peer_state *state) {
    void *link = state->held;
    state->held = NULL;
    state->patient_until = UINT64_MAX;
    return link;
}

static void take(struct peer_state *state, void *link, uint64_t instance, uint64_t number) {
    void *before = state->link;
    give_up(state);
    note_void(state, instance, number);
    state->link = link;
    state->is_dialled = false;
    state->dial_after = 0;
    state->accepted++;
    if (before) state->actions->let_go(state->context, before);
    state->actions->take(state->context, link, state->dials);
}

static void hold(struct peer_state *state, void *link, uint64_t instance, uint64_t number, uint64_t now) {
    if (state->held)
        refuse(state, take_held(state)); /* the other has given it up, or it would not have asked again */
    state->held = link;
    state->held_instance = instance;
    state->held_number = number;
    state->patient_until = state->dial == PEER_CONNECTING ? now + PEER_PATIENCE : UINT64_MAX;
}

void peer_state_came(struct peer_state *state, void *link, uint64_t instance, uint64_t number, uint64_t now) {
    if (is_void(state, instance, number)) {
        refuse(state, link);
        return;
    }
    if (state->dial != PEER_NO_DIAL && !state->is_counted) {
        state->is_counted = true;
        state->simultaneous++;
    }
    if (state->dial != PEER_NO_DIAL && state->is_low)
        hold(state, link, instance, number, now);
    else
        take(state, link, instance, number);
}

static void take_what_is_held(struct peer_state *state) {
    if (state->held) take(state, take_held(state), state->held_instance, state->held_number);
}

void peer_state_gone(struct peer_state *state, const void *link, uint64_t now) {
    if (link == state->held) take_held(state);
    if (link == state->link) state->link = NULL;
    dial_if_wanted(state, now);
}

/* ---- our own ---- */

void peer_state_want(struct peer_state *state, bool is_wanted, uint64_t now) {
    state->is_wanted = is_wanted;
    dial_if_wanted(state, now);
}

void peer_state_asked(struct peer_state *state) {
    state->dial = PEER_ASKED;
    state->patient_until = UINT64_MAX;
}

void peer_state_taken(struct peer_state *state, void *link, uint64_t instance, uint64_t void_up_to) {
    end_dial(state);
    note_void(state, instance, void_up_to);
    state->link = link;
    state->is_dialled = true;
    state->dial_after = 0;
    if (state->held) refuse(state, take_held(state));
}

void peer_state_superseded(struct peer_state *state, uint64_t now) {
    end_dial(state);
    state->dial_after = now + PEER_SUPERSEDED_WAIT;
    take_what_is_held(state);
}

void peer_state_failed(struct peer_state *state, uint64_t wait, uint64_t now) {
    end_dial(state);
    state->dial_failures++;
    state->dial_after = now + wait;
    take_what_is_held(state);
}

/* ---- time ---- */

uint64_t peer_state_due(const struct peer_state *state) {
    return may_dial(state) ? state->dial_after : state->patient_until;
}

void peer_state_tick(struct peer_state *state, uint64_t now) {
    if (now >= state->patient_until) take_what_is_held(state);
    dial_if_wanted(state, now);
}

void peer_state_stop(struct peer_state *state) {
    give_up(state);
    if (state->held) refuse(state, take_held(state));
}
