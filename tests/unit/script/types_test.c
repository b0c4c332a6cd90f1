/* lua/tidewire/types.lua, which editors read, has the names that a running state has: no more and no fewer. */
#include <luajit-2.1/lualib.h>

#include "script/bind.h"
#include "script/generation.h"
#include "script/message_private.h"
#include "script/state.h"
#include "world.h"

static void set_index_of(lua_State *L, int metatable, const char *name) {
    push_ref(L, metatable);
    lua_getfield(L, -1, "__index");
    lua_setfield(L, -3, name);
    lua_pop(L, 1);
}

/* The table `live` for the suite: for each class, the table in which its members are found. */
static void push_live(lua_State *L) {
    struct script *script = world.script;
    lua_newtable(L);
    script->loading = world.version->generation;
    bind_push_tidewire(script, L, world.version->generation->files);
    script->loading = NULL;
    lua_setfield(L, -2, "tidewire");
    set_index_of(L, script->ref.topic_meta, "Topic");
    set_index_of(L, script->ref.handle_meta, "Handle");
    set_index_of(L, script->ref.spawned_meta, "Spawned");
    set_index_of(L, script->ref.channel_meta, "Channel");
    set_index_of(L, script->ref.semaphore_meta, "Semaphore");
    set_index_of(L, script->ref.limit_meta, "Limit");
    set_index_of(L, script->ref.dict_meta, "Dict");
    twl_methods_push(L);
    lua_setfield(L, -2, "Message");
    push_ref(L, script->ref.stream_meta);
    lua_getfield(L, -1, "__index");
    CHECK_STR(lua_getupvalue(L, -1, 2), "");
    lua_setfield(L, -4, "Stream");
    lua_pop(L, 2);
}

static void annotations_are_those_of_a_running_state(void) {
    run_script("require('tidewire') return {}");
    lua_State *L = world.script->L;
    CHECK_INT(luaL_loadfile(L, "tests/unit/script/types_suite.lua"), 0);
    push_live(L);
    int status = lua_pcall(L, 1, 0, 0);
    if (status) fprintf(stderr, "%s\n", lua_tostring(L, -1));
    CHECK_INT(status, 0);
}

int main(void) {
    open_world();
    RUN(annotations_are_those_of_a_running_state);
    close_world();
    return 0;
}
