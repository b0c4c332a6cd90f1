/* script/bind_client.h - for scripts: opening streams, and what only streams that were opened can do. */
#ifndef TIDEWIRE_SCRIPT_BIND_CLIENT_H
#define TIDEWIRE_SCRIPT_BIND_CLIENT_H
#include <luajit-2.1/lua.h>
#include <stddef.h>

struct generation;
struct script;
struct script_file;
struct stream;
struct upstream;

/* The ends of signatures. */
#define CLIENT_OPEN_OPTIONS "[, { metadata =, timeout =, detached =, reconnect =, wait = }]"
#define CLIENT_CALL_OPTIONS "[, { metadata =, timeout =, detached =, wait = }]"

/* One way to call the functions below. */
struct client_form {
    const char *signature; /* for errors */
    size_t service;        /* of the file whose code opens: counted from 1 in its generation; 0: none's */
};

/* The upstream of that name; raises, with the nearest one, where the config has none. */
struct upstream *check_upstream(lua_State *L, const struct generation *generation, const char *name);
/* The service of a file's code. */
size_t bind_client_service(const struct generation *generation, const struct script_file *file);
/* (upstream, method[, options]) → a stream. */
int bind_client_open(lua_State *L, struct client_form form);
/* (upstream, method, request[, options]) → the reply; waits. */
int bind_client_call(lua_State *L, struct client_form form);
/* stream:half_close() and the like, into the table at the top. */
void bind_client_functions(lua_State *L, struct script *script);
/* tidewire.open, call and upstreams for that file's code, into the table at the top. */
void bind_client_add(lua_State *L, struct script *script, const struct script_file *file);
/* stream.upstream of a stream that a function answers. */
int bind_client_push_upstream(lua_State *L, struct script *script, struct stream *stream);
#endif
