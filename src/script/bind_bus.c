/* script/bind_bus.c - tidewire.bus(): how what carries topics to other hosts is doing. */
#include "fanout/carrier.h"
#include "script/bind.h"
#include "script/state.h"

static void push_numbers(lua_State *L, const struct carrier_figures *figures) {
    const struct {
        const char *name;
        uint64_t number;
    } numbers[] = {
        {"hosts", figures->hosts},
        {"sent", figures->sent},
        {"received", figures->received},
        {"sent_bytes", figures->sent_bytes},
        {"received_bytes", figures->received_bytes},
        {"waiting", figures->waiting},
        {"dropped_out", figures->dropped_out},
        {"dropped_in", figures->dropped_in},
        {"rejected", figures->rejected},
        {"missed", figures->missed},
        {"connects", figures->connects},
        {"losses", figures->losses},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        lua_pushnumber(L, (double)numbers[i].number);
        lua_setfield(L, -2, numbers[i].name);
    }
}

static int bus(lua_State *L) {
    struct script *script = script_of(L);
    struct carrier_figures figures;
    script_settle(script);
    struct topic_carrier *carrier = topics_carrier(script->host.topics);
    if (!carrier) {
        lua_pushnil(L);
        return 1;
    }
    carrier->describe(carrier, &figures);
    lua_createtable(L, 0, 15);
    push_numbers(L, &figures);
    lua_pushboolean(L, figures.is_connected);
    lua_setfield(L, -2, "connected");
    if (figures.server[0]) {
        lua_pushstring(L, figures.server);
        lua_setfield(L, -2, "server");
    }
    if (figures.error[0]) {
        lua_pushstring(L, figures.error);
        lua_setfield(L, -2, "error");
    }
    return 1;
}

void bind_bus_add(lua_State *L, struct script *script) {
    set_functions(L, script, (const luaL_Reg[]){{"bus", bus}, {NULL, NULL}});
}
