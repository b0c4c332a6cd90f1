/* script/move.h - on_reload: open streams go over to the generation in force.
 *
 * A stream of hooks whose method has on_reload in the new scripts goes over between two messages: its fields, what it has
 * queued, its subscriptions and `ctx` stay; timers, coroutines and filters of the old code end. A filtered call goes over
 * as a whole: each of its scripts must have on_reload. on_reload runs first; what it begins waits until it has returned,
 * and when it fails the stream stays where it was. */
#ifndef TIDEWIRE_SCRIPT_MOVE_H
#define TIDEWIRE_SCRIPT_MOVE_H
#include <stdbool.h>

struct script;
struct stream;

/* A generation has come into force: finds out which handlers of older ones have a successor in it, and looks at their
 * streams, some in each turn. Those that are not between two messages ask by themselves (stream_has_successor()). */
void moves_begin(struct script *script);
/* None is in force any more. */
void moves_end(struct script *script);
void moves_open_state(struct script *script);

/* Tries it; the caller then gives it the messages that wait. False: it stays, for now or for good. */
bool stream_move(struct stream *stream);
#endif
