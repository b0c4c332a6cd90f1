/* Two nodes and the network between them, as a model: every order of what may happen is run, each state once. Messages
 * of one connection keep their order, those of several do not; connecting may take longer than anything else. As often
 * as the case says a dial fails, a connection is lost, a node is started anew. */
#include "upstream/peer_state.h"

#include <stddef.h>

#include "base/map.h"
#include "base/memory.h"
#include "check.h"

enum { LOW, HIGH };
enum { MOST_WIRES = 8, MOST_MAIL = 4 };
#define LATER (UINT64_MAX / 2)

enum mail { NOTHING, LINK, TAKEN, SUPERSEDED, CLOSED };

/* One connection. Side 0 is the dialler's, 1 the acceptor's: `mail` is on its way to that side. */
struct wire {
    uint8_t dialler;
    bool is_there, is_connected;
    bool is_open[2]; /* for that side */
    uint8_t mail[2][MOST_MAIL];
    uint8_t number, instance, answer_instance, answer_void;
};

struct node {
    struct peer_state state;
    uint8_t instance;
    bool is_cut;    /* its dials never get through */
    bool is_served; /* had a link while it wanted one */
    bool wants_always;
    int8_t dialling; /* wire, or -1 */
};

struct world {
    struct node nodes[2];
    struct wire wires[MOST_WIRES];
    uint8_t failures, losses, restarts; /* that may still happen */
    uint64_t simultaneous;              /* of nodes that were started anew since, too */
};

static struct world world; /* the one that is being changed */
static struct node *self;  /* whose state has been called */

/* A wire as a state knows it. */
static void *link_of(size_t wire) { return (void *)(uintptr_t)(wire + 1); }
static struct wire *wire_of(const void *link) { return &world.wires[(uintptr_t)link - 1]; }
static int side_of(const struct wire *wire, size_t node) { return wire->dialler == node ? 0 : 1; }

static void post(struct wire *wire, int side, enum mail mail) {
    size_t at = 0;
    if (!wire->is_open[side]) return;
    while (wire->mail[side][at]) at++;
    CHECK(at < MOST_MAIL);
    wire->mail[side][at] = (uint8_t)mail;
}

static void close_side(struct wire *wire, int side) {
    wire->is_open[side] = false;
    memset(wire->mail[side], 0, MOST_MAIL);
    post(wire, !side, CLOSED);
    if (!wire->is_open[!side]) memset(wire, 0, sizeof *wire);
}

static size_t me(void) { return (size_t)(self - world.nodes); }

/* ---- what a state does ---- */

static void act_dial(void *context, uint64_t number) {
    (void)context;
    size_t at = 0;
    while (at < MOST_WIRES && world.wires[at].is_there) at++;
    CHECK(at < MOST_WIRES); /* or the nodes dial without an end */
    world.wires[at] = (struct wire){.dialler = (uint8_t)me(), .is_there = true, .is_open = {true, false}, .number = (uint8_t)number};
    self->dialling = (int8_t)at;
}

static void act_give_up(void *context) {
    (void)context;
    CHECK(self->dialling >= 0);
    close_side(&world.wires[self->dialling], 0);
    self->dialling = -1;
}

static void act_take(void *context, void *link, uint64_t void_up_to) {
    (void)context;
    struct wire *wire = wire_of(link);
    CHECK(wire->dialler != me() && wire->is_open[1]);
    wire->answer_instance = self->instance;
    wire->answer_void = (uint8_t)void_up_to;
    post(wire, 0, TAKEN);
}

static void act_refuse(void *context, void *link) {
    (void)context;
    struct wire *wire = wire_of(link);
    CHECK(wire->dialler != me() && wire->is_open[1]);
    post(wire, 0, SUPERSEDED);
    close_side(wire, 1);
}

static void act_let_go(void *context, void *link) {
    (void)context;
    struct wire *wire = wire_of(link);
    close_side(wire, side_of(wire, me()));
}

static const struct peer_actions actions = {act_dial, act_give_up, act_take, act_refuse, act_let_go};

/* ---- what may happen ---- */

static void settle(void) {
    if (!self->state.link) return;
    self->is_served = true;
    if (!self->wants_always) peer_state_want(&self->state, false, 0);
}

static void deliver(size_t at, int side) {
    struct wire *wire = &world.wires[at];
    enum mail mail = (enum mail)wire->mail[side][0];
    memmove(wire->mail[side], wire->mail[side] + 1, MOST_MAIL - 1);
    wire->mail[side][MOST_MAIL - 1] = NOTHING;
    self = &world.nodes[side ? !wire->dialler : wire->dialler];
    bool is_dial = self->dialling == (int8_t)at;
    if (is_dial && mail != LINK) self->dialling = -1;
    switch (mail) {
    case LINK: peer_state_came(&self->state, link_of(at), wire->instance, wire->number, 0); break;
    case TAKEN: peer_state_taken(&self->state, link_of(at), wire->answer_instance, wire->answer_void); break;
    case SUPERSEDED:
        close_side(wire, side);
        peer_state_superseded(&self->state, 0);
        break;
    default:
        close_side(wire, side);
        if (is_dial) peer_state_failed(&self->state, 1, 0);
        else peer_state_gone(&self->state, link_of(at), 0);
    }
    settle();
}

static void connect_wire(size_t at) {
    struct wire *wire = &world.wires[at];
    self = &world.nodes[wire->dialler];
    wire->is_connected = wire->is_open[1] = true;
    wire->instance = self->instance;
    peer_state_asked(&self->state);
    post(wire, 1, LINK);
}

static void fail(size_t at) {
    struct wire *wire = &world.wires[at];
    self = &world.nodes[wire->dialler];
    world.failures--;
    self->dialling = -1;
    close_side(wire, 0);
    peer_state_failed(&self->state, 1, 0);
    settle();
}

/* What is on its way is lost with it. */
static void lose(size_t at) {
    struct wire *wire = &world.wires[at];
    world.losses--;
    for (int side = 0; side < 2; side++)
        if (wire->is_open[side]) {
            memset(wire->mail[side], 0, MOST_MAIL);
            post(wire, side, CLOSED);
        }
}

static void start_node(size_t at, bool wants, bool can_dial) {
    self = &world.nodes[at];
    peer_state_init(&self->state, at == LOW, can_dial, 0, &actions, NULL);
    self->dialling = -1;
    peer_state_want(&self->state, wants, 0);
}

static void restart(size_t at) {
    struct node *node = self = &world.nodes[at];
    world.restarts--;
    world.simultaneous += node->state.simultaneous;
    for (size_t i = 0; i < MOST_WIRES; i++) {
        struct wire *wire = &world.wires[i];
        int side = side_of(wire, at);
        if (wire->is_there && wire->is_open[side]) close_side(wire, side);
    }
    node->instance++;
    start_node(at, node->wants_always || !node->is_served, node->state.can_dial);
}

/* Takes the nth thing that may happen next. False: there are fewer. Timers may be fast, and fire before everything else,
 * or slow, and fire when nothing else is left to happen. */
static bool happens(size_t nth, bool is_slow) {
    size_t left = nth + 1;
    for (size_t at = 0; at < MOST_WIRES; at++) {
        struct wire *wire = &world.wires[at];
        bool is_cut = world.nodes[wire->dialler].is_cut;
        if (!wire->is_there) continue;
        for (int side = 0; side < 2; side++)
            if (wire->mail[side][0] && --left == 0) return deliver(at, side), true;
        if (!wire->is_connected && !is_cut && --left == 0) return connect_wire(at), true;
        if (!wire->is_connected && world.failures && --left == 0) return fail(at), true;
        if (wire->is_connected && world.losses && --left == 0) return lose(at), true;
    }
    for (size_t at = 0; at < 2; at++)
        if (world.restarts && --left == 0) return restart(at), true;
    if (is_slow && left != nth + 1) return false;
    for (size_t at = 0; at < 2; at++) {
        struct node *node = &world.nodes[at];
        if (peer_state_due(&node->state) == UINT64_MAX || --left) continue;
        self = node;
        peer_state_tick(&node->state, LATER);
        settle();
        return true;
    }
    return false;
}

/* ---- what must hold ---- */

static size_t open_wires(void) {
    size_t count = 0;
    for (size_t at = 0; at < MOST_WIRES; at++) count += world.wires[at].is_there;
    return count;
}

static void check_always(void) {
    for (size_t at = 0; at < 2; at++) {
        const struct peer_state *state = &world.nodes[at].state;
        CHECK(!state->link || state->dial == PEER_NO_DIAL);
        CHECK(!state->held || (state->is_low && state->dial != PEER_NO_DIAL));
        CHECK((state->dial != PEER_NO_DIAL) == (world.nodes[at].dialling >= 0));
    }
}

static void check_end(void) {
    const struct node *low = &world.nodes[LOW], *high = &world.nodes[HIGH];
    CHECK(low->is_served || !low->state.is_wanted);
    CHECK(high->is_served || !high->state.is_wanted);
    CHECK(low->state.link == high->state.link);
    CHECK_INT(open_wires(), low->state.link ? 1 : 0);
    CHECK(!low->state.held && low->state.dial == PEER_NO_DIAL && high->state.dial == PEER_NO_DIAL);
    if (!low->state.link) {
        CHECK(!low->wants_always && !high->wants_always);
        return;
    }
    CHECK(low->state.is_dialled != high->state.is_dialled);
}

/* ---- every order ---- */

struct scene {
    const char *name;
    bool wants[2], cannot_dial[2], is_cut[2];
    bool wants_always;
    uint8_t failures, losses, restarts;
    bool has_slow_timers;
    bool is_simultaneous; /* both dials are in flight at once: somebody must have noticed */
    int8_t dialler;       /* whose dial must be the link in the end, + 1; 0: no matter */
};

/* States are copied where they stand: what they count is no part of what may follow. */
static bool is_new(struct map *seen) {
    struct world key = world;
    for (size_t i = 0; i < 2; i++) {
        struct peer_state *state = &key.nodes[i].state;
        state->dial_failures = state->accepted = state->refused = 0;
    }
    return !map_put(seen, &key, sizeof key, seen);
}

static void check_scene(const struct scene *scene) {
    const struct peer_state *low = &world.nodes[LOW].state, *high = &world.nodes[HIGH].state;
    if (scene->is_simultaneous) CHECK(world.simultaneous + low->simultaneous + high->simultaneous);
    if (scene->dialler) CHECK(world.nodes[scene->dialler - 1].state.is_dialled);
    if (scene->wants_always) CHECK(low->link);
}

static void explore(const struct scene *scene) {
    struct map seen = {0};
    struct world *open = memory_resize(NULL, sizeof *open);
    size_t count = 1, room = 1, states = 1, ends = 0;
    open[0] = world;
    while (count) {
        struct world from = open[--count];
        size_t nth = 0;
        for (;; nth++) {
            world = from;
            if (!happens(nth, scene->has_slow_timers)) break;
            check_always();
            if (!is_new(&seen)) continue;
            states++;
            if (count == room) open = memory_resize(open, (room *= 2) * sizeof *open);
            open[count++] = world;
        }
        if (nth) continue;
        ends++;
        check_end();
        check_scene(scene);
    }
    free(open);
    map_free(&seen, NULL);
    fprintf(stderr, "  %s: %zu states, %zu ends\n", scene->name, states, ends);
    CHECK(ends);
}

static void play(const struct scene *scene) {
    memset(&world, 0, sizeof world);
    world.failures = scene->failures;
    world.losses = scene->losses;
    world.restarts = scene->restarts;
    for (size_t at = 0; at < 2; at++) {
        world.nodes[at].wants_always = scene->wants_always;
        world.nodes[at].is_cut = scene->is_cut[at];
        world.nodes[at].instance = (uint8_t)(100 * (at + 1));
        start_node(at, scene->wants[at], !scene->cannot_dial[at]);
    }
    explore(scene);
}

static void every_order_ends_with_one_connection_and_nobody_waiting(void) {
    static const struct scene scenes[] = {
        {.name = "low dials", .wants = {true, false}, .dialler = LOW + 1},
        {.name = "high dials", .wants = {false, true}, .dialler = HIGH + 1},
        {.name = "both dial", .wants = {true, true}, .is_simultaneous = true},
        {.name = "both dial, slow timers", .wants = {true, true}, .has_slow_timers = true, .is_simultaneous = true,
         .dialler = LOW + 1},
        {.name = "both dial, always", .wants = {true, true}, .wants_always = true, .is_simultaneous = true},
        {.name = "low is behind NAT", .wants = {true, true}, .cannot_dial = {false, true}, .dialler = LOW + 1},
        {.name = "high is behind NAT", .wants = {true, true}, .cannot_dial = {true, false}, .dialler = HIGH + 1},
        {.name = "low's dials are lost", .wants = {true, true}, .is_cut = {true, false}, .is_simultaneous = true,
         .dialler = HIGH + 1},
        {.name = "high's dials are lost", .wants = {true, true}, .is_cut = {false, true}, .is_simultaneous = true,
         .dialler = LOW + 1},
        {.name = "dials fail", .wants = {true, true}, .failures = 3},
        {.name = "a connection is lost", .wants = {true, true}, .wants_always = true, .losses = 1},
        {.name = "connections are lost, slow timers", .wants = {true, true}, .wants_always = true, .losses = 2,
         .has_slow_timers = true},
        {.name = "a node restarts", .wants = {true, true}, .wants_always = true, .restarts = 1},
        {.name = "everything once", .wants = {true, true}, .wants_always = true, .failures = 1, .losses = 1,
         .restarts = 1, .has_slow_timers = true},
        {.name = "everything once, on demand", .wants = {true, true}, .failures = 1, .losses = 1, .restarts = 1},
    };
    for (size_t i = 0; i < sizeof scenes / sizeof *scenes; i++) play(&scenes[i]);
}

int main(void) {
    RUN(every_order_ends_with_one_connection_and_nobody_waiting);
    return 0;
}
