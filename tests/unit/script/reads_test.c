/* What tells hooks that only look at their message from all others. */
#include <luajit-2.1/lauxlib.h>
#include <luajit-2.1/lualib.h>

#include "check.h"

static void functions_that_only_look_are_known(void) {
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    CHECK_INT(luaL_loadfile(L, "tests/unit/script/reads_suite.lua"), 0);
    CHECK_INT(luaL_loadfile(L, "lua/tidewire/reads.lua"), 0);
    int status = lua_pcall(L, 1, 0, 0);
    if (status) fprintf(stderr, "%s\n", lua_tostring(L, -1));
    CHECK_INT(status, 0);
    lua_close(L);
}

int main(void) {
    RUN(functions_that_only_look_are_known);
    return 0;
}
