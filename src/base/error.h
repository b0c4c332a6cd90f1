/* base/error.h - the sentence for a human when something that a human wrote is wrong.
 *
 * Functions that can fail this way return false and fill the error; the text reads `file:line: error: …`
 * where a file is to blame. Not for the peer's mistakes: those are statuses. */
#ifndef TIDEWIRE_BASE_ERROR_H
#define TIDEWIRE_BASE_ERROR_H
#include <stdbool.h>

struct error {
    char text[4096];
};

/* Both return false, so that a failing function can end with them. */
bool error_set(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* With `file:line: error: ` in front; line 0 leaves the line out. */
bool error_at(struct error *error, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* For what the process cannot begin without: says so on standard error and ends it with 1. */
_Noreturn void error_exit(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The one of `words` (ended by NULL) that `word` was most likely meant to be, or NULL when none is near. */
const char *error_nearest(const char *word, const char *const *words);
#endif
