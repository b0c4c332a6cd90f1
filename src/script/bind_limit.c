/* script/bind_limit.c - tidewire.limit for scripts: token buckets by key, which all workers share. */
#include <math.h>

#include "base/clock.h"
#include "fanout/rate.h"
#include "script/bind.h"
#include "script/names.h"
#include "script/state.h"
#include "script/userdata.h"

enum { MOST_NAME = 256, MOST_KEY = 1024, MOST_KEYS = 1 << 24, USUAL_KEYS = 65536 };

#define SIGNATURE "tidewire.limit { name = …, rate = …[, burst = …, keys = …] }"

struct limit {
    struct rate *rate;
    struct rate_settings settings;
};

/* The field of the options at index 1; 0 where it is missing. */
static double number_option(lua_State *L, const char *name) {
    lua_getfield(L, 1, name);
    if (!lua_isnil(L, -1) && lua_type(L, -1) != LUA_TNUMBER) raise_misuse(L, SIGNATURE);
    double number = lua_tonumber(L, -1);
    lua_pop(L, 1);
    return number;
}

static bool has_option(lua_State *L, const char *name) {
    lua_getfield(L, 1, name);
    bool has = !lua_isnil(L, -1);
    lua_pop(L, 1);
    return has;
}

static struct rate_settings check_settings(lua_State *L) {
    double rate = number_option(L, "rate"), burst = rate > 1 ? rate : 1;
    if (has_option(L, "burst")) burst = number_option(L, "burst");
    double keys = has_option(L, "keys") ? number_option(L, "keys") : USUAL_KEYS;
    if (!(rate >= 1e-6 && rate <= 1e9)) luaL_error(L, "rate is how many a second, from 0.000001 to 1000000000");
    if (!(burst >= 1 && burst <= rate * 1e9))
        luaL_error(L, "burst is how many at once: at least 1, and no more than come in 1000000000 seconds");
    if (!(keys >= 1 && keys <= MOST_KEYS && keys == (double)(uint32_t)keys))
        luaL_error(L, "keys is a whole number from 1 to %d", MOST_KEYS);
    return (struct rate_settings){.interval = (double)NS_PER_S / rate, .burst = burst, .keys = (size_t)keys};
}

static int new_limit(lua_State *L) {
    static const char *const options[] = {"name", "rate", "burst", "keys", NULL};
    struct script *script = script_of(L);
    size_t length;
    if (!lua_istable(L, 1)) return raise_misuse(L, SIGNATURE);
    lua_settop(L, 1);
    names_check_options(L, 1, options, SIGNATURE);
    struct rate_settings settings = check_settings(L);
    lua_getfield(L, 1, "name");
    if (lua_type(L, 2) != LUA_TSTRING) return raise_misuse(L, SIGNATURE);
    const char *name = lua_tolstring(L, 2, &length);
    if (length > MOST_NAME) return luaL_error(L, "the name of a limit has at most %d bytes", MOST_NAME);
    struct limit *limit = userdata_new(L, script->ref.limit_meta, sizeof *limit);
    *limit = (struct limit){.settings = settings, .rate = rate_open(script->host.rates, name, length)};
    if (!limit->rate) return luaL_error(L, "there are too many limits of different names");
    return 1;
}

static int forget(lua_State *L) {
    struct limit *limit = lua_touserdata(L, 1);
    rate_unref(&limit->rate);
    return 0;
}

static int take(lua_State *L) {
    static const char signature[] = "limit:take(key[, n])";
    struct script *script = script_of(L);
    const struct limit *limit = userdata_check(L, script->ref.limit_meta, signature);
    double tokens = lua_isnoneornil(L, 3) ? 1 : lua_type(L, 3) == LUA_TNUMBER ? lua_tonumber(L, 3) : -1;
    size_t length;
    if ((lua_type(L, 2) != LUA_TSTRING && lua_type(L, 2) != LUA_TNUMBER) || !(tokens >= 0))
        return raise_misuse(L, signature);
    lua_pushvalue(L, 2); /* a number that is made a text stays one for the caller */
    const char *key = lua_tolstring(L, -1, &length);
    if (length > MOST_KEY) return luaL_error(L, "limit:take: a key has at most %d bytes", MOST_KEY);
    uint64_t wait = rate_take(limit->rate, &limit->settings, key, length, tokens, loop_now(script->host.loop));
    if (!wait) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushnil(L);
    lua_pushliteral(L, "limited");
    lua_pushnumber(L, wait == RATE_NEVER ? HUGE_VAL : (double)wait / (double)NS_PER_S);
    return 3;
}

void bind_limit_open(struct script *script) {
    script->ref.limit_meta = userdata_class(script, "a limit", (const luaL_Reg[]){{"take", take}, {NULL, NULL}}, forget);
}

void bind_limit_add(lua_State *L, struct script *script) {
    set_functions(L, script, (const luaL_Reg[]){{"limit", new_limit}, {NULL, NULL}});
}
