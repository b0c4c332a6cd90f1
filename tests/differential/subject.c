/* subject.c - see subject.h */
#include "subject.h"

#include <luajit-2.1/lauxlib.h>
#include <luajit-2.1/lualib.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "schema/codec.h"
#include "script/message.h"

struct subject {
    lua_State *L;
    struct schema *schema;
    struct twl_schema *bound;
    struct twl_message_options options;
    struct buffer out;
    char fault[400];
};

static const char chunk[] =
    "local type_of = message.type\n"
    "local function each(object, visit)\n"
    "  for name, value in object:pairs() do\n"
    "    visit(object, name, value)\n"
    "    if type_of(value) then each(value, visit)\n"
    "    elseif type(value) == 'table' then\n"
    "      for _, item in pairs(value) do if type_of(item) then each(item, visit) end end\n"
    "    end\n"
    "  end\n"
    "end\n"
    "function rebuild(object) return object:totable() end\n"
    "function forward(object) each(object, function() end) return object end\n"
    "function clear(object, field) object[field] = nil return object end\n"
    "function rewrite(object)\n"
    "  each(object, function(parent, name, value)\n"
    "    if type(value) ~= 'table' then return end\n"
    "    local copy = {}\n"
    "    for key, item in pairs(value) do copy[key] = item end\n"
    "    parent[name] = copy\n"
    "  end)\n"
    "  return object\n"
    "end\n";

static void must(bool is_good, const char *text) {
    if (is_good) return;
    fprintf(stderr, "%s\n", text);
    exit(2);
}

struct subject *subject_new(const uint8_t *set, size_t length) {
    struct error error;
    struct subject *subject = memory_new(sizeof *subject);
    subject->options = (struct twl_message_options){.list_elements = 1000000};
    subject->schema = schema_parse(set, length, "types", &error);
    must(subject->schema != NULL, error.text);
    lua_State *L = subject->L = luaL_newstate();
    luaL_openlibs(L);
    twl_message_open(L);
    subject->bound = twl_schema_open(L, subject->schema);
    twl_message_library(L, subject->bound, &subject->options);
    lua_setglobal(L, "message");
    must(!luaL_dostring(L, chunk), "the chunk does not run");
    return subject;
}

void subject_free(struct subject *subject) {
    buffer_free(&subject->out);
    twl_schema_close(subject->L, &subject->bound);
    lua_close(subject->L);
    schema_unref(&subject->schema);
    free(subject);
}

static const struct message_type *type_of(struct subject *subject, const char *name) {
    const struct message_type *type = schema_message(subject->schema, name);
    must(type != NULL, name);
    return type;
}

const char *subject_check(struct subject *subject, const char *type, const uint8_t *bytes, size_t length) {
    return codec_check(type_of(subject, type), bytes, length);
}

struct task {
    struct subject *subject;
    const char *function, *field;
    const struct message_type *type;
    const uint8_t *bytes;
    size_t length;
};

static int run(lua_State *L) {
    struct task *task = lua_touserdata(L, 1);
    struct subject *subject = task->subject;
    const char *fault;
    lua_getglobal(L, task->function);
    if (!twl_message_push(L, subject->bound, task->type, task->bytes, task->length, NULL, &subject->options, &fault))
        return luaL_error(L, "%s", fault);
    lua_pushstring(L, task->field);
    lua_call(L, 2, 1);
    buffer_clear(&subject->out);
    buffer_reserve(&subject->out, 1);
    twl_message_encode(L, -1, subject->bound, task->type, &subject->out);
    return 0;
}

static const char *perform(struct task *task, struct subject_bytes *out) {
    struct subject *subject = task->subject;
    if (lua_cpcall(subject->L, run, task)) {
        snprintf(subject->fault, sizeof subject->fault, "%s", lua_tostring(subject->L, -1));
        lua_pop(subject->L, 1);
        return subject->fault;
    }
    *out = (struct subject_bytes){buffer_bytes(&subject->out), buffer_length(&subject->out)};
    return NULL;
}

const char *subject_rebuild(struct subject *subject, const char *type, const uint8_t *bytes, size_t length,
                            struct subject_bytes *out) {
    struct task task = {subject, "rebuild", NULL, type_of(subject, type), bytes, length};
    return perform(&task, out);
}
const char *subject_forward(struct subject *subject, const char *type, const uint8_t *bytes, size_t length,
                            struct subject_bytes *out) {
    struct task task = {subject, "forward", NULL, type_of(subject, type), bytes, length};
    return perform(&task, out);
}
const char *subject_clear(struct subject *subject, const char *type, const char *field, const uint8_t *bytes,
                          size_t length, struct subject_bytes *out) {
    struct task task = {subject, "clear", field, type_of(subject, type), bytes, length};
    return perform(&task, out);
}
const char *subject_rewrite(struct subject *subject, const char *type, const uint8_t *bytes, size_t length,
                            struct subject_bytes *out) {
    struct task task = {subject, "rewrite", NULL, type_of(subject, type), bytes, length};
    return perform(&task, out);
}
