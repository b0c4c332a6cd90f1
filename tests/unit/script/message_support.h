/* message_support.h - a Lua state with the test protos bound to it, for the tests of messages. */
#ifndef TIDEWIRE_TESTS_MESSAGE_SUPPORT_H
#define TIDEWIRE_TESTS_MESSAGE_SUPPORT_H
#include <luajit-2.1/lauxlib.h>
#include <luajit-2.1/luajit.h>
#include <luajit-2.1/lualib.h>

#include "check.h"
#include "schema/schema.h"
#include "script/message.h"

struct bench {
    lua_State *L;
    struct schema *schema;
    struct twl_schema *bound;
    struct twl_message_options options;
};

/* Lua's objects in memory of their own each, so that a sanitizer sees what is written behind one. */
static inline void *bench_allocate(void *unused, void *memory, size_t old_size, size_t size) {
    (void)unused;
    (void)old_size;
    if (size) return realloc(memory, size);
    free(memory);
    return NULL;
}

static inline struct bench bench_open(bool has_jit) {
    static char proto_paths[2][16] = {"tests/proto", "proto"},
                proto_files[2][32] = {"all_types.proto", "proto2_types.proto"};
    char *const paths[] = {proto_paths[0], proto_paths[1], NULL}, *const files[] = {proto_files[0],
                                                                                    proto_files[1], NULL};
    struct error error;
    struct bench bench = {.options = {.list_elements = 1000}};
    bench.schema = schema_load(paths, files, &error);
    if (!bench.schema) fprintf(stderr, "%s\n", error.text);
    CHECK(bench.schema);
    bench.L = lua_newstate(bench_allocate, NULL);
    CHECK(bench.L);
    luaL_openlibs(bench.L);
    luaJIT_setmode(bench.L, 0, LUAJIT_MODE_ENGINE | (has_jit ? LUAJIT_MODE_ON : LUAJIT_MODE_OFF));
    twl_message_open(bench.L);
    bench.bound = twl_schema_open(bench.L, bench.schema);
    return bench;
}

static inline void bench_close(struct bench *bench) {
    twl_schema_close(bench->L, &bench->bound);
    lua_close(bench->L);
    schema_unref(&bench->schema);
}

static inline const struct message_type *bench_type(const struct bench *bench, const char *name) {
    const struct message_type *type = schema_message(bench->schema, name);
    if (!type) fprintf(stderr, "no type %s\n", name);
    CHECK(type);
    return type;
}

static inline void bench_run(struct bench *bench, const char *chunk) {
    if (luaL_dostring(bench->L, chunk)) {
        fprintf(stderr, "%s\n", lua_tostring(bench->L, -1));
        check_failed(__FILE__, __LINE__, chunk);
    }
}
#endif
