/* base/log_writer.c - see log_writer.h.
 *
 * Two buffers: threads append to one under a lock while the writer has the other. The writer sleeps a moment
 * after each write, so that under load it wakes some hundred times a second and nobody pays a system call to
 * wake it. */
#include "base/log_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/memory.h"

enum {
    MOST_QUEUED = 16 * 1024 * 1024,
    WORTH_A_WRITE = 96 * 1024,  /* more is not let gather: it would push what calls need out of the caches */
    KEPT_CAPACITY = 256 * 1024, /* a buffer that a burst has grown beyond it is given back */
    PIECE = 4096,               /* PIPE_BUF: after poll() a pipe takes it without blocking */
    GATHER_MS = 10,
    POLL_MS = 100
};
static const uint64_t most_stuck = NS_PER_S, most_stopping = 5 * NS_PER_S;
static const uint64_t tell_interval = 60 * NS_PER_S; /* of what is wrong with the file, to standard error */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct buffer queued;
    uint64_t dropped, reported; /* lines */
    uint64_t stop_began;        /* monotonic ns; 0: not stopping */
    bool is_idle, wants_reopen;
    bool has_failed; /* the last write */

    /* The writer's own from here. */
    pthread_t thread;
    void (*report_dropped)(uint64_t lines);
    char *path;
    int fd;
    bool is_regular, is_cut; /* the last line that was written lacks its end */
    bool has_given_up;       /* stuck while the log stops: the rest is dropped at once */
    uint64_t told;           /* monotonic ns when standard error last heard of a fault; 0: never */
} writer = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = STDERR_FILENO};

static uint64_t count_lines(const uint8_t *bytes, size_t length) {
    uint64_t count = 0;
    for (const uint8_t *end = bytes + length; (bytes = memchr(bytes, '\n', (size_t)(end - bytes))); bytes++)
        count++;
    return count;
}

static int open_path(const char *path) {
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
}

static void use(int fd) {
    struct stat status;
    writer.fd = fd;
    writer.is_regular = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

/* Nobody may be looking into the file that can't be written. Never blocks: standard error may be stuck too. */
static void tell_standard_error(int fault) {
    uint64_t now = clock_monotonic();
    struct pollfd pollfd = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (!writer.path || (writer.told && now - writer.told < tell_interval) || poll(&pollfd, 1, 0) <= 0) return;
    writer.told = now;
    char *text = memory_format("%s: error: the log can't be written: %s\n", writer.path, strerror(fault));
    log_writer_put_directly(text, strlen(text));
    free(text);
}

/* The old file stays in use when the new one can't be opened: better in the wrong place than nowhere. */
static void reopen(void) {
    int fd = writer.path ? open_path(writer.path) : -1;
    if (fd < 0) {
        tell_standard_error(errno);
        return;
    }
    close(writer.fd);
    use(fd);
    writer.is_cut = false;
}

static uint64_t stop_began(void) {
    pthread_mutex_lock(&writer.lock);
    uint64_t began = writer.stop_began;
    pthread_mutex_unlock(&writer.lock);
    return began;
}

/* Waits until the descriptor takes a piece. False when the log is stopping and the reader has been stuck too
 * long. */
static bool wait_for_room(uint64_t last_progress) {
    for (;;) {
        struct pollfd pollfd = {.fd = writer.fd, .events = POLLOUT};
        if (poll(&pollfd, 1, POLL_MS) > 0) return true;
        uint64_t began = stop_began(), now = clock_monotonic();
        if (!began) continue;
        uint64_t since = began > last_progress ? began : last_progress;
        if (now - since >= most_stuck || now - began >= most_stopping) {
            writer.has_given_up = true;
            return false;
        }
    }
}

/* Returns how many bytes have left. */
static size_t write_out(const uint8_t *bytes, size_t length) {
    size_t written = 0;
    uint64_t last_progress = clock_monotonic();
    while (written < length && !writer.has_given_up) {
        size_t piece = length - written;
        if (!writer.is_regular) {
            if (!wait_for_room(last_progress)) break;
            if (piece > PIECE) piece = PIECE;
        }
        ssize_t result = write(writer.fd, bytes + written, piece);
        if (result < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (result <= 0) {
            tell_standard_error(result ? errno : EIO);
            break;
        }
        written += (size_t)result;
        last_progress = clock_monotonic();
    }
    return written;
}

static void write_batch(const struct buffer *batch) {
    const uint8_t *bytes = batch->data + batch->start;
    size_t length = buffer_length(batch);
    if (!length) return;
    if (writer.is_cut) writer.is_cut = write_out((const uint8_t *)"\n", 1) != 1;
    size_t written = writer.is_cut ? 0 : write_out(bytes, length);
    if (written) writer.is_cut = bytes[written - 1] != '\n';
    uint64_t lost = count_lines(bytes + written, length - written);

    pthread_mutex_lock(&writer.lock);
    writer.dropped += lost;
    writer.has_failed = lost > 0;
    pthread_mutex_unlock(&writer.lock);
}

/* Called with the lock held, as the two below. While writing fails there is nobody to report to. */
static bool has_report(void) { return writer.dropped != writer.reported && !writer.has_failed; }

static void wait_for_work(void) {
    while (!buffer_length(&writer.queued) && !writer.stop_began && !writer.wants_reopen && !has_report()) {
        writer.is_idle = true;
        pthread_cond_wait(&writer.wake, &writer.lock);
    }
    writer.is_idle = false;
}

/* Lets lines gather until they are worth a write. */
static void gather(void) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += GATHER_MS * (long)NS_PER_MS;
    if (until.tv_nsec >= (long)NS_PER_S) until.tv_nsec -= (long)NS_PER_S, until.tv_sec++;
    while (!writer.stop_began && buffer_length(&writer.queued) < WORTH_A_WRITE)
        if (pthread_cond_timedwait(&writer.wake, &writer.lock, &until) == ETIMEDOUT) break;
}

static void *run(void *unused) {
    (void)unused;
    struct buffer batch = {0};
    pthread_mutex_lock(&writer.lock);
    for (;;) {
        wait_for_work();
        bool wants_reopen = writer.wants_reopen, reports = has_report();
        struct buffer queued = writer.queued;
        if (!wants_reopen && !reports && !buffer_length(&queued)) break;
        writer.wants_reopen = false;
        writer.queued = batch;
        uint64_t dropped = writer.dropped;
        if (reports) writer.reported = dropped;
        pthread_mutex_unlock(&writer.lock);

        if (reports) writer.report_dropped(dropped); /* the queue is empty now: it has room for this line */
        if (wants_reopen) reopen();
        write_batch(&queued);
        buffer_clear(&queued);
        if (queued.capacity > KEPT_CAPACITY) buffer_free(&queued);
        batch = queued;

        pthread_mutex_lock(&writer.lock);
        gather();
    }
    pthread_mutex_unlock(&writer.lock);
    buffer_free(&batch);
    return NULL;
}

/* Signals are the main loop's: the writer blocks them all. */
static int start_thread(void) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int fault = pthread_create(&writer.thread, NULL, run, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return fault;
}

bool log_writer_start(const char *path, void (*report_dropped)(uint64_t lines), struct error *error) {
    int fd = path ? open_path(path) : STDERR_FILENO;
    if (fd < 0) return error_at(error, path, 0, "the log can't be opened: %s", strerror(errno));
    use(fd);
    writer.path = path ? memory_copy_string(path) : NULL;
    writer.report_dropped = report_dropped;
    writer.stop_began = 0;

    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&writer.wake, &attributes);
    pthread_condattr_destroy(&attributes);
    int fault = start_thread();
    if (!fault) return true;
    log_writer_stop();
    return error_set(error, "the log's thread can't be started: %s", strerror(fault));
}

void log_writer_stop(void) {
    if (writer.thread) {
        pthread_mutex_lock(&writer.lock);
        writer.stop_began = clock_monotonic();
        pthread_cond_signal(&writer.wake);
        pthread_mutex_unlock(&writer.lock);
        pthread_join(writer.thread, NULL);
        writer.thread = 0;
    }
    pthread_cond_destroy(&writer.wake);
    if (writer.path) close(writer.fd);
    free(writer.path);
    writer.path = NULL;
    writer.fd = STDERR_FILENO;
    writer.is_cut = writer.has_failed = writer.has_given_up = false;
    writer.told = 0;
    writer.reported = writer.dropped;
    buffer_free(&writer.queued);
}

void log_writer_put(const void *bytes, size_t length, uint64_t lines) {
    pthread_mutex_lock(&writer.lock);
    size_t queued = buffer_length(&writer.queued);
    if (length > MOST_QUEUED - queued) {
        writer.dropped += lines;
    } else {
        buffer_append(&writer.queued, bytes, length);
        bool is_enough = queued < WORTH_A_WRITE && queued + length >= WORTH_A_WRITE;
        if (writer.is_idle || is_enough) pthread_cond_signal(&writer.wake);
        writer.is_idle = false;
    }
    pthread_mutex_unlock(&writer.lock);
}

void log_writer_reopen(void) {
    pthread_mutex_lock(&writer.lock);
    writer.wants_reopen = true;
    pthread_cond_signal(&writer.wake);
    pthread_mutex_unlock(&writer.lock);
}

uint64_t log_writer_dropped(void) {
    pthread_mutex_lock(&writer.lock);
    uint64_t dropped = writer.dropped;
    pthread_mutex_unlock(&writer.lock);
    return dropped;
}

void log_writer_put_directly(const void *bytes, size_t length) {
    for (const char *at = bytes; length;) {
        struct pollfd pollfd = {.fd = STDERR_FILENO, .events = POLLOUT};
        if (poll(&pollfd, 1, POLL_MS) == 0) return; /* a reader that has stopped */
        ssize_t written = write(STDERR_FILENO, at, length < PIECE ? length : PIECE);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return;
        at += written;
        length -= (size_t)written;
    }
}
