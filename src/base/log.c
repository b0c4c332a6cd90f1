/* base/log.c - see log.h: lines are formatted into the buffer of the thread that writes them; log_writer.c
 * has the thread behind it. */
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log_format.h"
#include "base/log_writer.h"
#include "base/memory.h"

enum { HAND_OVER = 32 * 1024 }; /* a thread's buffer that is fuller does not wait for log_flush() */

int log_least = LOG_INFO;
static atomic_int log_format_now = LOG_TEXT;
static atomic_bool is_access_on, is_running;

const char *const log_level_names[] = {"debug", "info", "warn", "error", "off", NULL};
const char *const log_format_names[] = {"text", "json", NULL};

/* The lock is free but when the log stops and takes what is left in other threads' buffers. */
struct log_thread {
    struct list node; /* in `threads` */
    pthread_mutex_t lock;
    struct buffer buffer;
    uint64_t lines;
    struct log_clock clock;
};

static pthread_mutex_t threads_lock = PTHREAD_MUTEX_INITIALIZER;
static struct list threads = {&threads, &threads};
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_key; /* only for its destructor */
static __thread struct log_thread *mine;

/* Called with the thread's lock held. */
static void hand_over(struct log_thread *thread) {
    if (!thread->lines) return;
    log_writer_put(buffer_bytes(&thread->buffer), buffer_length(&thread->buffer), thread->lines);
    buffer_clear(&thread->buffer);
    thread->lines = 0;
}

static void forget_thread(void *memory) {
    struct log_thread *thread = memory;
    /* Under the lock: log_stop() has emptied the buffer before us, or its writer still runs. */
    pthread_mutex_lock(&threads_lock);
    hand_over(thread);
    list_remove(&thread->node);
    pthread_mutex_unlock(&threads_lock);
    pthread_mutex_destroy(&thread->lock);
    buffer_free(&thread->buffer);
    free(thread);
    mine = NULL;
}

static void make_key(void) { pthread_key_create(&thread_key, forget_thread); }

static struct log_thread *know_thread(void) {
    pthread_once(&once, make_key);
    struct log_thread *thread = memory_new(sizeof *thread);
    pthread_mutex_init(&thread->lock, NULL);
    pthread_setspecific(thread_key, thread);
    pthread_mutex_lock(&threads_lock);
    list_append(&threads, &thread->node);
    pthread_mutex_unlock(&threads_lock);
    return mine = thread;
}

/* --- one line --- */

struct line {
    struct log_thread *thread;
    struct buffer *out;
    bool is_json;
};

/* The names of our own members need no escaping; as literals they are a few stores each. */
#define PUT_LITERAL(line, text) buffer_append((line)->out, text, sizeof(text) - 1)
#define PUT_NAME(line, name)                                                                                 \
    ((line)->is_json ? PUT_LITERAL(line, ",\"" name "\":") : PUT_LITERAL(line, " " name "="))

static void put_value(struct line *line, const char *bytes, size_t length) {
    if (line->is_json)
        log_put_string(line->out, bytes, length);
    else
        log_put_word(line->out, bytes, length);
}

static struct line begin_line(enum log_level level) {
    static const char *const json_levels[] = {"\",\"level\":\"debug\"", "\",\"level\":\"info\"",
                                              "\",\"level\":\"warn\"", "\",\"level\":\"error\"",
                                              "\",\"level\":\"off\""};
    static const char *const text_levels[] = {" debug ", " info  ", " warn  ", " error ", " off   "};
    struct log_thread *thread = mine ? mine : know_thread();
    pthread_mutex_lock(&thread->lock);
    bool is_json = atomic_load_explicit(&log_format_now, memory_order_relaxed) == LOG_JSON;
    struct line line = {thread, &thread->buffer, is_json};
    if (is_json) buffer_append(line.out, "{\"time\":\"", 9);
    log_put_time(line.out, &thread->clock, clock_wall());
    buffer_append_text(line.out, is_json ? json_levels[level] : text_levels[level]);
    return line;
}

static void put_text(struct line *line, const char *text, size_t length) {
    if (line->is_json) {
        PUT_NAME(line, "text");
        log_put_string(line->out, text, length);
    } else {
        log_put_sentence(line->out, text, length);
    }
}

static void put_scope(struct line *line, const struct log_scope *scope) {
    if (!scope) return;
    if (scope->connection) PUT_NAME(line, "connection"), log_put_number(line->out, scope->connection);
    if (scope->stream) PUT_NAME(line, "stream"), log_put_number(line->out, scope->stream);
    if (scope->method) PUT_NAME(line, "method"), put_value(line, scope->method, strlen(scope->method));
    if (scope->script) PUT_NAME(line, "script"), put_value(line, scope->script, strlen(scope->script));
}

static void close_line(struct line *line) {
    buffer_append_text(line->out, line->is_json ? "}\n" : "\n");
    line->thread->lines++;
}

static void end_line(struct line *line, enum log_level level) {
    struct log_thread *thread = line->thread;
    close_line(line);
    if (!atomic_load_explicit(&is_running, memory_order_relaxed)) {
        log_writer_put_directly(buffer_bytes(line->out), buffer_length(line->out));
        buffer_clear(line->out);
        thread->lines = 0;
    } else if (level >= LOG_WARN || buffer_length(line->out) >= HAND_OVER) {
        hand_over(thread);
    }
    pthread_mutex_unlock(&thread->lock);
}

/* --- what the header promises --- */

void log_write_fields(enum log_level level, const struct log_scope *scope, const char *text, size_t length,
                      const struct log_field *fields, size_t field_count) {
    if (!log_is_on(level)) return;
    struct line line = begin_line(level);
    size_t start = buffer_length(line.out);
    put_text(&line, text, length);
    put_scope(&line, scope);
    /* JSON keeps the caller's names in an object of their own, where they can't clash with ours. */
    if (field_count && line.is_json) buffer_append_text(line.out, ",\"fields\":{");
    for (size_t i = 0; i < field_count && buffer_length(line.out) - start < LOG_LONGEST_LINE; i++) {
        const struct log_field *field = &fields[i];
        buffer_append_text(line.out, !line.is_json ? " " : i ? "," : "");
        put_value(&line, field->name, strlen(field->name));
        buffer_append_byte(line.out, line.is_json ? ':' : '=');
        if (field->is_raw && log_is_json_literal(field->value, field->length))
            buffer_append(line.out, field->value, field->length);
        else
            put_value(&line, field->value, field->length);
    }
    if (field_count && line.is_json) buffer_append_byte(line.out, '}');
    end_line(&line, level);
}

void log_write(enum log_level level, const struct log_scope *scope, const char *format, ...) {
    if (!log_is_on(level)) return;
    char text[LOG_LONGEST_VALUE + 2]; /* one byte more than is shown, so that a cut is seen as one */
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length >= (int)sizeof text) length = sizeof text - 1;
    log_write_fields(level, scope, text, length < 0 ? 0 : (size_t)length, NULL, 0);
}

void log_write_access(const struct log_access *access) {
    if (!log_access_is_on()) return;
    struct line line = begin_line(LOG_INFO);
    if (access->is_open)
        put_text(&line, "call open", 9);
    else
        put_text(&line, "call ended", 10);
    put_scope(&line, &access->scope);
    if (access->peer) PUT_NAME(&line, "peer"), put_value(&line, access->peer, strlen(access->peer));
    if (access->protocol)
        PUT_NAME(&line, "protocol"), put_value(&line, access->protocol, strlen(access->protocol));
    if (access->status) PUT_NAME(&line, "status"), put_value(&line, access->status, strlen(access->status));
    if (access->reason) PUT_NAME(&line, "reason"), put_value(&line, access->reason, strlen(access->reason));
    if (access->limit) PUT_NAME(&line, "limit"), put_value(&line, access->limit, strlen(access->limit));
    if (access->upstream)
        PUT_NAME(&line, "upstream"), put_value(&line, access->upstream, strlen(access->upstream));
    if (access->target) PUT_NAME(&line, "target"), put_value(&line, access->target, strlen(access->target));
    PUT_NAME(&line, "duration_ms"), log_put_duration(line.out, access->duration_ns);
    if (!access->is_raw) {
        PUT_NAME(&line, "messages_in"), log_put_number(line.out, access->messages_in);
        PUT_NAME(&line, "messages_out"), log_put_number(line.out, access->messages_out);
    }
    PUT_NAME(&line, "bytes_in"), log_put_number(line.out, access->bytes_in);
    PUT_NAME(&line, "bytes_out"), log_put_number(line.out, access->bytes_out);
    PUT_NAME(&line, "generation"), log_put_number(line.out, access->generation);
    end_line(&line, LOG_INFO);
}

bool log_access_is_on(void) { return atomic_load_explicit(&is_access_on, memory_order_relaxed); }

void log_flush(void) {
    if (!mine || !mine->lines) return;
    pthread_mutex_lock(&mine->lock);
    hand_over(mine);
    pthread_mutex_unlock(&mine->lock);
}

void log_configure(enum log_level level, enum log_format format, bool access) {
    __atomic_store_n(&log_least, (int)level, __ATOMIC_RELAXED);
    atomic_store_explicit(&log_format_now, format, memory_order_relaxed);
    atomic_store_explicit(&is_access_on, access, memory_order_relaxed);
}

/* In the writer's thread, which still takes lines when the log is already stopping. */
static void report_dropped(uint64_t lines) {
    char text[128];
    int length = snprintf(text, sizeof text,
                          "log lines were dropped, %llu since the start: the disk or the reader of "
                          "the log did not keep up",
                          (unsigned long long)lines);
    struct line line = begin_line(LOG_ERROR);
    put_text(&line, text, (size_t)length);
    close_line(&line);
    hand_over(line.thread);
    pthread_mutex_unlock(&line.thread->lock);
}

bool log_start(enum log_level level, enum log_format format, bool access, const char *path,
               struct error *error) {
    if (!log_writer_start(path, report_dropped, error)) return false;
    log_configure(level, format, access);
    atomic_store(&is_running, true);
    return true;
}

/* From the moment that is_running is false lines go to standard error; what was written before it is in a
 * buffer whose lock we get after its line was whole. */
void log_stop(void) {
    if (!atomic_exchange(&is_running, false)) return;
    pthread_mutex_lock(&threads_lock);
    for (struct list *node = threads.next; node != &threads; node = node->next) {
        struct log_thread *thread = container_of(node, struct log_thread, node);
        pthread_mutex_lock(&thread->lock);
        hand_over(thread);
        pthread_mutex_unlock(&thread->lock);
    }
    pthread_mutex_unlock(&threads_lock);
    log_writer_stop();
    if (!mine) return;
    pthread_setspecific(thread_key, NULL);
    forget_thread(mine);
}

void log_reopen(void) {
    if (atomic_load(&is_running)) log_writer_reopen();
}

uint64_t log_dropped_lines(void) { return log_writer_dropped(); }
