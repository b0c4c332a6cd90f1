/* gateway/reading.h - reads a revision in a thread of its own, while the main thread goes on accepting.
 *
 * protoc takes tens of milliseconds, and a file on a slow disk as long as it likes. One reading at a time: libconfuse
 * has one lexer. */
#ifndef TIDEWIRE_GATEWAY_READING_H
#define TIDEWIRE_GATEWAY_READING_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "gateway/revision.h"

struct mailbox;
struct reading;

/* In the main thread, which owns the revision then; NULL: the error says why. The reading is gone
 * behind it. */
typedef void reading_done_fn(void *context, struct revision *revision, const struct error *error);

/* The file's name must outlive the reading. NULL and an error text when there is no thread to be had. */
struct reading *reading_start(const char *file, uint32_t number, atomic_uint *alive, struct mailbox *reports,
                              reading_done_fn *on_done, void *context, struct error *error);
/* Before the mailbox goes, which then frees the reading and what it has read. False when it is not done after `most` ns:
 * then neither may go. */
bool reading_wait(struct reading *reading, uint64_t most);
#endif
