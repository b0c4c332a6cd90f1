/* script/answer.h - what has come of a stream that a script opened: headers, status, trailers. It is kept beside the
 * stream's userdata, as long as anybody holds that. */
#ifndef TIDEWIRE_SCRIPT_ANSWER_H
#define TIDEWIRE_SCRIPT_ANSWER_H
#include <luajit-2.1/lua.h>
#include <stdbool.h>

#include "base/status.h"

struct fiber;
struct script;
struct stream;

/* While the call is still there. */
void answer_keep(struct stream *stream, enum status status, const char *text, bool has_headers);
/* The response headers have come, or the stream closes: those that wait go on. */
void answer_headers(struct stream *stream);
void answer_tell(struct stream *stream, enum status status, const char *text);
/* The reply that the fiber waits for may have come. */
void answer_read_reply(struct stream *stream, struct fiber *fiber);

/* Of the stream at `index`, once its answer was kept: pushes code, text and details (or nil); the trailers; the headers
 * (or nil and "closed"). How many values, or 0 when it has not ended. */
int answer_push_status(lua_State *L, struct script *script, int index);
int answer_push_trailers(lua_State *L, struct script *script, int index);
int answer_push_headers(lua_State *L, struct script *script, int index);
void answers_open_state(struct script *script); /* once a state */
#endif
