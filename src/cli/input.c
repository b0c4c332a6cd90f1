/* cli/input.c - see input.h */
#include "cli/input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "cli/json_split.h"
#include "net/watch.h"

enum { READ_SIZE = 64 * 1024, LONGEST = 1 << 30 };

struct input {
    const char *name;
    int fd; /* -1: a text, which is all there */
    struct watch *watch;
    struct buffer text; /* what was read and not taken */
    struct json_split split;
    size_t line;  /* where `text` starts */
    size_t taken; /* bytes of it that the last value borrows */
    bool has_ended;
    void (*on_ready)(void *context);
    void *context;
};

static void on_readable(void *context) {
    struct input *input = context;
    input->on_ready(input->context);
}

static bool open_file(struct input *input, const char *path, struct error *error) {
    input->name = *path ? path : "<stdin>";
    input->fd = *path ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY) : STDIN_FILENO;
    return input->fd >= 0 || error_at(error, path, 0, "cannot read it: %s", strerror(errno));
}

struct input *input_open(struct loop *loop, const char *data, void (*on_ready)(void *context), void *context,
                         struct error *error) {
    struct input *input = memory_new(sizeof *input);
    *input = (struct input){.name = "-d", .fd = -1, .line = 1, .on_ready = on_ready, .context = context};
    if (data && *data != '@') {
        buffer_append_text(&input->text, data);
        input->has_ended = true;
        return input;
    }
    if (!open_file(input, data ? data + 1 : "", error)) {
        input_close(&input);
        return NULL;
    }
    input->watch = watch_new(loop, input->fd, WATCH_READ, on_readable, input);
    return input;
}

void input_close(struct input **handle) {
    struct input *input = *handle;
    *handle = NULL;
    if (!input) return;
    watch_free(&input->watch);
    if (input->fd > STDIN_FILENO) close(input->fd);
    buffer_free(&input->text);
    free(input);
}

const char *input_name(const struct input *input) { return input->name; }
bool input_is_terminal(const struct input *input) { return input->fd >= 0 && isatty(input->fd); }

/* ---- reading ---- */

static bool can_read_now(int fd) {
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    return poll(&poll_fd, 1, 0) > 0;
}

static bool read_more(struct input *input, struct error *error) {
    ssize_t length;
    do length = read(input->fd, buffer_reserve(&input->text, READ_SIZE), READ_SIZE);
    while (length < 0 && errno == EINTR);
    if (length < 0 && errno == EAGAIN) return true;
    if (length < 0) return error_at(error, input->name, 0, "cannot read it: %s", strerror(errno));
    buffer_commit(&input->text, (size_t)length);
    input->has_ended = length == 0;
    return true;
}

/* ---- values ---- */

static void drop(struct input *input, size_t length) {
    const char *text = (const char *)buffer_bytes(&input->text);
    for (size_t i = 0; i < length; i++) input->line += text[i] == '\n';
    if (length) buffer_take(&input->text, length);
}

static bool find_value(struct input *input, struct input_value *value) {
    size_t length = buffer_length(&input->text);
    if (!length) return false;
    drop(input, json_split_blanks((const char *)buffer_bytes(&input->text), length));
    const char *text = (const char *)buffer_bytes(&input->text);
    length = buffer_length(&input->text);
    input->taken = json_split_value(&input->split, text, length);
    if (!input->taken && input->has_ended)
        input->taken = length; /* a word, or cut off: json_read() will say */
    *value = (struct input_value){.text = text, .length = input->taken, .line = input->line};
    return input->taken;
}

/* At most one read: somebody who sends blanks for ever must not keep the loop. */
enum input_next input_take(struct input *input, struct input_value *value, struct error *error) {
    drop(input, input->taken);
    input->taken = 0;
    if (find_value(input, value)) return INPUT_VALUE;
    if (!input->has_ended && can_read_now(input->fd)) {
        if (!read_more(input, error)) return INPUT_FAULT;
        if (find_value(input, value)) return INPUT_VALUE;
    }
    if (input->has_ended) return INPUT_END;
    if (buffer_length(&input->text) > LONGEST) {
        error_at(error, input->name, (int)input->line, "a message of more than 1 GiB");
        return INPUT_FAULT;
    }
    watch_start(input->watch);
    return INPUT_EMPTY;
}
