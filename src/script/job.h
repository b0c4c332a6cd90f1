/* script/job.h - what a script has asked to be run by itself: once after a while, every so often, or as a
 * coroutine of its own (spawn).
 *
 * A job belongs to a stream or to a generation and ends with it. Repeating jobs of load code tick at whole
 * multiples of their interval since the process began: whichever generation is in force when a multiple comes
 * runs that tick, so a reload neither skips nor doubles one. */
#ifndef TIDEWIRE_SCRIPT_JOB_H
#define TIDEWIRE_SCRIPT_JOB_H
#include <luajit-2.1/lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct generation;
struct script;
struct stream;

/* The jobs that load code has asked for begin, as far as they have not; or its timers alone. */
void jobs_start(struct list *jobs);
void jobs_start_timers(struct list *jobs);
/* Runs those whose time has come by `now`. */
void jobs_run_due(struct list *jobs, uint64_t now);
/* Timers stop, spawned fibers are cancelled (stream's: by the stream); handles point to nothing. */
void jobs_end(struct list *jobs);

/* after, every, spawn of a stream, for its table of methods. */
int job_stream_after(lua_State *L);
int job_stream_every(lua_State *L);
int job_stream_spawn(lua_State *L);
void bind_job_open(struct script *script); /* once a state */
/* tidewire.timer and .spawn, into the table at the top. */
void bind_job_add(lua_State *L, struct script *script);
#endif
