/* codec_fuzz.c - any bytes as a message of one of the test types: the first byte chooses which.
 *
 * What is no message must be refused by every way in. What is one is read whole, forwarded, spliced, written
 * as text, and rebuilt from a plain table; what must be equal is compared. */
#include <luajit-2.1/lauxlib.h>
#include <luajit-2.1/lualib.h>
#include <sanitizer/lsan_interface.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "schema/codec.h"
#include "script/message.h"

static const char *const types[] = {
    "tidewire.test.AllTypes",          "tidewire.test.Tree",
    "tidewire.test.Numbers",           "tidewire.test2.Required",
    "tidewire.test2.HasRequiredBelow", "tidewire.test2.Defaults",
    "tidewire.test2.Packing",          "tidewire.test2.Groups",
    "tidewire.test2.Extendable",
};
enum { TYPES = sizeof types / sizeof types[0] };

static const char chunk[] = "local type_of = message.type\n"
                            "local function each(object)\n"
                            "  for name, value in object:pairs() do\n"
                            "    object:has(name)\n"
                            "    if type_of(value) then each(value)\n"
                            "    elseif type(value) == 'table' then\n"
                            "      for _, item in pairs(value) do if type_of(item) then each(item) end end\n"
                            "    end\n"
                            "  end\n"
                            "end\n"
                            "function forward(object) each(object) tostring(object) return object end\n"
                            "function rebuild(object) return object:totable() end\n"
                            "function drop(object)\n"
                            "  for name in object:copy():pairs() do if #name % 2 == 0 then "
                            "pcall(object.clear, object, name) end end\n"
                            "  return object:copy()\n"
                            "end\n";

static lua_State *L;
static struct schema *schema;
static struct twl_schema *bound;
static const struct twl_message_options options = {.list_elements = 100000};

static void must(bool is_true, const char *what) {
    if (is_true) return;
    fprintf(stderr, "%s\n", what);
    abort();
}

/* Lua's objects in memory of their own each, so that the sanitizer sees what is written behind one. It cannot
 * follow all of Lua's pointers: so they count as roots of what is in use. */
static void *allocate(void *unused, void *memory, size_t old_size, size_t size) {
    (void)unused;
    (void)old_size;
    if (size) {
        memory = realloc(memory, size);
        __lsan_ignore_object(memory);
        return memory;
    }
    free(memory);
    return NULL;
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    char paths[][16] = {"tests/proto"}, files[][32] = {"all_types.proto", "proto2_types.proto"};
    struct error error;
    schema = schema_load((char *const[]){paths[0], NULL}, (char *const[]){files[0], files[1], NULL}, &error);
    must(schema, schema ? "" : error.text);
    L = lua_newstate(allocate, NULL);
    must(L, "a Lua state");
    luaL_openlibs(L);
    twl_message_open(L);
    bound = twl_schema_open(L, schema);
    twl_message_library(L, bound, &options);
    lua_setglobal(L, "message");
    must(!luaL_dostring(L, chunk), "the chunk runs");
    return 0;
}

struct task {
    const char *function;
    const struct message_type *type;
    const uint8_t *bytes;
    size_t length;
    struct buffer out;
};

static int run(lua_State *state) {
    struct task *task = lua_touserdata(state, 1);
    const char *fault;
    lua_getglobal(state, task->function);
    must(twl_message_push(state, bound, task->type, task->bytes, task->length, NULL, &options, &fault),
         "scan as check");
    lua_call(state, 1, 1);
    buffer_reserve(&task->out, 1);
    twl_message_encode(state, -1, bound, task->type, &task->out);
    return 0;
}

/* False when the script was refused, which may only be for a list that is too long. */
static bool perform(struct task *task) {
    if (!lua_cpcall(L, run, task)) return true;
    must(strstr(lua_tostring(L, -1), "more than the limit") != NULL, lua_tostring(L, -1));
    lua_pop(L, 1);
    return false;
}

static void splice(const struct message_type *type, const uint8_t *bytes, size_t length) {
    uint64_t *dropped = memory_new(codec_words(type) * 8 + 8);
    struct buffer out = {0};
    buffer_reserve(&out, 1);
    codec_splice(type, bytes, length, dropped, &out);
    must(buffer_length(&out) == length && !memcmp(buffer_bytes(&out), bytes, length),
         "nothing dropped is the same");
    buffer_clear(&out);
    memset(dropped, 0xff, codec_words(type) * 8);
    codec_splice(type, bytes, length, dropped, &out);
    struct codec_view view;
    codec_view_place(&view, type, memory_new(codec_view_size(type) + 8));
    const char *fault = codec_scan(&view, buffer_bytes(&out), buffer_length(&out));
    must(!fault || type->has_required, "what is left is a message");
    for (size_t i = 0; !fault && i < type->field_count; i++)
        must(!codec_bit(view.presence, (unsigned)i), "all dropped leaves no field");
    free(view.presence);
    free(dropped);
    buffer_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size) return 0;
    const struct message_type *type = schema_message(schema, types[data[0] % TYPES]);
    uint8_t *bytes = (uint8_t *)memory_copy(data + 1, size - 1);
    bytes = memory_resize(bytes, size - 1 ? size - 1 : 1); /* without the NUL behind it */
    struct task forward = {"forward", type, bytes, size - 1, {0}}, rebuild = forward, again, drop = forward;
    if (codec_check(type, bytes, size - 1)) {
        free(bytes);
        return 0;
    }
    splice(type, bytes, size - 1);
    if (perform(&forward))
        must(buffer_length(&forward.out) == size - 1 && !memcmp(buffer_bytes(&forward.out), bytes, size - 1),
             "reading is not a change");
    rebuild.function = "rebuild";
    drop.function = "drop";
    if (perform(&rebuild)) {
        again = (struct task){"rebuild", type, buffer_bytes(&rebuild.out), buffer_length(&rebuild.out), {0}};
        must(perform(&again), "what was rebuilt is read");
        must(buffer_length(&again.out) == buffer_length(&rebuild.out),
             "what was rebuilt is rebuilt the same");
        buffer_free(&again.out);
    }
    if (!type->has_required) perform(&drop);
    buffer_free(&forward.out);
    buffer_free(&rebuild.out);
    buffer_free(&drop.out);
    free(bytes);
    lua_gc(L, LUA_GCSTEP, 10);
    return 0;
}
