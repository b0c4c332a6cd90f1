/* script/bind_semaphore.c - tidewire.semaphore for scripts: how many coroutines of a worker may do something at once.
 *
 * What the code of a stream holds is noted, so that it comes back when the stream ends without having released it; code
 * of no stream is trusted to. Who waits is handed a permit by whoever releases it: nobody gets past the row. */
#include "script/semaphore.h"

#include <stdlib.h>

#include "base/memory.h"
#include "script/bind.h"
#include "script/fiber.h"
#include "script/state.h"
#include "script/stream.h"
#include "script/userdata.h"

enum { MOST_PERMITS = 1 << 20 };

struct semaphore {
    struct list waiters;  /* fibers */
    struct list holdings; /* of streams */
    uint32_t free;
    uint32_t loose; /* permits that code of no stream holds */
};

struct holding {
    struct list of_stream, of_semaphore;
    struct semaphore *semaphore;
    struct stream *stream;
    uint32_t count;
};

static struct semaphore *check_semaphore(lua_State *L, const char *signature) {
    return userdata_check(L, script_of(L)->ref.semaphore_meta, signature);
}

static struct holding *find_holding(const struct semaphore *semaphore, struct stream *stream) {
    struct list *holdings = &stream_extra(stream)->holdings;
    for (struct list *node = holdings->next; node != holdings; node = node->next) {
        struct holding *holding = container_of(node, struct holding, of_stream);
        if (holding->semaphore == semaphore) return holding;
    }
    return NULL;
}

static void free_holding(struct holding *holding) {
    list_remove(&holding->of_stream);
    list_remove(&holding->of_semaphore);
    free(holding);
}

/* One permit, which is counted no longer as free, for code of the stream, or of none. */
static void hold(struct semaphore *semaphore, struct stream *stream) {
    struct holding *holding = stream ? find_holding(semaphore, stream) : NULL;
    if (holding) {
        holding->count++;
    } else if (stream) {
        holding = memory_new(sizeof *holding);
        *holding = (struct holding){.semaphore = semaphore, .stream = stream, .count = 1};
        list_init(&holding->of_stream);
        list_init(&holding->of_semaphore);
        list_append(&stream_extra(stream)->holdings, &holding->of_stream);
        list_append(&semaphore->holdings, &holding->of_semaphore);
    } else {
        semaphore->loose++;
    }
}

/* A permit that nobody holds any more. */
static void pass_on(struct semaphore *semaphore) {
    struct fiber *fiber = fiber_first(&semaphore->waiters);
    if (!fiber) {
        semaphore->free++;
        return;
    }
    hold(semaphore, fiber->stream);
    lua_pushboolean(fiber->L, 1);
    fiber_wake(fiber, 1);
}

void semaphores_forget_stream(struct list *holdings) {
    while (!list_is_empty(holdings)) {
        struct holding *holding = container_of(holdings->next, struct holding, of_stream);
        struct semaphore *semaphore = holding->semaphore;
        uint32_t count = holding->count;
        free_holding(holding);
        while (count--) pass_on(semaphore);
    }
}

static int acquire(lua_State *L) {
    static const char signature[] = "semaphore:acquire([timeout])";
    struct script *script = script_of(L);
    struct semaphore *semaphore = check_semaphore(L, signature);
    uint64_t timeout = check_timeout(L, 2, signature);
    if (!semaphore->free && timeout) {
        struct fiber *fiber = fiber_wait_in_row(L, script, &semaphore->waiters, timeout, "semaphore:acquire()");
        return fiber_yield(L, fiber);
    }
    if (!semaphore->free) return nil_and(L, "timeout");
    semaphore->free--;
    hold(semaphore, script->running ? script->running->stream : NULL);
    lua_pushboolean(L, 1);
    return 1;
}

static int release(lua_State *L) {
    struct script *script = script_of(L);
    struct semaphore *semaphore = check_semaphore(L, "semaphore:release()");
    struct stream *stream = script->running ? script->running->stream : NULL;
    struct holding *holding = stream ? find_holding(semaphore, stream) : NULL;
    if (stream && !holding) return luaL_error(L, "semaphore:release(): the code of this stream holds none of it");
    if (!stream && !semaphore->loose) return luaL_error(L, "semaphore:release(): code of no stream holds none of it");
    if (!stream)
        semaphore->loose--;
    else if (!--holding->count)
        free_holding(holding);
    pass_on(semaphore);
    return 0;
}

static int count(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)check_semaphore(L, "semaphore:count()")->free);
    return 1;
}

/* Nobody can release it any more. */
static int forget(lua_State *L) {
    struct semaphore *semaphore = lua_touserdata(L, 1);
    while (!list_is_empty(&semaphore->holdings))
        free_holding(container_of(semaphore->holdings.next, struct holding, of_semaphore));
    fibers_wake_closed(&semaphore->waiters);
    return 0;
}

static int new_semaphore(lua_State *L) {
    double permits = lua_type(L, 1) == LUA_TNUMBER ? lua_tonumber(L, 1) : 0;
    if (!(permits >= 1 && permits <= MOST_PERMITS && permits == (double)(uint32_t)permits))
        return raise_misuse(L, "tidewire.semaphore(n): how many may hold it at once, 1 to 1048576");
    struct semaphore *semaphore = userdata_new(L, script_of(L)->ref.semaphore_meta, sizeof *semaphore);
    *semaphore = (struct semaphore){.free = (uint32_t)permits};
    list_init(&semaphore->waiters);
    list_init(&semaphore->holdings);
    return 1;
}

void bind_semaphore_open(struct script *script) {
    const luaL_Reg functions[] = {{"acquire", acquire}, {"release", release}, {"count", count}, {NULL, NULL}};
    script->ref.semaphore_meta = userdata_class(script, "a semaphore", functions, forget);
}

void bind_semaphore_add(lua_State *L, struct script *script) {
    set_functions(L, script, (const luaL_Reg[]){{"semaphore", new_semaphore}, {NULL, NULL}});
}
