/* script/bind_channel.c - tidewire.channel for scripts: a queue of Lua values between the coroutines of one worker.
 *
 * Values that are queued stand in the channel's environment table, as a ring. A coroutine that finds it empty, or full,
 * waits in a row; who comes behind it does not get past. So nobody waits to get while there is a value, nor to put while
 * there is room. */
#include "script/bind.h"
#include "script/fiber.h"
#include "script/generation.h"
#include "script/names.h"
#include "script/state.h"
#include "script/userdata.h"

enum { MOST_VALUES = 1 << 20 };

struct channel {
    struct list getters, putters; /* fibers that wait */
    uint32_t room;                /* values that may be queued */
    uint32_t first, count;        /* of the ring */
    bool is_closed;
};

static struct channel *check_channel(lua_State *L, const char *signature) {
    return userdata_check(L, script_of(L)->ref.channel_meta, signature);
}

/* ---- the ring, of the channel at index 1 ---- */

static int place_of(const struct channel *channel, uint32_t number) {
    return (int)((channel->first + number) % channel->room) + 1;
}

/* Takes the value at the top of the stack. */
static void append(lua_State *L, struct channel *channel) {
    lua_getfenv(L, 1);
    lua_insert(L, -2);
    lua_rawseti(L, -2, place_of(channel, channel->count));
    lua_pop(L, 1);
    channel->count++;
}

static void push_first(lua_State *L, struct channel *channel) {
    int place = place_of(channel, 0);
    lua_getfenv(L, 1);
    lua_rawgeti(L, -1, place);
    lua_pushnil(L);
    lua_rawseti(L, -3, place);
    lua_remove(L, -2);
    /* An empty one begins at its beginning again, so that the table grows no further than the queue has been long. */
    channel->first = --channel->count ? (uint32_t)place % channel->room : 0;
}

/* ---- putting and getting ---- */

static void forget_value(struct fiber *fiber) { drop_ref(fiber->generation->script->L, &fiber->value); }

static int put(lua_State *L) {
    static const char signature[] = "channel:put(value[, timeout])";
    struct channel *channel = check_channel(L, signature);
    uint64_t timeout = check_timeout(L, 3, signature);
    if (lua_isnoneornil(L, 2)) return luaL_error(L, "channel:put: nil cannot be put, it is what a closed channel gives");
    if (channel->is_closed) return nil_and(L, "closed");
    lua_settop(L, 2);
    struct fiber *getter = fiber_first(&channel->getters);
    if (getter) {
        lua_xmove(L, getter->L, 1);
        fiber_wake(getter, 1);
    } else if (channel->count < channel->room) {
        append(L, channel);
    } else if (timeout == 0) {
        return nil_and(L, "timeout");
    } else {
        struct fiber *fiber = fiber_wait_in_row(L, script_of(L), &channel->putters, timeout, "channel:put()");
        if (fiber->wait == WAIT_ROW) {
            fiber->value = luaL_ref(L, LUA_REGISTRYINDEX);
            fiber->on_leave = forget_value;
        }
        return fiber_yield(L, fiber);
    }
    lua_pushboolean(L, 1);
    return 1;
}

/* Pushes the value of the first that waits to put, who goes on. */
static void push_from_putter(lua_State *L, struct fiber *putter) {
    push_ref(L, putter->value);
    lua_pushboolean(putter->L, 1);
    fiber_wake(putter, 1);
}

static int get_within(lua_State *L, struct channel *channel, uint64_t timeout) {
    struct fiber *putter = fiber_first(&channel->putters);
    if (channel->count) {
        push_first(L, channel);
        if (!putter) return 1;
        push_from_putter(L, putter);
        append(L, channel);
        return 1;
    }
    if (putter) {
        push_from_putter(L, putter);
        return 1;
    }
    if (channel->is_closed) return nil_and(L, "closed");
    if (timeout == 0) return nil_and(L, "timeout");
    return fiber_yield(L, fiber_wait_in_row(L, script_of(L), &channel->getters, timeout, "channel:get()"));
}

static int get(lua_State *L) {
    static const char signature[] = "channel:get([timeout])";
    struct channel *channel = check_channel(L, signature);
    uint64_t timeout = check_timeout(L, 2, signature);
    lua_settop(L, 1);
    return get_within(L, channel, timeout);
}

/* (channel), for a loop: the value before is of no interest. */
static int next_value(lua_State *L) {
    struct channel *channel = check_channel(L, "for value in channel:values() do");
    lua_settop(L, 1);
    return get_within(L, channel, FIBER_FOREVER);
}

static int values(lua_State *L) {
    check_channel(L, "for value in channel:values() do");
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushcclosure(L, next_value, 1);
    lua_insert(L, 1);
    return 2;
}

static int count(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)check_channel(L, "channel:count()")->count);
    return 1;
}

/* ---- its life ---- */

static int close_channel(lua_State *L) {
    struct channel *channel = check_channel(L, "channel:close()");
    channel->is_closed = true;
    fibers_wake_closed(&channel->getters);
    fibers_wake_closed(&channel->putters);
    return 0;
}

/* Nobody can put or get any more: who waits in it holds it no longer himself. */
static int forget(lua_State *L) {
    struct channel *channel = lua_touserdata(L, 1);
    fibers_wake_closed(&channel->getters);
    fibers_wake_closed(&channel->putters);
    return 0;
}

static int new_channel(lua_State *L) {
    static const char signature[] = "tidewire.channel(n): how many values may be queued, 0 to 1048576";
    double room = lua_type(L, 1) == LUA_TNUMBER ? lua_tonumber(L, 1) : -1;
    if (!(room >= 0 && room <= MOST_VALUES && room == (double)(uint32_t)room)) return raise_misuse(L, signature);
    struct channel *channel = userdata_new(L, script_of(L)->ref.channel_meta, sizeof *channel);
    *channel = (struct channel){.room = (uint32_t)room};
    list_init(&channel->getters);
    list_init(&channel->putters);
    lua_newtable(L);
    lua_setfenv(L, -2);
    return 1;
}

void bind_channel_open(struct script *script) {
    const luaL_Reg functions[] = {{"put", put}, {"get", get}, {"values", values}, {"count", count},
                                  {"close", close_channel}, {NULL, NULL}};
    script->ref.channel_meta = userdata_class(script, "a channel", functions, forget);
}

void bind_channel_add(lua_State *L, struct script *script) {
    set_functions(L, script, (const luaL_Reg[]){{"channel", new_channel}, {NULL, NULL}});
}
