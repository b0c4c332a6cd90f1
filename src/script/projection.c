/* script/projection.c - hooks that declare what they read and write, so that no object is made.
 *
 * tidewire.project() only keeps what it was given: types are known when the loader puts the entry to a method. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "script/message_private.h"

static const char project_magic;

/* The userdata; its environment is { fields, results, function }. */
struct declaration {
    const void *magic;
    bool has_results, is_patch;
    char where[200]; /* file:line of the call */
};

/* One argument: a field, or one inside of sub-messages. */
struct path {
    const struct field *steps[8];
    unsigned length;
};

struct projection {
    struct twl_schema *schema;
    const struct message_type *type, *reply_type;
    struct twl_message_options options;
    bool is_patch;
    bool has_plain_fields;  /* twl_projection_arguments() never raises */
    bool has_plain_results; /* most of them can be written without raising */
    int function; /* registry reference */
    size_t path_count, result_count;
    struct path *paths;
    const struct field **results;
    uint16_t *order;        /* of the results, by field number */
    struct codec_view view; /* over `memory`, between the scan and the last argument */
    uint64_t *memory, *dropped;
};

static const char usage[] =
    "usage: tidewire.project({ fields = { name, … }, reply = { name, … } or patch = { name, … } }, function)";

static struct declaration *to_declaration(lua_State *L, int index) {
    if (lua_type(L, index) != LUA_TUSERDATA || lua_objlen(L, index) != sizeof(struct declaration)) return NULL;
    struct declaration *declaration = lua_touserdata(L, index);
    return declaration->magic == &project_magic ? declaration : NULL;
}

bool twl_is_projection(lua_State *L, int index) { return to_declaration(L, index) != NULL; }

void twl_projection_declared(lua_State *L, int index) {
    lua_getfenv(L, index);
    lua_rawgeti(L, -1, 3);
    lua_remove(L, -2);
}

/* Pushes the list of names that `key` has in the spec, or nil. */
static bool push_names(lua_State *L, const char *key) {
    lua_getfield(L, 1, key);
    if (lua_isnil(L, -1)) return false;
    if (!lua_istable(L, -1)) luaL_error(L, "%s must be a list of field names; %s", key, usage);
    for (int i = 1, count = (int)lua_objlen(L, -1); i <= count; i++) {
        lua_rawgeti(L, -1, i);
        if (lua_type(L, -1) != LUA_TSTRING) luaL_error(L, "%s must be a list of field names; %s", key, usage);
        lua_pop(L, 1);
    }
    return true;
}

static void check_spec(lua_State *L) {
    if (!lua_istable(L, 1) || !lua_isfunction(L, 2)) luaL_error(L, "%s", usage);
    for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
        if (strcmp(key, "fields") && strcmp(key, "reply") && strcmp(key, "patch"))
            luaL_error(L, "unknown key \"%s\"; %s", key, usage);
    }
}

int twl_project(lua_State *L) {
    check_spec(L);
    lua_settop(L, 2);
    struct declaration *declaration = lua_newuserdata(L, sizeof *declaration);
    *declaration = (struct declaration){.magic = &project_magic};
    luaL_where(L, 1);
    strncpy(declaration->where, lua_tostring(L, -1), sizeof declaration->where - 1);
    lua_pop(L, 1);
    lua_createtable(L, 3, 0);
    if (!push_names(L, "fields")) return luaL_error(L, "no fields; %s", usage);
    lua_rawseti(L, 4, 1);
    bool has_reply = push_names(L, "reply");
    if (has_reply) lua_rawseti(L, 4, 2);
    declaration->is_patch = push_names(L, "patch");
    if (has_reply && declaration->is_patch) return luaL_error(L, "reply and patch exclude each other; %s", usage);
    if (declaration->is_patch) lua_rawseti(L, 4, 2);
    declaration->has_results = has_reply || declaration->is_patch;
    lua_pushvalue(L, 2);
    lua_rawseti(L, 4, 3);
    lua_settop(L, 4);
    lua_setfenv(L, 3);
    return 1;
}

/* "source.host" → its fields. False and a sentence. */
static bool resolve_path(struct path *path, const struct message_type *type, const char *text, struct error *error) {
    const char *name = text;
    *path = (struct path){.length = 0};
    for (;;) {
        size_t length = strcspn(name, ".");
        const struct field *field = message_field(type, name, length);
        if (!field) {
            char *wrong = memory_copy(name, length);
            const char *nearest = message_nearest_field(type, wrong);
            error_set(error, "%s has no field \"%s\"%s%s%s", type->full_name, wrong, nearest ? " (did you mean \"" : "",
                      nearest ? nearest : "", nearest ? "\"?)" : "");
            free(wrong);
            return false;
        }
        if (path->length == sizeof path->steps / sizeof path->steps[0])
            return error_set(error, "\"%s\" goes deeper than %u levels", text, path->length);
        path->steps[path->length++] = field;
        if (!name[length]) return true;
        if (!codec_is_message(field) || field->is_repeated)
            return error_set(error, "\"%s\": %s.%s is no single message to look into", text, type->full_name,
                             field->name);
        type = field->message;
        name += length + 1;
    }
}

static bool resolve_paths(lua_State *L, struct projection *projection, struct error *error) {
    projection->path_count = lua_objlen(L, -1);
    projection->paths = memory_new(projection->path_count * sizeof *projection->paths);
    bool is_good = true;
    for (size_t i = 0; i < projection->path_count && is_good; i++) {
        lua_rawgeti(L, -1, (int)i + 1);
        is_good = resolve_path(&projection->paths[i], projection->type, lua_tostring(L, -1), error);
        lua_pop(L, 1);
    }
    return is_good;
}

static bool resolve_results(lua_State *L, struct projection *projection, struct error *error) {
    size_t count = projection->result_count = lua_objlen(L, -1);
    projection->results = memory_new(count * sizeof *projection->results);
    projection->order = memory_new(count * sizeof *projection->order);
    bool is_good = true;
    for (size_t i = 0; i < count && is_good; i++) {
        struct path path;
        lua_rawgeti(L, -1, (int)i + 1);
        const char *name = lua_tostring(L, -1);
        is_good = resolve_path(&path, projection->reply_type, name, error);
        if (is_good && path.length > 1)
            is_good = error_set(error, "\"%s\": a %s names fields of the message itself", name,
                                projection->is_patch ? "patch" : "reply");
        lua_pop(L, 1);
        if (!is_good) break;
        projection->results[i] = path.steps[0];
        size_t place = i;
        for (; place && projection->results[projection->order[place - 1]]->number > path.steps[0]->number; place--)
            projection->order[place] = projection->order[place - 1];
        projection->order[place] = (uint16_t)i;
    }
    return is_good;
}

/* A reply without a field that its type requires could never be sent. */
static bool check_required(const struct projection *projection, struct error *error) {
    if (projection->is_patch || !projection->reply_type || !projection->result_count) return true;
    for (size_t i = 0; i < projection->reply_type->field_count; i++) {
        const struct field *field = &projection->reply_type->fields[i];
        bool is_given = !field->is_required;
        for (size_t k = 0; k < projection->result_count; k++) is_given = is_given || projection->results[k] == field;
        if (!is_given)
            return error_set(error, "%s requires field \"%s\", which the reply does not name",
                             projection->reply_type->full_name, field->name);
    }
    return true;
}

static bool resolve(lua_State *L, const struct declaration *declaration, struct projection *projection,
                    struct error *error) {
    if (declaration->has_results && !projection->reply_type)
        return error_set(error, "here a projection only reads: no reply or patch");
    lua_rawgeti(L, -1, 1);
    bool is_good = resolve_paths(L, projection, error);
    lua_pop(L, 1);
    if (!is_good || !declaration->has_results) return is_good;
    lua_rawgeti(L, -1, 2);
    is_good = resolve_results(L, projection, error);
    lua_pop(L, 1);
    return is_good && check_required(projection, error);
}

static void find_plain(struct projection *projection) {
    projection->has_plain_fields = projection->path_count <= LUA_MINSTACK / 2;
    for (size_t i = 0; i < projection->path_count; i++)
        projection->has_plain_fields &= projection->paths[i].length == 1 && twl_is_plain(projection->paths[i].steps[0]);
    projection->has_plain_results = projection->result_count && !projection->is_patch;
    for (size_t i = 0; i < projection->result_count; i++) {
        const struct field *field = projection->results[i];
        projection->has_plain_results &= twl_is_plain(field) && field->oneof < 0 && !field->is_required;
    }
}

struct projection *twl_projection_resolve(lua_State *L, int index, struct twl_schema *schema,
                                          const struct message_type *type, const struct message_type *reply_type,
                                          const struct twl_message_options *options, struct error *error) {
    const struct declaration *declaration = to_declaration(L, index);
    struct projection *projection = memory_new(sizeof *projection);
    *projection = (struct projection){.schema = schema,
                                      .type = type,
                                      .options = *options,
                                      .is_patch = declaration->is_patch,
                                      .reply_type = declaration->is_patch ? type : reply_type,
                                      .function = LUA_NOREF};
    if (declaration->is_patch && !reply_type) projection->reply_type = NULL;
    projection->memory = memory_new(codec_view_size(type));
    projection->dropped = memory_new(codec_words(type) * 8);
    codec_view_place(&projection->view, type, projection->memory);
    struct error reason;
    lua_getfenv(L, index);
    if (resolve(L, declaration, projection, &reason)) {
        lua_rawgeti(L, -1, 3);
        projection->function = luaL_ref(L, LUA_REGISTRYINDEX);
        find_plain(projection);
    } else {
        error_set(error, "%serror: %s", declaration->where, reason.text);
        twl_projection_free(L, &projection);
    }
    lua_pop(L, 1);
    return projection;
}

void twl_projection_free(lua_State *L, struct projection **projection) {
    struct projection *p = *projection;
    *projection = NULL;
    if (!p) return;
    luaL_unref(L, LUA_REGISTRYINDEX, p->function);
    free(p->paths);
    free(p->results);
    free(p->order);
    free(p->memory);
    free(p->dropped);
    free(p);
}

unsigned twl_projection_count(const struct projection *projection) { return (unsigned)projection->path_count; }

bool twl_projection_is_reply(const struct projection *projection) {
    return projection->result_count && !projection->is_patch;
}

bool twl_projection_is_patch(const struct projection *projection) { return projection->is_patch; }

bool twl_projection_is_single(const struct projection *projection) {
    return projection->path_count == 1 && projection->result_count <= 1;
}

void twl_projection_function(lua_State *L, const struct projection *projection) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, projection->function);
}

static void push_one(const struct reader *reader, const struct codec_view *view, const struct field *field) {
    if (field->is_repeated || codec_bit(view->presence, field->index)) twl_push_field(reader, view, field);
    else if (field->has_presence || codec_is_message(field)) lua_pushnil(reader->L);
    else twl_push_default(reader, field);
}

/* Looks into a sub-message: a view over it in memory on the Lua stack, where it stays until the end of the path. */
static void push_inside(const struct reader *reader, const struct codec_view *view, const struct path *path,
                        unsigned step) {
    lua_State *L = reader->L;
    const struct field *field = path->steps[step];
    if (step + 1 == path->length) {
        push_one(reader, view, field);
        return;
    }
    if (!codec_bit(view->presence, field->index)) {
        lua_pushnil(L);
        return;
    }
    size_t length, size = codec_view_size(field->message);
    const uint8_t *bytes = twl_push_inside(reader, view, field, &length);
    struct reader inner = *reader;
    if (view->slots[field->index].length & CODEC_SPLIT) inner.owner = NULL;
    uint64_t small[2 * SMALL_FIELDS];
    struct codec_view below;
    bool is_small = size <= sizeof small;
    codec_view_place(&below, field->message, is_small ? (void *)small : lua_newuserdata(L, size));
    codec_rescan(&below, bytes, length);
    push_inside(&inner, &below, path, step + 1);
    lua_replace(L, is_small ? -2 : -3);
    if (!is_small) lua_pop(L, 1);
}

int twl_projection_arguments(lua_State *L, const struct projection *projection, const uint8_t *bytes, size_t length,
                             const char **fault) {
    struct codec_view view = projection->view;
    *fault = codec_scan(&view, bytes, length);
    if (*fault) return -1;
    struct reader reader = {L, projection->schema, projection->options, NULL, false};
    if (projection->has_plain_fields) {
        for (size_t i = 0; i < projection->path_count; i++)
            twl_push_plain(&reader, &view, projection->paths[i].steps[0]);
        return (int)projection->path_count;
    }
    luaL_checkstack(L, (int)projection->path_count + 30, "projection");
    for (size_t i = 0; i < projection->path_count; i++) {
        const struct path *path = &projection->paths[i];
        if (path->length == 1) push_one(&reader, &view, path->steps[0]);
        else push_inside(&reader, &view, path, 0);
    }
    return (int)projection->path_count;
}

/* Bits of the fields that have a result, of their siblings in a oneof too. */
static void mark_dropped(lua_State *L, const struct projection *projection, int first, int count) {
    const struct message_type *type = projection->type;
    memset(projection->dropped, 0, codec_words(type) * 8);
    for (int i = 0; i < count; i++) {
        if (lua_isnil(L, first + i)) continue;
        const struct field *field = projection->results[i];
        codec_set_bit(projection->dropped, field->index);
        const struct oneof *oneof = field->oneof >= 0 ? &type->oneofs[field->oneof] : NULL;
        for (size_t k = 0; oneof && k < oneof->field_count; k++) codec_set_bit(projection->dropped, oneof->fields[k]);
    }
}

static bool all_nil(lua_State *L, int first, int count) {
    for (int i = 0; i < count; i++)
        if (!lua_isnil(L, first + i)) return false;
    return true;
}

/* Two members of a oneof, or nothing for a required field, are mistakes of the script. */
static void check_results(const struct writer *writer, const struct projection *projection, int first, int count) {
    lua_State *L = writer->L;
    const struct message_type *type = projection->reply_type;
    for (int i = 0; i < (int)projection->result_count; i++) {
        const struct field *field = projection->results[i];
        bool is_given = i < count && !lua_isnil(L, first + i);
        if (field->is_required && !is_given && !projection->is_patch)
            twl_write_fault(writer, NULL, "required field \"%s\" is not set", field->name);
        if (field->oneof < 0 || !is_given) continue;
        for (int k = 0; k < i; k++)
            if (projection->results[k]->oneof == field->oneof && !lua_isnil(L, first + k))
                twl_write_fault(writer, NULL, "\"%s\" and \"%s\" are both given, but oneof \"%s\" has one of them",
                                projection->results[k]->name, field->name, type->oneofs[field->oneof].name);
    }
}

bool twl_projection_plain_result(lua_State *L, const struct projection *projection, int first, struct buffer *out) {
    int count = (int)projection->result_count;
    if (!projection->has_plain_results || lua_gettop(L) - first + 1 < count) return false;
    size_t before = buffer_length(out);
    for (int i = 0; i < count; i++) {
        int place = projection->order[i];
        if (twl_write_plain(L, first + place, projection->results[place], out) &&
            buffer_length(out) - before <= MOST_WRITTEN)
            continue;
        out->end = out->start + before;
        return false;
    }
    return true;
}

bool twl_projection_result(lua_State *L, const struct projection *projection, int first, const uint8_t *bytes,
                           size_t length, struct buffer *out) {
    int count = lua_gettop(L) - first + 1;
    if (count > (int)projection->result_count) count = (int)projection->result_count;
    struct writer writer = {.L = L,
                            .out = out,
                            .schema = projection->schema,
                            .root = projection->reply_type,
                            .most = buffer_length(out) + MOST_WRITTEN};
    if (all_nil(L, first, count)) return false;
    check_results(&writer, projection, first, count);
    if (projection->is_patch) {
        mark_dropped(L, projection, first, count);
        codec_splice(projection->type, bytes, length, projection->dropped, out);
    }
    luaL_checkstack(L, 20, "projection");
    for (size_t i = 0; i < projection->result_count; i++) {
        int place = projection->order[i];
        if (place < count && !lua_isnil(L, first + place))
            twl_write_field(&writer, first + place, projection->results[place], NULL);
    }
    return true;
}
