/* cli/output.c - see output.h */
#include "cli/output.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "net/watch.h"

enum { FULL = 256 * 1024 };

struct output {
    int fd, fault;
    struct watch *watch;
    struct buffer text;
    void (*on_change)(void *context);
    void *context;
};

static void on_writable(void *context) {
    struct output *output = context;
    output_flush(output);
    output->on_change(output->context);
}

struct output *output_new(struct loop *loop, int fd, void (*on_change)(void *context), void *context) {
    struct output *output = memory_new(sizeof *output);
    *output = (struct output){.fd = fd, .on_change = on_change, .context = context};
    output->watch = watch_new(loop, fd, WATCH_WRITE, on_writable, output);
    return output;
}

void output_free(struct output **output) {
    if (!*output) return;
    watch_free(&(*output)->watch);
    buffer_free(&(*output)->text);
    free(*output);
    *output = NULL;
}

/* A pipe that polls as writable takes this much without blocking. */
static bool write_some(struct output *output) {
    struct pollfd poll_fd = {.fd = output->fd, .events = POLLOUT};
    if (poll(&poll_fd, 1, 0) <= 0) return false;
    size_t length = buffer_length(&output->text);
    ssize_t written = write(output->fd, buffer_bytes(&output->text), length < PIPE_BUF ? length : PIPE_BUF);
    if (written < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (written < 0) {
        output->fault = errno;
        buffer_clear(&output->text);
        return false;
    }
    buffer_take(&output->text, (size_t)written);
    return true;
}

void output_flush(struct output *output) {
    while (buffer_length(&output->text) && write_some(output)) continue;
    if (buffer_length(&output->text)) watch_start(output->watch);
}

struct buffer *output_text(struct output *output) { return &output->text; }
bool output_is_empty(const struct output *output) { return buffer_length(&output->text) == 0; }
bool output_is_full(const struct output *output) { return buffer_length(&output->text) >= FULL; }
int output_fault(const struct output *output) { return output->fault; }
