/* bench/codec_bench.c - what a message costs between wire and wire: bytes in, a handler in Lua, bytes out.
 *
 *   codec_bench [jit] [types] [only=NAME]    from the top of the checkout; JIT off unless told
 *
 * Each round sends 256 different messages, each with a counter that is new every time, so that strings are
 * really made and not only found. Garbage collection is part of the figures. The quietest of many short
 * slices counts, since that is what the machine can do when it is left alone. */
#include <luajit-2.1/lauxlib.h>
#include <luajit-2.1/luajit.h>
#include <luajit-2.1/lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "schema/codec.h"
#include "script/message.h"

enum { INPUTS = 256, SLICES = 60, SLICE_NS = 4000000, DIGITS = 8 };
enum { MIXED = 4 /* shapes of the test with many types */, FIRST_PROJECTION = 5, MOST_COPIES = 64 };

struct input {
    uint8_t *bytes;
    size_t length, counter; /* where the digits are that change */
};

struct shape {
    const char *name, *request, *reply;
    const char *make;    /* Lua: a function(i) that makes the i-th input */
    const char *handler; /* Lua: a function(stream, message), or a projection */
};

static const char make_number[] = "return function(i) return { num = 1000 + i } end";
static const char make_chat[] = "return function(i) return { sender = ('user%03d'):format(i), room = "
                                "'general', text = 'message 00000000 of a normal length' } end";
static const char make_log[] =
    "return function(i) return { id = 1000000 + i, time = { seconds = 1700000000 + i, nanos = i * 1000 }, "
    "level = i % 4,\n"
    "  logger = 'app.module.' .. i % 20, message = 'request 00000000 of the front end has taken longer than "
    "it should have: see the trace for more, and the page of its team for what to do about it next time',\n"
    "  source = { host = ('host-%03d.production.eu-west.example.net'):format(i), file = "
    "'src/server/handler.c', line = i },\n"
    "  tags = { 'tag-a' .. i, 'tag-b' .. i, 'production', 'slow' },\n"
    "  labels = { region = 'eu-west-' .. i % 3, zone = 'zone-' .. i, pod = 'pod-' .. i * 7, version = '1.2.' "
    ".. i, team = 'payments' },\n"
    "  trace = ('\\1\\2\\3\\4'):rep(16), duration = i * 0.25, user = 'user-' .. i, counters = { i, 2, 300, "
    "40000, 5, 6, 7, 8 } } end";

static const struct shape shapes[] = {
    {"object S", "bench.Number", "bench.Sum", make_number,
     "return function(stream, message) return { sum = message.num } end"},
    {"object M", "bench.Chat", "bench.Chat", make_chat,
     "return function(stream, message) message.sender = 'somebody' return message end"},
    {"object Lfilter", "bench.LogEntry", "bench.LogEntry", make_log,
     "return function(stream, message) if message.level < 9 then return message end end"},
    {"object Ledit", "bench.LogEntry", "bench.LogEntry", make_log,
     "return function(stream, message) if message.level < 9 then message.user = 'redacted' end return "
     "message end"},
    {"object Lfull", "bench.LogEntry", "bench.LogEntry", make_log,
     "return function(stream, m)\n"
     "  local n = #m.logger + #m.message + #m.trace + m.duration + m.level + m.id + m.time.seconds + "
     "m.time.nanos\n"
     "  n = n + #m.source.host + #m.source.file + m.source.line + #m.user\n"
     "  local tags, counters = m.tags, m.counters\n"
     "  for i = 1, #tags do n = n + #tags[i] end\n"
     "  for i = 1, #counters do n = n + counters[i] end\n"
     "  for key, value in pairs(m.labels) do n = n + #key + #value end\n"
     "  m.user = n > 0 and 'redacted' or '?'\n"
     "  return m\n"
     "end"},
    {"projection S", "bench.Number", "bench.Sum", make_number,
     "return project({ fields = { 'num' }, reply = { 'sum' } }, function(stream, num) return num end)"},
    {"projection M", "bench.Chat", "bench.Chat", make_chat,
     "return project({ fields = { 'room' }, patch = { 'sender' } }, function(stream, room) return 'somebody' "
     "end)"},
    {"projection Lfilter", "bench.LogEntry", "bench.LogEntry", make_log,
     "return project({ fields = { 'level' }, patch = {} }, function(stream, level) if level > 9 then return "
     "DROP end end)"},
    {"projection Ledit", "bench.LogEntry", "bench.LogEntry", make_log,
     "return project({ fields = { 'level' }, patch = { 'user' } }, function(stream, level) if level < 9 then "
     "return 'redacted' end end)"},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

/* One way through: what a worker does for a message. */
struct route {
    const struct shape *shape;
    const struct message_type *request, *reply;
    struct projection *projection;
    int handler;
    struct input inputs[INPUTS];
};

struct bench {
    lua_State *L;
    struct schema *schema;
    struct twl_schema *bound;
    struct twl_message_options options;
    struct buffer out;
    uint64_t counter;
};

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void fail(const char *text) {
    fprintf(stderr, "codec_bench: %s\n", text);
    exit(1);
}

static void run(lua_State *L, const char *chunk, int results) {
    if (luaL_loadstring(L, chunk) || lua_pcall(L, 0, results, 0)) fail(lua_tostring(L, -1));
}

static void make_inputs(struct bench *bench, struct route *route) {
    static const char digits[] = "00000000";
    lua_State *L = bench->L;
    run(L, route->shape->make, 1);
    for (int i = 0; i < INPUTS; i++) {
        struct input *input = &route->inputs[i];
        lua_pushvalue(L, -1);
        lua_pushinteger(L, i);
        lua_call(L, 1, 1);
        buffer_clear(&bench->out);
        twl_message_encode(L, -1, bench->bound, route->request, &bench->out);
        lua_pop(L, 1);
        input->length = buffer_length(&bench->out);
        input->bytes = (uint8_t *)memory_copy(buffer_bytes(&bench->out), input->length);
        uint8_t *found = memmem(input->bytes, input->length, digits, DIGITS);
        if (found) input->counter = (size_t)(found - input->bytes);
    }
    lua_pop(L, 1);
}

static void prepare(struct bench *bench, struct route *route, const struct shape *shape) {
    struct error error;
    lua_State *L = bench->L;
    *route = (struct route){.shape = shape, .handler = LUA_NOREF};
    route->request = schema_message(bench->schema, shape->request);
    route->reply = schema_message(bench->schema, shape->reply);
    make_inputs(bench, route);
    run(L, shape->handler, 1);
    if (twl_is_projection(L, -1)) {
        route->projection = twl_projection_resolve(L, -1, bench->bound, route->request, route->reply,
                                                   &bench->options, &error);
        if (!route->projection) fail(error.text);
        lua_pop(L, 1);
    } else {
        route->handler = luaL_ref(L, LUA_REGISTRYINDEX);
    }
}

static void finish(struct bench *bench, struct route *route) {
    for (int i = 0; i < INPUTS; i++) free(route->inputs[i].bytes);
    if (route->projection) twl_projection_free(bench->L, &route->projection);
    luaL_unref(bench->L, LUA_REGISTRYINDEX, route->handler);
}

static size_t by_object(struct bench *bench, const struct route *route, const struct input *input) {
    lua_State *L = bench->L;
    const char *fault;
    const uint8_t *bytes;
    struct message *owner;
    size_t length;
    lua_rawgeti(L, LUA_REGISTRYINDEX, route->handler);
    lua_pushboolean(L, 1); /* stands for the stream */
    if (!twl_message_push(L, bench->bound, route->request, input->bytes, input->length, NULL, &bench->options,
                          &fault))
        fail(fault);
    if (lua_pcall(L, 2, 1, 0)) fail(lua_tostring(L, -1));
    if (twl_message_unchanged(L, -1, &bytes, &length, &owner)) {
        lua_pop(L, 1);
        return length;
    }
    twl_message_encode(L, -1, bench->bound, route->reply, &bench->out);
    lua_pop(L, 1);
    return buffer_length(&bench->out);
}

static size_t by_projection(struct bench *bench, const struct route *route, const struct input *input) {
    lua_State *L = bench->L;
    const char *fault;
    int first = lua_gettop(L) + 1;
    twl_projection_function(L, route->projection);
    lua_pushboolean(L, 1);
    int count = twl_projection_arguments(L, route->projection, input->bytes, input->length, &fault);
    if (count < 0) fail(fault);
    if (lua_pcall(L, count + 1, LUA_MULTRET, 0)) fail(lua_tostring(L, -1));
    bool has_result =
        twl_projection_result(L, route->projection, first, input->bytes, input->length, &bench->out);
    lua_settop(L, first - 1);
    return has_result ? buffer_length(&bench->out) : input->length;
}

static size_t one(struct bench *bench, struct route *route, unsigned i) {
    struct input *input = &route->inputs[i % INPUTS];
    uint64_t counter = bench->counter++;
    for (int digit = DIGITS - 1; input->counter && digit >= 0; digit--, counter /= 10)
        input->bytes[input->counter + (size_t)digit] = (uint8_t)('0' + counter % 10);
    buffer_clear(&bench->out);
    return route->projection ? by_projection(bench, route, input) : by_object(bench, route, input);
}

static double slice(struct bench *bench, struct route *route) {
    uint64_t start = now(), end;
    unsigned count = 0;
    do {
        for (int i = 0; i < 100; i++) one(bench, route, count++);
        end = now();
    } while (end - start < SLICE_NS);
    return (double)(end - start) / count;
}

static double scan_alone(struct bench *bench, const struct route *route) {
    uint64_t memory[256];
    struct codec_view view;
    codec_view_place(&view, route->request, memory);
    double best = 1e9;
    (void)bench;
    for (int i = 0; i < SLICES; i++) {
        uint64_t start = now();
        for (unsigned k = 0; k < 1000; k++) {
            const struct input *input = &route->inputs[k % INPUTS];
            if (codec_scan(&view, input->bytes, input->length)) fail("scan");
        }
        double each = (double)(now() - start) / 1000;
        if (each < best) best = each;
    }
    return best;
}

static void measure(struct bench *bench, const struct shape *shape) {
    struct route *route = memory_new(sizeof *route);
    prepare(bench, route, shape);
    double best = 1e9, sum = 0;
    for (int i = 0; i < SLICES; i++) {
        double each = slice(bench, route);
        sum += each;
        if (each < best) best = each;
    }
    printf("%-20s %5zu B in %5zu B out %9.1f ns (mean %.1f)  scan %.1f ns\n", shape->name,
           route->inputs[7].length, one(bench, route, 7), best, sum / SLICES, scan_alone(bench, route));
    fflush(stdout);
    finish(bench, route);
    free(route);
}

/* Which shapes to run: those whose name begins like this. */
static const char *only = "";

/* Handlers that have message types of their own: what a generated codec or a shared trace would fall over.
 * The types are those of the shapes in packages bench, bench1, bench2, … */
static void measure_types(struct bench *bench, const struct shape *mixed, int handlers) {
    struct route *routes = memory_new((size_t)handlers * sizeof *routes);
    struct shape *own = memory_new((size_t)handlers * sizeof *own);
    char(*names)[2][32] = memory_new((size_t)handlers * sizeof *names);
    for (int i = 0; i < handlers; i++) {
        own[i] = mixed[i % MIXED];
        snprintf(names[i][0], sizeof names[i][0], "bench%.0d%s", i / MIXED, strchr(own[i].request, '.'));
        snprintf(names[i][1], sizeof names[i][1], "bench%.0d%s", i / MIXED, strchr(own[i].reply, '.'));
        own[i].request = names[i][0];
        own[i].reply = names[i][1];
        prepare(bench, &routes[i], &own[i]);
    }
    uint32_t random = 1;
    double best = 1e9;
    for (int i = 0; i < SLICES; i++) {
        uint64_t start = now();
        for (unsigned k = 0; k < 8000; k++) {
            random = random * 1664525u + 1013904223u;
            one(bench, &routes[(random >> 8) % (unsigned)handlers], k % 16);
        }
        double each = (double)(now() - start) / 8000;
        if (each < best) best = each;
    }
    printf("%-10.*s %4d handlers with types of their own %9.1f ns\n", (int)strcspn(mixed->name, " "),
           mixed->name, handlers, best);
    fflush(stdout);
    for (int i = 0; i < handlers; i++) finish(bench, &routes[i]);
    free(routes);
    free(own);
    free(names);
}

/* bench/codec_bench.proto, and with `copies` more of it in packages of their own. */
static struct schema *load_schema(int copies) {
    static char directory[] = "/tmp/codec_bench.XXXXXX", names[MOST_COPIES][48], here[] = "bench",
                file[] = "codec_bench.proto";
    char *paths[] = {here, directory, NULL}, *files[MOST_COPIES + 2] = {file}, text[4096];
    struct error error;
    FILE *original = fopen("bench/codec_bench.proto", "r");
    if (!original || !mkdtemp(directory)) fail("run it from the top of the checkout");
    text[fread(text, 1, sizeof text - 1, original)] = '\0';
    fclose(original);
    char *package = strstr(text, "package bench;");
    for (int i = 1; i <= copies; i++) {
        snprintf(names[i - 1], sizeof names[0], "%s/copy%d.proto", directory, i);
        FILE *copy = fopen(names[i - 1], "w");
        if (!copy) fail("cannot write a copy");
        fprintf(copy, "%.*spackage bench%d;%s", (int)(package - text), text, i,
                package + strlen("package bench;"));
        fclose(copy);
        files[i] = names[i - 1] + strlen(directory) + 1;
    }
    struct schema *schema = schema_load(paths, files, &error);
    for (int i = 0; i < copies; i++) unlink(names[i]);
    rmdir(directory);
    if (!schema) fail(error.text);
    return schema;
}

int main(int argc, char **argv) {
    bool has_jit = false, has_types = false;
    for (int i = 1; i < argc; i++) {
        has_jit = has_jit || strcmp(argv[i], "jit") == 0;
        has_types = has_types || strcmp(argv[i], "types") == 0;
        if (strncmp(argv[i], "only=", 5) == 0) only = argv[i] + 5;
    }
    struct bench bench = {.options = {.list_elements = 100000}};
    bench.schema = load_schema(has_types ? MOST_COPIES : 0);
    lua_State *L = bench.L = luaL_newstate();
    luaL_openlibs(L);
    luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | (has_jit ? LUAJIT_MODE_ON : LUAJIT_MODE_OFF));
    lua_gc(L, LUA_GCSETPAUSE, 150);
    lua_gc(L, LUA_GCSETSTEPMUL, 400);
    twl_message_open(L);
    bench.bound = twl_schema_open(L, bench.schema);
    lua_register(L, "project", twl_project);
    printf("JIT %s\n", has_jit ? "on" : "off");
    for (int i = 0; i < SHAPES && !has_types; i++)
        if (strncmp(shapes[i].name, only, strlen(only)) == 0) measure(&bench, &shapes[i]);
    for (int handlers = MIXED; handlers <= MOST_COPIES * MIXED && has_types; handlers *= 4) {
        measure_types(&bench, &shapes[0], handlers);
        measure_types(&bench, &shapes[FIRST_PROJECTION], handlers);
    }
    buffer_free(&bench.out);
    twl_schema_close(L, &bench.bound);
    lua_close(L);
    schema_unref(&bench.schema);
    return 0;
}
