/* script/subscriber.h - a subscription that a script has made: its filter, its function, its handle. */
#ifndef TIDEWIRE_SCRIPT_SUBSCRIBER_H
#define TIDEWIRE_SCRIPT_SUBSCRIBER_H
#include "base/list.h"

struct script;

/* Those that load code has asked for begin. */
void subscribers_start(struct list *subscribers);
/* Cancels all of them. */
void subscribers_end(struct list *subscribers);
/* Their stream closes; what still comes finds no stream. */
void subscribers_forget_stream(struct list *subscribers);

/* tidewire.topic in the table at the top. */
void bind_topic_open(struct script *script);
#endif
