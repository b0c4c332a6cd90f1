/* gateway/reading.c - see reading.h */
#include "gateway/reading.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/memory.h"
#include "net/mailbox.h"

struct reading {
    struct mail mail;
    pthread_t thread;
    bool is_joined;
    const char *file;
    uint32_t number;
    atomic_uint *alive;
    struct mailbox *reports;
    reading_done_fn *on_done;
    void *context;
    struct revision *revision;
    struct error error;
};

bool reading_wait(struct reading *reading, uint64_t most) {
    uint64_t until = clock_wall() + most;
    const struct timespec time = {.tv_sec = (time_t)(until / NS_PER_S), .tv_nsec = (long)(until % NS_PER_S)};
    if (!reading->is_joined) reading->is_joined = pthread_timedjoin_np(reading->thread, NULL, &time) == 0;
    return reading->is_joined;
}

static void deliver(struct mail *mail, void *receiver, bool is_dropped) {
    (void)receiver;
    struct reading *reading = container_of(mail, struct reading, mail);
    if (!reading->is_joined) pthread_join(reading->thread, NULL); /* it has nothing left to do */
    if (is_dropped)
        revision_unref(&reading->revision);
    else
        reading->on_done(reading->context, reading->revision, &reading->error);
    free(reading);
}

static void *run(void *context) {
    struct reading *reading = context;
    reading->revision = revision_read(reading->file, reading->number, reading->alive, &reading->error);
    mailbox_post_always(reading->reports, &reading->mail);
    return NULL;
}

struct reading *reading_start(const char *file, uint32_t number, atomic_uint *alive, struct mailbox *reports,
                              reading_done_fn *on_done, void *context, struct error *error) {
    struct reading *reading = memory_new(sizeof *reading);
    reading->mail.deliver = deliver;
    reading->file = file;
    reading->number = number;
    reading->alive = alive;
    reading->reports = reports;
    reading->on_done = on_done;
    reading->context = context;
    sigset_t all, before; /* signals are the main thread's */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int fault = pthread_create(&reading->thread, NULL, run, reading);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!fault) return reading;
    free(reading);
    error_set(error, "no thread to read the config in: %s", strerror(fault));
    return NULL;
}
