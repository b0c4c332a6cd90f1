#include "base/log.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/memory.h"

#include "check.h"

/* --- a strict JSON reader: where a value ends, or NULL --- */

static const char *json_value(const char *at);

static const char *json_string(const char *at) {
    if (*at++ != '"') return NULL;
    while (*at != '"') {
        unsigned char byte = (unsigned char)*at;
        if (byte < 0x20) return NULL;
        if (byte == '\\') {
            if (at[1] == 'u') {
                if (strspn(at + 2, "0123456789abcdefABCDEF") < 4) return NULL;
                at += 6;
            } else {
                if (!at[1] || !strchr("\"\\/bfnrt", at[1])) return NULL;
                at += 2;
            }
        } else {
            int more = byte < 0x80   ? 0
                       : byte < 0xc2 ? -1
                       : byte < 0xe0 ? 1
                       : byte < 0xf0 ? 2
                       : byte < 0xf5 ? 3
                                     : -1;
            if (more < 0) return NULL;
            unsigned character = more ? byte & (0x3fu >> more) : byte;
            for (int i = 1; i <= more; i++) {
                if (((unsigned char)at[i] & 0xc0) != 0x80) return NULL;
                character = character << 6 | ((unsigned char)at[i] & 0x3f);
            }
            bool is_overlong = (more == 2 && character < 0x800) || (more == 3 && character < 0x10000);
            if (is_overlong || (character >= 0xd800 && character < 0xe000) || character > 0x10ffff)
                return NULL;
            at += 1 + more;
        }
    }
    return at + 1;
}

static const char *json_object(const char *at) {
    if (*++at == '}') return at + 1;
    for (;; at++) {
        if (!(at = json_string(at)) || *at++ != ':' || !(at = json_value(at))) return NULL;
        if (*at == '}') return at + 1;
        if (*at != ',') return NULL;
    }
}

static const char *json_value(const char *at) {
    if (*at == '"') return json_string(at);
    if (*at == '{') return json_object(at);
    if (!strncmp(at, "true", 4)) return at + 4;
    if (!strncmp(at, "false", 5)) return at + 5;
    char *end;
    strtod(at, &end);
    return end == at || strchr("nNiI", *at) ? NULL : end;
}

/* --- a log in a file of its own --- */

static char path[] = "/tmp/tidewire_log_test_XXXXXX";

static void start(enum log_format format) {
    struct error error;
    CHECK(truncate(path, 0) == 0);
    CHECK(log_start(LOG_INFO, format, true, path, &error));
}

static char *read_file(const char *name) {
    struct buffer content = {0};
    int fd = open(name, O_RDONLY);
    if (fd >= 0) {
        ssize_t got;
        while ((got = read(fd, buffer_reserve(&content, 4096), 4096)) > 0)
            buffer_commit(&content, (size_t)got);
        close(fd);
    }
    buffer_append_byte(&content, '\0');
    return (char *)content.data;
}

/* What is in the file once the log has stopped. */
static char *stop(void) {
    log_stop();
    return read_file(path);
}

static size_t count_lines(const char *text) {
    size_t count = 0;
    for (; (text = strchr(text, '\n')); text++) count++;
    return count;
}

static bool wait_for_text(const char *file, const char *text) {
    for (uint64_t end = clock_monotonic() + 5 * NS_PER_S; clock_monotonic() < end; poll(NULL, 0, 2)) {
        char *content = read_file(file);
        bool is_there = strstr(content, text) != NULL;
        free(content);
        if (is_there) return true;
    }
    return false;
}

static const struct log_access access_line = {.scope = {.connection = 7,
                                                        .stream = 18446744073709551615u,
                                                        .method = "chat.ChatService/Chat",
                                                        .script = "chat.lua"},
                                              .peer = "127.0.0.1:4711",
                                              .protocol = "grpc",
                                              .status = "OK",
                                              .reason = "handler",
                                              .duration_ns = 1250999,
                                              .messages_in = 9,
                                              .messages_out = 10,
                                              .bytes_in = 99,
                                              .bytes_out = 100,
                                              .generation = 3};

static void an_access_line_has_every_member_in_json(void) {
    start(LOG_JSON);
    log_write_access(&access_line);
    char *out = stop();
    const char *end = json_value(out);
    CHECK(end && !strcmp(end, "\n"));
    CHECK_INT(strspn(out, "{\"time\":0123456789-T.Z"), strlen("{\"time\":\"2026-01-31T00:00:00.000Z\""));
    CHECK_STR(strstr(out, ",\"level\""),
              ",\"level\":\"info\",\"text\":\"call ended\",\"connection\":7,\"stream\":18446744073709551615,"
              "\"method\":\"chat.ChatService/Chat\",\"script\":\"chat.lua\",\"peer\":\"127.0.0.1:4711\","
              "\"protocol\":\"grpc\",\"status\":\"OK\",\"reason\":\"handler\",\"duration_ms\":1.250,"
              "\"messages_in\":9,"
              "\"messages_out\":10,\"bytes_in\":99,\"bytes_out\":100,\"generation\":3}\n");
    free(out);
}

static void an_access_line_has_every_member_in_text(void) {
    start(LOG_TEXT);
    struct log_access line = access_line;
    line.is_open = true;
    line.reason = NULL;
    line.peer = "two words";
    log_write_access(&line);
    char *out = stop();
    CHECK_STR(strchr(out, ' '), " info  call open connection=7 stream=18446744073709551615 "
                                "method=chat.ChatService/Chat script=chat.lua "
                                "peer=\"two words\" protocol=grpc status=OK duration_ms=1.250 messages_in=9 "
                                "messages_out=10 bytes_in=99 "
                                "bytes_out=100 generation=3\n");
    free(out);
}

static void access_lines_can_be_off(void) {
    start(LOG_JSON);
    log_configure(LOG_INFO, LOG_JSON, false);
    log_write_access(&access_line);
    char *out = stop();
    CHECK_STR(out, "");
    free(out);
}

static void hostile_line(const char *bytes, size_t length) {
    char text[64];
    memcpy(text, bytes, length);
    text[length] = '\0';
    struct log_scope scope = {.connection = 1, .method = text, .script = text};
    struct log_field fields[] = {{text, bytes, length, false}, {"raw", bytes, length, true}};
    log_write_fields(LOG_INFO, &scope, bytes, length, fields, 2);
    struct log_access line = {.scope = scope, .peer = text, .reason = text};
    log_write_access(&line);
}

/* Every byte alone, beginnings of sequences whole and cut, and random bytes. */
static size_t write_hostile_lines(void) {
    size_t lines = 0;
    char bytes[32];
    for (int first = 0; first < 256; first++) {
        bytes[0] = (char)first;
        hostile_line(bytes, 1), lines += 2;
        for (int second = 0; first >= 0x80 && second < 256; second += 3)
            for (size_t length = 2; length <= 4; length++, lines += 2) {
                memcpy(bytes + 1, (char[]){(char)second, (char)0x80, (char)0xbf}, 3);
                hostile_line(bytes, length);
            }
    }
    srand(4711);
    for (int round = 0; round < 5000; round++) {
        size_t length = (size_t)rand() % sizeof bytes;
        for (size_t i = 0; i < length; i++) bytes[i] = (char)(rand() % 3 ? rand() % 128 : rand() % 256);
        hostile_line(bytes, length), lines += 2;
    }
    return lines;
}

static void any_bytes_make_one_valid_json_line(void) {
    start(LOG_JSON);
    size_t lines = write_hostile_lines(), seen = 0;
    char *out = stop();
    for (const char *at = out; *at; at++, seen++) {
        const char *line = at;
        at = json_value(at);
        if (!at || *at != '\n') fprintf(stderr, "not JSON: %.200s\n", line);
        CHECK(at && *at == '\n');
    }
    CHECK_INT(seen, lines);
    free(out);
}

static void no_bytes_can_forge_a_text_line_or_control_a_terminal(void) {
    start(LOG_TEXT);
    size_t lines = write_hostile_lines(), dated = 0;
    char *out = stop();
    for (const char *at = out; *at; at = strchr(at, '\n') + 1) {
        if (strncmp(at, "    ", 4)) {
            CHECK(at[4] == '-' && at[10] == 'T' && at[23] == 'Z');
            dated++;
        }
        for (const unsigned char *byte = (const unsigned char *)at; *byte != '\n'; byte++)
            CHECK(*byte >= 0x20 && *byte != 0x7f && !(byte[0] == 0xc2 && byte[1] < 0xa0));
    }
    CHECK_INT(dated, lines);
    free(out);
}

static void well_formed_text_above_ascii_stays(void) {
    start(LOG_JSON);
    log_info(NULL, "%s", "gr\u00fc\u00df \u20ac \U0001f30a \"q\" \\ tab\t");
    char *out = stop();
    CHECK(strstr(out, "\"text\":\"gr\u00fc\u00df \u20ac \U0001f30a \\\"q\\\" \\\\ tab\\t\"}\n"));
    free(out);
}

static void numbers_stand_without_quotes_only_when_they_are_numbers(void) {
    static const char *const numbers[] = {"0", "-1.5e+10", "12345678901234567890", "true", "false"};
    static const char *const others[] = {"", "-", "01", "1.", ".5", "nan", "inf", "1e", "0x10", "1}", "tru"};
    start(LOG_JSON);
    for (size_t i = 0; i < 5; i++)
        log_write_fields(LOG_INFO, NULL, "n", 1,
                         &(struct log_field){"v", numbers[i], strlen(numbers[i]), true}, 1);
    for (size_t i = 0; i < 11; i++)
        log_write_fields(LOG_INFO, NULL, "o", 1, &(struct log_field){"v", others[i], strlen(others[i]), true},
                         1);
    char *out = stop(), expected[100];
    for (size_t i = 0; i < 5; i++) {
        snprintf(expected, sizeof expected, "\"fields\":{\"v\":%s}}\n", numbers[i]);
        CHECK(strstr(out, expected));
    }
    for (size_t i = 0; i < 11; i++) {
        snprintf(expected, sizeof expected, "\"fields\":{\"v\":\"%s\"}}\n", others[i]);
        CHECK(strstr(out, expected));
    }
    free(out);
}

static void long_values_are_cut(void) {
    char *text = memory_new(1000001);
    memset(text, 'x', 1000000);
    start(LOG_JSON);
    log_info(NULL, "%s", text);
    struct log_field fields[100];
    for (int i = 0; i < 100; i++) fields[i] = (struct log_field){"name", text, 1000000, false};
    log_write_fields(LOG_INFO, NULL, text, 1000000, fields, 100);
    char *out = stop();
    CHECK(strstr(out, "xx…\"}\n"));
    CHECK_INT(count_lines(out), 2);
    CHECK(strlen(out) < 100000);
    free(out);
    free(text);
}

static void lines_below_the_level_are_not_written(void) {
    start(LOG_TEXT);
    log_configure(LOG_WARN, LOG_TEXT, true);
    log_info(NULL, "hidden");
    log_write(LOG_INFO, NULL, "hidden too");
    log_warn(NULL, "shown");
    char *out = stop();
    CHECK(strstr(out, " warn  shown\n") && !strstr(out, "hidden"));
    free(out);
    log_configure(LOG_INFO, LOG_TEXT, true);
}

static void a_flush_and_a_warning_reach_the_file_while_the_log_runs(void) {
    start(LOG_TEXT);
    log_info(NULL, "flushed line");
    log_flush();
    CHECK(wait_for_text(path, "flushed line"));
    log_warn(NULL, "warning line");
    CHECK(wait_for_text(path, "warning line"));
    free(stop());
}

static void a_moved_file_is_opened_anew(void) {
    char moved[sizeof path + 2];
    snprintf(moved, sizeof moved, "%s.1", path);
    start(LOG_TEXT);
    log_warn(NULL, "before");
    CHECK(wait_for_text(path, "before"));
    CHECK(rename(path, moved) == 0);
    log_reopen();
    for (uint64_t end = clock_monotonic() + 5 * NS_PER_S; access(path, F_OK) && clock_monotonic() < end;)
        poll(NULL, 0, 2);
    log_warn(NULL, "after");
    char *out = stop(), *old = read_file(moved);
    CHECK(strstr(out, "after") && !strstr(out, "before"));
    CHECK(strstr(old, "before") && !strstr(old, "after"));
    free(out);
    free(old);
    unlink(moved);
}

static void a_file_that_cannot_be_opened_is_an_error(void) {
    struct error error;
    CHECK(!log_start(LOG_INFO, LOG_TEXT, false, "/nonexistent/folder/log", &error));
    CHECK_STR(error.text,
              "/nonexistent/folder/log: error: the log can't be opened: No such file or directory");
}

/* --- threads --- */

enum { THREADS = 8, LINES = 3000 };

static void *write_many(void *number) {
    for (int i = 0; i < LINES; i++) {
        log_info(NULL, "thread %d line %d", (int)(intptr_t)number, i);
        if (i % 7 == 0) log_flush();
        if (i % 100 == 0) log_configure(LOG_INFO, i % 200 ? LOG_JSON : LOG_TEXT, true);
    }
    return NULL;
}

static void lines_of_many_threads_arrive_whole_and_in_each_threads_order(void) {
    pthread_t ids[THREADS];
    start(LOG_TEXT);
    for (intptr_t i = 0; i < THREADS; i++) pthread_create(&ids[i], NULL, write_many, (void *)i);
    for (int i = 0; i < THREADS; i++) pthread_join(ids[i], NULL);
    char *out = stop();
    int next[THREADS] = {0};
    for (char *line = out, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        int thread = -1, number = -1;
        CHECK(sscanf(strstr(line, "thread "), "thread %d line %d", &thread, &number) == 2);
        CHECK(thread >= 0 && thread < THREADS);
        CHECK_INT(number, next[thread]++);
    }
    for (int i = 0; i < THREADS; i++) CHECK_INT(next[i], LINES);
    free(out);
}

static pthread_barrier_t barrier;

static void *write_and_wait(void *unused) {
    (void)unused;
    log_info(NULL, "from a thread that lives on");
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return NULL;
}

static void stopping_flushes_threads_that_never_flush(void) {
    pthread_t id;
    pthread_barrier_init(&barrier, NULL, 2);
    start(LOG_TEXT);
    pthread_create(&id, NULL, write_and_wait, NULL);
    pthread_barrier_wait(&barrier);
    char *out = stop();
    pthread_barrier_wait(&barrier);
    pthread_join(id, NULL);
    pthread_barrier_destroy(&barrier);
    CHECK(strstr(out, "from a thread that lives on"));
    free(out);
}

/* --- a writer that is stuck --- */

struct reader {
    int fd;
    struct buffer got;
};

static void *read_all(void *memory) {
    struct reader *reader = memory;
    ssize_t got;
    while ((got = read(reader->fd, buffer_reserve(&reader->got, 65536), 65536)) > 0)
        buffer_commit(&reader->got, (size_t)got);
    buffer_append_byte(&reader->got, '\0');
    return NULL;
}

static int start_on_pipe(int pipes[2]) {
    char name[32];
    struct error error;
    CHECK(pipe(pipes) == 0);
    snprintf(name, sizeof name, "/proc/self/fd/%d", pipes[1]);
    CHECK(log_start(LOG_INFO, LOG_JSON, true, name, &error));
    close(pipes[1]);
    return pipes[0];
}

static void a_stuck_reader_costs_dropped_lines_that_are_counted_and_told(void) {
    int pipes[2];
    uint64_t before = log_dropped_lines(), written = 0;
    struct reader reader = {.fd = start_on_pipe(pipes)};
    /* The pipe, the writer's batch and the queue fill up: from then on writing costs lines, not time. */
    while (log_dropped_lines() == before) {
        for (int i = 0; i < 1000; i++, written++)
            log_info(NULL, "line %llu ................................................",
                     (unsigned long long)written);
        log_flush();
        CHECK(written < 1000000);
    }
    for (int i = 0; i < 1000; i++, written++) log_info(NULL, "one more");
    log_flush();
    pthread_t id;
    pthread_create(&id, NULL, read_all, &reader);
    log_stop();
    pthread_join(id, NULL);
    close(reader.fd);
    uint64_t dropped = log_dropped_lines() - before, notices = 0, told = 0;
    const char *out = (const char *)reader.got.data, *notice = out;
    for (; (notice = strstr(notice, "log lines were dropped, ")); notices++) {
        notice += strlen("log lines were dropped, ");
        told = strtoull(notice, NULL, 10);
    }
    CHECK(dropped >= 1000);
    CHECK_INT(told, log_dropped_lines());
    CHECK_INT(count_lines(out) - notices + dropped, written);
    buffer_free(&reader.got);
}

static void a_stuck_reader_does_not_keep_the_log_from_stopping(void) {
    int pipes[2], fd = start_on_pipe(pipes);
    for (int i = 0; i < 10000; i++) log_info(NULL, "more than a pipe takes");
    uint64_t before = clock_monotonic();
    log_stop();
    CHECK(clock_monotonic() - before < 1500 * NS_PER_MS);
    close(fd);
}

static void lines_that_the_disk_refuses_are_counted(void) {
    struct error error;
    uint64_t before = log_dropped_lines();
    int pipes[2], saved = dup(STDERR_FILENO);
    if (access("/dev/full", W_OK)) return;
    CHECK(pipe(pipes) == 0);
    dup2(pipes[1], STDERR_FILENO);
    CHECK(log_start(LOG_INFO, LOG_TEXT, true, "/dev/full", &error));
    for (int i = 0; i < 10; i++) {
        log_info(NULL, "line");
        log_flush();
    }
    log_stop();
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(pipes[1]);
    CHECK_INT(log_dropped_lines() - before, 10);
    /* Standard error hears of it, but not of every line. */
    char text[2000] = "";
    CHECK(read(pipes[0], text, sizeof text - 1) > 0);
    CHECK_STR(text, "/dev/full: error: the log can't be written: No space left on device\n");
    close(pipes[0]);
}

static void without_a_log_lines_go_to_standard_error_at_once(void) {
    int pipes[2], saved = dup(STDERR_FILENO);
    CHECK(pipe(pipes) == 0);
    dup2(pipes[1], STDERR_FILENO);
    log_info(NULL, "early");
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(pipes[1]);
    char text[200] = "";
    CHECK(read(pipes[0], text, sizeof text - 1) > 0);
    CHECK_STR(strchr(text, ' '), " info  early\n");
    close(pipes[0]);
}

int main(void) {
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    RUN(without_a_log_lines_go_to_standard_error_at_once);
    RUN(an_access_line_has_every_member_in_json);
    RUN(an_access_line_has_every_member_in_text);
    RUN(access_lines_can_be_off);
    RUN(any_bytes_make_one_valid_json_line);
    RUN(no_bytes_can_forge_a_text_line_or_control_a_terminal);
    RUN(well_formed_text_above_ascii_stays);
    RUN(numbers_stand_without_quotes_only_when_they_are_numbers);
    RUN(long_values_are_cut);
    RUN(lines_below_the_level_are_not_written);
    RUN(a_flush_and_a_warning_reach_the_file_while_the_log_runs);
    RUN(a_moved_file_is_opened_anew);
    RUN(a_file_that_cannot_be_opened_is_an_error);
    RUN(lines_of_many_threads_arrive_whole_and_in_each_threads_order);
    RUN(stopping_flushes_threads_that_never_flush);
    RUN(a_stuck_reader_costs_dropped_lines_that_are_counted_and_told);
    RUN(a_stuck_reader_does_not_keep_the_log_from_stopping);
    RUN(lines_that_the_disk_refuses_are_counted);
    unlink(path);
    return 0;
}
