/* script/bind_dict.c - tidewire.shared: the dictionaries of the config, with the methods and returns of ngx.shared. */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "dict/dict.h"
#include "dict/set.h"
#include "script/bind.h"
#include "script/generation.h"
#include "script/message.h"
#include "script/names.h"
#include "script/state.h"
#include "script/userdata.h"

enum { KEYS_STANDARD = 1024, BYTES_KEPT = 256 << 10 };

static const char *const result_texts[] = {
    [DICT_EXISTS] = "exists",
    [DICT_NOT_FOUND] = "not found",
    [DICT_NO_MEMORY] = "no memory",
    [DICT_NOT_A_NUMBER] = "not a number",
    [DICT_OUT_OF_RANGE] = "out of range",
    [DICT_IS_A_LIST] = "value is a list",
    [DICT_NOT_A_LIST] = "value not a list",
};

/* ---- arguments ---- */

/* What every function of one key begins with. */
struct use {
    struct script *script;
    struct dict *dict;
    struct dict_key key;
    uint64_t now;
    const char *fault; /* of the key: the function returns nil and this. NULL: fine */
};

static struct dict *check_dict(lua_State *L, const char *signature) {
    return *(struct dict **)userdata_check(L, script_of(L)->ref.dict_meta, signature);
}

static uint64_t now_of(const struct script *script) { return loop_now(script->host.loop); }

/* An integer of 64 bits that is no Lua number counts as its digits, too. */
static void make_key_text(lua_State *L, const char *signature) {
    uint64_t bits;
    char digits[24];
    enum number_kind kind = twl_to_wide(L, 2, &bits);
    if (kind == NUMBER_NONE) raise_misuse(L, signature);
    snprintf(digits, sizeof digits, kind == NUMBER_SIGNED ? "%" PRId64 : "%" PRIu64, bits);
    lua_pushstring(L, digits);
    lua_replace(L, 2);
}

static struct use check_use(lua_State *L, const char *signature) {
    struct use use = {.script = script_of(L), .dict = check_dict(L, signature)};
    use.now = now_of(use.script);
    if (lua_isnoneornil(L, 2)) {
        use.fault = "nil key";
        return use;
    }
    if (lua_type(L, 2) != LUA_TSTRING && lua_type(L, 2) != LUA_TNUMBER) make_key_text(L, signature);
    use.key.bytes = lua_tolstring(L, 2, &use.key.length);
    if (!use.key.length) use.fault = "empty key";
    if (use.key.length > DICT_MOST_KEY) use.fault = "key too long";
    return use;
}

static void check_may_write(lua_State *L, const char *signature) {
    if (script_of(L)->running) return;
    luaL_error(L, "%s: load code cannot write, since a refused script has done nothing: call it in "
                  "tidewire.spawn(function() … end)", signature);
}

static struct use check_write(lua_State *L, const char *signature) {
    struct use use = check_use(L, signature);
    check_may_write(L, signature);
    return use;
}

/* False: dictionaries have no values of this kind. */
static bool take_value(lua_State *L, int index, struct dict_value *value) {
    *value = (struct dict_value){0};
    switch (lua_type(L, index)) {
    case LUA_TBOOLEAN:
        value->type = DICT_BOOLEAN;
        value->is_true = lua_toboolean(L, index);
        return true;
    case LUA_TNUMBER:
        value->type = DICT_NUMBER;
        value->number = lua_tonumber(L, index);
        return true;
    case LUA_TSTRING:
        value->type = DICT_STRING;
        value->bytes = lua_tolstring(L, index, &value->length);
        return true;
    default: break;
    }
    enum number_kind kind = twl_to_wide(L, index, &value->integer);
    value->type = kind == NUMBER_SIGNED ? DICT_INT64 : DICT_UINT64;
    return kind != NUMBER_NONE;
}

static bool take_number(lua_State *L, int index, struct dict_value *value) {
    return take_value(L, index, value) && value->type != DICT_BOOLEAN && value->type != DICT_STRING;
}

static uint64_t take_lifetime(lua_State *L, int index, const char *signature) {
    return lua_isnoneornil(L, index) ? 0 : check_seconds(L, index, signature);
}

/* nil is `standard`. */
static double take_whole(lua_State *L, int index, double standard, double most, const char *signature) {
    if (lua_isnoneornil(L, index)) return standard;
    double number = lua_tonumber(L, index);
    if (lua_type(L, index) != LUA_TNUMBER || !(number >= 0 && number <= most) || (double)(uint64_t)number != number)
        raise_misuse(L, signature);
    return number;
}

/* ---- results ---- */

static int push_result(lua_State *L, enum dict_result result) {
    if (result != DICT_OK) return nil_and(L, result_texts[result]);
    lua_pushboolean(L, 1);
    return 1;
}

/* As set and its kin say how it went: success, what was wrong, whether others had to go. */
static int push_success(lua_State *L, enum dict_result result, bool forcible) {
    lua_pushboolean(L, result == DICT_OK);
    if (result == DICT_OK) lua_pushnil(L);
    else lua_pushstring(L, result_texts[result]);
    lua_pushboolean(L, forcible);
    return 3;
}

static void push_value(lua_State *L, const struct dict_value *value) {
    switch (value->type) {
    case DICT_BOOLEAN: lua_pushboolean(L, value->is_true); break;
    case DICT_NUMBER: lua_pushnumber(L, value->number); break;
    case DICT_INT64: twl_push_int64(L, (int64_t)value->integer, INT64_AS_EXACT); break;
    case DICT_UINT64: twl_push_uint64(L, value->integer, INT64_AS_EXACT); break;
    default: lua_pushlstring(L, value->bytes, value->length); break;
    }
}

/* What came out of a dictionary is in Lua's hands now. */
static void forget_bytes(struct script *script) {
    if (script->dict_bytes.capacity > BYTES_KEPT) buffer_free(&script->dict_bytes);
}

/* ---- one value ---- */

static void push_flags(lua_State *L, const struct dict_value *value) {
    if (value->flags) lua_pushnumber(L, value->flags);
    else lua_pushnil(L);
}

/* 0: it is there, and its value pushed; else so many results that say why not. `is_stale` NULL: not what has expired. */
static int look_up(lua_State *L, const char *signature, struct dict_value *value, bool *is_stale) {
    struct use use = check_use(L, signature);
    if (use.fault) return nil_and(L, use.fault);
    enum dict_result result = dict_get(use.dict, use.key, use.now, value, &use.script->dict_bytes, is_stale);
    if (result == DICT_NOT_FOUND) {
        lua_pushnil(L);
        return 1;
    }
    if (result != DICT_OK) return nil_and(L, result_texts[result]);
    push_value(L, value);
    forget_bytes(use.script);
    return 0;
}

static int get(lua_State *L) {
    struct dict_value value;
    int failed = look_up(L, "dict:get(key)", &value, NULL);
    if (failed) return failed;
    if (!value.flags) return 1;
    push_flags(L, &value);
    return 2;
}

static int get_stale(lua_State *L) {
    struct dict_value value;
    bool is_stale;
    int failed = look_up(L, "dict:get_stale(key)", &value, &is_stale);
    if (failed) return failed;
    push_flags(L, &value);
    lua_pushboolean(L, is_stale);
    return 3;
}

static int store(lua_State *L, enum dict_condition condition, bool is_safe, const char *signature) {
    struct use use = check_write(L, signature);
    struct dict_storing how = {condition, is_safe, take_lifetime(L, 4, signature)};
    struct dict_value value;
    bool forcible = false, is_nil = lua_isnoneornil(L, 3);
    if (!is_nil && !take_value(L, 3, &value)) return raise_misuse(L, signature);
    uint32_t flags = (uint32_t)take_whole(L, 5, 0, UINT32_MAX, signature);
    if (use.fault) return nil_and(L, use.fault);
    if (is_nil && condition != DICT_ALWAYS) return nil_and(L, "attempt to add or replace nil values");
    if (is_nil) {
        dict_delete(use.dict, use.key);
        return push_success(L, DICT_OK, false);
    }
    value.flags = flags;
    enum dict_result result = dict_store(use.dict, use.key, &value, &how, use.now, &forcible);
    return push_success(L, result, forcible);
}

#define STORE_ARGUMENTS "(key, value[, seconds[, flags]]): a string, number, integer of 64 bits or boolean"
static int set(lua_State *L) { return store(L, DICT_ALWAYS, false, "dict:set" STORE_ARGUMENTS); }
static int safe_set(lua_State *L) { return store(L, DICT_ALWAYS, true, "dict:safe_set" STORE_ARGUMENTS); }
static int add(lua_State *L) { return store(L, DICT_IF_ABSENT, false, "dict:add" STORE_ARGUMENTS); }
static int safe_add(lua_State *L) { return store(L, DICT_IF_ABSENT, true, "dict:safe_add" STORE_ARGUMENTS); }
static int replace(lua_State *L) { return store(L, DICT_IF_PRESENT, false, "dict:replace" STORE_ARGUMENTS); }

static int incr(lua_State *L) {
    static const char signature[] = "dict:incr(key, number[, init[, seconds]])";
    struct use use = check_write(L, signature);
    struct dict_value step, init, sum;
    bool forcible, has_init = !lua_isnoneornil(L, 4);
    if (!take_number(L, 3, &step) || (has_init && !take_number(L, 4, &init)) || (!has_init && !lua_isnoneornil(L, 5)))
        return raise_misuse(L, signature);
    uint64_t lifetime = take_lifetime(L, 5, signature);
    if (use.fault) return nil_and(L, use.fault);
    enum dict_result result =
        dict_add(use.dict, use.key, &step, has_init ? &init : NULL, lifetime, use.now, &sum, &forcible);
    if (result != DICT_OK) return nil_and(L, result_texts[result]);
    push_value(L, &sum);
    if (!has_init) return 1;
    lua_pushnil(L);
    lua_pushboolean(L, forcible);
    return 3;
}

static int delete(lua_State *L) {
    struct use use = check_write(L, "dict:delete(key)");
    if (use.fault) return nil_and(L, use.fault);
    dict_delete(use.dict, use.key);
    return push_success(L, DICT_OK, false);
}

static int ttl(lua_State *L) {
    struct use use = check_use(L, "dict:ttl(key)");
    if (use.fault) return nil_and(L, use.fault);
    uint64_t left;
    enum dict_result result = dict_lifetime(use.dict, use.key, use.now, &left);
    if (result != DICT_OK) return nil_and(L, result_texts[result]);
    lua_pushnumber(L, (double)left / (double)NS_PER_S);
    return 1;
}

static int expire(lua_State *L) {
    static const char signature[] = "dict:expire(key, seconds)";
    struct use use = check_write(L, signature);
    uint64_t lifetime = check_seconds(L, 3, signature);
    if (use.fault) return nil_and(L, use.fault);
    return push_result(L, dict_set_lifetime(use.dict, use.key, lifetime, use.now));
}

/* ---- lists ---- */

static int push(lua_State *L, bool at_front, const char *signature) {
    struct use use = check_write(L, signature);
    struct dict_value value;
    uint32_t count;
    if (!take_value(L, 3, &value) || value.type == DICT_BOOLEAN) return raise_misuse(L, signature);
    if (use.fault) return nil_and(L, use.fault);
    enum dict_result result = dict_push(use.dict, use.key, &value, at_front, use.now, &count);
    if (result != DICT_OK) return nil_and(L, result_texts[result]);
    lua_pushnumber(L, count);
    return 1;
}

#define PUSH_ARGUMENTS "(key, value): a string, number or integer of 64 bits"
static int lpush(lua_State *L) { return push(L, true, "dict:lpush" PUSH_ARGUMENTS); }
static int rpush(lua_State *L) { return push(L, false, "dict:rpush" PUSH_ARGUMENTS); }

static int pop(lua_State *L, bool at_front, const char *signature) {
    struct use use = check_write(L, signature);
    if (use.fault) return nil_and(L, use.fault);
    struct dict_value value;
    enum dict_result result = dict_pop(use.dict, use.key, at_front, use.now, &value, &use.script->dict_bytes);
    if (result == DICT_NOT_FOUND) {
        lua_pushnil(L);
        return 1;
    }
    if (result != DICT_OK) return nil_and(L, result_texts[result]);
    push_value(L, &value);
    forget_bytes(use.script);
    return 1;
}

static int lpop(lua_State *L) { return pop(L, true, "dict:lpop(key)"); }
static int rpop(lua_State *L) { return pop(L, false, "dict:rpop(key)"); }

static int llen(lua_State *L) {
    struct use use = check_use(L, "dict:llen(key)");
    if (use.fault) return nil_and(L, use.fault);
    uint32_t count;
    enum dict_result result = dict_count(use.dict, use.key, use.now, &count);
    if (result != DICT_OK) return nil_and(L, result_texts[result]);
    lua_pushnumber(L, count);
    return 1;
}

/* ---- all of them ---- */

/* 0, as in ngx.shared: all there are. */
static size_t take_most(lua_State *L, double standard, const char *signature) {
    double most = take_whole(L, 2, standard, (double)(UINT64_C(1) << 53), signature);
    return most > 0 ? (size_t)most : SIZE_MAX;
}

static int get_keys(lua_State *L) {
    static const char signature[] = "dict:get_keys([most])";
    struct script *script = script_of(L);
    struct dict *dict = check_dict(L, signature);
    struct buffer *bytes = &script->dict_bytes;
    size_t count = dict_keys(dict, take_most(L, KEYS_STANDARD, signature), now_of(script), bytes);
    lua_createtable(L, count < INT32_MAX ? (int)count : 0, 0);
    const uint8_t *at = buffer_bytes(bytes);
    for (size_t i = 1; i <= count; i++) {
        uint16_t length;
        memcpy(&length, at, sizeof length);
        lua_pushlstring(L, (const char *)at + sizeof length, length);
        lua_rawseti(L, -2, (int)i);
        at += sizeof length + length;
    }
    forget_bytes(script);
    return 1;
}

static int flush_all(lua_State *L) {
    static const char signature[] = "dict:flush_all()";
    struct dict *dict = check_dict(L, signature);
    check_may_write(L, signature);
    dict_expire_all(dict);
    return 0;
}

static int flush_expired(lua_State *L) {
    static const char signature[] = "dict:flush_expired([most])";
    struct dict *dict = check_dict(L, signature);
    size_t most = take_most(L, 0, signature);
    check_may_write(L, signature);
    lua_pushnumber(L, (double)dict_remove_expired(dict, most, now_of(script_of(L))));
    return 1;
}

static int capacity(lua_State *L) {
    lua_pushnumber(L, (double)dict_size(check_dict(L, "dict:capacity()")));
    return 1;
}

static int free_space(lua_State *L) {
    lua_pushnumber(L, (double)dict_free_space(check_dict(L, "dict:free_space()")));
    return 1;
}

/* ---- the table ---- */

static int dict_tostring(lua_State *L) {
    lua_pushfstring(L, "shared_dict %s", dict_name(check_dict(L, "a shared_dict")));
    return 1;
}

static int forget(lua_State *L) {
    dict_unref(lua_touserdata(L, 1));
    return 0;
}

static int unknown_dict(lua_State *L) {
    return names_raise_unknown(L, "tidewire.shared", 2, 1, ": the config declares it with `shared_dict NAME { size = … }`");
}

void bind_dict_open(struct script *script) {
    lua_State *L = script->L;
    const luaL_Reg functions[] = {
        {"get", get},           {"get_stale", get_stale}, {"set", set},
        {"safe_set", safe_set}, {"add", add},             {"safe_add", safe_add},
        {"replace", replace},   {"incr", incr},           {"delete", delete},
        {"ttl", ttl},           {"expire", expire},       {"lpush", lpush},
        {"rpush", rpush},       {"lpop", lpop},           {"rpop", rpop},
        {"llen", llen},         {"get_keys", get_keys},   {"flush_all", flush_all},
        {"flush_expired", flush_expired}, {"capacity", capacity}, {"free_space", free_space},
        {NULL, NULL}};
    script->ref.dict_meta = userdata_class(script, "a shared_dict", functions, forget);
    push_ref(L, script->ref.dict_meta);
    set_functions(L, script, (const luaL_Reg[]){{"__tostring", dict_tostring}, {NULL, NULL}});
    lua_pop(L, 1);
}

void bind_dict_add(lua_State *L, struct script *script) {
    const struct dict_set *dicts = script_generation(script)->dicts;
    lua_newtable(L);
    for (size_t i = 0; i < dict_set_count(dicts); i++) {
        struct dict **handle = userdata_new(L, script->ref.dict_meta, sizeof *handle);
        *handle = dict_ref(dict_set_at(dicts, i));
        lua_setfield(L, -2, dict_name(*handle));
    }
    push_locked_metatable(L);
    lua_pushcfunction(L, unknown_dict);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "__newindex");
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    lua_setfield(L, -2, "shared");
}
