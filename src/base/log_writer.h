/* base/log_writer.h - the one thread that writes log lines, and the bounded queue before it. Private to the
 * log. */
#ifndef TIDEWIRE_BASE_LOG_WRITER_H
#define TIDEWIRE_BASE_LOG_WRITER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* `path` NULL: standard error. `report_dropped` is called in the writer's thread when lines have been dropped
 * and writing works again, with how many since the process began; it may call log_writer_put(). */
bool log_writer_start(const char *path, void (*report_dropped)(uint64_t lines), struct error *error);
/* Writes what is queued, for a second without progress and five seconds at most, and ends the thread. What can't be
 * written to a file is told on standard error, once a minute at most. */
void log_writer_stop(void);
/* Whole lines. Never waits for the disk or a reader: without room they are dropped and counted. */
void log_writer_put(const void *bytes, size_t length, uint64_t lines);
/* Opens the path anew before the next write. */
void log_writer_reopen(void);
uint64_t log_writer_dropped(void);
/* For lines before the start and after the end: to standard error, at once; nothing when nobody reads there. */
void log_writer_put_directly(const void *bytes, size_t length);
#endif
