/* script/subscriber.h - a subscription that a script has made: its filter, its function, its handle. */
#ifndef TIDEWIRE_SCRIPT_SUBSCRIBER_H
#define TIDEWIRE_SCRIPT_SUBSCRIBER_H
#include <luajit-2.1/lua.h>

#include "base/list.h"

struct handler;
struct script;

/* Those that load code has asked for begin. */
void subscribers_start(struct list *subscribers);
/* Cancels all of them. */
void subscribers_end(struct list *subscribers);
/* Their stream closes; what still comes finds no stream. */
void subscribers_forget_stream(struct list *subscribers);

/* Their stream goes over to that handler: subscriptions and queues stay, filters that are code end. */
void subscribers_move(struct list *subscribers, const struct handler *handler);

void bind_topic_open(struct script *script); /* once a state */
/* tidewire.topic, into the table at the top. */
void bind_topic_add(lua_State *L, struct script *script);
#endif
