#include "message_support.h"

#include <unistd.h>

/* What the suite in message_suite.lua uses beside the library:
 *   wire(value, type)         the bytes of a table or object
 *   read(type, bytes[, form]) a message object as a handler gets it, or nil and the fault
 *   unchanged(object)         the original bytes, or nil when it was changed
 *   apply(projection, type, reply type or nil, bytes[, form])
 *                             what a hook with that projection answers: bytes, or nil when there is no
 * result; or nil and the fault of the declaration or the bytes */
static struct bench *current;

static struct twl_message_options options_of(lua_State *L, int index) {
    static const char *const forms[] = {"number", "string", "exact", NULL};
    struct twl_message_options options = current->options;
    options.int64 = (enum int64_form)luaL_checkoption(L, index, "number", forms);
    return options;
}

static int lua_wire(lua_State *L) {
    static struct buffer out;
    const char *name = luaL_optstring(L, 2, lua_istable(L, 1) ? "" : twl_message_type(L, 1)->full_name);
    buffer_clear(&out);
    buffer_append_text(&out, "before"); /* what is in the queue already must stay */
    twl_message_encode(L, 1, current->bound, bench_type(current, name), &out);
    CHECK(memcmp(buffer_bytes(&out), "before", 6) == 0);
    lua_pushlstring(L, (char *)buffer_bytes(&out) + 6, buffer_length(&out) - 6);
    buffer_free(&out);
    return 1;
}

static int lua_read(lua_State *L) {
    size_t length;
    const char *name = luaL_checkstring(L, 1), *bytes = luaL_checklstring(L, 2, &length), *fault;
    struct twl_message_options options = options_of(L, 3);
    struct message *owner = message_copy(bytes, length);
    bool is_good = twl_message_push(L, current->bound, bench_type(current, name), owner->data, length, owner,
                                    &options, &fault);
    message_unref(&owner);
    if (is_good) return 1;
    lua_pushnil(L);
    lua_pushstring(L, fault);
    return 2;
}

static int lua_unchanged(lua_State *L) {
    const uint8_t *bytes;
    size_t length;
    struct message *owner;
    if (!twl_message_unchanged(L, 1, &bytes, &length, &owner)) return 0;
    CHECK(!owner || (bytes >= owner->data && bytes + length <= owner->data + owner->length));
    lua_pushlstring(L, (const char *)bytes, length);
    return 1;
}

static int lua_enum(lua_State *L) {
    twl_enum_push(L, current->bound, luaL_checkstring(L, 1));
    return 1;
}

struct projected {
    const struct projection *projection;
    const uint8_t *bytes;
    size_t length;
    struct buffer out, plain;
    bool has_result, is_plain;
};

static int lua_result(lua_State *L) {
    struct projected *call = lua_touserdata(L, 1);
    call->has_result = twl_projection_result(L, call->projection, 2, call->bytes, call->length, &call->out);
    return 0;
}

/* The result at the first look is the whole result, or nothing. */
static void check_plain_result(struct projected *call, int failed) {
    struct buffer *plain = &call->plain, *out = &call->out;
    CHECK_MEM(buffer_bytes(plain), strlen("before"), "before", strlen("before"));
    buffer_take(plain, strlen("before"));
    if (call->is_plain) {
        CHECK(call->has_result && !failed);
        CHECK_MEM(buffer_bytes(plain), buffer_length(plain), buffer_bytes(out), buffer_length(out));
    } else {
        CHECK_INT(buffer_length(plain), 0);
    }
    buffer_free(plain);
}

static int lua_apply(lua_State *L) {
    size_t length;
    const uint8_t *bytes = (const uint8_t *)luaL_checklstring(L, 4, &length);
    struct twl_message_options options = options_of(L, 5);
    const struct message_type *reply = lua_isnil(L, 3) ? NULL : bench_type(current, lua_tostring(L, 3));
    struct error error;
    const char *fault;
    CHECK(twl_is_projection(L, 1));
    lua_settop(L, 5);
    struct projection *projection = twl_projection_resolve(
        L, 1, current->bound, bench_type(current, lua_tostring(L, 2)), reply, &options, &error);
    CHECK_INT(lua_gettop(L), 5);
    if (!projection) {
        lua_pushnil(L);
        lua_pushstring(L, error.text);
        return 2;
    }
    twl_projection_function(L, projection);
    lua_pushliteral(L, "stream");
    int count = twl_projection_arguments(L, projection, bytes, length, &fault);
    CHECK_INT(lua_gettop(L), count < 0 ? 7 : 7 + count);
    struct projected call = {projection, bytes, length, {0}, {0}, false, false};
    int failed = count < 0 ? 0 : lua_pcall(L, count + 1, LUA_MULTRET, 0);
    if (count >= 0 && !failed) {
        int results = lua_gettop(L) - 5;
        buffer_append_text(&call.plain, "before");
        call.is_plain = twl_projection_plain_result(L, projection, 6, &call.plain);
        lua_pushcfunction(L, lua_result);
        lua_insert(L, 6);
        lua_pushlightuserdata(L, &call);
        lua_insert(L, 7);
        failed = lua_pcall(L, results + 1, 0, 0);
        check_plain_result(&call, failed);
    }
    twl_projection_free(L, &projection);
    if (call.has_result) lua_pushlstring(L, (const char *)buffer_bytes(&call.out), buffer_length(&call.out));
    buffer_free(&call.out);
    if (failed) return lua_error(L);
    if (call.has_result) return 1;
    lua_pushnil(L);
    if (count >= 0) return 1;
    lua_pushstring(L, fault);
    return 2;
}

static void open_suite(struct bench *bench) {
    lua_State *L = bench->L;
    current = bench;
    lua_register(L, "wire", lua_wire);
    lua_register(L, "read", lua_read);
    lua_register(L, "unchanged", lua_unchanged);
    lua_register(L, "enum", lua_enum);
    lua_register(L, "project", twl_project);
    lua_register(L, "apply", lua_apply);
    twl_message_library(L, bench->bound, &bench->options);
    lua_setglobal(L, "message");
}

/* Runs the suite; what it prints goes to a string. */
static char *run_suite(bool has_jit) {
    struct bench bench = bench_open(has_jit);
    open_suite(&bench);
    if (luaL_dofile(bench.L, "tests/unit/script/message_suite.lua")) {
        fprintf(stderr, "JIT %s: %s\n", has_jit ? "on" : "off", lua_tostring(bench.L, -1));
        exit(1);
    }
    char *printed = strdup(luaL_checkstring(bench.L, -1));
    lua_gc(bench.L, LUA_GCCOLLECT, 0);
    bench_close(&bench);
    return printed;
}

static void the_suite_prints_the_same_with_the_jit_on_and_off(void) {
    char *on = run_suite(true), *off = run_suite(false);
    for (size_t i = 0; on[i] || off[i]; i++) {
        if (on[i] == off[i]) continue;
        fprintf(stderr, "JIT on:  %.200s\nJIT off: %.200s\n", on + i, off + i);
        check_failed(__FILE__, __LINE__, "the suite's two outputs differ");
    }
    CHECK(strlen(on) > 1000);
    free(on);
    free(off);
}

static void an_object_outlives_the_generation_that_made_it(void) {
    struct bench bench = bench_open(true);
    open_suite(&bench);
    bench_run(
        &bench,
        "kept = message.new('tidewire.test.AllTypes', { message_field = { text = 'deep' }, int32_field = 4,"
        " string_field = ('x'):rep(5000) })");
    twl_schema_close(bench.L, &bench.bound);
    schema_unref(&bench.schema);
    lua_gc(bench.L, LUA_GCCOLLECT, 0);
    lua_gc(bench.L, LUA_GCCOLLECT, 0);
    bench_run(&bench, "assert(kept.message_field.text == 'deep') kept.message_field.text = 'other'\n"
                      "kept.message_field.child = { number = 3 }\n"
                      "assert(kept:copy().message_field.child.number == 3)\n"
                      "assert(#kept:bytes() > 5000)");
    CHECK(*twl_message_held_bytes(bench.L) >= 5000);
    bench_run(&bench, "kept = nil collectgarbage() collectgarbage()");
    CHECK_INT(*twl_message_held_bytes(bench.L), 0);
    lua_close(bench.L);
}

static void generations_leave_nothing_behind(void) {
    struct bench bench = bench_open(true);
    const char *fault;
    int before = 0;
    for (int i = 0; i < 100; i++) {
        struct twl_schema *generation = twl_schema_open(bench.L, bench.schema);
        CHECK(twl_message_push(bench.L, generation, bench_type(&bench, "tidewire.test.AllTypes"), NULL, 0,
                               NULL, &bench.options, &fault));
        twl_enum_push(bench.L, generation, "tidewire.test.Color");
        lua_pop(bench.L, 2);
        twl_schema_close(bench.L, &generation);
        lua_gc(bench.L, LUA_GCCOLLECT, 0);
        lua_gc(bench.L, LUA_GCCOLLECT, 0);
        if (i == 3) before = lua_gc(bench.L, LUA_GCCOUNT, 0);
    }
    CHECK(lua_gc(bench.L, LUA_GCCOUNT, 0) - before <= 2);
    bench_close(&bench);
}

/* Four megabytes of the smallest elements: the object costs its bytes once, and no list becomes a table that
 * is larger than its bound. */
static void a_hostile_message_costs_its_bytes_and_bounded_tables(void) {
    enum { SIZE = 4 << 20, ELEMENTS = 10000 };
    static const struct {
        const char *field;
        uint8_t unit[3];
    } units[] = {
        {"repeated_string", {0xb2, 0x03, 0x00}},  {"map_string", {0xe2, 0x05, 0x00}},
        {"repeated_message", {0xca, 0x03, 0x00}}, {"repeated_int32", {0xd8, 0x02, 0x00}},
        {"map_to_self", {0xea, 0x06, 0x00}},
    };
    struct bench bench = bench_open(true);
    lua_State *L = bench.L;
    bench.options.list_elements = ELEMENTS;
    const struct message_type *type = bench_type(&bench, "tidewire.test.AllTypes");
    struct message *owner = message_new(SIZE);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        for (owner->length = 0; owner->length + 3 <= SIZE; owner->length += 3)
            memcpy(owner->data + owner->length, units[i].unit, 3);
        for (size_t length = owner->length; length; length = length == owner->length ? ELEMENTS * 3 : 0) {
            const char *fault;
            lua_gc(L, LUA_GCCOLLECT, 0);
            lua_gc(L, LUA_GCSTOP, 0);
            int before = lua_gc(L, LUA_GCCOUNT, 0);
            CHECK(twl_message_push(L, bench.bound, type, owner->data, length, owner, &bench.options, &fault));
            CHECK(lua_gc(L, LUA_GCCOUNT, 0) - before <= 16);
            CHECK_INT(*twl_message_held_bytes(L), length);
            lua_setglobal(L, "m");
            lua_pushstring(L, units[i].field);
            lua_setglobal(L, "field");
            bench_run(&bench, length > ELEMENTS * 3 ? "assert(not pcall(function() return m[field] end))"
                                                    : "assert(m[field])");
            /* of an AllTypes object, the largest element, this is 2 KiB */
            CHECK(lua_gc(L, LUA_GCCOUNT, 0) - before <= (length > ELEMENTS * 3 ? 64 : ELEMENTS * 3));
            bench_run(&bench, "m = nil");
            lua_gc(L, LUA_GCRESTART, 0);
        }
    }
    message_unref(&owner);
    bench_close(&bench);
}

int main(void) {
    RUN(generations_leave_nothing_behind);
    RUN(a_hostile_message_costs_its_bytes_and_bounded_tables);
    RUN(the_suite_prints_the_same_with_the_jit_on_and_off);
    RUN(an_object_outlives_the_generation_that_made_it);
    return 0;
}
