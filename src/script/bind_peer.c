/* script/bind_peer.c - tidewire.peer(name): another gateway, to which streams are opened as to an upstream. */
#include <string.h>

#include "script/bind.h"
#include "script/bind_client.h"
#include "script/generation.h"
#include "script/names.h"
#include "script/state.h"
#include "script/userdata.h"
#include "upstream/peer.h"

#define OPEN "peer:open(\"pkg.Service/Method\"" CLIENT_OPEN_OPTIONS ")"
#define CALL "peer:call(\"pkg.Service/Method\", request" CLIENT_CALL_OPTIONS ")"

/* Only a name: whose connection it is, is known to the upstream of that name in the generation that asks. */
struct peer_object {
    size_t service; /* struct client_form's */
    char name[];
};

enum property { NAME = 1, ID, CONNECTED };
static const char *const property_names[] = {[NAME] = "name", [ID] = "id", [CONNECTED] = "connected"};

static struct peer_object *check_peer(lua_State *L, const char *signature) {
    return userdata_check(L, script_of(L)->ref.peer_meta, signature);
}

/* ---- opening ---- */

/* The upstream's name takes the object's place among the arguments. */
static struct client_form take_name(lua_State *L, const char *signature) {
    const struct peer_object *peer = check_peer(L, signature);
    size_t service = peer->service;
    lua_pushstring(L, peer->name);
    lua_replace(L, 1);
    return (struct client_form){signature, service};
}

static int open_stream(lua_State *L) { return bind_client_open(L, take_name(L, OPEN)); }
static int call(lua_State *L) { return bind_client_call(L, take_name(L, CALL)); }

/* ---- what is known of it ---- */

/* Before the generation is in force it has no connections. */
static struct peer_counts counts_of(const struct generation *generation, const struct config_upstream *config) {
    struct peer_counts counts = {.name = config->name, .id = config->peer.id};
    const struct upstream *upstream =
        generation->upstreams ? upstream_set_find(generation->upstreams, config->name) : NULL;
    if (upstream) peer_counts(upstream, &counts);
    return counts;
}

static int push_property(lua_State *L, const struct peer_object *peer, enum property property) {
    const struct generation *generation = check_generation(L, script_of(L), "a peer");
    const struct config_upstream *config = config_find_upstream(generation->config, peer->name);
    struct peer_counts counts = counts_of(generation, config);
    if (property == CONNECTED) lua_pushboolean(L, counts.is_connected);
    else lua_pushstring(L, property == NAME ? counts.name : counts.id);
    return 1;
}

/* (peer, name); the metatable is locked, so the first argument is one. Upvalues: the script, and the names. */
static int peer_index(lua_State *L) {
    lua_settop(L, 2);
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(2));
    if (lua_isfunction(L, -1)) return 1;
    if (!lua_isnumber(L, -1)) return names_raise_unknown(L, "a peer", 2, lua_upvalueindex(2), NULL);
    return push_property(L, lua_touserdata(L, 1), (enum property)lua_tointeger(L, -1));
}

static int peer_newindex(lua_State *L) {
    const char *name = lua_tostring(L, 2);
    return luaL_error(L, "peer.%s cannot be set", name ? name : "?");
}

static int peer_tostring(lua_State *L) {
    const struct peer_object *peer = check_peer(L, "a peer");
    lua_pushfstring(L, "peer %s", peer->name);
    return 1;
}

/* ---- tidewire.peer, tidewire.peers ---- */

static const struct config_upstream *check_name(lua_State *L, const struct generation *generation, const char *name) {
    const struct config *config = generation->config;
    const char **names = lua_newuserdata(L, (config->upstream_count + 1) * sizeof *names);
    size_t count = 0;
    for (size_t i = 0; i < config->upstream_count; i++) {
        const struct config_upstream *one = config->upstreams[i];
        if (!one->peer.id) continue;
        if (strcmp(one->name, name) == 0) return one;
        names[count++] = one->name;
    }
    names[count] = NULL;
    names_raise_missing(L, "the config has no peer", name, names);
    return NULL;
}

static int find_peer(lua_State *L) {
    static const char signature[] = "tidewire.peer(name)";
    struct script *script = script_of(L);
    script_settle(script);
    if (lua_type(L, 1) != LUA_TSTRING) return raise_misuse(L, signature);
    const char *name = check_name(L, check_generation(L, script, signature), lua_tostring(L, 1))->name;
    struct peer_object *peer = userdata_new(L, script->ref.peer_meta, sizeof *peer + strlen(name) + 1);
    peer->service = (size_t)lua_tointeger(L, lua_upvalueindex(2));
    strcpy(peer->name, name);
    return 1;
}

static void push_counts(lua_State *L, const struct peer_counts *counts) {
    const struct {
        const char *name;
        uint64_t number;
    } numbers[] = {
        {"connections", counts->connections}, {"streams", counts->streams},
        {"waiting", counts->waiting},         {"dials", counts->dials},
        {"dial_failures", counts->dial_failures}, {"accepted", counts->accepted},
        {"refused", counts->refused},         {"simultaneous", counts->simultaneous},
    };
    lua_createtable(L, 0, 12);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        lua_pushnumber(L, (double)numbers[i].number);
        lua_setfield(L, -2, numbers[i].name);
    }
    lua_pushstring(L, counts->id);
    lua_setfield(L, -2, "id");
    lua_pushboolean(L, counts->is_connected);
    lua_setfield(L, -2, "connected");
    lua_pushboolean(L, counts->is_dialled_by_us);
    lua_setfield(L, -2, "dialled");
    if (!counts->error[0]) return;
    lua_pushstring(L, counts->error);
    lua_setfield(L, -2, "error");
}

static int peers(lua_State *L) {
    struct script *script = script_of(L);
    script_settle(script);
    const struct generation *generation = check_generation(L, script, "tidewire.peers()");
    lua_newtable(L);
    for (size_t i = 0; i < generation->config->upstream_count; i++) {
        const struct config_upstream *config = generation->config->upstreams[i];
        if (!config->peer.id) continue;
        struct peer_counts counts = counts_of(generation, config);
        push_counts(L, &counts);
        lua_setfield(L, -2, config->name);
    }
    return 1;
}

/* ---- the tables ---- */

static void add_names(lua_State *L, struct script *script) {
    lua_newtable(L);
    set_functions(L, script, (const luaL_Reg[]){{"open", open_stream}, {"call", call}, {NULL, NULL}});
    for (int i = NAME; i <= CONNECTED; i++) {
        lua_pushinteger(L, i);
        lua_setfield(L, -2, property_names[i]);
    }
}

void bind_peer_open(struct script *script) {
    lua_State *L = script->L;
    push_locked_metatable(L);
    set_functions(L, script,
                  (const luaL_Reg[]){{"__newindex", peer_newindex}, {"__tostring", peer_tostring}, {NULL, NULL}});
    lua_pushlightuserdata(L, script);
    add_names(L, script);
    lua_pushcclosure(L, peer_index, 2);
    lua_setfield(L, -2, "__index");
    script->ref.peer_meta = luaL_ref(L, LUA_REGISTRYINDEX);
}

void bind_peer_add(lua_State *L, struct script *script, const struct script_file *file) {
    lua_pushlightuserdata(L, script);
    lua_pushinteger(L, (lua_Integer)bind_client_service(script_generation(script), file));
    luaL_setfuncs(L, (const luaL_Reg[]){{"peer", find_peer}, {"peers", peers}, {NULL, NULL}}, 2);
}
