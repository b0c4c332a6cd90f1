/* script/bind_time.c - tidewire.sleep and the clocks for scripts. */
#include "base/clock.h"
#include "script/bind.h"
#include "script/fiber.h"
#include "script/state.h"

static int sleep_for(lua_State *L) {
    struct script *script = script_of(L);
    uint64_t duration = check_seconds(L, 1, "tidewire.sleep(seconds)");
    struct fiber *fiber = fiber_wait(L, script, WAIT_SLEEP, "tidewire.sleep()");
    if (fiber->wait == WAIT_SLEEP) fiber_set_timeout(fiber, loop_update_now(script->host.loop) + duration);
    return fiber_yield(L, fiber);
}

static int now(lua_State *L) {
    lua_pushnumber(L, (double)clock_wall() / NS_PER_S);
    return 1;
}

static int whole_seconds(lua_State *L) {
    lua_pushnumber(L, (double)(clock_wall() / NS_PER_S));
    return 1;
}

static int monotonic(lua_State *L) {
    lua_pushnumber(L, (double)clock_monotonic() / NS_PER_S);
    return 1;
}

void bind_time_add(lua_State *L, struct script *script) {
    set_functions(L, script,
                  (const luaL_Reg[]){{"sleep", sleep_for},
                                     {"now", now},
                                     {"time", whole_seconds},
                                     {"monotonic", monotonic},
                                     {NULL, NULL}});
}
