/* script/glance.c - see glance.h */
#include "script/glance.h"

#include <stdlib.h>

#include "base/memory.h"
#include "script/message_private.h"
#include "script/state.h"

enum { MOST_FIELDS = 8 };

struct glance {
    struct reader reader; /* all but L */
    struct codec_view view; /* over `memory`, during a push */
    uint64_t *memory;
    int table; /* LUA_NOREF: was let go, or there is none yet */
    size_t count;
    struct {
        const struct field *field;
        int name; /* reference */
    } fields[MOST_FIELDS];
};

/* The list of names is at the top. */
static bool take_fields(lua_State *L, struct glance *glance, const struct message_type *type) {
    size_t count = lua_objlen(L, -1);
    if (count > MOST_FIELDS) return false;
    for (size_t i = 0; i < count; i++) {
        size_t length;
        lua_rawgeti(L, -1, (int)i + 1);
        const char *name = lua_tolstring(L, -1, &length);
        const struct field *field = message_field(type, name, length);
        bool is_plain = field && twl_is_plain(field);
        if (is_plain) {
            glance->fields[glance->count].field = field;
            glance->fields[glance->count++].name = luaL_ref(L, LUA_REGISTRYINDEX);
        } else {
            lua_pop(L, 1);
            return false;
        }
    }
    return true;
}

struct glance *glance_new(struct script *script, lua_State *L, int index, struct twl_schema *schema,
                          const struct message_type *type, const struct twl_message_options *options) {
    if (index < 0) index += lua_gettop(L) + 1;
    push_ref(L, script->ref.reads);
    lua_pushvalue(L, index);
    bool is_judged = lua_pcall(L, 1, 1, 0) == 0;
    struct glance *glance = NULL;
    if (is_judged && lua_istable(L, -1)) {
        glance = memory_new(sizeof *glance);
        glance->reader = (struct reader){.schema = schema, .options = *options};
        glance->table = LUA_NOREF;
        glance->memory = memory_new(codec_view_size(type));
        codec_view_place(&glance->view, type, glance->memory);
        if (!take_fields(L, glance, type)) glance_free(L, &glance);
    }
    lua_pop(L, 1);
    return glance;
}

void glance_free(lua_State *L, struct glance **glance) {
    struct glance *g = *glance;
    *glance = NULL;
    if (!g) return;
    glance_let_go(L, g);
    for (size_t i = 0; i < g->count; i++) drop_ref(L, &g->fields[i].name);
    free(g->memory);
    free(g);
}

void glance_let_go(lua_State *L, struct glance *glance) { drop_ref(L, &glance->table); }

static void push_table(lua_State *L, struct glance *glance) {
    if (glance->table == LUA_NOREF) {
        lua_createtable(L, 0, (int)glance->count);
        glance->table = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    push_ref(L, glance->table);
}

bool glance_push(lua_State *L, struct glance *glance, const uint8_t *bytes, size_t length, const char **fault) {
    struct codec_view view = glance->view;
    *fault = codec_scan(&view, bytes, length);
    if (*fault) return false;
    struct reader reader = glance->reader;
    reader.L = L;
    push_table(L, glance);
    for (size_t i = 0; i < glance->count; i++) {
        push_ref(L, glance->fields[i].name);
        twl_push_plain(&reader, &view, glance->fields[i].field);
        lua_rawset(L, -3);
    }
    return true;
}
