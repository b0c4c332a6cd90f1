/* base/log.h - log lines and access lines, as JSON or text, never blocking the thread that writes them.
 *
 * A line is formatted into a buffer of the calling thread. log_flush(), which every loop calls once a turn, hands
 * the buffer to one writer thread; a buffer that the writer can't take (disk full, reader stopped) is dropped and
 * counted, and a line says so when writing works again. Threads that never call log_flush() are flushed when a line
 * of level WARN or above is written, and at log_stop(). */
#ifndef TIDEWIRE_BASE_LOG_H
#define TIDEWIRE_BASE_LOG_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_OFF };
enum log_format { LOG_TEXT, LOG_JSON };

/* What a line is about; hangs on connections and calls. Zero and NULL members are left out of the line. */
struct log_scope {
    uint64_t connection; /* process-wide number */
    uint64_t stream;     /* process-wide number of the call */
    const char *method;  /* "pkg.Service/Method" */
    const char *script;  /* the handler's file */
};

struct log_field {
    const char *name;
    const char *value; /* bytes; escaped as the format needs */
    size_t length;
    bool is_raw; /* a number or true/false: JSON writes it without quotes, if it is one */
};

/* One line for a call: when it ends, or (is_open) when it has been open for a second. */
struct log_access {
    bool is_open;
    struct log_scope scope;
    const char *peer, *protocol; /* "127.0.0.1:4711"; "grpc" */
    const char *status;          /* "OK" */
    const char *reason;          /* who ended it: "handler", "client", "upstream", "deadline", "limit", "drain", "connection" */
    const char *limit;           /* the config's name of the limit that ended it, or refused it; or NULL */
    uint64_t duration_ns;
    const char *upstream, *target; /* where a call was passed on to: the config's name, the address; or NULL */
    bool is_raw;                   /* passed on without being taken apart: bytes are known, messages are not */
    uint64_t messages_in, messages_out, bytes_in, bytes_out;
    uint32_t generation;
};

/* Before any other thread. `path` NULL: standard error. Lines that are written before it or after log_stop() go
 * straight to standard error. */
bool log_start(enum log_level level, enum log_format format, bool access, const char *path, struct error *error);
/* Flushes what every thread has written and ends the writer; a reader that has stopped delays it by a second. */
void log_stop(void);
/* Changes at a reload; any thread. */
void log_configure(enum log_level level, enum log_format format, bool access);
/* Opens the file anew, when there is one (USR1). */
void log_reopen(void);
void log_flush(void);
uint64_t log_dropped_lines(void);

extern int log_least; /* lines below it are not formatted; read through log_is_on() */
static inline bool log_is_on(enum log_level level) {
    return (int)level >= __atomic_load_n(&log_least, __ATOMIC_RELAXED);
}
/* The words that the configuration uses, in the order of the enums; ended by NULL. */
extern const char *const log_level_names[], *const log_format_names[];

/* `scope` may be NULL. Any bytes make a valid line: control characters are escaped, what is not UTF-8 is replaced, a
 * value is cut after 8 KiB. */
void log_write(enum log_level level, const struct log_scope *scope, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void log_write_fields(enum log_level level, const struct log_scope *scope, const char *text, size_t length,
                      const struct log_field *fields, size_t field_count);
/* Nothing when access lines are off. */
void log_write_access(const struct log_access *access);
bool log_access_is_on(void);

#define log_debug(scope, ...) (log_is_on(LOG_DEBUG) ? log_write(LOG_DEBUG, scope, __VA_ARGS__) : (void)0)
#define log_info(scope, ...) (log_is_on(LOG_INFO) ? log_write(LOG_INFO, scope, __VA_ARGS__) : (void)0)
#define log_warn(scope, ...) (log_is_on(LOG_WARN) ? log_write(LOG_WARN, scope, __VA_ARGS__) : (void)0)
#define log_error(scope, ...) (log_is_on(LOG_ERROR) ? log_write(LOG_ERROR, scope, __VA_ARGS__) : (void)0)
#endif
