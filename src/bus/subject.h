/* bus/subject.h - topics' names as words of NATS subjects, and what stands in the headers of messages. Pure.
 *
 * A subject is PREFIX.KIND.NAME. A topic's name is any bytes, chosen by clients: letters, digits, `-` and `_` stand for
 * themselves, every other byte is `=` and two hex digits, the empty name is `=`. So a name is one word, without dots,
 * blanks and wildcards, and no two names are the same one. */
#ifndef TIDEWIRE_BUS_SUBJECT_H
#define TIDEWIRE_BUS_SUBJECT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SUBJECT_LONGEST_NAME = 255,                    /* bytes; a topic with a longer one stays in its process */
    SUBJECT_WORD = SUBJECT_LONGEST_NAME * 3 + 1,   /* with the NUL */
    SUBJECT_SIZE = SUBJECT_WORD + 64 + 8,          /* with prefix and kind */
};

/* False when the name is too long. */
bool subject_encode(const char *name, size_t length, char word[SUBJECT_WORD]);
enum subject_kind {
    SUBJECT_MESSAGES = 'm',
    SUBJECT_KEPT = 'k',     /* the stream's */
    SUBJECT_FOLLOWED = 'd', /* by a consumer, whose name is the word */
    SUBJECT_PRESENCE = 'p',
    SUBJECT_HOSTS = 'h',
};
/* "PREFIX.m.WORD" */
void subject_write(char subject[SUBJECT_SIZE], const char *prefix, enum subject_kind kind, const char *word);

/* Ids of processes: 64 bits in 16 hex digits. */
enum { ORIGIN_SIZE = 17 };
void origin_write(char text[ORIGIN_SIZE], uint64_t origin);
/* NULL is no id. */
bool origin_read(const char *text, uint64_t *origin);
/* Decimal, without sign, at most `most`. */
bool number_read(const char *text, uint64_t most, uint64_t *number);

/* Where a message of a stream stands, from the subject that it would be acknowledged to:
 * $JS.ACK.STREAM.CONSUMER.DELIVERED.SEQUENCE.NUMBER.TIME.PENDING, with two words more behind ACK in newer servers. */
struct stream_place {
    uint64_t sequence; /* in the stream */
    uint64_t number;   /* of the consumer's messages, from 1 without holes */
    uint64_t time;     /* ns since 1970 */
    uint64_t pending;  /* that come behind it */
    const char *consumer; /* its name, in the text; not ended */
    size_t consumer_length;
};
bool stream_place_read(const char *reply, struct stream_place *place);
#endif
